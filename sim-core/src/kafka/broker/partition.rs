//! A hosted replica of a partition: its log, and its part as leader or follower.
//!
//! Follows `Partition`. The leader's rules are in [`crate::kafka::rules::isr`], the follower's in
//! [`crate::kafka::rules::truncation`]; this is what they act on.

use super::purgatory::Wake;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::metadata::MetadataImage;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::rules::isr::PartitionLeaderState;
use crate::kafka::rules::partition_log::PartitionLog;
use crate::kafka::rules::producer_state::ProducerStateConfig;
use crate::kafka::rules::replica::BrokerStatus;
use crate::kernel::{Nanos, NodeId};
use crate::log::LogConfig;
use serde::Serialize;
use std::collections::VecDeque;

/// The part a replica plays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Role {
    /// None before the first metadata.
    Offline,
    /// Leader.
    Leader(Box<PartitionLeaderState>),
    /// Follower.
    Follower(FetchState),
}

/// What a follower's fetcher does with a partition (`PartitionFetchState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct FetchState {
    pub(super) phase: FetchPhase,
    /// No request before this time.
    pub(super) delayed_until: Nanos,
    /// Offset and leader epoch in the request under way; an answer to another one is dropped.
    pub(super) requested: Option<(i64, i32)>,
}

/// See [`FetchState`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum FetchPhase {
    /// Must ask where its last epoch ends at the leader before it may fetch.
    Truncating,
    /// Fetches.
    Fetching,
    /// Out of range: asks for the leader's log end.
    AskLogEnd,
    /// Out of range, and not beyond the leader's end: asks for the leader's log start.
    AskLogStart {
        /// The leader's log end.
        leader_end: i64,
    },
    /// What it needs is in remote storage: asks where the leader's local log starts.
    AskLocalStart,
    /// Waits for metadata: no leader, or the leader is in a newer epoch.
    Failed,
}

impl FetchState {
    pub(super) fn new(phase: FetchPhase) -> Self {
        FetchState {
            phase,
            delayed_until: 0,
            requested: None,
        }
    }
}

/// A replica.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Partition {
    pub(super) log: PartitionLog,
    pub(super) role: Role,
    /// Leader as the metadata has it; -1 = none.
    pub(super) leader: BrokerId,
    /// Leader epoch as the metadata has it; -1 = not known.
    pub(super) leader_epoch: i32,
    /// Partition epoch as the metadata has it.
    pub(super) partition_epoch: i32,
    /// High watermark in the checkpoint file.
    pub(super) checkpoint: i64,
    /// Connections with a parked request that waits for this partition. May name connections that
    /// wait no more; they go when the list is next used.
    pub(super) watchers: Vec<NodeId>,
}

impl Partition {
    pub(super) fn new(config: LogConfig, verifies: bool, wall_ms: i64) -> Self {
        let producers = ProducerStateConfig {
            verification_enabled: verifies,
            ..ProducerStateConfig::default()
        };
        Partition {
            log: PartitionLog::new(config, producers, wall_ms),
            role: Role::Offline,
            leader: -1,
            leader_epoch: -1,
            partition_epoch: -1,
            checkpoint: 0,
            watchers: Vec::new(),
        }
    }

    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    pub(super) fn weight(&self) -> usize {
        let leads = match &self.role {
            Role::Leader(state) => {
                size_of_val(&**state) + size_of_val(state.followers()) + size_of_val(state.isr())
            }
            Role::Offline | Role::Follower(_) => 0,
        };
        let producers = size_of_val(self.log.producers().producers());
        size_of_val(self) + leads + producers + self.log.log().weight()
    }

    pub(super) fn leader_state(&self) -> Option<&PartitionLeaderState> {
        match &self.role {
            Role::Leader(state) => Some(state),
            Role::Offline | Role::Follower(_) => None,
        }
    }

    pub(super) fn leader_mut(&mut self) -> Option<&mut PartitionLeaderState> {
        match &mut self.role {
            Role::Leader(state) => Some(state),
            Role::Offline | Role::Follower(_) => None,
        }
    }

    pub(super) fn follower_mut(&mut self) -> Option<&mut FetchState> {
        match &mut self.role {
            Role::Follower(state) => Some(state),
            Role::Offline | Role::Leader(_) => None,
        }
    }

    /// The leader's hint for clients that ask the wrong broker (KIP-951).
    pub(super) fn hint(&self) -> Option<(BrokerId, i32)> {
        (self.leader >= 0).then_some((self.leader, self.leader_epoch))
    }

    /// What memory knew and the disk does not.
    pub(super) fn forget_volatile(&mut self) {
        self.role = Role::Offline;
        self.leader = -1;
        self.leader_epoch = -1;
        self.partition_epoch = -1;
        self.watchers.clear();
        self.log.set_high_watermark(self.checkpoint);
    }

    /// Start of the process: producer state from snapshot and log, high watermark from its file.
    pub(super) fn load(&mut self, wall_ms: i64) {
        self.log.reload(wall_ms);
        self.log.set_high_watermark(self.checkpoint);
    }

    pub(super) fn write_checkpoint(&mut self) {
        self.checkpoint = self.log.log().high_watermark();
    }

    pub(super) fn close_cleanly(&mut self) {
        self.write_checkpoint();
        self.log.close_cleanly();
    }

    /// Gives the log the high watermark that the leader's state has reached; what waits for it
    /// wakes.
    pub(super) fn sync_high_watermark(
        &mut self,
        tp: TopicPartition,
        wakes: &mut VecDeque<Wake>,
        cx: &mut KafkaCx<'_>,
    ) {
        let Role::Leader(state) = &self.role else {
            return;
        };
        let before = self.log.log().high_watermark();
        let reached = state.high_watermark();
        if self.log.maybe_increment_high_watermark(reached) {
            let after = self.log.log().high_watermark();
            let node = cx.me();
            cx.note(Note::Rule {
                node,
                rule: Rule::HighWatermark,
                tp: Some(tp),
                broker: None,
                before,
                after,
            });
            wakes.push_back(Wake::HighWatermark(tp));
        }
    }
}

/// What an image says of brokers, in the form the rules ask for.
pub(super) fn statuses(image: &MetadataImage) -> impl Fn(i32) -> Option<BrokerStatus> + '_ {
    |id| {
        image.brokers.get(&id).map(|broker| BrokerStatus {
            epoch: broker.epoch,
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown,
        })
    }
}
