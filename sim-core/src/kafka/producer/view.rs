//! What an onlooker may see of a producer.

use super::{Producer, ProducerIdAndEpoch, TxnState};
use crate::kafka::client::ClientMetadata;
use crate::kafka::config::ProducerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::rules::txn::TransactionResult;
use crate::kernel::Nanos;

/// What `send()` waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// The first metadata.
    Metadata,
    /// Memory for another batch (`buffer.memory`).
    Memory,
}

impl Producer {
    /// How long brokers have told it to wait for its quota so far, together, ms.
    #[must_use]
    pub fn throttled_ms(&self) -> u64 {
        self.client.throttled_ms()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Records given to `send()`.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent
    }

    /// Records acknowledged (with acks=0: handed to the network).
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.counts.acknowledged
    }

    /// Records given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts.failed
    }

    /// Records that a crash of the application took: nobody was told what became of them.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.counts.forgotten
    }

    /// Records that are neither acknowledged nor given up, and still known.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let counts = &self.counts;
        counts.sent - counts.acknowledged - counts.failed - counts.forgotten
    }

    /// Batches that were tried again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.counts.retries
    }

    /// Produce requests without answer.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight_by_broker().map(|(_, count)| count).sum()
    }

    /// Requests without answer to each broker.
    pub fn in_flight_by_broker(&self) -> impl Iterator<Item = (BrokerId, u64)> + '_ {
        self.client.in_flight()
    }

    /// The few values on its card: (label, value).
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("sent", self.sent().to_string()),
            ("acknowledged", self.acknowledged().to_string()),
            ("failed", self.failed().to_string()),
            ("in flight", self.in_flight().to_string()),
        ];
        match self.blocked() {
            Some((_, Blocked::Metadata)) => facts.push(("send()", "waits for metadata".to_owned())),
            Some((_, Blocked::Memory)) => facts.push(("send()", "waits for memory".to_owned())),
            None => {}
        }
        if let Some(state) = self.transaction() {
            let (committed, aborted) = self.transactions_ended();
            facts.push(("transaction", words(state)));
            facts.push(("committed, aborted", format!("{committed}, {aborted}")));
        }
        if let Some(error) = self.fatal_error() {
            facts.push(("stopped by", error.name().to_owned()));
        }
        facts
    }

    /// Bytes of `buffer.memory` in use.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        self.accumulator.buffered()
    }

    /// Batches of a partition that wait to be sent, and that are under way.
    #[must_use]
    pub fn batches(&self, partition: u16) -> (usize, usize) {
        self.accumulator
            .partitions
            .get(usize::from(partition))
            .map_or((0, 0), |q| (q.queue.len(), q.on_wire.len()))
    }

    /// Since when `send()` blocks (ns), and for what.
    #[must_use]
    pub fn blocked(&self) -> Option<(Nanos, Blocked)> {
        let pending = self.app.pending.as_ref()?;
        let what = match self.accumulator.exhausted {
            true => Blocked::Memory,
            false => Blocked::Metadata,
        };
        Some((pending.since, what))
    }

    /// Whether its load runs.
    #[must_use]
    pub fn load_on(&self) -> bool {
        self.load_on
    }

    /// Producer id and epoch; [`ProducerIdAndEpoch::NONE`] without idempotence or before the answer.
    #[must_use]
    pub fn producer_id(&self) -> ProducerIdAndEpoch {
        self.owner
    }

    /// The next sequence number for a partition; `None` without idempotence.
    #[must_use]
    pub fn next_sequence(&self, partition: u16) -> Option<i32> {
        let queue = self.accumulator.partitions.get(usize::from(partition));
        queue
            .filter(|_| self.config.idempotent())
            .map(|queue| queue.sequences.next)
    }

    /// The last error that a batch or a record met, and when, ns.
    #[must_use]
    pub fn last_error(&self) -> Option<(Nanos, ErrorCode)> {
        self.last_error
    }

    /// The error after which it sends nothing any more.
    #[must_use]
    pub fn fatal_error(&self) -> Option<ErrorCode> {
        self.fatal
    }

    /// What it believes of the cluster.
    #[must_use]
    pub fn metadata(&self) -> &ClientMetadata {
        &self.client.metadata
    }
}

fn words(state: TxnState) -> String {
    match state {
        TxnState::Initialising => "initialises".to_owned(),
        TxnState::Ready => "none open".to_owned(),
        TxnState::InTransaction { records, .. } => format!("open, {records} records"),
        TxnState::Ending(TransactionResult::Commit) => "commits".to_owned(),
        TxnState::Ending(TransactionResult::Abort) => "aborts".to_owned(),
    }
}
