//! Classic consumer groups: `ClassicGroupTest`, `GroupMetadataManagerTest`.
//!
//! Most cases are small scripts. A group is brought to where the case begins by the requests that
//! its members would send; the clock jumps as the real tests' clock does, so that a timer may be
//! seen to late. Scripts in free words are left to Rust tests with the case's name.

mod rig;

use super::errors::named;
use crate::case::{Case, Checked, Fault, same, unknown};
use crate::values::{bounded, count, list, members, numbers, offset, text, texts};
use rig::{Rig, state_name, state_named};
use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::classic_group::{ClassicGroup, State};

/// Most members of a group in a case.
const MEMBERS_MAX: usize = 1_000;

pub(crate) fn check(case: &Case) -> Checked {
    let input = &case.input;
    let has = |key: &str| !input[key].is_null();
    if has("transitions") {
        transitions(case)
    } else if has("states") {
        each_state(case)
    } else if input["members"].is_array() {
        votes(case)
    } else if has("who") {
        rejoin(case)
    } else if [
        "nobody_syncs",
        "followers_sync_at",
        "leader_syncs_at",
        "all_sync_at",
    ]
    .into_iter()
    .any(has)
    {
        syncs(case)
    } else if has("members") && has("state") {
        generation(case)
    } else if has("steps") {
        steps(case)
    } else {
        Err(unknown("input", input))
    }
}

/// Whether each transition is legal; `all` or `results`.
fn transitions(case: &Case) -> Checked {
    let mut got = Vec::new();
    for pair in list(&case.input["transitions"])? {
        let (from, to) = (state_named(text(&pair[0])?)?, state_named(text(&pair[1])?)?);
        let mut group = reach(from)?;
        got.push(match group.transition_to(to, 0) {
            Ok(()) => "ok",
            Err(_) => "IllegalState",
        });
    }
    let spelt = |expected: &Value, got: &str| match expected.as_str() {
        Some("legal" | "valid" | "ok") if got == "ok" => expected.clone(),
        Some("IllegalStateException" | "illegal") if got != "ok" => expected.clone(),
        _ => json!(got),
    };
    let expect = &case.expect;
    if !expect["all"].is_null() {
        for (pair, got) in list(&case.input["transitions"])?.iter().zip(&got) {
            let got = spelt(&expect["all"], got);
            same(&pair.to_string(), &got, &expect["all"])?;
        }
        return Ok(());
    }
    case.same("results", &json!(got))
}

/// A group that went by legal transitions to a state.
fn reach(state: State) -> Checked<ClassicGroup> {
    let mut group = ClassicGroup::new(0);
    let way: &[State] = match state {
        State::Empty => &[],
        State::Dead => &[State::Dead],
        State::PreparingRebalance => &[State::PreparingRebalance],
        State::CompletingRebalance => &[State::PreparingRebalance, State::CompletingRebalance],
        State::Stable => &[
            State::PreparingRebalance,
            State::CompletingRebalance,
            State::Stable,
        ],
    };
    for next in way {
        group
            .transition_to(*next, 0)
            .map_err(|it| Fault::Differs(it.0))?;
    }
    Ok(group)
}

/// In each state: whether the group may be deleted, or can rebalance.
fn each_state(case: &Case) -> Checked {
    let states = texts(&case.input["states"])?;
    case.same_all(|key| {
        let expected = list(&case.expect[key])?;
        let mut got = Vec::new();
        for (name, expected) in states.iter().zip(expected) {
            let group = reach(state_named(name)?)?;
            got.push(match (key, group.validate_delete()) {
                ("can_rebalance", _) => json!(group.can_rebalance()),
                ("results", Ok(())) => json!("ok"),
                // The exception is named after the group, the code after what it is not.
                ("results", Err(ErrorCode::NonEmptyGroup)) if *expected == "GROUP_NOT_EMPTY" => {
                    expected.clone()
                }
                ("results", Err(error)) => named(error, expected),
                _ => return Ok(None),
            });
        }
        Ok(Some(json!(got)))
    })
}

/// Members by their lists of protocols, and what they choose after so many of them.
fn votes(case: &Case) -> Checked {
    let lists = list(&case.input["members"])?;
    case.same_all(|key| {
        let words = ["one", "two", "three", "four", "five"];
        let count = match key.rsplit('_').next() {
            Some("selected" | "protocol" | "all") => Some(lists.len()),
            Some(word) => words.iter().position(|it| *it == word).map(|at| at + 1),
            None => None,
        };
        let Some(count) = count.filter(|it| *it <= lists.len()) else {
            return Ok(None);
        };
        let mut rig = Rig::new(case)?;
        for protocols in lists.iter().take(count) {
            rig.add(&texts(protocols)?)?;
        }
        let chosen = rig.group.select_protocol();
        let chosen = chosen.as_deref().unwrap_or_default();
        // A tie may go either way.
        let expected = case.expect[key].as_str().unwrap_or_default();
        let fits = expected.split(" or ").any(|it| it == chosen);
        Ok(Some(if fits { json!(expected) } else { json!(chosen) }))
    })
}

/// The next generation of a group with so many members.
fn generation(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    for _ in 0..count(offset(&case.input["members"])?, MEMBERS_MAX)? {
        rig.add(&["range", "roundrobin"])?;
    }
    let state = state_named(text(&case.input["state"])?)?;
    if state != State::PreparingRebalance {
        return Err(unknown("state before a generation", state.name()));
    }
    let moved = rig.group.transition_to(state, 0);
    moved.map_err(|it| Fault::Differs(it.0))?;
    let before = rig.group.generation();
    let done = rig.group.init_next_generation(0);
    done.map_err(|it| Fault::Differs(it.0))?;
    case.same_all(|key| {
        Ok(Some(match key {
            "generation" => match case.expect[key].is_array() {
                true => json!([before, rig.group.generation()]),
                false => json!(rig.group.generation()),
            },
            "protocol" => json!(rig.group.protocol()),
            "state" => state_name(rig.group.state(), &case.expect[key]),
            _ => return Ok(None),
        }))
    })
}

/// A member of a stable group of two (or the leader alone) joins again.
fn rejoin(case: &Case) -> Checked {
    let input = &case.input;
    if state_named(text(&input["state"])?)? != State::Stable {
        return Err(unknown("state to rejoin in", &input["state"]));
    }
    let who = text(&input["who"])?;
    let leads = who.contains("leader");
    let same = match who.rsplit([',', ' ']).nth(1) {
        _ if who.contains("same") || who.contains("unchanged") => true,
        _ if ["updated", "changed", "new", "other"]
            .iter()
            .any(|it| who.contains(it)) =>
        {
            false
        }
        _ => return Err(unknown("member", who)),
    };
    let mut rig = Rig::new(case)?;
    let target = match &input["generation"] {
        Value::Null => 1,
        given => offset(given)?,
    };
    // The real tests begin with a leader alone; a follower comes in the second generation.
    let first = rig.join("leader");
    rig.advance(rig.settings.initial_rebalance_delay_ms);
    rig.settle();
    let mut asked = rig.member_of(first)?;
    if !leads {
        rig.join("follower");
        rig.rejoin(&asked, "same");
        rig.settle();
        asked = rig.follower()?;
    }
    if i64::from(rig.group.generation()) != target {
        return Err(unknown("generation to rejoin in", target));
    }
    rig.rejoin(&asked, if same { "same" } else { "other" });
    case.same_all(|key| {
        Ok(Some(match key {
            "generation" => json!(rig.group.generation()),
            "state" => state_name(rig.group.state(), &case.expect[key]),
            _ => return Ok(None),
        }))
    })
}

/// A group of some members after its join phase: who syncs, and what the rebalance timeout does.
fn syncs(case: &Case) -> Checked {
    let input = &case.input;
    let mut rig = Rig::new(case)?;
    for n in 0..count(offset(&input["members"])?, MEMBERS_MAX)? {
        rig.join(&format!("member-{n}"));
    }
    while rig.group.state() == State::PreparingRebalance {
        rig.advance(rig.settings.initial_rebalance_delay_ms);
    }
    let start = rig.now_ms;
    let leader = rig.leader()?;
    let at = |key: &str| match &input[key] {
        Value::Null => Ok(None),
        given => offset(given).map(Some),
    };
    let all = at("all_sync_at")?;
    let mut due: Vec<(i64, bool)> = Vec::new();
    due.extend(at("leader_syncs_at")?.or(all).map(|ms| (ms, true)));
    due.extend(at("followers_sync_at")?.or(all).map(|ms| (ms, false)));
    due.sort_unstable();
    let mut sync_of_leader = None;
    let mut sync_of_followers = Vec::new();
    for (ms, of_leader) in due {
        rig.go_to(start + ms);
        if of_leader {
            sync_of_leader = Some(rig.sync(&leader));
        } else {
            for id in rig.ids().into_iter().filter(|id| *id != leader) {
                sync_of_followers.push(rig.sync(&id));
            }
        }
    }
    let known = rig.ids();
    for (moment, parts) in members(&case.expect)? {
        let Some(ms) = moment
            .strip_prefix("at_")
            .and_then(|it| it.parse::<i64>().ok())
        else {
            return Err(unknown("expectation", moment));
        };
        rig.go_to(start + ms);
        for (key, expected) in members(parts)? {
            let got: Vec<Value> = match key {
                "state" => vec![state_name(rig.group.state(), expected)],
                "members" => vec![json!(rig.group.members().len())],
                "generation" => vec![json!(rig.group.generation())],
                "heartbeats" => known.iter().map(|id| rig.beat(id, expected)).collect(),
                "leader_heartbeat" => vec![rig.beat(&leader, expected)],
                "follower_heartbeat" | "followers_heartbeat" | "follower_heartbeats" => {
                    let others = known.iter().filter(|id| **id != leader);
                    others.map(|id| rig.beat(id, expected)).collect()
                }
                "leader_sync" => vec![rig.synced(sync_of_leader, expected)],
                "follower_sync" | "followers_sync" | "follower_syncs" => {
                    let each = sync_of_followers.iter();
                    each.map(|ticket| rig.synced(Some(*ticket), expected))
                        .collect()
                }
                _ => return Err(unknown("expectation", key)),
            };
            for got in got {
                same(&format!("{moment} {key}"), &got, expected)?;
            }
        }
    }
    Ok(())
}

/// Steps with times: joins, and looks.
fn steps(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let mut seen: Vec<(bool, usize, usize)> = Vec::new();
    let mut tickets = Vec::new();
    for step in texts(&case.input["steps"])? {
        let (what, at) = match step.split_once("t=") {
            Some((what, at)) => (what.trim(), Some(rig.time(at.trim())?)),
            None => (step.trim(), None),
        };
        if let Some(at) = at {
            rig.jump_to(at);
        }
        match what.split([' ', ',']).collect::<Vec<_>>().as_slice() {
            [""] if at.is_some() => {}
            ["join", "without", "member", "id"] => {
                rig.known_id_required = true;
                tickets.push(rig.join("member"));
            }
            ["first" | "second" | "third" | "another", "join"] => tickets.push(rig.join("member")),
            ["join", who @ ..] if who.iter().all(|it| it.len() <= 1) => {
                for name in who.iter().filter(|it| !it.is_empty()) {
                    tickets.push(rig.join(name));
                }
            }
            _ => return Err(unknown("step", step)),
        }
        let answered = !tickets.is_empty() && tickets.iter().all(|it| rig.joins.contains_key(it));
        let group = &rig.group;
        seen.push((answered, group.members().len(), group.pending_joins()));
    }
    case.same_all(|key| {
        Ok(Some(match key {
            "join_answered" | "answered" => seen.iter().map(|it| json!(it.0)).collect(),
            "members" => seen.iter().map(|it| json!(it.1)).collect(),
            "pending" => seen.iter().map(|it| json!(it.2)).collect(),
            "join_error" | "error" => {
                let first = tickets.first().and_then(|it| rig.joins.get(it));
                let error = first.map_or(ErrorCode::None, |it| it.error);
                named(error, &case.expect[key])
            }
            "generation" => json!(rig.group.generation()),
            "state" => state_name(rig.group.state(), &case.expect[key]),
            _ => return Ok(None),
        }))
    })
}

impl Rig {
    /// A time in a script: `1000`, `D`, `D/2`, `2D+1`, where D is the initial delay.
    fn time(&self, words: &str) -> Checked<i64> {
        let delay = self.settings.initial_rebalance_delay_ms;
        let mut sum = 0;
        for (sign, term) in signed(words) {
            let value = match term.split_once('D') {
                None => numbers(term).first().copied(),
                Some((factor, rest)) => {
                    let factor = match factor.trim_end_matches(['*', ' ']) {
                        "" => Some(1),
                        digits => digits.parse().ok(),
                    };
                    let divisor = match rest.strip_prefix('/') {
                        None => Some(1),
                        Some(digits) => digits.parse().ok().filter(|it| *it != 0),
                    };
                    factor
                        .zip(divisor)
                        .and_then(|(by, of): (i64, i64)| delay.checked_mul(by)?.checked_div(of))
                }
            };
            let value = bounded(value.ok_or_else(|| unknown("time", words))?)?;
            sum = bounded(sum + sign * value)?;
        }
        Ok(sum)
    }

    /// A span of the input in ms, which may be given in D.
    pub(crate) fn span(&self, value: &Value) -> Checked<i64> {
        match value.as_str() {
            Some(words) => self.time(words),
            None => offset(value),
        }
    }
}

/// The terms of a sum with their signs.
fn signed(words: &str) -> Vec<(i64, &str)> {
    let mut terms = Vec::new();
    for plus in words.split('+') {
        for (at, term) in plus.split('-').enumerate() {
            terms.push((if at == 0 { 1 } else { -1 }, term.trim()));
        }
    }
    terms
}
