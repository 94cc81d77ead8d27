//! The messages of the Kafka protocol, reduced to the fields that decide something.
//!
//! Names follow `clients/src/main/resources/common/message/*.json`. One request of each kind, in
//! its newest version. Left out: fetch sessions (KIP-227), compression, authentication, tagged
//! fields, and the batching of unrelated topics in controller requests where it changes nothing.

use super::error::ErrorCode;
use super::group_protocol::{GroupRequest, GroupResponse};
use super::ids::{BrokerId, TopicPartition};
use super::metadata::MetadataRecord;
use super::rules::producer_state::AbortedTxn;
use super::share_protocol::{ShareRequest, ShareResponse};
use super::txn_protocol::{TxnRequest, TxnResponse};
use crate::kernel::{Digest, Message};
use crate::log::{Batch, BatchList, EpochEnd, RemoteSegments};
use serde::Serialize;

/// The bits of a correlation id that say which client of a process it is of: each has connections
/// of its own.
pub const CLIENT_BITS: u32 = 0xff << 24;

/// Those of the second client of an application that reads and writes.
pub const SECOND_CLIENT: u32 = 1 << 31;

/// A request or its response, matched by correlation id on one connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Msg {
    /// Client to server.
    Request(u32, Box<Request>),
    /// Server to client.
    Response(u32, Box<Response>),
}

/// `acks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Acks {
    /// `acks=0`: no response at all.
    None,
    /// `acks=1`: answered after the leader's append.
    Leader,
    /// `acks=all`: answered when the high watermark has passed the batch.
    All,
}

/// `isolation.level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Isolation {
    /// Reads up to the high watermark.
    ReadUncommitted,
    /// Reads up to the last stable offset.
    ReadCommitted,
}

/// Who fetches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Fetcher {
    /// A follower: its broker id and broker epoch (KIP-903).
    Replica {
        /// Broker id.
        id: BrokerId,
        /// Epoch of its registration.
        broker_epoch: i64,
    },
    /// A client.
    Consumer(Isolation),
}

/// One partition of a fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FetchPartition {
    /// Which.
    pub tp: TopicPartition,
    /// Next offset wanted.
    pub fetch_offset: i64,
    /// Leader epoch as the fetcher knows it; -1 = do not check.
    pub current_leader_epoch: i32,
    /// Epoch of the last record the fetcher has; -1 = none (KIP-595 style divergence check).
    pub last_fetched_epoch: i32,
    /// The follower's log start; -1 for consumers.
    pub log_start_offset: i64,
    /// At most this many bytes.
    pub max_bytes: u32,
}

/// One partition of a fetch response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FetchedPartition {
    /// Which.
    pub tp: TopicPartition,
    /// Outcome.
    pub error: ErrorCode,
    /// Leader's high watermark; -1 on error.
    pub high_watermark: i64,
    /// Last stable offset; -1 on error.
    pub last_stable_offset: i64,
    /// Leader's log start.
    pub log_start_offset: i64,
    /// Where the logs part, if they do.
    pub diverging: Option<EpochEnd>,
    /// New leader hint (KIP-951): (leader, epoch).
    pub current_leader: Option<(BrokerId, i32)>,
    /// To followers: what is in remote storage. Kafka keeps that in `__remote_log_metadata`, which
    /// all brokers read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteSegments>,
    /// For `read_committed`: aborted transactions that touch the batches, by first offset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aborted: Vec<AbortedTxn>,
    /// Whole batches.
    pub batches: BatchList,
}

/// One partition of a metadata response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PartitionMetadata {
    /// Which.
    pub tp: TopicPartition,
    /// Leader or -1.
    pub leader: BrokerId,
    /// Its epoch.
    pub leader_epoch: i32,
    /// All replicas in preference order.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas.
    pub isr: Vec<BrokerId>,
}

/// A partition's changed ISR, as its leader proposes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AlterPartitionData {
    /// Which.
    pub tp: TopicPartition,
    /// Epoch in which the sender leads.
    pub leader_epoch: i32,
    /// Partition epoch on which the proposal builds.
    pub partition_epoch: i32,
    /// New ISR with the broker epochs the leader has seen.
    pub new_isr: Vec<(BrokerId, i64)>,
    /// The leader has recovered from an unclean election.
    pub recovered: bool,
}

/// The controller's answer for one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AlteredPartition {
    /// Which.
    pub tp: TopicPartition,
    /// Outcome.
    pub error: ErrorCode,
    /// State after the change (leader, leader epoch, ISR, partition epoch).
    pub leader: BrokerId,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// ISR.
    pub isr: Vec<BrokerId>,
    /// Partition epoch.
    pub partition_epoch: i32,
}

/// Requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum Request {
    /// The first request on every connection of a client; a broker answers at once. Until then the
    /// client sends nothing else: a broker that cannot be reached costs no attempt of a batch.
    ApiVersions,
    Produce {
        acks: Acks,
        timeout_ms: i64,
        batches: Vec<(TopicPartition, Batch)>,
    },
    Fetch {
        fetcher: Fetcher,
        max_wait_ms: i64,
        min_bytes: u32,
        max_bytes: u32,
        partitions: Vec<FetchPartition>,
    },
    /// All topics.
    Metadata,
    /// timestamp: -1 latest, -2 earliest, -4 earliest on local disk, else first offset with timestamp ≥ it.
    ListOffsets {
        tp: TopicPartition,
        timestamp: i64,
        current_leader_epoch: i32,
        isolation: Isolation,
    },
    /// `replica` is -1 for consumers.
    OffsetsForLeaderEpoch {
        replica: BrokerId,
        tp: TopicPartition,
        current_leader_epoch: i32,
        leader_epoch: i32,
    },
    InitProducerId,
    AllocateProducerIds {
        broker: BrokerId,
        broker_epoch: i64,
    },
    BrokerRegistration {
        broker: BrokerId,
        incarnation: u64,
        /// Epoch before a clean shutdown; -1 if the last shutdown was not clean (KIP-966).
        previous_broker_epoch: i64,
    },
    BrokerHeartbeat {
        broker: BrokerId,
        broker_epoch: i64,
        current_metadata_offset: i64,
        want_fence: bool,
        want_shut_down: bool,
    },
    AlterPartition {
        broker: BrokerId,
        broker_epoch: i64,
        partitions: Vec<AlterPartitionData>,
    },
    Vote {
        pre_vote: bool,
        epoch: i32,
        candidate: BrokerId,
        last_epoch: i32,
        last_epoch_end_offset: i64,
    },
    BeginQuorumEpoch {
        epoch: i32,
        leader: BrokerId,
    },
    EndQuorumEpoch {
        epoch: i32,
        leader: BrokerId,
        preferred_successors: Vec<BrokerId>,
    },
    /// Fetch of the metadata log, by a voter (`replica` = its id) or a broker as observer.
    FetchMetadata {
        replica: BrokerId,
        voter: bool,
        epoch: i32,
        fetch_offset: i64,
        last_fetched_epoch: i32,
        max_wait_ms: i64,
        /// The fetcher's own high watermark, -1 if unknown: a leader with a higher one answers at
        /// once (KIP-1166).
        high_watermark: i64,
    },
    /// To the coordinator of a consumer group, or to find it.
    Group(Box<GroupRequest>),
    /// About a transaction: to its coordinator, to find it, or to the leader of a partition.
    Txn(Box<TxnRequest>),
    /// Of a member of a share group, to the leader of a partition.
    Share(Box<ShareRequest>),
}

/// Responses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum Response {
    /// The connection is usable.
    ApiVersions,
    /// Per batch: partition, error, base offset (-1 on error), log append time, log start offset,
    /// hint at the new leader.
    Produce {
        partitions: Vec<ProducedPartition>,
    },
    Fetch {
        partitions: Vec<FetchedPartition>,
    },
    Metadata {
        /// Live (unfenced) brokers.
        brokers: Vec<BrokerId>,
        partitions: Vec<PartitionMetadata>,
    },
    ListOffsets {
        tp: TopicPartition,
        error: ErrorCode,
        offset: i64,
        leader_epoch: i32,
    },
    OffsetsForLeaderEpoch {
        tp: TopicPartition,
        error: ErrorCode,
        end: EpochEnd,
    },
    InitProducerId {
        error: ErrorCode,
        producer_id: i64,
        producer_epoch: i16,
    },
    AllocateProducerIds {
        error: ErrorCode,
        start: i64,
        len: i64,
    },
    BrokerRegistration {
        error: ErrorCode,
        broker_epoch: i64,
    },
    BrokerHeartbeat {
        error: ErrorCode,
        is_caught_up: bool,
        is_fenced: bool,
        should_shut_down: bool,
    },
    AlterPartition {
        error: ErrorCode,
        partitions: Vec<AlteredPartition>,
    },
    Vote {
        pre_vote: bool,
        error: ErrorCode,
        epoch: i32,
        leader: BrokerId,
        granted: bool,
    },
    BeginQuorumEpoch {
        error: ErrorCode,
        epoch: i32,
        leader: BrokerId,
    },
    EndQuorumEpoch {
        error: ErrorCode,
        epoch: i32,
        leader: BrokerId,
    },
    FetchMetadata {
        error: ErrorCode,
        epoch: i32,
        leader: BrokerId,
        high_watermark: i64,
        diverging: Option<EpochEnd>,
        batches: BatchList<MetadataRecord>,
        /// Snapshot instead of batches, when the follower is below the leader's log start.
        snapshot: Option<Box<super::metadata::Snapshot>>,
    },
    Group(Box<GroupResponse>),
    Txn(Box<TxnResponse>),
    Share(Box<ShareResponse>),
    /// A response whose `throttle_time_ms` is not 0: the broker reads nothing from this connection
    /// for so long, and the client sends nothing on it (KIP-219).
    Throttled {
        throttle_time_ms: i64,
        response: Box<Response>,
    },
}

/// Outcome of a produce for one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProducedPartition {
    /// Which.
    pub tp: TopicPartition,
    /// Outcome.
    pub error: ErrorCode,
    /// Offset of the first record; -1 on error.
    pub base_offset: i64,
    /// New leader hint (KIP-951): (leader, epoch).
    pub current_leader: Option<(BrokerId, i32)>,
}

impl Request {
    /// The API's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Request::ApiVersions => "ApiVersions",
            Request::Produce { .. } => "Produce",
            Request::Fetch {
                fetcher: Fetcher::Replica { .. },
                ..
            } => "ReplicaFetch",
            Request::Fetch { .. } => "Fetch",
            Request::Metadata => "Metadata",
            Request::ListOffsets { .. } => "ListOffsets",
            Request::OffsetsForLeaderEpoch { .. } => "OffsetsForLeaderEpoch",
            Request::InitProducerId => "InitProducerId",
            Request::AllocateProducerIds { .. } => "AllocateProducerIds",
            Request::BrokerRegistration { .. } => "BrokerRegistration",
            Request::BrokerHeartbeat { .. } => "BrokerHeartbeat",
            Request::AlterPartition { .. } => "AlterPartition",
            Request::Vote { pre_vote: true, .. } => "PreVote",
            Request::Vote { .. } => "Vote",
            Request::BeginQuorumEpoch { .. } => "BeginQuorumEpoch",
            Request::EndQuorumEpoch { .. } => "EndQuorumEpoch",
            Request::FetchMetadata { .. } => "FetchMetadata",
            Request::Group(request) => request.name(),
            Request::Txn(request) => request.name(),
            Request::Share(request) => request.name(),
        }
    }
}

impl Response {
    /// What it says besides `throttle_time_ms`.
    #[must_use]
    pub fn plain(&self) -> &Response {
        match self {
            Response::Throttled { response, .. } => response.plain(),
            other => other,
        }
    }

    /// The API's name with `Response`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Response::ApiVersions => "ApiVersionsResponse",
            Response::Produce { .. } => "ProduceResponse",
            Response::Fetch { .. } => "FetchResponse",
            Response::Metadata { .. } => "MetadataResponse",
            Response::ListOffsets { .. } => "ListOffsetsResponse",
            Response::OffsetsForLeaderEpoch { .. } => "OffsetsForLeaderEpochResponse",
            Response::InitProducerId { .. } => "InitProducerIdResponse",
            Response::AllocateProducerIds { .. } => "AllocateProducerIdsResponse",
            Response::BrokerRegistration { .. } => "BrokerRegistrationResponse",
            Response::BrokerHeartbeat { .. } => "BrokerHeartbeatResponse",
            Response::AlterPartition { .. } => "AlterPartitionResponse",
            Response::Vote { .. } => "VoteResponse",
            Response::BeginQuorumEpoch { .. } => "BeginQuorumEpochResponse",
            Response::EndQuorumEpoch { .. } => "EndQuorumEpochResponse",
            Response::FetchMetadata { .. } => "FetchMetadataResponse",
            Response::Group(response) => response.name(),
            Response::Txn(response) => response.name(),
            Response::Share(response) => response.name(),
            Response::Throttled { response, .. } => response.name(),
        }
    }
}

/// Names of all messages, as [`Request::name`] and [`Response::name`] give them.
pub const MESSAGE_KINDS: &[&str] = &[
    "AddPartitionsToTxn",
    "AddPartitionsToTxnResponse",
    "AllocateProducerIds",
    "AllocateProducerIdsResponse",
    "AlterPartition",
    "AlterPartitionResponse",
    "ApiVersions",
    "ApiVersionsResponse",
    "BeginQuorumEpoch",
    "BeginQuorumEpochResponse",
    "BrokerHeartbeat",
    "BrokerHeartbeatResponse",
    "BrokerRegistration",
    "BrokerRegistrationResponse",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupHeartbeatResponse",
    "EndQuorumEpoch",
    "EndQuorumEpochResponse",
    "EndTxn",
    "EndTxnResponse",
    "Fetch",
    "FetchMetadata",
    "FetchMetadataResponse",
    "FetchResponse",
    "FindCoordinator",
    "FindCoordinatorResponse",
    "Heartbeat",
    "HeartbeatResponse",
    "InitProducerId",
    "InitProducerIdResponse",
    "JoinGroup",
    "JoinGroupResponse",
    "LeaveGroup",
    "LeaveGroupResponse",
    "ListOffsets",
    "ListOffsetsResponse",
    "Metadata",
    "MetadataResponse",
    "OffsetCommit",
    "OffsetCommitResponse",
    "OffsetFetch",
    "OffsetFetchResponse",
    "OffsetsForLeaderEpoch",
    "OffsetsForLeaderEpochResponse",
    "PreVote",
    "Produce",
    "ProduceResponse",
    "ReadShareGroupState",
    "ReadShareGroupStateResponse",
    "ReplicaFetch",
    "ShareAcknowledge",
    "ShareAcknowledgeResponse",
    "ShareFetch",
    "ShareFetchResponse",
    "ShareGroupHeartbeat",
    "ShareGroupHeartbeatResponse",
    "SyncGroup",
    "SyncGroupResponse",
    "Vote",
    "VoteResponse",
    "WriteShareGroupState",
    "WriteShareGroupStateResponse",
    "WriteTxnMarkers",
    "WriteTxnMarkersResponse",
];

/// Bytes of a request before its payload; a round figure, for bandwidth only.
const HEADER_BYTES: u64 = 64;

impl Message for Msg {
    fn label(&self) -> &'static str {
        match self {
            Msg::Request(_, request) => request.name(),
            Msg::Response(_, response) => response.name(),
        }
    }

    fn bytes(&self) -> u64 {
        let sum = |batches: &mut dyn Iterator<Item = u32>| batches.map(u64::from).sum::<u64>();
        HEADER_BYTES
            + match self {
                Msg::Request(_, request) => match &**request {
                    Request::Produce { batches, .. } => {
                        sum(&mut batches.iter().map(|(_, b)| b.bytes))
                    }
                    Request::Fetch { partitions, .. } => 40 * partitions.len() as u64,
                    Request::Txn(request) => request.bytes(),
                    _ => 0,
                },
                Msg::Response(_, response) => match response.plain() {
                    Response::Fetch { partitions } => {
                        sum(&mut partitions.iter().flat_map(|p| &p.batches).map(|b| b.bytes))
                    }
                    Response::Share(response) => match &**response {
                        ShareResponse::ShareFetch { partitions, .. } => {
                            sum(&mut partitions.iter().flat_map(|p| &p.batches).map(|b| b.bytes))
                        }
                        _ => 0,
                    },
                    _ => 0,
                },
            }
    }

    /// Batches are told apart by position, epoch and producer stamp; their records are covered by
    /// the full-state digest of the logs that they come from.
    fn fingerprint(&self, digest: &mut Digest) {
        match self {
            Msg::Request(id, request) => {
                digest.word(u64::from(*id) << 1);
                match &**request {
                    Request::Produce { batches, .. } => {
                        for (tp, batch) in batches {
                            stamp(digest, *tp, batch);
                        }
                    }
                    Request::Fetch { partitions, .. } => {
                        for p in partitions {
                            digest.word(p.fetch_offset as u64);
                            digest.word(
                                (u64::from(p.tp.topic.0) << 48)
                                    ^ (u64::from(p.tp.partition) << 32)
                                    ^ u64::from(p.current_leader_epoch as u32),
                            );
                        }
                    }
                    other => digest.value(other),
                }
            }
            Msg::Response(id, response) => {
                digest.word((u64::from(*id) << 1) | 1);
                match &**response {
                    Response::Fetch { partitions } => {
                        for p in partitions {
                            digest.word(p.high_watermark as u64 ^ ((p.error as u64) << 48));
                            for batch in &p.batches {
                                stamp(digest, p.tp, batch);
                            }
                        }
                    }
                    other => digest.value(other),
                }
            }
        }
    }

    fn describe(&self) -> String {
        super::describe::message(self)
    }
}

fn stamp(digest: &mut Digest, tp: TopicPartition, batch: &Batch) {
    digest.word((u64::from(tp.topic.0) << 48) ^ (u64::from(tp.partition) << 32));
    digest.word(batch.base_offset as u64);
    digest.word((u64::from(batch.last_offset_delta) << 32) ^ u64::from(batch.leader_epoch as u32));
    digest.word(batch.producer.id as u64 ^ ((batch.producer.base_sequence as u64) << 20));
    digest.word(batch.records.first().map_or(0, |r| r.id.0));
}
