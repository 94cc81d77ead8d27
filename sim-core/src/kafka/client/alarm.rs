//! One queued timer for many deadlines.
//!
//! Deadlines move with every request. A timer for each would fill the queue, so one timer stands at
//! the earliest deadline ever asked for and is set anew when it fires. Not in Kafka, whose clients
//! compute a timeout for each `poll` of their selector.

use super::NEVER;
use crate::kafka::node::{KafkaCx, Timer};
use crate::kernel::{MICROSECOND, Nanos, TimerId};
use serde::Serialize;

/// A clock that runs fast fires early; what then remains to wait must not shrink for ever.
const SHORTEST_WAIT: Nanos = MICROSECOND;

/// When the timer stands, if it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(in crate::kafka) struct Alarm {
    set: Option<(Nanos, TimerId)>,
}

impl Alarm {
    /// Makes sure that the timer fires at `at` or before; [`NEVER`] asks for nothing.
    pub(in crate::kafka) fn by(&mut self, at: Nanos, timer: Timer, cx: &mut KafkaCx<'_>) {
        if at == NEVER {
            return;
        }
        match self.set {
            Some((set, _)) if set <= at => return,
            Some((_, later)) => cx.cancel(later),
            None => {}
        }
        let wait = at.saturating_sub(cx.now());
        // At once is at once; only a remainder is rounded up.
        let wait = if wait == 0 {
            0
        } else {
            wait.max(SHORTEST_WAIT)
        };
        self.set = Some((at, cx.set_timer(wait, timer)));
    }

    /// The timer fired.
    pub(in crate::kafka) fn fired(&mut self) {
        self.set = None;
    }
}
