//! What is watched of consumer groups: how long partitions stood still, and what must hold: **OneOwner** (no partition has two owners in one generation)
//! and **CommitMonotone** (a committed offset never goes back by itself).
//!
//! Owners are taken from the members' own notes, commits from the coordinators'. A commit may be
//! seen again by a coordinator that reads its log; what it reads is not judged, only what is
//! committed then.

use super::ids::TopicPartition;
use super::note::{GroupNote, Note, Rule};
use super::rules::classic_group::Name;
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct GroupInvariants {
    /// Who first owned a partition in a generation; of the newest generation seen.
    owners: BTreeMap<(Name, TopicPartition), (i64, NodeId)>,
    committed: BTreeMap<(Name, TopicPartition), i64>,
    /// Where an application has sought a position: it commits what it likes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    sought: BTreeSet<(Name, TopicPartition)>,
    stops: BTreeMap<(Name, TopicPartition), Stop>,
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

/// How notes of groups are looked at; see [`crate::kafka::parts`].
pub(super) struct GroupChecks {
    pub(super) follow: fn(&mut GroupInvariants, &Note, Nanos),
    pub(super) observe: fn(&mut GroupInvariants, &GroupNote) -> Option<(&'static str, String)>,
}

impl GroupInvariants {
    /// There may be groups.
    pub(super) const CHECKS: GroupChecks = GroupChecks {
        follow: GroupInvariants::follow,
        observe: GroupInvariants::observe,
    };

    /// There are none.
    pub(super) const NO_CHECKS: GroupChecks = GroupChecks {
        follow: |_, _, _| {},
        observe: |_, _| None,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.committed.is_empty()
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

    /// Looks at a note; returns the invariant that it breaks, with a sentence.
    pub(super) fn observe(&mut self, note: &GroupNote) -> Option<(&'static str, String)> {
        let key = (Name::clone(&note.group), note.tp?);
        match note.rule {
            Rule::PartitionAssigned => {
                let (generation, owner) = *self
                    .owners
                    .get(&key)
                    .filter(|(generation, _)| *generation >= note.after)
                    .unwrap_or(&(note.after, note.node));
                if generation == note.after && owner != note.node {
                    let text = format!(
                        "nodes {} and {} both own it in generation {generation} of {}",
                        owner.0, note.node.0, note.group
                    );
                    return Some(("OneOwner", text));
                }
                if generation == note.after {
                    self.owners.insert(key, (generation, owner));
                }
            }
            Rule::OffsetCommitted => {
                let sought = self.sought.contains(&key);
                let before = self.committed.insert(key, note.after).unwrap_or(-1);
                if note.after < before && !sought {
                    let text = format!("{} went back from {before} to {}", note.group, note.after);
                    return Some(("CommitMonotone", text));
                }
            }
            // What was forgotten is not gone back from.
            Rule::OffsetExpired => {
                self.committed.remove(&key);
            }
            Rule::Sought => {
                self.sought.insert(key);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn two_owners_and_a_commit_that_goes_back_are_seen() {
        let mut seen = GroupInvariants::default();
        let mut check = |rule, node, after, expected: Option<&str>| {
            let note = GroupNote {
                node: NodeId(node),
                rule,
                group: Arc::from("g"),
                member: None,
                tp: Some(TopicPartition::default()),
                before: -1,
                after,
            };
            let found = seen.observe(&note).map(|(name, _)| name);
            assert_eq!(found, expected, "{rule:?} {node} {after}");
        };
        check(Rule::PartitionAssigned, 1, 1, None);
        check(Rule::PartitionAssigned, 2, 2, None);
        check(Rule::PartitionAssigned, 2, 2, None);
        check(Rule::PartitionAssigned, 1, 2, Some("OneOwner"));
        check(Rule::OffsetCommitted, 0, 5, None);
        check(Rule::OffsetCommitted, 0, 5, None);
        check(Rule::OffsetCommitted, 0, 4, Some("CommitMonotone"));
        check(Rule::OffsetExpired, 0, -1, None);
        check(Rule::OffsetCommitted, 0, 1, None);
        check(Rule::Sought, 1, 0, None);
        check(Rule::OffsetCommitted, 0, 0, None);
    }
}
