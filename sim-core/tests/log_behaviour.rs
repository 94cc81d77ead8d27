//! The log against a simple model, and what keyframes rely on: equal content compares equal
//! however it came about, and a clone shares its history.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use sim_core::kafka::rules::fetch::OffsetView;
use sim_core::kafka::rules::partition_log::{Appended, LeaderAppend, PartitionLog};
use sim_core::kafka::rules::producer_append::AppendOrigin;
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{Batch, ControlMarker, KeyId, Log, LogConfig, ProducerStamp, Record, RecordId};

fn record(id: u64) -> Record {
    Record {
        id: RecordId(id),
        key: Some(KeyId(0)),
        offset_delta: 0,
        bytes: 39,
        timestamp_ms: 1,
        tombstone: false,
    }
}

fn batch(first: u64, count: u64) -> Batch {
    Batch::new(
        (first..first + count).map(record).collect(),
        ProducerStamp::NONE,
    )
}

/// Ten batches of one record (100 bytes) per segment.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        ..LogConfig::default()
    }
}

fn log(records: u64) -> Log {
    let mut log = Log::new(config());
    for id in 0..records {
        log.append_as_leader(batch(id, 1), 0);
    }
    log
}

fn ids(log: &Log) -> Vec<(i64, u64)> {
    log.records(i64::MIN, i64::MAX)
        .map(|(offset, _, record)| (offset, record.id.0))
        .collect()
}

#[test]
fn truncation_leaves_what_a_shorter_log_would_be() {
    // Chunks hold 64 batches and segments 10 or (with big segments) all of them.
    for segment_bytes in [1000, 1 << 20] {
        let config = LogConfig {
            segment_bytes,
            ..LogConfig::default()
        };
        let build = |records: u64| {
            let mut log: Log = Log::new(config.clone());
            for id in 0..records {
                log.append_as_leader(batch(id, 1), 0);
            }
            log
        };
        for (records, cut) in [
            (200, 199),
            (200, 128),
            (200, 127),
            (200, 64),
            (200, 60),
            (65, 1),
        ] {
            let mut cut_log = build(records);
            assert!(cut_log.truncate_to(cut));
            let cut = u64::try_from(cut).unwrap();
            assert_eq!(cut_log.leo(), i64::try_from(cut).unwrap());
            // An active segment that was rolled away is empty again in a cut log; its content and
            // that of a log that never grew further are the same.
            assert_eq!(ids(&cut_log), ids(&build(cut)));
            for id in cut..records {
                cut_log.append_as_leader(batch(id, 1), 0);
            }
            assert_eq!(
                cut_log,
                build(records),
                "{records} cut to {cut} and grown again"
            );
        }
    }
}

#[test]
fn truncation_drops_whole_batches_and_moves_the_end_all_the_same() {
    let mut log: Log = Log::new(LogConfig::default());
    log.append_as_leader(batch(0, 4), 0);
    log.append_as_leader(batch(4, 4), 1);
    log.set_high_watermark(8);
    log.flush();
    assert!(log.truncate_to(6));
    assert_eq!(
        (log.leo(), log.high_watermark(), log.flushed_offset()),
        (6, 6, 6)
    );
    assert_eq!(log.record_at(5), None, "the batch from 4 to 7 is gone");
    assert_eq!(log.record_at(3).map(|it| it.id), Some(RecordId(3)));
    assert!(!log.truncate_to(6), "nothing left to drop");
}

#[test]
fn reads_are_whole_batches_of_one_segment() {
    let log = log(25);
    let read = |from, max, bound, min_one| {
        let batches = log.read(from, max, bound, min_one).unwrap();
        batches
            .iter()
            .map(|batch| batch.base_offset)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(0, 1_000_000, 25, true), (0..10).collect::<Vec<_>>());
    assert_eq!(read(7, 250, 25, true), [7, 8]);
    assert_eq!(read(7, 99, 25, true), [7]);
    assert!(read(7, 99, 25, false).is_empty());
    assert_eq!(read(20, 1_000_000, 23, true), [20, 21, 22]);
    assert!(read(23, 1_000_000, 23, true).is_empty());
}

#[test]
fn a_power_loss_takes_what_is_not_flushed() {
    let mut log = log(25);
    log.flush_to(20);
    assert_eq!(log.lose_unflushed(), Some((20, 25)));
    assert_eq!((log.leo(), log.lose_unflushed()), (20, None));
}

#[test]
fn retention_never_passes_the_high_watermark_and_rolls_an_expired_active_segment() {
    let check = |high_watermark, segments, start| {
        let mut log = log(25);
        log.set_config(LogConfig {
            retention_ms: 10,
            ..config()
        });
        log.set_high_watermark(high_watermark);
        log.delete_old_segments(1000);
        assert_eq!(
            (log.segment_count(), log.start_offset()),
            (segments, start),
            "{high_watermark}"
        );
    };
    check(0, 3, 0);
    check(19, 2, 10);
    check(24, 1, 20);
    check(25, 1, 25);
}

#[test]
fn a_read_finds_records_behind_a_gap() {
    let mut log = log(30);
    let kept = log.closed_segments()[0].shared_batches();
    let kept = kept
        .filter(|batch| batch.base_offset < 5)
        .cloned()
        .collect();
    log.replace_closed(0, 1, kept);
    log.replace_closed(10, 1, Vec::new());
    let read = log.read(6, 1000, 30, true).unwrap();
    assert_eq!(read.first().map(|batch| batch.base_offset), Some(20));
    assert_eq!(
        log.segments().map(|it| it.base_offset).collect::<Vec<_>>(),
        [0, 10, 20]
    );
}

fn stamped(sequence: i32, transactional: bool) -> Batch {
    let stamp = ProducerStamp {
        id: 7,
        epoch: 0,
        base_sequence: sequence,
    };
    let records = vec![record(u64::try_from(sequence).unwrap())];
    if transactional {
        Batch::transactional(records, stamp)
    } else {
        Batch::new(records, stamp)
    }
}

fn partition() -> PartitionLog {
    let producers = ProducerStateConfig {
        verification_enabled: false,
        ..Default::default()
    };
    PartitionLog::new(config(), producers, 0)
}

const CLIENT: LeaderAppend = LeaderAppend {
    leader_epoch: 0,
    origin: AppendOrigin::Client,
    version: 0,
    guard: None,
    now_ms: 1,
};

#[test]
fn truncation_takes_sequences_back() {
    let mut leader = partition();
    let mut follower = partition();
    for sequence in 0..30 {
        leader
            .append_as_leader(stamped(sequence, false), CLIENT)
            .unwrap();
    }
    for batch in leader.log().batches_from(0) {
        follower.append_as_follower(batch.clone(), 1).unwrap();
    }
    for (cut, next) in [(25, 25), (20, 20), (3, 3)] {
        assert!(follower.truncate_to(cut, 1));
        let entry = follower.producers().entry(7).unwrap();
        assert_eq!(entry.last_sequence(), next - 1, "cut to {cut}");
    }
    // As leader it now takes the sequence that was cut off, and knows the one before.
    let known = follower
        .append_as_leader(stamped(2, false), CLIENT)
        .unwrap();
    assert!(matches!(known, Appended::Duplicate(batch) if batch.last_offset == 2));
    assert!(follower.append_as_leader(stamped(3, false), CLIENT).is_ok());
}

#[test]
fn a_truncated_marker_opens_its_transaction_again() {
    let mut log = partition();
    log.append_as_leader(stamped(0, true), CLIENT).unwrap();
    let marker = Batch::end_txn_marker(ControlMarker::Abort, 7, 0, 0, 1);
    let coordinator = LeaderAppend {
        origin: AppendOrigin::Coordinator,
        ..CLIENT
    };
    log.append_as_leader(marker, coordinator).unwrap();
    log.set_high_watermark(1);
    assert_eq!(
        log.last_stable_offset(),
        0,
        "the marker at 1 is not below the high watermark"
    );
    log.set_high_watermark(2);
    assert_eq!((log.last_stable_offset(), log.aborted_txns().len()), (2, 1));
    let read = log.read(OffsetView::ReadCommitted, 0, 1000, true).unwrap();
    assert_eq!((read.batches.len(), read.aborted.len()), (2, 1));
    log.truncate_to(1, 1);
    assert_eq!((log.last_stable_offset(), log.aborted_txns().len()), (0, 0));
}

#[test]
fn a_restart_remembers_the_log_but_only_one_batch_before_its_snapshot() {
    let mut log = partition();
    for sequence in 0..8 {
        log.append_as_leader(stamped(sequence, false), CLIENT)
            .unwrap();
    }
    log.close_cleanly();
    log.reload(1);
    let entry = log.producers().entry(7).unwrap();
    assert_eq!((entry.last_sequence(), entry.batches.len()), (7, 1));
}
