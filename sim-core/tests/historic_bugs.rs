//! The bugs of the public TLA+ models of Kafka's replication, each acted out in the whole cluster:
//! with its rule taken away the checker finds it, with today's rules nothing breaks.
//!
//! The stories follow the shortest counterexamples of hachikuji/kafka-specification
//! (`Kip320FirstTry`: a zombie leader; `Kip279`: a candidate for the ISR behind the epoch start).

use sim_core::check::RunPlan;
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::sync::Arc;

/// b1 leads in epoch 3. b2 still believes in its epoch 2 and has an empty log. b3, whose metadata
/// come late, first copies from b1 under the epoch it knew and then follows b2.
const ZOMBIE: &str = r#"strandline = 1
title = "A zombie misleads a follower"
duration = "60s"
[kafka]
brokers = 3
controllers = 1
config = { controller.quorum.request.timeout.ms = 10_000 }
[kafka.rules]
RULES
[[kafka.topic]]
name = "orders"
assignment = [["b2", "b1", "b3"]]
[[kafka.producer]]
name = "shop"
topic = "orders"
config = { enable.idempotence = false }
[[timeline]]
at = "10s"
do = "controlled-shutdown"
node = "b2"
[[timeline]]
at = "15s"
do = "restart"
node = "b2"
[[timeline]]
at = "29.998s"
do = "link"
from = "c1"
to = "b3"
delay = "3s"
[[timeline]]
at = "29s"
do = "cut"
from = "shop"
to = "b2"
[[timeline]]
at = "31s"
do = "set-acks"
node = "shop"
acks = "all"
[[timeline]]
at = "30s"
do = "elect-preferred"
[[timeline]]
at = "30.05s"
do = "controlled-shutdown"
node = "b2"
[[timeline]]
at = "30.0502s"
do = "link"
from = "c1"
to = "b2"
cut = true
[[timeline]]
at = "32.95s"
do = "send"
node = "shop"
records = 1
[[expect]]
that = "orders-0.leader == b1 and b2 in orders-0.isr and b3 in orders-0.isr"
at = "29.9s"
[[expect]]
that = "orders-0.leader == b2 and b2.orders-0.leads"
at = "30.04s"
[[expect]]
that = "orders-0.leader == b1 and b2.orders-0.leads and b2 not in orders-0.isr"
at = "32.8s"
"#;

/// b3 leads with a record that b2 had committed, but with the high watermark from before. The empty
/// b1 has reached that high watermark, and b2 is out of reach.
const BEHIND: &str = r#"strandline = 1
title = "An empty follower joins"
duration = "60s"
[kafka]
brokers = 3
[kafka.rules]
RULES
[[kafka.topic]]
name = "orders"
assignment = [["b3", "b2", "b1"]]
[[kafka.producer]]
name = "shop"
topic = "orders"
[[timeline]]
at = "5s"
do = "crash"
node = "b1"
[[timeline]]
at = "6s"
do = "cut"
from = "b1"
to = "b2"
[[timeline]]
at = "20s"
do = "controlled-shutdown"
node = "b3"
[[timeline]]
at = "25s"
do = "restart"
node = "b3"
[[timeline]]
at = "34s"
do = "link"
from = "b3"
to = "b1"
delay = "1500ms"
[[timeline]]
at = "35s"
do = "restart"
node = "b1"
[[timeline]]
at = "44.9s"
do = "send"
node = "shop"
records = 1
[[timeline]]
at = "45s"
do = "link"
from = "b2"
to = "b3"
cut = true
[[timeline]]
at = "45.01s"
do = "elect-preferred"
[[expect]]
that = "orders-0.leader == b2 and b3 in orders-0.isr and b1 not in orders-0.isr"
at = "44s"
[[expect]]
that = "b2.orders-0.hw == 1 and b3.orders-0.leo == 1 and b3.orders-0.hw == 0"
at = "45s"
[[expect]]
that = "orders-0.leader == b3"
at = "45.2s"
"#;

fn check(story: &str, rules: &str, found: Option<&str>) {
    let text = story.replace("RULES", rules);
    let scenario = scenario::parse(&text)
        .into_result()
        .unwrap_or_else(|problems| panic!("{}", scenario::render(&problems, rules, &text)));
    let report = RunPlan::of(Arc::new(scenario), 1).run(|_, _| true);
    for verdict in &report.verdicts {
        assert_eq!(
            verdict.state,
            VerdictState::Held,
            "{rules}: {}",
            verdict.text
        );
    }
    let names: Vec<&str> = report
        .violations
        .iter()
        .filter_map(|text| text.split(':').next())
        .collect();
    assert_eq!(names, found.as_slice(), "{rules}: {:?}", report.violations);
}

#[test]
fn a_zombie_leader_makes_a_follower_cut_what_is_committed() {
    for rules in [
        "truncation = \"high-watermark\"",
        "truncation = \"kip-101\"",
        "truncation = \"kip-279\"",
        "fence-fetch-epoch = false",
    ] {
        check(ZOMBIE, rules, Some("StrongIsr"));
    }
    check(ZOMBIE, "", None);
}

#[test]
fn a_follower_that_did_not_reach_the_epoch_start_joins_without_a_committed_record() {
    check(
        BEHIND,
        "expand-requires-epoch-start = false",
        Some("StrongIsr"),
    );
    check(BEHIND, "", None);
}
