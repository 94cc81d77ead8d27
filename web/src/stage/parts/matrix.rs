//! The matrix of copies: names of rows, bars drawn as a few paths per column, and a button on each
//! copy.

use super::plane::Picks;
use crate::lengths::draw_box;
use crate::stage::plan::geom::Rect;
use crate::stage::plan::{Kind, Place, Plan, Row};
use crate::stage::scene::{Column, MatrixCell, RowScene, Scene};
use crate::stage::stops::Stop;
use crate::tree::{El, button, el, svg};

/// Rows, bars and buttons. `number` is the stage's on the page.
pub(super) fn matrix(plan: &Plan, scene: &Scene, picks: &Picks<'_>, number: u32) -> El {
    let heads: Vec<&Place> = plan
        .places
        .iter()
        .filter(|p| p.kind == Kind::Head)
        .collect();
    let mut class = String::from("stage-matrix");
    if heads.first().is_some_and(|h| h.rect.w < 40.0) {
        class.push_str(" narrow");
    }
    if plan.rows.first().is_some_and(|r| r.h >= 36.0) {
        class.push_str(" tall");
    }
    let rows = plan.rows.iter().zip(&scene.rows).enumerate();
    let columns = || heads.iter().zip(&scene.columns);
    let cells = columns().flat_map(|(head, column)| {
        let cell = |c| cell(plan, head, column.node, c, picks);
        column.cells.iter().map(cell)
    });
    el("div")
        .class(class)
        .with(
            svg("svg")
                .class("stage-bars")
                .mute()
                .with(svg("defs").with(hatch(number)))
                .with(
                    svg("path")
                        .class("st-band")
                        .is("d", bands(plan, heads.last().copied())),
                )
                .all(columns().map(|(_, column)| bars(column, number))),
        )
        .all(rows.map(|(i, (place, scene))| row(i, place, scene)))
        .all(cells.collect::<Vec<_>>())
}

fn hatch(number: u32) -> El {
    let part = |class: &'static str, width: &'static str| {
        svg("rect")
            .class(class)
            .is("width", width)
            .is("height", "4")
    };
    svg("pattern")
        .is("id", format!("stage-hatch-{number}"))
        .is("width", "4")
        .is("height", "4")
        .is("patternUnits", "userSpaceOnUse")
        .is("patternTransform", "rotate(45)")
        .with(part("st-hatch-ground", "4"))
        .with(part("st-hatch-line", "1.4"))
}

/// Every other row is shaded, up to the last column.
fn bands(plan: &Plan, last: Option<&Place>) -> String {
    let width = last.map_or(0.0, |h| h.rect.right());
    let odd = plan.rows.iter().skip(1).step_by(2);
    let mut d = String::new();
    for p in odd {
        draw_box(&mut d, p.label.x, p.y, width - p.label.x, p.h);
    }
    d
}

fn row(i: usize, place: &Row, row: &RowScene) -> El {
    button(if row.short {
        "st-row-name short"
    } else {
        "st-row-name"
    })
    .is("data-stop", Stop::Row(i).key())
    .is("tabindex", "-1")
    .label(row.aria.clone())
    .is("title", row.aria.clone())
    .at(place.label)
    .with(el("span").class("st-row-id").with(row.name.clone()))
    .with(el("span").class("st-row-number").with(row.number.clone()))
    // Else name and count read as one number.
    .with(" ")
    .with(el("span").class("st-row-sync").with(row.sync.clone()))
}

fn bars(column: &Column, number: u32) -> El {
    let part = |class: &'static str, d: &String| svg("path").class(class).is("d", d.clone());
    svg("g")
        .may("class", column.down.then_some("down"))
        .with(part("st-bar-track", &column.track))
        .with(part("st-bar-kept", &column.kept))
        .with(part("st-bar-lead", &column.kept_lead))
        .with(part("st-bar-tail", &column.tail).style(format!("fill:url(#stage-hatch-{number})")))
        .with(part("st-bar-stale", &column.stale))
        .with(part("st-bar-line", &column.line))
        .with(part("st-bar-dot", &column.leads))
}

fn cell(plan: &Plan, head: &Place, node: u32, cell: &MatrixCell, picks: &Picks<'_>) -> El {
    let at = plan.rows.get(cell.row).map_or(Rect::default(), |row| {
        Rect::new(head.rect.x, row.y, head.rect.w, row.h)
    });
    button("st-copy")
        .is("data-stop", Stop::Copy(node, cell.row).key())
        .is("tabindex", "-1")
        .label(cell.aria.clone())
        .is("aria-pressed", picks.lane(node, &cell.lane).to_string())
        .is("title", cell.aria.clone())
        .at(at)
        .with(el("span").with(cell.text.clone()))
}
