//! The controller - one change of one partition, broker states, AlterPartition checks:
//! `PartitionChangeBuilderTest`, `BrokerHeartbeatManagerTest`, `ReplicationControlManagerTest`.
//! A whole cluster's is in [`super::controller_cluster`].

use super::controller_cluster as cluster;
use super::errors;
use crate::case::{Case, Checked, unknown};
use crate::values::{ids, int32, ints, list, number_after, numbers, offset, offset_or, text};
use serde_json::{Map, Value, json};
use sim_core::kafka::rules::broker_state::{BrokerControlState, HeartbeatView, next_broker_state};
use sim_core::kafka::rules::election::{
    ChangeRequest, Election, PartitionRegistration, RecoveryState, change_partition, elect,
};
use sim_core::kafka::rules::partition_control::{AlterPartition, validate_alter_partition};
use sim_core::kafka::rules::replica::BrokerStatus;
use std::collections::BTreeMap;

/// Who is alive: "all", "none", "all but 3", or a list.
pub(super) fn acceptable(value: &Value) -> Checked<impl Fn(i32) -> bool + use<>> {
    let words = value.as_str();
    let named = match words {
        Some(words) => ids(words)?,
        None => ints(value)?,
    };
    let all = match words {
        None => value.is_null(),
        Some(words) if words.starts_with("all") => true,
        Some(words) if words.starts_with("none") || words.starts_with("only") => false,
        Some(other) => return Err(unknown("set of brokers", other)),
    };
    Ok(move |id| named.contains(&id) != all)
}

pub(super) fn election(value: &Value) -> Checked<Election> {
    match value.as_str() {
        Some("PREFERRED") => Ok(Election::Preferred),
        Some("UNCLEAN") => Ok(Election::Unclean),
        Some("ONLINE") | None if value.is_null() || value.is_string() => Ok(Election::Online),
        _ => Err(unknown("election", value)),
    }
}

fn recovery(value: &Value) -> Checked<RecoveryState> {
    match value.as_str() {
        Some("RECOVERING") => Ok(RecoveryState::Recovering),
        Some("RECOVERED") => Ok(RecoveryState::Recovered),
        None if value.is_null() => Ok(RecoveryState::Recovered),
        _ => Err(unknown("recovery state", value)),
    }
}

pub(super) fn registration(value: &Value) -> Checked<PartitionRegistration> {
    let mut partition = PartitionRegistration::new(ints(&value["replicas"])?);
    if !value["isr"].is_null() {
        partition.isr = ints(&value["isr"])?;
    }
    if !value["leader"].is_null() {
        partition.leader = int32(&value["leader"])?;
    }
    partition.elr = ints(&value["elr"])?;
    partition.last_known_elr = ints(&value["last_known_elr"])?;
    partition.adding = ints(&value["adding"])?;
    partition.removing = ints(&value["removing"])?;
    partition.recovery = recovery(&value["recovery"])?;
    for (key, epoch) in [
        ("leader_epoch", &mut partition.leader_epoch),
        ("partition_epoch", &mut partition.partition_epoch),
    ] {
        if !value[key].is_null() {
            // The change adds one to it.
            *epoch = int32(&value[key])?.min(i32::MAX - 1);
        }
    }
    Ok(partition)
}

/// Whether this metadata version is before 3.6: "3.5", "3.5-IV2", "< 3.6" are, ">= 3.6" is not.
fn before_3_6(version: &Value) -> Checked<bool> {
    let Some(words) = version.as_str() else {
        return Ok(false);
    };
    let digits: Vec<i64> = words.split(['.', '-']).flat_map(numbers).collect();
    match (words.starts_with('<'), digits.as_slice()) {
        (below, [major, minor, ..]) => {
            Ok((*major, *minor) < (3, 6) || (below && (*major, *minor) == (3, 6)))
        }
        _ => Err(unknown("metadata version", words)),
    }
}

/// A setting that a case may give at either place.
fn given<'a>(input: &'a Value, key: &str) -> &'a Value {
    match &input[key] {
        Value::Null => &input["partition"][key],
        found => found,
    }
}

/// The change a case asks for. Whether ELR is on, and what `last_known_elr` means, is mostly not in
/// the data but in the name of the test it restates.
fn change_request(case: &Case) -> Checked<ChangeRequest> {
    let input = &case.input;
    let target = |key: &str| match &input[key] {
        Value::Null => Ok(None),
        ids => ints(ids).map(Some),
    };
    let named = case.test.to_lowercase();
    let speaks = !input["partition"]["elr"].is_null() || named.contains("eligibleleaderreplicas");
    let flag = |keys: &[&str], default| {
        let found = keys.iter().find_map(|key| given(input, key).as_bool());
        found.unwrap_or(default)
    };
    let last_known = [
        "use_last_known_leader",
        "last_known_leader_enabled",
        "last_known_leader",
    ];
    Ok(ChangeRequest {
        election: election(&input["election"])?,
        target_isr: target("target_isr")?,
        target_replicas: target("target_replicas")?,
        target_adding: target("target_adding")?,
        target_removing: target("target_removing")?,
        target_recovery: match &input["target_recovery"] {
            Value::Null => None,
            other => Some(recovery(other)?),
        },
        unclean_shutdown: target("unclean_shutdown")?.unwrap_or_default(),
        min_isr: match given(input, "min_isr") {
            Value::Null => 1,
            other => int32(other)?,
        },
        elr_enabled: flag(&["elr_enabled", "elr_enable"], speaks),
        use_last_known_leader: flag(&last_known, named.contains("lastknown")),
        bump_epoch_on_isr_shrink: before_3_6(given(input, "metadata_version"))?,
    })
}

pub(super) fn recovery_name(state: RecoveryState) -> &'static str {
    match state {
        RecoveryState::Recovered => "RECOVERED",
        RecoveryState::Recovering => "RECOVERING",
    }
}

/// One change of one partition; where only the election's result is asked for, one election.
fn one_change(case: &Case) -> Checked {
    let before = registration(&case.input["partition"])?;
    let acceptable = acceptable(given(&case.input, "acceptable"))?;
    let request = change_request(case)?;
    if case.expects("unclean") {
        let result = elect(&before, &request, &acceptable);
        return case.same_all(|key| {
            Ok(match key {
                "leader" => Some(json!(result.leader)),
                "unclean" => Some(json!(result.unclean)),
                _ => None,
            })
        });
    }
    let change = change_partition(&before, &request, &acceptable);
    let after = change
        .as_ref()
        .map_or_else(|| before.clone(), |change| before.apply(change));
    case.same_all(|key| {
        let (old, new) = match key {
            "leader" => (json!(before.leader), json!(after.leader)),
            "isr" => (json!(before.isr), json!(after.isr)),
            "elr" => (json!(before.elr), json!(after.elr)),
            "last_known_elr" => (json!(before.last_known_elr), json!(after.last_known_elr)),
            "replicas" => (json!(before.replicas), json!(after.replicas)),
            "adding" => (json!(before.adding), json!(after.adding)),
            "removing" => (json!(before.removing), json!(after.removing)),
            "recovery" => (
                json!(recovery_name(before.recovery)),
                json!(recovery_name(after.recovery)),
            ),
            "leader_epoch_bumped" => {
                return Ok(Some(json!(after.leader_epoch > before.leader_epoch)));
            }
            "changed" => return Ok(Some(json!(change.is_some()))),
            "no_change" => return Ok(Some(json!(change.is_none()))),
            // A case that expects none says so with null or in words.
            "change" | "record" if change.is_none() => {
                let none = ["none", "no change", "empty"];
                let said = case.expect[key]
                    .as_str()
                    .is_some_and(|it| none.contains(&it));
                return Ok(Some(if said {
                    case.expect[key].clone()
                } else {
                    Value::Null
                }));
            }
            _ => return Ok(None),
        };
        Ok(Some(match case.expect[key] == "unchanged" && old == new {
            true => json!("unchanged"),
            false => new,
        }))
    })
}

/// A partition that loses its leader and gets it back: "all unacceptable, target ISR empty (no
/// ELR)", "all acceptable".
fn changes_in_turn(case: &Case) -> Checked {
    let mut partition = registration(&case.input["partition"])?;
    let mut seen: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for step in list(&case.input["steps"])? {
        let step = text(step)?;
        let mut request = change_request(case)?;
        let mut all = None;
        for part in step.split(['(', ')', ',']).map(str::trim) {
            match part {
                "all acceptable" => all = Some(true),
                "all unacceptable" | "none acceptable" => all = Some(false),
                "target ISR empty" => request.target_isr = Some(Vec::new()),
                "no ELR" => request.elr_enabled = false,
                "" => (),
                _ => return Err(unknown("step", step)),
            }
        }
        let all = all.ok_or_else(|| unknown("step", step))?;
        if let Some(change) = change_partition(&partition, &request, &|_| all) {
            partition = partition.apply(&change);
        }
        for (key, value) in [
            ("leader", json!(partition.leader)),
            ("isr", json!(partition.isr)),
            ("elr", json!(partition.elr)),
            ("recovery", json!(recovery_name(partition.recovery))),
        ] {
            seen.entry(key).or_default().push(value);
        }
    }
    case.same_all(|key| Ok(seen.get(key).map(|all| json!(all))))
}

/// The state after a heartbeat: `[state, "want shutdown, still leads partitions"]`.
fn broker_states(case: &Case) -> Checked {
    let registration_offset = offset(&case.input["registration_offset"])?;
    let mut states = Vec::new();
    for row in list(&case.input["cases"])? {
        let current = match text(&row[0])? {
            "FENCED" => BrokerControlState::Fenced,
            "UNFENCED" => BrokerControlState::Unfenced,
            "CONTROLLED_SHUTDOWN" => BrokerControlState::ControlledShutdown,
            "SHUTDOWN_NOW" => BrokerControlState::ShutdownNow,
            other => return Err(unknown("state", other)),
        };
        let words = text(&row[1])?;
        let known = ["want", "lead", "offset", "caught up", "behind", "nothing"];
        if !known.iter().any(|it| words.contains(it)) {
            return Err(unknown("heartbeat", words));
        }
        let others_behind = words.contains("behind") || words.contains("not caught up");
        let lowest = number_after(words, "lowest active offset ")?.unwrap_or(0);
        let shutdown = number_after(words, "controlled shutdown offset ")?;
        let view = HeartbeatView {
            want_fence: words.contains("want fence") || words.contains("want both"),
            want_shut_down: words.contains("shutdown") && words.contains("want"),
            metadata_offset: number_after(words, "metadata offset ")?
                .unwrap_or(registration_offset),
            registration_offset,
            has_leaderships: words.contains("still lead"),
            controlled_shutdown_offset: shutdown.unwrap_or(i64::from(others_behind)),
            lowest_active_offset: lowest,
        };
        states.push(match next_broker_state(current, &view) {
            BrokerControlState::Fenced => "FENCED",
            BrokerControlState::Unfenced => "UNFENCED",
            BrokerControlState::ControlledShutdown => "CONTROLLED_SHUTDOWN",
            BrokerControlState::ShutdownNow => "SHUTDOWN_NOW",
        });
    }
    case.same_all(|key| Ok((key == "next").then(|| json!(states))))
}

/// The ISR of a request: ids, or ids with broker epochs.
fn isr_with_epochs(value: &Value) -> Checked<Vec<(i32, i64)>> {
    let member = |member: &Value| match member {
        Value::Array(_) => Ok((int32(&member[0])?, offset(&member[1])?)),
        id => Ok((int32(id)?, -1)),
    };
    list(value)?.iter().map(member).collect()
}

/// The check of AlterPartition requests, one or several, each against the partition as it is.
fn alter_partition(case: &Case) -> Checked {
    let input = &case.input;
    let partition = registration(&input["partition"])?;
    let named = |key: &str| ints(&input[key]);
    let (fenced, leaving) = (named("fenced")?, named("in_controlled_shutdown")?);
    let epochs: Map<String, Value> = input["broker_epochs"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut brokers = BTreeMap::new();
    for id in &partition.replicas {
        let epoch = offset_or(epochs.get(&id.to_string()).unwrap_or(&Value::Null), 100)?;
        let status = BrokerStatus {
            epoch,
            fenced: fenced.contains(id),
            in_controlled_shutdown: leaving.contains(id),
        };
        brokers.insert(*id, status);
    }
    let requests = match &input["requests"] {
        Value::Null => std::slice::from_ref(&input["request"]),
        many => list(many)?,
    };
    let mut results = Vec::new();
    for request in requests {
        let broker = match &request["broker"] {
            Value::Null => partition.leader,
            other => int32(other)?,
        };
        let known = brokers.get(&broker).map_or(-1, |status| status.epoch);
        let epoch = |key: &str, default| match &request[key] {
            Value::Null => Ok(default),
            other => int32(other),
        };
        let asked = AlterPartition {
            broker,
            broker_epoch: offset_or(&request["broker_epoch"], known)?,
            leader_epoch: epoch("leader_epoch", partition.leader_epoch)?,
            partition_epoch: epoch("partition_epoch", partition.partition_epoch)?,
            isr: isr_with_epochs(&request["isr"])?,
            recovery: recovery(&request["recovery"])?,
        };
        results.push(validate_alter_partition(&partition, &asked, &|id| {
            brokers.get(&id).copied()
        }));
    }
    case.same_all(|key| {
        let expected = &case.expect[key];
        let name = |result: &Result<(), _>, expected: &Value| match result {
            Ok(()) => json!("NONE"),
            Err(error) => errors::named(*error, expected),
        };
        Ok(match key {
            "results" | "errors" => {
                let each = results.iter().enumerate();
                let of = |at| expected.get(at).unwrap_or(&Value::Null);
                Some(each.map(|(at, result)| name(result, of(at))).collect())
            }
            "result" | "error" => results.first().map(|result| name(result, expected)),
            _ => None,
        })
    })
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("partition") && (case.has("request") || case.has("requests")) => {
            alter_partition(case)
        }
        () if case.has("partition") && case.has("steps") => changes_in_turn(case),
        () if case.has("partition") => one_change(case),
        () if case.has("registration_offset") => broker_states(case),
        () if case.has("unclean_config") => cluster::unclean_pass(case),
        () if case.has("partitions") && case.has("fence") => cluster::fencing(case),
        () if case.has("partitions") && case.has("steps") => cluster::steps(case),
        () if case.has("partitions") => cluster::elections(case),
        () if case.has("alive") => cluster::election_request(case),
        () if case.has("replicas") && case.has("steps") => cluster::elr_steps(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
