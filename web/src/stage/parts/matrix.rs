//! The matrix of copies: names of rows, bars drawn as a few paths per column, and a button on each
//! copy.

use leptos::prelude::*;

use super::{Shared, px};
use crate::stage::Selection;
use crate::stage::plan::{Kind, Row};
use crate::stage::scene::{Column, MatrixCell, RowScene};
use crate::stage::stops::Stop;

/// Rows, bars and buttons.
#[component]
pub(super) fn Matrix(
    /// What the parts share.
    shared: Shared,
    /// The stage's number on the page.
    number: u32,
) -> impl IntoView {
    let rows = Memo::new(move |_| shared.scene.with(|s| s.rows.clone()));
    let places = Memo::new(move |_| shared.layout.with(|l| l.plan.rows.clone()));
    let heads = Memo::new(move |_| {
        shared.layout.with(|l| {
            let heads = l.plan.places.iter().filter(|p| p.kind == Kind::Head);
            heads.map(|p| (p.node, p.rect)).collect::<Vec<_>>()
        })
    });
    let narrow = move || heads.with(|h| h.first().is_some_and(|h| h.1.w < 40.0));
    let tall = move || places.with(|r| r.first().is_some_and(|r| r.h >= 36.0));
    let row_views = move || {
        places.with(|places| {
            rows.with(|rows| {
                places
                    .iter()
                    .zip(rows)
                    .enumerate()
                    .map(|(i, (p, r))| row(i, p, r))
                    .collect_view()
            })
        })
    };
    let bands = move || {
        let width = heads.with(|h| h.last().map_or(0.0, |h| h.1.right()));
        places.with(|places| {
            let odd = places.iter().skip(1).step_by(2);
            odd.map(|p| {
                format!(
                    "M{:.1} {:.1}H{width:.1}v{:.1}H{:.1}z",
                    p.label.x, p.y, p.h, p.label.x
                )
            })
            .collect::<String>()
        })
    };
    let columns = move || {
        (0..heads.with(Vec::len))
            .map(|i| bars(shared, i, number))
            .collect_view()
    };
    let buttons = move || {
        (0..heads.with(Vec::len))
            .map(|i| cells(shared, i))
            .collect_view()
    };
    view! {
        <div class="stage-matrix" class:narrow=narrow class:tall=tall>
            <svg class="stage-bars" aria-hidden="true">
                <defs>
                    <pattern
                        id=format!("stage-hatch-{number}")
                        width="4"
                        height="4"
                        patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)"
                    >
                        <rect class="st-hatch-ground" width="4" height="4" />
                        <rect class="st-hatch-line" width="1.4" height="4" />
                    </pattern>
                </defs>
                <path class="st-band" d=bands />
                {columns}
            </svg>
            {row_views}
            {buttons}
        </div>
    }
}

fn row(i: usize, place: &Row, row: &RowScene) -> AnyView {
    view! {
        <button
            type="button"
            class="st-row-name"
            class:short=row.short
            data-stop=Stop::Row(i).key()
            tabindex="-1"
            aria-label=row.aria.clone()
            title=row.aria.clone()
            style:left=px(place.label.x)
            style:top=px(place.label.y)
            style:width=px(place.label.w)
            style:height=px(place.label.h)
        >
            <span class="st-row-id">{row.name.clone()}</span>
            <span class="st-row-number">{row.number.clone()}</span>
            <span class="st-row-sync">{row.sync.clone()}</span>
        </button>
    }
    .into_any()
}

fn bars(shared: Shared, index: usize, number: u32) -> AnyView {
    let column = Memo::new(move |_| {
        shared
            .scene
            .with(|s| s.columns.get(index).cloned().unwrap_or_default())
    });
    let hatch = format!("url(#stage-hatch-{number})");
    let part = move |pick: fn(&Column) -> &String| move || column.with(|c| pick(c).clone());
    view! {
        <g class:down=move || column.with(|c| c.down)>
            <path class="st-bar-track" d=part(|c| &c.track) />
            <path class="st-bar-kept" d=part(|c| &c.kept) />
            <path class="st-bar-lead" d=part(|c| &c.kept_lead) />
            <path class="st-bar-tail" d=part(|c| &c.tail) style:fill=hatch />
            <path class="st-bar-stale" d=part(|c| &c.stale) />
            <path class="st-bar-line" d=part(|c| &c.line) />
            <path class="st-bar-dot" d=part(|c| &c.leads) />
        </g>
    }
    .into_any()
}

fn cells(shared: Shared, index: usize) -> AnyView {
    let cells = Memo::new(move |_| {
        shared
            .scene
            .with(|s| s.columns.get(index).map(|c| (c.node, c.cells.clone())))
    });
    let place = move |row: usize| {
        shared.layout.with_untracked(|l| {
            let head = l
                .plan
                .places
                .iter()
                .filter(|p| p.kind == Kind::Head)
                .nth(index)?;
            let row = l.plan.rows.get(row)?;
            Some((head.rect.x, row.y, head.rect.w, row.h))
        })
    };
    let chosen = Memo::new(move |_| match shared.selected.get() {
        Some(Selection::Lane { node, lane }) => Some((node, lane)),
        _ => None,
    });
    let cell = move |node: u32, cell: &MatrixCell| {
        let (x, y, w, h) = place(cell.row).unwrap_or_default();
        let picked = chosen.with(|c| c.as_ref().is_some_and(|c| c.0 == node && c.1 == cell.lane));
        view! {
            <button
                type="button"
                class="st-copy"
                data-stop=Stop::Copy(node, cell.row).key()
                tabindex="-1"
                aria-label=cell.aria.clone()
                aria-pressed=picked.to_string()
                title=cell.aria.clone()
                style:left=px(x)
                style:top=px(y)
                style:width=px(w)
                style:height=px(h)
            >
                <span>{cell.text.clone()}</span>
            </button>
        }
        .into_any()
    };
    let views = move || {
        // A new layout moves the cells even where their words stay.
        shared.layout.track();
        cells.with(|found| {
            found
                .as_ref()
                .map(|(node, list)| list.iter().map(|c| cell(*node, c)).collect_view())
        })
    };
    views.into_any()
}
