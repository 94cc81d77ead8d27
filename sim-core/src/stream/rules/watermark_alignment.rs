//! Holding fast sources back until slow ones have caught up.
//!
//! Follows `SourceCoordinator` with its `WatermarkAggregator` (FLIP-182): every reader reports its
//! watermark; the group may run as far as the least of them and the allowed drift. An idle reader
//! reports the final watermark and so holds nobody.

use super::FINAL_WATERMARK;
use serde::Serialize;
use std::collections::BTreeMap;

/// One group of sources (`withWatermarkAlignment`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AlignmentGroup<K: Ord> {
    max_drift_ms: i64,
    reported: BTreeMap<K, i64>,
}

impl<K: Ord> AlignmentGroup<K> {
    /// A group whose members may run `max_drift_ms` ahead of the slowest.
    #[must_use]
    pub fn new(max_drift_ms: i64) -> Self {
        AlignmentGroup {
            max_drift_ms,
            reported: BTreeMap::new(),
        }
    }

    /// A reader reports its watermark.
    pub fn report(&mut self, reader: K, watermark: i64) {
        self.reported.insert(reader, watermark);
    }

    /// A reader is gone.
    pub fn remove(&mut self, reader: &K) {
        self.reported.remove(reader);
    }

    /// Those that have reported.
    pub fn readers(&self) -> impl Iterator<Item = &K> {
        self.reported.keys()
    }

    /// The watermark beyond which readers pause, ms; the final one while nobody holds.
    #[must_use]
    pub fn max_allowed(&self) -> i64 {
        let least = self.reported.values().min().copied();
        least.map_or(FINAL_WATERMARK, |it| it.saturating_add(self.max_drift_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_reader_that_is_not_idle_holds_the_others() {
        let mut group = AlignmentGroup::new(1_000);
        assert_eq!(group.max_allowed(), FINAL_WATERMARK);
        for (reader, watermark, expected) in [
            (0, 42, 1_042),
            (1, 44, 1_042),
            (0, FINAL_WATERMARK, 1_044),
            (1, FINAL_WATERMARK, FINAL_WATERMARK),
            (0, 7, 1_007),
        ] {
            group.report(reader, watermark);
            assert_eq!(group.max_allowed(), expected, "{reader} {watermark}");
        }
        group.remove(&0);
        assert_eq!(group.readers().count(), 1);
        assert_eq!(group.max_allowed(), FINAL_WATERMARK);
    }
}
