//! Producer state on the broker - sequences, epochs, markers, expiry: `ProducerStateManagerTest`.
//! What `UnifiedLogTest` tests of it is in [`super::producer_log`].

use super::batches::MOST;
use super::{errors, producer_log};
use crate::case::{Case, Checked, unknown};
use crate::values::{
    bounded, count, ids, list, members, narrow, nth, number, number_after, numbers, offset,
    offsets, text,
};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::producer_append::{
    AppendOrigin, CompletedTxn, ProducerStateEntry, TransactionVersion,
};
use sim_core::kafka::rules::producer_state::{ProducerStateConfig, ProducerStateManager};
use sim_core::log::{Batch, ControlMarker, ProducerStamp, Record, RecordId};

/// The producer of steps that name none.
pub(super) const PID: i64 = 1;

/// What a producer sends.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) first: i32,
    pub(super) last: i32,
    pub(super) transactional: bool,
}

impl Sent {
    /// The sequences `[epoch, first, last]` in a text, of which the last may be missing.
    pub(super) fn read(step: &str) -> Checked<Option<Self>> {
        let Some((before, stamp)) = step.split_once('[') else {
            return Ok(None);
        };
        // "[0,1..5]" and "[0,1,5]" are the same; so is "[0,1-5]".
        let stamp = stamp.split(']').next().unwrap_or_default();
        let stamp = ids(&stamp.replace("..", ",").replace(", ", ","))?;
        let first = nth(&stamp, 1)?;
        Ok(Some(Self {
            id: pid(before)?,
            epoch: narrow(nth(&stamp, 0)?.into())?,
            first,
            last: stamp.get(2).copied().unwrap_or(first),
            transactional: step.contains("txn"),
        }))
    }

    pub(super) fn batch(self, now_ms: i64) -> Checked<Batch> {
        // From 2147483647 the sequence goes on with 0.
        let span = i64::from(self.last) - i64::from(self.first);
        let span = if span < 0 && self.first >= 0 {
            span + (1 << 31)
        } else {
            span
        };
        let number = count(span, MOST)? + 1;
        let record = Record {
            id: RecordId(1),
            key: None,
            offset_delta: 0,
            bytes: 10,
            timestamp_ms: now_ms,
            tombstone: false,
        };
        let stamp = ProducerStamp {
            id: self.id,
            epoch: self.epoch,
            base_sequence: self.first,
        };
        let new = match self.transactional {
            true => Batch::transactional,
            false => Batch::new,
        };
        Ok(new(vec![record; number], stamp))
    }
}

/// The producer that a step names: "pid39 txn", "pid 2 append"; else the usual one.
pub(super) fn pid(step: &str) -> Checked<i64> {
    match step.split_once("pid") {
        // "pid39" has no gap before the number.
        Some((_, rest)) => match number(rest.trim_start())? {
            id if (0..=i64::from(i32::MAX)).contains(&id) => Ok(id),
            id => Err(unknown("producer", id)),
        },
        None => Ok(PID),
    }
}

/// The marker of a step, if it is one: "COMMIT", "ABORT marker epoch 1", "COMMIT coordEpoch 2". The
/// epoch is that of the producer as known, unless it is said.
pub(super) fn marker(step: &str, known_epoch: Option<i16>, now_ms: i64) -> Checked<Option<Batch>> {
    let marker = match (step.contains("COMMIT"), step.contains("ABORT")) {
        (true, false) => ControlMarker::Commit,
        (false, true) => ControlMarker::Abort,
        (false, false) => return Ok(None),
        (true, true) => return Err(unknown("step", step)),
    };
    let epoch = match number_after(step, " epoch ")? {
        Some(epoch) => narrow(epoch)?,
        None => known_epoch.unwrap_or(0),
    };
    let coordinator = match number_after(step, "coordEpoch")? {
        Some(epoch) => Some(epoch),
        None => number_after(step, "coordinator epoch ")?,
    };
    let coordinator = narrow(coordinator.unwrap_or(0))?;
    let id = pid(step)?;
    Ok(Some(Batch::end_txn_marker(
        marker,
        id,
        epoch,
        coordinator,
        now_ms,
    )))
}

/// Who appends, by a step's words.
pub(super) fn origin(step: &str) -> AppendOrigin {
    match () {
        () if step.contains("replica") => AppendOrigin::Replication,
        () if step.contains("coordinator append") => AppendOrigin::Coordinator,
        () => AppendOrigin::Client,
    }
}

/// The transaction version of a case: 0 unless it is said.
pub(super) fn version(input: &Value) -> Checked<TransactionVersion> {
    match &input["tv"] {
        Value::Null => Ok(0),
        other => narrow(offset(other)?),
    }
}

/// The state manager alone, without a log.
struct Manager {
    state: ProducerStateManager,
    version: TransactionVersion,
    offset: i64,
    start_ms: i64,
    now_ms: i64,
    completed: Vec<CompletedTxn>,
    started: Vec<i64>,
    next_sequence: i32,
    after_marker: Option<ProducerStateEntry>,
    /// How long a transaction may be silent before it counts as hanging, as the case has it.
    late_ms: i64,
}

impl Manager {
    fn new(input: &Value) -> Checked<Self> {
        let mut state = ProducerStateManager::new(ProducerStateConfig::default(), 0);
        let version = version(input)?;
        let lowest = &input["verification_entry_lowest_sequence"];
        if !lowest.is_null() {
            state.start_verification(PID, narrow(offset(lowest)?)?, 0, version >= 2, 0);
        }
        let late_ms = match &input["late_after_ms"] {
            Value::Null => 0,
            words => {
                let minutes = text(words)?.strip_prefix("max transaction timeout + ");
                let minutes = minutes.ok_or_else(|| unknown("bound", words))?;
                bounded(number(minutes)?.saturating_mul(60_000))?
                    + state.config().max_transaction_timeout_ms
            }
        };
        Ok(Self {
            late_ms,
            state,
            version,
            offset: 0,
            start_ms: 1_000_000,
            now_ms: 1_000_000,
            completed: Vec::new(),
            started: Vec::new(),
            next_sequence: 0,
            after_marker: None,
        })
    }

    fn append(&mut self, mut batch: Batch, origin: AppendOrigin) -> Result<(), ErrorCode> {
        batch.base_offset = self.offset;
        let id = batch.producer.id;
        let mut info = self.state.prepare_update(id, origin);
        let completed = info.append(&batch, self.version)?;
        self.state.update(&info);
        let started = info.started().iter().map(|txn| txn.first_offset);
        self.started.extend(started);
        if let Some(completed) = completed {
            self.state.complete_txn(&completed);
            self.completed.push(completed);
        }
        self.offset = batch.next_offset();
        self.state.update_map_end_offset(self.offset);
        if batch.is_control() {
            self.after_marker = self.state.entry(id).cloned();
        }
        Ok(())
    }

    /// "t=500", "t=late+1", "+500".
    fn set_time(&mut self, step: &str) -> Checked {
        if let Some((_, time)) = step.split_once("t=") {
            let late = if time.starts_with("late") {
                self.late_ms
            } else {
                0
            };
            let more = offsets(time.trim_start_matches("late").trim_start_matches('+'))?;
            self.now_ms = self.start_ms + late + more.first().copied().unwrap_or(0);
        } else if let Some((_, wait)) = step.split_once('+') {
            let keep_ms = self.state.config().producer_id_expiration_ms;
            let wait = match wait.strip_prefix("expiration") {
                Some(more) => keep_ms + offsets(more.trim_start_matches('+'))?.iter().sum::<i64>(),
                None => nth(&offsets(wait)?, 0)?,
            };
            self.now_ms = bounded(self.now_ms + wait)?;
        }
        Ok(())
    }

    /// One step; see the arms for the words that are known.
    fn step(&mut self, step: &str) -> Checked<Result<(), ErrorCode>> {
        let at = ["offset ", "offsets ", "@", " at "];
        for word in at {
            if let Some(to) = number_after(step, word)? {
                self.offset = to.max(0);
                break;
            }
        }
        self.set_time(step)?;
        let (id, now_ms) = (pid(step)?, self.now_ms);
        let known_epoch = self.state.entry(id).map(|entry| entry.epoch);
        if let Some(to) = step.strip_prefix("HW=") {
            self.state.on_high_watermark_updated(bounded(number(to)?)?);
        } else if let Some(marker) = marker(step, known_epoch, now_ms)? {
            return Ok(self.append(marker, AppendOrigin::Coordinator));
        } else if let Some(sent) = Sent::read(step)? {
            let origin = origin(step);
            return Ok(self.append(sent.batch(now_ms)?, origin));
        } else if step.contains("data ") {
            return self.data(step);
        } else if step.starts_with("verif") {
            let sequence = number_after(step, "seq ")?.unwrap_or(0);
            let epoch = number_after(step, "epoch ")?.unwrap_or(0);
            let bumps = self.version >= 2;
            let (sequence, epoch) = (narrow(sequence)?, narrow(epoch)?);
            self.state
                .start_verification(id, sequence, epoch, bumps, now_ms);
        } else if ["append", "txn", "begin"]
            .iter()
            .any(|it| step.contains(it))
        {
            // Without sequences each append is the next of its producer.
            let entry = self.state.entry(id);
            let next = entry
                .map_or(-1, ProducerStateEntry::last_sequence)
                .wrapping_add(1)
                .max(0);
            let sent = Sent {
                id,
                epoch: known_epoch.unwrap_or(0),
                first: next,
                last: next,
                transactional: step.contains("txn") || step.contains("begin"),
            };
            return Ok(self.append(sent.batch(now_ms)?, origin(step)));
        } else if step.contains("expire") {
            self.state.remove_expired(now_ms);
        } else if !step.starts_with('+') && !step.contains("check") {
            return self.reload(step).map(Ok);
        }
        Ok(Ok(()))
    }

    /// "take snapshot", "reload to 3", "truncate to 80", "truncate fully, start at 150".
    fn reload(&mut self, step: &str) -> Checked {
        let to = offsets(step)?.first().copied();
        match to {
            None if step.contains("snapshot") || step.contains("reload") => {
                if step.contains("snapshot") {
                    self.state.take_snapshot();
                }
                if step.contains("reload") {
                    let end = self.state.map_end_offset();
                    self.state.reload(0, end, self.now_ms);
                }
            }
            Some(to) if step.contains("fully") => {
                self.state.truncate_fully_and_start_at(to.max(0));
            }
            Some(to) if step.contains("truncate") || step.contains("reload") => {
                self.state.truncate_and_reload(0, to.max(0), self.now_ms);
            }
            _ => return Err(unknown("step", step)),
        }
        Ok(())
    }

    /// "data 24-27": offsets, and the next sequences of the producer.
    fn data(&mut self, step: &str) -> Checked<Result<(), ErrorCode>> {
        let (_, bounds) = step.split_once("data ").unwrap_or_default();
        let bounds = offsets(bounds)?;
        let (from, to) = (nth(&bounds, 0)?, nth(&bounds, 1)?);
        let number = count(to - from, MOST)? as i32;
        self.offset = from.max(0);
        let first = self.next_sequence;
        self.next_sequence = first.saturating_add(number).saturating_add(1);
        let sent = Sent {
            id: pid(step)?,
            epoch: 0,
            first,
            last: first.saturating_add(number),
            transactional: true,
        };
        Ok(self.append(sent.batch(self.now_ms)?, AppendOrigin::Client))
    }

    /// What a case may ask for, after any step.
    fn observe(&self, what: &str) -> Option<Value> {
        let state = &self.state;
        let entry = state.entry(PID);
        let of = |value: fn(&ProducerStateEntry) -> Value| entry.map_or(Value::Null, value);
        Some(match what {
            "current_txn_first_offset" => of(|it| json!(it.current_txn_first_offset)),
            "epoch" | "producer_epoch" => of(|it| json!(it.epoch)),
            "coordinator_epoch" => of(|it| json!(it.coordinator_epoch)),
            "last_seq" => of(|it| json!(it.last_sequence())),
            "first_seq" => of(|it| json!(it.batches.first().map_or(-1, |b| b.first_sequence()))),
            "last_data_offset" => of(|it| json!(it.last_data_offset())),
            "first_data_offset" => {
                of(|it| json!(it.batches.first().map_or(-1, |b| b.first_offset())))
            }
            "batches_remembered" => of(|it| json!(it.batches.len())),
            "last_timestamp" => of(|it| json!(it.last_timestamp_ms)),
            "still_present" | "present" => json!(entry.is_some()),
            "active_producers" => json!(state.producers().len()),
            "map_end_offset" => json!(state.map_end_offset()),
            "first_undecided" => json!(state.first_undecided_offset()),
            "first_unstable" => json!(state.first_unstable_offset()),
            "verification_entry" => json!(state.verification(PID).is_some()),
            "lowest_sequence" => json!(state.verification(PID).map(|it| it.lowest_sequence)),
            "verification_epoch" => json!(state.verification(PID).map(|it| it.epoch)),
            "late" => json!(state.has_late_transaction(self.now_ms)),
            _ => return None,
        })
    }
}

/// The observation that a list per step is of.
fn per_step<'a>(key: &'a str, expected: &Value) -> Option<&'a str> {
    let key = match (key.strip_suffix("_after_each"), expected) {
        (Some(what), _) => what,
        (None, Value::Array(_)) => key,
        _ => return None,
    };
    (!matches!(key, "results" | "completed" | "started")).then_some(key)
}

fn completed(txn: &CompletedTxn) -> Value {
    let outcome = if txn.aborted { "abort" } else { "commit" };
    json!([txn.first_offset, txn.last_offset, outcome])
}

fn manager_case(case: &Case) -> Checked {
    let mut manager = Manager::new(&case.input)?;
    let pairs = list(&case.input["appends"])?
        .iter()
        .map(|it| Ok(format!("append {it}")));
    let steps = list(&case.input["steps"])?
        .iter()
        .map(|it| Ok(text(it)?.to_owned()));
    let steps: Checked<Vec<String>> = pairs.chain(steps).collect();
    let mut results: Vec<Value> = Vec::new();
    let mut history: Vec<Vec<Value>> = Vec::new();
    let wanted: Vec<&str> = members(&case.expect)?
        .into_iter()
        .filter_map(|(key, expected)| per_step(key, expected))
        .collect();
    for step in steps? {
        let expected = case.expect["results"]
            .get(results.len())
            .unwrap_or(&Value::Null);
        let parts = step.strip_prefix("one append: ");
        if parts.is_some() {
            // What the steps before did is not asked for.
            (manager.completed, manager.started) = (Vec::new(), Vec::new());
        }
        let mut outcome = Ok(());
        let whole = step.contains('[') || numbers(&step).is_empty();
        for part in parts.unwrap_or(&step).split(if whole { '\n' } else { ',' }) {
            outcome = outcome.and(manager.part(part.trim())?);
        }
        results.push(errors::result(&outcome, expected));
        let seen = wanted.iter().map(|what| {
            manager
                .observe(what)
                .ok_or_else(|| unknown("expectation", what))
        });
        history.push(seen.collect::<Checked<_>>()?);
    }
    let after_marker = manager.after_marker.as_ref();
    case.same_all(|key| {
        if let Some(what) = per_step(key, &case.expect[key]) {
            let place = wanted.iter().position(|it| *it == what);
            let seen = history
                .iter()
                .map(|row| place.and_then(|at| row.get(at)).cloned());
            return Ok(seen.collect());
        }
        Ok(match key {
            "results" => Some(json!(results)),
            "epoch_after_marker" => Some(json!(after_marker.map(|it| it.epoch))),
            "seq_after_marker" => Some(json!(after_marker.map(ProducerStateEntry::last_sequence))),
            "started" => Some(json!(manager.started)),
            "completed" if case.expect[key].is_array() => {
                Some(manager.completed.iter().map(completed).collect())
            }
            "completed" => Some(manager.completed.last().map_or(Value::Null, |txn| {
                json!({"first": txn.first_offset, "last": txn.last_offset, "aborted": txn.aborted})
            })),
            _ => manager.observe(key.strip_suffix("_at_end").unwrap_or(key)),
        })
    })
}

impl Manager {
    /// A part of a step: as a step, but that a marker's place follows its name ("COMMIT 21").
    fn part(&mut self, part: &str) -> Checked<Result<(), ErrorCode>> {
        let bare = part
            .strip_prefix("COMMIT ")
            .or_else(|| part.strip_prefix("ABORT "));
        if let Some(Ok(at)) = bare.map(str::parse::<i64>) {
            self.offset = bounded(at)?.max(0);
        }
        self.step(part)
    }
}

pub(crate) fn check(case: &Case) -> Checked {
    if let Some(reader) = producer_log::reader(case) {
        return reader(case);
    }
    match case.has("appends") || case.has("steps") {
        true => manager_case(case),
        false => Err(unknown("shape of", &case.id)),
    }
}
