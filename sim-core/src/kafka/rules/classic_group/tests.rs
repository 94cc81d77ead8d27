//! The group's rules, by the stories of `ClassicGroupTest` and `GroupMetadataManagerTest`. A test
//! that is named after a case's id restates that conformance case.

use super::*;
use crate::kafka::error::ErrorCode;
use std::collections::BTreeMap;

/// A group with a clock, and its answers. What is to be persisted is committed at once.
pub(super) struct Rig {
    pub(super) group: ClassicGroup,
    pub(super) settings: GroupSettings,
    pub(super) now_ms: i64,
    tickets: u64,
    pub(super) joins: BTreeMap<Ticket, JoinAnswer>,
    pub(super) syncs: BTreeMap<Ticket, (ErrorCode, Bytes)>,
    /// What the log has.
    pub(super) log: Vec<GroupRecord>,
    /// The error of writes from now on.
    pub(super) log_error: ErrorCode,
    /// Members that expired.
    pub(super) expired: Vec<Name>,
}

pub(super) fn name(text: &str) -> Name {
    Arc::from(text)
}

fn bytes(text: &str) -> Bytes {
    Arc::from(text.as_bytes())
}

/// A JoinGroup of `client` with these assignors, each with the same metadata.
pub(super) fn joining(client: &str, protocols: &[&str], metadata: &str) -> JoinRequest {
    let protocols = protocols.iter().map(|it| Protocol {
        name: name(it),
        metadata: bytes(metadata),
    });
    JoinRequest {
        member_id: name(""),
        instance_id: None,
        client_id: name(client),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: name("consumer"),
        protocols: protocols.collect(),
        known_id_required: false,
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Rig {
            group: ClassicGroup::new(0),
            settings: GroupSettings {
                min_session_timeout_ms: 10,
                ..GroupSettings::default()
            },
            now_ms: 0,
            tickets: 0,
            joins: BTreeMap::new(),
            syncs: BTreeMap::new(),
            log: Vec::new(),
            log_error: ErrorCode::None,
            expired: Vec::new(),
        }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut ClassicGroup, Ticket, &mut Turn<'_>) -> T) -> T {
        self.tickets += 1;
        let settings = self.settings;
        let mut turn = Turn::at(self.now_ms, &settings);
        let result = call(&mut self.group, Ticket(self.tickets), &mut turn);
        let mut effects = std::collections::VecDeque::from(turn.effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Join(ticket, answer) => {
                    assert!(self.joins.insert(ticket, answer).is_none(), "{ticket:?}");
                }
                Effect::Sync(ticket, error, assignment) => {
                    let told = self.syncs.insert(ticket, (error, assignment));
                    assert!(told.is_none(), "{ticket:?}");
                }
                Effect::Persist(record, what) => {
                    if !self.log_error.is_error() {
                        self.log.push(*record);
                    }
                    let mut turn = Turn::at(self.now_ms, &settings);
                    self.group.stored(&what, self.log_error, &mut turn);
                    effects.extend(turn.effects);
                }
            }
        }
        result
    }

    /// A JoinGroup; its ticket.
    pub(super) fn join(&mut self, request: &JoinRequest) -> Ticket {
        let fresh = (self.tickets + 1).to_string();
        let join = |group: &mut ClassicGroup, ticket, turn: &mut Turn<'_>| {
            let result = group.join(request, &fresh, ticket, turn);
            result.map(|()| ticket)
        };
        self.call(join).expect("a legal join")
    }

    /// What a JoinGroup was told; panics if it still waits.
    pub(super) fn joined(&self, ticket: Ticket) -> &JoinAnswer {
        self.joins.get(&ticket).expect("an answer")
    }

    pub(super) fn sync(
        &mut self,
        id: &Name,
        generation: i32,
        assignments: &[(Name, &str)],
    ) -> Ticket {
        let given = assignments.iter();
        let request = SyncRequest {
            member_id: Arc::clone(id),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: given.map(|(id, it)| (Arc::clone(id), bytes(it))).collect(),
        };
        self.call(|group, ticket, turn| {
            group.sync(&request, ticket, turn);
            ticket
        })
    }

    /// What a SyncGroup was told, if it was.
    pub(super) fn synced(&self, ticket: Ticket) -> Option<(ErrorCode, &str)> {
        let (error, assignment) = self.syncs.get(&ticket)?;
        Some((*error, std::str::from_utf8(assignment).expect("a text")))
    }

    pub(super) fn heartbeat(&mut self, id: &Name, generation: i32) -> ErrorCode {
        self.call(|group, _, turn| group.heartbeat(id, None, generation, turn))
    }

    pub(super) fn leave(&mut self, id: &str, instance: Option<&str>) -> ErrorCode {
        let who = [(name(id), instance.map(name))];
        let left = self.call(|group, _, turn| group.leave(&who, turn));
        left.map_or_else(|error| error, |each| each[0])
    }

    /// Lets time pass, with every timer at its own time.
    pub(super) fn until(&mut self, at_ms: i64) {
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= at_ms) {
            self.now_ms = due.max(self.now_ms);
            let out = self.call(|group, _, turn| group.expire(turn));
            self.expired.extend(out);
        }
        self.now_ms = at_ms;
    }

    pub(super) fn sleep(&mut self, ms: i64) {
        self.until(self.now_ms + ms);
    }

    /// Members that come with these requests, up to the first generation's JoinGroup responses,
    /// after the initial delay; their ids.
    pub(super) fn gather(&mut self, requests: &[JoinRequest]) -> Vec<Name> {
        let tickets: Vec<Ticket> = requests.iter().map(|it| self.join(it)).collect();
        while self.group.state() == State::PreparingRebalance {
            self.sleep(self.settings.initial_rebalance_delay_ms);
        }
        let ids = tickets.iter().map(|ticket| {
            let answer = self.joined(*ticket);
            assert_eq!(answer.error, ErrorCode::None);
            Arc::clone(&answer.member_id)
        });
        ids.collect()
    }

    /// All members sync; the leader gives each its own id.
    pub(super) fn settle(&mut self) {
        let ids: Vec<Name> = self.group.members().keys().cloned().collect();
        let leader = self.group.leader().expect("a leader").clone();
        let generation = self.group.generation();
        let all: Vec<(Name, &str)> = ids.iter().map(|id| (Arc::clone(id), &**id)).collect();
        for id in &ids {
            let given: &[(Name, &str)] = if *id == leader { &all } else { &[] };
            self.sync(id, generation, given);
        }
        assert_eq!(self.group.state(), State::Stable);
    }
}

/// A stable group of generation 1 with these members.
pub(super) fn stable(requests: &[JoinRequest]) -> (Rig, Vec<Name>) {
    let mut rig = Rig::new();
    let ids = rig.gather(requests);
    rig.settle();
    (rig, ids)
}

pub(super) fn again(request: &JoinRequest, id: &Name) -> JoinRequest {
    JoinRequest {
        member_id: Arc::clone(id),
        ..request.clone()
    }
}

fn trio() -> Vec<JoinRequest> {
    let mut all: Vec<_> = ["a", "b", "c"]
        .map(|it| joining(it, &["range"], "m"))
        .into();
    all.iter_mut()
        .for_each(|it| it.rebalance_timeout_ms = 5_000);
    all
}

#[test]
fn only_five_ways_lead_on_and_all_lead_to_death() {
    use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
    let legal = [
        (Empty, PreparingRebalance),
        (Stable, PreparingRebalance),
        (CompletingRebalance, PreparingRebalance),
        (PreparingRebalance, CompletingRebalance),
        (PreparingRebalance, Empty),
        (CompletingRebalance, Stable),
    ];
    let all = [Empty, PreparingRebalance, CompletingRebalance, Stable, Dead];
    for (from, to) in all.iter().flat_map(|from| all.map(|to| (*from, to))) {
        let expected = to == Dead || legal.contains(&(from, to));
        assert_eq!(from.allows(to), expected, "{from:?} to {to:?}");
    }
}

#[test]
fn the_first_join_waits_for_company() {
    let d = 3_000;
    let mut rig = Rig::new();
    let alone = rig.join(&joining("a", &["range"], "m"));
    for (at, answered) in [(d / 2, false), (d + 1, true)] {
        rig.until(at);
        assert_eq!(rig.joins.contains_key(&alone), answered, "at {at}");
    }

    let mut rig = Rig::new();
    let mut request = joining("a", &["range"], "m");
    request.rebalance_timeout_ms = 2 * d;
    let mut tickets = vec![rig.join(&request), rig.join(&request)];
    // The delay is looked at late, as in the real test, whose clock jumps.
    rig.until(d - 1);
    rig.now_ms = d + 1;
    rig.until(d + 1);
    tickets.push(rig.join(&request));
    for (at, answered) in [(2 * d, false), (2 * d + 1, true)] {
        rig.until(at);
        let all = tickets.iter().all(|it| rig.joins.contains_key(it));
        let any = tickets.iter().any(|it| rig.joins.contains_key(it));
        assert_eq!((all, any), (answered, answered), "at {at}");
    }
}

#[test]
fn an_id_is_required_and_forgotten() {
    let mut rig = Rig::new();
    let mut request = joining("a", &["range"], "m");
    (request.known_id_required, request.session_timeout_ms) = (true, 1_000);
    let ticket = rig.join(&request);
    let answer = rig.joined(ticket).clone();
    assert_eq!(answer.error, ErrorCode::MemberIdRequired);
    assert!(!answer.member_id.is_empty());
    assert_eq!(
        (rig.group.members().len(), rig.group.pending_joins()),
        (0, 1)
    );
    rig.until(1_000);
    assert_eq!(
        (rig.group.members().len(), rig.group.pending_joins()),
        (0, 0)
    );
    // Too late: nobody knows the id any more.
    let late = rig.join(&again(&request, &answer.member_id));
    assert_eq!(rig.joined(late).error, ErrorCode::UnknownMemberId);
}

#[test]
fn who_rejoins_decides() {
    let requests = [joining("a", &["range"], "m"), joining("b", &["range"], "m")];
    let check = |who: usize, metadata: &str, alone: bool, generation, state| {
        let (mut rig, ids) = stable(&requests[..if alone { 1 } else { 2 }]);
        let mut request = again(&requests[who], &ids[who]);
        request.protocols[0].metadata = bytes(metadata);
        let ticket = rig.join(&request);
        let told = rig.joins.get(&ticket).map(|it| it.generation);
        assert_eq!(rig.group.state(), state, "{who} {metadata}");
        assert_eq!(rig.group.generation(), generation, "{who} {metadata}");
        assert_eq!(told.is_some(), state != State::PreparingRebalance);
    };
    check(0, "m", true, 2, State::CompletingRebalance);
    check(0, "m", false, 1, State::PreparingRebalance);
    check(1, "m", false, 1, State::Stable);
    check(1, "other", false, 1, State::PreparingRebalance);
}

#[test]
fn hb_04_session() {
    let mut a = joining("a", &["range"], "m");
    a.session_timeout_ms = 5_000;
    let mut b = a.clone();
    b.client_id = name("b");
    let (mut rig, ids) = stable(&[a]);
    let start = rig.now_ms;
    rig.join(&b);
    rig.until(start + 2_500);
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
    rig.until(start + 7_500);
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::UnknownMemberId);
    rig.until(start + 10_000);
    assert_eq!(rig.group.members().len(), 1);
    assert_eq!(rig.group.generation(), 2);
    assert_eq!(rig.group.state(), State::CompletingRebalance);
    assert_eq!(rig.expired, [ids[0].clone()]);
}

#[test]
fn nobody_syncs() {
    let mut rig = Rig::new();
    let ids = rig.gather(&trio());
    rig.sleep(5_000);
    assert_eq!(rig.group.state(), State::Empty);
    for id in &ids {
        assert_eq!(rig.heartbeat(id, 1), ErrorCode::UnknownMemberId);
    }
    assert_eq!(rig.log.last().map(|it| it.members.len()), Some(0));
}

#[test]
fn the_leader_does_not_sync() {
    let mut rig = Rig::new();
    let ids = rig.gather(&trio());
    rig.sleep(2_500);
    let leader = rig.group.leader().cloned().expect("a leader");
    let followers: Vec<_> = ids.iter().filter(|id| **id != leader).collect();
    let tickets: Vec<_> = followers.iter().map(|id| rig.sync(id, 1, &[])).collect();
    rig.sleep(2_500);
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    assert_eq!(rig.heartbeat(&leader, 1), ErrorCode::UnknownMemberId);
    for (id, ticket) in followers.iter().zip(tickets) {
        assert_eq!(
            rig.synced(ticket),
            Some((ErrorCode::RebalanceInProgress, ""))
        );
        assert_eq!(rig.heartbeat(id, 1), ErrorCode::RebalanceInProgress);
    }
}

#[test]
fn silent_followers_are_dropped_when_the_leader_synced() {
    let mut rig = Rig::new();
    let ids = rig.gather(&trio());
    let leader = rig.group.leader().cloned().expect("a leader");
    rig.sync(&leader, 1, &[]);
    assert_eq!(rig.group.state(), State::Stable);
    rig.sleep(5_000);
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    for id in &ids {
        let expected = match *id == leader {
            true => ErrorCode::RebalanceInProgress,
            false => ErrorCode::UnknownMemberId,
        };
        assert_eq!(rig.heartbeat(id, 1), expected);
    }
}

#[test]
fn an_assignment_reaches_whoever_syncs_before_and_after_the_leader() {
    let mut rig = Rig::new();
    let ids = rig.gather(&trio());
    let leader = rig.group.leader().cloned().expect("a leader");
    let followers: Vec<_> = ids.iter().filter(|id| **id != leader).cloned().collect();
    let early = rig.sync(&followers[0], 1, &[]);
    assert_eq!(rig.synced(early), None);
    let shares = [
        (leader.clone(), "l"),
        (followers[0].clone(), "f0"),
        (followers[1].clone(), "f1"),
    ];
    let first = rig.sync(&leader, 1, &shares);
    let late = rig.sync(&followers[1], 1, &[]);
    for (ticket, share) in [(early, "f0"), (first, "l"), (late, "f1")] {
        assert_eq!(rig.synced(ticket), Some((ErrorCode::None, share)));
    }
    let wrong = rig.sync(&leader, 2, &[]);
    assert_eq!(
        rig.synced(wrong).map(|it| it.0),
        Some(ErrorCode::IllegalGeneration)
    );
    let loaded = ClassicGroup::load(rig.log.last().expect("a record"), rig.now_ms);
    assert_eq!(loaded.state(), State::Stable);
    assert_eq!(loaded.leader(), Some(&leader));
    assert_eq!(loaded.members().len(), 3);
}

#[test]
fn a_failed_write_of_the_assignment_begins_another_rebalance() {
    let mut rig = Rig::new();
    let ids = rig.gather(&[joining("a", &["range"], "m")]);
    rig.log_error = ErrorCode::CoordinatorNotAvailable;
    let ticket = rig.sync(&ids[0], 1, &[]);
    let told = rig.synced(ticket).map(|it| it.0);
    assert_eq!(told, Some(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(rig.group.state(), State::PreparingRebalance);
}

#[test]
fn commits_count_in_their_generation_only() {
    let (mut rig, ids) = stable(&[joining("a", &["range"], "m")]);
    let id = ids[0].clone();
    let check = |rig: &Rig, member: &str, generation, expected: Result<(), ErrorCode>| {
        let got = rig
            .group
            .validate_offset_commit(member, None, generation, false);
        assert_eq!(
            got,
            expected,
            "{member} {generation} in {:?}",
            rig.group.state()
        );
    };
    check(&rig, &id, 1, Ok(()));
    check(&rig, &id, 0, Err(ErrorCode::IllegalGeneration));
    check(&rig, "stranger", 1, Err(ErrorCode::UnknownMemberId));
    check(&rig, "", -1, Err(ErrorCode::UnknownMemberId));
    let other = rig.join(&joining("b", &["range"], "m"));
    check(&rig, &id, 1, Ok(()));
    rig.join(&again(&joining("a", &["range"], "m"), &id));
    assert_eq!(rig.joined(other).generation, 2);
    check(&rig, &id, 2, Err(ErrorCode::RebalanceInProgress));
    let empty = Rig::new();
    check(&empty, "", -1, Ok(()));
    check(&empty, "a", 1, Err(ErrorCode::UnknownMemberId));
}

#[test]
fn leaving_is_heard_at_once_and_the_last_one_leaves_an_empty_group() {
    let (mut rig, ids) = stable(&[joining("a", &["range"], "m")]);
    assert_eq!(rig.leave("stranger", None), ErrorCode::UnknownMemberId);
    assert_eq!(rig.leave(&ids[0], None), ErrorCode::None);
    assert_eq!(
        (rig.group.state(), rig.group.generation()),
        (State::Empty, 2)
    );
    assert_eq!(rig.group.protocol(), None);
    assert_eq!(rig.group.validate_delete(), Ok(()));
}

#[test]
fn too_many_and_too_odd_members_are_refused() {
    let mut rig = Rig::new();
    rig.settings.max_size = 2;
    rig.gather(&trio()[..2]);
    let check = |rig: &mut Rig, request: &JoinRequest, error| {
        let ticket = rig.join(request);
        assert_eq!(rig.joined(ticket).error, error);
    };
    check(
        &mut rig,
        &joining("d", &["range"], "m"),
        ErrorCode::GroupMaxSizeReached,
    );
    rig.settings.max_size = 9;
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    check(&mut rig, &joining("d", &["roundrobin"], "m"), inconsistent);
    check(&mut rig, &joining("d", &[], "m"), inconsistent);
    let mut connect = joining("d", &["range"], "m");
    connect.protocol_type = name("connect");
    check(&mut rig, &connect, inconsistent);
    let mut hasty = joining("d", &["range"], "m");
    hasty.session_timeout_ms = 9;
    check(&mut rig, &hasty, ErrorCode::InvalidSessionTimeout);
    hasty.session_timeout_ms = 1_800_001;
    check(&mut rig, &hasty, ErrorCode::InvalidSessionTimeout);
}
