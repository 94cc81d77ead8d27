//! A producer that goes on with a transaction that another one has begun, and one whose
//! transactions end when its owner says so.
//!
//! Follows Flink's `FlinkKafkaInternalProducer.resumeTransaction`: producer id and epoch are put
//! into a new producer, which then believes to be in the transaction and can do nothing but end it.

use super::TxnState;
use crate::kafka::node::KafkaCx;
use crate::kafka::producer::Producer;
use crate::kafka::rules::txn::TransactionResult;

impl Producer {
    /// `commitTransaction()` without offsets.
    pub(in crate::kafka) fn commit_work(&mut self, cx: &mut KafkaCx<'_>) {
        self.end_with(TransactionResult::Commit, None, cx);
    }

    /// Puts a producer id and epoch in, and a transaction that has begun, of a cluster whose
    /// `transaction.version` is this.
    pub(in crate::kafka) fn resume(&mut self, owner: (i64, i16), version: u8) {
        if let Some(txn) = &mut self.txn {
            txn.version = version;
            txn.sent = true;
            // Up to version 1 an empty set would say that there is nothing to end.
            txn.added.insert(0);
            txn.state = TxnState::InTransaction {
                since: 0,
                records: 1,
            };
        }
        self.start_epoch(owner);
    }
}
