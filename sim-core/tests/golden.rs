//! Golden digests: stories that between them touch every part of the cluster run to the committed
//! digest, natively and as WebAssembly (Node.js and Chromium run this same file). That *every* story
//! has one digest everywhere is the affair of `e2e/stories-*.test.mjs`, which run all of them on the
//! built site beside the native command.
//!
//! A digest that changes means that every stored link changes: raise `ENGINE_VERSION` and say so in
//! CHANGELOG.md. The failing test prints the file as it would be now.

use sim_core::check::RunPlan;
use sim_core::scenario;
use std::sync::Arc;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

macro_rules! story {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../scenarios/", $name, ".toml")),
        )
    };
}

/// (file name, text). Embedded, since WebAssembly has no file system.
const STORIES: &[(&str, &str)] = &[
    story!("acks1-leader-crash"),
    story!("acks-all-leader-crash"),
    story!("last-replica-standing"),
    story!("last-replica-min-isr-2"),
    story!("unclean-election"),
    story!("kip-101-broken"),
    story!("kip-101-fixed"),
    story!("split-brain"),
    story!("quickstart"),
    story!("tombstone-too-late"),
    story!("retention-outruns-reader"),
];

/// Lines of `name digest events`.
const GOLDEN: &str = include_str!("golden/digests.txt");

fn run(name: &str, text: &str) -> String {
    let scenario = scenario::parse(text)
        .into_result()
        .unwrap_or_else(|problems| panic!("{name}: {}", scenario::render(&problems, name, text)));
    let seed = scenario.seed;
    let report = RunPlan::of(Arc::new(scenario), seed).run(|_, _| true);
    format!("{name} {} {}", report.digest, report.events)
}

#[test]
fn stories_have_their_golden_digests() {
    let got: Vec<String> = STORIES.iter().map(|(name, text)| run(name, text)).collect();
    let want: Vec<&str> = GOLDEN.lines().collect();
    assert_eq!(got, want, "the file would now be:\n{}", got.join("\n"));
}
