//! Brokers in a whole cluster: shutdown in order, a deposed leader, a change of controller, and that
//! a run is the same from a clone.

use sim_core::kafka::broker::Broker;
use sim_core::kafka::ids::{BrokerId, TopicId, TopicPartition};
use sim_core::kafka::spec::{ClusterSpec, TopicSpec};
use sim_core::kafka::{self, Order as KafkaOrder, cluster};
use sim_core::kernel::{Deed, LinkProfile, MILLISECOND, Nanos, NodeId, SECOND, Scratch, World};
use sim_core::systems::{Node, Order};

/// Brokers 1, 2, 3 are nodes 0, 1, 2; controllers 101, 102, 103 are nodes 3, 4, 5.
struct Cluster {
    world: World<Node>,
    scratch: Scratch<Node>,
}

fn spec(partitions: u16) -> ClusterSpec {
    let brokers = (1..=3).map(|id| (format!("b{id}"), id)).collect();
    let controllers = (1..=3).map(|id| (format!("c{id}"), 100 + id)).collect();
    let turn = |first: u16| {
        (0..3)
            .map(|i| BrokerId::from((first + i) % 3) + 1)
            .collect()
    };
    ClusterSpec {
        brokers,
        controllers,
        topics: vec![TopicSpec {
            name: "orders".to_owned(),
            assignment: (0..partitions).map(turn).collect(),
            ..TopicSpec::default()
        }],
        ..ClusterSpec::default()
    }
}

fn tp(partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(0),
        partition,
    }
}

impl Cluster {
    /// A cluster that has created its topic.
    fn started(spec: &ClusterSpec) -> Self {
        let profile = LinkProfile {
            delay: MILLISECOND / 2,
            jitter: MILLISECOND / 10,
            per_kilobyte: 0,
        };
        let mut cluster = Cluster {
            world: cluster::build(spec, 7, profile),
            scratch: Scratch::default(),
        };
        cluster.world.boot(&mut cluster.scratch);
        cluster.run_for(4 * SECOND);
        cluster
    }

    fn run_for(&mut self, span: Nanos) {
        let until = self.world.now() + span;
        while self.world.next_time().is_some_and(|at| at <= until) {
            self.world.step(&mut self.scratch).expect("an event waits");
        }
    }

    fn apply(&mut self, deed: Deed<Order>) {
        let done = self.world.apply(&deed, &mut self.scratch);
        done.expect("the deed can be done");
    }

    fn broker(&self, id: BrokerId) -> &Broker {
        let node = NodeId(u32::try_from(id - 1).expect("a broker id"));
        match self.world.process(node) {
            Some(Node::Kafka(kafka::Node::Broker(broker))) => broker,
            other => panic!("not a broker: {other:?}"),
        }
    }

    /// Leader, leader epoch and ISR of a partition as each broker's metadata has it.
    fn known(&self, of: BrokerId, partition: u16) -> (BrokerId, i32, Vec<BrokerId>) {
        let state = self.broker(of).image().partitions.get(&tp(partition));
        let state = state.expect("the partition exists");
        (state.leader, state.leader_epoch, state.isr.clone())
    }

    /// Brokers that believe they lead.
    fn claimants(&self, partition: u16) -> Vec<BrokerId> {
        let leads = |id: &BrokerId| {
            let view = self.broker(*id).partition(tp(partition));
            view.is_some_and(|view| view.leads)
        };
        (1..=3).filter(leads).collect()
    }
}

#[test]
fn a_controlled_shutdown_moves_leadership_at_once() {
    let mut cluster = Cluster::started(&spec(3));
    let order = Order::Kafka(KafkaOrder::ControlledShutdown);
    cluster.apply(Deed::Order(NodeId(0), order));
    cluster.run_for(SECOND);
    let (leader, _, isr) = cluster.known(2, 0);
    assert_eq!((leader, isr.contains(&1)), (2, false));
    cluster.run_for(3 * SECOND);
    let state = cluster.world.nodes()[0].state;
    assert!(matches!(
        state,
        sim_core::kernel::NodeState::Down { silent: false, .. }
    ));
}

#[test]
fn a_cut_off_leader_goes_on_until_it_hears_of_its_successor() {
    let mut cluster = Cluster::started(&spec(1));
    let rest = [1, 2, 3, 4, 5].map(NodeId).to_vec();
    cluster.apply(Deed::Partition(vec![NodeId(0)], rest));
    cluster.run_for(15 * SECOND);
    assert_eq!(cluster.claimants(0), [1, 2], "two believe they lead");
    assert_eq!(
        cluster.broker(1).partition(tp(0)).map(|it| it.leader_epoch),
        Some(0)
    );
    cluster.apply(Deed::HealAll);
    cluster.run_for(10 * SECOND);
    assert_eq!(cluster.claimants(0), [2]);
    let (_, _, mut isr) = cluster.known(1, 0);
    isr.sort_unstable();
    assert_eq!(isr, [1, 2, 3]);
}

#[test]
fn brokers_follow_a_new_active_controller() {
    let mut cluster = Cluster::started(&spec(1));
    let active = cluster.broker(1).known_controller().expect("one is known");
    let node = NodeId(u32::try_from(active - 101 + 3).expect("a controller id"));
    cluster.apply(Deed::Crash(node));
    cluster.run_for(8 * SECOND);
    let next = cluster.broker(1).known_controller();
    assert!(next.is_some_and(|next| next != active), "{next:?}");
    assert_eq!(
        cluster.known(2, 0),
        (1, 0, vec![1, 2, 3]),
        "nobody was fenced meanwhile"
    );
    cluster.apply(Deed::Crash(NodeId(0)));
    cluster.run_for(10 * SECOND);
    assert_eq!(cluster.known(2, 0), (2, 1, vec![2, 3]));
}

#[test]
fn a_run_is_the_same_from_a_clone() {
    let mut first = Cluster::started(&spec(3));
    let mut second = Cluster {
        world: first.world.clone(),
        scratch: Scratch::default(),
    };
    for cluster in [&mut first, &mut second] {
        cluster.apply(Deed::PowerLoss(NodeId(1)));
        cluster.run_for(20 * SECOND);
        cluster.apply(Deed::Restart(NodeId(1)));
        cluster.run_for(20 * SECOND);
    }
    assert_eq!(first.world.state_digest(), second.world.state_digest());
    assert!(first.world == second.world);
}
