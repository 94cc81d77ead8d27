//! Snapshots that tasks take each for itself: what a failure goes back to, and that nothing is counted
//! twice or lost by it.

mod support;

use sim_core::kernel::SECOND;
use sim_core::run::{Recipe, Session};
use support::{assert_good, changed, expecting, holds, sweep};

/// Snapshots that nobody coordinates: whatever fails, tasks that go back to their recovery line have
/// each record in their state once, whether the line is near, far or the start. Windows speak once and
/// say what they counted; of running counts only that none is missing can be said, for what a lost
/// attempt has sent may come late and overwrite newer ones, whoever coordinates.
#[test]
fn state_counts_each_record_once_from_any_recovery_line() {
    const JOB: &str = r#"strandline = 1
title = "Snapshots that nobody coordinates"
duration = "180s"

[stream]
task-managers = 2
slots = 2
parallelism = 2

[stream.config]
"strandline.checkpointing.coordination" = "none"
"execution.checkpointing.interval" = "1 s"
"execution.buffer-timeout.interval" = "20 ms"
"heartbeat.interval" = "1 s"
"heartbeat.timeout" = "5 s"
"high-availability.type" = "zookeeper"
"restart-strategy.type" = "fixed-delay"
"restart-strategy.fixed-delay.attempts" = 1000

[[stream.source]]
name = "clicks"
splits = 3
watermark = { kind = "bounded", bound = "1s" }
load = { rate = 3, keys = 5, disorder = "900ms", limit = 200 }

[[stream.map]]
name = "passed"
input = "clicks"
partition = "rebalance"
cost = "5ms"

[[stream.process]]
name = "totals"
input = "passed"
function = "count"

[[stream.window]]
name = "sums"
input = "passed"
window = { kind = "tumbling", size = "5s" }
aggregate = "count"

[[stream.sink]]
name = "appended"
input = "totals"
guarantee = "at-least-once"

[[stream.sink]]
name = "per-window"
input = "sums"
guarantee = "idempotent"

[[expect]]
that = "job.status == FINISHED"
"#;
    let reached = [
        "restart",
        "recovery-line",
        "snapshot-stored",
        "state-compared",
    ];
    assert_good(&sweep(JOB, 0..16, |it| it), &reached);
    // Always under way, and state in trees of files.
    let busy = [
        ("rate = 3,", "rate = 30,"),
        ("limit = 200", "limit = 2_000"),
        ("cost = \"5ms\"", "cost = \"1ms\""),
        (
            "[stream.config]",
            "[stream.config]\n\"state.backend.type\" = \"rocksdb\"",
        ),
    ];
    let text = changed("busy", JOB, &busy);
    assert_good(&sweep(&text, 16..24, |it| it), &reached);
}

/// The state after a restore, without faults of the machines: each customer's count is what it is when
/// nothing fails, at rates where lines are the start, and where they are recent.
#[test]
fn counts_come_out_as_without_failures_where_nobody_coordinates() {
    let story = include_str!("../../scenarios/job-uncoordinated.toml");
    let from = story.find("[[timeline]]").expect("a timeline");
    let count =
        "[[stream.sink]]\nname = \"latest\"\ninput = \"counts\"\nguarantee = \"idempotent\"\n";
    let failures = ["11s", "23.3s", "38.5s"]
        .map(|at| format!("[[timeline]]\nat = \"{at}\"\ndo = \"fail-tasks\"\nnode = \"tm1\"\n"));
    for (rate, limit, starts) in [(40, 1_600, ""), (1, 40, "job.line-tasks-at-start == 0")] {
        let load = format!("load = {{ rate = {rate}, keys = 1, limit = {limit} }}");
        let change = [("load = { rate = 40, keys = 8 }", &*load)];
        let text = changed("counts", &story[..from], &change) + count;
        let whole = format!("latest-store.last-value == {limit} and job.status == FINISHED");
        let expect: Vec<&str> = [
            &*whole,
            "job.restarts == 3 and job.stored-bytes == 0",
            starts,
        ]
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect();
        holds("counts", &(text + &failures.concat() + &expecting(&expect)));
    }
}

/// What the timeline and the panel of checkpoints say of it.
#[test]
fn the_line_is_told_with_what_did_not_fit() {
    let opened = |scenario: String| {
        let recipe = Recipe {
            scenario,
            ..Recipe::default()
        };
        Session::open(recipe).expect("a scenario without problems")
    };
    let story = include_str!("../../scenarios/job-uncoordinated.toml");
    let line = |session: &mut Session| {
        session.seek(45 * SECOND);
        let marks = session.marks().into_iter().map(|it| it.text);
        let lines: Vec<String> = marks.filter(|it| it.contains("back")).collect();
        let own = session.job().and_then(|it| it.checkpoints.own);
        (lines, own)
    };
    let (lines, own) = line(&mut opened(story.to_owned()));
    let said = "jm: the recovery line is the start, 41.500 s back: all 3 tasks begin anew. 24 snapshots \
                are useless, after 24 steps back. The first: orders #1 had sent 791 records to \
                counts → out #1 by its newest, which had received 778 by its own: 13 would be lost";
    assert_eq!(lines, [said]);
    assert_eq!(own, Some((24, 24)));
    let slow = changed("slow", story, &[("rate = 40", "rate = 1")]);
    let (lines, own) = line(&mut opened(slow));
    let said = "jm: the recovery line is 2.271 s back: each of 3 tasks has a snapshot of it; the newest \
                snapshots fit together";
    assert_eq!(lines, [said]);
    assert_eq!(own, Some((24, 0)));
}
