//! What the conformance cases leave open in the rules of replication: the minimum ISR, the epoch
//! start, the variants of the high watermark, answers to AlterPartition, Raft's own-term rule.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::isr::{
    AcksProgress, AlterOutcome, IsrCommit, IsrProposal, LeaderConfig, PartitionLeaderState,
    PartitionMetadata,
};
use sim_core::kafka::rules::quorum::ReplicaKey;
use sim_core::kafka::rules::quorum_leader::QuorumLeaderState;
use sim_core::kafka::rules::replica::{BrokerStatus, FollowerFetch};
use sim_core::kafka::rules::replication::{HighWatermarkOver, ReplicationRules};

const NOW_MS: i64 = 1_000_000;

fn live(_: i32) -> Option<BrokerStatus> {
    Some(BrokerStatus {
        epoch: 10,
        fenced: false,
        in_controlled_shutdown: false,
    })
}

fn metadata(isr: &[i32], partition_epoch: i32) -> PartitionMetadata {
    PartitionMetadata {
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        leader_epoch: 5,
        partition_epoch,
    }
}

/// Broker 1 leads a partition of three replicas.
fn leader(
    isr: &[i32],
    leo: i64,
    hw: i64,
    min_isr: i32,
    rules: ReplicationRules,
) -> PartitionLeaderState {
    let config = LeaderConfig {
        min_insync_replicas: min_isr,
        rules,
        ..LeaderConfig::default()
    };
    PartitionLeaderState::new(1, 10, config, &metadata(isr, 7), leo, hw, NOW_MS)
}

fn fetch(replica: i32, offset: i64) -> FollowerFetch {
    FollowerFetch {
        replica,
        offset,
        log_start_offset: 0,
        broker_epoch: 10,
        leader_epoch: Some(5),
        now_ms: NOW_MS,
    }
}

fn commit(proposal: &IsrProposal) -> IsrCommit {
    IsrCommit {
        isr: proposal.isr_ids(),
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch + 1,
    }
}

#[test]
fn the_high_watermark_stands_still_below_min_insync_replicas() {
    let check = |strict_min_isr: bool, hw: i64| {
        let rules = ReplicationRules {
            strict_min_isr,
            ..Default::default()
        };
        let mut leader = leader(&[1], 0, 0, 2, rules);
        leader.maybe_increment_hw(1, NOW_MS + 60_000, &|_| None);
        assert_eq!(leader.high_watermark(), hw, "strict {strict_min_isr}");
        assert_eq!(
            leader.check_produce(true),
            Err(ErrorCode::NotEnoughReplicas)
        );
        assert_eq!(leader.check_produce(false), Ok(()));
    };
    check(true, 0);
    check(false, 1);
}

#[test]
fn a_joining_follower_must_reach_the_epoch_start() {
    let check = |expand_requires_epoch_start: bool, offset: i64, joins: bool| {
        let rules = ReplicationRules {
            expand_requires_epoch_start,
            ..Default::default()
        };
        // The new leader's high watermark is old; its epoch starts at 10.
        let mut leader = leader(&[1, 2], 10, 4, 1, rules);
        let outcome = leader
            .update_follower_fetch(&fetch(3, offset), 10, &live)
            .unwrap();
        assert_eq!(
            outcome.expand.is_some(),
            joins,
            "{expand_requires_epoch_start} at {offset}"
        );
    };
    check(true, 9, false);
    check(true, 10, true);
    check(false, 9, true);
    check(false, 3, false);
}

/// The controller has accepted an expansion whose answer the leader has not seen; it appends. Then
/// the high watermark, while the new member is at 0.
fn accepted_expansion(hw_over: HighWatermarkOver) -> i64 {
    let rules = ReplicationRules {
        hw_over,
        ..Default::default()
    };
    let mut leader = leader(&[1], 0, 0, 1, rules);
    let outcome = leader
        .update_follower_fetch(&fetch(2, 0), 0, &live)
        .unwrap();
    assert_eq!(
        outcome.expand.unwrap().isr_ids(),
        [1, 2],
        "the controller accepts this"
    );
    leader.maybe_increment_hw(1, NOW_MS, &live);
    leader.high_watermark()
}

/// The leader asks for a shrink that the controller has not seen. Then the high watermark, while
/// the member to leave is at 0.
fn uncommitted_shrink(hw_over: HighWatermarkOver) -> i64 {
    let rules = ReplicationRules {
        hw_over,
        ..Default::default()
    };
    let mut leader = leader(&[1, 2, 3], 0, 0, 1, rules);
    leader
        .update_follower_fetch(&fetch(3, 0), 0, &live)
        .unwrap();
    let late = NOW_MS + 60_000;
    let caught_up = FollowerFetch {
        now_ms: late,
        ..fetch(3, 1)
    };
    leader.update_follower_fetch(&caught_up, 1, &live).unwrap();
    let proposal = leader.maybe_shrink(1, late).unwrap();
    assert_eq!(
        proposal.isr_ids(),
        [1, 3],
        "the controller has not seen this"
    );
    leader.maybe_increment_hw(1, late, &live);
    leader.high_watermark()
}

// The shortest counterexamples of the model of asynchronous ISR changes (KIP-497): the high
// watermark passes a member of the controller's ISR.

#[test]
fn tla_async_committed_only() {
    assert_eq!(accepted_expansion(HighWatermarkOver::CommittedOnly), 1);
    assert_eq!(uncommitted_shrink(HighWatermarkOver::CommittedOnly), 0);
}

#[test]
fn tla_async_pending_only() {
    assert_eq!(accepted_expansion(HighWatermarkOver::PendingOnly), 0);
    assert_eq!(uncommitted_shrink(HighWatermarkOver::PendingOnly), 1);
}

#[test]
fn the_high_watermark_over_the_maximal_isr_passes_nobody() {
    assert_eq!(accepted_expansion(HighWatermarkOver::MaximalIsr), 0);
    assert_eq!(uncommitted_shrink(HighWatermarkOver::MaximalIsr), 0);
}

#[test]
fn answers_to_alter_partition() {
    let check = |error: Option<ErrorCode>, expect: AlterOutcome, isr: &[i32], maximal: &[i32]| {
        let mut leader = leader(&[1, 2], 10, 10, 1, ReplicationRules::default());
        let outcome = leader
            .update_follower_fetch(&fetch(3, 10), 10, &live)
            .unwrap();
        let proposal = outcome.expand.unwrap();
        let commit = commit(&proposal);
        let answer = error.map_or(Ok(&commit), Err);
        let got = leader.on_alter_partition_response(&proposal, answer, 10, NOW_MS, &live);
        assert_eq!(got, expect, "{error:?}");
        assert_eq!(
            (leader.isr(), leader.maximal_isr()),
            (isr, maximal.to_vec()),
            "{error:?}"
        );
    };
    let (two, three) = ([1, 2], [1, 2, 3]);
    check(
        None,
        AlterOutcome::Committed { hw_moved: false },
        &three,
        &three,
    );
    check(
        Some(ErrorCode::IneligibleReplica),
        AlterOutcome::RolledBack,
        &two,
        &two,
    );
    check(
        Some(ErrorCode::InvalidUpdateVersion),
        AlterOutcome::AwaitMetadata,
        &two,
        &three,
    );
    check(
        Some(ErrorCode::FencedLeaderEpoch),
        AlterOutcome::AwaitMetadata,
        &two,
        &three,
    );
    check(
        Some(ErrorCode::NetworkException),
        AlterOutcome::Retry,
        &two,
        &three,
    );
    check(
        Some(ErrorCode::StaleBrokerEpoch),
        AlterOutcome::Retry,
        &two,
        &three,
    );
}

#[test]
fn a_resurrected_broker_does_not_join() {
    let check = |status: Option<BrokerStatus>, joins: Result<bool, ErrorCode>| {
        let mut leader = leader(&[1, 2], 10, 10, 1, ReplicationRules::default());
        let outcome = leader.update_follower_fetch(&fetch(3, 10), 10, &|_| status);
        assert_eq!(outcome.map(|it| it.expand.is_some()), joins, "{status:?}");
    };
    let status = live(3).unwrap();
    check(Some(status), Ok(true));
    check(None, Ok(false));
    check(
        Some(BrokerStatus {
            fenced: true,
            ..status
        }),
        Ok(false),
    );
    check(
        Some(BrokerStatus {
            in_controlled_shutdown: true,
            ..status
        }),
        Ok(false),
    );
    // The leader's metadata is behind the follower's registration, or ahead of it.
    check(Some(BrokerStatus { epoch: 9, ..status }), Ok(false));
    check(
        Some(BrokerStatus {
            epoch: 11,
            ..status
        }),
        Err(ErrorCode::NotLeaderOrFollower),
    );
}

#[test]
fn acks_all_may_fail_after_the_append() {
    let mut leader = leader(&[1, 2], 10, 0, 2, ReplicationRules::default());
    assert_eq!(leader.acks_progress(10), AcksProgress::Waiting);
    leader
        .update_follower_fetch(&fetch(2, 10), 10, &live)
        .unwrap();
    assert_eq!(leader.acks_progress(10), AcksProgress::Done);
    leader.apply_metadata(&metadata(&[1], 8), 10, NOW_MS, &live);
    assert_eq!(
        leader.acks_progress(10),
        AcksProgress::NotEnoughReplicasAfterAppend
    );
}

#[test]
fn nothing_is_committed_before_a_record_of_the_own_epoch() {
    let voters = [1, 2, 3].map(ReplicaKey::of);
    let mut leader = QuorumLeaderState::new(voters[0], 4, 10, voters, 2000, 0);
    assert_eq!(leader.update_local(11, &voters), Ok(false));
    assert!(
        !leader.update_replica(voters[1], 10, 1),
        "all of the old epochs, nothing of the new"
    );
    assert_eq!(leader.high_watermark(), None);
    assert!(leader.update_replica(voters[1], 11, 2));
    assert_eq!(leader.high_watermark(), Some(11));
}
