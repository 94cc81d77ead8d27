//! What members ask of their coordinator.
//!
//! Follows `GroupCoordinatorService` and `KafkaApis`. A client keeps a connection of its own to its
//! coordinator, so these requests do not wait behind a fetch that is parked.

use super::super::{Broker, respond};
use super::{GroupCoordinator, Place, now_ms};
use crate::apart::Apart;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, GroupRequest, GroupResponse};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Response;
use crate::kafka::rules::classic_group::{
    ClassicGroup, Effect, JoinRequest, Name, State, Stored, Ticket,
};
use crate::kernel::{NodeId, Purpose};
use std::sync::Arc;

const MEMBER_ID: Purpose = Purpose::named("group.member-id");

/// A member's request as the group knows it.
fn ticket(from: NodeId, correlation: u32) -> Ticket {
    Ticket((u64::from(from.0) << 32) | u64::from(correlation))
}

/// Whose request it was.
fn asker(ticket: Ticket) -> (NodeId, u32) {
    (NodeId((ticket.0 >> 32) as u32), ticket.0 as u32)
}

fn answer(to: (NodeId, u32), response: GroupResponse, cx: &mut KafkaCx<'_>) {
    respond(to.0, to.1, Response::Group(Box::new(response)), cx);
}

impl Broker {
    pub(in super::super) fn on_group_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: GroupRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let to = (from, correlation);
        if let GroupRequest::FindCoordinator { group } = &request {
            let response = self.find_coordinator(group);
            answer(to, response, cx);
            return;
        }
        let place = match self.place(request.group()) {
            Ok(place) => place,
            Err(error) => {
                answer(to, request.refused(error), cx);
                return;
            }
        };
        let known = self.group(&place).is_some();
        match request {
            GroupRequest::JoinGroup { join, .. } => self.on_join(&place, to, &join, cx),
            GroupRequest::OffsetFetch {
                partitions, member, ..
            } => {
                let response = self.fetch_offsets(&place, &partitions, member.as_ref());
                answer(to, response, cx);
            }
            GroupRequest::ConsumerGroupHeartbeat { heartbeat, .. } => {
                self.on_consumer_heartbeat(&place, to, &heartbeat, cx);
            }
            GroupRequest::OffsetCommit {
                member_id,
                instance_id,
                generation,
                offsets,
                ..
            } => {
                let who = (&member_id, instance_id.as_deref(), generation);
                self.on_offset_commit(&place, to, who, offsets, cx);
            }
            GroupRequest::ShareGroupHeartbeat {
                member_id,
                member_epoch,
                topic,
                ..
            } => {
                let who = (&member_id, member_epoch, topic);
                self.on_share_heartbeat(&place, to, who, cx);
            }
            other if !known => answer(to, other.refused(ErrorCode::UnknownMemberId), cx),
            GroupRequest::SyncGroup { sync, .. } => {
                let ticket = ticket(from, correlation);
                self.call_group(&place, cx, |group, turn| group.sync(&sync, ticket, turn));
            }
            GroupRequest::Heartbeat {
                member_id,
                instance_id,
                generation,
                ..
            } => {
                let error = self.call_group(&place, cx, |group, turn| {
                    group.heartbeat(&member_id, instance_id.as_deref(), generation, turn)
                });
                let error = error.unwrap_or(ErrorCode::UnknownMemberId);
                answer(to, GroupResponse::Heartbeat { error }, cx);
            }
            GroupRequest::LeaveGroup { members, .. } => {
                let left = self.call_group(&place, cx, |group, turn| group.leave(&members, turn));
                let error = match left {
                    Some(Ok(each)) => each.into_iter().find(|it| it.is_error()),
                    Some(Err(error)) => Some(error),
                    None => Some(ErrorCode::UnknownMemberId),
                };
                let error = error.unwrap_or(ErrorCode::None);
                answer(to, GroupResponse::LeaveGroup { error }, cx);
            }
            GroupRequest::FindCoordinator { .. } => {}
        }
    }

    pub(in super::super) fn find_coordinator(&self, group: &str) -> GroupResponse {
        let image = self.meta.image();
        let partition = self.partition_of_group(group);
        let leader = partition
            .and_then(|tp| image.partitions.get(&tp))
            .map(|it| it.leader);
        let live = |id: &i32| image.brokers.get(id).is_some_and(|it| !it.fenced);
        match leader.filter(live) {
            Some(node) => GroupResponse::FindCoordinator {
                error: ErrorCode::None,
                node,
            },
            None => GroupResponse::FindCoordinator {
                error: ErrorCode::CoordinatorNotAvailable,
                node: -1,
            },
        }
    }

    /// Where a group is kept, if this broker keeps it.
    pub(super) fn place(&self, group: &Name) -> Result<Place, ErrorCode> {
        if group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let tp = self.partition_of_group(group);
        let tp = tp.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let shards = self.groups.as_ref().map(|it| &it.shards);
        match shards.and_then(|it| it.get(&tp.partition)) {
            None => Err(ErrorCode::NotCoordinator),
            Some(shard) if shard.loading_until.is_some() => {
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
            Some(_) => Ok(Place {
                partition: tp.partition,
                group: Arc::clone(group),
            }),
        }
    }

    pub(super) fn group(&self, place: &Place) -> Option<&ClassicGroup> {
        let shard = self.groups.as_ref()?.shards.get(&place.partition)?;
        shard.groups.get(&place.group)
    }

    fn on_join(
        &mut self,
        place: &Place,
        to: (NodeId, u32),
        join: &JoinRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let refuse = |error, cx: &mut KafkaCx<'_>| {
            let group = Arc::clone(&place.group);
            let join = join.clone();
            let refused = GroupRequest::JoinGroup { group, join }.refused(error);
            answer(to, refused, cx);
        };
        if self.consumer_group(place).is_some() {
            refuse(ErrorCode::InconsistentGroupProtocol, cx);
            return;
        }
        let known = self.group(place).is_some();
        if !known && !join.member_id.is_empty() {
            refuse(ErrorCode::UnknownMemberId, cx);
            return;
        }
        if !known {
            // The group is on record before its first member has an id.
            let group = ClassicGroup::new(now_ms(cx));
            let record = group.record(&[]);
            if let Some(shard) = self.shard(place.partition) {
                shard.groups.insert(Arc::clone(&place.group), group);
            }
            if let Err(error) = self.store_group(place, record, Stored::Empty, cx) {
                self.forget_group(place);
                refuse(super::append_error(error), cx);
                return;
            }
        }
        let fresh = self.fresh_member_id(cx);
        let ticket = ticket(to.0, to.1);
        let joined = self.call_group(place, cx, |group, turn| {
            group.join(join, &fresh, ticket, turn)
        });
        if let Some(Err(_illegal)) = joined {
            refuse(ErrorCode::UnknownServerError, cx);
        }
    }

    fn forget_group(&mut self, place: &Place) {
        if let Some(shard) = self.shard(place.partition) {
            shard.groups.remove(&place.group);
        }
    }

    /// Stands for a random UUID: unlike any other that this broker makes.
    fn fresh_member_id(&mut self, cx: &KafkaCx<'_>) -> String {
        let number = self
            .groups
            .as_mut()
            .map_or(0, |groups: &mut Apart<GroupCoordinator>| {
                groups.member_ids += 1;
                groups.member_ids
            });
        let bits = cx.draw(MEMBER_ID, number);
        format!("{:08x}-{number}", bits >> 32)
    }

    fn fetch_offsets(
        &self,
        place: &Place,
        partitions: &[TopicPartition],
        member: Option<&(Name, i32)>,
    ) -> GroupResponse {
        if let Some(group) = self.consumer_group(place)
            && let Err(error) = group.validate_fetch(member)
        {
            let offsets = Vec::new();
            return GroupResponse::OffsetFetch { error, offsets };
        }
        let shard = self
            .groups
            .as_ref()
            .and_then(|it| it.shards.get(&place.partition));
        if let Some(shard) = shard
            && partitions
                .iter()
                .any(|it| shard.is_unstable(&place.group, it))
        {
            // Clients ask for stable offsets only (KIP-447).
            let (error, offsets) = (ErrorCode::UnstableOffsetCommit, Vec::new());
            return GroupResponse::OffsetFetch { error, offsets };
        }
        let known = shard.and_then(|it| it.offsets.get(&place.group));
        let wanted = partitions.iter();
        let known = wanted.filter_map(|tp| known.and_then(|it| it.get(tp)));
        let offsets = known.map(|it| it.committed);
        GroupResponse::OffsetFetch {
            error: ErrorCode::None,
            offsets: offsets.collect(),
        }
    }

    fn on_offset_commit(
        &mut self,
        place: &Place,
        to: (NodeId, u32),
        (member_id, instance_id, generation): (&Name, Option<&str>, i32),
        offsets: Vec<CommittedOffset>,
        cx: &mut KafkaCx<'_>,
    ) {
        let consumer = self.consumer_commit_check(place, member_id, generation, &offsets);
        if consumer.is_none() && self.group(place).is_none() {
            let group = ClassicGroup::new(now_ms(cx));
            let refused = (generation >= 0).then_some(ErrorCode::IllegalGeneration);
            if let Some(error) = refused {
                answer(to, GroupResponse::OffsetCommit { error }, cx);
                return;
            }
            if let Some(shard) = self.shard(place.partition) {
                shard.groups.insert(Arc::clone(&place.group), group);
            }
        }
        let valid = consumer.or_else(|| {
            self.call_group(place, cx, |group, turn| {
                group.validate_offset_commit(member_id, instance_id, generation, false)?;
                group.committed(member_id, turn);
                Ok(())
            })
        });
        let valid = valid.unwrap_or(Err(ErrorCode::NotCoordinator));
        if let Err(error) = valid {
            let (rule, member) = (Rule::OffsetCommitRefused, Some(Arc::clone(member_id)));
            let number = i64::from(generation);
            self.note_group(rule, &place.group, member, number, error as i64, cx);
            answer(to, GroupResponse::OffsetCommit { error }, cx);
            return;
        }
        if let Err(error) = self.store_offsets(place, offsets, to, cx) {
            let error = super::append_error(error);
            answer(to, GroupResponse::OffsetCommit { error }, cx);
        }
    }

    /// Does what a group's rules ask for.
    pub(super) fn carry_out(&mut self, place: &Place, effect: Effect, cx: &mut KafkaCx<'_>) {
        match effect {
            Effect::Join(ticket, joined) => {
                answer(asker(ticket), GroupResponse::JoinGroup(joined), cx);
            }
            Effect::Sync(ticket, error, assignment) => {
                let response = GroupResponse::SyncGroup { error, assignment };
                answer(asker(ticket), response, cx);
            }
            Effect::Persist(record, stored) => {
                if let Err(error) = self.store_group(place, *record, stored.clone(), cx) {
                    let error = super::append_error(error);
                    self.call_group(place, cx, |group, turn| group.stored(&stored, error, turn));
                }
            }
        }
    }

    /// Tells an offset commit's outcome.
    pub(super) fn answer_commit(
        &self,
        to: (NodeId, u32),
        error: ErrorCode,
        written: crate::kernel::Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let response = Response::Group(Box::new(GroupResponse::OffsetCommit { error }));
        let msg = crate::kafka::protocol::Msg::Response(to.1, Box::new(response));
        cx.send_at(written.max(cx.now()), to.0, msg);
    }

    /// The groups of a shard die: whoever waits is sent to look for the new coordinator.
    pub(super) fn unload_groups(&mut self, partition: u16, cx: &mut KafkaCx<'_>) {
        let Some(shard) = self.shard(partition) else {
            return;
        };
        let live = shard
            .groups
            .iter()
            .filter(|(_, it)| it.state() != State::Dead);
        let names: Vec<Name> = live.map(|(name, _)| Arc::clone(name)).collect();
        for group in names {
            let place = Place { partition, group };
            self.call_group(&place, cx, ClassicGroup::unload);
        }
    }
}
