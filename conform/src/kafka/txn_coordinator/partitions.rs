//! AddPartitionsToTxn, of a producer or of a broker that verifies.

use super::{
    NOW_MS, PID, begin_pending, each, epoch, first, knowing, name, partition, pid, same_list,
    short, state, states, stored, stored_epoch, version,
};
use crate::case::{Case, Checked, unknown};
use crate::values::{list, members, numbers, text};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::ids::TopicPartition;
use sim_core::kafka::rules::txn::{TransactionState, TxnWrite};
use std::collections::BTreeSet;

fn asked_epoch(input: &Value) -> Checked<i16> {
    let base = stored_epoch(input)?;
    match first(input, &["request_epoch", "epoch"]) {
        Value::Null => short(base),
        given => epoch(given, base),
    }
}

fn asked_pid(input: &Value) -> Checked<i64> {
    match first(input, &["request_pid", "request_producer_id", "stored_pid"]) {
        Value::Null => Ok(PID),
        given => pid(given),
    }
}

/// The partitions of a request: named, or "already in the transaction", or others.
fn asked_partitions(value: &Value) -> Checked<BTreeSet<TopicPartition>> {
    let one = |name: &str| Ok([partition(name)?].into());
    match value {
        Value::Array(all) => all.iter().map(|it| partition(text(it)?)).collect(),
        Value::Null => one("topic2-0"),
        given => match text(given)? {
            "already in the transaction" | "same" | "the same" => one("topic1-0"),
            "new" | "not in the transaction" => one("topic2-0"),
            named => one(named),
        },
    }
}

type Added = Result<Option<TxnWrite>, ErrorCode>;

pub(super) fn check_added(case: &Case) -> Checked {
    let input = &case.input;
    let mut answers = Vec::new();
    for known in states(input, TransactionState::Ongoing)? {
        answers.push(add(input, known)?);
    }
    for (key, expected) in members(&case.expect)? {
        let accepts = each(expected).into_iter().any(|it| it == "accepted");
        let value = |answer: &Added| {
            let next = answer.as_ref().ok().and_then(|it| it.as_ref());
            Ok(match (key, next) {
                // "accepted": to be written; NONE: nothing to write.
                ("result" | "results" | "error", Some(_)) if accepts => json!("accepted"),
                ("result" | "results" | "error", _) => {
                    name(answer.as_ref().err().copied().unwrap_or_default())
                }
                ("log_append" | "appended", next) => json!(next.is_some()),
                ("new_state" | "written_state" | "state", Some(write)) => {
                    json!(write.next.state.name())
                }
                _ => return Err(unknown("expectation", key)),
            })
        };
        let got = answers.iter().map(value).collect::<Checked<Vec<_>>>()?;
        same_list(key, &got, expected)?;
    }
    Ok(())
}

fn add(input: &Value, known: Option<TransactionState>) -> Checked<Added> {
    let with = known.map(|known| stored(input, known)).transpose()?;
    let producer = (asked_pid(input)?, asked_epoch(input)?);
    let before = with.as_ref().map(|it| it.current.clone());
    let (mut manager, id) = knowing(input, with)?;
    if let Some(before) = before {
        begin_pending(input, &mut manager, &id, &before)?;
    }
    let partitions = asked_partitions(first(input, &["partitions", "request_partitions"]))?;
    Ok(manager.add_partitions(&id, producer, &partitions, version(input)?, NOW_MS))
}

pub(super) fn check_verified(case: &Case) -> Checked {
    let input = &case.input;
    if let Some(cases) = input.get("cases") {
        let told = list(cases)?.iter().map(|words| verify_told(text(words)?));
        let got = told.collect::<Checked<Vec<_>>>()?;
        return case.same("result", &json!(got));
    }
    let asked = first(input, &["verify", "request_partitions", "partitions"]);
    let (asked, names) = (asked_partitions(asked)?, each(asked));
    let [known] = states(input, TransactionState::Ongoing)?[..] else {
        return Err(unknown("list of states in", &case.id));
    };
    let mut with = known.map(|known| stored(input, known)).transpose()?;
    if let (Some(with), given @ Value::Array(_)) = (&mut with, first(input, &["stored_partitions"]))
    {
        // A state without a transaction may hold partitions in the real tests.
        with.current.partitions = asked_partitions(given)?;
    }
    let (mut manager, id) = knowing(input, with)?;
    let producer = (asked_pid(input)?, asked_epoch(input)?);
    let answers = manager.verify_partitions(&id, producer, &asked);
    case.same_all(|key| {
        let names_partition = names.iter().any(|it| **it == *key);
        Ok(match (&answers, key) {
            (Err(error), _) => Some(name(*error)),
            (Ok(all), _) if names_partition => all.get(&partition(key)?).copied().map(name),
            (Ok(all), "result" | "results" | "error") => {
                let errors: Vec<_> = all.values().map(|it| name(*it)).collect();
                Some(match &errors[..] {
                    [one] if !case.expect[key].is_array() => one.clone(),
                    all => json!(all),
                })
            }
            _ => None,
        })
    })
}

/// A verification of one partition told in words, for example "request epoch 1, stored 0".
fn verify_told(words: &str) -> Checked<Value> {
    let (mut known, mut added) = (TransactionState::Ongoing, true);
    let (mut asked_pid, mut asked_epoch, mut stored_epoch) = (PID, 0, 0);
    for clause in words.split([',', ';']).map(str::trim) {
        let number = numbers(clause).first().copied();
        match (clause, number) {
            ("pid differs" | "producer id differs", _) => asked_pid = PID - 1,
            ("partition not added" | "partition not present" | "partition not in it", _) => {
                added = false;
            }
            ("partition added" | "partition present" | "partitions the same", _) => added = true,
            (clause, Some(number)) if clause.starts_with("request epoch") => asked_epoch = number,
            (clause, Some(number)) if clause.starts_with("stored") => stored_epoch = number,
            (clause, _) => known = state(clause.strip_prefix("state ").unwrap_or(clause))?,
        }
    }
    let input = json!({ "stored_epoch": stored_epoch });
    let mut with = stored(&input, known)?;
    if !added {
        with.current.partitions.clear();
    }
    let (mut manager, id) = knowing(&input, Some(with))?;
    let asked = [partition("topic1-0")?].into();
    let producer = (asked_pid, short(asked_epoch)?);
    Ok(match manager.verify_partitions(&id, producer, &asked) {
        Err(error) => name(error),
        Ok(all) => name(all.values().next().copied().unwrap_or_default()),
    })
}
