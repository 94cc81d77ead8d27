//! Groups of the consumer protocol (KIP-848) in whole clusters, told as scenarios: who owns what,
//! who stops and who does not, and what faults do to it.

mod support;

use sim_core::scenario;
use support::{expecting, holds};

const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "110s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 3 }

[[kafka.topic]]
name = "orders"
partitions = 6
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 60, keys = { kind = "uniform", count = 100 }, start = "3s", stop = "90s" }
"#;

const NOTHING_WRONG: &[&str] = &[
    "ledger.lost == 0",
    "ledger.skipped == 0",
    "invariants.violated == 0 @ always",
];

/// A member with these settings beside those that all have.
fn member(name: &str, start: &str, config: &str) -> String {
    format!(
        "[[kafka.consumer]]\nname = \"{name}\"\ntopic = \"orders\"\nstart = \"{start}\"\n\
         config = {{ group.id = \"billing\", group.protocol = \"consumer\", \
         auto.offset.reset = \"earliest\"{}{config} }}\n",
        if config.is_empty() { "" } else { ", " }
    )
}

fn three(config: &str) -> String {
    let each = ["m1", "m2", "m3"].map(|name| member(name, "0s", config));
    each.concat()
}

/// Runs the cluster with these members and this timeline; every expectation must hold.
fn check(name: &str, members: &str, timeline: &str, expect: &[&str]) {
    check_in(CLUSTER, name, members, timeline, expect);
}

fn check_in(cluster: &str, name: &str, members: &str, timeline: &str, expect: &[&str]) {
    let text = format!("{cluster}{members}{timeline}\n");
    holds(
        name,
        &(text + &expecting(expect) + &expecting(NOTHING_WRONG)),
    );
}

#[test]
fn a_group_forms_reads_everything_once_and_commits() {
    for assignor in ["uniform", "range"] {
        let expect = [
            "m1.owns == 2 and m2.owns == 2 and m3.owns == 2 @ 30s",
            "group.billing.stable and group.billing.members == 3 @ 30s",
            "m1.epoch == group.billing.epoch and m3.epoch == m2.epoch @ 30s",
            "ledger.processed == ledger.acknowledged",
            "ledger.reprocessed == 0",
            "group.billing.orders-0.lag == 0 and group.billing.orders-5.lag == 0",
        ];
        let members = three(&format!("group.remote.assignor = \"{assignor}\""));
        check(assignor, &members, "", &expect);
    }
}

#[test]
fn only_what_moves_stops_when_somebody_comes() {
    // The newcomer gets two of six; the others go on with what they keep.
    let members = [
        member("m1", "0s", ""),
        member("m2", "0s", ""),
        member("m3", "40s", ""),
    ];
    let expect = [
        "m1.owns == 3 and m2.owns == 3 @ 39s",
        "m1.owns < 2 or m2.owns < 2 @ at = \"never\"\nafter = \"30s\"\nuntil = \"110s\"",
        "m1.owns == 2 and m2.owns == 2 and m3.owns == 2 @ at = \"eventually\"\nafter = \"40s\"\nby = \"56s\"",
        "ledger.reprocessed == 0",
        "ledger.processed == ledger.acknowledged",
    ];
    check("join", &members.concat(), "", &expect);
}

#[test]
fn a_crashed_member_is_missed_after_its_session_and_nothing_is_lost() {
    let crash = "[[timeline]]\nat = \"30s\"\ndo = \"crash\"\nnode = \"m1\"\n";
    let expect = [
        "group.billing.members == 3 @ 69s",
        "group.billing.members == 2 @ at = \"eventually\"\nafter = \"70s\"\nby = \"76s\"",
        "m2.owns == 3 and m3.owns == 3 @ 90s",
        "ledger.processed == ledger.acknowledged",
    ];
    check("crash", &three(""), crash, &expect);
}

#[test]
fn a_closed_member_is_missed_at_once_and_nothing_is_read_twice() {
    let close = "[[timeline]]\nat = \"30s\"\ndo = \"close-consumer\"\nnode = \"m1\"\n";
    let expect = [
        "group.billing.members == 2 @ 30.1s",
        "m2.owns == 3 and m3.owns == 3 @ at = \"eventually\"\nafter = \"30s\"\nby = \"37s\"",
        "ledger.processed == ledger.acknowledged",
        "ledger.reprocessed == 0",
    ];
    check("close", &three(""), close, &expect);
}

#[test]
fn the_group_outlives_its_coordinator() {
    let crash =
        "[[timeline]]\nat = \"40s\"\ndo = \"crash\"\nnode = \"group.billing.coordinator\"\n";
    let expect = [
        "group.billing.stable and group.billing.epoch == m1.epoch @ 39s",
        // Nobody is given anything else: the group was read from the log.
        "m1.owns != 2 or m2.owns != 2 or m3.owns != 2 @ at = \"never\"\nafter = \"30s\"",
        "group.billing.coordinator == none @ at = \"eventually\"\nafter = \"40s\"\nby = \"42s\"",
        "group.billing.stable and group.billing.members == 3 @ 60s",
        "ledger.processed == ledger.acknowledged",
    ];
    check("coordinator", &three(""), crash, &expect);
}

#[test]
fn who_slept_too_long_is_fenced_and_comes_back() {
    let pause = "[[timeline]]\nat = \"30s\"\ndo = \"pause\"\nnode = \"m1\"\nfor = \"55s\"\n";
    let config = "enable.auto.commit = false, application.commit = \"sync\", \
                  application.processing.us = 2_000, max.poll.records = 20";
    let expect = [
        "group.billing.members == 2 @ 80s",
        "m2.owns == 3 and m3.owns == 3 @ 84s",
        "m1.owns == 2 and m2.owns == 2 and m3.owns == 2 @ 105s",
        "ledger.processed == ledger.acknowledged",
    ];
    check("zombie", &three(config), pause, &expect);
}

#[test]
fn who_does_not_poll_leaves_and_the_next_poll_joins_again() {
    let stop = "[[timeline]]\nat = \"30s\"\ndo = \"stop-polling\"\nnode = \"m1\"\nfor = \"30s\"\n";
    let expect = [
        "group.billing.members == 3 @ 39s",
        "group.billing.members == 2 and m1.owns == 0 @ at = \"eventually\"\nafter = \"40s\"\nby = \"41s\"",
        "m2.owns == 3 and m3.owns == 3 @ 50s",
        "m1.owns == 2 and group.billing.stable @ 80s",
        "ledger.processed == ledger.acknowledged",
    ];
    check(
        "silent",
        &three("max.poll.interval.ms = 10_000"),
        stop,
        &expect,
    );
}

#[test]
fn a_static_member_that_was_closed_comes_back_to_its_partitions() {
    let members = [
        member("m1", "0s", "group.instance.id = \"one\""),
        member("m2", "0s", ""),
    ];
    let restart = "[[timeline]]\nat = \"40s\"\ndo = \"close-consumer\"\nnode = \"m1\"\n\
                   [[timeline]]\nat = \"42s\"\ndo = \"crash\"\nnode = \"m1\"\nfor = \"3s\"\n";
    let crash = "[[timeline]]\nat = \"40s\"\ndo = \"crash\"\nnode = \"m1\"\nfor = \"5s\"\n";
    let back = [
        // The others notice nothing.
        "m2.owns != 3 @ at = \"never\"\nafter = \"35s\"",
        "m1.owns == 3 @ 50s",
        "ledger.processed == ledger.acknowledged",
    ];
    check("closed", &members.concat(), restart, &back);
    // One that crashed has not given its instance id back: UNRELEASED_INSTANCE_ID ends the new
    // process, and its partitions wait until the session is over.
    let refused = [
        "m1.owns == 0 and m2.owns == 3 @ 80s",
        "m2.owns == 6 @ 100s",
        "ledger.processed == ledger.acknowledged",
    ];
    check("crashed", &members.concat(), crash, &refused);
}

#[test]
fn an_assignor_that_the_coordinator_lacks_ends_the_consumer() {
    let members = [
        member("m1", "0s", ""),
        member("m2", "20s", "group.remote.assignor = \"uniform\""),
    ];
    let expect = [
        "m2.owns == 0 and m1.owns == 6",
        "group.billing.members == 1",
    ];
    let only = "group.consumer.assignors = \"range\", offsets";
    let cluster = CLUSTER.replace("offsets", only);
    check_in(&cluster, "assignor", &members.concat(), "", &expect);
}

#[test]
fn what_kafka_refuses_is_refused_at_its_line() {
    let problems = |config: &str| -> Vec<(String, String)> {
        let text = format!("{CLUSTER}{}", member("m1", "0s", config));
        let found = scenario::parse(&text).into_result();
        let found = found.expect_err("it is refused");
        let each = found.iter().map(|it| {
            let at = text.get(it.span.clone()).unwrap_or_default();
            (it.message.clone(), at.to_owned())
        });
        each.collect()
    };
    for (key, value) in [
        ("session.timeout.ms", "10_000"),
        ("heartbeat.interval.ms", "1_000"),
        ("partition.assignment.strategy", "\"range\""),
    ] {
        let message = format!("{key} cannot be set when group.protocol=CONSUMER");
        let found = problems(&format!("{key} = {value}"));
        assert_eq!(found, [(message, value.to_owned())]);
    }
}
