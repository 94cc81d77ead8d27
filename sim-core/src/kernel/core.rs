//! What all nodes of a world share: queue, links, clocks, disks. Processes reach it through `Cx`.

use super::chance::{Purpose, below, draw};
use super::digest::Digest;
use super::disk::Disk;
use super::link::{HeldMessage, Link, LinkProfile};
use super::process::{Message, NodeId, Process, TimerId};
use super::queue::{EventId, Nanos, Queue};
use serde::Serialize;

const JITTER: Purpose = Purpose::named("link.jitter");
const LOSS: Purpose = Purpose::named("link.loss");
const DUPLICATE: Purpose = Purpose::named("link.duplicate");
const REORDER: Purpose = Purpose::named("link.reorder");

/// A node's wall clock against simulated time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Clock {
    /// Offset, ns.
    pub skew: i64,
    /// Rate error in parts per billion.
    pub drift_ppb: i64,
    /// Since when it drifts at this rate, ns.
    pub drift_since: Nanos,
}

impl Clock {
    /// Wall clock in ns at simulated time `now`.
    #[must_use]
    pub fn wall(&self, now: Nanos) -> i64 {
        if self.drift_ppb == 0 {
            return (now as i64).wrapping_add(self.skew);
        }
        let run = i128::from(now) - i128::from(self.drift_since);
        let drifted = run * i128::from(self.drift_ppb) / 1_000_000_000;
        (i128::from(now) + i128::from(self.skew) + drifted) as i64
    }

    /// Simulated span in which this clock advances by `span`.
    #[must_use]
    #[inline]
    pub fn real(&self, span: Nanos) -> Nanos {
        if self.drift_ppb == 0 {
            return span;
        }
        let rate = (1_000_000_000 + i128::from(self.drift_ppb)).max(1);
        (i128::from(span) * 1_000_000_000 / rate) as Nanos
    }
}

/// The body of a waiting event. Kept small: it moves once in and once out of the slab.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Body<P: Process> {
    Deliver {
        from: NodeId,
        to: NodeId,
        connection: u32,
        cause: u64,
        depart: Nanos,
        msg: P::Msg,
    },
    Timer {
        node: NodeId,
        incarnation: u32,
        cause: u64,
        timer: P::Timer,
    },
    /// A message leaves later than it was given (a disk write comes first), if its sender lives.
    Depart {
        from: NodeId,
        incarnation: u32,
        to: NodeId,
        cause: u64,
        msg: P::Msg,
    },
    /// The connection between `node` and `peer` turned out to be gone.
    Reset {
        node: NodeId,
        peer: NodeId,
        cause: u64,
    },
    /// A gated node takes the next input from its inbox.
    Wake { node: NodeId, incarnation: u32 },
}

/// Per-node parts that the kernel owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Machine {
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) incarnation: u32,
}

/// Queue, links and machines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Core<P: Process> {
    pub(super) seed: u64,
    pub(super) queue: Queue<Body<P>>,
    /// Links by sender, each list sorted by receiver.
    pub(super) links: Vec<Vec<Link<P::Msg>>>,
    pub(super) machines: Vec<Machine>,
    pub(super) default_profile: LinkProfile,
    /// The process that ended in the step under way, if one did.
    pub(super) exited: Option<NodeId>,
}

impl<P: Process> Core<P> {
    #[inline]
    pub(super) fn now(&self) -> Nanos {
        self.queue.now()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn wall_ns(&self, node: NodeId) -> i64 {
        self.machines[node.0 as usize].clock.wall(self.now())
    }

    /// The link from one node to another, made on first use.
    pub(super) fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link<P::Msg> {
        let profile = self.default_profile;
        let out = &mut self.links[from.0 as usize];
        let at = match out.binary_search_by_key(&to, |link| link.to) {
            Ok(at) => at,
            Err(at) => {
                out.insert(at, Link::new(to, profile));
                at
            }
        };
        &mut out[at]
    }

    pub(super) fn link_if_any(&self, from: NodeId, to: NodeId) -> Option<&Link<P::Msg>> {
        let out = self.links.get(from.0 as usize)?;
        out.binary_search_by_key(&to, |link| link.to)
            .ok()
            .map(|at| &out[at])
    }

    pub(super) fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        msg: P::Msg,
        depart: Nanos,
        cause: EventId,
    ) {
        let seed = self.seed;
        if depart > self.now() {
            let incarnation = self.machines[from.0 as usize].incarnation;
            let cause = cause.0;
            let body = Body::Depart {
                from,
                incarnation,
                to,
                cause,
                msg,
            };
            self.queue.push(depart, body);
            return;
        }
        let depart = self.now();
        let link = self.link(from, to);
        let ordinal = link.sent;
        link.sent += 1;
        link.open = true;
        let chance = |purpose, ppm: u32| {
            ppm > 0
                && below(
                    draw(seed, purpose, from.0.into(), to.0.into(), ordinal),
                    1_000_000,
                ) < u64::from(ppm)
        };
        if !link.fault.filters.is_empty()
            && link.fault.filters.iter().any(|f| f.label == msg.label())
        {
            return;
        }
        if chance(LOSS, link.fault.loss_ppm) {
            return;
        }
        let twice = chance(DUPLICATE, link.fault.duplicate_ppm);
        let overtakes = chance(REORDER, link.fault.reorder_ppm);
        let mut delay = link.profile.delay + link.fault.slow_by;
        if link.profile.jitter > 0 {
            let bits = draw(seed, JITTER, from.0.into(), to.0.into(), ordinal);
            delay += below(bits, link.profile.jitter + 1);
        }
        let mut arrive = depart + delay;
        if link.profile.per_kilobyte > 0 {
            let span = u128::from(msg.bytes()) * u128::from(link.profile.per_kilobyte) / 1_000;
            // A link that is busy until the end of time stays so.
            let span = Nanos::try_from(span).unwrap_or(Nanos::MAX);
            link.wire_free = link.wire_free.max(depart).saturating_add(span);
            arrive = link.wire_free.saturating_add(delay);
        }
        if overtakes {
            // It is late by three more delays; what follows may pass it.
            arrive = arrive.saturating_add(3 * delay);
        } else {
            arrive = arrive.max(link.last_arrival);
            link.last_arrival = arrive;
        }
        let connection = link.connection;
        if twice {
            let copy = msg.clone();
            self.deliver_at(arrive, from, to, connection, cause.0, depart, copy);
        }
        self.deliver_at(arrive, from, to, connection, cause.0, depart, msg);
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn deliver_at(
        &mut self,
        at: Nanos,
        from: NodeId,
        to: NodeId,
        connection: u32,
        cause: u64,
        depart: Nanos,
        msg: P::Msg,
    ) -> EventId {
        self.queue
            .push(
                at,
                Body::Deliver {
                    from,
                    to,
                    connection,
                    cause,
                    depart,
                    msg,
                },
            )
            .0
    }

    /// A message reached a cut: it waits there.
    pub(super) fn hold(&mut self, from: NodeId, to: NodeId, held: HeldMessage<P::Msg>) {
        self.link(from, to).held.push_back(held);
    }

    /// Lets `node` hear, at `at`, that its connection to `peer` is gone; at a cut the news waits.
    pub(super) fn tell_reset(&mut self, node: NodeId, peer: NodeId, at: Nanos, cause: EventId) {
        let back = self.link(peer, node);
        if back.fault.cut {
            back.reset_due = Some(cause.0);
            return;
        }
        let cause = cause.0;
        self.queue.push(at, Body::Reset { node, peer, cause });
    }

    /// Lets go what waited at a link that is no longer cut: first the news that the connection of
    /// before is gone, then what was sent on the present one, in the order of its sending.
    pub(super) fn release(&mut self, from: NodeId, to: NodeId) {
        let now = self.now();
        let link = self.link(from, to);
        let delay = link.profile.delay + link.fault.slow_by;
        let connection = link.connection;
        let held = std::mem::take(&mut link.held);
        let reset_due = link.reset_due.take();
        let arrive = link.last_arrival.max(now + delay);
        link.last_arrival = arrive;
        if let Some(cause) = reset_due {
            self.tell_reset(to, from, arrive, EventId(cause));
        }
        // What had not come as far as the cut would get there before what is sent again: the
        // receiver's TCP keeps it back until then.
        let mut behind = Vec::new();
        if !held.is_empty() {
            let is_of_it = |body: &Body<P>| match body {
                Body::Deliver {
                    from: sender,
                    to: receiver,
                    connection: its,
                    ..
                } => (*sender, *receiver, *its) == (from, to, connection),
                _ => false,
            };
            for (at, id, _) in self.queue.waiting_that(&is_of_it) {
                if at <= arrive {
                    behind.push(id);
                }
            }
        }
        for waiting in held {
            // The cause stays what it was; the departure is the retransmission.
            self.deliver_at(
                arrive,
                from,
                to,
                connection,
                waiting.cause,
                now,
                waiting.msg,
            );
        }
        for id in behind {
            if let Some((_, body)) = self.queue.remove(id) {
                self.queue.push(arrive, body);
            }
        }
    }

    #[inline]
    pub(super) fn set_timer(
        &mut self,
        node: NodeId,
        delay: Nanos,
        timer: P::Timer,
        cause: EventId,
    ) -> TimerId {
        let machine = &self.machines[node.0 as usize];
        let at = self.queue.now().saturating_add(machine.clock.real(delay));
        let incarnation = machine.incarnation;
        let body = Body::Timer {
            node,
            incarnation,
            cause: cause.0,
            timer,
        };
        let (id, slot) = self.queue.push(at, body);
        TimerId { id, slot }
    }

    pub(super) fn cancel(&mut self, timer: TimerId) {
        self.queue.cancel(timer.id, timer.slot);
    }

    /// Ends the connection between two nodes without telling anyone.
    pub(super) fn disconnect(&mut self, a: NodeId, b: NodeId) {
        self.link(a, b).reset();
        self.link(b, a).reset();
    }

    /// Ends the connection between two nodes; the peer is told, at a cut when it heals.
    pub(super) fn close(&mut self, node: NodeId, peer: NodeId, cause: EventId) {
        self.disconnect(node, peer);
        let now = self.now();
        let link = self.link(node, peer);
        let at = now + link.profile.delay + link.fault.slow_by;
        self.tell_reset(peer, node, at, cause);
    }

    pub(super) fn disk_write(&mut self, node: NodeId, bytes: u64) -> Nanos {
        let now = self.now();
        self.machines[node.0 as usize].disk.write(now, bytes)
    }

    /// Stirs the shared state into a full-state digest.
    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.seed);
        digest.word(self.now());
        for (at, id, body) in self.queue.waiting() {
            digest.word(at);
            digest.word(id.0);
            digest.value(body);
        }
        digest.value(&self.links);
        digest.value(&self.machines);
    }
}
