//! One member on its way to the target assignment (`CurrentAssignmentBuilder`).
//!
//! A member gives up first what it must, under its old epoch; then it takes the target's epoch and
//! what of its new partitions is free; and while another member still holds some of them, it waits
//! for those. No member waits for the whole group.

use crate::kafka::error::ErrorCode;
use crate::kafka::rules::server_assign::Partitions;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The epoch with which a member joins (`JOIN_GROUP_MEMBER_EPOCH`).
pub const JOIN_GROUP_MEMBER_EPOCH: i32 = 0;
/// The epoch with which a member leaves (`LEAVE_GROUP_MEMBER_EPOCH`).
pub const LEAVE_GROUP_MEMBER_EPOCH: i32 = -1;
/// The epoch with which a static member leaves for a while (`LEAVE_GROUP_STATIC_MEMBER_EPOCH`).
pub const LEAVE_GROUP_STATIC_MEMBER_EPOCH: i32 = -2;

/// Partitions, each with the epoch at which the member got it.
pub type AssignedEpochs<T> = BTreeMap<T, BTreeMap<i32, i32>>;

/// How far a member is (`MemberState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum MemberState {
    /// It has what its epoch's target gives it.
    #[default]
    Stable,
    /// It is asked to give partitions up and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that others still hold.
    UnreleasedPartitions,
    /// A state that this version does not know.
    Unknown,
}

impl MemberState {
    /// All states.
    pub const ALL: [Self; 4] = [
        MemberState::Stable,
        MemberState::UnrevokedPartitions,
        MemberState::UnreleasedPartitions,
        MemberState::Unknown,
    ];

    /// Its name in Kafka.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MemberState::Stable => "STABLE",
            MemberState::UnrevokedPartitions => "UNREVOKED_PARTITIONS",
            MemberState::UnreleasedPartitions => "UNRELEASED_PARTITIONS",
            MemberState::Unknown => "UNKNOWN",
        }
    }
}

/// A member as the coordinator keeps it (`ConsumerGroupMember`), as far as assignments go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModernMember<T: Ord> {
    /// How far it is.
    pub state: MemberState,
    /// Its epoch.
    pub epoch: i32,
    /// Its epoch before that: a request with it may be the repetition of one whose answer was lost.
    pub previous_epoch: i32,
    /// What is assigned to it.
    pub assigned: AssignedEpochs<T>,
    /// What it is to give up.
    pub pending_revocation: AssignedEpochs<T>,
}

impl<T: Ord> Default for ModernMember<T> {
    fn default() -> Self {
        ModernMember {
            state: MemberState::Stable,
            epoch: JOIN_GROUP_MEMBER_EPOCH,
            previous_epoch: JOIN_GROUP_MEMBER_EPOCH,
            assigned: BTreeMap::new(),
            pending_revocation: BTreeMap::new(),
        }
    }
}

/// Where a member is to get.
#[derive(Clone, Debug)]
pub struct Target<'a, T: Ord> {
    /// The epoch of the target assignment.
    pub epoch: i32,
    /// What it gives the member.
    pub partitions: &'a Partitions<T>,
    /// The topics that the member subscribes to; `None` if all that are assigned are among them.
    /// Of other topics it gets nothing, whatever the target says.
    pub subscribed: Option<&'a BTreeSet<T>>,
    /// Whether topics that it no longer subscribes to are taken away even where there is no newer
    /// target yet (`enforceSubscriptionConsistency`).
    pub enforce_subscription: bool,
}

impl<T: Ord> Target<'_, T> {
    fn subscribes(&self, topic: &T) -> bool {
        self.subscribed.is_none_or(|topics| topics.contains(topic))
    }
}

/// What a heartbeat says the member owns; `None` if it says nothing of it.
pub type Heartbeat<'a, T> = Option<&'a Partitions<T>>;

impl<T: Ord + Clone> ModernMember<T> {
    /// The next state of the member; the same one if it cannot move.
    ///
    /// `owner_epoch` is the epoch at which a partition is held by whatever member, or -1 if it is
    /// free.
    ///
    /// # Errors
    ///
    /// `FENCED_MEMBER_EPOCH` for a member in an unknown state that still owns something.
    pub fn reconcile(
        &self,
        target: &Target<'_, T>,
        owned: Heartbeat<'_, T>,
        owner_epoch: impl Fn(&T, i32) -> i32,
    ) -> Result<Self, ErrorCode> {
        Ok(match self.state {
            MemberState::Stable if self.epoch != target.epoch => {
                self.next(target, owned, self.epoch, owner_epoch)
            }
            MemberState::UnrevokedPartitions if !owns_any(owned, &self.pending_revocation) => {
                self.next(target, owned, self.epoch, owner_epoch)
            }
            MemberState::Stable | MemberState::UnrevokedPartitions => {
                if target.enforce_subscription {
                    self.drop_unsubscribed(target, owned)
                } else {
                    self.clone()
                }
            }
            MemberState::UnreleasedPartitions => self.next(target, owned, self.epoch, owner_epoch),
            MemberState::Unknown => {
                if owned.is_none_or(|owned| !owned.is_empty()) {
                    return Err(ErrorCode::FencedMemberEpoch);
                }
                self.next(target, owned, target.epoch, owner_epoch)
            }
        })
    }

    /// `computeNextAssignment`; `epoch` is the one in which it stays while it has to give up.
    fn next(
        &self,
        target: &Target<'_, T>,
        owned: Heartbeat<'_, T>,
        epoch: i32,
        owner_epoch: impl Fn(&T, i32) -> i32,
    ) -> Self {
        let mut next = ModernMember {
            state: MemberState::Stable,
            epoch: target.epoch,
            previous_epoch: self.epoch,
            assigned: BTreeMap::new(),
            pending_revocation: BTreeMap::new(),
        };
        for (topic, partitions) in &self.assigned {
            let wanted = target.partitions.get(topic);
            let wanted = wanted.filter(|_| target.subscribes(topic));
            for (&partition, &at) in partitions {
                let stays = wanted.is_some_and(|wanted| wanted.contains(&partition));
                let map = if stays {
                    &mut next.assigned
                } else {
                    &mut next.pending_revocation
                };
                map.entry(topic.clone()).or_default().insert(partition, at);
            }
        }
        if !next.pending_revocation.is_empty() && owns_any(owned, &next.pending_revocation) {
            next.state = MemberState::UnrevokedPartitions;
            next.epoch = epoch;
            return next;
        }
        next.pending_revocation.clear();
        for (topic, partitions) in target
            .partitions
            .iter()
            .filter(|(t, _)| target.subscribes(t))
        {
            for &partition in partitions {
                if holds(&self.assigned, topic, partition).is_some() {
                    continue;
                }
                // What it has just given up itself is not another's.
                let own = holds(&self.pending_revocation, topic, partition).is_some();
                if owner_epoch(topic, partition) != -1 && !own {
                    next.state = MemberState::UnreleasedPartitions;
                } else {
                    let assigned = next.assigned.entry(topic.clone()).or_default();
                    assigned.insert(partition, target.epoch);
                }
            }
        }
        next
    }

    /// `updateCurrentAssignment`: takes away the topics that it no longer subscribes to.
    fn drop_unsubscribed(&self, target: &Target<'_, T>, owned: Heartbeat<'_, T>) -> Self {
        let mut next = self.clone();
        next.assigned.retain(|topic, _| target.subscribes(topic));
        if next.assigned.len() == self.assigned.len() {
            return next;
        }
        next.previous_epoch = self.epoch;
        let mut pending = self.pending_revocation.clone();
        for (topic, partitions) in self.assigned.iter().filter(|(t, _)| !target.subscribes(t)) {
            let both = pending.entry(topic.clone()).or_default();
            both.extend(partitions);
        }
        if owns_any(owned, &pending) {
            next.state = MemberState::UnrevokedPartitions;
            next.pending_revocation = pending;
        }
        next
    }

    /// What is assigned to it, without epochs.
    #[must_use]
    pub fn partitions(&self) -> Partitions<T> {
        let each = self.assigned.iter();
        each.map(|(topic, own)| (topic.clone(), own.keys().copied().collect()))
            .collect()
    }

    /// Whether it is where a target of this epoch wants it (`isReconciledTo`).
    #[must_use]
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// The epoch at which it got a partition that it still holds, to give up or not.
    #[must_use]
    pub fn assignment_epoch(&self, topic: &T, partition: i32) -> Option<i32> {
        let assigned = holds(&self.assigned, topic, partition);
        assigned.or_else(|| holds(&self.pending_revocation, topic, partition))
    }

    /// Whether a heartbeat with this epoch may be from this member
    /// (`throwIfConsumerGroupMemberEpochIsInvalid`): its epoch, or the one before, if it claims
    /// nothing but what is assigned to it.
    ///
    /// # Errors
    ///
    /// `FENCED_MEMBER_EPOCH`.
    pub fn validate_epoch(&self, received: i32, owned: Heartbeat<'_, T>) -> Result<(), ErrorCode> {
        let repeated = || {
            received < self.epoch
                && received == self.previous_epoch
                && owned.is_some_and(|owned| {
                    let mut all = owned
                        .iter()
                        .flat_map(|(t, p)| p.iter().map(move |p| (t, *p)));
                    all.all(|(topic, partition)| holds(&self.assigned, topic, partition).is_some())
                })
        };
        if received == self.epoch || repeated() {
            Ok(())
        } else {
            Err(ErrorCode::FencedMemberEpoch)
        }
    }

    /// A static member that leaves for a while keeps its partitions, but at epoch 0, so that no
    /// commit under an old id passes.
    #[must_use]
    pub fn leave_for_a_while(&self) -> Self {
        let mut left = self.clone();
        left.epoch = LEAVE_GROUP_STATIC_MEMBER_EPOCH;
        left.previous_epoch = self.epoch;
        left.pending_revocation.clear();
        for epoch in left.assigned.values_mut().flat_map(BTreeMap::values_mut) {
            *epoch = 0;
        }
        left
    }
}

fn holds<T: Ord>(all: &AssignedEpochs<T>, topic: &T, partition: i32) -> Option<i32> {
    all.get(topic)?.get(&partition).copied()
}

/// Whether the member may still own something of this (`ownsRevokedPartitions`); it may if it does
/// not say.
fn owns_any<T: Ord>(owned: Heartbeat<'_, T>, all: &AssignedEpochs<T>) -> bool {
    let Some(owned) = owned else {
        return true;
    };
    let mut owned = owned.iter();
    owned.any(|(topic, partitions)| partitions.iter().any(|p| holds(all, topic, *p).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[i32], epoch: i32) -> AssignedEpochs<u8> {
        let numbers: BTreeMap<i32, i32> = numbers.iter().map(|n| (*n, epoch)).collect();
        if numbers.is_empty() {
            BTreeMap::new()
        } else {
            [(1, numbers)].into()
        }
    }

    fn set(numbers: &[i32]) -> Partitions<u8> {
        if numbers.is_empty() {
            return Partitions::new();
        }
        [(1, numbers.iter().copied().collect())].into()
    }

    fn member(state: MemberState, assigned: &[i32], pending: &[i32]) -> ModernMember<u8> {
        ModernMember {
            state,
            epoch: 5,
            previous_epoch: 5,
            assigned: of(assigned, 5),
            pending_revocation: of(pending, 5),
        }
    }

    #[test]
    fn a_partition_passes_from_one_member_to_another() {
        // The target of epoch 6 takes partition 2 from the first and gives it to the second.
        let (wanted_a, wanted_b) = (set(&[1]), set(&[2]));
        let target = |partitions| Target {
            epoch: 6,
            partitions,
            subscribed: None,
            enforce_subscription: false,
        };
        let mut a = member(MemberState::Stable, &[1, 2], &[]);
        let mut b = member(MemberState::Stable, &[], &[]);
        let free = |_: &u8, _: i32| -1;
        let held = |_: &u8, partition: i32| if partition == 2 { 5 } else { -1 };
        a = a
            .reconcile(&target(&wanted_a), None, held)
            .expect("a known state");
        assert_eq!((a.state, a.epoch), (MemberState::UnrevokedPartitions, 5));
        assert_eq!(a.assignment_epoch(&1, 2), Some(5));
        b = b
            .reconcile(&target(&wanted_b), Some(&set(&[])), held)
            .expect("a known state");
        assert_eq!((b.state, b.epoch), (MemberState::UnreleasedPartitions, 6));
        // Still owned, or not told: nothing moves.
        for owned in [Some(set(&[1, 2])), None] {
            let still = a.reconcile(&target(&wanted_a), owned.as_ref(), held);
            assert_eq!(still.as_ref(), Ok(&a));
        }
        a = a
            .reconcile(&target(&wanted_a), Some(&set(&[1])), held)
            .expect("a known state");
        assert!(a.is_reconciled_to(6) && !b.is_reconciled_to(6));
        assert_eq!((a.previous_epoch, a.assignment_epoch(&1, 1)), (5, Some(5)));
        b = b
            .reconcile(&target(&wanted_b), None, free)
            .expect("a known state");
        assert_eq!(
            (b.state, b.assignment_epoch(&1, 2)),
            (MemberState::Stable, Some(6))
        );
    }

    #[test]
    fn topics_without_subscription_are_taken_away() {
        let none = BTreeSet::new();
        let wanted = set(&[1, 2]);
        let target = |enforce_subscription| Target {
            epoch: 5,
            partitions: &wanted,
            subscribed: Some(&none),
            enforce_subscription,
        };
        let free = |_: &u8, _: i32| -1;
        let stable = member(MemberState::Stable, &[1, 2], &[]);
        assert_eq!(
            stable.reconcile(&target(false), None, free).as_ref(),
            Ok(&stable)
        );
        let asked = stable
            .reconcile(&target(true), None, free)
            .expect("a known state");
        assert_eq!(asked.state, MemberState::UnrevokedPartitions);
        assert_eq!(
            (asked.assigned.len(), &asked.pending_revocation),
            (0, &of(&[1, 2], 5))
        );
        let told = stable.reconcile(&target(true), Some(&set(&[])), free);
        assert_eq!(told, Ok(member(MemberState::Stable, &[], &[])));
    }

    #[test]
    fn an_unknown_state_must_give_everything_up() {
        let wanted = set(&[1]);
        let target = Target {
            epoch: 6,
            partitions: &wanted,
            subscribed: None,
            enforce_subscription: false,
        };
        let odd = member(MemberState::Unknown, &[], &[]);
        let free = |_: &u8, _: i32| -1;
        for owned in [None, Some(set(&[1]))] {
            let fenced = odd.reconcile(&target, owned.as_ref(), free);
            assert_eq!(fenced, Err(ErrorCode::FencedMemberEpoch));
        }
        let back = odd
            .reconcile(&target, Some(&set(&[])), free)
            .expect("gave up");
        assert_eq!(
            (back.state, back.assigned),
            (MemberState::Stable, of(&[1], 6))
        );
    }

    #[test]
    fn epochs_of_heartbeats() {
        let mut member = member(MemberState::Stable, &[1, 2], &[]);
        member.epoch = 7;
        let check = |received, owned: Option<&[i32]>, expected: bool| {
            let owned = owned.map(set);
            let got = member.validate_epoch(received, owned.as_ref());
            assert_eq!(got.is_ok(), expected, "{received} with {owned:?}");
        };
        check(7, None, true);
        check(8, None, false);
        check(5, Some(&[2]), true);
        check(5, Some(&[3]), false);
        check(5, None, false);
        check(6, Some(&[]), false);
        let left = member.leave_for_a_while();
        assert_eq!((left.epoch, left.assignment_epoch(&1, 1)), (-2, Some(0)));
    }
}
