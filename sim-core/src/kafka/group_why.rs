//! The rules of consumer groups in words, for "why?" and the transcript; see [`super::why`].

use super::error::ErrorCode;
use super::note::{GroupNote, Rule};

/// A rule's name, what it did (`{b}` before, `{a}` after, `{m}` the member, `{e}` the error whose
/// number stands after) and its source.
#[must_use]
pub(super) fn text(rule: Rule) -> (&'static str, &'static str, &'static str) {
    match rule {
        Rule::GroupPreparing => (
            "group-preparing",
            "all members are asked to join again (generation {b} ends): somebody came, left, fell \
             silent or subscribed anew",
            "GroupMetadataManager.prepareRebalance",
        ),
        Rule::GroupGeneration => (
            "group-generation",
            "generation {b} → {a}: everybody joined, or the rebalance timeout was over",
            "ClassicGroup.initNextGeneration",
        ),
        Rule::GroupStable => (
            "group-stable",
            "generation {a} is stable: the leader's assignment is in the log",
            "GroupMetadataManager.classicGroupSync",
        ),
        Rule::GroupEmpty => (
            "group-empty",
            "no member is left; the offsets stay",
            "ClassicGroup.initNextGeneration",
        ),
        Rule::GroupLoaded => (
            "group-loaded",
            "took the group over from its log, in generation {a}",
            "CoordinatorLoaderImpl",
        ),
        Rule::MemberExpired => (
            "member-expired",
            "{m} is out: no heartbeat for session.timeout.ms, or it was late to join or sync",
            "GroupMetadataManager.expireClassicGroupMemberHeartbeat",
        ),
        Rule::OffsetCommitted => (
            "offset-committed",
            "committed offset {b} → {a}: the commit is below the high watermark of \
             __consumer_offsets",
            "OffsetMetadataManager",
        ),
        Rule::OffsetExpired => (
            "offset-expired",
            "the committed offset {b} is forgotten: the group was empty for \
             offsets.retention.minutes (a group without members: as long after the commit)",
            "OffsetMetadataManager.cleanupExpiredOffsets, KIP-211",
        ),
        Rule::GroupDeleted => (
            "group-deleted",
            "the empty group is deleted: it has no offset left",
            "GroupCoordinatorShard.cleanupGroupMetadata",
        ),
        Rule::OffsetCommitRefused => (
            "offset-commit-refused",
            "a commit of {m} in generation {b} was refused: {e}",
            "ClassicGroup.validateOffsetCommit",
        ),
        Rule::PartitionAssigned => (
            "partition-assigned",
            "owns it from now on, in generation (KIP-848: epoch) {a}",
            "ConsumerCoordinator.onJoinComplete, AbstractMembershipManager.assignPartitions",
        ),
        Rule::PartitionKept => (
            "partition-kept",
            "keeps it, also in generation (KIP-848: epoch) {a}, and reads on",
            "ConsumerCoordinator.onJoinComplete, KIP-429, KIP-848",
        ),
        Rule::PartitionRevoked => (
            "partition-revoked",
            "gave it up at position {b}: a rebalance asks for it (KIP-429: only if it goes to \
             another member)",
            "ConsumerCoordinator.onJoinPrepare, KIP-429",
        ),
        Rule::PartitionLost => (
            "partition-lost",
            "lost it at position {b}: the group has gone on without this member",
            "ConsumerRebalanceListener.onPartitionsLost",
        ),
        Rule::PollIntervalExceeded => (
            "poll-interval-exceeded",
            "did not call poll() for max.poll.interval.ms: its heartbeat thread left the group",
            "AbstractCoordinator.HeartbeatThread",
        ),
        Rule::CommitFailed => (
            "commit-failed",
            "CommitFailedException: {e}",
            "ConsumerCoordinator.OffsetCommitResponseHandler",
        ),
        Rule::Modern(rule) => super::modern_why::text(rule),
        Rule::Sought => (
            "position-sought",
            "the application goes from {b} to {a} (-1: where the leader says)",
            "KafkaConsumer.seek, seekToBeginning, seekToEnd, offsetsForTimes",
        ),
        Rule::CommittedByHand => (
            "committed-by-hand",
            "an application that is no member of the group commits the offset {a} to it",
            "KafkaConsumer.assign, commitAsync",
        ),
        _ => ("rule", "{b} → {a}", ""),
    }
}

/// A note in words.
#[must_use]
pub(super) fn words(note: &GroupNote) -> String {
    let (_, template, _) = text(note.rule);
    let error = usize::try_from(note.after)
        .ok()
        .and_then(|it| ErrorCode::ALL.get(it));
    let place = note
        .tp
        .map_or_else(String::new, |tp| format!("partition {}: ", tp.partition));
    let said = template
        .replace("{b}", &note.before.to_string())
        .replace("{a}", &note.after.to_string())
        .replace(
            "{m}",
            note.member
                .as_deref()
                .filter(|it| !it.is_empty())
                .unwrap_or("nobody"),
        )
        .replace("{e}", error.map_or("?", |it| it.name()));
    format!("group {}: {place}{said}", note.group)
}
