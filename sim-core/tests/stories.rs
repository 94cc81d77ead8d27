//! The classic failure stories of replication, played in whole clusters, with and without the rule
//! that each of them is about. Brokers 1 to 3 are nodes 0 to 2, controllers 3 to 5, the producer 6.

use sim_core::kafka::broker::Broker;
use sim_core::kafka::ids::{BrokerId, TopicId, TopicPartition};
use sim_core::kafka::invariants::Invariants;
use sim_core::kafka::rules::truncation::TruncationRule;
use sim_core::kafka::spec::{ClusterSpec, ProducerSpec, TopicSpec};
use sim_core::kafka::{self, Note, Order as KafkaOrder, cluster};
use sim_core::kernel::{
    Deed, LinkChange, LinkProfile, MILLISECOND, NodeId, SECOND, Scratch, World,
};
use sim_core::log::RecordId;
use sim_core::systems::{self, Node, Order};
use std::collections::{BTreeMap, BTreeSet};

const TP: TopicPartition = TopicPartition {
    topic: TopicId(0),
    partition: 0,
};
const PRODUCER: NodeId = NodeId(6);
const B1: NodeId = NodeId(0);
const B2: NodeId = NodeId(1);
const B3: NodeId = NodeId(2);

struct Story {
    world: World<Node>,
    scratch: Scratch<Node>,
    invariants: Invariants,
    acknowledged: BTreeMap<RecordId, i64>,
    failed: BTreeSet<RecordId>,
}

/// One partition on `replicas`, with this `min.insync.replicas` and `acks`.
fn spec(replicas: &[BrokerId], min_isr: u32, acks: &str) -> ClusterSpec {
    let server = |name: &str, base: i32| {
        let named = (1..=3).map(|i| (format!("{name}{i}"), base + i));
        named.collect::<Vec<_>>()
    };
    let mut topic = TopicSpec {
        name: "orders".to_owned(),
        assignment: vec![replicas.to_vec()],
        ..TopicSpec::default()
    };
    topic.config.min_insync_replicas = min_isr;
    let mut producer = ProducerSpec {
        name: "p".to_owned(),
        topic: "orders".to_owned(),
        config: Default::default(),
        load: Default::default(),
    };
    producer.config.set("acks", acks).expect("a known value");
    ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![topic],
        producers: vec![producer],
        ..ClusterSpec::default()
    }
}

impl Story {
    /// Five seconds after the start, when everything is up.
    fn begin(spec: &ClusterSpec) -> Self {
        let link = LinkProfile {
            delay: MILLISECOND / 2,
            jitter: MILLISECOND / 10,
            per_kilobyte: 0,
        };
        let mut story = Story {
            world: cluster::build(spec, 3, link),
            scratch: Scratch::default(),
            invariants: Invariants::new(spec),
            acknowledged: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        story.world.boot(&mut story.scratch);
        story.until(5);
        story
    }

    /// Runs until this second.
    fn until(&mut self, second: u64) {
        while self
            .world
            .next_time()
            .is_some_and(|at| at <= second * SECOND)
        {
            self.world.step(&mut self.scratch).expect("an event waits");
            self.take_notes();
        }
    }

    fn take_notes(&mut self) {
        for note in &self.scratch.notes {
            let systems::Note::Kafka(note) = note else {
                continue;
            };
            self.invariants.observe(note, &self.world);
            match note {
                Note::Acknowledged { record, offset, .. } => {
                    self.acknowledged.insert(*record, *offset);
                }
                Note::Failed { record, .. } => {
                    self.failed.insert(*record);
                }
                _ => {}
            }
        }
    }

    fn apply(&mut self, deed: Deed<Order>) {
        let done = self.world.apply(&deed, &mut self.scratch);
        done.expect("the deed can be done");
        self.take_notes();
    }

    fn send(&mut self, records: u32) {
        let order = Order::Kafka(KafkaOrder::Send { records });
        self.apply(Deed::Order(PRODUCER, order));
    }

    fn cut_off(&mut self, broker: NodeId) {
        let others = (0..6).map(NodeId).filter(|node| *node != broker);
        self.apply(Deed::Partition(vec![broker], others.collect()));
    }

    fn broker(&self, node: NodeId) -> &Broker {
        match self.world.process(node) {
            Some(Node::Kafka(kafka::Node::Broker(broker))) => broker,
            other => panic!("not a broker: {other:?}"),
        }
    }

    /// Ids of the records in a broker's log.
    fn log(&self, node: NodeId) -> Vec<RecordId> {
        let log = self.broker(node).log(TP).expect("it hosts the partition");
        let records = log.records(log.start_offset(), log.leo());
        records.map(|(_, _, record)| record.id).collect()
    }

    /// Leader, leader epoch and ISR as a broker's metadata has them.
    fn known(&self, at: NodeId) -> (BrokerId, i32, Vec<BrokerId>) {
        let state = &self.broker(at).image().partitions[&TP];
        let mut isr = state.isr.clone();
        isr.sort_unstable();
        (state.leader, state.leader_epoch, isr)
    }

    /// Acknowledged records that a broker does not have.
    fn lost(&self, at: NodeId) -> usize {
        let has: BTreeSet<RecordId> = self.log(at).into_iter().collect();
        let missing = self.acknowledged.keys().filter(|id| !has.contains(id));
        missing.count()
    }

    fn violations(&self) -> Vec<&'static str> {
        let found = self.invariants.violations().iter();
        found.map(|violation| violation.name).collect()
    }
}

/// S5: a record that only the leader has is acknowledged with acks=1 and lost with the leader. With
/// acks=all the producer is not told too early and writes it again.
#[test]
fn s5_acks_1_loses_what_only_the_leader_has() {
    let check = |acks: &str, acked_before: usize, lost: usize| {
        let mut story = Story::begin(&spec(&[1, 2, 3], 2, acks));
        story.send(1);
        story.until(6);
        assert_eq!(story.acknowledged.len(), 1, "acks={acks}");
        let slow = LinkChange {
            cut: Some(true),
            ..LinkChange::default()
        };
        story.apply(Deed::Link(B1, B2, slow.clone()));
        story.apply(Deed::Link(B1, B3, slow));
        story.send(1);
        story.until(7);
        assert_eq!(story.acknowledged.len(), acked_before, "acks={acks}");
        assert_eq!(story.log(B1).len(), 2);
        story.apply(Deed::Crash(B1));
        story.apply(Deed::HealAll);
        story.until(30);
        assert_eq!(story.known(B2).0, 2);
        story.apply(Deed::Restart(B1));
        story.until(60);
        assert_eq!(story.lost(B2), lost, "acks={acks}");
        assert_eq!(
            story.log(B1),
            story.log(B2),
            "the old leader has cut its log"
        );
        assert_eq!((story.acknowledged.len(), story.failed.len()), (2, 0));
        assert_eq!(story.violations(), [""; 0], "committed records are safe");
    };
    check("1", 2, 1);
    check("all", 1, 0);
}

/// S9: a leader cut off from everything but its clients goes on acknowledging acks=1 writes, which
/// are all lost when it hears of its successor. acks=all writes stall and are lost nowhere.
#[test]
fn s9_a_deposed_leader_takes_writes_that_are_lost() {
    let check = |acks: &str, in_window: usize, lost: usize| {
        let mut story = Story::begin(&spec(&[1, 2, 3], 2, acks));
        story.send(1);
        story.until(6);
        story.cut_off(B1);
        for second in 7..14 {
            story.send(1);
            story.until(second);
        }
        assert_eq!(story.acknowledged.len(), 1 + in_window, "acks={acks}");
        story.until(20);
        assert_eq!(story.known(B2).0, 2, "a successor is elected");
        assert!(story.broker(B1).partition(TP).is_some_and(|it| it.leads));
        story.apply(Deed::HealAll);
        story.until(90);
        assert!(story.broker(B1).partition(TP).is_some_and(|it| !it.leads));
        assert_eq!(story.lost(B2), lost, "acks={acks}");
        assert_eq!(story.log(B1), story.log(B2));
        assert_eq!(story.violations(), [""; 0]);
    };
    check("1", 7, 7);
    check("all", 0, 0);
}

/// S6: with `min.insync.replicas=1` an acknowledged record may have a single copy.
#[test]
fn s6_one_copy_is_enough_for_an_ack_unless_two_are_asked_for() {
    let check = |min_isr: u32, acked: usize| {
        let mut story = Story::begin(&spec(&[1, 2, 3], min_isr, "all"));
        story.cut_off(B2);
        story.cut_off(B3);
        story.until(20);
        assert_eq!(story.known(B1).2, [1], "min {min_isr}");
        story.send(1);
        story.until(30);
        assert_eq!(story.acknowledged.len(), acked, "min {min_isr}");
        assert_eq!(
            story.log(B1).len(),
            acked,
            "refused writes are not appended"
        );
        story.apply(Deed::Crash(B1));
        story.apply(Deed::WipeDisk(B1));
        story.apply(Deed::HealAll);
        story.until(60);
        story
    };
    let story = check(1, 1);
    assert_eq!(story.known(B2).0, -1, "nobody else may lead");
    let story = check(2, 0);
    // The last to leave the ISR was still eligible (KIP-966).
    assert!(story.known(B2).0 > 1, "{:?}", story.known(B2));
    assert_eq!(story.lost(B2), 0);
}

/// S7, the last replica standing: three replicas leave one by one, the last one loses its page
/// cache. Eligible leader replicas (KIP-966) keep the acknowledged record.
#[test]
fn s7_eligible_leader_replicas_outlive_the_last_one_standing() {
    let check = |elr: bool, leader_before: BrokerId, leader: BrokerId, lost: usize| {
        let mut spec = spec(&[1, 2, 3], 2, "all");
        spec.rules.elr = elr;
        spec.config.elr_enabled = elr;
        // The producer soon notices that broker 1 is out of reach.
        spec.producers[0].config.request_timeout_ms = 2_000;
        let mut story = Story::begin(&spec);
        story.send(1);
        story.until(6);
        story.cut_off(B1);
        story.apply(Deed::Cut(B1, PRODUCER));
        story.until(31);
        assert_eq!(story.known(B2).2, [2, 3]);
        story.send(1);
        story.until(36);
        assert_eq!(story.acknowledged.len(), 2, "written by two");
        story.cut_off(B2);
        story.until(48);
        assert_eq!(story.known(B3).2, [3]);
        story.apply(Deed::PowerLoss(B3));
        story.until(60);
        story.apply(Deed::Restart(B3));
        // Controllers and the one that lost its page cache are together; broker 2 comes later.
        story.until(75);
        let (now, _, _) = story.known(B3);
        assert_eq!(now, leader_before, "elr {elr}");
        story.apply(Deed::HealAll);
        story.until(110);
        assert_eq!(story.known(B3).0, leader, "elr {elr}");
        let node = NodeId(u32::try_from(leader - 1).expect("a broker"));
        assert_eq!(story.lost(node), lost, "elr {elr}");
    };
    check(true, -1, 2, 0);
    check(false, 3, 3, 1);
}

/// Two brokers fail in turn, and the second loses its last record with the power.
fn fail_in_turn(truncation: TruncationRule) -> Story {
    let mut spec = spec(&[1, 2], 1, "all");
    spec.rules.truncation = truncation;
    spec.rules.elr = false;
    spec.config.elr_enabled = false;
    let mut story = Story::begin(&spec);
    story.send(1);
    story.until(31);
    story.send(1);
    story.until(40);
    assert_eq!((story.log(B1).len(), story.log(B2).len()), (2, 2));
    // Broker 1 keeps its page cache, broker 2 loses the second record with the power.
    story.apply(Deed::Crash(B1));
    story.until(52);
    story.apply(Deed::PowerLoss(B2));
    story.until(65);
    assert_eq!(story.log(B2).len(), 1);
    story.apply(Deed::Restart(B2));
    story.until(75);
    assert_eq!(story.known(B2).0, 2);
    story.send(1);
    story.until(80);
    story.apply(Deed::Restart(B1));
    story.until(100);
    story
}

/// S2: after a double failure two logs differ below their high watermarks if followers cut by high
/// watermark, as they did before KIP-101. With leader epochs they agree.
#[test]
fn s2_leader_epochs_keep_logs_from_parting() {
    let check = |truncation: TruncationRule, agree: bool| {
        let story = fail_in_turn(truncation);
        assert_eq!(
            story.known(B2).2,
            [1, 2],
            "{truncation:?}: both count as in sync"
        );
        assert_eq!(story.log(B1) == story.log(B2), agree, "{truncation:?}");
    };
    check(TruncationRule::HighWatermark, false);
    check(TruncationRule::Kip101, true);
    check(TruncationRule::Epoch, true);
}

/// `KafkaTruncateToHighWatermark`: two replicas hold different records at one offset, below both
/// their high watermarks. (That a replica had lost its disk's cache, the checker counts as what was
/// given up; so it reports only that an in-sync replica lacks a committed record.)
#[test]
fn tla_trace_trunchw_divergence() {
    let high_watermark = |story: &Story, node| {
        let log = story.broker(node).log(TP).expect("it hosts the partition");
        log.high_watermark()
    };
    let story = fail_in_turn(TruncationRule::HighWatermark);
    let (one, two) = (story.log(B1), story.log(B2));
    assert_eq!((one.len(), two.len()), (2, 2));
    assert_ne!(one[1], two[1]);
    assert_eq!([B1, B2].map(|node| high_watermark(&story, node)), [2, 2]);
    assert!(story.violations().contains(&"StrongIsr"));
}

/// S10: a pause longer than a session costs leadership, and what only the paused one had.
#[test]
fn s10_a_long_pause_costs_leadership_a_short_one_only_time() {
    let check = |pause: u64, leader: BrokerId, epoch: i32| {
        let mut story = Story::begin(&spec(&[1, 2, 3], 2, "all"));
        story.send(1);
        story.until(6);
        story.apply(Deed::Pause(B1));
        story.send(1);
        story.until(6 + pause);
        story.apply(Deed::Resume(B1));
        story.until(60);
        let (now, at, isr) = story.known(B1);
        assert_eq!((now, at, isr), (leader, epoch, vec![1, 2, 3]), "{pause} s");
        assert_eq!((story.acknowledged.len(), story.lost(B1)), (2, 0));
        assert_eq!(story.log(B1), story.log(B2));
        assert_eq!(story.violations(), [""; 0]);
    };
    check(5, 1, 0);
    check(12, 2, 1);
}

/// S11: a follower whose disk cannot keep up holds the high watermark back until it is out of the
/// ISR. The load is acks=1: with acks=all a single producer would slow down to the disk's pace, and
/// nobody would lag.
#[test]
fn s11_a_slow_disk_holds_the_high_watermark_until_it_leaves_the_isr() {
    let mut spec = spec(&[1, 2, 3], 2, "1");
    let load = &mut spec.producers[0].load;
    load.arrivals = sim_core::kafka::spec::Arrivals::Constant {
        gap: 20 * MILLISECOND,
    };
    load.record_bytes = 1_000;
    let mut story = Story::begin(&spec);
    let behind = |story: &Story| {
        let view = story.broker(B1).partition(TP).expect("it leads");
        view.leo - view.hw
    };
    story.until(10);
    assert!(behind(&story) < 5);
    story.apply(Deed::SlowDisk(B3, 20_000));
    story.until(40);
    assert!(behind(&story) > 300, "{}", behind(&story));
    assert_eq!(story.known(B1).2, [1, 2, 3], "not lagging for 30 s yet");
    story.until(80);
    assert_eq!(story.known(B1).2, [1, 2], "it left");
    assert!(behind(&story) < 5);
    story.apply(Deed::SlowDisk(B3, 0));
    story.until(200);
    assert_eq!(story.known(B1).2, [1, 2, 3], "and it came back");
    assert_eq!((story.lost(B1), story.failed.len()), (0, 0));
}

/// S12: Kafka does not flush per write. If all replicas lose power at once, acknowledged records go.
#[test]
fn s12_power_loss_everywhere_takes_acknowledged_records() {
    let mut story = Story::begin(&spec(&[1, 2, 3], 2, "all"));
    story.send(1);
    story.until(31);
    story.send(1);
    story.until(35);
    assert_eq!(story.acknowledged.len(), 2);
    for broker in [B1, B2, B3] {
        story.apply(Deed::PowerLoss(broker));
    }
    story.until(36);
    for broker in [B1, B2, B3] {
        story.apply(Deed::Restart(broker));
    }
    story.until(60);
    for broker in [B1, B2, B3] {
        assert_eq!(
            story.lost(broker),
            1,
            "{broker:?}: the record that was flushed stays"
        );
    }
}

/// S13: a rolling restart with controlled shutdown fails no write and loses none.
#[test]
fn s13_a_rolling_restart_is_not_noticed() {
    let mut spec = spec(&[1, 2, 3], 2, "all");
    spec.producers[0].load.arrivals = sim_core::kafka::spec::Arrivals::Constant {
        gap: 10 * MILLISECOND,
    };
    spec.producers[0].load.stop = Some(60 * SECOND);
    let mut story = Story::begin(&spec);
    for (at, broker) in [(10, B1), (25, B2), (40, B3)] {
        story.until(at);
        story.apply(Deed::Order(
            broker,
            Order::Kafka(KafkaOrder::ControlledShutdown),
        ));
        story.until(at + 5);
        // Were it still running, it could not be started.
        story.apply(Deed::Restart(broker));
    }
    story.until(70);
    assert_eq!(story.known(B1).2, [1, 2, 3]);
    assert_eq!(story.failed.len(), 0);
    assert!(
        story.acknowledged.len() > 5_000,
        "{}",
        story.acknowledged.len()
    );
    assert_eq!(story.lost(B1), 0);
    let log = story.log(B1);
    let distinct: BTreeSet<_> = log.iter().collect();
    assert_eq!(log.len(), distinct.len(), "no duplicates");
    assert_eq!(story.violations(), [""; 0]);
}
