//! A transition of a transaction that is to be written: what the coordinator's log will hold.
//!
//! Follows `TxnTransitMetadata`, and with the id as key `TransactionLogValue`.

use super::state::TransactionState;
use crate::kafka::ids::TopicPartition;
use crate::kafka::rules::producer_append::TransactionVersion;
use std::collections::BTreeSet;

/// The values of a transaction after a transition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct TxnTransit {
    /// Producer id.
    pub producer_id: i64,
    /// Producer id before the transition; a retry may still name it.
    pub prev_producer_id: i64,
    /// Producer id that the completion will bring in, -1 for none.
    pub next_producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Producer epoch before the last bump that the producer asked for, -1 for none.
    pub last_producer_epoch: i16,
    /// `transaction.timeout.ms` of the producer.
    pub timeout_ms: i32,
    /// The state entered.
    pub state: TransactionState,
    /// Partitions of the transaction.
    pub partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, -1 for never.
    pub start_ms: i64,
    /// When the transition was decided.
    pub last_update_ms: i64,
    /// Transaction version of the client.
    pub client_version: TransactionVersion,
    /// Decided by the coordinator, to fence a producer.
    pub epoch_fence: bool,
}
