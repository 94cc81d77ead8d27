//! The plain data of a stream processor's job: its graph with subtasks and channels, checkpoints,
//! the stores outside, and the plot of event time against processing time.

use super::{StateTree, Tone};
use serde::Serialize;

/// A time of the event clock, ms; `None` before there is one. The greatest number is the end of all
/// time: the watermark of a stream that has ended.
pub type EventTime = Option<i64>;

/// A job at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct JobView {
    /// The job's state, by Flink's word (`JobStatus`).
    pub status: &'static str,
    /// How that state is to be taken.
    pub tone: Tone,
    /// The attempt that runs, from 1.
    pub attempt: u32,
    /// TaskManagers that are registered, and how many there are.
    pub task_managers: (u32, u32),
    /// Event time plays a part in it.
    pub timed: bool,
    /// Vertices of the execution graph, each after those it reads from.
    pub vertices: Vec<VertexView>,
    /// Edges between them.
    pub edges: Vec<JobEdge>,
    /// Checkpoints.
    pub checkpoints: CheckpointsView,
    /// The stores outside, one for each sink.
    pub stores: Vec<JobStore>,
    /// The topics that sources read and sinks write to.
    pub topics: Vec<JobTopic>,
}

/// A chain of operators with its subtasks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VertexView {
    /// Its number.
    pub number: u16,
    /// Its operators, joined by arrows.
    pub name: String,
    /// What the head does, e.g. `window`.
    pub kind: &'static str,
    /// Length of the longest way from a source to it.
    pub depth: u32,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The first of them.
    pub subtasks: Vec<SubtaskView>,
}

/// An edge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobEdge {
    /// The sending vertex.
    pub from: u16,
    /// The receiving vertex.
    pub to: u16,
    /// How records are spread, by Flink's word.
    pub partitioning: &'static str,
    /// It carries what came too late, and not the main output.
    pub late: bool,
}

/// A subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SubtaskView {
    /// Its vertex.
    pub vertex: u16,
    /// Its number, from 1.
    pub number: u32,
    /// The TaskManager that it runs on: node and name.
    pub task_manager: Option<(u32, String)>,
    /// Its state, by Flink's word (`ExecutionState`).
    pub state: &'static str,
    /// It runs at its TaskManager.
    pub runs: bool,
    /// Its counters are known: it runs, or has ended on a TaskManager that still does.
    pub counted: bool,
    /// What its thread does: idle, busy, or backpressured; empty where it does not run.
    pub doing: &'static str,
    /// Share of its time that it was idle, busy and backpressured in this attempt, in millionths.
    pub time_ppm: (u32, u32, u32),
    /// How long it was idle, busy and backpressured in this attempt, ns.
    pub spent_ns: (u64, u64, u64),
    /// Its watermark, ms.
    pub watermark: EventTime,
    /// Records that it was handed (of a source: read) in this attempt.
    pub records_in: u64,
    /// Records that it put out in this attempt.
    pub records_out: u64,
    /// Records that came too late and were dropped, in this attempt.
    pub late_dropped: u64,
    /// Of one of several subtasks whose input is partitioned by key: the key groups that it owns,
    /// first and last.
    pub key_groups: Option<(u32, u32)>,
    /// Keys, windows or rows that it keeps.
    pub state_entries: u64,
    /// About how many bytes they take in a checkpoint.
    pub state_bytes: u64,
    /// Keyed state that lies in files: a tree for each operator that has one.
    pub trees: Vec<StateTree>,
    /// Of a source: records that have arrived and were not read.
    pub backlog: Option<u64>,
    /// Of a source: its splits.
    pub splits: Vec<SplitView>,
    /// Its input channels.
    pub channels: Vec<ChannelView>,
    /// Its open windows, the first of them.
    pub windows: Vec<WindowBox>,
    /// There are more windows.
    pub more_windows: bool,
    /// Windows that were purged a short while ago, the newest first.
    pub purged: Vec<PurgedBox>,
    /// The key of the record that it works on.
    pub in_hand: Option<String>,
    /// The checkpoint under way here, and what it waits for.
    pub checkpoint: Option<(i64, &'static str)>,
    /// Of a sink with transactions: those that it holds.
    pub transactions: Vec<HeldTransaction>,
}

/// A split of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SplitView {
    /// Its number.
    pub number: u16,
    /// Its next offset.
    pub offset: u64,
    /// Its own watermark, ms.
    pub watermark: EventTime,
    /// It is idle, and holds no watermark back.
    pub idle: bool,
}

/// A channel, from the sender's queue to the receiver's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChannelView {
    /// The edge that it belongs to.
    pub edge: u16,
    /// The sending vertex and the number of its subtask, from 1.
    pub from: (u16, u32),
    /// Buffers that wait at the sender.
    pub waiting: u32,
    /// The most that may wait there before the sender takes no more.
    pub waiting_max: u32,
    /// Elements in the buffer that the sender fills.
    pub filling: u32,
    /// Buffers that the receiver has room for, as the sender knows.
    pub credit: u32,
    /// Checkpoints whose barriers wait at the sender.
    pub barriers_waiting: Vec<i64>,
    /// What crosses the network now.
    pub crossing: Vec<Crossing>,
    /// Buffers that wait at the receiver.
    pub queued: u32,
    /// Buffers that the receiver can hold of this channel alone.
    pub queued_max: u32,
    /// Records in them.
    pub records: u32,
    /// Checkpoints whose barriers wait at the receiver.
    pub barriers: Vec<i64>,
    /// What waits at the receiver, oldest first: the checkpoint of a barrier, or `None` for a buffer.
    /// Cut.
    pub line: Vec<Option<i64>>,
    /// The same at the sender.
    pub line_waiting: Vec<Option<i64>>,
    /// Its barrier has come and those of others have not: nothing of it is read.
    pub held: bool,
    /// Its watermark, ms.
    pub watermark: EventTime,
}

/// A buffer or a barrier on its way between two machines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Crossing {
    /// Of a barrier: which checkpoint.
    pub barrier: Option<i64>,
    /// Records in it.
    pub records: u32,
    /// The newest watermark in it, ms.
    pub watermark: EventTime,
    /// How far it has come, in millionths of its time.
    pub progress_ppm: u32,
}

/// An open window of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowBox {
    /// The key.
    pub key: String,
    /// Number of the key, for its colour.
    pub key_number: u32,
    /// First moment, ms.
    pub start: i64,
    /// The moment after the last, ms.
    pub end: i64,
    /// What it would say now.
    pub value: String,
    /// It has spoken, and is kept for late records.
    pub fired: bool,
}

/// A window of a key that was purged: a mark that stays for a while, and then goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PurgedBox {
    /// The key.
    pub key: String,
    /// Number of the key, for its colour.
    pub key_number: u32,
    /// First moment, ms.
    pub start: i64,
    /// The moment after the last, ms.
    pub end: i64,
    /// When it was purged, ns.
    pub at: u64,
    /// When its mark goes, ns.
    pub until: u64,
    /// The watermark then, ms.
    pub watermark: EventTime,
    /// Why, in words.
    pub why: String,
}

/// A transaction as a sink's writer holds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeldTransaction {
    /// `transactional.id`.
    pub id: String,
    /// Rows sent in it.
    pub rows: u32,
    /// Open, pre-committed, or being committed.
    pub phase: &'static str,
    /// The checkpoint that it was pre-committed for.
    pub checkpoint: Option<i64>,
}

/// The checkpoints of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CheckpointsView {
    /// Those under way, by id.
    pub under_way: Vec<CheckpointUnderWay>,
    /// Completed ones that are kept, newest first.
    pub completed: Vec<CheckpointDone>,
    /// The newest that failed, newest first.
    pub failed: Vec<CheckpointFailed>,
    /// How many were completed, and failed, in this life of the JobManager.
    pub counts: (u64, u64),
    /// Where nobody coordinates them: snapshots that tasks took for themselves, and those of them that
    /// recovery lines have made useless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<(u64, u64)>,
    /// States that the storage keeps, and their bytes.
    pub stored: (u64, u64),
    /// `execution.checkpointing.interval`, ms; zero takes none by itself.
    pub interval_ms: i64,
}

/// A checkpoint under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckpointUnderWay {
    /// Its id.
    pub id: i64,
    /// When it was triggered, ns.
    pub since: u64,
    /// Tasks that have acknowledged it.
    pub acknowledged: u32,
    /// Tasks that have to.
    pub tasks: u32,
    /// The first of those that have not, and what each waits for.
    pub waiting: Vec<(String, &'static str)>,
    /// How far the first tasks are, by vertex and subtask.
    pub each: Vec<SnapshotView>,
}

/// A task's part of a checkpoint under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SnapshotView {
    /// Its vertex and the number of its subtask, from 1.
    pub task: (u16, u32),
    /// What it waits for, or where its snapshot is.
    pub stage: &'static str,
    /// Size of the snapshot, bytes; zero before it is known.
    pub bytes: u64,
    /// On its way to the storage: how far, in millionths.
    pub progress_ppm: Option<u32>,
}

/// A completed checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckpointDone {
    /// Its id.
    pub id: i64,
    /// A savepoint.
    pub savepoint: bool,
    /// When it was complete, ns.
    pub at: u64,
    /// How long it took, ns.
    pub took: u64,
    /// Bytes of all its states.
    pub bytes: u64,
    /// Bytes that were written for it: fewer with incremental checkpoints.
    pub uploaded: u64,
    /// Bytes of overtaken buffers in it.
    pub in_flight_bytes: u64,
    /// Longest alignment of a task, ms.
    pub alignment_ms: i64,
    /// A task took it unaligned.
    pub unaligned: bool,
}

/// A checkpoint that failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckpointFailed {
    /// Its id.
    pub id: i64,
    /// A savepoint.
    pub savepoint: bool,
    /// When it was given up, ns.
    pub at: u64,
    /// How long it was under way, ns.
    pub took: u64,
    /// Why, by Flink's word (`CheckpointFailureReason`).
    pub reason: &'static str,
    /// Tasks that had acknowledged it.
    pub acknowledged: u32,
    /// Tasks that had to.
    pub tasks: u32,
}

/// What a sink has written, outside of the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobStore {
    /// Its node.
    pub node: u32,
    /// Its name.
    pub name: String,
    /// The sink's name.
    pub sink: String,
    /// How the sink writes, by Flink's word.
    pub guarantee: &'static str,
    /// The newest rows, in the order in which they were written.
    pub rows: Vec<JobRow>,
    /// Number of the first of them: so many older ones are not shown.
    pub first: u64,
    /// All rows, whatever became of them.
    pub total: u64,
    /// Rows that a reader with `read_committed` sees.
    pub visible: u64,
    /// Transactions that are open, committed and aborted.
    pub transactions: (u64, u64, u64),
    /// Requests that wait.
    pub waiting: u64,
}

/// A topic that a source of the job reads or a sink writes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobTopic {
    /// Its name.
    pub name: String,
    /// The operator that reads or writes it.
    pub operator: String,
    /// The vertex of that operator.
    pub vertex: u16,
    /// It is written to by a sink; else it is read by a source.
    pub sink: bool,
    /// Its rows may be part of transactions, or its reader looks at the last stable offset.
    pub stable_matters: bool,
    /// How many partitions it has.
    pub many: u32,
    /// The first of them.
    pub partitions: Vec<JobPartition>,
}

/// A partition of such a topic, as its leader has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobPartition {
    /// Its number.
    pub number: u16,
    /// The leader: node and name; none while there is none that runs.
    pub leader: Option<(u32, String)>,
    /// Log start offset; none while there is no leader.
    pub start: Option<i64>,
    /// Log end offset.
    pub end: Option<i64>,
    /// High watermark.
    pub high_watermark: Option<i64>,
    /// Last stable offset (LSO).
    pub stable: Option<i64>,
    /// Of a source: the offset of the next record that it hands on.
    pub position: Option<u64>,
    /// Of a source: the offset in the newest completed checkpoint, where a restore goes back to.
    pub checkpointed: Option<u64>,
    /// Of a source: the subtask that reads it, its number from 1.
    pub reader: Option<u32>,
}

/// A row of a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JobRow {
    /// The key.
    pub key: String,
    /// Number of the key, for its colour.
    pub key_number: u32,
    /// The value.
    pub value: String,
    /// The window it is the result of, ms.
    pub window: Option<(i64, i64)>,
    /// `committed`, `open`, `aborted` or `deleted`.
    pub state: &'static str,
    /// A reader with `read_committed` sees it.
    pub visible: bool,
    /// Number of its transaction.
    pub transaction: Option<u32>,
}

/// Event time against processing time: what became of records at the operator that judges them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct EventTimePlot {
    /// The operator's name; empty if none judges by time. It may be asked for: else it is the first
    /// that judges by event time.
    pub operator: String,
    /// The operator's number in the job, once that is known.
    pub number: Option<u32>,
    /// All operators that could be shown: name, and whether they judge by event time.
    pub judges: Vec<(String, bool)>,
    /// It judges by event time: else records are never late.
    pub by_event_time: bool,
    /// The stretch of processing time that was looked at, ns.
    pub from: u64,
    /// Its end: now.
    pub to: u64,
    /// The newest records, in the order in which they were judged.
    pub records: Vec<PlotRecord>,
    /// Records before them that are not listed.
    pub hidden: u64,
    /// The watermark of each subtask: its number from 1, and (when, ns; watermark, ms).
    pub watermarks: Vec<(u32, Vec<(u64, i64)>)>,
    /// Windows that fired.
    pub windows: Vec<PlotWindow>,
}

/// A record on the plot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PlotRecord {
    /// When it was judged, ns.
    pub at: u64,
    /// Its event time, ms.
    pub event_time: i64,
    /// Its key.
    pub key: String,
    /// Number of the key, for its colour.
    pub key_number: u32,
    /// What became of it.
    pub verdict: PlotVerdict,
    /// Why, in a sentence.
    pub text: String,
}

/// What became of a record that was judged by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlotVerdict {
    /// In time.
    Taken,
    /// Late, and taken all the same.
    TakenLate,
    /// Too late: to the side output.
    SideOutput,
    /// Too late: dropped.
    Dropped,
}

/// A window that fired.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PlotWindow {
    /// First moment, ms.
    pub start: i64,
    /// The moment after the last, ms.
    pub end: i64,
    /// When it fired first, ns.
    pub at: u64,
    /// How often it fired, over all keys; zero if it was purged without.
    pub times: u32,
    /// When it was purged last, ns, and why, in words.
    pub purged: Option<(u64, String)>,
}

impl JobView {
    /// A vertex by its number.
    #[must_use]
    pub fn vertex(&self, number: u16) -> Option<&VertexView> {
        self.vertices.iter().find(|it| it.number == number)
    }
}

/// A time of the event clock in words.
#[must_use]
pub fn event_time_words(time: EventTime) -> String {
    match time {
        None => "none".to_owned(),
        Some(i64::MAX) => "the end".to_owned(),
        Some(ms) if ms.unsigned_abs() >= LONG => event_clock(ms),
        Some(ms) => {
            let sign = if ms < 0 { "−" } else { "" };
            let text = format!("{}{}", ms.unsigned_abs() / 1_000, fraction(ms));
            format!("{sign}{text} s")
        }
    }
}

/// From ten minutes on times are said in hours and minutes, ms.
const LONG: u64 = 600_000;

/// The milliseconds behind the point, if there are any.
fn fraction(ms: i64) -> String {
    match ms.unsigned_abs() % 1_000 {
        0 => String::new(),
        rest => format!(".{rest:03}").trim_end_matches('0').to_owned(),
    }
}

/// A time as a clock says it: hours, minutes, seconds.
fn event_clock(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "" };
    let seconds = ms.unsigned_abs() / 1_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!(
        "{sign}{hours}:{minutes:02}:{:02}{}",
        seconds % 60,
        fraction(ms)
    )
}

/// A window's bounds in words: both in seconds, or both as a clock says them.
#[must_use]
pub fn window_words(start: i64, end: i64) -> String {
    let finite = |it: i64| it != i64::MAX && it != i64::MIN;
    let long = [start, end]
        .into_iter()
        .any(|it| finite(it) && it.unsigned_abs() >= LONG);
    let bound = |ms: i64| match ms {
        i64::MAX => "∞".to_owned(),
        i64::MIN => "−∞".to_owned(),
        _ if long => event_clock(ms),
        _ => event_time_words(Some(ms)).replace(" s", ""),
    };
    let unit = if long { "" } else { " s" };
    format!("[{}, {}){unit}", bound(start), bound(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_event_clock_in_words() {
        let check = |time: EventTime, expected: &str| assert_eq!(event_time_words(time), expected);
        check(None, "none");
        check(Some(i64::MAX), "the end");
        check(Some(5_999), "5.999 s");
        check(Some(10_000), "10 s");
        check(Some(-1_500), "−1.5 s");
        check(Some(599_000), "599 s");
        check(Some(7_199_999), "1:59:59.999");
        check(Some(-7_200_000), "−2:00:00");
    }

    #[test]
    fn windows_in_words() {
        let check = |start, end, expected: &str| assert_eq!(window_words(start, end), expected);
        check(0, 10_000, "[0, 10) s");
        check(0, 3_600_000, "[0:00:00, 1:00:00)");
        check(i64::MIN, i64::MAX, "[−∞, ∞) s");
    }
}
