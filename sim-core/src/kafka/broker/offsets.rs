//! ListOffsets and OffsetsForLeaderEpoch.
//!
//! Follows `ReplicaManager.fetchOffset`, `Partition.fetchOffsetForTimestamp` (KIP-207) and
//! `Partition.lastOffsetForLeaderEpoch` (KIP-101, KIP-279, KIP-320).

use super::fetch::view_of;
use super::partition::Partition;
use super::{Broker, respond};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Isolation, Response};
use crate::kafka::rules::fetch::{OffsetView, check_replica, latest_offset};
use crate::kafka::rules::isr::PartitionLeaderState;
use crate::kafka::rules::truncation::TruncationRule;
use crate::kernel::NodeId;
use crate::log::EpochEnd;

/// Asks for the log end (as far as the asker may see).
const LATEST: i64 = -1;
/// Asks for the log start.
const EARLIEST: i64 = -2;
/// Asks for the start of what is on local disk (KIP-405).
const EARLIEST_LOCAL: i64 = -4;

impl Broker {
    #[allow(clippy::too_many_arguments)] // the fields of the request
    pub(super) fn on_list_offsets(
        &mut self,
        from: NodeId,
        correlation: u32,
        tp: TopicPartition,
        timestamp: i64,
        current_leader_epoch: i32,
        isolation: Isolation,
        cx: &mut KafkaCx<'_>,
    ) {
        let replica = self.book.broker_at(from).is_some();
        let view = if replica {
            OffsetView::Replica
        } else {
            view_of(isolation)
        };
        let found = self
            .led(tp, current_leader_epoch, replica)
            .and_then(|(partition, state)| find_offset(partition, state, timestamp, view));
        let (error, (offset, leader_epoch)) = match found {
            Ok(found) => (ErrorCode::None, found),
            Err(error) => (error, (-1, -1)),
        };
        let response = Response::ListOffsets {
            tp,
            error,
            offset,
            leader_epoch,
        };
        respond(from, correlation, response, cx);
    }

    #[allow(clippy::too_many_arguments)] // the fields of the request
    pub(super) fn on_offsets_for_leader_epoch(
        &mut self,
        from: NodeId,
        correlation: u32,
        replica: BrokerId,
        tp: TopicPartition,
        current_leader_epoch: i32,
        leader_epoch: i32,
        cx: &mut KafkaCx<'_>,
    ) {
        // Consumers are always answered by today's rule; the historic ones are about replicas.
        let rule = if replica >= 0 {
            self.rules.truncation
        } else {
            TruncationRule::Epoch
        };
        let found = self.led(tp, current_leader_epoch, replica >= 0);
        let (error, end) = match found {
            Ok((partition, _)) => {
                let log = partition.log.log();
                let end = rule.leader_answer(log.epochs(), leader_epoch, log.leo());
                (ErrorCode::None, end)
            }
            Err(error) => (error, EpochEnd::UNDEFINED),
        };
        let response = Response::OffsetsForLeaderEpoch { tp, error, end };
        respond(from, correlation, response, cx);
    }

    /// The partition, if this broker leads it in the epoch that the asker names.
    fn led(
        &self,
        tp: TopicPartition,
        epoch: i32,
        replica: bool,
    ) -> Result<(&Partition, &PartitionLeaderState), ErrorCode> {
        let partition = self.partitions.get(tp);
        let partition = partition.ok_or_else(|| self.missing_replica(tp))?;
        let state = partition.leader_state();
        let checks = !replica || self.fences_replicas();
        let epoch = checks.then_some(epoch);
        check_replica(epoch, partition.leader_epoch, state.is_some(), true)?;
        Ok((partition, state.ok_or(ErrorCode::NotLeaderOrFollower)?))
    }
}

fn find_offset(
    partition: &Partition,
    state: &PartitionLeaderState,
    timestamp: i64,
    view: OffsetView,
) -> Result<(i64, i32), ErrorCode> {
    let log = partition.log.log();
    let last = latest_offset(
        view,
        log.leo(),
        log.high_watermark(),
        partition.log.last_stable_offset(),
        Some(state.epoch_start_offset()),
    );
    match timestamp {
        LATEST => last.map(|offset| (offset, state.leader_epoch())),
        EARLIEST | EARLIEST_LOCAL => {
            let start = match timestamp {
                EARLIEST => log.start_offset(),
                _ => log.local_start_offset(),
            };
            let entries = log.epochs().entries().iter();
            let epoch = entries.take_while(|it| it.start_offset <= start).last();
            Ok((start, epoch.map_or(-1, |it| it.epoch)))
        }
        _ => {
            let last = last?;
            let reaches = |record: &&(i64, i64, i32)| record.1 >= timestamp;
            let batches = log
                .batches_from(log.start_offset())
                .filter(|batch| batch.max_timestamp_ms >= timestamp);
            let records = batches.flat_map(|batch| {
                let place = |delta: u32| batch.base_offset + i64::from(delta);
                let epoch = batch.leader_epoch;
                let all = batch.records.iter();
                all.map(move |it| (place(it.offset_delta), it.timestamp_ms, epoch))
            });
            let first = records.take_while(|it| it.0 < last).find(|it| reaches(&it));
            Ok(first.map_or((-1, -1), |(offset, _, epoch)| (offset, epoch)))
        }
    }
}
