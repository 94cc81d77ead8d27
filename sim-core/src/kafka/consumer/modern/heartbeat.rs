//! Heartbeats of the consumer protocol: they join, keep the session, acknowledge and leave.
//!
//! Follows `AbstractHeartbeatRequestManager` and `ConsumerHeartbeatRequestManager`: what did not
//! change since the last heartbeat is left out, and after an error everything is said again. A
//! pause after an error is kept here also where Kafka would send at once.

use super::super::Consumer;
use super::super::group::Membership;
use super::{LocalAssignment, ModernState, Sent, about};
use crate::kafka::client::span;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupRequest;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::modern_group::member::{
    JOIN_GROUP_MEMBER_EPOCH, LEAVE_GROUP_MEMBER_EPOCH, LEAVE_GROUP_STATIC_MEMBER_EPOCH,
};
use crate::kafka::rules::modern_group::{HeartbeatAnswer, HeartbeatRequest};
use crate::kafka::rules::server_assign::Partitions;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Consumer {
    /// One look of the background thread.
    pub(super) fn beat_modern(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        if member.modern_state().is_out() {
            return;
        }
        if member.coordinator.is_none() {
            self.find_coordinator(member, cx);
            return;
        }
        if now >= self.poll_deadline(member) {
            self.leave_for_silence(member, cx);
            return;
        }
        let Some(modern) = &member.modern else {
            return;
        };
        let at_once = matches!(
            modern.state,
            ModernState::Joining | ModernState::Acknowledging
        );
        let due = at_once || now >= modern.next;
        if modern.in_flight || !due || now < modern.not_before {
            return;
        }
        let heartbeat = Box::new(self.heartbeat_request(member));
        let group = Arc::clone(&member.group);
        let request = GroupRequest::ConsumerGroupHeartbeat { group, heartbeat };
        if !self.send_to_coordinator(member, request, about(false), cx) {
            return;
        }
        let Some(modern) = &mut member.modern else {
            return;
        };
        modern.in_flight = true;
        modern.next = now.saturating_add(modern.interval);
        modern.sent = Sent {
            profile: true,
            assignment: Some(modern.current.number),
        };
        if modern.state == ModernState::Acknowledging {
            modern.state = match modern.current == modern.target {
                true => ModernState::Stable,
                false => ModernState::Reconciling,
            };
        }
    }

    fn heartbeat_request(&self, member: &Membership) -> HeartbeatRequest {
        let fresh = LocalAssignment::default();
        let (current, sent, joins) = match &member.modern {
            Some(it) => (&it.current, it.sent, it.state == ModernState::Joining),
            None => (&fresh, Sent::default(), true),
        };
        let all = joins || !sent.profile;
        let owned = || {
            let mut owned = Partitions::new();
            for number in current.partitions.iter().filter(|_| !joins) {
                let tp = self.client.metadata.tp(*number);
                owned
                    .entry(tp.topic)
                    .or_default()
                    .insert(tp.partition.into());
            }
            owned
        };
        let assignor = self.config.group_remote_assignor.as_str();
        let assignor = (all && !assignor.is_empty()).then(|| Arc::from(assignor));
        HeartbeatRequest {
            member_id: Arc::clone(&member.member_id),
            member_epoch: match joins {
                true => JOIN_GROUP_MEMBER_EPOCH,
                false => member.generation,
            },
            instance_id: member.instance_id.clone(),
            rebalance_timeout_ms: all.then_some(self.config.max_poll_interval_ms),
            subscribed: all.then(|| self.client.metadata.topics().iter().copied().collect()),
            assignor,
            owned: (all || sent.assignment != Some(current.number)).then(owned),
        }
    }

    /// Says goodbye; nobody waits for an answer. A static member is expected back.
    fn send_goodbye(&mut self, member: &mut Membership, epoch: i32, cx: &mut KafkaCx<'_>) {
        let heartbeat = Box::new(HeartbeatRequest {
            member_id: Arc::clone(&member.member_id),
            member_epoch: epoch,
            instance_id: member.instance_id.clone(),
            rebalance_timeout_ms: None,
            subscribed: None,
            assignor: None,
            owned: None,
        });
        let group = Arc::clone(&member.group);
        let request = GroupRequest::ConsumerGroupHeartbeat { group, heartbeat };
        self.send_to_coordinator(member, request, about(true), cx);
        member.generation = -1;
    }

    /// The application did not poll for too long: the thread leaves, and waits for its next poll.
    fn leave_for_silence(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let epoch = i64::from(member.generation);
        self.note_member(member, Rule::PollIntervalExceeded, None, -1, epoch, cx);
        self.goodbye(member, cx);
        member.go(ModernState::Stale);
        self.lose_all(member, cx);
    }

    fn goodbye(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let epoch = match member.instance_id {
            Some(_) => LEAVE_GROUP_STATIC_MEMBER_EPOCH,
            None => LEAVE_GROUP_MEMBER_EPOCH,
        };
        member.go(ModernState::Leaving);
        if member.generation >= 0 {
            self.send_goodbye(member, epoch, cx);
        }
        if let Some(modern) = &mut member.modern {
            (modern.in_flight, modern.sent) = (false, Sent::default());
        }
    }

    /// `close()`, after its commit.
    pub(in super::super) fn leave_for_good(
        &mut self,
        member: &mut Membership,
        cx: &mut KafkaCx<'_>,
    ) {
        if !member.modern_state().is_out() {
            self.goodbye(member, cx);
        }
        member.go(ModernState::Unsubscribed);
    }

    /// The coordinator answered a heartbeat.
    pub(in super::super) fn on_consumer_heartbeat(
        &mut self,
        member: &mut Membership,
        leaves: bool,
        answer: &HeartbeatAnswer,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = self.backoff(cx);
        let Some(modern) = &mut member.modern else {
            return;
        };
        if leaves || answer.member_id != member.member_id {
            return;
        }
        modern.in_flight = false;
        let state = modern.state;
        if answer.error.is_error() {
            modern.sent = Sent::default();
            (modern.next, modern.not_before) = (cx.now(), pause);
        }
        if state.is_out() || state == ModernState::Leaving {
            return;
        }
        match answer.error {
            ErrorCode::None => self.on_heartbeat_success(member, answer, cx),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.coordinator_unknown(member, cx);
                self.forget_pause(member);
            }
            ErrorCode::CoordinatorLoadInProgress => {}
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                self.fence(member, answer.error, cx);
                self.forget_pause(member);
            }
            error => self.fail(member, error, cx),
        }
    }

    /// `HeartbeatRequestState.reset`.
    fn forget_pause(&self, member: &mut Membership) {
        if let Some(modern) = &mut member.modern {
            modern.not_before = 0;
        }
    }

    fn on_heartbeat_success(
        &mut self,
        member: &mut Membership,
        answer: &HeartbeatAnswer,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(modern) = &mut member.modern else {
            return;
        };
        let interval = span(answer.heartbeat_interval_ms);
        if modern.interval != interval {
            modern.interval = interval;
            modern.next = cx.now().saturating_add(interval);
        }
        modern.not_before = 0;
        if let Some(told) = &answer.assignment {
            self.take_target(member, told);
        }
        if member.generation != answer.member_epoch {
            member.generation = answer.member_epoch;
            self.note_kept(member, cx);
        }
        if let Some(outputs) = self.outputs.as_mut().filter(|_| answer.member_epoch > 0) {
            outputs.joined(&member.member_id, answer.member_epoch);
        }
    }

    /// `processAssignmentReceived`, in the epoch of before.
    fn take_target(&mut self, member: &mut Membership, told: &Partitions<TopicId>) {
        let Some(modern) = &mut member.modern else {
            return;
        };
        let metadata = &mut self.client.metadata;
        let told = told
            .iter()
            .flat_map(|(topic, all)| all.iter().map(|it| (*topic, *it)));
        let own = told.filter_map(|(topic, partition)| {
            let partition = u16::try_from(partition).ok()?;
            metadata.number_anew(TopicPartition { topic, partition })
        });
        let partitions: BTreeSet<u16> = own.collect();
        if let Some(begun) = &modern.reconciling {
            let new = begun.partitions.difference(&modern.current.partitions);
            for gone in new.filter(|it| !partitions.contains(it)) {
                modern.overtaken.entry(*gone).or_insert(member.generation);
            }
        }
        modern.overtaken.retain(|it, _| !partitions.contains(it));
        if modern.target.number < 0 || modern.target.partitions != partitions {
            modern.target = LocalAssignment {
                number: modern.target.number.max(modern.current.number) + 1,
                partitions,
            };
        }
        if modern.current != modern.target {
            modern.state = ModernState::Reconciling;
        } else if matches!(
            modern.state,
            ModernState::Reconciling | ModernState::Joining
        ) {
            modern.state = ModernState::Stable;
        }
    }
}
