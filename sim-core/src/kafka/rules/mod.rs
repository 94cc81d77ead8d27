//! The rules of Kafka's protocols as pure functions and plain state.
//!
//! Nothing here knows events, messages or brokers: the state machines beside this folder ask these
//! rules and carry out what they answer. That is also what lets the conformance cases drive the
//! very code that a simulated cluster runs.

pub mod broker_state;
pub mod election;
pub mod fetch;
pub mod isr;
pub mod murmur2;
pub mod partition_control;
pub mod replica;
pub mod replication;
pub mod truncation;
