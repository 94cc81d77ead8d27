//! `[stream.config]`: Flink's own keys, the bounds of their values, and what contradicts what.
//!
//! Follows the checks of `CheckpointCoordinatorConfiguration`, `HeartbeatServices` and the options'
//! own descriptions, in their words where they have some.

use super::document::RawStream;
use crate::scenario::{At, Config, Problem, Reader, Settings};
use crate::settings::{KeySpec, Ratio, SettingError, SettingValue};
use crate::stream::config::{
    CheckpointingMode, JobConfig, KafkaSourceConfig, Millis, RestartType, Retention, Serializer,
    StateBackend,
};
use std::ops::Range;

/// Smallest values, where 0 is none; of durations in ms.
const AT_LEAST: &[(&str, i128)] = &[
    ("execution.checkpointing.timeout", 10),
    ("execution.checkpointing.max-concurrent-checkpoints", 1),
    ("execution.checkpointing.num-retained", 1),
    ("pipeline.watermark-alignment.interval", 1),
    ("restart-strategy.failure-rate.max-failures-per-interval", 1),
    ("restart-strategy.failure-rate.failure-rate-interval", 1),
    ("restart-strategy.exponential-delay.initial-backoff", 1),
    ("restart-strategy.exponential-delay.max-backoff", 1),
    (
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        1,
    ),
    ("heartbeat.interval", 1),
    ("heartbeat.timeout", 1),
    ("taskmanager.memory.segment-size", 256),
    ("taskmanager.network.memory.buffers-per-channel", 1),
    ("taskmanager.network.memory.max-buffers-per-channel", 1),
    ("taskmanager.network.memory.buffer-debloat.target", 1),
    ("taskmanager.network.memory.buffer-debloat.period", 1),
    ("taskmanager.network.memory.buffer-debloat.samples", 1),
    ("taskmanager.memory.min-segment-size", 1),
    ("state.backend.rocksdb.writebuffer.size", 1),
    (
        "state.backend.rocksdb.compaction.level.target-file-size-base",
        1,
    ),
    (
        "state.backend.rocksdb.compaction.level.max-size-level-base",
        1,
    ),
    ("taskmanager.runtime.max-fan", 2),
    ("strandline.spill.bytes-per-second", 1),
    ("job.autoscaler.vertex.min-parallelism", 1),
    ("job.autoscaler.vertex.max-parallelism", 1),
    (
        "job.autoscaler.observed-true-processing-rate.min-observations",
        1,
    ),
    ("kubernetes.operator.reconcile.interval", 100),
    ("strandline.record-bytes", 1),
    ("strandline.storage.bytes-per-second", 1),
];

/// Longest duration, ms: longer than any run, short enough to be counted with.
const LONGEST_MS: i128 = 1_000_000_000_000;

impl Settings for JobConfig {
    const NAME: &'static str = "JobConfig";
    const SYSTEM: &'static str = "Flink";
    const KEYS: &'static [KeySpec] = JobConfig::KEYS;

    fn put(&mut self, key: &str, text: &str) -> Result<(), SettingError> {
        self.set(key, text)
    }

    fn out_of_bounds(key: &str, text: &str) -> Option<(String, String)> {
        let expected = Self::KEYS.iter().find(|it| it.key == key)?.expected;
        let duration = expected == Millis::EXPECTED;
        let number = match duration {
            true => i128::from(Millis::parse(text).ok()?.0),
            false => text.replace('_', "").parse().ok()?,
        };
        let unit = if duration { " ms" } else { "" };
        // 0 takes no checkpoints.
        if key == "execution.checkpointing.interval" && (1..10).contains(&number) {
            let message = "Checkpoint interval must be larger than or equal to 10 ms";
            return Some((message.to_owned(), "0, or 10 ms or more".to_owned()));
        }
        let least = AT_LEAST.iter().find(|(it, _)| *it == key);
        match least {
            Some((_, least)) if number < *least => Some((
                format!("`{key}` is at least {least}{unit}"),
                format!("{least}{unit} or more"),
            )),
            _ if duration && number > LONGEST_MS => Some((
                format!("`{key}` is too long"),
                format!("at most {LONGEST_MS} ms"),
            )),
            _ => None,
        }
    }
}

impl Settings for KafkaSourceConfig {
    const NAME: &'static str = "KafkaSourceConfig";
    const SYSTEM: &'static str = "KafkaSource";
    const KEYS: &'static [KeySpec] = KafkaSourceConfig::KEYS;

    fn put(&mut self, key: &str, text: &str) -> Result<(), SettingError> {
        self.set(key, text)
    }

    fn out_of_bounds(key: &str, text: &str) -> Option<(String, String)> {
        let long = text.parse().is_ok_and(|ms: i128| ms > LONGEST_MS);
        long.then(|| {
            (
                format!("`{key}` is too long"),
                format!("at most {LONGEST_MS} ms"),
            )
        })
    }
}

/// Reads the settings and reports what contradicts each other.
pub(super) fn read(raw: &At<RawStream>, reader: &mut Reader<'_>) -> JobConfig {
    let Some(given) = &raw.value.config else {
        return JobConfig::default();
    };
    let config = &given.value;
    check(config, &given.span, reader);
    config.value.clone()
}

fn check(config: &Config<JobConfig>, whole: &Range<usize>, reader: &mut Reader<'_>) {
    let c = &config.value;
    let mut say = |keys: &[&str], problem: Problem| {
        let place = keys.iter().find_map(|key| config.place(key));
        reader.report(place.unwrap_or(whole), problem);
    };
    let wrong = |message: &str| Problem::new("contradiction", message);
    const UNALIGNED: &str = "execution.checkpointing.unaligned.enabled";
    if c.unaligned && c.checkpoint_mode == CheckpointingMode::AtLeastOnce {
        let message = "Unaligned checkpoints can only be used with checkpointing mode EXACTLY_ONCE";
        say(&[UNALIGNED], wrong(message));
    }
    const CONCURRENT: &str = "execution.checkpointing.max-concurrent-checkpoints";
    if c.unaligned && c.checkpoint_max_concurrent > 1 {
        let message = "maxConcurrentCheckpoints can't be > 1 if UnalignedCheckpoints enabled";
        say(&[CONCURRENT, UNALIGNED], wrong(message));
    }
    const ALIGNED: &str = "execution.checkpointing.aligned-checkpoint-timeout";
    if !c.unaligned && c.aligned_timeout.0 > 0 {
        let message = format!("`{ALIGNED}` is for unaligned checkpoints, which are not enabled");
        say(
            &[ALIGNED],
            wrong(&message).help(format!("set `{UNALIGNED}`")).warning(),
        );
    }
    uncoordinated(config, &mut say);
    debloating(config, &mut say);
    scaling(config, &mut say);
    memory(config, &mut say);
    if c.heartbeat_timeout < c.heartbeat_interval {
        let message = "The heartbeat timeout should be larger or equal than the heartbeat interval";
        say(&["heartbeat.timeout", "heartbeat.interval"], wrong(message));
    } else if c.heartbeat_timeout == c.heartbeat_interval {
        let message = "the heartbeat timeout is the heartbeat interval: a TaskManager is given up \
                       as soon as one answer is slow";
        say(
            &["heartbeat.timeout", "heartbeat.interval"],
            wrong(message).warning(),
        );
    }
    if c.incremental && c.backend != StateBackend::RocksDb {
        let message = "only the state backend rocksdb takes incremental checkpoints";
        let key = "execution.checkpointing.incremental";
        say(
            &[key],
            wrong(message).help("set `state.backend.type`").warning(),
        );
    }
    if c.backoff_max < c.backoff_initial {
        let message = "The maximum backoff must not be smaller than the initial backoff";
        let prefix = "restart-strategy.exponential-delay";
        let (most, first) = (
            format!("{prefix}.max-backoff"),
            format!("{prefix}.initial-backoff"),
        );
        say(&[&most, &first], wrong(message));
    }
    let families = [
        ("restart-strategy.fixed-delay.", RestartType::FixedDelay),
        ("restart-strategy.failure-rate.", RestartType::FailureRate),
        (
            "restart-strategy.exponential-delay.",
            RestartType::ExponentialDelay,
        ),
    ];
    for spec in JobConfig::KEYS {
        let family = families.iter().find(|(it, _)| spec.key.starts_with(it));
        let Some((_, kind)) = family.filter(|_| config.place(spec.key).is_some()) else {
            continue;
        };
        // Unset is exponential delay with checkpoints, and none without.
        let unset = c.restart == RestartType::Unset && *kind == RestartType::ExponentialDelay;
        if c.restart != *kind && !unset {
            let message = format!("`{}` is for another `restart-strategy.type`", spec.key);
            say(&[spec.key], wrong(&message).warning());
        }
    }
}

/// Sizes of a TaskManager's memory.
fn memory(config: &Config<JobConfig>, say: &mut impl FnMut(&[&str], Problem)) {
    const SIZES: [&str; 4] = [
        "taskmanager.memory.process.size",
        "taskmanager.memory.flink.size",
        "taskmanager.memory.task.heap.size",
        "taskmanager.memory.managed.size",
    ];
    // What contradicts a total mostly stands beside it.
    const BESIDE: [&str; 8] = [
        "taskmanager.memory.network.min",
        "taskmanager.memory.network.max",
        "taskmanager.memory.network.fraction",
        "taskmanager.memory.managed.fraction",
        "taskmanager.memory.jvm-overhead.min",
        "taskmanager.memory.jvm-overhead.max",
        "taskmanager.memory.jvm-overhead.fraction",
        "taskmanager.memory.jvm-metaspace.size",
    ];
    let mut every = SIZES.iter().chain(&BESIDE).copied();
    match config.value.memory() {
        Err(message) => {
            let keys: Vec<&str> = every.collect();
            say(&keys, Problem::new("contradiction", message));
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            let given = every.find(|it| config.place(it).is_some());
            if let Some(key) = given {
                let message = format!("`{key}` divides a memory whose size is not given");
                let help = "set `taskmanager.memory.process.size`, or `.flink.size`, or both \
                            `.task.heap.size` and `.managed.size`";
                say(
                    &[key],
                    Problem::new("contradiction", message).help(help).warning(),
                );
            }
        }
    }
}

/// Samples of metrics that an autoscaler keeps at most.
const SAMPLES: i64 = 1_000;

/// Settings of an autoscaler (`AutoscalerValidator`), and what its window holds.
fn scaling(config: &Config<JobConfig>, say: &mut impl FnMut(&[&str], Problem)) {
    const FAMILY: &str = "job.autoscaler.";
    const ENABLED: &str = "job.autoscaler.enabled";
    const WINDOW: &str = "job.autoscaler.metrics.window";
    const INTERVAL: &str = "kubernetes.operator.reconcile.interval";
    const REDEPLOY: &str = "strandline.redeploy-time";
    let c = &config.value;
    if !c.autoscaler {
        let mut own = JobConfig::KEYS.iter().map(|it| it.key);
        let ours = |it: &&str| {
            it.starts_with(FAMILY) && *it != ENABLED || [INTERVAL, REDEPLOY].contains(it)
        };
        if let Some(key) = own.find(|it| ours(it) && config.place(it).is_some()) {
            let message = format!("`{key}` is for the autoscaler, which is not enabled");
            let problem = Problem::new("contradiction", message).warning();
            say(&[key], problem.help(format!("set `{ENABLED}`")));
        }
        return;
    }
    let target = c.utilization_target;
    let mut range = |key: &str, given: Option<Ratio>, (least, most): (Ratio, Ratio)| {
        if given.is_some_and(|it| it.0 < least.0 || it.0 > most.0) {
            let (least, most) = (least.show(), most.show());
            let message = format!(
                "The AutoScalerOption {key} is invalid, it should be a value within the range \
                 [{least}, {most}]"
            );
            say(&[key], Problem::new("contradiction", message));
        }
    };
    let (most, least) = (c.utilization_max, c.utilization_min);
    range(
        "job.autoscaler.utilization.max",
        most,
        (target, Ratio(1_000_000)),
    );
    range("job.autoscaler.utilization.min", least, (Ratio(0), target));
    let interval = c.reconcile_interval.0.max(1);
    if c.autoscaler_window.0 < interval {
        let message = "the window is shorter than the interval at which metrics are collected, and \
                       rates need two samples: nothing is ever decided";
        say(
            &[WINDOW, INTERVAL],
            Problem::new("contradiction", message).warning(),
        );
    }
    let kept = c
        .autoscaler_window
        .0
        .saturating_add(c.autoscaler_stabilization.0)
        / interval;
    if kept > SAMPLES {
        let message = format!("an autoscaler would keep {kept} samples, and {SAMPLES} are allowed");
        let problem = Problem::new("contradiction", message);
        let help = format!("a longer `{INTERVAL}`, or a shorter `{WINDOW}`");
        say(&[INTERVAL, WINDOW], problem.help(help));
    }
}

/// Settings of checkpoints of the whole job, where there are none.
fn uncoordinated(config: &Config<JobConfig>, say: &mut impl FnMut(&[&str], Problem)) {
    let c = &config.value;
    if !c.is_uncoordinated() {
        return;
    }
    const OWN: &str = "strandline.checkpointing.coordination";
    const LOCAL: &str = "state.backend.local-recovery";
    let set = [
        ("execution.checkpointing.unaligned.enabled", c.unaligned),
        ("execution.checkpointing.incremental", c.incremental),
        (
            "execution.checkpointing.local-backup.enabled",
            c.local_backup,
        ),
        ("execution.state-recovery.from-local", c.from_local),
        (LOCAL, c.local_recovery),
        (Retention::KEY, c.retention != Retention::Nothing),
        ("job.autoscaler.enabled", c.autoscaler),
        (
            "strandline.checkpointing.every-records",
            c.checkpoint_every > 0,
        ),
    ];
    for (key, _) in set.iter().filter(|(_, on)| *on) {
        let message =
            format!("`{key}` is for checkpoints of the whole job, and `{OWN}` takes none");
        say(&[key, OWN], Problem::new("contradiction", message));
    }
    if c.checkpoint_interval.0 == 0 {
        let message = "no task takes a snapshot: a failure begins anew";
        let help = "set `execution.checkpointing.interval`";
        let problem = Problem::new("no-checkpoints", message).help(help);
        say(&[OWN], problem.warning());
    }
}

/// Settings of buffers that shrink (`BufferDebloatConfiguration`).
fn debloating(config: &Config<JobConfig>, say: &mut impl FnMut(&[&str], Problem)) {
    let c = &config.value;
    const LEAST: &str = "taskmanager.memory.min-segment-size";
    const SIZE: &str = "taskmanager.memory.segment-size";
    if c.debloat && c.min_segment_size > c.segment_size {
        let message = "the smallest buffer is larger than the largest";
        say(&[LEAST, SIZE], Problem::new("contradiction", message));
    }
    if !c.generic_types && c.serializer == Serializer::Generic {
        let message = "UnsupportedOperationException: Generic types have been disabled in the \
                       ExecutionConfig, and records are treated as a generic type";
        let problem = Problem::new("contradiction", message);
        let help = "make them a POJO, or allow `pipeline.generic-types`";
        let keys = ["strandline.serializer", "pipeline.generic-types"];
        say(&keys, problem.help(help));
    }
    let mut own = JobConfig::KEYS.iter().map(|it| it.key);
    const FAMILY: &str = "taskmanager.network.memory.buffer-debloat.";
    let given =
        own.find(|it| (it.starts_with(FAMILY) || *it == LEAST) && config.place(it).is_some());
    if let Some(key) = given.filter(|_| !c.debloat) {
        let message = format!("`{key}` is for buffer debloating, which is not enabled");
        // Whoever says that it is off knows.
        if key != "taskmanager.network.memory.buffer-debloat.enabled" {
            let problem = Problem::new("contradiction", message).warning();
            say(&[key], problem.help(format!("set `{FAMILY}enabled`")));
        }
    }
}
