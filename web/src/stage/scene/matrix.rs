//! The matrix: for each copy of each lane a bar on its row's own offset axis.
//!
//! Bars of a column are gathered into few SVG paths, so that a publication changes a handful of
//! attributes and not a thousand elements.

use sim_core::few;
use std::collections::BTreeMap;

use sim_core::view::{Health, Lane, LaneSummary, NodeView, Role, StageView};

use super::words;
use crate::lengths::{draw, draw_box, within};
use crate::stage::plan::geom::Rect;
use crate::stage::plan::{Kind, Outline, Place, Plan, Row};

/// Offsets on a row's axis.
const WINDOW: i64 = 32;

/// The words of a row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowScene {
    /// Lane id, or the range of lanes of a page.
    pub(crate) name: String,
    /// Its number, for where there is no room.
    pub(crate) number: String,
    /// Copies in sync of all copies, e.g. `3/3`; for a page the number of lanes.
    pub(crate) sync: String,
    /// Not all copies are in sync, or nobody leads.
    pub(crate) short: bool,
    /// A page of lanes rather than one.
    pub(crate) page: bool,
    /// What a screen reader says.
    pub(crate) aria: String,
}

/// A copy's cell in the matrix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MatrixCell {
    /// Row, by index.
    pub(crate) row: usize,
    /// Lane id (the first of a page).
    pub(crate) lane: String,
    /// A page of lanes rather than one.
    pub(crate) page: bool,
    /// Number shown in the cell, if there is room.
    pub(crate) text: String,
    /// What a screen reader says.
    pub(crate) aria: String,
}

/// A column of the matrix as path data, one path for each manner of drawing.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Column {
    /// The node.
    pub(crate) node: u32,
    /// Its machine does not run.
    pub(crate) down: bool,
    /// The whole length of each bar.
    pub(crate) track: String,
    /// Behind the strandline.
    pub(crate) kept: String,
    /// Behind the strandline, on the leader.
    pub(crate) kept_lead: String,
    /// Beyond the strandline.
    pub(crate) tail: String,
    /// Copies out of sync.
    pub(crate) stale: String,
    /// Marks of leaders.
    pub(crate) leads: String,
    /// The strandline.
    pub(crate) line: String,
    /// Cells that can be picked.
    pub(crate) cells: Vec<MatrixCell>,
}

pub(super) fn matrix(
    view: &StageView,
    outline: &Outline,
    plan: &Plan,
) -> (Vec<RowScene>, Vec<Column>) {
    let index = Index::new(view, outline);
    let rows = plan
        .rows
        .iter()
        .map(|row| row_scene(&index, outline, row))
        .collect();
    let most: Vec<usize> = plan.rows.iter().map(|row| index.most_held(row)).collect();
    if !plan.groups.is_empty() {
        // Groups show their strips.
        return (rows, Vec::new());
    }
    let heads = plan.places.iter().filter(|p| p.kind == Kind::Head);
    let columns = heads
        .map(|head| column(&index, outline, plan, &most, head))
        .collect();
    (rows, columns)
}

/// All copies of a lane together.
#[derive(Clone, Default)]
struct Copies<'a> {
    summary: Option<&'a LaneSummary>,
    held: usize,
    synced: usize,
    end: i64,
    /// The strandline of the leader's copy, or without one the furthest of those in sync.
    line: i64,
    /// The leader's copy has been seen.
    led: bool,
}

impl Copies<'_> {
    /// A copy is out of sync, or nobody leads.
    fn is_short(&self) -> bool {
        self.synced < self.held || self.summary.is_none_or(|s| s.leader.is_none())
    }
}

/// What a node holds, by the lane's index in the outline.
struct Held<'a> {
    node: &'a NodeView,
    lanes: Vec<Option<&'a Lane>>,
}

/// Lanes by their index, so that a publication costs one pass over the view.
struct Index<'a> {
    lanes: Vec<Copies<'a>>,
    nodes: Vec<Held<'a>>,
}

impl<'a> Index<'a> {
    fn new(view: &'a StageView, outline: &Outline) -> Self {
        let count = outline.lanes.len();
        let mut lanes = vec![Copies::default(); count];
        let names = outline.lanes.iter().enumerate();
        let by_name: BTreeMap<&str, usize> = few::gather(names.map(|(i, id)| (id.as_str(), i)));
        for summary in &view.lanes {
            if let Some(&i) = by_name.get(summary.id.as_str()) {
                lanes[i].summary = Some(summary);
            }
        }
        let mut nodes = Vec::new();
        for node in view.nodes.iter().filter(|n| n.role == Role::Store) {
            let mut held = vec![None; count];
            for lane in &node.lanes {
                let Some(&i) = by_name.get(lane.id.as_str()) else {
                    continue;
                };
                held[i] = Some(lane);
                let copies = &mut lanes[i];
                copies.held += 1;
                copies.synced += usize::from(lane.in_sync);
                copies.end = copies.end.max(lane.end);
                let leads = copies.summary.is_some_and(|s| s.leader == Some(node.id));
                if leads {
                    (copies.line, copies.led) = (lane.strandline, true);
                } else if lane.in_sync && !copies.led {
                    copies.line = copies.line.max(lane.strandline);
                }
            }
            nodes.push(Held { node, lanes: held });
        }
        Self { lanes, nodes }
    }

    /// The most lanes of a page that one node holds.
    fn most_held(&self, row: &Row) -> usize {
        let held = |n: &Held<'_>| row.lanes.iter().filter(|&&i| n.lanes[i].is_some()).count();
        self.nodes.iter().map(held).max().unwrap_or(0)
    }
}

fn row_scene(index: &Index<'_>, outline: &Outline, row: &Row) -> RowScene {
    let first = &outline.lanes[row.lanes[0]];
    let number = first.rsplit_once('-').map_or("", |x| x.1).to_owned();
    if let [only] = row.lanes[..] {
        let copies = &index.lanes[only];
        let text = copies.summary.map_or("", |l| l.text.as_str());
        let sync = format!("{}/{}", copies.synced, copies.held);
        return RowScene {
            name: first.clone(),
            number,
            short: copies.is_short(),
            page: false,
            aria: format!("{first} {sync} in sync, open it: {text}"),
            sync,
        };
    }
    let count = row.lanes.len();
    let last = &outline.lanes[row.lanes[count - 1]];
    let tail = last.rsplit_once('-').map_or(last.as_str(), |x| x.1);
    let same_topic = topic(first) == topic(last);
    let short = row
        .lanes
        .iter()
        .filter(|&&i| index.lanes[i].is_short())
        .count();
    let (name, number) = if same_topic {
        (format!("{first}…{tail}"), format!("{number}…{tail}"))
    } else {
        (format!("{first} … {last}"), tail.to_owned())
    };
    let sync = format!("{}/{count}", count - short);
    RowScene {
        number,
        short: short > 0,
        page: true,
        aria: format!("{name} {sync} in order, open these partitions"),
        name,
        sync,
    }
}

fn topic(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |x| x.0)
}

fn column(
    index: &Index<'_>,
    outline: &Outline,
    plan: &Plan,
    most: &[usize],
    head: &Place,
) -> Column {
    let mut column = Column {
        node: head.node,
        ..Column::default()
    };
    let Some(held) = index.nodes.iter().find(|n| n.node.id == head.node) else {
        return column;
    };
    let node = held.node;
    column.down = node.health == Health::Down;
    for (i, row) in plan.rows.iter().enumerate() {
        let cell = Rect::new(head.rect.x, row.y, head.rect.w, row.h);
        let [only] = row.lanes[..] else {
            let name = &outline.lanes[row.lanes[0]];
            let count = count_cell(&mut column, held, row, most[i], cell);
            column.cells.extend(count.map(|(text, aria)| MatrixCell {
                row: i,
                lane: name.clone(),
                page: true,
                text,
                aria,
            }));
            continue;
        };
        let Some(lane) = held.lanes[only] else {
            continue;
        };
        let copies = &index.lanes[only];
        bar(&mut column, lane, copies, cell);
        let behind = copies.end - lane.end;
        let text = match roomy(cell) {
            true if behind > 0 => format!("{} (−{behind})", lane.end),
            true => lane.end.to_string(),
            false => String::new(),
        };
        column.cells.push(MatrixCell {
            row: i,
            lane: lane.id.clone(),
            page: false,
            aria: cell_words(node, lane, &text),
            text,
        });
    }
    column
}

/// Told without moving numbers but those in sight, so that not every record rewrites it.
fn cell_words(node: &NodeView, lane: &Lane, shown: &str) -> String {
    let part = if lane.leads { "leader" } else { "follower" };
    let sync = if lane.in_sync {
        "in sync"
    } else {
        "out of sync"
    };
    format!(
        "{shown} {} on {}: {part}, {sync}, machine {}",
        lane.id,
        node.title,
        words::health(node.health)
    )
}

/// Whether a cell has room for a number under its bar.
fn roomy(cell: Rect) -> bool {
    cell.h >= 36.0 && cell.w >= 64.0
}

/// The bar's box in a cell: left of it the leader's mark.
fn bar_box(cell: Rect) -> Rect {
    let (left, right) = if cell.w < 40.0 {
        (3.0, 3.0)
    } else {
        (13.0, 6.0)
    };
    let h = within(cell.h * 0.42, 10.0, 16.0).floor();
    let y = if roomy(cell) {
        cell.y + 7.0
    } else {
        cell.cy() - h / 2.0
    };
    Rect::new(cell.x + left, y, cell.w - left - right, h)
}

fn rect_to(path: &mut String, x: f64, y: f64, w: f64, h: f64) {
    if w > 0.2 {
        draw_box(path, x, y, w, h);
    }
}

fn bar(column: &mut Column, lane: &Lane, copies: &Copies<'_>, cell: Rect) {
    let b = bar_box(cell);
    let (end, line) = (copies.end, copies.line);
    // The axis moves by steps, like that of the full strip.
    let from = ((end - WINDOW * 3 / 4).max(0)).div_euclid(WINDOW / 4) * (WINDOW / 4);
    let x = |offset: i64| b.x + b.w * within((offset - from) as f64 / WINDOW as f64, 0.0, 1.0);
    let (x0, x_line, x_end) = (b.x, x(line.min(lane.end)), x(lane.end));
    rect_to(&mut column.track, b.x, b.y, b.w, b.h);
    if lane.in_sync {
        let kept = if lane.leads {
            &mut column.kept_lead
        } else {
            &mut column.kept
        };
        rect_to(kept, x0, b.y, x_line - x0, b.h);
        rect_to(&mut column.tail, x_line, b.y, x_end - x_line, b.h);
        rect_to(&mut column.line, x(line) - 0.8, b.y - 2.0, 1.6, b.h + 4.0);
    } else {
        rect_to(
            &mut column.stale,
            x0 + 0.5,
            b.y + 0.5,
            (x_end - x0).max(3.0) - 1.0,
            b.h - 1.0,
        );
    }
    if lane.leads {
        let (r, cx, cy) = if cell.w < 40.0 {
            (2.6, b.x + 4.2, b.y + b.h / 2.0)
        } else {
            (3.4, cell.x + 6.5, b.y + b.h / 2.0)
        };
        let d = r * 2.0;
        draw(&mut column.leads, 'M', &[cx - r, cy]);
        draw(&mut column.leads, 'a', &[r, r, 0.0, 1.0, 0.0, d, 0.0]);
        draw(&mut column.leads, 'a', &[r, r, 0.0, 1.0, 0.0, -d, 0.0]);
        column.leads.push('z');
    }
}

/// A page of lanes on one node: how many it leads, follows in sync, and holds out of sync.
/// Returns the cell's words.
fn count_cell(
    column: &mut Column,
    held: &Held<'_>,
    row: &Row,
    most: usize,
    cell: Rect,
) -> Option<(String, String)> {
    let lanes = || row.lanes.iter().filter_map(|&i| held.lanes[i]);
    let all = lanes().count();
    if all == 0 {
        return None;
    }
    let leads = lanes().filter(|l| l.leads).count();
    let stale = lanes().filter(|l| !l.in_sync).count();
    let following = all.saturating_sub(leads + stale);
    let b = bar_box(cell);
    let part = |n: usize| b.w * n as f64 / most.max(1) as f64;
    rect_to(&mut column.track, b.x, b.y, b.w, b.h);
    rect_to(&mut column.kept_lead, b.x, b.y, part(leads), b.h);
    rect_to(
        &mut column.kept,
        b.x + part(leads),
        b.y,
        part(following),
        b.h,
    );
    rect_to(
        &mut column.stale,
        b.x + part(leads + following),
        b.y + 0.5,
        part(stale),
        b.h - 1.0,
    );
    let text = if roomy(cell) {
        format!("{leads} of {all}")
    } else {
        String::new()
    };
    let title = &held.node.title;
    let aria = format!(
        "{title}: leads {leads} of {all}, follows {following} in sync, {stale} out of sync"
    );
    Some((text, aria))
}
