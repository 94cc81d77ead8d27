//! A consumer as a member of a group of the consumer protocol (KIP-848).
//!
//! Follows `ConsumerMembershipManager`, `AbstractMembershipManager` and
//! `ConsumerHeartbeatRequestManager` of 4.x. A background thread sends heartbeats and hears of new
//! assignments; it gives up and takes partitions one member at a time, while the application goes
//! on reading the others. Nothing is given up before the application's next `poll()`: it may have
//! records of it in hand (KAFKA-20332, after 4.3.0). What is only taken waits for it with
//! `enable.auto.commit`, which commits first. A member that is fenced loses all at once, and joins
//! again whatever its application does. A new assignment does not stop the taking over of the one
//! before it: what only that one gives is taken, and given up again, although the coordinator may
//! have given it to another by then. It may where the member had to say anew what it owns: its answer
//! is that it does not own it (yet). The state is Kafka's, with one difference: what Kafka does
//! in the states FENCED and PREPARE_LEAVING while callbacks run is done at once here.
//!
//! Committing and asking for committed offsets are those of [`super::group`]; the generation there
//! is the member's epoch here, or -1 while it is in no epoch.

mod heartbeat;
mod reconcile;
#[cfg(test)]
mod tests;

use super::Consumer;
use super::group::{GroupAbout, Membership};
use crate::kafka::client::NEVER;
use crate::kafka::error::ErrorCode;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::classic_group::Name;
use crate::kernel::{Nanos, Purpose};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const MEMBER_ID: Purpose = Purpose::named("consumer.member-id");

/// How far a member is (`MemberState` of the consumer).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum ModernState {
    /// In no group: it did not poll yet, or it has left.
    #[default]
    Unsubscribed,
    /// Its first heartbeat is to be answered.
    Joining,
    /// It has a new assignment and has not taken it over yet.
    Reconciling,
    /// It has taken it over and is about to say so.
    Acknowledging,
    /// It has what it was given.
    Stable,
    /// It is out of the group and has lost its partitions; the next step is to join.
    Fenced,
    /// It is about to leave.
    PrepareLeaving,
    /// It leaves with its next heartbeat.
    Leaving,
    /// `poll()` throws.
    Fatal,
    /// It did not poll for `max.poll.interval.ms` and left; the next poll lets it join.
    Stale,
}

impl ModernState {
    /// Its name in Kafka.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ModernState::Unsubscribed => "UNSUBSCRIBED",
            ModernState::Joining => "JOINING",
            ModernState::Reconciling => "RECONCILING",
            ModernState::Acknowledging => "ACKNOWLEDGING",
            ModernState::Stable => "STABLE",
            ModernState::Fenced => "FENCED",
            ModernState::PrepareLeaving => "PREPARE_LEAVING",
            ModernState::Leaving => "LEAVING",
            ModernState::Fatal => "FATAL",
            ModernState::Stale => "STALE",
        }
    }

    /// `isNotInGroup`, where no heartbeats are sent.
    fn is_out(self) -> bool {
        matches!(
            self,
            ModernState::Unsubscribed
                | ModernState::Fenced
                | ModernState::Fatal
                | ModernState::Stale
        )
    }
}

/// An assignment with a number by which repetitions are told from news (`LocalAssignment`); none
/// has number -1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct LocalAssignment {
    number: i64,
    partitions: BTreeSet<u16>,
}

impl Default for LocalAssignment {
    fn default() -> Self {
        LocalAssignment {
            number: -1,
            partitions: BTreeSet::new(),
        }
    }
}

/// What a member of the consumer protocol keeps besides its membership.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Modern {
    pub(super) state: ModernState,
    /// What it was told to own, and what it has.
    target: LocalAssignment,
    current: LocalAssignment,
    /// What it is turning its assignment into, while its commit is under way.
    reconciling: Option<LocalAssignment>,
    /// What that gives it, or has given it, although the coordinator told it otherwise meanwhile; by
    /// the last epoch in which each partition was its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    overtaken: BTreeMap<u16, i32>,
    /// Until then that commit is tried, ns, and not before this, ns.
    commit_deadline: Nanos,
    commit_again: Nanos,
    /// As the coordinator told it, ns.
    interval: Nanos,
    next: Nanos,
    /// No heartbeat before this, after an error, ns.
    not_before: Nanos,
    in_flight: bool,
    sent: Sent,
}

/// What the coordinator has heard (`SentFields`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Sent {
    /// Topics, timeout and assignor.
    profile: bool,
    /// The number of the assignment.
    assignment: Option<i64>,
}

impl Membership {
    /// Who it is to questions about offsets, if it is in an epoch of the consumer protocol.
    pub(super) fn modern_identity(&self) -> Option<(Name, i32)> {
        let joined = self.modern.is_some() && self.generation >= 0;
        joined.then(|| (Arc::clone(&self.member_id), self.generation))
    }

    /// The last epoch in which a partition was given to it, if it took it over although the
    /// coordinator had told it otherwise by then, and did not give it up yet.
    pub(super) fn given_until(&self, partition: u16) -> Option<i32> {
        let modern = self.modern.as_ref()?;
        modern.overtaken.get(&partition).copied()
    }

    fn modern_state(&self) -> ModernState {
        self.modern
            .as_ref()
            .map_or(ModernState::Fatal, |it| it.state)
    }

    fn go(&mut self, state: ModernState) {
        if let Some(modern) = &mut self.modern {
            modern.state = state;
        }
    }
}

impl Consumer {
    /// One turn of the application's loop and of the background thread.
    pub(super) fn run_modern(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if member.has_ended() {
            return;
        }
        if member.member_id.is_empty() {
            // Stands for a random UUID: no two processes start at one place at one time.
            let bits = cx.draw(MEMBER_ID, cx.now());
            member.member_id = Arc::from(format!("{:016x}", bits));
        }
        self.beat_modern(member, cx);
        self.reconcile(member, false, cx);
        self.work(member, cx);
        if member.closing {
            self.go_on_closing(member, cx);
        } else if self.polling && self.work.is_idle() {
            self.poll_modern(member, cx);
        }
        // What was taken over is said at once.
        self.beat_modern(member, cx);
    }

    /// `poll()`.
    fn poll_modern(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        // Whoever commits for themselves waits here for the outcome.
        if self.retry_commit(member, cx) {
            return;
        }
        member.last_poll = cx.now();
        if matches!(
            member.modern_state(),
            ModernState::Unsubscribed | ModernState::Stale
        ) {
            self.join_modern(member);
        }
        self.reconcile(member, true, cx);
        self.read_as_member(member, cx);
    }

    /// `transitionToJoining`.
    fn join_modern(&mut self, member: &mut Membership) {
        member.generation = -1;
        if let Some(modern) = &mut member.modern {
            modern.state = ModernState::Joining;
            modern.target = LocalAssignment::default();
            modern.sent = Sent::default();
            modern.reconciling = None;
            modern.overtaken.clear();
        }
    }

    /// Drops what it had.
    fn lose_all(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        self.give_up_all(member, Rule::PartitionLost, cx);
        if let Some(modern) = &mut member.modern {
            modern.current = LocalAssignment::default();
            modern.target = LocalAssignment::default();
            modern.reconciling = None;
            modern.overtaken.clear();
        }
    }

    /// The group has gone on without it: it starts anew.
    fn fence(&mut self, member: &mut Membership, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        let rule = Rule::Modern(ModernRule::MemberFenced);
        let epoch = i64::from(member.generation);
        self.note_member(member, rule, None, epoch, error as i64, cx);
        member.go(ModernState::Fenced);
        self.lose_all(member, cx);
        self.join_modern(member);
    }

    /// There is no way back.
    fn fail(&mut self, member: &mut Membership, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        let rule = Rule::Modern(ModernRule::MemberFatal);
        let epoch = i64::from(member.generation);
        self.note_member(member, rule, None, epoch, error as i64, cx);
        member.go(ModernState::Fatal);
        self.lose_all(member, cx);
        member.generation = -1;
        member.fatal = Some(error);
    }

    /// When the background thread has something to do.
    pub(super) fn modern_deadline(&self, member: &Membership, now: Nanos) -> Nanos {
        let Some(modern) = &member.modern else {
            return NEVER;
        };
        let later = |at: Nanos| if at > now { at } else { NEVER };
        let mut due = NEVER;
        if !modern.state.is_out() && member.coordinator.is_some() {
            due = self.poll_deadline(member);
            if !modern.in_flight {
                due = due.min(modern.next).min(modern.not_before.max(now));
            }
        }
        let mut due = later(due);
        if modern.reconciling.is_some() {
            due = due.min(later(modern.commit_again));
        }
        if !modern.in_flight {
            due = due.min(later(modern.not_before)).min(later(modern.next));
        }
        due
    }

    /// What came of a heartbeat is not known.
    pub(super) fn consumer_heartbeat_lost(
        &mut self,
        member: &mut Membership,
        leaves: bool,
        cx: &mut KafkaCx<'_>,
    ) {
        if leaves {
            return;
        }
        let pause = self.backoff(cx);
        if let Some(modern) = &mut member.modern {
            modern.in_flight = false;
            modern.sent = Sent::default();
            (modern.next, modern.not_before) = (cx.now(), pause);
        }
    }
}

/// What a request was about that says goodbye, or not.
fn about(leaves: bool) -> GroupAbout {
    GroupAbout::Consumer(leaves)
}
