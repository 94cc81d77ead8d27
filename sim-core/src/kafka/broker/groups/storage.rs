//! Writing to `__consumer_offsets`, and waiting until it is committed.
//!
//! Follows `CoordinatorRuntime.CoordinatorWriteEvent` and `OffsetMetadataManager.replay`: the append
//! is one of acks=all by the leader itself; the writer is answered when the high watermark has
//! passed it, or with COORDINATOR_NOT_AVAILABLE after `offsets.commit.timeout.ms`, although the
//! record stays and may yet be committed.

use super::super::{Broker, span};
use super::{Kept, Pending, Place, Written, append_error};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, OffsetsRecord};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::protocol::Acks;
use crate::kafka::rules::classic_group::{GroupRecord, Name, Stored};
use crate::kernel::{NodeId, Purpose, mix};
use crate::log::{Batch, KeyId, ProducerStamp, Record, RecordId};
use std::sync::Arc;

/// Stands in for the ledger's number in records that no application sent.
pub(in super::super) const INTERNAL: RecordId = RecordId(u64::MAX);

const KEY: Purpose = Purpose::named("group.record-key");

impl Broker {
    /// Appends a group.
    pub(super) fn store_group(
        &mut self,
        place: &Place,
        record: GroupRecord,
        stored: Stored,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let record = OffsetsRecord::Group(Arc::clone(&place.group), Some(record));
        self.store(place, &[record], Written::Group(Some(stored)), cx)
    }

    /// Appends a commit.
    pub(super) fn store_offsets(
        &mut self,
        place: &Place,
        offsets: Vec<CommittedOffset>,
        answer_to: (NodeId, u32),
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        if offsets.is_empty() {
            self.answer_commit(answer_to, ErrorCode::None, cx.now(), cx);
            return Ok(());
        }
        let records = offsets.iter();
        let records = records.map(|it| OffsetsRecord::Offset(Arc::clone(&place.group), *it));
        let records: Vec<OffsetsRecord> = records.collect();
        let what = Written::Offsets {
            offsets,
            at_ms: cx.wall_ms(),
            answer_to: Some(answer_to),
        };
        self.store(place, &records, what, cx)
    }

    /// Appends records, and waits for them in the name of a group.
    pub(super) fn store(
        &mut self,
        place: &Place,
        records: &[OffsetsRecord],
        what: Written,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let topic = self.groups.as_ref().map(|it| it.topic);
        let topic = topic.ok_or(ErrorCode::NotCoordinator)?;
        let tp = TopicPartition {
            topic,
            partition: place.partition,
        };
        let batch = batch_of(records, cx.wall_ms())?;
        let bytes = u64::from(batch.bytes);
        let (_, last) = self.append(tp, batch, Acks::All, cx)?;
        let written = cx.disk_write(bytes);
        let deadline = cx
            .now()
            .saturating_add(span(self.config.offsets_commit_timeout_ms));
        let pending = Pending {
            needs: last + 1,
            deadline,
            written,
            group: Arc::clone(&place.group),
            what,
        };
        if let Some(shard) = self.shard(place.partition) {
            shard.pending.push_back(pending);
        }
        self.watch_groups_at(deadline, cx);
        // With a single replica the high watermark has passed it already.
        self.wakes.push_back(super::Wake::HighWatermark(tp));
        Ok(())
    }

    /// Completes what the high watermark has passed.
    pub(super) fn complete_writes(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let Some(topic) = self.groups.as_ref().map(|it| it.topic) else {
            return;
        };
        let hosted = self.partitions.get(TopicPartition { topic, partition });
        let leads = hosted.filter(|it| it.leader_state().is_some());
        let Some(hw) = leads.map(|it| it.log.log().high_watermark()) else {
            return;
        };
        while let Some(shard) = self.shard(partition)
            && shard.pending.front().is_some_and(|it| it.needs <= hw)
            && let Some(done) = shard.pending.pop_front()
        {
            self.committed_write(partition, done, cx);
        }
    }

    fn committed_write(&mut self, partition: u16, done: Pending, cx: &mut KafkaCx<'_>) {
        let group = done.group;
        match done.what {
            Written::Group(None) | Written::Consumer(None) => {}
            Written::Consumer(Some(answer)) => self.answer_heartbeat(answer, done.written, cx),
            Written::Group(Some(stored)) => {
                let place = Place { partition, group };
                let error = ErrorCode::None;
                self.call_group(&place, cx, |group, turn| group.stored(&stored, error, turn));
            }
            Written::TxnOffsets(to) => {
                if let Some(to) = to {
                    self.txn_offsets_written(to, ErrorCode::None, cx);
                }
            }
            Written::TxnEnd { producer, commits } => {
                self.take_txn_offsets(partition, (producer, commits), done.needs, cx);
            }
            Written::Expired(partitions) => {
                self.forget_offsets(partition, &group, &partitions, cx);
            }
            Written::Offsets {
                offsets,
                at_ms,
                answer_to,
            } => {
                self.take_offsets(partition, &group, &offsets, (at_ms, done.needs), cx);
                if let Some(to) = answer_to {
                    self.answer_commit(to, ErrorCode::None, done.written, cx);
                }
            }
        }
    }

    /// Committed offsets count from now on. They were written then, and below this offset.
    pub(super) fn take_offsets(
        &mut self,
        partition: u16,
        group: &Name,
        offsets: &[CommittedOffset],
        (at_ms, needs): (i64, i64),
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        let record = self.record_below(partition, needs);
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let known = shard.offsets.entry(Arc::clone(group)).or_default();
        for it in offsets {
            let kept = Kept {
                committed: *it,
                at_ms,
            };
            let before = known.insert(it.tp, kept);
            let before = before.map_or(-1, |old| old.committed.offset);
            cx.note(Note::Group(Box::new(GroupNote {
                node,
                rule: Rule::OffsetCommitted,
                group: Arc::clone(group),
                member: None,
                tp: Some(it.tp),
                before,
                after: it.offset,
                record,
            })));
        }
    }

    /// The last record below this offset: its leader epoch, and its own offset.
    fn record_below(&self, partition: u16, offset: i64) -> Option<(i32, i64)> {
        let topic = self.groups.as_ref()?.topic;
        let hosted = self.partitions.get(TopicPartition { topic, partition })?;
        let epoch = hosted.log.log().epochs().epoch_for_offset(offset - 1)?;
        Some((epoch, offset - 1))
    }

    /// Tells those who have waited for too long.
    pub(super) fn expire_writes(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let mut late = Vec::new();
        let mut heartbeats = Vec::new();
        let mut in_txns = Vec::new();
        let Some(shard) = self.shard(partition) else {
            return;
        };
        for it in shard.pending.iter_mut().filter(|it| it.deadline <= now) {
            match &mut it.what {
                Written::Group(stored) => {
                    late.extend(stored.take().map(|it_| (Arc::clone(&it.group), Ok(it_))));
                }
                Written::Offsets { answer_to, .. } => {
                    late.extend(answer_to.take().map(|to| (Arc::clone(&it.group), Err(to))));
                }
                Written::Expired(_) | Written::TxnEnd { .. } => {}
                Written::TxnOffsets(answer_to) => in_txns.extend(answer_to.take()),
                Written::Consumer(answer) => heartbeats.extend(answer.take()),
            }
        }
        let error = append_error(ErrorCode::RequestTimedOut);
        for to in in_txns {
            self.txn_offsets_written(to, error, cx);
        }
        for answer in heartbeats {
            self.refuse_heartbeat(answer, error, cx);
        }
        for (group, who) in late {
            match who {
                Ok(stored) => {
                    let place = Place { partition, group };
                    self.call_group(&place, cx, |group, turn| group.stored(&stored, error, turn));
                }
                Err(to) => self.answer_commit(to, error, now, cx),
            }
        }
    }
}

/// One batch with these records.
pub(super) fn batch_of(records: &[OffsetsRecord], wall_ms: i64) -> Result<Batch, ErrorCode> {
    let mut plain = Vec::with_capacity(records.len());
    let mut values = Vec::with_capacity(records.len());
    for record in records {
        let value = postcard::to_allocvec(record).map_err(|_| ErrorCode::UnknownServerError)?;
        plain.push(Record {
            id: INTERNAL,
            key: Some(key_of(record)),
            offset_delta: 0,
            bytes: u32::try_from(value.len()).unwrap_or(u32::MAX),
            timestamp_ms: wall_ms,
            tombstone: match record {
                OffsetsRecord::Group(_, group) => group.is_none(),
                OffsetsRecord::Offset(..) => false,
                OffsetsRecord::OffsetTombstone(..) => true,
                OffsetsRecord::Consumer(_, it) => it.is_tombstone(),
            },
        });
        values.push(value);
    }
    Ok(Batch::with_values(plain, values, ProducerStamp::NONE))
}

/// Keys are numbers here: one drawn from the group's name and, for an offset, its partition. Two of
/// them fall together once in four thousand million pairs.
fn key_of(record: &OffsetsRecord) -> KeyId {
    let number = |tp: &TopicPartition| (u64::from(tp.topic.0) << 16) | u64::from(tp.partition);
    let (group, tp) = match record {
        OffsetsRecord::Group(group, _) => (group, u64::MAX),
        OffsetsRecord::Offset(group, it) => (group, number(&it.tp)),
        OffsetsRecord::OffsetTombstone(group, tp) => (group, number(tp)),
        OffsetsRecord::Consumer(group, it) => {
            let (kind, member) = it.key();
            let named = member
                .bytes()
                .fold(kind, |key, byte| mix(key, u64::from(byte)));
            (group, named)
        }
    };
    let named = group
        .bytes()
        .fold(KEY.0, |key, byte| mix(key, u64::from(byte)));
    KeyId((mix(named, tp) >> 32) as u32)
}
