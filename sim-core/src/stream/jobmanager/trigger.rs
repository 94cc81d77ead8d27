//! When checkpoints are triggered, and at which tasks.
//!
//! Follows `CheckpointCoordinator.startCheckpointScheduler` and `DefaultCheckpointPlanCalculator`.
//! Which request is executed when is [`RequestDecider`]'s decision. A task that finished is no part
//! of later plans; its last state is carried on, so that a restored job finds it at its end, where
//! Flink marks its operators as finished.
//!
//! [`RequestDecider`]: crate::stream::rules::fault::checkpoint_trigger::RequestDecider

use super::coordinator::{Pending, is_unaligned};
use super::{ExecutionState, JobManager, JobManagerTimer, JobStatus, ms, now_ms};
use crate::kernel::{MILLISECOND, Nanos, NodeId, Purpose, below};
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, Packet, TaskId, alignment};
use crate::stream::rules::barrier::{Alignment, Barrier};
use crate::stream::rules::fault::checkpoint_failures::{FailureReason, Taken};
use crate::stream::rules::fault::checkpoint_trigger::{Decision, Dropped, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Draws of the time until the first periodic checkpoint.
const FIRST: Purpose = Purpose::named("stream.checkpoint.first");
/// `MINIMAL_CHECKPOINT_TIME`, ms: a shorter interval is none.
const SHORTEST_INTERVAL_MS: i64 = 10;

impl JobManager {
    /// Begins to take periodic checkpoints (`startCheckpointScheduler`): the first at random within
    /// the interval, after the pause at the soonest.
    pub(super) fn start_checkpoints(&mut self, cx: &mut StreamCx<'_>) {
        let config = &self.job.spec.config;
        let interval = config.checkpoint_interval.0;
        if interval < SHORTEST_INTERVAL_MS || config.is_uncoordinated() {
            return;
        }
        let pause = config.checkpoint_min_pause.0.max(0);
        let spread = interval.max(pause).abs_diff(pause);
        let bits = cx.draw(FIRST, self.coordinator.starts);
        let drawn = below(bits, spread.saturating_add(1)).saturating_mul(MILLISECOND);
        let delay = ms(pause).saturating_add(drawn);
        self.coordinator.starts += 1;
        self.coordinator.periodic = true;
        self.schedule_checkpoint(delay, cx);
    }

    fn schedule_checkpoint(&mut self, delay: Nanos, cx: &mut StreamCx<'_>) {
        if let Some(timer) = self.coordinator.timer.take() {
            cx.cancel(timer);
        }
        self.coordinator.next = cx.now().saturating_add(delay);
        let timer = self.set_timer(delay, JobManagerTimer::Checkpoint, cx);
        self.coordinator.timer = Some(timer);
    }

    pub(super) fn periodic_checkpoint(&mut self, cx: &mut StreamCx<'_>) {
        self.coordinator.timer = None;
        if !self.coordinator.periodic {
            return;
        }
        let config = &self.job.spec.config;
        let interval = config
            .checkpoint_interval
            .0
            .max(config.checkpoint_min_pause.0);
        // At a fixed rate: what came late does not shift the next.
        let next = self.coordinator.next.saturating_add(ms(interval));
        self.schedule_checkpoint(next.saturating_sub(cx.now()), cx);
        self.coordinator.next = next;
        let request = self.coordinator.request(false, true, now_ms(cx));
        self.submit(request, cx);
    }

    /// A checkpoint that the user asks for, or a source that has read enough since the last.
    pub(super) fn user_checkpoint(&mut self, cx: &mut StreamCx<'_>) {
        // While the job stops with a savepoint its sources read nothing, and are to stay so.
        let own = self.job.spec.config.is_uncoordinated();
        if self.status.is_terminal() || self.rescaling.is_some() || own {
            return;
        }
        let request = self.coordinator.request(false, false, now_ms(cx));
        self.submit(request, cx);
    }

    /// Takes a savepoint, now whatever else is under way; its id, unless it could not be triggered.
    pub(super) fn savepoint(&mut self, taken: Taken, cx: &mut StreamCx<'_>) -> Option<i64> {
        let now = now_ms(cx);
        let request = self.coordinator.request(true, false, now);
        let situation = self.coordinator.situation(now);
        let decision = self.coordinator.decider.submit(request, situation);
        self.trigger(decision.execute?, taken, cx)
    }

    fn submit(&mut self, request: Request, cx: &mut StreamCx<'_>) {
        let situation = self.coordinator.situation(now_ms(cx));
        let decision = self.coordinator.decider.submit(request, situation);
        if self.carry_out(decision, cx) {
            self.run_queue(cx);
        }
    }

    /// Executes what waits, as far as it may be.
    pub(super) fn run_queue(&mut self, cx: &mut StreamCx<'_>) {
        loop {
            let situation = self.coordinator.situation(now_ms(cx));
            let decision = self.coordinator.decider.choose_queued(situation);
            if !self.carry_out(decision, cx) {
                return;
            }
        }
    }

    /// Carries out what was decided; whether another of those that wait may go on.
    fn carry_out(&mut self, decision: Decision, cx: &mut StreamCx<'_>) -> bool {
        for (request, why) in decision.dropped {
            let reason = match why {
                Dropped::MinimumTimeBetweenCheckpoints => {
                    FailureReason::MinimumTimeBetweenCheckpoints
                }
                Dropped::TooManyCheckpointRequests => FailureReason::TooManyCheckpointRequests,
            };
            self.not_triggered(request, reason, cx);
        }
        if let Some(delay) = decision.reschedule_in_ms
            && self.coordinator.periodic
        {
            self.schedule_checkpoint(ms(delay), cx);
        }
        let Some(request) = decision.execute else {
            return false;
        };
        self.trigger(request, Taken::Checkpoint, cx);
        true
    }

    /// A request came to nothing. What the timer asked for too soon is no news.
    pub(super) fn not_triggered(
        &mut self,
        request: Request,
        reason: FailureReason,
        cx: &mut StreamCx<'_>,
    ) {
        if !request.periodic || reason == FailureReason::NotAllRequiredTasksRunning {
            cx.note(Note::rule(Rule::CheckpointFailed, None, reason as i64, -1));
        }
    }

    /// Whether every task runs or has finished, and one runs.
    pub(super) fn all_run(&self) -> bool {
        let mut all = self.executions.values();
        let up =
            |it: ExecutionState| matches!(it, ExecutionState::Running | ExecutionState::Finished);
        self.status == JobStatus::Running
            && all.clone().all(|it| up(it.state))
            && all.any(|it| it.state == ExecutionState::Running)
    }

    /// Whether the barrier is to be injected at this task: it reads from no task that runs.
    fn is_triggered(&self, task: TaskId) -> bool {
        if self.job.graph.is_source(&self.job.spec, task.vertex) {
            return true;
        }
        let finished = self
            .executions
            .values()
            .any(|it| it.state == ExecutionState::Finished);
        if !finished {
            return false;
        }
        let channels = self.job.graph.channels_into(task, &self.parallelism);
        channels.iter().all(|channel| {
            let edge = self.job.graph.edges.get(usize::from(channel.edge));
            let from = edge.map(|it| TaskId {
                vertex: it.from.0,
                subtask: channel.from,
            });
            let from = from.and_then(|it| self.executions.get(&it));
            from.is_some_and(|it| it.state == ExecutionState::Finished)
        })
    }

    /// Triggers a checkpoint; its id, unless not all tasks run.
    fn trigger(&mut self, request: Request, taken: Taken, cx: &mut StreamCx<'_>) -> Option<i64> {
        if !self.all_run() {
            self.not_triggered(request, FailureReason::NotAllRequiredTasksRunning, cx);
            return None;
        }
        self.coordinator.last_id += 1;
        let checkpoint = self.coordinator.last_id;
        let config = &self.job.spec.config;
        let barrier = Barrier {
            checkpoint,
            created_ms: cx.wall_ms(),
            alignment: match request.savepoint {
                true => Alignment::Aligned,
                false => alignment(is_unaligned(config), config.aligned_timeout.0),
            },
            savepoint: request.savepoint,
        };
        let mut waiting = BTreeSet::new();
        let mut handles = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut triggered: BTreeMap<(NodeId, Attempt), Vec<TaskId>> = BTreeMap::new();
        for (task, it) in &self.executions {
            if it.state == ExecutionState::Finished {
                let last = self.coordinator.latest();
                let last = last.filter(|it| it.parallelism == self.parallelism);
                let last = last.and_then(|it| it.handles.get(task));
                handles.extend(last.map(|it| (*task, *it)));
                let last = self.coordinator.latest();
                let last = last.and_then(|it| it.files.get(task));
                files.extend(last.map(|it| (*task, Arc::clone(it))));
                continue;
            }
            waiting.insert(*task);
            if let Some(node) = it.node.filter(|_| self.is_triggered(*task)) {
                triggered.entry((node, it.attempt)).or_default().push(*task);
            }
        }
        let timeout = ms(config.checkpoint_timeout.0);
        let timer = JobManagerTimer::CheckpointExpired { checkpoint };
        let timer = self.set_timer(timeout, timer, cx);
        let pending = Pending {
            taken,
            triggered: cx.now(),
            waiting,
            handles,
            files,
            metrics: BTreeMap::new(),
            name: None,
            timer,
        };
        self.coordinator.pending.insert(checkpoint, pending);
        cx.note(Note::rule(Rule::CheckpointTriggered, None, 0, checkpoint));
        for ((node, attempt), tasks) in triggered {
            cx.send(
                node,
                Packet::TriggerCheckpoint {
                    attempt,
                    tasks,
                    barrier,
                    stop: taken == Taken::SynchronousSavepoint,
                    drain: self.rescaling.as_ref().is_some_and(|it| it.is_draining()),
                },
            );
        }
        Some(checkpoint)
    }
}
