//! Readers of Kafka's families. A family is a file here and a line in [`crate::family`].

pub(crate) mod cleaner;
mod cleaner_log;
mod cleaner_pick;
pub(crate) mod epochs;
pub(crate) mod quota;
pub(crate) mod txn_coordinator;
