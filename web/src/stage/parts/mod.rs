//! The still parts of the stage: from scene and plan to the elements that stand in the page.
//!
//! All but the two lists of words ([`StageMirror`], [`TokensList`]) are plain trees of elements
//! (see [`crate::tree`]), so that they are there before the application is.

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

pub(super) use bar::zoom_bar;
pub(super) use legend::legend;
pub use list::TokensList;
pub use mirror::StageMirror;
pub(super) use plane::{Picks, Tip, plane, tip, under_way};

use super::plan::geom::Rect;
use crate::lengths::px;
use crate::tree::El;
use sim_core::view::Tone;

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

impl El {
    /// Puts an element of the plane at its box.
    fn at(self, rect: Rect) -> Self {
        let Rect { x, y, w, h } = rect;
        self.style(format!(
            "left:{};top:{};width:{};height:{}",
            px(x),
            px(y),
            px(w),
            px(h)
        ))
    }
}
