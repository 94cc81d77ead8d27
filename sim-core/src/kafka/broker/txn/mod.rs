//! Transactions at a broker: the coordinator of each partition of `__transaction_state` that it
//! leads, and the leader of partitions that take part.
//!
//! Follows `TransactionCoordinator`, `TransactionStateManager`, `TransactionMarkerChannelManager`
//! and `AddPartitionsToTxnManager`. What is decided is in [`crate::kafka::rules::txn`]; here
//! decisions are appended, count once the high watermark has passed them, and their consequences
//! go out. A broker that becomes leader replays the log first and sends the markers that are still
//! missing. A marker or an answer to oneself takes no time. Left out: compaction of
//! `__transaction_state`.

mod leader;
mod markers;
mod requests;
mod storage;

use super::alarm::Alarm;
use super::purgatory::Wake;
use super::{Broker, BrokerTimer, span};
use crate::apart::Apart;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::txn::{
    EndTxn, TransactionConfig, TransactionMetadata, TransactionStateManager, TxnWrite,
    partition_for,
};
use crate::kafka::txn_protocol::{TRANSACTION_STATE_TOPIC, TransactionalId};
use crate::kernel::{MILLISECOND, Nanos, NodeId};
pub(super) use leader::DelayedVerification;
use leader::MarkerWait;
use markers::Marking;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Pause before a marker, or the completion, is tried again.
const RETRY: Nanos = 100 * MILLISECOND;

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Asker {
    /// A client or another broker: node and correlation id.
    Remote(NodeId, u32),
    /// A client that adds the offsets of a group.
    Offsets(NodeId, u32),
    /// A batch parked here: its connection and the correlation id of its Produce. Or offsets that
    /// wait here.
    Batch(NodeId, u32),
    /// The markers with this number, sent from here.
    Markers(u32),
}

/// All that a broker does for transactions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Transactions {
    coordinator: Option<Coordinator>,
    /// Markers appended here that wait for their in-sync replicas.
    waits: Vec<MarkerWait>,
    /// Produces whose partitions are to be added again: when, ns, and which.
    adds: Vec<(Nanos, NodeId, u32)>,
    alarm: Alarm,
}

/// The coordinator; there is none as long as this broker leads no partition of the topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Coordinator {
    topic: TopicId,
    manager: TransactionStateManager,
    /// By partition, those that this broker leads.
    shards: BTreeMap<u16, Shard>,
    marking: BTreeMap<u32, Marking>,
    next_marking: u32,
    /// When to look for transactions that took too long, ns.
    next_abort: Nanos,
    /// When to look for ids to forget, ns.
    next_expiry: Nanos,
}

/// The log of one partition, as its coordinator sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Shard {
    leader_epoch: i32,
    /// It is being read, until then, ns.
    loading_until: Option<Nanos>,
    /// Appended and not yet committed, in order.
    pending: VecDeque<Pending>,
}

/// A write that waits for the high watermark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Pending {
    needs: i64,
    deadline: Nanos,
    write: TxnWrite,
    then: Then,
}

/// What a write is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Then {
    Init(Asker),
    /// An open transaction is aborted; a producer that initialises is told to wait.
    Abort(Option<Asker>, EndTxn),
    Added(Asker, Vec<TopicPartition>),
    End(Asker, EndTxn),
    /// The markers with this number are written.
    Complete(u32),
    Expired,
}

impl Broker {
    /// The number of `__transaction_state` and of its partitions, if it exists.
    fn transaction_topic(&self) -> Option<(TopicId, u16)> {
        let image = self.meta.image();
        let named = |it: &&String| **it == TRANSACTION_STATE_TOPIC;
        let (topic, _) = image.topics.iter().find(|(_, it)| named(it))?;
        let first = TopicPartition {
            topic: *topic,
            partition: 0,
        };
        let own = image.partitions.range(first..);
        let count = own.take_while(|(tp, _)| tp.topic == *topic).count();
        Some((*topic, u16::try_from(count).unwrap_or(u16::MAX)))
    }

    /// The live leader of the partition that holds an id.
    fn transaction_coordinator(&self, id: &str) -> Option<BrokerId> {
        let (topic, count) = self.transaction_topic()?;
        let partition = partition_for(id, count);
        let image = self.meta.image();
        let registered = image.partitions.get(&TopicPartition { topic, partition })?;
        let live = image.brokers.get(&registered.leader)?;
        (!live.fenced).then_some(registered.leader)
    }

    fn transactions(&mut self) -> &mut Transactions {
        self.txn.get_or_insert_with(|| {
            Apart::new(Transactions {
                coordinator: None,
                waits: Vec::new(),
                adds: Vec::new(),
                alarm: Alarm::default(),
            })
        })
    }

    fn coordinator(&mut self) -> Option<&mut Coordinator> {
        self.txn.as_mut()?.coordinator.as_mut()
    }

    fn new_coordinator(&self, topic: TopicId, count: u16, now: Nanos) -> Coordinator {
        let config = &self.config;
        let config = TransactionConfig {
            max_timeout_ms: i32::try_from(config.txn_max_timeout_ms).unwrap_or(i32::MAX),
            abort_timed_out_interval_ms: config.txn_abort_interval_ms,
            transactional_id_expiration_ms: config.transactional_id_expiration_ms,
            version: u8::try_from(config.transaction_version).unwrap_or(u8::MAX),
            ..TransactionConfig::default()
        };
        let (abort, expiry) = (
            config.abort_timed_out_interval_ms,
            config.remove_expired_interval_ms,
        );
        Coordinator {
            topic,
            manager: TransactionStateManager::new(config, count),
            shards: BTreeMap::new(),
            marking: BTreeMap::new(),
            next_marking: 0,
            next_abort: now.saturating_add(span(abort)),
            next_expiry: now.saturating_add(span(expiry)),
        }
    }

    fn watch_txn_at(&mut self, at: Nanos, cx: &mut KafkaCx<'_>) {
        self.transactions()
            .alarm
            .by(at, BrokerTimer::Transactions, cx);
    }

    pub(super) fn on_txn_timer(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(txn) = self.txn.as_mut() else {
            return;
        };
        txn.alarm.fired();
        let now = cx.now();
        let due: Vec<_> = txn.adds.extract_if(.., |it| it.0 <= now).collect();
        for (_, node, correlation) in due {
            self.ask_about(node, correlation, cx);
        }
        self.complete_marker_waits(cx);
        self.finish_txn_loading(cx);
        self.expire_txn_writes(cx);
        self.retry_markers(cx);
        self.scan_transactions(cx);
        if let Some(at) = self.next_txn_deadline() {
            self.watch_txn_at(at.max(cx.now()), cx);
        }
    }

    fn next_txn_deadline(&self) -> Option<Nanos> {
        let txn = self.txn.as_ref()?;
        let waits = txn.waits.iter().map(|it| it.deadline);
        let adds = txn.adds.iter().map(|it| it.0);
        let own = txn.coordinator.iter().flat_map(|it| {
            let shards = it.shards.values();
            let writes = shards.flat_map(|shard| {
                let writes = shard.pending.iter().map(|it| it.deadline);
                writes.chain(shard.loading_until)
            });
            let again = it.marking.values().filter_map(Marking::again);
            writes.chain(again).chain([it.next_abort, it.next_expiry])
        });
        waits.chain(adds).chain(own).min()
    }

    /// The high watermark of a partition rose, or its leadership changed.
    pub(super) fn on_txn_wake(&mut self, wake: Wake, cx: &mut KafkaCx<'_>) {
        match wake {
            Wake::HighWatermark(tp) | Wake::Changed(tp) => {
                if self.txn.as_ref().is_some_and(|it| !it.waits.is_empty()) {
                    self.complete_marker_waits(cx);
                }
                if self.coordinator().is_some_and(|it| it.topic == tp.topic) {
                    self.complete_txn_writes(tp.partition, cx);
                }
            }
            Wake::Appended(_) | Wake::Connection(_) => {}
        }
    }

    fn note_txn(
        &mut self,
        rule: Rule,
        partition: u16,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let topic = self.coordinator().map(|it| it.topic);
        let tp = topic.map(|topic| TopicPartition { topic, partition });
        self.note_rule(rule, tp, None, before, after, cx);
    }

    /// What an onlooker sees of the transactional ids that this broker coordinates.
    pub fn transactional_ids(
        &self,
    ) -> impl Iterator<Item = (&TransactionalId, &TransactionMetadata)> + '_ {
        let coordinators = self.txn.iter().flat_map(|it| &it.coordinator);
        coordinators.flat_map(|it| it.manager.ids())
    }
}
