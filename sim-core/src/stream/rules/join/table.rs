//! Regular join of two tables: both are kept, and each change of one puts out what it changes in the
//! result.
//!
//! Follows `StreamingJoinOperator` without unique keys: state per join key is a multiset of rows, and
//! for an outer side the number of matches of each row, so that the row of nulls is taken back with
//! the first match and put out again after the last. Inner joins hand on the kind of the row that
//! set them off; outer ones say `+I` and `-D`. A semi or anti join (`StreamingSemiAntiJoinOperator`)
//! puts out left rows alone, by the same number of matches: when a row comes, by whether there are
//! any, and when the first match comes or the last one goes. State has no bound unless rows live for a limited time
//! (`table.exec.state.ttl`), and then results are only nearly right.

use super::window::JoinType;
use super::{Joined, RowKind, Side};
use crate::stream::pieces::Pieces;
use serde::Serialize;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Kept<V> {
    row: V,
    /// How many rows of the other side match it; counted where its own side is outer, and for the
    /// left side of a semi or anti join.
    matches: u32,
    /// When it was written, ms of processing time.
    since: i64,
}

type Rows<V> = Vec<Kept<V>>;

/// The operator with its keyed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TableJoin<K: Ord, L, R> {
    join: JoinType,
    ttl: Option<i64>,
    left: Pieces<K, Rows<L>>,
    right: Pieces<K, Rows<R>>,
    /// Rows kept, of both sides.
    rows: u64,
}

/// A row that came in, and what its side and the other one are.
struct Change<'a, A> {
    kind: RowKind,
    row: &'a A,
    own_outer: bool,
    other_outer: bool,
    now: i64,
}

impl<'a, A> Change<'a, A> {
    fn of(kind: RowKind, row: &'a A, outer: (bool, bool), now: i64) -> Self {
        let (own_outer, other_outer) = outer;
        Change {
            kind,
            row,
            own_outer,
            other_outer,
            now,
        }
    }
}

/// Puts one row into its side and gives what changes: the kind, the own row if it takes part, and
/// the other side's.
fn change<A: Clone + PartialEq, B: Clone>(
    it: &Change<'_, A>,
    own: &mut Rows<A>,
    other: &mut Rows<B>,
    condition: &impl Fn(&A, &B) -> bool,
) -> Vec<(RowKind, Option<A>, Option<B>)> {
    let mut out = Vec::new();
    let adds = it.kind.is_accumulate();
    let plain = match (adds, it.own_outer, it.other_outer) {
        (_, false, false) | (false, false, true) => it.kind,
        (true, _, _) => RowKind::Insert,
        (false, true, _) => RowKind::Delete,
    };
    let mut found = 0;
    for matching in other.iter_mut().filter(|kept| condition(it.row, &kept.row)) {
        found += 1;
        let pair = (plain, Some(it.row.clone()), Some(matching.row.clone()));
        if !it.other_outer {
            out.push(pair);
            continue;
        }
        let alone = |kind| (kind, None, Some(matching.row.clone()));
        if adds {
            out.extend((matching.matches == 0).then(|| alone(RowKind::Delete)));
            out.push(pair);
            matching.matches += 1;
        } else {
            out.push(pair);
            out.extend((matching.matches == 1).then(|| alone(RowKind::Insert)));
            matching.matches = matching.matches.saturating_sub(1);
        }
    }
    if found == 0 && it.own_outer {
        out.push((plain, Some(it.row.clone()), None));
    }
    keep(it, own, found);
    out
}

/// Adds a row to its side, or takes one like it away.
fn keep<A: Clone + PartialEq>(it: &Change<'_, A>, own: &mut Rows<A>, matches: u32) {
    if it.kind.is_accumulate() {
        own.push(Kept {
            row: it.row.clone(),
            matches,
            since: it.now,
        });
    } else if let Some(at) = own.iter().position(|kept| kept.row == *it.row) {
        own.remove(at);
    }
}

/// A row of a semi or anti join's left side: it comes out by whether there is a match.
fn asks<A: Clone + PartialEq, B>(
    it: &Change<'_, A>,
    own: &mut Rows<A>,
    other: &Rows<B>,
    wants: bool,
    condition: &impl Fn(&A, &B) -> bool,
) -> Option<(RowKind, A)> {
    let matching = other.iter().filter(|kept| condition(it.row, &kept.row));
    let found = matching.count() as u32;
    keep(it, own, found);
    ((found > 0) == wants).then(|| (it.kind, it.row.clone()))
}

/// A row of a semi or anti join's right side: left rows for which it is the first match, or was the
/// last one, come out or are taken back. A semi join says so by the kind of this row.
fn answers<A: Clone, B: Clone + PartialEq>(
    it: &Change<'_, B>,
    own: &mut Rows<B>,
    asking: &mut Rows<A>,
    wants: bool,
    condition: &impl Fn(&A, &B) -> bool,
) -> Vec<(RowKind, A)> {
    keep(it, own, 0);
    let adds = it.kind.is_accumulate();
    let kind = match (wants, adds) {
        (true, _) => it.kind,
        (false, true) => RowKind::Delete,
        (false, false) => RowKind::Insert,
    };
    let mut out = Vec::new();
    for matching in asking
        .iter_mut()
        .filter(|kept| condition(&kept.row, it.row))
    {
        if matching.matches == u32::from(!adds) {
            out.push((kind, matching.row.clone()));
        }
        matching.matches = match adds {
            true => matching.matches + 1,
            false => matching.matches.saturating_sub(1),
        };
    }
    out
}

impl<K: Ord + Clone, L: Clone + PartialEq, R: Clone + PartialEq> TableJoin<K, L, R> {
    /// An empty one; `ttl` is how long a row lives after it was written, ms of processing time.
    #[must_use]
    pub fn new(join: JoinType, ttl: Option<i64>) -> Self {
        TableJoin {
            join,
            ttl,
            left: Pieces::default(),
            right: Pieces::default(),
            rows: 0,
        }
    }

    fn lives(&self, since: i64, now: i64) -> bool {
        self.ttl.is_none_or(|ttl| since.saturating_add(ttl) > now)
    }

    fn expire(&mut self, key: &K, now: i64) {
        let Some(ttl) = self.ttl else {
            return;
        };
        let before = self.rows_of(key);
        let lives = |since: i64| since.saturating_add(ttl) > now;
        if let Some(rows) = self.left.get_mut(key) {
            rows.retain(|kept| lives(kept.since));
        }
        if let Some(rows) = self.right.get_mut(key) {
            rows.retain(|kept| lives(kept.since));
        }
        let gone = before.saturating_sub(self.rows_of(key));
        self.rows = self.rows.saturating_sub(gone);
    }

    fn rows_of(&self, key: &K) -> u64 {
        let left = self.left.get(key).map_or(0, Vec::len);
        let right = self.right.get(key).map_or(0, Vec::len);
        (left + right) as u64
    }

    /// Before a change of a key: what has expired goes. How many rows there are.
    fn begin(&mut self, key: &K, now: i64) -> u64 {
        self.expire(key, now);
        self.rows_of(key)
    }

    /// After a change of a key that had so many rows.
    fn end(&mut self, key: &K, before: u64) {
        self.rows = (self.rows + self.rows_of(key)).saturating_sub(before);
        self.tidy(key);
    }

    /// The key after this one, or the first, and whether a row of it has lived for too long:
    /// background clean-up goes from key to key.
    #[must_use]
    pub fn next_key(&self, after: Option<&K>, now: i64) -> Option<(K, bool)> {
        let (left, right) = (self.left.after(after), self.right.after(after));
        let key = match (left, right) {
            (Some((left, _)), Some((right, _))) => left.min(right),
            (Some((key, _)), None) | (None, Some((key, _))) => key,
            (None, None) => return None,
        };
        let dead = |since: i64| !self.lives(since, now);
        let left = self.left.get(&key).into_iter().flatten();
        let right = self.right.get(&key).into_iter().flatten();
        let expired = left.map(|it| it.since).any(dead) || right.map(|it| it.since).any(dead);
        Some((key, expired))
    }

    /// Drops what has lived for too long of a key; how many rows.
    pub fn clean(&mut self, key: &K, now: i64) -> u64 {
        let before = self.rows;
        self.expire(key, now);
        self.tidy(key);
        before.saturating_sub(self.rows)
    }

    /// Rows kept, of both sides.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        let left = |rows: &Rows<L>, _: Option<&Rows<L>>| size_of_val(rows.as_slice());
        let right = |rows: &Rows<R>, _: Option<&Rows<R>>| size_of_val(rows.as_slice());
        self.left.unshared(before.map(|it| &it.left), Some(left))
            + self.right.unshared(before.map(|it| &it.right), Some(right))
    }

    fn tidy(&mut self, key: &K) {
        if self.left.get(key).is_some_and(Vec::is_empty) {
            self.left.remove(key);
        }
        if self.right.get(key).is_some_and(Vec::is_empty) {
            self.right.remove(key);
        }
    }

    /// A change of the left table at the processing time `now`, ms.
    pub fn on_left(
        &mut self,
        key: &K,
        kind: RowKind,
        row: &L,
        now: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<Joined<L, R>> {
        let before = self.begin(key, now);
        let outer = (self.join.is_left_outer(), self.join.is_right_outer());
        let own = self.left.write(key.clone(), Vec::new);
        let mut none = Vec::new();
        let other = self.right.get_mut(key).unwrap_or(&mut none);
        let it = Change::of(kind, row, outer, now);
        let rows = match self.join.wants_match() {
            None => change(&it, own, other, condition),
            Some(wants) => {
                let row = asks(&it, own, other, wants, condition);
                row.map(|(kind, left)| (kind, Some(left), None))
                    .into_iter()
                    .collect()
            }
        };
        self.end(key, before);
        let row = |(kind, left, right)| Joined { kind, left, right };
        rows.into_iter().map(row).collect()
    }

    /// A change of the right table at the processing time `now`, ms.
    pub fn on_right(
        &mut self,
        key: &K,
        kind: RowKind,
        row: &R,
        now: i64,
        condition: &impl Fn(&L, &R) -> bool,
    ) -> Vec<Joined<L, R>> {
        let before = self.begin(key, now);
        let outer = (self.join.is_right_outer(), self.join.is_left_outer());
        let own = self.right.write(key.clone(), Vec::new);
        let mut none = Vec::new();
        let other = self.left.get_mut(key).unwrap_or(&mut none);
        let turned = |one: &R, other: &L| condition(other, one);
        let it = Change::of(kind, row, outer, now);
        let rows = match self.join.wants_match() {
            None => change(&it, own, other, &turned),
            Some(wants) => {
                let rows = answers(&it, own, other, wants, condition).into_iter();
                rows.map(|(kind, left)| (kind, None, Some(left))).collect()
            }
        };
        self.end(key, before);
        let row = |(kind, right, left)| Joined { kind, left, right };
        rows.into_iter().map(row).collect()
    }

    /// How many rows a side keeps.
    #[must_use]
    pub fn kept(&self, side: Side) -> usize {
        match side {
            Side::Left => self.left.iter().map(|(_, rows)| rows.len()).sum(),
            Side::Right => self.right.iter().map(|(_, rows)| rows.len()).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Join = TableJoin<u8, u8, u8>;
    type Out = (&'static str, Option<u8>, Option<u8>);

    fn shown(out: Vec<Joined<u8, u8>>) -> Vec<Out> {
        let row = |it: Joined<u8, u8>| (it.kind.short(), it.left, it.right);
        out.into_iter().map(row).collect()
    }

    fn put(join: &mut Join, side: Side, kind: RowKind, row: u8, now: i64) -> Vec<Out> {
        shown(match side {
            Side::Left => join.on_left(&0, kind, &row, now, &|_, _| true),
            Side::Right => join.on_right(&0, kind, &row, now, &|_, _| true),
        })
    }

    fn check(join: JoinType, steps: &[(Side, RowKind, u8, &[Out])]) {
        let mut it = Join::new(join, None);
        for (side, kind, row, expected) in steps {
            let got = put(&mut it, *side, *kind, *row, 0);
            assert_eq!(got, *expected, "{join:?} {side:?} {kind:?} {row}");
        }
    }

    #[test]
    fn an_inner_join_hands_the_kind_on() {
        check(
            JoinType::Inner,
            &[
                (Side::Left, Insert, 1, &[]),
                (Side::Right, Insert, 7, &[("+I", Some(1), Some(7))]),
                (Side::Right, UpdateBefore, 7, &[("-U", Some(1), Some(7))]),
                (Side::Right, UpdateAfter, 8, &[("+U", Some(1), Some(8))]),
                (Side::Left, Delete, 1, &[("-D", Some(1), Some(8))]),
            ],
        );
    }

    #[test]
    fn a_left_join_takes_its_row_of_nulls_back_and_puts_it_out_again() {
        let paired = [("-D", Some(1), None), ("+I", Some(1), Some(7))];
        let alone = [("-D", Some(1), Some(8)), ("+I", Some(1), None)];
        check(
            JoinType::Left,
            &[
                (Side::Left, UpdateAfter, 1, &[("+I", Some(1), None)]),
                (Side::Right, Insert, 7, &paired),
                (Side::Right, Insert, 8, &[("+I", Some(1), Some(8))]),
                (Side::Right, Delete, 7, &[("-D", Some(1), Some(7))]),
                (Side::Right, Delete, 8, &alone),
                (Side::Left, Delete, 1, &[("-D", Some(1), None)]),
            ],
        );
    }

    #[test]
    fn a_semi_join_puts_a_row_out_with_its_first_match_and_takes_it_back_with_the_last() {
        check(
            JoinType::Semi,
            &[
                (Side::Left, Insert, 1, &[]),
                (Side::Right, UpdateAfter, 7, &[("+U", Some(1), None)]),
                (Side::Right, Insert, 8, &[]),
                (Side::Left, Insert, 2, &[("+I", Some(2), None)]),
                (Side::Right, Delete, 7, &[]),
                (Side::Left, Delete, 2, &[("-D", Some(2), None)]),
                (Side::Right, UpdateBefore, 8, &[("-U", Some(1), None)]),
                (Side::Left, Delete, 1, &[]),
            ],
        );
    }

    #[test]
    fn an_anti_join_is_the_other_way_round() {
        check(
            JoinType::Anti,
            &[
                (Side::Left, Insert, 1, &[("+I", Some(1), None)]),
                (Side::Right, UpdateAfter, 7, &[("-D", Some(1), None)]),
                (Side::Left, Insert, 2, &[]),
                (Side::Right, Insert, 8, &[]),
                (Side::Right, Delete, 7, &[]),
                (Side::Left, Delete, 2, &[]),
                (Side::Right, UpdateBefore, 8, &[("+I", Some(1), None)]),
                (Side::Left, Delete, 1, &[("-D", Some(1), None)]),
            ],
        );
    }

    #[test]
    fn a_row_that_has_lived_its_time_matches_nothing() {
        let mut it = Join::new(JoinType::Inner, Some(10));
        put(&mut it, Side::Left, Insert, 1, 0);
        assert_eq!(put(&mut it, Side::Right, Insert, 7, 9).len(), 1);
        assert_eq!(put(&mut it, Side::Right, Insert, 8, 10), []);
        assert_eq!((it.kept(Side::Left), it.kept(Side::Right)), (0, 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// What was put out, with what was taken back taken away, is the join of the two tables.
        #[test]
        fn the_changes_add_up_to_the_join(
            which in 0..6_usize,
            steps in prop::collection::vec((any::<bool>(), 0..3_u8, 0..4_u8), 0..40),
        ) {
            use JoinType::{Anti, Full, Inner, Left, Right, Semi};
            let join = [Inner, Left, Right, Full, Semi, Anti][which];
            let mut it = Join::new(join, None);
            let near = |a: &u8, b: &u8| a.abs_diff(*b) <= 1;
            let (mut lefts, mut rights): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
            let mut result: BTreeMap<(Option<u8>, Option<u8>), i32> = BTreeMap::new();
            for (is_left, what, row) in steps {
                let table = if is_left { &mut lefts } else { &mut rights };
                let at = table.iter().position(|it| *it == row);
                let kind = match (what, at) {
                    (0, Some(at)) => {
                        table.remove(at);
                        Delete
                    }
                    _ => {
                        table.push(row);
                        Insert
                    }
                };
                let out = match is_left {
                    true => it.on_left(&0, kind, &row, 0, &near),
                    false => it.on_right(&0, kind, &row, 0, &near),
                };
                for row in out {
                    let by = if row.kind.is_accumulate() { 1 } else { -1 };
                    *result.entry((row.left, row.right)).or_default() += by;
                }
                result.retain(|_, count| *count != 0);
                let mut expected = BTreeMap::new();
                let mut add = |row| *expected.entry(row).or_default() += 1;
                for a in &lefts {
                    if let Some(wants) = join.wants_match() {
                        if rights.iter().any(|b| near(a, b)) == wants {
                            add((Some(*a), None));
                        }
                        continue;
                    }
                    rights.iter().filter(|b| near(a, b)).for_each(|b| add((Some(*a), Some(*b))));
                    if join.is_left_outer() && !rights.iter().any(|b| near(a, b)) {
                        add((Some(*a), None));
                    }
                }
                for b in &rights {
                    if join.is_right_outer() && !lefts.iter().any(|a| near(a, b)) {
                        add((None, Some(*b)));
                    }
                }
                prop_assert_eq!(&result, &expected);
            }
        }
    }
}
