//! What goes in and out of a classic group: requests, answers, records.
//!
//! Follows `JoinGroupRequest`, `SyncGroupRequest`, `GroupMetadataValue` and their neighbours, reduced
//! to the fields that decide something.

use super::{Bytes, Name};
use crate::kafka::error::ErrorCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where an answer belongs: whatever the caller needs to find the request again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Ticket(pub u64);

/// An assignor that a member supports, with its subscription in that assignor's form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Protocol {
    /// Name of the assignor.
    pub name: Name,
    /// The subscription.
    pub metadata: Bytes,
}

/// JoinGroup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JoinRequest {
    /// Empty at first.
    pub member_id: Name,
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// `client.id`.
    pub client_id: Name,
    /// `session.timeout.ms`.
    pub session_timeout_ms: i64,
    /// `max.poll.interval.ms` of a consumer.
    pub rebalance_timeout_ms: i64,
    /// `consumer`.
    pub protocol_type: Name,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// Version 4 and later: a dynamic member must come back with the id it is given.
    pub known_id_required: bool,
}

/// A member in the leader's JoinGroup response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Name,
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// Its subscription for the chosen assignor.
    pub metadata: Bytes,
}

/// JoinGroup's response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JoinAnswer {
    /// Outcome.
    pub error: ErrorCode,
    /// The member's id.
    pub member_id: Name,
    /// -1 on error.
    pub generation: i32,
    /// The chosen assignor.
    pub protocol: Option<Name>,
    /// Who assigns; empty on error.
    pub leader: Name,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
    /// The leader came back to an assignment that stands: it must not assign anew (KIP-814).
    pub skip_assignment: bool,
}

impl JoinAnswer {
    pub(in crate::kafka) fn refused(error: ErrorCode, member_id: Name) -> Self {
        JoinAnswer {
            error,
            member_id,
            generation: -1,
            protocol: None,
            leader: Arc::from(""),
            members: Vec::new(),
            skip_assignment: false,
        }
    }
}

/// SyncGroup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SyncRequest {
    /// Who.
    pub member_id: Name,
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// In which generation.
    pub generation: i32,
    /// Checked if given.
    pub protocol_type: Option<Name>,
    /// Checked if given.
    pub protocol: Option<Name>,
    /// From the leader: member and assignment.
    pub assignments: Vec<(Name, Bytes)>,
}

/// What is done after [`Effect`]s were carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Effect {
    /// Answer a JoinGroup.
    Join(Ticket, JoinAnswer),
    /// Answer a SyncGroup.
    Sync(Ticket, ErrorCode, Bytes),
    /// Append this to `__consumer_offsets`, and call [`ClassicGroup::stored`] with the second part
    /// once it is committed or has failed.
    Persist(Box<GroupRecord>, Stored),
}

/// What was persisted, and what must follow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Stored {
    /// The group without members. Nothing follows.
    Empty,
    /// The leader's assignment of a generation.
    Assignment {
        /// Which.
        generation: i32,
        /// By member.
        assignments: Vec<(Name, Bytes)>,
    },
    /// A static member's new id.
    Replaced(Box<Replaced>),
}

/// A static member that came back under a new id, and what it was before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replaced {
    pub(super) instance_id: Name,
    pub(super) old_member_id: Name,
    pub(super) new_member_id: Name,
    pub(super) protocols: Vec<Protocol>,
    pub(super) rebalance_timeout_ms: i64,
    pub(super) session_timeout_ms: i64,
}

/// A group as it stands in the log (`GroupMetadataValue`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupRecord {
    /// `consumer`, or none.
    pub protocol_type: Option<Name>,
    /// Generation.
    pub generation: i32,
    /// The chosen assignor.
    pub protocol: Option<Name>,
    /// The leader.
    pub leader: Option<Name>,
    /// Members with their assignments.
    pub members: Vec<MemberRecord>,
}

/// A member as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Its id.
    pub member_id: Name,
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// `client.id`.
    pub client_id: Name,
    /// ms.
    pub session_timeout_ms: i64,
    /// ms.
    pub rebalance_timeout_ms: i64,
    /// Its subscription for the chosen assignor.
    pub subscription: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}
