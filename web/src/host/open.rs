//! Opening sessions and asking them for what no view gives: the exported file, compiled
//! predicates, the ledger's table.

use std::sync::Arc;

use sim_core::check::Ledger;
use sim_core::run::{Recipe, Session};
use sim_core::scenario::{self, Diagnostic, Predicate, Scenario};

/// Opens a recipe.
pub(crate) fn open_session(recipe: Recipe) -> Result<Session, Vec<Diagnostic>> {
    let parsed = scenario::parse(&recipe.scenario);
    match parsed.scenario {
        Some(scenario) => Ok(Session::of(Arc::new(scenario), recipe)),
        None => Err(parsed.diagnostics),
    }
}

/// The run as a scenario file: its seed, and the learner's deeds among its lines.
pub(crate) fn to_toml(session: &Session) -> Result<String, String> {
    let recipe = session.recipe();
    let deeds: Vec<_> = recipe.actions.into_iter().map(|a| (a.at, a.deed)).collect();
    let first = |problems: Vec<Diagnostic>| {
        problems
            .into_iter()
            .next()
            .map_or_else(String::new, |d| d.message)
    };
    let text = scenario::with_actions(&recipe.scenario, &deeds).map_err(first)?;
    match recipe.seed {
        Some(seed) => scenario::with_seed(&text, seed).map_err(first),
        None => Ok(text),
    }
}

/// A predicate on the world of a scenario, compiled. The text of what is wrong with it otherwise.
pub(crate) fn predicate(scenario_text: &str, that: &str) -> Result<Predicate, String> {
    let quoted = scenario::units::quote(that);
    let parsed = scenario::parse(&format!("{scenario_text}\n[[expect]]\nthat = {quoted}\n"));
    let compiled = parsed
        .scenario
        .and_then(|s: Scenario| s.expectations.into_iter().next_back());
    compiled.map(|e| e.predicate).ok_or_else(|| {
        let problem = parsed.diagnostics.into_iter().next();
        problem.map_or_else(|| format!("`{that}` cannot be read"), |d| d.message)
    })
}

/// A record in the ledger's table.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RecordRow {
    /// Identity in the ledger.
    pub(crate) record: u64,
    /// Name of the producer.
    pub(crate) source: String,
    /// Its number among the producer's records, from 0.
    pub(crate) ordinal: u64,
    /// Its key, if any.
    pub(crate) key: Option<u32>,
    /// Its partition.
    pub(crate) lane: String,
    /// Where it stands in the newest leader's log; −1 if nowhere.
    pub(crate) offset: i64,
    /// What became of it, in the ledger's word.
    pub(crate) fate: &'static str,
}

/// A page of the records whose fate is wanted, newest first, and how many of them there are.
pub(crate) fn records(
    session: &Session,
    skip: usize,
    most: usize,
    wanted: impl Fn(&str) -> bool,
) -> (Vec<RecordRow>, usize) {
    let ledger: &Ledger = session.run().ledger();
    let found: Vec<_> = ledger.records().filter(|(_, r)| wanted(r.fate())).collect();
    let topics = session.scenario().kafka().map_or(&[][..], |k| &k.topics);
    let rows = found.iter().rev().skip(skip).take(most).map(|(id, r)| {
        // A record's identity is its producer's node and its ordinal there (see the ledger).
        let (source, ordinal) = ((id.0 >> 40) as usize, id.0 & ((1 << 40) - 1));
        let (topic, partition) = ((r.lane.0 >> 16) as usize, r.lane.0 & 0xffff);
        let topic = topics.get(topic).map_or("?", |t| &t.name);
        RecordRow {
            record: id.0,
            source: session
                .scenario()
                .nodes
                .get(source)
                .cloned()
                .unwrap_or_default(),
            ordinal,
            key: r.key,
            lane: format!("{topic}-{partition}"),
            offset: r.offset,
            fate: r.fate(),
        }
    });
    (rows.collect(), found.len())
}
