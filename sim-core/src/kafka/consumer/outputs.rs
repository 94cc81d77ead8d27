//! What the application makes of its records, in a process that has a producer too.
//!
//! See [`crate::kafka::processor`]. Each record done becomes an output; when the work on what one
//! `poll()` returned is done, the application waits until its outputs are written before it commits.

use super::Consumer;
use super::group::{Committer, Membership};
use super::handing::Handing;
use super::partition::Assigned;
use crate::apart::Apart;
use crate::kafka::config::CommitMode;
use crate::kafka::group_config::GroupMetadata;
use crate::kafka::group_protocol::CommittedOffset;
use crate::kafka::node::KafkaCx;
use crate::kafka::rules::classic_group::Name;
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
    /// The hash of its key, if that is not one of the load's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kafka) hash: Option<i32>,
    /// Its timestamp, ms, if it is not when it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kafka) timestamp_ms: Option<i64>,
}

/// Outputs of the work in hand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Outputs {
    /// Of records to work on, in their order.
    ahead: VecDeque<Output>,
    /// Of records that are done.
    made: Vec<Output>,
    /// They are written in transactions, with the offsets.
    transactional: bool,
    /// As which member, in which generation, it got its last assignment, or in which epoch it was
    /// told to be last (`groupMetadata()`). Being fenced does not change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<(Name, i32)>,
    /// Where the application has come to with what the last `poll()` returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    polled: Option<Box<WorkOffsets>>,
    /// Its records go to another system's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) handing: Option<Box<Handing>>,
}

/// Where the application has come to, and as which member of its group
/// (`ConsumerGroupMetadata`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::kafka) struct WorkOffsets {
    pub(in crate::kafka) group: Name,
    pub(in crate::kafka) member_id: Name,
    pub(in crate::kafka) instance_id: Option<Name>,
    pub(in crate::kafka) generation: i32,
    pub(in crate::kafka) offsets: Vec<CommittedOffset>,
}

impl Outputs {
    /// `poll()` returned a record.
    pub(super) fn take(&mut self, record: &Record) {
        self.ahead.push_back(Output {
            input: record.id,
            key: record.key.map(|key| key.0),
            bytes: record.bytes,
            tombstone: record.tombstone,
            hash: None,
            timestamp_ms: None,
        });
    }

    /// The next record is done.
    pub(super) fn made(&mut self) {
        self.made.extend(self.ahead.pop_front());
    }

    /// A member was given its assignment.
    pub(super) fn joined(&mut self, member_id: &Name, generation: i32) {
        if self.transactional {
            self.joined = Some((Name::clone(member_id), generation));
        }
    }

    /// The process has crashed.
    pub(super) fn crash(&mut self) {
        self.clear();
        self.joined = None;
    }

    /// The work in hand is dropped.
    pub(super) fn clear(&mut self) {
        self.ahead.clear();
        self.made.clear();
        self.polled = None;
    }
}

impl Consumer {
    /// Its application has a producer too.
    #[must_use]
    pub(in crate::kafka) fn producing(mut self, transactional: bool) -> Self {
        self.outputs = Some(Apart::new(Outputs {
            transactional,
            ..Outputs::default()
        }));
        self
    }

    /// Whether its application waits for its outputs before it commits.
    pub(super) fn publishes(&self) -> bool {
        let sync = self.config.commit == CommitMode::Sync;
        let outputs = self.outputs.as_ref();
        outputs.is_some_and(|it| sync || it.transactional)
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

    /// The work on what `poll()` returned begins: remembers what goes with its transaction. A
    /// rebalance that goes on meanwhile is none of the application's business before its next
    /// `poll()`; if the group has come to another generation by then, the offsets are refused.
    pub(super) fn remember_offsets(&mut self, member: &Membership) {
        if self.outputs.as_ref().is_none_or(|it| !it.transactional) {
            return;
        }
        let offsets = self.consumed(member);
        let Some(outputs) = &mut self.outputs else {
            return;
        };
        let (member_id, generation) = match &outputs.joined {
            Some((member_id, generation)) => (member_id.clone(), *generation),
            None => (member.member_id.clone(), member.generation),
        };
        outputs.polled = Some(Box::new(WorkOffsets {
            group: member.group.clone(),
            member_id,
            instance_id: member.instance_id.clone(),
            generation,
            offsets,
        }));
    }

    /// What goes with the transaction of the work that is done. The epoch of a member of the
    /// consumer protocol may have moved meanwhile, since a thread of its own hears of it; which one
    /// the application sends is up to when it calls `groupMetadata()`.
    pub(in crate::kafka) fn work_offsets(&self) -> Option<WorkOffsets> {
        let modern = self.group.as_ref()?.modern.is_some();
        let outputs = self.outputs.as_ref()?;
        let polled = outputs.polled.as_deref()?.clone();
        let asks_now = modern && self.config.group_metadata == GroupMetadata::AtCommit;
        let now = outputs.joined.as_ref().filter(|_| asks_now);
        let (member_id, generation) = now.cloned().unwrap_or_else(|| {
            let WorkOffsets {
                member_id,
                generation,
                ..
            } = &polled;
            (member_id.clone(), *generation)
        });
        Some(WorkOffsets {
            member_id,
            generation,
            ..polled
        })
    }

    /// The transaction with its outputs and offsets is committed.
    pub(in crate::kafka) fn outputs_committed(&mut self, cx: &mut KafkaCx<'_>) {
        self.work.go_on();
        self.run(cx);
    }

    /// Leaves the work in hand, and does not go on before the next call.
    pub(in crate::kafka) fn abandon_work(&mut self) {
        self.work.abandon();
        if let Some(outputs) = &mut self.outputs {
            outputs.clear();
        }
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
