//! Answers to what predicates ask of a cluster.
//!
//! "As the quorum has it" is the committed metadata of the controller that is furthest; see
//! [`super::scenario::Probe`].

use super::broker::{Broker, PartitionView};
use super::consumer::Consumer;
use super::controller::Controller;
use super::ids::{BrokerId, TopicPartition};
use super::metadata::MetadataImage;
use super::node::Node as KafkaNode;
use super::producer::Producer;
use super::scenario::Probe;
use super::truth::{Logs, lane};
use crate::check::{Lane, Ledger};
use crate::kernel::{MILLISECOND, NodeId, NodeState, World};
use crate::log::Log;
use crate::scenario::{NodeSet, Value};
use crate::systems::Node;

/// The Kafka nodes of a world, by kind.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a>(pub &'a World<Node>);

impl<'a> Cluster<'a> {
    fn nodes(self) -> impl Iterator<Item = (NodeId, &'a KafkaNode)> {
        let all = (0..).map(NodeId).zip(self.0.nodes());
        all.filter_map(|(id, slot)| match &slot.process {
            Node::Kafka(node) => Some((id, node)),
            _ => None,
        })
    }

    /// Brokers with their nodes.
    pub fn brokers(self) -> impl Iterator<Item = (NodeId, &'a Broker)> {
        self.nodes().filter_map(|(id, node)| match node {
            KafkaNode::Broker(broker) => Some((id, &**broker)),
            _ => None,
        })
    }

    /// Controllers with their nodes.
    pub fn controllers(self) -> impl Iterator<Item = (NodeId, &'a Controller)> {
        self.nodes().filter_map(|(id, node)| match node {
            KafkaNode::Controller(controller) => Some((id, &**controller)),
            _ => None,
        })
    }

    /// A broker by its node.
    #[must_use]
    pub fn broker(self, node: NodeId) -> Option<&'a Broker> {
        match self.0.process(node)? {
            Node::Kafka(KafkaNode::Broker(broker)) => Some(broker),
            _ => None,
        }
    }

    /// A producer by its node.
    #[must_use]
    pub fn producer(self, node: NodeId) -> Option<&'a Producer> {
        match self.0.process(node)? {
            Node::Kafka(KafkaNode::Producer(producer)) => Some(producer),
            Node::Kafka(KafkaNode::Processor(both)) => Some(both.producer()),
            _ => None,
        }
    }

    /// A consumer by its node.
    #[must_use]
    pub fn consumer(self, node: NodeId) -> Option<&'a Consumer> {
        match self.0.process(node)? {
            Node::Kafka(KafkaNode::Consumer(consumer)) => Some(consumer),
            Node::Kafka(KafkaNode::Processor(both)) => Some(both.consumer()),
            _ => None,
        }
    }

    /// Whether a node's process runs (paused counts: it is still there).
    #[must_use]
    pub fn runs(self, node: NodeId) -> bool {
        let state = self.0.nodes().get(node.0 as usize).map(|slot| slot.state);
        !matches!(state, None | Some(NodeState::Down { .. }))
    }

    /// The active controller that runs; of two that think so, the one with the higher epoch.
    #[must_use]
    pub fn active_controller(self) -> Option<(NodeId, &'a Controller)> {
        self.controllers()
            .filter(|(node, controller)| controller.is_active() && self.runs(*node))
            .max_by_key(|(_, controller)| controller.quorum_epoch())
    }

    /// The metadata as the quorum has it.
    #[must_use]
    pub fn image(self) -> Option<&'a MetadataImage> {
        match self.active_controller() {
            Some((_, controller)) => Some(controller.image()),
            None => self
                .controllers()
                .map(|(_, c)| c.image())
                .max_by_key(|image| image.next_offset),
        }
    }

    /// The node of a broker id.
    #[must_use]
    pub fn node_of(self, id: BrokerId) -> Option<NodeId> {
        self.brokers()
            .find(|(_, broker)| broker.id() == id)
            .map(|(node, _)| node)
    }

    /// The partition with this name, e.g. `orders-0`.
    #[must_use]
    pub fn partition_named(self, name: &str) -> Option<TopicPartition> {
        let image = self.image()?;
        image
            .partitions
            .keys()
            .copied()
            .find(|tp| image.name(*tp) == name)
    }

    fn set(self, ids: &[BrokerId]) -> NodeSet {
        ids.iter().filter_map(|id| self.node_of(*id)).collect()
    }

    /// The log of the leader as the quorum has it, if that broker runs.
    #[must_use]
    pub fn leader_log(self, tp: TopicPartition) -> Option<&'a Log> {
        let leader = self.image()?.partitions.get(&tp)?.leader;
        let node = self.node_of(leader).filter(|node| self.runs(*node))?;
        Logs(self.0).log(node, tp)
    }
}

/// Records below the strandline. The furthest high watermark that any replica remembers counts, as
/// far as the newest leader's log goes: a leader that has just come back, or has just died,
/// remembers only the one of its last checkpoint. What the disk of a leader that is down holds says
/// nothing of what its followers have, so it sets no bound.
#[must_use]
pub fn committed(world: &World<Node>, ledger: &Ledger) -> u64 {
    let cluster = Cluster(world);
    let Some(image) = cluster.image() else {
        return 0;
    };
    let of = |tp: &TopicPartition| {
        let at: Lane = lane(*tp);
        let (_, leader) = ledger.leader(at)?;
        let end = match cluster.runs(leader) {
            true => Logs(world).log(leader, *tp)?.leo(),
            false => i64::MAX,
        };
        let logs = cluster
            .brokers()
            .filter_map(|(node, _)| Logs(world).log(node, *tp));
        let hw = logs.map(Log::high_watermark).max()?;
        u64::try_from(hw.min(end)).ok()
    };
    image.partitions.keys().filter_map(of).sum()
}

/// Answers a probe.
#[must_use]
pub fn value(world: &World<Node>, probe: &Probe) -> Value {
    let cluster = Cluster(world);
    let partition = |tp: &TopicPartition| cluster.image().and_then(|i| i.partitions.get(tp));
    let log = |node: &NodeId, tp: &TopicPartition| Logs(world).log(*node, *tp);
    let replica = |node: &NodeId, tp: &TopicPartition| {
        cluster
            .runs(*node)
            .then(|| cluster.broker(*node)?.partition(*tp))
            .flatten()
    };
    let found = match probe {
        Probe::PartitionLeader(tp) => partition(tp)
            .and_then(|p| cluster.node_of(p.leader))
            .map(Value::Node),
        Probe::LeaderEpoch(tp) => partition(tp).map(|p| Value::Int(p.leader_epoch.into())),
        Probe::Isr(tp) => partition(tp).map(|p| Value::Nodes(cluster.set(&p.isr))),
        Probe::Elr(tp) => partition(tp).map(|p| Value::Nodes(cluster.set(&p.elr))),
        Probe::Cached(node) => cluster
            .broker(*node)
            .and_then(|it| it.pages(None))
            .map(|(cached, _)| Value::Int(cached as i64)),
        Probe::DiskRead(node) => cluster
            .broker(*node)
            .map(|it| Value::Int(it.pages(None).map_or(0, |(_, read)| read) as i64)),
        Probe::Replicas(tp) => partition(tp).map(|p| Value::Nodes(cluster.set(&p.replicas))),
        Probe::Reassigning(tp) => partition(tp).map(|p| Value::Bool(p.is_reassigning())),
        Probe::Claimants(tp) => Some(Value::Nodes(
            cluster
                .brokers()
                .filter(|(node, broker)| {
                    cluster.runs(*node) && broker.partition(*tp).is_some_and(|p| p.leads)
                })
                .map(|(node, _)| node)
                .collect(),
        )),
        Probe::HighWatermark(tp) => cluster
            .leader_log(*tp)
            .map(|log| Value::Int(log.high_watermark())),
        Probe::LogEnd(tp) => cluster.leader_log(*tp).map(|log| Value::Int(log.leo())),
        Probe::LogStart(tp) => cluster
            .leader_log(*tp)
            .map(|log| Value::Int(log.start_offset())),
        Probe::LastStable(tp) => {
            leader_view(cluster, *tp).map(|it| Value::Int(it.partition_log.last_stable_offset()))
        }
        Probe::OpenTransactions(tp) => leader_view(cluster, *tp)
            .map(|it| Value::Int(it.partition_log.producers().ongoing().count() as i64)),
        Probe::LocalLogStart(tp) => cluster
            .leader_log(*tp)
            .map(|log| Value::Int(log.local_start_offset())),
        Probe::RemoteEnd(tp) => cluster
            .leader_log(*tp)
            .filter(|log| log.highest_remote_offset() >= 0)
            .map(|log| Value::Int(log.highest_remote_offset() + 1)),
        Probe::ReplicaLocalLogStart(node, tp) => {
            log(node, tp).map(|log| Value::Int(log.local_start_offset()))
        }
        Probe::ReplicaLeo(node, tp) => log(node, tp).map(|log| Value::Int(log.leo())),
        Probe::ReplicaHighWatermark(node, tp) => {
            log(node, tp).map(|log| Value::Int(log.high_watermark()))
        }
        Probe::ReplicaLogStart(node, tp) => log(node, tp).map(|log| Value::Int(log.start_offset())),
        Probe::ReplicaEpoch(node, tp) => {
            replica(node, tp).map(|p| Value::Int(p.leader_epoch.into()))
        }
        Probe::ReplicaLeads(node, tp) => {
            Some(Value::Bool(replica(node, tp).is_some_and(|p| p.leads)))
        }
        Probe::ReplicaInSync(node, tp) => {
            let id = cluster.broker(*node).map(Broker::id);
            Some(Value::Bool(
                partition(tp)
                    .zip(id)
                    .is_some_and(|(p, id)| p.isr.contains(&id)),
            ))
        }
        Probe::Fenced(node) => cluster
            .broker(*node)
            .and_then(|broker| cluster.image()?.brokers.get(&broker.id()))
            .map(|state| Value::Bool(state.fenced)),
        Probe::Leads(node) => cluster
            .broker(*node)
            .zip(cluster.image())
            .map(|(broker, image)| {
                let leads = image
                    .partitions
                    .values()
                    .filter(|p| p.leader == broker.id())
                    .count();
                Value::Int(leads as i64)
            }),
        Probe::MetadataOffset(node) => metadata_offset(world, *node).map(Value::Int),
        Probe::UnderReplicated | Probe::UnderMinIsr | Probe::OfflinePartitions => {
            Some(Value::Int(unhealthy(cluster, probe)))
        }
        Probe::UncleanElections => Some(Value::Int(
            cluster
                .controllers()
                .map(|(_, c)| c.unclean_elections())
                .sum::<u64>() as i64,
        )),
        Probe::QuorumLeader => cluster
            .active_controller()
            .map(|(node, _)| Value::Node(node)),
        Probe::QuorumEpoch => cluster
            .controllers()
            .map(|(_, c)| Value::Int(c.quorum_epoch().into()))
            .max_by_key(|value| match value {
                Value::Int(epoch) => *epoch,
                _ => -1,
            }),
        Probe::QuorumHighWatermark => cluster.image().map(|image| Value::Int(image.next_offset)),
        client => client_value(cluster, client),
    };
    found.unwrap_or(Value::None)
}

/// The replica that leads as the quorum has it, if its broker runs.
fn leader_view<'a>(cluster: Cluster<'a>, tp: TopicPartition) -> Option<PartitionView<'a>> {
    let leader = cluster.image()?.partitions.get(&tp)?.leader;
    let node = cluster.node_of(leader).filter(|node| cluster.runs(*node))?;
    cluster.broker(node)?.partition(tp)
}

fn metadata_offset(world: &World<Node>, node: NodeId) -> Option<i64> {
    match world.process(node)? {
        Node::Kafka(KafkaNode::Broker(broker)) => Some(broker.image().next_offset - 1),
        Node::Kafka(KafkaNode::Controller(controller)) => Some(controller.image().next_offset - 1),
        _ => None,
    }
}

/// Counts of partitions in trouble, as Kafka's metrics count them.
fn unhealthy(cluster: Cluster<'_>, probe: &Probe) -> i64 {
    let Some(image) = cluster.image() else {
        return 0;
    };
    let bad = image.partitions.iter().filter(|(tp, p)| match probe {
        Probe::OfflinePartitions => p.leader < 0,
        Probe::UnderReplicated => p.isr.len() + p.adding.len() < p.replicas.len(),
        _ => {
            let min = image
                .config(tp.topic, "min.insync.replicas")
                .and_then(|text| text.parse::<usize>().ok())
                .unwrap_or(1);
            p.isr.len() < min.min(p.replicas.len())
        }
    });
    bad.count() as i64
}

fn client_value(cluster: Cluster<'_>, probe: &Probe) -> Option<Value> {
    let count = |n: u64| Value::Int(n as i64);
    Some(match probe {
        Probe::ProducerSent(node) => count(cluster.producer(*node)?.sent()),
        Probe::ProducerAcknowledged(node) => count(cluster.producer(*node)?.acknowledged()),
        Probe::ProducerFailed(node) => count(cluster.producer(*node)?.failed()),
        Probe::ProducerPending(node) => {
            // Not sent − acknowledged − failed: what a crash made it forget, it does not wait for.
            count(cluster.producer(*node)?.pending())
        }
        Probe::ProducerInFlight(node) => count(cluster.producer(*node)?.in_flight()),
        Probe::ProducerCommits(node) => count(ended(cluster, *node)?.0),
        Probe::ProducerAborts(node) => count(ended(cluster, *node)?.1),
        Probe::ProducerEnded(node) => {
            let producer = cluster.producer(*node)?;
            producer.transaction()?;
            Value::Bool(producer.fatal_error().is_some())
        }
        Probe::ClientDiskRead(node) => {
            let brokers = cluster.brokers();
            let each = brokers.filter_map(|(_, it)| Some(it.pages(Some(*node))?.1));
            count(each.sum())
        }
        Probe::ClientThrottled(node) => {
            let producer = cluster.producer(*node).map(Producer::throttled_ms);
            let consumer = || cluster.consumer(*node).map(Consumer::throttled_ms);
            let ms = producer.or_else(consumer)?;
            Value::Time(ms.saturating_mul(MILLISECOND))
        }
        Probe::ConsumerPosition(node, tp) => Value::Int(cluster.consumer(*node)?.position(*tp)?),
        Probe::ConsumerLag(node, tp) => {
            let position = cluster.consumer(*node)?.position(*tp)?;
            Value::Int(cluster.leader_log(*tp)?.high_watermark() - position)
        }
        Probe::ConsumerKeys(node) => count(cluster.consumer(*node)?.keys()? as u64),
        Probe::ConsumerDelivered(node) => count(cluster.consumer(*node)?.delivered()),
        other => super::group_facts::value(cluster, other)?,
    })
}

/// Transactions that a producer has committed and aborted.
fn ended(cluster: Cluster<'_>, node: NodeId) -> Option<(u64, u64)> {
    let producer = cluster.producer(node)?;
    producer.transaction()?;
    Some(producer.transactions_ended())
}
