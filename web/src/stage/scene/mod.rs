//! What is written and drawn into the boxes of a plan: from values to words, cells and lines.
//!
//! Made anew for each published view, without web types. Everything here can be compared, so that
//! the page changes only what differs from one publication to the next.

mod card;
mod links;
mod matrix;
mod strip;
#[cfg(test)]
mod tests;
mod wake;
pub(crate) mod words;

pub(crate) use card::{Chip, NodeScene};
pub(crate) use links::{LinkLook, LinkScene};
pub(crate) use matrix::{Column, MatrixCell, RowScene};
pub(crate) use strip::{CellFace, Flag, Label, SlotScene, StripScene};
pub(crate) use wake::{Gone, Wake};

use sim_core::view::{Health, Lane, MarkKind, NodeView, StageView};

use super::plan::axis::{Axis, Slot, Span};
use super::plan::geom::{Face, Rect, text_width};
use super::plan::route::Routes;
use super::plan::{Group, Kind, Mode, Outline, Plan, TAG_H, TIDE, Width};
use crate::lengths::within;

/// The strandline across the cards.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    /// Where it stands.
    pub(crate) x: f64,
    /// Its offset.
    pub(crate) offset: i64,
    /// Its name for people.
    pub(crate) label: String,
    /// The tag that bears the name.
    pub(crate) tag: Rect,
    /// From where to where it runs: over neighbouring copies that are in sync.
    pub(crate) runs: Vec<(f64, f64)>,
}

/// A number on the offset axis.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tick {
    /// The offset.
    pub(crate) offset: i64,
    /// Middle of its cell.
    pub(crate) x: f64,
}

/// One lane of those that show their cells.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct LaneScene {
    /// The offsets on show.
    pub(crate) axis: Axis,
    /// Numbers of the axis.
    pub(crate) ticks: Vec<Tick>,
    /// The strandline.
    pub(crate) line: Option<Line>,
}

/// All that is drawn for one published view, besides what moves.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Scene {
    /// Words on the places of the plan, in its order.
    pub(crate) nodes: Vec<NodeScene>,
    /// The strips of the plan, in its order; `None` if a node has just lost its copy.
    pub(crate) strips: Vec<Option<StripScene>>,
    /// The groups of the plan, in its order.
    pub(crate) lanes: Vec<LaneScene>,
    /// Rows of the matrix, in the plan's order.
    pub(crate) rows: Vec<RowScene>,
    /// Columns of the matrix, by the plan's heads in order.
    pub(crate) columns: Vec<Column>,
    /// Links with faults, then links in use.
    pub(crate) links: Vec<LinkScene>,
    /// Messages under way that have no path on this plan.
    pub(crate) aside: usize,
    /// The two lines about the quorum and the lane.
    pub(crate) control: (String, String),
}

impl Scene {
    /// The scene of a view on a plan.
    pub(crate) fn new(
        view: &StageView,
        wake: &Wake,
        outline: &Outline,
        plan: &Plan,
        routes: &Routes,
    ) -> Self {
        let lane = match plan.mode {
            Mode::Full { lane } => lane.and_then(|i| outline.lanes.get(i)),
            Mode::Groups { .. } | Mode::Matrix { .. } => None,
        };
        let mut scene = Self {
            nodes: plan
                .places
                .iter()
                .map(|p| card::node(view, p, lane))
                .collect(),
            links: links::links(view, plan, routes),
            aside: view
                .tokens
                .iter()
                .filter(|t| routes.get(t.from, t.to).is_none())
                .count()
                + view.tokens_hidden as usize,
            ..Self::default()
        };
        let summary = lane.and_then(|id| view.lanes.iter().find(|l| l.id == *id));
        let lane_text = summary
            .map(|l| format!("{} · {}", l.id, l.text))
            .unwrap_or_default();
        scene.control = (view.control.clone(), lane_text);
        scene.strips = vec![None; plan.strips.len()];
        for group in &plan.groups {
            if let Some(id) = outline.lanes.get(group.lane) {
                scene.fill(view, wake, plan, group, id);
            }
        }
        if !plan.rows.is_empty() {
            (scene.rows, scene.columns) = matrix::matrix(view, outline, plan);
        }
        scene
    }

    /// Fills in one lane and its strips.
    fn fill(&mut self, view: &StageView, wake: &Wake, plan: &Plan, group: &Group, id: &str) {
        let copies = || copies(view, id);
        let start = copies().map(|(_, l)| l.start).min().unwrap_or(0);
        let end = copies()
            .map(|(_, l)| l.end)
            .max()
            .unwrap_or(0)
            .max(wake.end(id));
        let holder = leading(view, id);
        let offset = holder.map(|lane| lane.strandline);
        let axis = Axis::new(
            Span {
                start,
                end,
                strandline: offset,
            },
            plan.slots,
        );
        let ruler = Ruler::new(plan, &axis, offset);
        let leader = view
            .lanes
            .iter()
            .find(|l| l.id == id)
            .and_then(|l| l.leader);
        for i in group.strips.clone() {
            let place = &plan.strips[i];
            let copy = copies().find(|(node, _)| node.id == place.node);
            self.strips[i] =
                copy.map(|(node, lane)| strip::strip(node, lane, wake, place, leader, &ruler));
        }
        let ticks = ticks(&ruler);
        let line = holder.and_then(|lane| line(lane, view, plan, &self.nodes, group, &ruler, id));
        self.lanes.push(LaneScene { axis, ticks, line });
    }
}

/// The copies of a lane, in node order.
pub(crate) fn copies<'a>(
    view: &'a StageView,
    id: &'a str,
) -> impl Iterator<Item = (&'a NodeView, &'a Lane)> {
    view.nodes
        .iter()
        .filter_map(move |n| n.lanes.iter().find(|l| l.id == id).map(|l| (n, l)))
}

/// The copy whose strandline counts: that of the running leader by the control plane's word, or
/// without one the furthest of those in sync. A deposed leader that still takes writes does not
/// count, and a process that is down has forgotten its own.
pub(crate) fn leading<'a>(view: &'a StageView, id: &'a str) -> Option<&'a Lane> {
    let leader = view
        .lanes
        .iter()
        .find(|l| l.id == id)
        .and_then(|l| l.leader);
    let up = || copies(view, id).filter(|(node, _)| node.health != Health::Down);
    let of_leader = up()
        .find(|(node, lane)| Some(node.id) == leader && lane.leads)
        .map(|x| x.1);
    let furthest = |lanes: &mut dyn Iterator<Item = (&'a NodeView, &'a Lane)>| {
        lanes
            .map(|x| x.1)
            .filter(|l| l.in_sync)
            .max_by_key(|l| l.strandline)
    };
    of_leader
        .or_else(|| furthest(&mut up()))
        .or_else(|| furthest(&mut copies(view, id)))
}

/// Places on the axis in px. The strandline takes room of its own: cells right of it stand apart.
struct Ruler<'a> {
    axis: &'a Axis,
    /// Offset of the strandline.
    line: Option<i64>,
    /// First slot right of it.
    shifted: Option<usize>,
    left: f64,
    pitch: f64,
}

impl<'a> Ruler<'a> {
    fn new(plan: &Plan, axis: &'a Axis, line: Option<i64>) -> Self {
        let shifted = line
            .and_then(|line| axis.line(line))
            .map(|slot| slot.ceil() as usize);
        Self {
            axis,
            line,
            shifted,
            left: plan.strip_x,
            pitch: plan.pitch,
        }
    }

    /// Left edge of the cell in a slot.
    fn cell(&self, slot: usize) -> f64 {
        let shift = if self.shifted.is_some_and(|s| slot >= s) {
            TIDE
        } else {
            0.0
        };
        self.left + slot as f64 * self.pitch + shift
    }

    /// Middle of the line before an offset; `None` if it is left of the axis.
    fn line(&self, offset: i64) -> Option<f64> {
        let slot = self.axis.line(offset)?;
        let shift = match self.shifted {
            Some(s) if slot > s as f64 => TIDE,
            _ => 0.0,
        };
        Some(self.left + slot * self.pitch + shift - 1.0)
    }

    /// Middle of the strandline.
    fn strandline(&self) -> Option<f64> {
        Some(self.line(self.line?)? + TIDE / 2.0)
    }
}

fn ticks(ruler: &Ruler<'_>) -> Vec<Tick> {
    let at = |i: usize| ruler.cell(i) + ruler.pitch / 2.0 - 1.0;
    let axis = ruler.axis;
    (0..axis.slots)
        .filter_map(|i| match axis.slot(i)? {
            Slot::Offset(offset) if offset % 5 == 0 => Some(Tick { offset, x: at(i) }),
            _ => None,
        })
        .collect()
}

/// The strandline: its tag above the strips and its runs over copies that are in sync.
fn line(
    lane: &Lane,
    view: &StageView,
    plan: &Plan,
    nodes: &[NodeScene],
    group: &Group,
    ruler: &Ruler<'_>,
    id: &str,
) -> Option<Line> {
    let x = ruler.strandline()?;
    let mark = lane.marks.iter().find(|m| m.kind == MarkKind::Strandline);
    let label = mark.map_or_else(
        || format!("strandline {}", lane.strandline),
        |m| m.label.clone(),
    );
    let width = |text: &str| (text_width(text, Face::Text, 13.5) + 26.0).ceil();
    let room = group.tag_to - group.tag_from;
    let label = if width(&label) <= room {
        label
    } else {
        format!("HW {}", lane.strandline)
    };
    let w = width(&label).min(room);
    let most = (group.tag_to - w).max(group.tag_from);
    let tag = Rect::new(
        within(x - w / 2.0, group.tag_from, most),
        group.tag_y,
        w,
        TAG_H,
    );
    let mut runs: Vec<(f64, f64)> = Vec::new();
    let mut joined = false;
    for strip in &plan.strips[group.strips.clone()] {
        let synced = copies(view, id).any(|(node, copy)| node.id == strip.node && copy.in_sync);
        // Over cards the line reaches into the space between them.
        let (over, under) = if strip.name.is_some() {
            (3.0, 2.0)
        } else {
            (9.0, 7.0)
        };
        let low = strip.rect.bottom() + under;
        // Where the words of a card's head are in its way, the line stops at the card's edge and
        // goes on below them.
        let card = plan
            .places
            .iter()
            .zip(nodes)
            .find(|(p, _)| p.node == strip.node && p.kind == Kind::Card);
        let written =
            card.is_some_and(|(p, n)| x < p.rect.x + n.head_reach(plan.size == Width::Phone) + 8.0);
        if let (true, true, Some((place, _)), Some(run)) = (written, joined, card, runs.last_mut())
        {
            run.1 = place.rect.y - 1.0;
            joined = false;
        }
        match runs.last_mut() {
            Some(run) if synced && joined => run.1 = low,
            _ if synced => runs.push((strip.rect.y - over, low)),
            _ => {}
        }
        joined = synced;
    }
    Some(Line {
        x,
        offset: lane.strandline,
        label,
        tag,
        runs,
    })
}
