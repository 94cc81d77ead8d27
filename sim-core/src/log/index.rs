//! The sparse indexes of a segment: from offset to place in the file, and from timestamp to offset.
//!
//! Follows `OffsetIndex`, `TimeIndex` and `LogSegment.append`: an entry is written before a batch
//! when more than `index.interval.bytes` went in since the last one. Both are a function of the
//! segment's batches, so they are worked out when somebody looks; nothing is kept. A lookup finds
//! the last entry at or below what is asked for, and the file is scanned from there.

use super::batch::Batch;
use super::config::LogConfig;
use super::record::LogRecord;
use super::segment::Segment;

/// Bytes of an entry of the offset index: relative offset and position.
pub const OFFSET_ENTRY_BYTES: u32 = 8;
/// Bytes of an entry of the time index: timestamp and relative offset.
pub const TIME_ENTRY_BYTES: u32 = 12;

/// An entry of the offset index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct OffsetEntry {
    /// Last offset of the batch.
    pub offset: i64,
    /// Where the batch begins, in bytes from the start of the segment.
    pub position: u64,
}

/// An entry of the time index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TimeEntry {
    /// Largest timestamp so far, ms.
    pub timestamp_ms: i64,
    /// Last offset of the batch that holds it.
    pub offset: i64,
}

/// Both indexes of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct SegmentIndex {
    /// The `.index` file.
    pub offsets: Vec<OffsetEntry>,
    /// The `.timeindex` file.
    pub times: Vec<TimeEntry>,
}

impl SegmentIndex {
    /// Where a search for `offset` begins to scan: the last entry at or below it, else the start of
    /// the segment (`OffsetIndex.lookup`).
    pub fn lookup(&self, base_offset: i64, offset: i64) -> OffsetEntry {
        let above = self.offsets.partition_point(|it| it.offset <= offset);
        let start = OffsetEntry {
            offset: base_offset,
            position: 0,
        };
        above.checked_sub(1).map_or(start, |at| self.offsets[at])
    }

    /// From which offset a search for `timestamp_ms` scans (`TimeIndex.lookup`).
    pub fn lookup_time(&self, base_offset: i64, timestamp_ms: i64) -> TimeEntry {
        let above = self
            .times
            .partition_point(|it| it.timestamp_ms <= timestamp_ms);
        let start = TimeEntry {
            timestamp_ms: -1,
            offset: base_offset,
        };
        above.checked_sub(1).map_or(start, |at| self.times[at])
    }

    /// Bytes of the offset index.
    pub fn offset_bytes(&self) -> u64 {
        self.offsets.len() as u64 * u64::from(OFFSET_ENTRY_BYTES)
    }

    /// Bytes of the time index.
    pub fn time_bytes(&self) -> u64 {
        self.times.len() as u64 * u64::from(TIME_ENTRY_BYTES)
    }

    fn note_time(&mut self, newest: TimeEntry) {
        let known = self.times.last().map_or(-1, |it| it.timestamp_ms);
        if newest.timestamp_ms > known {
            self.times.push(newest);
        }
    }
}

impl<R: LogRecord> Segment<R> {
    /// The indexes with this `index.interval.bytes`. A segment that is `closed` has the time of its
    /// newest record in the time index, whatever the interval.
    pub fn index(&self, interval_bytes: u32, closed: bool) -> SegmentIndex {
        let mut index = SegmentIndex::default();
        let (mut position, mut since) = (0u64, 0u64);
        let mut newest = TimeEntry {
            timestamp_ms: -1,
            offset: self.base_offset(),
        };
        for batch in self.batches() {
            if batch.max_timestamp_ms > newest.timestamp_ms {
                newest = TimeEntry {
                    timestamp_ms: batch.max_timestamp_ms,
                    offset: batch.last_offset(),
                };
            }
            if since > u64::from(interval_bytes) {
                index.offsets.push(OffsetEntry {
                    offset: batch.last_offset(),
                    position,
                });
                index.note_time(newest);
                since = 0;
            }
            since += u64::from(batch.bytes);
            position += u64::from(batch.bytes);
        }
        if closed {
            index.note_time(newest);
        }
        index
    }

    /// The batches that a reader of `offset` goes through: from the index entry below it on, which
    /// may begin with batches that end below `offset`.
    pub fn scan_from(&self, offset: i64, interval_bytes: u32) -> impl Iterator<Item = &Batch<R>> {
        let index = self.index(interval_bytes, false);
        self.batches_from(index.lookup(self.base_offset(), offset).offset)
    }

    /// Whether one of the indexes has no room for another entry, which closes the segment. The last
    /// slot of the time index is kept for the entry that closing it writes.
    pub(super) fn index_is_full(&self, config: &LogConfig) -> bool {
        let most = |entry: u32| u64::from(config.segment_index_bytes / entry);
        let reached = most(TIME_ENTRY_BYTES).saturating_sub(1);
        // So many entries take so many bytes of records: mostly more than a segment may have.
        if reached * u64::from(config.index_interval_bytes) >= self.bytes() {
            return false;
        }
        let index = self.index(config.index_interval_bytes, false);
        index.offsets.len() as u64 >= most(OFFSET_ENTRY_BYTES)
            || index.times.len() as u64 >= reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{KeyId, Log, ProducerStamp, Record, RecordId};

    /// Batches of 100 bytes, one record each, with these timestamps.
    fn log(config: LogConfig, times: &[i64]) -> Log {
        let mut log = Log::new(config);
        for (id, timestamp_ms) in (0..).zip(times) {
            let record = Record {
                id: RecordId(id),
                key: Some(KeyId(0)),
                offset_delta: 0,
                bytes: 39,
                timestamp_ms: *timestamp_ms,
                tombstone: false,
            };
            log.append_as_leader(Batch::new(vec![record], ProducerStamp::NONE), 0);
        }
        log
    }

    #[test]
    fn an_entry_comes_after_each_interval() {
        let log = log(LogConfig::default(), &[5, 9, 7, 8, 20, 11]);
        let index = log.active_segment().index(150, false);
        let offsets: Vec<_> = index
            .offsets
            .iter()
            .map(|e| (e.offset, e.position))
            .collect();
        // 200 bytes went in before offset 2, and 200 more before offset 4.
        assert_eq!(offsets, [(2, 200), (4, 400)]);
        let times: Vec<_> = index
            .times
            .iter()
            .map(|e| (e.timestamp_ms, e.offset))
            .collect();
        assert_eq!(times, [(9, 1), (20, 4)]);
        assert_eq!((index.offset_bytes(), index.time_bytes()), (16, 24));
        let position = |offset| index.lookup(0, offset).position;
        assert_eq!(
            [0, 1, 2, 3, 4, 99].map(position),
            [0, 0, 200, 200, 400, 400]
        );
        let time = |ms| index.lookup_time(0, ms).offset;
        assert_eq!([5, 9, 19, 20].map(time), [0, 1, 1, 4]);
        let scanned: Vec<_> = log.active_segment().scan_from(3, 150).collect();
        assert_eq!(scanned.first().map(|b| b.base_offset), Some(2));
    }

    #[test]
    fn a_closed_segment_has_its_newest_time_in_the_index() {
        let log = log(LogConfig::default(), &[5, 9, 7]);
        let times = |closed| log.active_segment().index(4_096, closed).times.len();
        assert_eq!((times(false), times(true)), (0, 1));
    }

    #[test]
    fn a_full_index_closes_the_segment() {
        let check = |segment_index_bytes, segments| {
            let config = LogConfig {
                index_interval_bytes: 0,
                segment_index_bytes,
                ..LogConfig::default()
            };
            let log = log(config, &[1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(log.segment_count(), segments, "{segment_index_bytes}");
        };
        check(10_485_760, 1);
        // Room for three times, one of them kept: two entries, which three batches make.
        check(36, 3);
    }
}
