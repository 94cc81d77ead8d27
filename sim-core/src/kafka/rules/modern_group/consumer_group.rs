//! A group of the consumer protocol at its coordinator: heartbeats, leaving, timeouts.
//!
//! Follows `GroupMetadataManager.consumerGroupHeartbeat` with its neighbours, and `ConsumerGroup`,
//! as of 4.3. A heartbeat does everything: whoever comes, goes or subscribes anew moves the group
//! epoch; a new target is made for it, at most once in `group.consumer.assignment.interval.ms`
//! (KIP-1263); and each member goes toward the target by its own heartbeats. Whatever changes is a
//! record; [`ConsumerGroup::apply`] makes the same group of them again.
//!
//! Left out: members of the classic protocol in the same group, and the assignor's own thread.

use super::member::{JOIN_GROUP_MEMBER_EPOCH, LEAVE_GROUP_STATIC_MEMBER_EPOCH};
use super::messages::{ConsumerGroupRecord, HeartbeatAnswer, HeartbeatRequest, MemberProfile};
use super::{
    GroupState, MemberProtocol, MemberState, ModernMember, Target, group_state,
    validate_offset_commit,
};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::server_assign::{
    MemberSpec, Members, Partitions, ServerAssignor, TopicCounts,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The epoch of a group without history, and of its empty target.
const INITIAL_EPOCH: i32 = 1;

/// What the coordinator's settings say.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerGroupSettings<'a> {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i64,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i64,
    /// `group.consumer.assignment.interval.ms`.
    pub assignment_interval_ms: i64,
    /// `group.consumer.max.size`.
    pub max_size: u32,
    /// `group.consumer.assignors`; the first is the default.
    pub assignors: &'a [ServerAssignor],
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ConsumerMember {
    /// What it says of itself.
    pub profile: MemberProfile,
    /// What it has, and how far it is.
    pub current: ModernMember<TopicId>,
    /// Without a heartbeat until then it is out, ms.
    session_deadline_ms: i64,
    /// Until then it must have given up what it was asked for, ms.
    rebalance_deadline_ms: Option<i64>,
}

/// Why a member was put out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fenced {
    /// No heartbeat for `group.consumer.session.timeout.ms`.
    Session,
    /// It did not give its partitions up within its rebalance timeout.
    Rebalance,
}

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConsumerGroup {
    epoch: i32,
    target_epoch: i32,
    /// When the target was made, ms.
    assigned_at_ms: Option<i64>,
    /// The subscribed topics that exist.
    topics: TopicCounts<TopicId>,
    target: BTreeMap<Name, Partitions<TopicId>>,
    members: BTreeMap<Name, ConsumerMember>,
}

impl Default for ConsumerGroup {
    fn default() -> Self {
        ConsumerGroup {
            epoch: INITIAL_EPOCH,
            target_epoch: INITIAL_EPOCH,
            assigned_at_ms: None,
            topics: TopicCounts::new(),
            target: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

impl ConsumerGroup {
    /// The group's epoch.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The epoch of the target assignment.
    #[must_use]
    pub fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    /// The members by id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<Name, ConsumerMember> {
        &self.members
    }

    /// What the target gives to a member.
    #[must_use]
    pub fn target(&self, member: &str) -> Option<&Partitions<TopicId>> {
        self.target.get(member)
    }

    /// Whether some member subscribes to a topic (`ModernGroup.isSubscribedToTopic`).
    #[must_use]
    pub fn is_subscribed_to(&self, topic: TopicId) -> bool {
        let mut members = self.members.values();
        members.any(|it| it.profile.topics.contains(&topic))
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> GroupState {
        let members = self.members.values().map(|it| &it.current);
        group_state(self.epoch, self.target_epoch, members)
    }

    /// The epoch of whoever holds a partition, to give up or not; -1 if nobody does.
    #[must_use]
    pub fn holder_epoch(&self, topic: TopicId, partition: i32) -> i32 {
        let members = self.members.values().map(|it| &it.current);
        let mut holders = members.filter(|it| it.assignment_epoch(&topic, partition).is_some());
        holders.next().map_or(-1, |it| it.epoch)
    }

    /// A heartbeat of a member that joins or stays: the group after it, and the answer.
    ///
    /// `known` are the topics that exist.
    ///
    /// # Errors
    ///
    /// What the member is answered; the group is as it was.
    pub fn heartbeat(
        &self,
        request: &HeartbeatRequest,
        known: &TopicCounts<TopicId>,
        now_ms: i64,
        settings: &ConsumerGroupSettings<'_>,
    ) -> Result<(Self, HeartbeatAnswer), ErrorCode> {
        let assignor = validate(request, settings)?;
        let id = &request.member_id;
        let full = self.members.len() >= settings.max_size as usize;
        if full && !self.members.contains_key(id) {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let mut group = self.clone();
        let before = group.subscribe(request)?;
        let mut member = before.clone();
        member.profile.update(request, assignor);
        let subscribed = member.profile.topics != before.profile.topics;
        group.members.insert(Arc::clone(id), member);
        let topics = group.subscribed_topics(known);
        if subscribed || topics != group.topics {
            group.topics = topics;
            group.epoch += 1;
        }
        let waits = |at: i64| now_ms < at.saturating_add(settings.assignment_interval_ms);
        if group.epoch > group.target_epoch && !group.assigned_at_ms.is_some_and(waits) {
            group.assign(now_ms, settings)?;
        }
        group.reconcile(id, request, subscribed, now_ms)?;
        let Some(member) = group.members.get_mut(id) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        member.session_deadline_ms = now_ms.saturating_add(settings.session_timeout_ms);
        let told = member.current.partitions();
        let changed = request.is_full() || told != before.current.partitions();
        let answer = HeartbeatAnswer {
            error: ErrorCode::None,
            member_id: Arc::clone(id),
            member_epoch: member.current.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms,
            assignment: changed.then_some(told),
        };
        Ok((group, answer))
    }

    /// The member that a heartbeat is from; whoever joins is put in, and a static member that comes
    /// back takes the place of what it was.
    fn subscribe(&mut self, request: &HeartbeatRequest) -> Result<ConsumerMember, ErrorCode> {
        let id = &request.member_id;
        let joins = request.member_epoch == JOIN_GROUP_MEMBER_EPOCH;
        let same = |it: &&Name| self.members[*it].profile.instance_id == request.instance_id;
        let of_instance = match request.instance_id {
            Some(_) => self.members.keys().find(same).cloned(),
            None => None,
        };
        if request.instance_id.is_some() && !joins {
            let owner = of_instance.ok_or(ErrorCode::UnknownMemberId)?;
            if owner != *id {
                return Err(ErrorCode::FencedInstanceId);
            }
        } else if let Some(owner) = of_instance {
            let current = &self.members[&owner].current;
            if current.epoch != LEAVE_GROUP_STATIC_MEMBER_EPOCH {
                return Err(ErrorCode::UnreleasedInstanceId);
            }
            return Ok(self.replace(&owner, id));
        }
        match self.members.get(id) {
            Some(member) => {
                // A member that joins anew has given everything up (KAFKA-19233).
                if !joins {
                    let owned = request.owned.as_ref();
                    member.current.validate_epoch(request.member_epoch, owned)?;
                }
                Ok(member.clone())
            }
            None if joins => Ok(ConsumerMember::default()),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// A static member gets a new id, with all that it had.
    fn replace(&mut self, old: &Name, new: &Name) -> ConsumerMember {
        let mut member = self.members.remove(old).unwrap_or_default();
        member.current.epoch = JOIN_GROUP_MEMBER_EPOCH;
        member.current.previous_epoch = JOIN_GROUP_MEMBER_EPOCH;
        if let Some(target) = self.target.remove(old) {
            self.target.insert(Arc::clone(new), target);
        }
        self.members.insert(Arc::clone(new), member.clone());
        member
    }

    fn subscribed_topics(&self, known: &TopicCounts<TopicId>) -> TopicCounts<TopicId> {
        let wanted = self.members.values().flat_map(|it| &it.profile.topics);
        let found = wanted.filter_map(|topic| known.get(topic).map(|count| (*topic, *count)));
        found.collect()
    }

    /// Makes a new target (`TargetAssignmentBuilder`).
    fn assign(
        &mut self,
        now_ms: i64,
        settings: &ConsumerGroupSettings<'_>,
    ) -> Result<(), ErrorCode> {
        let spec = |(id, member): (&Name, &ConsumerMember)| {
            let topics = member.profile.topics.iter();
            let spec = MemberSpec {
                instance_id: member.profile.instance_id.as_deref().map(str::to_owned),
                topics: topics
                    .filter(|it| self.topics.contains_key(it))
                    .copied()
                    .collect(),
                previous: self.target.get(id).cloned().unwrap_or_default(),
            };
            (String::from(&**id), spec)
        };
        let members: Members<TopicId> = self.members.iter().map(spec).collect();
        let found = self
            .assignor(settings.assignors)
            .assign(&self.topics, &members);
        let mut found = found.map_err(|_| ErrorCode::UnknownServerError)?;
        let ids = self.members.keys();
        let each = ids.map(|id| (Arc::clone(id), found.remove(&**id).unwrap_or_default()));
        self.target = each.collect();
        self.target_epoch = self.epoch;
        self.assigned_at_ms = Some(now_ms);
        Ok(())
    }

    /// The assignor that most members vote for; the coordinator's first if nobody votes.
    #[must_use]
    pub fn assignor(&self, assignors: &[ServerAssignor]) -> ServerAssignor {
        let votes = |wanted: ServerAssignor| {
            let members = self.members.values();
            members
                .filter(|it| it.profile.assignor == Some(wanted))
                .count()
        };
        let first = assignors.first().copied();
        let mut best = (0, first.unwrap_or(ServerAssignor::Uniform));
        for assignor in assignors {
            let count = votes(*assignor);
            if count > best.0 {
                best = (count, *assignor);
            }
        }
        best.1
    }

    /// One step of a member toward the target (`maybeReconcile`).
    fn reconcile(
        &mut self,
        id: &Name,
        request: &HeartbeatRequest,
        subscribed: bool,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(id) else {
            return Ok(());
        };
        if !subscribed && member.current.is_reconciled_to(self.target_epoch) {
            return Ok(());
        }
        let nothing = Partitions::new();
        let target = Target {
            epoch: self.target_epoch,
            partitions: self.target.get(id).unwrap_or(&nothing),
            subscribed: Some(&member.profile.topics),
            enforce_subscription: subscribed,
        };
        let holder = |topic: &TopicId, partition| self.holder_epoch(*topic, partition);
        let next = member
            .current
            .reconcile(&target, request.owned.as_ref(), holder)?;
        let timeout = member.profile.rebalance_timeout_ms;
        if next == member.current {
            return Ok(());
        }
        let asked = next.state == MemberState::UnrevokedPartitions;
        if let Some(member) = self.members.get_mut(id) {
            member.current = next;
            member.rebalance_deadline_ms = asked.then_some(now_ms.saturating_add(timeout));
        }
        Ok(())
    }

    /// A member leaves, for good or (-2) for a while: the group after it, and the answer.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID`, `INVALID_REQUEST`.
    pub fn leave(&self, request: &HeartbeatRequest) -> Result<(Self, HeartbeatAnswer), ErrorCode> {
        let id = &request.member_id;
        let mut group = self.clone();
        let for_a_while = request.member_epoch == LEAVE_GROUP_STATIC_MEMBER_EPOCH;
        if for_a_while && request.instance_id.is_none() {
            return Err(ErrorCode::InvalidRequest);
        }
        if let Some(instance) = &request.instance_id {
            let mut members = self.members.iter();
            let owner = members.find(|(_, it)| it.profile.instance_id.as_ref() == Some(instance));
            let (owner, _) = owner.ok_or(ErrorCode::UnknownMemberId)?;
            if owner != id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let member = group.members.get_mut(id);
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if for_a_while {
            member.current = member.current.leave_for_a_while();
            member.rebalance_deadline_ms = None;
        } else {
            group.fence(&[Arc::clone(id)]);
        }
        let mut answer = HeartbeatAnswer::refused(ErrorCode::None, Arc::clone(id));
        answer.member_epoch = request.member_epoch;
        Ok((group, answer))
    }

    /// Members are out; the group has a new epoch for each.
    fn fence(&mut self, members: &[Name]) {
        for id in members {
            self.members.remove(id);
            self.target.remove(id);
            self.epoch += 1;
        }
        let topics = std::mem::take(&mut self.topics);
        self.topics = self.subscribed_topics(&topics);
    }

    /// Puts out who was silent, or did not give up what it was asked for, for too long.
    #[must_use]
    pub fn expire(&self, now_ms: i64) -> (Self, Vec<(Name, Fenced)>) {
        let late = self.members.iter().filter_map(|(id, member)| {
            let why = if member.session_deadline_ms <= now_ms {
                Fenced::Session
            } else if member.rebalance_deadline_ms.is_some_and(|at| at <= now_ms) {
                Fenced::Rebalance
            } else {
                return None;
            };
            Some((Arc::clone(id), why))
        });
        let late: Vec<(Name, Fenced)> = late.collect();
        let mut group = self.clone();
        let ids: Vec<Name> = late.iter().map(|(id, _)| Arc::clone(id)).collect();
        group.fence(&ids);
        (group, late)
    }

    /// These members could not be put out: they are not due before then, ms.
    #[must_use]
    pub fn put_off(&self, late: &[(Name, Fenced)], until_ms: i64) -> Self {
        let mut group = self.clone();
        for (id, why) in late {
            let Some(member) = group.members.get_mut(id) else {
                continue;
            };
            match why {
                Fenced::Session => member.session_deadline_ms = until_ms,
                Fenced::Rebalance => member.rebalance_deadline_ms = Some(until_ms),
            }
        }
        group
    }

    /// When [`ConsumerGroup::expire`] has something to do, ms.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        let sessions = self.members.values().map(|it| it.session_deadline_ms);
        let rebalances = self
            .members
            .values()
            .filter_map(|it| it.rebalance_deadline_ms);
        sessions.chain(rebalances).min()
    }

    /// Whether offsets of these partitions may be committed in this epoch (KIP-1251).
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, `STALE_MEMBER_EPOCH`.
    pub fn validate_commit(
        &self,
        member_id: &str,
        epoch: i32,
        mut partitions: impl Iterator<Item = TopicPartition>,
    ) -> Result<(), ErrorCode> {
        let member = self.members.get(member_id).map(|it| &it.current);
        let named = member.map(|it| (MemberProtocol::Consumer, it.epoch));
        let check = validate_offset_commit(self.members.is_empty(), named, epoch)?;
        partitions.try_for_each(|tp| {
            let held = member.and_then(|it| it.assignment_epoch(&tp.topic, tp.partition.into()));
            check.partition(held)
        })
    }

    /// Whether a member may ask for committed offsets (`validateOffsetFetch`).
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, `STALE_MEMBER_EPOCH`.
    pub fn validate_fetch(&self, member: Option<&(Name, i32)>) -> Result<(), ErrorCode> {
        let Some((id, epoch)) = member else {
            return Ok(());
        };
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        let current = member.current.epoch == *epoch;
        current.then_some(()).ok_or(ErrorCode::StaleMemberEpoch)
    }

    /// The records that lead from `before` to this group; what is taken away comes first.
    #[must_use]
    pub fn records_since(&self, before: &Self) -> Vec<ConsumerGroupRecord> {
        use ConsumerGroupRecord::{Current, Member, Metadata, Target, TargetEpoch};
        let mut records = Vec::new();
        for id in before
            .members
            .keys()
            .filter(|it| !self.members.contains_key(*it))
        {
            records.push(Current(Arc::clone(id), None));
            records.push(Target(Arc::clone(id), None));
            records.push(Member(Arc::clone(id), None));
        }
        for (id, member) in &self.members {
            let old = before.members.get(id).map(|it| &it.profile);
            if old != Some(&member.profile) {
                records.push(Member(Arc::clone(id), Some(member.profile.clone())));
            }
        }
        if (self.epoch, &self.topics) != (before.epoch, &before.topics) {
            records.push(Metadata(self.epoch, self.topics.clone()));
        }
        for (id, target) in &self.target {
            if before.target.get(id) != Some(target) {
                records.push(Target(Arc::clone(id), Some(target.clone())));
            }
        }
        let made = (self.target_epoch, self.assigned_at_ms);
        if made != (before.target_epoch, before.assigned_at_ms) {
            records.push(TargetEpoch(made.0, made.1));
        }
        for (id, member) in &self.members {
            let old = before.members.get(id).map(|it| &it.current);
            if old.unwrap_or(&ModernMember::default()) != &member.current {
                records.push(Current(Arc::clone(id), Some(member.current.clone())));
            }
        }
        records
    }

    /// Takes a record in (`replay`).
    pub fn apply(&mut self, record: ConsumerGroupRecord) {
        match record {
            ConsumerGroupRecord::Metadata(epoch, topics) => {
                (self.epoch, self.topics) = (epoch, topics);
            }
            ConsumerGroupRecord::Member(id, Some(profile)) => {
                self.members.entry(id).or_default().profile = profile;
            }
            ConsumerGroupRecord::Member(id, None) => {
                self.members.remove(&id);
            }
            // Whoever reads the log forgets the group.
            ConsumerGroupRecord::NoMetadata => self.epoch = INITIAL_EPOCH,
            ConsumerGroupRecord::NoTargetEpoch => {
                (self.target_epoch, self.assigned_at_ms) = (INITIAL_EPOCH, None);
            }
            ConsumerGroupRecord::TargetEpoch(epoch, at) => {
                (self.target_epoch, self.assigned_at_ms) = (epoch, at);
            }
            ConsumerGroupRecord::Target(id, Some(target)) => {
                self.target.insert(id, target);
            }
            ConsumerGroupRecord::Target(id, None) => {
                self.target.remove(&id);
            }
            // Compaction may have put it before the member's own record.
            ConsumerGroupRecord::Current(id, Some(current)) => {
                self.members.entry(id).or_default().current = current;
            }
            ConsumerGroupRecord::Current(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.current = ModernMember::default();
                }
            }
        }
    }

    /// A new coordinator has read all records: everybody's time starts anew (`onLoaded`).
    pub fn loaded(&mut self, now_ms: i64, settings: &ConsumerGroupSettings<'_>) {
        for member in self.members.values_mut() {
            member.session_deadline_ms = now_ms.saturating_add(settings.session_timeout_ms);
            let asked = member.current.state == MemberState::UnrevokedPartitions;
            let timeout = member.profile.rebalance_timeout_ms;
            member.rebalance_deadline_ms = asked.then_some(now_ms.saturating_add(timeout));
        }
    }
}

impl MemberProfile {
    fn update(&mut self, request: &HeartbeatRequest, assignor: Option<ServerAssignor>) {
        if let Some(instance) = &request.instance_id {
            self.instance_id = Some(Arc::clone(instance));
        }
        if let Some(timeout) = request.rebalance_timeout_ms {
            self.rebalance_timeout_ms = timeout;
        }
        if let Some(topics) = &request.subscribed {
            self.topics.clone_from(topics);
        }
        self.assignor = assignor.or(self.assignor);
    }
}

/// What is wrong with a heartbeat in itself (`throwIfConsumerGroupHeartbeatRequestIsInvalid`); the
/// assignor that it names.
fn validate(
    request: &HeartbeatRequest,
    settings: &ConsumerGroupSettings<'_>,
) -> Result<Option<ServerAssignor>, ErrorCode> {
    let joins = request.member_epoch == JOIN_GROUP_MEMBER_EPOCH;
    let owns_nothing = request.owned.as_ref().is_some_and(BTreeMap::is_empty);
    let says_all = request.rebalance_timeout_ms.is_some() && request.subscribed.is_some();
    let nameless = request.instance_id.as_deref() == Some("") || request.member_id.is_empty();
    if nameless || request.member_epoch < 0 || (joins && !(says_all && owns_nothing)) {
        return Err(ErrorCode::InvalidRequest);
    }
    let Some(wanted) = request.assignor.as_deref() else {
        return Ok(None);
    };
    let found = settings.assignors.iter().find(|it| it.name() == wanted);
    found
        .map(|it| Some(*it))
        .ok_or(ErrorCode::UnsupportedAssignor)
}

#[cfg(test)]
#[path = "consumer_group_tests.rs"]
mod tests;
