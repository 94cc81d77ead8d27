//! The part of the site that is loaded when it is wanted: every page but the home page, and with
//! them everything that a workbench has beyond the one of the home page.
//!
//! [`pages`] is the border. In a release the build cuts the module there in two
//! (`xtask/src/dist/split.rs`), and the first call of [`pages`] loads the second half. Nothing in
//! the first half may name what should lie in the second: it gets there through [`Pages`] alone.
//! In a development build there is one module, and the call is a plain one.

use leptos::prelude::*;

use crate::pages::{CouldNotLoad, Loading};

/// The pages of the second half.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    /// All lessons.
    pub(crate) course: fn() -> AnyView,
    /// One lesson.
    pub(crate) lesson: fn() -> AnyView,
    /// A cluster of one's own.
    pub(crate) sandbox: fn() -> AnyView,
    /// All scenarios.
    pub(crate) scenarios: fn() -> AnyView,
    /// One scenario.
    pub(crate) scenario: fn() -> AnyView,
    /// A run from a link.
    pub(crate) run: fn() -> AnyView,
    /// What is simulated, terms, keys.
    pub(crate) reference: fn() -> AnyView,
}

/// The second half could not be loaded. The browser's console has the cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotLoaded;

#[cfg(split)]
impl From<leptos::wasm_split::SplitLoaderError> for NotLoaded {
    fn from(_: leptos::wasm_split::SplitLoaderError) -> Self {
        NotLoaded
    }
}

#[cfg(split)]
#[leptos::wasm_split::wasm_split(pages, wasm_split_path = leptos::wasm_split, fallible)]
fn pages() -> Result<Pages, NotLoaded> {
    Ok(crate::pages::all())
}

#[cfg(not(split))]
async fn pages() -> Result<Pages, NotLoaded> {
    Ok(crate::pages::all())
}

type Loaded = Option<Result<Pages, NotLoaded>>;

/// The second half, as far as it is there. One for the whole site.
#[derive(Clone, Copy)]
struct Second(RwSignal<Loaded>);

/// Provides what [`Later`] needs. Called once, by the frame around all pages.
pub(crate) fn provide() {
    provide_context(Second(RwSignal::new(None)));
}

/// A page of the second half, loaded if need be.
#[component]
pub(crate) fn Later(
    /// Which.
    page: fn(&Pages) -> fn() -> AnyView,
) -> impl IntoView {
    let Second(loaded) = expect_context::<Second>();
    if !matches!(loaded.get_untracked(), Some(Ok(_))) {
        loaded.set(None);
        leptos::task::spawn_local(async move {
            let got = pages().await;
            // The visitor may have closed the site meanwhile.
            let _ = loaded.try_set(Some(got));
        });
    }
    move || match loaded.get() {
        None => view! { <Loading /> }.into_any(),
        Some(Ok(pages)) => page(&pages)(),
        Some(Err(NotLoaded)) => view! {
            <div class="page">
                <CouldNotLoad problem="This part of the site could not be loaded. Are you offline?"
                    .to_owned() />
            </div>
        }
        .into_any(),
    }
}
