//! Interval joins of DataStreams: `IntervalJoinOperatorTest`.
//!
//! A case gives either steps, or the timestamps of both sides, which then come one side after the
//! other, each element with its watermark, and in both orders.

use super::joins::{Inputs, emission, listed, sorted};
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{list, members, offset, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::join::Side;
use sim_core::stream::rules::join::interval::{
    Bound, IntervalBounds, IntervalJoin, IntervalOut, NoTimestamp,
};

/// All elements of a case have one key unless they say otherwise.
const KEY: &str = "key";

/// The side whose buffer a word means: `left_buffer`, `right_state`, `left`.
fn buffer_of(key: &str) -> Option<Side> {
    let about = ["buffer", "state", "kept", "keys"];
    let side = match key {
        "left" => return Some(Side::Left),
        "right" => return Some(Side::Right),
        _ if key.contains("left") => Side::Left,
        _ if key.contains("right") => Side::Right,
        _ => return None,
    };
    about.iter().any(|it| key.contains(it)).then_some(side)
}

/// A list without its order, or only how many or whether there are any, as the case puts it.
fn same_shape(what: &str, got: &Value, expected: &Value) -> Checked {
    let count = got.as_array().map(Vec::len);
    match (expected, count) {
        (Value::Bool(_), Some(count)) => same(what, &json!(count > 0), expected),
        (Value::Number(_), Some(count)) => same(what, &json!(count), expected),
        _ => same(what, &sorted(got), &sorted(expected)),
    }
}

struct Rig {
    join: IntervalJoin<String, i64, i64>,
    inputs: Inputs,
    pairs: Vec<Value>,
    times: Vec<i64>,
    late: [Vec<Value>; 2],
    failed: bool,
    key: String,
}

fn bounds(config: &Value) -> Checked<Result<IntervalBounds, &'static str>> {
    let bound = |at: &Value, inclusive: &Value| -> Checked<Bound> {
        Ok(Bound {
            at: offset(at)?,
            inclusive: inclusive.as_bool().unwrap_or(true),
        })
    };
    Ok(IntervalBounds::new(
        bound(&config["lower"], &config["lower_inclusive"])?,
        bound(&config["upper"], &config["upper_inclusive"])?,
    ))
}

impl Rig {
    fn new(bounds: IntervalBounds) -> Self {
        Rig {
            join: IntervalJoin::new(bounds),
            inputs: Inputs::default(),
            pairs: Vec::new(),
            times: Vec::new(),
            late: [Vec::new(), Vec::new()],
            failed: false,
            key: KEY.to_owned(),
        }
    }

    fn element(&mut self, side: Side, key: &str, ts: i64) {
        key.clone_into(&mut self.key);
        let got = match side {
            Side::Left => self.join.on_left(key.to_owned(), ts, ts),
            Side::Right => self.join.on_right(key.to_owned(), ts, ts),
        };
        match got {
            Ok(out) => out.into_iter().for_each(|it| self.take(it)),
            Err(NoTimestamp) => self.failed = true,
        }
    }

    fn take(&mut self, out: IntervalOut<i64, i64>) {
        match out {
            IntervalOut::Pair { left, right, ts } => {
                self.pairs.push(json!([written(left.1), written(right.1)]));
                self.times.push(ts);
            }
            IntervalOut::LateLeft(ts, _) => self.late[0].push(written(ts)),
            IntervalOut::LateRight(ts, _) => self.late[1].push(written(ts)),
        }
    }

    fn watermark(&mut self, side: Option<Side>, watermark: i64) {
        if let Some(risen) = self.inputs.watermark(side, watermark) {
            self.join.on_watermark(risen);
        }
    }

    fn step(&mut self, step: &Value) -> Checked {
        let ts = match &step["ts"] {
            Value::Null => &step["t"],
            given => given,
        };
        // An element may lack a timestamp.
        let element_ts = || match ts {
            Value::Null => Ok(i64::MIN),
            given if *given == written(i64::MIN) => Ok(i64::MIN),
            given => offset(given),
        };
        let key = step["key"].as_str().unwrap_or(KEY);
        match text(&step["op"])? {
            "left" => self.element(Side::Left, key, element_ts()?),
            "right" => self.element(Side::Right, key, element_ts()?),
            "watermark_both" | "watermark" => self.watermark(None, Inputs::time(ts)?),
            "watermark_left" => self.watermark(Some(Side::Left), Inputs::time(ts)?),
            "watermark_right" => self.watermark(Some(Side::Right), Inputs::time(ts)?),
            "snapshot_restore" | "restore" => {
                self.join.on_restore();
                self.inputs = Inputs::default();
            }
            "snapshot" | "expect" | "check" => {}
            other => return Err(unknown("operation", other)),
        }
        Ok(())
    }

    /// The pairs from one on, in the shape that a list of the case has: with their timestamp where
    /// that has three parts.
    fn shown(&self, from: usize, like: &Value) -> Value {
        let with_ts = like[0].as_array().is_some_and(|first| first.len() == 3);
        let all = self.pairs.iter().zip(&self.times).skip(from);
        let pair = |(pair, ts): (&Value, &i64)| match with_ts {
            true => json!([pair[0], pair[1], written(*ts)]),
            false => pair.clone(),
        };
        all.map(pair).collect()
    }

    fn buffer(&self, side: Side) -> Value {
        let times = self.join.buffered(&self.key, side);
        times.into_iter().map(written).collect()
    }

    /// What a case may expect after any step; of late elements those since `since`.
    fn state(&self, key: &str, since: [usize; 2]) -> Option<Value> {
        let late = |side: usize| self.late[side].get(since[side]..).unwrap_or_default();
        Some(match key {
            "late_left" | "left_late" => json!(late(0)),
            "late_right" | "right_late" => json!(late(1)),
            "late" => json!([late(0), late(1)].concat()),
            "timers" => json!(self.join.timers()),
            "watermark" => self.inputs.written(),
            _ => self.buffer(buffer_of(key)?),
        })
    }

    fn late_so_far(&self) -> [usize; 2] {
        [self.late[0].len(), self.late[1].len()]
    }

    /// Compares what is kept, by side, or anything else that a step may tell.
    fn same_state(&self, what: &str, expected: &Value, since: [usize; 2]) -> Checked {
        for (key, expected) in members(expected)? {
            let whole = matches!(key, "buffers" | "buffer" | "state");
            match self.state(key, since) {
                _ if whole && expected.is_object() => self.same_state(what, expected, since)?,
                Some(got) => same_shape(&format!("{what}{key}"), &got, expected)?,
                None if matches!(key, "step" | "note" | "why") || emission(key) => {}
                None => return Err(unknown("expectation", key)),
            }
        }
        Ok(())
    }

    /// What the whole case expects.
    fn same_all(&self, case: &Case) -> Checked {
        for (key, expected) in members(&case.expect)? {
            match key {
                "per_step" | "rule" | "note" => {}
                "pairs_left_right" | "pairs" => {
                    same(key, &sorted(&self.shown(0, expected)), &sorted(expected))?;
                }
                "pairs_in_order" => same(key, &self.shown(0, expected), expected)?,
                "count" | "pairs_count" => same(key, &json!(self.pairs.len()), expected)?,
                "result_ts" | "timestamps" => self.same_times(expected)?,
                "left_ts" | "right_ts" if expected.is_string() => {}
                "error" | "fails" | "throws" => self.same_error(expected)?,
                _ => match self.state(key, [0, 0]) {
                    Some(got) => same_shape(key, &got, expected)?,
                    None => return Err(unknown("expectation", key)),
                },
            }
        }
        Ok(())
    }

    fn same_error(&self, expected: &Value) -> Checked {
        let wanted = match expected {
            Value::Bool(wanted) => *wanted,
            Value::Null => false,
            Value::String(name) if name.contains("FlinkException") => true,
            other => return Err(unknown("error", other)),
        };
        same("an error", &json!(self.failed), &json!(wanted))
    }

    fn same_times(&self, expected: &Value) -> Checked {
        if let Some(rule) = expected.as_str() {
            if rule.replace(' ', "") != "max(left.ts,right.ts)" {
                return Err(unknown("rule for timestamps", rule));
            }
            // Values of these cases are their timestamps.
            for (pair, ts) in self.pairs.iter().zip(&self.times) {
                let largest = list(pair)?
                    .iter()
                    .map(offset)
                    .collect::<Checked<Vec<_>>>()?;
                same(
                    "result_ts",
                    &json!(Some(*ts)),
                    &json!(largest.into_iter().max()),
                )?;
            }
            return Ok(());
        }
        let times: Value = self.times.iter().copied().map(written).collect();
        same("result_ts", &sorted(&times), &sorted(expected))
    }
}

/// One side after the other; `watermarks` given by the case come after both, instead of those that
/// follow each element.
fn one_after_the_other(case: &Case, rig: &mut Rig, order: [Side; 2]) -> Checked {
    let own = !case.has("watermarks");
    for side in order {
        let key = match side {
            Side::Left => "left",
            Side::Right => "right",
        };
        for ts in list(&case.input[key])? {
            let ts = offset(ts)?;
            rig.element(side, KEY, ts);
            if own {
                rig.watermark(Some(side), ts);
            }
        }
    }
    for watermark in list(&case.input["watermarks"])? {
        rig.watermark(None, Inputs::time(watermark)?);
    }
    Ok(())
}

fn steps(case: &Case, rig: &mut Rig) -> Checked {
    let steps = list(&case.input["steps"])?;
    let entries = list(&case.expect["per_step"])?;
    let emits = entries.iter().any(|it| listed(it).is_some());
    for (number, step) in steps.iter().enumerate() {
        let (before, late) = (rig.pairs.len(), rig.late_so_far());
        rig.step(step)?;
        let what = format!("step {number}: ");
        let entry = entries.iter().find(|it| it["step"] == json!(number));
        if emits {
            let nothing = json!([]);
            let wanted = entry.and_then(listed).unwrap_or(&nothing);
            let got = rig.shown(before, wanted);
            same(&format!("{what}pairs"), &sorted(&got), &sorted(wanted))?;
        }
        if let Some(entry) = entry {
            rig.same_state(&what, entry, late)?;
        }
    }
    Ok(())
}

pub(crate) fn check(case: &Case) -> Checked {
    let bounds = match bounds(&case.config)? {
        Ok(bounds) => bounds,
        Err(message) => {
            let got = json!("IllegalArgumentException");
            return match case.expects("error") {
                true => case.same("error", &got),
                false => Err(Fault::Differs(message.to_owned())),
            };
        }
    };
    if case.has("steps") {
        let mut rig = Rig::new(bounds);
        steps(case, &mut rig)?;
        return rig.same_all(case);
    }
    if !case.has("left") && !case.has("right") {
        return Err(unknown("input", &case.input));
    }
    for order in [[Side::Left, Side::Right], [Side::Right, Side::Left]] {
        let mut rig = Rig::new(bounds);
        one_after_the_other(case, &mut rig, order)?;
        rig.same_all(case)?;
    }
    Ok(())
}
