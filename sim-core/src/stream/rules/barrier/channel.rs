//! One input channel: its queue, and what of it becomes channel state.
//!
//! Follows `RemoteInputChannel` with `ChannelStatePersister`, as far as barriers go. An unaligned
//! barrier is put ahead of what is queued; an aligned one that may time out is announced ahead and
//! can be moved there later. From the start of an unaligned checkpoint until its barrier, every
//! buffer of the channel is stored: those queued before the barrier at once, later ones as they
//! arrive. Credits are left out here; what lies behind the barrier of a blocked channel simply
//! waits in the queue.

use super::{Barrier, Declined};
use serde::Serialize;
use std::collections::VecDeque;

/// What comes through a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Item<T> {
    /// Records.
    Buffer {
        /// What is in it.
        data: T,
        /// Its size.
        bytes: u32,
    },
    /// A checkpoint barrier.
    Barrier(Barrier),
    /// A cancellation marker (`CancelCheckpointMarker`) for this checkpoint.
    Cancel(i64),
    /// The end of the partition.
    End,
    /// A barrier is queued (`EventAnnouncement`).
    Announcement {
        /// Which.
        barrier: Barrier,
        /// Its number in the channel.
        sequence: u64,
    },
}

/// A buffer that is part of a checkpoint's channel state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Persisted<T> {
    /// Of which checkpoint.
    pub checkpoint: i64,
    /// In which channel it was in flight.
    pub channel: u32,
    /// What is in it.
    pub data: T,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Storing {
    Completed,
    BarrierPending,
    BarrierReceived,
}

/// The channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InputChannel<T> {
    index: u32,
    queue: VecDeque<(u64, Item<T>)>,
    /// So many at the head overtook the rest.
    priority: u32,
    next_sequence: u64,
    announces: bool,
    pub(super) blocked: bool,
    storing: Storing,
    last_seen: i64,
    /// The newest barrier that arrived, with its number in the channel.
    barrier: Option<(i64, u64)>,
}

impl<T: Clone> InputChannel<T> {
    /// An empty channel. `announces`: barriers that may time out are announced ahead; remote
    /// channels do so, local ones do not.
    #[must_use]
    pub fn new(index: u32, announces: bool) -> Self {
        InputChannel {
            index,
            queue: VecDeque::new(),
            priority: 0,
            next_sequence: 0,
            announces,
            blocked: false,
            storing: Storing::Completed,
            last_seen: -1,
            barrier: None,
        }
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether what is next overtook something, or may.
    #[must_use]
    pub fn has_priority(&self) -> bool {
        self.priority > 0
    }

    /// What is queued, next first.
    pub fn queued(&self) -> impl Iterator<Item = &Item<T>> {
        self.queue.iter().map(|(_, item)| item)
    }

    /// Something arrives; channel state goes to `persisted`.
    pub fn push(&mut self, item: Item<T>, persisted: &mut Vec<Persisted<T>>) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        match item {
            Item::Buffer { data, bytes } => {
                if self.storing == Storing::BarrierPending {
                    persisted.push(Persisted {
                        checkpoint: self.last_seen,
                        channel: self.index,
                        data: data.clone(),
                    });
                }
                let buffer = Item::Buffer { data, bytes };
                self.queue.push_back((sequence, buffer));
            }
            Item::Barrier(barrier) => {
                self.saw(barrier.checkpoint, sequence);
                if barrier.is_unaligned() {
                    self.push_priority(sequence, Item::Barrier(barrier));
                } else {
                    self.queue.push_back((sequence, Item::Barrier(barrier)));
                    if self.announces && barrier.timeout_ms().is_some() {
                        let note = Item::Announcement { barrier, sequence };
                        self.push_priority(sequence, note);
                    }
                }
            }
            Item::Announcement { .. } => self.push_priority(sequence, item),
            Item::Cancel(_) | Item::End => self.queue.push_back((sequence, item)),
        }
    }

    /// Takes what is next.
    pub fn pop(&mut self) -> Option<Item<T>> {
        let (_, item) = self.queue.pop_front()?;
        self.priority = self.priority.saturating_sub(1);
        Some(item)
    }

    fn push_priority(&mut self, sequence: u64, item: Item<T>) {
        let at = usize::try_from(self.priority).unwrap_or(usize::MAX);
        self.queue
            .insert(at.min(self.queue.len()), (sequence, item));
        self.priority += 1;
    }

    fn saw(&mut self, checkpoint: i64, sequence: u64) {
        let expected = match self.storing {
            Storing::Completed => self.last_seen.saturating_add(1),
            Storing::BarrierPending | Storing::BarrierReceived => self.last_seen,
        };
        if checkpoint < expected {
            return;
        }
        self.storing = Storing::BarrierReceived;
        self.last_seen = checkpoint;
        if self.barrier.is_none_or(|(newest, _)| checkpoint > newest) {
            self.barrier = Some((checkpoint, sequence));
        }
    }

    /// Whether a checkpoint may begin here.
    ///
    /// # Errors
    ///
    /// If a newer checkpoint's barrier has arrived: what belongs to this one is no longer known.
    pub fn can_start(&self, checkpoint: i64) -> Result<(), Declined> {
        match self.barrier {
            Some((newest, _)) if newest > checkpoint => Err(Declined::NewerBarrierReceived),
            _ => Ok(()),
        }
    }

    /// An unaligned checkpoint begins (`checkpointStarted`).
    pub fn start(&mut self, checkpoint: i64, persisted: &mut Vec<Persisted<T>>) {
        if self.barrier.is_some_and(|(newest, _)| newest < checkpoint) {
            // That barrier is of an older checkpoint, which nobody takes any more.
            self.barrier = None;
        }
        if self.last_seen < checkpoint {
            self.storing = Storing::BarrierPending;
            self.last_seen = checkpoint;
        }
        let skip = usize::try_from(self.priority).unwrap_or(usize::MAX);
        let behind = self.barrier.map_or(u64::MAX, |(_, sequence)| sequence);
        for (sequence, item) in self.queue.iter().skip(skip) {
            if let Item::Buffer { data, .. } = item {
                if *sequence >= behind {
                    break;
                }
                persisted.push(Persisted {
                    checkpoint,
                    channel: self.index,
                    data: data.clone(),
                });
            }
        }
    }

    /// Nothing more is stored for a checkpoint (`checkpointStopped`).
    pub fn stop(&mut self, checkpoint: i64) {
        if checkpoint >= self.last_seen {
            self.storing = Storing::Completed;
            self.last_seen = checkpoint;
        }
        if self.barrier.is_some_and(|(newest, _)| newest == checkpoint) {
            self.barrier = None;
        }
    }

    /// Moves the barrier with this number ahead of what is queued (`convertToPriorityEvent`).
    pub fn prioritize(&mut self, sequence: u64) {
        let skip = usize::try_from(self.priority).unwrap_or(usize::MAX);
        let is_it =
            |entry: &(u64, Item<T>)| entry.0 == sequence && matches!(entry.1, Item::Barrier(_));
        let found = self.queue.iter().skip(skip).position(is_it);
        if let Some((sequence, item)) = found.and_then(|at| self.queue.remove(at + skip)) {
            self.push_priority(sequence, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Alignment;
    use super::*;

    fn barrier(checkpoint: i64, alignment: Alignment) -> Item<u32> {
        Item::Barrier(Barrier {
            checkpoint,
            created_ms: 0,
            alignment,
            savepoint: false,
        })
    }

    fn buffer(data: u32) -> Item<u32> {
        Item::Buffer { data, bytes: 1 }
    }

    /// What is stored for checkpoint 2 when these arrived before it began, and those after.
    fn check(before: &[Item<u32>], after: &[Item<u32>], expected: &[u32]) {
        let mut channel = InputChannel::new(0, true);
        let mut stored = Vec::new();
        for item in before {
            channel.push(item.clone(), &mut stored);
        }
        assert!(stored.is_empty());
        channel.start(2, &mut stored);
        for item in after {
            channel.push(item.clone(), &mut stored);
        }
        let data: Vec<u32> = stored.iter().map(|it| it.data).collect();
        assert_eq!(data, expected, "{before:?} {after:?}");
    }

    #[test]
    fn what_lies_ahead_of_the_barrier_is_stored() {
        let within = Alignment::AlignedWithTimeout { timeout_ms: 9 };
        let unaligned = barrier(2, Alignment::Unaligned);
        check(&[buffer(1), buffer(2)], &[buffer(3)], &[1, 2, 3]);
        check(
            &[buffer(1), unaligned.clone(), buffer(3)],
            &[buffer(4)],
            &[1],
        );
        check(&[buffer(1), barrier(2, within), buffer(3)], &[], &[1]);
        check(
            &[buffer(1)],
            &[buffer(2), unaligned.clone(), buffer(4)],
            &[1, 2],
        );
        let obsolete = barrier(1, Alignment::Unaligned);
        check(
            &[buffer(1), obsolete.clone(), buffer(3)],
            &[buffer(4)],
            &[1, 3, 4],
        );
        check(
            &[buffer(1)],
            &[obsolete, buffer(3), unaligned, buffer(5)],
            &[1, 3],
        );
    }

    #[test]
    fn an_announced_barrier_can_be_moved_ahead() {
        let mut channel = InputChannel::new(0, true);
        let mut stored = Vec::new();
        let late = barrier(2, Alignment::AlignedWithTimeout { timeout_ms: 9 });
        for item in [buffer(1), late.clone(), buffer(3)] {
            channel.push(item, &mut stored);
        }
        let note = channel.pop();
        assert!(matches!(note, Some(Item::Announcement { sequence: 1, .. })));
        channel.prioritize(1);
        assert!(channel.has_priority());
        assert_eq!(channel.pop(), Some(late));
        assert_eq!(channel.pop(), Some(buffer(1)));
        assert!(channel.can_start(2).is_ok());
        assert_eq!(channel.can_start(1), Err(Declined::NewerBarrierReceived));
    }
}
