//! Answers to "why?": each rule in words with its source, and the chain from a value to its causes.

use super::facts::Cluster;
use super::ids::{BrokerId, TopicPartition};
use super::modern_why::ModernRule;
use super::note::{Note, Rule};
use super::rules::cleaner::Removal;
use super::truth::Logs;
use crate::kernel::{NodeId, World};
use crate::log::RecordId;
use crate::systems::Node;
use std::collections::BTreeMap;

/// A rule's name, what it did (`{b}` before, `{a}` after, `{o}` the other broker, `{c}`
/// the client whose node stands before) and its source.
#[must_use]
pub fn rule_text(rule: Rule) -> (&'static str, &'static str, &'static str) {
    match rule {
        Rule::HighWatermark => (
            "high-watermark",
            "high watermark {b} → {a}: every replica that counts has reported {a} by fetching from there",
            "Partition.maybeIncrementLeaderHW",
        ),
        Rule::FollowerHighWatermark => (
            "follower-high-watermark",
            "took the leader's high watermark from the fetch response: {b} → {a}",
            "ReplicaFetcherThread",
        ),
        Rule::Append => (
            "append",
            "log end {b} → {a}: records were appended",
            "UnifiedLog.append",
        ),
        Rule::Truncate => (
            "truncate",
            "log cut back from {b} to {a}: what lies behind was not the leader's",
            "KIP-101, KIP-279",
        ),
        Rule::IsrShrinkProposed => (
            "isr-shrink",
            "asked the controller to shrink the ISR from {b} to {a}: a follower had not caught up \
             for replica.lag.time.max.ms",
            "Partition.maybeShrinkIsr",
        ),
        Rule::IsrExpandProposed => (
            "isr-expand",
            "asked the controller to expand the ISR from {b} to {a}: a follower has caught up with \
             the high watermark and with this leader's epoch",
            "Partition.maybeExpandIsr, KIP-497",
        ),
        Rule::IsrChanged => (
            "isr-changed",
            "the ISR has {a} members (it had {b})",
            "AlterPartition",
        ),
        Rule::ElrChanged => (
            "elr-changed",
            "the ELR has {a} members (it had {b})",
            "KIP-966",
        ),
        Rule::BecameLeader => (
            "became-leader",
            "leads from now on, in epoch {a}",
            "ReplicaManager.applyDelta",
        ),
        Rule::BecameFollower => (
            "became-follower",
            "follows from now on, in epoch {a}",
            "ReplicaManager.applyDelta",
        ),
        Rule::LeaderElected => (
            "leader-elected",
            "the controller made broker {a} leader in place of {b}: the first live replica in \
             preference order that is in the ISR",
            "PartitionChangeBuilder.electLeader",
        ),
        Rule::UncleanLeaderElected => (
            "unclean-leader-elected",
            "the controller made broker {a} leader although it is in neither ISR nor ELR",
            "PartitionChangeBuilder.electLeader",
        ),
        Rule::BrokerRegistered => (
            "broker-registered",
            "broker {o} registered with broker epoch {a}",
            "ClusterControlManager",
        ),
        Rule::BrokerFenced => (
            "broker-fenced",
            "broker {o} was fenced: no heartbeat for broker.session.timeout.ms",
            "BrokerHeartbeatManager",
        ),
        Rule::BrokerUnfenced => (
            "broker-unfenced",
            "broker {o} was unfenced",
            "BrokerHeartbeatManager",
        ),
        Rule::ControlledShutdown => (
            "controlled-shutdown",
            "broker {o} shuts down in order",
            "BrokerHeartbeatManager",
        ),
        Rule::QuorumProspective => (
            "quorum-prospective",
            "heard nothing from the quorum's leader and asks for pre-votes (epoch {a})",
            "KIP-996",
        ),
        Rule::QuorumCandidate => (
            "quorum-candidate",
            "stands for election in epoch {a}",
            "KIP-595",
        ),
        Rule::QuorumLeader => (
            "quorum-leader",
            "a majority voted: leads the quorum in epoch {a}",
            "KIP-595",
        ),
        Rule::QuorumResigned => (
            "quorum-resigned",
            "resigned in epoch {b}: a majority had not fetched for 1.5 × fetch timeout",
            "KafkaRaftClient, LeaderState",
        ),
        Rule::Refused => ("refused", "refused a request", "Errors"),
        Rule::ProduceParked => (
            "produce-parked",
            "an acks=all write waits until the high watermark has passed offset {a}",
            "DelayedProduce",
        ),
        Rule::SegmentsTiered => (
            "segments-tiered",
            "closed segments with offsets {b} to {a} were copied to remote storage: they end below \
             the last stable offset",
            "RemoteLogManager, KIP-405",
        ),
        Rule::LocalLogStart => (
            "local-log-start",
            "the local disk begins at {a} (it began at {b}): what was copied and is older than \
             local.retention.* went",
            "UnifiedLog.deleteOldSegments, KIP-405",
        ),
        Rule::RemoteRead => (
            "remote-read",
            "offset {b} is on no local disk, which begins at {a}: remote storage answers",
            "DelayedRemoteFetch, KIP-405",
        ),
        Rule::BuiltFromRemote => (
            "built-from-remote",
            "OFFSET_MOVED_TO_TIERED_STORAGE: starts at {a} like its leader's local disk (it was at \
             {b}), with the epochs of what is in remote storage",
            "TierStateMachine, KIP-405",
        ),
        Rule::DiskRead => (
            "disk-read",
            "{b} bytes are in the page cache no more: the answer waits {a} ms for the disk, and what \
             was not used for longest makes room",
            "docs/design/design.md, persistence",
        ),
        Rule::ReassignmentBegun => (
            "reassignment-begun",
            "a reassignment begins: {a} replicas until the new ones are in sync (it had {b})",
            "ReplicationControlManager.alterPartitionReassignments",
        ),
        Rule::ReassignmentDone => (
            "reassignment-done",
            "the reassignment is over: all {a} replicas that stay are in sync, and of {b} the others \
             give their logs up",
            "PartitionReassignmentReplicas",
        ),
        Rule::ReplicationThrottled => (
            "replication-throttled",
            "replication to a replica out of sync waits: {b} bytes/s are above the limit of {a}",
            "ReplicationQuotaManager, KIP-73",
        ),
        Rule::ClientThrottled => (
            "client-throttled",
            "{c} is over its quota: nothing is read from its connection for {a} ms",
            "ClientQuotaManager, KIP-219",
        ),
        Rule::LogCompacted => (
            "log-compacted",
            "compacted: what was dirty from offset {b} on is clean up to {a}",
            "LogCleaner, Cleaner.doClean",
        ),
        Rule::CompactedRecords => (
            "compaction-superseded",
            "compaction went through {b} records and kept {a}: of the others, a later record has \
             the same key",
            "Cleaner.shouldRetainRecord",
        ),
        Rule::TombstonesRemoved => (
            "tombstones-removed",
            "compaction removed {a} tombstones: delete.retention.ms has passed since the pass that \
             first kept them",
            "Cleaner.shouldRetainRecord",
        ),
        Rule::DeleteHorizonSet => (
            "delete-horizon",
            "compaction keeps the tombstones or markers in {a} batches, for delete.retention.ms \
             from now",
            "MemoryRecords.filterTo",
        ),
        Rule::AbortedRemoved => (
            "aborted-removed",
            "compaction removed {a} records of aborted transactions",
            "CleanedTransactionMetadata",
        ),
        Rule::MarkersRemoved => (
            "markers-removed",
            "compaction removed {a} transaction markers: nothing of their transactions is left",
            "CleanedTransactionMetadata",
        ),
        Rule::LogStart => (
            "log-start",
            "log start {b} → {a}: retention",
            "UnifiedLog.deleteOldSegments",
        ),
        Rule::LostUnflushed => (
            "lost-unflushed",
            "the log came back with end {a} instead of {b}: the rest was in the page cache only",
            "docs/operations/hardware-and-os.md",
        ),
        Rule::LostDisk => (
            "lost-disk",
            "the broker came back with an empty disk: the log that ended at {b} is gone",
            "Partition",
        ),
        Rule::PositionReset => (
            "position-reset",
            "position {b} → {a}",
            "SubscriptionState, KIP-320",
        ),
        Rule::PositionLost => (
            "position-lost",
            "position {b} is none that it can read from, and there is no reset policy",
            "ConsumerConfig auto.offset.reset=none",
        ),
        Rule::Retry => ("retry", "tries a batch again (attempt {a})", "Sender"),
        Rule::ProducerEpochBump => ("producer-epoch", "producer epoch {b} → {a}", "KIP-360"),
        Rule::MetadataReplayed => (
            "metadata",
            "knows the metadata up to offset {a}",
            "MetadataLoader",
        ),
        Rule::QuorumUnattached => (
            "quorum-unattached",
            "knows no leader of the quorum; epoch {b} → {a}",
            "KIP-595",
        ),
        Rule::QuorumFollower => (
            "quorum-follower",
            "follows controller {o}, which leads epoch {a} (it was in epoch {b})",
            "KIP-595",
        ),
        Rule::ControllerActive => (
            "controller-active",
            "a record of its own epoch {a} is committed: it is the active controller, and every \
             broker's session starts anew",
            "QuorumController.claim",
        ),
        other => super::txn_why::text(other).unwrap_or_else(|| super::group_why::text(other)),
    }
}

/// Where a rule fired and what it did, in words.
#[must_use]
pub fn rule_words(note: &Note, names: &[String]) -> (String, String) {
    if let Note::Group(note) = note {
        let name = names.get(note.node.0 as usize).cloned().unwrap_or_default();
        return (name, super::group_why::words(note));
    }
    let Note::Rule {
        node,
        rule,
        tp,
        broker,
        before,
        after,
    } = note
    else {
        return (String::new(), String::new());
    };
    let (_, template, _) = rule_text(*rule);
    let text = template
        .replace("{b}", &before.to_string())
        .replace("{a}", &after.to_string())
        .replace("{c}", node_name(*before, names))
        .replace(
            "{o}",
            &broker.map_or_else(|| "?".to_owned(), |b| b.to_string()),
        );
    let place = tp.map_or_else(String::new, |tp| format!("partition {}: ", tp.partition));
    let name = names.get(node.0 as usize).cloned().unwrap_or_default();
    (name, format!("{place}{text}"))
}

/// The name of a node by its number, if that is one.
fn node_name(number: i64, names: &[String]) -> &str {
    let known = usize::try_from(number).ok().and_then(|at| names.get(at));
    known.map_or("?", String::as_str)
}

/// What among the notes of one step a timeline should mark: brokers that take over partitions,
/// partitions that lose their leader or get one that was not in sync, and another leader of the
/// quorum. The first leaders belong to the start of a cluster and are none. Partitions that change
/// hands in one step share one text.
#[must_use]
pub fn milestones<'a>(
    notes: impl Iterator<Item = &'a Note>,
    world: &World<Node>,
    names: &[String],
) -> Vec<String> {
    let cluster = Cluster(world);
    let mut changed: BTreeMap<(Rule, i64), Vec<(TopicPartition, i64)>> = BTreeMap::new();
    for note in notes {
        let Note::Rule {
            node,
            rule,
            tp,
            after,
            ..
        } = note
        else {
            continue;
        };
        match (rule, tp) {
            (Rule::QuorumLeader, _) if *after > 1 => {
                let first = TopicPartition::default();
                let key = (*rule, i64::from(node.0));
                changed.entry(key).or_default().push((first, *after));
            }
            (Rule::BecameLeader, Some(tp)) if *after > 0 => {
                // A broker that replays old metadata passes through what is no longer so.
                let now = cluster.image().and_then(|image| image.partitions.get(tp));
                if now.is_some_and(|p| i64::from(p.leader_epoch) == *after) {
                    let key = (*rule, i64::from(node.0));
                    changed.entry(key).or_default().push((*tp, *after));
                }
            }
            (Rule::LeaderElected, Some(tp)) if *after < 0 => {
                changed
                    .entry((*rule, *after))
                    .or_default()
                    .push((*tp, *after));
            }
            (Rule::UncleanLeaderElected, Some(tp)) => {
                changed
                    .entry((*rule, *after))
                    .or_default()
                    .push((*tp, *after));
            }
            _ => {}
        }
    }
    let name = |node: Option<NodeId>| {
        let name = node.and_then(|n| names.get(n.0 as usize));
        name.map_or("?", String::as_str)
    };
    let mut texts = Vec::new();
    for ((rule, about), which) in changed {
        let (partitions, epoch) = match which.as_slice() {
            [(tp, epoch)] => {
                let named = cluster.image().map(|image| image.name(*tp));
                (named.unwrap_or_default(), format!(" in epoch {epoch}"))
            }
            many => (format!("{} partitions", many.len()), String::new()),
        };
        let node = u32::try_from(about).ok().map(NodeId);
        let broker = BrokerId::try_from(about).ok();
        let broker = broker.and_then(|b| cluster.node_of(b));
        texts.push(match rule {
            Rule::QuorumLeader => format!("{} leads the quorum{epoch}", name(node)),
            Rule::BecameLeader => format!("{} leads {partitions}{epoch}", name(node)),
            Rule::LeaderElected => format!("no leader is left for {partitions}"),
            _ => format!("{}, not in sync, is elected for {partitions}", name(broker)),
        });
    }
    texts
}

/// What a note tells of one record's life, if anything.
#[must_use]
pub fn life_words(
    note: &Note,
    record: RecordId,
    world: &World<Node>,
    names: &[String],
) -> Option<String> {
    let name = |node: NodeId| names.get(node.0 as usize).map_or("?", String::as_str);
    Some(match note {
        Note::Sent {
            node, record: r, ..
        } if *r == record => {
            format!("{}: given to send()", name(*node))
        }
        Note::Derived {
            node,
            record: r,
            input,
        } if *r == record => format!(
            "{}: made of record {} of {}",
            name(*node),
            input.0 & ((1 << 40) - 1),
            name(NodeId((input.0 >> 40) as u32))
        ),
        Note::Acknowledged {
            node,
            record: r,
            offset,
            ..
        } if *r == record => {
            if *offset < 0 {
                format!("{}: taken as written (acks=0 asks nobody)", name(*node))
            } else {
                format!("{}: acknowledged at offset {offset}", name(*node))
            }
        }
        Note::Failed {
            node,
            record: r,
            error,
        } if *r == record => {
            format!("{}: given up with {}", name(*node), error.name())
        }
        Note::Stored {
            node,
            record: r,
            offset,
            as_leader,
            ..
        } if *r == record => {
            let role = if *as_leader { "leader" } else { "follower" };
            format!("{}: appended as {role} at offset {offset}", name(*node))
        }
        Note::Compacted {
            node,
            record: r,
            offset,
            why,
            ..
        } if *r == record => {
            let why = match why {
                Removal::Superseded(by) => format!("offset {by} has the same key"),
                Removal::Tombstone => "a tombstone whose time was up".to_owned(),
                Removal::Aborted => "its transaction was aborted".to_owned(),
                Removal::Unkeyed => "it has no key".to_owned(),
            };
            format!(
                "{}: removed from offset {offset} by compaction: {why}",
                name(*node)
            )
        }
        Note::Delivered {
            node,
            record: r,
            offset,
            ..
        } if *r == record => {
            format!(
                "{}: handed to the application (offset {offset})",
                name(*node)
            )
        }
        Note::Rule {
            node,
            rule: Rule::HighWatermark,
            tp: Some(tp),
            before,
            after,
            ..
        } => {
            let log = Logs(world).log(*node, *tp)?;
            let passed = log
                .records(*before, *after)
                .find(|(_, _, r)| r.id == record)?;
            format!(
                "{}: below the high watermark {after} (offset {})",
                name(*node),
                passed.0
            )
        }
        _ => return None,
    })
}

/// What a subject such as `n0/orders-0/hw` asks for: node (if any), partition name, value.
#[must_use]
pub fn subject(text: &str) -> Option<(Option<NodeId>, &str, &str)> {
    let mut parts = text.split('/');
    let first = parts.next()?;
    match first.strip_prefix('n').and_then(|n| n.parse::<u32>().ok()) {
        Some(node) => Some((Some(NodeId(node)), parts.next()?, parts.next()?)),
        None => Some((None, first, parts.next()?)),
    }
}

/// Whether a note explains what a group has committed of a partition.
#[must_use]
pub fn explains_commit(note: &Note, group: &str, at: TopicPartition) -> bool {
    let Note::Group(note) = note else {
        return false;
    };
    let commits = matches!(note.rule, Rule::OffsetCommitted | Rule::OffsetExpired);
    commits && note.tp == Some(at) && *note.group == *group
}

/// Whether a rule note explains a value.
#[must_use]
pub fn explains(note: &Note, node: Option<NodeId>, at: TopicPartition, what: &str) -> bool {
    let Note::Rule {
        node: by, rule, tp, ..
    } = note
    else {
        return false;
    };
    if *tp != Some(at) || node.is_some_and(|node| node != *by) {
        return false;
    }
    match what {
        "hw" => matches!(rule, Rule::HighWatermark | Rule::FollowerHighWatermark),
        "leo" => matches!(
            rule,
            Rule::Append | Rule::Truncate | Rule::LostUnflushed | Rule::LostDisk
        ),
        "role" | "epoch" => matches!(rule, Rule::BecameLeader | Rule::BecameFollower),
        "start" => matches!(
            rule,
            Rule::LogStart | Rule::Modern(ModernRule::ShareStatePruned)
        ),
        "lso" => matches!(rule, Rule::TxnMarker),
        "segments" | "clean" => matches!(rule, Rule::LogCompacted | Rule::LogStart),
        "isr" => matches!(
            rule,
            Rule::IsrChanged | Rule::LeaderElected | Rule::UncleanLeaderElected
        ),
        "replicas" => matches!(rule, Rule::ReassignmentBegun | Rule::ReassignmentDone),
        "elr" => matches!(rule, Rule::ElrChanged),
        _ => false,
    }
}
