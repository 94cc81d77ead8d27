//! A TaskManager's tasks and the Kafka clients that they use.

use super::TaskManager;
use crate::kafka::embed::Begin;
use crate::stream::clients::{Clients, Outcome, Owner};
use crate::stream::job::Job;
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, StoreRequest, TaskFailure, TaskId};
use crate::stream::task::Io;
use std::collections::BTreeSet;
use std::sync::Arc;

impl TaskManager {
    /// Its Kafka clients, if it has some.
    #[must_use]
    pub fn clients(&self) -> Option<&Clients> {
        self.clients.as_deref()
    }

    /// Calls the clients, if there are any.
    pub(super) fn with_clients(
        &mut self,
        cx: &mut StreamCx<'_>,
        call: impl FnOnce(&mut Clients, &Job, &mut StreamCx<'_>),
    ) {
        if let Some(mut clients) = self.clients.take() {
            call(&mut clients, &self.job, cx);
            self.clients = Some(clients);
        }
    }

    /// A sink asks the cluster for something.
    pub(super) fn ask_clients(
        &mut self,
        owner: Owner,
        order: (u64, StoreRequest),
        cx: &mut StreamCx<'_>,
    ) {
        self.with_clients(cx, |it, job, cx| it.ask(owner, order, job, cx));
    }

    /// A task's source begins to read partitions of a topic, if it does.
    pub(super) fn read_topic(
        &mut self,
        (task, attempt): (TaskId, Attempt),
        partitions: &[(u16, Begin)],
        cx: &mut StreamCx<'_>,
    ) {
        if let Some(owner) = self
            .reader(task, attempt)
            .filter(|_| !partitions.is_empty())
        {
            self.with_clients(cx, |it, job, cx| it.read(owner, partitions, job, cx));
        }
    }

    /// The source of a task as the owner of a client.
    fn reader(&self, task: TaskId, attempt: Attempt) -> Option<Owner> {
        let head = self.job.graph.vertices.get(task.vertex as usize);
        let operator = head.and_then(|it| it.operators.first()).copied()?;
        Some(Owner {
            task,
            attempt,
            operator,
        })
    }

    /// A checkpoint is complete: the positions of a task's source that it holds are committed.
    pub(super) fn commit_offsets(
        &mut self,
        (id, attempt): (TaskId, Attempt),
        checkpoint: i64,
        cx: &mut StreamCx<'_>,
    ) {
        let source = self.tasks.get_mut(&id).and_then(|it| it.chain.source());
        let offsets = source.map_or_else(Vec::new, |it| it.complete(checkpoint));
        if let Some(owner) = self.reader(id, attempt).filter(|_| !offsets.is_empty()) {
            self.with_clients(cx, |it, job, cx| {
                it.commit_offsets(owner, &offsets, job, cx)
            });
        }
    }

    /// The JobManager gives a task's source partitions that were found (`AddSplitEvent`).
    pub(super) fn add_splits(
        &mut self,
        (id, attempt): (TaskId, Attempt),
        found: (&[u16], bool),
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let (job, at) = (Arc::clone(&self.job), Self::moment(cx));
        let Some(task) = self.tasks.get_mut(&id).filter(|it| it.attempt == attempt) else {
            return;
        };
        let added = task.add_splits(found, &job, at);
        if let Some(owner) = self.reader(id, attempt).filter(|_| !added.is_empty()) {
            self.with_clients(cx, |it, job, cx| it.assign(owner, &added, job, cx));
        }
        dirty.insert(id);
    }

    /// Tells tasks what came of their clients, and consumers whether to poll; returns whether a task
    /// has something to do.
    pub(super) fn hear_clients(
        &mut self,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) -> bool {
        let Some(mut clients) = self.clients.take() else {
            return false;
        };
        let tasks = &self.tasks;
        clients.retain(|owner| {
            let task = tasks.get(&owner.task);
            task.is_some_and(|it| it.attempt == owner.attempt)
        });
        if !clients.has_outcomes() {
            let job = Arc::clone(&self.job);
            for (id, task) in &mut self.tasks {
                let (attempt, operator) = (task.attempt, task.chain.head());
                if let (Some(operator), Some(source)) = (operator, task.chain.source()) {
                    let owner = Owner {
                        task: *id,
                        attempt,
                        operator,
                    };
                    clients.tend(owner, source.fetched(), &job, cx);
                }
            }
        }
        let outcomes = clients.take_outcomes();
        self.clients = Some(clients);
        let any = !outcomes.is_empty();
        for (owner, outcome) in outcomes {
            self.hear(owner, outcome, io, dirty, cx);
        }
        any
    }

    fn hear(
        &mut self,
        owner: Owner,
        outcome: Outcome,
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let id = owner.task;
        let at = Self::moment(cx);
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if task.attempt != owner.attempt {
            return;
        }
        match outcome {
            Outcome::Fetched(records) => {
                if let Some(source) = task.chain.source() {
                    source.fetch(records);
                }
                dirty.insert(id);
            }
            Outcome::Places(places) => {
                if let Some(source) = task.chain.source() {
                    for (partition, offset, lag) in places {
                        source.place(partition, offset, lag);
                    }
                }
            }
            Outcome::Answered(request, answer) => {
                let done = task.answer(owner.operator, (request, &answer), at, io);
                self.carry((id, owner.attempt), io, dirty, cx);
                if let Err(failure) = done {
                    self.fail(id, failure, cx);
                }
                dirty.insert(id);
            }
            Outcome::Lost => self.fail(id, TaskFailure::Position, cx),
            Outcome::Failed { fenced } => {
                if fenced {
                    cx.note(Note::Rule {
                        rule: Rule::Fenced,
                        task: Some(id),
                        operator: Some(owner.operator),
                        before: 0,
                        after: -1,
                    });
                }
                self.fail(id, TaskFailure::Sink, cx);
            }
        }
    }
}
