//! The run behind a workbench: a session of the engine, the pace at which it goes, the runs kept
//! as branches, and what can be undone. This is the only module that names the engine's session
//! type; everything else asks through [`Host`] or is handed plain views.
//!
//! No web types here: the frame loop, signals and storage are `crate::bench`'s.

mod home;
mod open;

use std::sync::Arc;

use sim_core::scenario::Predicate;

pub(crate) use open::{RecordRow, open_session, predicate, records, to_toml};
pub(crate) use sim_core::kernel::Refusal;
pub(crate) use sim_core::run::{
    LinkProblem, Offer, Opened, Recipe, Session, Stop, Target, deed_words,
};
pub(crate) use sim_core::scenario::{Diagnostic, Severity, complete, diagnose};

/// What can be done to a run.
pub(crate) type Deed = sim_core::kernel::Deed<sim_core::systems::Order>;

use crate::format::{self, SPEEDS, spoken};

/// The scenario of the home page, as a file.
pub(crate) const HOME: &str = include_str!("../pages/home.toml");

/// Makes a session of a recipe, or says what is wrong with its scenario.
type Reader = fn(Recipe) -> Result<Session, Vec<Diagnostic>>;

/// Events executed between two looks at the clock.
const CHUNK: u64 = 500;
/// Frames in a row over the budget before the page says so.
const SLOW_FRAMES: u32 = 8;

/// One run of the tree of runs. The one that is on stage is `Host::current`; the others wait as
/// recipes.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// Identity within this workbench.
    pub(crate) id: u32,
    /// Name, given by the fault that made it or by the learner.
    pub(crate) name: String,
    /// The run it parted from.
    pub(crate) parent: Option<u32>,
    /// When it parted, ns.
    pub(crate) forked_at: u64,
    /// How far it has been explored, ns.
    pub(crate) head: u64,
    /// What to execute to get it back.
    pub(crate) recipe: Recipe,
    /// What can be undone on it, newest last.
    undo: Vec<Undo>,
}

#[derive(Clone, Debug)]
struct Undo {
    /// What it undoes, for the button.
    label: String,
    /// The recipe before.
    recipe: Recipe,
    /// The run that was current before, if the deed made a branch.
    back_to: Option<u32>,
}

/// What a frame did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Moved {
    /// Simulated time or state changed.
    pub(crate) changed: bool,
    /// The run stopped by itself (its end, or a prediction).
    pub(crate) halted: bool,
}

/// What a look ahead found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ahead {
    /// Something worth a mark, or a prediction to be made; the run stands there.
    Mark,
    /// Nothing so far; the search can go on from here.
    NotYet,
    /// Nothing until the end of the run.
    End,
}

/// A session with its pace and its branches.
pub(crate) struct Host {
    session: Session,
    /// The home page has one of its own, which reads no files: see [`home`].
    read: Reader,
    playing: bool,
    speed: usize,
    /// Part of a nanosecond that the pace owes.
    carry: f64,
    slow_frames: u32,
    gate: Option<u32>,
    /// Predictions before which the run halts; a session that is opened anew gets them again.
    gates: Vec<(u32, Predicate)>,
    stop_at: Option<u64>,
    finished: bool,
    branches: Vec<Branch>,
    current: u32,
    next_id: u32,
}

impl Host {
    /// Opens `recipe` and looks at its `time`.
    pub(crate) fn open(recipe: Recipe, speed: f64) -> Result<Host, Vec<Diagnostic>> {
        Host::with(open_session, recipe, speed)
    }

    /// Opens the home page's run and looks at `time`.
    pub(crate) fn home(time: u64, speed: f64) -> Result<Host, Vec<Diagnostic>> {
        let recipe = Recipe {
            time,
            ..Recipe::of(HOME)
        };
        Host::with(
            |r| Ok(Session::of(Arc::new(home::scenario()), r)),
            recipe,
            speed,
        )
    }

    fn with(read: Reader, recipe: Recipe, speed: f64) -> Result<Host, Vec<Diagnostic>> {
        let at = recipe.time;
        let mut session = read(recipe)?;
        session.seek(at);
        let first = Branch {
            id: 0,
            name: "First run".into(),
            parent: None,
            forked_at: 0,
            head: session.head(),
            recipe: session.recipe(),
            undo: Vec::new(),
        };
        Ok(Host {
            session,
            read,
            playing: false,
            speed: format::nearest_speed(speed),
            carry: 0.0,
            slow_frames: 0,
            gate: None,
            gates: Vec::new(),
            stop_at: None,
            finished: false,
            branches: vec![first],
            current: 0,
            next_id: 1,
        })
    }

    /// The session, to ask it things.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether time runs.
    pub(crate) fn playing(&self) -> bool {
        self.playing
    }

    /// Starts or stops time. At the end of the run, playing starts over from its beginning.
    pub(crate) fn set_playing(&mut self, playing: bool) {
        if playing && self.session.now() >= self.session.duration() {
            self.seek(0);
        }
        self.playing = playing;
        self.gate = None;
        self.slow_frames = 0;
    }

    /// Index of the speed in [`SPEEDS`].
    pub(crate) fn speed(&self) -> usize {
        self.speed
    }

    /// Chooses a speed by its index.
    pub(crate) fn set_speed(&mut self, index: usize) {
        self.speed = index.min(SPEEDS.len() - 1);
        self.slow_frames = 0;
    }

    /// True while the machine cannot follow the chosen speed.
    pub(crate) fn slow(&self) -> bool {
        self.playing && self.slow_frames >= SLOW_FRAMES
    }

    /// The prediction that halted the run, if one did.
    pub(crate) fn gate(&self) -> Option<u32> {
        self.gate
    }

    /// Sets the predictions before which the run halts.
    pub(crate) fn set_gates(&mut self, gates: Vec<(u32, Predicate)>) {
        self.session.set_gates(gates.clone());
        self.gates = gates;
    }

    /// Sets a time at which playing halts, once.
    pub(crate) fn set_stop_at(&mut self, time: Option<u64>) {
        self.stop_at = time;
    }

    /// True at the end of the scenario's time.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Lets `step_ms` of real time pass. `clock_ms` reads a monotonic clock; no more than about
    /// `budget_ms` of it is used, and what could not be simulated is given up, so that a slow
    /// machine shows slow time rather than a frozen page.
    pub(crate) fn frame(
        &mut self,
        step_ms: f64,
        budget_ms: f64,
        clock_ms: impl Fn() -> f64,
    ) -> Moved {
        if !self.playing {
            return Moved::default();
        }
        let before = (self.session.now(), self.session.event());
        let due = step_ms * 1e6 * SPEEDS[self.speed].0 + self.carry;
        self.carry = due.fract();
        let last = self
            .stop_at
            .unwrap_or(u64::MAX)
            .min(self.session.duration());
        let until = (self.session.now() + due as u64).min(last.max(self.session.now()));
        let started = clock_ms();
        let mut halted = false;
        loop {
            match self.session.advance(until, CHUNK) {
                Stop::Time => {
                    self.slow_frames = 0;
                    break;
                }
                Stop::Budget if clock_ms() - started < budget_ms => {}
                Stop::Budget => {
                    self.slow_frames = self.slow_frames.saturating_add(1);
                    break;
                }
                Stop::Finished => {
                    (halted, self.finished) = (true, true);
                    break;
                }
                Stop::Gate(number) => {
                    halted = true;
                    self.gate = Some(number);
                    self.gates.retain(|(n, _)| *n != number);
                    break;
                }
            }
        }
        if self.stop_at.is_some_and(|at| self.session.now() >= at) {
            self.stop_at = None;
            halted = true;
        }
        if halted {
            self.playing = false;
        }
        let changed = before != (self.session.now(), self.session.event());
        Moved { changed, halted }
    }

    /// Executes one event and stops.
    pub(crate) fn step(&mut self) -> bool {
        self.playing = false;
        self.gate = None;
        self.session.step()
    }

    /// Takes one event back and stops.
    pub(crate) fn step_back(&mut self) -> bool {
        self.playing = false;
        self.gate = None;
        self.finished = false;
        self.session.step_back()
    }

    /// Goes to a time.
    pub(crate) fn seek(&mut self, ns: u64) {
        self.carry = 0.0;
        self.gate = None;
        self.session.seek(ns.min(self.session.duration()));
        self.finished = self.session.now() >= self.session.duration();
    }

    /// Runs on, unseen, to the next thing that is worth a mark, and stands there, stopped. `clock_ms`
    /// reads a monotonic clock; after about `budget_ms` the search rests where it has come to.
    pub(crate) fn look_ahead(&mut self, budget_ms: f64, clock_ms: impl Fn() -> f64) -> Ahead {
        self.playing = false;
        self.gate = None;
        self.carry = 0.0;
        let known = self.session.history().marks().len();
        let started = clock_ms();
        loop {
            let stop = self.session.advance(u64::MAX, CHUNK);
            let found = self.session.history().marks().get(known).map(|m| m.time);
            if let Some(time) = found {
                self.session.seek(time);
                return Ahead::Mark;
            }
            match stop {
                Stop::Gate(number) => {
                    self.gate = Some(number);
                    self.gates.retain(|(n, _)| *n != number);
                    return Ahead::Mark;
                }
                Stop::Finished | Stop::Time => {
                    self.finished = true;
                    return Ahead::End;
                }
                Stop::Budget if clock_ms() - started < budget_ms => {}
                Stop::Budget => return Ahead::NotYet,
            }
        }
    }

    /// Goes to the moment after the event with this number.
    pub(crate) fn seek_event(&mut self, event: u64) {
        self.carry = 0.0;
        self.gate = None;
        self.finished = false;
        self.session.seek_event(event);
    }

    /// Does a deed now. If a future has been seen that this deed changes, that future is kept as
    /// the run it was and a new run parts from it here.
    pub(crate) fn act(&mut self, deed: Deed, label: &str) -> Result<(), Refusal> {
        let (now, head) = (self.session.now(), self.session.head());
        let before = self.session.recipe();
        self.session.act(deed)?;
        self.finished = false;
        let forks = head > now;
        let name = format!("{label} at {}", spoken(now));
        let undo = Undo {
            label: label.to_owned(),
            recipe: Recipe {
                time: now,
                ..before.clone()
            },
            back_to: forks.then_some(self.current),
        };
        if !forks {
            if let Some(branch) = self.current_mut() {
                branch.undo.push(undo);
            }
            return Ok(());
        }
        if let Some(branch) = self.current_mut() {
            branch.recipe = before;
            branch.head = head;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.branches.push(Branch {
            id,
            name,
            parent: Some(self.current),
            forked_at: now,
            head: now,
            recipe: self.session.recipe(),
            undo: vec![undo],
        });
        self.current = id;
        Ok(())
    }

    /// What `undo` would take back.
    pub(crate) fn undo_label(&self) -> Option<&str> {
        self.branch(self.current)?
            .undo
            .last()
            .map(|u| u.label.as_str())
    }

    /// Takes the last deed back; a run that it made goes with it. Returns what was undone.
    pub(crate) fn undo(&mut self) -> Option<String> {
        let undo = self.current_mut()?.undo.pop()?;
        let at = undo.recipe.time;
        match undo.back_to {
            Some(parent) => {
                self.branches.retain(|b| b.id != self.current);
                self.current = parent;
                let recipe = self.branch(parent)?.recipe.clone();
                self.reopen(recipe, at);
            }
            None if self.session.undo() => self.seek(at),
            None => self.reopen(undo.recipe, at),
        }
        Some(undo.label)
    }

    /// All runs, oldest first, with the current one's recipe and head brought up to date.
    pub(crate) fn branches(&mut self) -> &[Branch] {
        self.file_current();
        &self.branches
    }

    /// The identity of the run on stage.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// Puts another run on stage, at the same simulated time as far as it goes.
    pub(crate) fn select_branch(&mut self, id: u32) -> bool {
        self.file_current();
        let at = self.session.now();
        let Some(branch) = self.branch(id) else {
            return false;
        };
        let (recipe, at) = (branch.recipe.clone(), at.min(branch.head));
        self.current = id;
        self.reopen(recipe, at);
        true
    }

    /// Names a run.
    pub(crate) fn rename_branch(&mut self, id: u32, name: &str) {
        if let Some(branch) = self.branches.iter_mut().find(|b| b.id == id) {
            branch.name = name.to_owned();
        }
    }

    /// Forgets a run that is not on stage; those that parted from it now part from its parent.
    pub(crate) fn drop_branch(&mut self, id: u32) {
        if id == self.current {
            return;
        }
        let parent = self.branch(id).and_then(|b| b.parent);
        self.branches.retain(|b| b.id != id);
        for branch in self.branches.iter_mut().filter(|b| b.parent == Some(id)) {
            branch.parent = parent;
        }
        for branch in &mut self.branches {
            branch.undo.retain(|u| u.back_to != Some(id));
        }
    }

    /// Adds a run beside the current one without going to it, e.g. the twin of a lesson.
    pub(crate) fn keep_branch(&mut self, name: &str, recipe: Recipe) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.branches.push(Branch {
            id,
            name: name.to_owned(),
            parent: None,
            forked_at: 0,
            head: recipe.time,
            recipe,
            undo: Vec::new(),
        });
        id
    }

    /// The run as a recipe that looks at the present time.
    pub(crate) fn recipe_now(&self) -> Recipe {
        self.session.recipe()
    }

    /// The run at its present moment as the fragment of a link, with its digest, so that whoever
    /// opens it can tell whether they see the same.
    pub(crate) fn fragment(&self) -> Result<String, LinkProblem> {
        let digest = u64::from_str_radix(&self.session.digest(), 16).ok();
        self.recipe_now().to_fragment(digest)
    }

    fn branch(&self, id: u32) -> Option<&Branch> {
        self.branches.iter().find(|b| b.id == id)
    }

    fn current_mut(&mut self) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|b| b.id == self.current)
    }

    fn file_current(&mut self) {
        let (recipe, head) = (self.session.recipe(), self.session.head());
        if let Some(branch) = self.current_mut() {
            branch.head = branch.head.max(head);
            branch.recipe = recipe;
        }
    }

    fn reopen(&mut self, recipe: Recipe, at: u64) {
        // A recipe that ran once runs again; if the engine were to refuse it, the present run
        // stays on stage rather than something else.
        if let Ok(session) = (self.read)(recipe) {
            self.session = session;
            self.session.set_gates(self.gates.clone());
            self.seek(at);
        }
    }
}

#[cfg(test)]
mod tests;
