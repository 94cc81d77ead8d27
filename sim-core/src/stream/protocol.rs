//! Messages between the machines of a job.
//!
//! Follows the gateways of Flink 2.x (`JobMasterGateway`, `TaskExecutorGateway`,
//! `CheckpointCoordinatorGateway`) and its network stack (`BufferResponse`, `AddCredit`), under
//! their names. Checkpoint storage and the stores outside are nodes too, so that writing to them
//! takes time and can fail. Left out: the ResourceManager and the dispatcher (the JobMaster knows
//! its TaskManagers), remote barriers to chained sources, blobs.

use super::element::{Buffer, Record};
use super::rules::barrier::channel::Item;
use super::rules::barrier::{Alignment, Barrier, Declined};
use super::rules::fault::transactional_ids::Ownership;
use super::rules::lsm::registry::Discarded;
use super::snapshot::{BackendFiles, Counts, Handle, Schemas, StateEdit, TaskSnapshot};
use super::taskmanager::TaskMetrics;
use crate::kafka;
use crate::kernel::Nanos;
use serde::Serialize;
use std::sync::Arc;

/// A subtask of a vertex of the execution graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct TaskId {
    /// The vertex, by its number in the graph.
    pub vertex: u16,
    /// The subtask, from 0.
    pub subtask: u16,
}

/// One attempt to run tasks of the job: greater after each restart, of all or of a region, so that
/// the tasks of a region are always of one. What belongs to another is ignored.
pub type Attempt = u32;

/// A channel: an edge of the graph between two subtasks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ChannelId {
    /// The edge, by its number in the graph.
    pub edge: u16,
    /// The sending subtask.
    pub from: u16,
    /// The receiving subtask.
    pub to: u16,
}

/// A subtask to be run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Deployment {
    /// Which.
    pub task: TaskId,
    /// What it is to be restored from (`JobManagerTaskRestore`): handles in the storage; several
    /// after rescaling.
    pub restore: Vec<Handle>,
    /// It had finished when the checkpoint was taken, whose state of it is an older one: what was in
    /// flight then has been read since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
    /// Operators that begin without the state that is there for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<u32>,
    /// Files in the storage are not the job's own: its checkpoints share none of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unshared: bool,
    /// What operators write their state as in the program that was submitted, if it is something
    /// else than in the first.
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    pub schemas: Schemas,
}

/// Why a task ended (`ExecutionState` with its cause).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TaskEnd {
    /// FINISHED.
    Finished,
    /// CANCELED.
    Canceled,
    /// FAILED.
    Failed(TaskFailure),
}

/// Why a task failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum TaskFailure {
    /// The user's function threw an exception.
    UserCode,
    /// The window operator could not go on.
    Window,
    /// The connection to another task's TaskManager was lost (`RemoteTransportException`).
    RemoteTransport,
    /// State could not be read from the storage.
    Restore,
    /// The store outside refused a write or a commit.
    Sink,
    /// Fewer network buffers were left than it needs (`NetworkBufferPool`).
    NetworkBuffers {
        /// What it needs at least where it failed: of a partition, a gate or a channel.
        required: u32,
        /// What was left.
        available: u32,
    },
    /// Its state was more than the heap (`OutOfMemoryError`).
    OutOfMemory,
    /// The program's serializer cannot take over what was written (`StateMigrationException`).
    StateMigration,
    /// A source's consumer has no position, or none in the log, and may not look for another
    /// (`NoOffsetForPartitionException`, `OffsetOutOfRangeException`).
    Position,
}

/// What happened to a checkpoint at a subtask (`CheckpointMetrics`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CheckpointMetrics {
    /// From the checkpoint's trigger to the first barrier here, ms.
    pub start_delay_ms: i64,
    /// From the first barrier to the last, ms.
    pub alignment_ms: i64,
    /// From the snapshot to the end of its upload, ms.
    pub async_ms: i64,
    /// Bytes of in-flight data that are part of it.
    pub persisted_bytes: u64,
    /// Bytes that were written for it (`checkpointedSize`): not those of files that were there.
    pub checkpointed_bytes: u64,
    /// Whether it was taken unaligned.
    pub unaligned: bool,
}

/// A message. Digests know its kinds by their numbers: a new one stands at the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Packet {
    /// TaskManager → JobManager: it is there, with so many slots.
    RegisterTaskExecutor {
        /// `taskmanager.numberOfTaskSlots`.
        slots: u32,
    },
    /// JobManager → TaskManager, and back.
    Heartbeat,
    /// TaskManager → JobManager: the answer to [`Packet::Heartbeat`].
    HeartbeatResponse,
    /// JobManager → TaskManager: run these (`submitTask`). `placement` says where each task of the
    /// job runs: for each vertex, the node of each subtask.
    SubmitTasks {
        /// Of which attempt.
        attempt: Attempt,
        /// The oldest attempt of which any task of the job is to run still.
        oldest: Attempt,
        /// What this TaskManager runs.
        tasks: Vec<Deployment>,
        /// Where everything runs.
        placement: Arc<Vec<Vec<u32>>>,
        /// Operators' parallelism in this attempt (it changes when the job is rescaled).
        parallelism: Arc<Vec<u32>>,
    },
    /// JobManager → TaskManager: end tasks of this and of older attempts (`cancelTask`).
    CancelTasks {
        /// The newest of them.
        attempt: Attempt,
        /// The restart that they are canceled for.
        restart: u32,
        /// Which; all if none are named.
        tasks: Option<Vec<TaskId>>,
    },
    /// TaskManager → JobManager: a task runs (`updateTaskExecutionState`).
    TaskRunning {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        task: TaskId,
    },
    /// TaskManager → JobManager: a task ended.
    TaskEnded {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        task: TaskId,
        /// How.
        end: TaskEnd,
    },
    /// TaskManager → JobManager: the tasks that it was to cancel are gone.
    TasksCanceled {
        /// For which restart.
        restart: u32,
    },
    /// JobManager → TaskManager: begin a checkpoint at these tasks (`triggerCheckpoint`): sources,
    /// and tasks all of whose inputs have finished.
    TriggerCheckpoint {
        /// Of which attempt.
        attempt: Attempt,
        /// Those on that TaskManager.
        tasks: Vec<TaskId>,
        /// The barrier to inject.
        barrier: Barrier,
        /// It is the savepoint that the job stops with (`SavepointType.suspend`): sources read
        /// nothing after the barrier.
        stop: bool,
        /// They end their streams before it (`SavepointType.terminate`).
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        drain: bool,
    },
    /// TaskManager → JobManager (`acknowledgeCheckpoint`).
    AcknowledgeCheckpoint {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        checkpoint: i64,
        /// By whom.
        task: TaskId,
        /// Where its state lies.
        handle: Handle,
        /// How it went.
        metrics: CheckpointMetrics,
        /// The files that it shares with other checkpoints.
        files: Arc<Vec<BackendFiles>>,
    },
    /// TaskManager → JobManager (`declineCheckpoint`).
    DeclineCheckpoint {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        checkpoint: i64,
        /// By whom.
        task: TaskId,
        /// Why.
        reason: Decline,
    },
    /// JobManager → TaskManager: the checkpoint is complete.
    NotifyCheckpointComplete {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        checkpoint: i64,
        /// It is the savepoint that the job stops with: tasks end once they have done what they do
        /// at a complete checkpoint.
        stop: bool,
    },
    /// JobManager → TaskManager: the checkpoint will not be complete.
    NotifyCheckpointAborted {
        /// Of which attempt.
        attempt: Attempt,
        /// Which.
        checkpoint: i64,
    },
    /// TaskManager → JobManager: a source's watermark (`ReportedWatermarkEvent`).
    ReportedWatermark {
        /// Of which attempt.
        attempt: Attempt,
        /// Of which subtask.
        task: TaskId,
        /// ms; the final one of an idle reader.
        watermark: i64,
    },
    /// JobManager → TaskManager: sources do not read beyond this (`WatermarkAlignmentEvent`), ms.
    WatermarkAlignment {
        /// Of which attempt.
        attempt: Attempt,
        /// ms.
        max_allowed: i64,
    },
    /// A buffer or an event on a channel (`BufferResponse`), with what still waits behind it.
    BufferResponse {
        /// Of which attempt.
        attempt: Attempt,
        /// On which channel.
        channel: ChannelId,
        /// What.
        item: Item<Buffer>,
        /// Buffers that wait at the sender.
        backlog: u32,
    },
    /// Against the stream: room for so many more buffers.
    AddCredit {
        /// Of which attempt.
        attempt: Attempt,
        /// On which channel.
        channel: ChannelId,
        /// How many.
        credit: u32,
    },
    /// TaskManager or JobManager → storage: write (`CheckpointStreamFactory`).
    WriteState {
        /// Where to.
        handle: Handle,
        /// What; none for a checkpoint's metadata.
        state: Option<Arc<TaskSnapshot>>,
        /// How much of it is new, bytes.
        bytes: u64,
    },
    /// Storage → writer.
    StateWritten {
        /// Where it lies.
        handle: Handle,
    },
    /// Anyone → storage: a state is not needed any more.
    DiscardState {
        /// Every state of this checkpoint.
        checkpoint: i64,
    },
    /// JobManager → storage: files that no checkpoint uses any more
    /// (`SharedStateRegistry.unregisterUnusedState`).
    DiscardFiles {
        /// Which.
        files: Vec<Discarded>,
    },
    /// TaskManager → storage.
    ReadState {
        /// For which attempt.
        attempt: Attempt,
        /// Of which task.
        task: TaskId,
        /// Where it lies.
        handle: Handle,
    },
    /// Storage → TaskManager.
    StateRead {
        /// For which attempt.
        attempt: Attempt,
        /// Of which task.
        task: TaskId,
        /// Where it lay.
        handle: Handle,
        /// What it is; none if it is not there.
        state: Option<Arc<TaskSnapshot>>,
    },
    /// TaskManager → a store outside.
    ToStore {
        /// For which attempt.
        attempt: Attempt,
        /// By which task.
        task: TaskId,
        /// By which operator in it.
        operator: u32,
        /// Number of the request at that operator.
        request: u64,
        /// What.
        order: StoreRequest,
    },
    /// A store outside → TaskManager.
    FromStore {
        /// For which attempt.
        attempt: Attempt,
        /// Of which task.
        task: TaskId,
        /// Of which operator in it.
        operator: u32,
        /// Number of the request.
        request: u64,
        /// The answer.
        answer: StoreAnswer,
    },
    /// A client in a TaskManager's process and a node of a Kafka cluster. The world carries it as a
    /// message of that system.
    Kafka(Box<kafka::Msg>),
    /// Against the stream: buffers that begin from now on are to be of this size.
    NewBufferSize {
        /// Of which attempt.
        attempt: Attempt,
        /// On which channel.
        channel: ChannelId,
        /// Bytes.
        size: u32,
    },
    /// Against the stream: the last record of a channel has been processed.
    AckAllUserRecordsProcessed {
        /// Of which attempt.
        attempt: Attempt,
        /// On which channel.
        channel: ChannelId,
    },
    /// JobManager → TaskManager: a source's subtask reads these partitions from now on
    /// (`AddSplitEvent`).
    AddSplits {
        /// Of which attempt.
        attempt: Attempt,
        /// Which subtask.
        task: TaskId,
        /// Which.
        partitions: Vec<u16>,
        /// From their start, whatever the source's starting offsets are.
        earliest: bool,
    },
    /// JobManager → storage: write a state with other entries than one that is there, or a new one
    /// (the State Processor API).
    EditState {
        /// Which.
        from: Option<Handle>,
        /// Where to.
        to: Handle,
        /// What is other.
        edit: Arc<StateEdit>,
    },
    /// TaskManager → JobManager: a source has read as many records as a checkpoint is to be taken
    /// after.
    RequestCheckpoint {
        /// Of which attempt.
        attempt: Attempt,
        /// Which subtask.
        task: TaskId,
    },
    /// JobManager → TaskManager: what have your tasks measured (`queryMetrics`)?
    QueryMetrics {
        /// Number of the question.
        round: u32,
    },
    /// TaskManager → JobManager: the answer.
    Metrics {
        /// To which question.
        round: u32,
        /// What each task has measured.
        tasks: Vec<TaskMetrics>,
    },
    /// TaskManager → JobManager: a snapshot that a task took for itself is in the storage.
    AcknowledgeSnapshot {
        /// Of which attempt.
        attempt: Attempt,
        /// Which subtask.
        task: TaskId,
        /// Where it lies.
        handle: Handle,
        /// When it was taken, ns.
        taken: Nanos,
        /// What the task had sent and received by then in its attempt.
        counts: Arc<Counts>,
    },
}

/// Why a subtask declined a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Decline {
    /// On account of its barriers.
    Barriers(Declined),
    /// The task is not ready (`CHECKPOINT_DECLINED_TASK_NOT_READY`).
    TaskNotReady,
    /// State could not be written (`CHECKPOINT_ASYNC_EXCEPTION`).
    AsyncException,
}

/// A transaction of a store outside: an id that its writer chose, and the epoch the store gave.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct StoreTransaction {
    /// `transactional.id`: prefix-subtask-offset.
    pub id: String,
    /// Greater each time that the id is initialised: older ones are fenced.
    pub epoch: u32,
    /// The producer id, where the store is a Kafka cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<i64>,
}

/// What a store outside is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum StoreRequest {
    /// Add rows, at once visible to everyone.
    Append(Vec<Record>),
    /// Set the rows of their keys and windows.
    Upsert(Vec<Record>),
    /// Begin a transaction under this id; aborts and fences what was open under it.
    InitTransaction {
        /// The id.
        id: String,
        /// `transaction.timeout.ms`.
        timeout_ms: i64,
    },
    /// Add rows to a transaction.
    AppendIn(StoreTransaction, Vec<Record>),
    /// End a transaction; it may be committed already.
    Commit(StoreTransaction),
    /// End a transaction.
    Abort(StoreTransaction),
    /// Abort what is open under ids with this prefix whose subtask is the writer's own, but those
    /// that the restored state holds (the LISTING strategy).
    AbortLingering {
        /// Prefix of the ids.
        prefix: String,
        /// Whose ids are the writer's own: also those of subtasks that there are no more.
        ownership: Ownership,
        /// Transactions that the restored state holds.
        except: Vec<StoreTransaction>,
        /// The number of the first id that may be used now: where PROBING begins.
        #[serde(skip)]
        from: i64,
    },
    /// Remember that a writer's rows of a checkpoint are all there
    /// (`CheckpointCommitter.commitCheckpoint`).
    CommitCheckpoint {
        /// Prefix and subtask of the writer.
        writer: String,
        /// Which checkpoint.
        checkpoint: i64,
    },
    /// Up to which checkpoint a writer's rows are there (`isCheckpointCommitted`).
    CommittedCheckpoint {
        /// Prefix and subtask of the writer.
        writer: String,
    },
    /// Add the rows whose positions are new, and remember the greatest of each split, all at once.
    AppendWithOffset(Vec<Record>),
    /// Where a source is to begin: behind the greatest position of each split.
    Positions {
        /// The source, by its number.
        source: u16,
    },
}

/// What a store outside answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum StoreAnswer {
    /// Done.
    Done,
    /// The transaction is open.
    Began(StoreTransaction),
    /// To [`StoreRequest::CommittedCheckpoint`]: the newest, if there is one.
    CommittedCheckpoint(Option<i64>),
    /// `ProducerFencedException`: a newer epoch of the id is there.
    Fenced,
    /// `InvalidTxnStateException`: the transaction was aborted (it timed out).
    InvalidTxnState,
    /// To [`StoreRequest::Positions`]: splits with rows, and the offset behind their last.
    Positions(Vec<(u16, u64)>),
}

/// The number of a request by which a task asks where its source begins: it has no writer yet.
pub const POSITIONS_REQUEST: u64 = u64::MAX;

/// How a checkpoint's barriers are to be aligned, by the job's settings.
#[must_use]
pub fn alignment(unaligned: bool, timeout_ms: i64) -> Alignment {
    match (unaligned, timeout_ms) {
        (false, _) => Alignment::Aligned,
        (true, 0) => Alignment::Unaligned,
        (true, timeout_ms) => Alignment::AlignedWithTimeout { timeout_ms },
    }
}
