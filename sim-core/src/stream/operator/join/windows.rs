//! Joins by windows at a subtask: of fixed length, and of sessions.

use super::{Keyed, Results, Row, SessionPiece, WindowPiece};
use crate::stream::element::{Key, NO_TIMESTAMP, Record};
use crate::stream::note::Note;
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::assigner::{Window, window_start};
use crate::stream::rules::join::Joined;
use crate::stream::rules::join::window::{JoinType, WindowJoin};
use serde::Serialize;

/// Windows of fixed length, ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Windows {
    pub(super) size: i64,
    pub(super) slide: i64,
    #[serde(skip_serializing_if = "crate::stream::spec::is_zero")]
    pub(super) offset: i64,
}

impl Windows {
    /// The window whose last millisecond this is.
    pub(super) fn ending(&self, timestamp: i64) -> Window {
        let end = timestamp.saturating_add(1);
        Window {
            start: end.saturating_sub(self.size),
            end,
        }
    }
}

impl Results<'_> {
    /// Puts out the rows of windows that fire.
    pub(super) fn windows(
        &mut self,
        rows: impl Iterator<Item = (Window, Joined<Row, Row>)>,
        join: JoinType,
    ) {
        let alone = join.wants_match().is_some();
        let mut last: Option<(Key, Window)> = None;
        for (window, row) in rows {
            let key = row.left.as_ref().or(row.right.as_ref()).map(|it| it.key);
            if let Some(key) = key
                && last != Some((key, window))
            {
                last = Some((key, window));
                self.outs.notes.push(Note::Fired {
                    operator: self.site.operator,
                    subtask: self.site.subtask,
                    key,
                    window,
                });
            }
            self.push(row, window.max_timestamp(), Some(window), alone);
        }
    }
}

/// A row for the windows that it belongs to; given back if all of them have fired.
pub(super) fn on_record(
    keyed: &mut Keyed<WindowPiece>,
    (at, windows, join): (u32, Windows, JoinType),
    watermark: i64,
    is_left: bool,
    record: Record,
    results: &mut Results<'_>,
) -> Result<Option<Record>, TaskFailure> {
    if record.timestamp == NO_TIMESTAMP {
        return Err(TaskFailure::Window);
    }
    let key = record.key;
    let row = Row::from(record.clone());
    let mut taken = false;
    let mut start = window_start(record.timestamp, windows.offset, windows.slide);
    while start > record.timestamp.saturating_sub(windows.size) {
        let (end, row) = (start.saturating_add(windows.size), row.clone());
        let new = || WindowJoin::new(join);
        let refused = keyed.with(at, watermark, new, |piece| match is_left {
            true => piece.on_left(key, end, row),
            false => piece.on_right(key, end, row),
        })?;
        taken |= refused.is_none();
        start = start.saturating_sub(windows.slide);
    }
    if !taken {
        return Ok(Some(record));
    }
    results.judge_taken(&record, watermark);
    Ok(None)
}

/// A row for its session; given back if that is over.
pub(super) fn in_session(
    keyed: &mut Keyed<SessionPiece>,
    (at, new): (u32, impl FnOnce() -> SessionPiece),
    watermark: i64,
    is_left: bool,
    record: Record,
    results: &mut Results<'_>,
) -> Result<Option<Record>, TaskFailure> {
    if record.timestamp == NO_TIMESTAMP {
        return Err(TaskFailure::Window);
    }
    let (key, timestamp) = (record.key, record.timestamp);
    let row = Row::from(record.clone());
    let refused = keyed.with(at, watermark, new, |piece| match is_left {
        true => piece.on_left(key, timestamp, row),
        false => piece.on_right(key, timestamp, row),
    })?;
    if refused.is_some() {
        return Ok(Some(record));
    }
    results.judge_taken(&record, watermark);
    Ok(None)
}
