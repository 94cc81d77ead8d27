//! The leader epoch cache: which leader epoch began at which offset of a log.
//!
//! Follows `LeaderEpochFileCache` (KIP-101, KIP-279). Followers truncate by it and leaders find
//! divergence with it. Left out: the checkpoint file; the cache is as durable as its log.

/// The epoch that stands for "none" in requests and answers.
pub const NO_EPOCH: i32 = -1;
/// The offset that stands for "none" in requests and answers.
pub const NO_OFFSET: i64 = -1;

/// A leader epoch and the offset of its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct EpochEntry {
    /// Leader epoch.
    pub epoch: i32,
    /// Offset of the first record of the epoch.
    pub start_offset: i64,
}

/// An answer to "where does this epoch end?" (`OffsetForLeaderEpoch`, diverging epoch).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct EpochEnd {
    /// The largest epoch the log knows that is not above the one asked for.
    pub epoch: i32,
    /// The offset after the last record of that epoch.
    pub end_offset: i64,
}

impl EpochEnd {
    /// No answer: the log knows no epochs, or only smaller ones than asked for.
    pub const UNDEFINED: Self = Self {
        epoch: NO_EPOCH,
        end_offset: NO_OFFSET,
    };

    /// Whether there is no answer.
    pub fn is_undefined(&self) -> bool {
        self.end_offset == NO_OFFSET || self.epoch == NO_EPOCH
    }
}

/// Leader epochs of one log, oldest first; epochs and start offsets both grow strictly.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `epoch` starts at `start_offset`; true if that changed the cache.
    ///
    /// A repeated epoch keeps its first offset. Entries that the new one contradicts (same or
    /// larger epoch, same or larger start) are dropped, so that an epoch which wrote nothing
    /// vanishes.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        assert!(
            epoch >= 0 && start_offset >= 0,
            "an epoch entry needs an epoch and an offset, got ({epoch}, {start_offset})"
        );
        if let Some(last) = self.latest()
            && last.epoch == epoch
            && last.start_offset <= start_offset
        {
            return false;
        }
        while let Some(last) = self.entries.last()
            && (last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// Where `epoch` ends in a log whose end is `log_end_offset`.
    ///
    /// The latest epoch ends at the log end. An epoch below the first known one ends where the
    /// first begins, and keeps its name. Otherwise the largest known epoch not above `epoch`
    /// answers, ending where its successor begins. Larger epochs than the latest are undefined.
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> EpochEnd {
        if epoch == NO_EPOCH {
            return EpochEnd::UNDEFINED;
        }
        if self.latest_epoch() == Some(epoch) {
            return EpochEnd {
                epoch,
                end_offset: log_end_offset,
            };
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let Some(higher) = self.entries.get(above) else {
            return EpochEnd::UNDEFINED;
        };
        let floor = above.checked_sub(1).and_then(|at| self.entries.get(at));
        EpochEnd {
            epoch: floor.map_or(epoch, |entry| entry.epoch),
            end_offset: higher.start_offset,
        }
    }

    /// Drops epochs that start at or above `end_offset`. A negative offset does nothing.
    pub fn truncate_from_end(&mut self, end_offset: i64) {
        if end_offset >= 0 {
            let keep = self
                .entries
                .partition_point(|entry| entry.start_offset < end_offset);
            self.entries.truncate(keep);
        }
    }

    /// Drops epochs that end at or below `start_offset`; the one that spans it now starts there.
    pub fn truncate_from_start(&mut self, start_offset: i64) {
        let covered = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        if let Some(at) = covered.checked_sub(1) {
            self.entries.drain(..at);
            if let Some(first) = self.entries.first_mut() {
                first.start_offset = start_offset;
            }
        }
    }

    /// Forgets everything (the log was emptied).
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Whether no epoch is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The newest entry.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The newest epoch.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.latest().map(|entry| entry.epoch)
    }

    /// The oldest entry.
    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// The entry of exactly this epoch.
    pub fn entry(&self, epoch: i32) -> Option<EpochEntry> {
        let at = self
            .entries
            .binary_search_by_key(&epoch, |entry| entry.epoch)
            .ok()?;
        self.entries.get(at).copied()
    }

    /// The largest epoch below `epoch`.
    pub fn previous_epoch(&self, epoch: i32) -> Option<i32> {
        let at = self.entries.partition_point(|entry| entry.epoch < epoch);
        self.entries
            .get(at.checked_sub(1)?)
            .map(|entry| entry.epoch)
    }

    /// The smallest epoch above `epoch`.
    pub fn next_epoch(&self, epoch: i32) -> Option<i32> {
        let at = self.entries.partition_point(|entry| entry.epoch <= epoch);
        self.entries.get(at).map(|entry| entry.epoch)
    }

    /// The epoch in which `offset` was (or would be) written.
    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        let at = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        self.entries
            .get(at.checked_sub(1)?)
            .map(|entry| entry.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(assigned: &[(i32, i64)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::new();
        for &(epoch, start_offset) in assigned {
            cache.assign(epoch, start_offset);
        }
        cache
    }

    fn entries(cache: &LeaderEpochCache) -> Vec<(i32, i64)> {
        cache
            .entries()
            .iter()
            .map(|entry| (entry.epoch, entry.start_offset))
            .collect()
    }

    #[test]
    fn truncation_from_the_end() {
        let check = |end_offset, expect: &[(i32, i64)]| {
            let mut cache = cache(&[(2, 6), (3, 8), (4, 11)]);
            cache.truncate_from_end(end_offset);
            assert_eq!(entries(&cache), expect, "truncate_from_end({end_offset})");
        };
        check(-1, &[(2, 6), (3, 8), (4, 11)]);
        check(12, &[(2, 6), (3, 8), (4, 11)]);
        check(11, &[(2, 6), (3, 8)]);
        check(9, &[(2, 6), (3, 8)]);
        check(8, &[(2, 6)]);
        check(0, &[]);
    }

    #[test]
    fn truncation_from_the_start() {
        let check = |start_offset, expect: &[(i32, i64)]| {
            let mut cache = cache(&[(2, 6), (3, 8), (4, 11)]);
            cache.truncate_from_start(start_offset);
            assert_eq!(
                entries(&cache),
                expect,
                "truncate_from_start({start_offset})"
            );
        };
        check(-1, &[(2, 6), (3, 8), (4, 11)]);
        check(5, &[(2, 6), (3, 8), (4, 11)]);
        check(7, &[(2, 7), (3, 8), (4, 11)]);
        check(8, &[(3, 8), (4, 11)]);
        check(20, &[(4, 20)]);
    }

    #[test]
    fn neighbours_and_owners() {
        let cache = cache(&[(2, 6), (5, 8)]);
        assert_eq!(
            [2, 3, 5, 6].map(|e| cache.previous_epoch(e)),
            [None, Some(2), Some(2), Some(5)]
        );
        assert_eq!(
            [1, 2, 5].map(|e| cache.next_epoch(e)),
            [Some(2), Some(5), None]
        );
        assert_eq!(
            [5, 6, 7, 8].map(|o| cache.epoch_for_offset(o)),
            [None, Some(2), Some(2), Some(5)]
        );
        assert_eq!(cache.entry(3), None);
        assert_eq!(cache.entry(5).map(|entry| entry.start_offset), Some(8));
    }
}
