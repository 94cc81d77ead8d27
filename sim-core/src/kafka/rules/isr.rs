//! The leader's side of a partition: its followers, the ISR, and the high watermark.
//!
//! Follows `Partition` of Apache Kafka 4.x. The rules people get wrong live here: an expansion
//! counts for the high watermark before the controller has committed it and a shrink only after;
//! the high watermark stands still below `min.insync.replicas`; a follower joins only at or above
//! both the high watermark and the start of the leader's epoch. The log itself, requests and
//! timers are the broker's; every function takes the leader's log end and the time.

pub use super::isr_types::{
    AcksProgress, AlterOutcome, FetchOutcome, IsrCommit, IsrProposal, IsrState, LeaderConfig,
    MetadataOutcome, PartitionMetadata,
};
use super::replica::{BrokerStatus, FollowerFetch, ReplicaState};
use super::replication::HighWatermarkOver;
use crate::kafka::error::ErrorCode;

/// The state of a partition at its leader.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PartitionLeaderState {
    local: i32,
    local_broker_epoch: i64,
    config: LeaderConfig,
    isr: Vec<i32>,
    state: IsrState,
    /// An AlterPartition is on its way; one at a time per partition.
    outstanding: bool,
    /// By broker id, ascending; there are never more than a handful.
    followers: Vec<(i32, ReplicaState)>,
    leader_epoch: i32,
    partition_epoch: i32,
    epoch_start_offset: i64,
    high_watermark: i64,
}

impl PartitionLeaderState {
    /// Becomes leader at `now_ms` with a log that ends at `leo` and the high watermark its replica
    /// had. The caller notes the leader epoch in its log at `leo` as well.
    pub fn new(
        local: i32,
        local_broker_epoch: i64,
        config: LeaderConfig,
        metadata: &PartitionMetadata,
        leo: i64,
        high_watermark: i64,
        now_ms: i64,
    ) -> Self {
        let mut state = Self {
            local,
            local_broker_epoch,
            config,
            isr: metadata.isr.clone(),
            state: IsrState::Committed,
            outstanding: false,
            followers: Vec::new(),
            leader_epoch: metadata.leader_epoch,
            partition_epoch: metadata.partition_epoch,
            epoch_start_offset: leo,
            high_watermark,
        };
        state.take_assignment(metadata);
        state.reset_followers(true, now_ms, leo);
        // With no broker known to be live, only ISR members can hold the high watermark back, which
        // is right here: nobody else is caught up in a new leader's eyes.
        state.maybe_increment_hw(leo, now_ms, &|_| None);
        state
    }

    /// Takes over newer metadata that names this broker leader still. A new leader epoch starts at
    /// `leo`, which the caller notes in its log. An equal partition epoch is accepted: the answer
    /// to AlterPartition may have arrived first.
    pub fn apply_metadata(
        &mut self,
        metadata: &PartitionMetadata,
        leo: i64,
        now_ms: i64,
        brokers: &impl Fn(i32) -> Option<BrokerStatus>,
    ) -> MetadataOutcome {
        if metadata.partition_epoch < self.partition_epoch {
            return MetadataOutcome::Stale;
        }
        self.isr.clone_from(&metadata.isr);
        self.state = IsrState::Committed;
        self.take_assignment(metadata);
        let new_epoch = metadata.leader_epoch > self.leader_epoch;
        if new_epoch {
            self.leader_epoch = metadata.leader_epoch;
            self.epoch_start_offset = leo;
            self.reset_followers(false, now_ms, leo);
        }
        self.partition_epoch = metadata.partition_epoch;
        let hw_moved = self.maybe_increment_hw(leo, now_ms, brokers);
        MetadataOutcome::Applied {
            new_epoch,
            hw_moved,
        }
    }

    /// Whether a fetch of this follower, in this epoch of its broker (-1 for none), counts; `broker`
    /// is what the metadata says of it.
    pub fn check_follower(
        &self,
        replica: i32,
        broker_epoch: i64,
        broker: Option<BrokerStatus>,
    ) -> Result<(), ErrorCode> {
        if self.follower(replica).is_none() {
            // This leader's metadata may be behind the follower's: it asks again later.
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let stale = broker.is_some_and(|broker| broker.epoch > broker_epoch);
        if broker_epoch != -1 && stale {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        Ok(())
    }

    /// Takes in a follower's fetch that was answered with data (or an empty answer), not with an
    /// error or a diverging epoch.
    pub fn update_follower_fetch(
        &mut self,
        fetch: &FollowerFetch,
        leo: i64,
        brokers: &impl Fn(i32) -> Option<BrokerStatus>,
    ) -> Result<FetchOutcome, ErrorCode> {
        let status = brokers(fetch.replica);
        self.check_follower(fetch.replica, fetch.broker_epoch, status)?;
        let Some(follower) = self.follower_mut(fetch.replica) else {
            return Err(ErrorCode::UnknownLeaderEpoch);
        };
        let before = follower.log_end_offset;
        follower.on_fetch(fetch, leo);
        let expand = self.maybe_expand(fetch.replica, status);
        let hw_moved =
            before != fetch.offset && self.maybe_increment_hw(leo, fetch.now_ms, brokers);
        Ok(FetchOutcome { hw_moved, expand })
    }

    /// Raises the high watermark if the rules allow; call it after an append as well, for the ISR
    /// may be this broker alone.
    pub fn maybe_increment_hw(
        &mut self,
        leo: i64,
        now_ms: i64,
        brokers: &impl Fn(i32) -> Option<BrokerStatus>,
    ) -> bool {
        if self.config.rules.strict_min_isr && self.is_under_min_isr() {
            return false;
        }
        let mut candidate = leo;
        for (id, follower) in &self.followers {
            let holds = match self.config.rules.hw_over {
                HighWatermarkOver::MaximalIsr => {
                    self.is_in_maximal_isr(*id)
                        || (follower.is_caught_up(leo, now_ms, self.config.lag_max_ms)
                            && follower.is_isr_eligible(brokers(*id)))
                }
                HighWatermarkOver::CommittedOnly => self.isr.contains(id),
                HighWatermarkOver::PendingOnly => self.proposed_isr_contains(*id),
            };
            if holds {
                candidate = candidate.min(follower.log_end_offset);
            }
        }
        let moves = candidate > self.high_watermark;
        self.high_watermark = self.high_watermark.max(candidate);
        moves
    }

    /// Followers of the ISR that are out of sync at `now_ms`; none while a change is pending.
    pub fn out_of_sync(&self, leo: i64, now_ms: i64) -> Vec<i32> {
        if self.is_in_flight() {
            return Vec::new();
        }
        let lags = |id: &i32| match self.follower(*id) {
            Some(follower) => !follower.is_caught_up(leo, now_ms, self.config.lag_max_ms),
            None => true,
        };
        self.isr
            .iter()
            .copied()
            .filter(|id| *id != self.local && lags(id))
            .collect()
    }

    /// The check every half `replica.lag.time.max.ms`: asks to drop followers that lag. `None` also
    /// when an earlier AlterPartition is still on its way, in which case nothing becomes pending.
    pub fn maybe_shrink(&mut self, leo: i64, now_ms: i64) -> Option<IsrProposal> {
        let leaving = self.out_of_sync(leo, now_ms);
        if leaving.is_empty() || self.outstanding {
            return None;
        }
        let stays = self
            .isr
            .iter()
            .copied()
            .filter(|id| !leaving.contains(id))
            .collect();
        let proposal = self.propose(stays);
        self.state = IsrState::PendingShrink {
            leaving,
            proposal: proposal.clone(),
        };
        Some(proposal)
    }

    fn maybe_expand(&mut self, id: i32, broker: Option<BrokerStatus>) -> Option<IsrProposal> {
        if self.isr.contains(&id) {
            return None;
        }
        let follower = self.follower(id)?;
        let reached = follower.log_end_offset;
        let joins = !self.is_in_flight()
            && follower.is_isr_eligible(broker)
            && reached >= self.high_watermark
            && (!self.config.rules.expand_requires_epoch_start
                || reached >= self.epoch_start_offset);
        if !joins || self.outstanding {
            return None;
        }
        let isr = self.isr.iter().copied().chain([id]).collect();
        let proposal = self.propose(isr);
        self.state = IsrState::PendingExpand {
            joining: id,
            proposal: proposal.clone(),
        };
        Some(proposal)
    }

    fn propose(&mut self, isr: Vec<i32>) -> IsrProposal {
        self.outstanding = true;
        let epoch_of = |id: i32| {
            if id == self.local {
                return self.local_broker_epoch;
            }
            self.follower(id)
                .and_then(|follower| follower.broker_epoch)
                .unwrap_or(-1)
        };
        IsrProposal {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.into_iter().map(|id| (id, epoch_of(id))).collect(),
        }
    }

    /// Takes in the answer to `proposal`. After [`AlterOutcome::Retry`] send it again.
    pub fn on_alter_partition_response(
        &mut self,
        proposal: &IsrProposal,
        answer: Result<&IsrCommit, ErrorCode>,
        leo: i64,
        now_ms: i64,
        brokers: &impl Fn(i32) -> Option<BrokerStatus>,
    ) -> AlterOutcome {
        self.outstanding = false;
        if self.state.proposal() != Some(proposal) {
            return AlterOutcome::Ignored;
        }
        match answer {
            Ok(commit) if commit.leader_epoch != self.leader_epoch => AlterOutcome::AwaitMetadata,
            Ok(commit) if commit.partition_epoch < self.partition_epoch => {
                AlterOutcome::AwaitMetadata
            }
            Ok(commit) => {
                self.isr.clone_from(&commit.isr);
                self.partition_epoch = commit.partition_epoch;
                self.state = IsrState::Committed;
                let hw_moved = self.maybe_increment_hw(leo, now_ms, brokers);
                AlterOutcome::Committed { hw_moved }
            }
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => {
                self.state = IsrState::Committed;
                AlterOutcome::RolledBack
            }
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected,
            ) => AlterOutcome::AwaitMetadata,
            Err(_) => {
                self.outstanding = true;
                AlterOutcome::Retry
            }
        }
    }

    /// Whether a produce request may be appended: acks=all needs an ISR of `min.insync.replicas`,
    /// other acks need nothing.
    pub fn check_produce(&self, acks_all: bool) -> Result<(), ErrorCode> {
        if acks_all && self.is_under_min_isr() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        Ok(())
    }

    /// How far a request with acks=all has come, whose last record precedes `required_offset`.
    pub fn acks_progress(&self, required_offset: i64) -> AcksProgress {
        if self.high_watermark < required_offset {
            AcksProgress::Waiting
        } else if self.maximal_isr_len() < self.effective_min_isr() {
            AcksProgress::NotEnoughReplicasAfterAppend
        } else {
            AcksProgress::Done
        }
    }

    /// The committed ISR.
    pub fn isr(&self) -> &[i32] {
        &self.isr
    }

    /// The committed ISR and a pending expansion: what the high watermark waits for.
    pub fn maximal_isr(&self) -> Vec<i32> {
        let joining = match self.state {
            IsrState::PendingExpand { joining, .. } => Some(joining),
            IsrState::Committed | IsrState::PendingShrink { .. } => None,
        };
        self.isr.iter().copied().chain(joining).collect()
    }

    /// Whether an ISR change is pending.
    pub fn is_in_flight(&self) -> bool {
        self.state != IsrState::Committed
    }

    /// The ISR state, with what is pending.
    pub fn isr_state(&self) -> &IsrState {
        &self.state
    }

    /// `min.insync.replicas`, or the replication factor if that is smaller.
    pub fn effective_min_isr(&self) -> i32 {
        self.config
            .min_insync_replicas
            .min(count(self.followers.len() + 1))
    }

    /// Whether the committed ISR is below the effective `min.insync.replicas`.
    pub fn is_under_min_isr(&self) -> bool {
        count(self.isr.len()) < self.effective_min_isr()
    }

    /// The high watermark.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The leader epoch.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The log end at which the leader epoch began.
    pub fn epoch_start_offset(&self) -> i64 {
        self.epoch_start_offset
    }

    /// The partition epoch.
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// What is known of the followers, with their broker ids in ascending order.
    pub fn followers(&self) -> &[(i32, ReplicaState)] {
        &self.followers
    }

    /// What is known of one follower.
    #[inline]
    pub fn follower(&self, id: i32) -> Option<&ReplicaState> {
        let found = self.followers.iter().find(|(it, _)| *it == id);
        found.map(|(_, follower)| follower)
    }

    fn follower_mut(&mut self, id: i32) -> Option<&mut ReplicaState> {
        let found = self.followers.iter_mut().find(|(it, _)| *it == id);
        found.map(|(_, follower)| follower)
    }

    /// The settings in force.
    pub fn config(&self) -> &LeaderConfig {
        &self.config
    }

    /// Changes the settings (a dynamic `min.insync.replicas`, a rule switched).
    pub fn set_config(&mut self, config: LeaderConfig) {
        self.config = config;
    }

    /// Lowest log start of all live replicas: what DeleteRecords waits for.
    pub fn low_watermark(
        &self,
        log_start_offset: i64,
        brokers: &impl Fn(i32) -> Option<BrokerStatus>,
    ) -> i64 {
        let live = self
            .followers
            .iter()
            .filter(|(id, _)| brokers(*id).is_some_and(|b| !b.fenced));
        live.map(|(_, follower)| follower.log_start_offset)
            .fold(log_start_offset, i64::min)
    }

    fn take_assignment(&mut self, metadata: &PartitionMetadata) {
        let local = self.local;
        self.followers
            .retain(|(id, _)| metadata.replicas.contains(id));
        for id in metadata.replicas.iter().filter(|id| **id != local) {
            if let Err(at) = self.followers.binary_search_by_key(id, |(it, _)| *it) {
                self.followers.insert(at, (*id, ReplicaState::unknown(0)));
            }
        }
    }

    fn reset_followers(&mut self, new_leader: bool, now_ms: i64, leo: i64) {
        for (id, follower) in &mut self.followers {
            follower.reset(new_leader, self.isr.contains(id), now_ms, leo);
        }
    }

    fn is_in_maximal_isr(&self, id: i32) -> bool {
        self.isr.contains(&id)
            || matches!(self.state, IsrState::PendingExpand { joining, .. } if joining == id)
    }

    fn proposed_isr_contains(&self, id: i32) -> bool {
        match self.state.proposal() {
            Some(proposal) => proposal.isr.iter().any(|(member, _)| *member == id),
            None => self.isr.contains(&id),
        }
    }

    fn maximal_isr_len(&self) -> i32 {
        let joining = matches!(self.state, IsrState::PendingExpand { .. });
        count(self.isr.len()) + i32::from(joining)
    }
}

/// A number of replicas; there are never more than a handful.
fn count(replicas: usize) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}
