//! What goes in and out of a TaskManager's tasks: buffers, credit, state, answers of stores.

use super::begins::Begins;
use super::{Ended, Opening, READ_AGAIN_MS, TaskManager, TaskManagerTimer, schemas};
use crate::kernel::{MILLISECOND, NodeId};
use crate::stream::config::StateBackend;
use crate::stream::node::{StreamCx, Timer};
use crate::stream::note::Note;
use crate::stream::protocol::{
    Attempt, ChannelId, Deployment, POSITIONS_REQUEST, Packet, StoreAnswer, StoreRequest, TaskEnd,
    TaskFailure, TaskId,
};
use crate::stream::snapshot::{Handle, TaskSnapshot};
use crate::stream::task::{Io, Task};
use std::collections::BTreeSet;
use std::sync::Arc;

impl TaskManager {
    /// The tasks of an attempt.
    pub(super) fn of_attempt(&self, attempt: Attempt) -> Vec<TaskId> {
        let all = self.tasks.iter().filter(|(_, it)| it.attempt == attempt);
        all.map(|(id, _)| *id).collect()
    }

    /// Ends every task of an attempt before this one.
    pub(super) fn drop_older(&mut self, attempt: Attempt) {
        self.tasks.retain(|_, it| it.attempt >= attempt);
        self.opening.retain(|_, it| it.attempt >= attempt);
        if self.attempt < attempt {
            self.reported.clear();
        }
        self.early.retain(|(of, ..)| *of >= attempt);
        self.early_sizes.retain(|(of, _), _| *of >= attempt);
    }

    /// Begins to run a task: its state is read first.
    pub(super) fn deploy(
        &mut self,
        deployment: Deployment,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let Deployment {
            task,
            restore,
            finished,
            forgotten,
            unshared,
            schemas,
        } = deployment;
        self.reported.remove(&task);
        if let Err(failure) = self.set_up(task, cx.me().0) {
            return self.fail(task, failure, cx);
        }
        let opening = Opening {
            attempt: self.attempt,
            restore,
            finished,
            forgotten,
            unshared,
            schemas: schemas::of_task(&self.job, task, &schemas),
            read: Vec::new(),
            begins: self.begins(task),
        };
        self.opening.insert(task, opening);
        self.read(task, cx);
        self.open_if_read(task, io, dirty, cx);
    }

    /// Asks for the states of a task that are not here yet.
    fn read(&mut self, task: TaskId, cx: &mut StreamCx<'_>) {
        let Some(opening) = self.opening.get(&task) else {
            return;
        };
        let here = |handle: &Handle| opening.read.iter().any(|(it, _)| it == handle);
        let config = &self.job.spec.config;
        let mut asked = false;
        if let Some(begins) = opening.begins.as_ref().filter(|it| it.splits.is_none()) {
            asked = true;
            let ask = Packet::ToStore {
                attempt: opening.attempt,
                task,
                operator: begins.sink,
                request: POSITIONS_REQUEST,
                order: StoreRequest::Positions {
                    source: u16::try_from(begins.source).unwrap_or(u16::MAX),
                },
            };
            cx.send(begins.store, ask);
        }
        for handle in opening.restore.iter().filter(|it| !here(it)) {
            let own = handle.task == Some(task) && opening.restore.len() == 1;
            if config.recovers_locally() && own && self.local.contains_key(handle) {
                // Files of an LSM tree are linked, and not copied.
                let bytes = match config.backend {
                    StateBackend::HashMap => handle.bytes,
                    StateBackend::RocksDb => 0,
                };
                let done = if bytes == 0 {
                    cx.now()
                } else {
                    cx.disk_read(bytes)
                };
                let local = TaskManagerTimer::Local {
                    attempt: opening.attempt,
                    task,
                    handle: *handle,
                };
                cx.set_timer(done.saturating_sub(cx.now()), Timer::TaskManager(local));
                continue;
            }
            asked = true;
            let read = Packet::ReadState {
                attempt: opening.attempt,
                task,
                handle: *handle,
            };
            cx.send(self.job.storage, read);
        }
        if asked && !self.reads {
            self.reads = true;
            let timer = Timer::TaskManager(TaskManagerTimer::Read);
            cx.set_timer(READ_AGAIN_MS * MILLISECOND, timer);
        }
    }

    /// A state has been read from the local disk.
    pub(super) fn read_locally(
        &mut self,
        (attempt, task): (Attempt, TaskId),
        handle: Handle,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let state = self.local.get(&handle).map(Arc::clone);
        let opening = self.opening.get_mut(&task);
        let Some(it) = opening.filter(|it| it.attempt == attempt && !it.has(handle)) else {
            return;
        };
        match state {
            Some(state) => {
                it.read.push((handle, state));
                self.open_if_read(task, io, dirty, cx);
            }
            // It was given up meanwhile: the storage has it.
            None => self.read(task, cx),
        }
    }

    /// State that has not come is asked for again.
    pub(super) fn read_again(&mut self, cx: &mut StreamCx<'_>) {
        self.reads = false;
        let waiting: Vec<TaskId> = self.opening.keys().copied().collect();
        for task in waiting {
            self.read(task, cx);
        }
    }

    /// A task whose state is here begins.
    fn open_if_read(
        &mut self,
        id: TaskId,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        if self.opening.get(&id).is_none_or(|it| !it.is_whole()) {
            return;
        }
        let Some(mut opening) = self.opening.remove(&id) else {
            return;
        };
        // In the order of the handles, whatever came first.
        let order = std::mem::take(&mut opening.restore);
        let place = |handle: &Handle| order.iter().position(|it| it == handle);
        opening.read.sort_by_key(|(handle, _)| place(handle));
        let checkpoint = order.first().map(|it| it.checkpoint);
        let states = std::mem::take(&mut opening.read)
            .into_iter()
            .map(|(_, state)| state);
        let states = states.map(|it| TaskSnapshot::without(it, &opening.forgotten));
        let states = states.map(|it| TaskSnapshot::unshared(it, opening.unshared));
        let states: Vec<Arc<TaskSnapshot>> = match opening.finished {
            true => states.map(TaskSnapshot::at_rest).collect(),
            false => states.collect(),
        };
        let taken = schemas::take_over(id, states, &opening.schemas);
        taken.notes.into_iter().for_each(|it| cx.note(it));
        if let Some(failure) = taken.failure {
            self.opening.insert(id, opening);
            return self.fail(id, failure, cx);
        }
        let mut states = taken.states;
        if let Some(begins) = opening.begins.take() {
            begins.put(&mut states);
        }
        let (job, at) = (Arc::clone(&self.job), Self::moment(cx));
        let mut task = Task::open(
            &job,
            (id, opening.attempt),
            (&self.parallelism, &self.placement),
            (&states, checkpoint),
            at,
        );
        task.schemas = opening.schemas;
        let attempt = opening.attempt;
        task.start(at, io);
        for (_, channel, credit) in self.early.iter().filter(|it| it.0 == attempt) {
            task.output.credit(*channel, *credit);
        }
        for (of, size) in self.early_sizes.iter().filter(|it| it.0.0 == attempt) {
            task.output.resize(of.1, *size);
        }
        if let Some(checkpoint) = checkpoint {
            let mut state = task.chain.keyed();
            state.retain(|it| !taken.begun.contains(&it.0));
            let mut forgotten = opening.forgotten;
            forgotten.extend(taken.begun);
            cx.note(Note::Restored {
                task: id,
                checkpoint,
                parallelism: Arc::clone(&self.parallelism),
                forgotten,
                state,
            });
        }
        let reads = task.chain.source().map(|it| it.partitions(&job));
        self.tasks.insert(id, task);
        self.read_topic((id, attempt), &reads.unwrap_or_default(), cx);
        cx.send(job.job_manager, Packet::TaskRunning { attempt, task: id });
        self.carry((id, attempt), io, dirty, cx);
        dirty.insert(id);
    }

    /// A message for one task.
    pub(super) fn task_message(
        &mut self,
        msg: Packet,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let at = Self::moment(cx);
        match msg {
            Packet::BufferResponse {
                attempt,
                channel,
                item,
                backlog,
            } => {
                let Some(edge) = self.job.graph.edges.get(channel.edge as usize) else {
                    return;
                };
                let id = TaskId {
                    vertex: edge.to,
                    subtask: channel.to,
                };
                if let Some(task) = self.running(id, attempt) {
                    task.arrive(channel, item, backlog);
                    dirty.insert(id);
                }
            }
            Packet::AddCredit {
                attempt,
                channel,
                credit,
            } => {
                let Some(id) = self.sender(channel) else {
                    return;
                };
                if let Some(task) = self.running(id, attempt) {
                    task.output.credit(channel, credit);
                    dirty.insert(id);
                } else if attempt >= self.attempt || self.opens(id, attempt) {
                    self.early.push((attempt, channel, credit));
                }
            }
            Packet::NewBufferSize {
                attempt,
                channel,
                size,
            } => self.resize(attempt, channel, size),
            Packet::AckAllUserRecordsProcessed { attempt, channel } => {
                if let Some(id) = self.sender(channel)
                    && let Some(task) = self.running(id, attempt)
                {
                    task.output.all_processed(channel);
                    dirty.insert(id);
                }
            }
            Packet::StateWritten { handle } => {
                let Some(id) = handle.task else {
                    return;
                };
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.written(handle, at, io);
                    let attempt = task.attempt;
                    self.carry((id, attempt), io, dirty, cx);
                    dirty.insert(id);
                }
            }
            Packet::StateRead {
                attempt,
                task,
                handle,
                state,
            } => {
                if !self.opens(task, attempt) {
                    return;
                }
                match (state, self.opening.get_mut(&task)) {
                    // It may have been asked for twice.
                    (Some(_), Some(opening)) if opening.has(handle) => return,
                    (Some(state), Some(opening)) => opening.read.push((handle, state)),
                    _ => return self.fail(task, TaskFailure::Restore, cx),
                }
                self.open_if_read(task, io, dirty, cx);
            }
            Packet::FromStore {
                attempt,
                task: id,
                operator,
                request,
                answer,
            } => {
                if let StoreAnswer::Positions(splits) = answer {
                    let opening = self.opening.get_mut(&id);
                    let opening = opening.filter(|it| it.attempt == attempt);
                    if let Some(begins) = opening.and_then(|it| it.begins.as_mut()) {
                        begins.splits = Some(splits);
                        self.open_if_read(id, io, dirty, cx);
                    }
                    return;
                }
                let Some(task) = self.running(id, attempt) else {
                    return;
                };
                let done = task.answer(operator, (request, &answer), at, io);
                self.carry((id, attempt), io, dirty, cx);
                if let Err(failure) = done {
                    self.fail(id, failure, cx);
                }
                dirty.insert(id);
            }
            Packet::NotifyCheckpointAborted {
                attempt,
                checkpoint,
            } => {
                self.local.retain(|it, _| it.checkpoint != checkpoint);
                for id in self.of_attempt(attempt) {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.aborted(checkpoint);
                    }
                    dirty.insert(id);
                }
            }
            Packet::AddSplits {
                attempt,
                task,
                partitions,
                earliest,
            } => self.add_splits((task, attempt), (&partitions, earliest), dirty, cx),
            Packet::WatermarkAlignment {
                attempt,
                max_allowed,
            } => {
                for id in self.of_attempt(attempt) {
                    if let Some(source) = self.tasks.get_mut(&id).and_then(|it| it.chain.source()) {
                        source.allow(max_allowed);
                        dirty.insert(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// A receiver wants buffers of another size. A sender that is not here yet is told later.
    pub(super) fn resize(&mut self, attempt: Attempt, channel: ChannelId, size: u32) {
        let Some(id) = self.sender(channel) else {
            return;
        };
        if let Some(task) = self.running(id, attempt) {
            task.output.resize(channel, size);
        } else if attempt >= self.attempt || self.opens(id, attempt) {
            self.early_sizes.insert((attempt, channel), size);
        }
    }

    fn running(&mut self, id: TaskId, attempt: Attempt) -> Option<&mut Task> {
        self.tasks.get_mut(&id).filter(|it| it.attempt == attempt)
    }

    /// Whether a task's state is being read for this attempt.
    fn opens(&self, id: TaskId, attempt: Attempt) -> bool {
        let opening = self.opening.get(&id);
        opening.is_some_and(|it| it.attempt == attempt)
    }

    /// A peer is gone: what depended on the connection fails.
    pub(super) fn disconnected(
        &mut self,
        peer: NodeId,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        self.with_clients(cx, |it, job, cx| it.disconnected(peer, job, cx));
        if peer == self.job.job_manager {
            self.lose_manager(cx);
            return;
        }
        if peer == self.job.storage {
            let reading: Vec<TaskId> = self.opening.keys().copied().collect();
            for id in reading {
                self.fail(id, TaskFailure::Restore, cx);
            }
            for (id, task) in &mut self.tasks {
                task.unwritten(io);
                dirty.insert(*id);
            }
            for report in io.reports.drain(..) {
                cx.send(self.job.job_manager, report);
            }
            return;
        }
        let asks = |it: &Begins| it.store == peer && it.splits.is_none();
        let opening = self.opening.iter();
        let unsaid = opening.filter(|(_, it)| it.begins.as_ref().is_some_and(asks));
        let unsaid: Vec<TaskId> = unsaid.map(|(id, _)| *id).collect();
        for id in unsaid {
            self.fail(id, TaskFailure::Restore, cx);
        }
        let lost: Vec<(TaskId, TaskFailure)> = self
            .tasks
            .iter_mut()
            .filter_map(|(id, task)| {
                if task.talks_to(peer.0) {
                    return Some((*id, TaskFailure::RemoteTransport));
                }
                let stores = self.job.stores.iter().filter(|it| it.1 == peer);
                let mut lost = stores.filter_map(|it| task.chain.store_lost(it.0).err());
                lost.next().map(|failure| (*id, failure))
            })
            .collect();
        for (id, failure) in lost {
            self.fail(id, failure, cx);
        }
    }

    /// A task fails: it is gone, and the JobManager is told.
    pub(super) fn fail(&mut self, task: TaskId, failure: TaskFailure, cx: &mut StreamCx<'_>) {
        self.end(task, TaskEnd::Failed(failure), cx);
    }

    fn end(&mut self, task: TaskId, end: TaskEnd, cx: &mut StreamCx<'_>) {
        let gone = self.tasks.remove(&task);
        let running = gone.as_ref().map(|it| it.attempt);
        let opening = self.opening.remove(&task).map(|it| it.attempt);
        if let Some(ended) = gone.and_then(|it| Ended::of(&it, cx.now())) {
            self.ended.insert(task, ended);
        }
        cx.note(Note::TaskEnded { task, end });
        let attempt = running.or(opening).unwrap_or(self.attempt);
        let ended = Packet::TaskEnded { attempt, task, end };
        cx.send(self.job.job_manager, ended);
    }

    /// Lets tasks work until none has anything left to do at this moment.
    pub(super) fn work(
        &mut self,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let (job, at) = (Arc::clone(&self.job), Self::moment(cx));
        while let Some(id) = dirty.pop_first() {
            let Some(task) = self.tasks.get_mut(&id) else {
                continue;
            };
            let done = task.advance(&job, at, io);
            let (finished, attempt) = (task.has_finished(), task.attempt);
            if finished && task.is_stopping() {
                // No final snapshot was its last: what it began after the savepoint is aborted.
                task.chain.close(&mut io.effects);
            }
            self.carry((id, attempt), io, dirty, cx);
            let done = done.and_then(|()| self.heap_error().map_or(Ok(()), Err));
            match done {
                Err(TaskFailure::OutOfMemory) if self.job.spec.config.exit_on_oom => {
                    self.exhausted(cx);
                    break;
                }
                Err(failure) => self.fail(id, failure, cx),
                Ok(()) if finished => self.end(id, TaskEnd::Finished, cx),
                Ok(()) => {}
            }
        }
        self.report_watermarks(cx);
    }

    /// The task that writes to a channel.
    pub(super) fn sender(&self, channel: ChannelId) -> Option<TaskId> {
        let edge = self.job.graph.edges.get(channel.edge as usize)?;
        Some(TaskId {
            vertex: edge.from.0,
            subtask: channel.from,
        })
    }

    /// Tells the JobManager the watermarks of sources in an alignment group.
    fn report_watermarks(&mut self, cx: &mut StreamCx<'_>) {
        let job = Arc::clone(&self.job);
        for (id, task) in &mut self.tasks {
            let Some(source) = task.chain.source().filter(|it| it.is_aligned(&job)) else {
                continue;
            };
            let watermark = source.reported();
            if self.reported.insert(*id, watermark) != Some(watermark) {
                let report = Packet::ReportedWatermark {
                    attempt: task.attempt,
                    task: *id,
                    watermark,
                };
                cx.send(self.job.job_manager, report);
            }
        }
    }

    /// Sets the timer for the next moment at which a task wants to work.
    pub(super) fn arm(&mut self, cx: &mut StreamCx<'_>) {
        let at = Self::moment(cx);
        let wakes = self.tasks.values().flat_map(|task| {
            let (now, wall) = task.wakes(at.now);
            let wall = wall.map(|due| {
                let wait = due.saturating_sub(at.wall_ms).max(0).unsigned_abs();
                at.now.saturating_add(wait.saturating_mul(MILLISECOND))
            });
            now.into_iter().chain(wall)
        });
        let Some(next) = wakes.min() else {
            return;
        };
        match self.alarm {
            // One that comes too early looks again.
            Some((set, _)) if set <= next => return,
            Some((_, timer)) => cx.cancel(timer),
            None => {}
        }
        let timer = Timer::TaskManager(TaskManagerTimer::Wake);
        let timer = cx.set_timer(next.saturating_sub(at.now), timer);
        self.alarm = Some((next, timer));
    }
}
