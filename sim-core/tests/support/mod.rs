//! What tests of whole stories share: a scenario is read, changed, run and judged, once or for many
//! seeds with random faults.

#![allow(dead_code, reason = "each test takes what it needs of it")]

pub(crate) mod listed;

use sim_core::check::{FaultProfile, RunPlan, RunReport};
use sim_core::scenario::{self, Scenario};
use sim_core::view::VerdictState;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Reads a scenario that must be right.
pub(crate) fn read(name: &str, text: &str) -> Arc<Scenario> {
    let read = scenario::parse(text).into_result();
    Arc::new(read.unwrap_or_else(|found| panic!("{}", scenario::render(&found, name, text))))
}

/// Runs a scenario with its own seed.
pub(crate) fn run(name: &str, text: &str) -> RunReport {
    let scenario = read(name, text);
    let seed = scenario.seed;
    RunPlan::of(scenario, seed).run(|_, _| true)
}

/// Every expectation held, and nothing of the timeline was refused.
pub(crate) fn assert_held(name: &str, report: &RunReport) {
    let verdicts = report.verdicts.iter();
    let open: Vec<_> = verdicts
        .filter(|it| it.state != VerdictState::Held)
        .collect();
    assert!(
        open.is_empty() && report.refused.is_empty(),
        "{name}: {open:#?} {:?} {:?} {:?}",
        report.violations,
        report.refused,
        report.ledger
    );
}

/// Runs a scenario; every expectation must hold, no invariant may break, and nothing may be refused.
pub(crate) fn holds(name: &str, text: &str) -> RunReport {
    let report = run(name, text);
    assert_held(name, &report);
    assert!(
        report.violations.is_empty(),
        "{name}: {:?}",
        report.violations
    );
    report
}

/// The same of a scenario with replacements and with more expectations.
pub(crate) fn told(name: &str, text: &str, change: &[(&str, &str)], expect: &[&str]) -> RunReport {
    holds(name, &(changed(name, text, change) + &expecting(expect)))
}

/// A scenario with replacements, each of which must find something.
pub(crate) fn changed(name: &str, text: &str, change: &[(&str, &str)]) -> String {
    change.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{name}: {from}");
        text.replace(from, to)
    })
}

/// Expectations, each `predicate @ time` or `predicate @ key = value`; at the end without either.
pub(crate) fn expecting(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let (that, at) = line.split_once(" @ ").unwrap_or((line, "end"));
        let at = match at.contains('=') {
            true => at.to_owned(),
            false => format!("at = \"{at}\""),
        };
        let _ = write!(text, "[[expect]]\nthat = '{that}'\n{at}\n");
    }
    text
}

/// How often a rule was at work.
pub(crate) fn reached(report: &RunReport, rule: &str) -> u64 {
    report.reached.get(rule).copied().unwrap_or(0)
}

/// Runs a scenario once for each seed, with random faults.
pub(crate) fn sweep(
    text: &str,
    seeds: impl IntoIterator<Item = u64>,
    change: fn(FaultProfile) -> FaultProfile,
) -> Vec<RunReport> {
    let scenario = read("sweep", text);
    let profile = change(FaultProfile::of(&scenario));
    let run = |seed| {
        let plan = RunPlan::of(Arc::clone(&scenario), seed);
        plan.with_faults(&profile).run(|_, _| true)
    };
    seeds.into_iter().map(run).collect()
}

/// Eight faults, which hit the members of groups too.
pub(crate) fn members_too(profile: FaultProfile) -> FaultProfile {
    FaultProfile {
        count: 8,
        members: true,
        ..profile
    }
}

/// Every run must be good, and together they must have reached these rules.
pub(crate) fn assert_good(reports: &[RunReport], rules: &[&str]) {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for report in reports {
        assert!(
            report.good(),
            "seed {}: {:?} {:?} {:?} {:?}",
            report.seed,
            report.ended,
            report.violations,
            report.verdicts,
            report.ledger
        );
        for (rule, times) in &report.reached {
            *reached.entry(rule).or_default() += times;
        }
    }
    for rule in rules {
        let found = reached.contains_key(rule);
        assert!(found, "no seed reached `{rule}`: {reached:?}");
    }
}
