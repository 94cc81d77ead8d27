//! One copy of the lane in full: its cells, the caret of its end and the labels under it.

use sim_core::view::{Cell, Lane, MarkKind, NodeView};

use super::words;
use crate::stage::plan::Plan;
use crate::stage::plan::axis::{Axis, Slot};
use crate::stage::plan::geom::{Face, Rect, Wish, settle, text_width};

/// A cell as it is drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CellFace {
    /// Its offset.
    pub(crate) offset: i64,
    /// The record's identity in the ledger.
    pub(crate) record: Option<u64>,
    /// Key number.
    pub(crate) key: Option<u32>,
    /// Left of the strandline.
    pub(crate) committed: bool,
    /// On disk.
    pub(crate) flushed: bool,
    /// Another copy holds something else here.
    pub(crate) diverged: bool,
    /// First record of a leader epoch on this copy.
    pub(crate) epoch_start: bool,
    /// Leader epoch it was written in.
    pub(crate) epoch: i32,
    /// The view did not carry the record (it is outside the asked window).
    pub(crate) unknown: bool,
    /// What a screen reader says.
    pub(crate) aria: String,
}

/// What stands in a slot of the strip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SlotScene {
    /// Nothing yet.
    Empty,
    /// Records left out of the axis; the number is how many.
    Break(i64),
    /// A record.
    Cell(Box<CellFace>),
}

/// A named line under the strip.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Label {
    /// What the line is.
    pub(crate) kind: MarkKind,
    /// Where the line stands.
    pub(crate) at: f64,
    /// The words; empty if there was no room for them.
    pub(crate) text: String,
    /// The full words.
    pub(crate) title: String,
    /// Left edge of the words.
    pub(crate) x: f64,
    /// Width of the words.
    pub(crate) w: f64,
}

/// A small flag over the first cell of a leader epoch.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flag {
    /// Left edge of the cell.
    pub(crate) x: f64,
    /// The epoch.
    pub(crate) epoch: i32,
}

/// A copy of the lane.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StripScene {
    /// The node that holds it.
    pub(crate) node: u32,
    /// Lane id.
    pub(crate) lane: String,
    /// What stands in each slot.
    pub(crate) slots: Vec<SlotScene>,
    /// Named lines.
    pub(crate) labels: Vec<Label>,
    /// Leader epochs that begin here.
    pub(crate) flags: Vec<Flag>,
    /// The strandline reaches it.
    pub(crate) in_sync: bool,
    /// What a screen reader says of the strip.
    pub(crate) aria: String,
}

/// Size of the words under a strip, CSS px; the style sheet uses the same.
const LABEL_SIZE: f64 = 11.5;

pub(super) fn strip(
    node: &NodeView,
    lane: &Lane,
    rect: Rect,
    plan: &Plan,
    axis: &Axis,
    line: Option<i64>,
) -> StripScene {
    let mut slots = Vec::with_capacity(axis.slots);
    let mut flags = Vec::new();
    let mut epoch_before = None;
    for i in 0..axis.slots {
        let scene = match axis.slot(i) {
            Some(Slot::Break(hidden)) if lane.end > axis.first() => SlotScene::Break(hidden),
            Some(Slot::Offset(o)) if o >= lane.start && o < lane.end => {
                let cell = lane.cells.binary_search_by_key(&o, |c| c.offset).ok();
                let cell = cell.map(|k| &lane.cells[k]);
                let first = cell.is_some_and(|c| epoch_before.is_some_and(|e| e != c.epoch));
                epoch_before = cell.map(|c| c.epoch).or(epoch_before);
                let face = face(node, lane, o, cell, first);
                if first || (flags.is_empty() && cell.is_some()) {
                    flags.push(Flag {
                        x: rect.x + i as f64 * plan.pitch,
                        epoch: face.epoch,
                    });
                }
                SlotScene::Cell(Box::new(face))
            }
            _ => SlotScene::Empty,
        };
        slots.push(scene);
    }
    StripScene {
        node: node.id,
        lane: lane.id.clone(),
        slots,
        labels: labels(lane, rect, plan, axis, line),
        flags,
        in_sync: lane.in_sync,
        aria: words::lane(node, lane),
    }
}

fn face(node: &NodeView, lane: &Lane, offset: i64, cell: Option<&Cell>, first: bool) -> CellFace {
    let Some(cell) = cell else {
        return CellFace {
            offset,
            record: None,
            key: None,
            committed: offset < lane.strandline,
            flushed: true,
            diverged: false,
            epoch_start: false,
            epoch: -1,
            unknown: true,
            aria: format!("Offset {offset} on {}, not loaded", node.title),
        };
    };
    CellFace {
        offset,
        record: cell.record,
        key: cell.key,
        committed: cell.committed,
        flushed: cell.flushed,
        diverged: cell.diverged,
        epoch_start: first,
        epoch: cell.epoch,
        unknown: false,
        aria: words::cell(node, cell),
    }
}

/// Carets and marks with their words under the strip, none overlapping another.
fn labels(lane: &Lane, rect: Rect, plan: &Plan, axis: &Axis, line: Option<i64>) -> Vec<Label> {
    let mut found: Vec<(MarkKind, i64, String, String)> = vec![(
        MarkKind::End,
        lane.end,
        format!("LEO {}", lane.end),
        String::new(),
    )];
    for mark in &lane.marks {
        let short = words::short_mark(mark);
        match mark.kind {
            MarkKind::End => found[0] = (mark.kind, mark.offset, short, mark.label.clone()),
            // The shared line is drawn across the cards; a copy that knows less says so.
            MarkKind::Strandline if Some(mark.offset) == line => {}
            _ => found.push((mark.kind, mark.offset, short, mark.label.clone())),
        }
    }
    if lane.start > axis.first() {
        let words = format!("starts at {}", lane.start);
        found.push((MarkKind::Start, lane.start, words.clone(), words));
    }
    let at = |offset: i64| rect.x + axis.line(offset).unwrap_or(0.0) * plan.pitch - 1.0;
    let wishes: Vec<Wish> = found
        .iter()
        .map(|(kind, offset, text, _)| {
            let width = text_width(text, Face::Mono, LABEL_SIZE) + 4.0;
            // The end's words stand right of its caret, where nothing is.
            let side = if *kind == MarkKind::End {
                width / 2.0 + 3.0
            } else {
                0.0
            };
            Wish {
                at: at(*offset) + side,
                width,
            }
        })
        .collect();
    let places = settle(&wishes, rect.x - 6.0, rect.right() + 6.0, 8.0);
    found
        .into_iter()
        .zip(wishes)
        .zip(places)
        .map(|(((kind, offset, text, title), wish), place)| Label {
            kind,
            at: at(offset),
            text: if place.is_some() { text } else { String::new() },
            title,
            x: place.unwrap_or(wish.at),
            w: wish.width,
        })
        .collect()
}
