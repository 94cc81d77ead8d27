//! Throttle times: `QuotaUtilsTest`.

use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{int, text};
use serde_json::{Value, json};
use sim_core::kafka::rules::quota::{
    QuotaWindows, RATE_UNIT, bounded_throttle_time_ms, throttle_time_ms,
};

pub(crate) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let (observed, quota) = (rate(&input["observed"])?, rate(&input["quota"])?);
    let windows = |samples| QuotaWindows {
        samples,
        window_ms: 1_000,
    };
    let window_ms = match (&input["window_s"], &input["samples"]) {
        (Value::Null, samples) => windows(small(samples)?).span_ms(0),
        (seconds, _) => millis(seconds)?,
    };
    let wait = match &input["max_ms"] {
        Value::Null => throttle_time_ms(observed, quota, window_ms),
        most => bounded_throttle_time_ms(observed, quota, window_ms, int(most)?),
    };
    case.same_all(|key| match (key, &case.expect[key]) {
        ("throttle_ms", Value::String(bound)) => Ok(Some(match holds(wait, bound)? {
            true => json!(bound),
            false => json!(wait),
        })),
        ("throttle_ms", _) => Ok(Some(json!(wait))),
        ("negative" | "throttle_negative", _) => Ok(Some(json!(wait < 0))),
        _ => Ok(None),
    })
}

fn small(value: &Value) -> Checked<u32> {
    u32::try_from(int(value)?).map_err(|_| unknown("number of samples", value))
}

fn decimal(value: &Value) -> Checked<f64> {
    let number = value.as_f64().filter(|it| (0.0..1e12).contains(it));
    number.ok_or_else(|| unknown("rate", value))
}

/// A rate in the engine's unit.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 1e18
fn rate(value: &Value) -> Checked<u64> {
    Ok((decimal(value)? * RATE_UNIT as f64).round() as u64)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 1e15
fn millis(seconds: &Value) -> Checked<u64> {
    Ok((decimal(seconds)? * 1_000.0).round() as u64)
}

/// Whether a wait is as words say: "< 0", "negative", "<= 500".
fn holds(wait: i64, bound: &str) -> Checked<bool> {
    let bound = text(&json!(bound))?.trim().to_owned();
    if bound.contains("negative") {
        return Ok(wait < 0);
    }
    let limit = || {
        let digits = bound.trim_start_matches(['<', '>', '=', ' ']);
        digits.parse::<i64>().map_err(|_| unknown("bound", &bound))
    };
    match bound.as_bytes() {
        [b'<', b'=', ..] => Ok(wait <= limit()?),
        [b'<', ..] => Ok(wait < limit()?),
        [b'>', b'=', ..] => Ok(wait >= limit()?),
        [b'>', ..] => Ok(wait > limit()?),
        _ => Err(Fault::Unsupported(format!("{bound:?} is no bound"))),
    }
}
