//! A lookup join of a subtask: each row asks a table outside by its key, with a cache in between.
//!
//! Follows `LookupJoinRunner` with `CachingLookupFunction`, whose rules stand in
//! [`lookup`](super::super::rules::join::lookup). The table outside changes at times of its own; what a
//! cache has kept is what the table said when it was asked, however it has changed since. A call holds
//! the thread up, as one that waits for the answer does. The cache is no state: a restart begins with
//! an empty one. Left out: calls that wait side by side (`AsyncLookupJoinRunner`), and full caching.

use super::{Outs, Site, number};
use crate::stream::element::{Key, Record};
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::join::lookup::{LookupCache, looked_up};
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::LookupSpec;
use serde::Serialize;

/// A subtask of a lookup join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LookupTask {
    site: Site,
    cache: Option<LookupCache<Key, i64>>,
    watermark: i64,
    /// Questions that the table answered.
    calls: u64,
}

impl LookupTask {
    pub(super) fn open(spec: &LookupSpec, site: Site) -> Self {
        LookupTask {
            site,
            cache: spec.cache.and_then(|rules| LookupCache::new(rules).ok()),
            watermark: NO_WATERMARK,
            calls: 0,
        }
    }

    pub(super) fn site(&self) -> Site {
        self.site
    }

    pub(super) fn on_record(&mut self, spec: &LookupSpec, mut record: Record, outs: &mut Outs) {
        let now = outs.now_ms;
        let known = self.cache.as_mut().and_then(|it| it.get(&record.key, now));
        let answer = known.unwrap_or_else(|| {
            self.calls += 1;
            outs.spent = outs.spent.saturating_add(spec.cost);
            let rows: Vec<i64> = spec.at(record.key, now).into_iter().collect();
            if let Some(cache) = &mut self.cache {
                cache.put(record.key, rows.clone(), now);
            }
            rows
        });
        let left = number(&record.value);
        let found = looked_up(spec.left_outer, RowKind::Insert, &left, &answer, &|_, _| {
            true
        });
        // The table has one row for a key at most.
        if let Some(pair) = found.into_iter().next() {
            record.right = Some(pair.right.map_or(Value::Nothing, Value::Number));
            outs.main.push(record);
        }
    }

    pub(super) fn on_watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Questions that the table answered, and those that the cache did.
    #[must_use]
    pub fn asked(&self) -> (u64, u64) {
        (self.calls, self.cache.as_ref().map_or(0, |it| it.hits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::element::{NO_TIMESTAMP, Origin};
    use crate::stream::rules::join::lookup::CacheRules;
    use crate::stream::spec::LookupRow;

    fn spec(left_outer: bool, expire: Option<i64>) -> LookupSpec {
        let row = |at, key, value| LookupRow {
            at,
            key: Key(key),
            value,
        };
        LookupSpec {
            rows: vec![row(0, 1, Some(10)), row(20, 1, Some(11)), row(40, 1, None)],
            left_outer,
            cache: expire.map(|after| CacheRules {
                max_rows: None,
                expire_after_write: Some(after),
                expire_after_access: None,
                cache_missing_key: true,
            }),
            cost: 7,
        }
    }

    /// What records of key 1 at these times meet, how often the table was asked, and what that cost.
    fn met(spec: &LookupSpec, times: &[i64]) -> (Vec<Option<Value>>, (u64, u64), u64) {
        let site = Site {
            operator: 0,
            subtask: 0,
            parallelism: 1,
            max_parallelism: 128,
        };
        let mut task = LookupTask::open(spec, site);
        let mut outs = Outs::default();
        for now in times {
            outs.now_ms = *now;
            let record = Record {
                key: Key(1),
                timestamp: NO_TIMESTAMP,
                value: Value::Number(1),
                right: None,
                kind: RowKind::Insert,
                window: None,
                timing: None,
                origin: Origin::default(),
            };
            task.on_record(spec, record, &mut outs);
        }
        let right = outs.main.into_iter().map(|it| it.right).collect();
        (right, task.asked(), outs.spent)
    }

    #[test]
    fn a_cache_says_what_the_table_said_when_it_was_asked() {
        let n = |value| Some(Value::Number(value));
        let times = [1, 19, 20, 30, 45];
        let direct = vec![n(10), n(10), n(11), n(11)];
        assert_eq!(met(&spec(false, None), &times), (direct, (5, 0), 35));
        let gone = vec![n(10), n(10), n(11), n(11), Some(Value::Nothing)];
        assert_eq!(met(&spec(true, None), &times), (gone, (5, 0), 35));
        // Kept for 25: the answer of 1 is good up to 25, that of 30 goes on past the end of the row.
        let stale = vec![n(10), n(10), n(10), n(11), n(11)];
        assert_eq!(met(&spec(false, Some(25)), &times), (stale, (2, 3), 14));
    }
}
