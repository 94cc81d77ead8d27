//! When checkpoints are triggered, complete, fail.

use super::{Cluster, spec, task};
use crate::kernel::{Input, MILLISECOND, NodeId, SECOND};
use crate::stream::jobmanager::{Cause, JobStatus};
use crate::stream::node::Order;
use crate::stream::note::Rule;
use crate::stream::protocol::{CheckpointMetrics, Decline, Packet};
use crate::stream::rules::barrier::Alignment;
use crate::stream::rules::fault::checkpoint_failures::FailureReason;
use crate::stream::snapshot::Handle;
use std::sync::Arc;

const EVERY_10_S: (&str, &str) = ("execution.checkpointing.interval", "10 s");

#[test]
fn a_checkpoint_longer_than_the_interval_is_followed_by_the_next_or_by_the_pause() {
    // Starts after the first, s.
    let check = |pause: &str, concurrent: &str, took_s: u64, expect: &[u64]| {
        let set = [
            EVERY_10_S,
            ("execution.checkpointing.min-pause", pause),
            (
                "execution.checkpointing.max-concurrent-checkpoints",
                concurrent,
            ),
        ];
        let mut it = Cluster::running(spec([2, 2, 2], &[2], &set));
        it.duration = took_s * SECOND;
        it.run(120);
        let triggered = it.log.iter().filter_map(|(at, _, packet)| match packet {
            Packet::TriggerCheckpoint { .. } => Some(*at),
            _ => None,
        });
        let triggered: Vec<_> = triggered.collect();
        let since: Vec<_> = triggered
            .iter()
            .map(|at| (at - triggered[0] + MILLISECOND / 2) / SECOND)
            .take(expect.len())
            .collect();
        assert_eq!(since, expect, "pause {pause}, {took_s} s");
        let (first, longest) = (triggered[0], 12 * SECOND);
        assert!(
            first <= longest,
            "within the interval or the pause: {first}"
        );
    };
    check("0", "1", 25, &[0, 25, 50, 75]);
    check("10 s", "1", 25, &[0, 35, 70]);
    check("0", "1", 3, &[0, 10, 20, 30]);
    check("9 s", "1", 3, &[0, 12, 24, 36]);
    check("0", "2", 15, &[0, 10, 20, 30]);
    check("12 s", "1", 1, &[0, 13, 26]);
}

#[test]
fn a_checkpoint_is_complete_when_its_metadata_is_stored() {
    let set = [("execution.checkpointing.num-retained", "2")];
    let mut it = Cluster::running(spec([2, 2, 2], &[1, 1], &set));
    it.run(1);
    it.storage_answers = false;
    it.give(Input::Order(Order::TriggerCheckpoint));
    it.run(2);
    assert!(it.manager.completed().is_empty());
    let pending = it.manager.pending().values().next().expect("one");
    assert!(pending.waiting.is_empty());
    let metadata = Handle {
        checkpoint: 1,
        task: None,
        bytes: 7 * 256,
    };
    it.storage_answers = true;
    it.say(NodeId(3), Packet::StateWritten { handle: metadata });
    assert_eq!(it.rule(Rule::CheckpointCompleted), [(2, 1_000, 1)]);
    let told = it.log.iter().filter_map(|(_, to, packet)| match packet {
        Packet::NotifyCheckpointComplete { .. } => Some(to.0),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [1, 2]);
    // Two are kept, older ones go.
    for _ in 0..3 {
        it.checkpoint();
    }
    assert_eq!(it.discarded(), [1, 2]);
    let kept: Vec<_> = it.manager.completed().iter().map(|it| it.id).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn barriers_are_aligned_as_the_settings_say() {
    let check = |set: &[(&str, &str)], expect: Alignment| {
        let mut it = Cluster::running(spec([1, 1, 1], &[1], set));
        it.run(1);
        it.checkpoint();
        let barrier = it.log.iter().find_map(|(_, _, packet)| match packet {
            Packet::TriggerCheckpoint { barrier, tasks, .. } => Some((*barrier, tasks.clone())),
            _ => None,
        });
        let (barrier, tasks) = barrier.expect("triggered");
        assert_eq!(barrier.alignment, expect);
        assert_eq!((barrier.checkpoint, barrier.created_ms), (1, 1_000));
        assert_eq!(tasks, [task(0, 0)], "sources alone");
    };
    let unaligned = ("execution.checkpointing.unaligned.enabled", "true");
    let timeout = ("execution.checkpointing.aligned-checkpoint-timeout", "2 s");
    let at_least_once = ("execution.checkpointing.mode", "AT_LEAST_ONCE");
    check(&[], Alignment::Aligned);
    check(&[unaligned], Alignment::Unaligned);
    check(
        &[unaligned, timeout],
        Alignment::AlignedWithTimeout { timeout_ms: 2_000 },
    );
    check(&[unaligned, at_least_once], Alignment::Aligned);
}

#[test]
fn failed_checkpoints_fail_the_job_beyond_what_is_tolerable() {
    // Which attempt runs after so many expired checkpoints.
    let check = |tolerable: &str, expired: u32, attempt: u32| {
        let set = [
            ("execution.checkpointing.timeout", "5 s"),
            (
                "execution.checkpointing.tolerable-failed-checkpoints",
                tolerable,
            ),
            ("restart-strategy.type", "fixed-delay"),
        ];
        let mut it = Cluster::running(spec([1, 1, 1], &[1], &set));
        it.run(1);
        it.stuck.insert(task(1, 0));
        for round in 0..expired {
            it.give(Input::Order(Order::TriggerCheckpoint));
            it.run(10 + 10 * u64::from(round));
        }
        assert_eq!(it.manager.attempt(), attempt, "{tolerable} {expired}");
        let failed = it.rule(Rule::CheckpointFailed);
        let reason = FailureReason::CheckpointExpired as i64;
        assert!(failed.iter().all(|it| it.1 == reason));
        assert_eq!(failed.len(), expired as usize);
        if attempt > 1 {
            let cause = Cause::Checkpoint(FailureReason::CheckpointExpired);
            assert_eq!(it.manager.cause(), Some(cause));
        }
    };
    check("0", 1, 2);
    check("1", 1, 1);
    check("1", 2, 2);
    check("2", 2, 1);
}

#[test]
fn what_comes_late_is_discarded() {
    let set = [
        ("execution.checkpointing.timeout", "5 s"),
        ("execution.checkpointing.tolerable-failed-checkpoints", "9"),
    ];
    let mut it = Cluster::running(spec([1, 1, 1], &[1], &set));
    it.run(1);
    it.stuck.insert(task(1, 0));
    it.give(Input::Order(Order::TriggerCheckpoint));
    it.run(10);
    assert_eq!(it.discarded(), [1]);
    let handle = Handle {
        checkpoint: 1,
        task: Some(task(1, 0)),
        bytes: 10,
    };
    it.say(
        NodeId(1),
        Packet::AcknowledgeCheckpoint {
            attempt: 1,
            checkpoint: 1,
            task: task(1, 0),
            handle,
            metrics: CheckpointMetrics::default(),
            files: Arc::default(),
        },
    );
    assert_eq!(it.discarded(), [1, 1]);
    assert!(it.manager.completed().is_empty());
    it.stuck.clear();
    it.checkpoint();
    assert_eq!(it.manager.completed()[0].id, 2);
}

#[test]
fn a_declined_checkpoint_counts_by_its_reason() {
    let check = |reason: Decline, fails: bool| {
        let mut it = Cluster::running(spec([1, 1, 1], &[1], &[]));
        it.run(1);
        it.stuck.insert(task(1, 0));
        it.give(Input::Order(Order::TriggerCheckpoint));
        it.say(
            NodeId(1),
            Packet::DeclineCheckpoint {
                attempt: 1,
                checkpoint: 1,
                task: task(1, 0),
                reason,
            },
        );
        assert!(it.manager.pending().is_empty());
        it.run(2);
        let failed = it.manager.status() == JobStatus::Failed;
        assert_eq!(failed, fails, "{reason:?}");
    };
    check(Decline::TaskNotReady, false);
    check(Decline::AsyncException, true);
}

#[test]
fn a_checkpoint_needs_every_task() {
    let mut it = Cluster::new(spec([1, 1, 1], &[1], &[EVERY_10_S]));
    it.give(Input::Boot);
    it.run(15);
    let reason = FailureReason::NotAllRequiredTasksRunning as i64;
    let failed = it.rule(Rule::CheckpointFailed);
    assert!(!failed.is_empty() && failed.iter().all(|it| (it.1, it.2) == (reason, -1)));
    it.register_all();
    it.run(30);
    assert_eq!(it.manager.completed().len(), 1);
}

#[test]
fn a_storage_that_is_gone_fails_what_is_being_completed() {
    let mut it = Cluster::running(spec([1, 1, 1], &[1], &[]));
    it.run(1);
    it.storage_answers = false;
    it.give(Input::Order(Order::TriggerCheckpoint));
    it.run(2);
    it.give(Input::Disconnected(NodeId(2)));
    let reason = FailureReason::FinalizeCheckpointFailure;
    assert_eq!(it.rule(Rule::CheckpointFailed), [(2, reason as i64, 1)],);
    assert_eq!(it.manager.cause(), Some(Cause::Checkpoint(reason)));
}

#[test]
fn tasks_that_finished_are_left_out_and_their_state_is_carried_on() {
    let set = [("restart-strategy.type", "fixed-delay")];
    let mut it = Cluster::running(spec([2, 1, 1], &[2], &set));
    it.run(1);
    it.checkpoint();
    it.finish(task(0, 0));
    it.stuck.insert(task(0, 0));
    it.checkpoint();
    let handles = &it.manager.completed()[0].handles;
    let of: Vec<_> = handles.values().map(|it| it.checkpoint).collect();
    assert_eq!(of, [1, 2, 2, 2]);
    assert!(it.discarded().is_empty(), "the first is used still");
    // Without any source the tasks behind them are triggered.
    it.finish(task(0, 1));
    it.stuck.insert(task(0, 1));
    it.checkpoint();
    let last = it.log.iter().rev().find_map(|(_, _, packet)| match packet {
        Packet::TriggerCheckpoint { tasks, .. } => Some(tasks.clone()),
        _ => None,
    });
    assert_eq!(last, Some(vec![task(1, 0)]));
    it.fail(task(1, 0));
    it.run(20);
    let restored = it.restored(2);
    assert_eq!(restored[&task(0, 0)], [(1, 0)]);
    assert_eq!(restored[&task(0, 1)], [(2, 1)]);
    assert_eq!(restored[&task(2, 0)], [(3, 0)]);
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0), (2, 0)] {
        it.finish(task(vertex, subtask));
    }
    assert_eq!(it.manager.status(), JobStatus::Finished);
    assert_eq!(it.discarded(), [1, 2, 3]);
}
