//! Cases of Kafka's own tests that have a shape of their own, each under its id: the others are
//! data, and run in the crate `conform`.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::election::{Election, PartitionRegistration};
use sim_core::kafka::rules::fetch::{OffsetView, latest_offset};
use sim_core::kafka::rules::isr::{LeaderConfig, PartitionLeaderState, PartitionMetadata};
use sim_core::kafka::rules::partition_control::{
    BrokerChange, ControlConfig, elect_leader, on_broker_change,
};
use sim_core::kafka::rules::quorum::ReplicaKey;
use sim_core::kafka::rules::quorum_leader::QuorumLeaderState;
use sim_core::kafka::rules::replica::{BrokerStatus, FollowerFetch};
use sim_core::log::{Log, LogConfig};

const BROKER_EPOCH: i64 = 10;

fn live(_: i32) -> Option<BrokerStatus> {
    Some(BrokerStatus {
        epoch: BROKER_EPOCH,
        fenced: false,
        in_controlled_shutdown: false,
    })
}

/// `PartitionTest.testMonotonicOffsetsAfterLeaderChange`: no client sees the high watermark run
/// backwards over a change of leader (KIP-207).
#[test]
fn hw_kip207() {
    let now_ms = 1_000_000;
    let mut metadata = PartitionMetadata {
        replicas: vec![0, 1, 2],
        isr: vec![0, 1, 2],
        leader_epoch: 8,
        partition_epoch: 1,
    };
    let config = LeaderConfig::default();
    let mut leader = PartitionLeaderState::new(0, BROKER_EPOCH, config, &metadata, 0, 0, now_ms);
    let fetch = |leader: &mut PartitionLeaderState, replica, offset, leader_epoch| {
        let fetch = FollowerFetch {
            replica,
            offset,
            log_start_offset: 0,
            broker_epoch: BROKER_EPOCH,
            leader_epoch: Some(leader_epoch),
            now_ms,
        };
        leader.update_follower_fetch(&fetch, 5, &live).unwrap();
    };
    fetch(&mut leader, 1, 2, 8);
    fetch(&mut leader, 2, 5, 8);
    assert_eq!(leader.high_watermark(), 2);
    (metadata.leader_epoch, metadata.partition_epoch) = (10, 2);
    leader.apply_metadata(&metadata, 5, now_ms, &live);
    let latest = |leader: &PartitionLeaderState| {
        let (hw, start) = (leader.high_watermark(), leader.epoch_start_offset());
        latest_offset(OffsetView::ReadUncommitted, 5, hw, hw, Some(start))
    };
    assert_eq!(
        (leader.epoch_start_offset(), leader.high_watermark()),
        (5, 2)
    );
    assert_eq!(latest(&leader), Err(ErrorCode::OffsetNotAvailable));
    // The earliest offset is the log start, whatever the high watermark.
    let log: Log = Log::new(LogConfig::default());
    assert_eq!(log.start_offset(), 0);
    fetch(&mut leader, 1, 5, 10);
    fetch(&mut leader, 2, 5, 10);
    assert_eq!(latest(&leader), Ok(5));
}

/// `ReplicationControlManagerTest.testElectPreferredLeaders`: brokers 0 and 1 were away, are back in
/// the ISRs, and take their leaderships again.
#[test]
fn preferred_02() {
    let config = ControlConfig {
        min_isr: 1,
        elr_enabled: false,
        unclean_enabled: false,
    };
    let assignments = [vec![1, 2, 3], vec![2, 3, 4], vec![0, 2, 1]];
    let mut results = Vec::new();
    let mut leaders = Vec::new();
    for replicas in assignments {
        let mut partition = PartitionRegistration::new(replicas);
        for (id, away) in [(0, [].as_slice()), (1, &[0])] {
            let active = |id: i32| !away.contains(&id);
            let change = on_broker_change(&partition, BrokerChange::Fenced(id), config, &active);
            if let Some(change) = change {
                partition = partition.apply(&change);
            }
        }
        partition.isr.clone_from(&partition.replicas);
        let before = partition.leader;
        match elect_leader(&partition, Election::Preferred, config, &|_| true) {
            Ok(change) => {
                partition = partition.apply(&change);
                results.push(ErrorCode::None);
            }
            Err(error) => results.push(error),
        }
        leaders.push((before != partition.leader).then_some(partition.leader));
    }
    let (none, not_needed) = (ErrorCode::None, ErrorCode::ElectionNotNeeded);
    assert_eq!(results, [none, not_needed, none]);
    assert_eq!(leaders, [Some(1), None, Some(0)]);
}

/// A leader whose followers stop fetching resigns after one and a half fetch timeouts.
#[test]
fn a_leader_without_a_quorum_resigns() {
    let voters = [1, 2, 3].map(ReplicaKey::of);
    let mut leader = QuorumLeaderState::new(voters[0], 5, 0, voters, 2_000, 0);
    assert!(leader.note_fetch(voters[1], 1_000));
    assert!(!leader.must_resign(3_999));
    assert!(leader.must_resign(4_000));
}
