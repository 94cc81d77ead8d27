//! A classic consumer group as its coordinator keeps it.
//!
//! Follows `ClassicGroup`, `ClassicGroupMember` and the classic half of `GroupMetadataManager`: a
//! group is a state machine of five states; members join, the coordinator names a leader among
//! them, the leader assigns, everybody syncs, and whoever stays silent for too long is out. Plain
//! state and integers: requests come with the time and a ticket, answers leave as [`Effect`]s, and
//! deadlines are asked for ([`ClassicGroup::next_deadline`]) and kept by the caller
//! ([`ClassicGroup::expire`]).
//!
//! Kafka keeps members in a hash map; where its order decides (a new leader, a tie of votes) the
//! smallest id decides here. Left out: the bridge to KIP-848 groups, batched leaves with reasons,
//! and older versions of the requests but for `known_id_required`.

mod commit;
mod expiry;
mod join;
mod messages;
mod rebalance;
mod requests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_static;

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use expiry::RetentionClock;
pub use messages::{
    Effect, GroupRecord, JoinAnswer, JoinRequest, JoinedMember, MemberRecord, Protocol, Replaced,
    Stored, SyncRequest, Ticket,
};

/// A name: of a group, a member, an instance or a protocol. Empty stands for none, as in Kafka.
pub type Name = Arc<str>;

/// What the coordinator carries without reading it: subscriptions and assignments.
pub type Bytes = Arc<[u8]>;

/// `ClassicGroupState`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum State {
    /// No members; it may still hold offsets.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// Everybody joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
    /// Removed or moved to another coordinator.
    Dead,
}

impl State {
    /// As `kafka-consumer-groups.sh` shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }

    /// Whether a group may go from here to `next`.
    #[must_use]
    pub fn allows(self, next: State) -> bool {
        use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        match next {
            Empty | CompletingRebalance => self == PreparingRebalance,
            PreparingRebalance => matches!(self, Stable | CompletingRebalance | Empty),
            Stable => self == CompletingRebalance,
            Dead => true,
        }
    }
}

/// What Java throws as `IllegalStateException`: a call that the state does not allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IllegalState(pub String);

/// The settings of a coordinator that concern classic groups (`GroupCoordinatorConfig`), ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i64,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i64,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i64,
    /// `group.max.size`.
    pub max_size: u32,
    /// How long a member that is new may wait for its first generation; a constant in Kafka.
    pub new_member_join_timeout_ms: i64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            initial_rebalance_delay_ms: 3_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: i32::MAX as u32,
            new_member_join_timeout_ms: 300_000,
        }
    }
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Member {
    /// `group.instance.id`.
    pub instance_id: Option<Name>,
    /// `client.id`.
    pub client_id: Name,
    /// ms.
    pub session_timeout_ms: i64,
    /// ms.
    pub rebalance_timeout_ms: i64,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// In the present generation; empty while there is none.
    pub assignment: Bytes,
    awaiting_join: Option<Ticket>,
    awaiting_sync: Option<Ticket>,
    /// It was never in a generation yet: only then can it expire while its JoinGroup waits.
    is_new: bool,
    /// It is out if nothing is heard of it until then, ms; `None` once that has passed unheeded.
    session_deadline: Option<i64>,
}

impl Member {
    /// Whether its JoinGroup waits.
    #[must_use]
    pub fn is_awaiting_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    /// Whether its SyncGroup waits.
    #[must_use]
    pub fn is_awaiting_sync(&self) -> bool {
        self.awaiting_sync.is_some()
    }

    fn satisfies_heartbeat(&self) -> bool {
        !self.is_new && (self.is_awaiting_join() || self.is_awaiting_sync())
    }

    /// Its subscription for an assignor.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let own = self.protocols.iter().find(|it| &*it.name == protocol);
        own.map(|it| &it.metadata)
    }
}

/// One call: the time, the settings, and what comes of it.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Now, ms.
    pub now_ms: i64,
    /// The coordinator's settings.
    pub settings: &'a GroupSettings,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

impl<'a> Turn<'a> {
    /// A call at this time.
    #[must_use]
    pub fn at(now_ms: i64, settings: &'a GroupSettings) -> Self {
        Turn {
            now_ms,
            settings,
            effects: Vec::new(),
        }
    }
}

/// When the join phase ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum JoinPhase {
    /// A group that was empty waits for company: this delay is running, so much may be added.
    Initial {
        at: i64,
        delay_ms: i64,
        remaining_ms: i64,
    },
    /// Whoever has not joined by then is out.
    Until(i64),
}

/// The group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClassicGroup {
    state: State,
    previous: State,
    generation: i32,
    protocol_type: Option<Name>,
    protocol: Option<Name>,
    leader: Option<Name>,
    members: BTreeMap<Name, Member>,
    /// Instance ids and the member ids that they stand for.
    static_members: BTreeMap<Name, Name>,
    /// Ids that were given out and did not come back yet, with the end of their session, ms.
    pending_joins: BTreeMap<Name, i64>,
    /// Members of the generation that did not sync yet.
    pending_syncs: BTreeSet<Name>,
    /// Somebody came while the initial delay ran.
    new_member_added: bool,
    join_phase: Option<JoinPhase>,
    /// Whoever has not synced by then is out, ms.
    sync_deadline: Option<i64>,
    /// Since when it is in its state, ms.
    state_since_ms: i64,
}

impl ClassicGroup {
    /// An empty group.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        ClassicGroup {
            state: State::Empty,
            previous: State::Dead,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            new_member_added: false,
            join_phase: None,
            sync_deadline: None,
            state_since_ms: now_ms,
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The state before.
    #[must_use]
    pub fn previous_state(&self) -> State {
        self.previous
    }

    /// Since when it is in its state, ms.
    #[must_use]
    pub fn state_since_ms(&self) -> i64 {
        self.state_since_ms
    }

    /// The same group, in its state since this time, ms.
    #[must_use]
    pub fn since(mut self, state_since_ms: i64) -> Self {
        self.state_since_ms = state_since_ms;
        self
    }

    /// Its generation; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, once it had a member.
    #[must_use]
    pub fn protocol_type(&self) -> Option<&Name> {
        self.protocol_type.as_ref()
    }

    /// The assignor of the generation.
    #[must_use]
    pub fn protocol(&self) -> Option<&Name> {
        self.protocol.as_ref()
    }

    /// Who assigns.
    #[must_use]
    pub fn leader(&self) -> Option<&Name> {
        self.leader.as_ref()
    }

    /// Members by id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<Name, Member> {
        &self.members
    }

    /// The member behind an instance id.
    #[must_use]
    pub fn static_member(&self, instance_id: &str) -> Option<&Name> {
        self.static_members.get(instance_id)
    }

    /// Ids that were given out and did not come back yet.
    #[must_use]
    pub fn pending_joins(&self) -> usize {
        self.pending_joins.len()
    }

    /// Members that did not sync yet.
    #[must_use]
    pub fn pending_syncs(&self) -> &BTreeSet<Name> {
        &self.pending_syncs
    }

    /// Whether a rebalance can begin.
    #[must_use]
    pub fn can_rebalance(&self) -> bool {
        self.state.allows(State::PreparingRebalance)
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Goes to another state.
    ///
    /// # Errors
    /// If the present one does not lead there.
    pub fn transition_to(&mut self, next: State, now_ms: i64) -> Result<(), IllegalState> {
        if !self.state.allows(next) {
            return Err(IllegalState(format!(
                "a group in {} cannot go to {}",
                self.state.name(),
                next.name()
            )));
        }
        self.enter(next, now_ms);
        Ok(())
    }

    /// Goes where the caller knows that the state leads.
    fn enter(&mut self, next: State, now_ms: i64) {
        debug_assert!(self.state.allows(next), "{:?} to {next:?}", self.state);
        self.previous = self.state;
        self.state = next;
        self.state_since_ms = now_ms;
    }

    /// Every member's vote for the first of its assignors that all support; `None` without members
    /// or without an assignor that all support.
    #[must_use]
    pub fn select_protocol(&self) -> Option<Name> {
        let mut votes: BTreeMap<&Name, u32> = BTreeMap::new();
        for member in self.members.values() {
            let mut own = member.protocols.iter();
            if let Some(first) = own.find(|it| self.all_support(&it.name)) {
                *votes.entry(&first.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let chosen = votes.into_iter().find(|(_, count)| *count == most);
        chosen.map(|(name, _)| Arc::clone(name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members
            .values()
            .all(|member| member.metadata(protocol).is_some())
    }

    /// Whether a member with these assignors fits in.
    #[must_use]
    pub fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|it| self.all_support(&it.name))
    }

    /// The group as it is written to the log, with these assignments.
    #[must_use]
    pub fn record(&self, assignments: &[(Name, Bytes)]) -> GroupRecord {
        let members = self.members.iter().map(|(id, member)| {
            let given = assignments.iter().find(|(whose, _)| whose == id);
            let protocol = self.protocol.as_deref().unwrap_or_default();
            MemberRecord {
                member_id: Arc::clone(id),
                instance_id: member.instance_id.clone(),
                client_id: Arc::clone(&member.client_id),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                subscription: member.metadata(protocol).cloned().unwrap_or_else(nothing),
                assignment: given.map_or_else(nothing, |(_, bytes)| Arc::clone(bytes)),
            }
        });
        GroupRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: members.collect(),
        }
    }

    /// The group as a new coordinator finds it in the log: Stable if it has members, and each of
    /// them has a session's time to be heard of (`onLoaded`). A group above `group.max.size` has
    /// to rebalance; the caller sees to that with [`ClassicGroup::shrink`].
    #[must_use]
    pub fn load(record: &GroupRecord, now_ms: i64) -> Self {
        let mut group = ClassicGroup::new(now_ms);
        if !record.members.is_empty() {
            group.state = State::Stable;
        }
        group.generation = record.generation;
        group.protocol_type.clone_from(&record.protocol_type);
        group.protocol.clone_from(&record.protocol);
        group.leader.clone_from(&record.leader);
        let protocol = record.protocol.clone().unwrap_or_else(|| Arc::from(""));
        for it in &record.members {
            if let Some(instance_id) = &it.instance_id {
                let (instance_id, id) = (Arc::clone(instance_id), Arc::clone(&it.member_id));
                group.static_members.insert(instance_id, id);
            }
            let member = Member {
                instance_id: it.instance_id.clone(),
                client_id: Arc::clone(&it.client_id),
                session_timeout_ms: it.session_timeout_ms,
                rebalance_timeout_ms: it.rebalance_timeout_ms,
                protocols: vec![Protocol {
                    name: Arc::clone(&protocol),
                    metadata: Arc::clone(&it.subscription),
                }],
                assignment: Arc::clone(&it.assignment),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
                session_deadline: Some(now_ms.saturating_add(it.session_timeout_ms)),
            };
            group.members.insert(Arc::clone(&it.member_id), member);
        }
        group
    }
}

/// No subscription, no assignment.
fn nothing() -> Bytes {
    Arc::from([])
}
