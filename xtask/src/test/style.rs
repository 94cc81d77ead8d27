//! Rules of the house that rustfmt and clippy do not know.
//!
//! Each Rust file opens with a `//!` paragraph that says what it models; no file is so long that
//! it cannot be read in one sitting; nothing is left as a promise in a comment.

use super::totals::Totals;
use crate::failure::{Failure, Outcome};
use crate::{paths, ui};
use std::fs;
use std::path::{Path, PathBuf};

/// About 500 is the aim; this is where the test fails.
const LONGEST_LINES: usize = 600;
// In two halves, or this file would break its own rule.
const PROMISES: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Checks every Rust file of the workspace; each file is one test.
pub(crate) fn check() -> Outcome<Totals> {
    let mut totals = Totals::default();
    for crate_dir in ["sim-core", "conform", "lessons", "cli", "web", "xtask"] {
        for path in rust_files(&paths::root().join(crate_dir))? {
            let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
            let complaints = complaints(&text);
            for complaint in &complaints {
                ui::line(&format!("{}: {complaint}", paths::short(&path)));
            }
            totals.passed += u32::from(complaints.is_empty());
            totals.failed += u32::from(!complaints.is_empty());
        }
    }
    Ok(totals)
}

fn rust_files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).map_err(|e| Failure::io("list", &dir, &e))?;
        for entry in entries {
            let path = entry.map_err(|e| Failure::io("list", &dir, &e))?.path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn complaints(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push("does not open with a `//!` paragraph on what it models".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST_LINES {
        found.push(format!(
            "has {lines} lines; split it, {LONGEST_LINES} are the limit"
        ));
    }
    for (index, line) in text.lines().enumerate() {
        let words = || line.split(|c: char| !c.is_alphanumeric());
        if let Some(word) = PROMISES
            .iter()
            .find(|promise| words().any(|word| word == **promise))
        {
            found.push(format!(
                "line {}: {word}: do it or open an issue",
                index + 1
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complains_about_each_rule() {
        let long = format!("//! Long.\n{}", "\n".repeat(LONGEST_LINES));
        let promise = format!("//! A.\n// {}: later", PROMISES[0]);
        for (text, expect) in [
            ("//! Good.\nfn f() {}", None),
            ("fn f() {}", Some("does not open")),
            (long.as_str(), Some("lines; split it")),
            (promise.as_str(), Some("line 2")),
        ] {
            let found = complaints(text).join("\n");
            match expect {
                None => assert_eq!(found, ""),
                Some(expect) => assert!(found.contains(expect), "{found:?}"),
            }
        }
    }
}
