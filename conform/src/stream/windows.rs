//! Window assigners.

use crate::case::{Case, Checked, same, unknown};
use crate::values::{int, list, offset, offset_or, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::assigner::{Assigner, Stagger, Window};
use sim_core::stream::rules::window::merging::Merging;

/// The assigner of a case's settings; `given` may bring some that `config` leaves open.
pub(super) fn assigner(config: &Value, given: &Value) -> Checked<Assigner> {
    let setting = |key: &str| match &given[key] {
        Value::Null => &config[key],
        own => own,
    };
    let (size, shift) = (setting("size"), setting("offset"));
    Ok(match text(&config["assigner"])? {
        "tumbling" | "tumble" | "fixed" | "tumbling_processing_time" => Assigner::Tumbling {
            size: offset(size)?,
            offset: offset_or(shift, 0)?,
        },
        "sliding" | "hop" | "sliding_processing_time" => Assigner::Sliding {
            size: offset(size)?,
            slide: offset(setting("slide"))?,
            offset: offset_or(shift, 0)?,
        },
        "cumulate" => Assigner::Cumulate {
            size: offset(size)?,
            step: offset(setting("step"))?,
            offset: offset_or(shift, 0)?,
        },
        "session" | "session_processing_time" => Assigner::Session {
            gap: offset(setting("gap"))?,
        },
        "global" => Assigner::Global,
        other => return Err(unknown("assigner", other)),
    })
}

fn shown(window: &Window) -> Value {
    json!([written(window.start), written(window.end)])
}

/// The tumbling windows of a subtask whose first element arrived at a moment of the case.
fn staggered(config: &Value, assigner: Assigner) -> Checked<Assigner> {
    let stagger = match config["stagger"].as_str() {
        None | Some("ALIGNED") => Stagger::Aligned,
        Some("NATURAL") => Stagger::Natural,
        Some(other) => return Err(unknown("stagger", other)),
    };
    Ok(match assigner {
        Assigner::Tumbling {
            size,
            offset: shift,
        } if size > 0 => {
            let now = offset_or(&config["processing_time_at_first_element"], 0)?;
            Assigner::Tumbling {
                size,
                offset: (shift + stagger.offset(now, size, 0)) % size,
            }
        }
        other => other,
    })
}

/// A row for each element, or the elements of each window.
pub(crate) fn assign(case: &Case) -> Checked {
    let assigner = staggered(&case.config, assigner(&case.config, &Value::Null)?)?;
    if !case.input["timestamps"].is_null() {
        return by_window(case, assigner);
    }
    let mut rows = Vec::new();
    for element in list(&case.input)? {
        // An assigner of processing time sees the clock and not the element's time.
        let clocks = ["processing_time", "proc_time", "now", "ts"];
        let clock = clocks.iter().find(|it| element.get(**it).is_some());
        let windows = assigner.assign(int(&element[*clock.unwrap_or(&"ts")])?);
        let windows: Vec<Value> = windows.iter().map(shown).collect();
        let mut row = element.clone();
        if let Some(row) = row.as_object_mut() {
            row.insert("windows".to_owned(), json!(windows));
        }
        rows.push(row);
    }
    same("windows", &json!(rows), &case.expect)
}

/// Which windows merge in the system whose test the case restates: Beam's merge when they overlap,
/// Flink's when they touch.
fn merging(case: &Case) -> Merging {
    match case.path.starts_with("flink") {
        true => Merging::Touching,
        false => Merging::Overlapping,
    }
}

/// Windows with the elements in each.
fn by_window(case: &Case, assigner: Assigner) -> Checked {
    let mut windows: Vec<(Window, Vec<i64>)> = Vec::new();
    for timestamp in list(&case.input["timestamps"])? {
        let timestamp = int(timestamp)?;
        for window in assigner.assign(timestamp) {
            match windows.iter_mut().find(|(it, _)| *it == window) {
                Some((_, elements)) => elements.push(timestamp),
                None => windows.push((window, vec![timestamp])),
            }
        }
    }
    if assigner.merges() {
        let all: Vec<Window> = windows.iter().map(|it| it.0).collect();
        let merged = merging(case).merge(&all).into_iter();
        windows = merged
            .map(|(cover, parts)| {
                let inside = windows.iter().filter(|it| parts.contains(&it.0));
                (cover, inside.flat_map(|it| it.1.clone()).collect())
            })
            .collect();
    }
    for (_, elements) in &mut windows {
        elements.sort_unstable();
    }
    windows.sort();
    let rows = windows.iter().map(|(window, elements)| {
        let elements: Vec<Value> = elements.iter().copied().map(written).collect();
        json!([shown(window), elements])
    });
    let mut expected = case.expect["windows"].clone();
    for row in expected.as_array_mut().into_iter().flatten() {
        if let Some(elements) = row.get_mut(1).and_then(Value::as_array_mut) {
            elements.sort_by_key(Value::as_i64);
        }
    }
    same("windows", &rows.collect(), &expected)
}

/// Windows that merge, and those that stay alone: `mergeWindows`.
pub(crate) fn merge(case: &Case) -> Checked {
    let given = match &case.input["windows"] {
        Value::Null => &case.input,
        own => own,
    };
    let window = |it: &Value| -> Checked<Window> {
        Ok(Window {
            start: offset(&it[0])?,
            end: offset(&it[1])?,
        })
    };
    let windows: Checked<Vec<Window>> = list(given)?.iter().map(window).collect();
    let merged = merging(case).merge(&windows?);
    // Some cases name only the windows that others became.
    let bare = ["merged", "merges"]
        .iter()
        .any(|key| case.expect[*key][0][0].is_number());
    let with_parts = |(cover, parts): &(Window, Vec<Window>)| {
        let parts: Vec<Value> = parts.iter().map(shown).collect();
        match bare {
            true => shown(cover),
            false => json!([shown(cover), parts]),
        }
    };
    let together = || merged.iter().filter(|it| it.1.len() > 1);
    case.same_all(|key| {
        Ok(Some(match key {
            "windows" | "result" => merged.iter().map(|it| shown(&it.0)).collect(),
            "merged" | "merges" => together().map(with_parts).collect(),
            _ => return Ok(None),
        }))
    })
}

/// Settings that are refused, or not.
pub(crate) fn validate(case: &Case) -> Checked {
    let mut rows = Vec::new();
    for given in list(&case.input)? {
        let refused = assigner(&case.config, given)?.validate().is_err();
        rows.push(json!({ "error": refused }));
    }
    same("refused", &json!(rows), &case.expect)
}
