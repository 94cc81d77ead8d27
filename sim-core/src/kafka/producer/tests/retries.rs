//! Errors, retries and order, with and without idempotence.

use super::*;
use crate::kafka::note::Rule;
use serde_json::json;

/// A producer without idempotence.
const PLAIN: [(&str, &str); 1] = [("enable.idempotence", "false")];

/// Sequence numbers and offsets acknowledged so far: one record a batch.
fn acks(rig: &Rig) -> (Vec<u64>, Vec<i64>) {
    rig.acknowledged().into_iter().unzip()
}

#[test]
fn inflight_01() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    rig.send_one();
    let (first, second) = (rig.next(), rig.next());
    assert_eq!((first.sequences(), second.sequences()), (vec![0], vec![1]));
    let in_flight = rig.producer.in_flight();
    let mut last_acked = Vec::new();
    for (asked, offset) in [(&first, 0), (&second, 1)] {
        rig.answer(asked, ErrorCode::None, offset);
        last_acked.extend(acks(&rig).0.last().copied());
    }
    let got = json!({
        "in_flight_after_sends": in_flight,
        "last_acked_seq_after_each_ack": last_acked,
        "offsets": acks(&rig).1,
    });
    assert_eq!(got, expected("inflight-01"));
}

#[test]
fn inflight_02_retry_in_order() {
    let mut rig = Rig::by_hand(&[], &[1]);
    for _ in 0..3 {
        rig.send_one();
    }
    let sent: Vec<Asked> = (0..3).map(|_| rig.next()).collect();
    assert_eq!(rig.producer.in_flight(), 3);
    rig.answer(&sent[0], ErrorCode::LeaderNotAvailable, -1);
    rig.send(1);
    rig.answer(&sent[1], ErrorCode::OutOfOrderSequenceNumber, -1);
    rig.answer(&sent[2], ErrorCode::OutOfOrderSequenceNumber, -1);
    let next_sequence = rig.producer.next_sequence(0);
    let mut most = 0;
    let mut early = false;
    for offset in 0..4 {
        rig.pass(SECOND);
        most = most.max(rig.producer.in_flight());
        let asked = rig.next();
        early |= asked.sequences() == [3] && acks(&rig).0 != [0, 1, 2];
        rig.answer(&asked, ErrorCode::None, offset);
    }
    let (order, offsets) = acks(&rig);
    let got = json!({
        "in_flight_during_retry": most,
        "next_sequence_while_retrying": next_sequence,
        "fourth_sent_before_first_three_done": early,
        "ack_order": order,
        "offsets": offsets,
    });
    assert_eq!(got, expected("inflight-02-retry-in-order"));
    assert_eq!(rig.cx.rule(Rule::ProducerEpochBump), [], "there was no gap");
}

#[test]
fn s17_without_idempotence_a_retry_falls_behind() {
    let check = |settings: &[(&str, &str)], order: &[u64]| {
        let mut rig = Rig::by_hand(settings, &[1]);
        rig.send_one();
        rig.send_one();
        let first = rig.next();
        rig.answer(&first, ErrorCode::NotLeaderOrFollower, -1);
        let mut written = Vec::new();
        for offset in 0..2 {
            if rig.asked.is_empty() {
                rig.pass(SECOND);
            }
            let asked = rig.next();
            let records = asked.batches.iter().flat_map(|(_, b)| b.records.iter());
            written.extend(records.map(|r| ordinal(r.id.0)));
            rig.answer(&asked, ErrorCode::None, offset);
        }
        assert_eq!(written, order, "{settings:?}");
    };
    check(&PLAIN, &[1, 0]);
    let alone = ("max.in.flight.requests.per.connection", "1");
    check(&[PLAIN[0], alone], &[0, 1]);
}

#[test]
fn s16_a_lost_answer_is_retried_with_the_same_sequence() {
    let check = |settings: &[(&str, &str)], sequence| {
        let mut rig = Rig::by_hand(settings, &[1]);
        rig.send_one();
        assert_eq!(rig.next().sequences(), [sequence]);
        rig.pass(30 * SECOND);
        assert_eq!(rig.cx.disconnected, [NodeId(1)], "the client gave it up");
        rig.pass(SECOND);
        let again = rig.next();
        assert_eq!(again.sequences(), [sequence]);
        rig.answer(&again, ErrorCode::None, 51);
        assert_eq!(rig.acknowledged(), [(0, 51)]);
        assert_eq!(rig.cx.rule(Rule::Retry), [(0, 1)]);
    };
    check(&PLAIN, -1);
    check(&[], 0);
}

#[test]
fn a_duplicate_is_a_success_without_an_offset() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::DuplicateSequenceNumber, -1);
    assert_eq!(rig.acknowledged(), [(0, -1)]);
}

#[test]
fn an_error_that_is_not_retriable_fails_the_records() {
    let check = |error, settings: &[(&str, &str)], bumps: usize| {
        let mut rig = Rig::by_hand(settings, &[1]);
        rig.send_one();
        let asked = rig.next();
        rig.answer(&asked, error, -1);
        assert_eq!(rig.failed(), [(0, error)]);
        assert_eq!(rig.cx.rule(Rule::ProducerEpochBump).len(), bumps);
        assert_eq!(rig.producer.buffered_bytes(), 0);
    };
    check(ErrorCode::InvalidRecord, &PLAIN, 0);
    // The sequence number was not used by the broker: the epoch is raised to start again at 0.
    check(ErrorCode::InvalidRecord, &[], 1);
    let once = [("retries", "0")];
    check(ErrorCode::NotEnoughReplicas, &once, 0);
}

#[test]
fn a_gap_raises_the_epoch_and_starts_at_0() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::None, 0);
    rig.send_one();
    let asked = rig.next();
    assert_eq!(asked.sequences(), [1]);
    rig.answer(&asked, ErrorCode::OutOfOrderSequenceNumber, -1);
    assert_eq!(rig.cx.rule(Rule::ProducerEpochBump), [(0, 1)]);
    rig.pass(SECOND);
    let again = rig.next();
    let stamp = again.batches[0].1.producer;
    assert_eq!((stamp.epoch, stamp.base_sequence), (1, 0));
    rig.answer(&again, ErrorCode::None, 1);
    assert_eq!(rig.acknowledged(), [(0, 0), (1, 1)]);
}

#[test]
fn a_retried_batch_that_expires_leaves_its_sequence_unresolved() {
    let mut rig = Rig::by_hand(&[("delivery.timeout.ms", "40000")], &[1]);
    rig.send_one();
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::NotEnoughReplicasAfterAppend, -1);
    rig.pass(SECOND);
    // Under way for the second time, without an answer.
    assert_eq!(rig.next().sequences(), [0]);
    rig.pass(28 * SECOND);
    rig.send(1);
    rig.pass(11 * SECOND);
    assert_eq!(rig.failed(), [(0, ErrorCode::RequestTimedOut)]);
    assert_eq!(rig.cx.rule(Rule::ProducerEpochBump), [(0, 1)]);
    let stamps: Vec<_> = rig
        .asked
        .iter()
        .map(|a| (a.batches[0].1.producer.epoch, a.sequences()))
        .collect();
    assert_eq!(stamps.last(), Some(&(1, vec![0])), "{stamps:?}");
}

#[test]
fn a_hint_sends_the_retry_to_the_new_leader_without_a_pause() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    let asked = rig.next();
    let hint = Some((2, 1));
    rig.leaders = vec![(2, 1)];
    rig.answer_with_hint(&asked, ErrorCode::NotLeaderOrFollower, -1, hint);
    let again = rig.next();
    assert_eq!((again.broker, again.sequences()), (2, vec![0]));
}

#[test]
fn a_dead_leader_is_replaced_through_metadata() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    rig.alive = vec![2];
    rig.leaders = vec![(2, 1)];
    rig.asked.clear();
    rig.give(Input::Disconnected(NodeId(1)));
    assert_eq!(rig.cx.rule(Rule::Retry), [(0, 1)]);
    rig.pass(SECOND);
    let again = rig.next();
    assert_eq!((again.broker, again.sequences()), (2, vec![0]));
}

#[test]
fn a_broker_that_cannot_be_reached_costs_no_attempt() {
    let check = |settings: &[(&str, &str)]| {
        let mut rig = Rig::by_hand(settings, &[1]);
        rig.alive = vec![2];
        rig.give(Input::Disconnected(NodeId(1)));
        rig.send(1);
        rig.pass(20 * SECOND);
        assert_eq!(rig.cx.rule(Rule::Retry), []);
        assert_eq!(rig.acknowledged(), []);
        rig.alive = vec![1, 2];
        rig.pass(40 * SECOND);
        assert_eq!(rig.asked.len(), 1);
    };
    check(&[("acks", "0")]);
    check(&[("retries", "0")]);
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send(4);
    rig.pass(5 * MILLISECOND);
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::MessageTooLarge, -1);
    let (first, second) = (rig.next(), None::<Asked>);
    assert!(second.is_none() && rig.asked.is_empty(), "in turn");
    assert_eq!(
        (first.sequences(), first.batches[0].1.records.len()),
        (vec![0], 2)
    );
    rig.answer(&first, ErrorCode::None, 0);
    let second = rig.next();
    assert_eq!(second.sequences(), [2]);
    rig.answer(&second, ErrorCode::None, 2);
    assert_eq!(rig.acknowledged(), [(0, 0), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(rig.producer.buffered_bytes(), 0);
}

#[test]
fn strange_messages_change_nothing() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::None, 0);
    let before = rig.producer.clone();
    rig.answer(&asked, ErrorCode::None, 7);
    rig.respond(2, asked.correlation, Response::ApiVersions);
    rig.respond(
        1,
        12_345,
        Response::Produce {
            partitions: Vec::new(),
        },
    );
    let msg = Msg::Request(1, Box::new(Request::Metadata));
    let from = NodeId(77);
    rig.give(Input::Message { from, msg });
    rig.give(Input::Disconnected(NodeId(77)));
    assert_eq!(rig.acknowledged(), [(0, 0)]);
    let unchanged = (
        before.acknowledged(),
        before.in_flight(),
        before.producer_id(),
    );
    let now = &rig.producer;
    assert_eq!(
        (now.acknowledged(), now.in_flight(), now.producer_id()),
        unchanged
    );
}
