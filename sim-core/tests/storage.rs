//! What brokers keep and what they ration, in whole clusters: offsets that expire, the compacted log
//! of the groups' coordinators, quotas, partitions that move, the page
//! cache, tiered storage.

mod support;

use support::{reached, told as check};

const GROUP: &str = r#"
strandline = 1
title = "t"
duration = "150s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 1, offsets.retention.minutes = 1, offsets.retention.check.interval.ms = 10_000, offsets.topic.segment.bytes = 100_000 }

[[kafka.topic]]
name = "orders"
assignment = [["b2", "b3"]]

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 20, start = "3s", stop = "25s" }

[[kafka.consumer]]
name = "billing"
topic = "orders"
config = { group.id = "g", auto.offset.reset = "earliest", auto.commit.interval.ms = 500 }
"#;

/// With one more deed at the end of a scenario.
fn with(text: &str, deeds: &[(&str, &str, &str)]) -> String {
    let each = deeds.iter().map(|(at, verb, node)| {
        format!("[[timeline]]\nat = \"{at}\"\ndo = \"{verb}\"\nnode = \"{node}\"\n")
    });
    text.to_owned() + &each.collect::<String>()
}

/// KIP-211: the clock starts when the last member has left.
#[test]
fn offsets_expire_once_the_group_was_empty_for_long_enough() {
    let members = check(
        "a member stays",
        GROUP,
        &[],
        &["group.g.orders-0.committed == orders-0.hw"],
    );
    assert_eq!(reached(&members, "offset-expired"), 0);

    let left = with(GROUP, &[("40s", "close-consumer", "billing")]);
    let expect = [
        "group.g.orders-0.committed == orders-0.hw @ 98s",
        "group.g.orders-0.committed == none @ 115s",
        "group.g.generation == none @ 115s",
    ];
    let report = check("the member leaves", &left, &[], &expect);
    assert_eq!(reached(&report, "offset-expired"), 1);
    assert_eq!(reached(&report, "group-deleted"), 1);
}

/// A group of the consumer protocol has no such moment: its clock starts with each commit, and runs
/// for topics that no member subscribes to.
#[test]
fn offsets_of_the_consumer_protocol_expire_by_their_commit() {
    let protocol = |name: &str| {
        let to = format!(
            "group.protocol = \"{name}\", enable.auto.commit = false, application.commit = \"sync\""
        );
        [("auto.commit.interval.ms = 500".to_owned(), to)]
    };
    let run = |name: &str, story: &str, expect: &[&str]| {
        let change = protocol(name);
        let change = change.each_ref().map(|(from, to)| (&**from, &**to));
        check(name, story, &change, expect)
    };
    let stays = "group.g.orders-0.committed == orders-0.hw";
    run("consumer", GROUP, &[stays]);

    // The last commit is that of 25 s.
    let left = with(GROUP, &[("60s", "close-consumer", "billing")]);
    let modern = [
        "group.g.orders-0.committed == orders-0.hw @ 80s",
        "group.g.orders-0.committed == none @ 100s",
        "group.g.epoch == none @ 100s",
    ];
    let report = run("consumer", &left, &modern);
    assert_eq!(reached(&report, "offset-expired"), 1);
    assert_eq!(reached(&report, "group-deleted"), 1);
    let classic = [
        "group.g.orders-0.committed == orders-0.hw @ 115s",
        "group.g.orders-0.committed == none @ 135s",
    ];
    run("classic", &left, &classic);

    // Whoever reads the log next does not find it again.
    let deeds = [
        ("60s", "close-consumer", "billing"),
        ("110s", "crash", "b1"),
    ];
    let after = [
        "group.g.coordinator == b1 @ 80s",
        "group.g.orders-0.committed == none @ 140s",
        "group.g.epoch == none @ 140s",
    ];
    run("consumer", &with(GROUP, &deeds), &after);
}

const PENDING: &str = r#"
strandline = 1
title = "t"
duration = "150s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 1, offsets.retention.minutes = 1, offsets.retention.check.interval.ms = 10_000, transaction.state.log.num.partitions = 1 }

[[kafka.topic]]
name = "orders"
assignment = [["b2", "b3"]]

[[kafka.topic]]
name = "invoices"
assignment = [["b3", "b2"]]

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 20, start = "3s", stop = "25s" }

[[kafka.processor]]
name = "biller"
from = "orders"
to = "invoices"

[kafka.processor.consumer]
"group.id" = "g"
"auto.offset.reset" = "earliest"
"enable.auto.commit" = false
"session.timeout.ms" = 10_000

[kafka.processor.producer]
"transactional.id" = "biller-1"
"transaction.timeout.ms" = 900_000

[[timeline]]
at = "20s"
do = "link"
from = "biller"
to = "b1"
lose = ["EndTxn"]
for = "15s"

[[timeline]]
at = "30s"
do = "crash"
node = "biller"
"#;

/// An offset that a transaction may still replace does not expire, nor does the group.
#[test]
fn a_pending_offset_keeps_the_committed_one() {
    let open = "__consumer_offsets-0.open-transactions == 1";
    let kept = "group.g.orders-0.committed > 0";
    let at_35 = [open, kept].map(|it| format!("{it} @ 35s"));
    let expect = [&*at_35[0], &*at_35[1], open, kept, "group.g.generation > 0"];
    let report = check("pending", PENDING, &[], &expect);
    assert_eq!(reached(&report, "offset-expired"), 0);

    let ends = [("lose = [\"EndTxn\"]", "delay = \"1ms\"")];
    let expect = [
        "__consumer_offsets-0.open-transactions == 0",
        "group.g.orders-0.committed == none",
        "group.g.generation == none",
    ];
    let report = check("ended", PENDING, &ends, &expect);
    assert_eq!(reached(&report, "offset-expired"), 1);
}

/// The moment in which the group became empty stands in the log.
#[test]
fn another_coordinator_does_not_start_the_clock_anew() {
    let deeds = [("40s", "close-consumer", "billing"), ("70s", "crash", "b1")];
    let report = check(
        "the coordinator dies",
        &with(GROUP, &deeds),
        &[],
        &[
            "group.g.coordinator == b1 @ 69s",
            "group.g.coordinator == b2 @ 95s",
            "group.g.orders-0.committed == orders-0.hw @ 98s",
            "group.g.orders-0.committed == none @ 115s",
        ],
    );
    assert_eq!(reached(&report, "offset-expired"), 1);
}

/// A coordinator that reads a compacted log finds what the one before it had.
#[test]
fn offsets_outlive_the_compaction_of_their_log() {
    let change = [
        (
            "segment.bytes = 100_000",
            "segment.bytes = 1_000, log.cleaner.backoff.ms = 1_000",
        ),
        ("minutes = 1,", "minutes = 10_080,"),
        ("stop = \"25s\"", "stop = \"60s\""),
    ];
    let expect = [
        "group.g.coordinator == b1 @ 69s",
        "group.g.orders-0.lag == 0 @ 69s",
        "group.g.coordinator == b2 @ 90s",
        "group.g.orders-0.lag == 0 @ 90s",
        "group.g.members == 1 @ 90s",
        "ledger.compacted == 0",
    ];
    let text = with(GROUP, &[("70s", "crash", "b1")]);
    let report = check("compacted", &text, &change, &expect);
    assert!(reached(&report, "log-compacted") >= 3);
    assert!(reached(&report, "compaction-superseded") >= 3);
    assert_eq!(reached(&report, "group-generation"), 1, "no rebalance");
}

const QUOTA: &str = r#"
strandline = 1
title = "t"
duration = "120s"

[kafka]
brokers = 1
controllers = 1

[[kafka.topic]]
name = "orders"
assignment = [["b1"]]

[[kafka.producer]]
name = "shop"
topic = "orders"
config = { linger.ms = 100, acks = 1 }
load = { kind = "constant", rate = 20, record-size = 1000, start = "5s", stop = "65s" }

[[kafka.consumer]]
name = "billing"
topic = "orders"
config = { auto.offset.reset = "earliest", max.partition.fetch.bytes = 10_000 }
"#;

/// Story S34: at twice its quota a client waits until its rate is the quota; nothing is dropped.
#[test]
fn a_client_over_its_quota_is_slowed_down_and_loses_nothing() {
    let free = check(
        "no quota",
        QUOTA,
        &[],
        &["shop.pending == 0 @ 66s", "shop.throttled == 0s"],
    );
    assert_eq!(reached(&free, "client-throttled"), 0);

    // 20 kB/s for 60 s against 10 kB/s (and the first ten windows free): half of it is late.
    let quota = "\n[[kafka.quota]]\nclient = \"shop\"\nconfig = { producer_byte_rate = 10_000 }\n";
    let expect = [
        "shop.pending > 200 @ 65s",
        "shop.acknowledged > 550 @ 65s",
        "shop.acknowledged < 750 @ 65s",
        "shop.throttled > 20s",
        "billing.throttled == 0s",
        "shop.failed == 0",
        "ledger.lost == 0",
        "billing.delivered == shop.sent",
    ];
    let change = [("acks = 1 }", "acks = 1, delivery.timeout.ms = 120_000 }")];
    let produced = check("a producer", &(QUOTA.to_owned() + quota), &change, &expect);
    assert!(reached(&produced, "client-throttled") > 10);

    // The quota of everybody, set while they run, and only of reading.
    let fetch = "[[timeline]]\nat = \"10s\"\ndo = \"alter-quota\"\nkey = \"consumer_byte_rate\"\nvalue = 10_000\n";
    let expect = [
        "shop.throttled == 0s",
        "shop.pending == 0 @ 66s",
        "billing.throttled > 10s",
        "billing.orders-0.lag > 200 @ 65s",
        "billing.delivered < 900 @ 65s",
        "billing.delivered > 600 @ 65s",
    ];
    check("a consumer", &(QUOTA.to_owned() + fetch), &[], &expect);
}

const MOVE: &str = r#"
strandline = 1
title = "t"
duration = "240s"

[kafka]
brokers = 4
config = { replica.fetch.max.bytes = 100_000 }

[[kafka.topic]]
name = "orders"
assignment = [["b1", "b2"]]
config = { min.insync.replicas = 2 }

[[kafka.producer]]
name = "history"
topic = "orders"
load = { kind = "constant", rate = 20, record-size = 10_000, start = "3s", stop = "30s" }

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 5, start = "3s", stop = "230s" }

[[kafka.consumer]]
name = "billing"
topic = "orders"
config = { auto.offset.reset = "earliest" }

[[timeline]]
at = "35s"
do = "reassign"
topic = "orders"
partition = 0
replicas = ["b3", "b4"]
"#;

#[test]
fn a_partition_moves_to_other_brokers_while_it_is_written() {
    let expect = [
        "orders-0.assignment == {b1, b2} @ 34s",
        "orders-0.assignment == {b3, b4} @ 50s",
        "orders-0.isr == {b3, b4} @ 50s",
        "orders-0.leader == b3 @ 50s",
        "b1.orders-0.leo == none @ 50s",
        "b3.orders-0.leo == orders-0.leo",
        "billing.orders-0.lag == 0",
        "shop.failed == 0",
        "ledger.lost == 0",
        "ledger.duplicated == 0",
        "invariants.violated == 0 @ always",
    ];
    let moved = check("moved", MOVE, &[], &expect);
    assert_eq!(reached(&moved, "reassignment-begun"), 1);
    assert_eq!(reached(&moved, "reassignment-done"), 1);
    assert_eq!(reached(&moved, "replication-throttled"), 0);
}

/// 5.4 MB at 100 kB/s of the leader, for each of two followers: between 100 and 120 s.
#[test]
fn a_throttled_move_takes_its_time_and_may_be_taken_back() {
    let throttle = MOVE.to_owned() + "throttle = 100_000\n";
    let expect = [
        "orders-0.reassigning @ 120s",
        "orders-0.assignment == {b1, b2, b3, b4} @ 120s",
        "orders-0.isr == {b1, b2} @ 120s",
        "kafka.under-replicated == 0 @ 120s",
        "not orders-0.reassigning @ 175s",
        "orders-0.isr == {b3, b4} @ 175s",
        "shop.failed == 0",
        "ledger.lost == 0",
    ];
    let slow = check("throttled", &throttle, &[], &expect);
    assert!(reached(&slow, "replication-throttled") >= 1);

    let back = "[[timeline]]\nat = \"60s\"\ndo = \"reassign\"\ntopic = \"orders\"\npartition = 0\n";
    let expect = [
        "orders-0.reassigning @ 59s",
        "not orders-0.reassigning @ 61s",
        "orders-0.assignment == {b1, b2} @ 61s",
        "orders-0.leader == b1",
        "b3.orders-0.leo > 100 @ 59s",
        "b3.orders-0.leo == none",
        "ledger.lost == 0",
    ];
    check("taken back", &(throttle + back), &[], &expect);
}

/// The story of the evicted page cache, and its cure: a quota for whoever replays.
#[test]
fn a_replay_with_a_quota_leaves_the_page_cache_to_others() {
    let story = include_str!("../../scenarios/page-cache-evicted.toml");
    let plain = story.split("[[expect]]").next().expect("a beginning");
    let evicted = ["reports.disk-read > 1000000", "b1.cached > 3900000"];
    let report = check("without", plain, &[], &evicted);
    assert!(reached(&report, "disk-read") > 10);

    let quota = "[[kafka.quota]]\nclient = \"replay\"\nconfig.consumer_byte_rate = 100_000\n";
    let spared = [
        "reports.disk-read == 0",
        "replay.disk-read > 1000000",
        "replay.throttled > 20s",
        "shop.pending < 20 @ 105s",
    ];
    check("with", &(plain.to_owned() + quota), &[], &spared);

    let all = [("config.\"os.page.cache.bytes\" = 4_000_000", "")];
    check(
        "all in memory",
        plain,
        &all,
        &["b1.disk-read == 0", "b1.cached == none"],
    );
}

const TIERED: &str = r#"
strandline = 1
title = "t"
duration = "180s"

[kafka]
brokers = 3

[kafka.config]
"remote.log.storage.system.enable" = true
"remote.log.manager.task.interval.ms" = 5_000
"log.retention.check.interval.ms" = 5_000

[[kafka.topic]]
name = "orders"
assignment = [["b1", "b2"]]

[kafka.topic.config]
"remote.storage.enable" = true
"segment.bytes" = 20_000
"local.retention.ms" = 10_000

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 20, record-size = 1000, start = "3s", stop = "60s" }

[[kafka.consumer]]
name = "late"
topic = "orders"
start = "80s"
config = { auto.offset.reset = "earliest" }

[[kafka.consumer]]
name = "later"
topic = "orders"
start = "150s"
config = { auto.offset.reset = "earliest" }
"#;

/// History is read from remote storage, also at a leader that never had it on its own disk.
#[test]
fn what_left_the_local_disks_is_read_from_remote_storage() {
    let moves = "[[timeline]]\nat = \"100s\"\ndo = \"reassign\"\ntopic = \"orders\"\npartition = 0\n\
                 replicas = [\"b2\", \"b3\"]\n";
    let text = with(&(TIERED.to_owned() + moves), &[("130s", "crash", "b2")]);
    let expect = [
        "orders-0.local-log-start > 500 @ 60s",
        "orders-0.remote-end >= orders-0.local-log-start @ 60s",
        "b2.orders-0.local-log-start > 500 @ 60s",
        "late.delivered == shop.sent @ 99s",
        "orders-0.isr == {b2, b3} @ 129s",
        "b3.orders-0.local-log-start > 500 @ 129s",
        "orders-0.leader == b3",
        "orders-0.log-start == 0",
        "later.delivered == shop.sent",
        "ledger.lost == 0",
        "invariants.violated == 0 @ always",
    ];
    let report = check("tiered", &text, &[], &expect);
    assert!(reached(&report, "segments-tiered") > 5);
    assert!(reached(&report, "remote-read") >= 100);
    assert_eq!(reached(&report, "built-from-remote"), 1);

    let off = [(
        "storage.enable\" = true\n\"segment",
        "storage.enable\" = false\n\"segment",
    )];
    let plain = check("not tiered", TIERED, &off, &["orders-0.remote-end == none"]);
    assert_eq!(reached(&plain, "segments-tiered"), 0);
}

/// Remote storage has the retention of the whole log.
#[test]
fn remote_storage_expires_too() {
    let change = [(
        "\"segment.bytes\"",
        "\"retention.ms\" = 60_000\n\"segment.bytes\"",
    )];
    let expect = [
        "orders-0.log-start == 0 @ 60s",
        "orders-0.local-log-start > 500 @ 60s",
        "orders-0.log-start > 300 @ 99s",
        "b2.orders-0.log-start == orders-0.log-start @ 99s",
        "late.delivered < shop.sent",
        "late.delivered > 100",
        "ledger.expired == shop.sent",
        "ledger.lost == 0",
    ];
    check("retention.ms", TIERED, &change, &expect);
}

/// Story of a single replica that loses power: by default it has what the operating system wrote,
/// every 30 s. Two hundred records a second.
#[test]
fn a_flush_bounds_what_a_power_loss_takes() {
    const LOSS: &str = r#"
strandline = 1
title = "t"
duration = "60s"

[kafka]
brokers = 1
controllers = 1
config = {  }

[[kafka.topic]]
name = "orders"
assignment = [["b1"]]
config = {  }

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 200, start = "5s", stop = "40s" }

[[timeline]]
at = "25s"
do = "power-loss"
node = "b1"
for = "10s"
"#;
    let run = |name: &str, brokers: &str, topic: &str, expect: &str| {
        let both = format!("config = {{ {brokers} }}\n\n[[kafka.topic]]");
        let topic = format!("[[\"b1\"]]\nconfig = {{ {topic} }}");
        let change = [
            ("config = {  }\n\n[[kafka.topic]]", &*both),
            ("[[\"b1\"]]\nconfig = {  }", &*topic),
        ];
        check(name, LOSS, &change, &[expect]);
    };
    run("by default", "", "", "ledger.lost > 3000");
    run("each record", "", "flush.messages = 1", "ledger.lost == 0");
    let hundred = "ledger.lost > 0 and ledger.lost < 100";
    run("each hundred", "", "flush.messages = 100", hundred);
    // Nobody looks.
    run(
        "flush.ms alone",
        "",
        "flush.ms = 1000",
        "ledger.lost > 3000",
    );
    let looks = "log.flush.scheduler.interval.ms = 500";
    let second = "ledger.lost > 0 and ledger.lost < 310";
    run("each second", looks, "flush.ms = 1000", second);
    // What a topic does not say, the cluster does; and `flush.ms` is the pause between looks then.
    run("looked for alone", looks, "", "ledger.lost < 110");
    let all = "log.flush.interval.messages = 1";
    run("each record of all topics", all, "", "ledger.lost == 0");
    run("but for one topic", all, "flush.messages = 100", hundred);
    let ms = "log.flush.scheduler.interval.ms = 500, log.flush.interval.ms = 5_000";
    run(
        "each five seconds",
        ms,
        "",
        "ledger.lost > 310 and ledger.lost < 1110",
    );
    run("each second here", ms, "flush.ms = 1000", second);
}
