//! What the checkpoint coordinator remembers: requests that wait, checkpoints under way, checkpoints
//! that are complete.
//!
//! Follows the fields of `CheckpointCoordinator`, `PendingCheckpoint` and
//! `DefaultCompletedCheckpointStore`, which keeps the newest few. State that a kept checkpoint still
//! refers to outlives the checkpoint that wrote it, as shared state does.

use crate::kernel::{Nanos, TimerId};
use crate::stream::config::{CheckpointingMode, JobConfig};
use crate::stream::protocol::{CheckpointMetrics, TaskId};
use crate::stream::rules::fault::checkpoint_failures::{FailureManager, Taken};
use crate::stream::rules::fault::checkpoint_trigger::{
    MAX_QUEUED, Request, RequestDecider, Situation,
};
use crate::stream::snapshot::Handle;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A checkpoint under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pending {
    /// What is taken.
    pub taken: Taken,
    /// When it was triggered, ns.
    pub triggered: Nanos,
    /// Tasks that have not acknowledged it.
    pub waiting: BTreeSet<TaskId>,
    /// Where tasks' state lies.
    pub handles: BTreeMap<TaskId, Handle>,
    /// What tasks said of it.
    pub metrics: BTreeMap<TaskId, CheckpointMetrics>,
    pub(super) timer: TimerId,
}

/// A completed checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Completed {
    /// Its id.
    pub id: i64,
    /// A savepoint: the user's own, and never discarded.
    pub savepoint: bool,
    /// When it was triggered and when it was complete, ns.
    pub span: (Nanos, Nanos),
    /// Where tasks' state lies.
    pub handles: BTreeMap<TaskId, Handle>,
    /// What tasks said of it.
    pub metrics: BTreeMap<TaskId, CheckpointMetrics>,
    /// The parallelism of each operator when it was taken.
    pub parallelism: Arc<Vec<u32>>,
}

/// What the coordinator remembers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Coordinator {
    pub(super) decider: RequestDecider,
    pub(super) failures: FailureManager,
    /// Requests ever.
    pub(super) requests: u64,
    /// Checkpoints triggered so far; ids begin at 1.
    pub(super) last_id: i64,
    pub(super) pending: BTreeMap<i64, Pending>,
    /// By id.
    pub(super) completed: Vec<Completed>,
    /// Checkpoints completed, and failed, ever.
    pub(super) counts: (u64, u64),
    /// Checkpoints that are not kept any more, and of which some state is used still.
    pub(super) subsumed: BTreeSet<i64>,
    pub(super) last_completion_ms: i64,
    /// Periodic checkpoints are taken at present.
    pub(super) periodic: bool,
    pub(super) timer: Option<TimerId>,
    /// When that timer fires, ns.
    pub(super) next: Nanos,
    /// How often periodic checkpoints began: the ordinal of its draws.
    pub(super) starts: u64,
}

impl Coordinator {
    pub(super) fn new(config: &JobConfig) -> Self {
        // Barriers of several checkpoints cannot overtake at once.
        let most = match is_unaligned(config) {
            true => 1,
            false => config.checkpoint_max_concurrent.max(1),
        };
        let min_pause = config.checkpoint_min_pause.0;
        Coordinator {
            decider: RequestDecider::new(most, min_pause, MAX_QUEUED),
            failures: FailureManager::new(Some(config.checkpoint_tolerable_failures)),
            requests: 0,
            last_id: 0,
            pending: BTreeMap::new(),
            completed: Vec::new(),
            counts: (0, 0),
            subsumed: BTreeSet::new(),
            last_completion_ms: i64::MIN,
            periodic: false,
            timer: None,
            next: 0,
            starts: 0,
        }
    }

    /// Takes over what another coordinator wrote down (`CompletedCheckpointStore`,
    /// `CheckpointIDCounter`).
    pub(super) fn recover(&mut self, other: &Coordinator) {
        self.last_id = other.last_id;
        self.completed.clone_from(&other.completed);
        self.subsumed.clone_from(&other.subsumed);
        self.starts = other.starts;
    }

    pub(super) fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    pub(super) fn pending(&self) -> &BTreeMap<i64, Pending> {
        &self.pending
    }

    pub(super) fn completed(&self) -> &[Completed] {
        &self.completed
    }

    pub(super) fn failed(&self) -> u32 {
        self.failures.count()
    }

    pub(super) fn weight(&self) -> usize {
        let entry = size_of::<(TaskId, Handle)>() + size_of::<(TaskId, CheckpointMetrics)>();
        let done = self.completed.iter().map(|it| it.handles.len());
        let open = self.pending.values();
        let open = open.map(|it| it.handles.len() + it.waiting.len());
        done.chain(open).sum::<usize>() * entry
    }

    pub(super) fn request(&mut self, savepoint: bool, periodic: bool, now_ms: i64) -> Request {
        self.requests += 1;
        Request {
            number: self.requests,
            savepoint,
            forced: savepoint,
            periodic,
            timestamp_ms: now_ms,
        }
    }

    pub(super) fn situation(&self, now_ms: i64) -> Situation {
        Situation {
            triggering: false,
            pending: self.pending.len() as u32,
            cleaning: 0,
            last_completion_ms: self.last_completion_ms,
            now_ms,
        }
    }

    /// Drops completed checkpoints beyond those that are kept; returns whose state is not used any
    /// more.
    pub(super) fn drop_subsumed(&mut self, kept: usize) -> Vec<i64> {
        let many = self.completed.len().saturating_sub(kept);
        for it in self.completed.drain(..many) {
            if !it.savepoint {
                self.subsumed.insert(it.id);
            }
        }
        let handles = self.completed.iter().flat_map(|it| it.handles.values());
        let used: BTreeSet<i64> = handles.map(|it| it.checkpoint).collect();
        let unused: Vec<i64> = self.subsumed.difference(&used).copied().collect();
        self.subsumed.retain(|it| used.contains(it));
        unused
    }
}

/// Whether barriers overtake.
pub(super) fn is_unaligned(config: &JobConfig) -> bool {
    config.unaligned && config.checkpoint_mode == CheckpointingMode::ExactlyOnce
}
