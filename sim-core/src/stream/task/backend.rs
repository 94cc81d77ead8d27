//! Where an operator's keyed state lives, as far as its thread and its checkpoints feel it.
//!
//! Follows `EmbeddedRocksDBStateBackend` by way of [`lsm`]: each record reads and writes an entry of
//! average size in an LSM tree, which costs `strandline.rocksdb.access-ns` for every place that a
//! read looks at and once for the write; an incremental checkpoint flushes the write buffer and
//! uploads the files that the last completed one has not. The entries themselves are those of the
//! operator, whichever backend holds them. State that is restored in another form than the files of
//! this backend (of a savepoint, or of other subtasks) is written anew. Left out: what the timers
//! and the clean-up of expired state cost, and merging as work of its own threads. The heap
//! (`HashMapStateBackend`) needs none of this: a snapshot there costs
//! `strandline.heap.copy-ns` for each entry.
//!
//! [`lsm`]: crate::stream::rules::lsm

use crate::kernel::Nanos;
use crate::stream::config::{JobConfig, StateBackend};
use crate::stream::operator::{KeyedState, StateSize};
use crate::stream::protocol::Attempt;
use crate::stream::rules::lsm::incremental::{IncrementalSnapshots, Sharing};
use crate::stream::rules::lsm::{Lsm, LsmSettings, SstFile};
use crate::stream::snapshot::{BackendFiles, TaskSnapshot};
use crate::stream::task::chain::{Chain, Link};
use serde::Serialize;
use std::sync::Arc;

/// The LSM backend of an operator in a subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Backend {
    /// Tells it from the backends of other operators and subtasks.
    number: u32,
    operator: u32,
    lsm: Lsm,
    snapshots: IncrementalSnapshots,
    /// Places that a read looks at, and how many bytes had been flushed when they were counted.
    places: (u64, u32),
    access: Nanos,
    incremental: bool,
}

impl Backend {
    /// The backend of an operator's subtask, if the job's settings name this one. Its write buffer is
    /// flushed at `most` bytes at the latest, as managed memory has no more. `restored` are the
    /// files of the checkpoint that it goes on from, if that has files of this backend; `size` is
    /// how much state there is.
    #[must_use]
    pub fn open(
        (config, most): (&JobConfig, u64),
        (operator, subtask, attempt): (u32, u16, Attempt),
        restored: Option<(i64, &BackendFiles)>,
        size: StateSize,
    ) -> Option<Box<Self>> {
        if config.backend != StateBackend::RocksDb {
            return None;
        }
        let settings = LsmSettings {
            write_buffer: config.rocksdb_write_buffer.0.min(most),
            target_file_size: config.rocksdb_target_file.0,
            level_base: config.rocksdb_level_base.0,
            ..LsmSettings::default()
        };
        let number = operator << 16 | u32::from(subtask);
        let own = restored.filter(|(_, it)| it.backend == number);
        let (mut lsm, snapshots) = match own {
            Some((checkpoint, it)) => {
                let files = it.all();
                let snapshots = IncrementalSnapshots::restore(checkpoint, &files);
                (Lsm::restore(settings, &files), snapshots)
            }
            None => (Lsm::new(settings), IncrementalSnapshots::default()),
        };
        // No two attempts give their files the same numbers.
        lsm.number_from(u64::from(attempt) << 32);
        if own.is_none() {
            lsm.write(size.bytes, size.bytes);
        }
        let places = (lsm.written().0, lsm.read_amplification());
        Some(Box::new(Backend {
            number,
            operator,
            lsm,
            snapshots,
            places,
            access: config.rocksdb_access_ns,
            incremental: config.incremental,
        }))
    }

    /// A record read and wrote an entry; what that costs, ns.
    pub fn access(&mut self, before: StateSize, after: StateSize) -> Nanos {
        let each = after.bytes.checked_div(after.entries).unwrap_or(0);
        let grown = after.bytes.saturating_sub(before.bytes);
        self.lsm.write(each.max(grown), after.bytes);
        let flushed = self.lsm.written().0;
        if flushed != self.places.0 {
            self.places = (flushed, self.lsm.read_amplification());
        }
        self.cost_of(self.places.1)
    }

    /// What reading and writing an entry costs where a read looks at so many places, ns.
    fn cost_of(&self, places: u32) -> Nanos {
        self.access.saturating_mul(u64::from(places) + 1)
    }

    /// What a checkpoint has of it, unless it is one with all entries (a savepoint, or where
    /// checkpoints are not incremental).
    pub fn snapshot(
        &mut self,
        checkpoint: i64,
        savepoint: bool,
        size: StateSize,
    ) -> Option<BackendFiles> {
        if savepoint || !self.incremental {
            return None;
        }
        self.lsm.flush(size.bytes);
        let files = self.lsm.files();
        let upload = self
            .snapshots
            .snapshot(checkpoint, files, Sharing::ForwardBackward);
        Some(BackendFiles {
            operator: self.operator,
            backend: self.number,
            new: upload.new,
            reused: upload.reused,
        })
    }

    /// A checkpoint is complete, and may be built upon.
    pub fn complete(&mut self, checkpoint: i64) {
        self.snapshots.on_complete(checkpoint);
    }

    /// A checkpoint will not be complete.
    pub fn abort(&mut self, checkpoint: i64) {
        self.snapshots.on_aborted(checkpoint);
    }

    /// What it has allocated outside the heap, bytes: its write buffer, its block cache as far as there
    /// are blocks, and an entry for each block of its files.
    #[must_use]
    pub fn native(&self, block_cache: u64) -> u64 {
        /// `block_size`, and about what a block's last key and its place take in an index.
        const BLOCK: (u64, u64) = (4_096, 40);
        let files = self.lsm.bytes();
        self.lsm.memtable() + files.min(block_cache) + files / BLOCK.0 * BLOCK.1
    }

    /// Its tree.
    #[must_use]
    pub fn lsm(&self) -> &Lsm {
        &self.lsm
    }

    /// The checkpoints that share its files.
    #[must_use]
    pub fn snapshots(&self) -> &IncrementalSnapshots {
        &self.snapshots
    }

    /// Places that the next read looks at, and what it costs with the write, ns.
    #[must_use]
    pub fn cost(&self) -> (u32, Nanos) {
        let places = self.lsm.read_amplification();
        (places, self.cost_of(places))
    }
}

/// The backends of a chain's operators.
impl Chain {
    /// Opens the backends, once the operators are.
    pub(super) fn open_backends(
        &mut self,
        limits: (&JobConfig, u64),
        (subtask, attempt): (u16, Attempt),
        (restored, checkpoint): (&[Arc<TaskSnapshot>], Option<i64>),
    ) {
        // Of several old subtasks nothing is taken over file by file.
        let files = match restored {
            [one] => one.files.as_slice(),
            _ => &[],
        };
        for it in &mut self.links {
            let Link::Operator(operator) = &it.link else {
                continue;
            };
            let of = files.iter().find(|files| files.operator == it.operator);
            let of = checkpoint.zip(of);
            let site = (it.operator, subtask, attempt);
            it.backend = match operator.is_keyed() {
                true => Backend::open(limits, site, of, operator.size()),
                false => None,
            };
        }
    }

    /// The files of a checkpoint, and how long the thread stands still for the snapshot, ns.
    pub(super) fn snapshot_files(
        &mut self,
        (checkpoint, savepoint): (i64, bool),
        config: &JobConfig,
    ) -> (Vec<BackendFiles>, Nanos) {
        let (mut files, mut pause) = (Vec::new(), 0_u64);
        for it in &mut self.links {
            let Link::Operator(operator) = &it.link else {
                continue;
            };
            let size = operator.size();
            match &mut it.backend {
                Some(backend) => files.extend(backend.snapshot(checkpoint, savepoint, size)),
                None => {
                    let copied = size.entries.saturating_mul(config.heap_copy_ns);
                    pause = pause.saturating_add(copied);
                }
            }
        }
        (files, pause)
    }

    /// Bytes that a checkpoint with these files writes, and bytes that a restore from it reads.
    pub(super) fn checkpoint_bytes(&self, files: &[BackendFiles]) -> (u64, u64) {
        let mut sum = (0_u64, 0_u64);
        for it in &self.links {
            let Link::Operator(operator) = &it.link else {
                continue;
            };
            let of = files.iter().find(|files| files.operator == it.operator);
            let all = operator.size().bytes;
            let (new, full) = of.map_or((all, all), BackendFiles::bytes);
            sum = (sum.0.saturating_add(new), sum.1.saturating_add(full));
        }
        sum
    }

    /// The keyed state of its operators, by operator and key group; shared.
    pub(in crate::stream) fn keyed(&self) -> Vec<(u32, u32, KeyedState)> {
        let mut all = Vec::new();
        for it in &self.links {
            if let Link::Operator(operator) = &it.link {
                let keyed = operator.snapshot().keyed;
                all.extend(
                    keyed
                        .into_iter()
                        .map(|(group, state)| (it.operator, group, state)),
                );
            }
        }
        all
    }

    /// What its backends have allocated outside the heap, bytes.
    #[must_use]
    pub fn native(&self, config: &JobConfig) -> u64 {
        let all = self.links.iter().filter_map(|it| it.backend.as_deref());
        let cache = match config.rocksdb_managed {
            // One for all that share the slot, which is what bounds it.
            true => u64::MAX,
            false => config.rocksdb_block_cache.0,
        };
        all.fold(0, |sum, it| sum.saturating_add(it.native(cache)))
    }

    /// The backends that there are.
    pub(super) fn backends(&mut self) -> impl Iterator<Item = &mut Backend> {
        let all = self.links.iter_mut();
        all.filter_map(|it| it.backend.as_deref_mut())
    }
}

impl BackendFiles {
    /// All files, in the order of the tree.
    #[must_use]
    pub fn all(&self) -> Vec<SstFile> {
        let mut files: Vec<SstFile> = self.new.iter().chain(&self.reused).copied().collect();
        files.sort_unstable_by_key(|it| (it.level, it.span, it.id));
        files
    }

    /// Bytes that are uploaded, and bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |files: &[SstFile]| files.iter().map(|it| it.bytes).sum::<u64>();
        (sum(&self.new), sum(&self.new) + sum(&self.reused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(set: &[(&str, &str)]) -> JobConfig {
        let mut config = JobConfig::default();
        for (key, value) in set {
            config.set(key, value).expect("a sound setting");
        }
        config
    }

    const LSM: [(&str, &str); 4] = [
        ("state.backend.type", "rocksdb"),
        ("execution.checkpointing.incremental", "true"),
        ("state.backend.rocksdb.writebuffer.size", "1 kb"),
        ("strandline.rocksdb.access-ns", "10"),
    ];

    fn size(entries: u64) -> StateSize {
        StateSize {
            entries,
            bytes: entries * 100,
        }
    }

    #[test]
    fn a_read_costs_more_the_more_places_there_are() {
        assert_eq!(
            Backend::open((&config(&[]), u64::MAX), (1, 0, 1), None, size(0)),
            None
        );
        let mut it =
            Backend::open((&config(&LSM), u64::MAX), (1, 0, 1), None, size(0)).expect("named");
        // The write buffer, and the write.
        assert_eq!(it.access(size(0), size(1)), 20);
        let costs: Vec<u64> = (1..36).map(|n| it.access(size(n), size(n + 1))).collect();
        // 11 records of 100 bytes fill a buffer of 1,024: a file more is looked at after each.
        let first_with = |cost| costs.iter().position(|it| *it == cost);
        assert_eq!(
            (first_with(30), first_with(40), first_with(50)),
            (Some(9), Some(20), Some(31))
        );
    }

    #[test]
    fn a_checkpoint_uploads_what_the_last_complete_one_has_not() {
        let config = config(&LSM);
        let mut it = Backend::open((&config, u64::MAX), (1, 2, 1), None, size(0)).expect("named");
        it.access(size(0), size(5));
        let one = it.snapshot(1, false, size(5)).expect("files");
        assert_eq!((one.bytes(), one.backend), ((500, 500), 1 << 16 | 2));
        it.complete(1);
        it.access(size(5), size(7));
        let two = it.snapshot(2, false, size(7)).expect("files");
        assert_eq!(two.bytes(), (200, 700));
        it.abort(2);
        assert_eq!(
            it.snapshot(3, true, size(7)),
            None,
            "a savepoint has no files"
        );
        // Restored from 1, its files are the base, and new ones have other numbers.
        let mut again =
            Backend::open((&config, u64::MAX), (1, 2, 2), Some((1, &one)), size(5)).expect("named");
        again.access(size(5), size(6));
        let four = again.snapshot(4, false, size(6)).expect("files");
        assert_eq!(four.bytes(), (100, 600));
        assert!(four.new.iter().all(|file| file.id >= 2 << 32));
        // What belonged to another subtask is written anew.
        let other =
            Backend::open((&config, u64::MAX), (1, 1, 2), Some((1, &one)), size(5)).expect("named");
        assert_eq!(
            (
                other.lsm().bytes() + other.lsm().memtable(),
                other.snapshots.base()
            ),
            (500, None)
        );
    }
}
