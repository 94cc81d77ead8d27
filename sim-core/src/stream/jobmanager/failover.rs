//! Failures: cancel every task, wait, and begin a new attempt, or give the job up.
//!
//! Follows `ExecutionFailureHandler` and `DefaultScheduler.restartTasksWithDelay`. The delay runs
//! while tasks are being canceled; the job restarts when it is over and every TaskManager that
//! lives has said that its tasks are gone. What fails meanwhile is part of the same failure.

use super::{ExecutionState, JobManager, JobManagerTimer, JobStatus, ms, now_ms};
use crate::kernel::{NodeId, Purpose};
use crate::stream::config::{JobConfig, RestartType};
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, Packet, TaskFailure, TaskId};
use crate::stream::rules::fault::checkpoint_failures::FailureReason;
use crate::stream::rules::fault::restart::{ExponentialDelay, RestartStrategy};
use serde::Serialize;

/// Draws of the restart delay's jitter.
const JITTER: Purpose = Purpose::named("stream.restart.jitter");

/// Why the job failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Cause {
    /// A task failed.
    Task(TaskId, TaskFailure),
    /// A TaskManager with tasks is gone.
    TaskManagerLost(NodeId),
    /// More checkpoints failed than are tolerable, this one last.
    Checkpoint(FailureReason),
    /// There were not enough slots for too long (`NoResourceAvailableException`).
    NoResourceAvailable,
    /// The savepoint that the job was to stop with failed (`StopWithSavepointStoppingException`).
    StopWithSavepoint,
}

/// The restart strategy of the settings.
pub(super) fn strategy(config: &JobConfig) -> RestartStrategy {
    let exponential = || {
        RestartStrategy::exponential(ExponentialDelay {
            initial_ms: config.backoff_initial.0.max(1),
            max_ms: config.backoff_max.0,
            reset_threshold_ms: config.backoff_reset.0,
            jitter: i64::from(config.backoff_jitter.0),
            attempts: i64::from(config.backoff_attempts),
            ..ExponentialDelay::default()
        })
    };
    match config.restart {
        RestartType::Unset if config.checkpoint_interval.0 > 0 => exponential(),
        RestartType::ExponentialDelay => exponential(),
        RestartType::Unset | RestartType::None => RestartStrategy::NoRestart,
        RestartType::FixedDelay => {
            RestartStrategy::fixed_delay(config.fixed_attempts.into(), config.fixed_delay.0)
        }
        RestartType::FailureRate => RestartStrategy::failure_rate(
            config.rate_max.into(),
            config.rate_interval.0,
            config.rate_delay.0,
        ),
    }
}

impl JobManager {
    /// The job failed: it restarts, or it ends.
    pub(super) fn fail(&mut self, cause: Cause, cx: &mut StreamCx<'_>) {
        if self.status != JobStatus::Running {
            return;
        }
        self.cause = Some(cause);
        self.rescaling = None;
        let draw = cx.draw(JITTER, self.failures);
        self.failures += 1;
        let now = now_ms(cx);
        self.strategy.on_failure(now, draw);
        let delay = self.strategy.backoff_ms(now).unwrap_or(0);
        if self.strategy.can_restart(now) {
            self.restart_after(delay, cx);
        } else {
            self.set_status(JobStatus::Failing, cx);
            self.stop_checkpoints(cx);
            self.cancel_tasks(cx);
            self.proceed(cx);
        }
    }

    /// Cancels all tasks and begins a new attempt after so long, ms.
    pub(super) fn restart_after(&mut self, delay: i64, cx: &mut StreamCx<'_>) {
        self.set_status(JobStatus::Restarting, cx);
        let next = i64::from(self.attempt) + 1;
        cx.note(Note::rule(Rule::Restart, None, delay, next));
        self.stop_checkpoints(cx);
        self.cancel_tasks(cx);
        self.delayed = true;
        let attempt = self.attempt;
        self.set_timer(ms(delay), JobManagerTimer::Restart { attempt }, cx);
    }

    fn cancel_tasks(&mut self, cx: &mut StreamCx<'_>) {
        if let Some(timer) = self.slot_timer.take() {
            cx.cancel(timer);
        }
        self.canceling.clear();
        for it in self.executions.values_mut() {
            if let Some(node) = it.node
                && self.task_managers.contains_key(&node)
            {
                self.canceling.insert(node);
            }
            if it.state.is_terminal() {
                continue;
            }
            it.state = match it.node {
                Some(_) => ExecutionState::Canceling,
                None => ExecutionState::Canceled,
            };
        }
        let attempt = self.attempt;
        for node in &self.canceling {
            cx.send(*node, Packet::CancelTasks { attempt });
        }
    }

    pub(super) fn tasks_canceled(&mut self, from: NodeId, attempt: Attempt, cx: &mut StreamCx<'_>) {
        if attempt != self.attempt || !self.canceling.contains(&from) {
            return;
        }
        for it in self.executions.values_mut() {
            if it.node == Some(from) && it.state == ExecutionState::Canceling {
                it.state = ExecutionState::Canceled;
            }
        }
        self.canceled(from, cx);
    }

    /// A TaskManager runs no task any more.
    pub(super) fn canceled(&mut self, node: NodeId, cx: &mut StreamCx<'_>) {
        if self.canceling.remove(&node) {
            self.proceed(cx);
        }
    }

    pub(super) fn delay_over(&mut self, attempt: Attempt, cx: &mut StreamCx<'_>) {
        if attempt == self.attempt && self.status == JobStatus::Restarting {
            self.delayed = false;
            self.proceed(cx);
        }
    }

    /// Goes on when nothing is waited for any more.
    pub(super) fn proceed(&mut self, cx: &mut StreamCx<'_>) {
        if !self.canceling.is_empty() {
            return;
        }
        match self.status {
            JobStatus::Restarting if !self.delayed => {
                self.finish_rescale();
                self.begin_attempt(cx);
            }
            JobStatus::Failing => {
                self.set_status(JobStatus::Failed, cx);
                self.end_checkpoints(cx);
            }
            _ => {}
        }
    }
}
