//! Share groups (KIP-932) in whole clusters, told as scenarios: more consumers than partitions,
//! records that come back, and who has what.

mod support;

use sim_core::check::RunReport;
use sim_core::scenario;
use support::{expecting, holds, reached};

const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "90s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 3, share.coordinator.state.topic.num.partitions = 3, share.auto.offset.reset = "earliest", group.share.record.lock.duration.ms = 15_000 }

[[kafka.topic]]
name = "orders"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 100, keys = { kind = "uniform", count = 100 }, start = "3s", stop = "20s" }
"#;

/// A member with these settings beside those that all have.
fn member(name: &str, config: &str) -> String {
    format!(
        "[[kafka.consumer]]\nname = \"{name}\"\ntopic = \"orders\"\n\
         config = {{ group.id = \"office\", group.protocol = \"share\", max.poll.records = 20, \
         application.processing.us = 20_000{}{config} }}\n",
        if config.is_empty() { "" } else { ", " }
    )
}

/// Runs the cluster with these members and this timeline; every expectation must hold.
fn check(name: &str, members: &str, timeline: &str, expect: &[&str]) {
    check_in(CLUSTER, name, members, timeline, expect);
}

fn check_in(
    cluster: &str,
    name: &str,
    members: &str,
    timeline: &str,
    expect: &[&str],
) -> RunReport {
    let text = format!("{cluster}{members}{timeline}\n");
    holds(name, &(text + &expecting(expect)))
}

#[test]
fn more_members_than_partitions_all_work() {
    // 1,700 records of 40 ms are 68 s of work: two members would not be done by 30 s.
    let slow = |it| member(it, "").replace("20_000", "40_000");
    let four = ["m1", "m2", "m3", "m4"].map(slow).concat();
    let expect = [
        "m1.owns == 1 and m2.owns == 1 and m3.owns == 1 and m4.owns == 1 @ 15s",
        "group.office.members == 4 and group.office.stable @ 15s",
        "m1.processed > 100 and m2.processed > 100 and m3.processed > 100 and m4.processed > 100",
        "ledger.processed == ledger.acknowledged @ 30s",
        "ledger.reprocessed == 0",
        "group.office.orders-0.start == orders-0.hw and group.office.orders-1.start == orders-1.hw",
    ];
    check("four", &four, "", &expect);
    let two = ["m1", "m2"].map(slow).concat();
    let expect = ["ledger.processed < ledger.acknowledged @ 30s"];
    check("two", &two, "", &expect);
}

#[test]
fn what_a_crashed_member_had_comes_back_at_once_and_what_a_paused_one_had_with_its_lock() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let end = "ledger.processed == ledger.acknowledged";
    let crash = "[[timeline]]\nat = \"12s\"\ndo = \"crash\"\nnode = \"m1\"\n";
    check("crash", &two, crash, &[end, "m2.owns == 1 @ 50s"]);
    // It wakes before its session ends, but not before its locks do: another did its work.
    let pause = "[[timeline]]\nat = \"12s\"\ndo = \"pause\"\nnode = \"m1\"\nfor = \"25s\"\n";
    let expect = [end, "ledger.reprocessed > 0", "group.office.members == 2"];
    check("pause", &two, pause, &expect);
}

#[test]
fn a_record_that_fails_is_delivered_five_times_and_given_up() {
    let config = "share.acknowledgement.mode = \"explicit\", application.release.every = 100";
    let two = ["m1", "m2"].map(|it| member(it, config)).concat();
    let expect = [
        // What is not done was handed out and given up, not passed over.
        "ledger.delivered == ledger.acknowledged and ledger.skipped == 0",
        // Some are never done, and yet nothing behind them waits.
        "ledger.processed < ledger.acknowledged",
        "ledger.processed > 1600 @ 58s",
        "ledger.reprocessed == 0",
        "group.office.orders-0.start == orders-0.hw and group.office.orders-1.start == orders-1.hw",
    ];
    check("poison", &two, "", &expect);
}

#[test]
fn a_record_that_is_rejected_comes_to_nobody_again() {
    let one = |every: &str| {
        let config = format!("share.acknowledgement.mode = \"explicit\", application.{every}");
        member("m1", &config)
    };
    let done = "group.office.orders-0.start == orders-0.hw \
                and group.office.orders-1.start == orders-1.hw";
    // One delivery of each record, and of a hundred one is not processed.
    let once = [
        "ledger.processed > 1670 and ledger.processed < 1690",
        "m1.delivered == 1700 and ledger.acknowledged == 1700 and ledger.skipped == 0",
        done,
    ];
    check("rejected", &one("reject.every = 100"), "", &once);
    let again = ["m1.delivered > 1760", done];
    check("released", &one("release.every = 100"), "", &again);
    // It is up to the application to say so.
    let all = ["ledger.processed == 1700", done];
    check(
        "implicit",
        &member("m1", "application.reject.every = 100"),
        "",
        &all,
    );
}

#[test]
fn a_closed_member_gives_back_what_it_had() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let close = "[[timeline]]\nat = \"12s\"\ndo = \"close-consumer\"\nnode = \"m1\"\n";
    let expect = [
        "group.office.members == 1 @ 12.1s",
        "m1.owns == 0 and m2.owns == 2 @ 20s",
        "ledger.processed == ledger.acknowledged",
        "ledger.reprocessed == 0",
    ];
    check("close", &two, close, &expect);
}

#[test]
fn a_new_coordinator_is_told_again_who_is_there() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let crash = "[[timeline]]\nat = \"22s\"\ndo = \"crash\"\nnode = \"group.office.coordinator\"\nfor = \"5s\"\n";
    let expect = ["group.office.members == 2 and group.office.stable @ 58s"];
    check("coordinator", &two, crash, &expect);
}

/// Coordinators let go of what newer snapshots replace, and who reads the rest knows as much: every
/// broker starts again, and nothing that is done is done again.
#[test]
fn what_is_pruned_is_not_missed() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let crash = |node: &str| {
        format!("[[timeline]]\nat = \"40s\"\ndo = \"crash\"\nnode = \"{node}\"\nfor = \"5s\"\n")
    };
    let all = ["b1", "b2", "b3"].map(crash).concat();
    let expect = [
        "group.office.orders-0.start > 500 and group.office.orders-1.start > 500 @ 54s",
        "ledger.reprocessed == 0 @ always",
        "ledger.processed == ledger.acknowledged and ledger.acknowledged == 1700",
    ];
    for (interval, prunes) in [("5_000", true), ("300_000", false)] {
        let settings = format!(
            "config = {{ share.coordinator.snapshot.update.records.per.snapshot = 7, \
             share.coordinator.state.topic.prune.interval.ms = {interval},"
        );
        let cluster = CLUSTER.replace("config = {", &settings);
        let report = check_in(&cluster, interval, &two, &all, &expect);
        assert_eq!(reached(&report, "share-state-pruned") > 2, prunes);
    }
}

/// Leaders die when everything is acknowledged: nothing comes again, and the group goes on.
#[test]
fn a_new_leader_knows_what_is_done() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let more = "[[timeline]]\nat = \"55s\"\ndo = \"send\"\nnode = \"shop\"\nrecords = 300\n";
    let one =
        "[[timeline]]\nat = \"40s\"\ndo = \"crash\"\nnode = \"orders-0.leader\"\nfor = \"30s\"\n";
    let all = ["b1", "b2", "b3"].map(|it| one.replace("orders-0.leader", it).replace("30s", "5s"));
    for (name, crash) in [("one", one.to_owned()), ("all", all.concat())] {
        let expect = [
            "group.office.orders-0.start == orders-0.hw and orders-0.hw > 500 @ 39s",
            "group.office.orders-0.start > 500 and group.office.orders-1.start > 500 @ 54s",
            "ledger.reprocessed == 0 @ always",
            "ledger.processed == ledger.acknowledged and ledger.acknowledged == 2000",
            "group.office.orders-0.start == orders-0.hw and group.office.orders-1.start == orders-1.hw",
        ];
        check(name, &two, &format!("{crash}{more}"), &expect);
    }
}

/// One dies in the middle of the work: what was in somebody's hands is done again, nothing else,
/// whether the coordinator writes a snapshot each time or next to never.
#[test]
fn what_was_in_hand_at_a_failover_comes_back() {
    let two = ["m1", "m2"].map(|it| member(it, "")).concat();
    let crash =
        "[[timeline]]\nat = \"12s\"\ndo = \"crash\"\nnode = \"orders-0.leader\"\nfor = \"20s\"\n";
    for updates in ["0", "7", "500"] {
        let key = "share.coordinator.snapshot.update.records.per.snapshot";
        let expect = [
            // Two members with a poll's records each, and a fetch's besides.
            "ledger.reprocessed < 80",
            "ledger.processed == ledger.acknowledged",
            "group.office.orders-0.start == orders-0.hw and group.office.orders-1.start == orders-1.hw",
        ];
        let cluster = CLUSTER.replace("config = {", &format!("config = {{ {key} = {updates},"));
        assert_ne!(cluster, CLUSTER);
        check_in(&cluster, updates, &two, crash, &expect);
    }
}

/// Members of one group that read two topics: each has all of its own topic, and nothing else.
#[test]
fn members_of_one_group_may_read_different_topics() {
    let second = CLUSTER.split_once("[[kafka.topic]]").expect("a topic").1;
    let second = format!("[[kafka.topic]]{second}");
    let second = second.replace("orders", "returns").replace("shop", "desk");
    let of_returns = |name| member(name, "").replace("orders", "returns");
    let members = second + &member("m1", "") + &of_returns("m2") + &of_returns("m3");
    let crash = "[[timeline]]\nat = \"12s\"\ndo = \"crash\"\nnode = \"m3\"\n";
    let expect = [
        "m1.owns == 2 and m2.owns == 1 and m3.owns == 1 @ 11s",
        "m1.owns == 2 and m2.owns == 2 and group.office.members == 2 @ 70s",
        "ledger.processed == ledger.acknowledged and ledger.acknowledged == 3400",
        "group.office.orders-0.start == orders-0.hw and group.office.orders-1.start == orders-1.hw",
        "group.office.returns-0.start == returns-0.hw and group.office.returns-1.start == returns-1.hw",
        "returns-0.hw > 500 and orders-0.hw > 500",
    ];
    check("two topics", &members, crash, &expect);
}

#[test]
fn what_a_share_consumer_refuses_is_refused_at_its_line() {
    let text = format!("{CLUSTER}{}", member("m1", "enable.auto.commit = false"));
    let found = scenario::parse(&text).into_result();
    let found = found.expect_err("it is refused");
    let messages: Vec<&str> = found.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        messages,
        ["enable.auto.commit cannot be set when using a share group"]
    );
}
