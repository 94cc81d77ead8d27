//! What the application sends, and when: arrivals, keys and the partition of each key.
//!
//! Not a part of Kafka. The application is one thread that sends, waits for the gap and sends
//! again; while `send()` blocks it does nothing else, and the gap counts from then on. Every choice
//! is a keyed draw by the number of the record, so that a what-if twin of a run sends the same keys
//! after the same gaps.

use crate::kafka::consumer::Output;
use crate::kafka::node::KafkaCx;
use crate::kafka::rules::murmur2::murmur2;
use crate::kafka::spec::{Arrivals, Keys, LoadSpec};
use crate::kernel::{Nanos, Purpose, below, exponential};
use crate::zipf;
use serde::Serialize;
use std::io::Write;

const GAP: Purpose = Purpose::named("load.gap");
const KEY: Purpose = Purpose::named("load.key");
const TOMBSTONE: Purpose = Purpose::named("load.tombstone");
const ORDERED_TOMBSTONE: Purpose = Purpose::named("load.ordered-tombstone");
const ORDERED_KEY: Purpose = Purpose::named("load.ordered-key");

/// Up to so many keys have their hash computed beforehand.
const HASH_TABLE: u32 = 1 << 16;
/// Digits of the largest key number.
const DIGITS: usize = 10;

/// Why a record is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Reason {
    /// It is the load's record with this number.
    Load(u64),
    /// It is the record with this number that was ordered by hand.
    Order(u64),
    /// It was made of a record that was read.
    Forward(Output),
}

/// The load with all that follows from it; never changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct LoadPlan {
    pub(super) spec: LoadSpec,
    /// Running sums of Zipf weights; a function of the rest, as are the hashes.
    #[serde(skip)]
    zipf: Vec<u64>,
    #[serde(skip)]
    hashes: Vec<i32>,
}

impl LoadPlan {
    pub(super) fn new(spec: &LoadSpec) -> Self {
        let (keys, zipf) = match spec.keys {
            Keys::None => (0, Vec::new()),
            Keys::Cycle { n } | Keys::Uniform { n } => (n, Vec::new()),
            Keys::Zipf { n, exponent_milli } => (n, zipf::cumulative(n, exponent_milli)),
        };
        let hashes = (0..keys.min(HASH_TABLE)).map(|key| hash(&spec.key_prefix, key));
        LoadPlan {
            spec: spec.clone(),
            zipf,
            hashes: hashes.collect(),
        }
    }

    /// The key of a record, if the load has keys.
    pub(super) fn key(&self, reason: Reason, cx: &KafkaCx<'_>) -> Option<u32> {
        let (purpose, number) = match reason {
            Reason::Load(number) => (KEY, number),
            Reason::Order(number) => (ORDERED_KEY, number),
            Reason::Forward(output) => return output.key,
        };
        match self.spec.keys {
            Keys::None => None,
            Keys::Cycle { n: 0 } | Keys::Uniform { n: 0 } | Keys::Zipf { n: 0, .. } => None,
            Keys::Cycle { n } => u32::try_from(number % u64::from(n)).ok(),
            Keys::Uniform { n } => {
                u32::try_from(below(cx.draw(purpose, number), u64::from(n))).ok()
            }
            Keys::Zipf { .. } => Some(zipf::pick(&self.zipf, cx.draw(purpose, number))),
        }
    }

    /// Whether a record is a tombstone, if it has a key.
    pub(super) fn is_tombstone(&self, reason: Reason, cx: &KafkaCx<'_>) -> bool {
        let (purpose, number) = match reason {
            Reason::Load(number) => (TOMBSTONE, number),
            Reason::Order(number) => (ORDERED_TOMBSTONE, number),
            Reason::Forward(output) => return output.tombstone,
        };
        if self.spec.tombstones_milli == 0 || !self.has_keys() {
            return false;
        }
        below(cx.draw(purpose, number), 1_000) < u64::from(self.spec.tombstones_milli)
    }

    /// Bytes of a record: a tombstone is its key alone.
    pub(super) fn bytes(&self, key: Option<u32>, tombstone: bool) -> u32 {
        let all = self.spec.record_bytes;
        match key {
            Some(key) if tombstone => {
                let digits = key.checked_ilog10().unwrap_or(0) + 1;
                let prefix = u32::try_from(self.spec.key_prefix.len()).unwrap_or(u32::MAX);
                prefix.saturating_add(digits).min(all)
            }
            _ => all,
        }
    }

    /// Whether records have keys.
    pub(super) fn has_keys(&self) -> bool {
        self.spec.keys != Keys::None
    }

    /// murmur2 of a key's text.
    pub(super) fn hash(&self, key: u32) -> i32 {
        // Below 2^32, which a machine word of any target can index.
        match self.hashes.get(key as usize) {
            Some(hash) => *hash,
            None => hash(&self.spec.key_prefix, key),
        }
    }

    /// When the record after the load's record `number` comes, if that one came at `now`.
    pub(super) fn after(&self, number: u64, now: Nanos, cx: &KafkaCx<'_>) -> Option<Nanos> {
        let at = match self.spec.arrivals {
            Arrivals::None => return None,
            Arrivals::Constant { gap } => now.saturating_add(gap.max(1)),
            Arrivals::Poisson { mean_gap } => {
                now.saturating_add(exponential(cx.draw(GAP, number), mean_gap))
            }
            Arrivals::Bursts { gap, on, off } => {
                let next = now.saturating_add(gap.max(1));
                self.within_burst(next, on, off)
            }
        };
        self.allowed(number + 1, at)
    }

    /// When the first record comes, if the load starts at `now`.
    pub(super) fn first(&self, number: u64, now: Nanos) -> Option<Nanos> {
        let at = now.max(self.spec.start);
        let at = match self.spec.arrivals {
            Arrivals::None => return None,
            Arrivals::Constant { .. } | Arrivals::Poisson { .. } => at,
            Arrivals::Bursts { on, off, .. } => self.within_burst(at, on, off),
        };
        self.allowed(number, at)
    }

    /// `at`, or the beginning of the next burst if it lies between two.
    fn within_burst(&self, at: Nanos, on: Nanos, off: Nanos) -> Nanos {
        let cycle = on.saturating_add(off).max(1);
        let since = at.saturating_sub(self.spec.start);
        match since % cycle < on {
            true => at,
            false => self
                .spec
                .start
                .saturating_add((since / cycle + 1).saturating_mul(cycle)),
        }
    }

    fn allowed(&self, number: u64, at: Nanos) -> Option<Nanos> {
        let over = self.spec.stop.is_some_and(|stop| at >= stop)
            || self.spec.limit.is_some_and(|limit| number >= limit);
        (!over).then_some(at)
    }
}

fn hash(prefix: &str, key: u32) -> i32 {
    let mut text = Vec::with_capacity(prefix.len() + DIGITS);
    text.extend_from_slice(prefix.as_bytes());
    // Writing to memory does not fail.
    let _ = write!(text, "{key}");
    murmur2(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::testing::TestCx;
    use crate::kernel::NodeId;

    fn plan(arrivals: Arrivals, keys: Keys) -> LoadPlan {
        LoadPlan::new(&LoadSpec {
            arrivals,
            keys,
            key_prefix: "user-".to_owned(),
            start: 100,
            stop: Some(10_000),
            limit: Some(50),
            ..LoadSpec::default()
        })
    }

    #[test]
    fn arrivals_keep_gaps_bursts_and_bounds() {
        let cx = TestCx::new(NodeId(7));
        let check = |arrivals, number, now, expect| {
            let got = plan(arrivals, Keys::None).after(number, now, &cx);
            assert_eq!(got, expect, "{arrivals:?} {number} at {now}");
        };
        let constant = Arrivals::Constant { gap: 10 };
        check(Arrivals::None, 0, 100, None);
        check(constant, 0, 100, Some(110));
        check(constant, 48, 100, Some(110));
        check(constant, 49, 100, None);
        check(constant, 3, 9_989, Some(9_999));
        check(constant, 3, 9_990, None);
        let bursts = Arrivals::Bursts {
            gap: 10,
            on: 30,
            off: 70,
        };
        check(bursts, 0, 110, Some(120));
        check(bursts, 0, 120, Some(200));
        check(bursts, 0, 205, Some(215));
        let first = |now| plan(bursts, Keys::None).first(0, now);
        assert_eq!(first(0), Some(100));
        assert_eq!(first(150), Some(200));
    }

    #[test]
    fn keys_are_drawn_by_the_number_of_the_record() {
        let cx = TestCx::new(NodeId(7));
        let keys = |keys, reason: fn(u64) -> Reason| -> Vec<Option<u32>> {
            let plan = plan(Arrivals::None, keys);
            (0..4).map(|n| plan.key(reason(n), &cx)).collect()
        };
        assert_eq!(keys(Keys::None, Reason::Load), [None; 4]);
        assert_eq!(
            keys(Keys::Cycle { n: 3 }, Reason::Load),
            [Some(0), Some(1), Some(2), Some(0)]
        );
        let uniform = Keys::Uniform { n: 1_000 };
        assert_eq!(keys(uniform, Reason::Load), keys(uniform, Reason::Load));
        assert_ne!(keys(uniform, Reason::Load), keys(uniform, Reason::Order));
    }

    #[test]
    fn tombstones_are_a_share_of_keyed_records() {
        let cx = TestCx::new(NodeId(7));
        let count = |keys, tombstones_milli| {
            let mut plan = plan(Arrivals::None, keys);
            plan.spec.tombstones_milli = tombstones_milli;
            let all = (0..1_000).map(Reason::Load);
            all.filter(|it| plan.is_tombstone(*it, &cx)).count()
        };
        let keyed = Keys::Cycle { n: 3 };
        assert_eq!(count(keyed, 0), 0);
        assert_eq!(count(keyed, 1_000), 1_000);
        assert!((200..300).contains(&count(keyed, 250)));
        assert_eq!(count(Keys::None, 1_000), 0);
        let plan = plan(Arrivals::None, keyed);
        assert_eq!(plan.bytes(Some(12), true), 7);
        assert_eq!(plan.bytes(Some(12), false), 100);
    }

    #[test]
    fn a_key_is_hashed_as_text() {
        let plan = plan(Arrivals::None, Keys::Cycle { n: 20 });
        assert_eq!(plan.hash(17), murmur2(b"user-17"));
        assert_eq!(plan.hash(100_000), murmur2(b"user-100000"));
    }
}
