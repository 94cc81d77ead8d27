//! `cargo xtask doctor`: what is here and what is missing, without changing anything.

use crate::tools::{self, Need};
use crate::{paths, run, ui};

/// Prints the list. Returns whether nothing is missing.
pub(crate) fn report() -> bool {
    ui::heading("Tools");
    let rustc = run::capture(run::program("rustc", &paths::root()).arg("--version"));
    ui::row(
        rustc.is_some(),
        "Rust",
        rustc
            .as_deref()
            .unwrap_or("install it from https://rustup.rs"),
    );
    let mut complete = rustc.is_some();
    for need in Need::ALL {
        let found = need.find();
        complete &= found.is_some();
        let text = match &found {
            Some(found) => detail(need).unwrap_or_else(|| found.note.clone()),
            None => "`cargo xtask setup` installs it, or says how".to_owned(),
        };
        ui::row(found.is_some(), need.name(), &text);
    }
    ui::heading("Places");
    ui::line(&format!("  checkout  {}", paths::root().display()));
    ui::line(&format!("  tools     {}", paths::tools().display()));
    let built = paths::dist().join("index.html").is_file();
    ui::line(&format!(
        "  dist      {}",
        if built { "built" } else { "not built" }
    ));
    ui::line(match complete {
        true => "\nEverything is here.",
        false => "\nSomething is missing: `cargo xtask serve` and `cargo xtask test` install it.",
    });
    complete
}

/// The version of what has none in its name.
fn detail(need: Need) -> Option<String> {
    let path = need.find()?.path;
    match need {
        Need::NpmPackages => tools::wasm_opt_version(),
        Need::Chromium | Need::Chromedriver => {
            let version = run::capture(run::program(&path, &paths::root()).arg("--version"))?;
            Some(format!("{version} in {}", path.display()))
        }
        _ => None,
    }
}
