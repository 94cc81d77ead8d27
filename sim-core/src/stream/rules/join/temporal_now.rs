//! Temporal join in processing time: each left row is joined with the version that the right table
//! has at this moment.
//!
//! Follows `TemporalProcessTimeJoinOperator`: one row of the right table is kept per key, nothing of
//! the left input. What comes out depends on which input was faster, so a replay may give something
//! else. The watermark of the left input alone is passed on.

use super::retention::{IdleKeys, Retention};
use super::{Joined, RowKind};
use crate::stream::pieces::Pieces;
use serde::Serialize;

/// The operator with its keyed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TemporalNowJoin<K: Ord, R> {
    left_outer: bool,
    right: Pieces<K, R>,
    idle: IdleKeys<K>,
}

impl<K: Ord + Clone, R: Clone> TemporalNowJoin<K, R> {
    /// An empty one.
    #[must_use]
    pub fn new(left_outer: bool, retention: Retention) -> Self {
        TemporalNowJoin {
            left_outer,
            right: Pieces::default(),
            idle: IdleKeys::new(retention),
        }
    }

    /// A row of the left input at the processing time `now`, ms. `condition` is what must hold of a
    /// pair besides its key.
    pub fn on_left<L>(
        &mut self,
        key: &K,
        kind: RowKind,
        left: L,
        now: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Option<Joined<L, R>> {
        let found = self.right.get(key);
        if found.is_some() {
            self.idle.touch(key, now);
        }
        let right = found.filter(|right| condition(&left, right)).cloned();
        (right.is_some() || self.left_outer).then_some(Joined {
            kind,
            left: Some(left),
            right,
        })
    }

    /// A change of the right table at the processing time `now`, ms.
    pub fn on_right(&mut self, key: K, kind: RowKind, right: R, now: i64) {
        if kind.is_accumulate() {
            self.idle.touch(&key, now);
            self.right.set(key, right);
        } else {
            self.right.remove(&key);
            self.idle.forget(&key);
        }
    }

    /// Processing time has come to `now`: what stayed idle for too long is dropped.
    pub fn on_processing_time(&mut self, now: i64) {
        while let Some(key) = self.idle.expired(now) {
            self.right.remove(&key);
        }
    }

    /// Rows kept.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.right.len()
    }

    /// When the first row that stays idle is to be dropped, ms.
    #[must_use]
    pub fn next_expiry(&self) -> Option<i64> {
        self.idle.next()
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        self.right.unshared(before.map(|it| &it.right), None)
            + self.idle.unshared(before.map(|it| &it.idle))
    }

    /// The version of a key, if there is one.
    #[must_use]
    pub fn version(&self, key: &K) -> Option<&R> {
        self.right.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a left row meets after these changes of the table.
    fn check(changes: &[(RowKind, i64)], left_outer: bool, expected: Option<Option<i64>>) {
        let mut join = TemporalNowJoin::new(left_outer, Retention { min: 0, max: 0 });
        for (kind, value) in changes {
            join.on_right(1, *kind, *value, 0);
        }
        let got = join.on_left(&1, RowKind::Insert, 0, 0, &|_, _| true);
        assert_eq!(got.map(|it| it.right), expected, "{changes:?}");
    }

    #[test]
    fn the_version_of_the_moment_counts() {
        use RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
        check(&[], false, None);
        check(&[], true, Some(None));
        check(&[(Insert, 4)], false, Some(Some(4)));
        let updated = [(Insert, 4), (UpdateBefore, 4), (UpdateAfter, 7)];
        check(&updated, false, Some(Some(7)));
        check(&[(Insert, 4), (Delete, 4)], false, None);
        check(&updated[..2], true, Some(None));
    }

    #[test]
    fn only_a_row_that_finds_a_version_keeps_it_from_growing_idle() {
        let mut join = TemporalNowJoin::new(false, Retention { min: 10, max: 15 });
        join.on_right(1, RowKind::Insert, 'a', 2);
        let on_left = |join: &mut TemporalNowJoin<_, _>, key, now| {
            join.on_processing_time(now);
            join.on_left(&key, RowKind::Insert, (), now, &|(), _| true)
        };
        assert!(on_left(&mut join, 1, 8).is_some());
        assert!(on_left(&mut join, 2, 9).is_none());
        assert!(on_left(&mut join, 1, 22).is_some());
        assert!(on_left(&mut join, 1, 37).is_none());
        assert_eq!(join.version(&1), None);
    }
}
