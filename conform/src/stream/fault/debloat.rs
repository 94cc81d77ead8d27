//! The size of network buffers: `BufferDebloaterTest` and `BufferSizeEMATest`.

use super::{either, first, number_or};
use crate::case::{Case, Checked, unknown};
use crate::values::{int, list, narrow};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::buffer_debloat::{BufferDebloater, BufferSizeAverage};

/// `taskmanager.network.memory.buffer-debloat.threshold-percentages`.
const THRESHOLD_PERCENT: i64 = 25;
/// `taskmanager.network.memory.buffer-debloat.samples`.
const SAMPLES: i64 = 20;

fn small(value: &Value) -> Checked<u32> {
    narrow(int(value)?)
}

fn debloater(config: &Value, row: &Value) -> Checked<BufferDebloater> {
    let setting = |names: &[&str]| either([row, config], names);
    let or = |names: &[&str], default| narrow(number_or(setting(names), default)?);
    Ok(BufferDebloater::new(
        small(setting(&["target_ms", "target"]))?,
        small(setting(&["min", "min_size"]))?,
        small(setting(&["max", "max_size"]))?,
        or(
            &["threshold_percent", "threshold", "threshold_percentages"],
            THRESHOLD_PERCENT,
        )?,
        or(&["samples"], SAMPLES)?,
    ))
}

fn measured(row: &Value) -> Checked<(u64, u32)> {
    let (throughput, buffers) = match row {
        Value::Array(_) => (&row[0], &row[1]),
        _ => (
            first(row, &["throughput", "total_bytes", "bytes"]),
            first(row, &["buffers", "buffers_in_use"]),
        ),
    };
    Ok((narrow(int(throughput)?)?, small(buffers)?))
}

/// What came of a row: the new size if one is announced, and the size that holds.
struct Sized {
    announced: Option<u32>,
    holds: u32,
    estimate_ms: u64,
}

impl Sized {
    /// A size where the case expects one, and otherwise that none is announced.
    fn shown(&self, expected: &Value) -> Value {
        match expected {
            Value::Number(_) => json!(self.holds),
            Value::String(_) if self.announced.is_none() => expected.clone(),
            _ => json!(self.announced),
        }
    }
}

fn sizes(case: &Case) -> Checked<Vec<Sized>> {
    let rows = first(&case.input, &["rows", "steps", "samples"]);
    let mut one = match case.config["target_ms"].is_null() {
        true => None,
        false => Some(debloater(&case.config, &Value::Null)?),
    };
    let each = list(rows)?.iter().map(|row| {
        let mut own = None;
        let debloater = match &mut one {
            Some(one) => one,
            None => own.insert(debloater(&case.config, row)?),
        };
        let (throughput, buffers) = measured(row)?;
        let announced = debloater.recalculate(throughput, buffers);
        Ok(Sized {
            announced,
            holds: debloater.size(),
            estimate_ms: debloater.estimate_ms(),
        })
    });
    each.collect()
}

/// The average by itself: bytes and buffers, one call after the other.
fn check_average(case: &Case, calls: &Value) -> Checked {
    let config = &case.config;
    let max = small(first(config, &["max", "max_size"]))?;
    let start = match first(config, &["start", "starting_size"]) {
        Value::Null => max,
        start => small(start)?,
    };
    let min = small(first(config, &["min", "min_size"]))?;
    let samples = narrow(number_or(&config["samples"], SAMPLES)?)?;
    let mut average = BufferSizeAverage::new(start, max, min, samples);
    let each = list(calls)?.iter().map(|call| {
        let (bytes, buffers) = measured(call)?;
        Ok(average.calculate(bytes, buffers))
    });
    let got = each.collect::<Checked<Vec<_>>>()?;
    case.same_all(|key| {
        Ok(match key {
            "sizes" => Some(json!(got)),
            _ => None,
        })
    })
}

pub(super) fn check(case: &Case) -> Checked {
    if case.has("calls") {
        return check_average(case, &case.input["calls"]);
    }
    let all = sizes(case)?;
    if all.is_empty() {
        return Err(unknown("input", &case.input));
    }
    case.same_all(|key| {
        let expected = &case.expect[key];
        let numbered = all.iter().enumerate();
        Ok(Some(match key {
            "sizes" => numbered.map(|(at, it)| it.shown(&expected[at])).collect(),
            "announced" => match expected[0] {
                Value::Bool(_) => all.iter().map(|it| json!(it.announced.is_some())).collect(),
                _ => all.iter().map(|it| json!(it.announced)).collect(),
            },
            "size" => match all.as_slice() {
                [one] => one.shown(expected),
                _ => return Ok(None),
            },
            "estimated_ms" | "estimates_ms" => all.iter().map(|it| json!(it.estimate_ms)).collect(),
            "rule" | "note" | "notes" => expected.clone(),
            _ => return Ok(None),
        }))
    })
}
