//! How close the learner looks, and what the engine is asked for because of it. Plain data.

use sim_core::view::{StageQuery, StageView};

use super::plan::GROUPS_MAX;

/// Cells per lane: what the widest strip can show twice, since an axis may be broken in two.
const CELLS_MAX: u32 = 128;
/// Tokens painted at most; the view counts the others in `tokens_hidden`.
const TOKENS_MAX: u32 = 2_000;

/// How close the stage looks. A world with a single lane is always shown in full.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Zoom {
    /// All lanes: in full if there is one, as a matrix if there are more, as counts beyond that.
    #[default]
    All,
    /// One page of the matrix, where there are too many lanes for one.
    Page(u32),
    /// One lane in full, by its id.
    Lane(String),
}

impl Zoom {
    /// The key for `data-zoom`.
    pub(crate) fn key(&self) -> String {
        match self {
            Zoom::All => String::new(),
            Zoom::Page(page) => format!("page:{page}"),
            Zoom::Lane(id) => format!("lane:{id}"),
        }
    }

    /// Reads a key.
    pub(crate) fn parse(key: &str) -> Option<Zoom> {
        match key.split_once(':') {
            None => key.is_empty().then_some(Zoom::All),
            Some(("page", page)) => page.parse().ok().map(Zoom::Page),
            Some(("lane", id)) => Some(Zoom::Lane(id.to_owned())),
            Some(_) => None,
        }
    }
}

/// The projection that the stage needs for this zoom, so that a view costs only what is on screen.
/// `last` is the view shown so far (the default one at the start).
pub fn query(zoom: &Zoom, last: &StageView) -> StageQuery {
    let in_full = matches!(zoom, Zoom::Lane(_)) || last.lanes.len() <= GROUPS_MAX;
    let lanes = match zoom {
        Zoom::Lane(id) => vec![id.clone()],
        Zoom::All | Zoom::Page(_) => Vec::new(),
    };
    StageQuery {
        lanes,
        cells_max: if in_full { CELLS_MAX } else { 0 },
        tokens_max: TOKENS_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::Zoom;

    #[test]
    fn a_zoom_can_be_read_back_from_its_key() {
        for zoom in [Zoom::All, Zoom::Page(2), Zoom::Lane("a:b-0".to_owned())] {
            assert_eq!(Zoom::parse(&zoom.key()), Some(zoom));
        }
        for key in ["page:", "page:x", "all", "row:1"] {
            assert_eq!(Zoom::parse(key), None, "{key}");
        }
    }
}
