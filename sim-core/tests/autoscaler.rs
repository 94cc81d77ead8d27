//! A job that rescales itself: what makes it oscillate, what ends that, and what holds it back.

mod support;

use sim_core::check::RunReport;
use sim_core::run::{Recipe, Session};
use support::{assert_good, changed, read, run, sweep, told};

const STORY: &str = include_str!("../../scenarios/job-autoscaler-oscillates.toml");

/// The story without what it states.
fn unstated() -> String {
    STORY[..STORY.find("[[caption]]").expect("it has captions")].to_owned()
}

fn check(name: &str, changes: &[(&str, &str)], expect: &[&str]) -> RunReport {
    told(name, &unstated(), changes, expect)
}

/// What is said of the autoscaler while it runs.
fn said(changes: &[(&str, &str)]) -> Vec<String> {
    let text = changed("said", &unstated(), changes);
    let scenario = read("said", &text);
    let end = scenario.duration;
    let mut session = Session::of(scenario, Recipe::default());
    session.advance(end, u64::MAX);
    let marks = session.history().marks().iter();
    let of_scaler = marks.filter(|it| it.text.contains(" records/s come"));
    of_scaler.map(|it| it.text.clone()).collect()
}

const STABILIZATION: &str = "stabilization.interval\" = \"0 s\"";
const WINDOW: &str = "metrics.window\" = \"10 s\"";
const SCALE_DOWN: &str = "scale-down.interval\" = \"0 s\"";
const RESTART: &str = "restart.time\" = \"1 s\"";
const CATCH_UP: &str = "catch-up.duration\" = \"10 s\"";

#[test]
fn each_kind_of_patience_ends_the_oscillation() {
    let patience = [
        (STABILIZATION, "stabilization.interval\" = \"1 min\""),
        (WINDOW, "metrics.window\" = \"1 min\""),
        (CATCH_UP, "catch-up.duration\" = \"1 min\""),
        (CATCH_UP, "catch-up.duration\" = \"0\""),
        (RESTART, "restart.time\" = \"30 s\""),
    ];
    for change in patience {
        let settled = "job.rescales <= 2 and job.restarts <= 2 and clicks.backlog <= 30";
        check(change.1, &[change], &[settled]);
    }
}

/// Each scale-down has a restart of its own, and that its lag.
#[test]
fn a_scale_down_that_waits_makes_it_rarer() {
    let waits = (SCALE_DOWN, "scale-down.interval\" = \"2 min\"");
    check("rarer", &[waits], &["job.rescales == 5"]);
}

#[test]
fn what_suits_the_job_is_left_as_it_is() {
    let four = ("parallelism = 2", "parallelism = 4");
    check(
        "four",
        &[four],
        &["job.rescales == 0 and job.restarts == 0"],
    );
}

const SHORT: (&str, &str) = ("duration = \"8min\"", "duration = \"2min\"");
const ON: &str = "\"job.autoscaler.enabled\" = true";

#[test]
fn advice_is_given_once_and_not_followed() {
    let advice = format!("{ON}\n\"job.autoscaler.scaling.enabled\" = false");
    let changes = [
        (ON, advice.as_str()),
        (CATCH_UP, "catch-up.duration\" = \"0\""),
    ];
    let advised = "job.rescales == 0 and enrich.recommended-parallelism == 4 and job.restarts == 0";
    check("advice", &changes, &[advised]);
    let said = said(&changes);
    let [once] = said.as_slice() else {
        panic!("{said:?}");
    };
    let words = "jm: enrich → out: 120 records/s come: it is to be able to do 171/s; 2 subtasks can do \
                 100/s, so 4. That is advice: job.autoscaler.scaling.enabled is false";
    assert_eq!(once, words);
}

#[test]
fn what_there_are_no_slots_for_is_not_done() {
    let changes = [
        SHORT,
        ("task-managers = 6", "task-managers = 1"),
        (CATCH_UP, "catch-up.duration\" = \"0\""),
    ];
    let held =
        "job.rescales == 0 and job.status == RUNNING and enrich.recommended-parallelism == 4";
    check("slots", &changes, &[held]);
    let said = said(&changes);
    assert!(
        said.len() == 1 && said[0].ends_with("Not done: that takes 4 slots, and there are 2"),
        "{said:?}"
    );
}

#[test]
fn what_the_graph_does_not_allow_is_not_done() {
    let changes = [
        SHORT,
        (
            "[[stream.sink]]\nname = \"out\"",
            "[[stream.sink]]\nname = \"out\"\npartition = \"forward\"\nchaining = \"never\"",
        ),
    ];
    check(
        "forward",
        &changes,
        &["job.rescales == 0 and job.status == RUNNING"],
    );
    let said = said(&changes);
    let why = "Not done: forward partitioning does not allow change of parallelism";
    assert!(
        said.iter().all(|it| it.ends_with(why)) && !said.is_empty(),
        "{said:?}"
    );
}

/// Twelve key groups: a computed five becomes six, which gives each subtask two of them.
#[test]
fn parallelism_of_keyed_state_is_fitted_to_its_key_groups() {
    let keyed = "[[stream.process]]\nname = \"enrich\"\nfunction = \"count\"\nmax-parallelism = 12";
    let mode = |it: &str| {
        format!("{ON}\n\"job.autoscaler.scaling.parallelism-alignment.mode\" = \"{it}\"")
    };
    let check = |alignment: &str, expect: &str| {
        let on = mode(alignment);
        let changes = [
            SHORT,
            ("[[stream.map]]\nname = \"enrich\"", keyed),
            ("partition = \"rebalance\"\n", ""),
            ("keys = 20", "keys = 10_000"),
            ("rate = 120", "rate = 140"),
            (CATCH_UP, "catch-up.duration\" = \"0\""),
            (ON, on.as_str()),
        ];
        let once = format!("job.rescales == 1 and enrich.parallelism == {expect}");
        check(alignment, &changes, &[&once]);
    };
    check("OFF", "5");
    check("BALANCED", "6");
    check("EVENLY_SPREAD", "6");
}

/// A source of a topic is scaled as any vertex, and fitted to its partitions. Its lag is what its
/// consumer knew at its last fetch, as in Kafka, so that less seems to come than does.
#[test]
fn a_source_of_a_topic_is_fitted_to_its_partitions() {
    const TOPIC: &str = r#"strandline = 1
title = "A topic that is too fast for one reader"
duration = "100s"

[kafka]
brokers = 1

[[kafka.topic]]
name = "clicks"
partitions = 6
replication-factor = 1

[[kafka.producer]]
name = "shop"
topic = "clicks"
load = { kind = "constant", rate = 120, keys = { kind = "cycle", count = 60 }, start = "2s" }

[stream]
task-managers = 6

[stream.config]
"execution.checkpointing.interval" = "10 s"
"strandline.redeploy-time" = "5 s"
"job.autoscaler.enabled" = true
"kubernetes.operator.reconcile.interval" = "5 s"
"job.autoscaler.metrics.window" = "20 s"
"job.autoscaler.stabilization.interval" = "10 s"

[[stream.source]]
name = "reads"
kafka = "clicks"
cost = "20ms"

[[stream.process]]
name = "count"
input = "reads"
function = "count"

[[stream.sink]]
name = "out"
input = "count"
"#;
    let fitted = "job.rescales == 1 and reads.parallelism == 3 and count.parallelism == 1";
    let reads = "reads.target-rate >= 110 and reads.true-rate >= 120 and ledger.lost == 0";
    told("topic", TOPIC, &[], &[fitted, reads]);
}

/// Rescaled several times among crashes and cut links, what is delivered is what it should be.
#[test]
fn exactly_once_holds_while_it_scales_whatever_fails() {
    const SWEEP: &str = include_str!("../../scenarios/sweep-job.toml");
    let interval = "\"execution.checkpointing.interval\" = \"5 s\"\n";
    let scaled = format!(
        "{interval}{ON}\n\"kubernetes.operator.reconcile.interval\" = \"1 s\"\n\
         \"job.autoscaler.metrics.window\" = \"1 s\"\n\
         \"job.autoscaler.stabilization.interval\" = \"0\"\n\
         \"job.autoscaler.scale-down.interval\" = \"0\"\n\
         \"job.autoscaler.catch-up.duration\" = \"2 s\"\n\
         \"job.autoscaler.restart.time\" = \"1 s\"\n\
         \"job.autoscaler.vertex.max-parallelism\" = 4\n\
         \"strandline.redeploy-time\" = \"500 ms\"\n"
    );
    let changes = [
        (interval, scaled.as_str()),
        ("duration = \"180s\"", "duration = \"400s\""),
        // What waits in buffers before a slow subtask holds barriers back for longer than 10 s.
        ("timeout\" = \"10 s\"", "timeout\" = \"60 s\""),
        ("slots = 2", "slots = 3"),
        ("name = \"totals\"", "name = \"totals\"\ncost = \"40ms\""),
    ];
    let text = changed("sweep", SWEEP, &changes);
    told("still", &text, &[], &["job.rescales >= 3"]);
    let reached = [
        "restart",
        "restored",
        "autoscaler",
        "commit",
        "state-compared",
    ];
    assert_good(&sweep(&text, 0..8, |it| it), &reached);
}

/// A JobManager that dies takes what the autoscaler remembers with it, and no timer stays behind.
#[test]
fn it_goes_on_after_a_crash_of_the_job_manager() {
    let crash = "[[timeline]]\nat = \"20s\"\ndo = \"crash\"\nnode = \"jm\"\nfor = \"5s\"\n";
    let text = changed(
        "crash",
        &unstated(),
        &[
            (CATCH_UP, "catch-up.duration\" = \"0\""),
            (
                ON,
                "\"job.autoscaler.enabled\" = true\n\"high-availability.type\" = \"ZOOKEEPER\"",
            ),
            SHORT,
        ],
    );
    let report = run("crash", &format!("{text}{crash}"));
    assert!(
        report.violations.is_empty() && report.refused.is_empty(),
        "{:?}",
        report.violations
    );
    told(
        "crash",
        &format!("{text}{crash}"),
        &[],
        &["job.rescales <= 1 and enrich.parallelism == 4"],
    );
}
