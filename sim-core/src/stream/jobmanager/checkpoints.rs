//! How checkpoints end: acknowledged by all and stored, or given up.
//!
//! Follows `CheckpointCoordinator`. A checkpoint is complete once every task of its plan has
//! acknowledged and its metadata is in the storage; whether failed ones fail the job is
//! [`FailureManager`]'s decision. Left out: `externalized-checkpoint-retention`, master hooks,
//! coordinators' state beside the enumerators', the time that deleting takes.
//!
//! [`FailureManager`]: crate::stream::rules::fault::checkpoint_failures::FailureManager

use super::coordinator::{Completed, FailedCheckpoint};
use super::failover::Cause;
use super::savepoint::Savepoint;
use super::{JobManager, JobManagerTimer, JobStatus, now_ms};
use crate::kernel::{MILLISECOND, NodeId};
use crate::stream::config::Retention;
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, CheckpointMetrics, Decline, Packet, TaskId};
use crate::stream::rules::barrier::Declined;
use crate::stream::rules::fault::checkpoint_failures::{CheckpointFailure, FailureReason, Taken};
use crate::stream::rules::lsm::registry::Discarded;
use crate::stream::snapshot::{BackendFiles, Handle};
use std::collections::BTreeSet;
use std::sync::Arc;

/// About how much of a checkpoint's metadata one handle takes, bytes.
const METADATA_PER_HANDLE: u64 = 256;
/// About how much a pointer to a checkpoint's metadata takes, bytes.
const POINTER: u64 = 1_024;

/// Flink's reason for what a task said.
fn reason_of(decline: Decline) -> FailureReason {
    match decline {
        Decline::Barriers(Declined::OnCancellationBarrier) => {
            FailureReason::CheckpointDeclinedOnCancellationBarrier
        }
        Decline::Barriers(Declined::Subsumed) => FailureReason::CheckpointDeclinedSubsumed,
        Decline::Barriers(Declined::InputEndOfStream) => {
            FailureReason::CheckpointDeclinedInputEndOfStream
        }
        Decline::Barriers(Declined::NewerBarrierReceived) => FailureReason::CheckpointSubsumed,
        Decline::TaskNotReady => FailureReason::CheckpointDeclinedTaskNotReady,
        Decline::AsyncException => FailureReason::CheckpointAsyncException,
    }
}

impl JobManager {
    pub(super) fn acknowledged(
        &mut self,
        (attempt, task): (Attempt, TaskId),
        checkpoint: i64,
        (handle, files): (Handle, Arc<Vec<BackendFiles>>),
        metrics: CheckpointMetrics,
        cx: &mut StreamCx<'_>,
    ) {
        // Shared files are registered whatever becomes of the checkpoint.
        let registered = self.coordinator.register(checkpoint, &files);
        self.discard_files(registered.discarded, cx);
        if registered.missing {
            self.give_up(
                checkpoint,
                FailureReason::CheckpointAsyncException,
                true,
                cx,
            );
            return;
        }
        let current = self.runs_in(task, attempt);
        let pending = self.coordinator.pending.get_mut(&checkpoint);
        let Some(pending) = pending.filter(|_| current) else {
            // It comes late: nobody will use that state.
            let known = |it: &Completed| it.id == checkpoint;
            let kept = self.coordinator.completed.iter().any(known)
                || self.coordinator.pending.contains_key(&checkpoint)
                || self.coordinator.subsumed.contains(&checkpoint)
                || self.savepoint_name(checkpoint).is_some();
            if !kept {
                cx.send(self.job.storage, Packet::DiscardState { checkpoint });
            }
            return;
        };
        if !pending.waiting.remove(&task) {
            return;
        }
        pending.handles.insert(task, handle);
        pending.metrics.insert(task, metrics);
        if !files.is_empty() {
            pending.files.insert(task, files);
        }
        if pending.waiting.is_empty() {
            let bytes = METADATA_PER_HANDLE * (1 + pending.handles.len() as u64);
            cx.send(
                self.job.storage,
                Packet::WriteState {
                    handle: Handle {
                        checkpoint,
                        task: None,
                        bytes,
                    },
                    state: None,
                    bytes,
                },
            );
        }
    }

    /// The metadata is in the storage. With high availability the pointer to it is written too.
    pub(super) fn metadata_written(&mut self, checkpoint: i64, cx: &mut StreamCx<'_>) {
        let pending = self.coordinator.pending.get(&checkpoint);
        if pending.is_none_or(|it| !it.waiting.is_empty()) {
            return;
        }
        let now = cx.now();
        let done = match self.is_highly_available() {
            true => cx.disk_write(POINTER),
            false => now,
        };
        if done > now {
            self.set_timer(
                done - now,
                JobManagerTimer::PointerStored { checkpoint },
                cx,
            );
        } else {
            self.complete(checkpoint, cx);
        }
    }

    /// A checkpoint is complete: from here on the job is restored from it.
    pub(super) fn complete(&mut self, checkpoint: i64, cx: &mut StreamCx<'_>) {
        let Some(pending) = self.coordinator.pending.remove(&checkpoint) else {
            return;
        };
        cx.cancel(pending.timer);
        let now = cx.now();
        let took = now.saturating_sub(pending.triggered) / MILLISECOND;
        let done = Completed {
            id: checkpoint,
            savepoint: pending.taken != Taken::Checkpoint,
            span: (pending.triggered, now),
            handles: pending.handles,
            files: pending.files,
            metrics: pending.metrics,
            parallelism: self.parallelism.clone(),
            enumerators: self.discovery.at(checkpoint),
            forgotten: Vec::new(),
            retained: false,
        };
        match pending.name {
            // The user's own: the job itself never goes back to it.
            Some(name) => self.savepoints.push(Savepoint { name, done }),
            None => {
                let completed = &mut self.coordinator.completed;
                let at = completed.partition_point(|it| it.id < checkpoint);
                completed.insert(at, done);
            }
        }
        self.coordinator.last_completion_ms = now_ms(cx);
        self.coordinator.failures.on_success(checkpoint);
        self.coordinator.counts.0 += 1;
        self.coordinator.confirm(checkpoint);
        cx.note(Note::rule(
            Rule::CheckpointCompleted,
            None,
            took as i64,
            checkpoint,
        ));
        if pending.taken == Taken::Savepoint {
            // It brings about nothing: sinks commit with the next checkpoint (FLIP-203).
            self.run_queue(cx);
            return;
        }
        let stop = self.stops_with(checkpoint);
        for (node, attempt) in self.nodes() {
            cx.send(
                node,
                Packet::NotifyCheckpointComplete {
                    attempt,
                    checkpoint,
                    stop,
                },
            );
        }
        let kept = self.job.spec.config.checkpoint_retained.max(1);
        self.drop_subsumed(kept as usize, cx);
        let older = self.coordinator.pending.range(..checkpoint);
        let older: Vec<i64> = older
            .filter(|(_, it)| it.taken == Taken::Checkpoint)
            .map(|(id, _)| *id)
            .collect();
        for id in older {
            self.abort(id, FailureReason::CheckpointSubsumed, false, cx);
        }
        if stop {
            self.await_end(cx);
        } else {
            self.run_queue(cx);
        }
    }

    pub(super) fn declined(
        &mut self,
        (attempt, task): (Attempt, TaskId),
        checkpoint: i64,
        decline: Decline,
        cx: &mut StreamCx<'_>,
    ) {
        if self.runs_in(task, attempt) {
            self.give_up(checkpoint, reason_of(decline), true, cx);
        }
    }

    pub(super) fn expired(&mut self, checkpoint: i64, cx: &mut StreamCx<'_>) {
        self.give_up(checkpoint, FailureReason::CheckpointExpired, false, cx);
    }

    /// The storage is gone: what was just being completed cannot be.
    pub(super) fn storage_lost(&mut self, cx: &mut StreamCx<'_>) {
        self.editing.clear();
        let pending = self.coordinator.pending.iter();
        let writing: Vec<i64> = pending
            .filter(|(_, it)| it.waiting.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in writing {
            self.give_up(id, FailureReason::FinalizeCheckpointFailure, false, cx);
        }
    }

    /// A task finished: it will acknowledge nothing more.
    pub(super) fn leaves_checkpoints(&mut self, task: TaskId, cx: &mut StreamCx<'_>) {
        let pending = self.coordinator.pending.iter();
        let waiting: Vec<i64> = pending
            .filter(|(_, it)| it.waiting.contains(&task))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.give_up(id, FailureReason::CheckpointDeclinedTaskClosing, true, cx);
        }
    }

    /// Gives a checkpoint up, and goes on with those that wait.
    fn give_up(
        &mut self,
        checkpoint: i64,
        reason: FailureReason,
        by_task: bool,
        cx: &mut StreamCx<'_>,
    ) {
        self.abort(checkpoint, reason, by_task, cx);
        self.run_queue(cx);
    }

    fn abort(
        &mut self,
        checkpoint: i64,
        reason: FailureReason,
        by_task: bool,
        cx: &mut StreamCx<'_>,
    ) {
        let Some(pending) = self.coordinator.pending.remove(&checkpoint) else {
            return;
        };
        cx.cancel(pending.timer);
        let acknowledged = pending.handles.len() as u32;
        self.coordinator.remember_failed(FailedCheckpoint {
            id: checkpoint,
            taken: pending.taken,
            span: (pending.triggered, cx.now()),
            reason,
            acknowledged: (acknowledged, acknowledged + pending.waiting.len() as u32),
        });
        cx.note(Note::rule(
            Rule::CheckpointFailed,
            None,
            reason as i64,
            checkpoint,
        ));
        for (node, attempt) in self.nodes() {
            cx.send(
                node,
                Packet::NotifyCheckpointAborted {
                    attempt,
                    checkpoint,
                },
            );
        }
        cx.send(self.job.storage, Packet::DiscardState { checkpoint });
        let fails = self.coordinator.failures.on_failure(CheckpointFailure {
            checkpoint: Some(checkpoint),
            reason,
            taken: pending.taken,
            by_task,
        });
        if self.stops_with(checkpoint) {
            self.fail(Cause::StopWithSavepoint, &BTreeSet::new(), cx);
        } else if fails {
            self.fail(Cause::Checkpoint(reason), &BTreeSet::new(), cx);
        }
    }

    /// Takes no more checkpoints for now, and gives up those under way.
    pub(super) fn stop_checkpoints(&mut self, cx: &mut StreamCx<'_>) {
        self.abort_all(FailureReason::CheckpointCoordinatorSuspend, cx);
    }

    /// The job has ended: no checkpoint is needed any more, but those that outlive it are the user's
    /// from now on (`CheckpointProperties.forCheckpoint`).
    pub(super) fn end_checkpoints(&mut self, cx: &mut StreamCx<'_>) {
        self.abort_all(FailureReason::CheckpointCoordinatorShutdown, cx);
        self.end_own(cx);
        let retention = self.job.spec.config.retention;
        let outlives = match self.status {
            JobStatus::Failed => retention != Retention::Nothing,
            JobStatus::Canceled => retention == Retention::RetainOnCancellation,
            _ => false,
        };
        if outlives {
            let kept = std::mem::take(&mut self.coordinator.completed);
            let own = kept.into_iter().filter(|it| !it.savepoint);
            self.savepoints.extend(own.map(|it| Savepoint {
                name: format!("chk-{}", it.id),
                done: Completed {
                    savepoint: true,
                    retained: true,
                    ..it
                },
            }));
            return;
        }
        self.drop_subsumed(0, cx);
    }

    /// Keeps so many completed checkpoints, and has what nobody needs any more deleted.
    fn drop_subsumed(&mut self, kept: usize, cx: &mut StreamCx<'_>) {
        for checkpoint in self.coordinator.drop_subsumed(kept) {
            cx.send(self.job.storage, Packet::DiscardState { checkpoint });
        }
        let unused = self.coordinator.unused_files();
        self.discard_files(unused, cx);
    }

    fn discard_files(&self, files: Vec<Discarded>, cx: &mut StreamCx<'_>) {
        if !files.is_empty() {
            cx.send(self.job.storage, Packet::DiscardFiles { files });
        }
    }

    fn abort_all(&mut self, reason: FailureReason, cx: &mut StreamCx<'_>) {
        self.coordinator.periodic = false;
        if let Some(timer) = self.coordinator.timer.take() {
            cx.cancel(timer);
        }
        for request in self.coordinator.decider.abort_all() {
            self.not_triggered(request, reason, cx);
        }
        let pending: Vec<i64> = self.coordinator.pending.keys().copied().collect();
        for id in pending {
            self.abort(id, reason, false, cx);
        }
    }

    /// The TaskManagers that run tasks, with the attempts of those.
    fn nodes(&self) -> BTreeSet<(NodeId, Attempt)> {
        let placed = self.executions.values();
        let nodes = placed.filter_map(|it| Some((it.node?, it.attempt)));
        nodes
            .filter(|it| self.task_managers.contains_key(&it.0))
            .collect()
    }
}
