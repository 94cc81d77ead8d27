//! A stream processor, by the rules of Apache Flink 2.x.
//!
//! So far the rules by themselves: key groups, watermarks, windows, joins. No job runs on them yet.

pub mod rules;
