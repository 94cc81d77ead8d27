//! The pages. Each is one module; what they share stands here.

mod build;
mod course;
mod fields;
mod home;
mod lesson;
mod not_found;
mod reference;
mod run;
mod sandbox;
mod scenarios;

use leptos::prelude::*;

pub(crate) use course::Course;
pub(crate) use home::Home;
pub(crate) use lesson::LessonPage;
pub(crate) use not_found::NotFound;
pub(crate) use reference::Reference;
pub(crate) use run::RunPage;
pub(crate) use sandbox::Sandbox;
pub(crate) use scenarios::{ScenarioPage, Scenarios};

/// Says that something could not be loaded, why, and what can be done.
#[component]
pub(crate) fn CouldNotLoad(
    /// What went wrong.
    problem: String,
) -> impl IntoView {
    let again = move |_| {
        // A reload that the browser refuses leaves the message standing.
        let _ = window().location().reload();
    };
    view! {
        <div class="banner harm" role="alert" data-testid="load-problem">
            <p>{problem}</p>
            <div class="actions">
                <button type="button" class="button small" on:click=again>
                    "Try again"
                </button>
            </div>
        </div>
    }
}

/// Shows that something is on its way.
#[component]
pub(crate) fn Loading() -> impl IntoView {
    view! { <p class="muted loading" role="status">"Loading…"</p> }
}
