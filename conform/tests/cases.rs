//! Every case of `cases/` passes, but for those that are told in words: each of them has a test of
//! its own, which carries its id.

use conform::{Outcome, run};
use std::fs;
use std::path::Path;

#[test]
fn every_case_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut problems = Vec::new();
    let mut passed = 0;
    for system in fs::read_dir(folder).expect("cases/").flatten() {
        for file in fs::read_dir(system.path()).expect("a folder").flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(file.path()).expect("a readable file");
            let report = run(&name, &text).expect("a file of cases");
            assert!(!report.cases.is_empty(), "{name} holds no case");
            for (id, outcome) in report.cases {
                match outcome {
                    Outcome::Pass => passed += 1,
                    other => problems.push(format!("{name} {id}: {other:?}")),
                }
            }
        }
    }
    println!("{passed} cases pass");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
