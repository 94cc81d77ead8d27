//! Which log is compacted next, and which logs are left alone meanwhile.
//!
//! Follows `LogCleanerManager`: the checkpoint of each log, logs in progress, aborted and paused
//! logs, and logs that cannot be cleaned. A pass of the simulated cleaner takes one instant, so
//! nobody waits here: who aborts a pass finds the log paused as soon as the pass reports back.
//! Left out: several log directories.

use super::cleaner_range::{LogToClean, cleanable_offsets, max_compaction_delay_ms};
use super::partition_log::PartitionLog;
use crate::log::LogRecord;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is being done with a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CleaningState {
    /// It is compacted, or its old segments are deleted.
    InProgress,
    /// The pass under way must stop.
    Aborted,
    /// It is not touched, for so many reasons.
    Paused(u32),
}

/// A call that does not fit the state of the log (`IllegalStateException`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IllegalState;

/// The book of all logs of a broker, by `K`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LogCleanerManager<K: Ord> {
    checkpoints: BTreeMap<K, i64>,
    in_progress: BTreeMap<K, CleaningState>,
    uncleanable: BTreeSet<K>,
}

impl<K: Ord> Default for LogCleanerManager<K> {
    fn default() -> Self {
        LogCleanerManager {
            checkpoints: BTreeMap::new(),
            in_progress: BTreeMap::new(),
            uncleanable: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Copy> LogCleanerManager<K> {
    /// What memory knew and the checkpoint file does not.
    pub fn forget_volatile(&mut self) {
        self.in_progress.clear();
        self.uncleanable.clear();
    }

    /// Up to where a log is clean, if it was ever cleaned.
    pub fn checkpoint(&self, key: K) -> Option<i64> {
        self.checkpoints.get(&key).copied()
    }

    /// Writes, or removes, a log's checkpoint.
    pub fn update_checkpoint(&mut self, key: K, offset: Option<i64>) {
        match offset {
            Some(offset) => self.checkpoints.insert(key, offset),
            None => self.checkpoints.remove(&key),
        };
    }

    /// A log was cut back to `offset`: what comes there anew is dirty.
    pub fn maybe_truncate_checkpoint(&mut self, key: K, offset: i64) {
        if let Some(known) = self.checkpoints.get_mut(&key) {
            *known = offset.min(*known);
        }
    }

    /// What is being done with a log.
    pub fn state(&self, key: K) -> Option<CleaningState> {
        self.in_progress.get(&key).copied()
    }

    /// Sets what is being done with a log.
    pub fn set_state(&mut self, key: K, state: CleaningState) {
        self.in_progress.insert(key, state);
    }

    /// A log that the cleaner stumbled over is left alone from now on.
    pub fn mark_uncleanable(&mut self, key: K) {
        self.uncleanable.insert(key);
    }

    /// The dirtiest compacted log that is dirty enough, or has waited too long; it is in progress
    /// from now on. Checkpoints outside of their logs are set right.
    pub fn grab_filthiest<'a, R: LogRecord + 'a>(
        &mut self,
        logs: impl IntoIterator<Item = (K, &'a PartitionLog<R>)>,
        now_ms: i64,
    ) -> Option<(K, LogToClean)> {
        let mut filthiest: Option<(K, LogToClean)> = None;
        for (key, log) in logs {
            let config = log.log().config();
            let free = !self.in_progress.contains_key(&key) && !self.uncleanable.contains(&key);
            if !config.cleanup_policy.compact || !free {
                continue;
            }
            let range = cleanable_offsets(log, self.checkpoint(key), now_ms);
            if range.force_update_checkpoint {
                self.update_checkpoint(key, Some(range.first_dirty));
            }
            let late = max_compaction_delay_ms(log, range.first_dirty, now_ms) > 0;
            let found = LogToClean::new(log, range.first_dirty, range.first_uncleanable, late);
            let due = (late && found.cleanable_bytes > 0)
                || found.is_dirtier_than(config.min_cleanable_dirty_ppm);
            let dirtier = |(_, other): &(K, LogToClean)| found.cmp_ratio(other).is_gt();
            if found.total_bytes() > 0 && due && filthiest.as_ref().is_none_or(dirtier) {
                filthiest = Some((key, found));
            }
        }
        if let Some((key, _)) = filthiest {
            self.set_state(key, CleaningState::InProgress);
        }
        filthiest
    }

    /// Compacted logs whose old segments may be deleted; they are in progress from now on.
    pub fn deletable<'a, R: LogRecord + 'a>(
        &mut self,
        logs: impl IntoIterator<Item = (K, &'a PartitionLog<R>)>,
    ) -> Vec<K> {
        let compacted = logs
            .into_iter()
            .filter(|(_, log)| log.log().config().cleanup_policy.compact);
        let free = compacted
            .map(|(key, _)| key)
            .filter(|key| !self.in_progress.contains_key(key) && !self.uncleanable.contains(key));
        let found: Vec<K> = free.collect();
        for key in &found {
            self.in_progress.insert(*key, CleaningState::InProgress);
        }
        found
    }

    /// Logs that are not compacted, for retention; they are paused from now on.
    pub fn pause_not_compacted<'a, R: LogRecord + 'a>(
        &mut self,
        logs: impl IntoIterator<Item = (K, &'a PartitionLog<R>)>,
    ) -> Vec<K> {
        let plain = logs
            .into_iter()
            .filter(|(_, log)| !log.log().config().cleanup_policy.compact);
        let free = plain
            .map(|(key, _)| key)
            .filter(|key| !self.in_progress.contains_key(key));
        let found: Vec<K> = free.collect();
        for key in &found {
            self.in_progress.insert(*key, CleaningState::Paused(1));
        }
        found
    }

    /// Stops what is done with a log, and keeps it so until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// If a pass is being aborted already.
    pub fn abort_and_pause(&mut self, key: K) -> Result<(), IllegalState> {
        let next = match self.state(key) {
            None => CleaningState::Paused(1),
            Some(CleaningState::InProgress) => CleaningState::Aborted,
            Some(CleaningState::Paused(count)) => CleaningState::Paused(count + 1),
            Some(CleaningState::Aborted) => return Err(IllegalState),
        };
        self.set_state(key, next);
        Ok(())
    }

    /// Takes one pause back.
    ///
    /// # Errors
    ///
    /// If the log is not paused.
    pub fn resume(&mut self, key: K) -> Result<(), IllegalState> {
        match self.state(key) {
            Some(CleaningState::Paused(1)) => self.in_progress.remove(&key),
            Some(CleaningState::Paused(count)) => self
                .in_progress
                .insert(key, CleaningState::Paused(count - 1)),
            _ => return Err(IllegalState),
        };
        Ok(())
    }

    /// Stops what is done with a log, and lets it go on.
    ///
    /// # Errors
    ///
    /// If the log is in progress or being aborted.
    pub fn abort(&mut self, key: K) -> Result<(), IllegalState> {
        self.abort_and_pause(key)?;
        self.resume(key)
    }

    /// A pass has ended at `end_offset`. One that was aborted leaves no checkpoint.
    ///
    /// # Errors
    ///
    /// If no pass was under way.
    pub fn done_cleaning(&mut self, key: K, end_offset: i64) -> Result<(), IllegalState> {
        if self.state(key) == Some(CleaningState::InProgress) {
            self.update_checkpoint(key, Some(end_offset));
        }
        self.done_deleting(key)
    }

    /// The deletion of a log's old segments has ended.
    ///
    /// # Errors
    ///
    /// If none was under way.
    pub fn done_deleting(&mut self, key: K) -> Result<(), IllegalState> {
        match self.state(key) {
            Some(CleaningState::InProgress) => self.in_progress.remove(&key),
            Some(CleaningState::Aborted) => self.in_progress.insert(key, CleaningState::Paused(1)),
            _ => return Err(IllegalState),
        };
        Ok(())
    }
}
