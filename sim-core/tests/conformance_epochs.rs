//! Conformance: the leader epoch cache.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use sim_core::log::LeaderEpochCache;
use support::{Case, int, int32, keys, list, numbers, run, text};

fn check(case: &Case) {
    let mut cache = LeaderEpochCache::new();
    for pair in list(&case.input["assign"]) {
        cache.assign(int32(&pair[0]), int(&pair[1]));
    }
    for op in list(&case.input["ops"]) {
        let op = text(op);
        let argument = numbers(op).first().copied();
        match (op.split('(').next(), argument) {
            (Some("truncateFromStart"), Some(offset)) => cache.truncate_from_start(offset),
            (Some("truncateFromEnd"), Some(offset)) => cache.truncate_from_end(offset),
            (Some("clear" | "clearAndFlush"), None) => cache.clear(),
            _ => panic!("{}: unknown operation {op}", case.id),
        }
    }
    for key in keys(&case.expect) {
        let got = match key {
            "entries" => {
                let pair =
                    |entry: &sim_core::log::EpochEntry| json!([entry.epoch, entry.start_offset]);
                json!(cache.entries().iter().map(pair).collect::<Vec<_>>())
            }
            "latest_epoch" => json!(cache.latest_epoch()),
            "answers" => {
                let answer = |query: &serde_json::Value| {
                    let end = cache.end_offset_for(int32(&query[0]), int(&query[1]));
                    json!([end.epoch, end.end_offset])
                };
                json!(
                    list(&case.input["queries"])
                        .iter()
                        .map(answer)
                        .collect::<Vec<_>>()
                )
            }
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        assert_eq!(got, case.expect[key], "{}: {key}", case.id);
    }
}

#[test]
fn leader_epoch_cache() {
    run!("leader-epoch-cache.json", check);
}
