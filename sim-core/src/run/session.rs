//! A session: one branch of a run that can be walked in both directions and changed.
//!
//! Time is a value: `seek` goes to the nearest keyframe and runs on; the engine is deterministic,
//! so the moment reached is the moment left. An act in the past makes another branch: what the
//! learner did later is dropped from this session (the caller keeps the old recipe first).

use super::history::{History, Marked};
use super::keyframes::Keyframes;
use super::recipe::{ACTIONS_MAX, Action, Recipe};
use super::run::{Occurrence, Run, RunScratch};
use crate::few;
use crate::kafka::why;
use crate::kernel::{Deed, Nanos, Refusal};
use crate::scenario::{self, Diagnostic, Predicate, Scenario};
use crate::stream::parts::StreamParts;
use crate::systems::{Note, Order};
use crate::view::{LineKind, Verdict, VerdictState};
use std::sync::Arc;

/// Why an advance ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The wanted time is reached.
    Time,
    /// The allowance of events is used up.
    Budget,
    /// The scenario is over.
    Finished,
    /// The next event is the one that opens this gate (see [`Session::set_gates`]).
    Gate(u32),
}

/// A caption and since when it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptionNow {
    /// Since when, ns.
    pub time: Nanos,
    /// What it says.
    pub text: String,
}

/// One branch of a run.
#[derive(Clone, Debug)]
pub struct Session {
    recipe: Recipe,
    actions: Arc<Vec<Action>>,
    seed: u64,
    run: Run,
    now: Nanos,
    keyframes: Keyframes<Run>,
    history: History,
    head: Nanos,
    gates: Vec<(u32, Predicate)>,
    scratch: RunScratch,
}

impl Session {
    /// Opens a recipe at its beginning; to `seek` to `recipe.time` is the caller's choice.
    ///
    /// # Errors
    /// All that is wrong with the scenario.
    pub fn open(recipe: Recipe) -> Result<Session, Vec<Diagnostic>> {
        let scenario = scenario::parse(&recipe.scenario).into_result()?;
        Ok(Session::of(Arc::new(scenario), recipe))
    }

    /// Opens a scenario that was read already.
    #[must_use]
    pub fn of(scenario: Arc<Scenario>, mut recipe: Recipe) -> Session {
        let order = few::order(recipe.actions.iter().map(|action| action.at));
        recipe.actions = order.iter().map(|at| recipe.actions[*at].clone()).collect();
        let seed = recipe.seed.unwrap_or(scenario.seed);
        let actions = Arc::new(recipe.actions.clone());
        let run = Run::new(scenario, seed, Arc::clone(&actions));
        Session {
            actions,
            seed,
            keyframes: Keyframes::new(run.clone()),
            run,
            now: 0,
            history: History::default(),
            head: 0,
            gates: Vec::new(),
            scratch: RunScratch::default(),
            recipe,
        }
    }

    /// What makes this run, looking at the present time.
    #[must_use]
    pub fn recipe(&self) -> Recipe {
        Recipe {
            time: self.now,
            ..self.recipe.clone()
        }
    }

    /// The scenario as read.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        self.run.scenario()
    }

    /// Title of the scenario.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.scenario().title
    }

    /// The seed in use.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Simulated time, ns.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Where the scenario ends, ns.
    #[must_use]
    pub fn duration(&self) -> Nanos {
        self.scenario().duration
    }

    /// Executed events up to now.
    #[must_use]
    pub fn event(&self) -> u64 {
        self.run.world().executed()
    }

    /// Furthest time this branch was run to, ns.
    #[must_use]
    pub fn head(&self) -> Nanos {
        self.head
    }

    /// The run at the present moment.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The past, up to the head.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Digest of the events up to now: 16 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:016x}", self.run.world().digest())
    }

    /// How the scenario's expectations stand.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.run.judge().view(self.scenario())
    }

    /// The caption in force.
    #[must_use]
    pub fn caption(&self) -> Option<CaptionNow> {
        let (number, time) = self.run.caption()?;
        let caption = self.scenario().captions.get(number as usize)?;
        Some(CaptionNow {
            time,
            text: caption.text.clone(),
        })
    }

    /// Keyframes held.
    #[must_use]
    pub fn keyframes(&self) -> usize {
        self.keyframes.len()
    }

    /// Bytes that the keyframes take, by estimate.
    #[must_use]
    pub fn keyframes_weight(&self) -> usize {
        self.keyframes.weight()
    }

    /// Gives the keyframes' memory back; going back in time costs a run from the beginning until
    /// new ones have been taken.
    pub fn drop_keyframes(&mut self) {
        self.keyframes.truncate(0);
    }

    /// Whether steps make texts (for transcripts).
    pub(super) fn record(&mut self, on: bool) {
        self.scratch.kernel.record = on;
    }

    /// Text of the last step, if recording.
    pub(super) fn text(&self) -> &str {
        &self.scratch.kernel.text
    }

    /// Notes of the last step.
    pub(super) fn notes(&self) -> &[Note] {
        &self.scratch.kernel.notes
    }

    /// Predicates before whose first truth an advance stops (prediction gates), by number.
    pub fn set_gates(&mut self, gates: Vec<(u32, Predicate)>) {
        self.gates = gates;
    }

    /// Makes one step of the run and remembers it. `None` once finished.
    fn step_run(&mut self) -> Option<()> {
        let at = self.run.peek()?;
        let done = self.run.step(&mut self.scratch)?;
        self.now = self.now.max(at);
        self.head = self.head.max(self.now);
        let event = self.run.world().executed();
        let frontier =
            event > self.history.len() || (done.is_none() && event == self.history.len());
        if frontier {
            if let Some(done) = &done {
                self.history.record(done, &self.scratch.kernel.notes);
            }
            self.remember_marks(event.saturating_sub(1));
        }
        if done.is_some() && self.keyframes.due(event, || self.run.handled()) {
            self.keyframes
                .add(event, self.run.world().now(), self.run.clone());
        }
        Some(())
    }

    fn remember_marks(&mut self, event: u64) {
        let time = self.run.world().now();
        let world = self.run.world();
        let notes = &self.scratch.kernel.notes;
        let of_kafka = notes.iter().filter_map(|note| match note {
            Note::Kafka(note) => Some(note),
            Note::Stream(_) => None,
        });
        let mut texts = why::milestones(of_kafka, world, &self.run.scenario().nodes);
        if let Some(parts) = StreamParts::of(world) {
            texts.extend(notes.iter().filter_map(|note| match note {
                Note::Stream(note) => parts.milestone(note, world),
                Note::Kafka(_) => None,
            }));
        }
        for text in texts {
            self.history.mark(Marked {
                event,
                time,
                kind: LineKind::Rule,
                text,
            });
        }
        for occurrence in &self.scratch.occurrences {
            let (kind, text) = match occurrence {
                Occurrence::Done(text) => (LineKind::Deed, text.clone()),
                Occurrence::Refused(text) => (LineKind::Deed, format!("not done: {text}")),
                Occurrence::Caption(number) => {
                    let caption = self.run.scenario().captions.get(*number as usize);
                    (
                        LineKind::Caption,
                        caption.map_or_else(String::new, |c| c.text.clone()),
                    )
                }
                Occurrence::Violation(text) => (LineKind::Violation, text.clone()),
                Occurrence::Decided(number, VerdictState::Broken) => {
                    let expectation = self.run.scenario().expectations.get(*number as usize);
                    let text = expectation.map_or_else(String::new, super::words::expectation);
                    (LineKind::Violation, format!("expectation broken: {text}"))
                }
                Occurrence::Stopped(bound) => (LineKind::Violation, bound.to_string()),
                Occurrence::Decided(..) => continue,
            };
            self.history.mark(Marked {
                event,
                time,
                kind,
                text,
            });
        }
    }

    /// Runs on to `until` (or the end), at most `events_max` events.
    pub fn advance(&mut self, until: Nanos, events_max: u64) -> Stop {
        let until = until.min(self.duration());
        let mut left = events_max;
        loop {
            match self.run.peek() {
                None => {
                    if self.run.stopped().is_none() {
                        self.now = self.duration();
                    }
                    return Stop::Finished;
                }
                Some(at) if at > until => {
                    self.now = self.now.max(until);
                    self.head = self.head.max(self.now);
                    return Stop::Time;
                }
                Some(_) => {}
            }
            if left == 0 {
                return Stop::Budget;
            }
            left -= 1;
            if self.step_run().is_none() {
                return Stop::Finished;
            }
            if let Some(gate) = self.open_gate() {
                // The gate stands before the event that opened it.
                let event = self.event().saturating_sub(1);
                self.seek_event(event);
                return Stop::Gate(gate);
            }
        }
    }

    /// The first gate whose predicate holds now; it will not stop the run again.
    fn open_gate(&mut self) -> Option<u32> {
        let facts = self.run.facts();
        let at = self
            .gates
            .iter()
            .position(|(_, predicate)| predicate.holds(&facts))?;
        Some(self.gates.remove(at).0)
    }

    /// Runs one event. `false` at the end.
    pub fn step(&mut self) -> bool {
        let before = self.event();
        while self.event() == before {
            if self.step_run().is_none() {
                return false;
            }
        }
        true
    }

    /// Goes back by one event. `false` at the beginning.
    pub fn step_back(&mut self) -> bool {
        let event = self.event();
        if event == 0 {
            return false;
        }
        self.seek_event(event - 1);
        true
    }

    /// Goes to a time: after all that happens up to and including it.
    pub fn seek(&mut self, time: Nanos) {
        let time = time.min(self.duration());
        let (frame, run) = self.keyframes.before_time(time);
        // Going on from here is cheaper than from a frame behind us.
        if self.now > time || frame > self.event() {
            let run = run.clone();
            self.resume(run);
        }
        let gates = std::mem::take(&mut self.gates);
        self.advance(time, u64::MAX);
        self.gates = gates;
        // A run that came to a bound has no moments after it.
        if self.run.stopped().is_none() {
            self.now = time;
        }
    }

    /// Goes on from a keyframe, under the present acts.
    fn resume(&mut self, mut run: Run) {
        run.set_actions(Arc::clone(&self.actions));
        self.now = run.world().now();
        self.run = run;
    }

    /// Goes to the moment right after this many executed events.
    pub fn seek_event(&mut self, event: u64) {
        let (frame, run) = self.keyframes.before_event(event);
        if self.event() > event || frame > self.event() {
            let run = run.clone();
            self.resume(run);
        }
        while self.event() < event && self.step_run().is_some() {}
        self.now = self.run.world().now();
    }

    /// The run right before this event: what was due between it and the one before is done.
    pub(super) fn run_before(&self, event: u64) -> Option<Run> {
        let mut copy = self.clone();
        copy.gates.clear();
        copy.seek_event(event);
        loop {
            let before = copy.run.clone();
            copy.step_run()?;
            if copy.event() > event {
                return Some(before);
            }
        }
    }

    /// Why a deed cannot be done now; `None` if it can.
    #[must_use]
    pub fn refusal(&self, deed: &Deed<Order>) -> Option<Refusal> {
        if self.recipe.actions.len() >= ACTIONS_MAX {
            return Some(Refusal(format!("a run holds at most {ACTIONS_MAX} acts")));
        }
        self.run.world().refusal(deed)
    }

    /// Does a deed now, after all events up to now. What the learner did later is dropped.
    ///
    /// # Errors
    /// If it cannot be done; nothing is changed then.
    pub fn act(&mut self, deed: Deed<Order>) -> Result<(), Refusal> {
        let at = self.now;
        // In the middle of an instant, the rest of the instant comes first: that is what a replay
        // of the recipe does.
        self.seek(at);
        if self.run.finished() {
            let why = match self.run.stopped() {
                Some(bound) => format!("{bound}; go back in time first"),
                None => "the scenario is over: go back in time first".to_owned(),
            };
            return Err(Refusal(why));
        }
        if let Some(refusal) = self.refusal(&deed) {
            return Err(refusal);
        }
        self.recipe.actions.retain(|action| action.at <= at);
        self.recipe.actions.push(Action { at, deed });
        self.branch_off(self.event());
        self.seek(at);
        Ok(())
    }

    /// Takes the learner's last act back. `false` if there is none.
    pub fn undo(&mut self) -> bool {
        let Some(last) = self.recipe.actions.pop() else {
            return false;
        };
        let now = self.now;
        // To the moment before the act: the keyframe must not have it done.
        let (_, run) = self.keyframes.before_time(last.at.saturating_sub(1));
        self.run = run.clone();
        self.branch_off(self.event());
        self.seek(now);
        true
    }

    /// The run differs from this event on: forgets what lay after it.
    fn branch_off(&mut self, event: u64) {
        self.actions = Arc::new(self.recipe.actions.clone());
        self.run.set_actions(Arc::clone(&self.actions));
        self.keyframes.truncate(event);
        self.history.truncate(event);
        self.now = self.run.world().now();
        self.head = self.now;
    }
}
