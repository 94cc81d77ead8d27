//! The input of a subtask: all its channels, and the handler of their barriers.
//!
//! Follows `CheckpointedInputGate` over `SingleInputGate`. Channels with something to read are read
//! in turn; one whose next item overtook something comes first; a blocked one is passed over.

use super::channel::{InputChannel, Item, Persisted};
use super::handler::{BarrierHandler, Mode};
use super::tracker::BarrierTracker;
use super::{Action, Barrier, Declined, Inputs};
use serde::Serialize;
use std::collections::VecDeque;

/// Who keeps track of the barriers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Barriers {
    /// One checkpoint at a time: exactly once.
    Single(BarrierHandler),
    /// Several at a time, nothing held: at least once.
    Tracker(BarrierTracker),
}

/// The channels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Channels<T> {
    all: Vec<InputChannel<T>>,
    /// Those with something to read, in the order in which they are read.
    ready: VecDeque<u32>,
    persisted: Vec<Persisted<T>>,
}

impl<T: Clone> Channels<T> {
    fn get(&mut self, channel: u32) -> Option<&mut InputChannel<T>> {
        self.all.get_mut(usize::try_from(channel).ok()?)
    }
}

impl<T: Clone> Inputs for Channels<T> {
    fn block(&mut self, channel: u32) {
        if let Some(it) = self.get(channel) {
            it.blocked = true;
        }
    }

    fn resume(&mut self, channel: u32) {
        if let Some(it) = self.get(channel) {
            it.blocked = false;
        }
    }

    fn start(&mut self, barrier: &Barrier) -> Result<(), Declined> {
        // All or none: the real inputs begin one after the other, and the checkpoint is declined
        // if any of them cannot.
        for it in &self.all {
            it.can_start(barrier.checkpoint)?;
        }
        for it in &mut self.all {
            it.start(barrier.checkpoint, &mut self.persisted);
        }
        Ok(())
    }

    fn stop(&mut self, checkpoint: i64) {
        for it in &mut self.all {
            it.stop(checkpoint);
        }
    }

    fn prioritize(&mut self, channel: u32, sequence: u64) {
        if let Some(it) = self.get(channel) {
            it.prioritize(sequence);
        }
    }
}

/// The gate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Gate<T> {
    channels: Channels<T>,
    barriers: Barriers,
    senders_hold: bool,
}

impl<T: Clone> Gate<T> {
    /// A gate whose channels announce their barriers or not, one entry each.
    #[must_use]
    pub fn new(announcing: &[bool], barriers: Barriers) -> Self {
        let all = (0..).zip(announcing);
        Gate {
            channels: Channels {
                all: all.map(|(at, it)| InputChannel::new(at, *it)).collect(),
                ready: VecDeque::new(),
                persisted: Vec::new(),
            },
            barriers,
            senders_hold: false,
        }
    }

    /// Leaves it to the senders not to send on a blocked channel, as Flink's gate does; what
    /// arrives on one nevertheless is read. Otherwise it waits in the channel's queue.
    #[must_use]
    pub fn with_holding_senders(mut self) -> Self {
        self.senders_hold = true;
        self
    }

    /// A gate of remote channels for exactly-once checkpoints that goes on after tasks finished.
    #[must_use]
    pub fn exactly_once(channels: u32, mode: Mode) -> Self {
        let handler = BarrierHandler::new(mode, channels, true);
        let announcing: Vec<bool> = (0..channels).map(|_| true).collect();
        Self::new(&announcing, Barriers::Single(handler))
    }

    /// A gate of remote channels for at-least-once checkpoints that goes on after tasks finished.
    #[must_use]
    pub fn at_least_once(channels: u32) -> Self {
        let announcing: Vec<bool> = (0..channels).map(|_| true).collect();
        let tracker = BarrierTracker::new(channels, true);
        Self::new(&announcing, Barriers::Tracker(tracker))
    }

    /// Something arrives on a channel. A channel that does not exist takes nothing.
    pub fn arrive(&mut self, channel: u32, item: Item<T>) {
        let Channels {
            all,
            ready,
            persisted,
        } = &mut self.channels;
        let Some(it) = usize::try_from(channel).ok().and_then(|at| all.get_mut(at)) else {
            return;
        };
        if it.is_empty() {
            ready.push_back(channel);
        }
        it.push(item, persisted);
    }

    /// Reads what is next, if anything can be read. What it brings about is appended to `out`.
    pub fn poll(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Option<(u32, Item<T>)> {
        let at = self.next()?;
        let channel = self.channels.ready.remove(at)?;
        let queue = self.channels.get(channel)?;
        let item = queue.pop()?;
        if !queue.is_empty() {
            self.channels.ready.push_back(channel);
        }
        self.handle(channel, &item, now_ms, out);
        Some((channel, item))
    }

    /// Whether what is read next overtook something, or may (`getPriorityEventAvailableFuture`).
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent().is_some()
    }

    /// A channel that may be read.
    fn readable(&self, channel: u32) -> Option<&InputChannel<T>> {
        let at = usize::try_from(channel).ok()?;
        let held = |it: &&InputChannel<T>| it.blocked && !self.senders_hold;
        self.channels.all.get(at).filter(|it| !held(it))
    }

    fn urgent(&self) -> Option<usize> {
        let urgent = |it: &u32| self.readable(*it).is_some_and(InputChannel::has_priority);
        self.channels.ready.iter().position(urgent)
    }

    /// Where in `ready` the channel stands that is read next.
    fn next(&self) -> Option<usize> {
        let readable = |it: &u32| self.readable(*it).is_some();
        let first = || self.channels.ready.iter().position(readable);
        self.urgent().or_else(first)
    }

    fn handle(&mut self, channel: u32, item: &Item<T>, now_ms: i64, out: &mut Vec<Action>) {
        let inputs = &mut self.channels;
        match &mut self.barriers {
            Barriers::Single(handler) => match item {
                Item::Buffer { bytes, .. } => handler.on_buffer(*bytes),
                Item::Barrier(it) => handler.on_barrier(channel, *it, now_ms, inputs, out),
                Item::Cancel(id) => handler.on_cancel(*id, now_ms, inputs, out),
                Item::End => handler.on_end(channel, now_ms, inputs, out),
                Item::Announcement { barrier, sequence } => {
                    handler.on_announcement(channel, *barrier, *sequence, now_ms, inputs, out);
                }
            },
            Barriers::Tracker(tracker) => match item {
                Item::Buffer { bytes, .. } => tracker.on_buffer(*bytes),
                Item::Barrier(it) => tracker.on_barrier(channel, *it, now_ms, out),
                Item::Cancel(id) => tracker.on_cancel(channel, *id, out),
                Item::End => tracker.on_end(channel, now_ms, out),
                Item::Announcement { .. } => {}
            },
        }
    }

    /// When [`Gate::on_timer`] wants to be called, ms.
    #[must_use]
    pub fn timer_ms(&self) -> Option<i64> {
        match &self.barriers {
            Barriers::Single(handler) => handler.timer_ms(),
            Barriers::Tracker(_) => None,
        }
    }

    /// The moment of [`Gate::timer_ms`] has come.
    pub fn on_timer(&mut self, now_ms: i64, out: &mut Vec<Action>) {
        if let Barriers::Single(handler) = &mut self.barriers {
            handler.on_timer(now_ms, &mut self.channels, out);
        }
    }

    /// The subtask stops.
    pub fn close(&mut self) {
        if let Barriers::Single(handler) = &mut self.barriers {
            handler.close();
        }
    }

    /// Who keeps track of the barriers.
    #[must_use]
    pub fn barriers(&self) -> &Barriers {
        &self.barriers
    }

    /// The channels.
    #[must_use]
    pub fn channels(&self) -> &[InputChannel<T>] {
        &self.channels.all
    }

    /// Channels that are held back.
    pub fn blocked(&self) -> impl Iterator<Item = u32> + '_ {
        let all = (0..).zip(&self.channels.all);
        all.filter(|(_, it)| it.blocked).map(|(at, _)| at)
    }

    /// Takes the channel state stored since the last call; a subtask that declines a checkpoint
    /// drops what it has of it.
    pub fn take_persisted(&mut self) -> Vec<Persisted<T>> {
        std::mem::take(&mut self.channels.persisted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Alignment;
    use super::*;

    fn buffer(data: u32) -> Item<u32> {
        Item::Buffer { data, bytes: 100 }
    }

    fn barrier(checkpoint: i64, alignment: Alignment) -> Item<u32> {
        Item::Barrier(Barrier {
            checkpoint,
            created_ms: 0,
            alignment,
            savepoint: false,
        })
    }

    fn data(gate: &mut Gate<u32>, out: &mut Vec<Action>) -> Vec<u32> {
        let polled = std::iter::from_fn(|| gate.poll(0, out));
        polled
            .filter_map(|(_, item)| match item {
                Item::Buffer { data, .. } => Some(data),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_blocked_channel_waits_and_the_others_go_on() {
        let mut gate = Gate::exactly_once(2, Mode::Aligned);
        let mut out = Vec::new();
        gate.arrive(0, barrier(1, Alignment::Aligned));
        gate.arrive(0, buffer(1));
        gate.arrive(1, buffer(2));
        gate.arrive(1, buffer(3));
        assert_eq!(data(&mut gate, &mut out), [2, 3]);
        assert_eq!(gate.blocked().collect::<Vec<_>>(), [0]);
        gate.arrive(1, barrier(1, Alignment::Aligned));
        assert_eq!(data(&mut gate, &mut out), [1]);
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn an_unaligned_barrier_overtakes_and_what_it_overtook_is_stored() {
        let mut gate = Gate::exactly_once(2, Mode::Alternating);
        let mut out = Vec::new();
        for item in [buffer(1), buffer(2), barrier(1, Alignment::Unaligned)] {
            gate.arrive(0, item);
        }
        gate.arrive(1, buffer(3));
        let first = gate.poll(0, &mut out);
        assert!(matches!(first, Some((0, Item::Barrier(_)))));
        let stored: Vec<u32> = gate.take_persisted().iter().map(|it| it.data).collect();
        assert_eq!(stored, [1, 2, 3]);
        assert_eq!(data(&mut gate, &mut out), [3, 1, 2]);
    }
}
