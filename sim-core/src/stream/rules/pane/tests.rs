//! Panes as a whole, and what must hold whatever comes.

use super::runner::{Failure, Out, Pane, PaneRunner, Reason};
use super::strategy::{Accumulation, Empty, Strategy as Windowing, TimestampCombiner};
use super::trigger::Trigger;
use super::{END_OF_GLOBAL_WINDOW, PaneInfo, TIMESTAMP_MAX, Timing, max_timestamp};
use crate::stream::rules::assigner::{Assigner, Window};
use crate::stream::rules::window::aggregate::{Aggregate, Record, Value};
use crate::stream::rules::window::merging::Merging;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FIXED: Assigner = Assigner::Tumbling {
    size: 10,
    offset: 0,
};

fn windowing(assigner: Assigner, trigger: Trigger) -> Windowing {
    Windowing {
        assigner,
        trigger,
        accumulation: Accumulation::Accumulating,
        aggregate: Aggregate::Sum,
        allowed_lateness: 100,
        closing: Empty::Silent,
        on_time: Empty::Said,
        combiner: TimestampCombiner::Earliest,
    }
}

fn record(value: i64, timestamp: i64) -> (u32, Record) {
    (0, Record { value, timestamp })
}

fn panes(outs: Result<Vec<Out<u32>>, Failure>) -> Vec<Pane<u32>> {
    let outs = outs.expect("no failure").into_iter();
    let pane = |it| match it {
        Out::Pane(pane) => Some(pane),
        Out::Dropped { .. } | Out::Swallowed { .. } => None,
    };
    outs.filter_map(pane).collect()
}

/// Sum, time, timing, index, non-speculative index, and whether it is the last.
type Told = (i64, i64, Timing, i64, i64, bool);

fn told(outs: Result<Vec<Out<u32>>, Failure>) -> Vec<Told> {
    let tell = |it: Pane<u32>| {
        let Value::Number(sum) = it.value else {
            panic!("a sum is a number");
        };
        let info = it.info;
        assert_eq!(info.first, info.index == 0);
        let at = (info.index, info.non_speculative_index);
        (sum, it.timestamp, info.timing, at.0, at.1, info.last)
    };
    panes(outs).into_iter().map(tell).collect()
}

/// Again and again some processing time after a pane's first element, on time, and again and again
/// some longer while after that.
fn speculative() -> Trigger {
    let every = |delay| {
        Box::new(Trigger::Repeatedly(Box::new(Trigger::AfterProcessingTime(
            delay,
        ))))
    };
    Trigger::AfterEach(vec![
        Trigger::OrFinally(every(5), Box::new(Trigger::AfterWatermark)),
        *every(25),
    ])
}

#[test]
fn processing_time_fires_early_and_late_and_the_watermark_in_between() {
    let mut runner = PaneRunner::new(windowing(FIXED, speculative()), 0);
    assert_eq!(told(runner.on_watermark(0)), []);
    assert_eq!(told(runner.on_bundle(&[record(2, 1), record(2, 7)])), []);
    assert_eq!(told(runner.on_processing_time(5)), []);
    let early = [(4, 1, Timing::Early, 0, -1, false)];
    assert_eq!(told(runner.on_processing_time(6)), early);
    assert_eq!(told(runner.on_bundle(&[record(1, 8), record(1, 4)])), []);
    let on_time = [(6, 4, Timing::OnTime, 1, 0, false)];
    assert_eq!(told(runner.on_watermark(11)), on_time);
    assert_eq!(told(runner.on_bundle(&[record(5, 3)])), []);
    let late = [(11, 9, Timing::Late, 2, 1, false)];
    assert_eq!(told(runner.on_processing_time(32)), late);
    assert_eq!(told(runner.on_bundle(&[record(1, 3)])), []);
    let last = [(12, 9, Timing::Late, 3, 2, true)];
    assert_eq!(told(runner.on_watermark(125)), last);
    assert!(runner.is_empty());
}

#[test]
fn an_empty_pane_is_said_on_time_and_at_the_end_only_if_wanted() {
    for (on_time, closing, expected) in [
        (
            Empty::Said,
            Empty::Silent,
            vec![(Timing::OnTime, 1, 0, false)],
        ),
        (Empty::Silent, Empty::Silent, vec![]),
        (Empty::Silent, Empty::Said, vec![(Timing::Late, 1, 0, true)]),
        (
            Empty::Said,
            Empty::Said,
            vec![(Timing::OnTime, 1, 0, false), (Timing::Late, 2, 1, true)],
        ),
    ] {
        let mut runner = PaneRunner::new(
            Windowing {
                on_time,
                closing,
                ..windowing(FIXED, speculative())
            },
            0,
        );
        assert_eq!(told(runner.on_bundle(&[record(4, 1)])), []);
        let early = [(4, 1, Timing::Early, 0, -1, false)];
        assert_eq!(told(runner.on_processing_time(6)), early);
        let mut rest = told(runner.on_watermark(11));
        rest.extend(told(runner.on_watermark(110)));
        let expected: Vec<Told> = expected
            .into_iter()
            .map(|(t, i, n, last)| (4, 9, t, i, n, last))
            .collect();
        assert_eq!(rest, expected);
    }
}

#[test]
fn the_end_of_a_window_and_its_expiry_at_once_are_one_pane() {
    for assigner in [FIXED, Assigner::Session { gap: 10 }] {
        let always = Windowing {
            closing: Empty::Said,
            ..windowing(assigner, Trigger::Default)
        };
        let mut runner = PaneRunner::new(always, 0);
        assert_eq!(told(runner.on_bundle(&[record(1, 1)])), []);
        let only = [(1, 1, Timing::OnTime, 0, 0, true)];
        assert_eq!(told(runner.on_watermark(1_000)), only);
    }
}

#[test]
fn a_trigger_that_has_finished_closes_its_window() {
    let sliding = Assigner::Sliding {
        size: 100,
        slide: 30,
        offset: 0,
    };
    let mut runner = PaneRunner::new(windowing(sliding, Trigger::AfterWatermark), 0);
    assert_eq!(
        told(runner.on_bundle(&[record(10, 23), record(12, 40)])),
        []
    );
    assert_eq!(told(runner.on_watermark(70)).len(), 2);
    let mut closed = |timestamp| {
        let outs = runner
            .on_bundle(&[record(1, timestamp)])
            .expect("no failure");
        let is = |it: &&Out<u32>| {
            matches!(
                it,
                Out::Dropped {
                    reason: Reason::Closed,
                    ..
                }
            )
        };
        let dropped = outs.iter().filter(is).count();
        runner.on_watermark(130).expect("no failure");
        dropped
    };
    assert_eq!(closed(60), 1);
    assert_eq!(closed(40), 3);
}

#[test]
fn a_closed_session_does_not_poison_one_that_covers_it() {
    let mut runner = PaneRunner::new(
        Windowing {
            accumulation: Accumulation::Discarding,
            ..windowing(Assigner::Session { gap: 10 }, Trigger::AfterPane(2))
        },
        0,
    );
    let pair = [record(3, 2), record(4, 2)];
    let first = [(7, 2, Timing::Early, 0, -1, true)];
    assert_eq!(told(runner.on_bundle(&pair)), first);
    assert_eq!(told(runner.on_bundle(&pair)), []);
    let wider = [record(1, 1), record(2, 2), record(3, 3)];
    let second = [(6, 1, Timing::Early, 0, -1, true)];
    assert_eq!(told(runner.on_bundle(&wider)), second);
}

#[test]
fn a_session_that_merges_into_a_closed_one_is_never_heard_of() {
    let twice = Trigger::OrFinally(Box::new(Trigger::AfterPane(2)), Box::new(Trigger::Default));
    let sessions = Windowing {
        accumulation: Accumulation::Discarding,
        allowed_lateness: 0,
        ..windowing(Assigner::Session { gap: 9 }, twice)
    };
    let mut runner = PaneRunner::new(sessions, 0);
    let mut at = |value, timestamp| runner.on_bundle(&[record(value, timestamp)]);
    assert_eq!(told(at(1, 95)), []);
    assert_eq!(told(at(2, 87)), [(3, 87, Timing::Early, 0, -1, true)]);
    // A session of its own: the closed one is not among those that are merged.
    assert_eq!(told(at(4, 95)), []);
    let window = Window {
        start: 87,
        end: 104,
    };
    let dropped = Out::Dropped {
        key: 0,
        window,
        record: record(8, 87).1,
        reason: Reason::Closed,
    };
    assert_eq!(at(8, 87), Ok(vec![dropped]));
    let swallowed = Out::Swallowed {
        key: 0,
        window,
        value: Value::Number(4),
    };
    assert_eq!(runner.on_watermark(1_000), Ok(vec![swallowed]));
}

#[test]
fn a_session_that_grows_begins_its_panes_anew() {
    let early = Trigger::EarlyAndLate {
        early: Box::new(Trigger::AfterPane(1)),
        late: None,
    };
    let sessions = Windowing {
        allowed_lateness: 0,
        ..windowing(Assigner::Session { gap: 10 }, early)
    };
    let mut runner = PaneRunner::new(sessions, 0);
    let first = |sum, at| [(sum, at, Timing::Early, 0, -1, false)];
    assert_eq!(told(runner.on_bundle(&[record(1, 0)])), first(1, 0));
    assert_eq!(told(runner.on_bundle(&[record(2, 5)])), first(3, 5));
    // The watermark passes the end of the first session, not of the one that it is part of now.
    assert_eq!(told(runner.on_watermark(11)), []);
    let on_time = [(3, 14, Timing::OnTime, 1, 0, true)];
    assert_eq!(told(runner.on_watermark(15)), on_time);
}

#[test]
fn what_has_not_been_said_holds_the_watermark() {
    let trigger = Trigger::EarlyAndLate {
        early: Box::new(Trigger::Never),
        late: Some(Box::new(Trigger::AfterPane(2))),
    };
    let mut runner = PaneRunner::new(windowing(FIXED, trigger), 0);
    let mut at = |watermark: i64, elements: &[(u32, Record)]| {
        runner.on_watermark(watermark).expect("no failure");
        runner.on_bundle(elements).expect("no failure");
        (runner.output_watermark(), runner.hold())
    };
    assert_eq!(at(0, &[record(1, 3)]), (Some(0), Some(3)));
    assert_eq!(at(5, &[]), (Some(3), Some(3)));
    assert_eq!(at(10, &[]), (Some(10), None));
    // A late element waits for another: until the window is forgotten.
    assert_eq!(at(20, &[record(1, 3)]), (Some(20), Some(109)));
    assert_eq!(at(110, &[]), (Some(110), None));
}

#[test]
fn time_has_its_limits() {
    let mut runner = PaneRunner::new(windowing(FIXED, Trigger::Default), 0);
    let at_the_end = record(1, END_OF_GLOBAL_WINDOW);
    assert_eq!(told(runner.on_bundle(&[at_the_end])), []);
    let too_late = runner.on_bundle(&[record(1, TIMESTAMP_MAX)]);
    assert_eq!(too_late, Err(Failure::BeyondTime));
    assert_eq!(told(runner.on_watermark(TIMESTAMP_MAX)).len(), 1);
    assert_eq!(runner.on_watermark(0), Err(Failure::WatermarkBack));
    assert_eq!(runner.on_processing_time(-1), Err(Failure::ClockBack));
}

fn triggers() -> impl Strategy<Value = Trigger> {
    let leaf = prop_oneof![
        Just(Trigger::Default),
        Just(Trigger::Never),
        Just(Trigger::AfterWatermark),
        (1_i64..4).prop_map(Trigger::AfterPane),
        (0_i64..9).prop_map(Trigger::AfterProcessingTime),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            inner
                .clone()
                .prop_map(|it| Trigger::Repeatedly(Box::new(it))),
            some.clone().prop_map(Trigger::AfterFirst),
            some.clone().prop_map(Trigger::AfterAll),
            some.prop_map(Trigger::AfterEach),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| Trigger::OrFinally(Box::new(a), Box::new(b))),
            (inner.clone(), prop::option::of(inner)).prop_map(|(early, late)| {
                Trigger::EarlyAndLate {
                    early: Box::new(early),
                    late: late.map(Box::new),
                }
            }),
        ]
    })
}

fn assigners() -> impl Strategy<Value = Assigner> {
    prop_oneof![
        (1_i64..30).prop_map(|size| Assigner::Tumbling { size, offset: 0 }),
        (1_i64..20).prop_map(|gap| Assigner::Session { gap }),
        Just(Assigner::Global),
    ]
}

/// Elements, each with how far the watermark and the clock move after it.
fn story() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((-20_i64..100, 0_i64..12, 0_i64..6), 0..30)
}

/// All that comes out. No pane is so late that others with the same lateness would have to drop it.
fn run(windowing: Windowing, story: &[(i64, i64, i64)]) -> Vec<Out<u32>> {
    let lateness = windowing.allowed_lateness;
    let mut runner = PaneRunner::new(windowing, 0);
    let mut all = Vec::new();
    let (mut watermark, mut now) = (-30, 0);
    let mut take = |outs: Result<Vec<Out<u32>>, Failure>, handed_on: Option<i64>| {
        for it in outs.expect("no failure") {
            if let Out::Pane(pane) = &it {
                let expiry = max_timestamp(&pane.window).saturating_add(lateness);
                assert!(Some(expiry) >= handed_on, "{pane:?} {handed_on:?}");
            }
            all.push(it);
        }
    };
    for (number, (timestamp, moved, passed)) in story.iter().enumerate() {
        let handed_on = runner.output_watermark();
        let element = record(1 << number, *timestamp);
        take(runner.on_bundle(&[element]), handed_on);
        watermark += moved;
        now += passed;
        take(runner.on_watermark(watermark), handed_on);
        assert!(runner.output_watermark() >= handed_on);
        assert!(runner.output_watermark() <= Some(watermark));
        take(runner.on_processing_time(now), runner.output_watermark());
    }
    let handed_on = runner.output_watermark();
    take(runner.on_watermark(TIMESTAMP_MAX), handed_on);
    assert!(runner.is_empty());
    all
}

proptest! {
    #[test]
    fn each_element_is_said_once_dropped_or_swallowed(
        assigner in assigners(),
        trigger in triggers(),
        story in story(),
        allowed_lateness in 0_i64..30,
    ) {
        let discarding = Windowing {
            accumulation: Accumulation::Discarding,
            allowed_lateness,
            ..windowing(assigner, trigger)
        };
        let mut sum = 0;
        for it in run(discarding, &story) {
            sum += match it {
                Out::Pane(Pane { value: Value::Number(sum), .. })
                | Out::Swallowed { value: Value::Number(sum), .. } => sum,
                Out::Pane(_) | Out::Swallowed { .. } => 0,
                Out::Dropped { record, .. } => record.value,
            };
        }
        prop_assert_eq!(sum, (1 << story.len()) - 1);
    }

    #[test]
    fn panes_follow_each_other_and_what_is_taken_back_leaves_the_last(
        trigger in triggers(),
        story in story(),
    ) {
        let retracting = Windowing {
            accumulation: Accumulation::Retracting,
            closing: Empty::Said,
            ..windowing(FIXED, trigger)
        };
        let mut of_windows: BTreeMap<Window, (PaneInfo, i64, i64)> = BTreeMap::new();
        for it in panes(Ok(run(retracting, &story))) {
            let (Value::Number(sum), info) = (it.value, it.info) else {
                panic!("a sum is a number");
            };
            let back = match it.retracted {
                Some(Value::Number(back)) => back,
                _ => 0,
            };
            let before = of_windows.get(&it.window).copied();
            let total = before.map_or(0, |it| it.1) + sum - back;
            if let Some((before, _, last)) = before {
                prop_assert_eq!(back, last);
                prop_assert_eq!(info.index, before.index + 1);
                prop_assert!(info.timing >= before.timing && !before.last);
                prop_assert!(info.timing != Timing::OnTime || before.timing == Timing::Early);
            }
            prop_assert_eq!(total, sum);
            of_windows.insert(it.window, (info, total, sum));
        }
    }

    #[test]
    fn sessions_on_time_are_those_worked_out_afterwards(
        gap in 1_i64..20,
        given in prop::collection::vec((-50_i64..200, 1_i64..9), 1..40),
        bundle in 1_usize..5,
    ) {
        let assigner = Assigner::Session { gap };
        let mut runner = PaneRunner::new(windowing(assigner, Trigger::Default), 0);
        for part in given.chunks(bundle) {
            let elements: Vec<_> = part.iter().map(|(at, value)| record(*value, *at)).collect();
            prop_assert_eq!(told(runner.on_bundle(&elements)), []);
        }
        let said: BTreeMap<Window, Value> =
            panes(runner.on_watermark(1_000)).into_iter().map(|it| (it.window, it.value)).collect();
        let windows: Vec<Window> = given.iter().flat_map(|it| assigner.assign(it.0)).collect();
        let merged = Merging::Overlapping.merge(&windows).into_iter();
        let expected: BTreeMap<Window, Value> = merged
            .map(|(window, _)| {
                let inside = given.iter().filter(|it| window.start <= it.0 && it.0 < window.end);
                (window, Value::Number(inside.map(|it| it.1).sum()))
            })
            .collect();
        prop_assert_eq!(said, expected);
    }
}
