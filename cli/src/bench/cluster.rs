//! The engine in its own domain: a busy cluster that loses a broker.

use sim_core::check::RunPlan;
use sim_core::scenario;
use std::sync::Arc;
use std::time::Instant;

/// The clusters that are measured, by what their records are like.
///
/// An event costs what it carries. Without keys (the producer's default) the sticky partitioner
/// fills one batch after the other; with keys each request brings a batch of one or two records to
/// each of many partitions, so that an event stands for several times as many appends. The site's
/// benchmark page runs the second.
pub(super) const CASES: [(&str, &str); 2] = [
    (
        "5 brokers, 60 partitions, RF 3, acks=all, one failover",
        include_str!("cluster-sticky.toml"),
    ),
    (
        "the same with 1,000 keys over the 60 partitions, batches of 1.7 records",
        include_str!("../../../scenarios/bench-cluster.toml"),
    ),
];

/// The run of a scenario.
pub(super) fn plan(text: &str) -> Result<RunPlan, String> {
    let scenario = scenario::parse(text)
        .into_result()
        .map_err(|problems| scenario::render(&problems, "the cluster to measure", text))?;
    let seed = scenario.seed;
    Ok(RunPlan::of(Arc::new(scenario), seed))
}

/// Runs it several times; returns its events and the median of events per second.
pub(super) fn measure(plan: &RunPlan, rounds: u32) -> Result<(u64, f64), String> {
    let mut rates = Vec::new();
    let mut events = 0;
    for _ in 0..rounds {
        let began = Instant::now();
        let report = plan.run(|_, _| true);
        rates.push(report.events as f64 / began.elapsed().as_secs_f64());
        events = report.events;
        if !report.good() {
            return Err(format!("the measured run is not a good one: {report:?}"));
        }
    }
    Ok((events, super::median(&mut rates)))
}
