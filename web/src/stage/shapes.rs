//! The outlines of message kinds, once for canvas, legend and lists.
//!
//! Each kind has its own outline, so that nothing depends on colour. Path data around (0, 0), at
//! most 10 px to each side.

use sim_core::view::Shape;

/// All kinds in the order of the legend.
pub(crate) const ALL: [Shape; 7] = [
    Shape::Batch,
    Shape::Ack,
    Shape::Fetch,
    Shape::Heartbeat,
    Shape::Vote,
    Shape::Control,
    Shape::Other,
];

/// SVG path data of a kind.
pub(crate) fn outline(shape: Shape) -> &'static str {
    match shape {
        Shape::Batch => {
            "M-7 -7h14a3 3 0 0 1 3 3v8a3 3 0 0 1 -3 3h-14a3 3 0 0 1 -3 -3v-8a3 3 0 0 1 3 -3z"
        }
        Shape::Ack => "M-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0z",
        Shape::Fetch => "M-6 -6.5L7.5 0L-6 6.5z",
        Shape::Heartbeat => "M0 -8.5L4.5 0L0 8.5L-4.5 0z",
        Shape::Vote => "M-7.5 0L-3.75 -6.5H3.75L7.5 0L3.75 6.5H-3.75z",
        Shape::Control => "M0 -7.5L7.5 0L0 7.5L-7.5 0zM-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z",
        Shape::Other => "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    }
}

/// What stands behind the outline of a batch of several records.
pub(crate) const STACK: &str = "M-5 -8v-1.5h12.5a5 5 0 0 1 5 5v7.5h-1.8";
