//! A run from a link: opened exactly as it was sent, or not at all. What cannot be honoured is
//! said, with what can be done instead.

use leptos::ev;
use leptos::prelude::*;

use crate::app::page;
use crate::bench::{Bench, FullWorkbench, Opening, Verdicts, linked_run, open_saved_or};
use crate::format::clock;
use crate::host::{LinkProblem, Opened, Recipe, deed_words};
use crate::ui::coded;

/// Speed of a run that comes without one.
const SPEED: f64 = 0.02;

/// The page.
#[component]
pub(crate) fn RunPage() -> impl IntoView {
    page("A run", true);
    let bench = Bench::new();
    let link = RwSignal::new_local(linked_run());
    let differs = RwSignal::new(false);
    let open = move |opened: &Opened| {
        bench.open(opened.recipe.clone(), SPEED);
        differs.set(opened.digest.is_some_and(|d| bench.digest() != Some(d)));
    };
    let show = move || match link.get_untracked() {
        Some(Ok(opened)) => open(&opened),
        Some(Err(_)) => {}
        None => {
            let keep_as = Some("run".to_owned());
            let recipe = Recipe {
                time: crate::hero::BEGIN,
                ..Recipe::of(crate::host::HOME)
            };
            open_saved_or(
                bench,
                Opening {
                    keep_as,
                    recipe,
                    speed: SPEED,
                    autoplay: false,
                },
            );
        }
    };
    show();
    let handle = window_event_listener(ev::hashchange, move |_| {
        link.set(linked_run());
        show();
    });
    on_cleanup(move || handle.remove());
    let problem = move || link.with(|l| l.as_ref().and_then(|l| l.as_ref().err().cloned()));
    move || match problem() {
        Some(problem) => view! { <Problem bench problem link /> }.into_any(),
        None => view! {
            <div class="split" data-testid="run-page">
                <div class="column">
                    <p class="eyebrow">"A run"</p>
                    <h1>{move || bench.hud.with(|h| h.title.clone())}</h1>
                    <Show when=move || differs.get()>
                        <Differs />
                    </Show>
                    <Story bench />
                    <Verdicts />
                </div>
                <FullWorkbench />
            </div>
        }
        .into_any(),
    }
}

/// What the scenario is about, and what was done to it by hand.
#[component]
fn Story(bench: Bench) -> impl IntoView {
    let told = Memo::new(move |_| {
        bench.edits.track();
        let found = bench.ask(|s| {
            let scenario = s.scenario();
            let deeds = s.recipe().actions.into_iter();
            let deeds = deeds.map(|a| (a.at, deed_words(&a.deed, &scenario.nodes)));
            (scenario.description.clone(), deeds.collect::<Vec<_>>())
        });
        found.unwrap_or_default()
    });
    view! {
        <p class="lead">{move || told.with(|(about, _)| coded(about))}</p>
        <Show when=move || told.with(|(_, deeds)| !deeds.is_empty())>
            <h2>"What was done by hand"</h2>
            <ol class="deeds">
                {move || {
                    told.with(|(_, deeds)| {
                        deeds
                            .iter()
                            .map(|(at, words)| {
                                let at = *at;
                                view! {
                                    <li>
                                        <button
                                            type="button"
                                            class="link-button mono"
                                            title="Go to this moment"
                                            on:click=move |_| bench.seek(at)
                                        >
                                            {clock(at)}
                                        </button>
                                        " "
                                        {words.clone()}
                                    </li>
                                }
                            })
                            .collect_view()
                    })
                }}
            </ol>
        </Show>
    }
}

/// The linked run came out differently here.
#[component]
fn Differs() -> impl IntoView {
    view! {
        <div class="banner harm" role="alert" data-testid="digest-differs">
            <p>
                "This run is not what its sender saw: its digest differs. That should never happen;
                please report it with the link. What you see is what this page's engine makes of
                the same recipe."
            </p>
        </div>
    }
}

/// A link that cannot be honoured.
#[component]
fn Problem(
    bench: Bench,
    problem: LinkProblem,
    link: RwSignal<Option<Result<Opened, LinkProblem>>, LocalStorage>,
) -> impl IntoView {
    let newer = matches!(problem, LinkProblem::Newer { .. });
    let recipe = match &problem {
        LinkProblem::Older { recipe, .. } | LinkProblem::UnknownField { recipe, .. } => {
            Some(recipe.clone())
        }
        _ => None,
    };
    let reload = move |_| {
        // A reload that the browser refuses leaves the message standing.
        let _ = window().location().reload();
    };
    let anyway = recipe.map(|recipe| {
        let open = move |_| {
            if bench.open((*recipe).clone(), SPEED) {
                link.set(None);
            }
        };
        view! {
            <button type="button" class="button" data-testid="open-anyway" on:click=open>
                "Open it, knowing that"
            </button>
        }
    });
    view! {
        <div class="page">
            <div class="banner harm" role="alert" data-testid="link-problem">
                <h1>"This link cannot be opened as it was sent"</h1>
                <p>{problem.to_string()}</p>
                <div class="actions">
                    {newer
                        .then(|| {
                            view! {
                                <button type="button" class="button primary" on:click=reload>
                                    "Reload the page"
                                </button>
                            }
                        })} {anyway} <a class="button" href="sandbox">
                        "Go to the sandbox"
                    </a> <a class="button" href="scenarios">
                        "Look at the scenarios"
                    </a>
                </div>
            </div>
        </div>
    }
}
