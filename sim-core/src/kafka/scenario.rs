//! Kafka's part of the scenario language: what a predicate may ask of a cluster.
//!
//! "As the quorum has it" means: in the metadata that the active controller has committed; without
//! an active controller, in that of the controller with the highest committed metadata offset. It
//! is the view that `kafka-topics.sh --describe` would show, not any broker's belief.

use super::ids::TopicPartition;
use super::node::Order;
use super::spec::ClusterSpec;
use crate::kernel::NodeId;
use serde::Serialize;

/// What a scenario says of this system.
pub type Spec = ClusterSpec;

/// A question to a Kafka cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Probe {
    /// The leader as the quorum has it: node or none.
    PartitionLeader(TopicPartition),
    /// The leader epoch as the quorum has it.
    LeaderEpoch(TopicPartition),
    /// The in-sync replicas as the quorum has them: nodes.
    Isr(TopicPartition),
    /// The eligible leader replicas (KIP-966) as the quorum has them: nodes.
    Elr(TopicPartition),
    /// Brokers that run and believe they lead the partition: nodes. Two of them: split brain.
    Claimants(TopicPartition),
    /// The high watermark at the leader; none while there is no leader that runs.
    HighWatermark(TopicPartition),
    /// The log end offset at the leader; none while there is no leader that runs.
    LogEnd(TopicPartition),
    /// The log start offset at the leader; none while there is no leader that runs.
    LogStart(TopicPartition),
    /// Log end offset of a replica; none if it holds no such log.
    ReplicaLeo(NodeId, TopicPartition),
    /// High watermark as a replica knows it.
    ReplicaHighWatermark(NodeId, TopicPartition),
    /// Log start offset of a replica.
    ReplicaLogStart(NodeId, TopicPartition),
    /// The leader epoch a replica is in.
    ReplicaEpoch(NodeId, TopicPartition),
    /// The replica believes it is the leader: bool.
    ReplicaLeads(NodeId, TopicPartition),
    /// The replica is in the ISR as the quorum has it: bool.
    ReplicaInSync(NodeId, TopicPartition),
    /// The broker is fenced as the quorum has it: bool.
    Fenced(NodeId),
    /// Partitions a broker leads as the quorum has it.
    Leads(NodeId),
    /// The last metadata offset a broker or controller has applied.
    MetadataOffset(NodeId),
    /// Records a producer's application gave to `send()`.
    ProducerSent(NodeId),
    /// Records acknowledged to a producer.
    ProducerAcknowledged(NodeId),
    /// Records a producer gave up.
    ProducerFailed(NodeId),
    /// Records a producer still waits for: sent − acknowledged − failed.
    ProducerPending(NodeId),
    /// Produce requests of a producer without answer yet.
    ProducerInFlight(NodeId),
    /// Next offset a consumer reads; none without a position.
    ConsumerPosition(NodeId, TopicPartition),
    /// High watermark of the leader − position; none without either.
    ConsumerLag(NodeId, TopicPartition),
    /// Records a consumer was handed, repetitions counted.
    ConsumerDelivered(NodeId),
    /// The active controller: node or none.
    QuorumLeader,
    /// The epoch of the quorum: the highest that any controller is in.
    QuorumEpoch,
    /// The highest committed metadata offset.
    QuorumHighWatermark,
    /// Partitions without a leader as the quorum has it (`OfflinePartitionsCount`).
    OfflinePartitions,
    /// Partitions whose ISR is smaller than their replica set (`UnderReplicatedPartitions`).
    UnderReplicated,
    /// Partitions whose ISR is smaller than `min.insync.replicas` (`UnderMinIsrPartitionCount`).
    UnderMinIsr,
    /// Unclean leader elections so far (`UncleanLeaderElectionsPerSec`, counted).
    UncleanElections,
}

impl Order {
    /// The order that takes this one back, if one does.
    #[must_use]
    pub fn inverse(&self) -> Option<Order> {
        match self {
            Order::Load { on } => Some(Order::Load { on: !on }),
            Order::Poll { on } => Some(Order::Poll { on: !on }),
            _ => None,
        }
    }
}
