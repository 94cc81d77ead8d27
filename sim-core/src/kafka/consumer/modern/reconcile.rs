//! From the assignment that a member has to the one that it was told.
//!
//! Follows `AbstractMembershipManager.maybeReconcile` and
//! `CommitRequestManager.maybeAutoCommitSyncBeforeRebalance`: what goes is fetched no more, what
//! was read is committed, tried again until it succeeds or the rebalance timeout is over, then the
//! partitions change hands and the coordinator is told at once. What takes something away waits for
//! the application's next `poll()` (KAFKA-20332), and so does everything with `enable.auto.commit`.

use super::super::Consumer;
use super::super::group::{Committer, Membership};
use super::ModernState;
use crate::kafka::client::span;
use crate::kafka::error::ErrorCode;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use std::collections::BTreeSet;

impl Consumer {
    /// Begins to take a new assignment over, or goes on with it; `polls` on the application's own
    /// thread, where positions may be committed.
    pub(super) fn reconcile(&mut self, member: &mut Membership, polls: bool, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let count = self.client.metadata.partition_count();
        let Some(modern) = &mut member.modern else {
            return;
        };
        if modern.reconciling.is_some() {
            if modern.commit_again != 0 && now >= modern.commit_again {
                self.commit_before_revocation(member, cx);
            }
            return;
        }
        if modern.state != ModernState::Reconciling {
            return;
        }
        if modern.target.partitions.iter().any(|it| *it >= count) {
            // Partitions that it has not heard of yet.
            self.client.metadata.request_update(false);
            return;
        }
        if modern.current.number >= 0 && modern.current.partitions == modern.target.partitions {
            modern.current = modern.target.clone();
            modern.state = ModernState::Acknowledging;
            return;
        }
        let mut given_up = modern
            .current
            .partitions
            .difference(&modern.target.partitions);
        if !polls && (self.config.enable_auto_commit || given_up.next().is_some()) {
            return;
        }
        modern.reconciling = Some(modern.target.clone());
        let timeout = span(self.config.max_poll_interval_ms);
        modern.commit_deadline = now.saturating_add(timeout);
        let keeps = modern.target.partitions.clone();
        for partition in self.order.clone() {
            if let Some(assigned) = self.assigned(partition) {
                assigned.revoking = !keeps.contains(&partition);
            }
        }
        self.commit_before_revocation(member, cx);
    }

    fn commit_before_revocation(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if let Some(modern) = &mut member.modern {
            modern.commit_again = 0;
        }
        let offsets = match self.config.enable_auto_commit {
            true => self.consumed(member),
            false => Vec::new(),
        };
        if offsets.is_empty() {
            self.revoke_and_assign(member, cx);
        } else {
            self.commit(member, offsets, Committer::Rebalance, cx);
        }
    }

    /// The commit was answered, or will not be.
    pub(in super::super) fn on_committed_before_revocation(
        &mut self,
        member: &mut Membership,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let again = self.backoff(cx);
        let Some(modern) = &mut member.modern else {
            return;
        };
        let stale = error == ErrorCode::StaleMemberEpoch && member.generation >= 0;
        if modern.reconciling.is_some()
            && (error.retriable() || stale)
            && cx.now() < modern.commit_deadline
        {
            // With the positions, and the epoch, of then.
            modern.commit_again = again;
            return;
        }
        if error.is_error() {
            self.tell_if_failed(member, error, cx);
        }
        self.revoke_and_assign(member, cx);
    }

    fn revoke_and_assign(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let Some(modern) = &mut member.modern else {
            return;
        };
        let Some(wanted) = modern.reconciling.take() else {
            return;
        };
        if modern.state != ModernState::Reconciling {
            // It left, or was fenced, in between.
            self.keep_all();
            return;
        }
        let owned: BTreeSet<u16> = self.order.iter().copied().collect();
        for partition in owned.difference(&wanted.partitions) {
            self.give_up(member, *partition, Rule::PartitionRevoked, cx);
        }
        let mut changed = false;
        for partition in wanted.partitions.difference(&owned) {
            self.take_partition(member, *partition, cx);
            changed = true;
        }
        if changed {
            self.restart_auto_commit(member, cx);
        }
        self.keep_all();
        member.rebalances += 1;
        if let Some(modern) = &mut member.modern {
            modern
                .overtaken
                .retain(|it, _| wanted.partitions.contains(it));
            modern.current = wanted;
            modern.state = ModernState::Acknowledging;
        }
    }

    /// Nothing is about to be given up any more.
    fn keep_all(&mut self) {
        for assigned in self.partitions.iter_mut().flatten() {
            assigned.revoking = false;
        }
    }
}
