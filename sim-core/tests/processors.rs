//! Applications that read one topic and write to another, in whole clusters.

use sim_core::check::{RunPlan, RunReport};
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::sync::Arc;

const CRASH: &str = include_str!("../../scenarios/process-then-crash.toml");

const TRANSACTIONS: &str = include_str!("../../scenarios/process-in-transactions.toml");

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

/// A second application in the same group, and a second partition.
fn two_of_them() -> String {
    let (_, own) = TRANSACTIONS.split_once("[[kafka.processor]]").expect("one");
    let (own, _) = own.split_once("[[kafka.consumer]]").expect("a reader");
    let other = own.replace("biller", "clerk");
    TRANSACTIONS
        .replace(
            "[[kafka.consumer]]",
            &format!("[[kafka.processor]]{other}[[kafka.consumer]]"),
        )
        .replace("partitions = 1\nrepl", "partitions = 2\nrepl")
        .replace("duration = \"60s\"", "duration = \"100s\"")
}

/// Exactly once, whatever fails: every input has one output that a reader of committed records sees.
#[test]
fn with_transactions_each_input_has_one_output_whatever_fails() {
    let once = [
        "ledger.outputs == 1000 and ledger.repeated-outputs == 0",
        "invoices-0.open-transactions == 0",
    ];
    let action = |text: &str, changed: &str| {
        let (head, _) = text.split_once("[[timeline]]").expect("a timeline");
        format!("{head}{changed}\n[[expect]]")
    };
    let entry = |at: &str, what: &str, span: &str| {
        format!("[[timeline]]\nat = \"{at}\"\n{what}\nfor = \"{span}\"\n")
    };
    let versions = [
        "\"transaction.version\" = 2\n\"offsets.topic.num",
        "\"transaction.version\" = 1\n\"offsets.topic.num",
    ];
    let two = two_of_them();
    let cases = [
        (
            "a coordinator dies",
            TRANSACTIONS,
            entry("20s", "do = \"crash\"\nnode = \"b1\"", "8s"),
        ),
        (
            "a coordinator dies, and then the application",
            TRANSACTIONS,
            entry("20s", "do = \"crash\"\nnode = \"b1\"", "14s")
                + &entry("33s", "do = \"crash\"\nnode = \"biller\"", "2s"),
        ),
        (
            "out of reach",
            TRANSACTIONS,
            entry("20s", "do = \"cut\"\nfrom = \"biller\"\nto = \"b1\"", "4s"),
        ),
        (
            "a zombie",
            &two,
            entry("23030ms", "do = \"pause\"\nnode = \"biller\"", "20s"),
        ),
        (
            "all at once",
            &two,
            entry("20030ms", "do = \"crash\"\nnode = \"biller\"", "3s")
                + &entry("20500ms", "do = \"crash\"\nnode = \"b2\"", "6s")
                + &entry("21030ms", "do = \"crash\"\nnode = \"clerk\"", "3s"),
        ),
    ];
    for (name, story, failures) in cases {
        for version in versions {
            let name = format!("{name}, {version}");
            let change = [("\"offsets.topic.num", version)];
            check(&name, &action(story, &failures), &change, &once);
        }
    }
}

/// The zombie's transaction is refused because its group has gone on, and not by luck.
#[test]
fn a_zombies_offsets_are_refused_by_its_group() {
    let two = two_of_them();
    let (head, _) = two.split_once("[[timeline]]").expect("a timeline");
    let pause =
        "[[timeline]]\nat = \"23030ms\"\ndo = \"pause\"\nnode = \"biller\"\nfor = \"20s\"\n";
    // transaction.timeout.ms is a minute: nothing but the generation stands in its way.
    let expect = [
        "biller.aborts >= 1 and biller.commits > 0",
        "ledger.outputs == 1000 and ledger.repeated-outputs == 0",
    ];
    let story = format!("{head}{pause}[[expect]]");
    check("zombie", &story, &[], &expect);
}

/// Nothing is left to do for a producer that was fenced, and nothing wakes it: least of all a batch
/// that would have expired by now.
#[test]
fn a_producer_that_was_fenced_rests() {
    let two = two_of_them().replace("start = \"15s\"\n\n[", "start = \"4s\"\n\n[");
    let (head, _) = two.split_once("[[timeline]]").expect("a timeline");
    let change = [
        // Both have the same one, so that the second to begin fences the first.
        ("\"clerk-1\"", "\"biller-1\""),
        (
            "\"transactional.id\"",
            "\"delivery.timeout.ms\" = 5_000\n\"request.timeout.ms\" = 4_000\n\"transactional.id\"",
        ),
    ];
    let expect = [
        "biller.ended or clerk.ended",
        "ledger.outputs == 1000 and ledger.repeated-outputs == 0",
    ];
    let report = check("fenced", &format!("{head}[[expect]]"), &change, &expect);
    assert!(report.events < 200_000, "{} events", report.events);
}
