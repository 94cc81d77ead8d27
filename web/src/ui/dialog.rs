//! A modal dialog on the browser's own `<dialog>`: it keeps the focus inside, closes on Escape and
//! gives the focus back to where it was.

use leptos::html;
use leptos::prelude::*;

use super::icon;

/// A modal dialog with a heading and a close button.
#[component]
pub(crate) fn Dialog(
    /// Whether it is open; closing it by any way sets this to false.
    open: RwSignal<bool>,
    /// Its heading.
    #[prop(into)]
    title: Signal<String>,
    /// For tests.
    testid: &'static str,
    /// Built when the dialog opens, dropped when it closes.
    children: ChildrenFn,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        if open.get() {
            // Fails only if it is open already.
            let _ = dialog.show_modal();
        } else {
            dialog.close();
        }
    });
    let heading = StoredValue::new(format!("{testid}-title"));
    view! {
        <dialog
            class="dialog"
            node_ref=node
            data-testid=testid
            aria-labelledby=heading.get_value()
            on:close=move |_| open.set(false)
            on:click=move |ev| {
                // A press on the backdrop reaches the dialog element itself.
                if ev.target() == ev.current_target() {
                    open.set(false);
                }
            }
        >
            <div class="dialog-head">
                <h2 id=heading.get_value()>{move || title.get()}</h2>
                <button
                    type="button"
                    class="icon-button"
                    aria-label="Close"
                    on:click=move |_| open.set(false)
                >
                    {icon("close")}
                </button>
            </div>
            <div class="dialog-body">
                {move || if open.get() { Some(children()) } else { None }}
            </div>
        </dialog>
    }
}
