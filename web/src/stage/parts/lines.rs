//! Lines: links and rails under the cards; the strandline, the axis' numbers and the marks of
//! faulted links over them.

use super::plane::Picks;
use crate::lengths::{draw, number, px};
use crate::stage::plan::{Kind, Plan, Width};
use crate::stage::scene::{LaneScene, Line, LinkLook, LinkScene, Scene, Tick};
use crate::stage::stops::Stop;
use crate::tree::{El, button, el, svg};
use sim_core::view::Role;

/// A path.
fn path(class: impl Into<crate::tree::Words>, d: String) -> El {
    svg("path").class(class).is("d", d)
}

/// Links, rails and ports, under the cards.
pub(super) fn under(plan: &Plan, scene: &Scene, picks: &Picks<'_>) -> [El; 2] {
    // The line hangs from its tag; cards that it does not reach hide this thread.
    let mut stem = String::new();
    for line in scene.lanes.iter().filter_map(|lane| lane.line.as_ref()) {
        if let Some(run) = line.runs.first() {
            draw(&mut stem, 'M', &[line.x, line.tag.bottom()]);
            draw(&mut stem, 'V', &[run.0]);
        }
    }
    let picked = picks.link();
    [
        svg("svg")
            .class("stage-under")
            .mute()
            .with(path("st-rail", rails(plan)))
            .all(scene.links.iter().flat_map(|l| link(l, picked)))
            .with(path("st-strandline-stem", stem)),
        svg("svg")
            .class("stage-ports")
            .mute()
            .with(path("st-port", ports(plan))),
    ]
}

fn is_picked(link: &LinkScene, picked: Option<(u32, u32)>) -> bool {
    picked.is_some_and(|(a, b)| link.pairs.contains(&(a, b)) || link.pairs.contains(&(b, a)))
}

fn link(link: &LinkScene, picked: Option<(u32, u32)>) -> [El; 2] {
    let look = match link.look {
        LinkLook::Cut => "st-link cut",
        LinkLook::Bad => "st-link bad",
        LinkLook::Quiet => "st-link",
    };
    let picked = if is_picked(link, picked) {
        " picked"
    } else {
        ""
    };
    let key = Stop::Link(link.from, link.to).key();
    [
        path("st-link-reach", link.path.clone()).is("data-stop", key),
        path(format!("{look}{picked}"), link.path.clone()),
    ]
}

/// The line along which the quorum talks to the cards, or those that lead round the matrix.
fn rails(plan: &Plan) -> String {
    let mut d = String::new();
    if plan.is_matrix() {
        return around(plan);
    }
    let x = plan.gutters.rail_x;
    let cards = || plan.places.iter().filter(|p| p.kind == Kind::Card);
    let mut controls = plan.places.iter().filter(|p| p.kind == Kind::Control);
    let (Some(last), Some(first)) = (cards().next_back(), controls.next_back()) else {
        return d;
    };
    let (y, low) = (plan.gutters.control_y, last.rect.y + 18.0);
    draw(&mut d, 'M', &[first.rect.cx(), first.rect.bottom()]);
    draw(&mut d, 'V', &[y]);
    draw(&mut d, 'H', &[x + 6.0]);
    draw(&mut d, 'Q', &[x, y, x, y + 6.0]);
    draw(&mut d, 'V', &[low]);
    for place in plan.places.iter().filter(|p| p.kind == Kind::Control) {
        draw(&mut d, 'M', &[place.rect.cx(), place.rect.bottom()]);
        draw(&mut d, 'V', &[y]);
    }
    for card in cards() {
        draw(&mut d, 'M', &[x, card.rect.y + 18.0]);
        draw(&mut d, 'H', &[card.rect.x]);
    }
    d
}

/// The lines round the matrix on which clients reach the heads of its columns.
fn around(plan: &Plan) -> String {
    let mut d = String::new();
    let g = &plan.gutters;
    let heads: Vec<_> = plan
        .places
        .iter()
        .filter(|p| p.role == Role::Store)
        .collect();
    let (Some(first), Some(last)) = (heads.first(), heads.last()) else {
        return d;
    };
    let clients = || {
        plan.places
            .iter()
            .filter(|p| matches!(p.role, Role::Source | Role::Sink))
    };
    let left = clients()
        .filter(|p| p.rect.x < first.rect.x)
        .map(|p| p.rect.cy());
    let right = clients()
        .filter(|p| p.rect.x > last.rect.x)
        .map(|p| p.rect.cy());
    let lines = [
        (left.fold(g.band_y, f64::max), g.bus_x, last.rect.cx()),
        (
            right.fold(g.band_y, f64::max),
            g.bus_right_x,
            first.rect.cx(),
        ),
    ];
    for (low, bus, end) in lines {
        if low > g.band_y {
            let turn = bus + if end > bus { 6.0 } else { -6.0 };
            draw(&mut d, 'M', &[bus, low]);
            draw(&mut d, 'V', &[g.band_y + 6.0]);
            draw(&mut d, 'Q', &[bus, g.band_y, turn, g.band_y]);
            draw(&mut d, 'H', &[end]);
        }
    }
    d
}

/// Small round ports on the edges of cards and clients, where links end.
fn ports(plan: &Plan) -> String {
    let mut d = String::new();
    let mut port = |x: f64, y: f64| {
        draw(&mut d, 'M', &[x - 3.0, y]);
        d.push_str("a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z");
    };
    let cards = plan.places.iter().filter(|p| p.kind == Kind::Card).count();
    let beside = |left: bool| {
        plan.places
            .iter()
            .any(|p| p.kind == Kind::Client && (p.rect.right() < plan.strip_x) == left)
    };
    let phone = plan.size == Width::Phone;
    for place in &plan.places {
        let r = &place.rect;
        match place.kind {
            Kind::Card => {
                if phone || beside(true) {
                    port(r.x, r.cy());
                }
                if !phone && beside(false) {
                    port(r.right(), r.cy());
                }
                if cards > 1 {
                    port(r.right(), r.y + r.h * 0.38);
                    port(r.right(), r.y + r.h * 0.62);
                }
            }
            Kind::Client if !phone && !plan.is_matrix() => {
                let on_left = r.right() < plan.strip_x;
                port(if on_left { r.right() } else { r.x }, r.cy());
            }
            _ => {}
        }
    }
    d
}

/// The strandline with its tag, the axis' numbers, and the marks of faulted links.
pub(super) fn over(plan: &Plan, scene: &Scene, picks: &Picks<'_>) -> Vec<El> {
    let rulers = plan.groups.iter().map(|g| g.ruler_y);
    let shown = scene.lanes.iter().zip(rulers);
    let numbers = shown.filter_map(|(lane, y)| Some(numbers(lane, y?)));
    let ruler = el("div")
        .class("st-ruler")
        .mute()
        .all(numbers.flatten().collect::<Vec<_>>());
    let lines = scene.lanes.iter().filter_map(|l| l.line.as_ref());
    let faulted = scene.links.iter().filter(|l| l.look != LinkLook::Quiet);
    let marks = faulted.map(|l| fault(l, picks.link()));
    [ruler]
        .into_iter()
        .chain(lines.flat_map(strandline))
        .chain(marks)
        .collect()
}

/// The numbers of an axis, but for those that the strandline's thread would cross.
fn numbers(lane: &LaneScene, y: f64) -> impl Iterator<Item = El> {
    let stem = lane.line.as_ref().map(|l| l.x);
    let clear = move |t: &&Tick| stem.is_none_or(|x| (t.x - x).abs() > 15.0);
    let tick = move |t: &Tick| {
        el("span")
            .class("st-tick")
            .style(format!("left:{};top:{}", px(t.x), px(y)))
            .with(t.offset.to_string())
    };
    lane.ticks.iter().filter(clear).map(tick)
}

/// A wave from top to bottom around x = 0.
fn wave(from: f64, to: f64) -> String {
    let half = 9.0;
    let count = ((to - from) / half).round().max(1.0);
    let step = (to - from) / count;
    let mut d = String::new();
    draw(&mut d, 'M', &[0.0, from]);
    draw(&mut d, 'Q', &[4.6, from + step / 2.0, 0.0, from + step]);
    for i in 2..=(count as i64) {
        draw(&mut d, 'T', &[0.0, from + step * i as f64]);
    }
    d
}

fn strandline(line: &Line) -> [El; 2] {
    let runs = line
        .runs
        .iter()
        .map(|&(a, b)| wave(a, b))
        .collect::<String>();
    let waves = svg("g")
        .style(format!("transform:translateX({})", px(line.x)))
        .with(path("st-strandline-rim", runs.clone()))
        .with(path("st-strandline", runs));
    [
        svg("svg").class("stage-over").mute().with(waves),
        el("span")
            .class("st-strandline-tag")
            .at(line.tag)
            .with(line.label.clone()),
    ]
}

/// The mark of a faulted link: ✕ for a cut one, words for a bad one.
fn fault(link: &LinkScene, picked: Option<(u32, u32)>) -> El {
    let cut = link.look == LinkLook::Cut;
    let class = if cut {
        "st-link-mark cut"
    } else {
        "st-link-mark bad"
    };
    let held = (link.held > 0).then(|| {
        let class = if link.queue_below {
            "st-link-held above"
        } else {
            "st-link-held"
        };
        el("span")
            .class(class)
            .mute()
            .with(format!("{} held", link.held))
    });
    let arrow = (cut && !link.both() && link.pairs.len() == 1).then(|| {
        el("span")
            .class("st-link-way")
            .style(format!("transform:rotate({}deg)", number(link.heading, 0)))
            .mute()
            .with("→")
    });
    let cross = cut.then(|| {
        svg("svg")
            .is("viewBox", "0 0 24 24")
            .is("width", "24")
            .is("height", "24")
            .mute()
            .with(svg("circle").is("cx", "12").is("cy", "12").is("r", "10.5"))
            .with(svg("path").is("d", "M8 8l8 8M16 8l-8 8"))
    });
    button(class)
        .is("data-stop", Stop::Link(link.from, link.to).key())
        .is("tabindex", "-1")
        .label(link.aria.clone())
        .is("aria-pressed", is_picked(link, picked).to_string())
        .is("title", link.aria.clone())
        .style(format!("left:{};top:{}", px(link.mid.x), px(link.mid.y)))
        .all(cross)
        .all(link.label.iter().map(|l| el("span").with(l.clone())))
        .all(arrow)
        .all(held)
}
