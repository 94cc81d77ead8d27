//! The node that keeps checkpoints: a file system or an object store.
//!
//! Follows `FsCheckpointStorageAccess` as far as a job sees it: a state is there once all its bytes
//! are written, each TaskManager writes and reads one after the other at
//! `strandline.storage.bytes-per-second`, and what is there survives every crash but that of the
//! disk; a write under way is lost with a crash. Files that incremental checkpoints share are kept
//! one by one until the JobManager says that nobody uses them; a state whose files are not all there
//! cannot be read. What was uploaded and never acknowledged stays, as it does in Flink. Left out:
//! listing, and storage inlined in metadata.

use super::job::Job;
use super::node::{StreamCx, StreamInput, Timer};
use super::note::Note;
use super::protocol::{Attempt, Packet, TaskId};
use super::snapshot::{Handle, TaskSnapshot};
use crate::kernel::{Input, Loss, MILLISECOND, Nanos, NodeId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// A state that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Kept {
    /// What; none for a checkpoint's metadata.
    pub state: Option<Arc<TaskSnapshot>>,
    /// Bytes that were written for it alone.
    pub bytes: u64,
    /// Since when it is there, ns.
    pub since: Nanos,
}

/// What a reader or a writer waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Work {
    Write {
        handle: Handle,
        state: Option<Arc<TaskSnapshot>>,
        bytes: u64,
    },
    Read {
        attempt: Attempt,
        task: TaskId,
        handle: Handle,
    },
}

/// A timer of the storage: the piece of work with this number is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct StorageTimer(u64);

/// The storage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Storage {
    bytes_per_second: u64,
    kept: BTreeMap<Handle, Kept>,
    /// Files that checkpoints share: of which backend, which, by which checkpoint; with their bytes.
    files: BTreeMap<(u32, u64, i64), u64>,
    bytes: u64,
    /// Until when each machine is served, ns.
    busy: BTreeMap<NodeId, Nanos>,
    under_way: BTreeMap<u64, (NodeId, Work)>,
    next: u64,
}

impl Storage {
    /// The storage of a job.
    #[must_use]
    pub fn new(job: &Job) -> Self {
        Storage {
            bytes_per_second: job.spec.config.storage_speed,
            kept: BTreeMap::new(),
            files: BTreeMap::new(),
            bytes: 0,
            busy: BTreeMap::new(),
            under_way: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn on(&mut self, input: StreamInput<StorageTimer>, cx: &mut StreamCx<'_>) {
        match input {
            Input::Message { from, msg } => self.on_packet(from, msg, cx),
            Input::Timer(StorageTimer(number)) => {
                if let Some((node, work)) = self.under_way.remove(&number) {
                    self.finish(node, work, cx);
                }
            }
            Input::Boot | Input::Disconnected(_) | Input::Order(_) => {}
        }
    }

    fn on_packet(&mut self, from: NodeId, packet: Packet, cx: &mut StreamCx<'_>) {
        match packet {
            Packet::WriteState {
                handle,
                state,
                bytes,
            } => {
                let work = Work::Write {
                    handle,
                    state,
                    bytes,
                };
                self.begin(from, work, bytes, cx);
            }
            Packet::ReadState {
                attempt,
                task,
                handle,
            } => {
                let work = Work::Read {
                    attempt,
                    task,
                    handle,
                };
                let there = self.kept.contains_key(&handle);
                self.begin(from, work, if there { handle.bytes } else { 0 }, cx);
            }
            Packet::EditState {
                from: old,
                to,
                edit,
            } => {
                let state = old.and_then(|it| self.kept.get(&it)?.state.clone());
                if old.is_some() && state.is_none() {
                    return;
                }
                let now_ms = (cx.now() / MILLISECOND) as i64;
                let (state, rows) = TaskSnapshot::edited(state.unwrap_or_default(), &edit, now_ms);
                cx.note(Note::StateEdited {
                    operator: edit.operator,
                    rows,
                });
                let work = Work::Write {
                    handle: to,
                    state: Some(state),
                    bytes: to.bytes,
                };
                self.begin(from, work, to.bytes, cx);
            }
            Packet::DiscardState { checkpoint } => self.discard(checkpoint),
            Packet::DiscardFiles { files } => {
                for it in files {
                    let key = (it.key.backend, it.key.file, it.uploaded_by);
                    self.bytes -= self.files.remove(&key).unwrap_or(0);
                }
            }
            _ => {}
        }
    }

    /// Begins a piece of work behind the others of that machine.
    fn begin(&mut self, node: NodeId, work: Work, bytes: u64, cx: &mut StreamCx<'_>) {
        let span = match self.bytes_per_second {
            0 => 0,
            speed => u128::from(bytes) * SECOND / u128::from(speed),
        };
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        let busy = self.busy.entry(node).or_default();
        *busy = (*busy).max(cx.now()).saturating_add(span);
        let after = *busy - cx.now();
        if after == 0 {
            self.finish(node, work, cx);
            return;
        }
        let number = self.next;
        self.next += 1;
        self.under_way.insert(number, (node, work));
        cx.set_timer(after, Timer::Storage(StorageTimer(number)));
    }

    fn finish(&mut self, node: NodeId, work: Work, cx: &mut StreamCx<'_>) {
        match work {
            Work::Write {
                handle,
                state,
                bytes,
            } => {
                let since = cx.now();
                let shared = self.keep_files(handle.checkpoint, state.as_deref());
                let kept = Kept {
                    state,
                    bytes: bytes.saturating_sub(shared),
                    since,
                };
                self.bytes = self.bytes.saturating_add(kept.bytes);
                let before = self.kept.insert(handle, kept);
                self.bytes -= before.map_or(0, |it| it.bytes);
                cx.send(node, Packet::StateWritten { handle });
            }
            Work::Read {
                attempt,
                task,
                handle,
            } => {
                let state = self.kept.get(&handle).and_then(|it| it.state.clone());
                let state = state.filter(|it| self.has_files(it));
                let packet = Packet::StateRead {
                    attempt,
                    task,
                    handle,
                    state,
                };
                cx.send(node, packet);
            }
        }
    }

    /// Keeps the files that a checkpoint uploads; how many bytes they have.
    fn keep_files(&mut self, checkpoint: i64, state: Option<&TaskSnapshot>) -> u64 {
        let mut bytes = 0;
        for it in state.into_iter().flat_map(|it| it.files.iter()) {
            for file in &it.new {
                let before = self
                    .files
                    .insert((it.backend, file.id, checkpoint), file.bytes);
                self.bytes = self.bytes.saturating_add(file.bytes) - before.unwrap_or(0);
                bytes += file.bytes;
            }
        }
        bytes
    }

    /// Whether every file of a state is there.
    fn has_files(&self, state: &TaskSnapshot) -> bool {
        state.files.iter().all(|it| {
            let mut all = it.new.iter().chain(&it.reused);
            all.all(|file| {
                let (first, last) = (
                    (it.backend, file.id, i64::MIN),
                    (it.backend, file.id, i64::MAX),
                );
                self.files.range(first..=last).next().is_some()
            })
        })
    }

    /// Files that checkpoints share, and their bytes.
    #[must_use]
    pub fn shared(&self) -> (u64, u64) {
        (self.files.len() as u64, self.files.values().sum())
    }

    /// Drops every state of a checkpoint, also what is being written.
    fn discard(&mut self, checkpoint: i64) {
        let bytes = &mut self.bytes;
        self.kept.retain(|handle, kept| {
            let stays = handle.checkpoint != checkpoint;
            *bytes -= if stays { 0 } else { kept.bytes };
            stays
        });
        self.under_way.retain(|_, (_, work)| match work {
            Work::Write { handle, .. } => handle.checkpoint != checkpoint,
            Work::Read { .. } => true,
        });
    }

    /// Drops what a crash takes: what is being written or read. With the disk all is lost.
    pub(super) fn crash(&mut self, loss: Loss) {
        self.under_way.clear();
        self.busy.clear();
        if loss == Loss::Disk {
            self.kept.clear();
            self.files.clear();
            self.bytes = 0;
        }
    }

    /// About how many bytes a copy takes: states are shared.
    pub(super) fn weight(&self) -> usize {
        let files = self.files.len() * size_of::<(u32, u64, i64, u64)>();
        size_of::<Self>() + self.kept.len() * size_of::<(Handle, Kept)>() + files
    }

    /// What is kept, by checkpoint and task.
    #[must_use]
    pub fn kept(&self) -> &BTreeMap<Handle, Kept> {
        &self.kept
    }

    /// Bytes that were written for what is kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes under way: by whom, where to.
    pub fn writing(&self) -> impl Iterator<Item = (NodeId, Handle)> {
        self.under_way.values().filter_map(|(node, it)| match it {
            Work::Write { handle, .. } => Some((*node, *handle)),
            Work::Read { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::spec::{MapFunction, OperatorKind};
    use crate::stream::testing::{TestCx, job_of};

    const TASK: TaskId = TaskId {
        vertex: 0,
        subtask: 0,
    };

    fn handle(checkpoint: i64, bytes: u64) -> Handle {
        Handle {
            checkpoint,
            task: Some(TASK),
            bytes,
        }
    }

    struct Rig {
        storage: Storage,
        cx: TestCx,
    }

    impl Rig {
        /// 1 byte each ms.
        fn new() -> Self {
            let mut job = job_of(OperatorKind::Map(MapFunction::Identity), 1);
            job.spec.config.storage_speed = 1_000;
            Rig {
                storage: Storage::new(&job),
                cx: TestCx::default(),
            }
        }

        fn write(&mut self, from: u32, handle: Handle) {
            let msg = Packet::WriteState {
                handle,
                state: Some(Arc::default()),
                bytes: handle.bytes,
            };
            self.on(from, msg);
        }

        fn on(&mut self, from: u32, msg: Packet) {
            let from = NodeId(from);
            self.storage.on(Input::Message { from, msg }, &mut self.cx);
        }

        /// What was answered by then: at which ms, to whom, of which checkpoint; and for reads,
        /// whether it was there.
        fn answers(&mut self, ms: u64) -> Vec<(u64, u32, i64, Option<bool>)> {
            while let Some(timer) = self.cx.next_timer(ms * 1_000_000) {
                let Timer::Storage(timer) = timer else {
                    panic!("another machine's timer");
                };
                self.storage.on(Input::Timer(timer), &mut self.cx);
            }
            let sent = std::mem::take(&mut self.cx.sent);
            let each = sent.into_iter().map(|(at, to, packet)| match packet {
                Packet::StateWritten { handle } => (at / 1_000_000, to.0, handle.checkpoint, None),
                Packet::StateRead { handle, state, .. } => {
                    let there = Some(state.is_some());
                    (at / 1_000_000, to.0, handle.checkpoint, there)
                }
                other => panic!("{other:?}"),
            });
            each.collect()
        }
    }

    #[test]
    fn each_machine_writes_and_reads_one_after_the_other() {
        let mut rig = Rig::new();
        rig.write(1, handle(1, 10));
        rig.write(1, handle(2, 5));
        rig.write(2, handle(3, 7));
        assert_eq!(rig.storage.writing().count(), 3);
        let expected = [(7, 2, 3, None), (10, 1, 1, None), (15, 1, 2, None)];
        assert_eq!(rig.answers(20), expected);
        assert_eq!(rig.storage.bytes(), 22);
        for (checkpoint, bytes) in [(3, 7), (9, 7)] {
            let handle = handle(checkpoint, bytes);
            let read = Packet::ReadState {
                attempt: 1,
                task: TASK,
                handle,
            };
            rig.on(2, read);
        }
        let expected = [(27, 2, 3, Some(true)), (27, 2, 9, Some(false))];
        assert_eq!(rig.answers(40), expected);
        rig.on(1, Packet::DiscardState { checkpoint: 1 });
        assert_eq!((rig.storage.bytes(), rig.storage.kept().len()), (12, 2));
        // Written again, it is there once.
        rig.write(1, handle(2, 5));
        rig.answers(60);
        assert_eq!((rig.storage.bytes(), rig.storage.kept().len()), (12, 2));
    }

    #[test]
    fn a_crash_takes_what_was_not_written_yet() {
        let mut rig = Rig::new();
        rig.write(1, handle(1, 10));
        assert_eq!(rig.answers(10).len(), 1);
        rig.write(1, handle(2, 10));
        rig.write(1, handle(3, 10));
        rig.on(1, Packet::DiscardState { checkpoint: 3 });
        rig.storage.crash(Loss::Power);
        rig.cx.clear_timers();
        assert_eq!(rig.answers(100), []);
        let kept: Vec<i64> = rig.storage.kept().keys().map(|it| it.checkpoint).collect();
        assert_eq!(kept, [1]);
        rig.write(1, handle(4, 10));
        assert_eq!(
            rig.answers(200),
            [(110, 1, 4, None)],
            "nobody is busy after a crash"
        );
        rig.storage.crash(Loss::Disk);
        assert_eq!((rig.storage.bytes(), rig.storage.kept().len()), (0, 0));
    }
}
