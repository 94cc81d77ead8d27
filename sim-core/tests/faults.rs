//! A cluster under load and under a hail of faults: no invariant breaks, and what a producer with
//! acks=all was promised is there in the end, and read.

use sim_core::kafka::broker::Broker;
use sim_core::kafka::cluster;
use sim_core::kafka::ids::{TopicId, TopicPartition};
use sim_core::kafka::invariants::Invariants;
use sim_core::kafka::note::Note;
use sim_core::kafka::producer::Producer;
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kafka::{self};
use sim_core::kernel::{
    Deed, LinkChange, LinkProfile, MILLISECOND, Nanos, NodeId, NodeState, Purpose, SECOND, Scratch,
    World, below, draw,
};
use sim_core::log::RecordId;
use sim_core::systems::{self, Node};
use std::collections::BTreeMap;

const CHAOS: Purpose = Purpose::named("test.faults");
const BROKERS: u32 = 3;
const SERVERS: u32 = 6;
const PRODUCER: NodeId = NodeId(6);
const LOAD_END: Nanos = 105 * SECOND;

struct Sim {
    world: World<Node>,
    scratch: Scratch<Node>,
    invariants: Invariants,
    acknowledged: BTreeMap<RecordId, (TopicPartition, i64)>,
    /// What the consumer read: offset and record, by partition.
    delivered: BTreeMap<TopicPartition, Vec<(i64, RecordId)>>,
    seed: u64,
}

/// Three brokers (nodes 0 to 2), three controllers (3 to 5), a producer (6) and a consumer (7).
fn spec() -> ClusterSpec {
    let server = |name: &str, base: i32| {
        (1..=3)
            .map(|i| (format!("{name}{i}"), base + i))
            .collect::<Vec<_>>()
    };
    let replicas = |p: u16| (0..3).map(|i| (i32::from(p) + i) % 3 + 1).collect();
    let mut topic = TopicSpec {
        name: "orders".to_owned(),
        assignment: (0..3).map(replicas).collect(),
        ..TopicSpec::default()
    };
    topic.config.min_insync_replicas = 2;
    let producer = ProducerSpec {
        name: "p".to_owned(),
        topic: "orders".to_owned(),
        config: Default::default(),
        load: LoadSpec {
            arrivals: Arrivals::Poisson {
                mean_gap: 20 * MILLISECOND,
            },
            keys: Keys::Uniform { n: 100 },
            start: 3 * SECOND,
            stop: Some(LOAD_END),
            ..LoadSpec::default()
        },
    };
    let mut consumer = ConsumerSpec {
        name: "c".to_owned(),
        topic: "orders".to_owned(),
        also: Vec::new(),
        partitions: Vec::new(),
        config: Default::default(),
        start: 3 * SECOND,
    };
    let reset = consumer.config.set("auto.offset.reset", "earliest");
    reset.expect("a known key and value");
    ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![topic],
        producers: vec![producer],
        consumers: vec![consumer],
        ..ClusterSpec::default()
    }
}

impl Sim {
    fn boot(seed: u64) -> Self {
        let link = LinkProfile {
            delay: MILLISECOND / 2,
            jitter: MILLISECOND / 10,
            per_kilobyte: 0,
        };
        let spec = spec();
        let mut world = cluster::build(&spec, seed, link);
        let mut scratch = Scratch::default();
        world.boot(&mut scratch);
        Sim {
            world,
            scratch,
            invariants: Invariants::new(&spec),
            acknowledged: BTreeMap::new(),
            delivered: BTreeMap::new(),
            seed,
        }
    }

    fn run(&mut self, until: Nanos) {
        while self.world.next_time().is_some_and(|at| at <= until) {
            self.world.step(&mut self.scratch).expect("an event waits");
            self.observe();
        }
    }

    fn observe(&mut self) {
        for note in &self.scratch.notes {
            let systems::Note::Kafka(note) = note else {
                continue;
            };
            let broken = self.invariants.observe(note, &self.world);
            assert_eq!(broken, None, "seed {} at {}", self.seed, self.world.now());
            if let Note::Delivered {
                record, tp, offset, ..
            } = note
            {
                self.delivered
                    .entry(*tp)
                    .or_default()
                    .push((*offset, *record));
            }
            if let Note::Acknowledged {
                record, tp, offset, ..
            } = note
            {
                let twice = self.acknowledged.insert(*record, (*tp, *offset));
                assert_eq!(
                    twice, None,
                    "seed {}: {record:?} acknowledged twice",
                    self.seed
                );
            }
        }
    }

    fn apply(&mut self, deed: &Deed<systems::Order>) {
        // What cannot be done now (crash of a node that is down) is skipped.
        if self.world.apply(deed, &mut self.scratch).is_ok() {
            self.observe();
        }
    }

    fn state(&self, node: NodeId) -> NodeState {
        self.world.nodes()[node.0 as usize].state
    }

    fn broker(&self, node: u32) -> &Broker {
        match self.world.process(NodeId(node)) {
            Some(Node::Kafka(kafka::Node::Broker(broker))) => broker,
            other => panic!("no broker at {node}: {other:?}"),
        }
    }

    fn producer(&self) -> &Producer {
        match self.world.process(PRODUCER) {
            Some(Node::Kafka(kafka::Node::Producer(producer))) => producer,
            other => panic!("no producer: {other:?}"),
        }
    }

    /// One random fault; `harsh` ones may take data with them. A stop in order counts as harsh: of
    /// each producer a broker then keeps only the last batch (as Kafka's producer snapshots do), so
    /// that the retry of an earlier one is written a second time.
    fn fault(&mut self, ordinal: u64, harsh: bool) {
        let seed = self.seed;
        let pick = |what: u64, n: u64| below(draw(seed, CHAOS, what, 0, ordinal), n);
        let node = |what: u64, n: u32| NodeId(pick(what, n.into()) as u32);
        let (a, b) = (node(0, SERVERS), node(1, SERVERS + 2));
        let ppm = pick(3, 30_000) as u32;
        let change = LinkChange {
            loss_ppm: Some(ppm),
            duplicate_ppm: Some(ppm),
            reorder_ppm: Some(pick(4, 2) as u32 * ppm),
            slow_by: Some(u64::from(ppm) * 1_000),
            ..LinkChange::default()
        };
        let deed = match pick(2, 12) {
            0 => Deed::Crash(a),
            1 if harsh => Deed::PowerLoss(a),
            1..4 => Deed::Restart(a),
            4 => Deed::Cut(a, b),
            5 => Deed::Heal(a, b),
            6 => Deed::Pause(a),
            7 => Deed::Resume(a),
            8 => Deed::HealAll,
            9 => Deed::Link(a, b, change),
            10 => Deed::SlowDisk(a, pick(5, 2) * 1_000_000),
            _ if harsh => Deed::Order(a, kafka::Order::ControlledShutdown.into()),
            _ => Deed::Restart(b),
        };
        if a != b {
            self.apply(&deed);
        }
    }

    fn heal(&mut self) {
        self.apply(&Deed::HealAll);
        for node in (0..SERVERS).map(NodeId) {
            self.apply(&Deed::SlowDisk(node, 0));
            if self.state(node) == NodeState::Paused {
                self.apply(&Deed::Resume(node));
            }
            if matches!(self.state(node), NodeState::Down { .. }) {
                self.apply(&Deed::Restart(node));
            }
        }
    }

    /// A hundred faults in a hundred seconds, then peace.
    fn storm(seed: u64, harsh: bool) -> Self {
        let mut sim = Sim::boot(seed);
        let mut now = 3 * SECOND;
        for ordinal in 0..100 {
            now += SECOND;
            sim.run(now);
            sim.fault(ordinal, harsh);
        }
        sim.heal();
        sim.run(now + 30 * SECOND);
        sim.heal();
        sim.run(now + 200 * SECOND);
        let broken = sim.invariants.settle(&sim.world);
        assert_eq!(broken, Vec::<String>::new(), "seed {seed}");
        sim
    }
}

/// All replicas hold the same; without `harsh` faults also everything once and in order, unless the
/// producer gave a batch up: then it goes on under a new epoch, and what was under way is new to
/// the broker.
fn all_logs_agree(sim: &Sim, harsh: bool) {
    for partition in 0..3 {
        let tp = TopicPartition {
            topic: TopicId(0),
            partition,
        };
        let logs: Vec<Vec<(i64, RecordId)>> = (0..BROKERS)
            .map(|node| sim.broker(node).log(tp).expect("it is hosted"))
            .map(|log| {
                log.records(0, log.leo())
                    .map(|(o, _, r)| (o, r.id))
                    .collect()
            })
            .collect();
        assert_eq!(logs[0], logs[1], "seed {} {tp:?}", sim.seed);
        assert_eq!(logs[0], logs[2], "seed {} {tp:?}", sim.seed);
        if harsh {
            continue;
        }
        let read = sim.delivered.get(&tp).cloned().unwrap_or_default();
        assert_eq!(read, logs[0], "seed {} {tp:?}: not what was read", sim.seed);
        if sim.producer().failed() > 0 {
            continue;
        }
        let mut ids: Vec<RecordId> = logs[0].iter().map(|(_, id)| *id).collect();
        assert!(ids.is_sorted(), "seed {} {tp:?}: order was lost", sim.seed);
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "seed {} {tp:?}: duplicates", sim.seed);
    }
}

#[test]
fn crashes_and_cuts_lose_nothing_acknowledged() {
    let mut acknowledged = 0;
    let mut unbroken = 0;
    for seed in 0..16 {
        let sim = Sim::storm(seed, false);
        all_logs_agree(&sim, false);
        for (record, (tp, offset)) in &sim.acknowledged {
            let log = sim.broker(0).log(*tp).expect("it is hosted");
            let found = log.record_at(*offset).map(|r| r.id);
            assert_eq!(found, Some(*record), "seed {seed}: {tp:?} offset {offset}");
        }
        let producer = sim.producer();
        assert_eq!(producer.pending(), 0, "seed {seed}");
        assert!(producer.sent() > 4_000, "seed {seed}: {}", producer.sent());
        acknowledged += sim.acknowledged.len();
        unbroken += u32::from(producer.failed() == 0);
    }
    assert!(
        unbroken > 4,
        "too few runs in which nothing was given up: {unbroken}"
    );
    assert!(
        acknowledged > 35_000,
        "too little got through: {acknowledged}"
    );
}

#[test]
fn power_losses_break_no_invariant() {
    for seed in 1000..1016 {
        let sim = Sim::storm(seed, true);
        all_logs_agree(&sim, true);
    }
}
