//! The metadata quorum - high watermark, check-quorum, votes: `LeaderStateTest`,
//! `FollowerStateTest`, `UnattachedStateTest`, `ProspectiveStateTest`, `CandidateStateTest`,
//! `ResignedStateTest`.

use crate::case::{Case, Checked, same, unknown};
use crate::values::{ids, int, list, narrow, number, offset, offset_or, text};
use serde_json::{Value, json};
use sim_core::kafka::rules::quorum::{
    EpochElection, EpochState, ReplicaKey, follower_high_watermark,
};
use sim_core::kafka::rules::quorum_leader::QuorumLeaderState;

/// The leader is called "L" in the cases; every other replica by its number.
const LEADER: i32 = 0;

/// The quorum check allows one and a half of these.
const FETCH_TIMEOUT_MS: i64 = 2000;

/// "L", "leader", "3", "3 (observer)", "observer 3".
fn replica(name: &str) -> Checked<ReplicaKey> {
    let name = name.trim();
    if matches!(name, "L" | "leader" | "local") {
        return Ok(ReplicaKey::of(LEADER));
    }
    match narrow::<i32>(number(name)?)? {
        id if id > LEADER => Ok(ReplicaKey::of(id)),
        _ => Err(unknown("replica", name)),
    }
}

/// A replica by name or by number.
fn replica_of(value: &Value) -> Checked<ReplicaKey> {
    match value.as_i64() {
        Some(id) => replica(&id.to_string()),
        None => replica(text(value)?),
    }
}

struct Quorum {
    state: QuorumLeaderState,
    voters: Vec<ReplicaKey>,
    leo: i64,
    now_ms: i64,
}

impl Quorum {
    fn new(input: &Value) -> Checked<Self> {
        let voters: Checked<Vec<_>> = list(&input["voters"])?.iter().map(replica_of).collect();
        let voters = voters?;
        let start = offset_or(&input["epoch_start"], 0)?;
        let leader = ReplicaKey::of(LEADER);
        let state = QuorumLeaderState::new(
            leader,
            5,
            start,
            voters.iter().copied(),
            FETCH_TIMEOUT_MS,
            0,
        );
        Ok(Self {
            state,
            voters,
            leo: start,
            now_ms: 0,
        })
    }

    /// "add voter 3" or "remove voter L", which the leader learns from its own log.
    fn change_voters(&mut self, change: &str) -> Checked {
        let Some((verb, who)) = change.trim().split_once(" voter ") else {
            return Err(unknown("change of voters", change));
        };
        let key = replica(who)?;
        match verb {
            "add" if !self.voters.contains(&key) => self.voters.push(key),
            "remove" => self.voters.retain(|voter| *voter != key),
            _ => return Err(unknown("change of voters", change)),
        }
        Ok(())
    }

    /// A log end of the leader or a fetch of a follower; the text may change the voters first.
    fn update(&mut self, who: &Value, end: i64) -> Checked<Value> {
        let words = match who.as_i64() {
            Some(id) => id.to_string(),
            None => text(who)?.to_owned(),
        };
        let mut parts: Vec<&str> = words.split(';').collect();
        let who = replica(parts.pop().unwrap_or_default())?;
        for change in parts {
            self.change_voters(change)?;
        }
        if who.id != LEADER {
            self.state.update_replica(who, end, self.now_ms);
        } else if self.state.update_local(end, &self.voters).is_err() {
            return Ok(json!("IllegalState"));
        }
        Ok(json!(self.state.high_watermark()))
    }

    /// "add voter 3, fetch 1", "fetch 1 and 2", "fetch 5 (observer)", "half the timeout passes":
    /// whether the check-quorum timer was reset by it; `None` if nobody fetched.
    fn step(&mut self, step: &str) -> Checked<Option<bool>> {
        let mut reset = None;
        for part in step.split([',', ';']).map(str::trim) {
            if part.contains("passes") {
                let timeout_ms = FETCH_TIMEOUT_MS + FETCH_TIMEOUT_MS / 2;
                let share = if part.contains("half") { 2 } else { 1 };
                self.now_ms += timeout_ms / share;
                continue;
            }
            let who = match part.strip_prefix("fetch ") {
                Some(who) => who,
                None if reset.is_some() && number(part).is_ok_and(|id| part == id.to_string()) => {
                    part
                }
                None => {
                    self.change_voters(part)?;
                    let told = self.state.update_local(self.leo, &self.voters);
                    told.map_err(|_| unknown("step", step))?;
                    continue;
                }
            };
            // Any time but that of the last reset.
            self.now_ms += 1;
            let who = who.split('(').next().unwrap_or_default();
            let before = self.state.check_quorum_deadline_ms();
            for who in who.split(" and ") {
                self.state.note_fetch(replica(who)?, self.now_ms);
            }
            let resets = self.state.check_quorum_deadline_ms() != before;
            reset = Some(reset.unwrap_or(false) || resets);
        }
        Ok(reset)
    }
}

fn high_watermark(case: &Case) -> Checked {
    let mut quorum = Quorum::new(&case.input)?;
    let mut seen = Vec::new();
    for pair in list(&case.input["updates"])? {
        seen.push(quorum.update(&pair[0], offset(&pair[1])?)?);
    }
    case.same_all(|key| {
        Ok(match key {
            "hw" => Some(json!(seen)),
            "hw_at_end" | "final_hw" => seen.last().cloned(),
            _ => None,
        })
    })
}

fn check_quorum(case: &Case) -> Checked {
    let mut quorum = Quorum::new(&case.input)?;
    let mut resets = Vec::new();
    for step in list(&case.input["steps"])? {
        resets.extend(quorum.step(text(step)?)?);
    }
    case.same_all(|key| {
        Ok(match key {
            "timer_reset" => Some(json!(resets)),
            "expired" | "expired_at_end" => Some(json!(quorum.state.must_resign(quorum.now_ms))),
            _ => None,
        })
    })
}

/// Whom a voter in these states has voted for, unless the case names somebody; and somebody else.
const VOTED: i32 = 2;
const OTHER: i32 = 1;

/// The disk of whom the voter has voted for, where a case tells disks apart, and another.
const DISK: u64 = 7;
const OTHER_DISK: u64 = 8;

/// The state a case tells in words.
fn epoch_state(words: &str) -> Checked<(EpochState, Option<ReplicaKey>)> {
    let says = |part: &str| words.contains(part);
    let votes = EpochElection::new([1, 2, 3], 1);
    let knows = [
        "leader known",
        "known leader",
        "with leader",
        "knows the leader",
    ];
    let leader = knows.iter().any(|it| says(it)).then_some(3);
    let voted = match words.split_once("voted") {
        Some((before, _)) if before.ends_with("not ") || before.ends_with("never ") => None,
        Some((_, after)) => {
            let named = says("directory") && !says("without directory");
            Some(ReplicaKey {
                id: ids(after)?.first().copied().unwrap_or(VOTED),
                directory: named.then_some(DISK),
            })
        }
        None => None,
    };
    let state = match words.split([',', ' ', '(', ':']).next() {
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
            let not = [
                "not fetched",
                "not yet fetched",
                "never fetched",
                "no fetch",
                "before",
            ];
            let has_fetched = says("fetch") && !not.iter().any(|it| says(it));
            EpochState::Follower {
                leader: 3,
                has_fetched,
            }
        }
        _ => return Err(unknown("state", words)),
    };
    Ok((state, voted))
}

/// Who asks in "vote from 1", "vote by the voted candidate", "vote by another", "vote from 2, other
/// directory"; everybody if the request does not say.
fn candidates(request: &str, voted: ReplicaKey) -> Checked<Vec<ReplicaKey>> {
    let other_disk = [
        "other directory",
        "another directory",
        "different directory",
    ];
    let moved = other_disk.iter().any(|it| request.contains(it));
    let directory = match voted.directory {
        _ if request.contains("without directory") => None,
        Some(_) if moved => Some(OTHER_DISK),
        known => known,
    };
    let request = other_disk
        .iter()
        .fold(request.to_owned(), |it, part| it.replace(part, ""));
    let other = if voted.id == OTHER { VOTED } else { OTHER };
    let named = ids(&request)?;
    let says = |words: &[&str]| words.iter().any(|it| request.contains(it));
    let asking = match named.as_slice() {
        [] if says(&["other", "else", "different"]) => vec![other],
        [] if moved || says(&["voted", "same"]) => vec![voted.id],
        [] => vec![voted.id, other],
        _ => named,
    };
    let key = |id| ReplicaKey { id, directory };
    Ok(asking.into_iter().map(key).collect())
}

/// Each request is asked with and without an up-to-date log.
fn votes(case: &Case) -> Checked {
    let (state, voted) = epoch_state(text(&case.input["state"])?)?;
    let requests = list(&case.input["requests"])?;
    let grants = list(&case.expect["grant"])?;
    same("answers", &json!(requests.len()), &json!(grants.len()))?;
    for (request, expected) in requests.iter().zip(grants) {
        let request = text(request)?;
        let pre_vote = request.starts_with("pre-vote");
        if !pre_vote && !request.starts_with("vote") {
            return Err(unknown("request", request));
        }
        let only_to_voted = expected.as_str().is_some_and(|it| it.contains("only"));
        for candidate in candidates(request, voted.unwrap_or(ReplicaKey::of(VOTED)))? {
            let grant = |up_to_date| state.can_grant_vote(candidate, up_to_date, pre_vote);
            let got = json!([grant(true), grant(false)]);
            let wanted = match expected {
                Value::Bool(grant) => [*grant; 2],
                Value::String(words) if words.contains("up to date") => [true, false],
                Value::String(_) if only_to_voted => [Some(candidate) == voted; 2],
                other => return Err(unknown("answer", other)),
            };
            let id = candidate.id;
            let what = format!("{request} of {id} with and without an up-to-date log");
            same(&what, &got, &json!(wanted))?;
        }
    }
    match case.expect.as_object().is_some_and(|all| all.len() == 1) {
        true => Ok(()),
        false => Err(unknown("expectation", &case.expect)),
    }
}

fn follower_updates(case: &Case) -> Checked {
    let mut known = None;
    let mut results = Vec::new();
    for update in list(&case.input["updates"])? {
        let update = match update {
            Value::Null => None,
            other => Some(int(other)?),
        };
        match follower_high_watermark(known, update) {
            Ok(now) => {
                known = now;
                results.push("ok");
            }
            Err(_) => results.push("IllegalArgument"),
        }
    }
    case.same_all(|key| {
        Ok(match key {
            "results" => Some(json!(results)),
            "hw" | "hw_at_end" => Some(json!(known)),
            _ => None,
        })
    })
}

/// The votes of an election, one after another: `[voter, granted]`.
fn election(case: &Case) -> Checked {
    let voters: Checked<Vec<_>> = list(&case.input["voters"])?
        .iter()
        .map(replica_of)
        .collect();
    let voters = voters?.into_iter().map(|key| key.id);
    let mut votes = EpochElection::new(voters, LEADER);
    let mut seen = vec![(votes.is_granted(), votes.is_rejected())];
    let mut known = Vec::new();
    for answer in list(&case.input["votes"])? {
        let granted = answer[1].as_bool().ok_or_else(|| unknown("vote", answer))?;
        known.push(votes.record(replica_of(&answer[0])?.id, granted));
        seen.push((votes.is_granted(), votes.is_rejected()));
    }
    let (granted, rejected): (Vec<bool>, Vec<bool>) = seen.into_iter().unzip();
    case.same_all(|key| {
        Ok(Some(match key {
            "granted" => json!(granted.last()),
            "rejected" => json!(rejected.last()),
            "granted_after_each" => json!(granted),
            "rejected_after_each" => json!(rejected),
            "known_voter" => json!(known),
            "unrecorded" => json!(votes.unrecorded().collect::<Vec<_>>()),
            _ => return Ok(None),
        }))
    })
}

pub(crate) fn check(case: &Case) -> Checked {
    match () {
        () if case.has("voters") && case.has("updates") => high_watermark(case),
        () if case.has("voters") && case.has("steps") => check_quorum(case),
        () if case.has("voters") && case.has("votes") => election(case),
        () if case.has("state") => votes(case),
        () if case.has("updates") => follower_updates(case),
        () => Err(unknown("shape of", &case.id)),
    }
}
