//! Holding fast sources back: the coordinators of the sources that name a watermark alignment.
//!
//! Follows `SourceCoordinator.announceCombinedWatermark`. All sources that name an alignment are
//! one group, and where their greatest drifts differ the smallest holds for all.

use super::{JobManager, JobManagerTimer, ms};
use crate::kernel::NodeId;
use crate::stream::node::StreamCx;
use crate::stream::protocol::{Attempt, Packet, TaskId};
use crate::stream::rules::watermark_alignment::AlignmentGroup;
use crate::stream::spec::{JobSpec, OperatorKind, OperatorSpec};
use std::collections::BTreeSet;

/// The greatest drift that a source allows, ms.
fn max_drift(operator: &OperatorSpec) -> Option<i64> {
    match &operator.kind {
        OperatorKind::Source(source) => source.watermarks.max_drift_ms,
        _ => None,
    }
}

/// The job's alignment group, if any source names one.
pub(super) fn group(spec: &JobSpec) -> Option<AlignmentGroup<TaskId>> {
    let least = spec.operators.iter().filter_map(max_drift).min();
    least.map(AlignmentGroup::new)
}

impl JobManager {
    /// These tasks were deployed: their readers start anew.
    pub(super) fn begin_alignment(&mut self, tasks: &BTreeSet<TaskId>, cx: &mut StreamCx<'_>) {
        match &mut self.alignment {
            Some(known) if tasks.len() < self.executions.len() => {
                tasks.iter().for_each(|it| known.remove(it));
            }
            known => *known = group(&self.job.spec),
        }
        if self.alignment.is_some() {
            self.aligned = self.attempt;
            self.set_alignment_timer(cx);
        }
    }

    fn set_alignment_timer(&self, cx: &mut StreamCx<'_>) {
        let attempt = self.aligned;
        let every = self.job.spec.config.alignment_interval.0.max(1);
        self.set_timer(ms(every), JobManagerTimer::Alignment { attempt }, cx);
    }

    pub(super) fn watermark_reported(&mut self, attempt: Attempt, task: TaskId, watermark: i64) {
        if self.runs_in(task, attempt)
            && let Some(group) = &mut self.alignment
        {
            group.report(task, watermark);
        }
    }

    /// Tells the sources how far they may read.
    pub(super) fn align(&mut self, attempt: Attempt, cx: &mut StreamCx<'_>) {
        let Some(group) = &self.alignment else {
            return;
        };
        if attempt != self.aligned {
            return;
        }
        let max_allowed = group.max_allowed();
        let aligned = |task: &TaskId| {
            let vertex = self.job.graph.vertices.get(usize::from(task.vertex));
            let head = vertex.and_then(|it| it.operators.first());
            let head = head.and_then(|it| self.job.spec.operators.get(*it as usize));
            head.is_some_and(|it| max_drift(it).is_some())
        };
        let tasks = self.executions.iter().filter(|(task, _)| aligned(task));
        let nodes: BTreeSet<(NodeId, Attempt)> = tasks
            .filter(|(_, it)| !it.state.is_terminal())
            .filter_map(|(_, it)| Some((it.node?, it.attempt)))
            .collect();
        for (node, attempt) in nodes {
            cx.send(
                node,
                Packet::WatermarkAlignment {
                    attempt,
                    max_allowed,
                },
            );
        }
        self.set_alignment_timer(cx);
    }
}
