//! Whole scenarios: the committed ones are good, every kind of mistake is found at its place, and
//! what was done by hand reads back.

mod documentation;
mod mistakes;
mod round_trip;

use super::*;
use crate::kafka::spec::{Arrivals, Keys};
use crate::kernel::{Deed, LinkChange, NodeId};

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
        include_str!("../../../../scenarios/quickstart.toml"),
    );
    check(
        "acks1",
        include_str!("../../../../scenarios/acks1-leader-crash.toml"),
    );
    check(
        "acks-all",
        include_str!("../../../../scenarios/acks-all-leader-crash.toml"),
    );
}

#[test]
fn the_committed_schema_is_current() {
    let committed = include_str!("../../../../docs/scenario.schema.json");
    assert!(
        committed == schema(),
        "run `cargo run -p strandline-cli -- schema > docs/scenario.schema.json`"
    );
}

#[test]
fn a_cluster_is_filled_in_exactly() {
    let text = BASE.replace("brokers = 3", "brokers = 3\ncontrollers = [\"k1\"]\nconfig.replica.lag.time.max.ms = 5_000\nrules = { truncation = \"kip-101\", strict-min-isr = false }");
    let scenario = good(&text);
    let spec = scenario.kafka().expect("there is a cluster");
    assert_eq!(
        spec.brokers,
        [("b1".into(), 1), ("b2".into(), 2), ("b3".into(), 3)]
    );
    assert_eq!(spec.controllers, [("k1".into(), 101)]);
    assert_eq!(scenario.nodes, ["b1", "b2", "b3", "k1", "p1", "r1"]);
    assert_eq!(spec.config.replica_lag_time_max_ms, 5_000);
    assert_eq!(
        spec.rules.truncation,
        crate::kafka::rules::truncation::TruncationRule::Kip101
    );
    assert!(!spec.rules.strict_min_isr && spec.rules.fence_fetch_epoch);
    assert_eq!(spec.topics[0].assignment, [[1, 2, 3], [2, 3, 1]]);
    let load = &spec.producers[0].load;
    assert_eq!(load.arrivals, Arrivals::Constant { gap: 100_000_000 });
    assert_eq!((load.keys, load.record_bytes), (Keys::None, 100));
    assert_eq!((scenario.seed, scenario.duration), (1, 20_000_000_000));
    assert_eq!(scenario.network, Network::default());
}

#[test]
fn ids_loads_and_links_are_read() {
    let text = BASE
        .replace("brokers = 3", "brokers = { b2 = 7, b1 = 5, b9 = 6 }")
        .replace("{ kind = \"constant\", rate = 10 }", "{ kind = \"bursts\", gap = \"2ms\", on = \"1s\", off = \"4s\", keys = { kind = \"zipf\", count = 9, exponent = 1.25 }, record-size = \"1KiB\", limit = 77 }")
        + "[network]\ndelay = \"2ms\"\nbandwidth = \"1MB/s\"\n[[network.link]]\nfrom = \"b1\"\nto = [\"b2\", \"p1\"]\none-way = true\njitter = \"1ms\"\n";
    let scenario = good(&text);
    let spec = scenario.kafka().expect("there is a cluster");
    assert_eq!(
        spec.brokers,
        [("b2".into(), 7), ("b1".into(), 5), ("b9".into(), 6)]
    );
    let load = &spec.producers[0].load;
    let (gap, on, off) = (2_000_000, 1_000_000_000, 4_000_000_000);
    assert_eq!(load.arrivals, Arrivals::Bursts { gap, on, off });
    assert_eq!(
        load.keys,
        Keys::Zipf {
            n: 9,
            exponent_milli: 1_250
        }
    );
    assert_eq!((load.record_bytes, load.limit), (1_024, Some(77)));
    let profile = crate::kernel::LinkProfile {
        delay: 2_000_000,
        jitter: 0,
        per_kilobyte: 1_000_000,
    };
    assert_eq!(scenario.network.default, profile);
    let slow = crate::kernel::LinkProfile {
        jitter: 1_000_000,
        ..profile
    };
    let links = [(NodeId(1), NodeId(0), slow), (NodeId(1), NodeId(6), slow)];
    assert_eq!(scenario.network.links, links);
}

/// The timeline of the base with entries added.
fn timeline(entries: &str) -> Vec<TimelineEntry> {
    good(&format!("{BASE}{entries}")).timeline
}

#[test]
fn triggers_are_read() {
    let s = |seconds: u64| seconds * 1_000_000_000;
    let check = |moment: &str, times: &[u64]| {
        let entries = timeline(&format!(
            "[[timeline]]\n{moment}\ndo = \"crash\"\nnode = \"b1\"\n"
        ));
        let found: Vec<u64> = entries[0].trigger.times(s(20)).collect();
        assert_eq!(found, times, "{moment}");
    };
    check("at = \"5s\"", &[s(5)]);
    check("every = \"8s\"", &[s(8), s(16)]);
    check("every = \"8s\"\nafter = \"1s\"", &[s(1), s(9), s(17)]);
    check(
        "every = \"8s\"\nafter = \"1s\"\nuntil = \"9s\"",
        &[s(1), s(9)],
    );
    let entries = timeline(
        "[[timeline]]\nwhen = 'b1.fenced'\nevery-time = true\nafter = \"2s\"\nfor = \"3s\"\ndo = \"pause\"\nnode = \"b2\"\nnote = \"n\"\n",
    );
    let Trigger::When {
        predicate,
        every_time,
        after,
        until,
    } = &entries[0].trigger
    else {
        panic!("{:?}", entries[0].trigger);
    };
    assert_eq!(
        (predicate.text.as_str(), every_time, after, until),
        ("b1.fenced", &true, &s(2), &s(20))
    );
    assert_eq!(
        (entries[0].undo_after, entries[0].note.as_deref()),
        (Some(s(3)), Some("n"))
    );
    assert_eq!(entries[0].line, 21);
}

/// Facts that are given as a list; all else is none.
pub(super) struct Given(pub(super) Vec<(Probe, Value)>);

impl Facts for Given {
    fn value(&self, probe: &Probe) -> Value {
        self.0
            .iter()
            .find(|(p, _)| p == probe)
            .map_or(Value::None, |(_, value)| *value)
    }
}

#[test]
fn nodes_are_found_when_a_deed_is_due() {
    use crate::kafka::ids::TopicPartition;
    use crate::kafka::scenario::Probe as Ask;
    let probe = |ask| Probe::System(crate::systems::Probe::Kafka(ask));
    let tp = TopicPartition::default();
    let leader = probe(Ask::PartitionLeader(tp));
    let isr = probe(Ask::Isr(tp));
    let n = NodeId;
    let check = |entry: &str,
                 facts: &[(Probe, Value)],
                 expect: Result<Vec<Deed<crate::systems::Order>>, &str>| {
        let entries = timeline(&format!("[[timeline]]\nat = \"1s\"\n{entry}\n"));
        let facts = Given(facts.to_vec());
        let mut found = Ok(Vec::new());
        for act in &entries[0].acts {
            match (act.resolve(&facts), &mut found) {
                (Ok(deeds), Ok(all)) => all.extend(deeds),
                (Err(refusal), _) => found = Err(refusal.0),
                _ => {}
            }
        }
        assert_eq!(found, expect.map_err(str::to_owned), "{entry}");
    };
    let is = |node| [(leader, Value::Node(n(node)))];
    check(
        "do = \"crash\"\nnode = \"orders-0.leader\"",
        &is(1),
        Ok(vec![Deed::Crash(n(1))]),
    );
    check(
        "do = \"crash\"\nnode = \"orders-0.leader\"",
        &[],
        Err("`orders-0.leader` is no node at this moment"),
    );
    let set: NodeSet = [n(0), n(2)].into_iter().collect();
    check(
        "do = \"pause\"\nnode = \"orders-0.isr\"",
        &[(isr, Value::Nodes(set))],
        Ok(vec![Deed::Pause(n(0)), Deed::Pause(n(2))]),
    );
    check(
        "do = \"cut\"\nfrom = \"orders-0.leader\"\nto = [\"b1\", \"b3\"]",
        &is(1),
        Ok(vec![Deed::Cut(n(1), n(0)), Deed::Cut(n(1), n(2))]),
    );
    check(
        "do = \"partition\"\nnodes = [\"orders-0.leader\", \"p1\"]",
        &is(1),
        Ok(vec![Deed::Partition(
            vec![n(1), n(6)],
            vec![n(0), n(2), n(3), n(4), n(5), n(7)],
        )]),
    );
    check(
        "do = \"partition\"\nnodes = \"b1\"\nothers = [\"b1\", \"b2\"]",
        &[],
        Ok(vec![Deed::Partition(vec![n(0)], vec![n(0), n(1)])]),
    );
    let active = probe(Ask::QuorumLeader);
    let order = crate::systems::Order::Kafka(crate::kafka::Order::ElectPreferred);
    check(
        "do = \"elect-preferred\"",
        &[(active, Value::Node(n(4)))],
        Ok(vec![Deed::Order(n(4), order)]),
    );
}

#[test]
fn what_a_span_takes_back() {
    let n = NodeId;
    let mend = |a, b| {
        Deed::Link(
            n(a),
            n(b),
            LinkChange {
                cut: Some(false),
                ..LinkChange::default()
            },
        )
    };
    let check = |deed: Deed<crate::systems::Order>,
                 expect: Option<Vec<Deed<crate::systems::Order>>>| {
        assert_eq!(inverse(&deed), expect, "{deed:?}");
    };
    check(Deed::Crash(n(1)), Some(vec![Deed::Restart(n(1))]));
    check(Deed::Pause(n(1)), Some(vec![Deed::Resume(n(1))]));
    check(Deed::Cut(n(1), n(2)), Some(vec![mend(1, 2), mend(2, 1)]));
    check(
        Deed::Partition(vec![n(0)], vec![n(0), n(1)]),
        Some(vec![mend(0, 1), mend(1, 0)]),
    );
    let slow = LinkChange {
        slow_by: Some(5),
        loss_ppm: Some(7),
        ..LinkChange::default()
    };
    let fast = LinkChange {
        slow_by: Some(0),
        loss_ppm: Some(0),
        ..LinkChange::default()
    };
    check(
        Deed::Link(n(0), n(1), slow),
        Some(vec![Deed::Link(n(0), n(1), fast)]),
    );
    check(Deed::WipeDisk(n(0)), None);
    check(Deed::HealAll, None);
    let load = |on| crate::systems::Order::Kafka(crate::kafka::Order::Load { on });
    check(
        Deed::Order(n(4), load(false)),
        Some(vec![Deed::Order(n(4), load(true))]),
    );
}

#[test]
fn every_verb_that_can_be_taken_back_says_so() {
    for verb in super::entry::all_verbs() {
        let keys: Vec<&str> = verb.args.iter().map(|arg| arg.key).collect();
        let common = [
            "at",
            "every",
            "when",
            "every-time",
            "after",
            "until",
            "for",
            "do",
            "note",
        ];
        assert!(
            keys.iter().all(|key| !common.contains(key)),
            "{}",
            verb.name
        );
        for other in super::entry::all_verbs() {
            for arg in other.args {
                let same = verb.args.iter().find(|mine| mine.key == arg.key);
                let kinds = same.map(|mine| (mine.kind.expected(), arg.kind.expected()));
                assert!(
                    kinds.is_none_or(|(a, b)| a == b),
                    "{} of {}",
                    arg.key,
                    other.name
                );
            }
        }
    }
}

#[test]
fn another_seed_is_put_in_place() {
    let check = |text: &str, seed: u64| {
        let out = with_seed(text, seed).expect("is good");
        let expect = Scenario { seed, ..good(&out) };
        assert_eq!(good(&out), expect);
        assert_eq!(with_seed(&out, 1).map(|text| good(&text).seed), Ok(1));
    };
    check(BASE, 5);
    check(BASE, u64::MAX);
    check(&BASE.replace("title", "seed = 3 # three\ntitle"), 9);
    assert!(with_seed("x = [", 9).is_err());
}

#[test]
fn expectations_and_captions_are_read() {
    let s = |seconds: u64| seconds * 1_000_000_000;
    let check = |more: &str, expect: Moment| {
        let scenario = good(&format!(
            "{BASE}[[expect]]\nthat = \"ledger.lost == 0\"\n{more}\n"
        ));
        assert_eq!(scenario.expectations[0].moment, expect, "{more}");
    };
    check("", Moment::End);
    check("at = \"end\"", Moment::End);
    check("at = \"7s\"", Moment::At(s(7)));
    check(
        "at = \"eventually\"",
        Moment::Eventually {
            after: 0,
            by: s(20),
        },
    );
    check(
        "at = \"eventually\"\nafter = \"1s\"\nby = \"2s\"",
        Moment::Eventually {
            after: s(1),
            by: s(2),
        },
    );
    check(
        "at = \"always\"\nuntil = \"2s\"",
        Moment::Always {
            after: 0,
            until: s(2),
        },
    );
    check(
        "at = \"never\"\nafter = \"3s\"",
        Moment::Never {
            after: s(3),
            until: s(20),
        },
    );
    let scenario = good(&format!("{BASE}[[caption]]\nat = \"1s\"\ntext = \"x\"\n"));
    assert_eq!(scenario.captions[0].trigger, Trigger::At(s(1)));
}
