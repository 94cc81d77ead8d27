//! On which racks the replicas of partitions are, as metadata answers tell a client (KIP-881).
//!
//! Follows `Node.rack` in `PartitionInfo.replicas` and `ConsumerCoordinator.PartitionRackInfo`: an
//! answer names live brokers with their `broker.rack`; of a replica on any other broker it tells
//! the id alone, so its rack is not known. Left out: fetching from a replica near by (KIP-392).

use crate::kafka::ids::{AddressBook, BrokerId, TopicPartition};
use crate::kafka::protocol::PartitionMetadata;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The racks of the replicas of partitions; `None` stands for replicas whose rack is not known.
pub(in crate::kafka) type PartitionRacks = BTreeMap<TopicPartition, BTreeSet<Option<Arc<str>>>>;

/// What a client knows of racks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Racks {
    brokers: Vec<(BrokerId, Arc<str>)>,
    pub(super) partitions: PartitionRacks,
}

impl Racks {
    /// Nothing yet; `None` in a cluster without racks.
    pub(super) fn of(book: &AddressBook) -> Option<Box<Racks>> {
        (!book.racks.is_empty()).then(|| {
            Box::new(Racks {
                brokers: book.racks.clone(),
                partitions: PartitionRacks::new(),
            })
        })
    }

    /// Takes in what an answer tells of partitions that matter to the client.
    pub(super) fn update<'a>(
        &mut self,
        live: &[BrokerId],
        answer: impl Iterator<Item = &'a PartitionMetadata>,
    ) {
        let rack = |id: &BrokerId| {
            let mut known = self.brokers.iter().filter(|_| live.contains(id));
            known.find(|(it, _)| it == id).map(|(_, it)| Arc::clone(it))
        };
        let told = answer.map(|it| (it.tp, it.replicas.iter().map(rack).collect()));
        self.partitions = told.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_not_live_has_no_rack() {
        let book = AddressBook {
            racks: vec![(1, Arc::from("east")), (2, Arc::from("west"))],
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
            let mut racks = Racks::of(&book).expect("a cluster with racks");
            racks.update(live, [&partition].into_iter());
            let got = racks.partitions[&partition.tp].iter().map(Option::as_deref);
            assert_eq!(got.collect::<Vec<_>>(), expect, "{live:?}");
        };
        check(&[1, 2], &[None, Some("east"), Some("west")]);
        check(&[1, 3], &[None, Some("east")]);
        check(&[], &[None]);
        assert_eq!(Racks::of(&AddressBook::default()), None);
    }
}
