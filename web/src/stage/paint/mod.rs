//! What moves: tokens on one canvas over the still parts of the stage.

mod painter;
mod place;
mod theme;

pub(super) use painter::Painter;
pub(super) use theme::{PROBES, Theme};
