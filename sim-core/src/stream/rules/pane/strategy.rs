//! How windows with panes work.
//!
//! Follows Beam's `WindowingStrategy`, `Window.ClosingBehavior`, `Window.OnTimeBehavior` and
//! `TimestampCombiner`. Retracting is of the Dataflow paper; Beam's Java runners do not have it.

use super::trigger::Trigger;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::aggregate::Aggregate;
use serde::Serialize;

/// What becomes of a window's contents when it has spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Accumulation {
    /// They are forgotten: each pane says what is new.
    Discarding,
    /// They are kept: each pane says all.
    Accumulating,
    /// They are kept, and each pane takes back what the one before it said.
    Retracting,
}

/// Whether a pane without a new element is worth saying.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Empty {
    /// `FIRE_IF_NON_EMPTY`: no.
    Silent,
    /// `FIRE_ALWAYS`: yes.
    Said,
}

/// Which time a pane has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TimestampCombiner {
    /// That of its earliest element.
    Earliest,
    /// That of its latest element.
    Latest,
    /// The last moment of its window.
    EndOfWindow,
}

impl TimestampCombiner {
    /// The time that an element of a window that ends then brings.
    pub(super) fn assign(self, end: i64, timestamp: i64) -> i64 {
        match self {
            TimestampCombiner::EndOfWindow => end,
            _ => timestamp,
        }
    }

    /// The time of two elements together.
    pub(super) fn combine(self, one: i64, other: i64) -> i64 {
        match self {
            TimestampCombiner::Earliest => one.min(other),
            _ => one.max(other),
        }
    }
}

/// `WindowingStrategy`: how windows work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Strategy {
    /// Which windows there are.
    pub assigner: Assigner,
    /// When they speak.
    pub trigger: Trigger,
    /// What becomes of their contents then.
    pub accumulation: Accumulation,
    /// What they say.
    pub aggregate: Aggregate,
    /// How long after its end a window lives on, ms of event time.
    pub allowed_lateness: i64,
    /// Whether the last pane is said if it is empty.
    pub closing: Empty,
    /// Whether the pane on time is said if it is empty.
    pub on_time: Empty,
    /// Which time panes have.
    pub combiner: TimestampCombiner,
}

impl Strategy {
    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn validate(&self) -> Result<(), &'static str> {
        self.assigner.validate()?;
        self.trigger.validate()?;
        match self.allowed_lateness < 0 {
            true => Err("the allowed lateness cannot be negative"),
            false => Ok(()),
        }
    }
}
