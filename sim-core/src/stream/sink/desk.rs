//! Requests of a sink writer that the store has not answered yet.

use super::StoreOut;
use crate::stream::protocol::StoreRequest;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a request was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Asked {
    /// Rows by themselves.
    Rows,
    /// Rows in the transaction with this number.
    RowsIn(u64),
    /// The transaction with this number is to begin.
    Begin(u64),
    /// An id that will not be used was initialised, which fences it.
    Fence,
    /// Transactions of lost attempts are to be aborted.
    Lingering,
    /// The transaction with this number is to be committed, for the so-manieth time again.
    Commit(u64, u32),
    /// A transaction is to be aborted.
    Abort,
    /// The rows of the oldest complete checkpoint are there.
    Mark,
    /// Up to where the rows of a former subtask are there.
    Committed(u16),
}

impl Asked {
    fn is_rows(self) -> bool {
        matches!(self, Asked::Rows | Asked::RowsIn(_))
    }
}

/// The requests, by their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Desk {
    next: u64,
    unanswered: BTreeMap<u64, Asked>,
    rows: u32,
}

impl Desk {
    pub(super) fn ask(&mut self, what: Asked, request: StoreRequest, out: &mut StoreOut) {
        out.requests.push((self.next, request));
        self.unanswered.insert(self.next, what);
        self.rows += u32::from(what.is_rows());
        self.next += 1;
    }

    /// A request was answered; none if it was not waited for.
    pub(super) fn take(&mut self, request: u64) -> Option<Asked> {
        let what = self.unanswered.remove(&request)?;
        self.rows -= u32::from(what.is_rows());
        Some(what)
    }

    /// Gives all up.
    pub(super) fn clear(&mut self) {
        self.unanswered.clear();
        self.rows = 0;
    }

    /// Requests with rows.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    pub(super) fn any(&self, matches: impl Fn(Asked) -> bool) -> bool {
        self.unanswered.values().any(|it| matches(*it))
    }
}
