//! Share groups (KIP-932) at their coordinator: members and who reads what.
//!
//! Follows `GroupCoordinatorService.shareGroupHeartbeat`; the rules are in
//! [`crate::kafka::rules::share_group`]. Simplified: members are not written to
//! `__consumer_offsets`. A new coordinator knows nobody, answers UNKNOWN_MEMBER_ID, and all join
//! again; meanwhile they go on reading, since leaders do not ask who is a member.

use super::super::{Broker, respond};
use super::{Place, now_ms};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupResponse;
use crate::kafka::ids::TopicId;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Response;
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::share_group::{ShareGroup, ShareGroupSettings, Told};
use crate::kernel::NodeId;
use std::sync::Arc;

impl Broker {
    pub(super) fn on_share_heartbeat(
        &mut self,
        place: &Place,
        to: (NodeId, u32),
        (member_id, epoch, topic): (&Name, i32, TopicId),
        cx: &mut KafkaCx<'_>,
    ) {
        let told = self.share_heartbeat(place, member_id, epoch, topic, cx);
        let (error, (member_epoch, assignment)) = match told {
            Ok(told) => (ErrorCode::None, told),
            Err(error) => (error, (0, None)),
        };
        let response = GroupResponse::ShareGroupHeartbeat {
            error,
            member_epoch,
            heartbeat_interval_ms: self.config.share_heartbeat_interval_ms,
            assignment: assignment.map(|it| it.into_iter().collect()),
        };
        respond(to.0, to.1, Response::Group(Box::new(response)), cx);
    }

    fn share_heartbeat(
        &mut self,
        place: &Place,
        member_id: &Name,
        epoch: i32,
        topic: TopicId,
        cx: &mut KafkaCx<'_>,
    ) -> Result<Told, ErrorCode> {
        if self.consumer_group(place).is_some() || self.group(place).is_some() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let settings = ShareGroupSettings {
            session_timeout_ms: self.config.share_session_timeout_ms,
            max_size: self.config.share_max_size,
        };
        let partitions = self.known_topics().get(&topic).copied().unwrap_or(0);
        let partitions = u16::try_from(partitions).unwrap_or(u16::MAX);
        let shard = self
            .shard(place.partition)
            .ok_or(ErrorCode::NotCoordinator)?;
        let group = shard.share.entry(Arc::clone(&place.group)).or_default();
        let before = group.epoch();
        let read = (topic, partitions);
        let told = group.heartbeat(member_id, epoch, read, now_ms(cx), &settings);
        let (after, due) = (group.epoch(), group.next_deadline());
        self.note_share_epoch(&place.group, before, after, cx);
        self.watch_groups(due, cx);
        told
    }

    fn note_share_epoch(&self, group: &Name, before: i32, after: i32, cx: &mut KafkaCx<'_>) {
        if before != after {
            let rule = Rule::Modern(ModernRule::GroupEpoch);
            self.note_group(rule, group, None, before.into(), after.into(), cx);
        }
    }

    /// Puts out members that were silent for too long.
    pub(super) fn expire_share_groups(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let now_ms = now_ms(cx);
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let mut changed = Vec::new();
        for (name, group) in &mut shard.share {
            let before = group.epoch();
            if group.expire(now_ms) > 0 {
                changed.push((Arc::clone(name), before, group.epoch()));
            }
        }
        for (name, before, after) in changed {
            self.note_share_epoch(&name, before, after, cx);
        }
    }

    /// What an onlooker sees of the share groups that this broker coordinates.
    pub fn share_groups(&self) -> impl Iterator<Item = (&Name, &ShareGroup)> + '_ {
        let shards = self.groups.iter().flat_map(|it| it.shards.values());
        shards.flat_map(|shard| shard.share.iter())
    }
}
