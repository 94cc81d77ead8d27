//! The site's own parts: icons, dialog, notices, glossary. Their looks are in `assets/css`.

pub(crate) mod dialog;
pub(crate) mod glossary;
pub(crate) mod icons;
pub(crate) mod notices;
pub(crate) mod tabs;

pub(crate) use dialog::Dialog;
pub(crate) use icons::icon;
pub(crate) use notices::{Notices, Tone};

use leptos::html::ElementType;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::tree::{Grown, Kid};

/// A scenario's own words: what stands between backticks is code.
pub(crate) fn coded(words: &str) -> Vec<AnyView> {
    let parts = words.split('`').enumerate();
    let view = parts.map(|(at, part)| {
        let part = part.to_owned();
        match at % 2 {
            0 => part.into_any(),
            _ => view! { <code>{part}</code> }.into_any(),
        }
    });
    view.collect()
}

/// Keeps the children of an element as `draw` says (see [`crate::tree`]). The element has no others.
pub(crate) fn keep<E>(place: NodeRef<E>, draw: impl Fn() -> Vec<Kid> + 'static)
where
    E: ElementType + 'static,
    E::Output: JsCast + Clone + AsRef<web_sys::Node> + 'static,
{
    let grown = StoredValue::new_local(None::<Grown>);
    Effect::new(move || {
        let Some(element) = place.get() else { return };
        let kids = draw();
        grown.try_update_value(|grown| {
            let grown = grown.get_or_insert_with(|| Grown::within(element.as_ref()));
            grown.become_all(kids);
        });
    });
    // The element may be taken over by the next view of its kind, which knows nothing of these.
    on_cleanup(move || {
        grown.try_update_value(|grown| {
            if let Some(grown) = grown {
                grown.become_all(Vec::new());
            }
        });
    });
}
