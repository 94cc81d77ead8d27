//! What a leader remembers of one follower.
//!
//! Follows `Replica` and `ReplicaState`: lag is time since the follower was last caught up, never
//! a count of messages.

use crate::log::NO_OFFSET;

/// What the leader's metadata says of a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct BrokerStatus {
    /// Broker epoch of its current registration.
    pub epoch: i64,
    /// Whether the controller has fenced it.
    pub fenced: bool,
    /// Whether it is in controlled shutdown.
    pub in_controlled_shutdown: bool,
}

/// The state of one follower, as its fetches told.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ReplicaState {
    /// Log start offset of the follower, -1 until it fetched.
    pub log_start_offset: i64,
    /// Log end offset of the follower: the offset of its last fetch, -1 until then.
    pub log_end_offset: i64,
    /// The leader's log end at the time of that fetch.
    pub last_fetch_leader_leo: i64,
    /// Time of that fetch, in ms.
    pub last_fetch_ms: i64,
    /// The last time the follower is known to have had all the leader had, in ms.
    pub last_caught_up_ms: i64,
    /// The broker epoch in its fetches; `None` until it fetched, -1 when fetches carry none.
    pub broker_epoch: Option<i64>,
    /// The leader epoch in its last fetch, if it named one.
    pub fetch_leader_epoch: Option<i32>,
}

impl ReplicaState {
    /// A follower of which nothing is known.
    pub(super) fn unknown(last_caught_up_ms: i64) -> Self {
        Self {
            log_start_offset: NO_OFFSET,
            log_end_offset: NO_OFFSET,
            last_fetch_leader_leo: NO_OFFSET,
            last_fetch_ms: 0,
            last_caught_up_ms,
            broker_epoch: None,
            fetch_leader_epoch: None,
        }
    }

    /// Starts the clock of a new leader epoch: ISR members count as caught up now, others never.
    pub(super) fn reset(&mut self, new_leader: bool, in_isr: bool, now_ms: i64, leader_leo: i64) {
        let since = if in_isr { now_ms } else { 0 };
        if new_leader {
            *self = Self::unknown(since);
        } else {
            self.last_fetch_leader_leo = leader_leo;
            self.last_fetch_ms = since;
            self.last_caught_up_ms = since;
        }
    }

    /// Takes in a fetch. A follower at the leader's log end is caught up now; one at the log end of
    /// its previous fetch was caught up then.
    pub(super) fn on_fetch(&mut self, fetch: &FollowerFetch, leader_leo: i64) {
        let caught_up_ms = if fetch.offset >= leader_leo {
            fetch.now_ms
        } else if fetch.offset >= self.last_fetch_leader_leo {
            self.last_fetch_ms
        } else {
            self.last_caught_up_ms
        };
        self.last_caught_up_ms = self.last_caught_up_ms.max(caught_up_ms);
        self.log_start_offset = fetch.log_start_offset;
        self.log_end_offset = fetch.offset;
        self.last_fetch_leader_leo = self.last_fetch_leader_leo.max(leader_leo);
        self.last_fetch_ms = fetch.now_ms;
        self.broker_epoch = Some(fetch.broker_epoch);
        self.fetch_leader_epoch = fetch.leader_epoch;
    }

    /// In sync: at the leader's log end however long ago, or caught up within `lag_max_ms`.
    pub fn is_caught_up(&self, leader_leo: i64, now_ms: i64, lag_max_ms: i64) -> bool {
        self.log_end_offset == leader_leo || now_ms - self.last_caught_up_ms <= lag_max_ms
    }

    /// Whether the broker may be in an ISR: live, not shutting down, and the same incarnation that
    /// fetches (KIP-841, KIP-903).
    pub fn is_isr_eligible(&self, broker: Option<BrokerStatus>) -> bool {
        let (Some(broker), Some(epoch)) = (broker, self.broker_epoch) else {
            return false;
        };
        !broker.fenced && !broker.in_controlled_shutdown && (epoch == -1 || epoch == broker.epoch)
    }
}

/// A follower's fetch, as far as the leader's bookkeeping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct FollowerFetch {
    /// Broker id of the follower.
    pub replica: i32,
    /// Fetch offset, which is the follower's log end offset.
    pub offset: i64,
    /// The follower's log start offset.
    pub log_start_offset: i64,
    /// Broker epoch of the follower, -1 if the request carries none.
    pub broker_epoch: i64,
    /// Leader epoch in the request, if it names one.
    pub leader_epoch: Option<i32>,
    /// When the leader handles it, in ms.
    pub now_ms: i64,
}
