//! The cluster's metadata: records of the metadata log, and the image that replaying them gives.
//!
//! Follows `metadata/src/main/resources/common/metadata/*.json` and `MetadataImage`. Every broker
//! and controller has an image of its own at its own offset; nobody sees "the" metadata.

use super::ids::{BrokerId, TopicId, TopicPartition};
use super::rules::election::PartitionRegistration;
use crate::log::{Batch, LogRecord};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a config entry belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum ConfigResource {
    /// Cluster default for brokers.
    Cluster,
    /// One topic.
    Topic(TopicId),
    /// The quotas of a client, by its number ([`AddressBook::client_number`]), or of each client
    /// that has none of its own. Kafka has a record of its own for them (`ClientQuotaRecord`).
    ///
    /// [`AddressBook::client_number`]: super::ids::AddressBook::client_number
    Client(Option<u32>),
}

/// A record of the metadata log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum MetadataRecord {
    /// A leader opened an epoch.
    LeaderChange {
        /// Who.
        leader: BrokerId,
    },
    /// A topic.
    Topic {
        /// Its number.
        id: TopicId,
        /// Its name.
        name: String,
    },
    /// A partition's whole state (creation and change alike, as the replay result is the same).
    Partition {
        /// Which.
        tp: TopicPartition,
        /// Its state from now on.
        state: Box<PartitionRegistration>,
    },
    /// A broker registered; its epoch is this record's offset.
    RegisterBroker {
        /// Who.
        broker: BrokerId,
        /// Which run of its process.
        incarnation: u64,
    },
    /// A broker's state changed.
    BrokerRegistrationChange {
        /// Who.
        broker: BrokerId,
        /// In which registration.
        broker_epoch: i64,
        /// Fenced from now on?
        fenced: Option<bool>,
        /// In controlled shutdown from now on?
        in_controlled_shutdown: Option<bool>,
    },
    /// A config entry; `None` deletes it.
    Config {
        /// Of what.
        resource: ConfigResource,
        /// Real key, e.g. `min.insync.replicas`.
        key: String,
        /// Value as text.
        value: Option<String>,
    },
    /// Producer ids up to here (exclusive) are given out.
    ProducerIds {
        /// Next block starts here.
        next: i64,
    },
    /// Nothing: keeps offsets moving (`NoOpRecord`).
    NoOp,
}

impl LogRecord for MetadataRecord {
    fn bytes(&self) -> u32 {
        40
    }
    fn timestamp_ms(&self) -> i64 {
        -1
    }
    // Metadata batches are dense: the position in the batch is the index, nothing is compacted.
    fn offset_delta(&self) -> u32 {
        0
    }
    fn set_offset_delta(&mut self, _delta: u32) {}
}

/// A broker as the metadata knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct BrokerState {
    /// Epoch of its registration (offset of the record).
    pub epoch: i64,
    /// Which run of its process.
    pub incarnation: u64,
    /// May not lead or be in an ISR.
    pub fenced: bool,
    /// Is being shut down in order.
    pub in_controlled_shutdown: bool,
}

/// The result of replaying metadata up to an offset.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct MetadataImage {
    /// Next offset to replay.
    pub next_offset: i64,
    /// Epoch of the last replayed batch.
    pub epoch: i32,
    /// Topics by number.
    pub topics: BTreeMap<TopicId, String>,
    /// Partitions.
    pub partitions: BTreeMap<TopicPartition, PartitionRegistration>,
    /// Brokers by id.
    pub brokers: BTreeMap<BrokerId, BrokerState>,
    /// Config entries.
    pub configs: BTreeMap<(ConfigResource, String), String>,
    /// Next producer id block.
    pub next_producer_id: i64,
}

/// A snapshot of the metadata log: the image, and where it ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Snapshot {
    /// The state.
    pub image: MetadataImage,
    /// Offset after the last contained record.
    pub end_offset: i64,
    /// Epoch of the last contained record.
    pub epoch: i32,
}

impl MetadataImage {
    /// Replays one record that stands at `offset` in epoch `epoch`.
    pub fn replay(&mut self, offset: i64, epoch: i32, record: &MetadataRecord) {
        match record {
            MetadataRecord::LeaderChange { .. } | MetadataRecord::NoOp => {}
            MetadataRecord::Topic { id, name } => {
                self.topics.insert(*id, name.clone());
            }
            MetadataRecord::Partition { tp, state } => {
                self.partitions.insert(*tp, (**state).clone());
            }
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
            } => {
                let state = BrokerState {
                    epoch: offset,
                    incarnation: *incarnation,
                    fenced: true,
                    in_controlled_shutdown: false,
                };
                self.brokers.insert(*broker, state);
            }
            MetadataRecord::BrokerRegistrationChange {
                broker,
                broker_epoch,
                fenced,
                in_controlled_shutdown,
            } => {
                if let Some(state) = self.brokers.get_mut(broker)
                    && state.epoch == *broker_epoch
                {
                    state.fenced = fenced.unwrap_or(state.fenced);
                    state.in_controlled_shutdown =
                        in_controlled_shutdown.unwrap_or(state.in_controlled_shutdown);
                }
            }
            MetadataRecord::Config {
                resource,
                key,
                value,
            } => {
                let key = (*resource, key.clone());
                match value {
                    Some(value) => self.configs.insert(key, value.clone()),
                    None => self.configs.remove(&key),
                };
            }
            MetadataRecord::ProducerIds { next } => self.next_producer_id = *next,
        }
        self.next_offset = offset + 1;
        self.epoch = epoch;
    }

    /// Replays a whole batch.
    pub fn replay_batch(&mut self, batch: &Batch<MetadataRecord>) {
        for (offset, record) in (batch.base_offset..).zip(batch.records.iter()) {
            self.replay(offset, batch.leader_epoch, record);
        }
        self.next_offset = batch.next_offset();
        self.epoch = batch.leader_epoch;
    }

    /// A broker that may lead and be in an ISR.
    #[must_use]
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers
            .get(&broker)
            .is_some_and(|b| !b.fenced && !b.in_controlled_shutdown)
    }

    /// A config value: the topic's own, else the cluster's.
    #[must_use]
    pub fn config(&self, topic: TopicId, key: &str) -> Option<&str> {
        let entry = |resource| self.configs.get(&(resource, key.to_owned()));
        entry(ConfigResource::Topic(topic))
            .or_else(|| entry(ConfigResource::Cluster))
            .map(String::as_str)
    }

    /// A partition's name, e.g. `orders-0`.
    #[must_use]
    pub fn name(&self, tp: TopicPartition) -> String {
        let topic = self.topics.get(&tp.topic).map_or("?", String::as_str);
        format!("{topic}-{}", tp.partition)
    }
}
