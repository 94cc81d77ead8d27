//! A model of Apache Kafka 4.x: brokers, KRaft controllers, producers, consumers and their groups.
//!
//! Rules follow apache/kafka trunk (4.5.0-SNAPSHOT of 2026-08) and the KIPs named at each rule.
//! `rules` holds the decisions as pure functions; `broker`, `controller`, `producer` and `consumer`
//! are the nodes that apply them; `protocol` is what they say to one another.

mod bounds;
pub mod broker;
mod client;
pub mod cluster;
mod compaction_checks;
pub mod compaction_view;
pub mod config;
pub mod consumer;
pub mod controller;
mod describe;
mod duration;
pub(crate) mod embed;
pub mod error;
pub mod facts;
pub mod group_config;
pub mod group_facts;
mod group_invariants;
pub mod group_protocol;
pub mod group_view;
mod group_why;
pub mod ids;
pub mod invariants;
pub mod metadata;
pub mod metadata_log;
pub mod modern_why;
mod node;
pub mod note;
pub mod parts;
pub mod processor;
pub mod producer;
pub mod protocol;
pub mod rules;
pub mod scenario;
mod share_invariants;
pub mod share_protocol;
pub mod spec;
pub mod storage_view;
#[cfg(test)]
pub(crate) mod testing;
pub mod truth;
mod txn_invariants;
pub mod txn_pin;
pub mod txn_protocol;
pub mod txn_view;
mod txn_why;
pub mod view;
pub mod why;

pub use client::ClientMetadata;
pub use node::{KafkaCx, Node, Order, Timer, config_of, orders_of};
pub use note::Note;
pub use protocol::Msg;
