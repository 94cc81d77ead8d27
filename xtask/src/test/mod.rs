//! `cargo xtask test`: every test there is, in named stages, with one total at the end.

mod stages;
mod style;
mod totals;

use crate::failure::Outcome;
use crate::{tools, ui};
use clap::Args;
use stages::{STAGES, Stage};
use std::time::Instant;
use totals::Totals;

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this stage; may be given more than once
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Leave out the stages that need a release build or a browser
    #[arg(long)]
    quick: bool,
    /// List the stages and end
    #[arg(long)]
    list: bool,
}

/// Runs the chosen stages. Returns whether all tests passed.
pub(crate) fn run(options: &Options) -> Outcome<bool> {
    if options.list {
        for stage in &STAGES {
            ui::line(&format!("  {:<14} {}", stage.name, stage.about));
        }
        return Ok(true);
    }
    let chosen = choose(options)?;
    let mut needs = Vec::new();
    for need in tools::Need::ALL {
        if chosen.iter().any(|stage| stage.needs.contains(&need)) {
            needs.push(need);
        }
    }
    let missing = tools::provide(&needs);
    ui::heading("Tests");
    let started = Instant::now();
    let mut results = Vec::new();
    for (index, stage) in chosen.iter().enumerate() {
        let step = ui::Step::begin(index + 1, chosen.len(), stage.name);
        step.working(stage.about);
        let began = Instant::now();
        let outcome = missing.require(stage.needs).and_then(|()| (stage.run)());
        let totals = match outcome {
            Ok(totals) if totals.failed == 0 => {
                step.done(&totals.to_string());
                totals
            }
            Ok(totals) => {
                step.failed(&totals.to_string());
                totals
            }
            Err(failure) => {
                step.failed(&failure.to_string());
                Totals {
                    passed: 0,
                    failed: 1,
                    note: failure.what,
                }
            }
        };
        results.push((stage.name, totals, began.elapsed()));
    }
    Ok(conclude(&results, started.elapsed()))
}

fn choose(options: &Options) -> Outcome<Vec<&'static Stage>> {
    let known = |name: &String| STAGES.iter().any(|stage| stage.name == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        let text = format!(
            "there is no stage named {unknown}: they are {}",
            names.join(", ")
        );
        return Err(crate::failure::Failure::new(text));
    }
    let wanted = |stage: &&Stage| match options.only.is_empty() {
        true => !(options.quick && stage.slow),
        false => options.only.iter().any(|name| name == stage.name),
    };
    Ok(STAGES.iter().filter(wanted).collect())
}

fn conclude(results: &[(&str, Totals, std::time::Duration)], took: std::time::Duration) -> bool {
    ui::heading("Result");
    let mut all = Totals::default();
    for (name, totals, time) in results {
        ui::line(&format!(
            "  {name:<14} {totals:<44} {}",
            ui::duration(*time)
        ));
        all.passed += totals.passed;
        all.failed += totals.failed;
    }
    ui::line(&format!("  in {}", ui::duration(took)));
    ui::line(&format!("{} passed, {} failed", all.passed, all.failed));
    all.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], quick: bool) -> Option<Vec<&'static str>> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let options = Options {
            only,
            quick,
            list: false,
        };
        Some(
            choose(&options)
                .ok()?
                .iter()
                .map(|stage| stage.name)
                .collect(),
        )
    }

    #[test]
    fn stages_are_chosen_by_name_or_speed() {
        let all = names(&[], false).expect("all");
        assert_eq!(all.len(), STAGES.len());
        let quick = names(&[], true).expect("some");
        assert!(
            quick.contains(&"unit") && !quick.contains(&"e2e"),
            "{quick:?}"
        );
        assert_eq!(
            names(&["e2e"], true),
            Some(vec!["e2e"]),
            "a named stage always runs"
        );
        assert_eq!(names(&["nonsense"], false), None);
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let good = Totals {
            passed: 3,
            failed: 0,
            note: String::new(),
        };
        let bad = Totals {
            passed: 3,
            failed: 1,
            note: String::new(),
        };
        let time = std::time::Duration::ZERO;
        assert!(conclude(&[("a", good.clone(), time)], time));
        assert!(!conclude(&[("a", good, time), ("b", bad, time)], time));
    }
}
