//! The rules of groups of the consumer protocol (KIP-848), without the coordinator that carries
//! them out.
//!
//! Follows `CurrentAssignmentBuilder`, `ConsumerGroupMember` and `ConsumerGroup` of Kafka's group
//! coordinator as of 4.3: each partition of a member keeps the epoch at which it was assigned
//! (KIP-1251). [`member`] brings one member toward its target, [`group`] says what state a group is
//! in, and [`commit`] who may commit offsets. The assignors are in [`super::server_assign`].
//!
//! Topics are any kind of id, by its order. Left out: regular expressions of subscriptions (the
//! coordinator hands in the topics that they resolve to), and the records by which all this is
//! kept.

pub mod commit;
pub mod group;
pub mod member;

pub use commit::{CommitCheck, MemberProtocol, validate_offset_commit};
pub use group::{GroupState, PartitionEpochs, group_state};
pub use member::{AssignedEpochs, Heartbeat, MemberState, ModernMember, Target};
