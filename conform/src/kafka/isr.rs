//! The leader's side of a partition - fetch validation, ISR, high watermark: `PartitionTest`.
//! The leader itself is [`super::isr_leader`].

use super::batches::batch;
use super::isr_leader::{Leader, State};
use crate::case::{Case, Checked, unknown};
use crate::values::{int32, ints, list, offset, offset_or, text};
use serde_json::{Map, Value, json};
use sim_core::kafka::rules::fetch::{check_divergence, check_replica};
use sim_core::kafka::rules::isr::{AlterOutcome, IsrProposal, MetadataOutcome};
use sim_core::log::{Log, LogConfig};

/// A 32-bit integer, or none.
fn int32_or_none(value: &Value) -> Checked<Option<i32>> {
    match value {
        Value::Null => Ok(None),
        other => int32(other).map(Some),
    }
}

/// A leader log given by `[epoch, start offset, count]`, and one fetch.
fn divergence(case: &Case) -> Checked {
    let input = &case.input;
    let mut log: Log = Log::new(LogConfig::default());
    for run in list(&input["leader_log_epochs"])? {
        let (epoch, number) = (int32(&run[0])?, offset(&run[2])?);
        if epoch < 0 || number < 1 || offset(&run[1])? != log.leo() {
            return Err(unknown("log", run));
        }
        log.append_as_leader(batch(number, 1)?, epoch);
    }
    let epoch = int32(&input["leader_epoch"])?;
    if epoch < 0 || offset_or(&input["leo"], log.leo())? != log.leo() {
        return Err(unknown("log end", &input["leo"]));
    }
    log.assign_epoch_at_end(epoch);
    log.maybe_increment_start_offset(offset_or(&input["log_start_offset"], 0)?);
    let fetch = &input["fetch"];
    let from = offset(&fetch["fetch_offset"])?;
    let found = check_divergence(&log, int32_or_none(&fetch["last_fetched_epoch"])?, from);
    case.same_all(|key| {
        Ok(match (key, &found) {
            ("error", Err(error)) => Some(json!(error.name())),
            ("error", Ok(_)) | ("diverging", Ok(None)) => Some(Value::Null),
            ("diverging", Ok(Some(end))) => {
                Some(json!({"epoch": end.epoch, "end_offset": end.end_offset}))
            }
            // A diverging answer carries no data; another has whatever there is.
            ("records_returned", Ok(Some(_))) => Some(json!(0)),
            ("diverging" | "records_returned", Err(error)) => Some(json!(error.name())),
            _ => None,
        })
    })
}

/// Which epochs pass at a leader or follower.
fn epoch_check(case: &Case) -> Checked {
    let input = &case.input;
    let is_leader = match text(&input["role"])? {
        "leader" => true,
        "follower" => false,
        other => return Err(unknown("role", other)),
    };
    // Followers serve consumers that name their rack, and nobody else.
    let client = input["client"].as_str().unwrap_or_default();
    let rack_aware = client.contains("rack") || client.contains("with client metadata");
    let local = int32(&input["local_leader_epoch"])?;
    let mut results = Vec::new();
    for epoch in list(&input["request_epochs"])? {
        let answer = check_replica(int32_or_none(epoch)?, local, is_leader, !rack_aware);
        results.push(answer.map_or_else(|error| error.name(), |()| "ok"));
    }
    case.same_all(|key| Ok(matches!(key, "result" | "results").then(|| json!(results))))
}

/// What a case may ask for of a leader, after any step.
fn observe(leader: &Leader, what: &str) -> Option<Value> {
    let state = &leader.state;
    let follower = state.followers().first().map(|(_, follower)| follower);
    let shrink = leader.shrinks.last().map(IsrProposal::isr_ids);
    Some(match what {
        "isr" => json!(state.isr()),
        "maximal_isr" => json!(state.maximal_isr()),
        "hw" => json!(state.high_watermark()),
        "partition_epoch" => json!(state.partition_epoch()),
        "leader_epoch" => json!(state.leader_epoch()),
        "epoch_start_offset" => json!(state.epoch_start_offset()),
        "in_flight" => json!(state.is_in_flight()),
        "under_min_isr" => json!(state.is_under_min_isr()),
        // Where several follow, the cases speak of the first.
        "last_caught_up_ms" => json!(follower?.last_caught_up_ms),
        "follower_leo" => json!(follower?.log_end_offset),
        "shrink_requested" => json!(shrink),
        "requests" | "requests_sent" => json!(leader.proposals.len()),
        "expand_requests" => json!(leader.expands),
        "shrink_requests" => json!(leader.shrinks.len()),
        "result" | "results" => json!(leader.refused.map_or("ok", |error| error.name())),
        _ => return None,
    })
}

/// The observation that a list per step is of: it is named `<what>_after_each` or simply `<what>`.
fn per_step<'a>(key: &'a str, expected: &Value) -> Option<&'a str> {
    let plain = matches!(key, "last_caught_up_ms" | "follower_leo" | "results");
    let named = key.strip_suffix("_after_each");
    named.or_else(|| (plain && expected.is_array()).then_some(key))
}

fn steps(case: &Case) -> Checked {
    let mut leader = Leader::new(&case.input)?;
    let mut history: Map<String, Value> = Map::new();
    let wanted: Vec<&str> = case
        .expect
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, expected)| per_step(key, expected))
        .collect();
    for (at, step) in list(&case.input["steps"])?.iter().enumerate() {
        leader.run(text(step)?)?;
        for what in &wanted {
            let mut seen = observe(&leader, what).ok_or_else(|| unknown("expectation", what))?;
            let key = [format!("{what}_after_each"), (*what).to_owned()];
            let now = |it: &&String| case.expect[it.as_str()][at] == "now";
            if key.iter().find(now).is_some() && seen == json!(leader.now_ms) {
                seen = json!("now");
            }
            let so_far = history.entry(*what).or_insert_with(|| json!([]));
            so_far
                .as_array_mut()
                .into_iter()
                .for_each(|all| all.push(seen.clone()));
        }
    }
    case.same_all(|key| {
        if let Some(what) = per_step(key, &case.expect[key]) {
            return Ok(history.get(what).cloned());
        }
        let end = key
            .strip_suffix("_after")
            .or_else(|| key.strip_suffix("_at_end"));
        Ok(match key {
            "retried" => Some(json!(leader.last_outcome == Some(AlterOutcome::Retry))),
            "rolled_back" => Some(json!(leader.last_outcome == Some(AlterOutcome::RolledBack))),
            "shrink_requested" => Some(json!(!leader.shrinks.is_empty())),
            "expand_requested" => Some(json!(leader.expands > 0)),
            // The failed request stays pending, and is sent again.
            "requests_pending_after_failure" => {
                let pending = leader.state.isr_state().proposal().is_some();
                let again = leader.last_failure == Some(AlterOutcome::Retry);
                Some(json!(u8::from(pending || again)))
            }
            _ => observe(&leader, end.unwrap_or(key)),
        })
    })
}

/// The same steps with the follower in different states: "follower fenced", "follower shutting
/// down", "follower unfenced". The state is so from the first step of the controller on, or, if it
/// has none, from the beginning.
fn variants(case: &Case) -> Checked {
    let mut seen: Vec<Leader> = Vec::new();
    let steps = list(&case.input["steps"])?;
    let acts = |step: &Value| step.as_str().is_some_and(|it| it.starts_with("controller"));
    let from = steps.iter().position(acts).unwrap_or(0);
    for variant in list(&case.input["variants"])? {
        let mut leader = Leader::new(&case.input)?;
        let state = State::read(text(variant)?)?;
        for (at, step) in steps.iter().enumerate() {
            if at == from {
                leader.set_broker(1, state);
            }
            leader.run(text(step)?)?;
        }
        seen.push(leader);
    }
    case.same_all(|key| {
        let Some(what) = key.strip_suffix("_by_variant") else {
            return Ok(None);
        };
        let what = what.strip_suffix("_after").unwrap_or(what);
        Ok(seen
            .iter()
            .map(|leader| observe(leader, what))
            .collect::<Option<Value>>())
    })
}

/// A sequence of committed ISRs.
fn isr_sequence(case: &Case) -> Checked {
    let sequence = list(&case.input["isr_sequence"])?;
    let mut input = case.input.clone();
    input["isr"] = sequence.first().cloned().unwrap_or(Value::Null);
    let mut leader = Leader::new(&input)?;
    let mut under = Vec::new();
    for isr in sequence {
        leader.commit_isr(ints(isr)?);
        under.push(leader.state.is_under_min_isr());
    }
    case.same_all(|key| Ok((key == "under_min_isr").then(|| json!(under))))
}

/// Metadata that is older, equal or newer than what the leader has.
fn partition_epoch(case: &Case) -> Checked {
    let mut input = case.input.clone();
    if input["isr"].is_null() {
        input["isr"] = json!([0]);
    }
    let mut leader = Leader::new(&input)?;
    let then = &case.input["then"];
    leader.metadata.leader_epoch = int32(&then["leader_epoch"])?;
    leader.metadata.partition_epoch = int32(&then["partition_epoch"])?;
    let outcome = leader.apply_metadata();
    case.same_all(|key| {
        Ok(match key {
            "applied" => Some(json!(outcome != MetadataOutcome::Stale)),
            "new_epoch" => {
                let new = matches!(
                    outcome,
                    MetadataOutcome::Applied {
                        new_epoch: true,
                        ..
                    }
                );
                Some(json!(new))
            }
            _ => observe(&leader, key.strip_suffix("_after").unwrap_or(key)),
        })
    })
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("leader_log_epochs") => divergence(case),
        () if case.has("request_epochs") => epoch_check(case),
        () if case.has("variants") => variants(case),
        () if case.has("isr_sequence") => isr_sequence(case),
        () if case.has("then") => partition_epoch(case),
        () if case.has("steps") && case.has("isr") => steps(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
