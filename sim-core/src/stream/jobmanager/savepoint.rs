//! Savepoints that the user asks for, and the end and the start of the job.
//!
//! Follows `flink savepoint`, `stop`, `cancel` and `run -s -p` (`CheckpointCoordinator`,
//! `StopWithSavepointTerminationManager`, `DefaultExecutionGraph.cancel`). A savepoint is aligned and
//! heeds neither the pause nor what is under way. It is the user's: it counts for nothing among the
//! completed checkpoints that the job goes back to, and unless the job ends with it nothing comes of
//! it, so that sinks commit at the next checkpoint (FLIP-203). A job that is submitted again knows
//! nothing of what was before but the savepoint that it is given, which is its first completed
//! checkpoint and never discarded (NO_CLAIM). Ids of checkpoints and attempts go on, where in Flink
//! each job has its own. Left out: `--drain`, a change of the job's graph between stop and start,
//! the native format, disposal.

use super::coordinator::{Completed, Coordinator};
use super::{JobManager, JobStatus, Moved, alignment, failover};
use crate::stream::command::Command;
use crate::stream::node::StreamCx;
use crate::stream::protocol::Attempt;
use crate::stream::rules::fault::checkpoint_failures::Taken;
use serde::Serialize;
use std::sync::Arc;

/// A savepoint that is complete.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Savepoint {
    /// What the user calls it.
    pub name: String,
    /// What it is.
    pub done: Completed,
}

impl Savepoint {
    /// About how many bytes a copy takes.
    pub(super) fn weight(&self) -> usize {
        size_of_val(self) + size_of_val(&self.done.handles) * self.done.handles.len()
    }
}

/// Whether no job was submitted before this one.
pub(super) fn is_none(ended: &Attempt) -> bool {
    *ended == 0
}

impl JobManager {
    /// Does what the user says.
    pub(super) fn command(&mut self, text: &str, cx: &mut StreamCx<'_>) {
        let command = Command::read(text).filter(|it| self.refused(it).is_none());
        match command {
            Some(Command::Savepoint { name }) => {
                let id = self.savepoint(Taken::Savepoint, cx);
                self.call(id, name);
            }
            Some(Command::Stop { name }) => {
                let id = self.begin_stop(self.parallelism.clone(), true, cx);
                self.call(id, name);
            }
            Some(Command::Cancel) => self.cancel_job(cx),
            Some(Command::Run {
                savepoint,
                operator,
                parallelism,
            }) => {
                let after = parallelism.map(|it| self.with_parallelism(operator.as_deref(), it));
                let after = after.and_then(Result::ok).map(Arc::new);
                self.run(savepoint.as_deref(), after, cx);
            }
            None => {}
        }
    }

    /// Why a command cannot be carried out now, if so.
    pub(super) fn refuse_command(&self, text: &str) -> Option<String> {
        match Command::read(text) {
            Some(command) => self.refused(&command),
            None => Some(format!("`{text}` is no command")),
        }
    }

    fn refused(&self, command: &Command) -> Option<String> {
        let status = self.status.name();
        let ended = self.status.is_terminal();
        match command {
            Command::Run { .. } if !ended => {
                Some(format!("the job is {status}: stop or cancel it first"))
            }
            Command::Run {
                savepoint,
                operator,
                parallelism,
            } => {
                let named = savepoint.as_deref();
                let missing = named.filter(|name| self.savepoint_called(name).is_none());
                let missing = missing.map(|name| format!("there is no savepoint `{name}`"));
                let after = parallelism.map(|it| self.with_parallelism(operator.as_deref(), it));
                missing.or_else(|| after.and_then(Result::err))
            }
            _ if ended => Some(format!("the job is {status}")),
            Command::Cancel if self.status == JobStatus::Cancelling => {
                Some(format!("the job is {status}"))
            }
            Command::Cancel => None,
            Command::Savepoint { .. } | Command::Stop { .. } => self.stoppable().err(),
        }
    }

    /// The newest savepoint of a name.
    fn savepoint_called(&self, name: &str) -> Option<&Savepoint> {
        self.savepoints.iter().rev().find(|it| it.name == name)
    }

    /// What the savepoint under way will be called.
    fn call(&mut self, id: Option<i64>, name: Option<String>) {
        if let Some(id) = id
            && let Some(pending) = self.coordinator.pending.get_mut(&id)
        {
            pending.name = Some(name.unwrap_or_else(|| format!("savepoint-{id}")));
        }
    }

    /// The name of a checkpoint that is, or will be, a savepoint of the user.
    #[must_use]
    pub fn savepoint_name(&self, id: i64) -> Option<&str> {
        let pending = self.coordinator.pending.get(&id);
        let pending = pending.and_then(|it| it.name.as_deref());
        let done = || self.savepoints.iter().find(|it| it.done.id == id);
        pending.or_else(|| done().map(|it| it.name.as_str()))
    }

    /// The user's savepoints, oldest first.
    #[must_use]
    pub fn savepoints(&self) -> &[Savepoint] {
        &self.savepoints
    }

    /// Times that the job restarted since it was submitted last.
    #[must_use]
    pub fn restarts(&self) -> Attempt {
        let attempts = self.attempt.saturating_sub(self.ended_attempts);
        attempts.saturating_sub(1)
    }

    /// Ends the job (`ExecutionGraph.cancel`).
    fn cancel_job(&mut self, cx: &mut StreamCx<'_>) {
        self.rescaling = None;
        match self.status {
            // Its tasks are being cancelled already.
            JobStatus::Failing => self.set_status(JobStatus::Cancelling, cx),
            _ => self.give_job_up(JobStatus::Cancelling, cx),
        }
    }

    /// Submits the job again, from a savepoint or from nothing.
    fn run(
        &mut self,
        savepoint: Option<&str>,
        parallelism: Option<Arc<Vec<u32>>>,
        cx: &mut StreamCx<'_>,
    ) {
        let from = savepoint.and_then(|name| self.savepoint_called(name));
        let from = from.map(|it| it.done.clone());
        let parallelism = parallelism.unwrap_or_else(|| self.parallelism.clone());
        self.moved = Moved::default();
        if let Some(from) = &from {
            self.parallelism = from.parallelism.clone();
            self.moved = self.groups_moved(&parallelism);
        }
        self.parallelism = parallelism;
        let config = &self.job.spec.config;
        let before = std::mem::replace(&mut self.coordinator, Coordinator::new(config));
        self.coordinator.begin_after(&before, from);
        self.strategy = failover::strategy(config);
        self.alignment = alignment::group(&self.job.spec);
        self.cause = None;
        self.rescaling = None;
        self.restarts.clear();
        self.slots.clear();
        self.discovery.renew();
        self.ended_attempts = self.attempt;
        self.set_status(JobStatus::Created, cx);
        self.begin_attempt(None, cx);
    }
}
