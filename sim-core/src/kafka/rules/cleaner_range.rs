//! Which part of a log may be compacted, and how dirty the log is.
//!
//! Follows `LogCleanerManager.cleanableOffsets`, `calculateCleanableBytes`, `maxCompactionDelay` and
//! `LogToClean`. Cleaning goes from the cleaner's checkpoint up to the last stable offset, the
//! active segment, or the first segment with records younger than `min.compaction.lag.ms`.

use super::partition_log::PartitionLog;
use crate::log::LogRecord;

/// The dirty part of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetsToClean {
    /// First offset that was not cleaned before.
    pub first_dirty: i64,
    /// First offset that may not be cleaned yet.
    pub first_uncleanable: i64,
    /// The checkpoint was outside of the log and must be written anew.
    pub force_update_checkpoint: bool,
}

/// What may be cleaned of a log whose cleaner has got to `checkpoint`.
pub fn cleanable_offsets<R: LogRecord>(
    log: &PartitionLog<R>,
    checkpoint: Option<i64>,
    now_ms: i64,
) -> OffsetsToClean {
    let it = log.log();
    let start = it.start_offset();
    let known = checkpoint.unwrap_or(start);
    let valid = (start..=it.leo()).contains(&known);
    let first_dirty = if valid { known } else { start };
    let lag_ms = it.config().min_compaction_lag_ms.max(0);
    let young = |segment_ms: i64| lag_ms > 0 && segment_ms > now_ms.saturating_sub(lag_ms);
    let dirty = it.closed_from(first_dirty).iter();
    let first_young = dirty
        .filter(|segment| young(segment.largest_timestamp_ms()))
        .map(|segment| segment.base_offset())
        .next();
    let bounds = [log.last_stable_offset(), it.active_segment().base_offset()];
    let bound = bounds.into_iter().chain(first_young).min();
    OffsetsToClean {
        first_dirty,
        first_uncleanable: bound.unwrap_or(first_dirty).max(first_dirty),
        force_update_checkpoint: !valid,
    }
}

/// By how much the oldest dirty record has waited too long for `max.compaction.lag.ms`; 0 if none
/// has.
pub fn max_compaction_delay_ms<R: LogRecord>(
    log: &PartitionLog<R>,
    first_dirty: i64,
    now_ms: i64,
) -> i64 {
    let dirty = log.log().closed_from(first_dirty).iter();
    let first = dirty
        .map(|segment| segment.first_timestamp_ms())
        .filter(|ms| *ms > 0)
        .min();
    let lag_ms = log.log().config().max_compaction_lag_ms.max(0);
    let until = now_ms.saturating_sub(lag_ms);
    first.map_or(0, |first| until.saturating_sub(first).max(0))
}

/// A log with its dirty part, measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogToClean {
    /// First dirty offset.
    pub first_dirty: i64,
    /// Where cleaning ends: the start of a segment.
    pub first_uncleanable: i64,
    /// Bytes below the dirty part.
    pub clean_bytes: u64,
    /// Bytes of the dirty part that may be cleaned.
    pub cleanable_bytes: u64,
    /// Records have waited for `max.compaction.lag.ms`.
    pub needs_compaction_now: bool,
}

impl LogToClean {
    /// Measures a log.
    pub fn new<R: LogRecord>(
        log: &PartitionLog<R>,
        first_dirty: i64,
        uncleanable: i64,
        needs_compaction_now: bool,
    ) -> Self {
        let it = log.log();
        let bytes = |from: i64, to: i64| -> u64 {
            let segments = it.segments_between(from, to);
            segments.iter().map(|segment| segment.bytes()).sum()
        };
        let first_closed = it.closed_from(uncleanable).first();
        let first_uncleanable = first_closed.map_or(it.active_segment().base_offset(), |segment| {
            segment.base_offset()
        });
        LogToClean {
            first_dirty,
            first_uncleanable,
            clean_bytes: bytes(-1, first_dirty),
            cleanable_bytes: bytes(first_dirty.min(first_uncleanable), first_uncleanable),
            needs_compaction_now,
        }
    }

    /// All bytes that count.
    pub fn total_bytes(&self) -> u64 {
        self.clean_bytes + self.cleanable_bytes
    }

    /// Whether more than `ppm` millionths of the log are dirty.
    pub fn is_dirtier_than(&self, ppm: u32) -> bool {
        u128::from(self.cleanable_bytes) * 1_000_000
            > u128::from(self.total_bytes()) * u128::from(ppm)
    }

    /// Orders by dirty ratio.
    pub fn cmp_ratio(&self, other: &Self) -> std::cmp::Ordering {
        let share =
            |one: &Self, of: &Self| u128::from(one.cleanable_bytes) * u128::from(of.total_bytes());
        share(self, other).cmp(&share(other, self))
    }
}
