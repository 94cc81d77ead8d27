//! The context of one Kafka client in a machine of a job.
//!
//! What the client sends is marked with its number in the process, and what a sink's rows say is put
//! into the batches that take them. Notes of the records that sinks send stay here: the ledger of a
//! cluster counts what applications send, and a job's output is compared as a whole.

use super::slips::Slips;
use crate::kafka::embed::{fill, mark};
use crate::kafka::{Msg, Note, Timer};
use crate::kernel::{Context, EventId, Nanos, NodeId, Purpose, TimerId, mix};
use crate::stream::node::{StreamCx, Timer as StreamTimer};
use crate::stream::note::Note as StreamNote;
use crate::stream::protocol::Packet;

/// Stands for a client in what its draws are for.
const LUCK: Purpose = Purpose::named("stream.kafka-client");

/// The context.
pub(in crate::stream) struct Lane<'a, 'b> {
    cx: &'a mut StreamCx<'b>,
    client: (u32, u8),
    timer: StreamTimer,
    ended: &'a mut Vec<NodeId>,
    /// Of a client that writes.
    pub(super) slips: Option<&'a mut Slips>,
}

impl<'a, 'b> Lane<'a, 'b> {
    /// Of a client, by its number in the process's life and in its connections, that has this timer.
    /// Brokers to which it has ended the connection are added to `ended`.
    pub(in crate::stream) fn new(
        cx: &'a mut StreamCx<'b>,
        client: (u32, u8),
        timer: StreamTimer,
        ended: &'a mut Vec<NodeId>,
    ) -> Self {
        Lane {
            cx,
            client,
            timer,
            ended,
            slips: None,
        }
    }
    fn outward(&self, msg: Msg) -> Packet {
        let mut msg = mark(self.client.1, msg);
        if let Some(slips) = &self.slips {
            fill(&mut msg, |record| slips.value(record));
        }
        Packet::Kafka(Box::new(msg))
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
        let packet = self.outward(msg);
        self.cx.send(to, packet);
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: Msg) {
        let packet = self.outward(msg);
        self.cx.send_at(at, to, packet);
    }
    fn set_timer(&mut self, delay: Nanos, _: Timer) -> TimerId {
        // A client here has one: that it looks again.
        self.cx.set_timer(delay, self.timer)
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
        let own = mix(LUCK.0, u64::from(self.client.0));
        self.cx.draw(Purpose(mix(purpose.0, own)), ordinal)
    }
    fn note(&mut self, note: Note) {
        match (&mut self.slips, &note) {
            (Some(slips), Note::Sent { record, .. }) => slips.sent(*record),
            (Some(slips), Note::Acknowledged { record, .. }) => slips.done(*record, true),
            (Some(slips), Note::Failed { record, .. }) => slips.done(*record, false),
            (Some(_), Note::Derived { .. }) => {}
            _ => self.cx.note(StreamNote::Kafka(Box::new(note))),
        }
    }
}
