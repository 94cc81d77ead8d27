//! Conformance: what the real systems do, restated as data from their own test suites, and asked of
//! the engine's own rules.
//!
//! A file holds cases of one family (a mechanism). Each family has a reader here, which turns a
//! case into calls of the same code that the simulator runs, and compares what comes out with what
//! the case expects. A reader computes nothing of its own that the engine decides, and no expected
//! value is written down in it. What a reader does not know is *unsupported*, with the reason; it
//! never counts as passed.
//!
//! Files are foreign input: a damaged one is an error with its place, and no reader panics.

mod case;
mod family;
mod kafka;
pub mod queueing;
mod stream;
mod values;

pub use case::{BadFile, Outcome, Report, run};
