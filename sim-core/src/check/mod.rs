//! Checks on a run: the truth ledger, invariants after each event, and sweeps over seeds.

mod ledger;

pub use ledger::{Lane, Ledger, Observation, SourceRecord, Truth};
