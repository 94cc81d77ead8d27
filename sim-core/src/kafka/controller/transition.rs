//! The states of a voter and the ways between them.
//!
//! Follows `QuorumState` (KIP-595, KIP-996). Whatever changes epoch, leader or vote is on disk
//! before anything that follows from it leaves the node.

use super::{Controller, QuorumStateFile, ms, to_ms};
use crate::few;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::metadata::MetadataRecord;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::quorum::{EpochElection, EpochState, ReplicaKey};
use crate::kafka::rules::quorum_leader::QuorumLeaderState;
use crate::kernel::{Nanos, Purpose, below};
use std::cmp::Reverse;

const ELECTION: Purpose = Purpose::named("controller.election");
/// Size of the `quorum-state` file, for the disk.
const FILE_BYTES: u64 = 128;

impl Controller {
    /// Starts from what the disk holds (`QuorumState.initialize`).
    pub(super) fn start(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let file = self.file;
        let last_epoch = self.meta.last_epoch();
        self.deadline = now + self.election_timeout(cx);
        if last_epoch > file.epoch {
            self.file = QuorumStateFile {
                epoch: last_epoch,
                leader: None,
                voted: None,
            };
            self.state = unattached(None);
        } else if file.leader == Some(self.id) {
            // A leader that died may not go on leading its epoch: others may not know that it died.
            self.state = EpochState::Resigned;
            self.successors = self.peers().map(|id| (id, false)).collect();
        } else if let Some(leader) = file.leader {
            self.state = EpochState::Follower {
                leader,
                has_fetched: false,
            };
            self.deadline = now + ms(self.config.quorum_fetch_timeout_ms);
        } else if file.voted == Some(self.id) {
            let votes = self.election();
            self.state = EpochState::Candidate { votes };
        } else {
            self.state = unattached(file.voted);
        }
        if self.book.controllers.len() == 1 {
            self.become_prospective(now, cx);
        }
    }

    /// Epoch of this voter.
    pub(super) fn epoch(&self) -> i32 {
        self.file.epoch
    }

    /// A random election timeout: `controller.quorum.election.timeout.ms` and up to as much again.
    pub(super) fn election_timeout(&mut self, cx: &mut KafkaCx<'_>) -> Nanos {
        let base = u64::try_from(self.config.quorum_election_timeout_ms.max(1)).unwrap_or(1);
        let random = below(self.draw(ELECTION, cx), base);
        ms(i64::try_from(base + random).unwrap_or(i64::MAX))
    }

    /// 64 random bits.
    pub(super) fn draw(&mut self, purpose: Purpose, cx: &mut KafkaCx<'_>) -> u64 {
        self.draws += 1;
        cx.draw(purpose, self.draws)
    }

    fn election(&self) -> EpochElection {
        let voters = self.book.controllers.iter().map(|(id, _)| *id);
        EpochElection::new(voters, self.id)
    }

    /// Writes the `quorum-state` file and flushes it.
    fn persist(&mut self, file: QuorumStateFile, cx: &mut KafkaCx<'_>) {
        if file != self.file {
            self.file = file;
            self.sync(FILE_BYTES, cx);
        }
    }

    /// Leaves the present state: a leader stops to lead.
    fn leave(&mut self, cx: &mut KafkaCx<'_>) {
        self.reset_connections();
        self.successors.clear();
        if self.leader.take().is_some() {
            self.begin_quorum_at = Nanos::MAX;
            self.renounce(cx);
            self.fail_parked(ErrorCode::NotLeaderOrFollower, cx);
        }
    }

    /// Knows no leader. The timeout that was running goes on, except after a lost pre-vote and
    /// where none was running.
    pub(super) fn become_unattached(&mut self, epoch: i32, now: Nanos, cx: &mut KafkaCx<'_>) {
        let keeps = match &self.state {
            EpochState::Candidate { .. } | EpochState::Unattached { .. } | EpochState::Resigned => {
                true
            }
            EpochState::Prospective { votes, .. } => !votes.is_rejected(),
            EpochState::Leader | EpochState::Follower { .. } => false,
        };
        if !keeps {
            self.deadline = now + self.election_timeout(cx);
        }
        let before = self.epoch();
        let voted = self.file.voted.filter(|_| epoch == before);
        self.leave(cx);
        self.state = unattached(voted);
        self.persist(
            QuorumStateFile {
                epoch,
                leader: None,
                voted,
            },
            cx,
        );
        self.note(Rule::QuorumUnattached, before.into(), epoch.into(), cx);
    }

    /// Votes for a candidate; the timeout starts again, as the candidate is as good as oneself.
    pub(super) fn add_vote(&mut self, candidate: BrokerId, now: Nanos, cx: &mut KafkaCx<'_>) {
        match &mut self.state {
            EpochState::Unattached { voted, .. } | EpochState::Prospective { voted, .. }
                if voted.is_none() =>
            {
                *voted = Some(ReplicaKey::of(candidate));
            }
            _ => return,
        }
        self.deadline = now + self.election_timeout(cx);
        let voted = Some(candidate);
        self.persist(QuorumStateFile { voted, ..self.file }, cx);
    }

    /// Lost its leader, or an election: asks whether an election would have a chance.
    pub(super) fn become_prospective(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        self.leave(cx);
        self.deadline = now + self.election_timeout(cx);
        let votes = self.election();
        let granted = votes.is_granted();
        self.state = EpochState::Prospective {
            voted: self.file.voted.map(ReplicaKey::of),
            leader: self.file.leader,
            votes,
        };
        let epoch = self.epoch().into();
        self.note(Rule::QuorumProspective, epoch, epoch, cx);
        if granted {
            self.become_candidate(now, cx);
        }
    }

    /// Raises the epoch and votes for itself.
    pub(super) fn become_candidate(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        self.leave(cx);
        self.deadline = now + self.election_timeout(cx);
        let before = self.epoch();
        let votes = self.election();
        let granted = votes.is_granted();
        self.state = EpochState::Candidate { votes };
        self.persist(
            QuorumStateFile {
                epoch: before + 1,
                leader: None,
                voted: Some(self.id),
            },
            cx,
        );
        self.note(
            Rule::QuorumCandidate,
            before.into(),
            (before + 1).into(),
            cx,
        );
        if granted {
            self.become_leader(now, cx);
        }
    }

    /// Won: opens its epoch with a record, because only a record of its own epoch commits what came
    /// before.
    pub(super) fn become_leader(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        self.leave(cx);
        let epoch = self.epoch();
        self.deadline = Nanos::MAX;
        self.begin_quorum_at = now;
        let voters = self.book.controllers.iter();
        self.leader = Some(Box::new(QuorumLeaderState::new(
            ReplicaKey::of(self.id),
            epoch,
            self.meta.leo(),
            voters.map(|(id, _)| ReplicaKey::of(*id)),
            self.config.quorum_fetch_timeout_ms,
            to_ms(now),
        )));
        self.state = EpochState::Leader;
        let leader = Some(self.id);
        self.persist(
            QuorumStateFile {
                leader,
                ..self.file
            },
            cx,
        );
        self.note(Rule::QuorumLeader, i64::from(epoch) - 1, epoch.into(), cx);
        self.append(
            vec![MetadataRecord::LeaderChange { leader: self.id }],
            now,
            cx,
        );
    }

    /// Follows a leader. A vote given in the same epoch stays given.
    pub(super) fn become_follower(
        &mut self,
        epoch: i32,
        leader: BrokerId,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let before = self.epoch();
        let voted = self.file.voted.filter(|_| epoch == before);
        self.leave(cx);
        self.deadline = now + ms(self.config.quorum_fetch_timeout_ms);
        self.state = EpochState::Follower {
            leader,
            has_fetched: false,
        };
        self.persist(
            QuorumStateFile {
                epoch,
                leader: Some(leader),
                voted,
            },
            cx,
        );
        self.note_about(
            Rule::QuorumFollower,
            None,
            Some(leader),
            before.into(),
            epoch.into(),
            cx,
        );
    }

    /// Gives the leadership up; tells the others, the most up to date first in line.
    pub(super) fn become_resigned(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let Some(leader) = &self.leader else {
            return;
        };
        let mut voters: Vec<(i64, BrokerId)> = leader
            .voters()
            .iter()
            .filter(|(id, _)| **id != self.id)
            .map(|(id, voter)| (voter.end_offset.unwrap_or(-1), *id))
            .collect();
        few::sort_by_key(&mut voters, |(end, id)| (Reverse(*end), *id));
        self.leave(cx);
        self.successors = voters.into_iter().map(|(_, id)| (id, false)).collect();
        self.state = EpochState::Resigned;
        self.deadline = now + self.election_timeout(cx);
        let epoch = self.epoch().into();
        self.note(Rule::QuorumResigned, epoch, epoch, cx);
    }

    /// A prospective voter that got no majority goes back to the leader it knew, or waits.
    pub(super) fn after_lost_pre_vote(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let epoch = self.epoch();
        match self.file.leader.filter(|leader| *leader != self.id) {
            Some(leader) => self.become_follower(epoch, leader, now, cx),
            None => self.become_unattached(epoch, now, cx),
        }
    }

    /// Someone named an epoch and perhaps its leader (`KafkaRaftClient.maybeTransition`).
    pub(super) fn maybe_transition(
        &mut self,
        leader: Option<BrokerId>,
        epoch: i32,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let known = leader.filter(|id| *id != self.id && self.book.controller(*id).is_some());
        match known {
            _ if epoch < self.epoch() => {}
            Some(leader) if epoch > self.epoch() || self.file.leader.is_none() => {
                self.become_follower(epoch, leader, now, cx);
            }
            None if epoch > self.epoch() => self.become_unattached(epoch, now, cx),
            _ => {}
        }
    }
}

fn unattached(voted: Option<BrokerId>) -> EpochState {
    EpochState::Unattached {
        voted: voted.map(ReplicaKey::of),
        leader: None,
    }
}
