//! Partitions of a topic as splits: what a Kafka client brings, and where it is to begin.
//!
//! Follows `KafkaPartitionSplitReader` between its consumer and the element queue, and
//! `SourceReaderBase.addSplits`. Offsets are those of the checkpoint; a partition without one begins
//! where the source is told to, or at its start if it was found while the job ran (FLIP-288), and its
//! place is known as soon as the broker has said where that is. A split that is added has a watermark
//! of its own, which is none at first: the reader's stands still until the split has caught up or is
//! idle. One that is there already is not added again.

use super::split::SplitReader;
use super::{SourceReader, source};
use crate::kafka::embed::Begin;
use crate::stream::element::Record;
use crate::stream::job::Job;
use crate::stream::snapshot::{ListItem, OperatorSnapshot};
use crate::stream::spec::SourceSpec;

impl SourceReader {
    /// The partitions that it reads, each with where it begins; none unless it reads a topic.
    pub(crate) fn partitions(&self, job: &Job) -> Vec<(u16, Begin)> {
        let reads = source(job, self.site.operator).is_some_and(|it| it.kafka.is_some());
        let splits = self.splits.iter().filter(|_| reads);
        let start = splits.map(|it| {
            let begin = match it.fetched.as_deref() {
                Some(fetched) if !fetched.unplaced => {
                    Begin::At(it.offset.min(i64::MAX as u64) as i64)
                }
                Some(fetched) if fetched.added == Some(true) => Begin::Earliest,
                _ => Begin::Anywhere,
            };
            (it.number, begin)
        });
        start.collect()
    }

    /// Adds a split that the file does not tell of.
    pub(super) fn add(
        &mut self,
        (number, offset): (u16, Option<u64>),
        earliest: bool,
        source: &SourceSpec,
    ) {
        let mut split = SplitReader::new(number, offset, source, &mut Vec::new());
        if let Some(fetched) = &mut split.fetched {
            fetched.added = offset.is_none().then_some(earliest);
        }
        self.combined.register(number);
        self.own_idleness = None;
        self.splits.push(split);
    }

    /// Partitions that were found are this reader's from now on; those that it did not have before
    /// are returned, each with where it begins.
    pub(crate) fn add_splits(
        &mut self,
        (partitions, earliest): (&[u16], bool),
        wall_ms: i64,
        job: &Job,
    ) -> Vec<(u16, Begin)> {
        let Some(source) = source(job, self.site.operator) else {
            return Vec::new();
        };
        // The clocks of the splits that are here have run up to now.
        self.called(wall_ms);
        self.run_clocks();
        let mut added = Vec::new();
        for number in partitions.iter().copied() {
            if self.splits.iter().any(|it| it.number == number) {
                continue;
            }
            self.add((number, None), earliest, source);
            let begin = match earliest {
                true => Begin::Earliest,
                false => Begin::Anywhere,
            };
            added.push((number, begin));
        }
        added
    }

    /// Records were fetched, in the order of each partition.
    pub(crate) fn fetch(&mut self, records: Vec<Record>) {
        for record in records {
            let number = record.origin.split;
            let mut splits = self.splits.iter_mut();
            if let Some(split) = splits.find(|it| it.number == number)
                && let Some(fetched) = &mut split.fetched
            {
                if std::mem::take(&mut fetched.unplaced) {
                    split.offset = record.origin.offset;
                }
                fetched.records.push_back(record);
            }
        }
    }

    /// The snapshot of a checkpoint; its positions are remembered if they are to be committed.
    pub(crate) fn snapshot_at(&mut self, checkpoint: i64) -> OperatorSnapshot {
        let snapshot = self.snapshot();
        if self.commits {
            let placed = snapshot.list.iter().filter_map(|it| match it {
                ListItem::Split { split, offset } => Some((*split, i64::try_from(*offset).ok()?)),
                _ => None,
            });
            self.to_commit.insert(checkpoint, placed.collect());
        }
        snapshot
    }

    /// A checkpoint is complete: the positions that it holds, to be committed. Those of older ones
    /// are not wanted any more.
    pub(crate) fn complete(&mut self, checkpoint: i64) -> Vec<(u16, i64)> {
        let later = self.to_commit.split_off(&(checkpoint.saturating_add(1)));
        let mut done = std::mem::replace(&mut self.to_commit, later);
        done.remove(&checkpoint).unwrap_or_default()
    }

    /// Where a partition is read from, unless that was known, and how much lies ahead in it.
    pub(crate) fn place(&mut self, partition: u16, offset: i64, lag: i64) {
        let mut splits = self.splits.iter_mut();
        let Some(split) = splits.find(|it| it.number == partition) else {
            return;
        };
        let Some(fetched) = &mut split.fetched else {
            return;
        };
        fetched.lag = u64::try_from(lag).unwrap_or(0);
        if std::mem::take(&mut fetched.unplaced) {
            split.offset = u64::try_from(offset).unwrap_or(0);
        }
    }

    /// Records that were fetched and not read yet.
    pub(crate) fn fetched(&self) -> usize {
        let each = self.splits.iter().filter_map(|it| it.fetched.as_ref());
        each.map(|it| it.records.len()).sum()
    }
}
