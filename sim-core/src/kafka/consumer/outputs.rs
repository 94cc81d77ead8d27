//! What the application makes of its records, in a process that has a producer too.
//!
//! See [`crate::kafka::processor`]. Each record done becomes an output; when the work on what one
//! `poll()` returned is done, the application waits until its outputs are written before it commits.

use super::Consumer;
use super::group::Committer;
use super::partition::Assigned;
use crate::kafka::config::CommitMode;
use crate::kafka::node::KafkaCx;
use crate::log::{Record, RecordId};
use serde::Serialize;
use std::collections::VecDeque;

/// A record to write, and what it was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(in crate::kafka) struct Output {
    /// The record that was read.
    pub(in crate::kafka) input: RecordId,
    /// Its key, which is that of the output.
    pub(in crate::kafka) key: Option<u32>,
    /// Its size, likewise.
    pub(in crate::kafka) bytes: u32,
    /// Whether it has no value, likewise.
    pub(in crate::kafka) tombstone: bool,
}

/// Outputs of the work in hand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Outputs {
    /// Of records to work on, in their order.
    ahead: VecDeque<Output>,
    /// Of records that are done.
    made: Vec<Output>,
}

impl Outputs {
    /// `poll()` returned a record.
    pub(super) fn take(&mut self, record: &Record) {
        self.ahead.push_back(Output {
            input: record.id,
            key: record.key.map(|key| key.0),
            bytes: record.bytes,
            tombstone: record.tombstone,
        });
    }

    /// The next record is done.
    pub(super) fn made(&mut self) {
        self.made.extend(self.ahead.pop_front());
    }

    /// The work in hand is dropped.
    pub(super) fn clear(&mut self) {
        self.ahead.clear();
        self.made.clear();
    }
}

impl Consumer {
    /// Its application has a producer too.
    #[must_use]
    pub(in crate::kafka) fn producing(mut self) -> Self {
        self.outputs = Some(Box::default());
        self
    }

    /// Whether its application waits for its outputs before it commits.
    pub(super) fn publishes(&self) -> bool {
        self.outputs.is_some() && self.config.commit == CommitMode::Sync
    }

    /// What was made since the last call.
    pub(in crate::kafka) fn take_outputs(&mut self) -> Vec<Output> {
        let outputs = self.outputs.as_mut();
        outputs.map_or_else(Vec::new, |it| std::mem::take(&mut it.made))
    }

    /// The work is done, and its outputs are to be written before the application goes on.
    pub(in crate::kafka) fn awaits_outputs(&self) -> bool {
        self.work.awaits_outputs()
    }

    /// All outputs are written: `commitSync()`.
    pub(in crate::kafka) fn commit_outputs(&mut self, cx: &mut KafkaCx<'_>) {
        self.work.go_on();
        if let Some(mut member) = self.group.take() {
            let offsets = self.consumed(&member);
            if !offsets.is_empty() {
                self.commit(&mut member, offsets, Committer::Application, cx);
            }
            self.group = Some(member);
        }
        self.run(cx);
    }

    /// Drops the work in hand, and goes back to where the group has committed.
    pub(in crate::kafka) fn rewind(&mut self, cx: &mut KafkaCx<'_>) {
        self.work.crash();
        if let Some(outputs) = &mut self.outputs {
            outputs.clear();
        }
        self.completed.clear();
        if let Some(mut member) = self.group.take() {
            let policy = self.config.auto_offset_reset;
            for partition in self.order.clone() {
                if let Some(assigned) = self.assigned(partition) {
                    *assigned = Assigned::new(policy);
                    assigned.awaits_offset = true;
                    member.await_offset(partition);
                }
            }
            self.served.clear();
            self.group = Some(member);
        }
        self.run(cx);
    }
}
