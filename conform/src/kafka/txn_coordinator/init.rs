//! InitProducerId with a transactional id: one request after the other, each written.

use super::{
    NOW_MS, PID, TIMEOUT_MS, begin_pending, each, epoch, first, knowing, pid, resolved,
    resolved_all, same_list, states, stored, stored_epoch,
};
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{int32, list, members};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::txn::{
    InitProducerId, TransactionMetadata, TransactionState, TxnTransit,
};

/// Producer id, epoch and error.
type Answer = (i64, i16, ErrorCode);

/// What a case of one state comes to.
struct Run {
    answers: Vec<Answer>,
    /// The last transition that was written.
    written: Option<TxnTransit>,
    after: Option<TransactionMetadata>,
}

pub(super) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let base = stored_epoch(input)?;
    let mut runs = Vec::new();
    for known in states(input, TransactionState::Empty)? {
        runs.push(run(input, known)?);
    }
    for (key, expected) in members(&case.expect)? {
        if let "results" | "result" | "error" = key {
            let answers: Vec<_> = runs.iter().flat_map(|it| &it.answers).collect();
            check_answers(key, &answers, expected, base)?;
            continue;
        }
        let value = |it: &Run| single(key, it);
        let got = runs.iter().map(value).collect::<Checked<Vec<_>>>()?;
        match expected {
            Value::Array(_) => same_list(key, &got, &resolved_all(expected, base)?)?,
            one => same_list(key, &got, &resolved(one, base)?)?,
        }
    }
    Ok(())
}

fn run(input: &Value, known: Option<TransactionState>) -> Checked<Run> {
    let with = known.map(|known| stored(input, known)).transpose()?;
    // An id that is not known gets "p".
    let mut next_pid = PID + i64::from(with.is_some());
    let base = stored_epoch(input)?;
    let before = with.as_ref().map(|it| it.current.clone());
    let own_pid = before.as_ref().map_or(PID, |it| it.producer_id);
    let (mut manager, id) = knowing(input, with)?;
    if let Some(before) = before {
        begin_pending(input, &mut manager, &id, &before)?;
    }
    let (mut answers, mut written) = (Vec::new(), None);
    let none = json!({});
    let requests = match first(input, &["requests", "request"]) {
        Value::Null => vec![&none],
        given => each(given),
    };
    for request in requests {
        let asked_epoch = first(request, &["epoch", "expected_epoch", "producer_epoch"]);
        let expected = match (first(request, &["pid", "producer_id"]), asked_epoch) {
            (_, Value::Null) => None,
            (Value::Null, given) => Some((own_pid, epoch(given, base)?)),
            (asked, given) => Some((pid(asked)?, epoch(given, base)?)),
        };
        let timeouts = ["timeout_ms", "transaction_timeout_ms"];
        let timeout_ms = match (first(request, &timeouts), first(input, &timeouts)) {
            (Value::Null, Value::Null) => TIMEOUT_MS,
            (Value::Null, given) | (given, _) => int32(given)?,
        };
        let request = InitProducerId {
            timeout_ms,
            expected,
        };
        let new_id = || {
            next_pid += 1;
            Ok(next_pid - 1)
        };
        answers.push(
            match manager.init_producer_id(&id, &request, NOW_MS, new_id) {
                Err(error) => (-1, -1, error),
                Ok((write, abort)) => {
                    let error = match manager.written(&write, ErrorCode::None) {
                        ErrorCode::None if abort.is_some() => ErrorCode::ConcurrentTransactions,
                        other => other,
                    };
                    let next = written.insert(write.next);
                    match error {
                        ErrorCode::None => (next.producer_id, next.producer_epoch, error),
                        _ => (-1, -1, error),
                    }
                }
            },
        );
    }
    let after = manager.get(&id).cloned();
    Ok(Run {
        answers,
        written,
        after,
    })
}

/// An answer may be given as its error, or as a list that ends in it: `[epoch, error]` or
/// `[producer id, epoch, error]`.
fn check_answers(key: &str, answers: &[&Answer], expected: &Value, base: i64) -> Checked {
    let is_one = match expected {
        Value::Array(all) => !all.iter().any(Value::is_array) && all.iter().any(Value::is_number),
        _ => true,
    };
    let expected = if is_one {
        vec![expected]
    } else {
        list(expected)?.iter().collect()
    };
    if expected.len() != answers.len() {
        let (got, wanted) = (answers.len(), expected.len());
        return Err(Fault::Differs(format!(
            "{key}: {got} answers, {wanted} expected"
        )));
    }
    for ((id, epoch, error), expected) in answers.iter().zip(expected) {
        let parts = each(expected);
        let all = [json!(id), json!(epoch), json!(error.name())];
        let Some(skip) = all.len().checked_sub(parts.len()) else {
            return Err(unknown("answer", expected));
        };
        for (got, expected) in all[skip..].iter().zip(parts) {
            // No id and no epoch are -1 in the protocol.
            let none = expected.is_null() && *got == json!(-1);
            match expected.as_str() {
                _ if none => {}
                Some("new" | "another") if *got != json!(PID) => {}
                _ => same(key, got, &resolved(expected, base)?)?,
            }
        }
    }
    Ok(())
}

fn single(key: &str, run: &Run) -> Checked<Value> {
    let after = run.after.as_ref().map(|it| &it.current);
    let written = run.written.as_ref();
    let found = match key {
        "written_state" => written.map(|it| json!(it.state.name())),
        "written_epoch" => written.map(|it| json!(it.producer_epoch)),
        "state" | "state_after" => after.map(|it| json!(it.state.name())),
        "epoch" | "epoch_after" => after.map(|it| json!(it.producer_epoch)),
        "pid" | "producer_id" => after.map(|it| json!(it.producer_id)),
        "last_epoch" => after.map(|it| json!(it.last_producer_epoch)),
        "prev_pid" => after.map(|it| json!(it.prev_producer_id)),
        "timeout_ms" => after.map(|it| json!(it.timeout_ms)),
        _ => return Err(unknown("expectation", key)),
    };
    Ok(found.unwrap_or(Value::Null))
}
