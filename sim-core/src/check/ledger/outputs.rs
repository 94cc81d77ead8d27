//! Records that were made of others: which input each of them stands for, and how often readers got
//! one for it.
//!
//! A reader cannot tell a second output for an input from the first; the ledger can, because the
//! application says of what it made each record. *Outputs* = inputs for which some reader was handed
//! an output; *repeated* = outputs beyond the first for their input that readers were handed. It
//! does not ask which reader it was.

use crate::log::RecordId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Counters over all records made of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct OutputCounts {
    /// Inputs for which a reader was handed an output.
    pub outputs: u64,
    /// Outputs that readers were handed beyond the first for their input.
    pub repeated: u64,
}

/// What was made of what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Outputs {
    input_of: BTreeMap<RecordId, RecordId>,
    /// (input, output) of what readers were handed.
    handed: BTreeSet<(RecordId, RecordId)>,
    counts: OutputCounts,
}

impl Outputs {
    pub(super) fn is_empty(&self) -> bool {
        self.input_of.is_empty()
    }

    pub(super) fn made(&mut self, output: RecordId, input: RecordId) {
        self.input_of.insert(output, input);
    }

    pub(super) fn handed(&mut self, output: RecordId) {
        let Some(input) = self.input_of.get(&output) else {
            return;
        };
        let all = (*input, RecordId(0))..=(*input, RecordId(u64::MAX));
        let first = self.handed.range(all).next().is_none();
        if self.handed.insert((*input, output)) {
            match first {
                true => self.counts.outputs += 1,
                false => self.counts.repeated += 1,
            }
        }
    }

    pub(super) fn counts(&self) -> OutputCounts {
        self.counts
    }

    pub(super) fn weight(&self) -> usize {
        (self.input_of.len() + self.handed.len()) * 2 * size_of::<(RecordId, RecordId)>()
    }
}

impl super::Ledger {
    /// What readers got of records that were made of others.
    #[must_use]
    pub fn outputs(&self) -> OutputCounts {
        self.outputs.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_counts_once_and_every_further_output_is_a_repetition() {
        let mut outputs = Outputs::default();
        for (output, input) in [(10, 1), (11, 2), (12, 1), (13, 1)] {
            outputs.made(RecordId(output), RecordId(input));
        }
        let mut check = |output: u64, expect: (u64, u64)| {
            outputs.handed(RecordId(output));
            let counts = outputs.counts();
            assert_eq!((counts.outputs, counts.repeated), expect, "{output}");
        };
        check(12, (1, 0));
        // The same one again, as after a reader's restart, and one that nobody made of anything.
        check(12, (1, 0));
        check(99, (1, 0));
        check(11, (2, 0));
        check(10, (2, 1));
        check(13, (2, 2));
    }
}
