//! At least once: barriers are counted, no channel is ever held.
//!
//! Follows `CheckpointBarrierTracker`. Several checkpoints may be pending; the snapshot is taken
//! when the last barrier of one has come, and completes it before those that are older. Records
//! that came behind a barrier on a fast channel are in the snapshot and will be replayed, so they
//! count twice after a recovery. With one channel there is nothing to wait for, and at least once
//! is exactly once.

use super::clock::AlignmentClock;
use super::{Action, Barrier, Declined};
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};

/// So many checkpoints may be pending; the oldest is forgotten beyond.
pub const MAX_CHECKPOINTS_TO_TRACK: usize = 50;

/// A checkpoint some of whose barriers have come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Pending {
    checkpoint: i64,
    /// `None` where a cancellation came first.
    barrier: Option<Barrier>,
    aligned: BTreeSet<u32>,
    target: u32,
    aborted: bool,
}

impl Pending {
    /// Counts a channel; whether it was the last one.
    fn mark(&mut self, channel: u32) -> bool {
        self.aligned.insert(channel);
        u32::try_from(self.aligned.len()).is_ok_and(|it| it == self.target)
    }
}

/// The tracker of one subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BarrierTracker {
    after_tasks_finish: bool,
    open: u32,
    /// Oldest first.
    pending: VecDeque<Pending>,
    /// The greatest checkpoint that was ever pending.
    latest: i64,
    clock: AlignmentClock,
}

impl BarrierTracker {
    /// A tracker over this many open channels. `after_tasks_finish`: an input that ended is no
    /// longer waited for, instead of every checkpoint being declined.
    #[must_use]
    pub fn new(channels: u32, after_tasks_finish: bool) -> Self {
        BarrierTracker {
            after_tasks_finish,
            open: channels,
            pending: VecDeque::new(),
            latest: -1,
            clock: AlignmentClock::default(),
        }
    }

    /// The newest pending checkpoint; -1 without one.
    #[must_use]
    pub fn latest_checkpoint(&self) -> i64 {
        self.pending.back().map_or(-1, |it| it.checkpoint)
    }

    /// Whether a checkpoint waits for barriers.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The checkpoints that wait for barriers, oldest first.
    pub fn pending_checkpoints(&self) -> impl Iterator<Item = i64> + '_ {
        self.pending.iter().map(|it| it.checkpoint)
    }

    /// Channels that have not ended.
    #[must_use]
    pub fn open_channels(&self) -> u32 {
        self.open
    }

    /// How long alignments take.
    #[must_use]
    pub fn clock(&self) -> &AlignmentClock {
        &self.clock
    }

    /// A buffer of this many bytes was processed.
    pub fn on_buffer(&mut self, bytes: u32) {
        self.clock.processed(bytes);
    }

    /// A barrier was read from a channel.
    pub fn on_barrier(
        &mut self,
        channel: u32,
        barrier: Barrier,
        now_ms: i64,
        out: &mut Vec<Action>,
    ) {
        let id = barrier.checkpoint;
        if id > self.latest && self.open == 1 {
            self.clock.begin(id, barrier.created_ms, now_ms);
            self.clock.end(now_ms);
            self.trigger(barrier, out);
            return;
        }
        if let Some(at) = self.pending.iter().position(|it| it.checkpoint == id) {
            if self.pending[at].mark(channel) {
                self.complete(at, now_ms, out);
            }
        } else if id > self.latest {
            self.clock.begin(id, barrier.created_ms, now_ms);
            self.latest = id;
            self.pending.push_back(Pending {
                checkpoint: id,
                barrier: Some(barrier),
                aligned: BTreeSet::from([channel]),
                target: self.open,
                aborted: false,
            });
            if self.pending.len() > MAX_CHECKPOINTS_TO_TRACK {
                self.pending.pop_front();
            }
        }
    }

    /// A cancellation marker was read. Older checkpoints are given up with this one, each once.
    pub fn on_cancel(&mut self, channel: u32, checkpoint: i64, out: &mut Vec<Action>) {
        let declined = |checkpoint| Action::Abort {
            checkpoint,
            reason: Declined::OnCancellationBarrier,
        };
        if checkpoint > self.latest && self.open == 1 {
            self.clock.reset();
            out.push(declined(checkpoint));
            return;
        }
        while let Some(older) = self.pending.front()
            && older.checkpoint < checkpoint
        {
            if !older.aborted {
                out.push(declined(older.checkpoint));
            }
            self.pending.pop_front();
        }
        match self.pending.front_mut() {
            Some(it) if it.checkpoint == checkpoint => {
                if !it.aborted {
                    it.aborted = true;
                    out.push(declined(checkpoint));
                }
                if it.mark(channel) {
                    self.pending.pop_front();
                }
            }
            _ if checkpoint > self.latest => {
                out.push(declined(checkpoint));
                self.latest = checkpoint;
                self.pending.push_front(Pending {
                    checkpoint,
                    barrier: None,
                    aligned: BTreeSet::from([channel]),
                    target: self.open,
                    aborted: true,
                });
            }
            _ => {}
        }
    }

    /// A channel ended.
    pub fn on_end(&mut self, channel: u32, now_ms: i64, out: &mut Vec<Action>) {
        self.open = self.open.saturating_sub(1);
        if self.after_tasks_finish {
            // The newest checkpoint that waited for this channel alone.
            let last = self.pending.iter_mut().rposition(|it| it.mark(channel));
            if let Some(at) = last {
                self.complete(at, now_ms, out);
            }
            return;
        }
        for it in std::mem::take(&mut self.pending) {
            if !it.aborted {
                out.push(Action::Abort {
                    checkpoint: it.checkpoint,
                    reason: Declined::InputEndOfStream,
                });
            }
        }
        self.clock.reset();
    }

    /// All barriers of the checkpoint at `at` have come; older ones are subsumed.
    fn complete(&mut self, at: usize, now_ms: i64, out: &mut Vec<Action>) {
        let Some(done) = self.pending.drain(..=at).next_back() else {
            return;
        };
        if let Some(barrier) = done.barrier.filter(|_| !done.aborted) {
            if done.checkpoint == self.latest {
                self.clock.end(now_ms);
            }
            self.trigger(barrier, out);
        }
    }

    fn trigger(&mut self, barrier: Barrier, out: &mut Vec<Action>) {
        let checkpoint = barrier.checkpoint;
        let (alignment_ms, bytes) = self.clock.measured(checkpoint);
        out.push(Action::Trigger {
            barrier,
            start_delay_ms: self.clock.start_delay_ms(checkpoint),
        });
        out.push(Action::AllBarriersReceived {
            checkpoint,
            alignment_ms,
            bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Alignment;
    use super::*;

    fn barrier(checkpoint: i64) -> Barrier {
        Barrier {
            checkpoint,
            created_ms: 0,
            alignment: Alignment::Aligned,
            savepoint: false,
        }
    }

    #[test]
    fn a_slow_channel_still_completes_an_older_checkpoint() {
        let mut tracker = BarrierTracker::new(2, true);
        let mut out = Vec::new();
        for (checkpoint, channel) in [(1, 0), (2, 0), (1, 1), (2, 1)] {
            tracker.on_barrier(channel, barrier(checkpoint), 0, &mut out);
        }
        let taken = out.iter().filter_map(|it| match it {
            Action::Trigger { barrier, .. } => Some(barrier.checkpoint),
            _ => None,
        });
        assert_eq!(taken.collect::<Vec<_>>(), [1, 2]);
        assert!(!tracker.is_pending());
    }

    #[test]
    fn no_more_than_fifty_checkpoints_are_pending() {
        let mut tracker = BarrierTracker::new(2, true);
        let mut out = Vec::new();
        for checkpoint in 0..=50 {
            tracker.on_barrier(0, barrier(checkpoint), 0, &mut out);
        }
        assert_eq!(tracker.pending_checkpoints().count(), 50);
        tracker.on_barrier(1, barrier(0), 0, &mut out);
        assert!(out.is_empty(), "the first is forgotten");
        tracker.on_barrier(1, barrier(1), 0, &mut out);
        assert_eq!(out.len(), 2);
    }
}
