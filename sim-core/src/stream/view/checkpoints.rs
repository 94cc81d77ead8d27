//! Checkpoints: what each task has to do for the one under way, and what the completed ones hold.

use super::job::{FEW, Look};
use crate::stream::facts::machines;
use crate::stream::jobmanager::Completed;
use crate::stream::node::Machine;
use crate::stream::protocol::TaskId;
use crate::stream::rules::barrier::gate::Barriers;
use crate::stream::rules::fault::checkpoint_failures::Taken;
use crate::stream::snapshot::Handle;
use crate::stream::storage::Storage;
use crate::stream::why::task_name;
use crate::view::{
    CheckpointDone, CheckpointFailed, CheckpointUnderWay, CheckpointsView, SnapshotView,
};

/// Tasks of a checkpoint that are shown.
const TASKS: usize = 24;

impl Look<'_> {
    /// What a checkpoint waits for at a task; `None` before its first barrier there.
    pub(super) fn waits(&self, task: TaskId, checkpoint: i64) -> Option<&'static str> {
        let (_, _, at) = self.task(task)?;
        let mut all = at.checkpoints().under_way();
        if let Some((_, waits)) = all.find(|(of, _)| *of == checkpoint) {
            return Some(waits);
        }
        let (pending, words) = match at.input.gate().barriers() {
            Barriers::Single(it) => (
                it.is_pending() && it.latest_checkpoint() == checkpoint,
                "aligning",
            ),
            Barriers::Tracker(it) => (
                it.pending_checkpoints().any(|it| it == checkpoint),
                "counting barriers, and reads on",
            ),
        };
        pending.then_some(words)
    }

    /// The newest checkpoint under way at a task, and what it waits for.
    pub(super) fn checkpoint_at(&self, task: TaskId) -> Option<(i64, &'static str)> {
        let (_, _, at) = self.task(task)?;
        if self.job.spec.config.is_uncoordinated() {
            return None;
        }
        let latest = match at.input.gate().barriers() {
            Barriers::Single(it) => Some(it.latest_checkpoint()),
            Barriers::Tracker(it) => it.pending_checkpoints().next(),
        };
        let own = at.checkpoints().under_way().next();
        own.or_else(|| latest.and_then(|id| Some((id, self.waits(task, id)?))))
    }

    /// How far a task's snapshot is: `handle` where it was acknowledged.
    fn snapshot(
        &self,
        (id, task): (i64, TaskId),
        handle: Option<Handle>,
        storage: Option<&Storage>,
    ) -> SnapshotView {
        let own = |it: &Handle| it.checkpoint == id && it.task == Some(task);
        let first = Handle {
            checkpoint: id,
            task: Some(task),
            bytes: 0,
        };
        let mut writing = storage.into_iter().flat_map(|it| it.writing());
        let writing = writing.find_map(|(_, it)| own(&it).then_some(it));
        let kept = storage.and_then(|it| it.kept().range(first..).next().map(|it| *it.0));
        let kept = kept.filter(own);
        let crossing = self.under_way.snapshots.get(&(id, task)).copied();
        let (stage, bytes) = match (handle, kept, writing, crossing) {
            (Some(it), ..) => ("acknowledged", it.bytes),
            (None, Some(it), ..) => ("stored", it.bytes),
            (None, None, Some(it), _) => ("being stored", it.bytes),
            (None, None, None, Some(_)) => ("on its way to the storage", 0),
            _ => (self.waits(task, id).unwrap_or("no barrier yet"), 0),
        };
        SnapshotView {
            task: (task.vertex, u32::from(task.subtask) + 1),
            stage,
            bytes,
            progress_ppm: crossing,
        }
    }

    pub(super) fn checkpoints(&self) -> CheckpointsView {
        let storage = machines(self.world).find_map(|it| match it {
            Machine::Storage(it) => Some(&**it),
            _ => None,
        });
        let stored = storage.map(|it| (it.kept().len() as u64, it.bytes()));
        let pending = self.manager.pending().iter();
        let under_way = pending.map(|(id, it)| {
            let waiting = it.waiting.iter().take(FEW).map(|task| {
                let here = self.waits(*task, *id);
                (task_name(self.job, *task), here.unwrap_or("no barrier yet"))
            });
            let done = it
                .handles
                .iter()
                .map(|(task, handle)| (*task, Some(*handle)));
            let all = done.chain(it.waiting.iter().map(|task| (*task, None)));
            let mut each: Vec<SnapshotView> = all
                .map(|(task, handle)| self.snapshot((*id, task), handle, storage))
                .collect();
            each.sort_by_key(|it| it.task);
            each.truncate(TASKS);
            CheckpointUnderWay {
                id: *id,
                since: it.triggered,
                acknowledged: it.handles.len() as u32,
                tasks: (it.handles.len() + it.waiting.len()) as u32,
                waiting: waiting.collect(),
                each,
            }
        });
        let own = self.manager.savepoints().iter().map(|it| &it.done);
        let mut completed: Vec<&Completed> = self.manager.completed().iter().chain(own).collect();
        // What the job began from is both.
        completed.sort_by_key(|it| it.id);
        completed.dedup_by_key(|it| it.id);
        let completed = completed.into_iter().rev().take(FEW);
        let completed = completed.map(|it| CheckpointDone {
            id: it.id,
            savepoint: it.savepoint && !it.retained,
            at: it.span.1,
            took: it.span.1.saturating_sub(it.span.0),
            bytes: it.bytes().1,
            uploaded: it.bytes().0,
            in_flight_bytes: it.metrics.values().map(|it| it.persisted_bytes).sum(),
            alignment_ms: it
                .metrics
                .values()
                .map(|it| it.alignment_ms)
                .max()
                .unwrap_or(0),
            unaligned: it.metrics.values().any(|it| it.unaligned),
        });
        let failed = self.manager.failed().iter().rev().take(FEW);
        let failed = failed.map(|it| CheckpointFailed {
            id: it.id,
            savepoint: it.taken != Taken::Checkpoint,
            at: it.span.1,
            took: it.span.1.saturating_sub(it.span.0),
            reason: it.reason.name(),
            acknowledged: it.acknowledged.0,
            tasks: it.acknowledged.1,
        });
        CheckpointsView {
            under_way: under_way.collect(),
            completed: completed.collect(),
            failed: failed.collect(),
            interval_ms: self.job.spec.config.checkpoint_interval.0,
            counts: self.manager.counts(),
            own: self.manager.own_snapshots(),
            stored: stored.unwrap_or_default(),
        }
    }
}
