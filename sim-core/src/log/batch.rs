//! Record batches: the unit of append, replication, fetch, sequence check and compaction.
//!
//! Follows `DefaultRecordBatch` (message format v2). Batches are never split: truncation drops a
//! batch whole, and a fetch returns it whole, so that the first batch of an answer may begin below
//! the offset asked for.

use std::sync::Arc;

use super::record::{LogRecord, Record};

/// Bytes of a batch before its first record (message format v2).
const BATCH_OVERHEAD_BYTES: u32 = 61;
/// Bytes of the single record of a control batch: header, version, type, coordinator epoch.
const CONTROL_RECORD_BYTES: u32 = 17;

/// Who wrote a batch: producer id, its epoch, and the sequence number of the first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ProducerStamp {
    /// Producer id, -1 when the producer is not idempotent.
    pub id: i64,
    /// Producer epoch, -1 when there is no producer id.
    pub epoch: i16,
    /// Sequence number of the first record, -1 when there is none (also for control batches).
    pub base_sequence: i32,
}

impl ProducerStamp {
    /// The stamp of a producer without idempotence.
    pub const NONE: Self = Self {
        id: -1,
        epoch: -1,
        base_sequence: -1,
    };

    /// Whether a producer id is set.
    pub fn has_id(&self) -> bool {
        self.id >= 0
    }
}

/// What a control batch says. Control batches take one offset and are never shown to applications.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum ControlMarker {
    /// The transaction of this producer id is committed.
    Commit,
    /// The transaction of this producer id is aborted.
    Abort,
    /// A leader of the metadata quorum opens its epoch (KIP-595).
    LeaderChange,
    /// Compaction removed the marker and kept the batch, for its producer's epoch.
    Emptied,
}

/// A batch of records with consecutive offsets (with gaps once compaction removed some).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Batch<R = Record> {
    /// Offset of the first record as it was appended; set by the leader.
    pub base_offset: i64,
    /// Offset of the last record as it was appended, minus `base_offset`. Compaction keeps it even
    /// when it removes that record, so that offsets never move.
    pub last_offset_delta: u32,
    /// Epoch of the leader that appended the batch; -1 until then.
    pub leader_epoch: i32,
    /// Who wrote it.
    pub producer: ProducerStamp,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Set on control batches, which carry no application records.
    pub control: Option<ControlMarker>,
    /// Epoch of the transaction coordinator that wrote a marker; -1 elsewhere.
    pub coordinator_epoch: i32,
    /// Largest timestamp of the records in milliseconds, -1 for none.
    pub max_timestamp_ms: i64,
    /// After this time compaction may drop the tombstones of the batch; set by the first pass that
    /// kept one.
    pub delete_horizon_ms: Option<i64>,
    /// Size of the whole batch in bytes.
    pub bytes: u32,
    /// The records, shared between all replicas and fetches that hold the batch.
    pub records: Arc<[R]>,
    /// What the records say, by their position in the batch as it was appended: only in the
    /// topics that brokers keep for themselves. Compaction leaves it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// The values of a batch's records, as bytes that only their writer reads.
pub type Values = Arc<Vec<Vec<u8>>>;

impl<R: LogRecord> Batch<R> {
    /// A data batch. Offset deltas are numbered 0, 1, 2…; base offset and leader epoch are set when
    /// a leader appends it.
    pub fn new(mut records: Vec<R>, producer: ProducerStamp) -> Self {
        assert!(
            !records.is_empty(),
            "a producer never sends a batch without records"
        );
        let mut bytes = BATCH_OVERHEAD_BYTES;
        let mut max_timestamp_ms = -1;
        let mut delta = 0u32;
        for record in &mut records {
            record.set_offset_delta(delta);
            delta += 1;
            bytes = bytes.saturating_add(record.bytes());
            max_timestamp_ms = record.timestamp_ms().max(max_timestamp_ms);
        }
        Self {
            base_offset: 0,
            last_offset_delta: delta - 1,
            leader_epoch: -1,
            producer,
            transactional: false,
            control: None,
            coordinator_epoch: -1,
            max_timestamp_ms,
            delete_horizon_ms: None,
            bytes,
            records: records.into(),
            values: None,
        }
    }

    /// A data batch whose records say something: one value for each.
    pub fn with_values(records: Vec<R>, values: Vec<Vec<u8>>, producer: ProducerStamp) -> Self {
        Self {
            values: Some(Arc::new(values)),
            ..Self::new(records, producer)
        }
    }

    /// A data batch of a transaction.
    pub fn transactional(records: Vec<R>, producer: ProducerStamp) -> Self {
        Self {
            transactional: true,
            ..Self::new(records, producer)
        }
    }

    /// The marker that ends a transaction (`EndTransactionMarker`).
    pub fn end_txn_marker(
        marker: ControlMarker,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        timestamp_ms: i64,
    ) -> Self {
        assert!(
            matches!(marker, ControlMarker::Commit | ControlMarker::Abort),
            "only COMMIT and ABORT end a transaction, got {marker:?}"
        );
        let producer = ProducerStamp {
            id: producer_id,
            epoch: producer_epoch,
            base_sequence: -1,
        };
        let control = Self::control_batch(marker, producer, timestamp_ms);
        Self {
            transactional: true,
            coordinator_epoch,
            ..control
        }
    }

    /// The record by which a new leader of the metadata quorum opens its epoch.
    pub fn leader_change(timestamp_ms: i64) -> Self {
        Self::control_batch(
            ControlMarker::LeaderChange,
            ProducerStamp::NONE,
            timestamp_ms,
        )
    }

    fn control_batch(marker: ControlMarker, producer: ProducerStamp, timestamp_ms: i64) -> Self {
        Self {
            base_offset: 0,
            last_offset_delta: 0,
            leader_epoch: -1,
            producer,
            transactional: false,
            control: Some(marker),
            coordinator_epoch: -1,
            max_timestamp_ms: timestamp_ms,
            delete_horizon_ms: None,
            bytes: BATCH_OVERHEAD_BYTES + CONTROL_RECORD_BYTES,
            records: Arc::new([]),
            values: None,
        }
    }

    /// The record at `offset`, if the batch still has it.
    pub fn record_at(&self, offset: i64) -> Option<&R> {
        let delta = u32::try_from(offset - self.base_offset).ok()?;
        // Without compaction, which leaves gaps, a record's place is its delta.
        if let Some(record) = self.records.get(delta as usize)
            && record.offset_delta() == delta
        {
            return Some(record);
        }
        let at = self
            .records
            .binary_search_by_key(&delta, LogRecord::offset_delta)
            .ok()?;
        self.records.get(at)
    }
}

impl<R: LogRecord> Batch<R> {
    /// The batch with only these of its records; offsets and sequences stay, also of an empty one.
    /// An emptied marker is one no more.
    #[must_use]
    pub fn keeping(&self, records: Vec<R>, marker: bool, delete_horizon_ms: Option<i64>) -> Self {
        let control = match self.control {
            Some(_) if !marker => Some(ControlMarker::Emptied),
            other => other,
        };
        let empty = records.is_empty() && !marker;
        let own = match marker {
            true => CONTROL_RECORD_BYTES,
            false => records.iter().map(LogRecord::bytes).sum(),
        };
        let newest = records.iter().map(LogRecord::timestamp_ms).max();
        Self {
            control,
            max_timestamp_ms: newest.unwrap_or(self.max_timestamp_ms),
            delete_horizon_ms: delete_horizon_ms.filter(|_| !empty),
            bytes: BATCH_OVERHEAD_BYTES.saturating_add(own),
            records: records.into(),
            ..self.clone()
        }
    }
}

impl<R> Batch<R> {
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset of whatever follows the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Sequence number of the last record; wraps from 2147483647 to 0. -1 without sequences.
    pub fn last_sequence(&self) -> i32 {
        let base = self.producer.base_sequence;
        if base < 0 {
            return -1;
        }
        let last = (i64::from(base) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX);
        // The mask keeps 31 bits, so the conversion cannot lose any.
        last as i32
    }

    /// What the record at this position of the batch says, if anything.
    pub fn value(&self, offset_delta: u32) -> Option<&[u8]> {
        let value = self.values.as_ref()?.get(offset_delta as usize)?;
        Some(value)
    }

    /// Records and markers that the batch still holds.
    pub fn count(&self) -> usize {
        let marker = self.control.is_some_and(|it| it != ControlMarker::Emptied);
        self.records.len() + usize::from(marker)
    }

    /// Whether this is a control batch, which applications never see.
    pub fn is_control(&self) -> bool {
        self.control.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{KeyId, RecordId};

    fn records(count: u64) -> Vec<Record> {
        let one = |n| Record {
            id: RecordId(n),
            key: Some(KeyId(1)),
            offset_delta: 99,
            bytes: 10,
            timestamp_ms: 100 - n as i64,
            tombstone: false,
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_batch_numbers_its_records_and_adds_up() {
        let mut batch = Batch::new(records(3), ProducerStamp::NONE);
        batch.base_offset = 7;
        assert_eq!((batch.last_offset(), batch.next_offset()), (9, 10));
        assert_eq!((batch.bytes, batch.max_timestamp_ms), (91, 100));
        assert_eq!(batch.record_at(8).map(|r| r.id), Some(RecordId(1)));
        assert_eq!(batch.record_at(6), None);
        assert_eq!(batch.record_at(10), None);
        assert_eq!(batch.last_sequence(), -1);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let stamp = ProducerStamp {
            id: 1,
            epoch: 0,
            base_sequence: i32::MAX - 1,
        };
        assert_eq!(Batch::new(records(2), stamp).last_sequence(), i32::MAX);
        assert_eq!(Batch::new(records(3), stamp).last_sequence(), 0);
        assert_eq!(Batch::new(records(4), stamp).last_sequence(), 1);
    }
}
