//! A machine of a job, and the code that acts it out as a table of functions.
//!
//! As with the parts of a Kafka cluster, who builds a world without a job does not link a stream
//! processor: the register of systems calls nothing of it but what hangs on
//! [`StreamParts`](super::parts::StreamParts).

use super::jobmanager::{JobManager, JobManagerTimer};
use super::note::Note;
use super::protocol::Packet;
use super::storage::{Storage, StorageTimer};
use super::store::{Store, StoreTimer};
use super::taskmanager::{TaskManager, TaskManagerTimer};
use crate::kernel::{Context, Input, Loss};
use serde::{Deserialize, Serialize};

/// The context of a job's machines.
pub type StreamCx<'a> = dyn Context<Packet, Timer, Note> + 'a;

/// What a machine is called with.
pub(super) type StreamInput<T> = Input<Packet, T, Order>;

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Machine {
    /// Runs the job (`JobMaster`, its scheduler and its checkpoint coordinator).
    JobManager(Box<JobManager>),
    /// Runs tasks in its slots.
    TaskManager(Box<TaskManager>),
    /// Keeps checkpoints.
    Storage(Box<Storage>),
    /// A store outside that a sink writes to.
    Store(Box<Store>),
}

/// A timer of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Timer {
    /// The JobManager's.
    JobManager(JobManagerTimer),
    /// A TaskManager's.
    TaskManager(TaskManagerTimer),
    /// The storage's.
    Storage(StorageTimer),
    /// A store's.
    Store(StoreTimer),
}

/// What an operator of the job can order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// To the JobManager: take a checkpoint now.
    TriggerCheckpoint,
    /// To the JobManager: take a savepoint, stop, and start again from it with another parallelism
    /// of an operator, or of all (`flink stop`, `flink run -s -p`).
    Rescale {
        /// The operator's name; `None` for all that are not sources or sinks.
        operator: Option<String>,
        /// Its new parallelism.
        parallelism: u32,
    },
    /// To a TaskManager: the user's function throws an exception in every task that runs there.
    FailTasks,
    /// To a store: each row costs so many µs from now on (a slow sink).
    SetCost {
        /// µs.
        micros: u64,
    },
    /// To the JobManager: what the user tells the job as a whole, the text of a
    /// [`Command`](super::command::Command).
    Command(String),
}

impl Machine {
    /// Handles an input.
    pub fn on(&mut self, input: StreamInput<Timer>, cx: &mut StreamCx<'_>) {
        macro_rules! hand {
            ($machine:expr, $kind:ident) => {{
                let input = match input {
                    Input::Boot => Input::Boot,
                    Input::Message { from, msg } => Input::Message { from, msg },
                    Input::Timer(Timer::$kind(timer)) => Input::Timer(timer),
                    // A timer of another kind of machine cannot be: each sets its own.
                    Input::Timer(_) => return,
                    Input::Disconnected(peer) => Input::Disconnected(peer),
                    Input::Order(order) => Input::Order(order),
                };
                $machine.on(input, cx);
            }};
        }
        match self {
            Machine::JobManager(it) => hand!(it, JobManager),
            Machine::TaskManager(it) => hand!(it, TaskManager),
            Machine::Storage(it) => hand!(it, Storage),
            Machine::Store(it) => hand!(it, Store),
        }
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        match self {
            Machine::JobManager(it) => it.crash(loss),
            Machine::TaskManager(it) => it.crash(loss),
            Machine::Storage(it) => it.crash(loss),
            Machine::Store(it) => it.crash(loss),
        }
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Machine::JobManager(it) => it.weight(),
            Machine::TaskManager(it) => it.weight(),
            Machine::Storage(it) => it.weight(),
            Machine::Store(it) => it.weight(),
        }
    }

    /// Why an order cannot be given now, if so.
    #[must_use]
    pub fn refuse(&self, order: &Order) -> Option<String> {
        let fits = matches!(
            (self, order),
            (
                Machine::JobManager(_),
                Order::TriggerCheckpoint | Order::Rescale { .. } | Order::Command(_)
            ) | (Machine::TaskManager(_), Order::FailTasks)
                | (Machine::Store(_), Order::SetCost { .. })
        );
        match (fits, self) {
            (false, _) => Some("this machine takes no such order".to_owned()),
            (true, Machine::JobManager(it)) => it.refuse(order),
            (true, _) => None,
        }
    }
}
