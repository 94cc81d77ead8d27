//! `cargo xtask bench`: the figures of the engine and of the site, measured and written down.
//!
//! It builds both in release, runs `strandline bench` and then `e2e/bench.mjs` in headless
//! Chromium, and writes `docs/BENCHMARKS.md`: target beside measured, with the machine and the load
//! it was under. Nothing here is a test: a figure that misses its target is written, not failed.

mod figures;
mod report;

use crate::failure::{Failure, Outcome};
use crate::machine::Machine;
use crate::tools::{self, Need};
use crate::{dist, paths, run, site, ui};
use clap::Args;
use figures::{Browser, Native};
use serde::de::DeserializeOwned;
use std::fs;
use std::process::{Command, Stdio};

const BROWSER: [Need; 3] = [Need::Node, Need::NpmPackages, Need::Chromium];

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Fewer rounds, seeks and frames: rougher figures, sooner
    #[arg(long)]
    quick: bool,
    /// Measure the release builds that are there instead of building
    #[arg(long)]
    no_build: bool,
    /// Print the report instead of writing docs/BENCHMARKS.md
    #[arg(long)]
    print: bool,
}

/// Builds, measures, writes.
pub(crate) fn run(options: &Options) -> Outcome<bool> {
    let has_browser = BROWSER.iter().all(|need| need.find().is_some());
    if !options.no_build {
        build(has_browser)?;
    }
    let machine = Machine::look();
    ui::heading("Native");
    let native: Vec<Native> = figures_of(native(options.quick))?;
    let browser = match has_browser && paths::dist().join("index.html").is_file() {
        true => {
            ui::heading("Chromium");
            Some(measure_browser(options.quick)?)
        }
        false => {
            ui::remark("no Chromium, Node.js or built site: only the native engine is measured");
            None
        }
    };
    let text = report::write(&machine, &native, browser.as_ref(), options.quick);
    ui::line(&text);
    if !options.print {
        let path = paths::root().join("docs").join("BENCHMARKS.md");
        fs::write(&path, text).map_err(|e| Failure::io("write", &path, &e))?;
        ui::line(&format!("written to {}", paths::short(&path)));
    }
    Ok(true)
}

fn build(with_site: bool) -> Outcome<()> {
    ui::heading("Build");
    let mut cargo = run::cargo();
    cargo.args(["build", "--release", "--locked", "--bin", "strandline"]);
    run::show(cargo.args(["--package", "strandline-cli"]))?;
    if with_site {
        tools::setup(&Need::SITE)?;
        site::release("./")?;
    }
    Ok(())
}

fn native(quick: bool) -> Command {
    let mut command = run::program(paths::strandline("release"), &paths::root());
    command.args(["bench", "--json"]);
    if quick {
        command.arg("--quick");
    }
    command
}

fn measure_browser(quick: bool) -> Outcome<(Browser, dist::sizes::Sizes)> {
    let sizes = dist::sizes::measure(&paths::dist())?;
    let mut node = run::program("node", &paths::e2e());
    node.arg("bench.mjs").arg(paths::strandline("release"));
    if quick {
        node.arg("--quick");
    }
    tools::with_tools(&mut node);
    Ok((figures_of(node)?, sizes))
}

/// What a program printed as JSON. Its remarks go to the terminal.
fn figures_of<T: DeserializeOwned>(mut command: Command) -> Outcome<T> {
    let shown = run::describe(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::new(format!("cannot run `{shown}`: {e}")))?;
    if !output.status.success() {
        let status = output.status;
        return Err(Failure::new(format!("`{shown}` ended with {status}")));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| {
        Failure::new(format!(
            "`{shown}` printed something else than figures: {e}"
        ))
    })
}
