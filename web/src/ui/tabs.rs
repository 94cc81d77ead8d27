//! A row of tabs after the ARIA pattern: one stop for the Tab key, arrows move between tabs.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// One tab: its key (also the id of its panel, with `panel-` in front) and its label.
pub(crate) type TabSpec = (&'static str, &'static str);

/// The row of tabs. Panels are drawn by the caller, with `id="panel-<key>"`.
#[component]
pub(crate) fn Tabs(
    /// Tabs in order.
    #[prop(into)]
    tabs: Signal<Vec<TabSpec>>,
    /// The chosen one.
    chosen: RwSignal<&'static str>,
    /// What the row chooses.
    label: &'static str,
) -> impl IntoView {
    let go = move |ev: web_sys::KeyboardEvent| {
        let list = tabs.get_untracked();
        let at = list
            .iter()
            .position(|(k, _)| *k == chosen.get_untracked())
            .unwrap_or(0);
        let to = match ev.key().as_str() {
            "ArrowRight" => (at + 1) % list.len(),
            "ArrowLeft" => (at + list.len() - 1) % list.len(),
            "Home" => 0,
            "End" => list.len() - 1,
            _ => return,
        };
        ev.prevent_default();
        ev.stop_propagation();
        chosen.set(list[to].0);
        focus_by_id(&format!("tab-{}", list[to].0));
    };
    view! {
        <div class="segments" role="tablist" aria-label=label on:keydown=go>
            <For each=move || tabs.get() key=|t| t.0 let((key, text))>
                <button
                    type="button"
                    role="tab"
                    id=format!("tab-{key}")
                    data-testid=format!("tab-{key}")
                    aria-controls=format!("panel-{key}")
                    aria-selected=move || (chosen.get() == key).to_string()
                    tabindex=move || if chosen.get() == key { "0" } else { "-1" }
                    on:click=move |_| chosen.set(key)
                >
                    {text}
                </button>
            </For>
        </div>
    }
}

/// Moves the focus to the element with this id, if there is one.
pub(crate) fn focus_by_id(id: &str) {
    let element = document().get_element_by_id(id);
    if let Some(element) = element.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus();
    }
}
