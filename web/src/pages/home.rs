//! The home page inside the application. The page itself is drawn and run by [`crate::hero`], from
//! before the application was there; here it gets what the application has beyond that.

use std::sync::Arc;

use leptos::html;
use leptos::mount::mount_to;
use leptos::prelude::*;
use sim_core::view::StageView;
use web_sys::Event;

use crate::app::announce_page;
use crate::bench::Words;
use crate::hero::{self, Guest, Home as Running};
use crate::listen::Listener;
use crate::stage::Selection;
use crate::ui::{Notices, Tone};

/// The page.
#[component]
pub(crate) fn Home() -> impl IntoView {
    announce_page("", true);
    let notices = expect_context::<Notices>();
    let place = NodeRef::<html::Div>::new();
    let view = RwSignal::new(Arc::<StageView>::default());
    let selected = RwSignal::new(None);
    let running = StoredValue::new_local(None::<Running>);
    Effect::new(move || {
        let Some(home) = place.get().and_then(|place| hero::settle(&place)) else {
            return;
        };
        home.receive(Guest {
            say: Box::new(move |text| notices.say(Tone::Sea, text)),
            // The page may be gone by then.
            shown: Box::new(move |shown| drop(view.try_set(shown))),
            picked: Box::new(move |picked| drop(selected.try_set(picked))),
        });
        in_words(&home, view, selected);
        running.set_value(Some(home));
    });
    Effect::new(move || {
        let picked = selected.get();
        running.with_value(|home| {
            if let Some(home) = home {
                home.select(picked);
            }
        });
    });
    on_cleanup(move || {
        if let Some(home) = running.try_update_value(Option::take).flatten() {
            home.end();
        }
    });
    view! { <div class="home-place" node_ref=place></div> }
}

/// The stage in words, written while it is unfolded.
fn in_words(home: &Running, view: RwSignal<Arc<StageView>>, selected: RwSignal<Option<Selection>>) {
    let Some((fold, place)) = home.words() else {
        return;
    };
    let open = RwSignal::new(fold.has_attribute("open"));
    let watched = fold.clone();
    let listener = Listener::on::<Event>(&fold, "toggle", move |_| {
        let _ = open.try_set(watched.has_attribute("open"));
    });
    let on_menu = Callback::new(|_| {});
    let words = mount_to(place, move || {
        view! {
            <Show when=move || open.get()>
                <Words view selected on_menu />
            </Show>
        }
    });
    let held = StoredValue::new_local(Some((listener, words)));
    on_cleanup(move || {
        let _ = held.try_update_value(Option::take);
    });
}
