//! Transactions in whole clusters: commits, aborts, fencing, timeouts, failover.

use sim_core::kafka::broker::Broker;
use sim_core::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig};
use sim_core::kafka::ids::{TopicId, TopicPartition};
use sim_core::kafka::note::{Note, Rule};
use sim_core::kafka::producer::{Producer, TxnState};
use sim_core::kafka::rules::txn::partition_for;
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kafka::{self, cluster};
use sim_core::kernel::{
    Deed, LinkProfile, MILLISECOND, Message, MessageDeed, Nanos, NodeId, SECOND, Scratch, World,
};
use sim_core::log::{ControlMarker, RecordId};
use sim_core::systems::{self, Node};
use std::collections::{BTreeMap, BTreeSet};

const PARTITIONS: u16 = 3;
const PRODUCER: NodeId = NodeId(6);

fn tp(partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(0),
        partition,
    }
}

/// Three brokers, a topic, and a consumer of each isolation level behind the producers.
fn spec(producers: &[&[(&str, &str)]], broker: &[(&str, &str)]) -> ClusterSpec {
    let server = |name: &str, base: i32| {
        let all = (1..=3).map(|i| (format!("{name}{i}"), base + i));
        all.collect::<Vec<_>>()
    };
    let replicas = |p: u16| (0..3).map(|i| (i32::from(p) + i) % 3 + 1).collect();
    let mut topic = TopicSpec {
        name: "orders".to_owned(),
        assignment: (0..PARTITIONS).map(replicas).collect(),
        ..TopicSpec::default()
    };
    topic.config.min_insync_replicas = 2;
    let mut config = BrokerConfig::default();
    for (key, value) in broker {
        config.set(key, value).expect("a setting");
    }
    let producer = |settings: &&[(&str, &str)]| {
        let mut config = ProducerConfig::default();
        for (key, value) in *settings {
            config.set(key, value).expect("a setting");
        }
        ProducerSpec {
            name: "p".to_owned(),
            topic: "orders".to_owned(),
            config,
            load: LoadSpec {
                arrivals: Arrivals::Constant {
                    gap: 10 * MILLISECOND,
                },
                keys: Keys::Cycle { n: 30 },
                stop: Some(30 * SECOND),
                ..LoadSpec::default()
            },
        }
    };
    let consumer = |isolation: &str| {
        let mut config = ConsumerConfig::default();
        config.set("isolation.level", isolation).expect("a setting");
        config
            .set("auto.offset.reset", "earliest")
            .expect("a setting");
        ConsumerSpec {
            name: isolation.to_owned(),
            topic: "orders".to_owned(),
            also: Vec::new(),
            partitions: Vec::new(),
            config,
            start: 0,
        }
    };
    ClusterSpec {
        brokers: server("b", 0),
        controllers: server("c", 100),
        topics: vec![topic],
        config,
        producers: producers.iter().map(producer).collect(),
        consumers: ["read_committed", "read_uncommitted"].map(consumer).into(),
        ..ClusterSpec::default()
    }
}

struct Sim {
    world: World<Node>,
    scratch: Scratch<Node>,
    notes: Vec<(Nanos, Note)>,
    /// Node of the read_committed consumer; the other follows.
    committed: u32,
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
            committed: PRODUCER.0 + spec.producers.len() as u32,
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

    fn producer(&self, number: u32) -> &Producer {
        match self.world.process(NodeId(PRODUCER.0 + number)) {
            Some(Node::Kafka(kafka::Node::Producer(it))) => it,
            other => panic!("no producer {number}: {other:?}"),
        }
    }

    fn broker(&self, id: u32) -> &Broker {
        match self.world.process(NodeId(id - 1)) {
            Some(Node::Kafka(kafka::Node::Broker(it))) => it,
            other => panic!("no broker {id}: {other:?}"),
        }
    }

    fn count(&self, wanted: Rule) -> usize {
        let is_it = |note: &Note| matches!(note, Note::Rule { rule, .. } if *rule == wanted);
        self.notes.iter().filter(|(_, note)| is_it(note)).count()
    }

    fn delivered(&self, to: u32) -> Vec<RecordId> {
        let got = self.notes.iter().filter_map(|(_, note)| match note {
            Note::Delivered { node, record, .. } if node.0 == to => Some(*record),
            _ => None,
        });
        got.collect()
    }

    /// The broker that leads a partition and its log.
    fn leader(&self, partition: TopicPartition) -> &Broker {
        let leads = |id: &u32| {
            let view = self.broker(*id).partition(partition);
            view.is_some_and(|it| it.leads)
        };
        self.broker((1..=3).rfind(leads).expect("a leader"))
    }

    /// The event of a Produce on its way to a broker.
    fn hold_produce(&mut self) -> u64 {
        loop {
            let under_way = self.world.in_flight();
            let mut wanted = under_way.iter();
            let found = wanted.find(|it| it.msg.label() == "Produce" && it.from == PRODUCER);
            if let Some(found) = found {
                return found.id.0;
            }
            let next = self.world.next_time().expect("an event waits");
            self.run(next);
        }
    }

    /// What the logs say of the records: those of committed transactions, and all.
    fn truth(&self) -> (BTreeSet<RecordId>, BTreeSet<RecordId>) {
        let (mut committed, mut all) = (BTreeSet::new(), BTreeSet::new());
        for partition in 0..PARTITIONS {
            let view = self.leader(tp(partition)).partition(tp(partition));
            let log = view.expect("hosted").log;
            let mut open: BTreeMap<i64, Vec<RecordId>> = BTreeMap::new();
            for batch in log.batches_from(0) {
                let of = open.entry(batch.producer.id).or_default();
                match batch.control {
                    Some(ControlMarker::Commit) => committed.extend(of.drain(..)),
                    Some(_) => of.clear(),
                    None => {
                        assert!(batch.transactional, "all is in transactions");
                        all.extend(batch.records.iter().map(|it| it.id));
                        of.extend(batch.records.iter().map(|it| it.id));
                    }
                }
            }
        }
        (committed, all)
    }

    /// `read_committed` got each record of a committed transaction once and nothing else;
    /// `read_uncommitted` got all that stands in the logs.
    fn check_visibility(&self, what: &str) {
        let (committed, all) = self.truth();
        let got = self.delivered(self.committed);
        assert_eq!(
            got.len(),
            committed.len(),
            "{what}: read_committed, each once"
        );
        assert_eq!(
            BTreeSet::from_iter(got),
            committed,
            "{what}: read_committed"
        );
        let got = BTreeSet::from_iter(self.delivered(self.committed + 1));
        assert!(got.is_superset(&all), "{what}: read_uncommitted");
        for partition in 0..PARTITIONS {
            let view = self.leader(tp(partition)).partition(tp(partition));
            let log = view.expect("hosted").partition_log;
            let hw = log.log().high_watermark();
            assert_eq!(
                log.last_stable_offset(),
                hw,
                "{what}: {partition} is settled"
            );
        }
    }
}

const ID: (&str, &str) = ("transactional.id", "orders-writer");

fn version(version: &str) -> [(&str, &str); 1] {
    [("transaction.version", version)]
}

#[test]
fn read_committed_sees_whole_transactions_and_no_aborted_one() {
    for wanted in ["0", "1", "2"] {
        let settings = [ID, ("transaction.abort.percent", "40")];
        let mut sim = Sim::boot(&spec(&[&settings], &version(wanted)), 7);
        sim.run(60 * SECOND);
        let (commits, aborts) = sim.producer(0).transactions_ended();
        assert!(
            commits > 8 && aborts > 4,
            "version {wanted}: {commits} {aborts}"
        );
        sim.check_visibility(wanted);
        let (committed, all) = sim.truth();
        assert!(committed.len() < all.len(), "some were aborted");
        assert!(
            committed.len() > 1000,
            "version {wanted}: {}",
            committed.len()
        );
        assert_eq!(sim.count(Rule::TxnFenced), 0, "version {wanted}");
    }
}

#[test]
fn a_second_producer_with_the_same_id_fences_the_first() {
    for wanted in ["1", "2"] {
        // The second one sends from second 10 on; it has initialised long before.
        let mut spec = spec(&[&[ID], &[ID]], &version(wanted));
        spec.producers[1].load.start = 10 * SECOND;
        let mut sim = Sim::boot(&spec, 3);
        sim.run(60 * SECOND);
        assert_eq!(sim.count(Rule::TxnFenced), 1, "version {wanted}");
        let fenced = (0..2).filter(|it| sim.producer(*it).fatal_error().is_some());
        let fenced: Vec<u32> = fenced.collect();
        let [fenced] = fenced[..] else {
            panic!("version {wanted}: one is fenced, got {fenced:?}");
        };
        let (commits, _) = sim.producer(1 - fenced).transactions_ended();
        assert!(commits > 10, "version {wanted}: {commits}");
        sim.check_visibility(wanted);
    }
}

#[test]
fn a_silent_producers_transaction_is_aborted_when_its_time_is_up() {
    for wanted in ["1", "2"] {
        let settings = [ID, ("transaction.timeout.ms", "5000")];
        let mut spec = spec(&[&settings], &version(wanted));
        spec.producers[0].load.stop = Some(45 * SECOND);
        let mut sim = Sim::boot(&spec, 5);
        sim.run(10 * SECOND);
        // Stopped in the middle of a transaction.
        let open = |sim: &Sim| {
            let state = sim.producer(0).transaction();
            matches!(state, Some(TxnState::InTransaction { records, .. }) if records > 20)
        };
        let mut at = 10 * SECOND;
        while !open(&sim) {
            at += 10 * MILLISECOND;
            sim.run(at);
        }
        sim.apply(&Deed::Pause(PRODUCER));
        sim.run(at + 4 * SECOND);
        assert_eq!(sim.count(Rule::TxnTimedOut), 0, "version {wanted}: not yet");
        // Five seconds, and up to ten more until the next look.
        sim.run(at + 20 * SECOND);
        assert_eq!(sim.count(Rule::TxnTimedOut), 1, "version {wanted}");
        sim.check_visibility(wanted);
        sim.apply(&Deed::Resume(PRODUCER));
        let (commits, _) = sim.producer(0).transactions_ended();
        sim.run(at + 40 * SECOND);
        // With an epoch for every transaction the abort of the coordinator is as good as its own:
        // the producer learns of it, aborts and goes on. Without, it is fenced for good.
        let fenced = usize::from(wanted == "1");
        assert_eq!(sim.count(Rule::TxnFenced), fenced, "version {wanted}");
        let (more, _) = sim.producer(0).transactions_ended();
        assert_eq!(
            more > commits,
            fenced == 0,
            "version {wanted}: {commits} {more}"
        );
        sim.check_visibility(wanted);
    }
}

#[test]
fn transactions_survive_the_loss_of_their_coordinator_and_of_leaders() {
    for (seed, wanted) in [(1, "1"), (2, "2"), (3, "2"), (4, "0")] {
        let settings = [ID, ("transaction.abort.percent", "20")];
        let mut spec = spec(&[&settings], &version(wanted));
        spec.producers[0].load.stop = Some(80 * SECOND);
        let mut sim = Sim::boot(&spec, seed);
        let log = TopicPartition {
            topic: TopicId(1),
            partition: partition_for(ID.1, 50),
        };
        for round in 0..3 {
            let at = (8 + 12 * round) * SECOND + seed * 137 * MILLISECOND;
            sim.run(at);
            let coordinator = NodeId(sim.leader(log).id() as u32 - 1);
            sim.apply(&Deed::Crash(coordinator));
            sim.run(at + 3 * SECOND);
            sim.apply(&Deed::Restart(coordinator));
        }
        sim.run(120 * SECOND);
        let (commits, aborts) = sim.producer(0).transactions_ended();
        let what = format!("seed {seed}, version {wanted}: {commits} {aborts}");
        assert!(commits > 20 && aborts > 0, "{what}");
        assert_eq!(sim.count(Rule::TxnFenced), 0, "{what}");
        sim.check_visibility(&what);
    }
}

#[test]
fn a_producer_that_dies_leaves_nothing_half_done() {
    for (seed, wanted) in [(1, "1"), (2, "2"), (3, "2")] {
        let mut sim = Sim::boot(&spec(&[&[ID]], &version(wanted)), seed);
        for round in 0..4 {
            let at = (6 + 5 * round) * SECOND + seed * 331 * MILLISECOND;
            sim.run(at);
            sim.apply(&Deed::Crash(PRODUCER));
            sim.run(at + SECOND);
            sim.apply(&Deed::Restart(PRODUCER));
        }
        sim.run(60 * SECOND);
        let what = format!("seed {seed}, version {wanted}");
        assert!(sim.producer(0).transactions_ended().0 > 10, "{what}");
        sim.check_visibility(&what);
    }
}

/// S19, S19b, KIP-890: a batch is late. Its transaction is over when it arrives.
#[test]
fn s19_a_late_batch_opens_a_transaction_that_nobody_ends() {
    let check = |broker: &[(&str, &str)], hangs: bool| {
        let settings = [
            ID,
            ("request.timeout.ms", "2000"),
            ("delivery.timeout.ms", "3000"),
            ("linger.ms", "0"),
            ("transaction.records", "40"),
        ];
        let mut spec = spec(&[&settings], broker);
        spec.producers[0].load.keys = Keys::Cycle { n: 1 };
        spec.producers[0].load.stop = Some(10 * SECOND);
        let mut sim = Sim::boot(&spec, 11);
        sim.run(9_985 * MILLISECOND);
        // The last batch gets lost. Its second attempt is held up until its producer has given it
        // up and aborted, but not so long that the connection ends.
        let lost = sim.hold_produce();
        sim.apply(&Deed::Message(lost, MessageDeed::Drop));
        let at = sim.world.now();
        sim.run(at + SECOND);
        let held = sim.hold_produce();
        sim.apply(&Deed::Message(
            held,
            MessageDeed::Delay(1_200 * MILLISECOND),
        ));
        sim.run(600 * SECOND);
        let (commits, aborts) = sim.producer(0).transactions_ended();
        assert!(commits > 5 && aborts > 0, "{broker:?}: {commits} {aborts}");
        let pinned = (0..PARTITIONS).filter(|it| {
            let view = sim.leader(tp(*it)).partition(tp(*it)).expect("hosted");
            view.partition_log.last_stable_offset() < view.hw
        });
        assert_eq!(pinned.count(), usize::from(hangs), "{broker:?}");
        if !hangs {
            sim.check_visibility(&format!("{broker:?}"));
        }
    };
    let off = ("transaction.partition.verification.enable", "false");
    check(&[("transaction.version", "1"), off], true);
    check(&[("transaction.version", "1")], false);
    check(&[("transaction.version", "2"), off], false);
    check(&[("transaction.version", "2")], false);
}
