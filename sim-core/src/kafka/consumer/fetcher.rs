//! Fetching, and handing out what was fetched.
//!
//! Follows `AbstractFetch`, `FetchCollector` and `CompletedFetch`. One fetch at a time goes to each
//! leader, for all its partitions that have a valid position and nothing left to hand out. What
//! comes back is looked at when `poll()` gets to it; by then it may be stale.

use super::{About, Consumer, Stopped};
use crate::few;
use crate::kafka::client::span;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Note;
use crate::kafka::protocol::{FetchPartition, FetchedPartition, Fetcher, Request};
use crate::kafka::rules::position::FetchPosition;
use crate::kafka::rules::producer_state::AbortedTxn;
use crate::log::{Batch, BatchList, ControlMarker};
use serde::Serialize;
use std::cmp::Reverse;
use std::sync::Arc;

/// The aborted transactions of a fetch, as handing out goes through them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Aborted {
    /// Those that begin behind the last batch looked at, last first.
    ahead: Vec<AbortedTxn>,
    /// Producers whose transactional batches are of one of them, here and now.
    hidden: Vec<i64>,
}

impl Aborted {
    fn is_none(&self) -> bool {
        self.ahead.is_empty() && self.hidden.is_empty()
    }

    /// Whether the application must not see a batch: a control batch, or one of an aborted
    /// transaction (`CompletedFetch.isBatchAborted`).
    fn hides(&mut self, batch: &Batch) -> bool {
        while let Some(txn) = self.ahead.last()
            && txn.first_offset <= batch.last_offset()
        {
            self.hidden.push(txn.producer_id);
            self.ahead.pop();
        }
        let id = batch.producer.id;
        if batch.control == Some(ControlMarker::Abort) {
            self.hidden.retain(|hidden| *hidden != id);
        }
        batch.is_control() || (batch.transactional && self.hidden.contains(&id))
    }
}

/// What a fetch brought for one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct CompletedFetch {
    pub(super) partition: u16,
    /// The offset asked for, and then the next one to hand out.
    next_offset: i64,
    error: ErrorCode,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
    /// For `read_committed`.
    #[serde(skip_serializing_if = "Aborted::is_none")]
    aborted: Aborted,
    batches: BatchList,
    /// Batches that were handed out.
    done: u32,
    /// It was found to fit the position.
    begun: bool,
}

impl CompletedFetch {
    /// The batch to hand out next.
    fn next(&self) -> Option<&Arc<Batch>> {
        self.batches.get(self.done as usize)
    }

    /// About how many bytes a clone takes.
    pub(super) fn weight(&self) -> usize {
        size_of_val(self) + self.batches.len() * size_of::<Arc<Batch>>()
    }
}

impl Consumer {
    /// A fetch was answered.
    pub(super) fn on_fetched(&mut self, asked: &[(u16, i64)], told: Vec<FetchedPartition>) {
        let mut news = false;
        for (at, it) in told.into_iter().enumerate() {
            let tp = it.tp;
            // Brokers answer in the order of the request.
            let is_it = |asked: &&(u16, i64)| self.client.metadata.tp(asked.0) == tp;
            let in_order = asked.get(at).filter(is_it);
            let found = in_order.or_else(|| asked.iter().find(is_it));
            let Some((partition, fetch_offset)) = found.copied() else {
                continue;
            };
            if let Some((leader, epoch)) = it.current_leader
                && it.error.is_error()
            {
                news |= self.client.metadata.hint(tp, leader, epoch);
            }
            let mut aborted = it.aborted;
            few::sort_by_key(&mut aborted, |txn| Reverse(txn.first_offset));
            self.completed.push_back(CompletedFetch {
                partition,
                next_offset: fetch_offset,
                error: it.error,
                high_watermark: it.high_watermark,
                last_stable_offset: it.last_stable_offset,
                log_start_offset: it.log_start_offset,
                aborted: Aborted {
                    ahead: aborted,
                    hidden: Vec::new(),
                },
                batches: it.batches,
                done: 0,
                begun: false,
            });
        }
        if news {
            self.validate_positions();
        }
    }

    /// `poll()`: hands out up to `max.poll.records`.
    pub(super) fn poll(&mut self, cx: &mut KafkaCx<'_>) {
        let mut left = self.config.max_poll_records.max(1);
        while left > 0
            && let Some(mut fetch) = self.completed.pop_front()
        {
            if !fetch.begun && !self.begin(&mut fetch, cx) {
                continue;
            }
            self.hand_out(&mut fetch, &mut left, cx);
            if fetch.next().is_some() {
                self.completed.push_front(fetch);
            }
        }
    }

    /// Looks at a completed fetch for the first time; returns whether it holds records for the
    /// present position.
    fn begin(&mut self, fetch: &mut CompletedFetch, cx: &mut KafkaCx<'_>) -> bool {
        let partition = fetch.partition;
        let Some(assigned) = self.assigned(partition) else {
            return false;
        };
        let in_place = assigned
            .position
            .fetchable()
            .is_some_and(|position| position.offset == fetch.next_offset);
        if fetch.error.is_error() {
            if in_place {
                self.on_fetch_error(partition, fetch.error, cx);
            }
            return false;
        }
        if !in_place {
            return false;
        }
        assigned.high_watermark = fetch.high_watermark;
        assigned.last_stable_offset = fetch.last_stable_offset;
        assigned.log_start_offset = fetch.log_start_offset;
        assigned.last_error = None;
        if fetch.batches.is_empty() {
            return false;
        }
        if !std::mem::replace(&mut assigned.served, true) {
            self.served.push(partition);
        }
        fetch.begun = true;
        true
    }

    fn on_fetch_error(&mut self, partition: u16, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        let pause = span(self.config.retry_backoff_ms);
        let Some(assigned) = self.assigned(partition) else {
            return;
        };
        assigned.last_error = Some(error);
        assigned.not_before = cx.now().saturating_add(pause);
        match error {
            ErrorCode::OffsetOutOfRange => {
                assigned.not_before = cx.now();
                let resets = assigned.position.request_reset();
                self.unsettled = true;
                if !resets {
                    self.stop(partition, Stopped::OutOfRange, cx);
                }
            }
            // The broker is behind, not the client.
            ErrorCode::UnknownLeaderEpoch | ErrorCode::UnknownServerError => {}
            _ => self.client.metadata.request_update(false),
        }
    }

    fn hand_out(&mut self, fetch: &mut CompletedFetch, left: &mut u32, cx: &mut KafkaCx<'_>) {
        let (node, tp) = (cx.me(), self.client.metadata.tp(fetch.partition));
        let group = self.group_name.clone();
        let slot = self.partitions.get_mut(usize::from(fetch.partition));
        let Some(assigned) = slot.and_then(Option::as_mut) else {
            fetch.batches = BatchList::default();
            return;
        };
        // A reset or a validation in between makes the rest stale.
        let at = assigned.position.fetchable().map(|it| it.offset);
        if assigned.revoking || at != Some(fetch.next_offset) {
            fetch.batches = BatchList::default();
            return;
        }
        while let Some(batch) = fetch.batches.get(fetch.done as usize) {
            let hidden = fetch.aborted.hides(batch);
            // Batches come whole: the first may begin below the offset asked for.
            let records = batch.records.iter().filter(|_| !hidden);
            for record in records {
                let offset = batch.base_offset + i64::from(record.offset_delta);
                if offset < fetch.next_offset {
                    continue;
                }
                if *left == 0 {
                    return;
                }
                *left -= 1;
                self.delivered += 1;
                if let (Some(table), Some(key)) = (&mut self.table, record.key) {
                    match record.tombstone {
                        true => table.remove(&key.0),
                        false => table.insert(key.0),
                    };
                }
                fetch.next_offset = offset + 1;
                assigned
                    .position
                    .advance(fetch.next_offset, batch.leader_epoch);
                cx.note(Note::Delivered {
                    node,
                    record: record.id,
                    tp,
                    offset,
                    group: group.clone(),
                });
                if group.is_some() {
                    self.work.take((record.id, tp, offset));
                }
                if let Some(outputs) = &mut self.outputs {
                    match group.is_some() {
                        true => outputs.take(record),
                        false => outputs.hand(tp.partition, offset, record, batch),
                    }
                }
            }
            fetch.next_offset = fetch.next_offset.max(batch.next_offset());
            assigned
                .position
                .advance(fetch.next_offset, batch.leader_epoch);
            fetch.done += 1;
        }
    }

    /// Sends a fetch to every leader of partitions that lack records.
    pub(super) fn send_fetches(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        if !self.served.is_empty() {
            // Who brought records asks last next time.
            let partitions = &mut self.partitions;
            self.order.retain(|it| {
                let slot = partitions.get_mut(usize::from(*it));
                let assigned = slot.and_then(Option::as_mut);
                !assigned.is_some_and(|it| std::mem::take(&mut it.served))
            });
            self.order.append(&mut self.served);
        }
        let mut wanted: Vec<(BrokerId, Vec<(u16, FetchPosition)>)> = Vec::new();
        for partition in &self.order {
            let slot = self.partitions.get(usize::from(*partition));
            let Some(assigned) = slot.and_then(Option::as_ref) else {
                continue;
            };
            let Some(position) = assigned.position.fetchable() else {
                continue;
            };
            if !assigned.may_fetch(now)
                || self.completed.iter().any(|it| it.partition == *partition)
            {
                continue;
            }
            match position.leader.leader {
                None => self.client.metadata.request_update(false),
                Some(leader) if self.fetching.contains(&leader) => {}
                Some(leader) => {
                    let item = (*partition, position);
                    match wanted.iter_mut().find(|(broker, _)| *broker == leader) {
                        Some((_, items)) => items.push(item),
                        None => {
                            let mut items = Vec::with_capacity(self.order.len());
                            items.push(item);
                            wanted.push((leader, items));
                        }
                    }
                }
            }
        }
        for (leader, items) in wanted {
            if self.client.ready(leader, cx) {
                self.send_fetch(leader, &items, cx);
            }
        }
    }

    fn send_fetch(
        &mut self,
        leader: BrokerId,
        items: &[(u16, FetchPosition)],
        cx: &mut KafkaCx<'_>,
    ) {
        let metadata = &self.client.metadata;
        let partitions = items.iter().map(|(partition, position)| FetchPartition {
            tp: metadata.tp(*partition),
            fetch_offset: position.offset,
            current_leader_epoch: position.leader.epoch,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: self.config.max_partition_fetch_bytes,
        });
        let request = Request::Fetch {
            fetcher: Fetcher::Consumer(self.config.isolation),
            max_wait_ms: self.config.fetch_max_wait_ms,
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            partitions: partitions.collect(),
        };
        let asked = items.iter().map(|(p, position)| (*p, position.offset));
        let about = Some(About::Fetch(asked.collect()));
        self.fetching.push(leader);
        self.client.send(leader, request, about, cx);
    }
}
