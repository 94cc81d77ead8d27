//! Temporal join in event time: each left row is joined with the version that the right table had
//! at the left row's time.
//!
//! Follows `TemporalRowTimeJoinOperator`: left rows wait until the watermark reaches their time,
//! since until then an older version may still arrive; then the latest version at or before that
//! time counts, and if that version is a deletion, nothing matches. Of the versions at or before the
//! watermark only the newest is kept. There is one timer per key, for the earliest time in its
//! state. A left row that arrives at or behind the watermark is dropped (FLINK-39719; before, it was
//! joined with whatever version was left, which [`TemporalRules::drops_late`] can switch back).

use super::retention::{IdleKeys, Retention};
use super::{Joined, RowKind};
use crate::stream::pieces::Pieces;
use crate::stream::rules::NO_WATERMARK;
use serde::Serialize;
use std::collections::BTreeMap;

/// How a temporal join is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TemporalRules {
    /// Left outer: a left row without a match comes out with nulls.
    pub left_outer: bool,
    /// Left rows at or behind the watermark are dropped.
    pub drops_late: bool,
    /// How long a key's state may stay idle.
    pub retention: Retention,
}

impl Default for TemporalRules {
    fn default() -> Self {
        TemporalRules {
            left_outer: false,
            drops_late: true,
            retention: Retention { min: 0, max: 0 },
        }
    }
}

/// A row of a changelog with its row time, ms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TimedRow<V> {
    /// Its row time, ms.
    pub ts: i64,
    /// What it says.
    pub kind: RowKind,
    /// Its content.
    pub value: V,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct KeyState<L, R> {
    /// Left rows that wait, in order of arrival.
    left: Vec<TimedRow<L>>,
    /// Versions by their time.
    right: BTreeMap<i64, (RowKind, R)>,
    timer: Option<i64>,
}

impl<L, R> Default for KeyState<L, R> {
    fn default() -> Self {
        KeyState {
            left: Vec::new(),
            right: BTreeMap::new(),
            timer: None,
        }
    }
}

/// The operator with its keyed state and timers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TemporalJoin<K: Ord, L, R> {
    rules: TemporalRules,
    watermark: i64,
    keys: Pieces<K, KeyState<L, R>>,
    timers: Pieces<(i64, K), ()>,
    idle: IdleKeys<K>,
    /// Left rows and versions kept, of all keys.
    rows: u64,
}

impl<L, R> KeyState<L, R> {
    fn rows(&self) -> u64 {
        (self.left.len() + self.right.len()) as u64
    }
}

impl<L: Clone, R: Clone> KeyState<L, R> {
    /// The version at a time, if there is one and it is no deletion.
    fn version_at(&self, ts: i64) -> Option<&R> {
        let (_, (kind, value)) = self.right.range(..=ts).next_back()?;
        kind.is_accumulate().then_some(value)
    }

    /// Takes out the left rows that the watermark has reached, and joins them.
    fn emit(
        &mut self,
        watermark: i64,
        left_outer: bool,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<Joined<L, R>> {
        let waiting = std::mem::take(&mut self.left);
        let mut out = Vec::new();
        for row in waiting {
            if row.ts > watermark {
                self.left.push(row);
                continue;
            }
            let right = self.version_at(row.ts);
            let right = right.filter(|right| condition(&row.value, right)).cloned();
            if right.is_some() || left_outer {
                out.push(Joined {
                    kind: row.kind,
                    left: Some(row.value),
                    right,
                });
            }
        }
        out
    }

    /// Drops versions that are older than the newest one at or before the watermark.
    fn prune(&mut self, watermark: i64) {
        let newest = self.right.range(..=watermark).next_back();
        if let Some((ts, _)) = newest {
            let ts = *ts;
            self.right.retain(|it, _| *it >= ts);
        }
    }
}

impl<K: Ord + Clone, L: Clone, R: Clone> TemporalJoin<K, L, R> {
    /// An empty one.
    #[must_use]
    pub fn new(rules: TemporalRules) -> Self {
        TemporalJoin {
            rules,
            watermark: NO_WATERMARK,
            keys: Pieces::default(),
            timers: Pieces::default(),
            idle: IdleKeys::new(rules.retention),
            rows: 0,
        }
    }

    /// A row of the left input at the processing time `now`. Gives it back if it is late and
    /// dropped.
    pub fn on_left(&mut self, key: K, row: TimedRow<L>, now: i64) -> Option<TimedRow<L>> {
        if self.rules.drops_late && row.ts <= self.watermark {
            return Some(row);
        }
        let ts = row.ts;
        let state = self.keys.write(key.clone(), Default::default);
        state.left.push(row);
        self.rows += 1;
        self.wake_at(key, ts, now);
        None
    }

    /// A change of the right table at the processing time `now`. A change of the same time replaces
    /// an earlier one.
    pub fn on_right(&mut self, key: K, row: TimedRow<R>, now: i64) {
        let state = self.keys.write(key.clone(), Default::default);
        let replaced = state.right.insert(row.ts, (row.kind, row.value));
        self.rows += u64::from(replaced.is_none());
        self.wake_at(key, row.ts, now);
    }

    /// Sets the key's timer to this time unless it is set to an earlier one.
    fn wake_at(&mut self, key: K, ts: i64, now: i64) {
        self.idle.touch(&key, now);
        let sooner = |state: &KeyState<L, R>| state.timer.is_none_or(|set| set > ts);
        if !self.keys.get(&key).is_some_and(sooner) {
            return;
        }
        if let Some(state) = self.keys.get_mut(&key) {
            if let Some(set) = state.timer.replace(ts) {
                self.timers.remove(&(set, key.clone()));
            }
            self.timers.insert((ts, key));
        }
    }

    /// The watermark of both inputs together has risen, at the processing time `now`. `condition`
    /// is what must hold of a pair besides its key and time.
    pub fn on_watermark(
        &mut self,
        watermark: i64,
        now: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<Joined<L, R>> {
        self.watermark = self.watermark.max(watermark);
        let mut out = Vec::new();
        while self.next_timer().is_some_and(|due| due <= self.watermark) {
            let Some(((_, key), ())) = self.timers.pop_first() else {
                break;
            };
            let Some(state) = self.keys.get_mut(&key) else {
                continue;
            };
            let before = state.rows();
            out.extend(state.emit(self.watermark, self.rules.left_outer, condition));
            state.prune(self.watermark);
            let gone = before.saturating_sub(state.rows());
            self.rows = self.rows.saturating_sub(gone);
            state.timer = state.left.iter().map(|row| row.ts).min();
            let is_empty = state.left.is_empty() && state.right.is_empty();
            if let Some(ts) = state.timer {
                self.timers.insert((ts, key.clone()));
            }
            match is_empty {
                true => {
                    self.idle.forget(&key);
                    self.keys.remove(&key);
                }
                false => self.idle.touch(&key, now),
            }
        }
        out
    }

    /// Processing time has come to `now`: what stayed idle for too long is dropped, left rows that
    /// wait included.
    pub fn on_processing_time(&mut self, now: i64) {
        while let Some(key) = self.idle.expired(now) {
            let state = self.keys.remove(&key);
            let gone = state.as_ref().map_or(0, KeyState::rows);
            self.rows = self.rows.saturating_sub(gone);
            if let Some(timer) = state.and_then(|state| state.timer) {
                self.timers.remove(&(timer, key));
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

    /// Left rows and versions kept, of all keys.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The time of the first timer, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(timer, ())| timer.0)
    }

    /// When a key's state is dropped next if nobody touches it, ms of processing time.
    #[must_use]
    pub fn next_expiry(&self) -> Option<i64> {
        self.idle.next()
    }

    /// How many left rows of a key wait.
    #[must_use]
    pub fn waiting(&self, key: &K) -> usize {
        self.keys.get(key).map_or(0, |state| state.left.len())
    }

    /// The times of the versions kept for a key, oldest first.
    #[must_use]
    pub fn versions(&self, key: &K) -> Vec<i64> {
        let state = self.keys.get(key);
        state.map_or_else(Vec::new, |state| state.right.keys().copied().collect())
    }

    /// How many event-time timers are set: at most one a key.
    #[must_use]
    pub fn timers(&self) -> u64 {
        self.timers.len()
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        /// A node of the standard library's map with room for 11 versions.
        const NODE: usize = 64;
        let rows = |it: &KeyState<L, R>, _: Option<&KeyState<L, R>>| {
            let nodes = it.right.len().div_ceil(8);
            size_of_val(it.left.as_slice()) + nodes * (NODE + 11 * size_of::<(i64, RowKind, R)>())
        };
        self.keys.unshared(before.map(|it| &it.keys), Some(rows))
            + self.timers.unshared(before.map(|it| &it.timers), None)
            + self.idle.unshared(before.map(|it| &it.idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Join = TemporalJoin<u8, i64, i64>;

    fn row(ts: i64, kind: RowKind) -> TimedRow<i64> {
        TimedRow {
            ts,
            kind,
            value: ts,
        }
    }

    fn outer() -> TemporalRules {
        TemporalRules {
            left_outer: true,
            ..TemporalRules::default()
        }
    }

    fn pairs(out: Vec<Joined<i64, i64>>) -> Vec<(i64, Option<i64>)> {
        let pair = |it: Joined<i64, i64>| (it.left.expect("a left row"), it.right);
        out.into_iter().map(pair).collect()
    }

    #[test]
    fn a_deleted_version_matches_nothing_and_rows_keep_their_order() {
        let mut join = Join::new(outer());
        for (ts, kind) in [
            (1, RowKind::Insert),
            (4, RowKind::UpdateAfter),
            (7, RowKind::UpdateAfter),
            (9, RowKind::Delete),
            (12, RowKind::Insert),
        ] {
            join.on_right(1, row(ts, kind), 0);
        }
        for ts in [10, 6, 0, 14, 13] {
            assert_eq!(join.on_left(1, row(ts, RowKind::Insert), 0), None);
        }
        assert_eq!((join.timers(), join.waiting(&1)), (1, 5));
        let got = pairs(join.on_watermark(13, 0, &|_, _| true));
        assert_eq!(got, [(10, None), (6, Some(4)), (0, None), (13, Some(12))]);
        assert_eq!((join.versions(&1), join.waiting(&1)), (vec![12], 1));
    }

    #[test]
    fn a_late_row_is_dropped_or_joined_with_what_is_left() {
        let run = |drops_late| {
            let mut join = Join::new(TemporalRules {
                drops_late,
                ..outer()
            });
            join.on_right(1, row(2, RowKind::Insert), 0);
            join.on_right(1, row(4, RowKind::UpdateAfter), 0);
            join.on_watermark(5, 0, &|_, _| true);
            let late = join.on_left(1, row(3, RowKind::Insert), 0).is_some();
            (late, pairs(join.on_watermark(6, 0, &|_, _| true)))
        };
        assert_eq!(run(true), (true, vec![]));
        assert_eq!(run(false), (false, vec![(3, None)]), "version 2 is gone");
    }

    #[test]
    fn a_condition_that_fails_counts_as_no_match() {
        for (left_outer, expected) in [(true, vec![(3, None)]), (false, vec![])] {
            let rules = TemporalRules {
                left_outer,
                ..TemporalRules::default()
            };
            let mut join = Join::new(rules);
            join.on_right(1, row(2, RowKind::Insert), 0);
            join.on_left(1, row(3, RowKind::Insert), 0);
            assert_eq!(pairs(join.on_watermark(9, 0, &|_, _| false)), expected);
        }
    }

    #[test]
    fn idle_state_goes_with_its_timer() {
        let retention = Retention { min: 4, max: 6 };
        let mut join = Join::new(TemporalRules {
            retention,
            ..outer()
        });
        join.on_right(1, row(1, RowKind::Insert), 10);
        join.on_left(1, row(2, RowKind::Insert), 10);
        join.on_processing_time(15);
        assert_eq!(join.waiting(&1), 1);
        join.on_processing_time(16);
        assert_eq!((join.waiting(&1), join.timers()), (0, 0));
        assert_eq!(join.on_watermark(9, 16, &|_, _| true), vec![]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Rows that are not late join what the whole table said at their time, however the inputs
        /// interleave and whenever the watermark comes.
        #[test]
        fn the_join_is_as_over_the_whole_table(
            steps in prop::collection::vec((0..5_u8, 0..2_u8, 0..40_i64), 0..60),
        ) {
            let mut join = Join::new(outer());
            let (mut table, mut lefts, mut got) = (BTreeMap::new(), Vec::new(), Vec::new());
            let mut watermark = i64::MIN;
            for (what, key, ts) in steps {
                match what {
                    0 | 1 if ts > watermark => {
                        lefts.push((key, ts));
                        join.on_left(key, row(ts, RowKind::Insert), 0);
                    }
                    2 | 3 if ts > watermark => {
                        let kind = if what == 2 { RowKind::Insert } else { RowKind::Delete };
                        table.insert((key, ts), kind);
                        join.on_right(key, row(ts, kind), 0);
                    }
                    4 => {
                        watermark = watermark.max(ts / 2);
                        got.extend(pairs(join.on_watermark(watermark, 0, &|_, _| true)));
                    }
                    _ => {}
                }
            }
            got.extend(pairs(join.on_watermark(i64::MAX, 0, &|_, _| true)));
            let mut expected = Vec::new();
            for (key, ts) in lefts {
                let version = table.range((key, i64::MIN)..=(key, ts)).next_back();
                let there = version.filter(|it| it.1.is_accumulate());
                expected.push((ts, there.map(|it| it.0.1)));
            }
            got.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(join.timers(), 0);
        }
    }
}
