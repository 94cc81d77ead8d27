//! The home page: a cluster that runs at once, and one thing to do to it.

use leptos::prelude::*;
use sim_core::view::Health;

use crate::app::page;
use crate::bench::{Bench, Way, Workbench, calm, jump_to_mark};
use crate::format::nearest_speed;
use crate::host::{Host, Target};
use crate::ui::glossary::Term;
use crate::ui::icon;

/// By then the cluster has formed and the log has its first records, ns.
pub(super) const BEGIN: u64 = 3_000_000_000;
/// Slow enough to see messages travel.
const SPEED: f64 = 0.02;
/// Fast enough to wait for a timeout.
const SPEED_TO_WAIT: f64 = 1.0;

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
                    <Door
                        href="course"
                        name="Take the course"
                        text="Predict, run, ask why. Every claim is executed by its tests."
                    />
                    <Door
                        href="sandbox"
                        name="Build your own"
                        text="Brokers, partitions, acks, load: then kill what you like."
                    />
                    <Door
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
fn Door(href: &'static str, name: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <li>
            <a href=href>
                <strong>{name}</strong>
                <span>{text}</span>
            </a>
        </li>
    }
}

/// What the kill has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Act {
    /// A leader runs; nothing was done.
    Calm(u32, String),
    /// The leader named here is down, and there is no other yet.
    Orphaned(String),
    /// One was killed, and this one leads.
    Over(u32, String),
    /// There is no leader at all.
    Lost,
}

fn act_of(bench: Bench) -> Act {
    let killed = bench.hud.with(|h| h.undo.is_some());
    bench.view.with(|v| {
        let leader = v.lanes.first().and_then(|l| l.leader);
        let Some(node) = v.nodes.iter().find(|n| Some(n.id) == leader) else {
            return Act::Lost;
        };
        let title = node.title.clone();
        match (node.health == Health::Down, killed) {
            (true, _) => Act::Orphaned(title),
            (false, false) => Act::Calm(node.id, title),
            (false, true) => Act::Over(node.id, title),
        }
    })
}

/// Kill the leader, or bring it back: whatever can be done to the first partition's leader now.
#[component]
fn BreakIt(bench: Bench) -> impl IntoView {
    let act = Memo::new(move |_| act_of(bench));
    let can_kill = move || act.with(|a| matches!(a, Act::Calm(..) | Act::Over(..)));
    let kill = move |_| {
        let (Act::Calm(id, title) | Act::Over(id, title)) = act.get_untracked() else {
            return;
        };
        let offers = bench
            .ask(|s| s.offers(Target::Node(id)))
            .unwrap_or_default();
        let crash = offers.into_iter().find(|o| o.id == "crash");
        if let Some(offer) = crash {
            bench.act(offer.deed, &format!("{title}: killed"));
            // The controller takes nine seconds to notice: minutes at the pace of messages.
            bench.host(|h| h.set_speed(nearest_speed(SPEED_TO_WAIT)));
            bench.set_playing(!calm());
        }
    };
    // Once another leads, messages can be watched again.
    Effect::new(move |before: Option<Act>| {
        let now = act.get();
        if matches!(
            (&before, &now),
            (
                Some(Act::Orphaned(_) | Act::Lost),
                Act::Over(..) | Act::Calm(..)
            )
        ) {
            bench.host(|h| h.set_speed(nearest_speed(SPEED)));
        }
        now
    });
    let killed = move || bench.hud.with(|h| h.undo.is_some());
    let name = move || match act.get() {
        Act::Calm(_, title) | Act::Over(_, title) => format!("Kill {title}, the leader"),
        Act::Orphaned(_) => "Waiting for a new leader".to_owned(),
        Act::Lost => "No leader is left".to_owned(),
    };
    view! {
        <div class="break-it">
            <button
                type="button"
                class="button primary"
                data-testid="kill-leader"
                aria-disabled=move || (!can_kill()).to_string()
                on:click=kill
            >
                {icon("crash")}
                {name}
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
            <Told bench act />
        </div>
    }
}

/// What came of it so far, and the way to what comes next.
#[component]
fn Told(bench: Bench, act: Memo<Act>) -> impl IntoView {
    let waits = move || act.with(|a| matches!(a, Act::Orphaned(_) | Act::Lost));
    let lost = Memo::new(move |_| bench.ledger.with(|l| l.lost));
    let words = move || match act.get() {
        Act::Calm(..) => String::new(),
        Act::Orphaned(title) => format!(
            "{title} is down. The controller gives it nine seconds before another broker leads."
        ),
        Act::Over(_, title) => {
            let lost = match lost.get() {
                0 => "No acknowledged record is lost.".to_owned(),
                1 => "One acknowledged record is lost.".to_owned(),
                n => format!("{n} acknowledged records are lost."),
            };
            format!("{title} leads now. {lost}")
        }
        Act::Lost => "No broker that is in sync runs. Bring one back with Undo.".to_owned(),
    };
    view! {
        <p class="break-told small" role="status" data-testid="home-told">
            {words}
        </p>
        <Show when=waits>
            <button
                type="button"
                class="link-button small"
                data-testid="home-next"
                on:click=move |_| jump_to_mark(bench, Way::On)
            >
                "Skip to what happens next"
            </button>
        </Show>
    }
}
