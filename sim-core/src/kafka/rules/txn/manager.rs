//! The transactional ids that a broker coordinates, by the partition of `__transaction_state` that
//! holds them.
//!
//! Follows `TransactionStateManager` and the shell of `TransactionCoordinator`: who may be asked
//! for an id, what of it is written, and what a failed or late write leaves. A broker coordinates a
//! partition that it leads, in the epoch in which it leads it, once it has read it through.

use super::coordinator::{
    self, AddDecision, InitDecision, InitProducerId, TransactionConfig, append_error, partition_for,
};
use super::end_txn::{self, EndDecision, EndTxn};
use super::metadata::TransactionMetadata;
use super::state::{TransactionResult, TransactionState};
use super::transit::TxnTransit;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::rules::producer_append::TransactionVersion;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A transition that must reach the log before it counts.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TxnWrite {
    /// Whose.
    pub id: Arc<str>,
    /// Partition of `__transaction_state`.
    pub partition: u16,
    /// The epoch in which the coordinator decided it.
    pub coordinator_epoch: i32,
    /// The value to write; a tombstone when its state is Dead.
    pub next: TxnTransit,
}

/// Markers to be written to the partitions of a transaction whose end is decided.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct MarkerWork {
    /// Producer id that the markers carry.
    pub producer_id: i64,
    /// Producer epoch that they carry.
    pub producer_epoch: i16,
    /// Which end.
    pub result: TransactionResult,
    /// Partitions that need one.
    pub partitions: BTreeSet<TopicPartition>,
    /// Transaction version by which a partition judges the marker's epoch.
    pub version: TransactionVersion,
    /// What to write when every partition has its marker.
    pub complete: TxnWrite,
}

/// One partition of `__transaction_state` that this broker leads.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
struct Led {
    coordinator_epoch: i32,
    /// Not yet read through.
    loading: bool,
    ids: BTreeMap<Arc<str>, TransactionMetadata>,
}

/// All that a broker coordinates.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TransactionStateManager {
    config: TransactionConfig,
    /// Number of partitions of `__transaction_state`.
    partition_count: u16,
    led: BTreeMap<u16, Led>,
}

impl TransactionStateManager {
    /// Coordinates nothing yet.
    pub fn new(config: TransactionConfig, partition_count: u16) -> Self {
        Self {
            config,
            partition_count,
            led: BTreeMap::new(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &TransactionConfig {
        &self.config
    }

    /// This broker leads a partition from now on. Until [`Self::loaded`] its ids are loading.
    pub fn elected(&mut self, partition: u16, coordinator_epoch: i32) {
        let led = Led {
            coordinator_epoch,
            loading: true,
            ids: BTreeMap::new(),
        };
        self.led.insert(partition, led);
    }

    /// A partition has been read through, oldest value first; `None` is a tombstone. Returns the
    /// markers of the ends that were decided and not completed: they are sent again.
    pub fn loaded(
        &mut self,
        partition: u16,
        values: impl IntoIterator<Item = (Arc<str>, Option<TxnTransit>)>,
        now_ms: i64,
    ) -> Vec<MarkerWork> {
        let Some(led) = self.led.get_mut(&partition) else {
            return Vec::new();
        };
        for (id, value) in values {
            match value {
                Some(value) => led.ids.insert(id, TransactionMetadata::loaded(value)),
                None => led.ids.remove(&id),
            };
        }
        led.loading = false;
        let epoch = led.coordinator_epoch;
        let decided = led
            .ids
            .iter_mut()
            .filter(|(_, it)| it.state().is_prepared());
        let work = decided.filter_map(|(id, metadata)| {
            let next = metadata.prepare_complete(now_ms).ok()?;
            marker_work(id.clone(), metadata, partition, epoch, next)
        });
        work.collect()
    }

    /// This broker leads a partition no more.
    pub fn resigned(&mut self, partition: u16) {
        self.led.remove(&partition);
    }

    /// The partitions led here, each with its epoch.
    pub fn led(&self) -> impl Iterator<Item = (u16, i32)> + '_ {
        self.led
            .iter()
            .map(|(at, led)| (*at, led.coordinator_epoch))
    }

    /// What is known of an id, if it is coordinated here.
    pub fn get(&self, id: &str) -> Option<&TransactionMetadata> {
        let led = self.led.get(&partition_for(id, self.partition_count))?;
        led.ids.get(id)
    }

    /// Every id with what is known of it.
    pub fn ids(&self) -> impl Iterator<Item = (&Arc<str>, &TransactionMetadata)> {
        self.led.values().flat_map(|led| &led.ids)
    }

    fn find(&mut self, id: &str) -> Result<(u16, &mut Led), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let partition = partition_for(id, self.partition_count);
        match self.led.get_mut(&partition) {
            None => Err(ErrorCode::NotCoordinator),
            Some(led) if led.loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(led) => Ok((partition, led)),
        }
    }

    /// Takes in an id that is not known yet (`putTransactionStateIfNotExists`).
    pub fn put_if_absent(
        &mut self,
        id: Arc<str>,
        metadata: TransactionMetadata,
    ) -> Result<(), ErrorCode> {
        let (_, led) = self.find(&id)?;
        led.ids.entry(id).or_insert(metadata);
        Ok(())
    }

    fn known(&mut self, id: &str) -> Result<(u16, i32, &mut TransactionMetadata), ErrorCode> {
        let (partition, led) = self.find(id)?;
        let epoch = led.coordinator_epoch;
        let metadata = led.ids.get_mut(id);
        metadata
            .map(|metadata| (partition, epoch, metadata))
            .ok_or(ErrorCode::InvalidProducerIdMapping)
    }

    /// InitProducerId. The second part is the abort under way, if a transaction was open; its
    /// outcome is answered with CONCURRENT_TRANSACTIONS.
    pub fn init_producer_id(
        &mut self,
        id: &Arc<str>,
        request: &InitProducerId,
        now_ms: i64,
        mut new_id: impl FnMut() -> Result<i64, ErrorCode>,
    ) -> Result<(TxnWrite, Option<EndTxn>), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        self.config.check_timeout(request.timeout_ms)?;
        let version = self.config.version;
        if !self.find(id)?.1.ids.contains_key(id) {
            let created = TransactionMetadata::new(new_id()?, request.timeout_ms, now_ms);
            self.put_if_absent(id.clone(), created)?;
        }
        let (partition, coordinator_epoch, metadata) = self.known(id)?;
        let decision = coordinator::init_producer_id(metadata, request, version, now_ms, new_id)?;
        let (next, end) = match decision {
            InitDecision::Initialise(next) => (next, None),
            InitDecision::AbortOngoing(end, next) => (next, Some(end)),
        };
        let write = TxnWrite {
            id: id.clone(),
            partition,
            coordinator_epoch,
            next,
        };
        Ok((write, end))
    }

    /// AddPartitionsToTxn; `None` when they are part of the transaction already.
    pub fn add_partitions(
        &mut self,
        id: &Arc<str>,
        producer: (i64, i16),
        partitions: &BTreeSet<TopicPartition>,
        version: TransactionVersion,
        now_ms: i64,
    ) -> Result<Option<TxnWrite>, ErrorCode> {
        let (partition, coordinator_epoch, metadata) = self.known(id)?;
        let added = coordinator::add_partitions(metadata, producer, partitions, version, now_ms)?;
        Ok(match added {
            AddDecision::Present => None,
            AddDecision::Add(next) => Some(TxnWrite {
                id: id.clone(),
                partition,
                coordinator_epoch,
                next,
            }),
        })
    }

    /// AddPartitionsToTxn of a broker that only verifies.
    pub fn verify_partitions(
        &mut self,
        id: &str,
        producer: (i64, i16),
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, ErrorCode>, ErrorCode> {
        let (_, _, metadata) = self.known(id)?;
        coordinator::verify_partitions(metadata, producer, partitions)
    }

    /// EndTxn of a client: answered at once with producer id and epoch, or to be written.
    pub fn end_txn(
        &mut self,
        id: &Arc<str>,
        request: &EndTxn,
        now_ms: i64,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
    ) -> Result<Result<(i64, i16), TxnWrite>, ErrorCode> {
        let (partition, coordinator_epoch, metadata) = self.known(id)?;
        Ok(match end_txn::end_txn(metadata, request, now_ms, new_id)? {
            EndDecision::AlreadyEnded(producer_id, epoch) => Ok((producer_id, epoch)),
            EndDecision::Prepare(next) => Err(TxnWrite {
                id: id.clone(),
                partition,
                coordinator_epoch,
                next,
            }),
        })
    }

    /// A write has come to its end, with this error or none. Returns what a client is told.
    pub fn written(&mut self, write: &TxnWrite, error: ErrorCode) -> ErrorCode {
        let led = self.led.get_mut(&write.partition);
        let Some(led) = led.filter(|it| it.coordinator_epoch == write.coordinator_epoch) else {
            // Led elsewhere by now, or here in a later epoch that has loaded what was written.
            return ErrorCode::NotCoordinator;
        };
        let Some(metadata) = led.ids.get_mut(&write.id) else {
            return ErrorCode::NotCoordinator;
        };
        if error.is_error() {
            metadata.append_failed(&write.next);
            return append_error(error);
        }
        if write.next.state == TransactionState::Dead {
            led.ids.remove(&write.id);
            return ErrorCode::None;
        }
        match metadata.complete_transition(write.next.clone()) {
            Ok(()) => ErrorCode::None,
            Err(illegal) => illegal.into(),
        }
    }

    /// The decision of an end is written: the markers to send.
    pub fn markers(
        &mut self,
        id: &Arc<str>,
        request: &EndTxn,
        now_ms: i64,
    ) -> Result<MarkerWork, ErrorCode> {
        let (partition, epoch, metadata) = self.known(id)?;
        let next = end_txn::prepare_markers(metadata, request, now_ms)?;
        marker_work(id.clone(), metadata, partition, epoch, next)
            .ok_or(ErrorCode::UnknownServerError)
    }

    /// Whether markers are still to be sent by this coordinator in this epoch.
    pub fn is_current(&self, write: &TxnWrite) -> bool {
        let led = self.led.get(&write.partition);
        led.is_some_and(|it| it.coordinator_epoch == write.coordinator_epoch)
    }

    /// Aborts every transaction that is open for longer than its timeout.
    pub fn abort_timed_out(&mut self, now_ms: i64) -> Vec<(TxnWrite, EndTxn)> {
        let version = self.config.version;
        let abort = |metadata: &mut TransactionMetadata| {
            coordinator::abort_timed_out(metadata, version, now_ms)?.ok()
        };
        self.scan(abort)
            .map(|(id, partition, coordinator_epoch, (end, next))| {
                let write = TxnWrite {
                    id,
                    partition,
                    coordinator_epoch,
                    next,
                };
                (write, end)
            })
            .collect()
    }

    /// Forgets ids that were idle for `transactional.id.expiration.ms`: tombstones to write.
    pub fn remove_expired(&mut self, now_ms: i64) -> Vec<TxnWrite> {
        let expiration_ms = self.config.transactional_id_expiration_ms;
        let expire = |metadata: &mut TransactionMetadata| {
            let due = metadata.is_expired(now_ms, expiration_ms);
            due.then(|| metadata.prepare_dead().ok()).flatten()
        };
        self.scan(expire)
            .map(|(id, partition, coordinator_epoch, next)| TxnWrite {
                id,
                partition,
                coordinator_epoch,
                next,
            })
            .collect()
    }

    fn scan<T>(
        &mut self,
        mut decide: impl FnMut(&mut TransactionMetadata) -> Option<T>,
    ) -> impl Iterator<Item = (Arc<str>, u16, i32, T)> {
        let mut found = Vec::new();
        for (partition, led) in self.led.iter_mut().filter(|(_, led)| !led.loading) {
            for (id, metadata) in &mut led.ids {
                if let Some(decision) = decide(metadata) {
                    found.push((id.clone(), *partition, led.coordinator_epoch, decision));
                }
            }
        }
        found.into_iter()
    }
}

fn marker_work(
    id: Arc<str>,
    metadata: &TransactionMetadata,
    partition: u16,
    coordinator_epoch: i32,
    next: TxnTransit,
) -> Option<MarkerWork> {
    let now = &metadata.current;
    Some(MarkerWork {
        producer_id: now.producer_id,
        producer_epoch: now.producer_epoch,
        result: TransactionResult::of_state(now.state)?,
        partitions: now.partitions.clone(),
        version: now.client_version,
        complete: TxnWrite {
            id,
            partition,
            coordinator_epoch,
            next,
        },
    })
}
