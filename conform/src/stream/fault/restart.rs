//! Restart strategies: the tests of `…RestartBackoffTimeStrategy`.

use super::{MOST, first, millionths, number_or, same_step};
use crate::case::{Case, Checked, unknown};
use crate::values::{bounded, count, int, list, offset, text};
use serde_json::{Value, json};
use sim_core::stream::rules::fault::restart::{ExponentialDelay, RestartStrategy};
use std::collections::BTreeSet;

/// Where the test's clock stands at first, ms.
const START_MS: i64 = 0;
/// So many draws of the jitter are tried where a case asks what is possible.
const DRAWS: u64 = 2_000;

fn exponential(config: &Value) -> Checked<RestartStrategy> {
    let flink = ExponentialDelay::default();
    let fraction = |names: &[&str], default| match first(config, names) {
        Value::Null => Ok(default),
        value => millionths(value),
    };
    let settings = ExponentialDelay {
        initial_ms: number_or(
            first(config, &["initial_ms", "initial_backoff_ms"]),
            flink.initial_ms,
        )?,
        max_ms: number_or(first(config, &["max_ms", "max_backoff_ms"]), flink.max_ms)?,
        multiplier: fraction(&["multiplier", "backoff_multiplier"], flink.multiplier)?,
        reset_threshold_ms: number_or(
            first(
                config,
                &["reset_threshold_ms", "reset_backoff_threshold_ms"],
            ),
            flink.reset_threshold_ms,
        )?,
        // A test without jitter leaves it out.
        jitter: fraction(&["jitter", "jitter_factor"], 0)?,
        attempts: number_or(first(config, &["attempts", "max_attempts"]), flink.attempts)?,
    };
    let whole = millionths(&json!(1))?;
    let in_order = 1 <= settings.initial_ms && settings.initial_ms <= settings.max_ms;
    if !in_order || settings.multiplier <= whole || settings.jitter > whole {
        return Err(unknown("setting", config));
    }
    Ok(RestartStrategy::exponential(settings))
}

fn strategy(case: &Case) -> Checked<RestartStrategy> {
    let config = &case.config;
    let delay = || {
        number_or(
            first(config, &["delay_ms", "backoff_ms", "backoff_time_ms"]),
            0,
        )
    };
    let rate = ["max_failures_per_interval", "max_failures"];
    let interval = [
        "interval_ms",
        "failures_interval_ms",
        "failure_rate_interval_ms",
    ];
    let named = config["strategy"].as_str().unwrap_or_default();
    match named {
        "none" | "no-restart" | "disable" => return Ok(RestartStrategy::NoRestart),
        "" | "fixed-delay" | "fixed_delay" | "failure-rate" | "failure_rate"
        | "exponential-delay" | "exponential_delay" | "exponential" => {}
        other => return Err(unknown("strategy", other)),
    }
    let tells = |names: &[&str]| !first(config, names).is_null();
    if named.starts_with("exponential") || tells(&["initial_ms", "initial_backoff_ms"]) {
        return exponential(config);
    }
    if named.starts_with("failure") || tells(&rate) {
        let max = offset(first(config, &rate))?;
        return Ok(RestartStrategy::failure_rate(
            max,
            offset(first(config, &interval))?,
            delay()?,
        ));
    }
    let attempts = first(config, &["attempts", "max_attempts"]);
    Ok(RestartStrategy::fixed_delay(offset(attempts)?, delay()?))
}

/// A strategy and its clock.
struct Rig {
    strategy: RestartStrategy,
    /// As it was before the latest failure, for other draws of the jitter; others have none.
    before: Option<RestartStrategy>,
    now: i64,
    failed_at: i64,
    attempts: Vec<bool>,
    restarts: Vec<bool>,
    backoffs: Vec<Option<i64>>,
}

impl Rig {
    fn new(case: &Case) -> Checked<Self> {
        let strategy = strategy(case)?;
        Ok(Rig {
            before: None,
            strategy,
            now: START_MS,
            failed_at: START_MS,
            attempts: Vec::new(),
            restarts: Vec::new(),
            backoffs: Vec::new(),
        })
    }

    fn fail(&mut self) {
        let jittered = matches!(self.strategy, RestartStrategy::Exponential(_));
        self.before = jittered.then(|| self.strategy.clone());
        self.failed_at = self.now;
        let attempt = self.strategy.on_failure(self.now, 0);
        self.attempts.push(attempt);
        self.restarts.push(self.strategy.can_restart(self.now));
        self.backoffs.push(self.strategy.backoff_ms(self.now));
    }

    fn advance(&mut self, ms: i64) -> Checked {
        self.now = bounded(self.now.saturating_add(ms))?;
        Ok(())
    }

    /// Every delay that the latest failure could have had.
    fn possible(&self) -> BTreeSet<i64> {
        let each = (0..DRAWS).filter_map(|draw| {
            let mut strategy = self.before.clone()?;
            strategy.on_failure(self.failed_at, draw);
            strategy.backoff_ms(self.failed_at)
        });
        each.collect()
    }

    fn part(&self, key: &str, expected: &Value) -> Option<Value> {
        let possible = || self.possible();
        Some(match key {
            "can_restart" if expected.is_array() => json!(self.restarts),
            "can_restart" | "can_restart_after" => json!(self.strategy.can_restart(self.now)),
            "backoff_ms" | "backoff" | "delay_ms" | "backoffs_ms" | "delays_ms" | "backoffs"
                if expected.is_array() =>
            {
                json!(self.backoffs)
            }
            "backoff_ms" | "backoff" | "delay_ms" => json!(self.strategy.backoff_ms(self.now)),
            "new_attempt" | "is_new_attempt" if expected.is_boolean() => {
                json!(self.attempts.last()?)
            }
            "new_attempt" | "is_new_attempt" | "new_attempts" => json!(self.attempts),
            "possible_backoffs_ms" | "possible_delays_ms" | "possible" => json!(possible()),
            "backoff_range_ms" | "range_ms" => json!([possible().first()?, possible().last()?]),
            "max_backoff_ms" => json!(possible().last()?),
            "min_backoff_ms" => json!(possible().first()?),
            "rule" | "note" | "notes" => expected.clone(),
            _ => return None,
        })
    }
}

/// How many failures it takes until there is no restart any more.
fn until_the_end(case: &Case, between: i64) -> Checked<usize> {
    let mut rig = Rig::new(case)?;
    for failures in 0..MOST {
        if !rig.strategy.can_restart(rig.now) {
            return Ok(failures);
        }
        rig.fail();
        rig.advance(between)?;
    }
    Err(unknown("number of failures", MOST))
}

fn step(rig: &mut Rig, step: &Value) -> Checked {
    match text(&step["op"])? {
        "failure" | "fail" | "notify_failure" => {
            let times = count(number_or(first(step, &["times", "count"]), 1)?, MOST)?;
            for _ in 0..times {
                rig.fail();
            }
            Ok(())
        }
        "advance_ms" | "advance" => rig.advance(offset(first(step, &["ms", "by_ms"]))?),
        "clock" => {
            rig.now = offset(&step["ms"])?;
            Ok(())
        }
        // Asked of the strategy as it stands.
        "ask" | "check" | "get_backoff" | "can_restart" => Ok(()),
        other => Err(unknown("operation", other)),
    }
}

pub(super) fn check(case: &Case) -> Checked {
    let between = number_or(&case.input["advance_ms_between"], 0)?;
    let mut rig = Rig::new(case)?;
    for (number, it) in list(&case.input["steps"])?.iter().enumerate() {
        step(&mut rig, it)?;
        same_step(&case.expect["per_step"], number, |key, expected| {
            Ok(rig.part(key, expected))
        })?;
    }
    let times = ["failures_at_ms", "failure_times_ms", "failures_ms"];
    let times = match &case.input["failures"] {
        listed @ Value::Array(_) => listed,
        _ => first(&case.input, &times),
    };
    for at in list(times)? {
        rig.now = offset(at)?;
        rig.fail();
    }
    let failures = match &case.input["failures"] {
        Value::Array(_) => 0,
        number => number_or(number, 0)?,
    };
    for number in 0..count(failures, MOST)? {
        if number > 0 {
            rig.advance(between)?;
        }
        rig.fail();
    }
    case.same_all(|key| {
        Ok(match key {
            "failures_until_cannot_restart" => Some(json!(until_the_end(case, between)?)),
            "restarts_allowed" => {
                let failures = until_the_end(case, between)?;
                Some(json!(int(&json!(failures))? - 1))
            }
            "per_step" => Some(case.expect[key].clone()),
            _ => rig.part(key, &case.expect[key]),
        })
    })
}
