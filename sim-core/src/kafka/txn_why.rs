//! The rules of transactions in words, for "why?" and the transcript; see [`super::why`].

use super::note::Rule;

/// A rule's name, what it did (`{b}` before, `{a}` after) and its source; `None` for rules that are
/// not about transactions.
#[must_use]
pub(super) fn text(rule: Rule) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match rule {
        Rule::TxnOngoing => (
            "txn-ongoing",
            "the transaction has {a} partitions (it had {b}): the coordinator's log says so",
            "TransactionCoordinator.handleAddPartitionsToTransaction",
        ),
        Rule::TxnPrepared => (
            "txn-prepared",
            "the end is decided (commit: {b}) and in the coordinator's log; markers of epoch {a} go \
             to every partition",
            "TransactionCoordinator.endTransaction",
        ),
        Rule::TxnCompleted => (
            "txn-completed",
            "every partition has its marker (commit: {b}, epoch {a}): the next transaction may \
             begin",
            "TransactionMarkerChannelManager",
        ),
        Rule::TxnTimedOut => (
            "txn-timed-out",
            "open for longer than transaction.timeout.ms: aborted, and the producer of epoch {b} \
             is fenced by epoch {a}",
            "TransactionCoordinator.abortTimedOutTransactions",
        ),
        Rule::TxnInitialised => (
            "txn-initialised",
            "producer id {b} with epoch {a}: whoever had the transactional.id before is fenced",
            "TransactionCoordinator.handleInitProducerId",
        ),
        Rule::TxnMarker => (
            "txn-marker",
            "marker (commit: {b}) written at offset {a}; read_committed goes on once the high \
             watermark has passed it",
            "KafkaApis.handleWriteTxnMarkersRequest",
        ),
        Rule::TxnVerifying => (
            "txn-verifying",
            "the batch waits while the coordinator is asked about {a} partitions of its \
             transaction",
            "ReplicaManager.maybeSendPartitionsToTransactionCoordinator, KIP-890",
        ),
        Rule::TxnVerifyFailed => (
            "txn-verify-failed",
            "the batch is not appended: the coordinator knows of no such transaction (error {a})",
            "AddPartitionsToTxnManager, KIP-890",
        ),
        Rule::TxnFenced => (
            "txn-fenced",
            "another producer has taken over the transactional.id (error {a}): this one must stop",
            "TransactionManager",
        ),
        _ => return None,
    })
}
