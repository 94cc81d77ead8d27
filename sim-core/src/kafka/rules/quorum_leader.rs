//! The leader of the metadata quorum: what its voters and observers have fetched, the high
//! watermark over a majority, and whether a majority still fetches.
//!
//! Follows `LeaderState` of Kafka's raft module. The high watermark needs a record of the leader's
//! own epoch to be replicated first, and never goes back.

use crate::few;
use std::collections::{BTreeMap, BTreeSet};

use super::quorum::ReplicaKey;

/// The leader's own log end went backwards: a broken invariant at the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NonMonotonicLocalEnd {
    /// The log end known.
    pub current: i64,
    /// The smaller one given.
    pub update: i64,
}

/// What the leader knows of a replica.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct QuorumReplica {
    /// Its key.
    pub key: ReplicaKey,
    /// Its log end offset, once known.
    pub end_offset: Option<i64>,
    /// Time of its last fetch in ms, -1 for none.
    pub last_fetch_ms: i64,
    /// Last time it had all the leader had, in ms, -1 for never.
    pub last_caught_up_ms: i64,
    /// The leader's log end at its last fetch, -1 for none.
    pub last_fetch_leader_leo: i64,
    /// Whether it has acknowledged this leader, by a fetch or an answer to BeginQuorumEpoch.
    pub acknowledged: bool,
}

impl QuorumReplica {
    fn new(key: ReplicaKey, acknowledged: bool) -> Self {
        Self {
            key,
            end_offset: None,
            last_fetch_ms: -1,
            last_caught_up_ms: -1,
            last_fetch_leader_leo: -1,
            acknowledged,
        }
    }

    fn on_fetch(&mut self, now_ms: i64, offset: i64, leader_leo: Option<i64>) {
        if let Some(leader_leo) = leader_leo {
            let caught_up_ms = if offset >= leader_leo {
                now_ms
            } else if self.last_fetch_leader_leo > 0 && offset >= self.last_fetch_leader_leo {
                self.last_fetch_ms
            } else {
                self.last_caught_up_ms
            };
            self.last_caught_up_ms = self.last_caught_up_ms.max(caught_up_ms);
            self.last_fetch_leader_leo = leader_leo;
        }
        self.last_fetch_ms = self.last_fetch_ms.max(now_ms);
        self.end_offset = Some(offset);
        self.acknowledged = true;
    }
}

/// The state of a quorum's leader.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct QuorumLeaderState {
    local: ReplicaKey,
    epoch: i32,
    epoch_start_offset: i64,
    high_watermark: Option<i64>,
    voters: BTreeMap<i32, QuorumReplica>,
    observers: BTreeMap<ReplicaKey, QuorumReplica>,
    /// Voters that fetched since the check-quorum timer was last reset.
    fetched_voters: BTreeSet<i32>,
    check_quorum_timeout_ms: i64,
    check_quorum_deadline_ms: i64,
}

impl QuorumLeaderState {
    /// Becomes leader at `now_ms`; the epoch starts at `epoch_start_offset`. The quorum check
    /// allows one and a half fetch timeouts.
    pub fn new(
        local: ReplicaKey,
        epoch: i32,
        epoch_start_offset: i64,
        voters: impl IntoIterator<Item = ReplicaKey>,
        fetch_timeout_ms: i64,
        now_ms: i64,
    ) -> Self {
        let state_of = |key: ReplicaKey| (key.id, QuorumReplica::new(key, key.matches(local)));
        let check_quorum_timeout_ms = fetch_timeout_ms + fetch_timeout_ms / 2;
        Self {
            local,
            epoch,
            epoch_start_offset,
            high_watermark: None,
            voters: few::gather(voters.into_iter().map(state_of)),
            observers: BTreeMap::new(),
            fetched_voters: BTreeSet::new(),
            check_quorum_timeout_ms,
            check_quorum_deadline_ms: now_ms + check_quorum_timeout_ms,
        }
    }

    /// The leader's log ends at `end_offset`, and the voters are now these. Returns whether the
    /// high watermark moved.
    pub fn update_local(
        &mut self,
        end_offset: i64,
        voters: &[ReplicaKey],
    ) -> Result<bool, NonMonotonicLocalEnd> {
        let local = self.local;
        let state = self.get_or_create(local);
        if let Some(current) = state.end_offset.filter(|current| *current > end_offset) {
            return Err(NonMonotonicLocalEnd {
                current,
                update: end_offset,
            });
        }
        state.end_offset = Some(end_offset);
        self.update_voters(voters);
        Ok(self.maybe_update_high_watermark())
    }

    /// A replica fetched at `offset`: that is its log end. Returns whether the high watermark
    /// moved. A voter that lost its disk may come back with a smaller offset; committed is
    /// committed all the same.
    pub fn update_replica(&mut self, key: ReplicaKey, offset: i64, now_ms: i64) -> bool {
        assert!(
            key.id != self.local.id,
            "the leader {} does not fetch from itself",
            key.id
        );
        if key.id < 0 {
            return false;
        }
        let local = self.local;
        let leader_leo = self.get_or_create(local).end_offset;
        self.get_or_create(key).on_fetch(now_ms, offset, leader_leo);
        self.note_fetch(key, now_ms);
        self.is_voter(key) && self.maybe_update_high_watermark()
    }

    /// A replica fetched: resets the check-quorum timer once a majority has. The leader counts as
    /// part of it if it is a voter. Returns whether the timer was reset.
    pub fn note_fetch(&mut self, key: ReplicaKey, now_ms: i64) -> bool {
        if self.is_voter(key) {
            self.fetched_voters.insert(key.id);
        }
        let own = usize::from(self.voters.contains_key(&self.local.id));
        let majority = self.voters.len() / 2 + 1 - own;
        let resets = self.fetched_voters.len() >= majority;
        if resets {
            self.fetched_voters.clear();
            self.check_quorum_deadline_ms = now_ms + self.check_quorum_timeout_ms;
        }
        resets
    }

    /// When the leader must resign unless a majority fetches before; `None` for a single voter.
    pub fn check_quorum_deadline_ms(&self) -> Option<i64> {
        (self.voters.len() != 1).then_some(self.check_quorum_deadline_ms)
    }

    /// Whether the leader must resign at `now_ms`.
    pub fn must_resign(&self, now_ms: i64) -> bool {
        self.check_quorum_deadline_ms()
            .is_some_and(|deadline| now_ms >= deadline)
    }

    /// Notes the answer of a voter to BeginQuorumEpoch; false if it is no voter.
    pub fn acknowledge(&mut self, voter: i32) -> bool {
        self.voters
            .get_mut(&voter)
            .map(|state| state.acknowledged = true)
            .is_some()
    }

    /// Voters that have not acknowledged this leader: to be told with BeginQuorumEpoch.
    pub fn unacknowledged(&self) -> impl Iterator<Item = ReplicaKey> {
        self.voters
            .values()
            .filter(|state| !state.acknowledged)
            .map(|state| state.key)
    }

    /// The high watermark, once known in this epoch.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }

    /// The epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The log end at which the epoch began.
    pub fn epoch_start_offset(&self) -> i64 {
        self.epoch_start_offset
    }

    /// The voters by id.
    pub fn voters(&self) -> &BTreeMap<i32, QuorumReplica> {
        &self.voters
    }

    /// Everyone else who fetches: brokers, controllers to be added, former voters.
    pub fn observers(&self) -> &BTreeMap<ReplicaKey, QuorumReplica> {
        &self.observers
    }

    fn is_voter(&self, key: ReplicaKey) -> bool {
        self.voters
            .get(&key.id)
            .is_some_and(|state| state.key.matches(key))
    }

    fn get_or_create(&mut self, key: ReplicaKey) -> &mut QuorumReplica {
        if self.is_voter(key)
            && let Some(state) = self.voters.get_mut(&key.id)
        {
            return state;
        }
        self.observers
            .entry(key)
            .or_insert_with(|| QuorumReplica::new(key, false))
    }

    fn update_voters(&mut self, voters: &[ReplicaKey]) {
        let mut before = std::mem::take(&mut self.voters);
        for key in voters {
            let known = match before.get(&key.id) {
                Some(state) if state.key.matches(*key) => before.remove(&key.id),
                _ => self.observers.remove(key),
            };
            let mut state = known.unwrap_or_else(|| QuorumReplica::new(*key, false));
            state.key = *key;
            self.voters.insert(key.id, state);
        }
        for state in before.into_values() {
            self.observers.entry(state.key).or_insert(state);
        }
    }

    fn maybe_update_high_watermark(&mut self) -> bool {
        let mut ends: Vec<_> = self.voters.values().map(|state| state.end_offset).collect();
        few::sort(&mut ends, |a, b| a > b);
        let Some(majority_end) = ends.get(ends.len() / 2).copied().flatten() else {
            return false;
        };
        // Raft's own-term rule: nothing is committed before a record of this epoch is.
        let moves = majority_end > self.epoch_start_offset
            && self
                .high_watermark
                .is_none_or(|current| majority_end > current);
        if moves {
            self.high_watermark = Some(majority_end);
        }
        moves
    }
}
