//! Handing records out: each to one member at a time.

use super::super::fetch::view_of;
use super::super::{Broker, respond};
use super::{Waiting, note_of};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Isolation, Response};
use crate::kafka::share_protocol::{ShareResponse, SharedRecords};
use crate::log::BatchList;
use std::ops::RangeInclusive;

/// Bytes that are read of a partition at once.
const READ_BYTES: u32 = 1_048_576;

impl Broker {
    /// Serves a fetch, or lets it wait.
    pub(super) fn share_fetch(
        &mut self,
        fetch: Waiting,
        refused: Vec<(TopicPartition, ErrorCode)>,
        cx: &mut KafkaCx<'_>,
    ) {
        let found = self.acquire_for(&fetch, cx);
        let waits = found.is_empty() && refused.is_empty() && fetch.deadline > cx.now();
        if !waits {
            let response = ShareResponse::ShareFetch {
                refused,
                partitions: found,
            };
            respond(
                fetch.to.0,
                fetch.to.1,
                Response::Share(Box::new(response)),
                cx,
            );
        } else if let Some(shares) = self.share.as_mut() {
            shares.waiting.push(fetch);
        }
    }

    /// Looks at the fetches that wait, oldest first.
    pub(super) fn serve_waiting(&mut self, cx: &mut KafkaCx<'_>) {
        let waiting = self
            .share
            .as_mut()
            .map(|it| std::mem::take(&mut it.waiting));
        for fetch in waiting.into_iter().flatten() {
            self.share_fetch(fetch, Vec::new(), cx);
        }
    }

    fn acquire_for(&mut self, fetch: &Waiting, cx: &mut KafkaCx<'_>) -> Vec<SharedRecords> {
        let mut left = fetch.max_records;
        let mut found = Vec::new();
        for tp in &fetch.partitions {
            if left == 0 {
                break;
            }
            match self.acquire_from(fetch, *tp, left, cx) {
                Ok(records) if records.acquired.is_empty() => {}
                Ok(records) => {
                    let many = records.acquired.iter().map(|it| it.last - it.first + 1);
                    let many = u32::try_from(many.sum::<i64>()).unwrap_or(u32::MAX);
                    left = left.saturating_sub(many);
                    found.push(records);
                }
                Err(error) => found.push(SharedRecords {
                    tp: *tp,
                    error,
                    acquired: Vec::new(),
                    batches: BatchList::default(),
                }),
            }
        }
        found
    }

    fn acquire_from(
        &mut self,
        fetch: &Waiting,
        tp: TopicPartition,
        max_records: u32,
        cx: &mut KafkaCx<'_>,
    ) -> Result<SharedRecords, ErrorCode> {
        let now = cx.now();
        let led = self.share_partition(&fetch.group, tp, cx)?;
        let mut records = SharedRecords {
            tp,
            error: ErrorCode::None,
            acquired: Vec::new(),
            batches: BatchList::default(),
        };
        if !led.progress.ready || !led.state.can_acquire() {
            return Ok(records);
        }
        let from = led.state.next_fetch_offset();
        let partition = self
            .partitions
            .get(tp)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let view = view_of(Isolation::ReadUncommitted);
        let read = partition.log.read(view, from, READ_BYTES, true);
        let batches = read.map_err(|_| ErrorCode::OffsetOutOfRange)?.batches;
        let ranges = batches.iter().filter(|it| !it.is_control());
        let ranges = ranges.map(|it| it.base_offset.max(from)..=it.last_offset());
        let ranges: Vec<RangeInclusive<i64>> = ranges.collect();
        let led = self.share_partition(&fetch.group, tp, cx)?;
        records.acquired = led.state.acquire(&fetch.member, max_records, &ranges, now);
        for run in &records.acquired {
            let rule = ModernRule::RecordsAcquired(run.delivery_count);
            let (group, member) = (&fetch.group, Some(&fetch.member));
            note_of(group, member, rule, tp, run.first, run.last, cx);
        }
        if !records.acquired.is_empty() {
            records.batches = batches;
        }
        Ok(records)
    }
}
