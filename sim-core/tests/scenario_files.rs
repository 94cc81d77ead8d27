//! Every story of `scenarios/` comes out as its file says: each expectation holds, no invariant is
//! broken, and nothing of its timeline is refused.

#![allow(clippy::disallowed_methods)] // reads the scenarios

mod support;

use std::path::Path;

/// How files for measuring and searching begin, which tell no story.
const TOOLS: [&str; 2] = ["bench-", "sweep"];

#[test]
fn every_story_comes_out_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = std::fs::read_dir(folder).expect("a folder");
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut stories: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .filter(|path| {
            let name = path.file_name().and_then(|it| it.to_str());
            name.is_some_and(|name| TOOLS.iter().all(|tool| !name.starts_with(tool)))
        })
        .collect();
    stories.sort();
    assert!(stories.len() >= 20, "{stories:?}");
    for path in stories {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).expect("readable");
        let judged = support::read(&name, &text).expectations.len();
        assert!(judged >= 2, "{name} expects next to nothing");
        let report = support::run(&name, &text);
        assert_eq!(report.verdicts.len(), judged, "{name}");
        support::assert_held(&name, &report);
    }
}

/// The whole ledger of the stories with which the course begins. Their files only say what a run that
/// a learner has changed should still show; here nothing is changed.
#[test]
fn the_first_stories_have_the_expected_ledgers() {
    // Sent and acknowledged, delivered, lost, duplicated, reordered; nothing fails in any of them.
    for (name, expected) in [
        ("acks1-leader-crash", [5400, 5373, 27, 0, 4]),
        ("acks-all-leader-crash", [5400, 5400, 0, 0, 0]),
        ("last-replica-standing", [1250, 0, 1000, 0, 0]),
        ("last-replica-min-isr-2", [1250, 0, 0, 0, 0]),
        ("unclean-election", [1750, 1750, 850, 0, 0]),
        ("kip-101-broken", [700, 0, 4, 0, 0]),
        ("kip-101-fixed", [700, 0, 0, 0, 0]),
        ("split-brain", [1400, 999, 401, 0, 0]),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../scenarios")
            .join(name)
            .with_extension("toml");
        let text = std::fs::read_to_string(&path).expect("readable");
        let it = support::run(name, &text).ledger;
        let got = [it.sent, it.delivered, it.lost, it.duplicated, it.reordered];
        assert_eq!(
            (got, it.acknowledged, it.failed),
            (expected, it.sent, 0),
            "{name}"
        );
    }
}
