//! Conformance: the controller - elections, eligible leader replicas, fencing, broker states.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::broker_state::{BrokerControlState, HeartbeatView, next_broker_state};
use sim_core::kafka::rules::election::{
    ChangeRequest, Election, PartitionChange, PartitionRegistration, RecoveryState,
    change_partition, elect,
};
use sim_core::kafka::rules::partition_control::{
    BrokerChange, ControlConfig, elect_leader, on_broker_change,
};
use support::{Case, int32, ints, keys, list, numbers, run, text};

/// Who is alive: "all", "none", "all but 3", or a list.
fn acceptable(value: &Value) -> impl Fn(i32) -> bool + use<> {
    let named: Vec<i32> = match value.as_str() {
        Some(words) => numbers(words)
            .into_iter()
            .map(|id| i32::try_from(id).unwrap())
            .collect(),
        None => ints(value),
    };
    let all = value.is_null() || value.as_str().is_some_and(|words| words.starts_with("all"));
    move |id| named.contains(&id) != all
}

fn election(value: &Value) -> Election {
    match value.as_str() {
        Some("PREFERRED") => Election::Preferred,
        Some("UNCLEAN") => Election::Unclean,
        Some("ONLINE") | None => Election::Online,
        Some(other) => panic!("unknown election {other}"),
    }
}

fn recovery(value: &Value) -> RecoveryState {
    if value == "RECOVERING" {
        RecoveryState::Recovering
    } else {
        RecoveryState::Recovered
    }
}

fn registration(value: &Value) -> PartitionRegistration {
    let mut partition = PartitionRegistration::new(ints(&value["replicas"]));
    if !value["isr"].is_null() {
        partition.isr = ints(&value["isr"]);
    }
    partition.leader = value["leader"]
        .as_i64()
        .map_or(partition.leader, |_| int32(&value["leader"]));
    partition.elr = ints(&value["elr"]);
    partition.last_known_elr = ints(&value["last_known_elr"]);
    partition.adding = ints(&value["adding"]);
    partition.removing = ints(&value["removing"]);
    partition.recovery = recovery(&value["recovery"]);
    partition
}

/// The change a case asks for. Whether ELR is on, and what `last_known_elr` means, is not in the
/// data but in the name of the test it restates.
fn change_request(case: &Case) -> ChangeRequest {
    let input = &case.input;
    let target = |key: &str| (!input[key].is_null()).then(|| ints(&input[key]));
    let partition = &input["partition"];
    let elr = !partition["elr"].is_null() || case.test.contains("EligibleLeaderReplicas");
    // "3.5" and "< 3.6" are before the change, ">= 3.6" is not.
    let version = input["metadata_version"].as_str().unwrap_or(">= 3.6");
    let old = version.starts_with('<') || version.starts_with("3.5") || version.starts_with("<=");
    ChangeRequest {
        election: election(&input["election"]),
        target_isr: target("target_isr"),
        target_replicas: target("target_replicas"),
        target_adding: target("target_adding"),
        target_removing: target("target_removing"),
        unclean_shutdown: target("unclean_shutdown").unwrap_or_default(),
        min_isr: partition["min_isr"]
            .as_i64()
            .map_or(1, |_| int32(&partition["min_isr"])),
        elr_enabled: elr,
        use_last_known_leader: case.test.to_lowercase().contains("lastknown"),
        bump_epoch_on_isr_shrink: old,
        ..ChangeRequest::default()
    }
}

/// Compares what a case expects with the partition before and after.
fn compare(
    case: &Case,
    before: &PartitionRegistration,
    change: Option<&PartitionChange>,
) -> PartitionRegistration {
    let after = change.map_or_else(|| before.clone(), |change| before.apply(change));
    let state = match after.recovery {
        RecoveryState::Recovered => "RECOVERED",
        RecoveryState::Recovering => "RECOVERING",
    };
    for key in keys(&case.expect) {
        let (old, new) = match key {
            "leader" => (json!(before.leader), json!(after.leader)),
            "isr" => (json!(before.isr), json!(after.isr)),
            "elr" => (json!(before.elr), json!(after.elr)),
            "last_known_elr" => (json!(before.last_known_elr), json!(after.last_known_elr)),
            "replicas" => (json!(before.replicas), json!(after.replicas)),
            "recovery" => (Value::Null, json!(state)),
            "unclean" => (
                Value::Null,
                json!(after.recovery == RecoveryState::Recovering),
            ),
            "leader_epoch_bumped" => (Value::Null, json!(after.leader_epoch > before.leader_epoch)),
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        let expect = &case.expect[key];
        let expect = if expect == "unchanged" { &old } else { expect };
        assert_eq!(&new, expect, "{}: {key}", case.id);
    }
    after
}

/// One change of one partition; where only the election's result is given, one election.
fn one_change(case: &Case) {
    let partition = registration(&case.input["partition"]);
    let outer = &case.input["acceptable"];
    let inner = &case.input["partition"]["acceptable"];
    let acceptable = acceptable(if outer.is_null() { inner } else { outer });
    let request = change_request(case);
    if keys(&case.expect) == ["leader", "unclean"] {
        let result = elect(&partition, &request, &acceptable);
        let got = json!({"leader": result.leader, "unclean": result.unclean});
        assert_eq!(got, case.expect, "{}", case.id);
        return;
    }
    let change = change_partition(&partition, &request, &acceptable);
    compare(case, &partition, change.as_ref());
}

/// `unclean-03`: a partition loses its leader and gets it back.
fn leader_comes_back(case: &Case) {
    let mut partition = registration(&case.input["partition"]);
    let mut seen = json!({"leader": [], "isr": [], "recovery": []});
    for step in list(&case.input["steps"]).iter().map(text) {
        let request = ChangeRequest {
            target_isr: step.contains("target ISR empty").then(Vec::new),
            elr_enabled: false,
            ..ChangeRequest::default()
        };
        let all = !step.starts_with("all unacceptable");
        if let Some(change) = change_partition(&partition, &request, &|_| all) {
            partition = partition.apply(&change);
        }
        let state = if partition.recovery == RecoveryState::Recovering {
            "RECOVERING"
        } else {
            "RECOVERED"
        };
        for (key, value) in [
            ("leader", json!(partition.leader)),
            ("isr", json!(partition.isr)),
            ("recovery", json!(state)),
        ] {
            seen[key].as_array_mut().unwrap().push(value);
        }
    }
    assert_eq!(seen, case.expect, "{}", case.id);
}

/// A cluster as the controller sees it: partitions, and who is live.
struct Cluster {
    partitions: Vec<PartitionRegistration>,
    live: BTreeSet<i32>,
    config: ControlConfig,
}

impl Cluster {
    fn new(partitions: &[Value], config: ControlConfig) -> Self {
        let partitions: Vec<_> = partitions
            .iter()
            .map(|ids| PartitionRegistration::new(ints(ids)))
            .collect();
        let live = partitions
            .iter()
            .flat_map(|partition| partition.replicas.clone())
            .collect();
        Self {
            partitions,
            live,
            config,
        }
    }

    fn broker(&mut self, change: BrokerChange) {
        let live = self.live.clone();
        for partition in &mut self.partitions {
            let active = |id: i32| live.contains(&id);
            if let Some(change) = on_broker_change(partition, change, self.config, &active) {
                *partition = partition.apply(&change);
            }
        }
        match change {
            BrokerChange::Fenced(id) | BrokerChange::ControlledShutdown(id) => {
                self.live.remove(&id)
            }
            BrokerChange::Unfenced(id) => self.live.insert(id),
            BrokerChange::UncleanShutdown(_) | BrokerChange::Unregistered(_) => false,
        };
    }

    /// Steps in words: "fence 1,2 then 3", "unfence 2, fence 0 and 1", "unfence all", "0 shuts
    /// down cleanly".
    fn step(&mut self, words: &str) {
        let mut change: Option<fn(i32) -> BrokerChange> = words
            .contains("shuts down cleanly")
            .then_some(BrokerChange::ControlledShutdown);
        for word in words.split([' ', ',']) {
            match word {
                "fence" => change = Some(BrokerChange::Fenced),
                "unfence" => change = Some(BrokerChange::Unfenced),
                "all" => {
                    let all = self.partitions.iter().flat_map(|it| it.replicas.clone());
                    for id in all.collect::<BTreeSet<_>>() {
                        self.broker(BrokerChange::Unfenced(id));
                    }
                }
                "then" | "and" | "in" | "order" | "shuts" | "down" | "cleanly" | "" => (),
                id => self.broker(change.unwrap()(id.parse().unwrap())),
            }
        }
    }

    fn elect(&mut self, election: Election) -> Vec<Value> {
        let (config, live) = (self.config, self.live.clone());
        let ask = |partition: &mut PartitionRegistration| match elect_leader(
            partition,
            election,
            config,
            &|id| live.contains(&id),
        ) {
            Ok(change) => {
                *partition = partition.apply(&change);
                json!(ErrorCode::None.name())
            }
            Err(error) => json!(error.name()),
        };
        self.partitions.iter_mut().map(ask).collect()
    }

    /// Leaders and ISRs, as `[leader, [isr]]`.
    fn leaders(&self) -> Value {
        json!(
            self.partitions
                .iter()
                .map(|it| json!([it.leader, it.isr]))
                .collect::<Vec<_>>()
        )
    }
}

const WITHOUT_ELR: ControlConfig = ControlConfig {
    min_isr: 1,
    elr_enabled: false,
    unclean_enabled: false,
};

/// `elr-12` and on: eligible leader replicas of one partition while brokers come and go.
fn elr_steps(case: &Case) {
    let min_isr = int32(&case.input["min_isr"]);
    let config = ControlConfig {
        min_isr,
        elr_enabled: true,
        unclean_enabled: false,
    };
    let mut cluster = Cluster::new(&[case.input["replicas"].clone()], config);
    let mut elrs = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        cluster.step(step);
        elrs.push(cluster.partitions[0].elr.clone());
    }
    let end = &cluster.partitions[0];
    for key in keys(&case.expect) {
        let got = match key {
            "elr" => json!(elrs),
            "elr_at_end" => json!(end.elr),
            "isr_at_end" => json!(end.isr),
            "leader_at_end" => json!(end.leader),
            "last_known_elr_at_end" => json!(end.last_known_elr),
            _ => panic!("{}: unknown expectation {key}", case.id),
        };
        assert_eq!(got, case.expect[key], "{}: {key}", case.id);
    }
}

/// `fence-*`: brokers are fenced one after another.
fn fencing(case: &Case) {
    let mut cluster = Cluster::new(list(&case.input["partitions"]), WITHOUT_ELR);
    for id in ints(&case.input["fence"]) {
        cluster.broker(BrokerChange::Fenced(id));
    }
    for (at, partition) in cluster.partitions.iter().enumerate() {
        assert_eq!(
            json!(partition.isr),
            case.expect["isr"][at],
            "{}: isr of {at}",
            case.id
        );
        match case.expect["leader"][at].as_str() {
            Some(words) => {
                let not: i32 = words.strip_prefix("not ").unwrap().parse().unwrap();
                assert_ne!(partition.leader, not, "{}: leader of {at}", case.id);
            }
            None => assert_eq!(
                json!(partition.leader),
                case.expect["leader"][at],
                "{}",
                case.id
            ),
        }
    }
}

/// `preferred-02`: brokers 0 and 1 were away, are back, and take their leaderships again.
fn preferred_election(case: &Case) {
    let partitions = [json!([1, 2, 3]), json!([2, 3, 4]), json!([0, 2, 1])];
    let mut cluster = Cluster::new(&partitions, WITHOUT_ELR);
    cluster.step("fence 0 and 1");
    cluster.step("unfence 0 and 1");
    for partition in &mut cluster.partitions {
        partition.isr = partition.replicas.clone();
    }
    let before = cluster.partitions.clone();
    let results = cluster.elect(Election::Preferred);
    assert_eq!(json!(results), case.expect["results"], "{}", case.id);
    let moved = |at: &usize| cluster.partitions[*at].leader != before[*at].leader;
    let moved = (0..partitions.len()).filter(moved);
    let leaders: serde_json::Map<_, _> = moved
        .map(|at| (at.to_string(), json!(cluster.partitions[at].leader)))
        .collect();
    assert_eq!(json!(leaders), case.expect["new_leaders"], "{}", case.id);
}

/// `preferred-03`: an election request on one partition in a given state.
fn election_request(case: &Case) {
    let input = &case.input;
    let partition = registration(input);
    let config = ControlConfig {
        unclean_enabled: input["unclean_enabled_on_topic"].as_bool().unwrap_or(false),
        ..WITHOUT_ELR
    };
    let alive = acceptable(&input["alive"]);
    let result = elect_leader(&partition, election(&input["election"]), config, &alive);
    let name = result
        .as_ref()
        .map_or_else(|error| error.name(), |_| ErrorCode::None.name());
    assert_eq!(json!(name), case.expect["result"], "{}", case.id);
    assert_eq!(json!(result.is_ok()), case.expect["changed"], "{}", case.id);
}

/// `unclean-04`: unclean election asked for by an administrator.
fn unclean_requests(case: &Case) {
    let mut cluster = Cluster::new(list(&case.input["partitions"]), WITHOUT_ELR);
    let mut results = vec!["first_request", "second_request"].into_iter();
    for step in list(&case.input["steps"]).iter().map(text) {
        let (words, asks) = match step.split_once("unclean election request") {
            Some((words, _)) => (words, true),
            None => (step, false),
        };
        cluster.step(words.trim().trim_end_matches(','));
        if asks {
            let key = results.next().unwrap();
            let got = cluster.elect(Election::Unclean);
            assert_eq!(json!(got), case.expect[key], "{}: {key}", case.id);
        } else {
            assert_eq!(
                cluster.leaders(),
                case.expect["after_fencing"],
                "{}",
                case.id
            );
        }
    }
    assert_eq!(cluster.leaders()[0], case.expect["p0_after"], "{}", case.id);
}

/// `unclean-05`: the periodic pass, under three settings. The static one holds from the start, the
/// topic's own is set only before the pass.
fn unclean_pass(case: &Case) {
    for (at, setting) in list(&case.input["unclean_config"])
        .iter()
        .map(text)
        .enumerate()
    {
        let config = ControlConfig {
            unclean_enabled: setting == "static true",
            ..WITHOUT_ELR
        };
        let in_pass = config.unclean_enabled || setting == "dynamic topic true";
        let mut cluster = Cluster::new(list(&case.input["partitions"]), config);
        let steps: Vec<_> = list(&case.input["steps"]).iter().map(text).collect();
        cluster.step(steps[0]);
        let everywhere = json!(vec![json!([-1, [4]]); cluster.partitions.len()]);
        assert_eq!(
            cluster.leaders(),
            everywhere,
            "{}: {}",
            case.id,
            case.expect["after_fencing"]
        );
        cluster.step(steps[1]);
        let expect = &case.expect["p0_after_unfence_2"][at];
        assert_eq!(&cluster.leaders()[0], expect, "{}: {setting}", case.id);
        if in_pass {
            cluster.elect(Election::Unclean);
        }
        for (partition, key) in ["p0_after_pass", "p1_after_pass"].into_iter().enumerate() {
            let got = &cluster.leaders()[partition];
            assert_eq!(got, &case.expect[key][at], "{}: {setting} {key}", case.id);
        }
    }
}

/// `broker-*`: the state after a heartbeat.
fn broker_states(case: &Case) {
    let registration_offset = support::int(&case.input["registration_offset"]);
    let next = |row: &Value| {
        let words = text(&row[1]);
        let current = match text(&row[0]) {
            "FENCED" => BrokerControlState::Fenced,
            "UNFENCED" => BrokerControlState::Unfenced,
            "CONTROLLED_SHUTDOWN" => BrokerControlState::ControlledShutdown,
            other => panic!("unknown state {other}"),
        };
        let offset = words
            .split_once("metadata offset")
            .map(|(_, at)| numbers(at)[0]);
        let view = HeartbeatView {
            want_fence: words.contains("want fence"),
            want_shut_down: words.contains("want shutdown"),
            metadata_offset: offset.unwrap_or(registration_offset),
            registration_offset,
            has_leaderships: words.contains("still leads"),
            controlled_shutdown_offset: 0,
            lowest_active_offset: 0,
        };
        match next_broker_state(current, &view) {
            BrokerControlState::Fenced => "FENCED",
            BrokerControlState::Unfenced => "UNFENCED",
            BrokerControlState::ControlledShutdown => "CONTROLLED_SHUTDOWN",
            BrokerControlState::ShutdownNow => "SHUTDOWN_NOW",
        }
    };
    let got: Vec<_> = list(&case.input["cases"]).iter().map(next).collect();
    assert_eq!(json!(got), case.expect["next"], "{}", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if has("partition") && has("steps") => leader_comes_back(case),
        () if has("partition") => one_change(case),
        () if has("registration_offset") => broker_states(case),
        () if has("unclean_config") => unclean_pass(case),
        () if has("partitions") && has("fence") => fencing(case),
        () if has("partitions") && has("steps") => unclean_requests(case),
        () if has("continues") => preferred_election(case),
        () if has("alive") => election_request(case),
        () if has("replicas") && has("steps") => elr_steps(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn controller_election() {
    run!("controller-election.json", check);
}
