//! A prediction: the question stands in the text, the run waits before the moment, the engine
//! grades. The answer is kept, stays drawn over the outcome, and can be taken back.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::Shown;
use super::model::{Predict, time};
use crate::bench::{Prediction, Way, jump_to_mark};
use crate::format::nearest_speed;
use crate::host::{open_session, predicate};
use crate::store;
use crate::ui::icon;

/// Real time in which a run comes from its question to the answer, seconds.
const SECONDS_TO_OUTCOME: f64 = 10.0;

/// How far a prediction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing chosen for good.
    Open,
    /// Locked in; the run goes on to the moment.
    Locked(usize),
    /// The engine has answered: chosen, right.
    Graded(usize, usize),
}

/// The block.
#[component]
pub(super) fn PredictBlock(shown: Shown, at: usize, predict: Predict) -> impl IntoView {
    let predict = StoredValue::new(predict);
    let key = predict.with_value(|p| shown.key(&p.id));
    let key = StoredValue::new(key);
    let kept = store::kept(&key.get_value()).and_then(|c| c.parse::<usize>().ok());
    let state = RwSignal::new(kept.map_or(State::Open, State::Locked));
    let choice = RwSignal::new(kept);
    let here = move || {
        shown
            .on_stage
            .with(|s| s.as_deref() == predict.with_value(|p| Some(p.scenario.clone())).as_deref())
    };
    let waiting = move || shown.waiting.get() == Some(predict.with_value(|p| p.id.clone()));
    let card = NodeRef::<leptos::html::Section>::new();
    Effect::new(move |_| {
        if waiting()
            && let Some(card) = card.get()
        {
            card.scroll_into_view_with_bool(false);
        }
    });
    grade_when_reached(shown, predict, state, here);
    let lock = move |_| {
        let Some(chosen) = choice.get_untracked() else {
            return;
        };
        if store::keep(&key.get_value(), &chosen.to_string()).is_err() {
            shown.bench.notices.say(
                crate::ui::Tone::Sand,
                "Your browser keeps nothing for this site; the answer holds until you leave.",
            );
        }
        shown
            .locked
            .update(|l| l.push(predict.with_value(|p| p.id.clone())));
        state.set(State::Locked(chosen));
        shown.follow(at);
        run_on(shown, predict, here());
        // The button that had the focus has gone; the way on takes it.
        focus_within(card, "[data-testid=to-outcome]");
    };
    // Whoever waited on the card hears the answer there.
    Effect::new(move |_| {
        if matches!(state.get(), State::Graded(..)) && has_focus(card) {
            focus_within(card, ".verdict");
        }
    });
    let again = move |_| {
        store::forget(&key.get_value());
        shown
            .locked
            .update(|l| l.retain(|id| *id != predict.with_value(|p| p.id.clone())));
        state.set(State::Open);
        choice.set(None);
        shown.bench.prediction.set(None);
        shown.stage(&predict.with_value(|p| p.scenario.clone()));
        focus_within(card, "input");
    };
    let skip = move |_| {
        shown.waiting.set(None);
        shown.bench.set_playing(true);
    };
    view! {
        <section
            node_ref=card
            class="predict"
            class:is-waiting=waiting
            data-testid="predict"
        >
            <p class="kicker" role="status">
                {move || if waiting() { "The run waits for you" } else { "Predict, then run" }}
            </p>
            <fieldset disabled=move || state.get() != State::Open>
                <legend>{predict.with_value(|p| p.question.clone())}</legend>
                <Answers predict state choice />
            </fieldset>
            {move || match state.get() {
                State::Open => {
                    view! {
                        <div class="actions">
                            <button
                                type="button"
                                class="button primary"
                                data-testid="lock-in"
                                disabled=move || choice.get().is_none()
                                on:click=lock
                            >
                                "Lock it in and run"
                            </button>
                            <Show
                                when=waiting
                                fallback=|| {
                                    view! { <span class="muted small">"the engine will grade it"</span> }
                                }
                            >
                                <button type="button" class="link-button small" on:click=skip>
                                    "run on without an answer"
                                </button>
                            </Show>
                        </div>
                    }
                        .into_any()
                }
                State::Locked(_) => view! { <Locked shown predict here=Signal::derive(here) /> }.into_any(),
                State::Graded(chosen, right) => {
                    view! { <Outcome shown predict chosen right again=Callback::new(again) /> }
                        .into_any()
                }
            }}
        </section>
    }
}

#[component]
fn Answers(
    predict: StoredValue<Predict>,
    state: RwSignal<State>,
    choice: RwSignal<Option<usize>>,
) -> impl IntoView {
    let name = predict.with_value(|p| format!("predict-{}", p.id));
    let texts: Vec<String> =
        predict.with_value(|p| p.choices.iter().map(|c| c.text.clone()).collect());
    let mark = move |i: usize| match state.get() {
        State::Graded(_, right) if right == i => "what happened",
        State::Graded(chosen, _) if chosen == i => "your prediction",
        State::Locked(chosen) if chosen == i => "your prediction",
        _ => "",
    };
    view! {
        <div class="answers">
            {texts
                .into_iter()
                .enumerate()
                .map(|(i, text)| {
                    view! {
                        <label
                            class="answer"
                            class:is-right=move || matches!(state.get(), State::Graded(_, r) if r == i)
                            class:is-wrong=move || {
                                matches!(state.get(), State::Graded(c, r) if c == i && c != r)
                            }
                        >
                            <input
                                type="radio"
                                name=name.clone()
                                prop:checked=move || choice.get() == Some(i)
                                on:change=move |_| choice.set(Some(i))
                            />
                            <span>{text}</span>
                            <span class="mark">{move || mark(i)}</span>
                        </label>
                    }
                })
                .collect_view()}
        </div>
    }
}

/// While the run is on its way to the moment.
#[component]
fn Locked(shown: Shown, predict: StoredValue<Predict>, here: Signal<bool>) -> impl IntoView {
    let to_outcome = move |_| {
        run_on(shown, predict, here.get_untracked());
        if let Some(at) = moment(shown, predict) {
            shown.bench.travel(|h| {
                h.set_playing(false);
                h.seek(at);
            });
        }
    };
    view! {
        <div class="actions">
            <button type="button" class="button" data-testid="to-outcome" on:click=to_outcome>
                {icon("next-mark")}
                "To the outcome"
            </button>
            <span class="muted small">"locked in; the run decides"</span>
        </div>
    }
}

#[component]
fn Outcome(
    shown: Shown,
    predict: StoredValue<Predict>,
    chosen: usize,
    right: usize,
    again: Callback<web_sys::MouseEvent>,
) -> impl IntoView {
    let hit = chosen == right;
    view! {
        <div class="verdict" role="status" tabindex="-1" data-testid="prediction-outcome">
            <p class=if hit { "text-proven" } else { "text-harm" }>
                <strong>
                    {if hit { "That is what the engine did." } else { "The engine did otherwise." }}
                </strong>
            </p>
            <p>{predict.with_value(|p| p.why.clone())}</p>
        </div>
        <div class="actions">
            <button
                type="button"
                class="button small"
                data-testid="what-follows"
                on:click=move |_| jump_to_mark(&shown.bench, Way::On)
            >
                {icon("next-mark")}
                "What happens next"
            </button>
            <button
                type="button"
                class="button small quiet"
                on:click=move |ev| again.run(ev)
            >
                {icon("rewind")}
                "Try again from the start"
            </button>
        </div>
    }
}

/// Whether the focus is on the card, or nowhere (what had it has gone).
fn has_focus(card: NodeRef<leptos::html::Section>) -> bool {
    let Some(active) = document().active_element() else {
        return true;
    };
    let within = card
        .get_untracked()
        .is_some_and(|c| c.contains(Some(&active)));
    within || active.tag_name() == "BODY"
}

/// Moves the focus to a part of the card, once it is there.
fn focus_within(card: NodeRef<leptos::html::Section>, selector: &'static str) {
    request_animation_frame(move || {
        let found = card
            .get_untracked()
            .and_then(|c| c.query_selector(selector).ok().flatten());
        if let Some(part) = found.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
            // A part that cannot take the focus leaves it where it is.
            let _ = part.focus();
        }
    });
}

/// The moment at which the prediction is graded, ns.
fn moment(shown: Shown, predict: StoredValue<Predict>) -> Option<u64> {
    let at = predict.with_value(|p| time(&p.at));
    at.or_else(|| shown.bench.ask(|s| s.duration()))
}

/// Puts the scenario on stage if it is not there, and lets it go on.
fn run_on(shown: Shown, predict: StoredValue<Predict>, here: bool) {
    if !here {
        shown.stage(&predict.with_value(|p| p.scenario.clone()));
    }
    shown.waiting.set(None);
    shown.set_gates(&predict.with_value(|p| p.scenario.clone()));
    let at = moment(shown, predict);
    shown.bench.host(|h| {
        h.set_stop_at(None);
        // Fast enough that the moment comes while one still wants to know.
        let left = at.unwrap_or(0).saturating_sub(h.session().now());
        let pace = nearest_speed(left as f64 / 1e9 / SECONDS_TO_OUTCOME);
        h.set_speed(h.speed().max(pace));
    });
    // Under reduced motion nothing starts by itself: stepping and the outcome button remain.
    if !crate::bench::calm() {
        shown.bench.set_playing(true);
    }
}

/// Grades a locked prediction once the run on stage has come to the moment: by the state of this
/// very run at that moment, the learner's own faults included.
fn grade_when_reached(
    shown: Shown,
    predict: StoredValue<Predict>,
    state: RwSignal<State>,
    here: impl Fn() -> bool + Copy + Send + Sync + 'static,
) {
    Effect::new(move |_| {
        let State::Locked(chosen) = state.get() else {
            return;
        };
        let now = shown.bench.hud.with(|h| h.now);
        if !here() {
            return;
        }
        let Some(at) = moment(shown, predict).filter(|at| now >= *at) else {
            return;
        };
        let Some(right) = what_happened(shown, predict, at) else {
            return;
        };
        state.set(State::Graded(chosen, right));
        let text = |i: usize| {
            predict.with_value(|p| p.choices.get(i).map(|c| c.text.clone()).unwrap_or_default())
        };
        shown.bench.prediction.set(Some(Prediction {
            said: text(chosen),
            happened: text(right),
            hit: chosen == right,
        }));
    });
}

/// Which answer the run on stage makes true at the moment.
fn what_happened(shown: Shown, predict: StoredValue<Predict>, at: u64) -> Option<usize> {
    let recipe = shown.bench.ask(|s| s.recipe())?;
    let text = recipe.scenario.clone();
    let mut side = open_session(recipe).ok()?;
    side.seek(at);
    predict.with_value(|p| {
        p.choices.iter().position(|c| {
            predicate(&text, &c.when).is_ok_and(|when| when.holds(&side.run().facts()))
        })
    })
}
