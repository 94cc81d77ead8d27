//! Whole scenarios: the committed ones are good, every kind of mistake is found at its place, and
//! what was done by hand reads back.

use super::*;

/// A small good scenario; tests replace parts of it.
const BASE: &str = r#"strandline = 1
title = "t"
duration = "20s"

[kafka]
brokers = 3

[[kafka.topic]]
name = "orders"
partitions = 2
replication-factor = 3

[[kafka.producer]]
name = "p1"
topic = "orders"
load = { kind = "constant", rate = 10 }

[[kafka.consumer]]
name = "r1"
topic = "orders"
"#;

fn good(text: &str) -> Scenario {
    let parsed = parse(text);
    parsed
        .scenario
        .unwrap_or_else(|| panic!("{}", render(&parsed.diagnostics, "test", text)))
}

#[test]
fn committed_scenarios_are_good() {
    let check = |name: &str, text: &str| {
        let parsed = parse(text);
        assert!(
            parsed.diagnostics.is_empty(),
            "{}",
            render(&parsed.diagnostics, name, text)
        );
    };
    check(
        "quickstart",
        include_str!("../../../scenarios/quickstart.toml"),
    );
    check(
        "acks1",
        include_str!("../../../scenarios/acks1-leader-crash.toml"),
    );
    check(
        "acks-all",
        include_str!("../../../scenarios/acks-all-leader-crash.toml"),
    );
}

#[test]
fn the_committed_schema_is_current() {
    let committed = include_str!("../../../docs/scenario.schema.json");
    assert!(
        committed == schema(),
        "run `cargo run -p sim-core --example schema > docs/scenario.schema.json`"
    );
}
