//! Panes: `ReduceFnRunnerTest`, `TestStreamTest` and `LateDataDroppingDoFnRunnerTest`.

use super::pane_words::strategy;
use super::window_words::moment;
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{int, list, offset, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::pane::runner::{Failure, Out, Pane, PaneRunner, Reason};
use sim_core::stream::rules::pane::{END_OF_GLOBAL_WINDOW, TIMESTAMP_MAX, TIMESTAMP_MIN, Timing};
use sim_core::stream::rules::window::aggregate::{Aggregate, Record, Value as Said};

/// Panes under test. Values of cases may be words; the engine knows them by number.
struct Rig {
    runner: PaneRunner<String>,
    words: Option<Vec<Value>>,
    outs: Vec<Out<String>>,
    /// What went in, by number where they are words.
    given: Vec<i64>,
}

fn time(value: &Value) -> Checked<i64> {
    match value.as_str() {
        Some("END_OF_GLOBAL_WINDOW" | "end_of_global_window") => Ok(END_OF_GLOBAL_WINDOW),
        Some("MIN" | "-INF") => Ok(TIMESTAMP_MIN),
        _ => moment(value, TIMESTAMP_MAX),
    }
}

/// Values in an order of their own.
fn sorted(values: &[Value]) -> Vec<Value> {
    let mut values = values.to_vec();
    values.sort_by_key(Value::to_string);
    values
}

fn timing(timing: Timing) -> Value {
    json!(match timing {
        Timing::Early => "EARLY",
        Timing::OnTime => "ON_TIME",
        Timing::Late => "LATE",
    })
}

impl Rig {
    fn new(case: &Case) -> Checked<Rig> {
        let strategy = strategy(&case.config)?;
        let words = (strategy.aggregate == Aggregate::Elements).then(Vec::new);
        Ok(Rig {
            runner: PaneRunner::new(strategy, 0),
            words,
            outs: Vec::new(),
            given: Vec::new(),
        })
    }

    /// The number of a value.
    fn number(&mut self, value: &Value) -> Checked<i64> {
        let Some(words) = &mut self.words else {
            return offset(value);
        };
        let known = words.iter().position(|it| it == value);
        let at = known.unwrap_or_else(|| {
            words.push(value.clone());
            words.len() - 1
        });
        i64::try_from(at).map_err(|_| unknown("value", value))
    }

    /// The value of a number.
    fn value(&self, number: i64) -> Value {
        let Some(words) = &self.words else {
            return written(number);
        };
        let at = usize::try_from(number).ok();
        let word = at.and_then(|at| words.get(at));
        word.cloned().unwrap_or(Value::Null)
    }

    /// What a pane says, as a list.
    fn said(&self, said: &Said) -> Vec<Value> {
        match said {
            Said::Nothing => Vec::new(),
            Said::Number(number) => vec![written(*number)],
            Said::Values(all) => all.iter().map(|it| self.value(*it)).collect(),
        }
    }

    fn element(&mut self, key: &Value, value: &Value, at: &Value) -> Checked<(String, Record)> {
        let timestamp = match at {
            Value::Null => TIMESTAMP_MIN,
            given => time(given)?,
        };
        let value = self.number(value)?;
        self.given.push(value);
        let key = key.as_str().unwrap_or_default().to_owned();
        Ok((key, Record { value, timestamp }))
    }

    /// The elements of a step, which are one bundle.
    fn bundle(&mut self, step: &Value) -> Checked<Vec<(String, Record)>> {
        let mut bundle = Vec::new();
        let value = match &step["v"] {
            Value::Null => &step["value"],
            given => given,
        };
        match (value, &step["items"]) {
            (Value::Null, items) => {
                for item in list(items)? {
                    let at = |place: usize, name: &str| match item {
                        Value::Array(cells) => cells.get(place).cloned().unwrap_or_default(),
                        other => other[name].clone(),
                    };
                    let element = self.element(&item["key"], &at(0, "v"), &at(1, "ts"))?;
                    bundle.push(element);
                }
            }
            (Value::Array(values), _) => {
                for (number, value) in values.iter().enumerate() {
                    let at = match &step["ts"] {
                        Value::Array(times) => times.get(number).unwrap_or(&Value::Null),
                        one => one,
                    };
                    bundle.push(self.element(&step["key"], value, at)?);
                }
            }
            (value, _) => bundle.push(self.element(&step["key"], value, &step["ts"])?),
        }
        Ok(bundle)
    }

    fn act(&mut self, step: &Value) -> Checked<Result<(), Failure>> {
        let outs = match text(&step["op"])? {
            "element" | "elements" | "add_elements" => {
                let bundle = self.bundle(step)?;
                self.runner.on_bundle(&bundle)
            }
            "watermark" | "advance_watermark" => self.runner.on_watermark(time(&step["t"])?),
            "watermark_infinity" => self.runner.on_watermark(TIMESTAMP_MAX),
            "proc_time" | "processing_time" => self.runner.on_processing_time(int(&step["t"])?),
            "proc_advance" | "advance_processing_time" => {
                let now = self.runner.now().saturating_add(offset(&step["ms"])?);
                self.runner.on_processing_time(now)
            }
            other => return Err(unknown("operation", other)),
        };
        Ok(outs.map(|outs| self.outs.extend(outs)))
    }

    fn panes(&self) -> impl Iterator<Item = &Pane<String>> {
        self.outs.iter().filter_map(|it| match it {
            Out::Pane(pane) => Some(pane),
            Out::Dropped { .. } | Out::Swallowed { .. } => None,
        })
    }

    /// What the panes say together that are such.
    fn those(&self, such: impl Fn(&Pane<String>) -> bool) -> Vec<Value> {
        let panes = self.panes().filter(|it| such(it));
        panes.flat_map(|it| self.said(&it.value)).collect()
    }

    /// The numbers of what was dropped.
    fn dropped(&self, such: impl Fn(Reason) -> bool) -> Vec<i64> {
        let of = self.outs.iter().filter_map(|it| match it {
            Out::Dropped { record, reason, .. } if such(*reason) => Some(record.value),
            _ => None,
        });
        of.collect()
    }

    /// Compares panes with those expected, in order; of each only what the case says of it.
    fn same_panes(&self, what: &str, from: usize, expected: &Value) -> Checked {
        let expected = list(expected)?;
        let panes: Vec<_> = self.outs[from.min(self.outs.len())..]
            .iter()
            .filter_map(|it| match it {
                Out::Pane(pane) => Some(pane),
                Out::Dropped { .. } | Out::Swallowed { .. } => None,
            })
            .collect();
        for (number, (pane, wanted)) in panes.iter().zip(expected).enumerate() {
            let what = format!("{what} {number}");
            match wanted {
                Value::Object(parts) => {
                    for (key, wanted) in parts {
                        self.same_part(&format!("{what}: {key}"), pane, key, wanted)?;
                    }
                }
                elements => self.same_part(&what, pane, "elements", elements)?,
            }
        }
        let (got, wanted) = (json!(panes.len()), json!(expected.len()));
        same(&format!("{what}: how many"), &got, &wanted)
    }

    fn same_part(&self, what: &str, pane: &Pane<String>, key: &str, wanted: &Value) -> Checked {
        let info = &pane.info;
        let got = match key {
            "elements" | "values" => {
                let one = [wanted.clone()];
                let wanted = match wanted {
                    Value::Array(all) => all.as_slice(),
                    _ => &one,
                };
                let got = json!(sorted(&self.said(&pane.value)));
                return same(what, &got, &json!(sorted(wanted)));
            }
            "retracted" => match (&pane.retracted, wanted) {
                (Some(said), Value::Array(wanted)) => {
                    let got = json!(sorted(&self.said(said)));
                    return same(what, &got, &json!(sorted(wanted)));
                }
                (said, _) => {
                    let said = said.as_ref().map(|it| self.said(it));
                    json!(said.and_then(|it| it.first().cloned()))
                }
            },
            "sum" | "value" | "count" => json!(self.said(&pane.value).first()),
            "ts" | "timestamp" => written(pane.timestamp),
            "timing" => timing(info.timing),
            "index" => json!(info.index),
            "non_speculative_index" => json!(info.non_speculative_index),
            "first" | "is_first" => json!(info.first),
            "last" | "is_last" | "final" => json!(info.last),
            "window" => json!([written(pane.window.start), written(pane.window.end)]),
            "key" => json!(pane.key),
            other => return Err(unknown("part of a pane", other)),
        };
        same(what, &got, wanted)
    }

    /// What the panes of each window that is named say.
    fn same_windows(&self, expected: &Value) -> Checked {
        for wanted in list(expected)? {
            let (window, elements) = match wanted {
                Value::Array(pair) if pair.len() == 2 => (&pair[0], &pair[1]),
                other => (&other["window"], &other["elements"]),
            };
            let of = self
                .those(|it| *window == json!([written(it.window.start), written(it.window.end)]));
            let got = json!(sorted(&of));
            same(
                &format!("window {window}"),
                &got,
                &json!(sorted(list(elements)?)),
            )?;
        }
        Ok(())
    }

    /// Compares with one part of what is expected of the panes from `from` on.
    fn same_key(&mut self, case: &Case, key: &str, expected: &Value, from: usize) -> Checked {
        let only = &case.expect["window"];
        let here = |it: &Pane<String>| {
            only.is_null() || *only == json!([written(it.window.start), written(it.window.end)])
        };
        let such = |timing: Timing| self.those(|it| here(it) && it.info.timing == timing);
        let got = match key {
            "rule" | "per_step" | "window" | "notes" => return Ok(()),
            "panes" | "emit" => return self.same_panes("pane", from, expected),
            "windows" => return self.same_windows(expected),
            "early" | "early_pane" | "early_panes" => such(Timing::Early),
            "on_time" | "on_time_pane" => such(Timing::OnTime),
            "late" | "late_pane" | "late_panes" => such(Timing::Late),
            "final" | "final_pane" => self.those(|it| here(it) && it.info.last),
            "non_late" | "combined_non_late" | "non_late_panes" => {
                self.those(|it| here(it) && it.info.timing != Timing::Late)
            }
            "all" | "in_window" | "elements" | "all_panes" => self.those(here),
            "never_seen" => {
                let seen = self.those(|_| true);
                let wanted = list(expected)?.iter();
                wanted.filter(|it| !seen.contains(it)).cloned().collect()
            }
            "dropped" | "dropped_late" | "dropped_closed" => {
                let dropped = self.dropped(|reason| match key {
                    "dropped_late" => reason == Reason::Late,
                    "dropped_closed" => reason == Reason::Closed,
                    _ => true,
                });
                if expected.is_number() {
                    return same(key, &json!(dropped.len()), expected);
                }
                dropped.into_iter().map(|it| self.value(it)).collect()
            }
            "kept" | "accepted" => {
                let dropped = self.dropped(|_| true);
                let kept = self.given.iter().filter(|it| !dropped.contains(it));
                kept.map(|it| self.value(*it)).collect()
            }
            "output_watermark" => {
                let got = json!(self.runner.output_watermark().map(written));
                return same(key, &got, expected);
            }
            "hold" | "watermark_hold" => {
                return same(key, &json!(self.runner.hold().map(written)), expected);
            }
            other => return Err(unknown("expectation", other)),
        };
        let wanted = match expected {
            Value::Array(all) => sorted(all),
            one => vec![one.clone()],
        };
        same(key, &json!(sorted(&got)), &json!(wanted))
    }
}

/// The steps of a case, or what stands for them: elements each of which comes alone at the time that
/// it names.
fn steps(case: &Case) -> Checked<Vec<Value>> {
    if !case.input["steps"].is_null() {
        return Ok(list(&case.input["steps"])?.to_vec());
    }
    let mut steps = Vec::new();
    if !case.input["watermark"].is_null() {
        steps.push(json!({"op": "watermark", "t": case.input["watermark"]}));
    }
    for it in list(&case.input["elements"])? {
        steps.push(match it {
            Value::Array(_) => json!({"op": "elements", "items": [it]}),
            Value::Object(_) => {
                let mut step = it.clone();
                step["op"] = json!("element");
                step
            }
            value => json!({"op": "element", "v": value, "ts": value}),
        });
    }
    Ok(steps)
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let per_step = list(&case.expect["per_step"])?;
    let fails = case.expect["error"] == json!(true);
    for (number, step) in steps(case)?.iter().enumerate() {
        let from = rig.outs.len();
        if let Err(failure) = rig.act(step)? {
            return match fails {
                true => Ok(()),
                false => Err(Fault::Differs(format!("step {number}: {failure:?}"))),
            };
        }
        let entry = per_step.iter().find(|it| it["step"] == json!(number));
        for (key, expected) in entry.and_then(Value::as_object).into_iter().flatten() {
            if key != "step" {
                rig.same_key(case, key, expected, from)?;
            }
        }
        let silent = entry.is_none_or(|it| it["panes"].is_null() && it["emit"].is_null());
        if !per_step.is_empty() && silent {
            rig.same_panes(&format!("step {number}: pane"), from, &Value::Null)?;
        }
    }
    if fails {
        return Err(Fault::Differs("nothing failed".to_owned()));
    }
    let Some(parts) = case.expect.as_object() else {
        return Err(unknown("expectation", &case.expect));
    };
    for (key, expected) in parts {
        if key != "error" {
            rig.same_key(case, key, expected, 0)?;
        }
    }
    Ok(())
}
