//! One seed of a sweep: run it to the end, and say what was broken and what was reached.

use super::faults::{FaultProfile, faults, targets};
use crate::kernel::Nanos;
use crate::run::{Action, Bounds, Occurrence, Run, RunScratch, Stopped};
use crate::scenario::Scenario;
use crate::stream::delivery::{Delivered, broken, delivered};
use crate::stream::restored::RestoreCheck;
use crate::stream::rows::{Output, outputs};
use crate::stream::summary::{Subject, summary};
use crate::stream::why;
use crate::view::{LedgerView, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Steps between two calls that tell of progress.
const PROGRESS_STEPS: u64 = 16_384;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It reached the end of the scenario.
    Complete,
    /// It reached the time asked for.
    Until,
    /// Whoever watched its progress had enough.
    Interrupted,
    /// It came to a bound.
    Stopped(Stopped),
}

/// What one run came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RunReport {
    /// Seed.
    pub seed: u64,
    /// Executed events.
    pub events: u64,
    /// Simulated time reached, ns.
    pub time: Nanos,
    /// How it ended.
    pub ended: Ending,
    /// Rolling digest at the end, 16 hexadecimal digits.
    pub digest: String,
    /// The ledger.
    pub ledger: LedgerView,
    /// What the job came to, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub job: Vec<Subject>,
    /// What its sinks hold, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Broken invariants, in words.
    pub violations: Vec<String>,
    /// An expectation of the scenario is about the invariants: then its verdict counts. Stories
    /// of historic bugs expect them to break.
    pub invariants_judged: bool,
    /// The scenario's expectations.
    pub verdicts: Vec<Verdict>,
    /// Deeds that could not be done, in words.
    pub refused: Vec<String>,
    /// How often each rule fired: proof that a sweep reached interesting states.
    pub reached: BTreeMap<&'static str, u64>,
}

impl RunReport {
    /// No expectation broken, and no invariant unless an expectation judges that; and it was not cut short, for then nobody knows.
    #[must_use]
    pub fn good(&self) -> bool {
        matches!(self.ended, Ending::Complete | Ending::Until)
            && (self.invariants_judged || self.violations.is_empty())
            && self
                .verdicts
                .iter()
                .all(|v| v.state != crate::view::VerdictState::Broken)
    }
}

/// What a run is asked.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// Seed.
    pub seed: u64,
    /// Acts besides the scenario's own timeline.
    pub actions: Vec<Action>,
    /// Stop here, ns, if before the scenario's end.
    pub until: Option<Nanos>,
    /// What it may take at most.
    pub bounds: Bounds,
    /// What a job delivers when nothing fails: the run is to deliver the same.
    pub clean: Vec<Delivered>,
    /// Whether the rows that sinks hold are wanted.
    pub rows: bool,
}

impl RunPlan {
    /// The scenario as written, with one seed.
    #[must_use]
    pub fn of(scenario: Arc<Scenario>, seed: u64) -> Self {
        RunPlan {
            scenario,
            seed,
            actions: Vec::new(),
            until: None,
            bounds: Bounds::default(),
            clean: Vec::new(),
            rows: false,
        }
    }

    /// With random faults for its seed.
    #[must_use]
    pub fn with_faults(mut self, profile: &FaultProfile) -> Self {
        let run = Run::new(Arc::clone(&self.scenario), self.seed, Arc::new(Vec::new()));
        let nodes: Vec<_> = run
            .world()
            .nodes()
            .iter()
            .map(|slot| slot.process.clone())
            .collect();
        self.actions = faults(self.seed, &targets(&nodes, profile.members), profile);
        self.clean = self.delivered_without_faults(run);
        self
    }

    /// What the scenario's job delivers if it has one, by running it to its end.
    fn delivered_without_faults(&self, mut run: Run) -> Vec<Delivered> {
        if why::job(run.world()).is_none() {
            return Vec::new();
        }
        let mut scratch = RunScratch::default();
        while run.step(&mut scratch).is_some() {}
        delivered(run.world())
    }

    /// Runs it. `progress` is called now and then with the simulated time; it says whether to go
    /// on.
    pub fn run(&self, mut progress: impl FnMut(Nanos, u64) -> bool) -> RunReport {
        let actions = Arc::new(self.actions.clone());
        let mut run = Run::bounded(Arc::clone(&self.scenario), self.seed, actions, self.bounds);
        let mut scratch = RunScratch::default();
        let mut violations = Vec::new();
        let mut refused = Vec::new();
        let mut reached = Tally::default();
        let mut restored = RestoreCheck::default();
        let mut steps = 0_u64;
        let mut ended = Ending::Complete;
        while !run.finished() {
            if let Some(until) = self.until
                && run.peek().is_some_and(|at| at > until)
            {
                ended = Ending::Until;
                break;
            }
            steps += 1;
            if steps.is_multiple_of(PROGRESS_STEPS)
                && !progress(run.world().now(), run.world().executed())
            {
                ended = Ending::Interrupted;
                break;
            }
            if run.step(&mut scratch).is_none() {
                break;
            }
            for note in &scratch.kernel.notes {
                if note.is_rule() {
                    reached.count(note.rule_name());
                }
                violations.extend(restored.on(note, run.world()));
            }
            for occurrence in scratch.occurrences.drain(..) {
                match occurrence {
                    Occurrence::Violation(text) => violations.push(text),
                    Occurrence::Refused(text) => refused.push(text),
                    _ => {}
                }
            }
        }
        if let Some(bound) = run.stopped() {
            ended = Ending::Stopped(bound);
        }
        if ended == Ending::Complete
            && let Some(job) = why::job(run.world())
        {
            violations.extend(broken(&self.clean, &delivered(run.world()), job));
        }
        let committed = crate::kafka::facts::committed(run.world(), run.ledger());
        RunReport {
            seed: self.seed,
            events: run.world().executed(),
            time: run.world().now(),
            ended,
            digest: format!("{:016x}", run.world().digest()),
            ledger: run.ledger().view(committed),
            job: summary(run.world()),
            outputs: match self.rows {
                true => outputs(run.world()),
                false => Vec::new(),
            },
            violations,
            invariants_judged: self.scenario.judges_invariants(),
            verdicts: run.judge().view(&self.scenario),
            refused,
            reached: {
                let mut sum = reached.sum();
                if restored.compared() > 0 {
                    sum.insert("state-compared", restored.compared());
                }
                sum
            },
        }
    }
}

/// Counts by name. Names come from a few constants, so that the same name is nearly always the
/// same place in memory, and no text is compared while the run goes on.
#[derive(Default)]
struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    fn count(&mut self, name: &'static str) {
        match self.0.iter().position(|(it, _)| std::ptr::eq(*it, name)) {
            Some(at) => {
                self.0[at].1 += 1;
                // What is counted often comes to be found at once.
                self.0.swap(at, at.saturating_sub(1));
            }
            None => self.0.push((name, 1)),
        }
    }

    fn sum(self) -> BTreeMap<&'static str, u64> {
        let mut sum = BTreeMap::new();
        for (name, count) in self.0 {
            *sum.entry(name).or_default() += count;
        }
        sum
    }
}
