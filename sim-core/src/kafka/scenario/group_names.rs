//! The names that predicates may use of consumer groups: `group.shop.generation`,
//! `group.shop.orders-0.lag`, and what a member has of its own.

use super::Probe;
use super::names::{ask, partitions};
use crate::kafka::group_config::GroupProtocol;
use crate::kafka::ids::TopicPartition;
use crate::kafka::spec::ClusterSpec;
use crate::kernel::NodeId;
use crate::scenario::{Property, Type};

/// The groups of a cluster, if there are any, under one name.
pub(super) fn groups(spec: &ClusterSpec, base: u32) -> Option<Property<'_>> {
    let first = base + (spec.brokers.len() + spec.controllers.len() + spec.producers.len()) as u32;
    let mut known: Vec<(&str, NodeId, GroupProtocol)> = Vec::new();
    let processors = spec.processors.iter().map(|it| &it.consumer);
    let consumers = spec.consumers.iter().chain(processors);
    for (node, consumer) in (first..).map(NodeId).zip(consumers) {
        let name = consumer.config.group_id.as_str();
        if !name.is_empty() && known.iter().all(|(other, ..)| *other != name) {
            known.push((name, node, consumer.config.group_protocol));
        }
    }
    if known.is_empty() {
        return None;
    }
    let all = move || {
        let scope = |(name, node, protocol): &(&'_ str, NodeId, _)| {
            let (group, node, protocol) = ((*name).to_owned(), *node, *protocol);
            Property::scope(*name, "A consumer group.", move || {
                of_group(spec, &group, node, protocol)
            })
        };
        known.iter().map(scope).collect()
    };
    Some(Property::scope(
        "group",
        "The consumer groups, by group.id.",
        all,
    ))
}

fn of_group<'s>(
    spec: &'s ClusterSpec,
    group: &str,
    node: NodeId,
    protocol: GroupProtocol,
) -> Vec<Property<'s>> {
    use Type::{Bool, Int, Node, Time};
    let (name, doc) = match protocol {
        GroupProtocol::Classic => ("generation", "Its generation at its coordinator."),
        GroupProtocol::Consumer | GroupProtocol::Share => {
            ("epoch", "Its epoch at its coordinator.")
        }
    };
    let mut all = vec![
        ask(name, Int, Probe::GroupGeneration(node), doc),
        ask(
            "members",
            Int,
            Probe::GroupMembers(node),
            "Its members at its coordinator.",
        ),
        ask(
            "stable",
            Bool,
            Probe::GroupStable(node),
            "Whether every member has its assignment.",
        ),
        ask(
            "coordinator",
            Node,
            Probe::GroupCoordinator(node),
            "The broker that coordinates it, or none.",
        ),
        ask(
            "stopped",
            Time,
            Probe::GroupStopped(node),
            "How long its partitions stood still so far, without an owner at work, together.",
        ),
    ];
    let read = partitions(spec).filter(|(_, tp)| {
        let of = spec.topics.get(usize::from(tp.topic.0));
        of.is_some_and(|it| reads(spec, group, &it.name))
    });
    let read: Vec<_> = read.collect();
    all.extend(read.into_iter().map(|(name, tp)| {
        Property::scope(name, "Where it stands in the partition.", move || {
            if protocol == GroupProtocol::Share {
                return of_share(node, tp);
            }
            vec![
                ask(
                    "committed",
                    Int,
                    Probe::GroupCommitted(node, tp),
                    "The offset it has committed.",
                ),
                ask(
                    "lag",
                    Int,
                    Probe::GroupLag(node, tp),
                    "Log end of the leader minus committed offset.",
                ),
                ask(
                    "owner",
                    Node,
                    Probe::GroupOwner(node, tp),
                    "The member that owns it, or none.",
                ),
            ]
        })
    }));
    all
}

/// Whether somebody in a group reads a topic.
fn reads(spec: &ClusterSpec, group: &str, topic: &str) -> bool {
    let processors = spec.processors.iter().map(|it| &it.consumer);
    let mut all = spec.consumers.iter().chain(processors);
    all.any(|it| it.config.group_id == group && it.topics().any(|it| it == topic))
}

/// A partition as a share group has it.
fn of_share<'s>(node: NodeId, tp: TopicPartition) -> Vec<Property<'s>> {
    vec![
        ask(
            "start",
            Type::Int,
            Probe::ShareStart(node, tp),
            "Its start offset: all before it is accepted or given up.",
        ),
        ask(
            "end",
            Type::Int,
            Probe::ShareEnd(node, tp),
            "Its end offset: the first that was never handed out.",
        ),
    ]
}

/// What a member of a group has of its own.
pub(super) fn of_member<'s>(node: NodeId, protocol: GroupProtocol) -> Vec<Property<'s>> {
    let count = |name, probe, doc| ask(name, Type::Int, probe, doc);
    let (name, doc) = match protocol {
        GroupProtocol::Classic => ("generation", "The generation it is stable in, or none."),
        GroupProtocol::Consumer | GroupProtocol::Share => {
            ("epoch", "The epoch it is stable in, or none.")
        }
    };
    vec![
        count(
            "processed",
            Probe::ConsumerProcessed(node),
            "Records its application is done with, repetitions counted.",
        ),
        count(name, Probe::ConsumerGeneration(node), doc),
        count(
            "owns",
            Probe::ConsumerPartitions(node),
            "How many partitions it owns.",
        ),
        count(
            "commit-failures",
            Probe::ConsumerCommitFailures(node),
            "Times that its application got CommitFailedException.",
        ),
        ask(
            "fenced",
            Type::Bool,
            Probe::ConsumerFenced(node),
            "Whether FENCED_INSTANCE_ID or UNRELEASED_INSTANCE_ID has ended it: another has its \
             `group.instance.id`, be it what it was itself before a crash.",
        ),
    ]
}
