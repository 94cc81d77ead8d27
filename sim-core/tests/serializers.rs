//! What a record costs on a channel, by its serializer.

mod support;

use support::{holds, told};

const GENERIC: &str = include_str!("../../scenarios/job-serializer-generic.toml");
const POJO: &str = include_str!("../../scenarios/job-serializer-pojo.toml");

/// The job with another serializer, or another change.
fn check(name: &str, changes: &[(&str, &str)], expect: &[&str]) {
    let end = GENERIC.find("[[caption]]").expect("captions");
    told(name, &GENERIC[..end], changes, expect);
}

#[test]
fn the_stories_hold() {
    holds("generic", GENERIC);
    holds("pojo", POJO);
}

#[test]
fn each_record_costs_what_its_kind_does() {
    for (kind, least, most) in [
        ("tuple", 270, 300),
        ("row", 290, 320),
        ("pojo", 390, 420),
        ("avro", 490, 520),
    ] {
        let busy = format!("clicks.busy >= {least}ms and clicks.busy < {most}ms");
        check(kind, &[("\"generic\"", &format!("\"{kind}\""))], &[&busy]);
    }
    check(
        "none",
        &[("\"generic\"", "\"none\"")],
        &["clicks.busy < 1ms"],
    );
}

/// Nothing is written within a chain.
#[test]
fn a_chain_serializes_nothing() {
    let chained = [
        ("slot-sharing-group = \"in\"\n", ""),
        ("slot-sharing-group = \"out\"\n", ""),
        ("partition = \"rebalance\"\n", ""),
    ];
    check(
        "chained",
        &chained,
        &["clicks.busy < 1ms and out-store.visible == 200_000"],
    );
}

/// A record is written once for each channel, and costs each reader.
#[test]
fn every_copy_of_a_broadcast_costs() {
    let pojo = ("\"generic\"", "\"pojo\"");
    let once = "clicks.busy > 390ms and clicks.busy < 420ms";
    check("one reader", &[pojo], &[once]);
    let three = [
        pojo,
        ("task-managers = 2", "task-managers = 4"),
        (
            "partition = \"rebalance\"",
            "partition = \"broadcast\"\nparallelism = 3",
        ),
    ];
    let thrice = "clicks.busy > 1180ms and clicks.busy < 1260ms and out-store.visible == 600_000";
    check("three readers", &three, &[thrice]);
}

#[test]
fn generic_types_can_be_forbidden() {
    let text = GENERIC.replace(
        "\"strandline.serializer\"",
        "\"pipeline.generic-types\" = false\n\"strandline.serializer\"",
    );
    let found = sim_core::scenario::parse(&text).into_result();
    let found = format!("{:?}", found.expect_err("it is refused"));
    assert!(
        found.contains("Generic types have been disabled"),
        "{found}"
    );
}
