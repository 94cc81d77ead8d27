//! Runs: a scenario brought to life, walked through in both directions, and linked to.

mod recipe;

pub use recipe::{ACTIONS_MAX, Action, ENGINE_VERSION, FRAGMENT_MAX, LinkProblem, Opened, Recipe};
