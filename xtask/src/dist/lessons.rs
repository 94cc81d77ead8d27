//! Where the course enters the site.
//!
//! The `lessons` crate has a program that checks every lesson against the engine and writes its
//! pages and data. It runs as a process of its own, so that this crate need not compile the engine
//! before it can say what is missing on a machine. Pages are left as `page.fragment.html` files,
//! which `pages` puts into the shell.

use crate::failure::Outcome;
use crate::{paths, run};
use std::path::Path;

/// Compiles all lessons into `out`. A broken lesson fails the build with its file and line, which
/// the program prints itself.
pub(crate) fn compile(out: &Path) -> Outcome<()> {
    if !paths::root().join("lessons/src/main.rs").is_file() {
        return Ok(());
    }
    let mut cargo = run::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "lessons",
        "--",
        "compile",
    ]);
    run::show(cargo.arg("--out").arg(out))
}
