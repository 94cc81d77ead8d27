//! A partition as a share group sees it: each record has a state of its own.
//!
//! Follows `SharePartition` with its `InFlightState` (KIP-932). Records are handed to members
//! without regard to order: AVAILABLE → ACQUIRED for `share.record.lock.duration.ms`, one delivery
//! more → ACKNOWLEDGED, back to AVAILABLE, or ARCHIVED once they were delivered
//! `share.delivery.count.limit` times. The share-partition start offset (SPSO) moves over finished
//! records. Kafka keeps the state of a whole batch in one entry as long as its records agree, and
//! splits it then; here every record has its own, which decides the same.
//!
//! A record that failed often is probably what its consumers fail at. So one on its last attempt is
//! delivered alone: what else would be in the batch is not drawn into its failure.
//!
//! Left out: the halving of batches before that, renewal of locks, the dead letter queue, and the
//! write-back of state to `__share_group_state`.

use crate::kafka::error::ErrorCode;
use crate::kernel::Nanos;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Settings of a share group that its partitions need.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ShareConfig {
    /// `share.record.lock.duration.ms`, ns.
    pub lock: Nanos,
    /// `share.delivery.count.limit`.
    pub delivery_count_limit: u16,
    /// `share.partition.max.record.locks`.
    pub max_record_locks: u32,
}

impl Default for ShareConfig {
    /// Kafka's defaults: 30 s, 5, 2,000.
    fn default() -> Self {
        ShareConfig {
            lock: 30_000_000_000,
            delivery_count_limit: 5,
            max_record_locks: 2_000,
        }
    }
}

/// `RecordState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum RecordState {
    /// Can be handed to any member.
    Available,
    /// A member has it.
    Acquired,
    /// Done.
    Acknowledged,
    /// Given up, refused, or no longer in the log.
    Archived,
}

impl RecordState {
    fn finished(self) -> bool {
        matches!(self, RecordState::Acknowledged | RecordState::Archived)
    }
}

/// `AcknowledgeType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum AcknowledgeType {
    /// Nothing is at this offset (compaction, a control record).
    Gap,
    /// Processed.
    Accept,
    /// Not processed; another try may succeed.
    Release,
    /// Cannot be processed.
    Reject,
}

/// A record between the start and the end offset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct InFlight<M> {
    state: RecordState,
    delivery_count: u16,
    /// Who has it, and until when, ns; only while it is acquired.
    owner: Option<(M, Nanos)>,
}

/// Records that were handed out together: equal delivery counts, adjoining offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct AcquiredRecords {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// How often they have been delivered, this time included.
    pub delivery_count: u16,
}

/// The state of a partition in a share group; `M` names members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SharePartition<M> {
    config: ShareConfig,
    /// SPSO: everything before it is finished.
    start: i64,
    /// The first offset that was never handed out.
    end: i64,
    /// By offset, from `start` to before `end`.
    records: BTreeMap<i64, InFlight<M>>,
}

impl<M: Clone + PartialEq> SharePartition<M> {
    /// A partition that the group has not read from yet, beginning at `start`.
    #[must_use]
    pub fn new(start: i64, config: ShareConfig) -> Self {
        SharePartition {
            config,
            start,
            end: start,
            records: BTreeMap::new(),
        }
    }

    /// The share-partition start offset.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The share-partition end offset: the first that was never handed out.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.end
    }

    /// A record's state and how often it was delivered; `None` outside of what is in flight.
    #[must_use]
    pub fn record(&self, offset: i64) -> Option<(RecordState, u16)> {
        let record = self.records.get(&offset)?;
        Some((record.state, record.delivery_count))
    }

    /// Where the next fetch begins: at the first record that can be handed out again, else at the
    /// end.
    #[must_use]
    pub fn next_fetch_offset(&self) -> i64 {
        let available = |it: &InFlight<M>| it.state == RecordState::Available;
        let first = self.records.iter().find(|(_, it)| available(it));
        first.map_or(self.end, |(offset, _)| *offset)
    }

    /// Whether records can be handed out: some wait for another delivery, or the limit of records
    /// in flight leaves room.
    #[must_use]
    pub fn can_acquire(&self) -> bool {
        let in_flight = self.end.saturating_sub(self.start);
        self.next_fetch_offset() < self.end || in_flight < i64::from(self.config.max_record_locks)
    }

    /// Hands records of fetched batches to a member; the batches are given by first and last offset,
    /// in order. `max_records` is a soft limit: a batch is not cut for it.
    pub fn acquire(
        &mut self,
        member: &M,
        max_records: u32,
        batches: &[RangeInclusive<i64>],
        now: Nanos,
    ) -> Vec<AcquiredRecords> {
        let mut acquired: Vec<AcquiredRecords> = Vec::new();
        let mut count = 0;
        for batch in batches {
            if count >= max_records || (*batch.start() >= self.end && !self.can_acquire()) {
                break;
            }
            for offset in (*batch.start()).max(self.start)..=*batch.end() {
                let delivered = match self.records.get(&offset) {
                    Some(record) if record.state == RecordState::Available => record.delivery_count,
                    None if offset >= self.end => 0,
                    _ => continue,
                };
                let delivery_count = delivered.saturating_add(1);
                let last_attempt =
                    delivered > 0 && delivery_count >= self.config.delivery_count_limit;
                if last_attempt && count > 0 {
                    return acquired;
                }
                self.hand_out(offset, member, delivery_count, now);
                count += 1;
                match acquired.last_mut() {
                    Some(run) if (run.last + 1, run.delivery_count) == (offset, delivery_count) => {
                        run.last = offset;
                    }
                    _ => acquired.push(AcquiredRecords {
                        first: offset,
                        last: offset,
                        delivery_count,
                    }),
                }
                if last_attempt {
                    return acquired;
                }
            }
        }
        acquired
    }

    fn hand_out(&mut self, offset: i64, member: &M, delivery_count: u16, now: Nanos) {
        // Offsets that the log skips are no records; they are passed over with the first one after.
        for gap in self.end..offset {
            let nothing = InFlight {
                state: RecordState::Archived,
                delivery_count: 0,
                owner: None,
            };
            self.records.insert(gap, nothing);
        }
        self.end = self.end.max(offset.saturating_add(1));
        let until = now.saturating_add(self.config.lock);
        let record = InFlight {
            state: RecordState::Acquired,
            delivery_count,
            owner: Some((member.clone(), until)),
        };
        self.records.insert(offset, record);
    }

    /// A member's word on records that it has: one type for all, or one for each. All of it is
    /// taken, or nothing.
    ///
    /// # Errors
    ///
    /// `INVALID_REQUEST` when the types do not match the offsets or an offset was never handed out;
    /// `INVALID_RECORD_STATE` when a record is not acquired, or not by this member.
    pub fn acknowledge(
        &mut self,
        member: &M,
        offsets: RangeInclusive<i64>,
        types: &[AcknowledgeType],
    ) -> Result<(), ErrorCode> {
        let (first, last) = (*offsets.start(), *offsets.end());
        let count = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let each = count.and_then(|count| usize::try_from(count).ok());
        if first > last || !(types.len() == 1 || Some(types.len()) == each) {
            return Err(ErrorCode::InvalidRequest);
        }
        if last < self.start {
            return Ok(());
        }
        if last >= self.end {
            return Err(ErrorCode::InvalidRequest);
        }
        let wanted = first.max(self.start)..=last;
        let mine = |record: &InFlight<M>| {
            let owner = record.owner.as_ref().map(|(owner, _)| owner);
            record.state == RecordState::Acquired && owner == Some(member)
        };
        if !self.records.range(wanted.clone()).all(|(_, it)| mine(it)) {
            return Err(ErrorCode::InvalidRecordState);
        }
        for offset in wanted {
            // In range: the number of types was compared with the number of offsets.
            let at = usize::try_from(offset - first).unwrap_or(0);
            let kind = types.get(at).or(types.first()).copied();
            let state = match kind {
                Some(AcknowledgeType::Accept) => RecordState::Acknowledged,
                Some(AcknowledgeType::Release) => RecordState::Available,
                _ => RecordState::Archived,
            };
            self.give_back(offset, state);
        }
        self.move_start();
        Ok(())
    }

    /// Takes a record back from who has it.
    fn give_back(&mut self, offset: i64, state: RecordState) {
        let limit = self.config.delivery_count_limit;
        if let Some(record) = self.records.get_mut(&offset) {
            record.owner = None;
            record.state = match state {
                RecordState::Available if record.delivery_count >= limit => RecordState::Archived,
                state => state,
            };
        }
    }

    /// A member left: what it had can be handed out again.
    pub fn release(&mut self, member: &M) {
        self.take_back(|owner, _| owner == member);
    }

    /// Takes back what was not acknowledged in time.
    pub fn expire(&mut self, now: Nanos) {
        self.take_back(|_, until| until <= now);
    }

    fn take_back(&mut self, from: impl Fn(&M, Nanos) -> bool) {
        let taken = self.records.iter().filter_map(|(offset, record)| {
            let (owner, until) = record.owner.as_ref()?;
            from(owner, *until).then_some(*offset)
        });
        for offset in taken.collect::<Vec<_>>() {
            self.give_back(offset, RecordState::Available);
        }
        self.move_start();
    }

    /// When the first lock runs out, ns.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Nanos> {
        let locks = self.records.values().filter_map(|it| it.owner.as_ref());
        locks.map(|(_, until)| *until).min()
    }

    /// The log now begins later (retention, `deleteRecords`): what is gone is finished, whoever has
    /// it.
    pub fn log_start_moved(&mut self, log_start: i64) {
        if log_start <= self.start {
            return;
        }
        self.records = self.records.split_off(&log_start);
        self.start = log_start;
        self.end = self.end.max(log_start);
        self.move_start();
    }

    /// Moves the start offset over finished records.
    fn move_start(&mut self) {
        while let Some(entry) = self.records.first_entry() {
            if !entry.get().state.finished() {
                break;
            }
            self.start = entry.key().saturating_add(1);
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AcknowledgeType::{Accept, Gap, Reject, Release};
    use super::RecordState::{Acknowledged, Acquired, Archived, Available};
    use super::*;
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
        it.release(&"b");
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
                    Step::Release(m) => it.release(&members[m]),
                    Step::Wait(span) => {
                        now += span;
                        it.expire(now);
                    }
                }
                prop_assert!(it.start_offset() >= start);
                start = it.start_offset();
                let states = (start..it.end_offset()).map(|offset| it.record(offset));
                let known = |it: Option<(RecordState, u16)>| it.is_some();
                prop_assert!(states.clone().all(known));
                let done = |it| matches!(it, Some((Acknowledged | Archived, _)));
                prop_assert!(!states.take(1).any(done), "the start offset is not finished");
            }
        }
    }
}
