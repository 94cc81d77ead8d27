//! Watching what the browser decides: the room the stage has, and the theme.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, MediaQueryList, MutationObserver, MutationObserverInit, ResizeObserver};

/// Calls back with the width of an element and the height there is for it, at once and whenever
/// they change. The height is that of the scrolling parent, since the element's own follows from
/// the layout.
pub(super) fn on_resize(element: &Element, call: impl Fn(f64, f64) + 'static) {
    let watched = element.clone();
    let closure = Closure::<dyn FnMut()>::new(move || {
        let room = room_for(&watched);
        call(f64::from(watched.client_width()), room);
    });
    let Ok(observer) = ResizeObserver::new(closure.as_ref().unchecked_ref()) else {
        return;
    };
    observer.observe(element);
    if let Some(parent) = frame_of(element) {
        observer.observe(&parent);
    }
    let held = StoredValue::new_local((observer, closure));
    on_cleanup(move || {
        let _ = held.try_with_value(|(observer, _)| observer.disconnect());
    });
}

/// The element whose height bounds the stage: the nearest one marked as such, if there is one.
fn frame_of(element: &Element) -> Option<Element> {
    element.closest("[data-stage-frame]").ok().flatten()
}

/// Height to fill: that of the frame less what stands above and below the plane in it.
fn room_for(plane: &Element) -> f64 {
    let window = web_sys::window()
        .and_then(|w| w.inner_height().ok()?.as_f64())
        .unwrap_or(800.0);
    let Some(frame) = frame_of(plane) else {
        return window * 0.62;
    };
    let others = f64::from(plane.parent_element().map_or(0, |p| p.scroll_height()))
        - plane.get_bounding_client_rect().height();
    (f64::from(frame.client_height()) - others.clamp(0.0, 160.0)).max(240.0)
}

/// Calls back when colours may have changed: the page's theme, the system's, forced colours, or
/// the density of pixels.
pub(super) fn on_theme(call: impl Fn() + Clone + 'static) {
    let Some(window) = web_sys::window() else {
        return;
    };
    let closure = Closure::<dyn FnMut()>::new(move || call());
    let function: js_sys::Function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
    let mutations = MutationObserver::new(&function).ok();
    let root = window.document().and_then(|d| d.document_element());
    if let (Some(observer), Some(root)) = (&mutations, root) {
        let init = MutationObserverInit::new();
        init.set_attributes(true);
        let names = ["data-theme", "class", "style"].map(wasm_bindgen::JsValue::from);
        init.set_attribute_filter(&js_sys::Array::from_iter(names));
        // Fails only for an empty set of options.
        let _ = observer.observe_with_options(&root, &init);
    }
    let queries: Vec<MediaQueryList> = [
        "(prefers-color-scheme: dark)",
        "(forced-colors: active)",
        "(prefers-contrast: more)",
        "(min-resolution: 1.5dppx)",
        "(min-resolution: 2.5dppx)",
    ]
    .into_iter()
    .filter_map(|query| window.match_media(query).ok().flatten())
    .collect();
    for query in &queries {
        let _ = query.add_event_listener_with_callback("change", &function);
    }
    let held = StoredValue::new_local((mutations, queries, function, closure));
    on_cleanup(move || {
        let _ = held.try_with_value(|(mutations, queries, function, _)| {
            if let Some(observer) = mutations {
                observer.disconnect();
            }
            for query in queries {
                let _ = query.remove_event_listener_with_callback("change", function);
            }
        });
    });
}
