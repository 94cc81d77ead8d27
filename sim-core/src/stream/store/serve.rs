//! How a store serves requests.

use super::{AbortCause, MS, Store, StoreRow, StoreTimer, StoredTransaction, TransactionState};
use crate::stream::element::Record;
use crate::stream::node::{StreamCx, Timer};
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, StoreAnswer, StoreRequest, StoreTransaction, TaskId};
use crate::stream::rules::fault::transactional_ids::{Ownership, TransactionalId, listed};
use crate::stream::rules::join::RowKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A map to numbers that is cheap to copy: new entries go to a small map, which is merged into a
/// shared one from time to time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Index<K: Ord> {
    old: Arc<BTreeMap<K, u32>>,
    new: BTreeMap<K, u32>,
}

impl<K: Ord> Default for Index<K> {
    fn default() -> Self {
        Index {
            old: Arc::default(),
            new: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Index<K> {
    pub(super) fn get(&self, key: &K) -> Option<u32> {
        let found = self.new.get(key).or_else(|| self.old.get(key));
        found.copied()
    }

    pub(super) fn insert(&mut self, key: K, number: u32) {
        self.new.insert(key, number);
        // So that merging costs little for each entry, and a copy little for the whole.
        if self.new.len() * self.new.len() > self.old.len() + 4_096 {
            let new = std::mem::take(&mut self.new);
            Arc::make_mut(&mut self.old).extend(new);
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.new.len() * (size_of::<K>() + size_of::<u32>())
    }
}

impl Store {
    pub(super) fn serve(
        &mut self,
        order: StoreRequest,
        (task, attempt): (TaskId, Attempt),
        cx: &mut StreamCx<'_>,
    ) -> StoreAnswer {
        match order {
            StoreRequest::Append(rows) => {
                for record in rows {
                    self.push(record, None, cx);
                }
            }
            StoreRequest::Upsert(rows) => {
                for record in rows {
                    self.upsert(record, cx);
                }
            }
            StoreRequest::InitTransaction { id, timeout_ms } => {
                if self.writers.is_fenced(&id, attempt) {
                    return self.refuse(task, cx);
                }
                return StoreAnswer::Began(self.init(id, timeout_ms, task, cx));
            }
            StoreRequest::AppendIn(transaction, rows) => {
                if self.writers.is_fenced(&transaction.id, attempt) {
                    return self.refuse(task, cx);
                }
                return self.append_in(&transaction, rows, cx);
            }
            // Whoever holds a transaction's epoch may end it, as a restored committer does.
            StoreRequest::Commit(transaction) => return self.end(&transaction, true, cx),
            StoreRequest::Abort(transaction) => return self.end(&transaction, false, cx),
            StoreRequest::AbortLingering {
                prefix,
                ownership,
                except,
                from: _,
            } => {
                if !self.writers.admit(&prefix, &ownership, attempt) {
                    return self.refuse(task, cx);
                }
                self.abort_lingering(prefix, &ownership, &except, cx);
            }
            StoreRequest::CommitCheckpoint { writer, checkpoint } => {
                let mark = self.marks.entry(writer).or_insert(checkpoint);
                *mark = (*mark).max(checkpoint);
            }
            StoreRequest::CommittedCheckpoint { writer } => {
                return StoreAnswer::CommittedCheckpoint(self.marks.get(&writer).copied());
            }
            StoreRequest::AppendWithOffset(rows) => self.append_with_offset(rows, cx),
            StoreRequest::Positions { source } => {
                let own = self.positions.range((source, 0)..=(source, u16::MAX));
                let own = own.map(|((_, split), next)| (*split, *next));
                return StoreAnswer::Positions(own.collect());
            }
        }
        StoreAnswer::Done
    }

    fn push(&mut self, record: Record, transaction: Option<u32>, cx: &StreamCx<'_>) {
        self.rows.push(StoreRow {
            record,
            transaction,
            at: cx.now(),
            deleted: false,
        });
    }

    /// Rows and positions in one write. A position that is there was written by an attempt before, or
    /// is by one that is lost and does not know it yet: the row is the same.
    fn append_with_offset(&mut self, rows: Vec<Record>, cx: &StreamCx<'_>) {
        for record in rows {
            let split = (record.origin.source, record.origin.split);
            let next = self.positions.entry(split).or_default();
            if record.origin.offset < *next {
                self.dropped += 1;
                continue;
            }
            *next = record.origin.offset + 1;
            self.push(record, None, cx);
        }
    }

    /// As `upsert-kafka` and a table with a primary key: what an update says of the row before is
    /// left out, a deletion deletes.
    fn upsert(&mut self, record: Record, cx: &StreamCx<'_>) {
        if record.kind == RowKind::UpdateBefore {
            return;
        }
        let key = (record.key, record.window);
        let deleted = record.kind == RowKind::Delete;
        let found = self.row_of.get(&key);
        let row = found.and_then(|it| self.rows.get_mut(it as usize));
        match row {
            Some(row) => {
                row.record = record;
                row.at = cx.now();
                row.deleted = deleted;
            }
            None if deleted => {}
            None => {
                self.row_of.insert(key, self.rows.len() as u32);
                self.push(record, None, cx);
            }
        }
    }

    fn newest(&self, id: &String) -> Option<(u32, &StoredTransaction)> {
        let number = self.newest.get(id)?;
        Some((number, self.transactions.get(number as usize)?))
    }

    fn init(
        &mut self,
        id: String,
        timeout_ms: i64,
        writer: TaskId,
        cx: &mut StreamCx<'_>,
    ) -> StoreTransaction {
        let before = self.newest(&id).map(|(number, it)| (number, it.epoch));
        let epoch = before.map_or(0, |(number, epoch)| {
            self.abort(number, AbortCause::Fenced, cx);
            epoch.saturating_add(1)
        });
        let number = self.transactions.len() as u32;
        self.transactions.push(StoredTransaction {
            id: id.clone(),
            epoch,
            writer,
            timeout_ms,
            state: TransactionState::Empty,
            since: 0,
            first_row: 0,
            rows: 0,
            ended: 0,
        });
        self.newest.insert(id.clone(), number);
        StoreTransaction {
            id,
            epoch,
            producer: None,
        }
    }

    fn append_in(
        &mut self,
        transaction: &StoreTransaction,
        rows: Vec<Record>,
        cx: &mut StreamCx<'_>,
    ) -> StoreAnswer {
        let Some((number, newest)) = self.newest(&transaction.id) else {
            return StoreAnswer::InvalidTxnState;
        };
        if newest.epoch != transaction.epoch {
            return self.refuse(newest.writer, cx);
        }
        let first = match newest.state {
            TransactionState::Empty => true,
            TransactionState::Open => false,
            TransactionState::Committed | TransactionState::Aborted(_) => {
                return StoreAnswer::InvalidTxnState;
            }
        };
        let (first_row, many) = (self.rows.len() as u64, rows.len() as u32);
        for record in rows {
            self.push(record, Some(number), cx);
        }
        if let Some(it) = self.transactions.get_mut(number as usize) {
            it.rows = it.rows.saturating_add(many);
            if first && many > 0 {
                it.state = TransactionState::Open;
                it.since = cx.now();
                it.first_row = first_row;
                self.open.insert(number, None);
                self.set_expiry(number, cx);
            }
        }
        StoreAnswer::Done
    }

    fn refuse(&self, newest: TaskId, cx: &mut StreamCx<'_>) -> StoreAnswer {
        cx.note(self.note(Rule::Fenced, newest, 0));
        StoreAnswer::Fenced
    }

    fn note(&self, rule: Rule, task: TaskId, rows: u32) -> Note {
        Note::Rule {
            rule,
            task: Some(task),
            operator: Some(self.operator),
            before: i64::from(rows),
            after: -1,
        }
    }

    /// Commits or aborts, as its writer asks.
    fn end(
        &mut self,
        transaction: &StoreTransaction,
        commit: bool,
        cx: &mut StreamCx<'_>,
    ) -> StoreAnswer {
        let Some((number, newest)) = self.newest(&transaction.id) else {
            return StoreAnswer::InvalidTxnState;
        };
        if newest.epoch != transaction.epoch {
            return self.refuse(newest.writer, cx);
        }
        match (newest.state, commit) {
            (TransactionState::Open, true) => self.commit(number, cx),
            (TransactionState::Open, false) => self.abort(number, AbortCause::Asked, cx),
            // To be repeated without harm.
            (TransactionState::Empty, _)
            | (TransactionState::Committed, true)
            | (TransactionState::Aborted(_), false) => {}
            (TransactionState::Committed, false) | (TransactionState::Aborted(_), true) => {
                return StoreAnswer::InvalidTxnState;
            }
        }
        StoreAnswer::Done
    }

    fn commit(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        if let Some(it) = self.transactions.get_mut(number as usize) {
            it.state = TransactionState::Committed;
            it.ended = cx.now();
            self.committed += 1;
        }
        self.close(number, cx);
    }

    /// Aborts a transaction if it is open.
    fn abort(&mut self, number: u32, cause: AbortCause, cx: &mut StreamCx<'_>) {
        if !self.open.contains_key(&number) {
            return;
        }
        if let Some(it) = self.transactions.get_mut(number as usize) {
            it.state = TransactionState::Aborted(cause);
            it.ended = cx.now();
            let (writer, rows) = (it.writer, it.rows);
            self.aborted += 1;
            cx.note(self.note(Rule::TransactionAborted, writer, rows));
        }
        self.close(number, cx);
    }

    fn close(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        if let Some(timer) = self.open.remove(&number).flatten() {
            cx.cancel(timer);
        }
    }

    fn abort_lingering(
        &mut self,
        prefix: String,
        ownership: &Ownership,
        except: &[StoreTransaction],
        cx: &mut StreamCx<'_>,
    ) {
        let mut open = Vec::new();
        let mut number_of = BTreeMap::new();
        let (mut precommitted, mut superseded) = (BTreeSet::new(), BTreeSet::new());
        for (number, it) in self.open.keys().zip(self.open_transactions()) {
            let Some(id) = TransactionalId::parse(&it.id) else {
                continue;
            };
            if let Some(held) = except.iter().find(|held| held.id == it.id) {
                precommitted.insert(id.clone());
                if it.epoch > held.epoch {
                    superseded.insert(id.clone());
                }
            }
            number_of.insert(id.clone(), *number);
            open.push(id);
        }
        let prefixes = BTreeSet::from([prefix]);
        let found = listed(&open, &prefixes, ownership, &precommitted, &superseded);
        for id in found.abort.iter().chain(&found.superseded) {
            if let Some(number) = number_of.get(id) {
                let again = self.transactions.get(*number as usize).cloned();
                // As a new owner would: the epoch grows, which fences the former one.
                if let Some(it) = again {
                    self.init(it.id, it.timeout_ms, it.writer, cx);
                }
            }
        }
    }

    /// Sets the timer that ends an open transaction.
    pub(super) fn set_expiry(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        let Some(it) = self.transactions.get(number as usize) else {
            return;
        };
        let timeout = u64::try_from(it.timeout_ms).unwrap_or(0);
        let due = it.since.saturating_add(timeout.saturating_mul(MS));
        let after = due.saturating_sub(cx.now());
        let timer = cx.set_timer(after, Timer::Store(StoreTimer::Expired(number)));
        self.open.insert(number, Some(timer));
    }

    pub(super) fn expire(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        if let Some(timer) = self.open.get_mut(&number) {
            // It fired.
            *timer = None;
            self.abort(number, AbortCause::TimedOut, cx);
        }
    }
}
