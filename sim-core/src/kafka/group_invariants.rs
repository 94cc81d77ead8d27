//! What is watched of consumer groups: how long partitions stood still, and what must hold:
//! **OneOwner** (no partition has two owners in one generation or epoch) and **CommitMonotone** (a
//! committed offset never goes back by itself). What must hold of share groups is in
//! [`super::share_invariants`].
//!
//! Owners are taken from the members' own notes: of what they are given, and of what they keep when
//! they enter a generation. Who has not heard of a generation breaks nothing in it, however long it
//! holds what others have been given meanwhile: that Kafka does not promise. Nor does it promise that
//! what a member still takes over was not given to another since: it counts for the generation in
//! which it was this member's. Commits are taken from the coordinators' notes. One that a new
//! coordinator found above its high watermark is told again when that has passed it: by its place in
//! the log it is known, and each is judged once.

use super::facts::Cluster;
use super::ids::TopicPartition;
use super::note::{GroupNote, Note, Rule};
use super::rules::classic_group::Name;
use super::share_invariants::ShareInvariants;
use crate::kernel::{Nanos, NodeId, World};
use crate::systems::Node;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Of so many generations a partition's owners are remembered: members may be late.
const GENERATIONS: usize = 4;

/// What was seen of groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct GroupInvariants {
    /// Who owned a partition in a generation; of the newest ones seen, in order.
    owners: BTreeMap<(Name, TopicPartition), Vec<(i64, NodeId)>>,
    committed: BTreeMap<(Name, TopicPartition), Commit>,
    /// Where the owner's application has sought a position: so often a commit may go back, and no
    /// further than to that offset.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sought: BTreeMap<(Name, TopicPartition), (u32, i64)>,
    /// What an application without membership commits: that may be any offset, at any time.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    by_hand: BTreeSet<(Name, TopicPartition)>,
    stops: BTreeMap<(Name, TopicPartition), Stop>,
    #[serde(skip_serializing_if = "ShareInvariants::is_empty")]
    shares: ShareInvariants,
}

/// What was committed last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Commit {
    offset: i64,
    /// Its record in the coordinator's log: leader epoch and offset, which go up with the log.
    record: Option<(i32, i64)>,
}

/// How long a partition stood still: nobody owned it, or its owner was heard of no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stop {
    /// Who owns it.
    pub owner: Option<NodeId>,
    /// Since when it has no owner, or when its owner was last given something, ns.
    pub since: Nanos,
    /// How long it stood still before, ns.
    pub before: Nanos,
}

/// The invariant that a note breaks, with a sentence.
pub(super) type Broken = (&'static str, String);

/// How notes of groups are looked at; see [`crate::kafka::parts`].
pub(super) struct GroupChecks {
    pub(super) follow: fn(&mut GroupInvariants, &Note, Nanos),
    pub(super) observe: fn(&mut GroupInvariants, &GroupNote, &World<Node>) -> Option<Broken>,
}

impl GroupInvariants {
    /// There may be groups.
    pub(super) const CHECKS: GroupChecks = GroupChecks {
        follow: GroupInvariants::follow,
        observe: |seen, note, world| match note.rule {
            Rule::Modern(rule) => {
                let leader = Cluster(world).broker(note.node);
                let limit = leader.map(|it| it.config().share_delivery_count_limit);
                seen.shares.observe(note, rule, limit.unwrap_or(u32::MAX))
            }
            _ => seen.observe(note, |one, other| is_one(world, one, other)),
        },
    };

    /// There are none.
    pub(super) const NO_CHECKS: GroupChecks = GroupChecks {
        follow: |_, _, _| {},
        observe: |_, _, _| None,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.committed.is_empty() && self.shares.is_empty()
    }

    /// How long a group's partitions stood still until now, together, ns. One whose owner crashed
    /// counts once another member has it, from the last record that its owner got.
    pub(super) fn stopped(&self, group: &str, now: Nanos) -> Nanos {
        let own = self.stops.iter().filter(|((name, _), _)| &**name == group);
        let each = own.map(|(_, stop)| match stop.owner {
            Some(_) => stop.before,
            None => stop.before.saturating_add(now.saturating_sub(stop.since)),
        });
        each.fold(0, Nanos::saturating_add)
    }

    /// How a partition of a group stands.
    pub(super) fn stop(&self, group: &Name, tp: TopicPartition) -> Option<Stop> {
        self.stops.get(&(Name::clone(group), tp)).copied()
    }

    /// Follows a partition from owner to owner.
    pub(super) fn follow(&mut self, note: &Note, now: Nanos) {
        let (group, node, tp, rule) = match note {
            Note::Delivered {
                group: Some(group),
                node,
                tp,
                ..
            } => (group, *node, *tp, None),
            Note::Group(it) => match it.tp {
                Some(tp) => (&it.group, it.node, tp, Some(it.rule)),
                None => return,
            },
            _ => return,
        };
        let key = (Name::clone(group), tp);
        match rule {
            Some(Rule::PartitionAssigned) => {
                let first = Stop {
                    since: now,
                    ..Stop::default()
                };
                let stop = self.stops.entry(key).or_insert(first);
                if stop.owner != Some(node) {
                    stop.before += now.saturating_sub(stop.since);
                }
                (stop.owner, stop.since) = (Some(node), now);
            }
            Some(Rule::PartitionRevoked | Rule::PartitionLost) => {
                if let Some(stop) = self.stops.get_mut(&key).filter(|it| it.owner == Some(node)) {
                    (stop.owner, stop.since) = (None, now);
                }
            }
            None => {
                if let Some(stop) = self.stops.get_mut(&key).filter(|it| it.owner == Some(node)) {
                    stop.since = now;
                }
            }
            Some(_) => {}
        }
    }

    /// Looks at a note. Two nodes may stand for `one` member.
    fn observe(
        &mut self,
        note: &GroupNote,
        one: impl Fn(NodeId, NodeId) -> bool,
    ) -> Option<Broken> {
        if note.rule == Rule::GroupDeleted {
            // The next of this name counts from the beginning.
            self.owners.retain(|(group, _), _| *group != note.group);
            return None;
        }
        let key = (Name::clone(&note.group), note.tp?);
        match note.rule {
            Rule::PartitionAssigned => {
                // It goes on from what is committed, whoever sought what before.
                self.sought.remove(&key);
                return self.owned(key, note, one);
            }
            Rule::PartitionKept => return self.owned(key, note, one),
            Rule::OffsetCommitted => {
                let commit = Commit {
                    offset: note.after,
                    record: note.record,
                };
                let known = self.committed.get(&key);
                if known.is_some_and(|it| note.record.is_some() && note.record <= it.record) {
                    // Told again.
                    return None;
                }
                let before = self.committed.insert(key.clone(), commit)?.offset;
                let free = self.by_hand.contains(&key);
                if note.after < before && !free && !self.may_go_back(&key, note.after) {
                    let text = format!("{} went back from {before} to {}", note.group, note.after);
                    return Some(("CommitMonotone", text));
                }
            }
            Rule::CommittedByHand => {
                self.by_hand.insert(key);
            }
            // What was forgotten is not gone back from.
            Rule::OffsetExpired => {
                self.committed.remove(&key);
            }
            Rule::Sought => {
                let (times, lowest) = self.sought.entry(key).or_insert((0, note.after));
                (*times, *lowest) = (*times + 1, note.after.min(*lowest));
            }
            _ => {}
        }
        None
    }

    /// A member has a partition in a generation: nobody else may.
    fn owned(
        &mut self,
        key: (Name, TopicPartition),
        note: &GroupNote,
        one: impl Fn(NodeId, NodeId) -> bool,
    ) -> Option<Broken> {
        let owners = self.owners.entry(key).or_default();
        match owners.binary_search_by_key(&note.after, |it| it.0) {
            Ok(at) => {
                let (generation, owner) = owners.get_mut(at)?;
                if *owner != note.node && !one(*owner, note.node) {
                    let text = format!(
                        "nodes {} and {} both own it in generation {generation} of {}",
                        owner.0, note.node.0, note.group
                    );
                    return Some(("OneOwner", text));
                }
                *owner = note.node;
            }
            Err(at) => {
                owners.insert(at, (note.after, note.node));
                if owners.len() > GENERATIONS {
                    owners.remove(0);
                }
            }
        }
        None
    }

    /// Whether a commit goes back because the application did; that it may once for each time that
    /// it sought.
    fn may_go_back(&mut self, key: &(Name, TopicPartition), to: i64) -> bool {
        let Some((times, lowest)) = self.sought.get_mut(key) else {
            return false;
        };
        let allowed = to >= *lowest;
        *times -= u32::from(allowed);
        if *times == 0 {
            self.sought.remove(key);
        }
        allowed
    }
}

/// Two processes with one `group.instance.id` are one member: the younger has taken its place, and
/// the older is fenced as soon as it asks.
fn is_one(world: &World<Node>, one: NodeId, other: NodeId) -> bool {
    let instance = |node| {
        let consumer = Cluster(world).consumer(node);
        consumer.map(|it| it.config().group_instance_id.as_str())
    };
    instance(one).is_some_and(|it| !it.is_empty() && instance(other) == Some(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// What rules of nodes (0 is the coordinator), with what after, are found to break. Nodes 8 and
    /// 9 have one `group.instance.id`.
    fn check(name: &str, notes: &[(Rule, u32, i64, Option<&str>)]) {
        let mut seen = GroupInvariants::default();
        for (rule, node, after, expected) in notes {
            let note = GroupNote {
                node: NodeId(*node),
                rule: *rule,
                group: Arc::from("g"),
                member: None,
                tp: (*rule != Rule::GroupDeleted).then(TopicPartition::default),
                before: -1,
                after: *after,
                record: None,
            };
            let found = seen.observe(&note, |one, other| one.0 > 7 && other.0 > 7);
            let found = found.map(|(name, _)| name);
            assert_eq!(found, *expected, "{name}: {rule:?} {node} {after}");
        }
    }

    #[test]
    fn two_owners_in_one_generation_are_seen() {
        use Rule::{GroupDeleted, PartitionAssigned as Assigned, PartitionKept as Kept};
        let two = Some("OneOwner");
        check(
            "given",
            &[
                (Assigned, 1, 1, None),
                (Assigned, 2, 2, None),
                (Assigned, 2, 2, None),
                (Assigned, 1, 2, two),
            ],
        );
        let kept = [
            (Assigned, 1, 1, None),
            (Kept, 1, 2, None),
            (Kept, 1, 3, None),
        ];
        check("kept", &[&kept[..], &[(Assigned, 2, 3, two)]].concat());
        check(
            "kept, and told later",
            &[
                (Assigned, 1, 1, None),
                (Assigned, 2, 3, None),
                (Kept, 1, 3, two),
            ],
        );
        check(
            "has not heard of it",
            &[
                (Assigned, 1, 1, None),
                (Assigned, 2, 3, None),
                (Kept, 1, 2, None),
                (Assigned, 3, 2, two),
            ],
        );
        check(
            "one instance",
            &[(Assigned, 8, 1, None), (Assigned, 9, 1, None)],
        );
        check(
            "anew",
            &[
                (Assigned, 1, 1, None),
                (GroupDeleted, 0, -1, None),
                (Assigned, 2, 1, None),
            ],
        );
    }

    #[test]
    fn a_commit_that_goes_back_by_itself_is_seen() {
        use Rule::{OffsetCommitted as Committed, PartitionAssigned as Assigned, Sought};
        let back = Some("CommitMonotone");
        check(
            "by itself",
            &[
                (Committed, 0, 5, None),
                (Committed, 0, 5, None),
                (Committed, 0, 4, back),
                (Rule::OffsetExpired, 0, -1, None),
                (Committed, 0, 1, None),
            ],
        );
        check(
            "sought",
            &[
                (Committed, 0, 50, None),
                (Sought, 1, 10, None),
                // Was under way.
                (Committed, 0, 52, None),
                (Committed, 0, 12, None),
                (Committed, 0, 11, back),
            ],
        );
        check(
            "further than sought",
            &[
                (Committed, 0, 50, None),
                (Sought, 1, 10, None),
                (Committed, 0, 9, back),
            ],
        );
        check(
            "sought twice",
            &[
                (Committed, 0, 50, None),
                (Sought, 1, 10, None),
                (Sought, 1, -1, None),
                (Committed, 0, 10, None),
                (Committed, 0, 3, None),
                (Committed, 0, 2, back),
            ],
        );
        check(
            "the next owner did not seek",
            &[
                (Committed, 0, 50, None),
                (Sought, 1, 60, None),
                (Committed, 0, 61, None),
                (Assigned, 2, 2, None),
                (Committed, 0, 60, back),
            ],
        );
    }

    #[test]
    fn a_commit_that_is_read_again_is_judged_once() {
        // Coordinators, the records that they tell of (leader epoch and offset), and their commits.
        let told = [
            (1, (3, 7), 192, None),
            (1, (3, 8), 193, None),
            // The next one read both, and a third that the first one had not committed.
            (2, (3, 7), 192, None),
            (2, (3, 8), 193, None),
            (2, (3, 9), 200, None),
            // What is written anew is judged, also where a log that was cut off had been longer.
            (2, (4, 8), 199, Some("CommitMonotone")),
            (2, (4, 9), 201, None),
        ];
        let mut seen = GroupInvariants::default();
        for (node, record, offset, expected) in told {
            let note = GroupNote {
                node: NodeId(node),
                rule: Rule::OffsetCommitted,
                group: Arc::from("g"),
                member: None,
                tp: Some(TopicPartition::default()),
                before: -1,
                after: offset,
                record: Some(record),
            };
            let found = seen.observe(&note, |_, _| false);
            let found = found.map(|(name, _)| name);
            assert_eq!(found, expected, "{offset} by {node} at {record:?}");
        }
    }
}
