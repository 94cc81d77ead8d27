//! What the matrix and the groups have in common: the quorum, a band for paths, the stores as heads
//! of columns, and clients beside or above and below.

use sim_core::view::Role;

use super::geom::Rect;
use super::{Kind, Outline, Place, Plan, Width, ids};

/// Least width of a column: a finger or pointer must hit its cells.
const COLUMN_MIN: f64 = 24.0;
/// Width of a column of clients, and the room between it and the rest.
const SIDE: f64 = 164.0;
const GUTTER: f64 = 30.0;

/// What is left for the rest.
pub(super) struct Frame {
    /// Left edge.
    pub(super) x: f64,
    /// Right edge.
    pub(super) right: f64,
    /// Upper edge.
    pub(super) top: f64,
    /// Upper edge of the heads.
    head_y: f64,
}

/// Lays out everything over the rest; the heads stand right of `label` px.
pub(super) fn lay(plan: &mut Plan, outline: &Outline, label: f64) -> Frame {
    let phone = plan.size == Width::Phone;
    let (left, right) = sides(plan, outline);
    let room = |n: usize| if n == 0 { 0.0 } else { SIDE + GUTTER };
    let x = room(left.len()) + if phone { 16.0 } else { 4.0 };
    let end = plan.width - room(right.len()) - 4.0;
    let mut y = plan.lay_control(outline, if phone { 4.0 } else { x });
    if phone {
        y = plan.lay_pairs(&ids(outline, Role::Source), 20.0, y, plan.width - 24.0);
    }
    let (band, head_h) = if phone { (40.0, 30.0) } else { (56.0, 40.0) };
    let head_y = y + band;
    plan.gutters.band_y = head_y - 12.0;
    plan.gutters.bus_x = if phone { 9.0 } else { SIDE + GUTTER / 2.0 };
    plan.gutters.bus_right_x = if right.is_empty() {
        end
    } else {
        end + GUTTER / 2.0 + 4.0
    };
    plan.gutters.rail_x = x;
    columns(
        plan,
        outline,
        Rect::new(x + label, head_y, end - x - label, head_h),
    );
    Frame {
        x,
        right: end,
        top: head_y + head_h + 4.0,
        head_y,
    }
}

/// Nodes of one side of the stage, each with its role, from the top down.
type Side = Vec<(u32, Role)>;

/// Clients on the left and on the right.
fn sides(plan: &Plan, outline: &Outline) -> (Side, Side) {
    let (sources, sinks) = (ids(outline, Role::Source), ids(outline, Role::Sink));
    match plan.size {
        Width::Phone => (Vec::new(), Vec::new()),
        Width::Mid => (sources.into_iter().chain(sinks).collect(), Vec::new()),
        Width::Wide => (sources, sinks),
    }
}

impl Frame {
    /// Adds the clients once the rest is known to end at `bottom`, and sets the plan's height.
    pub(super) fn close(&self, plan: &mut Plan, outline: &Outline, bottom: f64) {
        plan.height = bottom + 8.0;
        if plan.size == Width::Phone {
            let sinks = ids(outline, Role::Sink);
            let low = plan.lay_pairs(&sinks, 20.0, bottom + 14.0, plan.width - 24.0);
            plan.height = low + 8.0;
            return;
        }
        let (left, right) = sides(plan, outline);
        let column = |x: f64| Rect::new(x, self.head_y, SIDE, bottom - self.head_y);
        plan.lay_column(&left, column(0.0));
        plan.lay_column(&right, column(plan.width - SIDE));
        let lowest = plan
            .places
            .iter()
            .map(|p| p.rect.bottom())
            .fold(bottom, f64::max);
        plan.height = lowest + 8.0;
    }
}

/// Heads of the columns; stores for which there is no room are gathered in the last.
fn columns(plan: &mut Plan, outline: &Outline, area: Rect) {
    let stores: Vec<u32> = outline.of(Role::Store).map(|n| n.id).collect();
    let fit = ((area.w / COLUMN_MIN).floor() as usize).max(1);
    let shown = stores.len().min(fit);
    if shown == 0 {
        return;
    }
    let w = (area.w / shown as f64).min(400.0);
    for i in 0..shown {
        let last = i + 1 == shown && stores.len() > shown;
        plan.places.push(Place {
            node: stores[i],
            role: Role::Store,
            kind: if last { Kind::More } else { Kind::Head },
            rect: Rect::new(area.x + i as f64 * w, area.y, w, area.h),
            gathers: if last {
                stores[i..].to_vec()
            } else {
                Vec::new()
            },
        });
    }
}
