//! The leader: produce, fetch, ISR.

use super::*;
use crate::kafka::note::Rule;
use crate::log::EpochEnd;

#[test]
fn acks_decide_when_a_produce_is_answered() {
    let check = |acks: Acks, at_once: &[(ErrorCode, i64)], after_isr: &[(ErrorCode, i64)]| {
        let mut rig = Rig::running(1, 4, &[1, 2, 3]);
        assert_eq!(rig.produce(acks, 3), at_once, "{acks:?}");
        assert_eq!(rig.offsets(), (3, 0));
        assert_eq!(rig.fetch(2, 3, 4, 4), None);
        assert_eq!(rig.produced(), [], "one follower of two");
        assert_eq!(rig.fetch(3, 3, 4, 4), None);
        assert_eq!(rig.produced(), after_isr, "{acks:?}");
        assert_eq!(rig.offsets(), (3, 3));
    };
    check(Acks::None, &[], &[]);
    check(Acks::Leader, &[(ErrorCode::None, 0)], &[]);
    check(Acks::All, &[], &[(ErrorCode::None, 0)]);
}

#[test]
fn what_a_leader_refuses() {
    let check = |leader: BrokerId, isr: &[BrokerId], min: &str, acks, records, expect| {
        let mut rig = Rig::running(leader, 4, isr);
        rig.publish(vec![min_isr(min)]);
        rig.cx.take_sent();
        assert_eq!(
            rig.produce(acks, records),
            [(expect, -1)],
            "{acks:?} {isr:?}"
        );
        assert_eq!(rig.view().leo, 0, "nothing was appended");
    };
    check(
        2,
        &[1, 2],
        "1",
        Acks::Leader,
        1,
        ErrorCode::NotLeaderOrFollower,
    );
    check(1, &[1], "2", Acks::All, 1, ErrorCode::NotEnoughReplicas);
    check(1, &[1], "1", Acks::All, 11_000, ErrorCode::MessageTooLarge);
    let mut rig = Rig::running(1, 4, &[1]);
    rig.publish(vec![min_isr("2")]);
    assert_eq!(
        rig.produce(Acks::Leader, 1),
        [(ErrorCode::None, 0)],
        "acks=1 ignores the minimum"
    );
    assert_eq!(rig.offsets(), (1, 0), "but its record stays invisible");
}

#[test]
fn a_failed_acks_0_closes_the_connection() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    rig.cx.disconnected.clear();
    assert_eq!(rig.produce(Acks::None, 1), []);
    assert_eq!(rig.cx.disconnected, [PRODUCER]);
}

#[test]
fn a_produce_that_waits_too_long_times_out_and_its_record_stays() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    assert_eq!(rig.produce(Acks::All, 1), []);
    rig.run_for(29_999 * MS);
    assert_eq!(rig.produced(), []);
    rig.run_for(2 * MS);
    assert_eq!(rig.produced(), [(ErrorCode::RequestTimedOut, -1)]);
    assert_eq!(rig.view().leo, 1);
}

#[test]
fn a_produce_fails_when_leadership_is_lost() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    assert_eq!(rig.produce(Acks::All, 1), []);
    rig.publish(vec![partition(2, 5, 1, &[2])]);
    assert_eq!(rig.produced(), [(ErrorCode::NotLeaderOrFollower, -1)]);
}

#[test]
fn a_retry_of_an_idempotent_producer_gets_its_first_offset() {
    let mut rig = Rig::running(1, 4, &[1]);
    let stamp = |base_sequence| ProducerStamp {
        id: 9,
        epoch: 0,
        base_sequence,
    };
    let mut send = |sequence| rig.produce_batch(Acks::All, batch(2, stamp(sequence)));
    assert_eq!(send(0), [(ErrorCode::None, 0)]);
    assert_eq!(send(2), [(ErrorCode::None, 2)]);
    assert_eq!(send(0), [(ErrorCode::None, 0)]);
    assert_eq!(send(7), [(ErrorCode::OutOfOrderSequenceNumber, -1)]);
    assert_eq!(rig.view().leo, 4);
}

#[test]
fn requests_of_a_connection_wait_for_the_one_before() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    assert_eq!(rig.produce(Acks::All, 1), []);
    assert_eq!(rig.produce(Acks::Leader, 1), []);
    assert_eq!(rig.view().leo, 1, "the second is not looked at yet");
    rig.fetch(2, 1, 4, 4);
    assert_eq!(rig.produced(), [(ErrorCode::None, 0), (ErrorCode::None, 1)]);
}

#[test]
fn a_long_poll_ends_with_data_or_with_its_time() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    assert_eq!(rig.fetch(2, 0, 4, -1), None);
    assert_eq!(rig.consume(0, 4), None);
    rig.run_for(499 * MS);
    assert_eq!(rig.fetched(NodeId(1)), None);
    rig.produce(Acks::Leader, 2);
    let sent = rig
        .fetched(NodeId(1))
        .expect("the append ends the follower's wait");
    assert_eq!((sent.batches.len(), sent.high_watermark), (1, 0));
    assert_eq!(
        rig.fetched(CONSUMER),
        None,
        "not below the high watermark yet"
    );
    rig.run_for(MS);
    let sent = rig.fetched(CONSUMER).expect("fetch.max.wait.ms is over");
    assert_eq!((sent.error, sent.batches.len()), (ErrorCode::None, 0));
    assert_eq!(rig.consume(0, 4), None);
    assert_eq!(rig.fetch(2, 2, 4, 4), None);
    let sent = rig.fetched(CONSUMER).expect("the high watermark rose");
    assert_eq!((sent.high_watermark, sent.batches.len()), (2, 1));
}

#[test]
fn the_answer_to_a_follower_carries_the_high_watermark_from_before_its_fetch() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.produce(Acks::Leader, 2);
    rig.fetch(2, 0, 4, -1).expect("data at once");
    rig.produce(Acks::Leader, 1);
    let sent = rig.fetch(2, 2, 4, 4).expect("data at once");
    assert_eq!(sent.high_watermark, 0);
    assert_eq!(rig.view().hw, 2);
}

#[test]
fn a_fetch_is_checked_before_it_is_served() {
    let check = |offset, epoch, last, expect: ErrorCode, diverging: Option<(i32, i64)>| {
        let mut rig = Rig::running(1, 4, &[1, 2]);
        rig.produce(Acks::Leader, 2);
        rig.publish(vec![partition(1, 6, 1, &[1, 2])]);
        rig.produce(Acks::Leader, 2);
        let sent = rig
            .fetch(2, offset, epoch, last)
            .expect("an answer at once");
        let end = sent.diverging.map(|end| (end.epoch, end.end_offset));
        assert_eq!(
            (sent.error, end),
            (expect, diverging),
            "{offset} {epoch} {last}"
        );
        if expect.is_error() || diverging.is_some() {
            assert_eq!(rig.view().hw, 0, "such a fetch acknowledges nothing");
        }
    };
    check(0, 6, -1, ErrorCode::None, None);
    check(0, 4, -1, ErrorCode::FencedLeaderEpoch, None);
    check(0, 7, -1, ErrorCode::UnknownLeaderEpoch, None);
    check(5, 6, -1, ErrorCode::OffsetOutOfRange, None);
    check(3, 6, 4, ErrorCode::None, Some((4, 2)));
    check(3, 6, 5, ErrorCode::None, Some((4, 2)));
    check(2, 6, 4, ErrorCode::None, None);
    check(2, 6, 7, ErrorCode::OffsetOutOfRange, None);
}

#[test]
fn without_fencing_a_stale_fetch_counts() {
    let rules = ReplicationRules {
        fence_fetch_epoch: false,
        ..ReplicationRules::default()
    };
    let first = partition(1, 4, 0, &[1, 2]);
    let mut rig = Rig::with(BrokerConfig::default(), rules, first);
    rig.produce(Acks::Leader, 2);
    assert_eq!(rig.fetch(2, 2, 3, -1), None);
    assert_eq!(rig.view().hw, 2);
}

#[test]
fn a_caught_up_follower_is_proposed_and_counts_from_then_on() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.cx.take_sent();
    rig.produce(Acks::Leader, 2);
    rig.fetch(2, 2, 4, 4);
    rig.run_for(500 * MS);
    rig.fetched(NodeId(1));
    rig.cx.take_requests(CONTROLLER);
    rig.fetch(3, 2, 4, 4);
    let (correlation, request) = rig.cx.take_requests(CONTROLLER).remove(0);
    let Request::AlterPartition { partitions, .. } = request else {
        panic!("{request:?}");
    };
    assert_eq!(partitions[0].new_isr, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(rig.view().isr, [1, 2]);
    rig.produce(Acks::All, 1);
    rig.fetch(2, 3, 4, 4);
    assert_eq!(
        rig.view().hw,
        2,
        "the pending member holds the high watermark back"
    );
    let altered = crate::kafka::protocol::AlteredPartition {
        tp: TP,
        error: ErrorCode::None,
        leader: 1,
        leader_epoch: 4,
        isr: vec![1, 2, 3],
        partition_epoch: 1,
    };
    let response = Response::AlterPartition {
        error: ErrorCode::None,
        partitions: vec![altered],
    };
    rig.answer(CONTROLLER, correlation, response);
    assert_eq!(rig.view().isr, [1, 2, 3]);
    assert_eq!(rig.view().partition_epoch, 1);
    assert_eq!(rig.cx.rule(Rule::IsrExpandProposed), [(2, 3)]);
    assert_eq!(rig.cx.rule(Rule::IsrChanged), [(2, 3)]);
}

#[test]
fn a_lagging_follower_is_proposed_to_leave_until_the_controller_answers() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.produce(Acks::All, 1);
    let mut proposed = Vec::new();
    for _ in 0..46 {
        rig.run_for(1_000 * MS);
        proposed = proposals(&rig);
        if !proposed.is_empty() {
            break;
        }
    }
    assert!(
        rig.cx.now > 30_000 * MS,
        "after replica.lag.time.max.ms, not before"
    );
    assert_eq!(rig.cx.rule(Rule::IsrShrinkProposed), [(2, 1)]);
    assert_eq!(proposed, [vec![(1, 1)]]);
    assert_eq!(
        rig.view().hw,
        0,
        "a shrink counts only once it is committed"
    );
    rig.publish(vec![partition(1, 4, 1, &[1])]);
    assert_eq!(rig.view().hw, 1);
}

/// ISRs in the AlterPartition requests that wait.
fn proposals(rig: &Rig) -> Vec<Vec<(BrokerId, i64)>> {
    let requests = rig.cx.sent.iter().filter_map(|(_, _, msg)| match msg {
        Msg::Request(_, request) => Some(&**request),
        Msg::Response(..) => None,
    });
    let isrs = requests.filter_map(|request| match request {
        Request::AlterPartition { partitions, .. } => Some(partitions[0].new_isr.clone()),
        _ => None,
    });
    isrs.collect()
}

#[test]
fn offsets_by_kind_and_epoch() {
    let check = |from: NodeId, timestamp, expect: (ErrorCode, i64)| {
        let mut rig = Rig::running(1, 4, &[1, 2]);
        rig.produce(Acks::Leader, 2);
        rig.fetch(2, 1, 4, 4);
        rig.cx.take_sent();
        let request = Request::ListOffsets {
            tp: TP,
            timestamp,
            current_leader_epoch: 4,
            isolation: Isolation::ReadUncommitted,
        };
        rig.ask(from, 3, request);
        let answer = match rig.cx.take_responses(from).remove(0).1 {
            Response::ListOffsets { error, offset, .. } => (error, offset),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expect, "{from:?} {timestamp}");
    };
    check(CONSUMER, -1, (ErrorCode::None, 1));
    check(CONSUMER, -2, (ErrorCode::None, 0));
    check(CONSUMER, 0, (ErrorCode::None, 0));
    check(CONSUMER, 1, (ErrorCode::None, -1));
    check(NodeId(2), -1, (ErrorCode::None, 2));
}

#[test]
fn a_new_leader_below_its_epoch_start_offers_no_latest_offset() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.produce(Acks::Leader, 2);
    rig.publish(vec![partition(1, 5, 1, &[1, 2])]);
    rig.cx.take_sent();
    let request = Request::ListOffsets {
        tp: TP,
        timestamp: -1,
        current_leader_epoch: -1,
        isolation: Isolation::ReadUncommitted,
    };
    rig.ask(CONSUMER, 3, request);
    let answer = rig.cx.take_responses(CONSUMER).remove(0).1;
    assert!(
        matches!(
            answer,
            Response::ListOffsets {
                error: ErrorCode::OffsetNotAvailable,
                ..
            }
        ),
        "{answer:?}"
    );
    let request = Request::OffsetsForLeaderEpoch {
        replica: -1,
        tp: TP,
        current_leader_epoch: 5,
        leader_epoch: 4,
    };
    rig.ask(CONSUMER, 4, request);
    let end = EpochEnd {
        epoch: 4,
        end_offset: 2,
    };
    let expect = Response::OffsetsForLeaderEpoch {
        tp: TP,
        error: ErrorCode::None,
        end,
    };
    assert_eq!(rig.cx.take_responses(CONSUMER), [(4, expect)]);
}

#[test]
fn a_slow_disk_delays_the_answer() {
    let mut rig = Rig::running(1, 4, &[1]);
    rig.cx.disk_speed = 1_000;
    rig.cx.take_sent();
    rig.produce_at_disk_speed();
}

impl Rig {
    fn produce_at_disk_speed(&mut self) {
        let batch = batch(1, ProducerStamp::NONE);
        let expect = self.cx.now + u64::from(batch.bytes) * 1_000_000;
        let request = Request::Produce {
            acks: Acks::Leader,
            timeout_ms: 30_000,
            batches: vec![(TP, batch)],
        };
        self.ask(PRODUCER, 1, request);
        let left: Vec<Nanos> = self.cx.sent.iter().map(|(at, _, _)| *at).collect();
        assert_eq!(left, [expect]);
    }
}
