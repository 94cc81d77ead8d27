//! Applications that read one topic and write to another, in whole clusters.

mod support;

use sim_core::check::RunReport;
use support::{changed, expecting, reached, run, told};

const CRASH: &str = include_str!("../../scenarios/process-then-crash.toml");

const TRANSACTIONS: &str = include_str!("../../scenarios/process-in-transactions.toml");

/// Runs a story with these replacements and these expectations in place of its own.
fn check(name: &str, story: &str, change: &[(&str, &str)], expect: &[&str]) -> RunReport {
    let (text, _) = story.split_once("[[expect]]").expect("a story expects");
    told(name, text, change, expect)
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

/// Two applications of one group of the consumer protocol, of which one works for a second on what
/// a poll returned; `when` they call `groupMetadata()`.
fn of_the_consumer_protocol(when: &str, what: &str) -> String {
    let two = two_of_them();
    let (head, _) = two.split_once("[[timeline]]").expect("a timeline");
    let session =
        format!("\"group.protocol\" = \"consumer\"\n\"application.group.metadata\" = \"{when}\"");
    let brokers = "\"group.consumer.min.session.timeout.ms\" = 6000\n\
                   \"group.consumer.session.timeout.ms\" = 6000\n\
                   \"group.consumer.min.heartbeat.interval.ms\" = 1000\n\
                   \"group.consumer.heartbeat.interval.ms\" = 1000\n\"offsets.topic.num";
    let change = [
        ("\"session.timeout.ms\" = 10_000", &*session),
        ("\"offsets.topic.num", brokers),
    ];
    changed("consumer protocol", head, &change) + what + "\n[[expect]]"
}

/// What a member has to give up it keeps until its application polls again, with its work done.
#[test]
fn a_partition_that_moves_takes_no_work_with_it() {
    for when in ["commit", "poll"] {
        let story = of_the_consumer_protocol(when, "");
        // The clerk comes while the biller works on a hundred inputs of both partitions.
        let late = story.replacen("start = \"15s\"", "start = \"17300ms\"", 2);
        let late = late.replacen("start = \"17300ms\"", "start = \"15s\"", 1);
        let expect = [
            "biller.owns == 2 @ 17s",
            "biller.owns == 1 and clerk.owns == 1 @ 20s",
            "biller.aborts == 0 and clerk.aborts == 0",
            "ledger.outputs == 1000 and ledger.repeated-outputs == 0",
        ];
        check(when, &late, &[], &expect);
    }
}

/// A member that stood still is fenced and joins again by itself while its application goes on with
/// the work in hand. Its offsets are refused if they name the epoch of their records. Under the
/// newest epoch they pass, though the partition was another's meanwhile.
#[test]
fn a_zombie_that_is_back_is_known_by_the_epoch_of_its_records() {
    let pause = "[[timeline]]\nwhen = \"biller.processed == 250\"\ndo = \"pause\"\nnode = \"biller\"\nfor = \"12s\"\n";
    let told_apart = of_the_consumer_protocol("poll", pause);
    let expect = [
        "biller.aborts == 1",
        "ledger.outputs == 1000 and ledger.repeated-outputs == 0",
    ];
    let report = check("poll", &told_apart, &[], &expect);
    assert!(reached(&report, "member-fenced") > 0);

    let taken_for_itself = of_the_consumer_protocol("commit", pause);
    let (text, _) = taken_for_itself.split_once("[[expect]]").expect("one");
    let expect = ["biller.aborts == 0 and ledger.repeated-outputs > 0"];
    let report = run("commit", &(text.to_owned() + &expecting(&expect)));
    support::assert_held("commit", &report);
    let mut broken = report.violations.iter();
    assert!(broken.any(|it| it.starts_with("ExactlyOnce")));
}
