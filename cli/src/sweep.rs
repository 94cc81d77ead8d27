//! `strandline sweep`: many seeds, on all processors.

use crate::args::SweepArgs;
use crate::{Outcome, input, stop};
use serde::Serialize;
use sim_core::check::{Ending, FaultProfile, RunPlan, RunReport};
use sim_core::scenario::{self, Scenario};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What all seeds came to.
#[derive(Serialize, Default)]
struct Summary {
    /// Seeds that were to be run.
    asked: u64,
    /// Seeds that were run.
    seeds: u64,
    bad: u64,
    events: u64,
    lost: u64,
    duplicated: u64,
    reached: BTreeMap<&'static str, u64>,
}

/// Runs all seeds and prints the bad ones.
pub(crate) fn sweep(args: &SweepArgs) -> Outcome {
    match try_sweep(args) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn try_sweep(args: &SweepArgs) -> Result<Outcome, Outcome> {
    let (text, scenario) = input::scenario(&args.file)?;
    let seeds = input::range(&args.seeds)?;
    let (part, parts) = args.shard.as_deref().map_or(Ok((1, 1)), input::shard)?;
    let seeds: Vec<u64> = seeds.filter(|seed| seed % parts == part - 1).collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(cores).clamp(1, 256);
    let (next, bad_count) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done = AtomicU64::new(0);
    let results: Mutex<(Summary, Vec<RunReport>)> = Mutex::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let enough = bad_count.load(Ordering::Relaxed) >= args.stop_after;
                    let Some(seed) = seeds.get(at).filter(|_| !enough && !stop::wanted()) else {
                        return;
                    };
                    let report = plan(args, &scenario, *seed).run(|_, _| !stop::wanted());
                    if report.ended == Ending::Interrupted {
                        return;
                    }
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    count(&mut results.0, &report);
                    if !report.good() {
                        bad_count.fetch_add(1, Ordering::Relaxed);
                        results.1.push(report);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        watch(
            &done,
            &bad_count,
            seeds.len() as u64,
            began,
            args.stop_after,
        );
    });
    let (mut summary, mut bad) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.asked = seeds.len() as u64;
    bad.sort_by_key(|report| report.seed);
    print_all(args, &summary, &bad, began.elapsed());
    if let (Some(path), Some(first)) = (&args.save, bad.first()) {
        let plan = plan(args, &scenario, first.seed);
        let actions: Vec<_> = plan.actions.into_iter().map(|a| (a.at, a.deed)).collect();
        let saved = scenario::with_seed(&text, first.seed)
            .and_then(|text| scenario::with_actions(&text, &actions))
            .map_err(|problems| {
                eprint!("{}", scenario::render(&problems, "the saved run", &text));
                Outcome::BadInput
            })?;
        if let Err(error) = std::fs::write(path, saved) {
            eprintln!("cannot write {}: {error}", path.display());
            return Err(Outcome::BadInput);
        }
        eprintln!("seed {} is saved as {}", first.seed, path.display());
    }
    Ok(if bad.is_empty() && !stop::wanted() {
        Outcome::Held
    } else {
        Outcome::Broken
    })
}

fn plan(args: &SweepArgs, scenario: &Arc<Scenario>, seed: u64) -> RunPlan {
    let plan = RunPlan::of(Arc::clone(scenario), seed);
    if args.faults == 0 {
        return plan;
    }
    let profile = FaultProfile {
        count: args.faults,
        power: args.power,
        members: args.members,
        ..FaultProfile::of(scenario)
    };
    plan.with_faults(&profile)
}

fn count(summary: &mut Summary, report: &RunReport) {
    summary.seeds += 1;
    summary.bad += u64::from(!report.good());
    summary.events += report.events;
    summary.lost += report.ledger.lost;
    summary.duplicated += report.ledger.duplicated;
    for (rule, times) in &report.reached {
        *summary.reached.entry(rule).or_default() += times;
    }
}

/// Shows progress until all seeds are done.
fn watch(done: &AtomicU64, bad: &AtomicUsize, all: u64, began: Instant, enough: usize) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let (now, found) = (done.load(Ordering::Relaxed), bad.load(Ordering::Relaxed));
        eprint!(
            "\r{now} of {all} seeds · {found} bad · {:.0} s ",
            began.elapsed().as_secs_f64()
        );
        if now >= all || stop::wanted() || found >= enough {
            eprintln!();
            return;
        }
    }
}

fn print_all(args: &SweepArgs, summary: &Summary, bad: &[RunReport], took: Duration) {
    if args.json {
        for report in bad {
            crate::say!("{}", serde_json::to_string(report).unwrap_or_default());
        }
        crate::say!("{}", serde_json::to_string(summary).unwrap_or_default());
        return;
    }
    for report in bad {
        crate::say!(
            "seed {}: {} lost, digest {}",
            report.seed,
            report.ledger.lost,
            report.digest
        );
        if let Ending::Stopped(bound) = report.ended {
            crate::say!("  {bound}");
        }
        for violation in &report.violations {
            crate::say!("  invariant {violation}");
        }
        for verdict in &report.verdicts {
            if verdict.state == sim_core::view::VerdictState::Broken {
                crate::say!("  expectation {} ({})", verdict.text, verdict.detail);
            }
        }
    }
    crate::say!(
        "{} seeds, {} bad · {} events in {:.1} s · {} lost, {} duplicated",
        summary.seeds,
        summary.bad,
        summary.events,
        took.as_secs_f64(),
        summary.lost,
        summary.duplicated
    );
    if summary.seeds < summary.asked {
        crate::say!("{} of {} seeds were run", summary.seeds, summary.asked);
    }
    let reached: Vec<String> = summary
        .reached
        .iter()
        .map(|(rule, times)| format!("{rule} {times}"))
        .collect();
    crate::say!("reached: {}", reached.join(", "));
}
