//! Barriers at a subtask's input: `AlignedCheckpointsTest`, `CheckpointBarrierTrackerTest`,
//! `UnalignedCheckpointsTest` (sequences in short notation) and `AlternatingCheckpointsTest`
//! (steps).

mod seen;
mod steps;

use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{bounded, count, int, list, narrow, offset_or, text};
use seen::Seen;
use serde_json::{Value, json};
use sim_core::stream::rules::barrier::channel::Item;
use sim_core::stream::rules::barrier::gate::{Barriers, Gate};
use sim_core::stream::rules::barrier::handler::{BarrierHandler, Mode};
use sim_core::stream::rules::barrier::tracker::BarrierTracker;
use sim_core::stream::rules::barrier::{Action, Alignment, Barrier, Declined, Inputs};
use std::collections::BTreeSet;

pub(super) use steps::check as check_steps;

const CHANNELS_MAX: usize = 10_000;
const STEPS_MAX: usize = 100_000;

/// How many channels the case has.
fn channels(case: &Case) -> Checked<u32> {
    narrow(i64::try_from(count(int(&case.config["channels"])?, CHANNELS_MAX)?).unwrap_or(0))
}

/// The first of several settings that is given.
fn setting<'a>(config: &'a Value, names: &[&str]) -> &'a Value {
    let found = names.iter().map(|name| &config[*name]);
    found
        .into_iter()
        .find(|it| !it.is_null())
        .unwrap_or(&Value::Null)
}

fn after_tasks_finish(config: &Value) -> Checked<bool> {
    match setting(
        config,
        &["checkpoints_after_tasks_finish", "after_tasks_finish"],
    ) {
        Value::Null => Ok(true),
        Value::Bool(it) => Ok(*it),
        other => Err(unknown("setting", other)),
    }
}

/// Inputs that only remember what is blocked: the sequence alone says what comes next.
#[derive(Default)]
struct Blocked(BTreeSet<u32>);

impl Inputs for Blocked {
    fn block(&mut self, channel: u32) {
        self.0.insert(channel);
    }
    fn resume(&mut self, channel: u32) {
        self.0.remove(&channel);
    }
    fn start(&mut self, _: &Barrier) -> Result<(), Declined> {
        Ok(())
    }
    fn stop(&mut self, _: i64) {}
    fn prioritize(&mut self, _: u32, _: u64) {}
}

/// What a sequence goes through.
enum Input {
    Aligned(BarrierHandler, Blocked),
    Tracker(BarrierTracker),
    /// Channels that are read whenever something came; a buffer's data is its index.
    Gate(Box<Gate<u64>>),
}

impl Input {
    fn new(case: &Case) -> Checked<Self> {
        let (channels, finish) = (channels(case)?, after_tasks_finish(&case.config)?);
        let mode = case.config["mode"].as_str().unwrap_or(&case.topic);
        let gate = |mode| {
            let handler = BarrierHandler::new(mode, channels, finish);
            let announcing: Vec<bool> = (0..channels).map(|_| true).collect();
            Input::Gate(Box::new(Gate::new(&announcing, Barriers::Single(handler))))
        };
        Ok(match mode {
            "aligned_exactly_once" | "aligned" | "barrier-aligned" => Input::Aligned(
                BarrierHandler::new(Mode::Aligned, channels, finish),
                Blocked::default(),
            ),
            "at_least_once_no_blocking" | "at_least_once" | "barrier-tracker" => {
                Input::Tracker(BarrierTracker::new(channels, finish))
            }
            "unaligned" | "unaligned_exactly_once" | "barrier-unaligned" => gate(Mode::Unaligned),
            "alternating" => gate(Mode::Alternating),
            other => return Err(unknown("mode", other)),
        })
    }

    /// One item comes and is consumed.
    fn take(&mut self, channel: u32, item: Item<u64>, now: i64, out: &mut Vec<Action>) {
        match self {
            Input::Aligned(handler, inputs) => match item {
                Item::Buffer { bytes, .. } => handler.on_buffer(bytes),
                Item::Barrier(it) => handler.on_barrier(channel, it, now, inputs, out),
                Item::Cancel(id) => handler.on_cancel(id, now, inputs, out),
                Item::End => {
                    handler.on_end(channel, now, inputs, out);
                    inputs.resume(channel);
                }
                Item::Announcement { .. } => {}
            },
            Input::Tracker(tracker) => match item {
                Item::Buffer { bytes, .. } => tracker.on_buffer(bytes),
                Item::Barrier(it) => tracker.on_barrier(channel, it, now, out),
                Item::Cancel(id) => tracker.on_cancel(channel, id, out),
                Item::End => tracker.on_end(channel, now, out),
                Item::Announcement { .. } => {}
            },
            Input::Gate(gate) => {
                gate.arrive(channel, item);
                while gate.poll(now, out).is_some() {}
            }
        }
    }

    fn blocked(&self) -> Vec<u32> {
        match self {
            Input::Aligned(_, blocked) => blocked.0.iter().copied().collect(),
            Input::Tracker(_) => Vec::new(),
            Input::Gate(gate) => gate.blocked().collect(),
        }
    }

    fn single(&self) -> Option<&BarrierHandler> {
        match self {
            Input::Aligned(handler, _) => Some(handler),
            Input::Tracker(_) => None,
            Input::Gate(gate) => match gate.barriers() {
                Barriers::Single(handler) => Some(handler),
                Barriers::Tracker(_) => None,
            },
        }
    }

    /// What the case may ask of the input's own state.
    fn state(&self, key: &str, expected: &Value, now: i64) -> Option<Value> {
        let (latest, pending, open, clock) = match (self, self.single()) {
            (Input::Tracker(it), _) => (
                it.latest_checkpoint(),
                it.is_pending(),
                it.open_channels(),
                it.clock(),
            ),
            (_, Some(it)) => (
                it.latest_checkpoint(),
                it.is_pending(),
                it.open_channels(),
                it.clock(),
            ),
            (_, None) => return None,
        };
        Some(match key {
            "blocked" | "blocked_channels" => json!(self.blocked()),
            "latest" | "latest_checkpoint" | "current_checkpoint" => json!(latest),
            "pending" | "is_pending" | "checkpoint_pending" if !expected.is_array() => {
                json!(pending)
            }
            "pending"
            | "pending_ids"
            | "pending_checkpoints"
            | "pending_checkpoint_ids"
            | "pending_after"
            | "still_pending" => match self {
                Input::Tracker(it) => it.pending_checkpoints().collect(),
                _ if pending => json!([latest]),
                _ => json!([]),
            },
            "open_channels" | "num_open_channels" => json!(open),
            "during_alignment" | "aligning" => json!(clock.is_aligning()),
            "alignment_ms" | "alignment_duration_ms" => json!(clock.duration_ms(now)),
            _ => return None,
        })
    }
}

/// One word of the short notation: "b0", "|1@0", "x1@0", "e0".
fn word(case: &Case, word: &str, index: u64, now: i64) -> Checked<(u32, Item<u64>)> {
    let why = || unknown("word", word);
    let number = |digits: &str| digits.parse::<i64>().map_err(|_| why());
    let channel = |digits: &str| -> Checked<u32> {
        let channel: u32 = digits.parse().map_err(|_| why())?;
        match usize::try_from(channel).is_ok_and(|it| it < CHANNELS_MAX) {
            true => Ok(channel),
            false => Err(why()),
        }
    };
    let both = |rest: &str| {
        let (id, at) = rest.split_once('@').ok_or_else(why)?;
        Ok::<_, Fault>((bounded(number(id)?)?, channel(at)?))
    };
    let mut chars = word.chars();
    let (kind, rest) = (chars.next(), chars.as_str());
    Ok(match kind {
        Some('b') => {
            let bytes = narrow(offset_or(setting(&case.config, &["buffer_bytes"]), 1)?)?;
            (channel(rest)?, Item::Buffer { data: index, bytes })
        }
        Some('e') => (channel(rest)?, Item::End),
        Some('x') => {
            let (id, channel) = both(rest)?;
            (channel, Item::Cancel(id))
        }
        Some('|') => {
            let (checkpoint, channel) = both(rest)?;
            let barrier = Barrier {
                checkpoint,
                created_ms: now,
                alignment: alignment(case)?,
                savepoint: false,
            };
            (channel, Item::Barrier(barrier))
        }
        _ => return Err(why()),
    })
}

/// How the barriers of a sequence are aligned.
fn alignment(case: &Case) -> Checked<Alignment> {
    let mode = case.config["mode"].as_str().unwrap_or(&case.topic);
    if mode.contains("unaligned") {
        return Ok(Alignment::Unaligned);
    }
    match setting(&case.config, &["aligned_timeout_ms"]) {
        Value::Null => Ok(Alignment::Aligned),
        it => Ok(Alignment::AlignedWithTimeout {
            timeout_ms: timeout(it)?,
        }),
    }
}

/// A timeout, ms, or one that never comes.
fn timeout(value: &Value) -> Checked<i64> {
    match value.as_str() {
        Some("never" | "MAX_INT" | "Integer.MAX_VALUE") => Ok(i64::from(i32::MAX)),
        _ => bounded(int(value)?),
    }
}

/// What one sequence brought about.
struct Ran {
    seen: Seen,
    stored: Vec<u64>,
}

/// Where in the case a probe stands.
fn probes<'a>(holder: &'a Value, index: u64) -> Checked<Vec<&'a Value>> {
    let all = list(setting(holder, &["probes"]))?;
    let here = |it: &&&'a Value| setting(it, &["after_index", "after"]) == &json!(index);
    Ok(all.iter().filter(|it| here(&it)).collect())
}

fn run(case: &Case, sequence: &str, holder: &Value, input: &mut Input) -> Checked<Ran> {
    let step = offset_or(
        setting(
            &case.config,
            &["ms_per_item", "advance_ms_per_item", "step_ms"],
        ),
        0,
    )?;
    let mut seen = Seen::default();
    let mut now: i64 = 0;
    for (index, token) in (0_u64..).zip(sequence.split_whitespace().take(STEPS_MAX)) {
        let (channel, item) = word(case, token, index, now)?;
        let mut out = Vec::new();
        input.take(channel, item, now, &mut out);
        seen.add(&out);
        for probe in probes(holder, index)? {
            for (key, expected) in probe.as_object().into_iter().flatten() {
                if ["after_index", "after", "note", "notes"].contains(&key.as_str()) {
                    continue;
                }
                let got = input.state(key, expected, now);
                let got = got.or_else(|| seen.part(key, expected));
                let got = got.ok_or_else(|| unknown("probe", key))?;
                same(&format!("after index {index}: {key}"), &got, expected)?;
            }
        }
        now = bounded(now.saturating_add(step))?;
    }
    let stored = match input {
        Input::Gate(gate) => gate.take_persisted().iter().map(|it| it.data).collect(),
        _ => Vec::new(),
    };
    Ok(Ran { seen, stored })
}

/// What the case may ask of what came out.
fn outcome(ran: &Ran, input: &Input, key: &str, expected: &Value) -> Option<Value> {
    match key {
        "inflight_indices" | "inflight" | "persisted_indices" => {
            let sorted: BTreeSet<u64> = ran.stored.iter().copied().collect();
            Some(json!(sorted))
        }
        "checkpoint" | "last_started" | "last_started_checkpoint" => {
            Some(match ran.seen.triggered().last() {
                Some(id) => json!(id),
                None if expected.is_null() => Value::Null,
                None => json!(-1),
            })
        }
        // Nothing is said that a program could compare.
        "rule" | "note" | "notes" => Some(expected.clone()),
        _ => ran
            .seen
            .part(key, expected)
            .or_else(|| input.state(key, expected, i64::MAX)),
    }
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut input = Input::new(case)?;
    if let Value::String(sequence) = &case.input["sequence"] {
        let ran = run(case, sequence, &case.expect, &mut input)?;
        return case.same_all(|key| {
            Ok(match key {
                // They are compared as the sequence is run.
                "probes" => Some(case.expect[key].clone()),
                _ => outcome(&ran, &input, key, &case.expect[key]),
            })
        });
    }
    let expected = list(&case.expect["per_sequence"])?;
    let sequences = list(&case.input["sequences"])?;
    if sequences.is_empty() || sequences.len() != expected.len() {
        return Err(unknown("list of sequences", &case.input));
    }
    for (number, (sequence, expected)) in sequences.iter().zip(expected).enumerate() {
        let ran = run(case, text(sequence)?, expected, &mut input)?;
        let Some(parts) = expected.as_object() else {
            return Err(unknown("expectation", expected));
        };
        for (key, value) in parts.iter().filter(|(key, _)| *key != "probes") {
            let got = outcome(&ran, &input, key, value);
            let got = got.ok_or_else(|| unknown("expectation", key))?;
            same(&format!("sequence {number}: {key}"), &got, value)?;
        }
    }
    case.same_all(|key| {
        Ok(match key {
            "per_sequence" | "rule" | "note" | "notes" => Some(case.expect[key].clone()),
            _ => input.state(key, &case.expect[key], i64::MAX),
        })
    })
}
