//! Which partitions moved between which members (`PartitionMovements`): where a partition of the
//! same topic went the other way, that one goes back instead, so that no two members exchange
//! partitions.

use super::super::hash_order::{HashOrdered, partition_hash, string_hash};
use super::super::interned::{Interned, Member, Partition, Topic, at};
use std::collections::BTreeMap;

/// From whom to whom.
type Pair = (Member, Member);

pub(super) struct Movements {
    topic_hash: Vec<u32>,
    by_topic: BTreeMap<Topic, BTreeMap<Pair, HashOrdered<Partition>>>,
    pair_of: BTreeMap<Partition, Pair>,
}

impl Movements {
    pub(super) fn new(group: &Interned<'_>) -> Self {
        Movements {
            topic_hash: group.topics.iter().map(|name| string_hash(name)).collect(),
            by_topic: BTreeMap::new(),
            pair_of: BTreeMap::new(),
        }
    }

    /// Which partition to move instead of this one (`getTheActualPartitionToBeMoved`). Of several,
    /// the first of Kafka's hash set.
    pub(super) fn actual(
        &self,
        group: &Interned<'_>,
        partition: Partition,
        old: Member,
        new: Member,
    ) -> Partition {
        let Some(pairs) = self.by_topic.get(&group.topic_of(partition)) else {
            return partition;
        };
        let old = self.pair_of.get(&partition).map_or(old, |pair| pair.0);
        let back = pairs.get(&(new, old));
        back.and_then(HashOrdered::first).unwrap_or(partition)
    }

    /// Notes that a partition moved (`movePartition`): of a chain of moves only the two ends count.
    pub(super) fn moved(
        &mut self,
        group: &Interned<'_>,
        partition: Partition,
        old: Member,
        new: Member,
    ) {
        let topic = group.topic_of(partition);
        let mut from = old;
        if let Some(pair) = self.pair_of.remove(&partition) {
            from = pair.0;
            let pairs = self.by_topic.entry(topic).or_default();
            if let Some(set) = pairs.get_mut(&pair) {
                set.remove(partition);
                if set.is_empty() {
                    pairs.remove(&pair);
                }
            }
            if pairs.is_empty() {
                self.by_topic.remove(&topic);
            }
            if from == new {
                return;
            }
        }
        self.pair_of.insert(partition, (from, new));
        let hash = partition_hash(self.topic_hash[at(topic)], group.index(partition));
        let pairs = self.by_topic.entry(topic).or_default();
        pairs
            .entry((from, new))
            .or_default()
            .insert(hash, partition);
    }

    /// Whether no two members exchanged partitions of a topic.
    pub(super) fn is_sticky(&self) -> bool {
        let exchanged = |pairs: &BTreeMap<Pair, _>| {
            let mut all = pairs.keys();
            all.any(|(from, to)| pairs.contains_key(&(*to, *from)))
        };
        !self.by_topic.values().any(exchanged)
    }
}
