//! Which transactions a cleaner comes across, and which of their markers it may drop.
//!
//! Follows `CleanedTransactionMetadata`: the data of an aborted transaction goes at once, a marker
//! only when no batch of its transaction is left. The aborted transactions whose marker stays and
//! of which a batch was seen are what the cleaned segment's transaction index lists.

use super::producer_state::AbortedTxn;
use crate::log::{Batch, ControlMarker};
use std::collections::{BTreeMap, BTreeSet};

/// Transactions as they are met, in the order of the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CleanedTxns {
    /// Aborted transactions not come to yet: the last one begins first.
    ahead: Vec<AbortedTxn>,
    /// Those under way, by producer, and whether a batch of them was seen.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    /// Producers with a committed transaction under way.
    committed: BTreeSet<i64>,
    /// What the index of the cleaned segment lists.
    index: Vec<AbortedTxn>,
}

impl CleanedTxns {
    /// With the aborted transactions that touch what will be read.
    pub fn new(aborted: Vec<AbortedTxn>) -> Self {
        let mut ahead = aborted;
        ahead.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
        CleanedTxns {
            ahead,
            ..Self::default()
        }
    }

    /// The aborted transactions to list for what was read since the last call.
    pub fn take_index(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.index)
    }

    /// Reads a batch. True if, as far as transactions go, it may be dropped.
    pub fn read<R>(&mut self, batch: &Batch<R>) -> bool {
        self.begin_up_to(batch.last_offset());
        match batch.control {
            None => self.read_data(batch),
            Some(marker) => self.read_marker(batch.producer.id, marker),
        }
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(txn) = self.ahead.pop_if(|txn| txn.first_offset <= offset) {
            self.aborted.entry(txn.producer_id).or_insert((txn, false));
        }
    }

    fn read_data<R>(&mut self, batch: &Batch<R>) -> bool {
        if !batch.transactional {
            return false;
        }
        match self.aborted.get_mut(&batch.producer.id) {
            Some((_, seen)) => {
                *seen = true;
                true
            }
            None => {
                self.committed.insert(batch.producer.id);
                false
            }
        }
    }

    fn read_marker(&mut self, producer_id: i64, marker: ControlMarker) -> bool {
        match marker {
            ControlMarker::Commit => !self.committed.remove(&producer_id),
            ControlMarker::Abort => match self.aborted.remove(&producer_id) {
                Some((txn, true)) => {
                    self.index.push(txn);
                    false
                }
                _ => true,
            },
            ControlMarker::Emptied => true,
            ControlMarker::LeaderChange => false,
        }
    }
}
