//! JoinGroup: who is let in, and whether that makes a rebalance.
//!
//! Follows `GroupMetadataManager.classicGroupJoin*`.

use super::{
    ClassicGroup, Effect, IllegalState, JoinAnswer, JoinRequest, JoinedMember, Member, Name,
    Protocol, Replaced, State, Stored, Ticket, Turn, nothing,
};
use crate::kafka::error::ErrorCode;
use std::sync::Arc;

impl ClassicGroup {
    /// JoinGroup. `fresh` becomes part of the member id if one has to be made (a UUID in Kafka).
    ///
    /// # Errors
    /// The [`IllegalState`]s of Kafka: a pending member that calls itself static, or a static one
    /// that an empty group still knows. The request gets no answer then but UNKNOWN_SERVER_ERROR.
    pub fn join(
        &mut self,
        request: &JoinRequest,
        fresh: &str,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), IllegalState> {
        let refuse = |error, id: &Name, turn: &mut Turn<'_>| {
            let answer = JoinAnswer::refused(error, Arc::clone(id));
            turn.effects.push(Effect::Join(ticket, answer));
        };
        let id = &request.member_id;
        let none: Name = Arc::from("");
        if let Err(error) = session_in_bounds(request, turn) {
            refuse(error, id, turn);
        } else if !self.accepts(id, turn.settings.max_size) {
            self.remove(id);
            refuse(ErrorCode::GroupMaxSizeReached, &none, turn);
        } else if self.state == State::Dead {
            refuse(ErrorCode::CoordinatorNotAvailable, id, turn);
        } else if !self.supports_protocols(&request.protocol_type, &request.protocols) {
            refuse(ErrorCode::InconsistentGroupProtocol, id, turn);
        } else if id.is_empty() {
            return self.join_new(request, fresh, ticket, turn);
        } else if self.pending_joins.contains_key(id) {
            if request.instance_id.is_some() {
                return Err(IllegalState(format!(
                    "pending member {id} joins with a group.instance.id"
                )));
            }
            self.add_then_rebalance(request, id, ticket, turn);
        } else if let Err(error) = self.validate_member(id, request.instance_id.as_deref()) {
            refuse(error, id, turn);
        } else {
            self.join_again(request, ticket, turn);
        }
        Ok(())
    }

    /// Whether there is room. While a rebalance is prepared those who wait are counted, which is
    /// how the last to come back are turned away from a group that was made smaller.
    fn accepts(&self, member_id: &str, max_size: u32) -> bool {
        let max_size = max_size as usize;
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                let known = self.members.get(member_id);
                known.is_some_and(Member::is_awaiting_join) || self.awaiting_join() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member_id) || self.members.len() < max_size
            }
        }
    }

    /// Members whose JoinGroup waits.
    pub(super) fn awaiting_join(&self) -> usize {
        let waiting = self.members.values().filter(|it| it.is_awaiting_join());
        waiting.count()
    }

    fn join_new(
        &mut self,
        request: &JoinRequest,
        fresh: &str,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), IllegalState> {
        let whose = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let new_id: Name = Arc::from(format!("{whose}-{fresh}"));
        if let Some(instance_id) = &request.instance_id {
            if let Some(old_id) = self.static_members.get(instance_id).cloned() {
                return self.replace_then_rebalance(request, &old_id, &new_id, ticket, turn);
            }
            self.add_then_rebalance(request, &new_id, ticket, turn);
        } else if request.known_id_required {
            let until = turn.now_ms.saturating_add(request.session_timeout_ms);
            self.pending_joins.insert(Arc::clone(&new_id), until);
            let answer = JoinAnswer::refused(ErrorCode::MemberIdRequired, new_id);
            turn.effects.push(Effect::Join(ticket, answer));
        } else {
            self.add_then_rebalance(request, &new_id, ticket, turn);
        }
        Ok(())
    }

    /// A member that the group knows joins again.
    fn join_again(&mut self, request: &JoinRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let id = &request.member_id;
        let Some(member) = self.members.get(id) else {
            return;
        };
        let same = member.protocols == request.protocols;
        let stays = match self.state {
            State::PreparingRebalance => false,
            // It may have missed the response: it gets the same again.
            State::CompletingRebalance => same,
            // The leader may know of a reason that is in no subscription, such as new partitions.
            State::Stable => same && !self.is_leader(id),
            State::Empty | State::Dead => {
                let answer = JoinAnswer::refused(ErrorCode::UnknownMemberId, Arc::clone(id));
                turn.effects.push(Effect::Join(ticket, answer));
                return;
            }
        };
        if stays {
            let shown = self.state == State::CompletingRebalance && self.is_leader(id);
            let answer = self.joined(id, shown);
            turn.effects.push(Effect::Join(ticket, answer));
            return;
        }
        self.update_member(id, request, Some(ticket));
        self.prepare_or_complete(turn);
    }

    /// What a member of the generation is told.
    pub(super) fn joined(&self, member_id: &Name, with_members: bool) -> JoinAnswer {
        let members = match with_members {
            true => self.joined_members(),
            false => Vec::new(),
        };
        JoinAnswer {
            error: ErrorCode::None,
            member_id: Arc::clone(member_id),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_else(|| Arc::from("")),
            members,
            skip_assignment: false,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| JoinedMember {
            member_id: Arc::clone(id),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_else(nothing),
        });
        members.collect()
    }

    fn add_then_rebalance(
        &mut self,
        request: &JoinRequest,
        member_id: &Name,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        if self.state == State::PreparingRebalance && self.previous == State::Empty {
            self.new_member_added = true;
        }
        // A client that has gone away would come back as another new member each time; those who
        // wait for their first generation do not wait for ever.
        let until = turn.now_ms + turn.settings.new_member_join_timeout_ms;
        let member = Member {
            instance_id: request.instance_id.clone(),
            client_id: Arc::clone(&request.client_id),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: nothing(),
            awaiting_join: Some(ticket),
            awaiting_sync: None,
            is_new: true,
            session_deadline: Some(until),
        };
        self.add(member_id, member, &request.protocol_type);
        self.prepare_or_complete(turn);
    }

    fn add(&mut self, member_id: &Name, member: Member, protocol_type: &Name) {
        if let Some(instance_id) = &member.instance_id {
            let (instance_id, id) = (Arc::clone(instance_id), Arc::clone(member_id));
            self.static_members.insert(instance_id, id);
        }
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(protocol_type));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(member_id));
        }
        self.members.insert(Arc::clone(member_id), member);
        self.pending_joins.remove(member_id);
    }

    pub(super) fn update_member(&mut self, id: &Name, request: &JoinRequest, join: Option<Ticket>) {
        if let Some(member) = self.members.get_mut(id) {
            member.protocols.clone_from(&request.protocols);
            member.rebalance_timeout_ms = request.rebalance_timeout_ms;
            member.session_timeout_ms = request.session_timeout_ms;
            member.awaiting_join = join;
        }
    }

    /// Takes a member, pending or not, out of the group.
    pub(super) fn remove(&mut self, member_id: &str) {
        if let Some(member) = self.members.remove(member_id)
            && let Some(instance_id) = &member.instance_id
        {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
    }

    /// A static member came back without its member id, as a restarted process does: it takes the
    /// place of its former self, which is fenced from now on.
    fn replace_then_rebalance(
        &mut self,
        request: &JoinRequest,
        old_id: &Name,
        new_id: &Name,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), IllegalState> {
        self.replace_static_member(old_id, new_id, turn);
        let Some(member) = self.members.get_mut(new_id) else {
            return Err(IllegalState(format!("no member {old_id} to replace")));
        };
        member.session_deadline = Some(turn.now_ms.saturating_add(member.session_timeout_ms));
        let replaced = Replaced {
            instance_id: member.instance_id.clone().unwrap_or_else(|| Arc::from("")),
            old_member_id: Arc::clone(old_id),
            new_member_id: Arc::clone(new_id),
            protocols: member.protocols.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
        };
        self.update_member(new_id, request, Some(ticket));
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                let record = Box::new(self.record(&self.assignments()));
                let stored = Stored::Replaced(Box::new(replaced));
                turn.effects.push(Effect::Persist(record, stored));
            }
            State::Stable => self.prepare_or_complete(turn),
            // The leader may be at work on an assignment for the old id.
            State::CompletingRebalance => self.prepare_rebalance(turn),
            State::PreparingRebalance => self.maybe_complete_join(turn),
            State::Empty | State::Dead => {
                return Err(IllegalState(format!(
                    "static member {new_id} rejoins a group in {}",
                    self.state.name()
                )));
            }
        }
        Ok(())
    }

    /// Gives a static member another id; whoever waits under the old one is told that it is fenced.
    fn replace_static_member(&mut self, old_id: &Name, new_id: &Name, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        let fenced = ErrorCode::FencedInstanceId;
        if let Some(ticket) = member.awaiting_join.take() {
            let answer = JoinAnswer::refused(fenced, Arc::clone(old_id));
            turn.effects.push(Effect::Join(ticket, answer));
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            turn.effects.push(Effect::Sync(ticket, fenced, nothing()));
        }
        member.is_new = false;
        if let Some(instance_id) = &member.instance_id {
            let (instance_id, id) = (Arc::clone(instance_id), Arc::clone(new_id));
            self.static_members.insert(instance_id, id);
        }
        self.members.insert(Arc::clone(new_id), member);
        if self.is_leader(old_id) {
            self.leader = Some(Arc::clone(new_id));
        }
    }

    /// The new id of a static member is in the log, or could not be written.
    pub(super) fn replacement_stored(
        &mut self,
        replaced: &Replaced,
        error: ErrorCode,
        turn: &mut Turn<'_>,
    ) {
        let new_id = &replaced.new_member_id;
        let Some(member) = self.members.get_mut(new_id) else {
            return;
        };
        let Some(ticket) = member.awaiting_join.take() else {
            return;
        };
        let mut answer;
        if error.is_error() {
            member.protocols.clone_from(&replaced.protocols);
            member.rebalance_timeout_ms = replaced.rebalance_timeout_ms;
            member.session_timeout_ms = replaced.session_timeout_ms;
            self.replace_static_member(new_id, &replaced.old_member_id, turn);
            self.renew_session(&replaced.old_member_id, turn);
            answer = self.joined(&Arc::from(""), false);
            answer.error = error;
        } else {
            let leads = self.is_leader(new_id);
            answer = self.joined(new_id, leads);
            answer.skip_assignment = leads;
        }
        turn.effects.push(Effect::Join(ticket, answer));
    }

    /// Whether the group knows this member, and by this instance id.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID.
    pub fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if &**known != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(id) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// Registers an id that was given out (`addPendingMember`); until it comes back the join phase
    /// does not end.
    ///
    /// # Errors
    /// If it is a member already.
    pub fn add_pending_member(&mut self, id: &Name, until_ms: i64) -> Result<(), IllegalState> {
        if self.members.contains_key(id) {
            return Err(IllegalState(format!("{id} is a member already")));
        }
        self.pending_joins.insert(Arc::clone(id), until_ms);
        Ok(())
    }

    /// Puts a member in without a request (`ClassicGroup.add`), as tests of the real class do.
    ///
    /// # Errors
    /// If its instance id is taken, or it does not fit the others' protocols.
    pub fn add_member(
        &mut self,
        member_id: &Name,
        request: &JoinRequest,
        ticket: Option<Ticket>,
    ) -> Result<(), IllegalState> {
        if let Some(instance_id) = &request.instance_id
            && self.static_members.contains_key(instance_id)
        {
            return Err(IllegalState(format!("{instance_id} is a member already")));
        }
        let type_fits =
            self.members.is_empty() || self.protocol_type.as_ref() == Some(&request.protocol_type);
        let one_fits = |it: &Protocol| self.all_support(&it.name);
        if !type_fits || !request.protocols.iter().any(one_fits) {
            return Err(IllegalState(
                "none of its protocols is supported".to_owned(),
            ));
        }
        let member = Member {
            instance_id: request.instance_id.clone(),
            client_id: Arc::clone(&request.client_id),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: nothing(),
            awaiting_join: ticket,
            awaiting_sync: None,
            is_new: false,
            session_deadline: None,
        };
        self.add(member_id, member, &request.protocol_type);
        Ok(())
    }

    /// [`ClassicGroup::remove`] for tests of the real class.
    pub fn remove_member(&mut self, member_id: &str) {
        self.remove(member_id);
    }
}

/// INVALID_SESSION_TIMEOUT below `group.min.session.timeout.ms` and above `….max.…`.
fn session_in_bounds(request: &JoinRequest, turn: &Turn<'_>) -> Result<(), ErrorCode> {
    let settings = turn.settings;
    let bounds = settings.min_session_timeout_ms..=settings.max_session_timeout_ms;
    match bounds.contains(&request.session_timeout_ms) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidSessionTimeout),
    }
}
