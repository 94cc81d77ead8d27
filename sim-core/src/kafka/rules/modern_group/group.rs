//! The state of a group, and who holds which partition (`ConsumerGroup`).

use super::member::ModernMember;
use serde::Serialize;
use std::collections::BTreeMap;

/// The state of a group (`ConsumerGroupState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum GroupState {
    /// It has no members.
    #[default]
    Empty,
    /// The target assignment is older than the group.
    Assigning,
    /// Some member is not where the target wants it.
    Reconciling,
    /// All are.
    Stable,
    /// It is being deleted.
    Dead,
}

impl GroupState {
    /// Its name in Kafka.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// The state of a group that lives, by its epochs and members (`maybeUpdateGroupState`).
#[must_use]
pub fn group_state<'a, T: Ord + Clone + 'a>(
    group_epoch: i32,
    target_epoch: i32,
    members: impl IntoIterator<Item = &'a ModernMember<T>>,
) -> GroupState {
    let mut members = members.into_iter().peekable();
    if members.peek().is_none() {
        GroupState::Empty
    } else if group_epoch > target_epoch {
        GroupState::Assigning
    } else if members.all(|member| member.is_reconciled_to(target_epoch)) {
        GroupState::Stable
    } else {
        GroupState::Reconciling
    }
}

/// Which partitions are held, and in which epoch of their holder (`currentPartitionEpoch`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PartitionEpochs<T: Ord>(BTreeMap<T, BTreeMap<i32, i32>>);

impl<T: Ord> Default for PartitionEpochs<T> {
    fn default() -> Self {
        PartitionEpochs(BTreeMap::new())
    }
}

impl<T: Ord + Clone> PartitionEpochs<T> {
    /// A member changed, joined (`old` is none) or left (`new` is none).
    pub fn replace(&mut self, old: Option<&ModernMember<T>>, new: Option<&ModernMember<T>>) {
        if let Some(old) = old {
            for (topic, partition) in held(old) {
                if let Some(partitions) = self.0.get_mut(topic) {
                    // Another member's hold on it stays.
                    if partitions.get(&partition) == Some(&old.epoch) {
                        partitions.remove(&partition);
                    }
                    if partitions.is_empty() {
                        self.0.remove(topic);
                    }
                }
            }
        }
        if let Some(new) = new {
            for (topic, partition) in held(new) {
                let partitions = self.0.entry(topic.clone()).or_default();
                partitions.insert(partition, new.epoch);
            }
        }
    }

    /// The epoch of the member that holds a partition, or -1 if none does.
    #[must_use]
    pub fn of(&self, topic: &T, partition: i32) -> i32 {
        let partitions = self.0.get(topic);
        let epoch = partitions.and_then(|partitions| partitions.get(&partition));
        epoch.copied().unwrap_or(-1)
    }
}

/// What a member holds, to give up or not.
fn held<T: Ord>(member: &ModernMember<T>) -> impl Iterator<Item = (&T, i32)> {
    let both = member.assigned.iter().chain(&member.pending_revocation);
    both.flat_map(|(topic, partitions)| partitions.keys().map(move |p| (topic, *p)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_holder_outlives_the_old_ones_release() {
        let member = |epoch, partition| ModernMember {
            epoch,
            assigned: [("t", [(partition, epoch)].into())].into(),
            ..ModernMember::default()
        };
        let mut epochs = PartitionEpochs::default();
        let (a, b) = (member(3, 0), member(4, 0));
        epochs.replace(None, Some(&a));
        assert_eq!((epochs.of(&"t", 0), epochs.of(&"t", 1)), (3, -1));
        // Given on before it was said to be given up.
        epochs.replace(None, Some(&b));
        epochs.replace(Some(&a), Some(&member(4, 1)));
        assert_eq!((epochs.of(&"t", 0), epochs.of(&"t", 1)), (4, 4));
        epochs.replace(Some(&b), None);
        epochs.replace(Some(&member(4, 1)), None);
        assert_eq!(epochs, PartitionEpochs::default());
    }

    #[test]
    fn the_states_in_turn() {
        let member = |epoch| ModernMember::<u8> {
            epoch,
            ..ModernMember::default()
        };
        for (group, target, epochs, expected) in [
            (3, 3, &[][..], "Empty"),
            (3, 2, &[2], "Assigning"),
            (3, 3, &[3, 2], "Reconciling"),
            (3, 3, &[3, 3], "Stable"),
        ] {
            let members: Vec<_> = epochs.iter().map(|epoch| member(*epoch)).collect();
            assert_eq!(group_state(group, target, &members).name(), expected);
        }
    }
}
