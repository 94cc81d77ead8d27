//! A claim: a sentence of the lesson that the build has executed, and that the reader can have
//! executed again, here.

use leptos::prelude::*;
use sim_core::view::VerdictState;

use super::Shown;
use super::model::Claim;
use crate::host::{Recipe, open_session};
use crate::ui::icon;

/// The block.
#[component]
pub(super) fn ClaimBlock(shown: Shown, claim: Claim) -> impl IntoView {
    let said = RwSignal::new(None::<(bool, String)>);
    let sentence = claim.text.clone();
    let (that, at) = (claim.that.clone(), claim.at.clone());
    let claim = StoredValue::new(claim);
    let execute = move |_| {
        let outcome = claim.with_value(|c| {
            let text = shown
                .lesson
                .with_value(|l| l.scenarios.get(&c.scenario).cloned())?;
            run(&text, c)
        });
        said.set(Some(
            outcome.unwrap_or((false, "it could not be run".to_owned())),
        ));
    };
    view! {
        <section class="claim" data-testid="claim">
            <p>
                <span class="claim-mark">{icon("check")}</span>
                {sentence}
            </p>
            <details>
                <summary class="small muted">"executed by this site's tests"</summary>
                <p class="small">
                    <code>{that}</code>
                    " at "
                    <code>{at}</code>
                </p>
                <button type="button" class="button small" on:click=execute>
                    "Execute it here"
                </button>
                <p class="small" role="status">
                    {move || {
                        said.get()
                            .map(|(held, detail)| {
                                let word = if held { "It holds." } else { "It does not hold." };
                                format!("{word} {detail}")
                            })
                    }}
                </p>
            </details>
        </section>
    }
}

/// Runs the scenario with the claim as one more expectation; whether it held, and what was seen.
fn run(text: &str, claim: &Claim) -> Option<(bool, String)> {
    let quote = sim_core::scenario::units::quote;
    let text = format!(
        "{text}\n[[expect]]\nthat = {}\nat = {}\n",
        quote(&claim.that),
        quote(&claim.at)
    );
    let mut session = open_session(Recipe::of(text)).ok()?;
    session.advance(session.duration(), u64::MAX);
    let verdict = session.verdicts().pop()?;
    Some((verdict.state == VerdictState::Held, verdict.detail))
}
