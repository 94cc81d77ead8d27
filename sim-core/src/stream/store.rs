//! A store outside that a sink writes to: a small model of a topic with transactions.
//!
//! Follows what a consumer sees of a Kafka topic and what a producer hears from its transaction
//! coordinator: rows lie in the order in which they were appended, each with its transaction. To
//! `read_uncommitted` all rows are visible; to `read_committed` those of committed transactions and
//! those without one, up to the first row of a transaction that is still open (the last stable
//! offset). Initialising an id gives it a new epoch, aborts what was open under it and so fences its
//! former owner; a transaction is open from its first row on, and aborted when it times out. What an
//! attempt of the job asks that a newer one has taken over from is refused ([`writers`]). Rows may come with
//! their positions ([`positions`](super::positions)): those that it has it drops.
//!
//! Requests are served one after the other, and each row costs time. All that was answered survives
//! a crash, open transactions too; requests that wait are lost. Left out: partitions and replicas,
//! markers as rows of their own, the coordinator's periodic look for timeouts (here it is exact),
//! and the end of ids that were not used for long.

mod serve;
#[cfg(test)]
mod tests;
mod writers;

use super::element::{Key, Record};
use super::job::Job;
use super::node::{Order, StreamCx, StreamInput, Timer};
use super::protocol::{Attempt, Packet, StoreRequest, TaskId};
use super::rules::assigner::Window;
use super::rules::join::RowKind;
use super::rules::window::aggregate::Value;
use crate::kernel::{Input, Loss, MICROSECOND, Nanos, NodeId, TimerId};
use crate::shared::SharedList;
use serde::Serialize;
use serve::Index;
use std::collections::{BTreeMap, VecDeque};
use writers::Writers;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// A row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StoreRow {
    /// What was written.
    pub record: Record,
    /// Number of its transaction, if it was written in one.
    pub transaction: Option<u32>,
    /// When, ns.
    pub at: Nanos,
    /// An upsert deleted it.
    pub deleted: bool,
}

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TransactionState {
    /// Its id was initialised, it has no rows (`Empty`).
    Empty,
    /// It has rows (`Ongoing`).
    Open,
    /// `CompleteCommit`.
    Committed,
    /// `CompleteAbort`.
    Aborted(AbortCause),
}

/// Why a transaction was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum AbortCause {
    /// Its writer asked for it.
    Asked,
    /// Its id was initialised anew, or it was found to be left over.
    Fenced,
    /// It was open for longer than its timeout.
    TimedOut,
}

/// A transaction: one epoch of an id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StoredTransaction {
    /// `transactional.id`.
    pub id: String,
    /// Its epoch.
    pub epoch: u32,
    /// Who initialised it.
    pub writer: TaskId,
    /// `transaction.timeout.ms`.
    pub timeout_ms: i64,
    /// Where it stands.
    pub state: TransactionState,
    /// When it got its first row, ns.
    pub since: Nanos,
    /// The number of its first row.
    pub first_row: u64,
    /// How many rows it has.
    pub rows: u32,
    /// When it was committed or aborted, ns.
    pub ended: Nanos,
}

/// A request that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Waiting {
    from: NodeId,
    attempt: Attempt,
    task: TaskId,
    operator: u32,
    request: u64,
    order: StoreRequest,
}

/// A timer of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum StoreTimer {
    /// The first request is done.
    Served,
    /// The transaction with this number is open for too long.
    Expired(u32),
}

/// The store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Store {
    /// The sink.
    operator: u32,
    /// What a row costs, µs.
    cost_us: u64,
    rows: SharedList<StoreRow>,
    transactions: SharedList<StoredTransaction>,
    /// The newest transaction of each id.
    newest: Index<String>,
    /// The newest attempts of its transactional writers.
    writers: Writers,
    /// Those with rows, and the timers that end them.
    open: BTreeMap<u32, Option<TimerId>>,
    /// The rows of keys and windows, where they are upserted.
    row_of: Index<(Key, Option<Window>)>,
    /// Up to which checkpoint the rows of write-ahead writers are there.
    marks: BTreeMap<String, i64>,
    /// The offset behind the last row of each split, by source and split, where rows are written with
    /// their positions; and how many rows were dropped since theirs was there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    positions: BTreeMap<(u16, u16), u64>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
    waiting: VecDeque<Waiting>,
    committed: u64,
    aborted: u64,
}

impl Store {
    /// The store of a sink.
    #[must_use]
    pub fn new(job: &Job, operator: u32) -> Self {
        Store {
            operator,
            cost_us: job.spec.config.store_cost_us,
            rows: SharedList::default(),
            transactions: SharedList::default(),
            newest: Index::default(),
            writers: Writers::default(),
            open: BTreeMap::new(),
            row_of: Index::default(),
            marks: BTreeMap::new(),
            positions: BTreeMap::new(),
            dropped: 0,
            waiting: VecDeque::new(),
            committed: 0,
            aborted: 0,
        }
    }

    pub(super) fn on(&mut self, input: StreamInput<StoreTimer>, cx: &mut StreamCx<'_>) {
        match input {
            Input::Boot => self.boot(cx),
            Input::Message { from, msg } => self.on_packet(from, msg, cx),
            Input::Timer(StoreTimer::Served) => {
                self.serve_first(cx);
                self.serve_waiting(cx);
            }
            Input::Timer(StoreTimer::Expired(number)) => self.expire(number, cx),
            Input::Order(Order::SetCost { micros }) => self.cost_us = micros,
            // What a lost writer has sent is served as it would be.
            Input::Disconnected(_) | Input::Order(_) => {}
        }
    }

    /// Timers do not survive a crash, open transactions do.
    fn boot(&mut self, cx: &mut StreamCx<'_>) {
        let open: Vec<u32> = self.open.keys().copied().collect();
        for number in open {
            self.set_expiry(number, cx);
        }
    }

    fn on_packet(&mut self, from: NodeId, packet: Packet, cx: &mut StreamCx<'_>) {
        let Packet::ToStore {
            attempt,
            task,
            operator,
            request,
            order,
        } = packet
        else {
            return;
        };
        let idle = self.waiting.is_empty();
        self.waiting.push_back(Waiting {
            from,
            attempt,
            task,
            operator,
            request,
            order,
        });
        if idle {
            self.serve_waiting(cx);
        }
    }

    /// Serves what costs nothing, and begins with the first that does.
    fn serve_waiting(&mut self, cx: &mut StreamCx<'_>) {
        while let Some(first) = self.waiting.front() {
            let cost = self.cost(&first.order);
            if cost > 0 {
                cx.set_timer(cost, Timer::Store(StoreTimer::Served));
                return;
            }
            self.serve_first(cx);
        }
    }

    fn cost(&self, order: &StoreRequest) -> Nanos {
        let rows = match order {
            StoreRequest::Append(rows)
            | StoreRequest::Upsert(rows)
            | StoreRequest::AppendWithOffset(rows)
            | StoreRequest::AppendIn(_, rows) => rows.len() as u64,
            _ => 0,
        };
        rows.saturating_mul(self.cost_us)
            .saturating_mul(MICROSECOND)
    }

    fn serve_first(&mut self, cx: &mut StreamCx<'_>) {
        let Some(it) = self.waiting.pop_front() else {
            return;
        };
        let answer = self.serve(it.order, (it.task, it.attempt), cx);
        let packet = Packet::FromStore {
            attempt: it.attempt,
            task: it.task,
            operator: it.operator,
            request: it.request,
            answer,
        };
        cx.send(it.from, packet);
    }

    /// Drops what a crash takes: requests that wait. With the disk all is lost.
    pub(super) fn crash(&mut self, loss: Loss) {
        self.waiting.clear();
        if loss == Loss::Disk {
            self.rows = SharedList::default();
            self.transactions = SharedList::default();
            self.newest = Index::default();
            self.writers = Writers::default();
            self.open.clear();
            self.row_of = Index::default();
            self.marks.clear();
            self.positions.clear();
            self.dropped = 0;
            self.committed = 0;
            self.aborted = 0;
        }
    }

    /// About how many bytes a copy takes; full pieces are shared.
    pub(super) fn weight(&self) -> usize {
        let pieces = (self.rows.len() + self.transactions.len()) / crate::shared::PIECE;
        let tail = crate::shared::PIECE / 2 * size_of::<StoreRow>();
        size_of::<Self>() + tail + pieces * size_of::<usize>() + self.newest.weight()
    }

    /// The sink that writes to it.
    #[must_use]
    pub fn operator(&self) -> u32 {
        self.operator
    }

    /// What a row costs, µs.
    #[must_use]
    pub fn cost_us(&self) -> u64 {
        self.cost_us
    }

    /// Requests that wait or are being served.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// All rows: what `read_uncommitted` sees, but for deleted ones.
    #[must_use]
    pub fn rows(&self) -> &SharedList<StoreRow> {
        &self.rows
    }

    /// All transactions, by their numbers.
    #[must_use]
    pub fn transactions(&self) -> &SharedList<StoredTransaction> {
        &self.transactions
    }

    /// Where a row's transaction stands; rows without one are committed.
    #[must_use]
    pub fn state_of(&self, row: &StoreRow) -> TransactionState {
        let transaction = row.transaction.map(|it| self.transactions.get(it as usize));
        transaction
            .flatten()
            .map_or(TransactionState::Committed, |it| it.state)
    }

    fn is_committed(&self, row: &StoreRow) -> bool {
        !row.deleted && self.state_of(row) == TransactionState::Committed
    }

    /// Rows that are committed, whoever may see them yet.
    pub fn committed_rows(&self) -> impl Iterator<Item = &StoreRow> {
        self.rows.iter().filter(|it| self.is_committed(it))
    }

    /// The number of the first row of the oldest open transaction, or of the next row: the last
    /// stable offset.
    #[must_use]
    pub fn last_stable(&self) -> u64 {
        let first = |number: &u32| self.transactions.get(*number as usize);
        let open = self.open.keys().filter_map(first);
        let first = open.map(|it| it.first_row).min();
        first.unwrap_or(self.rows.len() as u64)
    }

    /// What `read_committed` sees.
    pub fn visible_rows(&self) -> impl Iterator<Item = &StoreRow> {
        let stable = usize::try_from(self.last_stable()).unwrap_or(usize::MAX);
        let stable = self.rows.iter().take(stable);
        stable.filter(|it| self.is_committed(it))
    }

    /// Transactions with rows that are neither committed nor aborted.
    pub fn open_transactions(&self) -> impl Iterator<Item = &StoredTransaction> {
        let get = |number: &u32| self.transactions.get(*number as usize);
        self.open.keys().filter_map(get)
    }

    /// Transactions with rows that were committed.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Transactions with rows that were aborted.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.aborted
    }

    /// Rows that were dropped since their position was there.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Committed rows that say again what another does: of the same source record, window, key and
    /// value. (A job that puts out a record several times on purpose has such rows too.) It takes as
    /// long as sorting all rows.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        let mut all: Vec<&Record> = self.committed_rows().map(|it| &it.record).collect();
        all.sort_unstable_by(|a, b| said(a).cmp(&said(b)));
        let again = all.windows(2).filter(|it| said(it[0]) == said(it[1]));
        again.count() as u64
    }
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

type Said<'r> = (
    super::element::Origin,
    Key,
    Option<Window>,
    &'r Value,
    &'r Option<Value>,
    RowKind,
);

fn said(record: &Record) -> Said<'_> {
    let it = record;
    (it.origin, it.key, it.window, &it.value, &it.right, it.kind)
}
