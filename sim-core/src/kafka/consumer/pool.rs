//! Workers: the application hands what `poll()` returned to threads of its own and polls on.
//!
//! Not in Kafka: this is what many write around a consumer, by hand or by a library such as the
//! Confluent Parallel Consumer, whose "highest sequential offset" is [`CommitOffset::Contiguous`]
//! here. Records are done in another order than they were read in, and a commit is one number for
//! each partition: all before it counts as done. So what may be committed is the run of finished
//! records without a gap. Whoever commits after the highest finished one passes over those that are
//! still at work, and a crash loses them.
//!
//! The loop polls as soon as a worker has taken the last record, and commits what is finished
//! before that, and when all workers are free. Left out: order by key, and stopping the workers
//! when a partition is taken away (what they have they finish; its new owner does it again).

use super::Consumer;
use super::group::{Committer, Membership};
use super::work::Task;
use crate::kafka::client::NEVER;
use crate::kafka::config::{CommitMode, CommitOffset, ConsumerConfig};
use crate::kafka::group_protocol::CommittedOffset;
use crate::kafka::node::KafkaCx;
use crate::kernel::Nanos;
use serde::Serialize;
use std::collections::BTreeMap;

/// The workers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Pool {
    /// How many.
    workers: u32,
    /// What those who are busy work on, and until when, ns; in the order in which they began.
    running: Vec<(Nanos, Task)>,
    /// By partition, the offset after the highest finished one.
    highest: BTreeMap<u16, i64>,
    /// Something was finished since the last commit.
    finished: bool,
    /// All that was polled is with the workers: time to commit, and to poll again.
    handed: bool,
}

impl Pool {
    /// The workers of an application; none if it works by itself.
    pub(super) fn of(config: &ConsumerConfig) -> Option<Box<Self>> {
        (config.workers > 1).then(|| {
            Box::new(Pool {
                workers: config.workers,
                ..Pool::default()
            })
        })
    }

    /// When the next worker is done.
    pub(super) fn deadline(&self) -> Nanos {
        let all = self.running.iter().map(|(at, _)| *at);
        all.min().unwrap_or(NEVER)
    }

    /// Records at work.
    pub(super) fn busy(&self) -> usize {
        self.running.len()
    }

    pub(super) fn has_room(&self) -> bool {
        u32::try_from(self.running.len()).is_ok_and(|busy| busy < self.workers)
    }

    pub(super) fn start(&mut self, until: Nanos, task: Task) {
        self.running.push((until, task));
    }

    /// The polled records are all with the workers.
    pub(super) fn handed_all(&mut self) {
        self.handed = true;
    }

    /// What is done by now, in the order in which it was done.
    pub(super) fn take_done(&mut self, now: Nanos) -> Vec<Task> {
        let mut done: Vec<(Nanos, Task)> = Vec::new();
        self.running.retain(|it| {
            let due = it.0 <= now;
            if due {
                done.push(*it);
            }
            !due
        });
        done.sort_by_key(|(at, _)| *at);
        for (_, (_, tp, offset)) in &done {
            self.finished = true;
            let highest = self.highest.entry(tp.partition).or_default();
            *highest = (*highest).max(*offset + 1);
        }
        done.into_iter().map(|(_, task)| task).collect()
    }

    /// The partition is not this member's any more.
    pub(super) fn given_up(&mut self, partition: u16) {
        self.highest.remove(&partition);
    }

    /// A crash ends them all.
    pub(super) fn crash(&mut self) {
        *self = Pool {
            workers: self.workers,
            ..Pool::default()
        };
    }

    /// Whether the loop is to commit now.
    fn commits_now(&self) -> bool {
        self.finished && (self.handed || self.running.is_empty())
    }

    /// What may be said of a partition whose position is given, with what waits for a worker.
    fn offset(
        &self,
        by: CommitOffset,
        waiting: impl Iterator<Item = Task>,
        partition: u16,
        position: i64,
    ) -> Option<i64> {
        match by {
            CommitOffset::Highest => self.highest.get(&partition).copied(),
            CommitOffset::Contiguous => {
                let unfinished = self.running.iter().map(|(_, task)| *task).chain(waiting);
                let own = unfinished.filter(|(_, tp, _)| tp.partition == partition);
                let first = own.map(|(.., offset)| offset).min();
                Some(first.unwrap_or(position).min(position))
            }
        }
    }
}

impl Consumer {
    /// Commits what the workers have finished, if it is time to. Before the loop polls.
    pub(super) fn commit_finished(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let due = |pool: &&mut Box<Pool>| pool.commits_now();
        let Some(pool) = self.work.pool.as_mut().filter(due) else {
            return;
        };
        let who = match self.config.commit {
            CommitMode::Sync => Committer::Application,
            CommitMode::Async => Committer::Nobody,
            CommitMode::None | CommitMode::Before => return,
        };
        (pool.finished, pool.handed) = (false, false);
        let offsets = self.finished_offsets(member);
        if !offsets.is_empty() {
            self.commit(member, offsets, who, cx);
        }
    }

    fn finished_offsets(&self, member: &Membership) -> Vec<CommittedOffset> {
        let Some(pool) = &self.work.pool else {
            return Vec::new();
        };
        let by = self.config.commit_offset;
        let all = self.consumed(member).into_iter().filter_map(|it| {
            let waiting = self.work.queued();
            let offset = pool.offset(by, waiting, it.tp.partition, it.offset)?;
            // `new OffsetAndMetadata(offset)`: the epoch is known of the position alone.
            let leader_epoch = match offset == it.offset {
                true => it.leader_epoch,
                false => -1,
            };
            Some(CommittedOffset {
                offset,
                leader_epoch,
                ..it
            })
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::{TopicId, TopicPartition};
    use crate::log::RecordId;

    fn task(partition: u16, offset: i64) -> Task {
        let topic = TopicId(0);
        let tp = TopicPartition { topic, partition };
        (RecordId(0), tp, offset)
    }

    /// Four workers on offsets 10 to 13 of partition 0 and 5 of partition 1; 14 waits. Those due by
    /// `now` are finished.
    #[test]
    fn what_may_be_committed_while_some_are_at_work() {
        let check = |now: Nanos, by: CommitOffset, expected: [Option<i64>; 2]| {
            let mut pool = Pool::default();
            for (at, offset) in [(40, 10), (10, 11), (30, 12), (20, 13)] {
                pool.start(at, task(0, offset));
            }
            pool.start(15, task(1, 5));
            pool.take_done(now);
            let waits = || [task(0, 14)].into_iter();
            let found = [(0, 15), (1, 6)].map(|(p, at)| pool.offset(by, waits(), p, at));
            assert_eq!(found, expected, "{now} {by:?}");
        };
        check(5, CommitOffset::Highest, [None, None]);
        check(10, CommitOffset::Highest, [Some(12), None]);
        check(30, CommitOffset::Highest, [Some(14), Some(6)]);
        check(40, CommitOffset::Highest, [Some(14), Some(6)]);
        check(5, CommitOffset::Contiguous, [Some(10), Some(5)]);
        check(15, CommitOffset::Contiguous, [Some(10), Some(6)]);
        check(30, CommitOffset::Contiguous, [Some(10), Some(6)]);
        check(40, CommitOffset::Contiguous, [Some(14), Some(6)]);
    }

    #[test]
    fn what_was_of_an_earlier_ownership_moves_nothing_forward() {
        let mut pool = Pool::default();
        pool.start(10, task(0, 90));
        // Lost, and got back at 60: the old record may not carry the commit over 60 to 89.
        let none = || std::iter::empty();
        let by = CommitOffset::Contiguous;
        assert_eq!(pool.offset(by, none(), 0, 60), Some(60));
        pool.take_done(10);
        pool.given_up(0);
        assert_eq!(pool.offset(CommitOffset::Highest, none(), 0, 60), None);
    }
}
