//! What the tasks of a TaskManager take of its memory, and what happens when there is no more.
//!
//! Follows `NetworkBufferPool`, `NettyShuffleUtils` and `InputGateSpecUtils` of Flink 2.x for buffers:
//! before a task begins, each of its partitions needs a buffer for each subpartition and one more,
//! each of its gates one floating buffer and the exclusive ones of its remote channels, all from a
//! pool of segments that was allocated at once and never grows. State on the heap beyond the heap of
//! tasks is an `OutOfMemoryError` of the task that allocates (`Task.doRun`), or with
//! `taskmanager.jvm-exit-on-oom` the end of the process. RocksDB allocates outside the heap: within
//! managed memory (`RocksDBMemoryControllerUtils`), or, if that is off, whatever write buffers, block
//! caches and indexes of blocks come to, until the process has more than its container may and is
//! killed. State counts with as many bytes as its checkpoint has, and every other area as if it were
//! full. Left out: the collector's pauses, redistribution of the buffers above the least (each pool has
//! as many as the settings allow), buffers that wait for a segment
//! (`taskmanager.network.memory.exclusive-buffers-request-timeout-ms`), iterators' memory.

use super::TaskManager;
use crate::stream::config::StateBackend;
use crate::stream::job::Job;
use crate::stream::memory::MemoryAreas;
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{TaskFailure, TaskId};
use serde::Serialize;
use std::collections::BTreeMap;

/// Memory of a TaskManager whose size is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Memory {
    areas: MemoryAreas,
    /// Segments of the network buffer pool.
    segments: u32,
    /// What tasks need at least, and how much of that is exclusive to channels.
    reserved: BTreeMap<TaskId, (u32, u32)>,
    /// Errors of the heap, and kills by the container, since the machine is there: for who looks on.
    #[serde(skip)]
    ended: (u64, u64),
}

/// What is in use, bytes and segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used {
    /// State on the heap.
    pub heap: u64,
    /// What RocksDB has allocated.
    pub rocksdb: u64,
    /// Segments that hold something or belong to a channel.
    pub segments: u64,
    /// Segments that nobody has reserved (`numTotalRequiredBuffers` of all).
    pub unreserved: u64,
}

impl Memory {
    /// The memory that the job's settings give each TaskManager, if they do.
    pub(super) fn of(job: &Job) -> Option<Box<Self>> {
        // Contradictions were reported when the file was read.
        let areas = job.spec.config.memory().ok().flatten()?;
        let segments = areas.network / u64::from(job.spec.config.segment_size.0.max(1));
        Some(Box::new(Memory {
            areas,
            segments: u32::try_from(segments).unwrap_or(u32::MAX),
            reserved: BTreeMap::new(),
            ended: (0, 0),
        }))
    }

    /// As it is when the process starts again.
    pub(super) fn restarted(&self) -> Box<Self> {
        Box::new(Memory {
            reserved: BTreeMap::new(),
            ..self.clone()
        })
    }

    /// Its areas.
    #[must_use]
    pub fn areas(&self) -> &MemoryAreas {
        &self.areas
    }

    /// Segments of the network buffer pool.
    #[must_use]
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Errors of the heap, and kills by the container.
    #[must_use]
    pub fn ended(&self) -> (u64, u64) {
        self.ended
    }

    fn required(&self) -> u32 {
        self.reserved.values().map(|it| it.0).sum()
    }

    /// Reserves what a task needs, one after the other; of what there is too little is told.
    fn reserve(&mut self, task: TaskId, needs: &[(u32, bool)]) -> Result<(), TaskFailure> {
        self.reserved.remove(&task);
        let (mut all, mut exclusive) = (0, 0);
        for (many, is_exclusive) in needs {
            let available = self.segments.saturating_sub(self.required() + all);
            if *many > available {
                return Err(TaskFailure::NetworkBuffers {
                    required: *many,
                    available,
                });
            }
            all += many;
            exclusive += if *is_exclusive { *many } else { 0 };
        }
        self.reserved.insert(task, (all, exclusive));
        Ok(())
    }
}

/// The buffers that a task cannot begin without, in the order in which it asks for them; which of
/// them belong to a channel.
fn needs(
    job: &Job,
    task: TaskId,
    (parallelism, placement): (&[u32], &[Vec<u32>]),
    me: u32,
) -> Vec<(u32, bool)> {
    let Some(vertex) = job.graph.vertices.get(usize::from(task.vertex)) else {
        return Vec::new();
    };
    let each = u32::from;
    let mut all = Vec::new();
    for edge in &vertex.outputs {
        let to = job.graph.receivers(*edge, task.subtask, parallelism);
        all.push((each(to.end - to.start) + 1, false));
    }
    let channels = job.graph.channels_into(task, parallelism);
    for edge in &vertex.inputs {
        all.push((1, false));
        let from = job.graph.edges.get(usize::from(*edge)).map(|it| it.from.0);
        let nodes = from.and_then(|it| placement.get(usize::from(it)));
        for channel in channels.iter().filter(|it| it.edge == *edge) {
            let node = nodes.and_then(|it| it.get(usize::from(channel.from)));
            if node != Some(&me) {
                all.push((job.spec.config.buffers_per_channel, true));
            }
        }
    }
    all
}

impl TaskManager {
    /// Its memory, if that is limited.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_deref()
    }

    /// What its tasks take of it.
    #[must_use]
    pub fn used(&self) -> Used {
        let mut used = Used {
            heap: 0,
            rocksdb: 0,
            segments: 0,
            unreserved: 0,
        };
        let Some(memory) = &self.memory else {
            return used;
        };
        let config = &self.job.spec.config;
        for task in self.tasks.values() {
            if config.backend == StateBackend::HashMap {
                used.heap += task.chain.size().bytes;
            }
            used.rocksdb += task.chain.native(config);
            let partitions = task.output.partitions.iter();
            let written = partitions.flat_map(|it| &it.subpartitions);
            used.segments += written.map(|it| it.in_use() as u64).sum::<u64>();
            used.segments += u64::from(task.input.floating_in_use());
        }
        if config.rocksdb_managed {
            used.rocksdb = used.rocksdb.min(memory.areas.managed);
        }
        // What tasks had reserved that are gone came back, though it is taken off the list later.
        let here = |it: &TaskId| self.tasks.contains_key(it) || self.opening.contains_key(it);
        let reserved = memory.reserved.iter().filter(|it| here(it.0));
        let (all, exclusive) = reserved.fold((0, 0), |sum, (_, it)| (sum.0 + it.0, sum.1 + it.1));
        used.segments += u64::from(exclusive);
        used.unreserved = u64::from(memory.segments.saturating_sub(all));
        used
    }

    /// Reserves network buffers for a task that is to begin.
    pub(super) fn set_up(&mut self, task: TaskId, me: u32) -> Result<(), TaskFailure> {
        let peers = (&self.parallelism[..], &self.placement[..]);
        let (running, opening) = (&self.tasks, &self.opening);
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        // Those of tasks that are gone came back.
        let here = |it: &TaskId| running.contains_key(it) || opening.contains_key(it);
        memory.reserved.retain(|it, _| here(it));
        memory.reserve(task, &needs(&self.job, task, peers, me))
    }

    /// What a task fails with that has just worked, if state is more than the heap now.
    pub(super) fn heap_error(&mut self) -> Option<TaskFailure> {
        let memory = self.memory.as_deref()?;
        if self.job.spec.config.backend != StateBackend::HashMap {
            return None;
        }
        let tasks = self.tasks.values().map(|it| it.chain.size().bytes);
        if tasks.sum::<u64>() <= memory.areas.task_heap {
            return None;
        }
        self.memory.as_mut()?.ended.0 += 1;
        Some(TaskFailure::OutOfMemory)
    }

    /// The process ends, since its heap is full.
    pub(super) fn exhausted(&mut self, cx: &mut StreamCx<'_>) {
        let (state, heap) = (
            self.used().heap,
            self.memory.as_ref().map_or(0, |it| it.areas.task_heap),
        );
        cx.note(Note::rule(
            Rule::HeapExhausted,
            None,
            state as i64,
            heap as i64,
        ));
        cx.exit();
    }

    /// The container is killed if the process has come to more than it may have.
    pub(super) fn contain(&mut self, cx: &mut StreamCx<'_>) {
        let config = &self.job.spec.config;
        let unlimited = config.backend == StateBackend::RocksDb && !config.rocksdb_managed;
        if self.memory.is_none() || !unlimited {
            return;
        }
        let native = self.used().rocksdb;
        let Some(memory) = &mut self.memory else {
            return;
        };
        let beyond = native.saturating_sub(memory.areas.managed);
        if beyond > 0 {
            memory.ended.1 += 1;
            let whole = memory.areas.process();
            let (has, may) = (whole.saturating_add(beyond) as i64, whole as i64);
            cx.note(Note::rule(Rule::ContainerKilled, None, has, may));
            cx.exit();
        }
    }
}
