//! Tests of the whole node against brokers played by hand.

use super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::{FetchedPartition, PartitionMetadata, Request};
use crate::kafka::testing::TestCx;
use crate::kernel::{MILLISECOND, NodeId, SECOND};
use crate::log::{Batch, EpochEnd, ProducerStamp, Record, RecordId};

const TP: TopicPartition = TopicPartition {
    topic: TopicId(0),
    partition: 0,
};

/// A consumer of one partition, and the requests that wait for an answer.
struct Rig {
    cx: TestCx,
    consumer: Consumer,
    leader: (BrokerId, i32),
    asked: Vec<(BrokerId, u32, Request)>,
}

impl Rig {
    fn new(settings: &[(&str, &str)]) -> Self {
        let mut config = ConsumerConfig::default();
        for (key, value) in settings {
            config.set(key, value).expect("a known key and value");
        }
        let book = AddressBook {
            racks: Vec::new(),
            topics: Vec::new(),
            brokers: vec![(1, NodeId(1)), (2, NodeId(2))],
            controllers: Vec::new(),
        };
        let spec = ConsumerSpec {
            name: "c".to_owned(),
            topic: "t".to_owned(),
            also: Vec::new(),
            partitions: Vec::new(),
            config,
            start: 0,
        };
        let mut rig = Rig {
            cx: TestCx::new(NodeId(9)),
            consumer: Consumer::new(&spec, TopicId(0), Arc::new(book), Parts::default()),
            leader: (1, 0),
            asked: Vec::new(),
        };
        rig.give(Input::Boot);
        rig
    }

    /// A rig whose consumer stands at this offset.
    fn at(settings: &[(&str, &str)], offset: i64) -> Self {
        let mut rig = Rig::new(settings);
        rig.pass(MILLISECOND);
        rig.answer_offset(ErrorCode::None, offset);
        rig
    }

    fn give(&mut self, input: KafkaInput<ConsumerTimer>) {
        self.consumer.on(input, &mut self.cx);
        self.serve();
    }

    fn pass(&mut self, span: Nanos) {
        let until = self.cx.now + span;
        loop {
            match self.cx.next_timer(until) {
                Some(Timer::Consumer(timer)) => self.give(Input::Timer(timer)),
                Some(other) => panic!("a foreign timer {other:?}"),
                None => return,
            }
        }
    }

    /// Brokers open connections and answer Metadata by themselves.
    fn serve(&mut self) {
        loop {
            let sent = self.cx.take_sent();
            if sent.is_empty() {
                return;
            }
            for (_, to, msg) in sent {
                let Msg::Request(correlation, request) = msg else {
                    panic!("a consumer answers nothing");
                };
                let broker = i32::try_from(to.0).expect("brokers have small numbers");
                match *request {
                    Request::ApiVersions => {
                        self.respond(broker, correlation, Response::ApiVersions);
                    }
                    Request::Metadata => {
                        let (leader, leader_epoch) = self.leader;
                        let told = PartitionMetadata {
                            tp: TP,
                            leader,
                            leader_epoch,
                            replicas: vec![1, 2],
                            isr: vec![1, 2],
                        };
                        let answer = Response::Metadata {
                            brokers: vec![1, 2],
                            partitions: vec![told],
                        };
                        self.respond(broker, correlation, answer);
                    }
                    other => self.asked.push((broker, correlation, other)),
                }
            }
        }
    }

    fn respond(&mut self, broker: BrokerId, correlation: u32, response: Response) {
        let from = NodeId(broker.unsigned_abs());
        let msg = Msg::Response(correlation, Box::new(response));
        self.consumer.on(Input::Message { from, msg }, &mut self.cx);
    }

    fn next(&mut self) -> (BrokerId, u32, Request) {
        assert!(!self.asked.is_empty(), "nothing was asked");
        self.asked.remove(0)
    }

    /// Answers a ListOffsets; returns the timestamp it asked for.
    fn answer_offset(&mut self, error: ErrorCode, offset: i64) -> i64 {
        let (broker, correlation, request) = self.next();
        let Request::ListOffsets { timestamp, .. } = request else {
            panic!("ListOffsets is expected, not {request:?}");
        };
        let answer = Response::ListOffsets {
            tp: TP,
            error,
            offset,
            leader_epoch: 0,
        };
        self.respond(broker, correlation, answer);
        self.serve();
        timestamp
    }

    /// Answers a fetch; returns broker and offset.
    fn answer_fetch(&mut self, error: ErrorCode, batches: Vec<Batch>) -> (BrokerId, i64) {
        let (broker, correlation, request) = self.next();
        let Request::Fetch { partitions, .. } = request else {
            panic!("Fetch is expected, not {request:?}");
        };
        let told = FetchedPartition {
            tp: TP,
            error,
            high_watermark: 100,
            last_stable_offset: 100,
            log_start_offset: 0,
            diverging: None,
            current_leader: None,
            remote: None,
            aborted: Vec::new(),
            batches: batches.into_iter().map(Arc::new).collect(),
        };
        let answer = Response::Fetch {
            partitions: vec![told],
        };
        self.respond(broker, correlation, answer);
        self.serve();
        let first = partitions.first().expect("one partition");
        (broker, first.fetch_offset)
    }

    fn answer_epoch_end(&mut self, error: ErrorCode, epoch: i32, end_offset: i64) -> BrokerId {
        let (broker, correlation, request) = self.next();
        let Request::OffsetsForLeaderEpoch { leader_epoch, .. } = request else {
            panic!("OffsetsForLeaderEpoch is expected, not {request:?}");
        };
        assert_eq!(leader_epoch, 0, "the epoch of the last record");
        let answer = Response::OffsetsForLeaderEpoch {
            tp: TP,
            error,
            end: EpochEnd { epoch, end_offset },
        };
        self.respond(broker, correlation, answer);
        self.serve();
        broker
    }

    /// Offsets handed out so far.
    fn delivered(&self) -> Vec<i64> {
        let found = self.cx.notes.iter().filter_map(|note| match note {
            Note::Delivered { offset, .. } => Some(*offset),
            _ => None,
        });
        found.collect()
    }

    /// A new leader, which the consumer learns of.
    fn move_leader(&mut self, leader: BrokerId, epoch: i32) {
        self.leader = (leader, epoch);
        self.asked.clear();
        self.give(Input::Disconnected(NodeId(1)));
        self.pass(SECOND);
        // Before it learned of it, it asked the old one again.
        self.asked.retain(|(broker, _, _)| *broker != 1);
    }
}

fn batch(base_offset: i64, count: u64, leader_epoch: i32) -> Batch {
    let record = |n| Record {
        id: RecordId(n),
        key: None,
        offset_delta: 0,
        bytes: 10,
        timestamp_ms: 0,
        tombstone: false,
    };
    Batch {
        base_offset,
        leader_epoch,
        ..Batch::new((0..count).map(record).collect(), ProducerStamp::NONE)
    }
}

#[test]
fn a_consumer_starts_where_its_policy_says() {
    let check = |policy, timestamp| {
        let mut rig = Rig::new(&[("auto.offset.reset", policy)]);
        rig.pass(MILLISECOND);
        assert_eq!(rig.answer_offset(ErrorCode::None, 40), timestamp);
        assert_eq!(rig.answer_fetch(ErrorCode::None, vec![]), (1, 40));
        assert_eq!(rig.cx.rule(Rule::PositionReset), [(-1, 40)]);
    };
    check("latest", -1);
    check("earliest", -2);
    check("by_duration:PT1H", 0);
    let mut rig = Rig::new(&[("auto.offset.reset", "none")]);
    rig.pass(SECOND);
    assert_eq!(rig.consumer.stopped(TP), Some(Stopped::NoPosition));
    assert!(rig.asked.is_empty());
}

#[test]
fn a_duration_that_finds_nothing_means_the_end() {
    let mut rig = Rig::new(&[("auto.offset.reset", "by_duration:PT1S")]);
    rig.pass(MILLISECOND);
    rig.answer_offset(ErrorCode::None, -1);
    assert_eq!(rig.answer_offset(ErrorCode::None, 7), -1);
    assert_eq!(rig.consumer.position(TP), Some(7));
}

#[test]
fn a_position_that_is_not_available_yet_is_asked_for_again() {
    let mut rig = Rig::new(&[]);
    rig.pass(MILLISECOND);
    rig.answer_offset(ErrorCode::OffsetNotAvailable, -1);
    rig.pass(99 * MILLISECOND);
    assert!(rig.asked.is_empty(), "not before retry.backoff.ms");
    rig.pass(MILLISECOND);
    rig.answer_offset(ErrorCode::None, 5);
    assert_eq!(rig.consumer.position(TP), Some(5));
}

#[test]
fn records_are_handed_out_in_polls_and_the_position_follows() {
    let mut rig = Rig::at(&[("max.poll.records", "2")], 11);
    // The first batch begins below the position; offset 14 is gone, 15 and 16 are there.
    let fetched = vec![batch(10, 4, 0), batch(15, 2, 0)];
    rig.answer_fetch(ErrorCode::None, fetched);
    assert_eq!(rig.delivered(), [11, 12]);
    assert_eq!(rig.consumer.position(TP), Some(13));
    assert!(rig.asked.is_empty(), "no fetch while something is left");
    rig.pass(0);
    assert_eq!(rig.delivered(), [11, 12, 13, 15, 16]);
    assert_eq!(rig.consumer.lag(TP), Some(83));
    assert_eq!(rig.answer_fetch(ErrorCode::None, vec![]), (1, 17));
}

#[test]
fn a_pause_keeps_what_was_fetched_and_asks_for_no_more() {
    let mut rig = Rig::at(&[], 10);
    rig.give(Input::Order(Order::Poll { on: false }));
    rig.answer_fetch(ErrorCode::None, vec![batch(10, 3, 0)]);
    rig.pass(10 * SECOND);
    assert_eq!((rig.delivered(), rig.asked.len()), (vec![], 0));
    rig.give(Input::Order(Order::Poll { on: true }));
    assert_eq!(rig.delivered(), [10, 11, 12]);
    assert_eq!(rig.answer_fetch(ErrorCode::None, vec![]), (1, 13));
}

#[test]
fn s21_out_of_range_resets_or_stops() {
    let check = |policy, asks| {
        let mut rig = Rig::at(&[("auto.offset.reset", policy)], 10);
        rig.answer_fetch(ErrorCode::OffsetOutOfRange, vec![]);
        assert_eq!(rig.answer_offset(ErrorCode::None, 30), asks);
        assert_eq!(rig.cx.rule(Rule::PositionReset), [(-1, 10), (-1, 30)]);
    };
    check("latest", -1);
    check("earliest", -2);
}

#[test]
fn a_new_leader_is_asked_where_the_epoch_ended() {
    let check = |end: (i32, i64), position, moves: usize| {
        let mut rig = Rig::at(&[], 10);
        rig.answer_fetch(ErrorCode::None, vec![batch(10, 3, 0)]);
        rig.move_leader(2, 1);
        assert_eq!(rig.answer_epoch_end(ErrorCode::None, end.0, end.1), 2);
        assert_eq!(rig.answer_fetch(ErrorCode::None, vec![]), (2, position));
        assert_eq!(rig.cx.rule(Rule::PositionReset).len(), 1 + moves);
    };
    check((0, 13), 13, 0);
    check((0, 12), 12, 1);
    let mut rig = Rig::at(&[], 10);
    rig.answer_fetch(ErrorCode::None, vec![batch(10, 3, 0)]);
    rig.move_leader(2, 1);
    rig.answer_epoch_end(ErrorCode::FencedLeaderEpoch, -1, -1);
    assert!(rig.asked.is_empty());
    rig.pass(SECOND);
    rig.answer_epoch_end(ErrorCode::None, 0, 13);
    assert_eq!(
        rig.consumer.state(TP),
        Some(crate::kafka::rules::position::FetchState::Fetching)
    );
}

#[test]
fn errors_of_a_fetch_pause_and_are_shown() {
    let mut rig = Rig::at(&[], 10);
    rig.answer_fetch(ErrorCode::NotLeaderOrFollower, vec![]);
    let shown = rig.consumer.last_error(TP);
    assert_eq!(shown, Some(ErrorCode::NotLeaderOrFollower));
    assert!(rig.asked.is_empty());
    rig.pass(SECOND);
    rig.answer_fetch(ErrorCode::None, vec![batch(10, 1, 0)]);
    assert_eq!(rig.consumer.last_error(TP), None);
    assert_eq!(rig.delivered(), [10]);
}

#[test]
fn an_unanswered_fetch_ends_the_connection() {
    let mut rig = Rig::at(&[], 10);
    rig.asked.clear();
    rig.pass(31 * SECOND);
    assert_eq!(rig.cx.disconnected, [NodeId(1)]);
    assert_eq!(rig.answer_fetch(ErrorCode::None, vec![]), (1, 10));
}

#[test]
fn a_restart_begins_without_a_position() {
    let mut rig = Rig::at(&[], 10);
    rig.answer_fetch(ErrorCode::None, vec![batch(10, 3, 0)]);
    rig.consumer.crash(Loss::Process);
    rig.cx.clear_timers();
    rig.asked.clear();
    rig.give(Input::Boot);
    assert_eq!(rig.consumer.position(TP), None);
    assert_eq!(rig.answer_offset(ErrorCode::None, 50), -1);
    assert_eq!(rig.consumer.position(TP), Some(50));
    assert_eq!(rig.consumer.delivered(), 3);
}
