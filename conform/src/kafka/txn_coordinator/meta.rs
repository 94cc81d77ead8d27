//! The transitions of `TransactionMetadata` themselves. What is asked for shows in the values that
//! a case gives and expects: a fence, a rotation of the producer id, an end, or a raised epoch.

use super::{
    NOW_MS, TIMEOUT_MS, epoch, first, pid, refusal, same_list, state, states, stored, stored_epoch,
    version,
};
use crate::case::{Case, Checked, unknown};
use crate::values::{members, text};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::txn::{
    IllegalTransition, TransactionMetadata, TransactionState, TxnTransit,
};
use std::collections::BTreeMap;

type Facts = BTreeMap<String, Value>;
type Outcome = Result<Facts, ErrorCode>;

pub(super) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let expected = members(&case.expect)?;
    let expects = |part: &str| expected.iter().any(|(key, _)| key.contains(part));
    let ends = expects("_in_prepare") || expects("_in_complete");
    let to = first(input, &["to", "next_state", "transition"]);
    let default = if ends || expects("fence") {
        TransactionState::Ongoing
    } else {
        TransactionState::Empty
    };
    let mut outcomes = Vec::new();
    for known in states(input, default)? {
        let known = known.ok_or_else(|| unknown("state", "none"))?;
        let metadata = stored(input, known)?;
        outcomes.push(if expects("fence") {
            fence(metadata)
        } else if ends || !to.is_null() {
            end(input, metadata, to)?
        } else if expects("rotate") || input.get("new_pid").is_some() {
            rotate(input, metadata)?
        } else {
            increment(input, metadata)?
        });
    }
    for (key, expected) in expected {
        let words = match expected {
            Value::Array(all) => all.first().unwrap_or(&Value::Null),
            one => one,
        };
        let value = |outcome: &Outcome| match outcome {
            Ok(facts) => facts
                .get(key)
                .cloned()
                .ok_or_else(|| unknown("expectation", key)),
            Err(error) => Ok(refusal(*error, words)),
        };
        let got = outcomes.iter().map(value).collect::<Checked<Vec<_>>>()?;
        same_list(key, &got, expected)?;
    }
    Ok(())
}

fn facts(of: &TxnTransit, prefix: &str, suffix: &str, into: &mut Facts) {
    for (key, value) in [
        ("pid", json!(of.producer_id)),
        ("producer_id", json!(of.producer_id)),
        ("prev_pid", json!(of.prev_producer_id)),
        ("next_pid", json!(of.next_producer_id)),
        ("epoch", json!(of.producer_epoch)),
        ("last_epoch", json!(of.last_producer_epoch)),
        ("state", json!(of.state.name())),
        ("tv", json!(of.client_version)),
    ] {
        into.insert(format!("{prefix}{key}{suffix}"), value);
    }
}

fn fence(mut metadata: TransactionMetadata) -> Outcome {
    let next = metadata.prepare_fence_epoch()?;
    let mut all = Facts::new();
    facts(&next, "fence_", "", &mut all);
    facts(&next, "", "", &mut all);
    Ok(all)
}

/// Completes a transition; its values are those of the metadata then.
fn after(mut metadata: TransactionMetadata, next: Result<TxnTransit, ErrorCode>) -> Outcome {
    metadata.complete_transition(next?)?;
    let mut all = Facts::new();
    facts(&metadata.current, "", "", &mut all);
    let exhausted = metadata.is_producer_epoch_exhausted();
    all.insert("exhausted".to_owned(), json!(exhausted));
    Ok(all)
}

fn rotate(input: &Value, mut metadata: TransactionMetadata) -> Checked<Outcome> {
    let id = match first(input, &["new_pid"]) {
        Value::Null => metadata.current.producer_id + 1,
        given => pid(given)?,
    };
    let next = metadata.prepare_producer_id_rotation(id, TIMEOUT_MS, true, NOW_MS);
    Ok(after(metadata, next.map_err(ErrorCode::from)))
}

fn increment(input: &Value, mut metadata: TransactionMetadata) -> Checked<Outcome> {
    let keys = [
        "expected_epoch",
        "provided_epoch",
        "request_epoch",
        "given_epoch",
        "expected",
    ];
    let expected = match first(input, &keys) {
        Value::Null => None,
        given => Some(epoch(given, stored_epoch(input)?)?),
    };
    let next = metadata.prepare_increment_epoch(TIMEOUT_MS, expected, NOW_MS);
    Ok(after(metadata, next))
}

fn end(input: &Value, mut metadata: TransactionMetadata, to: &Value) -> Checked<Outcome> {
    let to = match to {
        Value::Null => match first(input, &["request", "result"]).as_str() {
            Some("ABORT") => TransactionState::PrepareAbort,
            _ => TransactionState::PrepareCommit,
        },
        given => state(text(given)?)?,
    };
    let next_id = match first(input, &["new_pid", "next_pid"]) {
        Value::Null => -1,
        given => pid(given)?,
    };
    let version = version(input)?;
    let of_nothing = metadata.state() != TransactionState::Ongoing;
    let mut run = || -> Result<Facts, IllegalTransition> {
        let mut all = Facts::new();
        let next = metadata.prepare_abort_or_commit(to, version, next_id, of_nothing, NOW_MS)?;
        metadata.complete_transition(next)?;
        facts(&metadata.current, "", "_in_prepare", &mut all);
        facts(&metadata.current, "", "", &mut all);
        let next = metadata.prepare_complete(NOW_MS)?;
        metadata.complete_transition(next)?;
        facts(&metadata.current, "", "_in_complete", &mut all);
        Ok(all)
    };
    Ok(run().map_err(ErrorCode::from))
}
