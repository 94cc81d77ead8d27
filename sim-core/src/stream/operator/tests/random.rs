//! What must hold of operators with state whatever comes.

use super::*;
use crate::stream::rules::window::evictor::{Evictor, Keep};
use proptest::prelude::*;

/// Every kind of operator with state.
fn kinds() -> Vec<OperatorKind> {
    let sliding = Assigner::Sliding {
        size: 10,
        slide: 4,
        offset: 0,
    };
    let session = Assigner::Session { gap: 5 };
    let mut all: Vec<Settings> = vec![
        windows(TUMBLING, Trigger::EventTime, Aggregate::Count),
        windows(
            sliding,
            Trigger::ContinuousEventTime(3),
            Aggregate::Elements,
        ),
        windows(session, Trigger::EventTime, Aggregate::Max),
        windows(
            Assigner::Global,
            Trigger::Purging(Box::new(Trigger::Count(3))),
            Aggregate::Sum,
        ),
    ];
    all.push(Settings {
        evictor: Some(Evictor {
            keep: Keep::Count(2),
            after: false,
        }),
        allowed_lateness: 7,
        late_output: true,
        refine: Refine::default(),
        ..all[2].clone()
    });
    all.push(Settings {
        time: TimeDomain::Processing,
        trigger: Trigger::ProcessingTime,
        ..all[0].clone()
    });
    let mut kinds: Vec<OperatorKind> = all.into_iter().map(OperatorKind::Window).collect();
    for ttl in [None, Some(12)] {
        kinds.extend(
            [
                ProcessFunction::Count,
                ProcessFunction::Distinct,
                ProcessFunction::Last(3),
                ProcessFunction::Max,
                ProcessFunction::Silence {
                    after: 4,
                    clock: TimeDomain::Event,
                },
                ProcessFunction::Silence {
                    after: 6,
                    clock: TimeDomain::Processing,
                },
            ]
            .map(|it| process(it, ttl)),
        );
        kinds.push(OperatorKind::Join(JoinSpec::Table {
            join: JoinType::Full,
            ttl_ms: ttl,
        }));
    }
    let retention = Retention { min: 10, max: 15 };
    kinds.extend([
        OperatorKind::Join(JoinSpec::Window {
            offset: 0,
            size: 10,
            slide: 10,
            join: JoinType::Full,
        }),
        OperatorKind::Join(JoinSpec::Interval(bounds(-4, 3))),
        OperatorKind::Join(JoinSpec::Temporal(OUTER)),
        OperatorKind::Join(JoinSpec::TemporalNow {
            left_outer: true,
            retention,
        }),
        OperatorKind::Join(JoinSpec::Temporal(TemporalRules { retention, ..OUTER })),
    ]);
    kinds
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        8 => (0_u8..2, 0_u32..9, 0_i64..60, 0_i64..6, 0_u64..99)
            .prop_map(|(input, key, at, value, offset)| Step::Record(input, record(key, at, value, offset))),
        1 => (0_i64..9).prop_map(Step::Watermark),
        1 => (0_i64..9).prop_map(Step::Time),
    ];
    prop::collection::vec(one, 0..80).prop_map(|mut steps| {
        // Clocks go forward.
        let (mut watermark, mut now) = (0, 0);
        for step in &mut steps {
            match step {
                Step::Watermark(by) => {
                    watermark += *by + 1;
                    *by = watermark;
                }
                Step::Time(by) => {
                    now += *by;
                    *by = now;
                }
                Step::Record(..) => {}
            }
        }
        steps
    })
}

/// A fault of the rules that a random run may meet; it ends the run in the same way for all.
fn feed(rig: &mut Rig<'_>, steps: &[Step]) -> Result<(), TaskFailure> {
    steps.iter().try_for_each(|step| rig.on(step.clone()))
}

fn sorted(mut rows: Vec<Record>) -> Vec<Record> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// A restore at any point, with any parallelism, changes nothing of what comes out; and a
    /// rescale there and back gives the same state, byte for byte, with its size as it was counted.
    #[test]
    fn a_restore_goes_on_where_the_snapshot_was_taken(
        steps in steps(),
        at in 0_usize..80,
        (before, after) in (1_u32..5, 1_u32..5),
    ) {
        let at = at.min(steps.len());
        for kind in kinds() {
            let job = job(kind);
            let mut whole = Rig::open(&job, before, &[], 0);
            let mut expected = feed(&mut whole, &steps[..at]);
            // After a restore there is no watermark until one comes: the same one here.
            let again = Step::Watermark(whole.watermark);
            expected = expected.and_then(|()| whole.on(again.clone()));
            expected = expected.and_then(|()| feed(&mut whole, &steps[at..]));
            let mut rig = Rig::open(&job, before, &[], 0);
            if feed(&mut rig, &steps[..at]).is_err() {
                continue;
            }
            let entries = rig.entries();
            let snapshots = rig.snapshots();
            let mut rig = rig.restored(after);
            prop_assert_eq!(rig.entries(), entries);
            let there = rig.snapshots();
            let back = Rig::open(&job, before, &there, 0).snapshots();
            let bytes = |all: &[OperatorSnapshot]| postcard::to_allocvec(all).expect("bytes");
            prop_assert_eq!(bytes(&back), bytes(&snapshots));
            let done = rig.on(again).and_then(|()| feed(&mut rig, &steps[at..]));
            prop_assert_eq!(done.is_err(), expected.is_err());
            if expected.is_ok() {
                prop_assert_eq!(sorted(rig.main), sorted(whole.main), "{:?}", job.spec.operators[0].kind);
                prop_assert_eq!(sorted(rig.late), sorted(whole.late));
            }
        }
    }

    /// A snapshot stays as it was, whatever the operator does afterwards.
    #[test]
    fn a_snapshot_is_not_touched_by_what_comes_after(steps in steps(), at in 0_usize..80) {
        let at = at.min(steps.len());
        for kind in kinds() {
            let job = job(kind);
            let mut rig = Rig::open(&job, 2, &[], 0);
            if feed(&mut rig, &steps[..at]).is_err() {
                continue;
            }
            let snapshots = rig.snapshots();
            let bytes = postcard::to_allocvec(&snapshots).expect("bytes");
            let _ = feed(&mut rig, &steps[at..]);
            prop_assert_eq!(postcard::to_allocvec(&snapshots).expect("bytes"), bytes);
        }
    }

    /// What windows say in the end does not depend on how records of several inputs interleave, as
    /// long as none is late; the sum over all windows is that of all records.
    #[test]
    fn windows_do_not_depend_on_the_order_of_arrival(
        records in prop::collection::vec((0_u32..9, 0_i64..60, 1_i64..6), 0..40),
        shuffled in any::<prop::sample::Index>(),
    ) {
        for (assigner, parallelism) in [(TUMBLING, 3), (Assigner::Session { gap: 4 }, 2)] {
            let settings = windows(assigner, Trigger::EventTime, Aggregate::Sum);
            let job = job(OperatorKind::Window(settings));
            let mut steps: Vec<Step> = records.iter().map(|it| of(it.0, it.1, it.2)).collect();
            let mut results = Vec::new();
            for _ in 0..2 {
                let mut rig = Rig::open(&job, parallelism, &[], 0);
                feed(&mut rig, &steps).expect("no failure");
                rig.on(Step::Watermark(1_000)).expect("no failure");
                prop_assert_eq!(rig.entries(), 0);
                results.push(sorted(rig.main));
                if !steps.is_empty() {
                    let by = shuffled.index(steps.len());
                    steps.rotate_left(by);
                    steps.reverse();
                }
            }
            let sum: i64 = results[0].iter().map(|it| number(&it.value)).sum();
            prop_assert_eq!(sum, records.iter().map(|it| it.2).sum::<i64>());
            prop_assert_eq!(&results[0], &results[1]);
        }
    }
}
