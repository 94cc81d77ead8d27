//! A job beside another run of it: its state and what lies in the stores outside, which is where two
//! runs differ for those who read what the job puts out.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{JobRow, JobStore, JobView, event_time_words};

use super::draw;
pub(crate) use super::strip::values;
use crate::format::count;
use crate::tree::{El, Kid, el};
use crate::ui::keep;

/// One of the two.
#[component]
pub(crate) fn Beside(
    /// What is shown, at the moment of the page.
    job: RwSignal<Arc<Option<JobView>>>,
) -> impl IntoView {
    let (head, stores) = (
        NodeRef::<leptos::html::Div>::new(),
        NodeRef::<leptos::html::Div>::new(),
    );
    let read = move |draw: fn(&JobView) -> Vec<Kid>| {
        job.with(|it| it.as_ref().as_ref().map(draw).unwrap_or_default())
    };
    keep(head, move || read(draw::head));
    keep(stores, move || {
        read(|job| job.stores.iter().map(|it| store(it).into()).collect())
    });
    view! {
        <div class="group-head" node_ref=head></div>
        <div class="jb-stores" data-testid="compare-stores" node_ref=stores></div>
    }
}

fn store(it: &JobStore) -> El {
    let says = format!(
        "{} of {} rows visible to read_committed",
        count(it.visible),
        count(it.total)
    );
    let mut rows = el("ol").class("jb-rows");
    if it.first > 0 {
        let older = format!("{} older rows", count(it.first));
        rows = rows.with(el("li").class("muted").with(older));
    }
    el("section")
        .class("jb-store")
        .label(format!("Store {}", it.name))
        .with(el("h4").with(it.name.clone()))
        .with(el("p").class("muted").with(says))
        .with(rows.all(it.rows.iter().map(row)))
}

/// A row: what it says, and its state unless it is there for all to see.
fn row(it: &JobRow) -> El {
    let (class, state) = match (it.state, it.visible) {
        ("committed", true) => ("jb-stored", ""),
        ("committed", false) => ("jb-stored waits", "not visible yet"),
        ("open", _) => ("jb-stored open", "open"),
        (state, _) => ("jb-stored aborted", state),
    };
    let window = it.window.map(|(start, end)| {
        let (start, end) = (event_time_words(Some(start)), event_time_words(Some(end)));
        format!("{start} to {end}")
    });
    let key = format!("jb-key key key-{}", it.key_number % 6);
    el("li")
        .class(class)
        .with(el("span").class(key).with(it.key.clone()))
        .with(el("b").class("mono").with(it.value.clone()))
        .with(
            el("span")
                .class("mono muted")
                .with(window.unwrap_or_default()),
        )
        .with(el("span").class("jb-says").with(state))
}
