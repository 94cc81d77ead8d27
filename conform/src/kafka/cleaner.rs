//! Log compaction: `LogCleanerTest`. Ranges and the choice of a log are in
//! [`super::cleaner_pick`].

use super::cleaner_log::{Bench, Seen, config, keys};
use super::cleaner_pick;
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{bounded, int, list, numbers, offset, text};
use serde_json::{Value, json};
use sim_core::kafka::rules::cleaner::Cleaned;
use sim_core::log::{ControlMarker, LogConfig, Record};

pub(crate) fn check(case: &Case) -> Checked {
    if cleaner_pick::knows(case) {
        return cleaner_pick::check(case);
    }
    let mut bench = Bench::new(settings(&case.input)?);
    if let Some(before) = case.continued()? {
        play(&mut bench, before)?;
        bench.after.clear();
        // A pass over what is clean already begins at the start, as the test does it.
        bench.dirty = 0;
    }
    play(&mut bench, &case.input)?;
    case.same_all(|key| observe(&bench, case, key))
}

fn settings(input: &Value) -> Checked<LogConfig> {
    let mut config = config();
    for key in ["delete_retention_ms", "delete.retention.ms"] {
        if !input[key].is_null() {
            config.delete_retention_ms = offset(&input[key])?;
        }
    }
    Ok(config)
}

/// Everything that a case lets happen.
fn play(bench: &mut Bench, input: &Value) -> Checked {
    if !input["map_slots"].is_null() {
        let slots = int(&input["map_slots"])?;
        bench.cleaner.slots = u64::try_from(slots).map_err(|_| unknown("map", slots))?;
    }
    if let Some(factor) = input["load_factor"].as_f64() {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ppm = (factor.clamp(0.0, 1.0) * 1e6).round() as u32;
        bench.cleaner.load_factor_ppm = ppm;
    }
    // Where nothing is said of segments, all that is there counts as closed.
    let all = input.to_string();
    let closes = !all.contains("roll") && !all.contains("segment");
    declare_transactions(bench, &all);
    for batch in list(&input["batches"])? {
        append_object(bench, batch)?;
    }
    if let Some(steps) = input["log"].as_array().or(input["steps"].as_array()) {
        for step in steps {
            match step {
                Value::String(words) => told(bench, words, closes)?,
                object => append_object(bench, object)?,
            }
        }
    }
    if !input["keys_by_offset"].is_null() {
        bench.plain(&keys(&input["keys_by_offset"])?, bench.now_ms, false)?;
        bench.roll(None);
    }
    match &input["append"] {
        Value::Null => {}
        Value::Array(many) => {
            for one in many {
                append_object(bench, one)?;
            }
        }
        one => append_object(bench, one)?,
    }
    match &input["then"] {
        Value::Null => Ok(()),
        Value::Array(parts) => {
            for part in parts {
                told(bench, text(part)?, closes)?;
            }
            Ok(())
        }
        words => told(bench, text(words)?, closes),
    }
}

/// Producers that write a marker anywhere have transactions.
fn declare_transactions(bench: &mut Bench, all: &str) {
    for quoted in all.split('"') {
        if quoted.contains("COMMIT") || quoted.contains("ABORT") || quoted.contains("txn") {
            for part in quoted.split([',', '|', ';']) {
                bench.transactional.push(producer(part).unwrap_or(TXN));
            }
        }
    }
}

/// The producer of a case that names none.
const TXN: i64 = 1;

/// The number in `p1`, `pid1`, `P1:` at the start of some words.
fn producer(words: &str) -> Option<i64> {
    let first = words.split_whitespace().next()?;
    let first = first.to_ascii_lowercase();
    let digits = first.strip_prefix("pid").or(first.strip_prefix('p'))?;
    digits.trim_end_matches(':').parse().ok()
}

fn append_object(bench: &mut Bench, batch: &Value) -> Checked {
    let id = ["pid", "producer"]
        .into_iter()
        .find_map(|key| batch[key].as_i64());
    if let Some(marker) = batch["marker"].as_str() {
        return bench.marker(id.unwrap_or(TXN), marker_of(marker)?);
    }
    let keys = keys(&batch["keys"])?;
    if let Some(id) = id {
        if [&batch["txn"], &batch["transactional"]].contains(&&json!(true)) {
            bench.transactional.push(id);
        }
        return bench.data(id, &keys, false);
    }
    bench.plain(&keys, bench.now_ms, batch["tombstone"] == json!(true))
}

fn marker_of(words: &str) -> Checked<ControlMarker> {
    match words.to_ascii_uppercase() {
        it if it.contains("COMMIT") => Ok(ControlMarker::Commit),
        it if it.contains("ABORT") => Ok(ControlMarker::Abort),
        _ => Err(unknown("marker", words)),
    }
}

/// Words for one append, or for a row of other steps.
fn told(bench: &mut Bench, words: &str, closes: bool) -> Checked {
    for part in words.split(['|', ';']).map(str::trim) {
        if is_step(part) {
            for step in part.split(',').map(str::trim) {
                act(bench, step, closes)?;
            }
        } else {
            append_words(bench, part)?;
        }
    }
    Ok(())
}

fn is_step(words: &str) -> bool {
    let acts = [
        "roll", "clean", "segment", "two-pass", "two pass", "second", "+",
    ];
    let later = ["wait", "sleep", "after", "reload", "restart"];
    acts.iter().chain(&later).any(|it| words.starts_with(it))
}

fn act(bench: &mut Bench, step: &str, closes: bool) -> Checked {
    let number = match numbers(step).first() {
        Some(number) => Some(bounded(*number)?),
        None => None,
    };
    let later = step.contains("later") || step.contains("max") || step.contains("expire");
    if step.contains("clean") {
        if closes {
            bench.roll(None);
        }
        if later || step.contains("horizon") || step.contains("retention") {
            wait(bench, None);
        }
        if let Some(from) = number.filter(|_| step.contains("from")) {
            bench.dirty = from;
        }
        match step.contains("two-pass") || step.contains("two pass") {
            true => bench.clean_twice(),
            false => bench.clean(),
        }
        return Ok(());
    }
    match step {
        _ if step.starts_with("roll") || step.starts_with("segment") => bench.roll(number),
        _ if step.starts_with("reload") || step.starts_with("restart") => {
            bench.log.reload(bench.now_ms);
        }
        _ if is_step(step) => wait(bench, number.filter(|_| step.contains("ms"))),
        _ => return Err(unknown("step", step)),
    }
    Ok(())
}

/// Time goes by: so many ms, else just what tombstones need.
fn wait(bench: &mut Bench, ms: Option<i64>) {
    let retention_ms = bench.log.log().config().delete_retention_ms;
    bench.now_ms += ms.unwrap_or(retention_ms + 1);
}

/// "p1 2,3 (0-1)", "p2 COMMIT (4)", "2 (5)", "txn key 1 (0)", "tombstone k0 (1)", "k0=v (0)".
fn append_words(bench: &mut Bench, words: &str) -> Checked {
    let (what, place) = match words.split_once('(') {
        Some((what, place)) => (what.trim(), numbers(place).first().copied()),
        None => (words, None),
    };
    if let Some(place) = place.filter(|at| *at != bench.log.log().leo()) {
        let leo = bench.log.log().leo();
        return Err(Fault::Unsupported(format!(
            "a record at {place} where the log ends at {leo}"
        )));
    }
    let id = producer(what);
    if what.contains("COMMIT") || what.contains("ABORT") {
        return bench.marker(id.unwrap_or(TXN), marker_of(what)?);
    }
    let retention_ms = bench.log.log().config().delete_retention_ms;
    let at_ms = match what {
        _ if what.contains("future") => bench.now_ms + retention_ms + 10_000,
        _ if what.contains("old timestamp") => bench.now_ms - retention_ms - 10_000,
        _ => bench.now_ms,
    };
    let rest = match id {
        Some(_) => what.split_once(char::is_whitespace).map_or("", |it| it.1),
        None => what,
    };
    let tombstone = rest.contains("tombstone") || rest.contains("null");
    // "k0=v": the key is before the sign.
    let rest: String = rest
        .split(',')
        .map(|it| it.split('=').next().unwrap_or(it))
        .collect::<Vec<_>>()
        .join(",");
    let keys = numbers(&rest.replace(['k', 'K'], " "));
    let transactional = what.contains("txn") || what.contains("transaction");
    match id.or(transactional.then_some(TXN)) {
        Some(id) => bench.data(
            id,
            &keys,
            what.contains("sequence 0") || what.contains("reuse"),
        ),
        None => bench.plain(&keys, at_ms, tombstone),
    }
}

fn observe(bench: &Bench, case: &Case, key: &str) -> Checked<Option<Value>> {
    let last = bench.after.last();
    if let Some(got) = bench.seen().aspect(key, last.map(|(_, cleaned)| cleaned)) {
        return Ok(Some(got));
    }
    let expected = &case.expect[key];
    match key {
        "map" => offset_map(bench, &case.input, expected).map(Some),
        "not_in_map" => {
            let (map, _) = built(bench, &case.input)?;
            let absent = |key: &&Value| key.as_u64().is_some_and(|key| map.get(key) < 0);
            Ok(Some(
                list(expected)?.iter().filter(absent).cloned().collect(),
            ))
        }
        "map_size" => Ok(Some(json!(built(bench, &case.input)?.0.len()))),
        "duplicate_append_results" => bench.duplicates(expected).map(Some),
        "same_after_second_clean" => {
            let [.., (first, _), (second, _)] = bench.after.as_slice() else {
                return Err(Fault::Unsupported("there are no two passes".to_owned()));
            };
            let shown = |it: &Seen| {
                let parts = ["keys", "offsets", "batch_last_offsets", "aborted_txns"];
                parts.map(|part| it.aspect(part, None))
            };
            Ok(Some(json!(shown(first) == shown(second))))
        }
        _ => in_turn(bench, key, expected),
    }
}

/// Expectations about each pass: "offsets_after_each_clean", "dirty_in_turn", "per_pass".
fn in_turn(bench: &Bench, key: &str, expected: &Value) -> Checked<Option<Value>> {
    type Pass = (Seen, Cleaned<Record>);
    let of = |(seen, cleaned): &Pass, part: &str| seen.aspect(part, Some(cleaned));
    for (end, at) in [("_after_first_clean", 0), ("_after_second_clean", 1)] {
        if let Some(part) = key.strip_suffix(end) {
            return Ok(bench.after.get(at).and_then(|pass| of(pass, part)));
        }
    }
    if let Some((part, rest)) = key.split_once("_after_each").or(key.split_once("_in_turn")) {
        // "after each tombstone clean": those with a tombstone in the log.
        let dead = rest.contains("tombstone");
        let passes = bench.after.iter().filter(|it| !dead || it.0.saw_tombstone);
        let got: Option<Vec<Value>> = passes.map(|pass| of(pass, part)).collect();
        return Ok(got.map(Value::Array));
    }
    let ("per_pass" | "after_each_clean" | "passes" | "after_each") = key else {
        return Ok(None);
    };
    let wanted = list(expected)?;
    same(
        "number of passes",
        &json!(bench.after.len()),
        &json!(wanted.len()),
    )?;
    for (pass, wanted) in bench.after.iter().zip(wanted) {
        for (part, value) in crate::values::members(wanted)? {
            let got = of(pass, part).ok_or_else(|| unknown("expectation", part))?;
            same(part, &got, value)?;
        }
    }
    Ok(Some(expected.clone()))
}

fn built(
    bench: &Bench,
    input: &Value,
) -> Checked<(sim_core::kafka::rules::cleaner::OffsetMap, u64)> {
    let from = match &input["from_offset"] {
        Value::Null => 0,
        from => offset(from)?,
    };
    let end = bench.log.log().active_segment().base_offset();
    Ok(bench.cleaner.build_offset_map(&bench.log, from, end))
}

fn offset_map(bench: &Bench, input: &Value, expected: &Value) -> Checked<Value> {
    let (map, _) = built(bench, input)?;
    let mut got = serde_json::Map::new();
    for (key, _) in crate::values::members(expected)? {
        let number = key.parse::<u64>().map_err(|_| unknown("key", key))?;
        got.insert(key.to_owned(), json!(map.get(number)));
    }
    // Keys that the case does not name would make the map larger.
    match got.len() == map.len() {
        true => Ok(Value::Object(got)),
        false => Err(Fault::Differs(format!("the map has {} keys", map.len()))),
    }
}
