//! Offsets in a producer's transaction: `sendOffsetsToTransaction()`.
//!
//! Follows `TransactionManager.sendOffsetsToTransaction` with its handlers for AddOffsetsToTxn
//! (before transaction version 2), FindCoordinator and TxnOffsetCommit. Here the offsets go when the
//! outputs are written and before EndTxn. That the group has gone on without this member, or that
//! the transaction cannot be committed, leads to an abort; an epoch that is over ends the producer.

use super::{Txn, TxnAbout, TxnState};
use crate::kafka::consumer::WorkOffsets;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::producer::Producer;
use crate::kafka::rules::txn::TransactionResult;
use crate::kafka::txn_protocol::{TxnOffsetCommit, TxnRequest};
use serde::Serialize;

/// The offsets that go with a transaction, and how far they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct TxnOffsets {
    work: WorkOffsets,
    /// The coordinator of the group.
    pub(super) coordinator: Option<BrokerId>,
    /// Their partition belongs to the transaction.
    pub(super) added: bool,
    /// They are in the log.
    pub(super) done: bool,
}

impl Txn {
    /// What is to be asked about offsets now.
    pub(super) fn offsets_wanted(&self) -> Option<TxnAbout> {
        let offsets = self.offsets.as_ref().filter(|it| !it.done)?;
        Some(match offsets {
            it if self.version < 2 && !it.added => TxnAbout::AddOffsets,
            it if it.coordinator.is_none() => TxnAbout::FindGroup,
            _ => TxnAbout::Offsets,
        })
    }

    /// The request about offsets, and whether it goes to the group's coordinator.
    pub(super) fn offsets_request(
        &self,
        about: &TxnAbout,
        producer: (i64, i16),
    ) -> Option<TxnRequest> {
        let work = &self.offsets.as_ref()?.work;
        let (id, version, group) = (self.id.clone(), self.version, work.group.clone());
        Some(match about {
            TxnAbout::FindGroup => TxnRequest::FindGroupCoordinator { group },
            TxnAbout::AddOffsets => TxnRequest::AddOffsetsToTxn {
                id,
                producer,
                group,
                version,
            },
            TxnAbout::Offsets => TxnRequest::TxnOffsetCommit(Box::new(TxnOffsetCommit {
                id,
                group,
                producer,
                version,
                member_id: work.member_id.clone(),
                instance_id: work.instance_id.clone(),
                generation: work.generation,
                offsets: work.offsets.clone(),
            })),
            _ => return None,
        })
    }
}

impl Producer {
    /// The application ends its transactions itself, and not by their size.
    pub(in crate::kafka) fn driven(mut self) -> Self {
        if let Some(txn) = &mut self.txn {
            txn.driven = true;
        }
        self
    }

    /// Whether all that it was given is in the open transaction.
    pub(in crate::kafka) fn has_sent_all(&self) -> bool {
        let app = &self.app;
        let open = |it: &Txn| matches!(it.state, TxnState::InTransaction { .. });
        app.forwards.is_empty() && app.pending.is_none() && self.txn.as_deref().is_some_and(open)
    }

    /// Whether the application learns that it can only abort. One that hangs in `send()` does not.
    pub(in crate::kafka) fn must_abort(&self) -> bool {
        let open = |it: &Txn| it.must_abort && matches!(it.state, TxnState::InTransaction { .. });
        self.app.pending.is_none() && self.txn.as_deref().is_some_and(open)
    }

    /// `sendOffsetsToTransaction()` and `commitTransaction()`.
    pub(in crate::kafka) fn commit_with(&mut self, work: WorkOffsets, cx: &mut KafkaCx<'_>) {
        self.end_with(TransactionResult::Commit, Some(work), cx);
    }

    /// `abortTransaction()`. What was not sent yet never will be.
    pub(in crate::kafka) fn abort_work(&mut self, cx: &mut KafkaCx<'_>) {
        self.app.forwards.clear();
        self.end_with(TransactionResult::Abort, None, cx);
    }

    pub(super) fn end_with(
        &mut self,
        result: TransactionResult,
        work: Option<WorkOffsets>,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Some(txn) = &mut self.txn {
            txn.state = TxnState::Ending(result);
            txn.offsets = work.map(|work| {
                Box::new(TxnOffsets {
                    work,
                    coordinator: None,
                    added: false,
                    done: false,
                })
            });
        }
        self.accumulator.closed = true;
        self.run(cx);
    }

    /// The coordinator of the group has refused the offsets.
    pub(super) fn offsets_refused(&mut self, error: ErrorCode) -> bool {
        match error {
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::FencedInstanceId => {
                self.transaction_failed();
                true
            }
            _ => false,
        }
    }
}
