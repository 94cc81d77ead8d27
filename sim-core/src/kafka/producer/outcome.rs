//! What becomes of a request: acknowledged, tried again, split, failed.
//!
//! Follows `Sender.handleProduceResponse`, `completeBatch` and `failBatch`. An error is retried if
//! it is retriable (or is one that the sequence numbers explain), if `delivery.timeout.ms` is not
//! reached and `retries` are left.

use super::batch::ProducerBatch;
use super::{About, Init, Producer, ProducerIdAndEpoch, retry};
use crate::kafka::client::{Lost, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::Response;
use crate::kernel::Purpose;

const RETRY: Purpose = Purpose::named("producer.retry-backoff");
/// A batch is tried at most so often before two of its draws would be the same.
const ATTEMPTS: u64 = 1 << 32;

impl Producer {
    /// Requests that will not be answered.
    pub(super) fn on_lost(&mut self, lost: Vec<Lost<About>>, cx: &mut KafkaCx<'_>) {
        for request in lost {
            match request.about {
                About::InitProducerId => self.retry_init(cx),
                About::Txn(_) => self.transaction_request_lost(cx),
                About::Produce(batches) => {
                    for (partition, id) in batches {
                        self.complete(partition, id, request.error, -1, cx);
                    }
                }
            }
        }
    }

    /// A request was answered.
    pub(super) fn on_answer(
        &mut self,
        _broker: BrokerId,
        about: About,
        answer: Response,
        cx: &mut KafkaCx<'_>,
    ) {
        match (about, answer) {
            (About::Produce(batches), Response::Produce { partitions }) => {
                for (at, (partition, id)) in batches.into_iter().enumerate() {
                    let tp = self.client.metadata.tp(partition);
                    // Brokers answer in the order of the request.
                    let in_order = partitions.get(at).filter(|p| p.tp == tp);
                    let told = in_order.or_else(|| partitions.iter().find(|p| p.tp == tp));
                    let Some(told) = told else {
                        // An answer that leaves a batch out is of no use.
                        self.complete(partition, id, ErrorCode::UnknownServerError, -1, cx);
                        continue;
                    };
                    if let Some((leader, epoch)) = told.current_leader
                        && matches!(
                            told.error,
                            ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
                        )
                        && self.client.metadata.hint(tp, leader, epoch)
                    {
                        self.on_metadata(true);
                    }
                    self.complete(partition, id, told.error, told.base_offset, cx);
                }
            }
            (
                About::InitProducerId,
                Response::InitProducerId {
                    error,
                    producer_id,
                    producer_epoch,
                },
            ) => match error {
                ErrorCode::None => {
                    self.init = Init::Done;
                    self.owner = ProducerIdAndEpoch {
                        id: producer_id,
                        epoch: producer_epoch,
                    };
                }
                error if error.retriable() => self.retry_init(cx),
                error => self.fail_for_good(error, cx),
            },
            (About::Txn(about), Response::Txn(answer)) => {
                (self.parts().answer)(self, about, *answer, cx)
            }
            (About::Txn(_), _) => self.transaction_request_lost(cx),
            (About::Produce(batches), _) => {
                for (partition, id) in batches {
                    self.complete(partition, id, ErrorCode::UnknownServerError, -1, cx);
                }
            }
            (About::InitProducerId, _) => self.retry_init(cx),
        }
    }

    /// The producer cannot go on: everything it has fails.
    pub(super) fn fail_for_good(&mut self, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        self.init = Init::Done;
        self.fatal = Some(error);
        for partition in 0..self.client.metadata.partition_count() {
            let Some(queue) = self.accumulator.partition(partition) else {
                continue;
            };
            let waiting: Vec<ProducerBatch> = queue.queue.drain(..).collect();
            for batch in waiting {
                self.fail(&batch, error, cx);
            }
        }
    }

    /// One batch of a request has its answer.
    pub(super) fn complete(
        &mut self,
        partition: u16,
        id: u64,
        error: ErrorCode,
        base_offset: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some((batch, sequences)) = self.accumulator.take_answered(partition, id) else {
            return;
        };
        let written = matches!(error, ErrorCode::None | ErrorCode::DuplicateSequenceNumber);
        if written && batch.has_sequence() {
            sequences.acked(batch.last_sequence());
        }
        if batch.expired {
            // Its records have failed already; the answer settles only the sequence.
            self.accumulator.free(batch.memory);
        } else if written {
            self.acknowledge(partition, &batch, base_offset, cx);
        } else if error == ErrorCode::MessageTooLarge && batch.count() > 1 {
            self.split(partition, batch);
        } else if self.can_retry(partition, &batch, error, cx) {
            self.try_again(partition, batch, error, cx);
        } else {
            self.give_up(partition, &batch, error, cx);
        }
        if invalidates_metadata(error) {
            self.client.metadata.request_update(false);
        }
    }

    fn acknowledge(
        &mut self,
        partition: u16,
        batch: &ProducerBatch,
        base_offset: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        self.accumulator.free(batch.memory);
        self.counts.acknowledged += u64::from(batch.count());
        let (node, tp) = (cx.me(), self.client.metadata.tp(partition));
        for (delta, record) in (0..).zip(batch.records()) {
            let offset = match base_offset {
                -1 => -1,
                base => base + delta,
            };
            cx.note(Note::Acknowledged {
                node,
                record: record.id,
                tp,
                offset,
            });
        }
    }

    fn can_retry(
        &mut self,
        partition: u16,
        batch: &ProducerBatch,
        error: ErrorCode,
        cx: &KafkaCx<'_>,
    ) -> bool {
        let timeout = span(self.config.delivery_timeout_ms);
        if batch.created.saturating_add(timeout) <= cx.now()
            || batch.attempts >= self.config.retries
        {
            return false;
        }
        if !self.config.idempotent() {
            return error.retriable();
        }
        let base = batch.stamp().base_sequence;
        if let Some(txn) = &self.txn {
            // What will be aborted anyway need not come into order again.
            let queue = self.accumulator.partitions.get(usize::from(partition));
            let reset = batch.sequence_reset;
            let ordered = |it: &super::accumulator::PartitionQueue| {
                let sequences = &it.sequences;
                sequences.can_retry_in_transaction(error, base, reset)
            };
            return match txn.is_failed() {
                true => error.retriable(),
                false => queue.is_some_and(ordered),
            };
        }
        let bump = &mut self.bump_required;
        self.accumulator
            .partitions
            .get_mut(usize::from(partition))
            .is_some_and(|queue| {
                let sequences = &mut queue.sequences;
                sequences.can_retry(error, base, batch.sequence_reset, bump)
            })
    }

    fn try_again(
        &mut self,
        partition: u16,
        mut batch: ProducerBatch,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let key = batch.id * ATTEMPTS + u64::from(batch.attempts);
        let pause = retry(&self.config).pause(batch.attempts, cx.draw(RETRY, key));
        batch.reenqueued(cx.now(), pause);
        self.counts.retries += 1;
        self.last_error = Some((cx.now(), error));
        cx.note(Note::Rule {
            node: cx.me(),
            rule: Rule::Retry,
            tp: Some(self.client.metadata.tp(partition)),
            broker: None,
            before: i64::from(batch.attempts) - 1,
            after: i64::from(batch.attempts),
        });
        self.accumulator.reenqueue(partition, batch);
    }

    fn give_up(
        &mut self,
        partition: u16,
        batch: &ProducerBatch,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        self.fail(batch, error, cx);
        if !self.config.idempotent() {
            return;
        }
        if self.txn.is_some() {
            self.transaction_failed();
            return;
        }
        // With retries left the broker has refused the batch for certain; without, it may have it.
        let certain = batch.attempts < self.config.retries;
        let gap = error == ErrorCode::OutOfOrderSequenceNumber;
        if certain || gap {
            let bump = &mut self.bump_required;
            if let Some(queue) = self.accumulator.partitions.get_mut(usize::from(partition)) {
                queue.sequences.request_bump(bump);
            }
        }
        if error == ErrorCode::ProducerFenced {
            self.fail_for_good(error, cx);
        }
    }

    /// Fails the records of a batch and takes its memory back.
    pub(super) fn fail(&mut self, batch: &ProducerBatch, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        self.accumulator.free(batch.memory);
        for record in batch.records() {
            self.note_failed(record.id, error, cx);
        }
    }

    fn split(&mut self, partition: u16, batch: ProducerBatch) {
        let ids = [self.accumulator.batch_id(), self.accumulator.batch_id()];
        if let Some([first, second]) = batch.split(ids) {
            self.accumulator.reenqueue(partition, second);
            self.accumulator.reenqueue(partition, first);
        }
    }
}

/// `InvalidMetadataException` and what extends it.
fn invalidates_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::NetworkException
            | ErrorCode::KafkaStorageError
    )
}
