//! Partitions in the hands of the active controller: ISR changes, elections, their settings.
//!
//! Follows `ReplicationControlManager`; the decisions themselves are pure and stand in
//! [`partition_control`](crate::kafka::rules::partition_control).

use super::Controller;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::metadata::{MetadataImage, MetadataRecord};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{AlterPartitionData, AlteredPartition, Response};
use crate::kafka::rules::election::{
    Election, PartitionChange, PartitionRegistration, RecoveryState,
};
use crate::kafka::rules::partition_control::{
    AlterPartition, BrokerChange, ControlConfig, alter_partition, elect_leader, on_broker_change,
};
use crate::kafka::rules::replica::BrokerStatus;
use crate::kernel::Nanos;

/// Leaders moved in one pass at most (`MAX_ELECTIONS_PER_IMBALANCE`).
const MAX_ELECTIONS_PER_PASS: usize = 1_000;

/// A partition's record after a change.
pub(super) fn partition_record(
    tp: TopicPartition,
    partition: &PartitionRegistration,
    change: &PartitionChange,
) -> MetadataRecord {
    MetadataRecord::Partition {
        tp,
        state: Box::new(partition.apply(change)),
    }
}

impl Controller {
    /// Whether eligible leader replicas are kept (KIP-966).
    pub(super) fn elr_enabled(&self) -> bool {
        self.rules.elr && self.config.elr_enabled
    }

    /// The settings under which a partition is changed.
    pub(super) fn control_config(
        &self,
        image: &MetadataImage,
        tp: TopicPartition,
        partition: &PartitionRegistration,
    ) -> ControlConfig {
        let min_isr = image
            .config(tp.topic, "min.insync.replicas")
            .and_then(|text| text.parse::<i32>().ok())
            .filter(|n| *n > 0)
            .or_else(|| i32::try_from(self.config.min_insync_replicas).ok())
            .unwrap_or(1);
        let unclean = image
            .config(tp.topic, "unclean.leader.election.enable")
            .and_then(|text| text.parse::<bool>().ok());
        let replicas = i32::try_from(partition.replicas.len()).unwrap_or(i32::MAX);
        ControlConfig {
            min_isr: min_isr.min(replicas),
            elr_enabled: self.elr_enabled(),
            unclean_enabled: unclean.unwrap_or(self.config.unclean_leader_election),
        }
    }

    /// What a broker's change does to all partitions, as records.
    pub(super) fn partition_changes(&self, change: BrokerChange) -> Vec<MetadataRecord> {
        let Some(active) = &self.active else {
            return Vec::new();
        };
        let image = &active.image;
        let live = |id: i32| image.is_active(id);
        let mut records = Vec::new();
        for (tp, partition) in &image.partitions {
            let config = self.control_config(image, *tp, partition);
            if let Some(change) = on_broker_change(partition, change, config, &live) {
                records.push(partition_record(*tp, partition, &change));
            }
        }
        records
    }

    /// AlterPartition: a leader wants another ISR.
    pub(super) fn alter_partitions(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
        wanted: &[AlterPartitionData],
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(Response, Option<i64>), ErrorCode> {
        self.check_broker_epoch(broker, broker_epoch)?;
        let mut records = Vec::new();
        let mut partitions = Vec::new();
        for data in wanted {
            let (answer, record) = self.alter_one(broker, broker_epoch, data);
            partitions.push(answer);
            records.extend(record);
        }
        let wrote = (!records.is_empty()).then(|| self.write(records, now, cx));
        let response = Response::AlterPartition {
            error: ErrorCode::None,
            partitions,
        };
        Ok((response, wrote))
    }

    fn alter_one(
        &self,
        broker: BrokerId,
        broker_epoch: i64,
        data: &AlterPartitionData,
    ) -> (AlteredPartition, Option<MetadataRecord>) {
        let refuse = |error| AlteredPartition {
            tp: data.tp,
            error,
            leader: -1,
            leader_epoch: -1,
            isr: Vec::new(),
            partition_epoch: -1,
        };
        let Some(active) = &self.active else {
            return (refuse(ErrorCode::NotController), None);
        };
        let image = &active.image;
        let Some(partition) = image.partitions.get(&data.tp) else {
            return (refuse(ErrorCode::UnknownTopicOrPartition), None);
        };
        let request = AlterPartition {
            broker,
            broker_epoch,
            leader_epoch: data.leader_epoch,
            partition_epoch: data.partition_epoch,
            isr: data.new_isr.clone(),
            recovery: if data.recovered {
                RecoveryState::Recovered
            } else {
                RecoveryState::Recovering
            },
        };
        let config = self.control_config(image, data.tp, partition);
        let status = |id: i32| {
            image.brokers.get(&id).map(|broker| BrokerStatus {
                epoch: broker.epoch,
                fenced: broker.fenced,
                in_controlled_shutdown: broker.in_controlled_shutdown,
            })
        };
        match alter_partition(partition, &request, config, &status) {
            Err(error) => (refuse(error), None),
            Ok(answer) => {
                let after = answer.partition;
                let altered = AlteredPartition {
                    tp: data.tp,
                    error: answer.error,
                    leader: after.leader,
                    leader_epoch: after.leader_epoch,
                    isr: after.isr.clone(),
                    partition_epoch: after.partition_epoch,
                };
                let record = answer.change.map(|_| MetadataRecord::Partition {
                    tp: data.tp,
                    state: Box::new(after),
                });
                (altered, record)
            }
        }
    }

    /// Holds an election in each partition that `wants` one; writes what comes of it. Returns how
    /// many leaders changed.
    pub(super) fn elect_where(
        &mut self,
        election: Election,
        wants: impl Fn(TopicPartition, &PartitionRegistration, ControlConfig) -> bool,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> usize {
        let Some(active) = &self.active else {
            return 0;
        };
        let image = &active.image;
        let live = |id: i32| image.is_active(id);
        let mut records = Vec::new();
        for (tp, partition) in &image.partitions {
            let config = self.control_config(image, *tp, partition);
            if wants(*tp, partition, config)
                && let Ok(change) = elect_leader(partition, election, config, &live)
            {
                records.push(partition_record(*tp, partition, &change));
                if records.len() == MAX_ELECTIONS_PER_PASS {
                    break;
                }
            }
        }
        let elected = records.len();
        if elected > 0 {
            self.write(records, now, cx);
        }
        elected
    }

    /// Gives leadership back to preferred replicas (`auto.leader.rebalance.enable`).
    pub(super) fn preferred_pass(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let mut elected = 0;
        if self.config.auto_leader_rebalance {
            elected = self.elect_where(
                Election::Preferred,
                |_, partition, _| !partition.has_preferred_leader(),
                now,
                cx,
            );
        }
        let next = if elected == MAX_ELECTIONS_PER_PASS {
            now
        } else {
            now + self.preferred_interval()
        };
        if let Some(active) = &mut self.active {
            active.preferred_at = next;
        }
    }

    /// Elects any live replica for leaderless partitions whose settings allow it.
    pub(super) fn unclean_pass(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        self.elect_where(
            Election::Unclean,
            |_, partition, config| !partition.has_leader() && config.unclean_enabled,
            now,
            cx,
        );
    }
}
