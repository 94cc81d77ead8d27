//! The abort of a transaction that is open for longer than its timeout.

use super::{NOW_MS, begin_pending, first, knowing, resolved, states, stored, stored_epoch};
use crate::case::{Case, Checked, same, unknown};
use crate::values::{members, offset};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::txn::{TransactionConfig, TransactionState};

pub(super) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let base = stored_epoch(input)?;
    let [Some(known)] = states(input, TransactionState::Ongoing)?[..] else {
        return Err(unknown("list of states in", &case.id));
    };
    let with = stored(input, known)?;
    let before = with.current.clone();
    let (mut manager, id) = knowing(input, Some(with))?;
    begin_pending(input, &mut manager, &id, &before)?;
    let after_ms = match first(input, &["after_ms"]) {
        given @ Value::Number(_) => offset(given)?,
        // "cleanup interval (10 s default)", or nothing: the next scan.
        _ => TransactionConfig::default().abort_timed_out_interval_ms,
    };
    let aborted = manager.abort_timed_out(NOW_MS + after_ms);
    let written = aborted.first().map(|(write, _)| write.clone());
    let error = match first(input, &["append", "append_error", "append_result"]) {
        Value::Null => ErrorCode::None,
        given => {
            let named = ErrorCode::ALL.iter().find(|it| *given == it.name());
            *named.ok_or_else(|| unknown("error", given))?
        }
    };
    if let Some(write) = &written {
        manager.written(write, error);
    }
    let now = manager.get(&id);
    let next = written.as_ref().map(|it| &it.next);
    for (key, expected) in members(&case.expect)? {
        let got = match key {
            "written_state" => next.map(|it| json!(it.state.name())),
            "written_epoch" => next.map(|it| json!(it.producer_epoch)),
            "written" | "log_append" | "aborted" => Some(json!(next.is_some())),
            "epoch" | "epoch_after" => now.map(|it| json!(it.current.producer_epoch)),
            "failed_epoch_fence" | "has_failed_epoch_fence" => {
                now.map(|it| json!(it.failed_epoch_fence))
            }
            _ => return Err(unknown("expectation", key)),
        };
        same(key, &got.unwrap_or(Value::Null), &resolved(expected, base)?)?;
    }
    Ok(())
}
