//! Checks on a run: the truth ledger, invariants after each event, and sweeps over seeds.

mod faults;
mod ledger;
mod sweep;

pub use faults::{FaultProfile, faults, targets};
pub use ledger::{GroupCounts, Lane, Ledger, Observation, OutputCounts, SourceRecord, Truth};
pub use sweep::{Ending, RunPlan, RunReport};
