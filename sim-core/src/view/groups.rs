//! The plain data of consumer groups: members, who owns what, and how far each partition is.

use super::Badge;
use serde::Serialize;

/// A group of readers that share lanes among them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GroupView {
    /// Its name (`group.id`).
    pub name: String,
    /// What its coordinator says of it, by its real name, e.g. `PreparingRebalance`.
    pub state: String,
    /// Members have their assignment and nothing is under way.
    pub settled: bool,
    /// What its rounds are called: `generation`, or `epoch` in the consumer protocol (KIP-848).
    pub round: &'static str,
    /// Generation, or group epoch; `None` while no coordinator runs.
    pub generation: Option<i64>,
    /// The assignor in force; empty before there is one.
    pub assignor: String,
    /// The node that coordinates it.
    pub coordinator: Option<u32>,
    /// Members by node.
    pub members: Vec<GroupMember>,
    /// What they share, in order.
    pub shares: Vec<GroupShare>,
    /// How long partitions stood still so far, together, ns.
    pub stopped: u64,
}

/// A member of a group, as it sees itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GroupMember {
    /// Its node.
    pub node: u32,
    /// Name in the scenario.
    pub name: String,
    /// How it stands: its generation, or what keeps it from having one.
    pub badge: Badge,
    /// How many shares it owns.
    pub owns: u32,
    /// Its machine runs and it takes records from `poll()`.
    pub works: bool,
}

/// One lane as a group has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GroupShare {
    /// Lane id, e.g. `orders-0`.
    pub lane: String,
    /// The member that owns it, by its own word.
    pub owner: Option<u32>,
    /// Nobody works on it.
    pub idle: bool,
    /// Since when nobody works on it, ns; `None` if somebody does, or nobody ever did.
    pub stopped_since: Option<u64>,
    /// First offset kept by the leader.
    pub start: i64,
    /// Log end offset of the leader; `None` without a leader that runs.
    pub end: Option<i64>,
    /// High watermark of the leader.
    pub high_watermark: i64,
    /// Last stable offset of the leader.
    pub stable: i64,
    /// The next offset that the owner's application is given.
    pub position: Option<i64>,
    /// Committed offset.
    pub committed: Option<i64>,
    /// Log end less committed offset.
    pub lag: Option<i64>,
}

impl GroupShare {
    /// How long it has stood still at `now`, ns.
    #[must_use]
    pub fn stopped(&self, now: u64) -> Option<u64> {
        self.stopped_since.map(|since| now.saturating_sub(since))
    }
}
