//! A context for unit tests of single machines of a job: it records what a machine does and lets
//! the test move the clock; and small jobs.

use super::config::JobConfig;
use super::graph::Graph;
use super::job::Job;
use super::node::Timer;
use super::note::{Note, Rule};
use super::parts::StreamParts;
use super::protocol::Packet;
use super::spec::{Chaining, JobSpec, Keys, OperatorKind, OperatorSpec};
use crate::kernel::{Context, EventId, Nanos, NodeId, Purpose, TimerId, draw};
use std::collections::BTreeMap;

/// What a machine did since the test last looked, and its clock.
#[derive(Debug, Default)]
pub(crate) struct TestCx {
    /// The machine under test.
    pub(crate) me: NodeId,
    /// Simulated time, ns; the wall clock runs with it.
    pub(crate) now: Nanos,
    /// Messages sent: when they leave, to whom, what.
    pub(crate) sent: Vec<(Nanos, NodeId, Packet)>,
    /// Notes left.
    pub(crate) notes: Vec<Note>,
    timers: BTreeMap<(Nanos, u32), Timer>,
    next_timer: u32,
}

impl TestCx {
    /// Takes the next timer due at or before `until` and moves the clock there; without one the
    /// clock moves to `until`.
    pub(crate) fn next_timer(&mut self, until: Nanos) -> Option<Timer> {
        match self.timers.first_key_value() {
            Some((&(at, number), _)) if at <= until => {
                self.now = self.now.max(at);
                self.timers.remove(&(at, number))
            }
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    /// Forgets all timers, as a crash does.
    pub(crate) fn clear_timers(&mut self) {
        self.timers.clear();
    }

    /// The notes of one rule so far: (before, after).
    pub(crate) fn rule(&self, wanted: Rule) -> Vec<(i64, i64)> {
        rules(&self.notes, wanted)
    }
}

/// The notes of one rule: (before, after).
pub(crate) fn rules(notes: &[Note], wanted: Rule) -> Vec<(i64, i64)> {
    let found = notes.iter().filter_map(|note| match note {
        Note::Rule {
            rule,
            before,
            after,
            ..
        } if *rule == wanted => Some((*before, *after)),
        _ => None,
    });
    found.collect()
}

impl Context<Packet, Timer, Note> for TestCx {
    fn me(&self) -> NodeId {
        self.me
    }
    fn now(&self) -> Nanos {
        self.now
    }
    fn wall_ms(&self) -> i64 {
        i64::try_from(self.now / 1_000_000).expect("a test is short")
    }
    fn event(&self) -> EventId {
        EventId(0)
    }
    fn send(&mut self, to: NodeId, msg: Packet) {
        self.sent.push((self.now, to, msg));
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: Packet) {
        self.sent.push((at.max(self.now), to, msg));
    }
    fn set_timer(&mut self, delay: Nanos, timer: Timer) -> TimerId {
        self.next_timer += 1;
        let due = (self.now.saturating_add(delay), self.next_timer);
        self.timers.insert(due, timer);
        TimerId::of_test(self.next_timer)
    }
    fn cancel(&mut self, timer: TimerId) {
        self.timers
            .retain(|(_, number), _| *number != timer.number());
    }
    fn disconnect(&mut self, _peer: NodeId) {}
    fn close(&mut self, _peer: NodeId) {}
    fn disk_write(&mut self, _bytes: u64) -> Nanos {
        self.now
    }
    fn exit(&mut self) {}
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        draw(0, purpose, 0, 0, ordinal)
    }
    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// A job of one operator.
pub(crate) fn job_of(kind: OperatorKind, parallelism: u32) -> Job {
    let operator = OperatorSpec {
        name: "it".to_owned(),
        kind,
        parallelism,
        max_parallelism: 128,
        inputs: Vec::new(),
        chaining: Chaining::Always,
        slot_sharing_group: "default".to_owned(),
        cost: 0,
    };
    let spec = JobSpec {
        job_manager: "jobmanager".to_owned(),
        task_managers: Vec::new(),
        storage: "storage".to_owned(),
        config: JobConfig::default(),
        operators: vec![operator],
        keys: Keys::default(),
        expected: Vec::new(),
        parts: StreamParts::EVERYTHING,
    };
    Job {
        graph: Graph::of(&spec),
        spec,
        job_manager: NodeId(0),
        task_managers: Vec::new(),
        storage: NodeId(1),
        stores: vec![(0, NodeId(2))],
        seed: 7,
    }
}
