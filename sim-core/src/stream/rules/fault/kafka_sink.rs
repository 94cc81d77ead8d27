//! What becomes of a pre-committed Kafka transaction when its commit is tried.
//!
//! Follows `KafkaCommitter` within the `CommitterOperator` of Flink's sinks. Once the checkpoint is
//! complete the commit must succeed. Where the broker has given the transaction up, or fenced it,
//! the error is logged and the job goes on: what was in it is lost, silently. Other errors fail the
//! job, which then tries again from the checkpoint.

use serde::Serialize;

/// `sink.committer.retries`.
pub const COMMITTER_RETRIES: u32 = 10;

/// What Kafka answers to the commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CommitError {
    /// A `RetriableException`.
    Retriable,
    /// `ProducerFencedException`.
    ProducerFenced,
    /// `InvalidTxnStateException`: it has been aborted.
    InvalidTxnState,
    /// `UnknownProducerIdException`.
    UnknownProducerId,
    /// `InterruptException`: the task is being cancelled.
    Interrupted,
    /// Anything else.
    Other,
}

/// What the committer does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CommitOutcome {
    /// Done. The id may be used again.
    Committed,
    /// It will be tried again.
    RetryLater,
    /// Failed for a known reason: discarded, with its records.
    Discarded,
    /// Failed for an unknown reason, or once too often: the job fails.
    FailJob,
    /// Nothing: the task stops.
    Cancelled,
}

impl CommitOutcome {
    /// What a commit comes to at its `attempt`-th retry (0 at first).
    #[must_use]
    pub fn of(answer: Result<(), CommitError>, attempt: u32, max_retries: u32) -> Self {
        match answer {
            Ok(()) => CommitOutcome::Committed,
            Err(CommitError::Retriable) if attempt >= max_retries => CommitOutcome::FailJob,
            Err(CommitError::Retriable) => CommitOutcome::RetryLater,
            Err(
                CommitError::ProducerFenced
                | CommitError::InvalidTxnState
                | CommitError::UnknownProducerId,
            ) => CommitOutcome::Discarded,
            Err(CommitError::Interrupted) => CommitOutcome::Cancelled,
            Err(CommitError::Other) => CommitOutcome::FailJob,
        }
    }

    /// What the writer hears of it (`TransactionFinished`), and so may use the id again: whether
    /// the transaction was committed. Nothing while the outcome is open, or the job fails.
    #[must_use]
    pub fn reported(self) -> Option<bool> {
        match self {
            CommitOutcome::Committed => Some(true),
            CommitOutcome::Discarded => Some(false),
            CommitOutcome::RetryLater | CommitOutcome::FailJob | CommitOutcome::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_transaction_is_discarded_and_the_job_goes_on() {
        use CommitError as E;
        use CommitOutcome as O;
        for (answer, attempt, expected, reported) in [
            (Ok(()), 0, O::Committed, Some(true)),
            (Err(E::Retriable), 9, O::RetryLater, None),
            (Err(E::Retriable), 10, O::FailJob, None),
            (Err(E::ProducerFenced), 0, O::Discarded, Some(false)),
            (Err(E::InvalidTxnState), 0, O::Discarded, Some(false)),
            (Err(E::UnknownProducerId), 0, O::Discarded, Some(false)),
            (Err(E::Interrupted), 0, O::Cancelled, None),
            (Err(E::Other), 0, O::FailJob, None),
        ] {
            let got = CommitOutcome::of(answer, attempt, COMMITTER_RETRIES);
            assert_eq!(got, expected, "{answer:?}");
            assert_eq!(got.reported(), reported, "{answer:?}");
        }
    }
}
