//! Which transactional ids a subtask of the Kafka sink uses, owns, and aborts when it starts.
//!
//! Follows `TransactionalIdFactory`, `TransactionOwnership`, `TransactionNamingStrategyImpl` and
//! `TransactionAbortStrategyImpl` of the Kafka connector 4.x. An id is prefix, subtask and a
//! number. INCREMENTING takes a new number with each checkpoint and, at the start, probes upwards
//! for ids that a lost attempt may have used; POOLING uses ids again, asks the broker for open
//! transactions, and needs to know which subtasks' ids are its own after a change of parallelism.

use serde::Serialize;
use std::collections::BTreeSet;

/// A transactional id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct TransactionalId {
    /// `transactionalIdPrefix`.
    pub prefix: String,
    /// The subtask that made it up.
    pub subtask: i32,
    /// The checkpoint, or the place in the pool.
    pub offset: i64,
}

impl std::fmt::Display for TransactionalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.prefix, self.subtask, self.offset)
    }
}

impl TransactionalId {
    /// Reads an id; `None` if it is not of this form.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (rest, offset) = id.rsplit_once('-')?;
        let (prefix, subtask) = rest.rsplit_once('-')?;
        Some(TransactionalId {
            prefix: prefix.to_owned(),
            subtask: subtask.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

/// The number a pooling subtask takes next: the least whose id no ongoing transaction uses.
#[must_use]
pub fn pooled_offset(prefix: &str, subtask: i32, ongoing: &BTreeSet<TransactionalId>) -> i64 {
    let id = |offset| TransactionalId {
        prefix: prefix.to_owned(),
        subtask,
        offset,
    };
    let free = (0..i64::MAX).find(|offset| !ongoing.contains(&id(*offset)));
    free.unwrap_or(i64::MAX)
}

/// The numbers whose ids an incrementing subtask initialises without using them, so that probing
/// finds no gap where checkpoints were aborted; the id it uses has the number of `next`.
#[must_use]
pub fn skipped_offsets(last: i64, next: i64) -> std::ops::Range<i64> {
    last.saturating_add(1)..next
}

/// Who owns the ids of which subtasks (`TransactionOwnership`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum OwnershipModel {
    /// `IMPLICIT_BY_SUBTASK_ID`: its own, and those that are equal to it modulo the parallelism.
    ImplicitBySubtaskId,
    /// `EXPLICIT_BY_WRITER_STATE`: those that the restored states tell of.
    ExplicitByWriterState,
}

/// A restored writer state (`KafkaWriterState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct WriterState {
    /// The subtask whose ids go with it; `None` in states older than the connector 4.0.
    pub owned_subtask: Option<i32>,
    /// The greatest parallelism seen.
    pub total_subtasks: Option<i32>,
    /// By which model it was written.
    pub model: OwnershipModel,
}

/// What a subtask owns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ownership {
    /// The subtasks whose ids are its own.
    pub subtasks: BTreeSet<i32>,
    /// Subtask ids count modulo this: a lost attempt may have had more subtasks.
    pub total: i32,
}

impl Ownership {
    /// Whether an id is this subtask's own.
    #[must_use]
    pub fn owns(&self, id: &TransactionalId) -> bool {
        let within = id.subtask.checked_rem(self.total);
        within.is_some_and(|it| self.subtasks.contains(&it))
    }
}

/// Why a restored state cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum OwnershipError {
    /// From pooling back to incrementing: transactions could be lost.
    SwitchedBack,
    /// The state is older than the connector 4.0: migrate by way of INCREMENTING.
    Unknown,
    /// States went to a subtask beyond the old parallelism.
    NotConsecutive,
    /// Several states went to one subtask although there are no fewer subtasks than before.
    NotUniform,
    /// The states do not agree on the parallelism.
    NotInSync,
}

impl OwnershipModel {
    /// The subtasks whose ids a subtask owns.
    ///
    /// # Errors
    ///
    /// If the restored states do not allow it.
    pub fn owned_subtasks(
        self,
        subtask: i32,
        states: &[WriterState],
    ) -> Result<BTreeSet<i32>, OwnershipError> {
        let Some(first) = states.first() else {
            return Ok(BTreeSet::from([subtask]));
        };
        match self {
            OwnershipModel::ImplicitBySubtaskId if first.model != self => {
                Err(OwnershipError::SwitchedBack)
            }
            OwnershipModel::ImplicitBySubtaskId => Ok(BTreeSet::from([subtask])),
            OwnershipModel::ExplicitByWriterState => {
                let owned = states.iter().map(|it| it.owned_subtask);
                let owned: Option<BTreeSet<i32>> = owned.collect();
                let owned = owned.ok_or(OwnershipError::Unknown)?;
                match first.total_subtasks {
                    Some(total) if subtask < total => Ok(owned),
                    _ => Err(OwnershipError::NotConsecutive),
                }
            }
        }
    }

    /// Modulo how many the subtasks of ids are counted.
    ///
    /// # Errors
    ///
    /// If the restored states do not allow it.
    pub fn total_subtasks(
        self,
        parallelism: i32,
        states: &[WriterState],
    ) -> Result<i32, OwnershipError> {
        let Some(first) = states.first() else {
            return Ok(parallelism);
        };
        if self == OwnershipModel::ImplicitBySubtaskId {
            return Ok(parallelism);
        }
        if states
            .iter()
            .any(|it| it.total_subtasks != first.total_subtasks)
        {
            return Err(OwnershipError::NotInSync);
        }
        let total = first.total_subtasks.ok_or(OwnershipError::Unknown)?;
        if parallelism >= total && states.len() != 1 {
            return Err(OwnershipError::NotUniform);
        }
        Ok(total.max(parallelism))
    }
}

/// What LISTING aborts, in the order in which the broker lists it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Listed {
    /// Left over from a lost attempt.
    pub abort: Vec<TransactionalId>,
    /// Pre-committed ids under which a newer transaction is open: that one is aborted, and the id
    /// stays reserved until the committer has failed on it.
    pub superseded: Vec<TransactionalId>,
}

/// LISTING: of the transactions that the broker lists as open, those of this application that the
/// subtask owns, except pre-committed ones. `superseded` are pre-committed ids for which the broker
/// reports a newer epoch than the state holds.
#[must_use]
pub fn listed(
    open: &[TransactionalId],
    prefixes: &BTreeSet<String>,
    ownership: &Ownership,
    precommitted: &BTreeSet<TransactionalId>,
    superseded: &BTreeSet<TransactionalId>,
) -> Listed {
    let mut found = Listed::default();
    for id in open {
        let known = prefixes.iter().any(|it| id.prefix.starts_with(it.as_str()));
        if !known || !ownership.owns(id) {
            continue;
        }
        if !precommitted.contains(id) {
            found.abort.push(id.clone());
        } else if superseded.contains(id) {
            found.superseded.push(id.clone());
        }
    }
    found
}

/// PROBING: ids are initialised one after the other, from the restored checkpoint upwards, for the
/// subtask and those beyond the parallelism, until nothing is found. Initialising an id aborts its
/// transaction; an epoch of 0 says that the id had never been used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Probing {
    prefix: String,
    subtask: i32,
    parallelism: i32,
    start: i64,
    offset: i64,
    done: bool,
}

impl Probing {
    /// Begins at the checkpoint after the restored one.
    #[must_use]
    pub fn new(prefix: &str, subtask: i32, parallelism: i32, start_checkpoint: i64) -> Self {
        Probing {
            prefix: prefix.to_owned(),
            subtask,
            parallelism,
            start: start_checkpoint,
            offset: start_checkpoint,
            done: false,
        }
    }

    /// The id to initialise next; `None` at the end.
    #[must_use]
    pub fn id(&self) -> Option<TransactionalId> {
        let id = || TransactionalId {
            prefix: self.prefix.clone(),
            subtask: self.subtask,
            offset: self.offset,
        };
        (!self.done).then(id)
    }

    /// It has been initialised, with this epoch.
    pub fn on_epoch(&mut self, epoch: i16) {
        if epoch != 0 {
            self.offset = self.offset.saturating_add(1);
            return;
        }
        // A subtask without any transaction was the last there had been.
        let any = self.offset != self.start;
        match self.subtask.checked_add(self.parallelism) {
            Some(next) if any && self.parallelism > 0 => {
                self.subtask = next;
                self.offset = self.start;
            }
            _ => self.done = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(subtask: i32, offset: i64) -> TransactionalId {
        TransactionalId {
            prefix: "p".to_owned(),
            subtask,
            offset,
        }
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let long = TransactionalId {
            prefix: "a-b-7".to_owned(),
            ..id(3, 12)
        };
        assert_eq!(long.to_string(), "a-b-7-3-12");
        assert_eq!(TransactionalId::parse("a-b-7-3-12"), Some(long));
        assert_eq!(TransactionalId::parse("p-x-1"), None);
        assert_eq!(TransactionalId::parse("p"), None);
    }

    #[test]
    fn probing_ends_at_the_first_subtask_without_transactions() {
        // Three subtasks had gone on from checkpoint 5; now there are two.
        let used = [id(0, 5), id(0, 6), id(1, 5), id(2, 5), id(2, 6), id(2, 7)];
        let mut probing = Probing::new("p", 0, 2, 5);
        let mut asked = Vec::new();
        while let Some(id) = probing.id() {
            probing.on_epoch(i16::from(used.contains(&id)));
            asked.push((id.subtask, id.offset));
        }
        let expected = [
            (0, 5),
            (0, 6),
            (0, 7),
            (2, 5),
            (2, 6),
            (2, 7),
            (2, 8),
            (4, 5),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_pool_is_filled_from_below() {
        let ongoing = BTreeSet::from([id(1, 0), id(1, 2), id(2, 1)]);
        assert_eq!(pooled_offset("p", 1, &ongoing), 1);
        assert_eq!(pooled_offset("q", 1, &ongoing), 0);
        assert_eq!(skipped_offsets(3, 6).collect::<Vec<_>>(), [4, 5]);
    }
}
