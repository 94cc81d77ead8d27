//! The replicated log as a data structure: records, batches, segments, leader epochs, retention.
//!
//! It follows `UnifiedLog`, `LocalLog`, `LogSegment` and `LeaderEpochFileCache` of Apache Kafka's
//! storage module. It knows no broker, no network and no clock: whoever owns a log hands in the
//! time. Producer state, transactions and the choice of what compaction removes sit above it, in
//! [`crate::kafka::rules`].
//!
//! Left out: compression, message format versions, log directories.

mod batch;
mod batch_list;
mod compaction;
mod config;
mod epoch_cache;
mod index;
#[allow(clippy::module_inception)]
mod log;
mod record;
mod retention;
mod segment;
mod tier;

pub use batch::{Batch, ControlMarker, ProducerStamp, Values};
pub use batch_list::BatchList;
pub use config::{CleanupPolicy, LogConfig, TierConfig};
pub use epoch_cache::{EpochEnd, EpochEntry, LeaderEpochCache, NO_EPOCH, NO_OFFSET};
pub use index::{OFFSET_ENTRY_BYTES, OffsetEntry, SegmentIndex, TIME_ENTRY_BYTES, TimeEntry};
pub use log::{AppendError, AppendInfo, Log, OutOfRange};
pub use record::{KeyId, LogRecord, Record, RecordId};
pub use retention::{Deleted, DeletionReason};
pub use segment::{Segment, SegmentView};
pub use tier::RemoteSegments;
