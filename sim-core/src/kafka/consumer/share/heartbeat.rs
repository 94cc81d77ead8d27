//! Heartbeats of a share consumer: they join, keep the session and bring new assignments, which
//! hold at once.

use super::super::Consumer;
use super::super::group::{GroupAbout, Membership};
use super::Share;
use crate::kafka::client::span;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{GroupRequest, GroupResponse};
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kernel::Purpose;
use std::sync::Arc;

const MEMBER_ID: Purpose = Purpose::named("consumer.share-member-id");

impl Consumer {
    pub(super) fn beat_share(
        &mut self,
        member: &mut Membership,
        share: &mut Share,
        cx: &mut KafkaCx<'_>,
    ) {
        let now = cx.now();
        if member.member_id.is_empty() {
            let bits = cx.draw(MEMBER_ID, now);
            member.member_id = Arc::from(format!("{bits:016x}"));
        }
        if member.coordinator.is_none() {
            self.find_coordinator(member, cx);
            return;
        }
        let due = member.generation < 0 || now >= share.next;
        if share.in_flight || !due || now < share.not_before {
            return;
        }
        let epoch = member.generation.max(0);
        if self.send_share_heartbeat(member, epoch, GroupAbout::ShareHeartbeat(false), cx) {
            share.in_flight = true;
            share.next = now.saturating_add(share.interval);
        }
    }

    fn send_share_heartbeat(
        &mut self,
        member: &Membership,
        member_epoch: i32,
        about: GroupAbout,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let request = GroupRequest::ShareGroupHeartbeat {
            group: Arc::clone(&member.group),
            member_id: Arc::clone(&member.member_id),
            member_epoch,
            topic: self.topic,
        };
        self.send_to_coordinator(member, request, about, cx)
    }

    pub(super) fn leave_share(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if member.generation >= 0 {
            self.send_share_heartbeat(member, -1, GroupAbout::ShareHeartbeat(true), cx);
        }
        member.generation = -1;
    }

    /// The coordinator answered.
    pub(in super::super) fn on_share_heartbeat(
        &mut self,
        member: &mut Membership,
        leaves: bool,
        answer: &GroupResponse,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = self.backoff(cx);
        let (
            GroupResponse::ShareGroupHeartbeat {
                error,
                member_epoch,
                heartbeat_interval_ms,
                assignment,
            },
            Some(share),
            false,
        ) = (answer, &mut member.share, leaves)
        else {
            return;
        };
        share.in_flight = false;
        match error {
            ErrorCode::None => {
                share.interval = span(*heartbeat_interval_ms);
                share.next = cx.now().saturating_add(share.interval);
                if let Some(told) = assignment {
                    share.assigned = told.iter().copied().collect();
                }
                member.generation = *member_epoch;
            }
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.coordinator_unknown(member, cx);
            }
            ErrorCode::CoordinatorLoadInProgress => share.not_before = pause,
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                let rule = Rule::Modern(ModernRule::MemberFenced);
                let epoch = i64::from(member.generation);
                member.generation = -1;
                self.note_member(member, rule, None, epoch, *error as i64, cx);
            }
            error => {
                let rule = Rule::Modern(ModernRule::MemberFatal);
                let epoch = i64::from(member.generation);
                share.assigned.clear();
                member.fatal = Some(*error);
                self.note_member(member, rule, None, epoch, *error as i64, cx);
            }
        }
    }

    /// It will not answer.
    pub(in super::super) fn share_heartbeat_lost(
        &mut self,
        member: &mut Membership,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = self.backoff(cx);
        if let Some(share) = &mut member.share {
            share.in_flight = false;
            share.not_before = pause;
            share.next = cx.now();
        }
    }
}
