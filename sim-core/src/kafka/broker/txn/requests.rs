//! What producers and leaders ask of a coordinator, and what they are told.

use super::super::{Broker, respond};
use super::{Asker, Then};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupResponse;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Response;
use crate::kafka::rules::producer_append::TransactionVersion;
use crate::kafka::rules::txn::{EndTxn, InitProducerId, TxnWrite};
use crate::kafka::txn_protocol::{TransactionalId, TxnRequest, TxnResponse};
use crate::kernel::NodeId;

const NOBODY: (i64, i16) = (-1, -1);

impl Broker {
    pub(in super::super) fn on_txn_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: TxnRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let to = Asker::Remote(from, correlation);
        match request {
            TxnRequest::FindCoordinator { id } => {
                let found = self.transaction_coordinator(&id);
                let response = TxnResponse::FindCoordinator {
                    error: match found {
                        Some(_) => ErrorCode::None,
                        None => ErrorCode::CoordinatorNotAvailable,
                    },
                    node: found.unwrap_or(-1),
                };
                self.answer_txn(to, response, cx);
            }
            TxnRequest::InitProducerId {
                id,
                timeout_ms,
                producer,
            } => {
                let request = InitProducerId {
                    timeout_ms,
                    expected: producer,
                };
                self.init_transactional(&id, &request, to, cx);
            }
            TxnRequest::AddPartitionsToTxn {
                id,
                producer,
                partitions,
                verify_only,
                version,
            } => {
                let how = (!verify_only).then_some(version);
                self.add_partitions_to_txn(&id, producer, partitions, how, to, cx);
            }
            TxnRequest::EndTxn {
                id,
                producer,
                result,
                version,
            } => {
                let request = EndTxn {
                    producer_id: producer.0,
                    producer_epoch: producer.1,
                    result,
                    version,
                    from_client: true,
                };
                self.end_transaction(&id, request, to, cx);
            }
            TxnRequest::WriteTxnMarkers {
                producer,
                coordinator_epoch,
                result,
                version,
                partitions,
            } => {
                let marker = (result, version);
                self.write_markers(to, producer, coordinator_epoch, marker, &partitions, cx);
            }
            TxnRequest::FindGroupCoordinator { group } => {
                if let GroupResponse::FindCoordinator { error, node } =
                    self.find_coordinator(&group)
                {
                    let response = TxnResponse::FindCoordinator { error, node };
                    self.answer_txn(to, response, cx);
                }
            }
            TxnRequest::AddOffsetsToTxn {
                id,
                producer,
                group,
                version,
            } => match self.partition_of_group(&group) {
                Some(tp) => {
                    let to = Asker::Offsets(from, correlation);
                    self.add_partitions_to_txn(&id, producer, vec![tp], Some(version), to, cx);
                }
                None => {
                    let error = ErrorCode::CoordinatorNotAvailable;
                    self.answer_txn(to, TxnResponse::AddOffsetsToTxn { error }, cx);
                }
            },
            TxnRequest::TxnOffsetCommit(commit) => {
                self.on_txn_offset_commit((from, correlation), *commit, cx);
            }
            // Waits in turn behind what its connection asked before.
            TxnRequest::Produce { .. } => {}
        }
    }

    /// Tells whoever asked.
    pub(super) fn answer_txn(&mut self, to: Asker, response: TxnResponse, cx: &mut KafkaCx<'_>) {
        match (to, response) {
            (Asker::Remote(node, correlation), response) => {
                respond(node, correlation, Response::Txn(Box::new(response)), cx);
            }
            (Asker::Offsets(node, correlation), TxnResponse::AddPartitionsToTxn { partitions }) => {
                let error = partitions.first().map_or(ErrorCode::None, |it| it.1);
                let response = TxnResponse::AddOffsetsToTxn { error };
                respond(node, correlation, Response::Txn(Box::new(response)), cx);
            }
            (Asker::Batch(node, correlation), TxnResponse::AddPartitionsToTxn { partitions }) => {
                self.on_verified(node, correlation, Ok(partitions), cx);
            }
            (Asker::Markers(number), TxnResponse::WriteTxnMarkers { partitions }) => {
                self.on_markers_written(number, &partitions, cx);
            }
            // Nobody here asks anything else of itself.
            (Asker::Batch(..) | Asker::Offsets(..) | Asker::Markers(_), _) => {}
        }
    }

    fn init_transactional(
        &mut self,
        id: &TransactionalId,
        request: &InitProducerId,
        to: Asker,
        cx: &mut KafkaCx<'_>,
    ) {
        let wall_ms = cx.wall_ms();
        let block = &mut self.producer_ids;
        let coordinator = self.txn.as_mut().and_then(|it| it.coordinator.as_mut());
        let decided = match coordinator {
            None => Err(ErrorCode::NotCoordinator),
            Some(it) => it
                .manager
                .init_producer_id(id, request, wall_ms, || block.take_one()),
        };
        self.keep_producer_ids(cx);
        match decided {
            Ok((write, None)) => self.write_txn(write, Then::Init(to), cx),
            Ok((write, Some(end))) => self.write_txn(write, Then::Abort(Some(to), end), cx),
            Err(error) => self.answer_init(to, error, NOBODY, cx),
        }
    }

    fn answer_init(
        &mut self,
        to: Asker,
        error: ErrorCode,
        producer: (i64, i16),
        cx: &mut KafkaCx<'_>,
    ) {
        let version = u8::try_from(self.config.transaction_version).unwrap_or(u8::MAX);
        let response = TxnResponse::InitProducerId {
            error,
            producer,
            version,
        };
        self.answer_txn(to, response, cx);
    }

    /// Adds partitions as a client of `version`, or only verifies them.
    pub(super) fn add_partitions_to_txn(
        &mut self,
        id: &TransactionalId,
        producer: (i64, i16),
        partitions: Vec<TopicPartition>,
        version: Option<TransactionVersion>,
        to: Asker,
        cx: &mut KafkaCx<'_>,
    ) {
        let wall_ms = cx.wall_ms();
        let set = partitions.iter().copied().collect();
        let manager = self.coordinator().map(|it| &mut it.manager);
        let decided = match (manager, version) {
            (None, _) => Err(ErrorCode::NotCoordinator),
            (Some(manager), None) => manager
                .verify_partitions(id, producer, &set)
                .map(|all| Err(all.into_iter().collect())),
            (Some(manager), Some(version)) => manager
                .add_partitions(id, producer, &set, version, wall_ms)
                .map(Ok),
        };
        let all = |error| partitions.iter().map(|tp| (*tp, error)).collect();
        let answers = match decided {
            Ok(Ok(Some(write))) => {
                self.write_txn(write, Then::Added(to, partitions), cx);
                return;
            }
            Ok(Ok(None)) => all(ErrorCode::None),
            Ok(Err(verified)) => verified,
            Err(error) => all(error),
        };
        let response = TxnResponse::AddPartitionsToTxn {
            partitions: answers,
        };
        self.answer_txn(to, response, cx);
    }

    fn end_transaction(
        &mut self,
        id: &TransactionalId,
        request: EndTxn,
        to: Asker,
        cx: &mut KafkaCx<'_>,
    ) {
        let wall_ms = cx.wall_ms();
        let block = &mut self.producer_ids;
        let coordinator = self.txn.as_mut().and_then(|it| it.coordinator.as_mut());
        let decided = match coordinator {
            None => Err(ErrorCode::NotCoordinator),
            Some(it) => it
                .manager
                .end_txn(id, &request, wall_ms, || block.take_one()),
        };
        self.keep_producer_ids(cx);
        match decided {
            Ok(Err(write)) => self.write_txn(write, Then::End(to, request), cx),
            Ok(Ok(producer)) => self.answer_end(to, ErrorCode::None, producer, cx),
            Err(error) => self.answer_end(to, error, NOBODY, cx),
        }
    }

    fn answer_end(
        &mut self,
        to: Asker,
        error: ErrorCode,
        producer: (i64, i16),
        cx: &mut KafkaCx<'_>,
    ) {
        self.answer_txn(to, TxnResponse::EndTxn { error, producer }, cx);
    }

    /// A write is committed, or has failed.
    pub(super) fn txn_written(
        &mut self,
        write: &TxnWrite,
        then: Then,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Then::Complete(number) = then {
            self.completion_written(number, write, error, cx);
            return;
        }
        let before = self
            .coordinator()
            .and_then(|it| it.manager.get(&write.id))
            .map_or(0, |it| it.current.partitions.len());
        let written = self
            .coordinator()
            .map(|it| it.manager.written(write, error));
        let told = written.unwrap_or(ErrorCode::NotCoordinator);
        let done = !told.is_error();
        let producer = (write.next.producer_id, write.next.producer_epoch);
        match then {
            Then::Init(to) => {
                if done {
                    let (id, epoch) = (producer.0, i64::from(producer.1));
                    self.note_txn(Rule::TxnInitialised, write.partition, id, epoch, cx);
                }
                self.answer_init(to, told, if done { producer } else { NOBODY }, cx);
            }
            Then::Abort(to, end) => {
                let sent = if done {
                    self.prepared(&write.id, &end, cx)
                } else {
                    Err(told)
                };
                if let Some(to) = to {
                    let error = sent.err().unwrap_or(ErrorCode::ConcurrentTransactions);
                    self.answer_init(to, error, NOBODY, cx);
                }
            }
            Then::Added(to, partitions) => {
                if done {
                    let (before, after) = (before as i64, write.next.partitions.len() as i64);
                    self.note_txn(Rule::TxnOngoing, write.partition, before, after, cx);
                }
                let partitions = partitions.into_iter().map(|tp| (tp, told)).collect();
                self.answer_txn(to, TxnResponse::AddPartitionsToTxn { partitions }, cx);
            }
            Then::End(to, end) => {
                let sent = if done {
                    self.prepared(&write.id, &end, cx)
                } else {
                    Err(told)
                };
                match sent {
                    Ok(producer) => self.answer_end(to, ErrorCode::None, producer, cx),
                    Err(error) => self.answer_end(to, error, NOBODY, cx),
                }
            }
            Then::Complete(_) | Then::Expired => {}
        }
    }

    /// The end of a transaction is decided: sends its markers, and returns the id and epoch by
    /// which the producer goes on.
    fn prepared(
        &mut self,
        id: &TransactionalId,
        end: &EndTxn,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(i64, i16), ErrorCode> {
        let wall_ms = cx.wall_ms();
        let manager = self.coordinator().map(|it| &mut it.manager);
        let manager = manager.ok_or(ErrorCode::NotCoordinator)?;
        let work = manager.markers(id, end, wall_ms)?;
        self.note_prepared(&work, Rule::TxnPrepared, cx);
        let next = &work.complete.next;
        let producer = (next.producer_id, next.producer_epoch);
        self.start_markers(work, cx);
        Ok(producer)
    }
}
