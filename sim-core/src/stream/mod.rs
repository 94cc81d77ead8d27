//! A stream processor, by the rules of Apache Flink 2.x.
//!
//! [`rules`] decide (pure): key groups, watermarks, windows, joins, checkpoint barriers, what a job
//! does about failures. [`spec`] is a job as a scenario describes it, [`graph`] its execution graph;
//! [`protocol`] is what its machines say to each other.

pub mod clients;
pub mod cluster;
pub mod command;
pub mod config;
pub mod delivery;
pub mod element;
pub mod expected;
pub mod facts;
pub mod graph;
pub mod job;
pub mod jobmanager;
mod keys;
pub mod memory;
pub mod node;
pub mod note;
pub mod operator;
pub mod parts;
pub mod pieces;
pub mod positions;
pub mod probe;
pub mod protocol;
pub mod restored;
pub mod rows;
pub mod rules;
pub mod scenario;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod storage;
pub mod store;
pub mod summary;
pub mod task;
pub mod taskmanager;
#[cfg(test)]
mod testing;
pub mod view;
mod weight;
pub mod why;
mod why_scaled;
mod wire;

pub use node::{Order, StreamCx, Timer};
pub use note::Note;
pub use parts::Node;

pub use wire::Msg;
