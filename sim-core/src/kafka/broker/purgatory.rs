//! Connections, and requests that wait on them.
//!
//! Follows `SocketServer` (one request of a connection at a time, answers in order) and
//! `DelayedOperationPurgatory`: a fetch without enough data and a produce with acks=all wait until
//! what they need happens or their time is up. Several things may need a waiting request in one
//! step; they are collected as [`Wake`]s and looked at when the step is otherwise done, as Kafka's
//! action queue does.

use super::fetch::DelayedFetch;
use super::produce::{DelayedProduce, ProduceRequest};
use super::txn::DelayedVerification;
use super::{Broker, BrokerTimer, respond};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{CLIENT_BITS, Request, Response};
use crate::kafka::txn_protocol::TxnRequest;
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;
use std::collections::VecDeque;

/// A client's connection. While a request is parked, what follows waits behind it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Connection {
    pub(super) parked: Option<Parked>,
    queue: VecDeque<(u32, Request)>,
    /// Nothing is read from it until then: the client is over its quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<Nanos>,
}

impl Connection {
    /// Whether what comes now has to wait its turn.
    fn is_busy(&self) -> bool {
        self.parked.is_some() || self.muted_until.is_some()
    }
}

/// A request that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Parked {
    /// For data.
    Fetch(DelayedFetch),
    /// For the in-sync replicas.
    Produce(DelayedProduce),
    /// For the coordinator of its transaction.
    Verification(Box<DelayedVerification>),
}

impl Parked {
    fn deadline(&self) -> Nanos {
        match self {
            Parked::Fetch(fetch) => fetch.deadline,
            Parked::Produce(produce) => produce.deadline,
            Parked::Verification(waiting) => waiting.deadline,
        }
    }
}

/// Something that parked requests may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Wake {
    /// The leader's log grew.
    Appended(TopicPartition),
    /// The leader's high watermark rose.
    HighWatermark(TopicPartition),
    /// Leadership, epoch or ISR changed.
    Changed(TopicPartition),
    /// The connection waited for a replica that is gone.
    Connection(NodeId),
}

/// The name of the connection that a request came on: the client's node, with the mark of the
/// client within its process, which has a connection of its own.
fn connection_of(client: NodeId, correlation: u32) -> NodeId {
    NodeId(client.0 | correlation & CLIENT_BITS)
}

/// Whose connection it is.
pub(super) fn client_of(connection: NodeId) -> NodeId {
    NodeId(connection.0 & !CLIENT_BITS)
}

impl Broker {
    pub(super) fn on_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: Request,
        cx: &mut KafkaCx<'_>,
    ) {
        if !self.lifecycle.serves() {
            // The sockets open once the broker has caught up.
            cx.close(from);
            return;
        }
        let request = match request {
            Request::Group(request) => {
                (self.parts().groups.request)(self, from, correlation, *request, cx);
                return;
            }
            Request::Txn(request) if !matches!(*request, TxnRequest::Produce { .. }) => {
                (self.parts().transactions.request)(self, from, correlation, *request, cx);
                return;
            }
            Request::Share(request) => {
                (self.parts().share.request)(self, from, correlation, *request, cx);
                return;
            }
            other => other,
        };
        let from = connection_of(from, correlation);
        let connection = self.connections.entry(from).or_default();
        if connection.is_busy() || !connection.queue.is_empty() {
            connection.queue.push_back((correlation, request));
            return;
        }
        self.serve(from, correlation, request, cx);
    }

    fn serve(&mut self, from: NodeId, correlation: u32, request: Request, cx: &mut KafkaCx<'_>) {
        match request {
            Request::ApiVersions => respond(from, correlation, Response::ApiVersions, cx),
            Request::Produce {
                acks,
                timeout_ms,
                batches,
            } => {
                let produce = ProduceRequest {
                    correlation,
                    acks,
                    timeout_ms,
                    batches,
                };
                self.on_produce(from, produce, cx);
            }
            Request::Txn(request) => self.serve_txn(from, correlation, *request, cx),
            Request::Fetch {
                fetcher,
                max_wait_ms,
                min_bytes,
                max_bytes,
                partitions,
            } => {
                let max_bytes = (self.parts().quotas.fetch_limit)(self, from, max_bytes);
                let fetch = DelayedFetch {
                    correlation,
                    fetcher,
                    min_bytes,
                    max_bytes,
                    partitions,
                    deadline: cx.now().saturating_add(super::span(max_wait_ms)),
                };
                self.on_fetch(from, fetch, cx);
            }
            Request::Metadata => self.on_metadata_request(from, correlation, cx),
            Request::ListOffsets {
                tp,
                timestamp,
                current_leader_epoch,
                isolation,
            } => self.on_list_offsets(
                from,
                correlation,
                tp,
                timestamp,
                current_leader_epoch,
                isolation,
                cx,
            ),
            Request::OffsetsForLeaderEpoch {
                replica,
                tp,
                current_leader_epoch,
                leader_epoch,
            } => self.on_offsets_for_leader_epoch(
                from,
                correlation,
                replica,
                tp,
                current_leader_epoch,
                leader_epoch,
                cx,
            ),
            Request::InitProducerId => self.on_init_producer_id(from, correlation, cx),
            // Meant for a controller: a broker does not listen for these.
            Request::AllocateProducerIds { .. }
            | Request::BrokerRegistration { .. }
            | Request::BrokerHeartbeat { .. }
            | Request::AlterPartition { .. }
            | Request::Vote { .. }
            | Request::BeginQuorumEpoch { .. }
            | Request::EndQuorumEpoch { .. }
            | Request::FetchMetadata { .. } => cx.close(client_of(from)),
            // Served on arrival.
            Request::Group(_) | Request::Share(_) => {}
        }
    }

    fn serve_txn(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: TxnRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        // All others were served on arrival.
        if let TxnRequest::Produce {
            id,
            version,
            acks,
            timeout_ms,
            batches,
        } = request
        {
            let produce = ProduceRequest {
                correlation,
                acks,
                timeout_ms,
                batches,
            };
            (self.parts().transactions.produce)(self, from, &id, version, produce, cx);
        }
    }

    /// Does what this step made possible, until nothing more follows from it.
    pub(super) fn settle(&mut self, cx: &mut KafkaCx<'_>) {
        loop {
            if let Some(wake) = self.wakes.pop_front() {
                self.on_wake(wake, cx);
            } else if let Some(node) = self.ready.pop_front() {
                self.serve_next(node, cx);
            } else {
                return;
            }
        }
    }

    fn serve_next(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        let Some(connection) = self.connections.get_mut(&node) else {
            return;
        };
        if connection.is_busy() {
            return;
        }
        if let Some((correlation, request)) = connection.queue.pop_front() {
            self.serve(node, correlation, request, cx);
            self.ready.push_back(node);
        }
    }

    /// Parks a request on its connection; changes of the partitions that it is about may end it.
    pub(super) fn park(&mut self, node: NodeId, parked: Parked, cx: &mut KafkaCx<'_>) {
        let mut watch = |tp| {
            if let Some(partition) = self.partitions.get_mut(tp)
                && !partition.watchers.contains(&node)
            {
                partition.watchers.push(node);
            }
        };
        match &parked {
            Parked::Fetch(fetch) => fetch.partitions.iter().for_each(|it| watch(it.tp)),
            Parked::Produce(produce) => produce.pending().for_each(watch),
            Parked::Verification(_) => {}
        }
        self.purgatory
            .by(parked.deadline(), BrokerTimer::Purgatory, cx);
        self.connections.entry(node).or_default().parked = Some(parked);
    }

    /// Reads nothing from a connection until then (`Selector.mute`).
    pub(super) fn mute(&mut self, node: NodeId, until: Nanos, cx: &mut KafkaCx<'_>) {
        self.purgatory.by(until, BrokerTimer::Purgatory, cx);
        self.connections.entry(node).or_default().muted_until = Some(until);
    }

    /// Takes the parked request off its connection, whose next request may then be served.
    pub(super) fn unpark(&mut self, node: NodeId) -> Option<Parked> {
        let connection = self.connections.get_mut(&node)?;
        let parked = connection.parked.take();
        if !connection.queue.is_empty() {
            self.ready.push_back(node);
        }
        parked
    }

    fn on_wake(&mut self, wake: Wake, cx: &mut KafkaCx<'_>) {
        let tp = match wake {
            Wake::Appended(tp) | Wake::HighWatermark(tp) | Wake::Changed(tp) => tp,
            Wake::Connection(node) => {
                self.try_complete(node, wake, cx);
                return;
            }
        };
        if self.groups.is_some() {
            (self.parts().groups.wake)(self, wake, cx);
        }
        if self.txn.is_some() {
            (self.parts().transactions.wake)(self, wake, cx);
        }
        if self.share.is_some() {
            (self.parts().share.wake)(self, wake, cx);
        }
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let mut watchers = std::mem::take(&mut partition.watchers);
        watchers.retain(|node| self.try_complete(*node, wake, cx));
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.watchers = watchers;
        }
    }

    /// Completes a parked request if what happened is enough. Returns whether it still waits for
    /// the partition.
    fn try_complete(&mut self, node: NodeId, wake: Wake, cx: &mut KafkaCx<'_>) -> bool {
        let parked = self
            .connections
            .get(&node)
            .and_then(|it| it.parked.as_ref());
        match parked {
            None => false,
            Some(Parked::Fetch(fetch)) => {
                if self.fetch_may_end(fetch, wake, cx.now()) {
                    self.complete_fetch(node, cx);
                    return false;
                }
                true
            }
            Some(Parked::Produce(_)) => self.try_complete_produce(node, wake, cx),
            Some(Parked::Verification(_)) => false,
        }
    }

    pub(super) fn on_purgatory_timer(&mut self, cx: &mut KafkaCx<'_>) {
        self.purgatory.fired();
        let now = cx.now();
        let mut due = Vec::new();
        let mut next: Option<Nanos> = None;
        for (node, connection) in &mut self.connections {
            if connection.muted_until.is_some_and(|at| at <= now) {
                connection.muted_until = None;
                self.ready.push_back(*node);
            }
            let parked = connection.parked.as_ref().map(Parked::deadline);
            let deadlines = parked.into_iter().chain(connection.muted_until);
            for deadline in deadlines {
                if deadline <= now {
                    due.push(*node);
                } else {
                    next = Some(next.map_or(deadline, |at| at.min(deadline)));
                }
            }
        }
        for node in due {
            match self
                .connections
                .get(&node)
                .and_then(|it| it.parked.as_ref())
            {
                Some(Parked::Fetch(_)) => self.complete_fetch(node, cx),
                Some(Parked::Produce(_)) => self.expire_produce(node, cx),
                Some(Parked::Verification(waiting)) => {
                    let (about, error) = (waiting.correlation(), ErrorCode::NetworkException);
                    (self.parts().transactions.verified)(self, node, about, Err(error), cx);
                }
                None => {}
            }
        }
        if let Some(at) = next {
            self.purgatory.by(at, BrokerTimer::Purgatory, cx);
        }
    }
}
