//! The metadata quorum (KRaft): states of a voter, votes, the leader's high watermark and its
//! check of the quorum.
//!
//! Follows `QuorumState`, `EpochElection` and `FollowerState` (KIP-595, 853, 996); the leader's part
//! is in [`quorum_leader`](super::quorum_leader). Timers are the controller's own. Left out:
//! endpoints, the KRaft version, and the handling of voter changes beyond the set itself.

use crate::few;
use std::collections::BTreeMap;

/// A replica of the metadata log: its id and the disk it runs on. A voter that lost its disk comes
/// back under another key (KIP-853).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub struct ReplicaKey {
    /// Node id.
    pub id: i32,
    /// Directory id; `None` where the protocol does not carry one.
    pub directory: Option<u64>,
}

impl ReplicaKey {
    /// A key without directory id.
    pub fn of(id: i32) -> Self {
        Self {
            id,
            directory: None,
        }
    }

    /// Whether `other` is this replica; without a directory id of its own the id decides.
    pub fn matches(&self, other: Self) -> bool {
        self.id == other.id && (self.directory.is_none() || self.directory == other.directory)
    }
}

/// The end of a log: epoch of the last record, and the offset after it. Compared in this order,
/// which is Raft's test of whose log is more up to date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub struct LogEnd {
    /// Epoch of the last record.
    pub epoch: i32,
    /// Log end offset.
    pub offset: i64,
}

/// The state of a voter (or of an observer, which is only ever unattached or a follower).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub enum EpochState {
    /// Knows no leader it can fetch from. It may have voted in this epoch.
    Unattached {
        /// Whom it voted for.
        voted: Option<ReplicaKey>,
        /// The leader's id, when the id is known but nothing more.
        leader: Option<i32>,
    },
    /// Lost its leader and asks for pre-votes; the epoch stays (KIP-996).
    Prospective {
        /// Whom it voted for earlier in this epoch.
        voted: Option<ReplicaKey>,
        /// The leader it lost, if it knew one.
        leader: Option<i32>,
        /// The pre-votes so far.
        votes: EpochElection,
    },
    /// Raised the epoch, voted for itself and asks for votes.
    Candidate {
        /// The votes so far.
        votes: EpochElection,
    },
    /// Leads.
    Leader,
    /// Follows.
    Follower {
        /// The leader.
        leader: i32,
        /// Whether it has fetched from this leader: only then it trusts that the leader is alive.
        has_fetched: bool,
    },
    /// Led or stood for election in this epoch, and gave up.
    Resigned,
}

impl EpochState {
    /// Whether to grant a vote or pre-vote to `candidate`, both sides being in one epoch.
    /// `up_to_date` says that the candidate's log end is at or beyond one's own.
    ///
    /// A candidate's vote for itself is implicit and never "granted" on request.
    pub fn can_grant_vote(&self, candidate: ReplicaKey, up_to_date: bool, pre_vote: bool) -> bool {
        match self {
            Self::Unattached { .. } | Self::Prospective { .. } if pre_vote => up_to_date,
            Self::Unattached { voted, leader } | Self::Prospective { voted, leader, .. } => {
                match voted {
                    Some(voted) => voted.matches(candidate),
                    None => leader.is_none() && up_to_date,
                }
            }
            Self::Candidate { .. } | Self::Resigned => pre_vote && up_to_date,
            Self::Follower { has_fetched, .. } => pre_vote && up_to_date && !has_fetched,
            Self::Leader => false,
        }
    }
}

/// How a vote stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum VoteState {
    /// No answer yet.
    Unrecorded,
    /// Granted.
    Granted,
    /// Rejected.
    Rejected,
}

/// The votes of one election or pre-vote.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct EpochElection {
    votes: BTreeMap<i32, VoteState>,
}

impl EpochElection {
    /// Begins an election among `voters`; the local voter grants its own vote.
    pub fn new(voters: impl IntoIterator<Item = i32>, local: i32) -> Self {
        let unrecorded = voters.into_iter().map(|id| (id, VoteState::Unrecorded));
        let mut votes: BTreeMap<_, _> = few::gather(unrecorded);
        if let Some(own) = votes.get_mut(&local) {
            *own = VoteState::Granted;
        }
        Self { votes }
    }

    /// Records an answer; false if it comes from no voter.
    pub fn record(&mut self, voter: i32, granted: bool) -> bool {
        let state = if granted {
            VoteState::Granted
        } else {
            VoteState::Rejected
        };
        self.votes
            .get_mut(&voter)
            .map(|vote| *vote = state)
            .is_some()
    }

    /// How each voter voted.
    pub fn votes(&self) -> &BTreeMap<i32, VoteState> {
        &self.votes
    }

    /// Voters yet to answer.
    pub fn unrecorded(&self) -> impl Iterator<Item = i32> {
        let open = |(id, vote): (&i32, &VoteState)| (*vote == VoteState::Unrecorded).then_some(*id);
        self.votes.iter().filter_map(open)
    }

    /// A majority has granted.
    pub fn is_granted(&self) -> bool {
        self.count(VoteState::Granted) >= self.majority()
    }

    /// No majority can be reached any more.
    pub fn is_rejected(&self) -> bool {
        self.count(VoteState::Granted) + self.count(VoteState::Unrecorded) < self.majority()
    }

    fn count(&self, state: VoteState) -> usize {
        self.votes.values().filter(|vote| **vote == state).count()
    }

    fn majority(&self) -> usize {
        self.votes.len() / 2 + 1
    }
}

/// A follower's high watermark would go backwards or become unknown, which means that the leader
/// (or this replica) lost committed records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NonMonotonicHighWatermark {
    /// What is known.
    pub current: i64,
    /// What the leader said.
    pub update: Option<i64>,
}

/// A follower's high watermark after the leader's response; it never goes back.
pub fn follower_high_watermark(
    current: Option<i64>,
    update: Option<i64>,
) -> Result<Option<i64>, NonMonotonicHighWatermark> {
    match (current, update) {
        (Some(current), update) if update.is_none_or(|update| update < current) => {
            Err(NonMonotonicHighWatermark { current, update })
        }
        _ => Ok(update),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes() -> EpochElection {
        EpochElection::new([1, 2, 3], 1)
    }

    #[test]
    fn who_grants_what() {
        let check = |state: EpochState, candidate: i32, expect: [bool; 4]| {
            let grant = |pre_vote, up_to_date| {
                state.can_grant_vote(ReplicaKey::of(candidate), up_to_date, pre_vote)
            };
            let got = [
                grant(true, true),
                grant(true, false),
                grant(false, true),
                grant(false, false),
            ];
            assert_eq!(
                got, expect,
                "{state:?} asked by {candidate}: pre-vote, vote"
            );
        };
        let voted = Some(ReplicaKey::of(2));
        let free = EpochState::Unattached {
            voted: None,
            leader: None,
        };
        let after_vote = EpochState::Unattached {
            voted,
            leader: None,
        };
        let knows = EpochState::Unattached {
            voted: None,
            leader: Some(3),
        };
        let lost = EpochState::Prospective {
            voted: None,
            leader: Some(3),
            votes: votes(),
        };
        check(free, 2, [true, false, true, false]);
        check(after_vote.clone(), 2, [true, false, true, true]);
        check(after_vote, 3, [true, false, false, false]);
        check(knows, 2, [true, false, false, false]);
        check(lost, 2, [true, false, false, false]);
        check(
            EpochState::Candidate { votes: votes() },
            2,
            [true, false, false, false],
        );
        check(
            EpochState::Follower {
                leader: 3,
                has_fetched: false,
            },
            2,
            [true, false, false, false],
        );
        check(
            EpochState::Follower {
                leader: 3,
                has_fetched: true,
            },
            2,
            [false; 4],
        );
        check(EpochState::Leader, 2, [false; 4]);
        check(EpochState::Resigned, 2, [true, false, false, false]);
    }

    #[test]
    fn a_vote_goes_to_one_disk() {
        let key = |directory| ReplicaKey { id: 2, directory };
        let state = |voted| EpochState::Unattached {
            voted: Some(voted),
            leader: None,
        };
        assert!(state(key(Some(7))).can_grant_vote(key(Some(7)), true, false));
        assert!(!state(key(Some(7))).can_grant_vote(key(Some(8)), true, false));
        assert!(state(key(None)).can_grant_vote(key(Some(8)), true, false));
    }

    #[test]
    fn elections_are_won_and_lost_by_majority() {
        let check = |answers: &[(i32, bool)], granted, rejected| {
            let mut votes = EpochElection::new([1, 2, 3, 4], 1);
            for (voter, grant) in answers {
                votes.record(*voter, *grant);
            }
            assert_eq!(
                (votes.is_granted(), votes.is_rejected()),
                (granted, rejected),
                "{answers:?}"
            );
        };
        check(&[], false, false);
        check(&[(2, true)], false, false);
        check(&[(2, true), (3, true)], true, false);
        check(&[(2, false)], false, false);
        check(&[(2, false), (3, false)], false, true);
    }
}
