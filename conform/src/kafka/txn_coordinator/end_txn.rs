//! EndTxn: a state, an end, and the epochs by which the producer asks for it.

use super::{
    NOW_MS, PID, each, epoch, first, knowing, pid, refusal, resolved, resolved_all, same_list,
    state, states, stored, stored_epoch, version,
};
use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{members, text};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::txn::{EndTxn, TransactionResult, TransactionState, TxnTransit};

/// The answer to an EndTxn.
enum Answer {
    Refused(ErrorCode),
    /// Answered like the end before.
    Retry(i64, i16),
    /// To be written.
    Prepared(Box<TxnTransit>),
}

pub(super) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let base = stored_epoch(input)?;
    let known = states(input, TransactionState::Ongoing)?;
    for (key, expected) in members(&case.expect)? {
        match key {
            "result_by_request_epoch" => {
                let [known] = known[..] else {
                    return Err(unknown("list of states with", key));
                };
                let request = first(input, &["request", "result"]);
                for (asked, expected) in members(expected)? {
                    let asked = epoch(&json!(asked), base)?;
                    let answer = ask(input, known, request, asked)?;
                    judge(&format!("{key} {asked}"), &answer, text(expected)?, base)?;
                }
            }
            "result" | "results" | "error" => {
                let answers = ask_all(input, &known, base)?;
                let expected = each(expected);
                if answers.len() != expected.len() {
                    return Err(unknown("number of answers in", key));
                }
                for (answer, expected) in answers.iter().zip(expected) {
                    judge(key, answer, text(expected)?, base)?;
                }
            }
            _ => check_values(key, expected, &ask_all(input, &known, base)?, base)?,
        }
    }
    Ok(())
}

/// Each state with each end and each epoch that the case asks with.
fn ask_all(input: &Value, known: &[Option<TransactionState>], base: i64) -> Checked<Vec<Answer>> {
    let mut answers = Vec::new();
    let own = json!(base);
    for known in known {
        for request in each(first(input, &["request", "result"])) {
            for asked in each(first(input, &["request_epochs", "request_epoch", "epoch"])) {
                let asked = if asked.is_null() { &own } else { asked };
                answers.push(ask(input, *known, request, epoch(asked, base)?)?);
            }
        }
    }
    Ok(answers)
}

fn ask(
    input: &Value,
    known: Option<TransactionState>,
    request: &Value,
    asked: i16,
) -> Checked<Answer> {
    let with = known.map(|known| stored(input, known)).transpose()?;
    let producer_id = match first(input, &["request_pid", "request_producer_id"]) {
        Value::Null => {
            let now = with.as_ref().map(|it| &it.current);
            // After an overflow a retry names the id of before.
            let overflown = now.filter(|it| it.producer_epoch == 0 && asked == i16::MAX - 1);
            let own = now.map_or(PID, |it| it.producer_id);
            overflown.map_or(own, |it| it.prev_producer_id)
        }
        given => pid(given)?,
    };
    let (mut manager, id) = knowing(input, with)?;
    let request = EndTxn {
        producer_id,
        producer_epoch: asked,
        result: match text(request)?.to_uppercase().as_str() {
            "COMMIT" => TransactionResult::Commit,
            "ABORT" => TransactionResult::Abort,
            other => return Err(unknown("end", other)),
        },
        version: version(input)?,
        from_client: true,
    };
    let new_id = || Ok(PID + 1);
    Ok(match manager.end_txn(&id, &request, NOW_MS + 1, new_id) {
        Err(error) => Answer::Refused(error),
        Ok(Ok((producer_id, epoch))) => Answer::Retry(producer_id, epoch),
        Ok(Err(write)) => Answer::Prepared(Box::new(write.next)),
    })
}

/// Compares an answer with its words: the error, then what else is said of it.
fn judge(key: &str, answer: &Answer, words: &str, base: i64) -> Checked {
    for clause in words.split([',', ';', '(', ')']).map(str::trim) {
        if !clause.is_empty() && !holds(answer, clause, base)? {
            let got = match answer {
                Answer::Refused(error) => error.name().to_owned(),
                Answer::Retry(id, epoch) => {
                    format!("NONE without a write, producer id {id}, epoch {epoch}")
                }
                Answer::Prepared(next) => format!("NONE, to be written: {next:?}"),
            };
            return Err(Fault::Differs(format!(
                "{key}: got {got}, expected {words} (e = {base})"
            )));
        }
    }
    Ok(())
}

fn holds(answer: &Answer, clause: &str, base: i64) -> Checked<bool> {
    if let Some(error) = ErrorCode::ALL.iter().find(|it| it.name() == clause) {
        return Ok(match answer {
            Answer::Refused(got) => got == error,
            _ => *error == ErrorCode::None,
        });
    }
    let written = match answer {
        Answer::Prepared(next) => Some(&**next),
        _ => None,
    };
    let lower = clause.to_lowercase();
    match lower.as_str() {
        "retry" | "a retry" | "idempotent" => return Ok(matches!(answer, Answer::Retry(..))),
        "no append" | "no log append" | "nothing written" | "no write" | "nothing appended" => {
            return Ok(written.is_none());
        }
        "accepted" | "ok" | "written" | "append" | "log append" => return Ok(written.is_some()),
        "empty transaction aborted" | "aborts an empty transaction" | "empty abort" => {
            // It begins and ends at once.
            let of_nothing = |next: &TxnTransit| {
                next.state == TransactionState::PrepareAbort
                    && next.partitions.is_empty()
                    && next.start_ms == NOW_MS + 1
            };
            return Ok(written.is_some_and(of_nothing));
        }
        _ => {}
    }
    if let Some(named) = lower.split_whitespace().find_map(|word| state(word).ok()) {
        return Ok(written.is_some_and(|next| next.state == named));
    }
    match lower.split_once("epoch") {
        Some((_, said)) => epoch_is(answer, said, clause, base),
        None => Err(unknown("words", clause)),
    }
}

/// "epoch becomes e+1", "epoch bump", "no epoch bump".
fn epoch_is(answer: &Answer, said: &str, clause: &str, base: i64) -> Checked<bool> {
    let got = match answer {
        Answer::Refused(_) => return Ok(false),
        Answer::Retry(_, epoch) => *epoch,
        Answer::Prepared(next) => next.producer_epoch,
    };
    let last = said.split_whitespace().last().unwrap_or_default();
    let wanted = match last {
        "bump" | "bumped" if clause.starts_with("no ") => base,
        "bump" | "bumped" => base + 1,
        other => return Ok(got == epoch(&json!(other), base)?),
    };
    Ok(i64::from(got) == wanted)
}

/// Single values of what is written.
fn check_values(key: &str, expected: &Value, answers: &[Answer], base: i64) -> Checked {
    let value = |answer: &Answer| -> Checked<Value> {
        let (id, epoch, next) = match answer {
            Answer::Refused(error) => return Ok(refusal(*error, expected)),
            Answer::Retry(id, epoch) => (*id, *epoch, None),
            Answer::Prepared(next) => (next.producer_id, next.producer_epoch, Some(next)),
        };
        Ok(match (key, next) {
            ("log_append" | "appended", next) => json!(next.is_some()),
            ("epoch" | "written_epoch" | "epoch_in_prepare" | "new_epoch", _) => json!(epoch),
            ("pid" | "producer_id" | "new_pid", _) => json!(id),
            ("last_epoch" | "written_last_epoch", Some(next)) => json!(next.last_producer_epoch),
            ("next_pid", Some(next)) => json!(next.next_producer_id),
            ("state" | "written_state" | "new_state", Some(next)) => json!(next.state.name()),
            _ => return Err(unknown("expectation", key)),
        })
    };
    let got = answers.iter().map(value).collect::<Checked<Vec<_>>>()?;
    match expected {
        Value::Array(_) => same_list(key, &got, &resolved_all(expected, base)?),
        one => same_list(key, &got, &resolved(one, base)?),
    }
}
