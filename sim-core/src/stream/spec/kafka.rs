//! The topics of a Kafka cluster that a job reads and writes.
//!
//! Follows `KafkaSourceBuilder`, `OffsetsInitializer` and `KafkaSinkBuilder`. Left out: a start by
//! timestamp, other offsets for each partition, and stopping offsets.

use crate::kafka::config::OffsetReset;
use crate::stream::config::KafkaSourceConfig;
use crate::stream::element::Key;
use serde::Serialize;

/// What a source reads that reads a topic (`KafkaSource`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KafkaSource {
    /// The topic.
    pub topic: String,
    /// Where it begins (`OffsetsInitializer`).
    pub start: KafkaStart,
    /// `auto.offset.reset` of its consumers.
    pub reset: OffsetReset,
    /// `isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// The job's key for each key of the topic's producers; beyond these a key has the same number.
    pub keys: Vec<Key>,
    /// Its properties.
    #[serde(skip_serializing_if = "KafkaSourceConfig::is_default")]
    pub config: KafkaSourceConfig,
}

/// Where a source begins in each partition of its topic, unless a checkpoint says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum KafkaStart {
    /// At its start.
    #[default]
    Earliest,
    /// At its end.
    Latest,
    /// Where its group has come to.
    Committed,
    /// At this offset.
    At(i64),
}

impl KafkaStart {
    /// `OffsetsInitializer.getAutoOffsetResetStrategy`: it overrides what the properties say.
    #[must_use]
    pub fn reset(self) -> OffsetReset {
        match self {
            KafkaStart::Earliest | KafkaStart::At(_) => OffsetReset::Earliest,
            KafkaStart::Latest => OffsetReset::Latest,
            KafkaStart::Committed => OffsetReset::None,
        }
    }
}

impl KafkaSource {
    /// The group whose offsets are asked for or committed, if any are.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match self.start {
            KafkaStart::Committed => Some(self.config.group_id.as_str()),
            _ => self.config.commits_to(),
        }
    }
}

/// Where a sink writes that writes to a topic (`KafkaSink`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KafkaSink {
    /// The topic.
    pub topic: String,
    /// `transaction.version` of the cluster.
    pub transaction_version: u8,
}
