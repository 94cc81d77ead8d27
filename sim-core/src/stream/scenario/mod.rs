//! The stream processor's part of the scenario language: its table, its verbs and what a predicate
//! may ask of a job.

mod checks;
mod document;
mod effort;
mod expect;
mod expected_words;
mod items;
mod keys;
mod names;
mod operators;
mod orders;
mod read;
mod sense;
mod settings;
mod source;
mod topics;
mod window_words;
mod windows;

#[cfg(test)]
mod tests;

use super::spec::JobSpec;
use crate::apart::Apart;
use crate::kernel::{Nanos, NodeId};
use crate::scenario::{
    Args, At, Effort, Item, Key, Promise, Property, Raw, Reader, Section, SystemSection, Table,
    TimelineEntry, Verb,
};
use crate::systems;
use document::RawStream;
use schemars::{Schema, SchemaGenerator};

/// A question to a job.
pub use super::probe::Probe;

/// What a scenario says of this system.
pub type Spec = Apart<JobSpec>;

/// The schema of the table.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<RawStream>()
}

/// Reads the table; `before` are the systems that were read already, of which one may be a Kafka
/// cluster.
fn read(raw: &At<Raw>, before: &mut [systems::Spec], reader: &mut Reader<'_>) -> Section {
    let read = RawStream::read(raw, reader).unwrap_or_default();
    let mut cluster = before.iter_mut().find_map(|it| match it {
        systems::Spec::Kafka(it) => Some(&mut **it),
        systems::Spec::Stream(_) => None,
    });
    let known = cluster.as_deref();
    let read = At::new(read, raw.span.clone());
    let (spec, nodes) = read::job(&read, known, reader);
    if let Some(cluster) = &mut cluster {
        cluster.transactions |= topics::uses_transactions(&spec);
        cluster.groups |= topics::uses_groups(&spec);
    }
    // The rows that a file states are judged; no second sentence has to ask for it.
    let stated = read::list(read.value.expected.as_ref()).first();
    let promise = stated.filter(|_| !spec.expected.is_empty());
    let promise = promise.map(|at| Promise {
        that: "job.output-as-expected",
        note: "the rows that [[stream.expect]] states, and no others",
        place: at.span.clone(),
    });
    Section {
        spec: systems::Spec::Stream(Box::new(Apart::new(spec))),
        nodes,
        promise,
    }
}

/// The stream processor's part of the scenario language.
pub(crate) struct Language;

/// The job in a register's specification.
fn of(spec: &systems::Spec) -> Option<&JobSpec> {
    match spec {
        systems::Spec::Stream(spec) => Some(spec),
        systems::Spec::Kafka(_) => None,
    }
}

impl SystemSection for Language {
    fn key(&self) -> &'static str {
        "stream"
    }

    fn doc(&self) -> &'static str {
        "A job of a stream processor (Apache Flink) with the machines that it runs on."
    }

    fn keys(&self) -> Vec<Key> {
        RawStream::keys()
    }

    fn read(
        &self,
        raw: &At<Raw>,
        before: &mut [systems::Spec],
        reader: &mut Reader<'_>,
    ) -> Section {
        read(raw, before, reader)
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
        orders::read(of(spec)?, verb, args, reader).map(systems::Order::Stream)
    }

    fn timeline(&self, timeline: &[TimelineEntry], reader: &mut Reader<'_>) {
        orders::check(timeline, reader);
    }

    fn write_order(
        &self,
        order: &systems::Order,
    ) -> Option<(&'static str, Vec<(&'static str, String)>)> {
        match order {
            systems::Order::Stream(order) => Some(orders::write(order)),
            systems::Order::Kafka(_) => None,
        }
    }

    fn messages(&self) -> &'static [&'static str] {
        super::wire::MESSAGE_KINDS
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

    fn effort(&self, spec: &systems::Spec, duration: Nanos) -> Effort {
        of(spec)
            .map(|spec| effort::of(spec, duration))
            .unwrap_or_default()
    }
}
