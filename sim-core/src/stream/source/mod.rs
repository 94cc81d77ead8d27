//! The reader of a source's subtask: records out of its splits, and their watermarks.
//!
//! Follows `SourceOperator`, `SourceReaderBase` and `ProgressiveTimestampsAndWatermarks` of Flink
//! 2.x. Split i is read by subtask i mod parallelism, partition i of a topic by the subtask that the
//! topic's name begins with plus i. One record is read at a time: splits take
//! turns, and one that has nothing yet, or is paused, loses its turn. Each split has a watermark
//! generator and an idleness of its own, asked at each tick (`pipeline.auto-watermark-interval`) and
//! combined then; a punctuated generator speaks at its record and is combined at once.
//!
//! A reader that ran ahead of its alignment group reads nothing, one with several splits leaves
//! those out that did; meanwhile, and while the task is backpressured, the clocks of idleness stand.
//! A reader that went idle is active again when its watermark moves, as in Flink; a reader without
//! splits never has a watermark, and so holds the job back unless the source has an idleness.
//! Partitions that are added to a topic become splits while the reader runs (`fetched`). Left
//! out: fetcher threads, batches of records.

mod fetched;
mod split;
#[cfg(test)]
mod tests;

use super::element::{NO_TIMESTAMP, Record};
use super::job::Job;
use super::operator::Site;
use super::rules::FINAL_WATERMARK;
use super::rules::key_group::string_hash;
use super::rules::watermark::IdlenessTimer;
use super::rules::watermark_combine::CombinedWatermark;
use super::snapshot::{ListItem, OperatorSnapshot};
use super::spec::{OperatorKind, SourceSpec};
use crate::kernel::Nanos;
use serde::Serialize;
use split::{Place, SplitReader};
use std::collections::BTreeMap;

/// What reading came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Polled {
    /// A record. What moved with it is told by [`SourceReader::after_record`].
    Record(Record),
    /// No record, but a watermark that the data set gives.
    Moved(Tick),
    /// Nothing has arrived; the next arrival, ns, if there will be one.
    Wait(Option<Nanos>),
    /// The reader ran ahead of its alignment group.
    Paused,
    /// The source has an end and that was reached: the caller sends the final watermark.
    Ended,
}

/// What moved: an idle reader that became active says so before its watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tick {
    /// The new watermark, ms.
    pub watermark: Option<i64>,
    /// The reader became active, or idle.
    pub active: Option<bool>,
}

/// The reader. Records stay in the job, so that a copy is cheap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SourceReader {
    site: Site,
    splits: Vec<SplitReader>,
    /// Whose turn it is.
    turn: u32,
    combined: CombinedWatermark<u16>,
    /// What has moved and was not told yet.
    untold: Tick,
    idle: bool,
    /// The idleness of a reader without splits.
    own_idleness: Option<IdlenessTimer>,
    max_allowed: i64,
    paused: bool,
    blocked: bool,
    /// No longer blocked, since the next time that it is called.
    unblocking: bool,
    /// The wall clock when it was last called, and up to when clocks of idleness have run, ms.
    wall_ms: i64,
    clocks_ms: i64,
    ended: bool,
    emitted: u64,
    /// Its positions are committed to a group; so the job says.
    #[serde(skip)]
    commits: bool,
    /// Positions that checkpoints under way hold, to be committed to a group (`offsetsToCommit`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    to_commit: BTreeMap<i64, Vec<(u16, i64)>>,
}

fn source(job: &Job, operator: u32) -> Option<&SourceSpec> {
    match &job.spec.operators.get(operator as usize)?.kind {
        OperatorKind::Source(it) => Some(it),
        _ => None,
    }
}

impl SourceReader {
    /// A reader of the splits of its subtask. `restored` are snapshots of this operator, of any
    /// subtasks: of what they hold, the splits of this subtask are taken; others begin anew.
    #[must_use]
    pub fn open(job: &Job, site: Site, restored: &[&OperatorSnapshot], now_ms: i64) -> Self {
        let mut it = SourceReader {
            site,
            splits: Vec::new(),
            turn: 0,
            combined: CombinedWatermark::default(),
            untold: Tick::default(),
            idle: false,
            own_idleness: None,
            max_allowed: FINAL_WATERMARK,
            paused: false,
            blocked: false,
            unblocking: false,
            wall_ms: now_ms,
            clocks_ms: now_ms,
            ended: false,
            emitted: 0,
            commits: false,
            to_commit: BTreeMap::new(),
        };
        let Some(source) = source(job, site.operator) else {
            it.ended = true;
            return it;
        };
        let kafka = source.kafka.as_ref();
        it.commits = kafka.is_some_and(|it| it.config.commits_to().is_some());
        let parallelism = site.parallelism.max(1);
        let mut weights = Vec::new();
        for number in 0..source.splits.len().min(usize::from(u16::MAX)) as u16 {
            if owner(source, number, parallelism) != u32::from(site.subtask) {
                continue;
            }
            let offset = restored_offset(restored, number);
            let split = SplitReader::new(number, offset, source, &mut weights);
            if !split.finished {
                it.combined.register(number);
            }
            it.splits.push(split);
        }
        // Partitions that were found while the job ran.
        for (number, offset, earliest) in found(restored) {
            let own = owner(source, number, parallelism) == u32::from(site.subtask);
            if !own || it.splits.iter().any(|it| it.number == number) {
                continue;
            }
            it.add((number, offset), earliest, source);
        }
        if it.splits.is_empty() {
            it.own_idleness = source.watermarks.idleness_ms.map(IdlenessTimer::new);
        }
        it
    }

    /// Reads a record, if one has arrived.
    pub fn poll(&mut self, now: Nanos, wall_ms: i64, job: &Job) -> Polled {
        self.called(wall_ms);
        let source = source(job, self.site.operator).filter(|_| !self.ended);
        let Some(source) = source else {
            return Polled::Ended;
        };
        if self.paused {
            return Polled::Paused;
        }
        let place = Place {
            seed: job.seed,
            operator: self.site.operator,
        };
        let many = self.splits.len() as u32;
        let (mut next, mut held, mut open) = (None, false, false);
        for step in 0..many {
            let at = (self.turn + step) % many;
            let split = &mut self.splits[at as usize];
            open |= !split.finished;
            let Some(arrives) = split.arrival(source) else {
                continue;
            };
            if split.paused {
                held = true;
            } else if arrives > now {
                next = Some(next.map_or(arrives, |it: Nanos| it.min(arrives)));
            } else if let Some(taken) = split.take(place, wall_ms, source) {
                self.turn = (at + 1) % many;
                let timestamp = taken.as_ref().map_or(NO_TIMESTAMP, |it| it.timestamp);
                self.on_event(at as usize, timestamp);
                let Some(record) = taken else {
                    return Polled::Moved(self.after_record());
                };
                self.emitted += 1;
                return Polled::Record(record);
            }
        }
        if source.bounded && !open {
            self.ended = true;
            return Polled::Ended;
        }
        match (next, held) {
            (None, true) => Polled::Paused,
            (next, _) => Polled::Wait(next),
        }
    }

    fn on_event(&mut self, at: usize, timestamp: i64) {
        let split = &mut self.splits[at];
        let at_once = split.on_event(timestamp);
        let (number, watermark, finished) = (split.number, split.watermark, split.finished);
        if at_once {
            self.combined.set(&number, watermark);
            self.combine();
            self.align();
        }
        if finished {
            // That alone moves nothing; the next update does.
            self.combined.unregister(&number);
        }
    }

    /// What the last record moved at once, to be sent after it: a punctuated watermark, or a split
    /// that woke. What nobody asks for here comes with the next tick.
    pub fn after_record(&mut self) -> Tick {
        std::mem::take(&mut self.untold)
    }

    /// To be called every `pipeline.auto-watermark-interval`: generators and idleness of the splits.
    pub fn on_tick(&mut self, wall_ms: i64, _job: &Job) -> Tick {
        self.called(wall_ms);
        self.run_clocks();
        if self.ended {
            return Tick::default();
        }
        for split in self.splits.iter_mut().filter(|it| !it.finished) {
            split.on_tick();
            if split.idle {
                self.combined.set_idle(&split.number, true);
            } else {
                self.combined.set(&split.number, split.watermark);
            }
        }
        self.combine();
        self.align();
        let silent = |it: &mut IdlenessTimer| it.check(wall_ms);
        if !self.idle && self.own_idleness.as_mut().is_some_and(silent) {
            self.idle = true;
            self.untold.active = Some(false);
        }
        std::mem::take(&mut self.untold)
    }

    fn combine(&mut self) {
        let combined = self.combined.update();
        if combined.watermark.is_some() {
            self.untold.watermark = combined.watermark;
            if self.idle {
                self.idle = false;
                self.untold.active = Some(true);
            }
        } else if combined.idle && !self.idle {
            self.idle = true;
            self.untold.active = Some(false);
        }
    }

    /// Whether a tick may move something although no record came: idleness is being waited for, or
    /// was found and not told yet.
    #[must_use]
    pub fn needs_tick(&self) -> bool {
        let own = self.own_idleness.is_some();
        let splits = || self.splits.iter();
        let untold = !self.idle && (own || splits().any(SplitReader::has_idleness));
        !self.ended && (untold || splits().any(SplitReader::waits_for_idleness))
    }

    /// Whether it is in a watermark alignment group.
    #[must_use]
    pub fn is_aligned(&self, job: &Job) -> bool {
        let source = source(job, self.site.operator);
        source.is_some_and(|it| it.watermarks.max_drift_ms.is_some())
    }

    /// Watermark alignment: from now on this is the greatest allowed, ms.
    pub fn allow(&mut self, max_allowed: i64) {
        self.max_allowed = max_allowed;
        self.align();
    }

    fn align(&mut self) {
        let paused = self.combined.watermark() > self.max_allowed;
        let several = self.splits.len() > 1;
        let ahead = |it: &SplitReader| several && it.watermark > self.max_allowed;
        if paused == self.paused && self.splits.iter().all(|it| it.paused == ahead(it)) {
            return;
        }
        self.run_clocks();
        self.paused = paused;
        for split in &mut self.splits {
            split.paused = several && split.watermark > self.max_allowed;
        }
    }

    /// Whether it reads nothing because it ran ahead of its alignment group.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The watermark to report to the alignment group, ms: the final one of an idle or ended reader,
    /// [`NO_WATERMARK`](super::rules::NO_WATERMARK) (which is not reported) before the first.
    #[must_use]
    pub fn reported(&self) -> i64 {
        match self.idle || self.ended {
            true => FINAL_WATERMARK,
            false => self.combined.watermark(),
        }
    }

    /// The task is backpressured, or no longer. It takes effect from the last to the next time that
    /// the reader is called.
    pub fn set_blocked(&mut self, blocked: bool) {
        if blocked {
            self.run_clocks();
            self.unblocking = false;
            self.blocked = true;
        } else {
            self.unblocking = self.blocked;
        }
    }

    fn called(&mut self, wall_ms: i64) {
        self.wall_ms = wall_ms;
        if self.unblocking {
            self.run_clocks();
            self.unblocking = false;
            self.blocked = false;
        }
    }

    /// Lets the clocks of idleness run up to the last call.
    fn run_clocks(&mut self) {
        let span = self.wall_ms.saturating_sub(self.clocks_ms).max(0);
        self.clocks_ms = self.wall_ms;
        if self.blocked || self.paused {
            return;
        }
        for split in self.splits.iter_mut().filter(|it| !it.paused) {
            split.clock_ms = split.clock_ms.saturating_add(span);
        }
    }

    /// The position of each split.
    #[must_use]
    pub fn snapshot(&self) -> OperatorSnapshot {
        let placed = |it: &&SplitReader| !it.fetched.as_ref().is_some_and(|it| it.unplaced);
        let splits = self.splits.iter().filter(placed);
        let splits = splits.map(|it| ListItem::Split {
            split: it.number,
            offset: it.offset,
        });
        let unplaced = self.splits.iter().filter(|it| !placed(it));
        let unplaced = unplaced.filter_map(|it| {
            Some(ListItem::Unplaced {
                split: it.number,
                earliest: it.fetched.as_ref()?.added?,
            })
        });
        OperatorSnapshot {
            keyed: Vec::new(),
            list: splits.chain(unplaced).collect(),
        }
    }

    /// Records that have arrived and were not read.
    #[must_use]
    pub fn backlog(&self, now: Nanos, job: &Job) -> u64 {
        let source = source(job, self.site.operator);
        let each = |source| self.splits.iter().map(move |it| it.backlog(now, source));
        source.map_or(0, |source| each(source).sum())
    }

    /// Records read since it was opened.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Its watermark, ms; [`NO_WATERMARK`](super::rules::NO_WATERMARK) before the first.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        match self.ended {
            true => FINAL_WATERMARK,
            false => self.combined.watermark(),
        }
    }

    /// Each split with its next offset and its own watermark, ms, and whether it is idle.
    pub fn splits(&self) -> impl Iterator<Item = (u16, u64, i64, bool)> {
        let each = self.splits.iter();
        each.map(|it| (it.number, it.offset, it.watermark, it.idle))
    }
}

/// The subtask that reads a split: for partitions of a topic by
/// `KafkaSourceEnumerator.getSplitOwner`.
pub(super) fn owner(source: &SourceSpec, number: u16, parallelism: u32) -> u32 {
    let first = source.kafka.as_ref().map_or(0, |it| {
        let hash = string_hash(&it.topic).wrapping_mul(31) & i32::MAX;
        hash.unsigned_abs() % parallelism
    });
    (first + u32::from(number)) % parallelism
}

/// The splits that snapshots hold: the offset, if one was known, and whether it begins at its start.
fn found<'r>(
    restored: &'r [&OperatorSnapshot],
) -> impl Iterator<Item = (u16, Option<u64>, bool)> + 'r {
    let items = restored.iter().flat_map(|it| &it.list);
    items.filter_map(|it| match it {
        ListItem::Split { split, offset } => Some((*split, Some(*offset), false)),
        ListItem::Unplaced { split, earliest } => Some((*split, None, *earliest)),
        _ => None,
    })
}

fn restored_offset(restored: &[&OperatorSnapshot], number: u16) -> Option<u64> {
    let items = restored.iter().flat_map(|it| &it.list);
    let offsets = items.filter_map(|it| match it {
        ListItem::Split { split, offset } if *split == number => Some(*offset),
        _ => None,
    });
    offsets.max()
}
