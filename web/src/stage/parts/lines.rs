//! Lines: links and rails under the cards; the strandline, the axis' numbers and the marks of
//! faulted links over them.

use std::fmt::Write;

use leptos::prelude::*;

use super::{Shared, px};
use crate::stage::plan::{Kind, Plan, Width};
use crate::stage::scene::{LaneScene, Line, LinkLook, LinkScene, Tick};
use crate::stage::stops::Stop;
use sim_core::view::Role;

/// Links, rails and ports, under the cards.
#[component]
pub(super) fn Under(
    /// What the parts share.
    shared: Shared,
) -> impl IntoView {
    let rails = Memo::new(move |_| shared.layout.with(|l| rails(&l.plan)));
    let ports = Memo::new(move |_| shared.layout.with(|l| ports(&l.plan)));
    let links = Memo::new(move |_| shared.scene.with(|s| s.links.clone()));
    // The line hangs from its tag; cards that it does not reach hide this thread.
    let stem = Memo::new(move |_| {
        shared.scene.with(|s| {
            let hung = s.lanes.iter().filter_map(|lane| {
                let line = lane.line.as_ref()?;
                let run = line.runs.first()?;
                Some(format!(
                    "M{:.1} {:.1}V{:.1}",
                    line.x,
                    line.tag.bottom(),
                    run.0
                ))
            });
            hung.collect::<String>()
        })
    });
    let lines = move || {
        let picked = shared.picked_link.get();
        links.with(|links| links.iter().map(|l| link(l, picked)).collect_view())
    };
    view! {
        <svg class="stage-under" aria-hidden="true">
            <path class="st-rail" d=rails />
            {lines}
            <path class="st-strandline-stem" d=stem />
        </svg>
        <svg class="stage-ports" aria-hidden="true">
            <path class="st-port" d=ports />
        </svg>
    }
}

fn is_picked(link: &LinkScene, picked: Option<(u32, u32)>) -> bool {
    picked.is_some_and(|(a, b)| link.pairs.contains(&(a, b)) || link.pairs.contains(&(b, a)))
}

fn link(link: &LinkScene, picked: Option<(u32, u32)>) -> AnyView {
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
    view! {
        <path class="st-link-reach" d=link.path.clone() data-stop=key />
        <path class=format!("{look}{picked}") d=link.path.clone() />
    }
    .into_any()
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
    // Writing to a string cannot fail.
    let _ = write!(
        d,
        "M{:.1} {:.1}V{y}H{:.1}Q{x} {y} {x} {:.1}V{low:.1}",
        first.rect.cx(),
        first.rect.bottom(),
        x + 6.0,
        y + 6.0
    );
    for place in plan.places.iter().filter(|p| p.kind == Kind::Control) {
        let _ = write!(d, "M{:.1} {:.1}V{y}", place.rect.cx(), place.rect.bottom());
    }
    for card in cards() {
        let _ = write!(d, "M{x} {:.1}H{:.1}", card.rect.y + 18.0, card.rect.x);
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
            // Writing to a string cannot fail.
            let _ = write!(
                d,
                "M{bus:.1} {low:.1}V{:.1}Q{bus:.1} {:.1} {turn:.1} {:.1}H{end:.1}",
                g.band_y + 6.0,
                g.band_y,
                g.band_y
            );
        }
    }
    d
}

/// Small round ports on the edges of cards and clients, where links end.
fn ports(plan: &Plan) -> String {
    let mut d = String::new();
    let mut port = |x: f64, y: f64| {
        let _ = write!(d, "M{:.1} {y:.1}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", x - 3.0);
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
#[component]
pub(super) fn Over(
    /// What the parts share.
    shared: Shared,
) -> impl IntoView {
    let lanes = Memo::new(move |_| shared.scene.with(|s| s.lanes.clone()));
    let links = Memo::new(move |_| shared.scene.with(|s| s.links.clone()));
    let rulers = Memo::new(move |_| {
        shared
            .layout
            .with(|l| l.plan.groups.iter().map(|g| g.ruler_y).collect::<Vec<_>>())
    });
    let ruler = move || {
        lanes.with(|lanes| {
            let shown = lanes.iter().zip(rulers.get());
            shown
                .filter_map(|(lane, y)| Some(numbers(lane, y?)))
                .collect_view()
        })
    };
    let strandline = move || {
        lanes.with(|lanes| {
            lanes
                .iter()
                .filter_map(|l| Some(strandline(l.line.as_ref()?)))
                .collect_view()
        })
    };
    let marks = move || {
        let picked = shared.picked_link.get();
        links.with(|links| {
            let faulted = links.iter().filter(|l| l.look != LinkLook::Quiet);
            faulted.map(|l| fault(l, picked)).collect_view()
        })
    };
    view! {
        <div class="st-ruler" aria-hidden="true">{ruler}</div>
        {strandline}
        {marks}
    }
}

/// The numbers of an axis, but for those that the strandline's thread would cross.
fn numbers(lane: &LaneScene, y: f64) -> AnyView {
    let stem = lane.line.as_ref().map(|l| l.x);
    let clear = |t: &&Tick| stem.is_none_or(|x| (t.x - x).abs() > 15.0);
    let tick = |t: &Tick| {
        view! {
            <span class="st-tick" style:left=px(t.x) style:top=px(y)>
                {t.offset.to_string()}
            </span>
        }
    };
    lane.ticks
        .iter()
        .filter(clear)
        .map(tick)
        .collect_view()
        .into_any()
}

/// A wave from top to bottom around x = 0.
fn wave(from: f64, to: f64) -> String {
    let half = 9.0;
    let count = ((to - from) / half).round().max(1.0);
    let step = (to - from) / count;
    let mut d = format!(
        "M0 {from:.1}Q4.6 {:.1} 0 {:.1}",
        from + step / 2.0,
        from + step
    );
    for i in 2..=(count as i64) {
        // Writing to a string cannot fail.
        let _ = write!(d, "T0 {:.1}", from + step * i as f64);
    }
    d
}

fn strandline(line: &Line) -> AnyView {
    let runs = line
        .runs
        .iter()
        .map(|&(a, b)| wave(a, b))
        .collect::<String>();
    let x = line.x;
    view! {
        <svg class="stage-over" aria-hidden="true">
            <g style:transform=format!("translateX({x:.1}px)")>
                <path class="st-strandline-rim" d=runs.clone() />
                <path class="st-strandline" d=runs />
            </g>
        </svg>
        <span
            class="st-strandline-tag"
            style:left=px(line.tag.x)
            style:top=px(line.tag.y)
            style:width=px(line.tag.w)
            style:height=px(line.tag.h)
        >
            {line.label.clone()}
        </span>
    }
    .into_any()
}

/// The mark of a faulted link: ✕ for a cut one, words for a bad one.
fn fault(link: &LinkScene, picked: Option<(u32, u32)>) -> AnyView {
    let (from, to) = (link.from, link.to);
    let cut = link.look == LinkLook::Cut;
    let class = if cut {
        "st-link-mark cut"
    } else {
        "st-link-mark bad"
    };
    let line = |l: &String| view! { <span>{l.clone()}</span> };
    let words = link.label.iter().map(line).collect_view();
    let held = (link.held > 0).then(|| {
        let words = format!("{} held", link.held);
        let class = if link.queue_below {
            "st-link-held above"
        } else {
            "st-link-held"
        };
        view! { <span class=class aria-hidden="true">{words}</span> }
    });
    let arrow = (cut && !link.both() && link.pairs.len() == 1).then(|| {
        let turn = format!("rotate({:.0}deg)", link.heading);
        view! { <span class="st-link-way" style:transform=turn aria-hidden="true">"→"</span> }
    });
    let cross = cut.then(|| {
        view! {
            <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
                <circle cx="12" cy="12" r="10.5" />
                <path d="M8 8l8 8M16 8l-8 8" />
            </svg>
        }
    });
    let picked = is_picked(link, picked).to_string();
    view! {
        <button
            type="button"
            class=class
            data-stop=Stop::Link(from, to).key()
            tabindex="-1"
            aria-label=link.aria.clone()
            aria-pressed=picked
            title=link.aria.clone()
            style:left=px(link.mid.x)
            style:top=px(link.mid.y)
        >
            {cross}
            {words}
            {arrow}
            {held}
        </button>
    }
    .into_any()
}
