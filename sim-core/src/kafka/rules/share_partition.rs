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
//! What changes is kept until it is taken, to be written to the share coordinator.
//!
//! Left out: the halving of batches before that, renewal of locks, the dead letter queue.

use super::share_state::StateBatch;
use crate::kafka::error::ErrorCode;
use crate::kernel::Nanos;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
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
    /// Nobody gets it again.
    #[must_use]
    pub fn finished(self) -> bool {
        matches!(self, RecordState::Acknowledged | RecordState::Archived)
    }
}

/// `AcknowledgeType`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
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

/// Offsets that a member does not have any more.
pub type TakenBack<M> = (M, RangeInclusive<i64>);

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
    /// What has changed since [`SharePartition::take_changes`], in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<StateBatch>,
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
            changes: Vec::new(),
        }
    }

    /// A partition as its coordinator knows it. Of what is between the known records nothing is
    /// known: it may be handed out as if for the first time.
    #[must_use]
    pub fn restore(start: i64, batches: &[StateBatch], config: ShareConfig) -> Self {
        let mut it = SharePartition::new(start, config);
        for batch in batches {
            for gap in it.end..batch.first {
                it.put(gap, RecordState::Available, 0);
            }
            for offset in batch.first.max(it.end)..=batch.last {
                it.put(offset, batch.state, batch.delivery_count);
            }
        }
        it.move_start();
        it
    }

    fn put(&mut self, offset: i64, state: RecordState, delivery_count: u16) {
        let owner = None;
        let record = InFlight {
            state,
            delivery_count,
            owner,
        };
        self.records.insert(offset, record);
        self.end = self.end.max(offset.saturating_add(1));
    }

    /// Whether something is to be written.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The start offset and what has changed, if something has.
    pub fn take_changes(&mut self) -> Option<(i64, Vec<StateBatch>)> {
        let changes = std::mem::take(&mut self.changes);
        (!changes.is_empty()).then_some((self.start, changes))
    }

    fn change(&mut self, offset: i64, state: RecordState, delivery_count: u16) {
        match self.changes.last_mut() {
            Some(run)
                if (run.last + 1, run.state, run.delivery_count)
                    == (offset, state, delivery_count) =>
            {
                run.last = offset;
            }
            _ => self.changes.push(StateBatch {
                first: offset,
                last: offset,
                state,
                delivery_count,
            }),
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

    /// Every record from the start to before the end offset: its offset, its state, how often it was
    /// delivered, and who has it.
    pub fn in_flight(&self) -> impl Iterator<Item = (i64, RecordState, u16, Option<&M>)> {
        self.records.iter().map(|(offset, it)| {
            let owner = it.owner.as_ref().map(|(member, _)| member);
            (*offset, it.state, it.delivery_count, owner)
        })
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
            self.change(gap, RecordState::Archived, 0);
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
            let (state, delivery_count) = (record.state, record.delivery_count);
            self.change(offset, state, delivery_count);
        }
    }

    /// A member left: what it had can be handed out again.
    pub fn release(&mut self, member: &M) -> Vec<TakenBack<M>> {
        self.take_back(|owner, _| owner == member)
    }

    /// Takes back what was not acknowledged in time.
    pub fn expire(&mut self, now: Nanos) -> Vec<TakenBack<M>> {
        self.take_back(|_, until| until <= now)
    }

    fn take_back(&mut self, from: impl Fn(&M, Nanos) -> bool) -> Vec<TakenBack<M>> {
        let mut taken: Vec<TakenBack<M>> = Vec::new();
        for (offset, record) in &self.records {
            let Some((owner, until)) = &record.owner else {
                continue;
            };
            if !from(owner, *until) {
                continue;
            }
            match taken.last_mut() {
                Some((member, run)) if member == owner && run.end() + 1 == *offset => {
                    *run = *run.start()..=*offset;
                }
                _ => taken.push((owner.clone(), *offset..=*offset)),
            }
        }
        for (_, run) in &taken {
            for offset in run.clone() {
                self.give_back(offset, RecordState::Available);
            }
        }
        self.move_start();
        taken
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
mod tests;
