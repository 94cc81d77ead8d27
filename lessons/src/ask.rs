//! Asking runs whether something holds: all questions about one scenario are answered by one run.

use crate::block::{Block, Lesson};
use sim_core::run::{Recipe, Session};
use sim_core::scenario::{self, Scenario};
use sim_core::view::VerdictState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether it held, and what was seen; or why it cannot be asked.
pub(crate) type Answer = Result<(bool, String), String>;

/// What the runs of a lesson's scenarios answer to what its blocks say of them.
pub(crate) struct Answers(BTreeMap<(String, String, String), Answer>);

impl Answers {
    /// Runs each scenario of the lesson once.
    pub(crate) fn of(lesson: &Lesson) -> Self {
        let mut asked: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (_, block) in &lesson.blocks {
            let (scenario, questions): (&str, Vec<(&str, &str)>) = match block {
                Block::Prose { .. } | Block::Sim(_) => continue,
                Block::Predict(it) => {
                    let choices = it.choices.iter().map(|c| (&*c.when, &*it.at));
                    (&it.scenario, choices.collect())
                }
                Block::Twin(it) => (&it.scenario, vec![(&*it.original_holds, "end")]),
                Block::Caption(it) => (&it.scenario, vec![(&*it.when, "eventually")]),
                Block::Claim(it) => (&it.scenario, vec![(&*it.that, &*it.at)]),
            };
            asked.entry(scenario).or_default().extend(questions);
        }
        let mut answers = BTreeMap::new();
        for (scenario, questions) in asked {
            let Some(text) = lesson.scenarios.get(scenario) else {
                continue;
            };
            for ((that, at), answer) in questions.iter().zip(ask(text, &questions)) {
                let key = (scenario.to_owned(), (*that).to_owned(), (*at).to_owned());
                answers.insert(key, answer);
            }
        }
        Answers(answers)
    }

    /// The answer to one of the lesson's questions.
    pub(crate) fn holds(&self, scenario: &str, that: &str, at: &str) -> Answer {
        let key = (scenario.to_owned(), that.to_owned(), at.to_owned());
        let answer = self.0.get(&key).cloned();
        answer.unwrap_or_else(|| Err(format!("`{that}` was not asked")))
    }
}

/// A scenario's text with more expectations behind it, each with its time.
pub(crate) fn with_expectations(text: &str, all: &[(&str, &str)]) -> Result<Scenario, String> {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut more = text.to_owned();
    for (that, at) in all {
        more += &format!("\n[[expect]]\nthat = {}\nat = {}\n", quote(that), quote(at));
    }
    scenario::parse(&more).into_result().map_err(|found| {
        let messages: Vec<String> = found
            .iter()
            .map(|d| match &d.help {
                Some(help) => format!("{} ({help})", d.message),
                None => d.message.clone(),
            })
            .collect();
        let asked: Vec<&str> = all.iter().map(|(that, _)| *that).collect();
        format!("`{}`: {}", asked.join("`, `"), messages.join("; "))
    })
}

/// Runs a text once and answers all questions.
pub(crate) fn ask(text: &str, questions: &[(&str, &str)]) -> Vec<Answer> {
    let readable = |question| with_expectations(text, &[question]).map(|_| ());
    let read: Vec<Result<(), String>> = questions.iter().map(|it| readable(*it)).collect();
    let good = questions.iter().zip(&read).filter(|(_, read)| read.is_ok());
    let good: Vec<(&str, &str)> = good.map(|(question, _)| *question).collect();
    let mut verdicts = match with_expectations(text, &good) {
        Ok(scenario) => {
            let mut session = Session::of(Arc::new(scenario), Recipe::of(text));
            session.advance(session.duration(), u64::MAX);
            session.verdicts()
        }
        Err(message) => return questions.iter().map(|_| Err(message.clone())).collect(),
    };
    // The file's own expectations come first.
    let mut verdicts = verdicts.split_off(verdicts.len() - good.len()).into_iter();
    let answers = read.into_iter().map(|read| {
        read?;
        let verdict = verdicts.next().ok_or("the expectation was not read")?;
        Ok((verdict.state == VerdictState::Held, verdict.detail))
    });
    answers.collect()
}
