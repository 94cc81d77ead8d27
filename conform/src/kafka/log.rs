//! The log - high watermark, read bounds, rolling, retention, tiers: `UnifiedLogTest`. The last
//! stable offset is in [`super::stable`].

use super::batches::{MOST, batch, record};
use super::stable;
use crate::case::{Case, Checked, unknown};
use crate::values::{
    bounded, count, int32, list, nth, number, number_after, offset, offset_or, offsets, text,
};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::partition_log::{LeaderAppend, PartitionLog, first_unkeyed};
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{Batch, CleanupPolicy, Log, LogConfig, ProducerStamp, Record, TierConfig};

/// The size of a batch of one record, which the cases call S.
const S: i64 = 100;

/// The time at which the logs of cases that name no time are looked at.
const NOW_MS: i64 = 1_000_000_000;

/// "5S", "5 segments" (of one record each), or a number of bytes.
fn size(value: &Value) -> Checked<i64> {
    match value.as_str() {
        Some(words) => bounded(number(words)?.saturating_mul(S)),
        None => offset(value),
    }
}

fn size_or(value: &Value, default: i64) -> Checked<i64> {
    match value {
        Value::Null => Ok(default),
        other => size(other),
    }
}

fn policy(value: &Value) -> Checked<CleanupPolicy> {
    let mut policy = CleanupPolicy {
        delete: value.is_null(),
        compact: false,
    };
    for word in value.as_str().unwrap_or_default().split(',') {
        match word.trim() {
            "delete" => policy.delete = true,
            "compact" => policy.compact = true,
            "" => (),
            other => return Err(unknown("cleanup policy", other)),
        }
    }
    Ok(policy)
}

/// "append 3", "append 3 as follower", "maybeIncrement HW to 1", "set HW to 5", "truncate to 3",
/// "truncate fully, restart at 4"; several parted by commas.
fn operate(log: &mut Log, step: &str) -> Checked {
    for part in step.split(',').map(str::trim) {
        let argument = offsets(part)?.first().copied();
        match (part, argument) {
            ("new log" | "truncate fully", None) => (),
            (_, Some(number)) if part.starts_with("append") => {
                let mut batch = batch(number, 1)?;
                if part.ends_with("as follower") {
                    batch.base_offset = log.leo();
                    batch.leader_epoch = 0;
                    log.append_as_follower(batch)
                        .map_err(|_| unknown("step", part))?;
                } else {
                    log.append_as_leader(batch, 0);
                }
            }
            (_, Some(to)) if part.to_lowercase().starts_with("maybeincrement") => {
                log.maybe_increment_high_watermark(to);
            }
            (_, Some(to)) if part.starts_with("set HW") => {
                log.set_high_watermark(to);
            }
            (_, Some(to)) if part.starts_with("truncate to") && to >= 0 => {
                log.truncate_to(to);
            }
            (_, Some(to)) if part.contains("restart at") || part.contains("start at") => {
                log.truncate_fully_and_start_at(to.max(0));
            }
            (_, Some(to)) if part.contains("log start") => {
                log.maybe_increment_start_offset(to);
            }
            _ => return Err(unknown("step", part)),
        }
    }
    Ok(())
}

/// What moves the high watermark and the log's ends.
fn log_ends(case: &Case) -> Checked {
    let mut log: Log = Log::new(LogConfig::default());
    let (mut marks, mut ends, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for step in list(&case.input["steps"])? {
        operate(&mut log, text(step)?)?;
        marks.push(log.high_watermark());
        ends.push(log.leo());
        starts.push(log.start_offset());
    }
    case.same_all(|key| {
        Ok(match key {
            "hw_after_each" => Some(json!(marks)),
            "leo_after_each" => Some(json!(ends)),
            "log_start_after_each" => Some(json!(starts)),
            "hw" | "hw_at_end" => Some(json!(log.high_watermark())),
            "leo" | "leo_at_end" => Some(json!(log.leo())),
            _ => None,
        })
    })
}

/// Readers see whole batches below the high watermark, and nothing at or above it.
fn read_below_high_watermark(case: &Case) -> Checked {
    let mut log: Log = Log::new(LogConfig::default());
    for bounds in list(&case.input["batches"])? {
        let number = offset(&bounds[1])? - offset(&bounds[0])? + 1;
        if number < 1 || offset(&bounds[0])? != log.leo() {
            return Err(unknown("batch", bounds));
        }
        log.append_as_leader(batch(number, 1)?, 0);
    }
    let mut readable = Vec::new();
    let mut above = Vec::new();
    for hw in list(&case.input["hw_sequence"])? {
        log.set_high_watermark(offset(hw)?);
        let (start, bound) = (log.start_offset(), log.high_watermark());
        let read = |from| log.read(from, u32::MAX, bound, true);
        let found = read(start).map_err(|_| unknown("log start", start))?;
        let seen = found
            .iter()
            .flat_map(|it| it.base_offset..=it.last_offset());
        readable.push(seen.collect::<Vec<_>>());
        above.extend((bound..=log.leo()).map(read));
    }
    let nothing = above
        .iter()
        .all(|read| read.as_ref().is_ok_and(|found| found.is_empty()));
    case.same_all(|key| {
        Ok(match key {
            "readable_offsets" => Some(json!(readable)),
            "read_at_or_above_hw_up_to_leo" if nothing => Some(json!("empty, no error")),
            "read_at_or_above_hw_up_to_leo" => Some(json!("data or an error")),
            _ => None,
        })
    })
}

/// Below the start and above the end is out of range; at the end is empty.
fn read_bounds(case: &Case) -> Checked {
    let mut log: Log = Log::new(LogConfig::default());
    log.truncate_fully_and_start_at(offset_or(&case.input["log_start"], 0)?.max(0));
    let number = offset(&case.input["leo"])? - log.leo();
    if number > 0 {
        log.append_as_leader(batch(number, 1)?, 0);
    }
    let mut results = Vec::new();
    for from in list(&case.input["reads"])? {
        results.push(match log.read(offset(from)?, 1000, log.leo(), true) {
            Ok(batches) if batches.is_empty() => "empty",
            Ok(_) => "data",
            Err(_) => ErrorCode::OffsetOutOfRange.name(),
        });
    }
    case.same_all(|key| Ok(matches!(key, "result" | "results").then(|| json!(results))))
}

/// The timestamp of a case's records: now unless it is said.
fn timestamp(value: &Value, now_ms: i64) -> Checked<i64> {
    match value.as_str() {
        None if value.is_null() => Ok(now_ms),
        None => offset(value),
        Some("none") => Ok(-1),
        Some("now") => Ok(now_ms),
        Some(words) => bounded(number(words)?),
    }
}

/// Retention: records of size S in segments, one pass, what is left.
fn retention(case: &Case) -> Checked {
    let input = &case.input;
    let defaults = LogConfig::default();
    let config = LogConfig {
        segment_bytes: size_or(&input["segment_bytes"], 5 * S)?.unsigned_abs(),
        retention_bytes: size_or(&input["retention_bytes"], -1)?,
        retention_ms: offset_or(&input["retention_ms"], defaults.retention_ms)?,
        cleanup_policy: policy(&input["cleanup_policy"])?,
        ..defaults
    };
    let timestamp_ms = timestamp(&input["record_timestamps"], NOW_MS)?;
    let mut log: Log = Log::new_at(config, 0, NOW_MS);
    for _ in 0..count(offset(&input["records"])?, MOST)? {
        log.append_as_leader_at(batch(1, timestamp_ms)?, 0, NOW_MS);
    }
    log.set_high_watermark(offset_or(&input["hw"], log.leo())?);
    for key in ["log_start", "log_start_offset", "log_start_incremented_to"] {
        log.maybe_increment_start_offset(offset_or(&input[key], 0)?);
    }
    let before = log.segment_count();
    let deleted = log.delete_old_segments(NOW_MS).len();
    case.same_all(|key| {
        Ok(match key {
            "segments_before" | "segments" => Some(json!(before)),
            "segments_after" => Some(json!(log.segment_count())),
            "segments_deleted" | "deleted" => Some(json!(deleted)),
            "log_start" => Some(json!(log.start_offset())),
            "leo" => Some(json!(log.leo())),
            _ => None,
        })
    })
}

/// Deleting a head segment, or truncating, moves the bounds of the epochs.
fn epochs_after(case: &Case) -> Checked {
    let input = &case.input;
    let number = count(offset(&input["records"])?, MOST)? as i64;
    let segment = offset_or(&input["segment"], 5)?;
    let config = LogConfig {
        segment_bytes: bounded(segment.saturating_mul(S))?.unsigned_abs(),
        retention_bytes: (number - segment).saturating_mul(S),
        ..LogConfig::default()
    };
    let mut log: Log = Log::new(config);
    let starts = list(&input["epochs"])?;
    for at in 0..number {
        let mut epoch = None;
        for entry in starts {
            if offset(&entry[1])? <= at {
                epoch = Some(int32(&entry[0])?);
            }
        }
        let epoch = epoch.filter(|it| *it >= 0);
        log.append_as_leader(batch(1, 1)?, epoch.ok_or_else(|| unknown("epoch at", at))?);
    }
    let mut entries = Vec::new();
    let mut note = |log: &Log| {
        let all = log.epochs().entries().iter();
        entries.push(
            all.map(|it| json!([it.epoch, it.start_offset]))
                .collect::<Value>(),
        );
    };
    if input["head_segment_deleted"] == json!(true) {
        log.set_high_watermark(number);
        log.delete_old_segments(1);
    }
    if case.has("truncate_to") {
        let cuts = match &input["truncate_to"] {
            Value::Array(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        for to in cuts {
            log.truncate_to(offset(to)?.max(0));
            note(&log);
        }
    } else {
        note(&log);
    }
    case.same_all(|key| {
        Ok(match key {
            "epochs" => entries.last().cloned(),
            "epochs_after_each" => Some(json!(entries)),
            "log_start" => Some(json!(log.start_offset())),
            _ => None,
        })
    })
}

/// When a segment is rolled: by time, in steps like "+3600001, append with timestamp now"; or by
/// size, in segments of `segment_bytes`.
fn rolls(case: &Case) -> Checked {
    let mut now_ms = NOW_MS;
    let mut stamp_ms = -1;
    let defaults = LogConfig::default();
    let config = LogConfig {
        segment_ms: offset_or(&case.input["segment_ms"], defaults.segment_ms)?,
        ..defaults
    };
    let mut log: Log = Log::new_at(config, 0, now_ms);
    let mut segments = Vec::new();
    for step in list(&case.input["steps"])? {
        let mut parts: Vec<&str> = text(step)?.split(',').map(str::trim).collect();
        let append = parts.pop().unwrap_or_default();
        for wait in parts {
            let wait = wait
                .strip_prefix('+')
                .ok_or_else(|| unknown("step", wait))?;
            now_ms = bounded(now_ms + bounded(number(wait)?)?)?;
        }
        if !append.starts_with("append") {
            return Err(unknown("step", append));
        }
        let timestamp_ms = match append.split_once("timestamp now") {
            Some((_, ahead)) => {
                let ahead = offsets(ahead.trim_start_matches('+'))?;
                stamp_ms = now_ms + ahead.first().copied().unwrap_or(0);
                stamp_ms
            }
            None if append.contains("same timestamp") => stamp_ms,
            None if append == "append" || append.contains("no timestamp") => -1,
            None => return Err(unknown("step", append)),
        };
        log.append_as_leader_at(batch(1, timestamp_ms)?, 0, now_ms);
        segments.push(log.segment_count());
    }
    case.same_all(|key| {
        let wanted = matches!(key, "segments_after" | "segments_after_each");
        Ok(wanted.then(|| json!(segments)))
    })
}

/// A compacted topic refuses records without key.
fn compacted_keys(case: &Case) -> Checked {
    let config = LogConfig {
        cleanup_policy: policy(&case.input["cleanup_policy"])?,
        ..LogConfig::default()
    };
    let mut log: PartitionLog = PartitionLog::new(config, ProducerStateConfig::default(), 0);
    let mut results = Vec::new();
    for keys in list(&case.input["batches"])? {
        let mut records: Vec<Record> = Vec::new();
        for key in list(keys)? {
            let key = match key.as_str() {
                Some("keyed") => record(1).key,
                Some("unkeyed") => None,
                _ => return Err(unknown("key", key)),
            };
            records.push(Record { key, ..record(1) });
        }
        if records.is_empty() {
            return Err(unknown("batch", keys));
        }
        let batch = Batch::new(records, ProducerStamp::NONE);
        let unkeyed = first_unkeyed(&batch);
        let answer = log.append_as_leader(batch, LeaderAppend::client(0, 1));
        results.push(match (answer, unkeyed) {
            (Ok(_), _) => "ok".to_owned(),
            (Err(ErrorCode::InvalidRecord), Some(at)) => format!("InvalidRecord at index {at}"),
            (Err(error), _) => error.name().to_owned(),
        });
    }
    case.same_all(|key| Ok(matches!(key, "result" | "results").then(|| json!(results))))
}

/// A tiered log of segments of one record.
fn tiered_log(input: &Value) -> Checked<Log> {
    let local = |key: &str| match input[key].as_str() {
        Some(_) => size(&input[key]),
        None => offset_or(&input[key], -2),
    };
    let defaults = LogConfig::default();
    let config = LogConfig {
        segment_bytes: S.unsigned_abs(),
        retention_bytes: size_or(&input["retention_bytes"], defaults.retention_bytes)?,
        retention_ms: offset_or(&input["retention_ms"], defaults.retention_ms)?,
        tier: TierConfig {
            remote_storage_enable: true,
            local_retention_bytes: local("local_retention_bytes")?,
            local_retention_ms: local("local_retention_ms")?,
            ..TierConfig::default()
        },
        ..defaults
    };
    let timestamp_ms = timestamp(&input["record_timestamps"], NOW_MS)?;
    if offset_or(&input["records_per_segment"], 1)? != 1 {
        return Err(unknown("segments", &input["records_per_segment"]));
    }
    let mut log: Log = Log::new_at(config, 0, NOW_MS);
    for _ in 0..count(offset(&input["segments"])?, MOST)? {
        log.append_as_leader_at(batch(1, timestamp_ms)?, 0, NOW_MS);
    }
    log.set_high_watermark(log.leo());
    Ok(log)
}

/// Which topics are tiered.
fn tier_enabled(case: &Case) -> Checked {
    let broker = case.input["broker_remote_enabled"] != json!(false);
    let mut enabled = Vec::new();
    for topic in list(&case.input["topics"])? {
        let tier = TierConfig {
            remote_storage_enable: broker && topic["remote"] == json!(true),
            ..TierConfig::default()
        };
        let config = LogConfig {
            cleanup_policy: policy(&topic["cleanup_policy"])?,
            tier,
            ..LogConfig::default()
        };
        enabled.push(config.remote_log_enabled());
    }
    case.same_all(|key| Ok((key == "remote_log_enabled").then(|| json!(enabled))))
}

/// A tiered log: a retention pass at once, or after each step.
fn tier_retention(case: &Case) -> Checked {
    let mut log = tiered_log(&case.input)?;
    if case.has("highest_offset_in_remote") {
        log.set_highest_remote_offset(offset(&case.input["highest_offset_in_remote"])?);
    }
    let (mut segments, mut starts) = (Vec::new(), Vec::new());
    for step in list(&case.input["steps"])? {
        match text(step)? {
            "nothing uploaded" => (),
            words if words.ends_with("uploaded") => {
                let ends = offsets(words)?;
                let last = ends
                    .len()
                    .checked_sub(1)
                    .ok_or_else(|| unknown("step", words))?;
                log.set_highest_remote_offset(nth(&ends, last)?);
            }
            words if words.contains("remote.log.copy.disable=") => {
                let mut config = log.config().clone();
                config.tier.remote_copy_disable = words.ends_with("true");
                log.set_config(config);
            }
            words => match number_after(words, "log start")? {
                Some(to) => {
                    log.maybe_increment_start_offset(to);
                }
                None => return Err(unknown("step", words)),
            },
        }
        log.delete_old_segments(NOW_MS);
        segments.push(log.segment_count());
        starts.push(log.local_start_offset());
    }
    if !case.has("steps") {
        log.delete_old_segments(NOW_MS);
    }
    case.same_all(|key| {
        Ok(match key {
            "segments_after" => Some(json!(log.segment_count())),
            "log_start" => Some(json!(log.start_offset())),
            "local_log_start" => Some(json!(log.local_start_offset())),
            "segments_after_each" => Some(json!(segments)),
            "local_log_start_after_each" => Some(json!(starts)),
            _ => None,
        })
    })
}

pub(crate) fn check(case: &Case) -> Checked {
    let names_ends = |key: &str| case.expects(key);
    match () {
        () if case.has("hw_sequence") && case.expects("readable_offsets") => {
            read_below_high_watermark(case)
        }
        () if case.has("reads") => read_bounds(case),
        () if case.has("epochs") => epochs_after(case),
        () if case.has("segment_ms") => rolls(case),
        () if case.has("batches") => compacted_keys(case),
        () if case.has("topics") => tier_enabled(case),
        () if case.has("segments") => tier_retention(case),
        () if case.has("records") => retention(case),
        () if ["hw_after_each", "leo_after_each"]
            .into_iter()
            .any(names_ends) =>
        {
            log_ends(case)
        }
        () if case.has("steps") => stable::check(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
