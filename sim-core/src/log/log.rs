//! One replica's log: append, read, truncate, flush, power loss.
//!
//! Follows `UnifiedLog` and `LocalLog`. A log holds the high watermark of its replica, as Kafka's
//! does; who moves it, and when, is decided by [`crate::kafka::rules`]. Bytes above
//! `flushed_offset` are in the page cache only: Kafka does not fsync per write unless
//! `flush.messages` or `flush.ms` asks for it, so a power loss takes them. What the operating system
//! has written counts as flushed here, and Kafka's recovery point knows nothing of it: so a flush
//! comes later by that, and what is not on disk is never more. Producer state is kept beside the log, not in it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::batch::Batch;
use super::batch_list::BatchList;
use super::config::LogConfig;
use super::epoch_cache::{EpochEnd, LeaderEpochCache};
use super::record::{LogRecord, Record};
use super::segment::{Segment, SegmentView};
use super::tier::RemoteSegments;

/// Offsets given to an appended batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub first_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Base offset of the segment that was opened for this append, if one was. Kafka then flushes
    /// everything below it in the background ([`Log::flush_to`]).
    pub rolled_at: Option<i64>,
}

/// Why a batch was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum AppendError {
    /// The batch begins below the log end (`UnexpectedAppendOffsetException`).
    UnexpectedOffset {
        /// Base offset of the refused batch.
        base_offset: i64,
        /// The log end offset.
        log_end_offset: i64,
    },
}

/// A read below the log start or above the log end (`OFFSET_OUT_OF_RANGE`); of a tiered log also
/// one of an offset that is in remote storage only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct OutOfRange {
    /// The offset asked for.
    pub offset: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// Offset after the last record of the log.
    pub log_end_offset: i64,
}

/// One replica's log of a partition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Log<R = Record> {
    config: LogConfig,
    start_offset: i64,
    /// First offset still on local disk; above `start_offset` only when the log is tiered.
    local_start_offset: i64,
    /// Last offset that is in remote storage, -1 for none.
    highest_remote_offset: i64,
    end_offset: i64,
    high_watermark: i64,
    flushed_offset: i64,
    /// When it was last flushed, if `flush.ms` asks for it, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    flushed_at_ms: Option<i64>,
    pub(super) closed: Arc<Vec<Arc<Segment<R>>>>,
    pub(super) active: Segment<R>,
    epochs: LeaderEpochCache,
    /// Segments in remote storage, oldest first, as far as this replica knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote: Option<RemoteSegments<R>>,
}

impl<R: LogRecord> Log<R> {
    /// An empty log that starts at offset 0, created at time 0.
    pub fn new(config: LogConfig) -> Self {
        Self::new_at(config, 0, 0)
    }

    /// An empty log that starts at `start_offset`, created at `now_ms`.
    pub fn new_at(config: LogConfig, start_offset: i64, now_ms: i64) -> Self {
        Self {
            config,
            start_offset,
            local_start_offset: start_offset,
            highest_remote_offset: -1,
            end_offset: start_offset,
            high_watermark: start_offset,
            flushed_offset: start_offset,
            flushed_at_ms: None,
            closed: Arc::new(Vec::new()),
            active: Segment::new(start_offset, now_ms),
            epochs: LeaderEpochCache::new(),
            remote: None,
        }
    }

    /// About how many bytes a clone takes besides its own size and what it shares.
    pub(crate) fn weight(&self) -> usize {
        self.active.weight()
    }

    /// The settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings from now on; nothing already written is touched.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Log end offset (LEO): the offset the next record will get.
    pub fn leo(&self) -> i64 {
        self.end_offset
    }

    /// Log start offset: the first offset a reader may ask for.
    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The first offset that is still on local disk. Offsets from the log start up to here are in
    /// remote storage only, which [`Self::read`] does not reach.
    pub fn local_start_offset(&self) -> i64 {
        self.local_start_offset
    }

    /// Last offset in remote storage, -1 for none.
    pub fn highest_remote_offset(&self) -> i64 {
        self.highest_remote_offset
    }

    /// Notes that everything up to `offset` is in remote storage.
    pub fn set_highest_remote_offset(&mut self, offset: i64) {
        self.highest_remote_offset = self.highest_remote_offset.max(offset);
    }

    /// Retention removed local segments below `offset`: the local start moves, and the log start
    /// too unless remote storage still serves what went.
    pub(super) fn local_segments_deleted(&mut self, offset: i64) {
        self.local_start_offset = self.local_start_offset.max(offset);
        if !self.config.remote_copy_enabled() {
            self.maybe_increment_start_offset(offset);
        }
    }

    /// The replica's high watermark.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Sets the high watermark, kept within log start and log end. Returns what it became.
    pub fn set_high_watermark(&mut self, offset: i64) -> i64 {
        self.high_watermark = offset.clamp(self.start_offset, self.end_offset);
        self.high_watermark
    }

    /// Raises the high watermark to `offset` if that is higher. Returns whether it moved.
    pub fn maybe_increment_high_watermark(&mut self, offset: i64) -> bool {
        let before = self.high_watermark;
        offset > before && self.set_high_watermark(offset) > before
    }

    /// Leader epochs of the log.
    pub fn epochs(&self) -> &LeaderEpochCache {
        &self.epochs
    }

    /// Notes the start of a leader epoch at the log end, as a new leader does.
    pub fn assign_epoch_at_end(&mut self, leader_epoch: i32) {
        self.epochs.assign(leader_epoch, self.end_offset);
    }

    /// Where `epoch` ends in this log.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> EpochEnd {
        self.epochs.end_offset_for(epoch, self.end_offset)
    }

    /// The epoch of the last record, which a follower names in its fetch; `None` if no epoch is
    /// known.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest_epoch()
    }

    /// Appends as leader: gives the batch the next offsets and stamps it with `leader_epoch`. The
    /// batch's own largest timestamp serves as the clock for time-based rolling.
    pub fn append_as_leader(&mut self, batch: Batch<R>, leader_epoch: i32) -> AppendInfo {
        let now_ms = batch.max_timestamp_ms;
        self.append_as_leader_at(batch, leader_epoch, now_ms)
    }

    /// Appends as leader at `now_ms`, which counts for batches without timestamps.
    pub fn append_as_leader_at(
        &mut self,
        mut batch: Batch<R>,
        leader_epoch: i32,
        now_ms: i64,
    ) -> AppendInfo {
        batch.base_offset = self.end_offset;
        batch.leader_epoch = leader_epoch;
        self.append(Arc::new(batch), now_ms)
    }

    /// Appends a batch copied from the leader, offsets and epoch as they are.
    pub fn append_as_follower(
        &mut self,
        batch: impl Into<Arc<Batch<R>>>,
    ) -> Result<AppendInfo, AppendError> {
        let batch = batch.into();
        let now_ms = batch.max_timestamp_ms;
        self.append_as_follower_at(batch, now_ms)
    }

    /// Appends a batch copied from the leader at `now_ms`.
    pub fn append_as_follower_at(
        &mut self,
        batch: impl Into<Arc<Batch<R>>>,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let batch = batch.into();
        if batch.base_offset < self.end_offset {
            return Err(AppendError::UnexpectedOffset {
                base_offset: batch.base_offset,
                log_end_offset: self.end_offset,
            });
        }
        Ok(self.append(batch, now_ms))
    }

    fn append(&mut self, batch: Arc<Batch<R>>, now_ms: i64) -> AppendInfo {
        let rolls = self.active.should_roll(&self.config, &batch, now_ms)
            || self.active.index_is_full(&self.config);
        let rolled_at = rolls.then(|| {
            self.roll(batch.base_offset, now_ms);
            batch.base_offset
        });
        if batch.leader_epoch >= 0 {
            self.epochs.assign(batch.leader_epoch, batch.base_offset);
        }
        let (first_offset, last_offset) = (batch.base_offset, batch.last_offset());
        self.end_offset = batch.next_offset();
        self.active.append(batch, now_ms);
        AppendInfo {
            first_offset,
            last_offset,
            rolled_at,
        }
    }

    /// The next record comes at `offset` at the earliest; below it is a gap.
    pub(super) fn skip_to(&mut self, offset: i64) {
        self.end_offset = self.end_offset.max(offset);
    }

    /// Closes the active segment and opens an empty one at `base_offset`.
    pub(super) fn roll(&mut self, base_offset: i64, now_ms: i64) {
        let closed = std::mem::replace(&mut self.active, Segment::new(base_offset, now_ms));
        Arc::make_mut(&mut self.closed).push(Arc::new(closed));
    }

    /// Batches from `from_offset` on: whole, in one segment, wholly below `upper_bound_offset`, at
    /// most `max_bytes` together. With `min_one` the first batch is returned whatever its size.
    ///
    /// Reading at the log end, or at or above the bound, yields nothing. The first batch may begin
    /// below `from_offset`; the reader drops the prefix.
    pub fn read(
        &self,
        from_offset: i64,
        max_bytes: u32,
        upper_bound_offset: i64,
        min_one: bool,
    ) -> Result<BatchList<R>, OutOfRange> {
        if from_offset < self.local_start_offset || from_offset > self.end_offset {
            return Err(OutOfRange {
                offset: from_offset,
                log_start_offset: self.start_offset,
                log_end_offset: self.end_offset,
            });
        }
        let mut found = BatchList::default();
        if from_offset >= upper_bound_offset {
            return Ok(found);
        }
        // A segment may have nothing at or above the offset (a gap at its end); the next one has.
        for segment in self.local_segments_from(from_offset) {
            let mut bytes = 0u64;
            let read = segment.visit_from(from_offset, |batch| {
                bytes += u64::from(batch.bytes);
                let fits = bytes <= u64::from(max_bytes) || (min_one && found.is_empty());
                if !fits || batch.last_offset() >= upper_bound_offset {
                    return ControlFlow::Break(());
                }
                found.push(Arc::clone(batch));
                ControlFlow::Continue(())
            });
            if read.is_break() || !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Drops everything at or above `offset`, in whole batches: a batch that begins below `offset`
    /// and reaches it goes as well, and the log end is `offset` all the same, as in Kafka. The high
    /// watermark and the flushed offset follow the log end down. Returns whether anything changed.
    pub fn truncate_to(&mut self, offset: i64) -> bool {
        if offset >= self.end_offset {
            // A leader that wrote nothing left an epoch at the log end; the next leader's may clash.
            self.epochs.truncate_from_end(self.end_offset);
            return false;
        }
        if offset < self.first_segment().base_offset() {
            self.truncate_fully_and_start_at(offset);
            return true;
        }
        while self.active.base_offset() > offset {
            let Some(previous) = Arc::make_mut(&mut self.closed).pop() else {
                break;
            };
            self.active = Arc::unwrap_or_clone(previous);
        }
        self.active.truncate_to(offset);
        self.epochs.truncate_from_end(offset);
        self.end_offset = offset;
        self.start_offset = self.start_offset.min(offset);
        self.local_start_offset = self.local_start_offset.min(offset);
        self.high_watermark = self.high_watermark.min(offset);
        self.flushed_offset = self.flushed_offset.min(offset);
        true
    }

    /// Drops everything; the log is empty and continues at `offset`.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64) {
        *self = Self::new_at(self.config.clone(), offset, self.active.last_modified_ms());
    }

    /// Like [`Self::truncate_fully_and_start_at`], for a replica whose leader has the rest in remote
    /// storage: the log continues at `offset`, but starts where remote storage does, and the epochs
    /// of what lies between are known from there.
    pub fn restart_behind_remote(&mut self, offset: i64) {
        let remote = self.remote.take();
        self.truncate_fully_and_start_at(offset);
        let Some(remote) = remote else {
            return;
        };
        if let Some(first) = remote.first() {
            self.start_offset = first.base_offset().min(offset);
        }
        for batch in remote.iter().flat_map(|segment| segment.batches()) {
            if batch.leader_epoch >= 0 && batch.base_offset < offset {
                self.epochs.assign(batch.leader_epoch, batch.base_offset);
            }
        }
        self.set_remote(remote);
    }

    /// Everything below this offset is on disk; the rest is in the page cache.
    pub fn flushed_offset(&self) -> i64 {
        self.flushed_offset
    }

    /// Puts the whole log on disk.
    pub fn flush(&mut self) {
        self.flushed_offset = self.end_offset;
    }

    /// Puts everything below `offset` on disk.
    pub fn flush_to(&mut self, offset: i64) {
        self.flushed_offset = self.flushed_offset.max(offset.min(self.end_offset));
    }

    /// What follows an append: everything below a segment that was opened for it goes to disk, and
    /// everything once `flush.messages` records are not there (`UnifiedLog.append`).
    pub fn flush_appended(&mut self, rolled_at: Option<i64>, now_ms: i64) {
        if let Some(offset) = rolled_at {
            self.flush_to(offset);
            self.flushed_now(now_ms);
        }
        if self.end_offset - self.flushed_offset >= self.config.flush_messages {
            self.flush();
            self.flushed_now(now_ms);
        }
    }

    /// Puts the whole log on disk if it was not put there for `flush.ms`
    /// (`LogManager.flushDirtyLogs`).
    pub fn flush_if_due(&mut self, now_ms: i64) {
        if self.config.flush_ms == i64::MAX {
            return;
        }
        let last = *self.flushed_at_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(last) >= self.config.flush_ms {
            self.flush();
            self.flushed_now(now_ms);
        }
    }

    fn flushed_now(&mut self, now_ms: i64) {
        if self.config.flush_ms < i64::MAX {
            self.flushed_at_ms = Some(now_ms);
        }
    }

    /// Power loss: what is not on disk is gone. Returns the offsets lost as `(from, to)`.
    pub fn lose_unflushed(&mut self) -> Option<(i64, i64)> {
        let lost = (self.flushed_offset, self.end_offset);
        self.truncate_to(lost.0).then_some(lost)
    }

    /// A new, empty disk.
    pub fn wipe(&mut self) {
        self.truncate_fully_and_start_at(0);
    }

    /// Moves the log start up to `offset` (DeleteRecords, or a follower copying its leader's log
    /// start). Whole segments below it go with the next retention pass. Returns whether it moved.
    pub fn maybe_increment_start_offset(&mut self, offset: i64) -> bool {
        if offset <= self.start_offset || offset > self.end_offset {
            return false;
        }
        self.start_offset = offset;
        self.local_start_offset = self.local_start_offset.max(offset);
        self.high_watermark = self.high_watermark.max(offset);
        self.flushed_offset = self.flushed_offset.max(offset);
        self.epochs.truncate_from_start(offset);
        true
    }

    /// All segments, oldest first, as plain data.
    pub fn segments(&self) -> impl Iterator<Item = SegmentView> {
        let closed = self.closed.iter().map(|segment| segment.view(false));
        closed.chain(std::iter::once(self.active.view(true)))
    }

    /// Number of segments; at least one.
    pub fn segment_count(&self) -> usize {
        self.closed.len() + 1
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.closed
            .iter()
            .map(|segment| segment.bytes())
            .sum::<u64>()
            + self.active.bytes()
    }

    /// Batches from the first one that reaches `offset`.
    pub fn batches_from(&self, offset: i64) -> impl Iterator<Item = &Batch<R>> {
        self.segments_from(offset)
            .flat_map(move |segment| segment.batches_from(offset))
    }

    /// Records with offsets in `from..to`, each with its offset and its batch.
    pub fn records(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &Batch<R>, &R)> {
        let batches = self
            .batches_from(from)
            .take_while(move |batch| batch.base_offset < to);
        let records = batches.flat_map(|batch| {
            let place = |record: &R| batch.base_offset + i64::from(record.offset_delta());
            batch
                .records
                .iter()
                .map(move |record| (place(record), batch, record))
        });
        records.filter(move |(offset, _, _)| (from..to).contains(offset))
    }

    /// Up to where this log and another replica's hold the very same batches, from `offset` on.
    /// Replicas share what one of them copied from another, so that takes no look at the batches.
    pub fn same_until(&self, other: &Self, offset: i64) -> i64 {
        let (mut left, mut right) = (self.slices_from(offset), other.slices_from(offset));
        let mut a: &[Arc<Batch<R>>] = &[];
        let mut b: &[Arc<Batch<R>>] = &[];
        let mut same = offset;
        loop {
            while a.is_empty() {
                let Some(slice) = left.next() else {
                    return same;
                };
                a = slice;
            }
            while b.is_empty() {
                let Some(slice) = right.next() else {
                    return same;
                };
                b = slice;
            }
            let both = a.len().min(b.len());
            let differs = a.iter().zip(b).position(|(x, y)| !Arc::ptr_eq(x, y));
            let alike = differs.unwrap_or(both);
            if let Some(last) = alike.checked_sub(1).and_then(|at| a.get(at)) {
                same = last.next_offset().max(offset);
            }
            if alike < both {
                return same;
            }
            (a, b) = (&a[both..], &b[both..]);
        }
    }

    fn slices_from(&self, offset: i64) -> impl Iterator<Item = &[Arc<Batch<R>>]> {
        self.segments_from(offset)
            .flat_map(move |segment| segment.slices_from(offset))
    }

    /// The batch appended last, unless it was truncated away or a new segment was opened since.
    pub fn last_batch(&self) -> Option<&Batch<R>> {
        self.active.last_batch()
    }

    /// The batch that covers `offset`, control batches included.
    pub fn batch_at(&self, offset: i64) -> Option<&Batch<R>> {
        let found = if offset >= self.active.base_offset() {
            self.active.batch_from(offset)
        } else {
            self.segments_from(offset)
                .find_map(|segment| segment.batch_from(offset))
        };
        found.filter(|batch| batch.base_offset <= offset)
    }

    /// The record at `offset`; `None` for markers, gaps and offsets outside the log.
    pub fn record_at(&self, offset: i64) -> Option<&R> {
        Some(self.entry_at(offset)?.1)
    }

    /// The record at `offset` and the batch that holds it.
    pub fn entry_at(&self, offset: i64) -> Option<(&Batch<R>, &R)> {
        let batch = self.batch_at(offset)?;
        Some((batch, batch.record_at(offset)?))
    }

    /// Bytes that a reader at `offset` could have: whole batches wholly below `bound`, counted until
    /// there are as many as `wanted`.
    pub fn bytes_from(&self, offset: i64, bound: i64, wanted: u64) -> u64 {
        let mut bytes = 0;
        if offset >= bound {
            return bytes;
        }
        for segment in self.segments_from(offset) {
            let read = segment.visit_from(offset, |batch| {
                if bytes >= wanted || batch.last_offset() >= bound {
                    return ControlFlow::Break(());
                }
                bytes += u64::from(batch.bytes);
                ControlFlow::Continue(())
            });
            if read.is_break() {
                break;
            }
        }
        bytes
    }

    pub(super) fn first_segment(&self) -> &Segment<R> {
        self.closed.first().map_or(&self.active, |segment| segment)
    }

    /// What is in remote storage comes first, where it is on local disk no more.
    fn segments_from(&self, offset: i64) -> impl Iterator<Item = &Segment<R>> {
        let remote = self.remote_from(offset).iter().map(Arc::as_ref);
        remote.chain(self.local_segments_from(offset))
    }

    fn local_segments_from(&self, offset: i64) -> impl Iterator<Item = &Segment<R>> {
        let above = self
            .closed
            .partition_point(|segment| segment.base_offset() <= offset);
        let closed = self
            .closed
            .iter()
            .skip(above.saturating_sub(1))
            .map(Arc::as_ref);
        closed.chain(std::iter::once(&self.active))
    }
}
