//! Many lanes: a matrix with one column per store and one row per lane.
//!
//! Paths do not cross the matrix. Clients reach the heads of the columns by lines around it, as on
//! a map of underground trains; stores talk to each other by arcs above their heads.

use super::geom::{Face, Rect, text_width};
use super::{Outline, Plan, Row, Width, heads};
use crate::lengths::within;

/// Least height of a row: a finger or pointer must hit it.
const ROW_MIN: f64 = 24.0;

/// Lays out the matrix.
pub(super) fn lay(plan: &mut Plan, outline: &Outline, rows: &[Vec<usize>], height: f64) {
    let phone = plan.size == Width::Phone;
    // On the narrowest stages the rows are known by number alone.
    let label_w = match plan.width {
        w if w < 360.0 => 36.0,
        _ if phone => 58.0,
        _ => label_width(outline, rows),
    };
    let frame = heads::lay(plan, outline, label_w);
    let below = if phone { 0.0 } else { 8.0 };
    let room = height - frame.top - below;
    let row_h = within(room / rows.len().max(1) as f64, ROW_MIN, 44.0);
    for (i, lanes) in rows.iter().enumerate() {
        let y = frame.top + i as f64 * row_h;
        plan.rows.push(Row {
            lanes: lanes.clone(),
            label: Rect::new(frame.x, y, label_w - 4.0, row_h),
            y,
            h: row_h,
        });
    }
    frame.close(plan, outline, frame.top + rows.len() as f64 * row_h);
}

/// Room for the longest name of a row, within reason, and its count.
fn label_width(outline: &Outline, rows: &[Vec<usize>]) -> f64 {
    let longest = rows
        .iter()
        .filter_map(|row| {
            let name = outline.lanes.get(*row.last()?)?;
            let extra = if row.len() > 1 { "…000" } else { "" };
            Some(text_width(&format!("{name}{extra}"), Face::Mono, 12.5))
        })
        .fold(0.0, f64::max);
    within(longest + 66.0, 96.0, 210.0)
}
