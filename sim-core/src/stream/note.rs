//! What the machines of a job report while they work. A note decides nothing: "why?", the
//! transcript, the timeline and the event-time plot are made from them.

use super::element::{Key, Origin};
use super::jobmanager::RecoveryLine;
use super::operator::KeyedState;
use super::protocol::{TaskEnd, TaskId};
use super::rules::assigner::Window;
use super::rules::autoscaler::{Decision, Evaluated};
use super::rules::serializer::{Evolution, StateSchema};
use super::rules::window::machine::Purge;
use super::snapshot::Row;
use crate::kafka;
use serde::Serialize;
use std::sync::Arc;

/// What became of a record (the plot of event time and processing time shows one for each).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A window took it.
    Taken,
    /// Its windows had fired already and were kept for late records: it fired them again.
    TakenLate,
    /// Too late for all its windows: to the side output.
    SideOutput,
    /// Too late for all its windows: dropped (`numLateRecordsDropped`).
    Dropped,
}

/// A rule that changed something. `before` and `after` of [`Note::Rule`] are said at each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// The job's state changed. Before/after: numbers of the job's states in the order of `JobStatus`.
    JobStatus,
    /// A checkpoint was triggered. After: its id.
    CheckpointTriggered,
    /// A checkpoint is complete. Before: how long it took, ms. After: its id.
    CheckpointCompleted,
    /// A checkpoint failed. Before: number of the reason in
    /// [`super::rules::fault::checkpoint_failures::FailureReason`]. After: its id.
    CheckpointFailed,
    /// The job restarts. Before: delay, ms. After: the attempt.
    Restart,
    /// The job was restored. After: the checkpoint's id, -1 without one.
    Restored,
    /// A TaskManager registered, or was given up. Before/after: known TaskManagers.
    TaskManagers,
    /// A task's input blocked a channel for alignment. After: the checkpoint's id.
    ChannelBlocked,
    /// A task took its snapshot. Before: bytes. After: the checkpoint's id.
    Snapshot,
    /// An operator's watermark moved. Before/after: ms.
    Watermark,
    /// A source or a channel became idle (after 0) or active (after 1).
    Idle,
    /// A source paused because it ran ahead of its alignment group. Before: its watermark. After:
    /// the greatest allowed, ms.
    AlignmentPause,
    /// A task's output had no free buffer.
    Backpressured,
    /// A timer of the user's state expired it. After: how many keys.
    StateExpired,
    /// A transaction of a sink was pre-committed, committed, aborted, or found fenced. Before: rows
    /// in it. After: the checkpoint's id, or -1.
    TransactionPreCommitted,
    /// See [`Rule::TransactionPreCommitted`].
    TransactionCommitted,
    /// See [`Rule::TransactionPreCommitted`].
    TransactionAborted,
    /// See [`Rule::TransactionPreCommitted`]: the commit found the transaction aborted, its rows are
    /// lost.
    TransactionDiscarded,
    /// A writer of an older epoch was refused.
    Fenced,
    /// A source's topic has new partitions. Before/after: how many the source knows.
    PartitionsDiscovered,
    /// A process had more memory than its container may. Before/after: bytes that it had, and may.
    ContainerKilled,
    /// An error of the heap ended a process. Before/after: as for a container.
    HeapExhausted,
    /// A savepoint was written anew (the State Processor API). After: its id.
    SavepointWritten,
    /// A snapshot that a task took for itself is in the storage. Before: how many there are now of
    /// all tasks. After: its number.
    SnapshotStored,
}

/// Why an autoscaler does not do what it would.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Held {
    /// It only gives advice.
    Disabled,
    /// There are not enough slots.
    Slots {
        /// As many would be needed.
        needed: u32,
        /// And so many are there.
        there: u32,
    },
    /// The job cannot run so.
    Refused(String),
}

/// A report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A rule changed something.
    Rule {
        /// Which.
        rule: Rule,
        /// At which task, if at one.
        task: Option<TaskId>,
        /// At which operator of the job, if at one.
        operator: Option<u32>,
        /// The value before.
        before: i64,
        /// The value after.
        after: i64,
    },
    /// A window spoke.
    Fired {
        /// The operator.
        operator: u32,
        /// The subtask.
        subtask: u16,
        /// The key.
        key: Key,
        /// The window.
        window: Window,
    },
    /// A record met an operator that judges by time.
    Judged {
        /// The operator.
        operator: u32,
        /// The subtask.
        subtask: u16,
        /// The record's key.
        key: Key,
        /// Its event time, ms.
        timestamp: i64,
        /// The operator's watermark, ms.
        watermark: i64,
        /// Which source record it is.
        origin: Origin,
        /// What became of it.
        verdict: Verdict,
    },
    /// A window was forgotten with what it held.
    Purged {
        /// The operator.
        operator: u32,
        /// The subtask.
        subtask: u16,
        /// The key.
        key: Key,
        /// The window.
        window: Window,
        /// Why.
        why: Purge,
    },
    /// A task has its state of a checkpoint, and has not begun: what is checked.
    Restored {
        /// Which.
        task: TaskId,
        /// The checkpoint that it was given state of.
        checkpoint: i64,
        /// The parallelism of the operators in its attempt.
        parallelism: Arc<Vec<u32>>,
        /// Operators that were given nothing, though the checkpoint has state of them.
        forgotten: Vec<u32>,
        /// Its keyed state: operator, key group, what is there.
        state: Vec<(u32, u32, KeyedState)>,
    },
    /// What a Kafka client in a TaskManager's process reports. The world carries it as a note of
    /// that system.
    Kafka(Box<kafka::Note>),
    /// A task ended.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// How.
        end: TaskEnd,
    },
    /// A task was given state that was written with another serializer.
    Evolved {
        /// Which task.
        task: TaskId,
        /// Which of its operators.
        operator: u32,
        /// The serializer's snapshot, and that of the program.
        schemas: Box<(Arc<StateSchema>, Arc<StateSchema>)>,
        /// What becomes of the state.
        how: Evolution,
    },
    /// The autoscaler decided that vertices should have other parallelism.
    Scaled {
        /// What it changes, and what it knows of those vertices.
        changes: Vec<(Decision, Evaluated)>,
        /// Why it is not done, if so.
        held: Option<Held>,
    },
    /// Tasks go back to the snapshots of a recovery line.
    RecoveryLine(Box<RecoveryLine>),
    /// Entries of a savepoint were changed (the State Processor API).
    StateEdited {
        /// Whose state.
        operator: u32,
        /// The entries.
        rows: Vec<Row>,
    },
}

impl Note {
    /// A rule at a task.
    #[must_use]
    pub fn rule(rule: Rule, task: Option<TaskId>, before: i64, after: i64) -> Self {
        Note::Rule {
            rule,
            task,
            operator: None,
            before,
            after,
        }
    }

    /// A rule that changed something (and not an observation).
    #[must_use]
    pub fn is_rule(&self) -> bool {
        matches!(
            self,
            Note::Rule { .. }
                | Note::Fired { .. }
                | Note::TaskEnded { .. }
                | Note::Evolved { .. }
                | Note::StateEdited { .. }
                | Note::Scaled { .. }
                | Note::RecoveryLine(_)
        )
    }

    /// Name of the rule, empty for an observation.
    #[must_use]
    pub fn rule_name(&self) -> &'static str {
        match self {
            Note::Rule { rule, .. } => super::why::rule_text(*rule).0,
            Note::Fired { .. } => "window-fired",
            Note::TaskEnded { .. } => "task-ended",
            Note::Evolved { .. } => "state-migration",
            Note::StateEdited { .. } => "state-edited",
            Note::Scaled { .. } => "autoscaler",
            Note::RecoveryLine(_) => "recovery-line",
            Note::Judged { .. } | Note::Purged { .. } | Note::Restored { .. } | Note::Kafka(_) => {
                ""
            }
        }
    }
}
