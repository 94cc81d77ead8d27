//! A log with its producers - duplicates, fencing, first appends: `UnifiedLogTest`.

use super::errors;
use super::producers::{PID, Sent, marker, version};
use crate::case::{Case, Checked, unknown};
use crate::family::Reader;
use crate::values::{ids, int32, list, narrow, nth, number, offset, text};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::partition_log::{Appended, LeaderAppend, PartitionLog};
use sim_core::kafka::rules::producer_append::{AppendOrigin, TransactionVersion};
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{Batch, LogConfig};

struct Partition {
    log: PartitionLog,
    version: TransactionVersion,
    next_sequence: i32,
}

impl Partition {
    fn new(version: TransactionVersion, verification_enabled: bool) -> Self {
        let producers = ProducerStateConfig {
            verification_enabled,
            ..Default::default()
        };
        Self {
            log: PartitionLog::new(LogConfig::default(), producers, 0),
            version,
            next_sequence: 0,
        }
    }

    fn append(&mut self, batch: Batch, origin: AppendOrigin) -> Result<Appended, ErrorCode> {
        let verified = origin == AppendOrigin::Client && batch.transactional;
        let guard = match verified {
            true => self.log.start_verification(&batch, self.version >= 2, 0),
            false => None,
        };
        let last = batch.last_sequence();
        let append = LeaderAppend {
            leader_epoch: 0,
            origin,
            version: self.version,
            guard,
            now_ms: 0,
        };
        let appended = self.log.append_as_leader(batch, append);
        if appended.is_ok() && origin == AppendOrigin::Client {
            self.next_sequence = if last == i32::MAX { 0 } else { last + 1 };
        }
        appended
    }

    fn send(&mut self, sent: Sent) -> Checked<Result<Appended, ErrorCode>> {
        Ok(self.append(sent.batch(0)?, AppendOrigin::Client))
    }

    /// "txn 10" and "append 5" are so many records with the next sequences.
    fn next(&self, step: &str) -> Checked<Sent> {
        let number: i32 = narrow(number(step)?)?;
        let known = self.log.producers().entry(PID);
        match number {
            1.. => Ok(Sent {
                id: PID,
                epoch: known.map_or(0, |entry| entry.epoch),
                first: self.next_sequence,
                last: self.next_sequence.saturating_add(number - 1),
                transactional: step.contains("txn"),
            }),
            _ => Err(unknown("step", step)),
        }
    }

    /// "txn 10", "txn append [6,0]", "ABORT coordEpoch 1", "COMMIT marker epoch 6".
    fn step(&mut self, step: &str) -> Checked<Result<Appended, ErrorCode>> {
        let known = self.log.producers().entry(PID).map(|entry| entry.epoch);
        if let Some(marker) = marker(step, known, 0)? {
            return Ok(self.append(marker, AppendOrigin::Coordinator));
        }
        if !step.contains("txn") && !step.contains("append") {
            return Err(unknown("step", step));
        }
        let sent = match Sent::read(step)? {
            Some(sent) => sent,
            None => self.next(step)?,
        };
        self.send(sent)
    }
}

fn log_case(case: &Case) -> Checked {
    let version = version(&case.input)?;
    let mut partition = Partition::new(version, version > 0);
    let mut results: Vec<Value> = Vec::new();
    for step in list(&case.input["steps"])? {
        let expected = case.expect["results"]
            .get(results.len())
            .unwrap_or(&Value::Null);
        let result = partition.step(text(step)?)?;
        results.push(errors::result(&result, expected));
    }
    let entry = partition.log.producers().entry(PID);
    case.same_all(|key| {
        Ok(match key {
            "results" => Some(json!(results)),
            "epoch" | "epoch_after" => Some(json!(entry.map(|it| it.epoch))),
            "last_seq" => Some(json!(entry.map(|it| it.last_sequence()))),
            "coordinator_epoch" => Some(json!(entry.map(|it| it.coordinator_epoch))),
            "leo" => Some(json!(partition.log.log().leo())),
            "active_producers" => Some(json!(partition.log.producers().producers().len())),
            _ => None,
        })
    })
}

/// The answer to an append in the words of the expectation: "ok", "offset 9", "offsets 6-8
/// (duplicate, nothing appended)", or an error's name. What is not in the words is not asked for;
/// whether it is a duplicate always is.
fn answer(result: &Result<Appended, ErrorCode>, grew: bool, expected: &Value) -> Checked<Value> {
    let (first, last, duplicate) = match result {
        Ok(Appended::New(info)) => (info.first_offset, info.last_offset, false),
        Ok(Appended::Duplicate(known)) => (known.first_offset(), known.last_offset, true),
        Err(error) => return Ok(errors::named(*error, expected)),
    };
    let words = expected.as_str().unwrap_or_default();
    let named = ids(words
        .trim_start_matches("offsets")
        .trim_start_matches("offset"))?;
    let offsets = match named.as_slice() {
        [] => true,
        all => {
            (
                all.first().map(|it| i64::from(*it)),
                all.last().map(|it| i64::from(*it)),
            ) == (Some(first), Some(last))
        }
    };
    let known_words = words == "ok" || words.contains("offset") || words.contains("duplicate");
    let meant = known_words && offsets && words.contains("duplicate") == duplicate;
    Ok(match meant && grew != duplicate {
        true => expected.clone(),
        false => json!(format!(
            "offsets {first}-{last}, duplicate: {duplicate}, appended: {grew}"
        )),
    })
}

/// Retries of remembered batches give the first offsets; nothing is appended again. Steps are "seq
/// 0..5, one record each", "batch seq 6-8", "same batch again", "seq 9".
fn duplicates(case: &Case) -> Checked {
    let mut partition = Partition::new(0, false);
    let mut sequences = (0, 0);
    let mut results = Vec::new();
    for (at, step) in list(&case.input["steps"])?.iter().enumerate() {
        let step = text(step)?;
        let expected = case.expect["results"].get(at).unwrap_or(&Value::Null);
        let named = ids(step)?;
        let named_sequences = step.contains("seq ");
        if !named_sequences && !step.contains("again") {
            return Err(unknown("step", step));
        }
        if let (true, Some(first)) = (named_sequences, named.first()) {
            sequences = (*first, nth(&named, named.len() - 1)?);
        }
        let sent = |first, last| Sent {
            id: PID,
            epoch: 0,
            first,
            last,
            transactional: false,
        };
        let mut sends = vec![sent(sequences.0, sequences.1)];
        if step.contains("one record each") {
            if sequences.1.saturating_sub(sequences.0) > 1_000 {
                return Err(unknown("step", step));
            }
            sends = (sequences.0..=sequences.1).map(|it| sent(it, it)).collect();
        }
        let mut seen = Value::Null;
        for one in sends {
            let before = partition.log.log().leo();
            let result = partition.send(one)?;
            let grew = partition.log.log().leo() > before;
            seen = answer(&result, grew, expected)?;
            if seen != *expected {
                break;
            }
        }
        results.push(seen);
    }
    let entry = partition.log.producers().entry(PID);
    case.same_all(|key| {
        Ok(match key {
            "results" => Some(json!(results)),
            "batches_remembered" => Some(json!(entry.map_or(0, |it| it.batches.len()))),
            "leo" => Some(json!(partition.log.log().leo())),
            _ => None,
        })
    })
}

/// A first append that does not begin at sequence 0, with transactions verified or not.
fn first_append(case: &Case) -> Checked {
    let append = &case.input["append"];
    let first = int32(&append[1])?;
    let sent = Sent {
        id: PID,
        epoch: narrow(offset(&append[0])?)?,
        first,
        last: first,
        transactional: true,
    };
    let mut results = Vec::new();
    for (at, variant) in list(&case.input["variants"])?.iter().enumerate() {
        let variant = text(variant)?;
        let version = match () {
            () if variant.contains("TV2") => 2,
            () if variant.contains("TV1") => 1,
            () if variant.contains("TV0") => 0,
            () => return Err(unknown("variant", variant)),
        };
        let verified = match () {
            () if variant.contains("verification on") => true,
            () if variant.contains("verification off") => false,
            () => version > 0,
        };
        let mut partition = Partition::new(version, verified);
        let expected = case.expect["results"].get(at).unwrap_or(&Value::Null);
        results.push(errors::result(&partition.send(sent)?, expected));
    }
    case.same_all(|key| Ok((key == "results").then(|| json!(results))))
}

/// The reader for cases about a log, if this is one.
pub(super) fn reader(case: &Case) -> Option<Reader> {
    let is_sequence = |step: &Value| {
        let words = step.as_str().unwrap_or_default();
        words.contains("seq ") && !words.starts_with("verif")
    };
    let steps = case.input["steps"].as_array();
    match () {
        () if case.has("append") && case.has("variants") => Some(first_append),
        () if steps.is_some_and(|all| all.iter().any(is_sequence)) => Some(duplicates),
        () if case.path.contains("UnifiedLogTest") && steps.is_some() => Some(log_case),
        () => None,
    }
}
