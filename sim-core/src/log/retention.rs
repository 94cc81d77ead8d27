//! Retention: deleting whole segments from the head of a log.
//!
//! Follows `UnifiedLog.deleteOldSegments`: first what lies below the log start, then by size, then
//! by time. A segment goes only if its end is at or below the high watermark. An expired active
//! segment is rolled first. Readers see the new log start at once; that files stay on disk for
//! `file.delete.delay.ms` has no effect anyone can see, and is left out. Of a tiered log only
//! segments that are in remote storage may leave the local disk.

use std::sync::Arc;

use super::log::Log;
use super::record::LogRecord;
use super::segment::Segment;

/// Why a segment was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum DeletionReason {
    /// All of it lies below the log start offset.
    LogStartOffset,
    /// The log is larger than `retention.bytes`.
    Size,
    /// Its largest timestamp is older than `retention.ms`.
    Time,
}

/// A segment that retention deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Deleted {
    /// Base offset of the segment.
    pub base_offset: i64,
    /// Offset after its last batch.
    pub end_offset: i64,
    /// Size in bytes.
    pub bytes: u64,
    /// Why it went.
    pub reason: DeletionReason,
}

impl<R: LogRecord> Log<R> {
    /// One retention pass at `now_ms`; returns what was deleted, oldest first.
    pub fn delete_old_segments(&mut self, now_ms: i64) -> Vec<Deleted> {
        let mut deleted = Vec::new();
        let tiered = self.config().remote_log_enabled();
        let start_offset = if tiered {
            self.local_start_offset()
        } else {
            self.start_offset()
        };
        self.delete_head(
            now_ms,
            DeletionReason::LogStartOffset,
            &mut deleted,
            |_, end, next| next && end <= start_offset,
        );
        if !self.config().cleanup_policy.delete {
            return deleted;
        }
        let (retention_ms, retention_bytes) = self.config().local_retention();
        let bound = u64::try_from(retention_bytes).ok();
        if let Some(mut excess) = bound.and_then(|bound| self.bytes().checked_sub(bound)) {
            self.delete_head(
                now_ms,
                DeletionReason::Size,
                &mut deleted,
                |segment, _, _| {
                    let goes = segment.bytes() <= excess;
                    excess -= if goes { segment.bytes() } else { 0 };
                    goes
                },
            );
        }
        if retention_ms >= 0 {
            self.delete_head(
                now_ms,
                DeletionReason::Time,
                &mut deleted,
                |segment, _, _| now_ms - segment.largest_timestamp_ms() > retention_ms,
            );
        }
        deleted
    }

    /// Deletes segments from the head while `goes(segment, its end, whether another follows)`.
    fn delete_head(
        &mut self,
        now_ms: i64,
        reason: DeletionReason,
        deleted: &mut Vec<Deleted>,
        mut goes: impl FnMut(&Segment<R>, i64, bool) -> bool,
    ) {
        let mut count = 0;
        let mut includes_active = false;
        loop {
            let (segment, end, next) = match self.closed.get(count) {
                Some(segment) => (segment.as_ref(), self.base_offset_after(count), true),
                None => (&self.active, self.leo(), false),
            };
            let empty_active = !next && segment.is_empty();
            if empty_active || self.high_watermark() < end || !goes(segment, end, next) {
                break;
            }
            if !self.may_leave_disk(end, next) {
                // An active segment that breaks the bounds is closed, so that it can be copied.
                if !next {
                    self.roll(self.leo(), now_ms);
                }
                break;
            }
            let (base_offset, bytes) = (segment.base_offset(), segment.bytes());
            deleted.push(Deleted {
                base_offset,
                end_offset: end,
                bytes,
                reason,
            });
            if !next {
                includes_active = true;
                break;
            }
            count += 1;
        }
        if includes_active {
            self.roll(self.leo(), now_ms);
            count += 1;
        }
        if count > 0 {
            Arc::make_mut(&mut self.closed).drain(..count);
            self.local_segments_deleted(self.first_segment().base_offset());
        }
    }

    /// Whether a segment that ends at `end` is safe elsewhere, or below the log start.
    fn may_leave_disk(&self, end: i64, next: bool) -> bool {
        let below_start = next && self.start_offset() >= end;
        !self.config().remote_copy_enabled()
            || below_start
            || (end > 0 && end - 1 <= self.highest_remote_offset())
    }

    fn base_offset_after(&self, closed_index: usize) -> i64 {
        match self.closed.get(closed_index + 1) {
            Some(next) => next.base_offset(),
            None => self.active.base_offset(),
        }
    }
}
