//! Settings of a job and its machines, under Flink's own keys and with its defaults.
//!
//! Follows `CheckpointingOptions`, `ExecutionOptions`, `PipelineOptions`, `RestartStrategyOptions`,
//! `HeartbeatManagerOptions`, `NettyShuffleEnvironmentOptions` and `TaskManagerOptions` of Flink
//! 2.x. Keys without a dot-separated Flink name begin with `strandline.` and are our own: speeds of
//! machines that Flink has no setting for. Those of a source of a topic follow `KafkaSourceOptions` of
//! the Kafka connector 4.x.

use super::rules::autoscaler::Alignment;
use crate::settings::{Amount, Factor, Ratio, SettingValue};
use serde::Serialize;

/// A duration as Flink writes it: `10 s`, `200ms`, `1 min`, `2 h`; a bare number is milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Millis(pub i64);

/// Units of a duration with their length in ms (`TimeUtils.TimeUnit`; finer ones than ms are left
/// out).
const UNITS: &[(&[&str], i64)] = &[
    (&["d", "day", "days"], 86_400_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["min", "m", "minute", "minutes"], 60_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (
        &["ms", "milli", "millis", "millisecond", "milliseconds", ""],
        1,
    ),
];

impl SettingValue for Millis {
    const EXPECTED: &'static str = "a duration, e.g. 10 s or 200 ms";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(names, _)| names.contains(&unit.trim()));
        let ms = unit.and_then(|(_, ms)| number.parse::<i64>().ok()?.checked_mul(*ms));
        ms.map(Millis)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }

    fn show(&self) -> String {
        format!("{} ms", self.0)
    }
}

/// A number of bytes as Flink writes it (`MemorySize`): `64 mb`, `4kb`; a bare number is bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Bytes(pub u64);

impl SettingValue for Bytes {
    const EXPECTED: &'static str = "a size, e.g. 64 mb or 4 kb";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "" | "b" | "bytes" => Some(0),
            "k" | "kb" | "kibibytes" => Some(10),
            "m" | "mb" | "mebibytes" => Some(20),
            "g" | "gb" | "gibibytes" => Some(30),
            _ => None,
        };
        let bytes = shift.and_then(|shift| number.parse::<u64>().ok()?.checked_mul(1 << shift));
        // No more than any disk has, so that it can be counted with.
        bytes
            .filter(|it| *it <= 1 << 50)
            .map(Bytes)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }

    fn show(&self) -> String {
        format!("{} bytes", self.0)
    }
}

/// A size of which 32 bits hold the bytes, written as [`Bytes`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct SmallBytes(pub u32);

impl SettingValue for SmallBytes {
    const EXPECTED: &'static str = "a size below 4 gb, e.g. 32 kb";

    fn parse(text: &str) -> Result<Self, String> {
        let bytes = Bytes::parse(text).ok();
        let bytes = bytes.and_then(|it| u32::try_from(it.0).ok());
        bytes
            .map(SmallBytes)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }

    fn show(&self) -> String {
        Bytes(u64::from(self.0)).show()
    }
}

/// A size that is given or not.
impl SettingValue for Option<Bytes> {
    const EXPECTED: &'static str = Bytes::EXPECTED;

    fn parse(text: &str) -> Result<Self, String> {
        Bytes::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |it| it.show())
    }
}

/// A share that is given or not.
impl SettingValue for Option<Ratio> {
    const EXPECTED: &'static str = Ratio::EXPECTED;

    fn parse(text: &str) -> Result<Self, String> {
        Ratio::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |it| it.show())
    }
}

/// `execution.checkpointing.mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CheckpointingMode {
    /// Barriers are aligned, or overtake.
    ExactlyOnce,
    /// Barriers are counted and nothing is held.
    AtLeastOnce,
}
crate::word_setting!(CheckpointingMode, "EXACTLY_ONCE, AT_LEAST_ONCE",
    "EXACTLY_ONCE" => CheckpointingMode::ExactlyOnce,
    "AT_LEAST_ONCE" => CheckpointingMode::AtLeastOnce);

/// `execution.checkpointing.externalized-checkpoint-retention`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Retention {
    /// Checkpoints go when the job ends, however it ends.
    Nothing,
    /// They stay if it fails.
    DeleteOnCancellation,
    /// They stay if it fails or is canceled.
    RetainOnCancellation,
}
impl Retention {
    /// The key that says it.
    pub const KEY: &str = "execution.checkpointing.externalized-checkpoint-retention";
}
crate::word_setting!(Retention, "NO_EXTERNALIZED_CHECKPOINTS, DELETE_ON_CANCELLATION, RETAIN_ON_CANCELLATION",
    "NO_EXTERNALIZED_CHECKPOINTS" => Retention::Nothing,
    "DELETE_ON_CANCELLATION" => Retention::DeleteOnCancellation,
    "RETAIN_ON_CANCELLATION" => Retention::RetainOnCancellation);

/// `restart-strategy.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum RestartType {
    /// By whether checkpoints are taken: exponential delay, or none.
    Unset,
    /// A failure is the end of the job.
    None,
    /// So many times, after a fixed delay.
    FixedDelay,
    /// As long as failures are not too frequent.
    FailureRate,
    /// After longer and longer delays.
    ExponentialDelay,
}
crate::word_setting!(RestartType, "none, fixed-delay, failure-rate, exponential-delay, unset",
    "none" => RestartType::None, "off" => RestartType::None, "disable" => RestartType::None,
    "fixed-delay" => RestartType::FixedDelay, "fixeddelay" => RestartType::FixedDelay,
    "failure-rate" => RestartType::FailureRate, "failurerate" => RestartType::FailureRate,
    "exponential-delay" => RestartType::ExponentialDelay,
    "exponentialdelay" => RestartType::ExponentialDelay,
    "unset" => RestartType::Unset);

/// `state.backend.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum StateBackend {
    /// `HashMapStateBackend`: objects on the heap, full snapshots.
    HashMap,
    /// `EmbeddedRocksDBStateBackend`: an LSM tree on the local disk, incremental snapshots if wanted.
    RocksDb,
}
crate::word_setting!(StateBackend, "hashmap, rocksdb",
    "hashmap" => StateBackend::HashMap,
    "rocksdb" => StateBackend::RocksDb);

/// `jobmanager.execution.failover-strategy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum FailoverStrategy {
    /// Every task restarts.
    Full,
    /// The tasks connected to the failed one restart.
    Region,
}
crate::word_setting!(FailoverStrategy, "full, region",
    "full" => FailoverStrategy::Full,
    "region" => FailoverStrategy::Region);

/// `high-availability.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum HighAvailability {
    /// What a JobManager knows of a job is lost with it.
    None,
    /// Pointers to completed checkpoints outlive the JobManager.
    ZooKeeper,
}
crate::word_setting!(HighAvailability, "NONE, ZOOKEEPER",
    "NONE" => HighAvailability::None, "none" => HighAvailability::None,
    "ZOOKEEPER" => HighAvailability::ZooKeeper, "zookeeper" => HighAvailability::ZooKeeper);

/// `taskmanager.load-balance.mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum LoadBalance {
    /// One TaskManager's slots are used up before the next one's.
    None,
    /// Slots are taken evenly from all.
    Slots,
}
crate::word_setting!(LoadBalance, "NONE, SLOTS",
    "NONE" => LoadBalance::None, "none" => LoadBalance::None,
    "SLOTS" => LoadBalance::Slots, "slots" => LoadBalance::Slots);

/// `strandline.serializer`: what kind of type records are, to the one who writes them to a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Serializer {
    /// It costs nothing.
    None,
    /// `TupleSerializer`.
    Tuple,
    /// `RowSerializer`.
    Row,
    /// `PojoSerializer`.
    Pojo,
    /// `AvroSerializer`, of a specific or generic record.
    Avro,
    /// `KryoSerializer`: the fallback for what Flink knows no better way for.
    Generic,
}
crate::word_setting!(Serializer, "none, tuple, row, pojo, avro, generic",
    "none" => Serializer::None, "tuple" => Serializer::Tuple, "row" => Serializer::Row,
    "pojo" => Serializer::Pojo, "avro" => Serializer::Avro, "generic" => Serializer::Generic);

/// `strandline.network.compression`, by the names of `NettyShuffleEnvironmentOptions.CompressionCodec`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Compression {
    /// Buffers go as they are.
    None,
    /// Fast, and half as large.
    Lz4,
    /// Slower, and a third as large.
    Zstd,
}
crate::word_setting!(Compression, "NONE, LZ4, ZSTD",
    "NONE" => Compression::None, "none" => Compression::None,
    "LZ4" => Compression::Lz4, "lz4" => Compression::Lz4,
    "ZSTD" => Compression::Zstd, "zstd" => Compression::Zstd);

crate::word_setting!(Alignment, "BALANCED, EVENLY_SPREAD, OFF",
    "BALANCED" => Alignment::Balanced,
    "EVENLY_SPREAD" => Alignment::EvenlySpread,
    "OFF" => Alignment::Off);

/// `strandline.checkpointing.coordination`: who says when a task takes its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Coordination {
    /// The JobManager, and barriers that pass through the whole job.
    Barriers,
    /// Each task for itself.
    None,
}
crate::word_setting!(Coordination, "barriers, none",
    "barriers" => Coordination::Barriers, "none" => Coordination::None);

crate::settings! {
    /// Settings of a job and its machines.
    pub struct JobConfig {
        "execution.checkpointing.interval" => checkpoint_interval: Millis = Millis(0), "Time between the starts of two checkpoints; 0 takes none.";
        "execution.checkpointing.mode" => checkpoint_mode: CheckpointingMode = CheckpointingMode::ExactlyOnce, "Whether barriers are aligned.";
        "execution.checkpointing.timeout" => checkpoint_timeout: Millis = Millis(600_000), "A checkpoint that takes longer is given up (CHECKPOINT_EXPIRED).";
        "execution.checkpointing.min-pause" => checkpoint_min_pause: Millis = Millis(0), "Shortest time between the end of a checkpoint and the start of the next.";
        "execution.checkpointing.max-concurrent-checkpoints" => checkpoint_max_concurrent: u32 = 1, "Checkpoints under way at once.";
        "execution.checkpointing.tolerable-failed-checkpoints" => checkpoint_tolerable_failures: u32 = 0, "Failed checkpoints in a row that do not yet fail the job.";
        #[serde(skip)] "execution.checkpointing.externalized-checkpoint-retention" => retention: Retention = Retention::Nothing, "Whether the kept checkpoints outlive a job that fails or is canceled; they are the user's then.";
        "execution.checkpointing.num-retained" => checkpoint_retained: u32 = 1, "Completed checkpoints that are kept.";
        "execution.checkpointing.unaligned.enabled" => unaligned: bool = false, "Barriers overtake records in flight, which become part of the checkpoint.";
        "execution.checkpointing.aligned-checkpoint-timeout" => aligned_timeout: Millis = Millis(0), "With unaligned checkpoints: barriers older than this begin to overtake; 0 at once.";
        "execution.checkpointing.incremental" => incremental: bool = false, "With rocksdb: upload only files that the last completed checkpoint has not.";
        "execution.buffer-timeout.interval" => buffer_timeout: Millis = Millis(100), "A buffer that is not full is sent after this time; 0 sends each record by itself.";
        "pipeline.auto-watermark-interval" => watermark_interval: Millis = Millis(200), "Time between two watermarks of a generator.";
        #[serde(skip)] "pipeline.object-reuse" => object_reuse: bool = false, "Chained operators hand each other the object itself, not a copy.";
        "pipeline.operator-chaining.enabled" => chaining: bool = true, "Operators joined forward run in one task.";
        "pipeline.watermark-alignment.interval" => alignment_interval: Millis = Millis(1_000), "How often sources of an alignment group report and are told how far they may read.";
        "restart-strategy.type" => restart: RestartType = RestartType::Unset, "What the job does after a failure.";
        "restart-strategy.fixed-delay.attempts" => fixed_attempts: u32 = 1, "Restarts before the job fails for good.";
        "restart-strategy.fixed-delay.delay" => fixed_delay: Millis = Millis(1_000), "Time before each restart.";
        "restart-strategy.failure-rate.max-failures-per-interval" => rate_max: u32 = 1, "Failures in one interval that are restarted.";
        "restart-strategy.failure-rate.failure-rate-interval" => rate_interval: Millis = Millis(60_000), "Length of the interval.";
        "restart-strategy.failure-rate.delay" => rate_delay: Millis = Millis(1_000), "Time before each restart.";
        "restart-strategy.exponential-delay.initial-backoff" => backoff_initial: Millis = Millis(1_000), "Time before the first restart.";
        #[serde(skip)] "restart-strategy.exponential-delay.backoff-multiplier" => backoff_multiplier: Factor = Factor(1_500_000), "Each time before a restart over the one before.";
        "restart-strategy.exponential-delay.max-backoff" => backoff_max: Millis = Millis(60_000), "Longest time before a restart.";
        "restart-strategy.exponential-delay.reset-backoff-threshold" => backoff_reset: Millis = Millis(3_600_000), "After so long without failure the delay begins anew.";
        "restart-strategy.exponential-delay.jitter-factor" => backoff_jitter: Ratio = Ratio(100_000), "Share by which each delay varies.";
        "restart-strategy.exponential-delay.attempts-before-reset-backoff" => backoff_attempts: u32 = 2_147_483_647, "Restarts in a row before the job fails for good.";
        "jobmanager.execution.failover-strategy" => failover: FailoverStrategy = FailoverStrategy::Region, "Which tasks restart when one fails: those that channels connect to it, or all.";
        "high-availability.type" => high_availability: HighAvailability = HighAvailability::None, "Whether a restarted JobManager still knows the completed checkpoints; without it the job begins anew.";
        "heartbeat.interval" => heartbeat_interval: Millis = Millis(10_000), "Time between two heartbeats.";
        "heartbeat.timeout" => heartbeat_timeout: Millis = Millis(50_000), "A TaskManager that is silent for so long is taken for dead.";
        "slot.request.timeout" => slot_timeout: Millis = Millis(300_000), "How long the job waits for slots before it fails.";
        "taskmanager.load-balance.mode" => load_balance: LoadBalance = LoadBalance::None, "How the job's slots are spread over TaskManagers.";
        "taskmanager.memory.segment-size" => segment_size: SmallBytes = SmallBytes(32_768), "Size of a network buffer.";
        "taskmanager.network.memory.buffers-per-channel" => buffers_per_channel: u32 = 2, "Exclusive buffers of an input channel.";
        "taskmanager.network.memory.floating-buffers-per-gate" => floating_buffers: u32 = 8, "Buffers that the channels of an input share.";
        "taskmanager.network.memory.max-buffers-per-channel" => max_buffers_per_channel: u32 = 10, "Buffers that may wait in one outgoing subpartition.";
        "taskmanager.network.memory.buffer-debloat.enabled" => debloat: bool = false, "Shrink buffers to what is consumed in the target time.";
        "taskmanager.network.memory.buffer-debloat.target" => debloat_target: Millis = Millis(1_000), "Time in which buffered data is to be consumed.";
        "taskmanager.network.memory.buffer-debloat.period" => debloat_period: Millis = Millis(200), "Time between two calculations of the size.";
        #[serde(skip)] "taskmanager.network.memory.buffer-debloat.samples" => debloat_samples: u32 = 20, "Calculations that the size is smoothed over.";
        #[serde(skip)] "taskmanager.network.memory.buffer-debloat.threshold-percentages" => debloat_threshold: u32 = 25, "A size that differs by less than this from the one that holds is not announced, %.";
        #[serde(skip)] "taskmanager.memory.min-segment-size" => min_segment_size: SmallBytes = SmallBytes(256), "Size of a network buffer that debloating shrinks as far as it may.";
        #[serde(skip)] "taskmanager.memory.process.size" => process_size: Option<Bytes> = None, "Total memory of a TaskManager's process: what its container is asked for. With this, with `flink.size`, or with both `task.heap.size` and `managed.size`, memory is limited.";
        #[serde(skip)] "taskmanager.memory.flink.size" => flink_size: Option<Bytes> = None, "The same without what the JVM takes for itself.";
        #[serde(skip)] "taskmanager.memory.framework.heap.size" => framework_heap: Bytes = Bytes(128 << 20), "Heap of the framework.";
        #[serde(skip)] "taskmanager.memory.task.heap.size" => task_heap: Option<Bytes> = None, "Heap of tasks, with their state there; left out: what is left over.";
        #[serde(skip)] "taskmanager.memory.framework.off-heap.size" => framework_off_heap: Bytes = Bytes(128 << 20), "Memory of the framework beside the heap.";
        #[serde(skip)] "taskmanager.memory.task.off-heap.size" => task_off_heap: Bytes = Bytes(0), "Memory of tasks beside the heap.";
        #[serde(skip)] "taskmanager.memory.managed.size" => managed_size: Option<Bytes> = None, "Memory for RocksDB and for sorting, in equal shares for slots; left out: by its fraction.";
        #[serde(skip)] "taskmanager.memory.managed.fraction" => managed_fraction: Ratio = Ratio(400_000), "Its share of Flink's memory.";
        #[serde(skip)] "taskmanager.memory.network.fraction" => network_fraction: Ratio = Ratio(100_000), "Share of Flink's memory for network buffers.";
        #[serde(skip)] "taskmanager.memory.network.min" => network_min: Bytes = Bytes(64 << 20), "Least memory for network buffers.";
        #[serde(skip)] "taskmanager.memory.network.max" => network_max: Option<Bytes> = None, "Most memory for network buffers; left out: no limit.";
        #[serde(skip)] "taskmanager.memory.jvm-metaspace.size" => metaspace: Bytes = Bytes(256 << 20), "Metaspace of the JVM.";
        #[serde(skip)] "taskmanager.memory.jvm-overhead.fraction" => overhead_fraction: Ratio = Ratio(100_000), "Share of the process for what else the JVM takes.";
        #[serde(skip)] "taskmanager.memory.jvm-overhead.min" => overhead_min: Bytes = Bytes(192 << 20), "Least memory for that.";
        #[serde(skip)] "taskmanager.memory.jvm-overhead.max" => overhead_max: Bytes = Bytes(1 << 30), "Most memory for that.";
        #[serde(skip)] "taskmanager.jvm-exit-on-oom" => exit_on_oom: bool = false, "Whether an OutOfMemoryError in a task ends the process, and not only the task.";
        #[serde(skip)] "state.backend.rocksdb.memory.managed" => rocksdb_managed: bool = true, "With rocksdb: write buffers and block cache stay within the slot's share of managed memory.";
        #[serde(skip)] "state.backend.rocksdb.memory.write-buffer-ratio" => rocksdb_write_buffer_ratio: Ratio = Ratio(500_000), "With rocksdb: the part of managed memory that write buffers may take.";
        #[serde(skip)] "state.backend.rocksdb.block.cache-size" => rocksdb_block_cache: Bytes = Bytes(8 << 20), "With rocksdb whose memory is not managed: the cache of each operator's subtask.";
        "state.backend.type" => backend: StateBackend = StateBackend::HashMap, "Where keyed state lives.";
        "state.backend.rocksdb.writebuffer.size" => rocksdb_write_buffer: Bytes = Bytes(64 << 20), "With rocksdb: a write buffer of this size becomes a file.";
        "state.backend.rocksdb.compaction.level.target-file-size-base" => rocksdb_target_file: Bytes = Bytes(64 << 20), "With rocksdb: size of the files that merging makes.";
        "state.backend.rocksdb.compaction.level.max-size-level-base" => rocksdb_level_base: Bytes = Bytes(256 << 20), "With rocksdb: what level 1 holds at most; each further one ten times as much.";
        "execution.checkpointing.local-backup.enabled" => local_backup: bool = false, "TaskManagers keep a copy of the states that they upload on the local disk.";
        "execution.state-recovery.from-local" => from_local: bool = false, "A task that restarts on the same TaskManager reads the copy there, and not the checkpoint storage.";
        "state.backend.local-recovery" => local_recovery: bool = false, "The older name of both: keep a local copy, and recover from it.";
        #[serde(skip)] "execution.sort-partition.memory" => sort_memory: Bytes = Bytes(128 << 20), "Memory of a sort's subtask where that of TaskManagers is not limited.";
        #[serde(skip)] "taskmanager.runtime.sort-spilling-threshold" => sort_threshold: Ratio = Ratio(800_000), "Share of a sort's memory after which it writes to the disk.";
        #[serde(skip)] "taskmanager.runtime.max-fan" => max_fan: u32 = 128, "Runs on the disk that a sort merges at once.";
        #[serde(skip)] "strandline.spill.bytes-per-second" => spill_speed: u64 = 200_000_000, "How fast a sort writes to the disk, and reads from it.";
        #[serde(skip)] "pipeline.generic-types" => generic_types: bool = true, "Whether types that Flink has no serializer for may be written by Kryo.";
        #[serde(skip)] "strandline.serializer" => serializer: Serializer = Serializer::None, "What writes records to channels, and what that costs: none, tuple, row, pojo, avro or generic (Kryo).";
        #[serde(skip)] "strandline.network.compression" => compression: Compression = Compression::None, "How buffers between tasks are compressed: CPU for bytes. Flink compresses those of batch shuffles alone.";
        #[serde(skip)] "job.autoscaler.enabled" => autoscaler: bool = false, "Whether the job's autoscaler watches it.";
        #[serde(skip)] "job.autoscaler.scaling.enabled" => autoscaler_scales: bool = true, "Whether it rescales the job, or only says what it would do.";
        #[serde(skip)] "job.autoscaler.metrics.window" => autoscaler_window: Millis = Millis(900_000), "How long metrics are collected before each decision, and what it looks back on.";
        #[serde(skip)] "job.autoscaler.stabilization.interval" => autoscaler_stabilization: Millis = Millis(300_000), "For so long after the job began to run metrics do not count, and nothing is decided.";
        #[serde(skip)] "job.autoscaler.utilization.target" => utilization_target: Ratio = Ratio(700_000), "The share of time in which a subtask is to work.";
        #[serde(skip)] "job.autoscaler.utilization.max" => utilization_max: Option<Ratio> = None, "Above this share a vertex is scaled up; left out: the target and the boundary.";
        #[serde(skip)] "job.autoscaler.utilization.min" => utilization_min: Option<Ratio> = None, "Below this share a vertex is scaled down; left out: the target without the boundary.";
        #[serde(skip)] "job.autoscaler.target.utilization.boundary" => utilization_boundary: Ratio = Ratio(300_000), "How far from the target nothing is done, where `utilization.max` and `utilization.min` do not say.";
        #[serde(skip)] "job.autoscaler.scale-down.interval" => scale_down_interval: Millis = Millis(3_600_000), "How long a scale-down waits; the most subtasks that were wanted meanwhile are kept. 0: it does not wait.";
        #[serde(skip)] "job.autoscaler.scale-down.max-factor" => scale_down_factor: Ratio = Ratio(600_000), "The greatest share of subtasks that one scale-down takes.";
        #[serde(skip)] "job.autoscaler.scale-up.max-factor" => scale_up_factor: Amount = Amount(100_000_000_000), "How many times as many subtasks one scale-up adds at most.";
        #[serde(skip)] "job.autoscaler.vertex.min-parallelism" => vertex_min: u32 = 1, "The least parallelism that it gives a vertex.";
        #[serde(skip)] "job.autoscaler.vertex.max-parallelism" => vertex_max: u32 = 200, "The greatest parallelism that it gives a vertex.";
        #[serde(skip)] "job.autoscaler.catch-up.duration" => catch_up: Millis = Millis(1_800_000), "In which time a source's lag is to be gone after a rescaling; 0: lag does not count.";
        #[serde(skip)] "job.autoscaler.restart.time" => restart_time: Millis = Millis(300_000), "How long a restart is expected to take: what comes meanwhile is to be caught up with too.";
        #[serde(skip)] "job.autoscaler.backlog-processing.lag-threshold" => backlog_threshold: Millis = Millis(300_000), "While a source needs longer than this to read what waits, vertices may work all the time, and none is scaled down.";
        #[serde(skip)] "job.autoscaler.observed-true-processing-rate.lag-threshold" => observed_threshold: Millis = Millis(30_000), "A source with more lag than it reads in this time shows what it can do.";
        #[serde(skip)] "job.autoscaler.observed-true-processing-rate.switch-threshold" => observed_switch: Ratio = Ratio(150_000), "What it shows counts if its busy time promises so much more.";
        #[serde(skip)] "job.autoscaler.observed-true-processing-rate.min-observations" => observed_least: u32 = 2, "And if it was seen so often.";
        #[serde(skip)] "job.autoscaler.scaling.effectiveness.detection.enabled" => ineffective_blocks: bool = false, "Whether a scale-up that brought too little is not followed by another.";
        #[serde(skip)] "job.autoscaler.scaling.effectiveness.threshold" => effectiveness: Ratio = Ratio(100_000), "Too little is less than this share of what was expected.";
        #[serde(skip)] "job.autoscaler.scaling.parallelism-alignment.mode" => vertex_alignment: Alignment = Alignment::Balanced, "How parallelism is fitted to key groups or partitions: BALANCED, EVENLY_SPREAD or OFF.";
        #[serde(skip)] "kubernetes.operator.reconcile.interval" => reconcile_interval: Millis = Millis(60_000), "How often the autoscaler looks at the job.";
        #[serde(skip)] "strandline.redeploy-time" => redeploy_time: Millis = Millis(10_000), "With an autoscaler: how long the job is down between the savepoint and its new deployment, beside what savepoint and restore take.";
        "strandline.record-bytes" => record_bytes: u32 = 100, "Bytes of a serialized record.";
        "strandline.storage.bytes-per-second" => storage_speed: u64 = 100_000_000, "How fast one TaskManager reads and writes checkpoint storage.";
        "strandline.rocksdb.access-ns" => rocksdb_access_ns: u64 = 1_000, "With rocksdb: what a record costs the thread for each place that its key is looked for in, and for the write, ns.";
        "strandline.heap.copy-ns" => heap_copy_ns: u64 = 0, "With hashmap: what a snapshot costs the thread for each entry, ns.";
        #[serde(skip)] "strandline.checkpointing.every-records" => checkpoint_every: u64 = 0, "A source's subtask that has read so many records since the last checkpoint asks for one; 0: never. Flink has no such trigger.";
        #[serde(skip)] "strandline.checkpointing.coordination" => coordination: Coordination = Coordination::Barriers, "barriers: checkpoints of the whole job, as Flink takes them; none: each task takes snapshots each interval for itself, and a failure goes back to their recovery line. Flink has no such mode.";
        "strandline.sink.cost-us" => store_cost_us: u64 = 0, "What a row costs the store outside, µs.";
    }
}

crate::settings! {
    /// Properties of a `KafkaSource`.
    pub struct KafkaSourceConfig {
        "partition.discovery.interval.ms" => discovery_ms: i64 = 300_000, "How often the topic is asked for new partitions; 0 or less: when the job begins, and never again.";
        "group.id" => group_id: String = String::new(), "The group that offsets are committed to; none = no commits.";
        "commit.offsets.on.checkpoint" => commit_offsets: bool = true, "With a group: whether the positions of a checkpoint are committed when that is complete.";
    }
}

impl KafkaSourceConfig {
    /// The group that positions are committed to, if they are.
    #[must_use]
    pub fn commits_to(&self) -> Option<&str> {
        let wanted = self.commit_offsets && !self.group_id.is_empty();
        wanted.then_some(self.group_id.as_str())
    }

    /// Whether none was given.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == KafkaSourceConfig::default()
    }
}

impl JobConfig {
    /// Whether checkpoints are taken without being asked for, by time or by count.
    #[must_use]
    pub fn takes_checkpoints(&self) -> bool {
        self.checkpoint_interval.0 > 0 || self.checkpoint_every > 0
    }

    /// Whether tasks take snapshots each for itself.
    #[must_use]
    pub fn is_uncoordinated(&self) -> bool {
        self.coordination == Coordination::None
    }

    /// Whether TaskManagers keep copies of the states that they upload.
    #[must_use]
    pub fn backs_up_locally(&self) -> bool {
        self.local_backup || self.local_recovery
    }

    /// Whether tasks read such copies.
    #[must_use]
    pub fn recovers_locally(&self) -> bool {
        self.from_local || self.local_recovery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_flink_reads_them() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(Bytes::parse(text).ok().map(|it| it.0), expect, "{text}");
        };
        check("200", Some(200));
        check("64 mb", Some(64 << 20));
        check("4KB", Some(4_096));
        check("1 g", Some(1 << 30));
        for bad in ["", "mb", "-1 kb", "1.5 mb", "1 parsec", "99999999999999 gb"] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_are_read_as_flink_reads_them() {
        let check = |text: &str, expect: Option<i64>| {
            assert_eq!(Millis::parse(text).ok().map(|it| it.0), expect, "{text}");
        };
        check("200", Some(200));
        check("10 s", Some(10_000));
        check("10s", Some(10_000));
        check("1 min", Some(60_000));
        check("2h", Some(7_200_000));
        check("3 DAYS", Some(259_200_000));
        for bad in [
            "",
            "s",
            "-1 s",
            "1.5 s",
            "1 fortnight",
            "99999999999999999999",
        ] {
            check(bad, None);
        }
    }
}
