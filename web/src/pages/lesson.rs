//! A lesson: its text in a column, its live parts on the workbench beside it.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{CouldNotLoad, Loading};
use crate::app::page;
use crate::bench::{Bench, FullWorkbench};
use crate::lesson::{Lesson, LessonBlocks, load};

/// The page.
#[component]
pub(crate) fn LessonPage() -> impl IntoView {
    page("Lesson", true);
    let params = use_params_map();
    let slug = Memo::new(move |_| params.with(|p| p.get("slug").unwrap_or_default()));
    let found = LocalResource::new(move || load(slug.get()));
    move || match found.get() {
        None => view! { <Loading /> }.into_any(),
        Some(Err(problem)) => view! {
            <div class="page">
                <h1>"Lesson"</h1>
                <CouldNotLoad problem />
                <p>
                    <a href="course">"All lessons"</a>
                </p>
            </div>
        }
        .into_any(),
        Some(Ok(lesson)) => view! { <Shown lesson /> }.into_any(),
    }
}

#[component]
fn Shown(lesson: Lesson) -> impl IntoView {
    page(&lesson.title, true);
    let bench = Bench::new();
    let follows = RwSignal::new(1);
    view! {
        <div class="split lesson" data-testid="lesson">
            <article class="column">
                <LessonBlocks bench lesson follows />
            </article>
            <FullWorkbench order=follows />
        </div>
    }
}
