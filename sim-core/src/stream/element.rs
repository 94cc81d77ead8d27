//! What flows between the subtasks of a job: records, watermarks and the status of a stream.
//!
//! Follows `StreamElement` of Flink 2.x (`StreamRecord`, `Watermark`, `WatermarkStatus`). Values are
//! whole numbers, since the job's functions work on numbers. Barriers are no elements here: they
//! stand between buffers (`rules::barrier::channel::Item`). Left out: latency markers, record
//! attributes, and records that span two buffers.

use super::rules::assigner::Window;
use super::rules::join::RowKind;
use super::rules::pane::Timing;
use super::rules::window::aggregate::Value;
use serde::{Deserialize, Serialize};

/// A key, by its number in the job's table of keys ([`super::spec::Keys`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Key(pub u32);

/// The timestamp of a record that has none (`Long.MIN_VALUE`).
pub const NO_TIMESTAMP: i64 = i64::MIN;

/// Which record of a source another goes back to: (operator, split, offset).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The source, by its number in the job.
    pub source: u16,
    /// The split.
    pub split: u16,
    /// The record's number in the split, from 0.
    pub offset: u64,
}

/// A record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The key, as the last operator that gave it one did.
    pub key: Key,
    /// Its event time, ms, or [`NO_TIMESTAMP`].
    pub timestamp: i64,
    /// What it says.
    pub value: Value,
    /// The other side's value, in what a join puts out.
    pub right: Option<Value>,
    /// What a row of a changelog does.
    pub kind: RowKind,
    /// The window that it is the result of.
    pub window: Option<Window>,
    /// When that window said it, seen from its end. It decides nothing.
    #[serde(skip)]
    pub timing: Option<Timing>,
    /// The newest source record it goes back to. It decides nothing; the stage and the ledger ask.
    pub origin: Origin,
}

/// An element of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Element {
    /// A record.
    Record(Record),
    /// No record with this time (ms) or an older one comes after this.
    Watermark(i64),
    /// Whether the stream is active; an idle one holds no watermark back.
    Status {
        /// `WatermarkStatus.ACTIVE`.
        active: bool,
    },
}

/// A network buffer's elements. Shared: buffers are also kept by senders and by checkpoints.
pub type Buffer = std::sync::Arc<Vec<Element>>;
