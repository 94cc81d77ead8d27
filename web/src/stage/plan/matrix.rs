//! Many lanes: a matrix with one column per store and one row per lane.
//!
//! Paths do not cross the matrix. Clients reach the heads of the columns by lines around it, as on
//! a map of underground trains; stores talk to each other by arcs above their heads.

use sim_core::view::Role;

use super::geom::{Face, Rect, text_width};
use super::{Kind, Outline, Place, Plan, Row, Width, ids};

/// Least width of a column: a finger or pointer must hit its cells.
const COLUMN_MIN: f64 = 24.0;
/// Least height of a row, for the same reason.
const ROW_MIN: f64 = 24.0;

/// Lays out the matrix.
pub(super) fn lay(plan: &mut Plan, outline: &Outline, rows: &[Vec<usize>], height: f64) {
    let phone = plan.size == Width::Phone;
    let (sources, sinks) = (ids(outline, Role::Source), ids(outline, Role::Sink));
    let (left, right) = match plan.size {
        Width::Phone => (Vec::new(), Vec::new()),
        Width::Mid => (sources.iter().chain(&sinks).copied().collect(), Vec::new()),
        Width::Wide => (sources.clone(), sinks.clone()),
    };
    let (side, gutter) = (152.0, 30.0);
    let room = |n: usize| if n == 0 { 0.0 } else { side + gutter };
    let x = room(left.len()) + if phone { 16.0 } else { 4.0 };
    let end = plan.width - room(right.len()) - 4.0;
    let mut y = plan.lay_control(outline, if phone { 4.0 } else { x });
    if phone {
        y = plan.lay_pairs(&sources, 20.0, y, plan.width - 24.0);
    }
    let (band, head_h) = if phone { (40.0, 30.0) } else { (56.0, 40.0) };
    let head_y = y + band;
    plan.gutters.band_y = head_y - 12.0;
    plan.gutters.bus_x = if phone { 9.0 } else { side + gutter / 2.0 };
    plan.gutters.bus_right_x = if right.is_empty() {
        end
    } else {
        end + gutter / 2.0 + 4.0
    };
    plan.gutters.rail_x = x;
    // On the narrowest stages the rows are known by number alone.
    let label_w = match plan.width {
        w if w < 360.0 => 36.0,
        _ if phone => 58.0,
        _ => label_width(outline, rows),
    };
    lay_heads(
        plan,
        outline,
        Rect::new(x + label_w, head_y, end - x - label_w, head_h),
    );
    let top = head_y + head_h + 4.0;
    let below = if phone { 0.0 } else { 8.0 };
    let row_h = ((height - top - below) / rows.len().max(1) as f64).clamp(ROW_MIN, 44.0);
    for (i, lanes) in rows.iter().enumerate() {
        let row_y = top + i as f64 * row_h;
        plan.rows.push(Row {
            lanes: lanes.clone(),
            label: Rect::new(x, row_y, label_w - 4.0, row_h),
            y: row_y,
            h: row_h,
        });
    }
    let bottom = top + rows.len() as f64 * row_h;
    plan.height = bottom + 8.0;
    if phone {
        let low = plan.lay_pairs(&sinks, 20.0, bottom + 14.0, plan.width - 24.0);
        plan.height = low + 8.0;
        return;
    }
    // Clients stand beside the matrix, but never taller than what they are beside.
    let column = |x: f64| Rect::new(x, head_y, side, bottom - head_y);
    plan.lay_column(&left, column(0.0));
    plan.lay_column(&right, column(plan.width - side));
    plan.height = plan
        .places
        .iter()
        .map(|p| p.rect.bottom())
        .fold(bottom, f64::max)
        + 8.0;
}

/// Room for the longest name of a row, within reason, and its count.
fn label_width(outline: &Outline, rows: &[Vec<usize>]) -> f64 {
    let last = |row: &Vec<usize>| row.last().and_then(|&i| outline.lanes.get(i));
    let longest = rows
        .iter()
        .filter_map(|row| {
            let extra = if row.len() > 1 { "…000" } else { "" };
            last(row).map(|name| text_width(&format!("{name}{extra}"), Face::Mono, 12.5))
        })
        .fold(0.0, f64::max);
    (longest + 66.0).clamp(96.0, 210.0)
}

/// Heads of the columns; stores for which there is no room are gathered in the last.
fn lay_heads(plan: &mut Plan, outline: &Outline, area: Rect) {
    let stores: Vec<u32> = outline.of(Role::Store).map(|n| n.id).collect();
    let fit = ((area.w / COLUMN_MIN).floor() as usize).max(1);
    let shown = stores.len().min(fit);
    if shown == 0 {
        return;
    }
    let w = (area.w / shown as f64).min(150.0);
    for i in 0..shown {
        let last = i + 1 == shown && stores.len() > shown;
        plan.places.push(Place {
            node: stores[i],
            role: Role::Store,
            kind: if last { Kind::More } else { Kind::Head },
            rect: Rect::new(area.x + i as f64 * w, area.y, w, area.h),
            strip: None,
            gathers: if last {
                stores[i..].to_vec()
            } else {
                Vec::new()
            },
        });
    }
}
