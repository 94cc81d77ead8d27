//! Finding the coordinator, joining, syncing, and what a rebalance does to the partitions.
//!
//! Follows `AbstractCoordinator` and `ConsumerCoordinator.onJoinPrepare/onJoinComplete`. Eager: all
//! partitions are given up before JoinGroup. Cooperative (KIP-429): they are kept, and what the new
//! assignment takes away is given up after it, followed by another join.

use super::super::Consumer;
use super::super::partition::Assigned;
use super::{Committer, GroupAbout, MemberState, Membership, assignment};
use crate::kafka::client::{NEVER, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::GroupRequest;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Request;
use crate::kafka::rules::classic_group::{
    Bytes, JoinAnswer, JoinRequest, Name, Protocol, SyncRequest,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Consumer {
    pub(in super::super) fn find_coordinator(
        &mut self,
        member: &mut Membership,
        cx: &mut KafkaCx<'_>,
    ) {
        if member.finding || member.not_before > cx.now() {
            return;
        }
        let Some(broker) = self.client.least_loaded(cx) else {
            return;
        };
        if self.client.ready(broker, cx) {
            member.finding = true;
            let group = Arc::clone(&member.group);
            let request = Request::Group(Box::new(GroupRequest::FindCoordinator { group }));
            let about = super::super::About::Group(Box::new(GroupAbout::Find));
            self.client.send(broker, request, Some(about), cx);
        }
    }

    pub(super) fn on_coordinator(
        &mut self,
        member: &mut Membership,
        error: ErrorCode,
        node: BrokerId,
        cx: &mut KafkaCx<'_>,
    ) {
        member.finding = false;
        if error.is_error() {
            member.not_before = self.backoff(cx);
            return;
        }
        member.coordinator = Some(node);
        member.heartbeat.alive = cx.now();
        // A pause was for the old one.
        member.not_before = 0;
    }

    pub(in super::super) fn coordinator_unknown(&self, member: &mut Membership, cx: &KafkaCx<'_>) {
        member.coordinator = None;
        member.not_before = self.backoff(cx);
    }

    /// Whether no coordinator is known; one whose connection broke is known no more
    /// (`checkAndGetCoordinator`).
    pub(super) fn lacks_coordinator(&self, member: &mut Membership, cx: &KafkaCx<'_>) -> bool {
        let broke = |it| self.client.reconnect_at(Some(it), cx.now()) != NEVER;
        if member.coordinator.is_some_and(broke) {
            self.coordinator_unknown(member, cx);
        }
        member.coordinator.is_none()
    }

    pub(super) fn request_rejoin(&mut self, member: &mut Membership) {
        if !member.rejoin {
            (member.rejoin, member.prepared) = (true, false);
        }
    }

    /// The coordinator does not know this generation, or not even this member: it starts anew
    /// (`resetStateOnResponseError`). Its partitions are lost, as its next poll will find.
    pub(super) fn forget_generation(&mut self, member: &mut Membership, and_id: bool) {
        member.generation = -1;
        if and_id {
            member.member_id = Arc::from("");
        }
        member.state = MemberState::Unjoined;
        (member.rejoin, member.prepared) = (true, false);
    }

    /// Joins if a rebalance is wanted (`ensureActiveGroup`).
    pub(super) fn ensure_active(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        if self.lacks_coordinator(member, cx) {
            self.find_coordinator(member, cx);
            return;
        }
        if member.state == MemberState::Stable && self.topics_have_changed(member) {
            member.assigned_of = None;
            self.request_rejoin(member);
        }
        self.go_on_leading(member, cx);
        let joining = matches!(
            member.state,
            MemberState::PreparingRebalance | MemberState::CompletingRebalance
        );
        if !member.rejoin || joining {
            return;
        }
        if !member.prepared && !self.prepare_join(member, cx) {
            return;
        }
        if member.not_before <= cx.now() {
            self.send_join(member, cx);
        }
    }

    /// Whether topics have grown, or replicas are on other racks, since this member, the leader,
    /// made the assignment (`rejoinNeededOrPending`). A leader without a rack does not look at racks.
    fn topics_have_changed(&self, member: &Membership) -> bool {
        let metadata = &self.client.metadata;
        let others = || metadata.followed().unwrap_or_default();
        member.assigned_of.is_some_and(|own| {
            own < metadata.partition_count()
                || (!member.assigned_others.is_empty() && member.assigned_others != others())
                || (member.assigned_racks.as_ref())
                    .is_some_and(|it| Some(it) != metadata.racks(&self.book).as_ref())
        })
    }

    /// `onJoinPrepare`; `false` while it waits for its commit.
    fn prepare_join(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) -> bool {
        if member.waits_for_commit == Some(Committer::Rebalance) {
            return false;
        }
        if self.config.enable_auto_commit && member.generation >= 0 {
            let offsets = self.consumed(member);
            if !offsets.is_empty() && member.prepared_commit() {
                self.commit(member, offsets, Committer::Rebalance, cx);
                return false;
            }
        }
        self.finish_preparing(member, cx);
        true
    }

    /// The partitions go, or stay, before the join.
    pub(super) fn finish_preparing(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        member.prepared = true;
        if member.generation < 0 {
            self.give_up_all(member, Rule::PartitionLost, cx);
        } else if !self.config.assignment_strategy.cooperative() {
            self.give_up_all(member, Rule::PartitionRevoked, cx);
        }
    }

    pub(in super::super) fn give_up_all(
        &mut self,
        member: &mut Membership,
        rule: Rule,
        cx: &mut KafkaCx<'_>,
    ) {
        let owned = std::mem::take(&mut self.order);
        for partition in &owned {
            self.give_up(member, *partition, rule, cx);
        }
        self.served.clear();
    }

    pub(in super::super) fn give_up(
        &mut self,
        member: &mut Membership,
        partition: u16,
        rule: Rule,
        cx: &mut KafkaCx<'_>,
    ) {
        let slot = self.partitions.get_mut(usize::from(partition));
        if let Some(assigned) = slot.and_then(Option::take) {
            let tp = Some(self.client.metadata.tp(partition));
            let generation = i64::from(member.generation);
            self.note_member(member, rule, tp, assigned.offset(), generation, cx);
        }
        member.awaiting_offsets.remove(&partition);
        self.work.given_up(partition);
        self.order.retain(|it| *it != partition);
        self.served.retain(|it| *it != partition);
        self.completed.retain(|it| it.partition != partition);
    }

    fn send_join(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let owned = self.order.iter().map(|it| self.client.metadata.tp(*it));
        let topics = self.client.metadata.topics();
        let metadata =
            assignment::subscription(topics, owned, member.generation, &self.config.client_rack);
        let protocols = self.config.assignment_strategy.0.iter().map(|it| Protocol {
            name: Arc::from(it.name()),
            metadata: Bytes::clone(&metadata),
        });
        let join = JoinRequest {
            member_id: Arc::clone(&member.member_id),
            instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            session_timeout_ms: self.config.session_timeout_ms,
            rebalance_timeout_ms: self.config.max_poll_interval_ms,
            protocol_type: Arc::from("consumer"),
            protocols: protocols.collect(),
            known_id_required: true,
        };
        let group = Arc::clone(&member.group);
        let request = GroupRequest::JoinGroup { group, join };
        if self.send_to_coordinator(member, request, GroupAbout::Join, cx) {
            member.state = MemberState::PreparingRebalance;
        }
    }

    /// A join or sync came to nothing: it is tried again after a pause.
    pub(super) fn join_failed(&mut self, member: &mut Membership) {
        member.state = MemberState::Unjoined;
        member.rejoin = true;
    }

    pub(super) fn on_joined(
        &mut self,
        member: &mut Membership,
        answer: JoinAnswer,
        cx: &mut KafkaCx<'_>,
    ) {
        if member.state != MemberState::PreparingRebalance {
            // It left meanwhile.
            return;
        }
        match answer.error {
            ErrorCode::None => {
                member.member_id = Arc::clone(&answer.member_id);
                member.generation = answer.generation;
                member.state = MemberState::CompletingRebalance;
                self.start_heartbeat(member, cx.now());
                self.lead_or_follow(member, answer, cx);
                return;
            }
            ErrorCode::MemberIdRequired => member.member_id = Arc::clone(&answer.member_id),
            ErrorCode::UnknownMemberId => self.forget_generation(member, true),
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.coordinator_unknown(member, cx);
            }
            ErrorCode::FencedInstanceId
            | ErrorCode::InconsistentGroupProtocol
            | ErrorCode::InvalidSessionTimeout
            | ErrorCode::InvalidGroupId
            | ErrorCode::GroupMaxSizeReached => member.fatal = Some(answer.error),
            // COORDINATOR_LOAD_IN_PROGRESS, REBALANCE_IN_PROGRESS and whatever else may pass.
            _ => member.not_before = self.backoff(cx),
        }
        self.join_failed(member);
    }

    /// The leader needs metadata of all topics that somebody in the group reads
    /// (`updateGroupSubscription`, `ensureFreshMetadata`).
    fn lead_or_follow(
        &mut self,
        member: &mut Membership,
        answer: JoinAnswer,
        cx: &mut KafkaCx<'_>,
    ) {
        let topics = match answer.leader == answer.member_id {
            true => assignment::topics_of(&answer.members),
            false => BTreeSet::new(),
        };
        self.client.metadata.follow(topics);
        member.elected = Some(Box::new(answer));
        self.go_on_leading(member, cx);
    }

    fn go_on_leading(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let ready = self.client.metadata.followed().is_some();
        if let Some(answer) = member.elected.take_if(|_| ready)
            && member.state == MemberState::CompletingRebalance
            && member.generation == answer.generation
        {
            self.send_sync(member, &answer, cx);
        }
    }

    fn send_sync(&mut self, member: &mut Membership, joined: &JoinAnswer, cx: &mut KafkaCx<'_>) {
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let mut assignments: Vec<(Name, Bytes)> = Vec::new();
        member.assigned_of = None;
        member.assigned_others.clear();
        member.assigned_racks = None;
        if leads {
            member.assigned_of = Some(self.client.metadata.partition_count());
            member.assigned_others = self.client.metadata.followed().unwrap_or_default();
            let racks = self.client.metadata.racks(&self.book);
            let rack = &self.config.client_rack;
            member.assigned_racks = racks.clone().filter(|_| !rack.is_empty());
            let own = self.client.metadata.counts().into_iter();
            let others = member.assigned_others.iter();
            let all = own.chain(others.map(|(topic, count)| (*topic, *count)));
            let names = &self.book.topics;
            let known = all.filter_map(|(topic, count)| {
                let name = names.get(usize::from(topic.0));
                let own = (topic == self.topic).then_some(&self.topic_name);
                Some((topic, &**own.or(name)?, count))
            });
            let known: Vec<_> = known.collect();
            let protocol = joined.protocol.as_deref().unwrap_or_default();
            assignments = assignment::assign(protocol, &joined.members, &known, racks.as_ref());
        }
        let sync = SyncRequest {
            member_id: Arc::clone(&member.member_id),
            instance_id: member.instance_id.clone(),
            generation: member.generation,
            protocol_type: Some(Arc::from("consumer")),
            protocol: joined.protocol.clone(),
            assignments,
        };
        let group = Arc::clone(&member.group);
        let request = GroupRequest::SyncGroup { group, sync };
        if !self.send_to_coordinator(member, request, GroupAbout::Sync, cx) {
            self.join_failed(member);
        }
    }

    pub(super) fn on_synced(
        &mut self,
        member: &mut Membership,
        error: ErrorCode,
        given: &Bytes,
        cx: &mut KafkaCx<'_>,
    ) {
        if member.state != MemberState::CompletingRebalance {
            return;
        }
        match error {
            ErrorCode::None => {
                member.state = MemberState::Stable;
                (member.rejoin, member.prepared) = (false, false);
                member.rebalances += 1;
                self.complete_join(member, given, cx);
                return;
            }
            ErrorCode::FencedInstanceId => member.fatal = Some(error),
            ErrorCode::RebalanceInProgress => {}
            ErrorCode::IllegalGeneration => self.forget_generation(member, false),
            ErrorCode::UnknownMemberId => self.forget_generation(member, true),
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.coordinator_unknown(member, cx);
            }
            _ => member.not_before = self.backoff(cx),
        }
        self.join_failed(member);
        member.prepared = false;
    }

    /// `onJoinComplete`: takes the assignment in.
    fn complete_join(&mut self, member: &mut Membership, given: &Bytes, cx: &mut KafkaCx<'_>) {
        let metadata = &mut self.client.metadata;
        let own = assignment::decode(given).into_iter();
        let own = own.filter_map(|tp| metadata.number_anew(tp));
        let assigned: BTreeSet<u16> = own.collect();
        let owned: BTreeSet<u16> = self.order.iter().copied().collect();
        let revoked: Vec<u16> = owned.difference(&assigned).copied().collect();
        for partition in &revoked {
            self.give_up(member, *partition, Rule::PartitionRevoked, cx);
        }
        if !revoked.is_empty() {
            // Whoever gets them is waiting for it.
            self.request_rejoin(member);
        }
        self.note_kept(member, cx);
        for partition in assigned.difference(&owned) {
            self.take_partition(member, *partition, cx);
        }
        self.restart_auto_commit(member, cx);
        if let Some(outputs) = &mut self.outputs {
            outputs.joined(&member.member_id, member.generation);
        }
    }

    /// Says what it keeps of what it had, in the generation that it has come to.
    pub(in super::super) fn note_kept(&self, member: &Membership, cx: &mut KafkaCx<'_>) {
        let generation = i64::from(member.generation);
        let kept = self.order.iter();
        for partition in kept.filter(|it| member.given_until(**it).is_none()) {
            let tp = Some(self.client.metadata.tp(*partition));
            self.note_member(member, Rule::PartitionKept, tp, -1, generation, cx);
        }
    }

    /// The next commit of `enable.auto.commit` is a whole interval away.
    pub(in super::super) fn restart_auto_commit(&self, member: &mut Membership, cx: &KafkaCx<'_>) {
        let pause = span(self.config.auto_commit_interval_ms);
        member.next_auto_commit = cx.now().saturating_add(pause);
    }

    /// A partition is the member's own from now on, from where the group has come to.
    pub(in super::super) fn take_partition(
        &mut self,
        member: &mut Membership,
        partition: u16,
        cx: &mut KafkaCx<'_>,
    ) {
        let at = usize::from(partition);
        if at >= self.partitions.len() {
            self.partitions.resize(at + 1, None);
        }
        let policy = self.config.auto_offset_reset;
        if let Some(slot) = self.partitions.get_mut(at) {
            let mut assigned = Assigned::new(policy);
            assigned.awaits_offset = true;
            *slot = Some(assigned);
        }
        self.order.push(partition);
        member.awaiting_offsets.insert(partition);
        let tp = Some(self.client.metadata.tp(partition));
        let generation = member.given_until(partition);
        let generation = i64::from(generation.unwrap_or(member.generation));
        self.note_member(member, Rule::PartitionAssigned, tp, -1, generation, cx);
    }

    /// `close()`: commits what was read, leaves, and is gone.
    pub(in super::super) fn go_on_closing(
        &mut self,
        member: &mut Membership,
        cx: &mut KafkaCx<'_>,
    ) {
        if member.waits_for_commit == Some(Committer::Close) {
            return;
        }
        let commits = self.config.enable_auto_commit && member.generation >= 0;
        let offsets = self.consumed(member);
        if commits && !offsets.is_empty() && member.coordinator.is_some() && !member.close_committed
        {
            member.close_committed = true;
            self.commit(member, offsets, Committer::Close, cx);
            if member.waits_for_commit.is_some() {
                return;
            }
        }
        self.finish_closing(member, cx);
    }

    pub(super) fn finish_closing(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        self.give_up_all(member, Rule::PartitionRevoked, cx);
        if member.modern.is_some() {
            self.leave_for_good(member, cx);
        } else {
            self.send_leave(member, cx);
        }
        member.closed = true;
        member.state = MemberState::Unjoined;
    }
}
