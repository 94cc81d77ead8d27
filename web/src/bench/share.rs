//! Sharing: the whole run as a link. Version, scenario, seed, actions and time stand in the part
//! after the `#`, which browsers send to no server.

use leptos::html;
use leptos::prelude::*;

use super::{Bench, use_bench};
use crate::files;
use crate::format::spoken;
use crate::ui::{Dialog, Tone, icon};

/// What stands in front of the run in a fragment.
pub(crate) const KEY: &str = "run=";
/// Longer links are cut by some programs; beyond this a file is the safer way.
const LENGTH_SAFE: usize = 2_000;

/// The link to the run at its present moment, or why there is none.
pub(crate) fn link(bench: Bench) -> Result<String, String> {
    let fragment = bench.host(|h| h.fragment()).ok_or("No run is open.")?;
    let fragment = fragment.map_err(|p| p.to_string())?;
    Ok(format!("{}run#{KEY}{fragment}", crate::base::url()))
}

/// The dialog.
#[component]
pub(crate) fn ShareDialog() -> impl IntoView {
    let bench = use_bench();
    view! {
        <Dialog
            open=bench.share_open
            title=Signal::stored("Share this run".to_owned())
            testid="share-dialog"
        >
            <ShareBody bench />
        </Dialog>
    }
}

#[component]
fn ShareBody(bench: Bench) -> impl IntoView {
    bench.host(|h| h.set_playing(false));
    bench.publish();
    match link(bench) {
        Ok(link) => view! { <LinkBody bench link /> }.into_any(),
        Err(problem) => view! {
            <div class="banner harm">
                <p>"This run has no link: " {problem}</p>
                <p>"It can be saved as a file from the script."</p>
            </div>
        }
        .into_any(),
    }
}

#[component]
fn LinkBody(bench: Bench, link: String) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let copied = RwSignal::new(false);
    let (seed, now) = bench.hud.with_untracked(|h| (h.seed, h.now));
    let faults = bench.ask(|s| s.recipe().actions.len()).unwrap_or_default();
    let length = link.len();
    let text = StoredValue::new(link.clone());
    let copy = move |_| {
        leptos::task::spawn_local(async move {
            if files::copy(&text.get_value()).await {
                copied.set(true);
            } else if let Some(field) = field.get_untracked() {
                field.select();
                bench.notices.say(
                    Tone::Sand,
                    "Your browser does not let this page copy. The link is selected: press Ctrl+C.",
                );
            }
        });
    };
    let save = move |_| {
        let toml = bench.ask(crate::host::to_toml);
        if let Some(Ok(toml)) = toml {
            // A refusal shows in the browser itself.
            let _ = files::download("scenario.toml", &toml);
        }
    };
    view! {
        <p>
            "Whoever opens this link sees this very run: the same scenario, seed " <code>{seed}</code>
            ", " {faults} " faults of yours, standing at " {spoken(now)} "."
        </p>
        <textarea
            class="textarea input mono share-link"
            node_ref=field
            readonly
            rows="4"
            aria-label="Link to this run"
            data-testid="share-link"
        >
            {link}
        </textarea>
        {(length > LENGTH_SAFE)
            .then(|| {
                view! {
                    <p class="small text-sand">
                        {format!("This link is long ({length} characters); some programs cut such \
                            links. The file is safer.")}
                    </p>
                }
            })}
        <div class="actions">
            <button type="button" class="button primary" data-testid="copy-link" on:click=copy>
                {icon("share")}
                {move || if copied.get() { "Copied" } else { "Copy the link" }}
            </button>
            <button type="button" class="button" on:click=save>
                {icon("download")}
                "Save as a file"
            </button>
            <span class="muted small" role="status">
                {move || copied.get().then_some("The link is on your clipboard.")}
            </span>
        </div>
        <p class="muted small">
            "Nothing is uploaded: the run is in the link itself, after the #."
        </p>
    }
}
