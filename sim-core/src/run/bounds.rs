//! What a run may take at most, whatever its scenario does.
//!
//! Reading a scenario estimates the size of its run, but predicates that set off deeds, and faults
//! that feed each other, are known only by running it. So a run counts what it executes and stops
//! where a bound is reached: it says so, and judges nothing that it did not reach.

use crate::scenario::limits;
use serde::Serialize;
use std::fmt;

/// The bounds of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Executed events.
    pub events: u64,
    /// Entries and captions set off by predicates.
    pub firings: u64,
    /// Records given to `send()`.
    pub records: u64,
}

impl Default for Bounds {
    /// The limits of the scenario language.
    fn default() -> Self {
        Bounds {
            events: limits::EVENTS,
            firings: limits::FIRINGS,
            records: limits::RECORDS,
        }
    }
}

/// Which bound a run came to, with its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// It executed so many events.
    Events(u64),
    /// Predicates set off so many entries and captions.
    Firings(u64),
    /// It sent so many records.
    Records(u64),
}

impl fmt::Display for Stopped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Events(count) => {
                write!(
                    out,
                    "stopped at {count} events, the most that a run may take"
                )
            }
            Stopped::Firings(count) => write!(
                out,
                "stopped at {count} firings of `when`, the most that a run may take: \
                 do entries of the timeline set each other off?"
            ),
            Stopped::Records(count) => {
                write!(
                    out,
                    "stopped at {count} records, the most that a run may send"
                )
            }
        }
    }
}
