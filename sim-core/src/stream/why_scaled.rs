//! What an autoscaler decides, in words: what a vertex has to do, what it can do, and so how many
//! subtasks.

use super::job::Job;
use super::note::Held;
use super::rules::autoscaler::{Decision, Evaluated, Rate};
use super::why::vertex_name;

/// A decision's changes, one after the other, and why it is not done, if so.
pub(super) fn words(job: &Job, changes: &[(Decision, Evaluated)], held: Option<&Held>) -> String {
    let each = changes
        .iter()
        .map(|(change, known)| one(job, change, known));
    let each: Vec<String> = each.collect();
    let said = each.join("; ");
    match held {
        None => said,
        Some(Held::Disabled) => {
            format!("{said}. That is advice: job.autoscaler.scaling.enabled is false")
        }
        Some(Held::Slots { needed, there }) => {
            format!("{said}. Not done: that takes {needed} slots, and there are {there}")
        }
        Some(Held::Refused(why)) => format!("{said}. Not done: {why}"),
    }
}

fn one(job: &Job, change: &Decision, known: &Evaluated) -> String {
    let name = vertex_name(job, change.vertex);
    let comes = Rate::Finite(known.target).per_second().unwrap_or(0);
    let behind = Rate::Finite(known.catch_up).per_second().unwrap_or(0);
    let catch_up = match behind {
        0 => String::new(),
        _ => format!(", and {behind}/s more to catch up"),
    };
    let needed = match change.capacity.per_second() {
        Some(it) => format!("be able to do {it}/s"),
        None => "do without limit".to_owned(),
    };
    let can = match change.rates.0.per_second() {
        Some(it) => format!("can do {it}/s"),
        None => "have shown no limit".to_owned(),
    };
    let (from, to) = (change.from, change.to);
    format!(
        "{name}: {comes} records/s come{catch_up}: it is to {needed}; {from} subtasks {can}, so {to}"
    )
}
