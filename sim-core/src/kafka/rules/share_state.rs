//! The state of share groups' partitions at their share coordinator (KIP-932).
//!
//! Follows `ShareCoordinatorShard`, `ShareGroupOffset`, `PersisterStateBatchCombiner` and
//! `ShareCoordinatorOffsetsManager`. The leader
//! of a partition writes what changed, and the start offset; the coordinator keeps a snapshot and
//! up to `share.coordinator.snapshot.update.records.per.snapshot` updates of it, then the next
//! snapshot. A writer in an older leader epoch, or of an older state, is fenced. What lies before
//! the oldest of the newest snapshots is needed no more.
//!
//! Left out: InitializeShareGroupState, which a group's coordinator sends when a topic is new to the
//! group, and DeleteShareGroupState, which it sends when the group is deleted (none is here): so a
//! state begins with the leader's first write, and its epoch is always the first one. Snapshots of
//! partitions that nobody writes to any more (`share.coordinator.cold.partition.snapshot.interval.ms`)
//! are left out too: one such partition holds the pruning up.

use super::classic_group::Name;
use super::share_partition::RecordState;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `PartitionFactory.UNINITIALIZED_START_OFFSET`; in an update: as it was.
pub const NO_START_OFFSET: i64 = -1;

/// Records with one state (`PersisterStateBatch`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StateBatch {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// Never `Acquired`: who has a record is the leader's alone.
    pub state: RecordState,
    /// How often they were delivered.
    pub delivery_count: u16,
}

impl StateBatch {
    /// What is known later: more deliveries, or a later state of one (`compareBatchDeliveryInfo`).
    fn rank(&self) -> (u16, u8) {
        let state = match self.state {
            RecordState::Available => 0,
            RecordState::Acquired => 1,
            RecordState::Acknowledged => 2,
            RecordState::Archived => 4,
        };
        (self.delivery_count, state)
    }

    fn covers(&self, offset: i64) -> bool {
        (self.first..=self.last).contains(&offset)
    }
}

/// Old and new batches as one list, from `start` on, in order and without overlap; where both say
/// something, what is known later counts.
#[must_use]
pub fn combine(old: &[StateBatch], new: &[StateBatch], start: i64) -> Vec<StateBatch> {
    let all = || old.iter().chain(new);
    let mut edges: Vec<i64> = all()
        .flat_map(|it| [it.first, it.last.saturating_add(1)])
        .map(|it| it.max(start))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut found: Vec<StateBatch> = Vec::new();
    for pair in edges.windows(2) {
        let &[first, after] = pair else {
            continue;
        };
        let here = all().filter(|it| it.covers(first));
        let Some(known) = here.max_by_key(|it| it.rank()) else {
            continue;
        };
        match found.last_mut() {
            Some(run) if run.last + 1 == first && run.rank() == known.rank() => {
                run.last = after - 1;
            }
            _ => found.push(StateBatch {
                first,
                last: after - 1,
                ..*known
            }),
        }
    }
    found
}

/// What a coordinator knows of a partition in a group (`ShareGroupOffset`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShareGroupOffset {
    /// Number of the snapshot that it is, or belongs to.
    pub snapshot_epoch: i32,
    /// Epoch of the state; a new one begins when an administrator resets the offset.
    pub state_epoch: i32,
    /// Epoch of the leader that wrote it.
    pub leader_epoch: i32,
    /// Share-partition start offset.
    pub start: i64,
    /// What is known of the records after it.
    pub batches: Vec<StateBatch>,
}

/// A partition of a group.
pub type ShareKey = (Name, TopicPartition);

/// A record of `__share_group_state` (`ShareSnapshotValue`, `ShareUpdateValue`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ShareRecord {
    /// All that is known.
    Snapshot(Name, TopicPartition, ShareGroupOffset),
    /// What has changed since.
    Update(Name, TopicPartition, ShareGroupOffset),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Known {
    offset: ShareGroupOffset,
    /// Updates since the snapshot.
    updates: u32,
    /// Where the snapshot stands in the log.
    snapshot_at: i64,
}

/// The partitions whose state is in one partition of `__share_group_state`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ShareStates(BTreeMap<ShareKey, Known>);

impl ShareStates {
    /// A leader writes; the record that says so.
    ///
    /// # Errors
    ///
    /// `FENCED_LEADER_EPOCH`, `FENCED_STATE_EPOCH`.
    pub fn write(
        &self,
        key: &ShareKey,
        written: ShareGroupOffset,
        updates_per_snapshot: u32,
    ) -> Result<ShareRecord, ErrorCode> {
        let (group, tp) = (key.0.clone(), key.1);
        let Some(known) = self.0.get(key) else {
            let batches = combine(&[], &written.batches, written.start);
            let first = ShareGroupOffset {
                snapshot_epoch: 0,
                batches,
                ..written
            };
            return Ok(ShareRecord::Snapshot(group, tp, first));
        };
        let now = &known.offset;
        if now.leader_epoch > written.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if now.state_epoch > written.state_epoch {
            return Err(ErrorCode::FencedStateEpoch);
        }
        if known.updates < updates_per_snapshot {
            let batches = combine(&[], &written.batches, written.start);
            let update = ShareGroupOffset {
                snapshot_epoch: now.snapshot_epoch,
                batches,
                ..written
            };
            return Ok(ShareRecord::Update(group, tp, update));
        }
        let mut next = merged(now, &written);
        next.snapshot_epoch += 1;
        Ok(ShareRecord::Snapshot(group, tp, next))
    }

    /// A new leader reads; what there is, and the record that fences older leaders. `None` if
    /// nobody has written yet.
    ///
    /// # Errors
    ///
    /// `FENCED_LEADER_EPOCH`.
    pub fn read(
        &self,
        key: &ShareKey,
        leader_epoch: i32,
        updates_per_snapshot: u32,
    ) -> Result<Option<(ShareGroupOffset, Option<ShareRecord>)>, ErrorCode> {
        let Some(known) = self.0.get(key) else {
            return Ok(None);
        };
        let now = &known.offset;
        if now.leader_epoch > leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        let news = ShareGroupOffset {
            leader_epoch,
            start: NO_START_OFFSET,
            batches: Vec::new(),
            ..now.clone()
        };
        let record = match leader_epoch > now.leader_epoch {
            true => Some(self.write(key, news, updates_per_snapshot)?),
            false => None,
        };
        Ok(Some((now.clone(), record)))
    }

    /// The offset before which every record is out of date (`lastRedundantOffset`).
    #[must_use]
    pub fn redundant_before(&self) -> Option<i64> {
        self.0.values().map(|it| it.snapshot_at).min()
    }

    /// A record that was written, or is read from the log, at this offset.
    pub fn replay(&mut self, record: ShareRecord, at: i64) {
        match record {
            ShareRecord::Snapshot(group, tp, offset) => {
                let known = Known {
                    offset,
                    updates: 0,
                    snapshot_at: at,
                };
                self.0.insert((group, tp), known);
            }
            ShareRecord::Update(group, tp, update) => {
                let fresh = || Known {
                    offset: update.clone(),
                    updates: 0,
                    snapshot_at: at,
                };
                let known = self.0.entry((group, tp)).or_insert_with(fresh);
                known.offset = merged(&known.offset, &update);
                known.updates += 1;
            }
        }
    }
}

fn merged(now: &ShareGroupOffset, news: &ShareGroupOffset) -> ShareGroupOffset {
    let start = match news.start {
        NO_START_OFFSET => now.start,
        start => start,
    };
    ShareGroupOffset {
        snapshot_epoch: now.snapshot_epoch,
        state_epoch: now.state_epoch.max(news.state_epoch),
        leader_epoch: now.leader_epoch.max(news.leader_epoch),
        start,
        batches: combine(&now.batches, &news.batches, start),
    }
}

#[cfg(test)]
mod tests {
    use super::RecordState::{Acknowledged, Archived, Available};
    use super::*;
    use std::sync::Arc;

    fn batch(first: i64, last: i64, state: RecordState, delivery_count: u16) -> StateBatch {
        StateBatch {
            first,
            last,
            state,
            delivery_count,
        }
    }

    #[test]
    fn batches_are_combined_and_what_is_known_later_counts() {
        let check = |old: &[StateBatch], new: &[StateBatch], start, expected: &[StateBatch]| {
            assert_eq!(combine(old, new, start), expected, "{old:?} {new:?}");
        };
        let old = [batch(10, 19, Available, 1)];
        check(&old, &[], 0, &old);
        check(&old, &[], 15, &[batch(15, 19, Available, 1)]);
        check(&old, &[], 20, &[]);
        check(
            &old,
            &[batch(20, 29, Available, 1)],
            0,
            &[batch(10, 29, Available, 1)],
        );
        check(
            &old,
            &[batch(12, 13, Acknowledged, 1)],
            0,
            &[
                batch(10, 11, Available, 1),
                batch(12, 13, Acknowledged, 1),
                batch(14, 19, Available, 1),
            ],
        );
        check(
            &[batch(10, 19, Acknowledged, 1)],
            &[batch(15, 24, Available, 2), batch(40, 40, Archived, 0)],
            0,
            &[
                batch(10, 14, Acknowledged, 1),
                batch(15, 24, Available, 2),
                batch(40, 40, Archived, 0),
            ],
        );
    }

    fn state(leader_epoch: i32, start: i64, batches: &[StateBatch]) -> ShareGroupOffset {
        ShareGroupOffset {
            snapshot_epoch: 0,
            state_epoch: 0,
            leader_epoch,
            start,
            batches: batches.to_vec(),
        }
    }

    /// After each update the coordinator, and one that replays its log, know the same; every third
    /// record is a snapshot.
    #[test]
    fn a_log_of_snapshots_and_updates_says_what_was_written() {
        let key: ShareKey = (Arc::from("g"), TopicPartition::default());
        let mut states = ShareStates::default();
        assert_eq!(states.read(&key, 3, 2), Ok(None));
        let mut log: Vec<ShareRecord> = Vec::new();
        for n in 0..10 {
            let done = [batch(10 * n + 5, 10 * n + 9, Acknowledged, 1)];
            let record = states
                .write(&key, state(3, 10 * n, &done), 2)
                .expect("it may");
            let snapshot = matches!(record, ShareRecord::Snapshot(..));
            assert_eq!(snapshot, n % 3 == 0, "{n}");
            log.push(record.clone());
            states.replay(record, n);
            assert_eq!(states.redundant_before(), Some(n / 3 * 3));
            let mut again = ShareStates::default();
            // From the last snapshot on is enough.
            let snapshots = log
                .iter()
                .rposition(|it| matches!(it, ShareRecord::Snapshot(..)));
            let from = snapshots.expect("there is one");
            let left = (0..).zip(&log).skip(from);
            left.for_each(|(at, it)| again.replay(it.clone(), at));
            assert_eq!(again, states);
            let (known, fence) = states
                .read(&key, 3, 2)
                .expect("it may")
                .expect("it is known");
            assert_eq!((known.start, known.batches), (10 * n, done.to_vec()));
            assert_eq!(fence, None);
        }
    }

    #[test]
    fn a_deposed_leader_is_fenced_once_the_new_one_has_read() {
        let key: ShareKey = (Arc::from("g"), TopicPartition::default());
        let mut states = ShareStates::default();
        states.replay(
            states.write(&key, state(3, 0, &[]), 500).expect("it may"),
            0,
        );
        let (_, fence) = states.read(&key, 4, 500).expect("it may").expect("known");
        states.replay(fence.expect("a newer epoch is written down"), 1);
        let old = states.write(&key, state(3, 7, &[]), 500);
        assert_eq!(old, Err(ErrorCode::FencedLeaderEpoch));
        assert_eq!(states.read(&key, 3, 500), Err(ErrorCode::FencedLeaderEpoch));
        let (known, _) = states.read(&key, 4, 500).expect("it may").expect("known");
        assert_eq!(known.start, 0, "what it wrote before that stands");
        let mut reset = state(4, 50, &[]);
        reset.state_epoch = 1;
        states.replay(states.write(&key, reset, 500).expect("it may"), 2);
        let old = states.write(&key, state(4, 7, &[]), 500);
        assert_eq!(old, Err(ErrorCode::FencedStateEpoch));
    }

    /// As `ShareCoordinatorOffsetsManagerTest` has it: the oldest of the newest snapshots counts.
    #[test]
    fn the_partition_that_was_quiet_for_longest_says_what_may_go() {
        let mut states = ShareStates::default();
        assert_eq!(states.redundant_before(), None);
        let mut check = |partition: u16, update: bool, at, expected| {
            let tp = TopicPartition {
                partition,
                ..TopicPartition::default()
            };
            let group = Arc::from("g");
            let record = match update {
                true => ShareRecord::Update(group, tp, state(0, 0, &[])),
                false => ShareRecord::Snapshot(group, tp, state(0, 0, &[])),
            };
            states.replay(record, at);
            assert_eq!(
                states.redundant_before(),
                Some(expected),
                "{partition} {at}"
            );
        };
        check(1, false, 0, 0);
        check(1, false, 10, 10);
        check(2, false, 15, 10);
        check(1, true, 16, 10);
        check(1, false, 25, 15);
        check(2, false, 30, 25);
    }
}
