//! Savepoints of the user, the end of the job and its start.

use super::{Cluster, spec, task};
use crate::kernel::{Input, Loss, SECOND};
use crate::stream::command::{Command, Run};
use crate::stream::jobmanager::{Cause, JobStatus};
use crate::stream::node::Order;
use crate::stream::note::Rule;
use crate::stream::protocol::Packet;
use crate::stream::rules::barrier::Alignment;
use std::collections::BTreeSet;

const EVERY_10_S: (&str, &str) = ("execution.checkpointing.interval", "10 s");
const UNALIGNED: (&str, &str) = ("execution.checkpointing.unaligned.enabled", "true");
const HIGHLY_AVAILABLE: (&str, &str) = ("high-availability.type", "zookeeper");

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn say(command: Command) -> Order {
    Order::Command(command.to_string())
}

fn cancel() -> Order {
    say(Command::Cancel)
}

fn take(name: Option<&str>) -> Order {
    say(Command::Savepoint {
        name: name.map(str::to_owned),
    })
}

fn stop(name: &str) -> Order {
    say(Command::Stop {
        name: named(name),
        drain: false,
    })
}

fn run(savepoint: Option<&str>, parallelism: Option<u32>) -> Order {
    say(Command::Run(Run {
        savepoint: savepoint.map(str::to_owned),
        parallelism,
        ..Run::default()
    }))
}

fn job(set: &[(&str, &str)]) -> Cluster {
    let mut it = Cluster::running(spec([2, 2, 2], &[3], set));
    it.run(1);
    it
}

fn order(it: &mut Cluster, order: Order) {
    assert_eq!(it.manager.refuse(&order), None, "{order:?}");
    it.give(Input::Order(order));
}

/// Names and ids of the savepoints.
fn savepoints(it: &Cluster) -> Vec<(String, i64)> {
    let all = it.manager.savepoints().iter();
    all.map(|it| (it.name.clone(), it.done.id)).collect()
}

fn completed(it: &Cluster) -> Vec<i64> {
    it.manager.completed().iter().map(|it| it.id).collect()
}

#[test]
fn a_savepoint_is_the_users_and_brings_about_nothing() {
    let mut it = job(&[UNALIGNED]);
    it.checkpoint();
    order(&mut it, take(Some("mine")));
    it.run(5);
    let barriers = it.log.iter().filter_map(|(_, _, packet)| match packet {
        Packet::TriggerCheckpoint { barrier, stop, .. } => {
            Some((barrier.checkpoint, barrier.alignment, *stop))
        }
        _ => None,
    });
    let expected = [
        (1, Alignment::Unaligned, false),
        (2, Alignment::Aligned, false),
    ];
    assert_eq!(barriers.collect::<Vec<_>>(), expected);
    assert_eq!(savepoints(&it), [("mine".to_owned(), 2)]);
    assert_eq!(completed(&it), [1], "it is not what the job goes back to");
    let told = it.log.iter().filter_map(|(_, _, packet)| match packet {
        Packet::NotifyCheckpointComplete { checkpoint, .. } => Some(*checkpoint),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [1], "nobody commits for it");
    assert_eq!(it.manager.counts(), (2, 0));
    order(&mut it, take(None));
    it.checkpoint();
    assert_eq!(savepoints(&it)[1], ("savepoint-3".to_owned(), 3));
    assert_eq!(it.discarded(), [1], "a checkpoint takes the place of one");
}

#[test]
fn a_savepoint_waits_for_nothing_and_newer_checkpoints_wait_for_it() {
    let pause = ("execution.checkpointing.min-pause", "10 s");
    let mut it = job(&[EVERY_10_S, pause]);
    it.duration = 3 * SECOND;
    it.run(12);
    assert_eq!(it.manager.pending().len(), 1, "checkpoint 1 is under way");
    order(&mut it, take(Some("mine")));
    assert_eq!(it.manager.pending().len(), 2);
    it.duration = 15 * SECOND;
    order(&mut it, take(Some("slow")));
    it.run(25);
    let pending: Vec<i64> = it.manager.pending().keys().copied().collect();
    assert_eq!((completed(&it), pending), (vec![1], vec![3]));
    it.run(28);
    assert_eq!(savepoints(&it).len(), 2);
    assert_eq!(it.manager.counts(), (3, 0), "none was abandoned");
}

#[test]
fn a_savepoint_that_fails_fails_alone() {
    let timeout = ("execution.checkpointing.timeout", "5 s");
    let mut it = job(&[timeout]);
    it.stuck.insert(task(1, 1));
    order(&mut it, take(Some("mine")));
    it.run(10);
    assert_eq!((savepoints(&it).len(), it.manager.counts()), (0, (0, 1)));
    let now = (it.manager.status(), it.manager.attempt());
    assert_eq!(now, (JobStatus::Running, 1));
}

#[test]
fn a_job_ends_with_its_savepoint_and_begins_with_it() {
    let mut it = job(&[]);
    it.checkpoint();
    it.lingering.insert(task(2, 1));
    order(&mut it, stop("mine"));
    it.run(5);
    assert_eq!(it.manager.status(), JobStatus::Running, "its sink writes");
    it.finish(task(2, 1));
    assert_eq!(it.manager.status(), JobStatus::Finished);
    assert_eq!(completed(&it), [] as [i64; 0]);
    assert_eq!(it.discarded(), [1], "what is the job's own goes");
    it.lingering.clear();
    order(&mut it, run(Some("mine"), Some(3)));
    it.run(6);
    let now = (it.manager.status(), it.manager.restarts());
    assert_eq!(now, (JobStatus::Running, 0));
    assert_eq!(it.manager.parallelism(), [2, 3, 2]);
    assert_eq!(it.manager.moved().by_ranges, 63);
    let restored = it.restored(2);
    assert_eq!(restored[&task(1, 1)], [(2, 0), (2, 1)], "by key groups");
    assert_eq!(restored[&task(0, 1)], [(2, 1)]);
    assert_eq!(completed(&it), [2], "until it has one of its own");
    it.checkpoint();
    assert_eq!(completed(&it), [3]);
    assert!(!it.discarded().contains(&2), "it stays the user's");
    // As often as one likes.
    order(&mut it, cancel());
    it.run(20);
    order(&mut it, run(Some("mine"), None));
    it.run(25);
    assert_eq!(it.restored(3)[&task(1, 1)], [(2, 0), (2, 1)]);
}

#[test]
fn a_cancelled_job_keeps_nothing_and_begins_from_nothing() {
    let mut it = job(&[EVERY_10_S]);
    it.checkpoint();
    it.duration = 5 * SECOND;
    it.give(Input::Order(Order::TriggerCheckpoint));
    order(&mut it, cancel());
    let cancelling = it.manager.status();
    it.run(30);
    let states = (cancelling, it.manager.status());
    assert_eq!(states, (JobStatus::Cancelling, JobStatus::Canceled));
    assert_eq!((it.manager.pending().len(), completed(&it).len()), (0, 0));
    let discarded: BTreeSet<i64> = it.discarded().into_iter().collect();
    assert_eq!(discarded, [1, 2].into(), "also what was under way");
    let words = "the job is CANCELED";
    assert_eq!(it.manager.refuse(&cancel()).as_deref(), Some(words));
    assert_eq!(it.manager.refuse(&stop("mine")).as_deref(), Some(words));
    order(&mut it, run(None, None));
    it.duration = 0;
    it.run(50);
    assert!(it.restored(2).values().all(Vec::is_empty));
    assert_eq!(it.rule(Rule::Restored), []);
    assert!(it.manager.counts().0 > 0, "it takes checkpoints again");
    assert!(completed(&it).iter().all(|id| *id > 2), "under new ids");
}

#[test]
fn a_job_that_waits_or_restarts_can_be_cancelled() {
    // For slots that never come.
    let mut it = Cluster::running(spec([2, 2, 2], &[1], &[]));
    order(&mut it, cancel());
    assert_eq!(it.manager.status(), JobStatus::Canceled);
    it.run(1_000);
    assert_eq!(it.manager.cause(), None, "no slot is waited for any more");
    // For the delay before it restarts.
    let mut it = job(&[EVERY_10_S]);
    it.fail(task(0, 0));
    assert_eq!(it.manager.status(), JobStatus::Restarting);
    order(&mut it, cancel());
    it.run(60);
    let now = (it.manager.status(), it.manager.attempt());
    assert_eq!(now, (JobStatus::Canceled, 1));
}

#[test]
fn a_task_that_fails_while_the_job_ends_fails_it_for_good() {
    let set = [("restart-strategy.type", "fixed-delay")];
    let mut it = job(&set);
    it.lingering.insert(task(2, 1));
    order(&mut it, stop("mine"));
    it.run(5);
    it.fail(task(2, 1));
    it.run(6);
    let now = (it.manager.status(), it.manager.cause());
    let expected = (JobStatus::Failed, Some(Cause::StopWithSavepoint));
    assert_eq!(now, expected, "it may not have committed all");
    order(&mut it, run(Some("mine"), None));
    it.run(7);
    assert_eq!(it.restored(2)[&task(2, 1)], [(1, 1)]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut it = job(&[]);
    let check = |it: &Cluster, order: Order, expect: &str| {
        assert_eq!(it.manager.refuse(&order).as_deref(), Some(expect));
    };
    let runs = "the job is RUNNING: stop or cancel it first";
    check(&it, run(None, None), runs);
    let foreign = Order::Command("flink list".to_owned());
    check(&it, foreign, "`flink list` is no command");
    it.duration = 5 * SECOND;
    order(&mut it, stop("mine"));
    let stops = "not all tasks of the job are running";
    check(&it, take(None), stops);
    check(&it, stop("other"), stops);
    it.run(10);
    check(&it, take(None), "the job is FINISHED");
    let missing = "there is no savepoint `other`";
    check(&it, run(Some("other"), None), missing);
    let above = "max-parallelism must not be smaller than parallelism";
    check(&it, run(Some("mine"), Some(1_000)), above);
    it.give(Input::Order(run(Some("other"), None)));
    assert_eq!(it.manager.status(), JobStatus::Finished);
}

#[test]
fn state_of_an_operator_with_another_uid_is_left_only_if_that_is_said() {
    let mut it = job(&[]);
    let count = it.manager.job().spec.operators[1].name.clone();
    order(&mut it, stop("mine"));
    it.run(5);
    let upgraded = |allow_non_restored_state| {
        say(Command::Run(Run {
            savepoint: named("mine"),
            new_uid: Some(count.clone()),
            allow_non_restored_state,
            ..Run::default()
        }))
    };
    let refused = it.manager.refuse(&upgraded(false)).unwrap_or_default();
    assert!(
        refused.starts_with("Cannot map checkpoint/savepoint state for operator"),
        "{refused}"
    );
    assert!(refused.contains("--allowNonRestoredState"), "{refused}");
    order(&mut it, upgraded(true));
    it.run(6);
    let forgotten = |it: &Cluster, id| {
        let mut all = it.manager.completed().iter();
        all.find(|it| it.id == id).map(|it| it.forgotten.clone())
    };
    assert_eq!(forgotten(&it, 1), Some(vec![1]));
    let told = it.log.iter().filter_map(|(_, _, packet)| match packet {
        Packet::SubmitTasks {
            attempt: 2, tasks, ..
        } => Some(tasks),
        _ => None,
    });
    let told: Vec<&Vec<u32>> = told.flatten().map(|it| &it.forgotten).collect();
    assert!(
        told.len() == 6 && told.iter().all(|it| **it == [1]),
        "{told:?}"
    );
    // What the job takes itself holds what its operators have now, and the user's is as it was.
    it.checkpoint();
    assert_eq!(forgotten(&it, 2), Some(Vec::new()));
    assert!(it.manager.savepoints()[0].done.forgotten.is_empty());
}

#[test]
fn savepoints_outlive_the_job_manager() {
    for set in [&[HIGHLY_AVAILABLE][..], &[]] {
        let mut it = job(set);
        it.checkpoint();
        order(&mut it, stop("mine"));
        it.run(5);
        it.crash(Loss::Power);
        it.run(10);
        let ended = it.manager.status() == JobStatus::Finished;
        assert_eq!(ended, !set.is_empty(), "without it the job begins anew");
        assert_eq!(savepoints(&it), [("mine".to_owned(), 2)]);
    }
}
