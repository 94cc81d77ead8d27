//! Slots, registration, deployment, heartbeats.

use super::{Cluster, spec, task};
use crate::kernel::{Input, NodeId};
use crate::stream::config::LoadBalance;
use crate::stream::graph::Graph;
use crate::stream::jobmanager::slots::{place, placement, sharing_groups};
use crate::stream::jobmanager::{Cause, ExecutionState, JobStatus};
use crate::stream::note::Rule;
use crate::stream::protocol::Packet;

#[test]
fn subtasks_share_slots_with_what_they_read_from() {
    let check = |parallelism: [u32; 3], apart: bool, expect: [&[u32]; 3], slots: u32| {
        let mut spec = spec(parallelism, &[], &[]);
        if apart {
            spec.operators[2].slot_sharing_group = "sinks".to_owned();
        }
        let graph = Graph::of(&spec);
        let (groups, many) = sharing_groups(&graph, &parallelism);
        assert_eq!(groups, expect, "{parallelism:?}");
        assert_eq!(many, slots);
        assert_eq!(many, graph.slots_needed(&parallelism));
    };
    check([2, 2, 2], false, [&[0, 1], &[0, 1], &[0, 1]], 2);
    check([1, 3, 2], false, [&[0], &[0, 1, 2], &[0, 1]], 3);
    check([2, 2, 2], true, [&[0, 1], &[0, 1], &[2, 3]], 4);
    check([1, 2, 1], true, [&[0], &[0, 1], &[2]], 3);
}

#[test]
fn slots_are_used_up_one_task_manager_after_the_other_or_evenly() {
    let check = |slots: &[u32], mode, before: &[u32], wanted, expect: Option<&[u32]>| {
        let offered: Vec<_> = (1..).map(NodeId).zip(slots.iter().copied()).collect();
        let before: Vec<_> = before.iter().copied().map(NodeId).map(Some).collect();
        let found = place(&vec![true; wanted], &offered, mode, &before);
        let found = found.map(|it| it.iter().flatten().map(|node| node.0).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expect, "{slots:?} {mode:?}");
    };
    use LoadBalance::{None as Packed, Slots};
    check(&[2, 2], Packed, &[], 3, Some(&[1, 1, 2]));
    check(&[2, 2], Slots, &[], 3, Some(&[1, 2, 1]));
    check(&[1, 3], Slots, &[], 4, Some(&[1, 2, 2, 2]));
    check(&[2, 2], Packed, &[], 5, None);
    check(&[2, 2], Packed, &[2, 1], 2, Some(&[2, 1]));
    check(&[2, 2], Packed, &[9, 2, 2], 3, Some(&[1, 2, 2]));
    let nodes = [Some(NodeId(7)), Some(NodeId(8))];
    assert_eq!(
        placement(&[vec![0, 1], vec![1]], &nodes),
        [vec![7, 8], vec![8]]
    );
}

#[test]
fn a_job_is_deployed_when_all_its_slots_are_there() {
    let mut it = Cluster::new(spec([2, 2, 2], &[1, 1], &[]));
    it.give(Input::Boot);
    let register = || Packet::RegisterTaskExecutor { slots: 1 };
    it.say(NodeId(1), register());
    it.run(1);
    assert!(it.restored(1).is_empty(), "one slot of two");
    it.say(NodeId(2), register());
    // A second request before the answer came is no second start.
    it.say(NodeId(2), register());
    it.run(2);
    assert_eq!(it.restored(1).len(), 6);
    let running = |it: &Cluster| {
        let mut all = it.manager.executions().values();
        all.all(|it| it.state == ExecutionState::Running)
    };
    assert!(running(&it));
    assert_eq!(it.rule(Rule::TaskManagers), [(0, 0, 1), (1, 1, 2)]);
    // One that has answered and registers again has lost its tasks.
    it.say(NodeId(2), register());
    assert_eq!(it.manager.cause(), Some(Cause::TaskManagerLost(NodeId(2))));
}

#[test]
fn slots_are_waited_for_so_long_and_no_longer() {
    let mut it = Cluster::new(spec([2, 2, 2], &[1], &[("slot.request.timeout", "30 s")]));
    it.give(Input::Boot);
    it.register_all();
    it.run(29);
    assert_eq!(it.manager.status(), JobStatus::Running);
    it.run(30);
    assert_eq!(it.manager.cause(), Some(Cause::NoResourceAvailable));
    assert_eq!(it.manager.status(), JobStatus::Failed);
}

#[test]
fn a_silent_task_manager_is_given_up_after_the_timeout() {
    let restart = [
        ("restart-strategy.type", "fixed-delay"),
        ("heartbeat.interval", "1 s"),
        ("heartbeat.timeout", "5 s"),
    ];
    let mut it = Cluster::running(spec([1, 1, 1], &[1, 1], &restart));
    it.run(20);
    assert_eq!(it.manager.task_managers().len(), 2);
    it.silent.insert(NodeId(1));
    it.run(24);
    assert_eq!(it.manager.task_managers().len(), 2);
    it.run(25);
    assert_eq!(it.cx.closed, [NodeId(1)]);
    assert_eq!(it.manager.cause(), Some(Cause::TaskManagerLost(NodeId(1))));
    // The other one has a slot: after the delay the job runs there.
    it.run(27);
    assert_eq!(it.manager.attempt(), 2);
    let nodes: Vec<_> = it.manager.executions().values().map(|it| it.node).collect();
    assert_eq!(nodes, [Some(NodeId(2)); 3]);
}

#[test]
fn a_closed_connection_is_noticed_at_once() {
    let mut it = Cluster::running(spec(
        [1, 1, 1],
        &[1, 1],
        &[("restart-strategy.type", "none")],
    ));
    it.run(1);
    it.give(Input::Disconnected(NodeId(2)));
    assert_eq!(it.manager.status(), JobStatus::Running, "it ran nothing");
    it.give(Input::Disconnected(NodeId(1)));
    assert_eq!(it.manager.status(), JobStatus::Failed);
}

#[test]
fn sources_are_told_how_far_they_may_read() {
    let mut it = Cluster::running(spec([2, 1, 1], &[2], &[]));
    it.run(0);
    for (subtask, watermark) in [(0, 5_000), (1, 3_000)] {
        it.say(
            NodeId(1),
            Packet::ReportedWatermark {
                attempt: 1,
                task: task(0, subtask),
                watermark,
            },
        );
    }
    it.run(1);
    let told = it.log.iter().filter_map(|(_, _, packet)| match packet {
        Packet::WatermarkAlignment { max_allowed, .. } => Some(*max_allowed),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [4_000]);
}
