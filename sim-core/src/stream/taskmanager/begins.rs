//! Where a source begins whose results carry their positions: a store is asked before the task opens.
//!
//! See [`positions`](crate::stream::positions). What the store says goes before what a checkpoint holds,
//! which may be older: a checkpoint knows only what was there when it was taken.

use super::TaskManager;
use crate::kernel::NodeId;
use crate::stream::positions;
use crate::stream::protocol::TaskId;
use crate::stream::snapshot::{ListItem, OperatorSnapshot, TaskSnapshot};
use serde::Serialize;
use std::sync::Arc;

/// What a store is asked, and its answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Begins {
    pub(super) source: u32,
    /// The sink whose store knows, and that store.
    pub(super) sink: u32,
    pub(super) store: NodeId,
    /// The answer: splits that rows are there of, and where they go on.
    pub(super) splits: Option<Vec<(u16, u64)>>,
}

impl Begins {
    /// Puts the answer in the place of the positions that were restored.
    pub(super) fn put(self, states: &mut Vec<Arc<TaskSnapshot>>) {
        for state in states.iter_mut() {
            *state = TaskSnapshot::without(Arc::clone(state), &[self.source]);
        }
        let splits = self.splits.unwrap_or_default().into_iter();
        let list = splits.map(|(split, offset)| ListItem::Split { split, offset });
        let own = OperatorSnapshot {
            keyed: Vec::new(),
            list: list.collect(),
        };
        states.push(Arc::new(TaskSnapshot {
            operators: vec![(self.source, own)],
            ..TaskSnapshot::default()
        }));
    }
}

impl TaskManager {
    /// What has to be asked before a task opens, if something has.
    pub(super) fn begins(&self, task: TaskId) -> Option<Begins> {
        let (spec, graph) = (&self.job.spec, &self.job.graph);
        let (source, sink) = positions::asked_by(spec, graph, task.vertex)?;
        Some(Begins {
            source,
            sink,
            store: self.job.store_of(sink)?,
            splits: None,
        })
    }
}
