//! Messages under way as a list of buttons: the canvas for those who cannot point at it.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{Shape, StageView};
use wasm_bindgen::JsCast;

use super::slow::slow;
use crate::stage::scene::words;
use crate::stage::{MenuRequest, MenuTarget, Selection, shapes};

/// Rows at most; more cannot be read anyway.
const ROWS_MAX: usize = 100;

#[derive(Clone, PartialEq, Eq)]
struct Row {
    id: u64,
    shape: Shape,
    text: String,
}

fn rows(view: &StageView) -> (Vec<Row>, usize) {
    let mut tokens: Vec<_> = view.tokens.iter().collect();
    // What is held comes first: it waits for the learner.
    tokens.sort_by_key(|t| (!t.held, t.arrive, t.id));
    let more = tokens.len().saturating_sub(ROWS_MAX) + view.tokens_hidden as usize;
    let row = |t: &&sim_core::view::Token| Row {
        id: t.id,
        shape: t.shape,
        text: words::token(view, t),
    };
    (tokens.iter().take(ROWS_MAX).map(row).collect(), more)
}

/// The messages under way as a list of buttons, by arrival. Refreshed at most twice a second.
#[component]
pub fn TokensList(
    /// The world as of the last publication.
    #[prop(into)]
    view: Signal<Arc<StageView>>,
    /// What is picked; shared with the stage.
    selected: RwSignal<Option<Selection>>,
    /// Opens the menu of faults for a message.
    on_menu: Callback<MenuRequest>,
) -> impl IntoView {
    let view = slow(view, 500.0);
    let found = Memo::new(move |_| view.with(|v| rows(v)));
    let more = move || {
        let (shown, more) = found.with(|f| (f.0.len(), f.1));
        match (shown, more) {
            (0, _) => "No messages under way.".to_owned(),
            (_, 0) => String::new(),
            (_, n) => format!("and {n} more"),
        }
    };
    let row = move |row: Row| {
        let id = row.id;
        let picked = Memo::new(move |_| selected.get() == Some(Selection::Message(id)));
        let toggle =
            move |_| selected.set((!picked.get_untracked()).then_some(Selection::Message(id)));
        let menu = move |event: leptos::ev::MouseEvent| {
            let button = event
                .current_target()
                .and_then(|t| t.dyn_into::<web_sys::Element>().ok());
            if let Some(r) = button.map(|b| b.get_bounding_client_rect()) {
                let target = MenuTarget::Message(id);
                on_menu.run(MenuRequest {
                    target,
                    x: r.x(),
                    y: r.bottom(),
                });
            }
        };
        let faults = format!("Faults for {}", row.text);
        view! {
            <li class:picked=picked>
                <button
                    type="button"
                    class="st-token-row"
                    aria-pressed=move || picked.get().to_string()
                    on:click=toggle
                >
                    <svg viewBox="-11 -11 22 22" width="18" height="18" aria-hidden="true">
                        <path d=shapes::outline(row.shape) />
                    </svg>
                    <span>{row.text}</span>
                </button>
                <button
                    type="button"
                    class="st-token-menu"
                    aria-haspopup="menu"
                    aria-label=faults
                    on:click=menu
                >
                    "⋯"
                </button>
            </li>
        }
    };
    view! {
        <section class="stage-tokens" aria-label="Messages under way" data-testid="tokens-list">
            <ul>
                <For each=move || found.get().0 key=|r| (r.id, r.text.clone()) children=row />
            </ul>
            <p>{more}</p>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::fixture::{Situation, token_crowd, view};

    #[test]
    fn held_messages_come_first_and_the_list_ends() {
        let died = view(Situation::LeaderDied, 0);
        let (list, more) = rows(&died);
        assert_eq!((list.len(), more), (died.tokens.len(), 0));
        assert!(
            list[..4]
                .iter()
                .all(|r| r.text.ends_with("held at the cut link"))
        );
        assert!(list[4..].iter().all(|r| !r.text.contains("held")));
        let mut wide = view(Situation::Wide, 0);
        wide.tokens = token_crowd(&wide, 1_000);
        wide.tokens_hidden = 7;
        let (list, more) = rows(&wide);
        assert_eq!((list.len(), more), (100, 907));
    }
}
