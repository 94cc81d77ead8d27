//! Reading and writing `__transaction_state`.
//!
//! Follows `TransactionStateManager.appendTransactionToLog`, `loadTransactionMetadata` and the
//! scans for transactions that took too long and for ids to forget. A write needs all in-sync
//! replicas; until then nothing else may happen to its id. What stands above the high watermark
//! when a log is read counts, as in Kafka: a leader's log is the truth of its epoch.

use super::super::{Broker, span};
use super::{Pending, Shard, Then};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Acks;
use crate::kafka::rules::txn::{MarkerWork, TransactionState, TxnWrite};
use crate::kafka::txn_protocol::{TRANSACTION_STATE_TOPIC, TransactionRecord, decode, encode};
use crate::kernel::{MILLISECOND, Nanos, Purpose, mix};
use crate::log::{Batch, KeyId, ProducerStamp, Record, RecordId};
use std::collections::VecDeque;

/// Stands in for the ledger's number in records that no application sent.
const INTERNAL: RecordId = RecordId(u64::MAX);
const KEY: Purpose = Purpose::named("txn.record-key");
/// To open a log and hand the partition over, and reading it at 1 GB/s: round figures.
const LOAD_BASE: Nanos = MILLISECOND;
const LOAD_PER_BYTE: Nanos = 1;

impl Broker {
    /// The metadata says something new about a partition.
    pub(in super::super) fn txn_partition_changed(
        &mut self,
        tp: TopicPartition,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = self.meta.image();
        let name = image.topics.get(&tp.topic);
        if name.is_none_or(|it| it != TRANSACTION_STATE_TOPIC) {
            return;
        }
        let registered = image.partitions.get(&tp);
        let leads = registered.filter(|it| it.leader == self.id);
        let epoch = leads.map(|it| it.leader_epoch);
        let shards = self.coordinator().map(|it| &it.shards);
        let known = shards.and_then(|it| it.get(&tp.partition));
        if epoch == known.map(|it| it.leader_epoch) {
            return;
        }
        self.resign_transactions(tp.partition, cx);
        let Some(leader_epoch) = epoch else {
            return;
        };
        let bytes = self.partitions.get(tp).map_or(0, |it| it.log.log().bytes());
        let read = bytes
            .saturating_mul(LOAD_PER_BYTE)
            .saturating_add(LOAD_BASE);
        let until = cx.now().saturating_add(read);
        if self.coordinator().is_none() {
            let count = self.transaction_topic().map_or(0, |(_, count)| count);
            let coordinator = self.new_coordinator(tp.topic, count, cx.now());
            let first = coordinator.next_abort;
            self.transactions().coordinator = Some(coordinator);
            self.watch_txn_at(first, cx);
        }
        if let Some(coordinator) = self.coordinator() {
            coordinator.manager.elected(tp.partition, leader_epoch);
            let shard = Shard {
                leader_epoch,
                loading_until: Some(until),
                pending: VecDeque::new(),
            };
            coordinator.shards.insert(tp.partition, shard);
        }
        self.watch_txn_at(until, cx);
    }

    fn resign_transactions(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        coordinator.manager.resigned(partition);
        let lost = coordinator.shards.remove(&partition);
        coordinator
            .marking
            .retain(|_, it| it.work.complete.partition != partition);
        for it in lost.into_iter().flat_map(|it| it.pending) {
            self.txn_written(&it.write, it.then, ErrorCode::NotLeaderOrFollower, cx);
        }
    }

    pub(super) fn finish_txn_loading(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        let topic = coordinator.topic;
        let mut ready = Vec::new();
        for (partition, shard) in &mut coordinator.shards {
            if shard.loading_until.is_some_and(|until| until <= now) {
                shard.loading_until = None;
                ready.push(*partition);
            }
        }
        for partition in ready {
            let values = self.read_transactions(TopicPartition { topic, partition });
            let work = self
                .coordinator()
                .map(|it| it.manager.loaded(partition, values, cx.wall_ms()));
            for work in work.into_iter().flatten() {
                self.start_markers(work, cx);
            }
        }
    }

    fn read_transactions(&self, tp: TopicPartition) -> Vec<TransactionRecord> {
        let Some(partition) = self.partitions.get(tp) else {
            return Vec::new();
        };
        let log = partition.log.log();
        let records = log.records(log.start_offset(), log.leo());
        // A record that cannot be read is skipped, as an unknown version is.
        let values = records.filter_map(|(_, batch, record)| batch.value(record.offset_delta));
        values.filter_map(decode).collect()
    }

    /// Appends a transition; it counts when the high watermark has passed it.
    pub(super) fn write_txn(&mut self, write: TxnWrite, then: Then, cx: &mut KafkaCx<'_>) {
        let Some(topic) = self.coordinator().map(|it| it.topic) else {
            return;
        };
        let partition = write.partition;
        let tp = TopicPartition { topic, partition };
        let appended = batch_of(&write, cx.wall_ms()).and_then(|batch| {
            let bytes = u64::from(batch.bytes);
            let (_, last) = self.append(tp, batch, Acks::All, cx)?;
            cx.disk_write(bytes);
            Ok(last)
        });
        let last = match appended {
            Ok(last) => last,
            Err(error) => {
                self.txn_written(&write, then, error, cx);
                return;
            }
        };
        let timeout = span(self.config.request_timeout_ms);
        let deadline = cx.now().saturating_add(timeout);
        if let Some(shard) = self
            .coordinator()
            .and_then(|it| it.shards.get_mut(&partition))
        {
            shard.pending.push_back(Pending {
                needs: last + 1,
                deadline,
                write,
                then,
            });
        }
        self.watch_txn_at(deadline, cx);
        // With a single replica the high watermark has passed it already.
        self.wakes.push_back(super::Wake::HighWatermark(tp));
    }

    /// Completes what the high watermark has passed.
    pub(super) fn complete_txn_writes(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let Some(topic) = self.coordinator().map(|it| it.topic) else {
            return;
        };
        let hosted = self.partitions.get(TopicPartition { topic, partition });
        let leads = hosted.filter(|it| it.leader_state().is_some());
        let Some(hw) = leads.map(|it| it.log.log().high_watermark()) else {
            return;
        };
        while let Some(shard) = self
            .coordinator()
            .and_then(|it| it.shards.get_mut(&partition))
            && shard.pending.front().is_some_and(|it| it.needs <= hw)
            && let Some(done) = shard.pending.pop_front()
        {
            self.txn_written(&done.write, done.then, ErrorCode::None, cx);
        }
    }

    /// Writes that the in-sync replicas did not confirm in time. They stay in the log: whoever
    /// reads it next counts them.
    pub(super) fn expire_txn_writes(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let mut late = Vec::new();
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        for shard in coordinator.shards.values_mut() {
            while shard.pending.front().is_some_and(|it| it.deadline <= now) {
                late.extend(shard.pending.pop_front());
            }
        }
        for it in late {
            self.txn_written(&it.write, it.then, ErrorCode::RequestTimedOut, cx);
        }
    }

    /// Looks for transactions that took too long, and for ids that were idle for long.
    pub(super) fn scan_transactions(&mut self, cx: &mut KafkaCx<'_>) {
        let (now, wall_ms) = (cx.now(), cx.wall_ms());
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        let config = coordinator.manager.config().clone();
        if coordinator.next_abort <= now {
            let pause = span(config.abort_timed_out_interval_ms).max(MILLISECOND);
            coordinator.next_abort = now.saturating_add(pause);
            for (write, end) in coordinator.manager.abort_timed_out(wall_ms) {
                let after = i64::from(write.next.producer_epoch);
                self.note_txn(Rule::TxnTimedOut, write.partition, after - 1, after, cx);
                self.write_txn(write, Then::Abort(None, end), cx);
            }
        }
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        if coordinator.next_expiry <= now {
            let pause = span(config.remove_expired_interval_ms).max(MILLISECOND);
            coordinator.next_expiry = now.saturating_add(pause);
            for write in coordinator.manager.remove_expired(wall_ms) {
                self.write_txn(write, Then::Expired, cx);
            }
        }
    }

    pub(super) fn note_prepared(&mut self, work: &MarkerWork, rule: Rule, cx: &mut KafkaCx<'_>) {
        let commits = i64::from(work.complete.next.state == TransactionState::CompleteCommit);
        let epoch = i64::from(work.producer_epoch);
        self.note_txn(rule, work.complete.partition, commits, epoch, cx);
    }
}

fn batch_of(write: &TxnWrite, wall_ms: i64) -> Result<Batch, ErrorCode> {
    let tombstone = write.next.state == TransactionState::Dead;
    let value = (!tombstone).then(|| write.next.clone());
    let bytes = encode(&(write.id.clone(), value)).ok_or(ErrorCode::UnknownServerError)?;
    // Keys are numbers here: one drawn from the id.
    let named = write
        .id
        .bytes()
        .fold(KEY.0, |key, byte| mix(key, u64::from(byte)));
    let record = Record {
        id: INTERNAL,
        key: Some(KeyId((named >> 32) as u32)),
        offset_delta: 0,
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        timestamp_ms: wall_ms,
        tombstone,
    };
    Ok(Batch::with_values(
        vec![record],
        vec![bytes],
        ProducerStamp::NONE,
    ))
}
