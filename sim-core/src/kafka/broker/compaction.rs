//! The cleaner thread: it compacts the dirtiest logs, and deletes old segments of compacted ones.
//!
//! Follows `LogCleaner.CleanerThread`. Each broker cleans its own replicas by itself, so copies of a
//! partition may hold different old values for a while; the newest of each key is in all of them.
//! A pass takes no simulated time. Left out: several threads, and `log.cleaner.io.max.bytes.per.second`.

use super::groups::INTERNAL;
use super::partition::Partition;
use super::{Broker, BrokerTimer, span};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::rules::cleaner::{Cleaned, Cleaner, Removal};
use crate::log::Record;

/// Shortest pause, so that a setting of 0 stops no clock.
const SHORTEST_PAUSE_MS: i64 = 1;

impl Broker {
    /// Lets the cleaner run from now on, if there is a log for it.
    pub(super) fn start_cleaner(&mut self, cx: &mut KafkaCx<'_>) {
        if self.cleaner_runs || !self.config.log_cleaner_enable {
            return;
        }
        let compacts = |it: &Partition| it.log.log().config().cleanup_policy.compact;
        if self.partitions.iter().any(|(_, it)| compacts(it)) {
            self.cleaner_runs = true;
            self.set_cleaner(cx);
        }
    }

    fn set_cleaner(&self, cx: &mut KafkaCx<'_>) {
        let pause_ms = self.config.log_cleaner_backoff_ms.max(SHORTEST_PAUSE_MS);
        cx.set_timer(span(pause_ms), BrokerTimer::Cleaner.into());
    }

    /// The cleaner wakes up: it goes on until no log is dirty enough.
    pub(super) fn on_cleaner(&mut self, cx: &mut KafkaCx<'_>) {
        self.cleaner_runs = false;
        let wall_ms = cx.wall_ms();
        let cleaner = Cleaner::with_buffer(self.config.log_cleaner_dedupe_bytes);
        loop {
            let logs = self.partitions.iter().map(|(tp, it)| (tp, &it.log));
            let Some((tp, range)) = self.cleaner.grab_filthiest(logs, wall_ms) else {
                break;
            };
            let Some(partition) = self.partitions.get_mut(tp) else {
                break;
            };
            let log = &mut partition.log;
            let (from, to) = (range.first_dirty, range.first_uncleanable);
            let cleaned = cleaner.clean(log, from, to, wall_ms);
            // Both sides of the call follow from the state that `grab_filthiest` has set.
            let _ = self.cleaner.done_cleaning(tp, cleaned.end_offset);
            self.note_cleaned(tp, from, &cleaned, cx);
            if cleaned.end_offset <= from {
                break;
            }
        }
        let logs = self.partitions.iter().map(|(tp, it)| (tp, &it.log));
        for tp in self.cleaner.deletable(logs) {
            self.delete_old_segments(tp, wall_ms, cx);
            let _ = self.cleaner.done_deleting(tp);
        }
        self.start_cleaner(cx);
    }

    fn note_cleaned(
        &self,
        tp: TopicPartition,
        from: i64,
        cleaned: &Cleaned<Record>,
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        let (mut tombstones, mut aborted, mut superseded) = (0, 0, 0);
        for it in &cleaned.removed {
            match it.why {
                Removal::Tombstone => tombstones += 1,
                Removal::Aborted => aborted += 1,
                Removal::Superseded(_) | Removal::Unkeyed => superseded += 1,
            }
            if it.record.id == INTERNAL {
                // What brokers write for themselves is no application's record.
                continue;
            }
            cx.note(Note::Compacted {
                node,
                record: it.record.id,
                key: it.record.key.map(|key| key.0),
                tp,
                offset: it.offset,
                why: it.why,
            });
        }
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let written = count(cleaned.records_written);
        for (rule, before, after) in [
            (Rule::CompactedRecords, written + superseded, written),
            (Rule::TombstonesRemoved, 0, tombstones),
            (Rule::AbortedRemoved, 0, aborted),
            (Rule::MarkersRemoved, 0, count(cleaned.markers_removed)),
            (Rule::DeleteHorizonSet, 0, count(cleaned.horizons_set)),
        ] {
            if before != after {
                self.note_rule(rule, Some(tp), None, before, after, cx);
            }
        }
        let rule = Rule::LogCompacted;
        self.note_rule(rule, Some(tp), None, from, cleaned.end_offset, cx);
    }
}
