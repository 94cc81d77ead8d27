//! Joins as operators.

use super::*;
use crate::stream::snapshot::ListItem;

#[test]
fn joins() {
    let check = |join, steps: &[Step], expected: &[(i64, Option<i64>, Option<i64>)]| {
        let got = run(OperatorKind::Join(join), steps);
        let side = |value: &Value| match value {
            Value::Nothing => None,
            value => Some(number(value)),
        };
        let got: Vec<_> = got
            .iter()
            .map(|it| (it.1, side(&it.2), it.3.as_ref().and_then(side)))
            .collect();
        assert_eq!(got, expected, "{join:?}");
    };
    let window = |join| JoinSpec::Window {
        offset: 0,
        size: 10,
        slide: 10,
        join,
    };
    let steps = [
        of(1, 5, 50),
        right(1, 9, 90),
        right(2, 9, 91),
        right(1, 10, 100),
        Step::Watermark(9),
        of(1, 9, 51),
        Step::Watermark(FINAL_WATERMARK),
    ];
    check(window(JoinType::Inner), &steps, &[(9, Some(50), Some(90))]);
    let outer = [
        (9, Some(50), Some(90)),
        (9, None, Some(91)),
        (19, None, Some(100)),
    ];
    let mut got = run(OperatorKind::Join(window(JoinType::Right)), &steps);
    got.sort();
    assert_eq!(got.len(), outer.len());
    check(window(JoinType::Semi), &steps, &[(9, Some(50), None)]);
    let interval = [
        of(1, 5, 50),
        right(1, 3, 30),
        right(1, 7, 70),
        right(1, 8, 80),
        Step::Watermark(7),
        right(1, 6, 60),
        of(1, 7, 71),
    ];
    check(
        JoinSpec::Interval(bounds(-2, 2)),
        &interval,
        &[
            (5, Some(50), Some(30)),
            (7, Some(50), Some(70)),
            (7, Some(71), Some(70)),
            (8, Some(71), Some(80)),
        ],
    );
    let temporal = [
        right(1, 2, 20),
        right(1, 6, 60),
        of(1, 5, 50),
        of(1, 1, 10),
        of(1, 9, 90),
        Step::Watermark(5),
        of(1, 4, 40),
        Step::Watermark(9),
    ];
    check(
        JoinSpec::Temporal(OUTER),
        &temporal,
        &[
            (5, Some(50), Some(20)),
            (1, Some(10), None),
            (9, Some(90), Some(60)),
        ],
    );
    let table = JoinSpec::Table {
        join: JoinType::Inner,
        ttl_ms: Some(10),
    };
    let takes_back = |mut step: Step| {
        if let Step::Record(_, record) = &mut step {
            record.kind = RowKind::Delete;
            record.origin.offset = 77;
        }
        step
    };
    let tables = [
        of(1, 0, 5),
        right(1, 1, 6),
        takes_back(of(1, 2, 5)),
        right(1, 3, 7),
        Step::Time(10),
        of(1, 4, 8),
    ];
    check(
        table,
        &tables,
        &[(1, Some(5), Some(6)), (2, Some(5), Some(6))],
    );
    let broadcast = [
        of(1, 0, 5),
        right(1, 0, 3),
        of(1, 1, 6),
        of(2, 1, 6),
        takes_back(right(1, 0, 0)),
        of(1, 2, 7),
    ];
    check(JoinSpec::Broadcast, &broadcast, &[(1, Some(6), Some(3))]);
    let now = JoinSpec::TemporalNow {
        left_outer: true,
        retention: Retention { min: 10, max: 15 },
    };
    // The version of the moment, which goes when nobody asks for it.
    let moments = [
        right(1, 50, 20),
        of(1, 5, 50),
        right(1, 60, 21),
        of(1, 5, 51),
        // Its timer is of 15, and fires once that millisecond is over.
        Step::Time(15),
        of(1, 5, 52),
        Step::Time(31),
        of(1, 5, 53),
    ];
    check(
        now,
        &moments,
        &[
            (5, Some(50), Some(20)),
            (5, Some(51), Some(21)),
            (5, Some(52), Some(21)),
            (5, Some(53), None),
        ],
    );
    let sliding = JoinSpec::Window {
        offset: 0,
        size: 10,
        slide: 5,
        join: JoinType::Inner,
    };
    // Together in [0, 10) and in [5, 15); the second pair in [5, 15) alone.
    let slides = [
        of(1, 5, 50),
        right(1, 9, 90),
        Step::Watermark(9),
        right(1, 11, 91),
        right(1, 4, 92),
        Step::Watermark(FINAL_WATERMARK),
    ];
    check(
        sliding,
        &slides,
        &[
            (9, Some(50), Some(90)),
            (14, Some(50), Some(90)),
            (14, Some(50), Some(91)),
        ],
    );
}

#[test]
fn what_comes_late_to_an_interval_join_is_handed_on_if_anyone_reads_it() {
    for reads in [true, false] {
        let mut job = job(OperatorKind::Join(JoinSpec::Interval(bounds(-2, 2))));
        if !reads {
            job.spec.operators.truncate(1);
        }
        let mut rig = Rig::open(&job, 1, &[], 0);
        for step in [Step::Watermark(9), of(1, 8, 1), of(1, 9, 2), right(1, 8, 3)] {
            rig.on(step).expect("no failure");
        }
        // The right side has an output of its own, which nobody reads here.
        let dropped = rig.subtasks[0].late_dropped();
        assert_eq!(
            (rig.late.len(), dropped),
            if reads { (1, 1) } else { (0, 2) }
        );
        assert_eq!(rig.entries(), 1);
    }
}

#[test]
fn rows_of_a_table_expire_unread_too() {
    let job = job(OperatorKind::Join(JoinSpec::Table {
        join: JoinType::Inner,
        ttl_ms: Some(10),
    }));
    let mut rig = Rig::open(&job, 1, &[], 0);
    (0..30).for_each(|key| rig.on(right(key, 0, 1)).expect("no failure"));
    rig.on(Step::Time(10)).expect("no failure");
    (0..20).for_each(|at| rig.on(of(99, 0, at)).expect("no failure"));
    assert_eq!(rig.entries(), 20);
}

#[test]
fn new_subtasks_read_the_copies_of_broadcast_state_in_turn() {
    let job = job(OperatorKind::Join(JoinSpec::Broadcast));
    let copy = |subtask, value| OperatorSnapshot {
        keyed: Vec::new(),
        list: vec![ListItem::Broadcast {
            subtask,
            entries: vec![(Key(1), value)],
        }],
    };
    let rig = Rig::open(&job, 3, &[copy(1, 11), copy(0, 10)], 0);
    let kept = rig.snapshots().into_iter().flat_map(|it| it.list);
    assert!(
        kept.eq([(0, 10), (1, 11), (2, 10)]
            .into_iter()
            .flat_map(|(subtask, value)| copy(subtask, value).list))
    );
}
