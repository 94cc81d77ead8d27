//! State that another program wrote: whether this one's serializers can take it over.
//!
//! Follows `StateSerializerProvider` and `HeapKeyedStateBackend.tryRegisterStateTable`: as a task opens
//! its state, each serializer's snapshot is compared with the serializer of the program. What is
//! incompatible fails the task (`StateMigrationException`); the rest is migrated before the first
//! record. Left out: what a migration costs (with RocksDB each entry is read and written), and that
//! the heap keeps it for the next savepoint.

use crate::stream::job::Job;
use crate::stream::note::Note;
use crate::stream::protocol::{TaskFailure, TaskId};
use crate::stream::rules::serializer::Evolution;
use crate::stream::snapshot::{Schemas, TaskSnapshot};
use crate::stream::spec::OperatorKind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the operators of a task write their state as; `changed` is what the program has in place of
/// the first one's.
pub(super) fn of_task(job: &Job, task: TaskId, changed: &Schemas) -> Schemas {
    let vertex = job.graph.vertices.get(usize::from(task.vertex));
    let operators = vertex.iter().flat_map(|it| &it.operators);
    let each = operators.filter_map(|operator| {
        let now = changed.iter().find(|it| it.0 == *operator);
        let spec = job.spec.operators.get(*operator as usize)?;
        let first = match &spec.kind {
            OperatorKind::Process(spec) => spec.schema.as_ref()?,
            _ => return None,
        };
        Some((*operator, Arc::clone(now.map_or(first, |it| &it.1))))
    });
    each.collect()
}

/// What becomes of the states of a task.
#[derive(Default)]
pub(super) struct Taken {
    /// The states, migrated.
    pub(super) states: Vec<Arc<TaskSnapshot>>,
    /// What happened.
    pub(super) notes: Vec<Note>,
    /// Operators whose values began anew.
    pub(super) begun: Vec<u32>,
    /// Why the task fails, if it does.
    pub(super) failure: Option<TaskFailure>,
}

/// Takes over the states that a task was given.
pub(super) fn take_over(task: TaskId, states: Vec<Arc<TaskSnapshot>>, schemas: &Schemas) -> Taken {
    let mut taken = Taken::default();
    let mut seen = BTreeSet::new();
    for mut state in states {
        for (operator, old) in state.schemas.clone() {
            let Some((_, new)) = schemas.iter().find(|it| it.0 == operator) else {
                continue;
            };
            if *new == old {
                continue;
            }
            let how = old.evolve(new);
            if seen.insert(operator) {
                taken.notes.push(Note::Evolved {
                    task,
                    operator,
                    schemas: Box::new((Arc::clone(&old), Arc::clone(new))),
                    how,
                });
            }
            match how {
                Evolution::Kept(_) => {}
                Evolution::Begun(number) => {
                    state = TaskSnapshot::begun(state, operator, number);
                    taken.begun.push(operator);
                }
                Evolution::Incompatible | Evolution::OtherKey => {
                    taken.failure = Some(TaskFailure::StateMigration);
                }
                Evolution::Unreadable => taken.failure = Some(TaskFailure::Restore),
            }
        }
        taken.states.push(state);
    }
    taken
}
