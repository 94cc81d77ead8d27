//! Fault tolerance of Flink: sinks, restarts, failed and waiting checkpoints, buffer sizes.

mod debloat;
mod failures;
mod kafka_sink;
mod restart;
mod trigger;
mod two_phase;

use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{bounded, int};
use serde_json::Value;

/// Loops over what a case counts go no further.
const MOST: usize = 100_000;

/// The first of several names that the object has a value for.
fn first<'a>(holder: &'a Value, names: &[&str]) -> &'a Value {
    let found = names.iter().map(|name| &holder[*name]);
    found
        .into_iter()
        .find(|it| !it.is_null())
        .unwrap_or(&Value::Null)
}

/// The same, in one of several objects.
fn either<'a>(holders: [&'a Value; 2], names: &[&str]) -> &'a Value {
    match first(holders[0], names) {
        Value::Null => first(holders[1], names),
        found => found,
    }
}

fn flag(value: &Value, default: bool) -> Checked<bool> {
    match value {
        Value::Null => Ok(default),
        Value::Bool(it) => Ok(*it),
        other => Err(unknown("truth", other)),
    }
}

fn number_or(value: &Value, default: i64) -> Checked<i64> {
    match value {
        Value::Null => Ok(default),
        other => bounded(int(other)?),
    }
}

/// A decimal fraction in millionths.
fn millionths(value: &Value) -> Checked<i64> {
    let why = || Fault::Unsupported(format!("{value} is no decimal fraction"));
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(why()),
    };
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    if places.len() > 6 || !places.bytes().all(|it| it.is_ascii_digit()) || whole.starts_with('-') {
        return Err(why());
    }
    let digits = format!("{whole}{places:0<6}");
    bounded(digits.parse().map_err(|_| why())?)
}

/// Compares what a step of the case is to leave behind. `got` answers for a key.
fn same_step(
    expected: &Value,
    number: usize,
    mut got: impl FnMut(&str, &Value) -> Checked<Option<Value>>,
) -> Checked {
    let entries = expected.as_array().into_iter().flatten();
    for entry in entries.filter(|it| it["step"] == number) {
        for (key, value) in entry.as_object().into_iter().flatten() {
            if ["step", "note", "notes", "rule"].contains(&key.as_str()) {
                continue;
            }
            let it = got(key, value)?.ok_or_else(|| unknown("expectation", key))?;
            same(&format!("step {number}: {key}"), &it, value)?;
        }
    }
    Ok(())
}

pub(super) fn check(case: &Case) -> Checked {
    match case.topic.as_str() {
        "two-phase-commit" => two_phase::check(case),
        "kafka-sink" => kafka_sink::check(case),
        "restart-strategy" => restart::check(case),
        "checkpoint-failures" => failures::check(case),
        "checkpoint-trigger" => trigger::check(case),
        "buffer-debloating" => debloat::check(case),
        other => Err(unknown("topic", other)),
    }
}
