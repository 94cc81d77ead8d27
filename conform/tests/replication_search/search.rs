//! Breadth-first search of the small world, and what must hold in each state.

use crate::decisions::Decisions;
use crate::state::{REPLICAS, State};
use crate::steps::{Bounds, next};
use sim_core::kafka::rules::replication::ReplicationRules;
use std::collections::HashMap;

/// What must hold. The names are those of the public specification, but for the last two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Invariant {
    /// All whom a leader takes for in sync have what is below its high watermark.
    WeakIsr,
    /// All whom the controller takes for in sync have what is below any leader's high watermark.
    StrongIsr,
    /// Two replicas agree below both their high watermarks.
    HwAgreement,
    /// Equal offset and epoch mean equal records.
    LogMatching,
}

pub(crate) const ALL: [Invariant; 4] = [
    Invariant::WeakIsr,
    Invariant::StrongIsr,
    Invariant::HwAgreement,
    Invariant::LogMatching,
];

fn below_hw_on(state: &State, leader: usize, isr: u8) -> bool {
    let it = &state.replicas[leader];
    let members = (0..REPLICAS).filter(|id| isr & 1 << id != 0);
    let mut records = (0..it.hw).map(|offset| (offset, it.log.record(offset)));
    let members: Vec<usize> = members.collect();
    records.all(|(offset, record)| {
        let has = |id: &usize| state.replicas[*id].log.record(offset) == record;
        record.is_some() && members.iter().all(has)
    })
}

impl Invariant {
    pub(crate) fn holds(self, state: &State) -> bool {
        let mut leaders = (0..REPLICAS).filter(|id| state.leads(*id));
        let mut pairs = [(0, 1), (0, 2), (1, 2)].into_iter();
        let both = |(a, b): (usize, usize)| (&state.replicas[a], &state.replicas[b]);
        match self {
            Invariant::WeakIsr => leaders.all(|id| below_hw_on(state, id, state.replicas[id].isr)),
            Invariant::StrongIsr => leaders.all(|id| below_hw_on(state, id, state.isr)),
            Invariant::HwAgreement => pairs.all(|pair| {
                let (a, b) = both(pair);
                (0..a.hw.min(b.hw)).all(|at| a.log.record(at) == b.log.record(at))
            }),
            Invariant::LogMatching => pairs.all(|pair| {
                let (a, b) = both(pair);
                (0..a.log.len.min(b.log.len)).all(|at| {
                    let (one, other) = (a.log.record(at), b.log.record(at));
                    one == other || one.map(|it| it.0) != other.map(|it| it.0)
                })
            }),
        }
    }
}

/// An invariant that broke.
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    /// How many states the shortest way to it has.
    pub(crate) length: usize,
    /// Its steps.
    pub(crate) steps: Vec<String>,
}

/// What a search came to.
pub(crate) struct Found {
    pub(crate) violated: Vec<Violation>,
    /// How many states there are, but for names of replicas.
    pub(crate) states: usize,
}

/// Searches until nothing is new; or, if that is `enough`, until all invariants are broken.
pub(crate) fn search(
    rules: ReplicationRules,
    bounds: Bounds,
    invariants: &[Invariant],
    enough: bool,
) -> Found {
    let mut decisions = Decisions::new(rules);
    let start = State::start().packed();
    let mut known: HashMap<u128, u32> = HashMap::from([(start, 0)]);
    let mut states = vec![start];
    let mut cause = vec![0_u32];
    let mut violated = Vec::new();
    let mut open = invariants.to_vec();
    let mut at = 0;
    while at < states.len() && !(enough && open.is_empty()) {
        let state = State::unpacked(states[at]);
        open.retain(|invariant| {
            let holds = invariant.holds(&state);
            if !holds {
                violated.push((*invariant, at as u32));
            }
            holds
        });
        for (_, after) in next(&mut decisions, bounds, &state) {
            let packed = after.packed();
            let number = states.len() as u32;
            if *known.entry(packed).or_insert(number) == number {
                states.push(packed);
                cause.push(at as u32);
            }
        }
        at += 1;
    }
    let told = violated.into_iter().map(|(invariant, last)| {
        let way = way(&cause, last);
        // From the start on, so that each replica keeps its name.
        let mut state = State::start();
        let mut steps = Vec::new();
        for number in &way[1..] {
            let packed = states[*number as usize];
            let mut all = next(&mut decisions, bounds, &state).into_iter();
            let (step, after) = all.find(|it| it.1.packed() == packed).expect("a way");
            steps.push(step.to_string());
            state = after;
        }
        Violation {
            invariant,
            length: way.len(),
            steps,
        }
    });
    Found {
        violated: told.collect(),
        states: states.len(),
    }
}

/// Walks one way and checks that the invariant breaks at its end and not before.
///
/// Several steps may be called the same, as where a replica hears that another one leads, of this
/// epoch or that: all of them are tried.
pub(crate) fn walk(
    rules: ReplicationRules,
    bounds: Bounds,
    invariant: Invariant,
    steps: &[&str],
) -> Result<(), String> {
    let mut decisions = Decisions::new(rules);
    let mut states = vec![State::start()];
    for wanted in steps {
        if let Some(early) = states.iter().find(|it| !invariant.holds(it)) {
            return Err(format!("it breaks before {wanted:?}: {early:?}"));
        }
        let mut after = Vec::new();
        for state in &states {
            let all = next(&mut decisions, bounds, state).into_iter();
            after.extend(all.filter(|it| it.0.to_string() == *wanted).map(|it| it.1));
        }
        if after.is_empty() {
            return Err(format!("{wanted:?} cannot happen"));
        }
        states = after;
    }
    match states.iter().all(|it| invariant.holds(it)) {
        true => Err("it does not break".to_owned()),
        false => Ok(()),
    }
}

/// The states on the way to one, from the start on.
fn way(cause: &[u32], last: u32) -> Vec<u32> {
    let mut all = vec![last];
    let mut at = last;
    while at != 0 {
        at = cause[at as usize];
        all.push(at);
    }
    all.reverse();
    all
}
