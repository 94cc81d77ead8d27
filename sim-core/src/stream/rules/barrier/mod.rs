//! Checkpoint barriers at the input of a subtask.
//!
//! Follows the package `streaming.runtime.io.checkpointing` of Flink 2.x: [`handler`] is
//! `SingleCheckpointBarrierHandler` in its three modes, [`tracker`] is `CheckpointBarrierTracker`
//! (at least once), [`channel`] is what `RemoteInputChannel` and `ChannelStatePersister` know of
//! barriers, [`gate`] puts channels and handler together as `CheckpointedInputGate` does. A subtask
//! drives the gate: what arrives goes in, what is polled comes out, and beside it come the
//! [`Action`]s: take the snapshot now, tell the coordinator that a checkpoint was declined.
//!
//! Left out: barriers by remote call (sources that are chained into a task with other inputs) and
//! checkpoints taken while channel state is being recovered.

pub mod channel;
pub mod clock;
pub mod gate;
pub mod handler;
pub mod tracker;

use serde::Serialize;

/// How a checkpoint's barriers are to be aligned (`CheckpointOptions`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Alignment {
    /// Aligned, however long it takes; savepoints always are.
    Aligned,
    /// Aligned, and unaligned from when the barrier is older than this.
    AlignedWithTimeout {
        /// Greatest age of the barrier, ms since its creation.
        timeout_ms: i64,
    },
    /// The barrier overtakes what is queued.
    Unaligned,
    /// One of the two before it, on an exchange where barriers never overtake (`FORCED_ALIGNED`): no
    /// timeout counts there. The receiver turns it back for its own outputs.
    ForcedAligned {
        /// The timeout that it had; none if it was unaligned.
        timeout_ms: Option<i64>,
    },
}

/// A checkpoint barrier, in band between records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Barrier {
    /// The checkpoint's id; later ones have greater ids.
    pub checkpoint: i64,
    /// When the coordinator triggered it, ms.
    pub created_ms: i64,
    /// How it is to be aligned.
    pub alignment: Alignment,
    /// It is a savepoint's (`SnapshotType.isSavepoint`), which shares no files.
    pub savepoint: bool,
}

impl Barrier {
    /// Whether it overtakes what is queued.
    #[must_use]
    pub fn is_unaligned(&self) -> bool {
        self.alignment == Alignment::Unaligned
    }

    /// The age, ms, beyond which its alignment is given up, if it may be.
    #[must_use]
    pub fn timeout_ms(&self) -> Option<i64> {
        match self.alignment {
            Alignment::AlignedWithTimeout { timeout_ms }
                if timeout_ms > 0 && timeout_ms != i64::MAX =>
            {
                Some(timeout_ms)
            }
            _ => None,
        }
    }

    /// The same barrier for an exchange where none overtakes
    /// (`CheckpointOptions.withUnalignedUnsupported`).
    #[must_use]
    pub fn as_forced(self) -> Self {
        let alignment = match self.alignment {
            Alignment::AlignedWithTimeout { timeout_ms } => Alignment::ForcedAligned {
                timeout_ms: Some(timeout_ms),
            },
            Alignment::Unaligned => Alignment::ForcedAligned { timeout_ms: None },
            kept @ (Alignment::Aligned | Alignment::ForcedAligned { .. }) => kept,
        };
        Barrier { alignment, ..self }
    }

    /// The same barrier as it was before such an exchange
    /// (`CheckpointOptions.withUnalignedSupported`).
    #[must_use]
    pub fn as_asked(self) -> Self {
        let alignment = match self.alignment {
            Alignment::ForcedAligned { timeout_ms: None } => Alignment::Unaligned,
            Alignment::ForcedAligned {
                timeout_ms: Some(timeout_ms),
            } => Alignment::AlignedWithTimeout { timeout_ms },
            kept => kept,
        };
        Barrier { alignment, ..self }
    }

    /// The same barrier, no longer aligned.
    #[must_use]
    pub fn as_unaligned(self) -> Self {
        Barrier {
            alignment: Alignment::Unaligned,
            ..self
        }
    }
}

/// Why a subtask gave a checkpoint up (`CheckpointFailureReason`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Declined {
    /// A cancellation marker came instead of a barrier.
    OnCancellationBarrier,
    /// A newer checkpoint's barrier came while this one was pending.
    Subsumed,
    /// An input ended, and checkpoints after tasks finished are not enabled.
    InputEndOfStream,
    /// An input had already met a newer checkpoint's barrier when this one was to begin.
    NewerBarrierReceived,
}

impl Declined {
    /// Flink's name of the reason.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Declined::OnCancellationBarrier => "CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER",
            Declined::Subsumed => "CHECKPOINT_DECLINED_SUBSUMED",
            Declined::InputEndOfStream => "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM",
            Declined::NewerBarrierReceived => "CHECKPOINT_SUBSUMED",
        }
    }
}

/// What the subtask has to do on account of its barriers, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Action {
    /// Emit the barrier downstream and take the snapshot now, before the next record.
    Trigger {
        /// The barrier as the checkpoint is taken: unaligned if its alignment was given up.
        barrier: Barrier,
        /// From the barrier's creation to its first arrival here, ms.
        start_delay_ms: i64,
    },
    /// Give the checkpoint up: pass a cancellation marker on, decline it at the coordinator.
    Abort {
        /// Which.
        checkpoint: i64,
        /// Why.
        reason: Declined,
    },
    /// Every input has delivered its barrier: an unaligned checkpoint's channel state is whole.
    AllBarriersReceived {
        /// Of which checkpoint.
        checkpoint: i64,
        /// From the first barrier to the last, ms.
        alignment_ms: i64,
        /// Bytes processed in that time.
        bytes: u64,
    },
}

/// What a barrier handler does to the inputs (`CheckpointableInput`).
pub trait Inputs {
    /// Read no further from a channel: what follows its barrier belongs to the next epoch.
    fn block(&mut self, channel: u32);
    /// Read on from a channel.
    fn resume(&mut self, channel: u32);
    /// An unaligned checkpoint begins: store what the channels hold ahead of its barrier, and what
    /// arrives on them until the barrier does.
    ///
    /// # Errors
    ///
    /// If a channel has met a newer checkpoint's barrier.
    fn start(&mut self, barrier: &Barrier) -> Result<(), Declined>;
    /// Store nothing more for a checkpoint.
    fn stop(&mut self, checkpoint: i64);
    /// Move an announced barrier ahead of what is queued before it. `sequence` is its number.
    fn prioritize(&mut self, channel: u32, sequence: u64);
}
