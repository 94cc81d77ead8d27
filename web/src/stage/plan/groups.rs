//! A few lanes: each as a group of strips on an axis of its own, the stores as heads above.
//!
//! Between one lane in full and the matrix: every record can still be seen, and each group has its
//! strandline. Paths run as in the matrix, around the strips to the heads.

use super::geom::Rect;
use super::{Group, Outline, Plan, Row, StripPlace, TIDE, Width, heads};
use crate::lengths::within;

/// Measures of a group.
struct Measures {
    /// Height of the line with the lane's name and the strandline's tag.
    head: f64,
    /// From one strip to the next, and the height of a strip.
    pitch: f64,
    strip: f64,
    /// Room for a store's name before its strip.
    name: f64,
    /// Width of the lane's button.
    label: f64,
}

/// Lays out the groups.
pub(super) fn lay(plan: &mut Plan, outline: &Outline, lanes: &[usize], height: f64) {
    let phone = plan.size == Width::Phone;
    let frame = heads::lay(plan, outline, 0.0);
    let top = frame.top + 4.0;
    let holders = |lane: usize| {
        outline
            .nodes
            .iter()
            .filter(move |n| n.holds.contains(&lane))
    };
    let count: usize = lanes.iter().map(|&lane| holders(lane).count()).sum();
    let m = measures(phone, height - top, lanes.len(), count);
    let cell = if phone { 24.0 } else { 26.0 };
    let width = frame.right - frame.x - m.name - 6.0;
    plan.pitch = cell;
    plan.strip_x = frame.x + m.name;
    plan.slots = ((width - TIDE) / cell).floor().max(4.0) as usize;
    let mut y = top;
    for &lane in lanes {
        let first = plan.strips.len();
        let begin = y;
        y += m.head;
        for node in holders(lane) {
            let w = plan.slots as f64 * cell + TIDE;
            plan.strips.push(StripPlace {
                node: node.id,
                lane,
                rect: Rect::new(plan.strip_x, y, w, m.strip),
                name: Some(Rect::new(frame.x + 4.0, y, m.name - 8.0, m.strip)),
            });
            y += m.pitch;
        }
        let label = Rect::new(frame.x, begin + 4.0, m.label, 24.0);
        plan.groups.push(Group {
            lane,
            strips: first..plan.strips.len(),
            tag_y: begin + 5.0,
            tag_from: label.right() + 6.0,
            tag_to: frame.right,
            ruler_y: None,
        });
        plan.rows.push(Row {
            lanes: vec![lane],
            label,
            y: begin,
            h: y - begin + 6.0,
        });
        y += 14.0;
    }
    frame.close(plan, outline, y - 6.0);
}

/// Strips grow a little where there is room.
fn measures(phone: bool, room: f64, lanes: usize, strips: usize) -> Measures {
    let (head, gap) = (if phone { 40.0 } else { 38.0 }, 14.0);
    let spare = room - lanes as f64 * (head + gap);
    let pitch = within(spare / strips.max(1) as f64, 27.0, 38.0).floor();
    Measures {
        head,
        pitch: if phone { 29.0 } else { pitch },
        strip: if phone { 25.0 } else { pitch - 5.0 },
        name: if phone { 38.0 } else { 64.0 },
        label: if phone { 96.0 } else { 150.0 },
    }
}
