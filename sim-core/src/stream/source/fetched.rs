//! Partitions of a topic as splits: what a Kafka client brings, and where it is to begin.
//!
//! Follows `KafkaPartitionSplitReader` between its consumer and the element queue. Offsets are
//! those of the checkpoint; a partition without one begins where the source is told to, and its
//! place is known as soon as the broker has said where that is.

use super::{SourceReader, source};
use crate::stream::element::Record;
use crate::stream::job::Job;

impl SourceReader {
    /// The partitions that it reads, each with the offset to begin at; none unless it reads a topic.
    pub(crate) fn partitions(&self, job: &Job) -> Vec<(u16, Option<i64>)> {
        let reads = source(job, self.site.operator).is_some_and(|it| it.kafka.is_some());
        let splits = self.splits.iter().filter(|_| reads);
        let start = splits.map(|it| {
            let fetched = it.fetched.as_ref();
            let placed = fetched.is_some_and(|it| !it.unplaced);
            (
                it.number,
                placed.then(|| it.offset.min(i64::MAX as u64) as i64),
            )
        });
        start.collect()
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
