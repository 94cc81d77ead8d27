//! What must hold of consumer groups: **OneOwner** (no partition has two owners in one generation)
//! and **CommitMonotone** (a committed offset never goes back by itself).
//!
//! Owners are taken from the members' own notes, commits from the coordinators'. A commit may be
//! seen again by a coordinator that reads its log; what it reads is not judged, only what is
//! committed then.

use super::ids::TopicPartition;
use super::note::{GroupNote, Rule};
use super::rules::classic_group::Name;
use crate::kernel::NodeId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What was seen of groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct GroupInvariants {
    /// Who first owned a partition in a generation; of the newest generation seen.
    owners: BTreeMap<(Name, TopicPartition), (i64, NodeId)>,
    committed: BTreeMap<(Name, TopicPartition), i64>,
}

impl GroupInvariants {
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.committed.is_empty()
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
                let before = self.committed.insert(key, note.after).unwrap_or(-1);
                if note.after < before {
                    let text = format!("{} went back from {before} to {}", note.group, note.after);
                    return Some(("CommitMonotone", text));
                }
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
    }
}
