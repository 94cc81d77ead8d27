//! The home page: a cluster that runs at once, and one thing to do to it.

use leptos::prelude::*;

use crate::app::page;
use crate::bench::{Bench, Workbench, calm};
use crate::host::{Host, Target};
use crate::ui::glossary::Term;
use crate::ui::icon;

/// By then the cluster has formed and the log has its first records, ns.
pub(super) const BEGIN: u64 = 3_000_000_000;
/// Slow enough to see messages travel.
const SPEED: f64 = 0.02;

/// The page.
#[component]
pub(crate) fn Home() -> impl IntoView {
    page("", true);
    let bench = Bench::new();
    // Its scenario is ours and cannot be refused.
    if let Ok(host) = Host::home(BEGIN, SPEED) {
        bench.show(host);
        bench.set_playing(!calm());
    }
    view! {
        <div class="split home" data-testid="home">
            <div class="column">
                <p class="eyebrow">"A simulator and a course"</p>
                <h1>"Learn streaming systems by breaking them"</h1>
                <p class="lead">
                    "This is a Kafka cluster, running in your browser by Kafka's own rules. Three
                    brokers copy one log. The "
                    <Term key="strandline" text="strandline" />
                    " marks what every in-sync copy holds: what lies right of it may be gone with
                    the next tide."
                </p>
                <BreakIt bench />
                <ul class="home-ways">
                    <Way
                        href="course"
                        name="Take the course"
                        text="Predict, run, ask why. Every claim is executed by its tests."
                    />
                    <Way
                        href="sandbox"
                        name="Build your own"
                        text="Brokers, partitions, acks, load: then kill what you like."
                    />
                    <Way
                        href="scenarios"
                        name="Open a failure"
                        text="Lost writes, split brain, unclean elections: one file each."
                    />
                </ul>
            </div>
            <Workbench rest=None order=None />
        </div>
    }
}

#[component]
fn Way(href: &'static str, name: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <li>
            <a href=href>
                <strong>{name}</strong>
                <span>{text}</span>
            </a>
        </li>
    }
}

/// Kill the leader, or bring it back: whatever can be done to the first partition's leader now.
#[component]
fn BreakIt(bench: Bench) -> impl IntoView {
    let leader = move || {
        bench.view.with(|v| {
            let id = v.lanes.first()?.leader?;
            v.nodes
                .iter()
                .find(|n| n.id == id)
                .map(|n| (id, n.title.clone()))
        })
    };
    let kill = move |_| {
        let Some((id, title)) = leader() else { return };
        let offers = bench
            .ask(|s| s.offers(Target::Node(id)))
            .unwrap_or_default();
        let crash = offers.into_iter().find(|o| o.id == "crash");
        if let Some(offer) = crash {
            bench.act(offer.deed, &format!("{title}: killed"));
            bench.set_playing(true);
        }
    };
    let killed = move || bench.hud.with(|h| h.undo.is_some());
    view! {
        <div class="break-it">
            <button
                type="button"
                class="button primary"
                data-testid="kill-leader"
                disabled=move || leader().is_none()
                on:click=kill
            >
                {icon("crash")}
                {move || {
                    leader().map_or("No leader now".to_owned(), |(_, t)| format!("Kill {t}, the leader"))
                }}
            </button>
            <Show when=killed>
                <button
                    type="button"
                    class="button"
                    data-testid="undo-home"
                    on:click=move |_| bench.undo()
                >
                    {icon("undo")}
                    "Undo"
                </button>
            </Show>
        </div>
    }
}
