//! Joins of a subtask: the rules of joins over state in pieces by key group.
//!
//! Follows `IntervalJoinOperator`, `WindowJoinOperator`, `TemporalRowTimeJoinOperator`,
//! `TemporalProcessTimeJoinOperator`, `StreamingJoinOperator`, `StreamingSemiAntiJoinOperator` and
//! the broadcast state pattern. A piece knows the watermark only while it is used, since a watermark
//! is no part of a snapshot, and so that one moves only pieces with timers that are due. Rows that
//! expire (`table.exec.state.ttl`) go when their key is read, and in the background as with other
//! state. A join's input may be the result of another one; of such a row the first value counts.

mod windows;

use super::keyed::Keyed;
use super::{OperatorSnapshot, Outs, Site, StateSize, broadcast};
use crate::stream::element::{Key, NO_TIMESTAMP, Origin, Record};
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule, Verdict};
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::assigner::Window;
use crate::stream::rules::join::broadcast::BroadcastState;
use crate::stream::rules::join::interval::{IntervalBounds, IntervalJoin, IntervalOut};
use crate::stream::rules::join::retention::Retention;
use crate::stream::rules::join::session::SessionJoin;
use crate::stream::rules::join::table::TableJoin;
use crate::stream::rules::join::temporal::{TemporalJoin, TemporalRules, TimedRow};
use crate::stream::rules::join::temporal_now::TemporalNowJoin;
use crate::stream::rules::join::window::{JoinType, WindowJoin};
use crate::stream::rules::join::{Joined, RowKind};
use crate::stream::rules::window::aggregate::Value;
use crate::stream::snapshot::ListItem;
use crate::stream::spec::{JoinSpec, Output};
use serde::Serialize;
use windows::Windows;

/// A row in the state of a join. Two rows are the same if they say the same: that is how a row of a
/// changelog finds the one that it takes back.
#[derive(Clone, Eq, Debug, Serialize)]
pub struct Row {
    key: Key,
    value: Value,
    timestamp: i64,
    origin: Origin,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        (self.key, &self.value) == (other.key, &other.value)
    }
}

impl From<Record> for Row {
    fn from(record: Record) -> Self {
        Row {
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            origin: record.origin,
        }
    }
}

/// Windows of two sides.
pub type WindowPiece = WindowJoin<Key, Row, Row>;
/// Sessions of two sides.
pub type SessionPiece = SessionJoin<Key, Row, Row>;
/// Two sides within a span of time.
pub type IntervalPiece = IntervalJoin<Key, Row, Row>;
/// Rows that wait, and versions.
pub type TemporalPiece = TemporalJoin<Key, Row, Row>;
/// Two tables.
pub type TablePiece = TableJoin<Key, Row, Row>;

/// The version of the moment.
pub type NowPiece = TemporalNowJoin<Key, Row>;

/// Bytes of a row in a checkpoint, as we count: key, value, time, timer.
const ROW_BYTES: u64 = 48;
/// Bytes of an entry of broadcast state: name and value.
const ENTRY_BYTES: u64 = 12;
/// Keys that each record's background clean-up looks at.
const CLEANUP_SIZE: u32 = 5;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum State {
    Window(Windows, JoinType, Keyed<WindowPiece>),
    Interval(IntervalBounds, Keyed<IntervalPiece>),
    Temporal(TemporalRules, Keyed<TemporalPiece>),
    Table(JoinType, Option<i64>, Keyed<TablePiece>),
    Broadcast(BroadcastState<Key, i64>),
    TemporalNow((bool, Retention), Keyed<NowPiece>),
    /// The gap.
    Session(i64, JoinType, Keyed<SessionPiece>),
}

/// A subtask of a join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JoinTask {
    site: Site,
    state: State,
    watermark: i64,
    late_dropped: u64,
    /// Whether anyone reads the side output of the left input, and of the right one.
    late_output: (bool, bool),
    /// Where the background clean-up is: a group, and the key of it that was looked at last.
    cursor: (u32, Option<Key>),
}

/// What makes a result out of the rows of a join.
struct Results<'a> {
    site: Site,
    outs: &'a mut Outs,
}

impl Results<'_> {
    /// Puts out a row. Where an outer join found nothing a side is [`Value::Nothing`].
    fn push(&mut self, row: Joined<Row, Row>, timestamp: i64, window: Option<Window>, alone: bool) {
        let (left, right) = (row.left, row.right);
        let origins = left.iter().chain(&right).map(|it| it.origin);
        let (Some(one), Some(origin)) = (left.as_ref().or(right.as_ref()), origins.max()) else {
            return;
        };
        self.outs.main.push(Record {
            key: one.key,
            timestamp,
            value: left.map_or(Value::Nothing, |it| it.value),
            right: (!alone).then(|| right.map_or(Value::Nothing, |it| it.value)),
            kind: row.kind,
            window,
            timing: None,
            origin,
        });
    }

    fn judge_taken(&mut self, record: &Record, watermark: i64) {
        if self.outs.plot {
            let note = super::judged(self.site, record, watermark, Verdict::Taken);
            self.outs.notes.push(note);
        }
    }
}

impl JoinTask {
    pub(super) fn open(
        spec: &JoinSpec,
        site: Site,
        job: &Job,
        restored: &[&OperatorSnapshot],
    ) -> Self {
        let state = match *spec {
            JoinSpec::Window {
                size,
                slide,
                offset,
                join,
            } => {
                let windows = Windows {
                    size,
                    slide,
                    offset,
                };
                State::Window(windows, join, Keyed::open(site, restored))
            }
            JoinSpec::Session { gap, join } => {
                State::Session(gap, join, Keyed::open(site, restored))
            }
            JoinSpec::Interval(bounds) => State::Interval(bounds, Keyed::open(site, restored)),
            JoinSpec::Temporal(rules) => State::Temporal(rules, Keyed::open(site, restored)),
            JoinSpec::Table { join, ttl_ms } => {
                State::Table(join, ttl_ms, Keyed::open(site, restored))
            }
            JoinSpec::Broadcast => State::Broadcast(broadcast::copy_of(site, restored)),
            JoinSpec::TemporalNow {
                left_outer,
                retention,
            } => State::TemporalNow((left_outer, retention), Keyed::open(site, restored)),
        };
        let read = |output| {
            let mut inputs = job.spec.operators.iter().flat_map(|it| &it.inputs);
            inputs.any(|it| it.from == site.operator && it.output == output)
        };
        let late_output = (read(Output::Late), read(Output::LateRight));
        JoinTask {
            site,
            state,
            watermark: NO_WATERMARK,
            late_dropped: 0,
            late_output,
            cursor: (0, None),
        }
    }

    pub(super) fn on_record(
        &mut self,
        input: u8,
        record: Record,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        let is_left = input == 0;
        let watermark = self.watermark;
        let mut results = Results {
            site: self.site,
            outs,
        };
        let now = results.outs.now_ms;
        // The clean-up of a table reads all groups; the others look only at the record's.
        let foreign = TaskFailure::UserCode;
        let late = match &mut self.state {
            State::Window(windows, join, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                let join = (at, *windows, *join);
                windows::on_record(keyed, join, watermark, is_left, record, &mut results)?
            }
            State::Session(gap, join, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                let new = || SessionJoin::new(*gap, *join);
                let to = (at, new);
                windows::in_session(keyed, to, watermark, is_left, record, &mut results)?
            }
            State::Interval(bounds, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                let new = || IntervalJoin::new(*bounds);
                on_interval(keyed, (at, new), watermark, is_left, record, &mut results)?
            }
            State::Temporal(rules, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                let row = TimedRow {
                    ts: record.timestamp,
                    kind: record.kind,
                    value: Row::from(record),
                };
                let key = row.value.key;
                let new = || TemporalJoin::new(*rules);
                let refused = keyed.with(at, watermark, new, |piece| match is_left {
                    true => piece.on_left(key, row, now),
                    false => {
                        piece.on_right(key, row, now);
                        None
                    }
                })?;
                self.late_dropped += u64::from(refused.is_some());
                None
            }
            State::Table(join, ttl_ms, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                let new = || TableJoin::new(*join, *ttl_ms);
                let alone = join.wants_match().is_some();
                on_table(keyed, (at, new), (is_left, alone), record, &mut results)?;
                if ttl_ms.is_some() {
                    let gone = clean_up(keyed, &mut self.cursor, now);
                    note_expired(self.site, gone, results.outs);
                }
                None
            }
            State::Broadcast(state) => {
                broadcast::on_record(state, is_left, record, results.outs);
                None
            }
            State::TemporalNow(rules, keyed) => {
                let at = keyed.groups.of(record.key, job).ok_or(foreign)?;
                on_now(keyed, (at, *rules), is_left, record, &mut results)?;
                None
            }
        };
        if let Some(record) = late {
            self.on_late(is_left, record, outs);
        }
        Ok(())
    }

    /// A record that came too late.
    fn on_late(&mut self, is_left: bool, record: Record, outs: &mut Outs) {
        // A join of windows has no side output.
        let of_side = match is_left {
            true => self.late_output.0,
            false => self.late_output.1,
        };
        let hands_out = of_side && matches!(self.state, State::Interval(..));
        let verdict = match hands_out {
            true => Verdict::SideOutput,
            false => Verdict::Dropped,
        };
        if outs.plot {
            let note = super::judged(self.site, &record, self.watermark, verdict);
            outs.notes.push(note);
        }
        match hands_out {
            true if is_left => outs.late.push(record),
            true => outs.late_right.push(record),
            false => self.late_dropped += 1,
        }
    }

    pub(super) fn on_watermark(
        &mut self,
        watermark: i64,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        self.watermark = watermark;
        let now = outs.now_ms;
        let mut results = Results {
            site: self.site,
            outs,
        };
        match &mut self.state {
            State::Window(windows, join, keyed) => {
                while let Some((time, at)) = keyed.event.due(watermark) {
                    let new = || WindowJoin::new(*join);
                    let fire = |piece: &mut WindowPiece| piece.on_watermark(time, &|_, _| true);
                    let rows = keyed.with(at, NO_WATERMARK, new, fire)?;
                    let rows = rows.into_iter().map(|it| (windows.ending(it.0), it.1));
                    results.windows(rows, *join);
                }
            }
            State::Session(gap, join, keyed) => {
                while let Some((time, at)) = keyed.event.due(watermark) {
                    let new = || SessionJoin::new(*gap, *join);
                    let fire = |piece: &mut SessionPiece| piece.on_watermark(time, &|_, _| true);
                    let rows = keyed.with(at, NO_WATERMARK, new, fire)?;
                    results.windows(rows.into_iter(), *join);
                }
            }
            State::Interval(bounds, keyed) => {
                while let Some((_, at)) = keyed.event.due(watermark) {
                    let new = || IntervalJoin::new(*bounds);
                    keyed.with(at, NO_WATERMARK, new, |it| it.on_watermark(watermark))?;
                }
            }
            State::Temporal(rules, keyed) => {
                while let Some((_, at)) = keyed.event.due(watermark) {
                    let new = || TemporalJoin::new(*rules);
                    let fire =
                        |it: &mut TemporalPiece| it.on_watermark(watermark, now, &|_, _| true);
                    for row in keyed.with(at, NO_WATERMARK, new, fire)? {
                        let timestamp = row.left.as_ref().map_or(NO_TIMESTAMP, |it| it.timestamp);
                        results.push(row, timestamp, None, false);
                    }
                }
            }
            State::Table(..) | State::Broadcast(_) | State::TemporalNow(..) => {}
        }
        Ok(())
    }

    pub(super) fn on_processing_time(
        &mut self,
        now: i64,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        let gone = match &mut self.state {
            State::Temporal(rules, keyed) => {
                let before = keyed.rows;
                while let Some((_, at)) = keyed.processing.due(now) {
                    let new = || TemporalJoin::new(*rules);
                    keyed.with(at, NO_WATERMARK, new, |it| it.on_processing_time(now))?;
                }
                before.saturating_sub(keyed.rows)
            }
            State::TemporalNow((left_outer, retention), keyed) => {
                let before = keyed.rows;
                while let Some((_, at)) = keyed.processing.due(now) {
                    let new = || TemporalNowJoin::new(*left_outer, *retention);
                    keyed.with(at, NO_WATERMARK, new, |it| it.on_processing_time(now))?;
                }
                before.saturating_sub(keyed.rows)
            }
            _ => 0,
        };
        note_expired(self.site, gone, outs);
        Ok(())
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        match &self.state {
            State::Temporal(_, keyed) => keyed.processing.first().map(|it| it.0),
            State::TemporalNow(_, keyed) => keyed.processing.first().map(|it| it.0),
            _ => None,
        }
    }

    pub(super) fn snapshot(&self) -> OperatorSnapshot {
        match &self.state {
            State::Window(_, _, keyed) => keyed.snapshot(),
            State::Session(_, _, keyed) => keyed.snapshot(),
            State::Interval(_, keyed) => keyed.snapshot(),
            State::Temporal(_, keyed) => keyed.snapshot(),
            State::Table(_, _, keyed) => keyed.snapshot(),
            State::TemporalNow(_, keyed) => keyed.snapshot(),
            State::Broadcast(state) => {
                let entries = state.entries().map(|(name, value)| (*name, *value));
                OperatorSnapshot {
                    keyed: Vec::new(),
                    list: vec![ListItem::Broadcast {
                        subtask: self.site.subtask,
                        entries: entries.collect(),
                    }],
                }
            }
        }
    }

    pub(super) fn size(&self) -> StateSize {
        let (entries, each) = match &self.state {
            State::Window(_, _, keyed) => (keyed.rows, ROW_BYTES),
            State::Session(_, _, keyed) => (keyed.rows, ROW_BYTES),
            State::Interval(_, keyed) => (keyed.rows, ROW_BYTES),
            State::Temporal(_, keyed) => (keyed.rows, ROW_BYTES),
            State::Table(_, _, keyed) => (keyed.rows, ROW_BYTES),
            State::TemporalNow(_, keyed) => (keyed.rows, ROW_BYTES),
            State::Broadcast(state) => (state.entries().len() as u64, ENTRY_BYTES),
        };
        StateSize {
            entries,
            bytes: entries * each,
        }
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(super) fn late_dropped(&self) -> u64 {
        self.late_dropped
    }
}

fn on_interval(
    keyed: &mut Keyed<IntervalPiece>,
    (at, new): (u32, impl FnOnce() -> IntervalPiece),
    watermark: i64,
    is_left: bool,
    record: Record,
    results: &mut Results<'_>,
) -> Result<Option<Record>, TaskFailure> {
    let (key, timestamp) = (record.key, record.timestamp);
    let row = Row::from(record.clone());
    let done = keyed.with(at, watermark, new, |piece| match is_left {
        true => piece.on_left(key, timestamp, row),
        false => piece.on_right(key, timestamp, row),
    })?;
    let mut late = false;
    for out in done.map_err(|_| TaskFailure::Window)? {
        match out {
            IntervalOut::Pair { left, right, ts } => {
                let pair = Joined {
                    kind: RowKind::Insert,
                    left: Some(left.1),
                    right: Some(right.1),
                };
                results.push(pair, ts, None, false);
            }
            IntervalOut::LateLeft(..) | IntervalOut::LateRight(..) => late = true,
        }
    }
    if late {
        return Ok(Some(record));
    }
    results.judge_taken(&record, watermark);
    Ok(None)
}

fn on_table(
    keyed: &mut Keyed<TablePiece>,
    (at, new): (u32, impl FnOnce() -> TablePiece),
    (is_left, alone): (bool, bool),
    record: Record,
    results: &mut Results<'_>,
) -> Result<(), TaskFailure> {
    let (key, kind, timestamp) = (record.key, record.kind, record.timestamp);
    let now = results.outs.now_ms;
    let row = Row::from(record);
    let rows = keyed.with(at, NO_WATERMARK, new, |piece| match is_left {
        true => piece.on_left(&key, kind, &row, now, &|_, _| true),
        false => piece.on_right(&key, kind, &row, now, &|_, _| true),
    })?;
    for row in rows {
        results.push(row, timestamp, None, alone);
    }
    Ok(())
}

fn on_now(
    keyed: &mut Keyed<NowPiece>,
    (at, (left_outer, retention)): (u32, (bool, Retention)),
    is_left: bool,
    record: Record,
    results: &mut Results<'_>,
) -> Result<(), TaskFailure> {
    let (key, kind, timestamp) = (record.key, record.kind, record.timestamp);
    let now = results.outs.now_ms;
    let row = Row::from(record);
    let new = || TemporalNowJoin::new(left_outer, retention);
    let joined = keyed.with(at, NO_WATERMARK, new, |piece| match is_left {
        true => piece.on_left(&key, kind, row, now, &|_, _| true),
        false => {
            piece.on_right(key, kind, row, now);
            None
        }
    })?;
    if let Some(row) = joined {
        results.push(row, timestamp, None, false);
    }
    Ok(())
}

/// Lets the background clean-up look at the next keys; how many rows went.
fn clean_up(keyed: &mut Keyed<TablePiece>, cursor: &mut (u32, Option<Key>), now: i64) -> u64 {
    let mut gone = 0;
    for _ in 0..CLEANUP_SIZE {
        let (at, key) = *cursor;
        let piece = keyed.groups.get(at);
        let next = piece.and_then(|it| it.next_key(key.as_ref(), now));
        match next {
            None => {
                *cursor = (
                    if at + 1 < keyed.groups.many() {
                        at + 1
                    } else {
                        0
                    },
                    None,
                )
            }
            Some((key, expired)) => {
                *cursor = (at, Some(key));
                if expired && let Some(piece) = keyed.groups.existing(at) {
                    gone += piece.clean(&key, now);
                    if piece.rows() == 0 {
                        keyed.groups.clear(at);
                    }
                }
            }
        }
    }
    keyed.rows = keyed.rows.saturating_sub(gone);
    gone
}

fn note_expired(site: Site, gone: u64, outs: &mut Outs) {
    if gone > 0 {
        outs.notes.push(Note::Rule {
            rule: Rule::StateExpired,
            task: None,
            operator: Some(site.operator),
            before: 0,
            after: i64::try_from(gone).unwrap_or(i64::MAX),
        });
    }
}
