//! A standalone consumer.

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
}
