//! The sandbox: a cluster of one's own, from a form or from text.

use leptos::prelude::*;

use crate::app::page;
use crate::bench::{Bench, Opening, Workbench, open_saved_or};
use crate::host::Recipe;

const SPEED: f64 = 0.05;

/// The page.
#[component]
pub(crate) fn Sandbox() -> impl IntoView {
    page("Sandbox", true);
    let bench = Bench::new();
    open_saved_or(
        bench,
        Opening {
            keep_as: Some("sandbox".to_owned()),
            recipe: Recipe::of(super::home::SCENARIO),
            speed: SPEED,
            autoplay: false,
        },
    );
    view! {
        <div class="split" data-testid="sandbox">
            <div class="column">
                <h1>"Sandbox"</h1>
            </div>
            <Workbench />
        </div>
    }
}
