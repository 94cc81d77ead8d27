//! A sink that commits in two phases.
//!
//! Follows `TwoPhaseCommitSinkFunction`. One transaction is open; a snapshot pre-commits it,
//! remembers it as pending for that checkpoint, and opens the next. When a checkpoint is complete,
//! its pending transaction and all older ones are committed. A restored sink commits what the
//! checkpoint holds as pending (again, if it was already) and aborts what it holds as open. Beginning,
//! writing, committing and aborting are the caller's: this only says which transaction, when.

use super::MILLION;
use serde::Serialize;

/// A transaction, and when it began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Transaction<T> {
    /// The store's handle.
    pub handle: T,
    /// When it began, ms.
    pub started_ms: i64,
}

/// What a checkpoint holds of the sink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SinkState<T> {
    /// The transaction opened at the snapshot; none in a sink that had finished.
    pub open: Option<Transaction<T>>,
    /// Pre-committed ones, oldest first.
    pub pending: Vec<Transaction<T>>,
}

/// What is to be done with a transaction found in a restored state, in this order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Recover<T> {
    /// `recoverAndCommit`: it may have been committed before.
    Commit(Transaction<T>),
    /// `recoverAndAbort`.
    Abort(Transaction<T>),
}

/// Settings that guard against transactions the store has given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TwoPhaseSettings {
    /// How long a transaction may be open in the store, ms.
    pub transaction_timeout_ms: i64,
    /// Go on where a recovered commit fails after that time: the transaction's records are lost.
    pub ignore_failures_after_timeout: bool,
    /// Warn when a transaction that is committed is older than this part of the timeout, millionths.
    pub warning_ratio: Option<i64>,
}

impl Default for TwoPhaseSettings {
    fn default() -> Self {
        TwoPhaseSettings {
            transaction_timeout_ms: i64::MAX,
            ignore_failures_after_timeout: false,
            warning_ratio: None,
        }
    }
}

impl TwoPhaseSettings {
    /// Whether committing a transaction now calls for a warning: its age, ms.
    #[must_use]
    pub fn warning<T>(&self, transaction: &Transaction<T>, now_ms: i64) -> Option<i64> {
        let ratio = self.warning_ratio.filter(|it| *it >= 0)?;
        let age = now_ms.saturating_sub(transaction.started_ms);
        let limit = i128::from(self.transaction_timeout_ms) * i128::from(ratio);
        (i128::from(age) * i128::from(MILLION) > limit).then_some(age)
    }

    /// Whether a failed commit of a recovered transaction is passed over instead of failing the
    /// job. Its records are lost then.
    #[must_use]
    pub fn ignores_failure<T>(&self, transaction: &Transaction<T>, now_ms: i64) -> bool {
        let age = now_ms.saturating_sub(transaction.started_ms);
        self.ignore_failures_after_timeout && age > self.transaction_timeout_ms
    }
}

/// What a restored sink has to do first; then it opens a transaction of its own.
#[must_use]
pub fn recover<T: Clone>(states: &[SinkState<T>]) -> Vec<Recover<T>> {
    let each = states.iter().flat_map(|state| {
        let pending = state.pending.iter().cloned().map(Recover::Commit);
        pending.chain(state.open.clone().map(Recover::Abort))
    });
    each.collect()
}

/// The sink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TwoPhaseSink<T> {
    current: Option<Transaction<T>>,
    /// By checkpoint, in the order of the snapshots.
    pending: Vec<(i64, Transaction<T>)>,
    finished: bool,
}

impl<T: Clone> TwoPhaseSink<T> {
    /// A sink whose first transaction has just been begun.
    #[must_use]
    pub fn open(handle: T, now_ms: i64) -> Self {
        TwoPhaseSink {
            current: Some(Transaction {
                handle,
                started_ms: now_ms,
            }),
            pending: Vec::new(),
            finished: false,
        }
    }

    /// The transaction that takes elements; a finished sink has none, and takes none.
    #[must_use]
    pub fn current(&self) -> Option<&Transaction<T>> {
        self.current.as_ref()
    }

    /// Those that wait for their checkpoint to complete, with its id.
    #[must_use]
    pub fn pending(&self) -> &[(i64, Transaction<T>)] {
        &self.pending
    }

    /// The input has ended: the next snapshot opens no transaction.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether a snapshot has to begin a transaction.
    #[must_use]
    pub fn begins_at_snapshot(&self) -> bool {
        !self.finished
    }

    /// A snapshot is taken. The current transaction has been pre-committed (flushed) and `next`
    /// begun, unless the sink has finished.
    pub fn snapshot(&mut self, checkpoint: i64, next: Option<T>, now_ms: i64) -> SinkState<T> {
        if let Some(current) = self.current.take() {
            match self.pending.iter_mut().find(|(id, _)| *id == checkpoint) {
                Some(entry) => entry.1 = current,
                None => self.pending.push((checkpoint, current)),
            }
        }
        let next = next.filter(|_| !self.finished);
        self.current = next.map(|handle| Transaction {
            handle,
            started_ms: now_ms,
        });
        SinkState {
            open: self.current.clone(),
            pending: self.pending.iter().map(|(_, it)| it.clone()).collect(),
        }
    }

    /// A checkpoint is complete: these are to be committed, in this order. They are pending no
    /// longer, even if a commit fails; then the job restarts and recovers them.
    pub fn complete(&mut self, checkpoint: i64) -> Vec<Transaction<T>> {
        let (due, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|(id, _)| *id <= checkpoint);
        self.pending = later;
        let due: Vec<(i64, Transaction<T>)> = due;
        due.into_iter().map(|(_, it)| it).collect()
    }

    /// The sink stops: this one is to be aborted. Pending ones are left for the next attempt.
    pub fn close(&mut self) -> Option<Transaction<T>> {
        self.current.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_complete_checkpoint_commits_the_older_ones_too() {
        let mut sink = TwoPhaseSink::open('a', 0);
        sink.snapshot(1, Some('b'), 1);
        sink.snapshot(2, Some('c'), 2);
        let state = sink.snapshot(3, Some('d'), 3);
        let committed =
            |it: Vec<Transaction<char>>| -> String { it.into_iter().map(|it| it.handle).collect() };
        assert_eq!(committed(sink.complete(2)), "ab");
        assert_eq!(committed(sink.complete(1)), "", "a late notification");
        let recovered = recover(&[state]);
        let shown: Vec<(bool, char)> = recovered
            .iter()
            .map(|it| match it {
                Recover::Commit(it) => (true, it.handle),
                Recover::Abort(it) => (false, it.handle),
            })
            .collect();
        assert_eq!(shown, [(true, 'a'), (true, 'b'), (true, 'c'), (false, 'd')]);
    }

    #[test]
    fn a_finished_sink_opens_nothing() {
        let mut sink = TwoPhaseSink::open('a', 0);
        sink.finish();
        let state = sink.snapshot(1, Some('b'), 1);
        assert_eq!(state.open, None);
        assert_eq!(sink.current(), None);
        assert_eq!(sink.complete(1).len(), 1);
    }

    #[test]
    fn old_transactions_warn_and_may_be_given_up() {
        let settings = TwoPhaseSettings {
            transaction_timeout_ms: 1_000,
            ignore_failures_after_timeout: true,
            warning_ratio: Some(MILLION / 2),
        };
        let transaction = Transaction {
            handle: (),
            started_ms: 100,
        };
        for (now, warns, ignores) in [
            (600, None, false),
            (601, Some(501), false),
            (1_100, Some(1_000), false),
            (1_101, Some(1_001), true),
        ] {
            assert_eq!(settings.warning(&transaction, now), warns, "{now}");
            assert_eq!(settings.ignores_failure(&transaction, now), ignores);
        }
    }

    /// A source, a sink and a store whose commits can be repeated.
    struct Run {
        sink: TwoPhaseSink<u32>,
        next_handle: u32,
        open: BTreeMap<u32, Vec<u32>>,
        committed: Vec<u32>,
        /// The next record, and where a checkpoint has it.
        position: u32,
        snapshots: BTreeMap<i64, (u32, SinkState<u32>)>,
        completed: Option<i64>,
        checkpoint: i64,
    }

    impl Run {
        fn begin(&mut self) -> u32 {
            self.next_handle += 1;
            self.open.insert(self.next_handle, Vec::new());
            self.next_handle
        }

        fn commit(&mut self, handle: u32) {
            self.committed
                .extend(self.open.remove(&handle).unwrap_or_default());
        }

        fn record(&mut self) {
            let current = self.sink.current().expect("it is open").handle;
            self.open
                .get_mut(&current)
                .expect("open")
                .push(self.position);
            self.position += 1;
        }

        fn snapshot(&mut self) {
            self.checkpoint += 1;
            let next = self.begin();
            let state = self.sink.snapshot(self.checkpoint, Some(next), 0);
            self.snapshots
                .insert(self.checkpoint, (self.position, state));
        }

        fn notify(&mut self) {
            for it in self
                .completed
                .map_or(Vec::new(), |id| self.sink.complete(id))
            {
                self.commit(it.handle);
            }
        }

        /// The attempt is lost; what no checkpoint holds is fenced.
        fn crash(&mut self) {
            let state = self.completed.map(|id| self.snapshots[&id].clone());
            self.position = state.as_ref().map_or(0, |(position, _)| *position);
            let states: Vec<_> = state.into_iter().map(|(_, state)| state).collect();
            for it in recover(&states) {
                match it {
                    Recover::Commit(it) => self.commit(it.handle),
                    Recover::Abort(it) => drop(self.open.remove(&it.handle)),
                }
            }
            self.open.clear();
            let handle = self.begin();
            self.sink = TwoPhaseSink::open(handle, 0);
            // What was taken and not completed is gone with the attempt.
            let last = self.completed.unwrap_or(0);
            self.snapshots.retain(|id, _| *id <= last);
        }
    }

    proptest! {
        #[test]
        fn a_crash_anywhere_neither_loses_nor_repeats(steps in prop::collection::vec(0_u8..8, 0..200)) {
            let mut run = Run {
                sink: TwoPhaseSink::open(0, 0),
                next_handle: 0,
                open: BTreeMap::from([(0, Vec::new())]),
                committed: Vec::new(),
                position: 0,
                snapshots: BTreeMap::new(),
                completed: None,
                checkpoint: 0,
            };
            for step in steps {
                match step {
                    0..=3 => run.record(),
                    4 => run.snapshot(),
                    5 => run.completed = run.snapshots.keys().next_back().copied().max(run.completed),
                    6 => run.notify(),
                    _ => run.crash(),
                }
                let expected: Vec<u32> = (0..).take(run.committed.len()).collect();
                prop_assert_eq!(&run.committed, &expected);
            }
            run.snapshot();
            run.completed = Some(run.checkpoint);
            run.crash();
            let expected: Vec<u32> = (0..run.position).collect();
            prop_assert_eq!(&run.committed, &expected);
        }
    }
}
