//! What the marks mean. Only what the picture can show is named.

use sim_core::view::Shape;

use crate::stage::plan::Plan;
use crate::stage::scene::words;
use crate::stage::shapes;
use crate::tree::{El, el, svg};

fn token(shape: Shape) -> El {
    el("li")
        .with(
            svg("svg")
                .is("viewBox", "-11 -11 22 22")
                .is("width", "18")
                .is("height", "18")
                .mute()
                .with(svg("path").is("d", shapes::outline(shape))),
        )
        .with(words::shape(shape))
}

fn sample((class, words): &(&'static str, &'static str)) -> El {
    let sample = el("span").class(format!("st-sample {class}")).mute();
    el("li").with(sample).with(*words)
}

const COUNTS: &[(&str, &str)] = &[
    ("bar lead", "partitions that it leads"),
    ("bar st-kept", "follows in sync"),
    ("bar stale", "follows out of sync"),
];

const MATRIX: &[(&str, &str)] = &[
    ("bar lead", "leader, up to the strandline"),
    ("bar st-kept", "follower in sync"),
    ("bar st-tail", "beyond the strandline"),
    ("bar stale", "out of sync"),
    ("wave", "strandline"),
];

const CELLS: &[(&str, &str)] = &[
    ("st-cell st-kept", "committed: on every in-sync copy"),
    ("st-cell st-tail", "not yet committed"),
    ("st-cell st-kept st-unflushed", "not yet on disk"),
    ("st-cell st-diverged", "differs from another copy"),
    ("st-cell st-gone", "truncated or lost"),
    ("wave", "strandline: the high watermark"),
];

/// The legend under the plane; folded on narrow stages by the style sheet's summary.
pub(in crate::stage) fn legend(plan: &Plan) -> El {
    let cells = if plan.rows.iter().any(|r| r.lanes.len() > 1) {
        COUNTS
    } else if !plan.rows.is_empty() && plan.groups.is_empty() {
        MATRIX
    } else {
        CELLS
    };
    el("details")
        .class("stage-legend")
        .flag("open", plan.width >= 640.0)
        .with(el("summary").with("Legend"))
        .with(
            el("ul")
                .all(cells.iter().map(sample))
                .all(shapes::ALL.map(token)),
        )
}
