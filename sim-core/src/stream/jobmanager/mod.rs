//! The JobManager: runs one job on the TaskManagers that register with it.
//!
//! Follows `JobMaster` with `DefaultScheduler`, `CheckpointCoordinator` and the slot pool of Flink
//! 2.x: [`slots`] says which subtasks share a slot and where slots are, [`schedule`] knows the
//! TaskManagers and deploys, [`trigger`] begins checkpoints and [`checkpoints`] ends them,
//! [`failover`] restarts the job, [`rescale`] stops it with a savepoint and starts it with another
//! parallelism, [`savepoint`] takes savepoints, ends the job and submits it again, [`alignment`] holds back fast sources, [`enumerator`] finds new
//! partitions of topics, [`autoscaler`] rescales the job by what it measures, [`uncoordinated`] keeps
//! snapshots that tasks take each for itself. What is to be done is decided by
//! [`super::rules::fault`]; here it is carried out.
//!
//! Left out: the ResourceManager and the dispatcher, other schedulers, a standby JobManager,
//! and the reports with which heartbeats reconcile what is deployed.

mod alignment;
mod autoscaler;
mod checkpoints;
mod coordinator;
mod edit;
mod enumerator;
mod failover;
mod rescale;
mod savepoint;
mod schedule;
mod slots;
#[cfg(test)]
mod tests;
mod trigger;
mod uncoordinated;

pub use autoscaler::{Autoscaler, Phase};
pub use coordinator::{Completed, FailedCheckpoint, Pending};
pub use failover::Cause;
pub use savepoint::Savepoint;
pub use uncoordinated::{FirstStep, RecoveryLine};

use super::job::Job;
use super::node::{Order, StreamCx, StreamInput, Timer};
use super::note::{Note, Rule};
use super::protocol::{Attempt, Packet, TaskId};
use super::rules::fault::checkpoint_failures::FailureReason;
use super::rules::fault::restart::RestartStrategy;
use super::rules::watermark_alignment::AlignmentGroup;
use super::snapshot::Schemas;
use crate::kernel::{Input, Loss, MILLISECOND, Nanos, NodeId, TimerId};
use coordinator::Coordinator;
use edit::Editing;
use enumerator::Discovery;
use failover::Restart;
use rescale::{Moved, Rescaling};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `JobStatus`, in its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are Flink's, and say it")]
pub enum JobStatus {
    Initializing,
    Created,
    Running,
    Failing,
    Failed,
    Cancelling,
    Canceled,
    Finished,
    Restarting,
    Suspended,
    Reconciling,
}

impl JobStatus {
    /// Flink's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            JobStatus::Initializing => "INITIALIZING",
            JobStatus::Created => "CREATED",
            JobStatus::Running => "RUNNING",
            JobStatus::Failing => "FAILING",
            JobStatus::Failed => "FAILED",
            JobStatus::Cancelling => "CANCELLING",
            JobStatus::Canceled => "CANCELED",
            JobStatus::Finished => "FINISHED",
            JobStatus::Restarting => "RESTARTING",
            JobStatus::Suspended => "SUSPENDED",
            JobStatus::Reconciling => "RECONCILING",
        }
    }

    /// Whether the job has ended (`isGloballyTerminalState`).
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            JobStatus::Failed | JobStatus::Canceled | JobStatus::Finished
        )
    }
}

/// `ExecutionState`, as far as the JobManager tells its states apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are Flink's, and say it")]
pub enum ExecutionState {
    Scheduled,
    Deploying,
    Running,
    Finished,
    Canceling,
    Canceled,
    Failed,
}

impl ExecutionState {
    /// Flink's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExecutionState::Scheduled => "SCHEDULED",
            ExecutionState::Deploying => "DEPLOYING",
            ExecutionState::Running => "RUNNING",
            ExecutionState::Finished => "FINISHED",
            ExecutionState::Canceling => "CANCELING",
            ExecutionState::Canceled => "CANCELED",
            ExecutionState::Failed => "FAILED",
        }
    }

    /// Whether the task is gone.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            ExecutionState::Finished | ExecutionState::Canceled | ExecutionState::Failed
        )
    }
}

/// A task in the present attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Execution {
    /// How it stands.
    pub state: ExecutionState,
    /// Where it runs; none before it is deployed.
    pub node: Option<NodeId>,
    /// Since which attempt of the job: not the newest if other tasks have restarted without it.
    pub attempt: Attempt,
}

/// A registered TaskManager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Registered {
    /// `taskmanager.numberOfTaskSlots`.
    pub slots: u32,
    /// When it was last heard of, ns.
    pub heard: Nanos,
    /// It has answered a heartbeat since it registered.
    confirmed: bool,
    /// Number of this registration among all.
    registration: u32,
}

/// A timer of the JobManager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum JobManagerTimer {
    /// Ask every TaskManager whether it is there.
    Heartbeat,
    /// A TaskManager may have been silent for too long.
    HeartbeatTimeout {
        /// Which.
        node: NodeId,
        /// Number of its registration.
        registration: u32,
    },
    /// Slots were waited for long enough.
    SlotRequest,
    /// The delay before a restart is over.
    Restart {
        /// Its number.
        restart: u32,
    },
    /// It is time for a periodic checkpoint.
    Checkpoint,
    /// A checkpoint takes too long.
    CheckpointExpired {
        /// Which.
        checkpoint: i64,
    },
    /// A completed checkpoint's pointer is on the disk.
    PointerStored {
        /// Which.
        checkpoint: i64,
    },
    /// Tell sources how far they may read.
    Alignment {
        /// In which attempt.
        attempt: Attempt,
    },
    /// Ask for the partitions of topics.
    Discovery,
    /// The Kafka client of an enumerator, by its number, looks whether something is due.
    Kafka(u32),
    /// The autoscaler looks at the job.
    Autoscale,
}

/// Why what needs a checkpoint of the whole job is refused.
const UNCOORDINATED: &str = "the tasks of the job take snapshots each for itself, and the job has no \
                             checkpoint";

/// The JobManager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobManager {
    job: Arc<Job>,
    status: JobStatus,
    /// The present attempt, from 1. It goes on through crashes: ids of attempts never come twice
    /// (`ExecutionAttemptID`).
    attempt: Attempt,
    /// The parallelism of each operator.
    parallelism: Arc<Vec<u32>>,
    /// What operators of the program write their state as, where the first one's did otherwise.
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    schemas: Schemas,
    task_managers: BTreeMap<NodeId, Registered>,
    /// Registrations ever.
    registrations: u32,
    executions: BTreeMap<TaskId, Execution>,
    slot_timer: Option<TimerId>,
    /// Where each slot is, or was last.
    slots: Vec<Option<NodeId>>,
    strategy: RestartStrategy,
    /// Failures that the strategy was told of: the ordinal of its draws.
    failures: u64,
    /// Tasks that are being canceled or wait, to be deployed anew.
    restarts: Vec<Restart>,
    /// Restarts ever.
    restarts_ever: u32,
    cause: Option<Cause>,
    coordinator: Coordinator,
    rescaling: Option<Rescaling>,
    /// What the last rescaling moved.
    #[serde(skip_serializing_if = "Moved::is_none")]
    moved: Moved,
    /// The user's savepoints, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    savepoints: Vec<Savepoint>,
    /// Savepoints that are being written by the State Processor API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    editing: Vec<Editing>,
    /// Attempts until the job was submitted last.
    #[serde(skip_serializing_if = "savepoint::is_none")]
    ended_attempts: Attempt,
    alignment: Option<AlignmentGroup<TaskId>>,
    /// The attempt in which its timer was set.
    aligned: Attempt,
    /// The enumerators of sources that read topics.
    #[serde(skip_serializing_if = "Discovery::is_quiet")]
    discovery: Discovery,
    #[serde(skip_serializing_if = "Option::is_none")]
    autoscaler: Option<Box<Autoscaler>>,
}

impl JobManager {
    /// A JobManager that has not started.
    #[must_use]
    pub fn new(job: Arc<Job>) -> Self {
        JobManager {
            status: JobStatus::Initializing,
            attempt: 0,
            parallelism: Arc::new(job.parallelism()),
            schemas: Schemas::new(),
            task_managers: BTreeMap::new(),
            registrations: 0,
            executions: BTreeMap::new(),
            slot_timer: None,
            slots: Vec::new(),
            strategy: failover::strategy(&job.spec.config),
            failures: 0,
            restarts: Vec::new(),
            restarts_ever: 0,
            cause: None,
            coordinator: Coordinator::new(&job.spec.config),
            rescaling: None,
            moved: Moved::default(),
            savepoints: Vec::new(),
            editing: Vec::new(),
            ended_attempts: 0,
            alignment: alignment::group(&job.spec),
            aligned: 0,
            discovery: Discovery::new(&job, None),
            autoscaler: Autoscaler::of(&job.spec.config),
            job,
        }
    }

    /// The one entry.
    pub fn on(&mut self, input: StreamInput<JobManagerTimer>, cx: &mut StreamCx<'_>) {
        match input {
            Input::Boot => self.boot(cx),
            Input::Message { from, msg } => self.on_message(from, msg, cx),
            Input::Timer(timer) => self.on_timer(timer, cx),
            Input::Disconnected(peer) if peer == self.job.storage => self.storage_lost(cx),
            Input::Disconnected(peer) => {
                self.broker_lost(peer, cx);
                self.task_manager_lost(peer, cx);
            }
            Input::Order(Order::TriggerCheckpoint) => self.user_checkpoint(cx),
            Input::Order(Order::Rescale {
                operator,
                parallelism,
            }) => self.begin_rescale(operator.as_deref(), parallelism, cx),
            Input::Order(Order::Command(text)) => self.command(&text, cx),
            Input::Order(_) => {}
        }
    }

    fn on_message(&mut self, from: NodeId, msg: Packet, cx: &mut StreamCx<'_>) {
        match msg {
            Packet::RegisterTaskExecutor { slots } => self.register(from, slots, cx),
            Packet::Heartbeat | Packet::HeartbeatResponse => self.heard(from, cx),
            Packet::TaskRunning { attempt, task } => self.task_running(from, attempt, task, cx),
            Packet::TaskEnded { attempt, task, end } => {
                self.task_ended(from, attempt, task, end, cx)
            }
            Packet::TasksCanceled { restart } => self.tasks_canceled(from, restart, cx),
            Packet::AcknowledgeCheckpoint {
                attempt,
                checkpoint,
                task,
                handle,
                metrics,
                files,
            } => self.acknowledged((attempt, task), checkpoint, (handle, files), metrics, cx),
            Packet::DeclineCheckpoint {
                attempt,
                checkpoint,
                task,
                reason,
            } => self.declined((attempt, task), checkpoint, reason, cx),
            Packet::StateWritten { handle } if handle.task.is_none() => {
                self.metadata_written(handle.checkpoint, cx);
            }
            Packet::StateWritten { handle } => self.edited(handle, cx),
            Packet::ReportedWatermark {
                attempt,
                task,
                watermark,
            } => self.watermark_reported(attempt, task, watermark),
            Packet::RequestCheckpoint { attempt, task } if self.runs_in(task, attempt) => {
                self.user_checkpoint(cx);
            }
            Packet::Metrics { round, tasks } => self.measured(round, &tasks, cx),
            Packet::AcknowledgeSnapshot {
                attempt,
                task,
                handle,
                taken,
                counts,
            } => self.own_acknowledged((attempt, task), handle, (taken, counts), cx),
            Packet::Kafka(msg) => self.broker_says(from, *msg, cx),
            _ => {}
        }
    }

    fn on_timer(&mut self, timer: JobManagerTimer, cx: &mut StreamCx<'_>) {
        match timer {
            JobManagerTimer::Heartbeat => self.heartbeat(cx),
            JobManagerTimer::HeartbeatTimeout { node, registration } => {
                self.heartbeat_timeout(node, registration, cx);
            }
            JobManagerTimer::SlotRequest => self.slots_timeout(cx),
            JobManagerTimer::Restart { restart } => self.delay_over(restart, cx),
            JobManagerTimer::Checkpoint => self.periodic_checkpoint(cx),
            JobManagerTimer::CheckpointExpired { checkpoint } => self.expired(checkpoint, cx),
            JobManagerTimer::PointerStored { checkpoint } => self.complete(checkpoint, cx),
            JobManagerTimer::Alignment { attempt } => self.align(attempt, cx),
            JobManagerTimer::Discovery => self.discover(cx),
            JobManagerTimer::Kafka(number) => self.wake_lister(number, cx),
            JobManagerTimer::Autoscale => self.measure(cx),
        }
    }

    /// Drops what a crash takes: everything but, with high availability, the pointers to completed
    /// checkpoints. Without it the job is submitted anew and begins at the beginning.
    pub fn crash(&mut self, loss: Loss) {
        let ended = self.status.is_terminal();
        let fresh = JobManager::new(self.job.clone());
        let mut fresh = fresh.with_cluster(self.discovery.book());
        fresh.attempt = self.attempt;
        fresh.registrations = self.registrations;
        fresh.restarts_ever = self.restarts_ever;
        fresh.ended_attempts = self.ended_attempts;
        // They lie in the storage, and the user knows where.
        fresh.savepoints = std::mem::take(&mut self.savepoints);
        if self.is_highly_available() && loss != Loss::Disk {
            fresh.coordinator.recover(&self.coordinator);
            // What a savepoint was taken for is not known any more, but with which parallelism the
            // job was submitted last is (the job graph is stored too).
            fresh.parallelism = self.parallelism.clone();
            fresh.schemas = std::mem::take(&mut self.schemas);
            if ended {
                // `JobResultStore`: a job that ended is not run again.
                fresh.status = self.status;
            }
        }
        *self = fresh;
    }

    /// About how many bytes a copy takes, beside what it shares.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(self)
            + self.executions.len() * size_of::<(TaskId, Execution)>()
            + self.task_managers.len() * size_of::<(NodeId, Registered)>()
            + self.coordinator.weight()
            + self.discovery.weight()
            + self.savepoints.iter().map(Savepoint::weight).sum::<usize>()
            + self.autoscaler.as_ref().map_or(0, |it| it.weight())
    }

    /// Why an order cannot be given now, if so.
    #[must_use]
    pub fn refuse(&self, order: &Order) -> Option<String> {
        match order {
            Order::TriggerCheckpoint if self.status.is_terminal() => {
                Some(format!("the job is {}", self.status.name()))
            }
            Order::TriggerCheckpoint if self.job.spec.config.is_uncoordinated() => {
                Some(UNCOORDINATED.to_owned())
            }
            Order::TriggerCheckpoint if self.rescaling.is_some() => {
                Some("the job stops with a savepoint".to_owned())
            }
            Order::Rescale {
                operator,
                parallelism,
            } => self.rescaled(operator.as_deref(), *parallelism).err(),
            Order::Command(text) => self.refuse_command(text),
            _ => None,
        }
    }

    fn boot(&mut self, cx: &mut StreamCx<'_>) {
        self.set_timer(
            ms(self.job.spec.config.heartbeat_interval.0),
            JobManagerTimer::Heartbeat,
            cx,
        );
        self.arm_autoscaler(cx);
        if self.status.is_terminal() {
            return;
        }
        self.set_status(JobStatus::Created, cx);
        self.begin_attempt(None, cx);
    }

    fn set_status(&mut self, status: JobStatus, cx: &mut StreamCx<'_>) {
        let before = std::mem::replace(&mut self.status, status);
        self.autoscaler_hears(status, cx);
        cx.note(Note::rule(
            Rule::JobStatus,
            None,
            before as i64,
            status as i64,
        ));
    }

    fn set_timer(&self, delay: Nanos, timer: JobManagerTimer, cx: &mut StreamCx<'_>) -> TimerId {
        cx.set_timer(delay, Timer::JobManager(timer))
    }

    fn is_highly_available(&self) -> bool {
        self.job.spec.config.high_availability == super::config::HighAvailability::ZooKeeper
    }
}

/// What is shown of a JobManager.
impl JobManager {
    /// The job.
    #[must_use]
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The job's state.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.status
    }

    /// The present attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The parallelism of each operator.
    #[must_use]
    pub fn parallelism(&self) -> &[u32] {
        &self.parallelism
    }

    /// The tasks of the present attempt.
    #[must_use]
    pub fn executions(&self) -> &BTreeMap<TaskId, Execution> {
        &self.executions
    }

    /// The TaskManagers that are registered.
    #[must_use]
    pub fn task_managers(&self) -> &BTreeMap<NodeId, Registered> {
        &self.task_managers
    }

    /// Why the job failed last.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Checkpoints under way, by their ids.
    #[must_use]
    pub fn pending(&self) -> &BTreeMap<i64, Pending> {
        self.coordinator.pending()
    }

    /// Completed checkpoints that are kept, the oldest first.
    #[must_use]
    pub fn completed(&self) -> &[Completed] {
        self.coordinator.completed()
    }

    /// The newest checkpoints that failed in this life of the JobManager, oldest first.
    #[must_use]
    pub fn failed(&self) -> &[FailedCheckpoint] {
        &self.coordinator.failed
    }

    /// How many failed for each reason.
    #[must_use]
    pub fn failed_for(&self) -> &BTreeMap<FailureReason, u64> {
        &self.coordinator.failed_for
    }

    /// Key groups that changed hands at the last rescaling.
    #[must_use]
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// Checkpoints completed, and failed, in this life of the JobManager.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.coordinator.counts
    }

    /// Failed checkpoints in a row that count.
    #[must_use]
    pub fn failed_checkpoints(&self) -> u32 {
        self.coordinator.failed()
    }
}

/// Milliseconds of a setting as ns; less than none is none.
fn ms(millis: i64) -> Nanos {
    u64::try_from(millis).map_or(0, |it| it.saturating_mul(MILLISECOND))
}

/// Time since the start of the world, ms: what Flink measures spans by (`relativeTimeMillis`).
fn now_ms(cx: &StreamCx<'_>) -> i64 {
    i64::try_from(cx.now() / MILLISECOND).unwrap_or(i64::MAX)
}
