//! The words of the leader's side of a partition: metadata, settings, proposals and outcomes.
//!
//! Follows `PartitionState`, `LeaderAndIsr` and the AlterPartition request of Apache Kafka. The
//! rules are in [`isr`](super::isr).

use super::replication::ReplicationRules;

/// What the metadata log says of a partition, as far as its leader needs it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PartitionMetadata {
    /// All replicas in order of preference.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Partition epoch: grows with every change of the partition.
    pub partition_epoch: i32,
}

/// Settings of the leader's side. Times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct LeaderConfig {
    /// `replica.lag.time.max.ms`.
    pub lag_max_ms: i64,
    /// `min.insync.replicas` of the topic.
    pub min_insync_replicas: i32,
    /// The rules in force.
    pub rules: ReplicationRules,
}

impl Default for LeaderConfig {
    fn default() -> Self {
        let rules = ReplicationRules::default();
        Self {
            lag_max_ms: 30_000,
            min_insync_replicas: 1,
            rules,
        }
    }
}

/// An AlterPartition request: the ISR the leader asks the controller for.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct IsrProposal {
    /// Leader epoch of the sender.
    pub leader_epoch: i32,
    /// Partition epoch the proposal is based on.
    pub partition_epoch: i32,
    /// The ISR asked for: broker id and broker epoch (-1 where the leader knows none).
    pub isr: Vec<(i32, i64)>,
}

impl IsrProposal {
    /// The broker ids of the ISR asked for.
    pub fn isr_ids(&self) -> Vec<i32> {
        self.isr.iter().map(|(id, _)| *id).collect()
    }
}

/// The controller's answer to an accepted AlterPartition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct IsrCommit {
    /// The committed ISR.
    pub isr: Vec<i32>,
    /// Leader epoch after the change.
    pub leader_epoch: i32,
    /// Partition epoch after the change.
    pub partition_epoch: i32,
}

/// The leader's view of the ISR.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub enum IsrState {
    /// As the controller committed it.
    Committed,
    /// One follower is on its way in.
    PendingExpand {
        /// The follower.
        joining: i32,
        /// What was asked for.
        proposal: IsrProposal,
    },
    /// Some followers are on their way out.
    PendingShrink {
        /// The followers.
        leaving: Vec<i32>,
        /// What was asked for.
        proposal: IsrProposal,
    },
}

impl IsrState {
    /// What was asked for and not yet answered.
    pub fn proposal(&self) -> Option<&IsrProposal> {
        match self {
            Self::Committed => None,
            Self::PendingExpand { proposal, .. } | Self::PendingShrink { proposal, .. } => {
                Some(proposal)
            }
        }
    }
}

/// What came of an answer to AlterPartition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum AlterOutcome {
    /// Metadata overtook the request; the answer means nothing any more.
    Ignored,
    /// The new ISR is in force; `hw_moved` tells whether the high watermark rose.
    Committed {
        /// Whether the high watermark rose.
        hw_moved: bool,
    },
    /// The request certainly had no effect: back to the committed ISR.
    RolledBack,
    /// It is unknown what the controller did: stay pending until metadata arrives.
    AwaitMetadata,
    /// Send the same request again.
    Retry,
}

/// What came of new metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum MetadataOutcome {
    /// Older than what is known; nothing changed.
    Stale,
    /// Taken over.
    Applied {
        /// Whether a new leader epoch began.
        new_epoch: bool,
        /// Whether the high watermark rose.
        hw_moved: bool,
    },
}

/// What a follower's fetch led to.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct FetchOutcome {
    /// Whether the high watermark rose.
    pub hw_moved: bool,
    /// An AlterPartition to send, if the follower may now join.
    pub expand: Option<IsrProposal>,
}

/// How far a produce request with acks=all has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum AcksProgress {
    /// The high watermark has not passed the batch.
    Waiting,
    /// Committed.
    Done,
    /// Committed, but the ISR is by now too small: NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    NotEnoughReplicasAfterAppend,
}
