//! How much a job is going to do, by a count made before it runs: what would take a machine's memory
//! or its day is refused with a sentence.
//!
//! Records of a load multiply on their way: copies of a `flat-map`, a broadcast, pairs of a join,
//! windows that each record opens, lists that a window puts out again and again. Counted is what
//! comes of the loads and of the listed records if keys and times are spread evenly. Left out: what
//! filters by value drop, what hot keys add, and records of topics, which the cluster's producers
//! count.

use crate::kernel::{MILLISECOND, Nanos};
use crate::scenario::Effort;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::aggregate::Aggregate;
use crate::stream::rules::window::operator::Settings;
use crate::stream::rules::window::trigger::Trigger;
use crate::stream::spec::{
    FilterFunction, InputSpec, JobSpec, JoinSpec, MapFunction, OperatorKind, OperatorSpec,
    Partitioning, ProcessFunction, SourceSpec, SplitSpec,
};
use std::collections::BTreeSet;

/// A stream of records, roughly.
#[derive(Clone, Copy, Default)]
struct Flow {
    rows: u64,
    /// Different keys among them.
    keys: u64,
    /// The time that they are spread over, ms.
    span: u64,
}

/// About how many events and records the run of a job takes.
pub(super) fn of(spec: &JobSpec, duration: Nanos) -> Effort {
    let mut flows: Vec<Flow> = Vec::with_capacity(spec.operators.len());
    let (mut records, mut more): (u64, u64) = (0, 0);
    for operator in &spec.operators {
        let flow = match &operator.kind {
            OperatorKind::Source(source) => {
                let flow = made(source, duration);
                records = records.saturating_add(flow.rows);
                flow
            }
            _ => {
                let (flow, all) = handled(operator, &flows);
                more = more.saturating_add(all);
                flow
            }
        };
        flows.push(flow);
    }
    let tasks = spec.operators.iter().map(|it| u64::from(it.parallelism));
    let tasks: u64 = tasks.sum();
    let costly = spec.operators.iter().filter(|it| it.cost > 0).count() as u64;
    let interval = spec.config.checkpoint_interval.0.max(0).unsigned_abs() * MILLISECOND;
    let checkpoints = duration.checked_div(interval).unwrap_or(0);
    let counted = records.checked_div(spec.config.checkpoint_every);
    let checkpoints = checkpoints.saturating_add(counted.unwrap_or(0));
    let looks = spec.config.reconcile_interval.0.max(1).unsigned_abs() * MILLISECOND;
    let looks = duration / looks * u64::from(spec.config.autoscaler);
    let events = records
        .saturating_mul(1 + costly)
        .saturating_add(checkpoints.saturating_mul(tasks.saturating_mul(8)))
        .saturating_add(looks.saturating_mul(2 * spec.task_managers.len() as u64))
        .saturating_add(duration / (10 * MILLISECOND));
    let records = records.saturating_add(more);
    Effort { events, records }
}

/// What a source reads.
fn made(source: &SourceSpec, duration: Nanos) -> Flow {
    let mut flow = Flow::default();
    let mut listed = BTreeSet::new();
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for split in &source.splits {
        let many = match split {
            SplitSpec::Records(all) => {
                for it in all.iter().filter(|it| !it.only_watermark) {
                    listed.insert(it.key);
                    (first, last) = (first.min(it.timestamp), last.max(it.timestamp));
                }
                all.len() as u64
            }
            SplitSpec::Generated(it) => {
                let time = duration.saturating_sub(it.start);
                let many = time / it.gap.max(1);
                let many = many.min(it.limit.unwrap_or(u64::MAX));
                flow.keys = flow.keys.max(u64::from(it.keys));
                flow.span = flow.span.max(many.saturating_mul(it.gap) / MILLISECOND);
                many
            }
            // The cluster's producers count them.
            SplitSpec::Partition => 0,
        };
        flow.rows = flow.rows.saturating_add(many);
    }
    flow.keys = flow.keys.max(listed.len() as u64);
    let listed = u64::try_from(last.saturating_sub(first)).unwrap_or(0);
    flow.span = flow.span.max(listed);
    flow
}

/// a × b ÷ c.
fn part(a: u64, b: u64, c: u64) -> u64 {
    let all = u128::from(a) * u128::from(b) / u128::from(c.max(1));
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// The streams of one input of an operator, put together.
fn input(operator: &OperatorSpec, flows: &[Flow], which: impl Fn(&InputSpec) -> bool) -> Flow {
    let mut all = Flow::default();
    for edge in operator.inputs.iter().filter(|it| which(it)) {
        let Some(flow) = flows.get(edge.from as usize) else {
            continue;
        };
        let copies = match edge.partitioning {
            Partitioning::Broadcast => u64::from(operator.parallelism),
            _ => 1,
        };
        all.rows = all.rows.saturating_add(flow.rows.saturating_mul(copies));
        all.keys = all.keys.max(flow.keys);
        all.span = all.span.max(flow.span);
    }
    all
}

/// What an operator puts out, and how many records and values it has to do with beyond those that
/// its inputs put out.
fn handled(operator: &OperatorSpec, flows: &[Flow]) -> (Flow, u64) {
    let all = input(operator, flows, |_| true);
    let came: u64 = operator
        .inputs
        .iter()
        .filter_map(|it| flows.get(it.from as usize))
        .fold(0, |sum, it| sum.saturating_add(it.rows));
    let mut flow = all;
    let mut values = 0;
    match &operator.kind {
        OperatorKind::Map(MapFunction::KeyModulo(n)) => {
            flow.keys = flow.keys.min(u64::from(*n).max(1));
        }
        OperatorKind::Filter(FilterFunction::Keys(some)) => {
            let some = (some.len() as u64).min(all.keys);
            (flow.keys, flow.rows) = (some, part(all.rows, some, all.keys));
        }
        OperatorKind::FlatMap { copies } => {
            flow.rows = all.rows.saturating_mul(u64::from(*copies));
        }
        OperatorKind::Process(process) => {
            if let ProcessFunction::Last(n) = process.function {
                let kept = u64::from(n).min(all.rows / all.keys.max(1));
                values = all.rows.saturating_mul(kept / 2);
            }
        }
        OperatorKind::Window(settings) => (flow, values) = windows(settings, all),
        OperatorKind::Join(join) => {
            let left = input(operator, flows, |it| it.number == 0);
            let right = input(operator, flows, |it| it.number == 1);
            flow.rows = pairs(join, left, right).unwrap_or(left.rows);
        }
        _ => {}
    }
    let beyond = all.rows.max(flow.rows).saturating_sub(came);
    (flow, beyond.saturating_add(values))
}

/// The results of windows, and the values that are kept and put out.
fn windows(settings: &Settings, all: Flow) -> (Flow, u64) {
    let of = |time: i64| u64::try_from(time).unwrap_or(0).max(1);
    let (size, copies) = match settings.assigner {
        Assigner::Tumbling { size, .. } => (of(size), 1),
        Assigner::Sliding { size, slide, .. } => (of(size), of(size / slide.max(1))),
        Assigner::Cumulate { size, step, .. } => (of(size), of(size / step.max(1))),
        Assigner::Session { .. } | Assigner::Global => (u64::MAX, 1),
    };
    let each = all.rows.saturating_mul(copies);
    // At most as many windows as there are times for them.
    let times = part(all.span, copies, size).saturating_add(copies);
    let windows = each.min(all.keys.saturating_mul(times));
    let mut flow = all;
    let (mut trigger, mut purging) = (&settings.trigger, false);
    while let Trigger::Purging(inner) | Trigger::Timeout { nested: inner, .. } = trigger {
        purging |= matches!(trigger, Trigger::Purging(_));
        trigger = &**inner;
    }
    flow.rows = match trigger {
        Trigger::Count(count) => each / of(*count),
        Trigger::Delta(_) => each,
        Trigger::Never => 0,
        _ if settings.assigner == Assigner::Global => all.rows,
        _ if settings.assigner.merges() => all.rows,
        _ => windows,
    };
    let lists = settings.aggregate == Aggregate::Elements && !purging && settings.evictor.is_none();
    let values = match trigger {
        // Each result says all that was there before it.
        Trigger::Count(_) if lists => flow.rows.saturating_mul(each / windows.max(1) / 2),
        _ => 0,
    };
    let open = all.rows.min(all.keys).saturating_mul(copies);
    (flow, values.saturating_add(open.saturating_sub(all.rows)))
}

/// The pairs of a join, if it is one of pairs.
fn pairs(join: &JoinSpec, left: Flow, right: Flow) -> Option<u64> {
    let keys = left.keys.max(right.keys);
    let span = left.span.max(right.span).max(1);
    let all = part(left.rows, right.rows, keys);
    let within = |time: i64| part(all, u64::try_from(time).unwrap_or(0).min(span), span);
    let some = match join {
        JoinSpec::Window { size, slide, .. } => {
            let copies = u64::try_from(size / (*slide).max(1)).unwrap_or(1);
            within(*size).saturating_mul(copies.max(1))
        }
        // Without a silence a session has no end.
        JoinSpec::Session { .. } => all,
        JoinSpec::Interval(bounds) => within(bounds.width()),
        JoinSpec::Table { ttl_ms, .. } => ttl_ms.map_or(all, within),
        JoinSpec::Temporal(_) | JoinSpec::Broadcast | JoinSpec::TemporalNow { .. } => return None,
    };
    Some(some.max(left.rows))
}
