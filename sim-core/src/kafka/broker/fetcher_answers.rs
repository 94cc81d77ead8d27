//! What a follower makes of its leader's answers.
//!
//! Follows `AbstractFetcherThread.processFetchRequest`, `maybeTruncate` and
//! `fetchOffsetAndTruncate`, and `Partition.appendRecordsToFollowerOrFutureReplica`.

use super::partition::{FetchPhase, FetchState, Partition};
use super::replication_quota::Side;
use super::{Broker, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::{FetchedPartition, Response};
use crate::kafka::rules::fetch::{
    FetchErrorAction, accepted_by_follower, follower_high_watermark, on_fetch_error,
};
use crate::kafka::rules::truncation::{FollowerLog, OutOfRangeAction, on_out_of_range};
use crate::log::{Batch, EpochEnd};

impl Broker {
    pub(super) fn on_fetcher_response(
        &mut self,
        leader: BrokerId,
        correlation: u32,
        response: Response,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(thread) = self.fetchers.get_mut(&leader) else {
            return;
        };
        if !thread.answered(correlation) {
            return;
        }
        match response {
            Response::Fetch { partitions } => {
                let mut bytes = 0;
                for fetched in partitions {
                    bytes += self.on_fetched(leader, fetched, cx);
                }
                if bytes > 0 {
                    let written = cx.disk_write(bytes);
                    if let Some(thread) = self.fetchers.get_mut(&leader) {
                        thread.busy_until = written;
                    }
                }
            }
            Response::OffsetsForLeaderEpoch { tp, error, end } => {
                self.on_epoch_end(leader, tp, error, end, cx);
            }
            Response::ListOffsets {
                tp, error, offset, ..
            } => self.on_leader_offset(leader, tp, error, offset, cx),
            _ => {}
        }
        self.run_fetcher(leader, cx);
    }

    /// The state of a partition, if the answer is to what it asked in its present epoch.
    fn asked(&mut self, leader: BrokerId, tp: TopicPartition) -> Option<&mut FetchState> {
        let partition = self.partitions.get_mut(tp)?;
        if partition.leader != leader {
            return None;
        }
        let now = (partition.log.log().leo(), partition.leader_epoch);
        let state = partition.follower_mut()?;
        (state.requested.take() == Some(now)).then_some(state)
    }

    /// Takes in one partition of a fetch; returns the bytes to write.
    fn on_fetched(
        &mut self,
        leader: BrokerId,
        fetched: FetchedPartition,
        cx: &mut KafkaCx<'_>,
    ) -> u64 {
        let tp = fetched.tp;
        let Some(state) = self.asked(leader, tp) else {
            return 0;
        };
        if state.phase != FetchPhase::Fetching {
            return 0;
        }
        if let Some(remote) = &fetched.remote {
            (self.parts().tiering.told)(self, tp, remote);
        }
        if fetched.error.is_error() {
            self.on_refusal(tp, fetched.error, cx);
            return 0;
        }
        if let Some(end) = fetched.diverging {
            self.cut_at_divergence(tp, end, cx);
            return 0;
        }
        let bytes = self.append_fetched(tp, fetched, cx);
        if self.is_throttled(Side::Follower, tp) {
            (self.parts().replication_quotas.count)(self, Side::Follower, bytes, cx);
        }
        bytes
    }

    fn on_refusal(&mut self, tp: TopicPartition, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        let until = cx
            .now()
            .saturating_add(span(self.config.replica_fetch_backoff_ms));
        let Some(state) = self
            .partitions
            .get_mut(tp)
            .and_then(Partition::follower_mut)
        else {
            return;
        };
        match on_fetch_error(error) {
            FetchErrorAction::StopUntilMetadata => state.phase = FetchPhase::Failed,
            FetchErrorAction::Retry => state.delayed_until = until,
            FetchErrorAction::AskLeaderOffsets => state.phase = FetchPhase::AskLogEnd,
            FetchErrorAction::BuildFromRemote => state.phase = FetchPhase::AskLocalStart,
        }
    }

    /// Where the logs part, by the leader's word. Returns whether they now agree.
    fn cut_at_divergence(
        &mut self,
        tp: TopicPartition,
        end: EpochEnd,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let Some(partition) = self.partitions.get(tp) else {
            return false;
        };
        let log = FollowerLog::of(partition.log.log());
        let cut = self.rules.truncation.truncation_offset(end, &log);
        self.truncate(tp, cut.offset, cx);
        cut.completed
    }

    fn append_fetched(
        &mut self,
        tp: TopicPartition,
        fetched: FetchedPartition,
        cx: &mut KafkaCx<'_>,
    ) -> u64 {
        let (node, wall_ms) = (cx.me(), cx.wall_ms());
        // A batch that begins below the log end: the log was cut inside it. Take it whole again.
        let first = fetched.batches.first().map(|batch| batch.base_offset);
        let leo = self.partitions.get(tp).map_or(0, |it| it.log.log().leo());
        if let Some(base_offset) = first.filter(|base| *base < leo) {
            self.truncate(tp, base_offset, cx);
        }
        // Without fencing a request names no epoch that its answer could be held to.
        let fences = self.fences_replicas();
        if self.config.page_cache_bytes > 0 {
            for batch in &fetched.batches {
                self.cache_appended(tp, batch.base_offset, batch.bytes);
            }
        }
        let Some(partition) = self.partitions.get_mut(tp) else {
            return 0;
        };
        let before = partition.log.log().leo();
        let mut bytes = 0;
        let accepted = if fences {
            accepted_by_follower(&fetched.batches, partition.leader_epoch).len()
        } else {
            fetched.batches.len()
        };
        for batch in fetched.batches.into_iter().take(accepted) {
            let Ok(info) = partition.log.append_as_follower(batch, wall_ms) else {
                break;
            };
            partition.log.flush_appended(info.rolled_at, wall_ms);
            if let Some(batch) = partition.log.log().last_batch() {
                bytes += u64::from(batch.bytes);
                note_stored(tp, batch, cx);
            }
        }
        let after = partition.log.log().leo();
        partition
            .log
            .maybe_increment_start_offset(fetched.log_start_offset);
        let known = partition.log.log().high_watermark();
        let told = follower_high_watermark(fetched.high_watermark, after);
        let taken = if told == known {
            known
        } else {
            partition.log.set_high_watermark(told)
        };
        let mut rule = |rule, before, after| {
            if before != after {
                cx.note(Note::Rule {
                    node,
                    rule,
                    tp: Some(tp),
                    broker: None,
                    before,
                    after,
                });
            }
        };
        rule(Rule::Append, before, after);
        rule(Rule::FollowerHighWatermark, known, taken);
        bytes
    }

    /// The answer to a truncation lookup (KIP-101, KIP-279).
    fn on_epoch_end(
        &mut self,
        leader: BrokerId,
        tp: TopicPartition,
        error: ErrorCode,
        end: EpochEnd,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(state) = self.asked(leader, tp) else {
            return;
        };
        if state.phase != FetchPhase::Truncating {
            return;
        }
        if error.is_error() {
            self.on_refusal(tp, error, cx);
            return;
        }
        let completed = self.cut_at_divergence(tp, end, cx);
        if completed
            && let Some(state) = self
                .partitions
                .get_mut(tp)
                .and_then(Partition::follower_mut)
        {
            state.phase = FetchPhase::Fetching;
        }
    }

    /// The leader's log end or start, after the follower's fetch was out of range.
    fn on_leader_offset(
        &mut self,
        leader: BrokerId,
        tp: TopicPartition,
        error: ErrorCode,
        offset: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(state) = self.asked(leader, tp) else {
            return;
        };
        if error.is_error() {
            self.on_refusal(tp, error, cx);
            return;
        }
        if state.phase == FetchPhase::AskLocalStart {
            state.phase = FetchPhase::Fetching;
            (self.parts().tiering.build)(self, tp, offset, cx);
            return;
        }
        let leader_end = match state.phase {
            FetchPhase::AskLogStart { leader_end } => leader_end,
            FetchPhase::AskLogEnd => offset,
            FetchPhase::Truncating
            | FetchPhase::Fetching
            | FetchPhase::AskLocalStart
            | FetchPhase::Failed => return,
        };
        let asked_end = state.phase == FetchPhase::AskLogEnd;
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let leo = partition.log.log().leo();
        let start = if asked_end { i64::MIN } else { offset };
        match on_out_of_range(leo, start, leader_end) {
            OutOfRangeAction::Resume if asked_end => {
                if let Some(state) = partition.follower_mut() {
                    state.phase = FetchPhase::AskLogStart { leader_end };
                }
                return;
            }
            OutOfRangeAction::Resume => {}
            OutOfRangeAction::TruncateTo { offset } => self.truncate(tp, offset, cx),
            OutOfRangeAction::RestartAt { offset } => {
                let from = partition.log.log().start_offset();
                partition.log.truncate_fully_and_start_at(offset);
                self.cleaner.maybe_truncate_checkpoint(tp, offset);
                self.note_rule(Rule::Truncate, Some(tp), None, leo, offset, cx);
                if from < leo {
                    self.note_dropped(tp, from, leo, false, cx);
                }
            }
        }
        if let Some(state) = self
            .partitions
            .get_mut(tp)
            .and_then(Partition::follower_mut)
        {
            state.phase = FetchPhase::Fetching;
        }
    }
}

fn note_stored(tp: TopicPartition, batch: &Batch, cx: &mut KafkaCx<'_>) {
    if batch.values.is_some() {
        // No application sent it.
        return;
    }
    let node = cx.me();
    for record in batch.records.iter() {
        cx.note(Note::Stored {
            node,
            record: record.id,
            tp,
            offset: batch.base_offset + i64::from(record.offset_delta),
            as_leader: false,
        });
    }
}
