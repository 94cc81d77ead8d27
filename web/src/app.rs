//! The frame around all pages: header, routes, footer; what happens on navigation (title, focus);
//! the theme.

use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::path;
use wasm_bindgen::JsCast;

use crate::base;
use crate::later::{self as second, Later, Pages};
use crate::pages::{Home, NotFound};
use crate::store;
use crate::ui::glossary::GlossaryPopover;
use crate::ui::icons::logo;
use crate::ui::notices::NoticeRegion;
use crate::ui::tabs::focus_by_id;
use crate::ui::{Notices, Tone, icon};

/// The parts of the site, in the order of the header: path, name.
const PARTS: [(&str, &str); 4] = [
    ("course", "Course"),
    ("sandbox", "Sandbox"),
    ("scenarios", "Scenarios"),
    ("reference", "Reference"),
];

/// What a page tells the frame about itself.
#[derive(Clone, Copy)]
pub(crate) struct PageFrame {
    /// The page is a workbench that fills the window: no footer.
    pub(crate) is_bench: RwSignal<bool>,
}

/// Sets the document's title and whether the page is a workbench. Each page calls it once.
pub(crate) fn page(title: &str, is_bench: bool) {
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

/// The whole site.
#[component]
pub(crate) fn App() -> impl IntoView {
    let frame = PageFrame {
        is_bench: RwSignal::new(false),
    };
    provide_context(frame);
    second::provide();
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
                        <Route path=path!("course") view=later(|p| p.course) />
                        <Route path=path!("lessons/:slug") view=later(|p| p.lesson) />
                        <Route path=path!("sandbox") view=later(|p| p.sandbox) />
                        <Route path=path!("scenarios") view=later(|p| p.scenarios) />
                        <Route path=path!("scenarios/:slug") view=later(|p| p.scenario) />
                        <Route path=path!("run") view=later(|p| p.run) />
                        <Route path=path!("reference") view=later(|p| p.reference) />
                    </Routes>
                </main>
                <Footer />
            </div>
            <NoticeRegion notices />
            <GlossaryPopover />
        </Router>
    }
}

/// A route's view that is loaded when it is wanted.
fn later(page: fn(&Pages) -> fn() -> AnyView) -> impl Fn() -> AnyView + Clone + Send + 'static {
    move || view! { <Later page /> }.into_any()
}

/// The first stop of the Tab key. It moves the focus itself: with a `<base>`, `#main` would be
/// another page.
#[component]
fn SkipLink() -> impl IntoView {
    view! {
        <button type="button" class="skip" on:click=|_| focus_by_id("main")>
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
    let location = use_location();
    let current = move |part: &str| {
        let path = location.pathname.get();
        let path = path.strip_prefix(base::path().as_str()).unwrap_or(&path);
        let first = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        (first == part || (part == "course" && first == "lessons")).then_some("page")
    };
    view! {
        <header class="site-header">
            <a class="brand" href="./" aria-label="Strandline, home">
                {logo()}
                <span>"Strandline"</span>
            </a>
            <nav class="site-nav" class:is-open=move || open.get() aria-label="Site">
                <ul class="site-nav-list">
                    {PARTS
                        .into_iter()
                        .map(|(href, name)| {
                            view! {
                                <li>
                                    <a
                                        href=href
                                        aria-current=move || current(href)
                                        on:click=move |_| open.set(false)
                                    >
                                        {name}
                                    </a>
                                </li>
                            }
                        })
                        .collect_view()}
                </ul>
            </nav>
            <div class="site-tools">
                <ThemeButton />
                <button
                    type="button"
                    class="icon-button nav-toggle"
                    aria-label="Menu"
                    aria-expanded=move || open.get().to_string()
                    on:click=move |_| open.update(|o| *o = !*o)
                >
                    {icon("menu")}
                </button>
            </div>
        </header>
    }
}

/// Goes through system, light, dark. The choice is read before the first paint by `theme.js`.
#[component]
fn ThemeButton() -> impl IntoView {
    let theme = RwSignal::new(store::kept("theme").unwrap_or_default());
    let name = move || match theme.get().as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "as your system has it",
    };
    let turn = move |_| {
        let next = match theme.get_untracked().as_str() {
            "light" => "dark",
            "dark" => "",
            _ => "light",
        };
        theme.set(next.to_owned());
        let Some(root) = document().document_element() else {
            return;
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
            let _ = window().dispatch_event(&event);
        }
    };
    view! {
        <button
            type="button"
            class="icon-button"
            data-testid="theme"
            aria-label=move || format!("Theme: {}", name())
            title=move || format!("Theme: {}", name())
            on:click=turn
        >
            {icon("theme")}
        </button>
    }
}

#[component]
fn Footer() -> impl IntoView {
    view! {
        <footer class="site-footer">
            <p>
                "Nothing is sent anywhere: the engine runs in your browser, and a run is its link."
            </p>
            <p>
                <a href="reference">"What is simulated, and what is left out"</a>
            </p>
        </footer>
    }
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
