//! The window operator: which elements come together, when a window speaks, and when it is forgotten.
//!
//! Follows Flink's `WindowOperator` and `EvictingWindowOperator` with `MergingWindowSet`, the
//! triggers and the evictors. The merging of windows and the aggregates serve Beam's panes
//! ([`super::pane`]) too. Left out: state per window and global state of a `ProcessWindowFunction`.

pub mod aggregate;
pub mod evictor;
pub mod machine;
pub mod merging;
pub mod operator;
pub mod trigger;

#[cfg(test)]
mod tests;
