//! The leader epoch cache: `LeaderEpochFileCacheTest`.

use crate::case::{Case, Checked, unknown};
use crate::values::{int, int32, list, nth, numbers, text};
use serde_json::{Value, json};
use sim_core::log::{EpochEntry, LeaderEpochCache};

/// The cache takes no negative epochs and offsets; a case that has them is not about the cache.
fn assign(cache: &mut LeaderEpochCache, epoch: i32, offset: i64) -> Checked {
    if epoch < 0 || offset < 0 {
        return Err(unknown("entry", format!("[{epoch}, {offset}]")));
    }
    cache.assign(epoch, offset);
    Ok(())
}

/// "assign(2,6)", "truncateFromStart(9)", "truncateFromEndAsyncFlush(9)", "clearAndFlush()".
fn operate(cache: &mut LeaderEpochCache, op: &str) -> Checked {
    let arguments = numbers(op);
    let name = op.split('(').next().unwrap_or_default().trim();
    let name = name.trim_end_matches("AsyncFlush");
    match (name, arguments.as_slice()) {
        ("truncateFromStart", [offset]) => cache.truncate_from_start(*offset),
        ("truncateFromEnd", [offset]) => cache.truncate_from_end(*offset),
        ("clear" | "clearAndFlush", []) => cache.clear(),
        ("assign", [epoch, offset]) => {
            let epoch = i32::try_from(*epoch).map_err(|_| unknown("epoch", epoch))?;
            assign(cache, epoch, *offset)?;
        }
        _ => return Err(unknown("operation", op)),
    }
    Ok(())
}

fn pair(entry: EpochEntry) -> Value {
    json!([entry.epoch, entry.start_offset])
}

/// What `answer` says of every number in a list of the input.
fn each(case: &Case, key: &str, answer: impl Fn(i64) -> Option<i32>) -> Checked<Value> {
    let asked = list(&case.input[key])?.iter();
    let answers: Checked<Vec<_>> = asked.map(|it| Ok(answer(int(it)?))).collect();
    answers.map(|all| json!(all))
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut cache = LeaderEpochCache::new();
    for entry in list(&case.input["assign"])? {
        assign(&mut cache, int32(&entry[0])?, int(&entry[1])?)?;
    }
    for op in list(&case.input["ops"])? {
        operate(&mut cache, text(op)?)?;
    }
    let epoch_of = |number: i64| i32::try_from(number).ok();
    case.same_all(|key| {
        Ok(Some(match key {
            "entries" => cache.entries().iter().copied().map(pair).collect(),
            "latest_epoch" => json!(cache.latest_epoch()),
            "latest" | "latest_entry" => json!(cache.latest().map(pair)),
            "earliest" | "earliest_entry" => json!(cache.earliest().map(pair)),
            "is_empty" => json!(cache.is_empty()),
            "previous_epochs" => each(case, "previous_of", |it| {
                cache.previous_epoch(epoch_of(it)?)
            })?,
            "next_epochs" => each(case, "next_of", |it| cache.next_epoch(epoch_of(it)?))?,
            "epochs_for_offsets" => each(case, "offsets", |it| cache.epoch_for_offset(it))?,
            "answers" => {
                let mut answers = Vec::new();
                for query in list(&case.input["queries"])? {
                    // Some cases ask for an epoch alone.
                    let asked = match query {
                        Value::Array(parts) => nth(&parts.iter().collect::<Vec<_>>(), 0)?,
                        alone => alone,
                    };
                    let log_end = query.get(1).map_or(Ok(0), int)?;
                    let end = cache.end_offset_for(int32(asked)?, log_end);
                    answers.push(json!([end.epoch, end.end_offset]));
                }
                json!(answers)
            }
            _ => return Ok(None),
        }))
    })
}
