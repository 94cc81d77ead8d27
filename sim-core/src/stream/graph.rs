//! The execution graph: operators chained into vertices, edges with their channels, slots, regions.
//!
//! Follows `StreamingJobGraphGenerator.isChainable`, the pointwise distribution of
//! `VertexInputInfoComputationUtils`, slot sharing, and `PipelinedRegion` of Flink 2.x. All exchanges
//! are pipelined. Left out: blocking exchanges, co-location groups, cluster partitions.

use super::protocol::{ChannelId, TaskId};
use super::spec::{Chaining, JobSpec, OperatorKind, OperatorSpec, Output, Partitioning};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Operators that run in one thread, one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Vertex {
    /// The operators by their numbers in the job; the head first, each after the one it reads from.
    pub operators: Vec<u32>,
    /// Edges into the head, by their numbers.
    pub inputs: Vec<u16>,
    /// Edges out of the chain, by their numbers.
    pub outputs: Vec<u16>,
    /// Number of its slot sharing group.
    pub slot_group: u16,
}

/// An edge between two vertices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Edge {
    /// The sending vertex and the operator in it.
    pub from: (u16, u32),
    /// Which output of that operator.
    pub output: Output,
    /// The receiving vertex.
    pub to: u16,
    /// Which input of its head.
    pub input: u8,
    /// How records are spread.
    pub partitioning: Partitioning,
}

/// The graph.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Graph {
    /// The vertices, each after those it reads from.
    pub vertices: Vec<Vertex>,
    /// The edges.
    pub edges: Vec<Edge>,
    /// Names of the slot sharing groups.
    pub slot_groups: Vec<String>,
}

/// Whether an operator is chained to the one that it reads from.
#[must_use]
pub fn is_chained(spec: &JobSpec, down: &OperatorSpec) -> bool {
    let [input] = down.inputs.as_slice() else {
        return false;
    };
    let Some(up) = spec.operators.get(input.from as usize) else {
        return false;
    };
    spec.config.chaining
        && up.slot_sharing_group == down.slot_sharing_group
        && input.partitioning == Partitioning::Forward
        && up.parallelism == down.parallelism
        && down.chaining == Chaining::Always
        && up.chaining != Chaining::Never
}

impl Graph {
    /// The graph of a job.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        let mut graph = Graph {
            vertices: Vec::new(),
            edges: Vec::new(),
            slot_groups: Vec::new(),
        };
        let mut vertex_of: Vec<u16> = Vec::new();
        for (number, operator) in (0..).zip(&spec.operators) {
            let up = operator
                .inputs
                .first()
                .and_then(|input| vertex_of.get(input.from as usize));
            let chained = up.copied().filter(|_| is_chained(spec, operator));
            if let Some(vertex) = chained {
                graph.vertices[vertex as usize].operators.push(number);
                vertex_of.push(vertex);
                continue;
            }
            let vertex = graph.vertices.len() as u16;
            let slot_group = graph.slot_group(&operator.slot_sharing_group);
            graph.vertices.push(Vertex {
                operators: vec![number],
                inputs: Vec::new(),
                outputs: Vec::new(),
                slot_group,
            });
            vertex_of.push(vertex);
            for input in &operator.inputs {
                let Some(from) = vertex_of.get(input.from as usize).copied() else {
                    continue;
                };
                let edge = graph.edges.len() as u16;
                graph.vertices[from as usize].outputs.push(edge);
                graph.vertices[vertex as usize].inputs.push(edge);
                graph.edges.push(Edge {
                    from: (from, input.from),
                    output: input.output,
                    to: vertex,
                    input: input.number,
                    partitioning: input.partitioning,
                });
            }
        }
        graph
    }

    fn slot_group(&mut self, name: &str) -> u16 {
        let found = self.slot_groups.iter().position(|it| it == name);
        let at = found.unwrap_or_else(|| {
            self.slot_groups.push(name.to_owned());
            self.slot_groups.len() - 1
        });
        at as u16
    }

    /// The vertex that an operator runs in.
    #[must_use]
    pub fn vertex_of(&self, operator: u32) -> Option<u16> {
        let at = self
            .vertices
            .iter()
            .position(|it| it.operators.contains(&operator));
        at.map(|at| at as u16)
    }

    /// Subtasks of a vertex, given those of each operator.
    #[must_use]
    pub fn parallelism(&self, vertex: u16, parallelism: &[u32]) -> u32 {
        let head = self
            .vertices
            .get(vertex as usize)
            .and_then(|it| it.operators.first());
        let found = head.and_then(|head| parallelism.get(*head as usize));
        found.copied().unwrap_or(0)
    }

    /// Every task.
    pub fn tasks<'g>(&'g self, parallelism: &'g [u32]) -> impl Iterator<Item = TaskId> + 'g {
        (0..self.vertices.len() as u16).flat_map(|vertex| {
            let many = self.parallelism(vertex, parallelism) as u16;
            (0..many).map(move |subtask| TaskId { vertex, subtask })
        })
    }

    /// Whether a vertex reads from outside.
    #[must_use]
    pub fn is_source(&self, spec: &JobSpec, vertex: u16) -> bool {
        let head = self
            .vertices
            .get(vertex as usize)
            .and_then(|it| it.operators.first());
        let head = head.and_then(|head| spec.operators.get(*head as usize));
        head.is_some_and(|it| matches!(it.kind, OperatorKind::Source(_)))
    }

    /// Whether unaligned barriers overtake on an edge: on none into an operator that has a pointwise
    /// or a broadcast one among its inputs, as what is in flight there cannot be handed out anew
    /// when the job is rescaled (`StreamGraphGenerator.shouldDisableUnalignedCheckpointing`).
    #[must_use]
    pub fn overtakes(&self, edge: u16) -> bool {
        let to = self.edges.get(edge as usize).map(|it| it.to);
        let mut beside = self.edges.iter().filter(|it| Some(it.to) == to);
        beside.all(|it| {
            !matches!(
                it.partitioning,
                Partitioning::Forward | Partitioning::Rescale | Partitioning::Broadcast
            )
        })
    }

    /// The subtasks that a sending subtask of an edge has channels to.
    #[must_use]
    pub fn receivers(&self, edge: u16, from: u16, parallelism: &[u32]) -> Range<u16> {
        let Some(it) = self.edges.get(edge as usize) else {
            return 0..0;
        };
        let up = self.parallelism(it.from.0, parallelism);
        let down = self.parallelism(it.to, parallelism);
        let from = u32::from(from);
        let range = match it.partitioning {
            Partitioning::Forward | Partitioning::Rescale => pointwise(from, up, down),
            _ => 0..down,
        };
        range.start as u16..range.end as u16
    }

    /// The channels into a subtask, in the order of its gate.
    #[must_use]
    pub fn channels_into(&self, task: TaskId, parallelism: &[u32]) -> Vec<ChannelId> {
        let Some(vertex) = self.vertices.get(task.vertex as usize) else {
            return Vec::new();
        };
        let mut channels = Vec::new();
        for edge in &vertex.inputs {
            let up = self
                .edges
                .get(*edge as usize)
                .map_or(0, |it| self.parallelism(it.from.0, parallelism));
            for from in 0..up as u16 {
                if self
                    .receivers(*edge, from, parallelism)
                    .contains(&task.subtask)
                {
                    channels.push(ChannelId {
                        edge: *edge,
                        from,
                        to: task.subtask,
                    });
                }
            }
        }
        channels
    }

    /// Slots that the job needs: over the groups, the greatest parallelism in each.
    #[must_use]
    pub fn slots_needed(&self, parallelism: &[u32]) -> u32 {
        let mut most: BTreeMap<u16, u32> = BTreeMap::new();
        for (at, vertex) in (0..).zip(&self.vertices) {
            let many = most.entry(vertex.slot_group).or_default();
            *many = (*many).max(self.parallelism(at, parallelism));
        }
        most.values().sum()
    }

    /// The pipelined region of each task: the number of its first task. Tasks of one region fail
    /// and restart together.
    #[must_use]
    pub fn regions(&self, parallelism: &[u32]) -> BTreeMap<TaskId, u32> {
        let tasks: Vec<TaskId> = self.tasks(parallelism).collect();
        let number: BTreeMap<TaskId, usize> = tasks.iter().copied().zip(0..).collect();
        let mut region: Vec<u32> = (0..tasks.len() as u32).collect();
        // Joined by each channel, the lower number wins; channels are few enough for plain passes.
        for to in &tasks {
            for channel in self.channels_into(*to, parallelism) {
                let vertex = self.edges[channel.edge as usize].from.0;
                let from = TaskId {
                    vertex,
                    subtask: channel.from,
                };
                let (Some(a), Some(b)) = (number.get(&from), number.get(to)) else {
                    continue;
                };
                let (low, high) = (region[*a].min(region[*b]), region[*a].max(region[*b]));
                if low != high {
                    region
                        .iter_mut()
                        .filter(|it| **it == high)
                        .for_each(|it| *it = low);
                }
            }
        }
        tasks.into_iter().zip(region).collect()
    }
}

/// The receivers of sender `from` of `up`, of `down` in all: each sender is near some receivers, or
/// some senders near one.
fn pointwise(from: u32, up: u32, down: u32) -> Range<u32> {
    if up == 0 || down == 0 {
        return 0..0;
    }
    if up >= down {
        // Receiver r reads from r·up/down until (r+1)·up/down.
        let mut receivers = 0..down;
        let to = receivers.find(|r| (r * up / down..(r + 1) * up / down).contains(&from));
        return to.map_or(0..0, |to| to..to + 1);
    }
    (from * down).div_ceil(up)..((from + 1) * down).div_ceil(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointwise_channels_cover_each_receiver_and_each_sender() {
        let check = |from, up, down, expect| assert_eq!(pointwise(from, up, down), expect);
        check(0, 2, 4, 0..2);
        check(1, 2, 4, 2..4);
        check(0, 4, 2, 0..1);
        check(1, 4, 2, 0..1);
        check(3, 4, 2, 1..2);
        check(0, 2, 3, 0..2);
        check(1, 2, 3, 2..3);
        for up in 1..9 {
            for down in 1..9 {
                let mut reached = vec![false; down as usize];
                for from in 0..up {
                    let to = pointwise(from, up, down);
                    assert!(!to.is_empty(), "{from} of {up} → {down}");
                    to.for_each(|it| reached[it as usize] = true);
                }
                assert!(reached.into_iter().all(|it| it), "{up} → {down}");
            }
        }
    }
}
