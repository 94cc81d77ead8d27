//! Where subtasks stand: vertices from left to right by their distance from the sources, subtasks
//! below each other. It depends on counts and width; a card's height on its rows, each of one line.
//! On a phone all stand in one column, and the channels name their senders.

use sim_core::view::{JobView, SubtaskView};

use crate::stage::Rect;

/// Height of a row of a card.
pub(super) const ROW: f64 = 20.0;
/// Height of a card's head: name, machine, state; and of the watermark below it.
const HEAD: (f64, f64) = (60.0, 26.0);
/// Padding of a card, above and below.
const PAD: f64 = 6.0;
/// Height of a vertex's name.
const TITLE: f64 = 24.0;
/// Room for lines between two columns, and between two cards.
const GUTTER: (f64, f64) = (46.0, 12.0);
/// Least width of a column; with less the graph scrolls in its frame.
const COLUMN: f64 = 204.0;
/// Below this width there is one column.
const PHONE: f64 = 520.0;
/// What the frame of the graph keeps free on both sides, for outlines, px.
pub(super) const EDGES: f64 = 8.0;
/// Least and greatest width of what stands beside the graph, and the gap between.
const SIDE: (f64, f64, f64) = (330.0, 520.0, 20.0);
/// Windows and transactions of a card.
pub(super) const FEW: usize = 5;

/// Where a subtask stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Spot {
    /// Vertex and number of the subtask.
    pub(super) of: (u16, u32),
    /// Its card.
    pub(super) card: Rect,
}

/// Where everything stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Plan {
    /// Height and width.
    pub(super) height: f64,
    pub(super) width: f64,
    /// One column: no lines.
    pub(super) narrow: bool,
    /// Height of a card's head.
    head: f64,
    /// Names of vertices: number, place.
    pub(super) titles: Vec<(u16, Rect)>,
    /// Subtasks.
    pub(super) spots: Vec<Spot>,
}

/// Rows of a card below its head.
pub(super) fn rows(it: &SubtaskView) -> usize {
    let more = usize::from(it.more_windows || it.windows.len() > FEW);
    it.channels.len()
        + it.splits.len()
        + it.windows.len().min(FEW)
        + more
        + it.transactions.len().min(FEW)
        + usize::from(it.runs)
}

/// How many columns a job takes.
fn columns(job: &JobView) -> u32 {
    let depths = job.vertices.iter().map(|it| it.depth + 1);
    depths.max().unwrap_or(1)
}

/// The width for what stands beside the graph of a job, where there is room for it.
pub(super) fn side(job: &JobView, width: f64) -> Option<f64> {
    let many = f64::from(columns(job));
    let graph = EDGES + COLUMN * many + GUTTER.0 * (many - 1.0) + SIDE.2;
    let room = width - graph;
    (room >= SIDE.0).then(|| (width * 0.42).clamp(SIDE.0, room.min(SIDE.1)).floor())
}

impl Plan {
    /// Lays out a job.
    pub(super) fn new(job: &JobView, width: f64) -> Self {
        let columns = columns(job);
        let least = COLUMN * f64::from(columns) + GUTTER.0 * f64::from(columns - 1);
        let narrow = width < PHONE.min(least);
        let many = if narrow { 1.0 } else { f64::from(columns) };
        let gutters = GUTTER.0 * (many - 1.0);
        let column = ((width - gutters) / many)
            .floor()
            .clamp(COLUMN.min(width.max(1.0)), 380.0);
        let mut plan = Plan {
            narrow,
            head: HEAD.0 + if job.timed { HEAD.1 } else { 0.0 },
            width: column * many + gutters,
            ..Plan::default()
        };
        let mut lows = vec![0.0_f64; columns as usize];
        for vertex in &job.vertices {
            let at = if narrow { 0 } else { vertex.depth as usize };
            let Some(low) = lows.get_mut(at) else {
                continue;
            };
            let x = at as f64 * (column + GUTTER.0);
            plan.titles
                .push((vertex.number, Rect::new(x, *low, column, TITLE)));
            *low += TITLE;
            for it in &vertex.subtasks {
                let h = plan.head + 2.0 * PAD + rows(it) as f64 * ROW;
                plan.spots.push(Spot {
                    of: (it.vertex, it.number),
                    card: Rect::new(x, *low, column, h),
                });
                *low += h + GUTTER.1;
            }
        }
        plan.height = lows.into_iter().fold(0.0, f64::max);
        plan
    }

    /// Where a subtask stands.
    pub(super) fn card(&self, of: (u16, u32)) -> Option<Rect> {
        let found = self.spots.iter().find(|it| it.of == of);
        found.map(|it| it.card)
    }

    /// The line of a channel: from its sender to its row at the receiver.
    pub(super) fn line(&self, from: (u16, u32), to: (u16, u32), row: usize) -> Option<Line> {
        let (a, b) = (self.card(from)?, self.card(to)?);
        Some(Line {
            from: (a.x + a.w, a.y + self.head / 2.0),
            to: (b.x, b.y + PAD + self.head + (row as f64 + 0.5) * ROW),
        })
    }
}

/// The line of a channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

impl Line {
    /// As a path: a curve that leaves and arrives level.
    pub(super) fn path(&self) -> String {
        let ((x, y), (u, v)) = (self.from, self.to);
        let m = (x + u) / 2.0;
        format!("M{x:.1} {y:.1}C{m:.1} {y:.1} {m:.1} {v:.1} {u:.1} {v:.1}")
    }

    /// The point so far along it, 0 to 1.
    pub(super) fn at(&self, t: f64) -> (f64, f64) {
        let ((x, y), (u, v)) = (self.from, self.to);
        let m = (x + u) / 2.0;
        let s = 1.0 - t;
        let (a, b, c, d) = (s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t);
        (a * x + b * m + c * m + d * u, (a + b) * y + (c + d) * v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_beside_a_graph_of_two_columns() {
        let vertex = |depth| sim_core::view::VertexView {
            number: depth as u16,
            name: String::new(),
            kind: "map",
            depth,
            parallelism: 1,
            subtasks: Vec::new(),
        };
        let mut job = JobView {
            vertices: vec![vertex(0), vertex(1)],
            ..JobView::default()
        };
        assert_eq!(side(&job, 845.0), Some(354.0));
        assert_eq!(side(&job, 366.0), None);
        job.vertices.push(vertex(2));
        assert_eq!(side(&job, 845.0), None);
        assert!(side(&job, 1_300.0).is_some());
    }

    #[test]
    fn a_line_begins_and_ends_where_it_says() {
        let line = Line {
            from: (10.0, 20.0),
            to: (50.0, 80.0),
        };
        assert_eq!(line.at(0.0), (10.0, 20.0));
        assert_eq!(line.at(1.0), (50.0, 80.0));
        assert_eq!(line.at(0.5), (30.0, 50.0));
    }
}
