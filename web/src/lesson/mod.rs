//! Lessons on screen. A lesson arrives as JSON, compiled and checked by the `lessons` crate; each
//! kind of block is one component here.

use leptos::prelude::*;
use serde::Deserialize;

use crate::files;

/// A compiled lesson.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Lesson {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its title.
    pub(crate) title: String,
}

/// Fetches a lesson.
pub(crate) async fn load(slug: String) -> Result<Lesson, String> {
    let text = files::fetch_text(&format!("lessons/{slug}.json")).await?;
    serde_json::from_str(&text).map_err(|e| format!("The lesson “{slug}” cannot be read: {e}"))
}

/// The lesson's text with its live parts.
#[component]
pub(crate) fn LessonBlocks(lesson: Lesson) -> impl IntoView {
    view! {
        <h1>{lesson.title}</h1>
        <p class="muted">{lesson.slug}</p>
    }
}
