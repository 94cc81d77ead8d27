//! The deterministic engine of Strandline: a pure library without I/O, clocks or threads.
//!
//! Read the modules in this order: [`kernel`] (time, queue, chance, world), then a system such as
//! [`kafka`], then [`scenario`] (the language), `run` (sessions, seek, links) and `check` (ledger,
//! invariants, sweeps). [`view`] is what an onlooker may see.

pub mod apart;
pub mod check;
pub mod dense;
pub mod few;
pub mod kafka;
pub mod kernel;
pub mod log;
pub mod run;
pub mod scenario;
pub mod settings;
pub mod shared;
pub mod stream;
pub mod systems;
pub mod view;
mod zipf;
