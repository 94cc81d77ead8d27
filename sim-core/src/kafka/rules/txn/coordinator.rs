//! What the transaction coordinator decides besides the end of a transaction: producer ids and
//! epochs, partitions of a transaction, their verification, timeouts.
//!
//! Follows `TransactionCoordinator`, `TransactionStateManager` and `AddPartitionsToTxnManager`.
//! A caller that finds no metadata for an id answers INVALID_PRODUCER_ID_MAPPING, but to
//! InitProducerId, which makes it ([`TransactionMetadata::new`]).

use super::end_txn::{EndDecision, EndTxn, end_txn};
use super::metadata::{TransactionMetadata, is_epoch_exhausted};
use super::state::{TransactionResult, TransactionState};
use super::transit::TxnTransit;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::rules::producer_append::TransactionVersion;
use std::collections::{BTreeMap, BTreeSet};

/// Settings of a coordinator, spans in ms.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_timed_out_interval_ms: i64,
    /// `transactional.id.expiration.ms`.
    pub transactional_id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub remove_expired_interval_ms: i64,
    /// `transaction.version`, the finalised feature.
    pub version: TransactionVersion,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            abort_timed_out_interval_ms: 10_000,
            transactional_id_expiration_ms: 7 * 86_400_000,
            remove_expired_interval_ms: 3_600_000,
            version: 2,
        }
    }
}

impl TransactionConfig {
    /// Whether a producer may ask for this `transaction.timeout.ms`.
    pub fn check_timeout(&self, timeout_ms: i32) -> Result<(), ErrorCode> {
        if timeout_ms > 0 && timeout_ms <= self.max_timeout_ms {
            Ok(())
        } else {
            Err(ErrorCode::InvalidTransactionTimeout)
        }
    }
}

/// The partition of `__transaction_state` that leads a transactional id: `Utils.abs` of Java's
/// `String.hashCode`, modulo.
pub fn partition_for(transactional_id: &str, partitions: u16) -> u16 {
    let hash = transactional_id.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Utils.abs of the smallest integer is 0.
    let hash = hash.checked_abs().unwrap_or(0).unsigned_abs();
    let partition = hash.checked_rem(u32::from(partitions)).unwrap_or(0);
    // Below `partitions`, which is 16 bits wide.
    partition as u16
}

/// InitProducerId with a transactional id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitProducerId {
    /// `transaction.timeout.ms`.
    pub timeout_ms: i32,
    /// Producer id and epoch of a producer that goes on after an error (KIP-360).
    pub expected: Option<(i64, i16)>,
}

/// What to do with an InitProducerId that was not refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InitDecision {
    /// Write this, then answer with its producer id and epoch.
    Initialise(TxnTransit),
    /// A transaction was open: write its abort, send the markers, and answer
    /// CONCURRENT_TRANSACTIONS, so that the producer asks again.
    AbortOngoing(EndTxn, TxnTransit),
}

/// Decides an InitProducerId. `server_version` is the finalised `transaction.version`; `new_id`
/// gives a fresh producer id.
pub fn init_producer_id(
    metadata: &mut TransactionMetadata,
    request: &InitProducerId,
    server_version: TransactionVersion,
    now_ms: i64,
    new_id: impl FnOnce() -> Result<i64, ErrorCode>,
) -> Result<InitDecision, ErrorCode> {
    if metadata.pending.is_some() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let now = &metadata.current;
    if let Some((id, epoch)) = request.expected {
        // The id of before counts when its epochs are used up: the answer that brought the new one
        // may have been lost.
        let rotated = id == now.prev_producer_id && is_epoch_exhausted(epoch);
        if now.producer_epoch != -1 && id != now.producer_id && !rotated {
            return Err(ErrorCode::ProducerFenced);
        }
    }
    let expected_epoch = request.expected.map(|(_, epoch)| epoch);
    match metadata.state() {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
            Err(ErrorCode::ConcurrentTransactions)
        }
        TransactionState::Empty
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => {
            let is_current = expected_epoch.is_none_or(|epoch| epoch == now.producer_epoch);
            let timeout_ms = request.timeout_ms;
            let next = if metadata.is_producer_epoch_exhausted() && is_current {
                let record_last = expected_epoch.is_some();
                let id = new_id()?;
                metadata.prepare_producer_id_rotation(id, timeout_ms, record_last, now_ms)?
            } else {
                metadata.prepare_increment_epoch(timeout_ms, expected_epoch, now_ms)?
            };
            Ok(InitDecision::Initialise(next))
        }
        TransactionState::Ongoing => {
            let (end, next) = fence_and_abort(metadata, server_version, now_ms)?;
            Ok(InitDecision::AbortOngoing(end, next))
        }
        TransactionState::Dead | TransactionState::PrepareEpochFence => {
            Err(ErrorCode::UnknownServerError)
        }
    }
}

/// Fences the producer of an open transaction and decides its abort.
fn fence_and_abort(
    metadata: &mut TransactionMetadata,
    server_version: TransactionVersion,
    now_ms: i64,
) -> Result<(EndTxn, TxnTransit), ErrorCode> {
    let fence = metadata.prepare_fence_epoch()?;
    let request = EndTxn {
        producer_id: fence.producer_id,
        producer_epoch: fence.producer_epoch,
        result: TransactionResult::Abort,
        version: server_version,
        from_client: false,
    };
    // A fence never needs a new producer id: it may use the last epoch.
    let no_id = || Err(ErrorCode::UnknownServerError);
    match end_txn(metadata, &request, now_ms, no_id)? {
        EndDecision::Prepare(next) => Ok((request, next)),
        EndDecision::AlreadyEnded(..) => Err(ErrorCode::InvalidTxnState),
    }
}

/// A transaction that is open for longer than its timeout is aborted and its producer fenced.
/// `None` when its time is not up, or a transition is under way.
pub fn abort_timed_out(
    metadata: &mut TransactionMetadata,
    server_version: TransactionVersion,
    now_ms: i64,
) -> Option<Result<(EndTxn, TxnTransit), ErrorCode>> {
    let due = metadata.is_timed_out(now_ms);
    due.then(|| fence_and_abort(metadata, server_version, now_ms))
}

/// What to do with partitions that were not refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AddDecision {
    /// All of them belong to the transaction already.
    Present,
    /// Write this.
    Add(TxnTransit),
}

fn check_producer(
    metadata: &TransactionMetadata,
    producer_id: i64,
    producer_epoch: i16,
) -> Result<(), ErrorCode> {
    let now = &metadata.current;
    if now.producer_id != producer_id {
        Err(ErrorCode::InvalidProducerIdMapping)
    } else if now.producer_epoch != producer_epoch {
        Err(ErrorCode::ProducerFenced)
    } else {
        Ok(())
    }
}

/// Decides AddPartitionsToTxn (and AddOffsetsToTxn, whose partition is one of
/// `__consumer_offsets`).
pub fn add_partitions(
    metadata: &mut TransactionMetadata,
    producer: (i64, i16),
    partitions: &BTreeSet<TopicPartition>,
    version: TransactionVersion,
    now_ms: i64,
) -> Result<AddDecision, ErrorCode> {
    // First of all: the producer may use an id that the transition under way brings in (version 2).
    if metadata.pending.is_some() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    check_producer(metadata, producer.0, producer.1)?;
    if metadata.state().is_prepared() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let ongoing = metadata.state() == TransactionState::Ongoing;
    if ongoing && partitions.is_subset(&metadata.current.partitions) {
        return Ok(AddDecision::Present);
    }
    let next = metadata.prepare_add_partitions(partitions, version, now_ms)?;
    Ok(AddDecision::Add(next))
}

/// Whether each partition belongs to the transaction, asked by a broker before the first append
/// (KIP-890). Partitions that are being added do not count yet.
pub fn verify_partitions(
    metadata: &TransactionMetadata,
    producer: (i64, i16),
    partitions: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, ErrorCode>, ErrorCode> {
    check_producer(metadata, producer.0, producer.1)?;
    if metadata.state().is_prepared() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let answer = |tp: &TopicPartition| {
        let known = metadata.current.partitions.contains(tp);
        let error = if known {
            ErrorCode::None
        } else {
            ErrorCode::TransactionAbortable
        };
        (*tp, error)
    };
    Ok(partitions.iter().map(answer).collect())
}

/// What the producer of an append is told when its verification failed.
pub fn verification_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        // The producer shall try again; up to version 1 it knows none of these after a produce.
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        other => other,
    }
}

/// What a client is told when a transition could not be written.
pub fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::None => ErrorCode::None,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        _ => ErrorCode::UnknownServerError,
    }
}
