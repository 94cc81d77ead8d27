//! Sinks that commit in two phases: `TwoPhaseCommitSinkFunctionTest`, over a store of transactions
//! that keeps what was written.

use super::{first, flag, millionths, number_or, same_step};
use crate::case::{Case, Checked, unknown};
use crate::values::{list, offset, text};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::two_phase::{
    Recover, SinkState, Transaction, TwoPhaseSettings, TwoPhaseSink, recover,
};
use std::collections::BTreeMap;

/// The store beneath the sink.
#[derive(Default)]
struct Store {
    next: u64,
    /// Begun and neither committed nor aborted.
    open: BTreeMap<u64, Vec<Value>>,
    committed: Vec<Value>,
    /// What was aborted, and whether on recovery.
    aborted: Vec<(Vec<Value>, bool)>,
    commits_fail: bool,
}

impl Store {
    fn begin(&mut self) -> u64 {
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, Vec::new());
        handle
    }

    /// Whether it succeeds; what is committed already stays so.
    fn commit(&mut self, handle: u64) -> bool {
        if !self.commits_fail
            && let Some(values) = self.open.remove(&handle)
        {
            self.committed.extend(values);
        }
        !self.commits_fail
    }

    fn abort(&mut self, handle: u64, recovering: bool) {
        if let Some(values) = self.open.remove(&handle) {
            self.aborted.push((values, recovering));
        }
    }
}

struct Rig {
    settings: TwoPhaseSettings,
    now: i64,
    store: Store,
    /// `None` after a recovery that failed.
    sink: Option<TwoPhaseSink<u64>>,
    kept: BTreeMap<String, SinkState<u64>>,
    rejected: bool,
    warnings: Vec<i64>,
}

fn settings(config: &Value) -> Checked<TwoPhaseSettings> {
    Ok(TwoPhaseSettings {
        transaction_timeout_ms: number_or(&config["transaction_timeout_ms"], 1 << 50)?,
        ignore_failures_after_timeout: flag(&config["ignore_failures_after_timeout"], false)?,
        warning_ratio: match &config["warning_ratio"] {
            Value::Null => None,
            ratio => Some(millionths(ratio)?),
        },
    })
}

impl Rig {
    fn new(case: &Case) -> Checked<Self> {
        let mut store = Store::default();
        let handle = store.begin();
        Ok(Rig {
            settings: settings(&case.config)?,
            now: 0,
            sink: Some(TwoPhaseSink::open(handle, 0)),
            store,
            kept: BTreeMap::new(),
            rejected: false,
            warnings: Vec::new(),
        })
    }

    fn warn(&mut self, transaction: &Transaction<u64>) {
        let age = self.settings.warning(transaction, self.now);
        self.warnings.extend(age);
    }

    fn sink(&mut self) -> Checked<&mut TwoPhaseSink<u64>> {
        let none = || unknown("step", "for a sink that has not been restored");
        self.sink.as_mut().ok_or_else(none)
    }

    fn close(&mut self) {
        let open = self.sink.take().and_then(|mut sink| sink.close());
        if let Some(open) = open {
            self.store.abort(open.handle, false);
        }
    }

    /// Whether it succeeds.
    fn element(&mut self, value: &Value) -> Checked<bool> {
        let handle = self.sink()?.current().map(|it| it.handle);
        let values = handle.and_then(|it| self.store.open.get_mut(&it));
        match values {
            Some(values) => values.push(value.clone()),
            None => self.rejected = true,
        }
        Ok(!self.rejected)
    }

    fn snapshot(&mut self, step: &Value) -> Checked<bool> {
        let checkpoint = offset(first(step, &["cp", "checkpoint"]))?;
        if flag(&step["fails"], false)? {
            // It fails as the transaction is flushed, and the task with it.
            return Ok(false);
        }
        let begins = self.sink()?.begins_at_snapshot();
        let next = begins.then(|| self.store.begin());
        let now = self.now;
        let state = self.sink()?.snapshot(checkpoint, next, now);
        if let Some(name) = step["keep_as"].as_str() {
            self.kept.insert(name.to_owned(), state);
        }
        Ok(true)
    }

    fn complete(&mut self, checkpoint: i64) -> Checked<bool> {
        let mut good = true;
        for transaction in self.sink()?.complete(checkpoint) {
            self.warn(&transaction);
            good &= self.store.commit(transaction.handle);
        }
        Ok(good)
    }

    fn restore(&mut self, from: &Value) -> Checked<bool> {
        self.close();
        let names = match from {
            Value::Array(names) => names.iter().map(text).collect::<Checked<Vec<_>>>()?,
            name => vec![text(name)?],
        };
        let mut states = Vec::new();
        for name in names {
            let kept = self.kept.get(name).cloned();
            states.push(kept.ok_or_else(|| unknown("state", name))?);
        }
        for it in recover(&states) {
            match it {
                Recover::Commit(transaction) => {
                    self.warn(&transaction);
                    let good = self.store.commit(transaction.handle);
                    if !good && !self.settings.ignores_failure(&transaction, self.now) {
                        return Ok(false);
                    }
                }
                Recover::Abort(transaction) => self.store.abort(transaction.handle, true),
            }
        }
        let handle = self.store.begin();
        self.sink = Some(TwoPhaseSink::open(handle, self.now));
        Ok(true)
    }

    /// One step; whether it succeeds.
    fn step(&mut self, step: &Value) -> Checked<bool> {
        match text(&step["op"])? {
            "element" => self.element(&step["v"]),
            "snapshot" => self.snapshot(step),
            "notify_complete" => self.complete(offset(first(step, &["cp", "checkpoint"]))?),
            "notify_aborted" | "open" => Ok(true),
            "finish" => self.sink().map(|sink| sink.finish()).map(|()| true),
            "clock" => {
                self.now = offset(&step["ms"])?;
                Ok(true)
            }
            "commits_now_throw" | "commits_fail" => {
                self.store.commits_fail = true;
                Ok(true)
            }
            "commits_work_again" | "commits_succeed" => {
                self.store.commits_fail = false;
                Ok(true)
            }
            "restore" => self.restore(&step["from"]),
            "close" => {
                self.close();
                Ok(true)
            }
            other => Err(unknown("operation", other)),
        }
    }

    fn part(&mut self, key: &str) -> Option<Value> {
        let flat = |of: &[&(Vec<Value>, bool)]| -> Value {
            of.iter().flat_map(|(values, _)| values.clone()).collect()
        };
        let aborted: Vec<&(Vec<Value>, bool)> = self.store.aborted.iter().collect();
        Some(match key {
            "committed" => json!(self.store.committed),
            "open_or_pending_transactions" | "open_transactions" => json!(self.store.open.len()),
            "open_or_pending_transactions_after_close" => {
                self.close();
                json!(self.store.open.len())
            }
            "pending" | "pending_transactions" => json!(self.sink.as_ref()?.pending().len()),
            "element_after_finish_rejected" | "rejected" => json!(self.rejected),
            "aborted" => {
                let recovered: Vec<_> = aborted.into_iter().filter(|(_, it)| *it).collect();
                flat(&recovered)
            }
            "lost_and_to_be_replayed" | "lost" | "to_be_replayed" => flat(&aborted),
            "warns" => json!(!self.warnings.is_empty()),
            "warnings" => json!(self.warnings.len()),
            "elapsed_ms" => json!(self.warnings.last()?),
            _ => return None,
        })
    }
}

/// A transaction that is committed late, without the steps around it.
fn check_warning(case: &Case) -> Checked {
    let at = first(
        &case.input,
        &[
            "commit_at_ms",
            "recover_at_ms",
            "recovery_at_ms",
            "recovered_at_ms",
            "restore_at_ms",
        ],
    );
    let transaction = Transaction {
        handle: (),
        started_ms: offset(&case.input["opened_at_ms"])?,
    };
    let now = offset(at)?;
    let warning = settings(&case.config)?.warning(&transaction, now);
    case.same_all(|key| {
        Ok(match key {
            "warns" => Some(json!(warning.is_some())),
            "elapsed_ms" => Some(json!(now - transaction.started_ms)),
            _ => None,
        })
    })
}

pub(super) fn check(case: &Case) -> Checked {
    if case.has("opened_at_ms") {
        return check_warning(case);
    }
    let mut rig = Rig::new(case)?;
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        let good = rig.step(step)?;
        same_step(&case.expect["per_step"], number, |key, _| {
            Ok(match key {
                "expect" => Some(json!(if good { "ok" } else { "error" })),
                _ => rig.part(key),
            })
        })?;
    }
    // What looks at the store after the sink is closed comes last.
    let Some(parts) = case.expect.as_object() else {
        return Err(unknown("expectation", &case.expect));
    };
    let after_close = |key: &&String| key.ends_with("_after_close");
    let (last, now): (Vec<_>, Vec<_>) = parts.keys().partition(after_close);
    for key in now.into_iter().chain(last) {
        if key == "per_step" {
            continue;
        }
        let got = rig.part(key).ok_or_else(|| unknown("expectation", key))?;
        case.same(key, &got)?;
    }
    Ok(())
}
