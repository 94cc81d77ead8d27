//! The heartbeat thread: it keeps the session, and leaves when the application does not poll.
//!
//! Follows `AbstractCoordinator.HeartbeatThread` and `Heartbeat`.

use super::super::Consumer;
use super::{GroupAbout, MemberState, Membership};
use crate::kafka::client::{NEVER, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupRequest;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kernel::Nanos;
use std::sync::Arc;

impl Membership {
    /// It beats from the JoinGroup response on, until the next join.
    fn beats(&self) -> bool {
        let joined = matches!(
            self.state,
            MemberState::CompletingRebalance | MemberState::Stable
        );
        joined && self.generation >= 0
    }
}

impl Consumer {
    /// One look of the heartbeat thread.
    pub(super) fn beat(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if !member.beats() {
            return;
        }
        let now = cx.now();
        if self.lacks_coordinator(member, cx) {
            self.find_coordinator(member, cx);
            return;
        }
        if now
            >= member
                .heartbeat
                .alive
                .saturating_add(span(self.config.session_timeout_ms))
        {
            // Nothing was heard for so long: perhaps it is not the coordinator any more.
            member.coordinator = None;
            member.heartbeat.alive = now;
            self.find_coordinator(member, cx);
            return;
        }
        if now >= self.poll_deadline(member) {
            self.leave_for_not_polling(member, cx);
            return;
        }
        if now < member.heartbeat.next || member.heartbeat.in_flight {
            return;
        }
        let request = GroupRequest::Heartbeat {
            group: Arc::clone(&member.group),
            member_id: Arc::clone(&member.member_id),
            instance_id: member.instance_id.clone(),
            generation: member.generation,
        };
        let about = GroupAbout::Heartbeat(member.generation);
        if self.send_to_coordinator(member, request, about, cx) {
            member.heartbeat.in_flight = true;
            let pause = span(self.config.heartbeat_interval_ms);
            member.heartbeat.next = now.saturating_add(pause);
        }
    }

    /// When the application has not polled for too long.
    pub(in super::super) fn poll_deadline(&self, member: &Membership) -> Nanos {
        let polls = self.polling && self.work.is_idle() && member.waits_for_commit.is_none();
        match polls {
            true => NEVER,
            false => {
                let longest = span(self.config.max_poll_interval_ms);
                member.last_poll.saturating_add(longest)
            }
        }
    }

    pub(super) fn heartbeat_deadline(&self, member: &Membership, now: Nanos) -> Nanos {
        if !member.beats() || member.coordinator.is_none() {
            return NEVER;
        }
        let session = member.heartbeat.alive;
        let session = session.saturating_add(span(self.config.session_timeout_ms));
        let next = match member.heartbeat.in_flight {
            true => NEVER,
            false => member.heartbeat.next,
        };
        let due = session.min(self.poll_deadline(member)).min(next);
        // What is due but waits for a connection is seen to when that stands.
        if due > now { due } else { NEVER }
    }

    pub(super) fn start_heartbeat(&mut self, member: &mut Membership, now: Nanos) {
        let pause = span(self.config.heartbeat_interval_ms);
        member.heartbeat.next = now.saturating_add(pause);
        member.heartbeat.alive = now;
        member.heartbeat.in_flight = false;
    }

    fn leave_for_not_polling(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let generation = i64::from(member.generation);
        self.note_member(member, Rule::PollIntervalExceeded, None, -1, generation, cx);
        self.send_leave(member, cx);
        self.forget_generation(member, true);
    }

    /// A dynamic member says goodbye; a static one is expected back.
    pub(super) fn send_leave(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if member.instance_id.is_some() || member.member_id.is_empty() {
            return;
        }
        let who = (Arc::clone(&member.member_id), None);
        let request = GroupRequest::LeaveGroup {
            group: Arc::clone(&member.group),
            members: vec![who],
        };
        self.send_to_coordinator(member, request, GroupAbout::Leave, cx);
    }

    pub(super) fn on_heartbeat(
        &mut self,
        member: &mut Membership,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        member.heartbeat.in_flight = false;
        if !member.beats() {
            return;
        }
        match error {
            ErrorCode::None => member.heartbeat.alive = cx.now(),
            ErrorCode::RebalanceInProgress => {
                member.heartbeat.alive = cx.now();
                if member.state == MemberState::Stable {
                    self.request_rejoin(member);
                }
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.coordinator_unknown(member, cx);
            }
            ErrorCode::FencedInstanceId => member.fatal = Some(error),
            ErrorCode::IllegalGeneration => self.forget_generation(member, false),
            ErrorCode::UnknownMemberId => self.forget_generation(member, true),
            // It is still being loaded: the next heartbeat will tell.
            _ => {}
        }
    }
}
