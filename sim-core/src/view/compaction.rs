//! The plain data of one pass of a log cleaner, step by step.

use serde::Serialize;

/// A pass over one copy of a lane, as the steps it is made of, in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CompactionSteps {
    /// When, ns. A pass of the simulated cleaner takes no time.
    pub time: u64,
    /// Number of the event in the run.
    pub event: u64,
    /// What the broker's clock said, ms.
    pub wall_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub threshold_ppm: u32,
    /// How dirty the log was.
    pub before: Dirt,
    /// Dirty records had waited for `max.compaction.lag.ms`, which is reason enough.
    pub overdue: bool,
    /// How dirty it is after the pass; `first_dirty` is the cleaner's new checkpoint.
    pub after: Dirt,
    /// The steps between the two.
    pub steps: Vec<CompactionStep>,
    /// Segments that were read for the map, or cleaned, in steps that are left out.
    pub left_out: u64,
}

/// What part of a log is dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Dirt {
    /// First offset that was not cleaned yet.
    pub first_dirty: i64,
    /// First offset that may not be cleaned yet.
    pub first_uncleanable: i64,
    /// Bytes below the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes that may be cleaned.
    pub cleanable_bytes: u64,
}

impl Dirt {
    /// The dirty ratio, in millionths.
    #[must_use]
    pub fn ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.cleanable_bytes);
        let ppm = (u128::from(self.cleanable_bytes) * 1_000_000).checked_div(all);
        ppm.map_or(0, |it| it as u32)
    }
}

/// One thing that the cleaner does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompactionStep {
    /// It reads a dirty segment and notes the last offset of each key.
    Map(MapStep),
    /// It goes through a segment and keeps or drops each record.
    Segment(SegmentStep),
    /// It puts the cleaned segment in the place of those it was made of.
    Swap(SwapStep),
}

/// The offset map after one more dirty segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MapStep {
    /// Base offset of the segment.
    pub base: i64,
    /// The offset after the last that is in the map now.
    pub end: i64,
    /// Keys in the map now.
    pub keys: u64,
    /// No further key fits: the rest of the dirty part waits for the next pass.
    pub full: bool,
    /// Keys with their last offsets, those of this segment first where not all are told.
    pub entries: Vec<MapEntry>,
}

/// A key in the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MapEntry {
    /// Number of the key.
    pub key: u64,
    /// Its last offset so far.
    pub offset: i64,
    /// This segment has put it there.
    pub fresh: bool,
    /// The offset that it replaced.
    pub replaced: Option<i64>,
}

/// A segment and what becomes of its records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SegmentStep {
    /// Base offset.
    pub base: i64,
    /// Where the next segment begins.
    pub end: i64,
    /// Size, bytes.
    pub bytes: u64,
    /// Records and markers kept.
    pub kept: u64,
    /// Records and markers dropped.
    pub dropped: u64,
    /// Batches kept without any record, for their producer's last sequence or for the end.
    pub emptied: u64,
    /// Records and markers in order, as far as they are told one by one.
    pub records: Vec<CleanedRecord>,
}

/// A record or marker that the cleaner came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CleanedRecord {
    /// Its offset.
    pub offset: i64,
    /// Key number, if keyed.
    pub key: Option<u32>,
    /// What it is.
    pub kind: CleanedKind,
    /// What becomes of it.
    pub fate: Fate,
    /// From when on a tombstone or marker may go, by the broker's clock, ms; once it is known.
    pub goes_at_ms: Option<i64>,
}

/// What the cleaner came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanedKind {
    /// A record with a value.
    Value,
    /// A record without: its key is deleted.
    Tombstone,
    /// The marker that committed a transaction.
    Commit,
    /// The marker that aborted one.
    Abort,
}

/// Why a record is kept or dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Kept: the map has this very offset for its key.
    Newest,
    /// Kept: its key is not in the map, so nothing newer was read.
    NotInMap,
    /// Kept: it lies beyond what the map has room for.
    Beyond,
    /// Kept: a marker whose transaction still has records, or whose time is not up.
    MarkerKept,
    /// Dropped: a later record has the same key, at this offset.
    Superseded(i64),
    /// Dropped: a tombstone whose `delete.retention.ms` is over.
    TombstoneExpired,
    /// Dropped: its transaction was aborted.
    Aborted,
    /// Dropped: it has no key.
    Unkeyed,
    /// Dropped: a marker of which no record is left, and whose time was up.
    MarkerExpired,
}

impl Fate {
    /// It stays in the log.
    #[must_use]
    pub fn keeps(self) -> bool {
        matches!(
            self,
            Fate::Newest | Fate::NotInMap | Fate::Beyond | Fate::MarkerKept
        )
    }
}

/// One cleaned segment in the place of others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SwapStep {
    /// Those it was made of: base offset and size, bytes.
    pub of: Vec<(i64, u64)>,
    /// Base offset of the new one.
    pub base: i64,
    /// Its size, bytes.
    pub bytes: u64,
    /// Records and markers in it.
    pub records: u64,
}
