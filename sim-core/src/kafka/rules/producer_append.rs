//! The checks of an idempotent or transactional append, and the state it leaves.
//!
//! Follows `ProducerStateEntry`, `ProducerAppendInfo` and `VerificationStateEntry` (KIP-98,
//! KIP-360, KIP-890). The map of all producers is in
//! [`producer_state`](super::producer_state).

use crate::kafka::error::ErrorCode;
use crate::log::{Batch, ControlMarker, LogRecord};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// How many batches of a producer a partition remembers.
const BATCHES_TO_RETAIN: usize = 5;

/// Where an append comes from, which decides how much is checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum AppendOrigin {
    /// A producer: epoch and sequence.
    Client,
    /// A group or transaction coordinator: epoch, and that of the coordinator.
    Coordinator,
    /// The leader of this partition has checked already.
    Replication,
}

/// A transaction version (KIP-890): 0 and 1 write markers with the producer's epoch, 2 with one
/// more.
pub type TransactionVersion = u8;

/// A batch a partition remembers, to answer a retry with its offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct BatchMetadata {
    /// Sequence number of the last record.
    pub last_sequence: i32,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Last offset minus first offset, and last sequence minus first sequence.
    pub offset_delta: i32,
    /// Largest timestamp in ms.
    pub timestamp_ms: i64,
}

impl BatchMetadata {
    /// Sequence number of the first record; wraps below 0 to 2147483647.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        // The mask keeps 31 bits, so the conversion cannot lose any.
        (first & i64::from(i32::MAX)) as i32
    }

    /// Offset of the first record.
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// The last few batches of a producer, oldest first. They are in place, because every append of
/// every replica copies them.
#[derive(Clone, Copy, Default)]
pub struct RecentBatches {
    batches: [BatchMetadata; BATCHES_TO_RETAIN],
    len: u8,
}

impl RecentBatches {
    /// Adds a batch; the oldest of more than five is forgotten.
    fn push(&mut self, batch: BatchMetadata) {
        let len = usize::from(self.len);
        if len == BATCHES_TO_RETAIN {
            self.batches.copy_within(1.., 0);
            self.batches[len - 1] = batch;
        } else {
            self.batches[len] = batch;
            self.len += 1;
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Deref for RecentBatches {
    type Target = [BatchMetadata];

    fn deref(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.len)]
    }
}

impl FromIterator<BatchMetadata> for RecentBatches {
    fn from_iter<I: IntoIterator<Item = BatchMetadata>>(batches: I) -> Self {
        let mut recent = Self::default();
        for batch in batches {
            recent.push(batch);
        }
        recent
    }
}

impl PartialEq for RecentBatches {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RecentBatches {}

impl fmt::Debug for RecentBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for RecentBatches {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What a partition knows of one producer id.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ProducerStateEntry {
    /// Producer id.
    pub producer_id: i64,
    /// The last batches of the current epoch, oldest first.
    pub batches: RecentBatches,
    /// Producer epoch, -1 before the first batch.
    pub epoch: i16,
    /// Epoch of the last transaction coordinator that wrote a marker, -1 for none.
    pub coordinator_epoch: i32,
    /// Timestamp of the last batch or marker in ms, -1 for none.
    pub last_timestamp_ms: i64,
    /// First offset of the open transaction.
    pub current_txn_first_offset: Option<i64>,
}

impl ProducerStateEntry {
    /// A producer of which nothing is known.
    pub fn empty(producer_id: i64) -> Self {
        Self {
            producer_id,
            batches: RecentBatches::default(),
            epoch: -1,
            coordinator_epoch: -1,
            last_timestamp_ms: -1,
            current_txn_first_offset: None,
        }
    }

    /// Sequence number of the last record, -1 for none.
    pub fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(-1, |batch| batch.last_sequence)
    }

    /// Offset of the last data record, -1 for none.
    pub fn last_data_offset(&self) -> i64 {
        self.batches.last().map_or(-1, |batch| batch.last_offset)
    }

    /// The remembered batch with exactly these sequences, if the epoch is the same: a retry.
    pub fn find_duplicate<R>(&self, batch: &Batch<R>) -> Option<BatchMetadata> {
        if batch.producer.epoch != self.epoch {
            return None;
        }
        let (first, last) = (batch.producer.base_sequence, batch.last_sequence());
        let same =
            |known: &&BatchMetadata| known.first_sequence() == first && known.last_sequence == last;
        self.batches.iter().find(same).copied()
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn remember(&mut self, batch: BatchMetadata) {
        self.batches.push(batch);
    }

    /// Takes over what an append has worked out.
    pub(super) fn update(&mut self, next: &Self) {
        self.enter_epoch(next.epoch);
        for batch in next.batches.iter() {
            self.remember(*batch);
        }
        self.coordinator_epoch = next.coordinator_epoch;
        self.last_timestamp_ms = next.last_timestamp_ms;
        self.current_txn_first_offset = next.current_txn_first_offset;
    }
}

/// A verification under way: the broker asks the transaction coordinator whether the partition is
/// part of the transaction before the first append (KIP-890).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct VerificationStateEntry {
    /// Names this verification; a marker or an append in between makes it void.
    pub guard: VerificationGuard,
    /// Lowest sequence that waits; a higher one may not be written first.
    pub lowest_sequence: i32,
    /// Producer epoch.
    pub epoch: i16,
    /// Whether the client bumps its epoch per transaction (transaction version 2).
    pub supports_epoch_bump: bool,
    /// When it began, in ms.
    pub started_ms: i64,
}

impl VerificationStateEntry {
    pub(super) fn note(&mut self, sequence: i32, epoch: i16) {
        if epoch > self.epoch {
            (self.epoch, self.lowest_sequence) = (epoch, sequence);
        } else if epoch == self.epoch {
            self.lowest_sequence = self.lowest_sequence.min(sequence);
        }
    }
}

/// Identity of a verification; unique within a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct VerificationGuard(pub u64);

/// A transaction on one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TxnMetadata {
    /// Its producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker, once there is one.
    pub last_offset: Option<i64>,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct CompletedTxn {
    /// Its producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// Whether it was aborted.
    pub aborted: bool,
}

/// One append of one producer while it is checked; nothing counts until
/// [`update`](super::producer_state::ProducerStateManager::update) takes it over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerAppendInfo {
    origin: AppendOrigin,
    /// Epoch and last sequence of the state before; -1 each for none.
    known_epoch: i16,
    known_sequence: i32,
    /// The state before remembers batches.
    remembers: bool,
    /// The state after, with only the new batches.
    updated: ProducerStateEntry,
    verification: Option<VerificationStateEntry>,
    started: Vec<TxnMetadata>,
}

impl ProducerAppendInfo {
    pub(super) fn new(
        current: &ProducerStateEntry,
        origin: AppendOrigin,
        verification: Option<VerificationStateEntry>,
    ) -> Self {
        let updated = ProducerStateEntry {
            batches: RecentBatches::default(),
            ..*current
        };
        Self {
            origin,
            known_epoch: current.epoch,
            known_sequence: current.last_sequence(),
            remembers: !current.batches.is_empty(),
            updated,
            verification,
            started: Vec::new(),
        }
    }

    /// Checks a batch and takes it in; a marker may complete a transaction. Offsets of the batch
    /// are those it will have in the log. `version` matters for markers only.
    pub fn append<R: LogRecord>(
        &mut self,
        batch: &Batch<R>,
        version: TransactionVersion,
    ) -> Result<Option<CompletedTxn>, ErrorCode> {
        match batch.control {
            // All of the transaction is gone from the log, and with it what the marker said.
            Some(ControlMarker::LeaderChange | ControlMarker::Emptied) => Ok(None),
            Some(marker) => self.append_marker(batch, marker == ControlMarker::Abort, version),
            None => self.append_data(batch).map(|()| None),
        }
    }

    fn append_data<R>(&mut self, batch: &Batch<R>) -> Result<(), ErrorCode> {
        let stamp = batch.producer;
        self.check_epoch(stamp.epoch, 0)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(stamp.epoch, stamp.base_sequence)?;
        }
        self.updated.enter_epoch(stamp.epoch);
        self.updated.remember(BatchMetadata {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: i32::try_from(batch.last_offset_delta).unwrap_or(i32::MAX),
            timestamp_ms: batch.max_timestamp_ms,
        });
        self.updated.last_timestamp_ms = batch.max_timestamp_ms;
        match self.updated.current_txn_first_offset {
            Some(_) if !batch.transactional => Err(ErrorCode::InvalidTxnState),
            None if batch.transactional => {
                let first_offset = batch.base_offset;
                self.updated.current_txn_first_offset = Some(first_offset);
                let producer_id = stamp.id;
                self.started.push(TxnMetadata {
                    producer_id,
                    first_offset,
                    last_offset: None,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn append_marker<R>(
        &mut self,
        batch: &Batch<R>,
        aborted: bool,
        version: TransactionVersion,
    ) -> Result<Option<CompletedTxn>, ErrorCode> {
        // Followers do not know the version; the leader has checked by the stricter rule.
        let replicated = self.origin == AppendOrigin::Replication;
        self.check_epoch(batch.producer.epoch, if replicated { 0 } else { version })?;
        if self.updated.coordinator_epoch > batch.coordinator_epoch && !replicated {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        // A marker without data before it changes nothing for readers.
        let completed = self
            .updated
            .current_txn_first_offset
            .map(|first_offset| CompletedTxn {
                producer_id: batch.producer.id,
                first_offset,
                last_offset: batch.base_offset,
                aborted,
            });
        self.updated.enter_epoch(batch.producer.epoch);
        self.updated.coordinator_epoch = batch.coordinator_epoch;
        self.updated.current_txn_first_offset = None;
        self.updated.last_timestamp_ms = batch.max_timestamp_ms;
        Ok(completed)
    }

    /// Data and markers up to version 1 may repeat the epoch; markers of version 2 must raise it,
    /// unless they repeat a marker whose transaction has ended.
    fn check_epoch(&self, epoch: i16, version: TransactionVersion) -> Result<(), ErrorCode> {
        let known = self.updated.epoch;
        let invalid = if version >= 2 {
            epoch <= known
        } else {
            epoch < known
        };
        let repeated_marker =
            version >= 2 && epoch == known && self.updated.current_txn_first_offset.is_none();
        if !invalid || repeated_marker || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        Err(ErrorCode::InvalidProducerEpoch)
    }

    fn check_sequence(&self, epoch: i16, sequence: i32) -> Result<(), ErrorCode> {
        let out_of_order = Err(ErrorCode::OutOfOrderSequenceNumber);
        if let Some(entry) = self.verification {
            let starts_late = entry.supports_epoch_bump && sequence != 0 && !self.remembers;
            if starts_late || sequence > entry.lowest_sequence {
                return out_of_order;
            }
        }
        if epoch != self.updated.epoch {
            // A new epoch starts at 0; without any state every sequence is accepted.
            let accepted = sequence == 0 || self.updated.epoch == -1;
            return if accepted { Ok(()) } else { out_of_order };
        }
        let last = if !self.updated.batches.is_empty() {
            self.updated.last_sequence()
        } else if epoch == self.known_epoch {
            self.known_sequence
        } else {
            -1
        };
        let follows =
            i64::from(sequence) == i64::from(last) + 1 || (sequence == 0 && last == i32::MAX);
        if self.known_epoch == -1 || follows {
            Ok(())
        } else {
            out_of_order
        }
    }

    /// Producer id.
    pub fn producer_id(&self) -> i64 {
        self.updated.producer_id
    }

    /// Transactions that began with this append.
    pub fn started(&self) -> &[TxnMetadata] {
        &self.started
    }

    /// The state after the append, holding only its own batches.
    pub fn updated(&self) -> &ProducerStateEntry {
        &self.updated
    }
}
