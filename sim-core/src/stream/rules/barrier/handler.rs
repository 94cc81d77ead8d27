//! Aligned, unaligned, and aligned with a timeout: one checkpoint at a time.
//!
//! Follows `SingleCheckpointBarrierHandler` with its states (`WaitingForFirstBarrier`,
//! `CollectingBarriers`, and the four `Alternating…` ones). Aligned: a channel whose barrier came
//! is blocked until every channel has delivered it, then the snapshot is taken. Unaligned: the
//! snapshot is taken at the first barrier, and what arrives on the other channels ahead of theirs
//! becomes channel state. Alternating: aligned until the barrier is older than its timeout, then
//! unaligned; the next checkpoint starts aligned again. A newer barrier subsumes the pending
//! checkpoint, an older one is ignored.

use super::clock::AlignmentClock;
use super::{Action, Barrier, Declined, Inputs};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How checkpoints are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Mode {
    /// Always aligned.
    Aligned,
    /// Always unaligned.
    Unaligned,
    /// As each barrier says, and unaligned once its timeout has passed.
    Alternating,
}

/// Where the handler is in a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Phase {
    /// No barrier yet; aligned.
    First,
    /// Some barriers came; aligned.
    Collecting,
    /// No barrier yet, and unaligned from the start or since an announcement timed out.
    FirstUnaligned,
    /// The snapshot is taken, some barriers are missing.
    CollectingUnaligned,
}

/// The handler of one subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BarrierHandler {
    mode: Mode,
    phase: Phase,
    after_tasks_finish: bool,
    open: u32,
    /// The greatest checkpoint seen.
    current: i64,
    /// The greatest that was completed or given up.
    done: i64,
    pending: Option<Barrier>,
    aligned: BTreeSet<u32>,
    target: u32,
    blocked: BTreeSet<u32>,
    /// Barriers that are announced and still queued: their numbers, by channel.
    announced: BTreeMap<u32, u64>,
    /// When the current barrier's alignment is to be given up.
    timer: Option<(i64, Barrier)>,
    clock: AlignmentClock,
}

/// What one event is worked on with.
struct Turn<'a, I> {
    now_ms: i64,
    inputs: &'a mut I,
    out: &'a mut Vec<Action>,
}

impl BarrierHandler {
    /// A handler over this many open channels. `after_tasks_finish`: an input that ended is no
    /// longer waited for, instead of every checkpoint being declined.
    #[must_use]
    pub fn new(mode: Mode, channels: u32, after_tasks_finish: bool) -> Self {
        BarrierHandler {
            mode,
            phase: Self::initial(mode),
            after_tasks_finish,
            open: channels,
            current: -1,
            done: -1,
            pending: None,
            aligned: BTreeSet::new(),
            target: 0,
            blocked: BTreeSet::new(),
            announced: BTreeMap::new(),
            timer: None,
            clock: AlignmentClock::default(),
        }
    }

    fn initial(mode: Mode) -> Phase {
        match mode {
            Mode::Unaligned => Phase::FirstUnaligned,
            Mode::Aligned | Mode::Alternating => Phase::First,
        }
    }

    /// The greatest checkpoint id seen; -1 before any.
    #[must_use]
    pub fn latest_checkpoint(&self) -> i64 {
        self.current
    }

    /// Whether a checkpoint waits for barriers.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.current != self.done && self.current >= 0
    }

    /// Channels that have not ended.
    #[must_use]
    pub fn open_channels(&self) -> u32 {
        self.open
    }

    /// Channels blocked by their barrier.
    pub fn blocked(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocked.iter().copied()
    }

    /// When [`BarrierHandler::on_timer`] wants to be called, ms.
    #[must_use]
    pub fn timer_ms(&self) -> Option<i64> {
        self.timer.map(|(due, _)| due)
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
        inputs: &mut impl Inputs,
        out: &mut Vec<Action>,
    ) {
        let id = barrier.checkpoint;
        if self.current > id || (self.current == id && !self.is_pending()) {
            if !barrier.is_unaligned() {
                inputs.resume(channel);
            }
            return;
        }
        let mut turn = Turn {
            now_ms,
            inputs,
            out,
        };
        self.begin_if_new(barrier, &mut turn);
        self.mark(channel, barrier, now_ms);
        let met = self.barrier_received(channel, barrier, &mut turn);
        self.settle(met, &mut turn);
    }

    /// A barrier was announced: it is queued in the channel with this number.
    pub fn on_announcement(
        &mut self,
        channel: u32,
        barrier: Barrier,
        sequence: u64,
        now_ms: i64,
        inputs: &mut impl Inputs,
        out: &mut Vec<Action>,
    ) {
        let mut turn = Turn {
            now_ms,
            inputs,
            out,
        };
        self.begin_if_new(barrier, &mut turn);
        let id = barrier.checkpoint;
        if self.current > id || (self.current == id && !self.is_pending()) {
            return;
        }
        match (self.mode, self.phase) {
            (Mode::Aligned, _) => {}
            (_, Phase::First | Phase::Collecting) => {
                self.announced.insert(channel, sequence);
            }
            (_, Phase::FirstUnaligned | Phase::CollectingUnaligned) => {
                turn.inputs.prioritize(channel, sequence);
            }
        }
    }

    /// A cancellation marker was read: some subtask upstream gave the checkpoint up.
    pub fn on_cancel(
        &mut self,
        checkpoint: i64,
        now_ms: i64,
        inputs: &mut impl Inputs,
        out: &mut Vec<Action>,
    ) {
        let meets_current = checkpoint == self.current && !self.aligned.is_empty();
        if checkpoint > self.current || meets_current {
            let mut turn = Turn {
                now_ms,
                inputs,
                out,
            };
            self.abort(checkpoint, Declined::OnCancellationBarrier, &mut turn);
        }
    }

    /// A channel ended.
    pub fn on_end(
        &mut self,
        channel: u32,
        now_ms: i64,
        inputs: &mut impl Inputs,
        out: &mut Vec<Action>,
    ) {
        self.open = self.open.saturating_sub(1);
        if !self.is_pending() {
            return;
        }
        let mut turn = Turn {
            now_ms,
            inputs,
            out,
        };
        let Some(pending) = self.pending.filter(|_| self.after_tasks_finish) else {
            self.abort(self.current, Declined::InputEndOfStream, &mut turn);
            return;
        };
        self.mark(channel, pending, now_ms);
        let met = self.end_received(channel, pending, &mut turn);
        self.settle(met, &mut turn);
    }

    /// The moment of [`BarrierHandler::timer_ms`] has come.
    pub fn on_timer(&mut self, now_ms: i64, inputs: &mut impl Inputs, out: &mut Vec<Action>) {
        let Some((due, barrier)) = self.timer else {
            return;
        };
        if due > now_ms {
            return;
        }
        self.timer = None;
        if self.current != barrier.checkpoint || !self.is_pending() {
            return;
        }
        let mut turn = Turn {
            now_ms,
            inputs,
            out,
        };
        if let Err(reason) = self.timed_out(barrier, &mut turn) {
            self.abort(barrier.checkpoint, reason, &mut turn);
        }
    }

    /// The subtask stops: nothing times out any more.
    pub fn close(&mut self) {
        self.timer = None;
    }

    fn begin_if_new<I: Inputs>(&mut self, barrier: Barrier, turn: &mut Turn<'_, I>) {
        if self.current >= barrier.checkpoint {
            return;
        }
        if self.is_pending() {
            self.abort(self.current, Declined::Subsumed, turn);
        }
        self.current = barrier.checkpoint;
        self.pending = Some(barrier);
        self.aligned.clear();
        self.target = self.open;
        if let (Mode::Alternating, Some(timeout_ms)) = (self.mode, barrier.timeout_ms()) {
            let due = barrier.created_ms.saturating_add(timeout_ms);
            self.timer = Some((due.max(turn.now_ms), barrier));
        }
    }

    fn all_received(&self) -> bool {
        u32::try_from(self.aligned.len()).is_ok_and(|it| it == self.target)
    }

    /// Counts a channel's barrier, or its end in place of one, and measures.
    fn mark(&mut self, channel: u32, barrier: Barrier, now_ms: i64) {
        self.aligned.insert(channel);
        if self.aligned.len() == 1 {
            self.clock
                .begin(barrier.checkpoint, barrier.created_ms, now_ms);
        }
        if self.all_received() {
            self.clock.end(now_ms);
        }
    }

    /// What follows a barrier or an end: a checkpoint that could not begin is given up, one whose
    /// last barrier came is done.
    fn settle<I: Inputs>(&mut self, met: Result<(), Declined>, turn: &mut Turn<'_, I>) {
        if let Err(reason) = met {
            self.abort(self.current, reason, turn);
        }
        if self.target > 0 && self.all_received() {
            let checkpoint = self.current;
            self.aligned.clear();
            self.done = checkpoint;
            self.timer = None;
            let (alignment_ms, bytes) = self.clock.measured(checkpoint);
            turn.out.push(Action::AllBarriersReceived {
                checkpoint,
                alignment_ms,
                bytes,
            });
        }
    }

    fn trigger<I: Inputs>(&mut self, barrier: Barrier, turn: &mut Turn<'_, I>) {
        turn.out.push(Action::Trigger {
            barrier,
            start_delay_ms: self.clock.start_delay_ms(barrier.checkpoint),
        });
    }

    fn block<I: Inputs>(&mut self, channel: u32, turn: &mut Turn<'_, I>) {
        turn.inputs.block(channel);
        self.blocked.insert(channel);
    }

    fn has_timed_out(&self, barrier: &Barrier, now_ms: i64) -> bool {
        let age = now_ms.saturating_sub(barrier.created_ms);
        let timeout = barrier.timeout_ms().filter(|timeout| *timeout < age);
        self.mode == Mode::Alternating && timeout.is_some()
    }

    fn barrier_received<I: Inputs>(
        &mut self,
        channel: u32,
        barrier: Barrier,
        turn: &mut Turn<'_, I>,
    ) -> Result<(), Declined> {
        match self.phase {
            Phase::First | Phase::Collecting => {
                if barrier.is_unaligned() && self.mode != Mode::Aligned {
                    // A subtask upstream gave the alignment up before this one did.
                    self.timed_out(barrier, turn)?;
                    return self.barrier_received(channel, barrier, turn);
                }
                self.announced.remove(&channel);
                self.block(channel, turn);
                if self.all_received() {
                    self.trigger(barrier, turn);
                    self.finish(turn);
                } else if self.has_timed_out(&barrier, turn.now_ms) {
                    self.timed_out(barrier, turn)?;
                    return self.barrier_received(channel, barrier.as_unaligned(), turn);
                } else {
                    self.phase = Phase::Collecting;
                }
            }
            Phase::FirstUnaligned => {
                if !barrier.is_unaligned() {
                    self.block(channel, turn);
                }
                self.trigger_unaligned(barrier, turn)?;
                match self.all_received() {
                    true => {
                        turn.inputs.stop(barrier.checkpoint);
                        self.finish(turn);
                    }
                    false => self.phase = Phase::CollectingUnaligned,
                }
            }
            Phase::CollectingUnaligned => {
                // An aligned barrier holds its channel by credit; it is freed with the last one.
                if !barrier.is_unaligned() {
                    self.block(channel, turn);
                }
                if self.all_received() {
                    turn.inputs.stop(barrier.checkpoint);
                    self.finish(turn);
                }
            }
        }
        Ok(())
    }

    fn end_received<I: Inputs>(
        &mut self,
        channel: u32,
        pending: Barrier,
        turn: &mut Turn<'_, I>,
    ) -> Result<(), Declined> {
        self.blocked.remove(&channel);
        self.announced.remove(&channel);
        match self.phase {
            Phase::First | Phase::FirstUnaligned => {}
            Phase::Collecting => {
                if self.all_received() {
                    self.trigger(pending, turn);
                    self.finish(turn);
                } else if self.has_timed_out(&pending, turn.now_ms) {
                    self.timed_out(pending, turn)?;
                }
            }
            Phase::CollectingUnaligned => {
                if self.all_received() {
                    turn.inputs.stop(pending.checkpoint);
                    self.finish(turn);
                }
            }
        }
        Ok(())
    }

    /// The alignment is given up: announced barriers overtake, and the snapshot is taken if a
    /// barrier has already been read.
    fn timed_out<I: Inputs>(
        &mut self,
        barrier: Barrier,
        turn: &mut Turn<'_, I>,
    ) -> Result<(), Declined> {
        if matches!(
            self.phase,
            Phase::FirstUnaligned | Phase::CollectingUnaligned
        ) {
            return Ok(());
        }
        for (channel, sequence) in std::mem::take(&mut self.announced) {
            turn.inputs.prioritize(channel, sequence);
        }
        if self.phase == Phase::First {
            self.phase = Phase::FirstUnaligned;
            return Ok(());
        }
        self.trigger_unaligned(barrier, turn)?;
        self.phase = Phase::CollectingUnaligned;
        Ok(())
    }

    fn trigger_unaligned<I: Inputs>(
        &mut self,
        barrier: Barrier,
        turn: &mut Turn<'_, I>,
    ) -> Result<(), Declined> {
        let unaligned = barrier.as_unaligned();
        turn.inputs.start(&unaligned)?;
        self.trigger(unaligned, turn);
        Ok(())
    }

    /// Frees all channels, and waits for the next checkpoint.
    fn finish<I: Inputs>(&mut self, turn: &mut Turn<'_, I>) {
        for channel in std::mem::take(&mut self.blocked) {
            turn.inputs.resume(channel);
        }
        self.announced.clear();
        self.phase = Self::initial(self.mode);
    }

    fn abort<I: Inputs>(&mut self, checkpoint: i64, reason: Declined, turn: &mut Turn<'_, I>) {
        // With the id taken and no channel counted, no barrier of it begins an alignment again.
        self.current = self.current.max(checkpoint);
        self.done = self.done.max(checkpoint);
        self.pending = None;
        self.aligned.clear();
        self.target = 0;
        self.timer = None;
        if self.phase == Phase::CollectingUnaligned {
            turn.inputs.stop(checkpoint);
        }
        self.finish(turn);
        if checkpoint == self.current {
            self.clock.reset();
        }
        turn.out.push(Action::Abort { checkpoint, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Alignment;
    use super::*;

    /// Inputs that only remember what is blocked and what is stored for.
    #[derive(Default)]
    struct Plain {
        blocked: BTreeSet<u32>,
        storing: Option<i64>,
        overtaken: Vec<(u32, u64)>,
        newest: i64,
    }

    impl Inputs for Plain {
        fn block(&mut self, channel: u32) {
            self.blocked.insert(channel);
        }
        fn resume(&mut self, channel: u32) {
            self.blocked.remove(&channel);
        }
        fn start(&mut self, barrier: &Barrier) -> Result<(), Declined> {
            if barrier.checkpoint < self.newest {
                return Err(Declined::NewerBarrierReceived);
            }
            self.storing = Some(barrier.checkpoint);
            Ok(())
        }
        fn stop(&mut self, _: i64) {
            self.storing = None;
        }
        fn prioritize(&mut self, channel: u32, sequence: u64) {
            self.overtaken.push((channel, sequence));
        }
    }

    fn barrier(checkpoint: i64, alignment: Alignment) -> Barrier {
        Barrier {
            checkpoint,
            created_ms: 0,
            alignment,
            savepoint: false,
        }
    }

    const WITHIN: Alignment = Alignment::AlignedWithTimeout { timeout_ms: 100 };

    #[test]
    fn a_blocked_channel_is_freed_with_the_last_barrier() {
        let mut handler = BarrierHandler::new(Mode::Aligned, 2, true);
        let (mut inputs, mut out) = (Plain::default(), Vec::new());
        let one = barrier(1, Alignment::Aligned);
        handler.on_barrier(0, one, 5, &mut inputs, &mut out);
        assert!(out.is_empty() && inputs.blocked.contains(&0));
        handler.on_buffer(70);
        handler.on_barrier(1, one, 9, &mut inputs, &mut out);
        assert!(inputs.blocked.is_empty());
        let expected = [
            Action::Trigger {
                barrier: one,
                start_delay_ms: 5,
            },
            Action::AllBarriersReceived {
                checkpoint: 1,
                alignment_ms: 4,
                bytes: 70,
            },
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn an_alignment_that_lasts_too_long_is_given_up() {
        let mut handler = BarrierHandler::new(Mode::Alternating, 3, true);
        let (mut inputs, mut out) = (Plain::default(), Vec::new());
        let one = barrier(1, WITHIN);
        handler.on_announcement(2, one, 7, 0, &mut inputs, &mut out);
        handler.on_barrier(0, one, 50, &mut inputs, &mut out);
        assert_eq!(handler.timer_ms(), Some(100));
        handler.on_timer(99, &mut inputs, &mut out);
        assert!(out.is_empty());
        handler.on_timer(100, &mut inputs, &mut out);
        assert!(matches!(out[..], [Action::Trigger { barrier, .. }] if barrier.is_unaligned()));
        assert_eq!(inputs.storing, Some(1));
        assert_eq!(inputs.overtaken, [(2, 7)]);
        // What is announced later overtakes at once.
        handler.on_announcement(1, one, 3, 101, &mut inputs, &mut out);
        assert_eq!(inputs.overtaken, [(2, 7), (1, 3)]);
        handler.on_barrier(1, one, 101, &mut inputs, &mut out);
        handler.on_barrier(2, one, 102, &mut inputs, &mut out);
        assert!(inputs.storing.is_none() && inputs.blocked.is_empty());
        assert_eq!(out.len(), 2, "{out:?}");
        // The next begins aligned again.
        let mut two = barrier(2, WITHIN);
        two.created_ms = 102;
        handler.on_barrier(0, two, 103, &mut inputs, &mut out);
        assert!(inputs.storing.is_none() && inputs.blocked.contains(&0));
    }

    #[test]
    fn a_checkpoint_that_cannot_begin_is_declined() {
        let mut handler = BarrierHandler::new(Mode::Unaligned, 2, true);
        let mut inputs = Plain {
            newest: 2,
            ..Plain::default()
        };
        let mut out = Vec::new();
        let one = barrier(1, Alignment::Unaligned);
        handler.on_barrier(0, one, 0, &mut inputs, &mut out);
        let expected = Action::Abort {
            checkpoint: 1,
            reason: Declined::NewerBarrierReceived,
        };
        assert_eq!(out, [expected]);
        assert!(!handler.is_pending());
    }
}
