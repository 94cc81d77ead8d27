//! A stream processor, by the rules of Apache Flink 2.x.
//!
//! So far the rules by themselves: key groups, watermarks, windows, joins, checkpoint barriers, what a
//! job does about failures. No job runs on them yet.

pub mod rules;
