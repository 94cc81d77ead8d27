//! Producers and consumers against whole clusters: what is acknowledged, lost, doubled, reordered.

use sim_core::kafka::cluster;
use sim_core::kafka::consumer::Consumer;
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::ids::TopicPartition;
use sim_core::kafka::note::{Note, Rule};
use sim_core::kafka::producer::{Blocked, Producer};
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kafka::{self, Order};
use sim_core::kernel::{
    Deed, FilterRule, LinkChange, LinkProfile, MILLISECOND, Message, MessageDeed, Nanos, NodeId,
    SECOND, Scratch, World,
};
use sim_core::log::RecordId;
use sim_core::systems::{self, Node};
use std::collections::{BTreeMap, BTreeSet};

const PRODUCER: NodeId = NodeId(6);
const CONSUMER: NodeId = NodeId(7);

const POISSON: Arrivals = Arrivals::Poisson {
    mean_gap: 2 * MILLISECOND,
};

/// Three brokers (nodes 0 to 2), three controllers (3 to 5), a producer (6) and a consumer (7).
/// The load begins at 5 s, when the cluster stands.
fn spec(partitions: u16, settings: &[(&str, &str)], arrivals: Arrivals) -> ClusterSpec {
    let server = |name: &str, base: i32| {
        (1..=3)
            .map(|i| (format!("{name}{i}"), base + i))
            .collect::<Vec<_>>()
    };
    let replicas = |p: u16| (0..3).map(|i| (i32::from(p) + i) % 3 + 1).collect();
    let mut topic = TopicSpec {
        name: "orders".to_owned(),
        assignment: (0..partitions).map(replicas).collect(),
        ..TopicSpec::default()
    };
    topic.config.min_insync_replicas = 2;
    let mut producer = ProducerSpec {
        name: "p".to_owned(),
        topic: "orders".to_owned(),
        config: Default::default(),
        load: LoadSpec {
            arrivals,
            keys: Keys::Uniform { n: 100 },
            start: 5 * SECOND,
            ..LoadSpec::default()
        },
    };
    let known = "a known key and value";
    for (key, value) in settings {
        producer.config.set(key, value).expect(known);
    }
    let mut consumer = ConsumerSpec {
        name: "c".to_owned(),
        topic: "orders".to_owned(),
        also: Vec::new(),
        partitions: Vec::new(),
        config: Default::default(),
        start: 0,
    };
    consumer.config.auto_offset_reset = sim_core::kafka::config::OffsetReset::Earliest;
    ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![topic],
        producers: vec![producer],
        consumers: vec![consumer],
        ..ClusterSpec::default()
    }
}

struct Sim {
    world: World<Node>,
    scratch: Scratch<Node>,
    notes: Vec<(Nanos, Note)>,
}

impl Sim {
    fn boot(spec: &ClusterSpec, seed: u64) -> Self {
        let link = LinkProfile {
            delay: MILLISECOND / 2,
            jitter: MILLISECOND / 10,
            per_kilobyte: 0,
        };
        let mut world = cluster::build(spec, seed, link);
        let mut scratch = Scratch::default();
        world.boot(&mut scratch);
        Sim {
            world,
            scratch,
            notes: Vec::new(),
        }
    }

    fn collect(&mut self) {
        let now = self.world.now();
        let seen = self.scratch.notes.iter().cloned();
        self.notes
            .extend(seen.filter_map(|it| Some((now, it.kafka()?))));
    }

    fn run(&mut self, until: Nanos) {
        while self.world.next_time().is_some_and(|at| at <= until) {
            self.world.step(&mut self.scratch).expect("an event waits");
            self.collect();
        }
        self.world.idle_until(until);
    }

    fn apply(&mut self, deed: &Deed<systems::Order>) {
        self.world
            .apply(deed, &mut self.scratch)
            .unwrap_or_else(|why| panic!("{deed:?}: {why}"));
        self.collect();
    }

    fn order(&mut self, node: NodeId, order: Order) {
        self.apply(&Deed::Order(node, systems::Order::Kafka(order)));
    }

    /// Sends so many records and waits for what becomes of them.
    fn send(&mut self, records: u32) {
        self.order(PRODUCER, Order::Send { records });
        self.run(self.world.now() + 50 * MILLISECOND);
    }

    /// Runs until a message of this kind is under way from or to the producer; returns its event.
    fn catch(&mut self, label: &str) -> u64 {
        loop {
            let under_way = self.world.in_flight();
            let mut wanted = under_way
                .iter()
                .filter(|it| it.msg.label() == label && (it.from == PRODUCER || it.to == PRODUCER));
            if let Some(found) = wanted.next() {
                return found.id.0;
            }
            self.world.step(&mut self.scratch).expect("an event waits");
            self.collect();
        }
    }

    fn producer(&self) -> &Producer {
        match self.world.process(PRODUCER) {
            Some(Node::Kafka(kafka::Node::Producer(producer))) => producer,
            other => panic!("no producer: {other:?}"),
        }
    }

    fn consumer(&self) -> &Consumer {
        match self.world.process(CONSUMER) {
            Some(Node::Kafka(kafka::Node::Consumer(consumer))) => consumer,
            other => panic!("no consumer: {other:?}"),
        }
    }

    /// Records with the offset that the producer was told.
    fn acknowledged(&self) -> BTreeMap<RecordId, i64> {
        let found = self.notes.iter().filter_map(|(_, note)| match note {
            Note::Acknowledged { record, offset, .. } => Some((*record, *offset)),
            _ => None,
        });
        found.collect()
    }

    /// What the consumer was handed: (partition, offset, record), in order.
    fn delivered(&self) -> Vec<(TopicPartition, i64, RecordId)> {
        let found = self.notes.iter().filter_map(|(_, note)| match note {
            Note::Delivered {
                record, tp, offset, ..
            } => Some((*tp, *offset, *record)),
            _ => None,
        });
        found.collect()
    }

    fn keys(&self) -> BTreeMap<RecordId, u32> {
        let found = self.notes.iter().filter_map(|(_, note)| match note {
            Note::Sent {
                record,
                key: Some(key),
                ..
            } => Some((*record, *key)),
            _ => None,
        });
        found.collect()
    }

    fn fired(&self, wanted: Rule) -> usize {
        let of_rule =
            |(_, note): &&(Nanos, Note)| matches!(note, Note::Rule { rule, .. } if *rule == wanted);
        self.notes.iter().filter(of_rule).count()
    }

    /// Counts of acknowledged records the consumer never got, of records it got at two offsets, and
    /// of records it got behind a later one of the same key.
    fn verdict(&self) -> (usize, usize, usize) {
        let delivered = self.delivered();
        let mut places: BTreeMap<RecordId, BTreeSet<i64>> = BTreeMap::new();
        for (_, offset, record) in &delivered {
            places.entry(*record).or_default().insert(*offset);
        }
        let acknowledged = self.acknowledged();
        let lost = acknowledged.keys().filter(|r| !places.contains_key(r));
        let doubled = places.values().filter(|offsets| offsets.len() > 1).count();
        let keys = self.keys();
        let mut latest: BTreeMap<u32, RecordId> = BTreeMap::new();
        let mut reordered = 0;
        let mut last = BTreeMap::new();
        for (tp, offset, record) in &delivered {
            // What is read again after a reset is no news.
            if last.insert(*tp, *offset).is_some_and(|it| it >= *offset) {
                continue;
            }
            let Some(key) = keys.get(record) else {
                continue;
            };
            let newest = latest.entry(*key).or_insert(*record);
            reordered += usize::from(*record < *newest);
            *newest = (*newest).max(*record);
        }
        (lost.count(), doubled, reordered)
    }
}

#[test]
fn everything_arrives_once_and_in_order_when_nothing_fails() {
    for seed in 0..5 {
        for acks in ["0", "1", "all"] {
            let mut spec = spec(6, &[("acks", acks)], POISSON);
            spec.producers[0].load.stop = Some(10 * SECOND);
            let mut sim = Sim::boot(&spec, seed);
            sim.run(12 * SECOND);
            let producer = sim.producer();
            let sent = producer.sent();
            assert!((2_300..2_700).contains(&sent), "seed {seed}: {sent}");
            assert_eq!((producer.acknowledged(), producer.failed()), (sent, 0));
            assert_eq!((producer.retries(), producer.buffered_bytes()), (0, 0));
            assert_eq!(sim.consumer().delivered(), sent, "acks={acks}, seed {seed}");
            assert_eq!(sim.verdict(), (0, 0, 0), "acks={acks}, seed {seed}");
            let lags = sim.consumer().assignment();
            assert!(
                lags.map(|tp| sim.consumer().lag(tp))
                    .all(|lag| lag == Some(0))
            );
        }
    }
}

/// S5: what only the leader has goes with it.
#[test]
fn s05_acks_1_loses_what_a_dead_leader_had_alone() {
    let check = |acks, loses: bool| {
        let mut lost = 0;
        for seed in 0..10 {
            let mut spec = spec(1, &[("acks", acks)], POISSON);
            spec.producers[0].load.stop = Some(20 * SECOND);
            let mut sim = Sim::boot(&spec, seed);
            sim.run(7 * SECOND);
            // The followers are in sync, but a fifth of a second behind.
            for follower in [1, 2] {
                let slow = LinkChange {
                    slow_by: Some(200 * MILLISECOND),
                    ..LinkChange::default()
                };
                sim.apply(&Deed::Link(NodeId(0), NodeId(follower), slow));
            }
            sim.run(8 * SECOND);
            sim.apply(&Deed::Crash(NodeId(0)));
            sim.apply(&Deed::HealAll);
            sim.run(30 * SECOND);
            sim.apply(&Deed::Restart(NodeId(0)));
            sim.run(50 * SECOND);
            let (gone, doubled, reordered) = sim.verdict();
            lost += gone;
            assert_eq!(sim.producer().failed(), 0, "no error anywhere");
            assert_eq!(sim.producer().pending(), 0);
            if acks == "all" {
                assert_eq!((doubled, reordered), (0, 0), "seed {seed}");
            }
        }
        assert_eq!(lost > 0, loses, "acks={acks}: {lost} lost");
    };
    check("1", true);
    check("all", false);
}

/// S16: the record is written, the answer is lost, the retry writes it again.
#[test]
fn s16_a_lost_answer_makes_a_duplicate_without_idempotence() {
    let check = |idempotence, doubled| {
        let settings = [("enable.idempotence", idempotence)];
        let mut sim = Sim::boot(&spec(1, &settings, Arrivals::None), 1);
        sim.run(5 * SECOND);
        sim.send(1);
        sim.order(PRODUCER, Order::Send { records: 1 });
        let answer = sim.catch("ProduceResponse");
        sim.apply(&Deed::Message(answer, MessageDeed::Drop));
        sim.run(50 * SECOND);
        assert_eq!(sim.verdict(), (0, doubled, 0), "idempotence {idempotence}");
        assert_eq!(sim.producer().acknowledged(), 2);
        assert_eq!(sim.fired(Rule::Retry), 1);
        let offsets: Vec<i64> = sim.acknowledged().into_values().collect();
        assert_eq!(offsets, [0, if doubled == 1 { 2 } else { 1 }]);
    };
    check("false", 1);
    check("true", 0);
}

/// S16 again, over a link that loses every answer for a while.
#[test]
fn s16_a_link_without_answers_makes_duplicates() {
    let check = |idempotence, duplicates: bool| {
        let settings = [
            ("enable.idempotence", idempotence),
            ("request.timeout.ms", "2000"),
        ];
        let mut spec = spec(3, &settings, POISSON);
        spec.producers[0].load.stop = Some(12 * SECOND);
        let mut sim = Sim::boot(&spec, 3);
        sim.run(6 * SECOND);
        let filter = |labels: &[&str]| LinkChange {
            filters: Some(
                labels
                    .iter()
                    .map(|label| FilterRule {
                        label: (*label).to_owned(),
                    })
                    .collect(),
            ),
            ..LinkChange::default()
        };
        sim.apply(&Deed::Link(
            NodeId(0),
            PRODUCER,
            filter(&["ProduceResponse"]),
        ));
        sim.run(10 * SECOND);
        sim.apply(&Deed::Link(NodeId(0), PRODUCER, filter(&[])));
        sim.run(40 * SECOND);
        let (lost, doubled, reordered) = sim.verdict();
        assert_eq!((lost, doubled > 0), (0, duplicates), "{doubled} doubled");
        assert!(idempotence == "false" || reordered == 0);
        assert_eq!(sim.producer().pending(), 0);
    };
    check("false", true);
    check("true", false);
}

/// S17: the first request gets lost, the second is written, the first is tried again.
#[test]
fn s17_a_retry_overtaken_by_the_next_request() {
    let check = |settings: &[(&str, &str)], order: [u64; 3]| {
        let mut sim = Sim::boot(&spec(1, settings, Arrivals::None), 1);
        sim.run(5 * SECOND);
        // A broker takes any first sequence from a producer it does not know: it gets to know it.
        sim.send(1);
        sim.order(PRODUCER, Order::Send { records: 1 });
        let request = sim.catch("Produce");
        sim.apply(&Deed::Message(request, MessageDeed::Drop));
        sim.send(1);
        sim.run(70 * SECOND);
        let got: Vec<u64> = sim.delivered().iter().map(|(_, _, r)| r.0 & 0xff).collect();
        assert_eq!(got, order, "{settings:?}");
        assert_eq!(sim.producer().acknowledged(), 3);
    };
    let plain = ("enable.idempotence", "false");
    check(&[plain], [0, 2, 1]);
    check(
        &[plain, ("max.in.flight.requests.per.connection", "1")],
        [0, 1, 2],
    );
    check(&[], [0, 1, 2]);
}

/// S20: the broker is silent, the buffer fills, `send()` blocks and then fails.
#[test]
fn s20_a_silent_broker_fills_the_buffer() {
    let settings = [("buffer.memory", "100000"), ("max.block.ms", "20000")];
    let mut sim = Sim::boot(&spec(1, &settings, POISSON), 1);
    sim.run(6 * SECOND);
    sim.apply(&Deed::Cut(NodeId(0), PRODUCER));
    sim.run(15 * SECOND);
    let (since, what) = sim.producer().blocked().expect("send() blocks");
    assert_eq!(what, Blocked::Memory);
    assert!((6 * SECOND..9 * SECOND).contains(&since), "{since}");
    let sent = sim.producer().sent();
    sim.run(since + 19 * SECOND);
    assert_eq!(sim.producer().sent(), sent, "the application stands still");
    assert_eq!(sim.producer().failed(), 0);
    sim.run(since + 21 * SECOND);
    assert_eq!(sim.producer().failed(), 1);
    sim.apply(&Deed::Heal(NodeId(0), PRODUCER));
    sim.order(PRODUCER, Order::Load { on: false });
    sim.run(200 * SECOND);
    assert_eq!(sim.producer().blocked(), None);
    assert_eq!(sim.producer().pending(), 0);
    assert_eq!(sim.verdict(), (0, 0, 0));
}

/// Without enough replicas in sync nothing is acknowledged, and nothing is lost.
#[test]
fn too_few_replicas_refuse_until_they_are_back() {
    let mut spec = spec(1, &[], POISSON);
    spec.producers[0].load.stop = Some(45 * SECOND);
    let mut sim = Sim::boot(&spec, 2);
    sim.run(6 * SECOND);
    for broker in [1, 2] {
        sim.apply(&Deed::Crash(NodeId(broker)));
    }
    // What was written before the ISR shrank is not refused; it times out after 30 s.
    sim.run(45 * SECOND);
    let (_, error) = sim.producer().last_error().expect("writes are refused");
    assert_eq!(error, ErrorCode::NotEnoughReplicas);
    for broker in [1, 2] {
        sim.apply(&Deed::Restart(NodeId(broker)));
    }
    sim.run(90 * SECOND);
    let producer = sim.producer();
    assert_eq!((producer.pending(), producer.failed()), (0, 0));
    assert_eq!(sim.verdict(), (0, 0, 0));
}

/// One fault after the other, never two at once: an idempotent producer with acks=all loses,
/// doubles and reorders nothing.
#[test]
fn single_faults_cost_an_idempotent_producer_nothing() {
    let arrivals = Arrivals::Poisson {
        mean_gap: 10 * MILLISECOND,
    };
    for seed in 0..12 {
        let mut spec = spec(4, &[], arrivals);
        spec.producers[0].load.stop = Some(70 * SECOND);
        let mut sim = Sim::boot(&spec, seed);
        for round in 0..2_u64 {
            let node = NodeId(((seed + round) % 3) as u32);
            sim.run((10 + 30 * round) * SECOND);
            let (fault, remedy) = match (seed / 3 + round) % 4 {
                0 => (Deed::Crash(node), Deed::Restart(node)),
                1 => (Deed::Pause(node), Deed::Resume(node)),
                2 => {
                    let others = (0..6).map(NodeId).filter(|it| *it != node);
                    (Deed::Partition(vec![node], others.collect()), Deed::HealAll)
                }
                _ => (Deed::Cut(node, PRODUCER), Deed::HealAll),
            };
            sim.apply(&fault);
            sim.run((22 + 30 * round) * SECOND);
            sim.apply(&remedy);
        }
        sim.run(150 * SECOND);
        let producer = sim.producer();
        assert_eq!(producer.pending(), 0, "seed {seed}");
        assert_eq!(sim.verdict(), (0, 0, 0), "seed {seed}");
        let known = producer.acknowledged() + producer.failed();
        assert_eq!(known, producer.sent());
    }
}

/// A small generator for choosing faults.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // Knuth's MMIX constants; the low bits are poor, the high ones are used.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Throws faults at brokers, controllers and links for a minute, then heals everything.
fn hail(seed: u64, settings: &[(&str, &str)], legal: bool) -> Sim {
    let arrivals = Arrivals::Poisson {
        mean_gap: 20 * MILLISECOND,
    };
    let mut spec = spec(3, settings, arrivals);
    spec.producers[0].load.stop = Some(70 * SECOND);
    let mut sim = Sim::boot(&spec, seed);
    sim.run(6 * SECOND);
    let mut dice = Dice(seed);
    let mut at = 6 * SECOND;
    while at < 70 * SECOND {
        let (a, b) = (NodeId(dice.below(6) as u32), NodeId(dice.below(8) as u32));
        let deed = match dice.below(if legal { 8 } else { 10 }) {
            0 => Deed::Crash(a),
            1 | 2 => Deed::Restart(a),
            3 => Deed::Pause(a),
            4 => Deed::Resume(a),
            5 => Deed::Cut(a, b),
            6 => Deed::Heal(a, b),
            7 => Deed::HealAll,
            8 => Deed::Link(
                b,
                a,
                LinkChange {
                    loss_ppm: Some(50_000),
                    duplicate_ppm: Some(50_000),
                    reorder_ppm: Some(50_000),
                    ..LinkChange::default()
                },
            ),
            _ => Deed::Link(
                a,
                b,
                LinkChange {
                    loss_ppm: Some(50_000),
                    duplicate_ppm: Some(50_000),
                    reorder_ppm: Some(50_000),
                    ..LinkChange::default()
                },
            ),
        };
        if sim.world.refusal(&deed).is_none() {
            sim.apply(&deed);
        }
        at += dice.below(2 * SECOND);
        sim.run(at);
    }
    sim.apply(&Deed::HealAll);
    for node in (0..6).map(NodeId) {
        for remedy in [Deed::Restart(node), Deed::Resume(node)] {
            if sim.world.refusal(&remedy).is_none() {
                sim.apply(&remedy);
            }
        }
    }
    sim.run(260 * SECOND);
    sim
}

#[test]
fn a_hail_of_faults_breaks_no_promise_of_an_idempotent_producer() {
    for seed in 0..8 {
        let sim = hail(seed, &[], true);
        let producer = sim.producer();
        assert!(producer.acknowledged() > 100, "seed {seed}");
        assert_eq!(producer.pending(), 0, "seed {seed}");
        assert_eq!(producer.buffered_bytes(), 0, "seed {seed}");
        assert_eq!(sim.verdict(), (0, 0, 0), "seed {seed}");
    }
}

#[test]
fn the_books_balance_whatever_the_links_do() {
    let mut harm = 0;
    for seed in 0..8 {
        let settings: &[(&str, &str)] = match seed % 4 {
            0 => &[],
            1 => &[("acks", "1")],
            2 => &[("acks", "0")],
            _ => &[("enable.idempotence", "false")],
        };
        let sim = hail(seed, settings, false);
        let producer = sim.producer();
        assert_eq!(producer.pending(), 0, "seed {seed}");
        assert_eq!(producer.in_flight(), 0, "seed {seed}");
        assert_eq!(producer.buffered_bytes(), 0, "seed {seed}");
        let (_, doubled, reordered) = sim.verdict();
        if seed % 4 == 3 {
            harm += doubled + reordered;
        }
    }
    assert!(harm > 0, "without idempotence the hail does harm");
}

/// S8 from the consumer's side: an unclean leader lacks what was read already.
#[test]
fn s08_a_consumer_learns_that_the_log_was_cut() {
    let mut spec = spec(1, &[("acks", "1")], Arrivals::None);
    spec.config.elr_enabled = false;
    spec.topics[0].config.min_insync_replicas = 1;
    spec.topics[0].config.unclean_leader_election = Some(true);
    let mut sim = Sim::boot(&spec, 1);
    sim.run(5 * SECOND);
    sim.send(3);
    for follower in [1, 2] {
        sim.apply(&Deed::Crash(NodeId(follower)));
    }
    sim.run(30 * SECOND);
    sim.send(4);
    let tp = sim.consumer().assignment().next().expect("one partition");
    assert_eq!(sim.consumer().position(tp), Some(7));
    sim.apply(&Deed::Crash(NodeId(0)));
    for follower in [1, 2] {
        sim.apply(&Deed::Restart(NodeId(follower)));
    }
    sim.run(60 * SECOND);
    assert_eq!(sim.consumer().position(tp), Some(3));
    assert_eq!(sim.fired(Rule::PositionReset), 2, "at first, and now");
    sim.send(1);
    let last = sim.delivered().last().copied().expect("it was read");
    assert_eq!((last.1, last.2.0 & 0xff), (3, 7), "new record, old offset");
}
