//! How many subtasks each vertex is to have, and whether the job is rescaled for that.
//!
//! Follows `JobVertexScaler`, `ParallelismAligner` with `BuiltInAlignmentMode`, `DelayedScaleDown` and
//! the decision of `ScalingExecutor`: as long as no vertex is outside of its bounds nothing is done,
//! and when one is, all are set right. A scale-up happens at once; a scale-down when it has been wanted
//! for the interval, and then to the most that was wanted in it.

use super::{Alignment, Evaluated, ONE, Rate, Settings, Vertex};
use serde::Serialize;
use std::collections::VecDeque;

/// A change of a vertex's parallelism.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Decision {
    /// Which vertex.
    pub vertex: usize,
    /// Its subtasks now.
    pub from: u32,
    /// And what they are to be.
    pub to: u32,
    /// What it can do, and what it is expected to do then.
    pub rates: (Rate, Rate),
    /// What it is to be able to do.
    pub capacity: Rate,
}

/// The last change of a vertex (`ScalingSummary`).
pub type Past = Decision;

/// Whether a vertex can do too little or too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Bounds {
    /// It can do what it should.
    Within,
    /// It cannot, or does not need so much.
    Outside,
}

/// A scale-down that waits (`VertexDelayedScaleDownInfo`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Delayed {
    first_ms: i64,
    /// When, to how many, and whether it was outside of its bounds; fewer and fewer.
    wanted: VecDeque<(i64, u32, Bounds)>,
}

impl Delayed {
    fn want(&mut self, at_ms: i64, parallelism: u32, bounds: Bounds) {
        while self.wanted.back().is_some_and(|it| it.1 <= parallelism) {
            self.wanted.pop_back();
        }
        self.wanted.push_back((at_ms, parallelism, bounds));
    }

    /// The most that was wanted since then.
    fn most_since(&mut self, since_ms: i64) -> Option<(u32, Bounds)> {
        while self.wanted.front().is_some_and(|it| it.0 < since_ms) {
            self.wanted.pop_front();
        }
        self.wanted.front().map(|it| (it.1, it.2))
    }
}

/// What is remembered of a vertex from one evaluation to the next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Memory {
    /// Its last change.
    pub past: Option<Past>,
    /// Its scale-down that waits.
    pub delayed: Option<Delayed>,
}

/// The changes that the job is to be rescaled with; none if it is well as it is.
#[must_use]
pub fn decide(
    settings: &Settings,
    graph: &[Vertex],
    evaluated: &[Evaluated],
    memory: &mut [Memory],
    now_ms: i64,
) -> Vec<Decision> {
    let mut changes = Vec::new();
    let mut outside = false;
    let each = graph.iter().zip(evaluated).zip(memory).enumerate();
    for (number, ((vertex, metrics), memory)) in each {
        let Some((mut change, bounds)) = change(settings, vertex, metrics, memory, now_ms) else {
            continue;
        };
        change.vertex = number;
        outside |= bounds == Bounds::Outside;
        changes.push(change);
    }
    if !outside {
        changes.clear();
    }
    changes
}

/// These changes are being made: nothing waits any more.
pub fn done(memory: &mut [Memory], changes: &[Decision]) {
    for (number, it) in memory.iter_mut().enumerate() {
        it.delayed = None;
        if let Some(change) = changes.iter().find(|it| it.vertex == number) {
            it.past = Some(*change);
        }
    }
}

/// Whether a vertex can do too little or too much.
#[must_use]
pub fn bounds(it: &Evaluated) -> Bounds {
    match it.true_rate < it.least || it.true_rate > it.most {
        true => Bounds::Outside,
        false => Bounds::Within,
    }
}

/// The change that a vertex needs by itself.
fn change(
    settings: &Settings,
    vertex: &Vertex,
    metrics: &Evaluated,
    memory: &mut Memory,
    now_ms: i64,
) -> Option<(Decision, Bounds)> {
    let current = vertex.parallelism;
    let to = aligned(settings, vertex, limited(settings, vertex, metrics));
    if to == current {
        memory.delayed = None;
        return None;
    }
    let mut bounds = bounds(metrics);
    let to = match to > current {
        true => {
            memory.delayed = None;
            if settings.blocks_ineffective && is_ineffective(settings, current, metrics, memory) {
                return None;
            }
            to
        }
        false if settings.scale_down_interval_ms <= 0 => to,
        false => {
            let since = now_ms.saturating_sub(settings.scale_down_interval_ms);
            let waits = memory.delayed.get_or_insert_with(|| Delayed {
                first_ms: now_ms,
                wanted: VecDeque::new(),
            });
            waits.want(now_ms, to, bounds);
            if since < waits.first_ms {
                return None;
            }
            let (most, of) = waits.most_since(since)?;
            bounds = of;
            most
        }
    };
    let expected = match metrics.true_rate {
        Rate::Infinite => Rate::Infinite,
        Rate::Finite(milli) => Rate::Finite(scaled(milli, to, current)),
    };
    let decision = Decision {
        vertex: 0,
        from: current,
        to,
        rates: (metrics.true_rate, expected),
        capacity: metrics.capacity,
    };
    (to != current).then_some((decision, bounds))
}

fn scaled(rate: u64, times: u32, over: u32) -> u64 {
    let scaled = u128::from(rate) * u128::from(times) / u128::from(over.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Subtasks × what it is to do / what it can do, within the factors and limits of the settings.
fn limited(settings: &Settings, vertex: &Vertex, metrics: &Evaluated) -> u32 {
    let current = vertex.parallelism;
    // The factor as a fraction.
    let (above, below) = match (metrics.capacity, metrics.true_rate) {
        (_, Rate::Infinite) => (0, 1),
        (Rate::Infinite, Rate::Finite(_)) => (u128::from(u64::MAX), 1),
        (Rate::Finite(wanted), Rate::Finite(can)) => (u128::from(wanted), u128::from(can.max(1))),
    };
    let one = u128::from(ONE);
    let least = one.saturating_sub(u128::from(settings.scale_down));
    let most = one + u128::from(settings.scale_up);
    let (above, below) = if above * one < least * below {
        (least, one)
    } else if above * one > most * below {
        (most, one)
    } else {
        (above, below)
    };
    let raw = (above * u128::from(current)).div_ceil(below);
    let raw = u32::try_from(raw).unwrap_or(u32::MAX);
    let at_least = current.min(settings.min_parallelism);
    let at_most = current
        .max(settings.max_parallelism)
        .min(vertex.max_parallelism);
    raw.max(at_least).min(at_most)
}

/// Fitted to key groups or partitions, if a number from the target on fits them.
fn aligned(settings: &Settings, vertex: &Vertex, target: u32) -> u32 {
    let current = vertex.parallelism;
    let applies = vertex.partitions > 0 || vertex.keyed;
    if target == current || target == 0 || !applies || settings.alignment == Alignment::Off {
        return target;
    }
    let many = match vertex.partitions {
        0 => vertex.max_parallelism,
        partitions => partitions,
    };
    let most = current
        .max(settings.max_parallelism)
        .min(vertex.max_parallelism);
    let most = most.min(many);
    let end = if target > current {
        most
    } else {
        current.min(most)
    };
    let balanced = settings.alignment == Alignment::Balanced;
    let fits = |it: &u32| many % it == 0 || balanced && many / it < many / target;
    (target..=end).find(fits).unwrap_or(target)
}

/// Whether the last scale-up brought less of what was expected of it than the threshold.
fn is_ineffective(settings: &Settings, current: u32, metrics: &Evaluated, memory: &Memory) -> bool {
    let Some(past) = memory.past.filter(|it| it.to == current && it.to > it.from) else {
        return false;
    };
    let (Rate::Finite(before), Rate::Finite(expected)) = past.rates else {
        return false;
    };
    let Rate::Finite(now) = metrics.true_rate else {
        return false;
    };
    let threshold = u128::from(settings.effective);
    let wanted = u128::from(expected.saturating_sub(before)) * threshold;
    match now.checked_sub(before) {
        Some(more) => u128::from(more) * u128::from(ONE) < wanted,
        None => true,
    }
}
