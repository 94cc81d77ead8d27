//! Snapshots that tasks take each for itself, and the line that a failure goes back to.
//!
//! Flink has nothing like it: its checkpoints are coordinated by barriers. This is what they are
//! compared with, by `strandline.checkpointing.coordination = "none"`. The JobManager keeps where each
//! task's snapshots lie and what the task had sent and received by then; what is in flight lies
//! nowhere. When tasks are to begin anew it looks for their [recovery line](recovery_line): each goes
//! back to its snapshot there, its start if there is none, and every later one is useless. The line is
//! what counts begin from in the next attempt. Snapshots older than the line that there would be now
//! can never be needed, for lines only move on: they are deleted, and looked for when there are twice
//! as many snapshots as there were left the last time. With high availability what is known of
//! acknowledged snapshots outlives the JobManager, as if it lay beside them. Left out: checkpoints of
//! the whole job beside them, so that nothing commits in two phases and no savepoint can be taken;
//! logs of what was sent, which would spare the senders; snapshots that are induced by messages.

use super::JobManager;
use super::coordinator::Coordinator;
use crate::kernel::Nanos;
use crate::stream::graph::Graph;
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, ChannelId, Packet, TaskId};
use crate::stream::rules::recovery_line::{Channel, Consistency, Line, recovery_line};
use crate::stream::snapshot::{Counts, Handle};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many snapshots are kept at least before those are looked for that nobody needs.
const LOOK_AT: usize = 16;

/// A snapshot of a task, or its start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Own {
    /// Where it lies; none for the start.
    handle: Option<Handle>,
    /// When it was taken, ns.
    taken: Nanos,
    /// What had been sent and received, since the line that the present attempt began from.
    counts: Arc<Counts>,
}

/// The first step back that a recovery line needed: what did not fit together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FirstStep {
    /// The channel.
    pub channel: ChannelId,
    /// What its sender's newest snapshot had sent, and its receiver's had received.
    pub counts: (u64, u64),
}

/// A recovery line that tasks went back to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RecoveryLine {
    /// How many tasks.
    pub tasks: u32,
    /// How many of them went back to their start.
    pub starts: u32,
    /// Their later snapshots.
    pub useless: u64,
    /// Steps back that led to it, each of one task.
    pub steps: u64,
    /// From now back to what is oldest of it, ns.
    pub reach: Nanos,
    /// The first of those steps.
    pub first: Option<FirstStep>,
}

/// What is known of the tasks' own snapshots.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Uncoordinated {
    /// Of each task, the oldest first: the line that it began from.
    of: BTreeMap<TaskId, Vec<Own>>,
    /// Snapshots acknowledged ever, and those of them that lines made useless.
    taken: u64,
    useless: u64,
    last: Option<RecoveryLine>,
    /// How many are kept.
    kept: usize,
    /// With so many snapshots it is looked which are not needed.
    look_at: usize,
}

impl Uncoordinated {
    /// Adds a snapshot; what is not needed any more, unless it is too soon to look.
    fn add(
        &mut self,
        task: TaskId,
        snapshot: Own,
        (graph, parallelism): (&Graph, &[u32]),
    ) -> Vec<Handle> {
        self.of.entry(task).or_default().push(snapshot);
        self.taken += 1;
        self.kept += 1;
        if self.kept < self.look_at.max(LOOK_AT) {
            return Vec::new();
        }
        let gone = self.drop_older(graph, parallelism);
        self.look_at = self.kept * 2;
        gone
    }

    /// The line that there would be now; tasks in their order, channels with their ends.
    fn line(&self, graph: &Graph, parallelism: &[u32]) -> (Line, Vec<ChannelId>) {
        let place: BTreeMap<TaskId, usize> = self.of.keys().copied().zip(0..).collect();
        let many: Vec<usize> = self.of.values().map(Vec::len).collect();
        let (mut channels, mut ids) = (Vec::new(), Vec::new());
        for (to, snapshots) in &self.of {
            for id in graph.channels_into(*to, parallelism) {
                let edge = graph.edges.get(usize::from(id.edge));
                let from = edge.map(|it| TaskId {
                    vertex: it.from.0,
                    subtask: id.from,
                });
                let from = from.and_then(|it| Some((*place.get(&it)?, self.of.get(&it)?)));
                if let (Some((from, sender)), Some(to)) = (from, place.get(to)) {
                    let all = |of: &[Own], side: fn(&Counts) -> &[(ChannelId, u64)]| {
                        let each = of.iter().map(|it| count(side(&it.counts), id));
                        each.collect::<Vec<u64>>()
                    };
                    channels.push(Channel {
                        from,
                        to: *to,
                        sent: all(sender, |it| &it.sent),
                        received: all(snapshots, |it| &it.received),
                    });
                    ids.push(id);
                }
            }
        }
        // What was in flight lies nowhere.
        let line = recovery_line(&many, &channels, Consistency::NothingInFlight);
        (line, ids)
    }

    /// Takes out what is older than the line that there would be now.
    fn drop_older(&mut self, graph: &Graph, parallelism: &[u32]) -> Vec<Handle> {
        let (line, _) = self.line(graph, parallelism);
        let mut gone = Vec::new();
        for (all, at) in self.of.values_mut().zip(line.at) {
            gone.extend(all.drain(..at).filter_map(|it| it.handle));
        }
        self.kept -= gone.len();
        gone
    }

    /// Sends tasks, or all, back to their line; what is deleted, and what came of it.
    fn go_back(
        &mut self,
        (graph, parallelism): (&Graph, &[u32]),
        tasks: Option<&BTreeSet<TaskId>>,
        now: Nanos,
    ) -> (Vec<Handle>, RecoveryLine) {
        let goes = |it: &TaskId| tasks.is_none_or(|tasks| tasks.contains(it));
        let (line, channels) = self.line(graph, parallelism);
        let order: Vec<TaskId> = self.of.keys().copied().collect();
        // Others than these have no channels to them: what is theirs is of another line.
        let of_these = |it: &usize| order.get(*it).is_some_and(goes);
        let mut steps = line.rollbacks.iter().filter(|it| of_these(&it.task));
        let first = steps.clone().next().and_then(|it| {
            Some(FirstStep {
                channel: *channels.get(it.channel)?,
                counts: it.counts,
            })
        });
        let mut done = RecoveryLine {
            tasks: 0,
            starts: 0,
            useless: 0,
            steps: steps.by_ref().count() as u64,
            reach: 0,
            first,
        };
        let mut gone = Vec::new();
        for ((_, all), at) in self.of.iter_mut().zip(line.at).filter(|it| goes(it.0.0)) {
            let later = all.split_off((at + 1).min(all.len()));
            done.useless += later.len() as u64;
            gone.extend(later.into_iter().filter_map(|it| it.handle));
            gone.extend(all.drain(..at.min(all.len())).filter_map(|it| it.handle));
            if let Some(it) = all.first_mut() {
                it.counts = Arc::default();
                done.tasks += 1;
                done.starts += u32::from(it.handle.is_none());
                done.reach = done.reach.max(now.saturating_sub(it.taken));
            }
        }
        self.kept -= gone.len();
        self.useless += done.useless;
        self.last = Some(done.clone());
        (gone, done)
    }
}

/// What was counted on a channel.
fn count(all: &[(ChannelId, u64)], id: ChannelId) -> u64 {
    let found = all.iter().find(|it| it.0 == id);
    found.map_or(0, |it| it.1)
}

impl Coordinator {
    /// About how many bytes a copy of what is known of tasks' own snapshots takes.
    pub(super) fn own_weight(&self) -> usize {
        self.own.as_ref().map_or(0, |it| it.kept) * size_of::<Own>()
    }
}

impl JobManager {
    /// A task's own snapshot is in the storage.
    pub(super) fn own_acknowledged(
        &mut self,
        (attempt, task): (Attempt, TaskId),
        handle: Handle,
        (taken, counts): (Nanos, Arc<Counts>),
        cx: &mut StreamCx<'_>,
    ) {
        let current = self.runs_in(task, attempt);
        let id = handle.checkpoint;
        let Some(own) = self.coordinator.own.as_mut().filter(|_| current) else {
            // It comes late: nobody will use it.
            cx.send(self.job.storage, Packet::DiscardState { checkpoint: id });
            return;
        };
        let snapshot = Own {
            handle: Some(handle),
            taken,
            counts,
        };
        let gone = own.add(task, snapshot, (&self.job.graph, &self.parallelism));
        let kept = own.kept as i64;
        cx.note(Note::rule(Rule::SnapshotStored, Some(task), kept, id));
        self.discard_own(gone, cx);
    }

    fn discard_own(&self, gone: Vec<Handle>, cx: &mut StreamCx<'_>) {
        for Handle { checkpoint, .. } in gone {
            cx.send(self.job.storage, Packet::DiscardState { checkpoint });
        }
    }

    /// Tasks, or all, are to begin anew: from their line, where they take snapshots for themselves.
    pub(super) fn go_back(&mut self, tasks: Option<&BTreeSet<TaskId>>, cx: &mut StreamCx<'_>) {
        let first = self.restarts() == 0 && tasks.is_none();
        let Some(own) = &mut self.coordinator.own else {
            return;
        };
        let (graph, now) = (&self.job.graph, cx.now());
        for task in graph.tasks(&self.parallelism) {
            let start = || Own {
                handle: None,
                taken: now,
                counts: Arc::default(),
            };
            own.of.entry(task).or_insert_with(|| vec![start()]);
        }
        if first {
            return;
        }
        let (gone, line) = own.go_back((graph, &self.parallelism), tasks, now);
        cx.note(Note::RecoveryLine(Box::new(line)));
        self.discard_own(gone, cx);
    }

    /// The snapshot of its line that a task begins with, where tasks take them for themselves.
    pub(super) fn own_of(&self, task: TaskId) -> Option<Option<Handle>> {
        let own = self.coordinator.own.as_ref()?;
        let line = own.of.get(&task).and_then(|it| it.first());
        Some(line.and_then(|it| it.handle))
    }

    /// The job has ended: no snapshot is needed any more.
    pub(super) fn end_own(&mut self, cx: &mut StreamCx<'_>) {
        let of = self
            .coordinator
            .own
            .as_mut()
            .map(|it| std::mem::take(&mut it.of));
        let all = of.into_iter().flat_map(BTreeMap::into_values).flatten();
        self.discard_own(all.filter_map(|it| it.handle).collect(), cx);
    }

    /// Snapshots that tasks took for themselves: all ever, and those that lines made useless.
    #[must_use]
    pub fn own_snapshots(&self) -> Option<(u64, u64)> {
        let own = self.coordinator.own.as_ref()?;
        Some((own.taken, own.useless))
    }

    /// The last recovery line that tasks went back to.
    #[must_use]
    pub fn recovery_line(&self) -> Option<&RecoveryLine> {
        self.coordinator.own.as_ref()?.last.as_ref()
    }

    /// Where a task's own snapshot of this number lies.
    #[must_use]
    pub fn own_snapshot(&self, id: i64) -> Option<Handle> {
        let all = self.coordinator.own.as_ref()?.of.values().flatten();
        let mut handles = all.filter_map(|it| it.handle);
        handles.find(|it| it.checkpoint == id)
    }
}
