//! How long the last alignment took, and how much was processed meanwhile.
//!
//! Follows the measuring half of `CheckpointBarrierHandler`, in milliseconds instead of
//! nanoseconds: one alignment is measured at a time, the one that began last.

use serde::Serialize;

/// The measurement of one handler.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AlignmentClock {
    started_ms: Option<i64>,
    checkpoint: i64,
    bytes: u64,
    start_delay_ms: i64,
    /// Duration and bytes of the alignment that ended last, unless another began since.
    latest: Option<(i64, u64)>,
}

impl Default for AlignmentClock {
    fn default() -> Self {
        AlignmentClock {
            started_ms: None,
            checkpoint: -1,
            bytes: 0,
            start_delay_ms: 0,
            latest: None,
        }
    }
}

impl AlignmentClock {
    /// The first barrier of a checkpoint came at `now_ms`.
    pub(super) fn begin(&mut self, checkpoint: i64, created_ms: i64, now_ms: i64) {
        self.reset();
        self.start_delay_ms = now_ms.saturating_sub(created_ms).max(0);
        self.started_ms = Some(now_ms);
        self.checkpoint = checkpoint;
    }

    /// The last barrier came.
    pub(super) fn end(&mut self, now_ms: i64) {
        let started = self.started_ms.unwrap_or(now_ms);
        let took = now_ms.saturating_sub(started).max(0);
        if self.latest.is_none() {
            self.latest = Some((took, self.bytes));
        }
        self.started_ms = None;
        self.bytes = 0;
    }

    /// What was being measured does not count.
    pub(super) fn reset(&mut self) {
        self.started_ms = None;
        self.bytes = 0;
        self.latest = None;
    }

    /// Bytes were processed.
    pub(super) fn processed(&mut self, bytes: u32) {
        if self.started_ms.is_some() {
            self.bytes = self.bytes.saturating_add(u64::from(bytes));
        }
    }

    /// Whether barriers of a checkpoint are missing.
    #[must_use]
    pub fn is_aligning(&self) -> bool {
        self.started_ms.is_some()
    }

    /// How long the current alignment has lasted, or the latest took, ms.
    #[must_use]
    pub fn duration_ms(&self, now_ms: i64) -> i64 {
        match (self.started_ms, self.latest) {
            (Some(started), _) => now_ms.saturating_sub(started),
            (None, latest) => latest.map_or(0, |(took, _)| took),
        }
    }

    /// From the creation of the latest checkpoint to its first barrier here, ms; 0 for another one.
    #[must_use]
    pub fn start_delay_ms(&self, checkpoint: i64) -> i64 {
        match checkpoint == self.checkpoint {
            true => self.start_delay_ms,
            false => 0,
        }
    }

    /// Duration, ms, and bytes of a checkpoint's alignment; nothing for another than the latest.
    pub(super) fn measured(&self, checkpoint: i64) -> (i64, u64) {
        match self.latest {
            Some(latest) if checkpoint == self.checkpoint => latest,
            _ => (0, 0),
        }
    }
}
