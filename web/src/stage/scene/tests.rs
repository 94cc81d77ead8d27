//! What must hold of every scene: words fit, the line stands at one place, nothing is hidden.

use sim_core::view::{MarkKind, StageView};

use super::{Gone, LinkLook, NodeScene, Scene, SlotScene, Wake};
use crate::stage::Zoom;
use crate::stage::fixture::{Situation, view};
use crate::stage::plan::geom::Rect;
use crate::stage::plan::route::Routes;
use crate::stage::plan::{Kind, Outline, Place, Plan, TIDE, Width};

fn scene(view: &StageView, zoom: &Zoom, width: f64) -> (Plan, Scene) {
    let outline = Outline::new(view);
    let plan = Plan::new(&outline, outline.mode(zoom), width, 640.0);
    let routes = Routes::new(&plan);
    let scene = Scene::new(view, &Wake::default(), &outline, &plan, &routes);
    (plan, scene)
}

const WIDTHS: [f64; 5] = [296.0, 390.0, 700.0, 1010.0, 1600.0];

#[test]
fn the_strandline_stands_at_one_place_for_all_copies() {
    for tick in 0..60 {
        for width in WIDTHS {
            let (plan, scene) = scene(&view(Situation::Calm, tick), &Zoom::All, width);
            let line = scene.lanes[0].line.clone().expect("a strandline");
            let slot = (line.x + 1.0 - TIDE / 2.0 - plan.strip_x) / plan.pitch;
            assert!((slot - slot.round()).abs() < 1e-9, "between two cells");
            for strip in scene.strips.iter().flatten() {
                for (i, cell) in strip.slots.iter().enumerate() {
                    if let SlotScene::Cell(cell) = cell {
                        assert_eq!(cell.committed, (i as f64) < slot, "{}", cell.aria);
                    }
                }
            }
            for strip in &plan.strips {
                let (top, bottom) = (strip.rect.y, strip.rect.bottom());
                let over = line.runs.iter().any(|r| r.0 < top && bottom < r.1);
                assert!(
                    over,
                    "the line runs over every copy in sync: {:?}",
                    line.runs
                );
            }
        }
    }
}

#[test]
fn the_strandline_is_one_unless_words_are_in_its_way() {
    for width in WIDTHS {
        let (plan, scene) = scene(&view(Situation::Calm, 0), &Zoom::All, width);
        let line = scene.lanes[0].line.clone().expect("a strandline");
        let phone = plan.size == Width::Phone;
        let cards = plan.places.iter().zip(&scene.nodes);
        let mut cards = cards.filter(|(p, _)| p.kind == Kind::Card).skip(1);
        let written = |(p, n): (&Place, &NodeScene)| line.x < p.rect.x + n.head_reach(phone);
        if cards.clone().any(written) {
            assert!(line.runs.len() > 1, "{width}: through the words");
        }
        let clear = |(p, n): (&Place, &NodeScene)| line.x > p.rect.x + n.head_reach(phone) + 8.0;
        if cards.all(clear) {
            assert_eq!(line.runs.len(), 1, "{width}: nothing is in its way");
        }
        for pair in line.runs.windows(2) {
            let gap = (pair[0].1, pair[1].0);
            let heads = plan.places.iter().filter(|p| p.kind == Kind::Card);
            let mut heads = heads.map(|p| (p.rect.y, p.rect.y + 31.0));
            assert!(
                heads.any(|h| gap.0 <= h.0 && h.1 <= gap.1),
                "{width}: {gap:?}"
            );
        }
    }
}

#[test]
fn a_deposed_leader_does_not_move_the_strandline() {
    let mut view = view(Situation::Calm, 0);
    // Broker 1 does not know that broker 2 leads, and believes in a watermark of its own.
    view.lanes[0].leader = Some(4);
    view.nodes[4].lanes[0].leads = true;
    view.nodes[3].lanes[0].strandline = 131;
    let (_, scene) = scene(&view, &Zoom::All, 1010.0);
    assert_eq!(
        scene.lanes[0].line.clone().expect("a strandline").offset,
        127
    );
    let of = |id: u32| scene.nodes.iter().find(|n| n.node == id).expect("a card");
    assert!(of(3).deposed && !of(3).leads);
    assert!(of(4).leads && !of(4).deposed);
}

#[test]
fn a_leader_that_is_down_has_forgotten_its_strandline() {
    let mut view = view(Situation::Calm, 0);
    view.nodes[3].health = sim_core::view::Health::Down;
    let copy = &mut view.nodes[3].lanes[0];
    (copy.leads, copy.strandline) = (false, 0);
    let (_, scene) = scene(&view, &Zoom::All, 1010.0);
    assert_eq!(
        scene.lanes[0].line.clone().expect("a strandline").offset,
        127,
        "what followers know"
    );
}

#[test]
fn a_follower_that_knows_less_holds_no_less() {
    let mut view = view(Situation::Calm, 0);
    for cell in &mut view.nodes[5].lanes[0].cells {
        cell.committed = cell.offset < 125;
    }
    let (_, scene) = scene(&view, &Zoom::All, 1010.0);
    let strip = scene
        .strips
        .iter()
        .flatten()
        .find(|s| s.node == 5)
        .expect("a strip");
    for slot in &strip.slots {
        if let SlotScene::Cell(cell) = slot {
            assert_eq!(cell.committed, cell.offset < 127, "{}", cell.aria);
        }
    }
    assert!(strip.labels.iter().any(|l| l.text == "knows HW 125"));
}

#[test]
fn the_strandline_does_not_reach_copies_out_of_sync() {
    let mut view = view(Situation::Calm, 0);
    view.nodes[4].lanes[0].in_sync = false;
    let (plan, scene) = scene(&view, &Zoom::All, 1010.0);
    let line = scene.lanes[0].line.clone().expect("a strandline");
    assert_eq!(line.runs.len(), 2);
    let card = plan.place(4).expect("card").rect;
    for (from, to) in line.runs {
        assert!(
            to <= card.y || from >= card.bottom(),
            "{from}–{to} crosses {card:?}"
        );
    }
}

#[test]
fn words_under_strips_fit_and_do_not_overlap() {
    for situation in [Situation::Calm, Situation::LeaderDied] {
        for tick in 0..40 {
            for width in WIDTHS {
                let (plan, scene) = scene(&view(situation, tick), &Zoom::All, width);
                for strip in scene.strips.iter().flatten() {
                    let place = plan.place(strip.node).expect("a card");
                    let shown: Vec<Rect> = strip
                        .labels
                        .iter()
                        .filter(|l| !l.text.is_empty())
                        .map(|l| Rect::new(l.x, 0.0, l.w, 1.0))
                        .collect();
                    for (i, a) in shown.iter().enumerate() {
                        assert!(a.x >= place.rect.x && a.right() <= place.rect.right());
                        assert!(shown[i + 1..].iter().all(|b| !a.overlaps(b)), "{width}");
                    }
                    let end = strip.labels.iter().find(|l| l.kind == MarkKind::End);
                    assert!(
                        end.is_some_and(|l| !l.text.is_empty()),
                        "the log end is always told"
                    );
                }
                let tag = scene.lanes[0].line.clone().expect("a strandline").tag;
                assert!(
                    tag.x >= 0.0 && tag.right() <= plan.width,
                    "{width}: {tag:?}"
                );
            }
        }
    }
}

#[test]
fn a_cut_link_is_drawn_once_with_its_mark_on_the_stage() {
    for width in WIDTHS {
        let (plan, scene) = scene(&view(Situation::LeaderDied, 0), &Zoom::All, width);
        let cut: Vec<_> = scene
            .links
            .iter()
            .filter(|l| l.look == LinkLook::Cut)
            .collect();
        assert_eq!(cut.len(), 1);
        assert!(cut[0].both() && cut[0].aria.ends_with("cut both ways"));
        let mid = cut[0].mid;
        assert!(
            mid.x <= plan.width - 13.0,
            "{width}: the mark is cut off at {mid:?}"
        );
        assert_eq!(cut[0].held, 4);
        let bad: Vec<_> = scene
            .links
            .iter()
            .filter(|l| l.look == LinkLook::Bad)
            .collect();
        let words = if width < 640.0 {
            vec!["!"]
        } else {
            vec!["+200 ms", "5 % lost"]
        };
        assert_eq!(bad[0].label, words);
        assert!(bad[0].aria.ends_with("+200 ms, 5 % lost"));
    }
}

#[test]
fn a_broker_cut_from_the_quorum_bears_one_mark() {
    let mut view = view(Situation::Calm, 0);
    for control in 0..3 {
        for (from, to) in [(3, control), (control, 3)] {
            let link = sim_core::view::LinkView {
                from,
                to,
                cut: true,
                slow_by: 0,
                loss_ppm: 0,
            };
            view.links.push(link);
        }
    }
    for width in WIDTHS {
        let (plan, scene) = scene(&view, &Zoom::All, width);
        let cut: Vec<_> = scene
            .links
            .iter()
            .filter(|l| l.look == LinkLook::Cut)
            .collect();
        assert_eq!((cut.len(), cut[0].pairs.len()), (1, 6));
        let names = "Controller 1, Controller 2, Controller 3";
        assert_eq!(
            cut[0].aria,
            format!("Links between Broker 1 and {names}, cut")
        );
        let card = plan.place(3).expect("a card").rect;
        assert!(
            (cut[0].mid.y - card.y).abs() < 40.0,
            "{width}: the mark stands at the broker"
        );
    }
}

#[test]
fn every_copy_has_a_cell_in_the_matrix() {
    let view = view(Situation::Wide, 3);
    let copies: usize = view.nodes.iter().map(|n| n.lanes.len()).sum();
    for width in WIDTHS {
        let (plan, scene) = scene(&view, &Zoom::All, width);
        let cells: usize = scene.columns.iter().map(|c| c.cells.len()).sum();
        assert_eq!(cells, copies, "{width}");
        assert_eq!(scene.columns.len(), 10);
        assert_eq!(scene.rows.len(), 24);
        assert!(scene.rows.iter().any(|r| r.short) && scene.rows.iter().any(|r| !r.short));
        let dots: usize = scene
            .columns
            .iter()
            .map(|c| c.leads.matches('z').count())
            .sum();
        assert_eq!(dots, 24, "one leader a lane");
        assert!(plan.places.iter().filter(|p| p.kind == Kind::Head).count() == 10);
    }
}

#[test]
fn beyond_that_lanes_are_counted() {
    let view = view(Situation::Vast, 0);
    let (plan, vast) = scene(&view, &Zoom::All, 1010.0);
    assert!(plan.rows.len() <= 24 && plan.rows.len() >= 8);
    assert!(
        vast.columns
            .iter()
            .all(|c| c.cells.iter().all(|cell| cell.page))
    );
    let (plan, page) = scene(&view, &Zoom::Page(1), 1010.0);
    assert!(plan.rows.iter().all(|r| r.lanes.len() == 1));
    assert!(page.columns.iter().any(|c| !c.cells.is_empty()));
}

#[test]
fn what_was_truncated_stays_to_be_seen() {
    let before = view(Situation::Calm, 0);
    let mut after = view(Situation::Calm, 0);
    after.now += 1_000_000;
    let copy = &mut after.nodes[3].lanes[0];
    copy.end = 129;
    copy.cells.retain(|c| c.offset < 129);
    let wake = Wake::default().next(&before).next(&after);
    let outline = Outline::new(&after);
    let plan = Plan::new(&outline, outline.mode(&Zoom::All), 1010.0, 640.0);
    let scene = Scene::new(&after, &wake, &outline, &plan, &Routes::new(&plan));
    let strip = scene
        .strips
        .iter()
        .flatten()
        .find(|s| s.node == 3)
        .expect("a strip");
    let gone: Vec<i64> = strip
        .slots
        .iter()
        .filter_map(|s| match s {
            SlotScene::Cell(c) if c.gone == Some(Gone::Truncated) => Some(c.offset),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [129, 130, 131]);
}

#[test]
fn a_few_lanes_are_shown_as_groups_each_with_its_strandline() {
    let mut view = view(Situation::Calm, 0);
    for i in 1..4 {
        let id = format!("orders-{i}");
        for node in &mut view.nodes {
            let copy = node.lanes.first().cloned();
            node.lanes.extend(copy.map(|lane| sim_core::view::Lane {
                id: id.clone(),
                ..lane
            }));
        }
        let summary = sim_core::view::LaneSummary {
            id,
            ..view.lanes[0].clone()
        };
        view.lanes.push(summary);
    }
    for width in WIDTHS {
        let (plan, scene) = scene(&view, &Zoom::All, width);
        assert_eq!((scene.lanes.len(), scene.strips.len()), (4, 12), "{width}");
        for (group, lane) in plan.groups.iter().zip(&scene.lanes) {
            let line = lane.line.clone().expect("a strandline");
            let (first, last) = (
                &plan.strips[group.strips.start],
                &plan.strips[group.strips.end - 1],
            );
            assert_eq!(line.runs.len(), 1);
            assert!(line.runs[0].0 < first.rect.y && line.runs[0].1 > last.rect.bottom());
            assert!(
                line.tag.x >= group.tag_from && line.tag.right() <= plan.width,
                "{width}"
            );
        }
        for strip in scene.strips.iter().flatten() {
            let end = strip
                .labels
                .iter()
                .find(|l| l.kind == MarkKind::End)
                .expect("an end");
            assert!(
                end.text.contains("1"),
                "{width}: the log end is always told"
            );
            assert!(end.x + end.w <= plan.width, "{width}");
            assert_eq!(strip.name.as_ref().map(|n| n.leads), Some(strip.node == 3));
        }
    }
}

#[test]
fn diverged_tails_and_new_epochs_are_marked() {
    let (_, scene) = scene(&view(Situation::LeaderDied, 0), &Zoom::All, 1010.0);
    let strip = |node: u32| {
        scene
            .strips
            .iter()
            .flatten()
            .find(|s| s.node == node)
            .expect("a strip")
    };
    let diverged = |node: u32| -> Vec<i64> {
        let cells = strip(node).slots.iter().filter_map(|s| match s {
            SlotScene::Cell(c) if c.diverged => Some(c.offset),
            _ => None,
        });
        cells.collect()
    };
    assert_eq!(diverged(3), [129, 130, 131]);
    assert_eq!(diverged(4), [129, 130, 131]);
    assert_eq!(strip(4).flags.last().map(|f| f.epoch), Some(8));
    assert_eq!(strip(3).flags.len(), 0, "one epoch needs no flag");
}
