//! What the consumer keeps for one assigned partition.

use crate::kafka::config::OffsetReset;
use crate::kafka::error::ErrorCode;
use crate::kafka::rules::position::PartitionPosition;
use crate::kernel::Nanos;
use crate::log::EpochEnd;
use serde::Serialize;

/// Why a consumer without reset policy stopped at a partition: what `poll()` threw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Stopped {
    /// There is no position to start from (`NoOffsetForPartitionException`).
    NoPosition,
    /// The position is outside the log (`OffsetOutOfRangeException`).
    OutOfRange,
    /// The log was truncated below the position (`LogTruncationException`); with where the logs
    /// part, if known.
    Truncated(Option<EpochEnd>),
}

/// State of an assigned partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Assigned {
    /// Where it reads.
    pub(super) position: PartitionPosition,
    /// The group's committed offset for it is still to come; the membership knows that too.
    #[serde(skip)]
    pub(super) awaits_offset: bool,
    /// A reconciliation is about to give it up: nothing is fetched or handed out; the membership
    /// knows that too.
    #[serde(skip)]
    pub(super) revoking: bool,
    /// A lookup of its position is under way.
    pub(super) asking: bool,
    /// Nothing is asked for it before this, ns.
    pub(super) not_before: Nanos,
    /// It brought records since the last fetch was sent.
    pub(super) served: bool,
    /// High watermark in the last response, -1 before the first.
    pub(super) high_watermark: i64,
    /// Last stable offset in the last response, -1 before the first.
    pub(super) last_stable_offset: i64,
    /// Log start in the last response, -1 before the first.
    pub(super) log_start_offset: i64,
    /// The last error that concerned it.
    pub(super) last_error: Option<ErrorCode>,
    /// The application was told of a position that is no good, and reads it no more.
    pub(super) stopped: Option<Stopped>,
}

impl Assigned {
    pub(super) fn new(policy: OffsetReset) -> Self {
        Assigned {
            position: PartitionPosition::new(policy),
            awaits_offset: false,
            revoking: false,
            asking: false,
            not_before: 0,
            served: false,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            last_error: None,
            stopped: None,
        }
    }

    /// Whether records of it may be fetched now.
    pub(super) fn may_fetch(&self, now: Nanos) -> bool {
        self.may_ask(now) && !self.revoking
    }

    /// Whether something may be asked for it now.
    pub(super) fn may_ask(&self, now: Nanos) -> bool {
        !self.asking && self.stopped.is_none() && self.not_before <= now
    }

    /// The offset of its position, -1 for none.
    pub(super) fn offset(&self) -> i64 {
        self.position.position().map_or(-1, |it| it.offset)
    }
}
