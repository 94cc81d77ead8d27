//! What an onlooker may see of a broker. Reading never changes it.

use super::partition::{FetchPhase, Partition, Role};
use super::{Broker, BrokerState};
use crate::kafka::config::BrokerConfig;
use crate::kafka::ids::{AddressBook, BrokerId, TopicPartition};
use crate::kafka::metadata::MetadataImage;
use crate::kafka::rules::isr::PartitionLeaderState;
use crate::kafka::rules::partition_log::PartitionLog;
use crate::log::Log;
use std::sync::Arc;

/// The part a replica plays, as its own broker believes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleView {
    /// None yet: the broker has no metadata.
    Offline,
    /// Leader.
    Leader,
    /// Follower.
    Follower {
        /// It fetches, or is about to; false if it waits for metadata.
        fetching: bool,
    },
}

/// A follower as its leader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerView {
    /// Which broker.
    pub id: BrokerId,
    /// Its log end offset; -1 until it fetched.
    pub leo: i64,
    /// Since when it is not caught up, in ms; 0 if it is, or was within this millisecond.
    pub lag_ms: i64,
}

/// A replica, as its own broker sees it.
#[derive(Clone, Copy, Debug)]
pub struct PartitionView<'a> {
    /// Its part.
    pub role: RoleView,
    /// It believes that it leads.
    pub leads: bool,
    /// The leader; -1 = none.
    pub leader: BrokerId,
    /// Leader epoch; -1 = not known.
    pub leader_epoch: i32,
    /// Partition epoch; -1 = not known.
    pub partition_epoch: i32,
    /// In-sync replicas: the leader's committed ISR, elsewhere what the metadata says.
    pub isr: &'a [BrokerId],
    /// Log start offset.
    pub log_start: i64,
    /// Log end offset.
    pub leo: i64,
    /// High watermark.
    pub hw: i64,
    /// High watermark on disk.
    pub checkpoint: i64,
    /// The log.
    pub log: &'a Log,
    /// The log with producers and transactions.
    pub partition_log: &'a PartitionLog,
    /// The leader's state, if it leads.
    pub leader_state: Option<&'a PartitionLeaderState>,
}

impl PartitionView<'_> {
    /// The followers, as the leader sees them at `now` (ns of simulated time); empty elsewhere.
    pub fn followers(&self, now: crate::kernel::Nanos) -> impl Iterator<Item = FollowerView> + '_ {
        let now_ms = super::clock_of(now);
        let leo = self.leo;
        let followers = self.leader_state.into_iter().flat_map(|it| it.followers());
        followers.map(move |(id, state)| FollowerView {
            id: *id,
            leo: state.log_end_offset,
            lag_ms: if state.log_end_offset == leo || state.last_caught_up_ms == 0 {
                0
            } else {
                now_ms.saturating_sub(state.last_caught_up_ms)
            },
        })
    }
}

impl Broker {
    /// Its `node.id`.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        self.id
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Who is where in the cluster.
    #[must_use]
    pub fn address_book(&self) -> &Arc<AddressBook> {
        &self.book
    }

    /// The names of the topics, by number, without those that brokers keep for themselves.
    #[must_use]
    pub fn topics(&self) -> &[Arc<str>] {
        &self.book.topics
    }

    /// Its log of a partition (also while it is down: what its disk and page cache hold).
    #[must_use]
    pub fn log(&self, tp: TopicPartition) -> Option<&Log> {
        self.partitions.get(tp).map(|it| it.log.log())
    }

    /// Below this offset its log of a partition was compacted; 0 if it never was.
    #[must_use]
    pub fn compacted_to(&self, tp: TopicPartition) -> i64 {
        self.cleaner.checkpoint(tp).unwrap_or(0)
    }

    /// Where it stands in its life.
    #[must_use]
    pub fn state(&self) -> BrokerState {
        self.lifecycle.state
    }

    /// Its process has ended in order, in this very step.
    #[cfg(test)]
    pub(super) fn is_shut_down(&self) -> bool {
        self.state() == BrokerState::ShutDown
    }

    /// Epoch of its registration; -1 until registered.
    #[must_use]
    pub fn broker_epoch(&self) -> i64 {
        self.lifecycle.epoch
    }

    /// Whether the controller's last answer said that it is fenced.
    #[must_use]
    pub fn told_fenced(&self) -> bool {
        self.lifecycle.told_fenced
    }

    /// Its metadata, at its own offset.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        self.meta.image()
    }

    /// How many requests are parked at it.
    #[must_use]
    pub fn parked_requests(&self) -> usize {
        let parked = self.connections.values().filter(|it| it.parked.is_some());
        parked.count()
    }

    /// Its replicas.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, PartitionView<'_>)> + '_ {
        self.partitions
            .iter()
            .map(|(tp, partition)| (tp, self.view(tp, partition)))
    }

    /// One of its replicas.
    #[must_use]
    pub fn partition(&self, tp: TopicPartition) -> Option<PartitionView<'_>> {
        let partition = self.partitions.get(tp)?;
        Some(self.view(tp, partition))
    }

    fn view<'a>(&'a self, tp: TopicPartition, partition: &'a Partition) -> PartitionView<'a> {
        let leader_state = partition.leader_state();
        let registered = self.meta.image().partitions.get(&tp);
        let log = partition.log.log();
        PartitionView {
            role: match &partition.role {
                Role::Offline => RoleView::Offline,
                Role::Leader(_) => RoleView::Leader,
                Role::Follower(state) => RoleView::Follower {
                    fetching: state.phase != FetchPhase::Failed,
                },
            },
            leads: leader_state.is_some(),
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: match (leader_state, registered) {
                (Some(state), _) => state.isr(),
                (None, Some(registered)) => &registered.isr,
                (None, None) => &[],
            },
            log_start: log.start_offset(),
            leo: log.leo(),
            hw: log.high_watermark(),
            checkpoint: partition.checkpoint,
            log,
            partition_log: &partition.log,
            leader_state,
        }
    }
}
