//! Says aloud, to screen readers, what happens on the stage: captions, faults, elections,
//! violations. Discrete events only, a few words, at most one message every two seconds.

use std::time::Duration;

use leptos::prelude::*;

use super::{now_ms, use_bench};
use crate::format::spoken;

const LEAST_GAP_MS: f64 = 2_000.0;
const MARKS_AT_ONCE: usize = 3;

/// The live region.
#[component]
pub(crate) fn Announcer() -> impl IntoView {
    let bench = use_bench();
    let text = RwSignal::new(String::new());
    let said_until = StoredValue::new(0u64);
    let said_at = StoredValue::new(f64::MIN);
    // Counts the times that something had to wait until it could be said.
    let waited = RwSignal::new(0u32);
    let waiting = StoredValue::new(false);
    Effect::new(move |_| {
        bench.tick.track();
        waited.track();
        let now = bench.hud.with_untracked(|h| h.now);
        let last = said_until.get_value();
        if now < last {
            said_until.set_value(now);
            return;
        }
        let fresh = bench.ask(|s| {
            let fresh = s
                .marks()
                .into_iter()
                .filter(|m| m.time > last && m.time <= now);
            fresh.map(|m| (m.time, m.text)).collect::<Vec<_>>()
        });
        let Some(fresh) = fresh.filter(|f| !f.is_empty()) else {
            said_until.set_value(now);
            return;
        };
        let wait = said_at.get_value() + LEAST_GAP_MS - now_ms();
        if wait > 0.0 {
            // A run that stands by then publishes nothing that would bring it up again.
            if !waiting.get_value() {
                waiting.set_value(true);
                let due = Duration::from_millis(wait as u64 + 1);
                set_timeout(
                    move || {
                        // The page may have been left.
                        let _ = waiting.try_set_value(false);
                        let _ = waited.try_update(|n| *n = n.wrapping_add(1));
                    },
                    due,
                );
            }
            return;
        }
        said_until.set_value(now);
        said_at.set_value(now_ms());
        let skip = fresh.len().saturating_sub(MARKS_AT_ONCE);
        let words = fresh
            .iter()
            .skip(skip)
            .map(|(t, m)| format!("{m}, at {}.", spoken(*t)));
        text.set(words.collect::<Vec<_>>().join(" "));
    });
    view! {
        <div class="sr-only" role="status" data-testid="announcer">
            {move || text.get()}
        </div>
    }
}
