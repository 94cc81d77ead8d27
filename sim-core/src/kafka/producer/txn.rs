//! A producer with a `transactional.id`, and the application that uses it.
//!
//! Follows `TransactionManager`. The application initialises once, then sends its records in
//! transactions: one begins with its first record and ends after `transaction.records` records or
//! `transaction.span.ms`. To end it the application flushes, and commits; or aborts, if a record
//! failed or a draw says so. Meanwhile it sends nothing. An error that only an abort can cure leads
//! to one; one that says that another producer has taken over ends this producer for good. Left
//! out: the abort of batches that were never sent (they are flushed).

mod offsets;
mod resume;

use super::{About, Init, Producer, ProducerIdAndEpoch};
use crate::kafka::client::{NEVER, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::Request;
use crate::kafka::rules::producer_append::TransactionVersion;
use crate::kafka::rules::txn::TransactionResult;
use crate::kafka::txn_protocol::{TransactionalId, TxnRequest, TxnResponse};
use crate::kernel::{Nanos, Purpose, below};
use offsets::TxnOffsets;
use serde::Serialize;
use std::collections::BTreeSet;

const ABORT: Purpose = Purpose::named("producer.transaction-abort");

/// What a request was about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum TxnAbout {
    FindCoordinator,
    InitProducerId,
    /// Of these partitions.
    AddPartitions(Vec<u16>),
    EndTxn,
    FindGroup,
    AddOffsets,
    Offsets,
}

/// How far the producer is (`TransactionManager.State`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TxnState {
    /// It has no epoch yet, or needs a new one.
    Initialising,
    /// Between two transactions.
    Ready,
    /// In one, since then, ns, with so many records.
    InTransaction {
        /// When it began, ns.
        since: Nanos,
        /// Records sent in it.
        records: u32,
    },
    /// The application ends it.
    Ending(TransactionResult),
}

/// The transactional side of a producer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Txn {
    id: TransactionalId,
    pub(super) state: TxnState,
    coordinator: Option<BrokerId>,
    /// A request to the coordinator, or to find it, is under way.
    asking: bool,
    /// No request before this, ns.
    not_before: Nanos,
    version: TransactionVersion,
    /// Partitions of the transaction, as the coordinator has confirmed.
    added: BTreeSet<u16>,
    /// A batch was sent in this transaction.
    sent: bool,
    /// The transaction can only be aborted.
    must_abort: bool,
    /// Transactions begun so far; chance is keyed by it.
    number: u64,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    /// The application ends its transactions by itself.
    #[serde(skip_serializing_if = "is_false")]
    driven: bool,
    /// Offsets that go with the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Box<TxnOffsets>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_false(it: &bool) -> bool {
    !it
}

impl Txn {
    /// As the settings say; `None` without a transactional id.
    pub(super) fn new(id: &str) -> Option<Box<Self>> {
        (!id.is_empty()).then(|| {
            Box::new(Txn {
                id: id.into(),
                state: TxnState::Initialising,
                coordinator: None,
                asking: false,
                not_before: 0,
                version: 0,
                added: BTreeSet::new(),
                sent: false,
                must_abort: false,
                number: 0,
                committed: 0,
                aborted: 0,
                driven: false,
                offsets: None,
            })
        })
    }

    /// What a crash leaves: nothing but the count of what the application did.
    pub(super) fn restarted(&self) -> Option<Box<Self>> {
        let fresh = Txn::new(&self.id)?;
        Some(Box::new(Txn {
            number: self.number,
            committed: self.committed,
            aborted: self.aborted,
            driven: self.driven,
            ..*fresh
        }))
    }

    /// It can only be aborted.
    pub(super) fn is_failed(&self) -> bool {
        self.must_abort
    }

    fn lets_send(&self) -> bool {
        matches!(self.state, TxnState::Ready | TxnState::InTransaction { .. })
    }
}

/// How a producer calls its transaction manager; see [`crate::kafka::parts`].
pub(in crate::kafka) struct TransactionPart {
    /// One turn of it; whether batches may be sent.
    pub(super) run: fn(&mut Producer, &mut KafkaCx<'_>) -> bool,
    /// A coordinator has answered.
    pub(super) answer: fn(&mut Producer, TxnAbout, TxnResponse, &mut KafkaCx<'_>),
}

impl Producer {
    /// Producers may have a transactional id.
    pub(in crate::kafka) const TRANSACTIONS: TransactionPart = TransactionPart {
        run: Producer::run_transaction,
        answer: Producer::on_txn_answer,
    };

    /// No producer has one.
    pub(in crate::kafka) const NO_TRANSACTIONS: TransactionPart = TransactionPart {
        run: |_, _| false,
        answer: |_, _, _, _| {},
    };

    /// What this producer was built with.
    pub(super) fn parts(&self) -> &'static TransactionPart {
        &self.parts.table().transactions
    }

    /// Whether the application is in `initTransactions()`, `commitTransaction()` or
    /// `abortTransaction()`.
    pub(super) fn in_transaction_call(&self) -> bool {
        self.fatal.is_none() && self.txn.as_ref().is_some_and(|it| !it.lets_send())
    }

    /// The application gives a record to `send()`: begins a transaction if none is open.
    pub(super) fn count_in_transaction(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        match &mut txn.state {
            TxnState::InTransaction { records, .. } => *records = records.saturating_add(1),
            TxnState::Ready => {
                txn.number += 1;
                txn.state = TxnState::InTransaction {
                    since: cx.now(),
                    records: 1,
                };
            }
            TxnState::Initialising | TxnState::Ending(_) => {}
        }
    }

    /// Ends the transaction if it is time; returns whether the application is at that now.
    pub(super) fn maybe_end_transaction(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        let span_ns = span(self.config.transaction_span_ms);
        let most = self.config.transaction_records.max(1);
        let percent = u64::from(self.config.transaction_abort_percent);
        let hangs = self.app.pending.is_some();
        let Some(txn) = self.txn.as_mut().filter(|_| !hangs) else {
            return false;
        };
        let TxnState::InTransaction { since, records } = txn.state else {
            return false;
        };
        if txn.driven {
            return false;
        }
        let due = records >= most || since.saturating_add(span_ns) <= cx.now();
        if !due && !txn.must_abort {
            return false;
        }
        let drawn = below(cx.draw(ABORT, txn.number), 100) < percent;
        txn.state = TxnState::Ending(match drawn || txn.must_abort {
            true => TransactionResult::Abort,
            false => TransactionResult::Commit,
        });
        self.accumulator.closed = true;
        true
    }

    /// When waiting alone makes a difference to the transaction.
    pub(super) fn transaction_due(&self, now: Nanos) -> Nanos {
        let Some(txn) = self.txn.as_ref() else {
            return NEVER;
        };
        let end = match txn.state {
            TxnState::InTransaction { since, .. } if !txn.driven => {
                since.saturating_add(span(self.config.transaction_span_ms))
            }
            _ => NEVER,
        };
        let retry = match txn.not_before > now {
            true => txn.not_before,
            false => NEVER,
        };
        end.min(retry).min(self.client.reconnect_at(None, now))
    }

    /// A record of the transaction failed: it can only be aborted.
    pub(super) fn transaction_failed(&mut self) {
        if let Some(txn) = self.txn.as_mut()
            && txn.state != TxnState::Initialising
        {
            txn.must_abort = true;
            if txn.state == TxnState::Ending(TransactionResult::Commit) {
                txn.state = TxnState::Ending(TransactionResult::Abort);
            }
        }
    }

    /// One turn of the transaction manager; returns whether batches may be sent.
    pub(super) fn run_transaction(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        if self.fatal.is_some() {
            return false;
        }
        if self.txn.as_ref().is_some_and(|it| it.must_abort) {
            self.abort_unsent(cx);
        }
        let incomplete = self.accumulator.has_incomplete();
        let waiting = self.waiting_partitions();
        let Some(txn) = self.txn.as_mut() else {
            return true;
        };
        let wanted = match txn.state {
            TxnState::Initialising => Some(TxnAbout::InitProducerId),
            TxnState::Ready => None,
            TxnState::Ending(result) if !incomplete => Some(match result {
                TransactionResult::Commit => txn.offsets_wanted().unwrap_or(TxnAbout::EndTxn),
                TransactionResult::Abort => TxnAbout::EndTxn,
            }),
            TxnState::InTransaction { .. } | TxnState::Ending(_) => {
                let missing = waiting.into_iter().filter(|it| !txn.added.contains(it));
                let missing: Vec<u16> = missing.collect();
                (txn.version < 2 && !missing.is_empty()).then_some(TxnAbout::AddPartitions(missing))
            }
        };
        let Some(wanted) = wanted else {
            txn.sent |= incomplete;
            return true;
        };
        let begun = match txn.version {
            0 | 1 => !txn.added.is_empty() || txn.offsets.is_some(),
            _ => txn.sent,
        };
        if wanted == TxnAbout::EndTxn && !begun {
            // Nothing was sent in it, or all of it failed before: there is nothing to end.
            self.transaction_ended(None, cx);
            return false;
        }
        if !txn.asking && txn.not_before <= cx.now() {
            self.ask_coordinator(wanted, cx);
        }
        false
    }

    /// Fails what was never sent: it would be aborted anyway.
    fn abort_unsent(&mut self, cx: &mut KafkaCx<'_>) {
        self.accumulator.look_again();
        let mut unsent = Vec::new();
        for queue in &mut self.accumulator.partitions {
            let all = std::mem::take(&mut queue.queue).into_iter();
            let (keep, drop): (Vec<_>, Vec<_>) = all.partition(|it| it.has_sequence());
            queue.queue = keep.into();
            unsent.extend(drop);
        }
        for batch in unsent {
            self.fail(&batch, ErrorCode::TransactionAbortable, cx);
        }
    }

    /// Partitions with batches that wait to be sent.
    fn waiting_partitions(&self) -> Vec<u16> {
        let all = (0..).zip(&self.accumulator.partitions);
        let waiting = all.filter(|(_, queue)| !queue.queue.is_empty());
        waiting.map(|(partition, _)| partition).collect()
    }

    fn ask_coordinator(&mut self, wanted: TxnAbout, cx: &mut KafkaCx<'_>) {
        let timeout_ms = i32::try_from(self.config.transaction_timeout_ms).unwrap_or(i32::MAX);
        let known = self.txn.as_ref().and_then(|it| match wanted {
            TxnAbout::FindGroup => None,
            TxnAbout::Offsets => it.offsets.as_ref()?.coordinator,
            _ => it.coordinator,
        });
        let broker = known.or_else(|| self.client.least_loaded(cx));
        let Some(broker) = broker.filter(|it| self.client.ready(*it, cx)) else {
            return;
        };
        let producer = (self.owner.id, self.owner.epoch);
        let tp = |it: &u16| self.client.metadata.tp(*it);
        let partitions = match &wanted {
            TxnAbout::AddPartitions(all) => all.iter().map(tp).collect(),
            _ => Vec::new(),
        };
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        let (id, version) = (txn.id.clone(), txn.version);
        let own = txn.offsets_request(&wanted, producer);
        let asks = txn.coordinator.is_some() || wanted != TxnAbout::AddOffsets;
        let (about, request) = match (known, wanted, txn.state) {
            (_, about @ (TxnAbout::FindGroup | TxnAbout::AddOffsets | TxnAbout::Offsets), _)
                if asks && own.is_some() =>
            {
                let Some(request) = own else {
                    return;
                };
                (about, request)
            }
            (None, ..) => (
                TxnAbout::FindCoordinator,
                TxnRequest::FindCoordinator { id },
            ),
            (Some(_), TxnAbout::AddPartitions(all), _) => (
                TxnAbout::AddPartitions(all),
                TxnRequest::AddPartitionsToTxn {
                    id,
                    producer,
                    partitions,
                    verify_only: false,
                    version,
                },
            ),
            (Some(_), TxnAbout::EndTxn, TxnState::Ending(result)) => (
                TxnAbout::EndTxn,
                TxnRequest::EndTxn {
                    id,
                    producer,
                    result,
                    version,
                },
            ),
            (Some(_), ..) => (
                TxnAbout::InitProducerId,
                TxnRequest::InitProducerId {
                    id,
                    timeout_ms,
                    // A producer that goes on after an error names itself (KIP-360).
                    producer: (producer.0 >= 0).then_some(producer),
                },
            ),
        };
        txn.asking = true;
        let request = Request::Txn(Box::new(request));
        self.client
            .send(broker, request, Some(About::Txn(about)), cx);
    }

    /// A request about the transaction will not be answered.
    pub(super) fn transaction_request_lost(&mut self, cx: &KafkaCx<'_>) {
        let pause = span(self.config.retry_backoff_ms);
        if let Some(txn) = self.txn.as_mut() {
            txn.asking = false;
            txn.coordinator = None;
            if let Some(offsets) = &mut txn.offsets {
                offsets.coordinator = None;
            }
            txn.not_before = cx.now().saturating_add(pause);
        }
    }

    /// The coordinator, or whoever was asked for it, has answered.
    pub(super) fn on_txn_answer(
        &mut self,
        about: TxnAbout,
        answer: TxnResponse,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = span(self.config.retry_backoff_ms);
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        txn.asking = false;
        let of_group = matches!(about, TxnAbout::FindGroup | TxnAbout::Offsets);
        let error = match (about, answer) {
            (TxnAbout::FindGroup, TxnResponse::FindCoordinator { error, node }) => {
                if let Some(offsets) = &mut txn.offsets {
                    offsets.coordinator = (node >= 0).then_some(node);
                }
                error
            }
            (TxnAbout::AddOffsets, TxnResponse::AddOffsetsToTxn { error }) => {
                if let Some(offsets) = &mut txn.offsets {
                    offsets.added = error == ErrorCode::None;
                }
                error
            }
            (TxnAbout::Offsets, TxnResponse::TxnOffsetCommit { error }) => {
                if let Some(offsets) = &mut txn.offsets {
                    offsets.done = error == ErrorCode::None;
                }
                error
            }
            (TxnAbout::FindCoordinator, TxnResponse::FindCoordinator { error, node }) => {
                txn.coordinator = (node >= 0).then_some(node);
                error
            }
            (
                TxnAbout::InitProducerId,
                TxnResponse::InitProducerId {
                    error,
                    producer,
                    version,
                },
            ) => {
                if error == ErrorCode::None {
                    txn.version = version;
                    txn.state = TxnState::Ready;
                    self.start_epoch(producer);
                    return;
                }
                error
            }
            (TxnAbout::AddPartitions(asked), TxnResponse::AddPartitionsToTxn { partitions }) => {
                let failed = partitions.iter().find(|(_, error)| error.is_error());
                let error = failed.map_or(ErrorCode::None, |(_, error)| *error);
                if error == ErrorCode::None {
                    txn.added.extend(asked);
                }
                error
            }
            (TxnAbout::EndTxn, TxnResponse::EndTxn { error, producer }) => {
                if error == ErrorCode::None {
                    self.transaction_ended(Some(producer), cx);
                    return;
                }
                error
            }
            // A foreign answer is as good as none.
            _ => ErrorCode::UnknownServerError,
        };
        match error {
            ErrorCode::None => {}
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                match txn.offsets.as_mut().filter(|_| of_group) {
                    Some(offsets) => offsets.coordinator = None,
                    None => txn.coordinator = None,
                }
                txn.not_before = cx.now().saturating_add(pause);
            }
            error if error.retriable() || error == ErrorCode::UnknownServerError => {
                txn.not_before = cx.now().saturating_add(pause);
            }
            ErrorCode::TransactionAbortable => self.transaction_failed(),
            error if of_group && self.offsets_refused(error) => {}
            error => {
                let error = match error {
                    ErrorCode::InvalidProducerEpoch => ErrorCode::ProducerFenced,
                    other => other,
                };
                self.fenced(error, cx);
            }
        }
    }

    /// The producer must stop: another has taken over its id.
    fn fenced(&mut self, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        cx.note(Note::Rule {
            node: cx.me(),
            rule: Rule::TxnFenced,
            tp: None,
            broker: None,
            before: i64::from(self.owner.epoch),
            after: error as i64,
        });
        self.accumulator.closed = false;
        self.fail_for_good(error, cx);
    }

    /// The transaction has ended. With it the producer may have got another id and epoch.
    fn transaction_ended(&mut self, producer: Option<(i64, i16)>, cx: &mut KafkaCx<'_>) {
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        match txn.state {
            TxnState::Ending(TransactionResult::Abort) => txn.aborted += 1,
            _ => txn.committed += 1,
        }
        txn.added.clear();
        txn.offsets = None;
        txn.sent = false;
        self.accumulator.closed = self.app.closing.is_some();
        let failed = std::mem::take(&mut txn.must_abort);
        let bumped = txn.version >= 2 && producer.is_some();
        // Without an epoch of its own for every transaction, one in which something failed is
        // followed by a new epoch, because the sequence numbers are in doubt (KIP-360).
        txn.state = match failed && !bumped {
            true => TxnState::Initialising,
            false => TxnState::Ready,
        };
        txn.not_before = cx.now();
        if let Some(producer) = producer.filter(|_| bumped) {
            self.start_epoch(producer);
        }
    }

    /// Goes on with this id and epoch; sequences begin at 0 if it is another.
    fn start_epoch(&mut self, (id, epoch): (i64, i16)) {
        let owner = ProducerIdAndEpoch { id, epoch };
        if owner != self.owner {
            self.owner = owner;
            self.accumulator.doubtful = false;
            for queue in &mut self.accumulator.partitions {
                queue.sequences = super::sequences::Sequences::default();
            }
        }
        self.init = Init::Done;
    }

    /// How far a producer with a transactional id is; `None` for others.
    #[must_use]
    pub fn transaction(&self) -> Option<TxnState> {
        self.txn.as_ref().map(|it| it.state)
    }

    /// Transactions that the application has committed and aborted.
    #[must_use]
    pub fn transactions_ended(&self) -> (u64, u64) {
        let ended = self.txn.as_ref().map(|it| (it.committed, it.aborted));
        ended.unwrap_or_default()
    }

    /// A Produce within the transaction, if there are transactions.
    pub(super) fn transactional_produce(
        &self,
        batches: Vec<(crate::kafka::ids::TopicPartition, crate::log::Batch)>,
    ) -> Request {
        let (acks, timeout_ms) = (self.config.acks, self.config.request_timeout_ms);
        match &self.txn {
            None => Request::Produce {
                acks,
                timeout_ms,
                batches,
            },
            Some(txn) => {
                let in_transaction = batches.into_iter().map(|(tp, mut batch)| {
                    batch.transactional = true;
                    (tp, batch)
                });
                Request::Txn(Box::new(TxnRequest::Produce {
                    id: txn.id.clone(),
                    version: txn.version,
                    acks,
                    timeout_ms,
                    batches: in_transaction.collect(),
                }))
            }
        }
    }
}
