//! Conformance: consumer positions - truncation detection (KIP-320) and `auto.offset.reset`.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sim_core::kafka::config::{ConsumerConfig, OffsetReset};
use sim_core::kafka::rules::position::{
    FetchPosition, FetchState, LeaderAndEpoch, PartitionPosition, Validation,
};
use sim_core::log::EpochEnd;
use support::{Case, int, int32, ints, list, run, text};

fn reset_policy(value: &Value) -> OffsetReset {
    let mut config = ConsumerConfig::default();
    config.set("auto.offset.reset", text(value)).unwrap();
    config.auto_offset_reset
}

fn pair(position: Option<FetchPosition>) -> Value {
    position.map_or(Value::Null, |it| json!([it.offset, it.offset_epoch]))
}

/// `pos-*`: a position under validation, and the leader's answer.
fn truncation(case: &Case) {
    let (input, expect) = (&case.input, &case.expect);
    let mut partition = PartitionPosition::new(reset_policy(&input["reset"]));
    let leader = |epoch| LeaderAndEpoch {
        leader: Some(1),
        epoch,
    };
    let position = ints(&input["position"]);
    partition.seek(FetchPosition {
        offset: position[0].into(),
        offset_epoch: Some(position[1]),
        leader: leader(position[1]),
    });
    assert!(partition.maybe_validate(leader(position[1] + 1)));
    let asked = partition.position().unwrap();
    let end = EpochEnd {
        epoch: int32(&input["reply"][0]),
        end_offset: int(&input["reply"][1]),
    };
    let found = partition.complete_validation(asked, end);
    let divergent = match found {
        Validation::Truncated(Some(end)) => json!([end.end_offset, end.epoch]),
        _ => Value::Null,
    };
    let reset = match partition.state() {
        FetchState::AwaitReset(OffsetReset::Earliest) => json!("earliest"),
        FetchState::AwaitReset(OffsetReset::Latest) => json!("latest"),
        _ => Value::Null,
    };
    let got = json!({
        "truncation_reported": matches!(found, Validation::Truncated(_)),
        "divergent": divergent,
        "position": pair(partition.position()),
        "awaiting_validation": partition.state() == FetchState::AwaitValidation,
        "reset_needed": reset,
    });
    for (key, value) in expect.as_object().unwrap() {
        assert_eq!(&got[key], value, "{}: {key}", case.id);
    }
}

/// `reset-parse`: which texts are policies.
fn reset_parse(case: &Case) {
    let valid: Vec<Value> = list(&case.input["values"])
        .iter()
        .map(|value| {
            let mut config = ConsumerConfig::default();
            // A missing value is no text, and no policy.
            let text = value.as_str();
            json!(text.is_some_and(|it| config.set("auto.offset.reset", it).is_ok()))
        })
        .collect();
    assert_eq!(json!(valid), case.expect["valid"], "{}", case.id);
}

#[test]
fn consumer_position() {
    run!("consumer-position.json", |case: &Case| {
        match case.id.as_str() {
            "reset-parse" => reset_parse(case),
            _ => truncation(case),
        }
    });
}
