//! The kernel: integer time, an ordered queue, keyed chance, links, disks and the world that runs
//! sans-I/O processes. It knows no system: Kafka, Flink or RabbitMQ are types plugged into
//! [`World`] through [`Process`].
//!
//! Invariants of absence: the kernel reads no clock, rolls no dice that are not keyed by the seed,
//! iterates no hash map, allocates nothing per event on the same-size path, formats no string
//! unless asked to record, and never looks inside a message or a node.

mod apply;
mod chance;
mod core;
mod deed;
mod digest;
mod disk;
mod link;
mod process;
mod queue;
mod step;
mod world;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;

pub use chance::{Purpose, below, draw, exponential, mix};
pub use core::Clock;
pub use deed::{DRIFT_MAX, Deed, LinkChange, MessageDeed, Refusal, SKEW_MAX, SPAN_MAX};
pub use digest::Digest;
pub use disk::Disk;
pub use link::{FilterRule, Link, LinkFault, LinkProfile};
pub use process::{Context, Cx, Input, Loss, Message, NodeId, Process, Scratch, TimerId};
pub use queue::{EventId, Nanos};
pub use world::{Cpu, Executed, InFlight, Kind, NodeState, Slot, World};

/// One microsecond in simulated time.
pub const MICROSECOND: Nanos = 1_000;
/// One millisecond in simulated time.
pub const MILLISECOND: Nanos = 1_000_000;
/// One second in simulated time.
pub const SECOND: Nanos = 1_000_000_000;
