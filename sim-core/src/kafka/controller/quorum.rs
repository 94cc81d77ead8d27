//! Elections: votes, pre-votes, and what each state does as time passes.
//!
//! Follows the Vote, BeginQuorumEpoch and EndQuorumEpoch handlers and the poll functions of
//! `KafkaRaftClient` (KIP-595, KIP-996). A voter that is alone asks for pre-votes again and again
//! without raising its epoch, so it disturbs nobody when it comes back.

use super::{Controller, ms, to_ms};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::rules::quorum::{EpochState, LogEnd, ReplicaKey};
use crate::kernel::{MILLISECOND, Nanos};

impl Controller {
    fn own_end(&self) -> LogEnd {
        LogEnd {
            epoch: self.meta.last_epoch(),
            offset: self.meta.leo(),
        }
    }

    /// The leader as responses name it.
    pub(super) fn leader_or_none(&self) -> BrokerId {
        self.file.leader.unwrap_or(-1)
    }

    /// Checks a request that only voters send.
    fn voter_only(&self, peer: BrokerId, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch() {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if self.book.controller(peer).is_none() || peer == self.id {
            Err(ErrorCode::InconsistentVoterSet)
        } else {
            Ok(())
        }
    }

    pub(super) fn on_vote(
        &mut self,
        request: &Request,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Response {
        let Request::Vote {
            pre_vote,
            epoch,
            candidate,
            last_epoch,
            last_epoch_end_offset,
        } = *request
        else {
            return self.vote_response(false, ErrorCode::InvalidRequest, false);
        };
        // A candidate has raised its epoch above that of all its records; a prospective has not.
        let illegal = if pre_vote {
            last_epoch > epoch
        } else {
            last_epoch >= epoch
        };
        if illegal || last_epoch < 0 || last_epoch_end_offset < 0 {
            return self.vote_response(pre_vote, ErrorCode::InvalidRequest, false);
        }
        if let Err(error) = self.voter_only(candidate, epoch) {
            return self.vote_response(pre_vote, error, false);
        }
        if epoch > self.epoch() {
            self.become_unattached(epoch, now, cx);
        }
        let theirs = LogEnd {
            epoch: last_epoch,
            offset: last_epoch_end_offset,
        };
        let up_to_date = theirs >= self.own_end();
        let granted = self
            .state
            .can_grant_vote(ReplicaKey::of(candidate), up_to_date, pre_vote);
        if granted && !pre_vote {
            self.add_vote(candidate, now, cx);
        }
        self.vote_response(pre_vote, ErrorCode::None, granted)
    }

    fn vote_response(&self, pre_vote: bool, error: ErrorCode, granted: bool) -> Response {
        Response::Vote {
            pre_vote,
            error,
            epoch: self.epoch(),
            leader: self.leader_or_none(),
            granted,
        }
    }

    pub(super) fn on_begin_quorum_epoch(
        &mut self,
        epoch: i32,
        leader: BrokerId,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Response {
        let error = match self.voter_only(leader, epoch) {
            Ok(()) => {
                self.maybe_transition(Some(leader), epoch, now, cx);
                ErrorCode::None
            }
            Err(error) => error,
        };
        Response::BeginQuorumEpoch {
            error,
            epoch: self.epoch(),
            leader: self.leader_or_none(),
        }
    }

    pub(super) fn on_end_quorum_epoch(
        &mut self,
        epoch: i32,
        leader: BrokerId,
        successors: &[BrokerId],
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Response {
        let error = match self.voter_only(leader, epoch) {
            Ok(()) => {
                self.maybe_transition(Some(leader), epoch, now, cx);
                let follows =
                    matches!(self.state, EpochState::Follower { leader: l, .. } if l == leader);
                if follows {
                    self.deadline = now + self.succession_delay(successors);
                }
                ErrorCode::None
            }
            Err(error) => error,
        };
        Response::EndQuorumEpoch {
            error,
            epoch: self.epoch(),
            leader: self.leader_or_none(),
        }
    }

    /// The first in line stands for election at once, the others after growing pauses.
    fn succession_delay(&self, successors: &[BrokerId]) -> Nanos {
        let max = ms(self.config.quorum_election_backoff_max_ms);
        let position = successors.iter().position(|id| *id == self.id);
        match position.unwrap_or(successors.len()) {
            0 => 0,
            at if at >= successors.len() => max,
            at => {
                let halvings = (successors.len() - 1).min(20);
                let base = (max / MILLISECOND) >> halvings;
                (base << (at - 1).min(20))
                    .saturating_mul(MILLISECOND)
                    .min(max)
            }
        }
    }

    /// What all responses between voters have in common: news of epoch and leader. Returns whether
    /// nothing else in the response matters.
    pub(super) fn on_common_response(
        &mut self,
        error: ErrorCode,
        epoch: i32,
        leader: BrokerId,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        if epoch < self.epoch() || error == ErrorCode::UnknownLeaderEpoch {
            return true;
        }
        let leader = (leader >= 0).then_some(leader);
        self.maybe_transition(leader, epoch, now, cx);
        error.is_error()
    }

    pub(super) fn on_vote_response(
        &mut self,
        peer: BrokerId,
        granted: bool,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        match &mut self.state {
            EpochState::Prospective { votes, .. } => {
                votes.record(peer, granted);
                if votes.is_granted() {
                    self.become_candidate(now, cx);
                } else if votes.is_rejected() {
                    self.after_lost_pre_vote(now, cx);
                }
            }
            EpochState::Candidate { votes } => {
                // A candidate that lost waits for the rest of its timeout.
                votes.record(peer, granted);
                if votes.is_granted() {
                    self.become_leader(now, cx);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_resignation_heard(&mut self, peer: BrokerId) {
        for (id, heard) in &mut self.successors {
            *heard |= *id == peer;
        }
    }

    /// Does what is due in the present state (`KafkaRaftClient.pollCurrentState`).
    pub(super) fn poll(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        self.expire_requests(now, cx);
        // A timeout may lead through several states at once: lost pre-vote, unattached, prospective.
        for _ in 0..4 {
            if self.leader.is_some() {
                if !self.poll_leader(now, cx) {
                    return;
                }
            } else if now < self.deadline {
                break;
            }
            match &self.state {
                EpochState::Leader => return,
                EpochState::Prospective { .. } => self.after_lost_pre_vote(now, cx),
                EpochState::Resigned if now >= self.deadline => {
                    self.become_unattached(self.epoch() + 1, now, cx);
                }
                EpochState::Resigned => break,
                _ => self.become_prospective(now, cx),
            }
        }
        match &self.state {
            EpochState::Prospective { .. } | EpochState::Candidate { .. } => {
                self.send_votes(now, cx);
            }
            EpochState::Unattached { .. } | EpochState::Follower { .. } => {
                self.send_fetch(now, cx);
            }
            EpochState::Resigned => self.send_resignation(now, cx),
            EpochState::Leader => {}
        }
    }

    /// A leader looks for its quorum; true if it resigned.
    fn poll_leader(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) -> bool {
        let Some(leader) = &self.leader else {
            return false;
        };
        let now_ms = to_ms(now);
        if leader.must_resign(now_ms) {
            self.become_resigned(now, cx);
            return true;
        }
        if now < self.begin_quorum_at {
            return false;
        }
        let period_ms = self.config.quorum_fetch_timeout_ms / 2;
        self.begin_quorum_at = now + ms(period_ms);
        let silent: Vec<BrokerId> = leader
            .voters()
            .values()
            .filter(|v| v.key.id != self.id)
            .filter(|v| v.last_fetch_ms < 0 || now_ms - v.last_fetch_ms >= period_ms)
            .map(|v| v.key.id)
            .collect();
        let request = Request::BeginQuorumEpoch {
            epoch: self.epoch(),
            leader: self.id,
        };
        for peer in silent {
            if self.is_ready(peer, now) {
                self.request(peer, request.clone(), now, cx);
            }
        }
        false
    }

    fn send_votes(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let (pre_vote, votes) = match &self.state {
            EpochState::Prospective { votes, .. } => (true, votes),
            EpochState::Candidate { votes } => (false, votes),
            _ => return,
        };
        if votes.is_rejected() {
            return;
        }
        let open: Vec<BrokerId> = votes.unrecorded().collect();
        let end = self.own_end();
        for peer in open {
            if self.is_ready(peer, now) {
                let request = Request::Vote {
                    pre_vote,
                    epoch: self.epoch(),
                    candidate: self.id,
                    last_epoch: end.epoch,
                    last_epoch_end_offset: end.offset,
                };
                self.request(peer, request, now, cx);
            }
        }
    }

    fn send_resignation(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let successors: Vec<BrokerId> = self.successors.iter().map(|(id, _)| *id).collect();
        for (peer, heard) in self.successors.clone() {
            if !heard && self.is_ready(peer, now) {
                let request = Request::EndQuorumEpoch {
                    epoch: self.epoch(),
                    leader: self.id,
                    preferred_successors: successors.clone(),
                };
                self.request(peer, request, now, cx);
            }
        }
    }

    /// When the quorum next has something to do by itself.
    pub(super) fn quorum_deadline(&self, now: Nanos) -> Nanos {
        let check = self
            .leader
            .as_ref()
            .and_then(|leader| leader.check_quorum_deadline_ms())
            .map_or(Nanos::MAX, ms);
        self.deadline
            .min(check)
            .min(self.begin_quorum_at)
            .min(self.connection_deadline(now))
    }
}
