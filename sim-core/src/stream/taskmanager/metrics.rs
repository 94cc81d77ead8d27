//! What tasks measure, for who asks.
//!
//! Follows `MetricQueryService` with `numRecordsIn`, `numRecordsOut`, `pendingRecords` and
//! `busyTimeMsPerSecond` with its siblings, as counters: whoever asks takes the rates from two answers.

use super::TaskManager;
use crate::kernel::{Nanos, NodeId};
use crate::stream::node::StreamCx;
use crate::stream::protocol::{Attempt, Packet, TaskId};
use crate::stream::task::chain::Link;
use crate::stream::task::{Spent, Task};
use serde::Serialize;

/// What a task has measured since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TaskMetrics {
    /// Which.
    pub task: TaskId,
    /// In which attempt.
    pub attempt: Attempt,
    /// Records that it was handed.
    pub records_in: u64,
    /// Records that it put out.
    pub records_out: u64,
    /// How it spent its time.
    pub spent: Spent,
    /// Of a source: records that wait, and splits that it reads.
    pub pending: (u64, u32),
}

impl TaskManager {
    fn metrics(&self, task: &Task, now: Nanos) -> TaskMetrics {
        let links = &task.chain.links;
        let source = links.first().and_then(|it| match &it.link {
            Link::Source(it) => Some((it.backlog(now, &self.job), it.splits().count() as u32)),
            _ => None,
        });
        TaskMetrics {
            task: task.id,
            attempt: task.attempt,
            records_in: links.first().map_or(0, |it| it.records_in),
            records_out: links.last().map_or(0, |it| it.records_out),
            spent: task.spent(now).1,
            pending: source.unwrap_or_default(),
        }
    }

    /// Tells what all tasks have measured.
    pub(super) fn tell_metrics(&self, to: NodeId, round: u32, cx: &mut StreamCx<'_>) {
        let all = self.tasks.values();
        let tasks = all.map(|it| self.metrics(it, cx.now())).collect();
        cx.send(to, Packet::Metrics { round, tasks });
    }
}
