//! Deeds: everything that is done *to* a world from outside, by a timeline or by a learner.
//!
//! A deed is data. It is applied between events, becomes an event itself (so that causes lead back
//! to it) and stands in the script that the learner can take away.

use super::link::FilterRule;
use super::process::NodeId;
use super::queue::Nanos;
use serde::{Deserialize, Serialize};

/// A change to the faults of a link; `None` leaves a part as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LinkChange {
    /// Cut (true) or heal (false).
    pub cut: Option<bool>,
    /// Added delay, ns.
    pub slow_by: Option<Nanos>,
    /// Loss per million.
    pub loss_ppm: Option<u32>,
    /// Duplication per million.
    pub duplicate_ppm: Option<u32>,
    /// Reordering per million.
    pub reorder_ppm: Option<u32>,
    /// Kinds of message to lose.
    pub filters: Option<Vec<FilterRule>>,
}

/// What to do to one message under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MessageDeed {
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives this much later, ns (later messages may overtake it).
    Delay(Nanos),
}

/// Something done to the world. `O` is the system's own kind of order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Deed<O> {
    /// The process dies (kill −9): volatile state is gone, the page cache and the disk stay.
    Crash(NodeId),
    /// The machine loses power: what was not flushed is gone too, and peers hear nothing.
    PowerLoss(NodeId),
    /// The disk of a node that is down is replaced by an empty one.
    WipeDisk(NodeId),
    /// The process starts again from what its disk holds.
    Restart(NodeId),
    /// The process freezes (GC pause, SIGSTOP) until resumed.
    Pause(NodeId),
    /// The process goes on.
    Resume(NodeId),
    /// Each input costs this much processing time, ns (0 = none).
    SlowCpu(NodeId, Nanos),
    /// The disk writes this many bytes per second (0 = unlimited).
    SlowDisk(NodeId, u64),
    /// The node's wall clock is ahead by this many ns (may be negative).
    Skew(NodeId, i64),
    /// The node's clock runs fast by this many parts per billion (may be negative).
    Drift(NodeId, i64),
    /// Changes one direction of a link.
    Link(NodeId, NodeId, LinkChange),
    /// Cuts both directions between two nodes.
    Cut(NodeId, NodeId),
    /// Takes all faults off both directions between two nodes.
    Heal(NodeId, NodeId),
    /// Cuts every link between the two sides.
    Partition(Vec<NodeId>, Vec<NodeId>),
    /// Takes all faults off all links.
    HealAll,
    /// Does something to one message under way, by the id of the event that would deliver it.
    Message(u64, MessageDeed),
    /// An order that only the system understands, given to one node.
    Order(NodeId, O),
}

/// Why a deed cannot be done; a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}
