//! A broker: it serves clients, replicates partitions and reports to the controller.
//!
//! Follows `BrokerServer` with its parts `ReplicaManager`, `Partition`, `ReplicaFetcherThread`,
//! `BrokerLifecycleManager`, `AlterPartitionManager` and the two purgatories of Apache Kafka 4.x.
//! A broker never stops serving because it cannot reach the controller: a leader that was deposed
//! goes on until its own metadata says so, and only epochs and the ISR keep it from doing harm.
//! Left out: log directories, fetch
//! sessions, follower fetching by consumers (KIP-392).

mod alarm;
mod channel;
mod compaction;
mod config;
mod fetch;
mod fetcher;
mod fetcher_answers;
mod groups;
mod isr;
mod lifecycle;
mod metadata;
mod metadata_api;
mod offsets;
mod page_cache;
mod partition;
mod parts;
mod produce;
mod producer_ids;
mod purgatory;
mod quotas;
mod replica_manager;
mod replication_quota;
mod share;
#[cfg(test)]
mod tests;
mod tiered;
mod txn;
mod upkeep;
mod view;

use super::config::BrokerConfig;
use super::ids::{AddressBook, BrokerId, TopicPartition};
use super::metadata_log::MetadataReplica;
use super::node::{KafkaCx, KafkaInput, Order, Timer};
use super::note::{Note, Rule};
use super::parts::Parts;
use super::protocol::{Msg, Request, Response};
use super::rules::cleaner_manager::LogCleanerManager;
use super::rules::replication::ReplicationRules;
use crate::apart::Apart;
use crate::dense::DenseMap;
use crate::kernel::{Input, Loss, Nanos, NodeId};
use alarm::Alarm;
use channel::Outstanding;
use fetcher::FetcherThread;
use groups::GroupCoordinator;
use isr::AlterPartitionManager;
use lifecycle::Lifecycle;
use metadata::MetadataLoader;
use partition::Partition;
pub(in crate::kafka) use parts::BrokerParts;
use producer_ids::ProducerIdBlock;
use purgatory::{Connection, Wake, client_of};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use lifecycle::BrokerState;
pub use view::{FollowerView, PartitionView, RoleView};

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum BrokerTimer {
    /// The next registration or heartbeat is due.
    Lifecycle,
    /// Ask for metadata again after a failure.
    Metadata,
    /// Look for requests that were not answered in time.
    RequestTimeouts,
    /// Look for parked requests whose time is up.
    Purgatory,
    /// The fetcher of this leader goes on after a backoff or a disk write.
    Fetcher(BrokerId),
    /// Send ISR changes again.
    AlterPartition,
    /// Look for followers that lag (every half `replica.lag.time.max.ms`).
    IsrExpiration,
    /// Write the high watermarks to disk.
    HighWatermarkCheckpoint,
    /// The operating system writes dirty pages.
    Writeback,
    /// Delete old segments (`log.retention.check.interval.ms`), forget idle producers.
    Retention,
    /// A deadline of a consumer group, or of a write to its log.
    Groups,
    /// Compact logs (`log.cleaner.backoff.ms`).
    Cleaner,
    /// Something about transactions: a write or a marker that waits, a scan.
    Transactions,
    /// Copy segments to remote storage (`remote.log.manager.task.interval.ms`).
    Remote,
    /// A record's lock or a fetch of a share group is over.
    Share,
    /// `log.flush.scheduler.interval.ms`.
    Flush,
}

/// What a crash leaves, besides the logs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Disk {
    /// How often the process started; stands for the random incarnation id, so it survives all.
    boots: u64,
    /// The clean-shutdown file with the broker epoch of that run (KIP-966).
    clean_shutdown_epoch: Option<i64>,
    /// Records that a crash took, to be reported at the next start.
    lost: Vec<Lost>,
}

/// A stretch of a log that a crash took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Lost {
    tp: TopicPartition,
    from: i64,
    /// Exclusive.
    to: i64,
    /// With the disk, not with the page cache.
    disk: bool,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Broker {
    id: BrokerId,
    book: Arc<AddressBook>,
    config: Arc<BrokerConfig>,
    rules: Arc<ReplicationRules>,
    #[serde(skip)]
    parts: Parts,
    disk: Disk,
    /// Hosted replicas. Their logs and checkpoints are on disk, the rest is volatile.
    partitions: DenseMap<TopicPartition, Partition>,
    /// The metadata log is on disk, its image is volatile.
    meta: MetadataReplica,
    metadata: MetadataLoader,
    lifecycle: Lifecycle,
    /// Requests to controllers that wait for their answer.
    outstanding: Vec<Outstanding>,
    request_timeouts: Alarm,
    fetchers: BTreeMap<BrokerId, FetcherThread>,
    alter_partition: AlterPartitionManager,
    producer_ids: ProducerIdBlock,
    /// Once this broker has led a partition of `__consumer_offsets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Apart<GroupCoordinator>>,
    /// Once this broker has had to do with a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<Apart<txn::Transactions>>,
    /// As long as a client has a quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<Apart<quotas::ClientQuotas>>,
    /// As long as a topic has throttled replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_quotas: Option<Apart<replication_quota::ReplicationQuotas>>,
    /// The page cache, if it has a bound; it outlives the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Apart<page_cache::Pages>>,
    /// Once a member of a share group has asked for records here.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Apart<share::Shares>>,
    /// By their names; see [`purgatory`].
    connections: BTreeMap<NodeId, Connection>,
    purgatory: Alarm,
    /// What happened in this step that parked requests may wait for; empty between steps.
    wakes: VecDeque<Wake>,
    /// Connections whose next request can be taken; empty between steps.
    ready: VecDeque<NodeId>,
    next_correlation: u32,
    /// Up to where compacted logs are clean; that is on disk.
    cleaner: LogCleanerManager<TopicPartition>,
    /// The cleaner's timer is set.
    cleaner_runs: bool,
    /// So is that of tiered storage.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tiering: bool,
}

impl Broker {
    /// A broker with empty disk; it does nothing until it boots.
    #[must_use]
    pub fn new(
        id: BrokerId,
        book: Arc<AddressBook>,
        config: Arc<BrokerConfig>,
        rules: Arc<ReplicationRules>,
        parts: Parts,
    ) -> Self {
        Broker {
            id,
            book,
            config,
            rules,
            parts,
            disk: Disk::default(),
            partitions: DenseMap::default(),
            meta: MetadataReplica::new(),
            metadata: MetadataLoader::default(),
            lifecycle: Lifecycle::default(),
            outstanding: Vec::new(),
            request_timeouts: Alarm::default(),
            fetchers: BTreeMap::new(),
            alter_partition: AlterPartitionManager::default(),
            producer_ids: ProducerIdBlock::default(),
            groups: None,
            txn: None,
            share: None,
            quotas: None,
            replication_quotas: None,
            pages: None,
            connections: BTreeMap::new(),
            purgatory: Alarm::default(),
            wakes: VecDeque::new(),
            ready: VecDeque::new(),
            next_correlation: 0,
            cleaner: LogCleanerManager::default(),
            cleaner_runs: false,
            tiering: false,
        }
    }

    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    #[must_use]
    pub fn weight(&self) -> usize {
        let partitions = self.partitions.iter().map(|(_, p)| p.weight());
        let connection = size_of::<Connection>() + size_of::<FetcherThread>();
        size_of_val(self) + partitions.sum::<usize>() + self.connections.len() * connection
    }

    /// The one entry.
    pub fn on(&mut self, input: KafkaInput<BrokerTimer>, cx: &mut KafkaCx<'_>) {
        match input {
            Input::Boot => self.boot(cx),
            Input::Message { from, msg } => match msg {
                Msg::Request(correlation, request) => {
                    self.on_request(from, correlation, *request, cx);
                }
                Msg::Response(correlation, response) => {
                    self.on_response(from, correlation, *response, cx);
                }
            },
            Input::Timer(timer) => self.on_timer(timer, cx),
            Input::Disconnected(peer) => self.on_disconnected(peer, cx),
            Input::Order(Order::ControlledShutdown) => self.begin_controlled_shutdown(cx),
            Input::Order(_) => {}
        }
        self.settle(cx);
    }

    fn on_timer(&mut self, timer: BrokerTimer, cx: &mut KafkaCx<'_>) {
        match timer {
            BrokerTimer::Lifecycle => self.on_lifecycle_timer(cx),
            BrokerTimer::Metadata => self.on_metadata_timer(cx),
            BrokerTimer::RequestTimeouts => self.on_request_timeouts(cx),
            BrokerTimer::Purgatory => self.on_purgatory_timer(cx),
            BrokerTimer::Fetcher(leader) => self.on_fetcher_timer(leader, cx),
            BrokerTimer::AlterPartition => self.on_alter_partition_timer(cx),
            BrokerTimer::IsrExpiration => self.on_isr_expiration(cx),
            BrokerTimer::HighWatermarkCheckpoint => self.on_high_watermark_checkpoint(cx),
            BrokerTimer::Writeback => self.on_writeback(cx),
            BrokerTimer::Flush => self.on_flush(cx),
            BrokerTimer::Retention => self.on_retention(cx),
            BrokerTimer::Groups => (self.parts().groups.timer)(self, cx),
            BrokerTimer::Cleaner => (self.parts().cleaner)(self, cx),
            BrokerTimer::Remote => (self.parts().tiering.task)(self, cx),
            BrokerTimer::Transactions => (self.parts().transactions.timer)(self, cx),
            BrokerTimer::Share => (self.parts().share.timer)(self, cx),
        }
    }

    /// Starts the process from what the disk holds.
    fn boot(&mut self, cx: &mut KafkaCx<'_>) {
        self.forget_volatile();
        for lost in std::mem::take(&mut self.disk.lost) {
            let (tp, from, to) = (lost.tp, lost.from, lost.to);
            let rule = if lost.disk {
                Rule::LostDisk
            } else {
                Rule::LostUnflushed
            };
            self.note_rule(rule, Some(tp), None, to, from, cx);
            self.note_dropped(tp, from, to, false, cx);
        }
        let wall_ms = cx.wall_ms();
        for partition in self.partitions.values_mut() {
            partition.load(wall_ms);
        }
        self.disk.boots += 1;
        let previous_epoch = self.disk.clean_shutdown_epoch.take().unwrap_or(-1);
        self.lifecycle.start(self.disk.boots, previous_epoch);
        self.start_upkeep(cx);
        self.start_cleaner(cx);
        (self.parts().tiering.start)(self, cx);
        self.fetch_metadata(cx);
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        let mut lost = std::mem::take(&mut self.disk.lost);
        for (tp, partition) in self.partitions.iter_mut() {
            let range = match loss {
                Loss::Process => None,
                Loss::Power => partition.log.lose_unflushed(0),
                Loss::Disk => {
                    let log = partition.log.log();
                    Some((log.start_offset(), log.leo())).filter(|(from, to)| from < to)
                }
            };
            lost.extend(range.map(|(from, to)| Lost {
                tp,
                from,
                to,
                disk: loss == Loss::Disk,
            }));
        }
        if loss != Loss::Process {
            self.pages = None;
        }
        if loss == Loss::Disk {
            self.partitions.clear();
            self.cleaner = LogCleanerManager::default();
            self.disk.clean_shutdown_epoch = None;
        }
        self.disk.lost = lost;
        self.meta.crash(loss);
        self.forget_volatile();
    }

    fn forget_volatile(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.forget_volatile();
        }
        self.metadata = MetadataLoader::default();
        self.lifecycle = Lifecycle::default();
        self.outstanding.clear();
        self.request_timeouts = Alarm::default();
        self.fetchers.clear();
        self.alter_partition = AlterPartitionManager::default();
        self.producer_ids = ProducerIdBlock::default();
        self.groups = None;
        self.txn = None;
        self.share = None;
        self.quotas = None;
        self.replication_quotas = None;
        self.connections.clear();
        self.purgatory = Alarm::default();
        self.wakes.clear();
        self.ready.clear();
        self.cleaner.forget_volatile();
        self.cleaner_runs = false;
        self.tiering = false;
    }

    /// A server or a client is gone: what was asked of it fails, what it asked is dropped.
    fn on_disconnected(&mut self, peer: NodeId, cx: &mut KafkaCx<'_>) {
        self.connections.retain(|it, _| client_of(*it) != peer);
        if self.share.is_some() {
            (self.parts().share.gone)(self, peer, cx);
        }
        self.fail_requests_to(peer, cx);
    }

    fn correlation(&mut self) -> u32 {
        self.next_correlation = self.next_correlation.wrapping_add(1);
        self.next_correlation
    }

    fn note_rule(
        &self,
        rule: Rule,
        tp: Option<TopicPartition>,
        broker: Option<BrokerId>,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        cx.note(Note::Rule {
            node,
            rule,
            tp,
            broker,
            before,
            after,
        });
    }

    fn note_dropped(
        &self,
        tp: TopicPartition,
        from: i64,
        to: i64,
        retention: bool,
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        cx.note(Note::Dropped {
            node,
            tp,
            from,
            to,
            retention,
        });
    }
}

/// Sends a response.
fn respond(to: NodeId, correlation: u32, response: Response, cx: &mut KafkaCx<'_>) {
    cx.send(
        client_of(to),
        Msg::Response(correlation, Box::new(response)),
    );
}

/// Sends a request.
fn request(to: NodeId, correlation: u32, request: Request, cx: &mut KafkaCx<'_>) {
    cx.send(to, Msg::Request(correlation, Box::new(request)));
}

/// Milliseconds of a setting as a span of simulated time; negative ones count as none.
fn span(ms: i64) -> Nanos {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}

/// The clock by which a leader judges its followers, in ms. It counts from long ago, as real clocks
/// do: "never caught up" is time 0, which must not look recent.
fn clock_ms(cx: &KafkaCx<'_>) -> i64 {
    clock_of(cx.now())
}

fn clock_of(now: Nanos) -> i64 {
    const LONG_AGO: i64 = 1 << 40;
    i64::try_from(now / 1_000_000).map_or(i64::MAX, |ms| ms.saturating_add(LONG_AGO))
}

impl From<BrokerTimer> for Timer {
    fn from(timer: BrokerTimer) -> Self {
        Timer::Broker(timer)
    }
}
