//! `UniformHomogeneousAssignmentBuilder`: all members subscribe to the same topics, so each gets
//! the floor or the ceiling of the mean.
//!
//! Members keep what they have up to their quota. Who has an extra partition above the floor may
//! keep it while extras last; the extras that nobody claims go to the last members that have room.

use super::{GroupAssignment, Members, PartitionAssignorException, Partitions, TopicCounts, count};
use std::collections::{BTreeMap, BTreeSet};

/// Assigns; what the first member subscribes to counts for all.
///
/// # Errors
///
/// [`PartitionAssignorException`] when a topic does not exist.
pub fn uniform_homogeneous<T: Ord + Clone>(
    topics: &TopicCounts<T>,
    members: &Members<T>,
) -> Result<GroupAssignment<T>, PartitionAssignorException> {
    let subscribed: BTreeSet<&T> = members.values().take(1).flat_map(|m| &m.topics).collect();
    if subscribed.is_empty() {
        return Ok(GroupAssignment::new());
    }
    // Whether each partition of each topic is somebody's.
    let mut held: BTreeMap<&T, Vec<bool>> = BTreeMap::new();
    let mut total = 0;
    for topic in subscribed {
        let count = count(topics, topic)?;
        held.insert(topic, vec![false; count as usize]);
        total += u64::from(count);
    }
    let number = members.len() as u64;
    let mut builder = Builder {
        floor: total / number,
        extras_left: total % number,
        unfilled: Vec::new(),
        revoked: Vec::new(),
        target: GroupAssignment::new(),
    };
    for (id, member) in members {
        builder.keep(id, &member.previous, &mut held);
    }
    // Last topic first.
    let mut left: Vec<(&T, i32)> = Vec::new();
    for (topic, held) in held.iter().rev() {
        let free = (0..).zip(held).filter(|(_, held)| !**held);
        left.extend(free.map(|(partition, _)| (*topic, partition)));
    }
    left.append(&mut builder.revoked);
    builder.assign(left);
    Ok(builder.target)
}

struct Builder<'a, T> {
    floor: u64,
    /// How many more members get one above the floor.
    extras_left: u64,
    /// Members that may get more, and how many for sure.
    unfilled: Vec<(&'a str, u64)>,
    revoked: Vec<(&'a T, i32)>,
    target: GroupAssignment<T>,
}

impl<'a, T: Ord + Clone> Builder<'a, T> {
    /// What a member keeps (`maybeRevokePartitions`).
    fn keep(
        &mut self,
        id: &'a str,
        previous: &'a Partitions<T>,
        held: &mut BTreeMap<&'a T, Vec<bool>>,
    ) {
        let mut quota = self.floor;
        let mut extra = self.extras_left > 0;
        quota += u64::from(extra);
        let mut own = Partitions::new();
        for (topic, partitions) in previous {
            let Some(held) = held.get_mut(topic) else {
                continue;
            };
            let mut kept = BTreeSet::new();
            for partition in partitions {
                let place = usize::try_from(*partition).ok();
                let Some(held) = place.and_then(|place| held.get_mut(place)) else {
                    continue;
                };
                if std::mem::replace(held, true) {
                    continue;
                }
                if quota > 0 {
                    quota -= 1;
                    kept.insert(*partition);
                } else {
                    self.revoked.push((topic, *partition));
                }
            }
            if !kept.is_empty() {
                own.insert(topic.clone(), kept);
            }
        }
        if quota > 0 && extra {
            // It does not have an extra partition: another may claim that.
            quota -= 1;
            extra = false;
        }
        if quota == 0 && extra {
            self.extras_left -= 1;
        }
        if quota > 0 || self.extras_left > 0 && !extra {
            self.unfilled.push((id, quota));
        }
        self.target.insert(id.to_owned(), own);
    }

    /// `assignRemainingPartitions`.
    fn assign(&mut self, left: Vec<(&T, i32)>) {
        for (_, quota) in self.unfilled.iter_mut().rev() {
            if self.extras_left == 0 {
                break;
            }
            self.extras_left -= 1;
            *quota += 1;
        }
        let mut left = left.into_iter();
        for (id, quota) in &self.unfilled {
            let Some(own) = self.target.get_mut(*id) else {
                continue;
            };
            let share = usize::try_from(*quota).unwrap_or(usize::MAX);
            for (topic, partition) in left.by_ref().take(share) {
                own.entry(topic.clone()).or_default().insert(partition);
            }
        }
    }
}
