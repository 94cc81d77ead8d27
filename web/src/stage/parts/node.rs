//! Nodes: cards of stores, clients, heads of columns and the quorum's round buttons.

use sim_core::view::{Health, Role};

use super::tone;
use crate::stage::plan::Kind;
use crate::stage::plan::geom::Rect;
use crate::stage::scene::{Chip, NodeScene};
use crate::stage::stops::Stop;
use crate::tree::{El, Kid, button, el, svg};

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

/// A node at its place.
pub(super) fn node(scene: &NodeScene, number: u32, rect: Rect, picked: bool) -> El {
    let mut class = classes(scene);
    if picked {
        class.push_str(" picked");
    }
    el("div")
        .class(class)
        .is("data-node", number.to_string())
        .at(rect)
        .all(body(scene, picked))
}

fn title(scene: &NodeScene, text: String, picked: bool) -> El {
    // Who speaks to the page says what stands on the card: the spoken name holds the written one.
    let aria = if scene.aria.contains(&text) {
        scene.aria.clone()
    } else {
        format!("{text}: {}", scene.aria)
    };
    let heading = heading(scene, aria, picked);
    // What a client is may be small beside its name, which tells it from the others.
    match text.split_once(' ').filter(|_| scene.kind == Kind::Client) {
        Some((role, name)) => heading.with(
            el("span")
                .with(el("span").class("st-node-role").with(format!("{role} ")))
                .with(name.to_owned()),
        ),
        None => heading.with(el("span").with(text)),
    }
}

fn heading(scene: &NodeScene, aria: String, picked: bool) -> El {
    button("st-node-title")
        .is("data-stop", Stop::Node(scene.node).key())
        .is("tabindex", "-1")
        .label(aria.clone())
        .is("aria-pressed", picked.to_string())
        .is("title", aria)
}

/// The head of a column: its short name, or the long one where there is room.
fn head(scene: &NodeScene, picked: bool) -> El {
    // The name holds the short one too, which may be the one in sight.
    heading(scene, format!("{}, {}", scene.aria, scene.name), picked)
        .with(el("span").class("st-node-short").with(scene.name.clone()))
        .with(el("span").class("st-node-long").with(scene.title.clone()))
}

fn menu(scene: &NodeScene) -> El {
    let dot = |x| svg("circle").is("cx", x).is("cy", "8").is("r", "1.5");
    button("st-node-menu")
        .is("data-stop", Stop::Menu(scene.node).key())
        .is("tabindex", "-1")
        .is("aria-haspopup", "menu")
        .label(format!("Faults for {}", scene.title))
        .with(
            svg("svg")
                .is("viewBox", "0 0 16 16")
                .is("width", "16")
                .is("height", "16")
                .mute()
                .all(["3", "8", "13"].map(dot)),
        )
}

fn chips(scene: &NodeScene) -> Option<El> {
    let chip = |c: &Chip| {
        let strong = if c.strong { " strong" } else { "" };
        el("span")
            .class(format!("st-chip {}{strong}", tone(c.tone)))
            .with(c.text.clone())
    };
    let chips = el("span").class("st-node-chips").mute();
    (!scene.chips.is_empty()).then(|| chips.all(scene.chips.iter().map(chip)))
}

fn facts(scene: &NodeScene, most: usize) -> El {
    let fact = |(label, value): &(String, String)| {
        el("span")
            .class("st-fact")
            .with(el("span").class("st-fact-label").with(label.clone()))
            .with(" ")
            .with(el("span").class("st-fact-value").with(value.clone()))
    };
    el("span")
        .class("st-node-facts")
        .mute()
        .all(scene.facts.iter().take(most).map(fact))
}

fn note(scene: &NodeScene) -> El {
    el("span")
        .class("st-node-note")
        .mute()
        .with(scene.note.clone())
}

fn body(scene: &NodeScene, picked: bool) -> Vec<Kid> {
    let head_of = || {
        el("div")
            .class("st-node-head")
            .with(title(scene, scene.title.clone(), picked))
            .all(chips(scene))
    };
    match scene.kind {
        Kind::Control => vec![title(scene, scene.name.clone(), picked).into()],
        Kind::Head => vec![head(scene, picked).into()],
        Kind::More => vec![
            el("span")
                .class("st-node-title")
                .is("title", scene.aria.clone())
                .with(scene.title.clone())
                .into(),
            note(scene).into(),
        ],
        Kind::Client => vec![head_of().with(menu(scene)).into(), facts(scene, 3).into()],
        Kind::Slim => vec![head_of().with(menu(scene)).into(), facts(scene, 2).into()],
        Kind::Card => vec![
            head_of()
                .with(note(scene))
                .with(facts(scene, 3))
                .with(menu(scene))
                .into(),
        ],
    }
}
