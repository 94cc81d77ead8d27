//! Jobs under faults: what is delivered is what is delivered when nothing fails. And what is stated
//! of a job's results is judged.

mod support;

use sim_core::view::VerdictState;
use support::{assert_good, changed, expecting, holds, read, run, sweep};

const SWEEP: &str = include_str!("../../scenarios/sweep-job.toml");

const ROCKSDB: &str = include_str!("../../scenarios/sweep-job-rocksdb.toml");
const REGIONS: &str = include_str!("../../scenarios/sweep-job-regions.toml");

/// What every sweep of a job has to reach to be worth something.
const REACHED: &[&str] = &[
    "restart",
    "restored",
    "pre-commit",
    "commit",
    "abort",
    "checkpoint-completed",
    "checkpoint-failed",
    "window-fired",
    "state-compared",
];

/// In seed 5543 a store that is cut off crashes with a commit under way.
#[test]
fn exactly_once_holds_whatever_fails() {
    assert_good(&sweep(SWEEP, (0..10).chain([5543]), |it| it), REACHED);
}

/// A source that works on a record when its checkpoint is to begin: its position is behind the record
/// already, so the barrier must not go before it.
#[test]
fn exactly_once_holds_where_sources_work_on_their_records() {
    const SLOW_SOURCE: &str = r#"strandline = 1
title = "A source that takes its time"
duration = "60s"

[stream]

[stream.config]
"execution.checkpointing.interval" = "1 s"
"high-availability.type" = "zookeeper"

[[stream.source]]
name = "clicks"
load = { rate = 15, keys = 1, limit = 300 }
cost = "60ms"

[[stream.sink]]
name = "out"
input = "clicks"
guarantee = "exactly-once"
"#;
    let reached = ["restart", "restored", "checkpoint-completed"];
    assert_good(&sweep(SLOW_SOURCE, 0..12, |it| it), &reached);
}

#[test]
fn exactly_once_holds_with_unaligned_checkpoints() {
    let unaligned = [(
        "[stream.config]",
        "[stream.config]\n\"execution.checkpointing.unaligned.enabled\" = true",
    )];
    let text = changed("unaligned", SWEEP, &unaligned);
    assert_good(&sweep(&text, 24..32, |it| it), REACHED);
}

/// What a cancelled attempt of a sink has asked waits behind a cut link or in a machine that stands
/// still, and comes when a newer attempt has pre-committed: in each of these seeds it would abort
/// that, and rows that a complete checkpoint covers were gone.
#[test]
fn exactly_once_holds_when_requests_of_a_lost_attempt_come_late() {
    const INTERVAL: &str = "\"execution.checkpointing.interval\" = \"1 s\"\n";
    const SLOTS: &str = "\"taskmanager.load-balance.mode\" = \"SLOTS\"\n";
    const UNALIGNED: &str = "\"execution.checkpointing.unaligned.enabled\" = true\n";
    const AT_ONCE: &str = "\"execution.checkpointing.aligned-checkpoint-timeout\" = \"1 ms\"\n";
    const SLOW: &str = "\"strandline.storage.bytes-per-second\" = 1000\n\
                        \"taskmanager.memory.segment-size\" = 500\n";
    let mut reports = Vec::new();
    for (seed, config) in [
        (40242, SLOTS.to_owned()),
        (30297, [SLOTS, UNALIGNED, AT_ONCE].concat()),
        (30151, [UNALIGNED, SLOW].concat()),
    ] {
        let change = [(
            "\"execution.checkpointing.interval\" = \"5 s\"\n",
            &*(config + INTERVAL),
        )];
        let text = changed("each second", SWEEP, &change);
        reports.extend(sweep(&text, [seed], |it| it));
    }
    assert_good(&reports, REACHED);
}

/// Checkpoints that sources ask for after so many records, and none by time.
#[test]
fn exactly_once_holds_with_checkpoints_by_count() {
    let interval = "\"execution.checkpointing.interval\" = \"5 s\"";
    let count = "\"strandline.checkpointing.every-records\" = 40\n\
                 \"execution.checkpointing.interval\" = \"60 s\"";
    let text = changed("by count", SWEEP, &[(interval, count)]);
    assert_good(&sweep(&text, 0..6, |it| it), REACHED);
}

/// Rows that carry their positions to the store: no loss and no duplicates whatever fails, with
/// checkpoints, with barriers that overtake, and without any.
#[test]
fn results_with_their_offsets_are_there_once_whatever_fails() {
    const JOB: &str = r#"strandline = 1
title = "Each row with its offset"
duration = "90s"

[stream]
task-managers = 2
slots = 2
parallelism = 2

[stream.config]
"high-availability.type" = "zookeeper"
"restart-strategy.type" = "fixed-delay"
"restart-strategy.fixed-delay.attempts" = 1000

[[stream.source]]
name = "numbers"
load = { rate = 50, keys = 3, limit = 2_000 }
splits = 3
bounded = false

[[stream.filter]]
name = "some"
input = "numbers"
one-in = 2

[[stream.map]]
name = "doubled"
input = "some"
function = "multiply"
n = 2
chaining = "head"

[[stream.sink]]
name = "out"
input = "doubled"
parallelism = 1
guarantee = "with-offset"
batch = 5

[[expect]]
that = "out-store.duplicates == 0"
"#;
    let with = |config: &str| {
        changed(
            config,
            JOB,
            &[("[stream.config]", &*format!("[stream.config]\n{config}"))],
        )
    };
    let every = "\"execution.checkpointing.interval\" = \"1 s\"";
    let unaligned = format!("{every}\n\"execution.checkpointing.unaligned.enabled\" = true");
    let reached = ["restart"];
    assert_good(&sweep(JOB, 0..12, |it| it), &reached);
    assert_good(&sweep(&with(every), 12..18, |it| it), &reached);
    assert_good(&sweep(&with(&unaligned), 18..24, |it| it), &reached);
}

/// Barriers overtake what waits, and the input ends long before the work does: a task ends when what
/// it sent has been processed, not when the checkpoint that overtook it is complete.
const BACKLOG: &str = include_str!("../../scenarios/sweep-job-unaligned.toml");

/// In seed 1927 a cut heals with rows waiting at it and later ones on their way.
#[test]
fn exactly_once_holds_unaligned_with_a_backlog_at_the_end() {
    assert_good(&sweep(BACKLOG, (0..6).chain([1927]), |it| it), REACHED);
}

/// Barriers wait in line before an operator with a pointwise input, and overtake again behind it.
#[test]
fn exactly_once_holds_unaligned_where_some_exchanges_stay_aligned() {
    const POINTWISE: &str = r#"
[[stream.map]]
name = "passed"
input = "totals"
partition = "rescale"
cost = "60ms"

[[stream.sink]]
name = "seen"
input = "passed"
partition = "hash"
guarantee = "exactly-once"
"#;
    assert_good(
        &sweep(&[BACKLOG, POINTWISE].concat(), 0..4, |it| it),
        REACHED,
    );
}

#[test]
fn an_unaligned_job_comes_to_its_end_without_a_fault() {
    let expect = [
        "job.status == FINISHED",
        "job.restarts == 0",
        "job.output-as-expected",
    ];
    for timeout in ["0 s", "100 ms"] {
        let timed = [(
            "[stream.config]",
            &*format!(
                "[stream.config]\n\"execution.checkpointing.aligned-checkpoint-timeout\" = \"{timeout}\""
            ),
        )];
        let text = changed(timeout, BACKLOG, &timed);
        holds(timeout, &(text + &expecting(&expect)));
    }
}

/// Files that checkpoints share, local copies, and key groups that move: what is restored is what was
/// checkpointed, or the sweep says so. In seeds 11 and 45 a barrier comes after the news that its
/// checkpoint was aborted; in 9896 a frozen TaskManager goes on restoring after the job was rescaled.
#[test]
fn exactly_once_holds_with_shared_files_and_rescaling() {
    assert_good(
        &sweep(ROCKSDB, (0..8).chain([11, 45, 9896]), |it| it),
        REACHED,
    );
}

#[test]
fn exactly_once_holds_when_regions_restart_by_themselves() {
    let text = REGIONS.to_owned() + &expecting(&["job.regions == 3"]);
    assert_good(&sweep(&text, 0..8, |it| it), REACHED);
}

/// A check that cannot fail is worth nothing: a store that aborts transactions before an outage is
/// over takes rows that nobody sends again, and the sweep finds it.
#[test]
fn a_transaction_timeout_shorter_than_an_outage_is_found() {
    let short = [(
        "guarantee = \"exactly-once\"",
        "guarantee = \"exactly-once\"\ntransaction-timeout = \"7 s\"",
    )];
    let text = changed("short timeout", SWEEP, &short);
    let found = sweep(&text, 0..12, |it| it)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed loses a transaction");
}

/// A write-ahead sink whose job stops with a savepoint while it writes: tasks end when the rows are
/// there and marked, so none is written again by the job that goes on.
#[test]
fn a_write_ahead_sink_repeats_nothing_when_its_job_is_stopped() {
    let story = include_str!("../../scenarios/job-write-ahead-log.toml");
    let from = story.find("[[caption]]").expect("captions");
    for at in ["9900ms", "10s", "10700ms", "16s", "29s"] {
        let stop = [
            (
                "do = \"fail-tasks\"\nnode = \"tm1\"",
                "do = \"rescale\"\nparallelism = 1",
            ),
            ("at = \"16s\"", &format!("at = \"{at}\"")),
            (
                "[stream.config]",
                "[stream.config]\n\"strandline.sink.cost-us\" = 500_000",
            ),
        ];
        let text = changed("stopped", &story[..from], &stop);
        let expect = [
            "logged-store.rows == 5 and logged-store.duplicates == 0",
            "plain-store.duplicates == 0 and job.output-as-expected",
            "job.restarts == 1",
        ];
        holds(at, &(text + &expecting(&expect)));
    }
}

/// The user's savepoint, read with another parallelism: the state that the job begins with is the
/// savepoint's, by operator and key group, whatever backend and barriers it was taken with.
#[test]
fn a_job_begins_with_the_state_of_its_savepoint() {
    let story = include_str!("../../scenarios/job-stop-with-savepoint.toml");
    let rocksdb =
        "\"state.backend.type\" = \"rocksdb\"\n\"execution.checkpointing.incremental\" = true";
    let unaligned = "\"execution.checkpointing.unaligned.enabled\" = true";
    let local = "\"state.backend.local-recovery\" = true";
    for config in ["", rocksdb, unaligned, local] {
        let set = [("[stream.config]", &*format!("[stream.config]\n{config}"))];
        let report = holds(config, &changed(config, story, &set));
        // A source, three subtasks of the sum, a sink.
        let compared = report.reached.get("state-compared");
        assert_eq!(compared, Some(&5), "{config}");
    }
}

/// Stopped with a savepoint and run again from it amid faults: where the stop fails the job goes on
/// or has failed, and in any case nothing is lost and nothing committed twice.
#[test]
fn exactly_once_holds_when_a_job_is_stopped_and_run_again() {
    for at in ["20s", "31s", "47s"] {
        let text = format!(
            "{SWEEP}[[timeline]]\nat = \"11s\"\ndo = \"trigger-savepoint\"\n\
             [[timeline]]\nat = \"{at}\"\ndo = \"stop-with-savepoint\"\nsavepoint = \"s\"\n\
             [[timeline]]\nwhen = \"job.status == FINISHED or job.status == FAILED\"\n\
             do = \"run-job\"\nsavepoint = \"s\"\nparallelism = 1\n"
        );
        assert_good(&sweep(&text, 0..4, |it| it), REACHED);
    }
}

/// A job between two topics: brokers, controllers, TaskManagers and the JobManager fail.
const TOPICS: &str = include_str!("../../scenarios/sweep-job-kafka.toml");

#[test]
fn exactly_once_holds_from_topic_to_topic_whatever_fails() {
    let reached = [
        "restart",
        "restored",
        "pre-commit",
        "commit",
        "leader-elected",
        "txn-completed",
        "checkpoint-completed",
    ];
    assert_good(&sweep(TOPICS, 0..5, |it| it), &reached);
    // A coordinator that wakes up late enough is rarer than these seeds.
    let version = [("\"transaction.version\" = 1", "\"transaction.version\" = 2")];
    let text = changed("version 2", TOPICS, &version);
    assert_good(&sweep(&text, 5..10, |it| it), &reached);
}

/// What a broker that wakes up still believes may cost rows or repeat them: these seeds did, by the
/// defaults (`job-reset-to-earliest.toml`, `job-zombie-coordinator.toml`).
#[test]
fn a_broker_that_wakes_up_costs_nothing_with_the_right_settings() {
    for seed in [306, 2995, 4038] {
        assert_good(&sweep(TOPICS, seed..seed + 1, |it| it), &["commit"]);
    }
    let defaults = [
        ("\"transaction.version\" = 1\n", ""),
        ("start-offset = 0\nauto-offset-reset = \"none\"\n", ""),
    ];
    let text = changed("defaults", TOPICS, &defaults);
    let bad = [306, 2995].map(|seed| sweep(&text, seed..seed + 1, |it| it));
    let bad = bad.iter().flatten().filter(|it| !it.violations.is_empty());
    assert_eq!(bad.count(), 2, "the seeds are of no use any more");
}

/// A check that cannot fail is worth nothing: a coordinator that aborts transactions before an
/// outage is over takes rows that nobody sends again.
#[test]
fn a_kafka_transaction_that_times_out_too_soon_is_found() {
    let short = [(
        "kafka = \"exact\"\nguarantee = \"exactly-once\"\ntransaction-timeout = \"15min\"",
        "kafka = \"exact\"\nguarantee = \"exactly-once\"\ntransaction-timeout = \"7 s\"",
    )];
    let text = changed("short timeout", TOPICS, &short);
    let found = sweep(&text, 0..6, |it| it)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed loses a transaction");
}

/// A job whose result is one window; `more` stands behind it.
fn stating(value: i64, more: &str) -> String {
    format!(
        r#"
strandline = 1
title = "stated"
duration = "20s"

[stream]

[[stream.source]]
name = "scores"
watermark = {{ kind = "ascending" }}
records = [{{ ts = "1s", key = "red", value = 5 }}, {{ ts = "9s", key = "red", value = 9 }}]

[[stream.window]]
name = "sum"
input = "scores"
window = {{ kind = "tumbling", size = "10s" }}

[[stream.sink]]
name = "out"
input = "sum"

[[stream.expect]]
sink = "out"
rows = [{{ key = "red", value = {value}, window = "0s..10s" }}]

[[expect]]
that = "out-store.rows == 1"
{more}
"#
    )
}

/// The rows that a file states are judged though nothing else asks for it, before what the file
/// expects besides; where an expectation does ask, its author has said when they count.
#[test]
fn the_rows_that_a_file_states_are_judged() {
    let judged = |value, more: &str| {
        let verdicts = run("stated", &stating(value, more)).verdicts;
        let said = |it: sim_core::view::Verdict| (it.text, it.state, it.detail);
        verdicts.into_iter().map(said).collect::<Vec<_>>()
    };
    let stated = "at the end: job.output-as-expected";
    let all = judged(14, "");
    assert_eq!(all.len(), 2);
    assert_eq!((&*all[0].0, all[0].1), (stated, VerdictState::Held));
    let wrong = judged(999, "");
    assert_eq!((&*wrong[0].0, wrong[0].1), (stated, VerdictState::Broken));
    assert_eq!(
        wrong[0].2,
        "out: red = 999 in [0, 10000) is missing; red = 14 in [0, 10000) at 9999, pane 0, on time \
         is there and not expected"
    );
    let denied = "[[expect]]\nthat = \"not job.output-as-expected\"\nat = \"19s\"";
    let own = judged(999, denied);
    assert_eq!(own.len(), 2);
    assert_eq!(own[1].1, VerdictState::Held);
    // The reader of a verdict is led to the rows.
    let text = stating(999, "");
    let first = read("stated", &text).expectations[0].clone();
    let line = text.lines().position(|it| it == "[[stream.expect]]");
    assert_eq!(Some(first.line as usize), line.map(|it| it + 1));
    assert!(
        first
            .note
            .is_some_and(|it| it.contains("[[stream.expect]]"))
    );
}

/// Left rows of a join of tables, which come and go with what the right side has of their key.
#[test]
fn a_semi_and_an_anti_join_of_tables_put_left_rows_out() {
    let joined = |of: &str, rows: &str| {
        let text = format!(
            r#"
strandline = 1
title = "{of}"
duration = "20s"

[stream]

[[stream.source]]
name = "orders"
records = """
at  key  value
1s  a    1
3s  b    2
5s  c    3
"""

[[stream.source]]
name = "payments"
records = """
at  key  value
2s  a    10
4s  a    11
4s  c    12
"""

[[stream.join]]
name = "paid"
left = "orders"
right = "payments"
kind = "table"
type = "{of}"

[[stream.sink]]
name = "out"
input = "paid"

[[stream.expect]]
sink = "out"
changelog = true
ordered = true
rows = """
kind key value
{rows}"""
"#
        );
        holds(of, &text);
    };
    joined("semi", "+I a 1\n+I c 3\n");
    joined("anti", "+I a 1\n-D a 1\n+I b 2\n");
}

/// A hot subtask takes 1,000 of 1,500 records a second, and 56 buffers lie before it: 18 s of work
/// that a barrier waits behind, or about the one second that buffers which shrink leave there. The
/// subtask works no slower for it.
#[test]
fn buffers_that_shrink_let_barriers_pass_sooner() {
    let took = |debloat: bool, took: &str| {
        let text = format!(
            r#"
strandline = 1
title = "debloat {debloat}"
duration = "85s"

[stream]
task-managers = 5

[stream.config]
"execution.checkpointing.interval" = "60 s"
"taskmanager.network.memory.buffer-debloat.enabled" = {debloat}

[[stream.source]]
name = "events"
bounded = false
parallelism = 4
splits = 4
load = {{ rate = 1_500, keys = 1_000 }}

[[stream.process]]
name = "hot"
input = "events"
function = "count"
cost = "1ms"
slot-sharing-group = "hot"

[[stream.sink]]
name = "out"
input = "hot"
slot-sharing-group = "hot"
"#
        );
        let expect = [took, "hot.records-in > 59_000 @ 60s", "job.restarts == 0"];
        holds(&format!("debloat {debloat}"), &(text + &expecting(&expect)));
    };
    took(false, "job.last-checkpoint-took > 17s");
    took(true, "job.last-checkpoint-took < 1200ms");
}
