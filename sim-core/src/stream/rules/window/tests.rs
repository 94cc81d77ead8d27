//! The window operator as a whole, and what must hold whatever comes.

use super::aggregate::{Aggregate, Value};
use super::evictor::{Evictor, Keep};
use super::merging::Merging;
use super::operator::{Element, Failure, Out, Refine, Settings, WindowOperator};
use super::trigger::{TimeDomain, Trigger};
use crate::stream::rules::FINAL_WATERMARK;
use crate::stream::rules::assigner::{Assigner, Window};
use crate::stream::rules::pane::Timing;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn settings(assigner: Assigner) -> Settings {
    Settings {
        assigner,
        time: TimeDomain::Event,
        trigger: Trigger::EventTime,
        aggregate: Aggregate::Sum,
        evictor: None,
        allowed_lateness: 0,
        late_output: false,
        refine: Refine::default(),
    }
}

fn element(key: u32, value: i64, timestamp: i64) -> Element<u32> {
    Element {
        key,
        value,
        timestamp,
        gap: None,
        mark: (),
    }
}

/// What windows said, without the windows.
fn said(outs: Result<Vec<Out<u32>>, Failure>) -> Vec<Value> {
    let outs = outs.expect("no failure").into_iter();
    let value = |it| match it {
        Out::Result { value, .. } => Some(value),
        Out::Late { .. } => None,
    };
    outs.filter_map(value).collect()
}

const TUMBLING: Assigner = Assigner::Tumbling {
    size: 10,
    offset: 0,
};

#[test]
fn a_late_element_fires_alone_until_its_window_is_forgotten() {
    let mut operator = WindowOperator::new(
        Settings {
            allowed_lateness: 5,
            ..settings(TUMBLING)
        },
        0,
    );
    assert_eq!(said(operator.on_element(element(1, 2, 3))), []);
    assert_eq!(said(operator.on_watermark(9)), [Value::Number(2)]);
    assert_eq!(
        said(operator.on_element(element(1, 5, 4))),
        [Value::Number(7)]
    );
    assert_eq!(said(operator.on_watermark(13)), []);
    assert_eq!(
        said(operator.on_element(element(1, 1, 4))),
        [Value::Number(8)]
    );
    assert_eq!(said(operator.on_watermark(14)), []);
    assert!(operator.state().is_empty());
    assert_eq!(said(operator.on_element(element(1, 1, 4))), []);
    assert_eq!(operator.late_dropped(), 1);
}

#[test]
fn an_element_that_one_window_still_takes_is_not_late() {
    let sliding = Assigner::Sliding {
        size: 10,
        slide: 5,
        offset: 0,
    };
    let mut operator = WindowOperator::new(settings(sliding), 0);
    assert_eq!(said(operator.on_watermark(9)), []);
    assert_eq!(said(operator.on_element(element(1, 1, 8))), []);
    assert_eq!((operator.late_dropped(), operator.state().timers()), (0, 1));
    assert_eq!(said(operator.on_watermark(14)), [Value::Number(1)]);
}

#[test]
fn gaps_may_differ_and_not_be_negative() {
    let processing = Settings {
        time: TimeDomain::Processing,
        trigger: Trigger::ProcessingTime,
        ..settings(Assigner::Session { gap: 10 })
    };
    let mut operator = WindowOperator::new(processing, 0);
    let with_gap = |gap| Element {
        gap: Some(gap),
        ..element(1, 1, 0)
    };
    assert_eq!(said(operator.on_element(with_gap(1))), []);
    assert_eq!(said(operator.on_element(with_gap(3))), []);
    assert_eq!(operator.on_element(with_gap(-1)), Err(Failure::NegativeGap));
    assert_eq!(said(operator.on_processing_time(2)), [Value::Number(2)]);
}

#[test]
fn a_continuous_trigger_that_would_never_come_to_an_end_is_refused() {
    let global = Settings {
        trigger: Trigger::ContinuousEventTime(10),
        ..settings(Assigner::Global)
    };
    let mut operator = WindowOperator::new(global, 0);
    assert_eq!(said(operator.on_element(element(1, 1, 5))), []);
    assert_eq!(
        said(operator.on_watermark(25)),
        [Value::Number(1), Value::Number(1)]
    );
    let last = operator.on_watermark(FINAL_WATERMARK);
    assert_eq!(last, Err(Failure::TooManyFirings));
}

#[test]
fn an_evictor_takes_elements_out_for_good() {
    for (after, expected) in [(false, [2, 2, 2]), (true, [2, 4, 4])] {
        let evicting = Settings {
            trigger: Trigger::Count(2),
            evictor: Some(Evictor {
                keep: Keep::Count(2),
                after,
            }),
            ..settings(Assigner::Global)
        };
        let mut operator = WindowOperator::new(evicting, 0);
        let outs = (0..6).flat_map(|at| said(operator.on_element(element(1, 1, at))));
        assert!(outs.eq(expected.map(Value::Number)));
    }
}

/// What windows said: kind, start of the window, value, when.
fn told(outs: Result<Vec<Out<u32>>, Failure>) -> Vec<(&'static str, i64, Value, Timing)> {
    let outs = outs.expect("no failure").into_iter();
    let told = outs.filter_map(|it| match it {
        Out::Result {
            window,
            value,
            kind,
            timing,
            ..
        } => Some((kind.short(), window.start, value, timing)),
        Out::Late { .. } => None,
    });
    told.collect()
}

#[test]
fn a_result_takes_back_the_one_before_it_and_is_not_said_twice() {
    use Timing::{Early, Late, OnTime};
    let n = Value::Number;
    let after = |early, late| Trigger::AfterEnd { early, late };
    let count = |many| Some(Box::new(Trigger::Count(many)));
    let retracting = Settings {
        trigger: after(count(2), count(2)),
        allowed_lateness: 100,
        refine: Refine {
            retracting: true,
            empty_on_time: false,
        },
        ..settings(Assigner::Session { gap: 10 })
    };
    let mut it = WindowOperator::new(retracting, 0);
    let mut put = |at, value| told(it.on_element(element(1, value, at)));
    assert_eq!(put(0, 1), []);
    assert_eq!(put(2, 2), [("+I", 0, n(3), Early)]);
    assert_eq!(put(30, 5), []);
    assert_eq!(put(31, 5), [("+I", 30, n(10), Early)]);
    // The same is not said again.
    assert_eq!(told(it.on_watermark(15)), []);
    // The merged window has not spoken at its end yet, and speaks at each late element.
    let mut put = |at, value| told(it.on_element(element(1, value, at)));
    let refined = [("-U", 0, n(3), Late), ("+U", 0, n(7), Late)];
    assert_eq!(put(3, 4), refined);
    assert_eq!(put(3, 0), []);
    // Windows that are one now take back what each had said.
    assert_eq!(put(12, 1), []);
    assert_eq!(
        put(20, 1),
        [
            ("-U", 0, n(7), Early),
            ("-U", 30, n(10), Early),
            ("+U", 0, n(19), Early),
        ]
    );
    assert_eq!(put(21, 1), []);
    let last = [("-U", 0, n(19), OnTime), ("+U", 0, n(20), OnTime)];
    assert_eq!(told(it.on_watermark(40)), last);
}

#[test]
fn a_window_without_news_speaks_at_its_end_if_it_is_to() {
    use Timing::{Early, OnTime};
    let n = Value::Number;
    for (empty_on_time, aggregate, expected) in [
        (true, Aggregate::Sum, vec![("+I", 0, n(0), OnTime)]),
        (
            true,
            Aggregate::Max,
            vec![("+I", 0, Value::Nothing, OnTime)],
        ),
        (false, Aggregate::Sum, vec![]),
    ] {
        let early = Trigger::Periodic {
            interval: 4,
            aligned: false,
            each_pane: false,
        };
        let trigger = Trigger::AfterEnd {
            early: Some(Box::new(early)),
            late: None,
        };
        let discarding = Settings {
            trigger: Trigger::Purging(Box::new(trigger)),
            aggregate,
            refine: Refine {
                retracting: false,
                empty_on_time,
            },
            ..settings(TUMBLING)
        };
        let mut it = WindowOperator::new(discarding, 1);
        assert_eq!(told(it.on_element(element(1, 2, 3))), []);
        assert_eq!(told(it.on_processing_time(4)), []);
        assert_eq!(told(it.on_processing_time(5)), [("+I", 0, n(2), Early)]);
        // It is empty now: nothing to say before the end.
        assert_eq!(told(it.on_processing_time(9)), []);
        assert_eq!(told(it.on_watermark(9)), expected);
        assert!(it.state().is_empty());
        assert_eq!(told(it.on_processing_time(100)), []);
    }
}

#[test]
fn periodic_firings_are_aligned_or_begin_anew_with_each_pane() {
    for (aligned, each_pane, fired) in [
        (false, false, [6, 10, 14, 18].as_slice()),
        (true, false, &[4, 8, 12, 16, 20]),
        (false, true, &[6, 16]),
        (true, true, &[4, 16]),
    ] {
        let trigger = Trigger::Periodic {
            interval: 4,
            aligned,
            each_pane,
        };
        let global = Settings {
            trigger,
            ..settings(Assigner::Global)
        };
        let mut it = WindowOperator::new(global, 0);
        let mut at = Vec::new();
        for now in 0..=20 {
            let outs = told(it.on_processing_time(now));
            at.extend(outs.iter().map(|_| now));
            if now == 2 || now == 12 {
                assert_eq!(told(it.on_element(element(1, 1, 0))), []);
            }
        }
        assert_eq!(at, fired, "{aligned} {each_pane}");
    }
}

#[test]
fn settings_without_sense_are_refused() {
    let delta = Settings {
        trigger: Trigger::Delta(3),
        ..settings(Assigner::Session { gap: 3 })
    };
    let negative = Settings {
        allowed_lateness: -1,
        ..settings(TUMBLING)
    };
    let count = Settings {
        trigger: Trigger::Purging(Box::new(Trigger::Count(0))),
        ..settings(TUMBLING)
    };
    for it in [delta, negative, count] {
        assert!(it.validate().is_err(), "{it:?}");
    }
    assert_eq!(settings(TUMBLING).validate(), Ok(()));
}

type Sums = BTreeMap<(u32, Window), i64>;

/// The last that each window said.
fn last_words(outs: Vec<Out<u32>>, sums: &mut Sums) {
    for it in outs {
        if let Out::Result {
            key,
            window,
            value: Value::Number(sum),
            ..
        } = it
        {
            sums.insert((key, window), sum);
        }
    }
}

/// What windows say in the end of elements in this order; after some of them the operator is
/// restored from a snapshot.
fn finals(settings: &Settings, elements: &[Element<u32>], restored: Option<usize>) -> Sums {
    let mut operator = WindowOperator::new(settings.clone(), 0);
    let mut sums = Sums::new();
    for (number, it) in elements.iter().enumerate() {
        let outs = operator.on_element(it.clone()).expect("no failure");
        last_words(outs, &mut sums);
        if restored == Some(number) {
            operator = WindowOperator::restore(settings.clone(), operator.snapshot(), 0);
        }
    }
    let outs = operator.on_watermark(1_000_000).expect("no failure");
    last_words(outs, &mut sums);
    assert!(operator.state().is_empty() || settings.assigner == Assigner::Global);
    sums
}

/// What windows should say, worked out with all elements at hand.
fn offline(assigner: Assigner, elements: &[Element<u32>]) -> Sums {
    let mut windows: BTreeMap<u32, Vec<Window>> = BTreeMap::new();
    for it in elements {
        let own = windows.entry(it.key).or_default();
        own.extend(assigner.assign(it.timestamp));
    }
    let mut sums = Sums::new();
    for (key, own) in windows {
        let mut own = match assigner.merges() {
            true => Merging::Touching
                .merge(&own)
                .into_iter()
                .map(|it| it.0)
                .collect(),
            false => own,
        };
        own.sort_unstable();
        own.dedup();
        for window in own {
            let inside = |it: &&Element<u32>| {
                it.key == key && window.start <= it.timestamp && it.timestamp < window.end
            };
            let sum = elements.iter().filter(inside).map(|it| it.value).sum();
            sums.insert((key, window), sum);
        }
    }
    sums
}

fn assigners() -> impl Strategy<Value = Assigner> {
    prop_oneof![
        (1_i64..30).prop_map(|size| Assigner::Tumbling { size, offset: 0 }),
        (1_i64..30, 1_i64..9).prop_map(|(size, slide)| Assigner::Sliding {
            size,
            slide,
            offset: 0
        }),
        (1_i64..20).prop_map(|gap| Assigner::Session { gap }),
    ]
}

fn triggers() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        Just(Trigger::EventTime),
        (1_i64..9).prop_map(Trigger::ContinuousEventTime),
    ]
}

fn elements() -> impl Strategy<Value = Vec<Element<u32>>> {
    let one = (0_u32..3, 1_i64..9, -50_i64..200);
    let all = prop::collection::vec(one.prop_map(|(k, v, at)| element(k, v, at)), 0..40);
    all.prop_shuffle()
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        assigner in assigners(),
        trigger in triggers(),
        elements in elements(),
        restored in 0_usize..40,
    ) {
        let settings = Settings { trigger, ..settings(assigner) };
        let expected = offline(assigner, &elements);
        prop_assert_eq!(finals(&settings, &elements, None), expected.clone());
        prop_assert_eq!(finals(&settings, &elements, Some(restored)), expected);
    }

    #[test]
    fn every_element_is_counted_or_late(
        elements in elements(),
        allowed_lateness in 0_i64..30,
        disorder in 0_i64..60,
    ) {
        let purging = Settings {
            trigger: Trigger::Purging(Box::new(Trigger::EventTime)),
            aggregate: Aggregate::Count,
            allowed_lateness,
            ..settings(TUMBLING)
        };
        let mut operator = WindowOperator::new(purging, 0);
        let (mut counted, mut newest) = (0, i64::MIN);
        let mut take = |outs: Vec<Value>| {
            for it in outs {
                if let Value::Number(count) = it {
                    counted += count;
                }
            }
        };
        for it in &elements {
            newest = newest.max(it.timestamp - disorder - 1);
            take(said(operator.on_element(it.clone())));
            take(said(operator.on_watermark(newest)));
        }
        take(said(operator.on_watermark(FINAL_WATERMARK)));
        let all = i64::try_from(elements.len()).expect("few");
        prop_assert_eq!(counted + i64::try_from(operator.late_dropped()).expect("few"), all);
        prop_assert!(operator.state().is_empty());
    }
}
