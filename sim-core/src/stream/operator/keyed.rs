//! The state of a join in pieces by key group, with the timers of each.
//!
//! A piece knows the watermark only while it is used: a watermark is no part of a snapshot, and one
//! that moves must not touch pieces without timers that are due.

use super::groups::{Due, Groups};
use super::join::{IntervalPiece, NowPiece, SessionPiece, TablePiece, TemporalPiece, WindowPiece};
use super::{KeyedState, OperatorSnapshot, Site};
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::NO_WATERMARK;
use serde::Serialize;
use std::sync::Arc;

/// What the pieces of all joins have in common.
pub(super) trait Piece: Clone {
    fn set_watermark(&mut self, watermark: i64);
    fn rows(&self) -> u64;
    fn event_timer(&self) -> Option<i64>;
    fn processing_timer(&self) -> Option<i64>;
    fn shared(piece: &Arc<Self>) -> KeyedState;
    fn of(state: &KeyedState) -> Option<&Arc<Self>>;
}

macro_rules! piece {
    ($piece:ty, $state:ident, $set:expr, $event:expr, $processing:expr) => {
        impl Piece for $piece {
            fn set_watermark(&mut self, watermark: i64) {
                let set: fn(&mut Self, i64) = $set;
                set(self, watermark);
            }
            fn rows(&self) -> u64 {
                <$piece>::rows(self)
            }
            fn event_timer(&self) -> Option<i64> {
                let next: fn(&Self) -> Option<i64> = $event;
                next(self)
            }
            fn processing_timer(&self) -> Option<i64> {
                let next: fn(&Self) -> Option<i64> = $processing;
                next(self)
            }
            fn shared(piece: &Arc<Self>) -> KeyedState {
                KeyedState::$state(Arc::clone(piece))
            }
            fn of(state: &KeyedState) -> Option<&Arc<Self>> {
                match state {
                    KeyedState::$state(piece) => Some(piece),
                    _ => None,
                }
            }
        }
    };
}
piece!(
    WindowPiece,
    WindowJoin,
    WindowPiece::set_watermark,
    WindowPiece::next_timer,
    |_| None
);
piece!(
    SessionPiece,
    SessionJoin,
    SessionPiece::set_watermark,
    SessionPiece::next_timer,
    |_| None
);
piece!(
    IntervalPiece,
    IntervalJoin,
    IntervalPiece::set_watermark,
    IntervalPiece::next_timer,
    |_| None
);
piece!(
    TemporalPiece,
    TemporalJoin,
    TemporalPiece::set_watermark,
    TemporalPiece::next_timer,
    TemporalPiece::next_expiry
);
piece!(TablePiece, TableJoin, |_, _| {}, |_| None, |_| None);
piece!(
    NowPiece,
    TemporalNow,
    |_, _| {},
    |_| None,
    NowPiece::next_expiry
);

/// Pieces of one kind with their timers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Keyed<P> {
    pub(super) groups: Groups<P>,
    pub(super) event: Due,
    pub(super) processing: Due,
    /// Rows kept, of all groups.
    pub(super) rows: u64,
}

impl<P: Piece> Keyed<P> {
    pub(super) fn open(site: Site, restored: &[&OperatorSnapshot]) -> Self {
        let mut keyed = Keyed {
            groups: Groups::new(site),
            event: Due::default(),
            processing: Due::default(),
            rows: 0,
        };
        for (group, state) in restored.iter().flat_map(|it| &it.keyed) {
            if let Some(piece) = P::of(state) {
                keyed.groups.put(*group, piece);
            }
        }
        for (at, piece) in keyed.groups.iter() {
            keyed.rows += piece.rows();
            keyed.event.set(at, piece.event_timer());
            keyed.processing.set(at, piece.processing_timer());
        }
        keyed
    }

    /// Works on one piece, and looks at what that changed. Fails if the group is another subtask's.
    pub(super) fn with<T>(
        &mut self,
        at: u32,
        watermark: i64,
        new: impl FnOnce() -> P,
        work: impl FnOnce(&mut P) -> T,
    ) -> Result<T, TaskFailure> {
        let piece = self.groups.write(at, new).ok_or(TaskFailure::UserCode)?;
        let before = piece.rows();
        piece.set_watermark(watermark);
        let done = work(piece);
        piece.set_watermark(NO_WATERMARK);
        let after = piece.rows();
        self.rows = (self.rows + after).saturating_sub(before);
        self.event.set(at, piece.event_timer());
        self.processing.set(at, piece.processing_timer());
        let is_empty = after == 0 && piece.event_timer().is_none();
        if is_empty && piece.processing_timer().is_none() {
            self.groups.clear(at);
        }
        Ok(done)
    }

    pub(super) fn snapshot(&self) -> OperatorSnapshot {
        let pieces = self.groups.shared();
        OperatorSnapshot {
            keyed: pieces.map(|(group, it)| (group, P::shared(it))).collect(),
            list: Vec::new(),
        }
    }
}
