//! What the scenario promises, and whether it holds so far.

use leptos::prelude::*;
use sim_core::view::{Verdict, VerdictState};

use super::use_bench;
use crate::format::clock;

/// The list of promises. Shows nothing where a scenario makes none.
#[component]
pub(crate) fn Verdicts() -> impl IntoView {
    let bench = use_bench();
    let list = Memo::new(move |_| {
        bench.tick.track();
        bench.ask(|s| s.verdicts()).unwrap_or_default()
    });
    view! {
        <Show when=move || list.with(|l| !l.is_empty())>
            <section class="verdicts" data-testid="verdicts">
                <h2>"What this scenario promises"</h2>
                <ul class="verdict-list">
                    {move || list.get().into_iter().map(|v| view! { <Row verdict=v /> }).collect_view()}
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn Row(verdict: Verdict) -> impl IntoView {
    let bench = use_bench();
    let (class, word) = match verdict.state {
        VerdictState::Held => ("chip proven", "holds"),
        VerdictState::Broken => ("chip harm", "broken"),
        VerdictState::Pending => ("chip", "not yet"),
    };
    let when = verdict.time.map(|time| {
        view! {
            <button
                type="button"
                class="link-button mono"
                title="Go to this moment"
                on:click=move |_| bench.seek(time)
            >
                {clock(time)}
            </button>
        }
    });
    view! {
        <li>
            <span class=class>{word}</span>
            <span>
                <code>{verdict.text}</code>
                " "
                <span class="muted small">{verdict.detail}</span>
                " "
                {when}
            </span>
        </li>
    }
}
