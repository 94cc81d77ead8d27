//! The application of a group's member: it works on the records that `poll()` returned, one after
//! the other, and commits.
//!
//! Not in Kafka: this is the code around `poll()` that everybody writes. It commits before its work
//! (at most once), after it (at least once), or leaves it to `enable.auto.commit`. While it works
//! it does not poll, which is what `max.poll.interval.ms` is about.

use super::Consumer;
use super::group::{Committer, Membership};
use crate::kafka::client::NEVER;
use crate::kafka::config::CommitMode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Note;
use crate::kernel::{MICROSECOND, Nanos};
use crate::log::RecordId;
use serde::Serialize;
use std::collections::VecDeque;

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
    /// Whether it may poll.
    pub(super) fn is_idle(&self) -> bool {
        self.step == Step::Idle && self.queue.is_empty()
    }

    /// When something of it is due.
    pub(super) fn deadline(&self) -> Nanos {
        match self.step {
            Step::Works => self.done_at,
            _ => NEVER,
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
        self.queue.len()
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

    /// They are.
    pub(super) fn go_on(&mut self) {
        self.step = Step::Idle;
    }

    /// A crash takes it all.
    pub(super) fn crash(&mut self) {
        self.queue.clear();
        self.step = Step::Idle;
    }
}

impl Consumer {
    /// What a record takes, ns.
    pub(super) fn cost(&self) -> Nanos {
        u64::try_from(self.config.processing_us)
            .unwrap_or(0)
            .saturating_mul(MICROSECOND)
    }

    /// `poll()` returned records.
    pub(super) fn begin_work(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if self.config.commit == CommitMode::Before {
            self.work.step = Step::CommitsFirst;
            let offsets = self.consumed(member);
            self.commit(member, offsets, Committer::Application, cx);
        } else {
            self.work.step = Step::Works;
        }
        self.work.done_at = cx.now().saturating_add(self.cost());
        self.work(member, cx);
    }

    /// Goes on working: what is done is done, one record at a time.
    pub(super) fn work(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if self.work.step == Step::CommitsFirst {
            self.retry_commit(member, cx);
        }
        let cost = self.cost();
        while self.work.step == Step::Works && self.work.done_at <= cx.now() {
            let Some((record, tp, offset)) = self.work.queue.pop_front() else {
                self.end_work(member, cx);
                return;
            };
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
            if self.work.queue.is_empty() {
                self.end_work(member, cx);
                return;
            }
            // A process that stood still goes on from now.
            self.work.done_at = cx.now().saturating_add(cost);
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
