//! What compaction must leave: of each key the last value, in every replica.
//!
//! The invariant **CompactionKeepsLastValue** of [`super::invariants`] asks these after each pass of
//! a cleaner, and of all replicas when a run is over. They know nothing of how a cleaner chooses.

use crate::log::Log;
use serde::Serialize;
use std::collections::BTreeMap;

/// A record that compaction removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Gone {
    /// Its key.
    pub(super) key: Option<u32>,
    /// Where it stood.
    pub(super) offset: i64,
    /// It had a value.
    pub(super) value: bool,
}

/// How what compaction did is looked at; see [`crate::kafka::parts`].
pub(super) struct CompactionChecks {
    pub(super) fault: fn(&Log, &[Gone]) -> Option<String>,
    pub(super) tables_differ: fn(&Log, &Log) -> Option<String>,
}

impl CompactionChecks {
    /// Topics may be compacted.
    pub(super) const ALL: CompactionChecks = CompactionChecks {
        fault,
        tables_differ,
    };

    /// None is.
    pub(super) const NONE: CompactionChecks = CompactionChecks {
        fault: |_, _| None,
        tables_differ: |_, _| None,
    };
}

/// The last record of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Last {
    offset: i64,
    /// It has a value.
    value: bool,
}

/// The last record of each key.
type Table = BTreeMap<u32, Last>;

fn table(log: &Log) -> Table {
    let keyed = log.records(log.start_offset(), log.leo());
    let keyed = keyed.filter_map(|(offset, _, record)| {
        let value = !record.tombstone;
        Some((record.key?.0, Last { offset, value }))
    });
    keyed.collect()
}

/// What is wrong with a log after these records were removed, if anything.
pub(super) fn fault(log: &Log, gone: &[Gone]) -> Option<String> {
    if gone.is_empty() {
        return None;
    }
    let last = table(log);
    let mut erased: BTreeMap<u32, i64> = BTreeMap::new();
    for it in gone.iter().filter(|it| !it.value) {
        if let Some(key) = it.key {
            let at = erased.entry(key).or_insert(it.offset);
            *at = it.offset.max(*at);
        }
    }
    gone.iter().find_map(|it| {
        let (key, offset) = (it.key?, it.offset);
        let stands = last.get(&key).map(|last| last.offset);
        let later = stands.is_some_and(|at| at > offset);
        let erased = erased.get(&key).is_some_and(|at| *at > offset);
        match (it.value, stands) {
            (true, _) if !later && !erased => Some(format!(
                "removed the last value of key {key}, at offset {offset}"
            )),
            (false, Some(at)) if at < offset => Some(format!(
                "removed the tombstone of key {key} at offset {offset} and left its value at {at}"
            )),
            _ => None,
        }
    })
}

/// Whether a log is compacted.
pub(super) fn compacts(log: &Log) -> bool {
    log.config().cleanup_policy.compact
}

/// Two replicas that compact by themselves have the same last value of each key, as far as both know
/// it to be committed. What differs, if anything does.
pub(super) fn tables_differ(left: &Log, right: &Log) -> Option<String> {
    let agreed = left.high_watermark().min(right.high_watermark());
    // What retention took from one of them says nothing of the other.
    let start = left.start_offset().max(right.start_offset());
    let (one, other) = (table(left), table(right));
    // One that knows more may have removed a key because of a tombstone that the other lacks.
    let knows_more = |log: &Log| log.high_watermark() > agreed;
    let known = |log: &Log, it: Option<&Last>| match it {
        Some(last) => (start..agreed).contains(&last.offset),
        None => !knows_more(log),
    };
    let live = |it: Option<&Last>| it.filter(|it| it.value).map(|it| it.offset);
    one.keys().chain(other.keys()).find_map(|key| {
        let (mine, theirs) = (one.get(key), other.get(key));
        let comparable = known(left, mine) && known(right, theirs);
        let (mine, theirs) = (live(mine), live(theirs));
        (comparable && mine != theirs)
            .then(|| format!("hold different last values of key {key}: at {mine:?} and {theirs:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Batch, CleanupPolicy, KeyId, LogConfig, ProducerStamp, Record, RecordId};

    /// A log of records (offset, key, whether it has a value), all committed.
    fn log(records: &[(i64, u32, bool)]) -> Log {
        let mut log = Log::new(LogConfig {
            cleanup_policy: CleanupPolicy::COMPACT,
            ..LogConfig::default()
        });
        for (offset, key, value) in records {
            let record = Record {
                id: RecordId(0),
                key: Some(KeyId(*key)),
                offset_delta: 0,
                bytes: 10,
                timestamp_ms: 0,
                tombstone: !value,
            };
            let mut batch = Batch::new(vec![record], ProducerStamp::NONE);
            batch.base_offset = *offset;
            log.append_as_follower(batch).expect("in order");
        }
        log.set_high_watermark(log.leo());
        log
    }

    #[test]
    fn a_pass_that_takes_too_much_is_found() {
        let check = |left: &[(i64, u32, bool)], gone: &[(i64, u32, bool)], bad: bool| {
            let gone = gone.iter().map(|(offset, key, value)| Gone {
                key: Some(*key),
                offset: *offset,
                value: *value,
            });
            let found = fault(&log(left), &gone.collect::<Vec<_>>());
            assert_eq!(found.is_some(), bad, "{left:?}: {found:?}");
        };
        // The last value of key 1 stands at 5.
        check(&[(5, 1, true)], &[(3, 1, true)], false);
        check(&[(2, 1, true)], &[(3, 1, true)], true);
        check(&[(5, 2, true)], &[(3, 1, true)], true);
        // A tombstone goes after what it deleted, never before it.
        check(&[(5, 2, true)], &[(3, 1, true), (4, 1, false)], false);
        check(&[(3, 1, true)], &[(4, 1, false)], true);
    }

    #[test]
    fn replicas_agree_on_the_last_value_of_each_key() {
        let check = |one: &[(i64, u32, bool)], other: &[(i64, u32, bool)], bad: bool| {
            let found = tables_differ(&log(one), &log(other));
            assert_eq!(found.is_some(), bad, "{one:?} {other:?}: {found:?}");
        };
        let end = (9, 9, true);
        check(
            &[(1, 1, true), (5, 1, true), end],
            &[(5, 1, true), end],
            false,
        );
        check(&[(1, 1, true), end], &[(5, 1, true), end], true);
        check(&[(1, 1, true), end], &[end], true);
        // A tombstone is as good as nothing.
        check(&[(1, 1, false), end], &[end], false);
        // The other one knows more than this one.
        check(&[(1, 1, true)], &[(5, 1, true), end], false);
    }
}
