//! Consumer groups in whole clusters: who owns what, what is committed, and what faults do to it.

use sim_core::kafka;
use sim_core::kafka::cluster;
use sim_core::kafka::consumer::{Consumer, MemberState};
use sim_core::kafka::facts::Cluster;
use sim_core::kafka::ids::{TopicId, TopicPartition};
use sim_core::kafka::note::{Note, Rule};
use sim_core::kafka::rules::classic_group::State;
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kernel::{Deed, LinkProfile, MILLISECOND, Nanos, NodeId, SECOND, Scratch, World};
use sim_core::log::RecordId;
use sim_core::systems::{self, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Three brokers (nodes 0 to 2), three controllers (3 to 5), a producer (6), then the members.
const FIRST: u32 = 7;

fn spec(members: u32, partitions: u16, settings: &[(&str, &str)]) -> ClusterSpec {
    let server = |name: &str, base: i32| {
        let all = (1..=3).map(|i| (format!("{name}{i}"), base + i));
        all.collect::<Vec<_>>()
    };
    let replicas = |p: u16| (0..3).map(|i| (i32::from(p) + i) % 3 + 1).collect();
    let producer = ProducerSpec {
        name: "p".to_owned(),
        topic: "orders".to_owned(),
        config: Default::default(),
        load: LoadSpec {
            arrivals: Arrivals::Constant {
                gap: 20 * MILLISECOND,
            },
            keys: Keys::Uniform { n: 100 },
            start: 3 * SECOND,
            stop: Some(90 * SECOND),
            ..LoadSpec::default()
        },
    };
    let member = |n: u32| {
        let mut it = ConsumerSpec {
            name: format!("m{n}"),
            topic: "orders".to_owned(),
            also: Vec::new(),
            partitions: Vec::new(),
            config: Default::default(),
            start: 0,
        };
        let common = [("group.id", "shop"), ("auto.offset.reset", "earliest")];
        for (key, value) in common.iter().chain(settings) {
            it.config.set(key, value).expect("a known key and value");
        }
        it
    };
    let mut spec = ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![TopicSpec {
            name: "orders".to_owned(),
            assignment: (0..partitions).map(replicas).collect(),
            ..TopicSpec::default()
        }],
        producers: vec![producer],
        consumers: (1..=members).map(member).collect(),
        ..ClusterSpec::default()
    };
    spec.config.offsets_topic_partitions = 5;
    spec
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
        for note in &self.scratch.notes {
            let systems::Note::Kafka(note) = note else {
                continue;
            };
            self.notes.push((now, note.clone()));
        }
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

    fn consumer(&self, n: u32) -> &Consumer {
        Cluster(&self.world)
            .consumer(NodeId(FIRST + n - 1))
            .expect("a consumer")
    }

    /// The group at its coordinator: state, generation, members.
    fn group(&self) -> Option<(State, i32, usize)> {
        let coordinator = self.coordinator()?;
        let broker = Cluster(&self.world).broker(coordinator)?;
        let (_, group) = broker.groups().find(|(name, _)| &***name == "shop")?;
        Some((group.state(), group.generation(), group.members().len()))
    }

    fn coordinator(&self) -> Option<NodeId> {
        let cluster = Cluster(&self.world);
        let mut live = cluster.brokers().filter(|(node, _)| cluster.runs(*node));
        live.find(|(_, it)| it.coordinates("shop"))
            .map(|(node, _)| node)
    }

    fn owned(&self, n: u32) -> Vec<u16> {
        self.consumer(n)
            .assignment()
            .map(|tp| tp.partition)
            .collect()
    }

    fn fired(&self, rule: Rule) -> usize {
        let fired = |(_, note): &&(Nanos, Note)| match note {
            Note::Group(it) => it.rule == rule,
            _ => false,
        };
        self.notes.iter().filter(fired).count()
    }

    /// How often each acknowledged record was processed.
    fn processed(&self) -> BTreeMap<RecordId, u32> {
        let mut counts = BTreeMap::new();
        for (_, note) in &self.notes {
            match note {
                Note::Acknowledged { record, .. } => {
                    counts.entry(*record).or_insert(0);
                }
                Note::Processed { record, .. } => *counts.entry(*record).or_insert(0) += 1,
                _ => {}
            }
        }
        counts
    }

    /// No two owners of a partition in one generation; a committed offset never goes back.
    fn check_invariants(&self) {
        let mut owners: BTreeMap<(i64, TopicPartition), NodeId> = BTreeMap::new();
        let mut committed: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        for (at, note) in &self.notes {
            let Note::Group(it) = note else {
                continue;
            };
            let Some(tp) = it.tp else {
                continue;
            };
            match it.rule {
                Rule::PartitionAssigned => {
                    let first = *owners.entry((it.after, tp)).or_insert(it.node);
                    assert_eq!(first, it.node, "{tp:?} in generation {} at {at}", it.after);
                }
                Rule::OffsetCommitted => {
                    let known = committed.entry(tp).or_insert(it.after);
                    assert!(
                        *known <= it.after,
                        "{tp:?} from {known} to {} at {at}",
                        it.after
                    );
                    *known = it.after;
                }
                _ => {}
            }
        }
    }
}

fn settled(sim: &Sim, members: u32, partitions: u16) {
    let (state, generation, count) = sim.group().expect("a group");
    assert_eq!((state, count), (State::Stable, members as usize));
    let mut all = BTreeSet::new();
    for n in 1..=members {
        let member = sim.consumer(n).member().expect("a member");
        assert_eq!(member.state, MemberState::Stable, "m{n}");
        assert_eq!(member.generation, generation, "m{n}");
        for partition in sim.owned(n) {
            assert!(all.insert(partition), "{partition} twice");
        }
    }
    assert_eq!(all.len(), usize::from(partitions));
}

#[test]
fn a_group_forms_reads_everything_once_and_commits() {
    let mut sim = Sim::boot(&spec(3, 6, &[]), 1);
    sim.run(60 * SECOND);
    settled(&sim, 3, 6);
    sim.run(110 * SECOND);
    let counts = sim.processed();
    assert!(counts.len() > 4_000, "{}", counts.len());
    assert!(counts.values().all(|n| *n == 1), "each exactly once");
    let coordinator = sim.coordinator().expect("a coordinator");
    let cluster = Cluster(&sim.world);
    let broker = cluster.broker(coordinator).expect("a broker");
    for partition in 0..6 {
        let tp = TopicPartition {
            topic: TopicId(0),
            partition,
        };
        let end = cluster.leader_log(tp).expect("a leader").leo();
        assert_eq!(broker.committed_offset("shop", tp), Some(end), "{tp:?}");
    }
    sim.check_invariants();
}

#[test]
fn a_crashed_member_is_missed_after_its_session_and_nothing_is_lost() {
    for strategy in ["range", "cooperative-sticky"] {
        let settings = [
            ("partition.assignment.strategy", strategy),
            ("session.timeout.ms", "10000"),
        ];
        let mut sim = Sim::boot(&spec(3, 6, &settings), 2);
        sim.run(30 * SECOND);
        settled(&sim, 3, 6);
        sim.apply(&Deed::Crash(NodeId(FIRST)));
        sim.run(50 * SECOND);
        let (state, _, count) = sim.group().expect("a group");
        assert_eq!((state, count), (State::Stable, 2), "{strategy}");
        sim.run(120 * SECOND);
        assert!(sim.processed().values().all(|n| *n >= 1), "{strategy}");
        assert_eq!(sim.fired(Rule::MemberExpired), 1);
        sim.check_invariants();
    }
}

#[test]
fn a_closed_member_is_missed_at_once_and_nothing_is_read_twice() {
    let mut sim = Sim::boot(&spec(2, 4, &[]), 3);
    sim.run(30 * SECOND);
    settled(&sim, 2, 4);
    sim.apply(&Deed::Order(
        NodeId(FIRST),
        systems::Order::Kafka(kafka::Order::Close),
    ));
    sim.run(40 * SECOND);
    assert_eq!(sim.owned(2), [0, 1, 2, 3]);
    sim.run(110 * SECOND);
    assert!(sim.processed().values().all(|n| *n == 1));
}

#[test]
fn the_group_outlives_its_coordinator() {
    let mut sim = Sim::boot(&spec(3, 6, &[]), 4);
    sim.run(30 * SECOND);
    settled(&sim, 3, 6);
    let old = sim.coordinator().expect("a coordinator");
    let generation = sim.group().expect("a group").1;
    sim.apply(&Deed::Crash(old));
    sim.run(60 * SECOND);
    let new = sim.coordinator().expect("a coordinator");
    assert_ne!(new, old);
    settled(&sim, 3, 6);
    assert_eq!(
        sim.group().expect("a group").1,
        generation,
        "no rebalance was needed"
    );
    sim.run(130 * SECOND);
    assert!(sim.processed().values().all(|n| *n >= 1));
    sim.check_invariants();
}

#[test]
fn a_member_in_commit_sync_waits_quietly_for_a_lost_coordinator() {
    let settings = [
        ("enable.auto.commit", "false"),
        ("application.commit", "sync"),
        ("application.processing.us", "5000"),
    ];
    let mut sim = Sim::boot(&spec(3, 6, &settings), 5);
    sim.run(30 * SECOND);
    settled(&sim, 3, 6);
    let old = sim.coordinator().expect("a coordinator");
    sim.apply(&Deed::Pause(old));
    let before = sim.world.executed();
    // A wake that is due at once and does nothing would go on for ever at one instant.
    while sim.world.next_time().is_some_and(|at| at <= 75 * SECOND) {
        sim.world.step(&mut sim.scratch).expect("an event waits");
        sim.collect();
        let events = sim.world.executed() - before;
        assert!(
            events < 200_000,
            "{events} events until {}",
            sim.world.now()
        );
    }
    sim.apply(&Deed::Resume(old));
    sim.run(130 * SECOND);
    settled(&sim, 3, 6);
    assert!(sim.processed().values().all(|n| *n >= 1));
    sim.check_invariants();
}
