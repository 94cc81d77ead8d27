//! Answers to what predicates ask of consumer groups and their members.
//!
//! A group is asked for at its coordinator: the broker that runs and coordinates it; two that both
//! think so are told apart by the newer generation. A probe names a group by one of its members.
//! What a classic group calls its generation is a group's epoch in the consumer protocol.

use super::broker::Broker;
use super::consumer::{Consumer, MemberState, ModernState};
use super::error::ErrorCode;
use super::facts::Cluster;
use super::ids::TopicPartition;
use super::node::Node as KafkaNode;
use super::rules::classic_group::State;
use super::rules::modern_group::GroupState;
use super::scenario::Probe;
use crate::kernel::NodeId;
use crate::scenario::Value;
use crate::systems::Node;

/// A group at its coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Coordinated<'a> {
    /// The coordinator's node.
    pub node: NodeId,
    /// The coordinator.
    pub broker: &'a Broker,
    /// Its generation, or epoch.
    pub generation: i32,
    /// How many members it has.
    pub members: usize,
    /// Its state, by Kafka's name.
    pub state: &'static str,
    /// Whether every member has its assignment.
    pub stable: bool,
    /// The assignor in force, if there is one.
    pub assignor: Option<&'a str>,
}

impl<'a> Cluster<'a> {
    /// Consumers with their nodes.
    pub fn consumers(self) -> impl Iterator<Item = (NodeId, &'a Consumer)> {
        let nodes = (0..).map(NodeId).zip(self.0.nodes());
        nodes.filter_map(|(id, slot)| match &slot.process {
            Node::Kafka(KafkaNode::Consumer(consumer)) => Some((id, &**consumer)),
            Node::Kafka(KafkaNode::Processor(both)) => Some((id, both.consumer())),
            _ => None,
        })
    }

    /// A group at the coordinator that runs.
    #[must_use]
    pub fn group(self, name: &str) -> Option<Coordinated<'a>> {
        let running = self.brokers().filter(|(node, _)| self.runs(*node));
        let found = running.filter_map(|(node, broker)| {
            let classic = broker.groups().find(|(group, _)| &***group == name);
            let classic = classic.map(|(_, it)| {
                let (state, assignor) = (it.state(), it.protocol().map(|it| &**it));
                let stable = (state.name(), state == State::Stable);
                (it.generation(), it.members().len(), stable, assignor)
            });
            let modern = broker
                .consumer_groups()
                .find(|(group, _)| &***group == name);
            let modern = modern.map(|(_, it)| {
                let assignors = &broker.config().group_consumer_assignors.0;
                let (state, assignor) = (it.state(), it.assignor(assignors).name());
                let stable = (state.name(), state == GroupState::Stable);
                (it.epoch(), it.members().len(), stable, Some(assignor))
            });
            let shared = broker.share_groups().find(|(group, _)| &***group == name);
            let shared = shared.map(|(_, it)| {
                let state = if it.size() > 0 { "Stable" } else { "Empty" };
                let told = (state, it.size() > 0 && it.is_settled());
                (it.epoch(), it.size(), told, Some("simple"))
            });
            let found = shared.or(modern).or(classic);
            let (generation, members, (state, stable), assignor) = found?;
            Some(Coordinated {
                node,
                broker,
                generation,
                members,
                state,
                stable,
                assignor,
            })
        });
        found.max_by_key(|it| it.generation)
    }

    /// The member that owns a partition: of several that think so, the one in the newest
    /// generation.
    #[must_use]
    pub fn owner(self, group: &str, tp: TopicPartition) -> Option<NodeId> {
        let members = self.consumers().filter(|(node, consumer)| {
            let own = consumer.member().is_some_and(|it| it.group == group);
            own && self.runs(*node) && consumer.assignment().any(|it| it == tp)
        });
        let newest = members.max_by_key(|(_, it)| it.member().map(|member| member.generation));
        newest.map(|(node, _)| node)
    }
}

/// The name of the group that this node is a member of.
#[must_use]
pub fn group_of(cluster: Cluster<'_>, node: NodeId) -> Option<&str> {
    Some(cluster.consumer(node)?.member()?.group)
}

/// Start and end offset of a partition in the share group that a node is a member of.
fn shared(cluster: Cluster<'_>, node: NodeId, tp: TopicPartition) -> Option<(i64, i64)> {
    let group = group_of(cluster, node)?;
    let leader = cluster.image()?.partitions.get(&tp)?.leader;
    let leader = cluster.node_of(leader).filter(|it| cluster.runs(*it))?;
    cluster.broker(leader)?.share_offsets(group, tp)
}

/// Answers a probe; `None` if it is no such probe, or there is no answer.
#[must_use]
pub(super) fn value(cluster: Cluster<'_>, probe: &Probe) -> Option<Value> {
    let count = |n: u64| Value::Int(n as i64);
    let member = |node: &NodeId| cluster.consumer(*node)?.member();
    let group = |node: &NodeId| cluster.group(member(node)?.group);
    Some(match probe {
        Probe::ConsumerProcessed(node) => count(member(node)?.processed),
        Probe::ConsumerGeneration(node) => {
            let member = member(node)?;
            let settled = match member.modern {
                Some(state) => state == ModernState::Stable,
                None => member.shares.is_some() || member.state == MemberState::Stable,
            };
            let joined = member.generation >= 0 && settled;
            Value::Int(joined.then_some(member.generation)?.into())
        }
        Probe::ConsumerPartitions(node) => {
            let consumer = cluster.consumer(*node)?;
            let shares = consumer.member().and_then(|it| it.shares);
            Value::Int(shares.unwrap_or_else(|| consumer.assignment().count()) as i64)
        }
        Probe::ConsumerCommitFailures(node) => count(member(node)?.commit_failures),
        Probe::ConsumerFenced(node) => {
            let taken = [ErrorCode::FencedInstanceId, ErrorCode::UnreleasedInstanceId];
            let fatal = member(node)?.fatal;
            Value::Bool(fatal.is_some_and(|it| taken.contains(&it)))
        }
        Probe::GroupGeneration(node) => Value::Int(group(node)?.generation.into()),
        Probe::GroupMembers(node) => Value::Int(group(node)?.members as i64),
        Probe::GroupStable(node) => Value::Bool(group(node).is_some_and(|it| it.stable)),
        Probe::GroupCoordinator(node) => Value::Node(group(node)?.node),
        Probe::GroupCommitted(node, tp) => {
            let name = member(node)?.group;
            Value::Int(group(node)?.broker.committed_offset(name, *tp)?)
        }
        Probe::ShareStart(node, tp) => Value::Int(shared(cluster, *node, *tp)?.0),
        Probe::ShareEnd(node, tp) => Value::Int(shared(cluster, *node, *tp)?.1),
        Probe::GroupLag(node, tp) => {
            let name = member(node)?.group;
            let committed = group(node)?.broker.committed_offset(name, *tp)?;
            Value::Int(cluster.leader_log(*tp)?.leo() - committed)
        }
        Probe::GroupOwner(node, tp) => Value::Node(cluster.owner(member(node)?.group, *tp)?),
        _ => return None,
    })
}
