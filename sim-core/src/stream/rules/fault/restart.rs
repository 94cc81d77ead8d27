//! Whether a failed job is restarted, and after how long.
//!
//! Follows `NoRestart…`, `FixedDelay…`, `FailureRate…` and `ExponentialDelay…` of the package
//! `executiongraph.failover` (`…RestartBackoffTimeStrategy`). Exponential delay, the default with
//! checkpointing since 1.19, counts all failures until the restart that one of them brings about as
//! one attempt, and starts anew after a quiet time. Powers are computed exactly, to a millionth of
//! a millionth of a millisecond, instead of in floating point.

use super::MILLION;
use serde::Serialize;
use std::collections::VecDeque;

/// One millisecond, in the parts in which the exponential delay is kept.
const PARTS: u128 = 1_000_000_000_000;
/// No delay grows beyond this, ms.
const LARGEST_MS: u128 = 1 << 50;

/// The exponential delay's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ExponentialDelay {
    /// First delay, ms; at least 1.
    pub initial_ms: i64,
    /// Longest, ms.
    pub max_ms: i64,
    /// Each delay over the one before, millionths; more than one whole.
    pub multiplier: i64,
    /// After so long without a failure since the restart, ms, the delay is the first again.
    pub reset_threshold_ms: i64,
    /// Each delay varies by this part of it, millionths; at most one whole.
    pub jitter: i64,
    /// Restarts in a row that are allowed.
    pub attempts: i64,
}

impl Default for ExponentialDelay {
    /// Flink's: 1 s, half as long again each time, at most 1 min, reset after 1 h, a tenth of
    /// jitter, without end.
    fn default() -> Self {
        ExponentialDelay {
            initial_ms: 1_000,
            max_ms: 60_000,
            multiplier: 3 * MILLION / 2,
            reset_threshold_ms: 3_600_000,
            jitter: MILLION / 10,
            attempts: i64::from(i32::MAX),
        }
    }
}

/// How the exponential delay stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExponentialState {
    settings: ExponentialDelay,
    /// The next delay, before jitter and bounds, in parts of a millisecond.
    delay: u128,
    attempt: i64,
    next_restart_ms: Option<i64>,
}

/// A strategy, with what it remembers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum RestartStrategy {
    /// Never.
    NoRestart,
    /// So often, always after the same time.
    FixedDelay {
        /// Restarts allowed.
        attempts: i64,
        /// ms.
        delay_ms: i64,
        /// Failures so far.
        failures: i64,
    },
    /// As long as failures are rare enough.
    FailureRate {
        /// Failures allowed in the interval.
        max_failures: i64,
        /// ms.
        interval_ms: i64,
        /// ms.
        delay_ms: i64,
        /// When the latest failures were, ms, one more than are allowed.
        failures: VecDeque<i64>,
    },
    /// After a longer time each time.
    Exponential(ExponentialState),
}

impl RestartStrategy {
    /// A fixed delay.
    #[must_use]
    pub fn fixed_delay(attempts: i64, delay_ms: i64) -> Self {
        RestartStrategy::FixedDelay {
            attempts,
            delay_ms,
            failures: 0,
        }
    }

    /// A greatest rate of failures.
    #[must_use]
    pub fn failure_rate(max_failures: i64, interval_ms: i64, delay_ms: i64) -> Self {
        RestartStrategy::FailureRate {
            max_failures,
            interval_ms,
            delay_ms,
            failures: VecDeque::new(),
        }
    }

    /// An exponential delay.
    #[must_use]
    pub fn exponential(settings: ExponentialDelay) -> Self {
        RestartStrategy::Exponential(ExponentialState::new(settings))
    }

    /// Whether the job may be restarted after what has failed so far.
    #[must_use]
    pub fn can_restart(&self, now_ms: i64) -> bool {
        match self {
            RestartStrategy::NoRestart => false,
            RestartStrategy::FixedDelay {
                attempts, failures, ..
            } => failures <= attempts,
            RestartStrategy::FailureRate {
                max_failures,
                interval_ms,
                failures,
                ..
            } => match failures.front() {
                Some(earliest) if is_full(failures, *max_failures) => {
                    now_ms.saturating_sub(*earliest) > *interval_ms
                }
                _ => true,
            },
            RestartStrategy::Exponential(it) => it.attempt <= it.settings.attempts,
        }
    }

    /// From `now_ms` to the restart, ms; `None` before any failure where that decides it.
    #[must_use]
    pub fn backoff_ms(&self, now_ms: i64) -> Option<i64> {
        match self {
            RestartStrategy::NoRestart => Some(0),
            RestartStrategy::FixedDelay { delay_ms, .. }
            | RestartStrategy::FailureRate { delay_ms, .. } => Some(*delay_ms),
            RestartStrategy::Exponential(it) => {
                let next = it.next_restart_ms?;
                Some(next.saturating_sub(now_ms).max(0))
            }
        }
    }

    /// A failure. `draw` is uniformly distributed and decides the jitter. Returns whether it is an
    /// attempt of its own, or one more failure ahead of a restart that is already scheduled.
    pub fn on_failure(&mut self, now_ms: i64, draw: u64) -> bool {
        match self {
            RestartStrategy::NoRestart => true,
            RestartStrategy::FixedDelay { failures, .. } => {
                *failures = failures.saturating_add(1);
                true
            }
            RestartStrategy::FailureRate {
                max_failures,
                failures,
                ..
            } => {
                if is_full(failures, *max_failures) {
                    failures.pop_front();
                }
                failures.push_back(now_ms);
                true
            }
            RestartStrategy::Exponential(it) => it.on_failure(now_ms, draw),
        }
    }
}

fn is_full(failures: &VecDeque<i64>, max: i64) -> bool {
    i64::try_from(failures.len()).is_ok_and(|it| it > max)
}

impl ExponentialState {
    fn new(settings: ExponentialDelay) -> Self {
        ExponentialState {
            settings,
            delay: first_delay(settings),
            attempt: 0,
            next_restart_ms: None,
        }
    }

    fn on_failure(&mut self, now_ms: i64, draw: u64) -> bool {
        if let Some(next) = self.next_restart_ms {
            if now_ms <= next {
                return false;
            }
            if now_ms.saturating_sub(next) >= self.settings.reset_threshold_ms {
                self.attempt = 0;
                self.delay = first_delay(self.settings);
            }
        }
        self.next_restart_ms = Some(now_ms.saturating_add(self.actual_ms(draw)));
        self.attempt = self.attempt.saturating_add(1);
        let multiplier = u128::try_from(self.settings.multiplier).unwrap_or(0);
        let million = u128::from(MILLION.unsigned_abs());
        let grown = self.delay.saturating_mul(multiplier) / million;
        self.delay = grown.min(LARGEST_MS * PARTS);
        true
    }

    /// The delay with its jitter, within its bounds.
    fn actual_ms(&self, draw: u64) -> i64 {
        let base = i64::try_from(self.delay / PARTS).unwrap_or(i64::MAX);
        let share = i128::from(base) * i128::from(self.settings.jitter) / i128::from(MILLION);
        let width = share.clamp(0, i128::from(i64::MAX));
        let jitter = i128::from(draw) % (2 * width + 1) - width;
        let jittered = i128::from(base) + jitter;
        let bounded = jittered.min(i128::from(self.settings.max_ms));
        let bounded = bounded.max(i128::from(self.settings.initial_ms));
        i64::try_from(bounded).unwrap_or(i64::MAX)
    }
}

fn first_delay(settings: ExponentialDelay) -> u128 {
    let initial = u128::try_from(settings.initial_ms).unwrap_or(0);
    initial.min(LARGEST_MS) * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures at these times, s: which of them end in a restart.
    fn check(mut strategy: RestartStrategy, failures_s: &[i64], restarts: &[bool]) {
        for (at, expected) in failures_s.iter().zip(restarts) {
            strategy.on_failure(at * 1_000, 0);
            assert_eq!(strategy.can_restart(at * 1_000), *expected, "{at} s");
        }
    }

    #[test]
    fn restarts_run_out() {
        check(RestartStrategy::NoRestart, &[0], &[false]);
        let fixed = RestartStrategy::fixed_delay(3, 1_000);
        check(fixed, &[0, 1, 2, 3], &[true, true, true, false]);
        let rate = || RestartStrategy::failure_rate(3, 300_000, 1_000);
        check(rate(), &[0, 60, 120, 180], &[true, true, true, false]);
        check(rate(), &[0, 60, 120, 301], &[true, true, true, true]);
    }

    #[test]
    fn the_delay_grows_to_its_bound_and_is_reset() {
        let settings = ExponentialDelay {
            jitter: 0,
            ..ExponentialDelay::default()
        };
        let mut strategy = RestartStrategy::exponential(settings);
        assert_eq!(strategy.backoff_ms(0), None);
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..13 {
            assert!(strategy.on_failure(now, 0));
            assert!(!strategy.on_failure(now, 0), "the same attempt");
            let delay = strategy.backoff_ms(now).expect("a failure");
            delays.push(delay);
            now += delay + 1;
        }
        let expected = [
            1_000, 1_500, 2_250, 3_375, 5_062, 7_593, 11_390, 17_085, 25_628, 38_443, 57_665,
            60_000, 60_000,
        ];
        assert_eq!(delays, expected);
        now += 3_600_000;
        assert!(strategy.on_failure(now, 0));
        assert_eq!(strategy.backoff_ms(now), Some(1_000));
    }

    #[test]
    fn jitter_spreads_the_delay_evenly_about_itself() {
        let settings = ExponentialDelay {
            initial_ms: 8,
            max_ms: 100,
            multiplier: 2 * MILLION,
            jitter: MILLION / 4,
            ..ExponentialDelay::default()
        };
        let mut delays = Vec::new();
        for draw in 0..9 {
            let mut strategy = RestartStrategy::exponential(settings);
            strategy.on_failure(0, 2);
            strategy.on_failure(100, draw);
            delays.push(strategy.backoff_ms(100).expect("a failure"));
        }
        assert_eq!(delays, [12, 13, 14, 15, 16, 17, 18, 19, 20]);
    }
}
