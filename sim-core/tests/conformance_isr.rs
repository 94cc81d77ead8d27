//! Conformance: the leader's side of a partition - fetch validation, ISR, high watermark.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::fetch::{OffsetView, check_divergence, check_replica, latest_offset};
use sim_core::kafka::rules::isr::{
    AlterOutcome, IsrCommit, IsrProposal, LeaderConfig, MetadataOutcome, PartitionLeaderState,
    PartitionMetadata,
};
use sim_core::kafka::rules::replica::{BrokerStatus, FollowerFetch};
use sim_core::log::{Batch, Log, LogConfig, ProducerStamp, Record, RecordId};
use support::{Case, int, int32, ints, keys, list, numbers, run, text};

const LAG_MS: i64 = 30_000;
const BROKER_EPOCH: i64 = 10;

fn batch(count: i64) -> Batch {
    let record = |n| Record {
        id: RecordId(n),
        key: None,
        offset_delta: 0,
        bytes: 1,
        timestamp_ms: 1,
        tombstone: false,
    };
    let count = u64::try_from(count).unwrap();
    Batch::new((0..count).map(record).collect(), ProducerStamp::NONE)
}

/// `diverge-*`: a leader log given by `[epoch, start offset, count]`, and one fetch.
fn divergence(case: &Case) {
    let input = &case.input;
    let mut log: Log = Log::new(LogConfig::default());
    for run in list(&input["leader_log_epochs"]) {
        assert_eq!(
            log.leo(),
            int(&run[1]),
            "{}: epochs follow one another",
            case.id
        );
        log.append_as_leader(batch(int(&run[2])), int32(&run[0]));
    }
    assert_eq!(log.leo(), int(&input["leo"]), "{}", case.id);
    log.assign_epoch_at_end(int32(&input["leader_epoch"]));
    log.maybe_increment_start_offset(int(&input["log_start_offset"]));
    let fetch = &input["fetch"];
    let epoch = fetch["last_fetched_epoch"]
        .as_i64()
        .map(|it| i32::try_from(it).unwrap());
    let offset = int(&fetch["fetch_offset"]);
    let got = match check_divergence(&log, epoch, offset) {
        Err(error) => json!({"error": error.name()}),
        Ok(None) => json!({"diverging": null}),
        Ok(Some(end)) => json!({
            "diverging": {"epoch": end.epoch, "end_offset": end.end_offset},
            "records_returned": 0,
        }),
    };
    for key in keys(&case.expect) {
        assert_eq!(got[key], case.expect[key], "{}: {key}", case.id);
    }
}

/// `epoch-check-*`: which epochs pass at a leader or follower.
fn epoch_check(case: &Case) {
    let input = &case.input;
    let is_leader = text(&input["role"]) == "leader";
    // Followers serve consumers that name their rack, and nobody else.
    let rack_aware = input["client"]
        .as_str()
        .is_some_and(|client| client.contains("rack"));
    let local = int32(&input["local_leader_epoch"]);
    let answer = |epoch: &Value| {
        let epoch = epoch.as_i64().map(|it| i32::try_from(it).unwrap());
        match check_replica(epoch, local, is_leader, !rack_aware) {
            Ok(()) => json!("ok"),
            Err(error) => json!(error.name()),
        }
    };
    let got: Vec<_> = list(&input["request_epochs"]).iter().map(answer).collect();
    assert_eq!(json!(got), case.expect["result"], "{}", case.id);
}

/// A leader driven by the steps of a case.
struct Leader {
    state: PartitionLeaderState,
    metadata: PartitionMetadata,
    brokers: BTreeMap<i32, BrokerStatus>,
    leo: i64,
    start_ms: i64,
    now_ms: i64,
    proposals: Vec<IsrProposal>,
    last_outcome: Option<AlterOutcome>,
    expands: u64,
    shrinks: Vec<IsrProposal>,
}

impl Leader {
    fn new(input: &Value) -> Self {
        let steps = list(&input["steps"]).iter().map(text);
        // Cases name absolute times or none; without them the clock runs since long.
        let start_ms = if steps.clone().any(|step| step.contains("t=")) {
            0
        } else {
            1_000_000
        };
        let isr = ints(&input["isr"]);
        let replicas = if input["replicas"].is_null() {
            isr.clone()
        } else {
            ints(&input["replicas"])
        };
        let number = |key: &str, default| input[key].as_i64().unwrap_or(default);
        let metadata = PartitionMetadata {
            replicas,
            isr,
            leader_epoch: i32::try_from(number("leader_epoch", 1)).unwrap(),
            partition_epoch: i32::try_from(number("partition_epoch", 1)).unwrap(),
        };
        let config = LeaderConfig {
            min_insync_replicas: i32::try_from(number("min_insync_replicas", 1)).unwrap(),
            ..LeaderConfig::default()
        };
        let leo = number("leo", 0);
        let live = BrokerStatus {
            epoch: BROKER_EPOCH,
            fenced: false,
            in_controlled_shutdown: false,
        };
        let hw = number("hw", 0);
        Self {
            brokers: metadata.replicas.iter().map(|id| (*id, live)).collect(),
            state: PartitionLeaderState::new(0, BROKER_EPOCH, config, &metadata, leo, hw, start_ms),
            metadata,
            leo,
            start_ms,
            now_ms: start_ms,
            proposals: Vec::new(),
            last_outcome: None,
            expands: 0,
            shrinks: Vec::new(),
        }
    }

    /// The time a step names, else the time it is.
    fn set_time(&mut self, step: &str) {
        if let Some((_, time)) = step.split_once("t=") {
            self.now_ms = numbers(time)[0];
        } else if step.contains("t0+lag+1") {
            self.now_ms = self.start_ms + LAG_MS + 1;
        } else if let Some((_, time)) = step.split_once("t0+") {
            self.now_ms = self.start_ms + numbers(time)[0];
        } else if step.contains("after lag") {
            self.now_ms += LAG_MS + 1;
        }
    }

    fn run(&mut self, step: &str) {
        self.set_time(step);
        let brokers = self.brokers.clone();
        let status = |id: i32| brokers.get(&id).copied();
        if let Some((_, fetch)) = step.split_once("fetch(") {
            let at = numbers(fetch);
            let fetch = FollowerFetch {
                replica: i32::try_from(at[0]).unwrap(),
                offset: at[1],
                log_start_offset: 0,
                broker_epoch: BROKER_EPOCH,
                leader_epoch: Some(self.metadata.leader_epoch),
                now_ms: self.now_ms,
            };
            let outcome = self
                .state
                .update_follower_fetch(&fetch, self.leo, &status)
                .unwrap();
            self.expands += u64::from(outcome.expand.is_some());
            self.proposals.extend(outcome.expand);
        } else if step.contains("shrink check") {
            let proposal = self.state.maybe_shrink(self.leo, self.now_ms);
            self.proposals.extend(proposal.clone());
            self.shrinks.extend(proposal);
        } else if step.contains("accept") {
            self.answer(None, false);
        } else if step.contains("old AlterPartition response") {
            self.answer(None, true);
        } else if let Some(error) = ErrorCode::ALL.iter().find(|it| step.ends_with(it.name())) {
            self.answer(Some(*error), false);
        } else if step.starts_with("append") {
            self.leo = numbers(step)[1];
            self.state
                .maybe_increment_hw(self.leo, self.now_ms, &status);
        } else if let Some((head, isr)) = step.split_once('{') {
            let epoch = head
                .split_once("partition epoch")
                .map(|(_, epoch)| numbers(epoch)[0]);
            let next = i64::from(self.metadata.partition_epoch) + 1;
            self.metadata.partition_epoch = i32::try_from(epoch.unwrap_or(next)).unwrap();
            let members = isr.split('}').next().map(numbers).unwrap_or_default();
            self.metadata.isr = members
                .into_iter()
                .map(|id| i32::try_from(id).unwrap())
                .collect();
            self.state
                .apply_metadata(&self.metadata, self.leo, self.now_ms, &status);
        } else {
            let harmless = ["no more fetches", "become leader"];
            assert!(
                harmless.iter().any(|it| step.starts_with(it)),
                "unknown step {step}"
            );
        }
    }

    /// The controller answers the oldest or the newest request.
    fn answer(&mut self, error: Option<ErrorCode>, oldest: bool) {
        let proposal = if oldest {
            self.proposals.first()
        } else {
            self.proposals.last()
        };
        let proposal = proposal.expect("a request is on its way").clone();
        let commit = IsrCommit {
            isr: proposal.isr_ids(),
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch + 1,
        };
        let answer = error.map_or(Ok(&commit), Err);
        let brokers = self.brokers.clone();
        let status = |id: i32| brokers.get(&id).copied();
        let state = &mut self.state;
        let outcome =
            state.on_alter_partition_response(&proposal, answer, self.leo, self.now_ms, &status);
        self.last_outcome = Some(outcome);
    }

    /// What a case may ask for, after any step.
    fn observe(&self, what: &str) -> Value {
        let follower = self.state.follower(1);
        match what {
            "isr" => json!(self.state.isr()),
            "maximal_isr" => json!(self.state.maximal_isr()),
            "hw" => json!(self.state.high_watermark()),
            "partition_epoch" => json!(self.state.partition_epoch()),
            "in_flight" => json!(self.state.is_in_flight()),
            "last_caught_up_ms" => json!(follower.unwrap().last_caught_up_ms),
            "follower_leo" => json!(follower.unwrap().log_end_offset),
            "shrink_requested" => json!(self.shrinks.last().map(IsrProposal::isr_ids)),
            "under_min_isr" => json!(self.state.is_under_min_isr()),
            _ => panic!("unknown observation {what}"),
        }
    }
}

/// What is expected of a step: a list per step is named `<what>_after_each` or simply `<what>`.
fn steps(case: &Case) {
    let mut leader = Leader::new(&case.input);
    let mut history: Vec<(i64, BTreeMap<String, Value>)> = Vec::new();
    let per_step = |key: &str| match key.strip_suffix("_after_each") {
        Some(what) => Some(what.to_owned()),
        None => case.expect[key]
            .is_array()
            .then(|| key.to_owned())
            .filter(|key| matches!(key.as_str(), "last_caught_up_ms" | "follower_leo")),
    };
    for step in list(&case.input["steps"]) {
        leader.run(text(step));
        let wanted = keys(&case.expect).into_iter().filter_map(per_step);
        history.push((
            leader.now_ms,
            wanted.map(|it| (it.clone(), leader.observe(&it))).collect(),
        ));
    }
    for key in keys(&case.expect) {
        let expect = &case.expect[key];
        if let Some(what) = per_step(key) {
            for ((now_ms, seen), expect) in history.iter().zip(list(expect)) {
                let now = json!(now_ms);
                let expect = if expect == "now" { &now } else { expect };
                assert_eq!(&seen[&what], expect, "{}: {key}", case.id);
            }
            assert_eq!(history.len(), list(expect).len(), "{}: {key}", case.id);
            continue;
        }
        let got = match key {
            "expand_requests" => json!(leader.expands),
            "retried" => json!(leader.last_outcome == Some(AlterOutcome::Retry)),
            "shrink_requested" => json!(!leader.shrinks.is_empty()),
            // The failed request stays pending, and is sent again.
            "requests_pending_after_failure" => json!(leader.proposals.len()),
            _ => {
                let what = key
                    .strip_suffix("_after")
                    .or_else(|| key.strip_suffix("_at_end"));
                leader.observe(what.unwrap_or(key))
            }
        };
        assert_eq!(&got, expect, "{}: {key}", case.id);
    }
}

/// The same steps with the follower in different states.
fn variants(case: &Case) {
    let run = |variant: &Value| {
        let mut leader = Leader::new(&case.input);
        for step in list(&case.input["steps"]).iter().map(text) {
            if step.starts_with("controller") {
                let status = leader.brokers.get_mut(&1).unwrap();
                status.fenced = text(variant).ends_with(" fenced");
                status.in_controlled_shutdown = text(variant).ends_with("shutting down");
            }
            leader.run(step);
        }
        leader.state.high_watermark()
    };
    let got: Vec<_> = list(&case.input["variants"]).iter().map(run).collect();
    assert_eq!(
        json!(got),
        case.expect["hw_after_by_variant"],
        "{}",
        case.id
    );
}

/// A sequence of committed ISRs.
fn isr_sequence(case: &Case) {
    let sequence = list(&case.input["isr_sequence"]);
    let mut input = case.input.clone();
    input["isr"] = sequence[0].clone();
    let mut leader = Leader::new(&input);
    let mut under = Vec::new();
    for isr in sequence {
        leader.metadata.isr = ints(isr);
        leader.metadata.partition_epoch += 1;
        leader
            .state
            .apply_metadata(&leader.metadata, leader.leo, leader.now_ms, &|_| None);
        under.push(leader.observe("under_min_isr"));
    }
    assert_eq!(json!(under), case.expect["under_min_isr"], "{}", case.id);
}

/// Metadata that is older, equal or newer than what the leader has.
fn partition_epoch(case: &Case) {
    let mut input = case.input.clone();
    input["isr"] = json!([0]);
    let mut leader = Leader::new(&input);
    leader.metadata.leader_epoch = int32(&case.input["then"]["leader_epoch"]);
    leader.metadata.partition_epoch = int32(&case.input["then"]["partition_epoch"]);
    let outcome = leader
        .state
        .apply_metadata(&leader.metadata, 0, leader.now_ms, &|_| None);
    let applied = outcome != MetadataOutcome::Stale;
    assert_eq!(json!(applied), case.expect["applied"], "{}", case.id);
    let after = leader.observe("partition_epoch");
    assert_eq!(after, case.expect["partition_epoch_after"], "{}", case.id);
}

/// `hw-kip207`: no client sees the high watermark run backwards over a change of leader.
fn monotonic_latest_offset(case: &Case) {
    let input = json!({"replicas": [0, 1, 2], "isr": [0, 1, 2], "leo": 5, "hw": 2,
        "leader_epoch": 10, "steps": []});
    let mut leader = Leader::new(&input);
    let latest = |leader: &Leader| {
        let (hw, start) = (
            leader.state.high_watermark(),
            leader.state.epoch_start_offset(),
        );
        let offset = latest_offset(OffsetView::ReadUncommitted, leader.leo, hw, hw, Some(start));
        offset.map_or_else(|error| json!(error.name()), |offset| json!(offset))
    };
    assert_eq!(leader.state.high_watermark(), 2);
    assert_eq!(latest(&leader), case.expect["latest_before"], "{}", case.id);
    // The earliest offset is the log start, whatever the high watermark.
    let log: Log = Log::new(LogConfig::default());
    assert_eq!(
        json!(log.start_offset()),
        case.expect["earliest_before"],
        "{}",
        case.id
    );
    leader.run("fetch(1,5)");
    leader.run("fetch(2,5)");
    assert_eq!(latest(&leader), case.expect["latest_after"], "{}", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if case.id == "hw-kip207" => monotonic_latest_offset(case),
        () if has("leader_log_epochs") => divergence(case),
        () if has("request_epochs") => epoch_check(case),
        () if has("variants") => variants(case),
        () if has("isr_sequence") => isr_sequence(case),
        () if has("then") => partition_epoch(case),
        () if has("steps") => steps(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn partition_isr_and_high_watermark() {
    run!("partition-isr-hw.json", check);
}
