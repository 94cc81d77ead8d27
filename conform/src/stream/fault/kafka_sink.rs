//! The Kafka sink's transactional ids: `TransactionAbortStrategyImplTest`,
//! `TransactionOwnershipTest`, and what `KafkaCommitterTest` says of commits that fail.

use super::{MOST, either, first, number_or};
use crate::case::{Case, Checked, unknown};
use crate::values::{count, int, int32, list, offset, text};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::kafka_sink::{COMMITTER_RETRIES, CommitError, CommitOutcome};
use sim_core::stream::rules::fault::transactional_ids::{
    Listed, Ownership, OwnershipError, OwnershipModel, Probing, TransactionalId, WriterState,
    listed, pooled_offset, skipped_offsets,
};
use std::collections::BTreeSet;

const PREFIX: &str = "prefix";

/// `[subtask, offset]`, with the prefix before it where there are several, or the id as text.
fn id(value: &Value) -> Checked<TransactionalId> {
    let of = |prefix: &str, subtask: &Value, number: &Value| {
        Ok(TransactionalId {
            prefix: prefix.to_owned(),
            subtask: int32(subtask)?,
            offset: offset(number)?,
        })
    };
    match value {
        Value::Array(parts) => match parts.as_slice() {
            [subtask, number] => of(PREFIX, subtask, number),
            [prefix, subtask, number] => of(text(prefix)?, subtask, number),
            _ => Err(unknown("transactional id", value)),
        },
        Value::String(text) => {
            TransactionalId::parse(text).ok_or_else(|| unknown("transactional id", text))
        }
        Value::Object(_) => of(
            value["prefix"].as_str().unwrap_or(PREFIX),
            &value["subtask"],
            &value["offset"],
        ),
        other => Err(unknown("transactional id", other)),
    }
}

fn ids(value: &Value) -> Checked<Vec<TransactionalId>> {
    list(value)?.iter().map(id).collect()
}

/// An id in the form in which the case expects some.
fn shown(id: &TransactionalId, expected: &Value) -> Value {
    match expected {
        Value::String(_) => json!(id.to_string()),
        Value::Array(parts) if parts.len() == 3 => json!([id.prefix, id.subtask, id.offset]),
        _ => json!([id.subtask, id.offset]),
    }
}

/// A list of ids, in the expected order as far as it agrees: the real test heeds none.
fn in_any_order(ids: &[TransactionalId], expected: &Value) -> Value {
    let form = &expected[0];
    let mut left: Vec<Value> = ids.iter().map(|it| shown(it, form)).collect();
    let mut all = Vec::new();
    for wanted in expected.as_array().into_iter().flatten() {
        if let Some(at) = left.iter().position(|it| it == wanted) {
            all.push(left.remove(at));
        }
    }
    all.extend(left);
    Value::Array(all)
}

fn model(value: &Value) -> Checked<OwnershipModel> {
    match value.as_str() {
        None | Some("EXPLICIT_BY_WRITER_STATE" | "EXPLICIT" | "POOLING") => {
            Ok(OwnershipModel::ExplicitByWriterState)
        }
        Some("IMPLICIT_BY_SUBTASK_ID" | "IMPLICIT" | "INCREMENTING") => {
            Ok(OwnershipModel::ImplicitBySubtaskId)
        }
        Some(other) => Err(unknown("ownership", other)),
    }
}

fn known(value: &Value) -> Checked<Option<i32>> {
    match value {
        Value::Null => Ok(None),
        Value::String(word) if word == "UNKNOWN" => Ok(None),
        number => Ok(Some(int32(number)?).filter(|it| *it >= 0)),
    }
}

fn states(value: &Value, default: OwnershipModel) -> Checked<Vec<WriterState>> {
    let each = list(value)?.iter().map(|it| {
        let (subtask, total) = match it {
            Value::Array(_) => (&it[0], &it[1]),
            _ => (
                first(it, &["owned_subtask_id", "owned_subtask", "subtask"]),
                first(
                    it,
                    &[
                        "total_number_of_owned_subtasks",
                        "total_subtasks",
                        "total",
                        "parallelism",
                    ],
                ),
            ),
        };
        Ok(WriterState {
            owned_subtask: known(subtask)?,
            total_subtasks: known(total)?,
            model: match first(it, &["ownership", "model"]) {
                Value::Null => default,
                named => model(named)?,
            },
        })
    });
    each.collect()
}

fn error_name(error: OwnershipError) -> &'static str {
    match error {
        OwnershipError::SwitchedBack => "switched_back",
        OwnershipError::Unknown => "migrate",
        OwnershipError::NotConsecutive => "not_consecutive",
        OwnershipError::NotUniform => "not_uniform",
        OwnershipError::NotInSync => "not_in_sync",
    }
}

fn check_ownership(case: &Case) -> Checked {
    let own = model(first(&case.config, &["ownership", "model"]))?;
    let subtask = int32(&case.config["subtask"])?;
    let parallelism = int32(&case.config["parallelism"])?;
    let states = states(&case.input["recovered_states"], own)?;
    let owned = own.owned_subtasks(subtask, &states);
    let total = own.total_subtasks(parallelism, &states);
    case.same_all(|key| {
        let error = owned.as_ref().err().copied().or(total.err());
        Ok(Some(match key {
            "owned_subtask_ids" | "owned" => match &owned {
                Ok(it) => json!(it),
                Err(_) => json!("error"),
            },
            "total_number_of_owned_subtasks" | "total" => match total {
                Ok(it) => json!(it),
                Err(_) => json!("error"),
            },
            "error" => match (&case.expect[key], error) {
                (Value::Bool(_), it) => json!(it.is_some()),
                (_, it) => json!(it.map(error_name)),
            },
            _ => return Ok(None),
        }))
    })
}

/// The subtask's probes, against the ids that have ever been used.
fn probe(case: &Case, used: &[TransactionalId]) -> Checked<Vec<TransactionalId>> {
    let subtask = int32(&case.config["subtask"])?;
    let parallelism = int32(first(&case.config, &["parallelism", "modulus"]))?;
    let from = either([&case.config, &case.input], &["start_checkpoint_id"]);
    let prefix = case.config["prefix"].as_str().unwrap_or(PREFIX);
    let mut probing = Probing::new(prefix, subtask, parallelism, number_or(from, 1)?);
    let mut found = Vec::new();
    for _ in 0..MOST {
        let Some(id) = probing.id() else {
            return Ok(found);
        };
        let was_used = used.contains(&id);
        probing.on_epoch(i16::from(was_used));
        if was_used {
            found.push(id);
        }
    }
    Err(unknown("number of transactions", MOST))
}

fn check_abort(case: &Case) -> Checked {
    let open = first(
        &case.input,
        &["open_transactions_subtask_offset", "open_transactions"],
    );
    let open = ids(open)?;
    let found = match case.config["strategy"].as_str() {
        Some("PROBING") => Listed {
            abort: probe(case, &open)?,
            ..Listed::default()
        },
        None | Some("LISTING") => {
            let subtasks = list(&case.config["owned_subtask_ids"])?.iter().map(int32);
            let ownership = Ownership {
                subtasks: subtasks.collect::<Checked<_>>()?,
                total: int32(first(
                    &case.config,
                    &["modulus", "max_parallelism", "total"],
                ))?,
            };
            let mut prefixes = BTreeSet::new();
            match first(&case.config, &["prefixes", "prefixes_to_abort", "prefix"]) {
                Value::Null => prefixes.extend([PREFIX.to_owned()]),
                Value::String(one) => prefixes.extend([one.clone()]),
                all => {
                    for it in list(all)? {
                        prefixes.insert(text(it)?.to_owned());
                    }
                }
            }
            let precommitted = ids(&case.input["precommitted"])?.into_iter().collect();
            let superseded = ids(&case.input["superseded"])?.into_iter().collect();
            listed(&open, &prefixes, &ownership, &precommitted, &superseded)
        }
        Some(other) => return Err(unknown("strategy", other)),
    };
    case.same_all(|key| {
        let expected = &case.expect[key];
        Ok(Some(match key {
            "aborted" => in_any_order(&found.abort, expected),
            "aborted_superseded" | "superseded_aborted" => {
                in_any_order(&found.superseded, expected)
            }
            _ => return Ok(None),
        }))
    })
}

fn check_naming(case: &Case) -> Checked {
    let subtask = int32(&case.config["subtask"])?;
    let prefix = case.config["prefix"].as_str().unwrap_or(PREFIX);
    let id = |offset| TransactionalId {
        prefix: prefix.to_owned(),
        subtask,
        offset,
    };
    let next = first(&case.input, &["next_checkpoint", "next_checkpoint_id"]);
    let (taken, skipped) = match text(&case.config["naming"])? {
        "POOLING" => {
            let ongoing = ids(first(&case.input, &["ongoing", "ongoing_transactions"]))?;
            let ongoing = ongoing.into_iter().collect();
            (pooled_offset(prefix, subtask, &ongoing), Vec::new())
        }
        "INCREMENTING" => {
            let last = offset(first(
                &case.input,
                &["last_checkpoint", "last_checkpoint_id"],
            ))?;
            let next = offset(next)?;
            count(next.saturating_sub(last), MOST)?;
            let skipped = skipped_offsets(last, next);
            (next, skipped.map(id).collect::<Vec<_>>())
        }
        other => return Err(unknown("naming", other)),
    };
    case.same_all(|key| {
        let expected = &case.expect[key];
        Ok(Some(match key {
            "transactional_id" | "id" => shown(&id(taken), expected),
            "offset" => json!(taken),
            "recycled" | "initialised" | "skipped" => in_any_order(&skipped, expected),
            _ => return Ok(None),
        }))
    })
}

fn commit_error(name: &str) -> Checked<Result<(), CommitError>> {
    let error = match name.trim_end_matches("Exception") {
        "none" | "ok" | "" => return Ok(Ok(())),
        "Retriable" | "Timeout" | "NetworkException" | "CoordinatorNotAvailable" => {
            CommitError::Retriable
        }
        "ProducerFenced" => CommitError::ProducerFenced,
        "InvalidTxnState" => CommitError::InvalidTxnState,
        "UnknownProducerId" => CommitError::UnknownProducerId,
        "Interrupt" | "Interrupted" => CommitError::Interrupted,
        "IllegalState" | "other" | "unknown" | "Runtime" => CommitError::Other,
        _ => return Err(unknown("error", name)),
    };
    Ok(Err(error))
}

/// The outcome in the case's word, if that is one for it.
fn outcome_word(outcome: CommitOutcome, expected: &Value) -> Value {
    let words: &[&str] = match outcome {
        CommitOutcome::Committed => &["committed", "COMMITTED", "ok"],
        CommitOutcome::RetryLater => &["retry_later", "RETRY_LATER", "retry", "retryLater"],
        CommitOutcome::Discarded => &[
            "discarded",
            "DISCARDED",
            "failed_with_known_reason",
            "FAILED_WITH_KNOWN_REASON",
        ],
        CommitOutcome::FailJob => &[
            "fail_job",
            "FAIL_JOB",
            "job_fails",
            "failed_with_unknown_reason",
            "FAILED_WITH_UNKNOWN_REASON",
        ],
        CommitOutcome::Cancelled => &["cancelled", "CANCELLED", "interrupted"],
    };
    let wanted = words.iter().find(|it| *expected == **it);
    json!(wanted.unwrap_or(&words[0]))
}

fn check_commit(case: &Case) -> Checked {
    let given = first(
        &case.input,
        &["commit_error", "commit_errors", "errors", "error"],
    );
    let errors = match given {
        Value::Array(all) => all.iter().map(text).collect::<Checked<Vec<_>>>()?,
        one => vec![text(one)?],
    };
    let attempt = u32::try_from(number_or(&case.input["retries_so_far"], 0)?).unwrap_or(u32::MAX);
    let max = &case.config["retries"];
    let max = match max {
        Value::Null => COMMITTER_RETRIES,
        max => u32::try_from(int(max)?).unwrap_or(u32::MAX),
    };
    let answers = errors.into_iter().map(commit_error);
    let outcomes = answers.map(|it| Ok(CommitOutcome::of(it?, attempt, max)));
    let outcomes = outcomes.collect::<Checked<Vec<_>>>()?;
    case.same_all(|key| {
        let expected = &case.expect[key];
        let words = outcomes.iter().enumerate();
        Ok(Some(match key {
            "outcomes" => words
                .map(|(at, it)| outcome_word(*it, &expected[at]))
                .collect(),
            "outcome" => match outcomes.as_slice() {
                [one] => outcome_word(*one, expected),
                _ => return Ok(None),
            },
            "transaction_finished" | "reported" => match (outcomes.as_slice(), expected) {
                ([one], Value::Bool(_) | Value::Null) => json!(one.reported()),
                (all, _) => all.iter().map(|it| json!(it.reported())).collect(),
            },
            _ => return Ok(None),
        }))
    })
}

pub(super) fn check(case: &Case) -> Checked {
    let commits = ["commit_error", "commit_errors", "errors", "error"];
    if commits.iter().any(|it| case.has(it)) {
        check_commit(case)
    } else if case.has("recovered_states") {
        check_ownership(case)
    } else if !case.config["naming"].is_null() {
        check_naming(case)
    } else {
        check_abort(case)
    }
}
