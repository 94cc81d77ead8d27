//! The follower's fetch loop - truncation, divergence, out of range, fencing:
//! `AbstractFetcherThreadTest`, `ReplicaFetcherThreadTest`.

use super::batches::MOST;
use crate::case::{Case, Checked, same, unknown};
use crate::values::{count, int32, list, members, offset, offset_or, text};
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
use std::collections::BTreeMap;

const RULE: TruncationRule = TruncationRule::Epoch;

/// A batch of one record. Its value stands for the record's identity: up to eight bytes.
fn batch(offset: i64, epoch: i32, value: &str) -> Checked<Batch> {
    if value.len() > 8 {
        return Err(unknown("record", value));
    }
    let id = value
        .bytes()
        .fold(0, |id, byte| (id << 8) | u64::from(byte));
    let record = Record {
        id: RecordId(id),
        key: None,
        offset_delta: 0,
        bytes: 10,
        timestamp_ms: 1,
        tombstone: false,
    };
    let mut batch = Batch::new(vec![record], ProducerStamp::NONE);
    (batch.base_offset, batch.leader_epoch) = (offset, epoch);
    Ok(batch)
}

fn append(log: &mut PartitionLog, batch: Batch) -> Checked {
    if batch.base_offset < 0 || batch.leader_epoch < -1 {
        return Err(unknown("record at", batch.base_offset));
    }
    let appended = log.append_as_follower(batch, 0);
    appended
        .map(|_| ())
        .map_err(|error| unknown("log", format!("{error:?}")))
}

fn empty_log() -> PartitionLog {
    PartitionLog::new(LogConfig::default(), ProducerStateConfig::default(), 0)
}

/// A log of records `[offset, epoch, value]`; with `epochs` off it carries no epoch at all, as
/// records of the oldest message formats do.
fn log_of(records: &Value, epochs: bool) -> Checked<PartitionLog> {
    let mut log = empty_log();
    let records = list(records)?;
    if let Some(first) = records.first() {
        log.truncate_fully_and_start_at(offset(&first[0])?.max(0));
    }
    for record in records {
        let epoch = if epochs { int32(&record[1])? } else { -1 };
        append(
            &mut log,
            batch(offset(&record[0])?, epoch, text(&record[2])?)?,
        )?;
    }
    Ok(log)
}

fn records(log: &PartitionLog) -> Value {
    let value = |id: RecordId| {
        let bytes = id.0.to_be_bytes().into_iter().filter(|byte| *byte != 0);
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    };
    let all = log.log().records(0, i64::MAX);
    all.map(|(at, batch, record)| json!([at, batch.leader_epoch, value(record.id)]))
        .collect()
}

fn response(leader: &PartitionLog, from: i64, max_bytes: u32) -> Checked<FetchedPartition<Record>> {
    let read = leader.read(OffsetView::Replica, from, max_bytes, true);
    let read = read.map_err(|out| unknown("fetch at", out.offset))?;
    Ok(FetchedPartition {
        diverging: None,
        high_watermark: leader.log().high_watermark(),
        log_start_offset: leader.log().start_offset(),
        batches: read.batches,
    })
}

fn apply(
    follower: &mut PartitionLog,
    response: &FetchedPartition<Record>,
    epoch: i32,
) -> Checked<FetchApplied> {
    let applied = apply_fetch_response(follower, response, epoch, RULE, 0);
    applied.map_err(|error| unknown("response", format!("{error:?}")))
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
) -> Checked<bool> {
    let from = follower.log().leo();
    let error = match check_divergence(leader.log(), follower.log().latest_epoch(), from) {
        Ok(None) if (leader.log().start_offset()..=leader.log().leo()).contains(&from) => {
            let answer = response(leader, from, u32::MAX)?;
            if let FetchApplied::Appended { batches, .. } = apply(follower, &answer, epoch)? {
                seen.appended += u64::from(batches);
            }
            return Ok(follower.log().leo() != from);
        }
        Ok(Some(end)) => {
            let answer = FetchedPartition {
                diverging: Some(end),
                batches: BatchList::default(),
                high_watermark: leader.log().high_watermark(),
                log_start_offset: leader.log().start_offset(),
            };
            if let FetchApplied::Truncated(_) = apply(follower, &answer, epoch)? {
                seen.truncations += 1;
            }
            return Ok(follower.log().leo() != from);
        }
        Ok(None) => ErrorCode::OffsetOutOfRange,
        Err(error) => error,
    };
    if on_fetch_error(error) != FetchErrorAction::AskLeaderOffsets {
        return Err(unknown("answer", error.name()));
    }
    match on_out_of_range(from, leader.log().start_offset(), leader.log().leo()) {
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
    Ok(true)
}

/// Two logs: the follower fetches until nothing changes.
fn fetch_loop(case: &Case) -> Checked {
    let input = &case.input;
    let epoch = int32(&input["leader_epoch"])?;
    let mut leader = log_of(&input["leader_log"], true)?;
    if epoch < 0 {
        return Err(unknown("leader epoch", epoch));
    }
    leader.assign_epoch_at_end(epoch);
    leader.maybe_increment_start_offset(offset_or(&input["leader_log_start"], 0)?);
    leader.set_high_watermark(offset_or(&input["leader_hw"], 0)?);
    let mut follower = log_of(&input["follower_log"], true)?;
    follower.set_high_watermark(offset_or(&input["follower_hw"], 0)?);
    let mut seen = Seen::default();
    let state = |follower: &PartitionLog, seen: &Seen| {
        json!({
            "leo": follower.log().leo(),
            "hw": follower.log().high_watermark(),
            "log_start": follower.log().start_offset(),
            "log": records(follower),
            "truncations": seen.truncations,
            "records_appended": seen.appended,
        })
    };
    let mut goes_on = fetch_once(&mut follower, &leader, epoch, &mut seen)?;
    let first = state(&follower, &seen);
    let mut left = 2 * list(&input["leader_log"])?.len() + 20;
    while goes_on && left > 0 {
        goes_on = fetch_once(&mut follower, &leader, epoch, &mut seen)?;
        left -= 1;
    }
    same(
        "the follower goes on for ever",
        &json!(goes_on),
        &json!(false),
    )?;
    let end = state(&follower, &seen);
    case.same_all(|key| {
        let whole = match key {
            "after_first_fetch" => first.clone(),
            "at_end" => end.clone(),
            "final_log" => end["log"].clone(),
            "final_hw" => end["hw"].clone(),
            "final_leo" => end["leo"].clone(),
            "truncations" => end["truncations"].clone(),
            "after_reset" => seen.reset.clone().unwrap_or(Value::Null),
            _ => return Ok(None),
        };
        // Of a state a case names those parts that it is about.
        Ok(Some(match (&case.expect[key], &whole) {
            (Value::Object(parts), Value::Object(all))
                if parts.keys().all(|it| all.contains_key(it)) =>
            {
                parts
                    .keys()
                    .map(|part| (part.clone(), all[part].clone()))
                    .collect()
            }
            _ => whole,
        }))
    })
}

/// A follower in one epoch against a leader that is fenced off from it.
fn fenced(case: &Case) -> Checked {
    let epoch = int32(&case.input["follower_epoch"])?;
    let becomes = int32(&case.input["leader_epoch_becomes"])?;
    let error = check_leader_epoch(Some(epoch), becomes).err();
    let stops = error.map(on_fetch_error) == Some(FetchErrorAction::StopUntilMetadata);
    case.same_all(|key| {
        Ok(match key {
            "fetching_stopped" | "partition_marked_failed" => Some(json!(stops)),
            "error" => Some(error.map_or(Value::Null, |it| json!(it.name()))),
            _ => None,
        })
    })
}

/// A follower in one epoch against a leader whose epoch changes under it.
fn epochs_apart(case: &Case) -> Checked {
    let epoch = int32(&case.input["follower_epoch"])?;
    let leader_epochs = list(&case.input["leader_epoch_sequence"])?;
    let mut leader = empty_log();
    for at in 0..count(leader_epochs.len() as i64, MOST)? {
        append(&mut leader, batch(at as i64, 0, "r")?)?;
    }
    let mut follower = empty_log();
    let mut ends = Vec::new();
    let mut state = "FETCHING";
    for leader_epoch in leader_epochs {
        match check_leader_epoch(Some(epoch), int32(leader_epoch)?) {
            _ if state != "FETCHING" => (),
            Ok(()) => {
                let answer = response(&leader, follower.log().leo(), 1)?;
                apply(&mut follower, &answer, epoch.max(0))?;
            }
            Err(error) if on_fetch_error(error) == FetchErrorAction::Retry => (),
            Err(_) => state = "FAILED",
        }
        ends.push(follower.log().leo());
    }
    case.same_all(|key| {
        Ok(match key {
            "leo_after_each" => Some(json!(ends)),
            "state" => Some(json!(state)),
            _ => None,
        })
    })
}

/// A response with epochs above the request's.
fn epoch_bound(case: &Case) -> Checked {
    let epoch = int32(&case.input["request_leader_epoch"])?;
    let leader = log_of(&case.input["leader_log"], true)?;
    let mut follower = empty_log();
    follower.truncate_fully_and_start_at(leader.log().start_offset());
    let answer = response(&leader, leader.log().start_offset(), u32::MAX)?;
    apply(&mut follower, &answer, epoch)?;
    case.same_all(|key| Ok((key == "follower_log").then(|| records(&follower))))
}

/// A follower that knows no epoch falls back to its high watermark.
fn no_epochs(case: &Case) -> Checked {
    if case.input["leader_epoch_cache"] != "unavailable" {
        return Err(unknown("cache", &case.input["leader_epoch_cache"]));
    }
    let mut follower = log_of(&case.input["follower_log"], false)?;
    follower.set_high_watermark(offset_or(&case.input["follower_hw"], 0)?);
    let start = RULE.on_become_follower(&FollowerLog::of(follower.log()));
    let FollowerStart::Truncate { offset } = start else {
        return Err(unknown("start", format!("{start:?}")));
    };
    follower.truncate_to(offset, 0);
    case.same_all(|key| {
        Ok(match key {
            "leo" => Some(json!(follower.log().leo())),
            "truncate_to" => Some(json!(offset)),
            "final_log" => Some(records(&follower)),
            _ => None,
        })
    })
}

fn epoch_end(value: &Value) -> Checked<EpochEnd> {
    Ok(EpochEnd {
        epoch: int32(&value["epoch"])?,
        end_offset: offset(&value["end_offset"])?,
    })
}

/// Diverging replies in turn, with the follower's own epoch ends as given.
fn diverging_replies(case: &Case) -> Checked {
    let mut end = offset(&case.input["follower_leo"])?;
    let high_watermark = offset(&case.input["follower_hw"])?;
    let mut own = BTreeMap::new();
    for (epoch, pair) in members(&case.input["follower_end_offset_for_epoch"])? {
        let epoch: i32 = epoch.parse().map_err(|_| unknown("epoch", epoch))?;
        let end = EpochEnd {
            epoch: int32(&pair[1])?,
            end_offset: offset(&pair[0])?,
        };
        own.insert(epoch, end);
    }
    let known = |epoch| own.get(&epoch).copied().unwrap_or(EpochEnd::UNDEFINED);
    let mut cuts = Vec::new();
    for reply in list(&case.input["diverging_replies_in_turn"])? {
        let answer = epoch_end(reply)?;
        end = RULE
            .truncation_with(answer, end, high_watermark, known)
            .offset;
        cuts.push(end);
    }
    case.same_all(|key| Ok((key == "truncate_to_in_turn").then(|| json!(cuts))))
}

/// A diverging reply that carries a high watermark as well.
fn diverging_reply_with_hw(case: &Case) -> Checked {
    let (input, reply) = (&case.input, &case.input["reply"]);
    let diverging = epoch_end(&reply["diverging"])?;
    if !(0..i32::MAX).contains(&diverging.epoch) {
        return Err(unknown("epoch", diverging.epoch));
    }
    let own_end = offset(&input[format!("follower_end_offset_for_epoch_{}", diverging.epoch)])?;
    let mut log = empty_log();
    for at in 0..count(offset(&input["follower_leo"])?, MOST)? as i64 {
        let epoch = diverging.epoch + i32::from(at >= own_end);
        append(&mut log, batch(at, epoch, "x")?)?;
    }
    let before = log.set_high_watermark(offset(&input["follower_hw"])?);
    let answer = FetchedPartition {
        diverging: Some(diverging),
        high_watermark: offset(&reply["hw"])?,
        log_start_offset: 0,
        batches: BatchList::default(),
    };
    let applied = apply(&mut log, &answer, diverging.epoch + 1)?;
    case.same_all(|key| {
        Ok(match (key, &applied) {
            ("truncate_to", FetchApplied::Truncated(cut)) => Some(json!(cut.offset)),
            ("truncate_to", _) => Some(Value::Null),
            ("hw_updated", _) => Some(json!(log.log().high_watermark() != before)),
            ("hw", _) => Some(json!(log.log().high_watermark())),
            _ => None,
        })
    })
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("follower_log") && case.has("leader_log") => fetch_loop(case),
        () if case.has("leader_epoch_becomes") => fenced(case),
        () if case.has("leader_epoch_sequence") => epochs_apart(case),
        () if case.has("request_leader_epoch") => epoch_bound(case),
        () if case.has("leader_epoch_cache") => no_epochs(case),
        () if case.has("diverging_replies_in_turn") => diverging_replies(case),
        () if case.has("reply") => diverging_reply_with_hw(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
