//! Producer id, epoch and sequence numbers: what makes a producer idempotent.
//!
//! Follows `TransactionManager` and `TxnPartitionEntry` for a producer without transactional id.
//! Every partition counts its own sequence. A batch keeps its sequence through all retries; only a
//! new epoch gives it another. When it is unknown whether the broker has a sequence (its batch
//! expired after it was sent) no new batch is sent until that is settled, if need be by raising the
//! epoch, which begins at sequence 0 again.

use super::batch::increment;
use crate::kafka::error::ErrorCode;
use crate::log::ProducerStamp;
use serde::Serialize;

/// Producer id and epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ProducerIdAndEpoch {
    /// Producer id, -1 for none.
    pub id: i64,
    /// Epoch, -1 for none.
    pub epoch: i16,
}

impl ProducerIdAndEpoch {
    /// None yet.
    pub const NONE: Self = ProducerIdAndEpoch { id: -1, epoch: -1 };

    /// Whether there is one.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.id >= 0
    }

    pub(super) fn stamp(self, base_sequence: i32) -> ProducerStamp {
        ProducerStamp {
            id: self.id,
            epoch: self.epoch,
            base_sequence,
        }
    }
}

/// Sequence numbers of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Sequences {
    /// Under which id and epoch they count.
    pub(super) owner: ProducerIdAndEpoch,
    /// Of the next record that has none yet.
    pub(super) next: i32,
    /// Of the last acknowledged record, -1 for none.
    pub(super) last_acked: i32,
    /// The batch with the sequence before this one expired after it was sent.
    pub(super) unresolved: Option<i32>,
    /// The next epoch assigns the sequences of what is under way anew.
    pub(super) rewrite: bool,
}

impl Default for Sequences {
    fn default() -> Self {
        Sequences {
            owner: ProducerIdAndEpoch::NONE,
            next: 0,
            last_acked: -1,
            unresolved: None,
            rewrite: false,
        }
    }
}

impl Sequences {
    fn is_next(&self, sequence: i32) -> bool {
        match self.last_acked {
            -1 => sequence == 0,
            last => sequence == increment(last, 1),
        }
    }

    /// The next sequence is one more than the last acknowledged.
    pub(super) fn all_acked(&self) -> bool {
        self.is_next(self.next)
    }

    /// Everything up to this sequence is written.
    pub(super) fn acked(&mut self, last_sequence: i32) {
        self.last_acked = self.last_acked.max(last_sequence);
    }

    /// A batch that may be on the broker expired.
    pub(super) fn mark_unresolved(&mut self, last_sequence: i32) {
        let next = last_sequence.saturating_add(1);
        self.unresolved = Some(self.unresolved.map_or(next, |known| known.max(next)));
    }

    /// Whether a batch may be sent again after this answer, as far as sequences are concerned;
    /// raises `bump` (and marks this partition) if the epoch has to be raised first.
    pub(super) fn can_retry(
        &mut self,
        error: ErrorCode,
        base_sequence: i32,
        sequence_reset: bool,
        bump: &mut bool,
    ) -> bool {
        match error {
            ErrorCode::UnknownProducerId => {
                // The broker has no state left for this producer: start again under a new epoch.
                if !sequence_reset {
                    self.request_bump(bump);
                }
                true
            }
            ErrorCode::OutOfOrderSequenceNumber => {
                let in_turn = !sequence_reset && self.is_next(base_sequence);
                let gap = match self.unresolved {
                    // Not in turn: an earlier batch failed, and this one follows it again.
                    None => in_turn,
                    Some(next) => base_sequence == next,
                };
                if gap {
                    self.request_bump(bump);
                }
                true
            }
            other => other.retriable(),
        }
    }

    /// The same in a transaction, which an abort gives sequences of its own: a batch that is not in
    /// turn follows the earlier one again, and a gap is for the transaction to abort.
    pub(super) fn can_retry_in_transaction(
        &self,
        error: ErrorCode,
        base_sequence: i32,
        sequence_reset: bool,
    ) -> bool {
        let settled = self.unresolved.is_none();
        match error {
            ErrorCode::UnknownProducerId => sequence_reset,
            ErrorCode::OutOfOrderSequenceNumber => {
                settled && (sequence_reset || !self.is_next(base_sequence))
            }
            other => other.retriable(),
        }
    }

    /// The epoch has to be raised because of this partition.
    pub(super) fn request_bump(&mut self, bump: &mut bool) {
        self.rewrite = true;
        *bump = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_out_of_order_answer_is_a_gap_only_for_the_batch_in_turn() {
        let check = |last_acked, unresolved, base_sequence, reset, bumps| {
            let mut sequences = Sequences {
                last_acked,
                unresolved,
                ..Sequences::default()
            };
            let mut bump = false;
            let error = ErrorCode::OutOfOrderSequenceNumber;
            assert!(sequences.can_retry(error, base_sequence, reset, &mut bump));
            assert_eq!(bump, bumps, "{last_acked} {unresolved:?} {base_sequence}");
        };
        check(-1, None, 0, false, true);
        check(-1, None, 1, false, false);
        check(4, None, 5, false, true);
        check(4, None, 7, false, false);
        check(4, None, 5, true, false);
        check(4, Some(7), 7, false, true);
        check(4, Some(7), 9, false, false);
        check(i32::MAX, None, 0, false, true);
    }

    #[test]
    fn in_a_transaction_only_a_batch_out_of_turn_follows_the_earlier_one() {
        let check = |error, last_acked, unresolved, base_sequence, expected| {
            let sequences = Sequences {
                last_acked,
                unresolved,
                ..Sequences::default()
            };
            let found = sequences.can_retry_in_transaction(error, base_sequence, false);
            assert_eq!(found, expected, "{error} {last_acked} {base_sequence}");
        };
        check(ErrorCode::OutOfOrderSequenceNumber, 4, None, 7, true);
        check(ErrorCode::OutOfOrderSequenceNumber, 4, None, 5, false);
        check(ErrorCode::OutOfOrderSequenceNumber, 4, Some(7), 9, false);
        check(ErrorCode::UnknownProducerId, -1, None, 0, false);
        check(ErrorCode::NotEnoughReplicas, -1, None, 0, true);
        check(ErrorCode::InvalidProducerEpoch, -1, None, 0, false);
    }

    #[test]
    fn only_retriable_errors_are_retried() {
        let check = |error, retries| {
            let mut bump = false;
            let got = Sequences::default().can_retry(error, 0, false, &mut bump);
            assert_eq!((got, bump), (retries, false), "{error}");
        };
        check(ErrorCode::NotLeaderOrFollower, true);
        check(ErrorCode::NotEnoughReplicasAfterAppend, true);
        check(ErrorCode::MessageTooLarge, false);
        check(ErrorCode::InvalidProducerEpoch, false);
    }
}
