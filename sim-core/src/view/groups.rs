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
    /// How long partitions stood still so far, together, ns; zero in a share group.
    pub stopped: u64,
    /// A share group (KIP-932): nobody owns what it reads, each record is one member's at a time.
    pub sharing: bool,
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
    /// How many shares it owns; none in a share group.
    pub owns: u32,
    /// Of a share group: the lanes that it is assigned, others beside it or not.
    pub reads: Vec<String>,
    /// Of a share group: records that are locked for it, on all lanes.
    pub acquired: u32,
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
    /// Of a share group: what the leader keeps of each record.
    pub sharing: Option<Sharing>,
}

/// A lane as a share group has it at its leader (`SharePartition`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sharing {
    /// Share-partition start offset (SPSO): everything before it is finished.
    pub start: i64,
    /// Share-partition end offset (SPEO): the first that was never handed out.
    pub end: i64,
    /// Records between them that can be handed out (again).
    pub available: u32,
    /// That a member has.
    pub acquired: u32,
    /// That are done, behind one that is not.
    pub acknowledged: u32,
    /// That were given up, behind one that is not.
    pub archived: u32,
    /// Who has records, by node, and how many.
    pub holders: Vec<(u32, u32)>,
    /// The most often that one of these records was delivered.
    pub deliveries: u16,
    /// How many of them were delivered more than once.
    pub again: u32,
    /// The first stretches of one state: first offset, last offset, `RecordState` in small letters.
    pub runs: Vec<(i64, i64, &'static str)>,
}

impl GroupShare {
    /// How long it has stood still at `now`, ns.
    #[must_use]
    pub fn stopped(&self, now: u64) -> Option<u64> {
        self.stopped_since.map(|since| now.saturating_sub(since))
    }
}
