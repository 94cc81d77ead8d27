//! Any text as a file of conformance cases, and any JSON as the input of a case of each family: the
//! readers never panic, and answer for every case.
#![no_main]

use conform::run;
use libfuzzer_sys::fuzz_target;

const FAMILIES: [&str; 10] = [
    "consumer-position",
    "controller-election",
    "follower-truncation",
    "kraft-quorum",
    "leader-epoch-cache",
    "log-hw-lso-retention",
    "partition-isr-hw",
    "partitioner",
    "producer-state",
    "txn-coordinator",
];

fuzz_target!(|text: &str| {
    for family in FAMILIES {
        let _ = run(family, text);
        let case = format!(r#"{{"cases": [{{"id": "a", "input": {text}, "expect": {text}}}]}}"#);
        if let Ok(report) = run(family, &case) {
            assert!(!report.cases.is_empty(), "a case has no answer");
        }
    }
});
