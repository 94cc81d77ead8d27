//! What the checkpoint coordinator remembers: requests that wait, checkpoints under way, checkpoints
//! that are complete.
//!
//! Follows the fields of `CheckpointCoordinator`, `PendingCheckpoint` and
//! `DefaultCompletedCheckpointStore`, which keeps the newest few. State that a kept checkpoint still
//! refers to outlives the checkpoint that wrote it, as shared state does.

use super::enumerator::Enumerated;
use super::uncoordinated::Uncoordinated;
use crate::kernel::{Nanos, TimerId};
use crate::stream::config::{CheckpointingMode, JobConfig};
use crate::stream::protocol::{CheckpointMetrics, TaskId};
use crate::stream::rules::fault::checkpoint_failures::{FailureManager, FailureReason, Taken};
use crate::stream::rules::fault::checkpoint_trigger::{
    MAX_QUEUED, Request, RequestDecider, Situation,
};
use crate::stream::rules::lsm::registry::{Discarded, SharedKey, SharedStateRegistry};
use crate::stream::snapshot::{BackendFiles, Handle};
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
    /// The files of their backends.
    pub files: BTreeMap<TaskId, Arc<Vec<BackendFiles>>>,
    /// What tasks said of it.
    pub metrics: BTreeMap<TaskId, CheckpointMetrics>,
    /// What a savepoint will be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
    /// The files of their backends.
    pub files: BTreeMap<TaskId, Arc<Vec<BackendFiles>>>,
    /// What tasks said of it.
    pub metrics: BTreeMap<TaskId, CheckpointMetrics>,
    /// The parallelism of each operator when it was taken.
    pub parallelism: Arc<Vec<u32>>,
    /// Partitions that sources had been given while the job ran (`KafkaSourceEnumState`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enumerators: Enumerated,
    /// Operators whose state in it no operator of the program takes, as their uids are others now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<u32>,
    /// A checkpoint that outlived its job. Whoever begins from it shares no file with it (NO_CLAIM).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
}

impl Completed {
    /// Bytes that were written for it, and bytes of all its states.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let new = self.metrics.values().map(|it| it.checkpointed_bytes);
        (new.sum(), self.handles.values().map(|it| it.bytes).sum())
    }
}

/// Failed checkpoints that are remembered: as many as Flink keeps (`web.checkpoints.history`).
const FAILED_KEPT: usize = 10;

/// A checkpoint that failed (`FailedCheckpointStats`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FailedCheckpoint {
    /// Its id.
    pub id: i64,
    /// What was being taken.
    pub taken: Taken,
    /// When it was triggered and when it was given up, ns.
    pub span: (Nanos, Nanos),
    /// Why.
    pub reason: FailureReason,
    /// Tasks that had acknowledged it, and tasks that had to.
    pub acknowledged: (u32, u32),
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
    /// The files that checkpoints share.
    pub(super) registry: SharedStateRegistry,
    /// Checkpoints completed, and failed, ever.
    pub(super) counts: (u64, u64),
    /// The newest that failed, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<FailedCheckpoint>,
    /// How many failed for each reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) failed_for: BTreeMap<FailureReason, u64>,
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
    /// What is known of snapshots that tasks take each for itself, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) own: Option<Box<Uncoordinated>>,
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
            registry: SharedStateRegistry::default(),
            counts: (0, 0),
            failed: Vec::new(),
            failed_for: BTreeMap::new(),
            subsumed: BTreeSet::new(),
            last_completion_ms: i64::MIN,
            periodic: false,
            timer: None,
            next: 0,
            starts: 0,
            own: config.is_uncoordinated().then(Box::default),
        }
    }

    /// Takes over what another coordinator wrote down (`CompletedCheckpointStore`,
    /// `CheckpointIDCounter`).
    pub(super) fn recover(&mut self, other: &Coordinator) {
        self.last_id = other.last_id;
        self.completed.clone_from(&other.completed);
        self.subsumed.clone_from(&other.subsumed);
        self.registry.clone_from(&other.registry);
        self.starts = other.starts;
        self.own.clone_from(&other.own);
    }

    /// Begins a new job after one that has ended, from a savepoint or from nothing. Nothing is called
    /// as something of the other was.
    pub(super) fn begin_after(&mut self, other: &Coordinator, from: Option<Completed>) {
        self.last_id = other.last_id;
        self.requests = other.requests;
        self.starts = other.starts;
        self.completed.extend(from);
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

    /// Remembers a checkpoint that failed (`CheckpointStatsTracker.reportFailedCheckpoint`).
    pub(super) fn remember_failed(&mut self, it: FailedCheckpoint) {
        self.counts.1 += 1;
        *self.failed_for.entry(it.reason).or_default() += 1;
        if self.failed.len() >= FAILED_KEPT {
            self.failed.remove(0);
        }
        self.failed.push(it);
    }

    pub(super) fn weight(&self) -> usize {
        let entry = size_of::<(TaskId, Handle)>() + size_of::<(TaskId, CheckpointMetrics)>();
        let done = self.completed.iter().map(|it| it.handles.len());
        let open = self.pending.values();
        let open = open.map(|it| it.handles.len() + it.waiting.len());
        done.chain(open).sum::<usize>() * entry + self.own_weight()
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

/// What the registry says of a task's files.
#[derive(Debug, Default)]
pub(super) struct Registered {
    /// Uploads that another one makes needless.
    pub(super) discarded: Vec<Discarded>,
    /// A file that is to be there already is not known.
    pub(super) missing: bool,
}

impl Coordinator {
    /// A task's snapshot has these files, whatever becomes of the checkpoint
    /// (`registerSharedStates`).
    pub(super) fn register(&mut self, checkpoint: i64, files: &[BackendFiles]) -> Registered {
        let mut done = Registered::default();
        for it in files {
            let key = |file: u64| SharedKey {
                backend: it.backend,
                file,
            };
            for new in &it.new {
                let goes = self
                    .registry
                    .register_new(key(new.id), new.bytes, checkpoint);
                done.discarded.extend(goes);
            }
            for reused in &it.reused {
                done.missing |= !self.registry.register_reused(key(reused.id), checkpoint);
            }
        }
        done
    }

    /// A checkpoint is complete: its files are used by it, also those of tasks that had finished.
    pub(super) fn confirm(&mut self, checkpoint: i64) {
        let found = self.completed.iter().find(|it| it.id == checkpoint);
        let files = found.into_iter().flat_map(|it| it.files.values());
        for it in files.flat_map(|it| it.iter()) {
            for file in it.new.iter().chain(&it.reused) {
                let key = SharedKey {
                    backend: it.backend,
                    file: file.id,
                };
                self.registry.register_reused(key, checkpoint);
            }
        }
        self.registry.on_completed(checkpoint);
    }

    /// The files that no kept checkpoint and no later one uses.
    pub(super) fn unused_files(&mut self) -> Vec<Discarded> {
        let lowest = self.completed.first().map_or(i64::MAX, |it| it.id);
        self.registry.unregister_unused(lowest)
    }
}

/// Whether barriers overtake.
pub(super) fn is_unaligned(config: &JobConfig) -> bool {
    config.unaligned && config.checkpoint_mode == CheckpointingMode::ExactlyOnce
}
