//! Rescaling by a savepoint.

use super::{Cluster, spec, task};
use crate::kernel::{Input, SECOND};
use crate::stream::jobmanager::{Cause, JobStatus};
use crate::stream::node::Order;
use crate::stream::note::Rule;
use crate::stream::protocol::Packet;
use crate::stream::rules::barrier::Alignment;

fn order(operator: Option<&str>, parallelism: u32) -> Order {
    Order::Rescale {
        operator: operator.map(str::to_owned),
        parallelism,
    }
}

#[test]
fn a_job_stops_with_a_savepoint_and_reads_it_by_key_groups() {
    let set = [
        ("execution.checkpointing.interval", "60 s"),
        ("execution.checkpointing.unaligned.enabled", "true"),
    ];
    let mut it = Cluster::running(spec([2, 2, 2], &[3], &set));
    it.run(1);
    it.duration = SECOND;
    it.give(Input::Order(order(None, 3)));
    let trigger = it.log.iter().find_map(|(_, _, packet)| match packet {
        Packet::TriggerCheckpoint { barrier, stop, .. } => Some((barrier.alignment, *stop)),
        _ => None,
    });
    assert_eq!(trigger, Some((Alignment::Aligned, true)));
    it.run(3);
    assert_eq!(it.manager.attempt(), 2);
    assert_eq!(it.manager.parallelism(), [2, 3, 2]);
    let restored = it.restored(2);
    let check = |vertex, subtask, from: &[u16]| {
        let from: Vec<_> = from.iter().map(|old| (1, *old)).collect();
        assert_eq!(restored[&task(vertex, subtask)], from, "{vertex} {subtask}");
    };
    check(0, 0, &[0]);
    check(0, 1, &[1]);
    check(1, 0, &[0]);
    check(1, 1, &[0, 1]);
    check(1, 2, &[1]);
    check(2, 0, &[0]);
    check(2, 1, &[1]);
    // A sink's pending transactions are list state: every new subtask is given all.
    it.give(Input::Order(order(Some("out"), 1)));
    it.run(6);
    assert_eq!(it.restored(3)[&task(2, 0)], [(2, 0), (2, 1)]);
    // Savepoints are the user's; nothing discards them.
    it.duration = 0;
    it.run(100);
    assert!(it.manager.completed()[0].id > 2);
    assert!(!it.discarded().contains(&1) && !it.discarded().contains(&2));
}

#[test]
fn what_cannot_be_rescaled_is_refused() {
    let mut spec = spec([2, 2, 2], &[2], &[]);
    spec.operators[1].max_parallelism = 4;
    let mut it = Cluster::running(spec.clone());
    it.run(1);
    let check = |it: &Cluster, order: Order, expect: Option<&str>| {
        assert_eq!(it.manager.refuse(&order).as_deref(), expect, "{order:?}");
    };
    let above = "max-parallelism must not be smaller than parallelism";
    check(&it, order(Some("count"), 5), Some(above));
    check(&it, order(None, 5), Some(above));
    check(&it, order(Some("count"), 4), None);
    check(&it, order(Some("in"), 5), None);
    let none = "parallelism must be at least 1";
    check(&it, order(Some("count"), 0), Some(none));
    check(
        &it,
        order(Some("nothing"), 2),
        Some("there is no operator `nothing`"),
    );
    it.duration = 5 * SECOND;
    it.give(Input::Order(order(None, 3)));
    let down = "not all tasks of the job are running";
    check(&it, order(None, 3), Some(down));
    let stops = "the job stops with a savepoint";
    check(&it, Order::TriggerCheckpoint, Some(stops));
    it.give(Input::Order(Order::TriggerCheckpoint));
    assert_eq!(it.manager.pending().len(), 1);
    // A forward edge that is not chained binds both ends to one parallelism.
    spec.operators[2].inputs = super::after(1, crate::stream::spec::Partitioning::Forward);
    spec.config.chaining = false;
    let it = Cluster::running(spec);
    let forward = "forward partitioning does not allow change of parallelism";
    check(&it, order(Some("count"), 3), Some(forward));
}

#[test]
fn a_savepoint_that_fails_fails_the_job_and_nothing_is_rescaled() {
    let set = [
        ("execution.checkpointing.timeout", "5 s"),
        ("restart-strategy.type", "fixed-delay"),
    ];
    let mut it = Cluster::running(spec([2, 2, 2], &[3], &set));
    it.run(1);
    it.stuck.insert(task(1, 1));
    it.give(Input::Order(order(None, 3)));
    it.run(10);
    assert_eq!(it.manager.cause(), Some(Cause::StopWithSavepoint));
    assert_eq!(it.manager.status(), JobStatus::Running);
    assert_eq!(it.manager.attempt(), 2);
    assert_eq!(it.manager.parallelism(), [2, 2, 2]);
    assert_eq!(it.rule(Rule::Restored), [(7, 0, -1)]);
}

#[test]
fn a_rescaled_job_waits_for_slots() {
    let mut it = Cluster::running(spec([1, 1, 1], &[2], &[("slot.request.timeout", "30 s")]));
    it.run(1);
    it.give(Input::Order(order(Some("count"), 3)));
    it.run(20);
    assert_eq!(it.manager.attempt(), 2);
    assert!(it.restored(2).is_empty());
    it.run(40);
    assert_eq!(it.manager.cause(), Some(Cause::NoResourceAvailable));
}

#[test]
fn a_job_that_stops_waits_until_its_tasks_have_ended() {
    let set = [("restart-strategy.type", "fixed-delay")];
    let check = |fails: bool, parallelism: [u32; 3]| {
        let mut it = Cluster::running(spec([2, 2, 2], &[3], &set));
        it.run(1);
        it.lingering.insert(task(2, 1));
        it.give(Input::Order(order(None, 3)));
        it.run(5);
        assert_eq!(it.manager.completed().len(), 1);
        let now = (it.manager.status(), it.manager.attempt());
        assert_eq!(now, (JobStatus::Running, 1), "its sink writes still");
        match fails {
            true => it.fail(task(2, 1)),
            false => it.finish(task(2, 1)),
        }
        it.run(8);
        let now = (it.manager.status(), it.manager.attempt());
        assert_eq!(now, (JobStatus::Running, 2));
        assert_eq!(it.manager.parallelism(), parallelism);
        let after = it.rule(Rule::Restored).last().map(|it| it.2);
        assert_eq!(after, Some(1), "from the savepoint in any case");
    };
    check(false, [2, 3, 2]);
    check(true, [2, 2, 2]);
}
