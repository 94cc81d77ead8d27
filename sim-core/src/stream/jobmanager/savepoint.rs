//! Savepoints that the user asks for, and the end and the start of the job.
//!
//! Follows `flink savepoint`, `stop`, `cancel` and `run -s -p` (`CheckpointCoordinator`,
//! `StopWithSavepointTerminationManager`, `DefaultExecutionGraph.cancel`). A savepoint is aligned and
//! heeds neither the pause nor what is under way. It is the user's: it counts for nothing among the
//! completed checkpoints that the job goes back to, and unless the job ends with it nothing comes of
//! it, so that sinks commit at the next checkpoint (FLIP-203). A job that is submitted again knows
//! nothing of what was before but the savepoint that it is given, which is its first completed
//! checkpoint and never discarded (NO_CLAIM). Ids of checkpoints and attempts go on, where in Flink
//! each job has its own. An operator may have another uid then: its state finds no taker, which is
//! refused or allowed (`Checkpoints.loadAndValidateCheckpoint`); its state may be written as something
//! else from then on. A checkpoint that outlives its job is the user's as well, and the job that begins
//! from it writes all its files anew. Left out: any other change of the job's graph between stop and
//! start, the native format, the claim modes CLAIM and LEGACY, disposal. Which operators have
//! state is known by their kind, where Flink looks whether the savepoint has some.

use super::coordinator::{Completed, Coordinator};
use super::{JobManager, JobStatus, Moved, alignment, failover};
use crate::stream::command::{Command, Run};
use crate::stream::config::Retention;
use crate::stream::node::StreamCx;
use crate::stream::protocol::Attempt;
use crate::stream::rules::fault::checkpoint_failures::Taken;
use serde::Serialize;
use std::sync::Arc;

/// A savepoint that is complete, or a checkpoint that outlived its job.
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
            Some(Command::Stop { name, drain }) => {
                let id = self.end_with_savepoint(drain, cx);
                self.call(id, name);
            }
            Some(Command::Cancel) => self.cancel_job(cx),
            Some(Command::Run(run)) => self.run(&run, cx),
            Some(Command::Edit(edit)) => self.edit(&edit, cx),
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
            Command::Run(_) if !ended => {
                Some(format!("the job is {status}: stop or cancel it first"))
            }
            Command::Run(run) if run.retained && self.retained().is_none() => Some(format!(
                "no checkpoint has outlived its job: see {}",
                Retention::KEY
            )),
            Command::Run(run) => {
                let named = run.savepoint.as_deref();
                let missing = named.filter(|name| self.savepoint_called(name).is_none());
                let missing = missing.map(|name| format!("there is no savepoint `{name}`"));
                let begins = named.is_some() || run.retained;
                let unmapped = run.new_uid.as_deref().filter(|_| begins);
                let unmapped = unmapped.filter(|_| !run.allow_non_restored_state);
                missing
                    .or_else(|| self.parallelism_of(run).and_then(Result::err))
                    .or_else(|| self.unmapped(unmapped?))
            }
            Command::Edit(edit) => self.refuse_edit(edit),
            _ if ended => Some(format!("the job is {status}")),
            Command::Cancel if self.status == JobStatus::Cancelling => {
                Some(format!("the job is {status}"))
            }
            Command::Cancel => None,
            Command::Savepoint { .. } | Command::Stop { .. } => self.stoppable().err(),
        }
    }

    /// The parallelism that a job is submitted with, if it is another.
    fn parallelism_of(&self, run: &Run) -> Option<Result<Vec<u32>, String>> {
        let wanted = run.parallelism?;
        Some(self.with_parallelism(run.operator.as_deref(), wanted))
    }

    /// The number of an operator.
    pub(super) fn operator_called(&self, name: &str) -> Option<u32> {
        let mut all = (0..).zip(&self.job.spec.operators);
        all.find(|(_, it)| it.name == name)
            .map(|(number, _)| number)
    }

    /// Why a savepoint is refused that has state of an operator, and no operator of its uid is there.
    fn unmapped(&self, name: &str) -> Option<String> {
        let number = self.operator_called(name)?;
        let operator = self.job.spec.operators.get(number as usize)?;
        operator.kind.holds_state().then(|| {
            format!(
                "Cannot map checkpoint/savepoint state for operator {name} to the new program, because \
                 the operator is not available in the new program. If you want to allow to skip \
                 this, you can set the --allowNonRestoredState option on the CLI."
            )
        })
    }

    /// The newest savepoint of a name.
    pub(super) fn savepoint_called(&self, name: &str) -> Option<&Savepoint> {
        self.savepoints.iter().rev().find(|it| it.name == name)
    }

    /// The newest checkpoint that outlived its job.
    fn retained(&self) -> Option<&Savepoint> {
        self.savepoints.iter().rev().find(|it| it.done.retained)
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
    fn run(&mut self, run: &Run, cx: &mut StreamCx<'_>) {
        let from = run.savepoint.as_deref();
        let from = match run.retained {
            true => self.retained(),
            false => from.and_then(|name| self.savepoint_called(name)),
        };
        let mut from = from.map(|it| it.done.clone());
        let forgotten = run.new_uid.as_deref();
        let forgotten = forgotten.and_then(|name| self.operator_called(name));
        if let (Some(from), Some(forgotten)) = (&mut from, forgotten) {
            from.forgotten.push(forgotten);
            from.enumerators.retain(|(it, _)| *it != forgotten);
        }
        let changed = run.state_of.as_deref();
        let changed = changed.and_then(|name| self.operator_called(name));
        if let (Some(changed), Some(schema)) = (changed, &run.state) {
            self.schemas.retain(|it| it.0 != changed);
            self.schemas.push((changed, Arc::new(schema.clone())));
        }
        let parallelism = self.parallelism_of(run).and_then(Result::ok);
        let parallelism = parallelism.map_or_else(|| self.parallelism.clone(), Arc::new);
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
