//! The messages of share groups (KIP-932): of members to the leaders of partitions, and of these to
//! share coordinators.
//!
//! Names follow `ShareFetchRequest`, `ShareAcknowledgeRequest` and their responses; one version of
//! each. Left out: share sessions, by which only changes are sent.

use super::error::ErrorCode;
use super::ids::TopicPartition;
use super::rules::classic_group::Name;
use super::rules::share_partition::{AcknowledgeType, AcquiredRecords};
use super::rules::share_state::ShareGroupOffset;
use crate::log::BatchList;
use serde::Serialize;

/// The topic in which share coordinators keep the state of share groups' partitions.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";

/// A member's word on records of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ShareAcknowledgement {
    /// Of which partition.
    pub tp: TopicPartition,
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// For all of them.
    pub kind: AcknowledgeType,
}

/// Requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum ShareRequest {
    /// Asks for records, and says what became of those that it had.
    ShareFetch {
        group: Name,
        member_id: Name,
        max_wait_ms: i64,
        max_records: u32,
        partitions: Vec<TopicPartition>,
        acknowledgements: Vec<ShareAcknowledgement>,
    },
    /// Only the latter.
    ShareAcknowledge {
        group: Name,
        member_id: Name,
        acknowledgements: Vec<ShareAcknowledgement>,
    },
    /// Of a leader, before it hands out the first record.
    ReadShareGroupState {
        group: Name,
        tp: TopicPartition,
        leader_epoch: i32,
    },
    /// Of a leader, with what has changed.
    WriteShareGroupState {
        group: Name,
        tp: TopicPartition,
        written: Box<ShareGroupOffset>,
    },
}

/// What a fetch brought of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SharedRecords {
    /// Which partition.
    pub tp: TopicPartition,
    /// Outcome.
    pub error: ErrorCode,
    /// The records that the member has from now on.
    pub acquired: Vec<AcquiredRecords>,
    /// Whole batches, with others' records in them.
    pub batches: BatchList,
}

/// Responses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum ShareResponse {
    /// Partitions with nothing to tell are left out.
    ShareFetch {
        /// Acknowledgements that were refused.
        refused: Vec<(TopicPartition, ErrorCode)>,
        partitions: Vec<SharedRecords>,
    },
    ShareAcknowledge {
        refused: Vec<(TopicPartition, ErrorCode)>,
    },
    ReadShareGroupState {
        error: ErrorCode,
        /// `None` if nobody has written it yet.
        state: Option<Box<ShareGroupOffset>>,
    },
    WriteShareGroupState {
        error: ErrorCode,
    },
}

impl ShareRequest {
    /// The API's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            ShareRequest::ShareFetch { .. } => "ShareFetch",
            ShareRequest::ShareAcknowledge { .. } => "ShareAcknowledge",
            ShareRequest::ReadShareGroupState { .. } => "ReadShareGroupState",
            ShareRequest::WriteShareGroupState { .. } => "WriteShareGroupState",
        }
    }
}

impl ShareResponse {
    /// The API's name with `Response`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            ShareResponse::ShareFetch { .. } => "ShareFetchResponse",
            ShareResponse::ShareAcknowledge { .. } => "ShareAcknowledgeResponse",
            ShareResponse::ReadShareGroupState { .. } => "ReadShareGroupStateResponse",
            ShareResponse::WriteShareGroupState { .. } => "WriteShareGroupStateResponse",
        }
    }
}
