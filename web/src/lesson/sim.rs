//! A live run in the text: what to look at, and the button that puts it on stage.

use leptos::prelude::*;

use super::Shown;
use super::model::Sim;
use crate::ui::icon;

/// The block.
#[component]
pub(super) fn SimBlock(shown: Shown, at: usize, sim: Sim) -> impl IntoView {
    let name = StoredValue::new(sim.scenario.clone());
    let here = move || {
        shown
            .on_stage
            .with(|s| s.as_deref() == Some(name.get_value().as_str()))
    };
    let playing = move || here() && shown.bench.hud.with(|h| h.playing);
    let go = move |_| {
        shown.follow(at);
        if here() {
            shown.bench.toggle();
        } else if shown.stage(&name.get_value()) {
            shown.bench.set_playing(!crate::bench::calm());
        }
    };
    let again = move |_| {
        shown.follow(at);
        shown.stage(&name.get_value());
    };
    let title = move || {
        if playing() {
            "Pause"
        } else if here() {
            "Run it"
        } else {
            "Put it on stage"
        }
    };
    view! {
        <section class="sim-block card" data-testid="sim-block" class:is-here=here>
            {sim.look.map(|l| view! { <p>{l}</p> })}
            <div class="actions">
                <button type="button" class="button" on:click=go>
                    {move || icon(if playing() { "pause-time" } else { "play" })}
                    {title}
                </button>
                <Show when=here>
                    <button type="button" class="button quiet" on:click=again>
                        {icon("rewind")}
                        "Start again"
                    </button>
                </Show>
            </div>
        </section>
    }
}
