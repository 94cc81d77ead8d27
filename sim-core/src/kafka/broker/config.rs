//! Settings of hosted partitions, as the metadata has them.
//!
//! Follows `LogConfig` and `DynamicBrokerConfig`: a topic's own entry, else the cluster's, else the
//! default. A value that cannot be read is left out of account; the controller refuses such.

use super::Broker;
use crate::kafka::config::TopicConfig;
use crate::kafka::ids::TopicId;
use crate::kafka::metadata::ConfigResource;
use crate::kafka::rules::isr::LeaderConfig;
use crate::log::{LogConfig, TierConfig};

impl Broker {
    /// The cluster's entries first, then the topic's own. Of `flush.messages` and `flush.ms` the
    /// cluster's have names of their own (`KafkaConfig.extractLogConfigMap`).
    pub(super) fn topic_config(&self, topic: TopicId) -> TopicConfig {
        let own = &self.config;
        let mut config = TopicConfig {
            flush_messages: own.flush_messages,
            flush_ms: match own.flush_ms {
                ..0 => own.flush_scheduler_ms,
                set => set,
            },
            ..TopicConfig::default()
        };
        for resource in [ConfigResource::Cluster, ConfigResource::Topic(topic)] {
            for ((of, key), value) in &self.meta.image().configs {
                let key = match &**key {
                    "log.flush.interval.messages" => "flush.messages",
                    "log.flush.interval.ms" => "flush.ms",
                    key => key,
                };
                if *of == resource {
                    // Unreadable values keep what was there.
                    let _ = config.set(key, value);
                }
            }
        }
        config
    }

    pub(super) fn leader_config(&self, config: &TopicConfig) -> LeaderConfig {
        let min = match config.min_insync_replicas {
            0 => self.config.min_insync_replicas,
            own => own,
        };
        LeaderConfig {
            lag_max_ms: self.config.replica_lag_time_max_ms,
            min_insync_replicas: i32::try_from(min).unwrap_or(i32::MAX),
            rules: (*self.rules).clone(),
        }
    }

    /// Puts changed settings in force. The high watermark is not looked at again, as in Kafka: a
    /// lowered `min.insync.replicas` shows with the next append or ISR change.
    pub(super) fn refresh_configs(&mut self) {
        (self.parts().quotas.refresh)(self);
        let hosted: Vec<_> = self.partitions.keys().collect();
        for tp in hosted {
            let topic = self.topic_config(tp.topic);
            let leader = self.leader_config(&topic);
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.log.set_config(log_config(&topic));
                if let Some(state) = partition.leader_mut() {
                    state.set_config(leader);
                }
            }
        }
    }
}

pub(super) fn log_config(topic: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: topic.segment_bytes,
        segment_ms: topic.segment_ms,
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        max_message_bytes: topic.max_message_bytes,
        cleanup_policy: topic.cleanup_policy,
        min_cleanable_dirty_ppm: topic.min_cleanable_dirty_ratio.0,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        index_interval_bytes: topic.index_interval_bytes,
        segment_index_bytes: topic.segment_index_bytes,
        tier: TierConfig {
            remote_storage_enable: topic.remote_storage_enable,
            remote_copy_disable: topic.remote_copy_disable,
            local_retention_ms: topic.local_retention_ms,
            local_retention_bytes: topic.local_retention_bytes,
        },
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        ..LogConfig::default()
    }
}
