//! A model of Apache Kafka 4.x.

pub mod error;
pub mod rules;
