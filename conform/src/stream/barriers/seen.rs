//! What a handler of barriers did, as cases ask for it.

use serde_json::{Value, json};
use sim_core::stream::rules::barrier::{Action, Alignment, Declined};

/// All actions so far.
#[derive(Default)]
pub(super) struct Seen(Vec<Action>);

/// A list as the case wants it: by its elements, or how many there are.
fn listed(all: Vec<Value>, expected: &Value) -> Value {
    match expected {
        Value::Number(_) => json!(all.len()),
        _ => Value::Array(all),
    }
}

/// Flink's name of a reason, whole or without what all of them share.
fn reason(reason: Declined, expected: &Value) -> Value {
    let name = reason.name();
    let short = name.trim_start_matches("CHECKPOINT_");
    let short = short.trim_start_matches("DECLINED_");
    let shorter = short.trim_start_matches("ON_");
    let wanted = expected.as_str().unwrap_or_default();
    let found = [name, short, shorter].into_iter().find(|it| *it == wanted);
    json!(found.unwrap_or(shorter))
}

fn kind(alignment: Alignment, expected: &Value) -> Value {
    match alignment {
        Alignment::Unaligned => json!("unaligned"),
        Alignment::AlignedWithTimeout { .. } => json!("aligned_with_timeout"),
        Alignment::Aligned if expected == "aligned_no_timeout" => json!("aligned_no_timeout"),
        Alignment::Aligned | Alignment::ForcedAligned { .. } => json!("aligned"),
    }
}

impl Seen {
    pub(super) fn add(&mut self, out: &[Action]) {
        self.0.extend_from_slice(out);
    }

    /// The checkpoints whose snapshot was taken.
    pub(super) fn triggered(&self) -> Vec<i64> {
        let taken = self.0.iter().filter_map(|it| match it {
            Action::Trigger { barrier, .. } => Some(barrier.checkpoint),
            _ => None,
        });
        taken.collect()
    }

    fn aborted(&self) -> Vec<(i64, Declined)> {
        let all = self.0.iter().filter_map(|it| match it {
            Action::Abort { checkpoint, reason } => Some((*checkpoint, *reason)),
            _ => None,
        });
        all.collect()
    }

    fn types(&self, expected: &Value) -> Vec<Value> {
        let taken = self.0.iter().filter_map(|it| match it {
            Action::Trigger { barrier, .. } => Some(barrier.alignment),
            _ => None,
        });
        let typed = taken.enumerate();
        typed.map(|(at, it)| kind(it, &expected[at])).collect()
    }

    /// Duration and bytes of the alignment that ended last.
    fn alignment(&self) -> Option<(i64, u64)> {
        self.0.iter().rev().find_map(|it| match it {
            Action::AllBarriersReceived {
                alignment_ms,
                bytes,
                ..
            } => Some((*alignment_ms, *bytes)),
            _ => None,
        })
    }

    /// One part of it, in the form in which the case expects it.
    pub(super) fn part(&self, key: &str, expected: &Value) -> Option<Value> {
        let ids = |all: Vec<i64>| all.into_iter().map(Value::from).collect();
        let aborted = self.aborted();
        Some(match key {
            "triggered" | "triggered_count" | "triggered_checkpoints" => {
                listed(ids(self.triggered()), expected)
            }
            "aborted" | "aborted_count" | "aborted_checkpoints" => {
                let with_reason = expected.get(0).is_none_or(Value::is_array);
                let all = aborted.into_iter().enumerate();
                let all = all.map(|(at, (id, why))| match with_reason {
                    true => json!([id, reason(why, &expected[at][1])]),
                    false => json!(id),
                });
                listed(all.collect(), expected)
            }
            "notifications" => {
                let all = self.0.iter().filter_map(|it| match it {
                    Action::Trigger { barrier, .. } => Some(barrier.checkpoint),
                    Action::Abort { checkpoint, .. } => Some(checkpoint.saturating_neg()),
                    Action::AllBarriersReceived { .. } => None,
                });
                Value::Array(ids(all.collect()))
            }
            "types" | "triggered_types" => Value::Array(self.types(expected)),
            "type" => self.types(&json!([expected])).pop()?,
            "last_aborted" | "last_canceled" | "last_cancelled" | "canceled" | "cancelled" => {
                match aborted.last() {
                    Some((id, _)) => json!(id),
                    None if expected.is_null() => Value::Null,
                    None => json!(-1),
                }
            }
            "reason" | "failure_reason" | "abort_reason" => {
                reason(aborted.last().map(|(_, why)| *why)?, expected)
            }
            "last_alignment_ms" | "final_alignment_ms" => json!(self.alignment()?.0),
            "bytes_processed_during_alignment" | "bytes_during_alignment" => {
                json!(self.alignment()?.1)
            }
            "start_delay_ms" => {
                let delay = self.0.iter().rev().find_map(|it| match it {
                    Action::Trigger { start_delay_ms, .. } => Some(*start_delay_ms),
                    _ => None,
                });
                json!(delay?)
            }
            _ => return None,
        })
    }
}
