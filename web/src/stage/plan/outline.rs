//! The structure of a world: nodes, which lanes they hold, and what of it is shown.

use sim_core::few;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use sim_core::view::{Role, StageView};

use crate::stage::Zoom;

/// Rows of the matrix at most; beyond that lanes are counted by pages of this many.
pub(crate) const ROWS_MAX: usize = 24;

/// Lanes shown as groups at most, and strips in all of them.
pub(crate) const GROUPS_MAX: usize = 4;
const GROUP_STRIPS_MAX: usize = 14;

/// A node as far as its place depends on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OutlineNode {
    /// Its number.
    pub(crate) id: u32,
    /// Its part in the system.
    pub(crate) role: Role,
    /// Its lanes, by index.
    pub(crate) holds: Vec<usize>,
}

/// The structure of a world.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outline {
    /// Nodes by id.
    pub(crate) nodes: Vec<OutlineNode>,
    /// Lane ids, `orders-2` before `orders-10`.
    pub(crate) lanes: Vec<String>,
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// One lane with all its cells (`None`: there is no lane).
    Full {
        /// The lane.
        lane: Option<usize>,
    },
    /// A few lanes, each with all its cells.
    Groups {
        /// The lanes.
        lanes: Vec<usize>,
    },
    /// Stores across, lanes down; each row has one lane, or a page of lanes as counts.
    Matrix {
        /// The rows.
        rows: Vec<Vec<usize>>,
    },
}

impl Outline {
    /// Reads the structure off a view.
    pub(crate) fn new(view: &StageView) -> Self {
        let stores = view.nodes.iter().filter(|n| n.role == Role::Store);
        let held = stores.flat_map(|n| n.lanes.iter().map(|lane| lane.id.as_str()));
        let ids = view.lanes.iter().map(|lane| lane.id.as_str()).chain(held);
        let ids: BTreeSet<&str> = few::gather(ids);
        let mut lanes: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        lanes.sort_by(|a, b| natural(a, b));
        let place = lanes.iter().enumerate().map(|(i, id)| (id.as_str(), i));
        let place: BTreeMap<&str, usize> = few::gather(place);
        let nodes = view
            .nodes
            .iter()
            .map(|node| OutlineNode {
                id: node.id,
                role: node.role,
                holds: node
                    .lanes
                    .iter()
                    .filter_map(|lane| place.get(lane.id.as_str()).copied())
                    .collect(),
            })
            .collect();
        Self { nodes, lanes }
    }

    /// The nodes of a role, in id order.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &OutlineNode> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// What to show of it for a zoom; a zoom that names what is not there shows all.
    pub(crate) fn mode(&self, zoom: &Zoom) -> Mode {
        if let Zoom::Lane(id) = zoom
            && let Some(lane) = self.lanes.iter().position(|l| l == id)
        {
            return Mode::Full { lane: Some(lane) };
        }
        if self.lanes.len() <= 1 {
            return Mode::Full {
                lane: (!self.lanes.is_empty()).then_some(0),
            };
        }
        let all: Vec<usize> = (0..self.lanes.len()).collect();
        let strips: usize = self.of(Role::Store).map(|n| n.holds.len()).sum();
        if all.len() <= GROUPS_MAX && strips <= GROUP_STRIPS_MAX {
            return Mode::Groups { lanes: all };
        }
        if all.len() <= ROWS_MAX {
            return Mode::Matrix {
                rows: all.into_iter().map(|lane| vec![lane]).collect(),
            };
        }
        let pages = pages(&self.lanes);
        match zoom {
            Zoom::Page(page) if (*page as usize) < pages.len() => Mode::Matrix {
                rows: pages[*page as usize]
                    .iter()
                    .map(|&lane| vec![lane])
                    .collect(),
            },
            _ => Mode::Matrix { rows: pages },
        }
    }
}

/// Lanes by pages: neighbours of one topic (the name before the last `-`), [`ROWS_MAX`] at most.
/// If that makes more than twice as many rows as fit, topics share pages.
fn pages(lanes: &[String]) -> Vec<Vec<usize>> {
    let topic = |i: usize| lanes[i].rsplit_once('-').map_or(lanes[i].as_str(), |x| x.0);
    let mut by_topic: Vec<Vec<usize>> = Vec::new();
    for i in 0..lanes.len() {
        match by_topic.last_mut() {
            Some(page) if page.len() < ROWS_MAX && topic(page[0]) == topic(i) => page.push(i),
            _ => by_topic.push(vec![i]),
        }
    }
    if by_topic.len() <= 2 * ROWS_MAX {
        return by_topic;
    }
    let all: Vec<usize> = (0..lanes.len()).collect();
    all.chunks(ROWS_MAX.max(lanes.len().div_ceil(ROWS_MAX)))
        .map(<[usize]>::to_vec)
        .collect()
}

/// Orders names with numbers in them as people do.
fn natural(a: &str, b: &str) -> Ordering {
    let key = |s: &str| match s.rsplit_once('-') {
        Some((head, tail)) if tail.len() < 10 && tail.parse::<u32>().is_ok() => {
            (head.to_owned(), tail.parse().unwrap_or(0))
        }
        _ => (s.to_owned(), 0u32),
    };
    key(a).cmp(&key(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(topics: &[(&str, u32)]) -> Outline {
        let mut lanes = Vec::new();
        for (topic, n) in topics {
            lanes.extend((0..*n).map(|i| format!("{topic}-{i}")));
        }
        Outline {
            nodes: Vec::new(),
            lanes,
        }
    }

    #[test]
    fn names_sort_by_number() {
        let mut names = vec!["orders-10", "orders-2", "a-1", "orders-0", "x"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a-1", "orders-0", "orders-2", "orders-10", "x"]);
    }

    #[test]
    fn what_is_shown_follows_zoom_and_count() {
        let rows = |outline: &Outline, zoom: &Zoom| match outline.mode(zoom) {
            Mode::Full { lane } => format!("full {lane:?}"),
            Mode::Matrix { rows } => format!("{}×{}", rows.len(), rows[0].len()),
            Mode::Groups { lanes } => format!("groups {}", lanes.len()),
        };
        let lane = |id: &str| Zoom::Lane(id.to_owned());
        for (topics, zoom, expect) in [
            (vec![], Zoom::All, "full None"),
            (vec![("orders", 1)], Zoom::All, "full Some(0)"),
            (vec![("orders", 3)], Zoom::All, "groups 3"),
            (vec![("orders", 5)], Zoom::All, "5×1"),
            (vec![("orders", 24)], Zoom::All, "24×1"),
            (vec![("orders", 24)], lane("orders-11"), "full Some(11)"),
            (vec![("orders", 24)], lane("gone-0"), "24×1"),
            (vec![("orders", 60)], Zoom::All, "3×24"),
            (vec![("orders", 60)], Zoom::Page(2), "12×1"),
            (vec![("orders", 60)], Zoom::Page(9), "3×24"),
            (vec![("a", 3), ("b", 30)], Zoom::All, "3×3"),
        ] {
            assert_eq!(rows(&lanes(&topics), &zoom), expect, "{topics:?} {zoom:?}");
        }
        let many: Vec<(String, u32)> = (0..500).map(|i| (format!("t{i:03}"), 2)).collect();
        let many: Vec<(&str, u32)> = many.iter().map(|(t, n)| (t.as_str(), *n)).collect();
        assert_eq!(rows(&lanes(&many), &Zoom::All), "24×42");
    }
}
