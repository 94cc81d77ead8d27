//! The job of a stream processor as the site shows it, through a whole small story: what is shown
//! agrees with itself at every event, and with what the scenario makes happen.

use sim_core::kernel::SECOND;
use sim_core::run::{Recipe, Session};
use sim_core::view::{ChannelView, JobView, PlotVerdict, SubtaskView};
use std::collections::BTreeSet;

const COUNTS: &str = r#"
strandline = 1
title = "Counts of ten seconds"
seed = 7
duration = "45s"

[stream]
task-managers = 2
slots = 1
config = { "execution.checkpointing.interval" = "10 s" }

[[stream.source]]
name = "clicks"
watermark = { kind = "bounded", bound = "2s" }
records = [
    { at = "1s", ts = "0.5s", key = "a", value = 1 },
    { at = "2s", ts = "3s", key = "b" },
    { at = "5s", ts = "8s", key = "a" },
    { at = "12s", ts = "15s", key = "a" },
    { at = "13s", ts = "4s", key = "a" },
    { at = "30s", ts = "30s", key = "b" },
]

[[stream.window]]
name = "count"
input = "clicks"
window = { kind = "tumbling", size = "10s" }
aggregate = "count"
parallelism = 2

[[stream.sink]]
name = "out"
input = "count"
guarantee = "exactly-once"
"#;

fn open() -> Session {
    opened(COUNTS)
}

fn opened(scenario: &str) -> Session {
    let recipe = Recipe {
        scenario: scenario.to_owned(),
        ..Recipe::default()
    };
    Session::open(recipe).expect("a scenario without problems")
}

fn job(session: &Session) -> JobView {
    session.job().expect("there is a job")
}

fn subtasks(job: &JobView) -> impl Iterator<Item = &SubtaskView> {
    job.vertices.iter().flat_map(|it| &it.subtasks)
}

fn channels(job: &JobView) -> impl Iterator<Item = &ChannelView> {
    subtasks(job).flat_map(|it| &it.channels)
}

/// What is true of every moment.
fn agrees(job: &JobView, at: u64) {
    for it in subtasks(job).filter(|it| it.runs) {
        let (idle, busy, held) = it.time_ppm;
        assert!(idle + busy + held <= 1_000_000, "event {at}: {it:?}");
        assert!(it.task_manager.is_some(), "event {at}: {it:?}");
    }
    for it in &job.stores {
        assert!(it.visible <= it.total, "event {at}: {it:?}");
        let shown = it.rows.iter().filter(|it| it.visible).count() as u64;
        assert!(shown <= it.visible, "event {at}: {it:?}");
        assert_eq!(it.first + it.rows.len() as u64, it.total, "event {at}");
    }
    for it in channels(job) {
        let buffers = it.line.iter().filter(|it| it.is_none()).count();
        let barriers: Vec<i64> = it.line.iter().copied().flatten().collect();
        assert_eq!(
            (buffers as u32, &barriers),
            (it.queued, &it.barriers),
            "event {at}: {it:?}"
        );
        let waiting = it.line_waiting.iter().filter(|it| it.is_none()).count();
        assert_eq!(waiting as u32, it.waiting, "event {at}: {it:?}");
    }
    for it in &job.checkpoints.under_way {
        assert!(it.acknowledged <= it.tasks, "event {at}: {it:?}");
        let done = it.each.iter().filter(|it| it.stage == "acknowledged");
        assert_eq!(done.count() as u32, it.acknowledged, "event {at}: {it:?}");
        assert_eq!(it.each.len() as u32, it.tasks, "event {at}: {it:?}");
    }
    for it in &job.checkpoints.completed {
        assert!(it.uploaded <= it.bytes, "event {at}: {it:?}");
    }
}

#[test]
fn the_graph_is_that_of_the_scenario_and_every_moment_agrees_with_itself() {
    let mut session = open();
    let (mut barriers, mut acknowledged, mut open_rows, mut hidden_rows) = (0, 0, 0, 0);
    let mut stages = BTreeSet::new();
    while session.now() < 45 * SECOND && session.step() {
        let job = job(&session);
        agrees(&job, session.event());
        let crossing = channels(&job).flat_map(|it| &it.crossing);
        barriers += crossing.filter(|it| it.barrier.is_some()).count();
        let each = job.checkpoints.under_way.iter().flat_map(|it| &it.each);
        stages.extend(each.map(|it| it.stage));
        let under_way = job.checkpoints.under_way.iter();
        acknowledged += under_way.filter(|it| it.acknowledged > 0).count();
        let rows = job.stores.iter().flat_map(|it| &it.rows);
        open_rows += rows.clone().filter(|it| it.state == "open").count();
        hidden_rows += rows.filter(|it| !it.visible).count();
    }
    assert!(barriers > 0, "barriers are seen on their way");
    assert!(acknowledged > 0, "checkpoints are seen half done");
    for stage in ["no barrier yet", "on its way to the storage", "stored"] {
        assert!(stages.contains(stage), "{stage} is seen: {stages:?}");
    }
    assert!(open_rows > 0, "rows are seen in an open transaction");
    assert!(hidden_rows >= open_rows, "and nobody sees them yet");
    let job = job(&session);
    let names: Vec<_> = job.vertices.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["clicks", "count", "out"], "{job:?}");
    let depths: Vec<_> = job.vertices.iter().map(|it| it.depth).collect();
    assert_eq!(depths, [0, 1, 2]);
    let edges: Vec<_> = job
        .edges
        .iter()
        .map(|it| (it.from, it.to, it.partitioning))
        .collect();
    assert_eq!(edges, [(0, 1, "HASH"), (1, 2, "REBALANCE")]);
    assert_eq!((job.attempt, job.task_managers), (1, (2, 2)));
    let ended = &job.vertices[0].subtasks[0];
    assert_eq!((ended.runs, ended.counted), (false, true), "{ended:?}");
    assert_eq!((ended.records_in, ended.records_out), (6, 6), "{ended:?}");
    assert!(job.checkpoints.counts.0 >= 3, "{:?}", job.checkpoints);
    let [store] = job.stores.as_slice() else {
        panic!("one store: {job:?}");
    };
    let row = |key: &str, value: &str, window| (key.to_owned(), value.to_owned(), Some(window));
    let mut rows: Vec<_> = store
        .rows
        .iter()
        .map(|it| (it.key.clone(), it.value.clone(), it.window))
        .collect();
    rows.sort();
    let expected = [
        row("a", "1", (10_000, 20_000)),
        row("a", "2", (0, 10_000)),
        row("b", "1", (0, 10_000)),
        row("b", "1", (30_000, 40_000)),
    ];
    assert_eq!(rows, expected);
    assert!(store.rows.iter().all(|it| it.visible), "{store:?}");
}

#[test]
fn a_held_channel_and_its_checkpoint_are_seen_while_the_other_barrier_is_under_way() {
    let mut session = opened(include_str!("../../scenarios/job-counts-once.toml"));
    session.seek(12 * SECOND);
    let job = job(&session);
    agrees(&job, session.event());
    let count = &job.vertices[1].subtasks[0];
    let held: Vec<bool> = count.channels.iter().map(|it| it.held).collect();
    assert_eq!(held, [true, false]);
    assert_eq!(count.checkpoint, Some((1, "aligning")));
    let under_way = &job.checkpoints.under_way[0];
    let stages: Vec<_> = under_way.each.iter().map(|it| it.stage).collect();
    assert_eq!(stages, ["acknowledged", "acknowledged", "aligning"]);
    assert_eq!(
        under_way.waiting,
        [("count → counts #1".to_owned(), "aligning")]
    );
}

#[test]
fn windows_open_fill_and_go() {
    let mut session = open();
    let windows = |session: &mut Session, at: u64| {
        session.seek(at);
        let job = job(session);
        let all = subtasks(&job).flat_map(|it| &it.windows);
        let all = all.map(|it| (it.key.clone(), it.start / 1_000, it.value.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    };
    let of = |key: &str, start: i64, value: &str| (key.to_owned(), start, value.to_owned());
    assert_eq!(windows(&mut session, SECOND / 2), []);
    assert_eq!(
        windows(&mut session, 3 * SECOND),
        [of("a", 0, "1"), of("b", 0, "1")]
    );
    assert_eq!(
        windows(&mut session, 6 * SECOND),
        [of("a", 0, "2"), of("b", 0, "1")]
    );
    // The watermark of 12.999 s took the first two away; the record of 4 s found them gone.
    assert_eq!(windows(&mut session, 14 * SECOND), [of("a", 10, "1")]);
}

#[test]
fn the_plot_says_of_each_record_what_became_of_it() {
    let mut session = open();
    session.seek(40 * SECOND);
    let digest = session.digest();
    let plot = session.event_times("").expect("there is a job");
    assert_eq!(plot.operator, "count");
    let verdicts: Vec<_> = plot
        .records
        .iter()
        .map(|it| (it.event_time, it.verdict))
        .collect();
    let expected = [
        (500, PlotVerdict::Taken),
        (3_000, PlotVerdict::Taken),
        (8_000, PlotVerdict::Taken),
        (15_000, PlotVerdict::Taken),
        (4_000, PlotVerdict::Dropped),
        (30_000, PlotVerdict::Taken),
    ];
    assert_eq!(verdicts, expected);
    assert!(plot.records[4].text.contains("12.999 s"), "{plot:?}");
    assert_eq!(plot.watermarks.len(), 2);
    for (_, curve) in &plot.watermarks {
        assert!(
            curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1),
            "{curve:?}"
        );
        assert_eq!(curve.last().map(|it| it.1), Some(i64::MAX));
    }
    let windows: Vec<_> = plot.windows.iter().map(|it| (it.start, it.times)).collect();
    assert_eq!(windows, [(0, 2), (10_000, 1), (30_000, 1)]);
    assert_eq!(session.digest(), digest, "looking changes nothing");
    session.seek(29 * SECOND);
    let late = job(&session).vertices[1]
        .subtasks
        .iter()
        .map(|it| it.late_dropped)
        .sum::<u64>();
    assert_eq!(late, 1);
}

#[test]
fn a_purged_window_leaves_a_mark_for_a_while() {
    let mut session = open();
    let marks = |session: &mut Session, at| {
        session.seek(at);
        let job = job(session);
        let all = subtasks(&job).flat_map(|it| &it.purged);
        let mut all: Vec<(String, i64, i64, String)> = all
            .map(|it| (it.key.clone(), it.start, it.end, it.why.clone()))
            .collect();
        all.sort();
        all
    };
    let gone = |key: &str| (key.to_owned(), 0, 10_000, "end passed".to_owned());
    assert_eq!(marks(&mut session, 11 * SECOND), []);
    assert_eq!(marks(&mut session, 14 * SECOND), [gone("a"), gone("b")]);
    assert_eq!(marks(&mut session, 18 * SECOND), []);
    let plot = session.event_times("").expect("there is a job");
    let (at, why) = plot.windows[0].purged.clone().expect("it is gone");
    assert!((12 * SECOND..13 * SECOND).contains(&at), "{at}");
    assert_eq!(why, "end passed");
}

#[test]
fn the_plot_is_of_an_operator_that_judges_by_event_time_or_of_the_one_asked_for() {
    let mut session = opened(include_str!("../../scenarios/job-offline-phone.toml"));
    session.seek(150 * 60 * SECOND);
    let judges = |of: &str| {
        let plot = session.event_times(of).expect("there is a job");
        assert_eq!(plot.judges.len(), 4);
        let dropped = plot.records.iter();
        let dropped = dropped.filter(|it| it.verdict == PlotVerdict::Dropped);
        (plot.operator.clone(), plot.by_event_time, dropped.count())
    };
    assert_eq!(judges(""), ("dropping".to_owned(), true, 2));
    assert_eq!(judges("by-arrival"), ("by-arrival".to_owned(), false, 0));
    assert_eq!(judges("aside"), ("aside".to_owned(), true, 0));
    assert_eq!(judges("nobody").0, "dropping");
}

#[test]
fn where_no_operator_judges_there_is_no_plot() {
    let mut session = opened(include_str!("../../scenarios/job-zombie.toml"));
    session.seek(20 * SECOND);
    for of in ["", "an operator of another job"] {
        let plot = session.event_times(of).expect("there is a job");
        assert_eq!((plot.operator.as_str(), plot.judges.len()), ("", 0));
        assert_eq!(plot.to, 20 * SECOND);
    }
}

/// A checkpoint that outlived its job is the user's, and no savepoint for that.
#[test]
fn a_retained_checkpoint_is_not_called_a_savepoint() {
    let check = |story: &str, seconds: u64, expect: (i64, bool)| {
        let mut session = opened(story);
        session.seek(seconds * SECOND);
        let done = job(&session).checkpoints.completed;
        let done: Vec<_> = done.iter().map(|it| (it.id, it.savepoint)).collect();
        assert_eq!(done, [expect], "{story}");
    };
    let retained = include_str!("../../scenarios/job-retained-checkpoint.toml");
    check(retained, 28, (2, false));
    check(retained, 32, (2, false));
    let stopped = include_str!("../../scenarios/job-stop-with-savepoint.toml");
    check(stopped, 25, (2, true));
}

#[test]
fn checkpoints_that_failed_are_listed_with_their_reason() {
    let mut session = opened(include_str!("../../scenarios/job-slow-sink-expiry.toml"));
    session.seek(40 * SECOND);
    let it = job(&session).checkpoints;
    let failed = it.failed.first().expect("one has expired");
    assert_eq!((failed.id, failed.reason), (3, "CHECKPOINT_EXPIRED"));
    assert_eq!(failed.took, 3 * SECOND);
    assert!(failed.acknowledged < failed.tasks, "{failed:?}");
    session.seek(100 * SECOND);
    let it = job(&session).checkpoints;
    assert!(
        it.failed.is_sorted_by(|a, b| a.id > b.id),
        "{:?}",
        it.failed
    );
    assert_eq!(it.counts.1 as usize, it.failed.len());
}

#[test]
fn the_topics_beside_a_job_have_the_offsets_of_log_reader_and_checkpoint() {
    let mut session = opened(include_str!("../../scenarios/job-kafka-exactly-once.toml"));
    session.seek(34 * SECOND);
    let view = job(&session);
    let names: Vec<_> = view
        .topics
        .iter()
        .map(|it| (it.name.as_str(), it.sink))
        .collect();
    assert_eq!(names, [("payments", false), ("sums", true)]);
    for it in &view.topics[0].partitions {
        let (position, kept) = (it.position.expect("read"), it.checkpointed.expect("kept"));
        let end = it.end.expect("there is a leader").unsigned_abs();
        // Checkpoint 3 is of second 30, and since second 10 twenty payments a second go to two
        // partitions.
        assert!(kept < position && position <= end, "{it:?}");
        assert!(
            (195..=205).contains(&kept) && it.reader == Some(1),
            "{it:?}"
        );
    }
    let sums = &view.topics[1].partitions;
    assert!(
        sums.iter()
            .all(|it| it.position.is_none() && it.reader.is_none())
    );
    let open = |it: &&sim_core::view::JobPartition| it.stable < it.end;
    assert_eq!(sums.iter().filter(open).count(), 2, "{sums:?}");
    session.seek(90 * SECOND);
    let done = job(&session);
    let sums = &done.topics[1].partitions;
    assert_eq!(sums.iter().filter(open).count(), 0, "{sums:?}");
}

/// The sum under a line of rates, and its highest value.
fn total(points: &[(u64, i64)]) -> (u64, i64) {
    let width = points[1].0 - points[0].0;
    let sum: i64 = points.iter().map(|it| it.1).sum();
    let highest = points.iter().map(|it| it.1).max().unwrap_or(0);
    (sum.unsigned_abs() * width / SECOND, highest)
}

#[test]
fn the_metrics_of_a_job_are_what_its_subtasks_count() {
    let mut session = opened(include_str!("../../scenarios/job-slow-sink.toml"));
    session.seek(60 * SECOND);
    let (series, view) = (session.series(60), job(&session));
    let of = |name: &str, operator: &str| {
        let mut all = series.iter();
        let found = all.find(|it| it.name == name && it.of == operator);
        &found.expect(name).points
    };
    for vertex in &view.vertices {
        let counted: u64 = vertex.subtasks.iter().map(|it| it.records_in).sum();
        let (rates, _) = total(of("records in, per second", &vertex.name));
        // Each of 60 rates is cut to a whole number.
        assert!(
            rates <= counted && counted <= rates + 60,
            "{}: {rates}, {counted}",
            vertex.name
        );
        let spent: u64 = [
            "busy, ms per second (busiest subtask)",
            "backpressured, ms per second (most backpressured subtask)",
            "idle, ms per second (least idle subtask)",
        ]
        .iter()
        .map(|name| {
            let (sum, highest) = total(of(name, &vertex.name));
            assert!((0..=1_000).contains(&highest), "{name}: {highest}");
            sum
        })
        .sum();
        assert!(
            spent.abs_diff(60_000) < 1_000 || vertex.parallelism > 1,
            "{spent} ms"
        );
    }
    assert!(of("restarts", "").iter().all(|it| it.1 == 0));
    // Nothing of the ledger of a cluster that is not there, and no checkpoint is complete.
    let names = ["records sent", "checkpoint duration, ms"];
    assert!(!series.iter().any(|it| names.contains(&it.name.as_str())));
}

#[test]
fn every_complete_checkpoint_is_a_point_of_its_charts() {
    let mut session = opened(include_str!(
        "../../scenarios/job-checkpoint-incremental.toml"
    ));
    session.seek(56 * SECOND);
    let (series, view) = (session.series(60), job(&session));
    let says = |name: &str| {
        let found = series.iter().find(|it| it.name == name);
        found.expect(name).points.clone()
    };
    // The job keeps the newest only; the charts have all.
    let newest = view.checkpoints.completed.first().expect("one is complete");
    let written: Vec<i64> = says("written by the checkpoint, bytes")
        .iter()
        .map(|it| it.1)
        .collect();
    let ends = |name: &str, value: u64| {
        let points = says(name);
        assert_eq!(points.len(), written.len(), "{name}");
        assert_eq!(points.last(), Some(&(newest.at, value as i64)), "{name}");
    };
    assert!(
        written.starts_with(&[8_000_000, 1_000_000, 1_000_000, 8_000_000]),
        "{written:?}"
    );
    ends("checkpoint duration, ms", newest.took / 1_000_000);
    ends("checkpoint size, bytes", newest.bytes);
    ends("written by the checkpoint, bytes", newest.uploaded);
}

#[test]
fn the_tree_of_an_operator_has_the_files_that_its_checkpoints_share() {
    let mut session = opened(include_str!(
        "../../scenarios/job-checkpoint-incremental.toml"
    ));
    let mut tree = |second: u64| {
        session.seek(second * SECOND);
        let job = job(&session);
        let found = subtasks(&job).flat_map(|it| it.trees.clone()).next();
        found.expect("the state lies in files")
    };
    let before = tree(9);
    assert_eq!(
        (before.memtable.0, before.checkpoints.len()),
        (8_000_000, 0)
    );
    let third = tree(35);
    let files: Vec<_> = third.levels[0].first.iter().collect();
    let held: Vec<_> = files.iter().map(|it| it.held_by.clone()).collect();
    assert_eq!((files.len(), third.base), (3, Some(3)), "{third:?}");
    assert_eq!(held, vec![vec![3]; 3], "what is older is no base any more");
    assert_eq!(third.checkpoints[0].uploaded, Some(1_000_000));
    // Four files became one, of which the last complete checkpoint has nothing.
    let merged = tree(55);
    let counts: Vec<_> = merged.levels.iter().map(|it| it.files).collect();
    assert_eq!((counts, merged.places), (vec![0, 1], 2), "{merged:?}");
    assert_eq!(merged.written, (11_000_000, 8_000_000));
}

#[test]
fn a_restart_is_counted_and_makes_no_rate_below_zero() {
    let mut session = opened(include_str!(
        "../../scenarios/job-crash-before-barrier.toml"
    ));
    let end = session.duration();
    session.seek(end);
    let series = session.series(100);
    let restarts = series.iter().find(|it| it.name == "restarts");
    let restarts = restarts.expect("it is there").points.last().copied();
    let attempt = job(&session).attempt;
    assert!(attempt > 1);
    assert_eq!(restarts, Some((end, i64::from(attempt) - 1)));
    let rates = series.iter().filter(|it| it.name.contains("per second"));
    assert!(rates.flat_map(|it| &it.points).all(|it| it.1 >= 0));
}

#[test]
fn a_world_without_a_job_has_none() {
    let text = include_str!("../../scenarios/quickstart.toml");
    let recipe = Recipe {
        scenario: text.to_owned(),
        ..Recipe::default()
    };
    let session = Session::open(recipe).expect("a scenario without problems");
    assert_eq!((session.job(), session.event_times("")), (None, None));
}
