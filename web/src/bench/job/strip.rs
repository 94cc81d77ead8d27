//! The counters of a job, in the place of the ledger of records where there is no Kafka.

use sim_core::view::JobView;

use crate::format::count;
use crate::tree::{Kid, el};

/// A counter: its name, what it says, its value, and whether it should be zero.
type Counter = (&'static str, &'static str, u64, bool);

/// Names and values of all counters, and whether they should be zero, for tables that compare runs.
pub(crate) fn values(job: &JobView) -> Vec<(&'static str, u64, bool)> {
    let each = cells(job).into_iter();
    each.map(|(name, _, value, harm)| (name, value, harm))
        .collect()
}

fn cells(job: &JobView) -> [Counter; 8] {
    let tasks = || job.vertices.iter().flat_map(|it| &it.subtasks);
    let sources = job.vertices.iter().filter(|it| it.kind == "source");
    let read: u64 = sources
        .flat_map(|it| &it.subtasks)
        .map(|it| it.records_in)
        .sum();
    let late: u64 = tasks().map(|it| it.late_dropped).sum();
    let stores = || job.stores.iter();
    let (done, failed) = job.checkpoints.counts;
    [
        (
            "read",
            "Records that the sources read in this attempt",
            read,
            false,
        ),
        (
            "late",
            "Records that were dropped because they came too late, in this attempt",
            late,
            true,
        ),
        (
            "rows written",
            "Rows in the stores outside, whatever became of them",
            stores().map(|it| it.total).sum(),
            false,
        ),
        (
            "rows visible",
            "Rows that a reader with read_committed sees",
            stores().map(|it| it.visible).sum(),
            false,
        ),
        (
            "open txns",
            "Transactions with rows that are neither committed nor aborted",
            stores().map(|it| it.transactions.0).sum(),
            false,
        ),
        (
            "aborted",
            "Transactions that were aborted with their rows",
            stores().map(|it| it.transactions.2).sum(),
            false,
        ),
        ("checkpoints", "Checkpoints that are complete", done, false),
        ("failed", "Checkpoints that failed", failed, true),
    ]
}

/// The row of counters.
pub(crate) fn counters(job: &JobView) -> Vec<Kid> {
    let cell = |(name, help, value, harm): Counter| {
        let class = match (harm, value) {
            (true, 0) => "count is-proven",
            (true, _) => "count is-harm",
            (false, _) => "count",
        };
        let number = el("dd")
            .class("mono")
            .test(format!("count-{}", name.replace(' ', "-")));
        el("div")
            .class(class)
            .is("title", help)
            .with(el("dt").with(name))
            .with(number.with(count(value)))
            .into()
    };
    cells(job).into_iter().map(cell).collect()
}
