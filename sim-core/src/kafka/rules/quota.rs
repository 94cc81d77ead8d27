//! Quotas: how long a client that is too fast is kept waiting.
//!
//! Follows `QuotaUtils`, `Rate.windowSize` and `ClientQuotaManager`. A rate is counted over the
//! windows kept (`quota.window.num` of them, `quota.window.size.seconds` each, the last one under
//! way); a client above its quota waits until, with nothing more sent, the rate is the quota again.
//! Rates come in millionths of a unit a second, since the engine makes no decision with fractions.

use serde::Serialize;
use std::collections::VecDeque;

/// Units of a rate: one a second is so many.
pub const RATE_UNIT: u64 = 1_000_000;

/// The wait that brings an observed rate down to a quota, in ms: `(observed - quota) / quota` of the
/// window, rounded half up. Negative below the quota. Rates only need the same unit.
pub fn throttle_time_ms(observed: u64, quota: u64, window_ms: u64) -> i64 {
    let (observed, quota) = (i128::from(observed), i128::from(quota.max(1)));
    let twice = 2 * (observed - quota) * i128::from(window_ms) + quota;
    let time = twice.div_euclid(2 * quota);
    i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX })
}

/// The same, but never longer than `max_ms`.
pub fn bounded_throttle_time_ms(observed: u64, quota: u64, window_ms: u64, max_ms: i64) -> i64 {
    throttle_time_ms(observed, quota, window_ms).min(max_ms)
}

/// How a rate is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct QuotaWindows {
    /// `quota.window.num`: windows kept, the one under way included.
    pub samples: u32,
    /// `quota.window.size.seconds`, in ms.
    pub window_ms: u64,
}

impl Default for QuotaWindows {
    fn default() -> Self {
        QuotaWindows {
            samples: 11,
            window_ms: 1_000,
        }
    }
}

impl QuotaWindows {
    /// What a rate is taken over if the oldest sample began `elapsed_ms` ago: at least the full
    /// windows before the one under way, even if no so much time has passed.
    pub fn span_ms(&self, elapsed_ms: u64) -> u64 {
        let full = elapsed_ms / self.window_ms.max(1);
        let least = u64::from(self.samples.saturating_sub(1));
        elapsed_ms + least.saturating_sub(full) * self.window_ms
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Sample {
    began_ms: u64,
    sum: u64,
}

/// What one client has used of late (the `byte-rate` sensor of `ClientQuotaManager`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Usage {
    samples: VecDeque<Sample>,
}

impl Usage {
    /// Takes note of `amount` (bytes) at `now_ms`, and returns how long the client must wait, in ms.
    /// `quota` is a rate in [`RATE_UNIT`]s, `max_ms` the longest wait: none for rates of bytes, one window
    /// for the time of requests.
    pub fn record(
        &mut self,
        amount: u64,
        quota: u64,
        windows: QuotaWindows,
        now_ms: u64,
        max_ms: i64,
    ) -> i64 {
        self.add(amount, windows, now_ms);
        let span = windows.span_ms(self.elapsed_ms(windows, now_ms));
        let rate = self.rate(windows, now_ms);
        if rate <= quota {
            return 0;
        }
        bounded_throttle_time_ms(rate, quota, span, max_ms).max(0)
    }

    /// Takes note of `amount` (bytes) at `now_ms`, as replication does, and nothing else.
    pub fn note(&mut self, amount: u64, windows: QuotaWindows, now_ms: u64) {
        self.elapsed_ms(windows, now_ms);
        self.add(amount, windows, now_ms);
    }

    /// The rate since the oldest window began (`SimpleRate`, the one of replication), in
    /// [`RATE_UNIT`]s a second: a window at least, however young that is.
    pub fn simple_rate(&mut self, windows: QuotaWindows, now_ms: u64) -> u64 {
        let span = self.elapsed_ms(windows, now_ms).max(windows.window_ms);
        self.rate_over(span)
    }

    fn add(&mut self, amount: u64, windows: QuotaWindows, now_ms: u64) {
        match self.samples.back_mut() {
            Some(last) if now_ms < last.began_ms + windows.window_ms => last.sum += amount,
            _ => self.samples.push_back(Sample {
                began_ms: now_ms,
                sum: amount,
            }),
        }
    }

    fn rate_over(&self, span_ms: u64) -> u64 {
        let sum: u64 = self.samples.iter().map(|sample| sample.sum).sum();
        let rate = u128::from(sum) * u128::from(RATE_UNIT) * 1_000 / u128::from(span_ms.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// Takes back what was recorded last: what the client did not get after all.
    pub fn unrecord(&mut self, amount: u64) {
        if let Some(last) = self.samples.back_mut() {
            last.sum = last.sum.saturating_sub(amount);
        }
    }

    /// The rate of late, in [`RATE_UNIT`]s a second.
    pub fn rate(&mut self, windows: QuotaWindows, now_ms: u64) -> u64 {
        let span = windows.span_ms(self.elapsed_ms(windows, now_ms));
        self.rate_over(span)
    }

    /// Forgets what is too old, and says how long ago the oldest sample began.
    fn elapsed_ms(&mut self, windows: QuotaWindows, now_ms: u64) -> u64 {
        let kept_ms = u64::from(windows.samples) * windows.window_ms;
        self.samples
            .retain(|sample| now_ms < sample.began_ms + kept_ms);
        let first = self.samples.front().map_or(now_ms, |it| it.began_ms);
        now_ms.saturating_sub(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_counts_no_windows_before_it_began() {
        let windows = QuotaWindows::default();
        let mut usage = Usage::default();
        let check = |usage: &mut Usage, now_ms, bytes_a_second| {
            let rate = usage.simple_rate(windows, now_ms);
            assert_eq!(rate, bytes_a_second * RATE_UNIT, "{now_ms}");
        };
        check(&mut usage, 0, 0);
        usage.note(3_000, windows, 0);
        check(&mut usage, 500, 3_000);
        check(&mut usage, 3_000, 1_000);
        usage.note(3_000, windows, 6_000);
        check(&mut usage, 6_000, 1_000);
        // The oldest window is forgotten after eleven.
        check(&mut usage, 12_000, 500);
    }

    #[test]
    fn the_wait_brings_the_rate_down_to_the_quota() {
        let check = |observed, quota, window_ms, wait| {
            assert_eq!(throttle_time_ms(observed, quota, window_ms), wait);
        };
        check(100, 50, 2_000, 2_000);
        check(50, 50, 9_000, 0);
        check(165, 204, 9_000, -1_721);
        // 0.5 ms counts as one, -0.5 ms as none.
        check(2_001, 2_000, 1_000, 1);
        check(1_999, 2_000, 1_000, 0);
        assert_eq!(bounded_throttle_time_ms(100, 50, 9_000, 500), 500);
        assert_eq!(bounded_throttle_time_ms(55, 50, 1_000, 500), 100);
    }

    #[test]
    fn a_burst_waits_and_is_forgotten() {
        let windows = QuotaWindows::default();
        let quota = 100 * RATE_UNIT;
        let mut usage = Usage::default();
        // 1,500 over 10 s are 150 a second: half as much again, so half of 10 s.
        assert_eq!(usage.record(1_000, quota, windows, 0, 60_000), 0);
        assert_eq!(usage.record(500, quota, windows, 0, 60_000), 5_000);
        assert_eq!(usage.record(0, quota, windows, 0, 1_000), 1_000);
        assert_eq!(usage.rate(windows, 11_000), 0);
        assert_eq!(usage.record(1_500, quota, windows, 20_000, 60_000), 5_000);
        usage.unrecord(1_500);
        assert_eq!(usage.rate(windows, 20_000), 0);
    }
}
