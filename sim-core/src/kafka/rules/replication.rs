//! The switches of the replication protocol: Kafka 4.x as it is, or with one rule taken away.
//!
//! Each switch is a rule whose absence loses data or splits logs; the model-checked variants are
//! those of the public TLA+ specification of Kafka's replication (KIP-101, 279, 320, 497).

use super::truncation::TruncationRule;

/// Over which set of replicas the leader takes the minimum for its high watermark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize)]
pub enum HighWatermarkOver {
    /// The committed ISR and a pending expansion, and recently caught-up followers that may join.
    #[default]
    MaximalIsr,
    /// The committed ISR alone: an expansion the controller accepted, but whose answer the leader
    /// has not seen, does not count.
    CommittedOnly,
    /// The ISR the leader asked for, if it asked: a shrink counts before it is committed.
    PendingOnly,
}

/// The rules a run follows. The default is Kafka 4.x.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ReplicationRules {
    /// Over which replicas the high watermark is taken.
    pub hw_over: HighWatermarkOver,
    /// A follower must reach the start of the leader's epoch before it may join the ISR (KIP-320).
    pub expand_requires_epoch_start: bool,
    /// Fetches and truncation lookups are refused unless both sides are on one epoch (KIP-320).
    pub fence_fetch_epoch: bool,
    /// The high watermark stands still while the ISR is below `min.insync.replicas` (3.7 on).
    pub strict_min_isr: bool,
    /// How followers truncate.
    pub truncation: TruncationRule,
    /// Eligible leader replicas (KIP-966).
    pub elr: bool,
}

impl Default for ReplicationRules {
    fn default() -> Self {
        Self {
            hw_over: HighWatermarkOver::MaximalIsr,
            expand_requires_epoch_start: true,
            fence_fetch_epoch: true,
            strict_min_isr: true,
            truncation: TruncationRule::Epoch,
            elr: true,
        }
    }
}
