//! Running what a lesson says: every scenario, prediction, twin, caption and claim.

use crate::Entry;
use crate::ask::{Answers, ask, with_expectations};
use crate::block::{Block, Claim, Lesson, Predict, TimedCaption, Twin};
use crate::problem::Problem;
use serde::Serialize;
use sim_core::run::{Recipe, Session, Stop, value_words};
use sim_core::scenario::units::parse_time;
use sim_core::scenario::{self, Sides};
use sim_core::view::{JobStore, LedgerView, LineKind, TimeMark, VerdictState};
use std::collections::BTreeMap;

/// What came out when a lesson was run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Each scenario file's run.
    pub scenarios: BTreeMap<String, Ran>,
    /// For each prediction, by its id, what the engine did.
    pub predictions: BTreeMap<String, Predicted>,
    /// For each twin, in order.
    pub twins: Vec<Compared>,
    /// Claims that hold.
    pub claims: u32,
}

/// A scenario's run to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Ledger at the end.
    pub ledger: LedgerView,
    /// What a job's sinks have written at the end.
    pub stores: Vec<JobStore>,
    /// Deeds and captions on the way.
    pub marks: Vec<TimeMark>,
    /// Digest at the end.
    pub digest: String,
    /// Duration, ns.
    pub duration: u64,
}

/// How a prediction comes out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Predicted {
    /// Which answer holds.
    pub right: usize,
    /// When the run pauses to ask, ns.
    pub asked_at: u64,
}

/// How two runs differ.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// First event in which they differ.
    pub event: u64,
    /// When, ns.
    pub time: u64,
    /// When they are compared, in words: `At the end`.
    pub moment: String,
    /// (what, original, twin) at that moment.
    pub values: Vec<(String, String, String)>,
    /// The twin's scenario text.
    pub twin_text: String,
}

impl Checked {
    /// The lesson's line in the table of contents.
    #[must_use]
    pub fn entry(&self, lesson: &Lesson) -> Entry {
        Entry {
            slug: lesson.slug.clone(),
            title: lesson.title.clone(),
            summary: lesson.summary.clone(),
            part: lesson.part.clone(),
            order: lesson.order,
            minutes: lesson.minutes,
            claims: self.claims,
            predictions: self.predictions.len() as u32,
        }
    }
}

/// Runs everything a lesson says.
///
/// # Errors
/// Every block that is broken or not true, at its line.
pub fn check_lesson(lesson: &Lesson) -> Result<Checked, Vec<Problem>> {
    let mut checked = Checked::default();
    let mut problems = Vec::new();
    for name in lesson.scenarios.keys() {
        match run_scenario(lesson, name) {
            Ok(ran) => {
                checked.scenarios.insert(name.clone(), ran);
            }
            Err(found) => problems.extend(found),
        }
    }
    // A broken scenario would only be reported again by every block that uses it.
    if !problems.is_empty() {
        return Err(problems);
    }
    let answers = Answers::of(lesson);
    for (line, block) in &lesson.blocks {
        let result = match block {
            Block::Prose { .. } => Ok(()),
            Block::Sim(sim) => text_of(lesson, &sim.scenario).map(|_| ()),
            Block::Predict(predict) => check_predict(lesson, predict, &answers).map(|outcome| {
                checked.predictions.insert(predict.id.clone(), outcome);
            }),
            Block::Twin(twin) => {
                check_twin(lesson, twin, &answers).map(|found| checked.twins.push(found))
            }
            Block::Caption(caption) => check_caption(lesson, caption, &answers),
            Block::Claim(claim) => {
                check_claim(lesson, claim, &answers).map(|()| checked.claims += 1)
            }
        };
        if let Err(message) = result {
            problems.push(Problem::at(&lesson.file, *line, message));
        }
    }
    if problems.is_empty() {
        Ok(checked)
    } else {
        Err(problems)
    }
}

fn text_of<'a>(lesson: &'a Lesson, name: &str) -> Result<&'a str, String> {
    lesson
        .scenarios
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| {
            let known: Vec<&str> = lesson.scenarios.keys().map(String::as_str).collect();
            format!(
                "there is no scenario file `{name}` beside the lesson; there are: {}",
                known.join(", ")
            )
        })
}

fn run_scenario(lesson: &Lesson, name: &str) -> Result<Ran, Vec<Problem>> {
    let text = &lesson.scenarios[name];
    let file = lesson.file.with_file_name(name);
    let mut session = Session::open(Recipe::of(text.as_str())).map_err(|found| {
        let at = |d: &scenario::Diagnostic| Problem::at(&file, d.line, d.message.clone());
        found.iter().map(at).collect::<Vec<_>>()
    })?;
    session.advance(session.duration(), u64::MAX);
    let mut problems = Vec::new();
    for (verdict, expectation) in session
        .verdicts()
        .iter()
        .zip(&session.scenario().expectations)
    {
        if verdict.state != VerdictState::Held {
            let message = format!(
                "expectation does not hold: {} ({})",
                verdict.text, verdict.detail
            );
            problems.push(Problem::at(&file, expectation.line, message));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Ran {
        title: session.title().to_owned(),
        description: session.scenario().description.clone(),
        ledger: session.ledger(),
        stores: session.job().map(|job| job.stores).unwrap_or_default(),
        marks: session
            .marks()
            .into_iter()
            .filter(|m| m.kind != LineKind::Rule)
            .collect(),
        digest: session.digest(),
        duration: session.duration(),
    })
}

fn check_claim(lesson: &Lesson, claim: &Claim, answers: &Answers) -> Result<(), String> {
    text_of(lesson, &claim.scenario)?;
    match answers.holds(&claim.scenario, &claim.that, &claim.at)? {
        (true, _) => Ok(()),
        (false, detail) => Err(format!(
            "the claim is not true: `{}` at {} ({detail})",
            claim.that, claim.at
        )),
    }
}

fn check_predict(
    lesson: &Lesson,
    predict: &Predict,
    answers: &Answers,
) -> Result<Predicted, String> {
    let text = text_of(lesson, &predict.scenario)?;
    if predict.choices.len() < 2 {
        return Err("a prediction needs at least two choices".to_owned());
    }
    let gated = with_expectations(text, &[(&predict.before, "end")])?;
    let gate = gated.expectations.last().map(|e| e.predicate.clone());
    let mut session = Session::open(Recipe::of(text)).map_err(|_| "the scenario is broken")?;
    session.set_gates(gate.into_iter().map(|gate| (0, gate)).collect());
    if session.advance(session.duration(), u64::MAX) != Stop::Gate(0) {
        return Err(format!(
            "`{}` never becomes true, so nothing is asked",
            predict.before
        ));
    }
    let asked_at = session.now();
    let mut right = Vec::new();
    for (i, choice) in predict.choices.iter().enumerate() {
        let held = answers.holds(&predict.scenario, &choice.when, &predict.at)?;
        if held.0 {
            right.push(i);
        }
    }
    match right.as_slice() {
        [one] => Ok(Predicted {
            right: *one,
            asked_at,
        }),
        [] => Err("no answer is right: the engine does none of these".to_owned()),
        many => Err(format!("{} answers are right at once", many.len())),
    }
}

fn check_caption(lesson: &Lesson, caption: &TimedCaption, answers: &Answers) -> Result<(), String> {
    text_of(lesson, &caption.scenario)?;
    match answers.holds(&caption.scenario, &caption.when, "eventually")? {
        (true, _) => Ok(()),
        (false, _) => Err(format!(
            "`{}` never becomes true, so nobody reads this",
            caption.when
        )),
    }
}

fn check_twin(lesson: &Lesson, twin: &Twin, answers: &Answers) -> Result<Compared, String> {
    let text = text_of(lesson, &twin.scenario)?;
    let twin_text = turn_knob(text, &twin.set, &twin.to)?;
    let original = answers.holds(&twin.scenario, &twin.original_holds, "end");
    let turned = ask(&twin_text, &[(&twin.twin_holds, "end")]).pop();
    for (whose, that, answer) in [
        ("original", &twin.original_holds, Some(original)),
        ("twin", &twin.twin_holds, turned),
    ] {
        let (held, detail) = answer.ok_or("was not asked")??;
        if !held {
            return Err(format!(
                "does not hold at the end of the {whose}: `{that}` ({detail})"
            ));
        }
    }
    let open = |text: &str| {
        Session::open(Recipe::of(text)).map_err(|found| {
            found
                .first()
                .map_or_else(|| "broken".to_owned(), |d| d.message.clone())
        })
    };
    let (mut a, mut b) = (open(text)?, open(&twin_text)?);
    // Both runs share their luck, so up to the knob's first effect they are the same.
    loop {
        let (more_a, more_b) = (a.step(), b.step());
        if a.digest() != b.digest() {
            break;
        }
        if !more_a && !more_b {
            return Err("the twin runs exactly like the original: the knob changes nothing".into());
        }
    }
    let (event, time) = (a.event().min(b.event()), a.now().min(b.now()));
    let compare_at = match &twin.compare_at {
        Some(words) => Some(parse_time(words).map_err(|e| format!("`compare-at`: {e}"))?),
        None => None,
    };
    if compare_at.is_some_and(|at| at < time) {
        return Err("at `compare-at` the two runs are still the same".to_owned());
    }
    for session in [&mut a, &mut b] {
        session.advance(compare_at.unwrap_or(session.duration()), u64::MAX);
    }
    let mut values = Vec::new();
    for probe in &twin.compare {
        let compiled = with_expectations(text, &[(&format!("{probe} == {probe}"), "end")])?;
        let predicate = compiled.expectations.last().map(|e| e.predicate.clone());
        let value = |session: &Session| {
            let predicate = predicate.as_ref();
            let sides = predicate.map(|p| p.sides(&session.run().facts()));
            let nodes = &session.run().scenario().nodes;
            let say = |it: &Sides| value_words(&it.left, nodes, it.words);
            let sides = sides.unwrap_or_default();
            sides.first().map_or_else(|| "none".to_owned(), say)
        };
        values.push((probe.clone(), value(&a), value(&b)));
    }
    if values.iter().all(|(_, a, b)| a == b) {
        return Err("nothing that is compared differs, so the table teaches nothing".to_owned());
    }
    Ok(Compared {
        event,
        time,
        moment: twin
            .compare_at
            .as_ref()
            .map_or_else(|| "At the end".to_owned(), |at| format!("At {at}")),
        values,
        twin_text,
    })
}

/// Changes one value of a scenario's text and keeps the rest as written.
pub(crate) fn turn_knob(text: &str, path: &str, to: &toml::Value) -> Result<String, String> {
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let value: toml_edit::Value =
        to.to_string()
            .parse()
            .map_err(|error: toml_edit::TomlError| {
                format!("`to` cannot be written: {}", error.message())
            })?;
    let parts: Vec<&str> = path.split('/').collect();
    turn(document.as_item_mut(), &parts, &value).map_err(|part| match part {
        Some(part) => format!("`{path}`: the scenario has no `{part}` there"),
        None => "`set` is empty".to_owned(),
    })?;
    Ok(document.to_string())
}

/// Sets what the path leads to; `*` goes into every table of a list. The error is the part of the
/// path that is not there.
fn turn<'p>(
    item: &mut toml_edit::Item,
    path: &[&'p str],
    value: &toml_edit::Value,
) -> Result<(), Option<&'p str>> {
    match path {
        [] => Err(None),
        [key] => {
            item[*key] = toml_edit::Item::Value(value.clone());
            Ok(())
        }
        ["*", rest @ ..] => {
            let count = item.as_array_of_tables().map_or(0, |list| list.len());
            if count == 0 {
                return Err(Some("*"));
            }
            (0..count).try_for_each(|index| {
                let inner = item.get_mut(index).ok_or(Some("*"))?;
                turn(inner, rest, value)
            })
        }
        [part, rest @ ..] => {
            let inner = match part.parse::<usize>() {
                Ok(index) => item.get_mut(index),
                Err(_) => item.get_mut(*part),
            };
            turn(inner.ok_or(Some(*part))?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knob_is_turned_in_place() {
        let text =
            "# kept\n[[kafka.producer]]\nname = \"p\"\nconfig = { acks = \"1\" } # kept too\n";
        let to = toml::Value::String("all".to_owned());
        let turned = turn_knob(text, "kafka/producer/0/config/acks", &to).expect("is there");
        assert!(turned.contains("acks = \"all\""), "{turned}");
        assert!(
            turned.contains("# kept\n") && turned.contains("# kept too"),
            "{turned}"
        );
        assert!(turn_knob(text, "kafka/consumer/0/x", &to).is_err());
        let two = format!("{text}[[kafka.producer]]\nname = \"q\"\nconfig = {{}}\n");
        let turned = turn_knob(&two, "kafka/producer/*/config/acks", &to).expect("are there");
        assert_eq!(turned.matches("acks = \"all\"").count(), 2, "{turned}");
        assert!(turn_knob(text, "kafka/consumer/*/x", &to).is_err());
    }
}
