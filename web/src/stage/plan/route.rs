//! The paths that messages travel, one per ordered pair of nodes, and places along them.
//!
//! A path is a polyline sampled from curves, with the length up to each point, so that a token's
//! place is one search and one interpolation. The two directions of a pair never share a line.

use sim_core::few;

use sim_core::view::Role;

use super::geom::{Pt, pt};
use super::{Kind, Mode, Place, Plan, Width};
use crate::lengths::{draw, within};

/// A path with the length up to each of its points.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct PathLine {
    points: Vec<Pt>,
    lengths: Vec<f64>,
    /// Where the mark of a fault stands, if not half way.
    mark: Option<f64>,
}

/// Samples per curve; at 16 no corner shows at the sizes of the stage.
const SAMPLES: usize = 16;

impl PathLine {
    fn start(at: Pt) -> Self {
        Self {
            points: vec![at],
            lengths: vec![0.0],
            mark: None,
        }
    }

    fn push(&mut self, to: Pt) {
        let from = self.points[self.points.len() - 1];
        let step = (to.x - from.x).hypot(to.y - from.y);
        let total = self.lengths[self.lengths.len() - 1];
        self.points.push(to);
        self.lengths.push(total + step);
    }

    fn curve(mut self, c1: Pt, c2: Pt, to: Pt) -> Self {
        let from = self.points[self.points.len() - 1];
        for i in 1..=SAMPLES {
            let t = i as f64 / SAMPLES as f64;
            let u = 1.0 - t;
            let (a, b, c, d) = (u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t);
            let x = a * from.x + b * c1.x + c * c2.x + d * to.x;
            let y = a * from.y + b * c1.y + c * c2.y + d * to.y;
            self.push(pt(x, y));
        }
        self
    }

    /// Straight pieces through the given points with rounded corners.
    fn bends(through: &[Pt], radius: f64) -> Self {
        let mut path = Self::start(through[0]);
        for i in 1..through.len() {
            let (from, at) = (through[i - 1], through[i]);
            let Some(&next) = through.get(i + 1) else {
                path.push(at);
                break;
            };
            let back = toward(at, from, radius);
            let on = toward(at, next, radius);
            path.push(back);
            for k in 1..=4 {
                let t = f64::from(k) / 4.0;
                let u = 1.0 - t;
                let mix = |a: f64, b: f64, c: f64| u * u * a + 2.0 * u * t * b + t * t * c;
                path.push(pt(mix(back.x, at.x, on.x), mix(back.y, at.y, on.y)));
            }
        }
        path
    }

    /// The line between this path and the path back, as far as they were made alike.
    pub(crate) fn between(&self, back: &Self) -> Self {
        if self.points.len() != back.points.len() {
            return self.clone();
        }
        let pairs = self.points.iter().zip(back.points.iter().rev());
        let points: Vec<Pt> = pairs
            .map(|(p, q)| pt((p.x + q.x) / 2.0, (p.y + q.y) / 2.0))
            .collect();
        through(&points)
    }

    /// Length in CSS px.
    pub(crate) fn length(&self) -> f64 {
        self.lengths.last().copied().unwrap_or(0.0)
    }

    /// The point at a distance along the path, held to its ends.
    pub(crate) fn at_length(&self, distance: f64) -> Pt {
        let Some(&last) = self.points.last() else {
            return Pt::default();
        };
        let i = self.lengths.partition_point(|&l| l < distance);
        if i == 0 {
            return self.points[0];
        }
        let (Some(&b), Some(&end)) = (self.points.get(i), self.lengths.get(i)) else {
            return last;
        };
        let (a, begin) = (self.points[i - 1], self.lengths[i - 1]);
        let t = if end > begin {
            (distance - begin) / (end - begin)
        } else {
            1.0
        };
        pt(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t)
    }

    /// The point at a fraction of the path.
    #[cfg(test)]
    pub(crate) fn at(&self, fraction: f64) -> Pt {
        self.at_length(fraction * self.length())
    }

    /// How far along the mark of a fault stands; held messages queue before it.
    pub(crate) fn mark(&self) -> f64 {
        self.mark.unwrap_or(self.length() / 2.0)
    }

    /// The direction at a distance along the path, in radians.
    pub(crate) fn heading(&self, at: f64) -> f64 {
        let (a, b) = (self.at_length(at - 2.0), self.at_length(at + 2.0));
        (b.y - a.y).atan2(b.x - a.x)
    }

    /// The path as SVG path data.
    pub(crate) fn to_svg(&self) -> String {
        let mut out = String::with_capacity(self.points.len() * 12);
        for (i, p) in self.points.iter().enumerate() {
            draw(&mut out, if i == 0 { 'M' } else { 'L' }, &[p.x, p.y]);
        }
        out
    }

    /// Its points.
    #[cfg(test)]
    pub(crate) fn points(&self) -> &[Pt] {
        &self.points
    }
}

/// The point `radius` from `at` towards `to`, or half way if that is nearer.
fn toward(at: Pt, to: Pt, radius: f64) -> Pt {
    let d = (to.x - at.x).hypot(to.y - at.y);
    let k = if d > 0.0 {
        radius.min(d / 2.0) / d
    } else {
        0.0
    };
    pt(at.x + (to.x - at.x) * k, at.y + (to.y - at.y) * k)
}

/// All paths of a plan.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Routes {
    ids: Vec<u32>,
    table: Vec<Option<PathLine>>,
}

impl Routes {
    /// Routes between all nodes that have a place.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut ids: Vec<u32> = Vec::new();
        for place in &plan.places {
            ids.push(place.node);
            ids.extend(place.gathers.iter().copied());
        }
        few::sort_by_key(&mut ids, |id| *id);
        ids.dedup();
        let mut table = Vec::with_capacity(ids.len() * ids.len());
        for &from in &ids {
            for &to in &ids {
                let ends = plan.place(from).zip(plan.place(to));
                let shown = ends.filter(|(a, b)| a.node != b.node && !aside(plan, a, b));
                table.push(shown.map(|(a, b)| marked(route(plan, a, b), a.role, b.role)));
            }
        }
        Self { ids, table }
    }

    /// The path of messages from one node to another.
    pub(crate) fn get(&self, from: u32, to: u32) -> Option<&PathLine> {
        let i = self.ids.binary_search(&from).ok()?;
        let j = self.ids.binary_search(&to).ok()?;
        self.table.get(i * self.ids.len() + j)?.as_ref()
    }
}

/// Links of a node to the quorum share a line; their mark stands where they part from it, at the
/// node.
fn marked(mut path: PathLine, from: Role, to: Role) -> PathLine {
    const AT_NODE: f64 = 16.0;
    path.mark = match (from == Role::Control, to == Role::Control) {
        (true, false) => Some((path.length() - AT_NODE).max(0.0)),
        (false, true) => Some(AT_NODE.min(path.length())),
        _ => None,
    };
    path
}

/// With one lane in full, what goes on at stores that do not hold it is not drawn.
fn aside(plan: &Plan, a: &Place, b: &Place) -> bool {
    let one_lane = matches!(plan.mode, Mode::Full { lane: Some(_) });
    one_lane && (a.kind == Kind::Slim || b.kind == Kind::Slim)
}

fn route(plan: &Plan, a: &Place, b: &Place) -> PathLine {
    use Role::{Control, Sink, Source, Store};
    if plan.is_matrix() {
        return matrix_route(plan, a, b);
    }
    match (a.role, b.role) {
        (Control, Control) => quorum_arc(a, b),
        (Control, _) => rail(plan, a, b, false),
        (_, Control) => {
            let mut path = rail(plan, b, a, true);
            path.points.reverse();
            let points = std::mem::take(&mut path.points);
            through(&points)
        }
        (Store, Store) => peer_arc(plan, a, b),
        (Source | Sink, Store) => client(plan, a, b, false),
        (Store, Source | Sink) => {
            let path = client(plan, b, a, true);
            let mut points = path.points;
            points.reverse();
            through(&points)
        }
        (Source | Sink, Source | Sink) => {
            let off = if a.node < b.node { -4.0 } else { 4.0 };
            through(&[
                pt(a.rect.cx() + off, a.rect.cy()),
                pt(b.rect.cx() + off, b.rect.cy()),
            ])
        }
    }
}

/// A path through points, without rounding.
fn through(points: &[Pt]) -> PathLine {
    let mut path = PathLine::start(points[0]);
    for &p in &points[1..] {
        path.push(p);
    }
    path
}

/// Between two controllers: an arc over or under their row.
fn quorum_arc(a: &Place, b: &Place) -> PathLine {
    let over = a.rect.x < b.rect.x;
    let (y, bow) = if over {
        (a.rect.y, -12.0)
    } else {
        (a.rect.bottom(), 12.0)
    };
    let (x1, x2) = (a.rect.cx(), b.rect.cx());
    PathLine::start(pt(x1, y)).curve(pt(x1, y + bow), pt(x2, y + bow), pt(x2, y))
}

/// From a controller along the rail to a card or client; the way back runs beside it.
fn rail(plan: &Plan, control: &Place, to: &Place, back: bool) -> PathLine {
    let off = if back { 3.0 } else { -3.0 };
    let g = &plan.gutters;
    let x = g.rail_x + off;
    let start = pt(control.rect.cx() + off, control.rect.bottom());
    let turn = g.control_y - off;
    let y = match to.kind {
        Kind::Card => to.rect.y + 18.0 + off,
        _ => to.rect.cy() + off,
    };
    let left_of_rail = to.rect.right() < g.rail_x;
    let end = pt(
        if left_of_rail {
            to.rect.right()
        } else {
            to.rect.x
        },
        y,
    );
    if to.kind == Kind::Slim && to.rect.x > g.rail_x + 20.0 {
        let aisle = to.rect.y - 4.0;
        let end = pt(to.rect.cx() + off, to.rect.y);
        return PathLine::bends(
            &[
                start,
                pt(start.x, turn),
                pt(x, turn),
                pt(x, aisle),
                pt(end.x, aisle),
                end,
            ],
            6.0,
        );
    }
    PathLine::bends(&[start, pt(start.x, turn), pt(x, turn), pt(x, y), end], 6.0)
}

/// Between two stores: an arc on their right, the wider the further they are apart.
fn peer_arc(plan: &Plan, a: &Place, b: &Place) -> PathLine {
    let down = a.rect.y < b.rect.y || (a.rect.y == b.rect.y && a.rect.x < b.rect.x);
    // The lower port sends and the upper receives, so the arcs of a pair lie in each other.
    let start = pt(a.rect.right(), a.rect.y + a.rect.h * 0.62);
    let end = pt(b.rect.right(), b.rect.y + b.rect.h * 0.38);
    let apart = (start.y - end.y).abs();
    // The middle of the curve lies at three quarters of its bow.
    let bow = within(apart * 0.32, 18.0, plan.gutters.arc_w / 0.75);
    let bow = if down { bow * 0.6 } else { bow };
    let reach = plan.gutters.arc_x.max(start.x).max(end.x) + bow;
    PathLine::start(start).curve(pt(reach, start.y), pt(reach, end.y), end)
}

/// From a client to a store; the way back runs beside it.
fn client(plan: &Plan, client: &Place, store: &Place, back: bool) -> PathLine {
    let off = if back { 4.0 } else { -4.0 };
    let (c, s) = (&client.rect, &store.rect);
    if plan.size == Width::Phone {
        let x = plan.gutters.bus_x + off * 0.6;
        let y = s.cy() + off;
        let above = c.y < s.y;
        let (edge, aisle) = if above {
            (c.bottom(), c.bottom() + 3.0)
        } else {
            (c.y, c.y - 3.0)
        };
        let cx = (c.x + 24.0).min(c.cx()) + off;
        return PathLine::bends(
            &[
                pt(cx, edge),
                pt(cx, aisle),
                pt(x, aisle),
                pt(x, y),
                pt(s.x, y),
            ],
            5.0,
        );
    }
    let on_left = c.right() < s.x;
    let (x1, x2) = if on_left {
        (c.right(), s.x)
    } else {
        (c.x, s.right())
    };
    let (y1, y2) = (c.cy() + off, s.y + s.h * 0.5 + off);
    let mid = (x1 + x2) / 2.0;
    PathLine::start(pt(x1, y1)).curve(pt(mid, y1), pt(mid, y2), pt(x2, y2))
}

fn matrix_route(plan: &Plan, a: &Place, b: &Place) -> PathLine {
    use Role::{Control, Sink, Source, Store};
    let g = &plan.gutters;
    let head = |p: &Place| p.role == Store;
    if head(a) && head(b) {
        let (x1, x2) = (a.rect.cx(), b.rect.cx());
        let most = a.rect.y - g.control_y - 6.0;
        let bow = (10.0 + (x1 - x2).abs() * 0.16).min(most) / 0.75;
        let bow = if x1 < x2 { bow } else { bow * 0.7 };
        let y = a.rect.y;
        return PathLine::start(pt(x1 + 3.0, y)).curve(
            pt(x1 + 3.0, y - bow),
            pt(x2 - 3.0, y - bow),
            pt(x2 - 3.0, y),
        );
    }
    match (a.role, b.role) {
        (Control, Control) => quorum_arc(a, b),
        (Control, Store) if plan.size == Width::Phone => quorum_bus(plan, a, b, -2.0),
        (Store, Control) if plan.size == Width::Phone => {
            let mut points = quorum_bus(plan, b, a, 2.0).points;
            points.reverse();
            through(&points)
        }
        (Control, Store) => {
            let (s, e) = (
                pt(a.rect.cx() - 2.0, a.rect.bottom()),
                pt(b.rect.cx() - 5.0, b.rect.y),
            );
            PathLine::start(s).curve(pt(s.x, s.y + 16.0), pt(e.x, e.y - 22.0), e)
        }
        (Store, Control) => {
            let (s, e) = (
                pt(a.rect.cx() + 5.0, a.rect.y),
                pt(b.rect.cx() + 2.0, b.rect.bottom()),
            );
            PathLine::start(s).curve(pt(s.x, s.y - 22.0), pt(e.x, e.y + 16.0), e)
        }
        (Source | Sink, Store) => matrix_client(plan, a, b, -3.0),
        (Store, Source | Sink) => {
            let mut points = matrix_client(plan, b, a, 3.0).points;
            points.reverse();
            through(&points)
        }
        _ => {
            let off = if a.node < b.node { -4.0 } else { 4.0 };
            through(&[
                pt(a.rect.cx() + off, a.rect.cy()),
                pt(b.rect.cx() + off, b.rect.cy()),
            ])
        }
    }
}

/// From a controller to the head of a column by the line that the clients use.
fn quorum_bus(plan: &Plan, control: &Place, head: &Place, off: f64) -> PathLine {
    let g = &plan.gutters;
    let start = pt(control.rect.cx() + off, control.rect.bottom());
    let (turn, bus, band) = (g.control_y - off, g.bus_x + off, g.band_y - 14.0 + off);
    let end = pt(head.rect.cx() + off, head.rect.y);
    PathLine::bends(
        &[
            start,
            pt(start.x, turn),
            pt(bus, turn),
            pt(bus, band),
            pt(end.x, band),
            end,
        ],
        5.0,
    )
}

/// From a client round the matrix to the head of a column.
fn matrix_client(plan: &Plan, client: &Place, head: &Place, off: f64) -> PathLine {
    let g = &plan.gutters;
    let (c, h) = (&client.rect, &head.rect);
    let band = g.band_y + off;
    let end = pt(h.cx() + off * 2.6, h.y);
    if plan.size == Width::Phone {
        let above = c.y < h.y;
        let (edge, aisle) = if above {
            (c.bottom(), band)
        } else {
            (c.y, c.y - 5.0)
        };
        let x = if above {
            c.cx()
        } else {
            (c.x + 24.0).min(c.cx())
        } + off;
        let bus = pt(g.bus_x + off * 0.6, aisle);
        let start = pt(x, edge);
        if above {
            return PathLine::bends(&[start, pt(x, band), pt(end.x, band), end], 5.0);
        }
        return PathLine::bends(
            &[
                start,
                pt(x, aisle),
                bus,
                pt(bus.x, band),
                pt(end.x, band),
                end,
            ],
            5.0,
        );
    }
    let on_left = c.right() < h.x;
    let (edge, bus) = if on_left {
        (c.right(), g.bus_x + off)
    } else {
        (c.x, g.bus_right_x + off)
    };
    let y = c.cy() + off;
    PathLine::bends(
        &[pt(edge, y), pt(bus, y), pt(bus, band), pt(end.x, band), end],
        6.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_moves_evenly_along_bends() {
        let path = PathLine::bends(&[pt(0.0, 0.0), pt(100.0, 0.0), pt(100.0, 50.0)], 8.0);
        let length = path.length();
        assert!((140.0..150.0).contains(&length), "{length}");
        let mut last = path.at(0.0);
        assert_eq!(last, pt(0.0, 0.0));
        for i in 1..=100 {
            let p = path.at(f64::from(i) / 100.0);
            let step = (p.x - last.x).hypot(p.y - last.y);
            assert!((step - length / 100.0).abs() < 0.2, "step {i}: {step}");
            last = p;
        }
        assert_eq!(last, pt(100.0, 50.0));
        assert_eq!(path.at(7.0), pt(100.0, 50.0), "held to the end");
        assert_eq!(path.at(-1.0), pt(0.0, 0.0), "held to the start");
    }

    #[test]
    fn headings_follow_the_path() {
        let path = PathLine::bends(&[pt(0.0, 0.0), pt(100.0, 0.0), pt(100.0, 50.0)], 8.0);
        assert!(path.heading(14.0).abs() < 1e-6);
        assert!((path.heading(138.0) - std::f64::consts::FRAC_PI_2).abs() < 1e-6);
    }
}
