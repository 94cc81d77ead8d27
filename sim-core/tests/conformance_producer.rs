//! Conformance: producer state on the broker - sequences, epochs, duplicates, markers, expiry.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::partition_log::{Appended, LeaderAppend, PartitionLog};
use sim_core::kafka::rules::producer_append::{AppendOrigin, CompletedTxn, TransactionVersion};
use sim_core::kafka::rules::producer_state::{ProducerStateConfig, ProducerStateManager};
use sim_core::log::{Batch, ControlMarker, LogConfig, ProducerStamp, Record, RecordId};
use support::{Case, int, int32, keys, list, numbers, run, text};

const PID: i64 = 1;

fn batch(epoch: i16, first: i32, last: i32, transactional: bool, now_ms: i64) -> Batch {
    let record = |n: i32| Record {
        id: RecordId(u64::try_from(n).unwrap()),
        key: None,
        offset_delta: 0,
        bytes: 10,
        timestamp_ms: now_ms,
        tombstone: false,
    };
    let stamp = ProducerStamp {
        id: PID,
        epoch,
        base_sequence: first,
    };
    let records = (0..=last - first).map(record).collect();
    let new = if transactional {
        Batch::transactional
    } else {
        Batch::new
    };
    new(records, stamp)
}

fn error_name(error: ErrorCode, expect: &Value) -> Value {
    // The cases name some errors by the exception: OUT_OF_ORDER_SEQUENCE.
    let short = expect
        .as_str()
        .is_some_and(|it| !it.is_empty() && error.name().starts_with(it));
    if short {
        expect.clone()
    } else {
        json!(error.name())
    }
}

/// The state manager alone, without a log: what `ProducerStateManagerTest` tests.
struct Manager {
    state: ProducerStateManager,
    version: TransactionVersion,
    offset: i64,
    now_ms: i64,
    completed: Vec<CompletedTxn>,
    started: Vec<i64>,
}

impl Manager {
    fn new(input: &Value) -> Self {
        let mut state = ProducerStateManager::new(ProducerStateConfig::default(), 0);
        let version = input["tv"]
            .as_i64()
            .map_or(0, |tv| u8::try_from(tv).unwrap());
        if let Some(lowest) = input["verification_entry_lowest_sequence"].as_i64() {
            let lowest = i32::try_from(lowest).unwrap();
            state.start_verification(PID, lowest, 0, version >= 2, 0);
        }
        let (completed, started) = (Vec::new(), Vec::new());
        Self {
            state,
            version,
            offset: 0,
            now_ms: 1_000_000,
            completed,
            started,
        }
    }

    fn append(&mut self, mut batch: Batch, origin: AppendOrigin) -> Result<(), ErrorCode> {
        batch.base_offset = self.offset;
        let mut info = self.state.prepare_update(batch.producer.id, origin);
        let completed = info.append(&batch, self.version)?;
        self.state.update(&info);
        self.started
            .extend(info.started().iter().map(|txn| txn.first_offset));
        if let Some(completed) = completed {
            self.state.complete_txn(&completed);
            self.completed.push(completed);
        }
        self.offset = batch.next_offset();
        Ok(())
    }

    fn marker(&mut self, step: &str, pid: i64) -> Result<(), ErrorCode> {
        let number = |after: &str| step.split_once(after).map(|(_, rest)| numbers(rest)[0]);
        let known = self.state.entry(pid).map_or(0, |entry| entry.epoch);
        let epoch = number(" epoch ").map_or(known, |epoch| i16::try_from(epoch).unwrap());
        let coordinator = number("coordEpoch").map_or(0, |epoch| i32::try_from(epoch).unwrap());
        let aborts = step.contains("ABORT");
        let marker = if aborts {
            ControlMarker::Abort
        } else {
            ControlMarker::Commit
        };
        let batch = Batch::end_txn_marker(marker, pid, epoch, coordinator, self.now_ms);
        self.append(batch, AppendOrigin::Coordinator)
    }

    /// "txn [0,1..5] offsets 16-20", "replicated append [15,2147483647]", "COMMIT offset 40",
    /// "+86400001", "expire", "HW=21".
    fn step(&mut self, step: &str) -> Result<(), ErrorCode> {
        if let Some(offset) = ["offset ", "offsets ", "@"]
            .iter()
            .find_map(|at| step.split_once(at))
        {
            self.offset = numbers(offset.1)[0];
        }
        if let Some(wait) = step.strip_prefix('+') {
            self.now_ms += numbers(wait)[0];
        } else if step.starts_with("expire") {
            self.state.remove_expired(self.now_ms);
        } else if let Some(offset) = step.strip_prefix("HW=") {
            self.state.on_high_watermark_updated(numbers(offset)[0]);
        } else if step.contains("COMMIT") || step.contains("ABORT") {
            return self.marker(step, PID);
        } else {
            let stamp = step
                .split_once('[')
                .map(|(_, at)| numbers(at.split(']').next().unwrap()));
            let stamp = stamp.unwrap_or_else(|| vec![0, 0]);
            let sequence = |at: usize| i32::try_from(stamp[at]).unwrap();
            let last = if stamp.len() > 2 {
                sequence(2)
            } else {
                sequence(1)
            };
            let epoch = i16::try_from(stamp[0]).unwrap();
            let batch = batch(epoch, sequence(1), last, step.contains("txn"), self.now_ms);
            let replicated = step.starts_with("replicated");
            let origin = if replicated {
                AppendOrigin::Replication
            } else {
                AppendOrigin::Client
            };
            return self.append(batch, origin);
        }
        Ok(())
    }
}

fn manager_case(case: &Case) {
    let mut manager = Manager::new(&case.input);
    let mut results = Vec::new();
    let mut first_offsets = Vec::new();
    let mut after_marker = None;
    let pairs = list(&case.input["appends"])
        .iter()
        .map(|pair| format!("append {pair}"));
    let steps = list(&case.input["steps"])
        .iter()
        .map(|step| text(step).to_owned());
    for step in pairs.chain(steps) {
        let expect = &case.expect["results"][results.len()];
        let result = manager.step(&step);
        results.push(result.map_or_else(|error| error_name(error, expect), |()| json!("ok")));
        let entry = manager.state.entry(PID).cloned();
        let offset = entry
            .as_ref()
            .and_then(|entry| entry.current_txn_first_offset);
        first_offsets.push(json!(offset));
        if step.contains("marker") {
            after_marker = entry;
        }
    }
    let entry = manager.state.entry(PID);
    for key in keys(&case.expect) {
        let got = match key {
            "results" => json!(results),
            "epoch_after_marker" => json!(after_marker.as_ref().map(|entry| entry.epoch)),
            "seq_after_marker" => json!(after_marker.as_ref().map(|it| it.last_sequence())),
            "current_txn_first_offset" => json!(first_offsets),
            "last_seq" => json!(entry.map(|entry| entry.last_sequence())),
            "last_data_offset" => json!(entry.map(|entry| entry.last_data_offset())),
            "still_present" => json!(entry.is_some()),
            "first_undecided" => json!(manager.state.first_undecided_offset()),
            "first_unstable" => json!(manager.state.first_unstable_offset()),
            "completed" => {
                let txn = manager.completed.last().unwrap();
                json!({"first": txn.first_offset, "last": txn.last_offset, "aborted": txn.aborted})
            }
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        assert_eq!(got, case.expect[key], "{}: {key}", case.id);
    }
}

/// `txn-05`: markers without data between them, all in one append.
fn empty_transactions(case: &Case) {
    let mut manager = Manager::new(&case.input);
    let mut sequence = 0;
    let mut data = |manager: &mut Manager, words: &str| {
        let at = numbers(words);
        let count = i32::try_from(at[1] - at[0]).unwrap() + 1;
        manager.offset = at[0];
        let batch = batch(0, sequence, sequence + count - 1, true, manager.now_ms);
        sequence += count;
        manager.append(batch, AppendOrigin::Client).unwrap();
    };
    for step in list(&case.input["steps"]).iter().map(text) {
        let parts = step.strip_prefix("one append: ");
        if parts.is_some() {
            // What the first step did is not asked for.
            (manager.completed, manager.started) = (Vec::new(), Vec::new());
        }
        for part in parts.unwrap_or(step).split(',').map(str::trim) {
            match part.strip_prefix("HW=") {
                Some(_) => manager.step(part).unwrap(),
                None if part.contains("data") => data(&mut manager, part),
                None => {
                    manager.offset = numbers(part)[0];
                    manager.marker(part, PID).unwrap();
                }
            }
        }
    }
    let outcome = |txn: &CompletedTxn| if txn.aborted { "abort" } else { "commit" };
    let completed: Vec<_> = manager
        .completed
        .iter()
        .map(|txn| json!([txn.first_offset, txn.last_offset, outcome(txn)]))
        .collect();
    let got = json!({
        "completed": completed,
        "started": manager.started,
        "first_unstable": manager.state.first_unstable_offset(),
    });
    assert_eq!(got, case.expect, "{}", case.id);
}

/// `txn-06`: when a silent transaction counts as hanging.
fn late_transactions(case: &Case) {
    let mut manager = Manager::new(&case.input);
    let start_ms = manager.now_ms;
    let late_ms = manager.state.config().max_transaction_timeout_ms + 5 * 60 * 1000;
    let mut seen = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        if let Some((_, time)) = step.split_once("t=") {
            let late = if time.starts_with("late") { late_ms } else { 0 };
            manager.now_ms = start_ms + late + numbers(time.trim_start_matches("late+"))[0];
        } else if let Some((_, wait)) = step.split_once('+') {
            manager.now_ms += numbers(wait)[0];
        }
        if let Some(pid) = step.strip_prefix("pid") {
            let pid = pid.split(' ').next().unwrap().parse().unwrap();
            if step.contains("COMMIT") {
                manager.marker(step, pid).unwrap();
            } else {
                let mut batch = batch(0, 0, 0, true, manager.now_ms);
                batch.producer.id = pid;
                manager.append(batch, AppendOrigin::Client).unwrap();
            }
        }
        seen.push(manager.state.has_late_transaction(manager.now_ms));
    }
    assert_eq!(json!(seen), case.expect["late_after_each"], "{}", case.id);
}

/// A log with its producers: what `UnifiedLogTest` tests.
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
        let log = PartitionLog::new(LogConfig::default(), producers, 0);
        Self {
            log,
            version,
            next_sequence: 0,
        }
    }

    fn append(&mut self, batch: Batch, origin: AppendOrigin) -> Result<Appended, ErrorCode> {
        let client = origin == AppendOrigin::Client && batch.transactional;
        let bumps = self.version >= 2;
        let guard = if client {
            self.log.start_verification(&batch, bumps, 0)
        } else {
            None
        };
        let version = self.version;
        self.next_sequence = batch.last_sequence().wrapping_add(1);
        let append = LeaderAppend {
            leader_epoch: 0,
            origin,
            version,
            guard,
            now_ms: 0,
        };
        self.log.append_as_leader(batch, append)
    }

    /// "txn 10", "txn append [6,0]", "ABORT coordEpoch 1", "COMMIT marker epoch 6".
    fn step(&mut self, step: &str) -> Result<Appended, ErrorCode> {
        let number = |after: &str| step.split_once(after).map(|(_, rest)| numbers(rest)[0]);
        if step.contains("COMMIT") || step.contains("ABORT") {
            let known = self
                .log
                .producers()
                .entry(PID)
                .map_or(0, |entry| entry.epoch);
            let epoch = number(" epoch ").map_or(known, |epoch| i16::try_from(epoch).unwrap());
            let coordinator = number("coordEpoch").map_or(0, |it| i32::try_from(it).unwrap());
            let aborts = step.contains("ABORT");
            let marker = if aborts {
                ControlMarker::Abort
            } else {
                ControlMarker::Commit
            };
            let next = self.next_sequence;
            let batch = Batch::end_txn_marker(marker, PID, epoch, coordinator, 0);
            let result = self.append(batch, AppendOrigin::Coordinator);
            self.next_sequence = next;
            return result;
        }
        let batch = match step.split_once('[') {
            Some((_, stamp)) => {
                let stamp = numbers(stamp);
                let first = i32::try_from(stamp[1]).unwrap();
                batch(i16::try_from(stamp[0]).unwrap(), first, first, true, 0)
            }
            None => {
                let count = i32::try_from(numbers(step)[0]).unwrap();
                batch(
                    0,
                    self.next_sequence,
                    self.next_sequence + count - 1,
                    true,
                    0,
                )
            }
        };
        self.append(batch, AppendOrigin::Client)
    }
}

fn log_case(case: &Case) {
    let version = case.input["tv"]
        .as_i64()
        .map_or(0, |tv| u8::try_from(tv).unwrap());
    let mut partition = Partition::new(version, version > 0);
    let mut results = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        let expect = &case.expect["results"][results.len()];
        let result = partition.step(step);
        results.push(result.map_or_else(|error| error_name(error, expect), |_| json!("ok")));
    }
    assert_eq!(json!(results), case.expect["results"], "{}", case.id);
}

/// `dup-01`: retries of remembered batches give the first offsets; nothing is appended again.
fn duplicates(case: &Case) {
    let mut partition = Partition::new(0, false);
    let mut sequences = (0, 0);
    for (step, expect) in list(&case.input["steps"])
        .iter()
        .zip(list(&case.expect["results"]))
    {
        let (step, expect) = (text(step), text(expect));
        let at: Vec<_> = numbers(step)
            .iter()
            .map(|it| i32::try_from(*it).unwrap())
            .collect();
        if step.contains("one record each") {
            for sequence in at[0]..=at[1] {
                let batch = batch(0, sequence, sequence, false, 0);
                partition.append(batch, AppendOrigin::Client).unwrap();
            }
            assert_eq!(expect, "ok", "{}", case.id);
            continue;
        }
        if let Some(first) = at.first() {
            sequences = (*first, *at.last().unwrap());
        }
        let end = partition.log.log().leo();
        let batch = batch(0, sequences.0, sequences.1, false, 0);
        let result = partition.append(batch, AppendOrigin::Client);
        let (offsets, duplicate) = match result {
            Ok(Appended::New(info)) => ((info.first_offset, info.last_offset), false),
            Ok(Appended::Duplicate(known)) => ((known.first_offset(), known.last_offset), true),
            Err(error) => {
                assert!(
                    error.name().starts_with(expect),
                    "{}: {step}: {error}",
                    case.id
                );
                assert_eq!(partition.log.log().leo(), end, "{}: {step}", case.id);
                continue;
            }
        };
        assert_eq!(
            expect.contains("duplicate"),
            duplicate,
            "{}: {step}",
            case.id
        );
        assert_eq!(
            partition.log.log().leo() == end,
            duplicate,
            "{}: {step}",
            case.id
        );
        if let Some(named) = expect.strip_prefix("offset") {
            let named = numbers(named.trim_start_matches('s'));
            assert_eq!(
                (named[0], *named.last().unwrap()),
                offsets,
                "{}: {step}",
                case.id
            );
        }
    }
    let remembered = partition.log.producers().entry(PID).unwrap().batches.len();
    assert_eq!(
        json!(remembered),
        case.expect["batches_remembered"],
        "{}",
        case.id
    );
}

/// `start-*`: a first append that does not begin at sequence 0.
fn first_append(case: &Case) {
    let (epoch, first) = (
        int(&case.input["append"][0]),
        int32(&case.input["append"][1]),
    );
    let mut results = Vec::new();
    for (at, variant) in list(&case.input["variants"]).iter().map(text).enumerate() {
        let version = if variant.contains("TV2") { 2 } else { 1 };
        let mut partition = Partition::new(version, variant.starts_with("verification on"));
        let batch = batch(i16::try_from(epoch).unwrap(), first, first, true, 0);
        let result = partition.append(batch, AppendOrigin::Client);
        let expect = &case.expect["results"][at];
        results.push(result.map_or_else(|error| error_name(error, expect), |_| json!("ok")));
    }
    assert_eq!(json!(results), case.expect["results"], "{}", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if case.id.starts_with("dup") => duplicates(case),
        () if has("variants") => first_append(case),
        () if !case.expect["started"].is_null() => empty_transactions(case),
        () if has("late_after_ms") => late_transactions(case),
        () if case.path.ends_with("UnifiedLogTest.java") => log_case(case),
        () => manager_case(case),
    }
}

#[test]
fn producer_state() {
    run!("producer-state.json", check);
}
