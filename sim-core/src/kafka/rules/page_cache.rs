//! What of its logs a broker's operating system holds in memory.
//!
//! Kafka has no cache of its own: it writes to and reads from the page cache, and the operating
//! system lets go of what was not used for longest (Kafka's documentation, "Don't fear the
//! filesystem!"). Linux keeps two lists and works by pages; here it is one list of whole batches,
//! which is enough for what a replay does: what it reads pushes out what others are about to read.
//! Left out: read-ahead, and that dirty pages must be written before they go.

use crate::kafka::ids::TopicPartition;
use serde::Serialize;
use std::collections::BTreeMap;

/// A batch: its partition and its base offset.
type Key = (TopicPartition, i64);

/// A cache of so many bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PageCache {
    /// Bytes and last use of each batch.
    held: BTreeMap<Key, (u32, u64)>,
    /// By last use.
    order: BTreeMap<u64, Key>,
    bytes: u64,
    uses: u64,
}

impl PageCache {
    /// Bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Uses a batch; returns whether it was there. If not, it is from now on, and what was not used
    /// for longest goes until all of it fits in `capacity` bytes.
    pub fn touch(&mut self, tp: TopicPartition, offset: i64, bytes: u32, capacity: u64) -> bool {
        self.uses += 1;
        let key = (tp, offset);
        let known = self.held.insert(key, (bytes, self.uses));
        if let Some((before, used)) = known {
            self.order.remove(&used);
            self.bytes -= u64::from(before);
        }
        self.order.insert(self.uses, key);
        self.bytes += u64::from(bytes);
        while self.bytes > capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            if let Some((gone, _)) = self.held.remove(&oldest) {
                self.bytes -= u64::from(gone);
            }
        }
        known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let mut cache = PageCache::default();
        let mut check = |offset, bytes, hit, held| {
            let found = cache.touch(TopicPartition::default(), offset, bytes, 100);
            assert_eq!((found, cache.bytes()), (hit, held), "{offset}");
        };
        check(0, 40, false, 40);
        check(1, 40, false, 80);
        check(0, 40, true, 80);
        // No room for three: 1 was not used for longest.
        check(2, 40, false, 80);
        check(0, 40, true, 80);
        check(1, 40, false, 80);
        check(2, 40, false, 80);
        // Compaction made it smaller.
        check(2, 10, true, 50);
        // Larger than all of the cache: nothing stays.
        check(9, 101, false, 0);
        check(2, 10, false, 10);
    }
}
