//! The states of a transaction and which may follow which.
//!
//! Follows `TransactionState`, `TransactionResult` and `TransactionVersion`.

use crate::kafka::rules::producer_append::TransactionVersion;
use crate::log::ControlMarker;

/// Where the transaction of a `transactional.id` stands.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
pub enum TransactionState {
    /// There was none yet since the producer initialised.
    Empty,
    /// Partitions were added; nothing is decided.
    Ongoing,
    /// The commit is decided; markers are on their way.
    PrepareCommit,
    /// The abort is decided; markers are on their way.
    PrepareAbort,
    /// All markers of the commit are written.
    CompleteCommit,
    /// All markers of the abort are written.
    CompleteAbort,
    /// The id has expired and is about to be forgotten.
    Dead,
    /// The producer is being fenced, its transaction will be aborted. Only ever pending.
    PrepareEpochFence,
}

impl TransactionState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// The name in the source, for example `PREPARE_COMMIT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "EMPTY",
            Self::Ongoing => "ONGOING",
            Self::PrepareCommit => "PREPARE_COMMIT",
            Self::PrepareAbort => "PREPARE_ABORT",
            Self::CompleteCommit => "COMPLETE_COMMIT",
            Self::CompleteAbort => "COMPLETE_ABORT",
            Self::Dead => "DEAD",
            Self::PrepareEpochFence => "PREPARE_EPOCH_FENCE",
        }
    }

    /// The states from which this one may be entered (`validPreviousStates`).
    pub fn valid_previous(self) -> &'static [Self] {
        match self {
            Self::Empty | Self::Dead => &[Self::Empty, Self::CompleteCommit, Self::CompleteAbort],
            Self::Ongoing => &[
                Self::Ongoing,
                Self::Empty,
                Self::CompleteCommit,
                Self::CompleteAbort,
            ],
            Self::PrepareCommit | Self::PrepareEpochFence => &[Self::Ongoing],
            // From the settled states only since transaction version 2: a client that does not know
            // whether its transaction began may abort it.
            Self::PrepareAbort => &[
                Self::Ongoing,
                Self::PrepareEpochFence,
                Self::Empty,
                Self::CompleteCommit,
                Self::CompleteAbort,
            ],
            Self::CompleteCommit => &[Self::PrepareCommit],
            Self::CompleteAbort => &[Self::PrepareAbort],
        }
    }

    /// Whether an id in this state may expire.
    pub fn expiration_allowed(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::CompleteCommit | Self::CompleteAbort
        )
    }

    /// Whether an end is decided and its markers are being written.
    pub fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum TransactionResult {
    /// Its records become visible to `read_committed`.
    Commit,
    /// Its records never do.
    Abort,
}

impl TransactionResult {
    /// The state in which this end is decided.
    pub fn prepare(self) -> TransactionState {
        match self {
            Self::Commit => TransactionState::PrepareCommit,
            Self::Abort => TransactionState::PrepareAbort,
        }
    }

    /// The state in which this end is complete.
    pub fn complete(self) -> TransactionState {
        match self {
            Self::Commit => TransactionState::CompleteCommit,
            Self::Abort => TransactionState::CompleteAbort,
        }
    }

    /// What the marker says.
    pub fn marker(self) -> ControlMarker {
        match self {
            Self::Commit => ControlMarker::Commit,
            Self::Abort => ControlMarker::Abort,
        }
    }

    /// The end that a state has decided or completed.
    pub fn of_state(state: TransactionState) -> Option<Self> {
        [Self::Commit, Self::Abort]
            .into_iter()
            .find(|it| it.prepare() == state || it.complete() == state)
    }
}

/// Whether a client of this transaction version gets a new epoch with every EndTxn (KIP-890).
pub fn supports_epoch_bump(version: TransactionVersion) -> bool {
    version >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_state_can_be_entered_and_left_but_the_last() {
        let names: BTreeSet<_> = TransactionState::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), TransactionState::ALL.len());
        for state in TransactionState::ALL {
            assert!(!state.valid_previous().is_empty(), "{state:?}");
            let left = TransactionState::ALL
                .iter()
                .any(|next| next.valid_previous().contains(&state));
            assert_eq!(left, state != TransactionState::Dead, "{state:?}");
        }
    }

    #[test]
    fn an_end_is_decided_before_it_is_complete() {
        for end in [TransactionResult::Commit, TransactionResult::Abort] {
            assert_eq!(end.complete().valid_previous(), [end.prepare()]);
            assert_eq!(TransactionResult::of_state(end.prepare()), Some(end));
            assert_eq!(TransactionResult::of_state(end.complete()), Some(end));
        }
        assert_eq!(
            TransactionResult::of_state(TransactionState::Ongoing),
            None,
            "nothing is decided"
        );
    }
}
