//! The rows of a write-ahead writer: kept in its state until their checkpoint is complete.
//!
//! Follows `GenericWriteAheadSink` with a `CheckpointCommitter` whose table lies in the store
//! outside. Rows of a complete checkpoint are appended, and once all are answered the checkpoint is
//! marked there; a restored writer drops what is marked, and appends the rest at the next complete
//! checkpoint. Rows that were appended without the mark (a crash in between) are appended again.

use super::desk::{Asked, Desk};
use super::{MAX_IN_FLIGHT, StoreOut};
use crate::shared::SharedList;
use crate::stream::element::Record;
use crate::stream::operator::Site;
use crate::stream::protocol::StoreRequest;
use crate::stream::snapshot::{ListItem, OperatorSnapshot};
use serde::Serialize;
use std::sync::Arc;

/// Rows of one checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Logged {
    checkpoint: i64,
    /// The subtask that took them, by which they are marked.
    subtask: u16,
    rows: Arc<Vec<Record>>,
}

/// The rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Log {
    prefix: String,
    subtask: u16,
    /// Since the last snapshot.
    open: SharedList<Record>,
    /// By checkpoint.
    waiting: Vec<Logged>,
    /// The newest complete checkpoint.
    complete: i64,
    /// How many rows of the first of `waiting` have been sent, and whether it is being marked.
    sent: u32,
    marking: bool,
}

impl Log {
    pub(super) fn open(prefix: String, site: Site, restored: &[&OperatorSnapshot]) -> Self {
        let parallelism = site.parallelism.max(1);
        let items = restored.iter().flat_map(|it| &it.list);
        let own = |subtask: u16| u32::from(subtask) % parallelism == u32::from(site.subtask);
        let mut waiting: Vec<Logged> = items
            .filter_map(|item| match item {
                ListItem::Rows {
                    checkpoint,
                    subtask,
                    rows,
                } if own(*subtask) => Some(Logged {
                    checkpoint: *checkpoint,
                    subtask: *subtask,
                    rows: rows.clone(),
                }),
                _ => None,
            })
            .collect();
        waiting.sort_by_key(|it| (it.checkpoint, it.subtask));
        Log {
            prefix,
            subtask: site.subtask,
            open: SharedList::default(),
            waiting,
            complete: i64::MIN,
            sent: 0,
            marking: false,
        }
    }

    fn writer(&self, subtask: u16) -> String {
        format!("{}-{subtask}", self.prefix)
    }

    /// Asks which of the restored rows are there already.
    pub(super) fn start(&mut self, desk: &mut Desk, out: &mut StoreOut) {
        let mut subtasks: Vec<u16> = self.waiting.iter().map(|it| it.subtask).collect();
        subtasks.sort_unstable();
        subtasks.dedup();
        for subtask in subtasks {
            let writer = self.writer(subtask);
            let request = StoreRequest::CommittedCheckpoint { writer };
            desk.ask(Asked::Committed(subtask), request, out);
        }
    }

    pub(super) fn on_record(&mut self, record: Record) {
        self.open.push(record);
    }

    pub(super) fn snapshot(&mut self, checkpoint: i64) -> Vec<ListItem> {
        let rows = std::mem::take(&mut self.open);
        if !rows.is_empty() {
            self.waiting.push(Logged {
                checkpoint,
                subtask: self.subtask,
                rows: Arc::new(rows.iter().cloned().collect()),
            });
        }
        let items = self.waiting.iter().map(|it| ListItem::Rows {
            checkpoint: it.checkpoint,
            subtask: it.subtask,
            rows: it.rows.clone(),
        });
        items.collect()
    }

    pub(super) fn on_complete(
        &mut self,
        checkpoint: i64,
        batch: usize,
        desk: &mut Desk,
        out: &mut StoreOut,
    ) {
        self.complete = self.complete.max(checkpoint);
        self.send(batch, desk, out);
    }

    /// Sends what may be sent: one checkpoint after the other, and of each a few requests at once.
    pub(super) fn send(&mut self, batch: usize, desk: &mut Desk, out: &mut StoreOut) {
        let unsure = desk.any(|it| matches!(it, Asked::Committed(_)));
        let first = self.waiting.first();
        let Some(first) = first.filter(|it| it.checkpoint <= self.complete && !unsure) else {
            return;
        };
        if self.marking {
            return;
        }
        let sent = self.sent as usize;
        for rows in first.rows.get(sent..).unwrap_or(&[]).chunks(batch) {
            if desk.rows() >= MAX_IN_FLIGHT {
                return;
            }
            self.sent += rows.len() as u32;
            desk.ask(Asked::Rows, StoreRequest::Append(rows.to_vec()), out);
        }
        if desk.rows() == 0 {
            let request = StoreRequest::CommitCheckpoint {
                writer: self.writer(first.subtask),
                checkpoint: first.checkpoint,
            };
            self.marking = true;
            desk.ask(Asked::Mark, request, out);
        }
    }

    /// The first checkpoint's rows are there and marked.
    pub(super) fn on_marked(&mut self) {
        if self.marking {
            self.waiting.remove(0);
            self.marking = false;
            self.sent = 0;
        }
    }

    /// Up to where a former subtask's rows are there.
    pub(super) fn on_committed(&mut self, subtask: u16, checkpoint: Option<i64>) {
        let there = |it: &Logged| checkpoint.is_some_and(|marked| it.checkpoint <= marked);
        self.waiting
            .retain(|it| it.subtask != subtask || !there(it));
    }

    /// Whether rows of a complete checkpoint are on their way.
    pub(super) fn is_sending(&self) -> bool {
        let first = self.waiting.first();
        first.is_some_and(|it| it.checkpoint <= self.complete)
    }

    /// Rows that wait for their checkpoint.
    pub(super) fn rows(&self) -> u64 {
        let waiting: usize = self.waiting.iter().map(|it| it.rows.len()).sum();
        (self.open.len() + waiting) as u64
    }
}
