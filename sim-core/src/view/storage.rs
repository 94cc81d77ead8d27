//! The plain data of how a lane is stored: segments, their indexes, and compaction.

use serde::Serialize;

/// How one copy of a lane is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StorageView {
    /// `cleanup.policy`.
    pub policy: &'static str,
    /// First offset kept.
    pub start: i64,
    /// Next offset to be written.
    pub end: i64,
    /// Size of all segments on the local disk, bytes.
    pub bytes: u64,
    /// Segments, oldest first; the last is the active one. Those that are in remote storage only
    /// come first.
    pub segments: Vec<SegmentLine>,
    /// Tiered storage, where the topic has it.
    pub tier: Option<TierView>,
    /// Compaction, where the policy asks for it.
    pub compaction: Option<CompactionView>,
}

/// How far a copy of a tiered lane (KIP-405) has left the local disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TierView {
    /// First offset on the local disk; what is below it, from the log start on, is in remote
    /// storage only.
    pub local_start: i64,
    /// Offset after the last record in remote storage, as far as this copy knows; 0 = nothing is.
    pub remote_end: i64,
    /// Size of what is in remote storage, bytes.
    pub remote_bytes: u64,
}

/// Where a segment of a tiered lane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentPlace {
    /// On the local disk only.
    Local,
    /// On the local disk, and copied to remote storage.
    Copied,
    /// In remote storage only.
    Remote,
}

/// A segment and its indexes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SegmentLine {
    /// Base offset, which names its files.
    pub base: i64,
    /// Where the next segment begins; of the active one, the offset after its last batch.
    pub end: i64,
    /// Size, bytes.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Offsets between base and end that hold no record any more, or never held one.
    pub removed: u64,
    /// Largest timestamp of a record, ms; -1 = none.
    pub newest_ms: i64,
    /// It is still appended to.
    pub active: bool,
    /// Where it is; of the local disk if the lane is not tiered.
    pub place: SegmentPlace,
    /// Compaction has been over it.
    pub clean: bool,
    /// Entries of the offset index: (last offset of a batch, where it begins in the file, bytes).
    pub offset_index: Vec<(i64, u64)>,
    /// Entries of the time index: (largest timestamp so far, ms; its offset).
    pub time_index: Vec<(i64, i64)>,
}

/// How dirty a compacted log is, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CompactionView {
    /// First offset that was not cleaned yet.
    pub first_dirty: i64,
    /// First offset that may not be cleaned yet: the active segment, or records too young.
    pub first_uncleanable: i64,
    /// Bytes below the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes that may be cleaned now.
    pub cleanable_bytes: u64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub threshold_ppm: u32,
    /// The newest pass up to now.
    pub last: Option<CompactionPass>,
}

impl CompactionView {
    /// The dirty ratio, in millionths.
    #[must_use]
    pub fn dirty_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.cleanable_bytes);
        let ppm = (u128::from(self.cleanable_bytes) * 1_000_000).checked_div(all);
        ppm.map_or(0, |it| it as u32)
    }
}

/// One pass of the cleaner over a log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CompactionPass {
    /// When, ns.
    pub time: u64,
    /// Number of the event in the run.
    pub event: u64,
    /// First offset that was dirty before it.
    pub from: i64,
    /// First offset that is dirty after it.
    pub to: i64,
    /// Records written again; `None` if no record was superseded, so that it says nothing of them.
    pub kept: Option<u64>,
    /// Records removed because a later one has their key.
    pub superseded: u64,
    /// Tombstones removed because their time was up.
    pub tombstones: u64,
    /// Records of aborted transactions removed.
    pub aborted: u64,
    /// Markers of transactions removed.
    pub markers: u64,
    /// Batches that were told from when on their tombstones and markers may go.
    pub horizons: u64,
}
