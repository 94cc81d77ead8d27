//! Where things stand: from the outline of a world and the size of the stage to boxes and paths.
//!
//! A plan depends on structure only (which nodes there are, which lanes they hold, how close the
//! learner looks), never on values, so that nothing jumps while the world runs. Everything is in
//! CSS pixels and free of web types. What is written into the boxes is made in `scene`.

pub(crate) mod axis;
mod full;
pub(crate) mod geom;
mod groups;
mod heads;
mod matrix;
mod outline;
pub(crate) mod route;
#[cfg(test)]
mod tests;

pub(crate) use outline::{GROUPS_MAX, Mode, Outline, OutlineNode};

use std::ops::Range;

use crate::lengths::within;
use geom::Rect;
use sim_core::view::Role;

/// How much room there is across.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// One column; clients above and below the brokers.
    Phone,
    /// Clients in one column on the left.
    Mid,
    /// Sources on the left, sinks on the right.
    Wide,
}

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    /// A small round button in the quorum.
    Control,
    /// A source or sink.
    Client,
    /// A store with a strip.
    Card,
    /// A store that holds nothing of what is shown.
    Slim,
    /// A store as the head of a column of the matrix.
    Head,
    /// Nodes for which there is no room, together.
    More,
}

/// A node's place. Of the nodes in a [`Kind::More`] place the first stands for all.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Place {
    /// The node.
    pub(crate) node: u32,
    /// Its part in the system.
    pub(crate) role: Role,
    /// What is drawn there.
    pub(crate) kind: Kind,
    /// Its box.
    pub(crate) rect: Rect,
    /// The nodes gathered here ([`Kind::More`] only).
    pub(crate) gathers: Vec<u32>,
}

/// The place of a copy's strip.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StripPlace {
    /// The node that holds the copy.
    pub(crate) node: u32,
    /// The lane, by index into the outline.
    pub(crate) lane: usize,
    /// From the first slot to the last.
    pub(crate) rect: Rect,
    /// The box for the node's name before it, where no card bears it.
    pub(crate) name: Option<Rect>,
}

/// The strips of one lane, on one axis.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Group {
    /// The lane, by index into the outline.
    pub(crate) lane: usize,
    /// Its strips, by index into the plan.
    pub(crate) strips: Range<usize>,
    /// Upper edge of the strandline's tag.
    pub(crate) tag_y: f64,
    /// Where the tag may stand.
    pub(crate) tag_from: f64,
    /// The right end of that.
    pub(crate) tag_to: f64,
    /// Upper edge of the axis' numbers, if they are shown.
    pub(crate) ruler_y: Option<f64>,
}

/// One row of the matrix.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    /// The lanes in it, by index into the outline: one, or a whole page of them.
    pub(crate) lanes: Vec<usize>,
    /// The button with the lane's name.
    pub(crate) label: Rect,
    /// Top and height of the cells.
    pub(crate) y: f64,
    /// Height of the cells.
    pub(crate) h: f64,
}

/// Where paths run.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Gutters {
    /// Line along which the quorum talks to stores.
    pub(crate) rail_x: f64,
    /// Height at which quorum paths leave the quorum's row.
    pub(crate) control_y: f64,
    /// Right edge of the stores, where arcs between them begin.
    pub(crate) arc_x: f64,
    /// Room for those arcs.
    pub(crate) arc_w: f64,
    /// Line along which clients of a narrow stage or of the matrix reach the stores.
    pub(crate) bus_x: f64,
    /// The same for sinks on the right.
    pub(crate) bus_right_x: f64,
    /// Height of the lines above the heads of the matrix.
    pub(crate) band_y: f64,
}

/// Where everything stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    /// Width of the stage.
    pub(crate) width: f64,
    /// Height that the plan needs.
    pub(crate) height: f64,
    /// How much room there is across.
    pub(crate) size: Width,
    /// What is shown.
    pub(crate) mode: Mode,
    /// Places of nodes.
    pub(crate) places: Vec<Place>,
    /// The box for the words about the quorum.
    pub(crate) control_text: Rect,
    /// The box for the word before the quorum's buttons.
    pub(crate) control_label: Rect,
    /// Strips of copies.
    pub(crate) strips: Vec<StripPlace>,
    /// Strips by lane.
    pub(crate) groups: Vec<Group>,
    /// Left edge of all strips.
    pub(crate) strip_x: f64,
    /// Number of slots on a strip.
    pub(crate) slots: usize,
    /// From one cell to the next.
    pub(crate) pitch: f64,
    /// The rows of the matrix, or the extents of groups.
    pub(crate) rows: Vec<Row>,
    /// Where paths run.
    pub(crate) gutters: Gutters,
}

/// Room that the strandline takes between two cells.
pub(crate) const TIDE: f64 = 9.0;
/// Height of the strandline's tag.
pub(crate) const TAG_H: f64 = 22.0;
/// Height of the axis' numbers.
pub(crate) const RULER_H: f64 = 16.0;

impl Plan {
    /// Lays a world out on a stage of the given width; `height` is how much there is to fill (the
    /// plan may need more).
    pub(crate) fn new(outline: &Outline, mode: Mode, width: f64, height: f64) -> Self {
        let size = match width {
            w if w < 640.0 => Width::Phone,
            w if w < 900.0 => Width::Mid,
            _ => Width::Wide,
        };
        let mut plan = Self {
            width,
            height: 0.0,
            size,
            mode,
            places: Vec::new(),
            control_text: Rect::default(),
            control_label: Rect::default(),
            strips: Vec::new(),
            groups: Vec::new(),
            strip_x: 0.0,
            slots: 0,
            pitch: 26.0,
            rows: Vec::new(),
            gutters: Gutters::default(),
        };
        match plan.mode.clone() {
            Mode::Full { lane } => full::lay(&mut plan, outline, lane, height),
            Mode::Groups { lanes } => groups::lay(&mut plan, outline, &lanes, height),
            Mode::Matrix { rows } => matrix::lay(&mut plan, outline, &rows, height),
        }
        plan
    }

    /// The place of a node, be it its own or shared.
    pub(crate) fn place(&self, node: u32) -> Option<&Place> {
        self.places
            .iter()
            .find(|p| p.node == node || p.gathers.contains(&node))
    }

    /// Whether stores are heads over a matrix or groups, which paths go around.
    pub(crate) fn is_matrix(&self) -> bool {
        !matches!(self.mode, Mode::Full { .. })
    }

    /// The quorum's row: word, round buttons, two lines of text. Returns its lower edge.
    fn lay_control(&mut self, outline: &Outline, x: f64) -> f64 {
        let chip = 28.0;
        let ids: Vec<u32> = outline.of(Role::Control).map(|n| n.id).collect();
        let label_w = match self.size {
            _ if ids.is_empty() => 0.0,
            Width::Phone => 64.0,
            _ => 122.0,
        };
        // Above the words of a phone there is nothing to be close to.
        let top = if self.size == Width::Phone { 12.0 } else { 6.0 };
        self.control_label = Rect::new(x, top, label_w, 36.0);
        let mut cx = x + label_w;
        // Beyond nine the rest is told by the text; a quorum has three or five.
        for &id in ids.iter().take(9) {
            self.places.push(Place {
                node: id,
                role: Role::Control,
                kind: Kind::Control,
                rect: Rect::new(cx, top + 4.0, chip, chip),
                gathers: Vec::new(),
            });
            cx += chip + 6.0;
        }
        let text_x = if ids.is_empty() { x } else { cx + 8.0 };
        let below = self.size == Width::Phone && !ids.is_empty();
        if below {
            self.control_text = Rect::new(x, 52.0, self.width - x - 4.0, 36.0);
            self.gutters.control_y = 49.0;
            94.0
        } else {
            self.control_text = Rect::new(text_x, 6.0, (self.width - text_x - 4.0).max(0.0), 36.0);
            self.gutters.control_y = 46.0;
            52.0
        }
    }

    /// A column of clients, spread over the given height; what has no room is gathered at its end.
    fn lay_column(&mut self, ids: &[(u32, Role)], area: Rect) {
        let gap = 12.0;
        let (least, most) = (48.0, 84.0);
        let fit = (((area.h + gap) / (least + gap)).floor() as usize).max(1);
        let shown = ids.len().min(fit);
        if shown == 0 {
            return;
        }
        let h = within((area.h + gap) / shown as f64 - gap, least, most);
        let pitch = if shown == 1 {
            0.0
        } else {
            (area.h - h) / (shown - 1) as f64
        };
        let pitch = pitch.min(h + 56.0);
        let top = area.y + ((area.h - h - pitch * (shown - 1) as f64) / 2.0).max(0.0);
        for i in 0..shown {
            let last = i + 1 == shown && ids.len() > shown;
            let (node, role) = ids[i];
            self.places.push(Place {
                node,
                role,
                kind: if last { Kind::More } else { Kind::Client },
                rect: Rect::new(area.x, top + pitch * i as f64, area.w, h),
                gathers: if last {
                    ids[i..].iter().map(|x| x.0).collect()
                } else {
                    Vec::new()
                },
            });
        }
    }

    /// Clients in rows of two, at most two rows. Returns the lower edge.
    fn lay_pairs(&mut self, ids: &[(u32, Role)], x: f64, y: f64, w: f64) -> f64 {
        if ids.is_empty() {
            return y;
        }
        let (gap, h, per) = (8.0, 54.0, 2);
        let across = if ids.len() == 1 { 1 } else { per };
        let each = ((w - gap * (across - 1) as f64) / across as f64).min(220.0);
        let shown = ids.len().min(per * 2);
        for i in 0..shown {
            let last = i + 1 == shown && ids.len() > shown;
            let (node, role) = ids[i];
            let (col, row) = ((i % per) as f64, (i / per) as f64);
            self.places.push(Place {
                node,
                role,
                kind: if last { Kind::More } else { Kind::Client },
                rect: Rect::new(x + col * (each + gap), y + row * (h + gap), each, h),
                gathers: if last {
                    ids[i..].iter().map(|x| x.0).collect()
                } else {
                    Vec::new()
                },
            });
        }
        y + shown.div_ceil(per) as f64 * (h + gap) - gap
    }
}

/// Node numbers and roles, for the columns.
fn ids(outline: &Outline, role: Role) -> Vec<(u32, Role)> {
    outline.of(role).map(|n| (n.id, n.role)).collect()
}
