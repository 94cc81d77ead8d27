//! The still parts of the stage as DOM and SVG.

// The component macro makes the structs of properties public.
#![allow(unreachable_pub)]

mod bar;
mod legend;
mod lines;
mod list;
mod matrix;
mod mirror;
mod node;
mod plane;
mod slow;
mod strip;

pub(super) use bar::ZoomBar;
pub(super) use legend::Legend;
pub use list::TokensList;
pub use mirror::StageMirror;
pub(super) use plane::{Layout, PainterCell, Plane, Shared};

use super::plan::geom::Rect;
use sim_core::view::Tone;

/// A length for a style.
fn px(value: f64) -> String {
    format!("{value:.1}px")
}

/// The class of a tone.
fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "st-tone-plain",
        Tone::Sea => "st-tone-sea",
        Tone::Sand => "st-tone-sand",
        Tone::Harm => "st-tone-harm",
        Tone::Proven => "st-tone-proven",
        Tone::Faded => "st-tone-faded",
    }
}

/// Puts an element of the plane at its box.
macro_rules! at {
    ($rect:expr, $pick:ident) => {
        move || crate::stage::parts::px($rect.get().$pick)
    };
}
pub(crate) use at;

/// A box that is drawn nowhere.
const NOWHERE: Rect = Rect {
    x: 0.0,
    y: 0.0,
    w: 0.0,
    h: 0.0,
};
