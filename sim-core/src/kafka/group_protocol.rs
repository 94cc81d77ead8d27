//! The messages between consumers and the coordinators of their groups.
//!
//! Names follow `clients/src/main/resources/common/message/*.json`; one version of each, with one
//! group per request. The records of `__consumer_offsets` are here too
//! (`GroupMetadataKey/Value`, `OffsetCommitKey/Value`).

use super::error::ErrorCode;
use super::ids::{BrokerId, TopicId, TopicPartition};
use super::rules::classic_group::{Bytes, GroupRecord, JoinAnswer, JoinRequest, Name, SyncRequest};
use super::rules::modern_group::{ConsumerGroupRecord, HeartbeatAnswer, HeartbeatRequest};
use serde::{Deserialize, Serialize};

/// The topic in which coordinators keep groups and offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum GroupRequest {
    /// To any broker: who coordinates this group?
    FindCoordinator {
        group: Name,
    },
    JoinGroup {
        group: Name,
        join: JoinRequest,
    },
    SyncGroup {
        group: Name,
        sync: SyncRequest,
    },
    Heartbeat {
        group: Name,
        member_id: Name,
        instance_id: Option<Name>,
        generation: i32,
    },
    /// Member ids with their instance ids.
    LeaveGroup {
        group: Name,
        members: Vec<(Name, Option<Name>)>,
    },
    OffsetCommit {
        group: Name,
        member_id: Name,
        instance_id: Option<Name>,
        generation: i32,
        offsets: Vec<CommittedOffset>,
    },
    OffsetFetch {
        group: Name,
        partitions: Vec<TopicPartition>,
        /// With its epoch, of a member of the consumer protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<(Name, i32)>,
    },
    ConsumerGroupHeartbeat {
        group: Name,
        heartbeat: Box<HeartbeatRequest>,
    },
    /// Of a member that reads one topic.
    ShareGroupHeartbeat {
        group: Name,
        member_id: Name,
        member_epoch: i32,
        topic: TopicId,
    },
}

/// Responses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs)] // fields carry the names of Kafka's own message definitions
pub enum GroupResponse {
    FindCoordinator {
        error: ErrorCode,
        node: BrokerId,
    },
    JoinGroup(JoinAnswer),
    SyncGroup {
        error: ErrorCode,
        assignment: Bytes,
    },
    Heartbeat {
        error: ErrorCode,
    },
    LeaveGroup {
        error: ErrorCode,
    },
    /// One outcome for all: partitions of one request never fare differently here.
    OffsetCommit {
        error: ErrorCode,
    },
    /// Partitions without a committed offset are left out (Kafka answers -1).
    OffsetFetch {
        error: ErrorCode,
        offsets: Vec<CommittedOffset>,
    },
    ConsumerGroupHeartbeat(Box<HeartbeatAnswer>),
    ShareGroupHeartbeat {
        error: ErrorCode,
        member_epoch: i32,
        heartbeat_interval_ms: i64,
        assignment: Option<Vec<u16>>,
    },
}

/// A committed offset: the next one to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// Of which partition.
    pub tp: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// Epoch of the last record read, -1 if unknown.
    pub leader_epoch: i32,
}

/// A record of `__consumer_offsets`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OffsetsRecord {
    /// A group in a new generation; `None` deletes it.
    Group(Name, Option<GroupRecord>),
    /// A commit of a group.
    Offset(Name, CommittedOffset),
    /// A group's offset is forgotten.
    OffsetTombstone(Name, TopicPartition),
    /// Something of a group of the consumer protocol.
    Consumer(Name, ConsumerGroupRecord),
}

impl GroupRequest {
    /// The API's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            GroupRequest::FindCoordinator { .. } => "FindCoordinator",
            GroupRequest::JoinGroup { .. } => "JoinGroup",
            GroupRequest::SyncGroup { .. } => "SyncGroup",
            GroupRequest::Heartbeat { .. } => "Heartbeat",
            GroupRequest::LeaveGroup { .. } => "LeaveGroup",
            GroupRequest::OffsetCommit { .. } => "OffsetCommit",
            GroupRequest::OffsetFetch { .. } => "OffsetFetch",
            GroupRequest::ConsumerGroupHeartbeat { .. } => "ConsumerGroupHeartbeat",
            GroupRequest::ShareGroupHeartbeat { .. } => "ShareGroupHeartbeat",
        }
    }

    /// The group it is about.
    #[must_use]
    pub fn group(&self) -> &Name {
        match self {
            GroupRequest::FindCoordinator { group }
            | GroupRequest::JoinGroup { group, .. }
            | GroupRequest::SyncGroup { group, .. }
            | GroupRequest::Heartbeat { group, .. }
            | GroupRequest::LeaveGroup { group, .. }
            | GroupRequest::OffsetCommit { group, .. }
            | GroupRequest::OffsetFetch { group, .. }
            | GroupRequest::ConsumerGroupHeartbeat { group, .. }
            | GroupRequest::ShareGroupHeartbeat { group, .. } => group,
        }
    }

    /// The answer that says no more than this error.
    #[must_use]
    pub fn refused(&self, error: ErrorCode) -> GroupResponse {
        match self {
            GroupRequest::FindCoordinator { .. } => {
                GroupResponse::FindCoordinator { error, node: -1 }
            }
            GroupRequest::JoinGroup { join, .. } => {
                GroupResponse::JoinGroup(JoinAnswer::refused(error, Name::clone(&join.member_id)))
            }
            GroupRequest::SyncGroup { .. } => GroupResponse::SyncGroup {
                error,
                assignment: Bytes::from([]),
            },
            GroupRequest::Heartbeat { .. } => GroupResponse::Heartbeat { error },
            GroupRequest::LeaveGroup { .. } => GroupResponse::LeaveGroup { error },
            GroupRequest::OffsetCommit { .. } => GroupResponse::OffsetCommit { error },
            GroupRequest::OffsetFetch { .. } => GroupResponse::OffsetFetch {
                error,
                offsets: Vec::new(),
            },
            GroupRequest::ConsumerGroupHeartbeat { heartbeat, .. } => {
                let id = Name::clone(&heartbeat.member_id);
                let refused = HeartbeatAnswer::refused(error, id);
                GroupResponse::ConsumerGroupHeartbeat(Box::new(refused))
            }
            GroupRequest::ShareGroupHeartbeat { .. } => GroupResponse::ShareGroupHeartbeat {
                error,
                member_epoch: 0,
                heartbeat_interval_ms: 0,
                assignment: None,
            },
        }
    }
}

impl GroupResponse {
    /// The API's name with `Response`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            GroupResponse::FindCoordinator { .. } => "FindCoordinatorResponse",
            GroupResponse::JoinGroup(_) => "JoinGroupResponse",
            GroupResponse::SyncGroup { .. } => "SyncGroupResponse",
            GroupResponse::Heartbeat { .. } => "HeartbeatResponse",
            GroupResponse::LeaveGroup { .. } => "LeaveGroupResponse",
            GroupResponse::OffsetCommit { .. } => "OffsetCommitResponse",
            GroupResponse::OffsetFetch { .. } => "OffsetFetchResponse",
            GroupResponse::ConsumerGroupHeartbeat(_) => "ConsumerGroupHeartbeatResponse",
            GroupResponse::ShareGroupHeartbeat { .. } => "ShareGroupHeartbeatResponse",
        }
    }

    /// Its error, if any.
    #[must_use]
    pub fn error(&self) -> ErrorCode {
        match self {
            GroupResponse::JoinGroup(answer) => answer.error,
            GroupResponse::ConsumerGroupHeartbeat(answer) => answer.error,
            GroupResponse::FindCoordinator { error, .. }
            | GroupResponse::SyncGroup { error, .. }
            | GroupResponse::Heartbeat { error }
            | GroupResponse::ShareGroupHeartbeat { error, .. }
            | GroupResponse::LeaveGroup { error }
            | GroupResponse::OffsetCommit { error }
            | GroupResponse::OffsetFetch { error, .. } => *error,
        }
    }
}

/// Which partition of `__consumer_offsets` holds a group: Java's `String.hashCode` of its id,
/// without sign, modulo their number (`Utils.abs(hash) % n`, where abs of the smallest int is 0).
#[must_use]
pub fn partition_for(group: &str, partitions: u16) -> u16 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    let chosen = positive.unsigned_abs() % u32::from(partitions.max(1));
    // Below the number of partitions.
    chosen as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_placed_by_javas_hash() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE; "group-id".hashCode() 506337023.
        let check = |group, partitions, expected| {
            assert_eq!(partition_for(group, partitions), expected, "{group}");
        };
        check("polygenelubricants", 50, 0);
        check("", 50, 0);
        check("a", 50, 97 % 50);
        check("ab", 50, ((97 * 31 + 98) % 50) as u16);
        check("ab", 0, 0);
    }
}
