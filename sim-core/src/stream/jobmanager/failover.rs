//! Failures: cancel tasks, wait, and deploy them in a new attempt, or give the job up.
//!
//! Follows `ExecutionFailureHandler`, `RestartPipelinedRegionFailoverStrategy` and
//! `DefaultScheduler.restartTasksWithDelay`. With `region` the tasks restart that channels connect
//! to the failed one, and the others go on; what fails the job as a whole (too many failed
//! checkpoints, a savepoint that it was to stop with) restarts all. Each region that a machine takes
//! with it is a failure of its own to the restart strategy. The delay runs while tasks are being
//! canceled; they are deployed when it is over and every TaskManager that lives has said that they
//! are gone. What fails among them meanwhile is part of the same failure. As all exchanges are
//! pipelined, no region waits for another's results.

use super::{ExecutionState, JobManager, JobManagerTimer, JobStatus, ms, now_ms};
use crate::kernel::{NodeId, Purpose};
use crate::stream::config::{FailoverStrategy as Failover, JobConfig, RestartType};
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Packet, TaskFailure, TaskId};
use crate::stream::rules::fault::checkpoint_failures::FailureReason;
use crate::stream::rules::fault::restart::{ExponentialDelay, RestartStrategy};
use serde::Serialize;
use std::collections::BTreeSet;

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
    /// Nobody said in time which partitions a topic has.
    Discovery,
}

/// The restart strategy of the settings.
pub(super) fn strategy(config: &JobConfig) -> RestartStrategy {
    let exponential = || {
        RestartStrategy::exponential(ExponentialDelay {
            initial_ms: config.backoff_initial.0.max(1),
            max_ms: config.backoff_max.0,
            multiplier: i64::from(config.backoff_multiplier.0),
            reset_threshold_ms: config.backoff_reset.0,
            jitter: i64::from(config.backoff_jitter.0),
            attempts: i64::from(config.backoff_attempts),
        })
    };
    match config.restart {
        RestartType::Unset if config.takes_checkpoints() => exponential(),
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

/// Tasks that restart together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Restart {
    /// Tells it from others.
    number: u32,
    /// Which; all if none are named.
    tasks: Option<BTreeSet<TaskId>>,
    /// The delay before it is not over.
    delayed: bool,
    /// TaskManagers that have not said yet that the tasks are gone.
    canceling: BTreeSet<NodeId>,
}

impl Restart {
    fn has(&self, task: TaskId) -> bool {
        self.tasks.as_ref().is_none_or(|it| it.contains(&task))
    }
}

impl JobManager {
    /// These tasks failed, or the job as a whole: what is to restart does, or the job ends.
    pub(super) fn fail(&mut self, cause: Cause, tasks: &BTreeSet<TaskId>, cx: &mut StreamCx<'_>) {
        let of_tasks = matches!(
            cause,
            Cause::Task(..) | Cause::TaskManagerLost(_) | Cause::NoResourceAvailable
        );
        let open = match self.status {
            JobStatus::Running => true,
            // Another region is restarting.
            JobStatus::Restarting => of_tasks,
            _ => false,
        };
        if !open {
            return;
        }
        self.cause = Some(cause);
        let stop = self.rescaling.take();
        let stopping = stop.is_some();
        if stop.is_some_and(|it| it.is_ending()) {
            self.cause = Some(Cause::StopWithSavepoint);
            self.give_job_up(JobStatus::Failing, cx);
            return;
        }
        if !of_tasks || stopping {
            self.discovery.renew();
        }
        let whole = !of_tasks || stopping || self.job.spec.config.failover == Failover::Full;
        let restarting = match whole {
            true => vec![None],
            false => self.regions_of(tasks),
        };
        for tasks in restarting {
            let draw = cx.draw(JITTER, self.failures);
            self.failures += 1;
            let now = now_ms(cx);
            self.strategy.on_failure(now, draw);
            let delay = self.strategy.backoff_ms(now).unwrap_or(0);
            if self.strategy.can_restart(now) {
                self.restart_after(delay, tasks, cx);
                continue;
            }
            self.give_job_up(JobStatus::Failing, cx);
            return;
        }
    }

    /// Cancels all tasks for good: the job ends when they are gone.
    pub(super) fn give_job_up(&mut self, status: JobStatus, cx: &mut StreamCx<'_>) {
        self.set_status(status, cx);
        self.stop_checkpoints(cx);
        self.cancel_tasks(None, false, cx);
        self.proceed(cx);
    }

    /// The pipelined regions that these tasks are in; all tasks if that is one of them.
    fn regions_of(&self, tasks: &BTreeSet<TaskId>) -> Vec<Option<BTreeSet<TaskId>>> {
        let region = self.job.graph.regions(&self.parallelism);
        let failed: BTreeSet<u32> = tasks
            .iter()
            .filter_map(|it| region.get(it))
            .copied()
            .collect();
        let members = |wanted: u32| {
            let of_region = region.iter().filter(|(_, it)| **it == wanted);
            let tasks: BTreeSet<TaskId> = of_region.map(|(task, _)| *task).collect();
            (tasks.len() < region.len()).then_some(tasks)
        };
        failed.into_iter().map(members).collect()
    }

    /// Cancels tasks, or all, and deploys them anew after so long, ms.
    pub(super) fn restart_after(
        &mut self,
        delay: i64,
        tasks: Option<BTreeSet<TaskId>>,
        cx: &mut StreamCx<'_>,
    ) {
        self.set_status(JobStatus::Restarting, cx);
        let next = i64::from(self.attempt) + 1;
        cx.note(Note::rule(Rule::Restart, None, delay, next));
        self.stop_checkpoints(cx);
        let restart = self.cancel_tasks(tasks, true, cx);
        self.set_timer(ms(delay), JobManagerTimer::Restart { restart }, cx);
    }

    /// Cancels tasks, or all; the number of what is to be awaited.
    fn cancel_tasks(
        &mut self,
        tasks: Option<BTreeSet<TaskId>>,
        delayed: bool,
        cx: &mut StreamCx<'_>,
    ) -> u32 {
        self.restarts_ever += 1;
        let mut restart = Restart {
            number: self.restarts_ever,
            tasks,
            delayed,
            canceling: BTreeSet::new(),
        };
        if restart.tasks.is_none() {
            // Every other restart is part of this one.
            self.restarts.clear();
        }
        for (task, it) in &mut self.executions {
            if !restart.has(*task) {
                continue;
            }
            if let Some(node) = it.node
                && self.task_managers.contains_key(&node)
            {
                restart.canceling.insert(node);
            }
            if it.state.is_terminal() {
                continue;
            }
            it.state = match it.node {
                Some(_) => ExecutionState::Canceling,
                None => ExecutionState::Canceled,
            };
        }
        self.slots_awaited(cx);
        for node in &restart.canceling {
            let cancel = Packet::CancelTasks {
                attempt: self.attempt,
                restart: restart.number,
                tasks: restart
                    .tasks
                    .as_ref()
                    .map(|it| it.iter().copied().collect()),
            };
            cx.send(*node, cancel);
        }
        self.restarts.push(restart);
        self.restarts_ever
    }

    pub(super) fn tasks_canceled(&mut self, from: NodeId, number: u32, cx: &mut StreamCx<'_>) {
        let found = self.restarts.iter_mut().find(|it| it.number == number);
        let Some(restart) = found.filter(|it| it.canceling.contains(&from)) else {
            return;
        };
        for (task, it) in &mut self.executions {
            if it.node == Some(from) && it.state == ExecutionState::Canceling && restart.has(*task)
            {
                it.state = ExecutionState::Canceled;
            }
        }
        restart.canceling.remove(&from);
        self.proceed(cx);
    }

    /// A TaskManager is gone, and with it what was being canceled there.
    pub(super) fn canceled(&mut self, node: NodeId, cx: &mut StreamCx<'_>) {
        let mut waited = false;
        for restart in &mut self.restarts {
            waited |= restart.canceling.remove(&node);
        }
        if waited {
            self.proceed(cx);
        }
    }

    pub(super) fn delay_over(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        if let Some(it) = self.restarts.iter_mut().find(|it| it.number == number) {
            it.delayed = false;
            self.proceed(cx);
        }
    }

    /// Whether tasks are to be deployed anew, and are not yet.
    pub(super) fn is_restarting(&self) -> bool {
        !self.restarts.is_empty()
    }

    /// Goes on with the restarts for which nothing is waited any more.
    fn proceed(&mut self, cx: &mut StreamCx<'_>) {
        let ready = |it: &Restart| !it.delayed && it.canceling.is_empty();
        while let Some(at) = self.restarts.iter().position(ready) {
            let restart = self.restarts.remove(at);
            match self.status {
                JobStatus::Restarting => {
                    if restart.tasks.is_none() {
                        self.finish_rescale();
                    }
                    self.begin_attempt(restart.tasks.as_ref(), cx);
                }
                JobStatus::Failing => {
                    self.set_status(JobStatus::Failed, cx);
                    self.end_checkpoints(cx);
                }
                JobStatus::Cancelling => {
                    self.set_status(JobStatus::Canceled, cx);
                    self.end_checkpoints(cx);
                }
                _ => {}
            }
        }
    }
}
