//! Checkpoints that fail: `CheckpointFailureManagerTest`.

use super::{first, flag, same_step};
use crate::case::{Case, Checked, unknown};
use crate::values::{int, list, offset, text};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::checkpoint_failures::{
    CheckpointFailure, FailureManager, FailureReason, REASONS, Taken,
};

/// What the real code takes for a checkpoint without an id.
const UNKNOWN_CHECKPOINT_ID: i64 = -1;

struct Rig {
    manager: FailureManager,
    job_failures: u32,
}

fn taken(step: &Value) -> Checked<Taken> {
    let synchronous = flag(&step["synchronous"], false)?;
    Ok(match first(step, &["type", "kind", "of"]).as_str() {
        Some("synchronous_savepoint" | "sync_savepoint") => Taken::SynchronousSavepoint,
        Some("savepoint") if synchronous => Taken::SynchronousSavepoint,
        Some("savepoint") => Taken::Savepoint,
        None | Some("checkpoint") => match flag(&step["savepoint"], false)? {
            true if synchronous => Taken::SynchronousSavepoint,
            true => Taken::Savepoint,
            false => Taken::Checkpoint,
        },
        Some(other) => return Err(unknown("kind", other)),
    })
}

/// The reasons that a step tells of: one, or each there is.
fn reasons(value: &Value) -> Checked<Vec<FailureReason>> {
    let name = text(value)?;
    let all = || REASONS.iter().map(|(it, _)| *it).collect();
    match FailureReason::of(name) {
        Some(reason) => Ok(vec![reason]),
        None if ["ALL", "EACH", "EVERY", "*"].contains(&name) => Ok(all()),
        None => Err(unknown("reason", name)),
    }
}

impl Rig {
    fn fail(&mut self, step: &Value, reason: FailureReason) -> Checked {
        let id = match first(step, &["cp", "checkpoint"]) {
            Value::Null => None,
            id => Some(offset(id)?).filter(|it| *it != UNKNOWN_CHECKPOINT_ID),
        };
        let level = first(step, &["level", "reported_by", "at"]).as_str();
        let by_task = match level {
            None | Some("job" | "jobmanager" | "coordinator") => false,
            Some("task" | "taskmanager") => true,
            Some(other) => return Err(unknown("level", other)),
        };
        let fails = self.manager.on_failure(CheckpointFailure {
            checkpoint: id,
            reason,
            taken: taken(step)?,
            by_task,
        });
        self.job_failures = self.job_failures.saturating_add(u32::from(fails));
        Ok(())
    }

    fn step(&mut self, step: &Value) -> Checked {
        match text(&step["op"])? {
            "failure" | "task_failure" => {
                for reason in reasons(&step["reason"])? {
                    self.fail(step, reason)?;
                }
                Ok(())
            }
            "success" | "complete" | "completed" => {
                let id = offset(first(step, &["cp", "checkpoint"]))?;
                self.manager.on_success(id);
                Ok(())
            }
            other => Err(unknown("operation", other)),
        }
    }

    fn part(&self, key: &str, expected: &Value) -> Option<Value> {
        Some(match key {
            "job_failures" | "failures_of_the_job" => json!(self.job_failures),
            "job_fails" => json!(self.job_failures > 0),
            "continuous_failures" | "counter" | "count" => json!(self.manager.count()),
            "rule" | "note" | "notes" => expected.clone(),
            _ => return None,
        })
    }
}

pub(super) fn check(case: &Case) -> Checked {
    let tolerable = match &case.config["tolerable_failed_checkpoints"] {
        Value::String(word) if ["unlimited", "UNLIMITED"].contains(&word.as_str()) => None,
        number => {
            let number = u32::try_from(int(number)?);
            let number = number.map_err(|_| unknown("setting", &case.config))?;
            Some(number).filter(|it| *it != i32::MAX.unsigned_abs())
        }
    };
    let mut rig = Rig {
        manager: FailureManager::new(tolerable),
        job_failures: 0,
    };
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        rig.step(step)?;
        same_step(&case.expect["per_step"], number, |key, expected| {
            Ok(rig.part(key, expected))
        })?;
    }
    if case.has("reasons") {
        // One failure for each, of the checkpoint that the case names or of none.
        let given = match &case.input["reasons"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        for name in &given {
            for reason in reasons(name)? {
                rig.fail(&case.input, reason)?;
            }
        }
    }
    case.same_all(|key| {
        let expected = &case.expect[key];
        Ok(match key {
            "per_step" => Some(expected.clone()),
            "counted_reasons" | "counted" => {
                let counted = REASONS.iter().filter(|(it, _)| it.is_counted());
                let names: Vec<&str> = counted.map(|(_, name)| *name).collect();
                let wanted = list(expected)?.iter();
                let known = wanted.filter(|it| names.iter().any(|name| **it == *name));
                match known.count() == names.len() && list(expected)?.len() == names.len() {
                    true => Some(expected.clone()),
                    false => Some(json!(names)),
                }
            }
            _ => rig.part(key, expected),
        })
    })
}
