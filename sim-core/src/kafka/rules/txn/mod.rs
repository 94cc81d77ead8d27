//! Transactions: what the transaction coordinator knows of a `transactional.id`, and what it
//! decides.
//!
//! Follows `TransactionState`, `TransactionMetadata`, `TransactionCoordinator` and the parts of
//! `TransactionStateManager` that decide something (KIP-98, KIP-360, KIP-890). A decision names the
//! transition to write; it counts once that is in the log and replicated, which is the caller's
//! business ([`TransactionMetadata::complete_transition`], [`TransactionMetadata::append_failed`]).
//! What the markers do to a partition is in [`producer_state`](super::producer_state). Left out:
//! two-phase commit with an outside coordinator (KIP-939), listing and describing transactions.

mod coordinator;
mod end_txn;
mod manager;
mod metadata;
mod state;
#[cfg(test)]
mod tests;
mod transit;

pub use coordinator::{
    AddDecision, InitDecision, InitProducerId, TransactionConfig, abort_timed_out, add_partitions,
    append_error, init_producer_id, partition_for, verification_error, verify_partitions,
};
pub use end_txn::{EndDecision, EndTxn, end_txn, prepare_markers};
pub use manager::{MarkerWork, TransactionStateManager, TxnWrite};
pub use metadata::{IllegalTransition, TransactionMetadata, is_epoch_exhausted};
pub use state::{TransactionResult, TransactionState, supports_epoch_bump};
pub use transit::TxnTransit;
