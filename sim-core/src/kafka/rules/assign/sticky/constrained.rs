//! The builder for equal subscriptions (`ConstrainedAssignmentBuilder`): every member gets the
//! floor or the ceiling of the mean, and keeps of its own as much as fits.
//!
//! 1. Members keep what they own, up to their quota; with racks, only what is on their rack.
//! 2. With racks, what is left goes round the members that are near a replica.
//! 3. The rest goes round the members below the floor, then to those at the floor.

use super::super::interned::{Interned, Member, Partition, Rack, at, number};
use super::Built;
use super::claims::Claims;
use super::racks::Racks;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

struct Builder<'a> {
    group: &'a Interned<'a>,
    racks: Racks<'a>,
    claimed_twice: &'a BTreeSet<Partition>,
    /// Who had to give a partition up.
    revoked: BTreeMap<Partition, Member>,
    transferring: BTreeMap<Partition, Member>,
    given: Vec<Vec<Partition>>,
    floor: usize,
    ceiling: usize,
    /// How many members are to have the ceiling, if that is above the floor, and how many have.
    expected_over: usize,
    over: usize,
    /// Members that are to get more.
    below_floor: Vec<Member>,
    at_floor: Vec<Member>,
}

/// Builds the assignment.
pub(super) fn build(group: &Interned<'_>, claims: &Claims) -> Built {
    let members = group.members.len();
    let total = at(group.total());
    let mut builder = Builder {
        racks: Racks::new(group),
        claimed_twice: &claims.claimed_twice,
        revoked: BTreeMap::new(),
        transferring: BTreeMap::new(),
        given: vec![Vec::new(); members],
        floor: total / members.max(1),
        ceiling: total.div_ceil(members.max(1)),
        expected_over: total % members.max(1),
        over: 0,
        below_floor: Vec::new(),
        at_floor: Vec::new(),
        group,
    };
    let mut taken = vec![false; total];
    for &member in &group.hash_order {
        builder.keep_owned(member, &claims.owned[at(member)], &mut taken);
    }
    let all = (0..group.total()).zip(&taken);
    let mut left: Vec<Partition> = all.filter(|(_, taken)| !**taken).map(|(p, _)| p).collect();
    builder.below_floor.sort_unstable();
    builder.at_floor.sort_unstable();
    builder.racks.sort_by_consumers(&mut left);
    if builder.racks.aware {
        builder.assign_near(&mut left);
    }
    builder.assign_round(&left);
    Built {
        assignment: builder.given,
        transferring: Some(builder.transferring),
        is_sticky: true,
    }
}

impl Builder<'_> {
    fn keep_owned(&mut self, member: Member, owned: &BTreeSet<Partition>, taken: &mut [bool]) {
        let mut own = Vec::new();
        for &partition in owned {
            if self.racks.mismatch(member, partition) {
                self.revoked.insert(partition, member);
            } else if !self.claimed_twice.contains(&partition) {
                own.push(partition);
            }
        }
        own.sort_by_key(|p| (self.group.index(*p), *p));
        let kept = if own.len() < self.floor {
            self.below_floor.push(member);
            own.len()
        } else if own.len() >= self.ceiling && self.over < self.expected_over {
            self.over += 1;
            if self.over == self.expected_over {
                self.at_floor.clear();
            }
            self.ceiling
        } else {
            if self.over < self.expected_over {
                self.at_floor.push(member);
            }
            self.floor
        };
        for partition in own.split_off(kept) {
            self.revoked.insert(partition, member);
        }
        for partition in &own {
            taken[at(*partition)] = true;
        }
        self.given[at(member)] = own;
    }

    /// Hands a partition out; returns how many the member has now.
    fn assign(&mut self, partition: Partition, member: Member) -> usize {
        let own = &mut self.given[at(member)];
        own.push(partition);
        let count = own.len();
        let from_another = self
            .revoked
            .get(&partition)
            .is_some_and(|old| *old != member);
        if from_another || self.claimed_twice.contains(&partition) {
            self.transferring.insert(partition, member);
        }
        count
    }

    /// `assignRackAwareRoundRobin`: goes round the members below the floor that are near, then
    /// takes the first at the floor that is. What it hands out leaves the list.
    fn assign_near(&mut self, left: &mut Vec<Partition>) {
        let mut below = Near::default();
        let mut at_floor = Near::default();
        for member in std::mem::take(&mut self.below_floor) {
            below.push(member, self.racks.of(member));
        }
        for member in std::mem::take(&mut self.at_floor) {
            at_floor.push(member, self.racks.of(member));
        }
        let mut turn = 0;
        let mut rest = Vec::new();
        for &partition in left.iter() {
            let replicas = self.racks.replicas(partition).clone();
            if let Some((place, member)) = below.from(turn, &replicas) {
                if self.assign(partition, member) >= self.floor {
                    below.remove(place, self.racks.of(member));
                    let count = self.given[at(member)].len();
                    if count < self.ceiling && self.over < self.expected_over {
                        at_floor.push(member, self.racks.of(member));
                    }
                }
                turn = place + 1;
            } else if let Some((place, member)) = at_floor.from(0, &replicas) {
                if self.assign(partition, member) == self.ceiling {
                    at_floor.remove(place, self.racks.of(member));
                    self.over += 1;
                    if self.over == self.expected_over {
                        at_floor = Near::default();
                    }
                }
            } else {
                rest.push(partition);
            }
        }
        *left = rest;
        self.below_floor = below.members.into_values().collect();
        self.at_floor = at_floor.members.into_values().collect();
    }

    /// `assignRoundRobin`.
    fn assign_round(&mut self, left: &[Partition]) {
        let mut below: VecDeque<Member> = std::mem::take(&mut self.below_floor).into();
        let mut at_floor: VecDeque<Member> = std::mem::take(&mut self.at_floor).into();
        for &partition in left {
            if let Some(member) = below.pop_front() {
                if self.assign(partition, member) == self.floor {
                    at_floor.push_back(member);
                } else {
                    below.push_back(member);
                }
            } else if let Some(member) = at_floor.pop_front() {
                self.assign(partition, member);
            }
        }
    }
}

/// A line of members in which the next one near some rack is found quickly.
#[derive(Default)]
struct Near {
    members: BTreeMap<u32, Member>,
    on: BTreeMap<Rack, BTreeSet<u32>>,
    pushed: usize,
}

impl Near {
    fn push(&mut self, member: Member, rack: Option<Rack>) {
        let place = number(self.pushed);
        self.pushed += 1;
        self.members.insert(place, member);
        if let Some(rack) = rack {
            self.on.entry(rack).or_default().insert(place);
        }
    }

    fn remove(&mut self, place: u32, rack: Option<Rack>) {
        self.members.remove(&place);
        if let Some(places) = rack.and_then(|rack| self.on.get_mut(&rack)) {
            places.remove(&place);
        }
    }

    /// The next member on one of these racks from this place on, round the line
    /// (`nextRackConsumer`).
    fn from(&self, place: u32, racks: &BTreeSet<Rack>) -> Option<(u32, Member)> {
        let lines = || racks.iter().filter_map(|rack| self.on.get(rack));
        let ahead = lines().filter_map(|line| line.range(place..).next()).min();
        let found = ahead.or_else(|| lines().filter_map(BTreeSet::first).min());
        let place = *found?;
        self.members.get(&place).map(|member| (place, *member))
    }
}
