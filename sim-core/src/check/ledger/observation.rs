//! What the ledger is told, and what it may look up.

use super::Lane;
use crate::kernel::NodeId;
use crate::log::RecordId;

/// What a client or a store reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    /// An application handed a record over.
    Sent {
        /// Which.
        record: RecordId,
        /// Its key, if any.
        key: Option<u32>,
        /// Its value is null.
        tombstone: bool,
        /// Where it is to go.
        lane: Lane,
    },
    /// An application made it of another that it had read.
    Derived {
        /// Which.
        record: RecordId,
        /// Of which.
        input: RecordId,
    },
    /// The producer was told that it is written, at this offset (-1 = not told where).
    Acknowledged {
        /// Which.
        record: RecordId,
        /// Where it says it is.
        offset: i64,
    },
    /// The producer gave it up.
    Failed {
        /// Which.
        record: RecordId,
    },
    /// A leader appended it.
    Stored {
        /// The leader.
        node: NodeId,
        /// Which.
        record: RecordId,
        /// Where.
        lane: Lane,
        /// At which offset.
        offset: i64,
    },
    /// A consumer's application got it.
    Delivered {
        /// Which.
        record: RecordId,
    },
    /// A member of a group of readers got it, and has not worked on it yet.
    Handed {
        /// Which.
        record: RecordId,
        /// Number of the group.
        group: u32,
        /// From where.
        lane: Lane,
        /// At which offset.
        offset: i64,
    },
    /// A group of readers will hand out no more what stands from one offset to another (inclusive):
    /// by its rules it was tried often enough, or refused.
    GivenUp {
        /// Number of the group.
        group: u32,
        /// Where.
        lane: Lane,
        /// The first offset.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A member of a group of readers is done with what stands at an offset.
    Processed {
        /// Number of the group.
        group: u32,
        /// Where.
        lane: Lane,
        /// At which offset.
        offset: i64,
    },
    /// A group of readers will go on from this offset, whatever happens.
    GroupCommitted {
        /// Number of the group.
        group: u32,
        /// Where.
        lane: Lane,
        /// Next offset to read.
        offset: i64,
    },
    /// Compaction removed it from a node's log.
    Compacted {
        /// Where.
        node: NodeId,
        /// Which.
        record: RecordId,
        /// Of what.
        lane: Lane,
        /// At which offset.
        offset: i64,
    },
    /// Retention removed a node's records of these offsets.
    Expired {
        /// Where.
        node: NodeId,
        /// Of what.
        lane: Lane,
        /// The first.
        from: i64,
        /// After the last.
        to: i64,
    },
    /// A node leads a lane from now on.
    Leads {
        /// Who.
        node: NodeId,
        /// What.
        lane: Lane,
        /// In which epoch.
        epoch: i32,
    },
}

/// What the ledger may look up: logs as they are.
pub trait Truth {
    /// The record at an offset of a node's copy of a lane.
    fn record_at(&self, node: NodeId, lane: Lane, offset: i64) -> Option<RecordId>;
    /// First offset that the node's copy keeps.
    fn start_of(&self, node: NodeId, lane: Lane) -> i64;
    /// Below this offset the node's copy may have holes, made by compaction: its own, or that of
    /// whoever it copied from. 0 if nobody compacts it.
    fn holes_below(&self, node: NodeId, lane: Lane) -> i64;
    /// All records of a copy, in order.
    fn scan(&self, node: NodeId, lane: Lane, each: &mut dyn FnMut(i64, RecordId));
}
