//! The words of windows in cases: triggers, evictors, gaps, aggregates.

use crate::case::{Checked, Fault, unknown};
use crate::values::{bounded, int, number, offset, offset_or, text};
use serde_json::Value;
use sim_core::stream::rules::window::aggregate::Aggregate;
use sim_core::stream::rules::window::evictor::{Evictor, Keep};
use sim_core::stream::rules::window::trigger::Trigger;

/// A word with what stands in its brackets, such as `purging(count(4))`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) inner: Vec<String>,
}

/// How deep brackets may stand in brackets.
const DEPTH_MAX: usize = 16;

/// The text at commas that stand in no brackets.
pub(super) fn at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts.retain(|it| !it.is_empty());
    parts
}

/// Reads a word, perhaps with brackets. Capitals, spaces and underscores do not matter.
pub(super) fn call(text: &str) -> Checked<Call> {
    if text.matches('(').count() > DEPTH_MAX {
        return Err(unknown("nesting", text));
    }
    let (name, inner) = match text.trim().split_once('(') {
        Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
            Some(inner) => (name, at_commas(inner)),
            None => return Err(unknown("expression", text)),
        },
        None => (text, Vec::new()),
    };
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    Ok(Call {
        name: letters.flat_map(char::to_lowercase).collect(),
        inner: inner.into_iter().map(str::to_owned).collect(),
    })
}

/// A number, perhaps with the name of what it is and its unit: `2000`, `interval=2000`, `2 s`.
pub(super) fn amount(text: &str) -> Checked<i64> {
    let value = text.rsplit(['=', ':']).next().unwrap_or(text).trim();
    if let Ok(number) = value.parse() {
        return bounded(number);
    }
    let digits = value.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
    let factor = match value[digits.len()..].trim() {
        "ms" | "millis" | "milliseconds" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        _ => return Err(unknown("amount", text)),
    };
    let number: Option<i64> = digits.trim().parse().ok();
    let all = number.and_then(|it| it.checked_mul(factor));
    all.map_or_else(|| Err(unknown("amount", text)), bounded)
}

/// The amount in the brackets of a word.
pub(super) fn only(call: &Call) -> Checked<i64> {
    match call.inner.first() {
        Some(first) => amount(first),
        None => Err(unknown("settings of", &call.name)),
    }
}

/// A trigger of Flink, as it is written in a case.
pub(super) fn trigger(text: &str) -> Checked<Trigger> {
    let it = call(text)?;
    let nested = || match it.inner.first() {
        Some(inner) => trigger(inner).map(Box::new),
        None => Err(unknown("trigger", text)),
    };
    let has = |word: &str| it.inner.iter().any(|given| given.contains(word));
    Ok(match it.name.trim_end_matches("trigger") {
        "eventtime" => Trigger::EventTime,
        "processingtime" => Trigger::ProcessingTime,
        "count" => Trigger::Count(only(&it)?),
        "continuouseventtime" => Trigger::ContinuousEventTime(only(&it)?),
        "continuousprocessingtime" => Trigger::ContinuousProcessingTime(only(&it)?),
        "delta" => Trigger::Delta(only(&it)?),
        "endofstream" | "endofinput" => Trigger::EndOfStream,
        "never" => Trigger::Never,
        "purging" => Trigger::Purging(nested()?),
        "processingtimeout" | "timeout" => Trigger::Timeout {
            nested: nested()?,
            after: match it.inner.get(1) {
                Some(after) => amount(after)?,
                None => return Err(unknown("trigger", text)),
            },
            reset: has("reset"),
            clear: has("clear"),
        },
        _ => return Err(unknown("trigger", text)),
    })
}

/// An evictor, if the settings have one.
pub(super) fn evictor(config: &Value) -> Checked<Option<Evictor>> {
    let Some(given) = config["evictor"].as_str() else {
        return match config["evictor"] {
            Value::Null => Ok(None),
            ref other => Err(unknown("evictor", other)),
        };
    };
    let it = call(given)?;
    let keep = match it.name.trim_end_matches("evictor") {
        "count" => Keep::Count(only(&it)?.unsigned_abs()),
        "time" => Keep::Time(only(&it)?),
        "delta" => Keep::Delta(only(&it)?),
        _ => return Err(unknown("evictor", given)),
    };
    let flags = ["evict_after", "do_evict_after", "doEvictAfter"];
    let flag = flags.iter().any(|flag| config[*flag] == Value::Bool(true));
    let said = |it: &String| it.contains("after") || it == "true";
    let after = flag || it.inner.iter().skip(1).any(said);
    Ok(Some(Evictor { keep, after }))
}

/// What windows make of their elements.
pub(super) fn aggregate(config: &Value, default: Aggregate) -> Checked<Aggregate> {
    match &config["aggregate"] {
        Value::Null => Ok(default),
        given => match text(given)? {
            "sum" | "reduce" | "reduce_sum" | "sum_reduce" => Ok(Aggregate::Sum),
            "count" => Ok(Aggregate::Count),
            "min" => Ok(Aggregate::Min),
            "max" => Ok(Aggregate::Max),
            "average" | "avg" | "mean" => Ok(Aggregate::Average),
            "list" | "elements" | "none" | "collect" | "group" | "apply" | "pass_through" => {
                Ok(Aggregate::Elements)
            }
            other => Err(unknown("aggregate", other)),
        },
    }
}

/// The gaps of sessions.
pub(super) enum Gaps {
    /// One for all.
    One(i64),
    /// By key and value.
    Dynamic(Vec<GapRule>),
}

/// Reads gaps: a number, or as in `key1:3000; key2: value==10 ? 1000 : 2000`.
pub(super) fn gaps(value: &Value) -> Checked<Gaps> {
    let Value::String(words) = value else {
        return Ok(Gaps::One(offset(value)?));
    };
    if let Ok(number) = words.parse() {
        return Ok(Gaps::One(bounded(number)?));
    }
    let rules = words.split(';').filter(|it| !it.trim().is_empty());
    let rules: Checked<Vec<_>> = rules.map(gap_of).collect();
    Ok(Gaps::Dynamic(rules?))
}

/// For a key, or for all (`None`): the value that another gap belongs to and that gap, and the gap of
/// all others.
type GapRule = (Option<String>, Option<(i64, i64)>, i64);

fn gap_of(words: &str) -> Checked<GapRule> {
    let (key, rule) = match words.split_once(':') {
        Some((key, rule)) if !key.contains('?') => (Some(key.trim()), rule),
        _ => (None, words),
    };
    let key = key.filter(|it| !matches!(*it, "*" | "else" | "other" | "default"));
    let key = key.map(str::to_owned);
    let Some((condition, gaps)) = rule.split_once('?') else {
        return Ok((key, None, amount(rule)?));
    };
    let (Some((_, wanted)), Some((then, otherwise))) =
        (condition.split_once("=="), gaps.split_once(':'))
    else {
        return Err(unknown("gap", words));
    };
    let special = (number(wanted)?, amount(then)?);
    Ok((key, Some(special), amount(otherwise)?))
}

impl Gaps {
    /// The gap that an element brings, if gaps are dynamic.
    pub(super) fn of(&self, key: &str, value: i64) -> Checked<Option<i64>> {
        let Gaps::Dynamic(rules) = self else {
            return Ok(None);
        };
        let for_key = |it: &&GapRule| it.0.as_deref().is_none_or(|it| it == key);
        match rules.iter().find(for_key) {
            Some((_, Some((wanted, gap)), _)) if *wanted == value => Ok(Some(*gap)),
            Some((_, _, gap)) => Ok(Some(*gap)),
            None => Err(Fault::Unsupported(format!("no gap is given for {key}"))),
        }
    }

    /// The gap of an assigner with these; a dynamic one is asked anew for each element.
    pub(super) fn fixed(&self) -> i64 {
        match self {
            Gaps::One(gap) => *gap,
            Gaps::Dynamic(_) => 1,
        }
    }
}

/// How late elements may come, ms.
pub(super) fn lateness(config: &Value) -> Checked<i64> {
    match &config["allowed_lateness"] {
        Value::String(words) if words.parse::<i64>().is_err() => amount(words),
        other => offset_or(other, 0),
    }
}

/// A time, which may be the end of all.
pub(super) fn moment(value: &Value, infinity: i64) -> Checked<i64> {
    match value.as_str() {
        Some("INF" | "+INF" | "inf" | "Infinity" | "INFINITY" | "MAX") => Ok(infinity),
        _ => int(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn triggers_are_read() {
        let count = || Box::new(Trigger::Count(4));
        for (words, read) in [
            ("event_time", Some(Trigger::EventTime)),
            ("EventTimeTrigger", Some(Trigger::EventTime)),
            ("purging(count(4))", Some(Trigger::Purging(count()))),
            (
                "continuous_event_time(2 s)",
                Some(Trigger::ContinuousEventTime(2_000)),
            ),
            ("count", None),
            ("count(4", None),
            ("purging(colour)", None),
        ] {
            assert_eq!(trigger(words).ok(), read, "{words}");
        }
    }

    #[test]
    fn gaps_are_read() {
        let gaps = gaps(&json!("key1:3000; key2: value==10 ? 1000 : 2 s")).expect("gaps");
        for (key, value, gap) in [("key1", 10, 3_000), ("key2", 10, 1_000), ("key2", 1, 2_000)] {
            assert_eq!(gaps.of(key, value), Ok(Some(gap)));
        }
        assert!(gaps.of("key3", 1).is_err());
    }
}
