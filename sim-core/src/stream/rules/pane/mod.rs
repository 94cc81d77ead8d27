//! Panes: what a window says early, on time and late, and how each is marked.
//!
//! Follows Apache Beam's `PaneInfo`, `PaneInfoTracker`, `ReduceFnRunner`, `WatermarkHold`,
//! `LateDataUtils` and the trigger state machines of `runners-core`. Unlike Flink, Beam's watermark T
//! says that all data *before* T has come, an element is judged late by its window alone, and sessions
//! that only touch stay apart. Left out: side inputs, custom windows, synchronized processing time.

pub mod runner;
pub mod strategy;
pub mod trigger;

#[cfg(test)]
mod tests;

use crate::stream::rules::assigner::{Assigner, Window};
use serde::Serialize;

/// `BoundedWindow.TIMESTAMP_MIN_VALUE`, ms: before all data.
pub const TIMESTAMP_MIN: i64 = i64::MIN / 1_000;
/// `BoundedWindow.TIMESTAMP_MAX_VALUE`, ms: the watermark at the end of the input.
pub const TIMESTAMP_MAX: i64 = i64::MAX / 1_000;
/// The last moment of the global window, ms: one day before the end of time, so that something can
/// still come after it.
pub const END_OF_GLOBAL_WINDOW: i64 = TIMESTAMP_MAX - 86_400_000;

/// The last moment of a window, ms.
#[must_use]
pub fn max_timestamp(window: &Window) -> i64 {
    window.max_timestamp().min(END_OF_GLOBAL_WINDOW)
}

/// After which input watermark a window is forgotten: `LateDataUtils.garbageCollectionTime`.
#[must_use]
pub fn expiry(window: &Window, allowed_lateness: i64) -> i64 {
    let end = max_timestamp(window).saturating_add(allowed_lateness);
    end.min(END_OF_GLOBAL_WINDOW)
}

/// The windows of an element. None lasts longer than the global window.
#[must_use]
pub fn assign(assigner: &Assigner, timestamp: i64) -> Vec<Window> {
    let mut windows = assigner.assign(timestamp);
    if *assigner != Assigner::Global {
        for it in &mut windows {
            it.end = it.end.min(END_OF_GLOBAL_WINDOW + 1);
        }
    }
    windows
}

/// When a pane came, seen from the watermark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Timing {
    /// Before the watermark passed the end of the window.
    Early,
    /// The one pane that came as the watermark passed it.
    OnTime,
    /// After that one.
    Late,
}

/// `PaneInfo`: which of a window's panes one is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct PaneInfo {
    /// Whether it is the first.
    pub first: bool,
    /// Whether no other can come.
    pub last: bool,
    /// When it came.
    pub timing: Timing,
    /// How many came before it.
    pub index: i64,
    /// How many that were not early came before it; -1 for an early one.
    pub non_speculative_index: i64,
}

impl PaneInfo {
    /// The pane after `previous`, of a window whose last moment is `end`: early as long as the input
    /// watermark has not passed it, then once on time, unless the output watermark has passed it too.
    #[must_use]
    pub fn next(
        previous: Option<&PaneInfo>,
        end: i64,
        input_watermark: i64,
        output_watermark: Option<i64>,
        last: bool,
    ) -> PaneInfo {
        let only_early = previous.is_none_or(|it| it.timing == Timing::Early);
        let late = output_watermark.is_some_and(|it| end < it) || !only_early;
        let timing = match (late, input_watermark <= end) {
            (true, _) => Timing::Late,
            (false, true) => Timing::Early,
            (false, false) => Timing::OnTime,
        };
        PaneInfo {
            first: previous.is_none(),
            last,
            timing,
            index: previous.map_or(0, |it| it.index + 1),
            non_speculative_index: match timing {
                Timing::Early => -1,
                _ => previous.map_or(0, |it| it.non_speculative_index + 1),
            },
        }
    }
}
