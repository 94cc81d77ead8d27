//! A KRaft controller.

use super::config::BrokerConfig;
use super::ids::BrokerId;
use super::metadata::MetadataImage;
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

    /// Its `node.id`.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        -1
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        unreachable!()
    }

    /// The committed metadata as it knows it.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        unreachable!()
    }

    /// The quorum epoch it is in.
    #[must_use]
    pub fn quorum_epoch(&self) -> i32 {
        0
    }

    /// Its quorum state, e.g. `Leader`, `Follower`, `Prospective`.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        "Unattached"
    }

    /// Unclean elections that it made.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        0
    }
}
