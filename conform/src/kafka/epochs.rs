//! The leader epoch cache: `LeaderEpochFileCacheTest`.

use crate::case::{Case, Checked, unknown};
use crate::values::{int, int32, list, numbers, text};
use serde_json::json;
use sim_core::log::LeaderEpochCache;

pub(crate) fn check(case: &Case) -> Checked {
    let mut cache = LeaderEpochCache::new();
    for pair in list(&case.input["assign"])? {
        cache.assign(int32(&pair[0])?, int(&pair[1])?);
    }
    for op in list(&case.input["ops"])? {
        let op = text(op)?;
        let argument = numbers(op).first().copied();
        match (op.split('(').next(), argument) {
            (Some("truncateFromStart"), Some(offset)) => cache.truncate_from_start(offset),
            (Some("truncateFromEnd"), Some(offset)) => cache.truncate_from_end(offset),
            (Some("clear" | "clearAndFlush"), None) => cache.clear(),
            _ => return Err(unknown("operation", op)),
        }
    }
    case.same_all(|key| {
        Ok(Some(match key {
            "entries" => {
                let entries = cache.entries().iter();
                let pairs = entries.map(|entry| json!([entry.epoch, entry.start_offset]));
                pairs.collect()
            }
            "latest_epoch" => json!(cache.latest_epoch()),
            "answers" => {
                let mut answers = Vec::new();
                for query in list(&case.input["queries"])? {
                    let end = cache.end_offset_for(int32(&query[0])?, int(&query[1])?);
                    answers.push(json!([end.epoch, end.end_offset]));
                }
                json!(answers)
            }
            _ => return Ok(None),
        }))
    })
}
