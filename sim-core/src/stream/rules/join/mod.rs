//! Joins of two inputs, keyed: what is kept, when a pair comes out, and when state goes.
//!
//! Follows Flink's `IntervalJoinOperator` ([`interval`]), `TemporalRowTimeJoinOperator`
//! ([`temporal`]), `TemporalProcessTimeJoinOperator` ([`temporal_now`], which is also how a stream is
//! joined with a table by its changelog), `WindowJoinOperator` ([`window`]), `JoinedStreams` with
//! session windows ([`session`]), `StreamingJoinOperator` ([`table`]), lookup joins with their cache
//! ([`lookup`]) and broadcast state ([`broadcast`]). Each operator is plain state that a node drives:
//! an element, a watermark or a moment of processing time goes in, rows come out. Which of two inputs
//! holds the watermark back is the node's matter
//! ([`watermark_combine`](super::watermark_combine)); so is passing the watermark on, which it does
//! after what the operator put out for it.

pub mod broadcast;
pub mod interval;
pub mod lookup;
pub mod retention;
pub mod session;
pub mod table;
pub mod temporal;
pub mod temporal_now;
pub mod window;

use serde::{Deserialize, Serialize};

/// One of the two inputs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Side {
    /// The first input.
    Left,
    /// The second input.
    Right,
}

/// `RowKind`: what a row of a changelog says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum RowKind {
    /// `+I`: a new row.
    #[default]
    Insert,
    /// `-U`: the row as it was before an update.
    UpdateBefore,
    /// `+U`: the row as it is after an update.
    UpdateAfter,
    /// `-D`: the row is gone.
    Delete,
}

impl RowKind {
    /// Whether the row is there from now on; otherwise it is taken back.
    #[must_use]
    pub fn is_accumulate(self) -> bool {
        matches!(self, Self::Insert | Self::UpdateAfter)
    }

    /// The kind as Flink writes it.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        }
    }

    /// The kind that Flink writes so.
    #[must_use]
    pub fn of_short(text: &str) -> Option<Self> {
        let all = [
            Self::Insert,
            Self::UpdateBefore,
            Self::UpdateAfter,
            Self::Delete,
        ];
        all.into_iter().find(|kind| kind.short() == text)
    }
}

/// A row that a join put out. `None` stands for a row of nulls, where an outer join found nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Joined<L, R> {
    /// Its kind, which is that of the row that set it off.
    pub kind: RowKind,
    /// The row of the left input.
    pub left: Option<L>,
    /// The row of the right input.
    pub right: Option<R>,
}
