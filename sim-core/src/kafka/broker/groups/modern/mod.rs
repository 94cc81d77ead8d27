//! Groups of the consumer protocol (KIP-848) at their coordinator.
//!
//! Follows `GroupCoordinatorService.consumerGroupHeartbeat` and `CoordinatorRuntime`: what a
//! heartbeat changes becomes records in one batch, and the answer goes out once the high watermark
//! has passed them; an answer without records waits for what was written before it. What a group
//! decides is in [`crate::kafka::rules::modern_group`].
//!
//! A group speaks one protocol: an empty classic group makes way, one with members does not
//! (`group.consumer.migration.policy=disabled`). A member is put out once that can be written: who
//! cannot be now stays, and it is tried again after a pause.

mod notes;

use super::super::{Broker, respond};
use super::{Pending, Place, Shard, Written, append_error, now_ms};
use crate::kafka::config::BrokerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, GroupResponse, OFFSETS_TOPIC, OffsetsRecord};
use crate::kafka::ids::TopicId;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Msg, Response};
use crate::kafka::rules::classic_group::{Name, State};
use crate::kafka::rules::modern_group::{
    ConsumerGroup, ConsumerGroupSettings, HeartbeatAnswer, HeartbeatRequest,
};
use crate::kafka::rules::server_assign::TopicCounts;
use crate::kernel::{Nanos, NodeId};
use std::sync::Arc;

/// How long after a failed attempt to put a member out the next one is (`EventBasedCoordinatorTimer`).
const EXPIRE_AGAIN_MS: i64 = 500;

/// An answer to a heartbeat that waits, and whose it is.
pub(super) type Answer = ((NodeId, u32), Box<HeartbeatAnswer>);

fn settings(config: &BrokerConfig) -> ConsumerGroupSettings<'_> {
    ConsumerGroupSettings {
        session_timeout_ms: config.group_consumer_session_timeout_ms,
        heartbeat_interval_ms: config.group_consumer_heartbeat_interval_ms,
        assignment_interval_ms: config.group_consumer_assignment_interval_ms,
        max_size: config.group_consumer_max_size,
        assignors: &config.group_consumer_assignors.0,
    }
}

impl Shard {
    /// The log is read.
    pub(super) fn consumer_groups_loaded(&mut self, now_ms: i64, config: &BrokerConfig) {
        for group in self.modern.values_mut() {
            group.loaded(now_ms, &settings(config));
        }
    }
}

impl Broker {
    pub(super) fn consumer_group(&self, place: &Place) -> Option<&ConsumerGroup> {
        let shard = self.groups.as_ref()?.shards.get(&place.partition)?;
        shard.modern.get(&place.group)
    }

    /// A heartbeat: of a member that joins, stays or leaves.
    pub(super) fn on_consumer_heartbeat(
        &mut self,
        place: &Place,
        to: (NodeId, u32),
        request: &HeartbeatRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Err(error) = self.consumer_heartbeat(place, to, request, cx) {
            let refused = HeartbeatAnswer::refused(error, Arc::clone(&request.member_id));
            let refused = GroupResponse::ConsumerGroupHeartbeat(Box::new(refused));
            respond(to.0, to.1, Response::Group(Box::new(refused)), cx);
        }
    }

    fn consumer_heartbeat(
        &mut self,
        place: &Place,
        to: (NodeId, u32),
        request: &HeartbeatRequest,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let group = match self.consumer_group(place) {
            Some(group) => group.clone(),
            None if request.member_epoch == 0 && self.classic_makes_way(place) => {
                ConsumerGroup::default()
            }
            None => return Err(ErrorCode::GroupIdNotFound),
        };
        let (next, answer) = if request.member_epoch < 0 {
            group.leave(request)?
        } else {
            let config = Arc::clone(&self.config);
            group.heartbeat(
                request,
                &self.known_topics(),
                now_ms(cx),
                &settings(&config),
            )?
        };
        let answer = Some((to, Box::new(answer)));
        self.advance_consumer_group(place, &group, next, answer, cx)
    }

    /// Whether a group of the consumer protocol may begin here: there is no classic one with
    /// members.
    fn classic_makes_way(&self, place: &Place) -> bool {
        let classic = self.group(place).map(super::ClassicGroup::state);
        let shards = self.groups.as_ref().map(|it| &it.shards);
        let shard = shards.and_then(|it| it.get(&place.partition));
        let shared = shard.is_some_and(|it| it.share.contains_key(&place.group));
        !shared && matches!(classic, None | Some(State::Empty | State::Dead))
    }

    /// Writes what changed, and then takes it over.
    fn advance_consumer_group(
        &mut self,
        place: &Place,
        before: &ConsumerGroup,
        next: ConsumerGroup,
        answer: Option<Answer>,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(), ErrorCode> {
        let records = next.records_since(before).into_iter();
        let records = records.map(|it| OffsetsRecord::Consumer(Arc::clone(&place.group), it));
        let mut records: Vec<OffsetsRecord> = records.collect();
        if self.group(place).is_some() {
            // The classic group that made way is none any more.
            records.insert(0, OffsetsRecord::Group(Arc::clone(&place.group), None));
        }
        if records.is_empty() {
            self.answer_in_order(place, answer, cx);
        } else {
            let written = self.store(place, &records, Written::Consumer(answer), cx);
            written.map_err(append_error)?;
            self.note_consumer_group(&place.group, before, &next, cx);
        }
        self.watch_groups(next.next_deadline(), cx);
        if let Some(shard) = self.shard(place.partition) {
            shard.groups.remove(&place.group);
            shard.modern.insert(Arc::clone(&place.group), next);
        }
        Ok(())
    }

    /// An answer without records of its own: after what was written before it.
    fn answer_in_order(&mut self, place: &Place, answer: Option<Answer>, cx: &mut KafkaCx<'_>) {
        let Some(answer) = answer else {
            return;
        };
        let shard = self.shard(place.partition);
        let Some((shard, last)) = shard.and_then(|it| {
            let last = it.pending.back().map(|it| (it.needs, it.written));
            last.map(|last| (it, last))
        }) else {
            self.answer_heartbeat(answer, cx.now(), cx);
            return;
        };
        shard.pending.push_back(Pending {
            needs: last.0,
            deadline: Nanos::MAX,
            written: last.1,
            group: Arc::clone(&place.group),
            what: Written::Consumer(Some(answer)),
        });
    }

    /// Sends an answer, not before its records are on the disk.
    pub(super) fn answer_heartbeat(
        &self,
        (to, answer): Answer,
        written: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let answer = GroupResponse::ConsumerGroupHeartbeat(answer);
        let msg = Msg::Response(to.1, Box::new(Response::Group(Box::new(answer))));
        cx.send_at(written.max(cx.now()), to.0, msg);
    }

    /// The same, when it did not work out.
    pub(super) fn refuse_heartbeat(
        &self,
        (to, answer): Answer,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let refused = HeartbeatAnswer::refused(error, answer.member_id);
        self.answer_heartbeat((to, Box::new(refused)), cx.now(), cx);
    }

    /// Puts out members that were silent, or kept what they were asked for, for too long.
    pub(super) fn expire_consumer_groups(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now_ms = now_ms(cx);
        let Some(shard) = self
            .shard(partition)
            .filter(|it| it.loading_until.is_none())
        else {
            return;
        };
        let groups = shard.modern.iter();
        let due = groups.filter(|(_, it)| it.next_deadline().is_some_and(|at| at <= now_ms));
        let due: Vec<(Name, ConsumerGroup)> = due
            .map(|(name, it)| (Arc::clone(name), it.clone()))
            .collect();
        for (group, before) in due {
            let place = Place { partition, group };
            let (next, out) = before.expire(now_ms);
            let written = self.advance_consumer_group(&place, &before, next, None, cx);
            if written.is_ok() {
                for (member, why) in out {
                    self.note_fenced(&place.group, member, why, &before, cx);
                }
            } else if let Some(shard) = self.shard(partition) {
                // What the log does not say the next coordinator would not know.
                let again = before.put_off(&out, now_ms.saturating_add(EXPIRE_AGAIN_MS));
                shard.modern.insert(place.group, again);
            }
        }
    }

    /// Whether a member of a group of the consumer protocol may commit; `None` for other groups.
    pub(super) fn consumer_commit_check(
        &self,
        place: &Place,
        member_id: &str,
        epoch: i32,
        offsets: &[CommittedOffset],
    ) -> Option<Result<(), ErrorCode>> {
        let group = self.consumer_group(place)?;
        Some(group.validate_commit(member_id, epoch, offsets.iter().map(|it| it.tp)))
    }

    /// The topics that clients may read, with their numbers of partitions.
    pub(super) fn known_topics(&self) -> TopicCounts<TopicId> {
        let image = self.meta.image();
        let mut counts = TopicCounts::new();
        for tp in image.partitions.keys() {
            if image
                .topics
                .get(&tp.topic)
                .is_some_and(|it| it != OFFSETS_TOPIC)
            {
                *counts.entry(tp.topic).or_default() += 1;
            }
        }
        counts
    }

    /// What an onlooker sees of the groups of the consumer protocol that this broker coordinates.
    pub fn consumer_groups(&self) -> impl Iterator<Item = (&Name, &ConsumerGroup)> + '_ {
        let shards = self.groups.iter().flat_map(|it| it.shards.values());
        shards.flat_map(|shard| shard.modern.iter())
    }
}
