//! The documentation names everything that a predicate may ask of a job. (That it names every key
//! and verb, and that its examples are good, is tested with that of the whole language.)

use super::read;
use crate::stream::probe::{JobProbe, MachineProbe, OperatorProbe, StoreProbe};

const TEXT: &str = include_str!("../../../../../docs/STREAM.md");

#[test]
fn both_ways_to_list_records_mean_the_same() {
    let block = TEXT.split("```toml\n").find(|it| it.contains("in-a-table"));
    let block = block.and_then(|it| it.split("```").next());
    let ((spec, _), _) = read(block.expect("the example"));
    assert_eq!(spec.operators[0].kind, spec.operators[1].kind);
}

/// Whether the documentation has a word.
fn said(word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    TEXT.match_indices(word).any(|(at, _)| {
        let before = TEXT[..at].chars().next_back().is_none_or(|c| !part(c));
        let after = TEXT[at + word.len()..].chars().next();
        before && after.is_none_or(|c| !part(c))
    })
}

#[test]
fn every_name_is_documented() {
    let jobs = JobProbe::ALL.iter().map(|it| it.1);
    let operators = OperatorProbe::ALL.iter().map(|it| it.1);
    let stores = StoreProbe::ALL.iter().map(|it| it.1);
    let machines = MachineProbe::ALL.iter().map(|it| it.1);
    let all = jobs.chain(operators).chain(stores).chain(machines);
    let all = all.chain(["manager"]);
    let missing: Vec<&str> = all.filter(|it| !said(it)).collect();
    assert!(
        missing.is_empty(),
        "docs/STREAM.md does not mention {missing:?}"
    );
}
