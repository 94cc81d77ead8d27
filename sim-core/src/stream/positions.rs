//! Results that carry their positions: which sources begin where a store says, and which jobs may.
//!
//! Follows what the documentation of Kafka's consumer recommends where no transaction spans both ends
//! (`KafkaConsumer`, "Storing Offsets Outside Kafka"): the result and the offset that it came from are
//! written in one atomic write, and a restarted consumer seeks to the offset that it finds there. Kafka
//! Connect's HDFS sink does the same with names of files. Flink has no such sink; here it is one of
//! its sinks' guarantees. Neither a checkpoint nor two-phase commit is needed: the store keeps the
//! greatest position of each split, and drops a row whose position it has.
//!
//! That works if each row goes back to one record, each record to one row at most, and rows of a split come
//! to the store in the order of the split: then everything before the position that the store has is there.
//! So every operator between takes records one by one without state, nothing else reads what they put out,
//! and no exchange deals the records of a split out. Left out: a state that is the result itself (a total
//! for each key, read back from the store at the start), and one store for several sinks.

use super::graph;
use super::spec::{Guarantee, JobSpec, OperatorKind, Partitioning};
use std::collections::BTreeSet;

/// Whether an operator is a sink that writes each row with its position.
fn is_sink(spec: &JobSpec, operator: u32) -> bool {
    let kind = spec.operators.get(operator as usize).map(|it| &it.kind);
    matches!(kind, Some(OperatorKind::Sink(it)) if it.guarantee == Guarantee::WithOffset)
}

/// An operator and all that it reads from, by whatever way.
fn upstream(spec: &JobSpec, sink: u32) -> BTreeSet<u32> {
    let (mut found, mut open) = (BTreeSet::new(), vec![sink]);
    while let Some(operator) = open.pop() {
        if found.insert(operator) {
            let inputs = spec.operators.get(operator as usize).map(|it| &it.inputs);
            open.extend(inputs.into_iter().flatten().map(|it| it.from));
        }
    }
    found
}

/// The sink in whose store it stands where a source begins, if there is one.
#[must_use]
pub fn sink_of(spec: &JobSpec, source: u32) -> Option<u32> {
    let mut sinks = (0..spec.operators.len() as u32).filter(|it| is_sink(spec, *it));
    sinks.find(|it| upstream(spec, *it).contains(&source))
}

/// Why a job cannot be run so: the operator that is at fault, and what is wrong with it.
#[must_use]
pub fn unfit(spec: &JobSpec, parallelism: &[u32]) -> Option<(u32, String)> {
    let sinks = (0..spec.operators.len() as u32).filter(|it| is_sink(spec, *it));
    let wrong = |sink: u32| {
        let each = upstream(spec, sink).into_iter();
        each.filter_map(move |it| Some((it, operator(spec, parallelism, (sink, it))?)))
    };
    sinks.flat_map(wrong).next()
}

/// What is wrong with one operator on the way to a sink.
fn operator(spec: &JobSpec, parallelism: &[u32], (sink, at): (u32, u32)) -> Option<String> {
    let name = |of: u32| spec.operators.get(of as usize).map_or("", |it| &*it.name);
    let it = spec.operators.get(at as usize)?;
    let one_by_one = match &it.kind {
        OperatorKind::Source(_)
        | OperatorKind::Map(_)
        | OperatorKind::Filter(_)
        | OperatorKind::Watermarks(_)
        | OperatorKind::Lookup(_) => true,
        OperatorKind::Sink(_) => at == sink,
        OperatorKind::FlatMap { .. }
        | OperatorKind::Window(_)
        | OperatorKind::Process(_)
        | OperatorKind::Join(_)
        | OperatorKind::Sort(_) => false,
    };
    let (own, to) = (name(at), name(sink));
    if !one_by_one {
        return Some(format!(
            "`{to}` writes each row with the one position that it came from, and rows of `{own}` have \
             state behind them, or share a position"
        ));
    }
    let many = parallelism.get(at as usize).copied().unwrap_or(1) > 1;
    let deals = |way: Partitioning| !matches!(way, Partitioning::Forward | Partitioning::Global);
    if let Some(input) = it.inputs.iter().find(|it| many && deals(it.partitioning)) {
        return Some(format!(
            "records of a split of `{}` go to several subtasks of `{own}` and may overtake each other: \
             the greatest position in the store of `{to}` would not mean that all before are there",
            name(input.from)
        ));
    }
    let readers = spec.operators.iter().flat_map(|it| &it.inputs);
    let readers = readers.filter(|it| it.from == at).count();
    (at != sink && readers > 1).then(|| {
        format!(
            "`{own}` begins again where the store of `{to}` says, and others read it too: they would \
             miss records or have them twice"
        )
    })
}

/// The source that a vertex reads, and the sink in whose store it stands where that begins, if it does.
#[must_use]
pub fn asked_by(spec: &JobSpec, graph: &graph::Graph, vertex: u16) -> Option<(u32, u32)> {
    let head = graph.vertices.get(usize::from(vertex))?.operators.first()?;
    let kind = spec.operators.get(*head as usize).map(|it| &it.kind);
    let source = matches!(kind, Some(OperatorKind::Source(_)));
    source.then(|| Some((*head, sink_of(spec, *head)?)))?
}

#[cfg(test)]
mod tests {
    use crate::scenario::{parse, render};

    /// What is said of a job whose sink has this before it and reads so.
    fn said(between: &str, sink: &str) -> String {
        let text = format!(
            "strandline = 1\nduration = \"10s\"\n[stream]\n[[stream.source]]\nname = \"numbers\"\n\
             load = {{ rate = 10, keys = 2 }}\nsplits = 2\nparallelism = 2\n{between}\n\
             [[stream.sink]]\nname = \"out\"\nguarantee = \"with-offset\"\n{sink}\n"
        );
        let read = parse(&text);
        render(&read.diagnostics, "test", &text)
    }

    #[test]
    fn only_rows_of_one_record_in_the_order_of_their_split_may_carry_an_offset() {
        let map = "[[stream.map]]\nname = \"same\"\ninput = \"numbers\"\nfunction = \"identity\"\nparallelism = 2\n";
        let refused = |between: &str, sink: &str, why: &str| {
            let said = said(between, sink);
            assert!(
                said.contains("no-offset") && said.contains(why),
                "{why}:\n{said}"
            );
        };
        let taken = |between: &str, sink: &str| {
            let said = said(between, sink);
            assert!(!said.contains("no-offset"), "{said}");
        };
        let from = |input: &str, parallelism: u32| {
            format!("input = \"{input}\"\nparallelism = {parallelism}")
        };
        taken("", &from("numbers", 1));
        taken("", &from("numbers", 2));
        taken(map, &from("same", 2));
        taken(map, &(from("same", 2) + "\npartition = \"global\""));
        refused("", &from("numbers", 3), "may overtake each other");
        refused(
            "",
            &(from("numbers", 2) + "\npartition = \"hash\""),
            "several subtasks of `out`",
        );
        let copies = "[[stream.flat-map]]\nname = \"many\"\ninput = \"numbers\"\ncopies = 2\n";
        refused(copies, &from("many", 1), "share a position");
        let total =
            "[[stream.process]]\nname = \"total\"\ninput = \"numbers\"\nfunction = \"sum\"\n";
        refused(total, &from("total", 1), "state behind them");
        let other = "[[stream.sink]]\nname = \"log\"\ninput = \"numbers\"\n";
        refused(other, &from("numbers", 1), "others read it too");
        let both = "input = [\"numbers\", \"same\"]\nparallelism = 2";
        refused(map, both, "others read it too");
    }
}
