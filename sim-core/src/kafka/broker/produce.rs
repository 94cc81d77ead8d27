//! Produce: the leader's append, and the wait for the in-sync replicas.
//!
//! Follows `ReplicaManager.appendRecords`, `Partition.appendRecordsToLeader` and `DelayedProduce`.
//! acks=0 gets no answer; if it fails, the connection is closed, which is how the producer learns
//! to refresh its metadata.

use super::partition::{Partition, statuses};
use super::purgatory::{Parked, Wake};
use super::{Broker, client_of, clock_ms, span};
use crate::dense::DenseMap;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::metadata::MetadataImage;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::{Acks, Msg, ProducedPartition, Response};
use crate::kafka::rules::isr::AcksProgress;
use crate::kafka::rules::partition_log::{Appended, LeaderAppend};
use crate::kafka::rules::producer_append::VerificationGuard;
use crate::kernel::{Nanos, NodeId};
use crate::log::Batch;
use serde::Serialize;

/// A Produce as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct ProduceRequest {
    pub(super) correlation: u32,
    pub(super) acks: Acks,
    pub(super) timeout_ms: i64,
    pub(super) batches: Vec<(TopicPartition, Batch)>,
}

/// A produce with acks=all that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct DelayedProduce {
    correlation: u32,
    partitions: Vec<ProduceStatus>,
    /// Of all its batches.
    bytes: u64,
    /// When the append is on the leader's disk.
    written: Nanos,
    pub(super) deadline: Nanos,
}

impl DelayedProduce {
    /// Partitions that it waits for.
    pub(super) fn pending(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let pending = self.partitions.iter().filter(|it| it.acks_pending);
        pending.map(|it| it.tp)
    }
}

/// How far one partition of a produce has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct ProduceStatus {
    tp: TopicPartition,
    error: ErrorCode,
    base_offset: i64,
    /// The high watermark that the batch needs.
    required_offset: i64,
    acks_pending: bool,
}

impl Broker {
    pub(super) fn on_produce(
        &mut self,
        from: NodeId,
        produce: ProduceRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        self.produce_if(from, produce, |_| Ok(None), cx);
    }

    /// Produces after the verification of transactional batches; `refused` are not appended.
    pub(super) fn produce_verified(
        &mut self,
        from: NodeId,
        produce: ProduceRequest,
        guards: &[(TopicPartition, VerificationGuard)],
        refused: &[(TopicPartition, ErrorCode)],
        cx: &mut KafkaCx<'_>,
    ) {
        let verified = |tp: TopicPartition| match refused.iter().find(|it| it.0 == tp) {
            Some((_, error)) => Err(*error),
            None => Ok(guards.iter().find(|it| it.0 == tp).map(|it| it.1)),
        };
        self.produce_if(from, produce, verified, cx);
    }

    fn produce_if(
        &mut self,
        from: NodeId,
        produce: ProduceRequest,
        verified: impl Fn(TopicPartition) -> Result<Option<VerificationGuard>, ErrorCode>,
        cx: &mut KafkaCx<'_>,
    ) {
        let ProduceRequest {
            correlation,
            acks,
            timeout_ms,
            batches,
        } = produce;
        let mut partitions = Vec::with_capacity(batches.len());
        let (mut bytes, mut asked) = (0, 0);
        for (tp, batch) in batches {
            let size = u64::from(batch.bytes);
            asked += size;
            let appended = verified(tp).and_then(|guard| {
                let with_guard = |append| LeaderAppend { guard, ..append };
                self.append_as(tp, batch, acks, with_guard, cx)
            });
            let status = match appended {
                Ok((base_offset, last_offset)) => {
                    bytes += size;
                    ProduceStatus {
                        tp,
                        error: ErrorCode::None,
                        base_offset,
                        required_offset: last_offset + 1,
                        acks_pending: acks == Acks::All,
                    }
                }
                Err(error) => {
                    let number = error as i64;
                    self.note_rule(Rule::Refused, Some(tp), None, number, -1, cx);
                    ProduceStatus {
                        tp,
                        error,
                        base_offset: -1,
                        required_offset: -1,
                        acks_pending: false,
                    }
                }
            };
            partitions.push(status);
        }
        let written = if bytes > 0 {
            cx.disk_write(bytes)
        } else {
            cx.now()
        };
        let mut produce = DelayedProduce {
            correlation,
            partitions,
            bytes: asked,
            written,
            deadline: cx.now().saturating_add(span(timeout_ms)),
        };
        if acks == Acks::None {
            (self.parts().quotas.produce)(self, from, asked, cx);
            if produce.partitions.iter().any(|it| it.error.is_error()) {
                self.connections.remove(&from);
                cx.close(client_of(from));
            }
            return;
        }
        update_statuses(&self.partitions, self.meta.image(), &mut produce, None);
        if !produce.partitions.iter().any(|it| it.acks_pending) {
            self.answer_produce(from, produce, cx);
            return;
        }
        for status in produce.partitions.iter().filter(|it| it.acks_pending) {
            let (tp, last) = (status.tp, status.required_offset - 1);
            self.note_rule(Rule::ProduceParked, Some(tp), None, -1, last, cx);
        }
        self.park(from, Parked::Produce(produce), cx);
    }

    /// Appends one batch as leader; returns its first and last offset.
    pub(super) fn append(
        &mut self,
        tp: TopicPartition,
        batch: Batch,
        acks: Acks,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(i64, i64), ErrorCode> {
        self.append_as(tp, batch, acks, |append| append, cx)
    }

    /// The same, for an append that is more than a plain client's.
    #[inline]
    pub(super) fn append_as(
        &mut self,
        tp: TopicPartition,
        batch: Batch,
        acks: Acks,
        how: impl FnOnce(LeaderAppend) -> LeaderAppend,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(i64, i64), ErrorCode> {
        let Some(partition) = self.partitions.get_mut(tp) else {
            return Err(self.missing_replica(tp));
        };
        let Some(state) = partition.leader_state() else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        state.check_produce(acks == Acks::All)?;
        let append = how(LeaderAppend::client(state.leader_epoch(), cx.wall_ms()));
        let before = partition.log.log().leo();
        let info = match partition.log.append_as_leader(batch, append)? {
            Appended::Duplicate(known) => return Ok((known.first_offset(), known.last_offset)),
            Appended::New(info) => info,
        };
        partition.log.flush_appended(info.rolled_at, cx.wall_ms());
        let after = partition.log.log().leo();
        if let Some(state) = partition.leader_mut() {
            state.maybe_increment_hw(after, clock_ms(cx), &statuses(self.meta.image()));
        }
        let node = cx.me();
        cx.note(Note::Rule {
            node,
            rule: Rule::Append,
            tp: Some(tp),
            broker: None,
            before,
            after,
        });
        let appended = partition.log.log().last_batch();
        // What brokers write for themselves is no application's record.
        let sent = appended.iter().filter(|batch| batch.values.is_none());
        for record in sent.flat_map(|batch| batch.records.iter()) {
            cx.note(Note::Stored {
                node,
                record: record.id,
                tp,
                offset: info.first_offset + i64::from(record.offset_delta),
                as_leader: true,
            });
        }
        let bytes = appended.map_or(0, |batch| batch.bytes);
        self.wakes.push_back(Wake::Appended(tp));
        partition.sync_high_watermark(tp, &mut self.wakes, cx);
        self.cache_appended(tp, info.first_offset, bytes);
        Ok((info.first_offset, info.last_offset))
    }

    /// Why a partition that is not hosted cannot be served: the topic exists elsewhere, or this
    /// broker has not heard of it.
    pub(super) fn missing_replica(&self, tp: TopicPartition) -> ErrorCode {
        missing_replica(self.meta.image(), tp)
    }

    /// Returns whether the produce still waits for the partition of `wake`.
    pub(super) fn try_complete_produce(
        &mut self,
        node: NodeId,
        wake: Wake,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let only = match wake {
            Wake::Appended(_) => return true,
            Wake::HighWatermark(tp) | Wake::Changed(tp) => Some(tp),
            Wake::Connection(_) => None,
        };
        let connection = self.connections.get_mut(&node);
        let Some(Parked::Produce(produce)) = connection.and_then(|it| it.parked.as_mut()) else {
            return false;
        };
        update_statuses(&self.partitions, self.meta.image(), produce, only);
        let waits = |it: &&ProduceStatus| it.acks_pending && only.is_none_or(|tp| it.tp == tp);
        let here = produce.partitions.iter().any(|it| waits(&it));
        if !here && !produce.partitions.iter().any(|it| it.acks_pending) {
            self.finish_produce(node, cx);
        }
        here
    }

    /// The time of a parked produce is up. The records stay in the log and may yet be committed.
    pub(super) fn expire_produce(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        if let Some(Parked::Produce(produce)) = self
            .connections
            .get_mut(&node)
            .and_then(|it| it.parked.as_mut())
        {
            for status in produce.partitions.iter_mut().filter(|it| it.acks_pending) {
                status.error = ErrorCode::RequestTimedOut;
                status.acks_pending = false;
            }
        }
        self.finish_produce(node, cx);
    }

    fn finish_produce(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        if let Some(Parked::Produce(produce)) = self.unpark(node) {
            self.answer_produce(node, produce, cx);
        }
    }

    fn answer_produce(&mut self, to: NodeId, produce: DelayedProduce, cx: &mut KafkaCx<'_>) {
        let throttled = (self.parts().quotas.produce)(self, to, produce.bytes, cx);
        let answer = |status: ProduceStatus| {
            let refused = status.error.is_error();
            let hint = self.partitions.get(status.tp).and_then(|it| it.hint());
            ProducedPartition {
                tp: status.tp,
                error: status.error,
                base_offset: if refused { -1 } else { status.base_offset },
                current_leader: hint.filter(|_| status.error == ErrorCode::NotLeaderOrFollower),
            }
        };
        let plain = Response::Produce {
            partitions: produce.partitions.into_iter().map(answer).collect(),
        };
        let response = match throttled {
            None => plain,
            Some(throttle_time_ms) => Response::Throttled {
                throttle_time_ms,
                response: Box::new(plain),
            },
        };
        let msg = Msg::Response(produce.correlation, Box::new(response));
        cx.send_at(produce.written, client_of(to), msg);
    }
}

/// See [`Broker::missing_replica`].
fn missing_replica(image: &MetadataImage, tp: TopicPartition) -> ErrorCode {
    if image.partitions.contains_key(&tp) {
        ErrorCode::NotLeaderOrFollower
    } else {
        ErrorCode::UnknownTopicOrPartition
    }
}

/// Looks how far the pending partitions have come; all of them, or one.
fn update_statuses(
    hosted: &DenseMap<TopicPartition, Partition>,
    image: &MetadataImage,
    produce: &mut DelayedProduce,
    only: Option<TopicPartition>,
) {
    let pending = produce.partitions.iter_mut().filter(|it| it.acks_pending);
    for status in pending.filter(|it| only.is_none_or(|tp| it.tp == tp)) {
        let progress = match hosted.get(status.tp).map(Partition::leader_state) {
            None => Err(missing_replica(image, status.tp)),
            Some(None) => Err(ErrorCode::NotLeaderOrFollower),
            Some(Some(state)) => Ok(state.acks_progress(status.required_offset)),
        };
        match progress {
            Ok(AcksProgress::Waiting) => continue,
            Ok(AcksProgress::Done) => {}
            Ok(AcksProgress::NotEnoughReplicasAfterAppend) => {
                status.error = ErrorCode::NotEnoughReplicasAfterAppend;
            }
            Err(error) => status.error = error,
        }
        status.acks_pending = false;
    }
}
