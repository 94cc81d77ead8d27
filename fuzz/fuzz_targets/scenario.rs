//! Any bytes as a scenario: reading, drawing the problems, exporting and completing never panic,
//! and every problem lies on the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim_core::kernel::{Deed, NodeId};
use sim_core::scenario::{Severity, complete, parse_bytes, render, with_actions, with_seed};

fuzz_target!(|data: &[u8]| {
    let parsed = parse_bytes(data);
    let errors = parsed
        .diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    assert_eq!(parsed.scenario.is_none(), errors, "a scenario or an error");
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for found in &parsed.diagnostics {
        assert!(
            text.get(found.span.clone()).is_some(),
            "a place off the text"
        );
    }
    let _ = render(&parsed.diagnostics, "fuzz.toml", text);
    let middle = text.len() / 2;
    for offset in [middle, text.len()] {
        for found in complete(text, offset) {
            assert!(
                text.get(found.replace).is_some(),
                "a completion off the text"
            );
        }
    }
    if parsed.scenario.is_some() {
        let done = [(1, Deed::Crash(NodeId(0)))];
        let out = with_actions(text, &done).expect("the text is good");
        let read = parse_bytes(out.as_bytes());
        let limits = |code: &str| code.starts_with("limit-");
        assert!(
            read.scenario.is_some() || read.diagnostics.iter().any(|found| limits(found.code)),
            "an export reads back"
        );
        with_seed(text, u64::MAX).expect("the text is good");
    }
});
