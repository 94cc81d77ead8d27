//! Where a producer sends a record - murmur2, keys, sticky, adaptive, racks: `UtilsTest`,
//! `BuiltInPartitionerTest`, `RecordAccumulatorTest`.

use crate::case::{Case, Checked, unknown};
use crate::values::{count, int32, list, members, narrow, numbers, offset, text};
use serde_json::{Map, Value, json};
use sim_core::kafka::rules::murmur2::{murmur2, partition_for_key};
use sim_core::kafka::rules::partitioner::{
    BuiltInPartitioner, LoadStats, PartitionView, is_too_slow,
};
use std::collections::BTreeSet;

/// No case has a topic of more partitions, nor more appends.
const MOST_PARTITIONS: usize = 1_000;
const MOST_APPENDS: usize = 100_000;

/// The key as bytes: UTF-8 text or numbers.
fn key(input: &Value) -> Checked<Vec<u8>> {
    if input["key_utf8"].is_null() {
        return list(&input["key_bytes"])?
            .iter()
            .map(|it| narrow(offset(it)?))
            .collect();
    }
    Ok(text(&input["key_utf8"])?.as_bytes().to_vec())
}

fn placement(case: &Case) -> Checked {
    let key = key(&case.input)?;
    case.same_all(|wanted| match wanted {
        "murmur2_i32" => Ok(Some(json!(murmur2(&key)))),
        "partition_by_count" => {
            let mut map = Map::new();
            for number in list(&case.input["partition_counts"])? {
                let number = int32(number)?;
                if number < 1 {
                    return Err(unknown("number of partitions", number));
                }
                map.insert(number.to_string(), json!(partition_for_key(&key, number)));
            }
            Ok(Some(Value::Object(map)))
        }
        _ => Ok(None),
    })
}

/// Chance that counts 0, 1, 2…, used up only when a partition is chosen.
#[derive(Default)]
struct Counter(u32);

impl Counter {
    fn after(&mut self, used: bool) {
        self.0 = self.0.wrapping_add(u32::from(used));
    }
}

/// A partitioner that some records were given to.
struct Producer {
    partitioner: BuiltInPartitioner,
    random: Counter,
    batch_size: u32,
}

impl Producer {
    fn new(batch_size: &Value, rack_aware: bool) -> Checked<Self> {
        let batch_size = match batch_size {
            Value::Null => 1,
            other => narrow(offset(other)?)?,
        };
        match batch_size {
            0 => Err(unknown("sticky batch size", batch_size)),
            _ => Ok(Self {
                partitioner: BuiltInPartitioner::new(batch_size, rack_aware),
                random: Counter::default(),
                batch_size,
            }),
        }
    }

    fn peek(&mut self, views: &[PartitionView]) -> i32 {
        let (partition, used) = self.partitioner.peek(views, self.random.0);
        self.random.after(used);
        partition
    }

    fn update(&mut self, views: &[PartitionView], bytes: u32) {
        let used = self.partitioner.update(views, bytes, true, self.random.0);
        self.random.after(used);
    }

    /// The partitions that appends of these sizes go to.
    fn append(&mut self, views: &[PartitionView], sizes: &[u32]) -> Checked<Vec<i32>> {
        if views.is_empty() || views.len() > MOST_PARTITIONS {
            return Err(unknown("number of partitions", views.len()));
        }
        let mut chosen = Vec::new();
        for bytes in sizes {
            chosen.push(self.peek(views));
            self.update(views, *bytes);
        }
        Ok(chosen)
    }
}

/// What is expected of the partitions chosen, one by one.
fn check_choices(case: &Case, chosen: &[i32]) -> Checked {
    let switched: Vec<bool> = chosen.windows(2).map(|pair| pair[0] != pair[1]).collect();
    case.same_all(|key| {
        let expected = &case.expect[key];
        Ok(Some(match key {
            // All of them, or those that are otherwise.
            "every_append_partition" => {
                let other = chosen.iter().find(|it| *expected != **it);
                other.map_or_else(|| expected.clone(), |it| json!(it))
            }
            // What of the list was never chosen.
            "never_chosen" => {
                let never = list(expected)?.iter();
                never
                    .filter(|it| !chosen.iter().any(|id| **it == *id))
                    .cloned()
                    .collect()
            }
            "chosen_values" => json!(chosen.iter().collect::<BTreeSet<_>>()),
            "append_partitions" => json!(chosen),
            "first_partition" => json!(chosen.first()),
            "switched_after_each" | "switches" => json!(switched),
            // After how many appends the partition first changed.
            "switches_after" | "switch_after" | "switches_after_appends" | "same_for_first" => {
                json!(switched.iter().position(|it| *it).map(|at| at + 1))
            }
            "distinct_partitions" => json!(chosen.iter().collect::<BTreeSet<_>>().len()),
            _ => return Ok(None),
        }))
    })
}

fn view(id: &str, available: bool, in_rack: bool) -> Checked<PartitionView> {
    let partition = id.parse().map_err(|_| unknown("partition", id))?;
    Ok(PartitionView {
        partition,
        available,
        in_rack,
    })
}

/// Partitions 0, 1, 2…, all of them with a leader.
fn online(number: usize) -> Checked<Vec<PartitionView>> {
    (0..number)
        .map(|id| view(&id.to_string(), true, false))
        .collect()
}

/// `true` for partitions with a leader.
fn has_leader(value: &Value) -> Checked<bool> {
    match value {
        Value::String(words) if words == "leader" => Ok(true),
        Value::String(words) if words == "no leader" => Ok(false),
        other => Err(unknown("leader", other)),
    }
}

fn sizes(input: &Value) -> Checked<Vec<u32>> {
    if let Some(number) = input["appends"].as_i64() {
        return Ok(vec![1; count(number, MOST_APPENDS)?]);
    }
    let sizes = list(&input["appends_of_size"])?.iter();
    sizes.map(|it| narrow(offset(it)?)).collect()
}

/// Partitions with or without leader, and a number of appends.
fn sticky(case: &Case) -> Checked {
    let input = &case.input;
    let views: Vec<_> = match input["partitions_available"].as_i64() {
        Some(number) => online(count(number, MOST_PARTITIONS)?)?,
        None => {
            let all = members(&input["topic_partitions"])?.into_iter();
            all.map(|(id, leader)| view(id, has_leader(leader)?, false))
                .collect::<Checked<_>>()?
        }
    };
    let mut producer = Producer::new(&input["sticky_batch_size"], false)?;
    check_choices(case, &producer.append(&views, &sizes(input)?)?)
}

/// Weights by queue length, and what a counter in place of chance draws with them.
fn adaptive(case: &Case) -> Checked {
    let queues = list(&case.input["queue_sizes"])?;
    let ids = 0..narrow::<i32>(count(narrow(queues.len() as i64)?, MOST_PARTITIONS)? as i64)?;
    let lengths: Checked<Vec<u32>> = queues
        .iter()
        .map(|it| Ok(count(offset(it)?, MOST_APPENDS)? as u32))
        .collect();
    let queues: Vec<_> = ids.clone().zip(lengths?).collect();
    let tracked = match case.input["tracked_partitions"].as_i64() {
        Some(number) => count(number, MOST_PARTITIONS)?,
        None => queues.len(),
    };
    let load = LoadStats::new(&queues, tracked);
    let weights = load.as_ref().map(LoadStats::weights);
    let sum = weights
        .iter()
        .flatten()
        .map(|(_, weight)| i64::from(*weight));
    let range: i64 = sum.sum();
    let weights = weights.map(|all| all.into_iter().map(|(_, it)| it).collect::<Vec<_>>());
    let mut producer = Producer::new(&case.input["sticky_batch_size"], false)?;
    producer.partitioner.set_load(load, None);
    let cycles = case.input["cycles"].as_i64().unwrap_or(1);
    let appends = count(range.saturating_mul(cycles), MOST_APPENDS)?;
    case.same_all(|key| {
        Ok(Some(match key {
            // No weights is a uniform choice.
            "weights" => json!(weights),
            "uniform" => json!(weights.is_none()),
            "range_end" => json!(range),
            "choices_per_partition" => {
                let chosen = producer.append(&online(queues.len())?, &vec![1; appends])?;
                let times = |id| chosen.iter().filter(|it| **it == id).count();
                json!(ids.clone().map(times).collect::<Vec<_>>())
            }
            _ => return Ok(None),
        }))
    })
}

/// Partitions of a broker that takes nothing are left out.
fn availability_timeout(case: &Case) -> Checked {
    let input = &case.input;
    let timeout_ms = offset(&input["partitioner.availability.timeout.ms"])?;
    let partitions = members(&input["partitions"])?;
    let mut queues = Vec::new();
    let mut views = Vec::new();
    for (id, node) in &partitions {
        let view = view(id, true, false)?;
        let waited = &input[format!("{}_last_ready_minus_last_drain_ms", text(node)?)];
        let slow = !waited.is_null() && is_too_slow(offset(waited)?, 0, timeout_ms);
        if !slow {
            queues.push((view.partition, 0));
        }
        views.push(view);
    }
    let mut producer = Producer::new(&input["sticky_batch_size"], false)?;
    let load = LoadStats::new(&queues, partitions.len());
    producer.partitioner.set_load(load, None);
    check_choices(case, &producer.append(&views, &sizes(input)?)?)
}

/// Partitions as a phase has them: "all online", "p2 offline", "p0 and p2 offline".
fn views_in(phase: &str, input: &Value) -> Checked<Vec<PartitionView>> {
    let words: Vec<&str> = phase
        .split([' ', ','])
        .filter(|it| !it.is_empty())
        .collect();
    let known = |word: &&str| matches!(*word, "all" | "online" | "offline" | "and" | "again");
    let mut down = Vec::new();
    for word in words.iter().filter(|word| !known(word)) {
        let id = word
            .strip_prefix('p')
            .ok_or_else(|| unknown("phase", phase))?;
        down.extend(numbers(id));
    }
    let mut views = Vec::new();
    for (id, at) in members(&input["partitions"])? {
        let mut view = view(id, true, *at == input["client_rack"])?;
        let named = down.contains(&i64::from(view.partition));
        let all = words.contains(&"all");
        view.available = (!named && !all) || words.contains(&"online");
        views.push(view);
    }
    match views.len() {
        1..=MOST_PARTITIONS => Ok(views),
        other => Err(unknown("number of partitions", other)),
    }
}

/// Partitions in the producer's rack are preferred while they have a leader. The choice after each
/// append is made with the metadata of the phase to come.
fn racks(case: &Case) -> Checked {
    let input = &case.input;
    text(&input["client_rack"])?;
    let mut producer = Producer::new(&input["sticky_batch_size"], true)?;
    let bytes = producer.batch_size;
    let mut first = true;
    let mut choices = Map::new();
    for phase in list(&input["phases"])? {
        let phase = text(phase)?;
        let views = views_in(phase, input)?;
        // How many appends a phase has, only the expectation tells.
        let mut chosen = Vec::new();
        for _ in list(&case.expect["choices"][phase])? {
            if !first {
                producer.update(&views, bytes);
            }
            first = false;
            chosen.push(producer.peek(&views));
        }
        choices.insert(phase.to_owned(), json!(chosen));
    }
    case.same_all(|key| Ok((key == "choices").then(|| Value::Object(choices.clone()))))
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("key_utf8") || case.has("key_bytes") => placement(case),
        () if case.has("queue_sizes") => adaptive(case),
        () if case.has("partitioner.availability.timeout.ms") => availability_timeout(case),
        () if case.has("client_rack") => racks(case),
        () if case.has("sticky_batch_size") => sticky(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
