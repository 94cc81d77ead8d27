//! Snapshots that tasks take each for itself, and the line that a failure goes back to.

use super::{Cluster, spec, task};
use crate::kernel::{Input, Loss, NodeId, SECOND};
use crate::stream::jobmanager::RecoveryLine;
use crate::stream::node::Order;
use crate::stream::note::Rule;
use crate::stream::protocol::{ChannelId, Packet};
use crate::stream::snapshot::{Counts, Handle, own_id};
use std::sync::Arc;

const OWN: [(&str, &str); 4] = [
    ("strandline.checkpointing.coordination", "none"),
    ("execution.checkpointing.interval", "10 s"),
    ("restart-strategy.type", "fixed-delay"),
    ("restart-strategy.fixed-delay.attempts", "10"),
];

/// in → count → out, one subtask each.
fn running(more: &[(&str, &str)]) -> Cluster {
    let set: Vec<(&str, &str)> = OWN.iter().chain(more).copied().collect();
    Cluster::running(spec([1, 1, 1], &[1], &set))
}

impl Cluster {
    /// A task's snapshot of an attempt is in the storage: what it has received and sent.
    fn took(&mut self, vertex: u16, (attempt, number): (u32, i64), counts: (u64, u64)) {
        let channel = |edge: u16| ChannelId {
            edge,
            from: 0,
            to: 0,
        };
        let received = vertex.checked_sub(1).map(|it| (channel(it), counts.0));
        let counts = Counts {
            sent: [(channel(vertex), counts.1)]
                .into_iter()
                .filter(|_| vertex < 2)
                .collect(),
            received: received.into_iter().collect(),
        };
        let of = task(vertex, 0);
        let handle = Handle {
            checkpoint: own_id(attempt, number),
            task: Some(of),
            bytes: 10,
        };
        let packet = Packet::AcknowledgeSnapshot {
            attempt,
            task: of,
            handle,
            taken: self.cx.now,
            counts: Arc::new(counts),
        };
        self.say(NodeId(1), packet);
    }

    fn last_line(&self) -> RecoveryLine {
        self.manager.recovery_line().expect("one").clone()
    }

    /// The snapshot that each task of an attempt began with.
    fn began(&self, attempt: u32) -> Vec<Option<i64>> {
        let all = self.restored(attempt).into_values();
        all.map(|it| it.first().map(|it| it.0)).collect()
    }
}

#[test]
fn each_task_goes_back_to_its_snapshot_of_the_line() {
    let mut it = running(&[]);
    it.run(5);
    it.took(0, (1, 1), (0, 7));
    it.took(1, (1, 2), (7, 7));
    it.took(2, (1, 3), (7, 0));
    it.run(9);
    // Of these two each knows what the other does not.
    it.took(0, (1, 4), (0, 20));
    it.took(1, (1, 5), (21, 18));
    it.fail(task(2, 0));
    it.run(20);
    let ids = [1, 2, 3].map(|it| Some(own_id(1, it)));
    assert_eq!(it.began(2), ids);
    assert_eq!(it.discarded(), [own_id(1, 4), own_id(1, 5)]);
    let line = it.last_line();
    assert_eq!((line.tasks, line.starts, line.useless), (3, 0, 2));
    assert_eq!(line.first.map(|it| it.counts), Some((20, 21)));
    assert!(line.reach >= 5 * SECOND);
    // Counts begin anew at the line, and the line is as good as any.
    it.took(0, (2, 1), (0, 3));
    it.fail(task(0, 0));
    it.run(40);
    assert_eq!(it.began(3), ids);
    assert_eq!(it.manager.own_snapshots(), Some((6, 3)));
    assert_eq!(it.rule(Rule::Restored), [], "that is of checkpoints");
}

#[test]
fn a_snapshot_of_an_attempt_that_is_over_is_deleted() {
    let mut it = running(&[]);
    it.run(5);
    it.took(0, (1, 1), (0, 0));
    it.fail(task(0, 0));
    // The job fails, and the attempt is not over yet.
    it.took(1, (1, 2), (0, 0));
    it.run(20);
    assert_eq!(it.began(2), [Some(own_id(1, 1)), Some(own_id(1, 2)), None]);
    it.took(2, (1, 3), (0, 0));
    assert_eq!(it.discarded(), [own_id(1, 3)]);
}

#[test]
fn only_what_is_older_than_the_line_is_thrown_away_while_the_job_runs() {
    let mut it = running(&[]);
    for round in 0..20_u64 {
        it.run(5 + round);
        let number = |of: i64| round as i64 * 3 + of;
        // Nothing is ever under way but in the first rounds.
        let late = u64::from(round < 4);
        it.took(0, (1, number(1)), (0, round * 5));
        it.took(1, (1, number(2)), (round * 5 - late.min(round), round * 5));
        it.took(2, (1, number(3)), (round * 5, 0));
    }
    let gone = it.discarded();
    assert!(gone.len() > 20, "{gone:?}");
    it.fail(task(1, 0));
    it.run(60);
    let ids = [58, 59, 60].map(|it| Some(own_id(1, it)));
    assert_eq!(it.began(2), ids, "and the newest are there");
    let last = it.last_line();
    assert_eq!((last.starts, last.useless, last.steps), (0, 0, 0));
}

#[test]
fn without_a_line_that_fits_nothing_is_thrown_away_and_all_begin_anew() {
    let mut it = running(&[]);
    for round in 0..20_u64 {
        it.run(5 + round);
        let number = |of: i64| round as i64 * 3 + of;
        it.took(0, (1, number(1)), (0, round * 5 + 5));
        it.took(1, (1, number(2)), (round * 5 + 3, round * 5 + 2));
        it.took(2, (1, number(3)), (round * 5 + 1, 0));
    }
    assert!(it.discarded().is_empty());
    it.fail(task(1, 0));
    it.run(60);
    assert_eq!(it.began(2), [None, None, None]);
    let last = it.last_line();
    assert_eq!((last.starts, last.useless), (3, 60));
    assert!(last.steps >= 20, "{last:?}");
    assert_eq!(it.discarded().len(), 60);
}

#[test]
fn with_high_availability_a_new_job_manager_knows_them() {
    for (kind, knows) in [("ZOOKEEPER", true), ("NONE", false)] {
        let mut it = running(&[("high-availability.type", kind)]);
        it.run(5);
        for vertex in 0..3 {
            it.took(vertex, (1, i64::from(vertex) + 1), (4, 4));
        }
        it.manager.crash(Loss::Power);
        it.cx.timers.clear();
        it.give(Input::Boot);
        it.register_all();
        let all: Vec<Option<i64>> = (1..4).map(|it| knows.then_some(own_id(1, it))).collect();
        assert_eq!(it.began(2), all, "{kind}");
    }
}

#[test]
fn what_needs_a_checkpoint_of_the_job_is_refused() {
    let it = running(&[]);
    let orders = [
        Order::TriggerCheckpoint,
        Order::Command("savepoint".to_owned()),
        Order::Rescale {
            operator: None,
            parallelism: 1,
        },
    ];
    for order in orders {
        let said = it.manager.refuse(&order);
        assert!(said.is_some(), "{order:?}");
    }
    let all = it
        .log
        .iter()
        .filter(|it| matches!(it.2, Packet::TriggerCheckpoint { .. }));
    assert_eq!(all.count(), 0);
}
