//! What a job came to, for the report of a run: the answers to all that a predicate may ask of the
//! job, its operators and what its sinks wrote, under the names that they have there.

use super::facts;
use super::job::Job;
use super::probe::{JobProbe, OperatorProbe, Probe, StoreProbe};
use super::spec::OperatorKind;
use crate::kernel::World;
use crate::scenario::{Type, Value};
use crate::systems::Node;
use serde::Serialize;
use std::fmt;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// True or false.
    Bool(bool),
    /// A number; of a time or span: ns.
    Number(i64),
    /// One of the fixed words.
    Word(&'static str),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Bool(it) => it.fmt(f),
            Answer::Number(it) => it.fmt(f),
            Answer::Word(it) => it.fmt(f),
        }
    }
}

/// One that can be asked, and what it has to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its name in predicates.
    pub name: String,
    /// The last parts of the names of what can be asked, and the answers; without those that have
    /// none.
    pub facts: Vec<Fact>,
}

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// The job as a whole.
    Job,
    /// An operator whose tasks run.
    Operator,
    /// What a sink wrote to: a store, or a topic.
    Output,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fact {
    /// The last part of its name.
    pub name: &'static str,
    /// A span: its number is in ns.
    #[serde(skip)]
    pub is_span: bool,
    /// The answer.
    pub value: Answer,
}

/// What a world's job and its parts have to say; empty without a job. An operator without a running
/// task has nothing to say.
#[must_use]
pub fn summary(world: &World<Node>) -> Vec<Subject> {
    let Some(job) = super::why::job(world) else {
        return Vec::new();
    };
    let mut all = vec![Subject {
        kind: SubjectKind::Job,
        name: "job".to_owned(),
        facts: ask(world, JobProbe::ALL, Probe::Job),
    }];
    all.extend(operators(world, job));
    all.extend(outputs(world, job));
    all
}

fn operators<'w>(world: &'w World<Node>, job: &'w Job) -> impl Iterator<Item = Subject> + 'w {
    (0..).zip(&job.spec.operators).filter_map(|(number, it)| {
        let running = Probe::Operator(number, OperatorProbe::Running);
        if facts::value(world, &running) == Value::Int(0) {
            return None;
        }
        Some(Subject {
            kind: SubjectKind::Operator,
            name: it.name.clone(),
            facts: ask(world, OperatorProbe::ALL, |probe| {
                Probe::Operator(number, probe)
            }),
        })
    })
}

fn outputs<'w>(world: &'w World<Node>, job: &'w Job) -> impl Iterator<Item = Subject> + 'w {
    (0..).zip(&job.spec.operators).filter_map(|(number, it)| {
        let OperatorKind::Sink(sink) = &it.kind else {
            return None;
        };
        Some(Subject {
            kind: SubjectKind::Output,
            name: match sink.kafka {
                Some(_) => it.name.clone(),
                None => sink.store.clone(),
            },
            facts: ask(world, StoreProbe::ALL, |probe| Probe::Store(number, probe)),
        })
    })
}

fn ask<P: Copy>(
    world: &World<Node>,
    all: &[(P, &'static str, Type, &'static str)],
    probe: impl Fn(P) -> Probe,
) -> Vec<Fact> {
    let each = all.iter().filter_map(|(of, name, kind, _)| {
        let value = match (facts::value(world, &probe(*of)), kind) {
            (Value::Bool(it), _) => Answer::Bool(it),
            (Value::Int(it), _) => Answer::Number(it),
            (Value::Time(it), _) => Answer::Number(it.try_into().unwrap_or(i64::MAX)),
            (Value::Word(it), Type::Word(words)) => Answer::Word(words.get(usize::from(it))?),
            _ => return None,
        };
        Some(Fact {
            name,
            is_span: *kind == Type::Time,
            value,
        })
    });
    each.collect()
}
