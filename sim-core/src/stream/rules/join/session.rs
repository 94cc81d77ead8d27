//! Join of sessions: both sides of one key are one stream when it comes to where a session ends.
//!
//! Follows `JoinedStreams` and `CoGroupedStreams` of Flink 2.x with `EventTimeSessionWindows`: rows of
//! both sides go to one window operator, each opens a window from its time to a gap later, and windows
//! that overlap or touch become one. So a right row keeps a session of left rows open, and the other
//! way round. When the watermark passes a session's end its rows are joined and gone. A row whose
//! session, with those that it merges with, lies behind the watermark is late and dropped. Rows stay in
//! the order of their sessions and arrival, where Flink's depends on a hash set.

use super::Joined;
use super::window::{JoinType, Sides, joined};
use crate::stream::pieces::Pieces;
use crate::stream::rules::assigner::Window;
use crate::stream::rules::{FINAL_WATERMARK, NO_WATERMARK};
use serde::Serialize;

/// A session that is open: its window and its rows.
type Session<L, R> = (Window, Sides<L, R>);

/// The operator with its keyed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SessionJoin<K: Ord, L, R> {
    /// Silence after which a session ends, ms.
    gap: i64,
    join: JoinType,
    watermark: i64,
    /// The open sessions of each key, by time.
    sessions: Pieces<K, Vec<Session<L, R>>>,
    /// Their ends and keys, which is the order in which they fire.
    ends: Pieces<(i64, K), ()>,
    /// Rows kept, of all sessions.
    rows: u64,
}

impl<K: Ord + Clone, L: Clone, R: Clone> SessionJoin<K, L, R> {
    /// An empty one.
    #[must_use]
    pub fn new(gap: i64, join: JoinType) -> Self {
        SessionJoin {
            gap,
            join,
            watermark: NO_WATERMARK,
            sessions: Pieces::default(),
            ends: Pieces::default(),
            rows: 0,
        }
    }

    /// A left row of this time. Gives it back if it is late and dropped.
    pub fn on_left(&mut self, key: K, timestamp: i64, row: L) -> Option<L> {
        match self.session_of(key, timestamp) {
            Some((lefts, _)) => {
                lefts.push(row);
                None
            }
            None => Some(row),
        }
    }

    /// A right row of this time. Gives it back if it is late and dropped.
    pub fn on_right(&mut self, key: K, timestamp: i64, row: R) -> Option<R> {
        match self.session_of(key, timestamp) {
            Some((_, rights)) => {
                rights.push(row);
                None
            }
            None => Some(row),
        }
    }

    /// The rows of the session that a row of this time belongs to; none if it is late.
    fn session_of(&mut self, key: K, timestamp: i64) -> Option<&mut Sides<L, R>> {
        let own = Window {
            start: timestamp,
            end: timestamp.saturating_add(self.gap),
        };
        // Open sessions lie apart, so that those it touches stand together.
        let open = self.sessions.get(&key).map_or(&[][..], Vec::as_slice);
        let first = open.partition_point(|it| it.0.end < own.start);
        let near = open.iter().skip(first);
        let near = near.take_while(|it| it.0.intersects(&own));
        let (window, merged) =
            near.fold((own, 0), |(cover, many), it| (cover.cover(&it.0), many + 1));
        if window.end != FINAL_WATERMARK && window.max_timestamp() <= self.watermark {
            return None;
        }
        self.rows += 1;
        let open = self.sessions.write(key.clone(), Vec::new);
        let mut sides: Sides<L, R> = Default::default();
        for (old, (left, right)) in open.drain(first..first + merged) {
            sides.0.extend(left);
            sides.1.extend(right);
            self.ends.remove(&(old.end, key.clone()));
        }
        self.ends.insert((window.end, key));
        open.insert(first, (window, sides));
        open.get_mut(first).map(|it| &mut it.1)
    }

    /// The watermark of both inputs together has risen: sessions that it passes put out their rows,
    /// each with its session, and are gone. `condition` is what must hold of a pair besides its key and
    /// session.
    pub fn on_watermark(
        &mut self,
        watermark: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<(Window, Joined<L, R>)> {
        self.watermark = self.watermark.max(watermark);
        let mut out = Vec::new();
        while self.next_timer().is_some_and(|due| due <= self.watermark) {
            let Some(((end, key), ())) = self.ends.pop_first() else {
                break;
            };
            let open = self.sessions.write(key.clone(), Vec::new);
            if let Some(at) = open.iter().position(|it| it.0.end == end) {
                let (window, sides) = open.remove(at);
                let gone = (sides.0.len() + sides.1.len()) as u64;
                self.rows = self.rows.saturating_sub(gone);
                let rows = joined(self.join, &sides, condition);
                out.extend(rows.into_iter().map(|row| (window, row)));
            }
            if open.is_empty() {
                self.sessions.remove(&key);
            }
        }
        out
    }

    /// Sets the watermark without letting sessions fire, as for a join of fixed windows.
    pub fn set_watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
    }

    /// Rows kept, of all sessions.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The watermark at which the first session fires, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        let first = self.ends.first();
        first.map(|((end, _), ())| end.saturating_sub(1))
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        let rows = |open: &Vec<Session<L, R>>, _: Option<&Vec<Session<L, R>>>| {
            let of = |(_, sides): &Session<L, R>| {
                size_of_val(sides.0.as_slice()) + size_of_val(sides.1.as_slice())
            };
            size_of_val(open.as_slice()) + open.iter().map(of).sum::<usize>()
        };
        let ends = self.ends.unshared(before.map(|it| &it.ends), None);
        let sessions = before.map(|it| &it.sessions);
        ends + self.sessions.unshared(sessions, Some(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Pair = ((i64, i64), Option<i64>, Option<i64>);

    fn rows(out: Vec<(Window, Joined<i64, i64>)>) -> Vec<Pair> {
        let each = out.into_iter();
        each.map(|(window, it)| ((window.start, window.end), it.left, it.right))
            .collect()
    }

    /// Rows of one key, named by their times: those of the left, those of the right, and what comes out
    /// at a watermark.
    fn check(join: JoinType, left: &[i64], right: &[i64], watermark: i64, expect: &[Pair]) {
        let mut it = SessionJoin::new(10, join);
        for ts in left {
            assert_eq!(it.on_left('k', *ts, *ts), None);
        }
        for ts in right {
            assert_eq!(it.on_right('k', *ts, *ts), None);
        }
        assert_eq!(rows(it.on_watermark(watermark, &|_, _| true)), expect);
    }

    #[test]
    fn a_session_is_of_both_sides() {
        use JoinType::{Anti, Full, Inner, Left};
        // The right row at 8 ties 0 and 15 together.
        let whole = [((0, 25), Some(0), Some(8)), ((0, 25), Some(15), Some(8))];
        check(Inner, &[0, 15], &[8], 24, &whole);
        check(Inner, &[0, 15], &[8], 23, &[]);
        check(Inner, &[0, 15], &[], 100, &[]);
        let alone = [((0, 10), Some(0), None), ((15, 25), Some(15), None)];
        check(Left, &[15, 0], &[], 100, &alone);
        check(Anti, &[15, 0], &[], 100, &alone);
        // Windows that touch are one.
        check(Inner, &[0], &[10], 100, &[((0, 20), Some(0), Some(10))]);
        let apart = [((0, 10), Some(0), None), ((11, 21), None, Some(11))];
        check(Full, &[0], &[11], 100, &apart);
    }

    #[test]
    fn a_late_row_that_an_open_session_takes_in_is_not_late() {
        let mut it = SessionJoin::new(10, JoinType::Inner);
        assert_eq!(it.on_left('k', 8, 8), None);
        assert_eq!(rows(it.on_watermark(12, &|_, _| true)), []);
        // By itself it would end at 10; the session at 8 is open until 18.
        assert_eq!(it.on_right('k', 0, 0), None);
        assert_eq!(it.on_right('l', 0, 0), Some(0));
        let pair = ((0, 18), Some(8), Some(0));
        assert_eq!(rows(it.on_watermark(17, &|_, _| true)), [pair]);
        assert_eq!((it.rows(), it.next_timer()), (0, None));
        assert_eq!(it.on_left('k', 7, 7), Some(7));
    }

    proptest! {
        /// Against sessions that are found by sorting all rows of a key.
        #[test]
        fn sessions_are_those_of_all_rows_in_order(
            input in prop::collection::vec((any::<bool>(), 0u8..3, 0i64..200), 0..40),
            gap in 1i64..20,
        ) {
            let mut it = SessionJoin::new(gap, JoinType::Full);
            let mut of_key: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
            for (is_left, key, ts) in &input {
                let refused = match is_left {
                    true => it.on_left(*key, *ts, (*key, *ts)),
                    false => it.on_right(*key, *ts, (*key, *ts)),
                };
                prop_assert_eq!(refused, None);
                of_key.entry(*key).or_default().push(*ts);
            }
            let mut expected = Vec::new();
            for (key, times) in &mut of_key {
                times.sort_unstable();
                for run in times.chunk_by(|one, next| next - one <= gap) {
                    let within = |(_, of, ts): &&(bool, u8, i64)| of == key && run.contains(ts);
                    let (left, right): (Vec<&_>, Vec<&_>) =
                        input.iter().filter(within).partition(|it| it.0);
                    let window = (run[0], run[run.len() - 1] + gap);
                    let pairs = left.len() * right.len();
                    expected.push((window, *key, if pairs > 0 { pairs } else { run.len() }));
                }
            }
            let mut found: BTreeMap<((i64, i64), u8), usize> = BTreeMap::new();
            let all = it.on_watermark(FINAL_WATERMARK, &|_, _| true);
            for (window, row) in all {
                let key = row.left.or(row.right).map(|it| it.0).expect("a side");
                *found.entry(((window.start, window.end), key)).or_default() += 1;
            }
            let found: Vec<_> = found.into_iter().map(|((window, key), it)| (window, key, it)).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(it.rows(), 0);
        }
    }
}
