//! The window operator: `WindowOperatorTest`, `EvictingWindowOperatorTest` and the triggers' tests.

use super::window_words::{Gaps, aggregate, evictor, gaps, lateness, moment, trigger};
use super::windows::assigner;
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{int, list, offset, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::FINAL_WATERMARK;
use sim_core::stream::rules::assigner::Assigner;
use sim_core::stream::rules::window::aggregate::{Aggregate, Value as Said};
use sim_core::stream::rules::window::operator::{
    Element, Failure, Out, Refine, Settings, WindowOperator,
};
use sim_core::stream::rules::window::trigger::{TimeDomain, Trigger};

/// An operator under test, with what its case's words mean.
struct Rig {
    operator: WindowOperator<String>,
    settings: Settings,
    gaps: Gaps,
    now: i64,
    columns: Vec<String>,
}

/// The clock that windows follow.
fn clock(config: &Value) -> TimeDomain {
    let by_name = config["assigner"].as_str().unwrap_or_default();
    let said = config["time"].as_str().unwrap_or_default();
    match by_name.contains("processing_time") || said.contains("processing") {
        true => TimeDomain::Processing,
        false => TimeDomain::Event,
    }
}

fn settings(config: &Value, gaps: &Gaps) -> Checked<Settings> {
    let mut plain = config.clone();
    if !plain["gap"].is_null() {
        plain["gap"] = json!(gaps.fixed());
    }
    if let Some(name) = plain["assigner"].as_str() {
        let name = name.trim_start_matches("dynamic_");
        plain["assigner"] = json!(name);
    }
    let assigner = assigner(&plain, &Value::Null)?;
    let time = clock(config);
    let trigger = match &config["trigger"] {
        Value::Null => match (assigner, time) {
            (Assigner::Global, _) => Trigger::Never,
            (_, TimeDomain::Event) => Trigger::EventTime,
            (_, TimeDomain::Processing) => Trigger::ProcessingTime,
        },
        given => trigger(text(given)?)?,
    };
    Ok(Settings {
        assigner,
        time,
        trigger,
        aggregate: aggregate(config, Aggregate::Sum)?,
        evictor: evictor(config)?,
        allowed_lateness: lateness(config)?,
        late_output: true,
        refine: Refine::default(),
    })
}

impl Rig {
    fn new(case: &Case) -> Checked<Rig> {
        let gaps = match &case.config["gap"] {
            Value::Null => Gaps::One(0),
            given => gaps(given)?,
        };
        let settings = settings(&case.config, &gaps)?;
        let columns = case.config["result"].as_str().unwrap_or("key,value,ts");
        let refused = |why: &str| Fault::Unsupported(format!("the settings make no sense: {why}"));
        settings.validate().map_err(refused)?;
        Ok(Rig {
            operator: WindowOperator::new(settings.clone(), 0),
            settings,
            gaps,
            now: 0,
            columns: columns.split(',').map(|it| it.trim().to_owned()).collect(),
        })
    }

    fn act(&mut self, step: &Value) -> Checked<Result<Vec<Out<String>>, Failure>> {
        let time = || moment(&step["t"], FINAL_WATERMARK);
        Ok(match text(&step["op"])? {
            "element" => {
                let key = step["key"].as_str().unwrap_or_default().to_owned();
                let value = match &step["value"] {
                    Value::Null => 1,
                    given => offset(given)?,
                };
                let gap = self.gaps.of(&key, value)?;
                self.operator.on_element(Element {
                    key,
                    value,
                    timestamp: match &step["ts"] {
                        Value::Null => 0,
                        given => moment(given, i64::MAX)?,
                    },
                    gap,
                    mark: (),
                })
            }
            "watermark" => self.operator.on_watermark(time()?),
            "proc_time" | "processing_time" => {
                self.now = time()?;
                self.operator.on_processing_time(self.now)
            }
            "proc_advance" | "advance" | "advance_processing_time" => {
                self.now = self.now.saturating_add(offset(&step["ms"])?);
                self.operator.on_processing_time(self.now)
            }
            "snapshot_restore" | "restore" => {
                let snapshot = self.operator.snapshot();
                self.operator = WindowOperator::restore(self.settings.clone(), snapshot, self.now);
                Ok(Vec::new())
            }
            other => return Err(unknown("operation", other)),
        })
    }

    /// A result as the case's columns have it; a window that hands out its elements has a row for
    /// each where a column names one.
    fn rows(&self, out: &Out<String>) -> Checked<Vec<Value>> {
        let Out::Result {
            key, window, value, ..
        } = out
        else {
            return Ok(Vec::new());
        };
        let row = |said: &Value| -> Checked<Value> {
            let cells = self.columns.iter().map(|column| match column.as_str() {
                "key" => Ok(json!(key)),
                "sum" | "value" | "count" | "min" | "max" | "elements" | "values" => {
                    Ok(said.clone())
                }
                "start" => Ok(written(window.start)),
                "end" => Ok(written(window.end)),
                "ts" | "timestamp" => Ok(written(window.max_timestamp())),
                other => Err(unknown("column", other)),
            });
            cells.collect()
        };
        match value {
            Said::Nothing => Ok(vec![row(&Value::Null)?]),
            Said::Number(number) => Ok(vec![row(&written(*number))?]),
            Said::Values(all) => {
                let all: Vec<Value> = all.iter().copied().map(written).collect();
                match self.columns.iter().any(|it| it == "value") {
                    true => all.iter().map(row).collect(),
                    false => Ok(vec![row(&json!(all))?]),
                }
            }
        }
    }
}

/// A late element in as many columns as the case has.
fn late_row(out: &Out<String>, like: &Value) -> Option<Value> {
    let Out::Late { key, record, .. } = out else {
        return None;
    };
    let (value, timestamp) = (written(record.value), written(record.timestamp));
    Some(match like {
        Value::Array(cells) if cells.len() == 2 => json!([key, value]),
        Value::Object(_) => json!({"key": key, "value": value, "ts": timestamp}),
        _ => json!([key, value, timestamp]),
    })
}

/// Rows in an order of their own: those of one step may come in any.
fn sorted(rows: &[Value]) -> Value {
    let mut rows = rows.to_vec();
    rows.sort_by_key(Value::to_string);
    Value::Array(rows)
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let expected = list(&case.expect["per_step"])?;
    // A case that speaks of no late element has no side output for them.
    let flags = ["side_output", "late_output", "side_output_late"];
    let side_output = expected.iter().any(|it| !it["late"].is_null())
        || flags.iter().any(|flag| case.config[*flag] == json!(true));
    let mut late = 0_u64;
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        let entry = expected.iter().find(|it| it["step"] == json!(number));
        let entry = entry.unwrap_or(&Value::Null);
        let outs = match rig.act(step)? {
            Ok(outs) => outs,
            Err(failure) if !entry["error"].is_null() => {
                let _ = failure;
                return Ok(());
            }
            Err(failure) => {
                return Err(Fault::Differs(format!("step {number}: {failure:?}")));
            }
        };
        if !entry["error"].is_null() {
            return Err(Fault::Differs(format!("step {number}: it did not fail")));
        }
        let rows: Checked<Vec<Vec<Value>>> = outs.iter().map(|it| rig.rows(it)).collect();
        let emitted = sorted(&rows?.concat());
        let wanted = list(&entry["emit"])?;
        same(
            &format!("step {number}: emitted"),
            &emitted,
            &sorted(wanted),
        )?;
        let wanted = list(&entry["late"])?;
        let like = wanted.first().unwrap_or(&Value::Null);
        let rows: Vec<Value> = outs.iter().filter_map(|it| late_row(it, like)).collect();
        late += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        if side_output {
            same(
                &format!("step {number}: late"),
                &sorted(&rows),
                &sorted(wanted),
            )?;
        }
    }
    for (key, expected) in case.expect.as_object().into_iter().flatten() {
        let got = match key.as_str() {
            "rule" | "per_step" => continue,
            "late_dropped" | "num_late_records_dropped" | "dropped" => json!(late),
            "timers" => json!(rig.operator.state().timers()),
            "state_empty" => json!(rig.operator.state().is_empty()),
            "watermark" => written(rig.operator.watermark()),
            other => return Err(unknown("expectation", other)),
        };
        let expected = match key.as_str() {
            "watermark" => written(int(expected)?),
            _ => expected.clone(),
        };
        same(key, &got, &expected)?;
    }
    Ok(())
}
