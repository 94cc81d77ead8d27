//! Operators as the task that runs them sees them, and what must hold whatever comes.

use super::*;
use crate::kernel::NodeId;
use crate::stream::config::JobConfig;
use crate::stream::element::{NO_TIMESTAMP, Origin};
use crate::stream::graph::Graph;
use crate::stream::note::Rule;
use crate::stream::parts::StreamParts;
use crate::stream::rules::FINAL_WATERMARK;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::join::interval::{Bound, IntervalBounds};
use crate::stream::rules::join::retention::Retention;
use crate::stream::rules::join::temporal::TemporalRules;
use crate::stream::rules::join::window::JoinType;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::rules::window::aggregate::Aggregate;
use crate::stream::rules::window::operator::{Refine, Settings};
use crate::stream::rules::window::trigger::{TimeDomain, Trigger};
use crate::stream::spec::{
    InputSpec, JobSpec, JoinSpec, Keys, OperatorSpec, Output, Partitioning, ProcessFunction,
    ProcessSpec, WatermarkSpec, WatermarkStrategy,
};

mod joins;
mod random;

/// A job of one operator, which `late` says reads its own side output.
fn job(kind: OperatorKind) -> Job {
    let reads_late = InputSpec {
        from: 0,
        output: Output::Late,
        number: 0,
        partitioning: Partitioning::Forward,
    };
    let operator = |inputs, kind| OperatorSpec {
        name: String::new(),
        kind,
        parallelism: 1,
        max_parallelism: 16,
        inputs,
        chaining: Default::default(),
        slot_sharing_group: String::new(),
        cost: 0,
    };
    let late = operator(vec![reads_late], OperatorKind::Map(MapFunction::Identity));
    let spec = JobSpec {
        job_manager: String::new(),
        task_managers: Vec::new(),
        storage: String::new(),
        config: JobConfig::default(),
        operators: vec![operator(Vec::new(), kind), late],
        keys: Keys::default(),
        expected: Vec::new(),
        parts: StreamParts::EVERYTHING,
    };
    Job {
        graph: Graph::of(&spec),
        spec,
        job_manager: NodeId(0),
        task_managers: Vec::new(),
        storage: NodeId(0),
        stores: Vec::new(),
        seed: 0,
    }
}

fn site(subtask: u16, parallelism: u32) -> Site {
    Site {
        operator: 0,
        subtask,
        parallelism,
        max_parallelism: 16,
    }
}

fn record(key: u32, timestamp: i64, value: i64, offset: u64) -> Record {
    Record {
        key: Key(key),
        timestamp,
        value: Value::Number(value),
        right: None,
        kind: RowKind::Insert,
        window: None,
        timing: None,
        origin: Origin {
            source: 0,
            split: 0,
            offset,
        },
    }
}

/// What happens to an operator.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Record(u8, Record),
    Watermark(i64),
    Time(i64),
}

/// Subtasks of an operator and what came out of them.
struct Rig<'j> {
    job: &'j Job,
    subtasks: Vec<Operator>,
    watermark: i64,
    outs: Outs,
    main: Vec<Record>,
    late: Vec<Record>,
    notes: Vec<Note>,
}

impl<'j> Rig<'j> {
    fn open(job: &'j Job, parallelism: u32, restored: &[OperatorSnapshot], now: i64) -> Self {
        let restored: Vec<&OperatorSnapshot> = restored.iter().collect();
        let open = |subtask| Operator::open(job, site(subtask, parallelism), &restored, now);
        Rig {
            job,
            subtasks: (0..parallelism as u16).map(open).collect(),
            watermark: NO_WATERMARK,
            outs: Outs {
                now_ms: now,
                plot: true,
                ..Outs::default()
            },
            main: Vec::new(),
            late: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn take(&mut self) {
        self.main.append(&mut self.outs.main);
        self.late.append(&mut self.outs.late);
        self.notes.append(&mut self.outs.notes);
    }

    fn on(&mut self, step: Step) -> Result<(), TaskFailure> {
        let (job, outs) = (self.job, &mut self.outs);
        outs.clear();
        let done = match step {
            Step::Record(input, record) => {
                let groups = KeyGroups::new(16, self.subtasks.len() as u32).expect("sound");
                let group = groups.group_of(job.spec.keys.hash_code(record.key));
                let to = groups.operator_index(group) as usize;
                self.subtasks[to].on_record(input, record, job, outs)
            }
            Step::Watermark(watermark) => {
                self.watermark = watermark;
                let mut all = self.subtasks.iter_mut();
                all.try_for_each(|it| it.on_watermark(watermark, job, outs))
            }
            Step::Time(now) => {
                outs.now_ms = now;
                let mut all = self.subtasks.iter_mut();
                all.try_for_each(|it| it.on_processing_time(now, job, outs))
            }
        };
        self.take();
        done
    }

    fn snapshots(&self) -> Vec<OperatorSnapshot> {
        self.subtasks.iter().map(Operator::snapshot).collect()
    }

    /// The operator after a failure right after a checkpoint, with another parallelism.
    fn restored(self, parallelism: u32) -> Self {
        let snapshots = self.snapshots();
        let mut rig = Rig::open(self.job, parallelism, &snapshots, self.outs.now_ms);
        rig.watermark = self.watermark;
        rig.main = self.main;
        rig.late = self.late;
        rig
    }

    fn entries(&self) -> u64 {
        self.subtasks.iter().map(|it| it.size().entries).sum()
    }
}

/// What an operator puts out for these steps: key, time, value, and the other side's value.
fn run(kind: OperatorKind, steps: &[Step]) -> Vec<(u32, i64, Value, Option<Value>)> {
    let job = job(kind);
    let mut rig = Rig::open(&job, 1, &[], 0);
    for step in steps {
        rig.on(step.clone()).expect("no failure");
    }
    let rows = rig.main.into_iter();
    rows.map(|it| (it.key.0, it.timestamp, it.value, it.right))
        .collect()
}

fn of(key: u32, timestamp: i64, value: i64) -> Step {
    Step::Record(0, record(key, timestamp, value, 0))
}

fn right(key: u32, timestamp: i64, value: i64) -> Step {
    Step::Record(1, record(key, timestamp, value, 1))
}

fn windows(assigner: Assigner, trigger: Trigger, aggregate: Aggregate) -> Settings {
    Settings {
        assigner,
        time: TimeDomain::Event,
        trigger,
        aggregate,
        evictor: None,
        allowed_lateness: 0,
        late_output: false,
        refine: Refine::default(),
    }
}

const TUMBLING: Assigner = Assigner::Tumbling {
    size: 10,
    offset: 0,
};

fn process(function: ProcessFunction, ttl_ms: Option<i64>) -> OperatorKind {
    OperatorKind::Process(ProcessSpec {
        function,
        ttl_ms,
        bytes_per_key: 100,
        schema: None,
    })
}

fn bounds(lower: i64, upper: i64) -> IntervalBounds {
    let bound = |at| Bound {
        at,
        inclusive: true,
    };
    IntervalBounds::new(bound(lower), bound(upper)).expect("sound")
}

const OUTER: TemporalRules = TemporalRules {
    left_outer: true,
    drops_late: true,
    retention: Retention { min: 0, max: 0 },
};

#[test]
fn functions_without_state() {
    let check = |kind, expected: &[(u32, i64)]| {
        let got = run(kind, &[of(5, 1, 3), of(2, 2, 4)]);
        let got: Vec<_> = got.iter().map(|it| (it.0, number(&it.2))).collect();
        assert_eq!(got, expected);
    };
    check(OperatorKind::Map(MapFunction::Identity), &[(5, 3), (2, 4)]);
    check(OperatorKind::Map(MapFunction::Add(2)), &[(5, 5), (2, 6)]);
    check(
        OperatorKind::Map(MapFunction::Multiply(-1)),
        &[(5, -3), (2, -4)],
    );
    check(
        OperatorKind::Map(MapFunction::KeyModulo(4)),
        &[(1, 3), (2, 4)],
    );
    check(
        OperatorKind::Map(MapFunction::KeyModulo(0)),
        &[(0, 3), (0, 4)],
    );
    check(OperatorKind::Filter(FilterFunction::AtLeast(4)), &[(2, 4)]);
    check(
        OperatorKind::Filter(FilterFunction::DivisibleBy(3)),
        &[(5, 3)],
    );
    check(OperatorKind::Filter(FilterFunction::DivisibleBy(0)), &[]);
    let keys = FilterFunction::Keys(vec![Key(5)]);
    check(OperatorKind::Filter(keys), &[(5, 3)]);
    check(OperatorKind::FlatMap { copies: 0 }, &[]);
    check(
        OperatorKind::FlatMap { copies: 2 },
        &[(5, 3), (5, 3), (2, 4), (2, 4)],
    );
}

#[test]
fn process_functions() {
    let check = |function, expected: &[Value]| {
        let steps = [of(1, 0, 4), of(2, 0, 9), of(1, 0, 6), of(1, 0, 4)];
        let got = run(process(function, None), &steps);
        let got: Vec<_> = got.into_iter().map(|it| it.2).collect();
        assert_eq!(got, expected, "{function:?}");
    };
    let numbers = |all: &[i64]| -> Vec<Value> { all.iter().copied().map(Value::Number).collect() };
    check(ProcessFunction::Count, &numbers(&[1, 1, 2, 3]));
    check(ProcessFunction::Sum, &numbers(&[4, 9, 10, 14]));
    check(ProcessFunction::Max, &numbers(&[4, 9, 6, 6]));
    check(ProcessFunction::Distinct, &numbers(&[4, 9, 6]));
    let last = [vec![4], vec![9], vec![4, 6], vec![6, 4]].map(Value::Values);
    check(ProcessFunction::Last(2), &last);
    let top = [vec![4], vec![9], vec![6, 4], vec![6, 4]].map(Value::Values);
    check(ProcessFunction::Top(2), &top);
    check(ProcessFunction::FailOn(5), &numbers(&[4, 9, 6, 4]));
    let job = job(process(ProcessFunction::FailOn(9), None));
    let mut rig = Rig::open(&job, 1, &[], 0);
    assert_eq!(rig.on(of(1, 0, 4)), Ok(()));
    assert_eq!(rig.on(of(1, 0, 9)), Err(TaskFailure::UserCode));
}

#[test]
fn what_is_taken_back_leaves_the_greatest_and_the_next_moves_up() {
    let row = |value, kind| match of(1, 0, value) {
        Step::Record(side, record) => Step::Record(side, Record { kind, ..record }),
        other => other,
    };
    let (plus, minus) = (RowKind::Insert, RowKind::UpdateBefore);
    let steps = [(4, plus), (9, plus), (6, plus), (9, minus), (5, minus)];
    let got = run(
        process(ProcessFunction::Top(2), None),
        &steps.map(|(value, kind)| row(value, kind)),
    );
    let got: Vec<_> = got.into_iter().map(|it| it.2).collect();
    let lists: [&[i64]; 5] = [&[4], &[9, 4], &[9, 6], &[6, 4], &[6, 4]];
    assert_eq!(got, lists.map(|it| Value::Values(it.to_vec())));
}

#[test]
fn a_sample_takes_about_one_in_so_many_and_the_same_ones_again() {
    let steps: Vec<_> = (0..10_000).map(|at| of(1, at, 1)).collect();
    let sample = || run(OperatorKind::Filter(FilterFunction::OneIn(10)), &steps);
    let many = sample().len();
    assert!((900..1_100).contains(&many), "{many}");
    assert_eq!(sample(), sample());
}

#[test]
fn state_expires_some_time_after_it_was_written_and_then_goes_unread_too() {
    for (function, after, expected) in [
        (ProcessFunction::Count, 9, vec![1, 2]),
        (ProcessFunction::Count, 10, vec![1, 1]),
        (ProcessFunction::Distinct, 9, vec![7]),
        (ProcessFunction::Distinct, 10, vec![7, 7]),
    ] {
        let steps = [of(1, 0, 7), Step::Time(after), of(1, 0, 7)];
        let got = run(process(function, Some(10)), &steps);
        let got: Vec<_> = got.iter().map(|it| number(&it.2)).collect();
        assert_eq!(got, expected, "{function:?} {after}");
    }
    for function in [ProcessFunction::Sum, ProcessFunction::Distinct] {
        let job = job(process(function, Some(10)));
        let mut rig = Rig::open(&job, 1, &[], 0);
        (0..40).for_each(|key| rig.on(of(key, 0, 1)).expect("no failure"));
        assert_eq!(rig.entries(), 40);
        rig.on(Step::Time(10)).expect("no failure");
        // Each record looks at five further entries; empty groups and beginnings of maps count.
        (0..40).for_each(|at| rig.on(of(99, 0, at)).expect("no failure"));
        let own = rig.entries();
        assert_eq!(
            own,
            if function == ProcessFunction::Sum {
                1
            } else {
                40
            }
        );
        let expired = rig.notes.iter().map(|it| match it {
            Note::Rule {
                rule: Rule::StateExpired,
                after,
                ..
            } => *after,
            _ => 0,
        });
        assert_eq!(expired.sum::<i64>(), 40);
    }
}

#[test]
fn a_window_carries_the_newest_record_and_hands_late_ones_on() {
    let settings = Settings {
        late_output: true,
        refine: Refine::default(),
        allowed_lateness: 5,
        ..windows(TUMBLING, Trigger::EventTime, Aggregate::Sum)
    };
    let job = job(OperatorKind::Window(settings));
    let mut rig = Rig::open(&job, 1, &[], 0);
    let steps = [
        Step::Record(0, record(1, 5, 2, 30)),
        Step::Record(0, record(1, 7, 3, 20)),
        Step::Watermark(9),
        Step::Record(0, record(1, 8, 4, 10)),
        Step::Watermark(14),
        Step::Record(0, record(1, 9, 5, 40)),
    ];
    steps
        .into_iter()
        .for_each(|step| rig.on(step).expect("no failure"));
    let said: Vec<_> = rig
        .main
        .iter()
        .map(|it| (number(&it.value), it.timestamp, it.origin.offset))
        .collect();
    assert_eq!(said, [(5, 9, 30), (9, 9, 30)]);
    assert_eq!(rig.late, [record(1, 9, 5, 40)]);
    let verdicts = rig.notes.iter().filter_map(|it| match it {
        Note::Judged { verdict, .. } => Some(*verdict),
        _ => None,
    });
    let verdicts: Vec<_> = verdicts.collect();
    let taken = Verdict::Taken;
    assert_eq!(
        verdicts,
        [taken, taken, Verdict::TakenLate, Verdict::SideOutput]
    );
    let fired = |it: &&Note| matches!(it, Note::Fired { .. });
    assert_eq!(rig.notes.iter().filter(fired).count(), 2);
    assert_eq!(
        (rig.entries(), rig.subtasks[0].windows(9).len()),
        (0, 0),
        "cleaned up at 14"
    );
}

#[test]
fn timers_of_all_groups_go_off_in_the_order_of_time() {
    let steps: Vec<Step> = (0..20)
        .map(|key| of(key, i64::from(key % 5) * 10, 1))
        .collect();
    let settings = windows(TUMBLING, Trigger::EventTime, Aggregate::Count);
    let steps = [steps, vec![Step::Watermark(100)]].concat();
    let got = run(OperatorKind::Window(settings), &steps);
    assert_eq!(got.len(), 20);
    assert!(got.is_sorted_by_key(|it| it.1), "{got:?}");
}

#[test]
fn windows_that_are_open_are_shown_and_a_record_without_a_time_or_of_another_subtask_fails() {
    let settings = windows(
        Assigner::Session { gap: 5 },
        Trigger::EventTime,
        Aggregate::Sum,
    );
    let job = job(OperatorKind::Window(settings));
    let mut rig = Rig::open(&job, 1, &[], 0);
    for step in [of(1, 10, 2), of(1, 7, 3), of(1, 30, 1)] {
        rig.on(step).expect("no failure");
    }
    let open = rig.subtasks[0].windows(9);
    let open: Vec<_> = open
        .iter()
        .map(|it| (it.window.start, it.window.end, number(&it.value), it.fired))
        .collect();
    assert_eq!(open, [(7, 15, 5, false), (30, 35, 1, false)]);
    assert_eq!(rig.subtasks[0].windows(1).len(), 1);
    assert_eq!(rig.on(of(1, NO_TIMESTAMP, 1)), Err(TaskFailure::Window));
    let mut halves = Rig::open(&job, 2, &[], 0);
    let mut refused = 0;
    for subtask in &mut halves.subtasks {
        let done = subtask.on_record(0, record(1, 1, 1, 0), &job, &mut Outs::default());
        refused += u32::from(done == Err(TaskFailure::UserCode));
    }
    assert_eq!(refused, 1);
}

#[test]
fn an_assigner_in_mid_graph_speaks_at_its_ticks_and_ignores_what_comes_from_before() {
    let spec = WatermarkSpec {
        strategy: WatermarkStrategy::Bounded(2),
        idleness_ms: Some(500),
        max_drift_ms: None,
    };
    let job = job(OperatorKind::Watermarks(spec));
    let mut it = Operator::open(&job, site(0, 1), &[], 0);
    let mut outs = Outs::default();
    assert_eq!(it.next_timer(), Some(200));
    it.on_record(0, record(1, 10, 0, 0), &job, &mut outs)
        .expect("no failure");
    it.on_watermark(8, &job, &mut outs).expect("no failure");
    it.on_status(false, &mut outs);
    assert_eq!(
        (outs.main.len(), outs.forward, outs.status),
        (1, None, None)
    );
    let mut ticks = Vec::new();
    for now in [200, 400, 600, 800, 1_000, 1_200] {
        outs.clear();
        it.on_processing_time(now, &job, &mut outs)
            .expect("no failure");
        if (outs.forward, outs.status) != (None, None) {
            ticks.push((now, outs.forward, outs.status));
        }
    }
    // Silence is noticed at 400 and lasts longer than 500 at 1,000.
    assert_eq!(ticks, [(200, Some(7), None), (1_000, None, Some(false))]);
    outs.clear();
    it.on_watermark(FINAL_WATERMARK, &job, &mut outs)
        .expect("no failure");
    assert_eq!(
        (outs.forward, outs.status),
        (Some(FINAL_WATERMARK), Some(true))
    );
    let punctuated = self::job(OperatorKind::Watermarks(WatermarkSpec {
        strategy: WatermarkStrategy::Punctuated,
        idleness_ms: None,
        max_drift_ms: None,
    }));
    let mut it = Operator::open(&punctuated, site(0, 1), &[], 0);
    assert_eq!(it.next_timer(), None);
    let given = [5, 9, 7].map(|at| {
        outs.clear();
        it.on_record(0, record(1, at, 0, 0), &punctuated, &mut outs)
            .expect("no failure");
        outs.forward
    });
    assert_eq!(given, [Some(4), Some(8), None]);
}

#[test]
fn the_background_clean_up_passes_over_groups_without_entries() {
    for function in [ProcessFunction::Count, ProcessFunction::Distinct] {
        let job = job(process(function, Some(10)));
        let mut rig = Rig::open(&job, 1, &[], 0);
        // Of 16 groups two have an entry: five looks find the old one wherever it is.
        for (time, key) in [(0, 1), (5, 2), (12, 2)] {
            rig.on(Step::Time(time)).expect("no failure");
            let step = Step::Record(0, record(key, time, time, 0));
            rig.on(step).expect("no failure");
        }
        let left = if function == ProcessFunction::Count {
            1
        } else {
            2
        };
        assert_eq!(rig.entries(), left, "{function:?}");
    }
}
