//! Watermarks of sources: generators, idleness, splits, alignment.

use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{int, list, offset, offset_or, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::watermark::{BoundedOutOfOrderness, IdlenessTimer};
use sim_core::stream::rules::watermark_alignment::AlignmentGroup;
use sim_core::stream::rules::watermark_combine::{Combined, CombinedWatermark};
use std::collections::BTreeMap;

/// What the case expects after a step.
fn after(case: &Case, number: usize) -> Checked<&Value> {
    let entries = list(&case.expect["per_step"])?;
    let entry = entries.iter().find(|it| it["step"] == json!(number));
    Ok(entry.unwrap_or(&Value::Null))
}

/// `BoundedOutOfOrdernessWatermarksTest` and its sisters.
pub(crate) fn generator(case: &Case) -> Checked {
    let bound = match text(&case.config["generator"])? {
        "bounded_out_of_orderness" => offset(&case.config["bound_ms"])?,
        "ascending" | "ascending_timestamps" | "monotonous_timestamps" => 0,
        other => return Err(unknown("generator", other)),
    };
    let mut it = BoundedOutOfOrderness::new(bound);
    let mut each = Vec::new();
    for event in list(&case.input["events"])? {
        it.on_event(int(event)?);
        each.push(written(it.watermark()));
    }
    case.same_all(|key| {
        Ok(Some(match key {
            "watermark" => written(it.watermark()),
            "watermarks" => json!(each),
            _ => return Ok(None),
        }))
    })
}

/// `WatermarksWithIdlenessTest`.
pub(crate) fn idleness(case: &Case) -> Checked {
    let mut timer = IdlenessTimer::new(offset(&case.config["idle_timeout_ms"])?);
    let mut now = 0;
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        match text(&step["op"])? {
            "advance" => now += offset(&step["ms"])?,
            "activity" | "event" => timer.activity(),
            "check" => {
                let idle = timer.check(now);
                let expected = &after(case, number)?["idle"];
                if !expected.is_null() {
                    same(&format!("step {number}: idle"), &json!(idle), expected)?;
                }
            }
            other => return Err(unknown("operation", other)),
        }
    }
    Ok(())
}

/// What a source's output has been told.
#[derive(Default)]
struct Output {
    watermark: Option<i64>,
    idle: bool,
}

impl Output {
    fn take(&mut self, combined: Combined) {
        if let Some(watermark) = combined.watermark {
            self.watermark = Some(watermark);
            self.idle = false;
        } else if combined.idle {
            self.idle = true;
        }
    }

    /// Compares with what is expected of it.
    fn same(&self, what: &str, expected: &Value) -> Checked {
        for (key, got) in [
            ("watermark", json!(self.watermark.map(written))),
            ("idle", json!(self.idle)),
        ] {
            if let Some(expected) = expected.get(key) {
                same(&format!("{what}{key}"), &got, expected)?;
            }
        }
        Ok(())
    }
}

/// `WatermarkOutputMultiplexerTest`.
pub(crate) fn splits(case: &Case) -> Checked {
    let mut combined = CombinedWatermark::default();
    let mut output = Output::default();
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        let split = step["split"].as_str().unwrap_or_default().to_owned();
        // A deferred output speaks at the next tick.
        let mut at_once = step["deferred"] != json!(true) && step["output"] != json!("deferred");
        match text(&step["op"])? {
            "register" => {
                combined.register(split);
                at_once = false;
            }
            "unregister" | "remove" => {
                combined.unregister(&split);
                at_once = false;
            }
            "watermark" => combined.set(&split, int(&step["t"])?),
            "watermark_deferred" => {
                combined.set(&split, int(&step["t"])?);
                at_once = false;
            }
            "idle" => combined.set_idle(&split, true),
            "active" => combined.set_idle(&split, false),
            "periodic_emit" => at_once = true,
            "expect" => at_once = false,
            other => return Err(unknown("operation", other)),
        }
        if at_once {
            output.take(combined.update());
        }
        output.same(&format!("step {number}: "), after(case, number)?)?;
    }
    output.same("at the end: ", &case.expect)
}

/// `SourceCoordinatorAlignmentTest`: after a report, what is listed has been announced.
pub(crate) fn alignment(case: &Case) -> Checked {
    let drift = offset_or(&case.config["max_allowed_drift_ms"], 0)?;
    let mut groups: BTreeMap<String, AlignmentGroup<i64>> = BTreeMap::new();
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        if step["report"].is_null() {
            return Err(unknown("step", step));
        }
        let name = text(&step["group"])?.to_owned();
        let group = groups
            .entry(name)
            .or_insert_with(|| AlignmentGroup::new(drift));
        group.report(int(&step["subtask"])?, int(&step["report"])?);
        for announced in list(&after(case, number)?["announced"])? {
            let group = groups.get(text(&announced[0])?);
            let reader = int(&announced[1])?;
            let known = group.filter(|group| group.readers().any(|it| *it == reader));
            let Some(group) = known else {
                let what = format!("step {number}: {announced} was announced to nobody");
                return Err(Fault::Differs(what));
            };
            let got = json!([announced[0], reader, written(group.max_allowed())]);
            same(&format!("step {number}"), &got, announced)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::stream::rules::NO_WATERMARK;

    #[test]
    fn no_watermark_is_written_as_the_smallest_integer() {
        assert_eq!(written(NO_WATERMARK), json!("-9223372036854775808"));
    }
}
