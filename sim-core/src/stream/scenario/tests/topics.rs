//! Sources and sinks of topics: what they become, and what is refused at its place.

use crate::scenario::{parse, render};
use crate::stream::spec::{JobSpec, OperatorKind, SplitSpec};
use crate::systems::Spec;

const BOTH: &str = r#"
strandline = 1
title = "both"
duration = "60s"

[kafka]
brokers = 3
controllers = 1

[[kafka.topic]]
name = "orders"
partitions = 3
replication-factor = 3

[[kafka.topic]]
name = "totals"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 10, keys = { kind = "cycle", count = 4, prefix = "user-" } }

[stream]
config = { "execution.checkpointing.interval" = "10 s" }

[[stream.source]]
name = "orders-in"
kafka = "orders"
watermark = { kind = "ascending" }

[[stream.window]]
name = "count"
input = "orders-in"
window = { kind = "tumbling", size = "10s" }

[[stream.sink]]
name = "out"
input = "count"
kafka = "totals"
guarantee = "exactly-once"
transaction-timeout = "15min"
"#;

fn good(text: &str) -> (JobSpec, bool) {
    let parsed = parse(text);
    let shown = render(&parsed.diagnostics, "test", text);
    let scenario = parsed.scenario.unwrap_or_else(|| panic!("{shown}"));
    assert!(parsed.diagnostics.is_empty(), "{shown}");
    let mut transactions = false;
    for system in &scenario.systems {
        match system {
            Spec::Kafka(cluster) => transactions = cluster.transactions_topic().is_some(),
            Spec::Stream(job) => return ((***job).clone(), transactions),
        }
    }
    panic!("no job");
}

#[test]
fn partitions_are_splits_and_keys_have_one_name() {
    let (job, transactions) = good(BOTH);
    assert!(transactions, "the cluster has a topic of transactions");
    let OperatorKind::Source(source) = &job.operators[0].kind else {
        panic!("the source is first");
    };
    assert_eq!(source.splits, vec![SplitSpec::Partition; 3]);
    assert!(!source.bounded);
    let kafka = source.kafka.as_ref().expect("a topic");
    let names: Vec<String> = kafka.keys.iter().map(|it| job.keys.name(*it)).collect();
    assert_eq!(names, ["user-0", "user-1", "user-2", "user-3"]);
    let plain = BOTH.replace(
        "guarantee = \"exactly-once\"\ntransaction-timeout = \"15min\"\n",
        "",
    );
    assert!(!good(&plain).1, "nobody needs transactions");
}

#[test]
fn mistakes_are_told_at_their_place() {
    let check = |from: &str, to: &str, code: &str, place: &str, said: &str| {
        assert!(BOTH.contains(from), "{from}");
        let text = BOTH.replace(from, to);
        let parsed = parse(&text);
        let shown = render(&parsed.diagnostics, "test", &text);
        let found = parsed.diagnostics.iter().find(|it| it.code == code);
        let found = found.unwrap_or_else(|| panic!("no `{code}` after {to}:\n{shown}"));
        assert_eq!(&text[found.span.clone()], place, "{shown}");
        assert!(shown.contains(said), "no `{said}` in:\n{shown}");
    };
    let (source, sink) = ("kafka = \"orders\"", "kafka = \"totals\"");
    check(
        source,
        "kafka = \"order\"",
        "unknown-name",
        "\"order\"",
        "did you mean `orders`?",
    );
    check(
        sink,
        "kafka = \"total\"",
        "unknown-name",
        "\"total\"",
        "did you mean `totals`?",
    );
    let splits = "kafka = \"orders\"\nsplits = 2";
    check(
        source,
        splits,
        "contradiction",
        "2",
        "the topic's partitions",
    );
    let ends = "kafka = \"orders\"\nbounded = true";
    check(source, ends, "contradiction", "true", "a topic has no end");
    let store = "kafka = \"totals\"\nstore = \"shelf\"";
    check(
        sink,
        store,
        "contradiction",
        "\"shelf\"",
        "means nothing with a topic",
    );
    let exact = "guarantee = \"exactly-once\"\ntransaction-timeout = \"15min\"";
    let upsert = "guarantee = \"idempotent\"";
    check(
        exact,
        upsert,
        "bad-value",
        "\"idempotent\"",
        "a KafkaSink has no such guarantee",
    );
    let refused = "INVALID_TRANSACTION_TIMEOUT";
    check("15min", "16min", "contradiction", "\"16min\"", refused);
    // Flink's default is longer than what Kafka allows by default.
    let usual = "guarantee = \"exactly-once\"";
    check(exact, usual, "contradiction", "\"exactly-once\"", refused);
}

#[test]
fn a_topic_needs_a_cluster() {
    let cluster = BOTH.find("[kafka]").expect("a section");
    let job = BOTH.find("[stream]").expect("a section");
    let text = format!("{}{}", &BOTH[..cluster], &BOTH[job..]);
    let parsed = parse(&text);
    let shown = render(&parsed.diagnostics, "test", &text);
    assert!(shown.contains("there is no Kafka cluster"), "{shown}");
    assert!(shown.contains("add a section [kafka]"), "{shown}");
}
