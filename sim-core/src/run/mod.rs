//! Runs: a scenario brought to life, walked through in both directions, and linked to.

mod agenda;
mod bounds;
mod facts;
mod history;
mod job_series;
mod keyframes;
mod look;
mod offers;
mod recipe;
#[allow(clippy::module_inception)]
mod run;
mod session;
mod verdicts;
mod why;
mod words;

pub use bounds::{Bounds, Stopped};
pub use facts::RunFacts;
pub use history::{HISTORY_MAX, History, Marked, Step};
pub use offers::{Offer, Target};
pub use recipe::{ACTIONS_MAX, Action, ENGINE_VERSION, FRAGMENT_MAX, LinkProblem, Opened, Recipe};
pub use run::{Occurrence, Run, RunScratch};
pub use session::{CaptionNow, Session, Stop};
pub use verdicts::Judge;
pub use words::{deed as deed_words, span as span_words, value as value_words};
