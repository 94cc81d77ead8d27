//! A batch of records on its way: open while records join it, closed once it was drained.
//!
//! Follows `ProducerBatch` and `MemoryRecordsBuilder`. Sizes are those of [`crate::log::Batch`];
//! compression is left out, so what fits is known exactly.

use crate::kernel::Nanos;
use crate::log::{Batch, LogRecord, ProducerStamp, Record};
use serde::Serialize;

/// Bytes of a batch before its first record (message format v2).
pub(super) const BATCH_OVERHEAD: u32 = 61;

/// A batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct ProducerBatch {
    /// Number of the batch at its producer; never reused.
    pub(super) id: u64,
    /// When its first record was given to `send()`, ns: `delivery.timeout.ms` counts from here.
    pub(super) created: Nanos,
    /// When it began to wait: created, or put back after a failed attempt, ns.
    pub(super) waiting_since: Nanos,
    /// Until when it must not be sent again, ns (`retry.backoff.ms`).
    pub(super) backoff_until: Nanos,
    /// Attempts that failed.
    pub(super) attempts: u32,
    /// Newest leader epoch known while it waited; -1 before the first.
    leader_epoch: i32,
    /// Attempts when that epoch became known.
    attempts_at_leader_change: u32,
    /// Its sequence numbers were assigned again after an epoch bump.
    pub(super) sequence_reset: bool,
    /// Its records were failed while a request with it was under way; only a late answer counts.
    pub(super) expired: bool,
    /// Bytes it may hold.
    limit: u32,
    /// Bytes it holds.
    bytes: u32,
    /// Memory that the buffer pool gave for it; 0 once given back.
    pub(super) memory: u32,
    body: Body,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Body {
    Open(Vec<Record>),
    /// Full, but not yet drained.
    Full(Vec<Record>),
    Closed(Batch),
}

impl ProducerBatch {
    /// An empty batch with room for `limit` bytes (or for one record, whatever its size).
    pub(super) fn new(id: u64, now: Nanos, limit: u32, memory: u32) -> Self {
        ProducerBatch {
            id,
            created: now,
            waiting_since: now,
            backoff_until: 0,
            attempts: 0,
            leader_epoch: -1,
            attempts_at_leader_change: 0,
            sequence_reset: false,
            expired: false,
            limit,
            bytes: BATCH_OVERHEAD,
            memory,
            body: Body::Open(Vec::new()),
        }
    }

    /// Adds a record if it fits; returns whether it did. A batch that turned a record away takes no
    /// more.
    pub(super) fn try_append(&mut self, record: Record) -> bool {
        let Body::Open(records) = &mut self.body else {
            return false;
        };
        let bytes = self.bytes.saturating_add(record.bytes);
        if !records.is_empty() && bytes > self.limit {
            let records = std::mem::take(records);
            self.body = Body::Full(records);
            return false;
        }
        self.bytes = bytes;
        records.push(record);
        true
    }

    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    pub(super) fn weight(&self) -> usize {
        let own = match &self.body {
            Body::Open(records) | Body::Full(records) => records.len() * size_of::<Record>(),
            Body::Closed(_) => 0,
        };
        size_of_val(self) + own
    }

    /// Whether no further record can join.
    pub(super) fn is_full(&self) -> bool {
        match &self.body {
            Body::Open(records) => !records.is_empty() && self.bytes >= self.limit,
            Body::Full(_) | Body::Closed(_) => true,
        }
    }

    /// The records in order.
    pub(super) fn records(&self) -> &[Record] {
        match &self.body {
            Body::Open(records) | Body::Full(records) => records,
            Body::Closed(batch) => &batch.records,
        }
    }

    /// How many records.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.records().len()).unwrap_or(u32::MAX)
    }

    /// Size on the wire.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Producer id, epoch and first sequence, once assigned.
    pub(super) fn stamp(&self) -> ProducerStamp {
        match &self.body {
            Body::Closed(batch) => batch.producer,
            _ => ProducerStamp::NONE,
        }
    }

    /// Whether sequence numbers were assigned.
    pub(super) fn has_sequence(&self) -> bool {
        self.stamp().base_sequence >= 0
    }

    /// Sequence number of the last record.
    pub(super) fn last_sequence(&self) -> i32 {
        increment(self.stamp().base_sequence, self.count().saturating_sub(1))
    }

    /// Closes the batch for sending, under this stamp if it has none yet.
    pub(super) fn close(&mut self, stamp: ProducerStamp) {
        let records = match &mut self.body {
            Body::Closed(_) => return,
            Body::Open(records) | Body::Full(records) => std::mem::take(records),
        };
        self.body = Body::Closed(Batch::new(records, stamp));
    }

    /// Assigns producer id, epoch and sequence anew.
    pub(super) fn restamp(&mut self, stamp: ProducerStamp) {
        if let Body::Closed(batch) = &mut self.body {
            batch.producer = stamp;
            self.sequence_reset = true;
        }
    }

    /// What goes on the wire; `None` while the batch is open.
    pub(super) fn wire(&self) -> Option<Batch> {
        match &self.body {
            Body::Closed(batch) => Some(batch.clone()),
            _ => None,
        }
    }

    /// A failed attempt: the batch goes back to wait.
    pub(super) fn reenqueued(&mut self, now: Nanos, pause: Nanos) {
        self.attempts = self.attempts.saturating_add(1);
        self.waiting_since = now;
        self.backoff_until = now.saturating_add(pause);
    }

    /// Notes the newest leader epoch: a retry to a new leader need not wait.
    pub(super) fn see_leader_epoch(&mut self, epoch: i32) {
        if epoch > self.leader_epoch {
            self.leader_epoch = epoch;
            self.attempts_at_leader_change = self.attempts;
        }
    }

    /// Until when the batch must wait before it is sent again; 0 if it need not.
    pub(super) fn backoff(&self) -> Nanos {
        let leader_changed = self.attempts > 0 && self.attempts == self.attempts_at_leader_change;
        match self.attempts == 0 || leader_changed {
            true => 0,
            false => self.backoff_until,
        }
    }

    /// Splits a batch that the broker found too large in two, with the sequence numbers its records
    /// had. They count as not yet tried.
    pub(super) fn split(self, ids: [u64; 2]) -> Option<[ProducerBatch; 2]> {
        let stamp = self.stamp();
        let half = self.records().len() / 2;
        let (first, second) = self.records().split_at(half);
        if first.is_empty() {
            return None;
        }
        let offset = u32::try_from(first.len()).unwrap_or(u32::MAX);
        let part = |id, records: &[Record], offset: u32, memory| {
            let mut part = ProducerBatch::new(id, self.created, self.limit, memory);
            part.waiting_since = self.waiting_since;
            part.bytes = records
                .iter()
                .fold(BATCH_OVERHEAD, |sum, r| sum + r.bytes());
            let base_sequence = match stamp.base_sequence {
                -1 => -1,
                base => increment(base, offset),
            };
            let stamp = ProducerStamp {
                base_sequence,
                ..stamp
            };
            part.body = Body::Closed(Batch::new(records.to_vec(), stamp));
            part
        };
        let [first_id, second_id] = ids;
        // The pool gave memory once; it comes back with the second part.
        Some([
            part(first_id, first, 0, 0),
            part(second_id, second, offset, self.memory),
        ])
    }
}

/// A sequence number some records further on; 2147483647 is followed by 0.
pub(super) fn increment(sequence: i32, by: u32) -> i32 {
    let sum = (i64::from(sequence) + i64::from(by)) % (i64::from(i32::MAX) + 1);
    i32::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{KeyId, RecordId};

    pub(crate) fn record(id: u64, bytes: u32) -> Record {
        Record {
            id: RecordId(id),
            key: Some(KeyId(0)),
            offset_delta: 0,
            bytes,
            timestamp_ms: 0,
            tombstone: false,
        }
    }

    #[test]
    fn a_batch_fills_up_to_its_limit_but_takes_one_record_of_any_size() {
        let check = |limit, sizes: &[u32], taken: usize, full| {
            let mut batch = ProducerBatch::new(0, 0, limit, 0);
            let fit = sizes.iter().filter(|s| batch.try_append(record(0, **s)));
            assert_eq!(fit.count(), taken, "{sizes:?} in {limit}");
            assert_eq!(batch.is_full(), full, "{sizes:?} in {limit}");
        };
        check(161, &[50], 1, false);
        check(161, &[50, 50], 2, true);
        check(161, &[60, 60], 1, true);
        check(161, &[60, 60, 10], 1, true);
        check(161, &[500], 1, true);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let check = |from, by, to| assert_eq!(increment(from, by), to);
        check(0, 3, 3);
        check(i32::MAX, 1, 0);
        check(i32::MAX - 1, 3, 1);
    }

    #[test]
    fn the_parts_of_a_split_batch_keep_their_sequences() {
        let mut batch = ProducerBatch::new(0, 0, 1_000, 16);
        for id in 0..5 {
            assert!(batch.try_append(record(id, 10)));
        }
        batch.close(ProducerStamp {
            id: 1,
            epoch: 0,
            base_sequence: 7,
        });
        let parts = batch.split([1, 2]).expect("five records can be split");
        let got: Vec<_> = parts
            .iter()
            .map(|p| (p.stamp().base_sequence, p.count(), p.bytes()))
            .collect();
        assert_eq!(got, [(7, 2, 81), (9, 3, 91)]);
    }
}
