//! Operators of a job: what a subtask does with records, watermarks and time.

use serde::Serialize;

/// Keyed state of an operator in one key group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum KeyedState {}
