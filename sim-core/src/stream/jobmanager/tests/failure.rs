//! Failures and restarts, of tasks and of the JobManager.

use super::{Cluster, spec, task};
use crate::kernel::{Input, Loss, NodeId, SECOND};
use crate::stream::jobmanager::{Cause, ExecutionState, JobStatus};
use crate::stream::note::Rule;
use crate::stream::protocol::{Packet, TaskFailure};

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
    it.say(NodeId(2), Packet::TasksCanceled { attempt: 1 });
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
