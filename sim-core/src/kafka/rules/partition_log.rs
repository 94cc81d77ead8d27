//! A partition's log together with its producer state: what a broker appends to and reads from.
//!
//! Follows `UnifiedLog`: validation by the leader, duplicate detection, verification of
//! transactions, the last stable offset, and the transaction index. Compaction is in
//! [`cleaner`](super::cleaner).

use super::fetch::OffsetView;
use super::producer_append::{AppendOrigin, BatchMetadata, TransactionVersion, VerificationGuard};
use super::producer_state::{AbortedTxn, ProducerStateConfig, ProducerStateManager};
use crate::kafka::error::ErrorCode;
use crate::log::{
    AppendError, AppendInfo, Batch, BatchList, Deleted, Log, LogConfig, LogRecord, OutOfRange,
    RemoteSegments,
};
use std::sync::Arc;

/// How a batch reaches the leader's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderAppend {
    /// Epoch of the leader.
    pub leader_epoch: i32,
    /// Who appends.
    pub origin: AppendOrigin,
    /// Transaction version, for markers.
    pub version: TransactionVersion,
    /// The guard of the verification that let this append through.
    pub guard: Option<VerificationGuard>,
    /// The broker's time, in ms.
    pub now_ms: i64,
}

impl LeaderAppend {
    /// An append of a producer.
    pub fn client(leader_epoch: i32, now_ms: i64) -> Self {
        Self {
            leader_epoch,
            origin: AppendOrigin::Client,
            version: 0,
            guard: None,
            now_ms,
        }
    }
}

/// What became of a batch that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// It is in the log.
    New(AppendInfo),
    /// A retry: nothing appended, the producer gets the first offsets again.
    Duplicate(BatchMetadata),
}

/// Data for a reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadResult<R> {
    /// Whole batches; the first may begin below the offset asked for.
    pub batches: BatchList<R>,
    /// For `read_committed`: aborted transactions that touch the batches. The broker sends their
    /// data all the same; the reader drops it.
    pub aborted: Vec<AbortedTxn>,
}

/// A partition's log and producer state on one replica.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PartitionLog<R = crate::log::Record> {
    log: Log<R>,
    producers: ProducerStateManager,
    /// The transaction index: aborted transactions by the offset of their marker.
    aborted: Vec<AbortedTxn>,
}

impl<R: LogRecord> PartitionLog<R> {
    /// An empty log at offset 0.
    pub fn new(config: LogConfig, producers: ProducerStateConfig, now_ms: i64) -> Self {
        Self {
            log: Log::new_at(config, 0, now_ms),
            producers: ProducerStateManager::new(producers, 0),
            aborted: Vec::new(),
        }
    }

    /// The log.
    pub fn log(&self) -> &Log<R> {
        &self.log
    }

    /// The producers and transactions.
    pub fn producers(&self) -> &ProducerStateManager {
        &self.producers
    }

    /// The transaction index.
    pub fn aborted_txns(&self) -> &[AbortedTxn] {
        &self.aborted
    }

    /// Aborted transactions whose marker is at or above `from` and whose data begins below `to`.
    pub fn collect_aborted(&self, from: i64, to: i64) -> Vec<AbortedTxn> {
        self.aborted_between(from, to)
    }

    /// Puts the batches of a cleaned segment in the place of `count` closed ones, and the aborted
    /// transactions that it still holds in the place of those whose marker was in them.
    pub(super) fn replace_closed(
        &mut self,
        span: std::ops::Range<i64>,
        count: usize,
        batches: Vec<Arc<Batch<R>>>,
        aborted: Vec<AbortedTxn>,
    ) {
        self.log.replace_closed(span.start, count, batches);
        self.aborted.retain(|txn| !span.contains(&txn.last_offset));
        self.aborted.extend(aborted);
        self.aborted.sort_by_key(|txn| txn.last_offset);
    }

    /// Closes the active segment, if it holds anything, and opens one at `base_offset` (at the log
    /// end if none is given).
    pub fn roll(&mut self, base_offset: Option<i64>, now_ms: i64) {
        self.log.roll_at(base_offset, now_ms);
        self.producers.update_map_end_offset(self.log.leo());
        self.producers.take_snapshot();
    }

    /// Changes the log's settings.
    pub fn set_config(&mut self, config: LogConfig) {
        self.log.set_config(config);
    }

    /// Notes that this replica leads in a new epoch, which starts at the log end.
    pub fn assign_epoch_at_end(&mut self, leader_epoch: i32) {
        self.log.assign_epoch_at_end(leader_epoch);
    }

    /// Begins the verification of a transactional append; `None` if the transaction is open here
    /// already, so that none is needed.
    pub fn start_verification(
        &mut self,
        batch: &Batch<R>,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> Option<VerificationGuard> {
        let stamp = batch.producer;
        if self
            .producers
            .has_ongoing_transaction(stamp.id, stamp.epoch)
        {
            return None;
        }
        let (id, sequence, epoch) = (stamp.id, stamp.base_sequence, stamp.epoch);
        Some(
            self.producers
                .start_verification(id, sequence, epoch, supports_epoch_bump, now_ms),
        )
    }

    /// Appends as leader, after all checks.
    pub fn append_as_leader(
        &mut self,
        mut batch: Batch<R>,
        append: LeaderAppend,
    ) -> Result<Appended, ErrorCode> {
        self.validate(&batch, append.now_ms)?;
        batch.base_offset = self.log.leo();
        if !batch.producer.has_id() {
            return Ok(Appended::New(self.write(batch, append)));
        }
        let id = batch.producer.id;
        if append.origin == AppendOrigin::Client
            && let Some(known) = self
                .producers
                .entry(id)
                .and_then(|it| it.find_duplicate(&batch))
        {
            return Ok(Appended::Duplicate(known));
        }
        self.check_transaction(&batch, append)?;
        let mut info = self.producers.prepare_update(id, append.origin);
        let completed = info.append(&batch, append.version)?;
        if batch.transactional {
            self.producers.clear_verification(id);
        }
        let written = self.write(batch, append);
        self.producers.update(&info);
        let aborted = completed.and_then(|completed| self.producers.complete_txn(&completed));
        self.aborted.extend(aborted);
        Ok(Appended::New(written))
    }

    fn write(&mut self, batch: Batch<R>, append: LeaderAppend) -> AppendInfo {
        let info = self
            .log
            .append_as_leader_at(batch, append.leader_epoch, append.now_ms);
        self.after_append(info);
        info
    }

    fn after_append(&mut self, info: AppendInfo) {
        if let Some(base_offset) = info.rolled_at {
            self.producers.update_map_end_offset(base_offset);
            self.producers.take_snapshot();
        }
        self.producers.update_map_end_offset(info.last_offset + 1);
    }

    /// A transactional batch must belong to a transaction its coordinator knows of: one that is
    /// open here, or one verified just now (KIP-890).
    fn check_transaction(&self, batch: &Batch<R>, append: LeaderAppend) -> Result<(), ErrorCode> {
        let stamp = batch.producer;
        if !batch.transactional
            || self
                .producers
                .has_ongoing_transaction(stamp.id, stamp.epoch)
        {
            return Ok(());
        }
        if self
            .producers
            .entry(stamp.id)
            .is_some_and(|known| stamp.epoch < known.epoch)
        {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let verified = self
            .producers
            .verification(stamp.id)
            .map(|entry| entry.guard);
        let missing = verified.is_none() || verified != append.guard;
        if self.producers.config().verification_enabled && !batch.is_control() && missing {
            return Err(ErrorCode::InvalidTxnState);
        }
        Ok(())
    }

    /// Checks that do not depend on the producer (`LogValidator`).
    fn validate(&self, batch: &Batch<R>, now_ms: i64) -> Result<(), ErrorCode> {
        let config = self.log.config();
        if batch.is_control() {
            return Ok(());
        }
        if batch.bytes > config.max_message_bytes {
            return Err(ErrorCode::MessageTooLarge);
        }
        if u64::from(batch.bytes) > config.segment_bytes {
            return Err(ErrorCode::RecordListTooLarge);
        }
        if config.cleanup_policy.compact && first_unkeyed(batch).is_some() {
            return Err(ErrorCode::InvalidRecord);
        }
        let ahead_ms = batch.max_timestamp_ms.saturating_sub(now_ms);
        if batch.max_timestamp_ms >= 0 && ahead_ms > config.timestamp_after_max_ms {
            return Err(ErrorCode::InvalidTimestamp);
        }
        Ok(())
    }

    /// Appends a batch copied from the leader.
    pub fn append_as_follower(
        &mut self,
        batch: impl Into<Arc<Batch<R>>>,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let info = self.log.append_as_follower_at(batch, now_ms)?;
        if let Some(base_offset) = info.rolled_at {
            self.producers.update_map_end_offset(base_offset);
            self.producers.take_snapshot();
        }
        if let Some(batch) = self.log.last_batch() {
            self.aborted.extend(self.producers.replay(batch));
        }
        Ok(info)
    }

    /// Sets the high watermark within the log's bounds; returns what it became.
    pub fn set_high_watermark(&mut self, offset: i64) -> i64 {
        let high_watermark = self.log.set_high_watermark(offset);
        self.producers.on_high_watermark_updated(high_watermark);
        high_watermark
    }

    /// Raises the high watermark if `offset` is higher. Returns whether it moved.
    pub fn maybe_increment_high_watermark(&mut self, offset: i64) -> bool {
        let moved = self.log.maybe_increment_high_watermark(offset);
        self.producers
            .on_high_watermark_updated(self.log.high_watermark());
        moved
    }

    /// The first offset that is undecided, or decided but not yet below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let first = self.producers.first_unstable_offset()?;
        Some(first.max(self.log.start_offset()))
    }

    /// The last stable offset: what `read_committed` readers may see is below it.
    pub fn last_stable_offset(&self) -> i64 {
        let high_watermark = self.log.high_watermark();
        self.first_unstable_offset()
            .map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Reads for a follower, or for a consumer of either isolation level.
    pub fn read(
        &self,
        view: OffsetView,
        from_offset: i64,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<ReadResult<R>, OutOfRange> {
        let bound = self.bound(view);
        let batches = self.log.read(from_offset, max_bytes, bound, min_one)?;
        Ok(self.result(view, from_offset, batches))
    }

    /// Reads what is in remote storage only ([`Log::read_remote`]).
    pub fn read_remote(
        &self,
        view: OffsetView,
        from_offset: i64,
        max_bytes: u32,
    ) -> Result<ReadResult<R>, OutOfRange> {
        let bound = self.bound(view);
        let batches = self.log.read_remote(from_offset, max_bytes, bound)?;
        Ok(self.result(view, from_offset, batches))
    }

    /// How far a reader sees.
    #[inline]
    fn bound(&self, view: OffsetView) -> i64 {
        match view {
            OffsetView::Replica => self.log.leo(),
            OffsetView::ReadUncommitted => self.log.high_watermark(),
            OffsetView::ReadCommitted => self.last_stable_offset(),
        }
    }

    #[inline]
    fn result(&self, view: OffsetView, from_offset: i64, batches: BatchList<R>) -> ReadResult<R> {
        let upper = batches.last().map(|batch| batch.next_offset());
        let aborted = match (view, upper) {
            (OffsetView::ReadCommitted, Some(upper)) => self.aborted_between(from_offset, upper),
            _ => Vec::new(),
        };
        ReadResult { batches, aborted }
    }

    /// Aborted transactions that touch offsets in `from..to`.
    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTxn> {
        let listed = self.aborted.partition_point(|txn| txn.last_offset < from);
        let touching = self
            .aborted
            .iter()
            .skip(listed)
            .filter(|txn| txn.first_offset < to);
        touching.copied().collect()
    }

    /// Drops everything at or above `offset` and works out the producer state anew.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> bool {
        if !self.log.truncate_to(offset) {
            return false;
        }
        self.aborted.retain(|txn| txn.last_offset < self.log.leo());
        self.rebuild_producers(now_ms);
        true
    }

    /// Drops everything; the log is empty and continues at `offset`.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64) {
        self.log.truncate_fully_and_start_at(offset);
        self.producers.truncate_fully_and_start_at(offset);
        self.aborted.clear();
    }

    /// [`Log::restart_behind_remote`]; producers are known again from what comes then.
    pub fn restart_behind_remote(&mut self, offset: i64) {
        self.log.restart_behind_remote(offset);
        self.producers.truncate_fully_and_start_at(offset);
        self.aborted.clear();
    }

    /// [`Log::set_remote`].
    pub fn set_remote(&mut self, remote: RemoteSegments<R>) {
        self.log.set_remote(remote);
    }

    /// Copies what may be copied to remote storage ([`Log::copy_to_remote`]).
    pub fn copy_to_remote(&mut self) -> Option<(i64, i64)> {
        let stable = self.last_stable_offset();
        self.log.copy_to_remote(stable)
    }

    /// Retention of remote storage ([`Log::expire_remote`]). Returns whether the log start moved.
    pub fn expire_remote(&mut self, now_ms: i64) -> bool {
        let start = self.log.expire_remote(now_ms);
        start.is_some_and(|start| self.maybe_increment_start_offset(start))
    }

    /// Power loss: what is not on disk is gone. Returns the offsets lost as `(from, to)`.
    pub fn lose_unflushed(&mut self, now_ms: i64) -> Option<(i64, i64)> {
        let lost = (self.log.flushed_offset(), self.log.leo());
        self.truncate_to(lost.0, now_ms).then_some(lost)
    }

    /// A new, empty disk.
    pub fn wipe(&mut self) {
        self.truncate_fully_and_start_at(0);
    }

    /// Puts the whole log on disk.
    pub fn flush(&mut self) {
        self.log.flush();
    }

    /// What follows an append; see [`Log::flush_appended`].
    pub fn flush_appended(&mut self, rolled_at: Option<i64>, now_ms: i64) {
        self.log.flush_appended(rolled_at, now_ms);
    }

    /// Puts the whole log on disk if `flush.ms` says so.
    pub fn flush_if_due(&mut self, now_ms: i64) {
        self.log.flush_if_due(now_ms);
    }

    /// What a restart does: verifications are forgotten, and the producer state is loaded from the
    /// latest snapshot and the log above it.
    pub fn reload(&mut self, now_ms: i64) {
        let (start, end) = (self.log.start_offset(), self.log.leo());
        self.producers.reload(start, end, now_ms);
        self.replay_producers();
    }

    /// What a clean stop adds: all on disk, and a snapshot of the producer state.
    pub fn close_cleanly(&mut self) {
        self.log.flush();
        self.producers.take_snapshot();
    }

    fn rebuild_producers(&mut self, now_ms: i64) {
        let (start, end) = (self.log.start_offset(), self.log.leo());
        self.producers.truncate_and_reload(start, end, now_ms);
        self.replay_producers();
    }

    fn replay_producers(&mut self) {
        let end = self.log.leo();
        let from = self.producers.map_end_offset();
        for batch in self.log.batches_from(from) {
            self.producers.replay(batch);
        }
        self.producers.update_map_end_offset(end);
        self.producers
            .on_high_watermark_updated(self.log.high_watermark());
    }

    /// Moves the log start up. Returns whether it moved.
    pub fn maybe_increment_start_offset(&mut self, offset: i64) -> bool {
        let moved = self.log.maybe_increment_start_offset(offset);
        if moved {
            self.after_start_moved();
        }
        moved
    }

    /// One retention pass at `now_ms`.
    pub fn delete_old_segments(&mut self, now_ms: i64) -> Vec<Deleted> {
        let deleted = self.log.delete_old_segments(now_ms);
        if !deleted.is_empty() {
            self.after_start_moved();
        }
        deleted
    }

    fn after_start_moved(&mut self) {
        let start = self.log.start_offset();
        self.producers.on_log_start_offset_incremented(start);
        self.aborted.retain(|txn| txn.last_offset >= start);
    }

    /// Forgets idle producers.
    pub fn remove_expired_producers(&mut self, now_ms: i64) {
        self.producers.remove_expired(now_ms);
    }
}

/// Index of the first record without key, which a compacted topic refuses (INVALID_RECORD).
pub fn first_unkeyed<R: LogRecord>(batch: &Batch<R>) -> Option<usize> {
    batch.records.iter().position(|record| !record.has_key())
}
