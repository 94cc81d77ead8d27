//! A job as a scenario describes it, resolved: operators by number, times in ms or ns, keys by
//! number. From this [`super::graph`] makes the execution graph.
//!
//! Follows `StreamGraph` of Flink 2.x: operators with parallelism, chaining strategy and slot
//! sharing group, and edges with a partitioner. Functions of users are a few named ones over
//! numbers. Left out: types but for those of keyed state.

mod kafka;

pub use super::keys::Keys;
pub use kafka::{KafkaSink, KafkaSource, KafkaStart};

use super::config::JobConfig;
use super::parts::StreamParts;
use super::rules::external_sort::SortSpec;
use super::rules::join::RowKind;
use super::rules::join::interval::IntervalBounds;
use super::rules::join::lookup::CacheRules;
use super::rules::join::retention::Retention;
use super::rules::join::temporal::TemporalRules;
use super::rules::join::window::JoinType;
use super::rules::pane::Timing;
use super::rules::serializer::StateSchema;
use super::rules::window::operator::Settings as WindowSettings;
use super::rules::window::trigger::TimeDomain;
use crate::kernel::Nanos;
use serde::Serialize;
use std::sync::Arc;

/// A job and the machines it runs on. Node order: JobManager, TaskManagers, checkpoint storage,
/// then one outside store for each sink in the order of the operators.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobSpec {
    /// Name of the JobManager's node.
    pub job_manager: String,
    /// The TaskManagers.
    pub task_managers: Vec<TaskManagerSpec>,
    /// Name of the node that stores checkpoints.
    pub storage: String,
    /// Settings by their real keys.
    pub config: JobConfig,
    /// The operators, each after those it reads from.
    pub operators: Vec<OperatorSpec>,
    /// Names of keys.
    pub keys: Keys,
    /// What sinks are to hold at the end.
    pub expected: Vec<ExpectedOutput>,
    /// The code that acts the job out.
    pub parts: StreamParts,
}

/// A TaskManager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TaskManagerSpec {
    /// Name of its node.
    pub name: String,
    /// `taskmanager.numberOfTaskSlots`.
    pub slots: u32,
}

/// How an operator may be chained (`ChainingStrategy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Chaining {
    /// To what is before and after it.
    #[default]
    Always,
    /// Only to what is after it.
    Head,
    /// Not at all.
    Never,
}

/// An operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OperatorSpec {
    /// Its name (its `uid`).
    pub name: String,
    /// What it does.
    pub kind: OperatorKind,
    /// Subtasks.
    pub parallelism: u32,
    /// Key groups.
    pub max_parallelism: u32,
    /// What it reads: the first input, then the second.
    pub inputs: Vec<InputSpec>,
    /// Its chaining strategy.
    pub chaining: Chaining,
    /// Its slot sharing group.
    pub slot_sharing_group: String,
    /// What a record costs its thread, ns.
    pub cost: Nanos,
}

/// Which output of an operator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub enum Output {
    /// The main one.
    #[default]
    Main,
    /// The side output for late records; of an interval join, of those of its left input.
    Late,
    /// The side output for late records of an interval join's right input.
    LateRight,
}

/// An edge into an operator. Edges with the same number are one input (a union).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InputSpec {
    /// The operator it comes from, by its number.
    pub from: u32,
    /// Which of its outputs.
    pub output: Output,
    /// 0 for the first input, 1 for the second (of a join).
    pub number: u8,
    /// How records are spread.
    pub partitioning: Partitioning,
}

/// A partitioner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Partitioning {
    /// To the subtask of the same number.
    Forward,
    /// By key group (`keyBy`).
    Hash,
    /// Round robin over all.
    Rebalance,
    /// Round robin over those nearby.
    Rescale,
    /// To all.
    Broadcast,
    /// To the first.
    Global,
    /// At random.
    Shuffle,
    /// `key number mod parallelism`, a function of the user (`partitionCustom`).
    Custom,
}

/// What an operator does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum OperatorKind {
    /// Reads from outside.
    Source(SourceSpec),
    /// One record for one.
    Map(MapFunction),
    /// Some records.
    Filter(FilterFunction),
    /// So many copies of each record.
    FlatMap {
        /// How many.
        copies: u32,
    },
    /// Gives records watermarks in mid-graph (`assignTimestampsAndWatermarks`).
    Watermarks(WatermarkSpec),
    /// Windows.
    Window(WindowSettings),
    /// Keyed state, one value put out for each record.
    Process(ProcessSpec),
    /// Two inputs put together.
    Join(JoinSpec),
    /// Writes to the outside.
    Sink(SinkSpec),
    /// Each row asks a table outside.
    Lookup(Arc<LookupSpec>),
    /// All records in order, once the input has ended.
    Sort(SortSpec),
}

impl OperatorKind {
    /// Whether it keeps one number for each key.
    #[must_use]
    pub fn holds_numbers(&self) -> bool {
        use ProcessFunction::{Count, Max, Sum};
        matches!(self, OperatorKind::Process(it) if matches!(it.function, Count | Sum | Max))
    }

    /// Whether a checkpoint holds state of it.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        match self {
            OperatorKind::Source(_)
            | OperatorKind::Window(_)
            | OperatorKind::Process(_)
            | OperatorKind::Join(_) => true,
            OperatorKind::Sink(it) => it.holds_state(),
            OperatorKind::Map(_)
            | OperatorKind::Filter(_)
            | OperatorKind::FlatMap { .. }
            | OperatorKind::Watermarks(_)
            | OperatorKind::Sort(_)
            | OperatorKind::Lookup(_) => false,
        }
    }
}

/// A map function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum MapFunction {
    /// As it is.
    Identity,
    /// value + n.
    Add(i64),
    /// value × n.
    Multiply(i64),
    /// Another key: the key's number mod n (0 makes all keys one).
    KeyModulo(u32),
    /// As [`MapFunction::Add`], in the object that it is given.
    AddInPlace(i64),
    /// As [`MapFunction::Multiply`], in the object that it is given.
    MultiplyInPlace(i64),
}

/// A filter function: which records pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum FilterFunction {
    /// value ≥ n.
    AtLeast(i64),
    /// value divisible by n.
    DivisibleBy(i64),
    /// These keys.
    Keys(Vec<super::element::Key>),
    /// About one in n, by a hash of the record: a replay takes the same ones.
    OneIn(u32),
}

/// Keyed state of a process function.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProcessSpec {
    /// What is kept and put out.
    pub function: ProcessFunction,
    /// `StateTtlConfig`: state not written for so long (processing time, ms) expires.
    pub ttl_ms: Option<i64>,
    /// Bytes of one key's state, for sizes of checkpoints.
    pub bytes_per_key: u32,
    /// What its state is written as, if that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Arc<StateSchema>>,
}

/// What a process function does with its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ProcessFunction {
    /// `ValueState`: how many records the key had so far.
    Count,
    /// `ReducingState`: the sum of values so far.
    Sum,
    /// `ReducingState`: the greatest value so far.
    Max,
    /// `MapState`: passes on the first record of each (key, value) and drops the others.
    Distinct,
    /// `ListState`: the last n values.
    Last(u32),
    /// Passes records on and fails on this value (a poison record).
    FailOn(i64),
    /// Counts the records of a key, and puts the count out when none has come for a while: by a timer.
    Silence {
        /// How long, ms.
        after: i64,
        /// By which clock.
        clock: TimeDomain,
    },
    /// `MapState`: the n greatest of the values that are there (`RetractableTopNFunction`).
    Top(u32),
    /// `ValueState`: the newest row of each key as a changelog (`ChangelogNormalize`).
    Upsert,
}

impl ProcessFunction {
    /// Whether a row that takes another back is taken out of the state, as by SQL's operators.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        use ProcessFunction::{Count, Sum, Top};
        matches!(self, Count | Sum | Top(_))
    }
}

pub(crate) fn is_zero(offset: &i64) -> bool {
    *offset == 0
}

/// A join.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum JoinSpec {
    /// Pairs within a tumbling window, ms.
    Window {
        /// Size, ms.
        size: i64,
        /// How often one begins, ms; the size if they do not overlap.
        slide: i64,
        /// How far they are shifted, ms.
        #[serde(skip_serializing_if = "is_zero")]
        offset: i64,
        /// Inner or outer.
        join: JoinType,
    },
    /// Pairs within a span of event time.
    Interval(IntervalBounds),
    /// The version of the right side that was valid at the left one's time.
    Temporal(TemporalRules),
    /// All pairs, as a changelog; state expires after so long, ms.
    Table {
        /// Inner or outer.
        join: JoinType,
        /// `table.exec.state.ttl`.
        ttl_ms: Option<i64>,
    },
    /// The right side is broadcast: a value for each key, joined to later records of the left.
    Broadcast,
    /// The version that the right side has when a row of the left comes, in processing time.
    TemporalNow {
        /// Whether left rows without a match come out too.
        left_outer: bool,
        /// How long the right side's rows may stay idle.
        retention: Retention,
    },
    /// Pairs within a session of both sides.
    Session {
        /// Silence that ends it, ms.
        gap: i64,
        /// Inner or outer.
        join: JoinType,
    },
}

/// A lookup join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LookupSpec {
    /// What the table outside says, by key and then time.
    pub rows: Vec<LookupRow>,
    /// Whether rows without a match come out too.
    pub left_outer: bool,
    /// The cache in between.
    pub cache: Option<CacheRules>,
    /// What a call costs the thread, ns.
    pub cost: Nanos,
}

/// A change of a table outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct LookupRow {
    /// Whose row it is.
    pub key: super::element::Key,
    /// From when on, ms.
    pub at: i64,
    /// What it says then; none: the row is gone.
    pub value: Option<i64>,
}

impl LookupSpec {
    /// What the table says of a key at a time, ms.
    #[must_use]
    pub fn at(&self, key: super::element::Key, now: i64) -> Option<i64> {
        let past = self
            .rows
            .partition_point(|it| (it.key, it.at) <= (key, now));
        let last = past.checked_sub(1).and_then(|at| self.rows.get(at))?;
        last.value.filter(|_| last.key == key)
    }
}

/// A source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SourceSpec {
    /// Splits; split i is read by subtask i mod parallelism.
    pub splits: Vec<SplitSpec>,
    /// Event times and watermarks.
    pub watermarks: WatermarkSpec,
    /// Which time records carry.
    pub time: SourceTime,
    /// Whether the source ends after its last record (with the final watermark).
    pub bounded: bool,
    /// Its splits are the partitions of a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Box<KafkaSource>>,
}

/// Which time a source gives its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum SourceTime {
    /// Their own.
    #[default]
    Event,
    /// The wall clock of the subtask that reads them.
    Ingestion,
    /// None.
    None,
}

/// A part of a source that is read in order and can be read again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum SplitSpec {
    /// Explicit records, in the order of their arrival.
    Records(Arc<Vec<InputRecord>>),
    /// Records made by rule.
    Generated(Generated),
    /// A partition of a topic.
    Partition,
}

impl SourceSpec {
    /// Whether a row of it may take another back.
    #[must_use]
    pub fn is_changelog(&self) -> bool {
        self.splits.iter().any(|it| match it {
            SplitSpec::Records(rows) => rows.iter().any(|it| !is_insert(&it.kind)),
            _ => false,
        })
    }
}

fn is_insert(kind: &RowKind) -> bool {
    *kind == RowKind::Insert
}

/// An explicit record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct InputRecord {
    /// When it can be read, ns of simulated time.
    pub arrives: Nanos,
    /// Its event time, ms.
    pub timestamp: i64,
    /// Its key.
    pub key: super::element::Key,
    /// Its value.
    pub value: i64,
    /// The watermark that the data set gives behind it, ms.
    pub watermark: Option<i64>,
    /// There is no record: only the watermark.
    pub only_watermark: bool,
    /// What it does in a changelog.
    #[serde(skip_serializing_if = "is_insert")]
    pub kind: RowKind,
}

/// Records made by rule; the same offset always gives the same record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Generated {
    /// Between two records, ns; never 0.
    pub gap: Nanos,
    /// The first record's arrival, ns.
    pub start: Nanos,
    /// How many.
    pub limit: Option<u64>,
    /// How many keys; drawn evenly, or by Zipf's law with this exponent in thousandths.
    pub keys: u32,
    /// Zipf's exponent in thousandths; 0 is even.
    pub skew_milli: u32,
    /// Event time = arrival − a draw from 0 to this, ms.
    pub disorder_ms: i64,
}

/// Watermarks of a source or of an operator in mid-graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct WatermarkSpec {
    /// How they are made.
    pub strategy: WatermarkStrategy,
    /// `withIdleness`, ms.
    pub idleness_ms: Option<i64>,
    /// `withWatermarkAlignment`: greatest drift, ms; all sources that name one are in one group.
    pub max_drift_ms: Option<i64>,
}

/// A watermark generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum WatermarkStrategy {
    /// None (`noWatermarks`).
    #[default]
    None,
    /// `forBoundedOutOfOrderness`, ms; 0 is `forMonotonousTimestamps`.
    Bounded(i64),
    /// At each record: its time − 1 (a punctuated generator).
    Punctuated,
    /// Those that the data set gives with its records (a punctuated generator that reads markers).
    Listed,
}

/// A sink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SinkSpec {
    /// Name of the node outside that it writes to.
    pub store: String,
    /// How.
    pub guarantee: Guarantee,
    /// Records that a writer sends in one request.
    pub batch: u32,
    /// It writes to a topic, and not to a store of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Box<KafkaSink>>,
    /// `transactionalIdPrefix`, if it is not the sink's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<String>,
}

impl SinkSpec {
    /// Whether a checkpoint holds state of it.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        matches!(
            self.guarantee,
            Guarantee::WriteAheadLog | Guarantee::ExactlyOnce { .. }
        )
    }
}

/// How a sink writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Guarantee {
    /// Records are sent and not waited for: a crash loses and repeats them.
    None,
    /// Sent records are waited for before a checkpoint is taken: a crash repeats them.
    AtLeastOnce,
    /// As `AtLeastOnce`, to a store that keeps one row for each key and window.
    Idempotent,
    /// Records wait in the sink's state until their checkpoint is complete
    /// (`GenericWriteAheadSink`).
    WriteAheadLog,
    /// Two-phase commit with the store's transactions, which time out after so long, ms.
    ExactlyOnce {
        /// `transaction.timeout.ms`.
        transaction_timeout_ms: i64,
    },
    /// Each record in one write with the position of the source that it came from, which is where
    /// the source begins again ([`super::positions`]).
    WithOffset,
}

/// What a sink is expected to hold at the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExpectedOutput {
    /// The sink's operator, by its number.
    pub sink: u32,
    /// Whether the order of rows counts too.
    pub ordered: bool,
    /// Whether the rows are all that was written, those that take others back too; otherwise they are
    /// what is left then.
    pub changelog: bool,
    /// The rows.
    pub rows: Vec<ExpectedRow>,
}

/// A row that a sink is expected to hold. What is `None` may be anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExpectedRow {
    /// Its key.
    pub key: Option<super::element::Key>,
    /// Its value.
    pub value: super::rules::window::aggregate::Value,
    /// Its value may be anything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_value: bool,
    /// The value of the other side of a join.
    pub right: Option<super::rules::window::aggregate::Value>,
    /// Start and end of its window, ms.
    pub window: Option<(i64, i64)>,
    /// Its event time, ms.
    pub timestamp: Option<i64>,
    /// What it does.
    pub kind: Option<RowKind>,
    /// How many results of the same key and window were written before it.
    pub pane: Option<u32>,
    /// When its window said it.
    pub timing: Option<Timing>,
}
