//! SyncGroup, Heartbeat and LeaveGroup.
//!
//! Follows `classicGroupSyncToClassicGroup`, `classicGroupHeartbeatToClassicGroup` and
//! `classicGroupLeaveToClassicGroup` of `GroupMetadataManager`.

use super::{ClassicGroup, Effect, Name, State, Stored, SyncRequest, Ticket, Turn, nothing};
use crate::kafka::error::ErrorCode;
use std::sync::Arc;

impl ClassicGroup {
    /// SyncGroup. The answer may come later: when the leader's assignment is in the log.
    pub fn sync(&mut self, request: &SyncRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let error = match self.validate_sync(request) {
            Err(error) => error,
            Ok(()) if self.state == State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            Ok(()) => ErrorCode::None,
        };
        let id = &request.member_id;
        if error.is_error() {
            turn.effects.push(Effect::Sync(ticket, error, nothing()));
            return;
        }
        self.pending_syncs.remove(id);
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        if self.state == State::Stable {
            let assignment = Arc::clone(&member.assignment);
            turn.effects.push(Effect::Sync(ticket, error, assignment));
            return;
        }
        member.awaiting_sync = Some(ticket);
        if self.is_leader(id) {
            let record = Box::new(self.record(&request.assignments));
            let stored = Stored::Assignment {
                generation: self.generation,
                assignments: request.assignments.clone(),
            };
            turn.effects.push(Effect::Persist(record, stored));
        }
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let agrees = |asked: &Option<Name>, own: &Option<Name>| asked.is_none() || asked == own;
        let type_agrees = agrees(&request.protocol_type, &self.protocol_type);
        match type_agrees && agrees(&request.protocol, &self.protocol) {
            true => Ok(()),
            // Nothing was chosen yet, or something else.
            false => Err(ErrorCode::InconsistentGroupProtocol),
        }
    }

    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        turn: &Turn<'_>,
    ) -> ErrorCode {
        if self.state == State::Dead {
            return ErrorCode::CoordinatorNotAvailable;
        }
        if let Err(error) = self.validate_member(member_id, instance_id) {
            return error;
        }
        if generation != self.generation {
            return ErrorCode::IllegalGeneration;
        }
        match self.state {
            State::Empty | State::Dead => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => {
                self.renew_session(member_id, turn);
                ErrorCode::RebalanceInProgress
            }
            // Heartbeats may begin before the assignment is there.
            State::CompletingRebalance | State::Stable => {
                self.renew_session(member_id, turn);
                ErrorCode::None
            }
        }
    }

    /// LeaveGroup for these members (id, which may be empty with an instance id, as an operator
    /// does); one outcome each.
    ///
    /// # Errors
    /// For all of them: COORDINATOR_NOT_AVAILABLE if the group is dead.
    pub fn leave(
        &mut self,
        members: &[(Name, Option<Name>)],
        turn: &mut Turn<'_>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let each = members.iter();
        let outcomes: Vec<ErrorCode> = each
            .map(|(id, instance_id)| self.leave_one(id, instance_id.as_ref(), turn))
            .collect();
        if outcomes.iter().any(|it| !it.is_error()) {
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare_or_complete(turn),
                State::PreparingRebalance => self.maybe_complete_join(turn),
                State::Empty | State::Dead => {}
            }
        }
        Ok(outcomes)
    }

    fn leave_one(&mut self, id: &Name, instance: Option<&Name>, turn: &mut Turn<'_>) -> ErrorCode {
        if id.is_empty() {
            let known = instance.and_then(|it| self.static_members.get(it)).cloned();
            let Some(known) = known else {
                return ErrorCode::UnknownMemberId;
            };
            self.turn_out(&known, turn);
        } else if self.pending_joins.contains_key(id) {
            self.remove(id);
        } else if let Err(error) = self.validate_member(id, instance.map(|it| &**it)) {
            return error;
        } else {
            self.turn_out(id, turn);
        }
        ErrorCode::None
    }
}
