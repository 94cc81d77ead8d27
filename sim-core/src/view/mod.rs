//! What an onlooker may see: plain data without protocol logic.
//!
//! Every system projects its state into these types (`view(t) = f(state after the last event ≤ t)`).
//! The site, the command line and the static pages draw them; none of them reads a node's state
//! directly. Nothing here is Kafka-shaped: a node has facts and lanes, a lane is a strip of
//! offsets with marks, a token is something under way between two nodes.

mod compaction;
mod groups;
mod job;
mod model;
mod state_files;
mod storage;

pub use compaction::*;
pub use groups::*;
pub use job::*;
pub use model::*;
pub use state_files::*;
pub use storage::*;
