//! Committing offsets, and beginning at committed ones.
//!
//! Follows `ConsumerCoordinator.sendOffsetCommitRequest`, `OffsetCommitResponseHandler`,
//! `commitOffsetsSync`, `maybeAutoCommitOffsetsAsync` and `initWithCommittedOffsetsIfNeeded`. What
//! is committed is the position: the offset after the last record that `poll()` returned.

use super::super::Consumer;
use super::{API_TIMEOUT, Committer, GroupAbout, MemberState, Membership};
use crate::kafka::client::span;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, GroupRequest};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::position::{FetchPosition, LeaderAndEpoch};
use std::sync::Arc;

impl Membership {
    /// Whether the commit before a join is still to be made: none is under way.
    pub(super) fn prepared_commit(&self) -> bool {
        self.waits_for_commit.is_none() && self.coordinator.is_some()
    }
}

impl Consumer {
    /// The positions of all partitions (`allConsumed`).
    pub(in super::super) fn consumed(&self, member: &Membership) -> Vec<CommittedOffset> {
        let owned = self.order.iter().filter(|it| !member.awaits_offset(**it));
        let positions = owned.filter_map(|partition| {
            let slot = self.partitions.get(usize::from(*partition));
            let position = slot.and_then(Option::as_ref)?.position.position()?;
            Some(CommittedOffset {
                tp: self.client.metadata.tp(*partition),
                offset: position.offset,
                leader_epoch: position.offset_epoch.unwrap_or(-1),
            })
        });
        let mut all: Vec<CommittedOffset> = positions.collect();
        all.sort_unstable_by_key(|it| it.tp);
        all
    }

    /// Sends a commit. One that cannot be sent fails as if it had been refused.
    pub(in super::super) fn commit(
        &mut self,
        member: &mut Membership,
        offsets: Vec<CommittedOffset>,
        who: Committer,
        cx: &mut KafkaCx<'_>,
    ) {
        let in_background = member.modern.is_some() && who == Committer::Rebalance;
        if who != Committer::Nobody && !in_background {
            member.waits_for_commit = Some(who);
        }
        if who == Committer::Application && member.unfinished.is_empty() {
            member.unfinished.clone_from(&offsets);
            member.commit_deadline = cx.now().saturating_add(API_TIMEOUT);
        }
        if member.generation < 0 {
            // Not in a generation: the group has gone on without it, and nobody needs to be asked.
            self.on_committed(member, who, -1, ErrorCode::UnknownMemberId, cx);
            return;
        }
        let request = GroupRequest::OffsetCommit {
            group: Arc::clone(&member.group),
            member_id: Arc::clone(&member.member_id),
            instance_id: member.instance_id.clone(),
            generation: member.generation,
            offsets,
        };
        let generation = member.generation;
        let about = GroupAbout::Commit(who, generation);
        if !self.send_to_coordinator(member, request, about, cx) {
            let error = ErrorCode::CoordinatorNotAvailable;
            self.on_committed(member, who, generation, error, cx);
        }
    }

    pub(super) fn maybe_auto_commit(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        if !self.config.enable_auto_commit || now < member.next_auto_commit {
            return;
        }
        let pause = span(self.config.auto_commit_interval_ms);
        member.next_auto_commit = now.saturating_add(pause);
        let offsets = self.consumed(member);
        if member.generation >= 0 && !offsets.is_empty() {
            self.commit(member, offsets, Committer::Nobody, cx);
        }
    }

    /// Whether the application still waits in `commitSync()`, which is tried again after a pause.
    pub(in super::super) fn retry_commit(
        &mut self,
        member: &mut Membership,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        if member.unfinished.is_empty() {
            return false;
        }
        if member.waits_for_commit == Some(Committer::Application) {
            return true;
        }
        if cx.now() >= member.commit_deadline {
            self.finish_commit(member, Err(ErrorCode::RequestTimedOut), cx);
            return false;
        }
        if self.lacks_coordinator(member, cx) {
            self.find_coordinator(member, cx);
        } else if cx.now() >= member.commit_not_before {
            let offsets = member.unfinished.clone();
            self.commit(member, offsets, Committer::Application, cx);
        }
        !member.unfinished.is_empty()
    }

    /// A commit was answered, or will not be.
    pub(super) fn on_committed(
        &mut self,
        member: &mut Membership,
        who: Committer,
        generation: i32,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        if member.waits_for_commit == Some(who) {
            member.waits_for_commit = None;
        }
        let mut failed = Err(error);
        match error {
            ErrorCode::None => failed = Ok(()),
            ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::RequestTimedOut
            | ErrorCode::NetworkException => self.coordinator_unknown(member, cx),
            // Heartbeats tell what is wrong with the membership.
            _ if member.modern.is_some() => {}
            ErrorCode::FencedInstanceId => member.fatal = Some(error),
            ErrorCode::RebalanceInProgress => self.request_rejoin(member),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                let and_id = error == ErrorCode::UnknownMemberId;
                let unchanged = generation == member.generation && generation >= 0;
                if unchanged && member.state != MemberState::PreparingRebalance {
                    self.forget_generation(member, and_id);
                }
            }
            _ => {}
        }
        match who {
            Committer::Nobody => self.tell_if_failed(member, error, cx),
            Committer::Application => {
                let again = error.retriable();
                if again {
                    member.commit_not_before = self.backoff(cx);
                } else {
                    self.finish_commit(member, failed, cx);
                }
            }
            Committer::Rebalance => {
                if member.modern.is_some() {
                    self.on_committed_before_revocation(member, error, cx);
                } else {
                    self.tell_if_failed(member, error, cx);
                    self.finish_preparing(member, cx);
                }
            }
            Committer::Close => self.finish_closing(member, cx),
        }
    }

    /// Notes a commit that failed for good.
    pub(in super::super) fn tell_if_failed(
        &mut self,
        member: &mut Membership,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let for_good = matches!(
            error,
            ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration
                | ErrorCode::StaleMemberEpoch
                | ErrorCode::FencedInstanceId
        );
        if for_good {
            member.commit_failures += 1;
            self.note_member(member, Rule::CommitFailed, None, -1, error as i64, cx);
        }
    }

    /// `commitSync()` returns, or throws.
    fn finish_commit(
        &mut self,
        member: &mut Membership,
        result: Result<(), ErrorCode>,
        cx: &mut KafkaCx<'_>,
    ) {
        member.unfinished.clear();
        if let Err(error) = result {
            self.tell_if_failed(member, error, cx);
        }
        let done_at = cx.now().saturating_add(self.next_cost(cx));
        self.work.commit_returned(result.is_ok(), done_at);
        if let Some(outputs) = self.outputs.as_mut().filter(|_| result.is_err()) {
            outputs.clear();
        }
    }

    /// Asks where the group has come to, for partitions that are new to this member.
    pub(super) fn ask_offsets(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let wait = member.asking_offsets || member.not_before > cx.now();
        if wait || member.awaiting_offsets.is_empty() {
            return;
        }
        let asked: Vec<u16> = member.awaiting_offsets.iter().copied().collect();
        let partitions = asked.iter().map(|it| self.client.metadata.tp(*it));
        let request = GroupRequest::OffsetFetch {
            group: Arc::clone(&member.group),
            partitions: partitions.collect(),
            member: member.modern_identity(),
        };
        let about = GroupAbout::Offsets(asked);
        member.asking_offsets = self.send_to_coordinator(member, request, about, cx);
    }

    pub(super) fn on_offsets(
        &mut self,
        member: &mut Membership,
        asked: &[u16],
        error: ErrorCode,
        offsets: &[CommittedOffset],
        cx: &mut KafkaCx<'_>,
    ) {
        member.asking_offsets = false;
        match error {
            ErrorCode::None => {}
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.coordinator_unknown(member, cx);
                return;
            }
            _ => {
                member.not_before = self.backoff(cx);
                return;
            }
        }
        let asked = asked.iter().copied();
        let asked: Vec<u16> = asked
            .filter(|it| member.awaiting_offsets.remove(it))
            .collect();
        self.start_from_offsets(&asked, offsets);
    }

    /// Partitions begin where the group has come to.
    pub(in crate::kafka::consumer) fn start_from_offsets(
        &mut self,
        asked: &[u16],
        offsets: &[CommittedOffset],
    ) {
        for partition in asked {
            let tp = self.client.metadata.tp(*partition);
            let found = offsets.iter().find(|it| it.tp == tp);
            if let Some(found) = found {
                let metadata = &mut self.client.metadata;
                metadata.seen_epoch(*partition, found.leader_epoch);
            }
            let current = self.client.metadata.leader(*partition);
            let Some(assigned) = self.assigned(*partition) else {
                continue;
            };
            assigned.awaits_offset = false;
            // Without one, `auto.offset.reset` decides.
            if let Some(found) = found {
                assigned.position.seek(FetchPosition {
                    offset: found.offset,
                    offset_epoch: (found.leader_epoch >= 0).then_some(found.leader_epoch),
                    leader: LeaderAndEpoch::UNKNOWN,
                });
                assigned.position.maybe_validate(current);
            }
        }
        self.unsettled = true;
    }
}
