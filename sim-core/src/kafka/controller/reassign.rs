//! Reassignments: a partition moves to other brokers while it is written.
//!
//! Follows `ReplicationControlManager.alterPartitionReassignments` and, for the throttle,
//! `ReassignPartitionsCommand`: the tool limits the rates of all brokers and names the replicas that
//! are held back, the present ones as leaders and the new ones as followers. It stays so until the
//! settings are deleted again. The move is complete when all that stay are in sync, which the
//! controller sees in a leader's AlterPartition.

use super::Controller;
use super::partitions::partition_record;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::metadata::{ConfigResource, MetadataImage, MetadataRecord};
use crate::kafka::node::KafkaCx;
use crate::kafka::rules::election::{ChangeRequest, PartitionRegistration, change_partition};
use crate::kafka::rules::reassignment;
use crate::kernel::Nanos;

/// Brokers by name and id.
type Brokers<'a> = Option<&'a [(String, BrokerId)]>;

impl Controller {
    /// Why a partition cannot be moved so, if it cannot.
    pub(super) fn refuse_reassign(
        &self,
        topic: &str,
        partition: u16,
        replicas: Brokers<'_>,
    ) -> Option<String> {
        let image = self.latest_image()?;
        let found = self.topic(topic).and_then(|topic| {
            let tp = TopicPartition { topic, partition };
            image.partitions.get(&tp)
        });
        let Some(registration) = found else {
            return Some(format!("there is no partition {topic}-{partition}"));
        };
        match wanted(image, registration, replicas) {
            Ok(_) => None,
            Err(ErrorCode::NoReassignmentInProgress) => {
                Some(format!("{topic}-{partition} is not being reassigned"))
            }
            Err(_) => Some(format!("{topic}-{partition} cannot be moved there")),
        }
    }

    pub(super) fn reassign(
        &mut self,
        topic: &str,
        partition: u16,
        replicas: Brokers<'_>,
        throttle: Option<u64>,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let topic = self.topic(topic);
        let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let tp = TopicPartition { topic, partition };
        let active = self.active.as_ref().ok_or(ErrorCode::NotController)?;
        let image = &active.image;
        let registration = image.partitions.get(&tp);
        let registration = registration.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let wanted = wanted(image, registration, replicas)?;
        let config = self.control_config(image, tp, registration);
        let request = ChangeRequest {
            min_isr: config.min_isr,
            elr_enabled: config.elr_enabled,
            ..wanted
        };
        let adding = request.target_adding.clone().unwrap_or_default();
        let mut records = match throttle {
            Some(rate) if replicas.is_some() => {
                throttles(topic, partition, rate, &registration.replicas, &adding)
            }
            _ => Vec::new(),
        };
        let live = |id: i32| image.is_active(id);
        let change = change_partition(registration, &request, &live);
        records.extend(change.map(|it| partition_record(tp, registration, &it)));
        if !records.is_empty() {
            self.write(records, now, cx);
        }
        Ok(())
    }
}

fn wanted(
    image: &MetadataImage,
    registration: &PartitionRegistration,
    replicas: Brokers<'_>,
) -> Result<ChangeRequest, ErrorCode> {
    let Some(replicas) = replicas else {
        return reassignment::cancel(registration);
    };
    let target: Vec<BrokerId> = replicas.iter().map(|it| it.1).collect();
    reassignment::begin(registration, &target, |id| image.brokers.contains_key(&id))
}

/// What `--throttle` sets.
fn throttles(
    topic: TopicId,
    partition: u16,
    rate: u64,
    leaders: &[BrokerId],
    followers: &[BrokerId],
) -> Vec<MetadataRecord> {
    let list = |ids: &[BrokerId]| {
        let each: Vec<String> = ids.iter().map(|id| format!("{partition}:{id}")).collect();
        each.join(",")
    };
    let record = |resource, key: &str, value: String| MetadataRecord::Config {
        resource,
        key: key.to_owned(),
        value: Some(value),
    };
    let (cluster, topic) = (ConfigResource::Cluster, ConfigResource::Topic(topic));
    vec![
        record(
            cluster,
            "leader.replication.throttled.rate",
            rate.to_string(),
        ),
        record(
            cluster,
            "follower.replication.throttled.rate",
            rate.to_string(),
        ),
        record(
            topic,
            "leader.replication.throttled.replicas",
            list(leaders),
        ),
        record(
            topic,
            "follower.replication.throttled.replicas",
            list(followers),
        ),
    ]
}
