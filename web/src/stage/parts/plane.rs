//! The plane: everything that has a place, in the order in which it lies over one another. The
//! canvas over it is the painter's.

use sim_core::view::StageView;

use super::lines::{over, under};
use super::matrix::matrix;
use super::node::node;
use super::strip::strip;
use crate::lengths::px;
use crate::stage::plan::Plan;
use crate::stage::plan::geom::{Pt, Rect};
use crate::stage::scene::{Scene, words};
use crate::stage::{Selection, shapes};
use crate::tree::{El, Kid, el};

/// What of the stage is picked.
pub(in crate::stage) struct Picks<'a>(pub(in crate::stage) Option<&'a Selection>);

impl Picks<'_> {
    fn node(&self, node: u32) -> bool {
        self.0 == Some(&Selection::Node(node))
    }

    pub(super) fn lane(&self, node: u32, lane: &str) -> bool {
        matches!(self.0, Some(Selection::Lane { node: n, lane: l }) if *n == node && l == lane)
    }

    pub(super) fn record(&self) -> Option<u64> {
        match self.0 {
            Some(Selection::Record(id)) => Some(*id),
            _ => None,
        }
    }

    pub(super) fn link(&self) -> Option<(u32, u32)> {
        match self.0 {
            Some(Selection::Link(from, to)) => Some((*from, *to)),
            _ => None,
        }
    }
}

/// Everything under the canvas. `number` is the stage's on the page.
pub(in crate::stage) fn plane(
    plan: &Plan,
    scene: &Scene,
    picks: &Picks<'_>,
    number: u32,
) -> Vec<Kid> {
    let mut kids: Vec<Kid> = under(plan, scene, picks).map(Kid::from).to_vec();
    let nodes = plan.places.iter().zip(&scene.nodes);
    kids.extend(nodes.map(|(place, scene)| {
        let picked = picks.node(place.node);
        node(scene, place.node, place.rect, picked).into()
    }));
    if !plan.rows.is_empty() {
        kids.push(matrix(plan, scene, picks, number).into());
    }
    kids.extend(control(plan, scene).map(Kid::from));
    for (i, place) in plan.strips.iter().enumerate() {
        let scene = scene.strips.get(i).and_then(Option::as_ref);
        kids.extend(strip(scene, i, place, plan.pitch, picks));
    }
    kids.extend(over(plan, scene, picks).into_iter().map(Kid::from));
    kids
}

/// The words about the quorum and the lane.
fn control(plan: &Plan, scene: &Scene) -> [El; 2] {
    let label: Rect = plan.control_label;
    let name = if label.w < 100.0 {
        "Quorum"
    } else {
        "Controller quorum"
    };
    let (quorum, lane) = scene.control.clone();
    [
        el("span")
            .class("st-control-label")
            .at(label)
            .flag("hidden", label.w == 0.0)
            .with(name),
        el("div")
            .class("st-control-text")
            .at(plan.control_text)
            .with(el("span").with(quorum))
            .with(el("span").class("st-lane-words").with(lane)),
    ]
}

/// What a screen reader says of the canvas.
pub(in crate::stage) fn under_way(view: &StageView) -> String {
    let total = view.tokens.len() as u64 + u64::from(view.tokens_hidden);
    let held = view.tokens.iter().filter(|t| t.held).count();
    let mut out = format!("{total} messages under way");
    if held > 0 {
        out.push_str(&format!(", {held} of them held at a cut link"));
    }
    let kinds: Vec<String> = shapes::ALL
        .iter()
        .filter_map(|&shape| {
            let n = view.tokens.iter().filter(|t| t.shape == shape).count();
            (n > 0).then(|| format!("{n} {}", words::shape(shape)))
        })
        .collect();
    if !kinds.is_empty() {
        out.push_str(": ");
        out.push_str(&kinds.join(", "));
    }
    out
}

/// The words shown beside a token.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::stage) struct Tip {
    /// Where the token is.
    pub(in crate::stage) at: Pt,
    /// What it is.
    pub(in crate::stage) words: String,
}

/// Says what the token under the pointer is.
pub(in crate::stage) fn tip(tip: &Tip, plan: &Plan) -> El {
    // On the left half to the right of the pointer, on the right half to the left.
    let left = tip.at.x < plan.width / 2.0;
    let mut side = String::from(if left {
        "stage-tip"
    } else {
        "stage-tip to-left"
    });
    if tip.at.y < 64.0 {
        side.push_str(" under");
    }
    el("div")
        .class(side)
        .style(format!("left:{};top:{}", px(tip.at.x), px(tip.at.y)))
        .mute()
        .with(tip.words.clone())
}
