//! The scenario language: one TOML file states topology, configuration, load, timeline, captions
//! and expectations.
//!
//! The core is generic: time, network, deeds, predicates. A system brings a section of its own (see
//! `section`), with its table, its node names, its orders and the names that predicates may use;
//! Kafka's is [`crate::kafka::scenario`].

mod deeds;
mod diagnostic;
pub mod limits;
mod model;
mod predicate;
mod probe;

pub use deeds::inverse;
pub use diagnostic::{Diagnostic, Severity, render};
pub use model::{Act, Caption, Expectation, Moment, Network, Scenario, TimelineEntry, Trigger};
pub use predicate::{Comparison, Expr, Predicate};
pub use probe::{Facts, LedgerCount, NODE_STATES, NodeSet, Probe, Type, Value};
