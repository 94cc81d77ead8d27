//! Lessons on screen. A lesson arrives as JSON, compiled and checked by the `lessons` crate; each
//! kind of block is one component here. All blocks of a lesson share the page's workbench: a block
//! puts its scenario on stage, and knows whether it is there.

mod claim;
mod model;
mod predict;
mod sim;
mod twin;

use leptos::prelude::*;

use crate::bench::{Bench, Opening, open_saved_or};
use crate::catalog;
use crate::files;
use crate::host::{self, Recipe};
use crate::stage::Zoom;
use crate::store;
use crate::ui::glossary::GLOSSARY;

pub(crate) use model::Lesson;
use model::{Block, Predict, speed, time};

/// Speed where a lesson names none: slow enough to see messages.
const SPEED: f64 = 0.05;

/// Fetches a lesson.
pub(crate) async fn load(slug: String) -> Result<Lesson, String> {
    let text = files::fetch_text(&format!("lessons/{slug}.json")).await?;
    serde_json::from_str(&text).map_err(|e| format!("The lesson “{slug}” cannot be read: {e}"))
}

/// The lesson on the page, shared by its blocks.
#[derive(Clone, Copy)]
struct Shown {
    bench: Bench,
    lesson: StoredValue<Lesson>,
    /// The scenario file on stage, if it is one of the lesson's.
    on_stage: RwSignal<Option<String>>,
    /// The prediction that the run waits for.
    waiting: RwSignal<Option<String>>,
    /// Predictions that were locked in on this visit (the browser may keep nothing).
    locked: RwSignal<Vec<String>>,
    /// Where the workbench stands in the order of the blocks, on a narrow window.
    follows: RwSignal<i32>,
}

/// The place of a block in the order of a narrow window; between two places there is room for the
/// workbench.
fn place(block: usize) -> i32 {
    i32::try_from(block).unwrap_or(i32::MAX / 4) * 2 + 2
}

impl Shown {
    /// Moves the workbench below a block and, on a narrow window, into view.
    fn follow(self, block: usize) {
        self.follows.set(place(block) + 1);
        if crate::bench::narrow() {
            request_animation_frame(|| {
                if let Ok(Some(bench)) = document().query_selector(".workbench") {
                    bench.scroll_into_view();
                }
            });
        }
    }

    /// Puts a scenario on stage at its beginning, with gates before the predictions that are still
    /// to be made. False if the engine refuses it (which the build has ruled out).
    fn stage(self, name: &str) -> bool {
        let opened = self.lesson.with_value(|l| {
            let sim = l.sim_of(name);
            let from = sim.and_then(|s| time(s.from.as_deref()?)).unwrap_or(0);
            let pace = sim
                .and_then(|s| speed(s.speed.as_deref()?))
                .unwrap_or(SPEED);
            let text = l.scenario_text(name)?;
            Some((
                Recipe {
                    time: from,
                    ..Recipe::of(text)
                },
                pace,
            ))
        });
        let Some((recipe, pace)) = opened else {
            return false;
        };
        if !self.bench.open(recipe, pace) {
            return false;
        }
        self.set_up(name);
        true
    }

    /// What goes with a scenario that is on stage: gates, stop, controls, lane.
    fn set_up(self, name: &str) {
        self.on_stage.set(Some(name.to_owned()));
        self.waiting.set(None);
        let (until, controls, lanes) = self.lesson.with_value(|l| {
            let sim = l.sim_of(name);
            (
                sim.and_then(|s| time(s.until.as_deref()?)),
                sim.map(|s| s.controls.clone()).unwrap_or_default(),
                sim.map(|s| s.lanes.clone()).unwrap_or_default(),
            )
        });
        self.set_gates(name);
        self.bench.host(|h| h.set_stop_at(until));
        self.bench.controls.set(controls);
        self.bench.zoom.set(match lanes.as_slice() {
            [one] => Zoom::Lane(one.clone()),
            _ => Zoom::All,
        });
    }

    /// Lets the run wait before the predictions on a scenario that are still to be made.
    fn set_gates(self, name: &str) {
        let gates = self.lesson.with_value(|l| {
            let text = l.scenarios.get(name).cloned().unwrap_or_default();
            let open = l
                .predictions_of(name)
                .enumerate()
                .filter(|(_, p)| !self.made(&p.id));
            open.filter_map(|(i, p)| Some((i as u32, host::predicate(&text, &p.before).ok()?)))
                .collect()
        });
        self.bench.host(|h| h.set_gates(gates));
    }

    /// Under which key a prediction is kept.
    fn key(self, id: &str) -> String {
        self.lesson
            .with_value(|l| format!("predict.{}.{id}", l.slug))
    }

    /// Whether a prediction was made already, now or on an earlier visit.
    fn made(self, id: &str) -> bool {
        self.locked.with_untracked(|l| l.iter().any(|l| l == id))
            || store::kept(&self.key(id)).is_some()
    }
}

/// The lesson's text with its live parts.
#[component]
pub(crate) fn LessonBlocks(
    bench: Bench,
    lesson: Lesson,
    /// Set to the workbench's place among the blocks on a narrow window.
    follows: RwSignal<i32>,
) -> impl IntoView {
    let shown = Shown {
        bench,
        lesson: StoredValue::new(lesson.clone()),
        on_stage: RwSignal::new(None),
        waiting: RwSignal::new(None),
        locked: RwSignal::new(Vec::new()),
        follows,
    };
    provide_context(shown);
    open_first(shown, &lesson);
    watch_gates(shown);
    let mut terms = Vec::new();
    let mut twins = lesson.twins.clone().into_iter();
    let blocks = lesson
        .blocks
        .iter()
        .enumerate()
        .map(|(at, block)| {
            let body = match block.clone() {
                Block::Prose { html } => {
                    let html = explained(&html, &mut terms);
                    view! { <div class="prose" inner_html=html></div> }.into_any()
                }
                Block::Sim(sim) => view! { <sim::SimBlock shown at sim /> }.into_any(),
                Block::Predict(predict) => {
                    view! { <predict::PredictBlock shown at predict /> }.into_any()
                }
                Block::Twin(twin) => {
                    let found = twins.next();
                    view! { <twin::TwinBlock shown at twin found /> }.into_any()
                }
                // Captions speak on the stage, at their moments.
                Block::Caption(_) => return ().into_any(),
                Block::Claim(claim) => view! { <claim::ClaimBlock shown claim /> }.into_any(),
            };
            view! {
                <div class="lesson-block" style:order=place(at).to_string()>
                    {body}
                </div>
            }
            .into_any()
        })
        .collect_view();
    // The workbench first stands below the first live part.
    let first = lesson
        .blocks
        .iter()
        .position(|b| matches!(b, Block::Sim(_) | Block::Predict(_)));
    shown.follows.set(place(first.unwrap_or(0)) + 1);
    view! {
        <p class="eyebrow">
            <a href="course">{lesson.part}</a>
        </p>
        <h1>{lesson.title}</h1>
        <p class="lead">{lesson.summary}</p>
        {blocks}
        <div class="lesson-block" style:order=i32::MAX.to_string()>
            <Notes title="What is left out here" items=lesson.left_out />
            <Notes title="Sources" items=lesson.sources />
            <Next slug=lesson.slug />
        </div>
    }
}

/// Prose in which a term set in bold explains itself, once per lesson: where an author writes
/// `**high watermark**`, the glossary answers.
fn explained(html: &str, done: &mut Vec<&'static str>) -> String {
    let mut html = html.to_owned();
    for entry in GLOSSARY {
        let plain = format!("<strong>{}</strong>", entry.name);
        if !done.contains(&entry.key) && html.contains(&plain) {
            done.push(entry.key);
            let term = format!(
                "<strong class=\"term\" tabindex=\"0\" data-term=\"{}\">{}</strong>",
                entry.key, entry.name
            );
            html = html.replacen(&plain, &term, 1);
        }
    }
    html
}

/// The scenario of the lesson's first live part, or the learner's own run of it from last time.
fn open_first(shown: Shown, lesson: &Lesson) {
    let Some(name) = lesson.first_scenario().map(str::to_owned) else {
        return;
    };
    let Some(text) = lesson.scenario_text(&name) else {
        return;
    };
    let sim = lesson.sim_of(&name);
    let opening = Opening {
        keep_as: Some(format!("lesson.{}", lesson.slug)),
        recipe: Recipe {
            time: sim.and_then(|s| time(s.from.as_deref()?)).unwrap_or(0),
            ..Recipe::of(text.clone())
        },
        speed: sim
            .and_then(|s| speed(s.speed.as_deref()?))
            .unwrap_or(SPEED),
        autoplay: false,
    };
    open_saved_or(shown.bench, opening);
    // What was kept may be another scenario of this lesson.
    let on_stage = shown.bench.ask(|s| s.recipe().scenario).unwrap_or_default();
    let found = lesson
        .scenarios
        .keys()
        .find(|n| lesson.scenario_text(n).is_some_and(|t| t == on_stage));
    if let Some(found) = found {
        shown.set_up(found);
    }
}

/// When the run halts at a gate, the prediction behind it is marked as waiting.
fn watch_gates(shown: Shown) {
    let gate = Memo::new(move |_| shown.bench.hud.with(|h| h.gate));
    Effect::new(move |_| {
        let Some(number) = gate.get() else { return };
        let Some(name) = shown.on_stage.get_untracked() else {
            return;
        };
        let id = shown.lesson.with_value(|l| {
            l.predictions_of(&name)
                .nth(number as usize)
                .map(|p: &Predict| p.id.clone())
        });
        shown.waiting.set(id);
    });
}

/// The way on: the next lesson of the course.
#[component]
fn Next(slug: String) -> impl IntoView {
    let all = LocalResource::new(catalog::lessons);
    move || {
        let list = all.get()?.ok()?;
        let at = list.iter().position(|l| l.slug == slug)?;
        let next = list.get(at + 1)?.clone();
        Some(view! {
            <p class="next-lesson">
                <span class="muted">"Next: "</span>
                <a href=format!("lessons/{}", next.slug)>{next.title}</a>
            </p>
        })
    }
}

#[component]
fn Notes(title: &'static str, items: Vec<String>) -> impl IntoView {
    (!items.is_empty()).then(|| {
        view! {
            <section class="lesson-notes">
                <h2>{title}</h2>
                <ul>{items.into_iter().map(|i| view! { <li>{i}</li> }).collect_view()}</ul>
            </section>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bold_term_explains_itself_once() {
        let mut done = Vec::new();
        let html =
            "<p>The <strong>ISR</strong> and the <strong>ISR</strong>, <strong>so</strong>.</p>";
        let out = explained(html, &mut done);
        assert_eq!(out.matches("data-term=\"isr\"").count(), 1, "{out}");
        assert!(
            out.contains("<strong>ISR</strong>, <strong>so</strong>"),
            "{out}"
        );
        assert_eq!(
            explained(html, &mut done),
            html,
            "the lesson has explained it"
        );
    }
}
