//! The course: its lessons in order, by part.

use leptos::prelude::*;

use super::{CouldNotLoad, Loading};
use crate::app::page;
use crate::catalog::{self, LessonEntry};
use crate::store;

/// The page.
#[component]
pub(crate) fn Course() -> impl IntoView {
    page("Course", false);
    let all = LocalResource::new(catalog::lessons);
    view! {
        <div class="page" data-testid="course">
            <div class="page-head">
                <h1>"Course"</h1>
                <p>
                    "Each lesson asks what you expect before it shows what happens, and the engine
                    grades the answer. Nothing in a lesson is an animation: break it your own way,
                    rewind, and ask why."
                </p>
            </div>
            {move || match all.get() {
                None => view! { <Loading /> }.into_any(),
                Some(Err(problem)) => view! { <CouldNotLoad problem /> }.into_any(),
                Some(Ok(list)) => view! { <Parts list /> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn Parts(list: Vec<LessonEntry>) -> impl IntoView {
    let mut parts: Vec<(String, Vec<LessonEntry>)> = Vec::new();
    for lesson in list {
        match parts.last_mut() {
            Some((part, lessons)) if *part == lesson.part => lessons.push(lesson),
            _ => parts.push((lesson.part.clone(), vec![lesson])),
        }
    }
    parts
        .into_iter()
        .map(|(part, lessons)| {
            view! {
                <section class="course-part">
                    <h2>{part}</h2>
                    <ol class="course-list">
                        {lessons.into_iter().map(|l| view! { <Entry lesson=l /> }).collect_view()}
                    </ol>
                </section>
            }
        })
        .collect_view()
}

#[component]
fn Entry(lesson: LessonEntry) -> impl IntoView {
    let begun = store::kept(&format!("work.lesson.{}", lesson.slug)).is_some();
    let many = |n: u32, one: &str, more: &str| {
        (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { more }))
    };
    view! {
        <li>
            <a class="card" href=format!("lessons/{}", lesson.slug)>
                <h3>{lesson.title}</h3>
                <p class="small">{lesson.summary}</p>
                <p class="card-foot">
                    {(lesson.minutes > 0)
                        .then(|| {
                            view! { <span class="chip">{format!("{} min", lesson.minutes)}</span> }
                        })}
                    {[
                        many(lesson.predictions, "prediction", "predictions"),
                        many(lesson.claims, "executed claim", "executed claims"),
                    ]
                        .into_iter()
                        .flatten()
                        .map(|t| view! { <span class="chip">{t}</span> })
                        .collect_view()}
                    {begun.then(|| view! { <span class="chip sea">"begun"</span> })}
                </p>
            </a>
        </li>
    }
}
