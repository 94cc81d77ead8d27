//! The event queue: ordered by (time, sequence), bodies apart in a slab.
//!
//! The sequence number of an event is its identity and its tie-break, so the order of events is a
//! function of the run alone. Heap entries are 24 bytes; bodies do not move while they wait. Events
//! scheduled for the current instant go to a FIFO and never touch the heap.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Simulated time or span in nanoseconds.
pub type Nanos = u64;

/// Identity of an event: the count of events scheduled before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// (time, id, slot) in the heap.
type Entry = Reverse<(Nanos, u64, u32)>;

/// One slab slot.
#[derive(Clone, Debug)]
struct Bed<B> {
    id: u64,
    body: Option<B>,
}

/// Events to come.
#[derive(Clone, Debug)]
pub(super) struct Queue<B> {
    heap: BinaryHeap<Entry>,
    /// Events for the instant `now`, in id order.
    instant: VecDeque<(u64, u32)>,
    slab: Vec<Bed<B>>,
    free: Vec<u32>,
    next_id: u64,
    live: u32,
    now: Nanos,
}

impl<B> Queue<B> {
    pub(super) fn new() -> Self {
        Queue {
            heap: BinaryHeap::new(),
            instant: VecDeque::new(),
            slab: Vec::new(),
            free: Vec::new(),
            next_id: 1,
            live: 0,
            now: 0,
        }
    }

    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    /// Events that wait and are not cancelled.
    pub(super) fn len(&self) -> u32 {
        self.live
    }

    /// Lets time pass up to `at` without an event; not past the next one.
    pub(super) fn idle_until(&mut self, at: Nanos) {
        let next = self.peek_time().unwrap_or(Nanos::MAX);
        if at > self.now && at <= next && self.instant.is_empty() {
            self.now = at;
        }
    }

    /// Takes the next id for something that is an event without waiting in the queue (a deed).
    pub(super) fn take_id(&mut self) -> EventId {
        let id = self.next_id;
        self.next_id += 1;
        EventId(id)
    }

    /// Schedules `body` at `at` (not before now). Returns its id and slot.
    #[inline]
    pub(super) fn push(&mut self, at: Nanos, body: B) -> (EventId, u32) {
        let at = at.max(self.now);
        let id = self.next_id;
        self.next_id += 1;
        self.live += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = Bed {
                    id,
                    body: Some(body),
                };
                slot
            }
            None => {
                self.slab.push(Bed {
                    id,
                    body: Some(body),
                });
                (self.slab.len() - 1) as u32
            }
        };
        if at == self.now {
            self.instant.push_back((id, slot));
        } else {
            self.heap.push(Reverse((at, id, slot)));
        }
        (EventId(id), slot)
    }

    /// Takes an event out before its time; `false` if it ran or was cancelled already.
    pub(super) fn cancel(&mut self, id: EventId, slot: u32) -> bool {
        match self.slab.get_mut(slot as usize) {
            Some(bed) if bed.id == id.0 && bed.body.is_some() => {
                bed.body = None;
                self.live -= 1;
                true
            }
            _ => false,
        }
    }

    /// Time of the next live event.
    pub(super) fn peek_time(&mut self) -> Option<Nanos> {
        self.skip_cancelled();
        if !self.instant.is_empty() {
            return Some(self.now);
        }
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Removes and returns the next live event, moving time to it.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Nanos, EventId, B)> {
        loop {
            let (at, id, slot) = self.pop_entry()?;
            let bed = &mut self.slab[slot as usize];
            debug_assert_eq!(bed.id, id, "a slot is freed only when its entry is popped");
            let body = bed.body.take();
            self.free.push(slot);
            self.now = at;
            if let Some(body) = body {
                self.live -= 1;
                return Some((at, EventId(id), body));
            }
        }
    }

    #[inline]
    fn pop_entry(&mut self) -> Option<(Nanos, u64, u32)> {
        // An entry of the heap for this very instant was scheduled earlier, so its id is smaller.
        match (self.instant.front(), self.heap.peek()) {
            (Some(_), Some(Reverse((at, ..)))) if *at <= self.now => {
                self.heap.pop().map(|Reverse(entry)| entry)
            }
            (Some(_), _) => self
                .instant
                .pop_front()
                .map(|(id, slot)| (self.now, id, slot)),
            (None, _) => self.heap.pop().map(|Reverse(entry)| entry),
        }
    }

    fn skip_cancelled(&mut self) {
        while let Some((_, slot)) = self.instant.front().copied() {
            if self.slab[slot as usize].body.is_some() {
                return;
            }
            self.instant.pop_front();
            self.free.push(slot);
        }
        while let Some(Reverse((at, _, slot))) = self.heap.peek().copied() {
            if self.slab[slot as usize].body.is_some() {
                return;
            }
            debug_assert!(at >= self.now, "the heap never holds the past");
            self.heap.pop();
            self.free.push(slot);
        }
    }

    /// Waiting events in order of execution.
    pub(super) fn waiting(&self) -> Vec<(Nanos, EventId, &B)> {
        let later = self.heap.iter().map(|Reverse(entry)| *entry);
        let instant = self.instant.iter();
        let mut all: Vec<(Nanos, u64, u32)> = instant
            .map(|(id, slot)| (self.now, *id, *slot))
            .chain(later)
            .collect();
        // Asked for by every frame, and long: emptying a heap took three times as long.
        all.sort_unstable();
        let bodies = all.into_iter().filter_map(|(at, id, slot)| {
            let body = self.slab[slot as usize].body.as_ref()?;
            Some((at, EventId(id), body))
        });
        bodies.collect()
    }

    /// Finds a waiting event by id (linear: for deeds on single messages, not for the hot path).
    pub(super) fn find(&self, id: EventId) -> Option<(Nanos, u32, &B)> {
        let slot = self
            .slab
            .iter()
            .position(|bed| bed.id == id.0 && bed.body.is_some())? as u32;
        let at = self
            .instant
            .iter()
            .find(|(_, s)| *s == slot)
            .map(|_| self.now)
            .or_else(|| self.heap.iter().find(|e| e.0.2 == slot).map(|e| e.0.0))?;
        self.slab[slot as usize]
            .body
            .as_ref()
            .map(|body| (at, slot, body))
    }

    /// Takes a waiting event out and hands its body over.
    pub(super) fn remove(&mut self, id: EventId) -> Option<(Nanos, B)> {
        let (at, slot, _) = self.find(id)?;
        self.live -= 1;
        self.slab[slot as usize].body.take().map(|body| (at, body))
    }
}

impl<B: PartialEq> PartialEq for Queue<B> {
    /// Equal if they will run the same: slots and heap layout do not count.
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now && self.next_id == other.next_id && self.waiting() == other.waiting()
    }
}

impl<B: Eq> Eq for Queue<B> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_time_then_id() {
        let mut queue = Queue::new();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")] {
            queue.push(at, name);
        }
        let (_, slot) = queue.push(3, "cancelled");
        assert!(queue.cancel(EventId(5), slot));
        assert!(!queue.cancel(EventId(5), slot));
        let mut seen = Vec::new();
        while let Some((at, _, name)) = queue.pop() {
            if name == "a" {
                queue.push(1, "same instant, after b");
                queue.push(0, "past is now");
            }
            seen.push((at, name));
        }
        assert_eq!(
            seen,
            [
                (1, "a"),
                (1, "b"),
                (1, "same instant, after b"),
                (1, "past is now"),
                (5, "c"),
                (5, "d")
            ]
        );
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn slots_are_reused() {
        let mut queue = Queue::new();
        for round in 0..1000_u64 {
            queue.push(round + 1, round);
            queue.pop();
        }
        assert_eq!(queue.slab.len(), 1);
    }
}
