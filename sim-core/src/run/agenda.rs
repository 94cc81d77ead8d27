//! The agenda of a run: what the scenario does, tells and judges, and when. (What the learner does
//! is not in it: those acts are the session's, so that keyframes stay good when they change.)

use crate::kernel::{Deed, Nanos};
use crate::scenario::{Facts, Moment, Scenario, Trigger};
use crate::systems::Order;
use std::collections::BTreeMap;

/// Something that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// An entry of the timeline.
    Entry(u32),
    /// A deed that takes another back.
    Deed(Deed<Order>),
    /// A caption.
    Caption(u32),
    /// Expectations are to be looked at.
    Judge,
}

/// A predicate that is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Watch {
    caption: bool,
    number: u32,
    /// Its value after the previous event.
    was: bool,
    done: bool,
}

/// What is to come. Items of one time are taken in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Agenda {
    /// (time, class, ordinal): class 0 timeline, 1 undo, 2 caption, 3 judge.
    due: BTreeMap<(Nanos, u8, u32), Due>,
    watches: Vec<Watch>,
    undos: u32,
}

impl Agenda {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut due = BTreeMap::new();
        let mut watches = Vec::new();
        let end = scenario.duration;
        let watch = |caption, number| Watch {
            caption,
            number,
            was: false,
            done: false,
        };
        for (number, entry) in (0..).zip(&scenario.timeline) {
            match &entry.trigger {
                Trigger::When { .. } => watches.push(watch(false, number)),
                // Later firings are put in when the earlier one is taken.
                timed => {
                    if let Some(at) = timed.times(end).next() {
                        due.insert((at, 0, number), Due::Entry(number));
                    }
                }
            }
        }
        for (number, caption) in (0..).zip(&scenario.captions) {
            match &caption.trigger {
                Trigger::When { .. } => watches.push(watch(true, number)),
                timed => {
                    if let Some(at) = timed.times(end).next() {
                        due.insert((at, 2, number), Due::Caption(number));
                    }
                }
            }
        }
        for (number, expectation) in (0..).zip(&scenario.expectations) {
            let mut judge = |at: Nanos| {
                due.insert((at, 3, number), Due::Judge);
            };
            match expectation.moment {
                Moment::End => {}
                Moment::At(at) => judge(at),
                Moment::Eventually { after, by } => {
                    judge(after);
                    judge(by);
                }
                Moment::Always { after, until } | Moment::Never { after, until } => {
                    judge(after);
                    judge(until);
                }
            }
        }
        Agenda {
            due,
            watches,
            undos: 0,
        }
    }

    pub(super) fn next_time(&self) -> Option<Nanos> {
        self.due.first_key_value().map(|((at, ..), _)| *at)
    }

    /// Takes the first item that is due at `at`, and puts its next firing in.
    pub(super) fn take(&mut self, at: Nanos, scenario: &Scenario) -> Option<Due> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= at)?;
        let ((_, class, number), due) = first.remove_entry();
        let trigger = match &due {
            Due::Entry(n) => scenario
                .timeline
                .get(*n as usize)
                .map(|entry| &entry.trigger),
            Due::Caption(n) => scenario
                .captions
                .get(*n as usize)
                .map(|caption| &caption.trigger),
            Due::Deed(_) | Due::Judge => None,
        };
        if let Some(Trigger::Every { period, last, .. }) = trigger
            && let Some(next) = at.checked_add(*period)
            && next <= (*last).min(scenario.duration)
        {
            self.due.insert((next, class, number), due.clone());
        }
        Some(due)
    }

    /// Puts a deed in that takes an earlier one back.
    pub(super) fn later(&mut self, at: Nanos, deed: Deed<Order>) {
        self.due.insert((at, 1, self.undos), Due::Deed(deed));
        self.undos += 1;
    }

    /// Whether any predicate waits.
    pub(super) fn watches(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Looks at the predicates; returns what they set off, in the order of the file.
    pub(super) fn watch(
        &mut self,
        now: Nanos,
        scenario: &Scenario,
        facts: &impl Facts,
    ) -> Vec<Due> {
        let mut fired = Vec::new();
        for watch in &mut self.watches {
            let trigger = if watch.caption {
                scenario
                    .captions
                    .get(watch.number as usize)
                    .map(|c| &c.trigger)
            } else {
                scenario
                    .timeline
                    .get(watch.number as usize)
                    .map(|e| &e.trigger)
            };
            let Some(Trigger::When {
                predicate,
                every_time,
                after,
                until,
            }) = trigger
            else {
                continue;
            };
            if now < *after {
                continue;
            }
            if now > *until {
                watch.done = true;
                continue;
            }
            let holds = predicate.holds(facts);
            if holds && !watch.was {
                fired.push(if watch.caption {
                    Due::Caption(watch.number)
                } else {
                    Due::Entry(watch.number)
                });
                watch.done = !every_time;
            }
            watch.was = holds;
        }
        self.watches.retain(|watch| !watch.done);
        fired
    }
}
