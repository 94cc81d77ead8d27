//! `RangeAssignor` of the clients: each topic's partitions are cut into ranges, the first members
//! getting one more where the count does not divide.
//!
//! Where racks matter ([`use_rack_aware_assignment`]), partitions are first handed to members on a
//! rack of a replica, within the same share per topic; topics with equal members and equal counts
//! stay co-partitioned even so. What is left is then dealt as ranges. Balance and co-partitioning
//! win over racks.

use super::interned::{Interned, Member, Partition, Rack, at, number};
use super::{Assignment, Subscription, Topics, use_rack_aware_assignment};
use std::collections::{BTreeMap, BTreeSet};

/// Assigns ranges of each topic's partitions to the members that subscribe to it, in
/// [`member_order`](super::member_order).
#[must_use]
pub fn range(topics: &Topics, members: &[Subscription]) -> Assignment {
    let group = Interned::new(topics, members);
    let mut states: Vec<TopicState> = (0..number(group.topics.len()))
        .map(|topic| TopicState::new(&group, topic))
        .collect();
    let mut given: Vec<Vec<Partition>> = vec![Vec::new(); group.members.len()];
    if states.iter().any(|state| state.needs_racks) {
        assign_with_rack_matching(&group, &mut states, &mut given);
    }
    for state in &mut states {
        state.assign_ranges(&mut given);
    }
    group.named(given)
}

/// A topic while its partitions are handed out (`TopicAssignmentState`).
struct TopicState {
    /// Its members in order, with their racks.
    consumers: Vec<(Member, Option<Rack>)>,
    /// How many partitions each has got, in the order of `consumers`.
    counts: Vec<u32>,
    /// Its partitions, with the racks of their replicas, and whether they are handed out.
    first: Partition,
    racks: Vec<BTreeSet<Rack>>,
    assigned: Vec<bool>,
    needs_racks: bool,
    per_consumer: u32,
    extras_left: u32,
}

impl TopicState {
    fn new(group: &Interned<'_>, topic: u32) -> Self {
        let mut members = group.members_of[at(topic)].clone();
        members.sort_by_key(|member| group.seat[at(*member)]);
        let consumers: Vec<_> = members
            .iter()
            .map(|m| (*m, group.rack_of[at(*m)]))
            .collect();
        let own = group.partitions(topic);
        let racks: Vec<BTreeSet<Rack>> = group.racks[at(own.start)..at(own.end)].to_vec();
        let consumer_racks: BTreeSet<Rack> = consumers.iter().filter_map(|(_, r)| *r).collect();
        let (count, n) = (number(racks.len()), number(consumers.len()).max(1));
        TopicState {
            needs_racks: use_rack_aware_assignment(&consumer_racks, &racks),
            counts: vec![0; consumers.len()],
            assigned: vec![false; racks.len()],
            first: own.start,
            per_consumer: count / n,
            extras_left: count % n,
            racks,
            consumers,
        }
    }

    /// How many more partitions a consumer may get (`maxAssignable`); it never grows.
    fn assignable(&self, consumer: usize) -> u32 {
        let most = self.per_consumer + u32::from(self.extras_left > 0);
        most.saturating_sub(self.counts[consumer])
    }

    fn assign(&mut self, consumer: usize, partition: usize, given: &mut [Vec<Partition>]) {
        given[at(self.consumers[consumer].0)].push(self.first + number(partition));
        self.assigned[partition] = true;
        self.counts[consumer] += 1;
    }

    /// Accounts for the extra partition of a consumer, once it has all of one round.
    fn settle(&mut self, consumer: usize) {
        if self.counts[consumer] > self.per_consumer {
            self.extras_left = self.extras_left.saturating_sub(1);
        }
    }

    fn assign_ranges(&mut self, given: &mut [Vec<Partition>]) {
        let mut next = 0;
        for consumer in 0..self.consumers.len() {
            let mut left = self.assignable(consumer);
            if left == 0 {
                continue;
            }
            let had = self.counts[consumer];
            while left > 0 && next < self.assigned.len() {
                if !self.assigned[next] {
                    self.assign(consumer, next, given);
                    left -= 1;
                }
                next += 1;
            }
            if self.counts[consumer] > had {
                self.settle(consumer);
            }
        }
    }

    /// Ranges of the partitions that are on each consumer's rack; a consumer without a rack takes
    /// any.
    fn assign_ranges_by_rack(&mut self, given: &mut [Vec<Partition>]) {
        let mut of_rack: BTreeMap<Rack, Vec<usize>> = BTreeMap::new();
        for (partition, racks) in self.racks.iter().enumerate() {
            for rack in racks {
                of_rack.entry(*rack).or_default().push(partition);
            }
        }
        let all: Vec<usize> = (0..self.racks.len()).collect();
        let none = Vec::new();
        // Where the walk over a rack's partitions goes on: what lies before is handed out.
        let mut walked: BTreeMap<Option<Rack>, usize> = BTreeMap::new();
        for consumer in 0..self.consumers.len() {
            let rack = self.consumers[consumer].1;
            let list = rack.map_or(&all, |rack| of_rack.get(&rack).unwrap_or(&none));
            let walk = walked.entry(rack).or_default();
            let mut left = self.assignable(consumer);
            let had = self.counts[consumer];
            while left > 0 && *walk < list.len() {
                let partition = list[*walk];
                if !self.assigned[partition] {
                    self.assign(consumer, partition, given);
                    left -= 1;
                }
                *walk += 1;
            }
            if self.counts[consumer] > had {
                self.settle(consumer);
            }
        }
    }
}

fn assign_with_rack_matching(
    group: &Interned<'_>,
    states: &mut [TopicState],
    given: &mut [Vec<Partition>],
) {
    // Equal members (their racks are equal then) and equal counts. Where no member of a topic has
    // a rack, Kafka takes its count for 0 and hands out nothing here.
    let mut alike: BTreeMap<(Vec<Member>, usize), Vec<usize>> = BTreeMap::new();
    for (topic, state) in states.iter().enumerate() {
        let with_racks = state.consumers.iter().any(|(_, rack)| rack.is_some());
        let count = if with_racks { state.racks.len() } else { 0 };
        let key = (group.members_of[topic].clone(), count);
        alike.entry(key).or_default().push(topic);
    }
    for ((_, count), topics) in alike {
        if topics.len() > 1 {
            assign_co_partitioned(states, &topics, count, given);
        } else if states[topics[0]].needs_racks {
            states[topics[0]].assign_ranges_by_rack(given);
        }
    }
}

/// The same partition of every topic goes to the first member that is on a rack of a replica of
/// each (or has no rack) and may still get some.
fn assign_co_partitioned(
    states: &mut [TopicState],
    topics: &[usize],
    count: usize,
    given: &mut [Vec<Partition>],
) {
    let mut waiting: BTreeMap<Option<Rack>, Vec<usize>> = BTreeMap::new();
    // The last is the first in line.
    for (place, (_, rack)) in states[topics[0]].consumers.iter().enumerate().rev() {
        waiting.entry(*rack).or_default().push(place);
    }
    for partition in 0..count {
        let mut racks = states[topics[0]].racks[partition].clone();
        for topic in &topics[1..] {
            racks.retain(|rack| states[*topic].racks[partition].contains(rack));
        }
        let lines = racks.into_iter().map(Some).chain([None]);
        let mut found: Option<usize> = None;
        for rack in lines {
            let Some(line) = waiting.get_mut(&rack) else {
                continue;
            };
            // Who may get none now never may again.
            while let Some(place) = line.last()
                && topics
                    .iter()
                    .any(|topic| states[*topic].assignable(*place) == 0)
            {
                line.pop();
            }
            if let Some(place) = line.last() {
                found = Some(found.map_or(*place, |other| other.min(*place)));
            }
        }
        let Some(consumer) = found else {
            continue;
        };
        for topic in topics {
            states[*topic].assign(consumer, partition, given);
            states[*topic].settle(consumer);
        }
    }
}
