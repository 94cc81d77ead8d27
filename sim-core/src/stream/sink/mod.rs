//! The writer of a sink's subtask: it asks the store outside, and waits as its guarantee demands.
//!
//! Follows `KafkaSink` with its writers (`KafkaWriter`, `ExactlyOnceKafkaWriter`) and `KafkaCommitter`
//! of the Kafka connector 4.x, `TwoPhaseCommitSinkFunction` by way of [`two_phase`], and
//! `GenericWriteAheadSink`. What each guarantee does:
//! - none: rows are sent and not waited for; a crash loses what was on its way and repeats others;
//! - at least once: before a snapshot all rows sent are answered; a crash repeats rows;
//! - idempotent: the same, as upserts of the row of a key and window;
//! - with offset: rows with the positions they came from, in one write after the other, so that what
//!   the store has of a split never has a gap; the store says where the source begins
//!   ([`positions`](super::positions));
//! - write-ahead log: rows wait in the state for their checkpoint, then they are appended; a crash
//!   between that and its mark repeats them ([`log`]);
//! - exactly once: rows in a transaction that ends with a checkpoint and is committed when that is
//!   complete ([`transactions`]). A commit that comes too late is discarded with its rows: the
//!   committer reports it (`Rule::TransactionDiscarded`), and the job goes on.
//!
//! Snapshots of any subtasks may be given to a restored writer: it takes what is its own modulo the
//! parallelism. Left out: retries by time; a lost connection fails the task.
//!
//! [`two_phase`]: super::rules::fault::two_phase

mod desk;
mod log;
#[cfg(test)]
mod tests;
mod transactions;

use super::element::Record;
use super::job::Job;
use super::note::{Note, Rule};
use super::operator::Site;
use super::protocol::{StoreAnswer, StoreRequest, TaskFailure, TaskId};
use super::snapshot::OperatorSnapshot;
use super::spec::{Guarantee, OperatorKind};
use desk::{Asked, Desk};
use log::Log;
use serde::Serialize;
pub use transactions::{Held, Phase};
use transactions::{Place, Transactions};

/// `max.in.flight.requests.per.connection`: requests with rows that are unanswered at once.
pub const MAX_IN_FLIGHT: u32 = 5;

/// What a writer puts out: requests with their numbers, and notes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreOut {
    /// To the store.
    pub requests: Vec<(u64, StoreRequest)>,
    /// What to report.
    pub notes: Vec<Note>,
}

/// How it writes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Mode {
    None,
    AtLeastOnce,
    Idempotent,
    WriteAheadLog(Log),
    ExactlyOnce(Box<Transactions>),
    WithOffset,
}

/// The writer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SinkWriter {
    place: Place,
    batch: u32,
    mode: Mode,
    buffer: Vec<Record>,
    /// What is in the buffer is to be sent as soon as possible.
    flushing: bool,
    desk: Desk,
    written: u64,
}

impl SinkWriter {
    /// A writer; `restored` are snapshots of this operator, of any subtasks.
    #[must_use]
    pub fn open(
        job: &Job,
        site: Site,
        restored: &[&OperatorSnapshot],
        restored_checkpoint: Option<i64>,
        _now_ms: i64,
    ) -> Self {
        let operator = job.spec.operators.get(site.operator as usize);
        let sink = match operator.map(|it| &it.kind) {
            Some(OperatorKind::Sink(it)) => Some(it),
            _ => None,
        };
        let given = sink.and_then(|it| it.id_prefix.as_ref());
        let prefix = given.or(operator.map(|it| &it.name));
        let prefix = prefix.cloned().unwrap_or_default();
        let mode = match sink.map_or(Guarantee::None, |it| it.guarantee) {
            Guarantee::None => Mode::None,
            Guarantee::AtLeastOnce => Mode::AtLeastOnce,
            Guarantee::Idempotent => Mode::Idempotent,
            Guarantee::WithOffset => Mode::WithOffset,
            Guarantee::WriteAheadLog => Mode::WriteAheadLog(Log::open(prefix, site, restored)),
            Guarantee::ExactlyOnce {
                transaction_timeout_ms: timeout,
            } => {
                let it = Transactions::open(prefix, site, timeout, restored, restored_checkpoint);
                Mode::ExactlyOnce(Box::new(it))
            }
        };
        let vertex = job.graph.vertex_of(site.operator);
        let task = vertex.map(|vertex| TaskId {
            vertex,
            subtask: site.subtask,
        });
        SinkWriter {
            place: Place {
                task,
                operator: site.operator,
            },
            batch: sink.map_or(1, |it| it.batch.max(1)),
            mode,
            buffer: Vec::new(),
            flushing: false,
            desk: Desk::default(),
            written: 0,
        }
    }

    /// Before the first record: commits what was restored, aborts what a lost attempt left behind,
    /// and begins the first transaction.
    pub fn start(&mut self, now_ms: i64, out: &mut StoreOut) {
        match &mut self.mode {
            Mode::WriteAheadLog(it) => it.start(&mut self.desk, out),
            Mode::ExactlyOnce(it) => it.start(now_ms, &mut self.desk, out),
            Mode::None | Mode::AtLeastOnce | Mode::Idempotent | Mode::WithOffset => {}
        }
    }

    /// Whether it takes a record now; otherwise the task is backpressured.
    #[must_use]
    pub fn ready(&self) -> bool {
        let room = self.desk.rows() < MAX_IN_FLIGHT;
        match &self.mode {
            Mode::ExactlyOnce(it) => room && it.is_open(),
            // Rows of complete checkpoints go out beside those that come in.
            Mode::WriteAheadLog(_) => true,
            Mode::None | Mode::AtLeastOnce | Mode::Idempotent => room,
            Mode::WithOffset => self.desk.rows() == 0 || self.buffer.len() < self.batch as usize,
        }
    }

    /// Takes a record.
    pub fn on_record(&mut self, record: Record, out: &mut StoreOut) {
        self.written += 1;
        if let Mode::WriteAheadLog(it) = &mut self.mode {
            it.on_record(record);
            return;
        }
        self.buffer.push(record);
        if self.buffer.len() >= self.batch as usize {
            self.send(out);
        }
    }

    fn send(&mut self, out: &mut StoreOut) {
        // One write at a time: if one is lost, so is all behind it.
        if matches!(self.mode, Mode::WithOffset) && self.desk.rows() > 0 {
            return;
        }
        let rows = std::mem::take(&mut self.buffer);
        if rows.is_empty() {
            return;
        }
        let request = match &mut self.mode {
            Mode::ExactlyOnce(it) => {
                self.buffer = it.write(rows, &mut self.desk, out);
                None
            }
            Mode::Idempotent => Some(StoreRequest::Upsert(rows)),
            Mode::WithOffset => Some(StoreRequest::AppendWithOffset(rows)),
            Mode::None | Mode::AtLeastOnce | Mode::WriteAheadLog(_) => {
                Some(StoreRequest::Append(rows))
            }
        };
        if let Some(request) = request {
            self.desk.ask(Asked::Rows, request, out);
        }
        if self.buffer.is_empty() && self.batch > 1 {
            self.buffer.reserve(self.batch.min(1_024) as usize);
        }
    }

    /// Sends what is buffered: before a snapshot, and when no record came for a while.
    pub fn flush(&mut self, out: &mut StoreOut) {
        self.send(out);
        // Not if it could not be sent yet.
        self.flushing = !self.buffer.is_empty();
    }

    /// Whether everything is answered that a snapshot has to wait for.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
            && match &self.mode {
                Mode::None => true,
                Mode::WriteAheadLog(it) => !it.is_sending(),
                Mode::AtLeastOnce | Mode::Idempotent | Mode::ExactlyOnce(_) | Mode::WithOffset => {
                    self.desk.rows() == 0
                }
            }
    }

    /// Whether the task may end: nothing is unanswered that a snapshot would wait for, and no commit,
    /// since nobody would repeat it.
    #[must_use]
    pub fn can_finish(&self) -> bool {
        let commits = |it| matches!(it, Asked::Commit(..) | Asked::Mark);
        self.is_flushed() && !self.desk.any(commits)
    }

    /// The input has ended: the next snapshot is the last.
    pub fn finish(&mut self) {
        if let Mode::ExactlyOnce(it) = &mut self.mode {
            it.finish();
        }
    }

    /// Takes a snapshot; [`SinkWriter::is_flushed`] holds. Pre-commits, and begins the next
    /// transaction.
    pub fn snapshot(
        &mut self,
        checkpoint: i64,
        now_ms: i64,
        out: &mut StoreOut,
    ) -> OperatorSnapshot {
        let list = match &mut self.mode {
            Mode::None | Mode::AtLeastOnce | Mode::Idempotent | Mode::WithOffset => Vec::new(),
            Mode::WriteAheadLog(it) => it.snapshot(checkpoint),
            Mode::ExactlyOnce(it) => {
                it.snapshot(checkpoint, now_ms, self.place, &mut self.desk, out)
            }
        };
        OperatorSnapshot {
            keyed: Vec::new(),
            list,
        }
    }

    /// A checkpoint is complete, and with it all before.
    pub fn on_complete(&mut self, checkpoint: i64, _now_ms: i64, out: &mut StoreOut) {
        match &mut self.mode {
            Mode::None | Mode::AtLeastOnce | Mode::Idempotent | Mode::WithOffset => {}
            Mode::WriteAheadLog(it) => {
                it.on_complete(checkpoint, self.batch as usize, &mut self.desk, out);
            }
            Mode::ExactlyOnce(it) => it.on_complete(checkpoint, &mut self.desk, out),
        }
    }

    /// The store answered; an answer to a request of another attempt must not come here.
    ///
    /// # Errors
    ///
    /// If the task has to fail.
    pub fn on_answer(
        &mut self,
        request: u64,
        answer: &StoreAnswer,
        _now_ms: i64,
        out: &mut StoreOut,
    ) -> Result<(), TaskFailure> {
        let Some(asked) = self.desk.take(request) else {
            return Ok(());
        };
        let refused = matches!(answer, StoreAnswer::Fenced | StoreAnswer::InvalidTxnState);
        match (asked, &mut self.mode) {
            (Asked::Commit(number, attempt), Mode::ExactlyOnce(it)) => {
                let commit = (number, attempt);
                it.on_committed(commit, answer, self.place, &mut self.desk, out)?;
            }
            // It is gone already.
            (Asked::Abort, _) => {}
            _ if refused => {
                let rule = match answer {
                    StoreAnswer::Fenced => Rule::Fenced,
                    _ => Rule::TransactionAborted,
                };
                out.notes.push(self.place.note(rule, 0, -1));
                return Err(TaskFailure::Sink);
            }
            (Asked::Begin(number), Mode::ExactlyOnce(it)) => {
                if let StoreAnswer::Began(transaction) = answer {
                    it.on_began(number, transaction);
                }
                if self.flushing || self.buffer.len() >= self.batch as usize {
                    self.flush(out);
                }
            }
            (Asked::Rows, Mode::WithOffset)
                if self.flushing || self.buffer.len() >= self.batch as usize =>
            {
                self.flush(out);
            }
            (Asked::Rows, Mode::WriteAheadLog(it)) => {
                it.send(self.batch as usize, &mut self.desk, out);
            }
            (Asked::Mark, Mode::WriteAheadLog(it)) => {
                it.on_marked();
                it.send(self.batch as usize, &mut self.desk, out);
            }
            (Asked::Committed(subtask), Mode::WriteAheadLog(it)) => {
                if let StoreAnswer::CommittedCheckpoint(checkpoint) = answer {
                    it.on_committed(subtask, *checkpoint);
                }
                it.send(self.batch as usize, &mut self.desk, out);
            }
            _ => {}
        }
        Ok(())
    }

    /// The connection to the store was lost: requests on their way are not answered any more.
    ///
    /// # Errors
    ///
    /// If the guarantee waits for one of them: the task has to fail.
    pub fn on_disconnected(&mut self) -> Result<(), TaskFailure> {
        let waited = self.desk.any(|_| true);
        self.desk.clear();
        match (&self.mode, waited) {
            (Mode::None, _) | (_, false) => Ok(()),
            _ => Err(TaskFailure::Sink),
        }
    }

    /// The task ends in order: what is open is aborted.
    pub fn close(&mut self, out: &mut StoreOut) {
        if let Mode::ExactlyOnce(it) = &mut self.mode {
            it.close(&mut self.desk, out);
        }
    }

    /// Whether nothing is left to do: no row is buffered, on its way, or waits for its checkpoint.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let rest = match &self.mode {
            Mode::None | Mode::AtLeastOnce | Mode::Idempotent | Mode::WithOffset => 0,
            Mode::WriteAheadLog(it) => it.rows(),
            Mode::ExactlyOnce(it) => it.held().map(|it| u64::from(it.rows)).sum(),
        };
        self.buffer.is_empty() && self.desk.rows() == 0 && rest == 0
    }

    /// Records taken since it was opened.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Rows of transactions that could not be committed any more.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match &self.mode {
            Mode::ExactlyOnce(it) => it.lost(),
            _ => 0,
        }
    }

    /// Its transactions, oldest first.
    pub fn transactions(&self) -> impl Iterator<Item = &Held> {
        let it = match &self.mode {
            Mode::ExactlyOnce(it) => Some(it.held()),
            _ => None,
        };
        it.into_iter().flatten()
    }

    /// Rows that wait in the state of a write-ahead writer.
    #[must_use]
    pub fn logged(&self) -> u64 {
        match &self.mode {
            Mode::WriteAheadLog(it) => it.rows(),
            _ => 0,
        }
    }
}
