//! One pass of log compaction: which records stay.
//!
//! Follows `Cleaner`. The first pass reads the dirty part and notes the last offset of each key, as
//! far as the map has room. The second goes through the log from its start and keeps a record if no
//! later one of its key was noted and if it has a value, or is a tombstone whose time is not up. The
//! first pass that keeps a tombstone, or a marker of a transaction without data, sets when that is:
//! `delete.retention.ms` from now, whatever the record's own timestamp. The last batch of each live
//! producer and the last batch below the bound stay, without records if need be. Segments that have
//! become small are joined. Left out: buffers, I/O throttling, and the message formats before v2.

use super::cleaned_txns::CleanedTxns;
use super::partition_log::PartitionLog;
use super::producer_state::ProducerStateManager;
use crate::log::{Batch, LogConfig, LogRecord, Segment};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A millionth: the unit of ratios.
const PPM: u128 = 1_000_000;

/// Last offset of each key in the dirty part of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetMap {
    offsets: BTreeMap<u64, i64>,
    latest: i64,
}

impl OffsetMap {
    /// A map of keys and offsets that counts as built up to `latest`.
    pub fn of(offsets: impl IntoIterator<Item = (u64, i64)>, latest: i64) -> Self {
        let offsets = offsets.into_iter().collect();
        OffsetMap { offsets, latest }
    }

    /// The offset of a key, -1 if it is not in the map.
    pub fn get(&self, key: u64) -> i64 {
        self.offsets.get(&key).copied().unwrap_or(-1)
    }

    /// Keys with their offsets, by key.
    pub fn iter(&self) -> impl Iterator<Item = (u64, i64)> {
        self.offsets.iter().map(|(key, offset)| (*key, *offset))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether no key is in the map.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Up to which offset, inclusive, the log went into the map.
    pub fn latest_offset(&self) -> i64 {
        self.latest
    }
}

/// Why a record was removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Removal {
    /// A later record has the same key, at this offset.
    Superseded(i64),
    /// It was a tombstone, and its time was up.
    Tombstone,
    /// Its transaction was aborted.
    Aborted,
    /// It had no key.
    Unkeyed,
}

/// A record that was removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed<R> {
    /// Where it stood.
    pub offset: i64,
    /// The record.
    pub record: R,
    /// Why.
    pub why: Removal,
}

/// What a pass came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cleaned<R> {
    /// The first offset that was not cleaned; the next pass begins there.
    pub end_offset: i64,
    /// Records that went into the map.
    pub map_records_read: u64,
    /// Records and markers gone through.
    pub records_read: u64,
    /// Their batches in bytes.
    pub bytes_read: u64,
    /// Records and markers kept.
    pub records_written: u64,
    /// Bytes of the cleaned segments.
    pub bytes_written: u64,
    /// Records without key.
    pub invalid_records: u64,
    /// Markers of transactions that were dropped.
    pub markers_removed: u64,
    /// Batches whose tombstones or marker got their delete horizon.
    pub horizons_set: u64,
    /// Segments before and after.
    pub segments: (usize, usize),
    /// What was removed, by offset.
    pub removed: Vec<Removed<R>>,
}

impl<R> Default for Cleaned<R> {
    fn default() -> Self {
        Cleaned {
            end_offset: 0,
            map_records_read: 0,
            records_read: 0,
            bytes_read: 0,
            records_written: 0,
            bytes_written: 0,
            invalid_records: 0,
            markers_removed: 0,
            horizons_set: 0,
            segments: (0, 0),
            removed: Vec::new(),
        }
    }
}

/// What becomes of a batch that has lost all its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Empty {
    Keep,
    Drop,
}

/// A cleaner with the room of its map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleaner {
    /// Entries that the map could hold.
    pub slots: u64,
    /// How full it may get, in millionths (`log.cleaner.io.buffer.load.factor`).
    pub load_factor_ppm: u32,
}

impl Cleaner {
    /// A cleaner with `log.cleaner.dedupe.buffer.size` bytes for the map; entries take 24.
    pub fn with_buffer(bytes: u64) -> Self {
        Cleaner {
            slots: bytes / 24,
            load_factor_ppm: 900_000,
        }
    }
}

impl Default for Cleaner {
    fn default() -> Self {
        Cleaner::with_buffer(128 << 20)
    }
}

/// What one pass knows besides the map.
struct Pass<'a> {
    map: &'a OffsetMap,
    now_ms: i64,
    delete_retention_ms: i64,
    /// The bound of this round: the batch right below it stays.
    upper_bound: i64,
    producers: &'a ProducerStateManager,
}

impl Cleaner {
    /// Cleans a log from `first_dirty` to `first_uncleanable`, at `now_ms`.
    pub fn clean<R: LogRecord>(
        &self,
        log: &mut PartitionLog<R>,
        first_dirty: i64,
        first_uncleanable: i64,
        now_ms: i64,
    ) -> Cleaned<R> {
        let (map, map_records_read) = self.build_offset_map(log, first_dirty, first_uncleanable);
        let end_offset = map.latest_offset() + 1;
        let mut cleaned = Cleaned {
            end_offset,
            map_records_read,
            ..Cleaned::default()
        };
        let groups = Self::groups(log, end_offset, first_uncleanable);
        let first = groups.first().map_or(0, |group| group.0);
        let mut txns = CleanedTxns::new(log.collect_aborted(first, i64::MAX));
        for group in groups {
            clean_group(
                log,
                group,
                &map,
                first_uncleanable,
                now_ms,
                &mut txns,
                &mut cleaned,
            );
        }
        cleaned
    }

    /// The segments below `end_offset` in the groups that become one segment each: base offset of the
    /// first, and how many.
    pub fn groups<R: LogRecord>(
        log: &PartitionLog<R>,
        end_offset: i64,
        first_uncleanable: i64,
    ) -> Vec<(i64, usize)> {
        let config = log.log().config();
        let (max_bytes, max_index) = (config.segment_bytes, config.segment_index_bytes);
        let segments = log.log().segments_between(0, end_offset);
        group_segments(&segments, max_bytes, max_index, first_uncleanable, config)
    }

    /// Cleans one group of segments with a map that is given: the first, by its base offset, and
    /// how many.
    pub fn clean_segments<R: LogRecord>(
        log: &mut PartitionLog<R>,
        group: (i64, usize),
        map: &OffsetMap,
        upper_bound: i64,
        now_ms: i64,
    ) -> Cleaned<R> {
        let mut cleaned = Cleaned::default();
        let mut txns = CleanedTxns::new(log.collect_aborted(group.0, i64::MAX));
        clean_group(
            log,
            group,
            map,
            upper_bound,
            now_ms,
            &mut txns,
            &mut cleaned,
        );
        cleaned
    }

    /// Notes the last offset of each key from `start` to `end`, until the map is full. Also returns
    /// how many records were read for it.
    pub fn build_offset_map<R: LogRecord>(
        &self,
        log: &PartitionLog<R>,
        start: i64,
        end: i64,
    ) -> (OffsetMap, u64) {
        let most = u128::from(self.slots) * u128::from(self.load_factor_ppm) / PPM;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let mut map = OffsetMap::of([], start - 1);
        let mut read = 0;
        let mut txns = CleanedTxns::new(log.collect_aborted(start, end));
        let interval = log.log().config().index_interval_bytes;
        let dirty = log.log().segments_between(start, end.max(start));
        for (at, segment) in dirty.iter().enumerate() {
            let next = dirty.get(at + 1).map_or(end, |next| next.base_offset());
            for batch in segment.scan_from(start, interval) {
                let aborted = txns.read(batch);
                if batch.is_control() || aborted {
                    read += batch.count() as u64;
                } else if !note_keys(batch, start, most, &mut map, &mut read) {
                    return (map, read);
                }
                if batch.last_offset() >= start {
                    map.latest = batch.last_offset();
                }
            }
            // Behind the last batch there may be a gap; it is clean as well.
            map.latest = next - 1;
        }
        (map, read)
    }
}

/// Takes a batch's keys into the map; false if it is full.
fn note_keys<R: LogRecord>(
    batch: &Batch<R>,
    start: i64,
    most: u64,
    map: &mut OffsetMap,
    read: &mut u64,
) -> bool {
    for record in batch.records.iter() {
        let offset = batch.base_offset + i64::from(record.offset_delta());
        if let Some(key) = record.compaction_key()
            && offset >= start
        {
            if map.offsets.len() as u64 >= most {
                return false;
            }
            map.offsets.insert(key, offset);
            map.latest = offset;
        }
        *read += 1;
    }
    true
}

/// Cleans a group of closed segments into one.
fn clean_group<R: LogRecord>(
    log: &mut PartitionLog<R>,
    (base_offset, count): (i64, usize),
    map: &OffsetMap,
    upper_bound: i64,
    now_ms: i64,
    txns: &mut CleanedTxns,
    cleaned: &mut Cleaned<R>,
) {
    let pass = Pass {
        map,
        now_ms,
        delete_retention_ms: log.log().config().delete_retention_ms,
        upper_bound,
        producers: log.producers(),
    };
    let all = log.log().closed_from(base_offset);
    let group = all.get(..count).unwrap_or(all);
    let mut kept = Vec::new();
    for batch in group.iter().flat_map(|segment| segment.shared_batches()) {
        cleaned.bytes_read += u64::from(batch.bytes);
        if let Some(batch) = pass.filter(batch, txns, cleaned) {
            cleaned.records_written += batch.count() as u64;
            cleaned.bytes_written += u64::from(batch.bytes);
            kept.push(batch);
        }
    }
    let next = all.get(group.len()).map(|it| it.base_offset());
    let end = next.unwrap_or_else(|| log.log().active_segment().base_offset());
    cleaned.segments.0 += group.len();
    cleaned.segments.1 += 1;
    let count = group.len();
    log.replace_closed(base_offset..end, count, kept, txns.take_index());
}

impl Pass<'_> {
    /// What stays of a batch.
    fn filter<R: LogRecord>(
        &self,
        batch: &Arc<Batch<R>>,
        txns: &mut CleanedTxns,
        cleaned: &mut Cleaned<R>,
    ) -> Option<Arc<Batch<R>>> {
        let may_go = txns.read(batch);
        let time_is_up = batch.delete_horizon_ms.is_some_and(|at| at <= self.now_ms);
        let discard = may_go && (!batch.is_control() || time_is_up);
        let if_empty = self.if_empty(batch);
        let marker = batch.count() > batch.records.len();
        let keeps_marker = marker && !discard;
        let mut kept = Vec::new();
        let mut tombstones = false;
        for record in batch.records.iter() {
            let offset = batch.base_offset + i64::from(record.offset_delta());
            let why = match discard {
                true => Some(Removal::Aborted),
                false => self.why_not(batch, record, offset),
            };
            match why {
                Some(why) => {
                    cleaned.invalid_records += u64::from(why == Removal::Unkeyed);
                    let record = record.clone();
                    cleaned.removed.push(Removed {
                        offset,
                        record,
                        why,
                    });
                }
                None => {
                    tombstones |= record.is_tombstone();
                    kept.push(record.clone());
                }
            }
        }
        // A batch that is dropped unseen does not count as read.
        if !discard || if_empty == Empty::Keep {
            cleaned.records_read += batch.count() as u64;
        }
        cleaned.markers_removed += u64::from(marker && !keeps_marker);
        if kept.is_empty() && !keeps_marker {
            let empty = || match batch.count() {
                0 => Arc::clone(batch),
                _ => Arc::new(batch.keeping(Vec::new(), false, None)),
            };
            return (if_empty == Empty::Keep).then(empty);
        }
        let mortal = tombstones || (batch.is_control() && may_go);
        let sets_horizon = mortal && batch.delete_horizon_ms.is_none();
        if kept.len() == batch.records.len() && !sets_horizon {
            return Some(Arc::clone(batch));
        }
        cleaned.horizons_set += u64::from(sets_horizon);
        let horizon = match sets_horizon {
            true => Some(self.now_ms.saturating_add(self.delete_retention_ms)),
            false => batch.delete_horizon_ms,
        };
        Some(Arc::new(batch.keeping(kept, keeps_marker, horizon)))
    }

    /// The batch with the last sequence, or the epoch, of a live producer stays; so does the last
    /// one below the bound, so that the log does not seem to end before it.
    fn if_empty<R>(&self, batch: &Batch<R>) -> Empty {
        let entry = self.producers.entry(batch.producer.id);
        let last_of_producer = entry.is_some_and(|known| match known.last_data_offset() {
            -1 => batch.is_control() && batch.producer.epoch == known.epoch,
            offset => batch.last_offset() == offset,
        });
        let last = batch.next_offset() == self.upper_bound;
        match (batch.producer.has_id() && last_of_producer) || last {
            true => Empty::Keep,
            false => Empty::Drop,
        }
    }

    /// Why a record must go, if it must.
    fn why_not<R: LogRecord>(&self, batch: &Batch<R>, record: &R, offset: i64) -> Option<Removal> {
        if offset > self.map.latest_offset() {
            return None;
        }
        let Some(key) = record.compaction_key() else {
            return Some(Removal::Unkeyed);
        };
        let newest = self.map.get(key);
        if offset < newest {
            return Some(Removal::Superseded(newest));
        }
        let time_is_up = batch.delete_horizon_ms.is_some_and(|at| at <= self.now_ms);
        (record.is_tombstone() && time_is_up).then_some(Removal::Tombstone)
    }
}

/// Groups segments that fit into one together, in order: (base offset of the first, how many).
pub fn group_segments<R: LogRecord>(
    segments: &[&Segment<R>],
    max_bytes: u64,
    max_index_bytes: u32,
    first_uncleanable: i64,
    config: &LogConfig,
) -> Vec<(i64, usize)> {
    let sizes = |at: usize| {
        let index = segments[at].index(config.index_interval_bytes, at + 1 < segments.len());
        (
            segments[at].bytes(),
            index.offset_bytes(),
            index.time_bytes(),
        )
    };
    // An estimate, as the next segment's base is cheaper to have than the end of this one.
    let last_offset = |at: usize| {
        let next = segments.get(at + 1).map(|it| it.base_offset());
        next.unwrap_or(first_uncleanable) - 1
    };
    let max_index = u64::from(max_index_bytes);
    let mut groups: Vec<(i64, usize)> = Vec::new();
    let mut sum = (0, 0, 0);
    for (at, segment) in segments.iter().enumerate() {
        let own = sizes(at);
        let with = (sum.0 + own.0, sum.1 + own.1, sum.2 + own.2);
        let fits = with.0 <= max_bytes && with.1 <= max_index && with.2 <= max_index;
        match groups.last_mut() {
            Some((base, count))
                if fits && (own.0 == 0 || last_offset(at) - *base <= i64::from(i32::MAX)) =>
            {
                *count += 1;
                sum = with;
            }
            _ => {
                groups.push((segment.base_offset(), 1));
                sum = own;
            }
        }
    }
    groups
}
