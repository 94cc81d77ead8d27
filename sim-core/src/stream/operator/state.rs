//! Keyed state of one key group, whatever operator it is of.

use super::{
    IntervalPiece, NowPiece, ProcessPiece, SessionPiece, TablePiece, TemporalPiece, WindowPiece,
    Windows, process,
};
use crate::stream::element::Key;
use serde::Serialize;
use std::sync::Arc;

/// Keyed state of an operator in one key group: shared with the operator until that writes again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum KeyedState {
    /// Windows with their timers.
    Windows(Arc<Windows>),
    /// What a process function keeps of each key.
    Values(Arc<ProcessPiece>),
    /// Windows of two sides.
    WindowJoin(Arc<WindowPiece>),
    /// Two sides within a span of time.
    IntervalJoin(Arc<IntervalPiece>),
    /// Rows that wait, and versions.
    TemporalJoin(Arc<TemporalPiece>),
    /// Two tables.
    TableJoin(Arc<TablePiece>),
    /// The version of the moment.
    TemporalNow(Arc<NowPiece>),
    /// Sessions of two sides.
    SessionJoin(Arc<SessionPiece>),
}

impl KeyedState {
    /// How many entries it has: windows of keys, keys, or rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            KeyedState::Windows(it) => it.size().0,
            KeyedState::Values(it) => it.len(),
            KeyedState::WindowJoin(it) => it.rows(),
            KeyedState::IntervalJoin(it) => it.rows(),
            KeyedState::TemporalJoin(it) => it.rows(),
            KeyedState::TableJoin(it) => it.rows(),
            KeyedState::TemporalNow(it) => it.rows(),
            KeyedState::SessionJoin(it) => it.rows(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts another number, written at some time, in the place of a key's, or takes the key out; what
    /// was there.
    pub fn set(&mut self, key: Key, to: (Option<i64>, i64)) -> Option<i64> {
        match self {
            KeyedState::Values(it) => process::set(Arc::make_mut(it), key, to),
            _ => None,
        }
    }

    /// Puts another number in place of each that a process function keeps.
    pub fn begin_at(&mut self, number: i64) {
        if let KeyedState::Values(it) = self {
            process::begin_at(Arc::make_mut(it), number);
        }
    }

    /// Whether another state is this one in the same place of memory.
    #[must_use]
    pub fn is_same(&self, other: Option<&KeyedState>) -> bool {
        use KeyedState as S;
        match (self, other) {
            (S::Windows(it), Some(S::Windows(other))) => Arc::ptr_eq(it, other),
            (S::Values(it), Some(S::Values(other))) => Arc::ptr_eq(it, other),
            (S::WindowJoin(it), Some(S::WindowJoin(other))) => Arc::ptr_eq(it, other),
            (S::IntervalJoin(it), Some(S::IntervalJoin(other))) => Arc::ptr_eq(it, other),
            (S::TemporalJoin(it), Some(S::TemporalJoin(other))) => Arc::ptr_eq(it, other),
            (S::TableJoin(it), Some(S::TableJoin(other))) => Arc::ptr_eq(it, other),
            (S::TemporalNow(it), Some(S::TemporalNow(other))) => Arc::ptr_eq(it, other),
            (S::SessionJoin(it), Some(S::SessionJoin(other))) => Arc::ptr_eq(it, other),
            _ => false,
        }
    }

    /// About how many bytes of memory it takes besides what it shares with another state of the same
    /// key group.
    #[must_use]
    pub fn unshared(&self, other: Option<&KeyedState>) -> usize {
        macro_rules! besides {
            ($($kind:ident),+) => {
                match (self, other) {
                    $((KeyedState::$kind(it), Some(KeyedState::$kind(other))) => {
                        it.unshared(Some(other))
                    }
                    (KeyedState::$kind(it), _) => it.unshared(None),)+
                    (KeyedState::Values(it), Some(KeyedState::Values(other))) => {
                        process::unshared(it, Some(other))
                    }
                    (KeyedState::Values(it), _) => process::unshared(it, None),
                }
            };
        }
        if self.is_same(other) {
            return 0;
        }
        besides!(
            Windows,
            WindowJoin,
            IntervalJoin,
            TemporalJoin,
            TableJoin,
            TemporalNow,
            SessionJoin
        )
    }
}
