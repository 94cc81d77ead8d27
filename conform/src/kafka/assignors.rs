//! The assignors of the classic protocol: `RangeAssignorTest`, `RoundRobinAssignorTest`,
//! `AbstractStickyAssignorTest` and its two heirs, `AbstractPartitionAssignorTest`.

use crate::case::{Case, Checked, Fault, unknown};
use crate::values::{count, int32, list, members, number, text, texts};
use serde_json::{Value, json};
use sim_core::kafka::rules::assign::sticky::Sticky;
use sim_core::kafka::rules::assign::{
    Assignment, DEFAULT_GENERATION, Partitions, Subscription, Topics, cooperative_sticky,
    member_order, range, round_robin, sticky, use_rack_aware_assignment,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn check_range(case: &Case) -> Checked {
    let group = Group::read(&case.input)?;
    group.compare(case, &range(&group.topics, &group.members), None)
}

pub(crate) fn check_dealt(case: &Case) -> Checked {
    let group = Group::read(&case.input)?;
    group.compare(case, &round_robin(&group.topics, &group.members), None)
}

pub(crate) fn check_sticky(case: &Case) -> Checked {
    let input = &case.input;
    if !input["partition_racks"].is_null() {
        return check_rack_use(case);
    }
    if !input["sequence"].is_null() {
        return check_sequence(case);
    }
    let group = Group::read(input)?;
    if !case.expect["order"].is_null() {
        let mut all: Vec<&Subscription> = group.members.iter().collect();
        all.sort_by(|a, b| member_order(a, b));
        let order: Value = all.iter().map(|member| json!(member.member_id)).collect();
        return case.same("order", &order);
    }
    let done = assign(input, &group)?;
    group.compare(case, &done.assignment, Some(&done))
}

fn assign(input: &Value, group: &Group) -> Checked<Sticky> {
    match input["protocol"].as_str() {
        Some("eager") => Ok(sticky(&group.topics, &group.members)),
        Some("cooperative") => Ok(cooperative_sticky(&group.topics, &group.members)),
        _ => Err(unknown("protocol", &input["protocol"])),
    }
}

/// Partitions by topic.
pub(super) fn partitions(value: &Value) -> Checked<Partitions> {
    let mut all = Partitions::new();
    for (topic, numbers) in members(value)? {
        let numbers: BTreeSet<i32> = list(numbers)?.iter().map(int32).collect::<Checked<_>>()?;
        if !numbers.is_empty() {
            all.insert(topic.to_owned(), numbers);
        }
    }
    Ok(all)
}

/// Counts of partitions by topic.
pub(super) fn counts(value: &Value) -> Checked<BTreeMap<String, u32>> {
    let topics = members(value)?.into_iter();
    topics
        .map(|(name, count)| {
            let count = u32::try_from(int32(count)?).ok().filter(|n| *n <= 2_000);
            let count = count.ok_or_else(|| unknown("count of partitions", name))?;
            Ok((name.to_owned(), count))
        })
        .collect()
}

fn optional(value: &Value) -> Checked<Option<String>> {
    match value {
        Value::Null => Ok(None),
        other => text(other).map(|it| Some(it.to_owned())),
    }
}

struct Group {
    topics: Topics,
    members: Vec<Subscription>,
}

impl Group {
    fn read(input: &Value) -> Checked<Self> {
        for (key, _) in members(input)? {
            if !matches!(
                key,
                "topics"
                    | "members"
                    | "protocol"
                    | "broker_racks"
                    | "replication_factor"
                    | "replica_racks"
            ) {
                return Err(unknown("input", key));
            }
        }
        let group = list(&input["members"])?.iter().map(subscription);
        Ok(Group {
            topics: topics(input)?,
            members: group.collect::<Checked<_>>()?,
        })
    }

    /// How many partitions went to a member with a rack on which they have no replica.
    fn without_local_replica(&self, assignment: &Assignment) -> usize {
        let with_racks = self
            .members
            .iter()
            .filter_map(|m| Some((m, m.rack_id.as_ref()?)));
        let far = with_racks.map(|(member, rack)| {
            let own = assignment.get(&member.member_id).into_iter().flatten();
            let racks = own.flat_map(|(topic, numbers)| {
                let replicas = self.topics.get(topic);
                numbers
                    .iter()
                    .map(move |n| replicas?.get(usize::try_from(*n).ok()?))
            });
            racks
                .filter(|racks| !racks.is_some_and(|racks| racks.contains(rack)))
                .count()
        });
        far.sum()
    }

    fn compare(&self, case: &Case, assignment: &Assignment, done: Option<&Sticky>) -> Checked {
        case.same_all(|key| {
            Ok(Some(match (key, done) {
                ("assignment", _) => json!(assignment),
                ("partitions_without_local_replica", _) => {
                    json!(self.without_local_replica(assignment))
                }
                ("sizes_sorted", _) => json!(sizes(assignment)),
                ("is_sticky" | "sticky", Some(done)) => json!(done.is_sticky),
                ("transferring", Some(done)) => {
                    done.transferring.as_ref().map_or(Value::Null, |all| {
                        let named = all.iter();
                        let named = named
                            .map(|((topic, n), member)| (format!("{topic}-{n}"), json!(member)));
                        Value::Object(named.collect())
                    })
                }
                _ => return Ok(None),
            }))
        })
    }
}

fn sizes(assignment: &Assignment) -> Vec<usize> {
    let own = assignment.values();
    let mut sizes: Vec<usize> = own.map(|p| p.values().map(BTreeSet::len).sum()).collect();
    sizes.sort_unstable();
    sizes
}

fn subscription(value: &Value) -> Checked<Subscription> {
    for (key, _) in members(value)? {
        if !matches!(
            key,
            "id" | "instance" | "rack" | "topics" | "owned" | "generation"
        ) {
            return Err(unknown("word of a member", key));
        }
    }
    Ok(Subscription {
        member_id: text(&value["id"])?.to_owned(),
        group_instance_id: optional(&value["instance"])?,
        rack_id: optional(&value["rack"])?,
        topics: texts(&value["topics"])?
            .into_iter()
            .map(str::to_owned)
            .collect(),
        owned: partitions(&value["owned"])?,
        generation: match &value["generation"] {
            Value::Null => DEFAULT_GENERATION,
            generation => int32(generation)?,
        },
    })
}

/// Where brokers have racks, partition i of a topic has its replicas on the brokers i + j + base of
/// the circle, base being the number of partitions of the topics before it.
fn topics(input: &Value) -> Checked<Topics> {
    let brokers: Vec<Option<String>> = list(&input["broker_racks"])?
        .iter()
        .map(optional)
        .collect::<Checked<_>>()?;
    let replicas = match &input["replication_factor"] {
        Value::Null => 1,
        factor => count(int32(factor)?.into(), 100)?,
    };
    let mut topics = Topics::new();
    let mut base = 0;
    for (name, count) in counts(&input["topics"])? {
        let told = list(&input["replica_racks"][&name])?;
        let mut racks = Vec::new();
        for partition in 0..count as usize {
            if let Some(told) = told.get(partition) {
                racks.push(texts(told)?.into_iter().map(str::to_owned).collect());
                continue;
            }
            // A replica more than there are brokers has no place.
            let on = (0..replicas.min(brokers.len())).filter_map(|j| {
                let place = (base + partition + j).checked_rem(brokers.len())?;
                brokers[place].clone()
            });
            racks.push(on.collect());
        }
        base += count as usize;
        topics.insert(name, racks);
    }
    Ok(topics)
}

/// `testUseRackAwareAssignment`: ten partitions, spread as the case says.
fn check_rack_use(case: &Case) -> Checked {
    let words = text(&case.input["partition_racks"])?;
    let names: Vec<&str> = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() == 1)
        .collect();
    let own = |i: usize| -> Checked<BTreeSet<&str>> {
        match () {
            () if names.is_empty() => Ok(BTreeSet::new()),
            () if words.contains("in turn") => Ok([names[i % names.len()]].into()),
            () if words.starts_with("every partition") => Ok(names.iter().copied().collect()),
            () => Err(unknown("spread of racks", words)),
        }
    };
    let racks: Vec<BTreeSet<&str>> = (0..10).map(own).collect::<Checked<_>>()?;
    let mut used = Vec::new();
    for one in list(&case.input["cases"])? {
        let consumers = texts(&one["consumer_racks"])?.into_iter().collect();
        used.push(use_rack_aware_assignment(&consumers, &racks));
    }
    case.same("rack_aware_used", &json!(used))
}

/// A group that changes step by step; after each step its members own what they were given.
fn check_sequence(case: &Case) -> Checked {
    let mut group = Group::read(&json!({}))?;
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut all_sizes = Vec::new();
    let (mut kept, mut subset) = (true, true);
    for (generation, step) in (1..).zip(list(&case.input["sequence"])?) {
        let step = text(step)?;
        let adds = step.starts_with("add ");
        let removes = step.starts_with("remove ");
        for phrase in step
            .trim_start_matches("add ")
            .trim_start_matches("remove ")
            .split(", ")
        {
            match phrase.split_once('(') {
                Some((name, count)) if !removes => {
                    let counted = json!({ "topics": { name: number(count)? } });
                    group.topics.append(&mut topics(&counted)?);
                    names.insert(name.to_owned());
                }
                None if removes && names.remove(phrase) => {
                    group.topics.remove(phrase);
                }
                None if !adds && !removes && phrase.ends_with(" members") => {
                    let count = number(phrase)?.clamp(0, 1_000);
                    let ids = (1..=count).map(|i| format!("consumer{i}"));
                    group.members = ids.map(|id| Subscription::new(&id, [])).collect();
                }
                _ => return Err(unknown("step", step)),
            }
        }
        for member in &mut group.members {
            member.topics.clone_from(&names);
        }
        let now = assign(&case.input, &group)?.assignment;
        for member in &mut group.members {
            let own = now.get(&member.member_id).cloned().unwrap_or_default();
            kept &= !adds || includes(&own, &member.owned);
            subset &= !removes || includes(&member.owned, &own);
            member.owned = own;
            member.generation = generation;
        }
        all_sizes.push(sizes(&now));
    }
    if group.members.is_empty() {
        return Err(Fault::Unsupported("no members are given".to_owned()));
    }
    case.same_all(|key| {
        Ok(match key {
            "sizes" => Some(json!(all_sizes)),
            "kept_previous_on_add" => Some(json!(kept)),
            "subset_of_previous_on_remove" => Some(json!(subset)),
            _ => None,
        })
    })
}

fn includes(all: &Partitions, part: &Partitions) -> bool {
    let mut part = part.iter();
    part.all(|(topic, numbers)| all.get(topic).is_some_and(|own| own.is_superset(numbers)))
}
