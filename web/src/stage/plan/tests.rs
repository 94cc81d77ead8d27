//! What must hold of every plan: nothing overlaps, nothing leaves the stage, paths end at cards.

use sim_core::view::Role;

use super::geom::Rect;
use super::route::Routes;
use super::{Kind, Mode, Outline, OutlineNode, Plan, TIDE, Width};
use crate::stage::Zoom;

/// A world with the given numbers of controllers, sources, stores, sinks and lanes; each lane is
/// held by `rf` stores.
fn world(controls: u32, sources: u32, stores: u32, sinks: u32, lanes: usize, rf: usize) -> Outline {
    let mut nodes = Vec::new();
    let mut add = |role, n: u32, holds: &dyn Fn(usize) -> Vec<usize>| {
        for i in 0..n as usize {
            let id = nodes.len() as u32;
            nodes.push(OutlineNode {
                id,
                role,
                holds: holds(i),
            });
        }
    };
    let none = |_: usize| Vec::new();
    let held = |i: usize| {
        (0..lanes)
            .filter(|l| (0..rf).any(|k| (l + k) % stores.max(1) as usize == i))
            .collect()
    };
    add(Role::Control, controls, &none);
    add(Role::Source, sources, &none);
    add(Role::Store, stores, &held);
    add(Role::Sink, sinks, &none);
    Outline {
        nodes,
        lanes: (0..lanes).map(|i| format!("orders-{i}")).collect(),
    }
}

fn worlds() -> Vec<Outline> {
    vec![
        world(3, 1, 3, 1, 1, 3),
        world(0, 0, 3, 0, 1, 3),
        world(3, 4, 5, 6, 1, 3),
        world(5, 30, 10, 30, 24, 3),
        world(3, 2, 10, 2, 24, 3),
        world(3, 2, 40, 2, 600, 3),
        world(1, 1, 1, 1, 1, 1),
        world(3, 1, 3, 1, 3, 3),
        world(3, 2, 5, 2, 4, 3),
        world(0, 2, 4, 2, 0, 0),
        world(0, 0, 0, 0, 0, 0),
    ]
}

/// Every plan that a learner can see, with a name for the failure message.
fn plans() -> Vec<(String, Outline, Plan)> {
    let mut out = Vec::new();
    for (i, outline) in worlds().into_iter().enumerate() {
        for width in [
            288.0, 320.0, 358.0, 390.0, 560.0, 639.0, 640.0, 768.0, 899.0, 900.0, 1010.0, 1600.0,
        ] {
            for zoom in [Zoom::All, Zoom::Page(1), Zoom::Lane("orders-3".to_owned())] {
                for height in [300.0, 640.0, 1200.0] {
                    let mode = outline.mode(&zoom);
                    let plan = Plan::new(&outline, mode, width, height);
                    let name = format!("world {i}, {width}×{height}, {zoom:?}");
                    out.push((name, outline.clone(), plan));
                }
            }
        }
    }
    out
}

fn boxes(plan: &Plan) -> Vec<(String, Rect)> {
    let mut out: Vec<(String, Rect)> = plan
        .places
        .iter()
        .map(|p| (format!("node {} {:?}", p.node, p.kind), p.rect))
        .collect();
    out.extend(
        plan.rows
            .iter()
            .enumerate()
            .map(|(i, r)| (format!("row {i}"), r.label)),
    );
    for (i, strip) in plan.strips.iter().enumerate() {
        if let Some(name) = strip.name {
            out.push((format!("strip {i}"), strip.rect));
            out.push((format!("name of strip {i}"), name));
        }
    }
    out.push(("control text".to_owned(), plan.control_text));
    out.push(("control label".to_owned(), plan.control_label));
    out
}

#[test]
fn nothing_overlaps_and_nothing_leaves_the_stage() {
    for (name, _, plan) in plans() {
        let stage = Rect::new(0.0, 0.0, plan.width, plan.height);
        let boxes = boxes(&plan);
        for (i, (a, rect)) in boxes.iter().enumerate() {
            assert!(stage.holds(rect), "{name}: {a} {rect:?} leaves {stage:?}");
            for (b, other) in &boxes[i + 1..] {
                assert!(
                    !rect.overlaps(other),
                    "{name}: {a} {rect:?} overlaps {b} {other:?}"
                );
            }
        }
    }
}

#[test]
fn strips_share_their_axis_and_lie_in_their_cards() {
    for (name, _, plan) in plans() {
        for strip in &plan.strips {
            assert_eq!(
                (strip.rect.x, strip.rect.w),
                (plan.strip_x, plan.slots as f64 * plan.pitch + TIDE)
            );
            assert!(
                plan.pitch >= 24.0 && strip.rect.h >= 22.0,
                "{name}: cells can be hit"
            );
            assert!(strip.rect.right() <= plan.width, "{name}");
        }
        for place in plan.places.iter().filter(|p| p.kind == Kind::Card) {
            let strip = plan.strips.iter().find(|s| s.node == place.node);
            let strip = strip.expect("a card has a strip").rect;
            assert!(
                place.rect.holds(&strip),
                "{name}: {strip:?} in {:?}",
                place.rect
            );
            // Head above, carets below.
            assert!(strip.y - place.rect.y >= 40.0 && place.rect.bottom() - strip.bottom() >= 20.0);
        }
    }
}

#[test]
fn every_node_has_a_place_and_every_lane_a_row() {
    for (name, outline, plan) in plans() {
        for node in &outline.nodes {
            assert!(plan.place(node.id).is_some(), "{name}: node {}", node.id);
        }
        if let Mode::Groups { lanes } = &plan.mode {
            assert_eq!(
                (plan.rows.len(), plan.groups.len()),
                (lanes.len(), lanes.len()),
                "{name}"
            );
            let held: usize = outline.nodes.iter().map(|n| n.holds.len()).sum();
            assert_eq!(plan.strips.len(), held, "{name}: every copy has a strip");
        }
        if let Mode::Matrix { rows } = &plan.mode {
            assert_eq!(plan.rows.len(), rows.len(), "{name}");
            assert!(
                plan.rows.iter().all(|r| r.h >= 24.0),
                "{name}: rows can be hit"
            );
        }
    }
}

#[test]
fn paths_stay_on_the_stage_and_begin_and_end_at_their_nodes() {
    for (name, outline, plan) in plans() {
        let stage = Rect::new(-1.0, -6.0, plan.width + 2.0, plan.height + 12.0);
        let routes = Routes::new(&plan);
        let near = |rect: &Rect, p: super::geom::Pt| {
            let grown = Rect::new(rect.x - 1.0, rect.y - 1.0, rect.w + 2.0, rect.h + 2.0);
            grown.holds(&Rect::new(p.x, p.y, 0.0, 0.0))
        };
        for a in outline.nodes.iter().take(12) {
            for b in outline.nodes.iter().rev().take(12) {
                let (pa, pb) = (plan.place(a.id).unwrap(), plan.place(b.id).unwrap());
                let aside = matches!(plan.mode, Mode::Full { lane: Some(_) })
                    && (pa.kind == Kind::Slim || pb.kind == Kind::Slim);
                if pa.node == pb.node || aside {
                    assert!(routes.get(a.id, b.id).is_none());
                    continue;
                }
                let path = routes.get(a.id, b.id).expect("a path");
                for p in path.points() {
                    let inside = stage.holds(&Rect::new(p.x, p.y, 0.0, 0.0));
                    assert!(
                        inside,
                        "{name}: {}→{} {p:?} {:?}",
                        a.id,
                        b.id,
                        (pa.kind, pb.kind)
                    );
                }
                let ends = near(&pa.rect, path.at(0.0)) && near(&pb.rect, path.at(1.0));
                assert!(ends, "{name}: {}→{} {:?}", a.id, b.id, (pa.kind, pb.kind));
                let back = routes.get(b.id, a.id).expect("a path back");
                let apart = path.points().iter().rev().zip(back.points());
                let apart = apart
                    .map(|(p, q)| (p.x - q.x).hypot(p.y - q.y))
                    .fold(0.0, f64::max);
                assert!(apart > 2.0, "{name}: {}↔{} share a line", a.id, b.id);
            }
        }
    }
}

#[test]
fn ten_brokers_with_24_partitions_fit_a_laptop_and_a_phone() {
    let outline = world(3, 2, 10, 2, 24, 3);
    for (width, size) in [
        (1010.0, Width::Wide),
        (390.0, Width::Phone),
        (296.0, Width::Phone),
    ] {
        let plan = Plan::new(&outline, outline.mode(&Zoom::All), width, 640.0);
        assert_eq!(plan.size, size);
        let heads: Vec<_> = plan
            .places
            .iter()
            .filter(|p| p.kind == Kind::Head)
            .collect();
        assert_eq!(heads.len(), 10, "{width}");
        assert!(
            heads.iter().all(|p| p.rect.w >= 24.0),
            "{width}: columns can be hit"
        );
        assert_eq!(plan.rows.len(), 24);
    }
}
