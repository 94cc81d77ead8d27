//! Conformance: where a producer sends a record - murmur2, keys, sticky, adaptive, racks.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sim_core::kafka::rules::murmur2::{murmur2, partition_for_key};
use sim_core::kafka::rules::partitioner::{
    BuiltInPartitioner, LoadStats, PartitionView, is_too_slow,
};
use support::{Case, int, int32, keys, list, numbers, run, text};

fn placement(case: &Case) {
    let key = text(&case.input["key_utf8"]).as_bytes();
    for wanted in keys(&case.expect) {
        let got = match wanted {
            "murmur2_i32" => json!(murmur2(key)),
            "partition_by_count" => {
                let counts = list(&case.input["partition_counts"]).iter().map(int32);
                let map: BTreeMap<String, i32> = counts
                    .map(|n| (n.to_string(), partition_for_key(key, n)))
                    .collect();
                json!(map)
            }
            _ => panic!("{}: unknown expectation {wanted}", case.id),
        };
        assert_eq!(got, case.expect[wanted], "{}: {wanted}", case.id);
    }
}

/// Chance that counts 0, 1, 2…, used up only when a partition is chosen.
#[derive(Default)]
struct Counter(u32);

impl Counter {
    fn after(&mut self, used: bool) {
        self.0 += u32::from(used);
    }
}

/// The partitions that `sizes.len()` appends go to.
fn appends(
    partitioner: &mut BuiltInPartitioner,
    views: &[PartitionView],
    sizes: &[u32],
) -> Vec<i32> {
    let mut random = Counter::default();
    let mut chosen = Vec::new();
    for size in sizes {
        let (partition, used) = partitioner.peek(views, random.0);
        random.after(used);
        chosen.push(partition);
        let used = partitioner.update(views, *size, true, random.0);
        random.after(used);
    }
    chosen
}

fn check_choices(case: &Case, chosen: &[i32]) {
    for key in keys(&case.expect) {
        let expect = &case.expect[key];
        match key {
            "every_append_partition" => {
                assert!(
                    chosen.iter().all(|it| expect == *it),
                    "{}: {chosen:?}",
                    case.id
                );
            }
            "never_chosen" => {
                let never = list(expect);
                assert!(
                    !chosen.iter().any(|it| never.contains(&json!(it))),
                    "{}",
                    case.id
                );
            }
            "chosen_values" => {
                let values: std::collections::BTreeSet<_> = chosen.iter().collect();
                assert_eq!(json!(values), *expect, "{}", case.id);
            }
            "append_partitions" => assert_eq!(json!(chosen), *expect, "{}", case.id),
            _ => panic!("{}: unknown expectation {key}", case.id),
        }
    }
}

/// `sticky-*`: partitions with or without leader, and a number of appends.
fn sticky(case: &Case) {
    let input = &case.input;
    let view = |partition, available| PartitionView {
        partition,
        available,
        in_rack: false,
    };
    let views: Vec<_> = match input["topic_partitions"].as_object() {
        Some(map) => {
            let view =
                |(id, leader): (&String, &Value)| view(id.parse().unwrap(), leader == "leader");
            map.iter().map(view).collect()
        }
        None => (0..int32(&input["partitions_available"]))
            .map(|id| view(id, true))
            .collect(),
    };
    let sizes: Vec<u32> = match input["appends"].as_u64() {
        Some(count) => vec![1; usize::try_from(count).unwrap()],
        None => list(&input["appends_of_size"])
            .iter()
            .map(|it| u32::try_from(int(it)).unwrap())
            .collect(),
    };
    let batch_size = u32::try_from(int(&input["sticky_batch_size"])).unwrap();
    let mut partitioner = BuiltInPartitioner::new(batch_size, false);
    check_choices(case, &appends(&mut partitioner, &views, &sizes));
}

/// `adaptive-01`: weights by queue length, and what a counter in place of chance draws with them.
fn adaptive(case: &Case) {
    let queues = list(&case.input["queue_sizes"]).iter();
    let queues: Vec<_> = (0..)
        .zip(queues.map(|it| u32::try_from(int(it)).unwrap()))
        .collect();
    let load = LoadStats::new(&queues, queues.len());
    let weights = load.as_ref().map(LoadStats::weights).unwrap_or_default();
    let range: u32 = weights.iter().map(|(_, weight)| weight).sum();
    let weights: Vec<_> = weights.into_iter().map(|(_, weight)| weight).collect();
    let views: Vec<_> = (0..)
        .zip(&queues)
        .map(|(partition, _)| PartitionView {
            partition,
            available: true,
            in_rack: false,
        })
        .collect();
    let mut partitioner = BuiltInPartitioner::new(1, false);
    partitioner.set_load(load, None);
    let cycles = u32::try_from(int(&case.input["cycles"])).unwrap();
    let count = usize::try_from(range * cycles).unwrap();
    let chosen = appends(&mut partitioner, &views, &vec![1; count]);
    let times = |id: &i32| chosen.iter().filter(|it| *it == id).count();
    let times: Vec<_> = (0..i32::try_from(queues.len()).unwrap())
        .map(|id| times(&id))
        .collect();
    let got = json!({"weights": weights, "choices_per_partition": times});
    for key in keys(&case.expect) {
        assert_eq!(got[key], case.expect[key], "{}: {key}", case.id);
    }
}

/// `adaptive-03`: partitions of a broker that takes nothing are left out.
fn availability_timeout(case: &Case) {
    let input = &case.input;
    let timeout_ms = int(&input["partitioner.availability.timeout.ms"]);
    let partitions = input["partitions"].as_object().unwrap();
    let slow = |node: &Value| {
        let waited = &input[format!("{}_last_ready_minus_last_drain_ms", text(node))];
        waited
            .as_i64()
            .is_some_and(|waited| is_too_slow(waited, 0, timeout_ms))
    };
    let ids = partitions.iter().filter(|(_, node)| !slow(node));
    let queues: Vec<_> = ids.map(|(id, _)| (id.parse().unwrap(), 0)).collect();
    let views: Vec<_> = partitions
        .keys()
        .map(|id| PartitionView {
            partition: id.parse().unwrap(),
            available: true,
            in_rack: false,
        })
        .collect();
    let mut partitioner = BuiltInPartitioner::new(1, false);
    partitioner.set_load(LoadStats::new(&queues, partitions.len()), None);
    let count = usize::try_from(int(&input["appends"])).unwrap();
    check_choices(case, &appends(&mut partitioner, &views, &vec![1; count]));
}

/// `rack-*`: partitions in the producer's rack are preferred while they have a leader. The choice
/// after each append is made with the metadata of the phase to come.
fn racks(case: &Case) {
    let input = &case.input;
    let rack = text(&input["client_rack"]);
    let views = |phase: &str| -> Vec<PartitionView> {
        let online = !phase.contains("offline");
        let named = phase
            .split([' ', ','])
            .filter_map(|word| word.strip_prefix('p'));
        let named: Vec<i64> = named.flat_map(numbers).collect();
        let view = |(id, at): (&String, &Value)| PartitionView {
            partition: id.parse().unwrap(),
            available: online || !named.contains(&id.parse().unwrap()),
            in_rack: at == rack,
        };
        input["partitions"]
            .as_object()
            .unwrap()
            .iter()
            .map(view)
            .collect()
    };
    let batch_size = u32::try_from(int(&input["sticky_batch_size"])).unwrap();
    let mut partitioner = BuiltInPartitioner::new(batch_size, true);
    let mut random = Counter::default();
    let phases = list(&input["phases"]).iter().map(text);
    let plan = phases.flat_map(|phase| {
        list(&case.expect["choices"][phase])
            .iter()
            .map(move |expect| (phase, expect))
    });
    let mut first = true;
    for (phase, expect) in plan {
        let views = views(phase);
        if !first {
            let used = partitioner.update(&views, batch_size, true, random.0);
            random.after(used);
        }
        first = false;
        let (partition, used) = partitioner.peek(&views, random.0);
        random.after(used);
        assert_eq!(json!(partition), *expect, "{}: {phase}", case.id);
    }
    assert!(!first, "{}: no choice was checked", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if has("key_utf8") => placement(case),
        () if has("queue_sizes") => adaptive(case),
        () if has("partitioner.availability.timeout.ms") => availability_timeout(case),
        () if has("client_rack") => racks(case),
        () if has("sticky_batch_size") => sticky(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn partitioner() {
    run!("partitioner.json", check);
}
