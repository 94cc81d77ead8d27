//! A log that steps of a case append to, roll and clean.

use crate::case::{Checked, Fault, unknown};
use crate::values::{int, list, numbers};
use serde_json::{Value, json};
use sim_core::kafka::rules::cleaner::{Cleaned, Cleaner};
use sim_core::kafka::rules::cleaner_range::LogToClean;
use sim_core::kafka::rules::partition_log::{Appended, LeaderAppend, PartitionLog};
use sim_core::kafka::rules::producer_append::AppendOrigin;
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{
    Batch, CleanupPolicy, ControlMarker, KeyId, LogConfig, ProducerStamp, Record, RecordId,
};
use std::collections::BTreeMap;

/// When a log of the cases begins, ms.
pub(super) const BEGIN_MS: i64 = 1_400_000_000_000;

/// A log, its clock and what the steps need to remember.
pub(super) struct Bench {
    pub(super) log: PartitionLog,
    pub(super) now_ms: i64,
    pub(super) cleaner: Cleaner,
    /// Where the next pass begins.
    pub(super) dirty: i64,
    /// Next sequence of each producer.
    sequences: BTreeMap<i64, i32>,
    /// Last data batch of each producer, as it was sent.
    sent: BTreeMap<i64, Batch>,
    /// Producers whose batches belong to transactions.
    pub(super) transactional: Vec<i64>,
    next_record: u64,
    /// What the log looked like after each pass, and what the pass came to.
    pub(super) after: Vec<(Seen, Cleaned<Record>)>,
    pub(super) saw_tombstone: bool,
}

/// What a case may ask of a log after a pass.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seen {
    pub(super) log: PartitionLog,
    pub(super) dirty: i64,
    pub(super) saw_tombstone: bool,
}

/// A compacted log that takes any batch.
pub(super) fn config() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy::COMPACT,
        timestamp_after_max_ms: i64::MAX,
        ..LogConfig::default()
    }
}

pub(super) fn record(id: u64, key: i64, timestamp_ms: i64, tombstone: bool) -> Checked<Record> {
    let key = u32::try_from(key).map_err(|_| unknown("key", key))?;
    Ok(Record {
        id: RecordId(id),
        key: Some(KeyId(key)),
        offset_delta: 0,
        bytes: 20,
        timestamp_ms,
        tombstone,
    })
}

impl Bench {
    pub(super) fn new(config: LogConfig) -> Self {
        let producers = ProducerStateConfig {
            verification_enabled: false,
            ..ProducerStateConfig::default()
        };
        Bench {
            log: PartitionLog::new(config, producers, BEGIN_MS),
            now_ms: BEGIN_MS,
            cleaner: Cleaner {
                slots: 1 << 31,
                load_factor_ppm: 750_000,
            },
            dirty: 0,
            sequences: BTreeMap::new(),
            sent: BTreeMap::new(),
            transactional: Vec::new(),
            next_record: 0,
            after: Vec::new(),
            saw_tombstone: false,
        }
    }

    fn write(&mut self, batch: Batch, origin: AppendOrigin) -> Checked<Appended> {
        let append = LeaderAppend {
            origin,
            ..LeaderAppend::client(0, self.now_ms)
        };
        let written = self.log.append_as_leader(batch, append);
        written.map_err(|error| Fault::Differs(format!("an append failed: {}", error.name())))
    }

    fn records(&mut self, keys: &[i64], at_ms: i64, tombstone: bool) -> Checked<Vec<Record>> {
        let mut records = Vec::new();
        for key in keys {
            records.push(record(self.next_record, *key, at_ms, tombstone)?);
            self.next_record += 1;
        }
        match records.is_empty() {
            true => Err(Fault::Unsupported("a batch without records".to_owned())),
            false => Ok(records),
        }
    }

    /// Records of no producer, each a batch.
    pub(super) fn plain(&mut self, keys: &[i64], at_ms: i64, tombstone: bool) -> Checked {
        self.saw_tombstone |= tombstone;
        for record in self.records(keys, at_ms, tombstone)? {
            let batch = Batch::new(vec![record], ProducerStamp::NONE);
            self.write(batch, AppendOrigin::Client)?;
        }
        Ok(())
    }

    /// A batch of a producer. With `reuse` it begins with sequence 0 again, as coordinators write.
    pub(super) fn data(&mut self, id: i64, keys: &[i64], reuse: bool) -> Checked {
        let records = self.records(keys, self.now_ms, false)?;
        let sequence = self.sequences.entry(id).or_insert(0);
        let base_sequence = if reuse { 0 } else { *sequence };
        *sequence = base_sequence + i32::try_from(records.len()).unwrap_or(0);
        let stamp = ProducerStamp {
            id,
            epoch: 0,
            base_sequence,
        };
        let batch = match self.transactional.contains(&id) {
            true => Batch::transactional(records, stamp),
            false => Batch::new(records, stamp),
        };
        self.sent.insert(id, batch.clone());
        let origin = match reuse {
            true => AppendOrigin::Replication,
            false => AppendOrigin::Client,
        };
        self.write(batch, origin).map(|_| ())
    }

    pub(super) fn marker(&mut self, id: i64, marker: ControlMarker) -> Checked {
        let batch = Batch::end_txn_marker(marker, id, 0, 0, self.now_ms);
        self.write(batch, AppendOrigin::Coordinator).map(|_| ())
    }

    pub(super) fn roll(&mut self, base_offset: Option<i64>) {
        self.log.roll(base_offset, self.now_ms);
    }

    /// One pass, up to the active segment.
    pub(super) fn clean(&mut self) {
        let active = self.log.log().active_segment().base_offset();
        let range = LogToClean::new(&self.log, self.dirty.min(active), active, false);
        let bound = range.first_uncleanable;
        let cleaner = self.cleaner;
        let cleaned = cleaner.clean(&mut self.log, range.first_dirty, bound, self.now_ms);
        self.dirty = cleaned.end_offset;
        let seen = self.seen();
        self.after.push((seen, cleaned));
    }

    /// Two passes over the same range: the first sets the delete horizons, the second comes after
    /// them.
    pub(super) fn clean_twice(&mut self) {
        let from = self.dirty;
        self.clean();
        self.after.pop();
        self.dirty = from;
        self.now_ms += self.log.log().config().delete_retention_ms + 1;
        self.clean();
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            log: self.log.clone(),
            dirty: self.dirty,
            saw_tombstone: self.saw_tombstone,
        }
    }

    /// Sends each producer's last batch again, after a restart.
    pub(super) fn duplicates(&self, expected: &Value) -> Checked<Value> {
        let mut log = self.log.clone();
        log.reload(self.now_ms);
        let mut found = serde_json::Map::new();
        for (id, _) in crate::values::members(expected)? {
            let number = id.parse::<i64>().map_err(|_| unknown("producer", id))?;
            let Some(batch) = self.sent.get(&number) else {
                return Err(unknown("producer", id));
            };
            let append = LeaderAppend::client(0, self.now_ms);
            let answer = match log.append_as_leader(batch.clone(), append) {
                Ok(Appended::Duplicate(it)) => json!([it.first_offset(), it.last_offset]),
                Ok(Appended::New(it)) => json!(format!("appended at {}", it.first_offset)),
                Err(error) => json!(error.name()),
            };
            found.insert(id.to_owned(), answer);
        }
        Ok(Value::Object(found))
    }
}

impl Seen {
    /// An aspect of the log, by the name that cases give it.
    pub(super) fn aspect(&self, key: &str, cleaned: Option<&Cleaned<Record>>) -> Option<Value> {
        let log = self.log.log();
        let batches = || {
            log.segments_between(log.start_offset().min(0), i64::MAX)
                .into_iter()
                .flat_map(|it| it.batches())
        };
        let place =
            |batch: &Batch, record: &Record| batch.base_offset + i64::from(record.offset_delta);
        Some(match key {
            "keys" => batches()
                .flat_map(|it| it.records.iter())
                .filter(|it| !it.tombstone)
                .filter_map(|it| it.key.map(|key| json!(key.0)))
                .collect(),
            "offsets" => {
                let of = |batch: &Batch| -> Vec<Value> {
                    if batch.count() > batch.records.len() {
                        return vec![json!(batch.base_offset)];
                    }
                    let valued = batch.records.iter().filter(|it| !it.tombstone);
                    valued.map(|it| json!(place(batch, it))).collect()
                };
                batches().flat_map(of).collect()
            }
            "tombstones" | "tombstone_offsets" => batches()
                .flat_map(|batch| {
                    let dead = batch.records.iter().filter(|it| it.tombstone);
                    dead.map(|it| json!(place(batch, it))).collect::<Vec<_>>()
                })
                .collect(),
            "batch_last_offsets" => batches().map(|it| json!(it.last_offset())).collect(),
            "batch_base_offsets" => batches().map(|it| json!(it.base_offset)).collect(),
            "first_offset" => batches()
                .next()
                .map_or(Value::Null, |it| json!(it.last_offset())),
            "last_sequence" | "last_sequences" => {
                let with = batches().filter(|it| !it.is_control() && it.producer.has_id());
                let pairs = with.map(|it| (it.producer.id.to_string(), json!(it.last_sequence())));
                Value::Object(pairs.collect())
            }
            "aborted" | "aborted_txns" | "aborted_index" | "txn_index" => {
                let txn = self.log.aborted_txns().iter();
                txn.map(|it| {
                    json!([
                        it.producer_id,
                        it.first_offset,
                        it.last_offset,
                        it.last_stable_offset
                    ])
                })
                .collect()
            }
            "aborted_count" | "aborted_txn_count" | "index_entries" => {
                json!(self.log.aborted_txns().len())
            }
            "segments" | "segment_count" => json!(log.segment_count()),
            "log_end" | "leo" => json!(log.leo()),
            "dirty" | "dirty_offset" | "first_dirty" | "next_dirty" | "next_dirty_offset"
            | "end_offset" | "cleaned_to" => json!(self.dirty),
            "unkeyed" | "unkeyed_in_log" => {
                let all = batches().flat_map(|it| it.records.iter());
                json!(all.filter(|it| it.key.is_none()).count())
            }
            "messages_read" | "records_read" => json!(cleaned?.records_read),
            "messages_written" | "records_written" => json!(cleaned?.records_written),
            "bytes_read" => json!(cleaned?.bytes_read),
            "bytes_written" => json!(cleaned?.bytes_written),
            "invalid_messages" | "invalid_messages_read" | "invalid" => {
                json!(cleaned?.invalid_records)
            }
            "map_messages_read" => json!(cleaned?.map_records_read),
            _ => return None,
        })
    }
}

/// The integers of a list of numbers or of texts.
pub(super) fn keys(value: &Value) -> Checked<Vec<i64>> {
    match value {
        Value::String(text) => Ok(numbers(text)),
        Value::Number(_) => Ok(vec![int(value)?]),
        other => list(other)?.iter().map(int).collect(),
    }
}
