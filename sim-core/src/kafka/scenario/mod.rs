//! Kafka's part of the scenario language: its table, its verbs and what a predicate may ask of it.
//!
//! "As the quorum has it" means: in the metadata that the active controller has committed; without
//! an active controller, in that of the controller with the highest committed metadata offset. It
//! is the view that `kafka-topics.sh --describe` would show, not any broker's belief.

mod consumers;
mod document;
mod group_names;
mod groups;
mod load;
mod names;
mod orders;
mod processors;
mod read;
mod settings;

use super::ids::TopicPartition;
use super::node::Order;
use super::spec::{Arrivals, ClusterSpec, ProducerSpec};
use crate::kernel::{MILLISECOND, Nanos, NodeId};
use crate::scenario::{
    Args, At, Effort, Item, Key, Property, Raw, Reader, Section, SystemSection, Table, Verb,
};
use crate::systems;
use document::RawKafka;
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;

/// What a scenario says of this system.
pub type Spec = ClusterSpec;

/// The schema of the table, apart from [`SystemSection`]: what reads scenarios without writing
/// schemas, as the site does, is built without any of this.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<RawKafka>()
}

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
    /// All replicas as the quorum has them, both sides of a reassignment: nodes.
    Replicas(TopicPartition),
    /// Whether a reassignment goes on as the quorum has it: bool.
    Reassigning(TopicPartition),
    /// Brokers that run and believe they lead the partition: nodes. Two of them: split brain.
    Claimants(TopicPartition),
    /// The high watermark at the leader; none while there is no leader that runs.
    HighWatermark(TopicPartition),
    /// The log end offset at the leader; none while there is no leader that runs.
    LogEnd(TopicPartition),
    /// The log start offset at the leader; none while there is no leader that runs.
    LogStart(TopicPartition),
    /// The last stable offset at the leader; none while there is no leader that runs.
    LastStable(TopicPartition),
    /// Transactions that are open in the leader's log; none while there is no leader that runs.
    OpenTransactions(TopicPartition),
    /// Where the leader's local disk begins.
    LocalLogStart(TopicPartition),
    /// Offset after the last record in remote storage, as the leader knows; none without any.
    RemoteEnd(TopicPartition),
    /// Where a replica's local disk begins.
    ReplicaLocalLogStart(NodeId, TopicPartition),
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
    /// Transactions that a producer's application has committed; none without a transactional id.
    ProducerCommits(NodeId),
    /// Transactions that a producer's application has aborted; none without a transactional id.
    ProducerAborts(NodeId),
    /// Whether an error has ended a producer for good; none without a transactional id.
    ProducerEnded(NodeId),
    /// Bytes of its logs that a broker's machine has in memory; none without a bound.
    Cached(NodeId),
    /// Bytes that a broker's disk had to read for fetches so far.
    DiskRead(NodeId),
    /// Bytes of a client's fetches that brokers had to read from disk so far.
    ClientDiskRead(NodeId),
    /// How long brokers have told a client to wait for its quota so far: time.
    ClientThrottled(NodeId),
    /// Next offset a consumer reads; none without a position.
    ConsumerPosition(NodeId, TopicPartition),
    /// High watermark of the leader − position; none without either.
    ConsumerLag(NodeId, TopicPartition),
    /// Records a consumer was handed, repetitions counted.
    ConsumerDelivered(NodeId),
    /// Records that the application of a group's member is done with, repetitions counted.
    ConsumerProcessed(NodeId),
    /// The generation of a member; none without one.
    ConsumerGeneration(NodeId),
    /// Partitions that a consumer reads.
    ConsumerPartitions(NodeId),
    /// Times that a member's application got `CommitFailedException`.
    ConsumerCommitFailures(NodeId),
    /// Whether FENCED_INSTANCE_ID or UNRELEASED_INSTANCE_ID has ended a member.
    ConsumerFenced(NodeId),
    /// The generation of a group, by the number of one of its members' nodes, at its coordinator.
    GroupGeneration(NodeId),
    /// Members of a group at its coordinator.
    GroupMembers(NodeId),
    /// Whether a group is stable at its coordinator: bool.
    GroupStable(NodeId),
    /// How long the partitions of a group stood still so far, together: time.
    GroupStopped(NodeId),
    /// The coordinator of a group: node or none.
    GroupCoordinator(NodeId),
    /// The offset that a group has committed for a partition; none without one.
    GroupCommitted(NodeId, TopicPartition),
    /// Log end of the leader − committed offset; none without either.
    GroupLag(NodeId, TopicPartition),
    /// The member that owns a partition, if it is one that runs: node or none.
    GroupOwner(NodeId, TopicPartition),
    /// Start offset of a partition in a share group, at its leader; none without one.
    ShareStart(NodeId, TopicPartition),
    /// End offset of a partition in a share group, at its leader; none without one.
    ShareEnd(NodeId, TopicPartition),
    /// Keys with a value in the table that a consumer of a compacted topic builds; none elsewhere.
    ConsumerKeys(NodeId),
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

impl Probe {
    /// The words that its value is one of: none of them is a word.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        &[]
    }
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

/// Kafka's part of the scenario language.
pub(crate) struct Language;

/// The cluster in a register's specification.
fn of(spec: &systems::Spec) -> Option<&ClusterSpec> {
    match spec {
        systems::Spec::Kafka(spec) => Some(spec),
        _ => None,
    }
}

impl SystemSection for Language {
    fn key(&self) -> &'static str {
        "kafka"
    }

    fn doc(&self) -> &'static str {
        "An Apache Kafka cluster with its clients."
    }

    fn keys(&self) -> Vec<Key> {
        RawKafka::keys()
    }

    fn read(&self, raw: &At<Raw>, _: &mut [systems::Spec], reader: &mut Reader<'_>) -> Section {
        let read = RawKafka::read(raw, reader).unwrap_or_default();
        let (spec, nodes) = read::cluster(&At::new(read, raw.span.clone()), reader);
        Section {
            spec: systems::Spec::Kafka(Box::new(spec)),
            nodes,
            promise: None,
        }
    }

    fn verbs(&self) -> &'static [Verb] {
        orders::VERBS
    }

    fn order(
        &self,
        spec: &systems::Spec,
        verb: &Verb,
        args: &Args,
        reader: &mut Reader<'_>,
    ) -> Option<systems::Order> {
        orders::read(of(spec)?, verb, args, reader).map(systems::Order::Kafka)
    }

    fn write_order(
        &self,
        order: &systems::Order,
    ) -> Option<(&'static str, Vec<(&'static str, String)>)> {
        match order {
            systems::Order::Kafka(order) => Some(orders::write(order)),
            _ => None,
        }
    }

    fn roots<'s>(&self, spec: &'s systems::Spec, base: u32) -> Vec<Property<'s>> {
        of(spec)
            .map(|spec| names::roots(spec, base))
            .unwrap_or_default()
    }

    fn inside_node<'s>(
        &self,
        spec: &'s systems::Spec,
        base: u32,
        node: NodeId,
    ) -> Vec<Property<'s>> {
        of(spec)
            .map(|spec| names::inside_node(spec, base, node))
            .unwrap_or_default()
    }

    fn messages(&self) -> &'static [&'static str] {
        super::protocol::MESSAGE_KINDS
    }

    fn effort(&self, spec: &systems::Spec, duration: Nanos) -> Effort {
        of(spec)
            .map(|spec| effort(spec, duration))
            .unwrap_or_default()
    }
}

/// How many records a producer's load sends.
fn records(producer: &ProducerSpec, duration: Nanos) -> u64 {
    let load = &producer.load;
    let span = load
        .stop
        .unwrap_or(duration)
        .min(duration)
        .saturating_sub(load.start);
    let many = |span: Nanos, gap: Nanos| span / gap.max(1);
    let count = match load.arrivals {
        Arrivals::None => 0,
        Arrivals::Constant { gap } | Arrivals::Poisson { mean_gap: gap } => many(span, gap),
        Arrivals::Bursts { gap, on, off } => {
            let active =
                u128::from(span) * u128::from(on) / u128::from((on.saturating_add(off)).max(1));
            many(active as Nanos, gap)
        }
    };
    count.min(load.limit.unwrap_or(u64::MAX))
}

/// A rough count of events: records and their batches, and the chatter of an idle cluster.
fn effort(spec: &ClusterSpec, duration: Nanos) -> Effort {
    let loads = spec.producers.iter().map(|it| records(it, duration));
    let records_sent = loads.fold(0u64, u64::saturating_add);
    let mut events: u64 = 0;
    let mut add = |n: u64| events = events.saturating_add(n);
    let periods =
        |ms: i64| duration / (ms.max(1).unsigned_abs().saturating_mul(MILLISECOND)).max(1);
    for producer in &spec.producers {
        let topic = spec
            .topics
            .iter()
            .find(|topic| topic.name == producer.topic);
        // Batches for one broker share a request, and a request waits for linger.ms.
        let partitions = topic.map_or(1, |topic| topic.assignment.len() as u64);
        let targets = partitions.min(spec.brokers.len() as u64);
        let factor = topic
            .and_then(|topic| topic.assignment.iter().map(Vec::len).max())
            .map_or(1, |factor| factor as u64);
        let readers = spec
            .consumers
            .iter()
            .filter(|c| c.topics().any(|it| it == producer.topic))
            .count() as u64;
        let sent = records(producer, duration);
        let requests = periods(producer.config.linger_ms).saturating_mul(targets);
        // A request, its answer and a timer; then the same for each follower and reader.
        let each = 3 + 4 * factor.saturating_sub(1) + 2 * readers;
        add(sent);
        add(sent.min(requests).saturating_mul(each));
    }
    let brokers = spec.brokers.len() as u64;
    let replicated = spec
        .topics
        .iter()
        .flat_map(|t| &t.assignment)
        .any(|ids| ids.len() > 1);
    if replicated {
        let pairs = brokers * brokers.saturating_sub(1);
        add(pairs
            .saturating_mul(2)
            .saturating_mul(periods(spec.config.replica_fetch_wait_max_ms)));
    }
    add(brokers
        .saturating_mul(3)
        .saturating_mul(periods(spec.config.broker_heartbeat_interval_ms)));
    // Brokers and the other controllers fetch metadata with a wait of half a second.
    let observers = brokers + (spec.controllers.len() as u64).saturating_sub(1);
    add(observers.saturating_mul(3).saturating_mul(periods(500)));
    for consumer in &spec.consumers {
        add(brokers
            .saturating_mul(2)
            .saturating_mul(periods(consumer.config.fetch_max_wait_ms)));
    }
    Effort {
        events,
        records: records_sent,
    }
}
