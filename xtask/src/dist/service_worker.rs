//! The service worker: the list of all files with their hashes, put into `sw.js`.
//!
//! The worker's version is the hash of that list, so that a new build is noticed and an unchanged
//! one is not; files are cached under their hash, so that an update fetches only what changed.

use super::{files, short_hash, write_text};
use crate::failure::{Failure, Outcome};
use std::fs;
use std::path::Path;

/// The worker's name. It is not hashed: browsers look for updates under the registered address.
pub(crate) const FILE: &str = "sw.js";
const SOURCE: &str = include_str!("sw.js");
const LIST: &str = "const FILES = {};";
const VERSION: &str = "const VERSION = \"development\";";

/// Writes the worker for all files that stand in `staging` now.
pub(crate) fn write(staging: &Path) -> Outcome<()> {
    let mut entries = Vec::new();
    for name in files(staging)? {
        // Hidden files are for the host, and a worker must not keep itself.
        if name == FILE || name.split('/').any(|part| part.starts_with('.')) {
            continue;
        }
        let path = staging.join(&name);
        let bytes = fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
        entries.push(format!("  {:?}: {:?},\n", name, short_hash(&bytes)));
    }
    write_text(&staging.join(FILE), &fill(&entries.concat()))
}

fn fill(entries: &str) -> String {
    let version = short_hash(format!("{SOURCE}{entries}").as_bytes());
    SOURCE
        .replacen(LIST, &format!("const FILES = {{\n{entries}}};"), 1)
        .replacen(VERSION, &format!("const VERSION = \"{version}\";"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_marks_are_filled() {
        let worker = fill("  \"a.js\": \"00\",\n");
        assert!(worker.contains("\"a.js\": \"00\""));
        assert!(!worker.contains(LIST) && !worker.contains(VERSION));
        assert_ne!(
            fill("").lines().find(|l| l.contains("VERSION =")),
            worker.lines().find(|l| l.contains("VERSION ="))
        );
    }
}
