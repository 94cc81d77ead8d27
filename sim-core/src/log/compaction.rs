//! What a cleaner does to a log's segments: finds those of a range of offsets, and puts one new
//! segment in the place of several old ones.
//!
//! Follows `LogSegments.values`, `LogSegments.nonActiveLogSegmentsFrom` and
//! `UnifiedLog.replaceSegments`. What is kept and what goes is decided in
//! [`crate::kafka::rules::cleaner`]. Left out: the `.cleaned` and `.swap` files, since a pass of the
//! simulated cleaner happens in one instant.

use std::sync::Arc;

use super::batch::Batch;
use super::log::Log;
use super::record::LogRecord;
use super::segment::Segment;

impl<R: LogRecord> Log<R> {
    /// The segments that are no longer appended to, oldest first.
    pub fn closed_segments(&self) -> &[Arc<Segment<R>>] {
        &self.closed
    }

    /// The segment that is appended to.
    pub fn active_segment(&self) -> &Segment<R> {
        &self.active
    }

    /// The segments from the one that holds `from` to the last that begins below `to`; none if the
    /// two are the same.
    pub fn segments_between(&self, from: i64, to: i64) -> Vec<&Segment<R>> {
        let closed = self.closed_between(from, to).iter().map(Arc::as_ref);
        let active = &self.active;
        let with_active = from < to && active.base_offset() < to;
        closed.chain(with_active.then_some(active)).collect()
    }

    /// The closed segments from the one that holds `offset` on.
    pub fn closed_from(&self, offset: i64) -> &[Arc<Segment<R>>] {
        self.closed_between(offset, self.active.base_offset())
    }

    fn closed_between(&self, from: i64, to: i64) -> &[Arc<Segment<R>>] {
        // What begins at the active segment's base is in it, not in the last closed one.
        if from >= to || from >= self.active.base_offset() {
            return &[];
        }
        let first = self.index_of(from);
        let end = self.closed.partition_point(|it| it.base_offset() < to);
        self.closed.get(first..end).unwrap_or_default()
    }

    /// Index of the closed segment that holds `offset`.
    fn index_of(&self, offset: i64) -> usize {
        let above = self.closed.partition_point(|it| it.base_offset() <= offset);
        above.saturating_sub(1)
    }

    /// Puts one segment with these batches in the place of `count` closed ones, of which the first
    /// begins at `base_offset`. Offsets stay, so the batches have gaps between them.
    pub fn replace_closed(&mut self, base_offset: i64, count: usize, batches: Vec<Arc<Batch<R>>>) {
        let first = self.index_of(base_offset);
        let Some([head, ..]) = self.closed.get(first..first + count) else {
            return;
        };
        let modified_ms = self.closed[first + count - 1].last_modified_ms();
        let cleaned = head.rewritten(batches, modified_ms);
        Arc::make_mut(&mut self.closed).splice(first..first + count, [Arc::new(cleaned)]);
    }

    /// Closes the active segment, if it holds anything, and opens one at `base_offset` (at the log
    /// end if none is given).
    pub fn roll_at(&mut self, base_offset: Option<i64>, now_ms: i64) {
        if self.active.is_empty() {
            return;
        }
        let base_offset = base_offset.unwrap_or_else(|| self.leo()).max(self.leo());
        self.skip_to(base_offset);
        self.roll(base_offset, now_ms);
    }
}
