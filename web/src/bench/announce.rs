//! Says aloud, to screen readers, what happens on the stage: captions, faults, elections,
//! violations. Discrete events only, a few words, at most one message every two seconds.

use std::time::Duration;

use leptos::prelude::*;

use super::pilot::Pilot;
use super::{now_ms, use_bench};
use crate::format::spoken;

const LEAST_GAP_MS: f64 = 2_000.0;
const MARKS_AT_ONCE: usize = 3;

/// What is to be said of a run at a moment.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Aloud {
    /// Nothing new.
    Nothing,
    /// Something, but not before so many ms have gone.
    Wait(f64),
    /// These words.
    Say(String),
}

/// How far the telling has come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Telling {
    until: u64,
    at_ms: f64,
}

impl Telling {
    /// Nothing is told yet.
    pub(crate) fn new() -> Telling {
        Telling {
            until: 0,
            at_ms: f64::MIN,
        }
    }

    /// What to say now. `clock_ms` is a monotonic clock.
    pub(crate) fn next(&mut self, pilot: &impl Pilot, clock_ms: f64) -> Aloud {
        let last = self.until;
        let found = pilot.ask(|s| {
            let now = s.now();
            let fresh = s.marks_after(Some(last)).into_iter();
            let fresh = fresh.filter(|m| m.time <= now);
            (now, fresh.map(|m| (m.time, m.text)).collect::<Vec<_>>())
        });
        let Some((now, fresh)) = found else {
            return Aloud::Nothing;
        };
        let wait = self.at_ms + LEAST_GAP_MS - clock_ms;
        if !fresh.is_empty() && wait > 0.0 {
            return Aloud::Wait(wait);
        }
        self.until = now;
        if fresh.is_empty() {
            return Aloud::Nothing;
        }
        self.at_ms = clock_ms;
        let skip = fresh.len().saturating_sub(MARKS_AT_ONCE);
        let words = fresh
            .iter()
            .skip(skip)
            .map(|(t, m)| format!("{m}, at {}.", spoken(*t)));
        Aloud::Say(words.collect::<Vec<_>>().join(" "))
    }
}

/// The live region.
#[component]
pub(crate) fn Announcer() -> impl IntoView {
    let bench = use_bench();
    let text = RwSignal::new(String::new());
    let telling = StoredValue::new(Telling::new());
    // Counts the times that something had to wait until it could be said.
    let waited = RwSignal::new(0u32);
    let waiting = StoredValue::new(false);
    Effect::new(move |_| {
        bench.tick.track();
        waited.track();
        let next = telling.try_update_value(|t| t.next(&bench, now_ms()));
        match next {
            None | Some(Aloud::Nothing) => {}
            Some(Aloud::Say(words)) => text.set(words),
            // A run that stands by then publishes nothing that would bring it up again.
            Some(Aloud::Wait(ms)) if !waiting.get_value() => {
                waiting.set_value(true);
                let due = Duration::from_millis(ms as u64 + 1);
                set_timeout(
                    move || {
                        // The page may have been left.
                        let _ = waiting.try_set_value(false);
                        let _ = waited.try_update(|n| *n = n.wrapping_add(1));
                    },
                    due,
                );
            }
            Some(Aloud::Wait(_)) => {}
        }
    });
    view! {
        <div class="sr-only" role="status" data-testid="announcer">
            {move || text.get()}
        </div>
    }
}
