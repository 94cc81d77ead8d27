//! The bugs of the public TLA+ models of Kafka's replication, each acted out in the whole cluster:
//! with its rule taken away the checker finds it, with today's rules nothing breaks.
//!
//! The stories follow the shortest counterexamples of hachikuji/kafka-specification
//! (`Kip320FirstTry`: a zombie leader; `Kip279`: a candidate for the ISR behind the epoch start).

use sim_core::check::{RunPlan, RunReport};
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

fn run(story: &str, rules: &str) -> RunReport {
    let text = story.replace("RULES", rules);
    let scenario = scenario::parse(&text)
        .into_result()
        .unwrap_or_else(|problems| panic!("{}", scenario::render(&problems, rules, &text)));
    RunPlan::of(Arc::new(scenario), 1).run(|_, _| true)
}

fn check(story: &str, rules: &str, found: Option<&str>) {
    let report = run(story, rules);
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

/// In the story of the zombie it is b3, the third node, that cuts its log while it is in sync.
fn cuts_what_is_committed(rules: &str) {
    let report = run(ZOMBIE, rules);
    let found = "node 2 is in the controller's ISR and cut its log back to 0";
    let all = report.violations;
    assert!(all.iter().any(|text| text.contains(found)), "{all:?}");
}

/// `Kip101`, and the shortest trace: the zombie has nothing to compare epochs with, so the follower
/// falls back to its own high watermark.
#[test]
fn tla_kip101() {
    check(ZOMBIE, "truncation = \"kip-101\"", Some("StrongIsr"));
}

#[test]
fn tla_trace_kip101_fallback() {
    cuts_what_is_committed("truncation = \"kip-101\"");
}

#[test]
fn tla_kip279() {
    check(ZOMBIE, "truncation = \"kip-279\"", Some("StrongIsr"));
}

/// The candidate for the ISR has reached the high watermark, which is old, but not the start of the
/// leader's epoch.
#[test]
fn tla_trace_kip279_stale_hw_expand() {
    let rules = "expand-requires-epoch-start = false";
    check(BEHIND, rules, Some("StrongIsr"));
}

#[test]
fn tla_kip320firsttry() {
    check(ZOMBIE, "fence-fetch-epoch = false", Some("StrongIsr"));
}

/// The leader counts a fetch of an older epoch, and the follower then cuts what it copied.
#[test]
fn tla_trace_kip320first_zombie() {
    cuts_what_is_committed("fence-fetch-epoch = false");
}

/// Today's rules: nothing breaks in any of the stories.
#[test]
fn tla_kip320() {
    for story in [ZOMBIE, BEHIND] {
        check(story, "", None);
    }
}

#[test]
fn tla_kafkatruncatetohighwatermark() {
    check(ZOMBIE, "truncation = \"high-watermark\"", Some("StrongIsr"));
}

/// A follower with an old high watermark cuts a committed record while it counts as in sync.
#[test]
fn tla_trace_trunchw_loss() {
    const STORY: &str = include_str!("../../scenarios/kip-101-broken.toml");
    let lost = |text: &str| {
        let scenario = scenario::parse(text).into_result().expect("a story");
        let report = RunPlan::of(Arc::new(scenario), 1).run(|_, _| true);
        let strong = |text: &String| text.starts_with("StrongIsr");
        report.violations.iter().any(strong)
    };
    assert!(lost(STORY));
    let today = STORY.replace("truncation = \"high-watermark\"", "");
    assert_ne!(today, STORY);
    assert!(!lost(&today));
}
