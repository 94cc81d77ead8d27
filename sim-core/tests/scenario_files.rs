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
