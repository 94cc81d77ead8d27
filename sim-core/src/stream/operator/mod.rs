//! Operators of a job: what a subtask does with records, watermarks and time.
//!
//! Follows `StreamMap`, `StreamFilter`, `StreamFlatMap`, `TimestampsAndWatermarksOperator`,
//! `WindowOperator`, `KeyedProcessOperator` and the join operators of Flink 2.x. An operator is
//! plain state: the task that runs it hands it one input after the other and passes on what comes
//! out; the rules are those of [`super::rules`]. Sources and sinks are not among them. What
//! functions of users work on is one whole number for each record ([`number`]).

mod broadcast;
mod groups;
mod join;
mod keyed;
mod lookup;
mod process;
mod reuse;
mod sort;
mod state;
mod watermarks;
mod window;

#[cfg(test)]
mod tests;

use super::element::{Key, Record};
use super::job::Job;
use super::note::{Note, Verdict};
use super::protocol::TaskFailure;
use super::rules::NO_WATERMARK;
use super::rules::assigner::Window;
use super::rules::external_sort::ExternalSort;
use super::rules::window::aggregate::Value;
use super::rules::window::machine::Purge;
use super::snapshot::OperatorSnapshot;
use super::spec::{FilterFunction, MapFunction, OperatorKind};
use crate::kernel::{Nanos, Purpose, below, draw};
use serde::Serialize;

pub use join::{
    IntervalPiece, JoinTask, NowPiece, Row, SessionPiece, TablePiece, TemporalPiece, WindowPiece,
};
pub use lookup::LookupTask;
pub use process::{Kept, Piece as ProcessPiece, ProcessTask};
pub use reuse::Reuse;
pub use sort::SortTask;
pub use state::KeyedState;
pub use watermarks::WatermarkTask;
pub use window::{Piece as Windows, WindowTask};

/// Where an operator runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Site {
    /// The operator, by its number in the job.
    pub operator: u32,
    /// The subtask.
    pub subtask: u16,
    /// How many subtasks there are in this attempt.
    pub parallelism: u32,
    /// Key groups.
    pub max_parallelism: u32,
}

/// What an operator hands out while it handles one input; buffers are reused. The caller sets
/// `now_ms` and `plot` before each call, and takes what is there after it in this order: `main`,
/// `late` and `late_right`, `status`, `forward`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outs {
    /// The wall clock of the subtask, ms.
    pub now_ms: i64,
    /// Whether operators that judge records by time say what became of each.
    pub plot: bool,
    /// Records of the main output.
    pub main: Vec<Record>,
    /// Records of the side output for late ones.
    pub late: Vec<Record>,
    /// Those of a join's right input.
    pub late_right: Vec<Record>,
    /// What the input cost the thread besides, ns.
    pub spent: Nanos,
    /// What happened.
    pub notes: Vec<Note>,
    /// The watermark to pass on, ms.
    pub forward: Option<i64>,
    /// Whether the stream is active from now on (`WatermarkStatus`).
    pub status: Option<bool>,
}

impl Outs {
    /// Empties it for the next input.
    pub fn clear(&mut self) {
        self.main.clear();
        self.late.clear();
        self.late_right.clear();
        self.spent = 0;
        self.notes.clear();
        self.forward = None;
        self.status = None;
    }
}

/// How much an operator keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StateSize {
    /// Keys, windows of keys, or rows.
    pub entries: u64,
    /// About how many bytes a full checkpoint of it has.
    pub bytes: u64,
}

/// A window that is open, for the stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OpenWindow {
    /// Of which key.
    pub key: Key,
    /// The window.
    pub window: Window,
    /// What it would say now.
    pub value: Value,
    /// Whether its end has come; it is kept for late records then.
    pub fired: bool,
}

/// A window that was purged, for the stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PurgedWindow {
    /// Of which key.
    pub key: Key,
    /// The window.
    pub window: Window,
    /// Why.
    pub why: Purge,
    /// The wall clock of the subtask then, ms.
    pub at_ms: i64,
    /// Its watermark then, ms.
    pub watermark: i64,
}

/// An operator at work in a subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Operator {
    /// One without state: the job's description of it is all there is.
    Plain(Plain),
    /// Windows.
    Window(Box<WindowTask>),
    /// A process function.
    Process(Box<ProcessTask>),
    /// Two inputs put together.
    Join(Box<JoinTask>),
    /// Watermarks in mid-graph.
    Watermarks(Box<WatermarkTask>),
    /// A table outside that each row asks.
    Lookup(Box<LookupTask>),
    /// Everything in order.
    Sort(Box<SortTask>),
}

/// An operator without state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Plain {
    site: Site,
    watermark: i64,
}

/// The number that functions of users see in a value: the sum of several, 0 of none.
#[must_use]
pub fn number(value: &Value) -> i64 {
    match value {
        Value::Nothing => 0,
        Value::Number(number) => *number,
        Value::Values(all) => all.iter().fold(0, |sum, it| sum.wrapping_add(*it)),
    }
}

fn judged(site: Site, record: &Record, watermark: i64, verdict: Verdict) -> Note {
    Note::Judged {
        operator: site.operator,
        subtask: site.subtask,
        key: record.key,
        timestamp: record.timestamp,
        watermark,
        origin: record.origin,
        verdict,
    }
}

fn mapped(function: MapFunction, mut record: Record) -> Record {
    match function {
        MapFunction::Identity => {}
        MapFunction::Add(n) | MapFunction::AddInPlace(n) => {
            record.value = Value::Number(number(&record.value).wrapping_add(n))
        }
        MapFunction::Multiply(n) | MapFunction::MultiplyInPlace(n) => {
            record.value = Value::Number(number(&record.value).wrapping_mul(n));
        }
        MapFunction::KeyModulo(n) => {
            record.key = Key(record.key.0.checked_rem(n).unwrap_or(0));
        }
    }
    record
}

/// Which records a sample takes.
const SAMPLE: Purpose = Purpose::named("sample");

fn passes(function: &FilterFunction, record: &Record, seed: u64) -> bool {
    match function {
        FilterFunction::AtLeast(n) => number(&record.value) >= *n,
        FilterFunction::DivisibleBy(n) => number(&record.value).checked_rem(*n) == Some(0),
        FilterFunction::Keys(keys) => keys.contains(&record.key),
        FilterFunction::OneIn(n) => {
            let (key, value) = (u64::from(record.key.0), number(&record.value));
            let (value, time) = (value.cast_unsigned(), record.timestamp.cast_unsigned());
            below(draw(seed, SAMPLE, key, value, time), u64::from(*n)) == 0
        }
    }
}

impl Plain {
    fn on_record(&self, record: Record, job: &Job, outs: &mut Outs) {
        let spec = job.spec.operators.get(self.site.operator as usize);
        match spec.map(|it| &it.kind) {
            Some(OperatorKind::Map(function)) => outs.main.push(mapped(*function, record)),
            Some(OperatorKind::Filter(function)) => {
                outs.main
                    .extend(Some(record).filter(|it| passes(function, it, job.seed)));
            }
            Some(OperatorKind::FlatMap { copies }) => {
                for _ in 1..*copies {
                    outs.main.push(record.clone());
                }
                outs.main.extend((*copies > 0).then_some(record));
            }
            // Sources and sinks hand records on if they are asked.
            _ => outs.main.push(record),
        }
    }
}

impl Operator {
    /// An operator that begins, with what snapshots of one or several old subtasks hold of its key
    /// groups. There is no watermark yet, whatever was there before. Of broadcast state it reads one
    /// of the copies that it is given.
    #[must_use]
    pub fn open(job: &Job, site: Site, restored: &[&OperatorSnapshot], now_ms: i64) -> Self {
        let spec = job.spec.operators.get(site.operator as usize);
        match spec.map(|it| &it.kind) {
            Some(OperatorKind::Window(settings)) => {
                Operator::Window(Box::new(WindowTask::open(settings, site, restored, now_ms)))
            }
            Some(OperatorKind::Process(spec)) => {
                Operator::Process(Box::new(ProcessTask::open(spec, site, restored)))
            }
            Some(OperatorKind::Lookup(spec)) => {
                Operator::Lookup(Box::new(LookupTask::open(spec, site)))
            }
            Some(OperatorKind::Join(spec)) => {
                Operator::Join(Box::new(JoinTask::open(spec, site, job, restored)))
            }
            Some(OperatorKind::Watermarks(spec)) => {
                Operator::Watermarks(Box::new(WatermarkTask::open(spec, site, job, now_ms)))
            }
            Some(OperatorKind::Sort(spec)) => {
                Operator::Sort(Box::new(SortTask::open(spec, site, job)))
            }
            _ => Operator::Plain(Plain {
                site,
                watermark: NO_WATERMARK,
            }),
        }
    }

    /// A record of the first input (0) or the second (1).
    ///
    /// # Errors
    ///
    /// Why the task fails. A record whose key group is another subtask's is the user's failure.
    pub fn on_record(
        &mut self,
        input: u8,
        record: Record,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        match self {
            Operator::Plain(it) => it.on_record(record, job, outs),
            Operator::Watermarks(it) => it.on_record(record, outs),
            Operator::Sort(it) => it.on_record(record, outs),
            Operator::Window(it) => return it.on_record(&record, job, outs),
            Operator::Process(it) => return it.on_record(record, job, outs),
            Operator::Join(it) => return it.on_record(input, record, job, outs),
            Operator::Lookup(it) => {
                let spec = job.spec.operators.get(it.site().operator as usize);
                if let Some(OperatorKind::Lookup(spec)) = spec.map(|it| &it.kind) {
                    it.on_record(spec, record, outs);
                }
            }
        }
        Ok(())
    }

    /// The watermark of all inputs together has risen: timers go off, then it is passed on.
    ///
    /// # Errors
    ///
    /// Why the task fails.
    pub fn on_watermark(
        &mut self,
        watermark: i64,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        match self {
            Operator::Plain(it) => it.watermark = watermark,
            Operator::Process(it) => it.on_watermark(watermark, job, outs),
            Operator::Lookup(it) => it.on_watermark(watermark),
            Operator::Window(it) => it.on_watermark(watermark, outs)?,
            Operator::Join(it) => it.on_watermark(watermark, outs)?,
            Operator::Watermarks(it) => {
                it.on_watermark(watermark, outs);
                return Ok(());
            }
            Operator::Sort(it) => {
                it.on_watermark(watermark, outs);
                return Ok(());
            }
        }
        outs.forward = Some(watermark);
        Ok(())
    }

    /// The status of all inputs together has changed (`WatermarkStatus`): it is passed on, but by
    /// an operator that gives watermarks of its own.
    pub fn on_status(&mut self, active: bool, outs: &mut Outs) {
        if !matches!(self, Operator::Watermarks(_)) {
            outs.status = Some(active);
        }
    }

    /// The wall clock has come to this time, ms.
    ///
    /// # Errors
    ///
    /// Why the task fails.
    pub fn on_processing_time(
        &mut self,
        now_ms: i64,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        let now_ms = now_ms.saturating_sub(self.timer_delay());
        match self {
            Operator::Plain(_) | Operator::Lookup(_) => Ok(()),
            Operator::Process(it) => {
                it.on_processing_time(now_ms, job, outs);
                Ok(())
            }
            Operator::Sort(it) => {
                it.on_processing_time(now_ms, outs);
                Ok(())
            }
            Operator::Window(it) => it.on_processing_time(now_ms, outs),
            Operator::Join(it) => it.on_processing_time(now_ms, outs),
            Operator::Watermarks(it) => {
                it.on_processing_time(now_ms, job, outs);
                Ok(())
            }
        }
    }

    /// The wall clock at which [`Operator::on_processing_time`] wants to be called, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        let wait = self.timer_delay();
        self.timer().map(|due| due.saturating_add(wait))
    }

    /// How long after its time a timer of the wall clock fires, ms: only then no record of that
    /// millisecond can follow (`ProcessingTimeServiceUtil.getProcessingTimeDelay`). A sort waits for
    /// its disk and watermarks for their interval, which nobody set a timer for.
    fn timer_delay(&self) -> i64 {
        match self {
            Operator::Sort(_) | Operator::Watermarks(_) => 0,
            _ => 1,
        }
    }

    fn timer(&self) -> Option<i64> {
        match self {
            Operator::Plain(_) | Operator::Lookup(_) => None,
            Operator::Process(it) => it.next_timer(),
            Operator::Sort(it) => it.next_timer(),
            Operator::Window(it) => it.next_timer(),
            Operator::Join(it) => it.next_timer(),
            Operator::Watermarks(it) => it.next_timer(),
        }
    }

    /// Whether it has keyed state.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        !matches!(
            self,
            Operator::Plain(_) | Operator::Watermarks(_) | Operator::Lookup(_) | Operator::Sort(_)
        )
    }

    /// What a checkpoint holds of it; shares its pieces.
    #[must_use]
    pub fn snapshot(&self) -> OperatorSnapshot {
        match self {
            Operator::Plain(_)
            | Operator::Watermarks(_)
            | Operator::Lookup(_)
            | Operator::Sort(_) => OperatorSnapshot::default(),
            Operator::Window(it) => it.snapshot(),
            Operator::Process(it) => it.snapshot(),
            Operator::Join(it) => it.snapshot(),
        }
    }

    /// How much it keeps.
    #[must_use]
    pub fn size(&self) -> StateSize {
        match self {
            Operator::Plain(_)
            | Operator::Watermarks(_)
            | Operator::Lookup(_)
            | Operator::Sort(_) => StateSize::default(),
            Operator::Window(it) => it.size(),
            Operator::Process(it) => it.size(),
            Operator::Join(it) => it.size(),
        }
    }

    /// Its watermark, ms.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        match self {
            Operator::Plain(it) => it.watermark,
            Operator::Window(it) => it.watermark(),
            Operator::Process(it) => it.watermark(),
            Operator::Join(it) => it.watermark(),
            Operator::Watermarks(it) => it.watermark(),
            Operator::Lookup(it) => it.watermark(),
            Operator::Sort(it) => it.watermark(),
        }
    }

    /// The sorter of a sort.
    #[must_use]
    pub fn sorter(&self) -> Option<&ExternalSort> {
        match self {
            Operator::Sort(it) => it.sorter(),
            _ => None,
        }
    }

    /// Questions that a table outside answered, and those that the cache before it did.
    #[must_use]
    pub fn asked(&self) -> (u64, u64) {
        match self {
            Operator::Lookup(it) => it.asked(),
            _ => (0, 0),
        }
    }

    /// `numLateRecordsDropped`.
    #[must_use]
    pub fn late_dropped(&self) -> u64 {
        match self {
            Operator::Window(it) => it.late_dropped(),
            Operator::Join(it) => it.late_dropped(),
            _ => 0,
        }
    }

    /// The windows that it purged last, oldest first, and how long it keeps windows after their end,
    /// ms.
    #[must_use]
    pub fn purged(&self) -> (Vec<PurgedWindow>, i64) {
        match self {
            Operator::Window(it) => (it.purged().copied().collect(), it.allowed_lateness()),
            _ => (Vec::new(), 0),
        }
    }

    /// Its open windows, at most so many.
    #[must_use]
    pub fn windows(&self, most: usize) -> Vec<OpenWindow> {
        match self {
            Operator::Window(it) => it.windows().take(most).collect(),
            _ => Vec::new(),
        }
    }
}
