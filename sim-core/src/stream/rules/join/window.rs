//! Window join: both sides of one window of one key are joined when the window fires.
//!
//! Follows `WindowJoinOperator` of Flink's table runtime, of which the inner join is what `join` on
//! DataStreams does: rows carry the end of their window, are kept in a list per side, and are dropped
//! once the watermark has passed the window. Two rows a millisecond apart do not meet if an edge of
//! the windows lies between them. A result's timestamp is the window's last millisecond.

use super::{Joined, RowKind};
use crate::stream::pieces::Pieces;
use crate::stream::rules::{FINAL_WATERMARK, NO_WATERMARK};
use serde::Serialize;
use std::collections::BTreeSet;

/// What comes out besides pairs, or instead of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum JoinType {
    /// Pairs alone.
    Inner,
    /// And left rows without a match, with nulls.
    Left,
    /// And right rows without a match, with nulls.
    Right,
    /// And rows of both sides without a match.
    Full,
    /// Left rows that have a match, once each.
    Semi,
    /// Left rows that have none.
    Anti,
}

impl JoinType {
    /// Whether left rows without a match come out.
    #[must_use]
    pub fn is_left_outer(self) -> bool {
        matches!(self, Self::Left | Self::Full)
    }

    /// Whether right rows without a match come out.
    #[must_use]
    pub fn is_right_outer(self) -> bool {
        matches!(self, Self::Right | Self::Full)
    }

    /// Where left rows alone come out: whether it is those that have a match.
    #[must_use]
    pub fn wants_match(self) -> Option<bool> {
        match self {
            Self::Semi => Some(true),
            Self::Anti => Some(false),
            _ => None,
        }
    }
}

/// The rows of a window: of the left side and of the right.
pub(super) type Sides<L, R> = (Vec<L>, Vec<R>);

/// The operator with its keyed state; its timers are the keys of the map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowJoin<K: Ord, L, R> {
    join: JoinType,
    watermark: i64,
    /// By window end and key, which is the order in which they fire.
    windows: Pieces<(i64, K), Sides<L, R>>,
    /// Rows kept, of all windows.
    rows: u64,
}

impl<K: Ord + Clone, L: Clone, R: Clone> WindowJoin<K, L, R> {
    /// An empty one.
    #[must_use]
    pub fn new(join: JoinType) -> Self {
        WindowJoin {
            join,
            watermark: NO_WATERMARK,
            windows: Pieces::default(),
            rows: 0,
        }
    }

    /// Whether a window with this end has fired.
    fn has_fired(&self, end: i64) -> bool {
        end != FINAL_WATERMARK && end.saturating_sub(1) <= self.watermark
    }

    /// A left row of the window that ends here. Gives it back if it is late and dropped.
    pub fn on_left(&mut self, key: K, end: i64, row: L) -> Option<L> {
        if self.has_fired(end) {
            return Some(row);
        }
        let sides = self.windows.write((end, key), Default::default);
        sides.0.push(row);
        self.rows += 1;
        None
    }

    /// A right row of the window that ends here. Gives it back if it is late and dropped.
    pub fn on_right(&mut self, key: K, end: i64, row: R) -> Option<R> {
        if self.has_fired(end) {
            return Some(row);
        }
        let sides = self.windows.write((end, key), Default::default);
        sides.1.push(row);
        self.rows += 1;
        None
    }

    /// The watermark of both inputs together has risen: windows that it passes put out their rows,
    /// each with its timestamp, and are gone. `condition` is what must hold of a pair besides its
    /// key and window.
    pub fn on_watermark(
        &mut self,
        watermark: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<(i64, Joined<L, R>)> {
        self.watermark = self.watermark.max(watermark);
        let mut out = Vec::new();
        while self.next_timer().is_some_and(|due| due <= self.watermark) {
            let Some(((end, _), sides)) = self.windows.pop_first() else {
                break;
            };
            let gone = (sides.0.len() + sides.1.len()) as u64;
            self.rows = self.rows.saturating_sub(gone);
            let rows = joined(self.join, &sides, condition);
            out.extend(rows.into_iter().map(|row| (end.saturating_sub(1), row)));
        }
        out
    }

    /// Sets the watermark without letting windows fire: of an operator that begins anew, or that
    /// keeps its state in pieces by key group, for the piece that is used next.
    pub fn set_watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
    }

    /// Rows kept, of all windows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The watermark at which the first window fires, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        let first = self.windows.first();
        first.map(|((end, _), _)| end.saturating_sub(1))
    }

    /// How many windows of keys are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.windows.len()
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        let rows = |sides: &Sides<L, R>, _: Option<&Sides<L, R>>| {
            size_of_val(sides.0.as_slice()) + size_of_val(sides.1.as_slice())
        };
        self.windows
            .unshared(before.map(|it| &it.windows), Some(rows))
    }
}

/// What the rows of a window put out.
pub(super) fn joined<L: Clone, R: Clone>(
    join: JoinType,
    (left, right): &Sides<L, R>,
    condition: &impl Fn(&L, &R) -> bool,
) -> Vec<Joined<L, R>> {
    let row = |left: Option<&L>, right: Option<&R>| Joined {
        kind: RowKind::Insert,
        left: left.cloned(),
        right: right.cloned(),
    };
    let mut out = Vec::new();
    let mut met = BTreeSet::new();
    for one in left {
        let matches = right.iter().enumerate().filter(|it| condition(one, it.1));
        let mut found = false;
        for (at, other) in matches {
            found = true;
            met.insert(at);
            if !matches!(join, JoinType::Semi | JoinType::Anti) {
                out.push(row(Some(one), Some(other)));
            }
        }
        let alone = match join {
            JoinType::Semi => found,
            JoinType::Anti => !found,
            other => other.is_left_outer() && !found,
        };
        if alone {
            out.push(row(Some(one), None));
        }
    }
    if join.is_right_outer() {
        let unmet = right.iter().enumerate().filter(|it| !met.contains(&it.0));
        out.extend(unmet.map(|(_, other)| row(None, Some(other))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a window of left rows 1, 2 and right rows 2, 2, 3 puts out, equal ones matching.
    fn check(join: JoinType, expected: &[(Option<i32>, Option<i32>)]) {
        let mut it = WindowJoin::new(join);
        for row in [1, 2] {
            assert_eq!(it.on_left('k', 10, row), None);
        }
        for row in [2, 2, 3] {
            assert_eq!(it.on_right('k', 10, row), None);
        }
        assert_eq!(it.on_watermark(8, &|a, b| a == b), []);
        let out = it.on_watermark(9, &|a, b| a == b);
        assert!(out.iter().all(|it| it.0 == 9), "{out:?}");
        let rows: Vec<_> = out.iter().map(|it| (it.1.left, it.1.right)).collect();
        assert_eq!(rows, expected, "{join:?}");
        assert_eq!(it.open(), 0);
        assert_eq!(
            (it.on_left('k', 10, 7), it.on_right('k', 11, 7)),
            (Some(7), None)
        );
    }

    #[test]
    fn what_comes_out_of_a_window() {
        let pairs = [(Some(2), Some(2)), (Some(2), Some(2))];
        let (one, three) = ([(Some(1), None)], [(None, Some(3))]);
        check(JoinType::Inner, &pairs);
        check(JoinType::Left, &[&one[..], &pairs].concat());
        check(JoinType::Right, &[&pairs[..], &three].concat());
        check(JoinType::Full, &[&one[..], &pairs, &three].concat());
        check(JoinType::Semi, &[(Some(2), None)]);
        check(JoinType::Anti, &one);
    }

    #[test]
    fn rows_of_other_windows_and_keys_do_not_meet() {
        let mut it = WindowJoin::new(JoinType::Inner);
        it.on_left('k', 10, ());
        it.on_right('k', 20, ());
        it.on_right('l', 10, ());
        assert_eq!(it.on_watermark(FINAL_WATERMARK, &|(), ()| true), []);
    }
}
