//! One lane in full: stores as cards under each other, their strips on one axis.

use sim_core::view::Role;

use super::geom::Rect;
use super::{Group, Kind, Outline, Place, Plan, RULER_H, StripPlace, TAG_H, TIDE, Width, ids};
use crate::lengths::within;

/// Measures that differ with the room there is.
struct Measures {
    /// Width of a column of clients.
    side: f64,
    /// Room between clients and stores.
    gutter: f64,
    /// Room for arcs right of the stores.
    arcs: f64,
    /// Space inside a card, left and right.
    pad: f64,
    /// Least and most height of a card, and the space between two.
    card: (f64, f64, f64),
    /// Height of a card's head with the row of epoch flags, and of the cells.
    head: f64,
    cell_h: f64,
    /// From one cell to the next.
    pitch: f64,
}

fn measures(size: Width) -> Measures {
    match size {
        Width::Phone => Measures {
            side: 0.0,
            gutter: 28.0,
            arcs: 36.0,
            pad: 8.0,
            card: (95.0, 98.0, 10.0),
            head: 44.0,
            cell_h: 26.0,
            pitch: 24.0,
        },
        Width::Mid => Measures {
            side: 164.0,
            gutter: 52.0,
            arcs: 56.0,
            pad: 14.0,
            card: (98.0, 124.0, 14.0),
            head: 44.0,
            cell_h: 30.0,
            pitch: 26.0,
        },
        Width::Wide => Measures {
            side: 172.0,
            gutter: 72.0,
            arcs: 74.0,
            pad: 16.0,
            card: (98.0, 128.0, 16.0),
            head: 44.0,
            cell_h: 30.0,
            pitch: 26.0,
        },
    }
}

/// Lays out one lane.
pub(super) fn lay(plan: &mut Plan, outline: &Outline, lane: Option<usize>, height: f64) {
    let m = measures(plan.size);
    let (sources, sinks) = (ids(outline, Role::Source), ids(outline, Role::Sink));
    let (left, right) = match plan.size {
        Width::Phone => (Vec::new(), Vec::new()),
        Width::Mid => (sources.iter().chain(&sinks).copied().collect(), Vec::new()),
        Width::Wide => (sources.clone(), sinks.clone()),
    };
    // Without clients there still is the quorum's rail.
    let x = if left.is_empty() {
        28.0
    } else {
        m.side + m.gutter
    };
    // Arcs between stores and the paths of sinks share the room on the right.
    let end = plan.width - m.arcs - if right.is_empty() { 0.0 } else { m.side + 22.0 };
    let stores = Rect::new(x, 0.0, end - x, 0.0);
    let mut y = plan.lay_control(outline, if plan.size == Width::Phone { 4.0 } else { x });
    if plan.size == Width::Phone {
        y = plan.lay_pairs(&sources, x, y, plan.width - x - 4.0) + 8.0;
    }
    let ruler_y = y + TAG_H + 4.0;
    let top = if lane.is_some() {
        ruler_y + RULER_H + 4.0
    } else {
        y + 8.0
    };
    let bottom = lay_cards(plan, outline, lane, &m, Rect { y: top, ..stores }, height);
    plan.groups = lane
        .map(|lane| Group {
            lane,
            strips: 0..plan.strips.len(),
            tag_y: y,
            tag_from: 2.0,
            tag_to: plan.width - 2.0,
            ruler_y: Some(ruler_y),
        })
        .into_iter()
        .collect();
    plan.gutters.rail_x = x - 10.0;
    plan.gutters.arc_x = end;
    // The marks of faults stand on the arcs and must not be cut off.
    plan.gutters.arc_w = m.arcs - 14.0;
    plan.gutters.bus_x = 13.0;
    plan.height = bottom + 8.0;
    if plan.size == Width::Phone {
        let low = plan.lay_pairs(&sinks, x, bottom + 16.0, plan.width - x - 4.0);
        plan.height = low + 8.0;
        return;
    }
    let span = |n: usize| {
        let least = n as f64 * 60.0 - 12.0;
        (bottom - top).max(least.min(height - top))
    };
    let column = |x: f64, n: usize| Rect::new(x, top, m.side, span(n));
    plan.lay_column(&left, column(0.0, left.len()));
    plan.lay_column(&right, column(plan.width - m.side, right.len()));
    let lowest = plan
        .places
        .iter()
        .map(|p| p.rect.bottom())
        .fold(bottom, f64::max);
    plan.height = lowest + 8.0;
}

/// Cards of the stores that hold the lane, then the others in rows. Returns the lower edge.
fn lay_cards(
    plan: &mut Plan,
    outline: &Outline,
    lane: Option<usize>,
    m: &Measures,
    area: Rect,
    height: f64,
) -> f64 {
    let holds = |node: &&super::OutlineNode| lane.is_some_and(|l| node.holds.contains(&l));
    let cards: Vec<u32> = outline
        .of(Role::Store)
        .filter(holds)
        .map(|n| n.id)
        .collect();
    let slim: Vec<u32> = outline
        .of(Role::Store)
        .filter(|n| !holds(n))
        .map(|n| n.id)
        .collect();
    let (least, most, gap) = m.card;
    let slim_h = if lane.is_some() { 34.0 } else { 84.0 };
    let per_row = ((area.w + 8.0) / 158.0).floor().max(1.0) as usize;
    let slim_rows = slim.len().div_ceil(per_row);
    let rest = slim_rows as f64 * (slim_h + 8.0);
    let room = height - area.y - rest - 16.0;
    let n = cards.len().max(1) as f64;
    let h = within((room + gap) / n - gap, least, most);
    plan.pitch = m.pitch;
    plan.strip_x = area.x + m.pad;
    plan.slots = ((area.w - 2.0 * m.pad - TIDE) / m.pitch).floor().max(4.0) as usize;
    let mut y = area.y;
    for node in cards {
        let rect = Rect::new(area.x, y, area.w, h);
        let spare = (h - least) / 2.0;
        let strip_y = y + m.head + spare * 0.8;
        let tall = m.cell_h + spare.min(6.0);
        let strip = Rect::new(
            plan.strip_x,
            strip_y,
            plan.slots as f64 * m.pitch + TIDE,
            tall,
        );
        plan.places.push(Place {
            node,
            role: Role::Store,
            kind: Kind::Card,
            rect,
            gathers: Vec::new(),
        });
        plan.strips.extend(lane.map(|lane| StripPlace {
            node,
            lane,
            rect: strip,
            name: None,
        }));
        y += h + gap;
    }
    let each = (area.w + 8.0) / per_row as f64 - 8.0;
    for (i, &node) in slim.iter().enumerate() {
        let (col, row) = ((i % per_row) as f64, (i / per_row) as f64);
        plan.places.push(Place {
            node,
            role: Role::Store,
            kind: Kind::Slim,
            rect: Rect::new(
                area.x + col * (each + 8.0),
                y + row * (slim_h + 8.0),
                each,
                slim_h,
            ),
            gathers: Vec::new(),
        });
    }
    if slim.is_empty() {
        y - gap
    } else {
        y + rest - 8.0
    }
}
