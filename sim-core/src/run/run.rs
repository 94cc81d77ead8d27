//! A run: a world with its timeline, ledger, invariants and expectations, one step at a time.
//!
//! Order within an instant: first all events of that time, then what the timeline does at that time
//! in the order of the file, then what is judged, then what the learner did at that time. What a
//! predicate sets off happens right after the event that made it true.

use super::agenda::{Agenda, Due};
use super::bounds::{Bounds, Stopped};
use super::facts::RunFacts;
use super::recipe::Action;
use super::verdicts::Judge;
use crate::check::Ledger;
use crate::kafka;
use crate::kernel::{Deed, Executed, Nanos, Scratch, World};
use crate::scenario::{Scenario, inverse};
use crate::stream::parts::StreamParts;
use crate::systems::{Node, Note, Order, Spec};
use crate::view::VerdictState;
use std::collections::VecDeque;
use std::sync::Arc;

/// Something besides events that a step brought about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Occurrence {
    /// A deed was done; its text.
    Done(String),
    /// A deed of the timeline could not be done; why.
    Refused(String),
    /// A caption was reached (its number in the scenario).
    Caption(u32),
    /// An invariant was found broken.
    Violation(String),
    /// An expectation was decided (its number in the scenario).
    Decided(u32, VerdictState),
    /// The run came to one of its bounds and ends here.
    Stopped(Stopped),
}

/// Buffers of a step, reused; not part of the run's state.
#[derive(Clone, Debug, Default)]
pub struct RunScratch {
    /// The kernel's part: notes and, if recording, text.
    pub kernel: Scratch<Node>,
    /// What else came about.
    pub occurrences: Vec<Occurrence>,
}

/// A deed that waits for its turn in this instant.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Waiting {
    deed: Deed<Order>,
    /// Take it back after this span, ns.
    undo_after: Option<Nanos>,
}

/// A scenario being run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    scenario: Arc<Scenario>,
    world: World<Node>,
    agenda: Agenda,
    /// The learner's acts, in order of time, and how many of them are done.
    actions: Arc<Vec<Action>>,
    acted: usize,
    waiting: VecDeque<Waiting>,
    ledger: Ledger,
    invariants: kafka::invariants::Invariants,
    judge: Judge,
    caption: Option<(u32, Nanos)>,
    bounds: Bounds,
    /// Entries and captions that predicates have set off.
    firings: u64,
    finished: bool,
    stopped: Option<Stopped>,
}

impl Run {
    /// A run at its beginning. `actions` are the learner's, in order of time.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, seed: u64, actions: Arc<Vec<Action>>) -> Self {
        Self::bounded(scenario, seed, actions, Bounds::default())
    }

    /// The same within other bounds.
    #[must_use]
    pub fn bounded(
        scenario: Arc<Scenario>,
        seed: u64,
        actions: Arc<Vec<Action>>,
        bounds: Bounds,
    ) -> Self {
        let mut world = World::new(seed, scenario.network.default);
        let mut invariants = kafka::invariants::Invariants::default();
        for spec in &scenario.systems {
            match spec {
                Spec::Kafka(spec) => {
                    kafka::cluster::populate(spec, &mut world);
                    invariants = kafka::invariants::Invariants::new(spec);
                }
                Spec::Stream(spec) => spec.parts.populate(spec, &mut world),
            }
        }
        for (from, to, profile) in &scenario.network.links {
            world.set_profile(*from, *to, *profile);
        }
        let mut scratch = Scratch::default();
        world.boot(&mut scratch);
        let agenda = Agenda::new(&scenario);
        let judge = Judge::new(&scenario);
        Run {
            scenario,
            world,
            agenda,
            actions,
            acted: 0,
            waiting: VecDeque::new(),
            ledger: Ledger::default(),
            invariants,
            judge,
            caption: None,
            bounds,
            firings: 0,
            finished: false,
            stopped: None,
        }
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World<Node> {
        &self.world
    }

    /// About how many bytes a clone takes, besides what it shares with the original.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(self) + self.world.weight() + self.ledger.weight()
    }

    /// About how many bytes a clone's keyed state takes, besides what it shares with an earlier one.
    #[must_use]
    pub fn unshared(&self, before: &Run) -> usize {
        let parts = StreamParts::of(&self.world);
        parts.map_or(0, |it| it.unshared(&self.world, &before.world))
    }

    /// How many records a job's operators have been handed; tasks that start again count anew.
    #[must_use]
    pub fn handled(&self) -> u64 {
        StreamParts::of(&self.world).map_or(0, |it| it.handled(&self.world))
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The invariants and what they found.
    #[must_use]
    pub fn invariants(&self) -> &kafka::invariants::Invariants {
        &self.invariants
    }

    /// The expectations as far as they are decided.
    #[must_use]
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The caption in force: its number and since when, ns.
    #[must_use]
    pub fn caption(&self) -> Option<(u32, Nanos)> {
        self.caption
    }

    /// The present facts, for predicates.
    #[must_use]
    pub fn facts(&self) -> RunFacts<'_> {
        RunFacts {
            world: &self.world,
            ledger: &self.ledger,
            invariants: &self.invariants,
        }
    }

    /// Whether nothing more comes: the end was reached and everything is decided, or a bound was.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The bound that ended the run before its time, if one did.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// The bound that the run has come to, if any.
    fn exhausted(&self) -> Option<Stopped> {
        let bounds = &self.bounds;
        if self.world.executed() >= bounds.events {
            Some(Stopped::Events(bounds.events))
        } else if self.firings >= bounds.firings {
            Some(Stopped::Firings(bounds.firings))
        } else if self.ledger.sent() >= bounds.records {
            Some(Stopped::Records(bounds.records))
        } else {
            None
        }
    }

    /// When the next thing happens, ns; `None` once the end is reached.
    pub fn peek(&mut self) -> Option<Nanos> {
        if self.finished {
            return None;
        }
        if !self.waiting.is_empty() || self.exhausted().is_some() {
            return Some(self.world.now());
        }
        let end = self.scenario.duration;
        let event = self.world.next_time().filter(|at| *at <= end);
        let due = self.next_due().filter(|at| *at <= end);
        Some(event.unwrap_or(end).min(due.unwrap_or(end)))
    }

    /// When the scenario or the learner does the next thing, ns.
    fn next_due(&self) -> Option<Nanos> {
        let act = self.actions.get(self.acted).map(|action| action.at);
        match (self.agenda.next_time(), act) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Gives the run another list of acts; those already done must be the same in both.
    pub(super) fn set_actions(&mut self, actions: Arc<Vec<Action>>) {
        debug_assert!(
            self.actions
                .iter()
                .zip(actions.iter())
                .take(self.acted)
                .all(|(a, b)| a == b)
        );
        self.actions = actions;
    }

    /// Makes one step: an event, a deed, or something judged. `None` once finished. The executed
    /// event is `None` for steps that are not events (a caption at a time, the end, a bound).
    pub fn step(&mut self, scratch: &mut RunScratch) -> Option<Option<Executed>> {
        if self.finished {
            return None;
        }
        scratch.occurrences.clear();
        scratch.kernel.notes.clear();
        if let Some(bound) = self.exhausted() {
            self.stop(bound, scratch);
            return Some(None);
        }
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(self.act(&waiting, scratch));
        }
        let end = self.scenario.duration;
        let event = self.world.next_time().filter(|at| *at <= end);
        let due = self.next_due().filter(|at| *at <= end);
        match (event, due) {
            // Events of an instant come before the deeds of that instant.
            (Some(at), due) if due.is_none_or(|due| at <= due) => {
                let done = self.world.step(&mut scratch.kernel);
                self.after(scratch);
                Some(done)
            }
            (_, Some(at)) => {
                self.world.idle_until(at);
                self.take_due(at, scratch);
                match self.waiting.pop_front() {
                    Some(waiting) => Some(self.act(&waiting, scratch)),
                    None => Some(None),
                }
            }
            _ => {
                self.finish(end, scratch);
                Some(None)
            }
        }
    }

    /// Takes one due item off the agenda.
    fn take_due(&mut self, at: Nanos, scratch: &mut RunScratch) {
        if self
            .agenda
            .next_time()
            .is_none_or(|scheduled| scheduled > at)
        {
            if let Some(action) = self.actions.get(self.acted) {
                self.acted += 1;
                let deed = action.deed.clone();
                self.waiting.push_back(Waiting {
                    deed,
                    undo_after: None,
                });
            }
            return;
        }
        match self.agenda.take(at, &self.scenario) {
            Some(Due::Entry(entry)) => self.queue_entry(entry, scratch),
            Some(Due::Deed(deed)) => {
                self.waiting.push_back(Waiting {
                    deed,
                    undo_after: None,
                });
            }
            Some(Due::Caption(number)) => {
                self.caption = Some((number, at));
                scratch.occurrences.push(Occurrence::Caption(number));
            }
            Some(Due::Judge) => {
                let facts = RunFacts {
                    world: &self.world,
                    ledger: &self.ledger,
                    invariants: &self.invariants,
                };
                self.judge
                    .at_time(at, &self.scenario, &facts, &mut scratch.occurrences);
            }
            None => {}
        }
    }

    fn queue_entry(&mut self, number: u32, scratch: &mut RunScratch) {
        let scenario = Arc::clone(&self.scenario);
        let Some(entry) = scenario.timeline.get(number as usize) else {
            return;
        };
        let mut queued = Vec::new();
        for act in &entry.acts {
            match act.resolve(&self.facts()) {
                Ok(deeds) => queued.extend(deeds),
                Err(refusal) => scratch.occurrences.push(Occurrence::Refused(refusal.0)),
            }
        }
        for deed in queued {
            self.waiting.push_back(Waiting {
                deed,
                undo_after: entry.undo_after,
            });
        }
    }

    fn act(&mut self, waiting: &Waiting, scratch: &mut RunScratch) -> Option<Executed> {
        match self.world.apply(&waiting.deed, &mut scratch.kernel) {
            Ok(done) => {
                let text = super::words::deed(&waiting.deed, &self.scenario.nodes);
                if scratch.kernel.record {
                    scratch.kernel.text.clone_from(&text);
                }
                scratch.occurrences.push(Occurrence::Done(text));
                if let Some(span) = waiting.undo_after
                    && let Some(undo) = inverse(&waiting.deed)
                {
                    let at = self.world.now().saturating_add(span);
                    for deed in undo {
                        self.agenda.later(at, deed);
                    }
                }
                self.after(scratch);
                Some(done)
            }
            Err(refusal) => {
                let text = super::words::deed(&waiting.deed, &self.scenario.nodes);
                scratch
                    .occurrences
                    .push(Occurrence::Refused(format!("{text}: {refusal}")));
                None
            }
        }
    }

    /// Ledger, invariants, predicates: after each event.
    fn after(&mut self, scratch: &mut RunScratch) {
        let truth = kafka::truth::Logs(&self.world);
        for note in &scratch.kernel.notes {
            let Note::Kafka(note) = note else {
                continue;
            };
            if let Some(seen) = kafka::truth::observation(note) {
                self.ledger.observe(seen, &truth);
            }
            if let Some(violation) = self.invariants.observe(note, &self.world) {
                scratch.occurrences.push(Occurrence::Violation(violation));
            }
        }
        if let Some(violation) = self.invariants.after(&self.world) {
            scratch.occurrences.push(Occurrence::Violation(violation));
        }
        self.watch(scratch);
    }

    /// Looks at the predicates that wait.
    fn watch(&mut self, scratch: &mut RunScratch) {
        if !self.agenda.watches() && !self.judge.watches() {
            return;
        }
        let now = self.world.now();
        let facts = RunFacts {
            world: &self.world,
            ledger: &self.ledger,
            invariants: &self.invariants,
        };
        let fired = self.agenda.watch(now, &self.scenario, &facts);
        self.judge
            .watch(now, &self.scenario, &facts, &mut scratch.occurrences);
        self.firings = self.firings.saturating_add(fired.len() as u64);
        for due in fired {
            match due {
                Due::Entry(entry) => self.queue_entry(entry, scratch),
                Due::Caption(number) => {
                    self.caption = Some((number, now));
                    scratch.occurrences.push(Occurrence::Caption(number));
                }
                Due::Deed(_) | Due::Judge => {}
            }
        }
    }

    /// Ends the run where it is. Expectations that are not decided stay open.
    fn stop(&mut self, bound: Stopped, scratch: &mut RunScratch) {
        self.settle(scratch);
        self.waiting.clear();
        (self.finished, self.stopped) = (true, Some(bound));
        scratch.occurrences.push(Occurrence::Stopped(bound));
    }

    /// What is true of the records now, once nothing more comes.
    fn settle(&mut self, scratch: &mut RunScratch) {
        self.ledger.settle(&kafka::truth::Logs(&self.world));
        for violation in self.invariants.settle(&self.world) {
            scratch.occurrences.push(Occurrence::Violation(violation));
        }
    }

    fn finish(&mut self, end: Nanos, scratch: &mut RunScratch) {
        self.world.idle_until(end);
        self.settle(scratch);
        let facts = RunFacts {
            world: &self.world,
            ledger: &self.ledger,
            invariants: &self.invariants,
        };
        self.judge
            .finish(end, &self.scenario, &facts, &mut scratch.occurrences);
        self.finished = true;
    }
}
