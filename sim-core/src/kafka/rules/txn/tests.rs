//! The rules one by one, and the paths that lead through several.

use super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{TopicId, TopicPartition};
use TransactionState as S;
use std::collections::BTreeSet;
use std::sync::Arc;

const PID: i64 = 10;
const EPOCH: i16 = 5;
const NOW_MS: i64 = 1_000_000;

fn tp(partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(1),
        partition,
    }
}

fn metadata(state: S, epoch: i16, version: u8) -> TransactionMetadata {
    let mut current = TransactionMetadata::new(PID, 60_000, NOW_MS).current;
    current.producer_epoch = epoch;
    current.state = state;
    current.start_ms = NOW_MS;
    current.client_version = version;
    if matches!(state, S::Ongoing | S::PrepareCommit | S::PrepareAbort) {
        current.partitions = [tp(0)].into();
    }
    TransactionMetadata::loaded(current)
}

fn request(epoch: i16, result: TransactionResult, version: u8) -> EndTxn {
    EndTxn {
        producer_id: PID,
        producer_epoch: epoch,
        result,
        version,
        from_client: true,
    }
}

fn end(state: S, result: TransactionResult, version: u8, behind: i16) -> String {
    let mut metadata = metadata(state, EPOCH, version);
    let request = request(EPOCH - behind, result, version);
    match end_txn(&mut metadata, &request, NOW_MS, || Ok(PID + 1)) {
        Err(error) => error.name().to_owned(),
        Ok(EndDecision::AlreadyEnded(..)) => "NONE".to_owned(),
        Ok(EndDecision::Prepare(next)) => {
            let bump = next.producer_epoch - EPOCH;
            format!("{} +{bump}", next.state.name())
        }
    }
}

#[test]
fn the_end_of_a_transaction_is_decided_by_state_version_and_epoch() {
    const FENCED: &str = "PRODUCER_FENCED";
    const INVALID: &str = "INVALID_TXN_STATE";
    const CONCURRENT: &str = "CONCURRENT_TRANSACTIONS";
    const EMPTY_ABORT: &str = "PREPARE_ABORT +1";
    // Version; state; commit with e, with e-1; abort with e, with e-1.
    let table = [
        (
            2,
            S::Ongoing,
            "PREPARE_COMMIT +1",
            FENCED,
            EMPTY_ABORT,
            FENCED,
        ),
        (2, S::Empty, INVALID, FENCED, EMPTY_ABORT, FENCED),
        (2, S::PrepareCommit, FENCED, CONCURRENT, FENCED, INVALID),
        (2, S::PrepareAbort, FENCED, INVALID, FENCED, CONCURRENT),
        (2, S::CompleteCommit, INVALID, "NONE", EMPTY_ABORT, INVALID),
        (2, S::CompleteAbort, INVALID, INVALID, EMPTY_ABORT, "NONE"),
        (
            1,
            S::Ongoing,
            "PREPARE_COMMIT +0",
            FENCED,
            "PREPARE_ABORT +0",
            FENCED,
        ),
        (1, S::Empty, INVALID, FENCED, INVALID, FENCED),
        (1, S::PrepareCommit, CONCURRENT, FENCED, INVALID, FENCED),
        (1, S::PrepareAbort, INVALID, FENCED, CONCURRENT, FENCED),
        (1, S::CompleteCommit, "NONE", FENCED, INVALID, FENCED),
        (1, S::CompleteAbort, INVALID, FENCED, "NONE", FENCED),
    ];
    for (version, state, commit, commit_before, abort, abort_before) in table {
        let got = |result, behind| end(state, result, version, behind);
        use TransactionResult::{Abort, Commit};
        for (result, behind, expect) in [
            (Commit, 0, commit),
            (Commit, 1, commit_before),
            (Abort, 0, abort),
            (Abort, 1, abort_before),
            (Commit, -1, FENCED),
            (Abort, 2, FENCED),
        ] {
            let what = format!("version {version}, {state:?}, {result:?}, {behind} behind");
            assert_eq!(got(result, behind), expect, "{what}");
        }
        if version == 1 {
            let same = end(state, Commit, 0, 0);
            assert_eq!(same, got(Commit, 0), "version 0 is like 1");
        }
    }
}

/// A coordinator of the one partition, and an id.
fn coordinator(version: u8) -> (TransactionStateManager, Arc<str>) {
    let config = TransactionConfig {
        version,
        ..TransactionConfig::default()
    };
    let mut manager = TransactionStateManager::new(config, 1);
    manager.elected(0, 3);
    assert!(manager.loaded(0, [], NOW_MS).is_empty());
    (manager, "orders".into())
}

const INIT: InitProducerId = InitProducerId {
    timeout_ms: 60_000,
    expected: None,
};

/// InitProducerId, written; the second part tells whether an open transaction is being aborted.
fn init(manager: &mut TransactionStateManager, id: &Arc<str>) -> (TxnWrite, Option<EndTxn>) {
    let (write, abort) = manager
        .init_producer_id(id, &INIT, NOW_MS, || Ok(PID))
        .unwrap();
    assert_eq!(manager.written(&write, ErrorCode::None), ErrorCode::None);
    (write, abort)
}

fn add(manager: &mut TransactionStateManager, id: &Arc<str>, epoch: i16, version: u8) {
    let all: BTreeSet<_> = [tp(0), tp(1)].into();
    let write = manager
        .add_partitions(id, (PID, epoch), &all, version, NOW_MS)
        .unwrap()
        .expect("new partitions");
    assert_eq!(manager.written(&write, ErrorCode::None), ErrorCode::None);
}

#[test]
fn a_transaction_runs_through_and_the_next_begins() {
    for (version, next_epoch) in [(0, 0), (1, 0), (2, 1)] {
        let (mut manager, id) = coordinator(version);
        init(&mut manager, &id);
        add(&mut manager, &id, 0, version);
        let end = request(0, TransactionResult::Commit, version);
        let asked = manager.end_txn(&id, &end, NOW_MS, || Ok(PID + 1)).unwrap();
        let prepare = asked.expect_err("nothing has ended yet");
        assert_eq!(manager.written(&prepare, ErrorCode::None), ErrorCode::None);
        let work = manager.markers(&id, &end, NOW_MS).unwrap();
        assert_eq!((work.producer_id, work.producer_epoch), (PID, next_epoch));
        assert_eq!(work.partitions, [tp(0), tp(1)].into());
        // While the markers are on their way nothing else may begin.
        let more = [tp(2)].into();
        let begun = manager.add_partitions(&id, (PID, next_epoch), &more, version, NOW_MS);
        assert_eq!(begun, Err(ErrorCode::ConcurrentTransactions));
        let written = manager.written(&work.complete, ErrorCode::None);
        assert_eq!(written, ErrorCode::None);
        let now = manager.get(&id).expect("known");
        assert_eq!(now.state(), S::CompleteCommit);
        assert!(now.current.partitions.is_empty());
        add(&mut manager, &id, next_epoch, version);
    }
}

#[test]
fn a_second_producer_fences_the_first_and_its_transaction_is_aborted() {
    for version in [0, 1, 2] {
        let (mut manager, id) = coordinator(version);
        init(&mut manager, &id);
        add(&mut manager, &id, 0, version);
        let (write, abort) = init(&mut manager, &id);
        assert_eq!(write.next.state, S::PrepareAbort);
        assert_eq!(write.next.producer_epoch, 1, "one bump in all");
        let abort = abort.expect("a transaction was open");
        let work = manager.markers(&id, &abort, NOW_MS).unwrap();
        assert_eq!(work.producer_epoch, 1);
        let again = manager.init_producer_id(&id, &INIT, NOW_MS, || Ok(PID));
        assert_eq!(again.err(), Some(ErrorCode::ConcurrentTransactions));
        manager.written(&work.complete, ErrorCode::None);
        let (write, abort) = init(&mut manager, &id);
        assert_eq!((write.next.producer_epoch, abort), (2, None));
        // The first producer is too old for everything.
        let first = (PID, 0);
        let added = manager.add_partitions(&id, first, &[tp(0)].into(), version, NOW_MS);
        assert_eq!(added, Err(ErrorCode::ProducerFenced));
        let verified = manager.verify_partitions(&id, first, &[tp(0)].into());
        assert_eq!(verified, Err(ErrorCode::ProducerFenced));
        let end = request(0, TransactionResult::Commit, version);
        let ended = manager.end_txn(&id, &end, NOW_MS, || Ok(PID + 1));
        assert_eq!(ended, Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_fence_that_cannot_be_written_raises_the_epoch_once() {
    for version in [0, 1, 2] {
        let (mut manager, id) = coordinator(version);
        init(&mut manager, &id);
        add(&mut manager, &id, 0, version);
        for _ in 0..3 {
            let (write, _) = manager
                .init_producer_id(&id, &INIT, NOW_MS, || Ok(PID))
                .unwrap();
            assert_eq!(write.next.producer_epoch, 1);
            let told = manager.written(&write, ErrorCode::NotEnoughReplicas);
            assert_eq!(told, ErrorCode::CoordinatorNotAvailable);
        }
        init(&mut manager, &id);
        let now = manager.get(&id).expect("known");
        assert_eq!(now.current.producer_epoch, 1);
    }
}

#[test]
fn a_transaction_is_aborted_when_its_time_is_up_and_an_idle_id_expires() {
    let (mut manager, id) = coordinator(2);
    init(&mut manager, &id);
    add(&mut manager, &id, 0, 2);
    assert!(
        manager.abort_timed_out(NOW_MS + 60_000).is_empty(),
        "to the end"
    );
    let due = manager.abort_timed_out(NOW_MS + 60_001);
    let [(write, end)] = &due[..] else {
        panic!("one is due, got {due:?}");
    };
    assert_eq!(
        (write.next.state, write.next.producer_epoch),
        (S::PrepareAbort, 1)
    );
    assert!(
        manager.abort_timed_out(NOW_MS + 70_000).is_empty(),
        "under way"
    );
    manager.written(write, ErrorCode::None);
    let work = manager.markers(&id, end, NOW_MS).unwrap();
    let week_ms = manager.config().transactional_id_expiration_ms;
    assert!(
        manager.remove_expired(NOW_MS + week_ms).is_empty(),
        "not settled"
    );
    manager.written(&work.complete, ErrorCode::None);
    assert!(manager.remove_expired(NOW_MS + week_ms - 1).is_empty());
    let expired = manager.remove_expired(NOW_MS + week_ms);
    assert_eq!(expired.len(), 1);
    assert_eq!(
        manager.written(&expired[0], ErrorCode::None),
        ErrorCode::None
    );
    assert_eq!(manager.get(&id), None);
}

#[test]
fn a_new_coordinator_finishes_what_was_decided() {
    let (mut manager, id) = coordinator(2);
    init(&mut manager, &id);
    add(&mut manager, &id, 0, 2);
    let end = request(0, TransactionResult::Abort, 2);
    let prepare = manager
        .end_txn(&id, &end, NOW_MS, || Ok(PID + 1))
        .unwrap()
        .expect_err("nothing has ended yet");
    let (mut other, _) = coordinator(2);
    other.elected(0, 4);
    assert_eq!(
        other.end_txn(&id, &end, NOW_MS, || Ok(PID + 1)),
        Err(ErrorCode::CoordinatorLoadInProgress)
    );
    let log = [(id.clone(), Some(prepare.next.clone()))];
    let work = other.loaded(0, log, NOW_MS);
    let [work] = &work[..] else {
        panic!("one end was decided, got {work:?}");
    };
    assert_eq!(
        (work.producer_epoch, work.result),
        (1, TransactionResult::Abort)
    );
    assert_eq!(work.complete.coordinator_epoch, 4);
    assert_eq!(
        other.written(&work.complete, ErrorCode::None),
        ErrorCode::None
    );
    assert_eq!(other.get(&id).map(|it| it.state()), Some(S::CompleteAbort));
    // What the old one writes from now on counts for nothing.
    manager.resigned(0);
    assert_eq!(
        manager.written(&prepare, ErrorCode::None),
        ErrorCode::NotCoordinator
    );
    // The client asks again for the end that it got no answer to.
    let retried = other.end_txn(&id, &end, NOW_MS, || Ok(PID + 1));
    assert_eq!(retried, Ok(Ok((PID, 1))));
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let last = i16::MAX - 1;
    let mut it = metadata(S::Ongoing, last, 2);
    let end = request(last, TransactionResult::Commit, 2);
    let Ok(EndDecision::Prepare(next)) = end_txn(&mut it, &end, NOW_MS, || Ok(PID + 1)) else {
        panic!("it may end");
    };
    assert_eq!(
        (next.producer_epoch, next.next_producer_id),
        (i16::MAX, PID + 1)
    );
    it.complete_transition(next).unwrap();
    let next = prepare_markers(&mut it, &end, NOW_MS).unwrap();
    it.complete_transition(next).unwrap();
    assert_eq!(
        (it.current.producer_id, it.current.producer_epoch),
        (PID + 1, 0)
    );
    let again = end_txn(&mut it, &end, NOW_MS, || Ok(PID + 2));
    assert_eq!(
        again,
        Ok(EndDecision::AlreadyEnded(PID + 1, 0)),
        "a retry of the old id"
    );
}

#[test]
fn only_what_the_rules_produce_can_be_completed() {
    for state in S::ALL {
        for next in S::ALL {
            let mut it = metadata(state, EPOCH, 2);
            let mut value = it.current.clone();
            value.state = next;
            assert!(it.complete_transition(value).is_err(), "nothing is pending");
        }
        let mut it = metadata(state, EPOCH, 2);
        let rotated = it.prepare_producer_id_rotation(PID + 1, 1, false, NOW_MS);
        let settled = matches!(state, S::Empty | S::CompleteCommit | S::CompleteAbort);
        assert_eq!(rotated.is_ok(), settled, "{state:?}");
    }
}

#[test]
fn ids_are_spread_by_the_hash_of_java() {
    // String.hashCode of these is 0, 97, 96354 and -2147483648.
    for (id, partition) in [("", 0), ("a", 47), ("abc", 4), ("polygenelubricants", 0)] {
        assert_eq!(partition_for(id, 50), partition, "{id}");
    }
}

#[test]
fn a_timeout_must_be_positive_and_no_longer_than_the_largest() {
    let config = TransactionConfig::default();
    for (timeout_ms, valid) in [
        (-1, false),
        (0, false),
        (1, true),
        (900_000, true),
        (900_001, false),
    ] {
        assert_eq!(
            config.check_timeout(timeout_ms).is_ok(),
            valid,
            "{timeout_ms}"
        );
    }
}
