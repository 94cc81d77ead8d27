//! A share group at its coordinator (KIP-932): who is in it, and who reads what.
//!
//! Follows `GroupMetadataManager.shareGroupHeartbeat` and `SimpleAssignor`. A partition may be
//! assigned to several members, so nothing has to be given up before it is given on: a member takes
//! the newest target with its next heartbeat, and that is all of a rebalance. Each topic is dealt
//! among the members that read it: with more members than partitions the members over the
//! partitions, otherwise the partitions over the members; Kafka's assignor also spares moves, which
//! here a deal by order does not.
//!
//! Left out: a member that reads several topics, racks, and the pause of
//! `group.share.assignment.interval.ms`.

use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicId;
use crate::kafka::rules::classic_group::Name;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Settings of the coordinator.
#[derive(Clone, Copy, Debug)]
pub struct ShareGroupSettings {
    /// `group.share.session.timeout.ms`.
    pub session_timeout_ms: i64,
    /// `group.share.max.size`.
    pub max_size: u32,
}

/// A member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct ShareMember {
    epoch: i32,
    topic: TopicId,
    /// Without a heartbeat until then it is out, ms.
    deadline_ms: i64,
}

/// A share group, each of whose members reads one topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ShareGroup {
    epoch: i32,
    /// How many partitions the topics have that somebody has asked for.
    partitions: BTreeMap<TopicId, u16>,
    members: BTreeMap<Name, ShareMember>,
}

impl Default for ShareGroup {
    fn default() -> Self {
        ShareGroup {
            epoch: 1,
            partitions: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

/// A member's epoch and, if that is new to it, its partitions.
pub type Told = (i32, Option<BTreeSet<u16>>);

impl ShareGroup {
    /// The group's epoch.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// How many members it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Whether every member has heard of the newest assignment.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.members.values().all(|it| it.epoch == self.epoch)
    }

    /// A heartbeat of a member that reads a topic of so many partitions: epoch 0 joins, -1 leaves.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, `FENCED_MEMBER_EPOCH`, `GROUP_MAX_SIZE_REACHED`.
    pub fn heartbeat(
        &mut self,
        id: &Name,
        epoch: i32,
        (topic, partitions): (TopicId, u16),
        now_ms: i64,
        settings: &ShareGroupSettings,
    ) -> Result<Told, ErrorCode> {
        let known = self.members.get(id).copied();
        if epoch < 0 {
            known.ok_or(ErrorCode::UnknownMemberId)?;
            self.members.remove(id);
            self.epoch += 1;
            return Ok((epoch, None));
        }
        match known {
            None if epoch > 0 => return Err(ErrorCode::UnknownMemberId),
            None if self.members.len() >= settings.max_size as usize => {
                return Err(ErrorCode::GroupMaxSizeReached);
            }
            Some(member) if epoch > member.epoch => return Err(ErrorCode::FencedMemberEpoch),
            _ => {}
        }
        let before = self.partitions.insert(topic, partitions);
        if known.is_none_or(|it| it.topic != topic) || before != Some(partitions) {
            self.epoch += 1;
        }
        let member = ShareMember {
            epoch: self.epoch,
            topic,
            deadline_ms: now_ms.saturating_add(settings.session_timeout_ms),
        };
        self.members.insert(Arc::clone(id), member);
        let news = epoch != self.epoch;
        Ok((self.epoch, news.then(|| self.assignment(id))))
    }

    /// The partitions of a member.
    #[must_use]
    pub fn assignment(&self, id: &str) -> BTreeSet<u16> {
        let own = self.members.get(id).map(|it| it.topic);
        let count = own.and_then(|it| self.partitions.get(&it)).copied();
        let count = count.unwrap_or(0);
        let beside = self.members.iter().filter(|(_, it)| Some(it.topic) == own);
        let names: Vec<&str> = beside.map(|(name, _)| &**name).collect();
        let at = names.iter().position(|it| *it == id);
        let (Some(at), 1..) = (at, count) else {
            return BTreeSet::new();
        };
        let members = names.len();
        if members >= usize::from(count) {
            // Below the number of partitions.
            return [(at % usize::from(count)) as u16].into();
        }
        (0..count)
            .filter(|it| usize::from(*it) % members == at)
            .collect()
    }

    /// Puts out who was silent for too long; how many.
    pub fn expire(&mut self, now_ms: i64) -> usize {
        let before = self.members.len();
        self.members.retain(|_, it| it.deadline_ms > now_ms);
        let out = before - self.members.len();
        if out > 0 {
            self.epoch += 1;
        }
        out
    }

    /// When [`ShareGroup::expire`] has something to do, ms.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.members.values().map(|it| it.deadline_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ShareGroupSettings = ShareGroupSettings {
        session_timeout_ms: 45_000,
        max_size: 5,
    };

    const ORDERS: TopicId = TopicId(0);
    const RETURNS: TopicId = TopicId(1);

    fn id(n: usize) -> Name {
        Arc::from(format!("m{n}"))
    }

    #[test]
    fn every_partition_is_read_and_every_member_reads() {
        for (members, partitions) in [(1, 4), (2, 4), (3, 4), (4, 4), (5, 2), (5, 1)] {
            let mut group = ShareGroup::default();
            for n in 0..members {
                group
                    .heartbeat(&id(n), 0, (ORDERS, partitions), 0, &SETTINGS)
                    .expect("joins");
            }
            let each: Vec<_> = (0..members).map(|n| group.assignment(&id(n))).collect();
            assert!(
                each.iter().all(|it| !it.is_empty()),
                "{members} {partitions}"
            );
            let all: BTreeSet<u16> = each.into_iter().flatten().collect();
            assert_eq!(all.len(), usize::from(partitions), "{members} {partitions}");
        }
    }

    #[test]
    fn a_topic_is_dealt_among_those_who_read_it() {
        let mut group = ShareGroup::default();
        let mut check = |n, topic, expected: [&[u16]; 3]| {
            let told = group.heartbeat(&id(n), 0, topic, 0, &SETTINGS);
            told.expect("joins");
            let each = [0, 1, 2].map(|n| group.assignment(&id(n)));
            assert_eq!(each, expected.map(|it| it.iter().copied().collect()));
        };
        check(0, (ORDERS, 3), [&[0, 1, 2], &[], &[]]);
        check(1, (RETURNS, 1), [&[0, 1, 2], &[0], &[]]);
        check(2, (ORDERS, 3), [&[0, 2], &[0], &[1]]);
        check(2, (RETURNS, 1), [&[0, 1, 2], &[0], &[0]]);
        assert_eq!(group.epoch(), 5, "whoever comes or changes makes an epoch");
    }

    #[test]
    fn coming_going_and_falling_silent() {
        let mut group = ShareGroup::default();
        let beat = |group: &mut ShareGroup, n, epoch, now| {
            group.heartbeat(&id(n), epoch, (ORDERS, 2), now, &SETTINGS)
        };
        assert_eq!(beat(&mut group, 0, 0, 0), Ok((2, Some([0, 1].into()))));
        assert_eq!(beat(&mut group, 1, 0, 0), Ok((3, Some([1].into()))));
        assert!(!group.is_settled());
        assert_eq!(beat(&mut group, 0, 2, 5_000), Ok((3, Some([0].into()))));
        assert_eq!(beat(&mut group, 0, 3, 10_000), Ok((3, None)));
        assert_eq!(beat(&mut group, 0, 9, 1), Err(ErrorCode::FencedMemberEpoch));
        assert_eq!(beat(&mut group, 7, 3, 1), Err(ErrorCode::UnknownMemberId));
        assert_eq!(
            (group.next_deadline(), group.expire(44_999)),
            (Some(45_000), 0)
        );
        assert_eq!(
            (group.expire(45_000), group.size(), group.epoch()),
            (1, 1, 4)
        );
        assert_eq!(beat(&mut group, 0, -1, 50_000), Ok((-1, None)));
        assert_eq!((group.size(), group.epoch()), (0, 5));
        for n in 0..5 {
            beat(&mut group, n, 0, 0).expect("joins");
        }
        assert_eq!(
            beat(&mut group, 5, 0, 0),
            Err(ErrorCode::GroupMaxSizeReached)
        );
    }
}
