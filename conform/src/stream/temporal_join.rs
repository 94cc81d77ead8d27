//! Temporal joins: `TemporalRowTimeJoinOperatorTest` and `TemporalProcessTimeJoinOperatorTest`.

use super::joins::{Inputs, emission, listed};
use crate::case::{Case, Checked, same, unknown};
use crate::values::{int, list, members, offset, offset_or, text};
use serde_json::{Value, json};
use sim_core::stream::rules::join::retention::Retention;
use sim_core::stream::rules::join::temporal::{TemporalJoin, TemporalRules, TimedRow};
use sim_core::stream::rules::join::temporal_now::TemporalNowJoin;
use sim_core::stream::rules::join::{Joined, RowKind, Side};

enum Operator {
    RowTime(TemporalJoin<String, String, String>),
    ProcessingTime(TemporalNowJoin<String, String>),
}

struct Rig {
    operator: Operator,
    inputs: Inputs,
    now: i64,
    out: Vec<Joined<String, String>>,
    late: Vec<String>,
    watermarks: Vec<Value>,
    keys: Vec<String>,
}

fn rules(config: &Value) -> Checked<TemporalRules> {
    let left_outer = match config["join"].as_str().unwrap_or("inner") {
        "inner" => false,
        "left" | "left_outer" | "left-outer" | "left outer" => true,
        other => return Err(unknown("join", other)),
    };
    let either = |one: &str, other: &str| match &config[one] {
        Value::Null => offset_or(&config[other], 0),
        given => offset(given),
    };
    Ok(TemporalRules {
        left_outer,
        drops_late: config["drop_late"].as_bool().unwrap_or(true),
        retention: Retention {
            min: either("min_retention", "min_retention_ms")?,
            max: either("max_retention", "max_retention_ms")?,
        },
    })
}

/// Whether a case is about processing time: by its settings, or by the test it restates.
fn in_processing_time(case: &Case) -> Checked<bool> {
    let config = &case.config;
    let word = [
        &config["time"],
        &config["time_attribute"],
        &config["semantics"],
    ];
    let Some(word) = word.into_iter().find_map(Value::as_str) else {
        return Ok(case.path.contains("ProcessTime"));
    };
    match word {
        "processing" | "processing_time" | "proctime" | "proc_time" => Ok(true),
        "event" | "event_time" | "rowtime" | "row_time" => Ok(false),
        other => Err(unknown("kind of time", other)),
    }
}

fn kind(step: &Value) -> Checked<RowKind> {
    let Some(short) = step["kind"].as_str() else {
        return Ok(RowKind::Insert);
    };
    RowKind::of_short(short).ok_or_else(|| unknown("kind of row", short))
}

/// All conditions besides key and time hold in these cases.
fn any(_: &String, _: &String) -> bool {
    true
}

impl Rig {
    fn new(case: &Case) -> Checked<Self> {
        let rules = rules(&case.config)?;
        let operator = match in_processing_time(case)? {
            true => {
                Operator::ProcessingTime(TemporalNowJoin::new(rules.left_outer, rules.retention))
            }
            false => Operator::RowTime(TemporalJoin::new(rules)),
        };
        Ok(Rig {
            operator,
            inputs: Inputs::default(),
            now: 0,
            out: Vec::new(),
            late: Vec::new(),
            watermarks: Vec::new(),
            keys: Vec::new(),
        })
    }

    fn watermark(&mut self, side: Option<Side>, watermark: i64) {
        let risen = match &mut self.operator {
            // The right input of this operator counts as ended from the start.
            Operator::ProcessingTime(_) if side == Some(Side::Right) => None,
            Operator::ProcessingTime(_) => self.inputs.watermark(None, watermark),
            Operator::RowTime(join) => {
                let risen = self.inputs.watermark(side, watermark);
                if let Some(watermark) = risen {
                    self.out
                        .extend(join.on_watermark(watermark, self.now, &any));
                }
                risen
            }
        };
        if risen.is_some() {
            self.watermarks.push(self.inputs.written());
        }
    }

    fn processing_time(&mut self, now: i64) {
        self.now = self.now.max(now);
        match &mut self.operator {
            Operator::RowTime(join) => join.on_processing_time(self.now),
            Operator::ProcessingTime(join) => join.on_processing_time(self.now),
        }
    }

    fn element(&mut self, side: Side, step: &Value) -> Checked {
        let time = match &step["t"] {
            Value::Null => &step["ts"],
            given => given,
        };
        let key = match &step["key"] {
            Value::String(key) => key.clone(),
            other => other.to_string(),
        };
        let value = text(&step["v"])?.to_owned();
        let kind = kind(step)?;
        if !self.keys.contains(&key) {
            self.keys.push(key.clone());
        }
        if !step["proc_time"].is_null() {
            self.processing_time(offset(&step["proc_time"])?);
        } else if matches!(self.operator, Operator::ProcessingTime(_)) && !time.is_null() {
            self.processing_time(offset(time)?);
        }
        let now = self.now;
        match (&mut self.operator, side) {
            (Operator::RowTime(join), side) => {
                let ts = offset(time)?;
                let row = TimedRow { ts, kind, value };
                match side {
                    Side::Left => self
                        .late
                        .extend(join.on_left(key, row, now).map(|it| it.value)),
                    Side::Right => join.on_right(key, row, now),
                }
            }
            (Operator::ProcessingTime(join), Side::Left) => {
                self.out.extend(join.on_left(&key, kind, value, now, &any));
            }
            (Operator::ProcessingTime(join), Side::Right) => join.on_right(key, kind, value, now),
        }
        Ok(())
    }

    fn step(&mut self, step: &Value) -> Checked {
        let time = match &step["t"] {
            Value::Null => &step["ts"],
            given => given,
        };
        match text(&step["op"])? {
            "left" => self.element(Side::Left, step)?,
            "right" => self.element(Side::Right, step)?,
            "watermark_both" | "watermark" => self.watermark(None, int(time)?),
            "watermark_left" => self.watermark(Some(Side::Left), int(time)?),
            "watermark_right" => self.watermark(Some(Side::Right), int(time)?),
            "proc_time" | "processing_time" => self.processing_time(offset(time)?),
            "snapshot_restore" | "restore" => {
                if let Operator::RowTime(join) = &mut self.operator {
                    join.on_restore();
                }
                self.inputs = Inputs::default();
            }
            "snapshot" | "expect" | "check" => {}
            other => return Err(unknown("operation", other)),
        }
        Ok(())
    }

    /// How many left rows wait, or which versions are kept, over all keys.
    fn versions(&self) -> Option<Vec<i64>> {
        match &self.operator {
            Operator::RowTime(join) => Some(
                self.keys
                    .iter()
                    .flat_map(|key| join.versions(key))
                    .collect(),
            ),
            Operator::ProcessingTime(_) => None,
        }
    }

    fn waiting(&self) -> usize {
        match &self.operator {
            Operator::RowTime(join) => self.keys.iter().map(|key| join.waiting(key)).sum(),
            Operator::ProcessingTime(_) => 0,
        }
    }

    /// What a case may expect after any step; of late rows those since `since`.
    fn state(&self, key: &str, expected: &Value, since: usize) -> Option<Value> {
        let late = self.late.get(since..).unwrap_or_default();
        Some(match key {
            "late" | "late_left" | "dropped" if expected.is_boolean() => json!(!late.is_empty()),
            "late" | "late_left" | "dropped" | "late_dropped" | "left_dropped" => {
                match expected.is_number() {
                    true => json!(late.len()),
                    false => json!(late),
                }
            }
            "right_versions" | "versions" | "right_state" => json!(self.versions()?),
            "left_waiting" | "left_state" | "waiting" if expected.is_number() => {
                json!(self.waiting())
            }
            "watermark" => self.inputs.written(),
            _ => return None,
        })
    }
}

/// Rows in the shape that a list of the case has: left and right, or their kind before.
fn shown(rows: &[Joined<String, String>], like: &Value) -> Value {
    let with_kind = like[0].as_array().is_some_and(|first| first.len() == 3);
    let row = |it: &Joined<String, String>| match with_kind {
        true => json!([it.kind.short(), it.left, it.right]),
        false => json!([it.left, it.right]),
    };
    rows.iter().map(row).collect()
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let entries = list(&case.expect["per_step"])?;
    let emits = entries.iter().any(|it| listed(it).is_some());
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        let (before, late) = (rig.out.len(), rig.late.len());
        rig.step(step)?;
        let entry = entries.iter().find(|it| it["step"] == json!(number));
        if emits {
            let nothing = json!([]);
            let wanted = entry.and_then(listed).unwrap_or(&nothing);
            let got = shown(rig.out.get(before..).unwrap_or_default(), wanted);
            same(&format!("step {number}: rows"), &got, wanted)?;
        }
        for (key, expected) in members(entry.unwrap_or(&Value::Null))? {
            match rig.state(key, expected, late) {
                Some(got) => same(&format!("step {number}: {key}"), &got, expected)?,
                None if key == "step" || key == "note" || emission(key) => {}
                None => return Err(unknown("expectation", key)),
            }
        }
    }
    for (key, expected) in members(&case.expect)? {
        match key {
            "per_step" | "rule" | "note" => {}
            "pairs_in_order" | "pairs" | "rows_in_order" | "pairs_left_right" => {
                same(key, &shown(&rig.out, expected), expected)?;
            }
            "kinds_in_order" | "kinds" => {
                let kinds: Value = rig.out.iter().map(|it| it.kind.short()).collect();
                same(key, &kinds, expected)?;
            }
            "watermarks" => same(key, &json!(rig.watermarks), expected)?,
            _ => match rig.state(key, expected, 0) {
                Some(got) => same(key, &got, expected)?,
                None => return Err(unknown("expectation", key)),
            },
        }
    }
    Ok(())
}
