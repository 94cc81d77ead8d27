//! Registration, heartbeats, metadata, shutdown.

use super::*;
use crate::kafka::Order;
use crate::kafka::note::Rule;

/// Kinds of the requests that wait at a node, in order.
fn kinds(rig: &mut Rig, node: NodeId) -> Vec<&'static str> {
    let taken = rig.cx.take_requests(node);
    taken.iter().map(|(_, request)| request.name()).collect()
}

#[test]
fn a_broker_reads_metadata_registers_catches_up_and_is_unfenced() {
    let mut rig = Rig::new(BrokerConfig::default(), ReplicationRules::default());
    rig.publish(vec![partition(1, 4, 0, &[1])]);
    rig.on(Input::Boot);
    assert_eq!(rig.broker.state(), BrokerState::Starting);
    // No leader of the quorum is known yet, so it asks a voter and registers with nobody.
    assert_eq!(rig.cx.sent.len(), 1);
    rig.ask(PRODUCER, 1, Request::Metadata);
    assert_eq!(rig.cx.disconnected, [PRODUCER], "the sockets are closed");
    rig.answer_metadata();
    let requests = rig.cx.take_requests(CONTROLLER);
    let find = |name| requests.iter().find(|(_, it)| it.name() == name).cloned();
    let (correlation, request) = find("BrokerRegistration").expect("it registers");
    let expect = Request::BrokerRegistration {
        broker: 1,
        incarnation: 1,
        previous_broker_epoch: -1,
    };
    assert_eq!(request, expect);
    let response = Response::BrokerRegistration {
        error: ErrorCode::None,
        broker_epoch: 1,
    };
    rig.answer(CONTROLLER, correlation, response);
    let (correlation, request) = rig.cx.take_requests(CONTROLLER).remove(0);
    let expect = Request::BrokerHeartbeat {
        broker: 1,
        broker_epoch: 1,
        current_metadata_offset: 7,
        want_fence: true,
        want_shut_down: false,
    };
    assert_eq!(request, expect);
    assert!(
        rig.broker.partition(TP).is_none(),
        "nothing is published yet"
    );
    rig.answer(CONTROLLER, correlation, heartbeat(true, true, false));
    assert!(rig.view().leads);
    let (correlation, request) = rig.cx.take_requests(CONTROLLER).remove(0);
    assert!(matches!(
        request,
        Request::BrokerHeartbeat {
            want_fence: false,
            ..
        }
    ));
    rig.answer(CONTROLLER, correlation, heartbeat(true, false, false));
    assert_eq!(rig.broker.state(), BrokerState::Running);
    assert!(!rig.broker.told_fenced());
    rig.cx.take_sent();
    let before = rig.cx.now;
    assert!(
        rig.cx
            .next_timer(before + 1_999 * MS)
            .is_none_or(|t| t != Timer::Broker(BrokerTimer::Lifecycle))
    );
}

fn heartbeat(is_caught_up: bool, is_fenced: bool, should_shut_down: bool) -> Response {
    Response::BrokerHeartbeat {
        error: ErrorCode::None,
        is_caught_up,
        is_fenced,
        should_shut_down,
    }
}

#[test]
fn a_silent_controller_is_given_up_and_another_is_asked() {
    let mut rig = Rig::running(1, 4, &[1]);
    rig.cx.take_sent();
    rig.silent = true;
    rig.run_for(5_000 * MS);
    // controller.quorum.request.timeout.ms has passed without an answer to the metadata fetch.
    assert!(rig.cx.disconnected.contains(&CONTROLLER));
    let other = CONTROLLERS[1].1;
    let asked = kinds(&mut rig, other);
    let again = kinds(&mut rig, CONTROLLER);
    assert!(
        asked.contains(&"FetchMetadata") || again.contains(&"FetchMetadata"),
        "{asked:?} {again:?}"
    );
    assert_eq!(rig.broker.known_controller(), None);
}

#[test]
fn a_hint_leads_to_the_controller() {
    let mut rig = Rig::new(BrokerConfig::default(), ReplicationRules::default());
    rig.on(Input::Boot);
    let (correlation, _) = rig.cx.take_requests(CONTROLLER).remove(0);
    let refusal = Response::FetchMetadata {
        error: ErrorCode::NotLeaderOrFollower,
        epoch: 3,
        leader: 102,
        high_watermark: -1,
        diverging: None,
        batches: Default::default(),
        snapshot: None,
    };
    rig.answer(CONTROLLER, correlation, refusal);
    assert_eq!(rig.broker.known_controller(), Some(102));
    let mut asked = kinds(&mut rig, CONTROLLERS[1].1);
    asked.sort_unstable();
    assert_eq!(asked, ["BrokerRegistration", "FetchMetadata"]);
}

#[test]
fn only_committed_metadata_is_replayed() {
    let mut rig = Rig::running(1, 4, &[1]);
    let end = rig.end();
    let requests = rig.cx.take_requests(CONTROLLER);
    let (correlation, _) = requests.last().expect("a fetch waits").clone();
    let mut batch = Batch::new(vec![partition(2, 5, 1, &[2])], ProducerStamp::NONE);
    batch.base_offset = end;
    batch.leader_epoch = 1;
    rig.answer(CONTROLLER, correlation, metadata_response(end, vec![batch]));
    assert!(rig.view().leads, "the record is not committed");
    let (correlation, request) = rig.cx.take_requests(CONTROLLER).remove(0);
    assert!(
        matches!(request, Request::FetchMetadata { fetch_offset, .. } if fetch_offset == end + 1)
    );
    rig.answer(
        CONTROLLER,
        correlation,
        metadata_response(end + 1, Vec::new()),
    );
    assert!(!rig.view().leads);
    assert_eq!(rig.view().leader, 2);
    assert_eq!(rig.broker.image().next_offset, end + 1);
}

#[test]
fn a_controlled_shutdown_ends_when_the_controller_says_so() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    rig.cx.take_sent();
    rig.on(Input::Order(Order::ControlledShutdown));
    let (correlation, request) = rig.cx.take_requests(CONTROLLER).remove(0);
    assert!(matches!(
        request,
        Request::BrokerHeartbeat {
            want_shut_down: true,
            ..
        }
    ));
    rig.answer(CONTROLLER, correlation, heartbeat(true, false, false));
    assert_eq!(rig.broker.state(), BrokerState::PendingControlledShutdown);
    rig.run_for(3_000 * MS);
    assert_eq!(rig.broker.state(), BrokerState::PendingControlledShutdown);
    assert!(rig.view().leader == 2, "it goes on serving");
    rig.may_stop = true;
    rig.cx.disconnected.clear();
    rig.run_for(2_000 * MS);
    assert!(rig.broker.is_shut_down() && rig.cx.exited);
    assert!(rig.cx.disconnected.contains(&NodeId(1)), "peers are told");
}

#[test]
fn a_clean_stop_is_told_at_the_next_registration() {
    let check = |clean: bool, expect: i64| {
        let mut rig = Rig::running(2, 4, &[1, 2]);
        if clean {
            rig.cx.take_sent();
            rig.on(Input::Order(Order::ControlledShutdown));
            let (correlation, _) = rig.cx.take_requests(CONTROLLER).remove(0);
            rig.answer(CONTROLLER, correlation, heartbeat(true, false, true));
            assert!(rig.broker.is_shut_down());
        }
        rig.broker.crash(Loss::Process);
        rig.cx.clear_timers();
        rig.cx.take_sent();
        rig.on(Input::Boot);
        rig.keep_waiting();
        let requests = rig.cx.take_requests(CONTROLLER);
        let told = requests.iter().find_map(|(_, request)| match request {
            Request::BrokerRegistration {
                previous_broker_epoch,
                incarnation,
                ..
            } => Some((*previous_broker_epoch, *incarnation)),
            _ => None,
        });
        assert_eq!(told, Some((expect, 2)), "clean: {clean}");
    };
    check(true, 1);
    check(false, -1);
}

#[test]
fn producer_ids_come_from_the_controllers_block() {
    let mut rig = Rig::running(1, 4, &[1]);
    rig.cx.take_sent();
    let ask = |rig: &mut Rig| {
        rig.ask(PRODUCER, 1, Request::InitProducerId);
        match rig.cx.take_responses(PRODUCER).remove(0).1 {
            Response::InitProducerId {
                error, producer_id, ..
            } => (error, producer_id),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut rig), (ErrorCode::CoordinatorLoadInProgress, -1));
    let (correlation, _) = rig.cx.take_requests(CONTROLLER).remove(0);
    let response = Response::AllocateProducerIds {
        error: ErrorCode::None,
        start: 1000,
        len: 2,
    };
    rig.answer(CONTROLLER, correlation, response);
    assert_eq!(ask(&mut rig), (ErrorCode::None, 1000));
    assert_eq!(ask(&mut rig), (ErrorCode::None, 1001));
    assert_eq!(ask(&mut rig), (ErrorCode::CoordinatorLoadInProgress, -1));
}

#[test]
fn metadata_shows_live_brokers_and_live_leaders() {
    let mut rig = Rig::running(1, 4, &[1, 2, 3]);
    rig.publish(vec![MetadataRecord::BrokerRegistrationChange {
        broker: 3,
        broker_epoch: 3,
        fenced: Some(true),
        in_controlled_shutdown: None,
    }]);
    rig.cx.take_sent();
    rig.ask(PRODUCER, 1, Request::Metadata);
    let Response::Metadata {
        brokers,
        partitions,
    } = rig.cx.take_responses(PRODUCER).remove(0).1
    else {
        panic!("not metadata");
    };
    assert_eq!(brokers, [1, 2]);
    let first = &partitions[0];
    assert_eq!((first.leader, first.leader_epoch), (1, 4));
    assert_eq!(rig.cx.rule(Rule::BecameLeader), [(-1, 4)]);
}
