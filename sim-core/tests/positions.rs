//! Where consumers read and what they commit, in whole clusters: positions that are sought, and
//! crashes at every step between a poll and its commit.

mod support;

use sim_core::view::VerdictState;
use support::{changed, expecting, run, told};

const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "45s"

[kafka]
brokers = 3
config = { offsets.topic.num.partitions = 1, group.initial.rebalance.delay.ms = 0 }

[[kafka.topic]]
name = "orders"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 100, keys = { kind = "uniform", count = 50 }, start = "3s", stop = "23s" }

[[kafka.consumer]]
name = "billing"
topic = "orders"
config = { group.id = "g", auto.offset.reset = "earliest", session.timeout.ms = 6_000, enable.auto.commit = false, application.commit = "sync" }
"#;

fn seek(args: &str) -> String {
    format!("{CLUSTER}[[timeline]]\nat = \"30s\"\ndo = \"seek\"\nnode = \"billing\"\n{args}\n")
}

/// Two thousand records were read and committed before: what is sought is read again, and the group
/// follows, back and forth, since it is told to.
#[test]
fn an_application_reads_from_where_it_seeks() {
    let check = |args: &str, again: &str| {
        let expect = [
            "ledger.processed == 2000 and ledger.reprocessed == 0 @ 29s",
            again,
            "group.g.orders-0.lag == 0 and group.g.orders-1.lag == 0",
            "ledger.skipped == 0 and invariants.violated == 0",
        ];
        told(args, &seek(args), &[], &expect);
    };
    check("where = \"beginning\"", "ledger.reprocessed == 2000");
    check("where = \"end\"", "ledger.reprocessed == 0");
    // The last records are of 23 s: those of 20 s on are 300.
    let last = "ledger.reprocessed > 290 and ledger.reprocessed < 310";
    check("back = \"10s\"", last);
    check("back = \"5s\"", "ledger.reprocessed == 0");
    let behind = "orders-1.leo == 1123 and ledger.reprocessed == 823";
    check("partition = 1\noffset = 300", behind);
}

/// By the protocol of KIP-848, and with no group at all.
#[test]
fn every_consumer_with_positions_can_seek() {
    let protocol = [(
        "session.timeout.ms = 6_000",
        "group.protocol = \"consumer\"",
    )];
    let again = ["ledger.reprocessed == 2000 and invariants.violated == 0"];
    told(
        "consumer",
        &seek("where = \"beginning\""),
        &protocol,
        &again,
    );

    let alone = [(
        "group.id = \"g\", auto.offset.reset = \"earliest\", session.timeout.ms = 6_000, \
         enable.auto.commit = false, application.commit = \"sync\"",
        "auto.offset.reset = \"latest\"",
    )];
    let expect = [
        "billing.delivered == 2000 @ 29s",
        "billing.delivered == 4000",
    ];
    let first = "offset = 0";
    told("alone", &seek(first), &alone, &expect);

    let share = [(
        "auto.offset.reset = \"earliest\", session.timeout.ms = 6_000, enable.auto.commit = false, \
         application.commit = \"sync\"",
        "group.protocol = \"share\"",
    )];
    let report = run("share", &changed("share", &seek(first), &share));
    assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
}

/// Ten records of 30 ms to a poll, and messages that take 10 ms: crashes 20 ms apart, over the whole of
/// one poll, its work and its commit. Whoever commits first never does anything twice, whoever commits last leaves nothing
/// out, and some crash makes each of them pay for it.
#[test]
fn a_crash_at_every_step_between_a_poll_and_its_commit() {
    let asks = [
        "ledger.lost == 0 and ledger.duplicated == 0 and invariants.violated == 0",
        "ledger.reprocessed == 0",
        "ledger.skipped == 0",
    ];
    let crash = |mode: &str, at: u64| {
        let change = [
            ("application.commit = \"sync\"", mode),
            ("duration = \"45s\"", "duration = \"40s\""),
            ("stop = \"23s\"", "limit = 300"),
            (
                "[kafka]\nbrokers",
                "[network]\ndelay = \"10ms\"\n\n[kafka]\nbrokers",
            ),
        ];
        let text = changed(mode, CLUSTER, &change);
        let text = format!(
            "{text}[[timeline]]\nat = \"{at}ms\"\ndo = \"crash\"\nnode = \"billing\"\nfor = \"2s\"\n"
        );
        let report = run(mode, &(text + &expecting(&asks)));
        let held = |at: usize| report.verdicts[at].state == VerdictState::Held;
        assert!(held(0), "{mode} {at}: {:?}", report.ledger);
        (held(1), held(2))
    };
    let settings = |mode: &str| {
        format!(
            "application.processing.us = 30_000, max.poll.records = 10, \
             application.commit = \"{mode}\""
        )
    };
    let all = |mode: &str| -> Vec<(bool, bool)> {
        let steps = (0..22).map(|step| crash(&settings(mode), 8_000 + 20 * step));
        steps.collect()
    };
    let before = all("before");
    assert!(before.iter().all(|(no_repetition, _)| *no_repetition));
    assert!(before.iter().any(|(_, no_gap)| !no_gap), "{before:?}");
    let after = all("sync");
    assert!(after.iter().all(|(_, no_gap)| *no_gap));
    assert!(after.iter().any(|(once, _)| !once), "{after:?}");
    // With all work done and committed a crash costs nothing, whoever commits when.
    let late = ["before", "sync"].map(|mode| crash(&settings(mode), 35_000));
    assert_eq!(late, [(true, true); 2]);
}

/// A record that nobody finished before its member died, and that compaction took before another was
/// handed it: the group did not pass over it, a later value of its key stands for it.
#[test]
fn what_compaction_takes_from_a_dead_members_hands_is_not_skipped() {
    const STORY: &str = r#"
strandline = 1
title = "t"
duration = "60s"

[kafka]
brokers = 1
controllers = 1
config = { "offsets.topic.num.partitions" = 1, "log.cleaner.backoff.ms" = 1000 }

[[kafka.topic]]
name = "accounts"
assignment = [["b1"]]
config = { "cleanup.policy" = "compact", "segment.bytes" = 1000, min.cleanable.dirty.ratio = 0.01 }

[[kafka.producer]]
name = "bank"
topic = "accounts"
load = { kind = "constant", rate = 100, keys = { kind = "cycle", count = 5 }, start = "10s", limit = 1_000 }

[[kafka.group]]
id = "auditors"
topic = "accounts"
members = ["a1", "a2"]

[kafka.group.config]
"auto.offset.reset" = "earliest"
"session.timeout.ms" = 6_000
"enable.auto.commit" = false
"application.commit" = "sync"
"application.processing.us" = 20_000

[[timeline]]
at = "15s"
do = "crash"
node = ["a1", "a2"]
for = "5s"
"#;
    let expect = [
        "ledger.skipped == 0",
        "ledger.compacted > 900 and ledger.processed < 600",
        "group.auditors.accounts-0.lag == 0",
        "invariants.violated == 0 @ always",
    ];
    let text = STORY.to_owned() + &expecting(&expect);
    support::holds("compacted in hand", &text);
}
