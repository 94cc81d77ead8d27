//! One watermark out of several: of a source's splits, or of an operator's inputs.
//!
//! Follows `CombinedWatermarkStatus`, `WatermarkOutputMultiplexer` and
//! `IndexedCombinedWatermarkStatus`: the least over all that are not idle, never less than before.
//! An immediate output moves the combined watermark at once, a deferred one at the next tick. When
//! all are idle, what the furthest was sure of is let through.

use super::NO_WATERMARK;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Part {
    watermark: i64,
    idle: bool,
}

/// What combining came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Combined {
    /// The new watermark, if it has grown, ms.
    pub watermark: Option<i64>,
    /// All parts are idle.
    pub idle: bool,
}

/// The combined watermark; `K` names the parts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CombinedWatermark<K: Ord> {
    parts: BTreeMap<K, Part>,
    watermark: i64,
}

impl<K: Ord> Default for CombinedWatermark<K> {
    fn default() -> Self {
        CombinedWatermark {
            parts: BTreeMap::new(),
            watermark: NO_WATERMARK,
        }
    }
}

impl<K: Ord> CombinedWatermark<K> {
    /// A new part, active and without a watermark. One that is known already stays as it is.
    pub fn register(&mut self, part: K) {
        self.parts.entry(part).or_insert(Part {
            watermark: NO_WATERMARK,
            idle: false,
        });
    }

    /// A part is gone. That alone moves nothing; the next update does.
    pub fn unregister(&mut self, part: &K) -> bool {
        self.parts.remove(part).is_some()
    }

    /// The combined watermark, ms.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// A part's watermark, put in place without combining; the part is active then.
    pub fn set(&mut self, part: &K, watermark: i64) {
        if let Some(it) = self.parts.get_mut(part) {
            it.idle = false;
            it.watermark = it.watermark.max(watermark);
        }
    }

    /// Marks a part idle or active, without combining.
    pub fn set_idle(&mut self, part: &K, idle: bool) {
        if let Some(it) = self.parts.get_mut(part) {
            it.idle = idle;
        }
    }

    /// Combines what the parts have said.
    pub fn update(&mut self) -> Combined {
        if self.parts.is_empty() {
            return Combined::default();
        }
        let active = self.parts.values().filter(|it| !it.idle);
        let least = active.map(|it| it.watermark).min();
        let reached = least.or_else(|| self.parts.values().map(|it| it.watermark).max());
        let grown = reached.filter(|it| *it > self.watermark);
        self.watermark = grown.unwrap_or(self.watermark);
        Combined {
            watermark: grown,
            idle: least.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps on parts "a" and "b": a watermark, or idle; and what is combined after each.
    fn check(steps: &[(&str, Option<i64>)], expected: &[(Option<i64>, bool)]) {
        let mut it = CombinedWatermark::default();
        it.register("a");
        it.register("b");
        let mut got = Vec::new();
        for (part, watermark) in steps {
            match watermark {
                Some(watermark) => it.set(part, *watermark),
                None => it.set_idle(part, true),
            }
            let combined = it.update();
            got.push((combined.watermark, combined.idle));
        }
        assert_eq!(got, expected, "{steps:?}");
    }

    #[test]
    fn the_least_counts_and_idle_ones_do_not() {
        check(
            &[
                ("a", Some(2)),
                ("b", Some(5)),
                ("a", None),
                ("a", Some(3)),
                ("b", Some(9)),
            ],
            &[
                (None, false),
                (Some(2), false),
                (Some(5), false),
                (None, false),
                (None, false),
            ],
        );
        check(
            &[("a", Some(2)), ("a", None), ("b", Some(5)), ("b", None)],
            &[(None, false), (None, false), (Some(5), false), (None, true)],
        );
        check(
            &[("a", Some(9)), ("b", Some(5)), ("b", None), ("a", None)],
            &[
                (None, false),
                (Some(5), false),
                (Some(9), false),
                (None, true),
            ],
        );
    }

    #[test]
    fn nothing_is_put_out_without_parts_and_a_part_that_leaves_moves_nothing() {
        let mut it: CombinedWatermark<&str> = CombinedWatermark::default();
        assert_eq!(it.update(), Combined::default());
        it.register("a");
        it.register("b");
        it.set(&"a", 1);
        it.set(&"b", 7);
        assert_eq!(it.update().watermark, Some(1));
        assert!(it.unregister(&"a") && !it.unregister(&"a"));
        assert_eq!(it.watermark(), 1);
        assert_eq!(it.update().watermark, Some(7));
    }
}
