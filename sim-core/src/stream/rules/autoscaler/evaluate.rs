//! What each vertex has to do, and can do, by the samples of a window.
//!
//! Follows `ScalingMetricEvaluator`, `ScalingMetrics.getObservedTpr` and
//! `AutoScalerUtils.getTargetProcessingCapacity`. The true processing rate is what a vertex reads over
//! the share of time in which its busiest subtask works; a source that catches up shows its own. What a
//! source has to do is what comes in, read or left lying, and what has to be caught up with; the rest
//! of the job has to do what follows of that by the ratios of records out to records in.

use super::{Measured, ONE, Rate, Sample, Settings, Vertex};
use serde::Serialize;

/// What samples say of a vertex (`EvaluatedMetrics`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Evaluated {
    /// What comes in, thousandths of a record per second (`TARGET_DATA_RATE`).
    pub target: u64,
    /// And what is to be done beside it to catch up (`CATCH_UP_DATA_RATE`).
    pub catch_up: u64,
    /// What it could do if it worked all the time (`TRUE_PROCESSING_RATE`).
    pub true_rate: Rate,
    /// It is to be scaled up if it can do less (`SCALE_UP_RATE_THRESHOLD`).
    pub least: Rate,
    /// It is to be scaled down if it can do more (`SCALE_DOWN_RATE_THRESHOLD`).
    pub most: Rate,
    /// What it is scaled to be able to do.
    pub capacity: Rate,
}

/// Rates of change between the first and the last sample of a window.
struct Window<'a> {
    samples: &'a [Sample],
    first: &'a Sample,
    last: &'a Sample,
    span_ms: u128,
}

impl<'a> Window<'a> {
    fn new(samples: &'a [Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let span = last.at_ms.saturating_sub(first.at_ms).max(1);
        let span_ms = u128::from(span.unsigned_abs());
        (samples.len() >= 2).then_some(Window {
            samples,
            first,
            last,
            span_ms,
        })
    }

    fn of(sample: &Sample, vertex: usize) -> Measured {
        sample.vertices.get(vertex).copied().unwrap_or_default()
    }

    /// How much a counter grew in the window.
    fn grown(&self, vertex: usize, counter: fn(&Measured) -> u64) -> u64 {
        let (first, last) = (
            counter(&Self::of(self.first, vertex)),
            counter(&Self::of(self.last, vertex)),
        );
        last.saturating_sub(first)
    }

    /// So many in the window, as a rate in thousandths per second.
    fn rate(&self, records: u64) -> u64 {
        saturated(u128::from(records) * 1_000_000 / self.span_ms)
    }

    fn average(&self, vertex: usize, of: fn(&Measured) -> u64) -> u64 {
        let all = self.samples.iter().map(|it| of(&Self::of(it, vertex)));
        all.map(u128::from)
            .sum::<u128>()
            .checked_div(self.samples.len() as u128)
            .map_or(0, saturated)
    }

    fn last(&self, vertex: usize) -> Measured {
        Self::of(self.last, vertex)
    }

    /// The growth of what waits, thousandths of a record per second.
    fn lag_rate(&self, source: usize) -> i128 {
        let at = |it: &Sample| i128::from(Self::of(it, source).lag);
        (at(self.last) - at(self.first)) * 1_000_000 / self.span_ms.max(1) as i128
    }
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1_000).unwrap_or(0)
}

/// What the samples say of each vertex; nothing before there are two.
#[must_use]
pub fn evaluate(settings: &Settings, graph: &[Vertex], samples: &[Sample]) -> Vec<Evaluated> {
    let Some(window) = Window::new(samples) else {
        return Vec::new();
    };
    let behind = has_backlog(settings, graph, &window);
    let mut all: Vec<Evaluated> = Vec::new();
    for (number, vertex) in graph.iter().enumerate() {
        let (target, catch_up) = match vertex.inputs.is_empty() {
            true => of_source(settings, number, &window),
            false => of_inputs(graph, number, &window, &all),
        };
        let wanted = (target, catch_up);
        let upper = settings
            .max
            .unwrap_or(settings.target.saturating_add(settings.boundary));
        let lower = settings
            .min
            .unwrap_or(settings.target.saturating_sub(settings.boundary));
        // Who catches up may be as busy as can be, and is not scaled down.
        let (upper, lower) = if behind {
            (ONE as u32, 0)
        } else {
            (upper, lower)
        };
        all.push(Evaluated {
            target,
            catch_up,
            true_rate: true_rate(settings, (number, vertex), &window),
            least: capacity(settings, wanted, upper, false),
            most: capacity(settings, wanted, lower, true),
            capacity: capacity(settings, wanted, settings.target, true),
        });
    }
    all
}

/// Whether a source has so much before it that it takes longer than the threshold at this speed.
fn has_backlog(settings: &Settings, graph: &[Vertex], window: &Window<'_>) -> bool {
    let threshold = u128::from(seconds(settings.backlog_ms));
    graph.iter().enumerate().any(|(number, vertex)| {
        let rate = window.rate(window.grown(number, |it| it.records_in));
        let lag = u128::from(window.last(number).lag) * 1_000;
        vertex.inputs.is_empty() && lag > threshold * u128::from(rate)
    })
}

fn of_source(settings: &Settings, source: usize, window: &Window<'_>) -> (u64, u64) {
    let read = i128::from(window.rate(window.grown(source, |it| it.records_in)));
    let comes = (read + window.lag_rate(source)).max(0);
    let lag = u128::from(window.last(source).lag) * 1_000;
    let catch_up = lag.checked_div(u128::from(seconds(settings.catch_up_ms)));
    (
        saturated(comes.unsigned_abs()),
        catch_up.map_or(0, saturated),
    )
}

fn of_inputs(
    graph: &[Vertex],
    number: usize,
    window: &Window<'_>,
    known: &[Evaluated],
) -> (u64, u64) {
    let inputs = graph.get(number).map_or(&[][..], |it| &it.inputs);
    let (mut target, mut catch_up) = (0_u64, 0_u64);
    for input in inputs {
        let (Some(of), read) = (known.get(*input), window.grown(*input, |it| it.records_in)) else {
            continue;
        };
        let sent = sent_between(graph, (*input, number), window);
        let follows = |rate: u64| {
            let product = u128::from(rate) * u128::from(sent);
            product.checked_div(u128::from(read)).map_or(0, saturated)
        };
        target = target.saturating_add(follows(of.target));
        catch_up = catch_up.saturating_add(follows(of.catch_up));
    }
    (target, catch_up)
}

/// Records that went from one vertex to another in the window, as far as vertices know: what the
/// receiver read, less what its other inputs sent if they send to nobody else.
fn sent_between(graph: &[Vertex], (from, to): (usize, usize), window: &Window<'_>) -> u64 {
    let inputs = graph.get(to).map_or(&[][..], |it| &it.inputs);
    let mut others = inputs.iter().filter(|it| **it != from);
    let alone = |it: &usize| graph.get(*it).is_some_and(|it| it.outputs == 1);
    if !others.clone().all(alone) {
        return window.grown(from, |it| it.records_out);
    }
    let read = window.grown(to, |it| it.records_in);
    let rest = others.try_fold(read, |left, it| {
        left.checked_sub(window.grown(*it, |it| it.records_out))
    });
    rest.unwrap_or(0)
}

/// What a vertex could read if it worked all the time.
fn true_rate(settings: &Settings, (number, vertex): (usize, &Vertex), window: &Window<'_>) -> Rate {
    let read = match vertex.inputs.is_empty() {
        // A source has no such meter, and its counter stands in for it.
        true => window.rate(window.grown(number, |it| it.records_in)),
        false => window.average(number, |it| it.per_second),
    };
    let busy = window.average(number, |it| u64::from(it.busy));
    let by_time = match (read, busy) {
        (0, _) | (_, 0) => Rate::Infinite,
        _ => Rate::Finite(saturated(
            u128::from(read) * u128::from(ONE) / u128::from(busy),
        )),
    };
    let all = window
        .samples
        .iter()
        .map(|it| Window::of(it, number).observed);
    let Some(observed) = averaged(all, settings.observed_least) else {
        return by_time;
    };
    match (by_time, observed) {
        (Rate::Infinite, _) => observed,
        (Rate::Finite(busy), Rate::Finite(seen)) => {
            let switch = u128::from(ONE) + u128::from(settings.observed_switch);
            // By its time it could do more than it does when it is catching up: so it does not.
            match u128::from(busy) * u128::from(ONE) > u128::from(seen) * switch {
                true => observed,
                false => by_time,
            }
        }
        (Rate::Finite(_), Rate::Infinite) => by_time,
    }
}

/// The average of what was observed, if that was often enough; rates without limit do not count.
fn averaged(all: impl Iterator<Item = Option<Rate>>, least: u32) -> Option<Rate> {
    let (mut sum, mut many, mut infinite) = (0_u128, 0_u32, false);
    for rate in all.flatten() {
        match rate {
            Rate::Finite(milli) => (sum, many) = (sum + u128::from(milli), many + 1),
            Rate::Infinite => infinite = true,
        }
    }
    match many {
        0 => infinite.then_some(Rate::Infinite),
        _ => (many >= least).then(|| Rate::Finite(saturated(sum / u128::from(many)))),
    }
}

/// What a source shows of its speed: while it catches up it does what it can, but for the time that
/// it is held back. Without that, what it showed before.
#[must_use]
pub fn observed(settings: &Settings, now: &Measured, before: &[Option<Rate>]) -> Option<Rate> {
    if now.per_second == 0 {
        return Some(Rate::Infinite);
    }
    let threshold = u128::from(seconds(settings.observed_lag_ms)) * u128::from(now.per_second);
    let free = ONE.saturating_sub(u64::from(now.backpressured));
    match u128::from(now.lag) * 1_000 >= threshold && free > 0 {
        true => {
            let milli = u128::from(now.per_second) * u128::from(ONE) / u128::from(free);
            Some(Rate::Finite(saturated(milli)))
        }
        false => averaged(before.iter().copied(), settings.observed_least),
    }
}

/// What has to be done, at such a utilization: what comes in, what is to be caught up with, and what
/// will be after a restart. Rounded to whole records per second.
fn capacity(
    settings: &Settings,
    (target, catch_up): (u64, u64),
    utilization: u32,
    with_restart: bool,
) -> Rate {
    let utilization = u64::from(utilization).min(ONE);
    let target = u128::from(target);
    let Some(at_utilization) = (target * u128::from(ONE)).checked_div(utilization.into()) else {
        return Rate::Infinite;
    };
    let missed = target * u128::from(seconds(settings.restart_ms));
    let restart = missed.checked_div(u128::from(seconds(settings.catch_up_ms)));
    let restart = restart.filter(|_| with_restart).unwrap_or(0);
    let milli = u128::from(catch_up) + restart + at_utilization;
    Rate::Finite(saturated((milli + 500) / 1_000 * 1_000))
}
