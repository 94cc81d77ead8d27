//! Offsets in transactions: pending until the marker of their transaction.
//!
//! Follows `GroupCoordinatorService.commitTransactionalOffsets/completeTransaction` and
//! `OffsetMetadataManager`: the commit is checked as any other and appended in the producer's name;
//! it counts when a commit marker is below the high watermark, and an abort marker drops it. Until
//! then whoever asks for the offset is told to wait. Before the append the coordinator of the
//! transaction is asked, as for any transactional append (KIP-890). Left out: limits on the time
//! that an offset may be pending.

use super::super::{Broker, span};
use super::storage::batch_of;
use super::{Kept, Pending, Place, Shard, Wake, Written, append_error};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::OffsetsRecord;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Acks;
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::partition_log::LeaderAppend;
use crate::kafka::rules::producer_append::{AppendOrigin, VerificationGuard};
use crate::kafka::txn_protocol::{TxnOffsetCommit, TxnResponse};
use crate::kernel::{Nanos, NodeId};
use crate::log::{Batch, ProducerStamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Offsets of transactions without a marker yet, by producer id, group and partition.
pub(super) type PendingOffsets = BTreeMap<i64, BTreeMap<Name, BTreeMap<TopicPartition, Kept>>>;

/// A commit whose transaction is being verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Verifying {
    commit: TxnOffsetCommit,
    guard: VerificationGuard,
}

impl Shard {
    /// Whether a transaction may still change the offset of a partition.
    pub(super) fn is_unstable(&self, group: &Name, tp: &TopicPartition) -> bool {
        let groups = self.pending_txns.values();
        let mut offsets = groups.filter_map(|it| it.get(group));
        offsets.any(|it| it.contains_key(tp))
    }

    /// Whether a transaction may still change some offset of a group.
    pub(super) fn is_in_transaction(&self, group: &Name) -> bool {
        self.pending_txns.values().any(|it| it.contains_key(group))
    }
}

impl Broker {
    /// Transactions without a marker that carry an offset of a group, as its coordinator has them:
    /// (producer id, offset, when by the coordinator's wall clock, ms).
    pub fn pending_offsets(
        &self,
        group: &str,
        tp: TopicPartition,
    ) -> impl Iterator<Item = (i64, i64, i64)> {
        let shards = self.groups.iter().flat_map(|it| it.shards.values());
        let all = shards.flat_map(|it| &it.pending_txns);
        all.filter_map(move |(producer, groups)| {
            let kept = groups.get(group)?.get(&tp)?;
            Some((*producer, kept.committed.offset, kept.at_ms))
        })
    }

    fn answer_txn_commit(&self, to: (NodeId, u32), error: ErrorCode, cx: &mut KafkaCx<'_>) {
        let response = TxnResponse::TxnOffsetCommit { error };
        let response = crate::kafka::protocol::Response::Txn(Box::new(response));
        super::super::respond(to.0, to.1, response, cx);
    }

    /// TxnOffsetCommit.
    pub(in super::super) fn on_txn_offset_commit(
        &mut self,
        to: (NodeId, u32),
        commit: TxnOffsetCommit,
        cx: &mut KafkaCx<'_>,
    ) {
        let begun = self.begin_txn_commit(&commit, cx);
        match begun {
            Err(error) => self.answer_txn_commit(to, error, cx),
            Ok((_, None)) => self.store_txn_commit(to, commit, None, cx),
            Ok((tp, Some(guard))) => {
                let (id, producer, version) = (commit.id.clone(), commit.producer, commit.version);
                if let Some(groups) = self.groups.as_mut() {
                    groups.verifying.insert(to, Verifying { commit, guard });
                }
                self.ask_coordinator_about(&id, producer, version, vec![tp], to, cx);
            }
        }
    }

    /// Checks a commit; returns where it goes, and the guard if its transaction must be verified.
    fn begin_txn_commit(
        &mut self,
        commit: &TxnOffsetCommit,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(TopicPartition, Option<VerificationGuard>), ErrorCode> {
        let place = self.place(&commit.group)?;
        self.check_txn_commit(&place, commit, cx)?;
        let tp = self.partition_of_group(&commit.group);
        let tp = tp.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let adds = commit.version >= 2;
        if !adds && !self.config.txn_verification {
            return Ok((tp, None));
        }
        let batch = txn_batch(commit, cx.wall_ms())?;
        let led = self.partitions.get_mut(tp);
        let led = led.filter(|it| it.leader_state().is_some());
        let led = led.ok_or(ErrorCode::NotCoordinator)?;
        Ok((tp, led.log.start_verification(&batch, adds, cx.wall_ms())))
    }

    fn check_txn_commit(
        &mut self,
        place: &Place,
        commit: &TxnOffsetCommit,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let (member_id, generation) = (&commit.member_id, commit.generation);
        let consumer = self.consumer_commit_check(place, member_id, generation, &commit.offsets);
        let valid = consumer.unwrap_or_else(|| match self.group(place) {
            Some(group) => {
                let instance = commit.instance_id.as_deref();
                group.validate_offset_commit(member_id, instance, generation, true)
            }
            None if generation >= 0 => Err(ErrorCode::IllegalGeneration),
            None => Ok(()),
        });
        // TxnOffsetCommit has no word for a stale epoch.
        let valid = valid.map_err(|error| match error {
            ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
            error => error,
        });
        if let Err(error) = valid {
            let (rule, member) = (Rule::OffsetCommitRefused, Some(Arc::clone(member_id)));
            let number = i64::from(generation);
            self.note_group(rule, &place.group, member, number, error as i64, cx);
        }
        valid
    }

    /// The coordinator of a transaction has said, or not, whether a commit belongs to it.
    pub(in super::super) fn on_offsets_verified(
        &mut self,
        to: (NodeId, u32),
        answer: &Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode>,
        cx: &mut KafkaCx<'_>,
    ) {
        let verifying = self.groups.as_mut().map(|it| &mut it.verifying);
        let Some(found) = verifying.and_then(|it| it.remove(&to)) else {
            return;
        };
        let error = match answer {
            Err(error) => *error,
            Ok(all) => all.first().map_or(ErrorCode::UnknownServerError, |it| it.1),
        };
        match error {
            ErrorCode::None => self.store_txn_commit(to, found.commit, Some(found.guard), cx),
            // What a producer is told that knows nothing of the question.
            ErrorCode::NetworkException
            | ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable => {
                self.answer_txn_commit(to, ErrorCode::CoordinatorLoadInProgress, cx);
            }
            ErrorCode::ProducerFenced => {
                self.answer_txn_commit(to, ErrorCode::InvalidProducerEpoch, cx);
            }
            error => self.answer_txn_commit(to, error, cx),
        }
    }

    fn store_txn_commit(
        &mut self,
        to: (NodeId, u32),
        commit: TxnOffsetCommit,
        guard: Option<VerificationGuard>,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Err(error) = self.append_txn_commit(to, commit, guard, cx) {
            self.answer_txn_commit(to, append_error(error), cx);
        }
    }

    fn append_txn_commit(
        &mut self,
        to: (NodeId, u32),
        commit: TxnOffsetCommit,
        guard: Option<VerificationGuard>,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let place = self.place(&commit.group)?;
        // The group may have gone on while the transaction was verified.
        self.check_txn_commit(&place, &commit, cx)?;
        let tp = self.partition_of_group(&commit.group);
        let tp = tp.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let at_ms = cx.wall_ms();
        let batch = txn_batch(&commit, at_ms)?;
        let bytes = u64::from(batch.bytes);
        let as_coordinator = |append: LeaderAppend| LeaderAppend {
            origin: AppendOrigin::Coordinator,
            version: commit.version,
            guard,
            ..append
        };
        let (_, last) = self.append_as(tp, batch, Acks::All, as_coordinator, cx)?;
        let written = cx.disk_write(bytes);
        let timeout = span(self.config.offsets_commit_timeout_ms);
        let deadline = cx.now().saturating_add(timeout);
        if let Some(shard) = self.shard(place.partition) {
            let groups = shard.pending_txns.entry(commit.producer.0).or_default();
            let offsets = groups.entry(Arc::clone(&commit.group)).or_default();
            offsets.extend(commit.offsets.iter().map(|it| {
                let committed = *it;
                (it.tp, Kept { committed, at_ms })
            }));
            shard.pending.push_back(Pending {
                needs: last + 1,
                deadline,
                written,
                group: place.group,
                what: Written::TxnOffsets(Some(to)),
            });
        }
        self.watch_groups_at(deadline, cx);
        self.wakes.push_back(Wake::HighWatermark(tp));
        Ok(())
    }

    /// Offsets of a transaction are in the log, or were not written in time.
    pub(super) fn txn_offsets_written(
        &self,
        to: (NodeId, u32),
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        self.answer_txn_commit(to, error, cx);
    }

    /// A marker was appended to a partition; its offset is below `needs`.
    pub(in super::super) fn end_txn_offsets(
        &mut self,
        tp: TopicPartition,
        (producer, commits): (i64, bool),
        needs: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        if self.groups.as_ref().is_none_or(|it| it.topic != tp.topic) {
            return;
        }
        if let Some(shard) = self.shard(tp.partition) {
            shard.pending.push_back(Pending {
                needs,
                deadline: Nanos::MAX,
                written: cx.now(),
                group: Arc::from(""),
                what: Written::TxnEnd { producer, commits },
            });
        }
        self.wakes.push_back(Wake::HighWatermark(tp));
    }

    /// The marker of a transaction is committed: its offsets count from now on, or are dropped.
    pub(super) fn take_txn_offsets(
        &mut self,
        partition: u16,
        (producer, commits): (i64, bool),
        needs: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let ended = shard.pending_txns.remove(&producer).unwrap_or_default();
        for (group, offsets) in ended.into_iter().filter(|_| commits) {
            let at_ms = offsets.values().map(|it| it.at_ms).max().unwrap_or(0);
            let offsets: Vec<_> = offsets.values().map(|it| it.committed).collect();
            self.take_offsets(partition, &group, &offsets, (at_ms, needs), cx);
        }
    }
}

fn txn_batch(commit: &TxnOffsetCommit, wall_ms: i64) -> Result<Batch, ErrorCode> {
    let records = commit.offsets.iter();
    let records = records.map(|it| OffsetsRecord::Offset(Arc::clone(&commit.group), *it));
    let records: Vec<OffsetsRecord> = records.collect();
    let mut batch = batch_of(&records, wall_ms)?;
    batch.transactional = true;
    batch.producer = ProducerStamp {
        id: commit.producer.0,
        epoch: commit.producer.1,
        base_sequence: -1,
    };
    Ok(batch)
}
