//! What tests of whole stories share.

use sim_core::check::{RunPlan, RunReport};
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::sync::Arc;

/// Runs a scenario; every expectation must hold, no invariant may break, and nothing may be refused.
pub(crate) fn holds(name: &str, text: &str) -> RunReport {
    let scenario = scenario::parse(text)
        .into_result()
        .unwrap_or_else(|problems| panic!("{}", scenario::render(&problems, name, text)));
    let report = RunPlan::of(Arc::new(scenario), 1).run(|_, _| true);
    let open: Vec<_> = report
        .verdicts
        .iter()
        .filter(|v| v.state != VerdictState::Held)
        .collect();
    assert!(
        open.is_empty() && report.violations.is_empty() && report.refused.is_empty(),
        "{name}: {open:#?} {:?} {:?} {:?}",
        report.violations,
        report.refused,
        report.ledger
    );
    report
}
