//! Conformance: the metadata quorum - high watermark, check-quorum, votes.
// A test may fail by panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sim_core::kafka::rules::quorum::{
    EpochElection, EpochState, ReplicaKey, follower_high_watermark,
};
use sim_core::kafka::rules::quorum_leader::QuorumLeaderState;
use support::{Case, int, list, run, text};

/// The leader is called "L" in the cases; every other replica by its number.
const LEADER: i32 = 0;

fn replica(name: &str) -> ReplicaKey {
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    ReplicaKey::of(if name == "L" {
        LEADER
    } else {
        digits.parse().unwrap()
    })
}

struct Quorum {
    state: QuorumLeaderState,
    voters: Vec<ReplicaKey>,
    leo: i64,
    now_ms: i64,
}

impl Quorum {
    fn new(input: &Value) -> Self {
        let voters: Vec<_> = list(&input["voters"])
            .iter()
            .map(|voter| replica(text(voter)))
            .collect();
        let start = input["epoch_start"].as_i64().unwrap_or(0);
        let leader = ReplicaKey::of(LEADER);
        let state = QuorumLeaderState::new(leader, 5, start, voters.iter().copied(), 2000, 0);
        Self {
            state,
            voters,
            leo: start,
            now_ms: 0,
        }
    }

    /// "add voter 3" or "remove voter L", which the leader learns from its own log.
    fn change_voters(&mut self, change: &str) {
        let (verb, who) = change.split_once(" voter ").unwrap();
        let key = replica(who.trim());
        match verb {
            "add" => self.voters.push(key),
            "remove" => self.voters.retain(|voter| *voter != key),
            _ => panic!("unknown change {change}"),
        }
    }

    /// A log end of the leader or a fetch of a follower; the text may change the voters first.
    fn update(&mut self, who: &str, offset: i64) -> Value {
        let who = match who.split_once(';') {
            Some((change, who)) => {
                self.change_voters(change);
                who.trim()
            }
            None => who,
        };
        let updated = match who {
            "L" => self.state.update_local(offset, &self.voters).map(|_| ()),
            who => {
                self.state.update_replica(replica(who), offset, self.now_ms);
                Ok(())
            }
        };
        match updated {
            Ok(()) => json!(self.state.high_watermark()),
            Err(_) => json!("IllegalState"),
        }
    }
}

fn high_watermark(case: &Case) {
    let mut quorum = Quorum::new(&case.input);
    let update = |pair: &Value| quorum.update(text(&pair[0]), int(&pair[1]));
    let got: Vec<_> = list(&case.input["updates"]).iter().map(update).collect();
    assert_eq!(json!(got), case.expect["hw"], "{}", case.id);
}

/// Steps like "add voter 3, fetch 1": was the check-quorum timer reset?
fn check_quorum(case: &Case) {
    let mut quorum = Quorum::new(&case.input);
    let mut resets = Vec::new();
    for step in list(&case.input["steps"]).iter().map(text) {
        for part in step.split(',').map(str::trim) {
            match part.strip_prefix("fetch ") {
                Some(who) => {
                    quorum.now_ms += 1000;
                    let before = quorum.state.check_quorum_deadline_ms();
                    quorum.state.note_fetch(replica(who), quorum.now_ms);
                    resets.push(quorum.state.check_quorum_deadline_ms() != before);
                }
                None => {
                    quorum.change_voters(part);
                    quorum
                        .state
                        .update_local(quorum.leo, &quorum.voters)
                        .unwrap();
                }
            }
        }
    }
    assert_eq!(json!(resets), case.expect["timer_reset"], "{}", case.id);
    assert!(
        quorum.state.must_resign(quorum.now_ms + 3000),
        "{}",
        case.id
    );
    assert!(
        !quorum.state.must_resign(quorum.now_ms + 2999),
        "{}",
        case.id
    );
}

/// The state a case tells in words.
fn epoch_state(words: &str) -> EpochState {
    let says = |part: &str| words.contains(part);
    let votes = EpochElection::new([1, 2, 3], 1);
    let leader = (says("leader known") || says("known leader")).then_some(3);
    let voted = (says("voted") && !says("no vote")).then_some(ReplicaKey::of(2));
    match words.split([',', ' ', '(']).next() {
        Some("Unattached") => EpochState::Unattached { voted, leader },
        Some("Prospective") => EpochState::Prospective {
            voted,
            leader,
            votes,
        },
        Some("Candidate") => EpochState::Candidate { votes },
        Some("Leader") => EpochState::Leader,
        Some("Resigned") => EpochState::Resigned,
        Some("Follower") => {
            let has_fetched = says("fetched") && !says("not fetched") && !says("not yet fetched");
            EpochState::Follower {
                leader: 3,
                has_fetched,
            }
        }
        _ => panic!("unknown state {words}"),
    }
}

/// Each request is asked with and without an up-to-date log.
fn votes(case: &Case) {
    let state = epoch_state(text(&case.input["state"]));
    let requests = list(&case.input["requests"]);
    let grants = list(&case.expect["grant"]);
    assert_eq!(requests.len(), grants.len(), "{}", case.id);
    for (request, expect) in requests.iter().map(text).zip(grants) {
        let pre_vote = request.starts_with("pre-vote");
        let grant = |up_to_date| state.can_grant_vote(ReplicaKey::of(2), up_to_date, pre_vote);
        let got = (grant(true), grant(false));
        let expect = match expect {
            Value::Bool(grant) => (*grant, *grant),
            other if text(other).contains("up to date") => (true, false),
            other => panic!("{}: unknown expectation {other}", case.id),
        };
        assert_eq!(
            got, expect,
            "{}: {request} with and without up-to-date log",
            case.id
        );
    }
}

fn follower_updates(case: &Case) {
    let mut known = None;
    let mut results = Vec::new();
    for update in list(&case.input["updates"]) {
        match follower_high_watermark(known, update.as_i64()) {
            Ok(now) => {
                known = now;
                results.push("ok");
            }
            Err(_) => results.push("IllegalArgument"),
        }
    }
    assert_eq!(json!(results), case.expect["results"], "{}", case.id);
}

fn check(case: &Case) {
    let has = |key: &str| !case.input[key].is_null();
    match () {
        () if has("voters") && has("updates") => high_watermark(case),
        () if has("voters") && has("steps") => check_quorum(case),
        () if has("state") => votes(case),
        () if has("updates") => follower_updates(case),
        () => panic!("{}: no test for this shape", case.id),
    }
}

#[test]
fn kraft_quorum() {
    run!("kraft-quorum.json", check);
}
