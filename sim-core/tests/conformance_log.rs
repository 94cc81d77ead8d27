//! Conformance: the log - high watermark, read bounds, rolling, retention, tiers, LSO.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::fetch::OffsetView;
use sim_core::kafka::rules::partition_log::{LeaderAppend, PartitionLog, first_unkeyed};
use sim_core::kafka::rules::producer_append::AppendOrigin;
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{
    Batch, BatchList, CleanupPolicy, ControlMarker, KeyId, Log, LogConfig, ProducerStamp, Record,
    RecordId, TierConfig,
};
use support::{Case, int, int32, keys, list, numbers, run, text};

fn record(timestamp_ms: i64, keyed: bool) -> Record {
    Record {
        id: RecordId(1),
        key: keyed.then_some(KeyId(1)),
        offset_delta: 0,
        bytes: 39,
        timestamp_ms,
        tombstone: false,
    }
}

fn batch(count: i64, timestamp_ms: i64) -> Batch {
    let records = (0..count).map(|_| record(timestamp_ms, true)).collect();
    Batch::new(records, ProducerStamp::NONE)
}

/// The size of a batch of one record, which the cases call S.
const S: u64 = 100;

/// "5S", "5 segments" (of one record each), or a number of bytes.
fn size(value: &Value) -> i64 {
    let in_batches = |words: &str| numbers(words)[0] * i64::try_from(S).unwrap();
    value.as_str().map_or_else(|| int(value), in_batches)
}

fn policy(value: &Value) -> CleanupPolicy {
    let words = value.as_str().unwrap_or("delete");
    CleanupPolicy {
        delete: words.contains("delete"),
        compact: words.contains("compact"),
    }
}

/// `log-hw-01`: what moves the high watermark, and what bounds it.
fn high_watermark(case: &Case) {
    let mut log: Log = Log::new(LogConfig::default());
    let mut seen = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        for part in step.split(',').map(str::trim) {
            let number = numbers(part).first().copied().unwrap_or(0);
            match part {
                "new log" | "truncate fully" => (),
                _ if part.ends_with("as follower") => {
                    let mut batch = batch(number, 1);
                    batch.base_offset = log.leo();
                    log.append_as_follower(batch).unwrap();
                }
                _ if part.starts_with("append") => {
                    log.append_as_leader(batch(number, 1), 0);
                }
                _ if part.starts_with("maybeIncrement HW") => {
                    log.maybe_increment_high_watermark(number);
                }
                _ if part.starts_with("set HW") => {
                    log.set_high_watermark(number);
                }
                _ if part.starts_with("truncate to") => {
                    log.truncate_to(number);
                }
                _ if part.starts_with("restart at") => log.truncate_fully_and_start_at(number),
                _ => panic!("{}: unknown step {part}", case.id),
            }
        }
        seen.push(log.high_watermark());
    }
    assert_eq!(json!(seen), case.expect["hw_after_each"], "{}", case.id);
}

/// `log-read-01`: readers see whole batches below the high watermark.
fn read_below_high_watermark(case: &Case) {
    let mut log: Log = Log::new(LogConfig::default());
    for bounds in list(&case.input["batches"]) {
        log.append_as_leader(batch(int(&bounds[1]) - int(&bounds[0]) + 1, 1), 0);
    }
    let mut readable = Vec::new();
    for hw in list(&case.input["hw_sequence"]) {
        log.set_high_watermark(int(hw));
        let (start, bound) = (log.start_offset(), log.high_watermark());
        let batches = log.read(start, u32::MAX, bound, true).unwrap();
        let offsets = batches
            .iter()
            .flat_map(|it| it.base_offset..=it.last_offset());
        readable.push(offsets.collect::<Vec<_>>());
        for offset in bound..=log.leo() {
            assert_eq!(
                log.read(offset, u32::MAX, bound, true),
                Ok(BatchList::default()),
                "{}",
                case.id
            );
        }
    }
    assert_eq!(
        json!(readable),
        case.expect["readable_offsets"],
        "{}",
        case.id
    );
}

/// `log-read-02`: below the start and above the end is out of range; at the end is empty.
fn read_bounds(case: &Case) {
    let mut log: Log = Log::new(LogConfig::default());
    log.truncate_fully_and_start_at(int(&case.input["log_start"]));
    log.append_as_leader(batch(int(&case.input["leo"]) - log.leo(), 1), 0);
    let read = |offset: &Value| match log.read(int(offset), 1000, log.leo(), true) {
        Ok(batches) if batches.is_empty() => "empty",
        Ok(_) => "data",
        Err(_) => ErrorCode::OffsetOutOfRange.name(),
    };
    let got: Vec<_> = list(&case.input["reads"]).iter().map(read).collect();
    assert_eq!(json!(got), case.expect["result"], "{}", case.id);
}

/// Retention: records of size S in segments, one pass, what is left.
fn retention(case: &Case) {
    let input = &case.input;
    let now_ms = 1_000_000_000;
    let setting = |key: &str, default| {
        if input[key].is_null() {
            default
        } else {
            size(&input[key])
        }
    };
    let defaults = LogConfig::default();
    let config = LogConfig {
        segment_bytes: u64::try_from(setting("segment_bytes", 5 * i64::try_from(S).unwrap()))
            .unwrap(),
        retention_bytes: setting("retention_bytes", -1),
        retention_ms: setting("retention_ms", defaults.retention_ms),
        cleanup_policy: policy(&input["cleanup_policy"]),
        ..defaults
    };
    let timestamp_ms = match input["record_timestamps"].as_str() {
        Some("none") => -1,
        Some(words) => numbers(words).first().copied().unwrap_or(now_ms),
        None => now_ms,
    };
    let mut log: Log = Log::new_at(config, 0, now_ms);
    for _ in 0..int(&input["records"]) {
        log.append_as_leader_at(batch(1, timestamp_ms), 0, now_ms);
    }
    assert_eq!(
        log.bytes(),
        S * u64::try_from(log.leo()).unwrap(),
        "a batch of one record is S"
    );
    log.set_high_watermark(setting("hw", log.leo()));
    let before = log.segment_count();
    log.delete_old_segments(now_ms);
    for key in keys(&case.expect) {
        let got = match key {
            "segments_before" => json!(before),
            "segments_after" => json!(log.segment_count()),
            "log_start" => json!(log.start_offset()),
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        assert_eq!(got, case.expect[key], "{}: {key}", case.id);
    }
}

/// `ret-10`: deleting a head segment moves the start of the epoch it began in.
fn epochs_after_retention(case: &Case) {
    let input = &case.input;
    let (records, segment) = (int(&input["records"]), int(&input["segment"]));
    let bytes = |records: i64| u64::try_from(records).unwrap() * S;
    let config = LogConfig {
        segment_bytes: bytes(segment),
        retention_bytes: i64::try_from(bytes(records - segment)).unwrap(),
        ..LogConfig::default()
    };
    let mut log: Log = Log::new(config);
    let starts = list(&input["epochs"]);
    for offset in 0..records {
        let epoch = starts
            .iter()
            .rev()
            .find(|entry| int(&entry[1]) <= offset)
            .unwrap();
        log.append_as_leader(batch(1, 1), int32(&epoch[0]));
    }
    if input["head_segment_deleted"] == json!(true) {
        log.set_high_watermark(records);
        assert_eq!(log.delete_old_segments(1).len(), 1, "{}", case.id);
    }
    let entries: Vec<_> = log
        .epochs()
        .entries()
        .iter()
        .map(|it| json!([it.epoch, it.start_offset]))
        .collect();
    assert_eq!(json!(entries), case.expect["epochs"], "{}", case.id);
}

/// `roll-01`: steps like "+3600001, append with timestamp now".
fn roll_by_time(case: &Case) {
    let segment_ms = int(&case.input["segment_ms"]);
    let mut now_ms = 1_000_000_000;
    let mut stamp_ms = -1;
    let config = LogConfig {
        segment_ms,
        ..LogConfig::default()
    };
    let mut log: Log = Log::new_at(config, 0, now_ms);
    let mut segments = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        let append = match step.split_once(',') {
            Some((wait, append)) => {
                now_ms += numbers(wait.trim_start_matches('+'))[0];
                append
            }
            None => step,
        };
        let timestamp_ms = match append.split_once("timestamp now") {
            Some((_, ahead)) => {
                stamp_ms = now_ms + numbers(ahead.trim_start_matches('+')).first().unwrap_or(&0);
                stamp_ms
            }
            None if append.contains("same timestamp") => stamp_ms,
            None => -1,
        };
        log.append_as_leader_at(batch(1, timestamp_ms), 0, now_ms);
        segments.push(log.segment_count());
    }
    assert_eq!(
        json!(segments),
        case.expect["segments_after"],
        "{}",
        case.id
    );
}

/// `compact-key`: a compacted topic refuses records without key.
fn compacted_keys(case: &Case) {
    let config = LogConfig {
        cleanup_policy: policy(&case.input["cleanup_policy"]),
        ..LogConfig::default()
    };
    let mut log: PartitionLog = PartitionLog::new(config, ProducerStateConfig::default(), 0);
    let append = |keys: &Value| {
        let records = list(keys)
            .iter()
            .map(|key| record(1, key == "keyed"))
            .collect();
        let batch = Batch::new(records, ProducerStamp::NONE);
        let unkeyed = first_unkeyed(&batch);
        match (
            log.append_as_leader(batch, LeaderAppend::client(0, 1)),
            unkeyed,
        ) {
            (Ok(_), _) => "ok".to_owned(),
            (Err(ErrorCode::InvalidRecord), Some(at)) => format!("InvalidRecord at index {at}"),
            (Err(error), _) => error.name().to_owned(),
        }
    };
    let got: Vec<_> = list(&case.input["batches"]).iter().map(append).collect();
    assert_eq!(json!(got), case.expect["result"], "{}", case.id);
}

/// A log of six segments of one record, of which some may be in remote storage.
fn tiered_log(input: &Value) -> Log {
    let setting = |key: &str| {
        if input[key].is_null() {
            -2
        } else {
            size(&input[key])
        }
    };
    let config = LogConfig {
        segment_bytes: S,
        retention_bytes: setting("retention_bytes"),
        tier: TierConfig {
            remote_storage_enable: true,
            local_retention_bytes: setting("local_retention_bytes"),
            ..TierConfig::default()
        },
        ..LogConfig::default()
    };
    let mut log: Log = Log::new(config);
    for _ in 0..int(&input["segments"]) {
        log.append_as_leader(batch(1, 1), 0);
    }
    log.set_high_watermark(log.leo());
    log
}

/// `tier-01`: which topics are tiered.
fn tier_enabled(case: &Case) {
    let broker = case.input["broker_remote_enabled"] == json!(true);
    let enabled = |topic: &Value| {
        let tier = TierConfig {
            remote_storage_enable: broker && topic["remote"] == json!(true),
            ..TierConfig::default()
        };
        let cleanup_policy = policy(&topic["cleanup_policy"]);
        LogConfig {
            cleanup_policy,
            tier,
            ..LogConfig::default()
        }
        .remote_log_enabled()
    };
    let got: Vec<_> = list(&case.input["topics"]).iter().map(enabled).collect();
    assert_eq!(json!(got), case.expect["remote_log_enabled"], "{}", case.id);
}

/// `tier-02`: one retention pass with some segments uploaded.
fn tier_retention(case: &Case) {
    let mut log = tiered_log(&case.input);
    log.set_highest_remote_offset(int(&case.input["highest_offset_in_remote"]));
    log.delete_old_segments(1);
    let got = json!({
        "segments_after": log.segment_count(),
        "log_start": log.start_offset(),
        "local_log_start": log.local_start_offset(),
    });
    for key in keys(&case.expect) {
        assert_eq!(got[key], case.expect[key], "{}: {key}", case.id);
    }
}

/// `tier-03`: a retention pass after each step.
fn tier_steps(case: &Case) {
    let mut log = tiered_log(&case.input);
    let (mut segments, mut starts) = (Vec::new(), Vec::new());
    for step in list(&case.input["steps"]).iter().map(text) {
        if step.ends_with("uploaded") && !step.starts_with("nothing") {
            log.set_highest_remote_offset(*numbers(step).last().unwrap());
        } else if step == "remote.log.copy.disable=true" {
            let mut config = log.config().clone();
            config.tier.remote_copy_disable = true;
            log.set_config(config);
        }
        log.delete_old_segments(1);
        segments.push(log.segment_count());
        starts.push(log.local_start_offset());
    }
    assert_eq!(
        json!(segments),
        case.expect["segments_after_each"],
        "{}",
        case.id
    );
    assert_eq!(
        json!(starts),
        case.expect["local_log_start_after_each"],
        "{}",
        case.id
    );
}

/// Transactions of several producers on one log.
struct Transactions {
    log: PartitionLog,
    sequences: std::collections::BTreeMap<i64, i32>,
}

impl Transactions {
    fn new() -> Self {
        let producers = ProducerStateConfig {
            verification_enabled: false,
            ..Default::default()
        };
        let log = PartitionLog::new(LogConfig::default(), producers, 0);
        Self {
            log,
            sequences: std::collections::BTreeMap::new(),
        }
    }

    /// "pid1 5", "plain 3", "pid1 COMMIT (LEO 27)", "HW=26"; several parted by commas.
    fn step(&mut self, step: &str) {
        for part in step.split(',').map(str::trim) {
            let mut words = part.split([' ', '=']);
            let (who, what) = (words.next().unwrap(), words.next().unwrap());
            match (who, what.parse::<i64>()) {
                ("HW", Ok(offset)) => {
                    self.log.set_high_watermark(offset);
                }
                ("plain", Ok(count)) => self.append(batch(count, 1), AppendOrigin::Client),
                (pid, what) => {
                    let id: i64 = pid.strip_prefix("pid").unwrap().parse().unwrap();
                    self.append_in_txn(id, what.ok(), part.contains("ABORT"));
                }
            }
        }
    }

    fn append_in_txn(&mut self, id: i64, count: Option<i64>, aborts: bool) {
        let Some(count) = count else {
            let marker = if aborts {
                ControlMarker::Abort
            } else {
                ControlMarker::Commit
            };
            let batch = Batch::end_txn_marker(marker, id, 0, 0, 1);
            return self.append(batch, AppendOrigin::Coordinator);
        };
        let sequence = self.sequences.entry(id).or_insert(0);
        let stamp = ProducerStamp {
            id,
            epoch: 0,
            base_sequence: *sequence,
        };
        *sequence += i32::try_from(count).unwrap();
        let records = (0..count).map(|_| record(1, true)).collect();
        self.append(Batch::transactional(records, stamp), AppendOrigin::Client);
    }

    fn append(&mut self, batch: Batch, origin: AppendOrigin) {
        let append = LeaderAppend {
            origin,
            ..LeaderAppend::client(0, 1)
        };
        self.log.append_as_leader(batch, append).unwrap();
    }
}

/// `lso-*`: where the last stable offset stands as transactions end and replicate.
fn last_stable_offset(case: &Case) {
    let mut txns = Transactions::new();
    let mut stable = serde_json::Map::new();
    let mut unstable = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        txns.step(step);
        let name = step.split(" (").next().unwrap();
        stable.insert(name.to_owned(), json!(txns.log.last_stable_offset()));
        unstable.push(json!(txns.log.first_unstable_offset()));
    }
    let mut unstable_at_hw = Vec::new();
    for hw in list(&case.input["hw_sequence"]) {
        txns.log.set_high_watermark(int(hw));
        unstable_at_hw.push(json!(txns.log.first_unstable_offset()));
    }
    for key in keys(&case.expect) {
        let expect = &case.expect[key];
        let got = match key {
            "leo" => json!(txns.log.log().leo()),
            "first_unstable_after" => json!(unstable),
            "first_unstable_at_hw" => json!(unstable_at_hw),
            "lso_after" => {
                let wanted = keys(expect)
                    .into_iter()
                    .map(|at| (at.to_owned(), stable[at].clone()));
                Value::Object(wanted.collect())
            }
            "aborted" => {
                let listed = txns.log.aborted_txns().iter().map(|txn| {
                    json!({"pid": txn.producer_id, "first": txn.first_offset,
                        "last": txn.last_offset, "lso": txn.last_stable_offset})
                });
                json!(listed.collect::<Vec<_>>())
            }
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        assert_eq!(&got, expect, "{}: {key}", case.id);
    }
    // A reader of committed data gets nothing at or above the last stable offset.
    let lso = txns.log.last_stable_offset();
    let read = txns
        .log
        .read(OffsetView::ReadCommitted, 0, u32::MAX, true)
        .unwrap();
    assert!(
        read.batches.iter().all(|batch| batch.last_offset() < lso),
        "{}",
        case.id
    );
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if !case.expect["hw_after_each"].is_null() => high_watermark(case),
        () if has("hw_sequence") && !case.expect["readable_offsets"].is_null() => {
            read_below_high_watermark(case);
        }
        () if has("reads") => read_bounds(case),
        () if has("epochs") => epochs_after_retention(case),
        () if has("segment_ms") => roll_by_time(case),
        () if has("batches") => compacted_keys(case),
        () if has("topics") => tier_enabled(case),
        () if has("highest_offset_in_remote") => tier_retention(case),
        () if has("local_retention_bytes") => tier_steps(case),
        () if case.id.starts_with("lso") => last_stable_offset(case),
        () if has("records") => retention(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn log_high_watermark_lso_and_retention() {
    run!("log-hw-lso-retention.json", check);
}
