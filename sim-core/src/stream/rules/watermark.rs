//! Watermark generators, and how a silent source is noticed.
//!
//! Follows `BoundedOutOfOrdernessWatermarks`, `AscendingTimestampsWatermarks` and
//! `WatermarksWithIdleness`. A generator sees each record's event time and is asked periodically
//! (`pipeline.auto-watermark-interval`, 200 ms); between two ticks nothing moves. Punctuated
//! generators, which speak at records, are the job's own.

use super::NO_WATERMARK;
use serde::Serialize;

/// Trails the highest event time seen by a bound; with bound 0 it is the generator for ascending
/// times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct BoundedOutOfOrderness {
    bound_ms: i64,
    max_timestamp: i64,
}

impl BoundedOutOfOrderness {
    /// A generator that allows records to come `bound_ms` behind the latest; below 0 counts as 0.
    #[must_use]
    pub fn new(bound_ms: i64) -> Self {
        let bound_ms = bound_ms.max(0);
        BoundedOutOfOrderness {
            bound_ms,
            // So that the first watermark is none.
            max_timestamp: NO_WATERMARK.saturating_add(bound_ms).saturating_add(1),
        }
    }

    /// A record came.
    pub fn on_event(&mut self, timestamp: i64) {
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// The watermark at a tick: nothing at or before it is expected any more.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        let trailing = self.max_timestamp.saturating_sub(self.bound_ms);
        trailing.saturating_sub(1)
    }
}

/// Notices at a tick that no record came for longer than a while (`withIdleness`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IdlenessTimer {
    timeout_ms: i64,
    seen: u64,
    seen_at_last_check: u64,
    /// When the silence was first noticed, ms.
    silent_since: Option<i64>,
}

impl IdlenessTimer {
    /// A timer that takes a source for idle after more than `timeout_ms` of silence.
    #[must_use]
    pub fn new(timeout_ms: i64) -> Self {
        IdlenessTimer {
            timeout_ms,
            seen: 0,
            seen_at_last_check: 0,
            silent_since: None,
        }
    }

    /// A record came.
    pub fn activity(&mut self) {
        self.seen = self.seen.wrapping_add(1);
    }

    /// Whether the source is idle, asked at a tick; `now_ms` is a clock that stands while the source
    /// is held back. The silence is measured from the first tick that finds it, so idleness is
    /// noticed a tick or two later than the timeout.
    pub fn check(&mut self, now_ms: i64) -> bool {
        if self.seen != self.seen_at_last_check {
            self.seen_at_last_check = self.seen;
            self.silent_since = None;
            return false;
        }
        match self.silent_since {
            None => {
                self.silent_since = Some(now_ms);
                false
            }
            Some(since) => now_ms.saturating_sub(since) > self.timeout_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_trails_the_latest_record_by_the_bound() {
        let mut generator = BoundedOutOfOrderness::new(2_000);
        assert_eq!(generator.watermark(), NO_WATERMARK);
        for (timestamp, expected) in [(1_000, -1_001), (5_000, 2_999), (3_000, 2_999)] {
            generator.on_event(timestamp);
            assert_eq!(generator.watermark(), expected, "{timestamp}");
        }
        let mut ascending = BoundedOutOfOrderness::new(0);
        ascending.on_event(7);
        assert_eq!(ascending.watermark(), 6);
        let mut extreme = BoundedOutOfOrderness::new(i64::MAX);
        extreme.on_event(i64::MIN);
        assert!(extreme.watermark() < 0);
    }

    #[test]
    fn silence_counts_from_the_tick_that_notices_it() {
        let mut timer = IdlenessTimer::new(5_000);
        timer.activity();
        // The last record at 100, ticks every 200 ms.
        let ticks = (1..=40).map(|tick| tick * 200);
        let idle_at = ticks.into_iter().find(|now| timer.check(*now));
        assert_eq!(idle_at, Some(5_600));
        timer.activity();
        assert!(!timer.check(5_800), "one record and it is active again");
    }
}
