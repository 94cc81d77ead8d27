//! One request at a time to each other voter, with a timeout and a pause after errors.
//!
//! Follows `RequestManager`. `controller.quorum.request.timeout.ms` bounds the wait for a response;
//! then the connection is closed. The pause after an error is 100 ms instead of Kafka's 20 ms
//! (`controller.quorum.retry.backoff.ms`): it decides nothing, and keeps the picture readable while
//! a leader is missing.

use super::{Controller, ms};
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Msg, Request};
use crate::kernel::{MILLISECOND, Nanos};
use serde::Serialize;

/// Pause before a voter that did not answer, or had no news, is asked again.
const RETRY_BACKOFF: Nanos = 100 * MILLISECOND;

/// The connection to another voter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) enum Connection {
    /// A request may be sent.
    #[default]
    Ready,
    /// A request was sent.
    Awaiting {
        /// Its correlation id.
        correlation: u32,
        /// It is given up at this time, ns.
        until: Nanos,
    },
    /// Nothing is sent before this time, ns.
    BackingOff {
        /// End of the pause.
        until: Nanos,
    },
}

impl Controller {
    /// Other voters, by id.
    pub(super) fn peers(&self) -> impl Iterator<Item = BrokerId> {
        let ids = self.book.controllers.iter().map(|(id, _)| *id);
        ids.filter(|id| *id != self.id)
    }

    pub(super) fn is_ready(&self, peer: BrokerId, now: Nanos) -> bool {
        match self.connections.get(&peer) {
            None | Some(Connection::Ready) => true,
            Some(Connection::Awaiting { .. }) => false,
            Some(Connection::BackingOff { until }) => *until <= now,
        }
    }

    pub(super) fn awaits_any(&self) -> bool {
        let awaiting = |c: &Connection| matches!(c, Connection::Awaiting { .. });
        self.connections.values().any(awaiting)
    }

    /// Sends a request to a voter; it leaves when all that was written before is on the disk.
    pub(super) fn request(
        &mut self,
        peer: BrokerId,
        request: Request,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(node) = self.book.controller(peer) else {
            return;
        };
        self.correlation = self.correlation.wrapping_add(1);
        let correlation = self.correlation;
        let until = now.max(self.synced_at) + ms(self.config.quorum_request_timeout_ms);
        self.connections
            .insert(peer, Connection::Awaiting { correlation, until });
        cx.send_at(
            self.synced_at,
            node,
            Msg::Request(correlation, Box::new(request)),
        );
    }

    /// A response arrived; false if nothing waited for it.
    pub(super) fn settle(&mut self, peer: BrokerId, correlation: u32) -> bool {
        let expected = matches!(
            self.connections.get(&peer),
            Some(Connection::Awaiting { correlation: c, .. }) if *c == correlation
        );
        if expected {
            self.connections.insert(peer, Connection::Ready);
        }
        expected
    }

    pub(super) fn back_off(&mut self, peer: BrokerId, now: Nanos) {
        let until = now + RETRY_BACKOFF;
        self.connections
            .insert(peer, Connection::BackingOff { until });
    }

    /// Forgets requests under way: their responses belong to a state that is over.
    pub(super) fn reset_connections(&mut self) {
        self.connections.clear();
    }

    /// Gives up requests that got no response in time.
    pub(super) fn expire_requests(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let overdue = |(id, c): (&BrokerId, &Connection)| match c {
            Connection::Awaiting { until, .. } if *until <= now => Some(*id),
            _ => None,
        };
        let given_up: Vec<BrokerId> = self.connections.iter().filter_map(overdue).collect();
        for peer in given_up {
            self.back_off(peer, now);
            if let Some(node) = self.book.controller(peer) {
                cx.close(node);
            }
        }
    }

    /// The next time at which a connection changes by itself.
    pub(super) fn connection_deadline(&self, now: Nanos) -> Nanos {
        let at = |c: &Connection| match c {
            Connection::Ready => None,
            Connection::Awaiting { until, .. } => Some(*until),
            Connection::BackingOff { until } => (*until > now).then_some(*until),
        };
        self.connections
            .values()
            .filter_map(at)
            .min()
            .unwrap_or(Nanos::MAX)
    }
}
