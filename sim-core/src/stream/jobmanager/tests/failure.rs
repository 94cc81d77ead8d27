//! Failures and restarts, of tasks and of the JobManager.

use super::{Cluster, after, spec, task};
use crate::kernel::{Input, Loss, NodeId, SECOND};
use crate::stream::jobmanager::{Cause, ExecutionState, JobStatus};
use crate::stream::note::Rule;
use crate::stream::protocol::{Packet, TaskFailure, TaskId};
use crate::stream::spec::{JobSpec, Partitioning};
use std::collections::BTreeSet;

#[test]
fn a_failed_task_restarts_all_from_the_last_completed_checkpoint() {
    let set = [
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.delay", "4 s"),
    ];
    let mut it = Cluster::running(spec([2, 2, 2], &[1, 1], &set));
    it.run(1);
    assert!(it.restored(1).values().all(Vec::is_empty));
    it.checkpoint();
    it.run(10);
    it.silent.insert(NodeId(2));
    it.fail(task(1, 0));
    let cause = Cause::Task(task(1, 0), TaskFailure::UserCode);
    assert_eq!(it.manager.cause(), Some(cause));
    assert_eq!(it.manager.status(), JobStatus::Restarting);
    assert_eq!(it.rule(Rule::Restart), [(10, 4_000, 2)]);
    // Another failure meanwhile is the same one.
    it.fail(task(0, 0));
    it.run(15);
    assert_eq!(it.manager.attempt(), 1, "one TaskManager has not answered");
    let states: Vec<_> = it
        .manager
        .executions()
        .values()
        .map(|it| it.state)
        .collect();
    assert!(states.contains(&ExecutionState::Canceling));
    it.silent.clear();
    it.say(NodeId(2), Packet::TasksCanceled { restart: 1 });
    assert_eq!(it.manager.attempt(), 2);
    assert_eq!(it.rule(Rule::Restored), [(15, 0, 1)]);
    for (task, from) in it.restored(2) {
        assert_eq!(from, [(1, task.subtask)], "{task:?}");
    }
    it.run(16);
    it.checkpoint();
    assert_eq!(it.manager.completed()[0].id, 2, "ids go on");
}

#[test]
fn restarts_run_out() {
    // Failures at these times, s: the status after each.
    let check = |set: &[(&str, &str)], failures: &[u64], last: JobStatus| {
        let mut it = Cluster::running(spec([1, 1, 1], &[1], set));
        for at in failures {
            it.run(*at);
            assert_eq!(it.manager.status(), JobStatus::Running, "{at} s");
            it.fail(task(2, 0));
        }
        it.run(failures[failures.len() - 1] + 30);
        assert_eq!(it.manager.status(), last, "{failures:?}");
    };
    let fixed = [
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "3"),
    ];
    check(&fixed, &[1, 5, 9], JobStatus::Running);
    check(&fixed, &[1, 5, 9, 13], JobStatus::Failed);
    let rate = [
        ("restart-strategy.type", "failure-rate"),
        (
            "restart-strategy.failure-rate.max-failures-per-interval",
            "3",
        ),
        (
            "restart-strategy.failure-rate.failure-rate-interval",
            "5 min",
        ),
    ];
    check(&rate, &[1, 61, 121, 181], JobStatus::Failed);
    check(&rate, &[1, 61, 121, 302], JobStatus::Running);
    check(&[], &[1], JobStatus::Failed);
    let exponential = [
        ("execution.checkpointing.interval", "10 s"),
        (
            "restart-strategy.exponential-delay.attempts-before-reset-backoff",
            "4",
        ),
    ];
    check(&exponential, &[1, 5, 9, 20], JobStatus::Running);
    check(&exponential, &[1, 5, 9, 20, 40], JobStatus::Failed);
}

#[test]
fn reports_of_older_attempts_and_of_strangers_are_ignored() {
    let set = [("restart-strategy.type", "fixed-delay")];
    let mut it = Cluster::running(spec([1, 1, 1], &[1, 1], &set));
    it.run(1);
    it.fail(task(0, 0));
    it.run(5);
    assert_eq!(it.manager.attempt(), 2);
    let failed = |attempt| Packet::TaskEnded {
        attempt,
        task: task(0, 0),
        end: crate::stream::protocol::TaskEnd::Failed(TaskFailure::Sink),
    };
    it.say(NodeId(1), failed(1));
    it.say(NodeId(2), failed(2));
    assert_eq!(it.manager.status(), JobStatus::Running);
    it.say(NodeId(1), failed(2));
    assert_ne!(it.manager.status(), JobStatus::Running);
}

#[test]
fn a_crashed_job_manager_knows_its_checkpoints_with_high_availability_alone() {
    let check = |mode: &str, loss: Loss, restored: Option<i64>| {
        let mut it = Cluster::running(spec([2, 2, 2], &[2], &[("high-availability.type", mode)]));
        it.run(1);
        it.checkpoint();
        it.checkpoint();
        it.crash(loss);
        it.run(it.cx.now / SECOND + 1);
        assert_eq!(it.manager.attempt(), 2, "ids of attempts never come twice");
        let from = it.restored(2)[&task(0, 1)].first().map(|it| it.0);
        assert_eq!(from, restored, "{mode} {loss:?}");
        it.checkpoint();
        let id = it.manager.completed()[0].id;
        assert_eq!(id, restored.map_or(1, |it| it + 1));
    };
    check("NONE", Loss::Process, None);
    check("ZOOKEEPER", Loss::Process, Some(2));
    check("zookeeper", Loss::Power, Some(2));
    check("ZOOKEEPER", Loss::Disk, None);
}

#[test]
fn a_job_that_ended_is_run_again_without_high_availability_alone() {
    for (mode, status) in [
        ("NONE", JobStatus::Running),
        ("ZOOKEEPER", JobStatus::Finished),
    ] {
        let mut it = Cluster::running(spec([1, 1, 1], &[1], &[("high-availability.type", mode)]));
        it.run(1);
        for vertex in 0..3 {
            it.finish(task(vertex, 0));
        }
        assert_eq!(it.manager.status(), JobStatus::Finished);
        it.give(Input::Disconnected(NodeId(1)));
        assert_eq!(it.manager.status(), JobStatus::Finished);
        it.crash(Loss::Process);
        it.run(3);
        assert_eq!(it.manager.status(), status, "{mode}");
    }
}

/// in → count → out by edges that are forward and not chained: each row of subtasks is a region.
fn forward(slots: &[u32], set: &[(&str, &str)]) -> JobSpec {
    let mut it = spec([2, 2, 2], slots, set);
    it.config.chaining = false;
    it.operators[1].inputs = after(0, Partitioning::Forward);
    it.operators[2].inputs = after(1, Partitioning::Forward);
    it
}

/// The tasks of the attempts from 1 on, as far as they run.
fn attempts(it: &Cluster) -> Vec<BTreeSet<TaskId>> {
    let mut of: Vec<BTreeSet<TaskId>> = Vec::new();
    for (task, it) in it.manager.executions() {
        let at = it.attempt as usize;
        of.resize(of.len().max(at), BTreeSet::new());
        if it.state == ExecutionState::Running {
            of[at - 1].insert(*task);
        }
    }
    of
}

fn row(subtask: u16) -> BTreeSet<TaskId> {
    (0..3).map(|vertex| task(vertex, subtask)).collect()
}

const OFTEN: [(&str, &str); 3] = [
    ("restart-strategy.type", "fixed-delay"),
    ("restart-strategy.fixed-delay.attempts", "2"),
    ("restart-strategy.fixed-delay.delay", "4 s"),
];

#[test]
fn a_failed_task_restarts_its_region_alone() {
    let mut it = Cluster::running(forward(&[1, 1], &OFTEN));
    it.run(1);
    it.checkpoint();
    it.run(10);
    let canceled = |it: &Cluster| {
        let sent = it.log.iter().filter_map(|(_, to, packet)| match packet {
            Packet::CancelTasks { tasks, .. } => Some((to.0, tasks.clone())),
            _ => None,
        });
        sent.collect::<Vec<_>>()
    };
    it.fail(task(1, 0));
    assert_eq!(it.manager.status(), JobStatus::Restarting);
    assert_eq!(canceled(&it), [(1, Some(row(0).into_iter().collect()))]);
    it.run(12);
    assert_eq!(attempts(&it), [row(1)], "the other region goes on");
    // The other one fails while the first waits.
    it.fail(task(0, 1));
    it.run(15);
    assert_eq!(it.manager.status(), JobStatus::Restarting);
    assert_eq!(attempts(&it), [BTreeSet::new(), row(0)]);
    it.run(17);
    assert_eq!(it.manager.status(), JobStatus::Running);
    assert_eq!(attempts(&it), [BTreeSet::new(), row(0), row(1)]);
    for (attempt, subtask) in [(2, 0), (3, 1)] {
        let restored = it.restored(attempt);
        assert_eq!(
            restored.keys().copied().collect::<BTreeSet<_>>(),
            row(subtask)
        );
        assert!(restored.values().all(|it| *it == [(1, subtask)]));
    }
    it.checkpoint();
    assert_eq!(it.manager.completed()[0].handles.len(), 6, "all take part");
}

#[test]
fn what_fails_the_job_restarts_all() {
    let mut full = OFTEN.to_vec();
    full.push(("jobmanager.execution.failover-strategy", "full"));
    let mut it = Cluster::running(forward(&[1, 1], &full));
    it.run(1);
    it.fail(task(1, 0));
    it.run(6);
    assert_eq!(attempts(&it)[1].len(), 6);
    // A checkpoint that fails is nobody's region.
    let mut it = Cluster::running(forward(&[1, 1], &OFTEN));
    it.run(1);
    it.fail(task(1, 0));
    it.run(6);
    it.stuck.insert(task(1, 1));
    it.give(Input::Order(crate::stream::node::Order::TriggerCheckpoint));
    let (attempt, from, task) = (1, NodeId(2), task(2, 1));
    let reason = crate::stream::protocol::Decline::AsyncException;
    let checkpoint = *it.manager.pending().keys().next().expect("under way");
    let decline = Packet::DeclineCheckpoint {
        attempt,
        checkpoint,
        task,
        reason,
    };
    it.say(from, decline);
    it.run(12);
    assert_eq!(attempts(&it)[2].len(), 6);
}

#[test]
fn each_region_on_a_lost_machine_is_a_failure_of_its_own() {
    let check = |attempts_allowed: &str, status: JobStatus| {
        let mut set = OFTEN;
        set[1].1 = attempts_allowed;
        let mut it = Cluster::running(forward(&[2, 2], &set));
        it.run(1);
        it.give(Input::Disconnected(NodeId(1)));
        it.run(8);
        assert_eq!(it.manager.status(), status, "{attempts_allowed}");
        it
    };
    check("1", JobStatus::Failed);
    let it = check("2", JobStatus::Running);
    assert_eq!(attempts(&it), [BTreeSet::new(), row(0), row(1)]);
    // One machine of two: what ran on the other stays there.
    let mut it = Cluster::running(forward(&[1, 2], &OFTEN));
    it.run(1);
    it.give(Input::Disconnected(NodeId(1)));
    it.run(8);
    assert_eq!(attempts(&it), [row(1), row(0)]);
    let nodes: BTreeSet<_> = it.manager.executions().values().map(|it| it.node).collect();
    assert_eq!(nodes, BTreeSet::from([Some(NodeId(2))]));
}

#[test]
fn a_region_without_a_slot_waits_while_the_other_runs() {
    let mut set = OFTEN.to_vec();
    set.push(("slot.request.timeout", "30 s"));
    let mut it = Cluster::running(forward(&[1, 1], &set));
    it.run(1);
    it.give(Input::Disconnected(NodeId(1)));
    it.run(8);
    assert_eq!(attempts(&it), [row(1), BTreeSet::new()]);
    assert_eq!(it.manager.status(), JobStatus::Running);
    it.say(NodeId(1), Packet::RegisterTaskExecutor { slots: 1 });
    it.run(9);
    assert_eq!(attempts(&it), [row(1), row(0)]);
    it.run(60);
    assert_eq!(it.manager.attempt(), 2, "no timeout is left over");
}
