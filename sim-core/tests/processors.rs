//! Applications that read one topic and write to another, in whole clusters.

use sim_core::check::{RunPlan, RunReport};
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::sync::Arc;

const CRASH: &str = include_str!("../../scenarios/process-then-crash.toml");

/// Runs a story with these replacements and these expectations in place of its own.
fn check(name: &str, story: &str, change: &[(&str, &str)], expect: &[&str]) -> RunReport {
    let (mut text, _) = story.split_once("[[expect]]").expect("a story expects");
    let changed = change.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{name}: {from}");
        text.replace(from, to)
    });
    text = &changed;
    let expect = expect
        .iter()
        .map(|that| format!("[[expect]]\nthat = '{that}'\n"));
    let text = format!("{text}{}", expect.collect::<String>());
    let scenario = scenario::parse(&text)
        .into_result()
        .unwrap_or_else(|problems| panic!("{}", scenario::render(&problems, name, &text)));
    let seed = scenario.seed;
    let report = RunPlan::of(Arc::new(scenario), seed).run(|_, _| true);
    let open: Vec<_> = report
        .verdicts
        .iter()
        .filter(|verdict| verdict.state != VerdictState::Held)
        .collect();
    assert!(
        open.is_empty() && report.violations.is_empty() && report.refused.is_empty(),
        "{name}: {open:#?} {:?} {:?}",
        report.violations,
        report.refused
    );
    report
}

#[test]
fn when_an_application_commits_decides_what_a_crash_repeats_or_skips() {
    let commit = "\"application.commit\" = \"sync\"";
    check(
        "without a crash",
        CRASH,
        &[("do = \"crash\"", "do = \"pause\"")],
        &["ledger.outputs == 1000", "ledger.repeated-outputs == 0"],
    );
    check(
        "before",
        CRASH,
        &[(commit, "\"application.commit\" = \"before\"")],
        &[
            "ledger.outputs < 960 and ledger.outputs >= 940",
            "ledger.repeated-outputs == 0",
            "ledger.skipped == 50",
        ],
    );
}

#[test]
fn a_broker_that_dies_costs_an_application_time_and_no_output() {
    let change = [
        (
            "do = \"crash\"\nnode = \"biller\"",
            "do = \"crash\"\nnode = \"b1\"",
        ),
        ("for = \"5s\"", "for = \"8s\""),
    ];
    check(
        "broker",
        CRASH,
        &change,
        &[
            "ledger.outputs == 1000",
            "ledger.repeated-outputs == 0",
            "ledger.failed == 0 and ledger.lost == 0",
        ],
    );
}
