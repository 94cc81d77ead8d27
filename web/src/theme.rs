//! Light, dark, or as the system has it. The choice is read before the first paint by `theme.js`.

use crate::store;

/// The theme that was chosen: `light`, `dark`, or nothing.
pub(crate) fn chosen() -> String {
    store::kept("theme").unwrap_or_default()
}

/// What the button says of it.
pub(crate) fn name(theme: &str) -> String {
    let name = match theme {
        "light" | "dark" => theme,
        _ => "as your system has it",
    };
    format!("Theme: {name}")
}

/// Goes from one to the next (system, light, dark) and returns which it is.
pub(crate) fn turn(theme: &str) -> &'static str {
    let next = match theme {
        "light" => "dark",
        "dark" => "",
        _ => "light",
    };
    let Some(window) = web_sys::window() else {
        return next;
    };
    let root = window.document().and_then(|d| d.document_element());
    let Some(root) = root else {
        return next;
    };
    if next.is_empty() {
        store::forget("theme");
        // Taking off an attribute that is not there is no error.
        let _ = root.remove_attribute("data-theme");
    } else {
        // A choice that cannot be kept still holds until the page is left.
        let _ = store::keep("theme", next);
        let _ = root.set_attribute("data-theme", next);
    }
    if let Ok(event) = web_sys::Event::new("strandline:theme") {
        // Listeners repaint what CSS does not reach; they refuse nothing.
        let _ = window.dispatch_event(&event);
    }
    next
}
