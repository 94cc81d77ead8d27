//! The accumulator alone; the cases of Kafka's RecordAccumulatorTest by their ids.

use super::super::accumulator::{Accumulator, Append, Drained, Stamping};
use super::super::batch::BATCH_OVERHEAD;
use super::expected;
use crate::kafka::client::{NEVER, span};
use crate::kafka::config::ProducerConfig;
use crate::kafka::rules::position::LeaderAndEpoch;
use crate::kernel::{MILLISECOND, Nanos, Purpose, below, draw};
use crate::log::{Record, RecordId};
use serde_json::json;

fn record(id: u64, bytes: u32) -> Record {
    Record {
        id: RecordId(id),
        key: None,
        offset_delta: 0,
        bytes,
        timestamp_ms: 0,
        tombstone: false,
    }
}

/// Settings for a producer without idempotence.
fn config(settings: &[(&str, &str)]) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    for (key, value) in [("acks", "1")].iter().chain(settings) {
        config.set(key, value).expect("a known key and value");
    }
    config
}

/// Partitions led by these brokers, in epoch 0.
fn led_by(brokers: &[i32]) -> Vec<LeaderAndEpoch> {
    let known = |leader: &i32| LeaderAndEpoch {
        leader: (*leader >= 0).then_some(*leader),
        epoch: 0,
    };
    brokers.iter().map(known).collect()
}

fn accumulator(settings: &[(&str, &str)], partitions: u16) -> Accumulator {
    let mut made = Accumulator::new(&config(settings));
    made.grow(partitions);
    made
}

fn append(accumulator: &mut Accumulator, partition: u16, bytes: u32, now: Nanos) -> Append {
    accumulator.append(partition, record(0, bytes), now)
}

fn partitions(drained: &[Drained]) -> Vec<u16> {
    drained.iter().map(|d| d.partition).collect()
}

#[test]
fn linger_01() {
    let mut it = accumulator(&[("linger.ms", "10"), ("batch.size", "1024")], 1);
    let leaders = led_by(&[1]);
    append(&mut it, 0, 10, 0);
    let at_0 = it.ready(&leaders, 0);
    assert_eq!(at_0.next_check, 10 * MILLISECOND);
    let at_10 = it.ready(&leaders, 10 * MILLISECOND);
    let drained = it.drain(&leaders, 1, 1_000, 10 * MILLISECOND, Stamping::Off);
    let got = json!({
        "ready_at_0": at_0.brokers == [1],
        "ready_at_10": at_10.brokers == [1],
        "drained_batches": drained.len(),
        "records_in_batch": drained[0].batch.records.len(),
    });
    assert_eq!(got, expected("linger-01"));
}

#[test]
fn retry_backoff_01() {
    let mut it = accumulator(&[("linger.ms", "0")], 2);
    let leaders = led_by(&[1, 1]);
    append(&mut it, 0, 10, 0);
    let drained = it.drain(&leaders, 1, 1_000, 0, Stamping::Off);
    assert_eq!(partitions(&drained), [0]);
    let queue = it.partition(0).expect("partition 0 is there");
    let mut batch = queue.on_wire.remove(0);
    let longest = span(120);
    batch.reenqueued(0, longest);
    it.reenqueue(0, batch);
    append(&mut it, 1, 10, 0);
    assert_eq!(it.ready(&leaders, 0).brokers, [1], "the other is ready");
    let before = it.drain(&leaders, 1, 1_000, longest - 1, Stamping::Off);
    assert!(it.ready(&leaders, longest - 1).brokers.is_empty());
    assert_eq!(it.ready(&leaders, longest).brokers, [1]);
    let after = it.drain(&leaders, 1, 1_000, longest, Stamping::Off);
    let names = |drained: &[Drained]| -> Vec<String> {
        let numbers = partitions(drained).into_iter();
        numbers
            .map(|partition| format!("p{}", partition + 1))
            .collect()
    };
    let got = json!({"before": names(&before), "after": names(&after)});
    assert_eq!(got, expected("retry-backoff-01"));
}

#[test]
fn a_full_batch_or_a_second_one_does_not_linger() {
    let check = |sizes: &[u32], ready_at_once: bool, batches: usize| {
        let mut it = accumulator(&[("batch.size", "261")], 1);
        for bytes in sizes {
            append(&mut it, 0, *bytes, 0);
        }
        let ready = !it.ready(&led_by(&[1]), 0).brokers.is_empty();
        assert_eq!(ready, ready_at_once, "{sizes:?}");
        let queue = it.partition(0).expect("partition 0 is there");
        assert_eq!(queue.queue.len(), batches, "{sizes:?}");
    };
    check(&[100], false, 1);
    check(&[100, 99], false, 1);
    check(&[100, 100], true, 1);
    check(&[100, 99, 100], true, 2);
    check(&[1_000], true, 1);
}

#[test]
fn a_retry_goes_at_once_to_a_new_leader() {
    let mut it = accumulator(&[("linger.ms", "0")], 1);
    append(&mut it, 0, 10, 0);
    it.drain(&led_by(&[1]), 1, 1_000, 0, Stamping::Off);
    let mut batch = it.partition(0).expect("it is there").on_wire.remove(0);
    batch.reenqueued(0, span(100));
    it.reenqueue(0, batch);
    assert!(it.ready(&led_by(&[1]), 1).brokers.is_empty());
    let moved = LeaderAndEpoch {
        leader: Some(2),
        epoch: 1,
    };
    it.look_again();
    assert_eq!(it.ready(&[moved], 1).brokers, [2]);
}

#[test]
fn a_request_takes_one_batch_of_each_partition_up_to_its_size_from_a_start_that_rotates() {
    let mut it = accumulator(&[("linger.ms", "0"), ("batch.size", "100")], 3);
    let leaders = led_by(&[1, 1, 1]);
    for partition in [0, 0, 1, 1, 2, 2] {
        append(&mut it, partition, 39, 0);
    }
    let mut turn = || partitions(&it.drain(&leaders, 1, 200, 0, Stamping::Off));
    // Two batches of 100 bytes fit; the third partition stops the turn and begins the next.
    assert_eq!(turn(), [0, 1]);
    assert_eq!(turn(), [2, 0]);
    assert_eq!(turn(), [1, 2]);
    assert_eq!(turn(), [0_u16; 0]);
}

#[test]
fn memory_is_given_by_the_batch_and_comes_back() {
    let mut it = accumulator(&[("batch.size", "100"), ("buffer.memory", "250")], 3);
    assert!(matches!(append(&mut it, 0, 10, 0), Append::Done { .. }));
    assert!(matches!(append(&mut it, 1, 10, 0), Append::Done { .. }));
    assert_eq!(it.buffered(), 200);
    assert_eq!(append(&mut it, 2, 10, 0), Append::NoMemory);
    assert!(matches!(append(&mut it, 1, 10, 0), Append::Done { .. }));
    it.free(100);
    assert!(matches!(append(&mut it, 2, 10, 0), Append::Done { .. }));
}

#[test]
fn batches_expire_by_age_wherever_they_are() {
    let mut it = accumulator(&[("linger.ms", "0")], 2);
    let leaders = led_by(&[1, -1]);
    let timeout = span(120_000);
    assert_eq!(it.expiry_floor(), NEVER);
    append(&mut it, 0, 10, 0);
    append(&mut it, 1, 10, 5);
    assert!(it.ready(&leaders, 5).unknown_leader);
    it.drain(&leaders, 1, 1_000, 5, Stamping::Off);
    assert!(it.expire(timeout - 1).is_empty());
    assert_eq!(it.expiry_floor(), timeout);
    let of = |expired: Vec<(u16, _)>| expired.into_iter().map(|(p, _)| p).collect::<Vec<_>>();
    assert_eq!(of(it.expire(timeout)), [0], "under way");
    assert!(it.has_incomplete());
    assert_eq!(it.expiry_floor(), timeout + 5);
    assert_eq!(of(it.expire(timeout + 5)), [1], "waiting");
    assert!(!it.has_incomplete());
    assert_eq!(it.expiry_floor(), NEVER);
}

#[test]
fn sizes_count_the_head_of_the_batch() {
    let mut it = accumulator(&[], 1);
    let first = append(&mut it, 0, 10, 0);
    let second = append(&mut it, 0, 10, 0);
    let bytes = |append| match append {
        Append::Done { bytes, .. } => bytes,
        Append::NoMemory => 0,
    };
    assert_eq!((bytes(first), bytes(second)), (BATCH_OVERHEAD + 10, 10));
}

/// A look that builds on the last one finds what a look at everything finds.
#[test]
fn what_was_kept_of_a_look_is_never_stale() {
    const PARTITIONS: u16 = 9;
    let purpose = Purpose::named("test.accumulator");
    let leaders = led_by(&[1, 2, 3, 1, -1, 2, 1, 3, 2]);
    for seed in 0..40 {
        let mut it = accumulator(&[("linger.ms", "5"), ("batch.size", "200")], PARTITIONS);
        let mut now = 0;
        for step in 0..300 {
            let bits = draw(seed, purpose, 0, 0, step);
            now += below(bits, MILLISECOND);
            let partition = below(bits << 20, u64::from(PARTITIONS)) as u16;
            match bits % 16 {
                0..6 => {
                    let broker = 1 + below(bits << 30, 3) as i32;
                    it.drain(&leaders, broker, 1_000, now, Stamping::Off);
                }
                6..9 => {
                    let answered = it.on_wire(partition).map(|batch| batch.id);
                    let taken = answered.and_then(|id| it.take_answered(partition, id));
                    if let Some((mut batch, _)) = taken {
                        batch.reenqueued(now, below(bits << 5, MILLISECOND));
                        it.reenqueue(partition, batch);
                    }
                }
                9 => {
                    if let Some(queue) = it.partition(partition) {
                        queue.muted = !queue.muted;
                    }
                }
                10 => {
                    let answered = it.on_wire(partition).map(|batch| batch.id);
                    answered.map(|id| it.take_answered(partition, id).is_some());
                }
                _ => {
                    append(&mut it, partition, 1 + below(bits << 10, 90) as u32, now);
                }
            }
            let mut anew = it.clone();
            anew.look_again();
            let ready = it.ready(&leaders, now);
            assert_eq!(ready, anew.ready(&leaders, now), "seed {seed} step {step}");
            it.keep(ready);
        }
    }
}
