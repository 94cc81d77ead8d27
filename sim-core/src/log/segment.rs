//! Segments: the pieces into which a log is cut for rolling, retention and compaction.
//!
//! Follows `LogSegment`. A batch is shared by all replicas that hold it, and batches are kept in
//! chunks of a fixed number behind `Arc`, so that cloning a log (which keyframes do all the time)
//! costs the open end and not the history. The chunk layout
//! depends on the content alone, never on the path that led to it; two equal logs compare equal.
//! The indexes are in [`super::index`]. Left out: file names.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::batch::Batch;
use super::config::LogConfig;
use super::record::Record;

/// So many batches are looked at one by one from the end before a search.
const NEAR_THE_END: usize = 4;
/// Batches of a sealed chunk. A clone copies the open end, half a chunk on average, and a pointer
/// for each chunk.
const CHUNK_BATCHES: usize = 32;

/// The end of a chunk, whole chunks, the end of the tail.
type Pieces<'a, R> = (&'a [Arc<Batch<R>>], &'a [Chunk<R>], &'a [Arc<Batch<R>>]);

type Chunk<R> = Arc<Vec<Arc<Batch<R>>>>;

/// A run of batches with one base offset; only the last segment of a log is appended to.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Segment<R = Record> {
    base_offset: i64,
    created_ms: i64,
    last_modified_ms: i64,
    bytes: u64,
    first_timestamp_ms: i64,
    max_timestamp_ms: i64,
    sealed: Arc<Vec<Chunk<R>>>,
    tail: Vec<Arc<Batch<R>>>,
}

/// What an onlooker sees of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct SegmentView {
    /// Offset at which the segment was opened.
    pub base_offset: i64,
    /// Offset after the last batch of the segment.
    pub end_offset: i64,
    /// Size in bytes.
    pub bytes: u64,
    /// Largest record timestamp in milliseconds, -1 for none.
    pub max_timestamp_ms: i64,
    /// True for the segment that is still appended to.
    pub active: bool,
}

impl<R> Segment<R> {
    pub(super) fn new(base_offset: i64, now_ms: i64) -> Self {
        Self {
            base_offset,
            created_ms: now_ms,
            last_modified_ms: now_ms,
            bytes: 0,
            first_timestamp_ms: -1,
            max_timestamp_ms: -1,
            sealed: Arc::new(Vec::new()),
            tail: Vec::new(),
        }
    }

    /// Offset at which the segment was opened.
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Offset after the last batch; the base offset when empty.
    pub fn end_offset(&self) -> i64 {
        self.last_batch()
            .map_or(self.base_offset, Batch::next_offset)
    }

    /// About how many bytes a clone takes besides what it shares.
    pub(super) fn weight(&self) -> usize {
        // The next chunk that is sealed makes the list of chunks a copy.
        (self.tail.len() + self.sealed.len()) * size_of::<Arc<Batch<R>>>()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Largest record timestamp in milliseconds, -1 for none.
    pub fn max_timestamp_ms(&self) -> i64 {
        self.max_timestamp_ms
    }

    /// What retention compares: the largest record timestamp, or the time of the last append when
    /// no record has a timestamp.
    pub fn largest_timestamp_ms(&self) -> i64 {
        if self.max_timestamp_ms >= 0 {
            self.max_timestamp_ms
        } else {
            self.last_modified_ms
        }
    }

    pub(super) fn last_modified_ms(&self) -> i64 {
        self.last_modified_ms
    }

    /// Timestamp of the first batch in milliseconds, -1 for none.
    pub fn first_timestamp_ms(&self) -> i64 {
        self.first_timestamp_ms
    }

    /// Whether the segment holds no batch.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.tail.is_empty()
    }

    /// All batches in offset order, as replicas share them.
    pub fn shared_batches(&self) -> impl Iterator<Item = &Arc<Batch<R>>> {
        let sealed = self.sealed.iter().flat_map(|chunk| chunk.iter());
        sealed.chain(self.tail.iter())
    }

    /// All batches in offset order.
    pub fn batches(&self) -> impl Iterator<Item = &Batch<R>> {
        self.sealed
            .iter()
            .flat_map(|chunk| chunk.iter())
            .chain(self.tail.iter())
            .map(Arc::as_ref)
    }

    /// Batches from the first one whose last offset is at or above `offset`.
    pub fn batches_from(&self, offset: i64) -> impl Iterator<Item = &Batch<R>> {
        let (first, rest, tail) = self.pieces_from(offset);
        let sealed = first.iter().chain(rest.iter().flat_map(|c| c.iter()));
        sealed.chain(tail).map(Arc::as_ref)
    }

    /// The batches of [`Self::batches_from`] in slices.
    pub(super) fn slices_from(&self, offset: i64) -> impl Iterator<Item = &[Arc<Batch<R>>]> {
        let (first, rest, tail) = self.pieces_from(offset);
        let sealed = std::iter::once(first).chain(rest.iter().map(|chunk| chunk.as_slice()));
        sealed.chain([tail])
    }

    /// Calls `each` with every batch of [`Self::batches_from`] until it breaks off.
    pub(super) fn visit_from<'a>(
        &'a self,
        offset: i64,
        mut each: impl FnMut(&'a Arc<Batch<R>>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (first, rest, tail) = self.pieces_from(offset);
        first.iter().try_for_each(&mut each)?;
        for chunk in rest {
            chunk.iter().try_for_each(&mut each)?;
        }
        tail.iter().try_for_each(each)
    }

    /// The first batch whose last offset is at or above `offset`.
    #[inline]
    pub(super) fn batch_from(&self, offset: i64) -> Option<&Batch<R>> {
        let (first, _, tail) = self.pieces_from(offset);
        first.first().or_else(|| tail.first()).map(Arc::as_ref)
    }

    /// What [`Self::batches_from`] consists of. If the first is empty, so is the second.
    #[inline]
    fn pieces_from(&self, offset: i64) -> Pieces<'_, R> {
        let below = |batch: &Arc<Batch<R>>| batch.last_offset() < offset;
        // Nearly all readers are at the open end.
        let open = |batch: &Arc<Batch<R>>| batch.base_offset <= offset;
        if self.sealed.is_empty() || self.tail.first().is_some_and(open) {
            return (&[], &[], end_from(&self.tail, offset));
        }
        let at = self
            .sealed
            .partition_point(|chunk| chunk.last().is_some_and(below));
        match self.sealed.get(at..) {
            Some([chunk, rest @ ..]) => (end_from(chunk, offset), rest, &self.tail),
            _ => (&[], &[], &self.tail),
        }
    }

    pub(super) fn view(&self, active: bool) -> SegmentView {
        SegmentView {
            base_offset: self.base_offset,
            end_offset: self.end_offset(),
            bytes: self.bytes,
            max_timestamp_ms: self.max_timestamp_ms,
            active,
        }
    }

    pub(super) fn last_batch(&self) -> Option<&Batch<R>> {
        self.tail
            .last()
            .or_else(|| self.sealed.last().and_then(|chunk| chunk.last()))
            .map(Arc::as_ref)
    }

    /// Whether the segment must be closed before `incoming` is appended (`LogSegment.shouldRoll`),
    /// but for a full index.
    pub(super) fn should_roll(&self, config: &LogConfig, incoming: &Batch<R>, now_ms: i64) -> bool {
        if self.is_empty() {
            return false;
        }
        let bytes = self.bytes + u64::from(incoming.bytes);
        // Offsets within a segment are kept relative to its base in 32 bits.
        let relative_end = incoming.last_offset() - self.base_offset;
        bytes > config.segment_bytes
            || self.time_waited_for_roll_ms(incoming.max_timestamp_ms, now_ms) > config.segment_ms
            || relative_end > i64::from(i32::MAX)
    }

    /// The span that `segment.ms` bounds: record time against the first record's time; the clock
    /// counts only if the first batch carries no timestamp.
    fn time_waited_for_roll_ms(&self, timestamp_ms: i64, now_ms: i64) -> i64 {
        if self.first_timestamp_ms >= 0 {
            timestamp_ms - self.first_timestamp_ms
        } else {
            now_ms - self.created_ms
        }
    }
}

/// Batches from the first one whose last offset is at or above `offset`; most readers want one of
/// the last few.
#[inline]
fn end_from<R>(batches: &[Arc<Batch<R>>], offset: i64) -> &[Arc<Batch<R>>] {
    let below = |batch: &Arc<Batch<R>>| batch.last_offset() < offset;
    let mut at = batches.len();
    for _ in 0..NEAR_THE_END {
        match batches[..at].last() {
            Some(last) if !below(last) => at -= 1,
            _ => return &batches[at..],
        }
    }
    &batches[batches[..at].partition_point(below)..]
}

impl<R: Clone> Segment<R> {
    pub(super) fn append(&mut self, batch: Arc<Batch<R>>, now_ms: i64) {
        if self.is_empty() {
            self.first_timestamp_ms = batch.max_timestamp_ms;
        }
        self.last_modified_ms = now_ms;
        self.bytes += u64::from(batch.bytes);
        self.max_timestamp_ms = self.max_timestamp_ms.max(batch.max_timestamp_ms);
        if self.tail.is_empty() {
            self.tail.reserve_exact(CHUNK_BATCHES);
        }
        self.tail.push(batch);
        if self.tail.len() == CHUNK_BATCHES {
            Arc::make_mut(&mut self.sealed).push(Arc::new(std::mem::take(&mut self.tail)));
        }
    }

    /// Drops every batch that holds `offset` or a larger one. A batch that begins below `offset`
    /// and reaches it goes as a whole.
    pub(super) fn truncate_to(&mut self, offset: i64) {
        let below = |batch: &Arc<Batch<R>>| batch.last_offset() < offset;
        let whole = self
            .sealed
            .partition_point(|chunk| chunk.last().is_some_and(below));
        if let Some(chunk) = self.sealed.get(whole) {
            self.tail = chunk
                .iter()
                .take(chunk.partition_point(below))
                .cloned()
                .collect();
            Arc::make_mut(&mut self.sealed).truncate(whole);
        } else {
            self.tail.truncate(self.tail.partition_point(below));
        }
        self.measure();
    }

    /// A segment that begins where this one does and holds other batches.
    pub(super) fn rewritten(&self, batches: Vec<Arc<Batch<R>>>, last_modified_ms: i64) -> Self {
        let mut segment = Self::new(self.base_offset, self.created_ms);
        for batch in batches {
            segment.append(batch, last_modified_ms);
        }
        segment.last_modified_ms = last_modified_ms;
        segment
    }

    fn measure(&mut self) {
        let (mut bytes, mut max) = (0u64, -1i64);
        for batch in self.batches() {
            bytes += u64::from(batch.bytes);
            max = max.max(batch.max_timestamp_ms);
        }
        self.bytes = bytes;
        self.max_timestamp_ms = max;
        if self.is_empty() {
            self.first_timestamp_ms = -1;
        }
    }
}
