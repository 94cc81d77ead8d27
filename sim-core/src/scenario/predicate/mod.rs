//! Predicates: sentences about the simulated state that are true or false.
//!
//! A predicate is compiled once into a small typed tree over [`Probe`]s and constants. Evaluation
//! looks up no names, allocates nothing and cannot fail.

mod compile;
mod parse;
mod vocabulary;

#[cfg(test)]
mod tests;

pub(crate) use compile::{compile, compile_predicate, describe};
pub(crate) use parse::Wrong;
pub(crate) use vocabulary::{Meaning, NodeName, Property, RESERVED, Vocabulary};

use super::probe::{Facts, Probe, Value};
use serde::Serialize;
use std::cmp::Ordering;

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// A typed expression over probes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Expr {
    /// A constant.
    Const(Value),
    /// A question to the world.
    Probe(Probe),
    /// The size of a set of nodes.
    Size(Box<Expr>),
    /// `not`
    Not(Box<Expr>),
    /// `and`: all of them.
    And(Vec<Expr>),
    /// `or`: any of them.
    Or(Vec<Expr>),
    /// A comparison.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// The left is one of the set on the right.
    In(Box<Expr>, Box<Expr>),
    /// The left is one of the constants on the right.
    OneOf(Box<Expr>, Vec<Value>),
}

impl Expr {
    /// The present value.
    pub fn evaluate(&self, facts: &impl Facts) -> Value {
        match self {
            Expr::Const(value) => *value,
            Expr::Probe(probe) => facts.value(probe),
            Expr::Size(set) => match set.evaluate(facts) {
                Value::Nodes(set) => Value::Int(i64::from(set.size())),
                _ => Value::None,
            },
            Expr::Not(inner) => Value::Bool(!inner.holds(facts)),
            Expr::And(all) => Value::Bool(all.iter().all(|one| one.holds(facts))),
            Expr::Or(any) => Value::Bool(any.iter().any(|one| one.holds(facts))),
            Expr::Compare(how, left, right) => {
                Value::Bool(compare(*how, left.evaluate(facts), right.evaluate(facts)))
            }
            Expr::In(left, right) => {
                let found = match (left.evaluate(facts), right.evaluate(facts)) {
                    (Value::Node(node), Value::Nodes(set)) => set.contains(node),
                    _ => false,
                };
                Value::Bool(found)
            }
            Expr::OneOf(left, right) => {
                let left = left.evaluate(facts);
                Value::Bool(left != Value::None && right.contains(&left))
            }
        }
    }

    /// Whether it is true now.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        self.evaluate(facts) == Value::Bool(true)
    }

    /// Calls `visit` with every probe.
    pub fn each_probe(&self, visit: &mut impl FnMut(&Probe)) {
        match self {
            Expr::Const(_) => {}
            Expr::Probe(probe) => visit(probe),
            Expr::Size(one) | Expr::Not(one) | Expr::OneOf(one, _) => one.each_probe(visit),
            Expr::And(all) | Expr::Or(all) => all.iter().for_each(|one| one.each_probe(visit)),
            Expr::Compare(_, left, right) | Expr::In(left, right) => {
                left.each_probe(visit);
                right.each_probe(visit);
            }
        }
    }
}

fn compare(how: Comparison, left: Value, right: Value) -> bool {
    let order = match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(&b)),
        _ => None,
    };
    match how {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterEqual => order.is_some_and(Ordering::is_ge),
    }
}

/// A compiled predicate with its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Predicate {
    /// As the author wrote it.
    pub text: String,
    /// What it asks.
    pub expr: Expr,
}

impl Predicate {
    /// Whether it is true now.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        self.expr.holds(facts)
    }

    /// The probes it asks, each once, in order: it can only change when one of them does.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        let mut probes = Vec::new();
        self.expr.each_probe(&mut |probe| probes.push(*probe));
        probes.sort_unstable();
        probes.dedup();
        probes
    }

    /// What a broken expectation has to tell, for messages such as `ledger.lost was 3`: of the
    /// comparison at its top the present values of both sides, of several under an `and` those
    /// that do not hold, or all of them if it is that they hold which was not to be.
    pub fn sides(&self, facts: &impl Facts) -> Vec<Sides> {
        let mut told = Vec::new();
        match &self.expr {
            Expr::And(all) => {
                let held = self.expr.holds(facts);
                for it in all {
                    if held || !it.holds(facts) {
                        it.sides(facts, &mut told);
                    }
                }
            }
            it => it.sides(facts, &mut told),
        }
        told
    }
}

/// Both sides of a comparison.
pub struct Sides {
    /// The left.
    pub left: Value,
    /// The right.
    pub right: Value,
    /// The words that they are of, if they are words.
    pub words: &'static [&'static str],
}

impl Expr {
    fn sides(&self, facts: &impl Facts, told: &mut Vec<Sides>) {
        let (Expr::Compare(_, left, right) | Expr::In(left, right)) = self else {
            return;
        };
        let mut words: &'static [&'static str] = &[];
        self.each_probe(&mut |probe| {
            if words.is_empty() {
                words = probe.words();
            }
        });
        told.push(Sides {
            left: left.evaluate(facts),
            right: right.evaluate(facts),
            words,
        });
    }
}
