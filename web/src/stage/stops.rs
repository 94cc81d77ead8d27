//! Everything that can be pointed at, by click or keyboard, as short keys in `data-stop`.
//!
//! The whole stage is one tab stop; arrow keys go to the nearest thing in their direction. Keys
//! are resolved against the scene at the moment of the click, so elements need no closures.

use super::plan::geom::Rect;
use super::scene::{Scene, SlotScene};
use super::{MenuTarget, Selection, Zoom};

/// A thing on the stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// A node's title.
    Node(u32),
    /// A node's menu button.
    Menu(u32),
    /// A copy shown as a strip, by the strip's index.
    Lane(usize),
    /// A cell on a strip, by slot.
    Cell(usize, usize),
    /// The mark of a faulted link.
    Link(u32, u32),
    /// A row's name in the matrix.
    Row(usize),
    /// A copy in the matrix: node and row.
    Copy(u32, usize),
}

impl Stop {
    /// The key for `data-stop`.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Node(n) => format!("n:{n}"),
            Self::Menu(n) => format!("m:{n}"),
            Self::Lane(n) => format!("l:{n}"),
            Self::Cell(n, i) => format!("c:{n}:{i}"),
            Self::Link(a, b) => format!("k:{a}:{b}"),
            Self::Row(i) => format!("z:{i}"),
            Self::Copy(n, i) => format!("x:{n}:{i}"),
        }
    }

    /// Reads a key.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split(':');
        let kind = parts.next()?;
        let a: u32 = parts.next()?.parse().ok()?;
        let b: Option<u32> = parts.next().and_then(|p| p.parse().ok());
        Some(match (kind, b) {
            ("n", None) => Self::Node(a),
            ("m", None) => Self::Menu(a),
            ("l", None) => Self::Lane(a as usize),
            ("c", Some(b)) => Self::Cell(a as usize, b as usize),
            ("k", Some(b)) => Self::Link(a, b),
            ("z", None) => Self::Row(a as usize),
            ("x", Some(b)) => Self::Copy(a, b as usize),
            _ => return None,
        })
    }

    /// What a fault menu opened here is for.
    pub(crate) fn target(self, scene: &Scene) -> Option<MenuTarget> {
        match self {
            Self::Node(n) | Self::Menu(n) | Self::Copy(n, _) => Some(MenuTarget::Node(n)),
            Self::Lane(i) | Self::Cell(i, _) => {
                strip(scene, i).map(|strip| MenuTarget::Node(strip.node))
            }
            Self::Link(a, b) => Some(MenuTarget::Link(a, b)),
            Self::Row(_) => None,
        }
    }

    /// What is selected by a click here.
    pub(crate) fn selection(self, scene: &Scene) -> Option<Selection> {
        match self {
            Self::Node(n) | Self::Menu(n) => Some(Selection::Node(n)),
            Self::Link(a, b) => Some(Selection::Link(a, b)),
            Self::Row(_) => None,
            Self::Lane(i) => strip(scene, i).map(|s| lane(s.node, &s.lane)),
            Self::Cell(at, i) => {
                let strip = strip(scene, at)?;
                match strip.slots.get(i)? {
                    SlotScene::Cell(cell) => Some(
                        cell.record
                            .map_or_else(|| lane(strip.node, &strip.lane), Selection::Record),
                    ),
                    _ => None,
                }
            }
            Self::Copy(n, row) => {
                let column = scene.columns.iter().find(|c| c.node == n)?;
                let cell = column.cells.iter().find(|c| c.row == row)?;
                (!cell.page).then(|| lane(n, &cell.lane))
            }
        }
    }

    /// Where a row, or a copy in it, opens to.
    pub(crate) fn zoom(self, scene: &Scene) -> Option<Zoom> {
        let (Self::Row(row) | Self::Copy(_, row)) = self else {
            return None;
        };
        let row_scene = scene.rows.get(row)?;
        if row_scene.page {
            return Some(Zoom::Page(row as u32));
        }
        Some(Zoom::Lane(row_scene.name.clone()))
    }
}

fn strip(scene: &Scene, index: usize) -> Option<&super::scene::StripScene> {
    scene.strips.get(index)?.as_ref()
}

fn lane(node: u32, lane: &str) -> Selection {
    Selection::Lane {
        node,
        lane: lane.to_owned(),
    }
}

/// A direction of the arrow keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
}

/// The nearest box in a direction from the box with index `from`. What lies straight ahead is
/// preferred to what is nearer but aside.
pub(crate) fn nearest(boxes: &[Rect], from: usize, direction: Direction) -> Option<usize> {
    let start = boxes.get(from)?;
    let cost = |other: &Rect| -> Option<f64> {
        let (dx, dy) = (other.cx() - start.cx(), other.cy() - start.cy());
        let apart = |a0: f64, a1: f64, b0: f64, b1: f64| (b0 - a1).max(a0 - b1).max(0.0);
        let aside_x = apart(start.x, start.right(), other.x, other.right());
        let aside_y = apart(start.y, start.bottom(), other.y, other.bottom());
        let (ahead, aside, slant) = match direction {
            Direction::Up => (-dy, aside_x, dx.abs()),
            Direction::Down => (dy, aside_x, dx.abs()),
            Direction::Left => (-dx, aside_y, dy.abs()),
            Direction::Right => (dx, aside_y, dy.abs()),
        };
        (ahead > 0.5).then_some(ahead + aside * 4.0 + slant * 0.05)
    };
    boxes
        .iter()
        .enumerate()
        .filter(|&(i, _)| i != from)
        .filter_map(|(i, b)| cost(b).map(|c| (i, c)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|x| x.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::fixture::{Situation, view};
    use crate::stage::plan::route::Routes;
    use crate::stage::plan::{Outline, Plan};
    use crate::stage::scene::Wake;

    fn scene(situation: Situation) -> Scene {
        let view = view(situation, 0);
        let outline = Outline::new(&view);
        let plan = Plan::new(&outline, outline.mode(&Zoom::All), 1010.0, 640.0);
        Scene::new(
            &view,
            &Wake::default(),
            &outline,
            &plan,
            &Routes::new(&plan),
        )
    }

    #[test]
    fn keys_are_read_back() {
        for stop in [
            Stop::Node(3),
            Stop::Menu(3),
            Stop::Lane(12),
            Stop::Cell(3, 17),
            Stop::Link(4, 5),
            Stop::Row(23),
            Stop::Copy(9, 0),
        ] {
            assert_eq!(Stop::parse(&stop.key()), Some(stop));
        }
        for bad in ["", "n", "n:x", "q:1", "c:1", "n:1:2"] {
            assert_eq!(Stop::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn stops_select_what_they_show() {
        let full = scene(Situation::Calm);
        assert_eq!(Stop::Node(3).selection(&full), Some(Selection::Node(3)));
        assert_eq!(Stop::Lane(1).selection(&full), Some(lane(4, "orders-0")));
        assert_eq!(Stop::Lane(1).target(&full), Some(MenuTarget::Node(4)));
        let first = full.lanes[0].axis.first();
        let record = Selection::Record(first as u64 + 1);
        assert_eq!(Stop::Cell(0, 0).selection(&full), Some(record));
        assert_eq!(Stop::Cell(0, 500).selection(&full), None);
        let wide = scene(Situation::Wide);
        let copy = &wide.columns[2].cells[0];
        let stop = Stop::Copy(5, copy.row);
        assert_eq!(stop.selection(&wide), Some(lane(5, &copy.lane)));
        assert_eq!(
            Stop::Row(3).zoom(&wide),
            Some(Zoom::Lane("orders-3".to_owned()))
        );
        let vast = scene(Situation::Vast);
        assert_eq!(Stop::Row(2).zoom(&vast), Some(Zoom::Page(2)));
    }

    #[test]
    fn arrows_go_to_the_nearest_ahead() {
        // A title over two rows of three cells, and something far right.
        let mut boxes = vec![
            Rect::new(0.0, 0.0, 60.0, 20.0),
            Rect::new(400.0, 34.0, 20.0, 20.0),
        ];
        for row in 0..2 {
            for col in 0..3 {
                let (x, y) = (f64::from(col) * 26.0, 30.0 + f64::from(row) * 40.0);
                boxes.push(Rect::new(x, y, 24.0, 30.0));
            }
        }
        for (from, direction, expect) in [
            (0, Direction::Down, Some(3)),
            (2, Direction::Right, Some(3)),
            (3, Direction::Down, Some(6)),
            (6, Direction::Up, Some(3)),
            (4, Direction::Right, Some(1)),
            (1, Direction::Left, Some(4)),
            (3, Direction::Up, Some(0)),
            (0, Direction::Up, None),
        ] {
            assert_eq!(
                nearest(&boxes, from, direction),
                expect,
                "{from} {direction:?}"
            );
        }
    }
}
