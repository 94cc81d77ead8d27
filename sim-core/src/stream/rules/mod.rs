//! The rules of event time, windows and keyed state as pure functions and plain state.
//!
//! Times are milliseconds. [`NO_WATERMARK`] is the watermark before any, [`FINAL_WATERMARK`] the one
//! after which nothing comes.

pub mod assigner;
pub mod autoscaler;
pub mod barrier;
pub mod external_sort;
pub mod fault;
pub mod join;
pub mod key_group;
pub mod lsm;
pub mod pane;
pub mod recovery_line;
pub mod serializer;
pub mod watermark;
pub mod watermark_alignment;
pub mod watermark_combine;
pub mod watermark_valve;
pub mod window;

/// `Long.MIN_VALUE`: there is no watermark yet.
pub const NO_WATERMARK: i64 = i64::MIN;
/// `Long.MAX_VALUE`: the input has ended.
pub const FINAL_WATERMARK: i64 = i64::MAX;
