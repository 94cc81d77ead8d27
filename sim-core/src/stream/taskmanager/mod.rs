//! A TaskManager: runs tasks in its slots, moves their buffers, reads and writes their state.
//!
//! Follows `TaskExecutor` of Flink 2.x: it registers with the JobManager, answers its heartbeats and
//! gives up its tasks when it hears none for `heartbeat.timeout`. Buffers between tasks of one
//! TaskManager do not cross the network. With a local backup (`TaskLocalStateStoreImpl`) it keeps a
//! copy of every state that it uploads, and with local recovery reads that rather than the storage;
//! the copies are gone with the process. Left out: slots of several jobs, what writing the
//! copies costs, the partition tracker; a task that is cancelled is gone at once.

mod begins;
mod carry;
mod clients;
mod memory;
mod metrics;
mod schemas;
mod traffic;

pub use memory::{Memory, Used};
pub use metrics::TaskMetrics;

use super::clients::Clients;
use super::job::Job;
use super::node::{Order, StreamCx, StreamInput, Timer};
use super::protocol::{Attempt, ChannelId, Decline, Packet, TaskFailure, TaskId};
use super::rules::external_sort::Spilled;
use super::snapshot::{Handle, Schemas, TaskSnapshot};
use super::task::chain::{ChainLink, Link};
use super::task::{Injection, Io, Moment, Spent, Task};
use crate::kafka::ids::AddressBook;
use crate::kernel::{Input, Loss, MILLISECOND, Nanos, NodeId, TimerId};
use begins::Begins;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `cluster.registration.initial-timeout` and `.max-timeout`, ms: how long a TaskManager waits for
/// an answer to its registration; each try waits twice as long.
const REGISTRATION_MS: (u64, u64) = (100, 30_000);

/// How long a read of state is waited for before it is asked for again, ms, as clients of file
/// systems do when a connection is lost without a word.
const READ_AGAIN_MS: u64 = 10_000;

/// A timer of a TaskManager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TaskManagerTimer {
    /// A task may have something to do.
    Wake,
    /// Look for the JobManager.
    Register,
    /// Look whether the JobManager was heard.
    Heartbeat,
    /// Ask again for state that has not come.
    Read,
    /// A state was read from the local disk.
    Local {
        /// For which attempt.
        attempt: Attempt,
        /// Of which task.
        task: TaskId,
        /// Which.
        handle: Handle,
    },
    /// A Kafka client, by its number, looks whether something is due.
    Kafka(u32),
}

/// A task whose state is being read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Opening {
    attempt: Attempt,
    restore: Vec<Handle>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    finished: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forgotten: Vec<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unshared: bool,
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    schemas: Schemas,
    read: Vec<(Handle, Arc<TaskSnapshot>)>,
    /// Where its source begins, if a store says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    begins: Option<Begins>,
}

impl Opening {
    /// Whether all is here that the task begins with.
    fn is_whole(&self) -> bool {
        let known = self.begins.as_ref().is_none_or(|it| it.splits.is_some());
        known && self.read.len() >= self.restore.len()
    }

    /// Whether a state is here, or was never asked for.
    fn has(&self, handle: Handle) -> bool {
        let here = self.read.iter().any(|(it, _)| *it == handle);
        here || !self.restore.contains(&handle)
    }
}

/// What a task had come to when it ended (`IOMetrics` in its last `TaskExecutionState`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// In which attempt.
    pub attempt: Attempt,
    /// Records that it was handed.
    pub records_in: u64,
    /// Records that it put out.
    pub records_out: u64,
    /// Records that were dropped because they came too late.
    pub late_dropped: u64,
    /// Its watermark, ms.
    pub watermark: i64,
    /// How it spent its time.
    pub spent: Spent,
    /// What each of its operators had come to.
    pub operators: Vec<Counted>,
}

/// What an operator has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Which, by its number in the job.
    pub operator: u32,
    /// Records that it was handed.
    pub records_in: u64,
    /// Records that it put out.
    pub records_out: u64,
    /// Records that were dropped because they came too late.
    pub late_dropped: u64,
    /// Of a lookup join: questions that the table answered, and that its cache did.
    pub asked: (u64, u64),
    /// Of a sort: what it has spilled.
    pub spilled: Spilled,
}

impl Counted {
    /// What an operator of a chain has counted so far.
    #[must_use]
    pub fn of(it: &ChainLink) -> Self {
        let (late_dropped, asked, sorter) = match &it.link {
            Link::Operator(it) => (it.late_dropped(), it.asked(), it.sorter()),
            _ => (0, (0, 0), None),
        };
        Counted {
            operator: it.operator,
            records_in: it.records_in,
            records_out: it.records_out,
            late_dropped,
            asked,
            spilled: sorter.map(|it| it.spilled()).unwrap_or_default(),
        }
    }
}

impl Ended {
    fn of(task: &Task, now: Nanos) -> Option<Self> {
        let links = &task.chain.links;
        let (head, last) = (links.first()?, links.last()?);
        let operators: Vec<Counted> = links.iter().map(Counted::of).collect();
        Some(Ended {
            attempt: task.attempt,
            records_in: head.records_in,
            records_out: last.records_out,
            late_dropped: operators.iter().map(|it| it.late_dropped).sum(),
            watermark: head.watermark,
            spent: task.spent(now).1,
            operators,
        })
    }
}

/// A TaskManager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TaskManager {
    job: Arc<Job>,
    slots: u32,
    /// The newest attempt that tasks were submitted of.
    attempt: Attempt,
    placement: Arc<Vec<Vec<u32>>>,
    parallelism: Arc<Vec<u32>>,
    opening: BTreeMap<TaskId, Opening>,
    tasks: BTreeMap<TaskId, Task>,
    /// Credit for tasks that are not here yet.
    early: Vec<(Attempt, ChannelId, u32)>,
    /// Sizes of buffers for such tasks, bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    early_sizes: BTreeMap<(Attempt, ChannelId), u32>,
    /// When `Wake` fires, and the timer.
    alarm: Option<(Nanos, TimerId)>,
    /// `Read` will fire.
    reads: bool,
    registered: bool,
    retry_ms: u64,
    /// When the JobManager was last heard, ns.
    heard: Nanos,
    /// Watermarks that were reported for alignment.
    reported: BTreeMap<TaskId, i64>,
    /// Copies of states on the local disk: those of the last complete checkpoint and later ones.
    local: BTreeMap<Handle, Arc<TaskSnapshot>>,
    /// Tasks that have ended, for who looks on: nothing depends on it.
    #[serde(skip)]
    ended: BTreeMap<TaskId, Ended>,
    /// Its Kafka clients, if the job reads or writes topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<Box<Clients>>,
    /// Its memory, if the settings say how much it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Box<Memory>>,
}

impl TaskManager {
    /// A TaskManager that has not started.
    #[must_use]
    pub fn new(job: Arc<Job>, slots: u32) -> Self {
        TaskManager {
            memory: Memory::of(&job),
            job,
            slots,
            attempt: 0,
            placement: Arc::default(),
            parallelism: Arc::default(),
            opening: BTreeMap::new(),
            tasks: BTreeMap::new(),
            early: Vec::new(),
            early_sizes: BTreeMap::new(),
            alarm: None,
            reads: false,
            registered: false,
            retry_ms: REGISTRATION_MS.0,
            heard: 0,
            reported: BTreeMap::new(),
            local: BTreeMap::new(),
            ended: BTreeMap::new(),
            clients: None,
        }
    }

    /// Its tasks reach the Kafka cluster behind `book`.
    #[must_use]
    pub fn with_cluster(mut self, book: Option<Arc<AddressBook>>) -> Self {
        self.clients = book.map(|book| Box::new(Clients::new(book)));
        self
    }

    /// Its tasks.
    #[must_use]
    pub fn tasks(&self) -> &BTreeMap<TaskId, Task> {
        &self.tasks
    }

    /// What a task had come to when it last ended here.
    #[must_use]
    pub fn ended(&self, task: TaskId) -> Option<&Ended> {
        self.ended.get(&task)
    }

    /// Tasks whose state is being read.
    pub fn opening(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.opening.keys().copied()
    }

    /// `taskmanager.numberOfTaskSlots`.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether the JobManager knows it.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.registered
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The parallelism of the operators in the attempt that runs.
    #[must_use]
    pub fn parallelism(&self) -> &[u32] {
        &self.parallelism
    }

    /// Drops what a crash takes: everything.
    pub fn crash(&mut self, _: Loss) {
        let clients = self.clients.as_ref().map(|it| Box::new(it.restarted()));
        let memory = self.memory.as_ref().map(|it| it.restarted());
        *self = TaskManager::new(Arc::clone(&self.job), self.slots);
        self.clients = clients;
        self.memory = memory;
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let clients = self.clients.as_ref().map_or(0, |it| it.weight());
        self.tasks.values().map(Task::weight).sum::<usize>() + clients + 256
    }

    /// Handles an input.
    pub fn on(&mut self, input: StreamInput<TaskManagerTimer>, cx: &mut StreamCx<'_>) {
        let mut io = Io::default();
        io.effects.plot = cx.attends();
        let mut dirty = BTreeSet::new();
        match input {
            Input::Boot => self.register(cx),
            Input::Timer(TaskManagerTimer::Register) if !self.registered => self.register(cx),
            Input::Timer(TaskManagerTimer::Register) => {}
            Input::Timer(TaskManagerTimer::Heartbeat) => self.check_heartbeat(cx),
            Input::Timer(TaskManagerTimer::Read) => self.read_again(cx),
            Input::Timer(TaskManagerTimer::Local {
                attempt,
                task,
                handle,
            }) => self.read_locally((attempt, task), handle, &mut io, &mut dirty, cx),
            Input::Timer(TaskManagerTimer::Kafka(client)) => {
                self.with_clients(cx, |it, job, cx| it.wake(client, job, cx));
            }
            Input::Message {
                from,
                msg: Packet::Kafka(msg),
            } => self.with_clients(cx, |it, job, cx| it.message(from, *msg, job, cx)),
            Input::Timer(TaskManagerTimer::Wake) => {
                self.alarm = None;
                dirty.extend(self.tasks.keys().copied());
            }
            Input::Message { from, msg } => self.message(from, msg, &mut io, &mut dirty, cx),
            Input::Disconnected(peer) => self.disconnected(peer, &mut io, &mut dirty, cx),
            Input::Order(Order::FailTasks) => {
                let all: Vec<TaskId> = self.tasks.keys().copied().collect();
                for task in all {
                    self.fail(task, TaskFailure::UserCode, cx);
                }
            }
            Input::Order(_) => {}
        }
        self.work(&mut io, &mut dirty, cx);
        while self.hear_clients(&mut io, &mut dirty, cx) {
            self.work(&mut io, &mut dirty, cx);
        }
        self.contain(cx);
        self.arm(cx);
    }

    fn moment(cx: &StreamCx<'_>) -> Moment {
        Moment {
            now: cx.now(),
            wall_ms: cx.wall_ms(),
        }
    }

    fn register(&mut self, cx: &mut StreamCx<'_>) {
        cx.send(
            self.job.job_manager,
            Packet::RegisterTaskExecutor { slots: self.slots },
        );
        let wait = self.retry_ms.saturating_mul(MILLISECOND);
        self.retry_ms = (self.retry_ms * 2).min(REGISTRATION_MS.1);
        cx.set_timer(wait, Timer::TaskManager(TaskManagerTimer::Register));
    }

    /// The JobManager is gone, or silent: every task goes, and it is looked for again.
    fn lose_manager(&mut self, cx: &mut StreamCx<'_>) {
        if !self.registered {
            // It is being looked for already.
            return;
        }
        self.registered = false;
        self.tasks.clear();
        self.opening.clear();
        self.retry_ms = REGISTRATION_MS.0;
        cx.set_timer(
            self.retry_ms.saturating_mul(MILLISECOND),
            Timer::TaskManager(TaskManagerTimer::Register),
        );
    }

    fn check_heartbeat(&mut self, cx: &mut StreamCx<'_>) {
        if !self.registered {
            return;
        }
        let timeout = self
            .job
            .spec
            .config
            .heartbeat_timeout
            .0
            .max(1)
            .unsigned_abs();
        let due = self
            .heard
            .saturating_add(timeout.saturating_mul(MILLISECOND));
        if due <= cx.now() {
            self.lose_manager(cx);
            return;
        }
        let timer = Timer::TaskManager(TaskManagerTimer::Heartbeat);
        cx.set_timer(due - cx.now(), timer);
    }

    fn message(
        &mut self,
        from: NodeId,
        msg: Packet,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let at = Self::moment(cx);
        match msg {
            Packet::Heartbeat => {
                self.heard = cx.now();
                if !self.registered {
                    self.registered = true;
                    self.retry_ms = REGISTRATION_MS.0;
                    self.check_heartbeat(cx);
                }
                cx.send(from, Packet::HeartbeatResponse);
            }
            Packet::SubmitTasks {
                attempt,
                oldest,
                tasks,
                placement,
                parallelism,
            } => {
                if attempt < self.attempt {
                    return;
                }
                self.drop_older(oldest);
                self.attempt = attempt;
                self.placement = placement;
                self.parallelism = parallelism;
                for deployment in tasks {
                    self.deploy(deployment, io, dirty, cx);
                }
            }
            Packet::CancelTasks {
                attempt,
                restart,
                tasks,
            } => {
                let goes = |id: TaskId| tasks.as_ref().is_none_or(|it| it.contains(&id));
                for (id, mut task) in std::mem::take(&mut self.tasks) {
                    if task.attempt > attempt || !goes(id) {
                        self.tasks.insert(id, task);
                        continue;
                    }
                    task.chain.close(&mut io.effects);
                    self.carry((id, task.attempt), io, dirty, cx);
                }
                let stays = |id: TaskId, of: Attempt| of > attempt || !goes(id);
                self.opening.retain(|id, it| stays(*id, it.attempt));
                if tasks.is_none() {
                    self.drop_older(attempt.saturating_add(1));
                }
                cx.send(from, Packet::TasksCanceled { restart });
            }
            Packet::TriggerCheckpoint {
                attempt,
                tasks,
                barrier,
                stop,
                drain,
            } => {
                for id in tasks {
                    let job = Arc::clone(&self.job);
                    let found = self.tasks.get_mut(&id).filter(|it| it.attempt == attempt);
                    let Some(task) = found else {
                        cx.send(
                            from,
                            Packet::DeclineCheckpoint {
                                attempt,
                                checkpoint: barrier.checkpoint,
                                task: id,
                                reason: Decline::TaskNotReady,
                            },
                        );
                        continue;
                    };
                    let order = Injection {
                        barrier,
                        stop,
                        drain,
                    };
                    let done = task.trigger(order, &job, at, io);
                    self.carry((id, attempt), io, dirty, cx);
                    if let Err(failure) = done {
                        self.fail(id, failure, cx);
                    }
                    dirty.insert(id);
                }
            }
            Packet::NotifyCheckpointComplete {
                attempt,
                checkpoint,
                stop,
            } => {
                self.local.retain(|it, _| it.checkpoint >= checkpoint);
                for id in self.of_attempt(attempt) {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.complete((checkpoint, stop), at, io);
                    }
                    self.commit_offsets((id, attempt), checkpoint, cx);
                    self.carry((id, attempt), io, dirty, cx);
                    dirty.insert(id);
                }
            }
            Packet::QueryMetrics { round } => self.tell_metrics(from, round, cx),
            _ => self.task_message(msg, io, dirty, cx),
        }
    }
}
