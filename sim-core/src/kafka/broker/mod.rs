//! A broker.

use super::config::BrokerConfig;
use super::ids::{BrokerId, TopicPartition};
use super::metadata::MetadataImage;
use super::node::{KafkaCx, KafkaInput};
use crate::kernel::Loss;
use crate::log::Log;
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

    /// Its `node.id`.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        -1
    }

    /// Epoch of its registration; -1 before it.
    #[must_use]
    pub fn broker_epoch(&self) -> i64 {
        -1
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        unreachable!()
    }

    /// The metadata as it knows it.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        unreachable!()
    }

    /// Its log of a partition (also while it is down: what its disk and page cache hold).
    #[must_use]
    pub fn log(&self, _tp: TopicPartition) -> Option<&Log> {
        None
    }

    /// A hosted partition as this broker sees it.
    #[must_use]
    pub fn partition(&self, _tp: TopicPartition) -> Option<PartitionView> {
        None
    }
}

/// A partition as one broker sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionView {
    /// It believes that it leads.
    pub leads: bool,
    /// The leader epoch it is in.
    pub leader_epoch: i32,
    /// The leader it knows, -1 = none.
    pub leader: BrokerId,
    /// The ISR it knows.
    pub isr: Vec<BrokerId>,
}
