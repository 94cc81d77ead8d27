//! `strandline check`: read scenario files without running them.

use crate::args::CheckArgs;
use crate::{Outcome, input};
use std::path::{Path, PathBuf};

/// Checks files, and all `.toml` files of folders; prints every problem of every file.
pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let mut files = Vec::new();
    for path in &args.paths {
        if let Err(error) = collect(path, &mut files) {
            eprintln!("cannot read {}: {error}", path.display());
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
    crate::say!("{} checked, {bad} bad", files.len());
    if bad == 0 {
        Outcome::Held
    } else {
        Outcome::BadInput
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
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
            collect(&entry, files)?;
        } else if entry.extension().is_some_and(|e| e == "toml") {
            files.push(entry);
        }
    }
    Ok(())
}
