//! Whole clusters: what brokers, controllers and clients do together.

use sim_core::kafka::broker::Broker;
use sim_core::kafka::cluster;
use sim_core::kafka::controller::Controller;
use sim_core::kafka::ids::{TopicId, TopicPartition};
use sim_core::kafka::note::{Note, Rule};
use sim_core::kafka::rules::election::PartitionRegistration;
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kafka::{self};
use sim_core::kernel::{
    Deed, LinkProfile, MILLISECOND, Nanos, NodeId, NodeState, Purpose, SECOND, Scratch, World,
    below, draw,
};
use sim_core::log::RecordId;
use sim_core::systems::{self, Node};
use std::collections::BTreeMap;

struct Sim {
    world: World<Node>,
    scratch: Scratch<Node>,
    notes: Vec<(Nanos, Note)>,
}

fn spec(partitions: u16) -> ClusterSpec {
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
    ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![topic],
        ..ClusterSpec::default()
    }
}

fn tp(partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(0),
        partition,
    }
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

    fn run(&mut self, until: Nanos) {
        while self.world.next_time().is_some_and(|at| at <= until) {
            let event = self.world.step(&mut self.scratch).expect("an event waits");
            for note in &self.scratch.notes {
                let systems::Note::Kafka(note) = note else {
                    continue;
                };
                self.notes.push((event.time, note.clone()));
            }
        }
    }

    fn apply(&mut self, deed: &Deed<systems::Order>) {
        self.world
            .apply(deed, &mut self.scratch)
            .expect("the deed can be done");
    }

    fn broker(&self, id: u32) -> &Broker {
        match self.world.process(NodeId(id - 1)) {
            Some(Node::Kafka(kafka::Node::Broker(broker))) => broker,
            other => panic!("no broker {id}: {other:?}"),
        }
    }

    fn active(&self) -> (NodeId, &Controller) {
        let found = (3..6).find_map(|node| match self.world.process(NodeId(node)) {
            Some(Node::Kafka(kafka::Node::Controller(c))) if c.is_active() => {
                Some((NodeId(node), &**c))
            }
            _ => None,
        });
        found.expect("there is an active controller")
    }

    fn first(&self, wanted: Rule) -> Option<Nanos> {
        self.notes.iter().find_map(|(at, note)| match note {
            Note::Rule { rule, .. } if *rule == wanted => Some(*at),
            _ => None,
        })
    }
}

#[test]
fn a_cluster_comes_up() {
    for seed in 0..20 {
        let mut sim = Sim::boot(&spec(6), seed);
        sim.run(5 * SECOND);
        let (_, controller) = sim.active();
        let image = controller.image();
        assert!(image.brokers.values().all(|b| !b.fenced), "seed {seed}");
        assert_eq!((image.brokers.len(), image.partitions.len()), (3, 6));
        for (tp, partition) in &image.partitions {
            assert_eq!(partition.isr.len(), 3, "seed {seed} {tp:?}");
            assert_eq!(Some(&partition.leader), partition.replicas.first());
            for id in 1..=3 {
                let view = sim.broker(id).partition(*tp).expect("it is hosted");
                assert_eq!(view.leads, partition.leader == id as i32, "seed {seed}");
            }
        }
        let created = sim.first(Rule::LeaderElected).expect("topics are created");
        assert!(created < 4 * SECOND, "seed {seed}: {created}");
    }
}

#[test]
fn a_dead_leader_is_replaced_at_the_end_of_its_session() {
    for seed in 0..20 {
        let mut sim = Sim::boot(&spec(3), seed);
        sim.run(5 * SECOND);
        sim.apply(&Deed::PowerLoss(NodeId(0)));
        sim.run(16 * SECOND);
        let (_, controller) = sim.active();
        let partition = &controller.image().partitions[&tp(0)];
        assert_eq!(
            (partition.leader, partition.leader_epoch),
            (2, 1),
            "seed {seed}"
        );
        assert_eq!(partition.isr, [2, 3], "seed {seed}");
        sim.apply(&Deed::Restart(NodeId(0)));
        sim.run(40 * SECOND);
        let (_, controller) = sim.active();
        let partition = &controller.image().partitions[&tp(0)];
        assert_eq!(partition.leader, 2, "seed {seed}");
        assert_eq!(partition.isr.len(), 3, "seed {seed}: {partition:?}");
        sim.run(310 * SECOND);
        let (_, controller) = sim.active();
        let partition = &controller.image().partitions[&tp(0)];
        assert_eq!(
            partition.leader, 1,
            "seed {seed}: the preferred leader is back"
        );
    }
}

/// One producer with acks=all and one consumer; the leader of a partition dies on the way.
#[test]
fn what_was_acknowledged_is_read_once_and_in_order() {
    for seed in 0..10 {
        let mut spec = spec(3);
        spec.producers = vec![ProducerSpec {
            name: "p".to_owned(),
            topic: "orders".to_owned(),
            config: Default::default(),
            load: LoadSpec {
                arrivals: Arrivals::Constant {
                    gap: 10 * MILLISECOND,
                },
                keys: Keys::Uniform { n: 50 },
                start: 3 * SECOND,
                stop: Some(30 * SECOND),
                ..LoadSpec::default()
            },
        }];
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
        spec.consumers = vec![consumer];
        let mut sim = Sim::boot(&spec, seed);
        sim.run(12 * SECOND);
        let crash = sim.world.now();
        sim.apply(&Deed::PowerLoss(NodeId(0)));
        sim.run(20 * SECOND);
        sim.apply(&Deed::Restart(NodeId(0)));
        sim.run(80 * SECOND);
        let mut acknowledged = BTreeMap::new();
        let mut delivered: BTreeMap<TopicPartition, Vec<RecordId>> = BTreeMap::new();
        let mut elected = None;
        for (at, note) in &sim.notes {
            match note {
                Note::Acknowledged { record, tp, .. } => {
                    let twice = acknowledged.insert(*record, *tp);
                    assert_eq!(twice, None, "seed {seed}");
                }
                Note::Delivered { record, tp, .. } => {
                    delivered.entry(*tp).or_default().push(*record);
                }
                Note::Rule {
                    rule: Rule::BecameLeader,
                    ..
                } if *at > crash => {
                    elected.get_or_insert(*at - crash);
                }
                _ => {}
            }
        }
        assert!(
            acknowledged.len() > 2_600,
            "seed {seed}: {}",
            acknowledged.len()
        );
        let took = elected.expect("another leader takes over");
        assert!(
            (7 * SECOND..=9 * SECOND + SECOND / 10).contains(&took),
            "seed {seed}: {took}"
        );
        let read: usize = delivered.values().map(Vec::len).sum();
        assert_eq!(read, acknowledged.len(), "seed {seed}");
        for (tp, records) in &delivered {
            assert!(records.is_sorted(), "seed {seed}: {tp:?} out of order");
            let known = |record: &RecordId| acknowledged.get(record) == Some(tp);
            assert!(records.iter().all(known), "seed {seed}: {tp:?}");
        }
    }
}

/// Story S14: without a controller nobody is fenced; a new one gives every broker a full session.
#[test]
fn a_new_controller_waits_a_full_session() {
    for seed in 0..20 {
        let mut sim = Sim::boot(&spec(3), seed);
        sim.run(20 * SECOND);
        let (node, _) = sim.active();
        sim.apply(&Deed::Crash(node));
        sim.apply(&Deed::Crash(NodeId(0)));
        sim.run(40 * SECOND);
        let claims = sim.notes.iter().filter_map(|(at, note)| match note {
            Note::Rule {
                rule: Rule::ControllerActive,
                ..
            } => Some(*at),
            _ => None,
        });
        let claimed = claims.max().expect("a second controller");
        let fenced = sim.first(Rule::BrokerFenced).expect("broker 1 is fenced");
        assert!(claimed > 20 * SECOND, "seed {seed}");
        assert_eq!(fenced, claimed + 9 * SECOND, "seed {seed}");
    }
}

const CHAOS: Purpose = Purpose::named("test.cluster-chaos");

/// One random fault among all servers.
fn fault(sim: &mut Sim, seed: u64, ordinal: u64) {
    let pick = |what: u64, n: u64| below(draw(seed, CHAOS, what, 0, ordinal), n);
    let node = |what: u64| NodeId(u32::try_from(pick(what, 6)).expect("below 6"));
    let (a, b) = (node(0), node(1));
    let deed = match pick(2, 10) {
        0 => Deed::Crash(a),
        1 => Deed::PowerLoss(a),
        2..4 => Deed::Restart(a),
        4 => Deed::Cut(a, b),
        5 => Deed::Heal(a, b),
        6 => Deed::Pause(a),
        7 => Deed::Resume(a),
        8 => Deed::HealAll,
        _ => Deed::Order(a, kafka::Order::ControlledShutdown.into()),
    };
    if a != b {
        // What cannot be done now (crash of a node that is down) is skipped.
        let _ = sim.world.apply(&deed, &mut sim.scratch);
    }
}

fn heal(sim: &mut Sim) {
    sim.apply(&Deed::HealAll);
    for node in (0..6).map(NodeId) {
        if sim.world.nodes()[node.0 as usize].state == NodeState::Paused {
            sim.apply(&Deed::Resume(node));
        }
        if matches!(
            sim.world.nodes()[node.0 as usize].state,
            NodeState::Down { .. }
        ) {
            sim.apply(&Deed::Restart(node));
        }
    }
}

/// Whatever happened: once all is healed, every broker serves and every ISR is full again.
#[test]
fn a_healed_cluster_recovers() {
    for seed in 0..30 {
        let mut sim = Sim::boot(&spec(4), seed);
        sim.run(3 * SECOND);
        let mut now = 3 * SECOND;
        for ordinal in 0..100 {
            now += SECOND;
            sim.run(now);
            fault(&mut sim, seed, ordinal);
        }
        heal(&mut sim);
        now += 30 * SECOND;
        sim.run(now);
        // Shutdowns ordered before are over now.
        heal(&mut sim);
        sim.run(now + 90 * SECOND);
        let (_, controller) = sim.active();
        let image = controller.image().clone();
        assert!(
            image.brokers.values().all(|b| !b.fenced),
            "seed {seed}: {:?}",
            image.brokers
        );
        for (tp, partition) in &image.partitions {
            assert_eq!(partition.isr.len(), 3, "seed {seed} {tp:?} {partition:?}");
            assert_ne!(partition.leader, -1, "seed {seed} {tp:?}");
            for id in 1..=3 {
                let view = sim.broker(id).partition(*tp).expect("it is hosted");
                assert_eq!(view.leads, partition.leader == id as i32, "seed {seed}");
                assert_eq!(view.leader_epoch, partition.leader_epoch, "seed {seed}");
            }
        }
        sim.run(now + 400 * SECOND);
        let (_, controller) = sim.active();
        let preferred = |p: &PartitionRegistration| p.has_preferred_leader();
        assert!(
            controller.image().partitions.values().all(preferred),
            "seed {seed}"
        );
    }
}
