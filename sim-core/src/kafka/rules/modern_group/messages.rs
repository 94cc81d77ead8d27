//! What goes in and out of a group of the consumer protocol: heartbeats, answers, records.
//!
//! Follows `ConsumerGroupHeartbeatRequest` and `-Response` and the records
//! `ConsumerGroupMetadata`, `ConsumerGroupMemberMetadata`, `ConsumerGroupTargetAssignmentMetadata`,
//! `ConsumerGroupTargetAssignmentMember` and `ConsumerGroupCurrentMemberAssignment`, reduced to the
//! fields that decide something. Left out: racks and regular expressions.

use super::ModernMember;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicId;
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::server_assign::{Partitions, ServerAssignor, TopicCounts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// ConsumerGroupHeartbeat. What did not change since the last one may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeartbeatRequest {
    /// Made by the member itself (KIP-1082).
    pub member_id: Name,
    /// 0 to join, -1 to leave, -2 to leave for a while.
    pub member_epoch: i32,
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout_ms: Option<i64>,
    /// The topics that it subscribes to.
    pub subscribed: Option<BTreeSet<TopicId>>,
    /// `group.remote.assignor`.
    pub assignor: Option<Name>,
    /// What it owns.
    pub owned: Option<Partitions<TopicId>>,
}

impl HeartbeatRequest {
    /// Whether it says everything, so that the answer must too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let all = self.rebalance_timeout_ms.is_some() && self.subscribed.is_some();
        self.member_epoch == 0 || (all && self.owned.is_some())
    }
}

/// ConsumerGroupHeartbeat's response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeartbeatAnswer {
    /// Outcome.
    pub error: ErrorCode,
    /// Of whom.
    pub member_id: Name,
    /// The member's epoch.
    pub member_epoch: i32,
    /// When to come again, ms.
    pub heartbeat_interval_ms: i64,
    /// What it is to own; `None` for what it was told last.
    pub assignment: Option<Partitions<TopicId>>,
}

impl HeartbeatAnswer {
    /// One that says no more than this error.
    #[must_use]
    pub fn refused(error: ErrorCode, member_id: Name) -> Self {
        HeartbeatAnswer {
            error,
            member_id,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            assignment: None,
        }
    }
}

/// What a member says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MemberProfile {
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// How long it may take to give partitions up, ms.
    pub rebalance_timeout_ms: i64,
    /// The topics that it subscribes to.
    pub topics: BTreeSet<TopicId>,
    /// The assignor that it votes for.
    pub assignor: Option<ServerAssignor>,
}

/// A record of a group. One without value deletes what its key names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConsumerGroupRecord {
    /// The group's epoch, and what it knows of its topics (which Kafka keeps as a hash).
    Metadata(i32, TopicCounts<TopicId>),
    /// A member.
    Member(Name, Option<MemberProfile>),
    /// The epoch of the target assignment, and when it was made, ms.
    TargetEpoch(i32, Option<i64>),
    /// A member's target.
    Target(Name, Option<Partitions<TopicId>>),
    /// What a member has.
    Current(Name, Option<ModernMember<TopicId>>),
    /// The group is deleted.
    NoMetadata,
    /// And its target with it.
    NoTargetEpoch,
}

impl ConsumerGroupRecord {
    /// The number of the kind, and the member, of which its key is made.
    #[must_use]
    pub fn key(&self) -> (u64, &str) {
        match self {
            ConsumerGroupRecord::Metadata(..) | ConsumerGroupRecord::NoMetadata => (3, ""),
            ConsumerGroupRecord::Member(id, _) => (5, id),
            ConsumerGroupRecord::TargetEpoch(..) | ConsumerGroupRecord::NoTargetEpoch => (6, ""),
            ConsumerGroupRecord::Target(id, _) => (7, id),
            ConsumerGroupRecord::Current(id, _) => (8, id),
        }
    }

    /// Whether it has no value.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        matches!(
            self,
            ConsumerGroupRecord::Member(_, None)
                | ConsumerGroupRecord::Target(_, None)
                | ConsumerGroupRecord::Current(_, None)
                | ConsumerGroupRecord::NoMetadata
                | ConsumerGroupRecord::NoTargetEpoch
        )
    }
}
