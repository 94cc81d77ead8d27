//! Groups of the consumer protocol: `CurrentAssignmentBuilderTest` and `ConsumerGroupTest`.

use super::assignors::partitions;
use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{int32, ints, list, members, number, text, texts};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::modern_group::{
    AssignedEpochs, MemberProtocol, MemberState, ModernMember, Target, group_state,
    validate_offset_commit,
};
use std::collections::{BTreeMap, BTreeSet};

type Member = ModernMember<String>;

pub(crate) fn check(case: &Case) -> Checked {
    let input = &case.input;
    if !input["target"].is_null() {
        check_reconciliation(case)
    } else if !input["steps"].is_null() {
        check_states(case)
    } else if !input["commit_epochs"].is_null() {
        check_commits(case)
    } else {
        Err(unknown("input", input))
    }
}

/// A name as the case writes it: of the code, or of the exception.
fn error(code: ErrorCode, expected: &Value) -> Value {
    if !expected.as_str().unwrap_or_default().ends_with("Exception") {
        return json!(code.name());
    }
    let words = code.name().split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_owned() + &rest.to_lowercase()
    });
    json!(words.collect::<String>() + "Exception")
}

fn epochs(value: &Value) -> Checked<AssignedEpochs<String>> {
    let mut all = AssignedEpochs::new();
    for (topic, by_epoch) in members(value)? {
        let own: &mut BTreeMap<i32, i32> = all.entry(topic.to_owned()).or_default();
        for (epoch, numbers) in members(by_epoch)? {
            let epoch = int32(&json!(epoch))?;
            own.extend(
                ints(numbers)?
                    .into_iter()
                    .map(|partition| (partition, epoch)),
            );
        }
    }
    all.retain(|_, own| !own.is_empty());
    Ok(all)
}

fn told(all: &AssignedEpochs<String>) -> Value {
    let topics = all.iter().map(|(topic, own)| {
        let mut by_epoch: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (partition, epoch) in own {
            by_epoch
                .entry(epoch.to_string())
                .or_default()
                .push(*partition);
        }
        (topic.clone(), json!(by_epoch))
    });
    Value::Object(topics.collect())
}

fn state(value: &Value) -> Checked<MemberState> {
    let name = text(value)?;
    let state = MemberState::ALL.into_iter();
    let mut state = state.filter(|state| state.name().eq_ignore_ascii_case(name));
    state.next().ok_or_else(|| unknown("state", name))
}

fn epoch(value: &Value) -> Checked<i32> {
    if value.is_null() { Ok(0) } else { int32(value) }
}

fn member(value: &Value) -> Checked<Member> {
    Ok(ModernMember {
        state: match &value["state"] {
            Value::Null => MemberState::Stable,
            told => state(told)?,
        },
        epoch: epoch(&value["epoch"])?,
        previous_epoch: epoch(&value["previous_epoch"])?,
        assigned: epochs(&value["assigned"])?,
        pending_revocation: epochs(&value["pending_revocation"])?,
    })
}

/// The first of these words that the case or its member says.
fn said<'a>(case: &'a Case, words: &[&str]) -> &'a Value {
    let places = [&case.input, &case.input["member"]];
    let values = places
        .into_iter()
        .flat_map(|place| words.iter().map(|word| &place[*word]));
    values
        .into_iter()
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

const SUBSCRIBED: &[&str] = &[
    "subscribed",
    "subscribed_topics",
    "subscribed_topic_names",
    "subscription",
];
const CHANGED: &[&str] = &[
    "subscription_changed",
    "has_subscription_changed",
    "enforce_subscription_consistency",
    "enforce_subscription",
];

fn check_reconciliation(case: &Case) -> Checked {
    let input = &case.input;
    let known = ["member", "target", "owner_epoch", "owned"];
    let of_member = [
        "state",
        "epoch",
        "previous_epoch",
        "assigned",
        "pending_revocation",
    ];
    let mut words = members(input)?
        .into_iter()
        .map(|(key, _)| (key, &known[..]))
        .collect::<Vec<_>>();
    words.extend(
        members(&input["member"])?
            .into_iter()
            .map(|(key, _)| (key, &of_member[..])),
    );
    for (key, known) in words {
        if !known.contains(&key) && !SUBSCRIBED.contains(&key) && !CHANGED.contains(&key) {
            return Err(unknown("input", key));
        }
    }
    let wanted = partitions(&input["target"]["partitions"])?;
    let subscribed: Option<BTreeSet<String>> = match said(case, SUBSCRIBED) {
        Value::Null => None,
        topics => Some(texts(topics)?.into_iter().map(str::to_owned).collect()),
    };
    let target = Target {
        epoch: int32(&input["target"]["epoch"])?,
        partitions: &wanted,
        subscribed: subscribed.as_ref(),
        enforce_subscription: said(case, CHANGED).as_bool().unwrap_or(false),
    };
    let owned = match &input["owned"] {
        Value::Null => None,
        owned => Some(partitions(owned)?),
    };
    let owners = Owners::read(&input["owner_epoch"])?;
    let before = member(&input["member"])?;
    let after = match before.reconcile(&target, owned.as_ref(), |t, p| owners.of(t, p)) {
        Ok(after) => after,
        Err(code) => return case.same("error", &error(code, &case.expect["error"])),
    };
    case.same_all(|key| {
        Ok(Some(match key {
            "state" => json!(after.state.name()),
            "epoch" => json!(after.epoch),
            "previous_epoch" => json!(after.previous_epoch),
            "assigned" => told(&after.assigned),
            "pending_revocation" => told(&after.pending_revocation),
            "unchanged" => json!(after == before),
            "error" => return Err(Fault::Differs(format!("no error, but {after:?}"))),
            _ => return Ok(None),
        }))
    })
}

/// The epochs of the holders: one for all, or by topic, or by topic and partition.
struct Owners {
    all: i32,
    by_topic: BTreeMap<String, i32>,
    by_partition: BTreeMap<(String, i32), i32>,
}

impl Owners {
    fn read(value: &Value) -> Checked<Self> {
        let mut owners = Owners {
            all: -1,
            by_topic: BTreeMap::new(),
            by_partition: BTreeMap::new(),
        };
        if !value.is_object() {
            if !value.is_null() {
                owners.all = int32(value)?;
            }
            return Ok(owners);
        }
        for (topic, told) in members(value)? {
            if !told.is_object() {
                owners.by_topic.insert(topic.to_owned(), int32(told)?);
                continue;
            }
            for (partition, epoch) in members(told)? {
                let key = (topic.to_owned(), int32(&json!(partition))?);
                owners.by_partition.insert(key, int32(epoch)?);
            }
        }
        Ok(owners)
    }

    fn of(&self, topic: &str, partition: i32) -> i32 {
        let one = self.by_partition.get(&(topic.to_owned(), partition));
        *one.or_else(|| self.by_topic.get(topic))
            .unwrap_or(&self.all)
    }
}

/// What happens to a group step by step, and its state after each.
fn check_states(case: &Case) -> Checked {
    let mut group: BTreeMap<String, Member> = BTreeMap::new();
    let (mut group_epoch, mut target_epoch) = (0, 0);
    let mut states = Vec::new();
    for step in list(&case.input["steps"])? {
        for phrase in text(step)?.split(", ") {
            let words: Vec<&str> = phrase.split_whitespace().collect();
            match words[..] {
                ["no", "members"] => group.clear(),
                ["both" | "all", "removed"] => group.clear(),
                ["group", "epoch", _] => group_epoch = epoch_in(phrase)?,
                ["target", "epoch", _] | ["target", "assignment", "epoch", _] => {
                    target_epoch = epoch_in(phrase)?;
                }
                [id, "removed"] => {
                    group.remove(id).ok_or_else(|| unknown("member", id))?;
                }
                [id, ref told @ ..] if id.starts_with('m') => {
                    change(group.entry(id.to_owned()).or_default(), told)?;
                }
                _ => return Err(unknown("step", phrase)),
            }
        }
        // Cases write the constant's name, the engine what Kafka prints for it.
        let state = group_state(group_epoch, target_epoch, group.values());
        states.push(state.name().to_uppercase());
    }
    case.same_all(|key| Ok((key == "group_state").then(|| json!(states))))
}

fn epoch_in(phrase: &str) -> Checked<i32> {
    let epoch = number(phrase.rsplit(' ').next().unwrap_or_default())?;
    i32::try_from(epoch).map_err(|_| unknown("epoch", phrase))
}

/// `stable epoch 2`, `epoch 3 UNREVOKED_PARTITIONS` and the like.
fn change(member: &mut Member, told: &[&str]) -> Checked {
    let mut words = told.iter();
    while let Some(word) = words.next() {
        if *word == "epoch" {
            let epoch = words.next().copied().unwrap_or_default();
            member.previous_epoch = member.epoch;
            member.epoch = epoch_in(epoch)?;
        } else {
            member.state = state(&json!(word))?;
        }
    }
    Ok(())
}

fn check_commits(case: &Case) -> Checked {
    let input = &case.input;
    for (key, _) in members(input)? {
        if !matches!(
            key,
            "member_protocol" | "member_epoch" | "partition_assignment_epoch" | "commit_epochs"
        ) {
            return Err(unknown("input", key));
        }
    }
    let protocol = match input["member_protocol"].as_str() {
        Some("classic") => MemberProtocol::Classic,
        Some("consumer" | "modern") | None => MemberProtocol::Consumer,
        Some(other) => return Err(unknown("protocol", other)),
    };
    let member = match &input["member_epoch"] {
        Value::Null => None,
        epoch => Some((protocol, int32(epoch)?)),
    };
    let held = match &input["partition_assignment_epoch"] {
        Value::Null => None,
        epoch => Some(int32(epoch)?).filter(|epoch| *epoch >= 0),
    };
    let expected = list(&case.expect["results"])?;
    let mut results = Vec::new();
    for (place, epoch) in ints(&input["commit_epochs"])?.into_iter().enumerate() {
        let checked = validate_offset_commit(member.is_none(), member, epoch);
        results.push(match checked.and_then(|check| check.partition(held)) {
            Ok(()) => json!("ok"),
            Err(code) => error(code, expected.get(place).unwrap_or(&Value::Null)),
        });
    }
    case.same_all(|key| Ok((key == "results").then(|| json!(results))))
}
