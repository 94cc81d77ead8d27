//! The event queue: ordered by (time, sequence), bodies apart in a slab.
//!
//! The sequence number of an event is its identity and its tie-break, so the order of events is a
//! function of the run alone. Heap entries are 24 bytes; bodies do not move while they wait. Events
//! scheduled for the current instant go to a FIFO and never touch the heap. A cancelled event gives
//! its slot back at once; its entry stays behind until it is popped, or until most entries are such:
//! a client that sets a timeout of half a minute for each request cancels nearly all of them.

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

/// Entries that may be stale without a look at how many are.
const STALE_MIN: usize = 64;

/// One slab slot. An entry that names another id than it is stale.
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
                self.free.push(slot);
                self.live -= 1;
                self.sweep();
                true
            }
            _ => false,
        }
    }

    /// Whether an entry's event waits still.
    fn waits(&self, id: u64, slot: u32) -> bool {
        let bed = &self.slab[slot as usize];
        bed.id == id && bed.body.is_some()
    }

    /// Drops stale entries once they are most of all. What is popped, and when, does not change.
    fn sweep(&mut self) {
        if self.heap.len() > 2 * self.live as usize + STALE_MIN {
            let mut entries = std::mem::take(&mut self.heap).into_vec();
            entries.retain(|Reverse((_, id, slot))| self.waits(*id, *slot));
            self.heap = BinaryHeap::from(entries);
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
            let body = if bed.id == id { bed.body.take() } else { None };
            if let Some(body) = body {
                self.now = at;
                self.free.push(slot);
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
        while let Some((id, slot)) = self.instant.front().copied() {
            if self.waits(id, slot) {
                return;
            }
            self.instant.pop_front();
        }
        while let Some(Reverse((at, id, slot))) = self.heap.peek().copied() {
            if self.waits(id, slot) {
                return;
            }
            debug_assert!(at >= self.now, "the heap never holds the past");
            self.heap.pop();
        }
    }

    /// Waiting events in order of execution.
    pub(super) fn waiting(&self) -> Vec<(Nanos, EventId, &B)> {
        self.waiting_that(&|_| true)
    }

    /// Those waiting events that are wanted, in order of execution.
    pub(super) fn waiting_that(&self, wanted: &dyn Fn(&B) -> bool) -> Vec<(Nanos, EventId, &B)> {
        let later = self.heap.iter().map(|Reverse(entry)| *entry);
        let instant = self.instant.iter();
        let instant = instant.map(|(id, slot)| (self.now, *id, *slot));
        let is_wanted = |(_, id, slot): &(Nanos, u64, u32)| {
            let bed = &self.slab[*slot as usize];
            bed.id == *id && bed.body.as_ref().is_some_and(wanted)
        };
        let mut all: Vec<(Nanos, u64, u32)> = instant.chain(later).filter(is_wanted).collect();
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
            .find(|(own, _)| *own == id.0)
            .map(|_| self.now)
            .or_else(|| self.heap.iter().find(|e| e.0.1 == id.0).map(|e| e.0.0))?;
        self.slab[slot as usize]
            .body
            .as_ref()
            .map(|body| (at, slot, body))
    }

    /// Takes a waiting event out and hands its body over.
    pub(super) fn remove(&mut self, id: EventId) -> Option<(Nanos, B)> {
        let (at, slot, _) = self.find(id)?;
        let body = self.slab[slot as usize].body.take()?;
        self.free.push(slot);
        self.live -= 1;
        self.sweep();
        Some((at, body))
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
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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

    /// Timeouts that are set for long and cancelled soon must not be carried along until then.
    #[test]
    fn what_was_cancelled_takes_no_room() {
        let mut queue = Queue::new();
        let mut seen = Vec::new();
        for round in 0..10_000_u64 {
            let (id, slot) = queue.push(1_000_000 + round, 0);
            queue.push(round + 1, round);
            seen.extend(queue.pop().map(|(.., body)| body));
            assert!(queue.cancel(id, slot));
            assert!(!queue.cancel(id, slot), "once");
        }
        assert!(seen.into_iter().eq(0..10_000));
        let entries = queue.heap.len() + queue.instant.len();
        assert!(entries <= STALE_MIN + 2, "{entries} entries");
        assert!(queue.slab.len() <= 2, "{} slots", queue.slab.len());
        assert_eq!((queue.len(), queue.peek_time()), (0, None));
    }

    proptest! {
        /// The queue against a sorted list. A cancelled event's slot may be another's by the time its
        /// entry is met.
        #[test]
        fn it_is_a_sorted_list(deeds in prop::collection::vec((0_u8..5, 0_u64..9), 0..400)) {
            let mut queue = Queue::new();
            let mut model: Vec<(Nanos, u64)> = Vec::new();
            let mut slots = BTreeMap::new();
            for (deed, number) in deeds {
                match deed {
                    0..=2 => {
                        let at = queue.now() + number;
                        let (id, slot) = queue.push(at, ());
                        slots.insert(id.0, slot);
                        model.push((at, id.0));
                        model.sort_unstable();
                    }
                    3 => {
                        let known = slots.keys().nth_back(number as usize).copied();
                        let Some(id) = known else { continue };
                        let waits = model.iter().position(|it| it.1 == id);
                        let done = match number % 2 {
                            0 => queue.cancel(EventId(id), slots[&id]),
                            _ => queue.remove(EventId(id)).is_some(),
                        };
                        prop_assert_eq!(done, waits.is_some());
                        waits.map(|at| model.remove(at));
                    }
                    _ => {
                        let next = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(queue.peek_time(), next.map(|it| it.0));
                        prop_assert_eq!(queue.pop().map(|it| (it.0, it.1.0)), next);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
                let waiting = queue.waiting();
                prop_assert!(waiting.iter().map(|it| (it.0, it.1.0)).eq(model.iter().copied()));
            }
        }
    }
}
