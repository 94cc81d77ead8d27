//! Links: what happens to a message between two nodes.
//!
//! A link is one direction of one TCP connection: it keeps order (unless told otherwise), and while
//! it is cut it holds what was sent, as TCP does by retransmission, until it heals or until one side
//! gives the connection up ([`super::Cx::disconnect`], a crash). The news that the other side is gone
//! waits at a cut as well: who sent to a process that died meanwhile is reset when its segments get
//! through to the machine (RFC 9293, 3.5.2, group 1). Loss on the other hand takes a
//! message away for good, as if the connection had died behind it: the sender finds out by its own
//! timeout. Left out: slow start, windows, bandwidth shared between links.

use super::process::NodeId;
use super::queue::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The healthy behaviour of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LinkProfile {
    /// One-way delay, ns.
    pub delay: Nanos,
    /// Uniform extra delay in `0..=jitter`, ns.
    pub jitter: Nanos,
    /// Transmission time of 1,000 bytes, ns (0 = unlimited bandwidth).
    pub per_kilobyte: Nanos,
}

impl Default for LinkProfile {
    fn default() -> Self {
        LinkProfile {
            delay: 500_000,
            jitter: 0,
            per_kilobyte: 0,
        }
    }
}

/// Takes messages of one kind off a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FilterRule {
    /// The request name to match, e.g. `Fetch`; see the message's label.
    pub label: String,
}

/// What is wrong with a link.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LinkFault {
    /// Nothing passes; what is sent waits.
    pub cut: bool,
    /// Added delay, ns.
    pub slow_by: Nanos,
    /// Messages lost, per million.
    pub loss_ppm: u32,
    /// Messages delivered twice, per million.
    pub duplicate_ppm: u32,
    /// Messages that may overtake, per million.
    pub reorder_ppm: u32,
    /// Kinds of message that are lost.
    pub filters: Vec<FilterRule>,
}

impl LinkFault {
    /// As good as no fault.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == LinkFault::default()
    }
}

/// A message that waits at a cut link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct HeldMessage<M> {
    pub(super) id: u64,
    pub(super) cause: u64,
    pub(super) depart: Nanos,
    pub(super) msg: M,
}

/// One direction between two nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Link<M> {
    /// The receiver.
    pub to: NodeId,
    /// Delay and bandwidth while healthy.
    pub profile: LinkProfile,
    /// Number of the connection; a message of an older connection is not delivered.
    pub connection: u32,
    /// Messages sent ever: the ordinal of this link's draws.
    pub sent: u64,
    /// Something was sent on the present connection.
    pub open: bool,
    /// Arrival of the latest message, ns (order is kept by never arriving before it).
    pub(super) last_arrival: Nanos,
    /// When the wire is free again, ns.
    pub(super) wire_free: Nanos,
    /// Present faults.
    pub fault: LinkFault,
    pub(super) held: VecDeque<HeldMessage<M>>,
    /// The receiver is to hear that its connection is gone, once the cut heals: the event that ended it.
    pub(super) reset_due: Option<u64>,
}

impl<M> Link<M> {
    pub(super) fn new(to: NodeId, profile: LinkProfile) -> Self {
        Link {
            to,
            profile,
            connection: 0,
            sent: 0,
            open: false,
            last_arrival: 0,
            wire_free: 0,
            fault: LinkFault::default(),
            held: VecDeque::new(),
            reset_due: None,
        }
    }

    /// The connection ends: nothing sent on it arrives any more.
    pub(super) fn reset(&mut self) {
        self.connection += 1;
        self.open = false;
        self.held.clear();
        self.reset_due = None;
    }
}
