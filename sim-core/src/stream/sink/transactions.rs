//! The transactions of an exactly-once writer.
//!
//! Follows `ExactlyOnceKafkaWriter` with `KafkaCommitter` of the Kafka connector 4.x: ids by
//! INCREMENTING (the number of the checkpoint that the transaction ends at, those skipped are
//! initialised, which fences them), lingering transactions by LISTING. A transaction without rows is
//! not committed. A commit that the store has not answered when the next snapshot is taken is part
//! of that snapshot, since the writer here does not stand still while it commits.

use super::StoreOut;
use super::desk::{Asked, Desk};
use crate::stream::element::Record;
use crate::stream::note::{Note, Rule};
use crate::stream::operator::Site;
use crate::stream::protocol::{StoreAnswer, StoreRequest, StoreTransaction, TaskFailure, TaskId};
use crate::stream::rules::fault::kafka_sink::{COMMITTER_RETRIES, CommitError, CommitOutcome};
use crate::stream::rules::fault::transactional_ids::{Ownership, TransactionalId, skipped_offsets};
use crate::stream::rules::fault::two_phase::{
    Recover, SinkState, Transaction, TwoPhaseSink, recover,
};
use crate::stream::snapshot::{ListItem, OperatorSnapshot};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where a transaction stands, as its writer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Phase {
    /// It takes rows, or will when the store has begun it.
    Open,
    /// It waits for its checkpoint to be complete.
    PreCommitted,
    /// The store was asked to commit it.
    Committing,
}

/// A transaction as its writer knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Held {
    /// `transactional.id`.
    pub id: String,
    /// None until the store has begun it.
    pub epoch: Option<u32>,
    /// The producer id, where the store is a Kafka cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<i64>,
    /// Rows sent.
    pub rows: u32,
    /// When it was begun, ms.
    pub started_ms: i64,
    /// The checkpoint that it was pre-committed at.
    pub checkpoint: i64,
    /// Where it stands.
    pub phase: Phase,
}

impl Held {
    fn transaction(&self) -> Option<StoreTransaction> {
        self.epoch.map(|epoch| StoreTransaction {
            id: self.id.clone(),
            epoch,
            producer: self.producer,
        })
    }
}

/// The transactions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Transactions {
    prefix: String,
    subtask: i32,
    parallelism: i32,
    timeout_ms: i64,
    /// Who may commit what, when: the transactions by their numbers here.
    sink: Option<TwoPhaseSink<u64>>,
    held: BTreeMap<u64, Held>,
    next: u64,
    /// The number in the newest id.
    offset: i64,
    /// Rows of transactions that could not be committed.
    lost: u64,
}

/// What notes are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Place {
    pub(super) task: Option<TaskId>,
    pub(super) operator: u32,
}

impl Place {
    pub(super) fn note(self, rule: Rule, before: i64, after: i64) -> Note {
        Note::Rule {
            rule,
            task: self.task,
            operator: Some(self.operator),
            before,
            after,
        }
    }
}

impl Transactions {
    pub(super) fn open(
        prefix: String,
        site: Site,
        timeout_ms: i64,
        restored: &[&OperatorSnapshot],
        restored_checkpoint: Option<i64>,
    ) -> Self {
        let mut it = Transactions {
            prefix,
            subtask: i32::from(site.subtask),
            parallelism: i32::try_from(site.parallelism.max(1)).unwrap_or(i32::MAX),
            timeout_ms,
            sink: None,
            held: BTreeMap::new(),
            next: 0,
            offset: restored_checkpoint.unwrap_or(0),
            lost: 0,
        };
        let items = restored.iter().flat_map(|it| &it.list);
        let mut pending: Vec<(i64, Held)> = items
            .filter_map(|item| match item {
                ListItem::Pending {
                    checkpoint,
                    transaction,
                    started_ms,
                    rows,
                } if it.owns(&transaction.id) => {
                    let held = Held {
                        id: transaction.id.clone(),
                        epoch: Some(transaction.epoch),
                        producer: transaction.producer,
                        rows: *rows,
                        started_ms: *started_ms,
                        checkpoint: *checkpoint,
                        phase: Phase::PreCommitted,
                    };
                    Some((*checkpoint, held))
                }
                _ => None,
            })
            .collect();
        pending.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        for (_, held) in pending {
            it.held.insert(it.next, held);
            it.next += 1;
        }
        it
    }

    fn ownership(&self) -> Ownership {
        Ownership {
            subtasks: BTreeSet::from([self.subtask]),
            total: self.parallelism,
        }
    }

    /// Whether a transaction is this subtask's matter, also when it comes from one that there is no
    /// more.
    fn owns(&self, id: &str) -> bool {
        let id = TransactionalId::parse(id);
        id.is_some_and(|it| it.prefix == self.prefix && self.ownership().owns(&it))
    }

    /// Commits what was restored, aborts what a lost attempt left, begins the first transaction.
    pub(super) fn start(&mut self, now_ms: i64, desk: &mut Desk, out: &mut StoreOut) {
        let pending = self.held.iter().map(|(number, it)| Transaction {
            handle: *number,
            started_ms: it.started_ms,
        });
        let state = SinkState {
            open: None,
            pending: pending.collect(),
        };
        for step in recover(&[state]) {
            if let Recover::Commit(it) = step {
                self.commit(it.handle, 0, desk, out);
            }
        }
        let except = self.held.values().filter_map(Held::transaction).collect();
        let request = StoreRequest::AbortLingering {
            prefix: self.prefix.clone(),
            ownership: self.ownership(),
            except,
            from: self.offset.saturating_add(1),
        };
        desk.ask(Asked::Lingering, request, out);
        let number = self.begin(self.offset.saturating_add(1), now_ms, desk, out);
        self.sink = Some(TwoPhaseSink::open(number, now_ms));
    }

    fn begin(&mut self, offset: i64, now_ms: i64, desk: &mut Desk, out: &mut StoreOut) -> u64 {
        for skipped in skipped_offsets(self.offset, offset) {
            let id = self.id(skipped);
            let timeout_ms = self.timeout_ms;
            let request = StoreRequest::InitTransaction { id, timeout_ms };
            desk.ask(Asked::Fence, request, out);
        }
        self.offset = offset;
        let number = self.next;
        self.next += 1;
        let id = self.id(offset);
        let held = Held {
            id: id.clone(),
            epoch: None,
            producer: None,
            rows: 0,
            started_ms: now_ms,
            checkpoint: -1,
            phase: Phase::Open,
        };
        self.held.insert(number, held);
        let timeout_ms = self.timeout_ms;
        let request = StoreRequest::InitTransaction { id, timeout_ms };
        desk.ask(Asked::Begin(number), request, out);
        number
    }

    fn id(&self, offset: i64) -> String {
        let id = TransactionalId {
            prefix: self.prefix.clone(),
            subtask: self.subtask,
            offset,
        };
        id.to_string()
    }

    fn current(&self) -> Option<u64> {
        let current = self.sink.as_ref().and_then(TwoPhaseSink::current);
        current.map(|it| it.handle)
    }

    /// Whether the current transaction has begun, or there will be no other.
    pub(super) fn is_open(&self) -> bool {
        let current = self.current().and_then(|it| self.held.get(&it));
        match current {
            Some(it) => it.epoch.is_some(),
            None => self.sink.is_some(),
        }
    }

    /// Sends rows in the current transaction, which has begun; gives them back otherwise.
    pub(super) fn write(
        &mut self,
        rows: Vec<Record>,
        desk: &mut Desk,
        out: &mut StoreOut,
    ) -> Vec<Record> {
        let number = self.current();
        let held = number.and_then(|it| self.held.get_mut(&it));
        let (Some(number), Some(held)) = (number, held) else {
            return rows;
        };
        let Some(transaction) = held.transaction() else {
            return rows;
        };
        held.rows = held.rows.saturating_add(rows.len() as u32);
        let request = StoreRequest::AppendIn(transaction, rows);
        desk.ask(Asked::RowsIn(number), request, out);
        Vec::new()
    }

    /// The input has ended: the next snapshot begins no transaction.
    pub(super) fn finish(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.finish();
        }
    }

    /// Pre-commits the current transaction, whose rows are all answered, and begins the next.
    pub(super) fn snapshot(
        &mut self,
        checkpoint: i64,
        now_ms: i64,
        place: Place,
        desk: &mut Desk,
        out: &mut StoreOut,
    ) -> Vec<ListItem> {
        let (current, begins) = match &self.sink {
            Some(sink) => (self.current(), sink.begins_at_snapshot()),
            None => (None, false),
        };
        if let Some(held) = current.and_then(|it| self.held.get_mut(&it)) {
            held.phase = Phase::PreCommitted;
            held.checkpoint = checkpoint;
            if held.rows > 0 {
                let rows = i64::from(held.rows);
                out.notes
                    .push(place.note(Rule::TransactionPreCommitted, rows, checkpoint));
            }
        }
        let next = begins.then(|| {
            let offset = checkpoint
                .saturating_add(1)
                .max(self.offset.saturating_add(1));
            self.begin(offset, now_ms, desk, out)
        });
        if let Some(sink) = &mut self.sink {
            sink.snapshot(checkpoint, next, now_ms);
        }
        let pending = self.held.values().filter_map(|it| {
            let transaction = it.transaction()?;
            (it.phase != Phase::Open && it.rows > 0).then_some(ListItem::Pending {
                checkpoint: it.checkpoint,
                transaction,
                started_ms: it.started_ms,
                rows: it.rows,
            })
        });
        pending.collect()
    }

    /// A checkpoint is complete.
    pub(super) fn on_complete(&mut self, checkpoint: i64, desk: &mut Desk, out: &mut StoreOut) {
        let due = self.sink.as_mut().map(|it| it.complete(checkpoint));
        for transaction in due.unwrap_or_default() {
            let number = transaction.handle;
            if self.held.get(&number).is_some_and(|it| it.rows > 0) {
                self.commit(number, 0, desk, out);
            } else {
                self.held.remove(&number);
            }
        }
    }

    fn commit(&mut self, number: u64, attempt: u32, desk: &mut Desk, out: &mut StoreOut) {
        let Some(held) = self.held.get_mut(&number) else {
            return;
        };
        held.phase = Phase::Committing;
        if let Some(transaction) = held.transaction() {
            let request = StoreRequest::Commit(transaction);
            desk.ask(Asked::Commit(number, attempt), request, out);
        }
    }

    /// The store has begun a transaction.
    pub(super) fn on_began(&mut self, number: u64, begun: &StoreTransaction) {
        if let Some(held) = self.held.get_mut(&number) {
            held.epoch = Some(begun.epoch);
            held.producer = begun.producer;
        }
    }

    /// What the store made of a commit.
    pub(super) fn on_committed(
        &mut self,
        (number, attempt): (u64, u32),
        answer: &StoreAnswer,
        place: Place,
        desk: &mut Desk,
        out: &mut StoreOut,
    ) -> Result<(), TaskFailure> {
        let answer = match answer {
            StoreAnswer::Done => Ok(()),
            StoreAnswer::Fenced => Err(CommitError::ProducerFenced),
            StoreAnswer::InvalidTxnState => Err(CommitError::InvalidTxnState),
            StoreAnswer::Began(_)
            | StoreAnswer::CommittedCheckpoint(_)
            | StoreAnswer::Positions(_) => Err(CommitError::Other),
        };
        let outcome = CommitOutcome::of(answer, attempt, COMMITTER_RETRIES);
        match (outcome, outcome.reported()) {
            (CommitOutcome::RetryLater, _) => self.commit(number, attempt + 1, desk, out),
            (CommitOutcome::FailJob, _) => return Err(TaskFailure::Sink),
            (_, Some(committed)) => {
                let Some(held) = self.held.remove(&number) else {
                    return Ok(());
                };
                let rule = match committed {
                    true => Rule::TransactionCommitted,
                    false => {
                        self.lost += u64::from(held.rows);
                        Rule::TransactionDiscarded
                    }
                };
                let note = place.note(rule, i64::from(held.rows), held.checkpoint);
                out.notes.push(note);
            }
            (_, None) => {}
        }
        Ok(())
    }

    /// The task ends in order: the current transaction is aborted; pre-committed ones are left for
    /// the next attempt.
    pub(super) fn close(&mut self, desk: &mut Desk, out: &mut StoreOut) {
        let current = self.sink.as_mut().and_then(TwoPhaseSink::close);
        let held = current.and_then(|it| self.held.remove(&it.handle));
        let written = held.filter(|it| it.rows > 0);
        if let Some(transaction) = written.as_ref().and_then(Held::transaction) {
            desk.ask(Asked::Abort, StoreRequest::Abort(transaction), out);
        }
    }

    /// Rows of transactions that could not be committed.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }
}
