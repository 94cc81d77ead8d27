//! A KRaft controller.

use super::node::{KafkaCx, KafkaInput};
use crate::kernel::Loss;
use serde::Serialize;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ControllerTimer {
    /// Regular work.
    Tick,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Controller {}

impl Controller {
    /// The one entry.
    pub fn on(&mut self, _input: KafkaInput<ControllerTimer>, _cx: &mut KafkaCx<'_>) {}

    /// Drops what a crash takes.
    pub fn crash(&mut self, _loss: Loss) {}

    /// Leads the quorum.
    #[must_use]
    pub fn is_active(&self) -> bool {
        false
    }
}
