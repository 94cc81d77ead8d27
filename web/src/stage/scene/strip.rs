//! One copy of the lane in full: its cells, the caret of its end and the labels under it.

use sim_core::view::{Cell, CellTransaction, Health, Lane, MarkKind, NodeView};

use super::{Gone, Ruler, Wake, words};
use crate::stage::plan::StripPlace;
use crate::stage::plan::axis::Slot;
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
    /// Of a transaction that is open or was aborted.
    pub(crate) transaction: Option<CellTransaction>,
    /// First record of a leader epoch on this copy.
    pub(crate) epoch_start: bool,
    /// Leader epoch it was written in.
    pub(crate) epoch: i32,
    /// The view did not carry the record (it is outside the asked window).
    pub(crate) unknown: bool,
    /// The copy has records before and after, and none here: compaction removed it.
    pub(crate) removed: bool,
    /// It is no longer there.
    pub(crate) gone: Option<Gone>,
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
    /// The line itself is not drawn: it is left of the axis, or the strandline stands there.
    pub(crate) quiet: bool,
}

/// A small flag over the first cell of a leader epoch.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flag {
    /// Left edge of the cell.
    pub(crate) x: f64,
    /// The epoch.
    pub(crate) epoch: i32,
}

/// The name before a strip that stands on no card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StripName {
    /// The node's short name.
    pub(crate) text: String,
    /// The copy leads by the control plane's word.
    pub(crate) leads: bool,
    /// It takes writes though another leads.
    pub(crate) deposed: bool,
    /// The machine does not run.
    pub(crate) down: bool,
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
    /// First slot right of the strandline, where cells stand apart.
    pub(crate) shifted: Option<usize>,
    /// Its name, if it stands on no card.
    pub(crate) name: Option<StripName>,
    /// What a screen reader says of the strip.
    pub(crate) aria: String,
}

/// Size of the words under a strip, CSS px; the style sheet uses the same.
const LABEL_SIZE: f64 = 11.5;

pub(super) fn strip(
    node: &NodeView,
    lane: &Lane,
    wake: &Wake,
    place: &StripPlace,
    leader: Option<u32>,
    ruler: &Ruler<'_>,
) -> StripScene {
    let rect = place.rect;
    let compact = place.name.is_some();
    let down = node.health == Health::Down;
    let axis = ruler.axis;
    let missing = wake.of(node.id, &lane.id);
    let mut slots = Vec::with_capacity(axis.slots);
    let mut flags = Vec::new();
    let mut epoch_before = None;
    for i in 0..axis.slots {
        let scene = match axis.slot(i) {
            Some(Slot::Break(hidden)) if lane.end > axis.hidden_from() => SlotScene::Break(hidden),
            Some(Slot::Offset(o)) if o >= lane.start && o < lane.end => {
                let cell = lane.cells.binary_search_by_key(&o, |c| c.offset).ok();
                let cell = cell.map(|k| &lane.cells[k]);
                let first = cell.is_some_and(|c| epoch_before.is_some_and(|e| e != c.epoch));
                epoch_before = cell.map(|c| c.epoch).or(epoch_before);
                let below = ruler.line.is_some_and(|line| o < line);
                let face = face(node, lane, o, cell, (first, below));
                if first || (flags.is_empty() && cell.is_some()) {
                    flags.push(Flag {
                        x: ruler.cell(i),
                        epoch: face.epoch,
                    });
                }
                SlotScene::Cell(Box::new(face))
            }
            Some(Slot::Offset(o)) => match missing.iter().find(|x| x.0.offset == o) {
                Some((cell, why)) => SlotScene::Cell(Box::new(gone(node, lane, cell, *why))),
                None => SlotScene::Empty,
            },
            _ => SlotScene::Empty,
        };
        slots.push(scene);
    }
    if flags.len() == 1 || compact {
        // One epoch all along: the card says which. Between close strips there is no room.
        flags.clear();
    }
    StripScene {
        node: node.id,
        lane: lane.id.clone(),
        slots,
        labels: if compact {
            end_only(lane, down, rect, ruler)
        } else {
            labels(lane, down, rect, ruler)
        },
        name: compact.then(|| StripName {
            text: node.name.clone(),
            leads: lane.leads && leader == Some(node.id),
            deposed: lane.leads && leader.is_some_and(|l| l != node.id),
            down,
        }),
        flags,
        shifted: ruler.shifted,
        in_sync: lane.in_sync,
        aria: words::lane(node, lane),
    }
}

fn face(
    node: &NodeView,
    lane: &Lane,
    offset: i64,
    cell: Option<&Cell>,
    (first, below): (bool, bool),
) -> CellFace {
    let Some(cell) = cell else {
        let removed = lane.cells.first().is_some_and(|it| it.offset < offset);
        let what = if removed {
            "no record any more"
        } else {
            "not loaded"
        };
        return CellFace {
            offset,
            record: None,
            key: None,
            committed: offset < lane.strandline || below && lane.in_sync,
            flushed: true,
            diverged: false,
            transaction: None,
            epoch_start: false,
            epoch: -1,
            unknown: true,
            removed,
            gone: None,
            aria: format!("Offset {offset} on {}, {what}", node.title),
        };
    };
    // A follower learns the strandline late; what it holds below it is safe all the same.
    let shared = below && lane.in_sync && !cell.diverged;
    CellFace {
        offset,
        record: cell.record,
        key: cell.key,
        committed: cell.committed || shared,
        flushed: cell.flushed,
        diverged: cell.diverged,
        transaction: cell.transaction,
        epoch_start: first,
        epoch: cell.epoch,
        unknown: false,
        removed: false,
        gone: None,
        aria: words::cell(node, cell, cell.committed || shared),
    }
}

/// A record that has gone from the end of the copy.
fn gone(node: &NodeView, lane: &Lane, cell: &Cell, why: Gone) -> CellFace {
    let said = match why {
        Gone::Truncated => "truncated: no longer on this copy",
        Gone::PowerLost => "lost with the power: it was not on disk",
    };
    CellFace {
        committed: false,
        flushed: true,
        diverged: false,
        transaction: None,
        gone: Some(why),
        aria: format!("Offset {} on {}, {said}", cell.offset, node.title),
        ..face(node, lane, cell.offset, Some(cell), (false, false))
    }
}

/// A named line before it has a place.
struct Found {
    kind: MarkKind,
    offset: i64,
    text: String,
    title: String,
}

fn found(lane: &Lane, down: bool, ruler: &Ruler<'_>) -> Vec<Found> {
    let end = Found {
        kind: MarkKind::End,
        offset: lane.end,
        text: format!("LEO {}", lane.end),
        title: String::new(),
    };
    let mut found = vec![end];
    for mark in &lane.marks {
        let text = words::short_mark(mark);
        let (kind, offset, title) = (mark.kind, mark.offset, mark.label.clone());
        let this = Found {
            kind,
            offset,
            text,
            title,
        };
        match kind {
            MarkKind::End => found[0] = this,
            // A reader that has committed all it read: one mark says both.
            MarkKind::Position if ends_committed(&found, offset) => {
                if let Some(last) = found.last_mut() {
                    last.text = format!("committed, position {offset}");
                }
            }
            // The shared line is drawn across the cards; a copy that knows less says so.
            // A process that is down has forgotten what it knew.
            MarkKind::Strandline if Some(offset) == ruler.line || down => {}
            _ => found.push(this),
        }
    }
    if lane.start > ruler.axis.first() {
        let text = format!("starts at {}", lane.start);
        let title = text.clone();
        found.push(Found {
            kind: MarkKind::Start,
            offset: lane.start,
            text,
            title,
        });
    }
    found
}

/// Whether the last line found is the committed offset that stands there.
fn ends_committed(found: &[Found], offset: i64) -> bool {
    let last = found.last();
    last.is_some_and(|it| it.kind == MarkKind::Committed && it.offset == offset)
}

/// Where a line stands, whether it is drawn there, and its words with a sign if it is left of all
/// that is shown.
fn settle_line(f: &Found, left: f64, wave: Option<f64>, ruler: &Ruler<'_>) -> (f64, bool, String) {
    match ruler.line(f.offset) {
        None => (left - 4.0, true, format!("◂ {}", f.text)),
        Some(at) => {
            let at_wave = wave.is_some_and(|x| (x - at).abs() < 8.0);
            (at, at_wave && f.kind == MarkKind::End, f.text.clone())
        }
    }
}

/// Carets and marks with their words under the strip, none overlapping another.
fn labels(lane: &Lane, down: bool, rect: Rect, ruler: &Ruler<'_>) -> Vec<Label> {
    let found = found(lane, down, ruler);
    let wave = ruler.strandline().filter(|_| lane.in_sync);
    let lines: Vec<_> = found
        .iter()
        .map(|f| settle_line(f, rect.x, wave, ruler))
        .collect();
    let wishes: Vec<Wish> = found
        .iter()
        .zip(&lines)
        .map(|(f, (at, _, text))| {
            let width = text_width(text, Face::Mono, LABEL_SIZE) + 4.0;
            // The end's words stand right of its caret, where nothing is.
            let right = f.kind == MarkKind::End;
            let at = at + if right { width / 2.0 + 3.0 } else { 0.0 };
            Wish {
                at: wave.map_or(at, |x| beside(at, width, x, right)),
                width,
            }
        })
        .collect();
    let places = settle(&wishes, rect.x - 6.0, rect.right() + 6.0, 8.0);
    let labels = found.into_iter().zip(lines).zip(wishes).zip(places);
    labels
        .map(|(((f, (at, quiet, text)), wish), place)| Label {
            kind: f.kind,
            at,
            text: match place {
                Some(x) if f.kind == MarkKind::End || clear_of(wave, x, wish.width) => text,
                _ => String::new(),
            },
            title: f.title,
            x: place.unwrap_or(wish.at),
            w: wish.width,
            quiet,
        })
        .collect()
}

/// Whether words from `x` on do not stand across the strandline.
fn clear_of(wave: Option<f64>, x: f64, width: f64) -> bool {
    wave.is_none_or(|wave| x >= wave || x + width <= wave)
}

/// Where strips are close: the caret of the end with its words beside it, other marks without.
fn end_only(lane: &Lane, down: bool, rect: Rect, ruler: &Ruler<'_>) -> Vec<Label> {
    let wave = ruler.strandline().filter(|_| lane.in_sync);
    let place = |f: Found| {
        let (caret, quiet, words) = settle_line(&f, rect.x, wave, ruler);
        let clear = wave
            .filter(|x| (x - caret).abs() < 8.0)
            .map_or(caret, |x| x + 3.0)
            + 6.0;
        let width = |text: &str| text_width(text, Face::Mono, LABEL_SIZE) + 2.0;
        let fits = |text: &str| clear + width(text) <= rect.right() + 4.0;
        let text = match f.kind {
            MarkKind::End if fits(&words) => words,
            MarkKind::End if fits(&f.offset.to_string()) => f.offset.to_string(),
            _ => String::new(),
        };
        Label {
            kind: f.kind,
            at: caret,
            x: clear,
            w: width(&text),
            text,
            title: f.title,
            quiet,
        }
    };
    found(lane, down, ruler).into_iter().map(place).collect()
}

/// Moves words off the strandline that runs at `x`.
fn beside(at: f64, width: f64, x: f64, right: bool) -> f64 {
    let reach = width / 2.0 + 7.0;
    match (at - x).abs() < reach {
        true if right || at > x => x + reach,
        true => x - reach,
        false => at,
    }
}
