//! Offsets that are forgotten after `offsets.retention.minutes`, and groups that go with them.
//!
//! Follows `GroupCoordinatorShard.cleanupGroupMetadata`, which runs every
//! `offsets.retention.check.interval.ms` from the moment in which a partition's log was read, and
//! `OffsetMetadataManager.cleanupExpiredOffsets`: a tombstone is written for each offset whose time
//! is up, and one for the group if it is empty and has no offset left. Both clocks are wall clocks,
//! so a coordinator that is ahead forgets early. From when the time counts is a rule of its own
//! ([`RetentionClock`]); in a group of the consumer protocol it is always the commit, and an offset
//! of a topic that some member subscribes to is kept (`ModernGroup.isSubscribedToTopic`). While a
//! transaction carries an offset of a partition, the one that is committed stays, and so does a
//! group that had any. A group of which something is still being written is looked at the next
//! time. Left out: expiry times that old clients sent with a commit.

use super::super::{Broker, span};
use super::{Kept, Place, Written, now_ms};
use crate::kafka::consumer::subscribes;
use crate::kafka::group_protocol::OffsetsRecord;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::rules::classic_group::{ClassicGroup, Name, RetentionClock, State};
use crate::kafka::rules::modern_group::{ConsumerGroup, ConsumerGroupRecord, GroupState};
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;

impl Broker {
    /// A coordinator is in force: the next look comes an interval from now.
    pub(super) fn set_next_expiry(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let pause = span(self.config.offsets_retention_check_ms.max(1));
        let at = cx.now().saturating_add(pause);
        if let Some(shard) = self.shard(partition) {
            shard.expire_at = at;
        }
    }

    /// Looks for offsets and groups whose time is up, if it is time to look.
    pub(super) fn expire_offsets(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let Some(shard) = self.shard(partition) else {
            return;
        };
        if shard.loading_until.is_some() || shard.expire_at > now {
            return;
        }
        let groups = shard.groups.keys().chain(shard.modern.keys());
        let settled = groups.filter(|name| shard.pending.iter().all(|it| it.group != **name));
        let names: Vec<Name> = settled.cloned().collect();
        self.set_next_expiry(partition, cx);
        for group in names {
            self.expire_offsets_of(&Place { partition, group }, cx);
        }
    }

    fn expire_offsets_of(&mut self, place: &Place, cx: &mut KafkaCx<'_>) {
        let (now_ms, wall_ms) = (now_ms(cx), cx.wall_ms());
        let minutes = self.config.offsets_retention_minutes;
        let retention_ms = minutes.saturating_mul(MINUTE_MS);
        let Some(shard) = self.shard(place.partition) else {
            return;
        };
        let name = &place.group;
        let group = match (shard.groups.get(name), shard.modern.get(name)) {
            (Some(group), _) => Either::Classic(group),
            (None, Some(group)) => Either::Modern(group),
            (None, None) => return,
        };
        let kept = shard.offsets.get(name);
        let kept = kept.into_iter().flat_map(|it| it.values());
        let old = |it: &&Kept| {
            let tp = it.committed.tp;
            let age_ms = match group.clock(tp) {
                None => return false,
                Some(RetentionClock::Empty) => now_ms.saturating_sub(group.state_since_ms()),
                Some(RetentionClock::Commit) => wall_ms.saturating_sub(it.at_ms),
            };
            age_ms >= retention_ms && !shard.is_unstable(name, &tp)
        };
        let all = kept.clone().count();
        let due: Vec<TopicPartition> = kept.filter(old).map(|it| it.committed.tp).collect();
        let open = all > 0 && shard.is_in_transaction(name);
        let goes = due.len() == all && group.is_empty() && !open;
        let generation = group.generation();
        let tombstones = due.iter();
        let tombstones = tombstones.map(|tp| OffsetsRecord::OffsetTombstone(Arc::clone(name), *tp));
        let group = goes.then(|| group.tombstones(name));
        let group = group.into_iter().flatten();
        let records: Vec<OffsetsRecord> = tombstones.chain(group).collect();
        // What cannot be written now is tried again the next time.
        if records.is_empty()
            || self
                .store(place, &records, Written::Expired(due), cx)
                .is_err()
        {
            return;
        }
        if goes {
            if let Some(shard) = self.shard(place.partition) {
                shard.groups.remove(name);
                shard.modern.remove(name);
            }
            self.note_group(Rule::GroupDeleted, name, None, generation, -1, cx);
        }
    }

    /// The tombstones of these offsets are committed.
    pub(super) fn forget_offsets(
        &mut self,
        partition: u16,
        group: &Name,
        partitions: &[TopicPartition],
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let Some(known) = shard.offsets.get_mut(group) else {
            return;
        };
        for tp in partitions {
            let Some(old) = known.remove(tp) else {
                continue;
            };
            cx.note(Note::Group(Box::new(GroupNote {
                node,
                rule: Rule::OffsetExpired,
                group: Arc::clone(group),
                member: None,
                tp: Some(*tp),
                before: old.committed.offset,
                after: -1,
                record: None,
            })));
        }
        if known.is_empty() {
            shard.offsets.remove(group);
        }
    }
}

/// A group, by its protocol.
enum Either<'a> {
    Classic(&'a ClassicGroup),
    Modern(&'a ConsumerGroup),
}

impl Either<'_> {
    /// From when the retention of a group's offset counts; `None` while it is kept.
    fn clock(&self, tp: TopicPartition) -> Option<RetentionClock> {
        match self {
            Either::Classic(it) => it.retention_clock(|known| subscribes(known, tp.topic)),
            Either::Modern(it) if it.is_subscribed_to(tp.topic) => None,
            Either::Modern(_) => Some(RetentionClock::Commit),
        }
    }

    fn state_since_ms(&self) -> i64 {
        match self {
            Either::Classic(it) => it.state_since_ms(),
            Either::Modern(_) => 0,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Either::Classic(it) => it.state() == State::Empty,
            Either::Modern(it) => it.state() == GroupState::Empty,
        }
    }

    fn generation(&self) -> i64 {
        i64::from(match self {
            Either::Classic(it) => it.generation(),
            Either::Modern(it) => it.epoch(),
        })
    }

    /// What deletes the group from the log (`createGroupTombstoneRecords`).
    fn tombstones(&self, name: &Name) -> Vec<OffsetsRecord> {
        let of = |it| OffsetsRecord::Consumer(Arc::clone(name), it);
        match self {
            Either::Classic(_) => vec![OffsetsRecord::Group(Arc::clone(name), None)],
            Either::Modern(_) => vec![
                of(ConsumerGroupRecord::NoTargetEpoch),
                of(ConsumerGroupRecord::NoMetadata),
            ],
        }
    }
}
