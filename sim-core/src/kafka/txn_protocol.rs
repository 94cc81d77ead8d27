//! The messages of transactions: between producers, coordinators and the leaders of partitions.
//!
//! Names follow `clients/src/main/resources/common/message/*.json`; one version of each, with one
//! transaction per request. A Produce with a transactional id is here, so that plain ones stay as
//! small as they are. Reduced: `transaction.version` travels with the answer to InitProducerId
//! instead of that to ApiVersions. The record of `__transaction_state` is here too
//! (`TransactionLogKey/Value`).

use super::error::ErrorCode;
use super::group_protocol::CommittedOffset;
use super::ids::{BrokerId, TopicPartition};
use super::protocol::Acks;
use super::rules::classic_group::Name;
use super::rules::producer_append::TransactionVersion;
use super::rules::txn::{TransactionResult, TxnTransit};
use crate::log::Batch;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The topic in which coordinators keep transactions.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// A `transactional.id`.
pub type TransactionalId = Arc<str>;

/// Requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum TxnRequest {
    /// To any broker: who coordinates this transactional id?
    FindCoordinator { id: TransactionalId },
    /// `producer` is the id and epoch of a producer that goes on after an error (KIP-360).
    InitProducerId {
        id: TransactionalId,
        timeout_ms: i32,
        producer: Option<(i64, i16)>,
    },
    /// Of a producer up to version 1; of a leader that verifies, or adds (from version 2 on).
    AddPartitionsToTxn {
        id: TransactionalId,
        producer: (i64, i16),
        partitions: Vec<TopicPartition>,
        verify_only: bool,
        version: TransactionVersion,
    },
    EndTxn {
        id: TransactionalId,
        producer: (i64, i16),
        result: TransactionResult,
        version: TransactionVersion,
    },
    /// Of a coordinator to the leader of partitions.
    WriteTxnMarkers {
        producer: (i64, i16),
        coordinator_epoch: i32,
        result: TransactionResult,
        version: TransactionVersion,
        partitions: Vec<TopicPartition>,
    },
    /// To any broker: who coordinates this group?
    FindGroupCoordinator { group: Name },
    /// Of a producer up to version 1, before it sends offsets.
    AddOffsetsToTxn {
        id: TransactionalId,
        producer: (i64, i16),
        group: Name,
        version: TransactionVersion,
    },
    /// To the coordinator of the group.
    TxnOffsetCommit(Box<TxnOffsetCommit>),
    /// Answered like any other Produce.
    Produce {
        id: TransactionalId,
        version: TransactionVersion,
        acks: Acks,
        timeout_ms: i64,
        batches: Vec<(TopicPartition, Batch)>,
    },
}

/// Responses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum TxnResponse {
    FindCoordinator {
        error: ErrorCode,
        node: BrokerId,
    },
    InitProducerId {
        error: ErrorCode,
        producer: (i64, i16),
        /// The finalised `transaction.version`.
        version: TransactionVersion,
    },
    AddPartitionsToTxn {
        partitions: Vec<(TopicPartition, ErrorCode)>,
    },
    /// With the id and epoch by which the producer goes on.
    EndTxn {
        error: ErrorCode,
        producer: (i64, i16),
    },
    WriteTxnMarkers {
        partitions: Vec<(TopicPartition, ErrorCode)>,
    },
    AddOffsetsToTxn {
        error: ErrorCode,
    },
    /// One outcome for all partitions.
    TxnOffsetCommit {
        error: ErrorCode,
    },
}

/// Offsets that count once the transaction is committed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub struct TxnOffsetCommit {
    pub id: TransactionalId,
    pub group: Name,
    pub producer: (i64, i16),
    pub version: TransactionVersion,
    pub member_id: Name,
    pub instance_id: Option<Name>,
    /// -1 of whoever is no member.
    pub generation: i32,
    pub offsets: Vec<CommittedOffset>,
}

/// A record of `__transaction_state`; `None` is a tombstone.
pub type TransactionRecord = (TransactionalId, Option<TxnTransit>);

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Stored(String, Option<TxnTransit>);

/// The bytes of a record.
#[must_use]
pub fn encode((id, value): &TransactionRecord) -> Option<Vec<u8>> {
    let stored = Stored(id.as_ref().to_owned(), value.clone());
    postcard::to_allocvec(&stored).ok()
}

/// The record of bytes; `None` for what cannot be read.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<TransactionRecord> {
    let Stored(id, value) = postcard::from_bytes(bytes).ok()?;
    Some((id.into(), value))
}

impl TxnRequest {
    /// The API's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FindCoordinator { .. } => "FindCoordinator",
            Self::InitProducerId { .. } => "InitProducerId",
            Self::AddPartitionsToTxn { .. } => "AddPartitionsToTxn",
            Self::EndTxn { .. } => "EndTxn",
            Self::WriteTxnMarkers { .. } => "WriteTxnMarkers",
            Self::FindGroupCoordinator { .. } => "FindCoordinator",
            Self::AddOffsetsToTxn { .. } => "AddOffsetsToTxn",
            Self::TxnOffsetCommit(_) => "TxnOffsetCommit",
            Self::Produce { .. } => "Produce",
        }
    }

    /// Bytes of its payload.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Produce { batches, .. } => batches
                .iter()
                .map(|(_, batch)| u64::from(batch.bytes))
                .sum(),
            _ => 0,
        }
    }
}

impl TxnResponse {
    /// The API's name with `Response`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FindCoordinator { .. } => "FindCoordinatorResponse",
            Self::InitProducerId { .. } => "InitProducerIdResponse",
            Self::AddPartitionsToTxn { .. } => "AddPartitionsToTxnResponse",
            Self::EndTxn { .. } => "EndTxnResponse",
            Self::WriteTxnMarkers { .. } => "WriteTxnMarkersResponse",
            Self::AddOffsetsToTxn { .. } => "AddOffsetsToTxnResponse",
            Self::TxnOffsetCommit { .. } => "TxnOffsetCommitResponse",
        }
    }
}
