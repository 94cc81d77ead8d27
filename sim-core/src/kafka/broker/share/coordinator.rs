//! The share coordinator of each partition of `__share_group_state` that this broker leads.
//!
//! Follows `ShareCoordinatorService` and `CoordinatorRuntime`; what it decides is in
//! [`crate::kafka::rules::share_state`]. A write is answered once the high watermark has passed its
//! record, and a read once it has passed all that was written before. A new coordinator replays the
//! whole log first, its end included, as a leader's log is the truth of its epoch. From time to time
//! it moves the start of its log to where what is still needed begins.

use super::super::{Broker, respond, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::partition_for;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Acks, Response};
use crate::kafka::rules::share_state::{ShareKey, ShareRecord, ShareStates};
use crate::kafka::share_protocol::{SHARE_STATE_TOPIC, ShareRequest, ShareResponse};
use crate::kernel::{MILLISECOND, Nanos, NodeId, Purpose, mix};
use crate::log::{Batch, KeyId, ProducerStamp, Record, RecordId};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Stands in for the ledger's number in records that no application sent.
const INTERNAL: RecordId = RecordId(u64::MAX);
const KEY: Purpose = Purpose::named("share.record-key");
/// To open a log and hand the partition over, and reading it at 1 GB/s: round figures.
const LOAD_BASE: Nanos = MILLISECOND;
const LOAD_PER_BYTE: Nanos = 1;

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Asker {
    /// Another broker: node and correlation id.
    Remote(NodeId, u32),
    /// This broker, by the number of its question.
    Own(u32),
}

/// The coordinator; there is none as long as this broker leads no partition of the topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct ShareCoordinator {
    topic: TopicId,
    /// When it looks next for records that are needed no more, ns.
    prune_at: Nanos,
    shards: BTreeMap<u16, Shard>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Shard {
    leader_epoch: i32,
    /// Its log is being read, until then, ns.
    loading_until: Option<Nanos>,
    states: ShareStates,
    /// Answers that wait for the high watermark, in order.
    pending: VecDeque<Pending>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Pending {
    needs: i64,
    deadline: Nanos,
    to: Asker,
    answer: ShareResponse,
}

impl ShareCoordinator {
    /// When something of it is due, ns.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        let shards = self.shards.values();
        let due = shards.flat_map(|it| {
            let writes = it.pending.iter().map(|it| it.deadline);
            writes.chain(it.loading_until)
        });
        due.chain([self.prune_at]).min()
    }

    fn tp(&self, partition: u16) -> TopicPartition {
        let topic = self.topic;
        TopicPartition { topic, partition }
    }
}

impl Broker {
    /// Which partition of `__share_group_state` keeps a partition of a group, and its live leader
    /// (`SharePartitionKey.asCoordinatorKey`; topics have numbers here, not ids).
    pub(super) fn share_coordinator(&self, (group, tp): &ShareKey) -> Option<(BrokerId, u16)> {
        let image = self.meta.image();
        let mut topics = image.topics.iter();
        let (topic, _) = topics.find(|(_, name)| *name == SHARE_STATE_TOPIC)?;
        let topic = *topic;
        let first = TopicPartition {
            topic,
            partition: 0,
        };
        let own = image.partitions.range(first..);
        let count = own.take_while(|(it, _)| it.topic == topic).count();
        let key = format!("{group}:{}:{}", tp.topic.0, tp.partition);
        let partition = partition_for(&key, u16::try_from(count).unwrap_or(u16::MAX));
        let registered = image.partitions.get(&TopicPartition { topic, partition })?;
        let live = image.brokers.get(&registered.leader)?;
        (!live.fenced).then_some((registered.leader, partition))
    }

    fn share_shard(&mut self, partition: u16) -> Option<&mut Shard> {
        let coordinator = self.share.as_mut()?.coordinator.as_mut()?;
        coordinator.shards.get_mut(&partition)
    }

    /// The metadata says something new about a partition.
    pub(in super::super) fn share_partition_changed(
        &mut self,
        tp: TopicPartition,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = self.meta.image();
        let name = image.topics.get(&tp.topic);
        if name.is_none_or(|it| it != SHARE_STATE_TOPIC) {
            return;
        }
        let registered = image.partitions.get(&tp);
        let leads = registered.filter(|it| it.leader == self.id);
        let epoch = leads.map(|it| it.leader_epoch);
        let known = self.share_shard(tp.partition);
        if epoch == known.as_ref().map(|it| it.leader_epoch) {
            return;
        }
        let lost = known.map(|it| std::mem::take(&mut it.pending));
        for it in lost.into_iter().flatten() {
            self.refuse_state(it.to, &it.answer, ErrorCode::NotCoordinator, cx);
        }
        let bytes = self.partitions.get(tp).map_or(0, |it| it.log.log().bytes());
        let read = bytes.saturating_mul(LOAD_PER_BYTE);
        let until = cx.now().saturating_add(read).saturating_add(LOAD_BASE);
        let shares = self.share.get_or_insert_default();
        let prune_at = cx.now().saturating_add(span(self.config.share_prune_ms));
        let fresh = || ShareCoordinator {
            topic: tp.topic,
            prune_at,
            shards: BTreeMap::new(),
        };
        let coordinator = shares.coordinator.get_or_insert_with(fresh);
        coordinator.shards.remove(&tp.partition);
        if let Some(leader_epoch) = epoch {
            let shard = Shard {
                leader_epoch,
                loading_until: Some(until),
                states: ShareStates::default(),
                pending: VecDeque::new(),
            };
            coordinator.shards.insert(tp.partition, shard);
            self.watch_shares(cx);
        }
    }

    /// Logs that are read by now, and writes that took too long.
    pub(super) fn on_share_coordinator_timer(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let mut ready = Vec::new();
        let mut late = Vec::new();
        let coordinator = self.share.as_mut().and_then(|it| it.coordinator.as_mut());
        let Some(coordinator) = coordinator else {
            return;
        };
        for (partition, shard) in &mut coordinator.shards {
            if shard.loading_until.is_some_and(|until| until <= now) {
                shard.loading_until = None;
                ready.push(*partition);
            }
            while shard.pending.front().is_some_and(|it| it.deadline <= now) {
                late.extend(shard.pending.pop_front());
            }
        }
        let topic = coordinator.topic;
        let mut prunes = Vec::new();
        if coordinator.prune_at <= now {
            coordinator.prune_at = now.saturating_add(span(self.config.share_prune_ms));
            let shards = coordinator.shards.iter();
            let done =
                |(partition, it): (&u16, &Shard)| Some((*partition, it.states.redundant_before()?));
            prunes.extend(shards.filter_map(done));
        }
        for (partition, before) in prunes {
            self.prune_share_states(TopicPartition { topic, partition }, before, cx);
        }
        for partition in ready {
            let states = self.read_share_states(TopicPartition { topic, partition });
            if let Some(shard) = self.share_shard(partition) {
                shard.states = states;
            }
        }
        for it in late {
            self.refuse_state(it.to, &it.answer, ErrorCode::RequestTimedOut, cx);
        }
    }

    /// DeleteRecords before an offset, as far as that is committed.
    fn prune_share_states(&mut self, tp: TopicPartition, before: i64, cx: &mut KafkaCx<'_>) {
        let led = self.partitions.get_mut(tp);
        let Some(led) = led.filter(|it| it.leader_state().is_some()) else {
            return;
        };
        let start = led.log.log().start_offset();
        let to = before.min(led.log.log().high_watermark());
        if led.log.maybe_increment_start_offset(to) {
            let rule = Rule::Modern(ModernRule::ShareStatePruned);
            self.note_rule(rule, Some(tp), None, start, to, cx);
            self.note_dropped(tp, start, to, true, cx);
        }
    }

    fn read_share_states(&self, tp: TopicPartition) -> ShareStates {
        let mut states = ShareStates::default();
        let Some(partition) = self.partitions.get(tp) else {
            return states;
        };
        let log = partition.log.log();
        let records = log.records(log.start_offset(), log.leo());
        // A record that cannot be read is skipped, as an unknown version is.
        let read = records.filter_map(|(at, batch, record)| {
            let value = batch.value(record.offset_delta)?;
            Some((at, postcard::from_bytes::<ShareRecord>(value).ok()?))
        });
        read.for_each(|(at, it)| states.replay(it, at));
        states
    }

    /// A leader reads or writes the state of a partition.
    pub(super) fn on_share_state(
        &mut self,
        to: Asker,
        request: ShareRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let updates = self.config.share_updates_per_snapshot;
        let (key, write) = match request {
            ShareRequest::ReadShareGroupState {
                group,
                tp,
                leader_epoch,
            } => ((group, tp), Err(leader_epoch)),
            ShareRequest::WriteShareGroupState { group, tp, written } => {
                ((group, tp), Ok(*written))
            }
            _ => return,
        };
        let mut answer = match &write {
            Ok(_) => ShareResponse::WriteShareGroupState {
                error: ErrorCode::None,
            },
            Err(_) => ShareResponse::ReadShareGroupState {
                error: ErrorCode::None,
                state: None,
            },
        };
        let place = self.share_coordinator(&key).map(|(_, partition)| partition);
        let shard = place.and_then(|it| Some((it, self.share_shard(it)?)));
        let decided = match shard {
            None => Err(ErrorCode::NotCoordinator),
            Some((_, shard)) if shard.loading_until.is_some() => {
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
            Some((partition, shard)) => match write {
                Ok(written) => {
                    let record = shard.states.write(&key, written, updates);
                    record.map(|it| (partition, Some(it)))
                }
                Err(leader_epoch) => {
                    let read = shard.states.read(&key, leader_epoch, updates);
                    read.map(|known| {
                        let (known, fence) = known.unzip();
                        if let ShareResponse::ReadShareGroupState { state, .. } = &mut answer {
                            *state = known.map(Box::new);
                        }
                        (partition, fence.flatten())
                    })
                }
            },
        };
        let kept = decided.and_then(|(partition, record)| {
            self.keep_share_state(partition, record, to, answer.clone(), cx)
        });
        if let Err(error) = kept {
            self.refuse_state(to, &answer, error, cx);
        }
    }

    /// Appends a record, if there is one, and lets the answer wait for it and those before it.
    fn keep_share_state(
        &mut self,
        partition: u16,
        record: Option<ShareRecord>,
        to: Asker,
        answer: ShareResponse,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let coordinator = self.share.as_ref().and_then(|it| it.coordinator.as_ref());
        let tp = coordinator.ok_or(ErrorCode::NotCoordinator)?.tp(partition);
        let mut at = 0;
        if let Some(record) = &record {
            let batch = batch_of(record, cx.wall_ms())?;
            let bytes = u64::from(batch.bytes);
            (at, _) = self.append(tp, batch, Acks::All, cx)?;
            cx.disk_write(bytes);
        }
        let needs = self.partitions.get(tp).map_or(0, |it| it.log.log().leo());
        let timeout = span(self.config.share_coordinator_write_timeout_ms);
        let deadline = cx.now().saturating_add(timeout);
        if let Some(shard) = self.share_shard(partition) {
            if let Some(record) = record {
                shard.states.replay(record, at);
            }
            shard.pending.push_back(Pending {
                needs,
                deadline,
                to,
                answer,
            });
        }
        self.watch_shares(cx);
        // With a single replica, or nothing written, the high watermark has passed it already.
        self.wakes.push_back(super::Wake::HighWatermark(tp));
        Ok(())
    }

    /// Answers what the high watermark has passed.
    pub(super) fn complete_share_writes(&mut self, tp: TopicPartition, cx: &mut KafkaCx<'_>) {
        let coordinator = self.share.as_ref().and_then(|it| it.coordinator.as_ref());
        if coordinator.is_none_or(|it| it.topic != tp.topic) {
            return;
        }
        let hosted = self.partitions.get(tp);
        let leads = hosted.filter(|it| it.leader_state().is_some());
        let Some(hw) = leads.map(|it| it.log.log().high_watermark()) else {
            return;
        };
        while let Some(shard) = self.share_shard(tp.partition)
            && shard.pending.front().is_some_and(|it| it.needs <= hw)
            && let Some(done) = shard.pending.pop_front()
        {
            self.answer_state(done.to, done.answer, cx);
        }
    }

    fn refuse_state(
        &mut self,
        to: Asker,
        instead_of: &ShareResponse,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let refused = match instead_of {
            ShareResponse::ReadShareGroupState { .. } => {
                let state = None;
                ShareResponse::ReadShareGroupState { error, state }
            }
            _ => ShareResponse::WriteShareGroupState { error },
        };
        self.answer_state(to, refused, cx);
    }

    fn answer_state(&mut self, to: Asker, answer: ShareResponse, cx: &mut KafkaCx<'_>) {
        match to {
            Asker::Remote(node, correlation) => {
                respond(node, correlation, Response::Share(Box::new(answer)), cx);
            }
            Asker::Own(number) => self.on_share_persisted(number, Some(answer), cx),
        }
    }
}

fn batch_of(record: &ShareRecord, wall_ms: i64) -> Result<Batch, ErrorCode> {
    let bytes = postcard::to_allocvec(record).map_err(|_| ErrorCode::UnknownServerError)?;
    let (ShareRecord::Snapshot(group, tp, _) | ShareRecord::Update(group, tp, _)) = record;
    // Keys are numbers here: one drawn from the group's name and the partition.
    let named = group
        .bytes()
        .fold(KEY.0, |key, byte| mix(key, u64::from(byte)));
    let number = (u64::from(tp.topic.0) << 16) | u64::from(tp.partition);
    let record = Record {
        id: INTERNAL,
        key: Some(KeyId((mix(named, number) >> 32) as u32)),
        offset_delta: 0,
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        timestamp_ms: wall_ms,
        tombstone: false,
    };
    Ok(Batch::with_values(
        vec![record],
        vec![bytes],
        ProducerStamp::NONE,
    ))
}
