//! On which racks the replicas of partitions are, as metadata answers tell a client (KIP-881).
//!
//! Follows `Node.rack` in `PartitionInfo.replicas` and `ConsumerCoordinator.PartitionRackInfo`: an
//! answer names live brokers with their `broker.rack`; of a replica on any other broker it tells
//! the id alone, so its rack is not known. A client keeps the answer; only who leads a group looks
//! up racks. Left out: fetching from a replica near by (KIP-392).

use crate::kafka::ids::{AddressBook, BrokerId, TopicPartition};
use crate::kafka::protocol::PartitionMetadata;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The racks of the replicas of partitions; `None` stands for replicas whose rack is not known.
pub(in crate::kafka) type PartitionRacks = BTreeMap<TopicPartition, BTreeSet<Option<Arc<str>>>>;

/// The racks of these partitions' replicas.
pub(super) fn of<'a>(
    told: impl Iterator<Item = &'a PartitionMetadata>,
    live: &[BrokerId],
    book: &AddressBook,
) -> PartitionRacks {
    let rack = |id: &BrokerId| {
        let mut known = book.racks.iter().filter(|_| live.contains(id));
        let found = known.find(|(it, _)| it == id);
        found.map(|(_, it)| Arc::from(it.as_str()))
    };
    told.map(|it| (it.tp, it.replicas.iter().map(rack).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_not_live_has_no_rack() {
        let book = AddressBook {
            racks: vec![(1, "east".to_owned()), (2, "west".to_owned())],
            ..AddressBook::default()
        };
        let partition = PartitionMetadata {
            tp: TopicPartition::default(),
            leader: 1,
            leader_epoch: 0,
            replicas: vec![1, 2, 3],
            isr: vec![1],
        };
        let check = |live: &[BrokerId], expect: &[Option<&str>]| {
            let racks = of([&partition].into_iter(), live, &book);
            let got = racks[&TopicPartition::default()].iter();
            assert_eq!(
                got.map(Option::as_deref).collect::<Vec<_>>(),
                expect,
                "{live:?}"
            );
        };
        check(&[1, 2], &[None, Some("east"), Some("west")]);
        check(&[1, 3], &[None, Some("east")]);
        check(&[], &[None]);
    }
}
