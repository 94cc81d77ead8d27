//! `cargo xtask`: set-up, serve, build and test. What the README's two commands call.
//!
//! It finds or installs the tools it needs, drives Trunk, finishes what Trunk built (pages, file
//! names by content, service worker) and runs every test in named stages. It knows nothing of the
//! engine and does not depend on it, so that it compiles in seconds on a fresh machine.

mod bench;
mod dist;
mod doctor;
mod failure;
mod machine;
mod paths;
mod run;
mod site;
mod sweep;
mod test;
mod tools;
mod ui;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Everything the project does beside `cargo build`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Sets up what is missing and opens the site on a local port, rebuilding on change
    Serve(site::ServeOptions),
    /// Sets up what is missing and runs every test there is, browser tests included
    Test(test::Options),
    /// Makes `dist/`, ready for any static host under any base path
    Build(site::BuildOptions),
    /// Measures engine and site, and writes docs/BENCHMARKS.md; it judges nothing
    Bench(bench::Options),
    /// Runs every sweep with thousands of seeds, and writes docs/SWEEPS.md
    Sweep(sweep::Options),
    /// Installs what the other commands need, and nothing else
    Setup,
    /// Lists what was found and what is missing, and changes nothing
    Doctor,
    /// Finishes a build in Trunk's staging folder (called by Trunk, see Trunk.toml)
    #[command(hide = true)]
    Finish,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Task::Serve(options) => site::serve(&options),
        Task::Test(options) => test::run(&options),
        Task::Build(options) => site::build(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Sweep(options) => sweep::run(&options),
        Task::Setup => tools::setup(&tools::Need::ALL).map(|_| true),
        Task::Doctor => Ok(doctor::report()),
        Task::Finish => dist::finish_hook().map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            ui::failure(&failure);
            ExitCode::FAILURE
        }
    }
}
