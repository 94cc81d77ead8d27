//! Names of things in a cluster, small enough to travel in every message.

use crate::dense::DenseKey;
use crate::kernel::NodeId;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// A broker's `node.id` (also of a controller). `-1` means none in protocol fields.
pub type BrokerId = i32;

/// A topic by its number in the cluster; the name is in the metadata image.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default,
)]
pub struct TopicId(pub u16);

/// A partition of a topic. Ordered by topic, then by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Default)]
pub struct TopicPartition {
    /// Which topic.
    pub topic: TopicId,
    /// Which partition of it.
    pub partition: u16,
}

impl TopicPartition {
    // Ordered maps compare partitions all the time: one comparison, not two.
    fn rank(self) -> u32 {
        (u32::from(self.topic.0) << 16) | u32::from(self.partition)
    }
}

impl DenseKey for TopicPartition {
    fn number(self) -> u32 {
        self.rank()
    }

    fn of_number(number: u32) -> Self {
        TopicPartition {
            topic: TopicId((number >> 16) as u16),
            partition: number as u16,
        }
    }
}

impl Ord for TopicPartition {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for TopicPartition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which node of the world is which server; known to all, as `bootstrap.servers` and
/// `controller.quorum.bootstrap.servers` are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AddressBook {
    /// Brokers by id, ascending.
    pub brokers: Vec<(BrokerId, NodeId)>,
    /// Controllers (voters) by id, ascending.
    pub controllers: Vec<(BrokerId, NodeId)>,
    /// Names of the topics by number, which metadata answers would bring along.
    #[serde(skip)]
    pub topics: Vec<Arc<str>>,
    /// `broker.rack` of the brokers that have one, likewise.
    #[serde(skip)]
    pub racks: Vec<(BrokerId, String)>,
}

impl AddressBook {
    /// Where a broker is.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<NodeId> {
        self.brokers
            .iter()
            .find(|(b, _)| *b == id)
            .map(|(_, node)| *node)
    }

    /// Where a controller is.
    #[must_use]
    pub fn controller(&self, id: BrokerId) -> Option<NodeId> {
        self.controllers
            .iter()
            .find(|(c, _)| *c == id)
            .map(|(_, node)| *node)
    }

    /// The number of a client among all clients, producers first: they come after the servers.
    #[must_use]
    pub fn client_number(&self, node: NodeId) -> Option<u32> {
        let servers = self.brokers.iter().chain(&self.controllers);
        let last = servers.map(|(_, at)| at.0).max()?;
        node.0.checked_sub(last + 1)
    }

    /// Which broker a node is.
    #[must_use]
    pub fn broker_at(&self, node: NodeId) -> Option<BrokerId> {
        self.brokers
            .iter()
            .find(|(_, n)| *n == node)
            .map(|(b, _)| *b)
    }

    /// Which controller a node is.
    #[must_use]
    pub fn controller_at(&self, node: NodeId) -> Option<BrokerId> {
        self.controllers
            .iter()
            .find(|(_, n)| *n == node)
            .map(|(c, _)| *c)
    }
}
