//! What the transaction coordinator knows of one `transactional.id`, and its transitions.
//!
//! Follows `TransactionMetadata`: a transition is prepared, which blocks every other, written to
//! the log, and completed or given up. Where the source throws IllegalStateException there is
//! [`IllegalTransition`].

use super::state::{TransactionState, supports_epoch_bump};
use super::transit::TxnTransit;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::rules::producer_append::TransactionVersion;
use std::collections::BTreeSet;

/// No producer id.
const NO_PRODUCER_ID: i64 = -1;
/// No producer epoch.
const NO_PRODUCER_EPOCH: i16 = -1;

/// Whether no producer may be given an epoch after this one: the largest is kept for fencing.
pub fn is_epoch_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

/// A transition that the rules do not allow: a bug of the caller, not of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IllegalTransition {
    /// From here.
    pub from: TransactionState,
    /// To there.
    pub to: TransactionState,
}

impl From<IllegalTransition> for ErrorCode {
    fn from(_: IllegalTransition) -> Self {
        Self::UnknownServerError
    }
}

/// The transaction of one `transactional.id`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TransactionMetadata {
    /// The values of the last transition that is in the log.
    pub current: TxnTransit,
    /// The state being entered; no other transition may begin.
    pub pending: Option<TransactionState>,
    /// An epoch raised to fence a producer may not have reached the log, so that it is not raised
    /// again at the next attempt. Up to transaction version 1.
    pub failed_epoch_fence: bool,
}

impl TransactionMetadata {
    /// A new id, whose producer has no epoch yet.
    pub fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self::loaded(TxnTransit {
            producer_id,
            prev_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            client_version: 0,
            epoch_fence: false,
        })
    }

    /// As the coordinator's log has it.
    pub fn loaded(current: TxnTransit) -> Self {
        Self {
            current,
            pending: None,
            failed_epoch_fence: false,
        }
    }

    /// The state in the log.
    pub fn state(&self) -> TransactionState {
        self.current.state
    }

    /// Whether the producer needs a new id before it gets another epoch.
    pub fn is_producer_epoch_exhausted(&self) -> bool {
        is_epoch_exhausted(self.current.producer_epoch)
    }

    /// Whether the transaction is open for longer than its timeout.
    pub fn is_timed_out(&self, now_ms: i64) -> bool {
        let end_ms = self.current.start_ms + i64::from(self.current.timeout_ms);
        self.pending.is_none() && self.state() == TransactionState::Ongoing && end_ms < now_ms
    }

    /// Whether the id has been idle for `transactional.id.expiration.ms`.
    pub fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        let idle_since_ms = self.current.last_update_ms;
        self.pending.is_none()
            && self.state().expiration_allowed()
            && idle_since_ms <= now_ms - expiration_ms
    }

    /// Fences the producer: its epoch goes up, unless it cannot, or did in an attempt that failed.
    pub fn prepare_fence_epoch(&mut self) -> Result<TxnTransit, IllegalTransition> {
        let epoch = self.current.producer_epoch;
        let bumped = if self.failed_epoch_fence {
            epoch
        } else {
            epoch.saturating_add(1)
        };
        let next = TxnTransit {
            producer_epoch: bumped,
            epoch_fence: true,
            ..self.next(TransactionState::PrepareEpochFence)
        };
        self.prepare(next)
    }

    /// Gives the producer its next epoch. `expected` is the epoch by which a producer that goes on
    /// after an error names itself: the current one, or the one before if it asks again.
    pub fn prepare_increment_epoch(
        &mut self,
        timeout_ms: i32,
        expected: Option<i16>,
        now_ms: i64,
    ) -> Result<TxnTransit, ErrorCode> {
        let (epoch, last) = (
            self.current.producer_epoch,
            self.current.last_producer_epoch,
        );
        let to = TransactionState::Empty;
        if self.is_producer_epoch_exhausted() {
            return Err(self.illegal(to).into());
        }
        let (producer_epoch, last_producer_epoch) = match expected {
            None => (epoch + 1, NO_PRODUCER_EPOCH),
            Some(expected) if epoch == NO_PRODUCER_EPOCH || expected == epoch => (epoch + 1, epoch),
            // The answer to an earlier request was lost. No other producer has come since, for it
            // would have set the last epoch to none.
            Some(expected) if expected == last => (epoch, last),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let next = TxnTransit {
            producer_epoch,
            last_producer_epoch,
            ..self.initialised(timeout_ms, now_ms)
        };
        Ok(self.prepare(next)?)
    }

    /// Gives the producer a new id, from epoch 0.
    pub fn prepare_producer_id_rotation(
        &mut self,
        producer_id: i64,
        timeout_ms: i32,
        record_last_epoch: bool,
        now_ms: i64,
    ) -> Result<TxnTransit, IllegalTransition> {
        let last_producer_epoch = if record_last_epoch {
            self.current.producer_epoch
        } else {
            NO_PRODUCER_EPOCH
        };
        let next = TxnTransit {
            producer_id,
            producer_epoch: 0,
            last_producer_epoch,
            ..self.initialised(timeout_ms, now_ms)
        };
        self.prepare(next)
    }

    fn initialised(&self, timeout_ms: i32, now_ms: i64) -> TxnTransit {
        TxnTransit {
            timeout_ms,
            partitions: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            ..self.next(TransactionState::Empty)
        }
    }

    /// Adds partitions; the first begin a transaction.
    pub fn prepare_add_partitions(
        &mut self,
        added: &BTreeSet<TopicPartition>,
        client_version: TransactionVersion,
        now_ms: i64,
    ) -> Result<TxnTransit, IllegalTransition> {
        let begins = self.state().expiration_allowed();
        let mut next = self.next(TransactionState::Ongoing);
        next.partitions.extend(added);
        next.start_ms = if begins { now_ms } else { next.start_ms };
        next.last_update_ms = now_ms;
        next.client_version = client_version;
        self.prepare(next)
    }

    /// Decides the end, `state` being one of the two prepared ones. A client of version 2 gets a
    /// new epoch with it, which the markers carry.
    pub fn prepare_abort_or_commit(
        &mut self,
        state: TransactionState,
        client_version: TransactionVersion,
        next_producer_id: i64,
        no_partition_added: bool,
        now_ms: i64,
    ) -> Result<TxnTransit, IllegalTransition> {
        let mut next = self.next(state);
        if supports_epoch_bump(client_version) {
            next.last_producer_epoch = self.current.producer_epoch;
            next.producer_epoch = match self.current.producer_epoch {
                // Already at the last one by a bug of the past: the abort may still go through, and
                // the producer gets a new id.
                i16::MAX if state == TransactionState::PrepareAbort => i16::MAX,
                i16::MAX => return Err(self.illegal(state)),
                epoch => epoch + 1,
            };
        }
        if no_partition_added {
            next.start_ms = now_ms;
        }
        next.next_producer_id = next_producer_id;
        next.last_update_ms = now_ms;
        next.client_version = client_version;
        self.prepare(next)
    }

    /// All markers are written. If the epochs were used up, the producer goes on with its new id;
    /// the last epoch stays the one that the client has seen.
    pub fn prepare_complete(&mut self, now_ms: i64) -> Result<TxnTransit, IllegalTransition> {
        self.failed_epoch_fence = false;
        let state = match self.state() {
            TransactionState::PrepareCommit => TransactionState::CompleteCommit,
            _ => TransactionState::CompleteAbort,
        };
        let mut next = self.next(state);
        let rotates = next.next_producer_id != NO_PRODUCER_ID;
        if rotates && supports_epoch_bump(next.client_version) {
            next.producer_id = next.next_producer_id;
            next.producer_epoch = 0;
        }
        next.next_producer_id = NO_PRODUCER_ID;
        next.partitions.clear();
        next.last_update_ms = now_ms;
        self.prepare(next)
    }

    /// The id has expired; when the tombstone is in the log it is forgotten.
    pub fn prepare_dead(&mut self) -> Result<TxnTransit, IllegalTransition> {
        let next = TxnTransit {
            partitions: BTreeSet::new(),
            ..self.next(TransactionState::Dead)
        };
        self.prepare(next)
    }

    fn next(&self, state: TransactionState) -> TxnTransit {
        TxnTransit {
            prev_producer_id: self.current.producer_id,
            state,
            epoch_fence: false,
            ..self.current.clone()
        }
    }

    fn illegal(&self, to: TransactionState) -> IllegalTransition {
        let from = self.state();
        IllegalTransition { from, to }
    }

    fn prepare(&mut self, next: TxnTransit) -> Result<TxnTransit, IllegalTransition> {
        let has_epoch = next.producer_epoch >= 0 || next.state == TransactionState::Dead;
        let may_follow = next.state.valid_previous().contains(&self.state());
        if self.pending.is_some() || next.producer_id < 0 || !has_epoch || !may_follow {
            return Err(self.illegal(next.state));
        }
        self.pending = Some(next.state);
        Ok(next)
    }

    /// The transition is in the log and replicated.
    pub fn complete_transition(&mut self, next: TxnTransit) -> Result<(), IllegalTransition> {
        if self.pending != Some(next.state) || !self.is_plausible(&next) {
            return Err(self.illegal(next.state));
        }
        self.current = next;
        self.pending = None;
        Ok(())
    }

    /// The transition could not be written. A fence of version 0 or 1 has raised the epoch already,
    /// though no client was told; the next attempt leaves it.
    pub fn append_failed(&mut self, next: &TxnTransit) {
        self.pending = None;
        if next.epoch_fence && !supports_epoch_bump(next.client_version) {
            self.failed_epoch_fence = true;
        }
    }

    /// The checks of `completeTransitionTo`: values that no rule above can have produced.
    fn is_plausible(&self, next: &TxnTransit) -> bool {
        let now = &self.current;
        let same_timeout = now.timeout_ms == next.timeout_ms;
        match next.state {
            TransactionState::Empty => {
                let kept = next.producer_epoch == now.producer_epoch;
                let bumped = i32::from(next.producer_epoch) == i32::from(now.producer_epoch) + 1;
                let rotated = next.producer_epoch == 0 && next.producer_id != now.producer_id;
                (kept || bumped || rotated) && next.partitions.is_empty() && next.start_ms == -1
            }
            TransactionState::Ongoing => {
                let grown = next.partitions.is_superset(&now.partitions);
                self.valid_epoch(next) && grown && same_timeout
            }
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                let of_nothing = next.state == TransactionState::PrepareAbort
                    && supports_epoch_bump(next.client_version)
                    && now.state.expiration_allowed();
                let same_start = now.start_ms == next.start_ms || of_nothing;
                let same_partitions = now.partitions == next.partitions;
                self.valid_epoch(next) && same_partitions && same_timeout && same_start
            }
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                self.valid_epoch(next) && same_timeout && next.start_ms != -1
            }
            // Neither is ever written: a fence becomes an abort, and an expired id a tombstone.
            TransactionState::PrepareEpochFence | TransactionState::Dead => false,
        }
    }

    fn valid_epoch(&self, next: &TxnTransit) -> bool {
        let now = &self.current;
        let same_id = next.producer_id == now.producer_id;
        if supports_epoch_bump(next.client_version) {
            if next.state.is_prepared() {
                return same_id && next.last_producer_epoch == now.producer_epoch;
            }
            let complete = matches!(
                next.state,
                TransactionState::CompleteCommit | TransactionState::CompleteAbort
            );
            if complete && next.producer_epoch == 0 {
                return next.last_producer_epoch == now.last_producer_epoch
                    && next.prev_producer_id == now.producer_id;
            }
        }
        same_id && next.producer_epoch == now.producer_epoch
    }
}
