//! The frame around all pages: header, routes, footer; what happens on navigation (title, focus);
//! the theme.

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::path;
use wasm_bindgen::JsCast;

use crate::listen::marked;
use crate::pages::{
    Course, Home, LessonPage, NotFound, Reference, RunPage, Sandbox, ScenarioPage, Scenarios,
};
use crate::ui::glossary::GlossaryPopover;
use crate::ui::notices::NoticeRegion;
use crate::ui::tabs::focus_by_id;
use crate::ui::{Notices, Tone, keep};
use crate::{base, hero, theme};

/// What a page tells the frame about itself.
#[derive(Clone, Copy)]
pub(crate) struct PageFrame {
    /// The page is a workbench that fills the window: no footer.
    pub(crate) is_bench: RwSignal<bool>,
}

/// Sets the document's title and whether the page is a workbench. Each page calls it once; what
/// stood in its place while the application was loaded goes.
pub(crate) fn page(title: &str, is_bench: bool) {
    announce_page(title, is_bench);
    hero::retire();
}

/// As [`page`], for the page that takes over what stood in its place.
pub(crate) fn announce_page(title: &str, is_bench: bool) {
    let full = if title.is_empty() {
        "Strandline".to_owned()
    } else {
        format!("{title} · Strandline")
    };
    document().set_title(&full);
    if let Some(frame) = use_context::<PageFrame>() {
        frame.is_bench.set(is_bench);
    }
}

/// Puts the whole site into the page.
pub(crate) fn mount() {
    mount_to_body(App);
}

/// The whole site.
#[component]
fn App() -> impl IntoView {
    let frame = PageFrame {
        is_bench: RwSignal::new(false),
    };
    provide_context(frame);
    let notices = Notices::provide();
    offer_update(notices);
    view! {
        <Router base=base::path()>
            <div class="site" class:is-bench=move || frame.is_bench.get()>
                <SkipLink />
                <Header />
                <main id="main" tabindex="-1">
                    <FocusOnNavigation />
                    <Routes fallback=|| view! { <NotFound /> }>
                        <Route path=path!("") view=Home />
                        <Route path=path!("course") view=Course />
                        <Route path=path!("lessons/:slug") view=LessonPage />
                        <Route path=path!("sandbox") view=Sandbox />
                        <Route path=path!("scenarios") view=Scenarios />
                        <Route path=path!("scenarios/:slug") view=ScenarioPage />
                        <Route path=path!("run") view=RunPage />
                        <Route path=path!("reference") view=Reference />
                    </Routes>
                </main>
                <Footer />
            </div>
            <NoticeRegion notices />
            <GlossaryPopover />
        </Router>
    }
}

/// The first stop of the Tab key. It moves the focus itself: with a `<base>`, `#main` would be
/// another page.
#[component]
fn SkipLink() -> impl IntoView {
    view! {
        <button type="button" class="skip" data-act="skip" on:click=|_| focus_by_id("main")>
            "Skip to the content"
        </button>
    }
}

/// After a navigation within the site the focus goes to the new page's heading, as it would to the
/// top of a document that was loaded.
#[component]
fn FocusOnNavigation() -> impl IntoView {
    let location = use_location();
    Effect::new(move |before: Option<String>| {
        let path = location.pathname.get();
        if before.is_some_and(|b| b != path) {
            request_animation_frame(|| {
                let heading = document().query_selector("main h1").ok().flatten();
                match heading.and_then(|h| h.dyn_into::<web_sys::HtmlElement>().ok()) {
                    Some(heading) => {
                        heading.set_tab_index(-1);
                        // A heading that cannot take the focus leaves it on the link.
                        let _ = heading.focus();
                    }
                    None => focus_by_id("main"),
                }
            });
        }
        path
    });
}

#[component]
fn Header() -> impl IntoView {
    let open = RwSignal::new(false);
    let chosen = RwSignal::new(theme::chosen());
    let location = use_location();
    let place = NodeRef::<html::Header>::new();
    keep(place, move || {
        let part = hero::part(&location.pathname.get());
        hero::header(&part, open.get(), &chosen.get())
    });
    let click = move |event: web_sys::MouseEvent| {
        match marked(&event, "data-act").map(|(_, act)| act).as_deref() {
            Some("menu") => open.update(|open| *open = !*open),
            Some("theme") => chosen.set(theme::turn(&chosen.get_untracked()).to_owned()),
            // Whoever has chosen a page needs the list no longer.
            _ if marked(&event, "href").is_some() => open.set(false),
            _ => {}
        }
    };
    view! { <header class="site-header" node_ref=place on:click=click></header> }
}

#[component]
fn Footer() -> impl IntoView {
    let place = NodeRef::<html::Footer>::new();
    keep(place, hero::footer);
    view! { <footer class="site-footer" node_ref=place></footer> }
}

/// Offers a reload when a newer version of the site waits (see `boot.js`).
fn offer_update(notices: Notices) {
    let offer = move || {
        notices.offer(
            Tone::Sea,
            "A newer version of Strandline is ready.",
            "Reload",
            || {
                take_update();
            },
        );
    };
    if document()
        .document_element()
        .is_some_and(|e| e.get_attribute("data-update").is_some())
    {
        offer();
    }
    let handle = window_event_listener_untyped("strandline:update", move |_| offer());
    on_cleanup(move || handle.remove());
}

/// Lets the waiting version take over, then loads the page again.
fn take_update() {
    leptos::task::spawn_local(async {
        let workers = window().navigator().service_worker();
        let found = wasm_bindgen_futures::JsFuture::from(workers.get_registration()).await;
        let waiting = found
            .ok()
            .and_then(|r| r.dyn_into::<web_sys::ServiceWorkerRegistration>().ok())
            .and_then(|r| r.waiting());
        if let Some(worker) = waiting {
            // A worker that does not listen is replaced on the next visit anyway.
            let _ = worker.post_message(&"take-over".into());
        }
        let _ = window().location().reload();
    });
}
