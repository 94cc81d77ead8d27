//! Nodes: cards of stores, clients, heads of columns and the quorum's round buttons.

use leptos::prelude::*;
use sim_core::view::{Health, Role};

use super::{NOWHERE, Shared, at, tone};
use crate::stage::Selection;
use crate::stage::plan::Kind;
use crate::stage::plan::geom::Rect;
use crate::stage::scene::NodeScene;
use crate::stage::stops::Stop;

fn kind_class(kind: Kind) -> &'static str {
    match kind {
        Kind::Control => "kind-control",
        Kind::Client => "kind-client",
        Kind::Card => "kind-card",
        Kind::Slim => "kind-slim",
        Kind::Head => "kind-head",
        Kind::More => "kind-more",
    }
}

fn health_class(health: Health) -> &'static str {
    match health {
        Health::Up => "health-up",
        Health::Down => "health-down",
        Health::Paused => "health-paused",
        Health::Slow => "health-slow",
    }
}

fn classes(scene: &NodeScene) -> String {
    let role = match scene.role {
        Role::Control => "role-control",
        Role::Source => "role-source",
        Role::Store => "role-store",
        Role::Sink => "role-sink",
    };
    let sync = match scene.in_sync {
        Some(true) => " synced",
        Some(false) => " unsynced",
        None => "",
    };
    let leads = match (scene.leads, scene.deposed) {
        (_, true) => " deposed",
        (true, false) => " leads",
        _ => "",
    };
    let (kind, health) = (kind_class(scene.kind), health_class(scene.health));
    format!("stage-node {kind} {role} {health}{sync}{leads}")
}

/// A node at its place; `index` counts the places of the plan.
#[component]
pub(super) fn Node(
    /// What the parts share.
    shared: Shared,
    /// Its place in the plan.
    index: usize,
    /// Its number.
    node: u32,
) -> impl IntoView {
    let rect: Memo<Rect> = Memo::new(move |_| {
        shared
            .layout
            .with(|l| l.plan.places.get(index).map_or(NOWHERE, |p| p.rect))
    });
    let scene: Memo<Option<NodeScene>> =
        Memo::new(move |_| shared.scene.with(|s| s.nodes.get(index).cloned()));
    let picked = Memo::new(move |_| shared.selected.get() == Some(Selection::Node(node)));
    let inner = move || {
        let picked = picked.get();
        scene.with(|s| s.as_ref().map(|s| body(s, picked)))
    };
    view! {
        <div
            class=move || scene.with(|s| s.as_ref().map(classes).unwrap_or_default())
            class:picked=picked
            data-node=node
            style:left=at!(rect, x)
            style:top=at!(rect, y)
            style:width=at!(rect, w)
            style:height=at!(rect, h)
        >
            {inner}
        </div>
    }
}

fn title(scene: &NodeScene, text: String, picked: bool) -> AnyView {
    // Who speaks to the page says what stands on the card: the spoken name holds the written one.
    let aria = if scene.aria.contains(&text) {
        scene.aria.clone()
    } else {
        format!("{text}: {}", scene.aria)
    };
    view! {
        <button
            type="button"
            class="st-node-title"
            data-stop=Stop::Node(scene.node).key()
            tabindex="-1"
            aria-label=aria.clone()
            aria-pressed=picked.to_string()
            title=aria
        >
            <span>{text}</span>
        </button>
    }
    .into_any()
}

/// The head of a column: its short name, or the long one where there is room.
fn head(scene: &NodeScene, picked: bool) -> AnyView {
    view! {
        <button
            type="button"
            class="st-node-title"
            data-stop=Stop::Node(scene.node).key()
            tabindex="-1"
            aria-label=scene.aria.clone()
            aria-pressed=picked.to_string()
            title=scene.aria.clone()
        >
            <span class="st-node-short">{scene.name.clone()}</span>
            <span class="st-node-long">{scene.title.clone()}</span>
        </button>
    }
    .into_any()
}

fn menu(scene: &NodeScene) -> AnyView {
    view! {
        <button
            type="button"
            class="st-node-menu"
            data-stop=Stop::Menu(scene.node).key()
            tabindex="-1"
            aria-haspopup="menu"
            aria-label=format!("Faults for {}", scene.title)
        >
            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                <circle cx="3" cy="8" r="1.5" />
                <circle cx="8" cy="8" r="1.5" />
                <circle cx="13" cy="8" r="1.5" />
            </svg>
        </button>
    }
    .into_any()
}

fn chips(scene: &NodeScene) -> AnyView {
    let chip = |c: &crate::stage::scene::Chip| {
        let strong = if c.strong { " strong" } else { "" };
        view! { <span class=format!("st-chip {}{strong}", tone(c.tone))>{c.text.clone()}</span> }
    };
    if scene.chips.is_empty() {
        return ().into_any();
    }
    let chips = scene.chips.iter().map(chip).collect_view();
    view! { <span class="st-node-chips" aria-hidden="true">{chips}</span> }.into_any()
}

fn facts(scene: &NodeScene, most: usize) -> AnyView {
    let fact = |(label, value): &(String, String)| {
        view! {
            <span class="st-fact">
                <span class="st-fact-label">{label.clone()}</span>
                " "
                <span class="st-fact-value">{value.clone()}</span>
            </span>
        }
    };
    let facts = scene.facts.iter().take(most).map(fact).collect_view();
    view! { <span class="st-node-facts" aria-hidden="true">{facts}</span> }.into_any()
}

fn note(scene: &NodeScene) -> AnyView {
    view! { <span class="st-node-note" aria-hidden="true">{scene.note.clone()}</span> }.into_any()
}

fn body(scene: &NodeScene, picked: bool) -> AnyView {
    match scene.kind {
        Kind::Control => title(scene, scene.name.clone(), picked),
        Kind::Head => head(scene, picked),
        Kind::More => view! {
            <span class="st-node-title" title=scene.aria.clone()>{scene.title.clone()}</span>
            {note(scene)}
        }
        .into_any(),
        Kind::Client => view! {
            <div class="st-node-head">
                {title(scene, scene.title.clone(), picked)} {chips(scene)} {menu(scene)}
            </div>
            {facts(scene, 3)}
        }
        .into_any(),
        Kind::Slim => view! {
            <div class="st-node-head">
                {title(scene, scene.title.clone(), picked)} {chips(scene)} {menu(scene)}
            </div>
            {facts(scene, 2)}
        }
        .into_any(),
        Kind::Card => view! {
            <div class="st-node-head">
                {title(scene, scene.title.clone(), picked)} {chips(scene)} {note(scene)}
                {facts(scene, 3)} {menu(scene)}
            </div>
        }
        .into_any(),
    }
}
