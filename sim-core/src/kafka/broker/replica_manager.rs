//! Acting on metadata: becoming leader, becoming follower, giving a replica up.
//!
//! Follows `ReplicaManager.applyDelta`, `Partition.makeLeader` and `Partition.makeFollower`.

use super::config::log_config;
use super::metadata::MetadataDelta;
use super::partition::{FetchPhase, FetchState, Partition, Role, statuses};
use super::purgatory::Wake;
use super::{Broker, BrokerState, clock_ms};
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::election::PartitionRegistration;
use crate::kafka::rules::isr::PartitionLeaderState;
use crate::kafka::rules::isr::{MetadataOutcome, PartitionMetadata};
use crate::kafka::rules::truncation::{FollowerLog, FollowerStart};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Broker {
    /// Brings the hosted replicas in line with what changed in the image.
    pub(super) fn apply_delta(&mut self, delta: &MetadataDelta, cx: &mut KafkaCx<'_>) {
        let image = Arc::clone(self.meta.image());
        let mut fetch_from = BTreeSet::new();
        for &tp in &delta.partitions {
            match image.partitions.get(&tp) {
                Some(registration) if registration.replicas.contains(&self.id) => {
                    self.note_isr_change(tp, registration, cx);
                    if registration.leader == self.id {
                        self.make_leader(tp, registration, cx);
                    } else if let Some(leader) = self.make_follower(tp, registration, cx) {
                        fetch_from.insert(leader);
                    }
                }
                _ => self.stop_replica(tp, cx),
            }
            (self.parts().groups.partition_changed)(self, tp, cx);
            (self.parts().transactions.partition_changed)(self, tp, cx);
            (self.parts().share.partition_changed)(self, tp, cx);
        }
        if delta.configs {
            self.refresh_configs();
        }
        if delta.configs || self.replication_quotas.is_some() {
            (self.parts().replication_quotas.refresh)(self);
        }
        self.start_cleaner(cx);
        (self.parts().tiering.start)(self, cx);
        for leader in fetch_from {
            self.run_fetcher(leader, cx);
        }
    }

    /// Tells how the ISR changed in the eyes of the leader.
    fn note_isr_change(
        &self,
        tp: TopicPartition,
        registration: &PartitionRegistration,
        cx: &mut KafkaCx<'_>,
    ) {
        let known = self.partitions.get(tp).and_then(Partition::leader_state);
        let before = known.map_or(0, |state| state.isr().len());
        if known.is_some_and(|state| state.isr() != registration.isr) {
            let (before, after) = (before as i64, registration.isr.len() as i64);
            self.note_rule(Rule::IsrChanged, Some(tp), None, before, after, cx);
        }
    }

    fn replica(&mut self, tp: TopicPartition, wall_ms: i64) -> &mut Partition {
        let config = log_config(&self.topic_config(tp.topic));
        let verifies = self.config.txn_verification;
        self.partitions
            .or_insert_with(tp, || Partition::new(config, verifies, wall_ms))
    }

    fn make_leader(
        &mut self,
        tp: TopicPartition,
        registration: &PartitionRegistration,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = Arc::clone(self.meta.image());
        let config = self.leader_config(&self.topic_config(tp.topic));
        let (id, broker_epoch, now_ms) = (self.id, self.lifecycle.epoch, clock_ms(cx));
        let metadata = PartitionMetadata {
            replicas: registration.replicas.clone(),
            isr: registration.isr.clone(),
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
        };
        let partition = self.replica(tp, cx.wall_ms());
        let before = partition.leader_epoch;
        let follows = partition.leader;
        let leo = partition.log.log().leo();
        let new_epoch = match &mut partition.role {
            Role::Leader(state) => {
                let outcome = state.apply_metadata(&metadata, leo, now_ms, &statuses(&image));
                if outcome == MetadataOutcome::Stale {
                    return;
                }
                registration.leader_epoch > before
            }
            Role::Offline | Role::Follower(_) => {
                let high_watermark = partition.log.log().high_watermark();
                partition.role = Role::Leader(Box::new(PartitionLeaderState::new(
                    id,
                    broker_epoch,
                    config,
                    &metadata,
                    leo,
                    high_watermark,
                    now_ms,
                )));
                true
            }
        };
        if new_epoch {
            partition.log.assign_epoch_at_end(registration.leader_epoch);
        }
        partition.leader = id;
        partition.leader_epoch = registration.leader_epoch;
        partition.partition_epoch = registration.partition_epoch;
        if follows != id {
            self.stop_fetching(tp, follows);
        }
        if new_epoch {
            let (before, after) = (before.into(), registration.leader_epoch.into());
            self.note_rule(Rule::BecameLeader, Some(tp), None, before, after, cx);
        }
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.sync_high_watermark(tp, &mut self.wakes, cx);
        }
        self.wakes.push_back(Wake::Changed(tp));
    }

    /// Returns the leader to fetch from, if fetching begins.
    fn make_follower(
        &mut self,
        tp: TopicPartition,
        registration: &PartitionRegistration,
        cx: &mut KafkaCx<'_>,
    ) -> Option<BrokerId> {
        let shutting_down = self.lifecycle.state == BrokerState::PendingControlledShutdown;
        let leader = registration.leader;
        let in_isr = registration.isr.contains(&self.id);
        let fetches = self.book.broker(leader).is_some() && (in_isr || !shutting_down);
        let partition = self.replica(tp, cx.wall_ms());
        let before = partition.leader_epoch;
        let followed = partition.leader;
        partition.partition_epoch = registration.partition_epoch;
        let follows_already = matches!(partition.role, Role::Follower(_));
        if follows_already && registration.leader_epoch <= before {
            if !fetches {
                self.stop_fetching(tp, followed);
            }
            return None;
        }
        partition.leader = leader;
        partition.leader_epoch = registration.leader_epoch;
        partition.role = Role::Follower(FetchState::new(FetchPhase::Failed));
        let (old, new) = (before.into(), registration.leader_epoch.into());
        self.note_rule(Rule::BecameFollower, Some(tp), Some(leader), old, new, cx);
        self.stop_fetching(tp, followed);
        self.wakes.push_back(Wake::Changed(tp));
        if !fetches {
            return None;
        }
        self.start_fetching(tp, leader, cx);
        Some(leader)
    }

    /// Gives a partition to the fetcher of its leader, after what the truncation rule wants first.
    fn start_fetching(&mut self, tp: TopicPartition, leader: BrokerId, cx: &mut KafkaCx<'_>) {
        let Some(partition) = self.partitions.get(tp) else {
            return;
        };
        let log = FollowerLog::of(partition.log.log());
        let phase = match self.rules.truncation.on_become_follower(&log) {
            FollowerStart::Truncate { offset } => {
                self.truncate(tp, offset, cx);
                FetchPhase::Fetching
            }
            FollowerStart::AskLeader { .. } => FetchPhase::Truncating,
            FollowerStart::Fetch => FetchPhase::Fetching,
        };
        if let Some(state) = self
            .partitions
            .get_mut(tp)
            .and_then(Partition::follower_mut)
        {
            *state = FetchState::new(phase);
        }
        self.fetchers.entry(leader).or_default().add(tp);
    }

    /// Takes a partition from the fetcher of a (former) leader.
    fn stop_fetching(&mut self, tp: TopicPartition, leader: BrokerId) {
        if let Some(thread) = self.fetchers.get_mut(&leader) {
            thread.remove(tp);
        }
        if let Some(state) = self
            .partitions
            .get_mut(tp)
            .and_then(Partition::follower_mut)
        {
            *state = FetchState::new(FetchPhase::Failed);
        }
    }

    /// The replica was moved away: its log goes.
    fn stop_replica(&mut self, tp: TopicPartition, cx: &mut KafkaCx<'_>) {
        let Some(partition) = self.partitions.remove(tp) else {
            return;
        };
        self.stop_fetching(tp, partition.leader);
        self.cleaner.update_checkpoint(tp, None);
        let log = partition.log.log();
        if log.start_offset() < log.leo() {
            self.note_dropped(tp, log.start_offset(), log.leo(), false, cx);
        }
        let watchers = partition.watchers.into_iter().map(Wake::Connection);
        self.wakes.extend(watchers);
    }

    /// Cuts a follower's log.
    pub(super) fn truncate(&mut self, tp: TopicPartition, offset: i64, cx: &mut KafkaCx<'_>) {
        let wall_ms = cx.wall_ms();
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let before = partition.log.log().leo();
        if partition.log.truncate_to(offset, wall_ms) {
            let after = partition.log.log().leo();
            let active = partition.log.log().active_segment().base_offset();
            self.cleaner.maybe_truncate_checkpoint(tp, active);
            self.note_rule(Rule::Truncate, Some(tp), None, before, after, cx);
            self.note_dropped(tp, after, before, false, cx);
        }
    }
}
