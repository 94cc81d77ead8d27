//! Where subtasks stand: vertices from left to right by their distance from the sources, subtasks
//! below each other. It depends on counts and width; a card's height on its rows, each of one line.
//! On a phone all stand in one column, and the channels name their senders.

use sim_core::view::{JobView, PurgedBox, SubtaskView};

use crate::stage::Rect;

/// Height of a row of a card.
pub(super) const ROW: f64 = 20.0;
/// Height of a card's head: name, machine, state; and of the watermark below it.
const HEAD: (f64, f64) = (60.0, 26.0);
/// So many subtasks below each other, or more, stand close: without the shares of their time in
/// words (the bar and the table have them), and with key groups and state in one row.
const MANY: usize = 3;
/// What that takes from a head, and the gap below a card then.
const CLOSE: (f64, f64) = (18.0, 7.0);
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
/// Marks of purged windows on a card, of two rows each.
pub(super) const MARKS: usize = 2;
/// Least and greatest width of a topic, and the room for lines between it and subtasks.
const TOPIC: (f64, f64, f64) = (157.0, 220.0, 34.0);
/// Height of a partition of a topic.
pub(super) const PART: f64 = 54.0;

/// A span of time: first moment, and the moment after the last.
type Bounds = (i64, i64);

/// The purged windows of a card: those of several keys together, the newest first.
pub(super) fn marks(it: &SubtaskView) -> Vec<(Bounds, Vec<&PurgedBox>)> {
    let mut out: Vec<(Bounds, Vec<&PurgedBox>)> = Vec::new();
    for it in &it.purged {
        let bounds = (it.start, it.end);
        match out.iter().position(|at| at.0 == bounds) {
            Some(at) => out[at].1.push(it),
            None if out.len() < MARKS => out.push((bounds, vec![it])),
            None => {}
        }
    }
    out
}

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
    /// Cards stand close.
    pub(super) close: bool,
    /// Height of a card's head.
    head: f64,
    /// Names of vertices: number, place.
    pub(super) titles: Vec<(u16, Rect)>,
    /// Subtasks.
    pub(super) spots: Vec<Spot>,
    /// Topics, by their place in the job: the name's place, and the card.
    pub(super) topics: Vec<(usize, Rect, Rect)>,
}

/// Rows of a card below its head; `close` cards have key groups and the last row in one.
pub(super) fn rows(it: &SubtaskView, close: bool) -> usize {
    let more = usize::from(it.more_windows || it.windows.len() > FEW);
    it.channels.len()
        + it.splits.len()
        + it.windows.len().min(FEW)
        + more
        + 2 * marks(it).len()
        + usize::from(it.key_groups.is_some() && !(close && it.runs))
        + it.trees.len()
        + it.transactions.len().min(FEW)
        + usize::from(it.runs)
}

/// How many columns a job takes.
fn columns(job: &JobView) -> u32 {
    let depths = job.vertices.iter().map(|it| it.depth + 1);
    depths.max().unwrap_or(1)
}

/// The columns of a job's graph: those of its vertices, with one before them for the topics of its
/// sources and one behind for those of its sinks, where there are any.
struct Columns {
    before: bool,
    many: u32,
    behind: bool,
}

impl Columns {
    fn of(job: &JobView) -> Self {
        let many = columns(job);
        let last = |vertex: u16| job.vertex(vertex).map(|it| it.depth + 1) == Some(many);
        Columns {
            before: job.topics.iter().any(|it| !it.sink),
            many,
            behind: job.topics.iter().any(|it| it.sink && last(it.vertex)),
        }
    }

    /// Columns of topics alone.
    fn sides(&self) -> f64 {
        f64::from(u8::from(self.before) + u8::from(self.behind))
    }

    /// The least width of all.
    fn least(&self) -> f64 {
        let many = f64::from(self.many);
        COLUMN * many + GUTTER.0 * (many - 1.0) + (TOPIC.0 + TOPIC.2) * self.sides()
    }

    /// Left edge and width of a column: topics before the vertices stand in column 0, vertices of
    /// depth 0 in column 1.
    fn place(&self, at: u32, (column, topic): (f64, f64)) -> (f64, f64) {
        let first = if self.before { topic + TOPIC.2 } else { 0.0 };
        match at {
            0 => (0.0, topic),
            _ if at > self.many => {
                let many = f64::from(self.many);
                let x = first + column * many + GUTTER.0 * (many - 1.0) + TOPIC.2;
                (x, topic)
            }
            _ => (first + f64::from(at - 1) * (column + GUTTER.0), column),
        }
    }
}

/// Below this width a job stands in one column.
fn is_narrow(columns: &Columns, width: f64) -> bool {
    width < PHONE.min(columns.least())
}

/// The width for what stands beside the graph of a job, where there is room for it.
pub(super) fn side(job: &JobView, width: f64) -> Option<f64> {
    let graph = EDGES + Columns::of(job).least() + SIDE.2;
    let room = width - graph;
    (room >= SIDE.0).then(|| (width * 0.42).clamp(SIDE.0, room.min(SIDE.1)).floor())
}

impl Plan {
    /// Lays out a job.
    pub(super) fn new(job: &JobView, width: f64) -> Self {
        let columns = Columns::of(job);
        let narrow = is_narrow(&columns, width);
        let (column, topic, all) = match narrow {
            true => {
                let column = width.floor().clamp(COLUMN.min(width.max(1.0)), 380.0);
                (column, column, column)
            }
            false => {
                let many = f64::from(columns.many);
                let spare = (width - columns.least()).max(0.0) / (many + columns.sides());
                let topic = (TOPIC.0 + spare).floor().min(TOPIC.1);
                let gutters = GUTTER.0 * (many - 1.0);
                let sides = (topic + TOPIC.2) * columns.sides();
                let column = ((width - gutters - sides) / many).floor();
                let column = column.clamp(COLUMN, 380.0);
                (column, topic, column * many + gutters + sides)
            }
        };
        let close = job.vertices.iter().any(|it| it.subtasks.len() >= MANY);
        let (less, gap) = if close { CLOSE } else { (0.0, GUTTER.1) };
        let mut plan = Plan {
            narrow,
            close,
            head: HEAD.0 - less + if job.timed { HEAD.1 } else { 0.0 },
            width: all,
            ..Plan::default()
        };
        let mut lows = vec![0.0_f64; columns.many as usize + 2];
        let at = |column: u32| if narrow { 1 } else { column };
        let place = |it: u32| match narrow {
            true => (0.0, column),
            false => columns.place(it, (column, topic)),
        };
        for vertex in &job.vertices {
            plan.topics_of(job, (vertex.number, false), at(0), &mut lows, &place);
            let own = at(vertex.depth + 1);
            let (x, w) = place(own);
            let Some(low) = lows.get_mut(own as usize) else {
                continue;
            };
            plan.titles
                .push((vertex.number, Rect::new(x, *low, w, TITLE)));
            *low += TITLE;
            for it in &vertex.subtasks {
                let h = plan.head + 2.0 * PAD + rows(it, close) as f64 * ROW;
                plan.spots.push(Spot {
                    of: (it.vertex, it.number),
                    card: Rect::new(x, *low, w, h),
                });
                *low += h + gap;
            }
            let next = at(vertex.depth + 2);
            plan.topics_of(job, (vertex.number, true), next, &mut lows, &place);
        }
        plan.height = lows.into_iter().fold(0.0, f64::max);
        plan
    }

    /// Lays out the topics that a vertex reads from, or writes to.
    fn topics_of(
        &mut self,
        job: &JobView,
        (vertex, sink): (u16, bool),
        column: u32,
        lows: &mut [f64],
        place: &dyn Fn(u32) -> (f64, f64),
    ) {
        let own = (0..).zip(&job.topics);
        let own = own.filter(|(_, it)| it.vertex == vertex && it.sink == sink);
        for (i, it) in own {
            let Some(low) = lows.get_mut(column as usize) else {
                return;
            };
            let (x, w) = place(column);
            let title = Rect::new(x, *low, w, TITLE);
            let more = if it.many as usize > it.partitions.len() {
                ROW
            } else {
                0.0
            };
            let h = 2.0 * PAD + it.partitions.len() as f64 * PART + more;
            let card = Rect::new(x, *low + TITLE, w, h);
            self.topics.push((i, title, card));
            *low += TITLE + h + GUTTER.1;
        }
    }

    /// The line between a partition of a topic (a place in its list) and the subtask that reads it,
    /// or from a subtask to the topic that it writes to.
    pub(super) fn topic_line(&self, at: usize, end: TopicEnd) -> Option<Line> {
        let (_, _, topic) = self.topics.iter().find(|it| it.0 == at)?;
        let middle = |it: &Rect| it.y + self.head / 2.0;
        Some(match end {
            TopicEnd::Reader { part, task } => {
                let card = self.card(task)?;
                Line {
                    from: (
                        topic.x + topic.w,
                        topic.y + PAD + (part as f64 + 0.5) * PART,
                    ),
                    to: (card.x, middle(&card)),
                }
            }
            TopicEnd::Writer { task } => {
                let card = self.card(task)?;
                Line {
                    from: (card.x + card.w, middle(&card)),
                    to: (topic.x, topic.y + topic.h / 2.0),
                }
            }
        })
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

/// Who is at the other end of a topic's line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum TopicEnd {
    /// A partition's reader.
    Reader { part: usize, task: (u16, u32) },
    /// A writer.
    Writer { task: (u16, u32) },
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
    fn topics_stand_before_what_reads_them_and_behind_what_writes_them() {
        let vertex = |number: u16, depth| sim_core::view::VertexView {
            number,
            name: String::new(),
            kind: "map",
            depth,
            parallelism: 1,
            subtasks: Vec::new(),
        };
        let topic = |vertex, sink| sim_core::view::JobTopic {
            name: String::new(),
            operator: String::new(),
            vertex,
            sink,
            stable_matters: sink,
            many: 0,
            partitions: Vec::new(),
        };
        let job = JobView {
            vertices: vec![vertex(0, 0), vertex(1, 1)],
            topics: vec![topic(0, false), topic(1, true)],
            ..JobView::default()
        };
        // It fits beside the prose of a page that is 1280 px wide.
        let plan = Plan::new(&job, 837.0);
        assert!(!plan.narrow && plan.width <= 837.0, "{}", plan.width);
        let titles: Vec<f64> = plan.titles.iter().map(|it| it.1.x).collect();
        let topics: Vec<f64> = plan.topics.iter().map(|it| it.1.x).collect();
        assert!(topics[0] < titles[0] && titles[0] < titles[1] && titles[1] < topics[1]);
        let phone = Plan::new(&job, 350.0);
        let order = [
            phone.topics[0].1.y,
            phone.titles[0].1.y,
            phone.titles[1].1.y,
        ];
        assert!(phone.narrow && order.is_sorted(), "{order:?}");
        assert!(phone.topics[1].1.y > phone.titles[1].1.y);
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
