//! The parts of a lesson: prose and live blocks.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A lesson as read from its folder.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Folder name.
    pub slug: String,
    /// Where `lesson.md` is.
    pub file: PathBuf,
    /// Title.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// Part of the course.
    pub part: String,
    /// Place in the course.
    pub order: u32,
    /// Minutes.
    pub minutes: u32,
    /// What the model leaves out and that matters here.
    pub left_out: Vec<String>,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// Scenario files by name, with their text.
    pub scenarios: BTreeMap<String, String>,
    /// Prose and blocks in order, each with its line.
    pub blocks: Vec<(u32, Block)>,
}

/// A part of a lesson.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Block {
    /// Prose, compiled to HTML (no raw HTML passes).
    Prose {
        /// The HTML.
        html: String,
    },
    /// A live run.
    Sim(Sim),
    /// A question before the moment.
    Predict(Predict),
    /// Two runs with one knob changed.
    Twin(Twin),
    /// A sentence bound to an event of a run.
    Caption(TimedCaption),
    /// A sentence that the engine confirms.
    Claim(Claim),
}

/// `sim`: a live run beside the text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sim {
    /// Scenario file of the folder.
    pub scenario: String,
    /// Lanes to open; empty = all.
    #[serde(default)]
    pub lanes: Vec<String>,
    /// Where to begin, e.g. `4s`.
    #[serde(default)]
    pub from: Option<String>,
    /// Where to stop by itself.
    #[serde(default)]
    pub until: Option<String>,
    /// Speed as text: `1`, `1/10`, `10`.
    #[serde(default)]
    pub speed: Option<String>,
    /// Deeds offered beside the text, by their palette names (`crash`, `cut` …); empty = all.
    #[serde(default)]
    pub controls: Vec<String>,
    /// What to look at: one sentence under the stage.
    #[serde(default)]
    pub look: Option<String>,
}

/// `predict`: pauses the run before the moment, asks, and is graded by what then happens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Predict {
    /// Name within the lesson.
    pub id: String,
    /// Scenario file of the folder.
    pub scenario: String,
    /// The run pauses before the event that makes this true.
    pub before: String,
    /// The question.
    pub question: String,
    /// The answers, each somebody's real belief.
    pub choices: Vec<Choice>,
    /// When it is graded (`end` or a time).
    #[serde(default = "end")]
    pub at: String,
    /// What to understand from it, shown after grading.
    pub why: String,
}

fn end() -> String {
    "end".to_owned()
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Choice {
    /// What the learner reads.
    pub text: String,
    /// True exactly if this answer is right.
    pub when: String,
}

/// `twin`: the same seed with one knob changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Twin {
    /// Scenario file of the folder.
    pub scenario: String,
    /// The knob: a dotted path into the file, with slashes, since keys have dots:
    /// `kafka/producer/0/config/acks`; a `*` stands for every table of a list.
    pub set: String,
    /// Its value in the twin, as TOML, e.g. `"all"` or `2`.
    pub to: toml::Value,
    /// What the two are called.
    pub names: (String, String),
    /// What to compare, as probes, e.g. `ledger.lost`.
    pub compare: Vec<String>,
    /// When to compare: a time such as `16s`; the end if nothing is said.
    pub compare_at: Option<String>,
    /// What must hold at the end of the twin: a predicate.
    pub twin_holds: String,
    /// What must hold at the end of the original.
    pub original_holds: String,
}

/// `caption`: a sentence that appears when something becomes true.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimedCaption {
    /// Scenario file of the folder.
    pub scenario: String,
    /// When.
    pub when: String,
    /// What it says.
    pub text: String,
}

/// `claim`: a sentence of the lesson that is executed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claim {
    /// The sentence, as it stands in the page.
    pub text: String,
    /// Scenario file of the folder.
    pub scenario: String,
    /// What makes it true.
    pub that: String,
    /// When: `end`, a time, `always`, `never`, `eventually`.
    #[serde(default = "end")]
    pub at: String,
}
