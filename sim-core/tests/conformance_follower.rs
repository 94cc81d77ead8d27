//! Conformance: the follower's fetch loop - truncation, divergence, out of range, fencing.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::fetch::{
    FetchErrorAction, OffsetView, check_divergence, check_leader_epoch, on_fetch_error,
};
use sim_core::kafka::rules::follower::{FetchApplied, FetchedPartition, apply_fetch_response};
use sim_core::kafka::rules::partition_log::PartitionLog;
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::kafka::rules::truncation::{
    FollowerLog, FollowerStart, OutOfRangeAction, TruncationRule, on_out_of_range,
};
use sim_core::log::{Batch, BatchList, EpochEnd, LogConfig, ProducerStamp, Record, RecordId};
use support::{Case, int, int32, keys, list, run, text};

const RULE: TruncationRule = TruncationRule::Epoch;

fn batch(offset: i64, epoch: i32, value: &str) -> Batch {
    let record = Record {
        id: RecordId(
            value
                .bytes()
                .fold(0, |id, byte| (id << 8) | u64::from(byte)),
        ),
        key: None,
        offset_delta: 0,
        bytes: 10,
        timestamp_ms: 1,
        tombstone: false,
    };
    let mut batch = Batch::new(vec![record], ProducerStamp::NONE);
    (batch.base_offset, batch.leader_epoch) = (offset, epoch);
    batch
}

/// A log of records `[offset, epoch, value]`; with `epochs` off it carries no epoch at all, as
/// records of the oldest message formats do.
fn log_of(records: &Value, epochs: bool) -> PartitionLog {
    let mut log = PartitionLog::new(LogConfig::default(), ProducerStateConfig::default(), 0);
    let first = list(records).first().map_or(0, |record| int(&record[0]));
    log.truncate_fully_and_start_at(first);
    for record in list(records) {
        let epoch = if epochs { int32(&record[1]) } else { -1 };
        let batch = batch(int(&record[0]), epoch, text(&record[2]));
        log.append_as_follower(batch, 0).unwrap();
    }
    log
}

fn records(log: &PartitionLog) -> Value {
    let value = |id: RecordId| {
        let bytes: Vec<u8> =
            id.0.to_be_bytes()
                .into_iter()
                .filter(|byte| *byte != 0)
                .collect();
        String::from_utf8(bytes).unwrap()
    };
    let all = log.log().records(0, i64::MAX);
    json!(
        all.map(|(at, batch, r)| json!([at, batch.leader_epoch, value(r.id)]))
            .collect::<Vec<_>>()
    )
}

#[derive(Default)]
struct Seen {
    truncations: u64,
    appended: u64,
    reset: Option<Value>,
}

/// One fetch of the follower and what it does with the answer; false when nothing is new.
fn fetch_once(
    follower: &mut PartitionLog,
    leader: &PartitionLog,
    epoch: i32,
    seen: &mut Seen,
) -> bool {
    let offset = follower.log().leo();
    let answer =
        check_divergence(leader.log(), follower.log().latest_epoch(), offset).and_then(|end| {
            let read = leader.read(OffsetView::Replica, offset, u32::MAX, true);
            let read = read.map_err(|_| ErrorCode::OffsetOutOfRange);
            Ok(FetchedPartition {
                batches: if end.is_some() {
                    BatchList::default()
                } else {
                    read?.batches
                },
                diverging: end,
                high_watermark: leader.log().high_watermark(),
                log_start_offset: leader.log().start_offset(),
            })
        });
    let error = match answer {
        Ok(response) => {
            match apply_fetch_response(follower, &response, epoch, RULE, 0).unwrap() {
                FetchApplied::Truncated(_) => seen.truncations += 1,
                FetchApplied::Appended { batches, .. } => seen.appended += u64::from(batches),
            }
            return follower.log().leo() != offset;
        }
        Err(error) => error,
    };
    assert_eq!(on_fetch_error(error), FetchErrorAction::AskLeaderOffsets);
    let (start, end) = (leader.log().start_offset(), leader.log().leo());
    match on_out_of_range(offset, start, end) {
        OutOfRangeAction::TruncateTo { offset } => {
            follower.truncate_to(offset, 0);
            seen.truncations += 1;
        }
        OutOfRangeAction::RestartAt { offset } => {
            follower.truncate_fully_and_start_at(offset);
            let start = follower.log().start_offset();
            seen.reset = Some(json!({"log_start": start, "log": records(follower)}));
        }
        OutOfRangeAction::Resume => (),
    }
    true
}

/// Cases with two logs: the follower fetches until nothing changes.
fn fetch_loop(case: &Case) {
    let input = &case.input;
    let epoch = int32(&input["leader_epoch"]);
    let mut leader = log_of(&input["leader_log"], true);
    leader.assign_epoch_at_end(epoch);
    if let Some(start) = input["leader_log_start"].as_i64() {
        leader.maybe_increment_start_offset(start);
    }
    leader.set_high_watermark(int(&input["leader_hw"]));
    let mut follower = log_of(&input["follower_log"], true);
    follower.set_high_watermark(input["follower_hw"].as_i64().unwrap_or(0));
    let mut seen = Seen::default();
    let state = |follower: &PartitionLog, seen: &Seen| {
        json!({
            "leo": follower.log().leo(),
            "hw": follower.log().high_watermark(),
            "truncations": seen.truncations,
            "records_appended": seen.appended,
        })
    };
    let mut goes_on = fetch_once(&mut follower, &leader, epoch, &mut seen);
    let first = state(&follower, &seen);
    for _ in 0..20 {
        goes_on = goes_on && fetch_once(&mut follower, &leader, epoch, &mut seen);
    }
    assert!(!goes_on, "{}: the follower has not come to rest", case.id);
    let end = state(&follower, &seen);
    for key in keys(&case.expect) {
        let expect = &case.expect[key];
        let got = match key {
            "after_first_fetch" => first.clone(),
            "at_end" => end.clone(),
            "final_log" => records(&follower),
            "final_hw" => end["hw"].clone(),
            "after_reset" => seen.reset.clone().unwrap(),
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        match expect.as_object() {
            Some(fields) => {
                for (field, expect) in fields {
                    assert_eq!(&got[field], expect, "{}: {key}.{field}", case.id);
                }
            }
            None => assert_eq!(&got, expect, "{}: {key}", case.id),
        }
    }
}

/// A follower on epoch `follower_epoch` against a leader whose epoch changes under it.
fn epochs_apart(case: &Case) {
    let epoch = int32(&case.input["follower_epoch"]);
    if let Some(becomes) = case.input["leader_epoch_becomes"].as_i64() {
        let error = check_leader_epoch(Some(epoch), i32::try_from(becomes).unwrap()).unwrap_err();
        let stops = on_fetch_error(error) == FetchErrorAction::StopUntilMetadata;
        assert_eq!(case.expect["fetching_stopped"], json!(stops), "{}", case.id);
        assert_eq!(
            case.expect["partition_marked_failed"],
            json!(stops),
            "{}",
            case.id
        );
        return;
    }
    let leader = log_of(&json!([[0, 0, "a"], [1, 0, "b"], [2, 0, "c"]]), true);
    let mut follower = log_of(&json!([]), true);
    let mut ends = Vec::new();
    for leader_epoch in list(&case.input["leader_epoch_sequence"]) {
        match check_leader_epoch(Some(epoch), int32(leader_epoch)) {
            Ok(()) => {
                let from = follower.log().leo();
                let read = leader.read(OffsetView::Replica, from, 1, true).unwrap();
                let response = FetchedPartition {
                    diverging: None,
                    high_watermark: 0,
                    log_start_offset: 0,
                    batches: read.batches,
                };
                apply_fetch_response(&mut follower, &response, epoch, RULE, 0).unwrap();
            }
            Err(error) => assert_eq!(on_fetch_error(error), FetchErrorAction::Retry),
        }
        ends.push(follower.log().leo());
    }
    assert_eq!(case.expect["leo_after_each"], json!(ends), "{}", case.id);
    assert_eq!(case.expect["state"], json!("FETCHING"), "{}", case.id);
}

/// A response with epochs above the request's.
fn epoch_bound(case: &Case) {
    let epoch = int32(&case.input["request_leader_epoch"]);
    let leader = log_of(&case.input["leader_log"], true);
    let mut follower = log_of(&json!([]), true);
    let read = leader.read(OffsetView::Replica, 0, u32::MAX, true).unwrap();
    let response = FetchedPartition {
        diverging: None,
        high_watermark: 0,
        log_start_offset: 0,
        batches: read.batches,
    };
    apply_fetch_response(&mut follower, &response, epoch, RULE, 0).unwrap();
    assert_eq!(
        records(&follower),
        case.expect["follower_log"],
        "{}",
        case.id
    );
}

/// A follower that knows no epoch falls back to its high watermark.
fn no_epochs(case: &Case) {
    let mut follower = log_of(&case.input["follower_log"], false);
    follower.set_high_watermark(int(&case.input["follower_hw"]));
    let start = RULE.on_become_follower(&FollowerLog::of(follower.log()));
    let FollowerStart::Truncate { offset } = start else {
        panic!("{}: {start:?}", case.id)
    };
    follower.truncate_to(offset, 0);
    assert_eq!(
        json!(follower.log().leo()),
        case.expect["leo"],
        "{}",
        case.id
    );
}

fn epoch_end(value: &Value) -> EpochEnd {
    EpochEnd {
        epoch: int32(&value["epoch"]),
        end_offset: int(&value["end_offset"]),
    }
}

/// Diverging replies in turn, with the follower's own epoch ends as given.
fn diverging_replies(case: &Case) {
    let mut end = int(&case.input["follower_leo"]);
    let high_watermark = int(&case.input["follower_hw"]);
    let mut cuts = Vec::new();
    for reply in list(&case.input["diverging_replies_in_turn"]) {
        let answer = epoch_end(reply);
        let own = |epoch: i32| {
            let own = &case.input["follower_end_offset_for_epoch"][epoch.to_string()];
            EpochEnd {
                epoch: int32(&own[1]),
                end_offset: int(&own[0]),
            }
        };
        end = RULE
            .truncation_with(answer, end, high_watermark, own)
            .offset;
        cuts.push(end);
    }
    assert_eq!(
        json!(cuts),
        case.expect["truncate_to_in_turn"],
        "{}",
        case.id
    );
}

/// A diverging reply that carries a high watermark as well.
fn diverging_reply_with_hw(case: &Case) {
    let (input, reply) = (&case.input, &case.input["reply"]);
    let diverging = epoch_end(&reply["diverging"]);
    let own_end = int(&input[format!("follower_end_offset_for_epoch_{}", diverging.epoch)]);
    let mut log = log_of(&json!([]), true);
    for offset in 0..int(&input["follower_leo"]) {
        let epoch = diverging.epoch + i32::from(offset >= own_end);
        log.append_as_follower(batch(offset, epoch, "x"), 0)
            .unwrap();
    }
    let before = log.set_high_watermark(int(&input["follower_hw"]));
    let response = FetchedPartition {
        diverging: Some(diverging),
        high_watermark: int(&reply["hw"]),
        log_start_offset: 0,
        batches: BatchList::default(),
    };
    let applied = apply_fetch_response(&mut log, &response, diverging.epoch + 1, RULE, 0).unwrap();
    let FetchApplied::Truncated(cut) = applied else {
        panic!("{}: {applied:?}", case.id)
    };
    assert_eq!(json!(cut.offset), case.expect["truncate_to"], "{}", case.id);
    let updated = log.log().high_watermark() != before;
    assert_eq!(json!(updated), case.expect["hw_updated"], "{}", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if has("follower_log") && has("leader_log") => fetch_loop(case),
        () if has("follower_epoch") => epochs_apart(case),
        () if has("request_leader_epoch") => epoch_bound(case),
        () if has("leader_epoch_cache") => no_epochs(case),
        () if has("diverging_replies_in_turn") => diverging_replies(case),
        () if has("reply") => diverging_reply_with_hw(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn follower_truncation() {
    run!("follower-truncation.json", check);
}
