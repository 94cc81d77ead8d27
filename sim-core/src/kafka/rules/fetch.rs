//! What a replica checks before it serves a fetch, and a follower before it appends the answer.
//!
//! Follows `Partition.readRecords`, `Partition.checkCurrentLeaderEpoch` and
//! `Partition.fetchOffsetForTimestamp`. Fetch sessions and quotas are not here.

use crate::kafka::error::ErrorCode;
use crate::log::{Batch, EpochEnd, Log, LogRecord};
use std::sync::Arc;

/// Compares the leader epoch in a request with the replica's own. `None` (or a negative epoch)
/// comes from clients that know none, and passes.
pub fn check_leader_epoch(request_epoch: Option<i32>, local_epoch: i32) -> Result<(), ErrorCode> {
    match request_epoch {
        Some(epoch) if epoch >= 0 && epoch < local_epoch => Err(ErrorCode::FencedLeaderEpoch),
        Some(epoch) if epoch >= 0 && epoch > local_epoch => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// Whether a replica may serve a request at all: the epoch first, then the role.
///
/// Followers, produce requests and ordinary consumers need the leader. Only consumers that name
/// their rack (KIP-392) may fetch from a follower.
pub fn check_replica(
    request_epoch: Option<i32>,
    local_epoch: i32,
    is_leader: bool,
    leader_only: bool,
) -> Result<(), ErrorCode> {
    check_leader_epoch(request_epoch, local_epoch)?;
    if leader_only && !is_leader {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(())
}

/// The leader's divergence test: `Ok(Some(end))` when the fetcher's log is not a prefix of this
/// one, in which case the response carries `end` as diverging epoch and no data.
///
/// A fetch that diverges does not count as an acknowledgement: the leader must not update the
/// follower's state with it.
pub fn check_divergence<R: LogRecord>(
    log: &Log<R>,
    last_fetched_epoch: Option<i32>,
    fetch_offset: i64,
) -> Result<Option<EpochEnd>, ErrorCode> {
    let Some(fetched_epoch) = last_fetched_epoch.filter(|epoch| *epoch >= 0) else {
        return Ok(None);
    };
    let end = log.end_offset_for_epoch(fetched_epoch);
    if end.is_undefined() || fetch_offset < log.start_offset() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let diverges = end.epoch < fetched_epoch || end.end_offset < fetch_offset;
    Ok(diverges.then_some(end))
}

/// The batches a follower accepts: those up to the first whose epoch is above the one in its
/// request (KAFKA-18723). The rest will come again under the new epoch.
pub fn accepted_by_follower<R>(batches: &[Arc<Batch<R>>], request_epoch: i32) -> &[Arc<Batch<R>>] {
    let accepted = batches
        .iter()
        .take_while(|batch| batch.leader_epoch <= request_epoch)
        .count();
    batches.get(..accepted).unwrap_or(batches)
}

/// The high watermark a follower takes over from a response: never above its own log end. The log
/// keeps it from going below its start.
pub fn follower_high_watermark(leader_high_watermark: i64, log_end_offset: i64) -> i64 {
    leader_high_watermark.min(log_end_offset)
}

/// What a follower does when its fetch is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum FetchErrorAction {
    /// Stop fetching this partition until new metadata names a leader and an epoch.
    StopUntilMetadata,
    /// Try again after `replica.fetch.backoff.ms`.
    Retry,
    /// Ask the leader for its log start and end, then see
    /// [`on_out_of_range`](super::truncation::on_out_of_range).
    AskLeaderOffsets,
    /// Ask where the leader's local log starts, and start there (`TierStateMachine`).
    BuildFromRemote,
}

/// How a follower takes an error of its fetch (`AbstractFetcherThread.processFetchRequest`).
///
/// FENCED_LEADER_EPOCH means that the leader is on a newer epoch: the partition is marked failed
/// and waits for metadata. UNKNOWN_LEADER_EPOCH means that the leader is behind: retry.
pub fn on_fetch_error(error: ErrorCode) -> FetchErrorAction {
    match error {
        ErrorCode::FencedLeaderEpoch => FetchErrorAction::StopUntilMetadata,
        ErrorCode::OffsetOutOfRange => FetchErrorAction::AskLeaderOffsets,
        ErrorCode::OffsetMovedToTieredStorage => FetchErrorAction::BuildFromRemote,
        _ => FetchErrorAction::Retry,
    }
}

/// Who asks for offsets, which decides how far ListOffsets may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum OffsetView {
    /// A follower: up to the log end.
    Replica,
    /// A consumer with `read_uncommitted`: up to the high watermark.
    ReadUncommitted,
    /// A consumer with `read_committed`: up to the last stable offset.
    ReadCommitted,
}

/// ListOffsets for `latest`.
///
/// A new leader may hold an older high watermark than its predecessor announced. Until it reaches
/// the start of the leader's epoch, clients get a retriable error in place of an offset that would
/// run backwards (KIP-207).
pub fn latest_offset(
    view: OffsetView,
    log_end_offset: i64,
    high_watermark: i64,
    last_stable_offset: i64,
    leader_epoch_start_offset: Option<i64>,
) -> Result<i64, ErrorCode> {
    let lagging = leader_epoch_start_offset.is_some_and(|start| start > high_watermark);
    match view {
        OffsetView::Replica => Ok(log_end_offset),
        _ if lagging => Err(ErrorCode::OffsetNotAvailable),
        OffsetView::ReadUncommitted => Ok(high_watermark),
        OffsetView::ReadCommitted => Ok(last_stable_offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogConfig, ProducerStamp, Record, RecordId};

    fn batch(leader_epoch: i32) -> Batch {
        let record = Record {
            id: RecordId(0),
            key: None,
            offset_delta: 0,
            bytes: 1,
            timestamp_ms: 0,
            tombstone: false,
        };
        let mut batch = Batch::new(vec![record], ProducerStamp::NONE);
        batch.leader_epoch = leader_epoch;
        batch
    }

    #[test]
    fn a_follower_stops_at_the_first_newer_epoch() {
        let check = |epochs: &[i32], request_epoch, expect: usize| {
            let batches: Vec<_> = epochs.iter().map(|epoch| Arc::new(batch(*epoch))).collect();
            assert_eq!(
                accepted_by_follower(&batches, request_epoch).len(),
                expect,
                "{epochs:?}"
            );
        };
        check(&[3, 4, 5], 4, 2);
        check(&[5, 4], 4, 0);
        check(&[4, 4], 4, 2);
        check(&[], 4, 0);
    }

    #[test]
    fn an_empty_leader_log_with_epoch_sees_no_divergence_at_zero() {
        let mut log: Log = Log::new(LogConfig::default());
        log.assign_epoch_at_end(3);
        assert_eq!(check_divergence(&log, None, 0), Ok(None));
        assert_eq!(check_divergence(&log, Some(3), 0), Ok(None));
        let end = EpochEnd {
            epoch: 3,
            end_offset: 0,
        };
        assert_eq!(check_divergence(&log, Some(3), 1), Ok(Some(end)));
        assert_eq!(
            check_divergence(&log, Some(4), 0),
            Err(ErrorCode::OffsetOutOfRange)
        );
    }
}
