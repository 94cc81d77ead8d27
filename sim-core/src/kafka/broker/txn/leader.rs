//! Transactions at the leader of a partition: batches that are verified first, and markers.
//!
//! Follows `ReplicaManager.maybeStartTransactionVerificationForPartitions`,
//! `AddPartitionsToTxnManager` and `KafkaApis.handleWriteTxnMarkersRequest`. The first batch of a
//! transaction waits until the coordinator has confirmed that the partition belongs to it; from
//! transaction version 2 on, the leader adds it by asking (KIP-890).

use super::super::channel::Ask;
use super::super::produce::ProduceRequest;
use super::super::purgatory::Parked;
use super::super::{Broker, span};
use super::Asker;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Acks, Request};
use crate::kafka::rules::isr::AcksProgress;
use crate::kafka::rules::partition_log::LeaderAppend;
use crate::kafka::rules::producer_append::{AppendOrigin, TransactionVersion, VerificationGuard};
use crate::kafka::rules::txn::{TransactionResult, verification_error};
use crate::kafka::txn_protocol::{TransactionalId, TxnRequest, TxnResponse};
use crate::kernel::{MILLISECOND, Nanos, NodeId};
use crate::log::Batch;
use serde::Serialize;

/// `add.partitions.to.txn.retry.backoff.ms` and `add.partitions.to.txn.retry.backoff.max.ms`.
const ADD_RETRY: Nanos = 20 * MILLISECOND;
const ADD_TIMEOUT: Nanos = 100 * MILLISECOND;

/// A Produce that waits for its verification.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in super::super) struct DelayedVerification {
    produce: ProduceRequest,
    id: TransactionalId,
    version: TransactionVersion,
    guards: Vec<(TopicPartition, VerificationGuard)>,
    /// Until when an add is tried again, because the transaction before is not complete.
    adds_until: Nanos,
    pub(in super::super) deadline: Nanos,
}

impl DelayedVerification {
    pub(in super::super) fn correlation(&self) -> u32 {
        self.produce.correlation
    }
}

/// Markers that wait for the in-sync replicas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct MarkerWait {
    to: Asker,
    answers: Vec<(TopicPartition, ErrorCode)>,
    /// Partitions with the offset that the high watermark must reach.
    pending: Vec<(TopicPartition, i64)>,
    pub(super) deadline: Nanos,
}

impl Broker {
    /// A Produce with a transactional id.
    pub(in super::super) fn on_txn_produce(
        &mut self,
        from: NodeId,
        id: &TransactionalId,
        version: TransactionVersion,
        produce: ProduceRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let (adds, wall_ms) = (version >= 2, cx.wall_ms());
        let mut guards = Vec::new();
        if adds || self.config.txn_verification {
            for (tp, batch) in &produce.batches {
                let partition = self.partitions.get_mut(*tp);
                let led = partition.filter(|it| it.leader_state().is_some());
                let guard = led.and_then(|it| it.log.start_verification(batch, adds, wall_ms));
                guards.extend(guard.map(|guard| (*tp, guard)));
            }
        }
        let Some(first) = guards.first().map(|(tp, _)| *tp) else {
            self.produce_verified(from, produce, &[], &[], cx);
            return;
        };
        let correlation = produce.correlation;
        let timeout = span(self.config.request_timeout_ms);
        let asked = guards.len() as i64;
        self.note_rule(Rule::TxnVerifying, Some(first), None, 0, asked, cx);
        let parked = DelayedVerification {
            produce,
            id: id.clone(),
            version,
            guards,
            adds_until: cx.now().saturating_add(ADD_TIMEOUT),
            deadline: cx.now().saturating_add(timeout),
        };
        self.park(from, Parked::Verification(Box::new(parked)), cx);
        self.ask_about(from, correlation, cx);
    }

    fn waiting(&self, node: NodeId, correlation: u32) -> Option<&DelayedVerification> {
        match self.connections.get(&node)?.parked.as_ref()? {
            Parked::Verification(it) if it.correlation() == correlation => Some(it),
            _ => None,
        }
    }

    /// Asks the coordinator about the transaction of a parked Produce.
    pub(super) fn ask_about(&mut self, from: NodeId, correlation: u32, cx: &mut KafkaCx<'_>) {
        let Some(waiting) = self.waiting(from, correlation) else {
            return;
        };
        let Some((_, first)) = waiting.produce.batches.first() else {
            return;
        };
        let producer = (first.producer.id, first.producer.epoch);
        let (id, version) = (waiting.id.clone(), waiting.version);
        let partitions: Vec<TopicPartition> = waiting.guards.iter().map(|(tp, _)| *tp).collect();
        let about = (from, correlation);
        self.ask_coordinator_about(&id, producer, version, partitions, about, cx);
    }

    /// Asks the coordinator of a transaction whether partitions are in it, or to add them.
    pub(in super::super) fn ask_coordinator_about(
        &mut self,
        id: &TransactionalId,
        producer: (i64, i16),
        version: TransactionVersion,
        partitions: Vec<TopicPartition>,
        (from, correlation): (NodeId, u32),
        cx: &mut KafkaCx<'_>,
    ) {
        let timeout = span(self.config.request_timeout_ms);
        let adds = version >= 2;
        let coordinator = self.transaction_coordinator(id);
        let asker = Asker::Batch(from, correlation);
        if coordinator == Some(self.id) {
            let how = adds.then_some(version);
            self.add_partitions_to_txn(id, producer, partitions, how, asker, cx);
            return;
        }
        let Some(node) = coordinator.and_then(|id| self.book.broker(id)) else {
            let error = ErrorCode::CoordinatorNotAvailable;
            self.on_verified(from, correlation, Err(error), cx);
            return;
        };
        let request = TxnRequest::AddPartitionsToTxn {
            id: id.clone(),
            producer,
            partitions,
            verify_only: !adds,
            version,
        };
        let request = Request::Txn(Box::new(request));
        self.ask(
            Ask::Verification(from, correlation),
            node,
            timeout,
            request,
            cx,
        );
    }

    /// The coordinator has answered, or could not be asked.
    pub(in super::super) fn on_verified(
        &mut self,
        node: NodeId,
        correlation: u32,
        answer: Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode>,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(waiting) = self.waiting(node, correlation) else {
            self.on_offsets_verified((node, correlation), &answer, cx);
            return;
        };
        let early = |it: &(TopicPartition, ErrorCode)| it.1 == ErrorCode::ConcurrentTransactions;
        let too_early = answer.as_ref().is_ok_and(|all| all.iter().any(early));
        let again = cx.now().saturating_add(ADD_RETRY);
        if waiting.version >= 2 && too_early && again < waiting.adds_until {
            self.transactions().adds.push((again, node, correlation));
            self.watch_txn_at(again, cx);
            return;
        }
        let Some(Parked::Verification(verified)) = self.unpark(node) else {
            return;
        };
        let mut refused = Vec::new();
        for (tp, _) in &verified.guards {
            let error = match &answer {
                Err(error) => *error,
                Ok(all) => {
                    let own = all.iter().find(|(about, _)| about == tp);
                    own.map_or(ErrorCode::UnknownServerError, |(_, error)| *error)
                }
            };
            if error.is_error() {
                let told = verification_error(error);
                self.note_rule(Rule::TxnVerifyFailed, Some(*tp), None, 0, told as i64, cx);
                refused.push((*tp, told));
            }
        }
        self.produce_verified(node, verified.produce, &verified.guards, &refused, cx);
    }

    /// Appends markers; each is answered when the in-sync replicas have it.
    pub(super) fn write_markers(
        &mut self,
        to: Asker,
        producer: (i64, i16),
        coordinator_epoch: i32,
        (result, version): (TransactionResult, TransactionVersion),
        partitions: &[TopicPartition],
        cx: &mut KafkaCx<'_>,
    ) {
        let (mut answers, mut pending, mut bytes) = (Vec::new(), Vec::new(), 0);
        for tp in partitions {
            let (id, epoch) = producer;
            let marker = result.marker();
            let batch = Batch::end_txn_marker(marker, id, epoch, coordinator_epoch, cx.wall_ms());
            let size = u64::from(batch.bytes);
            let as_coordinator = |append: LeaderAppend| LeaderAppend {
                origin: AppendOrigin::Coordinator,
                version,
                ..append
            };
            match self.append_as(*tp, batch, Acks::All, as_coordinator, cx) {
                Ok((_, last)) => {
                    bytes += size;
                    let commits = i64::from(result == TransactionResult::Commit);
                    self.note_rule(Rule::TxnMarker, Some(*tp), None, commits, last, cx);
                    pending.push((*tp, last + 1));
                    self.end_txn_offsets(*tp, (id, commits == 1), last + 1, cx);
                }
                Err(error) => answers.push((*tp, error)),
            }
        }
        if bytes > 0 {
            cx.disk_write(bytes);
        }
        let deadline = cx
            .now()
            .saturating_add(span(self.config.request_timeout_ms));
        self.transactions().waits.push(MarkerWait {
            to,
            answers,
            pending,
            deadline,
        });
        self.watch_txn_at(deadline, cx);
        self.complete_marker_waits(cx);
    }

    /// Answers markers that the in-sync replicas have, or that waited for too long.
    pub(super) fn complete_marker_waits(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let mut done = Vec::new();
        let hosted = &self.partitions;
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        for wait in &mut txn.waits {
            let answers = &mut wait.answers;
            let late = wait.deadline <= now;
            wait.pending.retain(|(tp, needs)| {
                let state = hosted.get(*tp).and_then(|it| it.leader_state());
                let error = match state.map(|it| it.acks_progress(*needs)) {
                    None => ErrorCode::NotLeaderOrFollower,
                    Some(AcksProgress::Waiting) if late => ErrorCode::RequestTimedOut,
                    Some(AcksProgress::Waiting) => return true,
                    Some(AcksProgress::Done) => ErrorCode::None,
                    Some(AcksProgress::NotEnoughReplicasAfterAppend) => {
                        ErrorCode::NotEnoughReplicasAfterAppend
                    }
                };
                answers.push((*tp, error));
                false
            });
        }
        txn.waits.retain_mut(|wait| {
            if wait.pending.is_empty() {
                done.push((wait.to, std::mem::take(&mut wait.answers)));
            }
            !wait.pending.is_empty()
        });
        for (to, partitions) in done {
            self.answer_txn(to, TxnResponse::WriteTxnMarkers { partitions }, cx);
        }
    }
}
