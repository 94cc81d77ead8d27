//! The coordinator of consumer groups: one for each partition of `__consumer_offsets` that this
//! broker leads.
//!
//! Follows `GroupCoordinatorService`, `CoordinatorRuntime` and `OffsetMetadataManager`. What a
//! group decides is in [`crate::kafka::rules::classic_group`]; here its answers are sent, its
//! records appended, and whoever waits for a record is answered once the high watermark has passed
//! it. A broker that becomes leader of a partition replays its log first and refuses requests with
//! COORDINATOR_LOAD_IN_PROGRESS meanwhile; one that is leader no longer forgets it all.
//!
//! Kafka undoes a change whose record could not be written by going back to a snapshot; here an
//! append that is refused leaves the state as it was. Left out: deletion of groups and offsets on
//! request, batching of appends (`group.coordinator.append.linger.ms`).

mod expiry;
mod loading;
mod modern;
mod requests;
mod share;
mod storage;
mod txn;

pub(super) use storage::INTERNAL;

use super::alarm::Alarm;
use super::purgatory::Wake;
use super::{Broker, BrokerTimer, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, OFFSETS_TOPIC, partition_for};
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::rules::classic_group::{ClassicGroup, GroupSettings, Name, State, Stored, Turn};
use crate::kafka::rules::modern_group::ConsumerGroup;
use crate::kafka::rules::share_group::ShareGroup;
use crate::kernel::{MILLISECOND, Nanos, NodeId};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// All coordinators of a broker. There are none as long as the topic does not exist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct GroupCoordinator {
    topic: TopicId,
    /// By partition of `__consumer_offsets`, those that this broker leads.
    shards: BTreeMap<u16, Shard>,
    alarm: Alarm,
    /// Member ids made so far; they stand for Kafka's random UUIDs.
    member_ids: u64,
    /// Commits of transactions that are being verified, by client and correlation id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    verifying: BTreeMap<(NodeId, u32), txn::Verifying>,
}

/// The groups of one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Shard {
    /// In which this broker leads the partition.
    leader_epoch: i32,
    /// The log is still being read, until then, ns.
    loading_until: Option<Nanos>,
    groups: BTreeMap<Name, ClassicGroup>,
    /// Those of the consumer protocol (KIP-848).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    modern: BTreeMap<Name, ConsumerGroup>,
    /// Share groups (KIP-932).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    share: BTreeMap<Name, ShareGroup>,
    /// Committed offsets by group and partition; only what is below the high watermark.
    offsets: BTreeMap<Name, BTreeMap<TopicPartition, Kept>>,
    /// Offsets of transactions that have no marker yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pending_txns: txn::PendingOffsets,
    /// Appended and not yet committed, in order of the log.
    pending: VecDeque<Pending>,
    /// When to look for offsets whose time is up, ns.
    expire_at: Nanos,
}

/// A committed offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Kept {
    committed: CommittedOffset,
    /// When, by the wall clock of the coordinator that wrote it, ms.
    at_ms: i64,
}

/// A write that waits for the high watermark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Pending {
    /// It is committed when the high watermark reaches this.
    needs: i64,
    /// When the writer is told that it took too long, ns.
    deadline: Nanos,
    /// When the append is on the leader's disk.
    written: Nanos,
    group: Name,
    what: Written,
}

/// What was written, and who waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Written {
    /// A group; `None` once nobody waits.
    Group(Option<Stored>),
    /// Offsets, and the request that committed them.
    Offsets {
        offsets: Vec<CommittedOffset>,
        /// By the coordinator's wall clock, ms.
        at_ms: i64,
        answer_to: Option<(NodeId, u32)>,
    },
    /// Offsets of a transaction, and the request that sent them.
    TxnOffsets(Option<(NodeId, u32)>),
    /// The end of a producer's transaction.
    TxnEnd { producer: i64, commits: bool },
    /// These offsets are forgotten.
    Expired(Vec<TopicPartition>),
    /// Something of a group of the consumer protocol, and the heartbeat that it answers.
    Consumer(Option<modern::Answer>),
}

impl GroupCoordinator {
    fn new(topic: TopicId) -> Self {
        GroupCoordinator {
            topic,
            shards: BTreeMap::new(),
            alarm: Alarm::default(),
            member_ids: 0,
            verifying: BTreeMap::new(),
        }
    }
}

/// Which group of which shard a call is about.
#[derive(Clone, Debug)]
struct Place {
    partition: u16,
    group: Name,
}

impl Broker {
    /// The number of `__consumer_offsets` and of its partitions, if it exists.
    fn offsets_topic(&self) -> Option<(TopicId, u16)> {
        let image = self.meta.image();
        let (topic, _) = image.topics.iter().find(|(_, it)| *it == OFFSETS_TOPIC)?;
        let first = TopicPartition {
            topic: *topic,
            partition: 0,
        };
        let own = image.partitions.range(first..);
        let count = own.take_while(|(tp, _)| tp.topic == *topic).count();
        Some((*topic, u16::try_from(count).unwrap_or(u16::MAX)))
    }

    /// The partition that holds a group, if the topic exists.
    pub(super) fn partition_of_group(&self, group: &str) -> Option<TopicPartition> {
        let (topic, count) = self.offsets_topic()?;
        let partition = partition_for(group, count);
        (count > 0).then_some(TopicPartition { topic, partition })
    }

    fn group_settings(&self) -> GroupSettings {
        GroupSettings {
            initial_rebalance_delay_ms: self.config.group_initial_rebalance_delay_ms,
            min_session_timeout_ms: self.config.group_min_session_timeout_ms,
            max_session_timeout_ms: self.config.group_max_session_timeout_ms,
            max_size: self.config.group_max_size,
            ..GroupSettings::default()
        }
    }

    fn shard(&mut self, partition: u16) -> Option<&mut Shard> {
        self.groups.as_mut()?.shards.get_mut(&partition)
    }

    /// Calls a group, does what comes of it, and tells what changed.
    fn call_group<T>(
        &mut self,
        place: &Place,
        cx: &mut KafkaCx<'_>,
        call: impl FnOnce(&mut ClassicGroup, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let settings = self.group_settings();
        let mut turn = Turn::at(now_ms(cx), &settings);
        let shard = self.shard(place.partition)?;
        let group = shard.groups.get_mut(&place.group)?;
        let before = (group.state(), group.generation());
        let result = call(group, &mut turn);
        let after = (group.state(), group.generation());
        let due = group.next_deadline();
        let effects = turn.effects;
        self.note_group_changes(&place.group, before, after, cx);
        self.watch_groups(due, cx);
        for effect in effects {
            self.carry_out(place, effect, cx);
        }
        Some(result)
    }

    /// Makes sure that someone looks at this deadline of a group, ms.
    fn watch_groups(&mut self, due_ms: Option<i64>, cx: &mut KafkaCx<'_>) {
        if let (Some(at), Some(groups)) = (due_ms, self.groups.as_mut()) {
            groups.alarm.by(span(at), BrokerTimer::Groups, cx);
        }
    }

    fn watch_groups_at(&mut self, at: Nanos, cx: &mut KafkaCx<'_>) {
        if let Some(groups) = self.groups.as_mut() {
            groups.alarm.by(at, BrokerTimer::Groups, cx);
        }
    }

    pub(super) fn on_groups_timer(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(groups) = self.groups.as_mut() else {
            return;
        };
        groups.alarm.fired();
        let now = cx.now();
        let partitions: Vec<u16> = groups.shards.keys().copied().collect();
        for partition in partitions {
            self.finish_loading(partition, cx);
            self.expire_writes(partition, cx);
            self.expire_groups(partition, cx);
            self.expire_offsets(partition, cx);
            self.expire_consumer_groups(partition, cx);
            self.expire_share_groups(partition, cx);
        }
        if let Some(at) = self.next_group_deadline(now) {
            self.watch_groups_at(at, cx);
        }
    }

    fn next_group_deadline(&self, now: Nanos) -> Option<Nanos> {
        let shards = self.groups.iter().flat_map(|it| it.shards.values());
        let deadlines = shards.flat_map(|shard| {
            let groups = shard
                .groups
                .values()
                .filter_map(ClassicGroup::next_deadline);
            let modern = shard
                .modern
                .values()
                .filter(|_| shard.loading_until.is_none());
            let groups = groups.chain(modern.filter_map(ConsumerGroup::next_deadline));
            let shares = shard.share.values().filter_map(ShareGroup::next_deadline);
            let groups = groups.chain(shares);
            let writes = shard.pending.iter().filter(|it| it.waits());
            let writes = writes.map(|it| it.deadline);
            let others = [shard.loading_until.unwrap_or(shard.expire_at)];
            groups.map(span).chain(writes).chain(others)
        });
        deadlines.min().map(|at| at.max(now))
    }

    fn expire_groups(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now_ms = now_ms(cx);
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let due = shard
            .groups
            .iter()
            .filter(|(_, group)| group.next_deadline().is_some_and(|at| at <= now_ms));
        let due: Vec<Name> = due.map(|(name, _)| Arc::clone(name)).collect();
        for group in due {
            let place = Place { partition, group };
            let out = self.call_group(&place, cx, ClassicGroup::expire);
            for member in out.into_iter().flatten() {
                let at = self.generation_of(&place);
                self.note_group(Rule::MemberExpired, &place.group, Some(member), at, at, cx);
            }
        }
    }

    fn generation_of(&mut self, place: &Place) -> i64 {
        let group = self
            .shard(place.partition)
            .and_then(|it| it.groups.get(&place.group));
        group.map_or(-1, |it| i64::from(it.generation()))
    }

    /// The high watermark of a partition rose, or its leadership changed.
    pub(super) fn on_group_wake(&mut self, wake: Wake, cx: &mut KafkaCx<'_>) {
        if let Wake::HighWatermark(tp) = wake
            && self.groups.as_ref().is_some_and(|it| it.topic == tp.topic)
        {
            self.complete_writes(tp.partition, cx);
        }
    }

    fn note_group_changes(
        &self,
        group: &Name,
        before: (State, i32),
        after: (State, i32),
        cx: &mut KafkaCx<'_>,
    ) {
        let (old, new) = (i64::from(before.1), i64::from(after.1));
        if old != new {
            self.note_group(Rule::GroupGeneration, group, None, old, new, cx);
        }
        if before.0 == after.0 {
            return;
        }
        let rule = match after.0 {
            State::PreparingRebalance => Rule::GroupPreparing,
            State::Stable => Rule::GroupStable,
            State::Empty => Rule::GroupEmpty,
            // A generation says it; and a group that died has no more to say.
            State::CompletingRebalance | State::Dead => return,
        };
        self.note_group(rule, group, None, old, new, cx);
    }

    fn note_group(
        &self,
        rule: Rule,
        group: &Name,
        member: Option<Name>,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let note = GroupNote {
            node: cx.me(),
            rule,
            group: Arc::clone(group),
            member,
            tp: None,
            before,
            after,
            record: None,
        };
        cx.note(Note::Group(Box::new(note)));
    }

    /// What an onlooker sees of the groups that this broker coordinates.
    pub fn groups(&self) -> impl Iterator<Item = (&Name, &ClassicGroup)> + '_ {
        let shards = self.groups.iter().flat_map(|it| it.shards.values());
        shards.flat_map(|shard| shard.groups.iter())
    }

    /// The offset of a partition that a group has committed, if this broker coordinates it.
    #[must_use]
    pub fn committed_offset(&self, group: &str, tp: TopicPartition) -> Option<i64> {
        let mut shards = self.groups.iter().flat_map(|it| it.shards.values());
        let offsets = shards.find_map(|shard| shard.offsets.get(group))?;
        offsets.get(&tp).map(|it| it.committed.offset)
    }

    /// Whether this broker coordinates a group, its log read.
    #[must_use]
    pub fn coordinates(&self, group: &str) -> bool {
        let mut shards = self.groups.iter().flat_map(|it| it.shards.values());
        shards.any(|it| {
            let known = it.groups.contains_key(group) || it.modern.contains_key(group);
            it.loading_until.is_none() && known
        })
    }
}

impl Pending {
    /// Whether somebody waits for it.
    fn waits(&self) -> bool {
        match &self.what {
            Written::Group(stored) => stored.is_some(),
            Written::Offsets { answer_to, .. } => answer_to.is_some(),
            Written::TxnOffsets(answer_to) => answer_to.is_some(),
            Written::Expired(_) | Written::TxnEnd { .. } => false,
            Written::Consumer(answer) => answer.is_some(),
        }
    }
}

/// The groups' clock, ms.
fn now_ms(cx: &KafkaCx<'_>) -> i64 {
    i64::try_from(cx.now() / MILLISECOND).unwrap_or(i64::MAX)
}

/// What a member is told when a record could not be written
/// (`appendGroupMetadataErrorToResponseError`).
fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
