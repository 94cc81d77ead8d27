//! A follower's side: one fetcher per leader broker asks for all partitions it leads.
//!
//! Follows `AbstractFetcherThread.doWork` and `ReplicaFetcherThread` with
//! `num.replica.fetchers=1`: first the lookups that some partitions need, then one fetch for all
//! that may be fetched; nothing else until all is answered, appended and, on a slow disk, written.
//! Left out: moving a partition to the end of the request once it got data, which only matters
//! when more than `replica.fetch.response.max.bytes` waits at one leader.

use super::alarm::Alarm;
use super::partition::{FetchPhase, FetchState, Partition};
use super::replication_quota::Side;
use super::{Broker, BrokerTimer, request, span};
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{FetchPartition, Fetcher, Isolation, Request};
use crate::kernel::Nanos;
use serde::Serialize;

/// `replica.fetch.response.max.bytes`.
const RESPONSE_MAX_BYTES: u32 = 10_485_760;
/// Timestamps of ListOffsets that stand for the ends of the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const EARLIEST_LOCAL: i64 = -4;

/// The fetcher of one leader broker. It stays when it has no partition left, until it gets some
/// again: the answer to its last request may still be on its way.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct FetcherThread {
    /// In order.
    partitions: Vec<TopicPartition>,
    /// Requests under way.
    waiting: Vec<u32>,
    /// When they count as lost (`replica.socket.timeout.ms`).
    deadline: Nanos,
    /// Busy writing until then.
    pub(super) busy_until: Nanos,
    alarm: Alarm,
}

impl FetcherThread {
    pub(super) fn add(&mut self, tp: TopicPartition) {
        if let Err(at) = self.partitions.binary_search(&tp) {
            self.partitions.insert(at, tp);
        }
    }

    pub(super) fn remove(&mut self, tp: TopicPartition) {
        if let Ok(at) = self.partitions.binary_search(&tp) {
            self.partitions.remove(at);
        }
    }

    pub(super) fn deadline(&self) -> Option<Nanos> {
        (!self.waiting.is_empty()).then_some(self.deadline)
    }

    /// Takes a request off the waiting ones; false if it is not among them.
    pub(super) fn answered(&mut self, correlation: u32) -> bool {
        let at = self.waiting.iter().position(|it| *it == correlation);
        at.map(|at| self.waiting.swap_remove(at)).is_some()
    }
}

impl Broker {
    pub(super) fn on_fetcher_timer(&mut self, leader: BrokerId, cx: &mut KafkaCx<'_>) {
        if let Some(thread) = self.fetchers.get_mut(&leader) {
            thread.alarm.fired();
        }
        self.run_fetcher(leader, cx);
    }

    /// Lets a fetcher do its next round, if it is free.
    pub(super) fn run_fetcher(&mut self, leader: BrokerId, cx: &mut KafkaCx<'_>) {
        let Some(slot) = self.fetchers.get_mut(&leader) else {
            return;
        };
        if !slot.waiting.is_empty() {
            return;
        }
        let now = cx.now();
        if slot.busy_until > now {
            let at = slot.busy_until;
            slot.alarm.by(at, BrokerTimer::Fetcher(leader), cx);
            return;
        }
        let mut thread = std::mem::take(slot);
        self.next_round(leader, &mut thread, cx);
        if let Some(slot) = self.fetchers.get_mut(&leader) {
            *slot = thread;
        }
    }

    fn next_round(&mut self, leader: BrokerId, thread: &mut FetcherThread, cx: &mut KafkaCx<'_>) {
        let Some(to) = self.book.broker(leader) else {
            return;
        };
        let now = cx.now();
        let lookups: Vec<Request> = thread
            .partitions
            .iter()
            .filter_map(|tp| self.lookup_for(*tp, now))
            .collect();
        let requests = if lookups.is_empty() {
            self.fetch_for(thread, now).into_iter().collect()
        } else {
            lookups
        };
        for what in requests {
            let correlation = self.correlation();
            thread.waiting.push(correlation);
            request(to, correlation, what, cx);
        }
        if thread.waiting.is_empty() {
            // Nothing may be asked now; go on when the first backoff ends.
            let pause = span(self.config.replica_fetch_backoff_ms);
            let delays = thread.partitions.iter().filter_map(|tp| {
                let throttled = self.holds_itself_back(*tp, now);
                let at = self.delay_of(*tp)?;
                Some(if throttled { at.max(now + pause) } else { at })
            });
            if let Some(at) = delays.filter(|at| *at > now).min() {
                thread.alarm.by(at, BrokerTimer::Fetcher(leader), cx);
            }
        } else {
            thread.deadline = now.saturating_add(span(self.config.replica_socket_timeout_ms));
            self.watch_deadline(thread.deadline, cx);
        }
    }

    fn follower(&mut self, tp: TopicPartition) -> Option<(&mut Partition, FetchState)> {
        let partition = self.partitions.get_mut(tp)?;
        let state = *partition.follower_mut()?;
        Some((partition, state))
    }

    fn delay_of(&self, tp: TopicPartition) -> Option<Nanos> {
        match &self.partitions.get(tp)?.role {
            super::partition::Role::Follower(state) if state.phase != FetchPhase::Failed => {
                Some(state.delayed_until)
            }
            _ => None,
        }
    }

    /// The epoch that requests to leaders name; -1 under rules without fencing.
    fn named_epoch(&self, leader_epoch: i32) -> i32 {
        if self.fences_replicas() {
            leader_epoch
        } else {
            -1
        }
    }

    /// What a partition must ask before it may fetch.
    fn lookup_for(&mut self, tp: TopicPartition, now: Nanos) -> Option<Request> {
        let id = self.id;
        let (partition, state) = self.follower(tp)?;
        if state.delayed_until > now || state.phase == FetchPhase::Fetching {
            return None;
        }
        let log = partition.log.log();
        let (leo, epoch, last_epoch) = (log.leo(), partition.leader_epoch, log.latest_epoch());
        let current_leader_epoch = self.named_epoch(epoch);
        let what = match state.phase {
            FetchPhase::Fetching | FetchPhase::Failed => return None,
            FetchPhase::Truncating => Request::OffsetsForLeaderEpoch {
                replica: id,
                tp,
                current_leader_epoch,
                leader_epoch: last_epoch.unwrap_or(-1),
            },
            FetchPhase::AskLogEnd | FetchPhase::AskLogStart { .. } | FetchPhase::AskLocalStart => {
                Request::ListOffsets {
                    tp,
                    timestamp: match state.phase {
                        FetchPhase::AskLogEnd => LATEST,
                        FetchPhase::AskLocalStart => EARLIEST_LOCAL,
                        _ => EARLIEST,
                    },
                    current_leader_epoch,
                    isolation: Isolation::ReadUncommitted,
                }
            }
        };
        if let Some(state) = self.partitions.get_mut(tp)?.follower_mut() {
            state.requested = Some((leo, epoch));
        }
        Some(what)
    }

    /// Whether the throttle keeps this follower from asking (`shouldFollowerThrottle`).
    fn holds_itself_back(&self, tp: TopicPartition, now: Nanos) -> bool {
        self.is_throttled(Side::Follower, tp)
            && (self.parts().replication_quotas.must_wait)(self, Side::Follower, tp, now)
            && self
                .meta
                .image()
                .partitions
                .get(&tp)
                .is_some_and(|it| !it.isr.contains(&self.id))
    }

    /// One fetch for all partitions that may be fetched.
    fn fetch_for(&mut self, thread: &FetcherThread, now: Nanos) -> Option<Request> {
        let fences = self.fences_replicas();
        let names_epoch = self.rules.truncation.checks_divergence_on_fetch();
        let max_bytes = self.config.replica_fetch_max_bytes;
        let mut partitions = Vec::with_capacity(thread.partitions.len());
        for tp in &thread.partitions {
            if self.holds_itself_back(*tp, now) {
                continue;
            }
            let Some(partition) = self.partitions.get_mut(*tp) else {
                continue;
            };
            let log = partition.log.log();
            let (leo, start, epoch) = (log.leo(), log.start_offset(), partition.leader_epoch);
            let last_epoch = log.latest_epoch().filter(|_| names_epoch);
            let Some(state) = partition.follower_mut() else {
                continue;
            };
            if state.phase != FetchPhase::Fetching || state.delayed_until > now {
                continue;
            }
            state.requested = Some((leo, epoch));
            partitions.push(FetchPartition {
                tp: *tp,
                fetch_offset: leo,
                current_leader_epoch: if fences { epoch } else { -1 },
                last_fetched_epoch: last_epoch.unwrap_or(-1),
                log_start_offset: start,
                max_bytes,
            });
        }
        (!partitions.is_empty()).then(|| Request::Fetch {
            fetcher: Fetcher::Replica {
                id: self.id,
                broker_epoch: self.lifecycle.epoch,
            },
            max_wait_ms: self.config.replica_fetch_wait_max_ms,
            min_bytes: self.config.replica_fetch_min_bytes,
            max_bytes: RESPONSE_MAX_BYTES,
            partitions,
        })
    }

    /// The connection to a leader broker is gone: everything asked on it waits for the backoff.
    pub(super) fn fetcher_failed(&mut self, leader: BrokerId, cx: &mut KafkaCx<'_>) {
        let Some(thread) = self.fetchers.get_mut(&leader) else {
            return;
        };
        if thread.waiting.is_empty() {
            return;
        }
        thread.waiting.clear();
        let until = cx
            .now()
            .saturating_add(span(self.config.replica_fetch_backoff_ms));
        for tp in &thread.partitions {
            if let Some(state) = self
                .partitions
                .get_mut(*tp)
                .and_then(Partition::follower_mut)
            {
                state.delayed_until = until;
                state.requested = None;
            }
        }
        self.run_fetcher(leader, cx);
    }
}
