//! What checkpoints hold.
//!
//! Follows `TaskStateSnapshot`: for each operator of a subtask's chain its keyed state by key group,
//! its operator (list) state, and for unaligned checkpoints the channels' in-flight data. A snapshot
//! is shared, not copied: state is held in pieces that are copied when they are next written.

use super::element::{Buffer, Key, Record};
use super::operator::KeyedState;
use super::protocol::{Attempt, ChannelId, StoreTransaction, TaskId};
use super::rules::lsm::SstFile;
use super::rules::serializer::StateSchema;
use serde::Serialize;
use std::sync::Arc;

/// Where a subtask's state lies in the storage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Handle {
    /// Of which checkpoint.
    pub checkpoint: i64,
    /// Of which task; `None` for the checkpoint's metadata.
    pub task: Option<TaskId>,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Where the numbers of snapshots begin that tasks take for themselves, once for each attempt:
/// checkpoints of a job never come so far.
const OWN_IDS: i64 = 1_000_000_000;

/// The number of a snapshot that a task takes for itself. No other task has it, nor has any attempt.
#[must_use]
pub fn own_id(attempt: Attempt, number: i64) -> i64 {
    i64::from(attempt)
        .saturating_mul(OWN_IDS)
        .saturating_add(number)
}

/// A checkpoint, or a snapshot that a task took for itself, in words.
#[must_use]
pub fn called(id: i64) -> String {
    match (id.div_euclid(OWN_IDS), id.rem_euclid(OWN_IDS)) {
        (attempt, number) if attempt > 0 => format!("snapshot {attempt}-{number}"),
        _ => format!("checkpoint {id}"),
    }
}

/// What a task had sent and received on its channels.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Records sent.
    pub sent: Vec<(ChannelId, u64)>,
    /// Records received, and worked on.
    pub received: Vec<(ChannelId, u64)>,
}

/// An item of operator state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum ListItem {
    /// A source's position: the next offset of a split.
    Split {
        /// Which.
        split: u16,
        /// The next record's number.
        offset: u64,
    },
    /// A transaction of a sink that was pre-committed and not committed yet, with its rows' number.
    Pending {
        /// At which checkpoint.
        checkpoint: i64,
        /// Which.
        transaction: StoreTransaction,
        /// When it began, ms.
        started_ms: i64,
        /// Rows in it.
        rows: u32,
    },
    /// The transaction that a sink had open after its snapshot.
    Open {
        /// Which.
        transaction: StoreTransaction,
        /// When it began, ms.
        started_ms: i64,
    },
    /// Rows of a write-ahead sink that wait for their checkpoint.
    Rows {
        /// Which checkpoint.
        checkpoint: i64,
        /// The subtask that took them.
        subtask: u16,
        /// The rows.
        rows: Arc<Vec<Record>>,
    },
    /// A copy of broadcast state, by the subtask that wrote it.
    Broadcast {
        /// Which subtask.
        subtask: u16,
        /// Name and value of each entry.
        entries: Vec<(Key, i64)>,
    },
    /// A partition that a source was given while the job ran, before it is known where it begins.
    Unplaced {
        /// Which.
        split: u16,
        /// At its start, whatever the source's starting offsets are.
        earliest: bool,
    },
}

/// An operator's state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct OperatorSnapshot {
    /// Keyed state by key group.
    pub keyed: Vec<(u32, KeyedState)>,
    /// Operator state: split even, item by item, when the job is rescaled.
    pub list: Vec<ListItem>,
}

impl OperatorSnapshot {
    /// Puts another number, written at some time, in the place of a key's, or takes the key out; what
    /// was there.
    fn set(&mut self, group: u32, key: Key, (value, written): (Option<i64>, i64)) -> Option<i64> {
        let found = self.keyed.iter().position(|it| it.0 == group);
        let at = found.unwrap_or_else(|| {
            let at = self.keyed.partition_point(|it| it.0 < group);
            self.keyed
                .insert(at, (group, KeyedState::Values(Arc::default())));
            at
        });
        let (_, state) = self.keyed.get_mut(at)?;
        let before = state.set(key, (value, written));
        if state.is_empty() {
            self.keyed.remove(at);
        }
        before
    }
}

/// Files of an LSM backend in a checkpoint (`IncrementalRemoteKeyedStateHandle`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BackendFiles {
    /// Of which operator.
    pub operator: u32,
    /// Of which backend.
    pub backend: u32,
    /// Those that this checkpoint uploads.
    pub new: Vec<SstFile>,
    /// Those that an earlier one has uploaded.
    pub reused: Vec<SstFile>,
}

/// What operators write their keyed state as, by their numbers.
pub type Schemas = Vec<(u32, Arc<StateSchema>)>;

/// Other entries of an operator's keyed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StateEdit {
    /// Whose state.
    pub operator: u32,
    /// Key group, key and number; none takes the key out.
    pub entries: Vec<(u32, Key, Option<i64>)>,
    /// What the state is written as.
    pub schema: Option<Arc<StateSchema>>,
    /// Whether entries expire.
    pub expires: bool,
}

/// An entry that was changed: its key, what was there, and what is there now.
pub type Row = (Key, Option<i64>, Option<i64>);

/// A subtask's state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TaskSnapshot {
    /// For each operator of the chain, by its number in the job.
    pub operators: Vec<(u32, OperatorSnapshot)>,
    /// Buffers that were in flight to this subtask.
    pub input_channels: Vec<(ChannelId, Buffer)>,
    /// Buffers that had not left this subtask.
    pub output_channels: Vec<(ChannelId, Buffer)>,
    /// Where the keyed state lies in files that checkpoints share: those of each backend.
    pub files: Arc<Vec<BackendFiles>>,
    /// The snapshots of its serializers.
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    pub schemas: Schemas,
    /// It ended its stream for the savepoint that this is of (`isTaskFinished`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
}

impl TaskSnapshot {
    /// Without the state of some operators.
    #[must_use]
    pub fn without(this: Arc<Self>, operators: &[u32]) -> Arc<Self> {
        if operators.is_empty() {
            return this;
        }
        let mut left = Arc::unwrap_or_clone(this);
        left.operators.retain(|(it, _)| !operators.contains(it));
        let files = left.files.iter();
        let files = files.filter(|it| !operators.contains(&it.operator));
        left.files = Arc::new(files.cloned().collect());
        left.schemas.retain(|(it, _)| !operators.contains(it));
        Arc::new(left)
    }

    /// Without the files that it shares with others, if it is to be so: all its state is in it.
    #[must_use]
    pub fn unshared(this: Arc<Self>, unshared: bool) -> Arc<Self> {
        if !unshared || this.files.is_empty() {
            return this;
        }
        let mut left = Arc::unwrap_or_clone(this);
        left.files = Arc::default();
        Arc::new(left)
    }

    /// With another number in place of each of an operator's.
    #[must_use]
    pub fn begun(this: Arc<Self>, operator: u32, number: i64) -> Arc<Self> {
        let mut left = Arc::unwrap_or_clone(this);
        let of_it = left.operators.iter_mut().filter(|it| it.0 == operator);
        for (_, state) in of_it.flat_map(|it| &mut it.1.keyed) {
            state.begin_at(number);
        }
        Arc::new(left)
    }

    /// With other entries of an operator, written at this time, ms; and what was there.
    #[must_use]
    pub fn edited(this: Arc<Self>, edit: &StateEdit, now_ms: i64) -> (Arc<Self>, Vec<Row>) {
        let mut left = Arc::unwrap_or_clone(this);
        let written = if edit.expires { now_ms } else { 0 };
        let found = left.operators.iter().position(|it| it.0 == edit.operator);
        let at = found.unwrap_or(left.operators.len());
        if found.is_none() {
            left.operators
                .push((edit.operator, OperatorSnapshot::default()));
            let schema = edit.schema.iter();
            left.schemas
                .extend(schema.map(|it| (edit.operator, Arc::clone(it))));
        }
        let mut rows = Vec::new();
        if let Some((_, state)) = left.operators.get_mut(at) {
            for (group, key, value) in &edit.entries {
                rows.push((*key, state.set(*group, *key, (*value, written)), *value));
            }
        }
        (Arc::new(left), rows)
    }

    /// Without what was in flight.
    #[must_use]
    pub fn at_rest(this: Arc<Self>) -> Arc<Self> {
        if this.input_channels.is_empty() && this.output_channels.is_empty() {
            return this;
        }
        Arc::new(TaskSnapshot {
            operators: this.operators.clone(),
            files: Arc::clone(&this.files),
            schemas: this.schemas.clone(),
            drained: this.drained,
            ..TaskSnapshot::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_without_an_operator_has_neither_its_state_nor_its_files() {
        let files = |operator| BackendFiles {
            operator,
            backend: 0,
            new: Vec::new(),
            reused: Vec::new(),
        };
        let whole = Arc::new(TaskSnapshot {
            operators: vec![
                (1, OperatorSnapshot::default()),
                (2, OperatorSnapshot::default()),
            ],
            files: Arc::new(vec![files(1), files(2)]),
            ..TaskSnapshot::default()
        });
        let left = TaskSnapshot::without(Arc::clone(&whole), &[1]);
        let operators: Vec<u32> = left.operators.iter().map(|it| it.0).collect();
        let of_files: Vec<u32> = left.files.iter().map(|it| it.operator).collect();
        assert_eq!((operators, of_files), (vec![2], vec![2]));
        assert_eq!(TaskSnapshot::without(Arc::clone(&whole), &[]), whole);
    }
}
