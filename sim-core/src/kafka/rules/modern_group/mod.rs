//! The rules of groups of the consumer protocol (KIP-848), without the coordinator that carries
//! them out.
//!
//! Follows `CurrentAssignmentBuilder`, `ConsumerGroupMember` and `ConsumerGroup` of Kafka's group
//! coordinator as of 4.3: each partition of a member keeps the epoch at which it was assigned
//! (KIP-1251). [`member`] brings one member toward its target, [`group`] says what state a group is
//! in, [`commit`] who may commit offsets, and [`consumer_group`] puts them together: what the
//! coordinator does with a heartbeat, and the records by which a group is kept. The assignors are
//! in [`super::server_assign`].
//!
//! Topics are any kind of id, by its order. Left out: regular expressions of subscriptions.

pub mod commit;
pub mod consumer_group;
pub mod group;
pub mod member;
pub mod messages;

pub use commit::{CommitCheck, MemberProtocol, validate_offset_commit};
pub use consumer_group::{ConsumerGroup, ConsumerGroupSettings, ConsumerMember, Fenced};
pub use group::{GroupState, PartitionEpochs, group_state};
pub use member::{AssignedEpochs, Heartbeat, MemberState, ModernMember, Target};
pub use messages::{ConsumerGroupRecord, HeartbeatAnswer, HeartbeatRequest, MemberProfile};
