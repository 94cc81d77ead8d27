//! What an engineer watches of a job, over time: rates and times of its operators, watermark lag,
//! checkpoints, restarts.
//!
//! Follows the metrics of Flink: `numRecordsInPerSecond` and `numRecordsOutPerSecond` (summed over
//! an operator's subtasks), `busyTimeMsPerSecond` and `backPressuredTimeMsPerSecond` (the highest of
//! its subtasks, as Flink's graph of a job has them), `idleTimeMsPerSecond` (the lowest),
//! `watermarkLag` (the highest), `lastCheckpointDuration`, `lastCheckpointFullSize` and
//! `numRestarts`. A rate is that between two samples. A counter that has decreased was set back by a
//! restart, and what it says has come since. Left out: what a task counted after the last sample
//! before it was restarted, and a checkpoint that was superseded between two samples.

use crate::kernel::{MILLISECOND, Nanos, SECOND};
use crate::view::{JobView, Series, SubtaskView};
use std::collections::BTreeMap;

/// Per operator: a sum, or the highest or lowest of its subtasks.
#[derive(Clone, Copy)]
enum Over {
    Sum,
    Highest,
    Lowest,
}

/// A chart with a line for each operator: how much a counter grows in a second.
struct Rate {
    name: &'static str,
    over: Over,
    counter: fn(&SubtaskView) -> u64,
    /// It counts time, ns, and the chart says how many ms of each second that was spent.
    time: bool,
}

const RATES: [Rate; 5] = [
    Rate {
        name: "records in, per second",
        over: Over::Sum,
        counter: |it| it.records_in,
        time: false,
    },
    Rate {
        name: "records out, per second",
        over: Over::Sum,
        counter: |it| it.records_out,
        time: false,
    },
    Rate {
        name: "busy, ms per second (busiest subtask)",
        over: Over::Highest,
        counter: |it| it.spent_ns.1,
        time: true,
    },
    Rate {
        name: "backpressured, ms per second (most backpressured subtask)",
        over: Over::Highest,
        counter: |it| it.spent_ns.2,
        time: true,
    },
    Rate {
        name: "idle, ms per second (least idle subtask)",
        over: Over::Lowest,
        counter: |it| it.spent_ns.0,
        time: true,
    },
];

const LAG: &str = "watermark lag, ms";
const TOOK: &str = "checkpoint duration, ms";
const SIZE: &str = "checkpoint size, bytes";
const WRITTEN: &str = "written by the checkpoint, bytes";
const RESTARTS: &str = "restarts";

/// A line: of a chart, and of an operator by its number where the chart has several.
type Line = (usize, u16);

/// What each subtask has counted, by vertex and number.
type Counts = BTreeMap<(u16, u32), [u64; RATES.len()]>;

/// The charts of a job, being filled.
#[derive(Default)]
pub(super) struct JobSeries {
    names: BTreeMap<u16, String>,
    lines: BTreeMap<Line, Vec<(Nanos, i64)>>,
    before: Option<(Nanos, Counts)>,
    /// Completed checkpoints: when, duration, full size, bytes that were written.
    checkpoints: BTreeMap<i64, (Nanos, [u64; 3])>,
    restarts: Vec<(Nanos, i64)>,
}

impl JobSeries {
    /// Takes a sample.
    pub(super) fn take(&mut self, at: Nanos, job: &JobView) {
        let mut counted = Counts::new();
        for it in &job.vertices {
            self.names
                .entry(it.number)
                .or_insert_with(|| it.name.clone());
            for task in it.subtasks.iter().filter(|it| it.counted) {
                let counts = RATES.map(|rate| (rate.counter)(task));
                counted.insert((task.vertex, task.number), counts);
            }
            self.lag(at, it.number, &it.subtasks);
        }
        self.rates(at, &counted);
        self.before = Some((at, counted));
        for it in &job.checkpoints.completed {
            let says = [it.took / MILLISECOND, it.bytes, it.uploaded];
            self.checkpoints.insert(it.id, (it.at, says));
        }
        let restarts = job.attempt.saturating_sub(1);
        self.restarts.push((at, i64::from(restarts)));
    }

    /// How far the watermark of an operator is behind the clock.
    fn lag(&mut self, at: Nanos, vertex: u16, subtasks: &[SubtaskView]) {
        let marks = subtasks.iter().filter(|it| it.runs);
        let marks = marks.filter_map(|it| it.watermark).min();
        if let Some(mark) = marks.filter(|it| *it != i64::MAX) {
            let now = i64::try_from(at / MILLISECOND).unwrap_or(i64::MAX);
            let line = self.lines.entry((RATES.len(), vertex)).or_default();
            line.push((at, now.saturating_sub(mark)));
        }
    }

    /// What the counters have grown by since the sample before, per second.
    fn rates(&mut self, at: Nanos, counted: &Counts) {
        let Some((since, before)) = self.before.take().filter(|it| it.0 < at) else {
            return;
        };
        let mut found: BTreeMap<Line, i64> = BTreeMap::new();
        for (task, counts) in counted {
            let was = before.get(task).copied().unwrap_or_default();
            let reset = counts.iter().zip(&was).any(|(now, was)| now < was);
            let was = if reset { Default::default() } else { was };
            let grown = |i: usize| u128::from(counts[i] - was[i]);
            let times = (0..).zip(&RATES).filter(|it| it.1.time);
            let spent: u128 = times.map(|(i, _)| grown(i)).sum();
            for (i, rate) in RATES.iter().enumerate() {
                // A task's clock stands at its last event: a share of what it has counted is exact.
                let (all, of) = match rate.time {
                    true => (1_000, spent),
                    false => (u128::from(SECOND), u128::from(at - since)),
                };
                let Some(grown) = (grown(i) * all).checked_div(of) else {
                    continue;
                };
                let grown = i64::try_from(grown).unwrap_or(i64::MAX);
                let of = found.entry((i, task.0));
                let and = |sum: &mut i64| match rate.over {
                    Over::Sum => *sum = sum.saturating_add(grown),
                    Over::Highest => *sum = grown.max(*sum),
                    Over::Lowest => *sum = grown.min(*sum),
                };
                of.and_modify(and).or_insert(grown);
            }
        }
        for (line, value) in found {
            self.lines.entry(line).or_default().push((at, value));
        }
    }

    /// All charts that have something to show.
    pub(super) fn finish(self) -> Vec<Series> {
        let mut out = Vec::new();
        for ((chart, vertex), points) in self.lines {
            let name = RATES.get(chart).map_or(LAG, |it| it.name);
            out.push(Series {
                name: name.to_owned(),
                of: self.names.get(&vertex).cloned().unwrap_or_default(),
                points,
            });
        }
        let mut ends: Vec<_> = self.checkpoints.into_values().collect();
        ends.sort_unstable();
        let written = ends.iter().any(|it| it.1[1] != it.1[2]);
        let names = [TOOK, SIZE, WRITTEN];
        for (i, name) in names.into_iter().enumerate() {
            // Where checkpoints are full, both are one.
            if !ends.is_empty() && (i != 2 || written) {
                let value = |says: &[u64; 3]| i64::try_from(says[i]).unwrap_or(i64::MAX);
                let points = ends.iter().map(|(at, says)| (*at, value(says)));
                out.push(Series::new(name, points.collect()));
            }
        }
        out.push(Series::new(RESTARTS, self.restarts));
        out
    }
}
