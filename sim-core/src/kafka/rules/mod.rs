//! The rules of Kafka's protocols as pure functions and plain state.
//!
//! Nothing here knows events, messages or brokers: the state machines beside this folder ask these
//! rules and carry out what they answer. That is also what lets the conformance cases drive the
//! very code that a simulated cluster runs.

pub mod assign;
pub mod broker_state;
pub mod classic_group;
pub mod cleaned_txns;
pub mod cleaner;
pub mod cleaner_manager;
pub mod cleaner_range;
pub mod election;
pub mod fetch;
pub mod follower;
pub mod isr;
mod isr_types;
pub mod modern_group;
pub mod murmur2;
pub mod page_cache;
pub mod partition_control;
pub mod partition_log;
pub mod partitioner;
pub mod position;
pub mod producer_append;
pub mod producer_state;
pub mod quorum;
pub mod quorum_leader;
pub mod quota;
pub mod reassignment;
pub mod replica;
pub mod replication;
pub mod server_assign;
pub mod share_group;
pub mod share_partition;
pub mod share_state;
pub mod truncation;
pub mod txn;
