//! Records: the unit a producer sends and a consumer reads.
//!
//! A record carries no payload (what brokers write for themselves stands in the batch's values). Its identity is a number in the run's ledger, its key an index in
//! the scenario's key space; both have a text form where the load is described. Follows the record
//! of Kafka's message format v2, without headers.

/// The identity of a record in the run's ledger; unique within a run and never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
pub struct RecordId(pub u64);

/// A key, as an index into the scenario's key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
pub struct KeyId(pub u32);

/// One record of a data partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Record {
    /// Ledger identity.
    pub id: RecordId,
    /// The key, or `None` for an unkeyed record.
    pub key: Option<KeyId>,
    /// Position within the batch: offset = base offset of the batch + this.
    pub offset_delta: u32,
    /// Size in bytes, key and value together.
    pub bytes: u32,
    /// Creation time in milliseconds; -1 means that the record carries none.
    pub timestamp_ms: i64,
    /// True when the value is null: compaction will drop the key.
    pub tombstone: bool,
}

/// What a log must know of its records. [`Record`] is the one of data partitions; the metadata
/// log of the controllers brings its own.
pub trait LogRecord: Clone + Eq {
    /// Size in bytes.
    fn bytes(&self) -> u32;
    /// Timestamp in milliseconds, -1 for none.
    fn timestamp_ms(&self) -> i64;
    /// Position within the batch.
    fn offset_delta(&self) -> u32;
    /// Sets the position within the batch.
    fn set_offset_delta(&mut self, delta: u32);
    /// Whether the record has a key; compacted topics refuse records without one.
    fn has_key(&self) -> bool {
        true
    }
    /// The key as compaction compares it; `None` without one. Different keys have different numbers.
    fn compaction_key(&self) -> Option<u64> {
        None
    }
    /// Whether the value is null.
    fn is_tombstone(&self) -> bool {
        false
    }
}

impl LogRecord for Record {
    fn bytes(&self) -> u32 {
        self.bytes
    }

    fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    fn offset_delta(&self) -> u32 {
        self.offset_delta
    }

    fn set_offset_delta(&mut self, delta: u32) {
        self.offset_delta = delta;
    }

    fn has_key(&self) -> bool {
        self.key.is_some()
    }

    fn compaction_key(&self) -> Option<u64> {
        self.key.map(|key| u64::from(key.0))
    }

    fn is_tombstone(&self) -> bool {
        self.tombstone
    }
}
