//! One queued timer for many deadlines.
//!
//! Deadlines of requests move with every request. Setting a timer for each would fill the queue, so
//! a single timer stands at the earliest deadline and is set anew when it fires.

use super::BrokerTimer;
use crate::kafka::node::KafkaCx;
use crate::kernel::{Nanos, TimerId};
use serde::Serialize;

/// A clock that drifts may fire early; the remaining wait must not shrink to nothing for ever.
const SHORTEST_WAIT: Nanos = 1_000;

/// When the timer stands, if it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Alarm {
    set: Option<(Nanos, TimerId)>,
}

impl Alarm {
    /// Makes sure that the timer fires at `at` or before.
    pub(super) fn by(&mut self, at: Nanos, timer: BrokerTimer, cx: &mut KafkaCx<'_>) {
        match self.set {
            Some((set, _)) if set <= at => return,
            Some((_, later)) => cx.cancel(later),
            None => {}
        }
        let wait = at.saturating_sub(cx.now()).max(SHORTEST_WAIT);
        self.set = Some((at, cx.set_timer(wait, timer.into())));
    }

    /// Moves the timer to `at`, earlier or later.
    pub(super) fn move_to(&mut self, at: Nanos, timer: BrokerTimer, cx: &mut KafkaCx<'_>) {
        if let Some((_, old)) = self.set.take() {
            cx.cancel(old);
        }
        self.by(at, timer, cx);
    }

    /// The timer fired.
    pub(super) fn fired(&mut self) {
        self.set = None;
    }

    /// Whether the timer stands.
    pub(super) fn is_set(&self) -> bool {
        self.set.is_some()
    }
}
