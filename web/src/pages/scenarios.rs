//! The scenario files of the site: the list, and each on a workbench.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{CouldNotLoad, Loading};
use crate::app::page;
use crate::bench::{Bench, FullWorkbench, Opening, open_saved_or};
use crate::catalog::{self, ScenarioEntry};
use crate::host::{Recipe, open_session};
use crate::ui::coded;

/// The pace of stories that last a minute.
const SPEED: f64 = 1.0;
/// How long before the first fault of a story one looks at it, ns.
const EVE: u64 = 1_000_000_000;

/// The list.
#[component]
pub(crate) fn Scenarios() -> impl IntoView {
    page("Scenarios", false);
    let all = LocalResource::new(catalog::scenarios);
    view! {
        <div class="page" data-testid="scenarios">
            <div class="page-head">
                <h1>"Scenarios"</h1>
                <p>
                    "Failure stories, one file each. Each file says what happens and what must come
                    of it; the command line runs the same files as tests."
                </p>
            </div>
            {move || match all.get() {
                None => view! { <Loading /> }.into_any(),
                Some(Err(problem)) => view! { <CouldNotLoad problem /> }.into_any(),
                Some(Ok(list)) => view! { <List list /> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn List(list: Vec<ScenarioEntry>) -> impl IntoView {
    view! {
        <ul class="cards">
            {list
                .into_iter()
                .map(|s| {
                    view! {
                        <li>
                            <a class="card" href=format!("scenarios/{}", s.slug)>
                                <h2>{s.title}</h2>
                                <p class="small">{coded(&s.summary)}</p>
                            </a>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
}

/// One scenario.
#[component]
pub(crate) fn ScenarioPage() -> impl IntoView {
    page("Scenario", true);
    let params = use_params_map();
    let slug = move || params.with(|p| p.get("slug").unwrap_or_default());
    let found = LocalResource::new(move || catalog::scenario(slug()));
    move || match found.get() {
        None => view! { <Loading /> }.into_any(),
        Some(Err(problem)) => view! {
            <div class="page">
                <h1>"Scenario"</h1>
                <CouldNotLoad problem />
            </div>
        }
        .into_any(),
        Some(Ok((entry, text))) => view! { <Shown entry text /> }.into_any(),
    }
}

/// When to look at a story first: its cluster at work, shortly before something befalls it.
fn first_look(text: &str) -> u64 {
    let Ok(scenario) = open_session(Recipe::of(text.to_owned())).map(|s| s.scenario().clone())
    else {
        return crate::hero::BEGIN;
    };
    let entries = scenario.timeline.iter();
    let first = entries
        .filter_map(|e| e.trigger.times(scenario.duration).next())
        .min();
    first
        .map_or(crate::hero::BEGIN, |at| at.saturating_sub(EVE))
        .max(crate::hero::BEGIN)
}

#[component]
fn Shown(entry: ScenarioEntry, text: String) -> impl IntoView {
    page(&entry.title, true);
    let bench = Bench::new();
    let time = first_look(&text);
    open_saved_or(
        bench,
        Opening {
            keep_as: Some(format!("scenario.{}", entry.slug)),
            recipe: Recipe {
                time,
                ..Recipe::of(text)
            },
            speed: SPEED,
            autoplay: false,
        },
    );
    let lesson = entry.lesson.map(|slug| {
        view! {
            <p>
                <a href=format!("lessons/{slug}")>"The lesson it belongs to"</a>
            </p>
        }
    });
    view! {
        <div class="split" data-testid="scenario-page">
            <div class="column">
                <p class="eyebrow">
                    <a href="scenarios">"Scenarios"</a>
                </p>
                <h1>{entry.title}</h1>
                <p class="lead">{coded(&entry.summary)}</p>
                {lesson}
                <crate::bench::Verdicts />
            </div>
            <FullWorkbench />
        </div>
    }
}
