//! The `[stream]` section as it stands in the document.

use super::expected_words::{KindWord, RawOutput};
use super::items::{KeyName, Millis, Names, Rows, TaskManagers};
use super::window_words::{
    Accumulation, AggregateWord, ClockWord, LateWord, RawAssigner, RawEvictor, RawTrigger,
};
use crate::scenario::{At, Config, Milli, Rate, Time, choice, document};
use crate::stream::config::{JobConfig, KafkaSourceConfig};
use crate::stream::rules::join::window::JoinType;
use crate::stream::spec::{Chaining, Partitioning};
use std::ops::Range;

document! {
    /// A job of a stream processor (Apache Flink) with the machines that it runs on.
    pub(crate) struct RawStream {
        "task-managers" => task_managers: TaskManagers, optional, "How many TaskManagers (named tm1, tm2, …), or their names, or a table of names and slots (default 1).";
        "slots" => slots: u32, optional, "Slots of each TaskManager (taskmanager.numberOfTaskSlots, default 1).";
        "job-manager" => job_manager: String, optional, "Name of the JobManager (default jm).";
        "storage" => storage: String, optional, "Name of the node that checkpoints are stored on (default checkpoints).";
        "parallelism" => parallelism: u32, optional, "Subtasks of each operator that does not say otherwise (parallelism.default, default 1).";
        "max-parallelism" => max_parallelism: u32, optional, "Key groups (pipeline.max-parallelism); left out, by each operator's parallelism as in Flink: 128 at least.";
        "config" => config: Config<JobConfig>, optional, "Settings of the job and its machines, by Flink's own keys.";
        "source" => sources: Vec<At<RawSource>>, optional, "Where records come from.";
        "map" => maps: Vec<At<RawMap>>, optional, "One record for one.";
        "filter" => filters: Vec<At<RawFilter>>, optional, "Some of the records.";
        "flat-map" => flat_maps: Vec<At<RawFlatMap>>, optional, "Several records for one.";
        "watermarks" => watermarks: Vec<At<RawWatermarks>>, optional, "Watermarks in mid-graph (assignTimestampsAndWatermarks).";
        "window" => windows: Vec<At<RawWindow>>, optional, "Windows over each key.";
        "process" => processes: Vec<At<RawProcess>>, optional, "Keyed state that each record reads and writes.";
        "sort" => sorts: Vec<At<RawSort>>, optional, "All records of a bounded input in order, once it has ended.";
        "join" => joins: Vec<At<RawJoin>>, optional, "Two inputs put together.";
        "sink" => sinks: Vec<At<RawSink>>, optional, "Where records go.";
        "expect" => expected: Vec<At<RawOutput>>, optional, "What sinks are to hold at the end: judged as job.output-as-expected, unless an expectation asks for that.";
    }
}

/// The keys that operators have alike.
pub(super) struct Common<'d> {
    pub(super) name: Option<&'d At<String>>,
    pub(super) input: Option<&'d At<Names>>,
    pub(super) parallelism: Option<&'d At<u32>>,
    pub(super) max_parallelism: Option<&'d At<u32>>,
    pub(super) partition: Option<&'d At<Partition>>,
    pub(super) key_by: Option<&'d At<bool>>,
    pub(super) chaining: Option<&'d At<ChainingWord>>,
    pub(super) group: Option<&'d At<String>>,
    pub(super) cost: Option<&'d At<Time>>,
    /// The whole table.
    pub(super) span: Range<usize>,
}

/// Declares the table of an operator: its own keys, and those that operators have alike.
macro_rules! operator {
    ($need:ident, $(#[doc = $doc:literal])+ pub(crate) struct $name:ident { $($own:tt)* }) => {
        document! {
            $(#[doc = $doc])+
            pub(crate) struct $name {
                "name" => name: String, required, "Its name (its uid).";
                "input" => input: Names, $need, "The operator it reads from, or a list of them (a union); NAME.late is what came too late for the window NAME, NAME.late-left and NAME.late-right for the interval join NAME.";
                $($own)*
                "parallelism" => parallelism: u32, optional, "Its subtasks (default that of [stream]).";
                "max-parallelism" => max_parallelism: u32, optional, "Its key groups (default that of [stream]).";
                "partition" => partition: Partition, optional, "How records are spread over its subtasks (default: hash where it needs a key, else forward at equal parallelism, else rebalance).";
                "key-by" => key_by: bool, optional, "The same as partition = \"hash\" (keyBy).";
                "chaining" => chaining: ChainingWord, optional, "Whether it may run in one task with what is before and after it (default always).";
                "slot-sharing-group" => group: String, optional, "Its slot sharing group (default that of its inputs, or default).";
                "cost" => cost: Time, optional, "What a record costs its thread (default 0s).";
            }
        }

        impl $name {
            /// The keys that operators have alike.
            pub(super) fn common(&self, span: &Range<usize>) -> Common<'_> {
                Common {
                    name: self.name.as_ref(),
                    input: self.input.as_ref(),
                    parallelism: self.parallelism.as_ref(),
                    max_parallelism: self.max_parallelism.as_ref(),
                    partition: self.partition.as_ref(),
                    key_by: self.key_by.as_ref(),
                    chaining: self.chaining.as_ref(),
                    group: self.group.as_ref(),
                    cost: self.cost.as_ref(),
                    span: span.clone(),
                }
            }
        }
    };
}

choice! {
    /// How records are spread.
    pub(crate) enum Partition {
        "forward" => Forward, "To the subtask of the same number.";
        "hash" => Hash, "By key group (keyBy).";
        "rebalance" => Rebalance, "Round robin over all.";
        "rescale" => Rescale, "Round robin over those nearby.";
        "broadcast" => Broadcast, "To all.";
        "global" => Global, "To the first.";
        "shuffle" => Shuffle, "At random.";
        "custom" => Custom, "By a function of the user: the key's number modulo the subtasks.";
    }
}

impl Partition {
    pub(super) fn rule(self) -> Partitioning {
        match self {
            Partition::Forward => Partitioning::Forward,
            Partition::Hash => Partitioning::Hash,
            Partition::Rebalance => Partitioning::Rebalance,
            Partition::Rescale => Partitioning::Rescale,
            Partition::Broadcast => Partitioning::Broadcast,
            Partition::Global => Partitioning::Global,
            Partition::Shuffle => Partitioning::Shuffle,
            Partition::Custom => Partitioning::Custom,
        }
    }
}

choice! {
    /// How an operator may be chained.
    pub(crate) enum ChainingWord {
        "always" => Always, "To what is before and after it.";
        "head" => Head, "Only to what is after it (startNewChain).";
        "never" => Never, "Not at all (disableChaining).";
    }
}

impl ChainingWord {
    pub(super) fn rule(self) -> Chaining {
        match self {
            ChainingWord::Always => Chaining::Always,
            ChainingWord::Head => Chaining::Head,
            ChainingWord::Never => Chaining::Never,
        }
    }
}

choice! {
    /// Where a source begins to read a topic.
    pub(crate) enum StartingWord {
        "earliest" => Earliest, "At the start of each partition.";
        "latest" => Latest, "At the end of each partition.";
        "committed" => Committed, "Where the group has come to.";
    }
}

choice! {
    /// What a source does that has no position, or none within the log.
    pub(crate) enum ResetWord {
        "earliest" => Earliest, "It goes on at the start of the partition.";
        "latest" => Latest, "It goes on at its end.";
        "none" => None, "It fails.";
    }
}

choice! {
    /// Which records of transactions a source reads.
    pub(crate) enum IsolationWord {
        "read_uncommitted" => Uncommitted, "All.";
        "read_committed" => Committed, "Those of committed transactions.";
    }
}

document! {
    /// A source of records.
    pub(crate) struct RawSource {
        "name" => name: String, required, "Its name (its uid).";
        "records" => records: Rows<RawRecord>, optional, "Its records, one by one: a list of tables, or a text table.";
        "load" => load: RawStreamLoad, optional, "Records made by rule.";
        "splits" => splits: u32, optional, "Its splits, as a topic has partitions (default 1, or as many as the records name).";
        "split" => split: Vec<At<RawSplit>>, optional, "Its splits one by one, in place of `records` and `load`.";
        "kafka" => kafka: String, optional, "The topic of [kafka] that it reads (KafkaSource), in place of `records` and `load`: its splits are the partitions.";
        "starting-offsets" => starting: StartingWord, optional, "With kafka: where it begins unless a checkpoint says so (OffsetsInitializer, default earliest).";
        "start-offset" => start: u64, optional, "With kafka, in place of starting-offsets: the offset that it begins at in each partition (OffsetsInitializer.offsets).";
        "auto-offset-reset" => reset: ResetWord, optional, "With start-offset (default earliest) or committed offsets (default none): what happens where there is no such offset.";
        "isolation-level" => isolation: IsolationWord, optional, "With kafka: isolation.level (default read_uncommitted).";
        "config" => config: Config<KafkaSourceConfig>, optional, "With kafka: properties of the KafkaSource, by the connector's own keys.";
        "watermark" => watermark: RawWatermark, optional, "How watermarks are made (default kind = \"none\").";
        "time" => time: TimeWord, optional, "Which time records carry (default event).";
        "bounded" => bounded: bool, optional, "Whether the source ends after its last record (default true if it has a last one).";
        "parallelism" => parallelism: u32, optional, "Its subtasks (default that of [stream]).";
        "max-parallelism" => max_parallelism: u32, optional, "Its key groups (default that of [stream]).";
        "chaining" => chaining: ChainingWord, optional, "Whether it may run in one task with what is after it (default always).";
        "slot-sharing-group" => group: String, optional, "Its slot sharing group (default default).";
        "cost" => cost: Time, optional, "What a record costs its thread (default 0s).";
    }
}

impl RawSource {
    pub(super) fn common(&self, span: &Range<usize>) -> Common<'_> {
        Common {
            name: self.name.as_ref(),
            input: None,
            parallelism: self.parallelism.as_ref(),
            max_parallelism: self.max_parallelism.as_ref(),
            partition: None,
            key_by: None,
            chaining: self.chaining.as_ref(),
            group: self.group.as_ref(),
            cost: self.cost.as_ref(),
            span: span.clone(),
        }
    }
}

document! {
    /// A part of a source that is read in order.
    pub(crate) struct RawSplit {
        "records" => records: Rows<RawRecord>, optional, "Its records, one by one: a list of tables, or a text table.";
        "load" => load: RawStreamLoad, optional, "Records made by rule.";
    }
}

document! {
    /// A record of a source.
    pub(crate) struct RawRecord {
        "split" => split: u32, optional, "The split it stands in (default 0).";
        "at" => at: Time, optional, "When it can be read (default: together with the one above it in its split).";
        "ts" => ts: Millis, optional, "Its event time (default: when it can be read).";
        "key" => key: KeyName, optional, "Its key (default none).";
        "value" => value: i64, optional, "Its value (default 1).";
        "kind" => kind: KindWord, optional, "What it does if the source is a changelog (default +I); a tombstone is -D.";
        "watermark" => watermark: Millis, optional, "With watermark kind = \"listed\": the watermark behind it; a line with nothing else but `at` and `split` is no record.";
    }
}

document! {
    /// Records made by rule; the same seed gives the same records.
    pub(crate) struct RawStreamLoad {
        "rate" => rate: Rate, optional, "Records per second over all splits, e.g. 250, or \"30/min\".";
        "gap" => gap: Time, optional, "The time between two records, in place of `rate`.";
        "keys" => keys: u32, optional, "How many keys, named key-0, key-1, … (default: records have no key).";
        "zipf" => zipf: Milli, optional, "Key k has weight 1/(k+1)^zipf (default 0: all alike).";
        "disorder" => disorder: Millis, optional, "A record's event time lies before its arrival by a draw from 0 to this (default 0s).";
        "start" => start: Time, optional, "First record at this time (default 0s).";
        "limit" => limit: u64, optional, "So many records, and no more.";
    }
}

document! {
    /// How watermarks are made.
    pub(crate) struct RawWatermark {
        "kind" => kind: WatermarkKind, required, "The generator.";
        "bound" => bound: Millis, optional, "With bounded: how late records may be.";
        "idleness" => idleness: Millis, optional, "Silent for so long, it no longer holds others back (withIdleness).";
        "max-drift" => max_drift: Millis, optional, "It reads no further than this ahead of the other sources that say so (withWatermarkAlignment).";
    }
}

choice! {
    /// A generator of watermarks.
    pub(crate) enum WatermarkKind {
        "bounded" => Bounded, "The greatest time so far − bound − 1 ms (forBoundedOutOfOrderness).";
        "ascending" => Ascending, "The greatest time so far − 1 ms (forMonotonousTimestamps).";
        "punctuated" => Punctuated, "At each record: its time − 1 ms.";
        "listed" => Listed, "Those that the records bring themselves, in `watermark`.";
        "none" => None, "None (noWatermarks).";
    }
}

choice! {
    /// Which time a source gives its records.
    pub(crate) enum TimeWord {
        "event" => Event, "Their own.";
        "ingestion" => Ingestion, "The wall clock of the subtask that reads them.";
        "none" => None, "None.";
    }
}

operator! { required,
    /// One record for one.
    pub(crate) struct RawMap {
        "function" => function: MapWord, optional, "What it does (default identity).";
        "n" => n: i64, optional, "The number of the function.";
        "in-place" => in_place: bool, optional, "Whether add and multiply change the object that they are given, in place of making another (default false): with pipeline.object-reuse whoever holds it sees that.";
    }
}

choice! {
    /// A map function.
    pub(crate) enum MapWord {
        "identity" => Identity, "The record as it is.";
        "add" => Add, "value + n.";
        "multiply" => Multiply, "value × n.";
        "key-modulo" => KeyModulo, "Another key: the number of the key modulo n; n = 0 makes all keys one.";
    }
}

operator! { required,
    /// Some of the records.
    pub(crate) struct RawFilter {
        "at-least" => at_least: i64, optional, "Those whose value is this or more.";
        "divisible-by" => divisible_by: i64, optional, "Those whose value is divisible by this.";
        "keys" => keys: Vec<At<KeyName>>, optional, "Those with one of these keys.";
        "one-in" => one_in: u32, optional, "About one in so many, by a hash of key, value and time: a sample. A replay takes the same ones.";
    }
}

operator! { required,
    /// Several records for one.
    pub(crate) struct RawFlatMap {
        "copies" => copies: u32, required, "How many.";
    }
}

operator! { required,
    /// All records of a bounded input in order (`sortPartition`).
    pub(crate) struct RawSort {
        "by" => by: SortWord, optional, "What they are sorted by (default value).";
        "descending" => descending: bool, optional, "The greatest first (default false).";
    }
}

choice! {
    /// What records are sorted by.
    pub(crate) enum SortWord {
        "value" => Value, "Their value.";
        "time" => Time, "Their event time.";
        "key" => Key, "The number of their key: keys have numbers in the order of their first appearance in the file.";
    }
}

operator! { required,
    /// Watermarks in mid-graph.
    pub(crate) struct RawWatermarks {
        "watermark" => watermark: RawWatermark, required, "How they are made.";
    }
}

operator! { required,
    /// Windows over each key.
    pub(crate) struct RawWindow {
        "window" => window: RawAssigner, required, "Which windows there are.";
        "time" => time: ClockWord, optional, "By which clock they are (default event).";
        "trigger" => trigger: RawTrigger, optional, "When they speak (default: at their end; global windows: never).";
        "accumulation" => accumulation: Accumulation, optional, "What a window keeps when it has spoken (default accumulating).";
        "empty-panes" => empty: bool, optional, "Whether a window that kept nothing speaks at its end all the same (default false).";
        "evictor" => evictor: RawEvictor, optional, "What leaves a window when it speaks.";
        "allowed-lateness" => lateness: Millis, optional, "How long after its end a window still takes records (default 0s).";
        "late" => late: LateWord, optional, "What becomes of records that are too late (default drop).";
        "aggregate" => aggregate: AggregateWord, optional, "What a window says of its records (default sum).";
    }
}

operator! { required,
    /// Keyed state that each record reads and writes, and one record put out for it.
    pub(crate) struct RawProcess {
        "function" => function: ProcessWord, required, "What is kept and put out.";
        "n" => n: i64, optional, "The number of the function.";
        "timeout" => timeout: Millis, optional, "With count-with-timeout: how long a key must be silent.";
        "time" => time: ClockWord, optional, "With count-with-timeout: by which clock (default event).";
        "ttl" => ttl: Millis, optional, "State not written for so long (processing time) expires (StateTtlConfig; default never).";
        "bytes-per-key" => bytes: u32, optional, "Bytes of a key's state, for the size of checkpoints (default 64).";
        "state" => state: String, optional, "What its state is written as, e.g. \"pojo Turnover { sum: long, orders: int }\": serializer, class and fields (with `KEY ->` before it, that of the key).";
    }
}

choice! {
    /// What a process function does with its state.
    pub(crate) enum ProcessWord {
        "count" => Count, "ValueState: how many records the key had so far.";
        "sum" => Sum, "ReducingState: the sum of the values so far.";
        "max" => Max, "ReducingState: the greatest value so far.";
        "distinct" => Distinct, "MapState: only the first record of each key and value passes.";
        "last" => Last, "ListState: the last n values.";
        "top" => Top, "MapState: the n greatest of the values that are there, the greatest first; a row that is taken back leaves.";
        "upsert" => Upsert, "ValueState: the newest row of each key as a changelog (ChangelogNormalize): another one takes it back, a row of kind -D or -U deletes it.";
        "fail-on" => FailOn, "Passes records on and throws an exception at the value n (a poison record).";
        "count-with-timeout" => CountWithTimeout, "Counts a key's records, and puts the count out when none has come for a while, by a timer.";
    }
}

operator! { optional,
    /// Two inputs put together.
    pub(crate) struct RawJoin {
        "left" => left: Names, optional, "The left input; in place of input = [left, right].";
        "right" => right: Names, optional, "The right input.";
        "kind" => kind: JoinKind, required, "How rows meet.";
        "time" => time: ClockWord, optional, "With temporal: event (default), the version that was valid at the left row's time; processing, the version of the moment (a table by its changelog).";
        "table" => table: Rows<RawLookupRow>, optional, "With lookup: what the table outside says, and from when on.";
        "cache" => cache: RawCache, optional, "With lookup: the cache before the table (lookup.cache = PARTIAL; default none).";
        "lookup-cost" => lookup_cost: Time, optional, "With lookup: what a question to the table costs the thread (default 0s).";
        "type" => join_type: JoinTypeWord, optional, "What comes out besides pairs, or instead of them (default inner).";
        "size" => size: Millis, optional, "With window: length of the windows; or a gap.";
        "slide" => slide: Millis, optional, "With window: one begins this often (default: its size).";
        "offset" => offset: Millis, optional, "With window: how far the windows are shifted (default 0s).";
        "gap" => gap: Millis, optional, "With window, in place of size: silence of both sides that ends a session.";
        "lower" => lower: Millis, optional, "With interval: the right row is at least this much after the left one (may be negative).";
        "upper" => upper: Millis, optional, "With interval: the right row is at most this much after the left one.";
        "lower-exclusive" => lower_exclusive: bool, optional, "With interval: the lower bound itself does not pair (default false).";
        "upper-exclusive" => upper_exclusive: bool, optional, "With interval: the upper bound itself does not pair (default false).";
        "ttl" => ttl: Millis, optional, "With table and temporal: state that is idle for so long expires (table.exec.state.ttl; default never).";
    }
}

choice! {
    /// How rows of two inputs meet.
    pub(crate) enum JoinKind {
        "window" => Window, "Pairs within a tumbling or sliding window, or within a session.";
        "interval" => Interval, "Pairs within a span of event time.";
        "temporal" => Temporal, "The version of the right row that was valid at the left one's time.";
        "table" => Table, "All pairs, as a changelog.";
        "broadcast" => Broadcast, "The right input goes to all subtasks: a value for each key, joined to later records of the left.";
        "lookup" => Lookup, "What a table outside says of the row's key, by a question for each row, or out of a cache.";
    }
}

document! {
    /// A row of a table outside.
    pub(crate) struct RawLookupRow {
        "at" => at: Millis, optional, "From when on, in simulated time (default 0s).";
        "key" => key: KeyName, required, "Its key.";
        "value" => value: i64, optional, "What it says from then on (left out: there is no such row any more).";
    }
}

document! {
    /// A cache before a table outside; something must bound it.
    pub(crate) struct RawCache {
        "max-rows" => max_rows: u32, optional, "So many keys; the one used longest ago goes first (lookup.partial-cache.max-rows).";
        "expire-after-write" => write: Millis, optional, "An answer is good for so long (lookup.partial-cache.expire-after-write).";
        "expire-after-access" => access: Millis, optional, "An answer is good for so long after it was last used (lookup.partial-cache.expire-after-access).";
        "cache-missing-key" => missing: bool, optional, "Whether it is kept that the table has no row (lookup.partial-cache.cache-missing-key, default true).";
    }
}

choice! {
    /// What a join puts out.
    pub(crate) enum JoinTypeWord {
        "inner" => Inner, "Pairs alone.";
        "left" => Left, "And left rows without a match.";
        "right" => Right, "And right rows without a match.";
        "full" => Full, "And rows of both sides without a match.";
        "semi" => Semi, "Left rows that have a match, once each.";
        "anti" => Anti, "Left rows that have none.";
    }
}

impl JoinTypeWord {
    pub(super) fn rule(self) -> JoinType {
        match self {
            JoinTypeWord::Inner => JoinType::Inner,
            JoinTypeWord::Left => JoinType::Left,
            JoinTypeWord::Right => JoinType::Right,
            JoinTypeWord::Full => JoinType::Full,
            JoinTypeWord::Semi => JoinType::Semi,
            JoinTypeWord::Anti => JoinType::Anti,
        }
    }
}

operator! { required,
    /// A sink, which writes to a store outside that is a node of its own, or to a topic.
    pub(crate) struct RawSink {
        "guarantee" => guarantee: GuaranteeWord, optional, "How it writes (default at-least-once).";
        "transaction-timeout" => timeout: Millis, optional, "With exactly-once: the store aborts a transaction that is open for so long (transaction.timeout.ms, default 1h).";
        "transactional-id-prefix" => id_prefix: String, optional, "With exactly-once: what its transactional ids begin with (setTransactionalIdPrefix, default the sink's name).";
        "store" => store: String, optional, "Name of the node that it writes to (default NAME-store).";
        "batch" => batch: u32, optional, "Most rows of one request (default 100).";
        "kafka" => kafka: String, optional, "The topic of [kafka] that it writes to (KafkaSink), in place of a store of its own.";
    }
}

choice! {
    /// How a sink writes.
    pub(crate) enum GuaranteeWord {
        "none" => None, "Rows are sent and not waited for: a crash loses some and repeats others.";
        "at-least-once" => AtLeastOnce, "Rows are waited for before a checkpoint is taken: a crash repeats some.";
        "idempotent" => Idempotent, "The same, to a store that keeps one row for each key and window.";
        "write-ahead-log" => WriteAheadLog, "Rows wait in the sink's state until their checkpoint is complete (GenericWriteAheadSink).";
        "exactly-once" => ExactlyOnce, "Two-phase commit with transactions of the store.";
        "with-offset" => WithOffset, "Each row in one write with the position it came from; sources begin where the store says, with or without checkpoints.";
    }
}
