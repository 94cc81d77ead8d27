//! Readers of Kafka's families. A family is a file here and a line in [`crate::family`].

pub(crate) mod epochs;
pub(crate) mod txn_coordinator;
