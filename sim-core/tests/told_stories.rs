//! Failure stories written with nothing but `docs/SCENARIOS.md` at hand: each states what must be
//! seen, and its twin, with one knob changed, the opposite.

mod support;
use support::told;

const CLUSTER: &str = r#"
strandline = 1
title = "t"
duration = "60s"

[kafka]
brokers = 3
config = { min.insync.replicas = 2 }

[[kafka.topic]]
name = "orders"
assignment = [["b1", "b2", "b3"]]

[[kafka.producer]]
name = "shop"
topic = "orders"
config = {  }
load = { kind = "constant", rate = 100, start = "2s", stop = "50s" }

[[kafka.consumer]]
name = "billing"
topic = "orders"
config = { auto.offset.reset = "earliest" }
"#;

/// Runs the cluster with these replacements and this timeline; every expectation must hold.
fn check(name: &str, change: &[(&str, &str)], timeline: &str, expect: &[&str]) {
    told(name, &format!("{CLUSTER}{timeline}\n"), change, expect);
}

const NOTHING_WRONG: &[&str] = &[
    "ledger.lost == 0",
    "ledger.failed == 0",
    "ledger.duplicated == 0",
    "ledger.reordered == 0",
];

/// Story S10: a pause is judged by the session of 9 s.
#[test]
fn a_pause_longer_than_the_session_costs_the_leadership() {
    let pause = |span: &str| {
        format!("[[timeline]]\nat = \"10s\"\ndo = \"pause\"\nnode = \"b1\"\nfor = \"{span}\"")
    };
    let change = [("config = {  }", "config = { acks = 1 }")];
    let expect = [
        "orders-0.leader == b1 @ 16.9s",
        "orders-0.leader == b2 @ 19.2s",
        "b1.fenced @ 19.2s",
        "not b1.fenced @ 24.5s",
        "b1 in orders-0.isr @ 40s",
        "b1.orders-0.leo == orders-0.leo",
    ];
    check("12 s", &change, &pause("12s"), &expect);
    let expect = [
        "orders-0.leader == b1 @ at = \"always\"\nafter = \"3s\"",
        "ledger.lost == 0",
        "ledger.failed == 0",
    ];
    check("5 s", &change, &pause("5s"), &expect);
}

/// Story S13: each broker goes down in order and comes back; leadership returns by itself.
#[test]
fn a_rolling_restart_moves_leaders_away_and_back() {
    let timeline: String = [("b1", 20), ("b2", 50), ("b3", 80)]
        .iter()
        .map(|(node, at)| {
            format!(
                "[[timeline]]\nat = \"{at}s\"\ndo = \"controlled-shutdown\"\nnode = \"{node}\"\n\
                 [[timeline]]\nat = \"{}s\"\ndo = \"restart\"\nnode = \"{node}\"\n",
                at + 15
            )
        })
        .collect();
    let change = [
        ("duration = \"60s\"", "duration = \"620s\""),
        ("stop = \"50s\"", "stop = \"600s\""),
        (
            "assignment = [[\"b1\", \"b2\", \"b3\"]]",
            "partitions = 6\nreplication-factor = 3",
        ),
    ];
    let seen = [
        "b1.state == \"down\" @ 25s",
        "b1.leads == 0 @ 25s",
        "b3.leads == 0 @ 110s",
    ];
    let mut expect: Vec<&str> = seen.to_vec();
    expect.extend(NOTHING_WRONG);
    expect.push("kafka.offline-partitions == 0 @ at = \"always\"\nafter = \"3s\"");
    let mut returns = expect.clone();
    returns.push("b1.leads == 2 and b2.leads == 2 and b3.leads == 2");
    check("rolling", &change, &timeline, &returns);
    let off = "config = { min.insync.replicas = 2, auto.leader.rebalance.enable = false }";
    let mut change = change.to_vec();
    change.push(("config = { min.insync.replicas = 2 }", off));
    expect.push("b3.leads == 0");
    check("rolling, no rebalance", &change, &timeline, &expect);
}

/// Story S14: without controller nobody takes over, and the new one starts every session anew.
#[test]
fn a_broker_that_dies_with_the_controller_is_missed_later() {
    let timeline = r#"
[[timeline]]
at = "10s"
do = "crash"
node = "controller.leader"

[[timeline]]
at = "10.1s"
do = "power-loss"
node = "b1"
"#;
    let mut expect = vec![
        "controller.leader == none @ 11.9s",
        "controller.leader != none @ at = \"eventually\"\nafter = \"12s\"\nby = \"16s\"",
        "orders-0.leader == b1 @ 20.9s",
        "orders-0.leader == b2 @ at = \"eventually\"\nafter = \"21s\"\nby = \"26s\"",
    ];
    expect.extend(NOTHING_WRONG);
    check("S14", &[], timeline, &expect);
}

/// Story S16: the answer is lost, the record is not.
#[test]
fn a_lost_answer_is_a_duplicate_unless_the_producer_is_idempotent() {
    let timeline = r#"
[[timeline]]
at = "10s"
do = "link"
from = "b1"
to = "shop"
lose = ["ProduceResponse"]
for = "300ms"
"#;
    let long = ("duration = \"60s\"", "duration = \"90s\"");
    let off = ("config = {  }", "config = { enable.idempotence = false }");
    let twice = ["ledger.duplicated > 0", "ledger.lost == 0"];
    check("S16", &[long, off], timeline, &twice);
    check("S16, idempotent", &[long], timeline, NOTHING_WRONG);
}

/// Story S17: a batch is refused, those sent after it are not.
#[test]
fn a_retry_overtaken_by_its_successors_is_out_of_order() {
    let timeline = r#"
[[timeline]]
at = "10s"
do = "link"
from = "shop"
to = "b1"
lose = ["Produce"]
for = "20ms"
"#;
    let load = (
        "rate = 100,",
        "rate = 200, keys = { kind = \"cycle\", count = 1 },",
    );
    let long = ("duration = \"60s\"", "duration = \"120s\"");
    let with = |config: &'static str| [load, long, ("config = {  }", config)];
    let loose = with("config = { enable.idempotence = false, linger.ms = 0 }");
    check("S17", &loose, timeline, &["ledger.reordered > 0"]);
    let one = "config = { enable.idempotence = false, linger.ms = 0, max.in.flight.requests.per.connection = 1 }";
    check(
        "one in flight",
        &with(one),
        timeline,
        &["ledger.reordered == 0"],
    );
    let ordered = with("config = { linger.ms = 0 }");
    check("S17, idempotent", &ordered, timeline, NOTHING_WRONG);
}

/// Story S15: with pre-votes an isolated voter comes back without deposing anyone.
#[test]
fn a_voter_that_was_cut_off_disturbs_nobody() {
    let timeline = r#"
[[timeline]]
at = "10s"
do = "partition"
nodes = "c3"
for = "15s"
"#;
    let mut expect = vec![
        "controller.leader != none @ at = \"always\"\nafter = \"3s\"",
        "controller.epoch == 1",
    ];
    expect.extend(NOTHING_WRONG);
    check("S15", &[], timeline, &expect);
}

/// Members of one group that read different topics: every assignor gives each partition to somebody
/// who reads its topic, and a leader that does not read a topic assigns it all the same.
#[test]
fn one_group_reads_two_topics() {
    let story = include_str!("../../scenarios/one-group-two-topics.toml");
    let settings = "\"session.timeout.ms\" = 10_000";
    assert!(story.contains(settings));
    let strategies = ["range", "roundrobin", "sticky", "cooperative-sticky"];
    for strategy in strategies {
        let more = format!("{settings}\n\"partition.assignment.strategy\" = \"{strategy}\"");
        support::holds(strategy, &story.replace(settings, &more));
    }
    for assignor in ["range", "uniform"] {
        let modern = "\"group.protocol\" = \"consumer\"\n\"group.remote.assignor\" =";
        let story = story
            .replace(settings, &format!("{modern} \"{assignor}\""))
            // The member is out after group.consumer.session.timeout.ms, 45 s.
            .replace("at = \"59s\"", "at = \"89s\"")
            .replace("duration = \"60s\"", "duration = \"90s\"");
        support::holds(assignor, &story);
    }
}

/// Sticky members go by racks as cooperative ones do, and nobody does where brokers have none.
#[test]
fn racks_matter_to_sticky_members_and_only_where_brokers_have_some() {
    let story = include_str!("../../scenarios/rack-aware.toml");
    let strategy = "\"cooperative-sticky\"";
    assert!(story.contains(strategy));
    support::holds("sticky", &story.replace(strategy, "\"sticky\""));
    let racks = "racks = { b1 = \"east\", b2 = \"north\", b3 = \"west\" }\n";
    assert!(story.contains(racks));
    let (bare, _) = story.split_once("[[expect]]").expect("it has expectations");
    let still = [
        "group.near.generation == 1 and group.anywhere.generation == 1",
        "group.near.orders-0.owner == group.near.orders-1.owner",
    ];
    let text = bare.replace(racks, "") + &support::expecting(&still);
    support::holds("no racks", &text);
}

/// Unkeyed records, a broker that stands still, and what was put into its queue before it was found
/// out: with `partitioner.availability.timeout.ms` less of it waits there in vain.
#[test]
fn a_broker_that_takes_nothing_is_given_nothing() {
    let failed = |timeout: u32| {
        let config = format!(
            "config = {{ partitioner.availability.timeout.ms = {timeout}, batch.size = 500, \
             request.timeout.ms = 2_000, delivery.timeout.ms = 3_000, acks = 1 }}"
        );
        let change = [
            ("config = {  }", &*config),
            (
                "config = { min.insync.replicas = 2 }",
                "config = { broker.session.timeout.ms = 30_000 }",
            ),
            (
                "assignment = [[\"b1\", \"b2\", \"b3\"]]",
                "assignment = [[\"b1\"], [\"b2\"], [\"b3\"]]",
            ),
        ];
        let pause = "[[timeline]]\nat = \"10s\"\ndo = \"pause\"\nnode = \"b1\"\nfor = \"20s\"\n";
        let text = support::changed("paused", &format!("{CLUSTER}{pause}"), &change);
        support::run("paused", &text).ledger.failed
    };
    let (never, soon) = (failed(0), failed(200));
    assert!(never > 2 * soon && soon > 0, "{never} {soon}");
}
