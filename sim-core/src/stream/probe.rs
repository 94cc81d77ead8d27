//! What a predicate may ask of a job; the answers are in `facts`.

use super::rules::fault::checkpoint_failures::REASON_NAMES;
use crate::scenario::Type;
use serde::Serialize;

/// A question to a job. Operators are meant by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Probe {
    /// A question to the job as a whole.
    Job(JobProbe),
    /// A question to an operator, over all its subtasks.
    Operator(u32, OperatorProbe),
    /// A question to the store of a sink, by the sink's operator.
    Store(u32, StoreProbe),
    /// A question to one subtask of an operator.
    Subtask(u32, u16, OperatorProbe),
    /// A question to a TaskManager, by its node.
    Machine(u32, MachineProbe),
}

impl Probe {
    /// The words that its value is one of, if it is a word.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        match self {
            Probe::Job(JobProbe::Status) => JOB_STATES,
            Probe::Job(JobProbe::Cause) => CAUSES,
            _ => &[],
        }
    }
}

macro_rules! probes {
    ($(#[doc = $doc:literal])+ pub enum $name:ident { $($variant:ident = $word:literal: $ty:expr, $help:literal;)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
        pub enum $name { $(#[doc = $help] $variant,)+ }

        impl $name {
            /// All, with the names, types and meanings that they have in predicates.
            pub const ALL: &'static [($name, &'static str, Type, &'static str)] = &[
                $(($name::$variant, $word, $ty, $help),)+
            ];
        }
    };
}

/// The words of [`JobProbe::Status`], in the order of [`JobStatus`](super::jobmanager::JobStatus).
pub const JOB_STATES: &[&str] = &[
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "FAILING",
    "FAILED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "RESTARTING",
    "SUSPENDED",
    "RECONCILING",
];

/// The words of [`JobProbe::Cause`]: of tasks in the order of
/// [`TaskFailure`](super::protocol::TaskFailure), then of the job; what came later stands last.
pub const CAUSES: &[&str] = &[
    "USER_CODE",
    "WINDOW",
    "REMOTE_TRANSPORT",
    "RESTORE",
    "SINK",
    "NETWORK_BUFFERS",
    "OUT_OF_MEMORY",
    "TASK_MANAGER_LOST",
    "CHECKPOINT",
    "NO_RESOURCE",
    "STOP_WITH_SAVEPOINT",
    "DISCOVERY",
    "STATE_MIGRATION",
    "NO_POSITION",
];

probes! {
    /// What can be asked of a job.
    pub enum JobProbe {
        Status = "status": Type::Word(JOB_STATES), "The job's state, by Flink's word.";
        Attempt = "attempt": Type::Int, "The attempt that runs, from 1.";
        Restarts = "restarts": Type::Int, "Times that the job restarted.";
        TaskManagers = "task-managers": Type::Int, "TaskManagers that are registered.";
        Completed = "checkpoints-completed": Type::Int, "Checkpoints completed so far.";
        Failed = "checkpoints-failed": Type::Int, "Checkpoints that failed so far.";
        LastCheckpoint = "last-checkpoint": Type::Int, "The newest completed checkpoint; none without one.";
        Pending = "checkpoints-pending": Type::Int, "Checkpoints under way.";
        Regions = "regions": Type::Int, "Pipelined regions: sets of tasks that channels connect.";
        CheckpointBytes = "last-checkpoint-bytes": Type::Int, "Bytes of all states of the newest completed checkpoint: what a restore reads.";
        CheckpointUploaded = "last-checkpoint-uploaded": Type::Int, "Bytes that were written for the newest completed checkpoint.";
        CheckpointTook = "last-checkpoint-took": Type::Time, "From the trigger of the newest completed checkpoint to its end.";
        Stored = "stored-bytes": Type::Int, "Bytes in the checkpoint storage.";
        Matches = "output-as-expected": Type::Bool, "Whether every `[[stream.expect]]` holds now.";
        Expired = "checkpoints-expired": Type::Int, "Checkpoints that failed since they took too long (CHECKPOINT_EXPIRED).";
        Declined = "checkpoints-declined": Type::Int, "Checkpoints that failed since a task declined them (CHECKPOINT_DECLINED and its kinds).";
        LastFailed = "last-failed-checkpoint": Type::Int, "The newest checkpoint that failed; none without one.";
        GroupsMoved = "key-groups-moved": Type::Int, "Key groups that the last rescaling gave to another subtask.";
        GroupsByModulo = "key-groups-moved-by-modulo": Type::Int, "How many that would have been if groups were dealt round by modulo, which Flink does not do.";
        LastFailure = "last-checkpoint-failure": Type::Word(REASON_NAMES), "Why that one failed, by Flink's word.";
        Cause = "failure": Type::Word(CAUSES), "Why the job, or a part of it, failed last; none without a failure.";
        SnapshotsTaken = "snapshots-taken": Type::Int, "Without coordination: snapshots that tasks took for themselves and wrote, so far; else 0.";
        SnapshotsUseless = "snapshots-useless": Type::Int, "Of these, the ones that recovery lines have made useless.";
        LineStarts = "line-tasks-at-start": Type::Int, "Without coordination: tasks that the last recovery line sent back to their start; none before the first.";
        LineReach = "line-reach": Type::Time, "How far back the oldest part of that line lay.";
        LineSteps = "line-steps": Type::Int, "Steps back, each of one task, that led to that line.";
        Savepoints = "savepoints": Type::Int, "Savepoints that the user has: those that were asked for and are complete.";
        Rescales = "rescales": Type::Int, "Times that the job's autoscaler rescaled it; none without one.";
    }
}

probes! {
    /// What can be asked of an operator.
    pub enum OperatorProbe {
        Watermark = "watermark": Type::Int, "The least watermark of its subtasks, ms; none before the first.";
        RecordsIn = "records-in": Type::Int, "Records that it was handed in this attempt (of a source: read).";
        RecordsOut = "records-out": Type::Int, "Records that it put out in this attempt.";
        LateDropped = "late-dropped": Type::Int, "numLateRecordsDropped in this attempt.";
        State = "state-entries": Type::Int, "Keys, windows or rows that it keeps.";
        StateBytes = "state-bytes": Type::Int, "Bytes that it keeps, about.";
        Backlog = "backlog": Type::Int, "Records of a source that have arrived and were not read.";
        Running = "running": Type::Int, "Its subtasks that run.";
        Busy = "busy": Type::Time, "Time that its subtasks worked in this attempt, together.";
        Backpressured = "backpressured": Type::Time, "Time that its subtasks were held back in this attempt, together.";
        Blocked = "channels-blocked": Type::Int, "Input channels that are held for an alignment.";
        Lookups = "lookups": Type::Int, "Questions of a lookup join that the table outside answered, in this attempt.";
        Cached = "cache-hits": Type::Int, "Questions of a lookup join that its cache answered, in this attempt.";
        BufferSize = "buffer-size": Type::Int, "With buffer debloating: the size of buffers that its subtasks ask for, bytes, the least of all; else none.";
        Consume = "time-to-consume": Type::Time, "With buffer debloating: how long its subtasks take to read what waits for them, as estimated, the longest of all; else none.";
        SpilledBytes = "spilled-bytes": Type::Int, "Of a sort: bytes that it wrote to the disk in this attempt, those of merges too.";
        SpilledRuns = "spilled-runs": Type::Int, "Of a sort: sorted runs that it wrote in this attempt.";
        MergePasses = "merge-passes": Type::Int, "Of a sort: how often it read what was spilled, in all its subtasks together: merges of some runs into fewer, and the last one.";
        Splits = "splits": Type::Int, "Splits of a source that its subtasks read: of a topic its partitions.";
        GroupCommitted = "group-committed": Type::Int, "Of a source with a `group.id`: the offsets that its group has committed, of all partitions together; none before the first commit.";
        CommitsSucceeded = "commits-succeeded": Type::Int, "Of a source with a `group.id`: commits of its subtasks that succeeded, in this attempt.";
        CommitsFailed = "commits-failed": Type::Int, "The same that failed.";
        GroupLag = "group-lag": Type::Int, "Of a source with a `group.id`: log end minus committed offset, of all partitions that have one together; none before the first commit.";
        Parallelism = "parallelism": Type::Int, "How many subtasks it has, or will have when the job runs again.";
        TargetRate = "target-rate": Type::Int, "With an autoscaler: records per second that come to the operator's vertex, or would if sources kept up (TARGET_DATA_RATE); none before two samples.";
        TrueRate = "true-rate": Type::Int, "With an autoscaler: records per second that the vertex could do (TRUE_PROCESSING_RATE); none before two samples, or if nothing limits it.";
        Recommended = "recommended-parallelism": Type::Int, "With an autoscaler: the subtasks that it would give the vertex and does not, or those that it has.";
    }
}

probes! {
    /// What can be asked of a TaskManager's memory, if its size is given; else none.
    pub enum MachineProbe {
        Process = "process-memory": Type::Int, "Bytes of its process: what its container may have.";
        Flink = "flink-memory": Type::Int, "The same without metaspace and overhead of the JVM.";
        FrameworkHeap = "framework-heap": Type::Int, "Bytes of the framework's heap.";
        TaskHeap = "task-heap": Type::Int, "Bytes of the tasks' heap.";
        FrameworkOffHeap = "framework-off-heap": Type::Int, "Bytes of the framework beside the heap.";
        TaskOffHeap = "task-off-heap": Type::Int, "Bytes of tasks beside the heap.";
        Network = "network-memory": Type::Int, "Bytes for network buffers.";
        Managed = "managed-memory": Type::Int, "Bytes of managed memory.";
        Metaspace = "jvm-metaspace": Type::Int, "Bytes of the JVM's metaspace.";
        Overhead = "jvm-overhead": Type::Int, "Bytes of the JVM's overhead.";
        HeapUsed = "heap-used": Type::Int, "Bytes of state on the heap of tasks.";
        RocksDb = "rocksdb-memory": Type::Int, "Bytes that RocksDB has allocated outside the heap.";
        Segments = "segments": Type::Int, "TotalMemorySegments: segments of its network buffer pool.";
        SegmentsUsed = "segments-used": Type::Int, "UsedMemorySegments: those that belong to a channel, or hold something.";
        SegmentsFree = "segments-available": Type::Int, "AvailableMemorySegments: the others.";
        Unreserved = "segments-unreserved": Type::Int, "Segments beyond the least that its tasks need: what a further task may reserve.";
        HeapErrors = "heap-errors": Type::Int, "OutOfMemoryErrors since the machine is there.";
        Kills = "container-kills": Type::Int, "Times that its container was killed for its memory.";
    }
}

probes! {
    /// What can be asked of a sink's store.
    pub enum StoreProbe {
        Rows = "rows": Type::Int, "Rows that were written, whatever became of them.";
        Committed = "committed": Type::Int, "Rows that are committed.";
        Visible = "visible": Type::Int, "Rows that a reader with read_committed sees.";
        Duplicates = "duplicates": Type::Int, "Committed rows beyond the first of the same origin, key, window and value.";
        Open = "open-transactions": Type::Int, "Transactions that are open.";
        Aborted = "aborted-transactions": Type::Int, "Transactions that were aborted.";
        Total = "total": Type::Int, "The sum of the values of its committed rows; rows that take others back count against it.";
        Last = "last-value": Type::Int, "The value of the last committed row; none without one, or if it is no number.";
        Repeated = "repeated": Type::Int, "With guarantee = \"with-offset\": rows that were dropped since the store had their position; else 0.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::jobmanager::JobStatus;

    #[test]
    fn the_words_of_the_status_stand_in_the_order_of_its_variants() {
        let check = |status: JobStatus| {
            assert_eq!(JOB_STATES[status as usize], status.name());
        };
        check(JobStatus::Initializing);
        check(JobStatus::Running);
        check(JobStatus::Failed);
        check(JobStatus::Finished);
        check(JobStatus::Reconciling);
    }
}
