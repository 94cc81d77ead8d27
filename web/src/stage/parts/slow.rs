//! A view that changes less often than the one published: for texts read aloud and long lists.

use std::sync::Arc;
use std::time::Duration;

use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::*;
use sim_core::view::StageView;

use crate::stage::now_ms;

/// Follows `view`, changing at most once in `every_ms`; the last value always arrives.
pub(super) fn slow(view: Signal<Arc<StageView>>, every_ms: f64) -> Signal<Arc<StageView>> {
    let out = RwSignal::new(view.get_untracked());
    let last = StoredValue::new(f64::NEG_INFINITY);
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move || {
        let value = view.get();
        let wait = last.get_value() + every_ms - now_ms();
        if wait <= 0.0 {
            last.set_value(now_ms());
            out.set(value);
        } else if waiting.with_value(Option::is_none) {
            let publish = move || {
                // The page may be gone by now.
                let _ = waiting.try_set_value(None);
                let _ = last.try_set_value(now_ms());
                if let Some(value) = view.try_get_untracked() {
                    let _ = out.try_set(value);
                }
            };
            let wait = Duration::from_millis(wait as u64 + 1);
            waiting.set_value(set_timeout_with_handle(publish, wait).ok());
        }
    });
    on_cleanup(move || {
        if let Some(Some(handle)) = waiting.try_get_value() {
            handle.clear();
        }
    });
    out.into()
}
