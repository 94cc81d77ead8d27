//! Pauses that double, with jitter.
//!
//! Follows `ExponentialBackoff`: `initial · 2^n · (1 ± 0.2)`, at most `max`. The jitter is a keyed
//! draw, so that a what-if twin of a run waits as long as the original did.

use crate::kernel::{Nanos, below};
use serde::Serialize;

/// ±20 % in parts per million.
const JITTER_PPM: u64 = 200_000;
const PPM: u64 = 1_000_000;

/// A backoff policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(in crate::kafka) struct Backoff {
    /// First pause, ns.
    pub(in crate::kafka) initial: Nanos,
    /// Largest pause, ns.
    pub(in crate::kafka) max: Nanos,
}

impl Backoff {
    /// The pause after `failures` failures before this one, with `bits` as chance.
    pub(in crate::kafka) fn pause(&self, failures: u32, bits: u64) -> Nanos {
        // When the settings contradict each other the pause is constant (`retry.backoff.max.ms`).
        let initial = self.initial.min(self.max);
        let factor = 1_u64.checked_shl(failures).filter(|f| *f != 0);
        let term = factor
            .map_or(Nanos::MAX, |f| initial.saturating_mul(f))
            .min(self.max);
        let ppm = PPM - JITTER_PPM + below(bits, 2 * JITTER_PPM + 1);
        let jittered = match term.checked_mul(ppm) {
            Some(product) => product / PPM,
            None => {
                let exact = u128::from(term) * u128::from(ppm) / u128::from(PPM);
                u64::try_from(exact).unwrap_or(Nanos::MAX)
            }
        };
        jittered.min(self.max)
    }

    /// The longest that [`Backoff::pause`] can give after so many failures.
    #[cfg(test)]
    pub(in crate::kafka) fn longest(&self, failures: u32) -> Nanos {
        self.pause(failures, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_a_fifth_and_stop_at_the_largest() {
        let backoff = Backoff {
            initial: 100,
            max: 1_000,
        };
        let check = |failures, low, high| {
            assert_eq!(backoff.pause(failures, 0), low, "{failures}");
            assert_eq!(backoff.longest(failures), high, "{failures}");
        };
        check(0, 80, 120);
        check(1, 160, 240);
        check(3, 640, 960);
        check(4, 800, 1_000);
        check(63, 800, 1_000);
        check(64, 800, 1_000);
        check(1_000, 800, 1_000);
    }
}
