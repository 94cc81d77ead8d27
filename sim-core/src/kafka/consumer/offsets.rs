//! Finding and checking positions: ListOffsets and OffsetsForLeaderEpoch.
//!
//! Follows `OffsetFetcher` and `OffsetFetcherUtils`. Every error but that of an unknown kind is met
//! with a refresh of metadata and another try after `retry.backoff.ms`.

use super::{About, Consumer, Stopped};
use crate::kafka::client::{NEVER, span};
use crate::kafka::config::OffsetReset;
use crate::kafka::error::ErrorCode;
use crate::kafka::node::KafkaCx;
use crate::kafka::node::SeekTo;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::Request;
use crate::kafka::rules::position::{FetchPosition, FetchState, LeaderAndEpoch, Validation};
use crate::kernel::Nanos;
use crate::log::EpochEnd;

/// ListOffsets: the end visible to the client.
const LATEST: i64 = -1;
/// ListOffsets: the start of the log.
const EARLIEST: i64 = -2;

/// The consumer is not a replica.
const CONSUMER: i32 = -1;

impl Consumer {
    /// Asks for whatever positions are missing or doubtful.
    pub(super) fn look_up_positions(&mut self, cx: &mut KafkaCx<'_>) {
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        let now = cx.now();
        for partition in 0..self.client.metadata.partition_count() {
            let current = self.client.metadata.leader(partition);
            let Some(assigned) = self.assigned(partition) else {
                continue;
            };
            if assigned.awaits_offset {
                continue;
            }
            let position = &mut assigned.position;
            if position.state() == FetchState::Initializing
                && assigned.stopped.is_none()
                && !position.request_reset()
            {
                self.stop(partition, Stopped::NoPosition, cx);
                continue;
            }
            let about = match (position.state(), position.position()) {
                (FetchState::AwaitReset(strategy), _) => About::ListOffsets {
                    partition,
                    strategy,
                    latest: false,
                },
                (FetchState::AwaitValidation, Some(position)) => About::OffsetsForLeaderEpoch {
                    partition,
                    position,
                },
                _ => continue,
            };
            let may_ask = assigned.may_ask(now);
            self.unsettled = true;
            if !may_ask {
                continue;
            }
            match current.leader {
                None => self.client.metadata.request_update(false),
                Some(_) => self.ask(about, cx),
            }
        }
    }

    /// Sends a lookup to the leader, if that can be reached now.
    fn ask(&mut self, about: About, cx: &mut KafkaCx<'_>) {
        let (partition, request) = match &about {
            About::Fetch(_) | About::Group(_) => return,
            About::ListOffsets {
                partition,
                strategy,
                latest,
            } => {
                let timestamp = match strategy {
                    _ if *latest => LATEST,
                    OffsetReset::Earliest => EARLIEST,
                    OffsetReset::ByDuration(ms) => cx.wall_ms().saturating_sub(*ms).max(0),
                    OffsetReset::Latest | OffsetReset::None => LATEST,
                };
                let request = Request::ListOffsets {
                    tp: self.client.metadata.tp(*partition),
                    timestamp,
                    current_leader_epoch: self.client.metadata.leader(*partition).epoch,
                    isolation: self.config.isolation,
                };
                (*partition, request)
            }
            About::OffsetsForLeaderEpoch {
                partition,
                position,
            } => {
                let request = Request::OffsetsForLeaderEpoch {
                    replica: CONSUMER,
                    tp: self.client.metadata.tp(*partition),
                    current_leader_epoch: position.leader.epoch,
                    leader_epoch: position.offset_epoch.unwrap_or(-1),
                };
                (*partition, request)
            }
        };
        let Some(leader) = self.client.metadata.leader(partition).leader else {
            return;
        };
        if self.client.ready(leader, cx)
            && let Some(assigned) = self.assigned(partition)
        {
            assigned.asking = true;
            self.client.send(leader, request, Some(about), cx);
        }
    }

    /// `seek()` and the like, in a partition or in all that it has.
    pub(super) fn seek(&mut self, only: Option<u16>, to: SeekTo, cx: &mut KafkaCx<'_>) {
        for partition in self.order.clone() {
            let current = self.client.metadata.leader(partition);
            let wanted = only.is_none_or(|it| it == self.client.metadata.tp(partition).partition);
            let Some(assigned) = self.assigned(partition).filter(|_| wanted) else {
                continue;
            };
            let before = assigned.offset();
            (assigned.stopped, assigned.awaits_offset) = (None, false);
            let strategy = match to {
                SeekTo::Offset(_) => None,
                SeekTo::Beginning => Some(OffsetReset::Earliest),
                SeekTo::End => Some(OffsetReset::Latest),
                SeekTo::Back(ms) => Some(OffsetReset::ByDuration(i64::try_from(ms).unwrap_or(0))),
            };
            let mut after = -1;
            if let Some(strategy) = strategy {
                assigned.position.request_reset_to(strategy);
            } else if let SeekTo::Offset(offset) = to {
                after = i64::try_from(offset).unwrap_or(i64::MAX);
                assigned.position.seek(FetchPosition {
                    offset: after,
                    offset_epoch: None,
                    leader: LeaderAndEpoch::UNKNOWN,
                });
                assigned.position.maybe_validate(current);
            }
            self.unsettled = true;
            let tp = Some(self.client.metadata.tp(partition));
            match self.group.take() {
                Some(mut member) => {
                    member.forget_offset(partition);
                    self.note_member(&member, Rule::Sought, tp, before, after, cx);
                    self.group = Some(member);
                }
                None => self.note_position(Rule::Sought, partition, before, after, cx),
            }
        }
    }

    /// A leader told where a reset leads.
    pub(super) fn on_list_offsets(
        &mut self,
        partition: u16,
        strategy: OffsetReset,
        latest: bool,
        found: (ErrorCode, i64, i32),
        cx: &mut KafkaCx<'_>,
    ) {
        let (error, offset, leader_epoch) = found;
        let current = self.client.metadata.leader(partition);
        let Some(assigned) = self.assigned(partition) else {
            return;
        };
        assigned.asking = false;
        if error.is_error() {
            assigned.last_error = Some(error);
            self.retry_later(partition, cx);
            return;
        }
        if offset < 0 {
            // Nothing is as young as was asked for: from the end, then.
            if matches!(strategy, OffsetReset::ByDuration(_)) && !latest {
                let latest = true;
                self.ask(
                    About::ListOffsets {
                        partition,
                        strategy,
                        latest,
                    },
                    cx,
                );
            } else {
                self.retry_later(partition, cx);
            }
            return;
        }
        let before = assigned.offset();
        if assigned.position.reset_to(strategy, offset, current) {
            self.client.metadata.seen_epoch(partition, leader_epoch);
            self.note_position(Rule::PositionReset, partition, before, offset, cx);
        }
    }

    /// A leader told where the epoch of a position ends.
    pub(super) fn on_epoch_end(
        &mut self,
        partition: u16,
        asked: FetchPosition,
        error: ErrorCode,
        end: EpochEnd,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(assigned) = self.assigned(partition) else {
            return;
        };
        assigned.asking = false;
        if error.is_error() {
            assigned.last_error = Some(error);
            self.retry_later(partition, cx);
            return;
        }
        match assigned.position.complete_validation(asked, end) {
            Validation::Stale | Validation::Valid | Validation::NeedsReset => {}
            Validation::MovedBack => {
                let after = assigned.offset();
                self.note_position(Rule::PositionReset, partition, asked.offset, after, cx);
            }
            Validation::Truncated(at) => self.stop(partition, Stopped::Truncated(at), cx),
        }
    }

    /// A lookup failed: metadata may be stale, and a pause is in order.
    pub(super) fn retry_later(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let pause = span(self.config.retry_backoff_ms);
        if let Some(assigned) = self.assigned(partition) {
            assigned.asking = false;
            assigned.not_before = cx.now().saturating_add(pause);
        }
        self.client.metadata.request_update(false);
    }

    /// There is no reset policy: `poll()` throws, and the application reads this partition no more.
    pub(super) fn stop(&mut self, partition: u16, why: Stopped, cx: &mut KafkaCx<'_>) {
        let Some(assigned) = self.assigned(partition) else {
            return;
        };
        assigned.stopped = Some(why);
        let before = assigned.offset();
        let after = match why {
            Stopped::Truncated(Some(end)) => end.end_offset,
            _ => -1,
        };
        self.note_position(Rule::PositionLost, partition, before, after, cx);
    }

    fn note_position(
        &mut self,
        rule: Rule,
        partition: u16,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        cx.note(Note::Rule {
            node: cx.me(),
            rule,
            tp: Some(self.client.metadata.tp(partition)),
            broker: None,
            before,
            after,
        });
    }

    /// When, after now, a partition may be asked for again or its leader be connected to.
    pub(super) fn next_retry(&self, cx: &KafkaCx<'_>) -> Nanos {
        let now = cx.now();
        // A member of a large group owns few of the partitions that it knows.
        let slot = |it: &u16| self.partitions.get(usize::from(*it))?.as_ref();
        let slots = self.order.iter().filter_map(slot);
        let open = slots.filter(|it| it.stopped.is_none());
        let pauses = open.map(|it| it.not_before).filter(|at| *at > now);
        let reconnect = self.client.reconnect_at(None, now);
        pauses.min().unwrap_or(NEVER).min(reconnect)
    }
}
