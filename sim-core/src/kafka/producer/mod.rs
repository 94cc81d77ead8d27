//! A producer.

use super::config::ProducerConfig;
use super::node::{KafkaCx, KafkaInput};
use crate::kernel::Loss;
use serde::Serialize;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ProducerTimer {
    /// Regular work.
    Tick,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Producer {}

impl Producer {
    /// The one entry.
    pub fn on(&mut self, _input: KafkaInput<ProducerTimer>, _cx: &mut KafkaCx<'_>) {}

    /// Drops what a crash takes.
    pub fn crash(&mut self, _loss: Loss) {}

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ProducerConfig {
        unreachable!()
    }

    /// Records given to `send()`.
    #[must_use]
    pub fn sent(&self) -> u64 {
        0
    }

    /// Records acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        0
    }

    /// Records given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        0
    }

    /// Produce requests without answer.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        0
    }

    /// The few values on its card: (label, value).
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
