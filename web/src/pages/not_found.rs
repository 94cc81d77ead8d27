//! The page for addresses that lead nowhere.

use leptos::prelude::*;

use crate::app::page;

/// The page.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    page("No page here", false);
    view! {
        <div class="page" data-testid="not-found">
            <div class="page-head">
                <h1>"No page here"</h1>
                <p>"The tide took it, or it never was."</p>
            </div>
            <p class="actions">
                <a class="button primary" href="./">
                    "To the start"
                </a>
                <a class="button" href="course">
                    "To the course"
                </a>
            </p>
        </div>
    }
}
