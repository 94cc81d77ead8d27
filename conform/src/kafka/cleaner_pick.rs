//! The range that may be cleaned, and which log comes next: `LogCleanerManagerTest`.

use super::cleaner_log::{BEGIN_MS, Bench, config};
use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{bounded, count, int, list, members, numbers, offset, text, texts};
use serde_json::{Value, json};
use sim_core::kafka::rules::cleaner_manager::{CleaningState, LogCleanerManager};
use sim_core::kafka::rules::cleaner_range::{OffsetsToClean, cleanable_offsets};
use sim_core::log::{ControlMarker, LogConfig};
use std::collections::BTreeMap;

/// No case has more records.
const MOST: usize = 2_000;

/// Whether a case is about ranges or about the choice of a log.
pub(super) fn knows(case: &Case) -> bool {
    let asked = case.expect.as_object();
    let words = [
        "chosen",
        "first_dirty",
        "first_uncleanable",
        "reset",
        "checkpoint",
    ];
    let about = |key: &String| words.iter().any(|word| key.starts_with(word));
    let given = [
        "cleanable_ranges",
        "checkpoint",
        "checkpoints",
        "min_compaction_lag_ms",
        "hw",
    ];
    asked.is_some_and(|it| it.keys().any(about))
        && given.iter().any(|key| !case.input[*key].is_null())
}

pub(super) fn check(case: &Case) -> Checked {
    if !case.input["cleanable_ranges"].is_null() {
        return pick(case);
    }
    range(case)
}

/// Logs of one record a batch. A segment is closed after every fifth record, and at the end.
fn filthy(config: &LogConfig, records: i64) -> Checked<Bench> {
    count(records, MOST)?;
    let mut bench = Bench::new(config.clone());
    for number in 0..records {
        bench.plain(&[number], BEGIN_MS, false)?;
        if number % 5 == 0 {
            bench.roll(None);
        }
    }
    bench.roll(None);
    bench.log.set_high_watermark(records);
    Ok(bench)
}

fn pick(case: &Case) -> Checked {
    let input = &case.input;
    // The tests' own: small, so that a few records are enough.
    let config = LogConfig {
        min_cleanable_dirty_ppm: match input["min_cleanable_dirty_ratio"].as_f64() {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(ratio) => (ratio.clamp(0.0, 1.0) * 1e6).round() as u32,
            None => 50_000,
        },
        ..config()
    };
    let mut manager: LogCleanerManager<usize> = LogCleanerManager::default();
    let mut logs = Vec::new();
    for (number, (name, bounds)) in members(&input["cleanable_ranges"])?.into_iter().enumerate() {
        let bench = filthy(&config, offset(&bounds[1])?)?;
        manager.update_checkpoint(number, Some(int(&bounds[0])?));
        logs.push((name, bench));
    }
    let number_of = |name: &str| {
        let found = logs.iter().position(|(known, _)| *known == name);
        found.ok_or_else(|| unknown("log", name))
    };
    for name in texts(&input["in_progress"])? {
        manager.set_state(number_of(name)?, CleaningState::InProgress);
    }
    for key in [
        "uncleanable",
        "marked_uncleanable",
        "uncleanable_partitions",
    ] {
        for name in texts(&input[key])? {
            manager.mark_uncleanable(number_of(name)?);
        }
    }
    for name in texts(&input["paused"])? {
        let paused = manager.abort_and_pause(number_of(name)?);
        paused.map_err(|_| Fault::Differs("a log cannot be paused".to_owned()))?;
    }
    let all = logs.iter().enumerate().map(|(n, (_, it))| (n, &it.log));
    let chosen = manager.grab_filthiest(all, BEGIN_MS);
    case.same_all(|key| {
        let name = chosen.and_then(|(number, _)| logs.get(number).map(|(name, _)| *name));
        Ok(match key {
            "chosen" if case.expect[key] == json!("none") => Some(json!(name.unwrap_or("none"))),
            "chosen" => Some(json!(name)),
            "first_dirty" => Some(json!(chosen.map(|(_, range)| range.first_dirty))),
            _ => None,
        })
    })
}

fn range(case: &Case) -> Checked {
    let input = &case.input;
    let mut config = config();
    if !input["min_compaction_lag_ms"].is_null() {
        config.min_compaction_lag_ms = offset(&input["min_compaction_lag_ms"])?;
    }
    let steps = input["log"].as_array().or(input["steps"].as_array());
    let (bench, ranges) = match steps {
        Some(steps) => played(&config, steps, checkpoint(input)?)?,
        None => standing(&config, input)?,
    };
    let last = ranges.last().ok_or_else(|| unknown("case", &case.id))?;
    let active = bench.log.log().active_segment().base_offset();
    case.same_all(|key| {
        let each = |of: fn(&OffsetsToClean) -> Value| ranges.iter().map(of).collect::<Value>();
        // Where the case has no number, it names the bound.
        let bound = |got: i64, expected: &Value| match expected.as_str() {
            Some(words) if words.contains("active") && got == active => json!(words),
            Some(words) if got == bench.log.last_stable_offset() && is_stable(words) => {
                json!(words)
            }
            _ => json!(got),
        };
        let expected = &case.expect[key];
        Ok(Some(match key {
            "first_uncleanable_in_turn" => each(|it| json!(it.first_uncleanable)),
            "first_dirty_in_turn" => each(|it| json!(it.first_dirty)),
            "first_dirty" | "first_dirty_offset" => bound(last.first_dirty, expected),
            "first_uncleanable" | "first_uncleanable_offset" | "first_uncleanable_dirty" => {
                bound(last.first_uncleanable, expected)
            }
            "reset" | "checkpoint_reset" | "force_update_checkpoint" if expected.is_array() => {
                each(|it| json!(it.force_update_checkpoint))
            }
            "reset" | "checkpoint_reset" | "force_update_checkpoint" => {
                json!(last.force_update_checkpoint)
            }
            "checkpoint" | "checkpoint_after" => json!(last.first_dirty),
            "chosen" | "selected" => chosen(&bench, checkpoint(input)?, expected),
            _ => return Ok(None),
        }))
    })
}

fn is_stable(words: &str) -> bool {
    ["LSO", "stable", "HW", "high watermark"]
        .iter()
        .any(|it| words.contains(it))
}

fn chosen(bench: &Bench, checkpoint: Option<i64>, expected: &Value) -> Value {
    let mut manager: LogCleanerManager<u8> = LogCleanerManager::default();
    manager.update_checkpoint(0, checkpoint);
    match manager.grab_filthiest([(0, &bench.log)], bench.now_ms) {
        None if expected.is_string() => json!("none"),
        None if expected.is_boolean() => json!(false),
        None => Value::Null,
        Some(_) => json!(true),
    }
}

fn checkpoint(input: &Value) -> Checked<Option<i64>> {
    match &input["checkpoint"] {
        Value::Null => Ok(None),
        offset => int(offset).map(Some),
    }
}

/// A log that is there at once: its start, its end and its high watermark are given.
fn standing(config: &LogConfig, input: &Value) -> Checked<(Bench, Vec<OffsetsToClean>)> {
    let number = |keys: [&str; 3], default: i64| {
        let found = keys
            .into_iter()
            .map(|key| &input[key])
            .find(|it| it.is_number());
        found.map_or(Ok(default), offset)
    };
    let start = number(["log_start", "start", "log_start_offset"], 0)?;
    let end = number(["log_end", "leo", "log_end_offset"], 20.max(start))?;
    count(end, MOST)?;
    let one_segment = input["segments"] == json!(1);
    let mut bench = match one_segment {
        true => {
            let mut bench = Bench::new(config.clone());
            for key in 0..end {
                bench.plain(&[key], BEGIN_MS, false)?;
            }
            bench.log.set_high_watermark(end);
            bench
        }
        false => filthy(config, end)?,
    };
    bench.log.maybe_increment_start_offset(start);
    if let Some(hw) = input["hw"].as_i64() {
        bench.log.set_high_watermark(hw);
    }
    let checkpoints: Vec<Option<i64>> = match &input["checkpoints"] {
        Value::Null => vec![checkpoint(input)?],
        several => {
            let all: BTreeMap<usize, i64> = list(several)?
                .iter()
                .map(int)
                .collect::<Checked<Vec<_>>>()?
                .into_iter()
                .enumerate()
                .collect();
            all.into_values().map(Some).collect()
        }
    };
    let ranges = checkpoints
        .into_iter()
        .map(|checkpoint| cleanable_offsets(&bench.log, checkpoint, bench.now_ms));
    let ranges = ranges.collect();
    Ok((bench, ranges))
}

/// The steps of a case. What may be cleaned is asked after each step that moves the high watermark
/// or the clock.
fn played(
    config: &LogConfig,
    steps: &[Value],
    checkpoint: Option<i64>,
) -> Checked<(Bench, Vec<OffsetsToClean>)> {
    let mut bench = Bench::new(config.clone());
    let mut ranges = Vec::new();
    for step in steps {
        let step = text(step)?;
        let mut asks = false;
        for part in step.split(',').map(str::trim) {
            let number = match numbers(part).first() {
                Some(number) => Some(bounded(*number)?),
                None => None,
            };
            let many = || Ok(count(number.unwrap_or(1), MOST)? as i64);
            let records = part.contains("record");
            match part {
                _ if part.starts_with("HW") => {
                    let hw = number.unwrap_or_else(|| bench.log.log().leo());
                    bench.log.set_high_watermark(hw);
                    asks = true;
                }
                _ if part.starts_with('+') => {
                    let lag_ms = if part.contains("lag") {
                        config.min_compaction_lag_ms
                    } else {
                        0
                    };
                    bench.now_ms += lag_ms + number.unwrap_or(0);
                    asks = true;
                }
                _ if part.starts_with("roll") => bench.roll(number),
                _ if part.contains("COMMIT") => bench.marker(1, ControlMarker::Commit)?,
                _ if part.contains("ABORT") => bench.marker(1, ControlMarker::Abort)?,
                _ if part.starts_with("txn") && records => {
                    bench.transactional.push(1);
                    let keys: Vec<i64> = (0..many()?).collect();
                    bench.data(1, &keys, false)?;
                }
                _ if part.contains("segment") => {
                    for key in 0..many()? {
                        bench.plain(&[key], bench.now_ms, false)?;
                        bench.roll(None);
                    }
                }
                _ if records => {
                    let keys: Vec<i64> = (0..many()?).collect();
                    bench.plain(&keys, bench.now_ms, false)?;
                }
                _ => return Err(unknown("step", part)),
            }
        }
        if asks {
            ranges.push(cleanable_offsets(&bench.log, checkpoint, bench.now_ms));
        }
    }
    if ranges.is_empty() {
        ranges.push(cleanable_offsets(&bench.log, checkpoint, bench.now_ms));
    }
    Ok((bench, ranges))
}
