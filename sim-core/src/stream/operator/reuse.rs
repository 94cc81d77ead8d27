//! Objects that operators of a chain hand each other (`pipeline.object-reuse`).
//!
//! Follows `StreamMap`, `StreamFilter` and `StreamGroupedReduceOperator` with the heap's
//! `HeapReducingState`: a filter puts out the object that it was given, a map what its function
//! returns, and a running count, sum or maximum the object that is in the state.

use super::{Operator, number};
use crate::stream::element::Key;
use crate::stream::job::Job;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::{MapFunction, OperatorKind};

/// What becomes of an object that an operator is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// It is changed and put out.
    Changed,
    /// It is put out as it is.
    PassedOn,
    /// What is put out is another.
    Left,
}

impl Operator {
    /// What becomes of the object that it is given.
    #[must_use]
    pub fn reuse(&self, job: &Job) -> Reuse {
        let it = match self {
            Operator::Plain(it) => it,
            Operator::Watermarks(_) => return Reuse::PassedOn,
            Operator::Process(it) if it.passes_on() => return Reuse::PassedOn,
            _ => return Reuse::Left,
        };
        let spec = job.spec.operators.get(it.site.operator as usize);
        match spec.map(|it| &it.kind) {
            Some(OperatorKind::Map(
                MapFunction::AddInPlace(_) | MapFunction::MultiplyInPlace(_),
            )) => Reuse::Changed,
            Some(OperatorKind::Map(MapFunction::Identity) | OperatorKind::Filter(_)) => {
                Reuse::PassedOn
            }
            _ => Reuse::Left,
        }
    }

    /// The object that it keeps of a key, and has put out, was changed by somebody else.
    pub fn alias(&mut self, key: Key, changed: &Value, job: &Job) {
        if let Operator::Process(it) = self {
            it.alias(key, number(changed), job);
        }
    }
}
