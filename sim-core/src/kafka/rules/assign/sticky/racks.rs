//! Racks of members and partitions (`RackInfo`).

use super::super::interned::{Interned, Member, Partition, Rack, at};
use super::super::use_rack_aware_assignment;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of racks. Where they do not matter, nobody has one.
pub(super) struct Racks<'a> {
    group: &'a Interned<'a>,
    /// Whether racks are looked at.
    pub(super) aware: bool,
    /// How many members are on each rack.
    members_on: BTreeMap<Rack, u32>,
}

impl<'a> Racks<'a> {
    pub(super) fn new(group: &'a Interned<'a>) -> Self {
        let mut members_on = BTreeMap::new();
        for rack in group.rack_of.iter().flatten() {
            *members_on.entry(*rack).or_insert(0) += 1;
        }
        let racks: BTreeSet<Rack> = members_on.keys().copied().collect();
        Racks {
            aware: use_rack_aware_assignment(&racks, &group.racks),
            members_on,
            group,
        }
    }

    /// The rack of a member.
    pub(super) fn of(&self, member: Member) -> Option<Rack> {
        self.group.rack_of[at(member)].filter(|_| self.aware)
    }

    /// The racks of a partition's replicas.
    pub(super) fn replicas(&self, partition: Partition) -> &BTreeSet<Rack> {
        &self.group.racks[at(partition)]
    }

    /// Whether the member is on a rack that has no replica (`racksMismatch`).
    pub(super) fn mismatch(&self, member: Member, partition: Partition) -> bool {
        self.of(member)
            .is_some_and(|rack| !self.replicas(partition).contains(&rack))
    }

    /// Puts first what the fewest members have near them (`sortPartitionsByRackConsumers`).
    pub(super) fn sort_by_consumers(&self, partitions: &mut [Partition]) {
        let on = |rack| self.members_on.get(rack).copied().unwrap_or(0);
        partitions.sort_by_cached_key(|p| self.replicas(*p).iter().map(on).sum::<u32>());
    }
}
