//! What a job does about failures, as rules: restarts, checkpoints that fail or wait, sinks that
//! commit in two phases.
//!
//! Follows Flink 2.x and its Kafka connector. Each rule is plain state that is told what happened
//! and answers what is to be done; times are milliseconds.

pub mod buffer_debloat;
pub mod checkpoint_failures;
pub mod checkpoint_trigger;
pub mod kafka_sink;
pub mod restart;
pub mod transactional_ids;
pub mod two_phase;

/// Fractions (multipliers, jitter, ratios) are given in so many parts of one.
pub const MILLION: i64 = 1_000_000;
