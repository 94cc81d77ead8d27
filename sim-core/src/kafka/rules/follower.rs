//! What a follower does with the leader's answer to its fetch.
//!
//! Follows `AbstractFetcherThread.processFetchRequest` and `ReplicaFetcherThread`: a diverging
//! answer truncates and does nothing else; data is appended, then high watermark and log start are
//! taken over.

use super::fetch::{accepted_by_follower, follower_high_watermark};
use super::partition_log::PartitionLog;
use super::truncation::{FollowerLog, Truncation, TruncationRule};
use crate::log::{AppendError, BatchList, EpochEnd, LogRecord};
use std::sync::Arc;

/// One partition of a fetch response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition<R> {
    /// Set when the follower's log is not a prefix of the leader's; then there is no data.
    pub diverging: Option<EpochEnd>,
    /// The leader's high watermark.
    pub high_watermark: i64,
    /// The leader's log start offset.
    pub log_start_offset: i64,
    /// The data.
    pub batches: BatchList<R>,
}

/// What came of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchApplied {
    /// The log was cut; fetch again from its end.
    Truncated(Truncation),
    /// Batches were appended (none if there was nothing new).
    Appended {
        /// How many.
        batches: u32,
        /// Base offset of the last segment opened on the way, if one was.
        rolled_at: Option<i64>,
    },
}

/// Applies a response to a request that named `request_epoch` as leader epoch.
pub fn apply_fetch_response<R: LogRecord>(
    log: &mut PartitionLog<R>,
    response: &FetchedPartition<R>,
    request_epoch: i32,
    rule: TruncationRule,
    now_ms: i64,
) -> Result<FetchApplied, AppendError> {
    if let Some(diverging) = response.diverging {
        let cut = rule.truncation_offset(diverging, &FollowerLog::of(log.log()));
        log.truncate_to(cut.offset, now_ms);
        return Ok(FetchApplied::Truncated(cut));
    }
    let mut batches = 0;
    let mut rolled_at = None;
    for batch in accepted_by_follower(&response.batches, request_epoch) {
        let info = log.append_as_follower(Arc::clone(batch), now_ms)?;
        rolled_at = info.rolled_at.or(rolled_at);
        batches += 1;
    }
    log.set_high_watermark(follower_high_watermark(
        response.high_watermark,
        log.log().leo(),
    ));
    if response.log_start_offset <= log.log().high_watermark() {
        log.maybe_increment_start_offset(response.log_start_offset);
    }
    Ok(FetchApplied::Appended { batches, rolled_at })
}
