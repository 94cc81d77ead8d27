//! `strandline run`.

use crate::args::RunArgs;
use crate::replay::Recording;
use crate::{Outcome, input, out, report, stop};
use sim_core::check::{Ending, RunPlan};
use sim_core::run::span_words;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Runs a scenario and prints what became of it.
pub(crate) fn run(args: &RunArgs) -> Outcome {
    match try_run(args) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn try_run(args: &RunArgs) -> Result<Outcome, Outcome> {
    let (text, scenario) = input::scenario(&args.file)?;
    let until = args
        .until
        .as_deref()
        .map(|until| input::time("until", until))
        .transpose()?;
    let seed = args.seed.unwrap_or(scenario.seed);
    let mut plan = RunPlan::of(scenario.clone(), seed);
    plan.until = until;
    plan.rows = args.rows;
    let mut progress = Progress::new(until.unwrap_or(scenario.duration));
    let report = plan.run(|at, events| progress.show(at, events));
    progress.end();
    if let Some(path) = &args.record
        && report.ended == Ending::Interrupted
    {
        // The run was left in the middle of an instant, which no link can name.
        eprintln!("{} is not written: the run was interrupted", path.display());
    } else if let Some(path) = &args.record {
        let recording = Recording::of(text, &report, until);
        let json = serde_json::to_string_pretty(&recording).unwrap_or_default();
        if let Err(error) = std::fs::write(path, json + "\n") {
            eprintln!("cannot write {}: {error}", path.display());
            return Err(Outcome::BadInput);
        }
    }
    if args.json {
        crate::say!(
            "{}",
            serde_json::to_string_pretty(&report).unwrap_or_default()
        );
    } else {
        out::print(format_args!("{}", report::table(&scenario.title, &report)));
    }
    Ok(if report.good() {
        Outcome::Held
    } else {
        Outcome::Broken
    })
}

/// A line on standard error while a run takes long, if somebody watches.
struct Progress {
    end: u64,
    began: Instant,
    shown: Option<Instant>,
    watched: bool,
}

impl Progress {
    fn new(end: u64) -> Self {
        let watched = std::io::stderr().is_terminal();
        Progress {
            end,
            began: Instant::now(),
            shown: None,
            watched,
        }
    }

    fn show(&mut self, at: u64, events: u64) -> bool {
        let due = self.shown.unwrap_or(self.began).elapsed() > Duration::from_millis(500);
        if self.watched && due {
            self.shown = Some(Instant::now());
            let share = at.saturating_mul(100) / self.end.max(1);
            eprint!(
                "\r{share:>3} %  simulated {} · {events} events ",
                span_words(at)
            );
        }
        !stop::wanted()
    }

    fn end(&self) {
        if self.shown.is_some() {
            eprintln!();
        }
    }
}
