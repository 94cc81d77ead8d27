//! A standalone consumer.

use super::config::ConsumerConfig;
use super::ids::TopicPartition;
use super::node::{KafkaCx, KafkaInput};
use crate::kernel::Loss;
use serde::Serialize;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ConsumerTimer {
    /// Regular work.
    Tick,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Consumer {}

impl Consumer {
    /// The one entry.
    pub fn on(&mut self, _input: KafkaInput<ConsumerTimer>, _cx: &mut KafkaCx<'_>) {}

    /// Drops what a crash takes.
    pub fn crash(&mut self, _loss: Loss) {}

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        unreachable!()
    }

    /// Next offset it reads.
    #[must_use]
    pub fn position(&self, _tp: TopicPartition) -> Option<i64> {
        None
    }

    /// Records handed to the application, repetitions counted.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        0
    }

    /// The few values on its card: (label, value).
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
