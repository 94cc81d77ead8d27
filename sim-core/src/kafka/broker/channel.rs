//! Requests to controllers, and answers in general: who waits for what, and for how long.
//!
//! Follows `NodeToControllerChannelManager` and the raft client's request manager: the leader of
//! the quorum is known from metadata fetches; a request that is not answered in time ends the
//! connection, and with it everything else that was under way on it.

use super::{Broker, BrokerTimer, request};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::txn_protocol::TxnResponse;
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;

/// What is asked of a controller, or of another broker about a transaction; at most one request of
/// each kind is under way to each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(super) enum Ask {
    /// BrokerRegistration.
    Registration,
    /// BrokerHeartbeat.
    Heartbeat,
    /// AlterPartition.
    AlterPartition,
    /// AllocateProducerIds.
    ProducerIds,
    /// FetchMetadata.
    Metadata,
    /// AddPartitionsToTxn, for the Produce with this correlation id on this connection.
    Verification(NodeId, u32),
    /// WriteTxnMarkers, for the markers with this number.
    Markers(u32),
    /// ReadShareGroupState or WriteShareGroupState, for the question with this number.
    ShareState(u32),
}

/// A request to a controller that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Outstanding {
    ask: Ask,
    correlation: u32,
    to: NodeId,
    deadline: Nanos,
}

impl Broker {
    /// Where the leader of the quorum is, as far as this broker knows.
    pub(super) fn controller_node(&self) -> Option<NodeId> {
        self.book.controller(self.metadata.leader?)
    }

    pub(super) fn is_asking(&self, ask: Ask) -> bool {
        self.outstanding.iter().any(|it| it.ask == ask)
    }

    pub(super) fn ask(
        &mut self,
        ask: Ask,
        to: NodeId,
        timeout: Nanos,
        what: Request,
        cx: &mut KafkaCx<'_>,
    ) {
        let correlation = self.correlation();
        let deadline = cx.now().saturating_add(timeout);
        self.outstanding.push(Outstanding {
            ask,
            correlation,
            to,
            deadline,
        });
        self.watch_deadline(deadline, cx);
        request(to, correlation, what, cx);
    }

    /// Makes sure that someone looks at this deadline.
    pub(super) fn watch_deadline(&mut self, deadline: Nanos, cx: &mut KafkaCx<'_>) {
        self.request_timeouts
            .by(deadline, BrokerTimer::RequestTimeouts, cx);
    }

    pub(super) fn on_response(
        &mut self,
        from: NodeId,
        correlation: u32,
        response: Response,
        cx: &mut KafkaCx<'_>,
    ) {
        match &response {
            Response::Fetch { .. }
            | Response::ListOffsets { .. }
            | Response::OffsetsForLeaderEpoch { .. } => {
                if let Some(leader) = self.book.broker_at(from) {
                    self.on_fetcher_response(leader, correlation, response, cx);
                }
                return;
            }
            _ => {}
        }
        let asked = |it: &Outstanding| it.correlation == correlation && it.to == from;
        let Some(at) = self.outstanding.iter().position(asked) else {
            return;
        };
        let ask = self.outstanding.remove(at).ask;
        match (ask, response) {
            (
                Ask::Registration,
                Response::BrokerRegistration {
                    error,
                    broker_epoch,
                },
            ) => {
                self.on_registration(error, broker_epoch, cx);
            }
            (
                Ask::Heartbeat,
                Response::BrokerHeartbeat {
                    error,
                    is_caught_up,
                    is_fenced,
                    should_shut_down,
                },
            ) => self.on_heartbeat(error, is_caught_up, is_fenced, should_shut_down, cx),
            (Ask::AlterPartition, Response::AlterPartition { error, partitions }) => {
                self.on_alter_partition(error, partitions, cx);
            }
            (Ask::ProducerIds, Response::AllocateProducerIds { error, start, len }) => {
                self.on_producer_ids(error, start, len);
            }
            (Ask::Metadata, response @ Response::FetchMetadata { .. }) => {
                self.on_metadata(from, response, cx);
            }
            (Ask::Verification(node, about), Response::Txn(response)) => {
                let answer = match *response {
                    TxnResponse::AddPartitionsToTxn { partitions } => Ok(partitions),
                    _ => Err(ErrorCode::UnknownServerError),
                };
                (self.parts().transactions.verified)(self, node, about, answer, cx);
            }
            (Ask::Markers(number), Response::Txn(response)) => {
                if let TxnResponse::WriteTxnMarkers { partitions } = *response {
                    (self.parts().transactions.markers_written)(self, number, &partitions, cx);
                } else {
                    self.ask_failed(ask, from, cx);
                }
            }
            (Ask::ShareState(number), Response::Share(response)) => {
                (self.parts().share.persisted)(self, number, Some(*response), cx);
            }
            // An answer of another kind than asked for: as good as none.
            (ask, _) => self.ask_failed(ask, from, cx),
        }
    }

    pub(super) fn on_request_timeouts(&mut self, cx: &mut KafkaCx<'_>) {
        self.request_timeouts.fired();
        let now = cx.now();
        let late_ask = |it: &&Outstanding| it.deadline <= now;
        while let Some(peer) = self
            .outstanding
            .iter()
            .find(late_ask)
            .map(|it| it.to)
            .or_else(|| self.late_fetcher(now))
        {
            cx.disconnect(peer);
            self.fail_requests_to(peer, cx);
        }
        let asks = self.outstanding.iter().map(|it| it.deadline);
        if let Some(next) = asks.chain(self.fetcher_deadlines()).min() {
            self.watch_deadline(next, cx);
        }
    }

    fn late_fetcher(&self, now: Nanos) -> Option<NodeId> {
        let late = |thread: &super::FetcherThread| thread.deadline().is_some_and(|at| at <= now);
        let (leader, _) = self.fetchers.iter().find(|(_, thread)| late(thread))?;
        self.book.broker(*leader)
    }

    fn fetcher_deadlines(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.fetchers
            .values()
            .filter_map(|thread| thread.deadline())
    }

    /// The connection to a peer is gone: no request on it will be answered.
    pub(super) fn fail_requests_to(&mut self, peer: NodeId, cx: &mut KafkaCx<'_>) {
        let mut failed = Vec::new();
        self.outstanding.retain(|it| {
            if it.to == peer {
                failed.push(it.ask);
            }
            it.to != peer
        });
        for ask in failed {
            self.ask_failed(ask, peer, cx);
        }
        if let Some(leader) = self.book.broker_at(peer) {
            self.fetcher_failed(leader, cx);
        }
    }

    fn ask_failed(&mut self, ask: Ask, peer: NodeId, cx: &mut KafkaCx<'_>) {
        match ask {
            Ask::Registration | Ask::Heartbeat => self.communicate_after_failure(cx),
            Ask::AlterPartition => self.alter_partition_failed(cx),
            Ask::ProducerIds => {}
            Ask::Verification(node, about) => {
                let error = ErrorCode::NetworkException;
                (self.parts().transactions.verified)(self, node, about, Err(error), cx);
            }
            Ask::Markers(number) => {
                if let Some(leader) = self.book.broker_at(peer) {
                    (self.parts().transactions.markers_failed)(self, number, leader, cx);
                }
            }
            Ask::ShareState(number) => {
                (self.parts().share.persisted)(self, number, None, cx);
            }
            Ask::Metadata => {
                let controller = self.book.controller_at(peer);
                self.metadata_failed(controller, cx);
            }
        }
    }

    /// A new leader of the quorum is known: what waited for it can go.
    pub(super) fn controller_found(&mut self, cx: &mut KafkaCx<'_>) {
        self.communicate(cx);
        self.propagate_isr_changes(cx);
    }

    /// The broker id of the quorum's leader, as far as this broker knows.
    #[must_use]
    pub fn known_controller(&self) -> Option<BrokerId> {
        self.metadata.leader
    }
}
