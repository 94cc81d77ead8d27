//! One pass of the log cleaner, step by step, as an onlooker sees it.
//!
//! Follows `Cleaner` of Kafka's storage module. The simulated cleaner does a pass within one event
//! and keeps no record of it: brokers would carry it along for nothing. So the pass is done once
//! more, by the same cleaner, on a copy of the log as it was right before that event; what is told
//! is read off the offset map, the removed records and the log that it leaves. Left out: what a pass
//! costs in time and I/O. A module of its own, so that a page that shows no pass need not load it.

use super::facts::Cluster;
use super::ids::TopicPartition;
use super::note::{Note, Rule};
use super::rules::cleaner::{Cleaner, OffsetMap, Removal};
use super::rules::cleaner_range::{LogToClean, cleanable_offsets, max_compaction_delay_ms};
use super::rules::partition_log::PartitionLog;
use crate::kernel::{NodeId, World};
use crate::log::{Batch, ControlMarker, Record, Segment};
use crate::systems::Node;
use crate::view::{
    CleanedKind, CleanedRecord, CompactionStep, CompactionSteps, Dirt, Fate, MapEntry, MapStep,
    SegmentStep, SwapStep,
};
use std::collections::BTreeMap;

/// Segments told one by one, for the map and for the cleaning each.
const SEGMENTS_MAX: usize = 24;
/// Records of a segment, and keys of a map, told one by one.
const RECORDS_MAX: usize = 200;

/// The first dirty offsets before the passes over a replica that the notes of one event tell of.
#[must_use]
pub fn passes<'a>(
    notes: impl Iterator<Item = &'a Note>,
    node: NodeId,
    at: TopicPartition,
) -> Vec<i64> {
    let starts = notes.filter_map(|note| match note {
        Note::Rule {
            node: by,
            rule: Rule::LogCompacted,
            tp: Some(tp),
            before,
            ..
        } if *by == node && *tp == at => Some(*before),
        _ => None,
    });
    starts.collect()
}

/// The last of the passes that begin at `starts` and follow one another in an event, of which
/// `world` is what was before; `wall_ms` is what the broker's clock says in it.
#[must_use]
pub fn steps(
    world: &World<Node>,
    node: NodeId,
    tp: TopicPartition,
    wall_ms: i64,
    starts: &[i64],
) -> Option<CompactionSteps> {
    let broker = Cluster(world).broker(node)?;
    let cleaner = Cleaner::with_buffer(broker.config().log_cleaner_dedupe_bytes);
    let mut log = broker.partition(tp)?.partition_log.clone();
    let mut clean_to = broker.compacted_to(tp);
    let (last, earlier) = starts.split_last()?;
    for _ in earlier {
        let found = range(&log, clean_to, wall_ms);
        let (from, to) = (found.first_dirty, found.first_uncleanable);
        clean_to = cleaner.clean(&mut log, from, to, wall_ms).end_offset;
    }
    let found = range(&log, clean_to, wall_ms);
    let pass = Pass::new(cleaner, &log, found, wall_ms);
    (found.first_dirty == *last).then(|| pass.tell())
}

fn range(log: &PartitionLog, clean_to: i64, wall_ms: i64) -> LogToClean {
    let range = cleanable_offsets(log, Some(clean_to), wall_ms);
    let late = max_compaction_delay_ms(log, range.first_dirty, wall_ms) > 0;
    LogToClean::new(log, range.first_dirty, range.first_uncleanable, late)
}

impl From<LogToClean> for Dirt {
    fn from(it: LogToClean) -> Self {
        Dirt {
            first_dirty: it.first_dirty,
            first_uncleanable: it.first_uncleanable,
            clean_bytes: it.clean_bytes,
            cleanable_bytes: it.cleanable_bytes,
        }
    }
}

/// A pass with the log before and after it.
struct Pass<'a> {
    cleaner: Cleaner,
    before: &'a PartitionLog,
    after: PartitionLog,
    range: LogToClean,
    wall_ms: i64,
    map: OffsetMap,
    end: i64,
    removed: BTreeMap<i64, Removal>,
}

impl<'a> Pass<'a> {
    fn new(cleaner: Cleaner, before: &'a PartitionLog, range: LogToClean, wall_ms: i64) -> Self {
        let (from, to) = (range.first_dirty, range.first_uncleanable);
        let mut after = before.clone();
        let cleaned = cleaner.clean(&mut after, from, to, wall_ms);
        let removed = cleaned.removed.iter().map(|it| (it.offset, it.why));
        Pass {
            map: cleaner.build_offset_map(before, from, to).0,
            end: cleaned.end_offset,
            removed: removed.collect(),
            cleaner,
            before,
            after,
            range,
            wall_ms,
        }
    }

    fn tell(&self) -> CompactionSteps {
        let config = self.before.log().config();
        let (mut steps, mut left_out) = self.map_steps();
        let kept: BTreeMap<i64, &Batch> = self
            .after
            .log()
            .segments_between(0, self.end)
            .into_iter()
            .flat_map(Segment::batches)
            .map(|batch| (batch.base_offset, batch))
            .collect();
        let mut told = 0;
        for (base, count) in Cleaner::groups(self.before, self.end, self.range.first_uncleanable) {
            let all = self.before.log().closed_from(base);
            let active = self.before.log().active_segment().base_offset();
            for (at, segment) in all.iter().take(count).enumerate() {
                told += 1;
                if told > SEGMENTS_MAX {
                    left_out += 1;
                    continue;
                }
                let end = all.get(at + 1).map_or(active, |next| next.base_offset());
                steps.push(CompactionStep::Segment(self.segment(segment, end, &kept)));
            }
            if told <= SEGMENTS_MAX {
                let of: Vec<&Segment> = all.iter().take(count).map(|it| &**it).collect();
                steps.extend(self.swap(base, &of).map(CompactionStep::Swap));
            }
        }
        CompactionSteps {
            time: 0,
            event: 0,
            wall_ms: self.wall_ms,
            delete_retention_ms: config.delete_retention_ms,
            threshold_ppm: config.min_cleanable_dirty_ppm,
            before: self.range.into(),
            overdue: self.range.needs_compaction_now,
            after: range(&self.after, self.end, self.wall_ms).into(),
            steps,
            left_out,
        }
    }

    /// The map after each dirty segment, as the cleaner builds it up to there.
    fn map_steps(&self) -> (Vec<CompactionStep>, u64) {
        let (start, bound) = (self.range.first_dirty, self.range.first_uncleanable);
        let dirty = self.before.log().segments_between(start, bound);
        let mut steps = Vec::new();
        let mut left_out = 0;
        let mut known = OffsetMap::default();
        for (at, segment) in dirty.iter().enumerate() {
            let last = at + 1 == dirty.len();
            if at + 1 >= SEGMENTS_MAX && !last {
                left_out += 1;
                continue;
            }
            let next = dirty.get(at + 1).map(|it| it.base_offset());
            let upto = next.unwrap_or(bound);
            let (map, _) = self.cleaner.build_offset_map(self.before, start, upto);
            let full = map.latest_offset() + 1 < upto;
            steps.push(CompactionStep::Map(map_step(segment, &map, &known, full)));
            if full {
                break;
            }
            known = map;
        }
        (steps, left_out)
    }

    fn segment(&self, segment: &Segment, end: i64, kept: &BTreeMap<i64, &Batch>) -> SegmentStep {
        let mut step = SegmentStep {
            base: segment.base_offset(),
            end,
            bytes: segment.bytes(),
            kept: 0,
            dropped: 0,
            emptied: 0,
            records: Vec::new(),
        };
        for batch in segment.batches() {
            let left = kept.get(&batch.base_offset).copied();
            step.emptied += u64::from(batch.count() > 0 && left.is_some_and(|it| it.count() == 0));
            let records = batch.records.iter().map(|it| self.record(batch, it, left));
            for record in records.chain(marker(batch, left)) {
                match record.fate.keeps() {
                    true => step.kept += 1,
                    false => step.dropped += 1,
                }
                if step.records.len() < RECORDS_MAX {
                    step.records.push(record);
                }
            }
        }
        step
    }

    fn record(&self, batch: &Batch, record: &Record, left: Option<&Batch>) -> CleanedRecord {
        let offset = batch.base_offset + i64::from(record.offset_delta);
        let key = record.key.map(|key| key.0);
        let newest = key.map_or(-1, |key| self.map.get(u64::from(key)));
        let fate = match self.removed.get(&offset) {
            Some(Removal::Superseded(by)) => Fate::Superseded(*by),
            Some(Removal::Tombstone) => Fate::TombstoneExpired,
            Some(Removal::Aborted) => Fate::Aborted,
            Some(Removal::Unkeyed) => Fate::Unkeyed,
            None if offset > self.map.latest_offset() => Fate::Beyond,
            None if newest == offset => Fate::Newest,
            None => Fate::NotInMap,
        };
        let mortal = record.tombstone && fate.keeps();
        let horizon = left.filter(|_| mortal).and_then(|it| it.delete_horizon_ms);
        CleanedRecord {
            offset,
            key,
            kind: match record.tombstone {
                true => CleanedKind::Tombstone,
                false => CleanedKind::Value,
            },
            fate,
            goes_at_ms: horizon,
        }
    }

    /// The segment that stands where a group of segments stood.
    fn swap(&self, base: i64, of: &[&Segment]) -> Option<SwapStep> {
        let after = self.after.log().closed_segments().iter();
        let new = after.rev().find(|it| it.base_offset() == base)?;
        Some(SwapStep {
            of: of.iter().map(|it| (it.base_offset(), it.bytes())).collect(),
            base,
            bytes: new.bytes(),
            records: new.batches().map(|it| it.count() as u64).sum(),
        })
    }
}

fn map_step(segment: &Segment, map: &OffsetMap, known: &OffsetMap, full: bool) -> MapStep {
    let entry = |(key, offset): (u64, i64)| {
        let before = Some(known.get(key)).filter(|it| *it >= 0);
        let fresh = before != Some(offset);
        MapEntry {
            key,
            offset,
            fresh,
            replaced: before.filter(|_| fresh),
        }
    };
    let mut entries: Vec<MapEntry> = map.iter().map(entry).collect();
    if entries.len() > RECORDS_MAX {
        entries.sort_by_key(|it| !it.fresh);
        entries.truncate(RECORDS_MAX);
        entries.sort_by_key(|it| it.key);
    }
    MapStep {
        base: segment.base_offset(),
        end: map.latest_offset() + 1,
        keys: map.len() as u64,
        full,
        entries,
    }
}

/// What becomes of a transaction's marker, if the batch is one.
fn marker(batch: &Batch, left: Option<&Batch>) -> Option<CleanedRecord> {
    let kind = match batch.control? {
        ControlMarker::Commit => CleanedKind::Commit,
        ControlMarker::Abort => CleanedKind::Abort,
        ControlMarker::LeaderChange | ControlMarker::Emptied => return None,
    };
    let left = left.filter(|it| it.control == batch.control);
    Some(CleanedRecord {
        offset: batch.base_offset,
        key: None,
        kind,
        fate: match left {
            Some(_) => Fate::MarkerKept,
            None => Fate::MarkerExpired,
        },
        goes_at_ms: left.and_then(|it| it.delete_horizon_ms),
    })
}
