//! A context for unit tests of single nodes: it records what a node does and lets the test move the
//! clock. There is no network; the test hands in the messages it wants.

use super::node::Timer;
use super::note::{Note, Rule};
use super::protocol::{Msg, Request, Response};
use crate::kernel::{Context, EventId, Nanos, NodeId, Purpose, TimerId, draw};
use std::collections::BTreeMap;

/// What a node did since the test last looked, and its clock.
#[derive(Debug, Default)]
pub(crate) struct TestCx {
    /// The node under test.
    pub(crate) me: NodeId,
    /// Simulated time, ns; the wall clock runs with it.
    pub(crate) now: Nanos,
    /// Messages sent: when they leave, to whom, what.
    pub(crate) sent: Vec<(Nanos, NodeId, Msg)>,
    /// Notes left.
    pub(crate) notes: Vec<Note>,
    /// Connections given up or closed.
    pub(crate) disconnected: Vec<NodeId>,
    /// The process ended by itself.
    pub(crate) exited: bool,
    /// Bytes per second of the disk, 0 = unlimited.
    pub(crate) disk_speed: u64,
    timers: BTreeMap<(Nanos, u32), Timer>,
    next_timer: u32,
}

impl TestCx {
    /// A context for this node at time 0.
    pub(crate) fn new(me: NodeId) -> Self {
        TestCx {
            me,
            ..Self::default()
        }
    }

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

    /// Takes what was sent.
    pub(crate) fn take_sent(&mut self) -> Vec<(Nanos, NodeId, Msg)> {
        std::mem::take(&mut self.sent)
    }

    /// Takes the requests sent to `to` out of what was sent: correlation id and request.
    pub(crate) fn take_requests(&mut self, to: NodeId) -> Vec<(u32, Request)> {
        let mut taken = Vec::new();
        self.sent.retain(|(_, node, msg)| match msg {
            Msg::Request(correlation, request) if *node == to => {
                taken.push((*correlation, (**request).clone()));
                false
            }
            _ => true,
        });
        taken
    }

    /// Takes the responses sent to `to` out of what was sent: correlation id and response.
    pub(crate) fn take_responses(&mut self, to: NodeId) -> Vec<(u32, Response)> {
        let mut taken = Vec::new();
        self.sent.retain(|(_, node, msg)| match msg {
            Msg::Response(correlation, response) if *node == to => {
                taken.push((*correlation, (**response).clone()));
                false
            }
            _ => true,
        });
        taken
    }

    /// The notes of one rule so far: (before, after).
    pub(crate) fn rule(&self, wanted: Rule) -> Vec<(i64, i64)> {
        let found = self.notes.iter().filter_map(|note| match note {
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
}

impl Context<Msg, Timer, Note> for TestCx {
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
    fn send(&mut self, to: NodeId, msg: Msg) {
        self.sent.push((self.now, to, msg));
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: Msg) {
        self.sent.push((at.max(self.now), to, msg));
    }
    fn set_timer(&mut self, delay: Nanos, timer: Timer) -> TimerId {
        self.next_timer += 1;
        self.timers
            .insert((self.now.saturating_add(delay), self.next_timer), timer);
        TimerId::of_test(self.next_timer)
    }
    fn cancel(&mut self, timer: TimerId) {
        self.timers
            .retain(|(_, number), _| *number != timer.number());
    }
    fn disconnect(&mut self, peer: NodeId) {
        self.disconnected.push(peer);
    }
    fn close(&mut self, peer: NodeId) {
        self.disconnected.push(peer);
    }
    fn disk_write(&mut self, bytes: u64) -> Nanos {
        if self.disk_speed == 0 {
            return self.now;
        }
        self.now + bytes * 1_000_000_000 / self.disk_speed
    }
    fn exit(&mut self) {
        self.exited = true;
    }
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        draw(1, purpose, u64::from(self.me.0), 0, ordinal)
    }
    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}
