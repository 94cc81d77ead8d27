//! Watching what the browser decides: the room the stage has, and the theme.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{
    Element, HtmlElement, MediaQueryList, MutationObserver, MutationObserverInit, ResizeObserver,
};

/// Something that is watched until this is dropped.
pub(crate) struct Watch {
    /// Kept, since the browser calls it.
    _closure: Closure<dyn FnMut()>,
    end: Option<Box<dyn FnOnce()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

/// Calls back with the width of an element and the height there is for it, at once and whenever
/// they change. The height is that of the scrolling parent, since the element's own follows from
/// the layout.
pub(crate) fn on_resize(element: &Element, call: impl Fn(f64, f64) + 'static) -> Option<Watch> {
    let watched = element.clone();
    let frame = frame_of(element);
    let bounds = frame.clone();
    let closure = Closure::<dyn FnMut()>::new(move || {
        let room = room_for(&watched, bounds.as_ref());
        call(f64::from(watched.client_width()), room);
    });
    let observer = ResizeObserver::new(closure.as_ref().unchecked_ref()).ok()?;
    observer.observe(element);
    if let Some(frame) = &frame {
        observer.observe(frame);
    }
    Some(Watch {
        _closure: closure,
        end: Some(Box::new(move || observer.disconnect())),
    })
}

/// The element whose height bounds the stage: the nearest one marked as such, or else the nearest
/// that scrolls by itself. The page's own scrolling does not count.
fn frame_of(element: &Element) -> Option<Element> {
    if let Some(marked) = element.closest("[data-stage-frame]").ok().flatten() {
        return Some(marked);
    }
    let window = web_sys::window()?;
    let mut at = element.parent_element();
    while let Some(parent) = at.filter(|e| e.tag_name() != "BODY") {
        let style = window.get_computed_style(&parent).ok().flatten();
        let overflow = style.and_then(|s| s.get_property_value("overflow-y").ok());
        if overflow.is_some_and(|o| o == "auto" || o == "scroll") {
            return Some(parent);
        }
        at = parent.parent_element();
    }
    None
}

/// Height to fill: that of the frame less what stands with the plane in it. A frame that grows with
/// its content bounds nothing; that shows when the plane is folded for a moment.
fn room_for(plane: &Element, frame: Option<&Element>) -> f64 {
    let window = web_sys::window()
        .and_then(|w| w.inner_height().ok()?.as_f64())
        .unwrap_or(800.0);
    let unbounded = window * 0.62;
    let (Some(frame), Some(plane)) = (frame, plane.dyn_ref::<HtmlElement>()) else {
        return unbounded;
    };
    let section = plane.closest(".stage").ok().flatten();
    let (style, whole) = (plane.style(), frame.client_height());
    let height = style.get_property_value("height").unwrap_or_default();
    // These fail only for malformed values.
    let _ = style.set_property("height", "0px");
    let folded = frame.client_height();
    let others = section.map_or(0.0, |s| s.get_bounding_client_rect().height());
    let _ = style.set_property("height", &height);
    if folded < whole {
        return unbounded;
    }
    (f64::from(whole) - others - 4.0).max(240.0)
}

/// Calls back when colours may have changed: the page's theme, the system's, forced colours, or
/// the density of pixels.
pub(super) fn on_theme(call: impl Fn() + 'static) -> Option<Watch> {
    let window = web_sys::window()?;
    let closure = Closure::<dyn FnMut()>::new(call);
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
    let end = move || {
        if let Some(observer) = mutations {
            observer.disconnect();
        }
        for query in queries {
            let _ = query.remove_event_listener_with_callback("change", &function);
        }
    };
    Some(Watch {
        _closure: closure,
        end: Some(Box::new(end)),
    })
}
