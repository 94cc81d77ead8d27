//! Records that a log's cleaner took: which of them something newer stands for.

use super::{COMPACTED, Counts, Lane, LaneBook, Ledger, Sources, TOMBSTONE, Truth};
use crate::kernel::NodeId;
use crate::log::RecordId;
use std::collections::{BTreeMap, BinaryHeap};

/// Whether compaction may have taken what stood at an offset: nothing stands there now.
pub(super) fn is_hole(node: NodeId, lane: Lane, at: i64, truth: &impl Truth) -> bool {
    at < truth.holes_below(node, lane) && truth.record_at(node, lane, at).is_none()
}

impl Ledger {
    /// The cleaner of a log took a record.
    pub(super) fn compacted(&mut self, node: NodeId, record: RecordId, lane: Lane, offset: i64) {
        if !self.leads(node, lane) {
            return;
        }
        self.groups.compacted(lane, offset);
        if let Some(entry) = self.sources.get_mut(record)
            && entry.offset == offset
        {
            entry.set(COMPACTED, true, &mut self.counts);
        }
    }

    /// Whether the newest leader has nothing at an offset any more.
    pub(super) fn is_compacted(&self, lane: Lane, offset: i64, truth: &impl Truth) -> bool {
        let leader = self.lanes.get(lane).and_then(|book| book.leader);
        leader.is_some_and(|(_, node)| is_hole(node, lane, offset, truth))
    }
}

impl Sources {
    /// Of the records that stood where a log may have holes, those that are there no more: they were
    /// compacted if there is a hole, and a later record of their key stood behind them or they were
    /// tombstones. Any other is not accounted for.
    pub(super) fn tell_compacted(
        &mut self,
        book: &LaneBook,
        mut stood: Vec<(RecordId, i64)>,
        is_hole: impl Fn(i64) -> bool,
        counts: &mut Counts,
    ) {
        if stood.is_empty() {
            return;
        }
        stood.retain(|(id, offset)| {
            let entry = self.get_mut(*id);
            entry.is_some_and(|entry| {
                let gone = entry.offset < 0 && is_hole(*offset);
                entry.set(COMPACTED, gone && entry.is(COMPACTED), counts);
                gone
            })
        });
        let mut newest: BTreeMap<Option<u32>, i64> = BTreeMap::new();
        for entry in book.sent.iter().filter_map(|id| self.get(*id)) {
            let last = newest.entry(entry.key).or_insert(entry.offset);
            *last = entry.offset.max(*last);
        }
        // From the newest on: what is not accounted for stands for nothing either.
        let stood = stood.into_iter().map(|(id, offset)| (offset, id));
        let mut stood: BinaryHeap<(i64, RecordId)> = stood.collect();
        while let Some((offset, id)) = stood.pop() {
            let Some(entry) = self.get_mut(id) else {
                continue;
            };
            let replaced = newest.get(&entry.key).is_some_and(|last| *last > offset);
            let accounted = entry.key.is_some() && (replaced || entry.is(TOMBSTONE));
            entry.set(COMPACTED, accounted, counts);
            if accounted {
                entry.offset = offset;
                let last = newest.entry(entry.key).or_insert(offset);
                *last = offset.max(*last);
            }
        }
    }
}
