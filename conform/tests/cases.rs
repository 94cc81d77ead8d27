//! Every case of `cases/` passes, or is told in words or of a shape of its own: then it is
//! unsupported here, and a Rust test of the engine carries its id.

use conform::{Outcome, run};
use std::fs;
use std::path::{Path, PathBuf};

/// All files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// The source of the engine and of all tests that may carry a case's id.
fn sources() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [here.join("tests"), here.join("../sim-core")];
    let all = folders.iter().flat_map(|folder| files(folder));
    let rust = all.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("a readable file"))
        .collect()
}

#[test]
fn every_case_passes_or_has_a_test_of_its_own() {
    let sources = sources();
    let mut problems = Vec::new();
    let (mut passed, mut told) = (0, 0);
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).expect("a readable file");
        let report = run(&name, &text).expect("a file of cases");
        assert!(!report.cases.is_empty(), "{name} holds no case");
        for (id, outcome) in report.cases {
            let test = format!("fn {}(", id.replace(['-', '.'], "_").to_lowercase());
            match outcome {
                Outcome::Pass => passed += 1,
                Outcome::Unsupported(_) if sources.contains(&test) => told += 1,
                other => problems.push(format!("{name} {id}: {other:?}")),
            }
        }
    }
    println!("{passed} cases pass, {told} have a test of their own");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
