//! The names that predicates may use of a Kafka cluster.

use super::Probe;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::spec::{ClusterSpec, ConsumerSpec};
use crate::kernel::NodeId;
use crate::scenario::{Meaning, NodeSet, Probe as AnyProbe, Property, Type, Value};
use crate::systems;

/// A name for a probe of this system.
pub(super) fn ask<'s>(name: &str, of: Type, probe: Probe, doc: &'static str) -> Property<'s> {
    Property::probe(
        name,
        doc,
        of,
        AnyProbe::System(systems::Probe::Kafka(probe)),
    )
}

/// Every partition with its name `topic-number`.
pub(super) fn partitions(spec: &ClusterSpec) -> impl Iterator<Item = (String, TopicPartition)> {
    spec.topics.iter().enumerate().flat_map(|(number, topic)| {
        (0..topic.assignment.len()).map(move |partition| {
            let tp = TopicPartition {
                topic: TopicId(number as u16),
                partition: partition as u16,
            };
            (format!("{}-{partition}", topic.name), tp)
        })
    })
}

fn replicas(spec: &ClusterSpec, base: u32, tp: TopicPartition) -> NodeSet {
    let node = |id: &BrokerId| {
        let at = spec.brokers.iter().position(|(_, broker)| broker == id)?;
        Some(NodeId(base + at as u32))
    };
    spec.topics
        .get(usize::from(tp.topic.0))
        .and_then(|topic| topic.assignment.get(usize::from(tp.partition)))
        .map(|ids| ids.iter().filter_map(node).collect())
        .unwrap_or_default()
}

/// The names with which paths begin.
pub(super) fn roots(spec: &ClusterSpec, base: u32) -> Vec<Property<'_>> {
    let mut all = vec![
        Property::scope("controller", "The quorum of controllers.", quorum),
        Property::scope("kafka", "Counts over the whole cluster.", whole_cluster),
    ];
    all.extend(super::group_names::groups(spec, base));
    all.extend(partitions(spec).map(|(name, tp)| {
        let inside = move || of_partition(spec, base, tp);
        Property::scope(name, "A partition.", inside)
    }));
    all
}

fn quorum<'s>() -> Vec<Property<'s>> {
    use Type::{Int, Node};
    vec![
        ask(
            "leader",
            Node,
            Probe::QuorumLeader,
            "The active controller, or none.",
        ),
        ask("epoch", Int, Probe::QuorumEpoch, "The epoch of the quorum."),
        ask(
            "hw",
            Int,
            Probe::QuorumHighWatermark,
            "The highest committed metadata offset.",
        ),
    ]
}

fn whole_cluster<'s>() -> Vec<Property<'s>> {
    let count = |name, probe, doc| ask(name, Type::Int, probe, doc);
    vec![
        count(
            "offline-partitions",
            Probe::OfflinePartitions,
            "Partitions without a leader.",
        ),
        count(
            "under-replicated",
            Probe::UnderReplicated,
            "Partitions whose ISR is not all of their replicas.",
        ),
        count(
            "under-min-isr",
            Probe::UnderMinIsr,
            "Partitions whose ISR is below min.insync.replicas.",
        ),
        count(
            "unclean-elections",
            Probe::UncleanElections,
            "Unclean leader elections so far.",
        ),
    ]
}

fn of_partition<'s>(spec: &ClusterSpec, base: u32, tp: TopicPartition) -> Vec<Property<'s>> {
    use Type::{Int, Node, Nodes};
    let all = Meaning::Const(Value::Nodes(replicas(spec, base, tp)), Nodes);
    vec![
        ask(
            "leader",
            Node,
            Probe::PartitionLeader(tp),
            "The leader as the quorum has it, or none.",
        ),
        ask(
            "epoch",
            Int,
            Probe::LeaderEpoch(tp),
            "The leader epoch as the quorum has it.",
        ),
        ask(
            "isr",
            Nodes,
            Probe::Isr(tp),
            "The in-sync replicas as the quorum has them.",
        ),
        ask(
            "elr",
            Nodes,
            Probe::Elr(tp),
            "The eligible leader replicas as the quorum has them.",
        ),
        Property::known("replicas", "The replicas it was given.", all),
        ask(
            "assignment",
            Nodes,
            Probe::Replicas(tp),
            "Its replicas as the quorum has them; in a reassignment, those that go and that come.",
        ),
        ask(
            "reassigning",
            Type::Bool,
            Probe::Reassigning(tp),
            "Whether a reassignment goes on as the quorum has it.",
        ),
        ask(
            "claimants",
            Nodes,
            Probe::Claimants(tp),
            "Brokers that run and believe they lead it.",
        ),
        ask(
            "hw",
            Int,
            Probe::HighWatermark(tp),
            "The high watermark at the leader.",
        ),
        ask(
            "leo",
            Int,
            Probe::LogEnd(tp),
            "The log end offset at the leader.",
        ),
        ask(
            "log-start",
            Int,
            Probe::LogStart(tp),
            "The log start offset at the leader.",
        ),
        ask(
            "local-log-start",
            Int,
            Probe::LocalLogStart(tp),
            "Where the leader's local disk begins.",
        ),
        ask(
            "remote-end",
            Int,
            Probe::RemoteEnd(tp),
            "The offset after the last record in remote storage, or none.",
        ),
        ask(
            "lso",
            Int,
            Probe::LastStable(tp),
            "The last stable offset at the leader: read_committed ends there.",
        ),
        ask(
            "open-transactions",
            Int,
            Probe::OpenTransactions(tp),
            "Transactions in the leader's log without a marker.",
        ),
    ]
}

/// The names that may follow a node.
pub(super) fn inside_node(spec: &ClusterSpec, base: u32, node: NodeId) -> Vec<Property<'_>> {
    let Some(at) = node.0.checked_sub(base).map(|at| at as usize) else {
        return Vec::new();
    };
    let metadata = || {
        let doc = "The last metadata offset it has applied.";
        ask(
            "metadata-offset",
            Type::Int,
            Probe::MetadataOffset(node),
            doc,
        )
    };
    let (brokers, controllers) = (spec.brokers.len(), spec.controllers.len());
    let producers = brokers + controllers + spec.producers.len();
    if at < brokers {
        let mut all = of_broker(node);
        all.push(metadata());
        // A reassignment may bring any partition here.
        all.extend(partitions(spec).map(|(name, tp)| {
            Property::scope(name, "Its replica of the partition.", move || {
                of_replica(node, tp)
            })
        }));
        return all;
    }
    if at < brokers + controllers {
        return vec![metadata()];
    }
    if at < producers {
        return of_producer(node);
    }
    let consumers = producers + spec.consumers.len();
    if let Some(it) = at
        .checked_sub(consumers)
        .and_then(|at| spec.processors.get(at))
    {
        let mut all = of_consumer(spec, node, &it.consumer);
        let also = of_producer(node).into_iter();
        // Both sides have a word for what a quota costs the process.
        all.extend(also.filter(|it| it.name != "throttled"));
        return all;
    }
    let consumer = spec.consumers.get(at - producers);
    consumer.map_or_else(Vec::new, |it| of_consumer(spec, node, it))
}

fn of_consumer<'s>(
    spec: &'s ClusterSpec,
    node: NodeId,
    consumer: &'s ConsumerSpec,
) -> Vec<Property<'s>> {
    let mut all = vec![
        ask(
            "delivered",
            Type::Int,
            Probe::ConsumerDelivered(node),
            "Records it was handed, repetitions counted.",
        ),
        ask(
            "keys",
            Type::Int,
            Probe::ConsumerKeys(node),
            "Keys with a value in the table it builds from a compacted topic.",
        ),
        throttled(node),
        ask(
            "disk-read",
            Type::Int,
            Probe::ClientDiskRead(node),
            "Bytes of its fetches that brokers had to read from disk so far.",
        ),
    ];
    if !consumer.config.group_id.is_empty() {
        let protocol = consumer.config.group_protocol;
        all.extend(super::group_names::of_member(node, protocol));
    }
    let read = partitions(spec).filter(move |(_, tp)| {
        let topic = spec.topics.get(usize::from(tp.topic.0));
        let wanted = &consumer.partitions;
        topic.is_some_and(|topic| consumer.topics().any(|it| it == topic.name))
            && (wanted.is_empty() || wanted.contains(&tp.partition))
    });
    all.extend(read.map(|(name, tp)| {
        Property::scope(name, "Where it stands in the partition.", move || {
            of_position(node, tp)
        })
    }));
    all
}

fn of_broker<'s>(node: NodeId) -> Vec<Property<'s>> {
    vec![
        ask(
            "fenced",
            Type::Bool,
            Probe::Fenced(node),
            "Fenced as the quorum has it.",
        ),
        ask(
            "leads",
            Type::Int,
            Probe::Leads(node),
            "Partitions it leads as the quorum has it.",
        ),
        ask(
            "cached",
            Type::Int,
            Probe::Cached(node),
            "Bytes of its logs in the page cache, if that has a bound.",
        ),
        ask(
            "disk-read",
            Type::Int,
            Probe::DiskRead(node),
            "Bytes that its disk had to read for fetches so far.",
        ),
    ]
}

fn of_replica<'s>(node: NodeId, tp: TopicPartition) -> Vec<Property<'s>> {
    use Type::{Bool, Int};
    vec![
        ask(
            "leo",
            Int,
            Probe::ReplicaLeo(node, tp),
            "Its log end offset.",
        ),
        ask(
            "hw",
            Int,
            Probe::ReplicaHighWatermark(node, tp),
            "The high watermark as it knows it.",
        ),
        ask(
            "log-start",
            Int,
            Probe::ReplicaLogStart(node, tp),
            "Its log start offset.",
        ),
        ask(
            "local-log-start",
            Int,
            Probe::ReplicaLocalLogStart(node, tp),
            "Where its local disk begins.",
        ),
        ask(
            "epoch",
            Int,
            Probe::ReplicaEpoch(node, tp),
            "The leader epoch it is in.",
        ),
        ask(
            "leads",
            Bool,
            Probe::ReplicaLeads(node, tp),
            "It believes it is the leader.",
        ),
        ask(
            "in-sync",
            Bool,
            Probe::ReplicaInSync(node, tp),
            "It is in the ISR as the quorum has it.",
        ),
    ]
}

fn of_producer<'s>(node: NodeId) -> Vec<Property<'s>> {
    let count = |name, probe, doc| ask(name, Type::Int, probe, doc);
    vec![
        count(
            "sent",
            Probe::ProducerSent(node),
            "Records its application gave to send().",
        ),
        count(
            "acknowledged",
            Probe::ProducerAcknowledged(node),
            "Records acknowledged to it.",
        ),
        count("failed", Probe::ProducerFailed(node), "Records it gave up."),
        count(
            "pending",
            Probe::ProducerPending(node),
            "Records it still waits for.",
        ),
        count(
            "in-flight",
            Probe::ProducerInFlight(node),
            "Produce requests without answer yet.",
        ),
        count(
            "commits",
            Probe::ProducerCommits(node),
            "Transactions it has committed, or none without a transactional.id.",
        ),
        count(
            "aborts",
            Probe::ProducerAborts(node),
            "Transactions it has aborted, or none without a transactional.id.",
        ),
        ask(
            "ended",
            Type::Bool,
            Probe::ProducerEnded(node),
            "Whether an error such as PRODUCER_FENCED has ended it for good, or none without a \
             transactional.id.",
        ),
        throttled(node),
    ]
}

/// What producers and consumers have alike.
fn throttled<'s>(node: NodeId) -> Property<'s> {
    ask(
        "throttled",
        Type::Time,
        Probe::ClientThrottled(node),
        "How long brokers have told it to wait for its quota so far.",
    )
}

fn of_position<'s>(node: NodeId, tp: TopicPartition) -> Vec<Property<'s>> {
    use Type::Int;
    vec![
        ask(
            "position",
            Int,
            Probe::ConsumerPosition(node, tp),
            "The next offset it reads.",
        ),
        ask(
            "lag",
            Int,
            Probe::ConsumerLag(node, tp),
            "High watermark of the leader minus position.",
        ),
    ]
}
