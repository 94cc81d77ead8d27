//! Share partitions, state by state, and by properties.

use super::AcknowledgeType::{Accept, Gap, Reject, Release};
use super::RecordState::{Acknowledged, Acquired, Archived, Available};
use super::*;
use crate::kafka::rules::share_state::combine;
use proptest::prelude::*;

type Partition = SharePartition<&'static str>;

fn partition() -> Partition {
    SharePartition::new(0, ShareConfig::default())
}

fn runs(acquired: &[AcquiredRecords]) -> Vec<(i64, i64, u16)> {
    let run = |it: &AcquiredRecords| (it.first, it.last, it.delivery_count);
    acquired.iter().map(run).collect()
}

#[test]
fn two_members_share_a_partition_and_order_is_gone() {
    let mut it = partition();
    assert_eq!(runs(&it.acquire(&"a", 500, &[0..=4], 0)), [(0, 4, 1)]);
    assert_eq!(it.next_fetch_offset(), 5);
    assert_eq!(runs(&it.acquire(&"b", 500, &[5..=9], 0)), [(5, 9, 1)]);
    // b is quicker: its records are done, and the start offset waits for a's.
    it.acknowledge(&"b", 5..=9, &[Accept]).expect("it has them");
    assert_eq!((it.start_offset(), it.end_offset()), (0, 10));
    it.acknowledge(&"a", 0..=4, &[Accept, Reject, Release, Gap, Accept])
        .expect("it has them");
    assert_eq!(it.record(2), Some((Available, 1)));
    assert_eq!((it.start_offset(), it.next_fetch_offset()), (2, 2));
    // The released one comes again, after those that came later.
    assert_eq!(
        runs(&it.acquire(&"b", 500, &[0..=4, 5..=9], 0)),
        [(2, 2, 2)]
    );
    it.acknowledge(&"b", 2..=2, &[Accept]).expect("it has it");
    assert_eq!((it.start_offset(), it.next_fetch_offset()), (10, 10));
}

#[test]
fn a_lock_runs_out_and_the_fifth_delivery_is_the_last_and_comes_alone() {
    let mut it = partition();
    let lock = ShareConfig::default().lock;
    for delivery in 1..=5 {
        let now = delivery * 2 * lock;
        let got = runs(&it.acquire(&"a", 500, &[0..=1], now));
        let expected = match delivery {
            5 => (0, 0, 5),
            n => (0, 1, n as u16),
        };
        assert_eq!(got, [expected]);
        assert_eq!(it.next_expiry(), Some(now + lock));
        it.expire(now + lock - 1);
        assert_eq!(it.record(0).map(|r| r.0), Some(Acquired));
        it.expire(now + lock);
    }
    // Record 0 is archived; record 1 has its last attempt ahead.
    assert_eq!((it.start_offset(), it.record(0)), (1, None));
    assert_eq!(it.record(1), Some((Available, 4)));
    assert_eq!(
        runs(&it.acquire(&"b", 500, &[0..=1, 2..=3], 0)),
        [(1, 1, 5)]
    );
    assert_eq!(it.release(&"b"), [("b", 1..=1)]);
    assert_eq!(it.start_offset(), 2);
}

#[test]
fn what_is_not_ones_own_cannot_be_acknowledged() {
    for (member, offsets, types, error) in [
        ("b", 0..=4, vec![Accept], ErrorCode::InvalidRecordState),
        ("a", 0..=9, vec![Accept], ErrorCode::InvalidRequest),
        (
            "a",
            RangeInclusive::new(3, 2),
            vec![Accept],
            ErrorCode::InvalidRequest,
        ),
        ("a", 0..=4, vec![Accept, Reject], ErrorCode::InvalidRequest),
        ("a", 0..=4, vec![], ErrorCode::InvalidRequest),
        ("a", 0..=7, vec![Release], ErrorCode::InvalidRecordState),
    ] {
        let mut it = partition();
        it.acquire(&"a", 500, &[0..=4], 0);
        it.acquire(&"b", 500, &[5..=7], 0);
        let before = it.clone();
        let got = it.acknowledge(&member, offsets.clone(), &types);
        assert_eq!(got, Err(error), "{member} {offsets:?} {types:?}");
        assert_eq!(it, before, "nothing of it is taken");
    }
    let mut it = partition();
    it.acquire(&"a", 500, &[0..=4], 0);
    it.acknowledge(&"a", 0..=4, &[Accept]).expect("it has them");
    let late = it.acknowledge(&"a", 0..=4, &[Accept]);
    assert_eq!(late, Ok(()), "what is finished and gone is no error");
}

#[test]
fn the_limit_of_records_is_soft_and_that_of_locks_holds() {
    let mut it = partition();
    assert_eq!(runs(&it.acquire(&"a", 3, &[0..=4, 5..=9], 0)), [(0, 4, 1)]);
    let config = ShareConfig {
        max_record_locks: 10,
        ..ShareConfig::default()
    };
    let mut it: Partition = SharePartition::new(0, config);
    it.acquire(&"a", 500, &[0..=9, 10..=19], 0);
    assert_eq!((it.end_offset(), it.can_acquire()), (10, false));
    it.acknowledge(&"a", 5..=5, &[Release]).expect("it has it");
    assert!(it.can_acquire(), "a released one can always be taken again");
}

#[test]
fn gaps_and_a_moved_log_start_are_passed_over() {
    let mut it = partition();
    it.acquire(&"a", 500, &[0..=1, 5..=6], 0);
    it.acknowledge(&"a", 0..=1, &[Accept]).expect("it has them");
    assert_eq!(it.start_offset(), 5, "nothing is at 2 to 4");
    it.log_start_moved(6);
    assert_eq!((it.start_offset(), it.record(6)), (6, Some((Acquired, 1))));
    it.log_start_moved(20);
    assert_eq!((it.start_offset(), it.next_fetch_offset()), (20, 20));
    it.log_start_moved(3);
    assert_eq!(it.start_offset(), 20);
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(usize, u32, i64),
    Acknowledge(usize, i64, i64, usize),
    Release(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 1..8_u32, 1..6_i64).prop_map(|(m, n, s)| Step::Acquire(m, n, s)),
        4 => (0..3_usize, 0..40_i64, 0..5_i64, 0..4_usize)
            .prop_map(|(m, f, n, k)| Step::Acknowledge(m, f, n, k)),
        1 => (0..3_usize).prop_map(Step::Release),
        1 => (0..40_000_000_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever members do: no record has two owners, none is delivered more often than the
    /// limit, none that was accepted comes again, and the start offset never goes back.
    #[test]
    fn records_are_kept_account_of(steps in proptest::collection::vec(step(), 1..120)) {
        let members = ["a", "b", "c"];
        let mut it = partition();
        let (mut now, mut start) = (0, 0);
        let mut accepted = std::collections::BTreeSet::new();
        let mut written = (0, Vec::new());
        for step in steps {
            match step {
                Step::Acquire(m, max, size) => {
                    let from = it.next_fetch_offset();
                    let acquired = it.acquire(&members[m], max, &[from..=from + size - 1], now);
                    for run in acquired {
                        prop_assert!((1..=5).contains(&run.delivery_count));
                        for offset in run.first..=run.last {
                            prop_assert!(!accepted.contains(&offset));
                            prop_assert_eq!(
                                it.record(offset),
                                Some((Acquired, run.delivery_count))
                            );
                        }
                    }
                }
                Step::Acknowledge(m, first, more, kind) => {
                    let kind = [Accept, Release, Reject, Gap][kind];
                    let range = first..=first + more;
                    let before = it.start_offset();
                    if it.acknowledge(&members[m], range.clone(), &[kind]).is_ok()
                        && kind == Accept
                    {
                        accepted.extend(range.filter(|offset| *offset >= before));
                    }
                }
                Step::Release(m) => drop(it.release(&members[m])),
                Step::Wait(span) => {
                    now += span;
                    it.expire(now);
                }
            }
            if let Some((start, changes)) = it.take_changes() {
                written = (start, combine(&written.1, &changes, start));
            }
            prop_assert!(it.start_offset() >= start);
            start = it.start_offset();
            let states = (start..it.end_offset()).map(|offset| it.record(offset));
            let known = |it: Option<(RecordState, u16)>| it.is_some();
            prop_assert!(states.clone().all(known));
            let done = |it| matches!(it, Some((Acknowledged | Archived, _)));
            prop_assert!(!states.take(1).any(done), "the start offset is not finished");
        }
        // A new leader knows all of it, but for who has what.
        let new: Partition = SharePartition::restore(written.0, &written.1, ShareConfig::default());
        prop_assert_eq!(new.start_offset(), it.start_offset());
        prop_assert!(new.end_offset() <= it.end_offset());
        for offset in it.start_offset()..it.end_offset() {
            let now = it.record(offset).map(|(state, _)| state);
            let then = new.record(offset).map_or(Available, |(state, _)| state);
            prop_assert_eq!(now == Some(Acquired) || now == Some(then), true, "{}", offset);
            prop_assert!(!accepted.contains(&offset) || then == Acknowledged);
        }
    }
}
