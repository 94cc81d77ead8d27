//! Consumer positions - truncation detection (KIP-320) and `auto.offset.reset`:
//! `SubscriptionStateTest`, `AutoOffsetResetStrategyTest`.

use crate::case::{Case, Checked, unknown};
use crate::values::{int32, list, offset, text};
use serde_json::{Value, json};
use sim_core::kafka::config::{ConsumerConfig, OffsetReset};
use sim_core::kafka::rules::position::{
    FetchPosition, FetchState, LeaderAndEpoch, PartitionPosition, Validation,
};
use sim_core::log::EpochEnd;

fn reset_policy(value: &Value) -> Checked<OffsetReset> {
    let mut config = ConsumerConfig::default();
    let set = config.set("auto.offset.reset", text(value)?);
    set.map_err(|_| unknown("policy", value))?;
    Ok(config.auto_offset_reset)
}

fn pair(position: Option<FetchPosition>) -> Value {
    position.map_or(Value::Null, |it| json!([it.offset, it.offset_epoch]))
}

/// The partition is led by broker 1, in an epoch after that of the position.
fn leader(offset_epoch: i32) -> LeaderAndEpoch {
    LeaderAndEpoch {
        leader: Some(1),
        epoch: offset_epoch,
    }
}

/// A position `[offset, epoch]`.
fn position(value: &Value) -> Checked<FetchPosition> {
    let offset_epoch = int32(&value[1])?;
    Ok(FetchPosition {
        offset: offset(&value[0])?,
        offset_epoch: Some(offset_epoch),
        leader: leader(offset_epoch),
    })
}

/// A position under validation, what happens meanwhile, and the leader's answer.
fn truncation(case: &Case) -> Checked {
    let input = &case.input;
    let mut partition = PartitionPosition::new(reset_policy(&input["reset"])?);
    let start = position(&input["position"])?;
    let next = |position: FetchPosition| leader(position.leader.epoch.saturating_add(1));
    partition.seek(start);
    partition.maybe_validate(next(start));
    let Some(asked) = partition.position() else {
        return Err(unknown("position", &input["position"]));
    };
    for (key, value) in input.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("position" | "reset" | "reply", _) => (),
            ("seek_before_reply" | "position_changed_to", to) => {
                let to = position(to)?;
                partition.seek(to);
                partition.maybe_validate(next(to));
            }
            ("reset_before_reply" | "reset_requested_before_reply", Value::Bool(true)) => {
                partition.request_reset();
            }
            _ => return Err(unknown("input", key)),
        }
    }
    let end = EpochEnd {
        epoch: int32(&input["reply"][0])?,
        end_offset: offset(&input["reply"][1])?,
    };
    let found = partition.complete_validation(asked, end);
    case.same_all(|key| {
        Ok(Some(match key {
            "truncation_reported" => json!(matches!(found, Validation::Truncated(_))),
            "divergent" => match found {
                Validation::Truncated(Some(end)) => json!([end.end_offset, end.epoch]),
                _ => Value::Null,
            },
            "position" => pair(partition.position()),
            "awaiting_validation" => json!(partition.state() == FetchState::AwaitValidation),
            "fetchable" => json!(partition.fetchable().is_some()),
            "reset_needed" => match partition.state() {
                FetchState::AwaitReset(OffsetReset::Earliest) => json!("earliest"),
                FetchState::AwaitReset(OffsetReset::Latest) => json!("latest"),
                _ => Value::Null,
            },
            _ => return Ok(None),
        }))
    })
}

/// Which texts are policies.
fn policies(case: &Case) -> Checked {
    let values = list(&case.input["values"])?.iter();
    let valid = values.map(|value| {
        let mut config = ConsumerConfig::default();
        // A missing value is no text, and no policy.
        let text = value.as_str();
        text.is_some_and(|it| config.set("auto.offset.reset", it).is_ok())
    });
    let valid: Vec<bool> = valid.collect();
    case.same_all(|key| Ok((key == "valid").then(|| json!(valid))))
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("values") => policies(case),
        () if case.has("position") && case.has("reply") => truncation(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
