//! What a session remembers of the events it ran: enough to answer "why?" and to draw a timeline,
//! little enough to keep for a million events. Texts are made again by running again.

use crate::kernel::{EventId, Executed, Kind, Nanos};
use crate::shared::SharedList;
use crate::systems::Note;
use crate::view::LineKind;

/// Most events that are remembered; later ones run, but cannot be asked about.
pub const HISTORY_MAX: usize = 2_000_000;

/// One executed event.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Identity.
    pub id: EventId,
    /// What scheduled it.
    pub cause: EventId,
    /// When, ns.
    pub time: Nanos,
    /// At which node (`u32::MAX` = none).
    pub node: u32,
    /// What kind.
    pub kind: Kind,
}

/// A remembered mark of the timeline.
#[derive(Clone, Debug)]
pub struct Marked {
    /// Number of the event.
    pub event: u64,
    /// When, ns.
    pub time: Nanos,
    /// Kind.
    pub kind: LineKind,
    /// Short text.
    pub text: String,
}

/// The past of a session, up to the furthest event it ran.
#[derive(Clone, Debug, Default)]
pub struct History {
    steps: SharedList<Step>,
    /// Event number by event id; ids of events that never ran hold `u32::MAX`.
    numbers: Vec<u32>,
    /// Rule notes with the number of their event, in order.
    rules: SharedList<(u64, Note)>,
    /// Marks in order.
    marks: Vec<Marked>,
}

impl History {
    /// Events remembered.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    /// Whether nothing happened yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the next event still fits.
    #[must_use]
    pub fn full(&self) -> bool {
        self.steps.len() >= HISTORY_MAX
    }

    pub(super) fn record(&mut self, done: &Executed, notes: &[Note]) {
        if self.full() {
            return;
        }
        let number = self.steps.len() as u32;
        let at = done.id.0 as usize;
        if self.numbers.len() <= at {
            self.numbers.resize(at + 1, u32::MAX);
        }
        self.numbers[at] = number;
        self.steps.push(Step {
            id: done.id,
            cause: done.cause,
            time: done.time,
            node: done.node.map_or(u32::MAX, |n| n.0),
            kind: done.kind,
        });
        for note in notes {
            if note.is_rule() {
                self.rules.push((u64::from(number), note.clone()));
            }
        }
    }

    pub(super) fn mark(&mut self, mark: Marked) {
        self.marks.push(mark);
    }

    /// Forgets everything from event `number` on: another branch begins there.
    pub(super) fn truncate(&mut self, number: u64) {
        for i in number as usize..self.steps.len() {
            if let Some(step) = self.steps.get(i)
                && let Some(slot) = self.numbers.get_mut(step.id.0 as usize)
            {
                *slot = u32::MAX;
            }
        }
        self.steps.truncate(number as usize);
        let rules = self.rules.partition_point(|(event, _)| *event < number);
        self.rules.truncate(rules);
        self.marks.retain(|mark| mark.event < number);
    }

    /// One executed event.
    #[must_use]
    pub fn step(&self, number: u64) -> Option<&Step> {
        self.steps.get(usize::try_from(number).ok()?)
    }

    /// Number of the event with this id, if it ran.
    #[must_use]
    pub fn number(&self, id: EventId) -> Option<u64> {
        let number = *self.numbers.get(id.0 as usize)?;
        (number != u32::MAX).then_some(u64::from(number))
    }

    /// Number of the first event after `time`.
    #[must_use]
    pub fn first_after(&self, time: Nanos) -> u64 {
        self.steps.partition_point(|step| step.time <= time) as u64
    }

    /// Rule notes of events before `number`, newest first.
    pub fn rules_before(&self, number: u64) -> impl Iterator<Item = &(u64, Note)> {
        let end = self.rules.partition_point(|(event, _)| *event < number);
        (0..end).rev().filter_map(|i| self.rules.get(i))
    }

    /// Rule notes of one event.
    pub fn rules_of(&self, number: u64) -> impl Iterator<Item = &Note> {
        let start = self.rules.partition_point(|(event, _)| *event < number);
        (start..self.rules.len())
            .filter_map(|i| self.rules.get(i))
            .take_while(move |(event, _)| *event == number)
            .map(|(_, note)| note)
    }

    /// Steps from one event number to another.
    pub fn steps(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Step)> {
        (from..to.min(self.len())).filter_map(|i| self.step(i).map(|step| (i, step)))
    }

    /// Marks in order.
    #[must_use]
    pub fn marks(&self) -> &[Marked] {
        &self.marks
    }

    /// Events per bucket of time between 0 and `end`.
    #[must_use]
    pub fn density(&self, end: Nanos, buckets: u32) -> Vec<u32> {
        let buckets = buckets.clamp(1, 10_000);
        let mut counts = Vec::with_capacity(buckets as usize);
        let mut from = 0;
        for i in 1..=u64::from(buckets) {
            let until = (u128::from(end) * u128::from(i) / u128::from(buckets)) as u64;
            let to = self.first_after(until);
            counts.push((to - from) as u32);
            from = to;
        }
        counts
    }
}
