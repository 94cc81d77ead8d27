//! Listening to the page's events outside of the application's views.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, Event, EventTarget};

/// A listener, which listens until it is dropped.
pub(crate) struct Listener {
    target: EventTarget,
    kind: &'static str,
    closure: Closure<dyn FnMut(Event)>,
}

impl Listener {
    /// Calls `call` for each event of this kind at `target` or within it, as events of the type
    /// that the browser sends for this kind.
    pub(crate) fn on<E: JsCast>(
        target: &EventTarget,
        kind: &'static str,
        mut call: impl FnMut(&E) + 'static,
    ) -> Listener {
        let heard = move |event: Event| {
            if let Some(event) = event.dyn_ref::<E>() {
                call(event);
            }
        };
        let closure = Closure::<dyn FnMut(Event)>::new(heard);
        // Fails for no kind of event.
        let _ = target.add_event_listener_with_callback(kind, closure.as_ref().unchecked_ref());
        Listener {
            target: target.clone(),
            kind,
            closure,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self
            .target
            .remove_event_listener_with_callback(self.kind, self.closure.as_ref().unchecked_ref());
    }
}

/// The nearest element around an event that has this attribute, with its value.
pub(crate) fn marked(event: &Event, attribute: &str) -> Option<(Element, String)> {
    let element: Element = event.target()?.dyn_into().ok()?;
    let element = element.closest(&format!("[{attribute}]")).ok()??;
    let value = element.get_attribute(attribute)?;
    Some((element, value))
}
