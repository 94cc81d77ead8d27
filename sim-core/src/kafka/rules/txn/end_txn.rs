//! EndTxn: may this producer end this transaction this way, and with which epoch does it go on?
//!
//! Follows `TransactionCoordinator.endTransaction` (versions 2 and up) and `endTransactionWithTV1`.
//! The whole table for version 2, where e is the epoch in the log, "retry" a request of e-1 whose
//! answer was lost, and any other epoch PRODUCER_FENCED:
//!
//! | state          | commit, e         | commit, retry           | abort, e          | abort, retry            |
//! |----------------|-------------------|-------------------------|-------------------|-------------------------|
//! | Ongoing        | prepared          | PRODUCER_FENCED         | prepared          | PRODUCER_FENCED         |
//! | Empty          | INVALID_TXN_STATE | PRODUCER_FENCED         | prepared, empty   | PRODUCER_FENCED         |
//! | PrepareCommit  | PRODUCER_FENCED   | CONCURRENT_TRANSACTIONS | PRODUCER_FENCED   | INVALID_TXN_STATE       |
//! | PrepareAbort   | PRODUCER_FENCED   | INVALID_TXN_STATE       | PRODUCER_FENCED   | CONCURRENT_TRANSACTIONS |
//! | CompleteCommit | INVALID_TXN_STATE | NONE                    | prepared, empty   | INVALID_TXN_STATE       |
//! | CompleteAbort  | INVALID_TXN_STATE | INVALID_TXN_STATE       | prepared, empty   | NONE                    |
//!
//! Up to version 1 only the epoch of the log is accepted; then the answer depends on the state
//! alone, and a repeated end is answered like the first.

use super::metadata::TransactionMetadata;
use super::state::{TransactionResult, TransactionState, supports_epoch_bump};
use super::transit::TxnTransit;
use crate::kafka::error::ErrorCode;
use crate::kafka::rules::producer_append::TransactionVersion;

/// A request to end a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct EndTxn {
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Which end.
    pub result: TransactionResult,
    /// Transaction version of the client; of the server, when the coordinator asks itself.
    pub version: TransactionVersion,
    /// Asked by a client, not by the coordinator that fences one.
    pub from_client: bool,
}

/// What to do with an EndTxn that was not refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndDecision {
    /// The transaction has ended this way already: answer with this producer id and epoch.
    AlreadyEnded(i64, i16),
    /// Write this; then answer and send the markers, see [`prepare_markers`].
    Prepare(TxnTransit),
}

/// How the epoch of a request relates to the one in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// The coordinator is fencing the producer.
    fences: bool,
    /// The request is a retry: its end has raised the epoch.
    retry_on_bump: bool,
    /// The request is a retry: its end has brought in a new producer id.
    retry_on_overflow: bool,
    /// The epoch may be used in this state.
    valid_epoch: bool,
}

impl Standing {
    fn of(metadata: &TransactionMetadata, request: &EndTxn) -> Self {
        let now = &metadata.current;
        let (known, epoch) = (now.producer_epoch, request.producer_epoch);
        let fences = metadata.pending == Some(TransactionState::PrepareEpochFence);
        let same = epoch == known;
        let strict = (!request.from_client || same) && epoch >= known;
        if !supports_epoch_bump(request.version) || fences {
            return Self {
                fences,
                retry_on_bump: false,
                retry_on_overflow: false,
                valid_epoch: strict,
            };
        }
        let retry_on_bump = i32::from(known) == i32::from(epoch) + 1;
        let retry_on_overflow =
            now.prev_producer_id == request.producer_id && epoch == i16::MAX - 1 && known == 0;
        let valid_epoch = match now.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => retry_on_bump,
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                retry_on_bump || retry_on_overflow || same
            }
            _ => same,
        };
        Self {
            fences,
            retry_on_bump,
            retry_on_overflow,
            valid_epoch,
        }
    }

    fn is_retry(self) -> bool {
        self.retry_on_bump || self.retry_on_overflow
    }
}

/// Decides an EndTxn. `new_id` gives a fresh producer id, and is asked only when the epochs are
/// used up.
pub fn end_txn(
    metadata: &mut TransactionMetadata,
    request: &EndTxn,
    now_ms: i64,
    new_id: impl FnOnce() -> Result<i64, ErrorCode>,
) -> Result<EndDecision, ErrorCode> {
    let standing = Standing::of(metadata, request);
    let now = &metadata.current;
    if now.producer_id != request.producer_id && !standing.retry_on_overflow {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if !standing.valid_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    if metadata.pending.is_some() && !standing.fences {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let bumps = supports_epoch_bump(request.version);
    let state = metadata.state();
    let same_end = TransactionResult::of_state(state) == Some(request.result);
    let settled = EndDecision::AlreadyEnded(now.producer_id, now.producer_epoch);
    match state {
        TransactionState::Ongoing => prepare_end(metadata, request, standing, now_ms, new_id),
        TransactionState::PrepareCommit | TransactionState::PrepareAbort if same_end => {
            Err(ErrorCode::ConcurrentTransactions)
        }
        TransactionState::CompleteCommit | TransactionState::CompleteAbort
            if same_end && (standing.is_retry() || !bumps) =>
        {
            Ok(settled)
        }
        // A client of version 2 does not know whether its transaction has begun at the coordinator,
        // so an abort of none is allowed. It raises the epoch like any other end.
        _ if state.expiration_allowed()
            && bumps
            && !standing.is_retry()
            && request.result == TransactionResult::Abort =>
        {
            prepare_end(metadata, request, standing, now_ms, new_id)
        }
        TransactionState::Dead | TransactionState::PrepareEpochFence => {
            Err(ErrorCode::UnknownServerError)
        }
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

fn prepare_end(
    metadata: &mut TransactionMetadata,
    request: &EndTxn,
    standing: Standing,
    now_ms: i64,
    new_id: impl FnOnce() -> Result<i64, ErrorCode>,
) -> Result<EndDecision, ErrorCode> {
    let bumps = supports_epoch_bump(request.version);
    let rotates = bumps && !standing.fences && metadata.is_producer_epoch_exhausted();
    let next_producer_id = if rotates { new_id()? } else { -1 };
    if standing.fences {
        metadata.pending = None;
        if !bumps {
            // Version 2 raises the epoch with the end itself; up to version 1 this is the fence.
            metadata.current.producer_epoch = request.producer_epoch;
            metadata.current.last_producer_epoch = -1;
        }
    }
    let no_partition_added = metadata.state() != TransactionState::Ongoing;
    let mut next = metadata.prepare_abort_or_commit(
        request.result.prepare(),
        request.version,
        next_producer_id,
        no_partition_added,
        now_ms,
    )?;
    next.epoch_fence = standing.fences;
    Ok(EndDecision::Prepare(next))
}

/// The decision is in the log: prepares the completion, which is written when every partition of
/// the transaction has its marker. The markers carry the producer id and epoch that the metadata
/// has now.
pub fn prepare_markers(
    metadata: &mut TransactionMetadata,
    request: &EndTxn,
    now_ms: i64,
) -> Result<TxnTransit, ErrorCode> {
    let now = &metadata.current;
    let (known, epoch) = (now.producer_epoch, request.producer_epoch);
    let bumped = supports_epoch_bump(request.version) && i32::from(known) == i32::from(epoch) + 1;
    if now.producer_id != request.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if known != epoch && !bumped {
        return Err(ErrorCode::ProducerFenced);
    }
    if metadata.pending.is_some() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    if metadata.state() != request.result.prepare() {
        return Err(ErrorCode::InvalidTxnState);
    }
    Ok(metadata.prepare_complete(now_ms)?)
}
