//! A split of a source: its records by their offsets, and its own watermark generator.
//!
//! Follows `SourceReaderBase` with one `SplitState` for each split, and the split-local outputs of
//! `ProgressiveTimestampsAndWatermarks` of Flink 2.x. A record is a function of the split and the
//! offset, so that what is read again after a restore is what was read before. A record made by rule
//! is drawn from the world's seed by (source, split, offset); its value is its offset.

use crate::kernel::{Nanos, Purpose, below, draw};
use crate::stream::element::{Key, NO_TIMESTAMP, Origin, Record};
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::watermark::{BoundedOutOfOrderness, IdlenessTimer};
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::{
    Generated, InputRecord, SourceSpec, SourceTime, SplitSpec, WatermarkStrategy,
};
use crate::zipf;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

const KEY: Purpose = Purpose::named("stream.source.key");
const DISORDER: Purpose = Purpose::named("stream.source.disorder");

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// A watermark generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Generator {
    None,
    Bounded(BoundedOutOfOrderness),
    Punctuated,
    /// Gives what the record just read brings.
    Listed(Option<i64>),
}

/// What every record of a source has to know of its place.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) seed: u64,
    pub(super) operator: u32,
}

/// A split as its reader has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct SplitReader {
    /// Its number in the source.
    pub(super) number: u16,
    /// The next record's.
    pub(super) offset: u64,
    /// Its last watermark, ms.
    pub(super) watermark: i64,
    /// It is idle (`withIdleness`).
    pub(super) idle: bool,
    /// It ran ahead of its alignment group and is not read.
    pub(super) paused: bool,
    /// It has an end, and that was read.
    pub(super) finished: bool,
    /// The clock of its idleness, ms: it stands while the split is held back.
    pub(super) clock_ms: i64,
    generator: Generator,
    idleness: Option<IdlenessTimer>,
    /// Of a partition of a topic: what was fetched and not read yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fetched: Option<Box<Fetched>>,
    /// Running sums of Zipf weights; a function of the job.
    #[serde(skip)]
    zipf: Option<Arc<Vec<u64>>>,
}

/// What a partition of a topic has brought.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Fetched {
    /// In order; the offset is in the origin.
    pub(super) records: VecDeque<Record>,
    /// Where it begins is not known yet.
    pub(super) unplaced: bool,
    /// It was given to the reader while the job ran: whether it begins at its start, whatever the
    /// source's starting offsets are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) added: Option<bool>,
    /// Records of the partition that are not fetched yet, as far as is known.
    pub(super) lag: u64,
}

impl SplitReader {
    pub(super) fn new(
        number: u16,
        restored: Option<u64>,
        source: &SourceSpec,
        known: &mut Vec<Weights>,
    ) -> Self {
        let split = source.splits.get(usize::from(number));
        let zipf = split.and_then(|it| match it {
            SplitSpec::Generated(it) if it.skew_milli > 0 => Some(weights(it, known)),
            _ => None,
        });
        let generator = match source.watermarks.strategy {
            WatermarkStrategy::None => Generator::None,
            WatermarkStrategy::Bounded(ms) => Generator::Bounded(BoundedOutOfOrderness::new(ms)),
            WatermarkStrategy::Punctuated => Generator::Punctuated,
            WatermarkStrategy::Listed => Generator::Listed(None),
        };
        // Partitions that were added to a topic are not among the splits of the file.
        let partition = matches!(split, Some(SplitSpec::Partition)) || source.kafka.is_some();
        let fetched = partition.then(|| {
            Box::new(Fetched {
                unplaced: restored.is_none(),
                ..Fetched::default()
            })
        });
        let mut it = SplitReader {
            number,
            offset: restored.unwrap_or(0),
            watermark: NO_WATERMARK,
            idle: false,
            paused: false,
            finished: false,
            clock_ms: 0,
            generator,
            idleness: source.watermarks.idleness_ms.map(IdlenessTimer::new),
            fetched,
            zipf,
        };
        it.finished = source.bounded && it.arrival(source).is_none();
        it
    }

    /// When the next record can be read, ns; none after the last.
    pub(super) fn arrival(&self, source: &SourceSpec) -> Option<Nanos> {
        if let Some(fetched) = &self.fetched {
            // What was fetched can be read.
            return fetched.records.front().map(|_| 0);
        }
        match source.splits.get(usize::from(self.number))? {
            SplitSpec::Records(records) => at(records, self.offset).map(|it| it.arrives),
            SplitSpec::Generated(it) => generated_arrival(it, self.offset),
            SplitSpec::Partition => None,
        }
    }

    /// Records that have arrived and were not read.
    pub(super) fn backlog(&self, now: Nanos, source: &SourceSpec) -> u64 {
        if let Some(fetched) = &self.fetched {
            return fetched.lag.saturating_add(fetched.records.len() as u64);
        }
        let arrived = match source.splits.get(usize::from(self.number)) {
            Some(SplitSpec::Records(records)) => {
                records.partition_point(|it| it.arrives <= now) as u64
            }
            Some(SplitSpec::Generated(it)) if now >= it.start => {
                let all = (now - it.start) / it.gap.max(1) + 1;
                it.limit.map_or(all, |limit| all.min(limit))
            }
            _ => 0,
        };
        arrived.saturating_sub(self.offset)
    }

    /// Reads what is next: a record, or none if only a watermark stands there.
    pub(super) fn take(
        &mut self,
        place: Place,
        wall_ms: i64,
        source: &SourceSpec,
    ) -> Option<Option<Record>> {
        if self.fetched.is_some() {
            return self.take_fetched(wall_ms, source.time).map(Some);
        }
        let input = match source.splits.get(usize::from(self.number))? {
            SplitSpec::Records(records) => *at(records, self.offset)?,
            SplitSpec::Generated(it) => {
                let weights = self.zipf.as_ref().map(|it| it.as_slice());
                generated(it, weights, place, self.number, self.offset)?
            }
            SplitSpec::Partition => return None,
        };
        let origin = Origin {
            source: place.operator as u16,
            split: self.number,
            offset: self.offset,
        };
        self.offset += 1;
        self.finished = source.bounded && self.arrival(source).is_none();
        if let Generator::Listed(next) = &mut self.generator {
            *next = input.watermark;
        }
        if input.only_watermark {
            return Some(None);
        }
        Some(Some(Record {
            key: input.key,
            timestamp: match source.time {
                SourceTime::Event => input.timestamp,
                SourceTime::Ingestion => wall_ms,
                SourceTime::None => NO_TIMESTAMP,
            },
            value: Value::Number(input.value),
            right: None,
            kind: input.kind,
            window: None,
            timing: None,
            origin,
        }))
    }

    /// Reads the next of what was fetched. Offsets of a topic have gaps.
    fn take_fetched(&mut self, wall_ms: i64, time: SourceTime) -> Option<Record> {
        let mut record = self.fetched.as_mut()?.records.pop_front()?;
        self.offset = record.origin.offset.saturating_add(1);
        match time {
            SourceTime::Event => {}
            SourceTime::Ingestion => record.timestamp = wall_ms,
            SourceTime::None => record.timestamp = NO_TIMESTAMP,
        }
        Some(record)
    }

    /// A record was read: whether its watermark is to be combined at once.
    pub(super) fn on_event(&mut self, timestamp: i64) -> bool {
        let woken = self.idle;
        if let Some(idleness) = &mut self.idleness {
            idleness.activity();
            self.idle = false;
        }
        let given = match &mut self.generator {
            Generator::Punctuated => Some(timestamp.saturating_sub(1)),
            Generator::Listed(next) => next.take(),
            _ => None,
        };
        match &mut self.generator {
            Generator::None => woken,
            Generator::Bounded(it) => {
                it.on_event(timestamp);
                woken
            }
            Generator::Punctuated | Generator::Listed(_) => {
                let grown = given.is_some_and(|it| it > self.watermark);
                self.watermark = self.watermark.max(given.unwrap_or(self.watermark));
                woken || grown
            }
        }
    }

    /// Whether it may become idle by the passing of time.
    pub(super) fn waits_for_idleness(&self) -> bool {
        self.has_idleness() && !self.idle
    }

    /// Whether it can become idle.
    pub(super) fn has_idleness(&self) -> bool {
        self.idleness.is_some() && !self.finished
    }

    /// A tick: finds out whether the split is idle, and its watermark otherwise.
    pub(super) fn on_tick(&mut self) {
        let clock_ms = self.clock_ms;
        if self.idleness.as_mut().is_some_and(|it| it.check(clock_ms)) {
            self.idle = true;
        } else if let Generator::Bounded(it) = &self.generator {
            self.watermark = self.watermark.max(it.watermark());
        }
    }
}

/// Weights of so many keys with this exponent; splits with the same keys share them.
pub(super) type Weights = ((u32, u32), Arc<Vec<u64>>);

fn weights(rule: &Generated, known: &mut Vec<Weights>) -> Arc<Vec<u64>> {
    let keys = (rule.keys, rule.skew_milli);
    if let Some((_, weights)) = known.iter().find(|(it, _)| *it == keys) {
        return weights.clone();
    }
    let made = Arc::new(zipf::cumulative(rule.keys, rule.skew_milli));
    known.push((keys, made.clone()));
    made
}

fn at(records: &[InputRecord], offset: u64) -> Option<&InputRecord> {
    records.get(usize::try_from(offset).ok()?)
}

/// When a record made by rule arrives, ns.
fn generated_arrival(rule: &Generated, offset: u64) -> Option<Nanos> {
    if rule.limit.is_some_and(|limit| offset >= limit) {
        return None;
    }
    let since = offset.checked_mul(rule.gap.max(1))?;
    rule.start.checked_add(since)
}

/// A record made by rule: a function of its arguments alone.
fn generated(
    rule: &Generated,
    zipf: Option<&[u64]>,
    place: Place,
    split: u16,
    offset: u64,
) -> Option<InputRecord> {
    let arrives = generated_arrival(rule, offset)?;
    let bits = |purpose| {
        let (source, split) = (u64::from(place.operator), u64::from(split));
        draw(place.seed, purpose, source, split, offset)
    };
    let key = match (rule.keys, zipf) {
        (0 | 1, _) => 0,
        (_, Some(weights)) => zipf::pick(weights, bits(KEY)),
        (keys, None) => below(bits(KEY), u64::from(keys)) as u32,
    };
    let arrives_ms = (arrives / MS) as i64;
    let late = match u64::try_from(rule.disorder_ms) {
        Ok(most) if most > 0 => below(bits(DISORDER), most.saturating_add(1)) as i64,
        _ => 0,
    };
    Some(InputRecord {
        arrives,
        timestamp: arrives_ms - late,
        key: Key(key),
        value: offset as i64,
        watermark: None,
        only_watermark: false,
        kind: RowKind::Insert,
    })
}
