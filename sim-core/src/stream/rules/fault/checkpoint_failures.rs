//! How many failed checkpoints a job bears.
//!
//! Follows `CheckpointFailureManager` and `CheckpointFailureReason`. Failures in a row are counted,
//! each checkpoint once, and only those for reasons that say something about the job; a completed
//! checkpoint starts the count anew, and one beyond what is tolerable fails the job.

use serde::Serialize;
use std::collections::BTreeSet;

/// Why a checkpoint failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are Flink's, and say it")]
pub enum FailureReason {
    PeriodicSchedulerShutdown,
    TooManyCheckpointRequests,
    MinimumTimeBetweenCheckpoints,
    NotAllRequiredTasksRunning,
    IoException,
    BlockingOutputExist,
    CheckpointAsyncException,
    ChannelStateSharedStreamException,
    CheckpointExpired,
    CheckpointSubsumed,
    CheckpointDeclined,
    CheckpointDeclinedTaskNotReady,
    CheckpointDeclinedTaskClosing,
    CheckpointDeclinedSubsumed,
    CheckpointDeclinedOnCancellationBarrier,
    CheckpointDeclinedInputEndOfStream,
    CheckpointCoordinatorShutdown,
    CheckpointCoordinatorSuspend,
    JobFailoverRegion,
    TaskFailure,
    TaskCheckpointFailure,
    UnknownTaskCheckpointNotificationFailure,
    FinalizeCheckpointFailure,
    TriggerCheckpointFailure,
}

/// Every reason with Flink's name of it.
pub const REASONS: [(FailureReason, &str); 24] = {
    use FailureReason as R;
    [
        (R::PeriodicSchedulerShutdown, "PERIODIC_SCHEDULER_SHUTDOWN"),
        (R::TooManyCheckpointRequests, "TOO_MANY_CHECKPOINT_REQUESTS"),
        (
            R::MinimumTimeBetweenCheckpoints,
            "MINIMUM_TIME_BETWEEN_CHECKPOINTS",
        ),
        (
            R::NotAllRequiredTasksRunning,
            "NOT_ALL_REQUIRED_TASKS_RUNNING",
        ),
        (R::IoException, "IO_EXCEPTION"),
        (R::BlockingOutputExist, "BLOCKING_OUTPUT_EXIST"),
        (R::CheckpointAsyncException, "CHECKPOINT_ASYNC_EXCEPTION"),
        (
            R::ChannelStateSharedStreamException,
            "CHANNEL_STATE_SHARED_STREAM_EXCEPTION",
        ),
        (R::CheckpointExpired, "CHECKPOINT_EXPIRED"),
        (R::CheckpointSubsumed, "CHECKPOINT_SUBSUMED"),
        (R::CheckpointDeclined, "CHECKPOINT_DECLINED"),
        (
            R::CheckpointDeclinedTaskNotReady,
            "CHECKPOINT_DECLINED_TASK_NOT_READY",
        ),
        (
            R::CheckpointDeclinedTaskClosing,
            "CHECKPOINT_DECLINED_TASK_CLOSING",
        ),
        (
            R::CheckpointDeclinedSubsumed,
            "CHECKPOINT_DECLINED_SUBSUMED",
        ),
        (
            R::CheckpointDeclinedOnCancellationBarrier,
            "CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER",
        ),
        (
            R::CheckpointDeclinedInputEndOfStream,
            "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM",
        ),
        (
            R::CheckpointCoordinatorShutdown,
            "CHECKPOINT_COORDINATOR_SHUTDOWN",
        ),
        (
            R::CheckpointCoordinatorSuspend,
            "CHECKPOINT_COORDINATOR_SUSPEND",
        ),
        (R::JobFailoverRegion, "JOB_FAILOVER_REGION"),
        (R::TaskFailure, "TASK_FAILURE"),
        (R::TaskCheckpointFailure, "TASK_CHECKPOINT_FAILURE"),
        (
            R::UnknownTaskCheckpointNotificationFailure,
            "UNKNOWN_TASK_CHECKPOINT_NOTIFICATION_FAILURE",
        ),
        (R::FinalizeCheckpointFailure, "FINALIZE_CHECKPOINT_FAILURE"),
        (R::TriggerCheckpointFailure, "TRIGGER_CHECKPOINT_FAILURE"),
    ]
};

/// Flink's names of all reasons, in the order of their numbers.
pub const REASON_NAMES: &[&str] = &{
    let mut names = [""; REASONS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = REASONS[at].1;
        at += 1;
    }
    names
};

impl FailureReason {
    /// Flink's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        REASON_NAMES
            .get(self as usize)
            .copied()
            .unwrap_or("unknown")
    }

    /// Whether a task declined it.
    #[must_use]
    pub fn is_declined(self) -> bool {
        matches!(
            self,
            FailureReason::CheckpointDeclined
                | FailureReason::CheckpointDeclinedTaskNotReady
                | FailureReason::CheckpointDeclinedTaskClosing
                | FailureReason::CheckpointDeclinedSubsumed
                | FailureReason::CheckpointDeclinedOnCancellationBarrier
                | FailureReason::CheckpointDeclinedInputEndOfStream
        )
    }

    /// The name of the reason with this number.
    #[must_use]
    pub fn name_of(number: i64) -> &'static str {
        let found = REASONS.iter().find(|(it, _)| *it as i64 == number);
        found.map_or("unknown", |(_, name)| name)
    }

    /// The reason of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let found = REASONS.iter().find(|(_, it)| *it == name);
        found.map(|(reason, _)| *reason)
    }

    /// Whether it lies before the checkpoint was passed to any task.
    #[must_use]
    pub fn is_pre_flight(self) -> bool {
        matches!(
            self,
            FailureReason::PeriodicSchedulerShutdown
                | FailureReason::TooManyCheckpointRequests
                | FailureReason::MinimumTimeBetweenCheckpoints
                | FailureReason::NotAllRequiredTasksRunning
                | FailureReason::IoException
                | FailureReason::BlockingOutputExist
        )
    }

    /// Whether it counts against what is tolerable.
    #[must_use]
    pub fn is_counted(self) -> bool {
        matches!(
            self,
            FailureReason::IoException
                | FailureReason::CheckpointAsyncException
                | FailureReason::CheckpointDeclined
                | FailureReason::CheckpointExpired
                | FailureReason::FinalizeCheckpointFailure
        )
    }
}

/// What was being taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Taken {
    /// A checkpoint.
    #[default]
    Checkpoint,
    /// A savepoint.
    Savepoint,
    /// A savepoint with which the job stops, and which holds its tasks.
    SynchronousSavepoint,
}

/// A failed checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CheckpointFailure {
    /// Its id, if it had one.
    pub checkpoint: Option<i64>,
    /// Why.
    pub reason: FailureReason,
    /// What was being taken.
    pub taken: Taken,
    /// A task reported it, not the coordinator.
    pub by_task: bool,
}

/// The manager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FailureManager {
    /// `execution.checkpointing.tolerable-failed-checkpoints`; `None` is without end.
    tolerable: Option<u32>,
    count: u32,
    counted: BTreeSet<i64>,
    last_success: Option<i64>,
}

impl FailureManager {
    /// A manager that bears so many failures in a row.
    #[must_use]
    pub fn new(tolerable: Option<u32>) -> Self {
        FailureManager {
            tolerable,
            count: 0,
            counted: BTreeSet::new(),
            last_success: None,
        }
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// A checkpoint failed; whether the job fails on account of it.
    pub fn on_failure(&mut self, failure: CheckpointFailure) -> bool {
        let CheckpointFailure {
            checkpoint,
            reason,
            taken,
            by_task,
        } = failure;
        if reason.is_pre_flight() || !by_task {
            // A restart would not help a savepoint.
            if taken != Taken::Checkpoint {
                return false;
            }
        } else if taken == Taken::SynchronousSavepoint {
            // Its tasks would wait for ever.
            return true;
        }
        let old = |id: i64| self.last_success.is_some_and(|last| id <= last);
        if checkpoint.is_some_and(old) {
            return false;
        }
        let Some(tolerable) = self.tolerable else {
            return false;
        };
        if reason.is_counted() && checkpoint.is_none_or(|id| self.counted.insert(id)) {
            self.count = self.count.saturating_add(1);
        }
        let fails = self.count > tolerable;
        if fails {
            self.clear();
        }
        fails
    }

    /// A checkpoint is complete.
    pub fn on_success(&mut self, checkpoint: i64) {
        if self.last_success.is_none_or(|last| checkpoint > last) {
            self.last_success = Some(checkpoint);
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.counted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reason: FailureReason, taken: Taken, by_task: bool, fails: bool) {
        let mut manager = FailureManager::new(Some(0));
        let failure = CheckpointFailure {
            checkpoint: Some(1),
            reason,
            taken,
            by_task,
        };
        assert_eq!(manager.on_failure(failure), fails, "{failure:?}");
        assert!(!FailureManager::new(None).on_failure(CheckpointFailure {
            taken: Taken::Checkpoint,
            ..failure
        }));
    }

    #[test]
    fn savepoints_fail_a_job_only_if_it_would_hang() {
        use FailureReason as R;
        check(R::CheckpointExpired, Taken::Checkpoint, false, true);
        check(R::CheckpointSubsumed, Taken::Checkpoint, false, false);
        check(R::CheckpointExpired, Taken::Savepoint, false, false);
        check(R::CheckpointDeclined, Taken::Savepoint, true, true);
        check(R::TaskFailure, Taken::SynchronousSavepoint, true, true);
        check(R::IoException, Taken::SynchronousSavepoint, true, false);
    }

    #[test]
    fn five_reasons_count() {
        let counted = REASONS.iter().filter(|(it, _)| it.is_counted());
        assert_eq!(counted.count(), 5);
    }
}
