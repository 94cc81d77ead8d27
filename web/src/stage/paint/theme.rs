//! The colours of the canvas, read from the style sheet once per change of theme.
//!
//! Colours stand in the style sheet as `light-dark()` in custom properties, which a script reads
//! back unresolved. So each is set as the `color` of a probe element, whose computed value is.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// Names of the probes, in order: class `stage-probe-<name>`.
pub(crate) const PROBES: [&str; 13] = [
    "ink", "panel", "ground", "sea", "sand", "harm", "key-ink", "key-0", "key-1", "key-2", "key-3",
    "key-4", "key-5",
];

/// Colours as CSS strings.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Theme {
    pub(crate) ink: String,
    pub(crate) panel: String,
    pub(crate) ground: String,
    pub(crate) sea: String,
    pub(crate) sand: String,
    pub(crate) harm: String,
    pub(crate) key_ink: String,
    pub(crate) keys: [String; 6],
}

impl Theme {
    /// Reads the colours off the probes inside an element.
    pub(crate) fn read(within: &Element) -> Option<Self> {
        let window = web_sys::window()?;
        let read = |name: &str| -> Option<String> {
            let probe = within
                .query_selector(&format!(".stage-probe-{name}"))
                .ok()??;
            let probe: HtmlElement = probe.dyn_into().ok()?;
            window
                .get_computed_style(&probe)
                .ok()??
                .get_property_value("color")
                .ok()
        };
        Some(Self {
            ink: read("ink")?,
            panel: read("panel")?,
            ground: read("ground")?,
            sea: read("sea")?,
            sand: read("sand")?,
            harm: read("harm")?,
            key_ink: read("key-ink")?,
            keys: [
                read("key-0")?,
                read("key-1")?,
                read("key-2")?,
                read("key-3")?,
                read("key-4")?,
                read("key-5")?,
            ],
        })
    }
}
