//! A classic group with a clock and its members' requests, for the reader of its cases.

use crate::case::{Case, Checked, Fault, unknown};
use crate::kafka::errors::named;
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::classic_group::{
    ClassicGroup, Effect, GroupSettings, JoinAnswer, JoinRequest, Name, Protocol, State,
    SyncRequest, Ticket, Turn,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A group, its clock and its answers. Whatever is to be written is written at once.
pub(super) struct Rig {
    pub(super) group: ClassicGroup,
    pub(super) settings: GroupSettings,
    pub(super) now_ms: i64,
    pub(super) known_id_required: bool,
    session_timeout_ms: i64,
    rebalance_timeout_ms: i64,
    tickets: u64,
    pub(super) joins: BTreeMap<Ticket, JoinAnswer>,
    syncs: BTreeMap<Ticket, ErrorCode>,
}

/// A state by the name of Java's constant or of its text.
pub(super) fn state_named(name: &str) -> Checked<State> {
    let plain = |it: &str| it.replace('_', "").to_ascii_lowercase();
    let all = [
        State::Empty,
        State::PreparingRebalance,
        State::CompletingRebalance,
        State::Stable,
        State::Dead,
    ];
    let found = all.into_iter().find(|it| plain(it.name()) == plain(name));
    found.ok_or_else(|| unknown("state", name))
}

/// A state in the words of the expectation if it is the one meant, else its own name.
pub(super) fn state_name(state: State, expected: &Value) -> Value {
    let meant = expected.as_str().and_then(|it| state_named(it).ok());
    match meant == Some(state) {
        true => expected.clone(),
        false => json!(state.name()),
    }
}

impl Rig {
    pub(super) fn new(case: &Case) -> Checked<Self> {
        let mut rig = Rig {
            group: ClassicGroup::new(0),
            settings: GroupSettings {
                // The real tests' own.
                min_session_timeout_ms: 10,
                ..GroupSettings::default()
            },
            now_ms: 0,
            known_id_required: false,
            session_timeout_ms: 5_000,
            rebalance_timeout_ms: 5_000,
            tickets: 0,
            joins: BTreeMap::new(),
            syncs: BTreeMap::new(),
        };
        let timeout = |key: &str, rig: &Rig| match &case.input[key] {
            Value::Null => Ok(None),
            given => rig.span(given).map(Some),
        };
        if let Some(delay) = timeout("initial_rebalance_delay", &rig)? {
            rig.settings.initial_rebalance_delay_ms = delay;
        }
        let session = timeout("session_timeout", &rig)?;
        let rebalance = timeout("rebalance_timeout", &rig)?;
        rig.session_timeout_ms = session.unwrap_or(rig.session_timeout_ms);
        rig.rebalance_timeout_ms = rebalance.unwrap_or(rig.rebalance_timeout_ms);
        if let Some(size) = case.input["group_max_size"].as_u64() {
            rig.settings.max_size = u32::try_from(size).unwrap_or(u32::MAX);
        }
        Ok(rig)
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut ClassicGroup, Ticket, &mut Turn<'_>) -> T) -> T {
        self.tickets += 1;
        let settings = self.settings;
        let mut turn = Turn::at(self.now_ms, &settings);
        let result = call(&mut self.group, Ticket(self.tickets), &mut turn);
        let mut effects = VecDeque::from(turn.effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Join(ticket, answer) => {
                    self.joins.insert(ticket, answer);
                }
                Effect::Sync(ticket, error, _) => {
                    self.syncs.insert(ticket, error);
                }
                Effect::Persist(_, what) => {
                    let mut turn = Turn::at(self.now_ms, &settings);
                    self.group.stored(&what, ErrorCode::None, &mut turn);
                    effects.extend(turn.effects);
                }
            }
        }
        result
    }

    fn request(
        &self,
        client: &str,
        member_id: &str,
        protocols: &[&str],
        data: &str,
    ) -> JoinRequest {
        let protocols = protocols.iter().map(|it| Protocol {
            name: Arc::from(*it),
            metadata: Arc::from(data.as_bytes()),
        });
        JoinRequest {
            member_id: Arc::from(member_id),
            instance_id: None,
            client_id: Arc::from(client),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            protocol_type: Arc::from("consumer"),
            protocols: protocols.collect(),
            known_id_required: self.known_id_required,
        }
    }

    /// Puts a member in without a request, as `ClassicGroup.add` does.
    pub(super) fn add(&mut self, protocols: &[&str]) -> Checked {
        let id: Name = Arc::from(format!("member-{}", self.group.members().len()));
        let request = self.request("client", &id, protocols, "same");
        let added = self.group.add_member(&id, &request, None);
        added.map_err(|it| Fault::Differs(it.0))
    }

    fn send_join(&mut self, request: &JoinRequest) -> Ticket {
        let fresh = (self.tickets + 1).to_string();
        self.call(|group, ticket, turn| {
            // What Java throws leaves the request without an answer.
            let _ = group.join(request, &fresh, ticket, turn);
            ticket
        })
    }

    /// A new member joins.
    pub(super) fn join(&mut self, client: &str) -> Ticket {
        let request = self.request(client, "", &["range"], "same");
        self.send_join(&request)
    }

    /// A member joins again, with this subscription.
    pub(super) fn rejoin(&mut self, id: &Name, data: &str) -> Ticket {
        let request = self.request("client", id, &["range"], data);
        self.send_join(&request)
    }

    pub(super) fn sync(&mut self, id: &Name) -> Ticket {
        let request = SyncRequest {
            member_id: Arc::clone(id),
            instance_id: None,
            generation: self.group.generation(),
            protocol_type: None,
            protocol: None,
            assignments: Vec::new(),
        };
        self.call(|group, ticket, turn| {
            group.sync(&request, ticket, turn);
            ticket
        })
    }

    /// Everybody syncs, as long as somebody has to.
    pub(super) fn settle(&mut self) {
        for id in self.ids() {
            self.sync(&id);
        }
    }

    pub(super) fn ids(&self) -> Vec<Name> {
        self.group.members().keys().cloned().collect()
    }

    pub(super) fn leader(&self) -> Checked<Name> {
        let leader = self.group.leader().cloned();
        leader.ok_or_else(|| Fault::Differs("the group has no leader".to_owned()))
    }

    /// Some member that does not lead.
    pub(super) fn follower(&self) -> Checked<Name> {
        let leader = self.leader()?;
        let found = self.ids().into_iter().find(|id| *id != leader);
        found.ok_or_else(|| Fault::Differs("the group has no follower".to_owned()))
    }

    /// The id that a JoinGroup was answered with.
    pub(super) fn member_of(&self, ticket: Ticket) -> Checked<Name> {
        let answer = self.joins.get(&ticket).map(|it| Arc::clone(&it.member_id));
        answer.ok_or_else(|| Fault::Differs("the first join is not answered".to_owned()))
    }

    /// The clock goes on, and every timer fires at its own time.
    pub(super) fn go_to(&mut self, at_ms: i64) {
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= at_ms) {
            self.jump_to(due.max(self.now_ms));
        }
        self.now_ms = at_ms.max(self.now_ms);
    }

    pub(super) fn advance(&mut self, ms: i64) {
        self.go_to(self.now_ms + ms);
    }

    /// The clock jumps; whatever is due by then is seen to only now.
    pub(super) fn jump_to(&mut self, at_ms: i64) {
        self.now_ms = at_ms.max(self.now_ms);
        self.call(|group, _, turn| group.expire(turn));
    }

    /// A heartbeat in the present generation, in the words of the expectation.
    pub(super) fn beat(&mut self, id: &Name, expected: &Value) -> Value {
        let generation = self.group.generation();
        let error = self.call(|group, _, turn| group.heartbeat(id, None, generation, turn));
        named_or_ok(error, expected)
    }

    /// What a SyncGroup was told, in the words of the expectation; null while it waits.
    pub(super) fn synced(&self, ticket: Option<Ticket>, expected: &Value) -> Value {
        let told = ticket.and_then(|it| self.syncs.get(&it));
        told.map_or(Value::Null, |error| named_or_ok(*error, expected))
    }
}

fn named_or_ok(error: ErrorCode, expected: &Value) -> Value {
    match (error, expected.as_str()) {
        (ErrorCode::None, Some("ok" | "OK" | "NONE")) => expected.clone(),
        _ => named(error, expected),
    }
}
