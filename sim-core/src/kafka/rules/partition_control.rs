//! What the controller does to a partition when brokers come and go, and what it answers to the
//! partition's leader.
//!
//! Follows `ReplicationControlManager`: broker fencing, unfencing, controlled and unclean shutdown,
//! election requests, and the checks of AlterPartition (KIP-841, KIP-903).

use super::election::{
    ChangeRequest, Election, NO_LEADER, PartitionChange, PartitionRegistration, RecoveryState,
    change_partition,
};
use super::replica::BrokerStatus;
use crate::few;
use crate::kafka::error::ErrorCode;

/// The settings under which a partition is changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ControlConfig {
    /// Effective `min.insync.replicas` of the topic: at most its replication factor.
    pub min_isr: i32,
    /// Whether eligible leader replicas are on.
    pub elr_enabled: bool,
    /// `unclean.leader.election.enable` of the topic.
    pub unclean_enabled: bool,
}

impl ControlConfig {
    fn request(&self, election: Election) -> ChangeRequest {
        ChangeRequest {
            election,
            min_isr: self.min_isr,
            elr_enabled: self.elr_enabled,
            ..ChangeRequest::default()
        }
    }

    /// The election that goes along with other changes: unclean only if the topic allows it.
    fn background_election(&self) -> Election {
        if self.unclean_enabled {
            Election::Unclean
        } else {
            Election::Online
        }
    }
}

/// What happened to a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum BrokerChange {
    /// It was fenced (no heartbeat for the session timeout, or it asked for it).
    Fenced(i32),
    /// It entered controlled shutdown.
    ControlledShutdown(i32),
    /// It was unfenced: leaderless partitions may elect it.
    Unfenced(i32),
    /// It registered again without its previous broker epoch: its page cache may be lost.
    UncleanShutdown(i32),
    /// It was removed from the cluster.
    Unregistered(i32),
}

/// The change of one partition that follows from a broker's change, if any. `active` tells which
/// brokers are live (neither fenced nor shutting down) *before* the change.
pub fn on_broker_change(
    partition: &PartitionRegistration,
    change: BrokerChange,
    config: ControlConfig,
    active: &impl Fn(i32) -> bool,
) -> Option<PartitionChange> {
    let (leaves, joins, unclean) = match change {
        BrokerChange::Fenced(id) | BrokerChange::ControlledShutdown(id) => {
            (partition.isr.contains(&id).then_some(id)?, None, None)
        }
        BrokerChange::Unfenced(id) => {
            if partition.has_leader() {
                return None;
            }
            (NO_LEADER, Some(id), None)
        }
        BrokerChange::UncleanShutdown(id) => {
            // Without ELR the controller keeps no account of unclean shutdowns.
            let holds = partition.isr.contains(&id) || partition.elr.contains(&id);
            if !config.elr_enabled || !holds {
                return None;
            }
            (id, None, Some(id))
        }
        BrokerChange::Unregistered(id) => {
            let holds = partition.isr.contains(&id) || partition.elr.contains(&id);
            (holds.then_some(id)?, None, None)
        }
    };
    let acceptable = |id: i32| id != leaves && (Some(id) == joins || active(id));
    let request = ChangeRequest {
        target_isr: Some(
            partition
                .isr
                .iter()
                .copied()
                .filter(|id| *id != leaves)
                .collect(),
        ),
        unclean_shutdown: unclean.into_iter().collect(),
        ..config.request(config.background_election())
    };
    change_partition(partition, &request, &acceptable)
}

/// An ElectLeaders request, or the periodic passes that do the same.
///
/// The periodic unclean pass calls it with [`Election::Unclean`] for leaderless partitions of
/// topics that allow unclean election; an administrator may ask for it on any topic.
pub fn elect_leader(
    partition: &PartitionRegistration,
    election: Election,
    config: ControlConfig,
    active: &impl Fn(i32) -> bool,
) -> Result<PartitionChange, ErrorCode> {
    let preferred = election == Election::Preferred;
    let needless = if preferred {
        partition.has_preferred_leader()
    } else {
        partition.has_leader()
    };
    if needless {
        return Err(ErrorCode::ElectionNotNeeded);
    }
    change_partition(partition, &config.request(election), active).ok_or(if preferred {
        ErrorCode::PreferredLeaderNotAvailable
    } else {
        ErrorCode::EligibleLeadersNotAvailable
    })
}

/// An AlterPartition request for one partition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct AlterPartition {
    /// The sender, who takes itself for the leader.
    pub broker: i32,
    /// Broker epoch of the sender.
    pub broker_epoch: i64,
    /// Leader epoch the sender knows.
    pub leader_epoch: i32,
    /// Partition epoch the sender knows.
    pub partition_epoch: i32,
    /// The ISR asked for, with broker epochs (-1 skips the check).
    pub isr: Vec<(i32, i64)>,
    /// The recovery state; a leader that took over always sends recovered.
    pub recovery: RecoveryState,
}

/// Checks an AlterPartition against the partition as it is.
///
/// Epochs newer than the controller's mean that it is no longer the active one.
pub fn validate_alter_partition(
    partition: &PartitionRegistration,
    request: &AlterPartition,
    brokers: &impl Fn(i32) -> Option<BrokerStatus>,
) -> Result<(), ErrorCode> {
    if brokers(request.broker).is_none_or(|broker| broker.epoch != request.broker_epoch) {
        return Err(ErrorCode::StaleBrokerEpoch);
    }
    if request.leader_epoch > partition.leader_epoch
        || request.partition_epoch > partition.partition_epoch
    {
        return Err(ErrorCode::NotController);
    }
    if request.leader_epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if request.broker != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let members: Vec<i32> = request.isr.iter().map(|(id, _)| *id).collect();
    let mut unique = members.clone();
    few::sort_by_key(&mut unique, |id| *id);
    unique.dedup();
    let recovering = request.recovery == RecoveryState::Recovering;
    if members.is_empty()
        || unique.len() != members.len()
        || !members.iter().all(|id| partition.replicas.contains(id))
        || !members.contains(&partition.leader)
        || (recovering && members.len() > 1)
        || (recovering && partition.recovery == RecoveryState::Recovered)
    {
        return Err(ErrorCode::InvalidRequest);
    }
    let eligible = |(id, epoch): &(i32, i64)| {
        brokers(*id).is_some_and(|broker| {
            let same = *epoch == -1 || *epoch == broker.epoch;
            !broker.fenced && !broker.in_controlled_shutdown && same
        })
    };
    if !request.isr.iter().all(eligible) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(())
}

/// The controller's answer to a valid AlterPartition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct AlterPartitionAnswer {
    /// The change to write, if the request changes anything.
    pub change: Option<PartitionChange>,
    /// The partition after it.
    pub partition: PartitionRegistration,
    /// NEW_LEADER_ELECTED when the change ended a reassignment that took the leadership away; the
    /// change is written all the same.
    pub error: ErrorCode,
}

/// Validates and works out an AlterPartition.
pub fn alter_partition(
    partition: &PartitionRegistration,
    request: &AlterPartition,
    config: ControlConfig,
    brokers: &impl Fn(i32) -> Option<BrokerStatus>,
) -> Result<AlterPartitionAnswer, ErrorCode> {
    validate_alter_partition(partition, request, brokers)?;
    let active = |id: i32| {
        brokers(id).is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
    };
    let wanted = ChangeRequest {
        target_isr: Some(request.isr.iter().map(|(id, _)| *id).collect()),
        target_recovery: Some(request.recovery),
        ..config.request(config.background_election())
    };
    let change = change_partition(partition, &wanted, &active);
    let moved = change.as_ref().and_then(|change| change.leader);
    let error = match moved {
        Some(leader) if leader != request.broker => ErrorCode::NewLeaderElected,
        _ => ErrorCode::None,
    };
    let after = change
        .as_ref()
        .map_or_else(|| partition.clone(), |change| partition.apply(change));
    Ok(AlterPartitionAnswer {
        change,
        partition: after,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: BrokerStatus = BrokerStatus {
        epoch: 10,
        fenced: false,
        in_controlled_shutdown: false,
    };

    fn brokers(id: i32) -> Option<BrokerStatus> {
        match id {
            1..=3 => Some(LIVE),
            4 => Some(BrokerStatus {
                fenced: true,
                ..LIVE
            }),
            5 => Some(BrokerStatus {
                in_controlled_shutdown: true,
                ..LIVE
            }),
            _ => None,
        }
    }

    fn partition() -> PartitionRegistration {
        let mut partition = PartitionRegistration::new(vec![1, 2, 3, 4, 5, 6]);
        (
            partition.isr,
            partition.leader_epoch,
            partition.partition_epoch,
        ) = (vec![1, 2], 4, 7);
        partition
    }

    fn request() -> AlterPartition {
        AlterPartition {
            broker: 1,
            broker_epoch: 10,
            leader_epoch: 4,
            partition_epoch: 7,
            isr: vec![(1, 10), (2, 10), (3, 10)],
            recovery: RecoveryState::Recovered,
        }
    }

    #[test]
    fn alter_partition_checks() {
        let check = |edit: fn(&mut AlterPartition), expect| {
            let mut request = request();
            edit(&mut request);
            let result = validate_alter_partition(&partition(), &request, &brokers);
            assert_eq!(result, expect, "{request:?}");
        };
        check(|_| (), Ok(()));
        check(|r| r.isr[2].1 = -1, Ok(()));
        check(|r| r.broker_epoch = 9, Err(ErrorCode::StaleBrokerEpoch));
        check(|r| r.leader_epoch = 5, Err(ErrorCode::NotController));
        check(|r| r.partition_epoch = 8, Err(ErrorCode::NotController));
        check(|r| r.leader_epoch = 3, Err(ErrorCode::FencedLeaderEpoch));
        check(
            |r| r.partition_epoch = 6,
            Err(ErrorCode::InvalidUpdateVersion),
        );
        check(|r| r.broker = 2, Err(ErrorCode::InvalidRequest));
        check(|r| r.isr = vec![(2, 10)], Err(ErrorCode::InvalidRequest));
        check(|r| r.isr.push((7, 10)), Err(ErrorCode::InvalidRequest));
        check(|r| r.isr.push((3, 10)), Err(ErrorCode::InvalidRequest));
        check(
            |r| r.recovery = RecoveryState::Recovering,
            Err(ErrorCode::InvalidRequest),
        );
        check(|r| r.isr[2].1 = 9, Err(ErrorCode::IneligibleReplica));
        check(|r| r.isr.push((4, -1)), Err(ErrorCode::IneligibleReplica));
        check(|r| r.isr.push((5, -1)), Err(ErrorCode::IneligibleReplica));
        check(|r| r.isr.push((6, -1)), Err(ErrorCode::IneligibleReplica));
    }

    /// Story S7: three replicas, two in sync at least, one after another cut off.
    #[test]
    fn the_last_replica_standing_loses_power() {
        let run = |elr_enabled: bool| {
            let config = ControlConfig {
                min_isr: 2,
                elr_enabled,
                unclean_enabled: false,
            };
            let mut partition = PartitionRegistration::new(vec![0, 1, 2]);
            let mut live = vec![0, 1, 2];
            let steps = [
                BrokerChange::Fenced(0),
                BrokerChange::Fenced(1),
                BrokerChange::Fenced(2),
                BrokerChange::UncleanShutdown(2),
                BrokerChange::Unfenced(0),
                BrokerChange::Unfenced(1),
                BrokerChange::Unfenced(2),
            ];
            let mut leaders = Vec::new();
            for step in steps {
                let active = |id: i32| live.contains(&id);
                if let Some(change) = on_broker_change(&partition, step, config, &active) {
                    partition = partition.apply(&change);
                }
                match step {
                    BrokerChange::Fenced(id) => live.retain(|other| *other != id),
                    BrokerChange::Unfenced(id) => live.push(id),
                    _ => (),
                }
                leaders.push((partition.leader, partition.leader_epoch));
            }
            leaders
        };
        let with_elr = [(1, 1), (2, 2), (-1, 3), (-1, 3), (-1, 3), (1, 4), (1, 4)];
        let without = [(1, 1), (2, 2), (-1, 3), (-1, 3), (-1, 3), (-1, 3), (2, 4)];
        assert_eq!(
            (run(true), run(false)),
            (with_elr.to_vec(), without.to_vec())
        );
    }
}
