//! What a sink asks of a Kafka cluster, done by producers.
//!
//! Follows `KafkaWriter` (rows, and whether they are all answered), `ExactlyOnceKafkaWriter` and
//! `FlinkKafkaInternalProducer` (a producer for each transaction: `initTransactions()`, rows,
//! nothing more at the barrier but that they are all there), `KafkaCommitter` (the producer that
//! wrote commits; after a restore another one resumes its producer id and epoch), and
//! `TransactionAbortStrategyImpl.PROBING`: ids that a lost attempt may have used are initialised,
//! which fences them and aborts what was open. An error that ends a producer fails the task, except
//! for a commit, whose sink decides. Left out: how long a commit blocks (`max.block.ms`).

use super::{Clients, Kind, Outcome, Owner, Sender, operator, rows};
use crate::kafka::embed::Transactional;
use crate::kafka::error::ErrorCode;
use crate::stream::element::Record;
use crate::stream::job::Job;
use crate::stream::node::StreamCx;
use crate::stream::protocol::{StoreAnswer, StoreRequest, StoreTransaction};
use crate::stream::rules::fault::transactional_ids::Probing;
use crate::stream::spec::{Guarantee, KafkaSink, OperatorKind, SinkSpec};
use serde::Serialize;
use std::collections::VecDeque;

/// What a producer is at besides rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Want {
    /// `initTransactions()`, for this request.
    Begin(u64),
    /// The same, to fence the id.
    Probe,
    /// `commitTransaction()`, for this request; the transactions that it had committed before.
    Commit { request: u64, before: u64 },
    /// `abortTransaction()`, for this request; the transactions that it had aborted before.
    Abort { request: u64, before: u64 },
}

/// A sink's subtask while ids of a lost attempt are looked for: its requests wait.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Desk {
    /// And the request that began it.
    probing: Option<(Probing, u64)>,
    waiting: VecDeque<(u64, StoreRequest)>,
}

fn sink_of(job: &Job, number: u32) -> Option<(&SinkSpec, &KafkaSink)> {
    match &operator(job, number)?.kind {
        OperatorKind::Sink(it) => Some((it, it.kafka.as_deref()?)),
        _ => None,
    }
}

impl Clients {
    /// Whether an operator writes to a topic.
    #[must_use]
    pub fn serves(job: &Job, operator: u32) -> bool {
        sink_of(job, operator).is_some()
    }

    /// A sink asks for something.
    pub fn ask(
        &mut self,
        owner: Owner,
        (request, order): (u64, StoreRequest),
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let desk = self.desks.entry(owner).or_default();
        if desk.probing.is_some() && !matches!(order, StoreRequest::Commit(_)) {
            desk.waiting.push_back((request, order));
            return;
        }
        self.serve(owner, (request, order), job, cx);
    }

    fn serve(
        &mut self,
        owner: Owner,
        (request, order): (u64, StoreRequest),
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let Some((_, kafka)) = sink_of(job, owner.operator) else {
            return;
        };
        match order {
            StoreRequest::Append(rows) => {
                let known = self.sender_with(owner, "");
                let sender = match known {
                    None => self.open(owner, kafka, None, None, job, cx),
                    known => known,
                };
                self.send(sender, request, &rows, job, cx);
            }
            StoreRequest::InitTransaction { id, timeout_ms } => {
                self.drop_idle(owner);
                let it = Transactional {
                    id,
                    timeout_ms,
                    resumed: None,
                };
                self.open(owner, kafka, Some(it), Some(Want::Begin(request)), job, cx);
            }
            StoreRequest::AppendIn(transaction, rows) => {
                let sender = self.sender_with(owner, &transaction.id);
                self.send(sender, request, &rows, job, cx);
            }
            StoreRequest::Commit(transaction) => self.commit(owner, request, transaction, job, cx),
            StoreRequest::Abort(transaction) => self.abort(owner, request, &transaction, job, cx),
            StoreRequest::AbortLingering {
                prefix,
                ownership,
                from,
                ..
            } => {
                let subtask = ownership.subtasks.first().copied().unwrap_or(0);
                let probing = Probing::new(&prefix, subtask, ownership.total, from);
                self.desks.entry(owner).or_default().probing = Some((probing, request));
                self.probe(owner, job, cx);
            }
            // A scenario with these is refused: `KafkaSink` has no such guarantee.
            StoreRequest::Upsert(_)
            | StoreRequest::CommitCheckpoint { .. }
            | StoreRequest::CommittedCheckpoint { .. }
            | StoreRequest::AppendWithOffset(_)
            | StoreRequest::Positions { .. } => {}
        }
    }

    fn sender_with(&self, owner: Owner, id: &str) -> Option<u32> {
        let mut clients = self.clients.iter();
        let found = clients.find(|(_, it)| {
            let has = matches!(&it.kind, Kind::Writer(it) if it.id == id);
            has && it.owner == owner
        });
        found.map(|(serial, _)| *serial)
    }

    fn sender_mut(&mut self, serial: u32) -> Option<&mut Sender> {
        match &mut self.clients.get_mut(&serial)?.kind {
            Kind::Writer(it) => Some(it),
            Kind::Reader(_) => None,
        }
    }

    /// Producers whose transaction has no rows are of no use any more.
    fn drop_idle(&mut self, owner: Owner) {
        self.clients.retain(|_, it| {
            let busy = |it: &Sender| it.want.is_some() || it.writer.in_transaction();
            it.owner != owner || matches!(&it.kind, Kind::Writer(it) if busy(it))
        });
    }

    fn open(
        &mut self,
        owner: Owner,
        kafka: &KafkaSink,
        transactional: Option<Transactional>,
        want: Option<Want>,
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) -> Option<u32> {
        let serial = self.sender(owner, &kafka.topic, transactional, want)?;
        self.call(serial, job, cx, |kind, cx| {
            if let Kind::Writer(it) = kind {
                it.writer.boot(cx);
            }
        });
        Some(serial)
    }

    fn send(
        &mut self,
        sender: Option<u32>,
        request: u64,
        records: &[Record],
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let Some(serial) = sender else {
            return;
        };
        if let Some(it) = self.sender_mut(serial) {
            it.slips.give(request, records);
        }
        let (keys, bytes) = (&job.spec.keys, job.spec.config.record_bytes);
        let out = records.iter().map(|it| rows::outgoing(it, keys, bytes));
        let out: Vec<_> = out.collect();
        self.call(serial, job, cx, |kind, cx| {
            if let Kind::Writer(it) = kind {
                it.writer.send(&out, cx);
            }
        });
    }

    /// Commits with the producer that wrote, or with one that resumes its transaction.
    fn commit(
        &mut self,
        owner: Owner,
        request: u64,
        transaction: StoreTransaction,
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let own = (transaction.producer, transaction.epoch);
        let known = self.sender_with(owner, &transaction.id).filter(|serial| {
            let client = self.clients.get(serial).map(|it| &it.kind);
            let Some(Kind::Writer(it)) = client else {
                return false;
            };
            let wrote = it.writer.initialised();
            let same = wrote.map(|(id, epoch)| (Some(id), epoch.max(0).unsigned_abs().into()));
            it.writer.in_transaction() && same == Some(own)
        });
        let sender = match known {
            Some(serial) => Some(serial),
            None => {
                let Some((sink, kafka)) = sink_of(job, owner.operator) else {
                    return;
                };
                let epoch = i16::try_from(transaction.epoch).unwrap_or(i16::MAX);
                let producer = (transaction.producer.unwrap_or(-1), epoch);
                let it = Transactional {
                    id: transaction.id,
                    timeout_ms: timeout_of(sink),
                    resumed: Some((producer, kafka.transaction_version)),
                };
                self.open(owner, kafka, Some(it), None, job, cx)
            }
        };
        let Some(serial) = sender else {
            return;
        };
        if let Some(it) = self.sender_mut(serial) {
            let (before, _) = it.writer.ended();
            it.want = Some(Want::Commit { request, before });
        }
        self.call(serial, job, cx, |kind, cx| {
            if let Kind::Writer(it) = kind {
                it.writer.commit(cx);
            }
        });
    }

    fn abort(
        &mut self,
        owner: Owner,
        request: u64,
        transaction: &StoreTransaction,
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let serial = self.sender_with(owner, &transaction.id);
        let open = serial.filter(|serial| {
            let it = self.sender_mut(*serial);
            it.is_some_and(|it| it.writer.in_transaction())
        });
        let Some(serial) = open else {
            self.outcomes
                .push((owner, Outcome::Answered(request, StoreAnswer::Done)));
            return;
        };
        if let Some(it) = self.sender_mut(serial) {
            let (_, before) = it.writer.ended();
            it.want = Some(Want::Abort { request, before });
        }
        self.call(serial, job, cx, |kind, cx| {
            if let Kind::Writer(it) = kind {
                it.writer.abort(cx);
            }
        });
    }

    /// Initialises the next id that a lost attempt may have used; at the end the requests that wait
    /// are served.
    fn probe(&mut self, owner: Owner, job: &Job, cx: &mut StreamCx<'_>) {
        let Some((sink, kafka)) = sink_of(job, owner.operator) else {
            return;
        };
        let Some(desk) = self.desks.get_mut(&owner) else {
            return;
        };
        let next = desk.probing.as_ref().and_then(|(it, _)| it.id());
        if let Some(id) = next {
            let it = Transactional {
                id: id.to_string(),
                timeout_ms: timeout_of(sink),
                resumed: None,
            };
            self.open(owner, kafka, Some(it), Some(Want::Probe), job, cx);
            return;
        }
        let begun = desk.probing.take();
        let waiting = std::mem::take(&mut desk.waiting);
        if let Some((_, request)) = begun {
            self.outcomes
                .push((owner, Outcome::Answered(request, StoreAnswer::Done)));
        }
        for (request, order) in waiting {
            self.serve(owner, (request, order), job, cx);
        }
    }

    /// What a call to a producer came to.
    pub(super) fn settle_sender(&mut self, serial: u32, job: &Job, cx: &mut StreamCx<'_>) {
        let Some(client) = self.clients.get_mut(&serial) else {
            return;
        };
        let owner = client.owner;
        let Kind::Writer(it) = &mut client.kind else {
            return;
        };
        let answered = it.slips.take_answered();
        let (fatal, failed) = (it.writer.fatal_error(), it.slips.has_failed());
        let (commits, aborts) = it.writer.ended();
        let mut answers: Vec<(u64, StoreAnswer)> = Vec::new();
        let (mut over, mut probed, mut fails) = (false, None, None);
        match &it.want {
            Some(Want::Commit { request, before }) => {
                over = commits > *before || fatal.is_some();
                if commits > *before {
                    answers.push((*request, StoreAnswer::Done));
                } else if let Some(error) = fatal {
                    match refused(error) {
                        Some(answer) => answers.push((*request, answer)),
                        None => fails = Some(error),
                    }
                }
            }
            Some(Want::Abort { request, before }) => {
                over = aborts > *before || fatal.is_some();
                if over {
                    answers.push((*request, StoreAnswer::Done));
                }
            }
            _ if fatal.is_some() || failed => {
                over = true;
                fails = Some(fatal.unwrap_or(ErrorCode::RequestTimedOut));
            }
            Some(Want::Begin(request)) => {
                if let Some((producer, epoch)) = it.writer.initialised() {
                    let begun = StoreTransaction {
                        id: it.id.clone(),
                        epoch: epoch.max(0).unsigned_abs().into(),
                        producer: Some(producer),
                    };
                    answers.push((*request, StoreAnswer::Began(begun)));
                    it.want = None;
                }
            }
            Some(Want::Probe) => {
                probed = it.writer.initialised().map(|(_, epoch)| epoch);
                over = probed.is_some();
            }
            None => {}
        }
        if fails.is_none() {
            answers.extend(answered.into_iter().map(|it| (it, StoreAnswer::Done)));
        }
        if over {
            self.clients.remove(&serial);
        }
        let answers = answers.into_iter();
        self.outcomes
            .extend(answers.map(|(request, answer)| (owner, Outcome::Answered(request, answer))));
        if let Some(error) = fails {
            let fenced = refused(error) == Some(StoreAnswer::Fenced);
            self.outcomes.push((owner, Outcome::Failed { fenced }));
        }
        if let Some(epoch) = probed {
            let desk = self.desks.get_mut(&owner);
            if let Some((probing, _)) = desk.and_then(|it| it.probing.as_mut()) {
                probing.on_epoch(epoch);
            }
            self.probe(owner, job, cx);
        }
    }
}

/// `transaction.timeout.ms` of a sink.
fn timeout_of(sink: &SinkSpec) -> i64 {
    match sink.guarantee {
        Guarantee::ExactlyOnce {
            transaction_timeout_ms,
        } => transaction_timeout_ms,
        _ => 0,
    }
}

/// What a sink's committer makes of an error: the exceptions by which it knows that the transaction
/// is gone. None for others.
fn refused(error: ErrorCode) -> Option<StoreAnswer> {
    match error {
        ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch => Some(StoreAnswer::Fenced),
        ErrorCode::InvalidTxnState | ErrorCode::UnknownProducerId => {
            Some(StoreAnswer::InvalidTxnState)
        }
        _ => None,
    }
}
