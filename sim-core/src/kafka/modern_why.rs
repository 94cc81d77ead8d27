//! The rules of groups of the consumer protocol (KIP-848) that notes name, in words; see
//! [`super::why`].

use super::rules::share_partition::{AcknowledgeType, RecordState};

/// A rule that fired at a coordinator or at a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ModernRule {
    /// A group has a new epoch. Before/after: epochs.
    GroupEpoch,
    /// The coordinator's assignor made a new target. Before/after: epochs.
    TargetAssignment,
    /// A member has a new epoch. Before/after: its epochs.
    MemberEpoch,
    /// A member is asked to give partitions up. Before: its epoch; after: the target's.
    RevocationAsked,
    /// A member waits for partitions that others still hold. After: the target's epoch.
    AwaitsPartitions,
    /// Every member has what the target gives it. After: the epoch.
    GroupStable,
    /// No member is left. After: the epoch.
    GroupEmpty,
    /// Nothing was heard of a member. Before: its epoch; after: the group's.
    SessionExpired,
    /// A member kept what it was asked for too long. Before: its epoch; after: the group's.
    RebalanceTimeout,
    /// A member learned that the group has gone on without it. Before: its epoch; after: error code
    /// number.
    MemberFenced,
    /// The application was told that there is no way back. Before: the member's epoch; after: error
    /// code number.
    MemberFatal,
    /// A leader handed records to a member of a share group, for the so-manieth time. Before/after:
    /// first and last offset.
    RecordsAcquired(u16),
    /// Locks ran out. Before/after: where the next fetch begins.
    LockExpired,
    /// The start offset of a partition in a share group moved. Before/after: offsets.
    ShareStart,
    /// A leader refused an acknowledgement. Before: its first offset; after: error code number.
    AcknowledgeRefused,
    /// A leader read the state of a partition in a share group from its share coordinator. Before:
    /// its leader epoch; after: the start offset.
    ShareStateRead,
    /// A share coordinator let go of records that newer snapshots replace. Before/after: log start.
    ShareStatePruned,
    /// A leader took a member's word on records that it has. Before/after: first and last offset.
    RecordsAcknowledged(AcknowledgeType),
    /// A leader took records back from a member, because its lock ran out or its connection ended.
    /// Before/after: first and last offset.
    RecordsTakenBack,
    /// What a leader wrote to the share coordinator is kept. Before: its leader epoch; after: the
    /// start offset.
    ShareStateWritten,
    /// The same, of records: their state, and how often they were delivered. Before/after: first
    /// and last offset.
    RecordsWritten(RecordState, u16),
    /// A share group gave records up that it had handed out: they were rejected, or handed out as
    /// often as may be. Before/after: first and last offset.
    RecordsArchived,
}

/// A rule's name, what it did (as in [`super::group_why::text`]) and its source.
#[must_use]
pub(super) fn text(rule: ModernRule) -> (&'static str, &'static str, &'static str) {
    match rule {
        ModernRule::GroupEpoch => (
            "group-epoch",
            "group epoch {b} → {a}: somebody came, left, fell silent or subscribed anew",
            "GroupMetadataManager.consumerGroupHeartbeat",
        ),
        ModernRule::TargetAssignment => (
            "target-assignment",
            "the coordinator's assignor made the target of epoch {a}; every member learns its part \
             with its next heartbeat",
            "TargetAssignmentBuilder, KIP-848",
        ),
        ModernRule::MemberEpoch => (
            "member-epoch",
            "{m} goes from epoch {b} to {a}: it owns nothing that the new target takes away",
            "CurrentAssignmentBuilder.computeNextAssignment",
        ),
        ModernRule::RevocationAsked => (
            "revocation-asked",
            "{m} is to give partitions up and stays in epoch {b} until it says that it did; it \
             keeps reading the others",
            "CurrentAssignmentBuilder, UNREVOKED_PARTITIONS",
        ),
        ModernRule::AwaitsPartitions => (
            "awaits-partitions",
            "{m} reads what is free and waits for what others have not given up yet (epoch {a})",
            "CurrentAssignmentBuilder, UNRELEASED_PARTITIONS",
        ),
        ModernRule::GroupStable => (
            "group-reconciled",
            "every member has what the target of epoch {a} gives it",
            "ConsumerGroup.maybeUpdateGroupState",
        ),
        ModernRule::GroupEmpty => (
            "group-empty",
            "no member is left in epoch {a}; the offsets stay",
            "ConsumerGroup.maybeUpdateGroupState",
        ),
        ModernRule::SessionExpired => (
            "member-session-expired",
            "{m} is out: no heartbeat for group.consumer.session.timeout.ms",
            "GroupMetadataManager.scheduleConsumerGroupSessionTimeout",
        ),
        ModernRule::RebalanceTimeout => (
            "rebalance-timeout",
            "{m} is out: it did not give up what it was asked for within max.poll.interval.ms",
            "GroupMetadataManager.scheduleConsumerGroupRebalanceTimeout",
        ),
        ModernRule::MemberFenced => (
            "member-fenced",
            "{e} in epoch {b}: it abandons its partitions and joins again with epoch 0",
            "AbstractMembershipManager.transitionToFenced",
        ),
        ModernRule::MemberFatal => (
            "member-fatal",
            "{e}: poll() throws, and the consumer is in the group no more",
            "AbstractMembershipManager.transitionToFatal",
        ),
        ModernRule::RecordsAcquired(_) => (
            "records-acquired",
            "offsets {b} to {a} are {m}'s until its lock runs out; others get what comes after",
            "SharePartition.acquire, KIP-932",
        ),
        ModernRule::LockExpired => (
            "lock-expired",
            "a member did not acknowledge in time: the next fetch begins at {a}, not at {b}",
            "SharePartition.releaseAcquisitionLockOnTimeout",
        ),
        ModernRule::ShareStart => (
            "share-start",
            "the start offset goes from {b} to {a}: all before it is accepted or given up",
            "SharePartition.maybeUpdateCachedStateAndOffsets",
        ),
        ModernRule::AcknowledgeRefused => (
            "acknowledge-refused",
            "an acknowledgement from offset {b} on was refused: {e}",
            "SharePartition.acknowledge",
        ),
        ModernRule::ShareStateRead => (
            "share-state-read",
            "the leader in epoch {b} has the state from the share coordinator and goes on from \
             start offset {a}",
            "SharePartition.maybeInitialize, ReadShareGroupState",
        ),
        ModernRule::ShareStatePruned => (
            "share-state-pruned",
            "the log begins at {a}, no longer at {b}: every partition has a newer snapshot",
            "ShareCoordinatorService.performRecordPruning",
        ),
        ModernRule::RecordsAcknowledged(kind) => (
            "records-acknowledged",
            match kind {
                AcknowledgeType::Accept => "{m} is done with offsets {b} to {a}",
                AcknowledgeType::Release => {
                    "{m} could not process offsets {b} to {a}: others may try, up to the delivery \
                     count limit"
                }
                AcknowledgeType::Reject => "{m} rejects offsets {b} to {a}: nobody gets them again",
                AcknowledgeType::Gap => "nothing is at offsets {b} to {a}",
            },
            "SharePartition.acknowledge",
        ),
        ModernRule::RecordsTakenBack => (
            "records-taken-back",
            "offsets {b} to {a} are {m}'s no more: its lock ran out, or its connection ended",
            "SharePartition.releaseAcquiredRecords",
        ),
        ModernRule::ShareStateWritten => (
            "share-state-written",
            "the share coordinator has what the leader in epoch {b} wrote, with start offset {a}: \
             acknowledgements are answered now",
            "SharePartition.writeShareGroupState",
        ),
        ModernRule::RecordsWritten(state, _) => (
            "share-records-written",
            match state {
                RecordState::Available => "written: offsets {b} to {a} can be handed out again",
                RecordState::Acknowledged => "written: offsets {b} to {a} are acknowledged",
                _ => "written: offsets {b} to {a} are archived",
            },
            "PersisterStateBatch",
        ),
        ModernRule::RecordsArchived => (
            "records-archived",
            "offsets {b} to {a} are given up: they were rejected, or handed out as often as may be",
            "SharePartition.InFlightState.tryUpdateState",
        ),
    }
}
