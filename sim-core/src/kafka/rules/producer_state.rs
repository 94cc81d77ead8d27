//! What a partition knows of its producers and their transactions.
//!
//! Follows `ProducerStateManager`: sequences and epochs per producer id, open transactions, and
//! transactions whose marker is not yet below the high watermark. From these comes the first
//! unstable offset, and with the high watermark the last stable offset (LSO). Snapshots are taken
//! where segments roll and keep, as Kafka's do, only the last batch of each producer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::producer_append::{
    AppendOrigin, CompletedTxn, ProducerAppendInfo, ProducerStateEntry, TxnMetadata,
    VerificationGuard, VerificationStateEntry,
};
use crate::log::{Batch, LogRecord};

/// How long past the largest transaction timeout a transaction counts as hanging, in ms.
const LATE_TRANSACTION_BUFFER_MS: i64 = 300_000;
/// End offset of a map that holds nothing yet, so that it never equals a log end.
const NOT_LOADED: i64 = -1;

/// Settings, in ms.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ProducerStateConfig {
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `transaction.max.timeout.ms`.
    pub max_transaction_timeout_ms: i64,
    /// `transaction.partition.verification.enable`.
    pub verification_enabled: bool,
}

impl Default for ProducerStateConfig {
    fn default() -> Self {
        Self {
            producer_id_expiration_ms: 86_400_000,
            max_transaction_timeout_ms: 900_000,
            verification_enabled: true,
        }
    }
}

/// An aborted transaction, as the transaction index lists it for `read_committed` readers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct AbortedTxn {
    /// Its producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its ABORT marker.
    pub last_offset: i64,
    /// Where the last stable offset would have been without this transaction.
    pub last_stable_offset: i64,
}

/// The producers and transactions of one partition.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ProducerStateManager {
    config: ProducerStateConfig,
    /// By producer id, ascending. Mostly a few: a search tree would take more room and time.
    producers: Vec<ProducerStateEntry>,
    verifications: BTreeMap<i64, VerificationStateEntry>,
    next_guard: u64,
    /// Open transactions by first offset.
    ongoing: BTreeMap<i64, TxnMetadata>,
    /// Ended transactions whose marker is at or above the high watermark, by first offset.
    unreplicated: BTreeMap<i64, TxnMetadata>,
    /// Offset up to which the state includes the log.
    map_end_offset: i64,
    snapshots: BTreeMap<i64, Arc<Vec<ProducerStateEntry>>>,
}

impl ProducerStateManager {
    /// No producers, for a log that starts at `offset`.
    pub fn new(config: ProducerStateConfig, offset: i64) -> Self {
        Self {
            config,
            producers: Vec::new(),
            verifications: BTreeMap::new(),
            next_guard: 0,
            ongoing: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            map_end_offset: offset,
            snapshots: BTreeMap::new(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &ProducerStateConfig {
        &self.config
    }

    /// What is known of the producers, in order of their ids.
    pub fn producers(&self) -> &[ProducerStateEntry] {
        &self.producers
    }

    fn place(&self, producer_id: i64) -> Result<usize, usize> {
        self.producers
            .binary_search_by_key(&producer_id, |entry| entry.producer_id)
    }

    /// The entry of a producer, made by `fresh` if there is none.
    fn entry_or(
        &mut self,
        producer_id: i64,
        fresh: impl FnOnce() -> ProducerStateEntry,
    ) -> &mut ProducerStateEntry {
        let at = self.place(producer_id).unwrap_or_else(|at| {
            self.producers.insert(at, fresh());
            at
        });
        &mut self.producers[at]
    }

    /// What is known of one producer.
    pub fn entry(&self, producer_id: i64) -> Option<&ProducerStateEntry> {
        self.place(producer_id)
            .ok()
            .and_then(|at| self.producers.get(at))
    }

    /// Open transactions, oldest first.
    pub fn ongoing(&self) -> impl Iterator<Item = &TxnMetadata> {
        self.ongoing.values()
    }

    /// Ended transactions whose marker is not yet below the high watermark, oldest first.
    pub fn unreplicated(&self) -> impl Iterator<Item = &TxnMetadata> {
        self.unreplicated.values()
    }

    /// Whether the producer has an open transaction in this epoch.
    pub fn has_ongoing_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let open = |entry: &ProducerStateEntry| {
            entry.current_txn_first_offset.is_some() && entry.epoch == epoch
        };
        self.entry(producer_id).is_some_and(open)
    }

    /// Begins (or joins) the verification of a producer's transaction on this partition. The guard
    /// must come with the append that follows the coordinator's answer.
    pub fn start_verification(
        &mut self,
        producer_id: i64,
        sequence: i32,
        epoch: i16,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> VerificationGuard {
        let guard = VerificationGuard(self.next_guard);
        let entry = self
            .verifications
            .entry(producer_id)
            .or_insert(VerificationStateEntry {
                guard,
                lowest_sequence: sequence,
                epoch,
                supports_epoch_bump,
                started_ms: now_ms,
            });
        if entry.guard == guard {
            self.next_guard += 1;
        }
        entry.note(sequence, epoch);
        entry.guard
    }

    /// The verification of a producer, if one is under way.
    pub fn verification(&self, producer_id: i64) -> Option<&VerificationStateEntry> {
        self.verifications.get(&producer_id)
    }

    /// Ends a verification: an append or a marker has made it void.
    pub fn clear_verification(&mut self, producer_id: i64) {
        self.verifications.remove(&producer_id);
    }

    /// Begins an append of this producer.
    pub fn prepare_update(&self, producer_id: i64, origin: AppendOrigin) -> ProducerAppendInfo {
        let verification = self.verifications.get(&producer_id).copied();
        match self.entry(producer_id) {
            Some(current) => ProducerAppendInfo::new(current, origin, verification),
            None => {
                let current = ProducerStateEntry::empty(producer_id);
                ProducerAppendInfo::new(&current, origin, verification)
            }
        }
    }

    /// Takes over an append that is in the log.
    pub fn update(&mut self, info: &ProducerAppendInfo) {
        let id = info.producer_id();
        self.entry_or(id, || ProducerStateEntry::empty(id))
            .update(info.updated());
        for txn in info.started() {
            self.ongoing.insert(txn.first_offset, *txn);
        }
    }

    /// Ends a transaction. Returns what the transaction index must list if it was aborted.
    pub fn complete_txn(&mut self, completed: &CompletedTxn) -> Option<AbortedTxn> {
        let others = self
            .ongoing
            .values()
            .find(|txn| txn.producer_id != completed.producer_id);
        let last_stable_offset = others.map_or(completed.last_offset + 1, |txn| txn.first_offset);
        let mut txn = self
            .ongoing
            .remove(&completed.first_offset)
            .unwrap_or(TxnMetadata {
                producer_id: completed.producer_id,
                first_offset: completed.first_offset,
                last_offset: None,
            });
        txn.last_offset = Some(completed.last_offset);
        self.unreplicated.insert(completed.first_offset, txn);
        completed.aborted.then_some(AbortedTxn {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset,
        })
    }

    /// The first offset that is undecided, or decided but not yet replicated.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        if self.ongoing.is_empty() && self.unreplicated.is_empty() {
            return None;
        }
        let unreplicated = self.unreplicated.keys().next().copied();
        self.first_undecided_offset()
            .into_iter()
            .chain(unreplicated)
            .min()
    }

    /// The first offset of the oldest open transaction.
    pub fn first_undecided_offset(&self) -> Option<i64> {
        self.ongoing.keys().next().copied()
    }

    /// The high watermark moved: transactions whose marker is below it are done with.
    pub fn on_high_watermark_updated(&mut self, high_watermark: i64) {
        if self.unreplicated.is_empty() {
            return;
        }
        self.unreplicated
            .retain(|_, txn| txn.last_offset.is_none_or(|at| at >= high_watermark));
    }

    /// The log start moved up.
    pub fn on_log_start_offset_incremented(&mut self, log_start_offset: i64) {
        self.on_high_watermark_updated(log_start_offset);
        self.map_end_offset = self.map_end_offset.max(log_start_offset);
        self.snapshots = self.snapshots.split_off(&log_start_offset);
    }

    /// Whether the oldest open transaction has been silent for longer than any transaction may
    /// last, plus five minutes: a hanging transaction (`PartitionsWithLateTransactionsCount`).
    pub fn has_late_transaction(&self, now_ms: i64) -> bool {
        let oldest = self.ongoing.values().next();
        let last_ms = oldest
            .and_then(|txn| self.entry(txn.producer_id))
            .map_or(-1, |entry| entry.last_timestamp_ms);
        let bound_ms = self.config.max_transaction_timeout_ms + LATE_TRANSACTION_BUFFER_MS;
        last_ms >= 0 && now_ms - last_ms > bound_ms
    }

    /// Forgets producers that wrote nothing for `producer.id.expiration.ms`, unless they have an
    /// open transaction; and verifications as old.
    pub fn remove_expired(&mut self, now_ms: i64) {
        let keep_ms = self.config.producer_id_expiration_ms;
        self.producers
            .retain(|entry| !is_expired(entry, now_ms, keep_ms));
        self.verifications
            .retain(|_, entry| now_ms - entry.started_ms < keep_ms);
    }

    /// Offset up to which the state includes the log.
    pub fn map_end_offset(&self) -> i64 {
        self.map_end_offset
    }

    /// Notes that the state includes the log up to `offset`.
    pub fn update_map_end_offset(&mut self, offset: i64) {
        self.map_end_offset = offset;
    }

    /// Takes a snapshot at the current end, as a log does when a segment rolls and on a clean stop.
    pub fn take_snapshot(&mut self) {
        let last_only = |entry: &ProducerStateEntry| {
            let batches = entry.batches.last().copied().into_iter().collect();
            ProducerStateEntry {
                batches,
                ..entry.clone()
            }
        };
        let entries = self.producers.iter().map(last_only).collect();
        self.snapshots
            .entry(self.map_end_offset)
            .or_insert_with(|| Arc::new(entries));
    }

    /// Goes back to the latest snapshot at or below `log_end_offset` (or to nothing). The caller
    /// then replays the log from [`Self::map_end_offset`] with [`Self::replay`].
    pub fn truncate_and_reload(&mut self, log_start: i64, log_end_offset: i64, now_ms: i64) {
        self.snapshots
            .retain(|offset, _| *offset <= log_end_offset && *offset > log_start);
        if log_end_offset == self.map_end_offset {
            self.on_log_start_offset_incremented(log_start);
            return;
        }
        self.producers.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
        self.map_end_offset = log_start;
        let Some((offset, entries)) = self.snapshots.last_key_value() else {
            return;
        };
        self.map_end_offset = *offset;
        let keep_ms = self.config.producer_id_expiration_ms;
        for entry in entries
            .iter()
            .filter(|entry| !is_expired(entry, now_ms, keep_ms))
        {
            let producer_id = entry.producer_id;
            if let Some(first_offset) = entry.current_txn_first_offset {
                let txn = TxnMetadata {
                    producer_id,
                    first_offset,
                    last_offset: None,
                };
                self.ongoing.insert(first_offset, txn);
            }
            // A snapshot is in order of the ids as well.
            self.producers.push(entry.clone());
        }
    }

    /// What a restart does: verifications are forgotten and the latest snapshot is loaded; the
    /// caller replays the log above it.
    pub fn reload(&mut self, log_start: i64, log_end_offset: i64, now_ms: i64) {
        self.verifications.clear();
        self.map_end_offset = NOT_LOADED;
        self.truncate_and_reload(log_start, log_end_offset, now_ms);
    }

    /// Takes in a batch that is in the log already: replication and recovery, without checks.
    pub fn replay<R: LogRecord>(&mut self, batch: &Batch<R>) -> Option<AbortedTxn> {
        self.map_end_offset = batch.next_offset();
        if !batch.producer.has_id() {
            return None;
        }
        let mut info = self.prepare_update(batch.producer.id, AppendOrigin::Replication);
        // Appends by replication pass every check but one: data outside the open transaction of
        // its producer, which no leader can have written.
        let completed = info.append(batch, 0);
        if batch.transactional {
            self.clear_verification(batch.producer.id);
        }
        self.update(&info);
        completed
            .ok()
            .flatten()
            .and_then(|completed| self.complete_txn(&completed))
    }

    /// Forgets everything; the log is empty and continues at `offset`.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64) {
        let next_guard = self.next_guard;
        *self = Self {
            next_guard,
            ..Self::new(self.config.clone(), offset)
        };
    }
}

fn is_expired(entry: &ProducerStateEntry, now_ms: i64, keep_ms: i64) -> bool {
    entry.current_txn_first_offset.is_none() && now_ms - entry.last_timestamp_ms >= keep_ms
}
