//! What an onlooker may see of a consumer.

use super::partition::Assigned;
use super::{Consumer, Stopped};
use crate::kafka::client::ClientMetadata;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::protocol::Isolation;
use crate::kafka::rules::position::FetchState;

impl Consumer {
    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    fn of(&self, tp: TopicPartition) -> Option<&Assigned> {
        if tp.topic != self.topic {
            return None;
        }
        self.partitions.get(usize::from(tp.partition))?.as_ref()
    }

    /// Assigned partitions in order; none before the first metadata.
    pub fn assignment(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let assigned = (0..).zip(&self.partitions).filter(|(_, it)| it.is_some());
        assigned.map(|(partition, _)| self.client.metadata.tp(partition))
    }

    /// Next offset it reads.
    #[must_use]
    pub fn position(&self, tp: TopicPartition) -> Option<i64> {
        let position = self.of(tp)?.position.position()?;
        Some(position.offset)
    }

    /// What a partition is at.
    #[must_use]
    pub fn state(&self, tp: TopicPartition) -> Option<FetchState> {
        Some(self.of(tp)?.position.state())
    }

    /// The high watermark in the last response.
    #[must_use]
    pub fn high_watermark(&self, tp: TopicPartition) -> Option<i64> {
        let seen = self.of(tp)?.high_watermark;
        (seen >= 0).then_some(seen)
    }

    /// `records-lag`: what the last response showed as readable, less the position.
    #[must_use]
    pub fn lag(&self, tp: TopicPartition) -> Option<i64> {
        let assigned = self.of(tp)?;
        let end = match self.config.isolation {
            Isolation::ReadUncommitted => assigned.high_watermark,
            Isolation::ReadCommitted => assigned.last_stable_offset,
        };
        let position = self.position(tp)?;
        (end >= 0).then(|| (end - position).max(0))
    }

    /// The log start in the last response.
    #[must_use]
    pub fn log_start(&self, tp: TopicPartition) -> Option<i64> {
        let seen = self.of(tp)?.log_start_offset;
        (seen >= 0).then_some(seen)
    }

    /// The last error that concerned a partition, until a fetch succeeds.
    #[must_use]
    pub fn last_error(&self, tp: TopicPartition) -> Option<ErrorCode> {
        self.of(tp)?.last_error
    }

    /// Why it stopped at a partition (`auto.offset.reset=none`).
    #[must_use]
    pub fn stopped(&self, tp: TopicPartition) -> Option<Stopped> {
        self.of(tp)?.stopped
    }

    /// Whether its application polls.
    #[must_use]
    pub fn polling(&self) -> bool {
        self.polling
    }

    /// Records handed to the application, repetitions counted.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What it believes of the cluster.
    #[must_use]
    pub fn metadata(&self) -> &ClientMetadata {
        &self.client.metadata
    }

    /// The few values on its card: (label, value).
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let lag: i64 = self.assignment().filter_map(|tp| self.lag(tp)).sum();
        let mut facts = vec![
            ("delivered", self.delivered.to_string()),
            ("lag", lag.to_string()),
        ];
        if !self.polling {
            facts.push(("poll()", "paused".to_owned()));
        }
        let stopped = self
            .partitions
            .iter()
            .flatten()
            .filter(|it| it.stopped.is_some());
        match stopped.count() {
            0 => {}
            count => facts.push(("stopped partitions", count.to_string())),
        }
        facts
    }
}
