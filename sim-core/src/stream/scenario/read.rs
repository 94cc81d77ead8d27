//! From the `[stream]` section to the job it describes.
//!
//! Operators are read in the order of the file, so that keys get their numbers in that order, and
//! put in topological order then; operators that do not depend on each other stay in the order of
//! the file.

use super::document::{Common, RawStream};
use super::items::TaskManagers;
use super::keys::KeyTable;
use super::topics::Cluster;
use super::{checks, expect, operators, settings, source, topics, windows};
use crate::scenario::{At, NodeName, Problem, Reader, limits, units};
use crate::stream::parts::StreamParts;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::spec::{
    InputSpec, JobSpec, JoinSpec, OperatorKind, OperatorSpec, Output, Partitioning, TaskManagerSpec,
};
use std::ops::Range;

/// A job and its nodes with the places of their names.
pub(crate) type Job = (JobSpec, Vec<(NodeName, Range<usize>)>);

/// An operator as it stands in the file.
pub(super) struct Draft<'d> {
    pub(super) common: Common<'d>,
    pub(super) name: String,
    pub(super) kind: OperatorKind,
    /// The names of its inputs: which input, and what is read.
    pub(super) reads: Vec<(u8, At<String>)>,
    /// Resolved: which input, the operator's number in the file, and its output.
    pub(super) inputs: Vec<(u8, usize, Output, Range<usize>)>,
    pub(super) parallelism: u32,
    pub(super) max_parallelism: u32,
    /// Whether its records have keys.
    pub(super) keyed: bool,
}

impl Draft<'_> {
    /// The place of its name.
    pub(super) fn place(&self) -> &Range<usize> {
        self.common.name.map_or(&self.common.span, |at| &at.span)
    }

    /// Whether it works on the records of a key.
    pub(super) fn needs_key(&self) -> bool {
        match &self.kind {
            OperatorKind::Window(_) | OperatorKind::Process(_) => true,
            OperatorKind::Join(join) => *join != JoinSpec::Broadcast,
            _ => false,
        }
    }
}

/// Reads the whole section.
pub(crate) fn job(raw: &At<RawStream>, cluster: Cluster<'_>, reader: &mut Reader<'_>) -> Job {
    let doc = &raw.value;
    let (job_manager, task_managers, storage, mut nodes) = machines(raw, reader);
    let mut keys = key_table(doc, cluster);
    let mut drafts = drafts(raw, cluster, &mut keys, reader);
    for draft in &mut drafts {
        parallelism(draft, doc, reader);
    }
    checks::names(&drafts, reader);
    resolve(&mut drafts, reader);
    let order = order(&drafts, reader);
    keyedness(&mut drafts, &order);
    let operators = build(&drafts, &order, reader);
    let number_of = |name: &str| {
        let at = operators.iter().position(|it| it.name == name)?;
        Some((
            at as u32,
            matches!(operators[at].kind, OperatorKind::Sink(_)),
        ))
    };
    let expected = expect::read(
        doc.expected.as_ref(),
        &operators,
        number_of,
        &mut keys,
        reader,
    );
    for at in &order {
        if let OperatorKind::Sink(sink) = &drafts[*at].kind
            && sink.kafka.is_none()
        {
            let store = raw_store(doc, &drafts[*at]);
            nodes.push((node(&sink.store, "store"), store));
        }
    }
    let spec = JobSpec {
        job_manager,
        task_managers,
        storage,
        config: settings::read(raw, reader),
        operators,
        keys: keys.into_keys(),
        expected,
        parts: StreamParts::EVERYTHING,
    };
    checks::whole(raw, &drafts, &order, &spec, reader);
    (spec, nodes)
}

/// The place of the name of a sink's store.
fn raw_store(doc: &RawStream, draft: &Draft<'_>) -> Range<usize> {
    let sinks = list(doc.sinks.as_ref()).iter();
    let mut own = sinks.filter(|it| it.span == draft.common.span);
    let store = own.next().and_then(|it| it.value.store.as_ref());
    store.map_or_else(|| draft.place().clone(), |at| at.span.clone())
}

pub(super) fn list<T>(raw: Option<&At<Vec<At<T>>>>) -> &[At<T>] {
    raw.map_or(&[], |at| at.value.as_slice())
}

fn node(name: &str, kind: &'static str) -> NodeName {
    let name = name.to_owned();
    NodeName { name, kind }
}

type Machines = (
    String,
    Vec<TaskManagerSpec>,
    String,
    Vec<(NodeName, Range<usize>)>,
);

fn machines(raw: &At<RawStream>, reader: &mut Reader<'_>) -> Machines {
    let doc = &raw.value;
    let mut nodes = Vec::new();
    let mut name = |given: Option<&At<String>>, default: &str, kind| {
        let place = given.map_or(&raw.span, |at| &at.span);
        let name = given.map_or_else(|| default.to_owned(), |at| at.value.clone());
        nodes.push((node(&name, kind), place.clone()));
        name
    };
    let job_manager = name(doc.job_manager.as_ref(), "jm", "job-manager");
    let slots = count(
        doc.slots.as_ref(),
        "a TaskManager has at least one slot",
        reader,
    );
    let whole = At::new(TaskManagers::Count(1), raw.span.clone());
    let given = doc.task_managers.as_ref().unwrap_or(&whole);
    let span = given.span.clone();
    let named: Vec<(At<String>, Option<At<u32>>)> = match &given.value {
        TaskManagers::Named(named) => named.clone(),
        TaskManagers::Count(many) => {
            if *many as usize > limits::NODES {
                let message = format!("a scenario has at most {} nodes", limits::NODES);
                reader.report(&span, Problem::new("limit-nodes", message));
            }
            (1..=(*many).min(limits::NODES as u32))
                .map(|n| (At::new(format!("tm{n}"), span.clone()), None))
                .collect()
        }
    };
    if named.is_empty() {
        let message = "a job runs on at least one TaskManager";
        reader.report(&span, Problem::bad_value(message, "1 or more"));
    }
    let mut task_managers = Vec::new();
    for (own_name, own) in named {
        let message = "a TaskManager has at least one slot";
        task_managers.push(TaskManagerSpec {
            name: name(Some(&own_name), "", "task-manager"),
            slots: own.map_or(slots, |at| count(Some(&at), message, reader)),
        });
    }
    let storage = name(doc.storage.as_ref(), "checkpoints", "checkpoint-storage");
    (job_manager, task_managers, storage, nodes)
}

/// A count that is 1 or more; 1 if it is left out.
fn count(raw: Option<&At<u32>>, message: &str, reader: &mut Reader<'_>) -> u32 {
    let many = raw.map_or(1, |at| at.value);
    if let (Some(at), 0) = (raw, many) {
        reader.report(&at.span, Problem::bad_value(message, "1 or more"));
    }
    many.max(1)
}

fn key_table(doc: &RawStream, cluster: Cluster<'_>) -> KeyTable {
    let sources = list(doc.sources.as_ref()).iter();
    let loads = sources.flat_map(|it| {
        let of_splits = list(it.value.split.as_ref()).iter();
        let of_splits = of_splits.filter_map(|it| it.value.load.as_ref());
        it.value.load.iter().chain(of_splits)
    });
    let topics = list(doc.sources.as_ref()).iter();
    let topics = topics.filter_map(|it| topics::keys_made(it.value.kafka.as_ref()?, cluster));
    let loads = loads.map(|load| source::keys_of(&load.value));
    let many: Vec<u32> = loads.chain(topics).collect();
    KeyTable::new(many.iter().copied().max().unwrap_or(0), many.contains(&0))
}

/// The operators in the order of the file.
fn drafts<'d>(
    raw: &'d At<RawStream>,
    cluster: Cluster<'d>,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> Vec<Draft<'d>> {
    /// Reads one operator: what it does, whether its records have keys, its inputs.
    type Read<'d> = Box<
        dyn FnOnce(&mut KeyTable, &mut Reader<'_>) -> (OperatorKind, bool, Common<'d>, Sides<'d>)
            + 'd,
    >;
    let doc = &raw.value;
    let mut all: Vec<(usize, Read<'d>)> = Vec::new();
    macro_rules! each {
        ($field:ident, $it:ident, $keys:ident, $reader:ident => $kind:expr) => {
            for $it in list(doc.$field.as_ref()) {
                let read: Read<'d> = Box::new(move |$keys, $reader| {
                    let _ = (&$keys, &$reader);
                    ($kind, true, $it.value.common(&$it.span), None)
                });
                all.push(($it.span.start, read));
            }
        };
    }
    for it in list(doc.sources.as_ref()) {
        let read: Read<'d> = Box::new(move |keys, reader| {
            let read = source::read(it, cluster, keys, reader);
            let kind = OperatorKind::Source(read.spec);
            (kind, read.keyed, it.value.common(&it.span), None)
        });
        all.push((it.span.start, read));
    }
    each!(maps, it, keys, reader => operators::map(it, reader));
    each!(filters, it, keys, reader => operators::filter(it, keys, reader));
    each!(flat_maps, it, keys, reader => operators::flat_map(it, reader));
    each!(watermarks, it, keys, reader => OperatorKind::Watermarks(
        source::watermarks(it.value.watermark.as_ref(), reader)));
    each!(windows, it, keys, reader => windows::window(it, reader));
    each!(sorts, it, keys, reader => operators::sort(&it.value));
    each!(processes, it, keys, reader => operators::process(it, reader));
    each!(sinks, it, keys, reader => OperatorKind::Sink(operators::sink(it, cluster, reader)));
    for it in list(doc.joins.as_ref()) {
        let read: Read<'d> = Box::new(move |keys, reader| {
            let kind = operators::join(it, keys, reader);
            (kind, true, it.value.common(&it.span), Some(it))
        });
        all.push((it.span.start, read));
    }
    all.sort_by_key(|(at, _)| *at);
    if all.len() > limits::OPERATORS {
        let message = format!("a job has at most {} operators", limits::OPERATORS);
        reader.report(&raw.span, Problem::new("limit-operators", message));
        all.truncate(limits::OPERATORS);
    }
    let draft = |(_, read): (usize, Read<'d>)| {
        let (kind, keyed, common, sides) = read(keys, reader);
        let reads = match sides {
            Some(join) => checks::sides(join, reader),
            None => checks::inputs(&common, reader),
        };
        Draft {
            name: common.name.map(|at| at.value.clone()).unwrap_or_default(),
            common,
            kind,
            reads,
            inputs: Vec::new(),
            parallelism: 1,
            max_parallelism: 128,
            keyed,
        }
    };
    all.into_iter().map(draft).collect()
}

/// The table of a join, whose inputs are two.
type Sides<'d> = Option<&'d At<super::document::RawJoin>>;

/// How many subtasks and key groups an operator has.
fn parallelism(draft: &mut Draft<'_>, doc: &RawStream, reader: &mut Reader<'_>) {
    let own = draft.common.parallelism;
    let given = own.or(doc.parallelism.as_ref());
    draft.parallelism = given.map_or(1, |at| at.value);
    let most = draft.common.max_parallelism;
    let most_given = most.or(doc.max_parallelism.as_ref());
    draft.max_parallelism = match most_given {
        Some(at) => at.value,
        None => KeyGroups::default_max_parallelism(draft.parallelism),
    };
    if let Err(message) = KeyGroups::new(draft.max_parallelism, draft.parallelism) {
        let spans = [own, most, given, most_given];
        let place = spans.into_iter().flatten().next().map(|at| &at.span);
        let (p, m) = (draft.parallelism, draft.max_parallelism);
        let said = format!(
            "{message}: `{}` has parallelism {p} and max-parallelism {m}",
            draft.name
        );
        let problem = Problem::bad_value(said, "1 ≤ parallelism ≤ max-parallelism ≤ 32768");
        reader.report(place.unwrap_or(&draft.common.span), problem);
        draft.parallelism = 1;
        draft.max_parallelism = 128;
    }
}

/// Looks up what operators read.
fn resolve(drafts: &mut [Draft<'_>], reader: &mut Reader<'_>) {
    let names: Vec<String> = drafts.iter().map(|it| it.name.clone()).collect();
    for at in 0..drafts.len() {
        let mut inputs = Vec::new();
        for (number, read) in &drafts[at].reads {
            let exact = names.iter().position(|it| *it == read.value);
            let side = read.value.split_once('.').filter(|_| exact.is_none());
            let known = |name: &str| names.iter().position(|it| it == name);
            let found = side.map_or(exact, |(name, _)| known(name));
            let Some(from) = found else {
                let shown = units::shorten(&read.value);
                let problem =
                    Problem::new("unknown-name", format!("there is no operator `{shown}`")).near(
                        &read.value,
                        names.iter().map(String::as_str).filter(|it| !it.is_empty()),
                    );
                reader.report(&read.span, problem);
                continue;
            };
            let of = |suffix| checks::side_output(&drafts[from].kind, suffix);
            let output = side.map_or(Some(Output::Main), |(_, suffix)| of(suffix));
            checks::input(&drafts[from], output.is_none(), &read.span, reader);
            let output = output.unwrap_or(Output::Late);
            inputs.push((*number, from, output, read.span.clone()));
        }
        drafts[at].inputs = inputs;
    }
}

/// The operators, each after those it reads from. Those on a cycle are reported and come last.
fn order(drafts: &[Draft<'_>], reader: &mut Reader<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let mut done = vec![false; drafts.len()];
    loop {
        let ready =
            |at: &usize| !done[*at] && drafts[*at].inputs.iter().all(|(_, from, ..)| done[*from]);
        let Some(next) = (0..drafts.len()).find(ready) else {
            break;
        };
        done[next] = true;
        order.push(next);
    }
    checks::cycle(drafts, &done, reader);
    // There is no such job then, but names can be looked up.
    order.extend((0..drafts.len()).filter(|at| !done[*at]));
    order
}

/// Whether each operator's records have keys.
fn keyedness(drafts: &mut [Draft<'_>], order: &[usize]) {
    use crate::stream::spec::MapFunction;
    for at in order {
        let gives_key = matches!(
            drafts[*at].kind,
            OperatorKind::Map(MapFunction::KeyModulo(_))
        );
        let mut from = drafts[*at].inputs.iter();
        let keyed = from.all(|(_, from, ..)| drafts[*from].keyed);
        let source = drafts[*at].inputs.is_empty();
        if !source {
            drafts[*at].keyed = keyed || gives_key;
        }
    }
}

fn build(drafts: &[Draft<'_>], order: &[usize], reader: &mut Reader<'_>) -> Vec<OperatorSpec> {
    let number = |at: usize| order.iter().position(|it| *it == at).map(|it| it as u32);
    let mut operators: Vec<OperatorSpec> = Vec::new();
    for at in order {
        let draft = &drafts[*at];
        let mut inputs = Vec::new();
        for (which, from, output, place) in &draft.inputs {
            let Some(from_number) = number(*from) else {
                continue;
            };
            inputs.push(InputSpec {
                from: from_number,
                output: *output,
                number: *which,
                partitioning: checks::partitioning(draft, &drafts[*from], *which, place, reader),
            });
        }
        operators.push(OperatorSpec {
            name: draft.name.clone(),
            kind: draft.kind.clone(),
            parallelism: draft.parallelism,
            max_parallelism: draft.max_parallelism,
            chaining: draft
                .common
                .chaining
                .map_or_else(Default::default, |at| at.value.rule()),
            slot_sharing_group: sharing_group(draft, &inputs, &operators),
            cost: draft.common.cost.map_or(0, |at| at.value.0),
            inputs,
        });
    }
    operators
}

/// Its own slot sharing group, or that of its inputs if they have one in common
/// (`StreamGraphGenerator.determineSlotSharingGroup`).
fn sharing_group(draft: &Draft<'_>, inputs: &[InputSpec], known: &[OperatorSpec]) -> String {
    const DEFAULT: &str = "default";
    if let Some(at) = draft.common.group {
        return at.value.clone();
    }
    let mut groups = inputs
        .iter()
        .filter_map(|it| known.get(it.from as usize))
        .map(|it| it.slot_sharing_group.as_str());
    let first = groups.next().unwrap_or(DEFAULT);
    let group = if groups.all(|it| it == first) {
        first
    } else {
        DEFAULT
    };
    group.to_owned()
}

/// How records go from one operator to another if nothing is said.
pub(super) fn usual(down: &Draft<'_>, up: &Draft<'_>) -> Partitioning {
    match (down.needs_key(), down.parallelism == up.parallelism) {
        (true, _) => Partitioning::Hash,
        (false, true) => Partitioning::Forward,
        (false, false) => Partitioning::Rebalance,
    }
}
