//! The scenario language: one TOML file states topology, configuration, load, timeline, captions
//! and expectations.
//!
//! The core is generic: time, network, deeds, predicates. A system brings a section of its own (see
//! `section`), with its table, its node names, its orders and the names that predicates may use;
//! Kafka's is [`crate::kafka::scenario`].

mod acts;
mod build;
mod complete;
mod cursor;
mod declare;
mod deeds;
mod diagnostic;
mod entry;
mod export;
mod happen;
pub mod limits;
mod model;
mod predicate;
mod probe;
mod quantity;
mod raw;
mod reader;
mod schema;
mod section;
mod settings;
pub mod units;
mod verbs;

#[cfg(test)]
mod tests;

pub use build::{Parsed, VERSION, diagnose, parse, parse_bytes};
pub use complete::{Completion, CompletionKind, complete};
pub use deeds::inverse;
pub use diagnostic::{Diagnostic, Severity, render};
pub use export::{with_actions, with_seed};
pub use model::{Act, Caption, Expectation, Moment, Network, Scenario, TimelineEntry, Trigger};
pub use predicate::{Comparison, Expr, Predicate, Sides};
pub use probe::{Facts, LedgerCount, NODE_STATES, NodeSet, Probe, Type, Value};
pub use schema::schema;

pub(crate) use declare::{
    Item, Key, Offer, Table, check_keys, choice, document, field, table_schema, words_schema,
    wrong_kind, wrong_word,
};
pub(crate) use predicate::{Meaning, NodeName, Property, RESERVED};
pub(crate) use quantity::{Milli, Rate, SignedTime, Speed, Time};
pub(crate) use reader::{At, Fields, Problem, Raw, Reader, inside_string};
pub(crate) use section::{Effort, Promise, Section, SystemSection};
pub(crate) use settings::{Config, Settings, put as put_setting};
pub(crate) use verbs::{Arg, ArgKind, Args, Verb, needed, optional};
