//! The application of a group's member: it works on the records that `poll()` returned, one after
//! the other, and commits.
//!
//! Not in Kafka: this is the code around `poll()` that everybody writes. It commits before its work
//! (at most once), after it (at least once), or leaves it to `enable.auto.commit`. While it works
//! it does not poll, which is what `max.poll.interval.ms` is about. With workers of its own it hands
//! the records to them: see [`super::pool`].

use super::Consumer;
use super::group::{Committer, Membership};
use super::pool::Pool;
use crate::kafka::client::NEVER;
use crate::kafka::config::{CommitMode, ConsumerConfig};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Note;
use crate::kernel::{MICROSECOND, Nanos, Purpose, below};
use crate::log::RecordId;
use serde::Serialize;
use std::collections::VecDeque;

const COST: Purpose = Purpose::named("consumer.processing");

/// A record to work on.
pub(super) type Task = (RecordId, TopicPartition, i64);

/// What the application is at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Work {
    /// Returned by `poll()` and not done yet.
    queue: VecDeque<Task>,
    /// When the first of them is done, ns.
    done_at: Nanos,
    step: Step,
    /// Records done so far, repetitions counted.
    done: u64,
    /// Those who work, if it is not the loop itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<Box<Pool>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
enum Step {
    /// Between two polls, or in one.
    #[default]
    Idle,
    /// Waits for the commit that comes before the work.
    CommitsFirst,
    /// At work.
    Works,
    /// Waits until the outputs of its work are written.
    Publishes,
}

impl Work {
    /// Of an application with these settings.
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Work {
            pool: Pool::of(config),
            ..Work::default()
        }
    }

    /// What waits for a worker.
    pub(super) fn queued(&self) -> impl Iterator<Item = Task> + '_ {
        self.queue.iter().copied()
    }

    /// Whether it may poll.
    pub(super) fn is_idle(&self) -> bool {
        self.step == Step::Idle && self.queue.is_empty()
    }

    /// When something of it is due.
    pub(super) fn deadline(&self) -> Nanos {
        match self.step {
            Step::Works => self.done_at,
            _ => self.pool.as_ref().map_or(NEVER, |it| it.deadline()),
        }
    }

    /// `poll()` returned a record.
    pub(super) fn take(&mut self, task: Task) {
        self.queue.push_back(task);
    }

    /// Records done so far.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Records returned by `poll()` and not done yet.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.pool.as_ref().map_or(0, |it| it.busy())
    }

    /// A partition is not this member's any more.
    pub(super) fn given_up(&mut self, partition: u16) {
        if let Some(pool) = &mut self.pool {
            pool.given_up(partition);
        }
    }

    /// `commitSync()` returned, or threw. What was to be worked on after a commit that failed is
    /// dropped: the exception ends that round of the loop.
    pub(super) fn commit_returned(&mut self, done: bool, done_at: Nanos) {
        if self.step != Step::CommitsFirst {
            return;
        }
        if done {
            self.step = Step::Works;
            self.done_at = done_at;
        } else {
            self.step = Step::Idle;
            self.queue.clear();
        }
    }

    /// No record was ever worked on.
    pub(super) fn is_unused(&self) -> bool {
        *self == Work::default()
    }

    /// It waits until the outputs of its work are written.
    pub(super) fn awaits_outputs(&self) -> bool {
        self.step == Step::Publishes
    }

    /// The rest of the work is left.
    pub(super) fn abandon(&mut self) {
        self.queue.clear();
        self.step = Step::Publishes;
    }

    /// They are.
    pub(super) fn go_on(&mut self) {
        self.step = Step::Idle;
    }

    /// A crash takes it all.
    pub(super) fn crash(&mut self) {
        self.queue.clear();
        self.step = Step::Idle;
        if let Some(pool) = &mut self.pool {
            pool.crash();
        }
    }
}

impl Consumer {
    /// What a record takes, ns: the same for every member that gets it, but for the spread.
    pub(super) fn cost_of(&self, tp: TopicPartition, offset: i64, cx: &KafkaCx<'_>) -> Nanos {
        let config = &self.config;
        let every = i64::from(config.slow_every);
        let us = match every > 0 && offset > 0 && offset % every == 0 {
            true => config.slow_us,
            false => config.processing_us,
        };
        let cost = u64::try_from(us).unwrap_or(0).saturating_mul(MICROSECOND);
        let spread = u64::from(config.processing_spread_percent);
        if spread == 0 {
            return cost;
        }
        let span = cost / 100 * spread;
        let place = u64::from(tp.partition) << 48 ^ offset.unsigned_abs();
        let more = below(
            cx.draw(COST, place),
            span.saturating_mul(2).saturating_add(1),
        );
        cost.saturating_sub(span).saturating_add(more)
    }

    /// What the next record takes, ns.
    pub(super) fn next_cost(&self, cx: &KafkaCx<'_>) -> Nanos {
        let next = self.work.queue.front();
        next.map_or(0, |(_, tp, offset)| self.cost_of(*tp, *offset, cx))
    }

    /// `poll()` returned records.
    pub(super) fn begin_work(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        self.remember_offsets(member);
        if self.work.pool.is_some() {
            self.hand_to_workers(member, cx);
            return;
        }
        if self.config.commit == CommitMode::Before {
            self.work.step = Step::CommitsFirst;
            let offsets = self.consumed(member);
            self.commit(member, offsets, Committer::Application, cx);
        } else {
            self.work.step = Step::Works;
        }
        self.work.done_at = cx.now().saturating_add(self.next_cost(cx));
        self.work(member, cx);
    }

    /// What the workers have finished is done, and who is free takes the next record.
    fn hand_to_workers(&mut self, member: &Membership, cx: &mut KafkaCx<'_>) {
        let Some(mut pool) = self.work.pool.take() else {
            return;
        };
        loop {
            for task in pool.take_done(cx.now()) {
                self.finish(task, member, cx);
            }
            while pool.has_room() {
                let until = cx.now().saturating_add(self.next_cost(cx));
                let Some(task) = self.work.queue.pop_front() else {
                    break;
                };
                pool.start(until, task);
                if self.work.queue.is_empty() {
                    pool.handed_all();
                }
            }
            if pool.deadline() > cx.now() {
                break;
            }
        }
        self.work.pool = Some(pool);
    }

    /// A record is done.
    fn finish(&mut self, (record, tp, offset): Task, member: &Membership, cx: &mut KafkaCx<'_>) {
        self.work.done += 1;
        if let Some(outputs) = &mut self.outputs {
            outputs.made();
        }
        let node = cx.me();
        cx.note(Note::Processed {
            node,
            record,
            tp,
            offset,
            group: std::sync::Arc::clone(&member.group),
        });
    }

    /// Goes on working: what is done is done, one record at a time.
    pub(super) fn work(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if self.work.step == Step::CommitsFirst {
            self.retry_commit(member, cx);
        }
        if self.work.pool.is_some() {
            self.hand_to_workers(member, cx);
            return;
        }
        while self.work.step == Step::Works && self.work.done_at <= cx.now() {
            let Some(task) = self.work.queue.pop_front() else {
                self.end_work(member, cx);
                return;
            };
            self.finish(task, member, cx);
            if self.work.queue.is_empty() {
                self.end_work(member, cx);
                return;
            }
            // A process that stood still goes on from now.
            self.work.done_at = cx.now().saturating_add(self.next_cost(cx));
        }
    }

    fn end_work(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if self.publishes() {
            self.work.step = Step::Publishes;
            return;
        }
        self.work.step = Step::Idle;
        let who = match self.config.commit {
            CommitMode::Sync => Committer::Application,
            CommitMode::Async => Committer::Nobody,
            CommitMode::None | CommitMode::Before => return,
        };
        let offsets = self.consumed(member);
        if !offsets.is_empty() {
            self.commit(member, offsets, who, cx);
        }
    }
}
