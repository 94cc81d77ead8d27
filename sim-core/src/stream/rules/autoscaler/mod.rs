//! Scaling as the answer to load: how many subtasks each vertex of a job should have.
//!
//! Follows the module `flink-autoscaler` of the Apache Flink Kubernetes Operator. [`Sample`]s of what
//! tasks measure are kept for a window; [`evaluate`] makes of them, for each vertex, the rate that is
//! needed and the one that it can do (`ScalingMetricEvaluator`); [`scale`] makes a parallelism of that
//! (`JobVertexScaler`), and [`decide`] says whether the job is rescaled (`ScalingExecutor`). Rates are
//! thousandths of a record per second and shares are millionths, where the module has doubles.
//!
//! Left out: the other aggregators of busy time than `MAX`, custom evaluators and alignments, the older
//! adjust modes, observed scalability, tracked restart times, memory tuning and pressure, quotas,
//! excluded vertices and periods.

pub mod evaluate;
pub mod scale;
#[cfg(test)]
mod tests;

pub use evaluate::{Evaluated, evaluate, observed};
pub use scale::{Decision, Memory, decide, done};

use serde::Serialize;

/// A whole: 1 in millionths.
pub const ONE: u64 = 1_000_000;

/// Records per second, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Rate {
    /// So many.
    Finite(u64),
    /// As many as come: nothing was there that it could be measured by.
    Infinite,
}

impl Rate {
    /// Whole records per second, rounded; none if there is no limit.
    #[must_use]
    pub fn per_second(self) -> Option<u64> {
        match self {
            Rate::Finite(milli) => Some(milli.saturating_add(500) / 1_000),
            Rate::Infinite => None,
        }
    }
}

/// How computed parallelism is fitted to key groups or partitions
/// (`job.autoscaler.scaling.parallelism-alignment.mode`, `BuiltInAlignmentMode`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Alignment {
    /// To the first number from the target on that gives a subtask fewer of them.
    Balanced,
    /// To the first number from the target on that divides them.
    EvenlySpread,
    /// Not at all.
    Off,
}

/// What the user has set. Durations in ms, of which whole seconds count; shares in millionths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `utilization.target`.
    pub target: u32,
    /// `utilization.max`; none: the target and the boundary.
    pub max: Option<u32>,
    /// `utilization.min`; none: the target without the boundary.
    pub min: Option<u32>,
    /// `target.utilization.boundary`.
    pub boundary: u32,
    /// `catch-up.duration`.
    pub catch_up_ms: i64,
    /// `restart.time`.
    pub restart_ms: i64,
    /// `backlog-processing.lag-threshold`.
    pub backlog_ms: i64,
    /// `observed-true-processing-rate.lag-threshold`.
    pub observed_lag_ms: i64,
    /// `observed-true-processing-rate.switch-threshold`.
    pub observed_switch: u32,
    /// `observed-true-processing-rate.min-observations`.
    pub observed_least: u32,
    /// `vertex.min-parallelism`.
    pub min_parallelism: u32,
    /// `vertex.max-parallelism`.
    pub max_parallelism: u32,
    /// `scale-down.max-factor`.
    pub scale_down: u32,
    /// `scale-up.max-factor`.
    pub scale_up: u64,
    /// `scale-down.interval`.
    pub scale_down_interval_ms: i64,
    /// `scaling.effectiveness.detection.enabled`.
    pub blocks_ineffective: bool,
    /// `scaling.effectiveness.threshold`.
    pub effective: u32,
    /// `scaling.parallelism-alignment.mode`.
    pub alignment: Alignment,
}

/// A vertex of the job graph, after those that it reads from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vertex {
    /// Vertices that it reads from; none of a source. Each once.
    pub inputs: Vec<usize>,
    /// How many vertices read from it.
    pub outputs: usize,
    /// Subtasks that it has.
    pub parallelism: u32,
    /// Subtasks that it may have: its key groups.
    pub max_parallelism: u32,
    /// Of a source: its partitions, if it has some.
    pub partitions: u32,
    /// Whether an input is partitioned by key.
    pub keyed: bool,
}

/// What a vertex's subtasks measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Measured {
    /// Records read since the job began to run.
    pub records_in: u64,
    /// Records put out since then.
    pub records_out: u64,
    /// Records read per second of late, in thousandths.
    pub per_second: u64,
    /// Share of time that the busiest subtask worked of late (`busyTimeMsPerSecond`), millionths.
    pub busy: u32,
    /// Share of time that subtasks were held back of late, on average, millionths.
    pub backpressured: u32,
    /// Of a source: records that wait to be read (`pendingRecords`).
    pub lag: u64,
    /// Of a source: the rate that it did while it was catching up, if it was.
    pub observed: Option<Rate>,
}

/// What all vertices measured at a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// When, ms.
    pub at_ms: i64,
    /// By the vertices' numbers.
    pub vertices: Vec<Measured>,
}
