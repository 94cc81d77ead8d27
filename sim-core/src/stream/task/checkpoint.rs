//! Checkpoints at a subtask: the barrier goes on, the snapshot is taken, written and acknowledged.
//!
//! Follows `SubtaskCheckpointCoordinatorImpl.checkpointState`: sinks send what they hold, the barrier
//! is emitted, every operator of the chain gives its snapshot while the thread stands still, and the
//! state is written beside the thread. An unaligned checkpoint is written once every channel's
//! barrier is there, with the records that were overtaken. One with a timeout is written once its
//! barrier has left every output; a barrier that waits there for longer than the timeout overtakes
//! (`registerAlignmentTimer`, `PipelinedSubpartition.alignedBarrierTimeout`). The barrier of a checkpoint
//! that is known to be aborted when it comes only passes its end on (`notifyCheckpointAborted`): nobody
//! waits for that snapshot, and the storage takes it no more. A source whose input has ended takes
//! part in one more checkpoint before it ends (FLIP-147). Where checkpoints are not coordinated, which is
//! our own, a task takes snapshots by its own clock, without barriers, and tells with each what it had
//! sent and received on its channels in its attempt; while one is being written it takes no other.

use super::{Io, Moment, Task};
use crate::kernel::{MILLISECOND, Nanos, Purpose, below, draw};
use crate::stream::element::Buffer;
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{
    Attempt, ChannelId, CheckpointMetrics, Decline, Packet, TaskFailure, TaskId,
};
use crate::stream::rules::FINAL_WATERMARK;
use crate::stream::rules::barrier::channel::Item;
use crate::stream::rules::barrier::{Action, Alignment, Barrier};
use crate::stream::snapshot::{BackendFiles, Counts, Handle, TaskSnapshot, own_id};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most aborted checkpoints that are remembered (`MAX_RECORD_ABORTED_CHECKPOINTS`).
const ABORTED_MAX: usize = 128;
/// When in its interval a task takes the snapshots that it takes for itself.
const OWN_CLOCK: Purpose = Purpose::named("stream/own-snapshot");

/// A checkpoint that is under way at a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Pending {
    barrier: Barrier,
    metrics: CheckpointMetrics,
    /// The snapshot, once it was taken.
    snapshot: Option<TaskSnapshot>,
    /// Bytes to be written, and those of the whole, when it was taken.
    bytes: (u64, u64),
    /// The files of its backends, as they are acknowledged.
    files: Arc<Vec<BackendFiles>>,
    inputs: Vec<(ChannelId, Buffer)>,
    outputs: Vec<(ChannelId, Buffer)>,
    /// Every channel's barrier is there, or need not be.
    whole: bool,
    /// When the snapshot was taken, ms.
    taken_ms: i64,
    /// It is being written here.
    writing: Option<Handle>,
    /// The stream was ended for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drained: bool,
    /// The task takes it for itself: when, and what it had sent and received.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<(Nanos, Arc<Counts>)>,
}

/// The clock of a task that takes snapshots for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct OwnClock {
    /// When it takes the next, and after how long another, ns.
    due: Nanos,
    every: Nanos,
    /// The number of the next, and how far apart its numbers are: others have those between.
    next: i64,
    step: i64,
}

impl OwnClock {
    fn of(
        job: &Job,
        (task, attempt): (TaskId, Attempt),
        parallelism: &[u32],
        now: Nanos,
    ) -> Option<Self> {
        let config = &job.spec.config;
        let every = config.checkpoint_interval.0.max(0).unsigned_abs() * MILLISECOND;
        if !config.is_uncoordinated() || every == 0 {
            return None;
        }
        let place = job.graph.tasks(parallelism).position(|it| it == task)? as i64;
        let seat = u64::from(task.vertex) << 16 | u64::from(task.subtask);
        let phase = below(draw(job.seed, OWN_CLOCK, seat, 0, 0), every);
        Some(OwnClock {
            due: now.saturating_add(phase),
            every,
            next: own_id(attempt, place + 1),
            step: job.graph.tasks(parallelism).count() as i64,
        })
    }
}

/// An order to begin a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Injection {
    /// The barrier.
    pub barrier: Barrier,
    /// It is the savepoint that the job stops with: nothing is read after it.
    pub stop: bool,
    /// The stream ends before it (`StopMode.DRAIN`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// The checkpoints of a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checkpoints {
    pending: BTreeMap<i64, Pending>,
    /// A barrier whose snapshot waits until the sinks are flushed.
    flushing: Option<i64>,
    /// The last whose barrier came.
    begun: i64,
    /// Those aborted before their barriers came.
    aborted: BTreeSet<i64>,
    /// Snapshots are taken up to here, and complete up to here.
    taken: i64,
    complete: i64,
    /// The first snapshot taken after everything had been read.
    last: Option<i64>,
    /// When the task takes snapshots for itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<OwnClock>,
}

impl Checkpoints {
    pub(super) fn new(
        job: &Job,
        of: (TaskId, Attempt),
        parallelism: &[u32],
        restored: i64,
        now: Nanos,
    ) -> Self {
        Checkpoints {
            own: OwnClock::of(job, of, parallelism, now),
            pending: BTreeMap::new(),
            flushing: None,
            begun: restored,
            aborted: BTreeSet::new(),
            taken: restored,
            complete: restored,
            last: None,
        }
    }

    /// In-flight data of an unaligned checkpoint.
    pub(super) fn store(&mut self, persisted: Vec<(i64, ChannelId, Buffer)>) {
        for (checkpoint, channel, data) in persisted {
            if let Some(pending) = self.pending.get_mut(&checkpoint) {
                pending.inputs.push((channel, data));
            }
        }
    }

    /// Whether no checkpoint stands between the task and its end.
    pub(super) fn is_settled(&self, is_source: bool) -> bool {
        let known = self.taken <= self.complete && self.pending.is_empty();
        (is_source || known) && self.last.is_some_and(|last| last <= self.complete)
    }

    /// Whether the thread waits for its sinks before it takes a snapshot.
    pub(super) fn is_flushing(&self) -> bool {
        self.flushing.is_some()
    }

    /// When the task takes its next snapshot for itself, ns.
    pub(super) fn own_due(&self) -> Option<Nanos> {
        self.own.map(|it| it.due)
    }

    /// Those under way: the id, and whether it waits for its sinks, its barriers or its storage.
    pub fn under_way(&self) -> impl Iterator<Item = (i64, &'static str)> + '_ {
        self.pending.iter().map(|(id, it)| {
            let waits = match (&it.snapshot, it.whole, it.writing) {
                (None, _, None) => "flushing",
                (Some(_), false, None) => "waiting for barriers",
                (Some(_), true, None) | (_, _, Some(_)) => "writing",
            };
            (*id, waits)
        })
    }
}

impl Task {
    /// The JobManager begins a checkpoint at this source, or where all senders have finished; with
    /// the savepoint that the job stops with nothing is read after the barrier. A thread that works
    /// on a record finds the order when it has sent that (`triggerCheckpointAsync`): the source's
    /// position is behind the record already, so the barrier must be as well.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn trigger(
        &mut self,
        order: Injection,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        if self.in_hand.is_some() {
            self.mails.push_back(order);
            return Ok(());
        }
        self.triggered(order, job, at, io)
    }

    /// Begins the checkpoint that the JobManager ordered.
    pub(super) fn triggered(
        &mut self,
        Injection {
            barrier,
            stop,
            drain,
        }: Injection,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        if drain && self.is_source() && !self.drained {
            self.end_of_data(job, at, io)?;
        }
        let start_delay_ms = at.wall_ms.saturating_sub(barrier.created_ms).max(0);
        self.stopped_at = stop.then_some(barrier.checkpoint);
        self.begin((barrier, start_delay_ms), true, at, io);
        if let Some(pending) = self.checkpoints.pending.get_mut(&barrier.checkpoint) {
            pending.drained = drain;
        }
        self.barriers(job, at, io)
    }

    /// Does what the barriers ask for.
    pub(super) fn barriers(
        &mut self,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        let actions = std::mem::take(&mut io.actions);
        for action in &actions {
            match *action {
                Action::Trigger {
                    barrier,
                    start_delay_ms,
                } => self.begin((barrier, start_delay_ms), false, at, io),
                Action::Abort { checkpoint, reason } => {
                    self.abort(checkpoint);
                    self.output.event(&Item::Cancel(checkpoint));
                    io.reports.push(Packet::DeclineCheckpoint {
                        attempt: self.attempt,
                        checkpoint,
                        task: self.id,
                        reason: Decline::Barriers(reason),
                    });
                }
                Action::AllBarriersReceived {
                    checkpoint,
                    alignment_ms,
                    ..
                } => {
                    if let Some(pending) = self.checkpoints.pending.get_mut(&checkpoint) {
                        pending.metrics.alignment_ms = alignment_ms;
                        pending.whole = true;
                    }
                }
            }
        }
        self.checkpoints.store(self.input.take_persisted());
        self.checkpoint_step(job, at, io)?;
        Ok(())
    }

    /// A barrier is to be passed on and the snapshot to be taken. The JobManager injects one at
    /// sources, and where every sender has finished: their last records have been processed then.
    fn begin(
        &mut self,
        (barrier, start_delay_ms): (Barrier, i64),
        injected: bool,
        at: Moment,
        io: &mut Io,
    ) {
        // A barrier that had to wait in line on its way here may overtake in what is written here.
        let barrier = barrier.as_asked();
        let id = barrier.checkpoint;
        self.checkpoints.begun = self.checkpoints.begun.max(id);
        if self.checkpoints.aborted.remove(&id) {
            self.output.event(&Item::Cancel(id));
            return;
        }
        // Each checkpoint begins the count of records anew, whoever asked for it.
        if injected && let Some(source) = self.chain.source() {
            self.counted = source.emitted();
        }
        let mut inputs = Vec::new();
        if barrier.is_unaligned()
            && let Some((channel, data, from)) = &self.reading
            && let Some(rest) = data.get(*from as usize..)
            && let Some(channel) = self.input.channels().get(*channel as usize)
        {
            // The rest of the buffer that is being read comes before all that its channel holds.
            inputs.push((channel.id, Arc::new(rest.to_vec())));
        }
        // Rows that sinks hold belong to this checkpoint.
        self.chain.flush(&mut io.effects);
        let outputs = self.output.barrier(barrier);
        let metrics = CheckpointMetrics {
            start_delay_ms,
            unaligned: barrier.is_unaligned(),
            ..CheckpointMetrics::default()
        };
        self.checkpoints.pending.insert(
            id,
            Pending {
                barrier,
                metrics,
                snapshot: None,
                bytes: (0, 0),
                files: Arc::default(),
                inputs,
                outputs,
                // No barrier comes on a channel that has ended.
                whole: !barrier.is_unaligned() || injected || self.input.has_ended(),
                taken_ms: at.wall_ms,
                writing: None,
                drained: false,
                own: None,
            },
        );
        self.checkpoints.flushing = Some(id);
    }

    /// By its own clock it is time for a snapshot: no barrier tells anybody, and nothing of what is in
    /// flight is part of it.
    pub(super) fn take_own(&mut self, at: Moment, io: &mut Io) {
        let Some(clock) = &mut self.checkpoints.own else {
            return;
        };
        // At a fixed rate: one that could not be taken is left out.
        let late = at.now.saturating_sub(clock.due) / clock.every;
        clock.due = clock.due.saturating_add((late + 1) * clock.every);
        if self.ended || !self.checkpoints.pending.is_empty() {
            return;
        }
        let id = clock.next;
        clock.next += clock.step;
        let counts = Counts {
            sent: self.output.sent(),
            received: self.input.received(),
        };
        self.checkpoints.begun = id;
        self.chain.flush(&mut io.effects);
        let pending = Pending {
            barrier: Barrier {
                checkpoint: id,
                created_ms: at.wall_ms,
                alignment: Alignment::Aligned,
                savepoint: false,
            },
            metrics: CheckpointMetrics::default(),
            snapshot: None,
            bytes: (0, 0),
            files: Arc::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            whole: true,
            taken_ms: at.wall_ms,
            writing: None,
            drained: false,
            own: Some((at.now, Arc::new(counts))),
        };
        self.checkpoints.pending.insert(id, pending);
        self.checkpoints.flushing = Some(id);
    }

    /// Goes on with what is pending. `false` while the thread must wait for its sinks.
    pub(super) fn checkpoint_step(
        &mut self,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<bool, TaskFailure> {
        if let Some(id) = self.checkpoints.flushing {
            if !self.chain.is_flushed() {
                return Ok(false);
            }
            self.checkpoints.flushing = None;
            let operators = self.chain.snapshot(id, at.wall_ms, &mut io.effects);
            let savepoint = self.checkpoints.pending.get(&id);
            let savepoint = savepoint.is_some_and(|it| it.barrier.savepoint);
            let config = &job.spec.config;
            let (files, pause) = self.chain.snapshot_files((id, savepoint), config);
            let bytes = self.chain.checkpoint_bytes(&files);
            self.busy_until = self.busy_until.max(at.now.saturating_add(pause));
            self.checkpoints.taken = self.checkpoints.taken.max(id);
            // An unaligned barrier may have overtaken the last records: then it takes another one.
            let head = self.chain.links.first();
            let all_read = match self.is_source() {
                true => self.drained,
                false => head.is_some_and(|it| it.watermark == FINAL_WATERMARK),
            };
            if all_read && self.checkpoints.last.is_none() {
                self.checkpoints.last = Some(id);
            }
            if let Some(pending) = self.checkpoints.pending.get_mut(&id) {
                pending.taken_ms = at.wall_ms;
                pending.bytes = bytes;
                pending.files = Arc::new(files);
                pending.snapshot = Some(TaskSnapshot {
                    operators,
                    files: Arc::clone(&pending.files),
                    schemas: self.schemas.clone(),
                    drained: pending.drained,
                    ..TaskSnapshot::default()
                });
            }
        }
        self.write(job, io);
        Ok(true)
    }

    /// When a barrier that waits in an output is to overtake, and whose: ms of the wall clock.
    pub(super) fn output_timeout(&self) -> Option<(i64, i64)> {
        let pending = self.checkpoints.pending.values();
        let timed = pending.filter_map(|it| Some((it.barrier, it.barrier.timeout_ms()?)));
        let waiting = timed.filter(|(it, _)| self.output.holds_barrier(it.checkpoint));
        let due = waiting.map(|(it, wait)| (it.created_ms.saturating_add(wait), it.checkpoint));
        due.min()
    }

    /// A barrier has waited in an output for too long.
    pub(super) fn time_out(&mut self, checkpoint: i64) {
        let overtaken = self.output.time_out(checkpoint);
        if let Some(it) = self.checkpoints.pending.get_mut(&checkpoint) {
            it.metrics.unaligned = true;
            it.outputs.extend(overtaken);
        }
    }

    /// Writes every snapshot that is whole.
    pub(super) fn write(&mut self, job: &Job, io: &mut Io) {
        if self.checkpoints.pending.is_empty() {
            return;
        }
        let record_bytes = u64::from(job.spec.config.record_bytes);
        for (id, it) in &mut self.checkpoints.pending {
            let timed = it.barrier.timeout_ms().is_some();
            if !it.whole || it.writing.is_some() || timed && self.output.holds_barrier(*id) {
                continue;
            }
            let Some(mut state) = it.snapshot.take() else {
                continue;
            };
            state.input_channels = std::mem::take(&mut it.inputs);
            state.output_channels = std::mem::take(&mut it.outputs);
            let in_flight = state.input_channels.iter().chain(&state.output_channels);
            let records: u64 = in_flight.map(|(_, data)| data.len() as u64).sum();
            it.metrics.persisted_bytes = records.saturating_mul(record_bytes);
            let bytes = it.bytes.0.saturating_add(it.metrics.persisted_bytes);
            it.metrics.checkpointed_bytes = bytes;
            let handle = Handle {
                checkpoint: *id,
                task: Some(self.id),
                bytes: it.bytes.1.saturating_add(it.metrics.persisted_bytes),
            };
            it.writing = Some(handle);
            let note = Note::rule(Rule::Snapshot, Some(self.id), bytes as i64, *id);
            io.effects.notes.push(note);
            io.uploads.push(Packet::WriteState {
                handle,
                state: Some(Arc::new(state)),
                bytes,
            });
        }
    }

    /// A snapshot lies in the storage.
    pub fn written(&mut self, handle: Handle, at: Moment, io: &mut Io) {
        let pending = self.checkpoints.pending.get(&handle.checkpoint);
        if pending.is_none_or(|it| it.writing != Some(handle)) {
            return;
        }
        let Some(mut it) = self.checkpoints.pending.remove(&handle.checkpoint) else {
            return;
        };
        if let Some((taken, counts)) = it.own {
            io.reports.push(Packet::AcknowledgeSnapshot {
                attempt: self.attempt,
                task: self.id,
                handle,
                taken,
                counts,
            });
            return;
        }
        it.metrics.async_ms = at.wall_ms.saturating_sub(it.taken_ms).max(0);
        io.reports.push(Packet::AcknowledgeCheckpoint {
            attempt: self.attempt,
            checkpoint: it.barrier.checkpoint,
            task: self.id,
            handle,
            metrics: it.metrics,
            files: it.files,
        });
    }

    /// The storage is gone: what was being written there is lost.
    pub fn unwritten(&mut self, io: &mut Io) {
        let lost: Vec<i64> = self
            .checkpoints
            .pending
            .iter()
            .filter(|(_, it)| it.writing.is_some())
            .map(|(id, _)| *id)
            .collect();
        for checkpoint in lost {
            self.abort(checkpoint);
            if self.checkpoints.own.is_some() {
                continue;
            }
            io.reports.push(Packet::DeclineCheckpoint {
                attempt: self.attempt,
                checkpoint,
                task: self.id,
                reason: Decline::AsyncException,
            });
        }
    }

    /// The JobManager says that a checkpoint is complete. With `stop` it is the savepoint that the
    /// job stops with (`StreamTask.notifyCheckpointComplete`): the task ends once its sinks have done
    /// what that brings about.
    pub fn complete(&mut self, (checkpoint, stop): (i64, bool), at: Moment, io: &mut Io) {
        self.stopping |= stop;
        self.checkpoints.complete = self.checkpoints.complete.max(checkpoint);
        self.chain.complete(checkpoint, at.wall_ms, &mut io.effects);
        self.chain.backends().for_each(|it| it.complete(checkpoint));
    }

    /// The JobManager says that a checkpoint will not be complete.
    pub fn aborted(&mut self, checkpoint: i64) {
        let known = &mut self.checkpoints;
        if checkpoint > known.begun {
            known.aborted.insert(checkpoint);
            if known.aborted.len() > ABORTED_MAX {
                known.aborted.pop_first();
            }
        }
        self.abort(checkpoint);
    }

    /// A checkpoint will not be complete: so says the JobManager, or the barriers do.
    fn abort(&mut self, checkpoint: i64) {
        self.checkpoints.pending.remove(&checkpoint);
        self.chain.backends().for_each(|it| it.abort(checkpoint));
        if self.stopped_at == Some(checkpoint) {
            self.stopped_at = None;
        }
        if self.checkpoints.flushing == Some(checkpoint) {
            self.checkpoints.flushing = None;
        }
        if self.checkpoints.last == Some(checkpoint) {
            self.checkpoints.last = None;
        }
        if self.checkpoints.taken == checkpoint && checkpoint > self.checkpoints.complete {
            self.checkpoints.taken = self.checkpoints.complete;
        }
    }
}
