//! What a first visit downloads, compressed as static hosts do it.

use super::{files, read_text};
use crate::failure::{Failure, Outcome};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The most that the home page's wasm, js and css may weigh together, gzip, in bytes.
pub(crate) const FIRST_BYTES: u64 = 450 * 1024;

/// The most that the application may weigh, which the home page loads when it runs and all other
/// pages at once; it stands a little above what is there.
const LATER_BYTES: u64 = 1760 * 1024;

struct File {
    name: String,
    /// Not part of the home page's first load.
    later: bool,
    raw_bytes: u64,
    gzip_bytes: u64,
}

/// The files of the first load with their sizes.
pub(crate) struct Sizes {
    files: Vec<File>,
}

/// Measures what the home page loads: the files it names, and the snippets they import.
pub(crate) fn measure(dist: &Path) -> Outcome<Sizes> {
    let home = read_text(&dist.join("index.html"))?;
    let counts = |name: &str| {
        let kind = [".wasm", ".js", ".css"]
            .iter()
            .any(|ending| name.ends_with(ending));
        // The editor's bundle is named in a meta element, but loaded later.
        let now = home.contains(name) && !name.starts_with("editor-") && name != "sw.js";
        let imported = name.starts_with("snippets/") || name.starts_with("later-");
        kind && (now || imported)
    };
    let mut found = Vec::new();
    for name in files(dist)?.into_iter().filter(|name| counts(name)) {
        // The halves' link is imported at once, and the second half when the home page runs.
        let later = name.starts_with("later-") && name.ends_with(".wasm");
        let path = dist.join(&name);
        let bytes = fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
        let gzip_bytes = gzip(&bytes).map_err(|e| Failure::io("compress", &path, &e))?;
        found.push(File {
            name,
            later,
            raw_bytes: bytes.len() as u64,
            gzip_bytes,
        });
    }
    Ok(Sizes { files: found })
}

fn gzip(bytes: &[u8]) -> std::io::Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}

fn kilobytes(bytes: u64) -> String {
    format!("{}.{} KB", bytes / 1024, bytes % 1024 * 10 / 1024)
}

impl Sizes {
    /// The home page's first load, gzip.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.gzip_bytes(false)
    }

    /// What is loaded after it, or at once by all other pages, gzip.
    fn later_bytes(&self) -> u64 {
        self.gzip_bytes(true)
    }

    fn gzip_bytes(&self, later: bool) -> u64 {
        let part = self.files.iter().filter(|file| file.later == later);
        part.map(|file| file.gzip_bytes).sum()
    }

    /// An error text if the budget is exceeded, or if nothing was measured.
    pub(crate) fn verdict(&self) -> Result<String, String> {
        let has = |ending| self.files.iter().any(|file| file.name.ends_with(ending));
        if !has(".wasm") || !has(".js") {
            return Err("the home page names no module: nothing was measured".to_owned());
        }
        let loads = [
            ("first load", self.total_bytes(), FIRST_BYTES),
            ("second load", self.later_bytes(), LATER_BYTES),
        ];
        let notes = loads.map(|(name, bytes, budget)| {
            let (held, budget) = (bytes <= budget, kilobytes(budget));
            let how = if held { "of" } else { "over the budget of" };
            (
                held,
                format!("{name} {} gzip {how} {budget}", kilobytes(bytes)),
            )
        });
        let text = notes.each_ref().map(|(_, note)| note.as_str()).join(", ");
        match notes.iter().all(|(held, _)| *held) {
            true => Ok(text),
            false => Err(text),
        }
    }

    /// One line a file, for people.
    pub(crate) fn table(&self) -> String {
        let row = |name: &str, raw: u64, gzip: u64| {
            format!(
                "  {name:<44} {:>12} {:>12} gzip",
                kilobytes(raw),
                kilobytes(gzip)
            )
        };
        let mut lines: Vec<_> = self
            .files
            .iter()
            .map(|file| row(&file.name, file.raw_bytes, file.gzip_bytes))
            .collect();
        let loads = [
            ("first load, wasm + js + css", false),
            ("second load, the application", true),
        ];
        for (name, later) in loads {
            let part = self.files.iter().filter(|file| file.later == later);
            let raw = part.map(|file| file.raw_bytes).sum();
            lines.push(row(name, raw, self.gzip_bytes(later)));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(files: &[(&str, u64)]) -> Sizes {
        let file = |(name, size): &(&str, u64)| File {
            name: (*name).to_owned(),
            later: name.starts_with("later"),
            raw_bytes: *size,
            gzip_bytes: *size,
        };
        Sizes {
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn the_budget_binds() {
        for (files, holds) in [
            (vec![("a.wasm", FIRST_BYTES - 1), ("a.js", 1)], true),
            (vec![("a.wasm", FIRST_BYTES), ("a.js", 1)], false),
            (
                vec![("a.wasm", 1), ("a.js", 1), ("later", LATER_BYTES)],
                true,
            ),
            (
                vec![("a.wasm", 1), ("a.js", 1), ("later", LATER_BYTES + 1)],
                false,
            ),
            (vec![("a.js", 1)], false),
            (vec![], false),
        ] {
            assert_eq!(sizes(&files).verdict().is_ok(), holds, "{files:?}");
        }
    }
}
