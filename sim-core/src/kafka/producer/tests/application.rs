//! What the application sees: loads, blocking, failures in `send()`, orders.

use super::*;
use crate::kafka::note::Rule;

fn load(arrivals: Arrivals) -> LoadSpec {
    LoadSpec {
        arrivals,
        keys: Keys::Cycle { n: 4 },
        ..LoadSpec::default()
    }
}

#[test]
fn a_load_sends_in_batches_and_learns_the_offsets() {
    let arrivals = Arrivals::Constant { gap: MILLISECOND };
    let mut rig = Rig::new(&[], load(arrivals), &[1, 2]);
    rig.pass(20 * MILLISECOND);
    assert_eq!(rig.producer.sent(), 21);
    let first = rig.next();
    rig.answer(&first, ErrorCode::None, 40);
    let count: usize = first.batches.iter().map(|(_, b)| b.records.len()).sum();
    let acknowledged = rig.acknowledged();
    assert_eq!(acknowledged.len(), count);
    assert_eq!(acknowledged.first().map(|(_, offset)| *offset), Some(40));
    assert_eq!(rig.producer.acknowledged(), count as u64);
    assert!(rig.producer.in_flight() > 0);
    assert_eq!(rig.producer.producer_id().id, 70);
}

#[test]
fn keyed_records_go_where_murmur2_says() {
    let mut rig = Rig::new(&[], load(Arrivals::None), &[1, 1, 1, 1, 1]);
    rig.pass(MILLISECOND);
    rig.send(8);
    let placed: Vec<_> = rig
        .cx
        .notes
        .iter()
        .filter_map(|note| match note {
            Note::Sent { key, tp, .. } => Some((*key, i32::from(tp.partition))),
            _ => None,
        })
        .collect();
    let expect = |key: u32| {
        let text = format!("key-{key}");
        let at = crate::kafka::rules::murmur2::partition_for_key(text.as_bytes(), 5);
        (Some(key), at)
    };
    assert_eq!(placed, [0, 1, 2, 3, 0, 1, 2, 3].map(expect));
}

#[test]
fn send_waits_for_metadata_and_then_fails() {
    let arrivals = Arrivals::Constant { gap: SECOND };
    let mut rig = Rig::new(&[("max.block.ms", "1500")], load(arrivals), &[1]);
    rig.alive.clear();
    // What was answered at boot is undone: the application starts anew without a broker.
    rig.cx.clear_timers();
    rig.producer.crash(Loss::Process);
    rig.give(Input::Boot);
    rig.pass(SECOND);
    assert_eq!(
        rig.producer.blocked(),
        Some((0, Blocked::Metadata)),
        "the first record hangs"
    );
    assert_eq!(rig.producer.sent(), 0);
    rig.pass(SECOND);
    assert_eq!(rig.failed(), [(0, ErrorCode::RequestTimedOut)]);
    assert_eq!((rig.producer.sent(), rig.producer.failed()), (1, 1));
    // The gap counts from the failure on: the application was busy until then.
    rig.pass(500 * MILLISECOND);
    assert_eq!(
        rig.producer.blocked().map(|(since, _)| since),
        Some(2_500 * MILLISECOND)
    );
}

#[test]
fn s20_a_full_buffer_blocks_send_and_then_fails_it() {
    let settings = [
        ("buffer.memory", "2000"),
        ("batch.size", "1000"),
        ("max.block.ms", "60000"),
        ("delivery.timeout.ms", "120000"),
    ];
    let mut rig = Rig::by_hand(&settings, &[1]);
    // The broker takes requests and never answers.
    rig.send(30);
    rig.pass(SECOND);
    // (1000 - 61) / 100 records fit a batch, and memory holds two of them.
    assert_eq!(rig.producer.sent(), 19);
    assert_eq!(rig.producer.buffered_bytes(), 2_000);
    let blocked = rig.producer.blocked().map(|(_, what)| what);
    assert_eq!(blocked, Some(Blocked::Memory));
    rig.pass(60 * SECOND);
    assert_eq!(rig.failed(), [(18, ErrorCode::RequestTimedOut)]);
    rig.pass(59 * SECOND);
    assert!(rig.producer.failed() >= 19, "the rest expired after 120 s");
    assert!(rig.producer.sent() > 20, "and made room for others");
}

#[test]
fn an_answer_makes_room_for_the_record_that_hangs() {
    let settings = [("buffer.memory", "1000"), ("batch.size", "1000")];
    let mut rig = Rig::by_hand(&settings, &[1]);
    rig.send(10);
    rig.pass(10 * MILLISECOND);
    assert_eq!(rig.producer.sent(), 10);
    assert!(rig.producer.blocked().is_some());
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::None, 0);
    assert_eq!(rig.producer.blocked(), None);
    assert_eq!(rig.producer.acknowledged(), 9);
}

#[test]
fn a_record_that_no_request_holds_fails_at_once() {
    let load = LoadSpec {
        record_bytes: 2_000_000,
        ..load(Arrivals::None)
    };
    let mut rig = Rig::new(&[], load, &[1]);
    rig.send(1);
    assert_eq!(rig.failed(), [(0, ErrorCode::MessageTooLarge)]);
}

#[test]
fn a_load_can_be_switched_off_and_on() {
    let arrivals = Arrivals::Constant { gap: MILLISECOND };
    let mut rig = Rig::new(&[], load(arrivals), &[1]);
    rig.pass(10 * MILLISECOND);
    rig.give(Input::Order(Order::Load { on: false }));
    let sent = rig.producer.sent();
    rig.pass(10 * MILLISECOND);
    assert_eq!(rig.producer.sent(), sent);
    rig.give(Input::Order(Order::Load { on: true }));
    rig.give(Input::Order(Order::Load { on: true }));
    rig.pass(10 * MILLISECOND);
    assert_eq!(rig.producer.sent(), sent + 11);
}

#[test]
fn with_acks_0_nobody_answers_and_all_is_well() {
    let mut rig = Rig::by_hand(&[("acks", "0")], &[1]);
    rig.send_one();
    assert_eq!(rig.asked.len(), 1);
    assert_eq!(rig.acknowledged(), [(0, -1)]);
    assert_eq!(rig.producer.in_flight(), 0);
}

#[test]
fn new_acks_mean_a_new_producer_once_the_old_one_is_closed() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send(1);
    rig.give(Input::Order(Order::SetAcks {
        acks: "1".to_owned(),
    }));
    rig.send(1);
    assert_eq!(rig.producer.sent(), 1, "the application hangs in close()");
    let asked = rig.next();
    assert_eq!(rig.producer.config().acks, Acks::All);
    rig.answer(&asked, ErrorCode::None, 0);
    assert_eq!(rig.producer.config().acks, Acks::Leader);
    rig.pass(5 * MILLISECOND);
    let asked = rig.next();
    assert_eq!(asked.sequences(), [-1], "no idempotence with acks=1");
    assert_eq!(rig.producer.sent(), 2);
    assert!(rig.producer.refuse_acks("2").is_some());
    assert_eq!(rig.producer.refuse_acks("all"), None);
}

#[test]
fn idempotence_that_was_asked_for_forbids_other_acks() {
    let rig = Rig::by_hand(&[("enable.idempotence", "true")], &[1]);
    assert!(rig.producer.refuse_acks("1").is_some());
}

#[test]
fn a_crash_forgets_what_was_not_acknowledged_and_numbers_go_on() {
    let mut rig = Rig::by_hand(&[], &[1]);
    rig.send_one();
    rig.send(2);
    rig.producer.crash(Loss::Process);
    rig.cx.clear_timers();
    assert_eq!((rig.producer.forgotten(), rig.producer.pending()), (3, 0));
    rig.give(Input::Boot);
    rig.pass(MILLISECOND);
    rig.asked.clear();
    rig.send_one();
    let asked = rig.next();
    rig.answer(&asked, ErrorCode::None, 0);
    assert_eq!(rig.acknowledged(), [(3, 0)]);
    assert_eq!(rig.cx.rule(Rule::Retry), []);
}

#[test]
fn unkeyed_records_stick_to_a_partition_until_it_has_a_batch() {
    let load = LoadSpec {
        keys: Keys::None,
        ..LoadSpec::default()
    };
    let mut rig = Rig::new(&[("batch.size", "1000")], load, &[1; 8]);
    rig.pass(MILLISECOND);
    rig.send(100);
    let placed: Vec<u16> = rig
        .cx
        .notes
        .iter()
        .filter_map(|note| match note {
            Note::Sent { tp, .. } => Some(tp.partition),
            _ => None,
        })
        .collect();
    let runs = placed.chunk_by(|a, b| a == b).count();
    assert!((5..=12).contains(&runs), "{runs} runs in {placed:?}");
}
