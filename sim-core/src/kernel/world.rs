//! The world: nodes plus what they share (the step that runs one event is in `step`).
//!
//! `World` is plain data (`Clone + Eq`): a clone is a keyframe, and running a clone gives the same
//! events, byte for byte. Causes: every event knows the event during which it was scheduled.

use super::core::{Body, Clock, Core, Machine};
use super::digest::Digest;
use super::link::{Link, LinkProfile};
use super::process::{Input, NodeId, Process, Scratch};
use super::queue::{EventId, Nanos, Queue};
use serde::Serialize;
use std::collections::VecDeque;

/// What a queued event holds behind pointers (a boxed request with a few partitions), about.
const EVENT_BYTES: usize = 256;

/// Whether a node's process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum NodeState {
    /// It runs.
    Up,
    /// It is frozen: inputs wait.
    Paused,
    /// It is gone since this time; `silent` if peers were not told (power loss).
    Down {
        /// When it went down, ns.
        since: Nanos,
        /// Peers got no reset.
        silent: bool,
    },
}

/// Processing cost of a slow node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Cpu {
    /// Time each input takes, ns; 0 = none.
    pub cost: Nanos,
    /// Busy with an earlier input until then, ns.
    pub busy_until: Nanos,
}

/// An input that waits for a gated node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Waiting<P: Process> {
    Message {
        from: NodeId,
        connection: u32,
        cause: u64,
        id: u64,
        msg: P::Msg,
    },
    Timer {
        cause: u64,
        id: u64,
        timer: P::Timer,
    },
    Reset {
        peer: NodeId,
        cause: u64,
        id: u64,
    },
}

/// A node and the state of its machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Slot<P: Process> {
    /// The system's state.
    pub process: P,
    /// Whether it runs.
    pub state: NodeState,
    /// Slow CPU, if any.
    pub cpu: Cpu,
    pub(super) inbox: VecDeque<Waiting<P>>,
    pub(super) wake_set: bool,
}

impl<P: Process> Slot<P> {
    /// Inputs go straight in.
    #[inline]
    pub(super) fn open(&self) -> bool {
        self.state == NodeState::Up && self.cpu.cost == 0 && self.inbox.is_empty()
    }

    /// Inputs that wait because the node is paused or slow.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.inbox.len()
    }
}

/// What an executed event was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A message was handled by the node.
    Message {
        /// Sender.
        from: NodeId,
        /// Request name.
        label: &'static str,
        /// When it left, ns.
        depart: Nanos,
    },
    /// A message arrived and nobody took it (node down, connection gone, held at a cut).
    Undelivered {
        /// Sender.
        from: NodeId,
        /// Request name.
        label: &'static str,
    },
    /// A timer fired.
    Timer,
    /// A connection turned out to be gone.
    Reset {
        /// The other side.
        peer: NodeId,
    },
    /// The kernel's own: an input was queued, or a node woke.
    Internal,
    /// A deed was done.
    Deed,
}

/// One executed event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Executed {
    /// Count of executed events before it.
    pub number: u64,
    /// Its identity.
    pub id: EventId,
    /// The event that scheduled it (0 = the beginning).
    pub cause: EventId,
    /// When, ns.
    pub time: Nanos,
    /// Where, if at a node.
    pub node: Option<NodeId>,
    /// What.
    pub kind: Kind,
}

/// A message under way, for views.
#[derive(Clone, Copy, Debug)]
pub struct InFlight<'a, M> {
    /// Event that will deliver it.
    pub id: EventId,
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// When it left, ns.
    pub depart: Nanos,
    /// When it will arrive, ns (now, if it is held).
    pub arrive: Nanos,
    /// It waits at a cut.
    pub held: bool,
    /// The message.
    pub msg: &'a M,
}

/// All state of a simulation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World<P: Process> {
    pub(super) core: Core<P>,
    pub(super) nodes: Vec<Slot<P>>,
    pub(super) executed: u64,
    pub(super) rolling: Digest,
}

impl<P: Process> World<P> {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64, default_profile: LinkProfile) -> Self {
        let core = Core {
            seed,
            queue: Queue::new(),
            links: Vec::new(),
            machines: Vec::new(),
            default_profile,
            exited: None,
        };
        let mut rolling = Digest::default();
        rolling.word(seed);
        World {
            core,
            nodes: Vec::new(),
            executed: 0,
            rolling,
        }
    }

    /// Adds a node; it does nothing until [`World::boot`].
    pub fn add(&mut self, process: P) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Slot {
            process,
            state: NodeState::Up,
            cpu: Cpu::default(),
            inbox: VecDeque::new(),
            wake_set: false,
        });
        self.core.links.push(Vec::new());
        self.core.machines.push(Machine::default());
        id
    }

    /// Sets the healthy behaviour of one direction between two nodes.
    pub fn set_profile(&mut self, from: NodeId, to: NodeId, profile: LinkProfile) {
        self.core.link(from, to).profile = profile;
    }

    /// Starts every node, in id order, at time 0.
    pub fn boot(&mut self, scratch: &mut Scratch<P>) {
        scratch.notes.clear();
        for i in 0..self.nodes.len() {
            self.call(NodeId(i as u32), Input::Boot, EventId(0), scratch);
        }
    }

    /// Simulated time, ns: that of the last executed event.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.core.now()
    }

    /// The scenario's seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.core.seed
    }

    /// Count of executed events, deeds included.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// Time of the next event, if there is one.
    pub fn next_time(&mut self) -> Option<Nanos> {
        self.core.queue.peek_time()
    }

    /// Lets time pass up to `at` without an event (a deed is done *at* a time); never past the next
    /// event, which would then lie in the past.
    pub fn idle_until(&mut self, at: Nanos) {
        self.core.queue.idle_until(at);
    }

    /// Events that wait.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.core.queue.len()
    }

    /// The nodes in id order.
    #[must_use]
    pub fn nodes(&self) -> &[Slot<P>] {
        &self.nodes
    }

    /// One node's process.
    #[must_use]
    pub fn process(&self, node: NodeId) -> Option<&P> {
        self.nodes.get(node.0 as usize).map(|slot| &slot.process)
    }

    /// A node's clock.
    #[must_use]
    pub fn clock(&self, node: NodeId) -> Clock {
        self.core
            .machines
            .get(node.0 as usize)
            .map(|m| m.clock)
            .unwrap_or_default()
    }

    /// A node's disk speed in bytes per second; 0 = unlimited.
    #[must_use]
    pub fn disk_speed(&self, node: NodeId) -> u64 {
        self.core
            .machines
            .get(node.0 as usize)
            .map_or(0, |m| m.disk.bytes_per_second)
    }

    /// One direction of a connection, if it was ever used.
    #[must_use]
    pub fn link(&self, from: NodeId, to: NodeId) -> Option<&Link<P::Msg>> {
        self.core.link_if_any(from, to)
    }

    /// All links that were ever used or changed, by sender and receiver.
    pub fn links(&self) -> impl Iterator<Item = (NodeId, &Link<P::Msg>)> {
        self.core
            .links
            .iter()
            .enumerate()
            .flat_map(|(from, out)| out.iter().map(move |link| (NodeId(from as u32), link)))
    }

    /// Messages under way in order of arrival, then those held at cuts.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight<'_, P::Msg>> {
        let now = self.now();
        let mut all: Vec<InFlight<'_, P::Msg>> = Vec::new();
        // Most of what waits are timeouts: they are left out before the rest is put in order.
        let message = |body: &Body<P>| matches!(body, Body::Deliver { .. });
        for (arrive, id, body) in self.core.queue.waiting_that(&message) {
            if let Body::Deliver {
                from,
                to,
                connection,
                depart,
                msg,
                ..
            } = body
                && *depart <= now
                && self
                    .link(*from, *to)
                    .is_some_and(|link| link.connection == *connection)
            {
                let (from, to, depart) = (*from, *to, *depart);
                all.push(InFlight {
                    id,
                    from,
                    to,
                    depart,
                    arrive,
                    held: false,
                    msg,
                });
            }
        }
        for (from, link) in self.links() {
            all.extend(link.held.iter().map(|held| InFlight {
                id: EventId(held.id),
                from,
                to: link.to,
                depart: held.depart,
                arrive: now,
                held: true,
                msg: &held.msg,
            }));
        }
        all
    }

    /// Digest of the events executed so far.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.rolling.finish()
    }

    /// About how many bytes a clone takes, besides what it shares with the original.
    #[must_use]
    pub fn weight(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(|slot| slot.process.weight()).sum();
        let waiting: usize = self.nodes.iter().map(|slot| slot.inbox.len()).sum();
        let event = size_of::<Body<P>>() + EVENT_BYTES;
        nodes + (waiting + self.core.queue.len() as usize) * event
    }

    /// Digest of the whole state: costly, for keyframes and gates.
    #[must_use]
    pub fn state_digest(&self) -> u64 {
        let mut digest = self.rolling;
        self.core.digest(&mut digest);
        digest.value(&self.nodes);
        digest.finish()
    }
}
