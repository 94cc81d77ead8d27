//! The stages of `cargo xtask test`, in the order in which a mistake is found soonest.

use super::style;
use super::totals::Totals;
use crate::failure::{Failure, Outcome};
use crate::tools::{self, Need};
use crate::{dist, paths, run, site, ui};
use std::fs;
use std::process::Command;

/// One named part of the test run.
pub(crate) struct Stage {
    /// What `--only` takes.
    pub(crate) name: &'static str,
    /// One line for the reader.
    pub(crate) about: &'static str,
    /// What must be on the machine.
    pub(crate) needs: &'static [Need],
    /// Whether `--quick` leaves it out.
    pub(crate) slow: bool,
    /// Does the work; an error counts as one failure.
    pub(crate) run: fn() -> Outcome<Totals>,
}

const WASM: &str = "wasm32-unknown-unknown";

/// All stages.
pub(crate) const STAGES: [Stage; 11] = [
    Stage {
        name: "style",
        about: "rules of the house that no other tool checks",
        needs: &[],
        slow: false,
        run: style::check,
    },
    Stage {
        name: "fmt",
        about: "formatting",
        needs: &[Need::Components],
        slow: false,
        run: || single(run::cargo().args(["fmt", "--all", "--check"])),
    },
    Stage {
        name: "clippy",
        about: "lints of everything native, warnings are errors",
        needs: &[Need::Components],
        slow: false,
        run: || clippy(&["--workspace", "--exclude", "web", "--all-targets"]),
    },
    Stage {
        name: "unit",
        about: "tests of all native crates, documentation examples included",
        needs: &[],
        slow: false,
        run: || counted(run::cargo().args(["test", "--locked", "--no-fail-fast"])),
    },
    Stage {
        name: "clippy-web",
        about: "lints of the site, for wasm32",
        needs: &[Need::Components, Need::WasmTarget],
        slow: true,
        run: || clippy(&["--package", "web", "--target", WASM]),
    },
    Stage {
        name: "unit-web",
        about: "tests of the site's plain code, run natively",
        needs: &[],
        slow: true,
        run: || {
            counted(run::cargo().args(["test", "--locked", "--package", "web", "--no-fail-fast"]))
        },
    },
    Stage {
        name: "wasm-node",
        about: "the engine's cross-target tests, as WebAssembly in Node.js",
        needs: &[Need::WasmTarget, Need::WasmBindgen, Need::Node],
        slow: true,
        run: || cross_target(false),
    },
    Stage {
        name: "wasm-chromium",
        about: "the same tests, as WebAssembly in Chromium",
        needs: &[
            Need::WasmTarget,
            Need::WasmBindgen,
            Need::Chromium,
            Need::Chromedriver,
        ],
        slow: true,
        run: || cross_target(true),
    },
    Stage {
        name: "site",
        about: "release build of the site",
        needs: &Need::SITE,
        slow: true,
        run: build_site,
    },
    Stage {
        name: "size",
        about: "what a first visit downloads, against its budget",
        needs: &[],
        slow: true,
        run: measure,
    },
    Stage {
        name: "e2e",
        about: "browser tests of the built site, below a sub-path",
        needs: &[Need::Node, Need::NpmPackages, Need::Chromium],
        slow: true,
        run: browser,
    },
];

fn single(command: &mut Command) -> Outcome<Totals> {
    Ok(Totals::single(run::tee(command, |_| ())?))
}

fn counted(command: &mut Command) -> Outcome<Totals> {
    let mut totals = Totals::default();
    let success = run::tee(command, |line| totals.read_summary(line))?;
    Ok(totals.ended(success))
}

fn clippy(args: &[&str]) -> Outcome<Totals> {
    let mut command = run::cargo();
    command
        .args(["clippy", "--locked", "--quiet"])
        .args(args)
        .args(["--", "-D", "warnings"]);
    single(&mut command)
}

/// Runs the integration tests of sim-core that are written for both worlds: those whose file
/// uses `wasm_bindgen_test`.
fn cross_target(in_browser: bool) -> Outcome<Totals> {
    let names = cross_target_tests()?;
    if names.is_empty() {
        return Ok(Totals::default().noting("no such tests in sim-core/tests"));
    }
    let mut command = run::cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        "sim-core",
        "--target",
        WASM,
    ]);
    command.arg("--no-fail-fast");
    for name in &names {
        command.args(["--test", name]);
    }
    tools::with_tools(&mut command);
    // The runner takes the place from here when a test file does not ask for one; Node is its default.
    if in_browser {
        command
            .env("WASM_BINDGEN_USE_BROWSER", "1")
            .env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    }
    let totals = counted(&mut command)?;
    if totals.passed + totals.failed == 0 {
        return Err(Failure::new(format!("no test ran of {}", names.join(", "))));
    }
    Ok(totals)
}

fn cross_target_tests() -> Outcome<Vec<String>> {
    let dir = paths::root().join("sim-core").join("tests");
    let Ok(entries) = fs::read_dir(&dir) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Failure::io("list", &dir, &e))?.path();
        let is_rust = path.extension().is_some_and(|ending| ending == "rs");
        if is_rust && fs::read_to_string(&path).is_ok_and(|text| text.contains("wasm_bindgen_test"))
        {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn build_site() -> Outcome<Totals> {
    // What an earlier run left must not be tested in place of a build that failed.
    let index = paths::dist().join("index.html");
    if index.exists() {
        fs::remove_file(&index).map_err(|e| Failure::io("remove", &index, &e))?;
    }
    site::release("./")?;
    Ok(Totals::single(index.is_file()))
}

fn built() -> Outcome<()> {
    match paths::dist().join("index.html").is_file() {
        true => Ok(()),
        false => Err(Failure::new("the site is not built").with_remedy("cargo xtask build")),
    }
}

fn measure() -> Outcome<Totals> {
    built()?;
    let sizes = dist::sizes::measure(&paths::dist())?;
    ui::line(&sizes.table());
    let (held, note) = match sizes.verdict() {
        Ok(note) => (true, note),
        Err(note) => (false, note),
    };
    Ok(Totals::single(held).noting(note))
}

fn browser() -> Outcome<Totals> {
    built()?;
    // The browser's runs are compared with those of the terminal.
    run::show(run::cargo().args(["build", "--locked", "--package", "strandline-cli"]))?;
    let mut command = run::program("node", &paths::e2e());
    command
        .arg("run.mjs")
        .env("STRANDLINE", paths::strandline("debug"));
    let totals = counted(tools::with_tools(&mut command))?;
    if totals.passed + totals.failed == 0 {
        return Err(Failure::new("no browser test ran"));
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<_> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
    }
}
