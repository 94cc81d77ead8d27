//! Members that subscribe to several topics, by each assignor and by both protocols: who gets what,
//! while members crash and come back and a topic grows.

mod support;

use support::{reached, told};

const DESK: &str = r#"
strandline = 1
title = "t"
duration = "110s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 1 }

[[kafka.topic]]
name = "orders"
partitions = 3
replication-factor = 3

[[kafka.topic]]
name = "returns"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
config = { metadata.max.age.ms = 5_000 }
load = { kind = "constant", rate = 60, start = "3s", stop = "90s" }

[[kafka.producer]]
name = "post"
topic = "returns"
config = { metadata.max.age.ms = 5_000 }
load = { kind = "constant", rate = 40, start = "3s", stop = "90s" }

[[kafka.group]]
id = "desk"
topics = ["returns", "orders"]
members = ["m1", "m2"]
config = { auto.offset.reset = "earliest", metadata.max.age.ms = 5_000, auto.commit.interval.ms = 1_000 }

[[kafka.consumer]]
name = "m3"
topic = "orders"
group = "desk"
start = "20s"

[[timeline]]
at = "40s"
do = "crash"
node = "m1"
for = "5s"

[[timeline]]
at = "60s"
do = "create-partitions"
topic = "returns"
count = 4

[[timeline]]
at = "75s"
do = "crash"
node = "returns-1.leader"
for = "10s"

[[timeline]]
at = "98s"
do = "close-consumer"
node = "m2"
"#;

/// All of it by one setting of the members; five partitions at first, seven in the end.
fn check(name: &str, setting: &str, expect: &[&str]) {
    let config = format!("commit.interval.ms = 1_000, {setting} }}");
    let common = [
        "group.desk.members == 2 and group.desk.stable @ 19s",
        "group.desk.members == 3 and group.desk.stable @ 39s",
        "group.desk.members == 3 and group.desk.stable @ 97s",
        "group.desk.orders-0.lag == 0 and group.desk.orders-1.lag == 0 and group.desk.orders-2.lag == 0",
        "group.desk.returns-0.lag == 0 and group.desk.returns-1.lag == 0",
        "m2.processed > 0 and m1.processed > 0",
        "ledger.processed == ledger.acknowledged",
        "ledger.skipped == 0 and ledger.lost == 0",
        "invariants.violated == 0 @ always",
    ];
    let change = [("commit.interval.ms = 1_000 }", &*config)];
    let report = told(name, DESK, &change, &[&common[..], expect].concat());
    assert!(reached(&report, "partition-assigned") >= 12, "{name}");
}

#[test]
fn members_of_several_topics_share_all_of_them() {
    let strategy = |name: &str| {
        format!("session.timeout.ms = 10_000, partition.assignment.strategy = \"{name}\"")
    };
    // Range: of three orders the first two members get one more, of two returns both get one.
    let range = [
        "m1.owns == 3 and m2.owns == 2 or m1.owns == 2 and m2.owns == 3 @ 19s",
        "m1.orders-0.position >= 0 or m1.orders-1.position >= 0 or m1.orders-2.position >= 0 @ 19s",
        "m1.returns-0.position >= 0 or m1.returns-1.position >= 0 @ 19s",
        "m1.owns == 2 and m2.owns == 2 and m3.owns == 1 @ 39s",
        "m1.owns == 3 and m2.owns == 3 and m3.owns == 1 @ 97s",
    ];
    check("range", &strategy("range"), &range);
    for name in ["roundrobin", "sticky", "cooperative-sticky"] {
        let seven = "m1.owns >= 2 and m2.owns >= 2 and m3.owns >= 1 @ 97s";
        check(name, &strategy(name), &[seven]);
    }
}

#[test]
fn members_of_several_topics_share_them_by_the_consumer_protocol() {
    let protocol = "group.protocol = \"consumer\"";
    let five = "m1.owns <= 2 and m2.owns <= 2 and m3.owns >= 1 and m3.owns <= 2 @ 39s";
    check("uniform", protocol, &[five]);
    let range = format!("{protocol}, group.remote.assignor = \"range\"");
    let three = "m1.owns == 2 and m2.owns == 2 and m3.owns == 1 @ 39s";
    check("range", &range, &[three]);
}
