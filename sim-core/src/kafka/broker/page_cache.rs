//! Reads that memory answers, and reads that the disk must answer.
//!
//! With `os.page.cache.bytes` a broker's operating system holds only so much of its logs, as
//! [`PageCache`] has it. What is appended is in it; a fetch that needs what is in it no more waits
//! for the disk, whose bandwidth it shares with writes and with all other reads, and the answer
//! leaves when the disk is done. Page caches outlive the process, not the machine. Left out: that a
//! read from the disk blocks a network thread, and so other clients (KAFKA-7504).

use super::Broker;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::FetchedPartition;
use crate::kafka::rules::page_cache::PageCache;
use crate::kernel::{MILLISECOND, Nanos, NodeId};
use crate::log::Batch;
use serde::Serialize;
use std::collections::BTreeMap;

/// The cache, if it has a bound, and what the disk had to read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Pages {
    cache: PageCache,
    /// Bytes read from the disk for each node so far.
    read: BTreeMap<NodeId, u64>,
}

impl Broker {
    /// A batch was appended: it is in memory.
    #[inline]
    pub(super) fn cache_appended(&mut self, tp: TopicPartition, offset: i64, bytes: u32) {
        if self.config.page_cache_bytes > 0 {
            (self.parts().pages.appended)(self, tp, offset, bytes);
        }
    }

    pub(super) fn cache(&mut self, tp: TopicPartition, offset: i64, bytes: u32) {
        let capacity = self.config.page_cache_bytes;
        let pages = self.pages.get_or_insert_default();
        pages.cache.touch(tp, offset, bytes, capacity);
    }

    /// Reads what a fetch found; returns when that is in memory, ns.
    #[inline]
    pub(super) fn read_pages(
        &mut self,
        reader: NodeId,
        found: &[FetchedPartition],
        cx: &mut KafkaCx<'_>,
    ) -> Nanos {
        match self.config.page_cache_bytes {
            0 => cx.now(),
            _ => (self.parts().pages.fetched)(self, reader, found, cx),
        }
    }

    pub(super) fn read_fetched(
        &mut self,
        reader: NodeId,
        found: &[FetchedPartition],
        cx: &mut KafkaCx<'_>,
    ) -> Nanos {
        let mut done = cx.now();
        for it in found {
            let batches = it.batches.iter().map(|batch| &**batch);
            done = done.max(self.read_batches(reader, it.tp, batches, cx));
        }
        done
    }

    fn read_batches<'a>(
        &mut self,
        reader: NodeId,
        tp: TopicPartition,
        batches: impl Iterator<Item = &'a Batch>,
        cx: &mut KafkaCx<'_>,
    ) -> Nanos {
        let capacity = self.config.page_cache_bytes;
        let pages = self.pages.get_or_insert_default();
        let mut missing = 0;
        for batch in batches {
            if !pages
                .cache
                .touch(tp, batch.base_offset, batch.bytes, capacity)
            {
                missing += u64::from(batch.bytes);
            }
        }
        if missing == 0 {
            return cx.now();
        }
        *pages.read.entry(reader).or_default() += missing;
        let done = cx.disk_read(missing);
        let waits_ms = done.saturating_sub(cx.now()) / MILLISECOND;
        let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let (bytes, waits_ms) = (number(missing), number(waits_ms));
        self.note_rule(Rule::DiskRead, Some(tp), None, bytes, waits_ms, cx);
        done
    }

    /// Bytes of its logs in memory, and bytes that its disk had to read for a node so far; for all
    /// nodes if none is named. `None` without a bound.
    #[must_use]
    pub fn pages(&self, reader: Option<NodeId>) -> Option<(u64, u64)> {
        let pages = self.pages.as_ref()?;
        let read = pages.read.iter();
        let read = read.filter(|(node, _)| reader.is_none_or(|it| it == **node));
        Some((pages.cache.bytes(), read.map(|it| it.1).sum()))
    }
}
