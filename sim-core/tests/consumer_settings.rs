//! Settings of consumers whose effect shows in a whole cluster alone: how long a fetch may wait and
//! for how much, a reset by age, `commitAsync()`, and static members of classic groups.

mod support;

use support::told;

/// A hundred records a second for half a minute.
const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "45s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 1 }

[[kafka.topic]]
name = "orders"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 100, start = "3s", stop = "33s" }

"#;

/// Runs the cluster with these consumers, each with a line of further keys and its settings.
fn check(name: &str, consumers: &[(&str, &str, &str)], timeline: &str, expect: &[&str]) {
    let each = consumers.iter().map(|(name, more, config)| {
        format!(
            "[[kafka.consumer]]\nname = \"{name}\"\ntopic = \"orders\"\n{more}\n\
             config = {{ {config} }}\n\n"
        )
    });
    let text = CLUSTER.to_owned() + &each.collect::<String>() + timeline + "\n";
    told(name, &text, &[], expect);
}

/// A fetch is answered as soon as `fetch.min.bytes` are there, and after `fetch.max.wait.ms` at the
/// latest: who asks for more than comes lags by what comes meanwhile, and reads it all the same.
#[test]
fn a_fetch_waits_for_so_much_and_no_longer() {
    let consumers = [
        ("quick", "", "auto.offset.reset = \"earliest\""),
        (
            "patient",
            "",
            "auto.offset.reset = \"earliest\", fetch.min.bytes = 1_000_000, \
             fetch.max.wait.ms = 5_000",
        ),
        (
            "heavy",
            "",
            "auto.offset.reset = \"earliest\", fetch.min.bytes = 5_000, fetch.max.wait.ms = 20_000",
        ),
    ];
    let expect = [
        "quick.delivered > 1650 @ 20s",
        "quick.orders-0.lag > 20 @ never",
        // Five seconds are 250 records of a partition.
        "patient.orders-0.lag > 220 @ eventually",
        "patient.orders-0.lag > 300 @ never",
        // 5,000 bytes are 50 records.
        "heavy.orders-0.lag > 30 @ at = \"eventually\"\nafter = \"10s\"\nby = \"30s\"",
        "heavy.orders-0.lag > 60 @ at = \"never\"\nafter = \"10s\"",
        "patient.delivered == 3000 and quick.delivered == 3000",
    ];
    check("fetch", &consumers, "", &expect);
}

/// Without an offset a consumer may begin where the records are so old (KIP-1106).
#[test]
fn a_reset_by_duration_begins_so_far_back() {
    let late = [(
        "late",
        "start = \"20s\"",
        "auto.offset.reset = \"by_duration:PT5S\"",
    )];
    // From 15 s to 33 s.
    let expect = ["late.delivered > 1750 and late.delivered < 1850"];
    check("reset", &late, "", &expect);
}

/// `commitAsync()` after the work: at least once, as with `commitSync()`.
#[test]
fn who_commits_without_waiting_repeats_little_and_skips_nothing() {
    let config = "group.id = \"billing\", auto.offset.reset = \"earliest\", \
                  session.timeout.ms = 6_000, enable.auto.commit = false, \
                  application.commit = \"async\", application.processing.us = 2_000";
    let crash = "[[timeline]]\nat = \"20s\"\ndo = \"crash\"\nnode = \"m1\"\n";
    let expect = [
        "ledger.processed == 3000 and ledger.skipped == 0 and ledger.reprocessed < 60",
        "group.billing.orders-0.lag == 0 and group.billing.orders-1.lag == 0",
        "m1.commit-failures == 0 and m2.commit-failures == 0",
    ];
    check(
        "async",
        &[("m1", "", config), ("m2", "", config)],
        crash,
        &expect,
    );
}

/// A static member (KIP-345) that is back within its session costs the group no rebalance; the same
/// member without `group.instance.id` costs it one.
#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let own = |instance: &str| {
        format!(
            "group.id = \"billing\", auto.offset.reset = \"earliest\", \
             session.timeout.ms = 10_000{instance}"
        )
    };
    let crash = "[[timeline]]\nat = \"20s\"\ndo = \"crash\"\nnode = \"m1\"\nfor = \"4s\"\n";
    let whole = "group.billing.stable and m1.owns == 1 and m2.owns == 1 @ 44s";
    let check = |name, instances: [&str; 2], expect: &[&str]| {
        let [one, two] = instances.map(own);
        check(
            name,
            &[("m1", "", &one), ("m2", "", &two)],
            crash,
            &[&[whole, "ledger.skipped == 0"], expect].concat(),
        );
    };
    let named = [
        ", group.instance.id = \"one\"",
        ", group.instance.id = \"two\"",
    ];
    check("static", named, &["group.billing.generation > 1 @ never"]);
    check("dynamic", [""; 2], &["group.billing.generation > 1"]);
}
