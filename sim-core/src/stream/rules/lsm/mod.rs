//! Files of keyed state in a log-structured merge tree, and which of them a checkpoint uploads.
//!
//! Follows RocksDB as Flink's `EmbeddedRocksDBStateBackend` sets it up: writes go to a write buffer,
//! a full one is flushed to a file of level 0, and files are merged downwards by level
//! (`CompactionStyle.LEVEL`). [`incremental`] says what a checkpoint uploads, [`registry`] when a
//! file in the storage may go. It is a model by bytes: keys are taken to be spread evenly, so that a
//! file is a span of the key space and a size, and a level holds at most what is alive. Left out:
//! several write buffers, column families, universal compaction, and the time that merging takes.

pub mod incremental;
pub mod registry;

use serde::Serialize;

/// Settings, by default those of Flink and RocksDB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LsmSettings {
    /// `state.backend.rocksdb.writebuffer.size`, bytes.
    pub write_buffer: u64,
    /// `level0_file_num_compaction_trigger`: files of level 0 that are merged into level 1.
    pub level0_trigger: u32,
    /// `state.backend.rocksdb.compaction.level.target-file-size-base`, bytes.
    pub target_file_size: u64,
    /// `state.backend.rocksdb.compaction.level.max-size-level-base`: bytes of level 1.
    pub level_base: u64,
    /// `max_bytes_for_level_multiplier`: how much larger each further level is.
    pub level_multiplier: u64,
}

impl Default for LsmSettings {
    fn default() -> Self {
        LsmSettings {
            write_buffer: 64 << 20,
            level0_trigger: 4,
            target_file_size: 64 << 20,
            level_base: 256 << 20,
            level_multiplier: 10,
        }
    }
}

/// The last level (`num_levels` is 7); it has no limit.
const LAST_LEVEL: u8 = 6;
/// The key space, which files' spans are parts of.
const KEY_SPACE: u64 = 1 << 32;

/// A file (`.sst`). It is never changed: merging makes new ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SstFile {
    /// Its number, greater for each further file.
    pub id: u64,
    /// The level that it is in.
    pub level: u8,
    /// Its size.
    pub bytes: u64,
    /// The first part of the key space that it covers, and the first after it.
    pub span: (u64, u64),
}

impl SstFile {
    fn overlaps(&self, other: &SstFile) -> bool {
        self.span.0 < other.span.1 && other.span.0 < self.span.1
    }
}

/// The tree of one subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lsm {
    settings: LsmSettings,
    memtable: u64,
    next_id: u64,
    /// By level, then span; those of level 0 by age.
    files: Vec<SstFile>,
    flushed: u64,
    compacted: u64,
}

impl Lsm {
    /// An empty tree.
    #[must_use]
    pub fn new(settings: LsmSettings) -> Self {
        Lsm::restore(settings, &[])
    }

    /// A tree with the files of a checkpoint.
    #[must_use]
    pub fn restore(settings: LsmSettings, files: &[SstFile]) -> Self {
        let newest = files.iter().map(|it| it.id).max();
        Lsm {
            settings,
            memtable: 0,
            next_id: newest.map_or(1, |it| it.saturating_add(1)),
            files: files.to_vec(),
            flushed: 0,
            compacted: 0,
        }
    }

    /// State of so many bytes was written; `alive` is how much there is in all after it. Puts a full
    /// write buffer into a file, and merges what must be merged.
    pub fn write(&mut self, bytes: u64, alive: u64) {
        self.memtable = self.memtable.saturating_add(bytes);
        if self.memtable >= self.settings.write_buffer.max(1) {
            self.flush(alive);
        }
    }

    /// Puts the write buffer into a file of level 0, as each checkpoint does too. A key that was
    /// written twice is there once.
    pub fn flush(&mut self, alive: u64) {
        let bytes = std::mem::take(&mut self.memtable).min(alive);
        if bytes > 0 {
            self.flushed = self.flushed.saturating_add(bytes);
            let id = self.number();
            self.files.push(SstFile {
                id,
                level: 0,
                bytes,
                span: (0, KEY_SPACE),
            });
        }
        while self.compact(alive) {}
        self.files
            .sort_unstable_by_key(|it| (it.level, it.span, it.id));
    }

    /// Files have numbers from this one on.
    pub fn number_from(&mut self, id: u64) {
        self.next_id = self.next_id.max(id);
    }

    fn number(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// What is merged downwards, and when: so many files of level 0, so many bytes of another;
    /// nothing of the last.
    #[must_use]
    pub fn due(&self, level: u8) -> Option<u64> {
        match level {
            0 => Some(u64::from(self.settings.level0_trigger.max(1))),
            LAST_LEVEL.. => None,
            _ => Some(self.limit(level)),
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &LsmSettings {
        &self.settings
    }

    fn level(&self, level: u8) -> impl Iterator<Item = &SstFile> {
        self.files.iter().filter(move |it| it.level == level)
    }

    /// Bytes that a level may hold before some of it moves down.
    fn limit(&self, level: u8) -> u64 {
        let further = u32::from(level).saturating_sub(1);
        let times = self
            .settings
            .level_multiplier
            .max(1)
            .saturating_pow(further);
        self.settings.level_base.saturating_mul(times)
    }

    /// Merges once, if anything is to be merged.
    fn compact(&mut self, alive: u64) -> bool {
        let trigger = self.settings.level0_trigger.max(1) as usize;
        if self.level(0).count() >= trigger {
            let inputs: Vec<SstFile> = self.level(0).copied().collect();
            self.merge(&inputs, 1, alive);
            return true;
        }
        let full = (1..LAST_LEVEL).find(|level| {
            let bytes: u64 = self.level(*level).map(|it| it.bytes).sum();
            bytes > self.limit(*level)
        });
        let Some(level) = full else {
            return false;
        };
        // The oldest file goes first.
        let oldest = self.level(level).min_by_key(|it| it.id).copied();
        let Some(oldest) = oldest else {
            return false;
        };
        let below = level + 1;
        if self.level(below).any(|it| it.overlaps(&oldest)) {
            self.merge(&[oldest], below, alive);
        } else {
            // A trivial move: the file stays as it is.
            let moved = self.files.iter_mut().find(|it| it.id == oldest.id);
            moved.into_iter().for_each(|it| it.level = below);
        }
        true
    }

    /// Merges files into a level, with those of it that they overlap.
    fn merge(&mut self, from: &[SstFile], level: u8, alive: u64) {
        let goes = |it: &SstFile| {
            let below = it.level == level && from.iter().any(|from| from.overlaps(it));
            below || from.iter().any(|from| from.id == it.id)
        };
        let inputs: Vec<SstFile> = self.files.iter().filter(|it| goes(it)).copied().collect();
        self.files.retain(|it| !goes(it));
        let first = inputs.iter().map(|it| it.span.0).min().unwrap_or(0);
        let last = inputs.iter().map(|it| it.span.1).max().unwrap_or(first);
        let width = u128::from(last - first);
        // Of a part of the key space there is no more than its part of what is alive.
        let share = u128::from(alive) * width / u128::from(KEY_SPACE);
        let sum: u128 = inputs.iter().map(|it| u128::from(it.bytes)).sum();
        let bytes = u64::try_from(sum.min(share)).unwrap_or(u64::MAX);
        if bytes == 0 {
            return;
        }
        self.compacted = self.compacted.saturating_add(bytes);
        let target = self.settings.target_file_size.max(1);
        // Not more files than the span has parts, so that none is empty.
        let many = bytes.div_ceil(target).min(last - first).clamp(1, 10_000);
        let part = |of: u64, number: u64| {
            let part = u128::from(of) * u128::from(number) / u128::from(many);
            u64::try_from(part).unwrap_or(of)
        };
        for number in 0..many {
            let id = self.number();
            self.files.push(SstFile {
                id,
                level,
                bytes: part(bytes, number + 1) - part(bytes, number),
                span: (
                    first + part(last - first, number),
                    first + part(last - first, number + 1),
                ),
            });
        }
    }

    /// The files, by level.
    #[must_use]
    pub fn files(&self) -> &[SstFile] {
        &self.files
    }

    /// Bytes in the write buffer.
    #[must_use]
    pub fn memtable(&self) -> u64 {
        self.memtable
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|it| it.bytes).sum()
    }

    /// Bytes that were flushed so far, and bytes that were written by merging.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        (self.flushed, self.compacted)
    }

    /// Places that a read of a key looks at, at worst: the write buffer, each file of level 0, and
    /// one file of each other level.
    #[must_use]
    pub fn read_amplification(&self) -> u32 {
        let levels = (1..=LAST_LEVEL).filter(|level| self.level(*level).next().is_some());
        let young = u32::try_from(self.level(0).count()).unwrap_or(u32::MAX);
        young.saturating_add(1 + levels.count() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: LsmSettings = LsmSettings {
        write_buffer: 100,
        level0_trigger: 4,
        target_file_size: 100,
        level_base: 400,
        level_multiplier: 10,
    };

    /// Files of each level.
    fn shape(lsm: &Lsm) -> Vec<(u8, u64)> {
        let levels = (0..=LAST_LEVEL).map(|level| (level, lsm.level(level).count() as u64));
        levels.filter(|it| it.1 > 0).collect()
    }

    #[test]
    fn a_full_write_buffer_becomes_a_file_and_four_files_are_merged() {
        let mut lsm = Lsm::new(SMALL);
        lsm.write(99, 1_000);
        assert_eq!((shape(&lsm), lsm.memtable()), (vec![], 99));
        lsm.write(1, 1_000);
        assert_eq!((shape(&lsm), lsm.memtable()), (vec![(0, 1)], 0));
        (0..2).for_each(|_| lsm.write(100, 1_000));
        assert_eq!((shape(&lsm), lsm.read_amplification()), (vec![(0, 3)], 4));
        lsm.write(100, 1_000);
        assert_eq!((shape(&lsm), lsm.read_amplification()), (vec![(1, 4)], 2));
        assert_eq!((lsm.bytes(), lsm.written()), (400, (400, 400)));
        let ids: Vec<u64> = lsm.files().iter().map(|it| it.id).collect();
        assert_eq!(ids, [5, 6, 7, 8], "merging makes new files");
        (0..4).for_each(|_| lsm.write(100, 1_000));
        // 800 bytes in level 1 are 400 too many: as many files move down, unchanged.
        assert_eq!(shape(&lsm), [(1, 4), (2, 4)]);
        assert_eq!(lsm.written(), (800, 1_200));
    }

    #[test]
    fn what_is_written_over_takes_no_room_for_long() {
        let mut lsm = Lsm::new(SMALL);
        (0..40).for_each(|_| lsm.write(100, 150));
        let merged: u64 = lsm.level(1).map(|it| it.bytes).sum();
        assert_eq!(merged, 150);
        lsm.write(100, 0);
        assert_eq!(lsm.memtable(), 0, "what was written is gone already");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Levels below the first have no two files of one key, hold no more than there is and no
        /// more than they may, and merging comes to an end.
        #[test]
        fn levels_are_in_order(writes in prop::collection::vec((1_u64..300, 0_u64..9_000), 0..200)) {
            let mut lsm = Lsm::new(SMALL);
            let mut most = 0;
            for (bytes, alive) in writes {
                most = most.max(alive);
                lsm.write(bytes, alive);
                prop_assert!(lsm.level(0).count() < 4);
                for level in 1..=LAST_LEVEL {
                    let files: Vec<&SstFile> = lsm.level(level).collect();
                    prop_assert!(files.windows(2).all(|it| it[0].span.1 <= it[1].span.0));
                    let bytes: u64 = files.iter().map(|it| it.bytes).sum();
                    prop_assert!(bytes <= most.max(1) && bytes <= lsm.limit(level));
                }
            }
        }
    }
}
