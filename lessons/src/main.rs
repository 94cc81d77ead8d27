//! `lessons compile --out DIR`: checks the course against the engine and writes its pages and data.
//! `lessons check [NAME...]`: only checks, all lessons or those named.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("en");
    let result = match words.as_slice() {
        ["compile", "--out", out] => lessons::compile(&folder, &PathBuf::from(out)),
        ["check", names @ ..] => check(&folder, names),
        _ => {
            eprintln!("usage: lessons compile --out DIR | lessons check [NAME...]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(entries) => {
            for entry in entries {
                println!(
                    "ok {}: {} claims executed, {} predictions graded",
                    entry.slug, entry.claims, entry.predictions
                );
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

fn check(folder: &Path, names: &[&str]) -> Result<Vec<lessons::Entry>, Vec<lessons::Problem>> {
    let mut entries = Vec::new();
    let course = lessons::read_course(folder)?;
    let named = |it: &lessons::Lesson| names.is_empty() || names.contains(&&*it.slug);
    for lesson in course.into_iter().filter(named) {
        let checked = lessons::check_lesson(&lesson)?;
        entries.push(checked.entry(&lesson));
    }
    Ok(entries)
}
