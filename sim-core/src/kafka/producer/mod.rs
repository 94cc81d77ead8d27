//! A producer.

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
}
