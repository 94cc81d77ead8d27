//! Tiered storage: the leader copies closed segments away, and what is old is read from there.
//!
//! Follows `RemoteLogManager`'s `RLMCopyTask` and `RLMExpirationTask` (one round for both here),
//! `DelayedRemoteFetch` and `TierStateMachine` (KIP-405). Remote storage never fails and is the same
//! for all; an upload takes no time, a read takes `remote.storage.latency.ms`. Followers learn from
//! their leader's answers what is there; Kafka has a topic for that, `__remote_log_metadata`. Left
//! out: producer snapshots in remote storage, and the rates of copying and fetching
//! (`remote.log.manager.*.max.bytes.per.second`).

use super::partition::Partition;
use super::{Broker, BrokerTimer, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::FetchPartition;
use crate::kafka::rules::fetch::OffsetView;
use crate::kafka::rules::partition_log::ReadResult;
use crate::log::{Record, RemoteSegments};
use std::sync::Arc;

impl Broker {
    /// Lets the task run from now on, if a hosted log is tiered.
    pub(super) fn start_tiering(&mut self, cx: &mut KafkaCx<'_>) {
        if self.tiering {
            return;
        }
        let tiered = |it: &Partition| it.log.log().config().remote_log_enabled();
        if self.partitions.iter().any(|(_, it)| tiered(it)) {
            self.tiering = true;
            let pause = span(self.config.remote_task_ms.max(1));
            cx.set_timer(pause, BrokerTimer::Remote.into());
        }
    }

    /// One round: leaders copy, and delete what is too old in remote storage.
    pub(super) fn on_remote_task(&mut self, cx: &mut KafkaCx<'_>) {
        self.tiering = false;
        let led = self.partitions.iter();
        let led = led.filter(|(_, it)| {
            it.leader_state().is_some() && it.log.log().config().remote_log_enabled()
        });
        let led: Vec<TopicPartition> = led.map(|(tp, _)| tp).collect();
        for tp in led {
            self.tier(tp, cx);
        }
        self.start_tiering(cx);
    }

    fn tier(&mut self, tp: TopicPartition, cx: &mut KafkaCx<'_>) {
        let wall_ms = cx.wall_ms();
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let copies = partition.log.log().config().remote_copy_enabled();
        let copied = copies.then(|| partition.log.copy_to_remote()).flatten();
        let before = partition.log.log().start_offset();
        let moved = partition.log.expire_remote(wall_ms);
        let after = partition.log.log().start_offset();
        if let Some((from, to)) = copied {
            self.note_rule(Rule::SegmentsTiered, Some(tp), None, from, to, cx);
        }
        if moved {
            self.note_rule(Rule::LogStart, Some(tp), None, before, after, cx);
            self.note_dropped(tp, before, after, true, cx);
        }
    }

    /// A consumer asks for what is on local disk no more. A follower cannot have it: it is told so.
    pub(super) fn read_remote(
        partition: &Partition,
        view: OffsetView,
        asked: &FetchPartition,
        budget: u32,
    ) -> Result<ReadResult<Record>, ErrorCode> {
        if view == OffsetView::Replica {
            return Err(ErrorCode::OffsetMovedToTieredStorage);
        }
        let read = partition.log.read_remote(view, asked.fetch_offset, budget);
        read.map_err(|_| ErrorCode::OffsetOutOfRange)
    }

    /// A consumer gets what is in remote storage only.
    pub(super) fn served_from_remote(&self, asked: &FetchPartition, cx: &mut KafkaCx<'_>) {
        if let Some(partition) = self.partitions.get(asked.tp) {
            let (from, local) = (asked.fetch_offset, partition.log.log().local_start_offset());
            self.note_rule(Rule::RemoteRead, Some(asked.tp), None, from, local, cx);
        }
    }

    /// The leader says what is in remote storage.
    pub(super) fn told_of_remote(&mut self, tp: TopicPartition, remote: &RemoteSegments) {
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.log.set_remote(Arc::clone(remote));
        }
    }

    /// The leader says where its local log starts: a follower that is too far behind for it starts
    /// there, and knows of the rest that it is in remote storage.
    pub(super) fn build_from_remote(
        &mut self,
        tp: TopicPartition,
        local_start: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let before = partition.log.log().leo();
        partition.log.restart_behind_remote(local_start);
        self.note_rule(
            Rule::BuiltFromRemote,
            Some(tp),
            None,
            before,
            local_start,
            cx,
        );
    }
}
