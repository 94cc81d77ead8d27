//! Deeds: everything that is done *to* a world from outside, by a timeline or by a learner.
//!
//! A deed is data. It is applied between events, becomes an event itself (so that causes lead back
//! to it) and stands in the script that the learner can take away.

use super::link::FilterRule;
use super::process::NodeId;
use super::queue::Nanos;
use serde::{Deserialize, Serialize};

/// Longest span that a deed may ask for, ns (30 days): sums of them stay far from the end of time.
pub const SPAN_MAX: Nanos = 30 * 24 * 3_600 * 1_000_000_000;
/// Farthest that a clock may be set off, ns (100 years of 365 days).
pub const SKEW_MAX: u64 = 36_500 * 24 * 3_600 * 1_000_000_000;
/// Most that a clock may run fast or slow, parts per billion.
pub const DRIFT_MAX: u64 = 500_000_000;

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

impl<O> Deed<O> {
    /// What no machine does, if this deed asks for it: the field, and what it is at most.
    #[must_use]
    pub fn excess(&self) -> Option<(&'static str, &'static str)> {
        const DAYS: &str = "at most 30 days";
        match self {
            Deed::SlowCpu(_, cost) if *cost > SPAN_MAX => Some(("cost", DAYS)),
            Deed::Link(_, _, change) if change.slow_by.is_some_and(|by| by > SPAN_MAX) => {
                Some(("delay", DAYS))
            }
            Deed::Message(_, MessageDeed::Delay(by)) if *by > SPAN_MAX => Some(("delay", DAYS)),
            Deed::Skew(_, by) if by.unsigned_abs() > SKEW_MAX => {
                Some(("by", "at most 36500 days either way"))
            }
            Deed::Drift(_, ppb) if ppb.unsigned_abs() > DRIFT_MAX => {
                Some(("ppb", "at most 500000000 parts per billion either way"))
            }
            _ => None,
        }
    }
}
