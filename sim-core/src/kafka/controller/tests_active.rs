//! The active controller alone: a quorum of one, driven by hand.

use super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicId;
use crate::kafka::metadata::ConfigResource;
use crate::kafka::node::Order;
use crate::kafka::protocol::AlterPartitionData;
use crate::kafka::rules::election::{PartitionRegistration, RecoveryState};
use crate::kafka::testing::TestCx;
use crate::kernel::SECOND;

pub(super) const ME: NodeId = NodeId(0);
const TP: TopicPartition = TopicPartition {
    topic: TopicId(0),
    partition: 0,
};

pub(super) fn node(broker: BrokerId) -> NodeId {
    NodeId(u32::try_from(broker).expect("a small id"))
}

pub(super) fn book(controllers: &[(BrokerId, NodeId)]) -> Arc<AddressBook> {
    Arc::new(AddressBook {
        racks: Vec::new(),
        topics: Vec::new(),
        brokers: (1..=3).map(|id| (id, node(id))).collect(),
        controllers: controllers.to_vec(),
    })
}

pub(super) fn bootstrap(min_isr: &str) -> Vec<MetadataRecord> {
    vec![
        MetadataRecord::Topic {
            id: TP.topic,
            name: "orders".to_owned(),
        },
        MetadataRecord::Partition {
            tp: TP,
            state: Box::new(PartitionRegistration::new(vec![1, 2, 3])),
        },
        MetadataRecord::Config {
            resource: ConfigResource::Topic(TP.topic),
            key: "min.insync.replicas".to_owned(),
            value: Some(min_isr.to_owned()),
        },
    ]
}

/// A controller and its three brokers, which do what the test says.
pub(super) struct Cluster {
    pub(super) controller: Controller,
    pub(super) cx: TestCx,
    pub(super) epochs: BTreeMap<BrokerId, i64>,
    pub(super) correlation: u32,
}

impl Cluster {
    /// A quorum of one, active.
    fn start(min_isr: &str, config: BrokerConfig, rules: ReplicationRules) -> Self {
        let controller = Controller::new(
            100,
            book(&[(100, ME)]),
            Arc::new(config),
            Arc::new(rules),
            bootstrap(min_isr),
            crate::kafka::parts::Parts::default(),
        );
        let mut cluster = Cluster {
            controller,
            cx: TestCx::new(ME),
            epochs: BTreeMap::new(),
            correlation: 0,
        };
        cluster.give(Input::Boot);
        assert!(
            cluster.controller.is_active(),
            "a quorum of one needs no time"
        );
        cluster
    }

    /// The same with three brokers unfenced and the topic created.
    fn ready(min_isr: &str) -> Self {
        let (config, rules) = (BrokerConfig::default(), ReplicationRules::default());
        let mut cluster = Self::start(min_isr, config, rules);
        for broker in 1..=3 {
            cluster.join(broker);
        }
        cluster
    }

    pub(super) fn give(&mut self, input: KafkaInput<ControllerTimer>) {
        self.controller.on(input, &mut self.cx);
    }

    pub(super) fn ask(&mut self, broker: BrokerId, request: Request) -> Option<Response> {
        self.correlation += 1;
        let correlation = self.correlation;
        self.give(Input::Message {
            from: node(broker),
            msg: Msg::Request(correlation, Box::new(request)),
        });
        let answers = self.cx.take_responses(node(broker));
        let mine = |(c, response)| (c == correlation).then_some(response);
        answers.into_iter().find_map(mine)
    }

    pub(super) fn register(
        &mut self,
        broker: BrokerId,
        incarnation: u64,
        previous: i64,
    ) -> ErrorCode {
        let request = Request::BrokerRegistration {
            broker,
            incarnation,
            previous_broker_epoch: previous,
        };
        match self.ask(broker, request) {
            Some(Response::BrokerRegistration {
                error,
                broker_epoch,
            }) => {
                if error == ErrorCode::None {
                    self.epochs.insert(broker, broker_epoch);
                }
                error
            }
            other => panic!("no answer to a registration: {other:?}"),
        }
    }

    fn beat_at(&mut self, broker: BrokerId, offset: i64, shut_down: bool) -> (bool, bool) {
        let request = Request::BrokerHeartbeat {
            broker,
            broker_epoch: self.epochs[&broker],
            current_metadata_offset: offset,
            want_fence: false,
            want_shut_down: shut_down,
        };
        match self.ask(broker, request) {
            Some(Response::BrokerHeartbeat {
                error: ErrorCode::None,
                is_fenced,
                should_shut_down,
                ..
            }) => (is_fenced, should_shut_down),
            other => panic!("no answer to a heartbeat: {other:?}"),
        }
    }

    /// A heartbeat of a broker that has replayed everything; true if it is fenced.
    fn beat(&mut self, broker: BrokerId) -> bool {
        self.beat_at(broker, self.controller.log_end() - 1, false).0
    }

    /// Registers as a new process and is unfenced.
    fn join(&mut self, broker: BrokerId) {
        let incarnation = self.cx.now + 1;
        assert_eq!(self.register(broker, incarnation, -1), ErrorCode::None);
        assert!(!self.beat(broker));
    }

    fn partition(&self) -> &PartitionRegistration {
        &self.controller.image().partitions[&TP]
    }

    /// (leader, leader epoch, ISR, ELR)
    fn leadership(&self) -> (BrokerId, i32, Vec<BrokerId>, Vec<BrokerId>) {
        let p = self.partition();
        (p.leader, p.leader_epoch, p.isr.clone(), p.elr.clone())
    }

    /// Lets time pass while only `alive` send heartbeats.
    fn pass(&mut self, seconds: u64, alive: &[BrokerId]) {
        for _ in 0..seconds {
            let until = self.cx.now + SECOND;
            while let Some(Timer::Controller(timer)) = self.cx.next_timer(until) {
                self.give(Input::Timer(timer));
            }
            for broker in alive {
                self.beat(*broker);
            }
        }
    }

    fn alter(&mut self, leader: BrokerId, isr: &[BrokerId]) -> ErrorCode {
        let p = self.partition();
        let data = AlterPartitionData {
            tp: TP,
            leader_epoch: p.leader_epoch,
            partition_epoch: p.partition_epoch,
            new_isr: isr.iter().map(|id| (*id, self.epochs[id])).collect(),
            recovered: true,
        };
        let request = Request::AlterPartition {
            broker: leader,
            broker_epoch: self.epochs[&leader],
            partitions: vec![data],
        };
        match self.ask(leader, request) {
            Some(Response::AlterPartition { error, partitions }) => match partitions.first() {
                Some(partition) => partition.error,
                None => error,
            },
            other => panic!("no answer to AlterPartition: {other:?}"),
        }
    }
}

#[test]
fn brokers_register_catch_up_and_get_their_topics() {
    let (config, rules) = (BrokerConfig::default(), ReplicationRules::default());
    let mut cluster = Cluster::start("2", config, rules);
    assert_eq!(cluster.register(1, 7, -1), ErrorCode::None);
    let epoch = cluster.epochs[&1];
    assert!(
        cluster.beat_at(1, epoch - 1, false).0,
        "not caught up: fenced"
    );
    assert!(!cluster.beat_at(1, epoch, false).0, "caught up: unfenced");
    assert_eq!(cluster.register(1, 7, -1), ErrorCode::None);
    assert_eq!(
        cluster.epochs[&1], epoch,
        "the same process keeps its epoch"
    );
    let refused = cluster.register(1, 8, -1);
    assert_eq!(refused, ErrorCode::DuplicateBrokerRegistration);
    cluster.join(2);
    assert!(cluster.controller.image().topics.is_empty());
    cluster.join(3);
    assert_eq!(cluster.leadership(), (1, 0, vec![1, 2, 3], vec![]));
    let min_isr = cluster
        .controller
        .image()
        .config(TP.topic, "min.insync.replicas");
    assert_eq!(min_isr, Some("2"));
}

#[test]
fn topics_do_not_wait_for_ever() {
    let (config, rules) = (BrokerConfig::default(), ReplicationRules::default());
    let mut cluster = Cluster::start("1", config, rules);
    cluster.join(2);
    cluster.join(3);
    cluster.pass(8, &[2, 3]);
    assert!(cluster.controller.image().topics.is_empty());
    cluster.pass(2, &[2, 3]);
    assert_eq!(cluster.leadership(), (2, 0, vec![2, 3], vec![]));
}

#[test]
fn a_silent_broker_is_fenced_at_the_end_of_its_session() {
    let mut cluster = Cluster::ready("1");
    let start = cluster.cx.now;
    cluster.pass(8, &[2, 3]);
    assert_eq!(cluster.leadership().0, 1, "not before 9 s");
    cluster.pass(2, &[2, 3]);
    assert_eq!(cluster.leadership(), (2, 1, vec![2, 3], vec![]));
    assert!(cluster.controller.image().brokers[&1].fenced);
    assert_eq!(cluster.cx.rule(Rule::BrokerFenced).len(), 1);
    assert_eq!(cluster.cx.rule(Rule::LeaderElected), [(-1, 1), (1, 2)]);
    assert!(!cluster.beat(1), "its next heartbeat unfences it");
    assert_eq!(
        cluster.leadership().2,
        [2, 3],
        "it must catch up before it joins the ISR"
    );
    assert_eq!(cluster.alter(2, &[2, 3, 1]), ErrorCode::None);
    assert_eq!(cluster.leadership(), (2, 1, vec![2, 3, 1], vec![]));
    assert!(cluster.cx.now >= start + 10 * SECOND);
    cluster.pass(300, &[1, 2, 3]);
    assert_eq!(
        cluster.leadership().0,
        1,
        "the preferred leader is back within 300 s"
    );
}

#[test]
fn alter_partition_is_refused_from_the_wrong_side() {
    let mut cluster = Cluster::ready("1");
    assert_eq!(cluster.alter(2, &[2, 3]), ErrorCode::InvalidRequest);
    cluster.pass(10, &[1, 2]);
    assert_eq!(cluster.leadership().2, [1, 2]);
    assert_eq!(cluster.alter(1, &[1, 2, 3]), ErrorCode::IneligibleReplica);
    cluster.epochs.insert(1, 0);
    assert_eq!(cluster.alter(1, &[1]), ErrorCode::StaleBrokerEpoch);
}

#[test]
fn a_broker_in_controlled_shutdown_hands_its_leaderships_over() {
    let mut cluster = Cluster::ready("1");
    let end = cluster.controller.log_end() - 1;
    assert_eq!(cluster.beat_at(1, end, true), (false, false));
    assert_eq!(cluster.leadership(), (2, 1, vec![2, 3], vec![]));
    let moved = cluster.controller.log_end() - 1;
    assert!(
        !cluster.beat_at(1, moved, true).1,
        "2 and 3 must have seen it"
    );
    cluster.beat(2);
    assert!(!cluster.beat_at(1, moved, true).1);
    cluster.beat(3);
    assert_eq!(cluster.beat_at(1, moved, true), (true, true));
    assert!(cluster.controller.image().brokers[&1].fenced);
    let epoch = cluster.epochs[&1];
    assert_eq!(
        cluster.register(1, 99, epoch),
        ErrorCode::None,
        "it may return at once"
    );
}

/// Story S7: one after another cut off, the last one loses its power; then the second returns.
#[test]
fn the_eligible_replica_leads_after_an_unclean_shutdown() {
    for elr in [true, false] {
        let rules = ReplicationRules {
            elr,
            ..ReplicationRules::default()
        };
        let mut cluster = Cluster::start("2", BrokerConfig::default(), rules);
        for broker in 1..=3 {
            cluster.join(broker);
        }
        cluster.pass(10, &[2, 3]);
        cluster.pass(10, &[3]);
        let kept = if elr { vec![2] } else { vec![] };
        assert_eq!(cluster.leadership(), (3, 2, vec![3], kept));
        cluster.pass(10, &[]);
        assert_eq!(cluster.leadership().0, -1);
        assert_eq!(cluster.register(3, 1234, -1), ErrorCode::None);
        assert!(!cluster.beat(1));
        assert_eq!(cluster.leadership().0, -1, "1 missed committed records");
        assert!(!cluster.beat(2));
        let expect = if elr { 2 } else { -1 };
        assert_eq!(cluster.leadership().0, expect, "elr {elr}");
        assert!(!cluster.beat(3));
        let expect = if elr { 2 } else { 3 };
        assert_eq!(cluster.leadership().0, expect, "elr {elr}");
    }
}

fn alter_config(key: &str, value: &str) -> Input<Msg, ControllerTimer, Order> {
    Input::Order(Order::AlterConfig {
        topic: Some("orders".to_owned()),
        key: key.to_owned(),
        value: Some(value.to_owned()),
    })
}

#[test]
fn an_operator_may_ask_for_an_unclean_leader() {
    for by_config in [true, false] {
        let rules = ReplicationRules {
            elr: false,
            ..ReplicationRules::default()
        };
        let mut cluster = Cluster::start("1", BrokerConfig::default(), rules);
        for broker in 1..=3 {
            cluster.join(broker);
        }
        cluster.pass(10, &[1]);
        cluster.pass(10, &[]);
        assert!(!cluster.beat(3));
        assert_eq!(cluster.leadership(), (-1, 1, vec![1], vec![]));
        cluster.give(if by_config {
            alter_config("unclean.leader.election.enable", "true")
        } else {
            Input::Order(Order::ElectUnclean {
                topic: "orders".to_owned(),
                partition: 0,
            })
        });
        assert_eq!(cluster.leadership(), (3, 2, vec![3], vec![]));
        assert_eq!(cluster.partition().recovery, RecoveryState::Recovering);
        assert_eq!(cluster.controller.unclean_elections(), 1);
        assert_eq!(cluster.alter(3, &[3]), ErrorCode::None);
        assert_eq!(cluster.partition().recovery, RecoveryState::Recovered);
    }
}

#[test]
fn another_minimum_clears_the_eligible_replicas() {
    let mut cluster = Cluster::ready("2");
    cluster.pass(10, &[2, 3]);
    cluster.pass(10, &[3]);
    assert_eq!(cluster.leadership().3, [2]);
    cluster.give(alter_config("min.insync.replicas", "x"));
    assert_eq!(cluster.leadership().3, [2], "not a number: refused");
    cluster.give(alter_config("min.insync.replicas", "1"));
    assert!(cluster.leadership().3.is_empty());
    let min_isr = cluster
        .controller
        .image()
        .config(TP.topic, "min.insync.replicas");
    assert_eq!(min_isr, Some("1"));
}

#[test]
fn orders_are_refused_with_a_reason() {
    let cluster = Cluster::ready("1");
    let check = |order: Order, expect: Option<&str>| {
        let reason = cluster.controller.refuse(&order);
        assert_eq!(reason.is_some(), expect.is_some(), "{order:?}: {reason:?}");
        let found = reason.unwrap_or_default();
        assert!(
            found.contains(expect.unwrap_or_default()),
            "{order:?}: {found}"
        );
    };
    let config = |topic: Option<&str>, key: &str, value: &str| Order::AlterConfig {
        topic: topic.map(str::to_owned),
        key: key.to_owned(),
        value: Some(value.to_owned()),
    };
    let unclean = |topic: &str, partition| Order::ElectUnclean {
        topic: topic.to_owned(),
        partition,
    };
    check(Order::ElectPreferred, None);
    check(unclean("orders", 0), Some("has a leader"));
    check(unclean("orders", 1), Some("no partition orders-1"));
    check(unclean("nothing", 0), Some("no topic"));
    check(config(Some("orders"), "min.insync.replicas", "2"), None);
    check(
        config(Some("orders"), "min.insync.replicas", "x"),
        Some("number"),
    );
    check(config(Some("orders"), "nonsense", "2"), Some("no setting"));
    check(
        config(Some("nothing"), "segment.bytes", "2"),
        Some("no topic"),
    );
    check(config(None, "min.insync.replicas", "2"), None);
    check(
        config(None, "broker.session.timeout.ms", "2"),
        Some("while the brokers run"),
    );
    check(config(None, "segment.bytes", "2"), Some("no setting"));
    let more = |topic: &str, count| Order::CreatePartitions {
        topic: topic.to_owned(),
        count,
    };
    check(more("orders", 2), None);
    check(more("orders", 1), Some("taken away"));
    check(more("orders", 1_000), Some("too many replicas"));
    check(more("nothing", 2), Some("no topic"));
}

#[test]
fn partitions_are_added_behind_those_that_are_there() {
    let mut cluster = Cluster::ready("1");
    let before = cluster.partition().clone();
    cluster.give(Input::Order(Order::CreatePartitions {
        topic: "orders".to_owned(),
        count: 3,
    }));
    assert_eq!(*cluster.partition(), before);
    for (partition, replicas) in [(1, [2, 3, 1]), (2, [3, 1, 2])] {
        let tp = TopicPartition { partition, ..TP };
        let added = &cluster.controller.image().partitions[&tp];
        assert_eq!(added.replicas, replicas);
        assert_eq!((added.leader, added.leader_epoch), (replicas[0], 0));
    }
    assert_eq!(cluster.controller.image().partitions.len(), 3);
}

#[test]
fn producer_ids_come_in_blocks() {
    let mut cluster = Cluster::ready("1");
    let block = |cluster: &mut Cluster, broker: BrokerId| {
        let request = Request::AllocateProducerIds {
            broker,
            broker_epoch: cluster.epochs[&broker],
        };
        match cluster.ask(broker, request) {
            Some(Response::AllocateProducerIds { error, start, len }) => (error, start, len),
            other => panic!("no answer: {other:?}"),
        }
    };
    assert_eq!(block(&mut cluster, 1), (ErrorCode::None, 0, 1_000));
    assert_eq!(block(&mut cluster, 2), (ErrorCode::None, 1_000, 1_000));
    cluster.epochs.insert(2, 0);
    assert_eq!(block(&mut cluster, 2).0, ErrorCode::StaleBrokerEpoch);
}
