//! What Kafka's nodes report while they work: rules that fired, and what clients saw.
//!
//! A note never decides anything. The ledger counts the clients' observations (it trusts no
//! broker), "why?" walks from a value to the rule that last changed it, and the transcript prints
//! both.

use super::error::ErrorCode;
use super::ids::{BrokerId, TopicPartition};
use super::modern_why::ModernRule;
use super::rules::classic_group::Name;
use super::rules::cleaner::Removal;
use crate::kernel::NodeId;
use crate::log::RecordId;

/// A rule of the protocol that changed something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// High watermark moved forward. Before/after: offsets. `Partition.maybeIncrementLeaderHW`.
    HighWatermark,
    /// Follower took the leader's high watermark. Before/after: offsets.
    FollowerHighWatermark,
    /// Records were appended. Before/after: log end offsets.
    Append,
    /// A log was truncated. Before/after: log end offsets. KIP-101.
    Truncate,
    /// Leader asked the controller to shrink the ISR. Before/after: ISR sizes.
    IsrShrinkProposed,
    /// Leader asked the controller to expand the ISR. Before/after: ISR sizes.
    IsrExpandProposed,
    /// The ISR changed, as this node's metadata shows. Before/after: ISR sizes.
    IsrChanged,
    /// The ELR changed (KIP-966). Before/after: ELR sizes.
    ElrChanged,
    /// This node became leader. Before/after: leader epochs.
    BecameLeader,
    /// This node became follower. Before/after: leader epochs.
    BecameFollower,
    /// The controller elected a leader. Before/after: broker ids (-1 none).
    LeaderElected,
    /// The controller elected a leader outside ISR and ELR. Before/after: broker ids.
    UncleanLeaderElected,
    /// A broker registered. After: broker epoch.
    BrokerRegistered,
    /// A broker was fenced. Before/after: broker epoch.
    BrokerFenced,
    /// A broker was unfenced.
    BrokerUnfenced,
    /// A broker asked for controlled shutdown.
    ControlledShutdown,
    /// A voter became prospective (pre-vote). Before/after: quorum epochs.
    QuorumProspective,
    /// A voter became candidate. Before/after: quorum epochs.
    QuorumCandidate,
    /// A voter became leader of the quorum. Before/after: quorum epochs.
    QuorumLeader,
    /// A voter resigned. Before/after: quorum epochs.
    QuorumResigned,
    /// A request was refused. Before: error code number. After: -1.
    Refused,
    /// A produce waits for the ISR. After: last offset of the batch.
    ProduceParked,
    /// A log was compacted. Before/after: the first dirty offset.
    LogCompacted,
    /// Compaction removed records that a later one replaces. Before/after: records gone through and
    /// kept.
    CompactedRecords,
    /// Compaction removed tombstones whose `delete.retention.ms` was up. After: how many.
    TombstonesRemoved,
    /// Compaction kept tombstones, or markers without data, for `delete.retention.ms` from now.
    /// After: in how many batches.
    DeleteHorizonSet,
    /// Compaction removed records of aborted transactions. After: how many.
    AbortedRemoved,
    /// Compaction removed transaction markers. After: how many.
    MarkersRemoved,
    /// The log start moved (retention). Before/after: offsets.
    LogStart,
    /// Unflushed data was lost with the power. Before/after: log end offsets.
    LostUnflushed,
    /// The disk came back empty. Before/after: log end offsets.
    LostDisk,
    /// A consumer's position jumped. Before/after: offsets.
    PositionReset,
    /// A producer gave a batch another try. After: attempt.
    Retry,
    /// A producer bumped its epoch. Before/after: producer epochs.
    ProducerEpochBump,
    /// Metadata was replayed. Before/after: metadata offsets.
    MetadataReplayed,
    /// A voter knows no leader (any more). Before/after: quorum epochs.
    QuorumUnattached,
    /// A voter follows a leader of the quorum, the broker named. Before/after: quorum epochs.
    QuorumFollower,
    /// The quorum's leader took up the work of the active controller. After: quorum epoch.
    ControllerActive,
    /// A consumer without reset policy stopped at a partition. Before: its position, -1 for none;
    /// after: where its log parts from the leader's, -1 if unknown. KIP-320.
    PositionLost,
    /// A group's members are asked to join again. Before/after: generations.
    GroupPreparing,
    /// A group's members have joined. Before/after: generations.
    GroupGeneration,
    /// A group's members have their assignment. Before/after: generations.
    GroupStable,
    /// A group has no members any more. Before/after: generations.
    GroupEmpty,
    /// A new coordinator read a group from its log. After: generation.
    GroupLoaded,
    /// Nothing was heard of a member for its session timeout. After: generation.
    MemberExpired,
    /// A group committed an offset. Before/after: offsets.
    OffsetCommitted,
    /// Closed segments were copied to remote storage. Before/after: their offsets, from and to.
    SegmentsTiered,
    /// Copied segments left the local disk. Before/after: where it starts.
    LocalLogStart,
    /// A consumer reads what is in remote storage only. Before: from where; after: where the local
    /// disk starts.
    RemoteRead,
    /// A follower starts where its leader's local disk does. Before/after: log end offsets.
    BuiltFromRemote,
    /// A fetch asked for what is in the page cache no more. Before: bytes; after: for how long the
    /// answer waits for the disk, ms.
    DiskRead,
    /// A partition moves to other brokers. Before/after: replicas.
    ReassignmentBegun,
    /// It has moved, or the move was taken back. Before/after: replicas.
    ReassignmentDone,
    /// Replication is held back (`*.replication.throttled.rate`). Before: the rate of late; after:
    /// the limit, bytes per second.
    ReplicationThrottled,
    /// A client over its quota must wait. Before: the client's node; after: for how long, ms.
    ClientThrottled,
    /// A group's offset was forgotten (`offsets.retention.minutes`). Before: the offset; after: -1.
    OffsetExpired,
    /// An empty group without offsets was deleted. Before: generation; after: -1.
    GroupDeleted,
    /// A coordinator refused a commit. Before: the committer's generation; after: error code number.
    OffsetCommitRefused,
    /// A member has a partition that it was given. After: the (last) generation in which it was.
    PartitionAssigned,
    /// A member gave a partition up, after its work. Before: its position; after: generation.
    PartitionRevoked,
    /// A member learned that a partition is no longer its own. Before: its position; after:
    /// generation.
    PartitionLost,
    /// A member did not poll for `max.poll.interval.ms`, and left. After: generation.
    PollIntervalExceeded,
    /// The application was told that its commit failed for good (`CommitFailedException`). After:
    /// error code number.
    CommitFailed,
    /// A transaction has its first partitions, or more of them. Before/after: their number.
    TxnOngoing,
    /// The end of a transaction is decided: it is in its coordinator's log. Before: 1 for a commit,
    /// 0 for an abort; after: producer epoch of the markers.
    TxnPrepared,
    /// Every partition of a transaction has its marker. Before: as above; after: producer epoch.
    TxnCompleted,
    /// A transaction was open for longer than its timeout, and is aborted. Before/after: producer
    /// epochs.
    TxnTimedOut,
    /// A producer has its id and epoch for a transactional id. Before: producer id; after: epoch.
    TxnInitialised,
    /// A leader wrote the marker of a transaction. Before: 1 for a commit, 0 for an abort; after:
    /// offset of the marker.
    TxnMarker,
    /// A batch waits while the coordinator is asked about its transaction (KIP-890). After: number
    /// of partitions asked about.
    TxnVerifying,
    /// The coordinator refused a batch. After: error code number.
    TxnVerifyFailed,
    /// A producer learned that another one has taken over its transactional id. After: error code
    /// number.
    TxnFenced,
    /// Something of a group of the consumer protocol (KIP-848).
    Modern(ModernRule),
    /// The application of a consumer sought a position. Before: the offset; after: that sought, or
    /// -1 if it is to be looked up.
    Sought,
    /// A member has come to a new generation, and keeps a partition that it has. After: generation.
    PartitionKept,
    /// An application without membership commits an offset to a group. After: the offset.
    CommittedByHand,
}

/// A note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A rule fired at a node.
    Rule {
        /// Where.
        node: NodeId,
        /// Which.
        rule: Rule,
        /// For which partition, if for one.
        tp: Option<TopicPartition>,
        /// About which broker, if about one.
        broker: Option<BrokerId>,
        /// Value before.
        before: i64,
        /// Value after.
        after: i64,
    },
    /// An application handed a record to `send()`.
    Sent {
        /// Producer.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Key number, if keyed.
        key: Option<u32>,
        /// Where it will go.
        tp: TopicPartition,
        /// Its value is null.
        tombstone: bool,
        /// The `acks` it was sent with asks for all in-sync replicas.
        acks_all: bool,
    },
    /// A record was made of one that was read.
    Derived {
        /// Whose application made it.
        node: NodeId,
        /// The record that is written.
        record: RecordId,
        /// The record that was read.
        input: RecordId,
    },
    /// The producer was told that a record is written.
    Acknowledged {
        /// Producer.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Where.
        tp: TopicPartition,
        /// Offset; -1 with acks=0.
        offset: i64,
    },
    /// The producer gave a record up.
    Failed {
        /// Producer.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Why.
        error: ErrorCode,
    },
    /// A leader or follower appended a record.
    Stored {
        /// Broker node.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Where.
        tp: TopicPartition,
        /// Offset.
        offset: i64,
        /// As leader.
        as_leader: bool,
    },
    /// A log lost a record (truncation, power loss, disk loss, retention).
    Dropped {
        /// Broker node.
        node: NodeId,
        /// Partition.
        tp: TopicPartition,
        /// First offset dropped.
        from: i64,
        /// Offset after the last one dropped.
        to: i64,
        /// By retention, not by failure.
        retention: bool,
    },
    /// A rule fired about a consumer group.
    Group(Box<GroupNote>),
    /// The application of a group's member is done with a record.
    Processed {
        /// Consumer.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Where.
        tp: TopicPartition,
        /// Offset.
        offset: i64,
        /// Its group.
        group: Name,
    },
    /// Compaction removed a record.
    Compacted {
        /// Broker node.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Its key.
        key: Option<u32>,
        /// Where.
        tp: TopicPartition,
        /// Offset.
        offset: i64,
        /// Why.
        why: Removal,
    },
    /// `poll()` returned a record.
    Delivered {
        /// Consumer.
        node: NodeId,
        /// Record.
        record: RecordId,
        /// Where.
        tp: TopicPartition,
        /// Offset.
        offset: i64,
        /// Of the member of this group.
        group: Option<Name>,
    },
}

/// A rule that fired about a consumer group, at its coordinator or at a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupNote {
    /// Where.
    pub node: NodeId,
    /// Which.
    pub rule: Rule,
    /// The group.
    pub group: Name,
    /// About which member, if about one.
    pub member: Option<Name>,
    /// About which partition, if about one.
    pub tp: Option<TopicPartition>,
    /// Value before.
    pub before: i64,
    /// Value after.
    pub after: i64,
    /// The record that says so in the coordinator's log, if one does: leader epoch and offset. A
    /// coordinator that reads the log tells of it again.
    pub record: Option<(i32, i64)>,
}

impl Note {
    /// A rule that changed something (and not a client's observation).
    #[must_use]
    pub fn is_rule(&self) -> bool {
        matches!(self, Note::Rule { .. } | Note::Group(_))
    }

    /// Name of the rule, empty for an observation.
    #[must_use]
    pub fn rule_name(&self) -> &'static str {
        match self {
            Note::Rule { rule, .. } => super::why::rule_text(*rule).0,
            Note::Group(note) => super::why::rule_text(note.rule).0,
            _ => "",
        }
    }
}
