//! Savepoints that are read, changed and written anew, or made from nothing.
//!
//! Follows the State Processor API (`SavepointReader`, `SavepointWriter.fromExistingSavepoint` and
//! `newSavepoint`, `OperatorTransformation.bootstrapWith`): the savepoint that is read stays as it is,
//! the new one has another name, and what nobody changed is in it as it was. An entry goes into the
//! key group that its key has, in the state of the subtask that owns it. Left out: the batch job that
//! does it (the storage does, as fast as it writes), its copies of files that stay the same, state
//! other than numbers of a process function, and the size of what came or went.

use super::JobManager;
use super::coordinator::Completed;
use super::savepoint::Savepoint;
use crate::stream::command::Edit;
use crate::stream::element::Key;
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Packet, TaskId};
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::snapshot::{Handle, StateEdit};
use crate::stream::spec::OperatorKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A savepoint that is being written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Editing {
    name: String,
    done: Completed,
    /// Whose states are not written yet.
    waiting: BTreeSet<TaskId>,
}

impl JobManager {
    /// Why a savepoint cannot be written, if so.
    pub(super) fn refuse_edit(&self, edit: &Edit) -> Option<String> {
        let missing = edit.from.as_deref();
        let missing = missing.filter(|name| self.savepoint_called(name).is_none());
        let missing = missing.map(|name| format!("there is no savepoint `{name}`"));
        let unknown = edit
            .entries
            .iter()
            .find(|it| self.key_called(&it.0).is_none());
        missing
            .or_else(|| unknown.map(|it| format!("there is no key `{}`", it.0)))
            .or_else(|| {
                let number = self.operator_called(&edit.operator);
                let kind = number.and_then(|it| self.job.spec.operators.get(it as usize));
                let fits = kind.is_some_and(|it| it.kind.holds_numbers());
                (!fits).then(|| format!("`{}` keeps no number for each key", edit.operator))
            })
    }

    /// A key by its name.
    fn key_called(&self, name: &str) -> Option<Key> {
        self.job.spec.keys.called(name)
    }

    /// Writes a savepoint with other entries.
    pub(super) fn edit(&mut self, edit: &Edit, cx: &mut StreamCx<'_>) {
        let from = edit.from.as_deref();
        let from = from.and_then(|name| self.savepoint_called(name));
        let before = from.map(|it| it.done.clone());
        let Some(operator) = self.operator_called(&edit.operator) else {
            return;
        };
        let job = Arc::clone(&self.job);
        let Some(spec) = job.spec.operators.get(operator as usize) else {
            return;
        };
        let OperatorKind::Process(process) = &spec.kind else {
            return;
        };
        self.coordinator.last_id += 1;
        let id = self.coordinator.last_id;
        let mut done = before.unwrap_or_else(|| Completed {
            id,
            savepoint: true,
            span: (0, 0),
            handles: BTreeMap::new(),
            files: BTreeMap::new(),
            metrics: BTreeMap::new(),
            parallelism: self.parallelism.clone(),
            enumerators: Vec::new(),
            forgotten: Vec::new(),
            retained: false,
        });
        (done.id, done.span) = (id, (cx.now(), cx.now()));
        let parallelism = done.parallelism.get(operator as usize);
        let groups = KeyGroups::new(spec.max_parallelism, parallelism.copied().unwrap_or(1));
        let mut vertices = job.graph.vertices.iter();
        let vertex = vertices.position(|it| it.operators.contains(&operator));
        let (Ok(groups), Some(vertex)) = (groups, vertex) else {
            return;
        };
        let mut of_tasks: BTreeMap<TaskId, Vec<(u32, Key, Option<i64>)>> = BTreeMap::new();
        for (name, value) in &edit.entries {
            let Some(key) = self.key_called(name) else {
                continue;
            };
            let group = groups.group_of(job.spec.keys.hash_code(key));
            let task = TaskId {
                vertex: vertex as u16,
                subtask: groups.operator_index(group) as u16,
            };
            of_tasks.entry(task).or_default().push((group, key, *value));
        }
        let changed = self.schemas.iter().find(|it| it.0 == operator);
        let schema = changed.map(|it| &it.1).or(process.schema.as_ref());
        for (task, entries) in &of_tasks {
            let from = done.handles.get(task).copied();
            let new = entries.len() as u64 * u64::from(process.bytes_per_key);
            let to = Handle {
                checkpoint: id,
                task: Some(*task),
                bytes: from.map_or(new, |it| it.bytes),
            };
            done.handles.insert(*task, to);
            let edit = StateEdit {
                operator,
                entries: entries.clone(),
                schema: schema.cloned(),
                expires: process.ttl_ms.is_some(),
            };
            let edit = Arc::new(edit);
            cx.send(job.storage, Packet::EditState { from, to, edit });
        }
        self.editing.push(Editing {
            name: edit.into.clone(),
            done,
            waiting: of_tasks.into_keys().collect(),
        });
    }

    /// A state of a savepoint that is being written is there.
    pub(super) fn edited(&mut self, handle: Handle, cx: &mut StreamCx<'_>) {
        let mut all = self.editing.iter();
        let Some(at) = all.position(|it| it.done.id == handle.checkpoint) else {
            return;
        };
        let (Some(it), Some(task)) = (self.editing.get_mut(at), handle.task) else {
            return;
        };
        it.waiting.remove(&task);
        if !it.waiting.is_empty() {
            return;
        }
        let Editing { name, mut done, .. } = self.editing.remove(at);
        done.span.1 = cx.now();
        let id = done.id;
        self.savepoints.push(Savepoint { name, done });
        cx.note(Note::rule(Rule::SavepointWritten, None, 0, id));
    }
}
