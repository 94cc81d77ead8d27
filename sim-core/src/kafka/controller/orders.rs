//! What an operator orders from the active controller.
//!
//! `kafka-leader-election.sh` and `kafka-configs.sh` reach the controller through a broker; the
//! model hands the order to the controller itself. Whoever gives an order waits for no answer: what
//! came of it is seen in the metadata.

use super::Controller;
use crate::kafka::config::{BrokerConfig, TopicConfig};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::metadata::{ConfigResource, MetadataRecord};
use crate::kafka::node::{KafkaCx, Order};
use crate::kafka::note::Rule;
use crate::kafka::rules::election::{Election, PartitionChange};
use crate::kernel::Nanos;

use super::partitions::partition_record;

impl Controller {
    pub(super) fn on_order(&mut self, order: &Order, now: Nanos, cx: &mut KafkaCx<'_>) {
        if self.active.is_none() {
            return self.refuse_order(ErrorCode::NotController, cx);
        }
        match order {
            Order::ElectPreferred => {
                let wants = |_, p: &crate::kafka::rules::election::PartitionRegistration, _| {
                    !p.has_preferred_leader()
                };
                self.elect_where(Election::Preferred, wants, now, cx);
            }
            Order::ElectUnclean { topic, partition } => match self.topic(topic) {
                Some(id) => {
                    let asked = TopicPartition {
                        topic: id,
                        partition: *partition,
                    };
                    let elected =
                        self.elect_where(Election::Unclean, |tp, _, _| tp == asked, now, cx);
                    if elected == 0 {
                        self.refuse_order(ErrorCode::ElectionNotNeeded, cx);
                    }
                }
                None => self.refuse_order(ErrorCode::UnknownTopicOrPartition, cx),
            },
            Order::AlterConfig { topic, key, value } => {
                self.alter_config(topic.as_deref(), key, value.as_deref(), now, cx);
            }
            _ => {}
        }
    }

    fn refuse_order(&self, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        self.note(Rule::Refused, i64::from(error as u8), -1, cx);
    }

    fn topic(&self, name: &str) -> Option<TopicId> {
        let topics = &self.active.as_ref()?.image.topics;
        topics.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    fn alter_config(
        &mut self,
        topic: Option<&str>,
        key: &str,
        value: Option<&str>,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let resource = match topic.map(|name| self.topic(name)) {
            None => ConfigResource::Cluster,
            Some(Some(id)) => ConfigResource::Topic(id),
            Some(None) => return self.refuse_order(ErrorCode::UnknownTopicOrPartition, cx),
        };
        let fits = value.is_none_or(|text| match resource {
            ConfigResource::Cluster => BrokerConfig::default().set(key, text).is_ok(),
            ConfigResource::Topic(_) => TopicConfig::default().set(key, text).is_ok(),
        });
        if !fits {
            return self.refuse_order(ErrorCode::InvalidConfig, cx);
        }
        let mut records = vec![MetadataRecord::Config {
            resource,
            key: key.to_owned(),
            value: value.map(str::to_owned),
        }];
        if key == "min.insync.replicas" {
            records.extend(self.cleared_elrs(resource));
        }
        self.write(records, now, cx);
        if key == "unclean.leader.election.enable" {
            self.unclean_pass(now, cx);
        }
    }

    /// Another minimum makes eligible leader replicas doubtful: they are all dropped
    /// (`ClearElrRecord`).
    fn cleared_elrs(&self, resource: ConfigResource) -> Vec<MetadataRecord> {
        let Some(active) = &self.active else {
            return Vec::new();
        };
        let concerned = |tp: &TopicPartition| match resource {
            ConfigResource::Cluster => true,
            ConfigResource::Topic(id) => tp.topic == id,
        };
        let nobody = PartitionChange {
            elr: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..PartitionChange::default()
        };
        let partitions = active.image.partitions.iter();
        partitions
            .filter(|(tp, p)| concerned(tp) && !(p.elr.is_empty() && p.last_known_elr.is_empty()))
            .map(|(tp, partition)| partition_record(*tp, partition, &nobody))
            .collect()
    }
}
