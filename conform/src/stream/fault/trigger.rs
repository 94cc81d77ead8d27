//! Requests for checkpoints: `CheckpointRequestDeciderTest`.

use super::{MOST, either, first, flag, number_or, same_step};
use crate::case::{Case, Checked, unknown};
use crate::values::{count, list, narrow, text};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::checkpoint_trigger::{
    Decision, Dropped, MAX_QUEUED, Request, RequestDecider, Situation,
};

/// A request as the case words it: "periodic checkpoint", "non-forced user savepoint".
///
/// As in the test's own helpers a savepoint is forced and the user's unless it says otherwise, a
/// checkpoint is never forced, and periodic unless it is manual.
fn request(words: &str, number: u64, timestamp_ms: i64) -> Checked<Request> {
    let mut it = Request {
        number,
        savepoint: words.contains("savepoint"),
        forced: words.contains("savepoint"),
        periodic: words.contains("checkpoint"),
        timestamp_ms,
    };
    for word in words.split_whitespace() {
        match word.trim_matches(',') {
            "savepoint" | "checkpoint" => {}
            "regular" => it.periodic = !it.savepoint,
            "periodic" => it.periodic = true,
            "user" | "manual" | "user-submitted" | "non-periodic" => it.periodic = false,
            "forced" => it.forced = true,
            "non-forced" | "unforced" => it.forced = false,
            _ => return Err(unknown("request", words)),
        }
    }
    match words.contains("savepoint") != words.contains("checkpoint") {
        true => Ok(it),
        false => Err(unknown("request", words)),
    }
}

fn read(value: &Value, number: u64) -> Checked<(String, Request)> {
    if let Value::String(words) = value {
        return Ok((words.clone(), request(words, number, 0)?));
    }
    let words = text(first(value, &["request", "kind", "type"]))?;
    let at = number_or(first(value, &["timestamp_ms", "at_ms", "timestamp"]), 0)?;
    let mut it = request(words, number, at)?;
    it.forced = flag(&value["forced"], it.forced)?;
    it.periodic = flag(&value["periodic"], it.periodic)?;
    Ok((words.to_owned(), it))
}

struct Rig {
    decider: RequestDecider,
    situation: Situation,
    names: Vec<String>,
    outcomes: Vec<(Decision, u64)>,
    executed: Vec<u64>,
    dropped: Vec<(Request, Dropped)>,
    reschedule: Option<i64>,
}

impl Rig {
    fn new(case: &Case) -> Checked<Self> {
        let config = &case.config;
        let max = number_or(
            first(config, &["max_concurrent", "max_concurrent_checkpoints"]),
            1,
        )?;
        let pause = number_or(
            either([config, &case.input], &["min_pause_ms", "min_pause"]),
            0,
        )?;
        let queued = first(config, &["max_queued", "max_queued_requests"]);
        let queued = number_or(queued, i64::from(MAX_QUEUED))?;
        if max < 1 || queued < 1 {
            return Err(unknown("setting", config));
        }
        let mut rig = Rig {
            decider: RequestDecider::new(narrow(max)?, pause, narrow(queued)?),
            situation: Situation::default(),
            names: Vec::new(),
            outcomes: Vec::new(),
            executed: Vec::new(),
            dropped: Vec::new(),
            reschedule: None,
        };
        // Without a clock the last completion is long past, but where there is a pause the case is
        // about what comes right after one, as the test's `testTiming` is.
        rig.situation.now_ms = if pause > 0 { 0 } else { 1 << 40 };
        rig.situate(&case.input)?;
        Ok(rig)
    }

    /// Takes over what an object says of the coordinator.
    fn situate(&mut self, from: &Value) -> Checked {
        let before = self.situation;
        let small = |value: &Value, old: u32| narrow(number_or(value, i64::from(old))?);
        let clock = first(from, &["now_ms", "clock_ms"]);
        let last = first(from, &["last_completion_ms", "last_completed_ms"]);
        let since = first(from, &["since_last_completion_ms", "ms_since_completion"]);
        let last_completion_ms = number_or(last, before.last_completion_ms)?;
        let later = match since {
            Value::Null => before.now_ms.max(last_completion_ms),
            since => last_completion_ms + number_or(since, 0)?,
        };
        self.situation = Situation {
            triggering: flag(&from["triggering"], before.triggering)?,
            pending: small(
                first(from, &["pending", "pending_checkpoints"]),
                before.pending,
            )?,
            cleaning: small(
                first(from, &["cleaning", "cleaning_checkpoints"]),
                before.cleaning,
            )?,
            last_completion_ms,
            now_ms: number_or(clock, later)?,
        };
        Ok(())
    }

    fn note(&mut self, decision: &Decision) {
        self.executed.extend(decision.execute.map(|it| it.number));
        self.dropped.extend_from_slice(&decision.dropped);
        self.reschedule = decision.reschedule_in_ms.or(self.reschedule);
    }

    fn submit(&mut self, value: &Value) -> Checked {
        let number = u64::try_from(self.names.len()).unwrap_or(u64::MAX);
        let (name, request) = read(value, number)?;
        self.names.push(name);
        let decision = self.decider.submit(request, self.situation);
        self.note(&decision);
        self.outcomes.push((decision, number));
        Ok(())
    }

    /// Executes one that waits, if any may be.
    fn choose(&mut self) -> bool {
        let decision = self.decider.choose_queued(self.situation);
        self.note(&decision);
        decision.execute.is_some()
    }

    fn name(&self, number: u64) -> Value {
        let at = usize::try_from(number).ok();
        json!(at.and_then(|at| self.names.get(at)))
    }

    fn outcome(&self, at: usize, expected: &Value) -> Option<Value> {
        let (decision, number) = self.outcomes.get(at)?;
        if decision.execute.is_some_and(|it| it.number == *number) {
            return Some(json!("IMMEDIATE")).map(|it| spelled(&it, expected));
        }
        let dropped = decision.dropped.iter().find(|(it, _)| it.number == *number);
        Some(match dropped {
            Some((_, why)) if expected == why.name() => json!(why.name()),
            Some(_) => spelled(&json!("DROPPED"), expected),
            None => spelled(&json!("QUEUED"), expected),
        })
    }

    fn part(&self, key: &str, expected: &Value) -> Option<Value> {
        let names = |all: Vec<u64>| all.into_iter().map(|it| self.name(it)).collect();
        Some(match key {
            "outcome" | "outcomes" if expected.is_array() => {
                let each = (0..self.outcomes.len()).map(|at| self.outcome(at, &expected[at]));
                Value::Array(each.collect::<Option<_>>()?)
            }
            "outcome" => self.outcome(self.outcomes.len().checked_sub(1)?, expected)?,
            "executed" | "execution_order" => names(self.executed.clone()),
            "queued" if expected.is_number() => json!(self.decider.queued().len()),
            "queued" => names(self.decider.queued().iter().map(|it| it.number).collect()),
            "dropped" | "rejected" | "failed" if expected.is_number() => json!(self.dropped.len()),
            "dropped" | "rejected" | "failed" if expected[0].is_array() => {
                let each = self.dropped.iter();
                each.map(|(it, why)| json!([self.name(it.number), why.name()]))
                    .collect()
            }
            "dropped" | "rejected" | "failed" => {
                names(self.dropped.iter().map(|(it, _)| it.number).collect())
            }
            "reason" | "dropped_reason" => json!(self.dropped.last()?.1.name()),
            "reschedule_in_ms" | "rescheduled_in_ms" => json!(self.reschedule),
            "rule" | "note" | "notes" => expected.clone(),
            _ => return None,
        })
    }

    fn step(&mut self, step: &Value) -> Checked {
        self.situate(step)?;
        match text(&step["op"])? {
            "request" | "submit" => self.submit(step),
            "choose" | "choose_queued" => {
                self.choose();
                Ok(())
            }
            "set" | "state" | "clock" | "pending" | "cleaning" => Ok(()),
            other => Err(unknown("operation", other)),
        }
    }
}

/// The same word in the case's spelling.
fn spelled(word: &Value, expected: &Value) -> Value {
    let same = |it: &str| {
        word.as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case(it))
    };
    let immediately = word == "IMMEDIATE" && expected == "IMMEDIATELY";
    match expected.as_str() {
        Some(it) if same(it) || immediately => expected.clone(),
        _ => word.clone(),
    }
}

pub(super) fn check(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let queued = list(&case.input["queued"])?;
    if !queued.is_empty() {
        // They come while a checkpoint is being triggered, and go on one by one after that.
        rig.situation.triggering = true;
        for it in queued {
            rig.submit(it)?;
        }
        rig.situation.triggering = false;
        if case.expects("execution_order") {
            for _ in 0..count(i64::try_from(queued.len()).unwrap_or(i64::MAX), MOST)? {
                rig.choose();
            }
        }
    }
    for it in list(&case.input["requests"])? {
        rig.submit(it)?;
    }
    if !case.input["then"].is_null() {
        rig.situate(&case.input["then"])?;
        rig.choose();
    }
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        rig.step(step)?;
        same_step(&case.expect["per_step"], number, |key, expected| {
            Ok(rig.part(key, expected))
        })?;
    }
    case.same_all(|key| {
        Ok(match key {
            "per_step" => Some(case.expect[key].clone()),
            _ => rig.part(key, &case.expect[key]),
        })
    })
}
