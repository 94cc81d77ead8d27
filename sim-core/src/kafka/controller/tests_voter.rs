//! Answers that wait for the commit, and votes that outlive their voter: one controller of three,
//! driven by hand.

use super::tests_active::{Cluster, ME, book, bootstrap, node};
use super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::node::Order;
use crate::kafka::testing::TestCx;
use crate::kernel::SECOND;

/// One of three controllers, active.
fn claimed() -> Cluster {
    let voters = [(100, ME), (101, NodeId(11)), (102, NodeId(12))];
    let controller = Controller::new(
        100,
        book(&voters),
        Arc::new(BrokerConfig::default()),
        Arc::new(ReplicationRules::default()),
        bootstrap("1"),
        crate::kafka::parts::Parts::default(),
    );
    let mut cluster = Cluster {
        controller,
        cx: TestCx::new(ME),
        epochs: BTreeMap::new(),
        correlation: 0,
    };
    cluster.give(Input::Boot);
    while !matches!(cluster.controller.quorum_state(), EpochState::Leader) {
        for (_, peer) in &voters[1..] {
            for (correlation, request) in cluster.cx.take_requests(*peer) {
                if let Request::Vote {
                    pre_vote, epoch, ..
                } = request
                {
                    let vote = Response::Vote {
                        pre_vote,
                        error: ErrorCode::None,
                        epoch,
                        leader: -1,
                        granted: true,
                    };
                    cluster.give(Input::Message {
                        from: *peer,
                        msg: Msg::Response(correlation, Box::new(vote)),
                    });
                }
            }
        }
        if let Some(Timer::Controller(timer)) = cluster.cx.next_timer(2 * SECOND) {
            cluster.give(Input::Timer(timer));
        }
    }
    assert_eq!(
        cluster.register(1, 7, -1),
        ErrorCode::NotController,
        "not yet claimed"
    );
    assert!(
        fetch(&mut cluster, 0).is_some(),
        "there is something to read"
    );
    let end = cluster.controller.log_end();
    assert!(fetch(&mut cluster, end).is_some());
    assert!(
        cluster.controller.is_active(),
        "its own epoch's record is committed"
    );
    cluster
}

/// Another voter has all below an offset.
fn fetch(cluster: &mut Cluster, offset: i64) -> Option<Response> {
    let request = Request::FetchMetadata {
        replica: 101,
        voter: true,
        epoch: 1,
        fetch_offset: offset,
        last_fetched_epoch: i32::from(offset > 0),
        max_wait_ms: 500,
        high_watermark: -1,
    };
    cluster.ask(11, request)
}

/// With three voters the answer waits until one other voter has the record.
#[test]
fn an_answer_waits_for_the_commit() {
    let mut cluster = claimed();
    let register = Request::BrokerRegistration {
        broker: 1,
        incarnation: 7,
        previous_broker_epoch: -1,
    };
    let configs = cluster.controller.log_end();
    assert_eq!(cluster.ask(1, register), None, "written, not committed");
    assert_eq!(cluster.controller.log_end(), configs + 1);
    fetch(&mut cluster, configs);
    assert_eq!(cluster.cx.take_responses(node(1)), []);
    fetch(&mut cluster, configs + 1);
    let answers = cluster.cx.take_responses(node(1));
    assert_eq!(answers.len(), 1);
    let pending = Request::BrokerRegistration {
        broker: 2,
        incarnation: 8,
        previous_broker_epoch: -1,
    };
    assert_eq!(cluster.ask(2, pending), None);
    cluster.give(Input::Message {
        from: NodeId(12),
        msg: Msg::Request(
            1,
            Box::new(Request::BeginQuorumEpoch {
                epoch: 2,
                leader: 102,
            }),
        ),
    });
    let answers = cluster.cx.take_responses(node(2));
    let refused = |(_, r): &(u32, Response)| {
        matches!(
            r,
            Response::BrokerRegistration {
                error: ErrorCode::NotController,
                ..
            }
        )
    };
    assert!(
        answers.iter().all(refused) && answers.len() == 1,
        "{answers:?}"
    );
}

/// An answer that rests on a record which nobody asked for waits for it as well: a controller that
/// was deposed without knowing would tell what never comes to be.
#[test]
fn an_answer_waits_for_what_was_written_before_it() {
    let mut cluster = claimed();
    let register = Request::BrokerRegistration {
        broker: 1,
        incarnation: 7,
        previous_broker_epoch: -1,
    };
    assert_eq!(cluster.ask(1, register), None);
    let end = cluster.controller.log_end();
    fetch(&mut cluster, end);
    let answers = cluster.cx.take_responses(node(1));
    let Some((_, Response::BrokerRegistration { broker_epoch, .. })) = answers.first() else {
        panic!("no answer to a registration: {answers:?}");
    };
    let beat = Request::BrokerHeartbeat {
        broker: 1,
        broker_epoch: *broker_epoch,
        current_metadata_offset: 0,
        want_fence: true,
        want_shut_down: false,
    };
    assert!(cluster.ask(1, beat.clone()).is_some(), "nothing is pending");
    assert_eq!(cluster.controller.log_end(), end);
    cluster.give(Input::Order(Order::AlterConfig {
        topic: None,
        key: "min.insync.replicas".to_owned(),
        value: Some("2".to_owned()),
    }));
    let end = end + 1;
    assert_eq!(cluster.controller.log_end(), end);
    assert_eq!(cluster.ask(1, beat), None, "the order is not committed");
    assert_eq!(cluster.controller.log_end(), end, "it wrote nothing");
    fetch(&mut cluster, end);
    assert_eq!(cluster.cx.take_responses(node(1)).len(), 1);
}

/// A vote is on disk before it is given: a process or power crash does not free it, a lost disk
/// does.
#[test]
fn a_vote_outlives_its_voter() {
    let vote = |cluster: &mut Cluster, candidate: BrokerId, from: NodeId| {
        let request = Request::Vote {
            pre_vote: false,
            epoch: 5,
            candidate,
            last_epoch: 0,
            last_epoch_end_offset: 0,
        };
        cluster.give(Input::Message {
            from,
            msg: Msg::Request(1, Box::new(request)),
        });
        match cluster.cx.take_responses(from).first() {
            Some((_, Response::Vote { granted, .. })) => *granted,
            other => panic!("no answer to a vote: {other:?}"),
        }
    };
    let (a, b) = ((101, NodeId(11)), (102, NodeId(12)));
    let controller = Controller::new(
        100,
        book(&[(100, ME), a, b]),
        Arc::new(BrokerConfig::default()),
        Arc::new(ReplicationRules::default()),
        Vec::new(),
        crate::kafka::parts::Parts::default(),
    );
    let mut cluster = Cluster {
        controller,
        cx: TestCx::new(ME),
        epochs: BTreeMap::new(),
        correlation: 0,
    };
    cluster.give(Input::Boot);
    assert!(vote(&mut cluster, a.0, a.1));
    for (loss, second) in [
        (Loss::Process, false),
        (Loss::Power, false),
        (Loss::Disk, true),
    ] {
        cluster.controller.crash(loss);
        cluster.cx.clear_timers();
        cluster.give(Input::Boot);
        assert_eq!(vote(&mut cluster, b.0, b.1), second, "{loss:?}");
        assert_eq!(vote(&mut cluster, a.0, a.1), !second, "{loss:?}");
    }
}
