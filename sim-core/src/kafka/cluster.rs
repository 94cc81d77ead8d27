//! Builds a cluster's nodes from its description.
//!
//! Node order: brokers, controllers, producers, consumers, processors. Topics and their settings are handed to
//! the controllers, whose first active one writes them; nothing is there at time 0. With the
//! default settings a controller is active after 1 to 2 s (see [`super::controller`]; more if votes
//! split) and the topics exist as soon as the brokers have registered and caught up, some tens of
//! ms later.

use super::broker::Broker;
use super::config::{QuotaConfig, TopicConfig};
use super::consumer::Consumer;
use super::controller::Controller;
use super::ids::{AddressBook, TopicId, TopicPartition};
use super::metadata::{ConfigResource, MetadataRecord};
use super::node::Node as KafkaNode;
use super::producer::Producer;
use super::rules::election::PartitionRegistration;
use super::spec::{ClusterSpec, TopicSpec};
use crate::few;
use crate::kernel::{LinkProfile, NodeId, World};
use crate::systems::Node;
use std::sync::Arc;

/// Adds all nodes of a cluster to a world.
pub fn populate(spec: &ClusterSpec, world: &mut World<Node>) {
    let book = Arc::new(address_book(spec, world.nodes().len() as u32));
    let config = Arc::new(spec.config.clone());
    let rules = Arc::new(spec.rules.clone());
    for (_, id) in &spec.brokers {
        let (book, config, rules) = (Arc::clone(&book), Arc::clone(&config), Arc::clone(&rules));
        let broker = Broker::new(*id, book, config, rules, spec.parts);
        world.add(Node::Kafka(KafkaNode::Broker(Box::new(broker))));
    }
    let bootstrap = bootstrap(spec);
    for (_, id) in &spec.controllers {
        let (book, config, rules) = (Arc::clone(&book), Arc::clone(&config), Arc::clone(&rules));
        let controller = Controller::new(*id, book, config, rules, bootstrap.clone(), spec.parts);
        world.add(Node::Kafka(KafkaNode::Controller(Box::new(controller))));
    }
    for producer in &spec.producers {
        let topic = topic_number(spec, &producer.topic);
        let producer = Producer::new(producer, topic, Arc::clone(&book), spec.parts);
        world.add(Node::Kafka(KafkaNode::Producer(Box::new(producer))));
    }
    for consumer in &spec.consumers {
        let topic = topic_number(spec, &consumer.topic);
        let of_topic = spec.topics.iter().find(|it| it.name == consumer.topic);
        let also = &consumer.also;
        let mut consumer = Consumer::new(consumer, topic, Arc::clone(&book), spec.parts);
        if !also.is_empty() {
            let also = also.iter().map(|it| topic_number(spec, it));
            consumer = consumer.subscribed_to([topic].into_iter().chain(also).collect());
        }
        if of_topic.is_some_and(|it| it.config.cleanup_policy.compact) {
            consumer = consumer.keeping_a_table();
        }
        world.add(Node::Kafka(KafkaNode::Consumer(Box::new(consumer))));
    }
    for processor in &spec.processors {
        let from = topic_number(spec, &processor.consumer.topic);
        let to = topic_number(spec, &processor.producer.topic);
        let build = spec.parts.table().processor.build;
        if let Some(node) = build(processor, (from, to), Arc::clone(&book), spec.parts) {
            world.add(Node::Kafka(node));
        }
    }
}

/// The number of a topic. A name that no topic has becomes a number that none has: such a client
/// waits for metadata that never comes, as a real one does.
fn topic_number(spec: &ClusterSpec, name: &str) -> TopicId {
    let found = (0..)
        .zip(&spec.topics)
        .find(|(_, topic)| topic.name == name);
    TopicId(found.map_or(u16::MAX, |(number, _)| number))
}

/// A world with this cluster and nothing else; not yet booted.
#[must_use]
pub fn build(spec: &ClusterSpec, seed: u64, default_link: LinkProfile) -> World<Node> {
    let mut world = World::new(seed, default_link);
    populate(spec, &mut world);
    world
}

/// The names of the nodes, in node order.
#[must_use]
pub fn names(spec: &ClusterSpec) -> Vec<String> {
    let servers = spec.brokers.iter().chain(&spec.controllers);
    let servers = servers.map(|(name, _)| name.clone());
    let producers = spec.producers.iter().map(|p| p.name.clone());
    let consumers = spec.consumers.iter().map(|c| c.name.clone());
    let processors = spec.processors.iter().map(|p| p.consumer.name.clone());
    let clients = producers.chain(consumers).chain(processors);
    servers.chain(clients).collect()
}

/// Who is where, if the first broker is node number `first`.
fn address_book(spec: &ClusterSpec, first: u32) -> AddressBook {
    let nodes = (first..).map(NodeId);
    let servers = spec.brokers.iter().chain(&spec.controllers);
    let mut placed: Vec<_> = servers.map(|(_, id)| *id).zip(nodes).collect();
    let mut controllers = placed.split_off(spec.brokers.len());
    few::sort_by_key(&mut placed, |(id, _)| *id);
    few::sort_by_key(&mut controllers, |(id, _)| *id);
    AddressBook {
        topics: spec
            .topics
            .iter()
            .map(|it| Arc::from(it.name.as_str()))
            .collect(),
        racks: spec.racks.clone(),
        brokers: placed,
        controllers,
    }
}

/// What the first active controller writes: topics with partitions, and settings that differ from
/// the defaults.
fn bootstrap(spec: &ClusterSpec) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let internal: Vec<_> = [
        spec.offsets_topic(),
        spec.transactions_topic(),
        spec.share_state_topic(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for (number, topic) in (0..).zip(spec.topics.iter().chain(&internal)) {
        let id = TopicId(number);
        records.push(MetadataRecord::Topic {
            id,
            name: topic.name.clone(),
        });
        for (partition, replicas) in (0..).zip(&topic.assignment) {
            let tp = TopicPartition {
                topic: id,
                partition,
            };
            records.push(MetadataRecord::Partition {
                tp,
                state: Box::new(PartitionRegistration::new(replicas.clone())),
            });
        }
        records.extend(topic_configs(id, topic));
    }
    records.extend(quotas(spec));
    records
}

fn quotas(spec: &ClusterSpec) -> impl Iterator<Item = MetadataRecord> + '_ {
    spec.quotas.iter().flat_map(|(client, config)| {
        let number = client.as_deref().map(|it| spec.client_number(it));
        let resource = match number {
            None => Some(ConfigResource::Client(None)),
            // A name that nobody has is nobody's quota.
            Some(number) => number.map(|it| ConfigResource::Client(Some(it))),
        };
        let entries = config.entries().into_iter();
        let differs = entries.zip(QuotaConfig::default().entries());
        let own = differs.filter(|(own, default)| own != default);
        own.filter_map(move |((key, value), _)| {
            Some(MetadataRecord::Config {
                resource: resource?,
                key: key.to_owned(),
                value: Some(value),
            })
        })
    })
}

fn topic_configs(id: TopicId, topic: &TopicSpec) -> impl Iterator<Item = MetadataRecord> {
    let entries = topic.config.entries().into_iter();
    let differs = entries.zip(TopicConfig::default().entries());
    differs
        .filter(|(own, default)| own != default)
        .map(move |((key, value), _)| MetadataRecord::Config {
            resource: ConfigResource::Topic(id),
            key: key.to_owned(),
            value: Some(value),
        })
}
