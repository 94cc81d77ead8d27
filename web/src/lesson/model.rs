//! A lesson as the `lessons` crate writes it for the site: see that crate's `block` module, which
//! has checked every block against the engine before it was written.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A compiled lesson.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Lesson {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its title.
    pub(crate) title: String,
    /// What it is about, in a sentence.
    #[serde(default)]
    pub(crate) summary: String,
    /// The part of the course it belongs to.
    #[serde(default)]
    pub(crate) part: String,
    /// What the model leaves out and that matters here.
    #[serde(default)]
    pub(crate) left_out: Vec<String>,
    /// Where the facts come from.
    #[serde(default)]
    pub(crate) sources: Vec<String>,
    /// Scenario files by name, with their text.
    #[serde(default)]
    pub(crate) scenarios: BTreeMap<String, String>,
    /// Prose and live parts, in order.
    pub(crate) blocks: Vec<Block>,
    /// What came of each twin block, in order.
    #[serde(default)]
    pub(crate) twins: Vec<Compared>,
}

/// A part of a lesson.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Block {
    /// Prose.
    Prose {
        /// The HTML; the lessons crate lets no raw HTML pass.
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

/// A live run beside the text.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sim {
    /// Scenario file.
    pub(crate) scenario: String,
    /// Lanes to open; empty = all.
    #[serde(default)]
    pub(crate) lanes: Vec<String>,
    /// Where to begin, e.g. `4s`.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// Where to stop by itself.
    #[serde(default)]
    pub(crate) until: Option<String>,
    /// Speed: `1`, `1/10`, `10`.
    #[serde(default)]
    pub(crate) speed: Option<String>,
    /// Deeds offered, by their palette names; empty = all.
    #[serde(default)]
    pub(crate) controls: Vec<String>,
    /// What to look at.
    #[serde(default)]
    pub(crate) look: Option<String>,
}

/// A question that halts the run before the moment and is graded by what then happens.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Predict {
    /// Name within the lesson.
    pub(crate) id: String,
    /// Scenario file.
    pub(crate) scenario: String,
    /// The run halts before the event that makes this true.
    pub(crate) before: String,
    /// The question.
    pub(crate) question: String,
    /// The answers.
    pub(crate) choices: Vec<Choice>,
    /// When it is graded: `end` or a time.
    pub(crate) at: String,
    /// What to understand from it.
    pub(crate) why: String,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Choice {
    /// What the learner reads.
    pub(crate) text: String,
    /// True exactly if this answer is right.
    pub(crate) when: String,
}

/// The same seed with one knob changed.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Twin {
    /// Scenario file.
    pub(crate) scenario: String,
    /// The knob: a path into the file, with slashes.
    pub(crate) set: String,
    /// Its value in the twin.
    pub(crate) to: serde_json::Value,
    /// What the two are called.
    pub(crate) names: (String, String),
}

/// How the two runs of a twin differ.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Compared {
    /// When they part, ns.
    pub(crate) time: u64,
    /// When they are compared, in words.
    pub(crate) moment: String,
    /// What, in the original, in the twin: at that moment.
    pub(crate) values: Vec<(String, String, String)>,
    /// The twin's scenario text.
    pub(crate) twin_text: String,
}

/// A sentence that appears when something becomes true.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct TimedCaption {
    /// Scenario file.
    pub(crate) scenario: String,
    /// When.
    pub(crate) when: String,
    /// What it says.
    pub(crate) text: String,
}

/// A sentence of the lesson that is executed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Claim {
    /// The sentence.
    pub(crate) text: String,
    /// Scenario file.
    pub(crate) scenario: String,
    /// What makes it true.
    pub(crate) that: String,
    /// When: `end`, a time, `always`, `never`, `eventually`.
    pub(crate) at: String,
}

impl Lesson {
    /// The scenario a page begins with: that of its first live part.
    pub(crate) fn first_scenario(&self) -> Option<&str> {
        self.blocks.iter().find_map(|b| match b {
            Block::Sim(s) => Some(s.scenario.as_str()),
            Block::Predict(p) => Some(p.scenario.as_str()),
            Block::Twin(t) => Some(t.scenario.as_str()),
            _ => None,
        })
    }

    /// The text of a scenario with the lesson's captions for it, which the engine then shows at
    /// their moments.
    pub(crate) fn scenario_text(&self, name: &str) -> Option<String> {
        let mut text = self.scenarios.get(name)?.clone();
        let captions = self.blocks.iter().filter_map(|b| match b {
            Block::Caption(c) if c.scenario == name => Some(c),
            _ => None,
        });
        for caption in captions {
            let quote = sim_core::scenario::units::quote;
            text.push_str(&format!(
                "\n[[caption]]\nwhen = {}\ntext = {}\n",
                quote(&caption.when),
                quote(&caption.text)
            ));
        }
        Some(text)
    }

    /// The first live part that shows this scenario.
    pub(crate) fn sim_of(&self, name: &str) -> Option<&Sim> {
        self.blocks.iter().find_map(|b| match b {
            Block::Sim(s) if s.scenario == name => Some(s),
            _ => None,
        })
    }

    /// The predictions on a scenario, in order.
    pub(crate) fn predictions_of(&self, name: &str) -> impl Iterator<Item = &Predict> {
        self.blocks.iter().filter_map(move |b| match b {
            Block::Predict(p) if p.scenario == name => Some(p),
            _ => None,
        })
    }
}

/// A time as lessons write it, in ns; `None` for `end` and for what is no time.
pub(crate) fn time(text: &str) -> Option<u64> {
    sim_core::scenario::units::parse_time(text).ok()
}

/// A speed as lessons write it: `1`, `1/10`, `10`, with or without `×`.
pub(crate) fn speed(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches(['×', 'x']);
    let speed: f64 = match text.split_once('/') {
        Some((a, b)) => a.trim().parse::<f64>().ok()? / b.trim().parse::<f64>().ok()?,
        None => text.parse().ok()?,
    };
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_numbers_or_fractions() {
        for (text, value) in [("1", 1.0), ("1/10", 0.1), ("10×", 10.0), (" 1/4x", 0.25)] {
            assert_eq!(speed(text), Some(value), "{text}");
        }
        for text in ["", "fast", "1/0", "-1"] {
            assert_eq!(speed(text), None, "{text}");
        }
    }

    #[test]
    fn a_lesson_is_read_and_its_captions_become_the_scenarios() {
        let json = r#"{"slug":"l","title":"L","scenarios":{"a.toml":"strandline = 1\n"},"blocks":[
            {"type":"prose","html":"<p>x</p>"},
            {"type":"sim","scenario":"a.toml","lanes":[],"from":"4s","until":null,"speed":"1/10",
             "controls":["crash"],"look":"here"},
            {"type":"caption","scenario":"a.toml","when":"orders-0.isr.size == 1","text":"\"Alone\""}]}"#;
        let lesson: Lesson = serde_json::from_str(json).expect("it is a lesson");
        assert_eq!(lesson.first_scenario(), Some("a.toml"));
        let text = lesson.scenario_text("a.toml").expect("it is there");
        assert!(text.contains("when = \"orders-0.isr.size == 1\""), "{text}");
        assert_eq!(
            lesson
                .sim_of("a.toml")
                .and_then(|s| time(s.from.as_deref()?)),
            Some(4_000_000_000)
        );
    }
}
