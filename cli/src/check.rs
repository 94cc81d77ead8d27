//! `strandline check`: read scenario files without running them.

use crate::args::CheckArgs;
use crate::{Outcome, input};
use std::path::{Path, PathBuf};

/// Checks files, and all `.toml` files of folders; prints every problem of every file.
pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let mut files = Vec::new();
    let mut passed_over = 0;
    for path in &args.paths {
        let before = files.len();
        if let Err(error) = collect(path, &mut files, &mut passed_over) {
            eprintln!("cannot read {}: {error}", path.display());
            return Outcome::BadInput;
        }
        if files.len() == before {
            eprintln!(
                "no scenario in {}: expected .toml files that begin with `strandline = 1`",
                path.display()
            );
            return Outcome::BadInput;
        }
    }
    let mut bad = 0;
    for file in &files {
        match input::scenario(file) {
            Ok((_, scenario)) => crate::say!("ok   {} ({})", file.display(), scenario.title),
            Err(_) => {
                crate::say!("bad  {}", file.display());
                bad += 1;
            }
        }
    }
    let other = match passed_over {
        0 => String::new(),
        n => format!(", {n} .toml passed over, no scenario (no `strandline` key)"),
    };
    crate::say!("{} checked, {bad} bad{other}", files.len());
    if bad == 0 {
        Outcome::Held
    } else {
        Outcome::BadInput
    }
}

/// Gathers the scenarios of a folder; a file that is named is one.
fn collect(path: &Path, files: &mut Vec<PathBuf>, passed_over: &mut u32) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files, passed_over)?;
        } else if entry.extension().is_some_and(|e| e == "toml") {
            match is_scenario(&entry) {
                true => files.push(entry),
                false => *passed_over += 1,
            }
        }
    }
    Ok(())
}

/// Other tools have their `.toml` beside scenarios. What cannot be read is told by the reader.
fn is_scenario(path: &Path) -> bool {
    std::fs::read_to_string(path).map_or(true, |text| {
        let mut lines = text.lines().map(str::trim_start);
        lines.any(|line| line.starts_with("strandline"))
    })
}
