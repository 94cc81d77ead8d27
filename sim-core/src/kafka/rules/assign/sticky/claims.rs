//! Who may count which partitions as their own (`allSubscriptionsEqual`).
//!
//! A claim of a higher generation wins. Two claims of one generation spoil each other.

use super::super::interned::{Interned, Member, Partition, at};
use std::collections::BTreeSet;

/// The claims after they were settled.
pub(super) struct Claims {
    /// Whether all members subscribe to the same topics.
    pub(super) equal_subscriptions: bool,
    /// What each member owns.
    pub(super) owned: Vec<BTreeSet<Partition>>,
    /// What two members of one generation claimed.
    pub(super) claimed_twice: BTreeSet<Partition>,
    /// The highest generation.
    pub(super) max_generation: i32,
}

impl Claims {
    /// Goes through the members in the order of Kafka's map.
    pub(super) fn settle(group: &Interned<'_>) -> Self {
        let mut claims = Claims {
            equal_subscriptions: true,
            owned: vec![BTreeSet::new(); group.members.len()],
            claimed_twice: BTreeSet::new(),
            max_generation: super::super::DEFAULT_GENERATION,
        };
        let mut owner: Vec<Option<Member>> = vec![None; at(group.total())];
        let mut topics = None;
        for &member in &group.hash_order {
            let subscription = group.members[at(member)];
            match topics {
                None if subscription.topics.is_empty() => {}
                None => topics = Some(&subscription.topics),
                Some(topics) => claims.equal_subscriptions &= *topics == subscription.topics,
            }
            claims.max_generation = claims.max_generation.max(subscription.generation);
            for partition in group.existing(&subscription.owned) {
                claims.claim(group, member, partition, &mut owner[at(partition)]);
            }
        }
        claims
    }

    fn claim(
        &mut self,
        group: &Interned<'_>,
        member: Member,
        partition: Partition,
        owner: &mut Option<Member>,
    ) {
        let generation = |member: Member| group.members[at(member)].generation;
        let Some(other) = *owner else {
            self.owned[at(member)].insert(partition);
            *owner = Some(member);
            return;
        };
        let ours = generation(member);
        if ours < generation(other) {
            return;
        }
        if ours == generation(other) {
            self.claimed_twice.insert(partition);
        } else {
            self.owned[at(member)].insert(partition);
        }
        self.owned[at(other)].remove(&partition);
        *owner = Some(member);
    }
}
