//! Rescaling: the job stops with a savepoint and starts from it with another parallelism.
//!
//! Follows `flink stop` and `flink run -s … -p` (`StopWithSavepointTerminationManager`): periodic
//! checkpoints stop, sources read nothing after the savepoint's barrier, sinks commit when it is
//! complete, tasks end once that is done, and when all have FINISHED the job is deployed anew. In
//! Flink that is two jobs, the first FINISHED and the second CREATED; here it is one that restarts.
//! If the savepoint fails, its tasks fail (`StreamTask.notifyCheckpointAbortAsync`) and the restart
//! strategy decides; so it does if a task fails instead of ending, and the job goes on from the
//! savepoint as it was (`StopWithSavepointStoppingException`).

use super::failover;
use super::{ExecutionState, JobManager, JobStatus};
use crate::stream::graph::Edge;
use crate::stream::node::StreamCx;
use crate::stream::positions;
use crate::stream::rules::fault::checkpoint_failures::Taken;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::spec::{OperatorKind, Partitioning};
use serde::Serialize;
use std::sync::Arc;

/// A rescaling under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Rescaling {
    /// The new parallelism of each operator.
    parallelism: Arc<Vec<u32>>,
    /// The savepoint, once it is triggered.
    pub(super) savepoint: Option<i64>,
    /// It is complete: what is left is that the tasks end.
    stopping: bool,
    /// The job ends then, and is not deployed anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends: bool,
    /// Its input is taken to have ended (`--drain`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drains: bool,
    /// How long it is down before it is deployed anew, ms.
    #[serde(skip_serializing_if = "is_at_once")]
    pause_ms: i64,
}

fn is_at_once(pause_ms: &i64) -> bool {
    *pause_ms == 0
}

impl Rescaling {
    /// The job goes on with this parallelism.
    fn to(parallelism: Arc<Vec<u32>>) -> Self {
        Rescaling {
            parallelism,
            savepoint: None,
            stopping: false,
            ends: false,
            drains: false,
            pause_ms: 0,
        }
    }

    /// Whether sources are to end as if they had read all there is.
    pub(super) fn is_draining(&self) -> bool {
        self.drains
    }

    /// A task that fails now fails the job for good: its savepoint is there, and some of what that
    /// brings about may not have been done (`StopWithSavepointStoppingException`).
    pub(super) fn is_ending(&self) -> bool {
        self.stopping && self.ends
    }
}

impl JobManager {
    /// The parallelism of each operator after this order.
    ///
    /// # Errors
    ///
    /// Why the order cannot be carried out.
    pub(super) fn rescaled(
        &self,
        operator: Option<&str>,
        parallelism: u32,
    ) -> Result<Vec<u32>, String> {
        let after = self.with_parallelism(operator, parallelism)?;
        self.stoppable().map(|()| after)
    }

    /// The parallelism of each operator if one of them, or all, get another.
    ///
    /// # Errors
    ///
    /// Why the job cannot run so.
    pub(super) fn with_parallelism(
        &self,
        operator: Option<&str>,
        parallelism: u32,
    ) -> Result<Vec<u32>, String> {
        let (spec, graph) = (&self.job.spec, &self.job.graph);
        let named = match operator {
            None => None,
            Some(name) => {
                let found = (0_u32..).zip(&spec.operators).find(|it| it.1.name == name);
                let vertex = found.and_then(|(number, _)| graph.vertex_of(number));
                Some(vertex.ok_or_else(|| format!("there is no operator `{name}`"))?)
            }
        };
        let mut changes: Vec<(u16, u32)> = Vec::new();
        for (number, vertex) in (0_u16..).zip(&graph.vertices) {
            let head = vertex.operators.first().copied().unwrap_or(0);
            let kind = spec.operators.get(head as usize).map(|it| &it.kind);
            let at_end = matches!(kind, Some(OperatorKind::Source(_) | OperatorKind::Sink(_)));
            if named.map_or(!at_end, |it| it == number) {
                changes.push((number, parallelism));
            }
        }
        self.with_vertices(&changes)
    }

    /// The parallelism of each operator if these vertices get another.
    ///
    /// # Errors
    ///
    /// Why the job cannot run so.
    pub(super) fn with_vertices(&self, changes: &[(u16, u32)]) -> Result<Vec<u32>, String> {
        let (spec, graph) = (&self.job.spec, &self.job.graph);
        let mut after = self.parallelism.to_vec();
        for (number, parallelism) in changes {
            KeyGroups::new(self.max_parallelism(*number), *parallelism)?;
            let vertex = graph.vertices.get(usize::from(*number));
            // Operators of a chain run in one thread and have one parallelism.
            for operator in vertex.iter().flat_map(|it| &it.operators) {
                if let Some(it) = after.get_mut(*operator as usize) {
                    *it = *parallelism;
                }
            }
        }
        let uneven = graph.edges.iter().any(|edge| {
            edge.partitioning == Partitioning::Forward
                && graph.parallelism(edge.from.0, &after) != graph.parallelism(edge.to, &after)
        });
        if uneven {
            return Err("forward partitioning does not allow change of parallelism".to_owned());
        }
        if let Some((_, wrong)) = positions::unfit(spec, &after) {
            return Err(wrong);
        }
        Ok(after)
    }

    /// # Errors
    ///
    /// Why the job cannot stop with a savepoint now.
    pub(super) fn stoppable(&self) -> Result<(), String> {
        if self.job.spec.config.is_uncoordinated() {
            return Err(super::UNCOORDINATED.to_owned());
        }
        if self.status != JobStatus::Running || self.rescaling.is_some() || !self.all_run() {
            return Err("not all tasks of the job are running".to_owned());
        }
        Ok(())
    }

    pub(super) fn begin_rescale(
        &mut self,
        operator: Option<&str>,
        parallelism: u32,
        cx: &mut StreamCx<'_>,
    ) {
        if let Ok(after) = self.rescaled(operator, parallelism) {
            self.begin_stop(Arc::new(after), 0, cx);
        }
    }

    /// Takes the savepoint that the job ends with; its id, unless it could not be triggered.
    pub(super) fn end_with_savepoint(
        &mut self,
        drains: bool,
        cx: &mut StreamCx<'_>,
    ) -> Option<i64> {
        let stop = Rescaling {
            ends: true,
            drains,
            ..Rescaling::to(self.parallelism.clone())
        };
        self.stop_as(stop, cx)
    }

    /// Takes the savepoint that the job stops with to go on with this parallelism, so long after it
    /// has stopped, ms; its id, unless it could not be triggered.
    pub(super) fn begin_stop(
        &mut self,
        parallelism: Arc<Vec<u32>>,
        pause_ms: i64,
        cx: &mut StreamCx<'_>,
    ) -> Option<i64> {
        let stop = Rescaling {
            pause_ms,
            ..Rescaling::to(parallelism)
        };
        self.stop_as(stop, cx)
    }

    fn stop_as(&mut self, stop: Rescaling, cx: &mut StreamCx<'_>) -> Option<i64> {
        self.stop_checkpoints(cx);
        self.rescaling = Some(stop);
        let id = self.savepoint(Taken::SynchronousSavepoint, cx);
        match (&mut self.rescaling, id) {
            (Some(it), Some(id)) => it.savepoint = Some(id),
            _ => {
                self.rescaling = None;
                self.start_checkpoints(cx);
            }
        }
        id
    }

    /// Whether this checkpoint is the savepoint that the job stops with.
    pub(super) fn stops_with(&self, checkpoint: i64) -> bool {
        let stop = self.rescaling.as_ref().and_then(|it| it.savepoint);
        stop == Some(checkpoint)
    }

    /// The savepoint is complete: the tasks end by themselves.
    pub(super) fn await_end(&mut self, cx: &mut StreamCx<'_>) {
        if let Some(it) = &mut self.rescaling {
            it.stopping = true;
        }
        self.go_on_if_stopped(cx);
    }

    /// Begins anew if the job was to stop and all tasks have ended. False if it is not to stop.
    pub(super) fn go_on_if_stopped(&mut self, cx: &mut StreamCx<'_>) -> bool {
        let Some(stop) = self.rescaling.as_ref().filter(|it| it.stopping) else {
            return false;
        };
        let (mut all, pause) = (self.executions.values(), stop.pause_ms);
        if all.all(|it| it.state == ExecutionState::Finished) {
            match stop.ends {
                true => self.finish(cx),
                false => self.restart_after(pause, None, cx),
            }
        }
        true
    }

    /// The tasks are gone: if that was for rescaling, the job is submitted with its new parallelism.
    pub(super) fn finish_rescale(&mut self) {
        if let Some(it) = self.rescaling.take() {
            self.moved = self.groups_moved(&it.parallelism);
            self.discovery.renew();
            self.parallelism = it.parallelism;
            self.strategy = failover::strategy(&self.job.spec.config);
        }
    }

    /// How many key groups another subtask owns once the job has this parallelism, and how many it
    /// would be if groups were dealt round by modulo. Of all vertices whose input is partitioned by
    /// key.
    pub(super) fn groups_moved(&self, after: &[u32]) -> Moved {
        let (graph, mut moved) = (&self.job.graph, Moved::default());
        for number in 0..graph.vertices.len() as u16 {
            let hash = |it: &Edge| it.to == number && it.partitioning == Partitioning::Hash;
            if !graph.edges.iter().any(hash) {
                continue;
            }
            let max = self.max_parallelism(number);
            let of = |all: &[u32]| KeyGroups::new(max, graph.parallelism(number, all));
            let (Ok(old), Ok(new)) = (of(&self.parallelism), of(after)) else {
                continue;
            };
            let differ = |owner: fn(&KeyGroups, u32) -> u32| {
                let groups = (0..max).filter(|it| owner(&old, *it) != owner(&new, *it));
                groups.count() as u64
            };
            moved.by_ranges += differ(KeyGroups::operator_index);
            moved.by_modulo += differ(KeyGroups::modulo_index);
        }
        moved
    }
}

/// Key groups that change hands when a job is rescaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Moved {
    /// By contiguous ranges, as it was done.
    pub by_ranges: u64,
    /// If groups were dealt round by modulo.
    pub by_modulo: u64,
}

impl Moved {
    /// Nothing moved, or the job was never rescaled.
    pub(super) fn is_none(&self) -> bool {
        *self == Moved::default()
    }
}
