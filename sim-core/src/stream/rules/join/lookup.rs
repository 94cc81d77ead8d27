//! Lookup join: each row asks a table outside, with a cache of its answers in between.
//!
//! Follows `DefaultLookupCache` (`lookup.cache = PARTIAL`): at most so many keys, the one least
//! recently used goes first; an answer expires some time after it was written, or after it was last
//! used; that a key is missing may be kept too. A hit is what the table said then, so results depend
//! on when a key was last asked for. How many calls may be on their way, and in what order their
//! results leave, is the asynchronous operator's matter.

use super::{Joined, RowKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The settings of the cache. Times in ms of processing time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CacheRules {
    /// `lookup.partial-cache.max-rows`: keys, in fact.
    pub max_rows: Option<u32>,
    /// `lookup.partial-cache.expire-after-write`.
    pub expire_after_write: Option<i64>,
    /// `lookup.partial-cache.expire-after-access`.
    pub expire_after_access: Option<i64>,
    /// `lookup.partial-cache.cache-missing-key`.
    pub cache_missing_key: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Entry<R> {
    rows: Vec<R>,
    written: i64,
    used: i64,
    turn: u64,
}

/// The cache.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LookupCache<K: Ord, R> {
    rules: CacheRules,
    entries: BTreeMap<K, Entry<R>>,
    /// Keys by when they were used last, the oldest first.
    order: BTreeSet<(u64, K)>,
    turn: u64,
    /// How often an answer was there.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
}

impl<K: Ord + Clone, R: Clone> LookupCache<K, R> {
    /// An empty cache.
    ///
    /// # Errors
    ///
    /// Where nothing bounds it, as Flink refuses that.
    pub fn new(rules: CacheRules) -> Result<Self, &'static str> {
        let bounded = rules.max_rows.is_some()
            || rules.expire_after_write.is_some()
            || rules.expire_after_access.is_some();
        if !bounded {
            return Err("expiration duration and maximum size are not set for the cache");
        }
        Ok(LookupCache {
            rules,
            entries: BTreeMap::new(),
            order: BTreeSet::new(),
            turn: 0,
            hits: 0,
            misses: 0,
        })
    }

    /// What the cache has for a key; an empty answer says that the table has none.
    pub fn get(&mut self, key: &K, now: i64) -> Option<Vec<R>> {
        let over =
            |since: i64, span: Option<i64>| span.is_some_and(|it| now.saturating_sub(since) >= it);
        let found = self.entries.get(key);
        let fresh = found.is_some_and(|it| {
            !over(it.written, self.rules.expire_after_write)
                && !over(it.used, self.rules.expire_after_access)
        });
        if !fresh {
            self.invalidate(key);
            self.misses += 1;
            return None;
        }
        self.hits += 1;
        self.turn += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&(entry.turn, key.clone()));
        (entry.used, entry.turn) = (now, self.turn);
        self.order.insert((entry.turn, key.clone()));
        Some(entry.rows.clone())
    }

    /// Keeps the table's answer.
    pub fn put(&mut self, key: K, rows: Vec<R>, now: i64) {
        if rows.is_empty() && !self.rules.cache_missing_key {
            return;
        }
        self.invalidate(&key);
        self.turn += 1;
        self.order.insert((self.turn, key.clone()));
        let entry = Entry {
            rows,
            written: now,
            used: now,
            turn: self.turn,
        };
        self.entries.insert(key, entry);
        let most = self.rules.max_rows.map_or(usize::MAX, |it| it as usize);
        while self.entries.len() > most {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }

    /// Forgets a key.
    pub fn invalidate(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&(entry.turn, key.clone()));
        }
    }
}

/// The rows that a left row and the table's answer give.
#[must_use]
pub fn looked_up<L: Clone, R: Clone>(
    left_outer: bool,
    kind: RowKind,
    left: &L,
    answer: &[R],
    condition: &impl Fn(&L, &R) -> bool,
) -> Vec<Joined<L, R>> {
    let row = |right: Option<&R>| Joined {
        kind,
        left: Some(left.clone()),
        right: right.cloned(),
    };
    let matching = answer.iter().filter(|right| condition(left, right));
    let rows: Vec<_> = matching.map(|right| row(Some(right))).collect();
    match rows.is_empty() && left_outer {
        true => vec![row(None)],
        false => rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNBOUNDED: CacheRules = CacheRules {
        max_rows: None,
        expire_after_write: None,
        expire_after_access: None,
        cache_missing_key: true,
    };

    #[test]
    fn answers_expire_after_being_written_or_used() {
        let check = |write, access, expected: [bool; 4]| {
            let rules = CacheRules {
                expire_after_write: write,
                expire_after_access: access,
                ..UNBOUNDED
            };
            let mut cache = LookupCache::new(rules).expect("bounded");
            cache.put('k', vec![1], 0);
            let got = [5, 9, 14, 30].map(|now| cache.get(&'k', now).is_some());
            assert_eq!(got, expected, "{rules:?}");
        };
        check(Some(10), None, [true, true, false, false]);
        check(None, Some(10), [true, true, true, false]);
        check(Some(20), Some(4), [false; 4]);
        assert!(LookupCache::<char, u8>::new(UNBOUNDED).is_err());
    }

    #[test]
    fn the_key_least_recently_used_goes_first_and_a_missing_one_may_be_kept() {
        let rules = CacheRules {
            max_rows: Some(2),
            ..UNBOUNDED
        };
        let mut cache = LookupCache::new(rules).expect("bounded");
        cache.put('a', vec![1], 0);
        cache.put('b', Vec::new(), 1);
        assert_eq!(cache.get(&'a', 2), Some(vec![1]));
        cache.put('c', vec![3], 3);
        assert_eq!(
            (cache.get(&'b', 4), cache.get(&'a', 4)),
            (None, Some(vec![1]))
        );
        assert_eq!((cache.hits, cache.misses), (2, 1));
        let mut cache = LookupCache::<_, u8>::new(CacheRules {
            cache_missing_key: false,
            ..rules
        })
        .expect("bounded");
        cache.put('b', Vec::new(), 1);
        assert_eq!(cache.get(&'b', 1), None);
    }

    #[test]
    fn a_row_meets_each_row_of_the_answer() {
        let check = |left_outer, answer: &[i32], expected: &[Option<i32>]| {
            let rows = looked_up(left_outer, RowKind::Insert, &2, answer, &|a, b| b >= a);
            let right: Vec<_> = rows.into_iter().map(|it| it.right).collect();
            assert_eq!(right, expected, "{left_outer} {answer:?}");
        };
        check(false, &[1, 2, 3], &[Some(2), Some(3)]);
        check(true, &[1], &[None]);
        check(false, &[], &[]);
    }
}
