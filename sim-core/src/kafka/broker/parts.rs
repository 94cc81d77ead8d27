//! How a broker calls what not every cluster needs; see [`crate::kafka::parts`].
//!
//! One field for each way in. A function of a part that is left out does nothing: nobody would call
//! it, since no client of such a cluster has a group, a transactional id or a quota, and no topic of
//! it is compacted or kept in remote storage.

use super::Broker;
use super::partition::Partition;
use super::produce::ProduceRequest;
use super::purgatory::Wake;
use super::replication_quota::Side;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupRequest;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{FetchPartition, FetchedPartition};
use crate::kafka::rules::fetch::OffsetView;
use crate::kafka::rules::partition_log::ReadResult;
use crate::kafka::rules::producer_append::TransactionVersion;
use crate::kafka::share_protocol::{ShareRequest, ShareResponse};
use crate::kafka::txn_protocol::{TransactionalId, TxnRequest};
use crate::kernel::{Nanos, NodeId};
use crate::log::{Record, RemoteSegments};

/// Something is due.
type OnTimer = fn(&mut Broker, &mut KafkaCx<'_>);
/// Something happened to a partition that requests may wait for.
type OnWake = fn(&mut Broker, Wake, &mut KafkaCx<'_>);
/// This broker may have become or ceased to be the leader of a partition.
type OnChange = fn(&mut Broker, TopicPartition, &mut KafkaCx<'_>);
/// A request, by connection and correlation id.
type OnRequest<T> = fn(&mut Broker, NodeId, u32, T, &mut KafkaCx<'_>);
/// What became of partitions.
type Outcomes = [(TopicPartition, ErrorCode)];
/// A Produce with a transactional id, and the version of transactions that its sender speaks.
type OnProduce =
    fn(&mut Broker, NodeId, &TransactionalId, TransactionVersion, ProduceRequest, &mut KafkaCx<'_>);

/// The ways into the parts of a broker.
pub(in crate::kafka) struct BrokerParts {
    pub(super) groups: GroupPart,
    pub(super) transactions: TransactionPart,
    pub(super) share: SharePart,
    /// The cleaner wakes up.
    pub(super) cleaner: OnTimer,
    pub(super) tiering: TierPart,
    pub(super) quotas: QuotaPart,
    pub(super) replication_quotas: ReplicationQuotaPart,
    pub(super) pages: PagePart,
}

/// Tiered storage.
pub(super) struct TierPart {
    /// Replicas or settings have changed: there may be something to copy from now on.
    pub(super) start: OnTimer,
    /// The round of copies is due.
    pub(super) task: OnTimer,
    /// A fetch asks for what is on local disk no more, at most so many bytes.
    pub(super) read: OnRemoteRead,
    /// It has got it.
    pub(super) served: fn(&Broker, &FetchPartition, &mut KafkaCx<'_>),
    /// The leader says what is in remote storage.
    pub(super) told: fn(&mut Broker, TopicPartition, &RemoteSegments),
    /// The leader says at what offset its local log starts.
    pub(super) build: fn(&mut Broker, TopicPartition, i64, &mut KafkaCx<'_>),
}

/// Reads for a consumer, or refuses a follower.
type OnRemoteRead =
    fn(&Partition, OffsetView, &FetchPartition, u32) -> Result<ReadResult<Record>, ErrorCode>;

/// The coordinator of consumer groups.
pub(super) struct GroupPart {
    pub(super) request: OnRequest<GroupRequest>,
    pub(super) timer: OnTimer,
    pub(super) wake: OnWake,
    pub(super) partition_changed: OnChange,
}

/// The leader's part in share groups.
pub(super) struct SharePart {
    pub(super) request: OnRequest<ShareRequest>,
    pub(super) timer: OnTimer,
    pub(super) wake: OnWake,
    /// A client's connection is gone.
    pub(super) gone: fn(&mut Broker, NodeId, &mut KafkaCx<'_>),
    pub(super) partition_changed: OnChange,
    /// A share coordinator has answered a question, or will not.
    pub(super) persisted: fn(&mut Broker, u32, Option<ShareResponse>, &mut KafkaCx<'_>),
}

/// The coordinator of transactions, and the leader's part in them.
pub(super) struct TransactionPart {
    pub(super) request: OnRequest<TxnRequest>,
    pub(super) produce: OnProduce,
    pub(super) timer: OnTimer,
    pub(super) wake: OnWake,
    pub(super) partition_changed: OnChange,
    /// The coordinator has said, or not, which partitions are in a transaction.
    pub(super) verified: OnRequest<Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode>>,
    /// Other leaders have written markers, or have not.
    pub(super) markers_written: fn(&mut Broker, u32, &Outcomes, &mut KafkaCx<'_>),
    pub(super) markers_failed: fn(&mut Broker, u32, BrokerId, &mut KafkaCx<'_>),
}

/// Quotas of clients.
pub(super) struct QuotaPart {
    /// Settings have changed.
    pub(super) refresh: fn(&mut Broker),
    /// The most that a client's fetch may ask for, bytes.
    pub(super) fetch_limit: fn(&Broker, NodeId, u32) -> u32,
    pub(super) fetch: Throttle,
    pub(super) produce: Throttle,
}

/// The throttle of replication.
pub(super) struct ReplicationQuotaPart {
    /// Settings or hosted partitions have changed.
    pub(super) refresh: fn(&mut Broker),
    /// Whether the data of a replica that is out of sync must wait.
    pub(super) must_wait: fn(&Broker, Side, TopicPartition, Nanos) -> bool,
    /// So many bytes of throttled replicas were moved.
    pub(super) count: fn(&mut Broker, Side, u64, &mut KafkaCx<'_>),
}

/// A page cache with a bound.
pub(super) struct PagePart {
    /// A batch of so many bytes was appended at this offset.
    pub(super) appended: fn(&mut Broker, TopicPartition, i64, u32),
    /// A fetch has found this for a reader; when it is in memory, ns.
    pub(super) fetched: fn(&mut Broker, NodeId, &[FetchedPartition], &mut KafkaCx<'_>) -> Nanos,
}

/// Counts what a client has moved, bytes; over its quota, the time to wait, ms.
type Throttle = fn(&mut Broker, NodeId, u64, &mut KafkaCx<'_>) -> Option<i64>;

impl Broker {
    /// All parts there are.
    pub(in crate::kafka) const EVERY_PART: BrokerParts = BrokerParts {
        groups: GroupPart {
            request: Broker::on_group_request,
            timer: Broker::on_groups_timer,
            wake: Broker::on_group_wake,
            partition_changed: Broker::group_partition_changed,
        },
        transactions: TransactionPart {
            request: Broker::on_txn_request,
            produce: Broker::on_txn_produce,
            timer: Broker::on_txn_timer,
            wake: Broker::on_txn_wake,
            partition_changed: Broker::txn_partition_changed,
            verified: Broker::on_verified,
            markers_written: Broker::on_markers_written,
            markers_failed: Broker::markers_failed,
        },
        share: SharePart {
            request: Broker::on_share_request,
            timer: Broker::on_share_timer,
            wake: Broker::on_share_wake,
            gone: Broker::share_client_gone,
            partition_changed: Broker::share_partition_changed,
            persisted: Broker::on_share_persisted,
        },
        cleaner: Broker::on_cleaner,
        tiering: TierPart {
            start: Broker::start_tiering,
            task: Broker::on_remote_task,
            read: Broker::read_remote,
            served: Broker::served_from_remote,
            told: Broker::told_of_remote,
            build: Broker::build_from_remote,
        },
        quotas: QuotaPart {
            refresh: Broker::refresh_quotas,
            fetch_limit: Broker::fetch_limit,
            fetch: Broker::throttle_fetch,
            produce: Broker::throttle_produce,
        },
        replication_quotas: ReplicationQuotaPart {
            refresh: Broker::refresh_replication_quotas,
            must_wait: Broker::replica_must_wait,
            count: Broker::count_replication,
        },
        pages: PagePart {
            appended: Broker::cache,
            fetched: Broker::read_fetched,
        },
    };

    /// None of them.
    pub(in crate::kafka) const NO_PART: BrokerParts = BrokerParts {
        groups: GroupPart {
            request: |_, _, _, _, _| {},
            timer: |_, _| {},
            wake: |_, _, _| {},
            partition_changed: |_, _, _| {},
        },
        transactions: TransactionPart {
            request: |_, _, _, _, _| {},
            produce: |_, _, _, _, _, _| {},
            timer: |_, _| {},
            wake: |_, _, _| {},
            partition_changed: |_, _, _| {},
            verified: |_, _, _, _, _| {},
            markers_written: |_, _, _, _| {},
            markers_failed: |_, _, _, _| {},
        },
        share: SharePart {
            request: |_, _, _, _, _| {},
            timer: |_, _| {},
            wake: |_, _, _| {},
            gone: |_, _, _| {},
            partition_changed: |_, _, _| {},
            persisted: |_, _, _, _| {},
        },
        cleaner: |_, _| {},
        tiering: TierPart {
            start: |_, _| {},
            task: |_, _| {},
            read: |_, _, _, _| Err(ErrorCode::OffsetOutOfRange),
            served: |_, _, _| {},
            told: |_, _, _| {},
            build: |_, _, _, _| {},
        },
        quotas: QuotaPart {
            refresh: |_| {},
            fetch_limit: |_, _, asked| asked,
            fetch: |_, _, _, _| None,
            produce: |_, _, _, _| None,
        },
        replication_quotas: ReplicationQuotaPart {
            refresh: |_| {},
            must_wait: |_, _, _, _| false,
            count: |_, _, _, _| {},
        },
        pages: PagePart {
            appended: |_, _, _, _| {},
            fetched: |_, _, _, cx| cx.now(),
        },
    };

    /// What this broker was built with.
    pub(super) fn parts(&self) -> &'static BrokerParts {
        &self.parts.table().broker
    }
}
