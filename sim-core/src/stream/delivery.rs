//! What a job delivered, against what it delivers when nothing fails.
//!
//! With exactly-once end to end, what a reader of committed rows sees in each store or topic is what it would
//! see had nothing failed: the same rows, and for each key in the same order. At least once, nothing
//! is missing and rows may be there again. Rows are compared by key, value and window; which record
//! moved a result last, and at what time, may differ.

use super::clients::rows_of;
use super::element::{Key, Record};
use super::job::Job;
use super::node::Machine;
use super::rules::assigner::Window;
use super::rules::window::aggregate::Value;
use super::spec::{Guarantee, OperatorKind, SinkSpec};
use crate::kernel::World;
use crate::systems::Node;
use std::collections::BTreeMap;

/// A row as it is compared.
type Row = (Value, Option<Value>, Option<Window>);

/// What a store holds for its readers, by key and in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    name: String,
    guarantee: Guarantee,
    rows: BTreeMap<Key, Vec<Row>>,
}

fn row(record: &Record) -> Row {
    let (value, right) = (record.value.clone(), record.right.clone());
    (value, right, record.window)
}

/// What the stores of a world's job hold, and the topics that it writes to.
#[must_use]
pub fn delivered(world: &World<Node>) -> Vec<Delivered> {
    let Some(job) = super::why::job(world) else {
        return Vec::new();
    };
    let sinks = 0..job.spec.operators.len() as u32;
    sinks
        .filter_map(|sink| match job.store_of(sink) {
            Some(node) => of_store(world, job, sink, node.0),
            None => of_topic(world, job, sink),
        })
        .collect()
}

/// What a topic holds, of which each key has its partition.
fn of_topic(world: &World<Node>, job: &Job, sink: u32) -> Option<Delivered> {
    let held = rows_of(world, job, sink)?;
    let (name, settings) = sink_of(job, sink)?;
    Some(Delivered::of(name, settings, held.visible()))
}

fn sink_of(job: &Job, sink: u32) -> Option<(&str, &SinkSpec)> {
    let spec = job.spec.operators.get(sink as usize)?;
    match &spec.kind {
        OperatorKind::Sink(settings) => Some((&spec.name, settings)),
        _ => None,
    }
}

impl Delivered {
    fn of<'a>(name: &str, sink: &SinkSpec, held: impl Iterator<Item = &'a Record>) -> Self {
        let mut rows: BTreeMap<Key, Vec<Row>> = BTreeMap::new();
        for record in held {
            rows.entry(record.key).or_default().push(row(record));
        }
        Delivered {
            name: name.to_owned(),
            guarantee: sink.guarantee,
            rows,
        }
    }
}

fn of_store(world: &World<Node>, job: &Job, sink: u32, node: u32) -> Option<Delivered> {
    let (name, settings) = sink_of(job, sink)?;
    let Node::Stream(node) = &world.nodes().get(node as usize)?.process else {
        return None;
    };
    let Machine::Store(store) = node.machine() else {
        return None;
    };
    let held = store.visible_rows().map(|it| &it.record);
    Some(Delivered::of(name, settings, held))
}

/// The first promise that does not hold, in words.
#[must_use]
pub fn broken(clean: &[Delivered], got: &[Delivered], job: &Job) -> Option<String> {
    clean.iter().zip(got).find_map(|(clean, got)| {
        let keys = clean.rows.keys().chain(got.rows.keys());
        let mut keys: Vec<&Key> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().find_map(|key| {
            let none = Vec::new();
            let want = clean.rows.get(key).unwrap_or(&none);
            let have = got.rows.get(key).unwrap_or(&none);
            let holds = match clean.guarantee {
                Guarantee::ExactlyOnce { .. } => want == have,
                Guarantee::Idempotent | Guarantee::WithOffset => sorted(want) == sorted(have),
                Guarantee::AtLeastOnce | Guarantee::WriteAheadLog => contains(have, want),
                Guarantee::None => true,
            };
            (!holds).then(|| {
                let (sink, key) = (&got.name, job.spec.keys.name(*key));
                let same = want.iter().zip(have).take_while(|(a, b)| a == b).count();
                let (next, seen) = (want.get(same), have.get(same));
                let (want, have) = (want.len(), have.len());
                format!(
                    "Delivery: {sink} delivered {have} rows of {key}, and {want} when nothing \
                     fails; row {same} is {seen:?}, not {next:?}"
                )
            })
        })
    })
}

fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut all: Vec<&Row> = rows.iter().collect();
    all.sort_unstable();
    all
}

/// Whether all of `want` is in `have`, each row as often.
fn contains(have: &[Row], want: &[Row]) -> bool {
    let (have, want) = (sorted(have), sorted(want));
    let mut have = have.into_iter().peekable();
    want.into_iter().all(|it| {
        while have.peek().is_some_and(|other| *other < it) {
            have.next();
        }
        have.next_if(|other| *other == it).is_some()
    })
}
