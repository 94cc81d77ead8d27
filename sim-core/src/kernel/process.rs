//! Processes: sans-I/O state machines, and the context through which they act.
//!
//! A process has one entry, [`Process::on`]. It sees its own state, the input and a [`Cx`]; it
//! cannot see another node. All it can do is send, set and cancel timers, write to its disk, draw
//! keyed chance and leave notes.

use super::chance::{Purpose, draw};
use super::core::Core;
use super::queue::{EventId, Nanos};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Number of a node in its world.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default,
)]
pub struct NodeId(pub u32);

/// A message between nodes.
pub trait Message: Clone + Eq + Debug + Serialize {
    /// The request's real name, e.g. `Produce`.
    fn label(&self) -> &'static str;
    /// Size on the wire in bytes, as far as bandwidth is concerned.
    fn bytes(&self) -> u64;
    /// Stirs what tells this message from others into the run's digest. The default takes every
    /// byte; a system may take less where the full-state digest covers the rest.
    fn fingerprint(&self, digest: &mut super::Digest) {
        digest.value(self);
    }
    /// A sentence for the transcript, made only on demand.
    fn describe(&self) -> String {
        self.label().to_owned()
    }
}

/// What a crash takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Loss {
    /// Memory of the process; the operating system keeps the page cache.
    Process,
    /// Memory and page cache: only flushed data stays.
    Power,
    /// Everything.
    Disk,
}

/// What a process is called with.
#[derive(Clone, Debug)]
pub enum Input<M, T, O> {
    /// First start, or start after a crash.
    Boot,
    /// A message arrived.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it is.
        msg: M,
    },
    /// A timer fired.
    Timer(T),
    /// The connection to a peer ended (reset or refused); requests on it get no answer.
    Disconnected(NodeId),
    /// An order from the timeline or the learner.
    Order(O),
}

/// A node of a system.
pub trait Process: Clone + Eq + Debug + Serialize {
    /// Messages between nodes.
    type Msg: Message;
    /// Timers a node sets for itself; small.
    type Timer: Copy + Eq + Debug + Serialize;
    /// Orders from outside that only this system understands.
    type Order: Clone + Eq + Debug + Serialize;
    /// What rules and clients report: rule fired, value changed, record sent …
    type Note: Clone + Debug;

    /// The one entry.
    fn on(&mut self, input: Input<Self::Msg, Self::Timer, Self::Order>, cx: &mut Cx<'_, Self>);

    /// Drops what a crash takes. No context: a dead process does nothing.
    fn crash(&mut self, loss: Loss);

    /// About how many bytes a clone takes, besides what it shares with the original. Keyframes are
    /// kept by it; no run depends on it.
    fn weight(&self) -> usize {
        size_of_val(self)
    }

    /// Why this order cannot be given now, if so.
    fn refuse(&self, _order: &Self::Order) -> Option<String> {
        None
    }
}

/// A timer that was set; cancelling a timer that fired does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TimerId {
    pub(super) id: EventId,
    pub(super) slot: u32,
}

#[cfg(test)]
impl TimerId {
    /// A timer of a test's own context.
    pub(crate) fn of_test(number: u32) -> Self {
        TimerId {
            id: EventId(u64::from(number)),
            slot: number,
        }
    }

    pub(crate) fn number(self) -> u32 {
        self.slot
    }
}

/// Buffers of one step, reused between steps; not part of the world's state.
#[derive(Clone, Debug)]
pub struct Scratch<P: Process> {
    /// Notes of the step just made, in order.
    pub notes: Vec<P::Note>,
    /// Make [`Scratch::text`] (costs time; for transcripts).
    pub record: bool,
    /// What the step was about, if recording.
    pub text: String,
}

impl<P: Process> Default for Scratch<P> {
    fn default() -> Self {
        Scratch {
            notes: Vec::new(),
            record: false,
            text: String::new(),
        }
    }
}

/// What a process can do while it handles an input.
pub struct Cx<'a, P: Process> {
    pub(super) core: &'a mut Core<P>,
    pub(super) me: NodeId,
    pub(super) cause: EventId,
    pub(super) notes: &'a mut Vec<P::Note>,
    pub(super) attends: bool,
}

impl<P: Process> Cx<'_, P> {
    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Simulated time, ns. The same for all nodes: use it for spans, not as a wall clock.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Nanos {
        self.core.now()
    }

    /// This node's wall clock in ms (skewed and drifting if the scenario says so).
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.core.wall_ns(self.me).div_euclid(1_000_000)
    }

    /// The event being handled.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.cause
    }

    /// Sends a message now.
    #[inline]
    pub fn send(&mut self, to: NodeId, msg: P::Msg) {
        self.core
            .send(self.me, to, msg, self.core.now(), self.cause);
    }

    /// Sends a message at a later time (for instance when a disk write is done).
    pub fn send_at(&mut self, at: Nanos, to: NodeId, msg: P::Msg) {
        self.core.send(self.me, to, msg, at, self.cause);
    }

    /// Sets a timer to fire after `delay` ns of this node's clock.
    #[inline]
    pub fn set_timer(&mut self, delay: Nanos, timer: P::Timer) -> TimerId {
        self.core.set_timer(self.me, delay, timer, self.cause)
    }

    /// Cancels a timer.
    pub fn cancel(&mut self, timer: TimerId) {
        self.core.cancel(timer);
    }

    /// Gives up the connection to a peer: what is under way on it, both ways, is lost.
    pub fn disconnect(&mut self, peer: NodeId) {
        self.core.disconnect(self.me, peer);
    }

    /// Closes the connection as the side that serves it, or refuses it: what is under way on it,
    /// both ways, is lost, and the peer is told.
    pub fn close(&mut self, peer: NodeId) {
        self.core.close(self.me, peer, self.cause);
    }

    /// Writes to the disk; returns when the write is done, ns.
    pub fn disk_write(&mut self, bytes: u64) -> Nanos {
        self.core.disk_write(self.me, bytes)
    }

    /// Ends the process in order: once this input is handled the node is down, with all that it
    /// has written, and peers are told.
    pub fn exit(&mut self) {
        self.core.exited = Some(self.me);
    }

    /// 64 uniform bits for this node, this purpose and this ordinal.
    #[must_use]
    pub fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        draw(self.core.seed(), purpose, u64::from(self.me.0), 0, ordinal)
    }

    /// Leaves a note.
    #[inline]
    pub fn note(&mut self, note: P::Note) {
        self.notes.push(note);
    }
}

/// A context as a system's own code sees it: its messages `M`, timers `T` and notes `N`, without
/// knowing which other systems share the world. [`Cx`] is one; a test may bring another.
pub trait Context<M, T, N> {
    /// This node.
    fn me(&self) -> NodeId;
    /// Simulated time, ns.
    fn now(&self) -> Nanos;
    /// This node's wall clock, ms.
    fn wall_ms(&self) -> i64;
    /// The event being handled.
    fn event(&self) -> EventId;
    /// Sends a message now.
    fn send(&mut self, to: NodeId, msg: M);
    /// Sends a message at a later time, ns.
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: M);
    /// Sets a timer to fire after `delay` ns of this node's clock.
    fn set_timer(&mut self, delay: Nanos, timer: T) -> TimerId;
    /// Cancels a timer.
    fn cancel(&mut self, timer: TimerId);
    /// Gives up the connection to a peer.
    fn disconnect(&mut self, peer: NodeId);
    /// Closes or refuses a connection; the peer is told.
    fn close(&mut self, peer: NodeId);
    /// Writes to the disk; returns when the write is done, ns.
    fn disk_write(&mut self, bytes: u64) -> Nanos;
    /// Reads from the disk, behind what it was asked before and with the same bandwidth; returns
    /// when the read is done, ns.
    fn disk_read(&mut self, bytes: u64) -> Nanos {
        self.disk_write(bytes)
    }
    /// Ends the process in order, once this input is handled.
    fn exit(&mut self);
    /// 64 uniform bits for this node, this purpose and this ordinal.
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64;
    /// Leaves a note.
    fn note(&mut self, note: N);
    /// Whether somebody looks at each record, so that notes of single records are worth their time.
    /// It may decide nothing but which notes are left.
    fn attends(&self) -> bool {
        false
    }
}

impl<P, M, T, N> Context<M, T, N> for Cx<'_, P>
where
    P: Process,
    M: Into<P::Msg>,
    T: Into<P::Timer>,
    N: Into<P::Note>,
{
    fn me(&self) -> NodeId {
        self.me
    }
    fn now(&self) -> Nanos {
        Cx::now(self)
    }
    fn wall_ms(&self) -> i64 {
        Cx::wall_ms(self)
    }
    fn event(&self) -> EventId {
        self.cause
    }
    fn send(&mut self, to: NodeId, msg: M) {
        Cx::send(self, to, msg.into());
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, msg: M) {
        Cx::send_at(self, at, to, msg.into());
    }
    fn set_timer(&mut self, delay: Nanos, timer: T) -> TimerId {
        Cx::set_timer(self, delay, timer.into())
    }
    fn cancel(&mut self, timer: TimerId) {
        Cx::cancel(self, timer);
    }
    fn disconnect(&mut self, peer: NodeId) {
        Cx::disconnect(self, peer);
    }
    fn close(&mut self, peer: NodeId) {
        Cx::close(self, peer);
    }
    fn disk_write(&mut self, bytes: u64) -> Nanos {
        Cx::disk_write(self, bytes)
    }
    fn exit(&mut self) {
        Cx::exit(self);
    }
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        Cx::draw(self, purpose, ordinal)
    }
    fn note(&mut self, note: N) {
        Cx::note(self, note.into());
    }
    fn attends(&self) -> bool {
        self.attends
    }
}
