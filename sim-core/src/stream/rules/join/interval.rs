//! Interval join in event time: a right element pairs with a left one if its timestamp lies between
//! two bounds around the left one's.
//!
//! Follows `IntervalJoinOperator`: inner only; each element is joined on arrival with what the other
//! side has buffered; a pair's timestamp is the larger one; an element older than the watermark is
//! late and goes to its side's side output. (Not so the window operator, for which an element at the
//! watermark is late already.) A timer for each element removes it once nothing can join it any
//! more; it fires when the watermark reaches the last time that could pair, so an element that comes
//! exactly at the watermark is not late and yet misses partners at the end of its interval. The order
//! of pairs that come out for one element is by timestamp here; Flink's is that of
//! its state backend.

use super::Side;
use crate::stream::pieces::Pieces;
use crate::stream::rules::NO_WATERMARK;
use serde::Serialize;
use std::collections::BTreeMap;

/// The bounds, both inclusive: `left.ts + lower ≤ right.ts ≤ left.ts + upper`, ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IntervalBounds {
    lower: i64,
    upper: i64,
}

/// One bound of an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Distance from the left timestamp, ms.
    pub at: i64,
    /// Whether that distance itself belongs to the interval.
    pub inclusive: bool,
}

impl IntervalBounds {
    /// Bounds that may be exclusive, which moves them by one millisecond.
    ///
    /// # Errors
    ///
    /// Flink's own message when the lower bound is above the upper one. (Exclusive bounds that leave
    /// nothing between them are accepted, and join nothing.)
    pub fn new(lower: Bound, upper: Bound) -> Result<Self, &'static str> {
        if lower.at > upper.at {
            return Err("lowerBound <= upperBound must be fulfilled");
        }
        let moved = |bound: Bound, by: i64| match bound.inclusive {
            true => bound.at,
            false => bound.at.saturating_add(by),
        };
        Ok(IntervalBounds {
            lower: moved(lower, 1),
            upper: moved(upper, -1),
        })
    }

    /// How many timestamps pair with one of the other side.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.upper.saturating_sub(self.lower).saturating_add(1)
    }

    /// Which right timestamps pair with a left one, first and last.
    #[must_use]
    pub fn around_left(&self, ts: i64) -> (i64, i64) {
        (ts.saturating_add(self.lower), ts.saturating_add(self.upper))
    }

    /// Which left timestamps pair with a right one, first and last.
    #[must_use]
    pub fn around_right(&self, ts: i64) -> (i64, i64) {
        (ts.saturating_sub(self.upper), ts.saturating_sub(self.lower))
    }

    /// The watermark at which an element can be dropped: the last timestamp that pairs with it, or
    /// its own if that is later.
    #[must_use]
    pub fn needed_until(&self, side: Side, ts: i64) -> i64 {
        let (_, last) = match side {
            Side::Left => self.around_left(ts),
            Side::Right => self.around_right(ts),
        };
        last.max(ts)
    }
}

/// What an element led to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum IntervalOut<L, R> {
    /// A pair.
    Pair {
        /// The left element and its timestamp.
        left: (i64, L),
        /// The right element and its timestamp.
        right: (i64, R),
        /// The timestamp of the result, ms.
        ts: i64,
    },
    /// The left element is late: for the side output if there is one, else dropped.
    LateLeft(i64, L),
    /// The right element is late.
    LateRight(i64, R),
}

/// An element without a timestamp reached the join; Flink fails the job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoTimestamp;

type Buffer<V> = BTreeMap<i64, Vec<V>>;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Buffers<L, R> {
    left: Buffer<L>,
    right: Buffer<R>,
}

impl<L, R> Default for Buffers<L, R> {
    fn default() -> Self {
        Buffers {
            left: Buffer::new(),
            right: Buffer::new(),
        }
    }
}

/// The operator with its keyed state and timers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IntervalJoin<K: Ord, L, R> {
    bounds: IntervalBounds,
    watermark: i64,
    keys: Pieces<K, Buffers<L, R>>,
    /// When to remove which bucket.
    timers: Pieces<(i64, K, Side, i64), ()>,
    /// Elements buffered, of all keys.
    rows: u64,
}

/// What is buffered between two timestamps, oldest first.
fn between<V>(buffer: &Buffer<V>, (first, last): (i64, i64)) -> impl Iterator<Item = (i64, &V)> {
    // Where nothing lies between the bounds a range would be the wrong way round.
    let range = (first <= last).then(|| buffer.range(first..=last));
    let buckets = range.into_iter().flatten();
    buckets.flat_map(|(ts, all)| all.iter().map(|value| (*ts, value)))
}

impl<K: Ord + Clone, L: Clone, R: Clone> IntervalJoin<K, L, R> {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: IntervalBounds) -> Self {
        IntervalJoin {
            bounds,
            watermark: NO_WATERMARK,
            keys: Pieces::default(),
            timers: Pieces::default(),
            rows: 0,
        }
    }

    /// An element of the left input.
    ///
    /// # Errors
    ///
    /// [`NoTimestamp`] if it has none.
    pub fn on_left(
        &mut self,
        key: K,
        ts: i64,
        left: L,
    ) -> Result<Vec<IntervalOut<L, R>>, NoTimestamp> {
        if self.is_late(ts)? {
            return Ok(vec![IntervalOut::LateLeft(ts, left)]);
        }
        let buffers = self.keys.write(key.clone(), Default::default);
        let others = between(&buffers.right, self.bounds.around_left(ts));
        let pairs = others.map(|(right_ts, right)| IntervalOut::Pair {
            left: (ts, left.clone()),
            right: (right_ts, right.clone()),
            ts: ts.max(right_ts),
        });
        let out = pairs.collect();
        buffers.left.entry(ts).or_default().push(left);
        self.keep(key, Side::Left, ts);
        Ok(out)
    }

    /// An element of the right input.
    ///
    /// # Errors
    ///
    /// [`NoTimestamp`] if it has none.
    pub fn on_right(
        &mut self,
        key: K,
        ts: i64,
        right: R,
    ) -> Result<Vec<IntervalOut<L, R>>, NoTimestamp> {
        if self.is_late(ts)? {
            return Ok(vec![IntervalOut::LateRight(ts, right)]);
        }
        let buffers = self.keys.write(key.clone(), Default::default);
        let others = between(&buffers.left, self.bounds.around_right(ts));
        let pairs = others.map(|(left_ts, left)| IntervalOut::Pair {
            left: (left_ts, left.clone()),
            right: (ts, right.clone()),
            ts: ts.max(left_ts),
        });
        let out = pairs.collect();
        buffers.right.entry(ts).or_default().push(right);
        self.keep(key, Side::Right, ts);
        Ok(out)
    }

    fn is_late(&self, ts: i64) -> Result<bool, NoTimestamp> {
        match ts {
            i64::MIN => Err(NoTimestamp),
            _ => Ok(ts < self.watermark),
        }
    }

    fn keep(&mut self, key: K, side: Side, ts: i64) {
        let until = self.bounds.needed_until(side, ts);
        self.timers.insert((until, key, side, ts));
        self.rows += 1;
    }

    /// The watermark of both inputs together has risen. Puts out nothing; removes what nothing can
    /// join any more.
    pub fn on_watermark(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
        while self.next_timer().is_some_and(|due| due <= self.watermark) {
            let Some(((_, key, side, ts), ())) = self.timers.pop_first() else {
                return;
            };
            let Some(buffers) = self.keys.get_mut(&key) else {
                continue;
            };
            let gone = match side {
                Side::Left => buffers.left.remove(&ts).map(|it| it.len()),
                Side::Right => buffers.right.remove(&ts).map(|it| it.len()),
            };
            self.rows = self.rows.saturating_sub(gone.unwrap_or(0) as u64);
            if buffers.left.is_empty() && buffers.right.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// The operator begins anew from a snapshot: state and timers are as they were, but the
    /// watermark is no part of a snapshot.
    pub fn on_restore(&mut self) {
        self.watermark = NO_WATERMARK;
    }

    /// Sets the watermark without letting timers go off: of an operator that keeps its state in
    /// pieces by key group, for the piece that is used next.
    pub fn set_watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
    }

    /// Elements buffered, of all keys.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The time of the first timer, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(timer, ())| timer.0)
    }

    /// The timestamps in one side's buffer of a key, oldest first.
    #[must_use]
    pub fn buffered(&self, key: &K, side: Side) -> Vec<i64> {
        let Some(buffers) = self.keys.get(key) else {
            return Vec::new();
        };
        match side {
            Side::Left => buffers.left.keys().copied().collect(),
            Side::Right => buffers.right.keys().copied().collect(),
        }
    }

    /// How many timers are set.
    #[must_use]
    pub fn timers(&self) -> u64 {
        self.timers.len()
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        fn side<V>(buffer: &Buffer<V>) -> usize {
            // A node of the standard library's map has room for 11 buckets.
            let nodes = buffer.len().div_ceil(8) * 11 * size_of::<(i64, Vec<V>)>();
            let rows = buffer.values().map(|it| 16 + size_of_val(it.as_slice()));
            nodes + rows.sum::<usize>()
        }
        let rows = |it: &Buffers<L, R>, _: Option<&Buffers<L, R>>| side(&it.left) + side(&it.right);
        self.keys.unshared(before.map(|it| &it.keys), Some(rows))
            + self.timers.unshared(before.map(|it| &it.timers), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(lower: (i64, bool), upper: (i64, bool)) -> Result<IntervalBounds, &'static str> {
        let bound = |(at, inclusive)| Bound { at, inclusive };
        IntervalBounds::new(bound(lower), bound(upper))
    }

    type Join = IntervalJoin<u8, i64, i64>;

    /// The pairs of timestamps that come out, in the order in which they do.
    fn pairs(join: &mut Join, elements: &[(Side, u8, i64)]) -> Vec<(i64, i64)> {
        let mut out = Vec::new();
        for (side, key, ts) in elements {
            let got = match side {
                Side::Left => join.on_left(*key, *ts, *ts),
                Side::Right => join.on_right(*key, *ts, *ts),
            };
            out.extend(got.expect("a timestamp"));
        }
        let pair = |it: IntervalOut<i64, i64>| match it {
            IntervalOut::Pair { left, right, ts } => {
                assert_eq!(ts, left.0.max(right.0));
                Some((left.0, right.0))
            }
            _ => None,
        };
        out.into_iter().filter_map(pair).collect()
    }

    #[test]
    fn what_pairs_is_symmetric_and_of_one_key() {
        let mut join = Join::new(bounds((-1, true), (2, false)).expect("bounds"));
        let (left, right) = (Side::Left, Side::Right);
        let elements = [
            (left, 1, 10),
            (right, 1, 8),
            (right, 1, 9),
            (right, 1, 11),
            (right, 1, 12),
            (right, 2, 10),
            (left, 2, 9),
            (left, 2, 11),
        ];
        let got = pairs(&mut join, &elements);
        assert_eq!(got, [(10, 9), (10, 11), (9, 10), (11, 10)]);
    }

    #[test]
    fn bounds_that_are_the_wrong_way_round_are_refused_and_empty_ones_join_nothing() {
        assert!(bounds((2, true), (1, true)).is_err());
        let mut join = Join::new(bounds((0, false), (1, false)).expect("bounds"));
        let elements = [(Side::Left, 1, 5), (Side::Right, 1, 5), (Side::Right, 1, 6)];
        assert_eq!(pairs(&mut join, &elements), []);
    }

    #[test]
    fn an_element_needs_a_timestamp_and_at_the_watermark_it_is_not_late() {
        let mut join = Join::new(bounds((0, true), (0, true)).expect("bounds"));
        assert_eq!(join.on_left(1, i64::MIN, 0), Err(NoTimestamp));
        assert_eq!(join.on_left(2, 5, 0), Ok(vec![]));
        join.on_watermark(5);
        let misses = join.on_right(2, 5, 0);
        assert_eq!(
            misses,
            Ok(vec![]),
            "its partner was removed at the watermark"
        );
        let late = join.on_right(1, 4, 0);
        assert_eq!(late, Ok(vec![IntervalOut::LateRight(4, 0)]));
        assert_eq!(join.on_left(1, 5, 0), Ok(vec![]));
        assert_eq!(join.buffered(&1, Side::Left), [5]);
        join.on_watermark(6);
        assert!(join.keys.is_empty() && join.timers() == 0);
    }

    /// Steps: an element of a side with key and timestamp, or the watermark grows.
    fn steps() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
        prop::collection::vec((0..5_u8, 0..3_u8, 0..40_i64), 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Whatever order the elements come in: each pair of those ahead of the watermark comes out
        /// once, and dropping state loses none.
        #[test]
        fn every_pair_comes_out_once(steps in steps(), lower in -6..6_i64, width in 0..8_i64) {
            let bounds = bounds((lower, true), (lower + width, true)).expect("bounds");
            let mut join = Join::new(bounds);
            let (mut lefts, mut rights, mut got) = (Vec::new(), Vec::new(), Vec::new());
            let mut watermark = i64::MIN;
            for (what, key, ts) in steps {
                match what {
                    0 | 1 if ts > watermark => {
                        lefts.push((key, ts));
                        got.extend(pairs(&mut join, &[(Side::Left, key, ts)]).into_iter().map(|it| (key, it)));
                    }
                    2 | 3 if ts > watermark => {
                        rights.push((key, ts));
                        got.extend(pairs(&mut join, &[(Side::Right, key, ts)]).into_iter().map(|it| (key, it)));
                    }
                    4 => {
                        watermark = watermark.max(ts / 2);
                        join.on_watermark(watermark);
                    }
                    _ if ts == watermark => {}
                    _ => {
                        prop_assert!(matches!(join.on_left(key, ts, ts).as_deref(), Ok([IntervalOut::LateLeft(..)])));
                    }
                }
            }
            let mut expected = Vec::new();
            for (key, left) in &lefts {
                for (_, right) in rights.iter().filter(|it| it.0 == *key) {
                    if (left + lower..=left + lower + width).contains(right) {
                        expected.push((*key, (*left, *right)));
                    }
                }
            }
            got.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(got, expected);
            join.on_watermark(i64::MAX);
            prop_assert!(join.keys.is_empty() && join.timers.is_empty());
        }
    }
}
