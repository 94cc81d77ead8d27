//! The controller and a whole cluster - fencing, eligible leader replicas, election requests:
//! `ReplicationControlManagerTest`.

use super::controller::{acceptable, election, registration};
use super::errors;
use crate::case::{Case, Checked, unknown};
use crate::values::{ids, int32, ints, list, text};
use serde_json::{Map, Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::election::{Election, PartitionRegistration};
use sim_core::kafka::rules::partition_control::{
    AlterPartition, BrokerChange, ControlConfig, alter_partition, elect_leader, on_broker_change,
};
use sim_core::kafka::rules::replica::BrokerStatus;
use std::collections::BTreeSet;

const BROKER_EPOCH: i64 = 100;

const WITHOUT_ELR: ControlConfig = ControlConfig {
    min_isr: 1,
    elr_enabled: false,
    unclean_enabled: false,
};

/// A cluster as the controller sees it: partitions, and who is live.
struct Cluster {
    partitions: Vec<PartitionRegistration>,
    live: BTreeSet<i32>,
    config: ControlConfig,
}

impl Cluster {
    fn new(partitions: &[Value], config: ControlConfig) -> Checked<Self> {
        let replicas: Checked<Vec<_>> = partitions.iter().map(ints).collect();
        let partitions: Vec<_> = replicas?
            .into_iter()
            .map(PartitionRegistration::new)
            .collect();
        let live = partitions
            .iter()
            .flat_map(|it| it.replicas.clone())
            .collect();
        Ok(Self {
            partitions,
            live,
            config,
        })
    }

    fn broker(&mut self, change: BrokerChange) {
        let live = &self.live;
        for partition in &mut self.partitions {
            let active = |id: i32| live.contains(&id);
            if let Some(change) = on_broker_change(partition, change, self.config, &active) {
                *partition = partition.apply(&change);
            }
        }
        match change {
            BrokerChange::Fenced(id)
            | BrokerChange::ControlledShutdown(id)
            | BrokerChange::Unregistered(id) => {
                self.live.remove(&id);
            }
            BrokerChange::Unfenced(id) => {
                self.live.insert(id);
            }
            BrokerChange::UncleanShutdown(_) => (),
        }
    }

    fn all(&self) -> BTreeSet<i32> {
        self.partitions
            .iter()
            .flat_map(|it| it.replicas.clone())
            .collect()
    }

    /// Steps in words: "fence 1,2 then 3", "unfence 2, fence 0 and 1", "unfence all", "0 shuts down
    /// cleanly", "3 shuts down uncleanly", "unregister 1", "leader shrinks ISR to {0,1}".
    fn step(&mut self, words: &str) -> Checked {
        if let Some((_, isr)) = words.split_once("ISR") {
            return self.alter_isr(ids(isr)?);
        }
        let unclean = words.contains("unclean");
        let mut change: Option<fn(i32) -> BrokerChange> = match () {
            () if unclean && words.contains("shut") => Some(BrokerChange::UncleanShutdown),
            () if words.contains("shuts down cleanly") || words.contains("controlled shutdown") => {
                Some(BrokerChange::ControlledShutdown)
            }
            () => None,
        };
        for word in words.split([' ', ',']) {
            match word {
                "fence" => change = Some(BrokerChange::Fenced),
                "unfence" => change = Some(BrokerChange::Unfenced),
                "unregister" => change = Some(BrokerChange::Unregistered),
                "all" => {
                    for id in self.all() {
                        self.broker(change.ok_or_else(|| unknown("step", words))?(id));
                    }
                }
                "then" | "and" | "in" | "order" | "shuts" | "down" | "cleanly" | "uncleanly"
                | "unclean" | "controlled" | "shutdown" | "of" | "broker" | "" => (),
                id => {
                    let id = id.parse().map_err(|_| unknown("step", words))?;
                    self.broker(change.ok_or_else(|| unknown("step", words))?(id));
                }
            }
        }
        Ok(())
    }

    /// The leader of the first partition asks for this ISR.
    fn alter_isr(&mut self, isr: Vec<i32>) -> Checked {
        let live = &self.live;
        let status = |id: i32| {
            Some(BrokerStatus {
                epoch: BROKER_EPOCH,
                fenced: !live.contains(&id),
                in_controlled_shutdown: false,
            })
        };
        let Some(partition) = self.partitions.first_mut() else {
            return Err(unknown("step", "on no partition"));
        };
        let request = AlterPartition {
            broker: partition.leader,
            broker_epoch: BROKER_EPOCH,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: isr.into_iter().map(|id| (id, BROKER_EPOCH)).collect(),
            recovery: partition.recovery,
        };
        let answer = alter_partition(partition, &request, self.config, &status);
        let answer = answer.map_err(|error| unknown("step that fails with", error.name()))?;
        *partition = answer.partition;
        Ok(())
    }

    /// An election of every partition: its result, as an error.
    fn elect(&mut self, election: Election) -> Vec<Value> {
        let (config, live) = (self.config, &self.live);
        let alive = |id: i32| live.contains(&id);
        let ask = |partition: &mut PartitionRegistration| match elect_leader(
            partition, election, config, &alive,
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
        let all = self.partitions.iter();
        all.map(|it| json!([it.leader, it.isr])).collect()
    }
}

/// Eligible leader replicas of one partition while brokers come and go.
pub(super) fn elr_steps(case: &Case) -> Checked {
    let replicas = &case.input["replicas"];
    // No topic can ask for more in-sync replicas than it has.
    let most = i32::try_from(list(replicas)?.len()).unwrap_or(i32::MAX);
    let config = ControlConfig {
        min_isr: int32(&case.input["min_isr"])?.min(most),
        elr_enabled: case.input["elr_enabled"] != json!(false),
        unclean_enabled: case.input["unclean_enabled"] == json!(true),
    };
    let mut cluster = Cluster::new(std::slice::from_ref(replicas), config)?;
    let mut history: Vec<PartitionRegistration> = Vec::new();
    for step in list(&case.input["steps"])? {
        cluster.step(text(step)?)?;
        history.extend(cluster.partitions.first().cloned());
    }
    let observe = |what: &str, it: &PartitionRegistration| {
        Some(match what {
            "elr" => json!(it.elr),
            "isr" => json!(it.isr),
            "leader" => json!(it.leader),
            "last_known_elr" => json!(it.last_known_elr),
            _ => return None,
        })
    };
    case.same_all(|key| {
        if key == "effective_min_isr" {
            return Ok(Some(json!(config.min_isr)));
        }
        if let (Some(what), Some(end)) = (key.strip_suffix("_at_end"), history.last()) {
            return Ok(observe(what, end));
        }
        let what = key.strip_suffix("_after_each").unwrap_or(key);
        Ok(history
            .iter()
            .map(|it| observe(what, it))
            .collect::<Option<Value>>())
    })
}

/// A leader that is told by what it is not: "not 2".
fn other_than(expected: &Value, leader: i32) -> Checked<Value> {
    let Some(words) = expected.as_str() else {
        return Ok(json!(leader));
    };
    let not = words
        .strip_prefix("not ")
        .and_then(|id| id.parse::<i32>().ok());
    let not = not.ok_or_else(|| unknown("leader", words))?;
    Ok(if leader == not {
        json!(leader)
    } else {
        expected.clone()
    })
}

/// Brokers are fenced one after another.
pub(super) fn fencing(case: &Case) -> Checked {
    let mut cluster = Cluster::new(list(&case.input["partitions"])?, WITHOUT_ELR)?;
    for id in ints(&case.input["fence"])? {
        cluster.broker(BrokerChange::Fenced(id));
    }
    case.same_all(|key| {
        let each = cluster.partitions.iter();
        Ok(match key {
            "isr" => Some(each.map(|it| json!(it.isr)).collect()),
            "leader" => {
                let expected = |at| case.expect[key].get(at).unwrap_or(&Value::Null);
                let leaders = each
                    .enumerate()
                    .map(|(at, it)| other_than(expected(at), it.leader));
                Some(leaders.collect::<Checked<Value>>()?)
            }
            _ => None,
        })
    })
}

/// An election of all partitions, with some brokers away: fenced or shutting down since before the
/// topic was made, so that they are in no ISR.
pub(super) fn elections(case: &Case) -> Checked {
    let input = &case.input;
    let partitions = list(&input["partitions"])?;
    let kind = election(&input["election"])?;
    if !case.has("election") {
        return Err(unknown("shape of", &case.id));
    }
    let mut cluster = Cluster::new(partitions, WITHOUT_ELR)?;
    for id in ints(&input["fenced"])?
        .into_iter()
        .chain(ints(&input["in_controlled_shutdown"])?)
    {
        cluster.broker(BrokerChange::Fenced(id));
    }
    let before = cluster.partitions.clone();
    let results = cluster.elect(kind);
    let after = cluster.partitions.iter().zip(&before).enumerate();
    let moved = after.filter(|(_, (now, then))| now.leader != then.leader);
    let leaders: Map<_, _> = moved
        .map(|(at, (now, _))| (at.to_string(), json!(now.leader)))
        .collect();
    case.same_all(|key| {
        Ok(match key {
            "results" => Some(json!(results)),
            "new_leaders" => Some(Value::Object(leaders.clone())),
            "leaders" => Some(cluster.leaders()),
            _ => None,
        })
    })
}

/// An election request on one partition in a given state.
pub(super) fn election_request(case: &Case) -> Checked {
    let input = &case.input;
    let partition = registration(input)?;
    let config = ControlConfig {
        unclean_enabled: input["unclean_enabled_on_topic"] == json!(true),
        ..WITHOUT_ELR
    };
    let alive = acceptable(&input["alive"])?;
    let result = elect_leader(&partition, election(&input["election"])?, config, &alive);
    let after = result
        .as_ref()
        .map_or_else(|_| partition.clone(), |change| partition.apply(change));
    case.same_all(|key| {
        Ok(match key {
            "result" => Some(match &result {
                Ok(_) => json!(ErrorCode::None.name()),
                Err(error) => errors::named(*error, &case.expect[key]),
            }),
            "changed" => Some(json!(result.is_ok())),
            "leader" => Some(json!(after.leader)),
            "isr" => Some(json!(after.isr)),
            _ => None,
        })
    })
}

/// Brokers come and go, and an administrator asks for elections: "fence 2,3 then 1", "unclean
/// election request", "unfence 2, unclean election request".
pub(super) fn steps(case: &Case) -> Checked {
    let mut cluster = Cluster::new(list(&case.input["partitions"])?, WITHOUT_ELR)?;
    let mut answers = Vec::new();
    let mut before = None;
    for step in list(&case.input["steps"])? {
        let step = text(step)?;
        let asks = [
            ("unclean election request", Election::Unclean),
            ("preferred election request", Election::Preferred),
        ];
        let ask = asks
            .iter()
            .find_map(|(name, kind)| Some((step.strip_suffix(name)?, *kind)));
        cluster.step(ask.map_or(step, |(words, _)| words.trim().trim_end_matches(',')))?;
        if let Some((_, kind)) = ask {
            before.get_or_insert_with(|| cluster.leaders());
            answers.push(json!(cluster.elect(kind)));
        }
    }
    let end = cluster.leaders();
    let before = before.unwrap_or_else(|| end.clone());
    case.same_all(|key| {
        let places = ["first_request", "second_request", "third_request"];
        if let Some(at) = places.iter().position(|it| *it == key) {
            return Ok(answers.get(at).cloned());
        }
        let one = key
            .strip_prefix('p')
            .and_then(|rest| rest.strip_suffix("_after"));
        if let Some(Ok(at)) = one.map(str::parse::<usize>) {
            return Ok(end.get(at).cloned());
        }
        Ok(match key {
            "after_fencing" => Some(before.clone()),
            "at_end" => Some(end.clone()),
            "results" => answers.last().cloned(),
            _ => None,
        })
    })
}

/// The periodic pass, under several settings. The static one holds from the start, the topic's own
/// is set only before the pass.
pub(super) fn unclean_pass(case: &Case) -> Checked {
    let [fence, back, pass] = list(&case.input["steps"])? else {
        return Err(unknown("steps of", &case.id));
    };
    if pass != "periodic unclean pass" {
        return Err(unknown("step", pass));
    }
    let (mut fenced, mut returned, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    for setting in list(&case.input["unclean_config"])? {
        let (from_start, in_pass) = match text(setting)? {
            "none" => (false, false),
            "static true" => (true, true),
            words if words.starts_with("dynamic") && words.ends_with("true") => (false, true),
            other => return Err(unknown("setting", other)),
        };
        let config = ControlConfig {
            unclean_enabled: from_start,
            ..WITHOUT_ELR
        };
        let mut cluster = Cluster::new(list(&case.input["partitions"])?, config)?;
        cluster.step(text(fence)?)?;
        fenced.push(cluster.leaders());
        cluster.step(text(back)?)?;
        returned.push(cluster.leaders());
        if in_pass {
            cluster.elect(Election::Unclean);
        }
        passed.push(cluster.leaders());
    }
    case.same_all(|key| {
        let column =
            |rows: &[Value], at: usize| rows.iter().map(|row| row.get(at).cloned()).collect();
        let place = key
            .strip_prefix('p')
            .and_then(|rest| rest.split('_').next());
        let place = place.and_then(|at| at.parse::<usize>().ok());
        Ok(match (key, place) {
            ("after_fencing", _) => Some(everywhere(&fenced, &case.expect[key])?),
            (_, Some(at)) if key.contains("_after_unfence") => column(&returned, at),
            (_, Some(at)) if key.ends_with("_after_pass") => column(&passed, at),
            _ => None,
        })
    })
}

/// "leader -1, ISR [4] everywhere", if it is so.
fn everywhere(rows: &[Value], expected: &Value) -> Checked<Value> {
    let Some((leader, isr)) = expected.as_str().and_then(|it| it.split_once(", ISR ")) else {
        return Ok(json!(rows));
    };
    let leader = leader.strip_prefix("leader ").unwrap_or_default();
    let [leader] = ids(leader)?[..] else {
        return Err(unknown("expectation", expected));
    };
    let wanted = json!([leader, ids(isr)?]);
    let so = rows
        .iter()
        .flat_map(|row| row.as_array())
        .flatten()
        .all(|it| *it == wanted);
    Ok(if so { expected.clone() } else { json!(rows) })
}
