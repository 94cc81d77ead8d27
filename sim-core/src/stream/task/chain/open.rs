//! How the operators of a task are put together: after a restore, and who hands to whom.

use super::{Chain, ChainLink, Link};
use crate::stream::graph::Graph;
use crate::stream::job::Job;
use crate::stream::operator::{Operator, Site};
use crate::stream::protocol::TaskId;
use crate::stream::sink::SinkWriter;
use crate::stream::snapshot::{OperatorSnapshot, TaskSnapshot};
use crate::stream::source::SourceReader;
use crate::stream::spec::{OperatorKind, Output as Side};
use std::sync::Arc;

impl Chain {
    /// The operators of a task, as they are after a restore (`restored` is empty in a fresh start).
    #[must_use]
    pub fn open(
        job: &Job,
        task: TaskId,
        parallelism: &[u32],
        restored: &[Arc<TaskSnapshot>],
        (checkpoint, now_ms): (Option<i64>, i64),
    ) -> Self {
        let operators = job.graph.vertices.get(task.vertex as usize);
        let operators = operators.map_or(&[][..], |it| &it.operators);
        let link = |operator: &u32| {
            let spec = job.spec.operators.get(*operator as usize)?;
            let site = Site {
                operator: *operator,
                subtask: task.subtask,
                parallelism: parallelism.get(*operator as usize).copied().unwrap_or(1),
                max_parallelism: spec.max_parallelism,
            };
            let states: Vec<&OperatorSnapshot> = restored
                .iter()
                .flat_map(|it| it.operators.iter().filter(|(number, _)| number == operator))
                .map(|(_, state)| state)
                .collect();
            let link = match &spec.kind {
                OperatorKind::Source(_) => {
                    Link::Source(Box::new(SourceReader::open(job, site, &states, now_ms)))
                }
                OperatorKind::Sink(_) => {
                    let sink = SinkWriter::open(job, site, &states, checkpoint, now_ms);
                    Link::Sink(Box::new(sink))
                }
                _ => Link::Operator(Box::new(Operator::open(job, site, &states, now_ms))),
            };
            Some(ChainLink {
                operator: *operator,
                link,
                backend: None,
                cost: spec.cost,
                chained: chained(job, operators, *operator),
                writes: writes(&job.graph, task.vertex, *operator),
                records_in: 0,
                records_out: 0,
                watermark: i64::MIN,
            })
        };
        Chain {
            links: operators.iter().filter_map(link).collect(),
            spent: 0,
            holds_rows: false,
            finished: false,
            changed: None,
        }
    }
}

/// The operators chained to one, by their places in the chain.
fn chained(job: &Job, operators: &[u32], to: u32) -> Vec<(Side, u8)> {
    let mut found = Vec::new();
    for (place, operator) in (0..).zip(operators).skip(1) {
        let spec = job.spec.operators.get(*operator as usize);
        let inputs = spec.map_or(&[][..], |it| &it.inputs);
        for input in inputs.iter().filter(|it| it.from == to) {
            found.push((input.output, place));
        }
    }
    found
}

/// The partitions that an operator writes to, by their places in the output.
fn writes(graph: &Graph, vertex: u16, operator: u32) -> Vec<(Side, u8)> {
    let edges = graph.vertices.get(vertex as usize);
    let edges = edges.map_or(&[][..], |it| &it.outputs);
    let of = |(place, edge): (u8, &u16)| {
        let it = graph.edges.get(*edge as usize)?;
        (it.from.1 == operator).then_some((it.output, place))
    };
    (0..).zip(edges).filter_map(of).collect()
}
