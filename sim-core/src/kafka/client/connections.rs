//! The connection to one broker: whether it stands, and what is under way on it.
//!
//! Follows `ClusterConnectionStates` and `InFlightRequests`. A connection is opened by an
//! ApiVersions request (the TCP handshake is part of it here); after a failure the next attempt
//! waits `reconnect.backoff.ms` (50, doubling to 1,000, ±20 %), and an attempt itself may take
//! `socket.connection.setup.timeout.ms` (10 s, ±20 %, doubling to 30 s with each attempt in a row
//! that failed; the loss of a connection that stood is no such failure).

use super::{Backoff, NEVER};
use crate::kafka::ids::BrokerId;
use crate::kernel::{MILLISECOND, Nanos, NodeId, SECOND};
use serde::Serialize;
use std::collections::VecDeque;

/// Defaults of `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
const RECONNECT: Backoff = Backoff {
    initial: 50 * MILLISECOND,
    max: 1_000 * MILLISECOND,
};

/// Defaults of `socket.connection.setup.timeout.ms` and `….max.ms`.
const SETUP: Backoff = Backoff {
    initial: 10 * SECOND,
    max: 30 * SECOND,
};

/// State of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum State {
    /// There is none; the next attempt may start from then on, ns.
    Closed {
        /// From when.
        not_before: Nanos,
    },
    /// ApiVersions is under way.
    Connecting {
        /// Its correlation id.
        correlation: u32,
        /// It is given up then, ns.
        deadline: Nanos,
    },
    /// Usable.
    Ready,
}

/// A request that waits for its response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct InFlight<K> {
    pub(super) correlation: u32,
    pub(super) deadline: Nanos,
    /// What it was about; `None` is the client's own Metadata request.
    pub(super) about: Option<K>,
}

/// A broker as this client sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Peer<K> {
    pub(super) broker: BrokerId,
    pub(super) node: NodeId,
    pub(super) state: State,
    /// In order of their deadlines, which is that of sending but for requests with a time of their
    /// own.
    pub(super) in_flight: VecDeque<InFlight<K>>,
    /// Losses and failed attempts since a connection last stood: what the pause before the next
    /// attempt grows with.
    failures: u32,
    /// Attempts in a row that failed: what the time for an attempt grows with.
    failed_attempts: u32,
    pub(super) last_attempt: Nanos,
    /// The broker has asked for silence until then, ns; 0 if it never did.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) throttled_until: Nanos,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(at: &Nanos) -> bool {
    *at == 0
}

impl<K> Peer<K> {
    pub(super) fn new(broker: BrokerId, node: NodeId) -> Self {
        Peer {
            broker,
            node,
            state: State::Closed { not_before: 0 },
            in_flight: VecDeque::new(),
            failures: 0,
            failed_attempts: 0,
            last_attempt: 0,
            throttled_until: 0,
        }
    }

    pub(super) fn can_connect(&self, now: Nanos) -> bool {
        matches!(self.state, State::Closed { not_before } if not_before <= now)
    }

    /// An attempt to connect starts.
    pub(super) fn connecting(&mut self, now: Nanos, correlation: u32, bits: u64) {
        let deadline = now.saturating_add(SETUP.pause(self.failed_attempts, bits));
        self.last_attempt = now;
        self.state = State::Connecting {
            correlation,
            deadline,
        };
    }

    /// The connection stands.
    pub(super) fn connected(&mut self) {
        self.state = State::Ready;
        self.failures = 0;
        self.failed_attempts = 0;
    }

    /// The connection is gone, or could not be made; returns what was under way on it.
    pub(super) fn closed(&mut self, now: Nanos, bits: u64) -> VecDeque<InFlight<K>> {
        let not_before = now.saturating_add(RECONNECT.pause(self.failures, bits));
        self.failed_attempts = match self.state {
            State::Connecting { .. } => self.failed_attempts.saturating_add(1),
            _ => 0,
        };
        self.state = State::Closed { not_before };
        self.failures = self.failures.saturating_add(1);
        self.throttled_until = 0;
        std::mem::take(&mut self.in_flight)
    }

    /// When the connection is given up for lack of an answer.
    pub(super) fn deadline(&self) -> Nanos {
        match self.state {
            State::Closed { .. } => NEVER,
            State::Connecting { deadline, .. } => deadline,
            State::Ready => self.in_flight.front().map_or(NEVER, |it| it.deadline),
        }
    }

    /// A request is under way.
    pub(super) fn sent(&mut self, request: InFlight<K>) {
        let later = self.in_flight.iter().rev();
        let later = later
            .take_while(|it| it.deadline > request.deadline)
            .count();
        self.in_flight.insert(self.in_flight.len() - later, request);
    }

    /// Takes the request that this response answers out of those under way.
    pub(super) fn answered(&mut self, correlation: u32) -> Option<InFlight<K>> {
        let at = self
            .in_flight
            .iter()
            .position(|it| it.correlation == correlation)?;
        self.in_flight.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the next attempt may take, s, without the chance in it.
    fn attempt(peer: &mut Peer<()>) -> Nanos {
        peer.connecting(0, 1, u64::MAX / 2);
        (peer.deadline() + SECOND / 2) / SECOND
    }

    #[test]
    fn an_attempt_gets_more_time_after_failed_attempts_only() {
        let mut peer = Peer::new(1, NodeId(1));
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(attempt(&mut peer));
            peer.closed(0, 0);
        }
        assert_eq!(seen, [10, 20, 30, 30]);
        attempt(&mut peer);
        peer.connected();
        // A connection that stood is lost: the next attempt has the first one's time.
        peer.closed(0, 0);
        assert_eq!(attempt(&mut peer), 10);
    }
}
