//! The engine in its own domain: a busy cluster that loses a broker.

use sim_core::check::RunPlan;
use sim_core::scenario;
use std::sync::Arc;
use std::time::Instant;

/// The scenario that is measured; the site's benchmark page runs the same file.
const SCENARIO: &str = include_str!("../../../scenarios/bench-cluster.toml");

/// Runs it several times; returns its events and the median of events per second.
pub(super) fn measure(rounds: u32) -> Result<(u64, f64), String> {
    let scenario = scenario::parse(SCENARIO)
        .into_result()
        .map_err(|problems| scenario::render(&problems, "bench-cluster.toml", SCENARIO))?;
    let scenario = Arc::new(scenario);
    let mut rates = Vec::new();
    let mut events = 0;
    for _ in 0..rounds {
        let began = Instant::now();
        let report = RunPlan::of(Arc::clone(&scenario), scenario.seed).run(|_, _| true);
        rates.push(report.events as f64 / began.elapsed().as_secs_f64());
        events = report.events;
        if !report.good() {
            return Err(format!("the measured run is not a good one: {report:?}"));
        }
    }
    Ok((events, super::median(&mut rates)))
}
