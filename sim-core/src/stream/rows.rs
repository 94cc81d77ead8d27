//! What sinks hold, row by row, in the words of a scenario: to be read, and to be put down as what a
//! scenario expects.
//!
//! A row is shown as a `read_committed` reader sees it. Those of a changelog that take others back are
//! there as well. Key, value and kind are told of every row; right side, window, time and timing where
//! a row has them.

use super::clients::rows_of;
use super::element::{NO_TIMESTAMP, Record};
use super::expected;
use super::facts;
use super::job::Job;
use super::rules::assigner::Window;
use super::rules::pane::Timing;
use super::rules::window::aggregate::Value;
use super::spec::OperatorKind;
use crate::kernel::World;
use crate::systems::Node;
use serde::Serialize;

/// Rows of a sink that are told at most.
const ROWS: usize = 10_000;

/// What a sink wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Output {
    /// The sink.
    pub sink: String,
    /// Its rows, in their order.
    pub rows: Vec<Row>,
    /// How many more there are.
    pub more: u64,
}

/// A row, each part as an expected one would say it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// Its value: a number, a list, or `null`.
    pub value: String,
    /// The other side's value, in what a join puts out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Start and end of its window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Its event time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// What it does in a changelog.
    pub kind: &'static str,
    /// When its window said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<&'static str>,
}

/// What the sinks of a world's job hold; empty without a job.
#[must_use]
pub fn outputs(world: &World<Node>) -> Vec<Output> {
    let Some(job) = super::why::job(world) else {
        return Vec::new();
    };
    let operators = (0..).zip(&job.spec.operators);
    let sinks = operators.filter(|(_, it)| matches!(it.kind, OperatorKind::Sink(_)));
    sinks
        .filter_map(|(number, it)| {
            let rows = match rows_of(world, job, number) {
                Some(topic) => shown(job, &topic.visible().collect::<Vec<_>>()),
                None => shown(job, &expected::held(facts::store(world, number)?)),
            };
            Some(Output {
                sink: it.name.clone(),
                rows: rows.0,
                more: rows.1,
            })
        })
        .collect()
}

fn shown(job: &Job, held: &[&Record]) -> (Vec<Row>, u64) {
    let rows = held.iter().take(ROWS).map(|it| Row {
        key: job.spec.keys.name(it.key),
        value: value(&it.value),
        right: it.right.as_ref().map(value),
        window: it.window.map(|it| match it {
            Window::GLOBAL => "global".to_owned(),
            _ => format!("{}..{}", time(it.start), time(it.end)),
        }),
        ts: Some(it.timestamp)
            .filter(|it| *it != NO_TIMESTAMP)
            .map(time),
        kind: it.kind.short(),
        timing: it.timing.map(|it| match it {
            Timing::Early => "early",
            Timing::OnTime => "on-time",
            Timing::Late => "late",
        }),
    });
    (rows.collect(), held.len().saturating_sub(ROWS) as u64)
}

fn value(value: &Value) -> String {
    match value {
        Value::Nothing => "null".to_owned(),
        Value::Number(it) => it.to_string(),
        Value::Values(all) => {
            let all: Vec<String> = all.iter().map(i64::to_string).collect();
            format!("[{}]", all.join(","))
        }
    }
}

/// A time as scenarios write it, ms.
fn time(ms: i64) -> String {
    match ms % 1_000 {
        0 => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}
