//! A run is bounded whatever its scenario does: it stops, says why, and judges nothing more.

use sim_core::check::{Ending, RunPlan, RunReport};
use sim_core::run::{Bounds, Recipe, Session, Stopped};
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::sync::Arc;

const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "20s"

[kafka]
brokers = 3

[[kafka.topic]]
name = "orders"
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 100 }

[[expect]]
that = "ledger.lost == 0"
"#;

/// Two entries that set each other off, each in the same instant.
const FLAPPING: &str = r#"
[[timeline]]
when = 'b1.state == "up"'
every-time = true
do = "pause"
node = "b1"

[[timeline]]
when = 'b1.state == "paused"'
every-time = true
do = "resume"
node = "b1"
"#;

/// An entry that its own undoing sets off again, a nanosecond later.
const UNDONE: &str = r#"
[[timeline]]
when = 'b1.state == "up"'
every-time = true
do = "crash"
node = "b1"
for = "1ns"
"#;

/// A record for every record.
const SENDING: &str = r#"
[[timeline]]
at = "5s"
do = "send"
node = "shop"
records = 1_000_000
"#;

fn run(more: &str, bounds: Bounds) -> RunReport {
    let text = format!("{CLUSTER}{more}");
    let scenario = scenario::parse(&text).into_result().expect("it is good");
    let mut plan = RunPlan::of(Arc::new(scenario), 1);
    plan.bounds = bounds;
    plan.run(|_, _| true)
}

#[test]
fn a_run_stops_at_the_first_bound_it_comes_to() {
    let whole = Bounds::default();
    let check = |more, bounds, ended| {
        let report = run(more, bounds);
        assert_eq!(report.ended, ended, "{bounds:?}{more}");
        let complete = ended == Ending::Complete;
        assert_eq!(report.good(), complete, "{bounds:?}{more}");
        let judged = report.verdicts[0].state != VerdictState::Pending;
        assert_eq!(judged, complete, "nothing is judged that was not reached");
        report
    };
    check("", whole, Ending::Complete);
    let events = Bounds {
        events: 1_234,
        ..whole
    };
    let report = check("", events, Ending::Stopped(Stopped::Events(1_234)));
    assert_eq!(report.events, 1_234);
    assert!(report.time > 0 && report.time < 20_000_000_000);
    let records = Bounds {
        records: 50,
        ..whole
    };
    let report = check("", records, Ending::Stopped(Stopped::Records(50)));
    assert_eq!(report.ledger.sent, 50);
    let firings = Ending::Stopped(Stopped::Firings(whole.firings));
    check(FLAPPING, whole, firings);
    check(UNDONE, whole, firings);
    let few = Bounds {
        records: 100_000,
        ..whole
    };
    check(SENDING, few, Ending::Stopped(Stopped::Records(100_000)));
}

#[test]
fn more_records_than_a_producer_may_hold_are_refused() {
    let again = SENDING.replace("5s", "5001ms");
    let few = Bounds {
        records: 200_000,
        ..Bounds::default()
    };
    // The first million waits for buffer memory when the second is ordered.
    let starved = CLUSTER.replace("load =", "config = { \"buffer.memory\" = 20_000 }\nload =");
    let text = format!("{starved}{SENDING}{again}");
    let scenario = scenario::parse(&text).into_result().expect("it is good");
    let mut plan = RunPlan::of(Arc::new(scenario), 1);
    plan.bounds = few;
    plan.until = Some(5_002_000_000);
    let report = plan.run(|_, _| true);
    assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
    assert!(report.refused[0].contains("still to be sent"));
}

#[test]
fn a_session_says_why_it_stopped_and_can_go_back() {
    let mut session = Session::open(Recipe::of(format!("{CLUSTER}{FLAPPING}"))).expect("good");
    session.seek(20_000_000_000);
    let stopped = session.run().stopped().expect("it came to a bound");
    assert!(session.now() < 20_000_000_000, "the end was not reached");
    let words = stopped.to_string();
    assert!(words.contains("stopped at 10000 firings"), "{words}");
    let said = session.marks().into_iter().filter(|m| m.text == words);
    assert_eq!(said.count(), 1, "the log has it once");
    let (event, digest) = (session.event(), session.digest());
    assert!(session.step_back());
    assert_eq!(session.run().stopped(), None);
    session.seek(u64::MAX);
    assert_eq!((session.event(), session.digest()), (event, digest));
}

#[test]
fn what_would_surely_be_too_much_is_refused_before_it_runs() {
    let check = |from: &str, to: &str, code: &str| {
        let text = format!("{CLUSTER}{SENDING}").replace(from, to);
        let problems = scenario::diagnose(&text);
        let codes: Vec<_> = problems.iter().map(|p| p.code).collect();
        assert_eq!(codes, [code], "{to}");
    };
    check("rate = 100", "rate = 1_000_000", "limit-records");
    check("1_000_000", "1_000_001", "bad-value");
}
