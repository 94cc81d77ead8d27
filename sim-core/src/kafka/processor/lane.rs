//! Two clients in one process: each has connections of its own.
//!
//! Between two nodes of the simulation there is one connection, and a broker serves the requests of
//! one connection in turn. An application with a consumer and a producer has two to each broker; the
//! top bit of the correlation id tells them apart. What breaks the connection of one client breaks
//! that of the other, which is told. The clients' luck is told apart too.

use crate::kafka::node::{KafkaCx, Timer};
use crate::kafka::note::Note;
use crate::kafka::protocol::{Msg, SECOND_CLIENT};
use crate::kernel::{Context, EventId, Nanos, NodeId, Purpose, TimerId, mix};

/// Stands for the second client in what its draws are for.
const LUCK: Purpose = Purpose::named("processor.second-client");

/// The context of one of the two clients.
pub(super) struct Lane<'a, 'b> {
    pub(super) cx: &'a mut KafkaCx<'b>,
    /// Of the producer.
    pub(super) second: bool,
    /// Brokers to which the client has ended the connection.
    pub(super) ended: &'a mut Vec<NodeId>,
}

impl Lane<'_, '_> {
    fn mark(&self, msg: Msg) -> Msg {
        match msg {
            Msg::Request(correlation, request) if self.second => {
                Msg::Request(correlation | SECOND_CLIENT, request)
            }
            other => other,
        }
    }
}

impl Context<Msg, Timer, Note> for Lane<'_, '_> {
    fn me(&self) -> NodeId {
        self.cx.me()
    }
    fn now(&self) -> Nanos {
        self.cx.now()
    }
    fn wall_ms(&self) -> i64 {
        self.cx.wall_ms()
    }
    fn event(&self) -> EventId {
        self.cx.event()
    }
    fn send(&mut self, to: NodeId, msg: Msg) {
        let msg = self.mark(msg);
        self.cx.send(to, msg);
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: Msg) {
        let msg = self.mark(msg);
        self.cx.send_at(at, to, msg);
    }
    fn set_timer(&mut self, delay: Nanos, timer: Timer) -> TimerId {
        self.cx.set_timer(delay, timer)
    }
    fn cancel(&mut self, timer: TimerId) {
        self.cx.cancel(timer);
    }
    fn disconnect(&mut self, peer: NodeId) {
        self.ended.push(peer);
        self.cx.disconnect(peer);
    }
    fn close(&mut self, peer: NodeId) {
        self.ended.push(peer);
        self.cx.close(peer);
    }
    fn disk_write(&mut self, bytes: u64) -> Nanos {
        self.cx.disk_write(bytes)
    }
    fn exit(&mut self) {
        self.cx.exit();
    }
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        let purpose = match self.second {
            true => Purpose(mix(purpose.0, LUCK.0)),
            false => purpose,
        };
        self.cx.draw(purpose, ordinal)
    }
    fn note(&mut self, note: Note) {
        self.cx.note(note);
    }
}
