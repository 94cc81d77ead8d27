//! State after a restore against the state that was checkpointed, byte for byte.
//!
//! When a checkpoint is complete, what lies in the storage of it is digested by operator and key
//! group. When a task has been given its state, and before it handles anything, what its operators
//! hold of each key group that it owns must have the same digest, and nothing may be there that was
//! not: so state is neither lost nor doubled nor changed, also when key groups move between subtasks.
//! Operator state (positions, transactions, rows of a write-ahead log) is left out: it is dealt out
//! item by item, and judged by what is delivered.

use super::facts::{job_manager, machines};
use super::node::Machine;
use super::note::{Note, Rule};
use super::operator::KeyedState;
use super::protocol::TaskId;
use super::rules::key_group::KeyGroups;
use super::why::task_name;
use crate::kernel::{Digest, World};
use crate::systems;
use std::collections::BTreeMap;

/// Checkpoints that are remembered: a job keeps few, its tasks' own snapshots aside.
const REMEMBERED: usize = 512;

/// The digest of each key group of each operator.
type Groups = BTreeMap<(u32, u32), u64>;

/// The check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RestoreCheck {
    checkpoints: BTreeMap<i64, Groups>,
    compared: u64,
}

fn digest(state: &KeyedState) -> u64 {
    let mut digest = Digest::default();
    digest.value(state);
    digest.finish()
}

fn groups<'a>(state: impl IntoIterator<Item = (u32, u32, &'a KeyedState)>) -> Groups {
    let all = state.into_iter();
    all.map(|(operator, group, it)| ((operator, group), digest(it)))
        .collect()
}

/// The first key group that is not as it was.
fn differs(
    before: &Groups,
    after: &Groups,
    owned: impl Fn((u32, u32)) -> bool,
) -> Option<(u32, u32)> {
    let was = before.iter().filter(|(at, _)| owned(**at));
    let mut lost = was.filter(|(at, digest)| after.get(at) != Some(digest));
    let mut new = after
        .keys()
        .filter(|at| !before.contains_key(at) || !owned(**at));
    lost.next().map(|it| *it.0).or_else(|| new.next().copied())
}

impl RestoreCheck {
    /// Looks at what an event brought about; what is wrong, in words.
    pub fn on(&mut self, note: &systems::Note, world: &World<systems::Node>) -> Option<String> {
        let systems::Note::Stream(note) = note else {
            return None;
        };
        match note {
            Note::Rule {
                rule: Rule::CheckpointCompleted | Rule::SavepointWritten | Rule::SnapshotStored,
                after,
                ..
            } => {
                self.learn(*after, world);
                None
            }
            Note::Restored {
                task,
                checkpoint,
                parallelism,
                forgotten,
                state,
            } => {
                let attempt = (parallelism.as_slice(), forgotten.as_slice());
                self.compare(*task, *checkpoint, attempt, state, world)
            }
            _ => None,
        }
    }

    fn learn(&mut self, checkpoint: i64, world: &World<systems::Node>) {
        let manager = job_manager(world);
        let done = manager.and_then(|it| {
            let own = it.savepoints().iter().map(|it| &it.done);
            let mut all = it.completed().iter().chain(own);
            all.find(|it| it.id == checkpoint)
        });
        let storage = machines(world).find_map(|it| match it {
            Machine::Storage(it) => Some(it),
            _ => None,
        });
        let own = manager.and_then(|it| it.own_snapshot(checkpoint));
        let of_job = done.into_iter().flat_map(|it| it.handles.values().copied());
        let handles = of_job.chain(own);
        let Some(storage) = storage else {
            return;
        };
        let states = handles.filter_map(|it| storage.kept().get(&it));
        let operators = states
            .filter_map(|it| it.state.as_ref())
            .flat_map(|it| &it.operators);
        let keyed = operators.flat_map(|(number, it)| {
            let all = it.keyed.iter();
            all.map(|(group, state)| (*number, *group, state))
        });
        self.checkpoints.insert(checkpoint, groups(keyed));
        while self.checkpoints.len() > REMEMBERED {
            self.checkpoints.pop_first();
        }
    }

    fn compare(
        &mut self,
        task: TaskId,
        checkpoint: i64,
        (parallelism, forgotten): (&[u32], &[u32]),
        state: &[(u32, u32, KeyedState)],
        world: &World<systems::Node>,
    ) -> Option<String> {
        let before = self.checkpoints.get(&checkpoint)?;
        let job = job_manager(world)?.job();
        let vertex = job.graph.vertices.get(usize::from(task.vertex))?;
        let owned = |(operator, group): (u32, u32)| {
            let spec = job.spec.operators.get(operator as usize);
            let max = spec.map_or(1, |it| it.max_parallelism);
            // The attempt's own: one that was frozen may go on when the job has been rescaled.
            let parallelism = parallelism.get(operator as usize);
            let groups = KeyGroups::new(max, parallelism.copied().unwrap_or(1));
            let range = groups.map(|it| it.range(u32::from(task.subtask)));
            let taken = vertex.operators.contains(&operator) && !forgotten.contains(&operator);
            taken && range.is_ok_and(|it| it.contains(&group))
        };
        self.compared += 1;
        let after = groups(
            state
                .iter()
                .map(|(operator, group, it)| (*operator, *group, it)),
        );
        let (operator, group) = differs(before, &after, owned)?;
        let name = job.spec.operators.get(operator as usize);
        let name = name.map_or("", |it| it.name.as_str());
        Some(format!(
            "Restore: key group {group} of {name} in {} is not what checkpoint {checkpoint} has",
            task_name(job, task)
        ))
    }

    /// Restored tasks that were looked at.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check that cannot fail is worth nothing: every way to spoil a restore is found, and an
    /// honest one is not complained of.
    #[test]
    fn what_is_lost_changed_foreign_or_new_is_found() {
        let before: Groups = [((1, 3), 30), ((1, 4), 40), ((2, 3), 50)].into();
        let owned = |(operator, group): (u32, u32)| operator == 1 && group < 4 || operator == 2;
        let check = |after: &[((u32, u32), u64)], expect: Option<(u32, u32)>| {
            let after: Groups = after.iter().copied().collect();
            assert_eq!(differs(&before, &after, owned), expect, "{after:?}");
        };
        check(&[((1, 3), 30), ((2, 3), 50)], None);
        check(&[((1, 3), 30)], Some((2, 3)));
        check(&[((1, 3), 31), ((2, 3), 50)], Some((1, 3)));
        check(&[((1, 3), 30), ((1, 4), 40), ((2, 3), 50)], Some((1, 4)));
        check(&[((1, 2), 7), ((1, 3), 30), ((2, 3), 50)], Some((1, 2)));
    }
}
