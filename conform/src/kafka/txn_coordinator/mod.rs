//! The transaction coordinator: `TransactionCoordinatorTest` and `TransactionMetadataTest`.
//!
//! What a case asks for is told by the first part of its id: the end of a transaction (`endtxn`),
//! its partitions (`add`, `verify`), the producer's id and epoch (`init`), the timeout, and the
//! transitions of the metadata themselves (`meta`). Epochs are given as numbers or relative to the
//! stored one ("e-1"), producer ids likewise ("p+1").

mod end_txn;
mod init;
mod meta;
mod partitions;
mod timeout;

use crate::case::{Case, Checked, unknown};
use crate::values::{bounded, int, offset, text};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::ids::{TopicId, TopicPartition};
use sim_core::kafka::rules::txn::{
    EndTxn, TransactionConfig, TransactionMetadata, TransactionResult, TransactionState,
    TransactionStateManager, TxnTransit,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The id in the cases that name none.
const ID: &str = "known";
/// The producer id "p".
const PID: i64 = 10;
/// The producer epoch "e".
const EPOCH: i64 = 10;
/// The time at which a case begins, in ms.
const NOW_MS: i64 = 1_000_000;
const TIMEOUT_MS: i32 = 1;

pub(crate) fn check(case: &Case) -> Checked {
    match case.id.split('-').next() {
        Some("endtxn") => end_txn::check(case),
        Some("add") => partitions::check_added(case),
        Some("verify") => partitions::check_verified(case),
        Some("init") => init::check(case),
        Some("timeout") => timeout::check(case),
        Some("meta") => meta::check(case),
        _ => Err(unknown("operation of case", &case.id)),
    }
}

/// A number, or one relative to `base`, which a letter names: "e-1", "p+1", "p".
fn relative(value: &Value, letter: char, base: i64) -> Checked<i64> {
    let Some(rest) = value.as_str().and_then(|it| it.strip_prefix(letter)) else {
        return offset(value);
    };
    let rest = rest.replace(' ', "");
    if rest.is_empty() {
        return Ok(base);
    }
    let more: Option<i64> = rest.strip_prefix('+').unwrap_or(&rest).parse().ok();
    match more {
        Some(more) => Ok(base + bounded(more)?),
        None => Err(unknown("number", value)),
    }
}

fn short(number: i64) -> Checked<i16> {
    i16::try_from(number).map_err(|_| unknown("epoch", number))
}

/// An epoch, relative to the stored one.
fn epoch(value: &Value, stored: i64) -> Checked<i16> {
    short(relative(value, 'e', stored)?)
}

fn pid(value: &Value) -> Checked<i64> {
    relative(value, 'p', PID)
}

fn state(name: &str) -> Checked<TransactionState> {
    let spelled = name.to_ascii_uppercase().replace('_', "");
    let all = TransactionState::ALL.into_iter();
    let mut same = all.filter(|it| it.name().replace('_', "") == spelled);
    same.next().ok_or_else(|| unknown("state", name))
}

/// One value or a list of them.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

/// The first of these members that an object has; null if none.
fn first<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    let found = keys.iter().find_map(|key| value.get(key));
    found.unwrap_or(&Value::Null)
}

/// "topic1-0"; the number of the topic is in its name.
fn partition(name: &str) -> Checked<TopicPartition> {
    let parsed = name.rsplit_once('-').and_then(|(topic, number)| {
        let digits = topic.trim_start_matches(|c: char| !c.is_ascii_digit());
        let topic = TopicId(digits.parse().unwrap_or(0));
        let partition = number.parse().ok()?;
        Some(TopicPartition { topic, partition })
    });
    parsed.ok_or_else(|| unknown("partition", name))
}

/// The epoch stored in a case's metadata: "e" unless it gives a number.
fn stored_epoch(input: &Value) -> Checked<i64> {
    match first(input, &["stored_epoch"]) {
        Value::Null => match &input["stored"]["epoch"] {
            Value::Null => Ok(EPOCH),
            given => relative(given, 'e', EPOCH),
        },
        given => relative(given, 'e', EPOCH),
    }
}

fn version(input: &Value) -> Checked<u8> {
    match first(input, &["tv", "client_tv", "transaction_version"]) {
        Value::Null => Ok(0),
        given => u8::try_from(int(given)?).map_err(|_| unknown("transaction version", given)),
    }
}

/// The metadata that a case begins with, in `state`.
fn stored(input: &Value, state: TransactionState) -> Checked<TransactionMetadata> {
    let own = &input["stored"];
    let find = |keys: &[&str]| match first(own, keys) {
        Value::Null => first(input, keys),
        given => given,
    };
    let or = |value: &Value, otherwise: i64| match value {
        Value::Null => Ok(otherwise),
        given => pid(given),
    };
    let base = stored_epoch(input)?;
    let last = match find(&["last_epoch", "stored_last_epoch", "last_producer_epoch"]) {
        Value::Null => -1,
        given => epoch(given, base)?,
    };
    let partitions = match find(&["stored_partitions"]) {
        Value::Null => [partition("topic1-0")?].into(),
        given => each(given)
            .into_iter()
            .map(|it| partition(text(it)?))
            .collect::<Checked<BTreeSet<_>>>()?,
    };
    let begun = state.is_prepared() || state == TransactionState::Ongoing;
    let id = or(find(&["pid", "producer_id", "stored_pid"]), PID)?;
    Ok(TransactionMetadata::loaded(TxnTransit {
        producer_id: id,
        prev_producer_id: or(find(&["prev_pid", "previous_pid", "prev_producer_id"]), id)?,
        next_producer_id: or(find(&["next_pid", "next_producer_id"]), -1)?,
        producer_epoch: short(base)?,
        last_producer_epoch: last,
        timeout_ms: TIMEOUT_MS,
        state,
        partitions: if begun { partitions } else { BTreeSet::new() },
        start_ms: NOW_MS,
        last_update_ms: NOW_MS,
        client_version: version(input)?,
        epoch_fence: false,
    }))
}

/// A coordinator that leads the only partition, of server version `version`.
fn coordinator(version: u8) -> TransactionStateManager {
    let config = TransactionConfig {
        version,
        ..TransactionConfig::default()
    };
    let mut coordinator = TransactionStateManager::new(config, 1);
    coordinator.elected(0, 0);
    let _ = coordinator.loaded(0, [], NOW_MS);
    coordinator
}

/// The coordinator of a case and the id that it asks for. `with` is what is stored, if anything.
fn knowing(
    input: &Value,
    with: Option<TransactionMetadata>,
) -> Checked<(TransactionStateManager, Arc<str>)> {
    let mut manager = coordinator(version(input)?);
    let id: Arc<str> = match input.get("transactional_id") {
        None => ID.into(),
        Some(Value::Null) => "".into(),
        Some(given) => text(given)?.into(),
    };
    match first(input, &["coordinator"]) {
        Value::Null => {}
        given => match text(given)?.replace([' ', '_'], "").to_lowercase().as_str() {
            "loading" | "loadinprogress" => manager.elected(0, 1),
            "notcoordinator" | "other" | "elsewhere" => manager.resigned(0),
            _ => return Err(unknown("coordinator", given)),
        },
    }
    if let Some(metadata) = with {
        // A coordinator that is not asked in its right knows no ids; the case expects as much.
        let _ = manager.put_if_absent(id.clone(), metadata);
    }
    Ok((manager, id))
}

/// The states of a case: one, several, or `default`. "none" is an id that is not known.
fn states(input: &Value, default: TransactionState) -> Checked<Vec<Option<TransactionState>>> {
    let own = match input["stored"].get("state") {
        Some(own) => own,
        None => first(input, &["state", "states"]),
    };
    let explicit_none =
        input.get("state") == Some(&Value::Null) || input.get("stored") == Some(&Value::Null);
    if own.is_null() {
        let state = if explicit_none { None } else { Some(default) };
        return Ok(vec![state]);
    }
    let read = |value: &Value| match text(value)? {
        "none" | "unknown" | "absent" | "not present" => Ok(None),
        name => state(name).map(Some),
    };
    each(own).into_iter().map(read).collect()
}

/// Compares results of several states: a list, or the one value where there is one state.
fn same_list(key: &str, got: &[Value], expected: &Value) -> Checked {
    let got = match (got, expected) {
        ([one], Value::Array(all)) if all.len() != 1 => one.clone(),
        ([one], expected) if !expected.is_array() => one.clone(),
        (all, _) => json!(all),
    };
    crate::case::same(key, &got, expected)
}

fn name(error: ErrorCode) -> Value {
    json!(error.name())
}

/// What the engine calls a transition that it does not allow, in the words of `expected`.
fn refusal(error: ErrorCode, expected: &Value) -> Value {
    let says_illegal = expected
        .as_str()
        .is_some_and(|it| it.to_lowercase().contains("illegal"));
    match error {
        ErrorCode::UnknownServerError if says_illegal => expected.clone(),
        other => name(other),
    }
}

/// A relative epoch or producer id as its number; anything else as it is.
fn resolved(value: &Value, base: i64) -> Checked<Value> {
    let words = value.as_str().unwrap_or_default();
    let is_relative = |letter| {
        let rest = words.strip_prefix(letter);
        rest.is_some_and(|it: &str| it.is_empty() || it.trim_start().starts_with(['+', '-']))
    };
    Ok(if is_relative('e') {
        json!(epoch(value, base)?)
    } else if is_relative('p') {
        json!(pid(value)?)
    } else {
        value.clone()
    })
}

fn resolved_all(values: &Value, base: i64) -> Checked<Value> {
    let all = each(values).into_iter().map(|it| resolved(it, base));
    Ok(json!(all.collect::<Checked<Vec<_>>>()?))
}

/// Where a case says so, a transition is decided and not yet written.
fn begin_pending(
    input: &Value,
    manager: &mut TransactionStateManager,
    id: &Arc<str>,
    before: &TxnTransit,
) -> Checked {
    let pending = first(input, &["pending", "pending_state", "pending_transition"]);
    if matches!(pending, Value::Null | Value::Bool(false)) {
        return Ok(());
    }
    let result = match pending.as_str().map(state).transpose()? {
        Some(TransactionState::PrepareAbort) => TransactionResult::Abort,
        _ => TransactionResult::Commit,
    };
    let request = EndTxn {
        producer_id: before.producer_id,
        producer_epoch: before.producer_epoch,
        result,
        version: before.client_version,
        from_client: true,
    };
    let begun = manager.end_txn(id, &request, NOW_MS, || Ok(PID + 1));
    begun
        .map(|_| ())
        .map_err(|error| unknown("pending transition", error))
}
