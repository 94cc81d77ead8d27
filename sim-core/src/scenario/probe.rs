//! Probes and values: what a predicate can ask of a simulated world, resolved to small ids.
//!
//! A name in a predicate becomes a [`Probe`] once, when the scenario is read. At run time nothing
//! is looked up by text and nothing is allocated: values are `Copy`, and a set of nodes is a bit
//! mask, since a scenario has at most [`crate::scenario::limits::NODES`] nodes.

use crate::kernel::{Nanos, NodeId};
use crate::systems;
use serde::Serialize;

/// A set of nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub struct NodeSet(pub u64);

impl NodeSet {
    /// Adds a node. A node that cannot exist (number 64 or more) is left out.
    pub fn insert(&mut self, node: NodeId) {
        self.0 |= 1u64.checked_shl(node.0).unwrap_or(0);
    }

    /// Whether a node is in it.
    #[must_use]
    pub fn contains(self, node: NodeId) -> bool {
        self.0 & 1u64.checked_shl(node.0).unwrap_or(0) != 0
    }

    /// How many nodes.
    #[must_use]
    pub fn size(self) -> u32 {
        self.0.count_ones()
    }

    /// The nodes in ascending order.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..u64::BITS)
            .map(NodeId)
            .filter(move |node| self.contains(*node))
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = NodeSet::default();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}

/// The value of a probe or an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Value {
    /// There is none: no leader, no such replica, the process is down. Equal to `none` only; any
    /// other comparison with it but `!=` is false.
    None,
    /// True or false.
    Bool(bool),
    /// A count, an offset, an epoch.
    Int(i64),
    /// A time or span, ns.
    Time(Nanos),
    /// A node.
    Node(NodeId),
    /// A set of nodes.
    Nodes(NodeSet),
    /// One of the fixed words of the probe's [`Type::Word`], by its place in the list.
    Word(u8),
}

/// What kind of value a probe has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A time.
    Time,
    /// A node, or none.
    Node,
    /// A set of nodes.
    Nodes,
    /// One of fixed words.
    Word(&'static [&'static str]),
    /// The literal `none`.
    None,
}

/// Words of [`Probe::NodeState`], in the order of their [`Value::Word`] numbers.
pub const NODE_STATES: &[&str] = &["up", "paused", "down"];

/// A counter of the truth ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum LedgerCount {
    /// Records given to `send()`.
    Sent,
    /// Records whose write was confirmed to the producer.
    Acknowledged,
    /// Records whose write failed as the producer sees it.
    Failed,
    /// Records below the strandline.
    Committed,
    /// Distinct records handed to a consumer.
    Delivered,
    /// Acknowledged records that no live or recoverable log holds any more.
    Lost,
    /// Records that stand at more than one offset.
    Duplicated,
    /// Records of one key and producer that stand in another order than sent.
    Reordered,
    /// Records that a consumer group finished.
    Processed,
    /// Times that a consumer group finished a record again.
    Reprocessed,
    /// Records that a consumer group will never finish.
    Skipped,
    /// Inputs of which a reader was handed an output.
    Outputs,
    /// Outputs beyond the first for their input.
    RepeatedOutputs,
    /// Records that retention took.
    Expired,
    /// Records that compaction took.
    Compacted,
}

impl LedgerCount {
    /// All counters with the names and meanings they have in predicates.
    pub const ALL: &'static [(LedgerCount, &'static str, &'static str)] = &[
        (
            LedgerCount::Sent,
            "sent",
            "Records that applications gave to send().",
        ),
        (
            LedgerCount::Acknowledged,
            "acknowledged",
            "Records whose write was confirmed to the producer.",
        ),
        (
            LedgerCount::Failed,
            "failed",
            "Records whose write failed as the producer sees it.",
        ),
        (
            LedgerCount::Committed,
            "committed",
            "Records below the strandline.",
        ),
        (
            LedgerCount::Delivered,
            "delivered",
            "Distinct records handed to a consumer.",
        ),
        (
            LedgerCount::Lost,
            "lost",
            "Acknowledged records that no live or recoverable log holds any more.",
        ),
        (
            LedgerCount::Duplicated,
            "duplicated",
            "Records that stand at more than one offset.",
        ),
        (
            LedgerCount::Reordered,
            "reordered",
            "Records of one key and producer that stand in another order than sent.",
        ),
        (
            LedgerCount::Processed,
            "processed",
            "Records that the members of a consumer group are done with, each once for each group.",
        ),
        (
            LedgerCount::Reprocessed,
            "reprocessed",
            "Times that a consumer group did the work on a record again.",
        ),
        (
            LedgerCount::Skipped,
            "skipped",
            "Records handed to a consumer group that it committed and never did the work on.",
        ),
        (
            LedgerCount::Outputs,
            "outputs",
            "Records read by a processor of which some reader was handed an output.",
        ),
        (
            LedgerCount::RepeatedOutputs,
            "repeated-outputs",
            "Outputs that readers were handed beyond the first for the record they were made of.",
        ),
        (
            LedgerCount::Expired,
            "expired",
            "Records that retention took.",
        ),
        (
            LedgerCount::Compacted,
            "compacted",
            "Records that compaction took: a later one has their key, or they were tombstones.",
        ),
    ];
}

/// A question to a simulated world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Probe {
    /// Simulated time ([`Value::Time`]).
    Time,
    /// What a node's machine does ([`Value::Word`] of [`NODE_STATES`]).
    NodeState(NodeId),
    /// A counter of the ledger ([`Value::Int`]).
    Ledger(LedgerCount),
    /// How many invariants have been found broken so far ([`Value::Int`]).
    InvariantsViolated,
    /// A question that only a system understands.
    System(systems::Probe),
}

impl Probe {
    /// The words that its value is one of, if it is a word.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        match self {
            Probe::NodeState(_) => NODE_STATES,
            Probe::System(it) => it.words(),
            Probe::Time | Probe::Ledger(_) | Probe::InvariantsViolated => &[],
        }
    }
}

/// Who answers probes: a world with its ledger and invariants.
pub trait Facts {
    /// The present value.
    fn value(&self, probe: &Probe) -> Value;

    /// Why the present value is not what a reader hopes for, in words, where a value alone says too
    /// little.
    fn reason(&self, probe: &Probe) -> Option<String> {
        let _ = probe;
        None
    }
}
