//! A consumer as a member of a group; what is of the classic protocol alone, and what is of both.
//!
//! Members of the consumer protocol (KIP-848) go their own way in [`super::modern`].
//!
//! Follows `ConsumerCoordinator`, `AbstractCoordinator` and its `HeartbeatThread`. The application's
//! thread polls, joins and commits; heartbeats are sent beside it, also while it is busy, and notice
//! when it is busy for too long. Members of a group may read different topics, and each several.
//! Left out: rebalance listeners of the application's own.

mod assignment;
mod commit;
mod heartbeat;
mod join;

pub(in crate::kafka) use assignment::subscribes;

use super::super::client::{NEVER, PartitionRacks, span};
use super::Consumer;
use super::modern::Modern;
use super::share::Share;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_config::GroupProtocol;
use crate::kafka::group_protocol::{CommittedOffset, GroupRequest, GroupResponse};
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::protocol::Request;
use crate::kafka::rules::classic_group::{JoinAnswer, Name};
use crate::kafka::share_protocol::ShareResponse;
use crate::kernel::{MILLISECOND, Nanos, SECOND};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far a join has come (`MemberState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum MemberState {
    /// In no generation, or about to leave one.
    Unjoined,
    /// JoinGroup is under way.
    PreparingRebalance,
    /// SyncGroup is under way.
    CompletingRebalance,
    /// It has an assignment.
    Stable,
}

/// Who waits for a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Committer {
    /// Nobody: `enable.auto.commit`, or `commitAsync()`.
    Nobody,
    /// The application's thread, in `commitSync()`.
    Application,
    /// The rebalance, which first commits what was read (`onJoinPrepare`).
    Rebalance,
    /// `close()`.
    Close,
}

/// What a request to a coordinator was about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum GroupAbout {
    Find,
    Join,
    Sync,
    /// In which generation.
    Heartbeat(i32),
    Leave,
    /// For whom, in which generation.
    Commit(Committer, i32),
    Offsets(Vec<u16>),
    /// A heartbeat of the consumer protocol; whether it says goodbye.
    Consumer(bool),
    /// The same of a share group.
    ShareHeartbeat(bool),
    /// A fetch or an acknowledgement of a share group, at a leader.
    Share,
}

/// Membership in a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Membership {
    pub(super) group: Name,
    pub(super) instance_id: Option<Name>,
    /// Its `client.id`, which begins its member id.
    client_id: Name,
    pub(super) coordinator: Option<BrokerId>,
    finding: bool,
    /// No request to find or join before this, ns.
    pub(super) not_before: Nanos,
    /// Empty before the first join.
    pub(super) member_id: Name,
    /// -1 in no generation.
    pub(super) generation: i32,
    pub(super) state: MemberState,
    /// As leader of the group: of how many partitions it made the last assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_of: Option<u16>,
    /// The same of the topics that only others in the group read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    assigned_others: BTreeMap<TopicId, u16>,
    /// As leader with a `client.rack`: over which racks of the replicas it made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_racks: Option<PartitionRacks>,
    /// Elected, and waiting for metadata of topics that only others read.
    #[serde(skip_serializing_if = "Option::is_none")]
    elected: Option<Box<JoinAnswer>>,
    /// A rebalance is wanted.
    rejoin: bool,
    /// `onJoinPrepare` is done for the join that is wanted.
    prepared: bool,
    /// A commit that the rebalance, the application or `close()` waits for is under way.
    pub(super) waits_for_commit: Option<Committer>,
    /// The commit that the application waits for, until it succeeds or fails for good.
    unfinished: Vec<CommittedOffset>,
    /// No attempt of that commit before this, and none after that, ns.
    pub(super) commit_not_before: Nanos,
    commit_deadline: Nanos,
    /// When `poll()` was last called, ns.
    pub(super) last_poll: Nanos,
    heartbeat: Heartbeat,
    next_auto_commit: Nanos,
    /// Partitions whose committed offset is not known yet.
    awaiting_offsets: BTreeSet<u16>,
    asking_offsets: bool,
    /// What ended it: a fatal error.
    pub(super) fatal: Option<ErrorCode>,
    /// `close()` was called; what it still does.
    pub(super) closing: bool,
    close_committed: bool,
    pub(super) closed: bool,
    /// Times that the application got `CommitFailedException`.
    pub(super) commit_failures: u64,
    /// Rebalances that this member went through.
    pub(super) rebalances: u64,
    /// Of a member of the consumer protocol, whose epoch is the generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modern: Option<Box<Modern>>,
    /// Of a share consumer, whose epoch is the generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<Box<Share>>,
}

/// The heartbeat thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Heartbeat {
    next: Nanos,
    in_flight: bool,
    /// The session was last known to be alive then.
    alive: Nanos,
}

/// Default of `default.api.timeout.ms`.
const API_TIMEOUT: Nanos = 60 * SECOND;

impl Membership {
    pub(super) fn new(config: &ConsumerConfig, client_id: &str) -> Self {
        let name = |text: &str| -> Name { Arc::from(text) };
        let instance_id = config.group_instance_id.as_str();
        let modern = config.group_protocol == GroupProtocol::Consumer;
        let shares = config.group_protocol == GroupProtocol::Share;
        Membership {
            group: name(&config.group_id),
            instance_id: (!instance_id.is_empty()).then(|| name(instance_id)),
            client_id: name(client_id),
            coordinator: None,
            finding: false,
            not_before: 0,
            member_id: name(""),
            generation: -1,
            state: MemberState::Unjoined,
            assigned_of: None,
            assigned_others: BTreeMap::new(),
            assigned_racks: None,
            elected: None,
            rejoin: true,
            prepared: false,
            waits_for_commit: None,
            unfinished: Vec::new(),
            commit_not_before: 0,
            commit_deadline: NEVER,
            last_poll: 0,
            heartbeat: Heartbeat {
                next: 0,
                in_flight: false,
                alive: 0,
            },
            next_auto_commit: 0,
            awaiting_offsets: BTreeSet::new(),
            asking_offsets: false,
            fatal: None,
            closing: false,
            close_committed: false,
            closed: false,
            commit_failures: 0,
            rebalances: 0,
            modern: modern.then(Box::default),
            share: shares.then(Box::default),
        }
    }

    /// The same application after a restart.
    pub(super) fn restarted(&self, config: &ConsumerConfig) -> Self {
        Membership::new(config, &self.client_id)
    }

    /// Whether the committed offset of a partition is still to come.
    pub(super) fn awaits_offset(&self, partition: u16) -> bool {
        self.awaiting_offsets.contains(&partition)
    }

    /// The committed offset of a partition is to be looked up again.
    pub(super) fn await_offset(&mut self, partition: u16) {
        self.awaiting_offsets.insert(partition);
    }

    /// The application has sought a position: no committed offset is looked up for it.
    pub(super) fn forget_offset(&mut self, partition: u16) {
        self.awaiting_offsets.remove(&partition);
    }

    /// Whether its thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.closed || self.fatal.is_some()
    }
}

/// How a consumer calls its membership; see [`crate::kafka::parts`].
pub(in crate::kafka) struct MemberPart {
    /// One turn of a member's loop.
    pub(super) run: fn(&mut Consumer, &mut KafkaCx<'_>),
    /// The coordinator has answered.
    pub(super) answer: fn(&mut Consumer, BrokerId, GroupAbout, GroupResponse, &mut KafkaCx<'_>),
    /// The leader of a partition has answered a member of a share group.
    pub(super) shared: fn(&mut Consumer, BrokerId, ShareResponse, &mut KafkaCx<'_>),
    /// It will not answer.
    pub(super) lost: fn(&mut Consumer, BrokerId, &GroupAbout, &mut KafkaCx<'_>),
}

impl Consumer {
    /// Consumers may have a group.
    pub(in crate::kafka) const MEMBER: MemberPart = MemberPart {
        run: Consumer::run_member,
        answer: Consumer::on_group_answer,
        shared: Consumer::on_shared,
        lost: Consumer::on_group_lost,
    };

    /// No consumer has one.
    pub(in crate::kafka) const NO_MEMBER: MemberPart = MemberPart {
        run: |_, _| {},
        answer: |_, _, _, _, _| {},
        shared: |_, _, _, _| {},
        lost: |_, _, _, _| {},
    };

    /// What this consumer was built with.
    pub(super) fn parts(&self) -> &'static MemberPart {
        &self.parts.table().member
    }

    /// One turn of a member's loop, and of its heartbeat thread.
    pub(super) fn run_member(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(mut member) = self.group.take() else {
            return;
        };
        if member.share.is_some() {
            self.run_share(&mut member, cx);
        } else if member.modern.is_some() {
            self.run_modern(&mut member, cx);
        } else if !member.has_ended() {
            self.beat(&mut member, cx);
            self.work(&mut member, cx);
            if member.closing {
                self.go_on_closing(&mut member, cx);
            } else if self.polling && self.work.is_idle() {
                self.poll_member(&mut member, cx);
            }
        }
        let due = self.member_deadline(&member, cx);
        self.group = Some(member);
        self.wake_by(due, cx);
    }

    /// `poll()` of a member.
    fn poll_member(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        // Whoever commits for themselves waits here for the outcome.
        if self.retry_commit(member, cx) {
            return;
        }
        member.last_poll = cx.now();
        self.ensure_active(member, cx);
        let giving_up = member.waits_for_commit == Some(Committer::Rebalance);
        if giving_up && !self.config.assignment_strategy.cooperative() {
            // What were read now would not be in the commit (`maybeMarkPartitionsPendingRevocation`).
            return;
        }
        self.read_as_member(member, cx);
    }

    /// What `poll()` of a member does once its membership is seen to.
    pub(super) fn read_as_member(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        self.maybe_auto_commit(member, cx);
        self.commit_finished(member, cx);
        if !member.unfinished.is_empty() {
            return;
        }
        self.ask_offsets(member, cx);
        self.look_up_positions(cx);
        self.poll(cx);
        if self.work.is_idle() {
            self.send_fetches(cx);
        } else {
            self.begin_work(member, cx);
            // Prefetch: the next poll finds what comes in the meantime.
            self.send_fetches(cx);
        }
    }

    /// The coordinator answered.
    pub(super) fn on_group_answer(
        &mut self,
        broker: BrokerId,
        about: GroupAbout,
        answer: GroupResponse,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(mut member) = self.group.take() else {
            return;
        };
        match (about, answer) {
            (GroupAbout::Find, GroupResponse::FindCoordinator { error, node }) => {
                self.on_coordinator(&mut member, error, node, cx);
            }
            (GroupAbout::Join, GroupResponse::JoinGroup(answer)) => {
                self.on_joined(&mut member, answer, cx);
            }
            (GroupAbout::Sync, GroupResponse::SyncGroup { error, assignment }) => {
                self.on_synced(&mut member, error, &assignment, cx);
            }
            (GroupAbout::Heartbeat(generation), GroupResponse::Heartbeat { error }) => {
                if generation == member.generation {
                    self.on_heartbeat(&mut member, error, cx);
                }
            }
            (GroupAbout::Leave, GroupResponse::LeaveGroup { .. }) => {}
            (GroupAbout::Commit(who, generation), GroupResponse::OffsetCommit { error }) => {
                self.on_committed(&mut member, who, generation, error, cx);
            }
            (GroupAbout::Offsets(asked), GroupResponse::OffsetFetch { error, offsets }) => {
                self.on_offsets(&mut member, &asked, error, &offsets, cx);
            }
            (GroupAbout::Consumer(leaves), GroupResponse::ConsumerGroupHeartbeat(answer)) => {
                self.on_consumer_heartbeat(&mut member, leaves, &answer, cx);
            }
            (GroupAbout::ShareHeartbeat(leaves), answer) => {
                self.on_share_heartbeat(&mut member, leaves, &answer, cx);
            }
            // A foreign answer is as good as none.
            (about, _) => self.group_request_lost(&mut member, broker, &about, cx),
        }
        self.group = Some(member);
    }

    /// A request to a coordinator will not be answered.
    pub(super) fn on_group_lost(
        &mut self,
        broker: BrokerId,
        about: &GroupAbout,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Some(mut member) = self.group.take() {
            self.group_request_lost(&mut member, broker, about, cx);
            self.group = Some(member);
        }
    }

    fn group_request_lost(
        &mut self,
        member: &mut Membership,
        broker: BrokerId,
        about: &GroupAbout,
        cx: &mut KafkaCx<'_>,
    ) {
        member.not_before = self.backoff(cx);
        let coordinators = !matches!(about, GroupAbout::Find | GroupAbout::Share);
        if coordinators && member.coordinator == Some(broker) {
            member.coordinator = None;
        }
        match about {
            GroupAbout::Find => member.finding = false,
            GroupAbout::Join | GroupAbout::Sync => self.join_failed(member),
            GroupAbout::Heartbeat(_) => member.heartbeat.in_flight = false,
            GroupAbout::Leave => {}
            GroupAbout::Commit(who, generation) => {
                let error = ErrorCode::NetworkException;
                self.on_committed(member, *who, *generation, error, cx);
            }
            GroupAbout::Offsets(_) => member.asking_offsets = false,
            GroupAbout::Consumer(leaves) => self.consumer_heartbeat_lost(member, *leaves, cx),
            GroupAbout::ShareHeartbeat(_) => self.share_heartbeat_lost(member, cx),
            GroupAbout::Share => self.share_fetch_lost(member, broker, cx),
        }
    }

    pub(super) fn backoff(&self, cx: &KafkaCx<'_>) -> Nanos {
        cx.now().saturating_add(span(self.config.retry_backoff_ms))
    }

    /// Sends a request to the coordinator, if that is known and can be reached now.
    pub(super) fn send_to_coordinator(
        &mut self,
        member: &Membership,
        request: GroupRequest,
        about: GroupAbout,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let Some(coordinator) = member.coordinator else {
            return false;
        };
        if !self.client.ready_to_coordinate(coordinator, cx) {
            return false;
        }
        let timeout = match about {
            // A join is answered when everybody has joined.
            GroupAbout::Join => {
                let longest = span(self.config.max_poll_interval_ms).saturating_add(5 * SECOND);
                longest.max(span(self.config.request_timeout_ms))
            }
            _ => span(self.config.request_timeout_ms),
        };
        let request = Request::Group(Box::new(request));
        let about = Some(super::About::Group(Box::new(about)));
        self.client
            .send_within(coordinator, request, about, timeout, cx);
        true
    }

    fn member_deadline(&self, member: &Membership, cx: &KafkaCx<'_>) -> Nanos {
        let now = cx.now();
        let mut due = self.client.deadline(cx).min(self.next_retry(cx));
        if member.has_ended() {
            return NEVER;
        }
        let later = |at: Nanos| if at > now { at } else { NEVER };
        due = match (&member.modern, &member.share) {
            (_, Some(share)) => due.min(self.share_deadline(share, now)),
            (Some(_), None) => due.min(self.modern_deadline(member, now)),
            (None, None) => due.min(self.heartbeat_deadline(member, now)),
        };
        due = due.min(self.work.deadline());
        due = due
            .min(later(member.not_before))
            .min(later(member.commit_not_before));
        due = due.min(self.client.reconnect_at(member.coordinator, now));
        if !member.unfinished.is_empty() {
            // While `commitSync()` goes on trying, nothing is polled, whatever was fetched.
            due = due.min(later(member.commit_deadline));
        } else if member.share.is_none() && self.polling && self.work.is_idle() && !member.closing {
            if self.config.enable_auto_commit && member.generation >= 0 {
                due = due.min(member.next_auto_commit.max(now + MILLISECOND));
            }
            if !self.completed.is_empty() && member.waits_for_commit.is_none() {
                due = due.min(now);
            }
        }
        due
    }

    pub(super) fn note_member(
        &self,
        member: &Membership,
        rule: Rule,
        tp: Option<TopicPartition>,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let note = GroupNote {
            node: cx.me(),
            rule,
            group: Arc::clone(&member.group),
            member: Some(Arc::clone(&member.member_id)),
            tp,
            before,
            after,
            record: None,
        };
        cx.note(Note::Group(Box::new(note)));
    }
}
