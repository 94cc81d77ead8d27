//! What a Kafka cluster and its clients are made of: the plain data from which the nodes are built.
//!
//! The scenario language fills these in (its `[kafka]` section); tests write them by hand.

use super::config::{BrokerConfig, ConsumerConfig, ProducerConfig, QuotaConfig, TopicConfig};
use super::group_config::GroupProtocol;
use super::group_protocol::OFFSETS_TOPIC;
use super::ids::BrokerId;
use super::parts::Parts;
use super::rules::replication::ReplicationRules;
use super::share_protocol::SHARE_STATE_TOPIC;
use super::txn_protocol::TRANSACTION_STATE_TOPIC;
use crate::kernel::Nanos;
use crate::log::CleanupPolicy;
use serde::Serialize;

/// A cluster with its clients. Node order in the world: brokers, controllers, producers,
/// consumers, each in the order given here.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ClusterSpec {
    /// Brokers: (name in the scenario, `node.id`).
    pub brokers: Vec<(String, BrokerId)>,
    /// `broker.rack` of those that have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<(BrokerId, String)>,
    /// Controllers: (name, `node.id`); ids differ from the brokers'.
    pub controllers: Vec<(String, BrokerId)>,
    /// Settings of all brokers and controllers.
    pub config: BrokerConfig,
    /// Protocol rules; the default is Kafka 4.x.
    pub rules: ReplicationRules,
    /// Topics, in order of their numbers.
    pub topics: Vec<TopicSpec>,
    /// Producers.
    pub producers: Vec<ProducerSpec>,
    /// Consumers.
    pub consumers: Vec<ConsumerSpec>,
    /// Processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<ProcessorSpec>,
    /// Quotas, by the name of a client; `None` is for all that have none of their own.
    pub quotas: Vec<(Option<String>, QuotaConfig)>,
    /// Clients in processes of other systems use transactions.
    #[serde(skip)]
    pub transactions: bool,
    /// Clients in processes of other systems commit offsets to groups.
    #[serde(skip)]
    pub groups: bool,
    /// What its nodes are built with.
    #[serde(skip)]
    pub parts: Parts,
}

impl ClusterSpec {
    /// `__consumer_offsets`, if a consumer has a group and the topic is not listed yet. Kafka makes
    /// it when the first client looks for a coordinator; here it is there with the other topics.
    /// It is compacted, in segments of `offsets.topic.segment.bytes`.
    #[must_use]
    pub fn offsets_topic(&self) -> Option<TopicSpec> {
        let processors = self.processors.iter().map(|it| &it.consumer);
        let mut consumers = self.consumers.iter().chain(processors);
        let own = consumers.any(|it| !it.config.group_id.is_empty());
        let wanted = own || self.groups;
        let partitions = self.config.offsets_topic_partitions;
        let factor = self.config.offsets_topic_replication_factor;
        (wanted && !self.has_topic(OFFSETS_TOPIC)).then(|| {
            let mut topic = self.internal_topic(OFFSETS_TOPIC, partitions, factor, 0);
            topic.config.segment_bytes = self.config.offsets_topic_segment_bytes;
            topic
        })
    }

    /// `__transaction_state`, if a producer has a transactional id, likewise.
    #[must_use]
    pub fn transactions_topic(&self) -> Option<TopicSpec> {
        let processors = self.processors.iter().map(|it| &it.producer);
        let mut producers = self.producers.iter().chain(processors);
        let own = producers.any(|it| !it.config.transactional_id.is_empty());
        let wanted = own || self.transactions;
        let config = &self.config;
        let factor = config.txn_log_replication_factor;
        let live = u32::try_from(self.brokers.len()).unwrap_or(u32::MAX);
        let min_isr = config.txn_log_min_isr.min(factor).min(live);
        (wanted && !self.has_topic(TRANSACTION_STATE_TOPIC)).then(|| {
            let partitions = config.txn_log_partitions;
            self.internal_topic(TRANSACTION_STATE_TOPIC, partitions, factor, min_isr)
        })
    }

    /// `__share_group_state`, if there is a share group, likewise. It is kept for ever.
    #[must_use]
    pub fn share_state_topic(&self) -> Option<TopicSpec> {
        let share = |it: &ConsumerSpec| it.config.group_protocol == GroupProtocol::Share;
        let wanted = self.consumers.iter().any(share);
        let config = &self.config;
        let factor = config.share_state_replication_factor;
        let live = u32::try_from(self.brokers.len()).unwrap_or(u32::MAX);
        let min_isr = config.share_state_min_isr.min(factor).min(live);
        (wanted && !self.has_topic(SHARE_STATE_TOPIC)).then(|| {
            let partitions = config.share_state_partitions;
            let mut topic = self.internal_topic(SHARE_STATE_TOPIC, partitions, factor, min_isr);
            topic.config.cleanup_policy = CleanupPolicy::DELETE;
            topic.config.retention_ms = -1;
            topic
        })
    }

    /// The number of a client among all clients, producers first.
    #[must_use]
    pub fn client_number(&self, name: &str) -> Option<u32> {
        let producers = self.producers.iter().map(|it| &it.name);
        let mut names = producers.chain(self.consumers.iter().map(|it| &it.name));
        let at = names.position(|it| it == name)?;
        u32::try_from(at).ok()
    }

    fn has_topic(&self, name: &str) -> bool {
        self.topics.iter().any(|it| it.name == name)
    }

    fn internal_topic(
        &self,
        name: &str,
        partitions: u32,
        factor: u32,
        min_insync_replicas: u32,
    ) -> TopicSpec {
        let brokers: Vec<BrokerId> = self.brokers.iter().map(|(_, id)| *id).collect();
        let factor = factor as usize;
        let replicas = |partition: u32| {
            let from = brokers
                .iter()
                .cycle()
                .skip(partition as usize % brokers.len().max(1));
            from.take(factor.min(brokers.len())).copied().collect()
        };
        let config = TopicConfig {
            min_insync_replicas,
            cleanup_policy: CleanupPolicy::COMPACT,
            segment_bytes: 104_857_600,
            ..TopicConfig::default()
        };
        TopicSpec {
            name: name.to_owned(),
            assignment: (0..partitions).map(replicas).collect(),
            config,
        }
    }
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Replicas of each partition in preference order (the first is the preferred leader).
    pub assignment: Vec<Vec<BrokerId>>,
    /// Its settings.
    pub config: TopicConfig,
}

/// A producer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProducerSpec {
    /// Its name in the scenario.
    pub name: String,
    /// Where it writes.
    pub topic: String,
    /// Its settings.
    pub config: ProducerConfig,
    /// What its application sends.
    pub load: LoadSpec,
}

/// A standalone consumer with assigned partitions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConsumerSpec {
    /// Its name in the scenario.
    pub name: String,
    /// What it reads.
    pub topic: String,
    /// Of a member that subscribes to several topics: the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Which partitions; empty = all.
    pub partitions: Vec<u16>,
    /// Its settings.
    pub config: ConsumerConfig,
    /// When it starts to poll, ns.
    pub start: Nanos,
}

impl ConsumerSpec {
    /// All topics that it reads.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.topic)
            .chain(&self.also)
            .map(String::as_str)
    }
}

/// An application that reads one topic, as a member of a group, and writes to another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProcessorSpec {
    /// What it reads with; the name is that of the application.
    pub consumer: ConsumerSpec,
    /// What it writes with.
    pub producer: ProducerSpec,
}

/// How records come, over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Arrivals {
    /// Nothing by itself; only orders.
    None,
    /// One record every so many ns.
    Constant {
        /// The gap, ns.
        gap: Nanos,
    },
    /// Exponential gaps (a Poisson process).
    Poisson {
        /// Mean gap, ns.
        mean_gap: Nanos,
    },
    /// Constant gaps during bursts, silence between them.
    Bursts {
        /// Gap inside a burst, ns.
        gap: Nanos,
        /// Length of a burst, ns.
        on: Nanos,
        /// Silence after it, ns.
        off: Nanos,
    },
}

/// Which key a record gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Keys {
    /// No key: the built-in partitioner's sticky choice.
    None,
    /// Keys 0..n in turn.
    Cycle {
        /// Number of keys.
        n: u32,
    },
    /// Keys 0..n, each equally likely.
    Uniform {
        /// Number of keys.
        n: u32,
    },
    /// Keys 0..n by Zipf's law: key k has weight 1/(k+1)^s.
    Zipf {
        /// Number of keys.
        n: u32,
        /// Exponent s in thousandths.
        exponent_milli: u32,
    },
}

/// What an application sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LoadSpec {
    /// When.
    pub arrivals: Arrivals,
    /// With which keys.
    pub keys: Keys,
    /// Text before the key's number: key 17 of prefix `user-` is `user-17` (hashed by murmur2).
    pub key_prefix: String,
    /// Share of keyed records that are tombstones, in thousandths.
    pub tombstones_milli: u32,
    /// Bytes of key and value.
    pub record_bytes: u32,
    /// First record at, ns.
    pub start: Nanos,
    /// No record from here on, ns.
    pub stop: Option<Nanos>,
    /// At most this many records.
    pub limit: Option<u64>,
}

impl Default for LoadSpec {
    fn default() -> Self {
        LoadSpec {
            arrivals: Arrivals::None,
            keys: Keys::None,
            key_prefix: "key-".to_owned(),
            tombstones_milli: 0,
            record_bytes: 100,
            start: 0,
            stop: None,
            limit: None,
        }
    }
}
