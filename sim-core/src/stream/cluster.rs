//! Builds a job's machines from its description.
//!
//! Node order: JobManager, TaskManagers, checkpoint storage, then a store for each sink that does not
//! write to a topic.

use super::graph::Graph;
use super::job::Job;
use super::jobmanager::JobManager;
use super::node::Machine;
use super::parts::Node;
use super::spec::{JobSpec, OperatorKind};
use super::storage::Storage;
use super::store::Store;
use super::taskmanager::TaskManager;
use crate::kafka::facts::Cluster;
use crate::kernel::{NodeId, World};
use crate::systems;
use std::sync::Arc;

/// Adds all machines of a job to a world.
pub fn populate(spec: &JobSpec, world: &mut World<systems::Node>) {
    let first = world.nodes().len() as u32;
    let managers = spec.task_managers.len() as u32;
    let storage = first + 1 + managers;
    let sinks = (0..)
        .zip(&spec.operators)
        .filter_map(|(number, it)| match &it.kind {
            OperatorKind::Sink(sink) if sink.kafka.is_none() => Some(number),
            _ => None,
        });
    let job = Arc::new(Job {
        graph: Graph::of(spec),
        job_manager: NodeId(first),
        task_managers: (first + 1..storage).map(NodeId).collect(),
        storage: NodeId(storage),
        stores: sinks.zip((storage + 1..).map(NodeId)).collect(),
        seed: world.seed(),
        spec: spec.clone(),
    });
    // Who reads or writes topics knows where the brokers are, as `bootstrap.servers` says.
    let topics = spec.operators.iter().any(|it| match &it.kind {
        OperatorKind::Source(source) => source.kafka.is_some(),
        OperatorKind::Sink(sink) => sink.kafka.is_some(),
        _ => false,
    });
    let book = topics.then(|| {
        let broker = Cluster(world).brokers().next();
        broker.map(|(_, it)| Arc::clone(it.address_book()))
    });
    let book = book.flatten();
    let mut add = |machine| {
        let node = Node::new(machine, spec.parts);
        world.add(systems::Node::Stream(node));
    };
    let manager = JobManager::new(Arc::clone(&job)).with_cluster(book.clone());
    add(Machine::JobManager(Box::new(manager)));
    for it in &spec.task_managers {
        let manager = TaskManager::new(Arc::clone(&job), it.slots).with_cluster(book.clone());
        add(Machine::TaskManager(Box::new(manager)));
    }
    add(Machine::Storage(Box::new(Storage::new(&job))));
    for (operator, _) in &job.stores {
        let store = Store::new(&job, *operator);
        add(Machine::Store(Box::new(store)));
    }
}

/// The names of the machines, in node order.
#[must_use]
pub fn names(spec: &JobSpec) -> Vec<String> {
    let managers = spec.task_managers.iter().map(|it| it.name.clone());
    let stores = spec.operators.iter().filter_map(|it| match &it.kind {
        OperatorKind::Sink(sink) if sink.kafka.is_none() => Some(sink.store.clone()),
        _ => None,
    });
    std::iter::once(spec.job_manager.clone())
        .chain(managers)
        .chain([spec.storage.clone()])
        .chain(stores)
        .collect()
}
