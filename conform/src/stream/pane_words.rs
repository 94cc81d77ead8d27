//! The words of panes in cases: Beam's triggers and windowing strategies.

use super::window_words::{aggregate, amount, at_commas, call, lateness, only};
use super::windows::assigner;
use crate::case::{Checked, Fault, unknown};
use crate::values::{number, offset};
use serde_json::{Value, json};
use sim_core::stream::rules::pane::strategy::{Accumulation, Empty, Strategy, TimestampCombiner};
use sim_core::stream::rules::pane::trigger::Trigger;
use sim_core::stream::rules::window::aggregate::Aggregate;

/// Where a word stands outside all brackets, not at the beginning.
fn outside(text: &str, words: &[&str]) -> Option<(usize, usize)> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at > 0 => {
                let found = words.iter().find(|it| text[at..].starts_with(**it));
                if let Some(word) = found {
                    return Some((at, at + word.len()));
                }
            }
            _ => {}
        }
    }
    None
}

/// What follows a word such as `early` or `withLateFirings`.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.trim().trim_start_matches('.');
    let rest = rest
        .strip_prefix("with")
        .map_or(rest, |it| it.trim_start_matches('_'));
    let (first, rest) = rest.split_at_checked(word.len())?;
    if !first.eq_ignore_ascii_case(word) {
        return None;
    }
    let rest = rest.trim_start_matches(['_', ' ', '=', ':']);
    let firings = |it: &&str| {
        it.get(..7)
            .is_some_and(|f| f.eq_ignore_ascii_case("firings"))
    };
    let rest = match firings(&rest) {
        true => rest[7..].trim_start_matches(['_', ' ', '=', ':']),
        false => rest,
    };
    Some(unbracketed(rest))
}

/// A text without the brackets around all of it.
fn unbracketed(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    inner.map_or(text, str::trim)
}

fn early_and_late(parts: &[&str]) -> Checked<Trigger> {
    let (mut early, mut late) = (None, None);
    for part in parts {
        if let Some(rest) = after_word(part, "early") {
            early = Some(Box::new(trigger(rest)?));
        } else if let Some(rest) = after_word(part, "late") {
            late = Some(Box::new(trigger(rest)?));
        } else {
            return Err(unknown("firing", part));
        }
    }
    Ok(match (early, late) {
        (None, None) => Trigger::AfterWatermark,
        (early, late) => Trigger::EarlyAndLate {
            early: early.unwrap_or_else(|| Box::new(Trigger::Never)),
            late,
        },
    })
}

/// A trigger told as a script: after which elements it fires, and whether it then has finished.
fn scripted(words: &str) -> Checked<Trigger> {
    let mut each = Vec::new();
    let mut before = 0;
    let mut finished = false;
    for clause in words.split([';', ',']).filter(|it| !it.trim().is_empty()) {
        let at = number(clause)?;
        if finished || at <= before || !clause.contains("fire") {
            return Err(unknown("script", words));
        }
        each.push(Trigger::AfterPane(at - before));
        before = at;
        finished = clause.contains("finish");
    }
    if !finished {
        each.push(Trigger::Never);
    }
    Ok(Trigger::AfterEach(each))
}

/// A trigger of Beam, as it is written in a case.
pub(super) fn trigger(text: &str) -> Checked<Trigger> {
    let text = unbracketed_or_whole(text);
    if text.matches('(').count() > 32 {
        return Err(unknown("nesting", text));
    }
    if let Some(words) = text.strip_prefix("scripted") {
        return scripted(words.trim_start_matches([':', ' ']));
    }
    if let Some((first, rest)) = at_commas(text).split_first().filter(|it| !it.1.is_empty()) {
        return match trigger(first)? {
            Trigger::AfterWatermark => early_and_late(rest),
            _ => Err(unknown("trigger", text)),
        };
    }
    if let Some((from, to)) = outside(text, &["or_finally", "orFinally", "or finally"]) {
        let actual = trigger(text[..from].trim_end_matches(['.', ' ', '_']))?;
        let until = trigger(&text[to..])?;
        return Ok(Trigger::OrFinally(Box::new(actual), Box::new(until)));
    }
    if let Some((from, _)) = outside(text, &[".with", " with", " early", " late"]) {
        let mut rest = &text[from..];
        let mut parts = Vec::new();
        while let Some((at, _)) = outside(rest, &[".with", " with", " early", " late"]) {
            parts.push(&rest[..at]);
            rest = &rest[at..];
        }
        parts.push(rest);
        return match trigger(&text[..from])? {
            Trigger::AfterWatermark => early_and_late(&parts),
            _ => Err(unknown("trigger", text)),
        };
    }
    simple(text)
}

/// Brackets around all of a trigger say nothing.
fn unbracketed_or_whole(text: &str) -> &str {
    let text = text.trim();
    match text.starts_with('(') && outside(text, &[",", "."]).is_none() {
        true => unbracketed(text),
        false => text,
    }
}

fn simple(text: &str) -> Checked<Trigger> {
    let it = call(text)?;
    let all = || -> Checked<Vec<Trigger>> { it.inner.iter().map(|inner| trigger(inner)).collect() };
    let one = || match it.inner.as_slice() {
        [inner] => trigger(inner).map(Box::new),
        _ => Err(unknown("trigger", text)),
    };
    Ok(match it.name.as_str() {
        "default" | "defaulttrigger" => Trigger::Default,
        "never" | "neverever" => Trigger::Never,
        "endofwindow"
        | "afterwatermark"
        | "pastendofwindow"
        | "watermark"
        | "afterwatermarkpastendofwindow" => {
            let inner: Vec<&str> = it.inner.iter().map(String::as_str).collect();
            early_and_late(&inner)?
        }
        "count"
        | "afterpane"
        | "elementcount"
        | "elementcountatleast"
        | "afterpaneelementcountatleast"
        | "aftercount" => Trigger::AfterPane(only(&it)?),
        "processingtime"
        | "afterprocessingtime"
        | "delay"
        | "processingtimedelay"
        | "afterdelay"
        | "pastfirstelementinpane" => match it.inner.is_empty() {
            true => Trigger::AfterProcessingTime(0),
            false => Trigger::AfterProcessingTime(only(&it)?),
        },
        "repeatedly" | "repeat" | "forever" | "repeatedlyforever" => Trigger::Repeatedly(one()?),
        "firstof" | "afterfirst" | "first" | "any" | "afterany" | "afterfirstof" => {
            Trigger::AfterFirst(all()?)
        }
        "allof" | "afterall" | "all" | "afterallof" => Trigger::AfterAll(all()?),
        "each" | "aftereach" | "inorder" | "aftereachinorder" => Trigger::AfterEach(all()?),
        "orfinally" => match <[Trigger; 2]>::try_from(all()?) {
            Ok([actual, until]) => Trigger::OrFinally(Box::new(actual), Box::new(until)),
            Err(_) => return Err(unknown("trigger", text)),
        },
        _ => return Err(unknown("trigger", text)),
    })
}

/// The trigger of a case: written out, or by its early and late firings alone, or the one that Beam
/// takes if nothing is said.
fn of_config(config: &Value) -> Checked<Trigger> {
    if let Some(words) = config["trigger"].as_str() {
        return trigger(words);
    }
    let firing = |count: &str, delay: &str, words: &str| -> Checked<Option<Box<Trigger>>> {
        Ok(match (&config[count], &config[delay], &config[words]) {
            (Value::Null, Value::Null, Value::Null) => None,
            (Value::Null, Value::Null, Value::String(it)) => Some(Box::new(trigger(it)?)),
            (Value::Null, delay, _) => Some(Box::new(Trigger::AfterProcessingTime(offset(delay)?))),
            (count, ..) => Some(Box::new(Trigger::AfterPane(offset(count)?))),
        })
    };
    let early = firing("early_count", "early_delay_ms", "early")?;
    let late = firing("late_count", "late_delay_ms", "late")?;
    Ok(match (early, late) {
        (None, None) => Trigger::Default,
        (early, late) => Trigger::EarlyAndLate {
            early: early.unwrap_or_else(|| Box::new(Trigger::Never)),
            late,
        },
    })
}

fn empty(value: &Value, default: Empty) -> Checked<Empty> {
    match value.as_str() {
        Some("FIRE_ALWAYS") => Ok(Empty::Said),
        Some("FIRE_IF_NON_EMPTY" | "FIRE_IF_NONEMPTY") => Ok(Empty::Silent),
        None if value.is_null() => Ok(default),
        _ => Err(unknown("behaviour", value)),
    }
}

fn first_of<'a>(config: &'a Value, keys: &[&str]) -> &'a Value {
    let found = keys
        .iter()
        .map(|key| &config[*key])
        .find(|it| !it.is_null());
    found.unwrap_or(&Value::Null)
}

/// The windowing strategy of a case. Where none is said, the windows are Beam's default ones, and
/// panes have the time of their earliest element, as the tests that look at it ask for.
pub(super) fn strategy(config: &Value) -> Checked<Strategy> {
    if !config.is_object() {
        return Err(unknown("settings", config));
    }
    let mut windows = config.clone();
    for (key, other) in [("slide", "period"), ("size", "size_ms"), ("gap", "gap_ms")] {
        if windows[key].is_null() && !windows[other].is_null() {
            windows[key] = windows[other].clone();
        }
        if let Some(words) = windows[key]
            .as_str()
            .filter(|it| it.parse::<i64>().is_err())
        {
            windows[key] = json!(amount(words)?);
        }
    }
    match windows["assigner"].as_str() {
        None => windows["assigner"] = json!("global"),
        Some("fixed") => windows["assigner"] = json!("tumbling"),
        Some("sessions") => windows["assigner"] = json!("session"),
        Some(_) => {}
    }
    let accumulation = match first_of(config, &["mode", "accumulation_mode"]).as_str() {
        None | Some("discarding" | "DISCARDING_FIRED_PANES") => Accumulation::Discarding,
        Some("accumulating" | "ACCUMULATING_FIRED_PANES") => Accumulation::Accumulating,
        Some("retracting" | "accumulating_and_retracting" | "RETRACTING_FIRED_PANES") => {
            Accumulation::Retracting
        }
        Some(other) => return Err(unknown("mode", other)),
    };
    let combiner = first_of(config, &["timestamp_combiner", "ts_combiner", "combiner"]);
    let combiner = match combiner.as_str().map(str::to_lowercase).as_deref() {
        None | Some("earliest") => TimestampCombiner::Earliest,
        Some("latest") => TimestampCombiner::Latest,
        Some("end_of_window") => TimestampCombiner::EndOfWindow,
        Some(other) => return Err(unknown("timestamp combiner", other)),
    };
    let closing = first_of(config, &["closing", "closing_behavior"]);
    let on_time = first_of(config, &["on_time", "on_time_behavior"]);
    let strategy = Strategy {
        assigner: assigner(&windows, &Value::Null)?,
        trigger: of_config(config)?,
        accumulation,
        aggregate: aggregate(config, Aggregate::Elements)?,
        allowed_lateness: lateness(config)?,
        closing: empty(closing, Empty::Silent)?,
        on_time: empty(on_time, Empty::Said)?,
        combiner,
    };
    let refused = |why: &str| Fault::Unsupported(format!("the settings make no sense: {why}"));
    strategy.validate().map_err(refused)?;
    Ok(strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_read() {
        let count = |n| Box::new(Trigger::AfterPane(n));
        let either = Trigger::AfterFirst(vec![*count(2), Trigger::AfterWatermark]);
        let firings = |late| Trigger::EarlyAndLate {
            early: count(2),
            late,
        };
        let never = || Some(Box::new(Trigger::Never));
        let until = Trigger::OrFinally(
            Box::new(Trigger::Repeatedly(count(2))),
            Box::new(Trigger::AfterWatermark),
        );
        for (words, read) in [
            (
                "repeatedly(first_of(count(2), end_of_window))",
                Some(Trigger::Repeatedly(Box::new(either))),
            ),
            (
                "end_of_window, early count(2), late never",
                Some(firings(never())),
            ),
            (
                "end_of_window(early=count(2), late=never)",
                Some(firings(never())),
            ),
            (
                "end_of_window.withEarlyFirings(count(2)).withLateFirings(never)",
                Some(firings(never())),
            ),
            ("end_of_window early count(2)", Some(firings(None))),
            (
                "repeatedly(count(2)).or_finally(end_of_window)",
                Some(until.clone()),
            ),
            (
                "repeatedly(count(2)) or_finally end_of_window",
                Some(until.clone()),
            ),
            (
                "or_finally(repeatedly(count(2)), end_of_window)",
                Some(until),
            ),
            (
                "after_processing_time(5 min)",
                Some(Trigger::AfterProcessingTime(300_000)),
            ),
            (
                "scripted: fire after 2nd element; fire and finish after 3rd",
                Some(Trigger::AfterEach(vec![*count(2), *count(1)])),
            ),
            ("count(2), early count(3)", None),
            ("repeatedly", None),
            ("colour(1)", None),
        ] {
            assert_eq!(trigger(words).ok(), read, "{words}");
        }
    }
}
