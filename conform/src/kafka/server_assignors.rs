//! The assignors of the group coordinator: `RangeAssignorTest`,
//! `UniformHomogeneousAssignmentBuilderTest`, `UniformHeterogeneousAssignmentBuilderTest`.

use super::assignors::{counts, partitions};
use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{list, members, text, texts};
use serde_json::{Value, json};
use sim_core::kafka::rules::server_assign::{
    GroupAssignment, MemberSpec, Members, PartitionAssignorException, TopicCounts, range, uniform,
    uniform_heterogeneous, uniform_homogeneous,
};
use std::collections::BTreeSet;

pub(crate) fn check_range(case: &Case) -> Checked {
    check(case, range)
}

/// A case of one of the two builders' tests calls that builder, whatever the subscriptions.
pub(crate) fn check_uniform(case: &Case) -> Checked {
    let of = |class: &str| case.path.contains(class);
    if of("UniformHeterogeneous") {
        check(case, uniform_heterogeneous)
    } else if of("UniformHomogeneous") {
        check(case, uniform_homogeneous)
    } else {
        check(case, uniform)
    }
}

type Outcome = Result<GroupAssignment<String>, PartitionAssignorException>;

fn check(
    case: &Case,
    assign: impl Fn(&TopicCounts<String>, &Members<String>) -> Outcome,
) -> Checked {
    for (key, _) in members(&case.input)? {
        if !matches!(key, "topics" | "members") {
            return Err(unknown("input", key));
        }
    }
    let topics = counts(&case.input["topics"])?;
    let mut group = Members::new();
    for value in list(&case.input["members"])? {
        group.insert(text(&value["id"])?.to_owned(), member(value)?);
    }
    let assigned = match assign(&topics, &group) {
        Ok(assigned) => assigned,
        Err(refused) => return case.same("error", &json!(refused.name())),
    };
    let got = json!(assigned);
    let invariants = &case.expect["invariants"];
    // Kafka's own placement of ties depends on hashes; what does not is told beside it.
    if !invariants.is_null() && got != case.expect["assignment"] {
        return check_invariants(invariants, &assigned, &group);
    }
    case.same_all(|key| {
        Ok(match key {
            "assignment" => Some(got.clone()),
            "invariants" => {
                check_invariants(invariants, &assigned, &group)?;
                Some(invariants.clone())
            }
            "error" => return Err(Fault::Differs(format!("no error, but {got}"))),
            _ => None,
        })
    })
}

fn member(value: &Value) -> Checked<MemberSpec<String>> {
    for (key, value) in members(value)? {
        // Racks are told in some cases; these assignors do not look at them.
        if !matches!(key, "id" | "instance" | "topics" | "previous" | "rack") {
            return Err(unknown("word of a member", value));
        }
    }
    Ok(MemberSpec {
        instance_id: value["instance"].as_str().map(str::to_owned),
        topics: texts(&value["topics"])?
            .into_iter()
            .map(str::to_owned)
            .collect(),
        previous: partitions(&value["previous"])?,
    })
}

fn check_invariants(
    expected: &Value,
    assigned: &GroupAssignment<String>,
    group: &Members<String>,
) -> Checked {
    for (key, expected) in members(expected)? {
        let got = match key {
            "sizes_sorted" => {
                let own = assigned.values();
                let mut sizes: Vec<usize> = own
                    .map(|own| own.values().map(BTreeSet::len).sum())
                    .collect();
                sizes.sort_unstable();
                json!(sizes)
            }
            "kept_from_previous" => {
                let kept = assigned.iter().map(|(id, own)| {
                    let previous = group.get(id).map(|member| &member.previous);
                    let topics = own.iter().map(|(topic, numbers)| {
                        let before = previous.and_then(|previous| previous.get(topic));
                        before.map_or(0, |before| before.intersection(numbers).count())
                    });
                    (id.clone(), json!(topics.sum::<usize>()))
                });
                Value::Object(kept.collect())
            }
            _ => return Err(unknown("invariant", key)),
        };
        crate::case::same(key, &got, expected)?;
    }
    Ok(())
}
