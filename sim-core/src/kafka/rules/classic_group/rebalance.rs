//! The way of a group through a rebalance, and what happens when somebody is late.
//!
//! Follows `prepareRebalance`, `tryCompleteInitialRebalanceElseSchedule`,
//! `completeClassicGroupJoin`, `expirePendingSync` and `expireClassicGroupMemberHeartbeat` of
//! `GroupMetadataManager`.

use super::{
    Bytes, ClassicGroup, Effect, IllegalState, JoinAnswer, JoinPhase, Name, State, Stored, Turn,
    nothing,
};
use crate::kafka::error::ErrorCode;
use std::sync::Arc;

/// What is due first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    Join,
    Sync,
    Pending(Name),
    Session(Name),
}

impl ClassicGroup {
    /// A rebalance if one can begin, else the end of the join phase if nobody is missing.
    pub(super) fn prepare_or_complete(&mut self, turn: &mut Turn<'_>) {
        if self.can_rebalance() {
            self.prepare_rebalance(turn);
        } else {
            self.maybe_complete_join(turn);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(ErrorCode::RebalanceInProgress, turn);
        }
        self.pending_syncs.clear();
        self.sync_deadline = None;
        let initial = self.state == State::Empty;
        if initial {
            let delay_ms = turn.settings.initial_rebalance_delay_ms;
            self.join_phase = Some(JoinPhase::Initial {
                at: turn.now_ms + delay_ms,
                delay_ms,
                remaining_ms: self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0),
            });
        }
        self.enter(State::PreparingRebalance, turn.now_ms);
        if initial {
            return;
        }
        if self.has_all_members_joined() {
            self.complete_join(turn);
        } else {
            let until = turn.now_ms.saturating_add(self.rebalance_timeout_ms());
            self.join_phase = Some(JoinPhase::Until(until));
        }
    }

    /// The largest rebalance timeout of all members, ms.
    #[must_use]
    pub fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|it| it.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    /// Whether every member's JoinGroup waits and no id is still out.
    #[must_use]
    pub fn has_all_members_joined(&self) -> bool {
        self.awaiting_join() == self.members.len() && self.pending_joins.is_empty()
    }

    /// The initial delay is not cut short: nobody knows who else is on the way.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        let may_end = self.state == State::PreparingRebalance && self.previous != State::Empty;
        if may_end && self.has_all_members_joined() {
            self.complete_join(turn);
        }
    }

    /// Ends the join phase: silent dynamic members are out, silent static ones stay.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_phase = None;
        let silent = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_awaiting_join() && member.instance_id.is_none());
        let silent: Vec<Name> = silent.map(|(id, _)| Arc::clone(id)).collect();
        for id in &silent {
            self.remove(id);
        }
        if self.state == State::Dead {
            return;
        }
        if !self.maybe_elect_joined_leader() && !self.members.is_empty() {
            // Only silent static members are left: it goes on once their sessions end.
            let until = turn.now_ms.saturating_add(self.rebalance_timeout_ms());
            self.join_phase = Some(JoinPhase::Until(until));
            return;
        }
        self.advance_generation(turn.now_ms);
        if self.state == State::Empty {
            let record = Box::new(self.record(&[]));
            turn.effects.push(Effect::Persist(record, Stored::Empty));
            return;
        }
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id, self.is_leader(&id));
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                if let Some(ticket) = member.awaiting_join.take() {
                    turn.effects.push(Effect::Join(ticket, answer));
                }
            }
            self.renew_session(&id, turn);
            self.pending_syncs.insert(id);
        }
        self.sync_deadline = Some(turn.now_ms.saturating_add(self.rebalance_timeout_ms()));
    }

    /// If the leader did not join, another member that did takes its place. `false` if nobody did.
    pub fn maybe_elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else {
            return false;
        };
        let joined = |id: &Name| self.members.get(id).is_some_and(|it| it.is_awaiting_join());
        if joined(leader) {
            return true;
        }
        let other = self.members.keys().find(|id| joined(id)).cloned();
        let found = other.is_some();
        if found {
            self.leader = other;
        }
        found
    }

    /// The next generation, with the assignor that the members vote for (`initNextGeneration`).
    fn advance_generation(&mut self, now_ms: i64) {
        self.generation += 1;
        self.protocol = self.select_protocol();
        let next = match self.members.is_empty() {
            true => State::Empty,
            false => State::CompletingRebalance,
        };
        self.enter(next, now_ms);
        self.pending_syncs.clear();
    }

    /// [`ClassicGroup::advance_generation`] for tests of the real class.
    ///
    /// # Errors
    /// If no rebalance is being prepared.
    pub fn init_next_generation(&mut self, now_ms: i64) -> Result<(), IllegalState> {
        if self.state != State::PreparingRebalance {
            let now = self.state.name();
            return Err(IllegalState(format!("no next generation in {now}")));
        }
        self.advance_generation(now_ms);
        Ok(())
    }

    /// Everybody who waits for an assignment gets this error instead.
    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, turn: &mut Turn<'_>) {
        self.members
            .values_mut()
            .for_each(|it| it.assignment = nothing());
        self.propagate_assignments(error, turn);
    }

    fn propagate_assignments(&mut self, error: ErrorCode, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            let Some(ticket) = member.awaiting_sync.take() else {
                continue;
            };
            let assignment = Arc::clone(&member.assignment);
            turn.effects.push(Effect::Sync(ticket, error, assignment));
            // Its session may have ended unheeded while it waited.
            member.session_deadline = Some(turn.now_ms.saturating_add(member.session_timeout_ms));
        }
    }

    /// Everybody's assignment.
    #[must_use]
    pub fn assignments(&self) -> Vec<(Name, Bytes)> {
        let members = self.members.iter();
        let all = members.map(|(id, member)| (Arc::clone(id), Arc::clone(&member.assignment)));
        all.collect()
    }

    /// What [`Effect::Persist`] asked for is committed, or failed with this error (already that of
    /// the protocol, see `appendGroupMetadataErrorToResponseError`).
    pub fn stored(&mut self, what: &Stored, error: ErrorCode, turn: &mut Turn<'_>) {
        match what {
            Stored::Empty => {}
            Stored::Replaced(replaced) => self.replacement_stored(replaced, error, turn),
            Stored::Assignment {
                generation,
                assignments,
            } => {
                // Somebody may have joined meanwhile; then this generation is over.
                if self.state != State::CompletingRebalance || self.generation != *generation {
                    return;
                }
                if error.is_error() {
                    self.refuse_syncs(error, turn);
                    self.prepare_or_complete(turn);
                    return;
                }
                for (id, member) in &mut self.members {
                    let own = assignments.iter().find(|(whose, _)| whose == id);
                    member.assignment = own.map_or_else(nothing, |(_, it)| Arc::clone(it));
                }
                self.propagate_assignments(ErrorCode::None, turn);
                self.enter(State::Stable, turn.now_ms);
            }
        }
    }

    pub(super) fn renew_session(&mut self, member_id: &str, turn: &Turn<'_>) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.session_deadline = Some(turn.now_ms.saturating_add(member.session_timeout_ms));
        }
    }

    fn due(&self) -> Option<(i64, Due)> {
        let join = self.join_phase.map(|phase| match phase {
            JoinPhase::Initial { at, .. } | JoinPhase::Until(at) => (at, Due::Join),
        });
        let sync = self.sync_deadline.map(|at| (at, Due::Sync));
        let pending = self.pending_joins.iter();
        let pending = pending.map(|(id, at)| (*at, Due::Pending(Arc::clone(id))));
        let sessions = self.members.iter().filter_map(|(id, member)| {
            let at = member.session_deadline?;
            Some((at, Due::Session(Arc::clone(id))))
        });
        join.into_iter()
            .chain(sync)
            .chain(pending)
            .chain(sessions)
            .min()
    }

    /// When [`ClassicGroup::expire`] has something to do, ms.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.due().map(|(at, _)| at)
    }

    /// Does whatever is due by now, in order of the deadlines. Returns the members that are out
    /// because nothing was heard of them.
    pub fn expire(&mut self, turn: &mut Turn<'_>) -> Vec<Name> {
        let mut out = Vec::new();
        let now_ms = turn.now_ms;
        while let Some((_, due)) = self.due().filter(|(at, _)| *at <= now_ms) {
            match due {
                Due::Join => self.expire_join(turn),
                Due::Sync => out.extend(self.expire_sync(turn)),
                Due::Pending(id) => {
                    self.remove(&id);
                    if self.state == State::PreparingRebalance && self.has_all_members_joined() {
                        self.complete_join(turn);
                    }
                }
                Due::Session(id) => out.extend(self.expire_session(id, turn)),
            }
        }
        out
    }

    fn expire_join(&mut self, turn: &mut Turn<'_>) {
        match self.join_phase {
            Some(JoinPhase::Initial {
                delay_ms,
                remaining_ms,
                ..
            }) if self.new_member_added && remaining_ms != 0 => {
                self.new_member_added = false;
                let next_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
                self.join_phase = Some(JoinPhase::Initial {
                    at: turn.now_ms + next_ms,
                    delay_ms: next_ms,
                    remaining_ms: (remaining_ms - delay_ms).max(0),
                });
            }
            _ => self.complete_join(turn),
        }
    }

    /// Members that did not sync in time are out, and the others begin again.
    fn expire_sync(&mut self, turn: &mut Turn<'_>) -> Vec<Name> {
        self.sync_deadline = None;
        let in_time = !matches!(self.state, State::CompletingRebalance | State::Stable);
        if in_time || self.pending_syncs.is_empty() {
            return Vec::new();
        }
        let late: Vec<Name> = self.pending_syncs.iter().cloned().collect();
        for id in &late {
            self.remove(id);
        }
        self.prepare_rebalance(turn);
        late
    }

    fn expire_session(&mut self, id: Name, turn: &mut Turn<'_>) -> Option<Name> {
        let member = self.members.get_mut(&id)?;
        member.session_deadline = None;
        if self.state == State::Dead || member.satisfies_heartbeat() {
            return None;
        }
        self.turn_out(&id, turn);
        if matches!(self.state, State::Stable | State::CompletingRebalance) {
            self.prepare_or_complete(turn);
        } else if self.state == State::PreparingRebalance && self.has_all_members_joined() {
            self.complete_join(turn);
        }
        Some(id)
    }

    /// Removes a member; if its JoinGroup waits it learns that it is unknown, and may come anew.
    pub(super) fn turn_out(&mut self, id: &Name, turn: &mut Turn<'_>) {
        let unknown = ErrorCode::UnknownMemberId;
        if let Some(member) = self.members.get_mut(id) {
            if let Some(ticket) = member.awaiting_join.take() {
                let answer = JoinAnswer::refused(unknown, Arc::from(""));
                turn.effects.push(Effect::Join(ticket, answer));
            }
            // Nobody will ever answer its SyncGroup; Kafka leaves it to the client's timeout.
            if let Some(ticket) = member.awaiting_sync.take() {
                turn.effects.push(Effect::Sync(ticket, unknown, nothing()));
            }
        }
        self.remove(id);
    }

    /// A loaded group above `group.max.size` rebalances at once.
    pub fn shrink(&mut self, turn: &mut Turn<'_>) {
        if self.members.len() > turn.settings.max_size as usize && self.can_rebalance() {
            self.prepare_rebalance(turn);
        }
    }

    /// The coordinator moved away: everybody who waits is sent to look for it (`onUnloaded`).
    pub fn unload(&mut self, turn: &mut Turn<'_>) {
        let moved = ErrorCode::NotCoordinator;
        for (id, member) in &mut self.members {
            if let Some(ticket) = member.awaiting_join.take() {
                let answer = JoinAnswer::refused(moved, Arc::clone(id));
                turn.effects.push(Effect::Join(ticket, answer));
            }
            if let Some(ticket) = member.awaiting_sync.take() {
                turn.effects.push(Effect::Sync(ticket, moved, nothing()));
            }
        }
        self.enter(State::Dead, turn.now_ms);
    }
}
