//! Becoming coordinator of a partition's groups, and ceasing to be.
//!
//! Follows `GroupCoordinatorService.onElection/onResignation` and `CoordinatorLoaderImpl`: the whole
//! log is replayed, from its start to its end. What lies above the high watermark is applied as it
//! is committed, so that no member ever reads an offset that could be lost again. Reading the log
//! takes time here by a round figure.

use super::super::Broker;
use super::txn::PendingOffsets;
use super::{GroupCoordinator, Kept, Pending, Place, Shard, Written, now_ms};
use crate::apart::Apart;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{OFFSETS_TOPIC, OffsetsRecord};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::classic_group::{ClassicGroup, Name};
use crate::kafka::rules::modern_group::{ConsumerGroup, ConsumerGroupRecord};
use crate::kernel::{MILLISECOND, Nanos};
use crate::log::ControlMarker;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// To open the log and hand the partition over to the coordinator's thread.
const LOAD_BASE: Nanos = MILLISECOND;
/// Reading from the page cache, ns per byte: 1 GB/s.
const LOAD_PER_BYTE: Nanos = 1;

impl Broker {
    /// The metadata says something new about a partition.
    pub(in super::super) fn group_partition_changed(
        &mut self,
        tp: TopicPartition,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = self.meta.image();
        if image
            .topics
            .get(&tp.topic)
            .is_none_or(|it| it != OFFSETS_TOPIC)
        {
            return;
        }
        let registered = image.partitions.get(&tp);
        let leads = registered.filter(|it| it.leader == self.id);
        let epoch = leads.map(|it| it.leader_epoch);
        let known = self.shard(tp.partition).map(|it| it.leader_epoch);
        if epoch == known {
            return;
        }
        if known.is_some() {
            self.resign_groups(tp.partition, cx);
        }
        let Some(leader_epoch) = epoch else {
            return;
        };
        let bytes = self.partitions.get(tp).map_or(0, |it| it.log.log().bytes());
        let read = bytes
            .saturating_mul(LOAD_PER_BYTE)
            .saturating_add(LOAD_BASE);
        let until = cx.now().saturating_add(read);
        let groups = self
            .groups
            .get_or_insert_with(|| Apart::new(GroupCoordinator::new(tp.topic)));
        let shard = Shard {
            leader_epoch,
            loading_until: Some(until),
            groups: BTreeMap::new(),
            modern: BTreeMap::new(),
            share: BTreeMap::new(),
            offsets: BTreeMap::new(),
            pending_txns: BTreeMap::new(),
            pending: VecDeque::new(),
            expire_at: Nanos::MAX,
        };
        groups.shards.insert(tp.partition, shard);
        self.watch_groups_at(until, cx);
    }

    fn resign_groups(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let writes = self
            .shard(partition)
            .map(|it| std::mem::take(&mut it.pending));
        for it in writes.into_iter().flatten() {
            match it.what {
                Written::Offsets {
                    answer_to: Some(to),
                    ..
                } => self.answer_commit(to, ErrorCode::NotCoordinator, it.written, cx),
                Written::Consumer(Some(answer)) => {
                    self.refuse_heartbeat(answer, ErrorCode::NotCoordinator, cx);
                }
                Written::TxnOffsets(Some(to)) => {
                    self.txn_offsets_written(to, ErrorCode::NotCoordinator, cx);
                }
                _ => {}
            }
        }
        self.unload_groups(partition, cx);
        if let Some(groups) = self.groups.as_mut() {
            groups.shards.remove(&partition);
        }
    }

    /// The log is read, if the time for it is over: the groups are in force.
    pub(super) fn finish_loading(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let Some(topic) = self.groups.as_ref().map(|it| it.topic) else {
            return;
        };
        let loading = self.shard(partition).and_then(|it| it.loading_until);
        if loading.is_none_or(|until| until > now) {
            return;
        }
        let Some(mut shard) = self.read_shard(TopicPartition { topic, partition }, cx) else {
            return;
        };
        shard.consumer_groups_loaded(now_ms(cx), &self.config);
        let modern: Vec<(Name, i32)> = shard
            .modern
            .iter()
            .map(|(name, group)| (Arc::clone(name), group.epoch()))
            .collect();
        let names: Vec<Name> = shard.groups.keys().cloned().collect();
        if let Some(slot) = self.shard(partition) {
            *slot = Shard {
                leader_epoch: slot.leader_epoch,
                ..shard
            };
        }
        for (name, epoch) in modern {
            self.note_group(Rule::GroupLoaded, &name, None, -1, epoch.into(), cx);
        }
        for group in names {
            let place = Place { partition, group };
            let at = self.generation_of(&place);
            self.note_group(Rule::GroupLoaded, &place.group, None, -1, at, cx);
            self.call_group(&place, cx, ClassicGroup::shrink);
        }
        self.complete_writes(partition, cx);
        self.set_next_expiry(partition, cx);
    }

    /// What the log of a partition says.
    fn read_shard(&self, tp: TopicPartition, cx: &KafkaCx<'_>) -> Option<Shard> {
        let log = self.partitions.get(tp)?.log.log();
        let hw = log.high_watermark();
        let mut groups: BTreeMap<Name, ClassicGroup> = BTreeMap::new();
        let mut modern: BTreeMap<Name, ConsumerGroup> = BTreeMap::new();
        let mut offsets: BTreeMap<Name, BTreeMap<TopicPartition, Kept>> = BTreeMap::new();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        let mut pending_txns = PendingOffsets::new();
        let entries = log.batches_from(log.start_offset()).flat_map(|batch| {
            // A marker has no record of its own here.
            let marker = batch.control.map(|_| (batch.base_offset, batch, None));
            let records = batch.records.iter().map(move |record| {
                let offset = batch.base_offset + i64::from(record.offset_delta);
                (offset, batch, Some(record))
            });
            marker.into_iter().chain(records)
        });
        for (offset, batch, record) in entries {
            let producer = batch.producer.id;
            let Some(record) = record else {
                let commits = batch.control == Some(ControlMarker::Commit);
                if offset < hw {
                    let ended = pending_txns.remove(&producer).unwrap_or_default();
                    for (group, known) in ended.into_iter().filter(|_| commits) {
                        offsets.entry(group).or_default().extend(known);
                    }
                } else {
                    pending.push_back(Pending {
                        needs: offset + 1,
                        deadline: Nanos::MAX,
                        written: cx.now(),
                        group: Name::from(""),
                        what: Written::TxnEnd { producer, commits },
                    });
                }
                continue;
            };
            let value = batch.value(record.offset_delta);
            // A record that cannot be read is skipped, as an unknown version is.
            let read = value.and_then(|it| postcard::from_bytes::<OffsetsRecord>(it).ok());
            let at_ms = record.timestamp_ms;
            let mut wait = |group, what| {
                pending.push_back(Pending {
                    needs: offset + 1,
                    deadline: Nanos::MAX,
                    written: cx.now(),
                    group,
                    what,
                });
            };
            match read {
                Some(OffsetsRecord::Group(name, Some(group))) => {
                    // The groups' clock and the wall clock may differ, but both go on alike.
                    let since_ms = now_ms(cx).saturating_sub(cx.wall_ms().saturating_sub(at_ms));
                    groups.insert(name, ClassicGroup::load(&group, now_ms(cx)).since(since_ms));
                }
                Some(OffsetsRecord::Group(name, None)) => {
                    groups.remove(&name);
                }
                Some(OffsetsRecord::Consumer(name, ConsumerGroupRecord::NoMetadata)) => {
                    modern.remove(&name);
                }
                Some(OffsetsRecord::Consumer(name, it)) => {
                    modern.entry(name).or_default().apply(it);
                }
                Some(OffsetsRecord::Offset(name, it)) if batch.transactional => {
                    let kept = Kept {
                        committed: it,
                        at_ms,
                    };
                    let groups = pending_txns.entry(producer).or_default();
                    groups.entry(name).or_default().insert(it.tp, kept);
                }
                Some(OffsetsRecord::Offset(name, it)) if offset < hw => {
                    let kept = Kept {
                        committed: it,
                        at_ms,
                    };
                    offsets.entry(name).or_default().insert(it.tp, kept);
                }
                Some(OffsetsRecord::Offset(group, it)) => {
                    let what = Written::Offsets {
                        offsets: vec![it],
                        at_ms,
                        answer_to: None,
                    };
                    wait(group, what);
                }
                Some(OffsetsRecord::OffsetTombstone(name, tp)) if offset < hw => {
                    if let Some(known) = offsets.get_mut(&name) {
                        known.remove(&tp);
                    }
                }
                Some(OffsetsRecord::OffsetTombstone(group, tp)) => {
                    wait(group, Written::Expired(vec![tp]));
                }
                None => {}
            }
        }
        offsets.retain(|_, known| !known.is_empty());
        // Whoever committed without being a member has a group all the same.
        let in_txns = pending_txns.values().flat_map(BTreeMap::keys);
        let waiting = pending.iter().map(|it| &it.group);
        let waiting = waiting.filter(|it| !it.is_empty());
        let committed = offsets.keys().chain(waiting).chain(in_txns);
        let loose: Vec<Name> = committed
            .filter(|it| !groups.contains_key(*it) && !modern.contains_key(*it))
            .cloned()
            .collect();
        for name in loose {
            groups.insert(Arc::clone(&name), ClassicGroup::new(now_ms(cx)));
        }
        Some(Shard {
            leader_epoch: -1,
            loading_until: None,
            groups,
            modern,
            share: BTreeMap::new(),
            offsets,
            pending_txns,
            pending,
            expire_at: Nanos::MAX,
        })
    }
}
