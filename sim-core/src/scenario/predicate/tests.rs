//! What predicates mean, on given facts.

use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::scenario::Probe as Ask;
use crate::kernel::NodeId;
use crate::scenario::{Expectation, Facts, LedgerCount, NodeSet, Probe, Value, parse};
use crate::systems;

const CLUSTER: &str = r#"strandline = 1
title = "t"
duration = "20s"
[kafka]
brokers = 3
controllers = 1
[[kafka.topic]]
name = "orders"
partitions = 2
replication-factor = 3
[[kafka.topic]]
name = "a.b"
assignment = [["b2"]]
[[kafka.producer]]
name = "p1"
topic = "orders"
[[kafka.consumer]]
name = "r1"
topic = "orders"
partitions = [1]
"#;

fn expectation(text: &str) -> Expectation {
    let file = format!(
        "{CLUSTER}[[expect]]\nthat = {}\n",
        crate::scenario::units::quote(text)
    );
    let parsed = parse(&file);
    let shown = crate::scenario::render(&parsed.diagnostics, "test", &file);
    let mut scenario = parsed.scenario.unwrap_or_else(|| panic!("{shown}"));
    scenario.expectations.remove(0)
}

fn ask(probe: Ask) -> Probe {
    Probe::System(systems::Probe::Kafka(probe))
}

fn tp(topic: u16, partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(topic),
        partition,
    }
}

/// b1 is down; orders-0 is led by b2 with b2 and b3 in sync; orders-1 has no leader.
struct World;

impl Facts for World {
    fn value(&self, probe: &Probe) -> Value {
        let isr: NodeSet = [NodeId(1), NodeId(2)].into_iter().collect();
        let known = [
            (Probe::Time, Value::Time(6_000_000_000)),
            (Probe::NodeState(NodeId(0)), Value::Word(2)),
            (Probe::NodeState(NodeId(1)), Value::Word(0)),
            (Probe::Ledger(LedgerCount::Lost), Value::Int(0)),
            (Probe::InvariantsViolated, Value::Int(0)),
            (ask(Ask::PartitionLeader(tp(0, 0))), Value::Node(NodeId(1))),
            (ask(Ask::Isr(tp(0, 0))), Value::Nodes(isr)),
            (ask(Ask::HighWatermark(tp(0, 0))), Value::Int(100)),
            (ask(Ask::HighWatermark(tp(1, 0))), Value::Int(7)),
            (ask(Ask::ReplicaLeo(NodeId(1), tp(0, 0))), Value::Int(105)),
            (ask(Ask::Fenced(NodeId(0))), Value::Bool(true)),
            (ask(Ask::Fenced(NodeId(1))), Value::Bool(false)),
            (ask(Ask::ProducerAcknowledged(NodeId(4))), Value::Int(51)),
            (
                ask(Ask::ConsumerPosition(NodeId(5), tp(0, 1))),
                Value::Int(3),
            ),
            (ask(Ask::QuorumLeader), Value::Node(NodeId(3))),
        ];
        known
            .iter()
            .find(|(p, _)| p == probe)
            .map_or(Value::None, |(_, value)| *value)
    }
}

#[test]
fn truth() {
    let check = |text: &str, expect: bool| {
        assert_eq!(expectation(text).predicate.holds(&World), expect, "{text}");
    };
    check("orders-0.leader == b2", true);
    check("orders-0.leader != b2", false);
    check("b2 == orders-0.leader", true);
    check("orders-0.leader in {b2, b3}", true);
    check("orders-0.leader in {b1}", false);
    check("orders-0.isr.size < 3", true);
    check("orders-0.isr.size == 2", true);
    check("orders-0.isr == {b3, b2}", true);
    check("orders-0.isr == orders-0.replicas", false);
    check("b1 in orders-0.isr", false);
    check("b1 not in orders-0.isr", true);
    check("b1 in orders-0.replicas", true);
    check("orders-0.hw >= 100", true);
    check("orders-0.hw > 100", false);
    check("b2.orders-0.leo > orders-0.hw", true);
    check("b1.state == \"down\"", true);
    check("b1.state == down", true);
    check("down == b1.state", true);
    check("b1.state in {down, paused}", true);
    check("b2.state != up", false);
    check("b1.fenced and not b2.fenced", true);
    check("b1.fenced == true", true);
    check("p1.acknowledged > 50", true);
    check("r1.orders-1.position == 3", true);
    check("ledger.lost == 0", true);
    check("controller.leader == c1", true);
    check("time >= 5s", true);
    check("time < 5.5s or time > 1m", false);
    check("invariants.violated == 0", true);
    check("\"a.b-0\".hw == 7", true);
    check("not (b1.fenced or b2.fenced)", false);
    // What is not there equals none, is unequal to all else, and is in no order.
    check("orders-1.leader == none", true);
    check("orders-0.leader == none", false);
    check("orders-1.leader == b1", false);
    check("orders-1.leader != b1", true);
    check("orders-1.leader in {b1, b2, b3}", false);
    check("orders-1.hw >= 0", false);
    check("not orders-1.hw >= 0", true);
    check("orders-1.hw == none", true);
    check("orders-1.isr.size == 0", false);
}

#[test]
fn probes_are_listed_once() {
    let predicate = expectation("b1.fenced and (b1.fenced or ledger.lost == 0)").predicate;
    let expect = [
        Probe::Ledger(LedgerCount::Lost),
        ask(Ask::Fenced(NodeId(0))),
    ];
    assert_eq!(predicate.probes(), expect);
}

#[test]
fn both_sides_of_what_did_not_hold_are_told() {
    let check = |text: &str, expect: &[(i64, i64)]| {
        let sides = expectation(text).predicate.sides(&World);
        let sides: Vec<(Value, Value)> = sides.iter().map(|it| (it.left, it.right)).collect();
        let expect = expect.iter().map(|(a, b)| (Value::Int(*a), Value::Int(*b)));
        assert_eq!(sides, expect.collect::<Vec<_>>(), "{text}");
    };
    check("b1.fenced and (b1.fenced or ledger.lost == 0)", &[]);
    check("orders-0.hw >= 3", &[(100, 3)]);
    check("orders-0.hw >= 3 and orders-0.hw == 7", &[(100, 7)]);
    check(
        "orders-0.hw == 3 and orders-0.hw == 7",
        &[(100, 3), (100, 7)],
    );
    check(
        "orders-0.hw >= 3 and orders-0.hw >= 7",
        &[(100, 3), (100, 7)],
    );
}
