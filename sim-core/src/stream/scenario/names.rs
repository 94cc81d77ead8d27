//! The names that predicates may use of a job: `job.…`, each operator's, and its store's.

use crate::kernel::NodeId;
use crate::scenario::{Meaning, Probe as AnyProbe, Property, Type, Value};
use crate::stream::probe::{JobProbe, MachineProbe, OperatorProbe, Probe, StoreProbe};
use crate::stream::spec::{JobSpec, OperatorKind};
use crate::systems;

fn ask<'s>(name: &'static str, of: Type, probe: Probe, doc: &'static str) -> Property<'s> {
    let probe = AnyProbe::System(systems::Probe::Stream(probe));
    Property::probe(name, doc, of, probe)
}

/// The names that may follow one subtask of an operator.
fn subtask<'s>(operator: u32, at: u32) -> Property<'s> {
    let inside = move || {
        let each = OperatorProbe::ALL.iter();
        each.map(|(probe, name, of, doc)| {
            let probe = Probe::Subtask(operator, at as u16, *probe);
            ask(name, *of, probe, doc)
        })
        .collect()
    };
    let name = format!("subtask-{at}");
    Property::scope(name, "One of its subtasks, from 0.", inside)
}

/// The names with which paths begin. `base` is the JobManager's number in the world.
pub(super) fn roots(spec: &JobSpec, base: u32) -> Vec<Property<'_>> {
    let job = move || {
        let manager = Meaning::Const(Value::Node(NodeId(base)), Type::Node);
        let mut all = vec![Property::known("manager", "The JobManager.", manager)];
        let each = JobProbe::ALL.iter();
        all.extend(each.map(|(probe, name, of, doc)| ask(name, *of, Probe::Job(*probe), doc)));
        all
    };
    let mut all = vec![Property::scope("job", "The job as a whole.", job)];
    for (number, operator) in (0..).zip(&spec.operators) {
        // Two of one name, or one named as the job itself, were reported at their lines.
        let mut before = spec.operators.iter().take(number as usize);
        if operator.name == "job" || before.any(|it| it.name == operator.name) {
            continue;
        }
        let inside = move || {
            let each = OperatorProbe::ALL.iter();
            let ask =
                |(probe, name, of, doc): &(OperatorProbe, &'static str, Type, &'static str)| {
                    ask(name, *of, Probe::Operator(number, *probe), doc)
                };
            let mut all: Vec<Property<'_>> = each.map(ask).collect();
            all.extend((0..operator.parallelism).map(|at| subtask(number, at)));
            if matches!(&operator.kind, OperatorKind::Sink(it) if it.kafka.is_some()) {
                // Of what its topic holds.
                let of_topic = StoreProbe::ALL.iter();
                all.extend(of_topic.map(|(probe, name, of, doc)| {
                    super::names::ask(name, *of, Probe::Store(number, *probe), doc)
                }));
            }
            all
        };
        all.push(Property::scope(
            operator.name.clone(),
            "An operator of the job.",
            inside,
        ));
    }
    all
}

/// The names that may follow one of the job's machines: stores have some, and TaskManagers.
pub(super) fn inside_node(spec: &JobSpec, base: u32, node: NodeId) -> Vec<Property<'_>> {
    let managers = base + 1..base + 1 + spec.task_managers.len() as u32;
    if managers.contains(&node.0) {
        let each = MachineProbe::ALL.iter();
        let memory =
            each.map(|(probe, name, of, doc)| ask(name, *of, Probe::Machine(node.0, *probe), doc));
        return memory.collect();
    }
    let sinks = (0..)
        .zip(&spec.operators)
        .filter_map(|(number, it)| match &it.kind {
            OperatorKind::Sink(sink) if sink.kafka.is_none() => Some(number),
            _ => None,
        });
    let first = base + 2 + spec.task_managers.len() as u32;
    let found = sinks.zip(first..).find(|(_, at)| *at == node.0);
    let Some((sink, _)) = found else {
        return Vec::new();
    };
    let ask = |(probe, name, of, doc): &(StoreProbe, &'static str, Type, &'static str)| {
        ask(name, *of, Probe::Store(sink, *probe), doc)
    };
    StoreProbe::ALL.iter().map(ask).collect()
}
