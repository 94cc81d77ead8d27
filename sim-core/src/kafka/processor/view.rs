//! What an onlooker may see of a processor: one application, so its card tells of what comes in and
//! what goes out together, and how its transaction stands.

use super::Processor;
use crate::kafka::error::ErrorCode;
use crate::kafka::producer::TxnState;
use crate::kafka::rules::txn::TransactionResult;

/// What its transaction is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionNow {
    /// `initTransactions()` has not returned.
    Initialising,
    /// None is open.
    None,
    /// One is open, with so many outputs.
    Open(u32),
    /// It commits.
    Commits,
    /// It aborts.
    Aborts,
    /// Another has its `transactional.id`, or something else ended it.
    Stopped(ErrorCode),
}

impl TransactionNow {
    /// In a few words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            TransactionNow::Initialising => "initTransactions()".to_owned(),
            TransactionNow::None => "no transaction".to_owned(),
            TransactionNow::Open(1) => "transaction: 1 output".to_owned(),
            TransactionNow::Open(records) => format!("transaction: {records} outputs"),
            TransactionNow::Commits => "commits".to_owned(),
            TransactionNow::Aborts => "aborts".to_owned(),
            TransactionNow::Stopped(error) => error.name().to_owned(),
        }
    }
}

impl Processor {
    /// How its transaction stands; `None` without a `transactional.id`.
    #[must_use]
    pub fn transaction_now(&self) -> Option<TransactionNow> {
        let state = self.producer.transaction()?;
        if let Some(error) = self.producer.fatal_error() {
            return Some(TransactionNow::Stopped(error));
        }
        Some(match state {
            TxnState::Initialising => TransactionNow::Initialising,
            TxnState::Ready => TransactionNow::None,
            TxnState::InTransaction { records, .. } => TransactionNow::Open(records),
            TxnState::Ending(TransactionResult::Commit) => TransactionNow::Commits,
            TxnState::Ending(TransactionResult::Abort) => TransactionNow::Aborts,
        })
    }

    /// The few values on its card: (label, value). First what a card has room for: the group that
    /// it reads in, what came in and went out, and its transactional id.
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let reads = self.consumer.summary();
        let group = reads.iter().find(|(label, _)| *label == "group").cloned();
        let mut all: Vec<(&'static str, String)> = group.into_iter().collect();
        let (came, went) = (self.consumer.delivered(), self.producer.acknowledged());
        all.push(("in, out", format!("{came}, {went}")));
        let id = &self.producer.config().transactional_id;
        if !id.is_empty() {
            all.push(("transactional.id", id.clone()));
        }
        let told = ["group", "delivered", "acknowledged"];
        let rest = reads.into_iter().chain(self.producer.summary());
        all.extend(rest.filter(|(label, _)| !told.contains(label)));
        all
    }
}
