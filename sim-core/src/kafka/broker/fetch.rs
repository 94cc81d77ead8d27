//! Fetch: reading for followers and consumers, and the long poll.
//!
//! Follows `ReplicaManager.fetchMessages`, `Partition.fetchRecords` and `DelayedFetch`. A follower's
//! fetch is its acknowledgement; the leader reads first and counts it after, so the answer still
//! carries the high watermark from before. Left out: the special case of a fetch from an older
//! segment, which ends a long poll even below min bytes.

use super::partition::{Partition, statuses};
use super::purgatory::{Parked, Wake};
use super::replication_quota::Side;
use super::{Broker, client_of, clock_ms, respond, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{FetchPartition, FetchedPartition, Fetcher, Isolation, Msg, Response};
use crate::kafka::rules::fetch::{OffsetView, check_divergence, check_replica};
use crate::kafka::rules::isr::FetchOutcome;
use crate::kafka::rules::isr::PartitionLeaderState;
use crate::kafka::rules::replica::FollowerFetch;
use crate::kernel::{Nanos, NodeId};
use crate::log::{BatchList, RemoteSegments};
use serde::Serialize;

/// A fetch, parked or about to be served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct DelayedFetch {
    pub(super) correlation: u32,
    pub(super) fetcher: Fetcher,
    pub(super) min_bytes: u32,
    pub(super) max_bytes: u32,
    pub(super) partitions: Vec<FetchPartition>,
    pub(super) deadline: Nanos,
}

impl DelayedFetch {
    fn view(&self) -> OffsetView {
        match self.fetcher {
            Fetcher::Replica { .. } => OffsetView::Replica,
            Fetcher::Consumer(isolation) => view_of(isolation),
        }
    }
}

/// How far a consumer sees.
pub(super) fn view_of(isolation: Isolation) -> OffsetView {
    match isolation {
        Isolation::ReadUncommitted => OffsetView::ReadUncommitted,
        Isolation::ReadCommitted => OffsetView::ReadCommitted,
    }
}

/// What was read for a fetch.
struct Reading {
    partitions: Vec<FetchedPartition>,
    bytes: u64,
    /// An error or a diverging epoch: answer at once.
    urgent: bool,
    /// Some of it is in remote storage only.
    remote: bool,
}

impl Broker {
    pub(super) fn on_fetch(&mut self, from: NodeId, fetch: DelayedFetch, cx: &mut KafkaCx<'_>) {
        let may_wait = fetch.deadline > cx.now() && fetch.min_bytes > 0;
        if may_wait && self.has_nothing_for(&fetch) && self.count_all(&fetch, cx).is_ok() {
            self.park(from, Parked::Fetch(fetch), cx);
            return;
        }
        let reading = self.read_all(&fetch, true, cx);
        let enough = reading.bytes >= u64::from(fetch.min_bytes);
        let no_wait = fetch.deadline <= cx.now() || fetch.partitions.is_empty();
        if enough || reading.urgent || no_wait {
            self.answer_fetch(from, fetch.correlation, reading, cx);
            return;
        }
        self.park(from, Parked::Fetch(fetch), cx);
    }

    /// Whether a fetch has all there is of every partition and no error to be told of: what most
    /// find that ask again at once.
    fn has_nothing_for(&self, fetch: &DelayedFetch) -> bool {
        let brokers = statuses(self.meta.image());
        let broker = match fetch.fetcher {
            Fetcher::Replica { id, .. } => brokers(id),
            Fetcher::Consumer(_) => None,
        };
        let told = |asked: &FetchPartition| {
            let (partition, state) = self.leading(fetch, asked).ok()?;
            if let Fetcher::Replica { id, broker_epoch } = fetch.fetcher {
                state.check_follower(id, broker_epoch, broker).ok()?;
            }
            let log = partition.log.log();
            let epoch = Some(asked.last_fetched_epoch);
            let diverging = check_divergence(log, epoch, asked.fetch_offset).ok()?;
            let bound = match fetch.view() {
                OffsetView::Replica => log.leo(),
                OffsetView::ReadUncommitted => log.high_watermark(),
                OffsetView::ReadCommitted => partition.log.last_stable_offset(),
            };
            let at_end = (bound..=log.leo()).contains(&asked.fetch_offset)
                && asked.fetch_offset >= log.local_start_offset();
            (at_end && diverging.is_none()).then_some(())
        };
        !fetch.partitions.is_empty() && fetch.partitions.iter().all(|it| told(it).is_some())
    }

    /// Counts a follower's fetch as acknowledgement for each of its partitions.
    fn count_all(&mut self, fetch: &DelayedFetch, cx: &mut KafkaCx<'_>) -> Result<(), ErrorCode> {
        if let Fetcher::Replica { id, broker_epoch } = fetch.fetcher {
            for asked in &fetch.partitions {
                self.count_fetch(asked, id, broker_epoch, cx)?;
            }
        }
        Ok(())
    }

    /// Answers a parked fetch with whatever there is now.
    pub(super) fn complete_fetch(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        if let Some(Parked::Fetch(fetch)) = self.unpark(node) {
            let reading = self.read_all(&fetch, false, cx);
            self.answer_fetch(node, fetch.correlation, reading, cx);
        }
    }

    /// Sends what was read; a client above its quota gets nothing but the time to wait.
    fn answer_fetch(
        &mut self,
        to: NodeId,
        correlation: u32,
        reading: Reading,
        cx: &mut KafkaCx<'_>,
    ) {
        let to = client_of(to);
        if self.replication_quotas.is_some() && self.book.broker_at(to).is_some() {
            let sent = reading.partitions.iter();
            let sent = sent.filter(|it| self.is_throttled(Side::Leader, it.tp));
            let bytes = sent.flat_map(|it| it.batches.iter()).map(|it| it.bytes);
            let bytes = bytes.map(u64::from).sum();
            (self.parts().replication_quotas.count)(self, Side::Leader, bytes, cx);
        }
        let partitions = match (self.parts().quotas.fetch)(self, to, reading.bytes, cx) {
            None => reading.partitions,
            Some(throttle_time_ms) => {
                let response = Box::new(Response::Fetch {
                    partitions: Vec::new(),
                });
                let throttled = Response::Throttled {
                    throttle_time_ms,
                    response,
                };
                respond(to, correlation, throttled, cx);
                return;
            }
        };
        let read = match reading.remote {
            true => cx.now().saturating_add(span(self.config.remote_latency_ms)),
            false => self.read_pages(to, &partitions, cx),
        };
        let response = Box::new(Response::Fetch { partitions });
        if read > cx.now() {
            cx.send_at(read, to, Msg::Response(correlation, response));
        } else {
            cx.send(to, Msg::Response(correlation, response));
        }
    }

    /// Reads every partition of a fetch; `counts` if it is to count as acknowledgement.
    fn read_all(&mut self, fetch: &DelayedFetch, counts: bool, cx: &mut KafkaCx<'_>) -> Reading {
        let mut reading = Reading {
            partitions: Vec::with_capacity(fetch.partitions.len()),
            bytes: 0,
            urgent: false,
            remote: false,
        };
        for asked in &fetch.partitions {
            let left = u64::from(fetch.max_bytes).saturating_sub(reading.bytes);
            let budget = u32::try_from(left).unwrap_or(u32::MAX).min(asked.max_bytes);
            let waits = self.held_back(fetch, asked, cx.now());
            let (budget, min_one) = if waits {
                (0, false)
            } else {
                (budget, reading.bytes == 0)
            };
            let read = self.read(fetch, asked, budget, min_one);
            let served = matches!(&read, Ok(fetched) if fetched.diverging.is_none());
            let counted = match fetch.fetcher {
                Fetcher::Replica { id, broker_epoch } if counts && served => {
                    self.count_fetch(asked, id, broker_epoch, cx)
                }
                _ => Ok(()),
            };
            let fetched = match counted.and(read) {
                Ok(fetched) => fetched,
                Err(error) => self.refused(asked.tp, error),
            };
            let bytes = fetched.batches.iter().map(|b| u64::from(b.bytes));
            reading.bytes += bytes.sum::<u64>();
            if self.is_remote(asked) && !fetched.batches.is_empty() {
                reading.remote = true;
                (self.parts().tiering.served)(self, asked, cx);
            }
            reading.urgent |= fetched.error.is_error() || fetched.diverging.is_some();
            reading.partitions.push(fetched);
        }
        reading
    }

    /// Whether a fetch asks for what is in remote storage only.
    #[inline]
    fn is_remote(&self, asked: &FetchPartition) -> bool {
        self.partitions.get(asked.tp).is_some_and(|it| {
            let log = it.log.log();
            (log.start_offset()..log.local_start_offset()).contains(&asked.fetch_offset)
        })
    }

    /// What a follower is told of remote storage.
    #[inline]
    fn remote_for(&self, fetch: &DelayedFetch, tp: TopicPartition) -> Option<RemoteSegments> {
        match fetch.fetcher {
            Fetcher::Replica { .. } => self.partitions.get(tp)?.log.log().remote().cloned(),
            Fetcher::Consumer(_) => None,
        }
    }

    /// Whether the throttle of replication keeps the data of a partition from a follower that is out
    /// of sync (`shouldLeaderThrottle`).
    fn held_back(&self, fetch: &DelayedFetch, asked: &FetchPartition, now: Nanos) -> bool {
        let Fetcher::Replica { id, .. } = fetch.fetcher else {
            return false;
        };
        if !self.is_throttled(Side::Leader, asked.tp) {
            return false;
        }
        let state = self.partitions.get(asked.tp);
        let state = state.and_then(Partition::leader_state);
        state.is_some_and(|it| !it.isr().contains(&id))
            && (self.parts().replication_quotas.must_wait)(self, Side::Leader, asked.tp, now)
    }

    /// Reads one partition, after the checks of epoch, role and divergence.
    #[inline]
    fn read(
        &self,
        fetch: &DelayedFetch,
        asked: &FetchPartition,
        budget: u32,
        min_one: bool,
    ) -> Result<FetchedPartition, ErrorCode> {
        let (partition, state) = self.leading(fetch, asked)?;
        let log = partition.log.log();
        if let Fetcher::Replica { id, .. } = fetch.fetcher
            && state.follower(id).is_none()
        {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let epoch = Some(asked.last_fetched_epoch);
        let diverging = check_divergence(log, epoch, asked.fetch_offset)?;
        let (batches, aborted) = if diverging.is_some() {
            (BatchList::default(), Vec::new())
        } else {
            let read = partition
                .log
                .read(fetch.view(), asked.fetch_offset, budget, min_one);
            let read = match read {
                Err(_) if self.is_remote(asked) => {
                    (self.parts().tiering.read)(partition, fetch.view(), asked, budget)?
                }
                read => read.map_err(|_| ErrorCode::OffsetOutOfRange)?,
            };
            (read.batches, read.aborted)
        };
        Ok(FetchedPartition {
            tp: asked.tp,
            error: ErrorCode::None,
            high_watermark: log.high_watermark(),
            last_stable_offset: partition.log.last_stable_offset(),
            log_start_offset: log.start_offset(),
            diverging,
            current_leader: None,
            remote: self.remote_for(fetch, asked.tp),
            aborted,
            batches,
        })
    }

    /// The partition, if this broker leads it in the epoch that the fetch names.
    #[inline]
    fn leading(
        &self,
        fetch: &DelayedFetch,
        asked: &FetchPartition,
    ) -> Result<(&Partition, &PartitionLeaderState), ErrorCode> {
        let partition = self.partitions.get(asked.tp);
        let partition = partition.ok_or_else(|| self.missing_replica(asked.tp))?;
        let state = partition.leader_state();
        let checks = match fetch.fetcher {
            Fetcher::Replica { .. } => self.fences_replicas(),
            Fetcher::Consumer(_) => true,
        };
        let epoch = checks.then_some(asked.current_leader_epoch);
        check_replica(epoch, partition.leader_epoch, state.is_some(), true)?;
        let state = state.ok_or(ErrorCode::NotLeaderOrFollower)?;
        Ok((partition, state))
    }

    /// Whether leader and follower must be in one epoch to talk (KIP-320).
    pub(super) fn fences_replicas(&self) -> bool {
        self.rules.fence_fetch_epoch && self.rules.truncation.fences_epochs()
    }

    fn refused(&self, tp: TopicPartition, error: ErrorCode) -> FetchedPartition {
        let hint = self.partitions.get(tp).and_then(Partition::hint);
        let stale = matches!(
            error,
            ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
        );
        FetchedPartition {
            tp,
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging: None,
            current_leader: hint.filter(|_| stale),
            remote: match error {
                ErrorCode::OffsetMovedToTieredStorage => self
                    .partitions
                    .get(tp)
                    .and_then(|it| it.log.log().remote())
                    .cloned(),
                _ => None,
            },
            aborted: Vec::new(),
            batches: BatchList::default(),
        }
    }

    /// The fetch of a follower acknowledges what it has: the high watermark may rise, and the
    /// follower may join the ISR.
    fn count_fetch(
        &mut self,
        asked: &FetchPartition,
        replica: i32,
        broker_epoch: i64,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let Some(partition) = self.partitions.get_mut(asked.tp) else {
            return Ok(());
        };
        let fetch = FollowerFetch {
            replica,
            offset: asked.fetch_offset,
            log_start_offset: asked.log_start_offset,
            broker_epoch,
            leader_epoch: Some(asked.current_leader_epoch).filter(|epoch| *epoch >= 0),
            now_ms: clock_ms(cx),
        };
        let leo = partition.log.log().leo();
        let Some(state) = partition.leader_mut() else {
            return Ok(());
        };
        let FetchOutcome { hw_moved, expand } =
            state.update_follower_fetch(&fetch, leo, &statuses(self.meta.image()))?;
        if hw_moved {
            partition.sync_high_watermark(asked.tp, &mut self.wakes, cx);
        }
        if let Some(proposal) = expand {
            self.propose_expansion(asked.tp, proposal, cx);
        }
        Ok(())
    }

    /// Whether what happened may end the wait of a parked fetch.
    pub(super) fn fetch_may_end(&self, fetch: &DelayedFetch, wake: Wake, now: Nanos) -> bool {
        let replica = matches!(fetch.fetcher, Fetcher::Replica { .. });
        match wake {
            Wake::Appended(_) if !replica => false,
            Wake::HighWatermark(_) if replica => false,
            Wake::Appended(tp) | Wake::HighWatermark(tp) if fetch.min_bytes <= 1 => {
                // The least that can be asked for: anything new in this partition is enough.
                let asked = fetch.partitions.iter().find(|it| it.tp == tp);
                asked.is_some_and(|asked| {
                    let new = self.available(fetch, asked, 1, now);
                    new.is_none_or(|bytes| bytes > 0)
                })
            }
            _ => self.fetch_is_ready(fetch, now),
        }
    }

    fn fetch_is_ready(&self, fetch: &DelayedFetch, now: Nanos) -> bool {
        let wanted = u64::from(fetch.min_bytes);
        let mut bytes = 0;
        for asked in &fetch.partitions {
            match self.available(fetch, asked, wanted, now) {
                None => return true,
                Some(more) => bytes += more,
            }
        }
        bytes >= wanted
    }

    /// Bytes that a reader could have now, counted up to `wanted`; `None` if it must be told of an
    /// error.
    fn available(
        &self,
        fetch: &DelayedFetch,
        asked: &FetchPartition,
        wanted: u64,
        now: Nanos,
    ) -> Option<u64> {
        let (partition, _) = self.leading(fetch, asked).ok()?;
        if self.held_back(fetch, asked, now) {
            return Some(0);
        }
        let log = partition.log.log();
        let bound = match fetch.view() {
            OffsetView::Replica => log.leo(),
            OffsetView::ReadUncommitted => log.high_watermark(),
            OffsetView::ReadCommitted => partition.log.last_stable_offset(),
        };
        if asked.fetch_offset < log.start_offset() {
            return None;
        }
        let bytes = log.bytes_from(asked.fetch_offset, bound, wanted);
        Some(bytes.min(u64::from(asked.max_bytes)))
    }
}
