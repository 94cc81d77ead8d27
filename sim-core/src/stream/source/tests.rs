//! Readers by hand: turns, watermarks of splits, idleness, alignment, restores, records by rule.

use super::*;
use crate::stream::element::Key;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::{
    Generated, InputRecord, SourceTime, SplitSpec, WatermarkSpec, WatermarkStrategy,
};
use crate::stream::testing::job_of;
use proptest::prelude::*;
use std::sync::Arc;

const MS: u64 = 1_000_000;

/// Records of one split: arrival and event time, ms.
fn records(all: &[(u64, i64)]) -> SplitSpec {
    let each = all.iter().map(|(arrives, timestamp)| InputRecord {
        arrives: arrives * MS,
        timestamp: *timestamp,
        key: Key(0),
        value: *timestamp,
        watermark: None,
        only_watermark: false,
        kind: Default::default(),
    });
    SplitSpec::Records(Arc::new(each.collect()))
}

fn source(splits: Vec<SplitSpec>, strategy: WatermarkStrategy) -> SourceSpec {
    SourceSpec {
        splits,
        watermarks: WatermarkSpec {
            strategy,
            idleness_ms: None,
            max_drift_ms: None,
        },
        time: SourceTime::Event,
        bounded: false,
        kafka: None,
    }
}

struct Rig {
    job: Job,
    reader: SourceReader,
}

impl Rig {
    fn new(source: SourceSpec) -> Self {
        Rig::of(source, (0, 1), &[])
    }

    fn of(
        source: SourceSpec,
        (subtask, parallelism): (u16, u32),
        restored: &[&OperatorSnapshot],
    ) -> Self {
        let job = job_of(OperatorKind::Source(source), parallelism);
        let site = Site {
            operator: 0,
            subtask,
            parallelism,
            max_parallelism: 128,
        };
        Rig {
            reader: SourceReader::open(&job, site, restored, 0),
            job,
        }
    }

    fn poll(&mut self, ms: u64) -> Polled {
        self.reader.poll(ms * MS, ms as i64, &self.job)
    }

    /// Reads all that has arrived: event times.
    fn drain(&mut self, ms: u64) -> Vec<i64> {
        let mut all = Vec::new();
        while let Polled::Record(record) = self.poll(ms) {
            all.push(record.timestamp);
        }
        all
    }

    fn tick(&mut self, ms: i64) -> Tick {
        self.reader.on_tick(ms, &self.job)
    }
}

fn tick(watermark: Option<i64>, active: Option<bool>) -> Tick {
    Tick { watermark, active }
}

#[test]
fn splits_take_turns_and_who_has_nothing_loses_its_turn() {
    let splits = vec![
        records(&[(0, 1), (0, 2), (0, 3), (9, 4)]),
        records(&[(0, 10), (5, 20)]),
        records(&[]),
    ];
    let mut rig = Rig::new(source(splits, WatermarkStrategy::None));
    assert_eq!(rig.reader.backlog(0, &rig.job), 4);
    assert_eq!(rig.reader.backlog(5 * MS, &rig.job), 5);
    assert_eq!(rig.drain(0), [1, 10, 2, 3]);
    assert_eq!(rig.poll(0), Polled::Wait(Some(5 * MS)));
    assert_eq!(rig.drain(20), [20, 4]);
    assert_eq!(rig.poll(20), Polled::Wait(None));
    assert_eq!(
        (rig.reader.emitted(), rig.reader.backlog(20 * MS, &rig.job)),
        (6, 0)
    );
    assert_eq!(rig.tick(200), Tick::default());
    assert_eq!(rig.reader.watermark(), NO_WATERMARK);
}

/// The first story of the idle partition: the numbers are those of `WatermarksWithIdleness`.
fn silent_partition(idleness_ms: Option<i64>) -> Rig {
    let p0 = records(&[(10, 1_000), (20, 12_000), (30, 23_000), (9_000, 31_000)]);
    let p1 = records(&[(100, 4_000), (6_000, 6_000)]);
    let mut source = source(vec![p0, p1], WatermarkStrategy::Bounded(2_000));
    source.watermarks.idleness_ms = idleness_ms;
    Rig::new(source)
}

#[test]
fn a_silent_split_holds_the_watermark() {
    let mut rig = silent_partition(None);
    assert_eq!(rig.drain(150).len(), 4);
    assert_eq!(rig.tick(200), tick(Some(1_999), None));
    for at in (400..=5_800).step_by(200) {
        assert_eq!(rig.tick(at), Tick::default());
    }
    assert!(!rig.reader.needs_tick());
}

#[test]
fn an_idle_split_is_left_out_until_it_wakes() {
    let mut rig = silent_partition(Some(5_000));
    let mut moved = Vec::new();
    for at in (200..=9_600).step_by(200) {
        rig.drain(at as u64);
        // The other split stays busy.
        let tick = rig.tick(at);
        if tick != Tick::default() {
            moved.push((at, tick.watermark, tick.active));
        }
        assert!(rig.reader.needs_tick() || at > 5_600);
    }
    // Both are silent from 200 on, and idle at 5600 alike: the furthest is let through, and a tick
    // later the reader is idle. The record of 6000 wakes its split, but moves nothing; the split
    // then holds the watermark until it is idle again.
    let expected = [
        (200, Some(1_999), None),
        (5_600, Some(20_999), None),
        (5_800, None, Some(false)),
    ];
    assert_eq!(moved, expected);
    let all: Vec<(u16, u64, i64, bool)> = rig.reader.splits().collect();
    assert_eq!(all, [(0, 4, 28_999, false), (1, 2, 3_999, false)]);
}

#[test]
fn a_reader_without_splits_is_idle_only_if_it_may_be() {
    for (idleness_ms, expected) in [(None, None), (Some(1_000), Some(1_400))] {
        let mut source = source(vec![records(&[(0, 1)])], WatermarkStrategy::Bounded(0));
        source.watermarks.idleness_ms = idleness_ms;
        let mut rig = Rig::of(source, (1, 2), &[]);
        let idle = (200..5_000).step_by(200).find(|at| {
            rig.poll(*at as u64) == Polled::Wait(None) && rig.tick(*at).active == Some(false)
        });
        assert_eq!(idle, expected);
        let reported = expected.map_or(NO_WATERMARK, |_| FINAL_WATERMARK);
        assert_eq!(rig.reader.reported(), reported);
    }
}

#[test]
fn idleness_does_not_run_while_the_task_is_backpressured() {
    let check = |blocked_ms: i64, expected| {
        let mut source = source(vec![records(&[(0, 1_000)])], WatermarkStrategy::Bounded(0));
        source.watermarks.idleness_ms = Some(1_000);
        let mut rig = Rig::new(source);
        rig.drain(0);
        let mut idle = None;
        for at in (200..20_000).step_by(200) {
            if at == 600 + blocked_ms {
                rig.reader.set_blocked(false);
            }
            if !(601..600 + blocked_ms).contains(&at) {
                rig.drain(at as u64);
            }
            if at == 600 && blocked_ms > 0 {
                rig.reader.set_blocked(true);
            }
            if rig.tick(at).active == Some(false) {
                idle = Some(at);
                break;
            }
        }
        assert_eq!(idle, expected, "{blocked_ms}");
    };
    check(0, Some(1_600));
    check(2_000, Some(3_600));
}

#[test]
fn a_punctuated_watermark_follows_its_record() {
    let splits = vec![records(&[(0, 10), (0, 30)]), records(&[(0, 20), (0, 15)])];
    let mut rig = Rig::new(source(splits, WatermarkStrategy::Punctuated));
    let mut seen = Vec::new();
    while let Polled::Record(record) = rig.poll(0) {
        seen.push((record.timestamp, rig.reader.after_record().watermark));
    }
    let expected = [(10, None), (20, Some(9)), (30, Some(19)), (15, None)];
    assert_eq!(seen, expected);
    // What nobody asked for comes with the tick.
    let mut rig = Rig::new(source(
        vec![records(&[(0, 10)])],
        WatermarkStrategy::Punctuated,
    ));
    rig.drain(0);
    assert_eq!(rig.tick(200), tick(Some(9), None));
}

#[test]
fn times_are_the_record_s_own_or_the_clock_s_or_none() {
    for (time, expected, watermark) in [
        (SourceTime::Event, 500, Some(499)),
        (SourceTime::Ingestion, 40, Some(39)),
        (SourceTime::None, i64::MIN, None),
    ] {
        let mut source = source(vec![records(&[(7, 500)])], WatermarkStrategy::Bounded(0));
        source.time = time;
        let mut rig = Rig::new(source);
        assert_eq!(rig.drain(40), [expected]);
        assert_eq!(rig.tick(200).watermark, watermark);
    }
}

#[test]
fn readers_that_run_ahead_pause_and_so_do_splits() {
    let fast: Vec<(u64, i64)> = (1..=5)
        .map(|it| (it * 200 - 100, it as i64 * 1_000))
        .collect();
    let slow: Vec<(u64, i64)> = (1..=5)
        .map(|it| (it * 200 - 100, it as i64 * 100))
        .collect();
    let mut rig = Rig::new(source(vec![records(&fast)], WatermarkStrategy::Bounded(0)));
    rig.drain(150);
    rig.tick(200);
    assert_eq!(rig.reader.reported(), 999);
    rig.reader.allow(998);
    assert!(rig.reader.is_paused());
    assert_eq!(rig.poll(400), Polled::Paused);
    rig.reader.allow(1_500);
    assert_eq!(rig.drain(400), [2_000]);
    rig.tick(400);
    assert_eq!(rig.poll(600), Polled::Paused, "1999 is beyond 1500");
    // Of several splits those are left out that ran ahead.
    let splits = vec![records(&fast), records(&slow)];
    let mut rig = Rig::new(source(splits, WatermarkStrategy::Bounded(0)));
    rig.reader.allow(1_500);
    let mut all = Vec::new();
    for at in (200..=1_200).step_by(200) {
        all.extend(rig.drain(at));
        rig.tick(at as i64);
    }
    assert_eq!(all, [1_000, 100, 2_000, 200, 300, 400, 500]);
    assert_eq!(rig.poll(1_200), Polled::Paused);
    rig.reader.allow(10_000);
    assert_eq!(rig.drain(1_200), [3_000, 4_000, 5_000]);
}

#[test]
fn a_bounded_source_ends_and_a_finished_split_holds_nothing() {
    let splits = vec![records(&[(0, 10)]), records(&[(0, 20), (300, 50)])];
    let mut source = source(splits, WatermarkStrategy::Bounded(0));
    source.bounded = true;
    let mut rig = Rig::new(source.clone());
    assert_eq!(rig.drain(100), [10, 20]);
    assert_eq!(rig.tick(200), tick(Some(19), None));
    assert_eq!(rig.poll(200), Polled::Wait(Some(300 * MS)));
    assert_eq!(rig.drain(300), [50]);
    for _ in 0..2 {
        assert_eq!(rig.poll(300), Polled::Ended);
        assert_eq!(
            rig.tick(400),
            Tick::default(),
            "the caller sends the final watermark"
        );
    }
    assert_eq!(rig.reader.reported(), FINAL_WATERMARK);
    // Restored at its end, and without splits.
    let state = rig.reader.snapshot();
    let mut restored = Rig::of(source.clone(), (0, 1), &[&state]);
    assert_eq!(restored.poll(0), Polled::Ended);
    assert_eq!(Rig::of(source, (2, 3), &[]).poll(0), Polled::Ended);
}

fn generated() -> impl Strategy<Value = Generated> {
    let limit = proptest::option::of(0..60_u64);
    (
        1..2_000_000_u64,
        0..5_000_000_u64,
        limit,
        0..50_u32,
        0..2_000_u32,
        0..40_i64,
    )
        .prop_map(
            |(gap, start, limit, keys, skew_milli, disorder_ms)| Generated {
                gap,
                start,
                limit,
                keys,
                skew_milli,
                disorder_ms,
            },
        )
}

proptest! {
    /// However often it is read, by whichever subtasks: the same offset is the same record.
    #[test]
    fn the_same_offset_is_the_same_record(
        rules in proptest::collection::vec(generated(), 1..5),
        parallelism in proptest::collection::vec(1..5_u32, 1..5), stops in 0..40_usize
    ) {
        let splits: Vec<SplitSpec> = rules.iter().map(|it| SplitSpec::Generated(*it)).collect();
        let source = source(splits, WatermarkStrategy::Bounded(5));
        let read = |parallelism: &[u32]| {
            let mut states: Vec<OperatorSnapshot> = Vec::new();
            let mut all = Vec::new();
            for (round, many) in (1..).zip(parallelism) {
                let restored: Vec<&OperatorSnapshot> = states.iter().collect();
                let mut after = Vec::new();
                for subtask in 0..*many as u16 {
                    let mut rig = Rig::of(source.clone(), (subtask, *many), &restored);
                    let last = round == parallelism.len();
                    let mut count = 0;
                    while last || count < stops {
                        // What arrives within 30 ms.
                        let Polled::Record(record) = rig.poll(30) else { break };
                        count += 1;
                        all.push(record);
                    }
                    prop_assert_eq!(rig.reader.emitted(), count as u64);
                    prop_assert!(!last || rig.reader.backlog(30 * MS, &rig.job) == 0);
                    after.push(rig.reader.snapshot());
                }
                states = after;
            }
            all.sort();
            Ok(all)
        };
        let once = read(&[1])?;
        prop_assert_eq!(&read(&parallelism)?, &once);
        for record in &once {
            let Some(rule) = rules.get(usize::from(record.origin.split)) else {
                panic!("no such split");
            };
            prop_assert!(record.key.0 < rule.keys.max(1));
            let arrives = rule.start + record.origin.offset * rule.gap;
            let late = (arrives / MS) as i64 - record.timestamp;
            prop_assert!((0..=rule.disorder_ms).contains(&late));
            prop_assert_eq!(&record.value, &Value::Number(record.origin.offset as i64));
            prop_assert!(rule.limit.is_none_or(|limit| record.origin.offset < limit));
        }
    }
}

#[test]
fn keys_are_drawn_evenly_or_by_zipf_s_law() {
    let share_of_first = |skew_milli| {
        let rule = Generated {
            gap: 1,
            start: 0,
            limit: None,
            keys: 100,
            skew_milli,
            disorder_ms: 0,
        };
        let splits = vec![SplitSpec::Generated(rule)];
        let mut rig = Rig::new(source(splits, WatermarkStrategy::None));
        let mut first = 0;
        for _ in 0..10_000 {
            match rig.poll(1) {
                Polled::Record(it) => first += u32::from(it.key == Key(0)),
                other => panic!("{other:?}"),
            }
        }
        first
    };
    assert!((70..130).contains(&share_of_first(0)));
    // The harmonic number of 100 is 5.187.
    assert!((1_830..2_030).contains(&share_of_first(1_000)));
}
