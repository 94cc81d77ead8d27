//! Batches for the logs of cases.

use crate::case::Checked;
use crate::values::count;
use sim_core::log::{Batch, KeyId, ProducerStamp, Record, RecordId};

/// No case needs a batch of more records, nor a log of more batches.
pub(crate) const MOST: usize = 10_000;

/// A record with a key, that takes 100 bytes in a batch of its own.
pub(crate) fn record(timestamp_ms: i64) -> Record {
    Record {
        id: RecordId(1),
        key: Some(KeyId(1)),
        offset_delta: 0,
        bytes: 39,
        timestamp_ms,
        tombstone: false,
    }
}

/// So many records, at least one.
pub(crate) fn records(number: i64, timestamp_ms: i64) -> Checked<Vec<Record>> {
    let number = count(number, MOST)?.max(1);
    Ok(vec![record(timestamp_ms); number])
}

/// A batch of so many records, of no producer in particular.
pub(crate) fn batch(number: i64, timestamp_ms: i64) -> Checked<Batch> {
    Ok(Batch::new(
        records(number, timestamp_ms)?,
        ProducerStamp::NONE,
    ))
}
