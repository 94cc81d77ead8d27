//! Readers of Kafka's families. A family is a file here and a line in [`crate::family`].

pub(crate) mod assignors;
mod batches;
pub(crate) mod cleaner;
mod cleaner_log;
mod cleaner_pick;
pub(crate) mod controller;
mod controller_cluster;
pub(crate) mod epochs;
mod errors;
pub(crate) mod follower;
pub(crate) mod group_classic;
pub(crate) mod isr;
mod isr_leader;
pub(crate) mod log;
pub(crate) mod modern_group;
pub(crate) mod partitioner;
pub(crate) mod position;
mod producer_log;
pub(crate) mod producers;
pub(crate) mod quorum;
pub(crate) mod quota;
pub(crate) mod server_assignors;
mod stable;
pub(crate) mod txn_coordinator;
