//! The merging of windows into sessions.
//!
//! Follows `TimeWindow.mergeWindows` and `MergingWindowSet` of Flink, and Beam's
//! `MergeOverlappingIntervalWindows`: Flink merges windows that touch, Beam only those that overlap.

use crate::stream::rules::assigner::Window;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which windows become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Merging {
    /// Those that overlap, and those that end where the next one begins: Flink.
    Touching,
    /// Only those that overlap: Beam.
    Overlapping,
}

impl Merging {
    fn joins(self, one: &Window, other: &Window) -> bool {
        match self {
            Merging::Touching => one.intersects(other),
            Merging::Overlapping => one.start < other.end && one.end > other.start,
        }
    }

    /// The windows that these become, by start, each with those that it covers.
    #[must_use]
    pub fn merge(self, windows: &[Window]) -> Vec<(Window, Vec<Window>)> {
        let mut sorted = windows.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut merged: Vec<(Window, Vec<Window>)> = Vec::new();
        for window in sorted {
            match merged.last_mut() {
                Some((cover, parts)) if self.joins(cover, &window) => {
                    *cover = cover.cover(&window);
                    parts.push(window);
                }
                _ => merged.push((window, vec![window])),
            }
        }
        merged
    }
}

/// What happened when a window came into a [`MergingWindowSet`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    /// The window that covers all.
    pub result: Window,
    /// The windows that are no more.
    pub merged: Vec<Window>,
    /// Under which window the contents of the result are kept.
    pub state: Window,
    /// Under which windows contents are kept that must move there.
    pub moved: Vec<Window>,
}

/// The windows of a key that are alive, each with the window under which its contents are kept:
/// `MergingWindowSet`. So the contents of a session that grows stay where they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct MergingWindowSet {
    state_of: BTreeMap<Window, Window>,
}

impl MergingWindowSet {
    /// Takes in a window; the window that it is part of now, and what merged, if anything did.
    pub fn add(&mut self, new: Window) -> (Window, Option<Merge>) {
        let near = |it: &&Window| Merging::Touching.joins(it, &new);
        let merged: Vec<Window> = self.state_of.keys().filter(near).copied().collect();
        let Some(first) = merged.first() else {
            self.state_of.insert(new, new);
            return (new, None);
        };
        let result = merged.iter().fold(new, |cover, it| cover.cover(it));
        let state = self.state_of.get(first).copied().unwrap_or(*first);
        let removed = merged.iter().filter_map(|it| self.state_of.remove(it));
        let moved = removed.filter(|it| *it != state).collect();
        self.state_of.insert(result, state);
        // A window that merely lies within one that is there changes nothing.
        let merge = (merged != [result]).then_some(Merge {
            result,
            merged,
            state,
            moved,
        });
        (result, merge)
    }

    /// Under which window the contents of this one are kept, if it is alive.
    #[must_use]
    pub fn state_of(&self, window: &Window) -> Option<Window> {
        self.state_of.get(window).copied()
    }

    /// The window whose contents are kept under this one.
    #[must_use]
    pub fn window_of(&self, state: &Window) -> Option<Window> {
        let found = self.state_of.iter().find(|(_, kept)| *kept == state);
        found.map(|(window, _)| *window)
    }

    /// Forgets a window.
    pub fn retire(&mut self, window: &Window) {
        self.state_of.remove(window);
    }

    /// The windows that are alive, by start.
    pub fn windows(&self) -> impl Iterator<Item = &Window> {
        self.state_of.keys()
    }

    /// Whether none is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state_of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window((start, end): (i64, i64)) -> Window {
        Window { start, end }
    }

    #[test]
    fn flink_merges_what_touches_and_beam_only_what_overlaps() {
        let windows: Vec<Window> = [(0, 10), (10, 20), (15, 30), (31, 40)].map(window).to_vec();
        let covers = |merging: Merging| -> Vec<Window> {
            merging.merge(&windows).iter().map(|it| it.0).collect()
        };
        assert_eq!(covers(Merging::Touching), [(0, 30), (31, 40)].map(window));
        let beam = [(0, 10), (10, 30), (31, 40)].map(window);
        assert_eq!(covers(Merging::Overlapping), beam);
    }

    #[test]
    fn a_window_that_joins_two_keeps_the_contents_of_one_and_moves_the_others() {
        let mut set = MergingWindowSet::default();
        assert_eq!(set.add(window((0, 4))), (window((0, 4)), None));
        assert_eq!(set.add(window((5, 8))), (window((5, 8)), None));
        assert_eq!(set.add(window((6, 7))), (window((5, 8)), None));
        let merge = Merge {
            result: window((0, 8)),
            merged: vec![window((0, 4)), window((5, 8))],
            state: window((0, 4)),
            moved: vec![window((5, 8))],
        };
        assert_eq!(set.add(window((4, 5))), (window((0, 8)), Some(merge)));
        assert_eq!(set.state_of(&window((0, 8))), Some(window((0, 4))));
        assert_eq!(set.state_of(&window((5, 8))), None);
        set.retire(&window((0, 8)));
        assert!(set.is_empty());
    }

    proptest! {
        #[test]
        fn one_by_one_in_any_order_is_as_all_at_once(
            starts in prop::collection::vec((0_i64..200, 1_i64..12), 1..40),
        ) {
            let windows: Vec<Window> =
                starts.iter().map(|(start, gap)| window((*start, start + gap))).collect();
            let mut set = MergingWindowSet::default();
            for it in &windows {
                set.add(*it);
            }
            let offline = Merging::Touching.merge(&windows);
            prop_assert!(set.windows().eq(offline.iter().map(|(cover, _)| cover)));
        }
    }
}
