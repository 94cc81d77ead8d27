//! The builder for differing subscriptions (`GeneralAssignmentBuilder`).
//!
//! Everybody keeps what they own and still subscribe to (with racks: on their rack). What is left
//! goes, topics with few subscribers first, to the subscriber with the fewest partitions. Then
//! partitions move from members with more to members with fewer, as long as that balances: first
//! those just handed out, then any. If the second round did not make the whole more balanced, all
//! moves are taken back.
//!
//! A partition that a member of an older generation claims moves back to that member, if that
//! balances. Kafka does not ask whether the member still subscribes to the topic, and so it can
//! give it a partition that it will not read; so does this.
//!
//! Racks do not steer the moves: Kafka looks for a better member on the partition's racks first,
//! but then moves the partition to the member with the fewest all the same.

use super::super::interned::{Interned, Member, Partition, Topic, at, number};
use super::Built;
use super::claims::Claims;
use super::loads::Loads;
use super::movements::Movements;
use super::racks::Racks;

/// More rounds of moves than any group needs. A move back may, on paper, undo progress; Kafka
/// trusts that it ends.
const MOST_ROUNDS: u32 = 1_000;

struct Builder<'a> {
    group: &'a Interned<'a>,
    loads: Loads,
    movements: Movements,
    /// The owner of a partition in an older generation, with that generation.
    previous: Vec<Option<(Member, i32)>>,
    /// A topic in which something could improve, or `None` once none is left.
    improvable: Option<Topic>,
}

/// Builds the assignment.
pub(super) fn build(group: &Interned<'_>, claims: &Claims) -> Built {
    let racks = Racks::new(group);
    let mut builder = Builder {
        loads: Loads::new(group, &racks),
        movements: Movements::new(group),
        previous: previous_owners(group, claims.max_generation),
        improvable: None,
        group,
    };
    let must_revoke = builder.keep_owned(claims, &racks);
    let initializing = builder.sizes(|_| true).into_iter().all(|size| size == 0);
    let all = sorted_partitions(group);
    let left: Vec<Partition> = {
        let all = all.iter().copied();
        all.filter(|p| builder.loads.owner(*p).is_none()).collect()
    };
    builder.assign(&left, &racks);
    builder.balance(&all, &left, must_revoke, initializing);
    let mut assignment = vec![Vec::new(); group.members.len()];
    for (partition, owner) in (0..).zip(builder.loads.owners()) {
        if let Some(owner) = owner {
            assignment[at(*owner)].push(partition);
        }
    }
    Built {
        assignment,
        transferring: None,
        is_sticky: builder.movements.is_sticky(),
    }
}

/// All partitions: topics with few subscribers first, then by name and number.
fn sorted_partitions(group: &Interned<'_>) -> Vec<Partition> {
    let mut topics: Vec<Topic> = (0..number(group.topics.len())).collect();
    topics.sort_by_key(|topic| (group.members_of[at(*topic)].len(), *topic));
    topics
        .into_iter()
        .flat_map(|topic| group.partitions(topic))
        .collect()
}

/// What members of older generations claim; the newest of these counts
/// (`prepopulateCurrentAssignments`).
fn previous_owners(group: &Interned<'_>, newest: i32) -> Vec<Option<(Member, i32)>> {
    let mut previous = vec![None; at(group.total())];
    for &member in &group.hash_order {
        let subscription = group.members[at(member)];
        let generation = subscription.generation;
        if generation >= newest {
            continue;
        }
        for partition in group.existing(&subscription.owned) {
            let noted = &mut previous[at(partition)];
            if noted.is_none_or(|(_, other)| generation > other) {
                *noted = Some((member, generation));
            }
        }
    }
    previous
}

/// The sum of the differences of all pairs (`getBalanceScore`).
fn balance_score(mut sizes: Vec<u32>) -> i64 {
    sizes.sort_unstable();
    let mut score = 0;
    let mut sum = 0;
    for (smaller, size) in (0..).zip(sizes) {
        score += smaller * i64::from(size) - sum;
        sum += i64::from(size);
    }
    score
}

impl Builder<'_> {
    fn sizes(&self, which: impl Fn(Member) -> bool) -> Vec<u32> {
        let members = (0..number(self.group.members.len())).filter(|m| which(*m));
        members.map(|member| self.loads.count(member)).collect()
    }

    /// Returns whether a member must give something up, beyond what is gone.
    fn keep_owned(&mut self, claims: &Claims, racks: &Racks<'_>) -> bool {
        let mut must_revoke = false;
        for (member, owned) in (0..).zip(&claims.owned) {
            for &partition in owned {
                let topic = self.group.topic_of(partition);
                if self.group.subscribes(member, topic) && !racks.mismatch(member, partition) {
                    self.loads.give(topic, partition, member);
                } else {
                    must_revoke = true;
                }
            }
        }
        must_revoke
    }

    /// `maybeAssign`, with racks first and then without.
    fn assign(&mut self, left: &[Partition], racks: &Racks<'_>) {
        let mut rest = Vec::new();
        for &partition in left {
            let topic = self.group.topic_of(partition);
            let near = if racks.aware {
                self.loads.least_near(topic, racks.replicas(partition))
            } else {
                None
            };
            match near {
                Some((_, member)) => self.loads.give(topic, partition, member),
                None => rest.push(partition),
            }
        }
        for partition in rest {
            let topic = self.group.topic_of(partition);
            if let Some((_, member)) = self.loads.least(topic) {
                self.loads.give(topic, partition, member);
            }
        }
    }

    fn balance(
        &mut self,
        all: &[Partition],
        left: &[Partition],
        must_revoke: bool,
        initializing: bool,
    ) {
        let group = self.group;
        let shared = |topic: Topic| group.members_of[at(topic)].len() >= 2;
        let movable = |list: &[Partition]| -> Vec<Partition> {
            let list = list.iter().copied();
            list.filter(|p| shared(group.topic_of(*p))).collect()
        };
        let taking_part: Vec<bool> = (0..number(group.members.len()))
            .map(|member| {
                let topics = group.topics_of[at(member)].iter();
                let most: usize = topics.map(|topic| group.partitions(*topic).len()).sum();
                at(self.loads.count(member)) < most || self.loads.topics_of(member).any(shared)
            })
            .collect();
        let part = |member: Member| taking_part[at(member)];
        // Kafka fails on these with a NullPointerException.
        for previous in &mut self.previous {
            *previous = previous.filter(|(member, _)| part(*member));
        }
        let before = balance_score(self.sizes(part));
        let owners_before = self.loads.owners().to_vec();
        if !must_revoke {
            self.move_partitions(&movable(left));
        }
        let moved = self.move_partitions(&movable(all));
        if !initializing && moved && balance_score(self.sizes(part)) >= before {
            for (partition, owner) in (0..).zip(owners_before) {
                if let Some(owner) = owner.filter(|o| self.loads.owner(partition) != Some(*o)) {
                    self.loads.give(group.topic_of(partition), partition, owner);
                }
            }
        }
    }

    /// `isBalanced`, the other way round.
    fn could_improve(&mut self) -> bool {
        if let Some(topic) = self.improvable
            && self.loads.could_improve(topic)
        {
            return true;
        }
        let mut topics = 0..number(self.group.topics.len());
        self.improvable = topics.find(|topic| self.loads.could_improve(*topic));
        self.improvable.is_some()
    }

    /// `performReassignments`; returns whether anything moved.
    fn move_partitions(&mut self, partitions: &[Partition]) -> bool {
        let mut ever = false;
        for _ in 0..MOST_ROUNDS {
            let mut moved = false;
            let mut improvable = self.could_improve();
            for &partition in partitions {
                if !improvable {
                    break;
                }
                if self.maybe_move(partition) {
                    moved = true;
                    improvable = self.could_improve();
                }
            }
            ever |= moved;
            if !moved {
                break;
            }
        }
        ever
    }

    fn maybe_move(&mut self, partition: Partition) -> bool {
        let topic = self.group.topic_of(partition);
        let Some(owner) = self.loads.owner(partition) else {
            return false;
        };
        let has = self.loads.count(owner);
        let previous = self.previous[at(partition)].map(|(member, _)| member);
        let taker = match previous.filter(|member| has > self.loads.count(*member) + 1) {
            Some(member) => member,
            None => match self.loads.least(topic) {
                Some((fewest, member)) if has > fewest + 1 => member,
                _ => return false,
            },
        };
        let actual = self.movements.actual(self.group, partition, owner, taker);
        if let Some(old) = self.loads.owner(actual) {
            self.movements.moved(self.group, actual, old, taker);
            self.loads.give(topic, actual, taker);
        }
        true
    }
}
