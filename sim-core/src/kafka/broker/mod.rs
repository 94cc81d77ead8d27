//! A broker.

use super::node::{KafkaCx, KafkaInput};
use crate::kernel::Loss;
use serde::Serialize;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum BrokerTimer {
    /// Regular work.
    Tick,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Broker {}

impl Broker {
    /// The one entry.
    pub fn on(&mut self, _input: KafkaInput<BrokerTimer>, _cx: &mut KafkaCx<'_>) {}

    /// Drops what a crash takes.
    pub fn crash(&mut self, _loss: Loss) {}
}
