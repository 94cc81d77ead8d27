//! What the readers of joins share: two inputs with their watermarks, and what a step puts out.

use crate::case::Checked;
use crate::values::{int, written};
use serde_json::{Value, json};
use sim_core::stream::rules::join::Side;
use sim_core::stream::rules::watermark_combine::CombinedWatermark;

/// The watermarks of both inputs, combined as the engine does.
pub(super) struct Inputs {
    both: CombinedWatermark<Side>,
}

impl Default for Inputs {
    fn default() -> Self {
        let mut both = CombinedWatermark::default();
        both.register(Side::Left);
        both.register(Side::Right);
        Inputs { both }
    }
}

impl Inputs {
    /// A watermark: any integer, the final one included.
    pub(super) fn time(value: &Value) -> Checked<i64> {
        int(value)
    }

    /// An input's watermark, or that of both. Gives the operator's if it has risen.
    pub(super) fn watermark(&mut self, side: Option<Side>, watermark: i64) -> Option<i64> {
        for input in [Side::Left, Side::Right] {
            if side.is_none_or(|it| it == input) {
                self.both.set(&input, watermark);
            }
        }
        self.both.update().watermark
    }

    /// The operator's watermark, if there is one.
    pub(super) fn combined(&self) -> Option<i64> {
        Some(self.both.watermark()).filter(|it| *it != i64::MIN)
    }

    /// The same, as cases write it.
    pub(super) fn written(&self) -> Value {
        json!(self.combined().map(written))
    }
}

/// Whether an entry of a step says by this word what the step puts out.
pub(super) fn emission(key: &str) -> bool {
    matches!(key, "emit" | "out" | "pairs" | "output" | "pairs_in_order")
}

/// What a step puts out, as its entry lists it.
pub(super) fn listed(entry: &Value) -> Option<&Value> {
    let members = entry.as_object()?;
    let found = members.iter().find(|(key, _)| emission(key));
    found.map(|(_, value)| value)
}

/// A list without its order; anything else as it is.
pub(super) fn sorted(value: &Value) -> Value {
    let Some(all) = value.as_array() else {
        return value.clone();
    };
    let mut all: Vec<&Value> = all.iter().collect();
    all.sort_by_cached_key(|it| it.to_string());
    json!(all)
}
